//! What a decision rests on.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::timing::{ActivityWindow, Occupied, PlannedVisit, Spaced, Timing};
use super::{Other, VisitRequest};
use crate::domain::calendar::Calendar;
use crate::domain::catalog::{Need, Qualification, ResourceKind, SpacingScope};
use crate::domain::fitness::Fitness;
use crate::domain::hours::{Stretch, Week};
use crate::domain::ids::{AppointmentId, ClinicId, ResourceId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::zone::Zone;

/// All that a decision rests on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The current time.
    pub now: Instant,
    /// The last moment at which a visit may begin.
    pub horizon_end: Instant,
    /// The stretches of time for which the facts are complete; every visit in question lies in one.
    pub spans: Vec<Interval>,
    /// Whether a refusal should say when it would do; then the spans reach far enough to find out.
    pub look_for_earliest: bool,
    /// The clinics concerned.
    pub clinics: BTreeMap<ClinicId, ClinicFacts>,
    /// The resources that might serve, and those that the caller named.
    pub resources: Vec<ResourceFacts>,
    /// The patient.
    pub patient: PatientFacts,
}

/// A clinic, as far as a decision rests on it.
#[derive(Debug, Clone)]
pub struct ClinicFacts {
    /// Where its wall clock is.
    pub zone: Zone,
    /// When it is open.
    pub opening_hours: Week,
    /// When it is closed all the same.
    pub closures: Vec<Interval>,
}

/// A resource, as far as a decision rests on it.
#[derive(Debug, Clone)]
pub struct ResourceFacts {
    /// Its id.
    pub id: ResourceId,
    /// What it is.
    pub kind: ResourceKind,
    /// Where it stands; for rooms and devices only.
    pub clinic: Option<ClinicId>,
    /// Whether new visits may use it.
    pub active: bool,
    /// What it may be used for.
    pub qualifications: Vec<Qualification>,
    /// When it works, and where; for practitioners and assistants only.
    pub working_hours: Vec<(ClinicId, Stretch)>,
    /// When it is away.
    pub time_off: Vec<Interval>,
    /// When it is taken.
    pub busy: Vec<Busy>,
}

/// A stretch in which a resource is taken.
#[derive(Debug, Clone, Copy)]
pub struct Busy {
    /// When.
    pub during: Interval,
    /// By what.
    pub other: Other,
}

/// A patient, as far as a decision rests on them.
#[derive(Debug, Clone, Default)]
pub struct PatientFacts {
    /// When they are elsewhere.
    pub visits: Vec<PatientVisit>,
    /// The days in which an area, or any area, may not be needled.
    pub spacing: Vec<SpacingWindow>,
    /// What their visits forbid and expose them to.
    pub windows: Vec<(ActivityWindow, Other)>,
    /// Whether they are fit for the visit in question; nothing stands in the way of one that does not ask.
    pub fitness: Fitness,
}

/// A visit of the patient.
#[derive(Debug, Clone, Copy)]
pub struct PatientVisit {
    /// When they are there.
    pub during: Interval,
    /// Which visit it is.
    pub other: Other,
}

/// Days in which an area may not be needled, from the day of the session that they follow.
#[derive(Debug, Clone, Copy)]
pub struct SpacingWindow {
    /// Which area, or all of them.
    pub scope: SpacingScope,
    /// The session's day.
    pub day: NaiveDate,
    /// The first day on which it may be needled again.
    pub until: NaiveDate,
    /// The session.
    pub other: Other,
}

impl ResourceFacts {
    /// Whether it may serve a need.
    pub fn is_qualified(&self, need: &Need) -> bool {
        self.kind == need.kind && self.qualifications.contains(&need.qualification)
    }

    /// Whether it is ever at a clinic.
    pub fn serves(&self, clinic: ClinicId) -> bool {
        match self.clinic {
            Some(home) => home == clinic,
            None => self.working_hours.iter().any(|(at, _)| *at == clinic),
        }
    }

    /// Its own hours at a clinic; none for what stands in a clinic and follows its opening hours.
    pub fn hours_at(&self, clinic: ClinicId) -> Option<Week> {
        let here = self.working_hours.iter().filter(|(at, _)| *at == clinic).map(|(_, stretch)| *stretch);
        self.clinic.is_none().then(|| Week::new(here.collect()).unwrap_or_default())
    }

    /// The time in a span in which it is at the clinic, whether taken or not.
    pub fn on_duty(&self, clinic: ClinicId, facts: &ClinicFacts, span: Interval) -> Calendar {
        match self.hours_at(clinic) {
            Some(hours) => hours.calendar(facts.zone, &[span]),
            None if self.clinic == Some(clinic) => facts.opening_hours.calendar(facts.zone, &[span]),
            None => Calendar::default(),
        }
    }

    /// The time in a span in which it could serve a new visit.
    pub fn available(&self, clinic: ClinicId, facts: &ClinicFacts, span: Interval) -> Calendar {
        let taken = self.busy.iter().map(|busy| busy.during).chain(self.time_off.iter().copied());
        self.on_duty(clinic, facts, span).minus(&Calendar::union(taken.filter(|t| t.overlaps(span)).collect()))
    }
}

impl Facts {
    /// Adds what a planned visit occupies, so that later visits of the same request cannot take it again.
    pub fn occupy(&mut self, occupied: &[Occupied], other: Other) {
        for taken in occupied {
            if let Some(resource) = self.resources.iter_mut().find(|resource| resource.id == taken.resource) {
                resource.busy.push(Busy { during: taken.during, other });
            }
        }
    }

    /// Takes appointments as gone: what they take up is free, and their windows are no more.
    pub fn forget(&mut self, gone: &[AppointmentId]) {
        for resource in &mut self.resources {
            resource.busy.retain(|busy| !is_one_of(busy.other, gone));
        }
        self.patient.forget(gone);
    }
}

fn is_one_of(other: Other, appointments: &[AppointmentId]) -> bool {
    match other {
        Other::Appointment(id) => appointments.contains(&id),
        Other::Session(_) => false,
    }
}

impl PatientFacts {
    /// Takes appointments of the patient as gone.
    pub fn forget(&mut self, gone: &[AppointmentId]) {
        self.visits.retain(|visit| !is_one_of(visit.other, gone));
        self.spacing.retain(|window| !is_one_of(window.other, gone));
        self.windows.retain(|(_, other)| !is_one_of(*other, gone));
    }

    /// What one appointment of the patient means for them.
    #[must_use]
    pub fn part(&self, id: AppointmentId) -> Self {
        let is_it = |other: Other| is_one_of(other, &[id]);
        Self {
            visits: self.visits.iter().filter(|visit| is_it(visit.other)).copied().collect(),
            spacing: self.spacing.iter().filter(|window| is_it(window.other)).copied().collect(),
            windows: self.windows.iter().filter(|(_, other)| is_it(*other)).copied().collect(),
            fitness: Fitness::default(),
        }
    }

    /// What a planned visit means for the patient, under the id that others are to know it by.
    pub fn planned(plan: &PlannedVisit, other: Other) -> Self {
        let spaced =
            |Spaced { scope, day, until }: &Spaced| SpacingWindow { scope: *scope, day: *day, until: *until, other };
        Self {
            visits: vec![PatientVisit { during: plan.visit, other }],
            spacing: plan.spacing.iter().map(spaced).collect(),
            windows: plan.windows.iter().map(|window| (*window, other)).collect(),
            fitness: Fitness::default(),
        }
    }

    /// Adds what further visits mean for the patient.
    pub fn join(&mut self, more: &Self) {
        self.visits.extend(&more.visits);
        self.spacing.extend(&more.spacing);
        self.windows.extend(&more.windows);
    }

    /// Adds what a visit means for the patient.
    pub(super) fn add(&mut self, timing: &Timing<'_>, zone: Zone, request: &VisitRequest, other: Other) {
        self.visits.push(PatientVisit { during: timing.visit(request.start), other });
        let spaced = timing.spacing(zone, request, request.start).into_iter();
        self.spacing.extend(spaced.map(|Spaced { scope, day, until }| SpacingWindow { scope, day, until, other }));
        self.windows.extend(timing.windows(zone, request.start).into_iter().map(|window| (window, other)));
    }
}
