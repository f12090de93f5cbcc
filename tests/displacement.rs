//! Closures, time off and shorter hours that take the place of visits: which visits they displace, where these go, and
//! what stays to be settled.

mod together;

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use stipple::rpc::pb;
use stipple::rpc::pb::appointment_service_client::AppointmentServiceClient;
use tokio::sync::Barrier;
use tonic::{Code, Status};

use crate::desk::{
    FOUR, get_appointment, get_series, instant, needling_request, revision, said, serving, session, session_request,
};
use crate::harness::wire::{Wire, fields, missing, reason};
use crate::harness::world::{every_day, request_id, timestamp};
use crate::harness::{World, refusal};

fn all() -> Option<pb::Rebooking> {
    Some(pb::Rebooking { all: true, moves: Vec::new() })
}

fn chosen(moves: &[&pb::DisplacedMove]) -> Option<pb::Rebooking> {
    Some(pb::Rebooking { all: false, moves: moves.iter().map(|chosen| (*chosen).clone()).collect() })
}

fn away(
    world: &World,
    resource: &str,
    (from, until): (&str, &str),
    rebooking: Option<pb::Rebooking>,
) -> pb::CreateTimeOffRequest {
    pb::CreateTimeOffRequest {
        request_id: request_id(),
        resource_id: resource.into(),
        start_time: timestamp(world.local(from)),
        end_time: timestamp(world.local(until)),
        rebooking,
        ..Default::default()
    }
}

async fn take_off(world: &World, request: pb::CreateTimeOffRequest) -> Result<(pb::TimeOff, pb::Displacement), Status> {
    let answer = world.manager.resources().create_time_off(request).await?.into_inner();
    Ok((answer.time_off.unwrap(), answer.displacement.unwrap()))
}

fn closed(world: &World, (from, until): (&str, &str), rebooking: Option<pb::Rebooking>) -> pb::CreateClosureRequest {
    pb::CreateClosureRequest {
        request_id: request_id(),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local(from)),
        end_time: timestamp(world.local(until)),
        rebooking,
        ..Default::default()
    }
}

async fn close(world: &World, request: pb::CreateClosureRequest) -> Result<pb::Displacement, Status> {
    Ok(world.manager.practices().create_closure(request).await?.into_inner().displacement.unwrap())
}

async fn displaced(world: &World) -> Vec<pb::DisplacedVisit> {
    let request = pb::ListDisplacedRequest::default();
    world.manager.appointments().list_displaced(request).await.unwrap().into_inner().visits
}

/// Where each displaced visit was, what it lost, and where it goes, by the clinic's wall clock.
fn told(visits: &[pb::DisplacedVisit]) -> Vec<String> {
    let line = |visit: &pb::DisplacedVisit| {
        let was = &visit.appointment.as_ref().unwrap().local_start[..16];
        let names = visit.losses.iter().map(|loss| loss.reason().as_str_name().trim_start_matches("REASON_"));
        let lost = names.collect::<Vec<_>>().join(" ");
        match &visit.r#move {
            Some(to) => format!("{was} {lost} to {}, {}", &to.local_start[..16], to.days),
            None => format!("{was} {lost} stays"),
        }
    };
    visits.iter().map(line).collect()
}

/// A visit that needles somebody new, with a practitioner.
async fn visit(world: &World, practitioner: usize, start: &str) -> pb::Appointment {
    let patient = world.patient().await;
    let mut request = needling_request(world, &patient, pb::BodyArea::Face, start);
    request.resource_ids = vec![world.practitioners[practitioner].clone()];
    world.book(request).await.unwrap()
}

/// A series of somebody new, all with the first practitioner.
async fn series(world: &World, starts: &[&str]) -> pb::Series {
    let mut request = world.series_request(starts);
    request.patient_id = world.patient().await;
    request.sessions.iter_mut().for_each(|session| session.practitioner_id = world.practitioners[0].clone());
    world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap()
}

/// The days between the sessions of a series.
fn gaps(series: &pb::Series) -> Vec<i64> {
    let day = |number| instant(session(series, number).start_time.as_ref()).date_naive();
    (1..series.sessions.len()).map(|number| (day(number + 1) - day(number)).num_days()).collect()
}

fn who(appointment: &pb::Appointment) -> String {
    serving(appointment, 1, pb::ResourceKind::Practitioner)
}

/// The practitioner is ill on the day of the first session of [`FOUR`].
const ILL: (&str, &str) = ("2026-02-02T00:00:00", "2026-02-03T00:00:00");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_visits_of_who_is_ill_go_to_somebody_else_at_the_same_time() {
    let world = World::new().await;
    let booked = series(&world, &FOUR).await;
    let ill = &world.practitioners[0];
    let before = revision(&world).await;
    let dry = pb::CreateTimeOffRequest { validate_only: true, ..away(&world, ill, ILL, all()) };
    let (_, shown) = take_off(&world, dry).await.unwrap();
    assert_eq!(told(&shown.visits), ["2026-02-02T10:00 RESOURCE_AWAY to 2026-02-02T10:00, 0"]);
    assert_eq!(shown.visits[0].r#move.as_ref().unwrap().practitioner_id, world.practitioners[1]);
    assert_eq!(shown.visits[0].losses[0].resource_id, *ill);
    assert_eq!(revision(&world).await, before);
    assert_eq!(get_series(&world, &booked.series_id).await, booked);
    assert!(displaced(&world).await.is_empty());

    let request = away(&world, ill, ILL, all());
    let (off, done) = take_off(&world, request.clone()).await.unwrap();
    assert_eq!(told(&done.visits), told(&shown.visits));
    assert_eq!(revision(&world).await, before + 1);
    let (old, new) = (done.visits[0].appointment.as_ref().unwrap(), done.visits[0].moved_to.as_ref().unwrap());
    assert_eq!(old.appointment_id, session(&booked, 1).appointment_id);
    assert_eq!((old.state(), &old.replaced_by_appointment_id), (pb::AppointmentState::Cancelled, &new.appointment_id));
    assert_eq!((new.state(), who(new)), (pb::AppointmentState::Booked, world.practitioners[1].clone()));
    assert_eq!(get_appointment(&world, &new.appointment_id).await, *new);
    let now = get_series(&world, &booked.series_id).await;
    assert_eq!(session(&now, 1), new);
    assert_ne!(now.etag, booked.etag);
    assert!(displaced(&world).await.is_empty());
    // The same request again is answered with the same, and does nothing.
    assert_eq!(take_off(&world, request).await.unwrap(), (off, done));
    assert_eq!(revision(&world).await, before + 1);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visits_that_nobody_moves_are_listed_until_somebody_settles_them() {
    let world = World::new().await;
    let ill = &world.practitioners[0];
    let mut visits = Vec::new();
    for hour in ["08", "10", "12", "14"] {
        visits.push(visit(&world, 0, &format!("2026-02-02T{hour}:00:00")).await);
    }
    let other = visit(&world, 1, "2026-02-02T10:00:00").await;
    let (off, left) = take_off(&world, away(&world, ill, ILL, None)).await.unwrap();
    assert_eq!(left.visits.len(), 4);
    assert!(left.visits.iter().all(|visit| visit.r#move.is_none() && visit.moved_to.is_none()));
    assert_eq!(displaced(&world).await, left.visits);
    assert!(!visits.contains(&other));

    // Page by page, of a clinic, of a resource.
    let mut request = pb::ListDisplacedRequest { clinic_id: world.clinic.clone(), page_size: 3, ..Default::default() };
    let first = world.manager.appointments().list_displaced(request.clone()).await.unwrap().into_inner();
    request.page_token = first.next_page_token;
    let second = world.manager.appointments().list_displaced(request).await.unwrap().into_inner();
    assert_eq!([first.visits, second.visits].concat(), left.visits);
    assert_eq!(second.next_page_token, "");
    let of = |resource: &str| pb::ListDisplacedRequest { resource_id: resource.into(), ..Default::default() };
    let mut appointments = world.manager.appointments();
    let theirs = appointments.list_displaced(of(ill)).await.unwrap().into_inner().visits;
    assert_eq!(theirs, left.visits);
    let others = appointments.list_displaced(of(&world.practitioners[1])).await.unwrap().into_inner().visits;
    assert!(others.is_empty());
    assert_eq!(missing(&appointments.list_displaced(of(&world.clinic)).await.unwrap_err()), "resource_id");

    // Cancelled, moved, and in the end given back.
    world.cancel(&visits[0]).await.unwrap();
    let request = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: visits[1].etag.clone(),
        appointment_id: visits[1].appointment_id.clone(),
        start_time: timestamp(world.local("2026-02-04T10:00:00")),
        ..Default::default()
    };
    world.manager.appointments().reschedule_appointment(request).await.unwrap();
    assert_eq!(
        told(&displaced(&world).await),
        ["2026-02-02T12:00 RESOURCE_AWAY stays", "2026-02-02T14:00 RESOURCE_AWAY stays"]
    );
    let request =
        pb::DeleteTimeOffRequest { request_id: request_id(), time_off_id: off.time_off_id, ..Default::default() };
    world.manager.resources().delete_time_off(request).await.unwrap();
    assert!(displaced(&world).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chosen_moves_are_carried_out_as_they_were_shown_or_not_at_all() {
    let world = World::new().await;
    let ill = &world.practitioners[0];
    let first = visit(&world, 0, "2026-02-02T10:00:00").await;
    let second = visit(&world, 0, "2026-02-02T14:00:00").await;
    let dry = pb::CreateTimeOffRequest { validate_only: true, ..away(&world, ill, ILL, all()) };
    let (_, shown) = take_off(&world, dry).await.unwrap();
    let moves: Vec<&pb::DisplacedMove> = shown.visits.iter().map(|visit| visit.r#move.as_ref().unwrap()).collect();
    assert_eq!([&moves[0].appointment_id, &moves[1].appointment_id], [&first.appointment_id, &second.appointment_id]);

    let changed = pb::DisplacedMove { practitioner_id: ill.clone(), ..moves[0].clone() };
    let status = take_off(&world, away(&world, ill, ILL, chosen(&[&changed]))).await.unwrap_err();
    assert_eq!(fields(&status), ["rebooking.moves[0].digest"]);
    let both = pb::Rebooking { all: true, ..chosen(&moves).unwrap() };
    let status = take_off(&world, away(&world, ill, ILL, Some(both))).await.unwrap_err();
    assert_eq!(fields(&status), ["rebooking.moves"]);
    let status = take_off(&world, away(&world, ill, ILL, chosen(&[moves[0], moves[0]]))).await.unwrap_err();
    assert_eq!(fields(&status), ["rebooking.moves"]);

    // Somebody takes the place that was shown.
    let rival = visit(&world, 1, "2026-02-02T10:00:00").await;
    let before = revision(&world).await;
    let status = take_off(&world, away(&world, ill, ILL, chosen(&moves))).await.unwrap_err();
    assert_eq!(
        said(&world, &status),
        [format!("RESOURCE_BUSY against {} of {}", rival.appointment_id, world.practitioners[1])]
    );
    assert!(status.message().contains(&format!("the move of {}", first.appointment_id)), "{}", status.message());
    assert_eq!(revision(&world).await, before);
    // Neither has the other been moved, nor is anybody away.
    assert_eq!(get_appointment(&world, &second.appointment_id).await, second);
    assert!(displaced(&world).await.is_empty());

    let (_, done) = take_off(&world, away(&world, ill, ILL, chosen(&[moves[1]]))).await.unwrap();
    assert_eq!(
        told(&done.visits),
        ["2026-02-02T10:00 RESOURCE_AWAY stays", "2026-02-02T14:00 RESOURCE_AWAY to 2026-02-02T14:00, 0"]
    );
    assert_eq!(told(&displaced(&world).await), ["2026-02-02T10:00 RESOURCE_AWAY stays"]);
    // What has been moved is not displaced any more.
    let status = take_off(&world, away(&world, ill, ILL, chosen(&[moves[1]]))).await.unwrap_err();
    assert_eq!(said(&world, &status), ["APPOINTMENT_NOT_BOOKED"]);
    assert!(status.message().contains("ask with validate_only again"), "{}", status.message());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_moves_sessions_of_a_series_together_and_keeps_their_gaps() {
    let world = World::new().await;
    let apart = ["2026-02-02T10:00:00", "2026-03-14T10:00:00", "2026-04-23T10:00:00", "2026-06-02T10:00:00"];
    let booked = series(&world, &apart).await;
    // The first two sessions lie in it. They are to be at most 56 days apart, and the second at least 28 from the
    // third.
    let during = ("2026-01-24T00:00:00", "2026-03-18T00:00:00");
    let done = close(&world, closed(&world, during, all())).await.unwrap();
    assert_eq!(
        told(&done.visits),
        [
            "2026-02-02T10:00 CLINIC_CLOSED to 2026-01-23T10:00, -10",
            "2026-03-14T10:00 CLINIC_CLOSED to 2026-03-18T10:00, 4"
        ]
    );
    let now = get_series(&world, &booked.series_id).await;
    assert_eq!(gaps(&now), [54, 36, 40]);
    assert!(displaced(&world).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_place_stays_and_is_listed() {
    let world = World::new().await;
    // Every gap is as short as may be: the session between the others has nowhere to go.
    let booked = series(&world, &FOUR).await;
    let during = ("2026-03-02T00:00:00", "2026-03-03T00:00:00");
    let done = close(&world, closed(&world, during, all())).await.unwrap();
    assert_eq!(told(&done.visits), ["2026-03-02T10:00 CLINIC_CLOSED stays"]);
    assert_eq!(displaced(&world).await, done.visits);
    assert_eq!(get_series(&world, &booked.series_id).await, booked);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shorter_hours_displace_like_closures() {
    let world = World::new().await;
    visit(&world, 0, "2026-02-02T10:00:00").await;
    visit(&world, 0, "2026-02-02T14:00:00").await;
    let get = pb::GetResourceRequest { resource_id: world.practitioners[0].clone(), ..Default::default() };
    let known = world.manager.resources().get_resource(get).await.unwrap().into_inner().resource.unwrap();
    let hours = every_day("13:00", "24:00").into_iter();
    let hours = hours.map(|hours| pb::WorkingHours { clinic_id: world.clinic.clone(), hours: Some(hours) });
    let request = pb::UpdateResourceRequest {
        request_id: request_id(),
        etag: known.etag,
        resource_id: known.resource_id,
        name: known.name,
        active: true,
        qualifications: known.qualifications,
        working_hours: hours.collect(),
        rebooking: all(),
        ..Default::default()
    };
    let answer = world.manager.resources().update_resource(request.clone()).await.unwrap().into_inner();
    let moved = answer.displacement.clone().unwrap();
    assert_eq!(told(&moved.visits), ["2026-02-02T10:00 OUTSIDE_WORKING_HOURS to 2026-02-02T10:00, 0"]);
    assert_eq!(who(moved.visits[0].moved_to.as_ref().unwrap()), world.practitioners[1]);
    assert_eq!(world.manager.resources().update_resource(request).await.unwrap().into_inner(), answer);

    let get = pb::GetClinicRequest { clinic_id: world.clinic.clone(), ..Default::default() };
    let known = world.manager.practices().get_clinic(get).await.unwrap().into_inner().clinic.unwrap();
    let request = pb::UpdateClinicRequest {
        request_id: request_id(),
        etag: known.etag,
        clinic_id: known.clinic_id,
        name: known.name,
        opening_hours: every_day("12:00", "24:00"),
        rebooking: all(),
        ..Default::default()
    };
    let dry = pb::UpdateClinicRequest { validate_only: true, request_id: request_id(), ..request.clone() };
    let shown = world.manager.practices().update_clinic(dry).await.unwrap().into_inner().displacement.unwrap();
    assert_eq!(told(&shown.visits), ["2026-02-02T10:00 OUTSIDE_OPENING_HOURS to 2026-02-02T12:00, 0"]);
    assert!(displaced(&world).await.is_empty());
    let moved = world.manager.practices().update_clinic(request).await.unwrap().into_inner().displacement.unwrap();
    assert_eq!(told(&moved.visits), told(&shown.visits));
    assert!(displaced(&world).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_its_patient_has_confirmed_is_displaced_like_any_other() {
    let world = World::new().await;
    let booked = visit(&world, 0, "2026-02-02T10:00:00").await;
    let request = pb::ConfirmAppointmentRequest {
        request_id: request_id(),
        etag: booked.etag,
        appointment_id: booked.appointment_id,
        ..Default::default()
    };
    world.manager.appointments().confirm_appointment(request).await.unwrap();
    take_off(&world, away(&world, &world.practitioners[0], ILL, None)).await.unwrap();
    assert_eq!(told(&displaced(&world).await), ["2026-02-02T10:00 RESOURCE_AWAY stays"]);
    let (_, done) = take_off(&world, away(&world, &world.practitioners[0], ILL, all())).await.unwrap();
    assert_eq!(done.visits[0].moved_to.as_ref().unwrap().state(), pb::AppointmentState::Booked);
    assert!(displaced(&world).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_in_the_way_are_released() {
    let world = World::new().await;
    let request = pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(pb::hold_appointment_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: world.patients[0].clone(),
            treatment_id: world.sauna.clone(),
            ..Default::default()
        })),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local("2026-02-02T10:00:00")),
        ..Default::default()
    };
    let held = world.manager.appointments().hold_appointment(request).await.unwrap().into_inner().appointment.unwrap();
    let request = closed(&world, ILL, all());
    let done = close(&world, request.clone()).await.unwrap();
    assert_eq!((done.visits.len(), &done.released_appointment_ids), (0, &vec![held.appointment_id.clone()]));
    assert_eq!(get_appointment(&world, &held.appointment_id).await.state(), pb::AppointmentState::Cancelled);
    assert_eq!(close(&world, request).await.unwrap(), done);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_is_held_is_released_as_a_whole() {
    let world = World::new().await;
    let pb::BookSeriesRequest { patient_id, protocol_id, body_area, clinic_id, sessions, .. } =
        world.series_request(&FOUR);
    let request = pb::HoldSeriesRequest {
        request_id: request_id(),
        patient_id,
        protocol_id,
        body_area,
        clinic_id,
        sessions,
        ..Default::default()
    };
    let held = world.manager.series().hold_series(request).await.unwrap().into_inner().series.unwrap();
    let done = close(&world, closed(&world, ILL, all())).await.unwrap();
    let mut sessions: Vec<String> = (1..=4).map(|number| session(&held, number).appointment_id.clone()).collect();
    let mut released = done.released_appointment_ids;
    sessions.sort_unstable();
    released.sort_unstable();
    assert_eq!(released, sessions);
    assert_eq!(get_series(&world, &held.series_id).await.state(), pb::SeriesState::Cancelled);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_is_limited_in_length_and_in_the_visits_that_it_displaces() {
    let world = World::new().await;
    let long = ("2026-02-01T00:00:00", "2029-02-06T00:00:01");
    assert_eq!(fields(&close(&world, closed(&world, long, None)).await.unwrap_err()), ["end_time"]);
    let booked = world.book_sauna("2026-02-02T10:00:00").await.unwrap();
    // Five hundred more like it, one a day.
    let copy = |days: &str| {
        format!(
            "WITH days AS (
             SELECT gen_random_uuid() AS id, make_interval(days => day) AS later FROM generate_series({days}) AS day),
         visits AS (
             INSERT INTO appointments (practice_id, patient_id, booked_at, booked_revision, changed_revision, state,
                                       appointment_id, clinic_id, treatment_id, treatment_version, visit)
             SELECT practice_id, patient_id, booked_at, booked_revision, changed_revision, state, days.id, clinic_id,
                 treatment_id, treatment_version, tstzrange(lower(visit) + later, upper(visit) + later)
             FROM appointments, days WHERE appointment_id = '{0}')
         INSERT INTO occupancies (practice_id, live, appointment_id, resource_id, need, during)
         SELECT practice_id, live, days.id, resource_id, need, tstzrange(lower(during) + later, upper(during) + later)
         FROM occupancies, days WHERE appointment_id = '{0}'",
            booked.appointment_id
        )
    };
    sqlx::query(AssertSqlSafe(copy("1, 500"))).execute(world.server.pool()).await.unwrap();
    let most = ("2026-02-01T00:00:00", "2028-02-01T00:00:00");
    let status = close(&world, closed(&world, most, None)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "TOO_MANY_DISPLACED"));
    assert_eq!(refusal(&status).len(), 1);
    let fewer = ("2026-02-03T00:00:00", "2028-02-01T00:00:00");
    let request = closed(&world, fewer, None);
    let done = close(&world, request.clone()).await.unwrap();
    assert_eq!(done.visits.len(), 500);
    // A repeat is answered even if there are more by now.
    sqlx::query(AssertSqlSafe(copy("501, 510"))).execute(world.server.pool()).await.unwrap();
    assert_eq!(close(&world, request).await.unwrap(), done);
}

/// A client that goes ahead with others.
async fn list(client: &mut AppointmentServiceClient<Wire>) -> Vec<pb::DisplacedVisit> {
    client.list_displaced(pb::ListDisplacedRequest::default()).await.unwrap().into_inner().visits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_is_booked_or_moved_meanwhile_is_displaced_or_refused() {
    let world = Arc::new(World::new().await);
    for round in 0..6 {
        let day = 10 + round;
        let during = (format!("2026-02-{day}T00:00:00"), format!("2026-02-{day}T23:00:00"));
        let known = visit(&world, 0, &format!("2026-02-{day}T10:00:00")).await;
        let barrier = Arc::new(Barrier::new(3));
        let booking = tokio::spawn({
            let (world, barrier) = (Arc::clone(&world), Arc::clone(&barrier));
            async move {
                let patient = world.patient().await;
                let start = format!("2026-02-{day}T14:00:00");
                let mut request = needling_request(&world, &patient, pb::BodyArea::Face, &start);
                request.resource_ids = vec![world.practitioners[0].clone()];
                barrier.wait().await;
                world.book(request).await
            }
        });
        let moving = tokio::spawn({
            let (world, barrier, known) = (Arc::clone(&world), Arc::clone(&barrier), known.clone());
            async move {
                let request = pb::RescheduleAppointmentRequest {
                    request_id: request_id(),
                    etag: known.etag,
                    appointment_id: known.appointment_id,
                    start_time: timestamp(world.local(&format!("2026-02-{day}T17:00:00"))),
                    resource_ids: vec![world.practitioners[0].clone()],
                    ..Default::default()
                };
                barrier.wait().await;
                world.manager.appointments().reschedule_appointment(request).await
            }
        });
        barrier.wait().await;
        let request = away(&world, &world.practitioners[0], (&during.0, &during.1), all());
        let (_, done) = take_off(&world, request).await.unwrap();
        let (booked, moved) = (booking.await.unwrap(), moving.await.unwrap());
        // Whoever came before it was moved with it; whoever came later was refused.
        let displaces =
            |id: &str| done.visits.iter().any(|visit| visit.appointment.as_ref().unwrap().appointment_id == id);
        match &booked {
            Ok(appointment) => assert!(displaces(&appointment.appointment_id)),
            Err(status) => assert!(said(&world, status).iter().any(|rule| rule.starts_with("RESOURCE_AWAY"))),
        }
        match moved {
            Ok(answer) => assert!(displaces(&answer.into_inner().appointment.unwrap().appointment_id)),
            Err(status) => {
                assert!(displaces(&known.appointment_id));
                assert!(matches!(status.code(), Code::Aborted | Code::FailedPrecondition), "{status:?}");
            }
        }
        assert!(done.visits.iter().all(|visit| visit.moved_to.is_some()), "{:?}", told(&done.visits));
        assert!(list(&mut world.manager.appointments()).await.is_empty());
    }
    world.server.assert_clean().await;
}

/// Forty visits in two weeks, as sessions of series that go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_practitioner_with_forty_visits_in_two_weeks_falls_ill() {
    let world = World::new().await;
    let mut booked = Vec::new();
    for day in 0..10 {
        for hour in [8, 10, 12, 14] {
            let day = 2 + day + day / 5 * 2;
            let starts = [
                format!("2026-02-{day:02}T{hour:02}:00:00"),
                format!("2026-03-{:02}T{hour:02}:00:00", day + 4),
                format!("2026-04-{:02}T{hour:02}:00:00", day + 5),
            ];
            let starts: Vec<&str> = starts.iter().map(String::as_str).collect();
            booked.push(series(&world, &starts).await);
        }
        // The other practitioner has something to do as well.
        visit(&world, 1, &format!("2026-02-{:02}T10:00:00", 2 + day)).await;
    }
    let two_weeks = ("2026-02-02T00:00:00", "2026-02-16T00:00:00");
    let request = away(&world, &world.practitioners[0], two_weeks, all());
    let (_, done) = take_off(&world, request).await.unwrap();
    assert_eq!(done.visits.len(), 40);
    assert!(done.visits.iter().all(|visit| visit.moved_to.is_some()), "{:?}", told(&done.visits));
    for series in booked {
        let now = get_series(&world, &series.series_id).await;
        assert!(gaps(&now).iter().all(|days| (28..=56).contains(days)), "{:?}", gaps(&now));
    }
    assert!(displaced(&world).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_booked_again_keeps_clear_of_the_displaced_ones() {
    let world = World::new().await;
    let booked = series(&world, &FOUR).await;
    let (_, left) = take_off(&world, away(&world, &world.practitioners[0], ILL, None)).await.unwrap();
    assert_eq!(left.visits.len(), 1);
    // The displaced session still has its place in the series.
    world.cancel(session(&booked, 2)).await.unwrap();
    let status = world.book(session_request(&world, &booked, 2, "2026-02-20T10:00:00")).await.unwrap_err();
    assert!(said(&world, &status)[0].starts_with("SESSION_TOO_SOON"), "{status:?}");
    world.server.assert_clean().await;
}
