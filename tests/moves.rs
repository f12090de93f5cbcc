//! Visits that move: sessions of a series with the later ones that have to follow, series that grow and shrink, and
//! visits that stand alone.

use std::collections::BTreeSet;

use stipple::rpc::pb;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::desk::{
    FOUR, cancel_series, clinic_sheet, close, get_appointment, get_series, needling_request, revision, said, serving,
    session, session_request, sheet, starts,
};
use crate::harness::wire::{fields, missing, reason};
use crate::harness::world::{every_day, request_id, timestamp};
use crate::harness::{World, refusal};

/// Sessions 40 days apart: each may move by days without touching another.
const APART: [&str; 4] = ["2026-02-02T10:00:00", "2026-03-14T10:00:00", "2026-04-23T10:00:00", "2026-06-02T10:00:00"];

fn to(world: &World, series: &pb::Series, number: i32, start: &str) -> pb::RescheduleSessionRequest {
    pb::RescheduleSessionRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        session_number: number,
        start_time: timestamp(world.local(start)),
        ..Default::default()
    }
}

async fn reschedule(
    world: &World,
    request: pb::RescheduleSessionRequest,
) -> Result<(pb::Series, Vec<pb::SessionMove>), Status> {
    let answer = world.manager.series().reschedule_session(request).await?.into_inner();
    Ok((answer.series.unwrap(), answer.moves))
}

/// What moved: which session, from when, until when, by how many days.
fn told(moves: &[pb::SessionMove]) -> Vec<String> {
    let line = |moved: &pb::SessionMove| {
        let (old, new) = (&moved.local_old_start[..16], &moved.local_new_start[..16]);
        format!("{}: {old} to {new}, {}", moved.session_number, moved.days_moved)
    };
    moves.iter().map(line).collect()
}

fn practitioner(series: &pb::Series, number: usize) -> String {
    serving(session(series, number), 1, pb::ResourceKind::Practitioner)
}

fn resources(appointment: &pb::Appointment) -> BTreeSet<String> {
    appointment.phases.iter().flat_map(|phase| &phase.resources).map(|resource| resource.resource_id.clone()).collect()
}

async fn away(world: &World, resource: &str, from: &str, until: &str) {
    let request = pb::CreateTimeOffRequest {
        request_id: request_id(),
        resource_id: resource.into(),
        start_time: timestamp(world.local(from)),
        end_time: timestamp(world.local(until)),
        ..Default::default()
    };
    world.manager.resources().create_time_off(request).await.unwrap();
}

/// A second clinic, with one of everything that a session needs.
async fn second_clinic(world: &mut World) -> String {
    let request = pb::CreateClinicRequest {
        request_id: request_id(),
        name: "The other clinic".into(),
        time_zone: "Europe/London".into(),
        opening_hours: every_day("00:00", "24:00"),
        ..Default::default()
    };
    let clinic = world.manager.practices().create_clinic(request).await.unwrap().into_inner().clinic.unwrap();
    let first = std::mem::replace(&mut world.clinic, clinic.clinic_id);
    for (kind, qualification) in [
        (pb::ResourceKind::Practitioner, "microneedling"),
        (pb::ResourceKind::Assistant, "assistance"),
        (pb::ResourceKind::Room, "treatment_room"),
        (pb::ResourceKind::Device, "needling_pen"),
    ] {
        world.resource(kind, qualification).await;
    }
    std::mem::replace(&mut world.clinic, first)
}

// --- Sessions --------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_moves_alone_where_the_later_ones_may_stay() {
    let world = World::new().await;
    let series = world.book_series(&APART).await.unwrap();
    let before = revision(&world).await;
    let request = to(&world, &series, 2, "2026-03-20T15:30:00");

    let only = pb::RescheduleSessionRequest { validate_only: true, ..request.clone() };
    let (shown, shown_moves) = reschedule(&world, only).await.unwrap();
    assert_eq!(revision(&world).await, before);
    assert_eq!(get_series(&world, &series.series_id).await, series);
    let (now, moves) = reschedule(&world, request).await.unwrap();
    assert_eq!((starts(&shown), told(&shown_moves)), (starts(&now), told(&moves)));
    assert_eq!(told(&moves), ["2: 2026-03-14T10:00 to 2026-03-20T15:30, 6"]);
    assert_eq!(revision(&world).await, before + 1);

    assert_ne!(now.etag, series.etag);
    assert_eq!(now.session_count, 4);
    for number in [1, 3, 4] {
        assert_eq!(session(&now, number), session(&series, number));
    }
    let gaps: Vec<i32> = now.sessions.iter().map(|session| session.gap_days).collect();
    assert_eq!(gaps, [0, 46, 34, 40]);
    assert_eq!(get_series(&world, &series.series_id).await, now);

    let (old, new) = (session(&series, 2), session(&now, 2));
    assert_eq!(
        (&moves[0].old_appointment_id, &moves[0].new_appointment_id),
        (&old.appointment_id, &new.appointment_id)
    );
    assert_eq!((moves[0].old_start_time, moves[0].new_start_time), (old.start_time, new.start_time));
    assert_eq!((&new.replaces_appointment_id, new.session_number), (&old.appointment_id, 2));
    assert_eq!(resources(new), resources(old), "what it had is free then, too");
    let old = get_appointment(&world, &old.appointment_id).await;
    assert_eq!((old.state(), &old.replaced_by_appointment_id), (pb::AppointmentState::Cancelled, &new.appointment_id));
    assert_eq!(get_appointment(&world, &new.appointment_id).await, *new);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_may_move_into_its_own_time_and_back_again() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let (there, _) = reschedule(&world, to(&world, &series, 1, "2026-02-02T10:30:00")).await.unwrap();
    let (back, _) = reschedule(&world, to(&world, &there, 1, FOUR[0])).await.unwrap();
    assert_eq!(starts(&back), starts(&series));
    // Each appointment knows the one before it, and the one after.
    let chain = [&series, &there, &back].map(|series| session(series, 1).appointment_id.clone());
    let middle = get_appointment(&world, &chain[1]).await;
    assert_eq!((&middle.replaces_appointment_id, &middle.replaced_by_appointment_id), (&chain[0], &chain[2]));
    assert_eq!(clinic_sheet(&world).await.len(), 4);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_sessions_follow_by_as_few_days_as_the_gaps_ask_for() {
    let cases: [(&[&str], i32, &str, &[&str]); 6] = [
        // As close as they may be: a week later for one is a week later for all.
        (
            &FOUR,
            2,
            "2026-03-09T10:00:00",
            &[
                "2: 2026-03-02T10:00 to 2026-03-09T10:00, 7",
                "3: 2026-03-30T10:00 to 2026-04-06T10:00, 7",
                "4: 2026-04-27T10:00 to 2026-05-04T10:00, 7",
            ],
        ),
        // The last may stay.
        (
            &["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00", "2026-05-18T12:00:00"],
            2,
            "2026-03-09T16:00:00",
            &["2: 2026-03-02T10:00 to 2026-03-09T16:00, 7", "3: 2026-03-30T10:00 to 2026-04-06T10:00, 7"],
        ),
        // As far apart as they may be: a week earlier for one is a week earlier for all.
        (
            &["2026-02-02T10:00:00", "2026-03-30T10:00:00", "2026-05-25T10:00:00", "2026-07-20T10:00:00"],
            2,
            "2026-03-23T09:00:00",
            &[
                "2: 2026-03-30T10:00 to 2026-03-23T09:00, -7",
                "3: 2026-05-25T10:00 to 2026-05-18T10:00, -7",
                "4: 2026-07-20T10:00 to 2026-07-13T10:00, -7",
            ],
        ),
        // Too late for the next, which is in time for its own next.
        (
            &["2026-02-02T10:00:00", "2026-03-30T10:00:00", "2026-05-25T10:00:00", "2026-06-29T10:00:00"],
            2,
            "2026-03-23T10:00:00",
            &["2: 2026-03-30T10:00 to 2026-03-23T10:00, -7", "3: 2026-05-25T10:00 to 2026-05-18T10:00, -7"],
        ),
        // The first of all.
        (
            &FOUR[..3],
            1,
            "2026-02-03T10:00:00",
            &[
                "1: 2026-02-02T10:00 to 2026-02-03T10:00, 1",
                "2: 2026-03-02T10:00 to 2026-03-03T10:00, 1",
                "3: 2026-03-30T10:00 to 2026-03-31T10:00, 1",
            ],
        ),
        // The last of all.
        (&FOUR, 4, "2026-05-25T10:00:00", &["4: 2026-04-27T10:00 to 2026-05-25T10:00, 28"]),
    ];
    let world = World::new().await;
    for (days, number, start, expected) in cases {
        let series = world.book_series(days).await.unwrap();
        let request = to(&world, &series, number, start);
        let only = pb::RescheduleSessionRequest { validate_only: true, ..request.clone() };
        let (_, shown) = reschedule(&world, only).await.unwrap();
        let (now, moves) = reschedule(&world, request).await.unwrap();
        assert_eq!(told(&moves), expected);
        assert_eq!(told(&shown), expected);
        let moved: BTreeSet<usize> = moves.iter().map(|moved| usize::try_from(moved.session_number).unwrap()).collect();
        for number in 1..=days.len() {
            assert_eq!(session(&now, number) == session(&series, number), !moved.contains(&number));
            assert_eq!(practitioner(&now, number), practitioner(&series, number));
        }
        assert!(now.sessions[1..].iter().all(|session| (28..=56).contains(&session.gap_days)));
        assert_eq!(get_series(&world, &series.series_id).await, now);
        world.server.assert_clean().await;
        cancel_series(&world, &now).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_follows_keeps_its_practitioner_and_its_hour_where_it_can() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let (third, fourth) = (practitioner(&series, 3), practitioner(&series, 4));
    // Away on the day that the third is to move to, until the next noon; taken at the hour of the fourth, on the fourth's.
    away(&world, &third, "2026-04-06T00:00:00", "2026-04-07T12:00:00").await;
    let mut taken = needling_request(&world, &world.patients[1], pb::BodyArea::Face, "2026-05-04T10:00:00");
    taken.resource_ids = vec![fourth.clone()];
    world.book(taken).await.unwrap();
    let (now, moves) = reschedule(&world, to(&world, &series, 2, "2026-03-09T10:00:00")).await.unwrap();
    assert_eq!(moves.iter().map(|moved| moved.days_moved).collect::<Vec<_>>(), [7, 7, 7]);
    assert_eq!(starts(&now)[2], "2026-04-06T10:00", "the same hour with somebody else");
    assert_ne!(practitioner(&now, 3), third);
    assert_eq!(practitioner(&now, 4), fourth, "half an hour sooner or later with the same");
    assert!(["2026-05-04T09:30", "2026-05-04T10:30"].contains(&starts(&now)[3].as_str()), "{:?}", starts(&now));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_moves_keeps_its_practitioner_unless_another_is_asked_for_or_needed() {
    let world = World::new().await;
    let series = world.book_series(&APART).await.unwrap();
    let own = practitioner(&series, 2);
    let other = world.practitioners.iter().find(|id| **id != own).unwrap();
    let (same, _) = reschedule(&world, to(&world, &series, 2, "2026-03-15T10:00:00")).await.unwrap();
    assert_eq!(practitioner(&same, 2), own);
    away(&world, &own, "2026-03-16T00:00:00", "2026-03-17T00:00:00").await;
    let (needed, _) = reschedule(&world, to(&world, &same, 2, "2026-03-16T10:00:00")).await.unwrap();
    assert_eq!(practitioner(&needed, 2), *other);
    let asked = pb::RescheduleSessionRequest {
        practitioner_id: own.clone(),
        resource_ids: vec![world.rooms[1].clone()],
        ..to(&world, &needed, 2, "2026-03-17T10:00:00")
    };
    let (asked, _) = reschedule(&world, asked).await.unwrap();
    assert_eq!(practitioner(&asked, 2), own);
    assert_eq!(serving(session(&asked, 2), 0, pb::ResourceKind::Room), world.rooms[1]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_moves_keeps_its_practitioner_though_another_has_less_to_do() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    // The second is with somebody else than the others.
    let others = practitioner(&series, 1);
    let own = world.practitioners.iter().find(|id| **id != others).unwrap();
    let request =
        pb::RescheduleSessionRequest { practitioner_id: own.clone(), ..to(&world, &series, 2, "2026-03-02T10:30:00") };
    let (series, _) = reschedule(&world, request).await.unwrap();
    let who = |series: &pb::Series| (1..=4).map(|number| practitioner(series, number)).collect::<Vec<_>>();
    assert_eq!(who(&series), [&others, own, &others, &others].map(Clone::clone));
    // On the day that it moves to, its own has much to do, and the other nothing.
    for (start, area) in
        [("T13:00:00", pb::BodyArea::Face), ("T15:00:00", pb::BodyArea::Neck), ("T17:00:00", pb::BodyArea::Back)]
    {
        let mut taken = needling_request(&world, &world.patients[1], area, &format!("2026-03-09{start}"));
        taken.resource_ids = vec![own.clone()];
        world.book(taken).await.unwrap();
    }
    let (now, moves) = reschedule(&world, to(&world, &series, 2, "2026-03-09T10:30:00")).await.unwrap();
    assert_eq!(
        moves.iter().map(|moved| (moved.session_number, moved.days_moved)).collect::<Vec<_>>(),
        [(2, 7), (3, 7), (4, 7)]
    );
    assert_eq!(who(&now), who(&series));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_session_that_is_not_booked_there_is_no_longest_gap() {
    let world = World::new().await;
    // As far apart as they may be.
    let widest = ["2026-02-02T10:00:00", "2026-03-30T10:00:00", "2026-05-25T10:00:00", "2026-07-20T10:00:00"];
    let series = world.book_series(&widest).await.unwrap();
    world.cancel(session(&series, 2)).await.unwrap();
    let before = get_series(&world, &series.series_id).await;
    for (start, days) in [("2026-02-01T10:00:00", -1), ("2026-01-20T10:00:00", -12), ("2026-01-21T10:00:00", 1)] {
        let series = get_series(&world, &series.series_id).await;
        let (now, moves) = reschedule(&world, to(&world, &series, 1, start)).await.unwrap();
        assert_eq!(moves.iter().map(|moved| (moved.session_number, moved.days_moved)).collect::<Vec<_>>(), [(1, days)]);
        for number in [3, 4] {
            assert_eq!(session(&now, number), session(&before, number));
        }
    }
    // Between neighbours there is one.
    let series = get_series(&world, &series.series_id).await;
    let (_, moves) = reschedule(&world, to(&world, &series, 3, "2026-05-24T10:00:00")).await.unwrap();
    assert_eq!(
        told(&moves),
        ["3: 2026-05-25T10:00 to 2026-05-24T10:00, -1", "4: 2026-07-20T10:00 to 2026-07-19T10:00, -1"]
    );
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_may_move_to_another_clinic() {
    let mut world = World::new().await;
    let clinic = second_clinic(&mut world).await;
    let series = world.book_series(&FOUR).await.unwrap();
    let request =
        pb::RescheduleSessionRequest { clinic_id: clinic.clone(), ..to(&world, &series, 2, "2026-03-04T11:00:00") };
    let (now, moves) = reschedule(&world, request).await.unwrap();
    assert_eq!(moves[0].local_new_start, "2026-03-04T10:00:00+00:00");
    assert_eq!(
        told(&moves)[1..],
        ["3: 2026-03-30T10:00 to 2026-04-01T10:00, 2", "4: 2026-04-27T10:00 to 2026-04-29T10:00, 2",]
    );
    assert_eq!(session(&now, 2).clinic_id, clinic);
    assert_eq!(session(&now, 3).clinic_id, world.clinic);
    // Where no clinic is named it stays in the one that it is in now.
    let (now, _) = reschedule(&world, to(&world, &now, 2, "2026-03-03T11:00:00")).await.unwrap();
    assert_eq!(session(&now, 2).clinic_id, clinic);
    let unknown = pb::RescheduleSessionRequest { clinic_id: request_id(), ..to(&world, &now, 2, FOUR[1]) };
    assert_eq!(missing(&reschedule(&world, unknown).await.unwrap_err()), "clinic_id");
    let unknown = pb::RescheduleSessionRequest { practitioner_id: request_id(), ..to(&world, &now, 2, FOUR[1]) };
    assert_eq!(missing(&reschedule(&world, unknown).await.unwrap_err()), "practitioner_id");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earlier_sessions_never_move() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let before = revision(&world).await;
    let refused = async |number, start: &str| {
        said(&world, &reschedule(&world, to(&world, &series, number, start)).await.unwrap_err())
    };
    let (first, second) = (&session(&series, 1).appointment_id, &session(&series, 2).appointment_id);
    assert_eq!(
        refused(2, "2026-03-01T10:00:00").await,
        [format!("SESSION_TOO_SOON against {first} 27/28 days from 2026-03-02T00:00")]
    );
    assert_eq!(
        refused(4, "2026-03-31T10:00:00").await,
        [format!("SESSION_TOO_SOON against {} 1/28 days from 2026-04-27T00:00", session(&series, 3).appointment_id)]
    );
    let late = refused(2, "2026-03-31T10:00:00").await;
    assert_eq!(late, [format!("SESSION_TOO_LATE against {first} 57/56 days until 2026-03-30")]);
    let order = refused(3, "2026-02-20T10:00:00").await;
    assert!(order.iter().any(|line| line.starts_with(&format!("SESSION_OUT_OF_ORDER against {second}"))), "{order:?}");
    assert_eq!(revision(&world).await, before);
    assert_eq!(get_series(&world, &series.series_id).await, series);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_the_later_sessions_cannot_follow_is_refused_and_nothing_moves() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    // What is booked stays where it is; but the third could only be in May.
    close(&world, "2026-03-31T00:00:00", "2026-05-20T00:00:00").await;
    let status = reschedule(&world, to(&world, &series, 2, "2026-03-09T10:00:00")).await.unwrap_err();
    let told = said(&world, &status);
    assert!(told.contains(&"NO_PLAN".to_owned()), "{told:?}");
    let third = &session(&series, 3).appointment_id;
    assert!(told.iter().any(|line| line.starts_with(&format!("SESSION_TOO_SOON against {third} 21/28"))), "{told:?}");
    assert_eq!(get_series(&world, &series.series_id).await, series);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_refuses_a_move_and_says_from_when_it_is_not() {
    let world = World::new().await;
    let series = world.book_series(&APART).await.unwrap();
    let who = &world.practitioners[0];
    let mut taken = needling_request(&world, &world.patients[1], pb::BodyArea::Face, "2026-03-16T10:00:00");
    taken.resource_ids = vec![who.clone()];
    let taken = world.book(taken).await.unwrap();
    let mut request = to(&world, &series, 2, "2026-03-16T10:00:00");
    request.practitioner_id.clone_from(who);
    let status = reschedule(&world, request.clone()).await.unwrap_err();
    let against = &taken.appointment_id;
    assert_eq!(said(&world, &status), [format!("RESOURCE_BUSY against {against} of {who} from 2026-03-16T10:30")]);
    let [busy] = refusal(&status).try_into().unwrap();
    request.start_time = busy.earliest_start;
    let (now, _) = reschedule(&world, request).await.unwrap();
    assert_eq!(starts(&now)[1], "2026-03-16T10:30");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_respects_what_aftercare_would_forbid() {
    let world = World::new().await;
    let series = world.book_series(&APART).await.unwrap();
    let sauna = world.book_sauna("2026-03-20T10:00:00").await.unwrap();
    let status = reschedule(&world, to(&world, &series, 2, "2026-03-18T10:00:00")).await.unwrap_err();
    let told = said(&world, &status);
    let expected = format!("FORBIDS_BOOKED_ACTIVITY against {}", sauna.appointment_id);
    assert!(told.len() == 1 && told[0].starts_with(&expected), "{told:?}");
    reschedule(&world, to(&world, &series, 2, "2026-03-15T07:00:00")).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_and_the_windows_of_what_moved_are_free_at_once() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let old: Vec<pb::Appointment> = (2..=4).map(|number| session(&series, number).clone()).collect();
    world.book_sauna("2026-03-04T10:00:00").await.unwrap_err();
    // Far enough for the sauna in the old window to be out of the new one.
    let (now, moves) = reschedule(&world, to(&world, &series, 2, "2026-03-16T10:00:00")).await.unwrap();
    assert_eq!(moves.len(), 3);
    world.book_sauna("2026-03-04T10:00:00").await.unwrap();
    world.book_sauna("2026-03-18T10:00:00").await.unwrap_err();
    for old in &old {
        let start = &old.local_start[..19];
        let mut request = needling_request(&world, &world.patients[1], pb::BodyArea::Face, start);
        request.resource_ids = resources(old).into_iter().collect();
        world.book(request).await.unwrap();
    }
    for number in 2..=4 {
        let new = session(&now, number);
        let third = world.patient().await;
        let mut request = needling_request(&world, &third, pb::BodyArea::Face, &new.local_start[..19]);
        request.resource_ids = resources(new).into_iter().collect();
        let told = said(&world, &world.book(request).await.unwrap_err());
        assert!(told.iter().any(|line| line.contains(&new.appointment_id)), "{told:?}");
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_sent_again_moves_once_and_answers_the_same() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let request = to(&world, &series, 2, "2026-03-09T10:00:00");
    let first = reschedule(&world, request.clone()).await.unwrap();
    let after = revision(&world).await;
    assert_eq!(reschedule(&world, request.clone()).await.unwrap(), first);
    let mut sent = JoinSet::new();
    for _ in 0..8 {
        let (mut client, request) = (world.manager.series(), request.clone());
        sent.spawn(async move { client.reschedule_session(request).await.unwrap().into_inner() });
    }
    for answer in sent.join_all().await {
        assert_eq!((answer.series.as_ref(), &answer.moves), (Some(&first.0), &first.1));
    }
    let mut other = request.clone();
    other.session_number = 3;
    assert_eq!(reason(&reschedule(&world, other).await.unwrap_err()), "REQUEST_ID_REUSED");
    assert_eq!(revision(&world).await, after);

    // The series goes on; what moved then is told as it is now.
    cancel_series(&world, &first.0).await.unwrap();
    let (now, moves) = reschedule(&world, request).await.unwrap();
    assert_eq!(now.state(), pb::SeriesState::Cancelled);
    assert_eq!(moves, first.1);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_booked_or_was_changed_meanwhile_does_not_move() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let later = "2026-05-04T10:00:00";
    let status = reschedule(&world, to(&world, &series, 5, later)).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["session_number".to_owned()]));
    world.cancel(session(&series, 3)).await.unwrap();
    let status = reschedule(&world, to(&world, &series, 4, later)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let series = get_series(&world, &series.series_id).await;
    let status = reschedule(&world, to(&world, &series, 3, "2026-03-31T10:00:00")).await.unwrap_err();
    assert_eq!(said(&world, &status), ["APPOINTMENT_NOT_BOOKED"]);
    // Over the gap in the numbers the longest distance counts twice.
    let (now, _) = reschedule(&world, to(&world, &series, 4, later)).await.unwrap();
    world.book(session_request(&world, &now, 3, "2026-04-06T10:00:00")).await.unwrap();
    let now = get_series(&world, &series.series_id).await;
    let cancelled = cancel_series(&world, &now).await.unwrap();
    let status = reschedule(&world, to(&world, &cancelled, 2, "2026-03-03T10:00:00")).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SERIES_NOT_ACTIVE"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_begun_does_not_move() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let Some(()) = world.server.set_clock("2026-03-02T09:00:00Z") else { return };
    for number in [1, 2] {
        let status = reschedule(&world, to(&world, &series, number, "2026-03-03T10:00:00")).await.unwrap_err();
        assert_eq!(said(&world, &status), ["APPOINTMENT_STARTED"]);
    }
    let (now, moves) = reschedule(&world, to(&world, &series, 3, "2026-03-31T10:00:00")).await.unwrap();
    assert_eq!(moves.len(), 2);
    assert_eq!(now.sessions[..2], series.sessions[..2]);
    let status = reschedule(&world, to(&world, &now, 3, "2026-03-02T09:00:00")).await.unwrap_err();
    assert!(said(&world, &status).iter().any(|line| line.starts_with("START_IN_PAST")));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_move_and_book_at_once_each_is_told_what_became_of_it() {
    let world = World::new().await;
    let mut all = Vec::new();
    for _ in 0..4 {
        let patient = world.patient().await;
        let mut request = world.series_request(&FOUR);
        request.patient_id = patient;
        // Two at ten, two at noon.
        if all.len() >= 2 {
            request.sessions.iter_mut().for_each(|s| s.start_time.as_mut().unwrap().seconds += 7200);
        }
        all.push(world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap());
    }
    let mut moves = JoinSet::new();
    let mut bookings = JoinSet::new();
    for series in &all {
        // Two callers for each series; and all want to be at the same times.
        for start in ["2026-03-09T14:00:00", "2026-03-09T14:00:00"] {
            let (mut client, request) = (world.manager.series(), to(&world, series, 2, start));
            moves.spawn(async move { client.reschedule_session(request).await });
        }
        let patient = world.patient().await;
        let request = needling_request(&world, &patient, pb::BodyArea::Face, "2026-04-06T10:00:00");
        let mut client = world.manager.appointments();
        bookings.spawn(async move { client.book_appointment(request).await });
    }
    let (moved, stayed): (Vec<_>, Vec<_>) = moves.join_all().await.into_iter().partition(Result::is_ok);
    for status in stayed.iter().map(|answer| answer.as_ref().unwrap_err()) {
        assert!([Code::Aborted, Code::FailedPrecondition].contains(&status.code()), "{status:?}");
    }
    // Two practitioners, pens and rooms.
    assert_eq!(moved.len(), 2, "{stayed:?}");
    for answer in bookings.join_all().await {
        if let Err(status) = answer {
            assert!(!refusal(&status).is_empty());
        }
    }
    for answer in moved {
        let answer = answer.unwrap().into_inner();
        assert_eq!(answer.moves.len(), 3);
        assert_eq!(starts(answer.series.as_ref().unwrap())[1], "2026-03-09T14:00");
    }
    for series in &all {
        assert_eq!(starts(&get_series(&world, &series.series_id).await).len(), 4);
    }
    world.server.assert_clean().await;
}

// --- Longer and shorter series ---------------------------------------------------------------------------------------

fn longer(world: &World, series: &pb::Series, session_count: i32, starts: &[&str]) -> pb::ExtendSeriesRequest {
    pb::ExtendSeriesRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        session_count,
        clinic_id: world.clinic.clone(),
        sessions: world.series_request(starts).sessions,
        ..Default::default()
    }
}

fn longer_as_wished(world: &World, series: &pb::Series, session_count: i32) -> pb::ExtendSeriesRequest {
    let wishes = pb::SeriesWishes { weekdays: vec![pb::Weekday::Friday.into()], required: true, ..Default::default() };
    pb::ExtendSeriesRequest { wishes: Some(wishes), ..longer(world, series, session_count, &[]) }
}

async fn extend(world: &World, request: pb::ExtendSeriesRequest) -> Result<pb::Series, Status> {
    Ok(world.manager.series().extend_series(request).await?.into_inner().series.unwrap())
}

fn shorter(series: &pb::Series, session_count: i32) -> pb::ShortenSeriesRequest {
    pb::ShortenSeriesRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        session_count,
        cancel_reason: "enough".into(),
        ..Default::default()
    }
}

async fn shorten(world: &World, request: pb::ShortenSeriesRequest) -> Result<pb::Series, Status> {
    Ok(world.manager.series().shorten_series(request).await?.into_inner().series.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_extended_by_sessions_that_are_named() {
    let world = World::new().await;
    let series = world.book_series(&FOUR[..3]).await.unwrap();
    let before = revision(&world).await;
    let (fourth, fifth) = ("2026-04-27T10:00:00", "2026-06-22T15:00:00");
    for (request, field) in [
        (longer(&world, &series, 3, &[fourth]), "session_count"),
        (longer(&world, &series, 2, &[fourth]), "session_count"),
        (longer(&world, &series, 5, &[fourth]), "sessions"),
        (longer(&world, &series, 4, &[fourth, fifth]), "sessions"),
        (longer(&world, &series, 4, &[]), "sessions"),
        (longer(&world, &series, 13, &[fourth]), "session_count"),
        (longer_as_wished(&world, &series, 13), "session_count"),
        (longer(&world, &series, 5, &[fifth, fourth]), "sessions[1].start_time"),
    ] {
        let status = extend(&world, request).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    let both =
        pb::ExtendSeriesRequest { wishes: Some(pb::SeriesWishes::default()), ..longer(&world, &series, 4, &[fourth]) };
    assert_eq!(fields(&extend(&world, both).await.unwrap_err()), ["sessions"]);
    let seven = ["2026-04-27T10:00:00", "2026-05-25T10:00:00", "2026-06-22T10:00:00", "2026-07-20T10:00:00"];
    let status = extend(&world, longer(&world, &series, 7, &seven)).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
    let third = &session(&series, 3).appointment_id;
    let status = extend(&world, longer(&world, &series, 4, &["2026-04-26T10:00:00"])).await.unwrap_err();
    assert_eq!(
        said(&world, &status),
        [format!("SESSION_TOO_SOON sessions[0] against {third} 27/28 days from 2026-04-27T00:00")]
    );
    let status = extend(&world, longer(&world, &series, 5, &[fourth, "2026-06-23T10:00:00"])).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SESSION_TOO_LATE sessions[1] against sessions[0] 57/56 days until 2026-06-22"]);
    assert_eq!(revision(&world).await, before);

    let request = longer(&world, &series, 5, &[fourth, fifth]);
    let only = pb::ExtendSeriesRequest { validate_only: true, ..request.clone() };
    assert_eq!(starts(&extend(&world, only).await.unwrap()).len(), 5);
    assert_eq!(get_series(&world, &series.series_id).await, series);
    let five = extend(&world, request.clone()).await.unwrap();
    assert_eq!((five.session_count, five.sessions.len()), (5, 5));
    assert_eq!(five.sessions[..3], series.sessions[..3]);
    assert_eq!(starts(&five)[3..], ["2026-04-27T10:00", "2026-06-22T15:00"]);
    assert_eq!(extend(&world, request).await.unwrap(), five);
    assert_eq!(get_series(&world, &series.series_id).await, five);
    // The etag of before is that of before.
    let status = extend(&world, longer(&world, &series, 6, &["2026-07-20T10:00:00"])).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_extended_by_the_best_plan_for_what_is_not_booked() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    world.cancel(session(&series, 4)).await.unwrap();
    let series = get_series(&world, &series.series_id).await;
    let six = extend(&world, longer_as_wished(&world, &series, 6)).await.unwrap();
    assert_eq!((six.session_count, starts(&six).len()), (6, 6));
    assert_eq!(six.sessions[..3], series.sessions[..3]);
    // Each on a Friday, about five weeks apart.
    assert_eq!(
        starts(&six)[3..].iter().map(|start| &start[..10]).collect::<Vec<_>>(),
        ["2026-05-01", "2026-06-05", "2026-07-10"]
    );
    let own = pb::SeriesWishes { session_count: 6, ..Default::default() };
    let own = pb::ExtendSeriesRequest { wishes: Some(own), ..longer(&world, &series, 6, &[]) };
    assert_eq!(fields(&extend(&world, own).await.unwrap_err()), ["wishes.session_count"]);
    let status = extend(&world, longer_as_wished(&world, &six, 7)).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_plan_could_mend_is_told_before_one_is_sought() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    // There is no plan, whoever asks.
    close(&world, "2026-05-01T00:00:00", "2028-01-01T00:00:00").await;
    let status = extend(&world, longer_as_wished(&world, &series, 5)).await.unwrap_err();
    assert!(said(&world, &status).contains(&"NO_PLAN".to_owned()), "{status:?}");
    for count in [1, 3, 4] {
        let status = extend(&world, longer_as_wished(&world, &series, count)).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["session_count".to_owned()]));
    }
    world.cancel(session(&series, 4)).await.unwrap();
    let now = get_series(&world, &series.series_id).await;
    let before = revision(&world).await;
    // Of an earlier state of the series, whatever else is the matter.
    for count in [4, 5, 7] {
        let status = extend(&world, longer_as_wished(&world, &series, count)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_MISMATCH"), "{count}");
    }
    let status = extend(&world, longer_as_wished(&world, &now, 5)).await.unwrap_err();
    assert!(said(&world, &status).contains(&"NO_PLAN".to_owned()), "{status:?}");
    let status = extend(&world, longer_as_wished(&world, &now, 4)).await.unwrap_err();
    assert_eq!(fields(&status), ["session_count"]);
    assert_eq!((revision(&world).await, get_series(&world, &series.series_id).await), (before, now));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_is_extended_by_one_request_eight_times_at_once_is_extended_once() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let before = revision(&world).await;
    let request = longer_as_wished(&world, &series, 5);
    let mut sent = JoinSet::new();
    for _ in 0..8 {
        let (mut client, request) = (world.manager.series(), request.clone());
        sent.spawn(async move { client.extend_series(request).await.unwrap().into_inner().series.unwrap() });
    }
    let answers = sent.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(extend(&world, request).await.unwrap(), answers[0]);
    assert_eq!(revision(&world).await, before + 1);
    assert_eq!(clinic_sheet(&world).await.len(), 5);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_shortened_to_what_its_protocol_allows() {
    let world = World::new().await;
    let four = world.book_series(&FOUR).await.unwrap();
    let series =
        extend(&world, longer(&world, &four, 6, &["2026-05-25T10:00:00", "2026-06-22T10:00:00"])).await.unwrap();
    let before = revision(&world).await;
    for count in [6, 7, 12] {
        let status = shorten(&world, shorter(&series, count)).await.unwrap_err();
        assert_eq!(fields(&status), ["session_count"]);
    }
    let status = shorten(&world, shorter(&series, 2)).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
    let status = shorten(&world, shorter(&four, 3)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let only = pb::ShortenSeriesRequest { validate_only: true, ..shorter(&series, 3) };
    assert_eq!(shorten(&world, only).await.unwrap().session_count, 3);
    assert_eq!((revision(&world).await, get_series(&world, &series.series_id).await), (before, series.clone()));

    let request = shorter(&series, 3);
    let three = shorten(&world, request.clone()).await.unwrap();
    assert_eq!((three.session_count, &three.sessions[..]), (3, &series.sessions[..3]));
    assert_eq!(get_series(&world, &series.series_id).await, three);
    assert_eq!(shorten(&world, request).await.unwrap(), three);
    for number in 4..=6 {
        let gone = get_appointment(&world, &session(&series, number).appointment_id).await;
        assert_eq!((gone.state(), gone.cancel_reason.as_str()), (pb::AppointmentState::Cancelled, "enough"));
    }
    // Their time is free, and the series may grow again.
    world.book_sauna("2026-04-27T10:00:00").await.unwrap();
    let again = extend(&world, longer(&world, &three, 4, &["2026-05-25T10:00:00"])).await.unwrap();
    let status = world.book(session_request(&world, &again, 5, "2026-06-22T10:00:00")).await.unwrap_err();
    assert_eq!(fields(&status), ["session.session_number"]);
    let cancelled = cancel_series(&world, &again).await.unwrap();
    let status = shorten(&world, shorter(&cancelled, 3)).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SERIES_NOT_ACTIVE"]);
    let status = extend(&world, longer(&world, &cancelled, 5, &["2026-06-22T10:00:00"; 1])).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SERIES_NOT_ACTIVE"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_have_begun_stay_when_a_series_is_shortened_or_extended() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let Some(()) = world.server.set_clock("2026-04-27T08:00:00Z") else { return };
    let last = &session(&series, 4).appointment_id;
    let status = shorten(&world, shorter(&series, 3)).await.unwrap_err();
    assert_eq!(said(&world, &status), [format!("APPOINTMENT_STARTED against {last}")]);
    let five = extend(&world, longer_as_wished(&world, &series, 5)).await.unwrap();
    assert_eq!(five.sessions[..4], series.sessions[..4]);
    assert_eq!(five.sessions[4].gap_days, 32);
    let four = shorten(&world, shorter(&five, 4)).await.unwrap();
    assert_eq!(four.sessions, series.sessions);
    world.server.assert_clean().await;
}

// --- Visits that stand alone -----------------------------------------------------------------------------------------

fn visit_to(world: &World, visit: &pb::Appointment, start: &str) -> pb::RescheduleAppointmentRequest {
    pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: visit.etag.clone(),
        appointment_id: visit.appointment_id.clone(),
        start_time: timestamp(world.local(start)),
        ..Default::default()
    }
}

async fn reschedule_visit(world: &World, request: pb::RescheduleAppointmentRequest) -> Result<pb::Appointment, Status> {
    Ok(world.manager.appointments().reschedule_appointment(request).await?.into_inner().appointment.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_stands_alone_moves_and_keeps_what_it_had() {
    let world = World::new().await;
    let patient = &world.patients[0];
    let mut needling = needling_request(&world, patient, pb::BodyArea::Face, "2026-02-10T10:00:00");
    needling.resource_ids = vec![world.rooms[1].clone(), world.practitioners[1].clone(), world.pens[1].clone()];
    let mut sauna = world.visit_request(&world.sauna, "2026-02-04T10:00:00");
    sauna.resource_ids = vec![world.rooms[1].clone()];
    for (request, start) in [(needling, "2026-02-12T10:30:00"), (sauna, "2026-02-04T10:15:00")] {
        let old = world.book(request).await.unwrap();
        let before = revision(&world).await;
        let request = visit_to(&world, &old, start);
        let only = pb::RescheduleAppointmentRequest { validate_only: true, ..request.clone() };
        let shown = reschedule_visit(&world, only).await.unwrap();
        assert_eq!((revision(&world).await, get_appointment(&world, &old.appointment_id).await), (before, old.clone()));
        let new = reschedule_visit(&world, request.clone()).await.unwrap();
        assert_eq!((shown.start_time, &shown.phases), (new.start_time, &new.phases));
        assert_eq!(new.local_start[..19], *start);
        assert_eq!(resources(&new), resources(&old));
        assert_eq!((new.body_area, &new.treatment_id), (old.body_area, &old.treatment_id));
        assert_eq!((&new.replaces_appointment_id, new.state()), (&old.appointment_id, pb::AppointmentState::Booked));
        let gone = get_appointment(&world, &old.appointment_id).await;
        assert_eq!(gone.state(), pb::AppointmentState::Cancelled);
        assert_eq!(gone.replaced_by_appointment_id, new.appointment_id);
        assert_eq!(get_appointment(&world, &new.appointment_id).await, new);
        // Sent again, it moves no further.
        let after = revision(&world).await;
        assert_eq!(reschedule_visit(&world, request.clone()).await.unwrap(), new);
        assert_eq!((after, revision(&world).await), (before + 1, after));
        let mut other = request;
        other.start_time.as_mut().unwrap().seconds += 3600;
        assert_eq!(reason(&reschedule_visit(&world, other).await.unwrap_err()), "REQUEST_ID_REUSED");
    }
    let of_patient = sheet(&world, pb::list_appointments_request::Subject::PatientId(patient.clone())).await;
    assert_eq!(of_patient.len(), 2);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_and_the_windows_of_a_visit_that_moved_are_free_at_once() {
    let mut world = World::new().await;
    let clinic = second_clinic(&mut world).await;
    let request = needling_request(&world, &world.patients[0], pb::BodyArea::Face, "2026-02-10T10:00:00");
    let old = world.book(request).await.unwrap();
    world.book_sauna("2026-02-11T10:00:00").await.unwrap_err();
    let request =
        pb::RescheduleAppointmentRequest { clinic_id: clinic.clone(), ..visit_to(&world, &old, "2026-02-17T10:00:00") };
    let new = reschedule_visit(&world, request).await.unwrap();
    assert_eq!((new.clinic_id.as_str(), new.local_start.as_str()), (clinic.as_str(), "2026-02-17T09:00:00+00:00"));
    world.book_sauna("2026-02-11T10:00:00").await.unwrap();
    world.book_sauna("2026-02-18T10:00:00").await.unwrap_err();
    let mut taken = needling_request(&world, &world.patients[1], pb::BodyArea::Face, "2026-02-10T10:00:00");
    taken.resource_ids = resources(&old).into_iter().collect();
    world.book(taken).await.unwrap();
    // Back again it may not: the sauna would be in its window.
    let back = pb::RescheduleAppointmentRequest {
        clinic_id: world.clinic.clone(),
        ..visit_to(&world, &new, "2026-02-10T12:00:00")
    };
    let told = said(&world, &reschedule_visit(&world, back).await.unwrap_err());
    assert!(told.iter().any(|line| line.starts_with("FORBIDS_BOOKED_ACTIVITY")), "{told:?}");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_cannot_move_is_told_why() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let status =
        reschedule_visit(&world, visit_to(&world, session(&series, 2), "2026-03-03T10:00:00")).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["appointment_id".to_owned()]));

    let visit = world.book_sauna("2026-02-20T10:00:00").await.unwrap();
    let refused =
        async |start: &str| said(&world, &reschedule_visit(&world, visit_to(&world, &visit, start)).await.unwrap_err());
    let first = &session(&series, 1).appointment_id;
    assert_eq!(
        refused("2026-02-04T10:00:00").await,
        [format!("ACTIVITY_FORBIDDEN against {first} from 2026-02-07T11:00")]
    );
    assert!(refused("2026-01-04T10:00:00").await[0].starts_with("START_IN_PAST"));
    assert!(refused("2027-03-04T10:00:00").await[0].starts_with("BEYOND_HORIZON"));
    // A room that is taken.
    let mut other = world.visit_request(&world.sauna, "2026-02-21T10:00:00");
    other.resource_ids = vec![world.rooms[0].clone()];
    let Some(pb::book_appointment_request::Visit::Treatment(of)) = &mut other.visit else { unreachable!() };
    of.patient_id.clone_from(&world.patients[1]);
    let taken = world.book(other).await.unwrap();
    let request = pb::RescheduleAppointmentRequest {
        resource_ids: vec![world.rooms[0].clone()],
        ..visit_to(&world, &visit, "2026-02-21T10:15:00")
    };
    let (room, against) = (&world.rooms[0], &taken.appointment_id);
    assert_eq!(
        said(&world, &reschedule_visit(&world, request).await.unwrap_err()),
        [format!("RESOURCE_BUSY against {against} of {room} from 2026-02-21T10:30")]
    );
    let unknown = |change: &dyn Fn(&mut pb::RescheduleAppointmentRequest)| {
        let mut request = visit_to(&world, &visit, "2026-02-21T10:00:00");
        change(&mut request);
        request
    };
    for (request, field) in [
        (unknown(&|request| request.appointment_id = request_id()), "appointment_id"),
        (unknown(&|request| request.clinic_id = request_id()), "clinic_id"),
        (unknown(&|request| request.resource_ids = vec![request_id()]), "resource_ids[0]"),
    ] {
        assert_eq!(missing(&reschedule_visit(&world, request).await.unwrap_err()), field);
    }
    assert_eq!(get_appointment(&world, &visit.appointment_id).await, visit);

    let cancelled = world.cancel(&visit).await.unwrap();
    let status = reschedule_visit(&world, visit_to(&world, &visit, "2026-02-21T10:00:00")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let status = reschedule_visit(&world, visit_to(&world, &cancelled, "2026-02-21T10:00:00")).await.unwrap_err();
    assert_eq!(said(&world, &status), ["APPOINTMENT_NOT_BOOKED"]);
    let Some(()) = world.server.set_clock("2026-02-21T09:00:00Z") else { return };
    let status = reschedule_visit(&world, visit_to(&world, &taken, "2026-02-22T10:00:00")).await.unwrap_err();
    assert_eq!(said(&world, &status), ["APPOINTMENT_STARTED"]);
    world.server.assert_clean().await;
}
