//! Assessments: when they are due, the visits that some of them have, and what they come to.

use stipple::rpc::pb;
use stipple::rpc::pb::AssessmentOutcome::{Continue, End, Extend};
use stipple::rpc::pb::AssessmentState::{Done, Due, Overdue, Upcoming};
use stipple::rpc::pb::book_appointment_request::Visit;
use stipple::rpc::pb::find_slots_request as find;
use tonic::{Code, Status};

use crate::desk::{FOUR, cancel_series, get_appointment, get_series, said, session, session_request};
use crate::harness::World;
use crate::harness::kill::Killed;
use crate::harness::wire::{Clients, fields, reason};
use crate::harness::world::{at, evidence, needling, request_id, timestamp, token};

/// A practice with a protocol that has assessments, a consultation and maintenance, and a practitioner who signs.
pub struct Course {
    /// The practice; its protocol is the one of the course.
    pub world: World,
    /// The treatment that is the consultation.
    pub consultation: String,
    /// Clients of a practitioner who may sign.
    pub practitioner: Clients,
}

/// Before the first session, at the third, at the sixth, and 28 to 90 days after the last.
const BASELINE: i32 = 1;
const AT_THE_THIRD: i32 = 2;
const AFTERWARDS: i32 = 4;

/// An assessment that is due then.
pub fn assessment(name: &str, due: pb::assessment::Due) -> pb::Assessment {
    pb::Assessment { name: name.into(), evidence: evidence(), due: Some(due) }
}

impl Course {
    /// A course in a zone.
    pub async fn in_zone(zone: &str) -> Self {
        let mut world = World::in_zone(zone).await;
        let need = |kind: pb::ResourceKind, qualification: &str| pb::Need {
            kind: kind.into(),
            qualification: qualification.into(),
        };
        let consultation = pb::TreatmentContent {
            name: "Consultation".into(),
            phases: vec![pb::Phase {
                name: "talk".into(),
                minutes: 30,
                patient_present: true,
                exposing: false,
                needs: vec![
                    need(pb::ResourceKind::Room, "treatment_room"),
                    need(pb::ResourceKind::Practitioner, "microneedling"),
                ],
                evidence: None,
            }],
            ..Default::default()
        };
        let consultation = world.publish_treatment(consultation).await;
        let after = pb::AfterLastSession { minimum_days: 28, target_days: 56, maximum_days: 90 };
        let content = pb::ProtocolContent {
            name: "A course".into(),
            treatment_id: world.needling.clone(),
            sessions_minimum: 3,
            sessions_default: 4,
            sessions_maximum: 6,
            gap_floor_days: 14,
            gap_minimum_days: 28,
            gap_target_days: 35,
            gap_maximum_days: 56,
            evidence: evidence(),
            assessments: vec![
                assessment("baseline", pb::assessment::Due::BeforeFirstSession(true)),
                assessment("half-way", pb::assessment::Due::AtSession(3)),
                assessment("late", pb::assessment::Due::AtSession(6)),
                assessment("result", pb::assessment::Due::AfterLastSession(after)),
            ],
            clearance: Some(pb::ClearanceRules {
                consultation_treatment_id: consultation.clone(),
                qualification: "microneedling".into(),
                valid_days: 365,
                cooling_off_hours: 0,
                patch_test_hours: 0,
                screening_days: 0,
                evidence: evidence(),
            }),
            maintenance: Some(pb::Maintenance { minimum_days: 90, target_days: 182, evidence: evidence() }),
            overdue_advice: "Look at the skin first.".into(),
            ..Default::default()
        };
        world.protocol = publish(&world, content).await;
        let practitioner = token(&world.server, &world.practice, pb::Role::Practitioner, &world.practitioners[0]).await;
        let course = Self { world, consultation, practitioner };
        course.clear("2026-01-05T08:00:00Z", &course.world.patients[0], pb::BodyArea::Abdomen).await;
        course
    }

    /// Consults and clears a patient, now. Where the clock goes on, the patient is there before the time of a visit.
    async fn clear(&self, now: &str, patient: &str, area: pb::BodyArea) {
        let world = &self.world;
        let goes_on = Killed::wanted().is_some();
        let visit = pb::TreatmentVisit {
            patient_id: patient.into(),
            treatment_id: self.consultation.clone(),
            ..Default::default()
        };
        let consultation = pb::BookAppointmentRequest {
            request_id: request_id(),
            visit: Some(Visit::Treatment(visit)),
            clinic_id: world.clinic.clone(),
            start_time: at(if goes_on { "2026-01-05T10:00:00Z" } else { now }),
            resource_ids: vec![world.practitioners[0].clone()],
            ..Default::default()
        };
        let consultation = world.book(consultation).await.unwrap();
        if goes_on {
            world.check_in(&consultation.appointment_id).await.unwrap();
        }
        let request = pb::RecordClearanceRequest {
            request_id: request_id(),
            consultation_appointment_id: consultation.appointment_id,
            protocol_id: world.protocol.clone(),
            body_area: area.into(),
            decision: Some(pb::record_clearance_request::Decision::Cleared(pb::ClearedPatient::default())),
            ..Default::default()
        };
        self.practitioner.patients().record_clearance(request).await.unwrap();
    }

    /// A new patient, cleared on the first day at an hour of UTC after eight; nothing where the clock cannot be set.
    pub async fn patient(&self, hour: usize, area: pb::BodyArea) -> Option<String> {
        let now = format!("2026-01-05T{hour:02}:00:00Z");
        self.world.server.set_clock(&now)?;
        let patient = self.world.patient().await;
        self.clear(&now, &patient, area).await;
        Some(patient)
    }

    /// A course in Berlin.
    pub async fn new() -> Self {
        Self::in_zone("Europe/Berlin").await
    }

    /// Books a series of the first patient's abdomen. All series of these tests are booked here.
    pub async fn book_series(&self, starts: &[&str]) -> pb::Series {
        self.world.book_series(starts).await.unwrap()
    }

    /// A request for an assessment's own visit.
    pub fn visit_request(&self, series: &pb::Series, number: i32, start: &str) -> pb::BookAppointmentRequest {
        let visit = pb::AssessmentVisit { series_id: series.series_id.clone(), assessment_number: number };
        pb::BookAppointmentRequest {
            visit: Some(Visit::Assessment(visit)),
            ..self.world.visit_request(&self.consultation, start)
        }
    }

    /// Books an assessment's own visit.
    pub async fn book(&self, series: &pb::Series, number: i32, start: &str) -> Result<pb::Appointment, Status> {
        self.world.book(self.visit_request(series, number, start)).await
    }

    /// A request to record a result.
    pub async fn result(
        &self,
        series: &pb::Series,
        number: i32,
        appointment: &pb::Appointment,
        outcome: pb::AssessmentOutcome,
    ) -> pb::RecordAssessmentRequest {
        pb::RecordAssessmentRequest {
            request_id: request_id(),
            etag: get_series(&self.world, &series.series_id).await.etag,
            series_id: series.series_id.clone(),
            assessment_number: number,
            appointment_id: appointment.appointment_id.clone(),
            outcome: outcome.into(),
            ..Default::default()
        }
    }

    /// Records a result as it is asked for.
    pub async fn send(&self, request: pb::RecordAssessmentRequest) -> Result<pb::Series, Status> {
        Ok(self.practitioner.series().record_assessment(request).await?.into_inner().series.unwrap())
    }

    /// Records a result.
    pub async fn record(
        &self,
        series: &pb::Series,
        number: i32,
        appointment: &pb::Appointment,
        outcome: pb::AssessmentOutcome,
    ) -> Result<pb::Series, Status> {
        self.send(self.result(series, number, appointment, outcome).await).await
    }

    /// A series of three whose last session was on 30 March 2026, completed the same day; nothing where the clock cannot
    /// be set.
    pub async fn completed(&self) -> Option<pb::Series> {
        let series = self.book_series(&FOUR[..3]).await;
        self.world.server.set_clock("2026-03-30T12:00:00Z")?;
        Some(self.record(&series, AT_THE_THIRD, session(&series, 3), End).await.unwrap())
    }

    /// The days between two, both included, on which a visit is offered.
    pub async fn offered(&self, visit: find::Visit, moving: &str, first: &str, last: &str) -> Vec<String> {
        days_offered(&self.world, visit, moving, first, last).await.unwrap()
    }
}

/// The days between two, both included, on which a visit is offered.
pub async fn days_offered(
    world: &World,
    visit: find::Visit,
    moving: &str,
    first: &str,
    last: &str,
) -> Result<Vec<String>, Status> {
    let request = pb::FindSlotsRequest {
        visit: Some(visit),
        clinic_ids: vec![world.clinic.clone()],
        start_date: first.into(),
        end_date: last.into(),
        moving_appointment_id: moving.into(),
        view: pb::SlotView::Days.into(),
        page_size: 500,
        ..Default::default()
    };
    let days = world.manager.appointments().find_slots(request).await?.into_inner().days;
    Ok(days.into_iter().map(|day| day.date).collect())
}

/// Publishes a protocol.
pub async fn publish(world: &World, content: pb::ProtocolContent) -> String {
    let request = pb::PublishProtocolRequest { request_id: request_id(), content: Some(content), ..Default::default() };
    world.manager.catalog().publish_protocol(request).await.unwrap().into_inner().protocol.unwrap().protocol_id
}

/// Number and state of each assessment.
fn states(series: &pb::Series) -> Vec<(i32, pb::AssessmentState)> {
    series.assessments.iter().map(|assessment| (assessment.assessment_number, assessment.state())).collect()
}

/// An assessment of a series.
fn shown(series: &pb::Series, number: i32) -> &pb::SeriesAssessment {
    series.assessments.iter().find(|assessment| assessment.assessment_number == number).expect("the series has it")
}

fn of_assessment(series: &pb::Series, number: i32) -> find::Visit {
    find::Visit::Assessment(pb::AssessmentVisit { series_id: series.series_id.clone(), assessment_number: number })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_shows_when_its_assessments_are_due_by_the_clinics_calendar() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR).await;
    assert_eq!(series, get_series(world, &series.series_id).await);
    // There is no sixth session.
    assert_eq!(states(&series), [(BASELINE, Due), (AT_THE_THIRD, Upcoming), (AFTERWARDS, Upcoming)]);
    let days = |number| {
        let assessment = shown(&series, number);
        [&assessment.due_from, &assessment.due_target, &assessment.due_until].map(String::as_str)
    };
    assert_eq!(days(BASELINE), ["", "", "2026-02-02"]);
    assert_eq!(days(AT_THE_THIRD), ["2026-03-30"; 3]);
    assert_eq!(days(AFTERWARDS), ["2026-05-25", "2026-06-22", "2026-07-26"]);
    let half_way = shown(&series, AT_THE_THIRD);
    assert_eq!((half_way.name.as_str(), half_way.session_number), ("half-way", 3));
    assert_eq!(half_way.appointment_id, session(&series, 3).appointment_id);
    assert_eq!(
        (shown(&series, AFTERWARDS).session_number, shown(&series, AFTERWARDS).appointment_id.as_str()),
        (0, "")
    );

    // Each at the last second before and the first of a day in Berlin.
    for (now, expected) in [
        ("2026-02-02T22:59:59Z", [Due, Upcoming, Upcoming]),
        ("2026-02-02T23:00:00Z", [Overdue, Upcoming, Upcoming]),
        ("2026-03-29T21:59:59Z", [Overdue, Upcoming, Upcoming]),
        ("2026-03-29T22:00:00Z", [Overdue, Due, Upcoming]),
        ("2026-03-30T22:00:00Z", [Overdue, Overdue, Upcoming]),
        ("2026-05-24T21:59:59Z", [Overdue, Overdue, Upcoming]),
        ("2026-05-24T22:00:00Z", [Overdue, Overdue, Due]),
        ("2026-07-26T21:59:59Z", [Overdue, Overdue, Due]),
        ("2026-07-26T22:00:00Z", [Overdue, Overdue, Overdue]),
    ] {
        let Some(()) = world.server.set_clock(now) else { return };
        let series = get_series(world, &series.series_id).await;
        let found: Vec<_> = states(&series).into_iter().map(|(_, state)| state).collect();
        assert_eq!(found, expected, "{now}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_from_a_session_that_is_not_booked_has_no_days() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR).await;
    world.cancel(session(&series, 4)).await.unwrap();
    world.cancel(session(&series, 3)).await.unwrap();
    let now = get_series(world, &series.series_id).await;
    let half_way = shown(&now, AT_THE_THIRD);
    assert_eq!((half_way.due_from.as_str(), half_way.due_until.as_str(), half_way.state()), ("", "", Upcoming));
    assert_eq!(half_way.appointment_id, "");
    // It follows the last session as it stands.
    assert_eq!(shown(&now, AFTERWARDS).due_from, "2026-03-30");
    world.cancel(session(&series, 1)).await.unwrap();
    world.cancel(session(&series, 2)).await.unwrap();
    let now = get_series(world, &series.series_id).await;
    assert_eq!(states(&now), [(BASELINE, Due), (AT_THE_THIRD, Upcoming), (AFTERWARDS, Upcoming)]);
    assert!(now.assessments.iter().all(|assessment| assessment.due_until.is_empty()));
    let status = course.book(&series, AFTERWARDS, "2026-05-25T10:00:00").await.unwrap_err();
    assert_eq!(said(world, &status), ["ASSESSMENT_NOT_DUE"]);
    let status = days_offered(world, of_assessment(&series, AFTERWARDS), "", "2026-05-01", "2026-08-01").await;
    assert_eq!(said(world, &status.unwrap_err()), ["ASSESSMENT_NOT_DUE"]);
    // Before the first session any day will do.
    course.book(&series, BASELINE, "2026-09-01T10:00:00").await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assessment_with_a_visit_of_its_own_is_booked_moved_and_cancelled_while_it_is_due() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR).await;
    let offered = |moving: String| {
        let visit = of_assessment(&series, AFTERWARDS);
        async move { days_offered(world, visit, &moving, "2026-05-01", "2026-08-15").await }
    };
    let refused = async |number, start| said(world, &course.book(&series, number, start).await.unwrap_err());
    assert_eq!(
        refused(AFTERWARDS, "2026-05-24T23:00:00").await,
        ["ASSESSMENT_NOT_DUE from 2026-05-25T00:00"],
        "the visit would reach into the day, but not begin on it"
    );
    assert_eq!(refused(AFTERWARDS, "2026-07-27T00:00:00").await, ["ASSESSMENT_NOT_DUE"]);
    assert_eq!(refused(BASELINE, "2026-02-03T00:00:00").await, ["ASSESSMENT_NOT_DUE"]);
    let days = offered(String::new()).await.unwrap();
    assert_eq!((days.len(), days[0].as_str(), days[62].as_str()), (63, "2026-05-25", "2026-07-26"));

    let visit = course.book(&series, AFTERWARDS, "2026-05-25T00:00:00").await.unwrap();
    assert_eq!((visit.follows_series_id.as_str(), visit.assessment_number), (series.series_id.as_str(), AFTERWARDS));
    assert_eq!((visit.series_id.as_str(), visit.session_number, visit.body_area()), ("", 0, pb::BodyArea::Unspecified));
    assert_eq!(visit.treatment_id, course.consultation);
    assert_eq!(get_appointment(world, &visit.appointment_id).await, visit);
    let now = get_series(world, &series.series_id).await;
    assert_eq!(shown(&now, AFTERWARDS).appointment_id, visit.appointment_id);
    assert_ne!(now.etag, series.etag);
    assert!(now.sessions == series.sessions, "it is no session");

    let booked = [format!("SESSION_ALREADY_BOOKED against {}", visit.appointment_id)];
    assert_eq!(refused(AFTERWARDS, "2026-06-01T10:00:00").await, booked);
    assert_eq!(said(world, &offered(String::new()).await.unwrap_err()), booked);
    assert_eq!(offered(visit.appointment_id.clone()).await.unwrap(), days);
    // It is another visit than the same treatment by itself.
    let alone = find::Visit::Treatment(pb::TreatmentVisit {
        patient_id: world.patients[0].clone(),
        treatment_id: course.consultation.clone(),
        body_area: 0,
    });
    let status = days_offered(world, alone, &visit.appointment_id, "2026-05-01", "2026-08-15").await.unwrap_err();
    assert_eq!(fields(&status), ["moving_appointment_id"]);

    let moved = |start: &str| pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: visit.etag.clone(),
        appointment_id: visit.appointment_id.clone(),
        start_time: timestamp(world.local(start)),
        ..Default::default()
    };
    let mut appointments = world.manager.appointments();
    let status = appointments.reschedule_appointment(moved("2026-05-20T10:00:00")).await.unwrap_err();
    assert_eq!(said(world, &status), ["ASSESSMENT_NOT_DUE from 2026-05-25T00:00"]);
    let status = appointments.reschedule_appointment(moved("2026-07-27T10:00:00")).await.unwrap_err();
    assert_eq!(said(world, &status), ["ASSESSMENT_NOT_DUE"]);
    let new = appointments.reschedule_appointment(moved("2026-07-26T23:00:00")).await.unwrap().into_inner();
    let new = new.appointment.unwrap();
    assert_eq!((new.follows_series_id.as_str(), new.assessment_number), (series.series_id.as_str(), AFTERWARDS));
    assert_eq!(new.replaces_appointment_id, visit.appointment_id);
    let again = get_series(world, &series.series_id).await;
    assert_eq!(shown(&again, AFTERWARDS).appointment_id, new.appointment_id);
    assert_ne!(again.etag, now.etag);

    world.cancel(&new).await.unwrap();
    let again = get_series(world, &series.series_id).await;
    assert_eq!(shown(&again, AFTERWARDS).appointment_id, "");
    course.book(&series, AFTERWARDS, "2026-06-22T10:00:00").await.unwrap();
    course.book(&series, BASELINE, "2026-02-02T08:00:00").await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assessment_without_a_visit_of_its_own_or_without_a_consultation_is_not_booked() {
    let course = Course::new().await;
    let mut world = course.world.clone();
    let series = course.book_series(&FOUR).await;
    for number in [AT_THE_THIRD, 3, 5, 0, 9] {
        let status = course.book(&series, number, "2026-06-01T10:00:00").await.unwrap_err();
        assert_eq!(fields(&status), ["assessment.assessment_number"], "{number}");
        let status = days_offered(&world, of_assessment(&series, number), "", "2026-05-01", "2026-06-01").await;
        assert_eq!(fields(&status.unwrap_err()), ["assessment.assessment_number"], "{number}");
    }
    let unknown = pb::Series { series_id: request_id(), ..series.clone() };
    let status = course.book(&unknown, AFTERWARDS, "2026-06-01T10:00:00").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);

    let other = world.publish_treatment(needling()).await;
    let after = pb::AfterLastSession { minimum_days: 28, target_days: 56, maximum_days: 90 };
    let content = pb::ProtocolContent {
        name: "Without".into(),
        treatment_id: other,
        sessions_minimum: 1,
        sessions_default: 3,
        sessions_maximum: 6,
        gap_floor_days: 14,
        gap_minimum_days: 28,
        gap_target_days: 35,
        gap_maximum_days: 56,
        evidence: evidence(),
        assessments: vec![assessment("result", pb::assessment::Due::AfterLastSession(after))],
        ..Default::default()
    };
    world.protocol = publish(&world, content).await;
    let mut request = world.series_request(&["2026-02-05T10:00:00"]);
    request.body_area = pb::BodyArea::Face.into();
    request.patient_id = world.patients[1].clone();
    let series = world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap();
    let status = course.book(&series, 1, "2026-03-10T10:00:00").await.unwrap_err();
    assert_eq!(fields(&status), ["assessment.series_id"]);
    // Any practitioner may record what it came to; in its own visit, of which there is none.
    let Some(()) = world.server.set_clock("2026-03-10T12:00:00Z") else { return };
    let status = course.record(&series, 1, session(&series, 1), End).await.unwrap_err();
    assert_eq!(fields(&status), ["appointment_id"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_recorded_once_by_a_practitioner_who_may_in_a_visit_that_has_begun() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR).await;
    let third = session(&series, 3);
    let request = course.result(&series, AT_THE_THIRD, third, Continue).await;
    let status = course.send(request.clone()).await.unwrap_err();
    assert_eq!(said(world, &status), [format!("ASSESSMENT_NOT_DUE against {}", third.appointment_id)]);
    // The very moment at which it begins.
    let Some(()) = world.server.set_clock("2026-03-30T08:00:00Z") else { return };
    let status = world.manager.series().record_assessment(request.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
    let other = world.resource(pb::ResourceKind::Practitioner, "massage").await;
    let masseur = token(&world.server, &world.practice, pb::Role::Practitioner, &other).await;
    let status = masseur.series().record_assessment(request.clone()).await.unwrap_err();
    assert_eq!(said(world, &status), [format!("NOT_QUALIFIED_TO_CLEAR of {other}")]);
    for (wrong, field) in [
        (
            pb::RecordAssessmentRequest {
                appointment_id: session(&series, 2).appointment_id.clone(),
                ..request.clone()
            },
            "appointment_id",
        ),
        (pb::RecordAssessmentRequest { assessment_number: 5, ..request.clone() }, "assessment_number"),
        (pb::RecordAssessmentRequest { assessment_number: 0, ..request.clone() }, "assessment_number"),
        (pb::RecordAssessmentRequest { outcome: 0, ..request.clone() }, "outcome"),
        (pb::RecordAssessmentRequest { outcome: 9, ..request.clone() }, "outcome"),
        (pb::RecordAssessmentRequest { session_count: 5, ..request.clone() }, "session_count"),
        (pb::RecordAssessmentRequest { outcome: Extend.into(), session_count: 4, ..request.clone() }, "session_count"),
        (pb::RecordAssessmentRequest { outcome: Extend.into(), ..request.clone() }, "session_count"),
        (pb::RecordAssessmentRequest { notes: "n".repeat(2001), ..request.clone() }, "notes"),
        (pb::RecordAssessmentRequest { etag: "x".into(), ..request.clone() }, "etag"),
    ] {
        assert_eq!(fields(&course.send(wrong).await.unwrap_err()), [field]);
    }
    let unknown = pb::RecordAssessmentRequest { appointment_id: request_id(), ..request.clone() };
    assert_eq!(course.send(unknown).await.unwrap_err().code(), Code::NotFound);
    let stale = pb::RecordAssessmentRequest { etag: "1".into(), ..request.clone() };
    assert_eq!(reason(&course.send(stale).await.unwrap_err()), "ETAG_MISMATCH");

    let tried = pb::RecordAssessmentRequest { request_id: request_id(), validate_only: true, ..request.clone() };
    assert_eq!(shown(&course.send(tried).await.unwrap(), AT_THE_THIRD).state(), Done);
    let tried = pb::RecordAssessmentRequest {
        request_id: request_id(),
        validate_only: true,
        notes: "🩹".repeat(2000),
        ..request.clone()
    };
    course.send(tried).await.unwrap();
    let request = pb::RecordAssessmentRequest { notes: "Pale, and finer.".into(), ..request };
    let after = course.send(request.clone()).await.unwrap();
    let half_way = shown(&after, AT_THE_THIRD);
    assert_eq!((half_way.state(), &half_way.appointment_id), (Done, &third.appointment_id));
    let [result] = half_way.results.as_slice() else { panic!("one result") };
    assert_eq!((result.outcome(), result.session_count, result.notes.as_str()), (Continue, 0, "Pale, and finer."));
    assert_eq!((&result.appointment_id, &result.practitioner_id), (&third.appointment_id, &world.practitioners[0]));
    assert!(result.recorded_at.is_some());
    assert_eq!(after, get_series(world, &series.series_id).await);
    assert_eq!(course.send(request).await.unwrap(), after, "the same request again");
    let status = course.record(&series, AT_THE_THIRD, third, End).await.unwrap_err();
    assert_eq!(said(world, &status), ["ASSESSMENT_DONE"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_before_the_first_session_is_recorded_in_any_visit_of_the_patient_until_then() {
    let course = Course::new().await;
    let world = &course.world;
    let consulted = world.book(world.visit_request(&course.consultation, "2026-01-12T10:00:00")).await.unwrap();
    let of_another = {
        let mut request = world.visit_request(&course.consultation, "2026-01-12T11:00:00");
        let Some(Visit::Treatment(visit)) = &mut request.visit else { unreachable!() };
        visit.patient_id = world.patients[1].clone();
        world.book(request).await.unwrap()
    };
    let too_late = world.book(world.visit_request(&course.consultation, "2026-02-03T10:00:00")).await.unwrap();
    let gone = world.book(world.visit_request(&course.consultation, "2026-01-13T10:00:00")).await.unwrap();
    world.cancel(&gone).await.unwrap();
    let series = course.book_series(&FOUR).await;
    let booked = course.book(&series, BASELINE, "2026-01-20T10:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-01-14T12:00:00Z") else { return };
    for wrong in [&of_another, &too_late, session(&series, 2)] {
        let status = course.record(&series, BASELINE, wrong, Continue).await.unwrap_err();
        assert_eq!(fields(&status), ["appointment_id"]);
    }
    let status = course.record(&series, BASELINE, &gone, Continue).await.unwrap_err();
    assert_eq!(said(world, &status), [format!("APPOINTMENT_NOT_BOOKED against {}", gone.appointment_id)]);
    let after = course.record(&series, BASELINE, &consulted, Continue).await.unwrap();
    assert_eq!(shown(&after, BASELINE).appointment_id, consulted.appointment_id);
    // What was booked for it is moved no more, but may be cancelled.
    let moved = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: booked.etag.clone(),
        appointment_id: booked.appointment_id.clone(),
        start_time: timestamp(world.local("2026-01-21T10:00:00")),
        ..Default::default()
    };
    let status = world.manager.appointments().reschedule_appointment(moved).await.unwrap_err();
    assert_eq!(said(world, &status), ["ASSESSMENT_DONE"]);
    world.cancel(&booked).await.unwrap();
    let status = course.book(&series, BASELINE, "2026-01-20T10:00:00").await.unwrap_err();
    assert_eq!(said(world, &status), ["ASSESSMENT_DONE"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_extended_goes_on_and_is_assessed_once_more() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR[..3]).await;
    let visit = course.book(&series, AFTERWARDS, "2026-05-04T10:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-05-04T09:00:00Z") else { return };
    course.record(&series, AT_THE_THIRD, session(&series, 3), Continue).await.unwrap();
    course.record(&series, BASELINE, session(&series, 1), Continue).await.unwrap();
    // Every session has taken place, and nothing else is to come.
    let status = course.record(&series, AFTERWARDS, &visit, Continue).await.unwrap_err();
    assert_eq!(fields(&status), ["outcome"]);
    let ask = |session_count| {
        let request = course.result(&series, AFTERWARDS, &visit, Extend);
        async move { pb::RecordAssessmentRequest { session_count, ..request.await } }
    };
    let status = course.send(ask(7).await).await.unwrap_err();
    assert_eq!(said(world, &status), ["SESSION_COUNT_NOT_ALLOWED"]);
    let extended = course.send(ask(4).await).await.unwrap();
    assert_eq!((extended.session_count, extended.state()), (4, pb::SeriesState::Active));
    assert_eq!(extended.sessions[3].appointment, None);
    // It is due again, though for now after the same session.
    let again = shown(&extended, AFTERWARDS);
    assert_eq!((again.state(), again.appointment_id.as_str(), again.results.len()), (Due, "", 1));
    assert_eq!(again.results[0].session_count, 4);
    world.server.assert_clean().await;

    // Its new session is planned and booked.
    let propose = pb::ProposeSeriesRequest {
        series_id: series.series_id.clone(),
        clinic_id: world.clinic.clone(),
        plan_count: 1,
        ..Default::default()
    };
    let plan = world.manager.series().propose_series(propose).await.unwrap().into_inner().plans.remove(0);
    assert_eq!(plan.sessions.len(), 4);
    let book = pb::BookSeriesRequest { request_id: request_id(), plan: Some(plan), ..Default::default() };
    let booked = world.manager.series().book_series(book).await.unwrap().into_inner().series.unwrap();
    let fourth = session(&booked, 4).clone();
    assert_eq!(shown(&booked, AFTERWARDS).state(), Upcoming);
    // Its visit has been; the next one is any visit of the patient since.
    let status = course.book(&series, AFTERWARDS, "2026-07-01T10:00:00").await.unwrap_err();
    assert_eq!(said(world, &status), [format!("SESSION_ALREADY_BOOKED against {}", visit.appointment_id)]);
    let last = world.book(world.visit_request(&course.consultation, "2026-07-01T10:00:00")).await.unwrap();
    let Some(()) = world.server.set_clock("2026-07-01T09:00:00Z") else { return };
    for earlier in [&visit, session(&booked, 3)] {
        let status = course.record(&series, AFTERWARDS, earlier, End).await.unwrap_err();
        assert_eq!(fields(&status), ["appointment_id"]);
    }
    let ended = course.record(&series, AFTERWARDS, &last, End).await.unwrap();
    assert_eq!(ended.state(), pb::SeriesState::Completed);
    let results = &shown(&ended, AFTERWARDS).results;
    assert_eq!(results.iter().map(|result| result.outcome()).collect::<Vec<_>>(), [Extend, End]);
    assert_eq!(session(&ended, 4), &fourth);
    assert_eq!(ended, get_series(world, &series.series_id).await);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_ends_is_completed_and_its_sessions_ahead_are_cancelled() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR).await;
    let fourth = session(&series, 4).clone();
    let visit = course.book(&series, AFTERWARDS, "2026-06-01T10:00:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-03-30T12:00:00Z") else { return };
    let ended = course.record(&series, AT_THE_THIRD, session(&series, 3), End).await.unwrap();
    assert_eq!(ended.state(), pb::SeriesState::Completed);
    assert!(ended.completed_at.is_some() && ended.cancelled_at.is_none());
    assert_eq!((ended.session_count, ended.sessions[3].appointment.as_ref()), (4, None));
    assert_eq!(session(&ended, 3), session(&series, 3));
    assert_eq!(ended, get_series(world, &series.series_id).await);
    assert_eq!(get_appointment(world, &fourth.appointment_id).await.state(), pb::AppointmentState::Cancelled);
    // What comes after the last session is still to come, after the last that took place.
    assert_eq!(states(&ended), [(AT_THE_THIRD, Done), (AFTERWARDS, Upcoming)]);
    assert_eq!(shown(&ended, AFTERWARDS).due_from, "2026-04-27");
    assert_eq!(shown(&ended, AFTERWARDS).appointment_id, visit.appointment_id);

    let not_active = ["SERIES_NOT_ACTIVE"];
    assert_eq!(said(world, &cancel_series(world, &ended).await.unwrap_err()), not_active);
    let status = world.book(session_request(world, &series, 4, FOUR[3])).await.unwrap_err();
    assert_eq!(said(world, &status), not_active);
    let status = course.record(&series, BASELINE, session(&series, 1), Continue).await.unwrap_err();
    assert_eq!(said(world, &status), not_active);
    let propose = pb::ProposeSeriesRequest {
        series_id: series.series_id.clone(),
        clinic_id: world.clinic.clone(),
        ..Default::default()
    };
    assert_eq!(said(world, &world.manager.series().propose_series(propose).await.unwrap_err()), not_active);

    let Some(()) = world.server.set_clock("2026-06-01T09:00:00Z") else { return };
    for outcome in [Extend, End] {
        let count = if outcome == Extend { 6 } else { 0 };
        let request = course.result(&series, AFTERWARDS, &visit, outcome).await;
        let request = pb::RecordAssessmentRequest { session_count: count, ..request };
        assert_eq!(said(world, &course.send(request).await.unwrap_err()), not_active);
    }
    let after = course.record(&series, AFTERWARDS, &visit, Continue).await.unwrap();
    assert_eq!(states(&after), [(AT_THE_THIRD, Done), (AFTERWARDS, Done)]);
    let status = course.record(&series, AFTERWARDS, &visit, Continue).await.unwrap_err();
    assert_eq!(said(world, &status), ["ASSESSMENT_DONE"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_series_is_assessed_no_more() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR).await;
    let visit = course.book(&series, AFTERWARDS, "2026-06-01T10:00:00").await.unwrap();
    let cancelled = cancel_series(world, &get_series(world, &series.series_id).await).await.unwrap();
    assert_eq!(cancelled.assessments, []);
    assert_eq!(get_appointment(world, &visit.appointment_id).await.state(), pb::AppointmentState::Cancelled);
    let status = course.book(&series, AFTERWARDS, "2026-06-01T10:00:00").await.unwrap_err();
    assert!(said(world, &status).contains(&"SERIES_NOT_ACTIVE".to_owned()));
    let status = course.book(&series, BASELINE, "2026-01-20T10:00:00").await.unwrap_err();
    assert_eq!(said(world, &status), ["SERIES_NOT_ACTIVE"]);
    let status = course.record(&series, AFTERWARDS, &visit, Continue).await.unwrap_err();
    let told = said(world, &status);
    assert!(told.contains(&"SERIES_NOT_ACTIVE".to_owned()), "{told:?}");
    world.server.assert_clean().await;
}

/// All series with an assessment that is due, in pages of one.
async fn due(world: &World, patient: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListSeriesRequest {
            patient_id: patient.into(),
            assessment_due_only: true,
            page_size: 1,
            page_token: page_token.clone(),
            ..Default::default()
        };
        let page = world.manager.series().list_series(request).await.unwrap().into_inner();
        for series in &page.series {
            assert_eq!(*series, get_series(world, &series.series_id).await);
        }
        found.extend(page.series.into_iter().map(|series| series.series_id));
        if page.next_page_token.is_empty() {
            return found;
        }
        page_token = page.next_page_token;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_with_an_assessment_that_is_due_are_listed_exactly_as_they_are_shown() {
    // East of Greenwich by most of a day, and across a change of the clock.
    let course = Course::in_zone("Pacific/Auckland").await;
    let world = &course.world;
    let mut all = Vec::new();
    let areas = [pb::BodyArea::Abdomen, pb::BodyArea::Face, pb::BodyArea::Back, pb::BodyArea::Thighs];
    for (place, area) in areas.into_iter().enumerate() {
        let starts: Vec<String> =
            FOUR.iter().map(|start| start.replace("T10", &format!("T{:02}", 8 + 2 * place))).collect();
        let starts: Vec<&str> = starts.iter().map(String::as_str).collect();
        let mut request = world.series_request(&starts[..if place == 3 { 4 } else { 3 }]);
        request.body_area = area.into();
        let Some(patient) = course.patient(9 + place, area).await else { return };
        request.patient_id = patient;
        all.push(world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap());
    }
    cancel_series(world, &all[1]).await.unwrap();
    let ended = all[0].clone();
    let extended = all[3].clone();
    // As lists have them.
    all.sort_by(|a, b| a.series_id.cmp(&b.series_id));
    let mut seen = [0; 2];
    for now in [
        "2026-01-06T00:00:00Z",
        "2026-03-29T10:59:59Z",
        "2026-03-29T11:00:00Z",
        "2026-03-30T12:00:00Z",
        "2026-04-26T11:59:59Z",
        "2026-04-26T12:00:00Z",
        "2026-05-24T12:00:00Z",
        "2026-08-01T12:00:00Z",
    ] {
        let Some(()) = world.server.set_clock(now) else { return };
        if now == "2026-03-30T12:00:00Z" {
            for series in [&ended, &extended] {
                course.record(series, BASELINE, session(series, 1), Continue).await.unwrap();
            }
            course.record(&ended, AT_THE_THIRD, session(&ended, 3), End).await.unwrap();
            let request = course.result(&extended, AT_THE_THIRD, session(&extended, 3), Extend).await;
            course.send(pb::RecordAssessmentRequest { session_count: 5, ..request }).await.unwrap();
        }
        let mut expected = Vec::new();
        for series in &all {
            let series = get_series(world, &series.series_id).await;
            let is_due = series.assessments.iter().any(|assessment| matches!(assessment.state(), Due | Overdue));
            seen[usize::from(is_due)] += 1;
            expected.extend(is_due.then_some(series.series_id));
        }
        assert_eq!(due(world, "").await, expected, "{now}");
        for series in &all {
            let of_patient = due(world, &series.patient_id).await;
            assert_eq!(of_patient.is_empty(), !expected.contains(&series.series_id), "{now}");
        }
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_may_end_before_the_time_of_a_session_to_which_the_patient_came_early() {
    let course = Course::new().await;
    let world = &course.world;
    let series = course.book_series(&FOUR[..3]).await;
    let third = session(&series, 3);
    // An hour before it.
    let Some(()) = world.server.set_clock("2026-03-30T07:00:00Z") else { return };
    world.check_in(&third.appointment_id).await.unwrap();
    let ended = course.record(&series, AT_THE_THIRD, third, End).await.unwrap();
    assert_eq!(ended.state(), pb::SeriesState::Completed);
    world.server.assert_clean().await;
}
