//! Holds of whole series: kept, booked and ended with all their sessions or not at all.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use tonic::Status;

use crate::desk::{FOUR, cancel_series, clinic_sheet, close, get_appointment, get_series, revision, said, session};
use crate::harness::wire::fields;
use crate::harness::world::{at, request_id};
use crate::harness::{Clinic, World};

/// The test's clock stands at 8:00 UTC on that day, so that a hold of ten minutes ends then.
const EXPIRED: &str = "2026-01-05T08:10:00Z";

fn hold_request(world: &World) -> pb::HoldSeriesRequest {
    let pb::BookSeriesRequest { patient_id, protocol_id, body_area, clinic_id, sessions, .. } =
        world.series_request(&FOUR);
    pb::HoldSeriesRequest {
        request_id: request_id(),
        patient_id,
        protocol_id,
        body_area,
        clinic_id,
        sessions,
        ..Default::default()
    }
}

async fn hold(world: &World, request: pb::HoldSeriesRequest) -> Result<pb::Series, Status> {
    Ok(world.manager.series().hold_series(request).await?.into_inner().series.unwrap())
}

async fn renew(world: &World, held: &pb::Series, hold_minutes: i32) -> Result<pb::Series, Status> {
    let request = pb::RenewSeriesHoldRequest {
        request_id: request_id(),
        etag: held.etag.clone(),
        series_id: held.series_id.clone(),
        hold_minutes,
        ..Default::default()
    };
    Ok(world.manager.series().renew_series_hold(request).await?.into_inner().series.unwrap())
}

fn convert_request(held: &pb::Series) -> pb::ConvertSeriesHoldRequest {
    pb::ConvertSeriesHoldRequest {
        request_id: request_id(),
        etag: held.etag.clone(),
        series_id: held.series_id.clone(),
        ..Default::default()
    }
}

async fn convert(world: &World, held: &pb::Series) -> Result<pb::Series, Status> {
    Ok(world.manager.series().convert_series_hold(convert_request(held)).await?.into_inner().series.unwrap())
}

fn states(series: &pb::Series) -> Vec<pb::AppointmentState> {
    (1..=4).map(|number| session(series, number).state()).collect()
}

/// The same series for the same patient: all of it collides.
async fn rival(world: &World) -> Result<pb::Series, Status> {
    world.book_series(&FOUR).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_held_as_a_whole_and_booked_as_a_whole() {
    let world = World::new().await;
    let request = hold_request(&world);
    let first = hold(&world, request.clone()).await.unwrap();
    assert_eq!((first.state(), first.held_until.is_some()), (pb::SeriesState::Held, true));
    assert_eq!(states(&first), [pb::AppointmentState::Held; 4]);
    assert!((1..=4).all(|number| session(&first, number).held_until == first.held_until));
    assert_eq!(hold(&world, request).await.unwrap(), first, "the same request holds once");
    assert_eq!(get_series(&world, &first.series_id).await, first);
    assert!(said(&world, &rival(&world).await.unwrap_err())[0].starts_with("PATIENT_BUSY"));
    world.server.assert_clean().await;

    // Nothing of it goes its own way.
    let one = session(&first, 2);
    let alone = pb::ConvertHoldRequest {
        request_id: request_id(),
        etag: one.etag.clone(),
        appointment_id: one.appointment_id.clone(),
        ..Default::default()
    };
    let refused = world.manager.appointments().convert_hold(alone).await.unwrap_err();
    assert_eq!(said(&world, &refused), ["SERIES_NOT_ACTIVE"]);
    let alone = pb::RenewHoldRequest {
        request_id: request_id(),
        etag: one.etag.clone(),
        appointment_id: one.appointment_id.clone(),
        ..Default::default()
    };
    let refused = world.manager.appointments().renew_hold(alone).await.unwrap_err();
    assert_eq!(said(&world, &refused), ["SERIES_NOT_ACTIVE"]);
    assert_eq!(said(&world, &world.cancel(one).await.unwrap_err()), ["SERIES_NOT_ACTIVE"]);
    let move_it = pb::RescheduleSessionRequest {
        request_id: request_id(),
        etag: first.etag.clone(),
        series_id: first.series_id.clone(),
        session_number: 2,
        start_time: one.start_time,
        ..Default::default()
    };
    let refused = world.manager.series().reschedule_session(move_it).await.unwrap_err();
    assert_eq!(said(&world, &refused), ["SERIES_NOT_ACTIVE"]);
    assert_eq!(get_series(&world, &first.series_id).await, first);

    let before = revision(&world).await;
    let dry = pb::ConvertSeriesHoldRequest { validate_only: true, ..convert_request(&first) };
    let shown = world.manager.series().convert_series_hold(dry).await.unwrap().into_inner().series.unwrap();
    assert_eq!((shown.state(), revision(&world).await), (pb::SeriesState::Active, before));
    let asked = convert_request(&first);
    let mut client = world.manager.series();
    let booked = client.convert_series_hold(asked.clone()).await.unwrap().into_inner().series.unwrap();
    assert_eq!((booked.state(), booked.held_until), (pb::SeriesState::Active, None));
    assert_eq!(states(&booked), [pb::AppointmentState::Booked; 4]);
    assert_eq!(client.convert_series_hold(asked).await.unwrap().into_inner().series.unwrap(), booked);
    assert_eq!(said(&world, &convert(&world, &booked).await.unwrap_err()), ["NOT_HELD"]);
    assert_eq!(said(&world, &renew(&world, &booked, 0).await.unwrap_err()), ["NOT_HELD"]);
    // From here on it is a series like any other.
    world.cancel(session(&booked, 4)).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_of_a_series_that_is_released_or_ends_leaves_nothing_taken() {
    let world = World::new().await;
    let first = hold(&world, hold_request(&world)).await.unwrap();
    let released = cancel_series(&world, &first).await.unwrap();
    assert_eq!(released.state(), pb::SeriesState::Cancelled);
    assert_eq!(said(&world, &convert(&world, &released).await.unwrap_err()), ["NOT_HELD"]);
    let second = hold(&world, hold_request(&world)).await.unwrap();
    world.server.assert_clean().await;

    let Some(()) = world.server.set_clock(EXPIRED) else { return };
    assert_eq!(clinic_sheet(&world).await, [], "nobody is shown what has expired");
    let ended = get_series(&world, &second.series_id).await;
    assert_eq!((ended.state(), ended.held_until), (pb::SeriesState::Cancelled, None));
    let mut ids: Vec<String> = (1..=4).map(|number| session(&second, number).appointment_id.clone()).collect();
    ids.sort();
    for id in &ids {
        assert_eq!(get_appointment(&world, id).await.state(), pb::AppointmentState::Cancelled);
    }
    assert_eq!(said(&world, &convert(&world, &second).await.unwrap_err()), ["NOT_HELD"]);
    let request = pb::ListChangesRequest { page_size: 500, ..Default::default() };
    let changes = world.manager.history().list_changes(request).await.unwrap().into_inner().changes;
    let mut expired = changes.into_iter().filter(|change| change.kind == "appointment.hold_expired");
    let (Some(mut once), None) = (expired.next(), expired.next()) else { panic!("all of it ends once") };
    once.appointment_ids.sort();
    assert_eq!(once.appointment_ids, ids);
    rival(&world).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_of_a_series_is_prolonged_with_all_its_sessions_but_not_beyond_the_first() {
    let world = World::new().await;
    let first = hold(&world, hold_request(&world)).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-05T08:09:59Z") else { return };
    let renewed = renew(&world, &first, 20).await.unwrap();
    assert_eq!(renewed.held_until, at("2026-01-05T08:29:59Z"));
    assert!((1..=4).all(|number| session(&renewed, number).held_until == renewed.held_until));
    assert_eq!(renew(&world, &renewed, 1).await.unwrap(), renewed, "never shorter");
    let Some(()) = world.server.set_clock("2026-01-05T08:29:58Z") else { return };
    let booked = convert(&world, &renewed).await.unwrap();
    assert_eq!(states(&booked), [pb::AppointmentState::Booked; 4]);
    world.server.assert_clean().await;

    let Some(()) = world.server.set_clock("2026-02-02T08:30:00Z") else { return };
    let other = pb::HoldSeriesRequest { hold_minutes: 60, ..hold_request(&world) };
    // In Berlin it is 9:30, and the other patient's first session begins at 10:00.
    let soon = hold(&world, pb::HoldSeriesRequest { patient_id: world.patients[1].clone(), ..other }).await.unwrap();
    assert_eq!(soon.held_until, at("2026-02-02T09:00:00Z"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_best_plan_is_held_but_none_that_continues_a_series() {
    let world = World::new().await;
    let best = pb::HoldSeriesRequest {
        sessions: Vec::new(),
        wishes: Some(pb::SeriesWishes { first_session_from: "2026-01-06".into(), ..Default::default() }),
        ..hold_request(&world)
    };
    let held = hold(&world, best).await.unwrap();
    assert_eq!(states(&held), [pb::AppointmentState::Held; 4]);
    let mut booked = convert(&world, &held).await.unwrap();
    world.cancel(session(&booked, 4)).await.unwrap();
    booked = get_series(&world, &booked.series_id).await;
    let ask = pb::ProposeSeriesRequest {
        series_id: booked.series_id.clone(),
        clinic_id: world.clinic.clone(),
        ..Default::default()
    };
    let plan = world.manager.series().propose_series(ask).await.unwrap().into_inner().plans.remove(0);
    let request = pb::HoldSeriesRequest { request_id: request_id(), plan: Some(plan), ..Default::default() };
    assert_eq!(fields(&hold(&world, request).await.unwrap_err()), ["plan.series_id"]);
    assert_eq!(get_series(&world, &booked.series_id).await, booked);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_the_patient_is_fit_for_each_session_is_looked_at_again_when_a_series_is_converted() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let clearance = clinic.fit().await;
    let held = hold(world, hold_request(world)).await.unwrap();
    clinic.revoke(&clearance).await.unwrap();
    let refused = convert(world, &held).await.unwrap_err();
    let each: Vec<String> = (0..4).map(|place| format!("CLEARANCE_MISSING sessions[{place}]")).collect();
    assert_eq!(said(world, &refused), each);
    assert_eq!(get_series(world, &held.series_id).await, held);
    let consultation =
        pb::Appointment { appointment_id: clearance.consultation_appointment_id.clone(), ..Default::default() };
    let again = clinic.sign(clinic.clearance_request(&consultation)).await.unwrap();
    let booked = convert(world, &held).await.unwrap();
    assert!((1..=4).all(|number| session(&booked, number).clearance_id == again.clearance_id));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_over_one_session_ends_the_hold_of_the_whole_series() {
    let world = World::new().await;
    let held = hold(&world, hold_request(&world)).await.unwrap();
    close(&world, "2026-03-02T00:00:00", "2026-03-03T00:00:00").await;
    let ended = get_series(&world, &held.series_id).await;
    assert_eq!(ended.state(), pb::SeriesState::Cancelled);
    for number in 1..=4 {
        let known = get_appointment(&world, &session(&held, number).appointment_id).await;
        assert_eq!(known.state(), pb::AppointmentState::Cancelled);
    }
    assert_eq!(said(&world, &convert(&world, &held).await.unwrap_err()), ["NOT_HELD"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_held_no_longer_than_the_practice_lets_it() {
    let world = World::new().await;
    let get = pb::GetPracticeRequest::default();
    let practice = world.manager.practices().get_practice(get).await.unwrap().into_inner().practice.unwrap();
    let rules = pb::BookingRules { max_hold_minutes: 5, max_hold_total_minutes: 8, ..practice.booking_rules.unwrap() };
    let request = pb::UpdateBookingRulesRequest {
        request_id: request_id(),
        etag: practice.etag,
        booking_rules: Some(rules),
        ..Default::default()
    };
    world.manager.practices().update_booking_rules(request).await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-05T08:00:00Z") else { return };
    let held = hold(&world, pb::HoldSeriesRequest { hold_minutes: 60, ..hold_request(&world) }).await.unwrap();
    assert_eq!(held.held_until, at("2026-01-05T08:05:00Z"));
    let Some(()) = world.server.set_clock("2026-01-05T08:04:00Z") else { return };
    assert_eq!(renew(&world, &held, 60).await.unwrap().held_until, at("2026-01-05T08:08:00Z"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_of_a_series_whose_end_races_with_its_conversion_and_with_another_has_one_owner() {
    const ROUNDS: i64 = 100;
    let world = World::new().await;
    let mut now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
    for round in 0..ROUNDS {
        let Some(()) = world.server.set_clock(&now.to_rfc3339()) else { return };
        let held = hold(&world, pb::HoldSeriesRequest { hold_minutes: 1, ..hold_request(&world) }).await.unwrap();
        now += TimeDelta::minutes(1);
        let end = now.to_rfc3339();
        let clock = async {
            // At another moment of the others' way each time.
            for _ in 0..round % 5 {
                revision(&world).await;
            }
            world.server.set_clock(&end).unwrap();
        };
        let (won, lost, ()) = tokio::join!(convert(&world, &held), rival(&world), clock);
        let owner = match (won, lost) {
            (Ok(series), Err(_)) | (Err(_), Ok(series)) => series,
            (Err(_), Err(_)) => rival(&world).await.unwrap(),
            (Ok(one), Ok(other)) => panic!("two owners: {one:?} {other:?}"),
        };
        assert_eq!(states(&owner), [pb::AppointmentState::Booked; 4]);
        let is_owner = owner.series_id == held.series_id;
        let known = get_series(&world, &held.series_id).await;
        assert_eq!(known.state() == pb::SeriesState::Active, is_owner);
        cancel_series(&world, &get_series(&world, &owner.series_id).await).await.unwrap();
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_a_series_that_is_held_or_booked_in_part() {
    for damage in [
        "UPDATE series SET state = 'active'",
        "UPDATE appointments SET held_until = held_until + interval '1 minute' WHERE session_number = 2",
        "UPDATE series SET state = 'cancelled', cancelled_at = booked_at, cancel_reason = ''",
        "UPDATE appointments SET state = 'booked' WHERE session_number = 3",
    ] {
        let world = World::new().await;
        hold(&world, hold_request(&world)).await.unwrap();
        world.server.assert_clean().await;
        world.server.pool().execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
        let report = world.server.verify().await;
        let what = "a series is held, booked and ended with all its sessions";
        let found = report.checks.iter().find(|check| check.what == what).unwrap();
        assert_eq!(found.violations, 1, "{damage}: {report}");
    }
}
