//! A repeated request books once, and of many callers for one slot exactly one gets it.

use std::collections::BTreeSet;

use stipple::rpc::pb;
use tokio::task::JoinSet;
use tonic::Code;

use crate::desk::{FOUR, clinic_sheet, get_series, needling_request, revision, said, serving, session};
use crate::harness::World;
use crate::harness::wire::reason;
use crate::harness::world::{request_id, timestamp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_twice_books_once_and_answers_the_same() {
    let world = World::new().await;
    let request = world.series_request(&FOUR);
    let first = world.manager.series().book_series(request.clone()).await.unwrap().into_inner().series.unwrap();
    let after = revision(&world).await;
    let again = world.manager.series().book_series(request.clone()).await.unwrap().into_inner().series.unwrap();
    assert_eq!(first, again);
    assert_eq!(revision(&world).await, after);

    let sauna = world.visit_request(&world.sauna, "2026-01-10T10:00:00");
    let first = world.book(sauna.clone()).await.unwrap();
    assert_eq!(world.book(sauna.clone()).await.unwrap(), first);
    // A repeat answers with what the request made, as it is now.
    let cancelled = world.cancel(&first).await.unwrap();
    assert_eq!(world.book(sauna).await.unwrap(), cancelled);
    assert_eq!(clinic_sheet(&world).await.len(), 4);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_sixteen_times_at_once_books_once() {
    let world = World::new().await;
    let before = revision(&world).await;
    let request = world.series_request(&FOUR);
    let mut sent = JoinSet::new();
    for _ in 0..16 {
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
async fn nobody_is_refused_a_visit_because_of_what_the_same_request_has_booked() {
    let world = World::new().await;
    let before = revision(&world).await;
    let request = world.visit_request(&world.sauna, "2026-02-02T10:00:00");
    let mut sent = JoinSet::new();
    for _ in 0..16 {
        let (mut client, request) = (world.manager.appointments(), request.clone());
        sent.spawn(async move { client.book_appointment(request).await.unwrap().into_inner().appointment.unwrap() });
    }
    let answers = sent.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(revision(&world).await, before + 1);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_payload_under_a_used_request_id_is_told_apart() {
    let world = World::new().await;
    let request = world.series_request(&FOUR);
    world.manager.series().book_series(request.clone()).await.unwrap();
    let after = revision(&world).await;
    let mut other = request.clone();
    other.body_area = pb::BodyArea::Face.into();
    let status = world.manager.series().book_series(other).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"));
    // The same id for another method.
    let mut sauna = world.visit_request(&world.sauna, "2026-01-10T10:00:00");
    sauna.request_id = request.request_id;
    assert_eq!(reason(&world.book(sauna).await.unwrap_err()), "REQUEST_ID_REUSED");
    assert_eq!(revision(&world).await, after);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_only_validates_changes_nothing_and_does_not_use_up_its_id() {
    let world = World::new().await;
    let before = revision(&world).await;
    let mut request = world.series_request(&FOUR);
    request.validate_only = true;
    let shown = world.manager.series().book_series(request.clone()).await.unwrap().into_inner().series.unwrap();
    assert_eq!(shown.sessions.len(), 4);
    assert_eq!(session(&shown, 1).state(), pb::AppointmentState::Booked);
    assert_eq!(revision(&world).await, before);
    assert!(clinic_sheet(&world).await.is_empty());
    // A refusal is the same, too.
    let mut bad = world.series_request(&["2026-02-02T10:00:00", "2026-03-01T10:00:00", "2026-03-30T10:00:00"]);
    bad.validate_only = true;
    let status = world.manager.series().book_series(bad).await.unwrap_err();
    assert!(said(&world, &status)[0].starts_with("SESSION_TOO_SOON sessions[1]"));

    request.validate_only = false;
    let booked = world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap();
    assert_eq!(clinic_sheet(&world).await.len(), 4);

    // Cancelling likewise.
    let first = session(&booked, 1);
    let mut cancel = pb::CancelAppointmentRequest {
        request_id: request_id(),
        etag: first.etag.clone(),
        appointment_id: first.appointment_id.clone(),
        validate_only: true,
        ..Default::default()
    };
    let mut appointments = world.manager.appointments();
    let shown = appointments.cancel_appointment(cancel.clone()).await.unwrap().into_inner().appointment.unwrap();
    assert_eq!(shown.state(), pb::AppointmentState::Cancelled);
    assert_eq!(get_series(&world, &booked.series_id).await, booked);
    cancel.validate_only = false;
    appointments.cancel_appointment(cancel).await.unwrap();
    assert_eq!(clinic_sheet(&world).await.len(), 3);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_id_of_a_refused_request_can_be_used_again() {
    let world = World::new().await;
    let sauna = world.book_sauna("2026-02-05T10:00:00").await.unwrap();
    let request = world.series_request(&FOUR);
    world.manager.series().book_series(request.clone()).await.unwrap_err();
    // The same request is decided anew, and so is another under the same id.
    world.cancel(&sauna).await.unwrap();
    let mut other = request.clone();
    other.sessions[0].start_time = timestamp(world.local("2026-02-02T11:30:00"));
    world.manager.series().book_series(other).await.unwrap();
    assert_eq!(reason(&world.manager.series().book_series(request).await.unwrap_err()), "REQUEST_ID_REUSED");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_four_callers_for_the_last_room_exactly_one_gets_it() {
    let world = World::new().await;
    let mut patients = world.patients.clone();
    while patients.len() < 64 {
        patients.push(world.patient().await);
    }
    let before = revision(&world).await;
    let mut sent = JoinSet::new();
    for patient in patients {
        let mut request = needling_request(&world, &patient, pb::BodyArea::Face, "2026-02-02T10:00:00");
        request.resource_ids = vec![world.rooms[0].clone()];
        let mut client = world.manager.appointments();
        sent.spawn(async move { client.book_appointment(request).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = sent.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 63));
    let winner = won.into_iter().next().unwrap().unwrap().into_inner().appointment.unwrap();
    assert_eq!(serving(&winner, 0, pb::ResourceKind::Room), world.rooms[0]);
    let (room, with) = (&world.rooms[0], &winner.appointment_id);
    for status in lost.into_iter().map(Result::unwrap_err) {
        assert_eq!(said(&world, &status), [format!("RESOURCE_BUSY against {with} of {room} from 2026-02-02T11:20")]);
    }
    assert_eq!(revision(&world).await, before + 1);
    assert_eq!(clinic_sheet(&world).await, [winner]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thirty_two_callers_for_two_rooms_exactly_two_get_one() {
    let world = World::new().await;
    let mut patients = world.patients.clone();
    while patients.len() < 32 {
        patients.push(world.patient().await);
    }
    let mut sent = JoinSet::new();
    for patient in patients {
        let request = needling_request(&world, &patient, pb::BodyArea::Face, "2026-02-02T10:00:00");
        let mut client = world.manager.appointments();
        sent.spawn(async move { client.book_appointment(request).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = sent.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (2, 30));
    let rooms: BTreeSet<String> = won
        .into_iter()
        .map(|answer| serving(&answer.unwrap().into_inner().appointment.unwrap(), 0, pb::ResourceKind::Room))
        .collect();
    assert_eq!(rooms.len(), 2);
    for status in lost.into_iter().map(Result::unwrap_err) {
        let said = said(&world, &status);
        assert!(said.iter().all(|line| line.starts_with("NO_RESOURCE_FREE against ")), "{said:?}");
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thirty_two_callers_who_book_a_series_for_one_patient_exactly_one_does() {
    let world = World::new().await;
    let mut sent = JoinSet::new();
    for _ in 0..32 {
        let (mut client, request) = (world.manager.series(), world.series_request(&FOUR));
        sent.spawn(async move { client.book_series(request).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = sent.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 31));
    let series = won.into_iter().next().unwrap().unwrap().into_inner().series.unwrap();
    for status in lost.into_iter().map(Result::unwrap_err) {
        // Each session meets the booked one of the same time, and is too soon after it and the ones around.
        let said = said(&world, &status);
        for (place, number) in (1..=4).enumerate() {
            let against = &session(&series, number).appointment_id;
            assert!(
                said.contains(&format!(
                    "PATIENT_BUSY sessions[{place}] against {against} from {}:05",
                    &FOUR[place].replace("10:00:00", "11")
                )),
                "{said:?}"
            );
            let gap = format!("SESSION_TOO_SOON sessions[{place}] against {against} 0/28 days");
            assert!(said.iter().any(|line| line.starts_with(&gap)), "{said:?}");
        }
        assert_eq!(said.len(), 8, "{said:?}");
    }
    assert_eq!(clinic_sheet(&world).await.len(), 4);
    world.server.assert_clean().await;
}
