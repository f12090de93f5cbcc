//! Appointments with all that they take up: each step from one state to another.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::booking::ActivityWindow;
use crate::domain::booking_rules::Ending;
use crate::domain::ids::{AppointmentId, ClearanceId, PatientId, PracticeId, SeriesId};
use crate::domain::interval::Instant;
use crate::store::StoreError;
use crate::store::error::expect_rows;

/// Marks a visit as confirmed by its patient.
pub async fn confirm(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE appointments
         SET state = 'confirmed', confirmed_at = $3, confirmed_revision = $4, changed_revision = $4
         WHERE practice_id = $1 AND appointment_id = $2 AND state = 'booked'",
        practice.0,
        id.0,
        now,
        revision
    );
    expect_rows("confirm", 1, &done.execute(db).await?)
}

/// Marks a patient as arrived.
pub async fn arrive(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE appointments
         SET state = 'arrived', arrived_at = $3, arrived_revision = $4, changed_revision = $4
         WHERE practice_id = $1 AND appointment_id = $2 AND state IN ('booked', 'confirmed')",
        practice.0,
        id.0,
        now,
        revision
    );
    expect_rows("check in", 1, &done.execute(db).await?)
}

/// Marks the treatment of a visit as begun.
pub async fn start(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE appointments
         SET state = 'in_progress', started_at = $3, started_revision = $4, changed_revision = $4
         WHERE practice_id = $1 AND appointment_id = $2 AND state = 'arrived'",
        practice.0,
        id.0,
        now,
        revision
    );
    expect_rows("start visit", 1, &done.execute(db).await?)
}

/// When a visit really began, and its windows from then on.
#[derive(Debug, Clone)]
pub struct Performed {
    /// When it began.
    pub start: Instant,
    /// Its day at its clinic.
    pub day: chrono::NaiveDate,
    /// What it forbids, is, advises against and asks.
    pub windows: Vec<ActivityWindow>,
}

/// Marks a visit as fulfilled, and moves its windows to what really happened. What was reserved stays as it was.
pub async fn fulfil(
    db: &mut PgConnection,
    practice: PracticeId,
    (id, patient): (AppointmentId, PatientId),
    performed: &Performed,
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let texts =
        |of: fn(&ActivityWindow) -> &'static str| -> Vec<&'static str> { performed.windows.iter().map(of).collect() };
    let starts: Vec<Instant> = performed.windows.iter().map(|window| window.during.start()).collect();
    let ends: Vec<Instant> = performed.windows.iter().map(|window| window.during.end()).collect();
    let done = sqlx::query!(
        "WITH visit AS (
             UPDATE appointments
             SET state = 'fulfilled', fulfilled_at = $3, performed_start = $4, changed_revision = $5
             WHERE practice_id = $1 AND appointment_id = $2 AND state IN ('arrived', 'in_progress')),
         spaced AS (
             UPDATE spacing_windows SET days = daterange($6::date, $6::date + (upper(days) - lower(days)))
             WHERE practice_id = $1 AND appointment_id = $2),
         told AS (
             SELECT activity, role, tstzrange(a, b) AS during
             FROM unnest($7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[]) AS n (activity, role, a, b)),
         -- Where the clocks are changed, a duty may be over before it begins, or not any more.
         gone AS (
             DELETE FROM activity_windows w
             WHERE w.practice_id = $1 AND w.appointment_id = $2 AND NOT EXISTS (
                 SELECT FROM told WHERE told.activity = w.activity AND told.role = w.role))
         INSERT INTO activity_windows (practice_id, patient_id, live, appointment_id, activity, role, during)
         SELECT $1, $11, true, $2, activity, role, during FROM told
         ON CONFLICT (practice_id, appointment_id, activity, role) DO UPDATE SET during = excluded.during",
        practice.0,
        id.0,
        now,
        performed.start,
        revision,
        performed.day,
        &texts(|window| window.activity.as_str()) as &[&str],
        &texts(|window| window.role.as_str()) as &[&str],
        &starts,
        &ends,
        patient.0
    );
    expect_rows("move windows", performed.windows.len(), &done.execute(db).await?)
}

/// The holds of a practice that end by then, each with its patient and series.
pub async fn holds_ending(
    db: &mut PgConnection,
    practice: PracticeId,
    by: Instant,
) -> Result<Vec<(AppointmentId, PatientId, Option<SeriesId>)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT appointment_id, patient_id, coalesce(series_id, follows_series_id) AS series_id FROM appointments
         WHERE practice_id = $1 AND state = 'held' AND held_until <= $2
         ORDER BY held_until, appointment_id",
        practice.0,
        by
    );
    let rows = rows.fetch_all(db).await?.into_iter();
    Ok(rows
        .map(|row| (AppointmentId(row.appointment_id), PatientId(row.patient_id), row.series_id.map(SeriesId)))
        .collect())
}

/// When a visit that is held was first held.
pub async fn held_since(db: &mut PgConnection, practice: PracticeId, id: AppointmentId) -> Result<Instant, StoreError> {
    let since = sqlx::query_scalar!(
        "SELECT booked_at FROM appointments WHERE practice_id = $1 AND appointment_id = $2 AND state = 'held'",
        practice.0,
        id.0
    );
    Ok(since.fetch_one(db).await?)
}

/// Prolongs a hold.
pub async fn renew_hold(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    until: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE appointments SET held_until = $3, changed_revision = $4
         WHERE practice_id = $1 AND appointment_id = $2 AND state = 'held'",
        practice.0,
        id.0,
        until,
        revision
    );
    expect_rows("renew hold", 1, &done.execute(db).await?)
}

/// Books what is held.
pub async fn convert_hold(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    clearance: Option<ClearanceId>,
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE appointments
         SET state = 'booked', clearance_id = $3, booked_at = $4, booked_revision = $5, changed_revision = $5
         WHERE practice_id = $1 AND appointment_id = $2 AND state = 'held'",
        practice.0,
        id.0,
        clearance.map(|id| id.0),
        now,
        revision
    );
    expect_rows("convert hold", 1, &done.execute(db).await?)
}

/// Cancels appointments and frees what they take up.
pub async fn cancel(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[AppointmentId],
    now: Instant,
    reason: &str,
    revision: i64,
) -> Result<(), StoreError> {
    end(db, practice, ids, now, reason, revision, None).await
}

/// Marks a visit as one to which nobody came, and frees what it takes up.
pub async fn miss(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    now: Instant,
    reason: &str,
    revision: i64,
) -> Result<(), StoreError> {
    end(db, practice, &[id], now, reason, revision, Some(revision)).await
}

/// In one statement, because the foreign keys let neither the appointment nor what it takes up change without the other.
async fn end(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[AppointmentId],
    now: Instant,
    reason: &str,
    revision: i64,
    no_show_revision: Option<i64>,
) -> Result<(), StoreError> {
    let uuids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let done = sqlx::query!(
        "WITH taken AS (
             UPDATE occupancies SET live = false WHERE practice_id = $1 AND appointment_id = ANY($2)),
         spaced AS (
             UPDATE spacing_windows SET live = false WHERE practice_id = $1 AND appointment_id = ANY($2)),
         windows AS (
             UPDATE activity_windows SET live = false WHERE practice_id = $1 AND appointment_id = ANY($2))
         UPDATE appointments SET state = 'cancelled', cancelled_at = $3, cancel_reason = $4, changed_revision = $5,
                                 no_show_revision = $6
         WHERE practice_id = $1 AND appointment_id = ANY($2) AND state IN ('held', 'booked', 'confirmed')",
        practice.0,
        &uuids,
        now,
        reason,
        revision,
        no_show_revision
    );
    expect_rows("cancel appointments", ids.len(), &done.execute(db).await?)
}

/// Says how a visit ended that was cancelled, moved or missed by itself.
pub async fn ended(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    ending: Ending,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE appointments SET end_reason = $3, end_notice_hours = $4, counts_as_used = $5
         WHERE practice_id = $1 AND appointment_id = $2 AND state = 'cancelled'",
        practice.0,
        id.0,
        ending.because.as_str(),
        ending.notice_hours,
        ending.counts_as_used
    );
    expect_rows("end visit", 1, &done.execute(db).await?)
}

/// Takes the latest step of a visit back, and makes live again all that it took up.
pub async fn undo(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "WITH taken AS (
             UPDATE occupancies SET live = true WHERE practice_id = $1 AND appointment_id = $2 AND NOT live),
         spaced AS (
             UPDATE spacing_windows SET live = true WHERE practice_id = $1 AND appointment_id = $2 AND NOT live),
         windows AS (
             UPDATE activity_windows SET live = true WHERE practice_id = $1 AND appointment_id = $2 AND NOT live)
         UPDATE appointments
         SET state = CASE WHEN state = 'in_progress' THEN 'arrived'
                          WHEN state = 'confirmed' OR confirmed_at IS NULL THEN 'booked' ELSE 'confirmed' END,
             confirmed_at = CASE WHEN state <> 'confirmed' THEN confirmed_at END,
             confirmed_revision = CASE WHEN state <> 'confirmed' THEN confirmed_revision END,
             arrived_at = CASE WHEN state = 'in_progress' THEN arrived_at END,
             arrived_revision = CASE WHEN state = 'in_progress' THEN arrived_revision END,
             started_at = NULL, started_revision = NULL, cancelled_at = NULL, cancel_reason = NULL,
             no_show_revision = NULL, end_reason = NULL, end_notice_hours = NULL, counts_as_used = NULL,
             changed_revision = $3
         WHERE practice_id = $1 AND appointment_id = $2
           AND (state IN ('confirmed', 'arrived', 'in_progress') OR no_show_revision IS NOT NULL)",
        practice.0,
        id.0,
        revision
    );
    expect_rows("undo visit", 1, &done.execute(db).await?)
}
