//! Small instances: few resources, hours with holes, busy stretches, and the night in which the clock goes forward.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use chrono::Weekday;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;

use super::*;
use crate::domain::catalog::{
    AcrossAreas, Activity, Duty, Evidence, Grade, Need, Phase, Qualification, ResourceKind, Restriction, SpacingScope,
    Span, TreatmentContent,
};
use crate::domain::fitness::{Concern, Fitness, When};
use crate::domain::hours::{Stretch, Week, weekday_from_iso};
use crate::domain::ids::{AppointmentId, TreatmentId};
use crate::domain::interval::Interval;
use crate::domain::refusal::Rule;
use crate::domain::text::{Label, Prose};
use crate::domain::zone::Zone;

pub const HERE: ClinicId = ClinicId(Uuid::from_u128(1));
const ELSEWHERE: ClinicId = ClinicId(Uuid::from_u128(2));

/// Where instances may be: a zone, and six in the morning of the day before its clock changes. Forward and back, by an
/// hour and by half an hour, and in a zone of 45 minutes whose clock never changes.
const PLACES: [(&str, &str); 6] = [
    ("Europe/Berlin", "2026-03-28T06:00:00"),
    ("Europe/Berlin", "2026-10-24T06:00:00"),
    ("America/New_York", "2026-10-31T06:00:00"),
    ("Australia/Lord_Howe", "2026-04-04T06:00:00"),
    ("Australia/Lord_Howe", "2026-10-03T06:00:00"),
    ("Asia/Kathmandu", "2026-03-28T06:00:00"),
];

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(0) };
}

/// Holds a property to instances in every place, so many in each. The seed that is printed repeats a run.
pub fn everywhere<S: Strategy>(
    cases: u32,
    strategy: impl Fn() -> S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let given = std::env::var("STIPPLE_TEST_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
    let seed: u64 = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("STIPPLE_TEST_SEED={seed}");
    for (place, (zone, morning)) in PLACES.iter().enumerate() {
        PLACE.set(place);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(seed ^ place as u64).to_le_bytes());
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        if let Err(error) = runner.run(&strategy(), &property) {
            panic!("in {zone} from {morning}: {error}");
        }
    }
    PLACE.set(0);
}

pub fn zone() -> Zone {
    Zone::from_name(PLACES[PLACE.get()].0).unwrap()
}

/// So many times five minutes after six in the morning of the day before the clock changes.
pub fn at(ticks: i64) -> Instant {
    zone().instant(PLACES[PLACE.get()].1.parse().unwrap()) + TimeDelta::minutes(5 * ticks)
}

pub fn between(from: i64, length: i64) -> Interval {
    Interval::new(at(from), at(from + length)).unwrap()
}

pub fn appointment(number: u128) -> Other {
    Other::Appointment(AppointmentId(Uuid::from_u128(number)))
}

/// What a treatment may need.
pub fn need(place: usize) -> Need {
    let kind = if place < 2 { ResourceKind::Room } else { ResourceKind::Practitioner };
    Need { kind, qualification: qualification(place % 2) }
}

pub fn qualification(place: usize) -> Qualification {
    Qualification::new(["first", "second"][place]).unwrap()
}

/// The hours of Sundays, or of all other days.
fn hours() -> impl Strategy<Value = Vec<(i32, i32)>> {
    prop_oneof![
        6 => Just(vec![(0, 24)]),
        2 => Just(vec![(6, 20)]),
        1 => Just(vec![(0, 12), (12, 24)]),
        1 => Just(vec![(6, 12), (13, 20)]),
        1 => Just(vec![(0, 6), (8, 24)]),
        1 => Just(vec![]),
    ]
}

fn week() -> impl Strategy<Value = Vec<Stretch>> {
    (hours(), hours()).prop_map(|(other_days, sundays)| {
        (1..=7)
            .filter_map(weekday_from_iso)
            .flat_map(|day| {
                let hours = if day == Weekday::Sun { &sundays } else { &other_days };
                hours.iter().map(move |(from, to)| Stretch::new(day, from * 60, to * 60).unwrap()).collect::<Vec<_>>()
            })
            .collect()
    })
}

fn intervals(most: usize) -> impl Strategy<Value = Vec<Interval>> {
    prop::collection::vec((0..520_i64, 1..40_i64).prop_map(|(from, length)| between(from, length)), 0..most)
}

fn resource() -> impl Strategy<Value = ResourceFacts> {
    let weights = (prop::bool::weighted(0.92), prop::bool::weighted(0.92));
    let taken = (intervals(2), intervals(4));
    (any::<bool>(), 0..4_usize, weights, week(), taken).prop_map(
        |(is_room, mask, (active, is_here), week, (time_off, busy))| {
            let clinic = if is_here { HERE } else { ELSEWHERE };
            let qualifications = (0..2).filter(|bit| (mask + 1) & (1 << bit) != 0).map(qualification);
            let busy = busy.into_iter().map(|during| Busy { during, other: appointment(7) });
            ResourceFacts {
                id: ResourceId(Uuid::nil()),
                kind: if is_room { ResourceKind::Room } else { ResourceKind::Practitioner },
                clinic: is_room.then_some(clinic),
                active,
                qualifications: qualifications.collect(),
                working_hours: if is_room { Vec::new() } else { week.into_iter().map(|s| (clinic, s)).collect() },
                time_off,
                busy: busy.collect(),
            }
        },
    )
}

fn window() -> impl Strategy<Value = (ActivityWindow, Other)> {
    let role = prop::sample::select(WindowRole::ALL);
    (any::<bool>(), role, -900..900_i64, 1..60_i64).prop_map(|(heat, role, from, length)| {
        let activity = if heat { Activity::Heat } else { Activity::Swimming };
        (ActivityWindow { activity, role, during: between(from, length) }, appointment(8))
    })
}

fn day(offset: i64) -> NaiveDate {
    zone().day(at(0)) + TimeDelta::days(offset)
}

fn patient() -> impl Strategy<Value = PatientFacts> {
    let scope = prop_oneof![
        2 => Just(SpacingScope::Area(BodyArea::Face)),
        1 => Just(SpacingScope::Area(BodyArea::Neck)),
        2 => Just(SpacingScope::AnyArea),
    ];
    // Of two visits, so that a visit may have windows of both kinds.
    let spacing = (scope, -12..12_i64, 1..9_i64, 9..11_u128).prop_map(|(scope, from, length, by)| SpacingWindow {
        scope,
        day: day(from),
        until: day(from + length),
        other: appointment(by),
    });
    let windows = prop::collection::vec(window(), 0..3);
    let known = (intervals(3), prop::collection::vec(spacing, 0..4), windows, fitness());
    known.prop_map(|(visits, spacing, windows, fitness)| PatientFacts {
        visits: visits.into_iter().map(|during| PatientVisit { during, other: appointment(6) }).collect(),
        spacing,
        windows,
        fitness,
    })
}

/// Mostly fit, or from a day or an instant on, or not on some days; now and then not at all.
fn fitness() -> impl Strategy<Value = Fitness> {
    let when = prop_oneof![
        1 => Just(When::Always),
        5 => (-3..4_i64, 0..5_i64).prop_map(|(from, length)| When::Days(day(from), day(from + length))),
        2 => (-3..4_i64).prop_map(|until| When::Days(NaiveDate::MIN, day(until))),
        2 => (-3..4_i64).prop_map(|from| When::Days(day(from), NaiveDate::MAX)),
        5 => (-300..300_i64, 0..5_i64).prop_map(|(tick, second)| When::Before(at(tick) + TimeDelta::seconds(second))),
    ];
    let rule = prop_oneof![Just(Rule::SeriesOnHold), Just(Rule::CoolingOff), Just(Rule::ConditionDefers)];
    let concern = (rule, when).prop_map(|(rule, when)| Concern { rule, when, text: String::new() });
    let concerns = prop_oneof![
        4 => Just(Vec::new()),
        1 => prop::collection::vec(concern, 1..3),
    ];
    let way = concerns.prop_map(|concerns| Fitness { concerns, ..Fitness::default() });
    prop_oneof![4 => way.clone(), 1 => prop::collection::vec(way, 2..4).prop_map(Fitness::by_one_of)]
}

prop_compose! {
    pub fn facts()(
        now in prop_oneof![4 => Just(-300_i64), 1 => 0..400_i64],
        horizon in prop_oneof![4 => Just(2_000_i64), 1 => 100..600_i64],
        opening in week(),
        closures in intervals(2),
        mut resources in prop::collection::vec(resource(), 1..7),
        patient in patient(),
    ) -> Facts {
        for (number, resource) in (100..).zip(&mut resources) {
            resource.id = ResourceId(Uuid::from_u128(number));
        }
        let clinic = ClinicFacts { zone: zone(), opening_hours: Week::new(opening).unwrap(), closures };
        Facts {
            now: at(now),
            horizon_end: at(horizon),
            spans: vec![between(-300, 1_400)],
            look_for_earliest: true,
            clinics: BTreeMap::from([(HERE, clinic)]),
            resources,
            patient,
        }
    }
}

fn restriction() -> impl Strategy<Value = (Option<Span>, Option<Span>)> {
    (prop::option::weighted(0.7, span()), prop::option::weighted(0.7, span()))
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![(1..40_i32).prop_map(Span::Hours), Just(Span::Days(1))]
}

prop_compose! {
    pub fn treatment()(
        phases in prop::collection::vec((1..6_i32, prop::collection::btree_set(0..4_usize, 0..3)), 1..5),
        present in 1..5_usize,
        exposing in (0..4_usize, 1..4_usize),
        needles in any::<bool>(),
        across_areas in prop::option::of(1..=5_i32),
        exposures in prop::collection::btree_set(prop_oneof![Just(Activity::Heat), Just(Activity::Swimming)], 0..3),
        restrictions in prop::collection::vec((restriction(), any::<bool>()), 0..3),
        duties in prop::collection::vec((prop::option::of(span()), span()), 0..3),
    ) -> Treatment {
        let present = present.min(phases.len());
        let first = exposing.0.min(present - 1);
        let exposed = first..(first + exposing.1).min(present);
        let phases = phases.into_iter().enumerate().map(|(place, (ticks, needs))| Phase {
            name: Label::new("A phase").unwrap(),
            minutes: 5 * ticks,
            patient_present: place < present,
            exposing: exposed.contains(&place),
            needs: needs.into_iter().map(need).collect(),
            evidence: None,
        });
        let restrictions = [Activity::Heat, Activity::Swimming].into_iter().zip(restrictions);
        let duties = duties.into_iter().filter(|(from, until)| from.is_none_or(|from| from.hours() < until.hours()));
        let duties = [Activity::Heat, Activity::Swimming].into_iter().zip(duties).map(|(activity, (from, until))| Duty {
            activity,
            from,
            until,
            instruction: Prose::default(),
            evidence: evidence(),
        });
        let content = TreatmentContent {
            name: Label::new("A treatment").unwrap(),
            spacing_days: needles.then_some(5),
            spacing_evidence: None,
            across_areas: across_areas.filter(|_| needles).map(|days| AcrossAreas { days, evidence: evidence() }),
            phases: phases.collect(),
            exposures: exposures.into_iter().collect(),
            restrictions: restrictions.map(|(activity, ((before, after), advice_only))| Restriction {
                activity,
                before,
                after,
                advice_only,
                instruction: Prose::default(),
                evidence: evidence(),
            }).collect(),
            duties: duties.collect(),
            combinations: Vec::new(),
        };
        content.check().unwrap();
        let id = TreatmentId(Uuid::from_u128(5));
        Treatment { id, version: 1, published_at: at(0), published_revision: 1, content }
    }
}

pub fn evidence() -> Evidence {
    Evidence { source: Prose::default(), grade: Grade::Own, rationale: Prose::default() }
}

fn neighbour() -> impl Strategy<Value = Option<(i64, i32, bool)>> {
    prop::option::weighted(0.5, (1..12_i64, 1..3_i32, prop::bool::weighted(0.2)))
}

fn follow_up() -> impl Strategy<Value = Option<FollowUp>> {
    let bound = || prop::option::of((-2..6_i64).prop_map(day));
    let others =
        prop::collection::vec((-4..8_i64, 20..24_u128).prop_map(|(at, who)| (day(at), appointment(who))), 0..3);
    prop_oneof![
        3 => Just(None),
        1 => (bound(), bound()).prop_map(|(from, until)| Some(FollowUp::Assessment { from, until })),
        1 => (1..5_i64, others).prop_map(|(minimum_days, others)| Some(FollowUp::Maintenance { minimum_days, others })),
    ]
}

prop_compose! {
    fn request()(
        start in 0..500_i64,
        named in prop_oneof![3 => Just(vec![]), 2 => prop::sample::subsequence((0..7_usize).collect::<Vec<_>>(), 1..3)],
        area in prop_oneof![Just(None), Just(Some(BodyArea::Face))],
        neighbours in prop_oneof![2 => Just(None), 1 => (neighbour(), neighbour(), 2..10_i64).prop_map(Some)],
        gap in 1..6_i64,
        moved_from in prop::option::weighted(0.2, 0..500_i64),
        follow_up in follow_up(),
    ) -> VisitRequest {
        let near = |sign: i64| move |(days, distance, lapsed): (i64, i32, bool)| {
            Neighbour { day: day(sign * (days - 1)), distance, lapsed, other: appointment(3) }
        };
        VisitRequest {
            clinic: HERE,
            start: at(start),
            named: named.into_iter().map(|place| ResourceId(Uuid::from_u128(100 + place as u128))).collect(),
            area,
            spacing_days: Some(gap),
            spacing_override: None,
            neighbours: neighbours.map(|(previous, next, maximum_gap)| Neighbours {
                number: 2,
                previous: previous.map(near(-1)),
                next: next.map(near(1)),
                maximum_gap,
            }),
            follow_up,
            preferred: Vec::new(),
            moved_from: moved_from.map(at),
        }
    }
}

/// A question: names only resources that exist, and asks for a gap only if the treatment needles.
pub fn question() -> impl Strategy<Value = (Facts, Treatment, VisitRequest)> {
    let more = (prop::bool::weighted(0.9), prop::option::weighted(0.2, 1..4));
    (facts(), treatment(), request(), more).prop_map(|(mut facts, treatment, mut request, (fits, sessions))| {
        facts.patient.fitness.sessions = sessions;
        request.named.retain(|id| facts.resources.iter().any(|resource| resource.id == *id));
        let needles = treatment.content.spacing_days.is_some();
        request.spacing_days = request.spacing_days.filter(|_| needles);
        if fits {
            request.area = needles.then_some(BodyArea::Face);
        }
        (facts, treatment, request)
    })
}
