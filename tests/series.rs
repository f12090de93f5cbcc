//! Series are booked whole or not at all, with every rule that is broken told at once.

use stipple::rpc::pb;
use stipple::rpc::pb::list_appointments_request::Subject;

use crate::desk::{FOUR, clinic_sheet, get_appointment, get_series, revision, said, serving, session, sheet};
use crate::harness::World;
use crate::harness::wire::{fields, reason};
use crate::harness::world::{request_id, timestamp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booked_series_is_the_same_on_every_page_that_shows_it() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    assert_eq!(series.patient_id, world.patients[0]);
    assert_eq!((series.protocol_id.as_str(), series.protocol_version), (world.protocol.as_str(), 1));
    assert_eq!((series.body_area(), series.session_count), (pb::BodyArea::Abdomen, 4));
    assert_eq!(
        (series.state(), series.cancelled_at, series.cancel_reason.as_str()),
        (pb::SeriesState::Active, None, "")
    );
    let gaps: Vec<i32> = series.sessions.iter().map(|session| session.gap_days).collect();
    assert_eq!(gaps, [0, 28, 28, 28]);
    let starts: Vec<&str> = (1..=4).map(|number| session(&series, number).local_start.as_str()).collect();
    // The clocks go forward between the second and the third.
    assert_eq!(
        starts,
        [
            "2026-02-02T10:00:00+01:00",
            "2026-03-02T10:00:00+01:00",
            "2026-03-30T10:00:00+02:00",
            "2026-04-27T10:00:00+02:00"
        ]
    );

    assert_eq!(get_series(&world, &series.series_id).await, series);
    for patient_id in ["", &world.patients[0]] {
        let request = pb::ListSeriesRequest { patient_id: patient_id.into(), ..Default::default() };
        assert_eq!(
            world.manager.series().list_series(request).await.unwrap().into_inner().series,
            std::slice::from_ref(&series)
        );
    }
    let request = pb::ListSeriesRequest { patient_id: world.patients[1].clone(), ..Default::default() };
    assert!(world.manager.series().list_series(request).await.unwrap().into_inner().series.is_empty());

    let appointments: Vec<pb::Appointment> = (1..=4).map(|number| session(&series, number).clone()).collect();
    for appointment in &appointments {
        assert_eq!(get_appointment(&world, &appointment.appointment_id).await, *appointment);
        assert_eq!((appointment.series_id.as_str(), appointment.treatment_version), (series.series_id.as_str(), 1));
    }
    // Sheets show the same appointments; who treated once treats again.
    assert_eq!(clinic_sheet(&world).await, appointments);
    assert_eq!(sheet(&world, Subject::PatientId(world.patients[0].clone())).await, appointments);
    assert!(sheet(&world, Subject::PatientId(world.patients[1].clone())).await.is_empty());
    let practitioner = serving(&appointments[0], 1, pb::ResourceKind::Practitioner);
    assert_eq!(sheet(&world, Subject::ResourceId(practitioner.clone())).await, appointments);
    let other = world.practitioners.iter().find(|id| **id != practitioner).unwrap();
    assert!(sheet(&world, Subject::ResourceId(other.clone())).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_phases_of_a_session_say_who_and_where_and_when() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1);
    assert_eq!(first.local_end, "2026-02-02T11:05:00+01:00");
    let phases: Vec<(&str, bool, usize)> =
        first.phases.iter().map(|phase| (phase.name.as_str(), phase.patient_present, phase.resources.len())).collect();
    assert_eq!(
        phases,
        [("numbing", true, 2), ("needling", true, 3), ("aftercare talk", true, 2), ("turnover", false, 2)]
    );
    let times = ["10:00", "10:30", "11:00", "11:05", "11:20"].map(|time| format!("2026-02-02T{time}:00"));
    for (phase, pair) in first.phases.iter().zip(times.windows(2)) {
        assert_eq!(phase.start_time, timestamp(world.local(&pair[0])));
        assert_eq!(phase.end_time, timestamp(world.local(&pair[1])));
    }
    // One room throughout, one assistant before and after, one pen from the needling to the end.
    let room = serving(first, 0, pb::ResourceKind::Room);
    assert!(world.rooms.contains(&room));
    assert!((1..4).all(|phase| serving(first, phase, pb::ResourceKind::Room) == room));
    let assistant = serving(first, 0, pb::ResourceKind::Assistant);
    assert_eq!(serving(first, 2, pb::ResourceKind::Assistant), assistant);
    assert_eq!(serving(first, 1, pb::ResourceKind::Device), serving(first, 3, pb::ResourceKind::Device));
    assert!(world.practitioners.contains(&serving(first, 1, pb::ResourceKind::Practitioner)));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_session_books_nothing_and_every_bad_session_is_told() {
    let world = World::new().await;
    let closure = pb::CreateClosureRequest {
        request_id: request_id(),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local("2026-05-26T00:00:00")),
        end_time: timestamp(world.local("2026-05-27T12:00:00")),
        ..Default::default()
    };
    world.manager.practices().create_closure(closure).await.unwrap();
    let before = revision(&world).await;
    // One day too soon; one day too late; in a closure.
    let starts = ["2026-02-02T10:00:00", "2026-03-01T10:00:00", "2026-04-27T10:00:00", "2026-05-26T10:00:00"];
    let status = world.book_series(&starts).await.unwrap_err();
    assert_eq!(reason(&status), "SESSION_TOO_SOON");
    assert_eq!(
        said(&world, &status),
        [
            "SESSION_TOO_SOON sessions[1] against sessions[0] 27/28 days from 2026-03-02T00:00",
            "SESSION_TOO_LATE sessions[2] against sessions[1] 57/56 days until 2026-04-26",
            "CLINIC_CLOSED sessions[3] from 2026-05-27T12:00",
        ]
    );
    assert_eq!(revision(&world).await, before);
    assert!(clinic_sheet(&world).await.is_empty());
    let request = pb::ListSeriesRequest::default();
    assert!(world.manager.series().list_series(request).await.unwrap().into_inner().series.is_empty());
    // With every session moved to where the refusal said it would do, the series is booked.
    let starts = ["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-04-26T10:00:00", "2026-05-27T12:00:00"];
    world.book_series(&starts).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_session_still_keeps_the_others_at_their_distance() {
    let world = World::new().await;
    let starts = ["2026-02-02T10:00:00", "2026-02-10T10:00:00", "2026-02-20T10:00:00"];
    let status = world.book_series(&starts).await.unwrap_err();
    assert_eq!(
        said(&world, &status),
        [
            "SESSION_TOO_SOON sessions[1] against sessions[0] 8/28 days from 2026-03-02T00:00",
            // The earliest is free of all the sessions before.
            "SESSION_TOO_SOON sessions[2] against sessions[0] 18/28 days from 2026-03-10T00:00",
            "SESSION_TOO_SOON sessions[2] against sessions[1] 10/28 days from 2026-03-10T00:00",
        ]
    );
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_of_the_maximum_is_booked_and_one_day_more_is_not() {
    let world = World::new().await;
    let most = ["2026-02-02T10:00:00", "2026-03-30T10:00:00", "2026-05-25T10:00:00"];
    world.book_series(&most).await.unwrap();
    let mut request = world.series_request(&["2026-02-03T10:00:00", "2026-03-31T10:00:00", "2026-05-27T10:00:00"]);
    request.body_area = pb::BodyArea::Face.into();
    let status = world.manager.series().book_series(request).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SESSION_TOO_LATE sessions[2] against sessions[1] 57/56 days until 2026-05-26"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_has_as_many_sessions_as_its_protocol_allows() {
    let world = World::new().await;
    let status = world.book_series(&FOUR[..2]).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
    let days = ["01-06", "02-03", "03-03", "03-31", "04-28", "05-26", "06-23"];
    let starts: Vec<String> = days.iter().map(|day| format!("2026-{day}T10:00:00")).collect();
    let starts: Vec<&str> = starts.iter().map(String::as_str).collect();
    let status = world.book_series(&starts).await.unwrap_err();
    assert_eq!(said(&world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
    assert_eq!(world.book_series(&starts[..6]).await.unwrap().session_count, 6);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_too_soon_after_another_series_names_the_booked_appointment() {
    let world = World::new().await;
    let first = world.book_series(&FOUR).await.unwrap();
    let last = &session(&first, 4).appointment_id;
    // 27 days after the last session of the first series.
    let next = ["2026-05-24T10:00:00", "2026-06-22T10:00:00", "2026-07-20T10:00:00"];
    let status = world.book_series(&next).await.unwrap_err();
    assert_eq!(
        said(&world, &status),
        [format!("SESSION_TOO_SOON sessions[0] against {last} 27/28 days from 2026-05-25T00:00")]
    );
    // Another area, and another patient, are not concerned.
    let mut request = world.series_request(&next);
    request.body_area = pb::BodyArea::Back.into();
    world.manager.series().book_series(request).await.unwrap();
    let mut request = world.series_request(&next);
    request.patient_id = world.patients[1].clone();
    world.manager.series().book_series(request).await.unwrap();
    // Exactly the minimum will do.
    world.book_series(&["2026-05-25T10:00:00", "2026-06-23T12:00:00", "2026-07-21T12:00:00"]).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_not_in_order_are_a_malformed_request() {
    let world = World::new().await;
    let status = world.book_series(&[FOUR[0], FOUR[0], FOUR[2]]).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("FIELD_INVALID", vec!["sessions[1].start_time".into()]));
    let mut request = world.series_request(&FOUR);
    request.sessions[1].start_time = timestamp(world.local("2026-03-02T10:02:00"));
    request.sessions[3].practitioner_id = "nobody".into();
    let status = world.manager.series().book_series(request).await.unwrap_err();
    assert_eq!(fields(&status), ["sessions[1].start_time", "sessions[3].practitioner_id"]);
    assert!(clinic_sheet(&world).await.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_of_a_protocol_is_for_new_series_only() {
    let world = World::new().await;
    let old = world.book_series(&FOUR).await.unwrap();
    // Version 2 of the treatment takes longer; version 2 of the protocol asks for 35 days.
    let mut catalog = world.manager.catalog();
    let request = pb::GetTreatmentRequest { treatment_id: world.needling.clone(), ..Default::default() };
    let treatment = catalog.get_treatment(request).await.unwrap().into_inner().treatment.unwrap();
    let mut content = treatment.content.clone().unwrap();
    content.phases[0].minutes = 45;
    let request = pb::PublishTreatmentRequest {
        request_id: request_id(),
        treatment_id: treatment.treatment_id.clone(),
        etag: treatment.etag.clone(),
        content: Some(content),
        ..Default::default()
    };
    catalog.publish_treatment(request).await.unwrap();
    let mut face = world.series_request(&FOUR);
    (face.patient_id, face.body_area) = (world.patients[1].clone(), pb::BodyArea::Face.into());
    let booked = world.manager.series().book_series(face).await.unwrap().into_inner().series.unwrap();
    // The protocol keeps the version of the treatment that it was published with.
    assert_eq!(session(&booked, 1).treatment_version, 1);

    let request = pb::GetProtocolRequest { protocol_id: world.protocol.clone(), ..Default::default() };
    let protocol = catalog.get_protocol(request).await.unwrap().into_inner().protocol.unwrap();
    let mut content = protocol.content.clone().unwrap();
    content.gap_minimum_days = 35;
    let request = pb::PublishProtocolRequest {
        request_id: request_id(),
        protocol_id: protocol.protocol_id.clone(),
        etag: protocol.etag.clone(),
        content: Some(content),
        ..Default::default()
    };
    let protocol = catalog.publish_protocol(request).await.unwrap().into_inner().protocol.unwrap();
    assert_eq!((protocol.version, protocol.treatment_version), (2, 2));

    // The old series goes on under its version: its third session is booked anew, 28 days after the second.
    let cancelled = world.cancel(session(&old, 3)).await.unwrap();
    assert_eq!(cancelled.state(), pb::AppointmentState::Cancelled);
    let again = crate::desk::session_request(&world, &old, 3, "2026-03-30T12:00:00");
    let again = world.book(again).await.unwrap();
    assert_eq!((again.treatment_version, again.local_end.as_str()), (1, "2026-03-30T13:05:00+02:00"));
    assert_eq!(get_series(&world, &old.series_id).await.protocol_version, 1);

    // A new series needs 35 days, and its visits take longer.
    let mut request = world.series_request(&FOUR);
    request.body_area = pb::BodyArea::Back.into();
    request.sessions.iter_mut().for_each(|session| session.start_time.as_mut().unwrap().seconds += 8 * 3600);
    let status = world.manager.series().book_series(request.clone()).await.unwrap_err();
    assert_eq!(
        said(&world, &status)[0],
        "SESSION_TOO_SOON sessions[1] against sessions[0] 28/35 days from 2026-03-09T00:00"
    );
    let starts = ["2026-02-02T18:00:00", "2026-03-09T18:00:00", "2026-04-13T18:00:00"];
    let mut request = world.series_request(&starts);
    request.body_area = pb::BodyArea::Back.into();
    let new = world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap();
    assert_eq!((new.protocol_version, session(&new, 1).treatment_version), (2, 2));
    assert_eq!(session(&new, 1).local_end, "2026-02-02T19:20:00+01:00");
    world.server.assert_clean().await;
}
