//! Clinics, when they are open, and when they are closed all the same.

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::clinic::{Clinic, Closure};
use crate::domain::hours::Week;
use crate::domain::ids::{ClinicId, ClosureId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::zone::Zone;

/// A clinic.
pub async fn get(db: &mut PgConnection, practice: PracticeId, clinic: ClinicId) -> Result<Option<Clinic>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT clinic.clinic_id, clinic.name, clinic.time_zone, clinic.changed_revision,
                  hours.weekdays AS "weekdays!", hours.opens AS "opens!", hours.closes AS "closes!"
           FROM clinics AS clinic CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(weekday ORDER BY weekday, minutes), '{}') AS weekdays,
                      coalesce(array_agg(lower(minutes) ORDER BY weekday, minutes), '{}') AS opens,
                      coalesce(array_agg(upper(minutes) ORDER BY weekday, minutes), '{}') AS closes
               FROM opening_hours AS open
               WHERE open.practice_id = clinic.practice_id AND open.clinic_id = clinic.clinic_id
           ) AS hours
           WHERE clinic.practice_id = $1 AND clinic.clinic_id = $2"#,
        practice.0,
        clinic.0
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// The zones of a practice's clinics.
pub async fn zones(db: &mut PgConnection, practice: PracticeId) -> Result<Vec<Zone>, StoreError> {
    let names = sqlx::query_scalar!("SELECT DISTINCT time_zone FROM clinics WHERE practice_id = $1", practice.0);
    names.fetch_all(db).await?.iter().map(|name| read::zone(name)).collect()
}

/// Whether there is such a clinic.
pub async fn exists(db: &mut PgConnection, practice: PracticeId, clinic: ClinicId) -> Result<bool, StoreError> {
    let row = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM clinics WHERE practice_id = $1 AND clinic_id = $2) AS "exists!""#,
        practice.0,
        clinic.0
    );
    Ok(row.fetch_one(db).await?)
}

/// Clinics in order of their ids, after one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    after: Option<ClinicId>,
    limit: i64,
) -> Result<Vec<Clinic>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT clinic.clinic_id, clinic.name, clinic.time_zone, clinic.changed_revision,
                  hours.weekdays AS "weekdays!", hours.opens AS "opens!", hours.closes AS "closes!"
           FROM clinics AS clinic CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(weekday ORDER BY weekday, minutes), '{}') AS weekdays,
                      coalesce(array_agg(lower(minutes) ORDER BY weekday, minutes), '{}') AS opens,
                      coalesce(array_agg(upper(minutes) ORDER BY weekday, minutes), '{}') AS closes
               FROM opening_hours AS open
               WHERE open.practice_id = clinic.practice_id AND open.clinic_id = clinic.clinic_id
           ) AS hours
           WHERE clinic.practice_id = $1 AND clinic.clinic_id > $2
           ORDER BY clinic.clinic_id LIMIT $3"#,
        practice.0,
        // The nil UUID comes before every id.
        after.map(|id| id.0).unwrap_or_default(),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// Inserts a new clinic with its opening hours.
pub async fn insert(db: &mut PgConnection, practice: PracticeId, clinic: &Clinic) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO clinics (practice_id, clinic_id, name, time_zone, changed_revision) VALUES ($1, $2, $3, $4, $5)",
        practice.0,
        clinic.id.0,
        clinic.name.as_str(),
        clinic.zone.name(),
        clinic.changed_revision
    );
    expect_rows("insert clinic", 1, &done.execute(&mut *db).await?)?;
    insert_hours(db, practice, clinic).await
}

/// Replaces name and opening hours of a clinic.
pub async fn update(db: &mut PgConnection, practice: PracticeId, clinic: &Clinic) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE clinics SET name = $3, changed_revision = $4 WHERE practice_id = $1 AND clinic_id = $2",
        practice.0,
        clinic.id.0,
        clinic.name.as_str(),
        clinic.changed_revision
    );
    expect_rows("update clinic", 1, &done.execute(&mut *db).await?)?;
    // A statement of its own: within one, the new stretches would still collide with the old.
    let cleared =
        sqlx::query!("DELETE FROM opening_hours WHERE practice_id = $1 AND clinic_id = $2", practice.0, clinic.id.0);
    cleared.execute(&mut *db).await?;
    insert_hours(db, practice, clinic).await
}

async fn insert_hours(db: &mut PgConnection, practice: PracticeId, clinic: &Clinic) -> Result<(), StoreError> {
    let stretches = clinic.opening_hours.stretches();
    let weekdays: Vec<i16> = stretches.iter().map(|stretch| stretch.iso_weekday()).collect();
    let opens: Vec<i32> = stretches.iter().map(|stretch| stretch.from()).collect();
    let closes: Vec<i32> = stretches.iter().map(|stretch| stretch.to()).collect();
    let done = sqlx::query!(
        "INSERT INTO opening_hours (practice_id, clinic_id, weekday, minutes)
         SELECT $1::uuid, $2::uuid, weekday, int4range(opens, closes)
         FROM UNNEST($3::smallint[], $4::integer[], $5::integer[]) AS stretch (weekday, opens, closes)",
        practice.0,
        clinic.id.0,
        &weekdays,
        &opens,
        &closes
    );
    expect_rows("insert opening hours", stretches.len(), &done.execute(db).await?)
}

/// A closure.
pub async fn get_closure(
    db: &mut PgConnection,
    practice: PracticeId,
    closure: ClosureId,
) -> Result<Option<Closure>, StoreError> {
    let row = sqlx::query_as!(
        ClosureRow,
        r#"SELECT closure_id, clinic_id, lower(during) AS "start!", upper(during) AS "end!", reason FROM closures
           WHERE practice_id = $1 AND closure_id = $2"#,
        practice.0,
        closure.0
    );
    row.fetch_optional(db).await?.map(ClosureRow::read).transpose()
}

/// Closures of a clinic in order of their ids, after one of them.
pub async fn list_closures(
    db: &mut PgConnection,
    practice: PracticeId,
    clinic: ClinicId,
    after: Option<ClosureId>,
    limit: i64,
) -> Result<Vec<Closure>, StoreError> {
    let rows = sqlx::query_as!(
        ClosureRow,
        r#"SELECT closure_id, clinic_id, lower(during) AS "start!", upper(during) AS "end!", reason FROM closures
           WHERE practice_id = $1 AND clinic_id = $2 AND closure_id > $3 ORDER BY closure_id LIMIT $4"#,
        practice.0,
        clinic.0,
        after.map(|id| id.0).unwrap_or_default(),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(ClosureRow::read).collect()
}

/// Inserts a new closure.
pub async fn insert_closure(db: &mut PgConnection, practice: PracticeId, closure: &Closure) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO closures (practice_id, closure_id, clinic_id, during, reason)
         VALUES ($1, $2, $3, tstzrange($4, $5), $6)",
        practice.0,
        closure.id.0,
        closure.clinic.0,
        closure.during.start(),
        closure.during.end(),
        closure.reason.as_str()
    );
    expect_rows("insert closure", 1, &done.execute(db).await?)
}

/// Deletes a closure. False if there is no such closure.
pub async fn delete_closure(
    db: &mut PgConnection,
    practice: PracticeId,
    closure: ClosureId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!("DELETE FROM closures WHERE practice_id = $1 AND closure_id = $2", practice.0, closure.0);
    Ok(done.execute(db).await?.rows_affected() > 0)
}

struct Row {
    clinic_id: Uuid,
    name: String,
    time_zone: String,
    changed_revision: i64,
    weekdays: Vec<i16>,
    opens: Vec<i32>,
    closes: Vec<i32>,
}

impl Row {
    fn read(self) -> Result<Clinic, StoreError> {
        let stretches = self.weekdays.into_iter().zip(self.opens).zip(self.closes);
        let stretches = stretches.map(|((weekday, opens), closes)| read::stretch(weekday, opens, closes));
        let opening_hours = Week::new(stretches.collect::<Result<_, _>>()?);
        Ok(Clinic {
            id: ClinicId(self.clinic_id),
            name: read::label(&self.name)?,
            zone: read::zone(&self.time_zone)?,
            opening_hours: opening_hours.ok_or(StoreError::Corrupt("opening hours"))?,
            changed_revision: self.changed_revision,
        })
    }
}

struct ClosureRow {
    closure_id: Uuid,
    clinic_id: Uuid,
    start: Instant,
    end: Instant,
    reason: String,
}

impl ClosureRow {
    fn read(self) -> Result<Closure, StoreError> {
        Ok(Closure {
            id: ClosureId(self.closure_id),
            clinic: ClinicId(self.clinic_id),
            during: read::interval(self.start, self.end)?,
            reason: read::prose(&self.reason)?,
        })
    }
}
