//! The decision whether a visit, or a whole series, may be booked as asked, and with which resources.
//!
//! Everything that the decision rests on comes in as [`Facts`]; what comes out is a plan, or every rule that is broken.

mod assign;
mod facts;
mod rules;
mod serving;
mod timing;

use chrono::{NaiveDate, TimeDelta};

pub use facts::{Busy, ClinicFacts, Facts, PatientFacts, PatientVisit, ResourceFacts, SpacingWindow};
pub use rules::body_area_misfit;
pub use timing::{ActivityWindow, Occupied, PlannedVisit, Timing, WindowRole, booked_phases};

use super::catalog::{BodyArea, GRID_MINUTES, ProtocolContent, Treatment};
use super::ids::{ClinicId, ResourceId};
use super::interval::Instant;
use super::refusal::{Other, Refusal, Rule, Violation};

/// How far after the requested start a refusal looks for the earliest one that would do, in days.
pub const EARLIEST_SEARCH_DAYS: i64 = 90;

/// A visit as asked for.
#[derive(Debug, Clone)]
pub struct VisitRequest {
    /// Where.
    pub clinic: ClinicId,
    /// When it begins.
    pub start: Instant,
    /// Resources that must be used.
    pub named: Vec<ResourceId>,
    /// The area to treat.
    pub area: Option<BodyArea>,
    /// Calendar days after it in which the area may not be needled again.
    pub spacing_days: Option<i64>,
    /// Its neighbours, if it is a session of a series.
    pub neighbours: Option<Neighbours>,
    /// Resources to take rather than others: those that the patient knows.
    pub preferred: Vec<ResourceId>,
}

/// A booked session beside another in its series.
#[derive(Debug, Clone, Copy)]
pub struct Neighbour {
    /// Its day at its clinic.
    pub day: NaiveDate,
    /// How many numbers it is away: 1 for the very next.
    pub distance: i32,
    /// What it is.
    pub other: Other,
}

/// The nearest booked sessions of the same series on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours {
    /// The one before.
    pub previous: Option<Neighbour>,
    /// The one after.
    pub next: Option<Neighbour>,
    /// Most calendar days between a session and the very next.
    pub maximum_gap: i64,
}

/// Decides one visit.
pub fn plan_visit(facts: &Facts, treatment: &Treatment, request: &VisitRequest) -> Result<PlannedVisit, Refusal> {
    let timing = Timing::new(treatment);
    rules::decide(facts, treatment, &timing, request)
}

/// One session as asked for in a new series.
#[derive(Debug, Clone)]
pub struct SessionRequest {
    /// Where.
    pub clinic: ClinicId,
    /// When it begins.
    pub start: Instant,
    /// Resources that must be used, the practitioner among them.
    pub named: Vec<ResourceId>,
    /// The practitioner who must treat.
    pub practitioner: Option<ResourceId>,
}

/// Decides a whole series: a plan for every session, or every broken rule of each.
pub fn plan_series(
    mut facts: Facts,
    protocol: &ProtocolContent,
    treatment: &Treatment,
    area: BodyArea,
    sessions: &[SessionRequest],
) -> Result<Vec<PlannedVisit>, Refusal> {
    let timing = Timing::new(treatment);
    let mut refusal = Vec::new();
    let counts = protocol.sessions;
    let count = i32::try_from(sessions.len()).unwrap_or(i32::MAX);
    if !(counts.minimum..=counts.maximum).contains(&count) {
        refusal.push(Violation::new(
            Rule::SessionCountNotAllowed,
            format!("the protocol asks for {} to {} sessions, not {count}", counts.minimum, counts.maximum),
        ));
    }
    let mut plans: Vec<PlannedVisit> = Vec::with_capacity(sessions.len());
    let mut previous = None;
    let mut known = Vec::new();
    for (place, session) in sessions.iter().enumerate() {
        let request = VisitRequest {
            clinic: session.clinic,
            start: session.start,
            named: session.named.clone(),
            area: Some(area),
            spacing_days: Some(i64::from(protocol.gap.minimum)),
            neighbours: Some(Neighbours { previous, next: None, maximum_gap: i64::from(protocol.gap.maximum) }),
            preferred: known.clone(),
        };
        let other = Other::Session(place);
        match rules::decide(&facts, treatment, &timing, &request) {
            Ok(plan) => {
                facts.occupy(&plan.occupied, other);
                known.extend(plan.occupied.iter().map(|occupied| occupied.resource));
                plans.push(plan);
            }
            Err(violations) => {
                refusal.extend(violations.into_iter().map(|violation| Violation { session: Some(place), ..violation }));
            }
        }
        // Also a session that is refused keeps the others at their distance: they are judged as if it took place.
        if let Some(clinic) = facts.clinics.get(&session.clinic) {
            let zone = clinic.zone;
            previous = Some(Neighbour { day: zone.day(session.start), distance: 1, other });
            facts.patient.add(&timing, zone, &request, other);
        }
    }
    if refusal.is_empty() { Ok(plans) } else { Err(refusal) }
}

/// The first instant of the start grid that is not before `at`.
pub fn on_grid(at: Instant) -> Instant {
    let grid = i64::from(GRID_MINUTES) * 60;
    let past = at.timestamp().rem_euclid(grid);
    let floor = at - TimeDelta::seconds(past) - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
    if floor == at { at } else { floor + TimeDelta::seconds(grid) }
}

#[cfg(test)]
pub(super) mod small;
#[cfg(test)]
mod tests;
