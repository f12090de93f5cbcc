//! Where displaced visits go: each to the nearest place that keeps it and its series valid, planned together, so that
//! none takes another's place.
//!
//! - `state`: where each visit is while a plan is made
//! - `search`: which of them moves where

mod search;
mod state;

use std::collections::BTreeMap;

use crate::domain::appointment::Appointment;
use crate::domain::assessment::AssessmentDue;
use crate::domain::booking::{Facts, PatientFacts, PlannedVisit};
use crate::domain::catalog::{MaintenanceDays, Treatment};
use crate::domain::fitness::Fitness;
use crate::domain::ids::{AppointmentId, OverrideId, PatientId, ResourceId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::series::Series;

use state::State;

/// All that a plan for visits that move rests on.
#[derive(Debug, Clone)]
pub struct Displacement {
    /// Clinics and resources, in spans around wherever the visits may go. The patient of these facts does not matter.
    pub facts: Facts,
    /// The patients of the visits, each with all that their other visits mean for any of them.
    pub patients: BTreeMap<PatientId, PatientFacts>,
    /// The series of the visits.
    pub series: BTreeMap<SeriesId, Series>,
    /// The visits, as they are booked.
    pub visits: Vec<Displaced>,
}

/// A visit that may move.
#[derive(Debug, Clone)]
pub struct Displaced {
    /// The visit, as it is booked.
    pub appointment: Appointment,
    /// What it is, with what is added to it.
    pub treatment: Treatment,
    /// Calendar days after it in which the area may not be needled again.
    pub spacing_days: Option<i64>,
    /// The override that says how many; none where the protocol or treatment does.
    pub spacing_override: Option<OverrideId>,
    /// What it is to its series, if it has one without being a session of it.
    pub follows: Option<Followed>,
    /// How fit the patient is for it.
    pub fitness: Fitness,
    /// Resources to take rather than others, the first before the second: its own, and those that the patient knows.
    pub known: Vec<ResourceId>,
}

/// What a visit is to a series that it follows.
#[derive(Debug, Clone, Copy)]
pub enum Followed {
    /// The assessment of that number.
    Assessment(i32, AssessmentDue),
    /// A maintenance session.
    Maintenance(MaintenanceDays),
}

/// Where a visit is to go. It stays in its clinic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destined {
    /// When it begins.
    pub start: Instant,
    /// Who treats; none where the treatment needs no practitioner.
    pub practitioner: Option<ResourceId>,
    /// What it was planned to occupy, to take rather than others: what is planned together leaves each other room.
    pub resources: Vec<ResourceId>,
}

impl Displacement {
    /// The best plan that was found for all of them; nothing for a visit that has no place, or none that the others
    /// leave, and therefore stays where it is. As many are placed as possible; they move as few days as possible, then
    /// as little in the time of the day; then they stay with their practitioners.
    ///
    /// The best is not always found; what is found is at least as good as placing them one by one, what follows a series
    /// last, in each of many orders, all of them if the visits are few.
    pub fn plan(self) -> Vec<Option<Destined>> {
        search::plan(State::with_boards(self))
    }

    /// Takes appointments as gone that nobody moves: what is released with the visits is in nobody's way.
    pub fn forget(&mut self, gone: &[AppointmentId]) {
        self.facts.forget(gone);
        self.patients.values_mut().for_each(|patient| patient.forget(gone));
        for series in self.series.values_mut() {
            series.sessions.retain(|visit| !gone.contains(&visit.id));
            series.follow_ups.retain(|visit| !gone.contains(&visit.id));
        }
    }

    /// Decides about moves of all the visits at once, whatever their order; or every broken rule of each, by its place.
    pub fn decide(self, to: &[Destined]) -> Result<Vec<PlannedVisit>, Refusal> {
        let mut state = State::new(self);
        (0..to.len()).for_each(|visit| drop(state.take(visit)));
        let mut turns: Vec<usize> = (0..to.len()).collect();
        turns.sort_by_key(|visit| state.turn(*visit));
        let mut refusal = Vec::new();
        let mut plans = vec![None; to.len()];
        for visit in turns {
            match state.decide(visit, &to[visit]) {
                Ok(plan) => {
                    state.put_planned(visit, &plan);
                    plans[visit] = Some(plan);
                }
                Err(violations) => refusal
                    .extend(violations.into_iter().map(|violation| Violation { session: Some(visit), ..violation })),
            }
        }
        refusal.sort_by_key(|violation| violation.session);
        if refusal.is_empty() { Ok(plans.into_iter().flatten().collect()) } else { Err(refusal) }
    }
}

#[cfg(test)]
mod tests;
