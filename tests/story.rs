//! One patient, from the first question to the result.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use stipple::rpc::pb;
use stipple::rpc::pb::record_clearance_request::Decision;
use tonic::Status;

use crate::assessments::assessment;
use crate::desk::{FOUR, get_series, instant, said, session, starts};
use crate::harness::wire::reason;
use crate::harness::world::{at, evidence, request_id, timestamp};
use crate::harness::{Clinic, World, refusal};
use crate::visits::complete;

const ROSACEA: &str = "rosacea_history";

/// A practice whose protocol has clearances, screenings, reactions, an assessment after the last session and
/// maintenance.
async fn clinic() -> Clinic {
    let reaction = |kind: &str, grade: pb::ReactionGrade| pb::ReactionRule {
        kind: kind.into(),
        name: kind.into(),
        reaction_grade: grade.into(),
        instruction: "Look.".into(),
        evidence: evidence(),
        ..Default::default()
    };
    let after = pb::AfterLastSession { minimum_days: 28, target_days: 56, maximum_days: 90 };
    Clinic::with(|content| {
        content.reaction_rules = vec![
            reaction("redness", pb::ReactionGrade::Normal),
            reaction("redness_beyond_48_hours", pb::ReactionGrade::Warning),
        ];
        content.assessments = vec![assessment("result", pb::assessment::Due::AfterLastSession(after))];
        content.maintenance = Some(pb::Maintenance { minimum_days: 90, target_days: 182, evidence: evidence() });
    })
    .await
}

fn set_clock(world: &World, now: DateTime<Utc>) -> Option<()> {
    world.server.set_clock(&now.to_rfc3339())
}

/// Its booked sessions keep the gaps of the series, from the days on which they took place or are to take place.
fn assert_gaps(series: &pb::Series) {
    let gaps: Vec<i32> = series.sessions.iter().skip(1).map(|session| session.gap_days).collect();
    let longest = 56.max(series.gap_minimum_days);
    assert!(gaps.iter().all(|gap| (series.gap_minimum_days..=longest).contains(gap)), "{gaps:?}");
}

async fn extend(world: &World, series: &pb::Series, count: i32) -> Result<pb::Series, Status> {
    let request = pb::ExtendSeriesRequest {
        request_id: request_id(),
        etag: series.etag.clone(),
        series_id: series.series_id.clone(),
        session_count: count,
        clinic_id: world.clinic.clone(),
        wishes: Some(pb::SeriesWishes::default()),
        ..Default::default()
    };
    Ok(world.manager.series().extend_series(request).await?.into_inner().series.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_goes_from_the_consultation_to_the_result() {
    // Where the clock cannot be set, the story ends early.
    let _ = story().await;
}

/// The story; nothing where the clock cannot be set.
async fn story() -> Option<()> {
    let clinic = clinic().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].as_str());

    // Nobody is booked who was not cleared and screened, and the proposal says how to get there.
    let told = said(world, &world.book_series(&FOUR).await.unwrap_err());
    for missing in ["CLEARANCE_MISSING", "SCREENING_MISSING"] {
        assert_eq!(told.iter().filter(|line| line.starts_with(missing)).count(), 4, "{told:?}");
    }
    let proposal = clinic.propose().await;
    let missing: Vec<_> = proposal.missing.iter().map(|missing| missing.reason()).collect();
    assert_eq!(missing, [pb::Reason::ClearanceMissing, pb::Reason::ScreeningMissing]);
    assert_eq!(proposal.consultation_treatment_id, clinic.consultation);

    // Rosacea needs a practitioner.
    let screening = clinic.screen(patient, &[(ROSACEA, "")]).await;
    let finding = screening.findings.iter().find(|finding| finding.condition == ROSACEA).expect("it fires");
    assert!(!finding.lifted && finding.may_be_cleared);
    assert_eq!(finding.reason(), pb::Reason::ConditionNeedsClearance);

    // The consultation, in a slot that was offered; there the practitioner clears the condition by name.
    let slot = &proposal.consultation_slots[0];
    let mut request = world.visit_request(&clinic.consultation, FOUR[0]);
    (request.start_time, request.resource_ids) = (slot.start_time, slot.practitioner_ids.clone());
    let consultation = world.book(request).await.unwrap();
    set_clock(world, instant(slot.start_time.as_ref()))?;
    let consultation = world.check_in(&consultation.appointment_id).await.unwrap();
    let cleared = pb::ClearedPatient { cleared_conditions: vec![ROSACEA.into()], ..Default::default() };
    let decision = Some(Decision::Cleared(cleared));
    let request = pb::RecordClearanceRequest { decision, ..clinic.clearance_request(&consultation) };
    let clearance = clinic.sign(request).await.unwrap();
    assert_eq!(clearance.session_count, 6, "as many as the protocol allows");
    set_clock(world, instant(slot.end_time.as_ref()))?;
    complete(world, &consultation.appointment_id, None).await.unwrap();

    // The best plan of four, done by the end of April: each session 28 days after the one before.
    let proposal = clinic.propose().await;
    assert!(proposal.missing.is_empty());
    let finding = proposal.findings.iter().find(|finding| finding.condition == ROSACEA).expect("it still fires");
    assert!(finding.lifted && finding.clearance_id == clearance.clearance_id);
    let wishes = pb::SeriesWishes {
        session_count: 4,
        first_session_from: "2026-02-02".into(),
        finish_by: "2026-04-27".into(),
        hours: vec![pb::TimesOfDay { from: "10:00".into(), until: "12:00".into() }],
        required: true,
        ..Default::default()
    };
    let request = pb::BookSeriesRequest { sessions: vec![], wishes: Some(wishes), ..world.series_request(&FOUR) };
    let series = world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap();
    assert_eq!(starts(&series), FOUR.map(|start| &start[..16]));
    assert!(series.sessions.iter().all(|session| !session.at_risk));
    assert_eq!(session(&series, 4).clearance_id, clearance.clearance_id);
    let id = series.series_id.as_str();

    // No sauna in the days after it, and from when.
    let sauna = world.book_sauna("2026-02-05T18:00:00").await.unwrap_err();
    assert_eq!(reason(&sauna), "ACTIVITY_FORBIDDEN");
    let request = pb::CheckActivityRequest {
        patient_id: patient.into(),
        activity: pb::Activity::Heat.into(),
        start_time: timestamp(world.local("2026-02-05T18:00:00")),
        ..Default::default()
    };
    let answer = world.manager.aftercare().check_activity(request).await.unwrap().into_inner();
    assert_eq!((answer.allowed, answer.windows.len()), (false, 1));
    assert_eq!(instant(answer.earliest_start.as_ref()), world.local("2026-02-07T11:00:00"));

    // The patient comes two days late, is asked anew, and what follows moves along.
    let first = session(&series, 1).appointment_id.clone();
    set_clock(world, world.local("2026-02-04T10:00:00"))?;
    let old = world.check_in(&first).await.unwrap_err();
    assert_eq!(reason(&old), "SCREENING_MISSING");
    clinic.screen(patient, &[(ROSACEA, "")]).await;
    world.check_in(&first).await.unwrap();
    set_clock(world, world.local("2026-02-04T12:00:00"))?;
    let done = complete(world, &first, Some("2026-02-04T10:15:00")).await.unwrap();
    let moved: Vec<_> = done.moves.iter().map(|moved| (moved.session_number, moved.days_moved)).collect();
    assert_eq!(moved, [(2, 2), (3, 2), (4, 2)]);
    let series = get_series(world, id).await;
    assert_gaps(&series);

    // Red for longer than it should be: the series is held, while somebody else extends it.
    set_clock(world, world.local("2026-02-07T09:00:00"))?;
    let report = pb::ReportReactionRequest {
        request_id: request_id(),
        appointment_id: first.clone(),
        reaction_kind: "redness_beyond_48_hours".into(),
        onset_time: at("2026-02-06T18:00:00Z"),
        ..Default::default()
    };
    let mut patients = world.manager.patients();
    let (extended, reported) = tokio::join!(extend(world, &series, 5), patients.report_reaction(report));
    let reported = reported.unwrap().into_inner();
    assert_eq!(reported.on_hold_series_ids, [id]);
    let count = match extended {
        Ok(_) => 5,
        Err(status) => {
            assert!(["SERIES_ON_HOLD", "ETAG_MISMATCH"].contains(&reason(&status).as_str()), "{status}");
            4
        }
    };
    // If it was extended, then before the report, which knows of it.
    assert_eq!(reported.at_risk.len(), count - 1);
    let series = get_series(world, id).await;
    assert_eq!((series.sessions.len(), series.on_hold.is_some()), (count, true));
    let at_risk: Vec<bool> = series.sessions.iter().map(|session| session.at_risk).collect();
    assert_eq!((at_risk[0], at_risk[1..].iter().all(|at_risk| *at_risk)), (false, true));
    let held = extend(world, &series, 6).await.unwrap_err();
    assert!(refusal(&held).iter().all(|broken| broken.reason() == pb::Reason::SeriesOnHold), "{held}");

    // Cleared with a first day and a longer gap: the rest is planned anew.
    let request = pb::ClearReactionRequest {
        request_id: request_id(),
        reaction_id: reported.reaction.unwrap().reaction_id,
        earliest_date: "2026-03-16".into(),
        override_gap_days: 35,
        clear_notes: "Pale again.".into(),
        ..Default::default()
    };
    let cleared = clinic.practitioner.patients().clear_reaction(request).await.unwrap().into_inner();
    let moved: Vec<_> =
        cleared.moves.iter().map(|moved| (moved.session_number, &moved.local_new_start[..10])).collect();
    assert_eq!(moved[..3], [(2, "2026-03-16"), (3, "2026-04-20"), (4, "2026-05-25")]);
    let series = get_series(world, id).await;
    assert_eq!((series.gap_minimum_days, series.on_hold.is_some()), (35, false));
    assert!(series.sessions.iter().all(|session| !session.at_risk));
    assert_gaps(&series);
    let series = if count == 4 { extend(world, &series, 5).await.unwrap() } else { series };
    assert_eq!(starts(&series).len(), 5);
    world.server.assert_clean().await;

    // One after the other: asked, checked in, treated.
    for number in 2..=5 {
        let series = get_series(world, id).await;
        let visit = session(&series, number);
        set_clock(world, instant(visit.start_time.as_ref()))?;
        clinic.screen(patient, &[(ROSACEA, "")]).await;
        world.check_in(&visit.appointment_id).await.unwrap();
        set_clock(world, instant(visit.end_time.as_ref()))?;
        assert_eq!(complete(world, &visit.appointment_id, None).await.unwrap().moves, []);
    }
    let series = get_series(world, id).await;
    assert_gaps(&series);
    assert_eq!(
        (series.state(), series.assessments[0].state()),
        (pb::SeriesState::Active, pb::AssessmentState::Upcoming)
    );

    // The result, four weeks after the last session.
    let due: NaiveDate = series.assessments[0].due_from.parse().unwrap();
    let last = instant(session(&series, 5).start_time.as_ref()).with_timezone(&world.zone).date_naive();
    assert_eq!(due, last + Duration::days(28));
    let start = format!("{due}T10:00:00");
    set_clock(world, world.local(&format!("{due}T08:00:00")))?;
    let series = get_series(world, id).await;
    assert_eq!(series.assessments[0].state(), pb::AssessmentState::Due);
    let visit = pb::AssessmentVisit { series_id: id.into(), assessment_number: 1 };
    let request = pb::BookAppointmentRequest {
        visit: Some(pb::book_appointment_request::Visit::Assessment(visit)),
        ..world.visit_request(&clinic.consultation, &start)
    };
    let visit = world.book(request).await.unwrap();
    set_clock(world, world.local(&start))?;
    world.check_in(&visit.appointment_id).await.unwrap();
    let request = pb::RecordAssessmentRequest {
        request_id: request_id(),
        etag: get_series(world, id).await.etag,
        series_id: id.into(),
        assessment_number: 1,
        appointment_id: visit.appointment_id.clone(),
        outcome: pb::AssessmentOutcome::End.into(),
        notes: "Finer.".into(),
        ..Default::default()
    };
    let ended = clinic.practitioner.series().record_assessment(request).await.unwrap().into_inner().series.unwrap();
    assert_eq!((ended.state(), ended.assessments[0].state()), (pb::SeriesState::Completed, pb::AssessmentState::Done));
    assert_eq!(ended.maintenance_due.as_ref().unwrap().due_from, (last + Duration::days(90)).to_string());
    set_clock(world, instant(visit.end_time.as_ref()))?;
    complete(world, &visit.appointment_id, None).await.unwrap();
    assert_eq!(starts(&ended).len(), 5);
    world.server.assert_clean().await;
    Some(())
}
