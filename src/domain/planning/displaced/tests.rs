//! Plans for displaced visits in small random practices: every move is one that the slow model of booking allows, and
//! placing visits one by one, sessions before the assessments that count from them, leaves no fewer without a place,
//! and moves those that go by no fewer days: in all orders of up to four visits, and in some orders of more.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use uuid::Uuid;

use super::search::scattered;
use super::*;
use crate::domain::appointment::{Follows, SessionOf};
use crate::domain::booking::small::{HERE, at, between, evidence, need, qualification, zone};
use crate::domain::booking::tests::slow::{slow_rules, slow_served};
use crate::domain::booking::{ClinicFacts, ResourceFacts, VisitRequest, plan_visit};
use crate::domain::catalog::{
    AcrossAreas, Activity, BodyArea, GapDays, Phase, ResourceKind, Restriction, Span, TreatmentContent,
};
use crate::domain::displacement::{Narrowing, PlacedVisit, earliest_move};
use crate::domain::hours::{Stretch, Week, weekday_from_iso};
use crate::domain::ids::{AppointmentId, ProtocolId, TreatmentId};
use crate::domain::refusal::Other;
use crate::domain::series::{SeriesGap, SeriesState};
use crate::domain::text::{Label, Prose};

/// Five minutes each.
const DAY: i64 = 288;

/// Numbers that look like chance and are the same for the same seed.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, bound: i64) -> i64 {
        self.thrown += 1;
        i64::try_from(scattered(self.seed << 20 | self.thrown) >> 2).unwrap() % bound
    }

    fn one_in(&mut self, bound: i64) -> bool {
        self.below(bound) == 0
    }

    fn week(&mut self) -> Vec<Stretch> {
        let patterns: [&[(i32, i32)]; 4] = [&[(8, 18)], &[(8, 12), (13, 18)], &[(8, 14)], &[(12, 18)]];
        let days = (1..=7).filter_map(weekday_from_iso);
        let days: Vec<_> = days.filter(|_| !self.one_in(7)).collect();
        let hours = patterns[usize::try_from(self.below(4)).unwrap()];
        days.iter()
            .flat_map(|day| hours.iter().map(|(from, to)| Stretch::new(*day, from * 60, to * 60).unwrap()))
            .collect()
    }

    fn treatment(&mut self, number: u128, needles: bool) -> Treatment {
        let phase = |minutes, patient_present, exposing, needs| Phase {
            name: Label::new("A phase").unwrap(),
            minutes,
            patient_present,
            exposing,
            needs,
            evidence: None,
        };
        let practitioner = need(2);
        let mut phases =
            vec![phase(i32::try_from(15 + 5 * self.below(10)).unwrap(), true, true, vec![need(0), practitioner])];
        if self.one_in(2) {
            phases.insert(0, phase(20, true, false, vec![need(0)]));
        }
        if self.one_in(2) {
            phases.push(phase(10, false, false, vec![need(0)]));
        }
        let heat = Activity::Heat;
        let restriction = Restriction {
            activity: heat,
            before: self.one_in(2).then_some(Span::Days(1)),
            after: Some(Span::Hours(20)),
            advice_only: false,
            instruction: Prose::default(),
            evidence: evidence(),
        };
        let content = TreatmentContent {
            name: Label::new("A treatment").unwrap(),
            spacing_days: needles.then_some(5),
            spacing_evidence: None,
            across_areas: (needles && self.one_in(2)).then(|| AcrossAreas { days: 2, evidence: evidence() }),
            phases,
            exposures: if needles { Vec::new() } else { vec![heat] },
            restrictions: if needles { vec![restriction] } else { Vec::new() },
            duties: Vec::new(),
            combinations: Vec::new(),
        };
        let id = TreatmentId(Uuid::from_u128(number));
        Treatment { id, version: 1, published_at: at(0), published_revision: 1, content }
    }

    fn facts(&mut self) -> Facts {
        let person = |id, week: Vec<Stretch>, both| ResourceFacts {
            id: ResourceId(Uuid::from_u128(id)),
            kind: ResourceKind::Practitioner,
            clinic: None,
            active: true,
            qualifications: if both { vec![qualification(0), qualification(1)] } else { vec![qualification(0)] },
            working_hours: week.into_iter().map(|stretch| (HERE, stretch)).collect(),
            time_off: Vec::new(),
            busy: Vec::new(),
        };
        let room = |id| ResourceFacts { kind: ResourceKind::Room, clinic: Some(HERE), ..person(id, Vec::new(), false) };
        let people = 100..102 + u128::try_from(self.below(2)).unwrap();
        let mut resources: Vec<ResourceFacts> = people.map(|id| person(id, self.week(), self.one_in(2))).collect();
        resources.extend((200..201 + u128::try_from(self.below(2)).unwrap()).map(room));
        let always = (1..=7).filter_map(weekday_from_iso).map(|day| Stretch::new(day, 8 * 60, 18 * 60).unwrap());
        let clinic =
            ClinicFacts { zone: zone(), opening_hours: Week::new(always.collect()).unwrap(), closures: vec![] };
        Facts {
            now: at(0),
            horizon_end: at(24 * DAY),
            spans: vec![between(-DAY, 40 * DAY)],
            look_for_earliest: false,
            clinics: BTreeMap::from([(HERE, clinic)]),
            resources,
            patient: PatientFacts::default(),
        }
    }
}

fn session(visit: &Displaced) -> Option<SessionOf> {
    visit.appointment.session
}

fn request(world: &Displacement, visit: &Displaced, start: Instant, named: Vec<ResourceId>) -> VisitRequest {
    let series = visit.appointment.series().map(|id| &world.series[&id]);
    let follow_up = match visit.follows {
        Some(Followed::Assessment(number, due)) => Some(series.unwrap().assessment_visit(number, due, None).unwrap()),
        Some(Followed::Maintenance(_)) | None => None,
    };
    VisitRequest {
        clinic: HERE,
        start,
        named,
        area: visit.appointment.area,
        spacing_days: visit.spacing_days,
        spacing_override: None,
        neighbours: session(visit).zip(series).map(|(of, series)| series.neighbours(of.number, world.facts.now)),
        follow_up,
        preferred: Vec::new(),
        moved_from: None,
    }
}

/// An appointment where it is planned.
fn placed(was: &Appointment, plan: &PlannedVisit) -> Appointment {
    Appointment { follows: was.follows, ..Appointment::book(was.id, was.patient, was.session, None, plan, 1) }
}

/// Adds an appointment to its series.
fn join(series: &mut BTreeMap<SeriesId, Series>, appointment: &Appointment) {
    if let Some(series) = appointment.series().and_then(|id| series.get_mut(&id)) {
        let list = if appointment.session.is_some() { &mut series.sessions } else { &mut series.follow_ups };
        list.push(appointment.clone());
    }
}

/// Books a visit somewhere, if a few tries find a place.
fn book(world: &mut Displacement, dice: &mut Dice, mut visit: Displaced, from: i64) -> Option<i64> {
    for _ in 0..30 {
        let day = from + dice.below(4);
        // Hours are those of the wall clock, which changes once.
        let start = at(day * DAY + 12 + dice.below(130));
        let request = request(world, &visit, start, Vec::new());
        world.facts.patient = world.patients.entry(visit.appointment.patient).or_default().clone();
        let Ok(plan) = plan_visit(&world.facts, &visit.treatment, &request) else { continue };
        let was = &visit.appointment;
        let booked = placed(was, &plan);
        let other = Other::Appointment(booked.id);
        world.facts.occupy(&plan.occupied, other);
        world.patients.entry(booked.patient).or_default().join(&PatientFacts::planned(&plan, other));
        join(&mut world.series, &booked);
        visit.known = booked.occupied().map(|(resource, _)| resource).collect();
        visit.appointment = booked;
        world.visits.push(visit);
        return Some(day);
    }
    None
}

/// A practice with booked visits, of which a practitioner's lose their place, or all those of some days.
fn world(seed: u64) -> Displacement {
    let mut dice = Dice { seed, thrown: 0 };
    let mut world =
        Displacement { facts: dice.facts(), patients: BTreeMap::new(), series: BTreeMap::new(), visits: Vec::new() };
    let (needling, sauna, mut talk) = (dice.treatment(5, true), dice.treatment(6, false), dice.treatment(8, false));
    talk.content.exposures = Vec::new();
    for patient in 1..3 + dice.below(5) {
        let number = u128::try_from(patient).unwrap();
        let minimum = i32::try_from(2 + dice.below(3)).unwrap();
        let gap = GapDays::new(1, minimum, minimum, minimum + i32::try_from(1 + dice.below(8)).unwrap()).unwrap();
        let series = Series {
            id: SeriesId(Uuid::from_u128(1_000 + number)),
            patient: PatientId(Uuid::from_u128(number)),
            protocol: ProtocolId(Uuid::from_u128(7)),
            protocol_version: 1,
            area: BodyArea::Face,
            gap: SeriesGap { protocol: gap, overridden: None },
            hold: None,
            session_count: 3,
            state: SeriesState::Active,
            sessions: Vec::new(),
            follow_ups: Vec::new(),
            results: Vec::new(),
            counted_as_used: 0,
            changed_revision: 1,
        };
        let (id, of) = (series.id, series.patient);
        world.series.insert(id, series);
        let visit = |place: u128, treatment: &Treatment, session, follows| Displaced {
            appointment: blank(AppointmentId(Uuid::from_u128(10_000 + number * 10 + place)), of, session),
            treatment: treatment.clone(),
            spacing_days: session.map(|_| i64::from(minimum)),
            spacing_override: None,
            follows,
            fitness: Fitness::default(),
            known: Vec::new(),
        };
        let mut from = 1 + dice.below(4);
        for number in 1..=3 {
            let session = Some(SessionOf { series: id, number });
            let place = u128::try_from(number).unwrap();
            let Some(day) = book(&mut world, &mut dice, visit(place, &needling, session, None), from) else { break };
            from = day + i64::from(minimum);
        }
        let after = AssessmentDue::after_last(minimum, minimum, minimum + 2).unwrap();
        let assessments = [(1, AssessmentDue::BeforeFirst, 1), (2, after, from)];
        for (assessment, due, from) in assessments {
            if dice.one_in(2) && !world.series[&id].sessions.is_empty() {
                let place = 3 + u128::try_from(assessment).unwrap();
                let mut visit = visit(place, &talk, None, Some(Followed::Assessment(assessment, due)));
                visit.appointment.follows = Some(Follows { series: id, assessment: Some(assessment) });
                book(&mut world, &mut dice, visit, from);
            }
        }
        if dice.one_in(3) {
            let from = dice.below(14);
            book(&mut world, &mut dice, visit(0, &sauna, None, None), from);
        }
    }
    let ill = world.facts.resources[0].id;
    let during = between(dice.below(8) * DAY, (1 + dice.below(8)) * DAY);
    let narrowing = if dice.one_in(2) { Narrowing::TimeOff(ill, during) } else { Narrowing::Closure(HERE, during) };
    narrowing.narrow(&mut world.facts.clinics, &mut world.facts.resources);
    let (clinic, resources) = (&world.facts.clinics[&HERE], &world.facts.resources);
    world.visits.retain(|visit| !PlacedVisit::of(&visit.appointment).losses(clinic, resources).is_empty());
    world
}

/// A visit before it has its place.
fn blank(id: AppointmentId, patient: PatientId, session: Option<SessionOf>) -> Appointment {
    let plan = PlannedVisit {
        clinic: HERE,
        zone: zone(),
        treatment: TreatmentId(Uuid::nil()),
        treatment_version: 1,
        area: session.map(|_| BodyArea::Face),
        visit: between(0, 1),
        phases: Vec::new(),
        occupied: Vec::new(),
        spacing: Vec::new(),
        spacing_override: None,
        windows: Vec::new(),
        clearance: None,
    };
    Appointment::book(id, patient, session, None, &plan, 1)
}

/// The same practice, about those visits only that move.
fn moving(world: &Displacement, plan: &[Option<Destined>]) -> (Displacement, Vec<Destined>) {
    let mut moving = world.clone();
    let mut goes = plan.iter().map(Option::is_some);
    moving.visits.retain(|_| goes.next().unwrap());
    (moving, plan.iter().flatten().cloned().collect())
}

/// Every move, with all others where they are in the end, is one that the slow model allows.
fn assert_valid(world: &Displacement, plan: &[Option<Destined>], seed: u64) {
    let (moving, to) = moving(world, plan);
    let plans = moving.clone().decide(&to).unwrap_or_else(|refusal| panic!("seed {seed}: {refusal:?}"));
    let ids: Vec<AppointmentId> = moving.visits.iter().map(|visit| visit.appointment.id).collect();
    for (place, (visit, own)) in moving.visits.iter().zip(&plans).enumerate() {
        let mut rest = moving.clone();
        rest.facts.patient = rest.patients[&visit.appointment.patient].clone();
        rest.facts.forget(&ids);
        rest.forget(&ids);
        for (other, plan) in moving.visits.iter().zip(&plans).enumerate().filter(|(at, _)| *at != place).map(|(_, o)| o)
        {
            let was = &other.appointment;
            rest.facts.occupy(&plan.occupied, Other::Appointment(was.id));
            if was.patient == visit.appointment.patient {
                rest.facts.patient.join(&PatientFacts::planned(plan, Other::Appointment(was.id)));
            }
            join(&mut rest.series, &placed(was, plan));
        }
        let named: BTreeSet<ResourceId> = own.occupied.iter().map(|occupied| occupied.resource).collect();
        let request = request(&rest, visit, own.visit.start(), named.into_iter().collect());
        let broken = slow_rules(&rest.facts, &visit.treatment, &request);
        assert!(broken.is_empty(), "seed {seed}: {broken:?}");
        assert!(slow_served(&rest.facts, &visit.treatment, &request, &mut Vec::new()), "seed {seed}: not served");
    }
}

/// Visits that stay, and days that the others move.
fn outcome(world: &Displacement, plan: &[Option<Destined>]) -> (usize, i64) {
    let days = |(visit, to): (&Displaced, &Option<Destined>)| {
        let from = zone().day(visit.appointment.visit.start());
        to.as_ref().map_or(0, |to| (zone().day(to.start) - from).num_days().abs())
    };
    (plan.iter().filter(|to| to.is_none()).count(), world.visits.iter().zip(plan).map(days).sum())
}

/// What placing visits one after the other comes to, those last that follow a series.
fn one_by_one(world: &Displacement, order: &[usize]) -> Vec<Option<Destined>> {
    let mut state = State::with_boards(world.clone());
    let mut plan = vec![None; order.len()];
    let (sessions, others): (Vec<&usize>, Vec<&usize>) = order.iter().partition(|visit| !state.turn(**visit).0);
    for visit in sessions.into_iter().chain(others) {
        let spot = state.take(*visit);
        match state.best(*visit) {
            Some((_, planned)) => {
                state.put_planned(*visit, &planned);
                plan[*visit] = Some(search::destined(&planned));
            }
            None => state.put(*visit, spot),
        }
    }
    plan
}

/// All orders of up to four visits, or some.
fn orders(count: usize, seed: u64) -> Vec<Vec<usize>> {
    if count <= 4 {
        return search::orders(count);
    }
    let order = |throw: u64| {
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|visit| scattered(throw << 40 | seed << 20 | u64::try_from(*visit).unwrap()));
        order
    };
    (0..4).map(order).collect()
}

#[test]
fn a_plan_for_displaced_visits_is_valid_and_no_worse_than_placing_them_one_by_one() {
    let (mut moved, mut assessments) = (0, 0);
    // Always the same practices, or others.
    let first: u64 = std::env::var("STIPPLE_TEST_SEED").map_or(0, |seed| seed.parse().expect("a seed is a number"));
    for seed in first..first + 120 {
        let world = world(seed);
        let plan = world.clone().plan();
        assert_valid(&world, &plan, seed);
        moved += plan.iter().flatten().count();
        let follows = |(visit, to): (&Displaced, &Option<Destined>)| visit.follows.is_some() && to.is_some();
        assessments += usize::from(world.visits.iter().zip(&plan).any(follows));
        for order in orders(plan.len(), seed) {
            let other = one_by_one(&world, &order);
            assert_valid(&world, &other, seed);
            assert!(outcome(&world, &plan) <= outcome(&world, &other), "seed {seed}, order {order:?}");
        }
    }
    assert!(moved > 150 && assessments > 20, "hardly anything moved: {moved}, assessments in {assessments}");
}

#[test]
fn a_visit_goes_to_the_nearest_place_that_a_booking_allows() {
    let mut looked_at = 0;
    for seed in 0..40 {
        let world = world(seed);
        let mut state = State::with_boards(world.clone());
        for (place, visit) in world.visits.iter().enumerate().take(1) {
            state.take(place);
            let found = state.best(place);
            let own = visit.appointment.visit.start();
            let day = zone().day(own);
            let reach = found.as_ref().map_or(20, |((days, ..), _)| i64::try_from(*days).unwrap());
            let midnight = zone().midnight(day - TimeDelta::days(reach));
            let end = zone().midnight(day + TimeDelta::days(reach + 1));
            let starts = (0..).map(|tick| midnight + TimeDelta::minutes(5 * tick)).take_while(|start| *start < end);
            let time = |start: Instant, day| (start - zone().midnight(day)).num_minutes();
            let off = |start: Instant| {
                let days = (zone().day(start) - day).num_days().unsigned_abs();
                (days, time(start, zone().day(start)).abs_diff(time(own, day)))
            };
            let at = |start| Destined { start, practitioner: None, resources: Vec::new() };
            let earliest = earliest_move(own, world.facts.now);
            let allowed = starts.filter(|start| *start >= earliest && state.decide(place, &at(*start)).is_ok());
            let nearest = allowed.map(off).min();
            assert_eq!(found.map(|(_, plan)| off(plan.visit.start())), nearest, "seed {seed}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 15);
}
