//! Visits that take place: who may be checked in, and what completion moves.

use stipple::rpc::pb;
use tonic::Status;

use crate::desk::{FOUR, close, get_appointment, get_series, revision, said, session, starts};
use crate::harness::world::{request_id, timestamp};
use crate::harness::{Clinic, World, refusal};

async fn complete_request(world: &World, id: &str, start: Option<&str>) -> pb::CompleteAppointmentRequest {
    pb::CompleteAppointmentRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        start_time: start.and_then(|start| timestamp(world.local(start))),
        ..Default::default()
    }
}

/// Completes an appointment as it is now, begun as booked or at that wall-clock time.
pub async fn complete(world: &World, id: &str, start: Option<&str>) -> Result<pb::CompleteAppointmentResponse, Status> {
    let request = complete_request(world, id, start).await;
    Ok(world.manager.appointments().complete_appointment(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_is_checked_in_on_the_day_and_the_visit_completed_after_that() {
    let world = World::new().await;
    let sauna = world.book_sauna("2026-01-06T10:00:00").await.unwrap();
    let id = sauna.appointment_id.as_str();
    let early = world.check_in(id).await.unwrap_err();
    assert_eq!(said(&world, &early), ["TOO_EARLY_TO_CHECK_IN from 2026-01-06T00:00"]);
    assert_eq!(said(&world, &complete(&world, id, None).await.unwrap_err()), ["NOT_CHECKED_IN"]);
    let Some(()) = world.server.set_clock("2026-01-06T09:05:00Z") else { return };
    let arrived = world.check_in(id).await.unwrap();
    assert_eq!((arrived.state(), arrived.arrived_at.is_some()), (pb::AppointmentState::Arrived, true));
    let again = refusal(&world.check_in(id).await.unwrap_err())[0].reason();
    assert_eq!(again, pb::Reason::AppointmentNotBooked);
    let cancelled = refusal(&world.cancel(&arrived).await.unwrap_err())[0].reason();
    assert_eq!(cancelled, pb::Reason::AppointmentStarted);
    let done = complete(&world, id, None).await.unwrap();
    let visit = done.appointment.unwrap();
    assert_eq!((visit.state(), visit.fulfilled_at.is_some()), (pb::AppointmentState::Fulfilled, true));
    assert_eq!(visit.local_performed_start, "2026-01-06T10:00:00+01:00");
    assert_eq!((done.series, done.moves.len()), (None, 0));
    let again = refusal(&complete(&world, id, None).await.unwrap_err())[0].reason();
    assert_eq!(again, pb::Reason::AppointmentNotBooked);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_takes_place_late_takes_the_later_ones_along() {
    let world = World::new().await;
    // The second lies 28 days after the first, the least; the third 35 after the second.
    let series =
        world.book_series(&["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-04-06T10:00:00"]).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let Some(()) = world.server.set_clock("2026-02-04T09:00:00Z") else { return };
    world.check_in(&first).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-04T11:00:00Z") else { return };
    // What it would move is shown first.
    let dry = pb::CompleteAppointmentRequest {
        validate_only: true,
        ..complete_request(&world, &first, Some("2026-02-04T10:15:00")).await
    };
    let before = revision(&world).await;
    let shown = world.manager.appointments().complete_appointment(dry).await.unwrap().into_inner();
    assert_eq!((shown.moves.len(), revision(&world).await), (1, before));
    let request = complete_request(&world, &first, Some("2026-02-04T10:15:00")).await;
    let done = world.manager.appointments().complete_appointment(request.clone()).await.unwrap().into_inner();
    let moved = &done.moves[0];
    assert_eq!((moved.session_number, moved.local_new_start.as_str()), (2, "2026-03-04T10:00:00+01:00"));
    let series = done.series.clone().unwrap();
    assert_eq!(series.sessions[1].gap_days, 28, "from the day on which the first took place");
    assert_eq!(series.sessions[2].gap_days, 33);
    assert_eq!(done.appointment.as_ref().unwrap().local_performed_start, "2026-02-04T10:15:00+01:00");
    assert_eq!(done.appointment.as_ref().unwrap().local_start, "2026-02-02T10:00:00+01:00");
    world.server.assert_clean().await;
    // The same request again is answered with the same.
    let again = world.manager.appointments().complete_appointment(request).await.unwrap().into_inner();
    assert_eq!((again.moves, again.series), (done.moves, done.series));
    // Heat is forbidden for 5 days from the end of the needling on the 4th.
    let refused = world.book_sauna("2026-02-09T10:00:00").await.unwrap_err();
    assert_eq!(refusal(&refused)[0].reason(), pb::Reason::ActivityForbidden);
    world.book_sauna("2026-02-09T11:15:00").await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_late_by_minutes_moves_nothing_not_even_what_has_lost_its_place() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    close(&world, "2026-03-02T00:00:00", "2026-03-03T00:00:00").await;
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    world.check_in(&first).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-02T10:30:00Z") else { return };
    let done = complete(&world, &first, Some("2026-02-02T10:15:00")).await.unwrap();
    assert_eq!((done.moves, starts(&done.series.unwrap())), (Vec::new(), starts(&series)));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_session_whose_aftercare_would_cover_a_booked_visit_is_not_completed_before_that_is_settled() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    // Allowed five days after the 2nd, not after the 4th.
    let sauna = world.book_sauna("2026-02-07T12:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-04T09:00:00Z") else { return };
    let collides = [format!("FORBIDS_BOOKED_ACTIVITY against {}", sauna.appointment_id)];
    assert_eq!(said(&world, &world.check_in(&first).await.unwrap_err()), collides, "before the patient is needled");
    world.cancel(&sauna).await.unwrap();
    world.check_in(&first).await.unwrap();
    let sauna = world.book_sauna("2026-02-07T12:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-04T11:00:00Z") else { return };
    let refused = complete(&world, &first, Some("2026-02-04T10:00:00")).await.unwrap_err();
    assert_eq!(said(&world, &refused), [format!("FORBIDS_BOOKED_ACTIVITY against {}", sauna.appointment_id)]);
    world.cancel(&sauna).await.unwrap();
    complete(&world, &first, Some("2026-02-04T10:00:00")).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_on_a_later_day_is_checked_in_only_where_the_session_could_be_then() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let of = |number| session(&series, number).appointment_id.clone();
    // The first two are missed; the third takes place on 30 March.
    let Some(()) = world.server.set_clock("2026-03-30T08:00:00Z") else { return };
    world.check_in(&of(3)).await.unwrap();
    let Some(()) = world.server.set_clock("2026-04-01T08:00:00Z") else { return };
    let late = world.check_in(&of(2)).await.unwrap_err();
    let told =
        [format!("SESSION_OUT_OF_ORDER against {}", of(3)), format!("SESSION_TOO_SOON against {} 2/28 days", of(3))];
    assert_eq!(said(&world, &late), told);
    let told = said(&world, &world.check_in(&of(1)).await.unwrap_err());
    assert!(told.contains(&"APPOINTMENT_STARTED".to_owned()), "58 days ago: {told:?}");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_began_no_earlier_than_the_day_on_which_the_patient_came() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let Some(()) = world.server.set_clock("2026-02-04T09:02:00Z") else { return };
    world.check_in(&first).await.unwrap();
    let booked = complete(&world, &first, Some("2026-02-02T10:00:00")).await.unwrap_err();
    assert!(booked.message().contains("start_time"), "{booked}");
    let done = complete(&world, &first, None).await.unwrap();
    assert_eq!(done.appointment.unwrap().local_performed_start, "2026-02-04T10:00:00+01:00");
    assert_eq!(done.moves.len(), 3, "each lay 28 days after the one before");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_begins_on_its_day_or_at_most_a_month_later_and_not_in_the_future() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let Some(()) = world.server.set_clock("2026-02-02T07:00:00Z") else { return };
    // Early, but on the day.
    world.check_in(&first).await.unwrap();
    for start in ["2026-02-01T23:55:00", "2026-02-02T08:05:00", "2026-03-06T10:00:00"] {
        let status = complete(&world, &first, Some(start)).await.unwrap_err();
        assert!(status.message().contains("start_time"), "{start}: {status}");
    }
    // Nobody has looked at the patient since.
    let Some(()) = world.server.set_clock("2026-02-03T12:00:00Z") else { return };
    let status = complete(&world, &first, Some("2026-02-03T08:05:00")).await.unwrap_err();
    assert!(status.message().contains("24 hours after the check-in"), "{status}");
    let Some(()) = world.server.set_clock("2026-02-02T07:00:00Z") else { return };
    let done = complete(&world, &first, None).await.unwrap();
    assert_eq!(done.appointment.unwrap().local_performed_start, "2026-02-02T08:00:00+01:00");
    assert_eq!(get_series(&world, &series.series_id).await.sessions[1].gap_days, 28);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_screening_of_another_day_is_repeated_at_check_in() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let clearance = clinic.fit().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let Some(()) = world.server.set_clock("2026-02-02T08:50:00Z") else { return };
    assert_eq!(said(world, &world.check_in(&first).await.unwrap_err()), ["SCREENING_MISSING"]);
    let patient = world.patients[0].clone();
    clinic.screen(&patient, &[("active_acne", "")]).await;
    assert_eq!(said(world, &world.check_in(&first).await.unwrap_err()), ["CONDITION_DEFERS"]);
    clinic.screen(&patient, &[]).await;
    clinic.revoke(&clearance).await.unwrap();
    assert_eq!(said(world, &world.check_in(&first).await.unwrap_err()), ["CLEARANCE_MISSING"]);
    let consultation =
        pb::Appointment { appointment_id: clearance.consultation_appointment_id.clone(), ..Default::default() };
    clinic.sign(clinic.clearance_request(&consultation)).await.unwrap();
    world.check_in(&first).await.unwrap();
    complete(world, &first, None).await.unwrap();
    world.server.assert_clean().await;
}
