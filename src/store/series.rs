//! Series.

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, appointment, read};
use crate::domain::catalog::BodyArea;
use crate::domain::ids::{PatientId, PracticeId, ProtocolId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::series::{Series, SeriesState};
use crate::domain::text::Personal;

/// A series with its sessions.
pub async fn get(db: &mut PgConnection, practice: PracticeId, id: SeriesId) -> Result<Option<Series>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT series_id, patient_id, protocol_id, protocol_version, body_area, session_count, state, cancelled_at,
                cancel_reason, changed_revision
         FROM series WHERE practice_id = $1 AND series_id = $2",
        practice.0,
        id.0
    );
    let rows = row.fetch_all(&mut *db).await?;
    Ok(with_sessions(db, practice, rows).await?.pop())
}

/// Series of a practice, or of one patient, in order of their ids, after one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: Option<PatientId>,
    after: Option<SeriesId>,
    limit: i64,
) -> Result<Vec<Series>, StoreError> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let rows = match patient {
        Some(patient) => {
            sqlx::query_as!(
                Row,
                "SELECT series_id, patient_id, protocol_id, protocol_version, body_area, session_count, state,
                        cancelled_at, cancel_reason, changed_revision
                 FROM series WHERE practice_id = $1 AND patient_id = $2 AND series_id > $3 ORDER BY series_id LIMIT $4",
                practice.0,
                patient.0,
                after,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
        None => {
            sqlx::query_as!(
                Row,
                "SELECT series_id, patient_id, protocol_id, protocol_version, body_area, session_count, state,
                        cancelled_at, cancel_reason, changed_revision
                 FROM series WHERE practice_id = $1 AND series_id > $2 ORDER BY series_id LIMIT $3",
                practice.0,
                after,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
    };
    with_sessions(db, practice, rows).await
}

/// Inserts a new series; its sessions are inserted as appointments.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    series: &Series,
    now: Instant,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO series (practice_id, series_id, patient_id, protocol_id, protocol_version, body_area,
                             session_count, state, booked_at, booked_revision, changed_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, $9)",
        practice.0,
        series.id.0,
        series.patient.0,
        series.protocol.0,
        series.protocol_version,
        series.area.as_str(),
        series.session_count,
        now,
        series.changed_revision
    );
    expect_rows("insert series", 1, &done.execute(db).await?)
}

/// Cancels a series; its appointments are cancelled separately.
pub async fn cancel(
    db: &mut PgConnection,
    practice: PracticeId,
    id: SeriesId,
    now: Instant,
    reason: &str,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE series SET state = 'cancelled', cancelled_at = $3, cancel_reason = $4, changed_revision = $5
         WHERE practice_id = $1 AND series_id = $2 AND state = 'active'",
        practice.0,
        id.0,
        now,
        reason,
        revision
    );
    expect_rows("cancel series", 1, &done.execute(db).await?)
}

/// Gives a series another number of sessions; its appointments are booked or cancelled separately.
pub async fn resize(
    db: &mut PgConnection,
    practice: PracticeId,
    id: SeriesId,
    session_count: i32,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE series SET session_count = $3, changed_revision = $4
         WHERE practice_id = $1 AND series_id = $2 AND state = 'active'",
        practice.0,
        id.0,
        session_count,
        revision
    );
    expect_rows("resize series", 1, &done.execute(db).await?)
}

/// Marks a series as changed, because one of its sessions was.
pub async fn touch(db: &mut PgConnection, practice: PracticeId, id: SeriesId, revision: i64) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE series SET changed_revision = $3 WHERE practice_id = $1 AND series_id = $2",
        practice.0,
        id.0,
        revision
    );
    expect_rows("touch series", 1, &done.execute(db).await?)
}

async fn with_sessions(db: &mut PgConnection, practice: PracticeId, rows: Vec<Row>) -> Result<Vec<Series>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<SeriesId> = rows.iter().map(|row| SeriesId(row.series_id)).collect();
    let sessions = appointment::live_sessions(db, practice, &ids).await?;
    let mut series: Vec<Series> = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
    for session in sessions {
        let of = session.session.map(|session| session.series);
        if let Some(series) = series.iter_mut().find(|series| Some(series.id) == of) {
            series.sessions.push(session);
        }
    }
    Ok(series)
}

struct Row {
    series_id: Uuid,
    patient_id: Uuid,
    protocol_id: Uuid,
    protocol_version: i32,
    body_area: String,
    session_count: i32,
    state: String,
    cancelled_at: Option<Instant>,
    cancel_reason: Option<String>,
    changed_revision: i64,
}

impl Row {
    fn read(self) -> Result<Series, StoreError> {
        let state = match (self.state.as_str(), self.cancelled_at, self.cancel_reason) {
            ("active", None, None) => SeriesState::Active,
            ("cancelled", Some(at), Some(reason)) => {
                SeriesState::Cancelled { at, reason: Personal::new(read::prose(&reason)?) }
            }
            _ => return Err(StoreError::Corrupt("state of a series")),
        };
        Ok(Series {
            id: SeriesId(self.series_id),
            patient: PatientId(self.patient_id),
            protocol: ProtocolId(self.protocol_id),
            protocol_version: self.protocol_version,
            area: read::named(BodyArea::from_name(&self.body_area))?,
            session_count: self.session_count,
            state,
            sessions: Vec::new(),
            changed_revision: self.changed_revision,
        })
    }
}
