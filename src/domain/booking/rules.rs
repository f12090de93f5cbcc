//! The rules of booking. Each is a function from a start to what is in the way of it, so that the same function that
//! refuses a start also finds the earliest one that would do.

use std::borrow::Cow;

use chrono::{NaiveDate, TimeDelta};

use super::facts::{ClinicFacts, Facts};
use super::timing::{PlannedVisit, Spaced, Timing, WindowRole};
use super::{EARLIEST_SEARCH_DAYS, FollowUp, Neighbour, VisitRequest, on_grid};
use crate::domain::calendar::Calendar;
use crate::domain::catalog::{BodyArea, GRID_MINUTES, SpacingScope, Treatment};
use crate::domain::fitness::When;
use crate::domain::ids::ResourceId;
use crate::domain::interval::{Instant, Interval};
use crate::domain::refusal::{Earliest, Gap, Other, Refusal, Rule, Violation};

/// What is in the way of a start.
#[derive(Debug, Default)]
pub(super) struct Obstacle {
    other: Option<Other>,
    gap: Option<Gap>,
    description: Cow<'static, str>,
}

impl Obstacle {
    pub(super) fn new(other: Option<Other>, description: impl Into<Cow<'static, str>>) -> Self {
        Self { other, gap: None, description: description.into() }
    }
}

/// Which other starts an obstacle to one start rules out as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RulesOut {
    /// None.
    Start,
    /// Those on the same calendar day at the clinic.
    Day,
    /// All.
    Ever,
}

/// A rule, as it applies to one request.
pub(super) struct Check<'a> {
    pub rule: Rule,
    pub resource: Option<ResourceId>,
    pub rules_out: RulesOut,
    pub obstacles: Box<dyn Fn(Instant) -> Vec<Obstacle> + 'a>,
}

/// What the checks of one request share.
pub(super) struct Desk<'a> {
    pub facts: &'a Facts,
    pub clinic: &'a ClinicFacts,
    pub timing: &'a Timing<'a>,
    pub request: &'a VisitRequest,
    pub span: Interval,
    /// For each resource, the time in which it could serve; empty for those that never could.
    pub available: Vec<Calendar>,
    /// The resources, best first: who the patient knows, then who has least to do.
    pub ranking: Vec<usize>,
}

/// Decides one visit: the plan, or every rule that is broken.
pub fn decide(
    facts: &Facts,
    treatment: &Treatment,
    timing: &Timing<'_>,
    request: &VisitRequest,
) -> Result<PlannedVisit, Refusal> {
    let (Some(clinic), Some(span)) = (
        facts.clinics.get(&request.clinic),
        facts.spans.iter().copied().find(|span| span.contains(timing.whole(request.start))),
    ) else {
        unreachable!("facts are loaded for the clinic and the time of every visit in question");
    };
    let available = facts.resources.iter().map(|resource| {
        if resource.active && timing.needs.iter().any(|need| resource.is_qualified(need)) {
            resource.available(request.clinic, clinic, span)
        } else {
            Calendar::default()
        }
    });
    let mut ranking: Vec<usize> = (0..facts.resources.len()).collect();
    ranking.sort_by_cached_key(|resource| {
        let resource = &facts.resources[*resource];
        let known = request.preferred.iter().position(|id| *id == resource.id);
        (known.unwrap_or(usize::MAX), resource.busy.iter().filter(|busy| busy.during.overlaps(span)).count())
    });
    let desk = Desk { facts, clinic, timing, request, span, available: available.collect(), ranking };

    let mut checks = desk.time_checks();
    checks.extend(desk.series_checks());
    checks.extend(desk.follow_up_checks());
    checks.extend(desk.patient_checks());
    checks.extend(desk.fitness_checks());
    let mut refusal: Refusal = body_area_misfit(treatment, request.area).into_iter().collect();
    refusal.extend(desk.violations(&checks));

    match desk.serving(request.start) {
        Some(serving) if refusal.is_empty() => {
            let (number, day) = (request.neighbours.map(|n| n.number), clinic.zone.day(request.start));
            let way = facts.patient.fitness.way(number, request.start, day, request.moved_from);
            Ok(timing.plan(clinic.zone, request, &serving, way.and_then(|way| way.clearance)))
        }
        Some(_) => Err(refusal),
        None => {
            refusal.extend(desk.violations(&desk.resource_checks()));
            Err(refusal)
        }
    }
}

/// What is wrong where a body area is not named exactly if the treatment needles.
pub fn body_area_misfit(treatment: &Treatment, area: Option<BodyArea>) -> Option<Violation> {
    let text = match (treatment.content.spacing_days.is_some(), area) {
        (true, None) => "the treatment needles: name the body area",
        (false, Some(_)) => "the treatment does not needle: leave the body area out",
        (true, Some(_)) | (false, None) => return None,
    };
    Some(Violation { is_lasting: true, ..Violation::new(Rule::BodyAreaMismatch, text) })
}

impl<'a> Desk<'a> {
    /// What checks have against the requested start, with the earliest start that none of the same rule has anything
    /// against.
    fn violations(&self, checks: &[Check<'_>]) -> Refusal {
        let mut refusal = Vec::new();
        for check in checks {
            let obstacles = (check.obstacles)(self.request.start);
            if obstacles.is_empty() {
                continue;
            }
            let same: Vec<&Check<'_>> = checks.iter().filter(|other| other.rule == check.rule).collect();
            let is_lasting = same.iter().any(|check| check.rules_out == RulesOut::Ever);
            let earliest = if is_lasting { None } else { self.earliest(&same) };
            refusal.extend(obstacles.into_iter().map(|obstacle| Violation {
                rule: check.rule,
                session: None,
                other: obstacle.other,
                resource: check.resource,
                gap: obstacle.gap,
                earliest,
                is_lasting,
                description: obstacle.description.into_owned(),
            }));
        }
        refusal
    }

    fn earliest(&self, checks: &[&Check<'_>]) -> Option<Earliest> {
        if !self.facts.look_for_earliest {
            return None;
        }
        let zone = self.clinic.zone;
        let last = self.request.start + TimeDelta::days(EARLIEST_SEARCH_DAYS);
        let mut start = on_grid(self.request.start);
        while start <= last && self.span.contains(self.timing.whole(start)) {
            let Some(against) = checks.iter().find(|check| !(check.obstacles)(start).is_empty()) else {
                return Some(Earliest { start, zone });
            };
            let next = start + TimeDelta::minutes(GRID_MINUTES.into());
            start = match against.rules_out {
                RulesOut::Start => next,
                // A day that is shown twice may have begun before.
                RulesOut::Day => next.max(on_grid(zone.midnight(zone.day(start).succ_opt()?))),
                RulesOut::Ever => unreachable!("what no start mends is not looked for"),
            };
        }
        None
    }

    pub(super) fn check(rule: Rule, obstacles: impl Fn(Instant) -> Vec<Obstacle> + 'a) -> Check<'a> {
        Check { rule, resource: None, rules_out: RulesOut::Start, obstacles: Box::new(obstacles) }
    }

    /// A check of which only the start's calendar day matters.
    fn day_check(rule: Rule, obstacles: impl Fn(Instant) -> Vec<Obstacle> + 'a) -> Check<'a> {
        Check { rules_out: RulesOut::Day, ..Self::check(rule, obstacles) }
    }

    /// Past, horizon, opening hours, closures.
    fn time_checks(&'a self) -> Vec<Check<'a>> {
        let opening = self.clinic.opening_hours.calendar(self.clinic.zone, &[self.span]);
        let obstacle = |blocked, text: &'static str| if blocked { vec![Obstacle::new(None, text)] } else { Vec::new() };
        vec![
            Self::check(Rule::StartInPast, move |start| {
                obstacle(start < self.facts.now, "the visit would begin in the past")
            }),
            Self::check(Rule::BeyondHorizon, move |start| {
                obstacle(start > self.facts.horizon_end, "the visit would begin further ahead than the practice books")
            }),
            Self::check(Rule::OutsideOpeningHours, move |start| {
                let open = opening.covers(self.timing.whole(start));
                obstacle(!open, "the visit, turnover included, does not lie within the clinic's opening hours")
            }),
            Self::check(Rule::ClinicClosed, move |start| {
                let whole = self.timing.whole(start);
                let closed = self.clinic.closures.iter().any(|closure| closure.overlaps(whole));
                obstacle(closed, "the clinic is closed for part of the visit")
            }),
        ]
    }

    /// The session's place among the other sessions of its series.
    fn series_checks(&'a self) -> Vec<Check<'a>> {
        let Some(neighbours) = self.request.neighbours else { return Vec::new() };
        let day_of = move |start| self.clinic.zone.day(start);
        let too_far = move |earlier: NaiveDate, later: NaiveDate, neighbour: Neighbour, latest: Option<NaiveDate>| {
            let days = (later - earlier).num_days();
            (neighbour.binds() && days > neighbours.maximum_gap).then(|| Obstacle {
                other: Some(neighbour.other),
                gap: Some(Gap { days, required: neighbours.maximum_gap, latest }),
                description: Cow::Owned(format!(
                    "{days} days lie between the two sessions; the protocol allows at most {}",
                    neighbours.maximum_gap
                )),
            })
        };
        vec![
            Self::day_check(Rule::SessionTooLate, move |start| {
                let day = day_of(start);
                let before = neighbours.previous.and_then(|previous| {
                    let latest = previous.day.checked_add_signed(TimeDelta::days(neighbours.maximum_gap));
                    too_far(previous.day, day, previous, latest)
                });
                let after = neighbours.next.and_then(|next| too_far(day, next.day, next, None));
                before.into_iter().chain(after).collect()
            }),
            Self::day_check(Rule::SessionOutOfOrder, move |start| {
                let day = day_of(start);
                let obstacle = |neighbour: Neighbour, side: &str| {
                    Obstacle::new(
                        Some(neighbour.other),
                        format!("the session must lie {side} its neighbour in the series"),
                    )
                };
                let before = neighbours.previous.filter(|previous| day <= previous.day).map(|n| obstacle(n, "after"));
                let after = neighbours.next.filter(|next| day >= next.day).map(|n| obstacle(n, "before"));
                before.into_iter().chain(after).collect()
            }),
        ]
    }

    /// Where a visit lies that follows a series. How far a maintenance session keeps from others is one rule with the
    /// gaps of its area: see [`Self::gaps_of_area_broken`].
    fn follow_up_checks(&'a self) -> Vec<Check<'a>> {
        match &self.request.follow_up {
            Some(FollowUp::Assessment { from, until }) => vec![Self::day_check(Rule::AssessmentNotDue, move |start| {
                let day = self.clinic.zone.day(start);
                let early = from.filter(|from| day < *from).map(|from| format!("is due from {from} on"));
                let late = until.filter(|until| day > *until).map(|until| format!("was due until {until}"));
                let text = early.or(late).map(|text| Obstacle::new(None, format!("the assessment {text}")));
                text.into_iter().collect()
            })],
            Some(FollowUp::Maintenance { .. }) | None => Vec::new(),
        }
    }

    /// The patient's other visits, gaps and aftercare.
    fn patient_checks(&'a self) -> Vec<Check<'a>> {
        let patient = &self.facts.patient;
        vec![
            Self::check(Rule::PatientBusy, move |start| {
                let visit = self.timing.visit(start);
                let there = patient.visits.iter().filter(|other| other.during.overlaps(visit));
                there
                    .map(|other| Obstacle::new(Some(other.other), "the patient has another visit at that time"))
                    .collect()
            }),
            Self::day_check(Rule::SessionTooSoon, move |start| self.gaps_of_area_broken(start)),
            Self::day_check(Rule::OtherAreaTooSoon, move |start| self.gaps_across_areas_broken(start)),
            Self::check(Rule::ActivityForbidden, move |start| {
                self.windows_hit(start, WindowRole::Exposes, "is forbidden by an aftercare window at that time")
            }),
            Self::check(Rule::ForbidsBookedActivity, move |start| {
                self.windows_hit(
                    start,
                    WindowRole::Restricts,
                    "is booked at a time in which this visit would forbid it",
                )
            }),
        ]
    }

    /// Clearance, screening and holds.
    fn fitness_checks(&'a self) -> Vec<Check<'a>> {
        let number = self.request.neighbours.map(|neighbours| neighbours.number);
        let (fitness, moved_from) = (&self.facts.patient.fitness, self.request.moved_from);
        let checks = fitness.concerns(number).into_iter().map(|concern| {
            let may_be_put_off = concern.rule == Rule::SeriesOnHold && moved_from.is_some();
            let rules_out = match concern.when {
                When::Always if fitness.others.is_empty() && !may_be_put_off => RulesOut::Ever,
                When::Days(..) if fitness.others.is_empty() && !may_be_put_off => RulesOut::Day,
                When::Always | When::Before(_) | When::Days(..) => RulesOut::Start,
            };
            let check = Self::check(concern.rule, move |start| {
                let day = self.clinic.zone.day(start);
                let stands = concern.stands(start, day, moved_from);
                let stands = stands && fitness.way(number, start, day, moved_from).is_none();
                if stands { vec![Obstacle::new(None, concern.text.clone())] } else { Vec::new() }
            });
            Check { rules_out, ..check }
        });
        checks.collect()
    }

    /// What is too near on the same area: to a maintenance session, or by the gaps of the area.
    fn gaps_of_area_broken(&self, start: Instant) -> Vec<Obstacle> {
        let mut obstacles = self.maintenance_too_soon(start);
        // Each session is told once, by the gap that maintenance keeps to it.
        let near = self.gaps_broken(start).into_iter().filter(|(scope, _)| *scope != SpacingScope::AnyArea);
        let near = near.map(|(_, obstacle)| obstacle);
        if obstacles.is_empty() {
            return near.collect();
        }
        let near: Vec<Obstacle> = near.filter(|near| obstacles.iter().all(|known| known.other != near.other)).collect();
        obstacles.extend(near);
        obstacles
    }

    /// The sessions that a maintenance session is too near to.
    fn maintenance_too_soon(&self, start: Instant) -> Vec<Obstacle> {
        let day = self.clinic.zone.day(start);
        let near = self.request.follow_up.iter().flat_map(|follow_up| follow_up.too_near(day));
        let near = near.map(|(other, gap, text)| Obstacle {
            other: Some(other),
            gap: Some(gap),
            description: Cow::Owned(text),
        });
        near.collect()
    }

    /// The gaps that a visit would not keep, on its area and across areas.
    fn gaps_broken(&self, start: Instant) -> Vec<(SpacingScope, Obstacle)> {
        let mut broken = Vec::new();
        for Spaced { scope, day, until } in self.timing.spacing(self.clinic.zone, self.request, start) {
            let near = self.facts.patient.spacing.iter().filter(|window| window.scope == scope);
            for window in near.filter(|window| window.day < until && day < window.until) {
                // The gap is the one that follows the earlier of the two.
                let (days, required) = if window.day <= day {
                    ((day - window.day).num_days(), (window.until - window.day).num_days())
                } else {
                    ((window.day - day).num_days(), (until - day).num_days())
                };
                let areas = match scope {
                    SpacingScope::Area(_) => "the same area",
                    SpacingScope::AnyArea => "different areas",
                };
                let description =
                    format!("{days} days lie between two sessions on {areas}; at least {required} must").into();
                let gap = Some(Gap { days, required, latest: None });
                broken.push((scope, Obstacle { other: Some(window.other), gap, description }));
            }
        }
        broken
    }

    /// Those across areas. What is too near on the same area is told as that, and as nothing else.
    fn gaps_across_areas_broken(&self, start: Instant) -> Vec<Obstacle> {
        let mut across = self.gaps_broken(start);
        across.retain(|(scope, _)| *scope == SpacingScope::AnyArea);
        if across.is_empty() {
            return Vec::new();
        }
        let same = self.gaps_of_area_broken(start);
        let is_told = |obstacle: &Obstacle| same.iter().any(|told| told.other == obstacle.other);
        across.into_iter().map(|(_, obstacle)| obstacle).filter(|obstacle| !is_told(obstacle)).collect()
    }

    /// The patient's windows that collide with this visit's own of the given role.
    fn windows_hit(&self, start: Instant, own: WindowRole, text: &str) -> Vec<Obstacle> {
        let windows = self.timing.windows(self.clinic.zone, start);
        let mut obstacles = Vec::new();
        for mine in windows.iter().filter(|window| window.role == own) {
            for (theirs, other) in &self.facts.patient.windows {
                if mine.collides(theirs) {
                    let activity = mine.activity.as_str().replace('_', " ");
                    obstacles.push(Obstacle::new(Some(*other), format!("{activity} {text}")));
                }
            }
        }
        obstacles
    }
}
