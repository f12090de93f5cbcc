//! What the tests of booking share: refusals as text, and shorthand for the requests that they vary.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use stipple::rpc::pb;
use tonic::Status;

use crate::harness::world::{every_day, evidence, request_id, timestamp};
use crate::harness::{World, refusal};

/// Four sessions, each the minimum of 28 days after the one before.
pub const FOUR: [&str; 4] =
    ["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00", "2026-04-27T10:00:00"];

/// An instant from a message.
pub fn instant(at: Option<&Timestamp>) -> DateTime<Utc> {
    let at = at.expect("a time");
    DateTime::from_timestamp(at.seconds, at.nanos.cast_unsigned()).unwrap()
}

/// What a refusal says, one line for each violated rule, with times on the clinic's wall clock:
/// `SESSION_TOO_SOON sessions[1] against sessions[0] 27/28 days from 2026-03-02T00:00`.
pub fn said(world: &World, status: &Status) -> Vec<String> {
    refusal(status).iter().map(|violation| sentence(world, violation)).collect()
}

fn sentence(world: &World, violation: &pb::RuleViolation) -> String {
    assert!(!violation.description.is_empty());
    let mut text = violation.reason().as_str_name().trim_start_matches("REASON_").to_owned();
    let mut add = |word: &str, part: &str| {
        if !part.is_empty() {
            text.push_str(&format!(" {word}{part}"));
        }
    };
    add("", &violation.field);
    add("against ", &violation.appointment_id);
    add("against ", &violation.other_field);
    add("of ", &violation.resource_id);
    if violation.required_gap_days != 0 {
        add("", &format!("{}/{} days", violation.gap_days, violation.required_gap_days));
    }
    if violation.earliest_start.is_some() {
        let earliest = instant(violation.earliest_start.as_ref()).with_timezone(&world.zone);
        add("from ", &earliest.format("%Y-%m-%dT%H:%M").to_string());
        assert_eq!(violation.earliest_date, earliest.date_naive().to_string());
        let local = DateTime::parse_from_rfc3339(&violation.local_earliest_start).unwrap();
        assert_eq!((local.naive_local(), local.to_utc()), (earliest.naive_local(), earliest.to_utc()));
    } else {
        assert_eq!((violation.earliest_date.as_str(), violation.local_earliest_start.as_str()), ("", ""));
    }
    add("until ", &violation.latest_date);
    text
}

/// The appointment of a session, from 1.
pub fn session(series: &pb::Series, number: usize) -> &pb::Appointment {
    let session = &series.sessions[number - 1];
    assert_eq!(usize::try_from(session.session_number).unwrap(), number);
    session.appointment.as_ref().expect("the session is booked")
}

/// The resources of a kind in a phase, from 0.
pub fn serving(appointment: &pb::Appointment, phase: usize, kind: pb::ResourceKind) -> String {
    let mut of_kind = appointment.phases[phase].resources.iter().filter(|resource| resource.kind() == kind);
    let found = of_kind.next().expect("a resource of that kind").resource_id.clone();
    assert!(of_kind.next().is_none(), "one resource of each kind");
    found
}

/// The last revision of the practice.
pub async fn revision(world: &World) -> i64 {
    let request = pb::GetPracticeRequest::default();
    world.manager.practices().get_practice(request).await.unwrap().into_inner().practice.unwrap().revision
}

/// A request to book a session of a series again.
pub fn session_request(world: &World, series: &pb::Series, number: i32, start: &str) -> pb::BookAppointmentRequest {
    pb::BookAppointmentRequest {
        request_id: request_id(),
        visit: Some(pb::book_appointment_request::Visit::Session(pb::SessionVisit {
            series_id: series.series_id.clone(),
            session_number: number,
        })),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local(start)),
        ..Default::default()
    }
}

/// A request for a single visit of a patient that needles an area.
pub fn needling_request(world: &World, patient: &str, area: pb::BodyArea, start: &str) -> pb::BookAppointmentRequest {
    treatment_request(world, patient, &world.needling, area, start)
}

/// A request for a single visit.
pub fn treatment_request(
    world: &World,
    patient: &str,
    treatment: &str,
    area: pb::BodyArea,
    start: &str,
) -> pb::BookAppointmentRequest {
    pb::BookAppointmentRequest {
        visit: Some(pb::book_appointment_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: patient.into(),
            treatment_id: treatment.into(),
            body_area: area.into(),
        })),
        ..world.visit_request(treatment, start)
    }
}

/// A series as it is now.
pub async fn get_series(world: &World, id: &str) -> pb::Series {
    let request = pb::GetSeriesRequest { series_id: id.into(), ..Default::default() };
    world.manager.series().get_series(request).await.unwrap().into_inner().series.unwrap()
}

/// An appointment as it is now.
pub async fn get_appointment(world: &World, id: &str) -> pb::Appointment {
    let request = pb::GetAppointmentRequest { appointment_id: id.into(), ..Default::default() };
    world.manager.appointments().get_appointment(request).await.unwrap().into_inner().appointment.unwrap()
}

/// The appointments of 2026 on a sheet.
pub async fn listed(world: &World, subject: pb::list_appointments_request::Subject) -> Vec<pb::Appointment> {
    let request = pb::ListAppointmentsRequest {
        subject: Some(subject),
        start_time: timestamp(world.local("2026-01-01T00:00:00")),
        end_time: timestamp(world.local("2027-01-01T00:00:00")),
        ..Default::default()
    };
    world.manager.appointments().list_appointments(request).await.unwrap().into_inner().appointments
}

/// The same without what a sheet shows beside them: as they are everywhere else.
pub async fn sheet(world: &World, subject: pb::list_appointments_request::Subject) -> Vec<pb::Appointment> {
    let listed = listed(world, subject).await.into_iter();
    listed.map(|visit| pb::Appointment { sheet: None, ..visit }).collect()
}

/// The appointments of the clinic in 2026.
pub async fn clinic_sheet(world: &World) -> Vec<pb::Appointment> {
    sheet(world, pb::list_appointments_request::Subject::ClinicId(world.clinic.clone())).await
}

/// Cancels a series.
pub async fn cancel_series(world: &World, series: &pb::Series) -> Result<pb::Series, Status> {
    let request = pb::CancelSeriesRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        cancel_reason: "moved away".into(),
        ..Default::default()
    };
    Ok(world.manager.series().cancel_series(request).await?.into_inner().series.unwrap())
}

/// A treatment of one phase, all of it exposing, in a room.
pub fn simple(name: &str, minutes: i32, exposures: Vec<pb::Activity>) -> pb::TreatmentContent {
    let room = pb::Need { kind: pb::ResourceKind::Room.into(), qualification: "treatment_room".into() };
    pb::TreatmentContent {
        name: name.into(),
        spacing_days: 0,
        phases: vec![pb::Phase {
            name: name.into(),
            minutes,
            patient_present: true,
            exposing: true,
            needs: vec![room],
            evidence: None,
        }],
        exposures: exposures.into_iter().map(Into::into).collect(),
        ..Default::default()
    }
}

/// Forbids an activity for so many hours afterwards.
pub fn hours_after(activity: pb::Activity, hours: i32) -> pb::Restriction {
    pb::Restriction {
        activity: activity.into(),
        before: None,
        after: Some(pb::Span { amount: Some(pb::span::Amount::Hours(hours)) }),
        instruction: "Not yet.".into(),
        evidence: evidence(),
        ..Default::default()
    }
}

/// Gives somebody hours of their own, on all days but Sundays.
pub async fn work(world: &World, id: &str, hours: &[(&str, &str)]) {
    let mut resources = world.manager.resources();
    let request = pb::GetResourceRequest { resource_id: id.into(), ..Default::default() };
    let resource = resources.get_resource(request).await.unwrap().into_inner().resource.unwrap();
    let hours = hours.iter().flat_map(|(from, until)| every_day(from, until)).filter(|hours| hours.weekday != 7);
    let hours = hours.map(|hours| pb::WorkingHours { clinic_id: world.clinic.clone(), hours: Some(hours) });
    let request = pb::UpdateResourceRequest {
        request_id: request_id(),
        etag: resource.etag,
        resource_id: resource.resource_id,
        name: resource.name,
        active: true,
        qualifications: resource.qualifications,
        working_hours: hours.collect(),
        ..Default::default()
    };
    resources.update_resource(request).await.unwrap();
}

/// Closes the clinic from one wall-clock time to another.
pub async fn close(world: &World, from: &str, until: &str) {
    let request = pb::CreateClosureRequest {
        request_id: request_id(),
        clinic_id: world.clinic.clone(),
        start_time: timestamp(world.local(from)),
        end_time: timestamp(world.local(until)),
        ..Default::default()
    };
    world.manager.practices().create_closure(request).await.unwrap();
}

/// Publishes the next version of the world's protocol.
pub async fn publish_next(world: &World, change: impl FnOnce(&mut pb::ProtocolContent)) {
    let mut catalog = world.manager.catalog();
    let request = pb::GetProtocolRequest { protocol_id: world.protocol.clone(), ..Default::default() };
    let protocol = catalog.get_protocol(request).await.unwrap().into_inner().protocol.unwrap();
    let mut content = protocol.content.unwrap();
    change(&mut content);
    let request = pb::PublishProtocolRequest {
        request_id: request_id(),
        protocol_id: protocol.protocol_id,
        etag: protocol.etag,
        content: Some(content),
        ..Default::default()
    };
    catalog.publish_protocol(request).await.unwrap();
}

/// The wall-clock times at which the booked sessions of a series begin, as `2026-03-01T10:00`.
pub fn starts(series: &pb::Series) -> Vec<String> {
    let booked = series.sessions.iter().filter_map(|session| session.appointment.as_ref());
    booked.map(|appointment| appointment.local_start[..16].to_owned()).collect()
}
