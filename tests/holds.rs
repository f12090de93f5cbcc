//! Holds: time that is kept while a patient decides, exclusively, until the server's clock says that it is over.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use stipple::rpc::pb::hold_appointment_request::Visit;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::changes::all_changes;
use crate::desk::{FOUR, get_appointment, get_series, revision, said, session, session_request};
use crate::harness::wire::fields;
use crate::harness::world::{at, request_id};
use crate::harness::{Clinic, World};
use crate::visits::complete;

/// The test's clock stands at 8:00 UTC on that day, so that a hold of ten minutes ends then.
const EXPIRED: &str = "2026-01-05T08:10:00Z";
const START: &str = "2026-01-26T10:00:00";

pub fn hold_request(world: &World, patient: usize, room: usize, start: &str) -> pb::HoldAppointmentRequest {
    pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(Visit::Treatment(pb::TreatmentVisit {
            patient_id: world.patients[patient].clone(),
            treatment_id: world.sauna.clone(),
            ..Default::default()
        })),
        clinic_id: world.clinic.clone(),
        start_time: world.visit_request(&world.sauna, start).start_time,
        resource_ids: vec![world.rooms[room].clone()],
        ..Default::default()
    }
}

async fn hold(world: &World, start: &str) -> Result<pb::Appointment, Status> {
    held(world, hold_request(world, 0, 0, start)).await
}

pub async fn held(world: &World, request: pb::HoldAppointmentRequest) -> Result<pb::Appointment, Status> {
    Ok(world.manager.appointments().hold_appointment(request).await?.into_inner().appointment.unwrap())
}

/// Another patient's visit in the same room at the same time.
async fn rival(world: &World, start: &str) -> Result<pb::Appointment, Status> {
    world.book(rival_request(world, start)).await
}

pub fn rival_request(world: &World, start: &str) -> pb::BookAppointmentRequest {
    let mut request = world.visit_request(&world.sauna, start);
    if let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut request.visit {
        visit.patient_id = world.patients[1].clone();
    }
    request.resource_ids = vec![world.rooms[0].clone()];
    request
}

pub fn convert_request(held: &pb::Appointment) -> pb::ConvertHoldRequest {
    pb::ConvertHoldRequest {
        request_id: request_id(),
        etag: held.etag.clone(),
        appointment_id: held.appointment_id.clone(),
        ..Default::default()
    }
}

async fn convert(world: &World, held: &pb::Appointment) -> Result<pb::Appointment, Status> {
    let request = convert_request(held);
    Ok(world.manager.appointments().convert_hold(request).await?.into_inner().appointment.unwrap())
}

async fn renew(world: &World, held: &pb::Appointment, hold_minutes: i32) -> Result<pb::Appointment, Status> {
    let request = pb::RenewHoldRequest {
        request_id: request_id(),
        etag: held.etag.clone(),
        appointment_id: held.appointment_id.clone(),
        hold_minutes,
        ..Default::default()
    };
    Ok(world.manager.appointments().renew_hold(request).await?.into_inner().appointment.unwrap())
}

/// How often the history says that holds expired.
async fn expiries(world: &World) -> usize {
    let changes = all_changes(world, 500).await;
    changes.iter().filter(|change| change.kind == "appointment.hold_expired").count()
}

/// Whether the half hour is offered in the first room.
async fn is_offered(world: &World) -> bool {
    let request = pb::FindSlotsRequest {
        visit: Some(pb::find_slots_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: world.patients[0].clone(),
            treatment_id: world.sauna.clone(),
            ..Default::default()
        })),
        clinic_ids: vec![world.clinic.clone()],
        start_date: "2026-01-26".into(),
        end_date: "2026-01-26".into(),
        page_size: 500,
        ..Default::default()
    };
    let slots = world.manager.appointments().find_slots(request).await.unwrap().into_inner().slots;
    let start = world.visit_request(&world.sauna, START).start_time;
    slots.iter().any(|slot| slot.start_time == start)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_keeps_time_like_a_booking_until_it_is_booked_or_released() {
    let world = World::new().await;
    assert!(is_offered(&world).await);
    let request = hold_request(&world, 0, 0, START);
    let first = held(&world, request.clone()).await.unwrap();
    assert_eq!(first.state(), pb::AppointmentState::Held);
    assert_eq!(held(&world, request).await.unwrap(), first, "the same request holds once");
    assert_eq!(said(&world, &rival(&world, START).await.unwrap_err())[0].split(' ').next(), Some("RESOURCE_BUSY"));
    assert!(!is_offered(&world).await);
    // It is neither moved nor checked in, and nobody fails to come to it.
    let move_it = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: first.etag.clone(),
        appointment_id: first.appointment_id.clone(),
        start_time: world.visit_request(&world.sauna, "2026-01-27T10:00:00").start_time,
        ..Default::default()
    };
    let refused = world.manager.appointments().reschedule_appointment(move_it).await.unwrap_err();
    assert_eq!(said(&world, &refused), ["APPOINTMENT_NOT_BOOKED"]);
    assert_eq!(said(&world, &world.check_in(&first.appointment_id).await.unwrap_err()), ["APPOINTMENT_NOT_BOOKED"]);
    world.server.assert_clean().await;

    let booked = convert(&world, &first).await.unwrap();
    assert_eq!((booked.state(), booked.held_until), (pb::AppointmentState::Booked, None));
    assert_eq!(said(&world, &convert(&world, &booked).await.unwrap_err()), ["NOT_HELD"]);
    let second = hold(&world, "2026-01-26T12:00:00").await.unwrap();
    let released = world.cancel(&second).await.unwrap();
    assert_eq!(released.state(), pb::AppointmentState::Cancelled);
    assert_eq!(said(&world, &convert(&world, &released).await.unwrap_err()), ["NOT_HELD"]);
    rival(&world, "2026-01-26T12:00:00").await.unwrap();
    for minutes in [-1, 61] {
        let request = pb::HoldAppointmentRequest { hold_minutes: minutes, ..hold_request(&world, 0, 0, START) };
        assert_eq!(fields(&held(&world, request).await.unwrap_err()), ["hold_minutes"]);
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_hold_stands_in_nobodys_way_though_nothing_has_run_since() {
    let world = World::new().await;
    let request = hold_request(&world, 0, 0, START);
    let first = held(&world, request.clone()).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-05T08:09:59Z") else { return };
    assert!(!is_offered(&world).await);
    let Some(()) = world.server.set_clock(EXPIRED) else { return };
    let before = revision(&world).await;
    // Whoever looks first sees it end.
    assert!(is_offered(&world).await);
    assert_eq!((revision(&world).await, expiries(&world).await), (before + 1, 1));
    let over = get_appointment(&world, &first.appointment_id).await;
    assert_eq!((over.state(), over.cancelled_at), (pb::AppointmentState::Cancelled, at(EXPIRED)));
    for refused in [convert(&world, &first).await.err(), renew(&world, &first, 5).await.err()] {
        assert_eq!(said(&world, &refused.unwrap()), ["NOT_HELD"]);
    }
    let again = held(&world, request).await.unwrap();
    assert_eq!(again, over, "the same request is answered with what it held, as it is now");
    // Or books it first.
    let second = hold(&world, START).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-05T08:20:00Z") else { return };
    let taken = rival(&world, START).await.unwrap();
    assert_eq!(expiries(&world).await, 2);
    assert_eq!(get_appointment(&world, &second.appointment_id).await.state(), pb::AppointmentState::Cancelled);
    // Or asks for it by name, or by its time.
    world.cancel(&taken).await.unwrap();
    let third = hold(&world, START).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-05T08:30:00Z") else { return };
    assert_eq!(get_appointment(&world, &third.appointment_id).await.state(), pb::AppointmentState::Cancelled);
    hold(&world, START).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-05T08:40:00Z") else { return };
    let sheet = pb::ListAppointmentsRequest {
        subject: Some(pb::list_appointments_request::Subject::ResourceId(world.rooms[0].clone())),
        start_time: at("2026-01-26T00:00:00Z"),
        end_time: at("2026-01-27T00:00:00Z"),
        ..Default::default()
    };
    let listed = world.manager.appointments().list_appointments(sheet).await.unwrap().into_inner();
    assert_eq!((listed.appointments.len(), expiries(&world).await), (0, 4));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_renewed_and_never_outlasts_the_start_of_its_visit() {
    let world = World::new().await;
    let first = hold(&world, START).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-05T08:09:00Z") else { return };
    assert_eq!(first.held_until, at(EXPIRED));
    let renewed = renew(&world, &first, 20).await.unwrap();
    assert_eq!(renewed.held_until, at("2026-01-05T08:29:00Z"));
    assert_eq!(renew(&world, &renewed, 1).await.unwrap(), renewed, "never shorter");
    assert_eq!(renew(&world, &first, 0).await.unwrap_err().code(), Code::Aborted);
    let Some(()) = world.server.set_clock("2026-01-05T08:28:59Z") else { return };
    convert(&world, &renewed).await.unwrap();
    // In Berlin it is 9:28.
    let soon = hold(&world, "2026-01-05T09:35:00").await.unwrap();
    assert_eq!(soon.held_until, at("2026-01-05T08:35:00Z"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_the_patient_is_fit_is_looked_at_again_when_a_hold_is_converted() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let clearance = clinic.fit().await;
    let series = world.book_series(&FOUR).await.unwrap();
    world.cancel(session(&series, 4)).await.unwrap();
    let wanted = session_request(world, &series, 4, FOUR[3]);
    let request = pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(Visit::Session(pb::SessionVisit { series_id: series.series_id.clone(), session_number: 4 })),
        clinic_id: world.clinic.clone(),
        start_time: wanted.start_time,
        ..Default::default()
    };
    let first = held(world, request.clone()).await.unwrap();
    assert_eq!(get_series(world, &series.series_id).await.sessions[3].appointment, Some(first.clone()));
    assert_eq!(
        said(world, &world.book(wanted).await.unwrap_err())[0].split(' ').next(),
        Some("SESSION_ALREADY_BOOKED")
    );
    clinic.revoke(&clearance).await.unwrap();
    assert_eq!(said(world, &convert(world, &first).await.unwrap_err()), ["CLEARANCE_MISSING"]);
    let consultation =
        pb::Appointment { appointment_id: clearance.consultation_appointment_id.clone(), ..Default::default() };
    let again = clinic.sign(clinic.clearance_request(&consultation)).await.unwrap();
    let booked = convert(world, &first).await.unwrap();
    assert_eq!((booked.state(), booked.clearance_id), (pb::AppointmentState::Booked, again.clearance_id));
    world.server.assert_clean().await;
    // A series that is cancelled keeps no hold.
    world.cancel(session(&get_series(world, &series.series_id).await, 4)).await.unwrap();
    let request = pb::HoldAppointmentRequest { request_id: request_id(), ..request };
    let last = held(world, request).await.unwrap();
    let cancel = pb::CancelSeriesRequest {
        request_id: request_id(),
        etag: get_series(world, &series.series_id).await.etag,
        series_id: series.series_id.clone(),
        ..Default::default()
    };
    world.manager.series().cancel_series(cancel).await.unwrap();
    assert_eq!(get_appointment(world, &last.appointment_id).await.state(), pb::AppointmentState::Cancelled);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_stays_where_it_is_when_others_of_its_series_move() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let last = session(&series, 4);
    world.cancel(last).await.unwrap();
    let request = pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(Visit::Session(pb::SessionVisit { series_id: series.series_id.clone(), session_number: 4 })),
        clinic_id: world.clinic.clone(),
        start_time: last.start_time,
        ..Default::default()
    };
    let kept = held(&world, request).await.unwrap();
    let put_off = async |start: &str| {
        let request = pb::RescheduleSessionRequest {
            request_id: request_id(),
            etag: get_series(&world, &series.series_id).await.etag,
            series_id: series.series_id.clone(),
            session_number: 3,
            start_time: world.visit_request(&world.sauna, start).start_time,
            ..Default::default()
        };
        world.manager.series().reschedule_session(request).await
    };
    // 28 days lie between the third and the fourth, the least.
    let refused = put_off("2026-03-31T10:00:00").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert_eq!(get_appointment(&world, &kept.appointment_id).await, kept);
    let Some(()) = world.server.set_clock(EXPIRED) else { return };
    put_off("2026-03-31T10:00:00").await.unwrap();
    // Nor does aftercare count that never will be.
    let ask = pb::CheckActivityRequest {
        patient_id: world.patients[0].clone(),
        activity: pb::Activity::Heat.into(),
        start_time: at("2026-04-28T10:00:00Z"),
        ..Default::default()
    };
    assert!(world.manager.aftercare().check_activity(ask).await.unwrap().into_inner().allowed);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_wants_what_is_taken_does_not_wait_for_a_hold_that_has_expired_meanwhile() {
    let world = World::new().await;
    hold(&world, START).await.unwrap();
    let taken = "2026-01-26T14:00:00";
    rival(&world, taken).await.unwrap();
    let Some(()) = world.server.set_clock(EXPIRED) else { return };
    // The first of them are refused under the lock, and undo the end of the hold with all else that they did. The others
    // have waited for their turn, and look before they take the lock.
    let mut sent = JoinSet::new();
    for _ in 0..16 {
        let (mut client, request) = (world.manager.appointments(), rival_request(&world, taken));
        sent.spawn(async move { client.book_appointment(request).await });
    }
    for answer in sent.join_all().await {
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    }
    rival(&world, START).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_takes_place_while_a_later_one_is_held() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let (first, last) = (session(&series, 1), session(&series, 4));
    world.cancel(last).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-02T10:30:00Z") else { return };
    let request = pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(Visit::Session(pb::SessionVisit { series_id: series.series_id.clone(), session_number: 4 })),
        clinic_id: world.clinic.clone(),
        start_time: last.start_time,
        hold_minutes: 60,
        ..Default::default()
    };
    let kept = held(&world, request).await.unwrap();
    world.check_in(&first.appointment_id).await.unwrap();
    // Begun a quarter of an hour late: the others may stay, held or booked.
    let done = complete(&world, &first.appointment_id, Some("2026-02-02T10:15:00")).await.unwrap();
    assert_eq!(done.moves, []);
    assert_eq!(get_appointment(&world, &kept.appointment_id).await, kept);
    let now = get_series(&world, &series.series_id).await;
    assert!(!now.sessions[3].at_risk && now.sessions[3].appointment == Some(kept.clone()));
    convert(&world, &kept).await.unwrap();
    world.server.assert_clean().await;
}

/// Rounds of the race.
const ROUNDS: i64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_whose_end_races_with_its_conversion_and_with_others_has_one_owner() {
    let world = World::new().await;
    let mut now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
    let (mut converted, mut taken, mut free) = (0, 0, 0);
    for round in 0..ROUNDS {
        let Some(()) = world.server.set_clock(&now.to_rfc3339()) else { return };
        let request = pb::HoldAppointmentRequest { hold_minutes: 1, ..hold_request(&world, 0, 0, START) };
        let first = held(&world, request).await.unwrap();
        now += TimeDelta::minutes(1);
        let end = now.to_rfc3339();
        let clock = async {
            // At another moment of the others' way each time.
            for _ in 0..round % 5 {
                revision(&world).await;
            }
            world.server.set_clock(&end).unwrap();
        };
        let (won, lost, ()) = tokio::join!(convert(&world, &first), rival(&world, START), clock);
        let name = |status: &Status| said(&world, status)[0].split(' ').next().unwrap().to_owned();
        let owner = match (won, lost) {
            (Ok(booked), Err(refused)) => {
                converted += 1;
                assert_eq!((booked.state(), name(&refused)), (pb::AppointmentState::Booked, "RESOURCE_BUSY".into()));
                booked
            }
            (Err(expired), Ok(booked)) => {
                taken += 1;
                assert_eq!(name(&expired), "NOT_HELD");
                assert_eq!(
                    get_appointment(&world, &first.appointment_id).await.state(),
                    pb::AppointmentState::Cancelled
                );
                booked
            }
            // The other came before the end, the owner after it: now it is free.
            (Err(expired), Err(refused)) => {
                free += 1;
                assert_eq!((name(&expired), name(&refused)), ("NOT_HELD".into(), "RESOURCE_BUSY".into()));
                rival(&world, START).await.unwrap()
            }
            (Ok(one), Ok(other)) => panic!("two owners: {one:?} {other:?}"),
        };
        world.cancel(&get_appointment(&world, &owner.appointment_id).await).await.unwrap();
    }
    assert!(converted > 0 && taken > 0, "{converted} converted, {taken} taken by another, {free} free");
    assert_eq!(expiries(&world).await, taken + free, "each expired once");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_a_hold_that_was_booked_after_its_end_or_that_nobody_held() {
    for damage in [
        "UPDATE appointments SET held_until = booked_at - interval '1 second' WHERE state = 'booked' AND held_until IS NOT NULL",
        "UPDATE appointments SET held_until = NULL, held_revision = NULL, state = 'booked' WHERE state = 'held'",
        "UPDATE changes SET kind = 'appointment.hold_expired' WHERE kind = 'appointment.held' AND revision = (
             SELECT held_revision FROM appointments WHERE state = 'held')",
        "UPDATE appointments SET held_until = cancelled_at + interval '1 minute' WHERE state = 'cancelled'",
    ] {
        let world = World::new().await;
        let first = hold(&world, START).await.unwrap();
        convert(&world, &first).await.unwrap();
        let third = hold(&world, "2026-01-26T14:00:00").await.unwrap();
        let Some(()) = world.server.set_clock(EXPIRED) else { return };
        assert_eq!(get_appointment(&world, &third.appointment_id).await.state(), pb::AppointmentState::Cancelled);
        hold(&world, "2026-01-26T12:00:00").await.unwrap();
        world.server.assert_clean().await;
        world.server.pool().execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
        let report = world.server.verify().await;
        let what = "a hold is booked before it ends, or ends";
        let found = report.checks.iter().find(|check| check.what == what).unwrap();
        assert_eq!(found.violations, 1, "{damage}: {report}");
    }
}
