//! Where a visit stands: confirmed, arrived, in progress, fulfilled; and each step back again.

use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use tonic::{Code, Status};

use crate::desk::{FOUR, cancel_series, get_appointment, get_series, needling_request, revision, said, session};
use crate::harness::World;
use crate::harness::world::{at, request_id, timestamp};
use crate::no_shows::{mark, undo};
use crate::visits::complete;

async fn confirm_request(world: &World, id: &str) -> pb::ConfirmAppointmentRequest {
    pb::ConfirmAppointmentRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        ..Default::default()
    }
}

async fn confirm(world: &World, id: &str) -> Result<pb::Appointment, Status> {
    let request = confirm_request(world, id).await;
    Ok(world.manager.appointments().confirm_appointment(request).await?.into_inner().appointment.unwrap())
}

async fn start_request(world: &World, id: &str) -> pb::StartVisitRequest {
    pb::StartVisitRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        ..Default::default()
    }
}

async fn start(world: &World, id: &str) -> Result<pb::Appointment, Status> {
    let request = start_request(world, id).await;
    Ok(world.manager.appointments().start_visit(request).await?.into_inner().appointment.unwrap())
}

async fn state(world: &World, id: &str) -> pb::AppointmentState {
    get_appointment(world, id).await.state()
}

async fn taken_back(world: &World, id: &str) -> pb::AppointmentState {
    undo(world, id).await.unwrap().appointment.unwrap().state()
}

/// What the history says of an appointment.
async fn history(world: &World, id: &str) -> Vec<String> {
    let request = pb::ListChangesRequest { page_size: 500, ..Default::default() };
    let changes = world.manager.history().list_changes(request).await.unwrap().into_inner().changes;
    let own = changes.into_iter().filter(|change| change.appointment_ids.iter().any(|named| named == id));
    own.map(|change| change.kind.trim_start_matches("appointment.").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_is_confirmed_begun_and_completed_and_each_step_says_when() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let over = world.book_sauna("2026-01-20T10:00:00").await.unwrap().appointment_id;
    assert_eq!(said(&world, &start(&world, &first).await.unwrap_err()), ["NOT_CHECKED_IN"]);
    let before = revision(&world).await;
    let dry = pb::ConfirmAppointmentRequest { validate_only: true, ..confirm_request(&world, &first).await };
    let shown = world.manager.appointments().confirm_appointment(dry).await.unwrap().into_inner().appointment.unwrap();
    assert_eq!((shown.state(), revision(&world).await), (pb::AppointmentState::Confirmed, before));
    let request = confirm_request(&world, &first).await;
    let once = world.manager.appointments().confirm_appointment(request.clone()).await.unwrap().into_inner();
    let again = world.manager.appointments().confirm_appointment(request.clone()).await.unwrap().into_inner();
    assert_eq!(once, again);
    let stale = pb::ConfirmAppointmentRequest { request_id: request_id(), ..request };
    let stale = world.manager.appointments().confirm_appointment(stale).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    assert_eq!(said(&world, &confirm(&world, &first).await.unwrap_err()), ["APPOINTMENT_NOT_BOOKED"]);
    // The series shows it, and has another etag.
    let known = get_series(&world, &series.series_id).await;
    assert_eq!((session(&known, 1), known.etag != series.etag), (once.appointment.as_ref().unwrap(), true));

    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    assert_eq!(said(&world, &confirm(&world, &over).await.unwrap_err()), ["APPOINTMENT_STARTED"]);
    world.check_in(&first).await.unwrap();
    assert_eq!(said(&world, &confirm(&world, &first).await.unwrap_err()), ["APPOINTMENT_STARTED"]);
    let Some(()) = world.server.set_clock("2026-02-02T09:17:30Z") else { return };
    let before = revision(&world).await;
    let dry = pb::StartVisitRequest { validate_only: true, ..start_request(&world, &first).await };
    let shown = world.manager.appointments().start_visit(dry).await.unwrap().into_inner().appointment.unwrap();
    assert_eq!((shown.state(), revision(&world).await), (pb::AppointmentState::InProgress, before));
    let request = start_request(&world, &first).await;
    let once = world.manager.appointments().start_visit(request.clone()).await.unwrap().into_inner();
    assert_eq!(world.manager.appointments().start_visit(request).await.unwrap().into_inner(), once);
    for refused in [
        start(&world, &first).await.err(),
        mark(&world, &first).await.err(),
        world.cancel(&get_appointment(&world, &first).await).await.err(),
    ] {
        assert_eq!(said(&world, &refused.unwrap()), ["APPOINTMENT_STARTED"]);
    }
    assert_eq!(said(&world, &world.check_in(&first).await.unwrap_err()), ["APPOINTMENT_NOT_BOOKED"]);
    let Some(()) = world.server.set_clock("2026-02-02T10:30:00Z") else { return };
    let done = complete(&world, &first, None).await.unwrap().appointment.unwrap();
    assert_eq!(done.state(), pb::AppointmentState::Fulfilled);
    assert!(done.confirmed_at.is_some());
    assert_eq!((done.arrived_at, done.started_at), (at("2026-02-02T09:05:00Z"), at("2026-02-02T09:17:30Z")));
    // When it was begun, on the five minutes.
    assert_eq!(done.local_performed_start, "2026-02-02T10:15:00+01:00");
    assert_eq!(said(&world, &start(&world, &first).await.unwrap_err()), ["APPOINTMENT_NOT_BOOKED"]);
    assert_eq!(history(&world, &first).await, ["series.booked", "confirmed", "arrived", "started", "fulfilled"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_on_completion_counts_before_when_the_visit_was_started() {
    let world = World::new().await;
    let id = world.book_sauna("2026-01-06T10:00:00").await.unwrap().appointment_id;
    let Some(()) = world.server.set_clock("2026-01-06T09:05:00Z") else { return };
    world.check_in(&id).await.unwrap();
    start(&world, &id).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-06T10:00:00Z") else { return };
    let done = complete(&world, &id, Some("2026-01-06T10:30:00")).await.unwrap().appointment.unwrap();
    assert_eq!(done.local_performed_start, "2026-01-06T10:30:00+01:00");
    // Nobody is treated on the strength of a check-in of the day before.
    let id = world.book_sauna("2026-01-07T10:00:00").await.unwrap().appointment_id;
    let Some(()) = world.server.set_clock("2026-01-07T09:05:00Z") else { return };
    world.check_in(&id).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-08T09:05:01Z") else { return };
    assert_eq!(said(&world, &start(&world, &id).await.unwrap_err()), ["NOT_CHECKED_IN"]);
    complete(&world, &id, None).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_treated_who_is_not_fit_any_more_since_the_check_in() {
    let world = World::new().await;
    let protocol = world.clinical_protocol().await;
    let series = world.book_clinical(&protocol, pb::BodyArea::Abdomen, &FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    world.fit_for(&protocol, pb::BodyArea::Abdomen).await;
    world.check_in(&first).await.unwrap();
    let list = pb::ListClearancesRequest { patient_id: world.patients[0].clone(), ..Default::default() };
    let clearances = world.manager.patients().list_clearances(list).await.unwrap().into_inner().clearances;
    let revoke = pb::RevokeClearanceRequest {
        request_id: request_id(),
        clearance_id: clearances[0].clearance_id.clone(),
        revoke_reason: "reconsidered".into(),
        ..Default::default()
    };
    world.practitioner(0).await.patients().revoke_clearance(revoke).await.unwrap();
    assert_eq!(said(&world, &start(&world, &first).await.unwrap_err()), ["CLEARANCE_MISSING"]);
    world.fit_for(&protocol, pb::BodyArea::Abdomen).await;
    start(&world, &first).await.unwrap();
    world.server.assert_clean().await;
    // What was signed after the treatment began was not known then.
    let late = "UPDATE clearances SET decided_revision = (SELECT max(revision) FROM changes)
                WHERE decided_revision = (SELECT max(decided_revision) FROM clearances)";
    world.server.pool().execute(AssertSqlSafe(late.to_owned())).await.unwrap();
    let report = world.server.verify().await;
    let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
    assert!(matches!(broken.as_slice(), [check] if check.promise == "P5" && check.violations == 1), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_treated_on_a_later_day_than_they_came_is_as_far_from_their_other_visits_then() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    // Allowed five days after the 2nd, not after the 3rd.
    let sauna = world.book_sauna("2026-02-07T12:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    world.check_in(&first).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-03T09:00:00Z") else { return };
    let collides = [format!("FORBIDS_BOOKED_ACTIVITY against {}", sauna.appointment_id)];
    assert_eq!(said(&world, &start(&world, &first).await.unwrap_err()), collides);
    world.cancel(&sauna).await.unwrap();
    start(&world, &first).await.unwrap();
    world.server.assert_clean().await;
    undo(&world, &first).await.unwrap();
    cancel_series(&world, &get_series(&world, &series.series_id).await).await.unwrap();
    assert_eq!(said(&world, &start(&world, &first).await.unwrap_err()), ["SERIES_NOT_ACTIVE"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_are_taken_back_one_at_a_time_and_the_history_keeps_them() {
    let world = World::new().await;
    let id = world.book_sauna("2026-01-06T10:00:00").await.unwrap().appointment_id;
    confirm(&world, &id).await.unwrap();
    assert_eq!(taken_back(&world, &id).await, pb::AppointmentState::Booked);
    assert_eq!(get_appointment(&world, &id).await.confirmed_at, None);
    confirm(&world, &id).await.unwrap();
    world.server.assert_clean().await;
    let Some(()) = world.server.set_clock("2026-01-06T09:05:00Z") else { return };
    mark(&world, &id).await.unwrap();
    world.server.assert_clean().await;
    assert_eq!(taken_back(&world, &id).await, pb::AppointmentState::Confirmed);
    world.check_in(&id).await.unwrap();
    start(&world, &id).await.unwrap();
    world.server.assert_clean().await;
    let back = undo(&world, &id).await.unwrap().appointment.unwrap();
    assert_eq!((back.state(), back.started_at), (pb::AppointmentState::Arrived, None));
    assert!(back.arrived_at.is_some());
    world.server.assert_clean().await;
    assert_eq!(taken_back(&world, &id).await, pb::AppointmentState::Confirmed);
    assert_eq!(get_appointment(&world, &id).await.arrived_at, None);
    // That was said more than a day ago.
    assert_eq!(said(&world, &undo(&world, &id).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    assert_eq!(
        history(&world, &id).await,
        ["booked", "confirmed", "undone", "confirmed", "no_show", "undone", "arrived", "started", "undone", "undone"]
    );
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_in_that_something_was_decided_on_is_not_taken_back_by_way_of_a_start() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    // Two hours before the session.
    let Some(()) = world.server.set_clock("2026-02-02T07:00:00Z") else { return };
    world.check_in(&first).await.unwrap();
    start(&world, &first).await.unwrap();
    undo(&world, &first).await.unwrap();
    assert_eq!(taken_back(&world, &first).await, pb::AppointmentState::Booked, "only steps of its own lie between");
    world.check_in(&first).await.unwrap();
    world.cancel(session(&get_series(&world, &series.series_id).await, 4)).await.unwrap();
    start(&world, &first).await.unwrap();
    assert_eq!(taken_back(&world, &first).await, pb::AppointmentState::Arrived);
    assert_eq!(said(&world, &undo(&world, &first).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_check_in_stays_once_another_visit_of_the_patient_has_moved_among_those_of_others() {
    let world = World::new().await;
    let series =
        world.book_series(&["2026-02-02T10:00:00", "2026-03-09T10:00:00", "2026-04-13T10:00:00"]).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let face = pb::BodyArea::Face;
    world.book(needling_request(&world, &world.patient().await, face, "2026-03-09T13:00:00")).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-02T07:00:00Z") else { return };
    world.check_in(&first).await.unwrap();
    let closure = pb::CreateClosureRequest {
        request_id: request_id(),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local("2026-03-09T00:00:00")),
        end_time: timestamp(world.local("2026-03-10T00:00:00")),
        rebooking: Some(pb::Rebooking { all: true, moves: Vec::new() }),
        ..Default::default()
    };
    let moved = world.manager.practices().create_closure(closure).await.unwrap().into_inner().displacement.unwrap();
    assert_eq!(moved.visits.iter().filter(|visit| visit.moved_to.is_some()).count(), 2);
    assert_eq!(said(&world, &undo(&world, &first).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_visit_is_cancelled_moved_and_missed_like_a_booked_one() {
    let world = World::new().await;
    let alone = world.book_sauna("2026-01-06T10:00:00").await.unwrap().appointment_id;
    let confirmed = confirm(&world, &alone).await.unwrap();
    // Its time is taken, and it is on the sheet.
    let taken = said(&world, &world.book_sauna("2026-01-06T10:00:00").await.unwrap_err());
    assert!(taken[0].starts_with(&format!("PATIENT_BUSY against {alone}")), "{taken:?}");
    let to = |visit: &pb::Appointment, start: &str| pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: visit.etag.clone(),
        appointment_id: visit.appointment_id.clone(),
        start_time: timestamp(world.local(start)),
        ..Default::default()
    };
    let moved = world.manager.appointments().reschedule_appointment(to(&confirmed, "2026-01-06T12:00:00")).await;
    let moved = moved.unwrap().into_inner().appointment.unwrap();
    assert_eq!((moved.state(), moved.confirmed_at), (pb::AppointmentState::Booked, None));
    let gone = get_appointment(&world, &alone).await;
    assert_eq!((gone.state(), gone.confirmed_at), (pb::AppointmentState::Cancelled, None));
    world.cancel(&confirm(&world, &moved.appointment_id).await.unwrap()).await.unwrap();
    world.book_sauna("2026-01-06T12:00:00").await.unwrap();

    let series = world.book_series(&FOUR).await.unwrap();
    let of = |number| session(&series, number).appointment_id.clone();
    for number in 1..=4 {
        confirm(&world, &of(number)).await.unwrap();
    }
    // A session that is moved takes the next along; both are asked again.
    let request = pb::RescheduleSessionRequest {
        request_id: request_id(),
        series_id: series.series_id.clone(),
        etag: get_series(&world, &series.series_id).await.etag,
        session_number: 3,
        start_time: timestamp(world.local("2026-04-06T10:00:00")),
        ..Default::default()
    };
    let moved = world.manager.series().reschedule_session(request).await.unwrap().into_inner().series.unwrap();
    let states: Vec<_> = (1..=4).map(|number| session(&moved, number).state()).collect();
    let (confirmed, booked) = (pb::AppointmentState::Confirmed, pb::AppointmentState::Booked);
    assert_eq!(states, [confirmed, confirmed, booked, booked]);
    world.server.assert_clean().await;
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    mark(&world, &of(1)).await.unwrap();
    assert_eq!(state(&world, &of(1)).await, pb::AppointmentState::NoShow);
    let cancel = pb::CancelSeriesRequest {
        request_id: request_id(),
        etag: get_series(&world, &series.series_id).await.etag,
        series_id: series.series_id.clone(),
        ..Default::default()
    };
    world.manager.series().cancel_series(cancel).await.unwrap();
    assert_eq!(state(&world, &of(2)).await, pb::AppointmentState::Cancelled);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_a_visit_that_does_not_stand_where_its_steps_left_it() {
    for damage in [
        // Confirmed, begun or there, and nobody said so.
        "UPDATE appointments SET state = 'booked', confirmed_at = NULL, confirmed_revision = NULL
         WHERE state = 'confirmed'",
        "UPDATE appointments SET confirmed_at = booked_at, confirmed_revision = booked_revision WHERE state = 'arrived'",
        "UPDATE appointments SET state = 'arrived', started_at = NULL, started_revision = NULL
         WHERE state = 'in_progress'",
        "UPDATE appointments SET state = 'in_progress', started_at = now(), started_revision = arrived_revision
         WHERE state = 'arrived'",
        "UPDATE appointments SET started_revision = arrived_revision WHERE state = 'in_progress'",
        // Not when it was said.
        "UPDATE appointments SET confirmed_at = confirmed_at + interval '1 second' WHERE state = 'confirmed'",
        "UPDATE appointments SET started_at = started_at + interval '1 second' WHERE state = 'in_progress'",
        // Confirmed when it was to begin; begun more than a day after the check-in.
        "UPDATE changes SET recorded_at = '2026-01-06T09:00:00Z' WHERE kind = 'appointment.confirmed';
         UPDATE appointments SET confirmed_at = '2026-01-06T09:00:00Z' WHERE state = 'confirmed'",
        "UPDATE changes SET recorded_at = '2026-01-07T08:00:01Z'
         WHERE revision = (SELECT started_revision FROM appointments WHERE state = 'in_progress');
         UPDATE appointments SET started_at = '2026-01-07T08:00:01Z' WHERE state = 'in_progress'",
        // The history tells another way.
        "UPDATE changes SET kind = 'appointment.cancelled' WHERE kind = 'appointment.confirmed'",
        "UPDATE changes SET kind = 'appointment.cancelled' WHERE kind = 'appointment.undone'",
        "UPDATE changes SET recorded_at = recorded_at + interval '25 hours' WHERE kind = 'appointment.undone'",
    ] {
        let world = World::new().await;
        let ids = [10, 11, 12].map(|hour| format!("2026-01-06T{hour}:00:00"));
        let mut booked = Vec::new();
        for start in &ids {
            booked.push(world.book_sauna(start).await.unwrap().appointment_id);
        }
        let [waits, there, begun] = booked.as_slice() else { unreachable!() };
        confirm(&world, waits).await.unwrap();
        let Some(()) = world.server.set_clock("2026-01-06T08:00:00Z") else { return };
        for id in [there, begun] {
            world.check_in(id).await.unwrap();
        }
        start(&world, there).await.unwrap();
        undo(&world, there).await.unwrap();
        start(&world, begun).await.unwrap();
        world.server.assert_clean().await;
        world.server.pool().execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
        let report = world.server.verify().await;
        let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
        let by_name = "a visit stands where its latest step left it, and steps are taken back soon";
        assert!(broken.iter().any(|check| check.what == by_name), "{damage}: {report}");
        assert!(broken.iter().all(|check| check.promise == "P6"), "{damage}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_a_month_late_is_checked_in_and_treated_within_a_day_of_that() {
    let world = World::new().await;
    let visit = world.book_sauna("2026-01-20T10:00:00").await.unwrap().appointment_id;
    let Some(()) = world.server.set_clock("2026-02-21T10:00:00Z") else { return };
    assert_eq!(said(&world, &world.check_in(&visit).await.unwrap_err()), ["APPOINTMENT_STARTED"]);
    let Some(()) = world.server.set_clock("2026-02-20T10:00:00Z") else { return };
    world.check_in(&visit).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-21T10:00:01Z") else { return };
    assert_eq!(said(&world, &start(&world, &visit).await.unwrap_err()), ["NOT_CHECKED_IN"]);
    let Some(()) = world.server.set_clock("2026-02-21T10:00:00Z") else { return };
    start(&world, &visit).await.unwrap();
    world.server.assert_clean().await;
}
