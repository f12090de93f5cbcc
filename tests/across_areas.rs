//! Needling on one area keeps a gap to needling on every other.

use stipple::rpc::pb;
use tonic::{Code, Status};

use crate::desk::{needling_request, said, session, session_request, treatment_request};
use crate::harness::World;
use crate::harness::wire::{fields, reason, refusal};
use crate::harness::world::{evidence, needling, request_id, sauna, timestamp};

const FACE: pb::BodyArea = pb::BodyArea::Face;
const ABDOMEN: pb::BodyArea = pb::BodyArea::Abdomen;

/// Needling that keeps other areas away for so many days.
pub fn spaced(days: i32) -> pb::TreatmentContent {
    let across_areas = Some(pb::AcrossAreas { days, evidence: evidence() });
    pb::TreatmentContent { across_areas, spacing_evidence: evidence(), ..needling() }
}

/// A practice whose needling keeps other areas away for a week.
async fn world() -> World {
    let mut world = World::new().await;
    world.needling = world.publish_treatment(spaced(7)).await;
    world.protocol = world.publish_protocol(&world.needling).await;
    world
}

async fn book(world: &World, area: pb::BodyArea, start: &str) -> Result<pb::Appointment, Status> {
    world.book(needling_request(world, &world.patients[0], area, start)).await
}

async fn publish(world: &World, content: pb::TreatmentContent) -> Result<pb::Treatment, Status> {
    let request =
        pb::PublishTreatmentRequest { request_id: request_id(), content: Some(content), ..Default::default() };
    Ok(world.manager.catalog().publish_treatment(request).await?.into_inner().treatment.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_area_is_needled_a_week_later_whichever_is_booked_first() {
    let world = world().await;
    let face = book(&world, FACE, "2026-03-23T10:00:00").await.unwrap().appointment_id;
    // Days are those of the calendar: the clock goes forward on the 29th.
    for (start, days) in [("2026-03-23T20:00:00", 0), ("2026-03-24T00:00:00", 1), ("2026-03-29T23:00:00", 6)] {
        let status = book(&world, ABDOMEN, start).await.unwrap_err();
        let told = format!("OTHER_AREA_TOO_SOON against {face} {days}/7 days from 2026-03-30T00:00");
        assert_eq!(said(&world, &status), [told], "{start}");
    }
    // The gap is the one that follows the earlier of the two.
    let status = book(&world, ABDOMEN, "2026-03-17T10:00:00").await.unwrap_err();
    let told = format!("OTHER_AREA_TOO_SOON against {face} 6/7 days from 2026-03-30T00:00");
    assert_eq!(said(&world, &status), [told]);
    book(&world, ABDOMEN, "2026-03-16T23:00:00").await.unwrap();
    book(&world, pb::BodyArea::Neck, "2026-03-30T00:00:00").await.unwrap();
    // It is no matter of any other patient.
    let other = needling_request(&world, &world.patients[1], ABDOMEN, "2026-03-23T12:00:00");
    world.book(other).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_near_on_the_same_area_is_told_once() {
    let world = world().await;
    let face = book(&world, FACE, "2026-02-02T10:00:00").await.unwrap().appointment_id;
    let status = book(&world, FACE, "2026-02-04T10:00:00").await.unwrap_err();
    let told = format!("SESSION_TOO_SOON against {face} 2/28 days from 2026-03-02T00:00");
    assert_eq!(said(&world, &status), [told]);
    // Two visits, one on the same area and one on another: each is told for what it is.
    let neck = book(&world, pb::BodyArea::Neck, "2026-02-10T10:00:00").await.unwrap().appointment_id;
    let status = book(&world, FACE, "2026-02-12T10:00:00").await.unwrap_err();
    let told = [
        format!("SESSION_TOO_SOON against {face} 10/28 days from 2026-03-02T00:00"),
        format!("OTHER_AREA_TOO_SOON against {neck} 2/7 days from 2026-02-17T00:00"),
    ];
    assert_eq!(said(&world, &status), told);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_treatment_without_a_gap_across_areas_keeps_none_and_is_kept_none() {
    let world = world().await;
    let plain = world.publish_treatment(needling()).await;
    let patient = &world.patients[0];
    book(&world, FACE, "2026-02-02T10:00:00").await.unwrap();
    world.book(treatment_request(&world, patient, &plain, ABDOMEN, "2026-02-03T10:00:00")).await.unwrap();
    // Of two gaps the one counts that follows the earlier visit, also where the later one has a longer gap.
    let longer = world.publish_treatment(spaced(21)).await;
    let neck = |start| treatment_request(&world, patient, &longer, pb::BodyArea::Neck, start);
    world.book(neck("2026-02-09T10:00:00")).await.unwrap();
    let status = book(&world, pb::BodyArea::Back, "2026-03-01T10:00:00").await.unwrap_err();
    assert_eq!(refusal(&status)[0].required_gap_days, 21);
    book(&world, pb::BodyArea::Back, "2026-03-02T10:00:00").await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_across_areas_is_published_with_its_evidence_and_within_bounds() {
    let world = World::new().await;
    for days in [1, 28] {
        let content = spaced(days);
        let kept = publish(&world, content.clone()).await.unwrap().content.unwrap();
        assert_eq!(kept.across_areas, content.across_areas);
        assert_eq!(kept.spacing_evidence, content.spacing_evidence);
    }
    let across = |days, evidence| Some(pb::AcrossAreas { days, evidence });
    for (content, field) in [
        (spaced(0), "content.across_areas.days"),
        (spaced(29), "content.across_areas.days"),
        (spaced(366), "content.across_areas.days"),
        (pb::TreatmentContent { across_areas: across(7, None), ..needling() }, "content.across_areas.evidence"),
        (pb::TreatmentContent { across_areas: across(7, evidence()), ..sauna() }, "content.across_areas"),
        (pb::TreatmentContent { spacing_evidence: evidence(), ..sauna() }, "content.spacing_evidence"),
        (
            pb::TreatmentContent { spacing_evidence: Some(pb::Evidence::default()), ..needling() },
            "content.spacing_evidence.grade",
        ),
    ] {
        let status = publish(&world, content).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]), "{status:?}");
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_has_no_floor_below_the_gap_across_areas_of_its_treatment() {
    let world = World::new().await;
    let publish = |treatment: String, floor| pb::PublishProtocolRequest {
        request_id: request_id(),
        content: Some(pb::ProtocolContent {
            name: "A series".into(),
            treatment_id: treatment,
            sessions_minimum: 1,
            sessions_default: 2,
            sessions_maximum: 3,
            gap_floor_days: floor,
            gap_minimum_days: 28,
            gap_target_days: 28,
            gap_maximum_days: 56,
            evidence: evidence(),
            assessments: vec![],
            ..Default::default()
        }),
        ..Default::default()
    };
    let treatment = world.publish_treatment(spaced(14)).await;
    let status = world.manager.catalog().publish_protocol(publish(treatment.clone(), 13)).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), fields(&status)),
        ("FIELD_INVALID", vec!["content.gap_floor_days".to_owned()])
    );
    assert!(status.message().contains("14") || format!("{status:?}").contains("14"), "{status:?}");
    world.manager.catalog().publish_protocol(publish(treatment, 14)).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_leave_out_the_days_around_a_needling_elsewhere() {
    let world = world().await;
    book(&world, FACE, "2026-02-16T10:00:00").await.unwrap();
    let visit = pb::find_slots_request::Visit::Treatment(pb::TreatmentVisit {
        patient_id: world.patients[0].clone(),
        treatment_id: world.needling.clone(),
        body_area: ABDOMEN.into(),
    });
    let request = pb::FindSlotsRequest {
        visit: Some(visit),
        clinic_ids: vec![world.clinic.clone()],
        start_date: "2026-02-05".into(),
        end_date: "2026-02-28".into(),
        view: pb::SlotView::Days.into(),
        ..Default::default()
    };
    let days = world.manager.appointments().find_slots(request).await.unwrap().into_inner().days;
    let days: Vec<&str> = days.iter().map(|day| day.date.as_str()).collect();
    let free = ["2026-02-05", "2026-02-06", "2026-02-07", "2026-02-08", "2026-02-09", "2026-02-23", "2026-02-24"];
    assert_eq!(days[..7], free);
    assert_eq!(days.len(), 11);
    // Days that are found can be booked, others cannot.
    for day in 5..=28 {
        let start = format!("2026-02-{day:02}T14:00:00");
        let mut request = needling_request(&world, &world.patients[0], ABDOMEN, &start);
        request.validate_only = true;
        let found = days.contains(&&start[..10]);
        assert_eq!(world.book(request).await.is_ok(), found, "{start}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_on_another_area_is_planned_booked_and_moved_around_the_first() {
    let world = world().await;
    let first = ["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00"];
    let first = world.book_series(&first).await.unwrap();
    let request = |wishes| pb::BookSeriesRequest {
        body_area: FACE.into(),
        sessions: vec![],
        wishes: Some(wishes),
        ..world.series_request(&[])
    };
    let on = |day: &str| pb::SeriesWishes {
        session_count: 3,
        first_session_from: day.into(),
        first_session_until: day.into(),
        ..Default::default()
    };
    // Given times are held to the gap, session by session.
    let mut given = world.series_request(&["2026-02-10T10:00:00", "2026-03-10T10:00:00", "2026-04-04T10:00:00"]);
    given.body_area = FACE.into();
    let status = world.manager.series().book_series(given).await.unwrap_err();
    let told = said(&world, &status);
    let third = &session(&first, 3).appointment_id;
    assert!(
        told.contains(&format!("OTHER_AREA_TOO_SOON sessions[2] against {third} 5/7 days from 2026-04-06T00:00")),
        "{told:?}"
    );
    assert!(!told.iter().any(|line| line.starts_with("OTHER_AREA_TOO_SOON sessions[0]")), "{told:?}");
    // Where the first session may only be on a day that is taken, there is no plan, and it says why.
    let status = world.manager.series().book_series(request(on("2026-02-08"))).await.unwrap_err();
    let told: Vec<_> = refusal(&status).iter().map(|violation| violation.reason().as_str_name().to_owned()).collect();
    assert_eq!(told, ["REASON_NO_PLAN", "REASON_OTHER_AREA_TOO_SOON"]);
    // A plan keeps out of the way.
    let second = world.manager.series().book_series(request(on("2026-02-09"))).await.unwrap();
    let second = second.into_inner().series.unwrap();
    assert_eq!(second.sessions.len(), 3);
    world.server.assert_clean().await;

    // A session that is moved next to another area is refused; one that follows finds a day of its own.
    let to = |series: &pb::Series, number, start: &str| pb::RescheduleSessionRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        session_number: number,
        start_time: timestamp(world.local(start)),
        ..Default::default()
    };
    let status = world.manager.series().reschedule_session(to(&first, 1, "2026-02-08T10:00:00")).await.unwrap_err();
    let told = said(&world, &status);
    let near = &session(&second, 1).appointment_id;
    assert!(
        told.iter().any(|line| line.starts_with(&format!("OTHER_AREA_TOO_SOON against {near} 1/7 days"))),
        "{told:?}"
    );
    let late = world.manager.series().reschedule_session(to(&first, 3, "2026-05-28T10:00:00")).await;
    assert!(late.is_err(), "no later than the longest gap allows");
    let moved = world.manager.series().reschedule_session(to(&first, 1, "2026-02-01T10:00:00")).await.unwrap();
    let moved = moved.into_inner().series.unwrap();
    // A session that is booked again is held to it, too.
    let cancelled = world.cancel(session(&moved, 2)).await.unwrap();
    assert_eq!(cancelled.session_number, 2);
    let series = crate::desk::get_series(&world, &moved.series_id).await;
    let other = session(&second, 2);
    let again = session_request(&world, &series, 2, &other.local_start[..19].replace("T1", "T0"));
    let status = world.book(again).await.unwrap_err();
    let told = said(&world, &status);
    assert!(told.iter().any(|line| line.starts_with("OTHER_AREA_TOO_SOON")), "{told:?}");
    world.server.assert_clean().await;
}
