//! What was done at a visit is recorded when it is completed, and told to those who deal with patients.

use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use tonic::{Code, Status};

use crate::desk::{FOUR, get_appointment, session};
use crate::harness::World;
use crate::harness::wire::{Clients, reason};
use crate::harness::world::{at, request_id, token};

pub const SECRETS: [&str; 3] = ["LOT-7Q-4711", "lidocaine 23 %", "two passes, erythema at the left knee"];

pub fn content() -> pb::VisitRecordContent {
    pb::VisitRecordContent {
        cartridge_lot: SECRETS[0].into(),
        needle_depth_micrometres: 1500,
        numbing: Some(pb::NumbingRecord { product: SECRETS[1].into(), left_on_minutes: 30 }),
        treatment_notes: SECRETS[2].into(),
        ..Default::default()
    }
}

async fn request(world: &World, id: &str, content: pb::VisitRecordContent) -> pb::CompleteAppointmentRequest {
    pb::CompleteAppointmentRequest {
        request_id: request_id(),
        etag: get_appointment(world, id).await.etag,
        appointment_id: id.into(),
        record: Some(content),
        ..Default::default()
    }
}

async fn record_of(clients: &Clients, id: &str) -> Result<Option<pb::VisitRecord>, Status> {
    let request = pb::GetVisitRecordRequest { appointment_id: id.into(), ..Default::default() };
    Ok(clients.appointments().get_visit_record(request).await?.into_inner().record)
}

/// A world whose first session has been checked in.
async fn treated() -> Option<(World, String)> {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    world.server.set_clock("2026-02-02T09:05:00Z")?;
    world.check_in(&first).await.unwrap();
    Some((world, first))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_recorded_with_who_and_what_was_booked_unless_it_was_another() {
    let Some((world, first)) = treated().await else { return };
    let booked = get_appointment(&world, &first).await;
    let kind = |kind: pb::ResourceKind| {
        let mut all = booked.phases.iter().flat_map(|phase| &phase.resources);
        all.find(|resource| resource.kind() == kind).unwrap().resource_id.clone()
    };
    let (practitioner, pen) = (kind(pb::ResourceKind::Practitioner), kind(pb::ResourceKind::Device));
    let other = world.pens.iter().find(|other| **other != pen).unwrap().clone();
    assert_eq!(record_of(&world.manager, &first).await.unwrap(), None);
    // A room is no device, and what is of nobody's practice neither.
    for wrong in [world.rooms[0].clone(), request_id()] {
        let named = pb::VisitRecordContent { device_id: wrong.clone(), ..content() };
        let status = world.manager.appointments().complete_appointment(request(&world, &first, named).await).await;
        let status = status.unwrap_err();
        assert!(status.code() == Code::NotFound && status.message().contains("record.device_id"), "{status}");
        let named = pb::VisitRecordContent { practitioner_id: wrong, ..content() };
        let status = world.manager.appointments().complete_appointment(request(&world, &first, named).await).await;
        let status = status.unwrap_err();
        assert!(status.code() == Code::NotFound && status.message().contains("record.practitioner_id"), "{status}");
    }
    let dry = pb::CompleteAppointmentRequest { validate_only: true, ..request(&world, &first, content()).await };
    world.manager.appointments().complete_appointment(dry).await.unwrap();
    assert_eq!(record_of(&world.manager, &first).await.unwrap(), None);

    let named = pb::VisitRecordContent { device_id: other.clone(), ..content() };
    let request = request(&world, &first, named).await;
    let done = world.manager.appointments().complete_appointment(request.clone()).await.unwrap().into_inner();
    let again = world.manager.appointments().complete_appointment(request).await.unwrap().into_inner();
    assert_eq!(done, again);
    let record = record_of(&world.manager, &first).await.unwrap().unwrap();
    let expected = pb::VisitRecordContent { practitioner_id: practitioner, device_id: other, ..content() };
    assert_eq!((record.content, record.recorded_at), (Some(expected), at("2026-02-02T09:05:00Z")));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_without_practitioner_and_device_is_recorded_without_them() {
    let world = World::new().await;
    let id = world.book_sauna("2026-01-06T10:00:00").await.unwrap().appointment_id;
    let Some(()) = world.server.set_clock("2026-01-06T09:05:00Z") else { return };
    world.check_in(&id).await.unwrap();
    let request = request(&world, &id, pb::VisitRecordContent::default()).await;
    world.manager.appointments().complete_appointment(request).await.unwrap();
    let record = record_of(&world.manager, &id).await.unwrap().unwrap();
    assert_eq!(record.content, Some(pb::VisitRecordContent::default()));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_told_to_those_who_deal_with_patients_and_in_no_refusal() {
    let Some((world, first)) = treated().await else { return };
    let bad = pb::VisitRecordContent { treatment_notes: format!("{}\0", SECRETS[2]), ..content() };
    let refused = world.manager.appointments().complete_appointment(request(&world, &first, bad).await).await;
    let refused = format!("{:?}", refused.unwrap_err());
    assert!(SECRETS.iter().all(|secret| !refused.contains(secret)), "{refused}");
    world.manager.appointments().complete_appointment(request(&world, &first, content()).await).await.unwrap();
    let of = async |role| token(&world.server, &world.practice, role, "").await;
    let read_only = of(pb::Role::ReadOnly).await;
    let status = record_of(&read_only, &first).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
    for clients in [&of(pb::Role::FrontDesk).await, &world.practitioner(0).await] {
        assert!(record_of(clients, &first).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_a_record_of_a_visit_that_was_not_completed_or_of_what_cannot_have_treated() {
    for damage in [
        "UPDATE visit_records SET device_id = practitioner_id",
        "UPDATE visit_records SET practitioner_id = device_id",
        "UPDATE visit_records SET recorded_revision = recorded_revision - 1",
        "UPDATE visit_records SET appointment_id = (
             SELECT appointment_id FROM appointments WHERE state = 'booked' ORDER BY 1 LIMIT 1)",
    ] {
        let Some((world, first)) = treated().await else { return };
        world.manager.appointments().complete_appointment(request(&world, &first, content()).await).await.unwrap();
        world.server.assert_clean().await;
        world.server.pool().execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
        let report = world.server.verify().await;
        let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
        assert!(matches!(broken.as_slice(), [check] if check.promise == "P6" && check.violations == 1), "{report}");
    }
}
