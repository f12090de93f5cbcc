//! The day sheet: all that a screen shows of a day, in one call.

use stipple::rpc::pb;

use crate::desk::{FOUR, get_appointment, listed};
use crate::harness::world::{request_id, timestamp};
use crate::harness::{Clinic, World};
use crate::{combinations, overdue, reactions};

/// The visits of a day at the clinic, by start.
async fn day(world: &World, date: &str) -> Vec<pb::Appointment> {
    let start = world.local(&format!("{date}T00:00:00"));
    let request = pb::ListAppointmentsRequest {
        subject: Some(pb::list_appointments_request::Subject::ClinicId(world.clinic.clone())),
        start_time: timestamp(start),
        end_time: timestamp(start + chrono::TimeDelta::hours(24)),
        ..Default::default()
    };
    world.manager.appointments().list_appointments(request).await.unwrap().into_inner().appointments
}

/// What is told of the only visit of a day.
async fn alerts(world: &World, date: &str) -> Vec<pb::VisitAlert> {
    let visits = day(world, date).await;
    assert_eq!(visits.len(), 1, "{date}");
    visits[0].sheet.clone().expect("a sheet").alerts
}

/// The same in short: `AT_RISK CLEARANCE_MISSING`, `CONDITION_NOTED pacemaker CONDITION_BLOCKS`.
async fn told(world: &World, date: &str) -> Vec<String> {
    let short = |alert: &pb::VisitAlert| {
        assert!(!alert.description.is_empty());
        let mut text = alert.kind().as_str_name().trim_start_matches("VISIT_ALERT_KIND_").to_owned();
        for part in [alert.condition.as_str(), if alert.lifted { "lifted" } else { "" }] {
            if !part.is_empty() {
                text.push_str(&format!(" {part}"));
            }
        }
        if alert.reason() != pb::Reason::Unspecified {
            text.push_str(&format!(" {}", alert.reason().as_str_name().trim_start_matches("REASON_")));
        }
        text
    };
    alerts(world, date).await.iter().map(short).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sheet_names_who_comes_and_when_each_phase_is_on_the_clinics_clock() {
    let world = World::in_zone("Asia/Kathmandu").await;
    world.book_series(&FOUR[..3]).await.unwrap();
    let visit = day(&world, "2026-02-02").await.remove(0);
    let note = visit.sheet.clone().unwrap();
    let get = pb::GetPatientRequest { patient_id: visit.patient_id.clone(), ..Default::default() };
    let patient = world.manager.patients().get_patient(get).await.unwrap().into_inner().patient.unwrap();
    assert_eq!(
        (note.patient_given_name, note.patient_family_name, note.patient_birth_date),
        (patient.given_name, patient.family_name, patient.birth_date)
    );
    assert_eq!(note.alerts, []);
    let numbing = &visit.phases[0];
    assert_eq!(
        (numbing.local_start.as_str(), numbing.local_end.as_str()),
        ("2026-02-02T10:00:00+05:45", "2026-02-02T10:30:00+05:45")
    );
    // The same of a patient's and a resource's sheet; no other answer has it.
    for subject in [
        pb::list_appointments_request::Subject::PatientId(visit.patient_id.clone()),
        pb::list_appointments_request::Subject::ResourceId(numbing.resources[0].resource_id.clone()),
    ] {
        assert_eq!(listed(&world, subject).await[0], visit);
    }
    let alone = get_appointment(&world, &visit.appointment_id).await;
    assert_eq!(alone, pb::Appointment { sheet: None, ..visit });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_visit_says_until_when_and_a_combined_one_what_is_added() {
    let clinic = combinations::Clinic::new().await;
    let world = &clinic.world;
    let approval = clinic.approve(&clinic.injection).await;
    let pb::BookAppointmentRequest { visit, clinic_id, start_time, add_on_treatment_id, .. } =
        clinic.with(&clinic.injection, "2026-01-26T10:00:00");
    let Some(pb::book_appointment_request::Visit::Treatment(visit)) = visit else { unreachable!() };
    let hold = pb::HoldAppointmentRequest {
        request_id: request_id(),
        visit: Some(pb::hold_appointment_request::Visit::Treatment(visit)),
        clinic_id,
        start_time,
        add_on_treatment_id,
        ..Default::default()
    };
    let held = world.manager.appointments().hold_appointment(hold).await.unwrap().into_inner().appointment.unwrap();
    let alerts = alerts(world, "2026-01-26").await;
    assert_eq!(told(world, "2026-01-26").await, ["HELD", "COMBINATION"]);
    assert_eq!(alerts[0].until, held.held_until);
    assert_eq!(
        (alerts[1].add_on_treatment_id.as_str(), alerts[1].override_id.as_str()),
        (clinic.injection.as_str(), approval.to_string().as_str())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_keep_a_patient_from_being_checked_in_is_told_before() {
    const DATE: &str = "2026-02-02";
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let patient = &world.patients[0];
    clinic.screen(patient, &[("rosacea_history", "")]).await;
    let clearance = clinic.clear(patient, &["rosacea_history"]).await;
    let series = world.book_series(&FOUR).await.unwrap();
    // It will be too old by then.
    assert_eq!(told(world, DATE).await, ["SCREENING_DUE SCREENING_MISSING", "CONDITION_NOTED rosacea_history lifted"]);
    clinic.revoke(&clearance).await.unwrap();
    let unlifted = [
        "SCREENING_DUE SCREENING_MISSING",
        "AT_RISK CLEARANCE_MISSING",
        "AT_RISK CONDITION_NEEDS_CLEARANCE",
        "CONDITION_NOTED rosacea_history CONDITION_NEEDS_CLEARANCE",
    ];
    assert_eq!(told(world, DATE).await, unlifted);
    // What is told is what a check-in says.
    let Some(()) = world.server.set_clock("2026-02-02T08:00:00Z") else { return };
    let first = &series.sessions[0].appointment.as_ref().unwrap().appointment_id;
    let refused = crate::harness::refusal(&world.check_in(first).await.unwrap_err());
    let mut reasons: Vec<_> = refused.iter().map(pb::RuleViolation::reason).collect();
    let mut alerted: Vec<_> = alerts(world, DATE).await.iter().map(pb::VisitAlert::reason).collect();
    alerted.pop();
    reasons.sort();
    alerted.sort();
    assert_eq!(alerted, reasons);
    clinic.screen(patient, &[]).await;
    assert_eq!(told(world, DATE).await, ["AT_RISK CLEARANCE_MISSING"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaction_is_told_of_every_visit_of_its_patient_until_it_is_cleared() {
    const DATE: &str = "2026-03-09";
    let Some(case) = reactions::case().await else { return };
    let world = &case.world;
    let watch = pb::WatchDayRequest { clinic_id: world.clinic.clone(), date: DATE.into(), ..Default::default() };
    let mut watch = world.manager.appointments().watch_day(watch).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    assert_eq!(told(world, DATE).await, ["SCREENING_DUE SCREENING_MISSING"]);
    let reported = reactions::report(&case, "redness_beyond_48_hours").await.unwrap().reaction.unwrap();
    assert_eq!(told(world, DATE).await, ["SERIES_ON_HOLD", "SERIES_ON_HOLD", "SCREENING_DUE SCREENING_MISSING"]);
    let mut held: Vec<_> = alerts(world, DATE).await.into_iter().take(2).collect();
    assert!(held.iter().all(|alert| alert.reaction_ids == [reported.reaction_id.clone()]));
    held.sort_by_key(|alert| alert.series_id != case.series.series_id);
    assert_eq!([&held[0].series_id, &held[1].series_id], [&case.series.series_id, &case.other.series_id]);
    reactions::clear(&case, &reported, "2026-02-20", 0).await.unwrap();
    assert_eq!(told(world, DATE).await, ["SCREENING_DUE SCREENING_MISSING"]);
    // And whoever watches the day is told of both.
    for (kind, count) in [("reaction.reported", 3), ("reaction.cleared", 1)] {
        let change = loop {
            match watch.message().await.unwrap().unwrap().news.unwrap() {
                pb::watch_day_response::News::Change(change) => break change,
                pb::watch_day_response::News::Heartbeat(_) => {}
                news @ pb::watch_day_response::News::Sheet(_) => panic!("{news:?}"),
            }
        };
        let alerts = change.appointments[0].sheet.as_ref().unwrap().alerts.len();
        assert_eq!((change.kind.as_str(), change.appointments.len()), (kind, 1));
        assert!(alerts == count || alerts == 1, "as it was when the message was made: {alerts}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_without_a_next_session_is_told_from_the_day_on_that_it_is_overdue() {
    let course = crate::assessments::Course::new().await;
    let world = &course.world;
    let series = overdue::broken_off(&course).await;
    // 56 days after 2 March are over on 28 April.
    for (date, expected) in [("2026-04-27", &[][..]), ("2026-04-28", &["SERIES_OVERDUE"][..])] {
        world.book_sauna(&format!("{date}T18:00:00")).await.unwrap();
        assert_eq!(told(world, date).await, expected, "{date}");
    }
    let alert = alerts(world, "2026-04-28").await.remove(0);
    assert_eq!((alert.series_id, alert.latest_date), (series.series_id, "2026-04-27".to_owned()));
}
