//! Booked visits.

mod steps;

use chrono::TimeDelta;

pub use steps::MAX_START_HOURS;

use super::booking::PlannedVisit;
use super::booking_rules::Ending;
use super::catalog::{BodyArea, ResourceKind};
use super::combination::AddOn;
use super::ids::{AppointmentId, ClearanceId, ClinicId, OverrideId, PatientId, ResourceId, SeriesId, TreatmentId};
use super::interval::{Instant, Interval};
use super::refusal::Refusal;
use super::text::{Label, Personal, Prose};
use super::zone::Zone;

/// Where an appointment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppointmentState {
    /// Its time is kept until then, while the patient decides.
    Held {
        /// When the hold ends by itself.
        until: Instant,
    },
    /// It will take place.
    Booked,
    /// It will take place, and the patient has said that they will come.
    Confirmed {
        /// When they said so.
        at: Instant,
    },
    /// The patient is there.
    Arrived(Arrival),
    /// The treatment has begun.
    InProgress {
        /// When the patient came.
        arrival: Arrival,
        /// When it began.
        at: Instant,
    },
    /// It took place.
    Fulfilled {
        /// When the patient came.
        arrival: Arrival,
        /// When the treatment began, if that was said then.
        started_at: Option<Instant>,
        /// When it was completed.
        at: Instant,
        /// When it really began: what gaps and aftercare count from.
        performed: Instant,
    },
    /// It will not take place.
    Cancelled {
        /// Since when.
        at: Instant,
        /// Why.
        reason: Personal<Prose<2000>>,
        /// How, if it was cancelled or moved by itself.
        ending: Option<Ending>,
    },
    /// Nobody came; it takes up nothing any more.
    NoShow {
        /// When the patient had said that they would.
        confirmed_at: Option<Instant>,
        /// When that was said.
        at: Instant,
        /// What is known of why.
        reason: Personal<Prose<2000>>,
        /// How; not known of those before there were rules.
        ending: Option<Ending>,
    },
}

/// A patient who came to a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When they had said that they would.
    pub confirmed_at: Option<Instant>,
    /// When they were checked in.
    pub at: Instant,
}

/// Longest that a visit is held at once, in minutes.
pub const MAX_HOLD_MINUTES: i32 = 60;
/// How long a visit is held, unless the caller says otherwise: about as long as a patient on the phone takes.
pub const DEFAULT_HOLD_MINUTES: i32 = 10;

/// Which session of which series an appointment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOf {
    /// The series.
    pub series: SeriesId,
    /// Which session, from 1.
    pub number: i32,
}

/// The series that an appointment follows without being one of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follows {
    /// The series.
    pub series: SeriesId,
    /// Which assessment of it, from 1; none for a maintenance session.
    pub assessment: Option<i32>,
}

/// One phase of a booked visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedPhase {
    /// Its name.
    pub name: Label,
    /// When.
    pub during: Interval,
    /// Whether the patient is there.
    pub patient_present: bool,
    /// What it occupies.
    pub resources: Vec<(ResourceId, ResourceKind)>,
}

/// A booked visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appointment {
    /// Its id.
    pub id: AppointmentId,
    /// Where.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// Who is treated.
    pub patient: PatientId,
    /// The treatment.
    pub treatment: TreatmentId,
    /// Its version.
    pub treatment_version: i32,
    /// What is added to it.
    pub add_on: Option<AddOn>,
    /// The session that it is; none for any other visit.
    pub session: Option<SessionOf>,
    /// The series that it assesses or maintains; none for any other visit.
    pub follows: Option<Follows>,
    /// The area treated.
    pub area: Option<BodyArea>,
    /// Where it stands.
    pub state: AppointmentState,
    /// When the patient is there.
    pub visit: Interval,
    /// Its phases in order.
    pub phases: Vec<BookedPhase>,
    /// Revision that last changed it.
    pub changed_revision: i64,
    /// The clearance under which it was booked.
    pub clearance: Option<ClearanceId>,
    /// The appointment that it was moved from.
    pub replaces: Option<AppointmentId>,
    /// The appointment that it was moved to.
    pub replaced_by: Option<AppointmentId>,
    /// The overrides that had effect on it.
    pub overrides: Vec<OverrideId>,
}

impl Appointment {
    /// A visit that is booked as planned.
    pub fn book(
        id: AppointmentId,
        patient: PatientId,
        session: Option<SessionOf>,
        add_on: Option<AddOn>,
        plan: &PlannedVisit,
        revision: i64,
    ) -> Self {
        let approval = add_on.map(|add_on| add_on.approval);
        let mut overrides: Vec<OverrideId> = plan.spacing_override.into_iter().chain(approval).collect();
        overrides.sort_unstable();
        Self {
            id,
            clinic: plan.clinic,
            zone: plan.zone,
            patient,
            treatment: plan.treatment,
            treatment_version: plan.treatment_version,
            add_on,
            session,
            follows: None,
            area: plan.area,
            state: AppointmentState::Booked,
            visit: plan.visit,
            phases: plan.phases.clone(),
            changed_revision: revision,
            clearance: plan.clearance,
            replaces: None,
            replaced_by: None,
            overrides,
        }
    }

    /// The visit, held for so many minutes from now, but not beyond its start.
    #[must_use]
    pub fn held_for(self, minutes: i32, now: Instant) -> Self {
        let until = self.hold_end(minutes, now);
        Self { state: AppointmentState::Held { until }, ..self }
    }

    /// When a hold of so many minutes from now ends: at its start at the latest.
    pub fn hold_end(&self, minutes: i32, now: Instant) -> Instant {
        (now + TimeDelta::minutes(minutes.into())).min(self.visit.start())
    }

    /// The visit, held for so many minutes from now if that is longer than it is held anyway, but no longer than until
    /// `latest`; refused unless it is held.
    pub fn renewed_for(self, minutes: i32, latest: Instant, now: Instant, revision: i64) -> Result<Self, Refusal> {
        self.must_be_held()?;
        let known = self.held_until();
        let mut renewed = Self { changed_revision: revision, ..self.held_for(minutes, now) };
        if let (AppointmentState::Held { until }, Some(known)) = (&mut renewed.state, known) {
            *until = known.max((*until).min(latest));
        }
        Ok(renewed)
    }

    /// When its hold ends; nothing if it is not held.
    pub const fn held_until(&self) -> Option<Instant> {
        match self.state {
            AppointmentState::Held { until } => Some(until),
            AppointmentState::Booked
            | AppointmentState::Confirmed { .. }
            | AppointmentState::Arrived(_)
            | AppointmentState::InProgress { .. }
            | AppointmentState::Fulfilled { .. }
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => None,
        }
    }

    /// Whether it has begun: its time has come, or the patient was there before.
    pub fn has_begun(&self, now: Instant) -> bool {
        self.arrived_at().is_some() || self.visit.start() <= now
    }

    /// When it begins, or really began.
    pub fn begins(&self) -> Instant {
        match self.state {
            AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Confirmed { .. }
            | AppointmentState::Arrived(_)
            // Its windows move when it is completed.
            | AppointmentState::InProgress { .. }
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => self.visit.start(),
            AppointmentState::Fulfilled { performed, .. } => performed,
        }
    }

    /// When the patient was checked in; nothing if that has not happened.
    pub const fn arrived_at(&self) -> Option<Instant> {
        match self.state {
            AppointmentState::Arrived(arrival)
            | AppointmentState::InProgress { arrival, .. }
            | AppointmentState::Fulfilled { arrival, .. } => Some(arrival.at),
            AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Confirmed { .. }
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => None,
        }
    }

    /// The series that shows it: as a session, or as what follows.
    pub fn series(&self) -> Option<SeriesId> {
        self.session.map(|session| session.series).or(self.follows.map(|follows| follows.series))
    }

    /// Who treats; none where the treatment needs no practitioner.
    pub fn practitioner(&self) -> Option<ResourceId> {
        self.first_of(ResourceKind::Practitioner)
    }

    /// The first resource of a kind that it occupies.
    pub fn first_of(&self, kind: ResourceKind) -> Option<ResourceId> {
        let mut resources = self.phases.iter().flat_map(|phase| &phase.resources);
        resources.find(|(_, other)| *other == kind).map(|(id, _)| *id)
    }

    /// What it occupies, phase by phase.
    pub fn occupied(&self) -> impl Iterator<Item = (ResourceId, Interval)> {
        self.phases.iter().flat_map(|phase| phase.resources.iter().map(|(resource, _)| (*resource, phase.during)))
    }

    /// Whether it still takes up time.
    pub const fn is_live(&self) -> bool {
        match self.state {
            AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Confirmed { .. }
            | AppointmentState::Arrived(_)
            | AppointmentState::InProgress { .. }
            | AppointmentState::Fulfilled { .. } => true,
            AppointmentState::Cancelled { .. } | AppointmentState::NoShow { .. } => false,
        }
    }
}
