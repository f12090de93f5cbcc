//! The slow model: it looks at every five minutes, and tries every choice of resources.

use std::collections::BTreeSet;

use chrono::{Datelike, Timelike};

use super::super::small::{appointment, zone};
use super::super::*;
use crate::domain::catalog::{Need, Phase, SpacingScope, Span};
use crate::domain::fitness::{Fitness, When};
use crate::domain::hours::{Stretch, weekday_from_iso};
use crate::domain::interval::Interval;
use crate::domain::refusal::Rule;

pub fn ticks(during: Interval) -> impl Iterator<Item = Instant> {
    (0..).map(move |step| during.start() + TimeDelta::minutes(5 * step)).take_while(move |tick| *tick < during.end())
}

pub fn lies_in(tick: Instant, during: Interval) -> bool {
    during.start() <= tick && tick < during.end()
}

fn in_hours(tick: Instant, hours: &[Stretch]) -> bool {
    let local = zone().local(tick);
    let minute = i32::try_from(local.hour() * 60 + local.minute()).unwrap();
    hours.iter().any(|stretch| {
        weekday_from_iso(stretch.iso_weekday()) == Some(local.weekday())
            && (stretch.from()..stretch.to()).contains(&minute)
    })
}

pub fn phases(treatment: &Treatment, start: Instant) -> Vec<(&Phase, Interval)> {
    let mut from = start;
    let mut phases = Vec::new();
    for phase in &treatment.content.phases {
        let until = from + TimeDelta::minutes(i64::from(phase.minutes));
        phases.push((phase, Interval::new(from, until).unwrap()));
        from = until;
    }
    phases
}

pub fn shifted(span: Option<Span>, from: Instant, sign: i64) -> Instant {
    match span {
        None => from,
        Some(Span::Hours(hours)) => from + TimeDelta::hours(sign * i64::from(hours)),
        Some(Span::Days(days)) => zone().instant(zone().local(from) + TimeDelta::days(sign * i64::from(days))),
    }
}

/// The rules that a visit breaks whatever resources serve it.
pub fn slow_rules(facts: &Facts, treatment: &Treatment, request: &VisitRequest) -> BTreeSet<Rule> {
    let clinic = &facts.clinics[&request.clinic];
    let timeline = phases(treatment, request.start);
    let mut broken = BTreeSet::new();
    let mut breaks = |rule, is_broken: bool| {
        if is_broken {
            broken.insert(rule);
        }
    };
    breaks(Rule::StartInPast, request.start < facts.now);
    breaks(Rule::BeyondHorizon, request.start > facts.horizon_end);
    breaks(Rule::BodyAreaMismatch, treatment.content.spacing_days.is_some() != request.area.is_some());
    for (phase, during) in &timeline {
        for tick in ticks(*during) {
            breaks(Rule::OutsideOpeningHours, !in_hours(tick, clinic.opening_hours.stretches()));
            breaks(Rule::ClinicClosed, clinic.closures.iter().any(|closure| lies_in(tick, *closure)));
            let elsewhere = facts.patient.visits.iter().any(|visit| lies_in(tick, visit.during));
            breaks(Rule::PatientBusy, phase.patient_present && elsewhere);
            for activity in treatment.content.exposures.iter().filter(|_| phase.exposing) {
                let forbidden = facts.patient.windows.iter().any(|(window, _)| {
                    window.role == WindowRole::Restricts && window.activity == *activity && lies_in(tick, window.during)
                });
                breaks(Rule::ActivityForbidden, forbidden);
            }
        }
    }
    let exposing = || timeline.iter().filter(|(phase, _)| phase.exposing).map(|(_, during)| *during);
    if let (Some(first), Some(last)) = (exposing().next(), exposing().next_back()) {
        for restriction in treatment.content.restrictions.iter().filter(|restriction| !restriction.advice_only) {
            let (from, until) =
                (shifted(restriction.before, first.start(), -1), shifted(restriction.after, last.end(), 1));
            let hit = facts.patient.windows.iter().any(|(window, _)| {
                window.role == WindowRole::Exposes
                    && window.activity == restriction.activity
                    && ticks(window.during).any(|tick| from <= tick && tick < until)
            });
            breaks(Rule::ForbidsBookedActivity, hit);
        }
    }
    let day = zone().local(request.start).date();
    let mut kept: Vec<Other> = Vec::new();
    if let Some(FollowUp::Maintenance { minimum_days, others }) = &request.follow_up {
        let reach = TimeDelta::days(*minimum_days);
        let near = others.iter().filter(|(other, _)| *other - reach < day && day < *other + reach);
        kept.extend(near.map(|(_, who)| *who));
        breaks(Rule::SessionTooSoon, !kept.is_empty());
    }
    if let (Some(area), Some(gap)) = (request.area, request.spacing_days) {
        let across = treatment.content.across_areas.as_ref().map(|across| i64::from(across.days));
        let near = |scope, gap: i64| {
            let others = facts.patient.spacing.iter().filter(move |other| other.scope == scope);
            others.filter(
                move |other| {
                    if other.day <= day { day < other.until } else { (other.day - day).num_days() < gap }
                },
            )
        };
        let same: Vec<Other> = near(SpacingScope::Area(area), gap).map(|other| other.other).collect();
        breaks(Rule::SessionTooSoon, !same.is_empty());
        for other in across.into_iter().flat_map(|gap| near(SpacingScope::AnyArea, gap)) {
            breaks(Rule::OtherAreaTooSoon, !same.contains(&other.other) && !kept.contains(&other.other));
        }
    }
    let fitness = &facts.patient.fitness;
    if !fitness.others.iter().any(|other| unfit(other, request, day).is_empty()) {
        for rule in unfit(fitness, request, day) {
            breaks(rule, true);
        }
    }
    match &request.follow_up {
        Some(FollowUp::Assessment { from, until }) => {
            let too_early = from.is_some_and(|from| day < from);
            breaks(Rule::AssessmentNotDue, too_early || until.is_some_and(|until| until < day));
        }
        Some(FollowUp::Maintenance { .. }) | None => {}
    }
    if let Some(Neighbours { number: _, previous, next, maximum_gap }) = request.neighbours {
        let far =
            |near: Neighbour| near.distance == 1 && !near.lapsed && (near.day - day).num_days().abs() > maximum_gap;
        if let Some(previous) = previous {
            breaks(Rule::SessionOutOfOrder, day <= previous.day);
            breaks(Rule::SessionTooLate, day > previous.day && far(previous));
        }
        if let Some(next) = next {
            breaks(Rule::SessionOutOfOrder, day >= next.day);
            breaks(Rule::SessionTooLate, day < next.day && far(next));
        }
    }
    broken
}

fn slow_able(
    facts: &Facts,
    treatment: &Treatment,
    request: &VisitRequest,
    resource: &ResourceFacts,
    need: &Need,
) -> bool {
    let opening = facts.clinics[&request.clinic].opening_hours.stretches();
    let hours: Vec<Stretch> = match resource.clinic {
        Some(home) => opening.iter().copied().filter(|_| home == request.clinic).collect(),
        None => resource.working_hours.iter().filter(|(at, _)| *at == request.clinic).map(|(_, s)| *s).collect(),
    };
    let mut needed = phases(treatment, request.start).into_iter().filter(|(phase, _)| phase.needs.contains(need));
    resource.active
        && resource.kind == need.kind
        && resource.qualifications.contains(&need.qualification)
        && needed.all(|(_, during)| {
            ticks(during).all(|tick| {
                in_hours(tick, &hours)
                    && !resource.time_off.iter().any(|off| lies_in(tick, *off))
                    && !resource.busy.iter().any(|busy| lies_in(tick, busy.during))
            })
        })
}

/// Whether some choice of a resource for each need uses every named one.
pub fn slow_served(facts: &Facts, treatment: &Treatment, request: &VisitRequest, taken: &mut Vec<ResourceId>) -> bool {
    let needs = treatment.content.needs();
    let Some(need) = needs.get(taken.len()) else {
        return request.named.iter().all(|named| taken.contains(named));
    };
    facts.resources.iter().any(|resource| {
        if taken.contains(&resource.id) || !slow_able(facts, treatment, request, resource, need) {
            return false;
        }
        taken.push(resource.id);
        let served = slow_served(facts, treatment, request, taken);
        taken.pop();
        served
    })
}

/// What a visit forbids and exposes to.
pub fn windows_of(treatment: &Treatment, start: Instant) -> Vec<(ActivityWindow, Other)> {
    let timeline = phases(treatment, start);
    let mut exposing = timeline.iter().filter(|(phase, _)| phase.exposing).map(|(_, during)| *during);
    let Some(first) = exposing.next() else { return Vec::new() };
    let last = exposing.next_back().unwrap_or(first);
    let content = &treatment.content;
    let window = |activity, role, from, until| {
        Interval::new(from, until).map(|during| (ActivityWindow { activity, role, during }, appointment(2)))
    };
    let exposes = content.exposures.iter().filter_map(|a| window(*a, WindowRole::Exposes, first.start(), last.end()));
    let restricts = content.restrictions.iter().filter_map(|restriction| {
        let (from, until) = (shifted(restriction.before, first.start(), -1), shifted(restriction.after, last.end(), 1));
        let role = if restriction.advice_only { WindowRole::Advises } else { WindowRole::Restricts };
        window(restriction.activity, role, from, until)
    });
    let asks = content.duties.iter().filter_map(|duty| {
        let (from, until) = (shifted(duty.from, last.end(), 1), shifted(Some(duty.until), last.end(), 1));
        window(duty.activity, WindowRole::Asks, from, until)
    });
    exposes.chain(restricts).chain(asks).collect()
}

/// What stands in the way by one protocol.
fn unfit(fitness: &Fitness, request: &VisitRequest, day: NaiveDate) -> Vec<Rule> {
    let standing = fitness.concerns.iter().filter(|concern| {
        let is_hold = concern.rule == Rule::SeriesOnHold;
        let put_off = is_hold && request.moved_from.is_some_and(|old| old <= request.start);
        !put_off
            && match concern.when {
                When::Always => true,
                When::Before(instant) => request.start < instant,
                When::Days(from, until) => (from..until).contains(&day),
            }
    });
    let number = request.neighbours.map(|neighbours| neighbours.number);
    let exceeded = fitness.sessions.zip(number).is_some_and(|(covered, number)| number > covered);
    standing.map(|concern| concern.rule).chain(exceeded.then_some(Rule::ClearanceExceeded)).collect()
}
