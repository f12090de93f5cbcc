//! Nobody is needled without a practitioner's clearance.

use stipple::rpc::pb;
use stipple::rpc::pb::record_clearance_request::Decision;
use tonic::Code;

use crate::desk::{FOUR, needling_request, publish_next, said, session, session_request};
use crate::harness::clinical::clearance_rules;
use crate::harness::world::{at, request_id, token};
use crate::harness::{Clinic, refusal};

fn each(rule: &str) -> Vec<String> {
    (0..4).map(|place| format!("{rule} sessions[{place}]")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_refused_with_what_is_missing_and_the_proposal_offers_a_consultation() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let refused = world.book_series(&FOUR).await.unwrap_err();
    let told = said(world, &refused);
    assert_eq!(told.iter().filter(|line| line.starts_with("CLEARANCE_MISSING")).count(), 4, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("SCREENING_MISSING")).count(), 4, "{told:?}");
    let proposal = clinic.propose().await;
    let missing: Vec<_> = proposal.missing.iter().map(|missing| missing.reason()).collect();
    assert_eq!(missing, [pb::Reason::ClearanceMissing, pb::Reason::ScreeningMissing]);
    assert_eq!(proposal.consultation_treatment_id, clinic.consultation);
    assert_eq!(proposal.consultation_slots.len(), 10);
    // Nobody is treated on the day of the consultation.
    let consulted = &proposal.consultation_slots[0].local_start[..10];
    assert!(!proposal.plans.is_empty());
    for plan in &proposal.plans {
        assert!(&plan.sessions[0].local_start[..10] > consulted, "{plan:?}");
    }
    let slot = &proposal.consultation_slots[0];
    assert_eq!(slot.practitioner_ids, std::slice::from_ref(&clinic.clearing));
    let mut request = world.visit_request(&clinic.consultation, "2026-01-05T09:00:00");
    request.start_time = slot.start_time;
    world.book(request).await.unwrap();
    // Wishes are refused like starts.
    let wishes = pb::BookSeriesRequest {
        sessions: vec![],
        wishes: Some(pb::SeriesWishes::default()),
        ..world.series_request(&FOUR)
    };
    let refused = world.manager.series().book_series(wishes).await.unwrap_err();
    assert!(refusal(&refused).iter().any(|violation| violation.reason() == pb::Reason::ClearanceMissing));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleared_and_screened_patient_is_booked_under_the_clearance() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let clearance = clinic.fit().await;
    assert_eq!((clearance.session_count, clearance.outcome()), (6, pb::ClearanceOutcome::Cleared));
    assert_eq!((clearance.valid_from.as_str(), clearance.valid_until.as_str()), ("2026-01-05", "2027-01-05"));
    assert_eq!(clearance.decided_by_practitioner_id, clinic.clearing);
    let series = world.book_series(&FOUR).await.unwrap();
    for number in 1..=4 {
        assert_eq!(session(&series, number).clearance_id, clearance.clearance_id);
    }
    assert!(clinic.propose().await.missing.is_empty());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_needs_clearing_is_cleared_by_name() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.screen(&patient, &[("rosacea_history", ""), ("cold_sore_history", "")]).await;
    let consultation = clinic.consult(&patient).await;
    // Who clears without a word about the conditions is told that they still stand.
    let request = clinic.clearance_request(&consultation);
    let signed = clinic.practitioner.patients().record_clearance(request).await.unwrap().into_inner();
    let open: Vec<_> = signed.findings.iter().map(|finding| (finding.condition.as_str(), finding.lifted)).collect();
    assert_eq!(open, [("rosacea_history", false), ("cold_sore_history", false)]);
    let refused = world.book_series(&FOUR).await.unwrap_err();
    let told = said(world, &refused);
    assert_eq!(told.len(), 8);
    assert!(told[0].starts_with("CONDITION_NEEDS_CLEARANCE") && told[1].starts_with("CONDITION_NEEDS_PREMEDICATION"));
    let cleared = pb::ClearedPatient {
        cleared_conditions: ["rosacea_history", "cold_sore_history"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let decision = Some(Decision::Cleared(cleared));
    let request = pb::RecordClearanceRequest { decision, ..clinic.clearance_request(&consultation) };
    let signed = clinic.practitioner.patients().record_clearance(request.clone()).await.unwrap().into_inner();
    let clearance = signed.clearance.clone().unwrap();
    assert!(signed.findings.iter().all(|finding| finding.clearance_id == clearance.clearance_id));
    assert_eq!(clinic.practitioner.patients().record_clearance(request).await.unwrap().into_inner(), signed);
    let findings = clinic.propose().await.findings;
    let lifted: Vec<_> = findings.iter().filter(|finding| finding.clearance_id == clearance.clearance_id).collect();
    assert_eq!(lifted.len(), 2);
    world.book_series(&FOUR).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_may_not_be_cleared_is_not() {
    let clinic = Clinic::new().await;
    let consultation = clinic.consult(&clinic.world.patients[0]).await;
    let cleared = |condition: &str| {
        let cleared = pb::ClearedPatient { cleared_conditions: vec![condition.into()], ..Default::default() };
        pb::RecordClearanceRequest {
            decision: Some(Decision::Cleared(cleared)),
            ..clinic.clearance_request(&consultation)
        }
    };
    let refused = clinic.sign(cleared("metal_implant")).await.unwrap_err();
    assert_eq!(said(&clinic.world, &refused), ["OVERRIDE_NOT_ALLOWED"]);
    let unknown = clinic.sign(cleared("left_handed")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    assert!(unknown.message().contains("cleared.cleared_conditions[0]"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clearance_says_which_sessions_it_does_not_cover() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.screen(&patient, &[]).await;
    let consultation = clinic.consult(&patient).await;
    let cleared = pb::ClearedPatient { session_count: 3, valid_until: "2026-03-01".into(), ..Default::default() };
    let decision = Some(Decision::Cleared(cleared));
    clinic.sign(pb::RecordClearanceRequest { decision, ..clinic.clearance_request(&consultation) }).await.unwrap();
    let refused = world.book_series(&FOUR).await.unwrap_err();
    let told = [
        "CLEARANCE_EXCEEDED sessions[1]",
        "CLEARANCE_EXCEEDED sessions[2]",
        "CLEARANCE_EXCEEDED sessions[3]",
        "CLEARANCE_EXCEEDED sessions[3]",
    ];
    assert_eq!(said(world, &refused), told);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_cleared_for_too_little_or_no_more_is_offered_a_consultation() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.screen(&patient, &[]).await;
    let consultation = clinic.consult(&patient).await;
    let missing = |answer: &pb::ProposeSeriesResponse| -> Vec<pb::Reason> {
        answer.missing.iter().map(|missing| missing.reason()).collect()
    };
    let sign = async |session_count, valid_until: &str| {
        let cleared = pb::ClearedPatient { session_count, valid_until: valid_until.into(), ..Default::default() };
        let decision = Some(Decision::Cleared(cleared));
        clinic.sign(pb::RecordClearanceRequest { decision, ..clinic.clearance_request(&consultation) }).await
    };
    sign(3, "").await.unwrap();
    let few = clinic.propose().await;
    assert_eq!(missing(&few), [pb::Reason::ClearanceExceeded]);
    assert!(!few.consultation_slots.is_empty() && !few.plans.is_empty());
    // Enough of them, but not for long enough.
    sign(4, "2026-03-20").await.unwrap();
    let short = clinic.propose().await;
    assert_eq!((missing(&short), short.plans.len()), (vec![], 0));
    let obstacles: Vec<_> = short.no_plan.unwrap().obstacles.iter().map(|obstacle| obstacle.reason()).collect();
    assert_eq!(obstacles.last(), Some(&pb::Reason::ClearanceExceeded), "{obstacles:?}");
    assert!(!short.consultation_slots.is_empty());
    sign(4, "2026-01-31").await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-02T08:00:00Z") else { return };
    let late = clinic.propose().await;
    assert_eq!(missing(&late), [pb::Reason::ClearanceExceeded]);
    assert!(!late.consultation_slots.is_empty() && !late.plans.is_empty());
    // The consultation of last year carries no decision any more.
    let Some(()) = world.server.set_clock("2027-01-20T08:00:00Z") else { return };
    assert_eq!(said(world, &sign(4, "").await.unwrap_err())[0].split(' ').next(), Some("NOT_A_CONSULTATION"));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_decisions_the_latest_counts() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    let first = clinic.fit().await;
    let decline = pb::RecordClearanceRequest {
        decision: Some(Decision::Declined(true)),
        consultation_appointment_id: first.consultation_appointment_id.clone(),
        ..clinic.clearance_request(&pb::Appointment::default())
    };
    let declined = clinic.sign(decline).await.unwrap();
    assert_eq!((declined.outcome(), declined.valid_from.as_str()), (pb::ClearanceOutcome::Declined, ""));
    let refused = world.book_series(&FOUR).await.unwrap_err();
    assert_eq!(said(world, &refused), each("CLEARANCE_MISSING"));
    // Revoking the decline does not bring the earlier clearance back.
    clinic.revoke(&declined).await.unwrap();
    assert_eq!(said(world, &world.book_series(&FOUR).await.unwrap_err()), each("CLEARANCE_MISSING"));
    let list = pb::ListClearancesRequest { patient_id: patient, ..Default::default() };
    let list = world.manager.patients().list_clearances(list).await.unwrap().into_inner().clearances;
    let ids: Vec<_> = list.iter().map(|clearance| clearance.clearance_id.as_str()).collect();
    assert_eq!(ids, [declined.clearance_id.as_str(), first.clearance_id.as_str()]);
    assert!(list[0].revoked_at.is_some() && list[1].revoked_at.is_none());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_revoked_clearance_nothing_is_booked_or_moved_and_what_is_booked_is_at_risk() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let clearance = clinic.fit().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let answer = clinic.revoke(&clearance).await.unwrap();
    assert_eq!(answer.series_at_risk.iter().map(|s| &s.series_id).collect::<Vec<_>>(), [&series.series_id]);
    assert_eq!(answer.clearance.unwrap().revoked_by_practitioner_id, clinic.clearing);
    let move_later = pb::RescheduleSessionRequest {
        request_id: request_id(),
        etag: crate::desk::get_series(world, &series.series_id).await.etag,
        series_id: series.series_id.clone(),
        session_number: 4,
        start_time: crate::harness::world::timestamp(world.local("2026-05-01T10:00:00")),
        ..Default::default()
    };
    let refused = world.manager.series().reschedule_session(move_later).await.unwrap_err();
    assert_eq!(said(world, &refused), ["CLEARANCE_MISSING"]);
    // Revoking again changes nothing.
    let before = crate::desk::revision(world).await;
    clinic.revoke(&clearance).await.unwrap();
    assert_eq!(crate::desk::revision(world).await, before);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_practitioner_of_a_consultation_that_has_begun_signs() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let consultation = clinic.consult(&world.patients[0]).await;
    let request = || clinic.clearance_request(&consultation);
    let status = world.manager.patients().record_clearance(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    // A practitioner who may not clear, and one who may but did not hold the consultation.
    let other = token(&world.server, &world.practice, pb::Role::Practitioner, &world.practitioners[0]).await;
    let refused = other.patients().record_clearance(request()).await.unwrap_err();
    assert_eq!(refusal(&refused)[0].reason(), pb::Reason::NotQualifiedToClear);
    let second = world.resource(pb::ResourceKind::Practitioner, "clearance").await;
    let second = token(&world.server, &world.practice, pb::Role::Practitioner, &second).await;
    let refused = second.patients().record_clearance(request()).await.unwrap_err();
    assert_eq!(refusal(&refused)[0].reason(), pb::Reason::NotAConsultation);
    // One that is still to come, and a visit that is none.
    let mut later = world.visit_request(&clinic.consultation, "2026-01-06T09:00:00");
    later.request_id = request_id();
    let later = world.book(later).await.unwrap();
    let sauna = world.book_sauna("2026-01-07T09:00:00").await.unwrap();
    for visit in [later, sauna] {
        let refused = clinic.sign(clinic.clearance_request(&visit)).await.unwrap_err();
        assert_eq!(refusal(&refused)[0].reason(), pb::Reason::NotAConsultation);
    }
    clinic.sign(request()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cooling_off_and_patch_test_put_the_first_session_off() {
    let clinic = Clinic::with(|content| {
        let rules = content.clearance.as_mut().unwrap();
        *rules = pb::ClearanceRules {
            cooling_off_hours: 48,
            patch_test_hours: 72,
            ..clearance_rules(&rules.consultation_treatment_id)
        };
    })
    .await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.screen(&patient, &[]).await;
    let consultation = clinic.consult(&patient).await;
    let without = clinic.sign(clinic.clearance_request(&consultation)).await.unwrap_err();
    assert!(without.message().contains("cleared.patch_tested_at is required"), "{without}");
    let tested = |at_text: &str| pb::RecordClearanceRequest {
        decision: Some(Decision::Cleared(pb::ClearedPatient { patch_tested_at: at(at_text), ..Default::default() })),
        ..clinic.clearance_request(&consultation)
    };
    let future = clinic.sign(tested("2026-01-09T08:00:00Z")).await.unwrap_err();
    assert!(future.message().contains("must not be in the future"), "{future}");
    // The patch test ends on the 7th at 15:30 in Berlin, the cooling-off time at 9:00.
    clinic.sign(tested("2026-01-04T14:30:00Z")).await.unwrap();
    let soon = ["2026-01-07T10:00:00", "2026-02-09T10:00:00", "2026-03-09T10:00:00"];
    let refused = world.book_series(&soon).await.unwrap_err();
    assert_eq!(said(world, &refused), ["COOLING_OFF sessions[0] from 2026-01-07T15:30"]);
    world.book_series(&["2026-01-07T15:30:00", soon[1], soon[2]]).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn needling_outside_a_series_asks_for_the_same() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    let alone = || needling_request(world, &patient, pb::BodyArea::Abdomen, "2026-02-02T10:00:00");
    let refused = world.book(alone()).await.unwrap_err();
    let told = said(world, &refused);
    assert_eq!(told, ["CLEARANCE_MISSING", "SCREENING_MISSING"]);
    let slots = pb::FindSlotsRequest {
        visit: Some(pb::find_slots_request::Visit::Treatment(pb::TreatmentVisit {
            patient_id: patient.clone(),
            treatment_id: world.needling.clone(),
            body_area: pb::BodyArea::Abdomen.into(),
        })),
        clinic_ids: vec![world.clinic.clone()],
        start_date: "2026-02-02".into(),
        end_date: "2026-02-03".into(),
        ..Default::default()
    };
    let found = world.manager.appointments().find_slots(slots.clone()).await.unwrap().into_inner();
    assert!(found.slots.is_empty());
    let missing: Vec<_> = found.missing.iter().map(|missing| missing.reason()).collect();
    assert_eq!(missing, [pb::Reason::ClearanceMissing, pb::Reason::ScreeningMissing]);
    clinic.fit().await;
    let found = world.manager.appointments().find_slots(slots).await.unwrap().into_inner();
    assert!(!found.slots.is_empty() && found.missing.is_empty());
    world.book(alone()).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn needling_outside_a_series_is_checked_in_if_one_protocol_is_content_that_day() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    let cleared = clinic.fit().await;
    let request = pb::GetProtocolRequest { protocol_id: world.protocol.clone(), ..Default::default() };
    let published = world.manager.catalog().get_protocol(request).await.unwrap().into_inner().protocol.unwrap();
    let request =
        pb::PublishProtocolRequest { request_id: request_id(), content: published.content, ..Default::default() };
    let second = world.manager.catalog().publish_protocol(request).await.unwrap().into_inner().protocol.unwrap();
    let mut other = clinic.clone();
    other.world.protocol = second.protocol_id;
    other.screen(&patient, &[]).await;
    let consultation =
        pb::Appointment { appointment_id: cleared.consultation_appointment_id.clone(), ..Default::default() };
    let by_second = other.sign(other.clearance_request(&consultation)).await.unwrap();
    let alone = needling_request(world, &patient, pb::BodyArea::Abdomen, "2026-02-02T10:00:00");
    let booked = world.book(alone).await.unwrap().appointment_id;
    world.server.assert_clean().await;
    // It was booked under the first protocol, and on a day that only the second one's clearance covers, under that.
    let later = needling_request(world, &patient, pb::BodyArea::Abdomen, "2026-03-16T10:00:00");
    let short = pb::ClearedPatient { valid_until: "2026-03-15".into(), ..Default::default() };
    let decision = Some(Decision::Cleared(short));
    clinic.sign(pb::RecordClearanceRequest { decision, ..clinic.clearance_request(&consultation) }).await.unwrap();
    assert_eq!(world.book(later).await.unwrap().clearance_id, by_second.clearance_id);
    world.server.assert_clean().await;
    let Some(()) = world.server.set_clock("2026-02-02T08:50:00Z") else { return };
    // The screenings are of another day.
    assert_eq!(said(world, &world.check_in(&booked).await.unwrap_err()), ["SCREENING_MISSING"]);
    clinic.screen(&patient, &[("active_acne", "")]).await;
    // By the protocol that has nothing to settle, but for a screening of today.
    assert_eq!(said(world, &world.check_in(&booked).await.unwrap_err()), ["SCREENING_MISSING"]);
    other.screen(&patient, &[]).await;
    world.check_in(&booked).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_version_asks_no_more_is_still_cleared_for_series_of_the_old_one() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.screen(&patient, &[("rosacea_history", ""), ("pregnancy", "")]).await;
    let both = ["rosacea_history", "pregnancy"];
    let first = clinic.clear(&patient, &both).await;
    let series = world.book_series(&FOUR).await.unwrap();
    world.cancel(session(&series, 4)).await.unwrap();
    let again = async || world.book(session_request(world, &series, 4, FOUR[3])).await;
    let consultation =
        pb::Appointment { appointment_id: first.consultation_appointment_id.clone(), ..Default::default() };
    let clear = async |conditions: &[&str]| {
        let cleared_conditions = conditions.iter().map(|condition| (*condition).to_owned()).collect();
        let cleared = pb::ClearedPatient { cleared_conditions, ..Default::default() };
        let decision = Some(Decision::Cleared(cleared));
        let request = pb::RecordClearanceRequest { decision, ..clinic.clearance_request(&consultation) };
        clinic.practitioner.patients().record_clearance(request).await.map(tonic::Response::into_inner)
    };
    // Version 2 drops one condition, and leaves another to nobody.
    publish_next(world, |content| {
        content.screening_rules.retain(|rule| rule.condition != "rosacea_history");
        let rule = content.screening_rules.iter_mut().find(|rule| rule.condition == "pregnancy").unwrap();
        rule.may_be_cleared = false;
    })
    .await;
    assert_eq!(said(world, &clear(&both).await.unwrap_err()), ["OVERRIDE_NOT_ALLOWED"]);
    clear(&["rosacea_history"]).await.unwrap();
    assert_eq!(said(world, &again().await.unwrap_err()), ["CONDITION_BLOCKS"]);
    // Version 3 leaves it to practitioners again; version 4 asks for no clearance at all.
    publish_next(world, |content| {
        let rule = content.screening_rules.iter_mut().find(|rule| rule.condition == "pregnancy").unwrap();
        rule.may_be_cleared = true;
    })
    .await;
    publish_next(world, |content| {
        content.screening_rules.clear();
        content.clearance = None;
    })
    .await;
    let signed = clear(&["pregnancy"]).await.unwrap();
    // What only the old version asks is told too.
    let told: Vec<_> = signed.findings.iter().map(|finding| (finding.condition.as_str(), finding.lifted)).collect();
    assert_eq!(told, [("pregnancy", true), ("rosacea_history", false)]);
    let renewed = signed.clearance.unwrap();
    assert_eq!(renewed.protocol_version, 3);
    assert_eq!(said(world, &again().await.unwrap_err()), ["CONDITION_NEEDS_CLEARANCE"]);
    let lift = pb::GrantOverrideRequest {
        request_id: request_id(),
        patient_id: patient,
        purpose: Some(pb::grant_override_request::Purpose::Condition(pb::ConditionOverride {
            protocol_id: world.protocol.clone(),
            condition: "rosacea_history".into(),
        })),
        override_reason: "calm for years".into(),
        ..Default::default()
    };
    clinic.practitioner.patients().grant_override(lift).await.unwrap();
    again().await.unwrap();
    clinic.revoke(&renewed).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clearance_tells_what_stands_by_the_version_of_each_running_series() {
    let months = |content: &mut pb::ProtocolContent, months| {
        let rule = content.screening_rules.iter_mut().find(|rule| rule.condition == "isotretinoin").unwrap();
        rule.deferral = Some(pb::screening_rule::Deferral::DeferMonths(months));
    };
    let clinic = Clinic::with(|content| months(content, 12)).await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.screen(&patient, &[("isotretinoin", "2025-06-01")]).await;
    let first = clinic.clear(&patient, &["isotretinoin"]).await;
    world.book_series(&FOUR).await.unwrap();
    // Seven months ago: over by the new version, not by that of the series.
    publish_next(world, |content| months(content, 6)).await;
    let consultation =
        pb::Appointment { appointment_id: first.consultation_appointment_id.clone(), ..Default::default() };
    let request = clinic.clearance_request(&consultation);
    let signed = clinic.practitioner.patients().record_clearance(request).await.unwrap().into_inner();
    let told =
        signed.findings.iter().map(|finding| (finding.condition.as_str(), finding.until.as_str(), finding.lifted));
    assert_eq!(told.collect::<Vec<_>>(), [("isotretinoin", "2026-06-01", false)]);
}
