//! What patients answer, and what a protocol makes of it.

use stipple::rpc::pb;
use stipple::rpc::pb::record_screening_request::Questionnaire;

use crate::desk::{FOUR, said};
use crate::harness::Clinic;
use crate::harness::clinical::screening_rules;
use crate::harness::kill::Killed;
use crate::harness::wire::fields;
use crate::harness::world::request_id;

/// The findings of a screening: condition, reason, until when, and whether lifted.
fn findings(screening: &pb::Screening) -> Vec<String> {
    let finding = |finding: &pb::ScreeningFinding| {
        assert!(!finding.meaning.is_empty() && finding.evidence.is_some());
        let reason = finding.reason().as_str_name().trim_start_matches("REASON_CONDITION_").to_lowercase();
        let until = if finding.until.is_empty() { String::new() } else { format!(" until {}", finding.until) };
        let lifted = if finding.lifted { " lifted" } else { "" };
        format!("{} {reason}{until}{lifted}", finding.condition)
    };
    screening.findings.iter().map(finding).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rule_that_fires_is_told_with_what_it_means_and_until_when() {
    let clinic = Clinic::new().await;
    let patient = clinic.world.patients[0].clone();
    let present = [
        ("active_acne", ""),
        ("rosacea_history", ""),
        ("isotretinoin", "2025-12-15"),
        ("sunburn", "2026-01-03"),
        ("pregnancy", ""),
        ("cold_sore_history", ""),
    ];
    let screening = clinic.screening(&patient, &present, 6).await.unwrap();
    // Born on 1 April 1990.
    let told = [
        "active_acne defers",
        "rosacea_history needs_clearance",
        "isotretinoin defers until 2026-06-15",
        "sunburn defers until 2026-01-17",
        "pregnancy blocks",
        "cold_sore_history needs_premedication",
        "dark_skin needs_clearance",
    ];
    assert_eq!(findings(&screening), told);
    // What is over is not told: an adult is no minor, and a burn of last year has healed.
    assert_eq!(findings(&clinic.screen(&patient, &[("sunburn", "2025-12-01")]).await), [""; 0]);
    clinic.world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_answered_or_not_asked_is_named() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    let answer = |condition: &str, present, date: &str| pb::ScreeningAnswer {
        condition: condition.into(),
        present,
        date: date.into(),
    };
    let request = pb::RecordScreeningRequest {
        request_id: request_id(),
        patient_id: patient,
        questionnaire: Some(Questionnaire::ProtocolId(world.protocol.clone())),
        answers: vec![
            answer("active_acne", true, "2026-01-01"),
            answer("rosacea_history", false, ""),
            answer("isotretinoin", true, ""),
            answer("sunburn", false, ""),
            answer("pregnancy", false, ""),
            answer("metal_implant", false, ""),
            answer("left_handed", true, ""),
        ],
        ..Default::default()
    };
    let status = world.manager.patients().record_screening(request).await.unwrap_err();
    let told = status.message();
    for part in [
        "answers[0].date must be left out",
        "answers[2].date is required",
        "answers cold_sore_history must be answered",
        "answers[6] must be left out",
        "skin_type is required",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // What the patient said is not repeated.
    assert!(!told.contains("isotretinoin") && !told.contains("active_acne"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_screening_is_answered_by_the_version_that_asked() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let asked = screening_rules().into_iter().filter(|rule| !rule.question.is_empty());
    let answers = asked.map(|rule| pb::ScreeningAnswer {
        present: rule.condition == "rosacea_history",
        condition: rule.condition,
        ..Default::default()
    });
    let mut answers: Vec<_> = answers.collect();
    // What is stored comes back in the order of the conditions.
    answers.sort_by(|one, other| one.condition.cmp(&other.condition));
    let request = pb::RecordScreeningRequest {
        request_id: request_id(),
        patient_id: world.patients[0].clone(),
        questionnaire: Some(Questionnaire::ProtocolId(world.protocol.clone())),
        answers,
        skin_type: 2,
        ..Default::default()
    };
    let recorded = world.manager.patients().record_screening(request.clone()).await.unwrap().into_inner();
    // One version leaves out what the patient has, the next asks nothing at all.
    for asks in ["pregnancy", ""] {
        let known = pb::GetProtocolRequest { protocol_id: world.protocol.clone(), ..Default::default() };
        let known = world.manager.catalog().get_protocol(known).await.unwrap().into_inner().protocol.unwrap();
        let mut content = known.content.unwrap();
        content.screening_rules.retain(|rule| rule.condition == asks);
        let publish = pb::PublishProtocolRequest {
            request_id: request_id(),
            protocol_id: world.protocol.clone(),
            etag: known.etag,
            content: Some(content),
            ..Default::default()
        };
        world.manager.catalog().publish_protocol(publish).await.unwrap();
        let again = world.manager.patients().record_screening(request.clone()).await.unwrap().into_inner();
        assert_eq!(again, recorded);
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_screening_counts_and_is_listed_first() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.clear(&patient, &[]).await;
    let first = clinic.screen(&patient, &[]).await;
    let second = clinic.screen(&patient, &[("active_acne", "")]).await;
    let refused = world.book_series(&FOUR).await.unwrap_err();
    let each = |rule: &str| (0..4).map(|place| format!("{rule} sessions[{place}]")).collect::<Vec<_>>();
    assert_eq!(said(world, &refused), each("CONDITION_DEFERS"));
    let third = clinic.screen(&patient, &[]).await;
    world.book_series(&FOUR).await.unwrap();
    let request = pb::ListScreeningsRequest { patient_id: patient, page_size: 2, ..Default::default() };
    let page = world.manager.patients().list_screenings(request.clone()).await.unwrap().into_inner();
    let ids = |page: &pb::ListScreeningsResponse| -> Vec<String> {
        page.screenings.iter().map(|screening| screening.screening_id.clone()).collect()
    };
    assert_eq!(ids(&page), [third.screening_id, second.screening_id]);
    let request = pb::ListScreeningsRequest { page_token: page.next_page_token, ..request };
    let page = world.manager.patients().list_screenings(request).await.unwrap().into_inner();
    assert_eq!((ids(&page), page.next_page_token), (vec![first.screening_id], String::new()));
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_put_off_until_the_day_that_a_deferral_ends() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.clear(&patient, &[]).await;
    clinic.screen(&patient, &[("sunburn", "2026-01-25")]).await;
    let refused = world.book_series(&FOUR).await.unwrap_err();
    assert_eq!(said(world, &refused), ["CONDITION_DEFERS sessions[0] from 2026-02-08T00:00"]);
    // The plan keeps to it.
    let plans = clinic.propose().await;
    assert!(plans.missing.is_empty(), "{:?}", plans.missing);
    assert!(plans.plans[0].sessions[0].local_start.as_str() >= "2026-02-08", "{:?}", plans.plans[0].sessions[0]);
    let plan =
        pb::BookSeriesRequest { request_id: request_id(), plan: Some(plans.plans[0].clone()), ..Default::default() };
    world.manager.series().book_series(plan).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minor_is_refused_until_the_day_of_coming_of_age() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let request = pb::CreatePatientRequest {
        request_id: request_id(),
        given_name: "Given".into(),
        family_name: "Family".into(),
        birth_date: "2008-03-30".into(),
        ..Default::default()
    };
    let patient = world.manager.patients().create_patient(request).await.unwrap().into_inner().patient.unwrap();
    clinic.screen(&patient.patient_id, &[]).await;
    clinic.clear(&patient.patient_id, &[]).await;
    let request = pb::BookSeriesRequest { patient_id: patient.patient_id, ..world.series_request(&FOUR) };
    let refused = world.manager.series().book_series(request).await.unwrap_err();
    // 18 on 30 March, the day of the third session.
    let told =
        ["CONDITION_BLOCKS sessions[0] from 2026-03-30T00:00", "CONDITION_BLOCKS sessions[1] from 2026-03-30T00:00"];
    assert_eq!(said(world, &refused), told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_does_not_say_which_condition_it_is() {
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.clear(&patient, &[]).await;
    let present =
        [("rosacea_history", ""), ("pregnancy", ""), ("cold_sore_history", ""), ("isotretinoin", "2026-01-01")];
    clinic.screen(&patient, &present).await;
    let refused = world.book_series(&FOUR).await.unwrap_err();
    for (condition, _) in present {
        assert!(!format!("{refused:?}").contains(condition), "{refused:?}");
    }
    assert_eq!(said(world, &refused).len(), 4 * 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_screened_by_the_version_that_it_runs_on_under() {
    if Killed::wanted().is_some() {
        return;
    }
    let clinic = Clinic::new().await;
    let (world, patient) = (&clinic.world, clinic.world.patients[0].clone());
    clinic.fit().await;
    let series = world.book_series(&FOUR).await.unwrap();
    crate::desk::publish_next(world, |content| {
        content.screening_rules.push(pb::ScreeningRule {
            condition: "new_question".into(),
            ..crate::harness::clinical::screening_rules()[0].clone()
        });
    })
    .await;
    // A new series is asked what is new; the old one goes on under what it was booked under.
    let told: Vec<_> = clinic.propose().await.missing.iter().map(|missing| missing.reason()).collect();
    assert_eq!(told, [pb::Reason::ScreeningMissing]);
    let cancelled = world.cancel(crate::desk::session(&series, 4)).await.unwrap();
    let again = crate::desk::session_request(world, &series, 4, FOUR[3]);
    let again = world.book(again).await.unwrap();
    assert_eq!((again.session_number, again.start_time), (4, cancelled.start_time));
    let questionnaire = Some(Questionnaire::SeriesId(series.series_id.clone()));
    let answers = crate::harness::clinical::screening_rules().into_iter().filter(|rule| !rule.question.is_empty());
    let answers = answers.map(|rule| pb::ScreeningAnswer { condition: rule.condition, ..Default::default() }).collect();
    let request = pb::RecordScreeningRequest {
        request_id: request_id(),
        patient_id: patient,
        questionnaire,
        answers,
        skin_type: 1,
        ..Default::default()
    };
    let screening = world.manager.patients().record_screening(request).await.unwrap().into_inner().screening.unwrap();
    assert_eq!(screening.protocol_version, 1);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_age_that_a_patient_reaches_while_a_clearance_may_last_is_told_with_its_days() {
    let clinic = Clinic::with(|content| {
        for (condition, least, most) in [("at_36", 36, 36), ("from_60", 60, 120)] {
            let age = content.screening_rules.last().unwrap().clone();
            content.screening_rules.push(pb::ScreeningRule { condition: condition.into(), least, most, ..age });
        }
    })
    .await;
    // Born on 1 April 1990; it is January 2026.
    let findings = clinic.screen(&clinic.world.patients[0], &[]).await.findings;
    let told = findings.iter().map(|finding| [&finding.condition, &finding.from, &finding.until].map(String::as_str));
    assert_eq!(told.collect::<Vec<_>>(), [["at_36", "2026-04-01", "2027-04-01"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ages_that_nobody_reaches_are_no_question() {
    let clinic = Clinic::new().await;
    let request = pb::GetProtocolRequest { protocol_id: clinic.world.protocol.clone(), ..Default::default() };
    let protocol = clinic.world.manager.catalog().get_protocol(request).await.unwrap().into_inner().protocol.unwrap();
    let publish = |most| {
        let mut content = protocol.content.clone().unwrap();
        content.screening_rules.last_mut().unwrap().most = most;
        pb::PublishProtocolRequest { request_id: request_id(), content: Some(content), ..Default::default() }
    };
    let status = clinic.world.manager.catalog().publish_protocol(publish(151)).await.unwrap_err();
    assert_eq!(fields(&status), [format!("content.screening_rules[{}].least", screening_rules().len() - 1)]);
    clinic.world.manager.catalog().publish_protocol(publish(150)).await.unwrap();
}
