//! What is booked and may not take place as things stand: whoever changes what is known of a patient is told of it.

use stipple::rpc::pb;
use stipple::rpc::pb::grant_override_request::Purpose;
use stipple::rpc::pb::record_clearance_request::Decision;

use crate::desk::{FOUR, needling_request, said, session, treatment_request};
use crate::harness::clinical::pus;
use crate::harness::world::{at, evidence, needling, request_id};
use crate::harness::{Clinic, refusal};
use crate::no_shows::{mark, undo};
use crate::visits::complete;

/// A practice in which pus is a reaction that holds.
async fn reacting() -> Clinic {
    Clinic::with(|content| content.reaction_rules = pus()).await
}

fn ids(visits: &[pb::Appointment]) -> Vec<&str> {
    visits.iter().map(|visit| visit.appointment_id.as_str()).collect()
}

fn numbers(series: &pb::Series, of: &[usize]) -> Vec<String> {
    of.iter().map(|number| session(series, *number).appointment_id.clone()).collect()
}

/// Screens the first patient; the whole answer.
async fn screen(clinic: &Clinic, present: &[(&str, &str)]) -> pb::RecordScreeningResponse {
    let request = clinic.screening_request(&clinic.world.patients[0], present);
    clinic.world.manager.patients().record_screening(request).await.unwrap().into_inner()
}

/// Signs a decision about the first patient; the whole answer.
async fn decide(clinic: &Clinic, before: &pb::Clearance, decision: Decision) -> pb::RecordClearanceResponse {
    let request = pb::RecordClearanceRequest {
        decision: Some(decision),
        consultation_appointment_id: before.consultation_appointment_id.clone(),
        ..clinic.clearance_request(&pb::Appointment::default())
    };
    clinic.practitioner.patients().record_clearance(request).await.unwrap().into_inner()
}

fn cleared(conditions: &[&str]) -> pb::ClearedPatient {
    let cleared_conditions = conditions.iter().map(|condition| (*condition).to_owned()).collect();
    pb::ClearedPatient { cleared_conditions, ..Default::default() }
}

async fn lift(clinic: &Clinic, condition: &str) -> pb::Override {
    let request = pb::GrantOverrideRequest {
        request_id: request_id(),
        patient_id: clinic.world.patients[0].clone(),
        purpose: Some(Purpose::Condition(pb::ConditionOverride {
            protocol_id: clinic.world.protocol.clone(),
            condition: condition.into(),
        })),
        override_reason: "looked at".into(),
        ..Default::default()
    };
    clinic.practitioner.patients().grant_override(request).await.unwrap().into_inner().r#override.unwrap()
}

async fn take_back(clinic: &Clinic, granted: &pb::Override) -> pb::RevokeOverrideResponse {
    let request = pb::RevokeOverrideRequest {
        request_id: request_id(),
        override_id: granted.override_id.clone(),
        ..Default::default()
    };
    clinic.practitioner.patients().revoke_override(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_decisions_list_what_is_booked_and_may_not_take_place() {
    let clinic = Clinic::new().await;
    let fit = clinic.fit().await;
    let series = clinic.world.book_series(&FOUR).await.unwrap();
    // Until 2 March, when the second session is.
    let screened = screen(&clinic, &[("isotretinoin", "2025-09-02")]).await;
    assert_eq!(ids(&screened.at_risk), numbers(&series, &[1]));
    let granted = lift(&clinic, "isotretinoin").await;
    let taken_back = take_back(&clinic, &granted).await;
    assert_eq!((ids(&taken_back.at_risk), taken_back.gap_days), (ids(&screened.at_risk), 0));
    assert_eq!(ids(&screen(&clinic, &[]).await.at_risk), Vec::<&str>::new());
    // A narrower decision, one that declines, and one that takes their place.
    let few = pb::ClearedPatient { session_count: 3, valid_until: "2026-03-01".into(), ..cleared(&[]) };
    let few = decide(&clinic, &fit, Decision::Cleared(few)).await;
    assert_eq!(ids(&few.at_risk), numbers(&series, &[2, 3, 4]));
    let declined = decide(&clinic, &fit, Decision::Declined(true)).await;
    assert_eq!(ids(&declined.at_risk), numbers(&series, &[1, 2, 3, 4]));
    let missing = declined.missing.iter().map(|missing| missing.reason()).collect::<Vec<_>>();
    assert_eq!(missing, [pb::Reason::ClearanceMissing]);
    let all = decide(&clinic, &fit, Decision::Cleared(cleared(&[]))).await;
    assert_eq!((all.at_risk.len(), all.missing.len()), (0, 0));
    // What another decision has taken the place of is missed by nobody.
    let revoked = clinic.revoke(&few.clearance.unwrap()).await.unwrap();
    assert_eq!((revoked.series_at_risk.len(), revoked.at_risk.len()), (0, 0));
    let revoked = clinic.revoke(&all.clearance.unwrap()).await.unwrap();
    assert_eq!((revoked.series_at_risk.len(), revoked.at_risk.len()), (1, 4));
    clinic.world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clearance_of_somebody_who_was_never_screened_says_that_this_is_missing() {
    let clinic = Clinic::new().await;
    let consultation = clinic.consult(&clinic.world.patients[0]).await;
    let request = clinic.clearance_request(&consultation);
    let answer = clinic.practitioner.patients().record_clearance(request).await.unwrap().into_inner();
    let missing: Vec<_> = answer.missing.iter().map(|missing| missing.reason()).collect();
    assert_eq!(missing, [pb::Reason::ScreeningMissing]);
    clinic.world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_lifts_what_was_known_and_not_what_comes_back_or_happens_anew() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let book = async || world.book_series(&FOUR).await.map_err(|status| said(world, &status)[0].clone());
    let cancel = async |series: pb::Series| {
        for session in series.sessions {
            world.cancel(&session.appointment.unwrap()).await.unwrap();
        }
    };
    // By a clearance: what comes back is something else.
    screen(&clinic, &[("rosacea_history", "")]).await;
    let fit = clinic.clear(&world.patients[0], &["rosacea_history"]).await;
    let series = book().await.unwrap();
    assert_eq!(
        ids(&screen(&clinic, &[("rosacea_history", "")]).await.at_risk),
        Vec::<&str>::new(),
        "the same as before"
    );
    screen(&clinic, &[]).await;
    let back = screen(&clinic, &[("rosacea_history", "")]).await;
    assert_eq!(ids(&back.at_risk), numbers(&series, &[1, 2, 3, 4]));
    assert!(!back.screening.unwrap().findings[0].lifted);
    world.server.assert_clean().await;
    cancel(series).await;
    assert_eq!(book().await.unwrap_err(), "CONDITION_NEEDS_CLEARANCE sessions[0]");
    decide(&clinic, &fit, Decision::Cleared(cleared(&["rosacea_history"]))).await;
    cancel(book().await.unwrap()).await;
    // By an override: a later day is something else, an earlier one is not.
    screen(&clinic, &[("isotretinoin", "2025-12-01")]).await;
    lift(&clinic, "isotretinoin").await;
    screen(&clinic, &[("isotretinoin", "2025-11-20")]).await;
    cancel(book().await.unwrap()).await;
    screen(&clinic, &[("isotretinoin", "2026-01-02")]).await;
    assert!(book().await.unwrap_err().starts_with("CONDITION_DEFERS sessions[0]"));
    lift(&clinic, "isotretinoin").await;
    let series = book().await.unwrap();
    world.server.assert_clean().await;
    // As if the last override had been granted before the patient said so.
    let damage =
        "UPDATE overrides SET granted_revision = (SELECT min(revision) FROM changes) WHERE revoked_revision IS NULL";
    sqlx::query(damage).execute(world.server.pool()).await.unwrap();
    let report = world.server.verify().await;
    let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
    let lifted = "no session is booked or begun against a condition that nobody lifted";
    let expected = series.sessions.len() as i64;
    assert!(broken.iter().any(|check| check.what == lifted && check.violations == expected), "{report}");
    assert!(broken.iter().all(|check| ["P5", "P7"].contains(&check.promise)), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_there_when_a_reaction_is_reported_is_at_risk_and_not_treated() {
    let clinic = reacting().await;
    let world = &clinic.world;
    clinic.fit().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let come = async |number: usize| {
        screen(&clinic, &[]).await;
        world.check_in(&session(&series, number).appointment_id).await.unwrap()
    };
    let Some(()) = world.server.set_clock("2026-02-02T08:55:00Z") else { return };
    come(1).await;
    complete(world, &session(&series, 1).appointment_id, None).await.unwrap();
    let Some(()) = world.server.set_clock("2026-03-02T08:55:00Z") else { return };
    let second = come(2).await.appointment_id;
    let Some(()) = world.server.set_clock("2026-03-02T09:02:00Z") else { return };
    let report = pb::ReportReactionRequest {
        request_id: request_id(),
        appointment_id: session(&series, 1).appointment_id.clone(),
        reaction_kind: "pus".into(),
        onset_time: at("2026-02-04T12:00:00Z"),
        ..Default::default()
    };
    let reported = world.manager.patients().report_reaction(report).await.unwrap().into_inner();
    assert_eq!(ids(&reported.at_risk), numbers(&series, &[2, 3, 4]));
    // Nobody has looked since; what began before is told all the same.
    let Some(()) = world.server.set_clock("2026-03-02T09:30:00Z") else { return };
    let status = complete(world, &second, Some("2026-03-02T10:05:00")).await.unwrap_err();
    assert_eq!(refusal(&status)[0].reason(), pb::Reason::SeriesOnHold);
    let before = world.server.verify().await;
    assert!(before.is_clean(), "{before}");
    // Nor may it begin once that is cleared, before the day that was set.
    let clear = pb::ClearReactionRequest {
        request_id: request_id(),
        reaction_id: reported.reaction.unwrap().reaction_id,
        earliest_date: "2026-03-16".into(),
        ..Default::default()
    };
    let cleared = clinic.practitioner.patients().clear_reaction(clear).await.unwrap().into_inner();
    assert_eq!(cleared.moves, []);
    let status = complete(world, &second, Some("2026-03-02T10:05:00")).await.unwrap_err();
    assert_eq!(refusal(&status)[0].reason(), pb::Reason::TooSoonAfterReaction);
    assert_eq!(undo(world, &second).await.unwrap().appointment.unwrap().state(), pb::AppointmentState::Booked);
    assert_eq!(refusal(&world.check_in(&second).await.unwrap_err())[0].reason(), pb::Reason::TooSoonAfterReaction);
    mark(world, &second).await.unwrap();
    world.server.assert_clean().await;
    let damage = "UPDATE reactions SET reported_at = '2026-02-02T08:00:00Z'";
    sqlx::query(damage).execute(world.server.pool()).await.unwrap();
    let report = world.server.verify().await;
    let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
    assert!(matches!(broken.as_slice(), [check] if check.promise == "P5" && check.violations == 1), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_began_before_a_reaction_was_reported_is_completed() {
    let clinic = reacting().await;
    let world = &clinic.world;
    clinic.fit().await;
    let series = world.book_series(&FOUR).await.unwrap();
    let first = session(&series, 1).appointment_id.clone();
    let Some(()) = world.server.set_clock("2026-02-02T08:55:00Z") else { return };
    screen(&clinic, &[]).await;
    world.check_in(&first).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-02T10:00:00Z") else { return };
    let report = pb::ReportReactionRequest {
        request_id: request_id(),
        appointment_id: first.clone(),
        reaction_kind: "pus".into(),
        onset_time: at("2026-02-02T09:50:00Z"),
        ..Default::default()
    };
    world.manager.patients().report_reaction(report).await.unwrap();
    complete(world, &first, None).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_added_asks_for_the_same_when_it_is_booked_alone() {
    let mut clinic = Clinic::new().await;
    let stamping = pb::TreatmentContent { name: "Stamping".into(), ..needling() };
    let stamping = clinic.world.publish_treatment(stamping).await;
    // No protocol speaks of it yet.
    let patient = clinic.world.patients[0].clone();
    let alone =
        |clinic: &Clinic, start| treatment_request(&clinic.world, &patient, &stamping, pb::BodyArea::Abdomen, start);
    clinic.world.book(alone(&clinic, "2026-02-02T10:00:00")).await.unwrap();
    let allowed = pb::Combination { add_on_treatment_id: stamping.clone(), evidence: evidence() };
    let content = pb::TreatmentContent { combinations: vec![allowed], ..needling() };
    clinic.world.needling = clinic.world.publish_treatment(content).await;
    let get = pb::GetProtocolRequest { protocol_id: clinic.world.protocol.clone(), ..Default::default() };
    let known = clinic.world.manager.catalog().get_protocol(get).await.unwrap().into_inner().protocol.unwrap();
    let content = pb::ProtocolContent { treatment_id: clinic.world.needling.clone(), ..known.content.unwrap() };
    let request = pb::PublishProtocolRequest { request_id: request_id(), content: Some(content), ..Default::default() };
    let published = clinic.world.manager.catalog().publish_protocol(request).await.unwrap().into_inner();
    clinic.world.protocol = published.protocol.unwrap().protocol_id;
    let world = &clinic.world;
    let told = said(world, &world.book(alone(&clinic, "2026-03-16T10:00:00")).await.unwrap_err());
    assert_eq!(told, ["CLEARANCE_MISSING", "SCREENING_MISSING"]);
    world.server.assert_clean().await;
    clinic.fit().await;
    world.book(alone(&clinic, "2026-03-16T10:00:00")).await.unwrap();
    world
        .book(needling_request(world, &world.patients[0], pb::BodyArea::Thighs, "2026-04-20T10:00:00"))
        .await
        .unwrap_err();
    world.server.assert_clean().await;
    sqlx::query("UPDATE clearances SET valid_until = '2026-03-15'").execute(world.server.pool()).await.unwrap();
    let report = world.server.verify().await;
    let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
    assert!(matches!(broken.as_slice(), [check] if check.promise == "P5" && check.violations == 1), "{report}");
}
