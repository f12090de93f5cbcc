//! What assessments of series came to.

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::assessment::{AssessmentResult, Outcome};
use crate::domain::ids::{AppointmentId, PracticeId, ResourceId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::text::Personal;

/// Names of outcomes in the database.
const CONTINUE: &str = "continue";
const EXTEND: &str = "extend";
const END: &str = "end";

/// Inserts the result of an assessment.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    series: SeriesId,
    result: &AssessmentResult,
    revision: i64,
) -> Result<(), StoreError> {
    let (outcome, session_count) = match result.outcome {
        Outcome::Continue => (CONTINUE, None),
        Outcome::Extend(count) => (EXTEND, Some(count)),
        Outcome::End => (END, None),
    };
    let done = sqlx::query!(
        "INSERT INTO assessment_results (practice_id, series_id, assessment_number, appointment_id, outcome,
                                         session_count, notes, recorded_at, recorded_by, recorded_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        practice.0,
        series.0,
        // A protocol has at most eight.
        i16::try_from(result.number).unwrap_or(i16::MAX),
        result.appointment.0,
        outcome,
        session_count,
        result.notes.expose().as_str(),
        result.recorded_at,
        result.recorded_by.0,
        revision
    );
    expect_rows("insert assessment result", 1, &done.execute(db).await?)
}

/// The results of some series, by series and assessment, in the order in which they were recorded.
pub async fn of_series(
    db: &mut PgConnection,
    practice: PracticeId,
    series: &[SeriesId],
) -> Result<Vec<(SeriesId, AssessmentResult)>, StoreError> {
    let series: Vec<Uuid> = series.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT series_id, assessment_number, appointment_id, outcome, session_count, notes, recorded_at, recorded_by
         FROM assessment_results WHERE practice_id = $1 AND series_id = ANY($2)
         ORDER BY series_id, assessment_number, recorded_revision",
        practice.0,
        &series
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

struct Row {
    series_id: Uuid,
    assessment_number: i16,
    appointment_id: Uuid,
    outcome: String,
    session_count: Option<i32>,
    notes: String,
    recorded_at: Instant,
    recorded_by: Uuid,
}

impl Row {
    fn read(self) -> Result<(SeriesId, AssessmentResult), StoreError> {
        let outcome = match (self.outcome.as_str(), self.session_count) {
            (CONTINUE, None) => Outcome::Continue,
            (EXTEND, Some(count)) => Outcome::Extend(count),
            (END, None) => Outcome::End,
            _ => return Err(StoreError::Corrupt("outcome of an assessment")),
        };
        let result = AssessmentResult {
            number: i32::from(self.assessment_number),
            appointment: AppointmentId(self.appointment_id),
            outcome,
            notes: Personal::new(read::prose(&self.notes)?),
            recorded_at: self.recorded_at,
            recorded_by: ResourceId(self.recorded_by),
        };
        Ok((SeriesId(self.series_id), result))
    }
}
