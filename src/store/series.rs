//! Series.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, appointment, assessment, read};
use crate::domain::catalog::{BodyArea, GapDays};
use crate::domain::ids::{
    AppointmentId, ClearanceId, OverrideId, PatientId, PracticeId, ProtocolId, ReactionId, SeriesId,
};
use crate::domain::interval::Instant;
use crate::domain::series::{Series, SeriesGap, SeriesHold, SeriesState};
use crate::domain::text::Personal;
use crate::domain::zone::Zone;

/// A series with its sessions.
pub async fn get(db: &mut PgConnection, practice: PracticeId, id: SeriesId) -> Result<Option<Series>, StoreError> {
    Ok(by_ids(db, practice, &[id.0]).await?.pop())
}

/// Series by their ids; those that do not exist are left out.
pub async fn several(db: &mut PgConnection, practice: PracticeId, ids: &[SeriesId]) -> Result<Vec<Series>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    by_ids(db, practice, &ids).await
}

/// Which series a list holds.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// Only of this patient.
    pub patient: Option<PatientId>,
    /// Only those after this one.
    pub after: Option<SeriesId>,
}

/// Series of a practice, or of one patient, in order of their ids.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    listed: Listed,
    limit: i64,
) -> Result<Vec<Series>, StoreError> {
    let Listed { patient, after } = listed;
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let ids =
        match patient {
            Some(patient) => {
                sqlx::query_scalar!(
                    "SELECT series_id FROM series
                 WHERE practice_id = $1 AND patient_id = $2 AND series_id > $3 ORDER BY series_id LIMIT $4",
                    practice.0,
                    patient.0,
                    after,
                    limit
                )
                .fetch_all(&mut *db)
                .await?
            }
            None => sqlx::query_scalar!(
                "SELECT series_id FROM series WHERE practice_id = $1 AND series_id > $2 ORDER BY series_id LIMIT $3",
                practice.0,
                after,
                limit
            )
            .fetch_all(&mut *db)
            .await?,
        };
    by_ids(db, practice, &ids).await
}

/// The active series of a patient with their sessions.
pub async fn active(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
) -> Result<Vec<Series>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT series_id FROM series WHERE practice_id = $1 AND patient_id = $2 AND state = 'active'",
        practice.0,
        patient.0
    );
    let ids = ids.fetch_all(&mut *db).await?;
    by_ids(db, practice, &ids).await
}

/// The active series of some patients, and some by their ids whatever their state, with their sessions.
pub async fn of_visitors(
    db: &mut PgConnection,
    practice: PracticeId,
    patients: &[PatientId],
    named: &[SeriesId],
) -> Result<Vec<Series>, StoreError> {
    let patients: Vec<Uuid> = patients.iter().map(|id| id.0).collect();
    let named: Vec<Uuid> = named.iter().map(|id| id.0).collect();
    let ids = sqlx::query_scalar!(
        r#"SELECT series_id AS "id!" FROM series
           WHERE practice_id = $1 AND patient_id = ANY($2) AND state = 'active'
           UNION
           SELECT unnest($3::uuid[])"#,
        practice.0,
        &patients,
        &named
    );
    let ids = ids.fetch_all(&mut *db).await?;
    by_ids(db, practice, &ids).await
}

/// Series by id, in order of their ids.
async fn by_ids(db: &mut PgConnection, practice: PracticeId, ids: &[Uuid]) -> Result<Vec<Series>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT s.series_id, s.patient_id, s.protocol_id, s.protocol_version, s.body_area, s.session_count, s.state,
                  s.held_until, s.completed_at, s.cancelled_at, s.cancel_reason, s.changed_revision, p.gap_floor_days, p.gap_minimum_days,
                  (SELECT count(*)::integer FROM appointments a
                   WHERE a.practice_id = s.practice_id AND a.series_id = s.series_id AND a.counts_as_used)
                      AS "counted_as_used!",
                  p.gap_target_days, p.gap_maximum_days, o.override_id AS "override_id?",
                  o.gap_days AS "override_gap_days?",
                  ARRAY(SELECT r.reaction_id FROM reactions r
                        WHERE s.state = 'active' AND r.practice_id = s.practice_id AND r.patient_id = s.patient_id
                          AND r.reaction_grade <> 'normal' AND r.cleared_at IS NULL
                        ORDER BY r.reported_revision) AS "holding!",
                  (SELECT min(r.reported_at) FROM reactions r
                   WHERE s.state = 'active' AND r.practice_id = s.practice_id AND r.patient_id = s.patient_id
                     AND r.reaction_grade <> 'normal' AND r.cleared_at IS NULL) AS held_since
           FROM series s
           JOIN protocols p ON p.practice_id = s.practice_id AND p.protocol_id = s.protocol_id
                AND p.version = s.protocol_version
           LEFT JOIN overrides o ON o.practice_id = s.practice_id AND o.series_id = s.series_id
                AND o.revoked_revision IS NULL
           WHERE s.practice_id = $1 AND s.series_id = ANY($2)
           ORDER BY s.series_id"#,
        practice.0,
        ids
    );
    let rows = rows.fetch_all(&mut *db).await?;
    with_sessions(db, practice, rows).await
}

/// What series have to need, to be listed.
#[derive(Debug, Clone, Copy)]
pub struct Needing {
    /// A practitioner's clearing: a reaction holds them.
    pub clearing: bool,
    /// Their next session is overdue.
    pub next_session: bool,
    /// An assessment is due or overdue.
    pub assessment: bool,
}

/// Series of a practice, or of one patient, that need something, in order of their ids, after one of them. `today` is
/// the calendar day in each zone of the practice's clinics. Says in SQL what [`Series::overdue`] and
/// [`Series::assessments`] say of one series; days of sessions are those of their spacing windows.
pub async fn list_needing(
    db: &mut PgConnection,
    practice: PracticeId,
    Listed { patient, after }: Listed,
    needing: Needing,
    today: &[(Zone, NaiveDate)],
    limit: i64,
) -> Result<Vec<Series>, StoreError> {
    let zones: Vec<String> = today.iter().map(|(zone, _)| zone.name().to_owned()).collect();
    let days: Vec<NaiveDate> = today.iter().map(|(_, day)| *day).collect();
    let ids = sqlx::query_scalar!(
        "SELECT s.series_id
           FROM series s
           WHERE s.practice_id = $1 AND ($2::uuid IS NULL OR s.patient_id = $2) AND s.series_id > $3
             AND s.state <> 'cancelled'
             AND (NOT $4 OR s.state = 'active' AND EXISTS (
                 SELECT FROM (
                     SELECT appointment_id, clinic_id, session_number FROM appointments
                     WHERE practice_id = s.practice_id AND series_id = s.series_id AND live AND state <> 'held'
                     ORDER BY session_number DESC LIMIT 1) last
                 JOIN spacing_windows w ON w.practice_id = s.practice_id AND w.appointment_id = last.appointment_id
                     AND w.scope = s.body_area
                 JOIN clinics c ON c.practice_id = s.practice_id AND c.clinic_id = last.clinic_id
                 JOIN unnest($6::text[], $7::date[]) AS here (zone, today) ON here.zone = c.time_zone
                 JOIN protocols p ON p.practice_id = s.practice_id AND p.protocol_id = s.protocol_id
                     AND p.version = s.protocol_version
                 LEFT JOIN overrides o ON o.practice_id = s.practice_id AND o.series_id = s.series_id
                     AND o.revoked_revision IS NULL
                 WHERE last.session_number < s.session_count
                   AND here.today - lower(w.days) > greatest(p.gap_maximum_days, o.gap_days)))
             AND (NOT $5 OR EXISTS (
                 SELECT FROM protocol_assessments a
                 LEFT JOIN LATERAL (
                     -- The session that it counts from.
                     SELECT here.today - lower(w.days) AS days FROM (
                         SELECT appointment_id, clinic_id FROM appointments
                         WHERE practice_id = s.practice_id AND series_id = s.series_id AND live AND state <> 'held'
                           AND (a.due_kind <> 'at_session' OR session_number = a.at_session)
                         ORDER BY session_number DESC LIMIT 1) session
                     JOIN spacing_windows w ON w.practice_id = s.practice_id
                         AND w.appointment_id = session.appointment_id AND w.scope = s.body_area
                     JOIN clinics c ON c.practice_id = s.practice_id AND c.clinic_id = session.clinic_id
                     JOIN unnest($6::text[], $7::date[]) AS here (zone, today) ON here.zone = c.time_zone) since ON true
                 WHERE a.practice_id = s.practice_id AND a.protocol_id = s.protocol_id
                   AND a.version = s.protocol_version
                   AND (s.state = 'active' OR a.due_kind = 'after_last')
                   AND CASE a.due_kind
                       WHEN 'before_first' THEN true
                       WHEN 'at_session' THEN a.at_session <= s.session_count AND since.days >= 0
                       ELSE since.days >= a.minimum_days END
                   AND NOT EXISTS (
                       SELECT FROM assessment_results r
                       WHERE r.practice_id = s.practice_id AND r.series_id = s.series_id
                         AND r.assessment_number = a.position + 1
                         AND NOT (a.due_kind = 'after_last' AND s.state = 'active' AND r.outcome = 'extend'))))
             AND (NOT $9 OR s.state = 'active' AND EXISTS (
                 SELECT FROM reactions r
                 WHERE r.practice_id = s.practice_id AND r.patient_id = s.patient_id
                   AND r.reaction_grade <> 'normal' AND r.cleared_at IS NULL))
           ORDER BY s.series_id LIMIT $8",
        practice.0,
        patient.map(|id| id.0),
        after.map_or(Uuid::nil(), |id| id.0),
        needing.next_session,
        needing.assessment,
        &zones,
        &days,
        limit,
        needing.clearing
    );
    let ids = ids.fetch_all(&mut *db).await?;
    by_ids(db, practice, &ids).await
}

/// Inserts a new series, booked or held; its sessions are inserted as appointments.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    series: &Series,
    now: Instant,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO series (practice_id, series_id, patient_id, protocol_id, protocol_version, body_area,
                             session_count, state, booked_at, booked_revision, changed_revision, held_until,
                             held_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $10::timestamptz IS NULL THEN 'active' ELSE 'held' END, $8,
                 $9::bigint, $9::bigint, $10, CASE WHEN $10 IS NOT NULL THEN $9::bigint END)",
        practice.0,
        series.id.0,
        series.patient.0,
        series.protocol.0,
        series.protocol_version,
        series.area.as_str(),
        series.session_count,
        now,
        series.changed_revision,
        series.held_until()
    );
    expect_rows("insert series", 1, &done.execute(db).await?)
}

/// Cancels a series, or releases its hold; its appointments are cancelled separately.
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
         WHERE practice_id = $1 AND series_id = $2 AND state IN ('held', 'active')",
        practice.0,
        id.0,
        now,
        reason,
        revision
    );
    expect_rows("cancel series", 1, &done.execute(db).await?)
}

/// Prolongs the hold of a series and of its sessions.
pub async fn renew_hold(
    db: &mut PgConnection,
    practice: PracticeId,
    id: SeriesId,
    sessions: usize,
    until: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "WITH whole AS (
             UPDATE series SET held_until = $3, changed_revision = $4
             WHERE practice_id = $1 AND series_id = $2 AND state = 'held'
             RETURNING series_id)
         UPDATE appointments AS a SET held_until = $3, changed_revision = $4
         FROM whole
         WHERE a.practice_id = $1 AND a.series_id = whole.series_id AND a.state = 'held'",
        practice.0,
        id.0,
        until,
        revision
    );
    expect_rows("renew hold of series", sessions, &done.execute(db).await?)
}

/// Books a series that is held, with its sessions, each under its clearance.
pub async fn convert_hold(
    db: &mut PgConnection,
    practice: PracticeId,
    id: SeriesId,
    sessions: &[(AppointmentId, Option<ClearanceId>)],
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let (ids, clearances): (Vec<Uuid>, Vec<Option<Uuid>>) =
        sessions.iter().map(|(id, clearance)| (id.0, clearance.map(|id| id.0))).unzip();
    let done = sqlx::query!(
        "WITH whole AS (
             UPDATE series SET state = 'active', booked_at = $3, booked_revision = $4::bigint, changed_revision = $4::bigint
             WHERE practice_id = $1 AND series_id = $2 AND state = 'held'
             RETURNING series_id)
         UPDATE appointments AS a
         SET state = 'booked', clearance_id = under.clearance, booked_at = $3, booked_revision = $4::bigint,
             changed_revision = $4::bigint
         FROM whole, unnest($5::uuid[], $6::uuid[]) AS under (id, clearance)
         WHERE a.practice_id = $1 AND a.series_id = whole.series_id AND a.appointment_id = under.id AND a.state = 'held'",
        practice.0,
        id.0,
        now,
        revision,
        &ids,
        &clearances as &[Option<Uuid>]
    );
    expect_rows("convert hold of series", sessions.len(), &done.execute(db).await?)
}

/// Ends those of some series that are only held; their appointments are cancelled separately.
pub async fn release(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[SeriesId],
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let done = sqlx::query!(
        "UPDATE series SET state = 'cancelled', cancelled_at = $3, cancel_reason = '', changed_revision = $4
         WHERE practice_id = $1 AND series_id = ANY($2) AND state = 'held'",
        practice.0,
        &ids,
        now,
        revision
    );
    done.execute(db).await?;
    Ok(())
}

/// Completes a series; its appointments are cancelled separately.
pub async fn complete(
    db: &mut PgConnection,
    practice: PracticeId,
    id: SeriesId,
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE series SET state = 'completed', completed_at = $3, changed_revision = $4
         WHERE practice_id = $1 AND series_id = $2 AND state = 'active'",
        practice.0,
        id.0,
        now,
        revision
    );
    expect_rows("complete series", 1, &done.execute(db).await?)
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
    touch_all(db, practice, &[id], revision).await
}

/// The same of several, each named once.
pub async fn touch_all(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[SeriesId],
    revision: i64,
) -> Result<(), StoreError> {
    let uuids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let done = sqlx::query!(
        "UPDATE series SET changed_revision = $3 WHERE practice_id = $1 AND series_id = ANY($2)",
        practice.0,
        &uuids,
        revision
    );
    expect_rows("touch series", ids.len(), &done.execute(db).await?)
}

/// Marks the active series of a patient as changed, because a reaction holds or no longer holds them.
pub async fn touch_active(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE series SET changed_revision = $3 WHERE practice_id = $1 AND patient_id = $2 AND state = 'active'",
        practice.0,
        patient.0,
        revision
    );
    done.execute(db).await?;
    Ok(())
}

async fn with_sessions(db: &mut PgConnection, practice: PracticeId, rows: Vec<Row>) -> Result<Vec<Series>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<SeriesId> = rows.iter().map(|row| SeriesId(row.series_id)).collect();
    let visits = appointment::live_of_series(db, practice, &ids).await?;
    let results = assessment::of_series(db, practice, &ids).await?;
    let mut series: Vec<Series> = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
    for visit in visits {
        let of = visit.series();
        if let Some(series) = series.iter_mut().find(|series| Some(series.id) == of) {
            let list = if visit.session.is_some() { &mut series.sessions } else { &mut series.follow_ups };
            list.push(visit);
        }
    }
    for (of, result) in results {
        if let Some(series) = series.iter_mut().find(|series| series.id == of) {
            series.results.push(result);
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
    held_until: Option<Instant>,
    completed_at: Option<Instant>,
    cancelled_at: Option<Instant>,
    cancel_reason: Option<String>,
    changed_revision: i64,
    gap_floor_days: i32,
    gap_minimum_days: i32,
    gap_target_days: i32,
    gap_maximum_days: i32,
    override_id: Option<Uuid>,
    override_gap_days: Option<i32>,
    holding: Vec<Uuid>,
    held_since: Option<Instant>,
    counted_as_used: i32,
}

impl Row {
    fn read(self) -> Result<Series, StoreError> {
        let state = match (self.state.as_str(), self.completed_at, self.cancelled_at, self.cancel_reason) {
            ("held", None, None, None) => {
                SeriesState::Held { until: self.held_until.ok_or(StoreError::Corrupt("hold of a series"))? }
            }
            ("active", None, None, None) => SeriesState::Active,
            ("completed", Some(at), None, None) => SeriesState::Completed { at },
            ("cancelled", None, Some(at), Some(reason)) => {
                SeriesState::Cancelled { at, reason: Personal::new(read::prose(&reason)?) }
            }
            _ => return Err(StoreError::Corrupt("state of a series")),
        };
        let gap = GapDays::new(self.gap_floor_days, self.gap_minimum_days, self.gap_target_days, self.gap_maximum_days);
        let overridden = self.override_id.zip(self.override_gap_days);
        let reactions = self.holding.into_iter().map(ReactionId).collect();
        Ok(Series {
            id: SeriesId(self.series_id),
            patient: PatientId(self.patient_id),
            protocol: ProtocolId(self.protocol_id),
            protocol_version: self.protocol_version,
            area: read::named(BodyArea::from_name(&self.body_area))?,
            gap: SeriesGap {
                protocol: gap.ok_or(StoreError::Corrupt("gap"))?,
                overridden: overridden.map(|(id, days)| (OverrideId(id), days)),
            },
            hold: self.held_since.map(|since| SeriesHold { reactions, since }),
            session_count: self.session_count,
            state,
            sessions: Vec::new(),
            follow_ups: Vec::new(),
            results: Vec::new(),
            counted_as_used: self.counted_as_used,
            changed_revision: self.changed_revision,
        })
    }
}
