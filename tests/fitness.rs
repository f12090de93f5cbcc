//! Promise P5, as `verify` derives it once more, and under races: nobody is needled who is not fit for it.

use std::future::Future;

use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use tonic::Status;

use crate::desk::{FOUR, needling_request, publish_next};
use crate::harness::clinical::pus;
use crate::harness::kill::Killed;
use crate::harness::world::{at, request_id};
use crate::harness::{Clinic, refusal};

const CLEARED: &str = "sessions are booked and begun under a clearance that covers them";
const SCREENED: &str = "sessions are booked and begun after a screening that answers all and is recent enough";
const LIFTED: &str = "no session is booked or begun against a condition that nobody lifted";
const HELD: &str = "no session is booked, brought nearer or begun while a reaction holds its series";
const SET: &str = "no session lies before the day that was set when a reaction was cleared";

/// A practice with a series of four sessions of a patient who is fit.
async fn booked() -> (Clinic, pb::Series) {
    let clinic = Clinic::new().await;
    clinic.fit().await;
    let series = clinic.world.book_series(&FOUR).await.unwrap();
    clinic.world.server.assert_clean().await;
    (clinic, series)
}

/// Whether `verify` finds exactly this once the database was written to behind the server's back, and in how many rows.
async fn finds(damage: &str, what: &str, violations: i64) {
    finds_in(&booked().await.0, damage, what, violations).await;
}

async fn finds_in(clinic: &Clinic, damage: &str, what: &str, violations: i64) {
    clinic.world.server.pool().execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
    let report = clinic.world.server.verify().await;
    let broken = report.checks.iter().filter(|check| check.violations != 0);
    let broken: Vec<_> = broken.map(|check| (check.promise, check.what.as_str(), check.violations)).collect();
    assert_eq!(broken, [("P5", what, violations)], "{damage}: {report}");
    assert!(report.checks.iter().any(|check| check.what == what && check.examples.len() == violations as usize));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_sessions_that_no_clearance_covers() {
    // The sessions are on 2 February, 2 and 30 March, and 27 April.
    finds("UPDATE clearances SET valid_until = '2026-04-26'", CLEARED, 1).await;
    finds("UPDATE clearances SET valid_from = '2026-03-03'", CLEARED, 2).await;
    finds("UPDATE clearances SET session_count = 3", CLEARED, 1).await;
    finds("UPDATE clearances SET not_before = '2026-02-02T09:01:00Z'", CLEARED, 1).await;
    let declined = "UPDATE clearances SET outcome = 'declined', session_count = NULL, valid_from = NULL,
        valid_until = NULL, not_before = NULL";
    finds(declined, CLEARED, 4).await;
    finds("UPDATE appointments SET clearance_id = NULL WHERE session_number = 2", CLEARED, 1).await;
    let revoked = "UPDATE clearances SET revoked_at = decided_at, revoked_by = decided_by, revoke_reason = '',
        revoked_revision = decided_revision";
    finds(revoked, CLEARED, 4).await;
    // Decided by the very change that booked the sessions is not before it.
    finds("UPDATE clearances SET decided_revision = (SELECT max(revision) FROM changes)", CLEARED, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_sessions_without_a_screening_and_conditions_that_nobody_lifted() {
    finds("DELETE FROM screening_answers WHERE condition = 'pregnancy'", SCREENED, 4).await;
    finds("UPDATE screenings SET skin_type = NULL", SCREENED, 4).await;
    finds("UPDATE screenings SET skin_type = 6", LIFTED, 4).await;
    finds("UPDATE screening_answers SET present = true WHERE condition = 'metal_implant'", LIFTED, 4).await;
    // Put off until 3 March.
    let sunburn = "UPDATE screening_answers SET present = true, on_date = '2026-02-17' WHERE condition = 'sunburn'";
    finds(sunburn, LIFTED, 2).await;
    // Of age on 30 March.
    finds("UPDATE patients SET birth_date = '2008-03-30'", LIFTED, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_needling_outside_a_series_with_which_no_protocol_is_content() {
    for (damage, what) in [
        ("UPDATE clearances SET valid_until = '2026-02-01'", CLEARED),
        ("UPDATE screenings SET skin_type = NULL", SCREENED),
        ("UPDATE screening_answers SET present = true WHERE condition = 'metal_implant'", LIFTED),
    ] {
        let clinic = Clinic::new().await;
        clinic.fit().await;
        let patient = &clinic.world.patients[0];
        let alone = needling_request(&clinic.world, patient, pb::BodyArea::Abdomen, "2026-02-02T10:00:00");
        clinic.world.book(alone).await.unwrap();
        clinic.world.server.assert_clean().await;
        finds_in(&clinic, damage, what, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_holds_needling_outside_a_series_to_one_protocol_as_it_was_then() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    let cleared = clinic.fit().await;
    let consultation =
        pb::Appointment { appointment_id: cleared.consultation_appointment_id.clone(), ..Default::default() };
    let get = pb::GetProtocolRequest { protocol_id: world.protocol.clone(), ..Default::default() };
    let content = world.manager.catalog().get_protocol(get).await.unwrap().into_inner().protocol.unwrap().content;
    let request = pb::PublishProtocolRequest { request_id: request_id(), content, ..Default::default() };
    let second = world.manager.catalog().publish_protocol(request).await.unwrap().into_inner().protocol.unwrap();
    let mut other = clinic.clone();
    other.world.protocol = second.protocol_id;
    other.screen(&world.patients[0], &[]).await;
    let by_other = other.sign(other.clearance_request(&consultation)).await.unwrap();
    let alone = needling_request(world, &world.patients[0], pb::BodyArea::Abdomen, "2026-02-02T10:00:00");
    let booked = world.book(alone).await.unwrap();
    // Neither protocol asks for anything any more.
    for clinic in [&clinic, &other] {
        publish_next(&clinic.world, |content| {
            content.screening_rules.clear();
            content.clearance = None;
        })
        .await;
    }
    world.server.assert_clean().await;
    let pool = world.server.pool();
    let (used, unused) = if booked.clearance_id == by_other.clearance_id {
        (&other.world.protocol, &world.protocol)
    } else {
        (&world.protocol, &other.world.protocol)
    };
    // That one is not content matters nothing; that none is content with everything does.
    let implant = format!(
        "UPDATE screening_answers SET present = true WHERE condition = 'metal_implant' AND screening_id IN (
             SELECT screening_id FROM screenings WHERE protocol_id = '{unused}')"
    );
    pool.execute(AssertSqlSafe(implant)).await.unwrap();
    world.server.assert_clean().await;
    let expired = format!("UPDATE clearances SET valid_until = '2026-02-01' WHERE protocol_id = '{used}'");
    pool.execute(AssertSqlSafe(expired)).await.unwrap();
    let report = world.server.verify().await;
    let broken: Vec<_> =
        report.checks.iter().filter(|check| check.violations != 0).map(|check| check.what.as_str()).collect();
    assert_eq!(broken, [CLEARED, LIFTED], "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_a_patient_who_came_with_an_old_screening_outside_any_series() {
    let clinic = Clinic::new().await;
    let world = &clinic.world;
    clinic.fit().await;
    let alone = needling_request(world, &world.patients[0], pb::BodyArea::Abdomen, "2026-02-02T10:00:00");
    let booked = world.book(alone).await.unwrap();
    let Some(()) = world.server.set_clock("2026-02-02T08:50:00Z") else { return };
    clinic.screen(&world.patients[0], &[]).await;
    world.check_in(&booked.appointment_id).await.unwrap();
    world.server.assert_clean().await;
    let older = "UPDATE screenings SET recorded_at = recorded_at - interval '1 day'
        WHERE recorded_revision = (SELECT max(recorded_revision) FROM screenings)";
    finds_in(&clinic, older, SCREENED, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_accepts_conditions_that_were_lifted() {
    let (clinic, _) = booked().await;
    let pool = clinic.world.server.pool();
    pool.execute("UPDATE screening_answers SET present = true WHERE condition = 'pregnancy'").await.unwrap();
    assert!(!clinic.world.server.verify().await.is_clean());
    pool.execute("UPDATE clearances SET conditions = ARRAY['pregnancy']").await.unwrap();
    clinic.world.server.assert_clean().await;
}

/// A reaction to the first session, of a grade, reported by the change with that number from the end.
fn reaction(grade: &str, before: i32) -> String {
    format!(
        "INSERT INTO reactions (practice_id, reaction_id, patient_id, appointment_id, series_id, kind, reaction_grade,
                                onset, description, reported_at, reported_revision)
         SELECT a.practice_id, gen_random_uuid(), a.patient_id, a.appointment_id, a.series_id, 'pus', '{grade}', now(),
                '', now(), (SELECT max(revision) - {before} FROM changes c WHERE c.practice_id = a.practice_id)
         FROM appointments a WHERE a.session_number = 1;"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_sessions_that_were_booked_while_a_reaction_held_them() {
    finds(&reaction("warning", 1), HELD, 4).await;
    let cleared = |day: &str, revision: &str| {
        format!(
            "{} UPDATE reactions SET cleared_at = now(), cleared_by = (SELECT decided_by FROM clearances),
                cleared_revision = (SELECT {revision} FROM changes c WHERE c.practice_id = reactions.practice_id),
                earliest_date = '{day}', clear_notes = ''",
            reaction("serious", 2)
        )
    };
    finds(&cleared("2026-03-03", "max(revision) - 1"), SET, 2).await;
    let (clinic, _) = booked().await;
    let pool = clinic.world.server.pool();
    // A normal one holds nothing; neither does one that was reported afterwards, or cleared before.
    for damage in [reaction("normal", 1), reaction("serious", 0)] {
        pool.execute(AssertSqlSafe(damage)).await.unwrap();
        clinic.world.server.assert_clean().await;
        pool.execute("DELETE FROM reactions").await.unwrap();
    }
    pool.execute(AssertSqlSafe(cleared("2026-02-02", "max(revision) - 1"))).await.unwrap();
    clinic.world.server.assert_clean().await;
}

// --- Races -----------------------------------------------------------------------------------------------------------

/// Rounds of each race, in all.
const ROUNDS: usize = 1_000;
/// Patients who race at the same time, each on days of their own.
const RUNNERS: usize = 8;

/// Rounds of a race of one runner; with servers that are killed all the time a few will do.
fn rounds() -> usize {
    if Killed::wanted().is_some() { 3 } else { ROUNDS / RUNNERS }
}

/// Who races: a patient who is screened, and a consultation that was held.
struct Runner {
    clinic: Clinic,
    patient: String,
    consultation: pb::Appointment,
    treated: Option<pb::Appointment>,
    day: usize,
}

impl Runner {
    async fn new(clinic: &Clinic, day: usize) -> Self {
        let patient = clinic.world.patient().await;
        clinic.screen(&patient, &[]).await;
        let clinic = clinic.with_another_practitioner().await;
        let consultation = clinic.consult(&patient).await;
        Self { clinic, patient, consultation, treated: None, day }
    }

    /// What a booking that came first left is looked at now and then, before it is taken away.
    async fn verify(&self, won: usize) {
        if won.is_multiple_of(20) && Killed::wanted().is_none() {
            self.clinic.world.server.assert_clean().await;
        }
    }

    /// Books the one session of a series.
    async fn book(&self) -> Result<pb::Series, Status> {
        let start = format!("2026-03-{:02}T09:00:00Z", self.day + 1);
        let request = pb::BookSeriesRequest {
            patient_id: self.patient.clone(),
            sessions: vec![pb::SessionRequest { start_time: at(&start), ..Default::default() }],
            ..self.clinic.world.series_request(&[])
        };
        Ok(self.clinic.world.manager.series().book_series(request).await?.into_inner().series.unwrap())
    }

    /// Books a session of the face that will have begun when the race does.
    async fn treat_face(&mut self) {
        let face = pb::BodyArea::Face.into();
        let request =
            pb::RecordClearanceRequest { body_area: face, ..self.clinic.clearance_request(&self.consultation) };
        self.clinic.sign(request).await.unwrap();
        self.clinic.sign(self.clinic.clearance_request(&self.consultation)).await.unwrap();
        let start = format!("2026-01-{:02}T09:00:00Z", self.day + 8);
        let request = pb::BookSeriesRequest {
            patient_id: self.patient.clone(),
            body_area: face,
            sessions: vec![pb::SessionRequest { start_time: at(&start), ..Default::default() }],
            ..self.clinic.world.series_request(&[])
        };
        let series = self.clinic.world.manager.series().book_series(request).await.unwrap().into_inner().series;
        self.treated = series.unwrap().sessions[0].appointment.clone();
    }

    /// Reports a reaction to the session of the face.
    async fn report(&self) -> Result<pb::ReportReactionResponse, Status> {
        let request = pb::ReportReactionRequest {
            request_id: request_id(),
            appointment_id: self.treated.as_ref().unwrap().appointment_id.clone(),
            reaction_kind: "pus".into(),
            onset_time: at("2026-01-20T11:00:00Z"),
            ..Default::default()
        };
        Ok(self.clinic.world.manager.patients().report_reaction(request).await?.into_inner())
    }

    /// Books a series of two sessions, 28 days apart.
    async fn book_two(&self) -> pb::Series {
        let start = |month: usize| at(&format!("2026-{month:02}-{:02}T09:00:00Z", self.day + 1));
        let sessions = [2, 3].map(|month| pb::SessionRequest { start_time: start(month), ..Default::default() });
        let request = pb::BookSeriesRequest {
            patient_id: self.patient.clone(),
            sessions: sessions.to_vec(),
            ..self.clinic.world.series_request(&[])
        };
        self.clinic.world.manager.series().book_series(request).await.unwrap().into_inner().series.unwrap()
    }

    /// Books its second session 21 days after the first.
    async fn book_second(&self, series: &pb::Series) -> Result<pb::Appointment, Status> {
        let mut request = crate::desk::session_request(&self.clinic.world, series, 2, "2026-02-01T10:00:00");
        request.start_time = at(&format!("2026-02-{:02}T09:00:00Z", self.day + 22 - 7 * usize::from(self.day > 6)));
        self.clinic.world.book(request).await
    }

    /// Lowers the gap of a series to its floor.
    async fn grant(&self, series: &pb::Series) -> pb::Override {
        let request = pb::GrantOverrideRequest {
            request_id: request_id(),
            patient_id: self.patient.clone(),
            purpose: Some(pb::grant_override_request::Purpose::Gap(pb::GapOverride {
                series_id: series.series_id.clone(),
                gap_days: 14,
            })),
            override_reason: "healed fast".into(),
            ..Default::default()
        };
        let answer = self.clinic.practitioner.patients().grant_override(request).await.unwrap();
        answer.into_inner().r#override.unwrap()
    }

    async fn revoke(&self, granted: &pb::Override) -> Result<(), Status> {
        let request = pb::RevokeOverrideRequest {
            request_id: request_id(),
            override_id: granted.override_id.clone(),
            ..Default::default()
        };
        self.clinic.practitioner.patients().revoke_override(request).await.map(|_| ())
    }

    async fn cancel(&self, series: &pb::Series) {
        let request = pb::CancelSeriesRequest {
            request_id: request_id(),
            etag: crate::desk::get_series(&self.clinic.world, &series.series_id).await.etag,
            series_id: series.series_id.clone(),
            ..Default::default()
        };
        self.clinic.world.manager.series().cancel_series(request).await.unwrap();
    }
}

/// Lets every runner run; then `verify` finds nothing.
async fn race<F: Future<Output = ()> + Send + 'static>(clinic: &Clinic, runners: Vec<Runner>, run: fn(Runner) -> F) {
    let running: Vec<_> = runners.into_iter().map(|runner| tokio::spawn(run(runner))).collect();
    for runner in running {
        runner.await.unwrap();
    }
    clinic.world.server.assert_clean().await;
}

/// A practice, and who races there.
async fn runners() -> (Clinic, Vec<Runner>) {
    let clinic = Clinic::with(|content| {
        content.sessions_minimum = 1;
        content.reaction_rules = pus();
    })
    .await;
    let mut runners = Vec::new();
    for day in 0..RUNNERS {
        runners.push(Runner::new(&clinic, day).await);
    }
    (clinic, runners)
}

/// Both at once; each is asked first in turn, so that both orders occur.
async fn both<A: Future, B: Future>(round: usize, a: A, b: B) -> (A::Output, B::Output) {
    if round.is_multiple_of(2) {
        tokio::join!(a, b)
    } else {
        let (b, a) = tokio::join!(b, a);
        (a, b)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_that_races_with_the_revocation_of_its_clearance_comes_before_it_or_is_refused() {
    let (clinic, runners) = runners().await;
    race(&clinic, runners, |runner| async move {
        let (mut won, mut lost) = (0, 0);
        for round in 0..rounds() {
            let clearance = runner.clinic.sign(runner.clinic.clearance_request(&runner.consultation)).await.unwrap();
            let (booked, revoked) = both(round, runner.book(), runner.clinic.revoke(&clearance)).await;
            let revoked = revoked.unwrap();
            match booked {
                Ok(series) => {
                    won += 1;
                    assert_eq!(revoked.series_at_risk.len(), 1, "the revocation came after it");
                    runner.verify(won).await;
                    runner.cancel(&series).await;
                }
                Err(status) => {
                    lost += 1;
                    assert_eq!(refusal(&status)[0].reason(), pb::Reason::ClearanceMissing, "{status:?}");
                    assert!(revoked.series_at_risk.is_empty(), "the revocation came before it");
                }
            }
        }
        assert!(Killed::wanted().is_some() || won > 0 && lost > 0, "{won} won, {lost} lost");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_that_races_with_a_reaction_comes_before_it_or_is_refused() {
    let (clinic, mut runners) = runners().await;
    for runner in &mut runners {
        runner.treat_face().await;
    }
    let Some(()) = clinic.world.server.set_clock("2026-01-20T12:00:00Z") else { return };
    race(&clinic, runners, |runner| async move {
        let (mut won, mut lost) = (0, 0);
        for round in 0..rounds() {
            let (booked, reported) = both(round, runner.book(), runner.report()).await;
            let reported = reported.unwrap();
            match &booked {
                Ok(series) => {
                    won += 1;
                    assert!(reported.on_hold_series_ids.contains(&series.series_id), "the reaction came after it");
                    assert_eq!(reported.at_risk.len(), 1);
                    runner.verify(won).await;
                }
                Err(status) => {
                    lost += 1;
                    assert_eq!(refusal(status)[0].reason(), pb::Reason::SeriesOnHold, "{status:?}");
                    assert!(reported.at_risk.is_empty(), "the reaction came before it");
                }
            }
            let request = pb::ClearReactionRequest {
                request_id: request_id(),
                reaction_id: reported.reaction.unwrap().reaction_id,
                earliest_date: "2026-01-20".into(),
                ..Default::default()
            };
            runner.clinic.practitioner.patients().clear_reaction(request).await.unwrap();
            if let Ok(series) = booked {
                runner.cancel(&series).await;
            }
        }
        assert!(won > 0 && lost > 0, "{won} won, {lost} lost");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_is_used_or_revoked_and_never_both() {
    let (clinic, runners) = runners().await;
    race(&clinic, runners, |runner| async move {
        runner.clinic.sign(runner.clinic.clearance_request(&runner.consultation)).await.unwrap();
        let series = runner.book_two().await;
        let second = series.sessions[1].appointment.clone().unwrap();
        runner.clinic.world.cancel(&second).await.unwrap();
        let (mut won, mut lost) = (0, 0);
        for round in 0..rounds() {
            let granted = runner.grant(&series).await;
            let (booked, revoked) = both(round, runner.book_second(&series), runner.revoke(&granted)).await;
            match (booked, revoked) {
                (Ok(booked), Err(status)) => {
                    won += 1;
                    assert_eq!(refusal(&status)[0].appointment_id, booked.appointment_id);
                    assert_eq!(refusal(&status)[0].reason(), pb::Reason::SessionTooSoon);
                    runner.verify(won).await;
                    runner.clinic.world.cancel(&booked).await.unwrap();
                    runner.revoke(&granted).await.unwrap();
                }
                (Err(status), Ok(())) => {
                    lost += 1;
                    assert_eq!(refusal(&status)[0].reason(), pb::Reason::SessionTooSoon, "{status:?}");
                }
                (booked, revoked) => panic!("{booked:?} and {revoked:?}"),
            }
        }
        assert!(Killed::wanted().is_some() || won > 0 && lost > 0, "{won} won, {lost} lost");
    })
    .await;
}
