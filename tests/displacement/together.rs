//! What moves together, and what else a change ends: assessments with the sessions from which they count, holds in the
//! way, who waits for the time, and repeats long after.

use stipple::rpc::pb;
use stipple::rpc::pb::add_entry_request::Visit;
use tonic::Status;

use super::{all, away, chosen, close, closed, displaced, take_off, told, visit, who};
use crate::assessments::Course;
use crate::desk::{get_series, said, session};
use crate::harness::World;
use crate::harness::world::{every_day, request_id};

/// A request for other opening hours.
async fn opening(
    world: &World,
    opening_hours: Vec<pb::WeeklyHours>,
    rebooking: Option<pb::Rebooking>,
) -> pb::UpdateClinicRequest {
    let get = pb::GetClinicRequest { clinic_id: world.clinic.clone(), ..Default::default() };
    let known = world.manager.practices().get_clinic(get).await.unwrap().into_inner().clinic.unwrap();
    pb::UpdateClinicRequest {
        request_id: request_id(),
        etag: known.etag,
        clinic_id: known.clinic_id,
        name: known.name,
        opening_hours,
        rebooking,
        ..Default::default()
    }
}

async fn open(world: &World, request: pb::UpdateClinicRequest) -> Result<pb::Displacement, Status> {
    Ok(world.manager.practices().update_clinic(request).await?.into_inner().displacement.unwrap())
}

/// Where the visits of a closure would go.
async fn shown(world: &World, during: (&str, &str)) -> pb::DisplacedMove {
    let request = pb::CreateClosureRequest { validate_only: true, ..closed(world, during, all()) };
    let mut visits = close(world, request).await.unwrap().visits;
    assert_eq!(visits.len(), 1);
    visits.remove(0).r#move.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assessment_before_the_first_session_moves_no_further_than_that() {
    let course = Course::new().await;
    let world = &course.world;
    // Later than on the fourth of February the first session may not be, nor, but for an hour, the day before both.
    let apart = ["2026-02-04T10:00:00", "2026-03-04T10:00:00", "2026-04-01T10:00:00"];
    let booked = course.book_series(&apart).await;
    course.book(&booked, 1, "2026-02-03T10:00:00").await.unwrap();
    close(world, closed(world, ("2026-02-02T01:00:00", "2026-02-03T00:00:00"), None)).await.unwrap();
    let both = ("2026-02-03T00:00:00", "2026-02-05T00:00:00");
    let done = close(world, closed(world, both, all())).await.unwrap();
    assert_eq!(
        told(&done.visits),
        [
            "2026-02-03T10:00 CLINIC_CLOSED to 2026-02-01T09:30, -2",
            "2026-02-04T10:00 CLINIC_CLOSED to 2026-02-01T10:00, -3"
        ]
    );
    assert!(displaced(world).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assessment_after_the_last_session_follows_it_in_whatever_order_they_are_sent() {
    let course = Course::new().await;
    let world = &course.world;
    let apart = ["2026-01-29T10:00:00", "2026-02-26T10:00:00", "2026-03-26T10:00:00", "2026-04-27T10:00:00"];
    let booked = course.book_series(&apart).await;
    course.book(&booked, 4, "2026-05-25T10:00:00").await.unwrap();
    // Of the days around its Monday, the last session has the Wednesday only.
    close(world, closed(world, ("2026-04-24T00:00:00", "2026-04-27T00:00:00"), None)).await.unwrap();
    close(world, closed(world, ("2026-04-28T00:00:00", "2026-04-29T00:00:00"), None)).await.unwrap();
    let last = shown(world, ("2026-04-27T00:00:00", "2026-04-28T00:00:00")).await;
    let alone = shown(world, ("2026-05-25T00:00:00", "2026-05-26T00:00:00")).await;
    assert_eq!((&last.local_start[..10], &alone.local_start[..10]), ("2026-04-29", "2026-05-26"));

    let mut hours = every_day("00:00", "24:00");
    hours.retain(|hours| hours.weekday() != pb::Weekday::Monday);
    // Each by itself goes there; both cannot.
    for moves in [[&last, &alone], [&alone, &last]] {
        let status = open(world, opening(world, hours.clone(), chosen(&moves)).await).await.unwrap_err();
        assert_eq!(said(world, &status), ["ASSESSMENT_NOT_DUE"]);
        assert!(status.message().contains(&format!("the move of {}", alone.appointment_id)), "{}", status.message());
    }
    let request = opening(world, hours.clone(), all()).await;
    let planned = open(world, pb::UpdateClinicRequest { validate_only: true, ..request }).await.unwrap();
    let together = [
        "2026-04-27T10:00 OUTSIDE_OPENING_HOURS to 2026-04-29T10:00, 2",
        "2026-05-25T10:00 OUTSIDE_OPENING_HOURS to 2026-05-27T10:00, 2",
    ];
    assert_eq!(told(&planned.visits), together);
    let moves: Vec<&pb::DisplacedMove> = planned.visits.iter().map(|visit| visit.r#move.as_ref().unwrap()).collect();
    let done = open(world, opening(world, hours, chosen(&[moves[1], moves[0]])).await).await.unwrap();
    assert_eq!(told(&done.visits), together);
    let now = get_series(world, &booked.series_id).await;
    assert_eq!(now.assessments.last().unwrap().due_from, "2026-05-27");
    world.server.assert_clean().await;
}

/// A series of the second patient that is held, its first session with the first practitioner, the others with the
/// other one.
async fn held_series(world: &World, starts: &[&str]) -> pb::Series {
    let pb::BookSeriesRequest { protocol_id, body_area, clinic_id, mut sessions, .. } = world.series_request(starts);
    for (place, session) in sessions.iter_mut().enumerate() {
        session.practitioner_id = world.practitioners[place.min(1)].clone();
    }
    let request = pb::HoldSeriesRequest {
        request_id: request_id(),
        patient_id: world.patients[1].clone(),
        protocol_id,
        body_area,
        clinic_id,
        sessions,
        ..Default::default()
    };
    world.manager.series().hold_series(request).await.unwrap().into_inner().series.unwrap()
}

/// Somebody new waits for a sauna on a day.
async fn waiting(world: &World, date: &str) -> String {
    let request = pb::AddEntryRequest {
        request_id: request_id(),
        visit: Some(Visit::Treatment(pb::TreatmentVisit {
            patient_id: world.patient().await,
            treatment_id: world.sauna.clone(),
            ..Default::default()
        })),
        clinic_id: world.clinic.clone(),
        first_date: date.into(),
        last_date: date.into(),
        ..Default::default()
    };
    world.manager.waiting().add_entry(request).await.unwrap().into_inner().entry.unwrap().waiting_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_released_is_in_nobodys_way_and_is_offered_where_it_comes_free() {
    let world = World::new().await;
    let starts = ["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00"];
    let held = held_series(&world, &starts).await;
    visit(&world, 0, "2026-03-02T10:00:00").await;
    let (_, free) = (waiting(&world, "2026-02-02").await, waiting(&world, "2026-03-30").await);
    let ill = ("2026-02-02T00:00:00", "2026-03-03T00:00:00");
    // The other practitioner is free in March once the series is released whose first session loses its place.
    let request = away(&world, &world.practitioners[0], ill, all());
    let dry = pb::CreateTimeOffRequest { validate_only: true, ..request.clone() };
    let (_, shown) = take_off(&world, dry).await.unwrap();
    let (_, done) = take_off(&world, request).await.unwrap();
    for moved in [&shown, &done] {
        assert_eq!(told(&moved.visits), ["2026-03-02T10:00 RESOURCE_AWAY to 2026-03-02T10:00, 0"]);
        assert_eq!(moved.released_appointment_ids.len(), 3);
    }
    assert_eq!(who(done.visits[0].moved_to.as_ref().unwrap()), who(session(&held, 2)));
    // Nobody is offered the time in which the practitioner is away.
    let request = pb::ListChangesRequest { page_size: 500, ..Default::default() };
    let changes = world.manager.history().list_changes(request).await.unwrap().into_inner().changes;
    assert_eq!(changes.last().unwrap().waiting_ids, [free]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_to_come_sooner_than_a_day_from_now() {
    let world = World::new().await;
    // It is the fifth of January, nine in the morning. Today at two would be nearer.
    visit(&world, 0, "2026-01-06T14:00:00").await;
    let done = close(&world, closed(&world, ("2026-01-06T00:00:00", "2026-01-08T00:00:00"), all())).await.unwrap();
    assert_eq!(told(&done.visits), ["2026-01-06T14:00 CLINIC_CLOSED to 2026-01-08T14:00, 2"]);
    // What keeps its time needs no notice.
    visit(&world, 0, "2026-01-05T14:00:00").await;
    let today = ("2026-01-05T13:00:00", "2026-01-06T00:00:00");
    let (_, done) = take_off(&world, away(&world, &world.practitioners[0], today, all())).await.unwrap();
    assert_eq!(told(&done.visits), ["2026-01-05T14:00 RESOURCE_AWAY to 2026-01-05T14:00, 0"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_tells_of_visits_as_they_are_now() {
    let world = World::new().await;
    let booked = visit(&world, 0, "2026-02-02T10:00:00").await;
    let request = opening(&world, every_day("12:00", "24:00"), None).await;
    let stays = ["2026-02-02T10:00 OUTSIDE_OPENING_HOURS stays"];
    assert_eq!(told(&open(&world, request.clone()).await.unwrap().visits), stays);
    assert_eq!(told(&open(&world, request.clone()).await.unwrap().visits), stays);
    // The hours are given back.
    open(&world, opening(&world, every_day("00:00", "24:00"), None).await).await.unwrap();
    assert!(open(&world, request).await.unwrap().visits.is_empty());
    assert!(displaced(&world).await.is_empty());
    world.cancel(&booked).await.unwrap();
    world.server.assert_clean().await;
}
