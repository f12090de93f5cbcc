//! Promise P5, as `verify` derives it once more, and under races: nobody is needled who is not fit for it.

use std::future::Future;

use sqlx::{AssertSqlSafe, Executor as _};
use stipple::rpc::pb;
use tonic::Status;

use crate::desk::FOUR;
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
    let (clinic, _) = booked().await;
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
    day: usize,
}

impl Runner {
    async fn new(clinic: &Clinic, day: usize) -> Self {
        let patient = clinic.world.patient().await;
        clinic.screen(&patient, &[]).await;
        let clinic = clinic.with_another_practitioner().await;
        let consultation = clinic.consult(&patient).await;
        Self { clinic, patient, consultation, day }
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
async fn race<F: Future<Output = ()> + Send + 'static>(run: impl Fn(Runner) -> F) {
    let clinic = Clinic::with(|content| content.sessions_minimum = 1).await;
    let mut running = Vec::new();
    for day in 0..RUNNERS {
        running.push(tokio::spawn(run(Runner::new(&clinic, day).await)));
    }
    for runner in running {
        runner.await.unwrap();
    }
    clinic.world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_that_races_with_the_revocation_of_its_clearance_comes_before_it_or_is_refused() {
    race(|runner| async move {
        let (mut won, mut lost) = (0, 0);
        for round in 0..rounds() {
            let clearance = runner.clinic.sign(runner.clinic.clearance_request(&runner.consultation)).await.unwrap();
            // Each gets a head start in turn, so that both orders occur.
            let (booked, revoked) = if round % 2 == 0 {
                tokio::join!(runner.book(), runner.clinic.revoke(&clearance))
            } else {
                let (revoked, booked) = tokio::join!(runner.clinic.revoke(&clearance), runner.book());
                (booked, revoked)
            };
            let revoked = revoked.unwrap();
            match booked {
                Ok(series) => {
                    won += 1;
                    assert_eq!(revoked.series_at_risk.len(), 1, "the revocation came after it");
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
