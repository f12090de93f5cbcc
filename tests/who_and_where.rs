//! Who treats, where and with what: resources are in one place at a time, and named ones are used or refused.

use stipple::rpc::pb;
use stipple::rpc::pb::ResourceKind::{Assistant, Device, Practitioner, Room};

use crate::desk::{clinic_sheet, needling_request, said, serving, treatment_request};
use crate::harness::World;
use crate::harness::server::NOW;
use crate::harness::wire::{fields, reason};
use crate::harness::world::{every_day, request_id, timestamp};

/// Needles the face of a patient, with named resources.
async fn needle(world: &World, patient: usize, start: &str, named: &[&String]) -> Result<pb::Appointment, Vec<String>> {
    let mut request = needling_request(world, &world.patients[patient], pb::BodyArea::Face, start);
    request.resource_ids = named.iter().map(|id| (*id).clone()).collect();
    world.book(request).await.map_err(|status| said(world, &status))
}

/// Changes a resource.
pub async fn update(world: &World, id: &str, change: impl FnOnce(&mut pb::UpdateResourceRequest)) {
    let mut resources = world.manager.resources();
    let request = pb::GetResourceRequest { resource_id: id.into(), ..Default::default() };
    let resource = resources.get_resource(request).await.unwrap().into_inner().resource.unwrap();
    let mut request = pb::UpdateResourceRequest {
        request_id: request_id(),
        etag: resource.etag,
        resource_id: resource.resource_id,
        name: resource.name,
        active: resource.active,
        qualifications: resource.qualifications,
        working_hours: resource.working_hours,
        ..Default::default()
    };
    change(&mut request);
    resources.update_resource(request).await.unwrap();
}

/// Sends a resource away.
pub async fn time_off(world: &World, id: &str, from: &str, until: &str) -> pb::TimeOff {
    let request = pb::CreateTimeOffRequest {
        request_id: request_id(),
        resource_id: id.into(),
        start_time: timestamp(world.local(from)),
        end_time: timestamp(world.local(until)),
        ..Default::default()
    };
    world.manager.resources().create_time_off(request).await.unwrap().into_inner().time_off.unwrap()
}

/// The same hours every day, at the world's clinic.
pub fn working(world: &World, from: &str, until: &str) -> Vec<pb::WorkingHours> {
    let at = |hours| pb::WorkingHours { clinic_id: world.clinic.clone(), hours: Some(hours) };
    every_day(from, until).into_iter().map(at).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_practitioner_treats_another_while_the_cream_works() {
    let world = World::new().await;
    let practitioner = &world.practitioners[0];
    let first = needle(&world, 0, "2026-02-02T10:00:00", &[practitioner]).await.unwrap();
    // She needles from 10:30 to 11:00; the second patient's cream works meanwhile.
    let told = needle(&world, 1, "2026-02-02T10:25:00", &[practitioner]).await.unwrap_err();
    let against = &first.appointment_id;
    assert_eq!(told, [format!("RESOURCE_BUSY against {against} of {practitioner} from 2026-02-02T10:30")]);
    let second = needle(&world, 1, "2026-02-02T10:30:00", &[practitioner]).await.unwrap();
    assert_eq!(serving(&first, 1, Practitioner), serving(&second, 1, Practitioner));
    assert_ne!(serving(&first, 1, Room), serving(&second, 1, Room));
    assert_ne!(serving(&first, 1, Device), serving(&second, 1, Device));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_and_a_pen_are_free_only_after_turnover() {
    let world = World::new().await;
    let (room, pen) = (&world.rooms[1], &world.pens[1]);
    let first = needle(&world, 0, "2026-02-02T10:00:00", &[room, pen]).await.unwrap();
    assert_eq!((serving(&first, 0, Room), serving(&first, 3, Device)), (room.clone(), pen.clone()));
    let against = &first.appointment_id;
    // The patient leaves at 11:05, the room is ready at 11:20.
    let told = needle(&world, 1, "2026-02-02T11:15:00", &[room]).await.unwrap_err();
    assert_eq!(told, [format!("RESOURCE_BUSY against {against} of {room} from 2026-02-02T11:20")]);
    // The pen is needed from half an hour into the visit on.
    let told = needle(&world, 1, "2026-02-02T10:45:00", &[pen]).await.unwrap_err();
    assert_eq!(told, [format!("RESOURCE_BUSY against {against} of {pen} from 2026-02-02T10:50")]);
    // Both at once.
    let told = needle(&world, 1, "2026-02-02T10:45:00", &[room, pen]).await.unwrap_err();
    assert_eq!(
        told,
        [
            format!("RESOURCE_BUSY against {against} of {room} from 2026-02-02T11:20"),
            format!("RESOURCE_BUSY against {against} of {pen} from 2026-02-02T11:20"),
        ]
    );
    needle(&world, 1, "2026-02-02T11:20:00", &[room, pen]).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_resource_must_be_qualified_in_use_there_and_on_duty() {
    let world = World::new().await;
    let start = "2026-02-02T10:00:00";
    let desk = world.resource(Room, "reception").await;
    assert_eq!(needle(&world, 0, start, &[&desk]).await.unwrap_err(), [format!("RESOURCE_NOT_QUALIFIED of {desk}")]);
    // Two rooms where one is needed.
    let [one, other] = [&world.rooms[0], &world.rooms[1]];
    let told = needle(&world, 0, start, &[one, other]).await.unwrap_err();
    assert_eq!(told, [format!("RESOURCE_NOT_QUALIFIED of {other}")]);

    let inactive = world.resource(Practitioner, "microneedling").await;
    update(&world, &inactive, |resource| resource.active = false).await;
    assert_eq!(needle(&world, 0, start, &[&inactive]).await.unwrap_err(), [format!("RESOURCE_INACTIVE of {inactive}")]);

    let away = world.resource(Practitioner, "microneedling").await;
    time_off(&world, &away, "2026-02-02T00:00:00", "2026-02-03T08:00:00").await;
    // Needling begins half an hour into the visit.
    let told = needle(&world, 0, start, &[&away]).await.unwrap_err();
    assert_eq!(told, [format!("RESOURCE_AWAY of {away} from 2026-02-03T07:30")]);
    assert!(needle(&world, 0, "2026-02-03T07:30:00", &[&away]).await.is_ok());

    let late = world.resource(Practitioner, "microneedling").await;
    let hours = working(&world, "14:00", "18:00");
    update(&world, &late, |resource| resource.working_hours = hours).await;
    let told = needle(&world, 1, start, &[&late]).await.unwrap_err();
    assert_eq!(told, [format!("OUTSIDE_WORKING_HOURS of {late} from 2026-02-02T13:30")]);
    let told = needle(&world, 1, "2026-02-02T17:05:00", &[&late]).await.unwrap_err();
    assert_eq!(told, [format!("OUTSIDE_WORKING_HOURS of {late} from 2026-02-03T13:30")]);
    needle(&world, 1, "2026-02-02T17:00:00", &[&late]).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_of_another_clinic_does_not_serve_here() {
    let world = World::new().await;
    let request = pb::CreateClinicRequest {
        request_id: request_id(),
        name: "Another clinic".into(),
        time_zone: "Europe/Berlin".into(),
        opening_hours: every_day("00:00", "24:00"),
        ..Default::default()
    };
    let clinic = world.manager.practices().create_clinic(request).await.unwrap().into_inner().clinic.unwrap();
    let room = &world.rooms[0];
    let mut request = needling_request(&world, &world.patients[0], pb::BodyArea::Face, "2026-02-02T10:00:00");
    request.clinic_id = clinic.clinic_id.clone();
    request.resource_ids = vec![room.clone()];
    let status = world.book(request.clone()).await.unwrap_err();
    let mut told = said(&world, &status);
    told.sort_unstable();
    // Nobody works there, and nothing stands there.
    let none = "NO_QUALIFIED_RESOURCE".to_owned();
    assert_eq!(told, [none.clone(), none.clone(), none, format!("OUTSIDE_WORKING_HOURS of {room}")]);
    // A resource, a clinic, a patient or a treatment of nobody.
    for (place, field) in
        ["resource_ids[1]", "clinic_id", "treatment.patient_id", "treatment.treatment_id"].iter().enumerate()
    {
        let mut request = request.clone();
        let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut request.visit else { unreachable!() };
        let slot = match place {
            0 => {
                request.resource_ids.push(String::new());
                &mut request.resource_ids[1]
            }
            1 => &mut request.clinic_id,
            2 => &mut visit.patient_id,
            _ => &mut visit.treatment_id,
        };
        slot.clone_from(&world.practice);
        let status = world.book(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (tonic::Code::NotFound, "NOT_FOUND"));
        assert!(status.message().ends_with(field), "{status:?}");
    }
    assert!(clinic_sheet(&world).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_anything_qualified_or_free_the_refusal_says_which_and_when() {
    let world = World::new().await;
    // Both rooms are taken, one until 11:20, one until 11:50.
    let first = needle(&world, 0, "2026-02-02T10:00:00", &[]).await.unwrap();
    let second = needle(&world, 1, "2026-02-02T10:30:00", &[]).await.unwrap();
    assert_ne!(serving(&first, 0, Room), serving(&second, 0, Room));
    let third = world.patient().await;
    let request = |start| treatment_request(&world, &third, &world.sauna, pb::BodyArea::Unspecified, start);
    let status = world.book(request("2026-02-02T10:40:00")).await.unwrap_err();
    let told = said(&world, &status);
    assert_eq!(told.len(), 1);
    let against = told[0].strip_prefix("NO_RESOURCE_FREE against ").unwrap();
    let (against, from) = against.split_once(' ').unwrap();
    assert!([&first.appointment_id, &second.appointment_id].iter().any(|id| **id == against));
    assert_eq!(from, "from 2026-02-02T11:20");
    world.book(request("2026-02-02T11:20:00")).await.unwrap();

    // Nobody is qualified any more, whoever is asked for.
    for assistant in &world.assistants {
        update(&world, assistant, |resource| resource.qualifications.clear()).await;
    }
    assert_eq!(needle(&world, 0, "2026-04-02T10:00:00", &[]).await.unwrap_err(), ["NO_QUALIFIED_RESOURCE"]);
    let assistant = world.resource(Assistant, "assistance").await;
    time_off(&world, &assistant, "2026-04-02T00:00:00", "2026-04-03T00:00:00").await;
    assert_eq!(
        needle(&world, 0, "2026-04-02T10:00:00", &[]).await.unwrap_err(),
        ["NO_RESOURCE_FREE from 2026-04-03T00:00"]
    );
    needle(&world, 0, "2026-04-03T00:00:00", &[]).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_lies_in_the_opening_hours_turnover_included_and_in_no_closure() {
    let world = World::new().await;
    let mut practices = world.manager.practices();
    let request = pb::GetClinicRequest { clinic_id: world.clinic.clone(), ..Default::default() };
    let clinic = practices.get_clinic(request).await.unwrap().into_inner().clinic.unwrap();
    let request = pb::UpdateClinicRequest {
        request_id: request_id(),
        etag: clinic.etag,
        clinic_id: clinic.clinic_id,
        name: clinic.name,
        opening_hours: every_day("09:00", "17:00"),
        ..Default::default()
    };
    practices.update_clinic(request).await.unwrap();
    let request = pb::CreateClosureRequest {
        request_id: request_id(),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local("2026-02-03T12:00:00")),
        end_time: timestamp(world.local("2026-02-03T13:00:00")),
        ..Default::default()
    };
    practices.create_closure(request).await.unwrap();

    // Rooms follow the opening hours, so that none is free either, and the pen is needed later than the room.
    let told = needle(&world, 0, "2026-02-02T15:45:00", &[]).await.unwrap_err();
    assert_eq!(told[0], "OUTSIDE_OPENING_HOURS from 2026-02-03T09:00");
    let told = needle(&world, 0, "2026-02-02T08:55:00", &[]).await.unwrap_err();
    assert_eq!(told[0], "OUTSIDE_OPENING_HOURS from 2026-02-02T09:00");
    // The whole visit takes 80 minutes.
    let told = needle(&world, 0, "2026-02-03T10:45:00", &[]).await.unwrap_err();
    assert_eq!(told, ["CLINIC_CLOSED from 2026-02-03T13:00"]);
    let told = needle(&world, 0, "2026-02-03T12:55:00", &[]).await.unwrap_err();
    assert_eq!(told, ["CLINIC_CLOSED from 2026-02-03T13:00"]);
    needle(&world, 0, "2026-02-02T15:40:00", &[]).await.unwrap();
    needle(&world, 1, "2026-02-03T10:40:00", &[]).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_begins_neither_in_the_past_nor_beyond_the_horizon() {
    let world = World::new().await;
    // It is 9:00 in Berlin, and stays so; in a process of its own the clock runs on.
    let Some(()) = world.server.set_clock(NOW) else { return };
    let status = world.book_sauna("2026-01-05T08:55:00").await.unwrap_err();
    assert_eq!(said(&world, &status), ["START_IN_PAST from 2026-01-05T09:00"]);
    world.book_sauna("2026-01-05T09:00:00").await.unwrap();
    // 400 days later.
    let status = world.book_sauna("2027-02-09T09:05:00").await.unwrap_err();
    assert_eq!(said(&world, &status), ["BEYOND_HORIZON"]);
    world.book_sauna("2027-02-09T09:00:00").await.unwrap();
    // Long ago: nothing within 90 days would do.
    let status = world.book_sauna("2025-01-05T09:00:00").await.unwrap_err();
    assert_eq!(said(&world, &status), ["START_IN_PAST"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_is_in_one_place_at_a_time() {
    let world = World::new().await;
    let first = needle(&world, 0, "2026-02-02T10:00:00", &[]).await.unwrap();
    let against = &first.appointment_id;
    let mut request = needling_request(&world, &world.patients[0], pb::BodyArea::Back, "2026-02-02T11:00:00");
    let status = world.book(request.clone()).await.unwrap_err();
    assert_eq!(said(&world, &status), [format!("PATIENT_BUSY against {against} from 2026-02-02T11:05")]);
    // Turnover is without the patient.
    request.start_time = timestamp(world.local("2026-02-02T11:05:00"));
    world.book(request).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_treatment_that_needles_takes_an_area_and_any_other_takes_none() {
    let world = World::new().await;
    let patient = &world.patients[0];
    let start = "2026-02-02T10:00:00";
    let request = needling_request(&world, patient, pb::BodyArea::Unspecified, start);
    assert_eq!(said(&world, &world.book(request).await.unwrap_err()), ["BODY_AREA_MISMATCH"]);
    let request = treatment_request(&world, patient, &world.sauna, pb::BodyArea::Face, start);
    assert_eq!(said(&world, &world.book(request).await.unwrap_err()), ["BODY_AREA_MISMATCH"]);
    let mut request = world.series_request(&crate::desk::FOUR);
    request.body_area = pb::BodyArea::Unspecified.into();
    let status = world.manager.series().book_series(request).await.unwrap_err();
    assert_eq!(fields(&status), ["body_area"]);
    world.server.assert_clean().await;
}
