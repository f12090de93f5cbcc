//! Visits as a calendar app sees them: the files are read by a parser that is not the one that writes them.

use std::collections::BTreeMap;

use calcard::common::timezone::Tz;
use calcard::icalendar::dates::TimeOrDelta;
use calcard::icalendar::{ICalendar, ICalendarComponentType, ICalendarProperty, ICalendarStatus};
use stipple::rpc::pb;
use tonic::Status;

use crate::desk::{FOUR, instant, serving, session};
use crate::harness::World;
use crate::harness::wire::{fields, missing};
use crate::harness::world::{at, request_id};

/// An event as an app shows it.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    /// On the clinic's wall clock.
    start: String,
    end: String,
    cancelled: bool,
    sequence: i64,
    modified: String,
    location: String,
    description: String,
}

/// What an app that keeps the latest of each event shows of a file, by UID.
fn shown(world: &World, file: &str) -> BTreeMap<String, Shown> {
    assert!(file.split("\r\n").all(|line| line.len() <= 75 && !line.contains('\n')), "lines are folded: {file}");
    let calendar = ICalendar::parse(file).expect("a calendar");
    let expanded = calendar.expand_dates(Tz::UTC, 10_000);
    assert!(expanded.errors.is_empty(), "{:?}", expanded.errors);
    let mut found = BTreeMap::new();
    for event in &expanded.events {
        let component = &calendar.components[usize::try_from(event.comp_id).unwrap()];
        assert_eq!(component.component_type, ICalendarComponentType::VEvent);
        let text = |property| {
            let value = &component.property(&property).unwrap_or_else(|| panic!("no {property:?}")).values[0];
            value.as_text().map_or_else(|| format!("{value:?}"), ToOwned::to_owned)
        };
        let TimeOrDelta::Time(end) = event.end.clone() else { panic!("an end") };
        let wall = |at: chrono::DateTime<Tz>| at.with_timezone(&world.zone).format("%Y-%m-%dT%H:%M").to_string();
        assert_eq!(text(ICalendarProperty::Summary), "Appointment");
        assert_eq!(text(ICalendarProperty::Dtstamp), text(ICalendarProperty::LastModified));
        let status = component.status().expect("a status");
        let shown = Shown {
            start: wall(event.start),
            end: wall(end),
            cancelled: *status == ICalendarStatus::Cancelled,
            sequence: component.property(&ICalendarProperty::Sequence).unwrap().values[0].as_integer().unwrap(),
            modified: text(ICalendarProperty::LastModified),
            location: text(ICalendarProperty::Location),
            description: text(ICalendarProperty::Description),
        };
        assert!(matches!(status, ICalendarStatus::Cancelled | ICalendarStatus::Confirmed), "{status:?}");
        assert!(found.insert(component.uid().expect("a UID").to_owned(), shown).is_none(), "each visit is one event");
    }
    found
}

async fn ask(world: &World, known_etag: &str) -> Result<pb::GetPatientCalendarResponse, Status> {
    let request = pb::GetPatientCalendarRequest {
        patient_id: world.patients[0].clone(),
        known_etag: known_etag.into(),
        ..Default::default()
    };
    Ok(world.manager.calendar().get_patient_calendar(request).await?.into_inner())
}

async fn of_patient(world: &World) -> BTreeMap<String, Shown> {
    shown(world, &ask(world, "").await.unwrap().icalendar)
}

fn practitioner_request(practitioner: &str) -> pb::GetPractitionerCalendarRequest {
    pb::GetPractitionerCalendarRequest {
        practitioner_id: practitioner.into(),
        start_time: at("2026-02-01T00:00:00Z"),
        end_time: at("2026-05-03T00:00:00Z"),
        ..Default::default()
    }
}

async fn of_practitioner(world: &World, practitioner: &str) -> BTreeMap<String, Shown> {
    let request = practitioner_request(practitioner);
    let answer = world.manager.calendar().get_practitioner_calendar(request).await.unwrap().into_inner();
    shown(world, &answer.icalendar)
}

async fn move_to(world: &World, visit: &pb::Appointment, start: &str, resources: Vec<String>) -> pb::Appointment {
    let request = pb::RescheduleAppointmentRequest {
        request_id: request_id(),
        etag: visit.etag.clone(),
        appointment_id: visit.appointment_id.clone(),
        start_time: world.visit_request(&world.sauna, start).start_time,
        resource_ids: resources,
        ..Default::default()
    };
    world.manager.appointments().reschedule_appointment(request).await.unwrap().into_inner().appointment.unwrap()
}

fn starts(shown: &BTreeMap<String, Shown>) -> Vec<(String, bool)> {
    let mut starts: Vec<_> = shown.values().map(|event| (event.start.clone(), event.cancelled)).collect();
    starts.sort();
    starts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patients_file_has_every_visit_at_the_clinics_time_before_and_after_the_clocks_change() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let sauna = world.book_sauna("2026-01-20T18:00:00").await.unwrap();
    let events = of_patient(&world).await;
    assert_eq!(events.len(), 5);
    for start in FOUR {
        // The last two lie in summer time.
        let event = events.values().find(|event| start.starts_with(&event.start)).expect(start);
        assert_eq!((event.cancelled, event.location.as_str()), (false, "The clinic"));
        assert!(event.end.ends_with("T11:05"), "{event:?}");
    }
    let summer = &events[&session(&series, 3).appointment_id];
    assert_eq!(summer.description, "Monday 30 March 2026, 10:00 on the clinic's clock (Europe/Berlin)");
    assert_eq!(events[&sauna.appointment_id].start, "2026-01-20T18:00");
    // The other patient has none.
    let other = pb::GetPatientCalendarRequest { patient_id: world.patients[1].clone(), ..Default::default() };
    let other = world.manager.calendar().get_patient_calendar(other).await.unwrap().into_inner();
    assert!(!other.unchanged && shown(&world, &other.icalendar).is_empty());
    let unknown = pb::GetPatientCalendarRequest { patient_id: request_id(), ..Default::default() };
    assert_eq!(missing(&world.manager.calendar().get_patient_calendar(unknown).await.unwrap_err()), "patient_id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_says_nothing_of_why_and_names_nobody() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let practitioner = serving(session(&series, 1), 1, pb::ResourceKind::Practitioner);
    let request = practitioner_request(&practitioner);
    let days = world.manager.calendar().get_practitioner_calendar(request).await.unwrap().into_inner().icalendar;
    for file in [ask(&world, "").await.unwrap().icalendar, days] {
        let unfolded = file.replace("\r\n ", "").to_lowercase();
        assert!(unfolded.contains("begin:vevent") && unfolded.contains("class:private"));
        let ids = [&series.series_id, &world.patients[0], &world.needling, &world.protocol, &practitioner];
        for id in ids.into_iter().chain(&world.rooms) {
            assert!(!unfolded.contains(id.as_str()), "{id} in {unfolded}");
        }
        for word in ["needling", "session", "calves", "numbing", "patient", "family", "given", "practitioner", "room"] {
            assert!(!unfolded.contains(word), "{word} in {unfolded}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_visit_stays_one_event_and_a_cancelled_one_is_told_for_a_month() {
    let world = World::new().await;
    let first = world.book_sauna("2026-03-20T18:00:00").await.unwrap();
    let before = of_patient(&world).await[&first.appointment_id].clone();
    let Some(()) = world.server.set_clock("2026-01-06T08:00:00Z") else { return };
    let second = move_to(&world, &first, "2026-04-20T18:00:00", Vec::new()).await;
    let third = move_to(&world, &second, "2026-03-25T12:00:00", Vec::new()).await;
    let events = of_patient(&world).await;
    let moved = &events[&first.appointment_id];
    assert_eq!((events.len(), moved.start.as_str(), moved.cancelled), (1, "2026-03-25T12:00", false));
    assert!(moved.sequence > before.sequence && moved.modified > before.modified, "{before:?} {moved:?}");
    world.cancel(&third).await.unwrap();
    let cancelled = of_patient(&world).await[&first.appointment_id].clone();
    assert_eq!((cancelled.start.as_str(), cancelled.cancelled), ("2026-03-25T12:00", true));
    assert!(cancelled.sequence > moved.sequence);
    let Some(()) = world.server.set_clock("2026-02-06T07:59:59Z") else { return };
    assert_eq!(of_patient(&world).await.len(), 1);
    let Some(()) = world.server.set_clock("2026-02-06T08:00:00Z") else { return };
    assert_eq!(of_patient(&world).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_in_no_file_until_it_is_booked_nor_if_it_never_was() {
    let world = World::new().await;
    let booking = world.visit_request(&world.sauna, "2026-01-26T10:00:00");
    let request = pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(pb::hold_appointment_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: world.patients[0].clone(),
            treatment_id: world.sauna.clone(),
            ..Default::default()
        })),
        clinic_id: world.clinic.clone(),
        start_time: booking.start_time,
        ..Default::default()
    };
    let held = world.manager.appointments().hold_appointment(request.clone()).await.unwrap().into_inner();
    assert_eq!(of_patient(&world).await.len(), 0);
    world.cancel(&held.appointment.unwrap()).await.unwrap();
    assert_eq!(of_patient(&world).await.len(), 0, "nobody was told of it");
    let request = pb::HoldAppointmentRequest { request_id: request_id(), ..request };
    let held = world.manager.appointments().hold_appointment(request).await.unwrap().into_inner().appointment.unwrap();
    let convert = pb::ConvertHoldRequest {
        request_id: request_id(),
        etag: held.etag,
        appointment_id: held.appointment_id,
        ..Default::default()
    };
    world.manager.appointments().convert_hold(convert).await.unwrap();
    assert_eq!(starts(&of_patient(&world).await), [("2026-01-26T10:00".to_owned(), false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_sent_again_exactly_when_something_in_it_has_changed() {
    let world = World::new().await;
    let visit = world.book_sauna("2026-01-20T18:00:00").await.unwrap();
    let first = ask(&world, "").await.unwrap();
    let known = ask(&world, &first.etag).await.unwrap();
    assert_eq!((known.unchanged, known.icalendar.as_str(), &known.etag), (true, "", &first.etag));
    // Another patient's visit is no change.
    let mut other = world.visit_request(&world.sauna, "2026-01-20T18:00:00");
    if let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut other.visit {
        visit.patient_id = world.patients[1].clone();
    }
    world.book(other).await.unwrap();
    assert!(ask(&world, &first.etag).await.unwrap().unchanged);
    world.cancel(&visit).await.unwrap();
    let second = ask(&world, &first.etag).await.unwrap();
    assert!(!second.unchanged && second.etag != first.etag);
    assert_eq!(starts(&shown(&world, &second.icalendar)), [("2026-01-20T18:00".to_owned(), true)]);
    // So is another name of the clinic, which events carry with their escapes.
    let clinic = pb::GetClinicRequest { clinic_id: world.clinic.clone(), ..Default::default() };
    let clinic = world.manager.practices().get_clinic(clinic).await.unwrap().into_inner().clinic.unwrap();
    let renamed = pb::UpdateClinicRequest {
        request_id: request_id(),
        clinic_id: world.clinic.clone(),
        etag: clinic.etag,
        name: "Harbour; \"Skin\", 2nd floor \\ left — Hautärztin am Hafen 🩹 with a name longer than a line".into(),
        opening_hours: clinic.opening_hours,
        ..Default::default()
    };
    world.manager.practices().update_clinic(renamed.clone()).await.unwrap();
    let third = ask(&world, &second.etag).await.unwrap();
    assert_eq!(shown(&world, &third.icalendar).values().next().unwrap().location, renamed.name);
    // An etag is good for its question only.
    let foreign = pb::GetPatientCalendarRequest {
        patient_id: world.patients[1].clone(),
        known_etag: third.etag,
        ..Default::default()
    };
    let refused = world.manager.calendar().get_patient_calendar(foreign).await.unwrap_err();
    assert_eq!(fields(&refused), ["known_etag"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_practitioners_file_has_the_time_that_each_visit_needs_them_and_loses_what_goes_to_another() {
    let world = World::new().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let visit = session(&series, 1);
    let busy = serving(visit, 1, pb::ResourceKind::Practitioner);
    let other = world.practitioners.iter().find(|id| **id != busy).unwrap();
    let events = of_practitioner(&world, &busy).await;
    let first = &events[&visit.appointment_id];
    // Numbing is an assistant's.
    assert_eq!((first.start.as_str(), first.end.as_str()), ("2026-02-02T10:30", "2026-02-02T11:00"));
    let theirs = of_practitioner(&world, other).await;
    assert!(!theirs.contains_key(&visit.appointment_id));
    let request = pb::RescheduleSessionRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        session_number: 1,
        start_time: visit.start_time,
        practitioner_id: other.clone(),
        ..Default::default()
    };
    world.manager.series().reschedule_session(request).await.unwrap();
    let (left, taken) = (of_practitioner(&world, &busy).await, of_practitioner(&world, other).await);
    assert!(left[&visit.appointment_id].cancelled && !taken[&visit.appointment_id].cancelled);
    assert!(left[&visit.appointment_id].sequence > first.sequence);
    // Of the same change: an app that reads both files shows the visit.
    assert_eq!(left[&visit.appointment_id].modified, taken[&visit.appointment_id].modified);
    assert!(taken[&visit.appointment_id].sequence > left[&visit.appointment_id].sequence);

    // What begins before the stretch and reaches into it is whole.
    let at_once = instant(visit.start_time.as_ref()) + chrono::TimeDelta::minutes(45);
    let request = pb::GetPractitionerCalendarRequest {
        start_time: Some(prost_types::Timestamp { seconds: at_once.timestamp(), nanos: 0 }),
        ..practitioner_request(other)
    };
    let answer = world.manager.calendar().get_practitioner_calendar(request).await.unwrap().into_inner();
    assert_eq!(shown(&world, &answer.icalendar)[&visit.appointment_id].start, "2026-02-02T10:30");
    let too_long =
        pb::GetPractitionerCalendarRequest { end_time: at("2026-05-04T00:00:01Z"), ..practitioner_request(other) };
    let refused = world.manager.calendar().get_practitioner_calendar(too_long).await.unwrap_err();
    assert_eq!(fields(&refused), ["end_time"]);
    let room = practitioner_request(&world.rooms[0]);
    let refused = world.manager.calendar().get_practitioner_calendar(room).await.unwrap_err();
    assert_eq!(missing(&refused), "practitioner_id");
}
