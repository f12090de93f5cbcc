//! Practitioners who decide otherwise than the rules, by name, for one patient and one purpose.

use std::collections::BTreeSet;

use stipple::rpc::pb;
use stipple::rpc::pb::grant_override_request::Purpose;
use tonic::{Code, Status};

use crate::desk::{get_appointment, get_series, revision, session};
use crate::harness::wire::{Clients, fields, missing, reason};
use crate::harness::world::{request_id, timestamp, token};
use crate::harness::{World, refusal};

/// Sessions 35 days apart.
const DAYS: [&str; 3] = ["2026-02-02T10:00:00", "2026-03-09T10:00:00", "2026-04-13T10:00:00"];

fn gap(series: &pb::Series, gap_days: i32) -> Purpose {
    Purpose::Gap(pb::GapOverride { series_id: series.series_id.clone(), gap_days })
}

fn aftercare(appointment: &pb::Appointment, activity: pb::Activity, hours: i32) -> Purpose {
    Purpose::Aftercare(pb::AftercareOverride {
        appointment_id: appointment.appointment_id.clone(),
        activity: activity.into(),
        after: Some(pb::Span { amount: Some(pb::span::Amount::Hours(hours)) }),
    })
}

fn request(world: &World, purpose: Purpose) -> pb::GrantOverrideRequest {
    pb::GrantOverrideRequest {
        request_id: request_id(),
        patient_id: world.patients[0].clone(),
        purpose: Some(purpose),
        override_reason: "heals fast".into(),
        ..Default::default()
    }
}

async fn grant(world: &World, by: &Clients, purpose: Purpose) -> Result<pb::Override, Status> {
    let answer = by.patients().grant_override(request(world, purpose)).await?;
    Ok(answer.into_inner().r#override.unwrap())
}

async fn revoke(by: &Clients, granted: &pb::Override) -> Result<pb::Override, Status> {
    let request = pb::RevokeOverrideRequest {
        request_id: request_id(),
        override_id: granted.override_id.clone(),
        revoke_reason: "no more".into(),
        ..Default::default()
    };
    Ok(by.patients().revoke_override(request).await?.into_inner().r#override.unwrap())
}

async fn listed(world: &World, include_revoked: bool) -> Vec<pb::Override> {
    let request =
        pb::ListOverridesRequest { patient_id: world.patients[0].clone(), include_revoked, ..Default::default() };
    world.manager.patients().list_overrides(request).await.unwrap().into_inner().overrides
}

fn ids(overrides: &[pb::Override]) -> BTreeSet<&str> {
    overrides.iter().map(|granted| granted.override_id.as_str()).collect()
}

/// Whether the patient may go to a sauna for an hour.
async fn check(world: &World, start: &str) -> pb::CheckActivityResponse {
    let request = pb::CheckActivityRequest {
        patient_id: world.patients[0].clone(),
        activity: pb::Activity::Heat.into(),
        start_time: timestamp(world.local(start)),
        ..Default::default()
    };
    world.manager.aftercare().check_activity(request).await.unwrap().into_inner()
}

async fn reschedule(world: &World, id: &str, number: i32, start: &str) -> Result<pb::Series, Status> {
    let series = get_series(world, id).await;
    let request = pb::RescheduleSessionRequest {
        request_id: request_id(),
        etag: series.etag,
        series_id: id.into(),
        session_number: number,
        start_time: timestamp(world.local(start)),
        ..Default::default()
    };
    Ok(world.manager.series().reschedule_session(request).await?.into_inner().series.unwrap())
}

/// Rules and the appointments that they name.
fn broken(status: &Status) -> Vec<(&'static str, String)> {
    let name = |violation: &pb::RuleViolation| violation.reason().as_str_name().trim_start_matches("REASON_");
    refusal(status).iter().map(|violation| (name(violation), violation.appointment_id.clone())).collect()
}

async fn clinical() -> (World, pb::Series, Clients) {
    let world = World::new().await;
    let protocol = world.clinical_protocol().await;
    let series = world.book_clinical(&protocol, pb::BodyArea::Abdomen, &DAYS).await.unwrap();
    let practitioner = world.practitioner(0).await;
    (world, series, practitioner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shorter_gap_counts_at_once_for_all_that_is_booked_from_then_on() {
    let (world, series, practitioner) = clinical().await;
    let id = series.series_id.as_str();
    assert_eq!((series.gap_minimum_days, series.gap_override_id.as_str()), (28, ""));
    let status = reschedule(&world, id, 2, "2026-02-16T10:00:00").await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "SESSION_TOO_SOON");

    let granted = grant(&world, &practitioner, gap(&series, 14)).await.unwrap();
    assert_eq!(granted.granted_by, world.practitioners[0]);
    assert_eq!((granted.reason.as_str(), granted.revoked_at), ("heals fast", None));
    let after = get_series(&world, id).await;
    assert_eq!((after.gap_minimum_days, after.gap_override_id.as_str()), (14, granted.override_id.as_str()));
    assert_ne!(after.etag, series.etag);
    for number in 1..=3 {
        assert_eq!(session(&after, number).override_ids, std::slice::from_ref(&granted.override_id));
        assert_ne!(session(&after, number).etag, session(&series, number).etag);
    }
    world.server.assert_clean().await;

    // A moved session, and one that is booked anew, have windows of that length too.
    let moved = reschedule(&world, id, 2, "2026-02-16T10:00:00").await.unwrap();
    assert_eq!(session(&moved, 2).override_ids, std::slice::from_ref(&granted.override_id));
    world.cancel(session(&moved, 3)).await.unwrap();
    let ask = |start: &str| {
        let (from, until) = (start[..10].to_owned(), start[..10].to_owned());
        pb::FindSlotsRequest {
            visit: Some(pb::find_slots_request::Visit::Session(pb::SessionVisit {
                series_id: id.into(),
                session_number: 3,
            })),
            clinic_ids: vec![world.clinic.clone()],
            start_date: from,
            end_date: until,
            ..Default::default()
        }
    };
    let slots =
        async |start: &str| world.manager.appointments().find_slots(ask(start)).await.unwrap().into_inner().slots.len();
    assert_eq!(slots("2026-03-01T10:00:00").await, 0, "13 days");
    assert_ne!(slots("2026-03-02T10:00:00").await, 0, "14 days");
    let book = crate::desk::session_request(&world, &moved, 3, "2026-03-02T10:00:00");
    let booked = world.book(book).await.unwrap();
    assert_eq!(booked.override_ids, std::slice::from_ref(&granted.override_id));
    // Plans go by it.
    let extend = pb::ExtendSeriesRequest {
        request_id: request_id(),
        etag: get_series(&world, id).await.etag,
        series_id: id.into(),
        session_count: 4,
        clinic_id: world.clinic.clone(),
        sessions: vec![pb::SessionRequest {
            start_time: timestamp(world.local("2026-03-16T10:00:00")),
            ..Default::default()
        }],
        ..Default::default()
    };
    world.manager.series().extend_series(extend).await.unwrap();
    world.server.assert_clean().await;

    // It cannot be taken back while sessions rest on it.
    let status = revoke(&practitioner, &granted).await.unwrap_err();
    let now = get_series(&world, id).await;
    let ids = [2, 3, 4].map(|number| ("SESSION_TOO_SOON", session(&now, number).appointment_id.clone()));
    assert_eq!(broken(&status).iter().filter(|hit| ids.contains(hit)).count(), broken(&status).len());
    for number in [4, 3, 2] {
        world.cancel(session(&get_series(&world, id).await, number)).await.unwrap();
    }
    let revoked = revoke(&practitioner, &granted).await.unwrap();
    assert_eq!((revoked.revoked_by.as_str(), revoked.revoke_reason.as_str()), (&*world.practitioners[0], "no more"));
    let after = get_series(&world, id).await;
    assert_eq!((after.gap_minimum_days, after.gap_override_id.as_str()), (28, ""));
    assert!(session(&after, 1).override_ids.is_empty());
    assert_eq!((listed(&world, false).await, listed(&world, true).await), (vec![], vec![revoked.clone()]));
    // Again changes nothing, the history included.
    let before = revision(&world).await;
    assert_eq!(revoke(&practitioner, &granted).await.unwrap(), revoked);
    assert_eq!(revision(&world).await, before);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_gap_is_refused_with_every_session_in_its_way() {
    let (world, series, practitioner) = clinical().await;
    let status = grant(&world, &practitioner, gap(&series, 40)).await.unwrap_err();
    let expected = [2, 3].map(|number| ("SESSION_TOO_SOON", session(&series, number).appointment_id.clone()));
    assert_eq!(broken(&status), expected);
    assert_eq!((refusal(&status)[0].gap_days, refusal(&status)[0].required_gap_days), (35, 40));
    assert_eq!(get_series(&world, &series.series_id).await, series);

    // Of another one, the former is superseded.
    let first = grant(&world, &practitioner, gap(&series, 30)).await.unwrap();
    let second = grant(&world, &world.practitioner(1).await, gap(&series, 35)).await.unwrap();
    let all = listed(&world, true).await;
    let former = all.iter().find(|granted| granted.override_id == first.override_id).unwrap();
    assert_eq!((all.len(), former.revoke_reason.as_str()), (2, "superseded"));
    let in_force = listed(&world, false).await;
    assert_eq!((former.revoked_by.as_str(), in_force), (&*world.practitioners[1], vec![second.clone()]));
    assert_eq!(get_series(&world, &series.series_id).await.gap_minimum_days, 35);
    // Once that is taken back, the protocol's gap counts, not the former override's.
    let request = pb::RevokeOverrideRequest {
        request_id: request_id(),
        override_id: second.override_id.clone(),
        ..Default::default()
    };
    for _ in 0..2 {
        let answer = practitioner.patients().revoke_override(request.clone()).await.unwrap().into_inner();
        assert_eq!((answer.gap_days, answer.r#override.unwrap().revoked_by), (28, world.practitioners[0].clone()));
    }

    for (days, what) in [(13, "below the floor"), (366, "beyond a year"), (0, "none")] {
        let status = grant(&world, &practitioner, gap(&series, days)).await.unwrap_err();
        match days {
            13 => {
                assert_eq!((broken(&status)[0].0, refusal(&status)[0].required_gap_days), ("OVERRIDE_NOT_ALLOWED", 14));
            }
            _ => assert_eq!(fields(&status), ["gap.gap_days"], "{what}"),
        }
    }
    world.server.assert_clean().await;
}

/// A session takes place as it was booked, if clocks can be set.
async fn take_place(world: &World, series: &pb::Series, number: usize) -> Option<()> {
    let visit = session(series, number);
    let start = crate::desk::instant(visit.start_time.as_ref());
    world.server.set_clock(&start.to_rfc3339())?;
    world.fit_for(&series.protocol_id, pb::BodyArea::Abdomen).await;
    world.check_in(&visit.appointment_id).await.unwrap();
    crate::visits::complete(world, &visit.appointment_id, None).await.unwrap();
    Some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_happened_under_a_gap_stays_when_it_is_revoked() {
    let (world, series, practitioner) = clinical().await;
    let granted = grant(&world, &practitioner, gap(&series, 14)).await.unwrap();
    let moved = reschedule(&world, &series.series_id, 2, "2026-02-16T10:00:00").await.unwrap();
    let Some(()) = take_place(&world, &series, 1).await else { return };
    // Its time has come, and nobody knows yet whether the patient comes.
    let Some(()) = world.server.set_clock("2026-02-16T09:05:00Z") else { return };
    let second = session(&moved, 2).appointment_id.clone();
    let status = revoke(&practitioner, &granted).await.unwrap_err();
    assert_eq!(broken(&status), [("SESSION_TOO_SOON", second.clone())]);
    assert!(refusal(&status)[0].description.contains("no-show"), "{status}");
    world.fit_for(&series.protocol_id, pb::BodyArea::Abdomen).await;
    world.check_in(&second).await.unwrap();
    let status = revoke(&practitioner, &granted).await.unwrap_err();
    assert_eq!(broken(&status), [("SESSION_TOO_SOON", second.clone())], "it may still come to nothing");
    crate::visits::complete(&world, &second, None).await.unwrap();
    revoke(&practitioner, &granted).await.unwrap();
    let after = get_series(&world, &series.series_id).await;
    let under = |number| session(&after, number).override_ids.clone();
    assert_eq!((under(1), under(2), under(3)), (vec![granted.override_id], vec![], vec![]));
    let early = reschedule(&world, &moved.series_id, 3, "2026-03-15T10:00:00").await.unwrap_err();
    assert_eq!(broken(&early)[0].0, "SESSION_TOO_SOON", "27 days");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_history_once_it_is_completed_however_early() {
    let (world, series, practitioner) = clinical().await;
    world.cancel(session(&series, 3)).await.unwrap();
    let Some(()) = take_place(&world, &series, 1).await else { return };
    let now = get_series(&world, &series.series_id).await;
    // Screened again on the day.
    let Some(()) = world.server.set_clock("2026-03-09T07:00:00Z") else { return };
    world.fit_for(&series.protocol_id, pb::BodyArea::Abdomen).await;
    let Some(()) = world.server.set_clock("2026-03-09T07:30:00Z") else { return };
    // Its time is 09:00 UTC; 35 days lie before it.
    let status = grant(&world, &practitioner, gap(&series, 40)).await.unwrap_err();
    assert_eq!(broken(&status), [("SESSION_TOO_SOON", session(&now, 2).appointment_id.clone())]);
    world.check_in(&session(&now, 2).appointment_id).await.unwrap();
    let status = grant(&world, &practitioner, gap(&series, 40)).await.unwrap_err();
    assert_eq!(broken(&status), [("SESSION_TOO_SOON", session(&now, 2).appointment_id.clone())]);
    crate::visits::complete(&world, &session(&now, 2).appointment_id, None).await.unwrap();
    let granted = grant(&world, &practitioner, gap(&series, 40)).await.unwrap();
    let after = get_series(&world, &series.series_id).await;
    let under = |number| session(&after, number).override_ids.clone();
    assert_eq!((under(1), under(2)), (vec![], vec![granted.override_id.clone()]));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_qualified_practitioner_decides_otherwise() {
    let (world, series, practitioner) = clinical().await;
    let before = revision(&world).await;
    for role in [pb::Role::Manager, pb::Role::FrontDesk] {
        let desk = token(&world.server, &world.practice, role, "").await;
        let status = grant(&world, &desk, gap(&series, 14)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
    }
    let other = world.resource(pb::ResourceKind::Practitioner, "microneedling").await;
    let other = token(&world.server, &world.practice, pb::Role::Practitioner, &other).await;
    let purposes = [
        gap(&series, 14),
        aftercare(session(&series, 1), pb::Activity::Heat, 24),
        Purpose::Condition(pb::ConditionOverride {
            protocol_id: series.protocol_id.clone(),
            condition: "eczema_history".into(),
        }),
        Purpose::Combination(pb::CombinationOverride {
            treatment_id: world.needling.clone(),
            add_on_treatment_id: world.sauna.clone(),
        }),
    ];
    let tokens = revision(&world).await;
    for purpose in &purposes {
        let status = grant(&world, &other, purpose.clone()).await.unwrap_err();
        assert_eq!(broken(&status)[0].0, "NOT_QUALIFIED_TO_CLEAR");
        // Of somebody else's.
        let foreign =
            pb::GrantOverrideRequest { patient_id: world.patients[1].clone(), ..request(&world, purpose.clone()) };
        match (purpose, practitioner.patients().grant_override(foreign).await) {
            (Purpose::Gap(_), Err(status)) => assert_eq!(missing(&status), "gap.series_id"),
            (Purpose::Aftercare(_), Err(status)) => assert_eq!(missing(&status), "aftercare.appointment_id"),
            (_, answer) => drop(answer.unwrap()),
        }
    }
    // Protocols without clinical rules leave nothing to anybody.
    let plain = world.protocol.clone();
    let plain = Purpose::Condition(pb::ConditionOverride { protocol_id: plain, condition: "eczema_history".into() });
    assert_eq!(broken(&grant(&world, &practitioner, plain).await.unwrap_err())[0].0, "OVERRIDE_NOT_ALLOWED");
    assert!(before < tokens);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_and_combinations_are_recorded_and_taken_back() {
    let (world, series, practitioner) = clinical().await;
    let condition = |condition: &str| {
        Purpose::Condition(pb::ConditionOverride {
            protocol_id: series.protocol_id.clone(),
            condition: condition.into(),
        })
    };
    let status = grant(&world, &practitioner, condition("pacemaker")).await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "OVERRIDE_NOT_ALLOWED");
    let status = grant(&world, &practitioner, condition("unheard_of")).await.unwrap_err();
    assert_eq!(fields(&status), ["condition.condition"]);
    let eczema = grant(&world, &practitioner, condition("eczema_history")).await.unwrap();
    let combination = |treatment_id: &str, add_on: &str| {
        Purpose::Combination(pb::CombinationOverride {
            treatment_id: treatment_id.into(),
            add_on_treatment_id: add_on.into(),
        })
    };
    let status = grant(&world, &practitioner, combination(&world.sauna, &world.needling)).await.unwrap_err();
    assert_eq!(fields(&status), ["combination.treatment_id"], "no protocol says who decides about a sauna");
    let status = grant(&world, &practitioner, combination(&world.needling, &world.needling)).await.unwrap_err();
    assert_eq!(fields(&status), ["combination.add_on_treatment_id"]);
    let status = grant(&world, &practitioner, combination(&world.needling, &request_id())).await.unwrap_err();
    assert_eq!(missing(&status), "combination.add_on_treatment_id");
    let both = grant(&world, &practitioner, combination(&world.needling, &world.sauna)).await.unwrap();
    assert_eq!(ids(&listed(&world, false).await), ids(&[eczema.clone(), both.clone()]));

    // A repeated request is answered with what it made.
    let asked = request(&world, condition("cold_sore_history"));
    let first = practitioner.patients().grant_override(asked.clone()).await.unwrap().into_inner();
    let again = practitioner.patients().grant_override(asked).await.unwrap().into_inner();
    assert_eq!(first, again);
    // Tried only.
    let tried = pb::GrantOverrideRequest { validate_only: true, ..request(&world, condition("eczema_history")) };
    practitioner.patients().grant_override(tried).await.unwrap();
    assert_eq!(listed(&world, true).await.len(), 3);
    // Of each there is one in force.
    let status = grant(&world, &practitioner, combination(&world.needling, &world.sauna)).await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "OVERRIDE_NOT_ALLOWED");
    let former = eczema;
    let eczema = grant(&world, &practitioner, condition("eczema_history")).await.unwrap();
    let superseded = listed(&world, true).await.into_iter().find(|known| known.override_id == former.override_id);
    assert_eq!(superseded.unwrap().revoke_reason, "superseded");
    assert_eq!(listed(&world, false).await.len(), 3);
    for granted in [&eczema, &both] {
        revoke(&practitioner, granted).await.unwrap();
    }
    assert_eq!(listed(&world, false).await.len(), 1);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aftercare_window_is_shortened_for_one_visit() {
    let (world, series, practitioner) = clinical().await;
    let first = session(&series, 1);
    let status = world.book_sauna("2026-02-04T10:00:00").await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "ACTIVITY_FORBIDDEN");
    for (hours, longer) in [(120, true), (1000, true)] {
        let status = grant(&world, &practitioner, aftercare(first, pb::Activity::Heat, hours)).await.unwrap_err();
        assert_eq!((broken(&status)[0].0, longer), ("OVERRIDE_NOT_ALLOWED", true));
    }
    let status = grant(&world, &practitioner, aftercare(first, pb::Activity::Alcohol, 24)).await.unwrap_err();
    assert_eq!(fields(&status), ["aftercare.activity"]);

    let granted = grant(&world, &practitioner, aftercare(first, pb::Activity::Heat, 24)).await.unwrap();
    world.server.assert_clean().await;
    let sauna = world.book_sauna("2026-02-04T10:00:00").await.unwrap();
    let shown = get_appointment(&world, &first.appointment_id).await.override_ids;
    assert_eq!(shown, std::slice::from_ref(&granted.override_id));
    let status = revoke(&practitioner, &granted).await.unwrap_err();
    assert_eq!(broken(&status), [("ACTIVITY_FORBIDDEN", sauna.appointment_id.clone())]);
    let status = grant(&world, &practitioner, aftercare(first, pb::Activity::Heat, 100)).await.unwrap_err();
    assert_eq!(broken(&status), [("ACTIVITY_FORBIDDEN", sauna.appointment_id.clone())], "longer than it was");
    // Not at all afterwards.
    let none = grant(&world, &practitioner, aftercare(first, pb::Activity::Heat, 0)).await.unwrap();
    world.server.assert_clean().await;
    world.cancel(&sauna).await.unwrap();
    revoke(&practitioner, &none).await.unwrap();
    let status = world.book_sauna("2026-02-04T10:00:00").await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "ACTIVITY_FORBIDDEN");
    assert!(get_appointment(&world, &first.appointment_id).await.override_ids.is_empty());
    world.server.assert_clean().await;

    // What took place under it is history; the window counts again from then on.
    let again = grant(&world, &practitioner, aftercare(first, pb::Activity::Heat, 24)).await.unwrap();
    let sauna = world.book_sauna("2026-02-04T10:45:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-04T09:50:00Z") else { return };
    // Nobody knows yet whether the patient comes.
    let status = revoke(&practitioner, &again).await.unwrap_err();
    assert_eq!(broken(&status), [("ACTIVITY_FORBIDDEN", sauna.appointment_id.clone())]);
    world.check_in(&sauna.appointment_id).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-04T10:30:00Z") else { return };
    let status = revoke(&practitioner, &again).await.unwrap_err();
    assert_eq!(broken(&status), [("ACTIVITY_FORBIDDEN", sauna.appointment_id.clone())]);
    crate::visits::complete(&world, &sauna.appointment_id, None).await.unwrap();
    let before = check(&world, "2026-02-06T10:00:00").await;
    assert!(before.allowed);
    revoke(&practitioner, &again).await.unwrap();
    assert_eq!(get_appointment(&world, &first.appointment_id).await.override_ids, [again.override_id]);
    let after = check(&world, "2026-02-06T10:00:00").await;
    let [window] = after.windows.as_slice() else { panic!("{after:?}") };
    assert_eq!(
        (window.local_start.as_str(), window.local_end.as_str()),
        ("2026-02-04T11:15:00+01:00", "2026-02-07T11:00:00+01:00")
    );
    let status = world.book_sauna("2026-02-06T10:00:00").await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "ACTIVITY_FORBIDDEN");
    world.server.assert_clean().await;
    // Another one shortens what is left, and nothing that is over.
    let status = grant(&world, &practitioner, aftercare(first, pb::Activity::Heat, 48)).await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "OVERRIDE_NOT_ALLOWED");
    let less = grant(&world, &practitioner, aftercare(first, pb::Activity::Heat, 72)).await.unwrap();
    world.server.assert_clean().await;
    world.book_sauna("2026-02-05T12:00:00").await.map(drop).unwrap();
    let status = revoke(&practitioner, &less).await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "ACTIVITY_FORBIDDEN");
    world.server.assert_clean().await;
    // A moved visit has fresh windows.
    let second = session(&series, 2);
    let moving = grant(&world, &practitioner, aftercare(second, pb::Activity::Heat, 24)).await.unwrap();
    let moved = reschedule(&world, &series.series_id, 2, "2026-03-10T10:00:00").await.unwrap();
    assert!(session(&moved, 2).override_ids.is_empty());
    let status = grant(&world, &practitioner, aftercare(second, pb::Activity::Heat, 24)).await.unwrap_err();
    assert_eq!(broken(&status)[0].0, "APPOINTMENT_NOT_BOOKED");
    revoke(&practitioner, &moving).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_is_completed_later_keeps_what_took_place_out_of_its_window() {
    let (world, series, practitioner) = clinical().await;
    let first = session(&series, 1);
    let Some(()) = world.server.set_clock("2026-02-02T08:55:00Z") else { return };
    world.fit_for(&series.protocol_id, pb::BodyArea::Abdomen).await;
    world.check_in(&first.appointment_id).await.unwrap();
    let granted = grant(&world, &practitioner, aftercare(first, pb::Activity::Heat, 24)).await.unwrap();
    let sauna = world.book_sauna("2026-02-04T10:45:00").await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-04T09:50:00Z") else { return };
    world.check_in(&sauna.appointment_id).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-04T10:30:00Z") else { return };
    crate::visits::complete(&world, &sauna.appointment_id, None).await.unwrap();
    revoke(&practitioner, &granted).await.unwrap();
    world.server.assert_clean().await;
    // It began five minutes late, and all that counts from then with it.
    let done = crate::visits::complete(&world, &first.appointment_id, Some("2026-02-02T10:05:00")).await.unwrap();
    assert_eq!(done.moves, []);
    world.server.assert_clean().await;
    let answer = check(&world, "2026-02-06T10:00:00").await;
    let [window] = answer.windows.as_slice() else { panic!("{answer:?}") };
    assert_eq!(
        (window.local_start.as_str(), window.local_end.as_str()),
        ("2026-02-04T11:15:00+01:00", "2026-02-07T11:05:00+01:00")
    );
    // Behind the server's back: all of it, as if nothing had taken place, and nothing of it, as if it had not been revoked.
    for end in ["2026-02-07T10:05:00Z", "2026-02-03T10:05:00Z"] {
        let mut db = world.server.pool().acquire().await.unwrap();
        let drop = "ALTER TABLE activity_windows DROP CONSTRAINT IF EXISTS aftercare_windows_are_kept";
        sqlx::query(drop).execute(&mut *db).await.unwrap();
        sqlx::query(
            "UPDATE activity_windows SET during = tstzrange('2026-02-02T09:35:00Z', $1::text::timestamptz)
             WHERE activity = 'heat' AND role = 'restricts' AND override_id IS NOT NULL",
        )
        .bind(end)
        .execute(&mut *db)
        .await
        .unwrap();
        let report = world.server.verify().await;
        let broken: Vec<_> =
            report.checks.iter().filter(|check| check.violations != 0).map(|check| check.promise).collect();
        assert!(!broken.is_empty() && broken.iter().all(|promise| *promise == "P4"), "{report}");
    }
}
