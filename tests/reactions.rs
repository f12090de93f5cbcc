//! Reactions hold a patient's series until a practitioner clears them; then the rest is planned anew.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use stipple::rpc::pb;
use stipple::rpc::pb::grant_override_request::Purpose;
use tonic::{Code, Status};

use crate::across_areas::spaced;
use crate::desk::{get_series, revision, session, session_request, starts};
use crate::harness::wire::{Clients, fields, missing, reason};
use crate::harness::world::{at, needling, request_id, token};
use crate::harness::{World, refusal};

/// Sessions 35 days apart.
const DAYS: [&str; 3] = ["2026-02-02T10:00:00", "2026-03-09T10:00:00", "2026-04-13T10:00:00"];
/// Another area's, in between.
const OTHER_DAYS: [&str; 3] = ["2026-02-20T15:00:00", "2026-03-25T15:00:00", "2026-04-25T15:00:00"];

/// Two series of one patient, and a practitioner who may clear.
pub struct Case {
    pub world: World,
    pub series: pb::Series,
    pub other: pb::Series,
    practitioner: Clients,
}

/// Two series of one patient, the day after the first session of one of them. Nothing where clocks cannot be set.
pub async fn case() -> Option<Case> {
    case_of(needling()).await
}

async fn case_of(treatment: pb::TreatmentContent) -> Option<Case> {
    let mut world = World::new().await;
    world.needling = world.publish_treatment(treatment).await;
    let protocol = world.clinical_protocol().await;
    let series = world.book_clinical(&protocol, pb::BodyArea::Abdomen, &DAYS).await.unwrap();
    let other = world.book_clinical(&protocol, pb::BodyArea::Thighs, &OTHER_DAYS).await.unwrap();
    let practitioner = world.practitioner(0).await;
    world.server.set_clock("2026-02-04T08:00:00Z")?;
    Some(Case { world, series, other, practitioner })
}

fn report_request(appointment: &pb::Appointment, kind: &str) -> pb::ReportReactionRequest {
    pb::ReportReactionRequest {
        request_id: request_id(),
        appointment_id: appointment.appointment_id.clone(),
        reaction_kind: kind.into(),
        onset_time: at("2026-02-03T12:00:00Z"),
        description: "red".into(),
        ..Default::default()
    }
}

/// Reports a reaction to the first session.
pub async fn report(case: &Case, kind: &str) -> Result<pb::ReportReactionResponse, Status> {
    let request = report_request(session(&case.series, 1), kind);
    Ok(case.world.manager.patients().report_reaction(request).await?.into_inner())
}

/// What counts as a condition is lifted for what is left of the series: premedication is confirmed.
async fn premedicate(case: &Case) {
    let protocol_id = case.series.protocol_id.clone();
    let condition = pb::ConditionOverride { protocol_id, condition: "cold_sore_history".into() };
    let request = pb::GrantOverrideRequest {
        request_id: request_id(),
        patient_id: case.world.patients[0].clone(),
        purpose: Some(Purpose::Condition(condition)),
        override_reason: "prescribed".into(),
        ..Default::default()
    };
    case.practitioner.patients().grant_override(request).await.unwrap();
}

fn clear_request(reaction: &pb::Reaction, earliest: &str, gap: i32) -> pb::ClearReactionRequest {
    pb::ClearReactionRequest {
        request_id: request_id(),
        reaction_id: reaction.reaction_id.clone(),
        earliest_date: earliest.into(),
        override_gap_days: gap,
        clear_notes: "healed".into(),
        ..Default::default()
    }
}

/// Clears a reaction.
pub async fn clear(
    case: &Case,
    reaction: &pb::Reaction,
    earliest: &str,
    gap: i32,
) -> Result<pb::ClearReactionResponse, Status> {
    let request = clear_request(reaction, earliest, gap);
    Ok(case.practitioner.patients().clear_reaction(request).await?.into_inner())
}

fn broken(status: &Status) -> Vec<&'static str> {
    refusal(status).iter().map(|v| v.reason().as_str_name().trim_start_matches("REASON_")).collect()
}

/// What moved: of which series, which session, until when.
fn told(case: &Case, moves: &[pb::SessionMove]) -> Vec<String> {
    let line = |moved: &pb::SessionMove| {
        let whose = if moved.series_id == case.series.series_id { "abdomen" } else { "thighs" };
        format!("{whose} {}: {}", moved.session_number, &moved.local_new_start[..16])
    };
    moves.iter().map(line).collect()
}

async fn held(world: &World) -> BTreeSet<String> {
    let request = pb::ListSeriesRequest { on_hold_only: true, ..Default::default() };
    let listed = world.manager.series().list_series(request).await.unwrap().into_inner().series;
    listed.into_iter().map(|series| series.series_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warning_holds_all_series_of_the_patient_and_lists_what_is_at_risk() {
    let Some(case) = case().await else { return };
    let Case { world, series, other, .. } = &case;
    // Expected, and gone in days: holds nothing.
    let normal = report(&case, "redness").await.unwrap();
    let reaction = normal.reaction.clone().unwrap();
    assert_eq!((reaction.holds, reaction.reaction_grade()), (false, pb::ReactionGrade::Normal));
    assert_eq!((normal.on_hold_series_ids.len(), normal.at_risk.len()), (0, 0));
    assert_eq!(get_series(world, &series.series_id).await, *series);
    assert_eq!(broken(&clear(&case, &reaction, "2026-03-01", 0).await.unwrap_err()), ["ALREADY_CLEARED"]);

    let request = report_request(session(series, 1), "redness_beyond_48_hours");
    let warned = world.manager.patients().report_reaction(request.clone()).await.unwrap().into_inner();
    let reaction = warned.reaction.clone().unwrap();
    assert_eq!((reaction.holds, reaction.description.as_str()), (true, "red"));
    let both = BTreeSet::from([series.series_id.clone(), other.series_id.clone()]);
    assert_eq!(warned.on_hold_series_ids.iter().cloned().collect::<BTreeSet<_>>(), both);
    let risky: Vec<&str> = warned.at_risk.iter().map(|booked| booked.appointment_id.as_str()).collect();
    let expected = [(other, 1), (series, 2), (other, 2), (series, 3), (other, 3)];
    assert_eq!(risky, expected.map(|(of, number)| session(of, number).appointment_id.as_str()));
    for before in [series, other] {
        let after = get_series(world, &before.series_id).await;
        assert_ne!(after.etag, before.etag);
        let hold = after.on_hold.unwrap();
        assert_eq!((hold.reaction_ids, hold.since), (vec![reaction.reaction_id.clone()], reaction.reported_at));
        let at_risk: Vec<bool> = after.sessions.iter().map(|session| session.at_risk).collect();
        assert_eq!(at_risk, [before.series_id == other.series_id, true, true]);
    }
    assert_eq!(held(world).await, both);
    let again = world.manager.patients().report_reaction(request).await.unwrap().into_inner();
    assert_eq!(again, warned);
    let list = pb::ListReactionsRequest { patient_id: world.patients[0].clone(), ..Default::default() };
    let listed = world.manager.patients().list_reactions(list).await.unwrap().into_inner().reactions;
    let expected = [normal.reaction.unwrap(), reaction];
    assert!(listed.len() == 2 && expected.iter().all(|reaction| listed.contains(reaction)), "{listed:?}");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_about_a_session_that_has_begun_and_a_reaction_that_its_protocol_knows() {
    let Some(case) = case().await else { return };
    let Case { world, series, .. } = &case;
    let before = revision(world).await;
    let good = || report_request(session(series, 1), "redness");
    let ask =
        async |request: pb::ReportReactionRequest| world.manager.patients().report_reaction(request).await.unwrap_err();
    let ahead = report_request(session(series, 2), "redness");
    assert_eq!(fields(&ask(ahead).await), ["appointment_id"]);
    let unknown = pb::ReportReactionRequest { reaction_kind: "unheard_of".into(), ..good() };
    assert_eq!(fields(&ask(unknown).await), ["reaction_kind"]);
    for onset in ["2026-02-02T08:59:00Z", "2026-02-04T08:01:00Z"] {
        let early_or_late = pb::ReportReactionRequest { onset_time: at(onset), ..good() };
        assert_eq!(fields(&ask(early_or_late).await), ["onset_time"]);
    }
    let less = pb::ReportReactionRequest {
        reaction_kind: "herpes_flare".into(),
        reaction_grade: pb::ReactionGrade::Warning.into(),
        ..good()
    };
    assert_eq!(fields(&ask(less).await), ["reaction_grade"]);
    let nobody = pb::ReportReactionRequest { appointment_id: request_id(), ..good() };
    assert_eq!(missing(&ask(nobody).await), "appointment_id");
    assert_eq!(revision(world).await, before);
    // Graver than its rule.
    let graver = pb::ReportReactionRequest { reaction_grade: pb::ReactionGrade::Serious.into(), ..good() };
    let graver = world.manager.patients().report_reaction(graver).await.unwrap().into_inner().reaction.unwrap();
    assert_eq!((graver.holds, graver.reaction_grade()), (true, pb::ReactionGrade::Serious));
    // Nobody has checked the patient in yet.
    assert!(!graver.attended);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clearing_moves_what_is_booked_too_early_and_nothing_else() {
    let Some(case) = case().await else { return };
    let Case { world, series, other, practitioner } = &case;
    let reaction = report(&case, "herpes_flare").await.unwrap().reaction.unwrap();
    // It counts as a condition, which nobody has lifted yet.
    let unlifted = clear(&case, &reaction, "2026-03-16", 0).await.unwrap_err();
    assert_eq!(broken(&unlifted), ["CONDITION_NEEDS_PREMEDICATION", "NO_PLAN"]);
    premedicate(&case).await;
    let tried = pb::ClearReactionRequest { validate_only: true, ..clear_request(&reaction, "2026-03-16", 0) };
    let tried = practitioner.patients().clear_reaction(tried).await.unwrap().into_inner();
    // The gap between the second and the third stays long enough where the second moves by a week.
    let expected = ["abdomen 2: 2026-03-16T10:00", "thighs 1: 2026-03-16T15:00", "thighs 2: 2026-04-13T15:00"];
    assert_eq!(told(&case, &tried.moves)[..2], expected[..2]);
    assert_eq!(get_series(world, &series.series_id).await.on_hold.map(|hold| hold.reaction_ids.len()), Some(1));

    let request = clear_request(&reaction, "2026-03-16", 0);
    let cleared = practitioner.patients().clear_reaction(request.clone()).await.unwrap().into_inner();
    assert_eq!(told(&case, &cleared.moves), told(&case, &tried.moves));
    let after = cleared.reaction.clone().unwrap();
    assert_eq!((after.holds, after.cleared_by.as_str()), (false, world.practitioners[0].as_str()));
    assert_eq!((after.earliest_date.as_str(), after.clear_notes.as_str()), ("2026-03-16", "healed"));
    assert_eq!(cleared.series.as_ref().unwrap().on_hold, None);
    assert_eq!(held(world).await, BTreeSet::new());
    for of in [series, other] {
        let now = get_series(world, &of.series_id).await;
        assert_ne!(now.etag, of.etag);
        for day in starts(&now).iter().skip(usize::from(of.series_id == series.series_id)) {
            assert!(day.as_str() >= "2026-03-16", "{day}");
        }
    }
    let again = practitioner.patients().clear_reaction(request).await.unwrap().into_inner();
    assert_eq!(again, cleared);
    assert_eq!(broken(&clear(&case, &reaction, "2026-03-16", 0).await.unwrap_err()), ["ALREADY_CLEARED"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clearing_keeps_areas_as_far_apart_as_their_treatment_asks() {
    let Some(case) = case_of(spaced(7)).await else { return };
    let reaction = report(&case, "redness_beyond_48_hours").await.unwrap().reaction.unwrap();
    let cleared = clear(&case, &reaction, "2026-03-16", 0).await.unwrap();
    let mut days: Vec<NaiveDate> = Vec::new();
    for of in [&case.series, &case.other] {
        let now = get_series(&case.world, &of.series_id).await;
        days.extend(starts(&now).iter().map(|start| NaiveDate::parse_from_str(&start[..10], "%Y-%m-%d").unwrap()));
    }
    days.sort_unstable();
    assert!(days.windows(2).all(|pair| (pair[1] - pair[0]).num_days() >= 7), "{days:?}");
    assert!(cleared.moves.len() >= 2, "{:?}", told(&case, &cleared.moves));
    case.world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clearing_with_a_longer_gap_moves_sessions_along() {
    let Some(case) = case().await else { return };
    let Case { world, series, .. } = &case;
    premedicate(&case).await;
    let reaction = report(&case, "herpes_flare").await.unwrap().reaction.unwrap();
    // Whoever prescribed before the flare did not know of it.
    let unlifted = clear(&case, &reaction, "2026-02-10", 42).await.unwrap_err();
    assert_eq!(broken(&unlifted), ["CONDITION_NEEDS_PREMEDICATION", "NO_PLAN"]);
    premedicate(&case).await;
    let cleared = clear(&case, &reaction, "2026-02-10", 42).await.unwrap();
    assert_eq!(
        told(&case, &cleared.moves),
        ["abdomen 2: 2026-03-16T10:00", "abdomen 3: 2026-04-27T10:00"],
        "and the other series stays"
    );
    let now = cleared.series.unwrap();
    assert_eq!(now.gap_minimum_days, 42);
    for number in 1..=3 {
        assert_eq!(session(&now, number).override_ids, std::slice::from_ref(&now.gap_override_id));
    }
    assert_eq!(now, get_series(world, &series.series_id).await);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaction_shortens_no_gap_and_two_of_them_leave_alone_what_may_stay() {
    let Some(case) = case().await else { return };
    let Case { world, series, other, .. } = &case;
    let first = report(&case, "redness_beyond_48_hours").await.unwrap().reaction.unwrap();
    let second = report(&case, "herpes_flare").await.unwrap().reaction.unwrap();
    premedicate(&case).await;
    let status = clear(&case, &first, "2026-03-01", 27).await.unwrap_err();
    assert_eq!((broken(&status)[0], refusal(&status)[0].required_gap_days), ("OVERRIDE_NOT_ALLOWED", 28));
    let cleared = clear(&case, &first, "2026-03-01", 30).await.unwrap();
    assert_eq!(told(&case, &cleared.moves), Vec::<String>::new(), "the other series is still held");
    assert_eq!(cleared.series.unwrap().gap_minimum_days, 30);
    // The second lets the gap of the first be.
    assert_eq!(broken(&clear(&case, &second, "2026-02-10", 29).await.unwrap_err()), ["OVERRIDE_NOT_ALLOWED"]);
    let hold = get_series(world, &other.series_id).await.on_hold.unwrap();
    assert_eq!(hold.reaction_ids, std::slice::from_ref(&second.reaction_id));
    assert_eq!(held(world).await.len(), 2);
    world.server.assert_clean().await;
    // The later of the two days counts.
    let cleared = clear(&case, &second, "2026-02-10", 0).await.unwrap();
    assert_eq!(told(&case, &cleared.moves)[0], "thighs 1: 2026-03-01T15:00");
    assert!(get_series(world, &series.series_id).await.on_hold.is_none());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_gap_counts_from_the_last_session_that_took_place() {
    let world = World::new().await;
    let protocol = world.clinical_protocol().await;
    let days = ["2026-02-02T10:00:00", "2026-03-04T10:00:00", "2026-04-08T10:00:00"];
    let series = world.book_clinical(&protocol, pb::BodyArea::Abdomen, &days).await.unwrap();
    let practitioner = world.practitioner(0).await;
    let Some(()) = world.server.set_clock("2026-02-02T08:55:00Z") else { return };
    world.fit_for(&protocol, pb::BodyArea::Abdomen).await;
    world.check_in(&session(&series, 1).appointment_id).await.unwrap();
    crate::visits::complete(&world, &session(&series, 1).appointment_id, None).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-04T08:00:00Z") else { return };
    let case = Case { other: series.clone(), world, series, practitioner };
    let Case { world, series, .. } = &case;
    let reaction = report(&case, "redness_beyond_48_hours").await.unwrap().reaction.unwrap();
    // Nobody can be checked in, so that the time of the second session passes.
    let Some(()) = world.server.set_clock("2026-03-05T08:00:00Z") else { return };
    let status = clear(&case, &reaction, "2026-03-05", 50).await.unwrap_err();
    let told = refusal(&status);
    assert_eq!((broken(&status)[0], told[0].gap_days, told[0].required_gap_days), ("SESSION_TOO_SOON", 30, 50));
    assert_eq!(told[0].appointment_id, session(series, 2).appointment_id);
    assert!(told[0].description.contains("no-show"), "{}", told[0].description);
    crate::no_shows::mark(world, &session(series, 2).appointment_id).await.unwrap();
    clear(&case, &reaction, "2026-03-05", 50).await.unwrap();
    world.server.assert_clean().await;
    // 49 days after the first, although nothing of the second is left.
    world.cancel(session(&get_series(world, &series.series_id).await, 3)).await.unwrap();
    let second = |start| session_request(world, series, 2, start);
    let status = world.book(second("2026-03-23T10:00:00")).await.unwrap_err();
    assert_eq!(broken(&status), ["SESSION_TOO_SOON"]);
    world.book(second("2026-03-24T10:00:00")).await.unwrap();
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaction_keeps_every_needling_away_whether_a_protocol_asks_for_anything_or_not() {
    let Some(case) = case().await else { return };
    let Case { world, .. } = &case;
    let unasked = world.publish_treatment(pb::TreatmentContent { name: "Stamping".into(), ..needling() }).await;
    let alone = |start: &str| {
        let mut request = world.visit_request(&unasked, start);
        if let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut request.visit {
            visit.body_area = pb::BodyArea::Back.into();
        }
        request
    };
    let ahead = world.book(alone("2026-02-05T10:00:00")).await.unwrap();
    let reported = report(&case, "redness_beyond_48_hours").await.unwrap();
    assert!(reported.at_risk.iter().any(|visit| visit.appointment_id == ahead.appointment_id));
    assert_eq!(broken(&world.book(alone("2026-04-05T10:00:00")).await.unwrap_err()), ["SERIES_ON_HOLD"]);
    let Some(()) = world.server.set_clock("2026-02-05T08:55:00Z") else { return };
    assert_eq!(broken(&world.check_in(&ahead.appointment_id).await.unwrap_err()), ["SERIES_ON_HOLD"]);
    clear(&case, &reported.reaction.unwrap(), "2026-02-20", 0).await.unwrap();
    assert_eq!(broken(&world.check_in(&ahead.appointment_id).await.unwrap_err()), ["TOO_SOON_AFTER_REACTION"]);
    world.book(alone("2026-04-05T10:00:00")).await.unwrap();
    world.server.assert_clean().await;
    // Behind the server's back.
    let damage = "UPDATE reactions SET earliest_date = '2026-04-06'";
    sqlx::query(damage).execute(world.server.pool()).await.unwrap();
    let report = world.server.verify().await;
    let broken: Vec<_> = report.checks.iter().filter(|check| check.violations != 0).collect();
    let set = "no session lies before the day that was set when a reaction was cleared";
    assert!(broken.iter().any(|check| check.what == set), "{report}");
    assert!(broken.iter().all(|check| check.promise == "P5"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_follow_is_left_as_it_is() {
    let Some(case) = case().await else { return };
    let Case { world, series, .. } = &case;
    let reaction = report(&case, "herpes_flare").await.unwrap().reaction.unwrap();
    premedicate(&case).await;
    let before = (revision(world).await, get_series(world, &series.series_id).await);
    // 57 days after the first session, one more than the longest gap.
    let status = clear(&case, &reaction, "2026-03-31", 0).await.unwrap_err();
    assert_eq!(broken(&status), ["NO_PLAN"]);
    assert_eq!(broken(&clear(&case, &reaction, "2026-03-31", 13).await.unwrap_err()), ["OVERRIDE_NOT_ALLOWED"]);
    assert_eq!(fields(&clear(&case, &reaction, "2026-02-03", 0).await.unwrap_err()), ["earliest_date"]);
    assert_eq!((revision(world).await, get_series(world, &series.series_id).await), before);
    // A longer gap lengthens the longest one.
    let cleared = clear(&case, &reaction, "2026-03-31", 57).await.unwrap();
    assert_eq!(told(&case, &cleared.moves)[0], "abdomen 2: 2026-03-31T10:00");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_qualified_practitioner_clears() {
    let Some(case) = case().await else { return };
    let Case { world, .. } = &case;
    let reaction = report(&case, "herpes_flare").await.unwrap().reaction.unwrap();
    let status = world.manager.patients().clear_reaction(clear_request(&reaction, "2026-03-01", 0)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_NOT_ALLOWED"));
    let other = world.resource(pb::ResourceKind::Practitioner, "microneedling").await;
    let other = token(&world.server, &world.practice, pb::Role::Practitioner, &other).await;
    let status = other.patients().clear_reaction(clear_request(&reaction, "2026-03-01", 0)).await.unwrap_err();
    assert_eq!(broken(&status), ["NOT_QUALIFIED_TO_CLEAR"]);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reaction_tells_whether_the_patient_was_checked_in_for_the_session() {
    let Some(case) = case().await else { return };
    let Case { world, series, .. } = &case;
    let early = report(&case, "redness").await.unwrap().reaction.unwrap();
    assert!(!early.attended);
    // Nobody who had a reaction was not there.
    let status = crate::no_shows::mark(world, &session(series, 1).appointment_id).await.unwrap_err();
    assert_eq!(broken(&status), ["APPOINTMENT_STARTED"]);
    // The desk makes up for it, two days later.
    world.fit_for(&series.protocol_id, pb::BodyArea::Abdomen).await;
    world.check_in(&session(series, 1).appointment_id).await.unwrap();
    let list = pb::ListReactionsRequest { patient_id: world.patients[0].clone(), ..Default::default() };
    let listed = world.manager.patients().list_reactions(list).await.unwrap().into_inner().reactions;
    assert_eq!(listed, [pb::Reaction { attended: true, ..early }]);
    assert!(report(&case, "redness").await.unwrap().reaction.unwrap().attended);
    world.server.assert_clean().await;
}
