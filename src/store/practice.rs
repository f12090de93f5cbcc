//! Practices: their settings, and their revision, which is the lock that orders their writers.

use chrono::TimeDelta;
use sqlx::PgConnection;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::booking_rules::BookingRules;
use crate::domain::clinic::Practice;
use crate::domain::ids::PracticeId;
use crate::domain::interval::Instant;

/// Raises the practice's revision and holds its row until the transaction ends: the first statement of every write.
/// Nothing if there is no such practice.
pub async fn next_revision(db: &mut PgConnection, practice: PracticeId) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query_scalar!(
        "UPDATE practices SET revision = revision + 1 WHERE practice_id = $1 RETURNING revision",
        practice.0
    );
    Ok(row.fetch_optional(db).await?)
}

/// Where a practice stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Number of its latest change.
    pub revision: i64,
    /// How many days ahead of now a visit may begin.
    pub booking_horizon_days: i32,
    /// When the first hold ends, if there is one.
    pub hold_ends: Option<Instant>,
}

impl Standing {
    /// Whether a hold has expired that still takes up time.
    pub fn is_outlasted(self, now: Instant) -> bool {
        self.hold_ends.is_some_and(|end| end <= now)
    }

    /// The last moment at which a visit may begin.
    pub fn horizon_end(self, now: Instant) -> Instant {
        now + TimeDelta::days(i64::from(self.booking_horizon_days))
    }
}

/// Where a practice stands.
pub async fn standing(db: &mut PgConnection, practice: PracticeId) -> Result<Option<Standing>, StoreError> {
    let row = sqlx::query_as!(
        Standing,
        "SELECT revision, booking_horizon_days,
                (SELECT min(held_until) FROM appointments a
                 WHERE a.practice_id = practices.practice_id AND a.state = 'held') AS hold_ends
         FROM practices WHERE practice_id = $1",
        practice.0
    );
    Ok(row.fetch_optional(db).await?)
}

/// A practice.
pub async fn get(db: &mut PgConnection, practice: PracticeId) -> Result<Option<Practice>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT practice_id, name, booking_horizon_days, cancel_notice_hours, move_notice_hours,
                late_cancellation_counts, no_show_counts, max_hold_minutes, max_hold_total_minutes, revision,
                changed_revision
         FROM practices WHERE practice_id = $1",
        practice.0
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// Practices in order of their ids, after one of them. The deployment itself is not listed.
pub async fn list(db: &mut PgConnection, after: PracticeId, limit: i64) -> Result<Vec<Practice>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT practice_id, name, booking_horizon_days, cancel_notice_hours, move_notice_hours,
                late_cancellation_counts, no_show_counts, max_hold_minutes, max_hold_total_minutes, revision,
                changed_revision
         FROM practices WHERE practice_id > $1 ORDER BY practice_id LIMIT $2",
        after.0,
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// What a practice asks of those who cancel, move or miss a visit, or hold one.
pub async fn booking_rules(db: &mut PgConnection, practice: PracticeId) -> Result<BookingRules, StoreError> {
    let rules = sqlx::query_as!(
        BookingRules,
        "SELECT cancel_notice_hours, move_notice_hours, late_cancellation_counts, no_show_counts, max_hold_minutes,
                max_hold_total_minutes
         FROM practices WHERE practice_id = $1",
        practice.0
    );
    Ok(rules.fetch_one(db).await?)
}

/// Inserts a new practice, at the revision of its first change.
pub async fn insert(db: &mut PgConnection, practice: &Practice, now: Instant) -> Result<(), StoreError> {
    let rules = practice.booking_rules;
    let done = sqlx::query!(
        "INSERT INTO practices (practice_id, name, booking_horizon_days, revision, changed_revision, created_at,
                                cancel_notice_hours, move_notice_hours, late_cancellation_counts, no_show_counts,
                                max_hold_minutes, max_hold_total_minutes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        practice.id.0,
        practice.name.as_str(),
        practice.booking_horizon_days,
        practice.revision,
        practice.changed_revision,
        now,
        rules.cancel_notice_hours,
        rules.move_notice_hours,
        rules.late_cancellation_counts,
        rules.no_show_counts,
        rules.max_hold_minutes,
        rules.max_hold_total_minutes
    );
    expect_rows("insert practice", 1, &done.execute(db).await?)
}

/// Replaces the settings and booking rules of a practice.
pub async fn update(db: &mut PgConnection, practice: &Practice) -> Result<(), StoreError> {
    let rules = practice.booking_rules;
    let done = sqlx::query!(
        "UPDATE practices
         SET name = $2, booking_horizon_days = $3, cancel_notice_hours = $4, move_notice_hours = $5,
             late_cancellation_counts = $6, no_show_counts = $7, max_hold_minutes = $8, max_hold_total_minutes = $9,
             changed_revision = $10
         WHERE practice_id = $1",
        practice.id.0,
        practice.name.as_str(),
        practice.booking_horizon_days,
        rules.cancel_notice_hours,
        rules.move_notice_hours,
        rules.late_cancellation_counts,
        rules.no_show_counts,
        rules.max_hold_minutes,
        rules.max_hold_total_minutes,
        practice.changed_revision
    );
    expect_rows("update practice", 1, &done.execute(db).await?)
}

struct Row {
    practice_id: uuid::Uuid,
    name: String,
    booking_horizon_days: i32,
    cancel_notice_hours: i32,
    move_notice_hours: i32,
    late_cancellation_counts: bool,
    no_show_counts: bool,
    max_hold_minutes: i32,
    max_hold_total_minutes: i32,
    revision: i64,
    changed_revision: i64,
}

impl Row {
    fn read(self) -> Result<Practice, StoreError> {
        Ok(Practice {
            id: PracticeId(self.practice_id),
            name: read::label(&self.name)?,
            booking_horizon_days: self.booking_horizon_days,
            booking_rules: BookingRules {
                cancel_notice_hours: self.cancel_notice_hours,
                move_notice_hours: self.move_notice_hours,
                late_cancellation_counts: self.late_cancellation_counts,
                no_show_counts: self.no_show_counts,
                max_hold_minutes: self.max_hold_minutes,
                max_hold_total_minutes: self.max_hold_total_minutes,
            },
            revision: self.revision,
            changed_revision: self.changed_revision,
        })
    }
}
