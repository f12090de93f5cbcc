//! Cancelling frees what a visit took; a session can be booked anew, between its neighbours.

use stipple::rpc::pb;
use tonic::Code;

use crate::desk::{
    FOUR, cancel_series, clinic_sheet, get_appointment, get_series, needling_request, said, session, session_request,
};
use crate::harness::World;
use crate::harness::wire::{fields, reason};
use crate::harness::world::request_id;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_session_frees_its_slot_and_its_windows() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let second = session(&series, 2);
    let mut request = needling_request(&world, &world.patients[1], pb::BodyArea::Face, FOUR[1]);
    request.resource_ids = second.phases[0].resources.iter().map(|resource| resource.resource_id.clone()).collect();
    world.book(request.clone()).await.unwrap_err();
    world.book_sauna("2026-03-04T10:00:00").await.unwrap_err();

    let cancelled = world.cancel(second).await.unwrap();
    assert_eq!(cancelled.state(), pb::AppointmentState::Cancelled);
    assert!(cancelled.cancelled_at.is_some());
    assert_ne!(cancelled.etag, second.etag);
    assert_eq!(get_appointment(&world, &second.appointment_id).await, cancelled);
    let now = get_series(&world, &series.series_id).await;
    assert_ne!(now.etag, series.etag);
    assert_eq!(now.sessions[1].appointment, None);
    let gaps: Vec<i32> = now.sessions.iter().map(|session| session.gap_days).collect();
    assert_eq!(gaps, [0, 0, 0, 28]);
    assert_eq!(clinic_sheet(&world).await.len(), 3);

    world.book(request).await.unwrap();
    world.book_sauna("2026-03-04T10:00:00").await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_booked_anew_between_its_neighbours_only() {
    let world = World::new().await;
    // 40 days apart, so that there is room on both sides.
    let starts = ["2026-02-02T10:00:00", "2026-03-14T10:00:00", "2026-04-23T10:00:00", "2026-06-02T10:00:00"];
    let series = world.book_series(&starts).await.unwrap();
    world.cancel(session(&series, 2)).await.unwrap();
    let (first, third) = (&session(&series, 1).appointment_id, &session(&series, 3).appointment_id);
    let refused = async |number, start: &str| {
        let status = world.book(session_request(&world, &series, number, start)).await.unwrap_err();
        said(&world, &status)
    };
    // The gap after the first ends on 2 March, and the third is on 23 April.
    assert_eq!(
        refused(2, "2026-03-01T10:00:00").await,
        [format!("SESSION_TOO_SOON against {first} 27/28 days from 2026-03-02T00:00")]
    );
    assert_eq!(
        refused(2, "2026-03-27T10:00:00").await,
        // After the third, the fourth is in the way, until 30 June: more than 90 days later.
        [format!("SESSION_TOO_SOON against {third} 27/28 days")]
    );
    assert_eq!(
        refused(2, "2026-02-20T10:00:00").await,
        [
            // To the third session it would be 62 days, where 56 are allowed.
            format!("SESSION_TOO_LATE against {third} 62/56 days from 2026-02-26T00:00"),
            format!("SESSION_TOO_SOON against {first} 18/28 days from 2026-03-02T00:00"),
        ]
    );
    let after = refused(2, "2026-05-22T10:00:00").await;
    assert!(after.contains(&format!("SESSION_OUT_OF_ORDER against {third}")), "{after:?}");
    assert!(after.contains(&format!("SESSION_TOO_LATE against {first} 109/56 days until 2026-03-30")), "{after:?}");
    let before = refused(2, "2026-01-06T10:00:00").await;
    assert!(before.contains(&format!("SESSION_OUT_OF_ORDER against {first} from 2026-02-03T00:00")), "{before:?}");
    assert!(
        before.contains(&format!("SESSION_TOO_SOON against {first} 27/28 days from 2026-03-02T00:00")),
        "{before:?}"
    );
    // The same day is no order.
    let same_day = refused(2, "2026-02-02T16:00:00").await;
    assert!(same_day.contains(&format!("SESSION_OUT_OF_ORDER against {first} from 2026-02-03T00:00")), "{same_day:?}");

    let booked = session_request(&world, &series, 1, "2026-02-02T10:00:00");
    let status = world.book(booked).await.unwrap_err();
    assert_eq!(said(&world, &status), [format!("SESSION_ALREADY_BOOKED against {first}")]);
    for number in [5, 0, 13] {
        let status = world.book(session_request(&world, &series, number, "2026-07-02T10:00:00")).await.unwrap_err();
        assert_eq!(fields(&status), ["session.session_number"]);
    }

    // Both edges of what is allowed.
    let again = world.book(session_request(&world, &series, 2, "2026-03-26T10:00:00")).await.unwrap();
    assert_eq!((again.series_id.as_str(), again.session_number), (series.series_id.as_str(), 2));
    let now = get_series(&world, &series.series_id).await;
    assert_eq!(now.sessions[1].appointment.as_ref(), Some(&again));
    let gaps: Vec<i32> = now.sessions.iter().map(|session| session.gap_days).collect();
    assert_eq!(gaps, [0, 52, 28, 40]);
    world.cancel(&again).await.unwrap();
    world.book(session_request(&world, &series, 2, "2026-03-02T10:00:00")).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_very_next_session_may_be_too_late() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    for number in [2, 3, 4] {
        world.cancel(session(&series, number)).await.unwrap();
    }
    // Two numbers after the first: 100 days are none too many, for the second lies in between.
    world.book(session_request(&world, &series, 3, "2026-05-13T10:00:00")).await.unwrap();
    let status = world.book(session_request(&world, &series, 4, "2026-07-09T10:00:00")).await.unwrap_err();
    let third = get_series(&world, &series.series_id).await;
    let third = &session(&third, 3).appointment_id;
    assert_eq!(said(&world, &status), [format!("SESSION_TOO_LATE against {third} 57/56 days until 2026-07-08")]);
    world.book(session_request(&world, &series, 4, "2026-07-08T10:00:00")).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cancelled_or_changed_meanwhile_is_not_cancelled_again() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1);
    let cancelled = world.cancel(first).await.unwrap();
    // With the old etag it has changed; with the new one it is not booked.
    let status = world.cancel(first).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let status = world.cancel(&cancelled).await.unwrap_err();
    assert_eq!(said(&world, &status), ["APPOINTMENT_NOT_BOOKED"]);
    // The series has changed with its session.
    let status = cancel_series(&world, &series).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(clinic_sheet(&world).await.len(), 3);
    let request = pb::CancelAppointmentRequest {
        request_id: request_id(),
        appointment_id: session(&series, 2).appointment_id.clone(),
        ..Default::default()
    };
    let status = world.manager.appointments().cancel_appointment(request).await.unwrap_err();
    assert_eq!(fields(&status), ["etag"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_series_frees_all_its_sessions() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let cancelled = cancel_series(&world, &series).await.unwrap();
    assert_eq!((cancelled.state(), cancelled.cancel_reason.as_str()), (pb::SeriesState::Cancelled, "moved away"));
    assert_eq!(cancelled.session_count, 4);
    assert!(cancelled.cancelled_at.is_some());
    assert!(cancelled.sessions.iter().all(|session| session.appointment.is_none()));
    assert_eq!(get_series(&world, &series.series_id).await, cancelled);
    assert!(clinic_sheet(&world).await.is_empty());
    for number in 1..=4 {
        let appointment = get_appointment(&world, &session(&series, number).appointment_id).await;
        assert_eq!(appointment.state(), pb::AppointmentState::Cancelled);
        assert_eq!(appointment.cancel_reason, "moved away");
    }
    let status = cancel_series(&world, &cancelled).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SERIES_NOT_ACTIVE"]);
    let status = world.book(session_request(&world, &series, 1, FOUR[0])).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SERIES_NOT_ACTIVE"]);
    world.book_sauna("2026-02-05T10:00:00").await.unwrap();
    let again = ["2026-03-02T10:00:00", "2026-03-30T10:00:00", "2026-04-27T10:00:00"];
    world.book_series(&again).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_begun_cannot_be_cancelled_and_keeps_its_windows() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let (first, second) = (session(&series, 1), session(&series, 2));
    // The very moment at which the second session begins, in UTC.
    let Some(()) = world.server.set_clock("2026-03-02T09:00:00Z") else { return };
    for begun in [first, second] {
        let status = world.cancel(begun).await.unwrap_err();
        assert_eq!(said(&world, &status), ["APPOINTMENT_STARTED"]);
    }
    let cancelled = cancel_series(&world, &series).await.unwrap();
    let kept: Vec<bool> = cancelled.sessions.iter().map(|session| session.appointment.is_some()).collect();
    assert_eq!(kept, [true, true, false, false]);
    assert_eq!(cancelled.sessions[1].appointment.as_ref(), Some(second));
    assert_eq!(get_series(&world, &series.series_id).await, cancelled);
    assert_eq!(clinic_sheet(&world).await, [first.clone(), second.clone()]);
    let status = world.book_sauna("2026-03-05T10:00:00").await.unwrap_err();
    let against = &second.appointment_id;
    assert_eq!(said(&world, &status), [format!("ACTIVITY_FORBIDDEN against {against} from 2026-03-07T11:00")]);
    let status = world.book_series(&["2026-03-29T10:00:00", "2026-04-26T10:00:00", "2026-05-24T10:00:00"]).await;
    assert_eq!(
        said(&world, &status.unwrap_err()),
        [format!("SESSION_TOO_SOON sessions[0] against {against} 27/28 days from 2026-03-30T00:00")]
    );
    world.book_sauna("2026-04-01T10:00:00").await.unwrap();
    world.server.assert_clean().await;
}
