//! Whoever cancels or misses a session is told what its series needs next.

use stipple::rpc::pb;

use crate::desk::{FOUR, get_appointment, get_series, instant, session, session_request};
use crate::harness::World;
use crate::harness::world::request_id;
use crate::no_shows::{mark, no_show_request, undo};

async fn cancel_request(world: &World, id: &str) -> pb::CancelAppointmentRequest {
    pb::CancelAppointmentRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        ..Default::default()
    }
}

async fn cancel(world: &World, id: &str) -> pb::CancelAppointmentResponse {
    let request = cancel_request(world, id).await;
    world.manager.appointments().cancel_appointment(request).await.unwrap().into_inner()
}

/// Number, days since the one before, earliest and latest day, and the starts of its slots.
fn told(next: Option<&pb::NextSession>) -> (i32, i32, &str, &str, Vec<&str>) {
    let next = next.expect("a session is open");
    let starts = next.slots.iter().map(|slot| &slot.local_start[..16]).collect();
    (next.session_number, next.days_since_previous, &next.earliest_date, &next.latest_date, starts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_session_is_open_on_the_days_that_its_neighbours_leave_and_its_slots_are_bookable() {
    let world = World::new().await;
    let days = ["2026-02-02T10:00:00", "2026-03-09T10:00:00", "2026-04-13T10:00:00"];
    let series = world.book_series(&days).await.unwrap();
    let second = session(&series, 2).appointment_id.clone();
    let dry = pb::CancelAppointmentRequest { validate_only: true, ..cancel_request(&world, &second).await };
    let dry = world.manager.appointments().cancel_appointment(dry).await.unwrap().into_inner();
    let request = cancel_request(&world, &second).await;
    let done = world.manager.appointments().cancel_appointment(request.clone()).await.unwrap().into_inner();
    let again = world.manager.appointments().cancel_appointment(request).await.unwrap().into_inner();
    assert_eq!(again, done);
    let next = done.next_session.as_ref();
    assert_eq!(next.unwrap().previous_date, "2026-02-02");
    let (number, since, earliest, latest, starts) = told(next);
    // 28 days after the first, and 28 before the third.
    assert_eq!((number, earliest, latest), (2, "2026-03-02", "2026-03-16"));
    assert!(since < 0, "the first is still to come");
    assert_eq!(starts.len(), 5);
    assert!(starts.iter().all(|start| start.starts_with("2026-03-02T")), "{starts:?}");
    let (_, _, first, last, none) = told(dry.next_session.as_ref());
    assert_eq!((first, last, none.len()), (earliest, latest, 0));
    for slot in &next.unwrap().slots {
        let mut request = session_request(&world, &series, 2, FOUR[0]);
        request.start_time = slot.start_time;
        request.validate_only = true;
        world.book(request).await.unwrap();
    }
    // What is bookable next comes first.
    let third = cancel(&world, &session(&series, 3).appointment_id).await;
    let (number, _, earliest, latest, _) = told(third.next_session.as_ref());
    assert_eq!((number, earliest, latest), (2, "2026-03-02", "2026-03-30"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missed_session_is_open_from_now_on_unless_the_next_one_leaves_no_day() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let (first, second) = (session(&series, 1).appointment_id.clone(), session(&series, 2).appointment_id.clone());
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    let missed = mark(&world, &first).await.unwrap();
    let (number, since, earliest, latest, starts) = told(missed.next_session.as_ref());
    assert_eq!((number, since, earliest, latest), (1, 0, "2026-02-02", "2026-02-02"));
    assert_eq!(starts.first(), Some(&"2026-02-02T10:15"));
    assert_eq!(missed.next_session.unwrap().previous_date, "");
    world.book(session_request(&world, &series, 1, "2026-02-02T11:00:00")).await.unwrap();
    // On the day after it should have been, the third lies too near for the second.
    let Some(()) = world.server.set_clock("2026-03-03T09:00:00Z") else { return };
    let missed = mark(&world, &second).await.unwrap();
    let (number, since, earliest, latest, starts) = told(missed.next_session.as_ref());
    assert_eq!((number, since, earliest, latest), (2, 29, "2026-03-03", "2026-03-02"));
    assert_eq!(starts, [""; 0]);
    // The last one has nobody after it, but the longest gap.
    let Some(()) = world.server.set_clock("2026-03-20T09:00:00Z") else { return };
    cancel(&world, &session(&series, 3).appointment_id).await;
    let last = cancel(&world, &session(&series, 4).appointment_id).await;
    let (number, since, earliest, latest, starts) = told(last.next_session.as_ref());
    assert_eq!((number, since, earliest, latest), (2, 46, "2026-03-20", "2026-03-30"));
    let end = instant(last.next_session.as_ref().unwrap().slots[4].start_time.as_ref());
    assert!(starts.len() == 5 && end > world.local("2026-03-20T10:00:00"), "{starts:?}");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_tells_nothing_of_a_session_that_is_to_take_place_after_all() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    let request = no_show_request(&world, &first).await;
    let missed = world.manager.appointments().mark_no_show(request.clone()).await.unwrap().into_inner();
    assert!(missed.next_session.is_some());
    let undone = undo(&world, &first).await.unwrap();
    let again = world.manager.appointments().mark_no_show(request).await.unwrap().into_inner();
    assert_eq!((again.next_session, again.appointment), (None, undone.appointment));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_needed_next_after_a_visit_of_no_series_or_of_one_that_has_ended() {
    let world = World::new().await;
    let alone = world.book_sauna("2026-01-20T10:00:00").await.unwrap().appointment_id;
    assert_eq!(cancel(&world, &alone).await.next_session, None);
    let series = world.book_series(&FOUR).await.unwrap();
    let (first, last) = (session(&series, 1).appointment_id.clone(), session(&series, 4).appointment_id.clone());
    let request = cancel_request(&world, &last).await;
    let done = world.manager.appointments().cancel_appointment(request.clone()).await.unwrap().into_inner();
    assert!(done.next_session.is_some());
    let end = pb::CancelSeriesRequest {
        request_id: request_id(),
        etag: get_series(&world, &series.series_id).await.etag,
        series_id: series.series_id.clone(),
        ..Default::default()
    };
    world.manager.series().cancel_series(end).await.unwrap();
    // The repeat tells what is needed by now.
    let again = world.manager.appointments().cancel_appointment(request).await.unwrap().into_inner();
    assert_eq!((again.next_session, again.appointment), (None, done.appointment));
    assert_eq!(get_appointment(&world, &first).await.state(), pb::AppointmentState::Cancelled);
    world.server.assert_clean().await;
}
