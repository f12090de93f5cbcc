//! Visits to which nobody came, and steps that are taken back.

use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use tonic::{Code, Status};

use crate::desk::{FOUR, get_appointment, get_series, revision, said, session, session_request};
use crate::harness::world::{at, request_id};
use crate::harness::{Clinic, World};
use crate::visits::complete;

/// Just after the first session of [`FOUR`] has begun, at 10:00 in Berlin.
const BEGUN: &str = "2026-02-02T09:05:00Z";
const NEXT_DAY: &str = "2026-02-03T10:00:00";

pub async fn no_show_request(world: &World, id: &str) -> pb::MarkNoShowRequest {
    pb::MarkNoShowRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        no_show_reason: "did not answer the phone".into(),
        ..Default::default()
    }
}

pub async fn mark(world: &World, id: &str) -> Result<pb::MarkNoShowResponse, Status> {
    let request = no_show_request(world, id).await;
    Ok(world.manager.appointments().mark_no_show(request).await?.into_inner())
}

pub async fn undo(world: &World, id: &str) -> Result<pb::UndoVisitResponse, Status> {
    let request = pb::UndoVisitRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        ..Default::default()
    };
    Ok(world.manager.appointments().undo_visit(request).await?.into_inner())
}

fn state(appointment: &Option<pb::Appointment>) -> pb::AppointmentState {
    appointment.as_ref().unwrap().state()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_come_frees_time_and_windows_and_opens_the_session_again() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    assert_eq!(said(&world, &mark(&world, &first).await.unwrap_err()), ["TOO_EARLY_FOR_NO_SHOW from 2026-02-02T10:00"]);
    let Some(()) = world.server.set_clock(BEGUN) else { return };
    let forbidden = world.book_sauna(NEXT_DAY).await.unwrap_err();
    assert!(said(&world, &forbidden)[0].starts_with("ACTIVITY_FORBIDDEN"), "{forbidden}");
    let dry = pb::MarkNoShowRequest { validate_only: true, ..no_show_request(&world, &first).await };
    let before = revision(&world).await;
    assert_eq!(
        state(&world.manager.appointments().mark_no_show(dry).await.unwrap().into_inner().appointment),
        pb::AppointmentState::NoShow
    );
    assert_eq!(revision(&world).await, before);

    let request = no_show_request(&world, &first).await;
    let marked = world.manager.appointments().mark_no_show(request.clone()).await.unwrap().into_inner();
    let visit = marked.appointment.clone().unwrap();
    assert_eq!(
        (visit.state(), visit.cancel_reason.as_str()),
        (pb::AppointmentState::NoShow, "did not answer the phone")
    );
    assert_eq!(visit.cancelled_at, at(BEGUN));
    let known = marked.series.clone().unwrap();
    assert_eq!(known, get_series(&world, &series.series_id).await);
    assert!(known.sessions[0].appointment.is_none() && known.sessions[1].appointment.is_some());
    let again = world.manager.appointments().mark_no_show(request.clone()).await.unwrap().into_inner();
    assert_eq!(again, marked);
    let stale = pb::MarkNoShowRequest { request_id: request_id(), ..request };
    let stale = world.manager.appointments().mark_no_show(stale).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    for refused in
        [mark(&world, &first).await.err(), world.check_in(&first).await.err(), world.cancel(&visit).await.err()]
    {
        assert_eq!(said(&world, &refused.unwrap()), ["APPOINTMENT_NOT_BOOKED"]);
    }
    let sheet = |include_cancelled| pb::ListAppointmentsRequest {
        subject: Some(pb::list_appointments_request::Subject::ClinicId(world.clinic.clone())),
        start_time: at("2026-02-02T00:00:00Z"),
        end_time: at("2026-02-03T00:00:00Z"),
        include_cancelled,
        ..Default::default()
    };
    for (with, expected) in [(false, 0), (true, 1)] {
        let listed = world.manager.appointments().list_appointments(sheet(with)).await.unwrap().into_inner();
        assert_eq!(listed.appointments.len(), expected);
    }
    world.book_sauna(NEXT_DAY).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistaken_no_show_or_check_in_is_taken_back_within_a_day() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    assert_eq!(said(&world, &undo(&world, &first).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    let Some(()) = world.server.set_clock(BEGUN) else { return };
    mark(&world, &first).await.unwrap();
    let undone = undo(&world, &first).await.unwrap();
    let visit = undone.appointment.unwrap();
    assert_eq!(
        (visit.state(), &visit.cancelled_at, visit.cancel_reason.as_str()),
        (pb::AppointmentState::Booked, &None, "")
    );
    assert_eq!(undone.series.unwrap().sessions[0].appointment, Some(visit));
    // Its windows count again.
    let forbidden = world.book_sauna(NEXT_DAY).await.unwrap_err();
    assert!(said(&world, &forbidden)[0].starts_with("ACTIVITY_FORBIDDEN"), "{forbidden}");
    world.check_in(&first).await.unwrap();
    assert_eq!(said(&world, &mark(&world, &first).await.unwrap_err()), ["APPOINTMENT_STARTED"]);
    assert_eq!(state(&undo(&world, &first).await.unwrap().appointment), pb::AppointmentState::Booked);
    world.server.assert_clean().await;
    // A day later it is too late for that.
    world.check_in(&first).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-03T09:05:01Z") else { return };
    assert_eq!(said(&world, &undo(&world, &first).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    complete(&world, &first, None).await.unwrap();
    assert_eq!(said(&world, &undo(&world, &first).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    assert_eq!(said(&world, &mark(&world, &first).await.unwrap_err()), ["APPOINTMENT_STARTED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_show_is_not_taken_back_onto_what_was_booked_since() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let alone = world.book_sauna("2026-01-26T10:00:00").await.unwrap().appointment_id;
    let Some(()) = world.server.set_clock("2026-01-26T09:05:00Z") else { return };
    mark(&world, &alone).await.unwrap();
    // What was left of its time is somebody's now.
    world.book_sauna("2026-01-26T10:15:00").await.unwrap();
    assert_eq!(said(&world, &undo(&world, &alone).await.unwrap_err()), ["PATIENT_BUSY"]);

    let Some(()) = world.server.set_clock(BEGUN) else { return };
    mark(&world, &first).await.unwrap();
    let sauna = world.book_sauna(NEXT_DAY).await.unwrap();
    let told = said(&world, &undo(&world, &first).await.unwrap_err());
    assert_eq!(told, [format!("FORBIDS_BOOKED_ACTIVITY against {}", sauna.appointment_id)]);
    world.cancel(&sauna).await.unwrap();
    // What was cancelled of the series meanwhile is in nobody's way.
    world.cancel(session(&get_series(&world, &series.series_id).await, 4)).await.unwrap();
    undo(&world, &first).await.unwrap();
    world.server.assert_clean().await;
    mark(&world, &first).await.unwrap();
    let cancel = pb::CancelSeriesRequest {
        request_id: request_id(),
        etag: get_series(&world, &series.series_id).await.etag,
        series_id: series.series_id.clone(),
        ..Default::default()
    };
    world.manager.series().cancel_series(cancel).await.unwrap();
    assert_eq!(said(&world, &undo(&world, &first).await.unwrap_err()), ["SERIES_NOT_ACTIVE"]);
    assert_eq!(get_appointment(&world, &first).await.state(), pb::AppointmentState::NoShow);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_missed_does_not_come_back_out_of_order_or_under_another_gap() {
    let world = World::new().await;
    let protocol = world.clinical_protocol().await;
    let days = ["2026-02-02T10:00:00", "2026-03-09T10:00:00", "2026-05-04T10:00:00"];
    let series = world.book_clinical(&protocol, pb::BodyArea::Abdomen, &days).await.unwrap();
    let second = session(&series, 2).appointment_id.clone();
    world.cancel(session(&series, 1)).await.unwrap();
    let Some(()) = world.server.set_clock("2026-03-09T09:05:00Z") else { return };
    world.fit_for(&protocol, pb::BodyArea::Abdomen).await;
    mark(&world, &second).await.unwrap();
    // Nobody has been treated, so that the first may still come before the third.
    let first = world.book(session_request(&world, &series, 1, "2026-04-01T10:00:00")).await.unwrap();
    let told = said(&world, &undo(&world, &second).await.unwrap_err());
    assert_eq!(told, [format!("SESSION_OUT_OF_ORDER against {}", first.appointment_id)]);
    world.cancel(&first).await.unwrap();
    let gap = pb::GapOverride { series_id: series.series_id.clone(), gap_days: 40 };
    let grant = pb::GrantOverrideRequest {
        request_id: request_id(),
        patient_id: world.patients[0].clone(),
        purpose: Some(pb::grant_override_request::Purpose::Gap(gap)),
        override_reason: "heals slowly".into(),
        ..Default::default()
    };
    world.practitioner(0).await.patients().grant_override(grant).await.unwrap();
    assert_eq!(said(&world, &undo(&world, &second).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_of_which_something_was_recorded_took_place() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    clinic.screen(&world.patients[0], &[]).await;
    let mut request = world.visit_request(&clinic.consultation, "2026-01-06T10:00:00");
    request.resource_ids = vec![clinic.clearing.clone()];
    let consultation = world.book(request).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-06T09:05:00Z") else { return };
    // Signed without a check-in.
    clinic.sign(clinic.clearance_request(&consultation)).await.unwrap();
    let id = consultation.appointment_id.as_str();
    assert_eq!(said(world, &mark(world, id).await.unwrap_err()), ["APPOINTMENT_STARTED"]);
    world.check_in(id).await.unwrap();
    assert_eq!(said(world, &undo(world, id).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    // And nobody signs for a consultation to which nobody came.
    let mut request = world.visit_request(&clinic.consultation, "2026-01-06T11:00:00");
    request.resource_ids = vec![clinic.clearing.clone()];
    let missed = world.book(request).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-06T10:05:00Z") else { return };
    mark(world, &missed.appointment_id).await.unwrap();
    let status = clinic.sign(clinic.clearance_request(&missed)).await.unwrap_err();
    assert_eq!(said(world, &status), [format!("NOT_A_CONSULTATION against {}", missed.appointment_id)]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_check_in_and_a_no_show_at_the_same_time_one_counts() {
    let world = World::new().await;
    let mut booked = Vec::new();
    for minute in ["00", "30"] {
        for hour in 9..17 {
            booked.push(world.book_sauna(&format!("2026-01-26T{hour:02}:{minute}:00")).await.unwrap().appointment_id);
        }
    }
    let Some(()) = world.server.set_clock("2026-01-26T17:00:00Z") else { return };
    for id in &booked {
        let no_show = no_show_request(&world, id).await;
        let check_in = pb::CheckInRequest {
            request_id: request_id(),
            etag: no_show.etag.clone(),
            appointment_id: id.clone(),
            ..Default::default()
        };
        let (mut one, mut other) = (world.manager.appointments(), world.manager.appointments());
        let (missed, came) = tokio::join!(one.mark_no_show(no_show), other.check_in(check_in));
        let loser = match (missed, came) {
            (Ok(_), Err(loser)) | (Err(loser), Ok(_)) => loser,
            (missed, came) => panic!("{missed:?} {came:?}"),
        };
        assert_eq!(loser.code(), Code::Aborted, "{loser}");
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_in_before_its_time_is_taken_back_only_if_nothing_has_changed_since() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    // Two hours before the session.
    let Some(()) = world.server.set_clock("2026-02-02T07:00:00Z") else { return };
    world.check_in(&first).await.unwrap();
    assert_eq!(state(&undo(&world, &first).await.unwrap().appointment), pb::AppointmentState::Booked);
    world.check_in(&first).await.unwrap();
    // A series that is cancelled keeps the sessions that have begun.
    let cancel = pb::CancelSeriesRequest {
        request_id: request_id(),
        etag: get_series(&world, &series.series_id).await.etag,
        series_id: series.series_id.clone(),
        ..Default::default()
    };
    world.manager.series().cancel_series(cancel).await.unwrap();
    assert_eq!(said(&world, &undo(&world, &first).await.unwrap_err()), ["UNDO_NOT_ALLOWED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_steps_that_nobody_said_or_that_came_too_early_or_too_late() {
    const MISSED: &str = "no_show_revision IS NOT NULL";
    for (damage, step) in [
        (format!("UPDATE appointments SET no_show_revision = booked_revision WHERE {MISSED}"), "missed"),
        (format!("UPDATE appointments SET no_show_revision = NULL WHERE {MISSED}"), "missed"),
        ("UPDATE changes SET kind = 'appointment.cancelled' WHERE kind = 'appointment.no_show'".into(), "missed"),
        ("UPDATE changes SET recorded_at = '2026-01-26T08:59:59Z' WHERE kind = 'appointment.no_show'".into(), "missed"),
        ("UPDATE appointments SET state = 'booked', arrived_at = NULL, arrived_revision = NULL".into(), "arrived"),
        ("UPDATE changes SET kind = 'appointment.cancelled' WHERE kind = 'appointment.undone'".into(), "undone"),
        ("UPDATE changes SET recorded_at = '2026-01-27T09:05:01Z' WHERE kind = 'appointment.undone'".into(), "undone"),
    ] {
        let world = World::new().await;
        let id = world.book_sauna("2026-01-26T10:00:00").await.unwrap().appointment_id;
        let Some(()) = world.server.set_clock("2026-01-26T09:05:00Z") else { return };
        match step {
            "missed" => drop(mark(&world, &id).await.unwrap()),
            "arrived" => drop(world.check_in(&id).await.unwrap()),
            _ => {
                mark(&world, &id).await.unwrap();
                undo(&world, &id).await.unwrap();
            }
        }
        world.server.assert_clean().await;
        world.server.pool().execute(AssertSqlSafe(damage.clone())).await.unwrap();
        let report = world.server.verify().await;
        let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
        assert!(!broken.is_empty(), "{damage}: {report}");
        assert!(broken.iter().all(|check| check.promise == "P6" && check.violations == 1), "{damage}: {report}");
    }
}
