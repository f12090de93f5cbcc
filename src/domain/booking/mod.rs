//! The decision whether a visit, or a whole series, may be booked as asked, and with which resources.
//!
//! Everything that the decision rests on comes in as [`Facts`]; what comes out is a plan, or every rule that is broken.

mod assign;
mod facts;
mod rules;
mod serving;
mod timing;

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};

pub use facts::{Busy, ClinicFacts, Facts, PatientFacts, PatientVisit, ResourceFacts, SpacingWindow};
pub use rules::body_area_misfit;
pub use timing::{ActivityWindow, Occupied, PlannedVisit, Spaced, Timing, WindowRole, booked_phases};

use super::catalog::{BodyArea, GRID_MINUTES, GapDays, Treatment};
use super::combination::Combined;
use super::ids::{ClinicId, OverrideId, ResourceId};
use super::interval::Instant;
use super::refusal::{Gap, Other, Refusal, Violation};
use super::series::BookedSession;

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
    /// The override that says how many; none where the protocol or treatment does.
    pub spacing_override: Option<OverrideId>,
    /// Its neighbours, if it is a session of a series.
    pub neighbours: Option<Neighbours>,
    /// Where it may lie, if it follows a series.
    pub follow_up: Option<FollowUp>,
    /// Resources to take rather than others, the first before the second: those that the patient knows.
    pub preferred: Vec<ResourceId>,
    /// When the visit that it replaces begins: a hold does not keep a visit from being put off.
    pub moved_from: Option<Instant>,
}

/// A booked session beside another in its series.
#[derive(Debug, Clone, Copy)]
pub struct Neighbour {
    /// Its day at its clinic.
    pub day: NaiveDate,
    /// How many numbers it is away: 1 for the very next.
    pub distance: i32,
    /// Whether the longest gap after it has passed: nobody can keep it any more, so it refuses nothing.
    pub lapsed: bool,
    /// What it is.
    pub other: Other,
}

impl Neighbour {
    /// Whether the longest gap holds between it and the session beside it.
    pub const fn binds(&self) -> bool {
        self.distance == 1 && !self.lapsed
    }
}

/// Where a visit may lie that follows a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowUp {
    /// An assessment.
    Assessment {
        /// The first day that will do; none for any.
        from: Option<NaiveDate>,
        /// The last day that will do; none for any.
        until: Option<NaiveDate>,
    },
    /// A maintenance session: it needles the area of the series once more.
    Maintenance {
        /// Calendar days from each of the others at least.
        minimum_days: i64,
        /// The last session of the series, and its other maintenance sessions.
        others: Vec<(NaiveDate, Other)>,
    },
}

impl FollowUp {
    /// What a maintenance session on a day would be too near to, with the same in a sentence.
    pub fn too_near(&self, day: NaiveDate) -> Vec<(Other, Gap, String)> {
        let Self::Maintenance { minimum_days, others } = self else { return Vec::new() };
        let near = others.iter().map(|(other, who)| ((day - *other).num_days().abs(), *who));
        let near = near.filter(|(days, _)| days < minimum_days).map(|(days, other)| {
            let text = format!(
                "{days} days lie between the maintenance session and another session; at least {minimum_days} must"
            );
            (other, Gap { days, required: *minimum_days, latest: None }, text)
        });
        near.collect()
    }
}

/// The place of a session in its series, with the nearest booked sessions on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours {
    /// Which session, from 1.
    pub number: i32,
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
    /// When the session that it replaces begins, if it is moved.
    pub moved_from: Option<Instant>,
}

/// A session asked for, as one of a series.
#[derive(Debug, Clone)]
pub struct AskedSession {
    /// Its place in the request.
    pub place: usize,
    /// Which session of the series, from 1.
    pub number: i32,
    /// What is asked.
    pub request: SessionRequest,
    /// The session's visit, if something is added to it.
    pub combined: Option<Arc<Combined>>,
}

impl AskedSession {
    /// What the visit is, where sessions are of this treatment.
    fn treatment<'a>(&'a self, plain: &'a Treatment) -> &'a Treatment {
        self.combined.as_ref().map_or(plain, |combined| &combined.treatment)
    }

    /// Calendar days after it in which the area may not be needled again.
    fn spacing_days(&self, gap: GapDays) -> i64 {
        self.combined.as_ref().map_or(i64::from(gap.minimum), |combined| combined.session_spacing(gap))
    }
}

/// The series whose sessions are asked for.
#[derive(Debug, Clone)]
pub struct SessionsOf<'a> {
    /// Its gaps.
    pub gap: GapDays,
    /// The override that says so; none where the protocol does.
    pub gap_override: Option<OverrideId>,
    /// The treatment of each session, what is added to it aside.
    pub treatment: &'a Treatment,
    /// The area treated.
    pub area: BodyArea,
    /// Its sessions that are booked and stay.
    pub booked: Vec<BookedSession>,
    /// Resources that the patient knows, to take rather than others, the first before the second.
    pub known: Vec<ResourceId>,
}

/// Decides sessions of a series, in the order of their numbers: a plan for each, or every broken rule of each.
pub fn plan_sessions(
    mut facts: Facts,
    series: &SessionsOf<'_>,
    sessions: &[AskedSession],
) -> Result<Vec<PlannedVisit>, Refusal> {
    let mut refusal = Vec::new();
    let mut plans: Vec<PlannedVisit> = Vec::with_capacity(sessions.len());
    let longest = i64::from(series.gap.maximum);
    let booked = series.booked.iter().map(|booked| (booked.number, booked.neighbour(longest, facts.now)));
    let mut beside: Vec<(i32, Neighbour)> = booked.collect();
    let mut known = series.known.clone();
    for asked in sessions {
        let AskedSession { place, number, request: session, .. } = asked;
        let treatment = asked.treatment(series.treatment);
        let timing = Timing::new(treatment);
        let near = |found: Option<&(i32, Neighbour)>| {
            found.map(|(other, neighbour)| Neighbour { distance: (number - other).abs(), ..*neighbour })
        };
        let request = VisitRequest {
            clinic: session.clinic,
            start: session.start,
            named: session.named.clone(),
            area: Some(series.area),
            spacing_days: Some(asked.spacing_days(series.gap)),
            spacing_override: series.gap_override,
            neighbours: Some(Neighbours {
                number: *number,
                previous: near(beside.iter().filter(|(other, ..)| other < number).max_by_key(|(other, ..)| *other)),
                next: near(beside.iter().filter(|(other, ..)| other > number).min_by_key(|(other, ..)| *other)),
                maximum_gap: longest,
            }),
            follow_up: None,
            preferred: known.clone(),
            moved_from: session.moved_from,
        };
        let other = Other::Session(*place);
        match rules::decide(&facts, treatment, &timing, &request) {
            Ok(plan) => {
                facts.occupy(&plan.occupied, other);
                known.extend(plan.occupied.iter().map(|occupied| occupied.resource));
                plans.push(plan);
            }
            Err(violations) => {
                refusal
                    .extend(violations.into_iter().map(|violation| Violation { session: Some(*place), ..violation }));
            }
        }
        // Also a session that is refused keeps the others at their distance: they are judged as if it took place.
        if let Some(clinic) = facts.clinics.get(&session.clinic) {
            let zone = clinic.zone;
            beside.push((*number, Neighbour { day: zone.day(session.start), distance: 0, lapsed: false, other }));
            facts.patient.add(&timing, zone, &request, other);
        }
    }
    if refusal.is_empty() { Ok(plans) } else { Err(refusal) }
}

/// The last instant of the start grid that is not after `at`.
pub fn before_grid(at: Instant) -> Instant {
    let next = on_grid(at);
    if next == at { at } else { next - TimeDelta::minutes(GRID_MINUTES.into()) }
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
pub(super) mod tests;
