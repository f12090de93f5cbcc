//! Sessions after a series, which keep its result.

use stipple::rpc::pb;
use stipple::rpc::pb::book_appointment_request::Visit;
use stipple::rpc::pb::find_slots_request as find;
use tonic::Status;

use crate::assessments::{Course, days_offered};
use crate::desk::{FOUR, cancel_series, get_series, needling_request, said, session};
use crate::harness::World;
use crate::harness::wire::fields;
use crate::harness::world::{request_id, timestamp};

fn maintenance_request(world: &World, series: &pb::Series, start: &str) -> pb::BookAppointmentRequest {
    let visit = pb::MaintenanceVisit { series_id: series.series_id.clone() };
    pb::BookAppointmentRequest { visit: Some(Visit::Maintenance(visit)), ..world.visit_request(&world.needling, start) }
}

async fn maintain(world: &World, series: &pb::Series, start: &str) -> Result<pb::Appointment, Status> {
    world.book(maintenance_request(world, series, start)).await
}

fn of_series(series: &pb::Series) -> find::Visit {
    find::Visit::Maintenance(pb::MaintenanceVisit { series_id: series.series_id.clone() })
}

/// The days of maintenance that a series shows.
fn due(series: &pb::Series) -> [&str; 2] {
    let due = series.maintenance_due.as_ref().expect("maintenance is due");
    [&due.due_from, &due.due_target]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_follows_a_completed_series_only() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR[..3]).await;
    assert_eq!(series.maintenance_due, None);
    let status = maintain(world, &series, "2026-07-01T10:00:00").await.unwrap_err();
    assert_eq!(said(world, &status), ["NOT_IN_SERIES_YET"]);
    let status = days_offered(world, of_series(&series), "", "2026-06-01", "2026-07-31").await.unwrap_err();
    assert_eq!(said(world, &status), ["NOT_IN_SERIES_YET"]);
    let unknown = pb::Series { series_id: request_id(), ..series.clone() };
    let status = maintain(world, &unknown, "2026-07-01T10:00:00").await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    let cancelled = cancel_series(world, &series).await.unwrap();
    assert_eq!(cancelled.maintenance_due, None);
    let status = maintain(world, &series, "2026-07-01T10:00:00").await.unwrap_err();
    assert_eq!(said(world, &status), ["SERIES_NOT_ACTIVE"]);

    // A protocol that has none.
    let other = World::on(world.server.clone(), "Europe/Berlin").await;
    let series = other.book_series(&FOUR).await.unwrap();
    let status = maintain(&other, &series, "2026-07-01T10:00:00").await.unwrap_err();
    assert_eq!(fields(&status), ["maintenance.series_id"]);
    let status = days_offered(&other, of_series(&series), "", "2026-06-01", "2026-07-31").await.unwrap_err();
    assert_eq!(fields(&status), ["maintenance.series_id"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_keeps_its_days_from_the_last_session_and_from_other_maintenance() {
    let course = Course::new().await;
    let world = &course.world;
    let Some(series) = course.completed().await else { return };
    let third = &session(&series, 3).appointment_id;
    // 90 and 182 days after 30 March.
    assert_eq!(due(&series), ["2026-06-28", "2026-09-28"]);
    let refused = async |start| said(world, &maintain(world, &series, start).await.unwrap_err());
    assert_eq!(
        refused("2026-06-27T10:00:00").await,
        [format!("SESSION_TOO_SOON against {third} 89/90 days from 2026-06-28T00:00")]
    );
    // Within the gap of the area as well: the session is said once.
    assert_eq!(
        refused("2026-04-20T10:00:00").await,
        [format!("SESSION_TOO_SOON against {third} 21/90 days from 2026-06-28T00:00")]
    );
    let days = course.offered(of_series(&series), "", "2026-06-01", "2026-07-31").await;
    assert_eq!((days.len(), days[0].as_str()), (34, "2026-06-28"));

    let first = maintain(world, &series, "2026-06-28T10:00:00").await.unwrap();
    assert_eq!((first.follows_series_id.as_str(), first.assessment_number), (series.series_id.as_str(), 0));
    assert_eq!((first.series_id.as_str(), first.body_area()), ("", pb::BodyArea::Abdomen));
    assert_eq!(first.treatment_id, world.needling);
    let now = get_series(world, &series.series_id).await;
    assert_eq!(due(&now), ["2026-09-26", "2026-12-27"]);
    assert_ne!(now.etag, series.etag);
    let against = &first.appointment_id;
    assert_eq!(
        refused("2026-09-25T10:00:00").await,
        [format!("SESSION_TOO_SOON against {against} 89/90 days from 2026-09-26T00:00")]
    );
    // The area is left alone as after the treatment outside a series, by everybody.
    let needling = |start| needling_request(world, &world.patients[0], pb::BodyArea::Abdomen, start);
    let status = world.book(needling("2026-07-25T10:00:00")).await.unwrap_err();
    assert_eq!(said(world, &status), [format!("SESSION_TOO_SOON against {against} 27/28 days from 2026-07-26T00:00")]);
    let status = world.book_sauna("2026-07-01T10:00:00").await.unwrap_err();
    assert!(said(world, &status)[0].starts_with(&format!("ACTIVITY_FORBIDDEN against {against}")));

    // A later one, and one between the two that would be near to both.
    let later = maintain(world, &series, "2026-12-01T10:00:00").await.unwrap();
    let mut told = refused("2026-09-10T10:00:00").await;
    told.sort();
    let mut expected = [
        format!("SESSION_TOO_SOON against {against} 74/90 days"),
        format!("SESSION_TOO_SOON against {} 82/90 days", later.appointment_id),
    ];
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(course.offered(of_series(&series), "", "2026-06-01", "2026-12-31").await, Vec::<String>::new());
    let offered = course.offered(of_series(&series), &later.appointment_id, "2026-06-01", "2026-12-31").await;
    assert_eq!(offered[0], "2026-09-26");

    let moved = |start: &str| pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: later.etag.clone(),
        appointment_id: later.appointment_id.clone(),
        start_time: timestamp(world.local(start)),
        ..Default::default()
    };
    let mut appointments = world.manager.appointments();
    let status = appointments.reschedule_appointment(moved("2026-09-25T10:00:00")).await.unwrap_err();
    assert_eq!(said(world, &status), [format!("SESSION_TOO_SOON against {against} 89/90 days from 2026-09-26T00:00")]);
    let new = appointments.reschedule_appointment(moved("2026-09-26T10:00:00")).await.unwrap().into_inner();
    assert_eq!(new.appointment.as_ref().unwrap().follows_series_id, series.series_id);
    let now = get_series(world, &series.series_id).await;
    assert_eq!(due(&now), ["2026-12-25", "2027-03-27"]);
    world.cancel(&new.appointment.unwrap()).await.unwrap();
    assert_eq!(due(&get_series(world, &series.series_id).await), ["2026-09-26", "2026-12-27"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_that_takes_place_late_keeps_its_days_to_the_next() {
    let course = Course::new().await;
    let world = &course.world;
    let Some(series) = course.completed().await else { return };
    let first = maintain(world, &series, "2026-06-28T10:00:00").await.unwrap();
    let second = maintain(world, &series, "2026-09-26T10:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-07-10T08:00:00Z") else { return };
    let told = said(world, &world.check_in(&first.appointment_id).await.unwrap_err());
    assert_eq!(told, [format!("SESSION_TOO_SOON against {} 78/90 days", second.appointment_id)]);
    world.cancel(&second).await.unwrap();
    world.check_in(&first.appointment_id).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_days_that_are_offered_for_maintenance_are_those_that_are_booked() {
    let course = Course::new().await;
    let world = &course.world;
    let Some(series) = course.completed().await else { return };
    maintain(world, &series, "2026-08-10T10:00:00").await.unwrap();
    // Another needling of the area near the end.
    world
        .book(needling_request(world, &world.patients[0], pb::BodyArea::Abdomen, "2026-12-01T10:00:00"))
        .await
        .unwrap();
    let offered = course.offered(of_series(&series), "", "2026-10-20", "2026-12-31").await;
    let mut day: chrono::NaiveDate = "2026-10-20".parse().unwrap();
    while day.to_string().as_str() <= "2026-12-31" {
        let mut request = maintenance_request(world, &series, &format!("{day}T10:00:00"));
        request.validate_only = true;
        assert_eq!(world.book(request).await.is_ok(), offered.contains(&day.to_string()), "{day}");
        day = day.succ_opt().unwrap();
    }
    assert!(!offered.is_empty() && offered.len() < 60, "{offered:?}");
    world.server.assert_clean().await;
}
