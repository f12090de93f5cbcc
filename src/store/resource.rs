//! Resources, when they work, and when they are away.

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::catalog::{Qualification, ResourceKind};
use crate::domain::ids::{ClinicId, PracticeId, ResourceId, TimeOffId};
use crate::domain::interval::Instant;
use crate::domain::resource::{Resource, TimeOff};
use crate::domain::text::Personal;

/// A resource.
pub async fn get(
    db: &mut PgConnection,
    practice: PracticeId,
    resource: ResourceId,
) -> Result<Option<Resource>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT resource.resource_id, resource.kind, resource.name, resource.clinic_id, resource.active,
                  resource.qualifications, resource.changed_revision, hours.clinics AS "clinics!",
                  hours.weekdays AS "weekdays!", hours.opens AS "opens!", hours.closes AS "closes!"
           FROM resources AS resource CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(clinic_id ORDER BY clinic_id, weekday, minutes), '{}') AS clinics,
                      coalesce(array_agg(weekday ORDER BY clinic_id, weekday, minutes), '{}') AS weekdays,
                      coalesce(array_agg(lower(minutes) ORDER BY clinic_id, weekday, minutes), '{}') AS opens,
                      coalesce(array_agg(upper(minutes) ORDER BY clinic_id, weekday, minutes), '{}') AS closes
               FROM working_hours AS work
               WHERE work.practice_id = resource.practice_id AND work.resource_id = resource.resource_id
           ) AS hours
           WHERE resource.practice_id = $1 AND resource.resource_id = $2"#,
        practice.0,
        resource.0
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// Whether there is such a resource.
pub async fn exists(db: &mut PgConnection, practice: PracticeId, resource: ResourceId) -> Result<bool, StoreError> {
    let row = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM resources WHERE practice_id = $1 AND resource_id = $2) AS "exists!""#,
        practice.0,
        resource.0
    );
    Ok(row.fetch_one(db).await?)
}

/// Resources, of one kind or of all, in order of their ids, after one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    kind: Option<ResourceKind>,
    after: Option<ResourceId>,
    limit: i64,
) -> Result<Vec<Resource>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT resource.resource_id, resource.kind, resource.name, resource.clinic_id, resource.active,
                  resource.qualifications, resource.changed_revision, hours.clinics AS "clinics!",
                  hours.weekdays AS "weekdays!", hours.opens AS "opens!", hours.closes AS "closes!"
           FROM resources AS resource CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(clinic_id ORDER BY clinic_id, weekday, minutes), '{}') AS clinics,
                      coalesce(array_agg(weekday ORDER BY clinic_id, weekday, minutes), '{}') AS weekdays,
                      coalesce(array_agg(lower(minutes) ORDER BY clinic_id, weekday, minutes), '{}') AS opens,
                      coalesce(array_agg(upper(minutes) ORDER BY clinic_id, weekday, minutes), '{}') AS closes
               FROM working_hours AS work
               WHERE work.practice_id = resource.practice_id AND work.resource_id = resource.resource_id
           ) AS hours
           WHERE resource.practice_id = $1 AND ($2::text IS NULL OR resource.kind = $2) AND resource.resource_id > $3
           ORDER BY resource.resource_id LIMIT $4"#,
        practice.0,
        kind.map(ResourceKind::as_str),
        // The nil UUID comes before every id.
        after.map(|id| id.0).unwrap_or_default(),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// Inserts a new resource with its working hours.
pub async fn insert(db: &mut PgConnection, practice: PracticeId, resource: &Resource) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO resources (practice_id, resource_id, kind, name, clinic_id, active, qualifications,
                                changed_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        practice.0,
        resource.id.0,
        resource.kind.as_str(),
        resource.name.expose().as_str(),
        resource.clinic.map(|id| id.0),
        resource.active,
        &codes(&resource.qualifications),
        resource.changed_revision
    );
    expect_rows("insert resource", 1, &done.execute(&mut *db).await?)?;
    insert_hours(db, practice, resource).await
}

/// Replaces what may change of a resource.
pub async fn update(db: &mut PgConnection, practice: PracticeId, resource: &Resource) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE resources SET name = $3, active = $4, qualifications = $5, changed_revision = $6
         WHERE practice_id = $1 AND resource_id = $2",
        practice.0,
        resource.id.0,
        resource.name.expose().as_str(),
        resource.active,
        &codes(&resource.qualifications),
        resource.changed_revision
    );
    expect_rows("update resource", 1, &done.execute(&mut *db).await?)?;
    // A statement of its own: within one, the new stretches would still collide with the old.
    let cleared = sqlx::query!(
        "DELETE FROM working_hours WHERE practice_id = $1 AND resource_id = $2",
        practice.0,
        resource.id.0
    );
    cleared.execute(&mut *db).await?;
    insert_hours(db, practice, resource).await
}

fn codes(qualifications: &[Qualification]) -> Vec<String> {
    qualifications.iter().map(|qualification| qualification.as_str().to_owned()).collect()
}

async fn insert_hours(db: &mut PgConnection, practice: PracticeId, resource: &Resource) -> Result<(), StoreError> {
    let hours = &resource.working_hours;
    let clinics: Vec<Uuid> = hours.iter().map(|(clinic, _)| clinic.0).collect();
    let weekdays: Vec<i16> = hours.iter().map(|(_, stretch)| stretch.iso_weekday()).collect();
    let opens: Vec<i32> = hours.iter().map(|(_, stretch)| stretch.from()).collect();
    let closes: Vec<i32> = hours.iter().map(|(_, stretch)| stretch.to()).collect();
    let done = sqlx::query!(
        "INSERT INTO working_hours (practice_id, resource_id, clinic_id, weekday, minutes)
         SELECT $1::uuid, $2::uuid, clinic_id, weekday, int4range(opens, closes)
         FROM UNNEST($3::uuid[], $4::smallint[], $5::integer[], $6::integer[])
              AS stretch (clinic_id, weekday, opens, closes)",
        practice.0,
        resource.id.0,
        &clinics,
        &weekdays,
        &opens,
        &closes
    );
    expect_rows("insert working hours", hours.len(), &done.execute(db).await?)
}

/// Time off.
pub async fn get_time_off(
    db: &mut PgConnection,
    practice: PracticeId,
    time_off: TimeOffId,
) -> Result<Option<TimeOff>, StoreError> {
    let row = sqlx::query_as!(
        TimeOffRow,
        r#"SELECT time_off_id, resource_id, lower(during) AS "start!", upper(during) AS "end!", reason FROM time_off
           WHERE practice_id = $1 AND time_off_id = $2"#,
        practice.0,
        time_off.0
    );
    row.fetch_optional(db).await?.map(TimeOffRow::read).transpose()
}

/// Time off of a resource in order of the ids, after one of them.
pub async fn list_time_off(
    db: &mut PgConnection,
    practice: PracticeId,
    resource: ResourceId,
    after: Option<TimeOffId>,
    limit: i64,
) -> Result<Vec<TimeOff>, StoreError> {
    let rows = sqlx::query_as!(
        TimeOffRow,
        r#"SELECT time_off_id, resource_id, lower(during) AS "start!", upper(during) AS "end!", reason FROM time_off
           WHERE practice_id = $1 AND resource_id = $2 AND time_off_id > $3 ORDER BY time_off_id LIMIT $4"#,
        practice.0,
        resource.0,
        after.map(|id| id.0).unwrap_or_default(),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(TimeOffRow::read).collect()
}

/// Inserts new time off.
pub async fn insert_time_off(
    db: &mut PgConnection,
    practice: PracticeId,
    time_off: &TimeOff,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO time_off (practice_id, time_off_id, resource_id, during, reason)
         VALUES ($1, $2, $3, tstzrange($4, $5), $6)",
        practice.0,
        time_off.id.0,
        time_off.resource.0,
        time_off.during.start(),
        time_off.during.end(),
        time_off.reason.expose().as_str()
    );
    expect_rows("insert time off", 1, &done.execute(db).await?)
}

/// Deletes time off. False if there is none with that id.
pub async fn delete_time_off(
    db: &mut PgConnection,
    practice: PracticeId,
    time_off: TimeOffId,
) -> Result<bool, StoreError> {
    let done = sqlx::query!("DELETE FROM time_off WHERE practice_id = $1 AND time_off_id = $2", practice.0, time_off.0);
    Ok(done.execute(db).await?.rows_affected() > 0)
}

struct Row {
    resource_id: Uuid,
    kind: String,
    name: String,
    clinic_id: Option<Uuid>,
    active: bool,
    qualifications: Vec<String>,
    changed_revision: i64,
    clinics: Vec<Uuid>,
    weekdays: Vec<i16>,
    opens: Vec<i32>,
    closes: Vec<i32>,
}

impl Row {
    fn read(self) -> Result<Resource, StoreError> {
        let qualifications = self.qualifications.iter().map(|code| read::named(Qualification::new(code)));
        let hours = self.clinics.into_iter().zip(self.weekdays).zip(self.opens).zip(self.closes);
        let working_hours = hours.map(|(((clinic, weekday), opens), closes)| {
            read::stretch(weekday, opens, closes).map(|stretch| (ClinicId(clinic), stretch))
        });
        Ok(Resource {
            id: ResourceId(self.resource_id),
            kind: read::named(ResourceKind::from_name(&self.kind))?,
            name: Personal::new(read::label(&self.name)?),
            clinic: self.clinic_id.map(ClinicId),
            active: self.active,
            qualifications: qualifications.collect::<Result<_, _>>()?,
            working_hours: working_hours.collect::<Result<_, _>>()?,
            changed_revision: self.changed_revision,
        })
    }
}

struct TimeOffRow {
    time_off_id: Uuid,
    resource_id: Uuid,
    start: Instant,
    end: Instant,
    reason: String,
}

impl TimeOffRow {
    fn read(self) -> Result<TimeOff, StoreError> {
        Ok(TimeOff {
            id: TimeOffId(self.time_off_id),
            resource: ResourceId(self.resource_id),
            during: read::interval(self.start, self.end)?,
            reason: Personal::new(read::prose(&self.reason)?),
        })
    }
}
