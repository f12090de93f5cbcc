//! What a practice asks of those who cancel, move or miss a visit, and for how long it lets time be held.

use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use tonic::{Code, Status};

use crate::desk::{FOUR, cancel_series, get_appointment, get_series, needling_request, revision, session};
use crate::harness::World;
use crate::harness::wire::{fields, reason};
use crate::harness::world::{at, request_id, timestamp, token};
use crate::no_shows::undo;

/// 23 hours and 59 minutes before the first session of [`FOUR`].
const LATE: &str = "2026-02-01T09:01:00Z";
/// 24 hours before it.
const IN_TIME: &str = "2026-02-01T09:00:00Z";

async fn practice(world: &World) -> pb::Practice {
    let request = pb::GetPracticeRequest::default();
    world.manager.practices().get_practice(request).await.unwrap().into_inner().practice.unwrap()
}

async fn update(world: &World, rules: pb::BookingRules) -> Result<pb::Practice, Status> {
    let request = pb::UpdateBookingRulesRequest {
        request_id: request_id(),
        etag: practice(world).await.etag,
        booking_rules: Some(rules),
        ..Default::default()
    };
    Ok(world.manager.practices().update_booking_rules(request).await?.into_inner().practice.unwrap())
}

const fn defaults() -> pb::BookingRules {
    pb::BookingRules {
        cancel_notice_hours: 24,
        move_notice_hours: 24,
        late_cancellation_counts: false,
        no_show_counts: false,
        max_hold_minutes: 60,
        max_hold_total_minutes: 240,
    }
}

const fn strict() -> pb::BookingRules {
    pb::BookingRules { late_cancellation_counts: true, no_show_counts: true, ..defaults() }
}

async fn cancel(world: &World, id: &str, because: pb::VisitEndReason) -> pb::Appointment {
    let request = pb::CancelAppointmentRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        end_reason: because.into(),
        ..Default::default()
    };
    let told = world.manager.appointments().cancel_appointment(request.clone()).await.unwrap().into_inner();
    assert_eq!(told.appointment.as_ref(), Some(&get_appointment(world, id).await));
    let again = world.manager.appointments().cancel_appointment(request).await.unwrap().into_inner();
    assert_eq!(again.appointment, told.appointment);
    told.appointment.unwrap()
}

async fn miss(world: &World, id: &str, because: pb::VisitEndReason) -> pb::MarkNoShowResponse {
    let request = pb::MarkNoShowRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        end_reason: because.into(),
        ..Default::default()
    };
    world.manager.appointments().mark_no_show(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_practice_has_booking_rules_that_its_manager_replaces_as_a_whole() {
    let world = World::new().await;
    let before = practice(&world).await;
    assert_eq!(before.booking_rules, Some(defaults()));
    let request = pb::UpdateBookingRulesRequest {
        request_id: request_id(),
        etag: before.etag.clone(),
        booking_rules: Some(strict()),
        ..Default::default()
    };
    let dry = pb::UpdateBookingRulesRequest { validate_only: true, ..request.clone() };
    let shown = world.manager.practices().update_booking_rules(dry).await.unwrap().into_inner().practice.unwrap();
    assert_eq!((shown.booking_rules, practice(&world).await), (Some(strict()), before.clone()));
    let desk = token(&world.server, &world.practice, pb::Role::FrontDesk, "").await;
    let denied = desk.practices().update_booking_rules(request.clone()).await.unwrap_err();
    assert_eq!(reason(&denied), "ROLE_NOT_ALLOWED");
    let after = world.manager.practices().update_booking_rules(request.clone()).await.unwrap().into_inner();
    let again = world.manager.practices().update_booking_rules(request.clone()).await.unwrap().into_inner();
    assert_eq!((&again, &after.practice), (&after, &Some(practice(&world).await)));
    let stale = pb::UpdateBookingRulesRequest { request_id: request_id(), ..request };
    let stale = world.manager.practices().update_booking_rules(stale).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    // Its other settings are replaced without them.
    let named = pb::UpdatePracticeRequest {
        request_id: request_id(),
        etag: practice(&world).await.etag,
        name: "Another name".into(),
        ..Default::default()
    };
    world.manager.practices().update_practice(named).await.unwrap();
    assert_eq!(practice(&world).await.booking_rules, Some(strict()));
    let too_short = pb::BookingRules { max_hold_total_minutes: 59, ..defaults() };
    let status = update(&world, too_short).await.unwrap_err();
    assert_eq!(fields(&status), ["booking_rules.max_hold_total_minutes"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_cancelled_late_counts_as_used_where_the_practice_says_so() {
    use pb::VisitEndReason::{Clinic, Other, PatientIll, Unspecified};
    for (rules, now, because, late, counts) in [
        (defaults(), LATE, PatientIll, true, false),
        (strict(), LATE, PatientIll, true, true),
        (strict(), LATE, Unspecified, true, true),
        (strict(), LATE, Clinic, true, false),
        (strict(), IN_TIME, PatientIll, false, false),
        (pb::BookingRules { cancel_notice_hours: 23, ..strict() }, LATE, PatientIll, false, false),
        (pb::BookingRules { cancel_notice_hours: 0, ..strict() }, "2026-02-02T08:59:59Z", PatientIll, false, false),
    ] {
        let world = World::new().await;
        update(&world, rules).await.unwrap();
        let series = world.book_series(&FOUR).await.unwrap();
        let Some(()) = world.server.set_clock(now) else { return };
        let cancelled = cancel(&world, &session(&series, 1).appointment_id, because).await;
        assert_eq!((cancelled.ended_late, cancelled.counts_as_used), (late, counts), "{rules:?} {because:?}");
        let told = if because == Unspecified { Other } else { because };
        assert_eq!((cancelled.end_reason(), cancelled.end_notice_hours), (told, rules.cancel_notice_hours));
        let counted = get_series(&world, &series.series_id).await.visits_counted_as_used;
        assert_eq!(counted, i32::from(counts));
        // What was is not judged anew.
        update(&world, pb::BookingRules { cancel_notice_hours: 336, ..defaults() }).await.unwrap();
        assert_eq!(get_appointment(&world, &cancelled.appointment_id).await, cancelled);
        world.server.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_come_gives_no_notice_and_a_mistake_is_not_counted() {
    use pb::VisitEndReason::{Clinic, Forgotten, Unspecified};
    let world = World::new().await;
    update(&world, strict()).await.unwrap();
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let alone = world.book_sauna("2026-01-20T10:00:00").await.unwrap().appointment_id;
    let Some(()) = world.server.set_clock("2026-02-02T09:05:00Z") else { return };
    let told = miss(&world, &first, Forgotten).await;
    let visit = told.appointment.unwrap();
    assert_eq!((visit.ended_late, visit.counts_as_used, visit.end_reason()), (true, true, Forgotten));
    assert_eq!(told.series.unwrap().visits_counted_as_used, 1);
    world.server.assert_clean().await;
    let undone = undo(&world, &first).await.unwrap();
    let visit = undone.appointment.unwrap();
    assert_eq!((visit.ended_late, visit.counts_as_used, visit.end_reason()), (false, false, Unspecified));
    assert_eq!(undone.series.unwrap().visits_counted_as_used, 0);
    assert!(!miss(&world, &first, Clinic).await.appointment.unwrap().counts_as_used);
    // It is no session.
    assert!(!miss(&world, &alone, Forgotten).await.appointment.unwrap().counts_as_used);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_on_short_notice_is_late_and_counts_as_nothing() {
    let world = World::new().await;
    update(&world, strict()).await.unwrap();
    let series = world.book_series(&FOUR).await.unwrap();
    let alone = world.book_sauna("2026-01-20T10:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-19T09:01:00Z") else { return };
    let request = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: alone.etag.clone(),
        appointment_id: alone.appointment_id.clone(),
        start_time: timestamp(world.local("2026-01-21T10:00:00")),
        end_reason: pb::VisitEndReason::WeatherOrTravel.into(),
        ..Default::default()
    };
    let moved = world.manager.appointments().reschedule_appointment(request.clone()).await.unwrap().into_inner();
    assert!(moved.late && !moved.appointment.as_ref().unwrap().ended_late);
    let again = world.manager.appointments().reschedule_appointment(request).await.unwrap().into_inner();
    assert_eq!(again, moved);
    let old = get_appointment(&world, &alone.appointment_id).await;
    assert_eq!((old.ended_late, old.end_reason()), (true, pb::VisitEndReason::WeatherOrTravel));

    let Some(()) = world.server.set_clock(LATE) else { return };
    let request = pb::RescheduleSessionRequest {
        request_id: request_id(),
        series_id: series.series_id.clone(),
        etag: get_series(&world, &series.series_id).await.etag,
        session_number: 1,
        start_time: timestamp(world.local("2026-02-03T10:00:00")),
        end_reason: pb::VisitEndReason::PatientAsked.into(),
        ..Default::default()
    };
    let moved = world.manager.series().reschedule_session(request.clone()).await.unwrap().into_inner();
    assert_eq!(world.manager.series().reschedule_session(request).await.unwrap().into_inner().moves, moved.moves);
    // The later ones moved along, and nobody asked for that.
    let late: Vec<(i32, bool)> = moved.moves.iter().map(|moved| (moved.session_number, moved.late)).collect();
    assert_eq!(late, [(1, true), (2, false), (3, false), (4, false)]);
    let followed = get_appointment(&world, &moved.moves[1].old_appointment_id).await;
    assert_eq!(followed.end_reason(), pb::VisitEndReason::Unspecified);
    assert_eq!(moved.series.unwrap().visits_counted_as_used, 0);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_held_no_longer_than_the_practice_lets_it_be_held() {
    let world = World::new().await;
    update(&world, pb::BookingRules { max_hold_minutes: 20, max_hold_total_minutes: 30, ..defaults() }).await.unwrap();
    let hold = pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(pb::hold_appointment_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: world.patients[0].clone(),
            treatment_id: world.sauna.clone(),
            ..Default::default()
        })),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local("2026-01-20T10:00:00")),
        hold_minutes: 60,
        ..Default::default()
    };
    let Some(()) = world.server.set_clock("2026-01-06T08:00:00Z") else { return };
    let held = world.manager.appointments().hold_appointment(hold).await.unwrap().into_inner().appointment.unwrap();
    assert_eq!(held.held_until, at("2026-01-06T08:20:00Z"));
    let renew = async |etag: &str| {
        let request = pb::RenewHoldRequest {
            request_id: request_id(),
            etag: etag.into(),
            appointment_id: held.appointment_id.clone(),
            hold_minutes: 15,
            ..Default::default()
        };
        world.manager.appointments().renew_hold(request).await.unwrap().into_inner().appointment.unwrap()
    };
    let Some(()) = world.server.set_clock("2026-01-06T08:10:00Z") else { return };
    let renewed = renew(&held.etag).await;
    assert_eq!(renewed.held_until, at("2026-01-06T08:25:00Z"));
    let Some(()) = world.server.set_clock("2026-01-06T08:20:00Z") else { return };
    let renewed = renew(&renewed.etag).await;
    assert_eq!(renewed.held_until, at("2026-01-06T08:30:00Z"), "half an hour in all");
    // Nothing is left to prolong.
    let before = revision(&world).await;
    assert_eq!((renew(&renewed.etag).await, revision(&world).await), (renewed.clone(), before));
    let released = cancel(&world, &renewed.appointment_id, pb::VisitEndReason::NotWanted).await;
    assert_eq!((released.ended_late, released.end_notice_hours), (false, 0));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_what_cannot_count_as_a_session_used() {
    for damage in [
        // Cancelled in time.
        "UPDATE appointments SET end_notice_hours = 1 WHERE counts_as_used",
        // By the clinic; what a constraint rules out is looked at all the same.
        "ALTER TABLE appointments DROP CONSTRAINT only_sessions_that_the_clinic_did_not_end_are_counted;
         UPDATE appointments SET end_reason = 'clinic' WHERE counts_as_used",
        "ALTER TABLE appointments DROP CONSTRAINT ended_appointment_says_how;
         UPDATE appointments SET end_reason = 'other' WHERE session_number = 4 AND state = 'booked'",
        // No session.
        "ALTER TABLE appointments DROP CONSTRAINT only_sessions_that_the_clinic_did_not_end_are_counted;
         UPDATE appointments SET counts_as_used = true WHERE end_reason = 'not_wanted'",
        // It moved, and takes place.
        "UPDATE appointments SET counts_as_used = true WHERE end_reason = 'weather_or_travel'",
        // It ended with its series.
        "UPDATE appointments SET end_reason = 'other', end_notice_hours = 24, counts_as_used = false
         WHERE session_number = 2 AND state = 'cancelled' AND replaces IS NOT NULL",
    ] {
        let world = World::new().await;
        update(&world, strict()).await.unwrap();
        let series = world.book_series(&FOUR).await.unwrap();
        let of_no_series = needling_request(&world, &world.patient().await, pb::BodyArea::Face, "2026-02-01T12:00:00");
        let alone = world.book(of_no_series).await.unwrap().appointment_id;
        // Less than a day ahead, too.
        let mut of_another =
            world.series_request(&["2026-02-02T08:00:00", "2026-03-02T08:00:00", "2026-03-30T08:00:00"]);
        of_another.patient_id = world.patient().await;
        let moved = world.manager.series().book_series(of_another).await.unwrap().into_inner().series.unwrap();
        let Some(()) = world.server.set_clock(LATE) else { return };
        cancel(&world, &session(&series, 1).appointment_id, pb::VisitEndReason::Forgotten).await;
        cancel(&world, &alone, pb::VisitEndReason::NotWanted).await;
        let request = pb::RescheduleSessionRequest {
            request_id: request_id(),
            series_id: moved.series_id.clone(),
            etag: get_series(&world, &moved.series_id).await.etag,
            session_number: 1,
            start_time: timestamp(world.local("2026-02-03T08:00:00")),
            end_reason: pb::VisitEndReason::WeatherOrTravel.into(),
            ..Default::default()
        };
        let moved = world.manager.series().reschedule_session(request).await.unwrap().into_inner().series.unwrap();
        cancel_series(&world, &moved).await.unwrap();
        world.server.assert_clean().await;
        world.server.pool().execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
        let report = world.server.verify().await;
        let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
        assert!(matches!(broken.as_slice(), [check] if check.promise == "P6" && check.violations == 1), "{report}");
    }
}
