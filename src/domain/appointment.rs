//! Booked visits.

use chrono::TimeDelta;

use super::booking::PlannedVisit;
use super::catalog::{BodyArea, ResourceKind};
use super::combination::AddOn;
use super::ids::{AppointmentId, ClearanceId, ClinicId, OverrideId, PatientId, ResourceId, SeriesId, TreatmentId};
use super::interval::{Instant, Interval};
use super::refusal::{Earliest, Refusal, Rule, Violation};
use super::text::{Label, Personal, Prose};
use super::visit::MAX_DAYS_LATE;
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
    /// The patient is there.
    Arrived {
        /// Since when.
        at: Instant,
    },
    /// It took place.
    Fulfilled {
        /// When the patient was checked in.
        arrived_at: Instant,
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
    },
    /// Nobody came; it takes up nothing any more.
    NoShow {
        /// When that was said.
        at: Instant,
        /// What is known of why.
        reason: Personal<Prose<2000>>,
    },
}

/// Longest that a visit is held at once, in minutes.
pub const MAX_HOLD_MINUTES: i32 = 60;
/// How long a visit is held, unless the caller says otherwise: about as long as a patient on the phone takes.
pub const DEFAULT_HOLD_MINUTES: i32 = 10;
/// Longest after a check-in or a no-show that it may be taken back, in hours.
const MAX_UNDO_HOURS: i64 = 24;

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

    /// The visit, held for so many minutes from now if that is longer than it is held anyway; refused unless it is.
    pub fn renewed_for(self, minutes: i32, now: Instant, revision: i64) -> Result<Self, Refusal> {
        self.must_be_held()?;
        let known = self.held_until();
        let mut renewed = Self { changed_revision: revision, ..self.held_for(minutes, now) };
        if let (AppointmentState::Held { until }, Some(known)) = (&mut renewed.state, known) {
            *until = known.max(*until);
        }
        Ok(renewed)
    }

    /// When its hold ends; nothing if it is not held.
    pub const fn held_until(&self) -> Option<Instant> {
        match self.state {
            AppointmentState::Held { until } => Some(until),
            AppointmentState::Booked
            | AppointmentState::Arrived { .. }
            | AppointmentState::Fulfilled { .. }
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => None,
        }
    }

    /// A refusal unless it is held.
    pub fn must_be_held(&self) -> Result<(), Refusal> {
        let text = match self.state {
            AppointmentState::Held { .. } => return Ok(()),
            AppointmentState::Booked | AppointmentState::Arrived { .. } | AppointmentState::Fulfilled { .. } => {
                "the appointment is booked"
            }
            AppointmentState::Cancelled { .. } => {
                "the hold has expired or was released, or the appointment was cancelled; hold the visit anew"
            }
            AppointmentState::NoShow { .. } => "nobody came to the visit",
        };
        Err(vec![Violation::new(Rule::NotHeld, text)])
    }

    /// Whether it may be moved: it is booked, and has not begun.
    pub fn must_lie_ahead(&self, now: Instant) -> Result<(), Refusal> {
        let refuse = |rule, text: &str| Err(vec![Violation::new(rule, text)]);
        match self.state {
            AppointmentState::Held { .. } => refuse(
                Rule::AppointmentNotBooked,
                "the appointment is only held; convert the hold, or release it with CancelAppointment",
            ),
            AppointmentState::Cancelled { .. } => {
                refuse(Rule::AppointmentNotBooked, "the appointment is cancelled already")
            }
            AppointmentState::NoShow { .. } => {
                refuse(Rule::AppointmentNotBooked, "nobody came, and the visit takes up nothing any more")
            }
            AppointmentState::Booked if self.visit.start() <= now => {
                refuse(Rule::AppointmentStarted, "the appointment has begun; what happened cannot be changed")
            }
            AppointmentState::Booked => Ok(()),
            AppointmentState::Arrived { .. } => {
                let text = "the patient has been checked in; complete the visit, or take a mistake back with UndoVisit";
                refuse(Rule::AppointmentStarted, text)
            }
            AppointmentState::Fulfilled { .. } => {
                refuse(Rule::AppointmentStarted, "the visit took place; what happened cannot be changed")
            }
        }
    }

    /// Whether it has begun: its time has come, or the patient was there before.
    pub fn has_begun(&self, now: Instant) -> bool {
        match self.state {
            AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => self.visit.start() <= now,
            AppointmentState::Arrived { .. } | AppointmentState::Fulfilled { .. } => true,
        }
    }

    /// When it begins, or really began.
    pub fn begins(&self) -> Instant {
        match self.state {
            AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Arrived { .. }
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => self.visit.start(),
            AppointmentState::Fulfilled { performed, .. } => performed,
        }
    }

    /// When the patient was checked in; nothing if that has not happened.
    pub const fn arrived_at(&self) -> Option<Instant> {
        match self.state {
            AppointmentState::Arrived { at } => Some(at),
            AppointmentState::Fulfilled { arrived_at, .. } => Some(arrived_at),
            AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Cancelled { .. }
            | AppointmentState::NoShow { .. } => None,
        }
    }

    /// A refusal unless the patient may be checked in as far as the visit itself says: it is booked, and its day has come.
    pub fn may_arrive(&self, now: Instant) -> Result<(), Refusal> {
        let text = match self.state {
            AppointmentState::Booked => {
                let day = self.zone.day(self.visit.start());
                let late = (self.zone.day(now) - day).num_days();
                if late > MAX_DAYS_LATE {
                    let text = format!("the visit was on {day}, {late} days ago; at most {MAX_DAYS_LATE} will do");
                    return Err(vec![Violation::new(Rule::AppointmentStarted, text)]);
                }
                if late >= 0 {
                    return Ok(());
                }
                let text = format!("the visit is on {day}; a patient is checked in on the day at the earliest");
                let earliest = Some(Earliest { start: self.zone.midnight(day), day });
                return Err(vec![Violation { earliest, ..Violation::new(Rule::TooEarlyToCheckIn, text) }]);
            }
            AppointmentState::Held { .. } => "the appointment is only held; convert the hold first",
            AppointmentState::Arrived { .. } => "the patient has been checked in already",
            AppointmentState::Fulfilled { .. } => "the visit took place already",
            AppointmentState::Cancelled { .. } => "the appointment is cancelled",
            AppointmentState::NoShow { .. } => "nobody came; if that was a mistake, take it back with UndoVisit",
        };
        Err(vec![Violation::new(Rule::AppointmentNotBooked, text)])
    }

    /// The visit, completed; refused unless the patient is there.
    pub fn fulfil(self, performed: Instant, now: Instant, revision: i64) -> Result<Self, Refusal> {
        let refuse = |rule, text: &str| Err(vec![Violation::new(rule, text)]);
        match self.state {
            AppointmentState::Arrived { at } => {
                let state = AppointmentState::Fulfilled { arrived_at: at, at: now, performed };
                Ok(Self { state, changed_revision: revision, ..self })
            }
            AppointmentState::Held { .. } => {
                refuse(Rule::NotCheckedIn, "the appointment is only held; convert the hold, and check the patient in")
            }
            AppointmentState::Booked => {
                refuse(Rule::NotCheckedIn, "the patient has not been checked in; that comes first, with CheckIn")
            }
            AppointmentState::Fulfilled { .. } => {
                refuse(Rule::AppointmentNotBooked, "the visit has been completed already")
            }
            AppointmentState::Cancelled { .. } => refuse(Rule::AppointmentNotBooked, "the appointment is cancelled"),
            AppointmentState::NoShow { .. } => {
                refuse(Rule::AppointmentNotBooked, "nobody came; if that was a mistake, take it back with UndoVisit")
            }
        }
    }

    /// The appointment to which nobody came; refused before its time, and once somebody has.
    pub fn miss(self, now: Instant, reason: Personal<Prose<2000>>, revision: i64) -> Result<Self, Refusal> {
        let refuse = |rule, text: &str| Err(vec![Violation::new(rule, text)]);
        match self.state {
            AppointmentState::Booked if now < self.visit.start() => {
                let start = self.visit.start();
                let earliest = Some(Earliest { start, day: self.zone.day(start) });
                let text = "the visit has not begun; until then the patient may come, or it is cancelled";
                Err(vec![Violation { earliest, ..Violation::new(Rule::TooEarlyForNoShow, text) }])
            }
            AppointmentState::Booked => {
                Ok(Self { state: AppointmentState::NoShow { at: now, reason }, changed_revision: revision, ..self })
            }
            AppointmentState::Held { .. } => refuse(
                Rule::AppointmentNotBooked,
                "the appointment is only held; release it with CancelAppointment, or let the hold end",
            ),
            AppointmentState::Arrived { .. } => refuse(
                Rule::AppointmentStarted,
                "the patient has been checked in; if that was a mistake, take it back with UndoVisit",
            ),
            AppointmentState::Fulfilled { .. } => refuse(Rule::AppointmentStarted, "the visit took place"),
            AppointmentState::Cancelled { .. } => refuse(Rule::AppointmentNotBooked, "the appointment is cancelled"),
            AppointmentState::NoShow { .. } => refuse(Rule::AppointmentNotBooked, "nobody came, as was said already"),
        }
    }

    /// The appointment as it was before its patient was checked in, or before it was said that nobody came, and when that
    /// was.
    pub fn undo(self, now: Instant, revision: i64) -> Result<(Self, Instant), Refusal> {
        let refuse = |text: String| Err(vec![Violation::new(Rule::UndoNotAllowed, text)]);
        let at = match self.state {
            AppointmentState::Arrived { at } | AppointmentState::NoShow { at, .. } => at,
            AppointmentState::Held { .. } | AppointmentState::Booked => {
                return refuse("nothing has happened that could be taken back".into());
            }
            AppointmentState::Fulfilled { .. } => {
                return refuse("the visit is completed, and its windows count; that is not taken back".into());
            }
            AppointmentState::Cancelled { .. } => {
                return refuse("a cancellation is not taken back; book the visit anew".into());
            }
        };
        if now - at > TimeDelta::hours(MAX_UNDO_HOURS) {
            return refuse(format!("it is more than {MAX_UNDO_HOURS} hours old; only what is newer is taken back"));
        }
        Ok((Self { state: AppointmentState::Booked, changed_revision: revision, ..self }, at))
    }

    /// The appointment, cancelled, or its hold, released; refused if it has begun or is cancelled already.
    pub fn cancel(self, now: Instant, reason: Personal<Prose<2000>>, revision: i64) -> Result<Self, Refusal> {
        if self.held_until().is_none() {
            self.must_lie_ahead(now)?;
        }
        Ok(Self { state: AppointmentState::Cancelled { at: now, reason }, changed_revision: revision, ..self })
    }

    /// The series that shows it: as a session, or as what follows.
    pub fn series(&self) -> Option<SeriesId> {
        self.session.map(|session| session.series).or(self.follows.map(|follows| follows.series))
    }

    /// Who treats; none where the treatment needs no practitioner.
    pub fn practitioner(&self) -> Option<ResourceId> {
        let mut resources = self.phases.iter().flat_map(|phase| &phase.resources);
        resources.find(|(_, kind)| *kind == ResourceKind::Practitioner).map(|(id, _)| *id)
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
            | AppointmentState::Arrived { .. }
            | AppointmentState::Fulfilled { .. } => true,
            AppointmentState::Cancelled { .. } | AppointmentState::NoShow { .. } => false,
        }
    }
}
