//! Plans of whole series: what is proposed can be booked, and where there is no plan, what is said to help does.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, Timelike as _};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use stipple::rpc::pb;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::desk::{
    FOUR, cancel_series, clinic_sheet, close, get_series, instant, needling_request, publish_next, revision, said,
    serving, session, session_request, starts, work,
};
use crate::harness::server::NOW;
use crate::harness::wire::{fields, missing, reason};
use crate::harness::world::{evidence, request_id, timestamp};
use crate::harness::{TestServer, World, refusal};

/// A question about the first patient's abdomen.
fn question(world: &World, wishes: pb::SeriesWishes) -> pb::ProposeSeriesRequest {
    pb::ProposeSeriesRequest {
        patient_id: world.patients[0].clone(),
        protocol_id: world.protocol.clone(),
        body_area: pb::BodyArea::Abdomen.into(),
        clinic_id: world.clinic.clone(),
        wishes: Some(wishes),
        plan_count: 5,
        ..Default::default()
    }
}

/// A question about the rest of a series.
fn rest(world: &World, series: &pb::Series, session_count: i32) -> pb::ProposeSeriesRequest {
    pb::ProposeSeriesRequest {
        series_id: series.series_id.clone(),
        clinic_id: world.clinic.clone(),
        wishes: Some(pb::SeriesWishes { session_count, ..Default::default() }),
        ..Default::default()
    }
}

async fn propose(world: &World, request: pb::ProposeSeriesRequest) -> Result<pb::ProposeSeriesResponse, Status> {
    Ok(world.manager.series().propose_series(request).await?.into_inner())
}

/// The plans; there is at least one.
async fn plans(world: &World, request: pb::ProposeSeriesRequest) -> Vec<pb::SeriesPlan> {
    let answer = propose(world, request).await.unwrap();
    assert_eq!(answer.no_plan, None);
    assert!(!answer.plans.is_empty());
    answer.plans
}

/// The best plan.
async fn best(world: &World, request: pb::ProposeSeriesRequest) -> pb::SeriesPlan {
    let plans = plans(world, pb::ProposeSeriesRequest { plan_count: 1, ..request }).await;
    let [plan] = plans.try_into().unwrap();
    plan
}

/// Why there is no plan, one line for each obstacle, and what would help, by kind.
async fn none(world: &World, request: pb::ProposeSeriesRequest) -> (Vec<String>, Vec<pb::Relaxation>) {
    let answer = propose(world, request).await.unwrap();
    assert_eq!(answer.plans, []);
    let why = answer.no_plan.unwrap();
    let obstacles = why.obstacles.iter().map(|obstacle| {
        let reason = obstacle.reason().as_str_name().trim_start_matches("REASON_").to_owned();
        format!("{reason}: {}", obstacle.description)
    });
    (obstacles.collect(), why.relaxations)
}

/// The kinds of changes that would help.
fn kinds(relaxations: &[pb::Relaxation]) -> Vec<&'static str> {
    let name = |relaxation: &pb::Relaxation| relaxation.kind().as_str_name().trim_start_matches("RELAXATION_KIND_");
    relaxations.iter().map(name).collect()
}

fn relaxation(relaxations: &[pb::Relaxation], kind: pb::RelaxationKind) -> &pb::Relaxation {
    let found = relaxations.iter().find(|relaxation| relaxation.kind() == kind);
    found.unwrap_or_else(|| panic!("no {kind:?} among {relaxations:?}"))
}

fn of_plan(plan: &pb::SeriesPlan) -> pb::BookSeriesRequest {
    pb::BookSeriesRequest { request_id: request_id(), plan: Some(plan.clone()), ..Default::default() }
}

fn with_wishes(world: &World, patient: &str, wishes: pb::SeriesWishes) -> pb::BookSeriesRequest {
    pb::BookSeriesRequest {
        patient_id: patient.into(),
        sessions: vec![],
        wishes: Some(wishes),
        ..world.series_request(&[])
    }
}

async fn book(world: &World, request: pb::BookSeriesRequest) -> Result<pb::Series, Status> {
    Ok(world.manager.series().book_series(request).await?.into_inner().series.unwrap())
}

/// A wall-clock time with its offset.
fn local(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The days of a plan's sessions.
fn days(plan: &pb::SeriesPlan) -> Vec<NaiveDate> {
    plan.sessions.iter().map(|session| local(&session.local_start).date_naive()).collect()
}

fn weekdays(plan: &pb::SeriesPlan) -> Vec<pb::Weekday> {
    plan.sessions.iter().map(pb::PlannedSession::weekday).collect()
}

fn practitioners(plan: &pb::SeriesPlan) -> Vec<String> {
    plan.sessions.iter().map(|session| session.practitioner_id.clone()).collect()
}

fn planned_starts(plan: &pb::SeriesPlan) -> Vec<String> {
    plan.sessions.iter().map(|session| session.local_start[..16].to_owned()).collect()
}

fn points(plan: &pb::SeriesPlan, kind: pb::CostKind) -> i32 {
    let terms = &plan.cost.as_ref().unwrap().terms;
    terms.iter().find(|term| term.kind() == kind).unwrap().points
}

/// Counts anew what a plan says of itself: for patients who can come at some hours of some weekdays.
fn assert_adds_up(world: &World, plan: &pb::SeriesPlan, wishes: &pb::SeriesWishes) {
    let days = days(plan);
    for (number, (session, day)) in (1..).zip(plan.sessions.iter().zip(&days)) {
        assert_eq!(session.session_number, number);
        let (start, end) = (instant(session.start_time.as_ref()), instant(session.end_time.as_ref()));
        assert_eq!((end - start).num_minutes(), 65);
        for (at, written) in [(start, &session.local_start), (end, &session.local_end)] {
            assert_eq!(local(written), at);
            assert_eq!(local(written).naive_local(), at.with_timezone(&world.zone).naive_local());
        }
        assert_eq!(session.weekday, i32::try_from(day.weekday().number_from_monday()).unwrap());
        assert!(world.practitioners.contains(&session.practitioner_id));
        assert_eq!(instant(session.start_time.as_ref()).minute() % 5, 0);
    }
    let gaps: Vec<i64> = days.windows(2).map(|pair| (pair[1] - pair[0]).num_days()).collect();
    let told: Vec<i64> = plan.sessions.iter().map(|session| i64::from(session.gap_days)).collect();
    assert_eq!(told, [&[0], gaps.as_slice()].concat());
    assert!(gaps.iter().all(|gap| (28..=56).contains(gap)), "{gaps:?}");

    let count = |of: &dyn Fn(&pb::PlannedSession) -> bool| plan.sessions.iter().filter(|session| of(session)).count();
    let in_hours = |session: &pb::PlannedSession| {
        let (start, end) = (local(&session.local_start), local(&session.local_end));
        let (start, end) = (start.format("%H:%M").to_string(), end.format("%H:%M").to_string());
        wishes.hours.is_empty() || wishes.hours.iter().any(|hours| hours.from <= start && end <= hours.until)
    };
    let amounts = [
        (pb::CostKind::Gaps, 10, gaps.iter().map(|gap| usize::try_from((gap - 35).abs()).unwrap()).sum()),
        (
            pb::CostKind::Weekdays,
            100,
            count(&|session| !wishes.weekdays.is_empty() && !wishes.weekdays.contains(&session.weekday)),
        ),
        (pb::CostKind::Hours, 100, count(&|session| !in_hours(session))),
        (
            pb::CostKind::Practitioner,
            100,
            count(&|s| !wishes.practitioner_id.is_empty() && s.practitioner_id != wishes.practitioner_id),
        ),
        (pb::CostKind::Changes, 50, practitioners(plan).windows(2).filter(|pair| pair[0] != pair[1]).count()),
        (
            pb::CostKind::Finish,
            1,
            usize::try_from((*days.last().unwrap() - day(&wishes.first_session_from)).num_days()).unwrap(),
        ),
    ];
    let terms = amounts.map(|(kind, weight, amount)| {
        let amount = i32::try_from(amount).unwrap();
        pb::CostTerm { kind: kind.into(), amount, weight, points: amount * weight }
    });
    let total = terms.iter().map(|term| term.points).sum();
    assert_eq!(plan.cost, Some(pb::PlanCost { total, terms: terms.to_vec() }), "{plan:?}");
}

fn hours(from: &str, until: &str) -> Vec<pb::TimesOfDay> {
    vec![pb::TimesOfDay { from: from.into(), until: until.into() }]
}

// --- What is proposed ------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plan_says_of_itself_adds_up() {
    let world = World::new().await;
    work(&world, &world.practitioners[0], &[("08:00", "13:00")]).await;
    close(&world, "2026-03-02T00:00:00", "2026-03-20T00:00:00").await;
    let from = |first: &str| pb::SeriesWishes { first_session_from: first.into(), ..Default::default() };
    let wishes = [
        from("2026-01-05"),
        pb::SeriesWishes {
            session_count: 6,
            weekdays: vec![2, 4],
            hours: hours("16:00", "20:00"),
            ..from("2026-02-02")
        },
        pb::SeriesWishes {
            session_count: 3,
            weekdays: vec![7],
            hours: hours("09:00", "11:00"),
            practitioner_id: world.practitioners[0].clone(),
            ..from("2026-01-26")
        },
        pb::SeriesWishes {
            session_count: 5,
            hours: hours("15:00", "18:00"),
            practitioner_id: world.practitioners[0].clone(),
            same_practitioner: true,
            ..from("2026-02-16")
        },
    ];
    for wishes in wishes {
        let plans = plans(&world, question(&world, wishes.clone())).await;
        for plan in &plans {
            let count = if wishes.session_count == 0 { 4 } else { wishes.session_count };
            assert_eq!(i32::try_from(plan.sessions.len()).unwrap(), count);
            assert_adds_up(&world, plan, &wishes);
            assert_eq!((&plan.patient_id, &plan.clinic_id), (&world.patients[0], &world.clinic));
            assert_eq!((&plan.protocol_id, plan.protocol_version), (&world.protocol, 1));
            assert_eq!((plan.body_area(), plan.series_id.as_str()), (pb::BodyArea::Abdomen, ""));
            let first = days(plan)[0];
            assert!(first >= day(&wishes.first_session_from));
            assert!((first - day(&wishes.first_session_from)).num_days() <= 60);
            assert!(plan.sessions.iter().all(|session| session.appointment_id.is_empty()));
        }
        assert_eq!(plans[0].kind(), pb::PlanKind::Best);
        let totals: Vec<i32> = plans.iter().map(|plan| plan.cost.as_ref().unwrap().total).collect();
        assert!(totals.is_sorted(), "{totals:?}");
    }
    assert!(clinic_sheet(&world).await.is_empty(), "a proposal keeps nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_nothing_stands_against_keeps_to_the_target() {
    let world = World::new().await;
    let wishes = pb::SeriesWishes { first_session_from: "2026-02-02".into(), ..Default::default() };
    let plan = best(&world, question(&world, wishes)).await;
    // The clinic is open day and night.
    let starts = ["2026-02-02T00:00", "2026-03-09T00:00", "2026-04-13T00:00", "2026-05-18T00:00"];
    assert_eq!(planned_starts(&plan), starts);
    assert_eq!(plan.cost.unwrap().total, 105);
    // It is Monday, nine o'clock.
    let Some(()) = world.server.set_clock(NOW) else { return };
    let plan = best(&world, question(&world, pb::SeriesWishes::default())).await;
    assert_eq!(planned_starts(&plan)[0], "2026-01-05T09:00");
    let wishes =
        pb::SeriesWishes { minimum_notice_minutes: 95, start_grid_minutes: 60, session_count: 3, ..Default::default() };
    let plan = best(&world, question(&world, wishes)).await;
    assert_eq!(planned_starts(&plan)[0], "2026-01-05T11:00");
    assert_eq!(planned_starts(&plan)[1..], ["2026-02-09T00:00", "2026-03-16T00:00"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_plan_can_be_booked_as_it_stands_also_where_the_clocks_change() {
    // With Sundays on which a session may lie across the change of the clock, 35 days after these.
    let zones = [
        ("Europe/Berlin", [("2026-02-22", "01:00"), ("2026-09-20", "01:00")]),
        ("Asia/Kathmandu", [("2026-02-22", "00:00"), ("2026-09-20", "22:00")]),
        ("Australia/Lord_Howe", [("2026-03-01", "01:00"), ("2026-08-30", "01:00")]),
        ("Pacific/Chatham", [("2026-03-01", "02:00"), ("2026-08-23", "02:00")]),
    ];
    for (zone, rounds) in zones {
        let world = World::in_zone(zone).await;
        for (patient, (first, from)) in world.patients.iter().zip(rounds) {
            let wishes = pb::SeriesWishes {
                session_count: 3,
                first_session_from: first.into(),
                weekdays: vec![pb::Weekday::Sunday.into()],
                hours: hours(from, "24:00"),
                ..Default::default()
            };
            let ask = pb::ProposeSeriesRequest { patient_id: patient.clone(), ..question(&world, wishes.clone()) };
            let plans = plans(&world, ask).await;
            assert!(plans.len() >= 3, "{zone}: {plans:?}");
            for plan in &plans {
                assert_adds_up(&world, plan, &wishes);
                let request = pb::BookSeriesRequest { validate_only: true, ..of_plan(plan) };
                let shown = book(&world, request).await.unwrap();
                assert_eq!(starts(&shown), planned_starts(plan));
            }
            let plan = &plans[0];
            assert_eq!((days(plan)[1] - day(first)).num_days(), 35, "{zone}");
            let booked = book(&world, of_plan(plan)).await.unwrap();
            for (planned, number) in plan.sessions.iter().zip(1..) {
                let appointment = session(&booked, number);
                assert_eq!(appointment.start_time, planned.start_time);
                assert_eq!(appointment.end_time, planned.end_time);
                assert_eq!(appointment.local_start, planned.local_start);
                assert_eq!(appointment.local_end, planned.local_end);
                assert_eq!(booked.sessions[number - 1].gap_days, planned.gap_days);
                assert_eq!(serving(appointment, 1, pb::ResourceKind::Practitioner), planned.practitioner_id);
            }
            assert_aftercare(&world, patient, plan).await;
        }
        world.server.assert_clean().await;
    }
}

/// Compares what a plan says of aftercare with what holds once it is booked.
async fn assert_aftercare(world: &World, patient: &str, plan: &pb::SeriesPlan) {
    let mut planned: Vec<_> = plan
        .sessions
        .iter()
        .flat_map(|session| &session.aftercare)
        .map(|w| (w.local_start.clone(), w.activity, w.local_end.clone()))
        .collect();
    let request = pb::GetAftercareRequest {
        patient_id: patient.into(),
        start_time: timestamp(world.local("2026-01-01T00:00:00")),
        end_time: timestamp(world.local("2027-06-01T00:00:00")),
        ..Default::default()
    };
    let windows = world.manager.aftercare().get_aftercare(request).await.unwrap().into_inner().windows;
    let mut held: Vec<_> = windows.into_iter().map(|w| (w.local_start, w.activity, w.local_end)).collect();
    planned.sort();
    held.sort();
    assert_eq!(planned, held);
    assert_eq!(planned.len(), 2 * plan.sessions.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_plan_can_be_booked_in_a_calendar_that_is_half_full() {
    let world = World::new().await;
    for (id, hours) in world.practitioners.iter().zip([("08:00", "13:00"), ("11:00", "18:00")]) {
        work(&world, id, &[hours]).await;
    }
    for (id, hours) in world.assistants.iter().zip([("08:00", "12:00"), ("10:00", "18:00")]) {
        work(&world, id, &[hours]).await;
    }
    // Others are treated all over the days that the target leads to, and the patient goes to the sauna.
    let areas = [pb::BodyArea::Face, pb::BodyArea::Neck, pb::BodyArea::Back, pb::BodyArea::Hands, pb::BodyArea::Hips];
    let mut taken = 0;
    for (place, area) in areas.into_iter().enumerate() {
        for (number, day) in ["2026-02-02", "2026-03-09", "2026-04-13", "2026-05-18"].into_iter().enumerate() {
            let minutes = 8 * 60 + 5 * ((place * 23 + number * 7) % 100);
            let start = format!("{day}T{:02}:{:02}:00", minutes / 60, minutes % 60);
            taken += usize::from(world.book(needling_request(&world, &world.patients[1], area, &start)).await.is_ok());
            let sauna = ["2026-02-05", "2026-03-12", "2026-04-16", "2026-05-21"][number];
            let _ = world.book_sauna(&format!("{sauna}T{:02}:00:00", 9 + place)).await;
        }
    }
    assert!(taken >= 8, "{taken}");
    let base =
        pb::SeriesWishes { first_session_from: "2026-02-01".into(), start_grid_minutes: 5, ..Default::default() };
    let wishes = [
        base.clone(),
        pb::SeriesWishes { weekdays: vec![1], required: true, ..base.clone() },
        pb::SeriesWishes {
            weekdays: vec![1, 4],
            hours: hours("10:00", "12:30"),
            same_practitioner: true,
            ..base.clone()
        },
        pb::SeriesWishes { practitioner_id: world.practitioners[1].clone(), finish_by: "2026-05-20".into(), ..base },
    ];
    for wishes in wishes {
        for plan in plans(&world, question(&world, wishes.clone())).await {
            assert_adds_up(&world, &plan, &wishes);
            let request = pb::BookSeriesRequest { validate_only: true, ..of_plan(&plan) };
            let shown = book(&world, request).await.unwrap_or_else(|status| panic!("{plan:?}: {status:?}"));
            assert_eq!(starts(&shown), planned_starts(&plan));
        }
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_when_assessments_are_due() {
    use pb::assessment::Due;
    let world = World::new().await;
    let assessment = |name: &str, due: Due| pb::Assessment { name: name.into(), due: Some(due), evidence: evidence() };
    publish_next(&world, |content| {
        let after = pb::AfterLastSession { minimum_days: 0, target_days: 56, maximum_days: 90 };
        content.assessments = vec![
            assessment("baseline photographs", Due::BeforeFirstSession(true)),
            assessment("photographs at half time", Due::AtSession(2)),
            assessment("photographs at the sixth session", Due::AtSession(6)),
            assessment("result", Due::AfterLastSession(after)),
        ];
    })
    .await;
    let wishes = pb::SeriesWishes { first_session_from: "2026-02-02".into(), ..Default::default() };
    let plan = best(&world, question(&world, wishes.clone())).await;
    assert_eq!(days(&plan), ["2026-02-02", "2026-03-09", "2026-04-13", "2026-05-18"].map(day));
    let due = |name: &str, session_number, from: &str, target: &str, until: &str| pb::PlannedAssessment {
        name: name.into(),
        session_number,
        due_from: from.into(),
        due_target: target.into(),
        due_until: until.into(),
    };
    let before = due("baseline photographs", 0, "", "", "2026-02-02");
    let half = due("photographs at half time", 2, "2026-03-09", "2026-03-09", "2026-03-09");
    let result = due("result", 0, "2026-05-18", "2026-07-13", "2026-08-16");
    assert_eq!(plan.assessments, [before, half, result]);
    let six = best(&world, question(&world, pb::SeriesWishes { session_count: 6, ..wishes })).await;
    let names: Vec<&str> = six.assessments.iter().map(|assessment| assessment.name.as_str()).collect();
    let all = ["baseline photographs", "photographs at half time", "photographs at the sixth session", "result"];
    assert_eq!(names, all);
    let last = days(&six)[5].to_string();
    assert_eq!((six.assessments[2].session_number, &six.assessments[2].due_target), (6, &last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alternatives_really_differ_from_the_best_plan() {
    let world = World::new().await;
    let wishes = pb::SeriesWishes { first_session_from: "2026-02-02".into(), ..Default::default() };
    let all = plans(&world, question(&world, wishes.clone())).await;
    let of_kind = |kind: pb::PlanKind| all.iter().find(|plan| plan.kind() == kind).unwrap();
    let best = of_kind(pb::PlanKind::Best);
    assert_eq!(best, &all[0]);
    assert_eq!(all.len(), 5);
    assert_eq!(all.iter().map(planned_of).collect::<BTreeSet<_>>().len(), 5, "no two are the same");

    let earlier = of_kind(pb::PlanKind::EarlierFinish);
    assert_eq!(days(earlier).last(), Some(&day("2026-04-27")), "three gaps of 28 days");
    let other_day = of_kind(pb::PlanKind::OtherWeekday);
    assert!(weekdays(best).iter().all(|day| *day == pb::Weekday::Monday));
    assert!(weekdays(other_day).iter().all(|day| *day != pb::Weekday::Monday));
    let other = of_kind(pb::PlanKind::OtherPractitioner);
    assert!(practitioners(other).iter().all(|id| *id != best.sessions[0].practitioner_id));
    let other_start = of_kind(pb::PlanKind::OtherStart);
    assert!((days(other_start)[0] - days(best)[0]).num_days().abs() >= 7);

    for (plan_count, expected) in [(1, 1), (0, 3), (2, 2), (5, 5)] {
        let some = plans(&world, pb::ProposeSeriesRequest { plan_count, ..question(&world, wishes.clone()) }).await;
        assert_eq!(some.len(), expected);
        assert_eq!(&some[0], best);
    }
}

/// Starts and practitioners.
fn planned_of(plan: &pb::SeriesPlan) -> (Vec<String>, Vec<String>) {
    (planned_starts(plan), practitioners(plan))
}

// --- Wishes ----------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_are_met_at_every_session_of_every_plan() {
    let world = World::new().await;
    let base = pb::SeriesWishes { first_session_from: "2026-02-02".into(), required: true, ..Default::default() };
    let of = async |wishes: pb::SeriesWishes| plans(&world, question(&world, wishes)).await;

    let wednesdays =
        of(pb::SeriesWishes { weekdays: vec![3, 6], hours: hours("16:00", "18:00"), ..base.clone() }).await;
    for session in wednesdays.iter().flat_map(|plan| &plan.sessions) {
        assert!([pb::Weekday::Wednesday, pb::Weekday::Saturday].contains(&session.weekday()));
        assert!(session.local_start[11..16] >= *"16:00" && session.local_end[11..16] <= *"18:00");
    }
    let wished = &world.practitioners[1];
    let with = of(pb::SeriesWishes { practitioner_id: wished.clone(), ..base.clone() }).await;
    assert!(with.iter().flat_map(practitioners).all(|id| id == *wished));

    // These hold whether or not the others are required.
    let base = pb::SeriesWishes { required: false, ..base };
    let by = of(pb::SeriesWishes { finish_by: "2026-05-01".into(), ..base.clone() }).await;
    assert!(by.iter().all(|plan| *days(plan).last().unwrap() <= day("2026-05-01")));
    let away = [("2026-03-01", "2026-03-26"), ("2026-04-13", "2026-05-10")];
    let stretch = |(from, to): (&str, &str)| pb::DateRange { start_date: from.into(), end_date: to.into() };
    let away = away.map(stretch).to_vec();
    let kept = of(pb::SeriesWishes { dates_away: away.clone(), ..base.clone() }).await;
    for date in kept.iter().flat_map(days) {
        assert!(away.iter().all(|away| date < day(&away.start_date) || date > day(&away.end_date)), "{date}");
    }
    let until = of(pb::SeriesWishes { first_session_until: "2026-02-03".into(), ..base.clone() }).await;
    assert!(until.iter().all(|plan| days(plan)[0] <= day("2026-02-03")));

    // The one is away in spring: without a change, the other treats throughout.
    let off = pb::CreateTimeOffRequest {
        request_id: request_id(),
        resource_id: world.practitioners[0].clone(),
        start_time: timestamp(world.local("2026-03-01T00:00:00")),
        end_time: timestamp(world.local("2026-05-01T00:00:00")),
        ..Default::default()
    };
    world.manager.resources().create_time_off(off).await.unwrap();
    let first = &world.practitioners[0];
    let soft = pb::SeriesWishes { practitioner_id: first.clone(), ..base };
    let plan = best(&world, question(&world, soft.clone())).await;
    let who = practitioners(&plan);
    assert!(who.contains(first) && who.contains(wished), "{who:?}");
    assert!(points(&plan, pb::CostKind::Practitioner) > 0 && points(&plan, pb::CostKind::Changes) > 0);
    let same = best(&world, question(&world, pb::SeriesWishes { same_practitioner: true, ..soft })).await;
    let who: BTreeSet<String> = practitioners(&same).into_iter().collect();
    assert_eq!(who.len(), 1);
    assert_eq!(points(&same, pb::CostKind::Changes), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_that_is_not_required_gives_way_where_it_must_and_costs() {
    let world = World::new().await;
    // Nobody is there on Sundays.
    for id in &world.practitioners {
        work(&world, id, &[("08:00", "16:00")]).await;
    }
    let wishes = pb::SeriesWishes {
        first_session_from: "2026-02-02".into(),
        weekdays: vec![7],
        hours: hours("18:00", "20:00"),
        ..Default::default()
    };
    let plan = best(&world, question(&world, wishes.clone())).await;
    assert_eq!((points(&plan, pb::CostKind::Weekdays), points(&plan, pb::CostKind::Hours)), (400, 400));
    assert_adds_up(&world, &plan, &wishes);
    let (obstacles, _) = none(&world, question(&world, pb::SeriesWishes { required: true, ..wishes })).await;
    assert_eq!(obstacles.len(), 1, "{obstacles:?}");
    assert!(obstacles[0].starts_with("OUTSIDE_WORKING_HOURS: "), "{obstacles:?}");
}

// --- No plan ---------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_plan_the_answer_says_who_does_not_work_and_which_wish_to_drop() {
    let world = World::new().await;
    for id in &world.practitioners {
        work(&world, id, &[("08:00", "16:00")]).await;
    }
    let wishes = pb::SeriesWishes {
        weekdays: vec![pb::Weekday::Tuesday.into()],
        hours: hours("16:00", "24:00"),
        required: true,
        ..Default::default()
    };
    let (obstacles, helps) = none(&world, question(&world, wishes.clone())).await;
    let sentence = "no practitioner qualified for this treatment works on Tuesday from 16:00 to 24:00 on the days on \
                    which the first session may be";
    assert_eq!(obstacles, [format!("OUTSIDE_WORKING_HOURS: {sentence}")]);
    assert_eq!(kinds(&helps), ["ANY_TIME"]);
    assert_eq!(helps[0].description, "possible at other times of the day");
    let plan = best(&world, question(&world, pb::SeriesWishes { hours: vec![], ..wishes.clone() })).await;
    assert!(weekdays(&plan).iter().all(|day| *day == pb::Weekday::Tuesday));

    // Booking the best plan says the same.
    let status = book(&world, with_wishes(&world, &world.patients[0], wishes)).await.unwrap_err();
    let told: Vec<_> = refusal(&status).iter().map(|rule| (rule.reason(), rule.description.clone())).collect();
    assert_eq!(
        told,
        [
            (pb::Reason::NoPlan, "there is no plan; possible at other times of the day".to_owned()),
            (pb::Reason::OutsideWorkingHours, sentence.to_owned())
        ]
    );
    assert!(clinic_sheet(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_plan_the_answer_names_the_gap_that_would_do() {
    let world = World::new().await;
    close(&world, "2026-02-03T00:00:00", "2026-04-01T00:00:00").await;
    let on = |first: &str| pb::SeriesWishes {
        first_session_from: first.into(),
        first_session_until: first.into(),
        ..Default::default()
    };
    let (obstacles, helps) = none(&world, question(&world, on("2026-02-02"))).await;
    let sentence = "session 2 finds no start 28 to 56 days after session 1, wherever the sessions before it are";
    assert_eq!(obstacles, [format!("NO_PLAN: {sentence}")]);
    assert_eq!(kinds(&helps), ["OTHER_FIRST_SESSION", "LONGER_GAP"]);
    let other = relaxation(&helps, pb::RelaxationKind::OtherFirstSession);
    assert_eq!(other.description, format!("possible with the first session on {}", other.date));
    let plan = best(&world, question(&world, on(&other.date))).await;
    assert_eq!(days(&plan)[0], day(&other.date));
    book(&world, of_plan(&plan)).await.unwrap();

    let longer = relaxation(&helps, pb::RelaxationKind::LongerGap);
    assert_eq!((longer.session_number, longer.gap_days), (2, 58));
    let sentence = "possible with a gap of 58 days between session 1 and session 2; the maximum is 56";
    assert_eq!(longer.description, sentence);
    publish_next(&world, |content| content.gap_maximum_days = 58).await;
    let back = pb::ProposeSeriesRequest { body_area: pb::BodyArea::Back.into(), ..question(&world, on("2026-02-02")) };
    let plan = best(&world, back).await;
    assert_eq!(plan.sessions[1].gap_days, 58);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_first_session_is_on_the_nearest_day_before_or_after_those_asked_for() {
    let world = World::new().await;
    // With the days from which to which nothing may begin, and the nearest day outside that does.
    for (area, closed, expected) in [
        (pb::BodyArea::Abdomen, ("2026-02-09T00:00:00", "2026-02-16T00:00:00"), "2026-02-08"),
        (pb::BodyArea::Back, ("2026-02-05T00:00:00", "2026-02-09T00:00:00"), "2026-02-16"),
    ] {
        close(&world, closed.0, closed.1).await;
        let wishes = pb::SeriesWishes {
            first_session_from: "2026-02-10".into(),
            first_session_until: "2026-02-12".into(),
            ..Default::default()
        };
        let ask = |wishes| pb::ProposeSeriesRequest { body_area: area.into(), ..question(&world, wishes) };
        let (obstacles, helps) = none(&world, ask(wishes.clone())).await;
        assert_eq!(
            obstacles,
            ["OUTSIDE_OPENING_HOURS: the clinic is not open long enough for a session on the days on which the \
                 first session may be"]
        );
        assert_eq!(kinds(&helps), ["OTHER_FIRST_SESSION"]);
        let other = relaxation(&helps, pb::RelaxationKind::OtherFirstSession);
        assert_eq!(other.date, expected);
        assert_eq!(other.description, format!("possible with the first session on {expected}"));
        let there = pb::SeriesWishes {
            first_session_from: other.date.clone(),
            first_session_until: other.date.clone(),
            ..wishes
        };
        let plan = best(&world, ask(there)).await;
        assert_eq!(days(&plan)[0], day(expected));
        book(&world, of_plan(&plan)).await.unwrap();
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_session_until_yesterday_has_no_plan_and_may_be_today() {
    let world = World::new().await;
    let wishes = pb::SeriesWishes { first_session_until: "2026-01-04".into(), ..Default::default() };
    let (obstacles, helps) = none(&world, question(&world, wishes)).await;
    let sentence = "a session may begin on 2026-01-05 at the earliest, which is after the days asked for";
    assert_eq!(obstacles, [format!("START_IN_PAST: {sentence}")]);
    assert_eq!((kinds(&helps), helps[0].date.as_str()), (vec!["OTHER_FIRST_SESSION"], "2026-01-05"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_away_that_cover_the_first_days_are_named_as_the_cause() {
    let world = World::new().await;
    let away = |from: &str, to: &str| vec![pb::DateRange { start_date: from.into(), end_date: to.into() }];
    let wishes = pb::SeriesWishes {
        first_session_from: "2026-02-10".into(),
        first_session_until: "2026-02-12".into(),
        dates_away: away("2026-02-08", "2026-02-20"),
        ..Default::default()
    };
    let sentence = "no time that was wished is left of the days on which the first session may be: look at weekdays, \
                    hours and dates away";
    let (obstacles, helps) = none(&world, question(&world, wishes.clone())).await;
    assert_eq!(obstacles, [format!("NO_PLAN: {sentence}")]);
    assert_eq!(kinds(&helps), ["DAYS_AWAY", "OTHER_FIRST_SESSION"]);
    assert_eq!(helps[0].description, "possible if a session may be on the days away");
    assert_eq!(helps[1].date, "2026-02-07");
    let status = book(&world, with_wishes(&world, &world.patients[0], wishes.clone())).await.unwrap_err();
    let told: Vec<_> = refusal(&status).into_iter().map(|rule| rule.description).collect();
    let helped = "there is no plan; possible if a session may be on the days away; possible with the first session \
                  on 2026-02-07";
    assert_eq!(told, [helped, sentence]);
    // A day less, and the first session is on it.
    let wishes = pb::SeriesWishes { dates_away: away("2026-02-08", "2026-02-11"), ..wishes };
    assert_eq!(days(&best(&world, question(&world, wishes)).await)[0], day("2026-02-12"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_plan_the_answer_offers_a_later_end_another_beginning_or_fewer_sessions() {
    let world = World::new().await;
    let wishes = pb::SeriesWishes {
        first_session_from: "2026-02-02".into(),
        first_session_until: "2026-02-02".into(),
        finish_by: "2026-03-30".into(),
        ..Default::default()
    };
    let (_, helps) = none(&world, question(&world, wishes.clone())).await;
    assert_eq!(kinds(&helps), ["LATER_FINISH", "OTHER_FIRST_SESSION", "FEWER_SESSIONS"]);
    let later = relaxation(&helps, pb::RelaxationKind::LaterFinish);
    assert_eq!((later.date.as_str(), later.session_count), ("2026-04-27", 0));
    let plan =
        best(&world, question(&world, pb::SeriesWishes { finish_by: later.date.clone(), ..wishes.clone() })).await;
    assert_eq!(days(&plan), ["2026-02-02", "2026-03-02", "2026-03-30", "2026-04-27"].map(day));
    let other = relaxation(&helps, pb::RelaxationKind::OtherFirstSession).date.clone();
    assert_eq!(other, "2026-01-05");
    let first = pb::SeriesWishes { first_session_from: other.clone(), first_session_until: other, ..wishes.clone() };
    assert_eq!(best(&world, question(&world, first)).await.sessions.len(), 4);
    let fewer = relaxation(&helps, pb::RelaxationKind::FewerSessions).session_count;
    assert_eq!(fewer, 3);
    let three = best(&world, question(&world, pb::SeriesWishes { session_count: fewer, ..wishes })).await;
    assert_eq!(days(&three).last(), Some(&day("2026-03-30")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_plan_the_first_obstacle_is_named() {
    let world = World::new().await;
    let ask = async |wishes: pb::SeriesWishes| none(&world, question(&world, wishes)).await.0;
    let beyond = ask(pb::SeriesWishes { first_session_from: "2027-06-01".into(), ..Default::default() }).await;
    let sentence = "BEYOND_HORIZON: the practice books until 2027-02-09, which is before the first session may be";
    assert_eq!(beyond, [sentence]);
    let past = pb::SeriesWishes {
        first_session_from: "2025-12-01".into(),
        first_session_until: "2026-01-04".into(),
        ..Default::default()
    };
    let sentence =
        "START_IN_PAST: a session may begin on 2026-01-05 at the earliest, which is after the days asked for";
    assert_eq!(ask(past).await, [sentence]);

    // Sessions of another series on the same area, as close as they may be.
    world.book_series(&FOUR).await.unwrap();
    let between = pb::SeriesWishes {
        first_session_from: "2026-01-06".into(),
        finish_by: "2026-05-24".into(),
        ..Default::default()
    };
    let sentence = "SESSION_TOO_SOON: the gaps to other sessions on the same area leave none of the days on which the first session may be";
    assert_eq!(ask(between.clone()).await, [sentence]);
    // The patient's back is another matter.
    let back = pb::ProposeSeriesRequest { body_area: pb::BodyArea::Back.into(), ..question(&world, between) };
    best(&world, back).await;

    let mut content = crate::harness::world::needling();
    content.phases[1].needs[1].qualification = "laser".into();
    let laser = world.publish_treatment(content).await;
    let protocol = world.publish_protocol(&laser).await;
    let ask = pb::ProposeSeriesRequest { protocol_id: protocol, ..question(&world, pb::SeriesWishes::default()) };
    let (obstacles, helps) = none(&world, ask).await;
    assert_eq!(obstacles, ["NO_QUALIFIED_RESOURCE: no practitioner at the clinic is qualified for laser"]);
    assert_eq!(kinds(&helps), [""; 0]);
}

// --- What is refused -------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_named_by_its_field() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let new = || question(&world, pb::SeriesWishes::default());
    let unknown = request_id();
    let practitioner = |id: &str| pb::SeriesWishes { practitioner_id: id.into(), ..Default::default() };
    let asked = [
        (pb::ProposeSeriesRequest { patient_id: unknown.clone(), ..new() }, "patient_id"),
        (pb::ProposeSeriesRequest { protocol_id: unknown.clone(), ..new() }, "protocol_id"),
        (pb::ProposeSeriesRequest { clinic_id: unknown.clone(), ..new() }, "clinic_id"),
        (question(&world, practitioner(&unknown)), "wishes.practitioner_id"),
        // A room is no practitioner.
        (question(&world, practitioner(&world.rooms[0])), "wishes.practitioner_id"),
        (pb::ProposeSeriesRequest { series_id: unknown.clone(), ..rest(&world, &series, 5) }, "series_id"),
        (pb::ProposeSeriesRequest { clinic_id: unknown.clone(), ..rest(&world, &series, 5) }, "clinic_id"),
    ];
    for (request, field) in asked {
        let status = propose(&world, request).await.unwrap_err();
        assert_eq!(missing(&status), field);
    }
    let wishes = || with_wishes(&world, &world.patients[0], pb::SeriesWishes::default());
    let booked = [
        (pb::BookSeriesRequest { patient_id: unknown.clone(), ..wishes() }, "patient_id"),
        (pb::BookSeriesRequest { protocol_id: unknown.clone(), ..wishes() }, "protocol_id"),
        (pb::BookSeriesRequest { clinic_id: unknown.clone(), ..wishes() }, "clinic_id"),
        (with_wishes(&world, &world.patients[0], practitioner(&unknown)), "wishes.practitioner_id"),
    ];
    for (request, field) in booked {
        let status = book(&world, request).await.unwrap_err();
        assert_eq!(missing(&status), field);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wishes_that_contradict_each_other_are_named_by_their_fields() {
    let world = World::new().await;
    let range = |from: &str, to: &str| pb::DateRange { start_date: from.into(), end_date: to.into() };
    let from = || pb::SeriesWishes { first_session_from: "2026-03-01".into(), ..Default::default() };
    let refused = [
        (pb::SeriesWishes { first_session_until: "2026-02-28".into(), ..from() }, vec!["wishes.first_session_until"]),
        (pb::SeriesWishes { finish_by: "2026-02-28".into(), ..from() }, vec!["wishes.finish_by"]),
        (
            pb::SeriesWishes {
                first_session_until: "2026-01-01".into(),
                finish_by: "2026-02-28".into(),
                session_count: 13,
                start_grid_minutes: 7,
                ..from()
            },
            vec!["wishes.session_count", "wishes.first_session_until", "wishes.finish_by", "wishes.start_grid_minutes"],
        ),
        (
            pb::SeriesWishes {
                dates_away: vec![range("2026-03-01", "2026-03-01"), range("2026-04-02", "2026-04-01")],
                ..from()
            },
            vec!["wishes.dates_away[1].end_date"],
        ),
        (
            pb::SeriesWishes { dates_away: vec![range("2026-03-01", "2026-03-02"); 21], ..from() },
            vec!["wishes.dates_away"],
        ),
        (pb::SeriesWishes { weekdays: vec![1, 8], ..from() }, vec!["wishes.weekdays[1]"]),
        (
            pb::SeriesWishes { hours: [hours("09:00", "12:00"), hours("11:00", "13:00")].concat(), ..from() },
            vec!["wishes.hours"],
        ),
    ];
    for (wishes, named) in refused {
        let status = propose(&world, question(&world, wishes.clone())).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, named.iter().map(|n| (*n).into()).collect())
        );
        let status = book(&world, with_wishes(&world, &world.patients[0], wishes)).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, named.iter().map(|n| (*n).into()).collect())
        );
    }
    // More or fewer than the protocol allows is a rule, not a slip.
    for session_count in [1, 2, 7, 12] {
        let wishes = pb::SeriesWishes { session_count, ..Default::default() };
        let status = propose(&world, question(&world, wishes.clone())).await.unwrap_err();
        assert_eq!(said(&world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
        let status = book(&world, with_wishes(&world, &world.patients[0], wishes)).await.unwrap_err();
        assert_eq!(said(&world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
    }
    // What belongs to one way of asking does not go with another.
    let series = world.book_series(&FOUR).await.unwrap();
    let both = pb::ProposeSeriesRequest {
        series_id: series.series_id,
        ..question(&world, pb::SeriesWishes { session_count: 5, ..Default::default() })
    };
    let status = propose(&world, both).await.unwrap_err();
    assert_eq!(fields(&status), ["patient_id", "protocol_id", "body_area"]);
    let back = pb::ProposeSeriesRequest {
        body_area: pb::BodyArea::Back.into(),
        ..question(&world, pb::SeriesWishes::default())
    };
    let plan = best(&world, back).await;
    let both = pb::BookSeriesRequest { plan: Some(plan), ..world.series_request(&FOUR) };
    let status = book(&world, both).await.unwrap_err();
    assert_eq!(fields(&status), ["patient_id", "protocol_id", "body_area", "clinic_id", "sessions"]);
    let both = pb::BookSeriesRequest { wishes: Some(pb::SeriesWishes::default()), ..world.series_request(&FOUR) };
    assert_eq!(fields(&book(&world, both).await.unwrap_err()), ["sessions"]);
}

// --- What is booked --------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_was_changed_is_not_booked() {
    let world = World::new().await;
    let plan = best(&world, question(&world, pb::SeriesWishes::default())).await;
    let changes: [&dyn Fn(&mut pb::SeriesPlan); 7] = [
        &|plan| plan.sessions[1].start_time.as_mut().unwrap().seconds += 300,
        &|plan| plan.sessions[0].practitioner_id.clone_from(&world.practitioners[1]),
        &|plan| plan.patient_id.clone_from(&world.patients[1]),
        &|plan| plan.sessions.truncate(3),
        &|plan| plan.sessions.clear(),
        &|plan| plan.cost.as_mut().unwrap().total -= 1,
        &|plan| plan.digest.clear(),
    ];
    for change in changes {
        let mut changed = plan.clone();
        change(&mut changed);
        if changed == plan {
            // The plan has the second practitioner by itself.
            changed.sessions[0].practitioner_id.clone_from(&world.practitioners[0]);
        }
        let status = book(&world, of_plan(&changed)).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["plan.digest".to_owned()]));
    }
    book(&world, of_plan(&plan)).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_under_an_earlier_version_of_its_protocol_is_out_of_date() {
    let world = World::new().await;
    let plan = best(&world, question(&world, pb::SeriesWishes::default())).await;
    publish_next(&world, |content| content.gap_target_days = 42).await;
    let status = book(&world, of_plan(&plan)).await.unwrap_err();
    assert_eq!(said(&world, &status), ["PLAN_OUTDATED"]);
    let plan = best(&world, question(&world, pb::SeriesWishes::default())).await;
    assert_eq!(plan.protocol_version, 2);
    let booked = book(&world, of_plan(&plan)).await.unwrap();
    assert_eq!(booked.sessions.iter().map(|session| session.gap_days).collect::<Vec<_>>(), [0, 42, 42, 42]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_whose_place_was_taken_names_what_took_it() {
    let world = World::new().await;
    let ask = || question(&world, pb::SeriesWishes::default());
    let plan = best(&world, ask()).await;
    let (start, who) = (&plan.sessions[2].local_start[..19], &plan.sessions[2].practitioner_id);
    let mut request = needling_request(&world, &world.patients[1], pb::BodyArea::Face, start);
    request.resource_ids = vec![who.clone()];
    let taken = world.book(request).await.unwrap();
    let status = book(&world, of_plan(&plan)).await.unwrap_err();
    let against = &taken.appointment_id;
    assert_eq!(
        said(&world, &status),
        [format!("RESOURCE_BUSY sessions[2] against {against} of {who} from 2026-03-16T00:30")]
    );
    assert_eq!(clinic_sheet(&world).await.len(), 1, "nothing of it is booked");
    let again = best(&world, ask()).await;
    assert_ne!(planned_of(&again), planned_of(&plan));
    let booked = book(&world, of_plan(&again)).await.unwrap();
    assert_eq!(starts(&booked), planned_starts(&again));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wishes_book_the_best_plan_there_is() {
    let world = World::new().await;
    let wishes = pb::SeriesWishes {
        session_count: 5,
        first_session_from: "2026-02-10".into(),
        weekdays: vec![4],
        hours: hours("16:00", "20:00"),
        same_practitioner: true,
        ..Default::default()
    };
    for (patient, wishes) in world.patients.iter().zip([pb::SeriesWishes::default(), wishes]) {
        let ask = question(&world, wishes.clone());
        let plan = best(&world, pb::ProposeSeriesRequest { patient_id: patient.clone(), ..ask }).await;
        let before = revision(&world).await;
        let request = with_wishes(&world, patient, wishes);
        let shown = book(&world, pb::BookSeriesRequest { validate_only: true, ..request.clone() }).await.unwrap();
        assert_eq!(starts(&shown), planned_starts(&plan));
        assert_eq!(revision(&world).await, before);
        let booked = book(&world, request).await.unwrap();
        assert_eq!(starts(&booked), planned_starts(&plan));
        let who = |number| serving(session(&booked, number), 1, pb::ResourceKind::Practitioner);
        assert_eq!((1..=booked.sessions.len()).map(who).collect::<Vec<_>>(), practitioners(&plan));
        assert_eq!(revision(&world).await, before + 1);
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_for_the_best_plan_books_once_even_when_there_is_no_plan_any_more() {
    let world = World::new().await;
    let request = with_wishes(&world, &world.patients[0], pb::SeriesWishes::default());
    let booked = book(&world, request.clone()).await.unwrap();
    assert_eq!(book(&world, request.clone()).await.unwrap(), booked);
    let back = pb::ProposeSeriesRequest {
        body_area: pb::BodyArea::Back.into(),
        ..question(&world, pb::SeriesWishes::default())
    };
    let of_back = of_plan(&best(&world, back.clone()).await);
    let second = book(&world, of_back.clone()).await.unwrap();
    close(&world, "2026-01-01T00:00:00", "2028-01-01T00:00:00").await;
    none(&world, back).await;
    let after = revision(&world).await;
    assert_eq!(book(&world, request.clone()).await.unwrap(), booked);
    assert_eq!(book(&world, of_back).await.unwrap(), second);
    let mut other = request.clone();
    other.body_area = pb::BodyArea::Face.into();
    assert_eq!(reason(&book(&world, other.clone()).await.unwrap_err()), "REQUEST_ID_REUSED");
    other.request_id = request_id();
    let status = book(&world, other).await.unwrap_err();
    assert!(said(&world, &status).contains(&"NO_PLAN".to_owned()));
    assert_eq!(revision(&world).await, after);
    assert_eq!(clinic_sheet(&world).await.len(), 8);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_the_best_plan_that_is_sent_eight_times_at_once_books_once() {
    let world = World::new().await;
    let before = revision(&world).await;
    let request = with_wishes(&world, &world.patients[0], pb::SeriesWishes::default());
    let mut sent = JoinSet::new();
    for _ in 0..8 {
        let (mut client, request) = (world.manager.series(), request.clone());
        sent.spawn(async move { client.book_series(request).await.unwrap().into_inner().series.unwrap() });
    }
    let answers = sent.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(revision(&world).await, before + 1);
    assert_eq!(clinic_sheet(&world).await.len(), 4);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_patients_who_want_the_best_plan_at_once_each_gets_a_whole_series_or_a_reason() {
    let world = World::new().await;
    let mut patients = world.patients.clone();
    while patients.len() < 14 {
        patients.push(world.patient().await);
    }
    // Room for two visits at once, two rounds in all, on the first day.
    let wishes = pb::SeriesWishes {
        first_session_from: "2026-02-03".into(),
        first_session_until: "2026-02-03".into(),
        weekdays: vec![2, 3],
        hours: hours("09:00", "12:00"),
        required: true,
        start_grid_minutes: 60,
        ..Default::default()
    };
    let before = revision(&world).await;
    let mut sent = JoinSet::new();
    for patient in &patients {
        let (mut client, request) = (world.manager.series(), with_wishes(&world, patient, wishes.clone()));
        sent.spawn(async move { client.book_series(request).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = sent.join_all().await.into_iter().partition(Result::is_ok);
    for status in lost.iter().map(|answer| answer.as_ref().unwrap_err()) {
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
        assert!(!refusal(status).is_empty());
    }
    println!("{} series, {} refusals", won.len(), lost.len());
    assert!(!won.is_empty() && !lost.is_empty());
    for series in won.iter().map(|answer| answer.as_ref().unwrap().get_ref().series.as_ref().unwrap()) {
        assert_eq!(starts(series).len(), 4);
        assert!(series.sessions[1..].iter().all(|session| (28..=56).contains(&session.gap_days)));
        assert!(starts(series)[0].starts_with("2026-02-03"));
    }
    assert_eq!(clinic_sheet(&world).await.len(), 4 * won.len());
    assert_eq!(revision(&world).await, before + i64::try_from(won.len()).unwrap());
    world.server.assert_clean().await;
}

// --- Series that go on -----------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_goes_on_around_what_is_booked() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let status = propose(&world, rest(&world, &series, 0)).await.unwrap_err();
    let last = &session(&series, 4).appointment_id;
    assert_eq!(said(&world, &status), [format!("SESSION_ALREADY_BOOKED against {last}")]);
    for number in [3, 4] {
        world.cancel(session(&series, number)).await.unwrap();
    }
    let plan = best(&world, rest(&world, &series, 0)).await;
    assert_eq!(plan.series_id, series.series_id);
    assert_eq!((&plan.patient_id, &plan.protocol_id), (&series.patient_id, &series.protocol_id));
    let kept: Vec<&str> = plan.sessions.iter().map(|session| session.appointment_id.as_str()).collect();
    assert_eq!(kept, [&session(&series, 1).appointment_id, &session(&series, 2).appointment_id, "", ""]);
    assert_eq!(plan.sessions.iter().map(|session| session.gap_days).collect::<Vec<_>>(), [0, 28, 35, 35]);
    let told: Vec<bool> = plan.sessions.iter().map(|session| !session.aftercare.is_empty()).collect();
    assert_eq!(told, [false, false, true, true]);

    // A newer version of the protocol is for new series.
    publish_next(&world, |content| content.gap_target_days = 28).await;
    let booked = book(&world, of_plan(&plan)).await.unwrap();
    assert_eq!((&booked.series_id, booked.session_count), (&series.series_id, 4));
    assert_eq!(starts(&booked), planned_starts(&plan));
    assert_eq!(booked.sessions[..2], series.sessions[..2]);
    assert_eq!(get_series(&world, &series.series_id).await, booked);
    // The plan is of a series that was, now.
    assert_eq!(said(&world, &book(&world, of_plan(&plan)).await.unwrap_err()), ["PLAN_OUTDATED"]);

    // As many more as the protocol allows.
    let status = propose(&world, rest(&world, &booked, 3)).await.unwrap_err();
    assert_eq!(fields(&status), ["wishes.session_count"]);
    let status = propose(&world, rest(&world, &booked, 7)).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
    let plan = best(&world, rest(&world, &booked, 6)).await;
    let longer = book(&world, of_plan(&plan)).await.unwrap();
    assert_eq!((longer.session_count, starts(&longer)), (6, planned_starts(&plan)));
    assert_eq!(longer.sessions[..4], booked.sessions[..4]);
    assert_eq!(longer.protocol_version, 1);
    assert_eq!(clinic_sheet(&world).await.len(), 6);

    let cancelled = cancel_series(&world, &longer).await.unwrap();
    let status = propose(&world, rest(&world, &cancelled, 0)).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SERIES_NOT_ACTIVE"]);
    let status = book(&world, of_plan(&plan)).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SERIES_NOT_ACTIVE"]);
    world.server.assert_clean().await;
}

/// Gives a plan the digest that it would have been proposed with.
fn signed(plan: pb::SeriesPlan) -> pb::SeriesPlan {
    let plan = pb::SeriesPlan { digest: String::new(), ..plan };
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(plan.encode_to_vec())[..18]);
    pb::SeriesPlan { digest, ..plan }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_books_nothing_is_refused() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    world.cancel(session(&series, 4)).await.unwrap();
    let plan = best(&world, rest(&world, &series, 0)).await;
    assert_eq!(signed(plan.clone()), plan);
    let series = book(&world, of_plan(&plan)).await.unwrap();
    let before = revision(&world).await;
    let mut whole = plan.clone();
    whole.sessions[3].appointment_id.clone_from(&session(&series, 4).appointment_id);
    let status = book(&world, of_plan(&whole)).await.unwrap_err();
    assert_eq!(fields(&status), ["plan.digest"]);
    for validate_only in [true, false] {
        let request = pb::BookSeriesRequest { validate_only, ..of_plan(&signed(whole.clone())) };
        let status = book(&world, request).await.unwrap_err();
        assert_eq!(said(&world, &status), ["SESSION_ALREADY_BOOKED"]);
    }
    // Without the last session it is of another series than this one is.
    whole.sessions.truncate(3);
    let status = book(&world, of_plan(&signed(whole))).await.unwrap_err();
    assert_eq!(said(&world, &status), ["PLAN_OUTDATED"]);
    assert_eq!((revision(&world).await, get_series(&world, &series.series_id).await), (before, series));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_left_out_is_left_out_for_good_and_the_series_goes_on() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    for number in [2, 4] {
        world.cancel(session(&series, number)).await.unwrap();
    }
    // The third has begun: the second could only be in the past.
    let Some(()) = world.server.set_clock("2026-03-31T08:00:00Z") else { return };
    let plan = best(&world, rest(&world, &series, 0)).await;
    let numbers = |plan: &pb::SeriesPlan| plan.sessions.iter().map(|s| s.session_number).collect::<Vec<_>>();
    assert_eq!(numbers(&plan), [1, 3, 4]);
    let kept: Vec<&str> = plan.sessions.iter().map(|session| session.appointment_id.as_str()).collect();
    assert_eq!(kept, [&session(&series, 1).appointment_id, &session(&series, 3).appointment_id, ""]);
    assert_eq!(plan.sessions.iter().map(|session| session.gap_days).collect::<Vec<_>>(), [0, 56, 35]);
    let booked = book(&world, of_plan(&plan)).await.unwrap();
    assert_eq!((booked.session_count, starts(&booked)), (4, planned_starts(&plan)));
    assert_eq!(booked.sessions[1].appointment, None);
    assert_eq!(get_series(&world, &series.series_id).await, booked);
    world.server.assert_clean().await;

    // All is booked that can be.
    let last = &session(&booked, 4).appointment_id;
    let status = propose(&world, rest(&world, &booked, 0)).await.unwrap_err();
    assert_eq!(said(&world, &status), [format!("SESSION_ALREADY_BOOKED against {last}")]);
    let longer = |wishes, sessions| pb::ExtendSeriesRequest {
        request_id: request_id(),
        etag: booked.etag.clone(),
        series_id: booked.series_id.clone(),
        session_count: 5,
        clinic_id: world.clinic.clone(),
        wishes,
        sessions,
        ..Default::default()
    };
    let plan = best(&world, rest(&world, &booked, 5)).await;
    assert_eq!(numbers(&plan), [1, 3, 4, 5]);
    // By hand it is one session, too.
    let two = world.series_request(&["2026-06-08T10:00:00", "2026-07-13T10:00:00"]).sessions;
    let status = world.manager.series().extend_series(longer(None, two)).await.unwrap_err();
    assert_eq!(fields(&status), ["sessions"]);
    let request = longer(Some(pb::SeriesWishes::default()), vec![]);
    let five = world.manager.series().extend_series(request).await.unwrap().into_inner().series.unwrap();
    assert_eq!((five.session_count, starts(&five)), (5, planned_starts(&plan)));
    assert_eq!(five.sessions[1].appointment, None);
    assert_eq!(five.sessions[..4], booked.sessions[..4]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_between_two_that_are_booked_is_planned_between_them() {
    let world = World::new().await;
    let apart = ["2026-02-02T10:00:00", "2026-03-14T10:00:00", "2026-04-23T10:00:00", "2026-06-02T10:00:00"];
    let series = world.book_series(&apart).await.unwrap();
    world.cancel(session(&series, 2)).await.unwrap();
    let plan = best(&world, rest(&world, &series, 0)).await;
    let gaps: Vec<i32> = plan.sessions.iter().map(|session| session.gap_days).collect();
    assert_eq!(gaps[1] + gaps[2], 80);
    assert!(gaps[1] >= 28 && gaps[2] >= 28 && gaps[1] <= 56 && gaps[2] <= 56, "{gaps:?}");
    // Booked by hand meanwhile, the plan is out of date.
    let by_hand = session_request(&world, &series, 2, "2026-03-10T10:00:00");
    world.book(by_hand).await.unwrap();
    assert_eq!(said(&world, &book(&world, of_plan(&plan)).await.unwrap_err()), ["PLAN_OUTDATED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn practices_neither_see_nor_disturb_each_others_plans() {
    let server = TestServer::start().await;
    let a = World::on(server.clone(), "Europe/Berlin").await;
    let b = World::on(server, "Europe/Berlin").await;
    let ask = || question(&a, pb::SeriesWishes::default());
    let plan = best(&a, ask()).await;
    let own = best(&b, question(&b, pb::SeriesWishes::default())).await;
    assert_eq!(missing(&propose(&b, ask()).await.unwrap_err()), "protocol_id");
    let status = book(&b, of_plan(&plan)).await.unwrap_err();
    assert_eq!(missing(&status), "plan.protocol_id");
    let status = book(&b, with_wishes(&a, &a.patients[0], pb::SeriesWishes::default())).await.unwrap_err();
    assert_eq!(missing(&status), "protocol_id");
    // What one practice books does not change what the other can.
    book(&b, of_plan(&own)).await.unwrap();
    assert_eq!(best(&a, ask()).await, plan);
    let series = book(&a, of_plan(&plan)).await.unwrap();
    let status = propose(&b, pb::ProposeSeriesRequest { clinic_id: b.clinic.clone(), ..rest(&a, &series, 5) }).await;
    assert_eq!(missing(&status.unwrap_err()), "series_id");
    a.server.assert_clean().await;
}
