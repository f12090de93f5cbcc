//! How fast the pure part of finding and planning is: no server, no database, facts made up here.
//!
//! The instances are those of a busy practice: resources at work from Monday to Friday, each free for one stretch of a
//! fifth of the day, at another time each day.

#![expect(clippy::pedantic, reason = "a benchmark is not called by others")]

#[path = "common/dice.rs"]
mod dice;

use std::hint::black_box;

use chrono::{Days, NaiveDate, TimeDelta, Weekday};
use criterion::Criterion;
use stipple::domain::booking::{Busy, ClinicFacts, PatientFacts, ResourceFacts, Timing};
use stipple::domain::catalog::{
    Activity, BodyArea, Evidence, GapDays, Grade, Need, Phase, Qualification, ResourceKind, Restriction, Span,
    Treatment, TreatmentContent,
};
use stipple::domain::finding::{Board, Starts, Times, TimesOfDay, Wanted, find};
use stipple::domain::hours::{Stretch, Week};
use stipple::domain::ids::{AppointmentId, ClinicId, ResourceId, TreatmentId};
use stipple::domain::interval::{Instant, Interval};
use stipple::domain::planning::{Later, MoveQuestion, Moving, SeriesQuestion, SessionPlace, Wishes};
use stipple::domain::refusal::Other;
use stipple::domain::series::BookedSession;
use stipple::domain::text::{Label, Prose};
use stipple::domain::zone::Zone;
use uuid::Uuid;

use dice::Dice;

const HERE: ClinicId = ClinicId(Uuid::from_u128(1));
const KINDS: [(ResourceKind, &str); 4] = [
    (ResourceKind::Room, "room"),
    (ResourceKind::Assistant, "assistance"),
    (ResourceKind::Practitioner, "needling"),
    (ResourceKind::Device, "pen"),
];
/// Resources of each kind.
const TEAMS: u128 = 5;
const OPENS: i64 = 9 * 60;
const CLOSES: i64 = 17 * 60;
/// A fifth of the day.
const FREE: i64 = 95;
/// Where it may begin, in steps of five minutes.
const STARTS: u64 = ((CLOSES - OPENS - FREE) / 5) as u64;
/// Longest visit of others.
const TAKEN: i64 = 80;
const GAP: GapDays = GapDays { floor: 14, minimum: 28, target: 35, maximum: 56 };

fn zone() -> Zone {
    Zone::from_name("Europe/Berlin").expect("a zone")
}

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2027, 3, 1).expect("a day")
}

fn now() -> Instant {
    zone().midnight(first_day())
}

fn end(days: u64) -> Instant {
    zone().midnight(first_day() + Days::new(days))
}

fn week() -> Vec<Stretch> {
    let days = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    days.into_iter().filter_map(|day| Stretch::new(day, 540, 1_020)).collect()
}

fn clinic() -> ClinicFacts {
    ClinicFacts { zone: zone(), opening_hours: Week::new(week()).expect("a week"), closures: Vec::new() }
}

fn code(code: &str) -> Qualification {
    Qualification::new(code).expect("a code")
}

/// What takes a resource up: all of every day but one stretch.
fn busy(dice: &mut Dice, days: u64) -> Vec<Busy> {
    let mut busy = Vec::new();
    let mut number = 0;
    for day in first_day().iter_days().take(usize::try_from(days).expect("few days")) {
        let midnight = zone().midnight(day);
        let free = OPENS + 5 * i64::try_from(dice.below(STARTS)).expect("a number");
        for (from, to) in [(OPENS, free), (free + FREE, CLOSES)] {
            for start in (from..to).step_by(TAKEN as usize) {
                let end = (start + TAKEN).min(to);
                let during = Interval::new(midnight + TimeDelta::minutes(start), midnight + TimeDelta::minutes(end));
                number += 1;
                let other = Other::Appointment(AppointmentId(Uuid::from_u128(number)));
                busy.extend(during.map(|during| Busy { during, other }));
            }
        }
    }
    busy
}

fn resources(kinds: &[(ResourceKind, &str)], each: u128, days: u64) -> Vec<ResourceFacts> {
    let mut dice = Dice(1);
    let mut resources = Vec::new();
    for (kind, qualification) in kinds {
        for _ in 0..each {
            let stands = kind.stands_in_a_clinic();
            resources.push(ResourceFacts {
                id: ResourceId(Uuid::from_u128(100 + resources.len() as u128)),
                kind: *kind,
                clinic: stands.then_some(HERE),
                active: true,
                qualifications: vec![code(qualification)],
                working_hours: if stands {
                    Vec::new()
                } else {
                    week().into_iter().map(|stretch| (HERE, stretch)).collect()
                },
                time_off: Vec::new(),
                busy: busy(&mut dice, days),
            });
        }
    }
    resources
}

fn treatment(phases: &[(i32, bool, bool, &[usize])]) -> Treatment {
    let need = |place: &usize| Need { kind: KINDS[*place].0, qualification: code(KINDS[*place].1) };
    let phase = |(minutes, patient_present, exposing, needs): &(i32, bool, bool, &[usize])| Phase {
        name: Label::new("Bench").expect("a label"),
        minutes: *minutes,
        patient_present: *patient_present,
        exposing: *exposing,
        needs: needs.iter().map(need).collect(),
        evidence: None,
    };
    let evidence = || Evidence { source: Prose::default(), grade: Grade::Own, rationale: Prose::default() };
    let restriction = |activity| Restriction {
        activity,
        before: None,
        after: Some(Span::Days(7)),
        advice_only: false,
        instruction: Prose::default(),
        evidence: evidence(),
    };
    let content = TreatmentContent {
        name: Label::new("Bench").expect("a label"),
        spacing_days: Some(28),
        spacing_evidence: None,
        across_areas: None,
        phases: phases.iter().map(phase).collect(),
        exposures: Vec::new(),
        restrictions: [Activity::SunExposure, Activity::Heat, Activity::Swimming].map(restriction).to_vec(),
        duties: Vec::new(),
        combinations: Vec::new(),
    };
    let id = TreatmentId(Uuid::from_u128(3));
    Treatment { id, version: 1, published_at: now(), published_revision: 1, content }
}

/// Numbing, needling, a talk and turnover, with one of each kind of resource.
fn session() -> Treatment {
    treatment(&[
        (30, true, false, &[0, 1]),
        (30, true, true, &[0, 2, 3]),
        (5, true, false, &[0, 1]),
        (15, false, false, &[0, 3]),
    ])
}

fn span(days: u64) -> Interval {
    Interval::new(now(), end(days)).expect("a stretch")
}

fn board(kinds: &[(ResourceKind, &str)], each: u128, days: u64) -> Board {
    Board::new(HERE, &clinic(), &resources(kinds, each, days), span(days))
}

fn wanted<'a>(timing: &'a Timing<'a>, patient: &'a PatientFacts, days: u64) -> Wanted<'a> {
    Wanted {
        timing,
        patient: Some(patient),
        area: Some(BodyArea::Face),
        spacing_days: Some(28),
        neighbours: None,
        follow_up: None,
        earliest: now(),
        latest: end(days),
        grid_minutes: 15,
        moved_from: None,
    }
}

fn question<'a>(board: &'a Board, starts: &'a Starts, timing: &'a Timing<'a>, wishes: Wishes) -> SeriesQuestion<'a> {
    let first = (first_day(), first_day() + Days::new(60));
    let sessions = (1..=6).map(|number| SessionPlace { number, booked: None }).collect();
    SeriesQuestion { board, starts, timing, gap: GAP, sessions, now: now(), first, wishes }
}

fn boards(criterion: &mut Criterion) {
    let resources = resources(&KINDS, TEAMS, 400);
    criterion.bench_function("board of 20 resources, 400 days", |bencher| {
        bencher.iter(|| Board::new(HERE, &clinic(), black_box(&resources), span(400)));
    });
}

fn finding(criterion: &mut Criterion) {
    let patient = PatientFacts::default();
    let service = treatment(&[(45, true, true, &[2])]);
    let session = session();
    for (name, treatment, kinds, each, days) in [
        ("find on 10 practitioners, 90 days", &service, &KINDS[2..3], 10, 90),
        ("find on 20 resources, 400 days", &session, &KINDS[..], TEAMS, 400),
    ] {
        let board = board(kinds, each, days);
        let timing = Timing::new(treatment);
        let wanted = wanted(&timing, &patient, days);
        criterion.bench_function(name, |bencher| bencher.iter(|| find(black_box(&board), &wanted)));
    }
}

fn planning(criterion: &mut Criterion) {
    let (patient, session) = (PatientFacts::default(), session());
    let timing = Timing::new(&session);
    let board = board(&KINDS, TEAMS, 400);
    let starts = find(&board, &wanted(&timing, &patient, 400));
    let days = board.days.all().iter().filter(|day| starts.all.within(day.ticks.clone()).next().is_some()).count();
    println!("days with a start: {days} of {}", board.days.all().len());
    let mornings = TimesOfDay::new(9 * 60, 12 * 60).expect("a part of the day");
    let wishes = Wishes {
        times: Times::new(vec![Weekday::Tue, Weekday::Thu], vec![mornings]).expect("times"),
        practitioner: starts.by.first().map(|(id, _)| *id),
        ..Wishes::default()
    };
    for (with, wishes) in [("", Wishes::default()), (" with wishes", wishes)] {
        for wanted in [1, 3] {
            let question = question(&board, &starts, &timing, wishes.clone());
            assert!(question.plans(wanted).is_ok_and(|plans| plans.len() == wanted), "so many plans");
            criterion.bench_function(&format!("plans({wanted}) for 6 sessions{with}"), |bencher| {
                bencher.iter(|| black_box(&question).plans(wanted));
            });
        }
    }
}

/// The second of six sessions moves to a day after the third.
fn moving(criterion: &mut Criterion) {
    let (patient, session) = (PatientFacts::default(), session());
    let timing = Timing::new(&session);
    let board = board(&KINDS, TEAMS, 400);
    let starts = find(&board, &wanted(&timing, &patient, 400));
    let plan = question(&board, &starts, &timing, Wishes::default()).plans(1).expect("a plan").remove(0);
    let booked = plan.sessions.iter().zip(1..).map(|(session, number)| BookedSession {
        number,
        id: AppointmentId(Uuid::from_u128(7)),
        start: session.start,
        day: session.day,
        zone: zone(),
        practitioner: session.practitioner,
    });
    let booked: Vec<BookedSession> = booked.collect();
    let start = zone().plus_days(booked[1].start, 21);
    let moved = BookedSession { start, day: zone().day(start), ..booked[1] };
    let moving = |session| Moving { session, timing: &timing, spacing_days: i64::from(GAP.minimum) };
    let later = booked[2..].iter().map(|session| Later { moving: moving(*session), board: &board, starts: &starts });
    let question = MoveQuestion { gap: GAP, before: Some(moving(moved)), from: None, later: later.collect() };
    assert!(question.following().is_some_and(|following| !following.is_empty()), "later sessions move");
    criterion.bench_function("what follows when one of 6 sessions moves", |bencher| {
        bencher.iter(|| black_box(&question).following());
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    boards(&mut criterion);
    finding(&mut criterion);
    planning(&mut criterion);
    moving(&mut criterion);
    criterion.final_summary();
}
