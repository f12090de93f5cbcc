//! Appointments with all that they take up.

use std::borrow::Cow;

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, catalog, read};
use crate::domain::appointment::{Appointment, AppointmentState, Follows, SessionOf};
use crate::domain::booking::{ActivityWindow, PlannedVisit, Spaced, booked_phases};
use crate::domain::catalog::{BodyArea, SpacingScope};
use crate::domain::combination::{AddOn, combined};
use crate::domain::ids::{
    AppointmentId, ClearanceId, ClinicId, OverrideId, PatientId, PracticeId, ResourceId, SeriesId, TreatmentId,
};
use crate::domain::interval::{Instant, Interval};
use crate::domain::text::Personal;

/// Inserts new appointments with their occupancies and windows: all of them in one statement.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    booked: &[(Appointment, PlannedVisit)],
    now: Instant,
) -> Result<(), StoreError> {
    let mut rows = Columns::default();
    for (appointment, plan) in booked {
        rows.push(appointment, plan);
    }
    let patient = booked.first().map(|(appointment, _)| appointment.patient.0);
    let revision = booked.first().map(|(appointment, _)| appointment.changed_revision);
    // All of one request are held, or none.
    let held_until = booked.first().and_then(|(appointment, _)| appointment.held_until());
    let done = sqlx::query!(
        "WITH visits AS (
             INSERT INTO appointments (practice_id, patient_id, booked_at, booked_revision, changed_revision, state,
                                       held_until, held_revision, appointment_id, clinic_id, treatment_id, treatment_version, series_id,
                                       session_number, body_area, visit, replaces, clearance_id, add_on_treatment_id,
                                       add_on_treatment_version, combination_override_id, follows_series_id,
                                       assessment_number)
             SELECT $1, $2, $3, $4::bigint, $4::bigint, CASE WHEN $36::timestamptz IS NULL THEN 'booked' ELSE 'held' END,
                    $36, CASE WHEN $36::timestamptz IS NOT NULL THEN $4::bigint END, id, clinic, treatment, version, series, number, area, tstzrange(a, b),
                    replaced, clearance, added, added_version, approval, followed, assessment
             FROM unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::int[], $9::uuid[], $10::int[], $11::text[],
                         $12::timestamptz[], $13::timestamptz[], $28::uuid[], $29::uuid[], $30::uuid[], $31::int[],
                         $32::uuid[], $34::uuid[], $35::int[])
                  AS v (id, clinic, treatment, version, series, number, area, a, b, replaced, clearance, added,
                        added_version, approval, followed, assessment)),
         taken AS (
             INSERT INTO occupancies (practice_id, live, appointment_id, resource_id, need, during)
             SELECT $1, true, id, resource, need, tstzrange(a, b)
             FROM unnest($14::uuid[], $15::uuid[], $16::smallint[], $17::timestamptz[], $18::timestamptz[])
                  AS o (id, resource, need, a, b)),
         spaced AS (
             INSERT INTO spacing_windows (practice_id, patient_id, live, appointment_id, scope, days, override_id)
             SELECT $1, $2, true, id, scope, daterange(a, b), by
             FROM unnest($19::uuid[], $20::text[], $21::date[], $22::date[], $33::uuid[]) AS s (id, scope, a, b, by))
         INSERT INTO activity_windows (practice_id, patient_id, live, appointment_id, activity, role, during)
         SELECT $1, $2, true, id, activity, role, tstzrange(a, b)
         FROM unnest($23::uuid[], $24::text[], $25::text[], $26::timestamptz[], $27::timestamptz[])
              AS w (id, activity, role, a, b)",
        practice.0,
        patient,
        now,
        revision,
        &rows.ids,
        &rows.clinics,
        &rows.treatments,
        &rows.versions,
        &rows.series as &[Option<Uuid>],
        &rows.numbers as &[Option<i32>],
        &rows.areas as &[Option<String>],
        &rows.visit_starts,
        &rows.visit_ends,
        &rows.taken_by,
        &rows.taken_resources,
        &rows.taken_needs,
        &rows.taken_starts,
        &rows.taken_ends,
        &rows.spaced_by,
        &rows.spaced_scopes,
        &rows.spaced_days,
        &rows.spaced_untils,
        &rows.windows_of,
        &rows.window_activities,
        &rows.window_roles,
        &rows.window_starts,
        &rows.window_ends,
        &rows.replaced as &[Option<Uuid>],
        &rows.clearances as &[Option<Uuid>],
        &rows.added as &[Option<Uuid>],
        &rows.added_versions as &[Option<i32>],
        &rows.approvals as &[Option<Uuid>],
        &rows.spaced_overrides as &[Option<Uuid>],
        &rows.followed as &[Option<Uuid>],
        &rows.assessments as &[Option<i32>],
        held_until
    );
    // The statement reports the rows of its last part; the others have no way to write fewer than they are given.
    expect_rows("insert activity windows", rows.windows_of.len(), &done.execute(db).await?)
}

/// Appointments and what they take up, column by column, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    clinics: Vec<Uuid>,
    treatments: Vec<Uuid>,
    versions: Vec<i32>,
    series: Vec<Option<Uuid>>,
    numbers: Vec<Option<i32>>,
    areas: Vec<Option<String>>,
    visit_starts: Vec<Instant>,
    visit_ends: Vec<Instant>,
    taken_by: Vec<Uuid>,
    taken_resources: Vec<Uuid>,
    taken_needs: Vec<i16>,
    taken_starts: Vec<Instant>,
    taken_ends: Vec<Instant>,
    spaced_by: Vec<Uuid>,
    spaced_scopes: Vec<String>,
    spaced_days: Vec<chrono::NaiveDate>,
    spaced_untils: Vec<chrono::NaiveDate>,
    spaced_overrides: Vec<Option<Uuid>>,
    windows_of: Vec<Uuid>,
    window_activities: Vec<String>,
    window_roles: Vec<String>,
    window_starts: Vec<Instant>,
    window_ends: Vec<Instant>,
    replaced: Vec<Option<Uuid>>,
    clearances: Vec<Option<Uuid>>,
    added: Vec<Option<Uuid>>,
    added_versions: Vec<Option<i32>>,
    approvals: Vec<Option<Uuid>>,
    followed: Vec<Option<Uuid>>,
    assessments: Vec<Option<i32>>,
}

impl Columns {
    fn push(&mut self, appointment: &Appointment, plan: &PlannedVisit) {
        let id = appointment.id.0;
        self.ids.push(id);
        self.clinics.push(appointment.clinic.0);
        self.treatments.push(appointment.treatment.0);
        self.versions.push(appointment.treatment_version);
        self.series.push(appointment.session.map(|session| session.series.0));
        self.numbers.push(appointment.session.map(|session| session.number));
        self.areas.push(appointment.area.map(|area| area.as_str().to_owned()));
        self.visit_starts.push(appointment.visit.start());
        self.visit_ends.push(appointment.visit.end());
        self.replaced.push(appointment.replaces.map(|replaced| replaced.0));
        self.clearances.push(appointment.clearance.map(|clearance| clearance.0));
        self.added.push(appointment.add_on.map(|add_on| add_on.treatment.0));
        self.added_versions.push(appointment.add_on.map(|add_on| add_on.version));
        self.approvals.push(appointment.add_on.map(|add_on| add_on.approval.0));
        self.followed.push(appointment.follows.map(|follows| follows.series.0));
        self.assessments.push(appointment.follows.and_then(|follows| follows.assessment));
        for occupied in &plan.occupied {
            self.taken_by.push(id);
            self.taken_resources.push(occupied.resource.0);
            // A treatment has at most a handful of needs.
            self.taken_needs.push(i16::try_from(occupied.need).unwrap_or(i16::MAX));
            self.taken_starts.push(occupied.during.start());
            self.taken_ends.push(occupied.during.end());
        }
        for spaced in &plan.spacing {
            self.spaced_by.push(id);
            self.spaced_scopes.push(spaced.scope.as_str().to_owned());
            self.spaced_days.push(spaced.day);
            self.spaced_untils.push(spaced.until);
            let on_area = spaced.scope != SpacingScope::AnyArea;
            self.spaced_overrides.push(plan.spacing_override.filter(|_| on_area).map(|id| id.0));
        }
        for window in &plan.windows {
            self.windows_of.push(id);
            self.window_activities.push(window.activity.as_str().to_owned());
            self.window_roles.push(window.role.as_str().to_owned());
            self.window_starts.push(window.during.start());
            self.window_ends.push(window.during.end());
        }
    }
}

/// The days in which a visit keeps other needlings away, or would if it took place, as they are stored.
pub async fn spaced(db: &mut PgConnection, practice: PracticeId, id: AppointmentId) -> Result<Vec<Spaced>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT scope, lower(days) AS "day!", upper(days) AS "until!" FROM spacing_windows
           WHERE practice_id = $1 AND appointment_id = $2"#,
        practice.0,
        id.0
    );
    let read = rows.fetch_all(db).await?.into_iter();
    let read = read.map(|row| {
        Ok(Spaced { scope: read::named(SpacingScope::from_name(&row.scope))?, day: row.day, until: row.until })
    });
    read.collect()
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
         WHERE practice_id = $1 AND appointment_id = $2 AND state = 'booked'",
        practice.0,
        id.0,
        now,
        revision
    );
    expect_rows("check in", 1, &done.execute(db).await?)
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
             WHERE practice_id = $1 AND appointment_id = $2 AND state = 'arrived'),
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

/// The holds of a practice that end by then, each with its series.
pub async fn holds_ending(
    db: &mut PgConnection,
    practice: PracticeId,
    by: Instant,
) -> Result<Vec<(AppointmentId, Option<SeriesId>)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT appointment_id, coalesce(series_id, follows_series_id) AS series_id FROM appointments
         WHERE practice_id = $1 AND state = 'held' AND held_until <= $2
         ORDER BY held_until, appointment_id",
        practice.0,
        by
    );
    let rows = rows.fetch_all(db).await?.into_iter();
    Ok(rows.map(|row| (AppointmentId(row.appointment_id), row.series_id.map(SeriesId))).collect())
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
         WHERE practice_id = $1 AND appointment_id = ANY($2) AND state IN ('held', 'booked')",
        practice.0,
        &uuids,
        now,
        reason,
        revision,
        no_show_revision
    );
    expect_rows("cancel appointments", ids.len(), &done.execute(db).await?)
}

/// Books a visit again whose patient was checked in, or did not come, by mistake: with all that it took up.
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
         SET state = 'booked', arrived_at = NULL, arrived_revision = NULL, cancelled_at = NULL, cancel_reason = NULL,
             no_show_revision = NULL, changed_revision = $3
         WHERE practice_id = $1 AND appointment_id = $2 AND (state = 'arrived' OR no_show_revision IS NOT NULL)",
        practice.0,
        id.0,
        revision
    );
    expect_rows("undo visit", 1, &done.execute(db).await?)
}

/// Whether something was recorded of a visit: a clearance, a reaction, or the result of an assessment.
pub async fn has_record(db: &mut PgConnection, practice: PracticeId, id: AppointmentId) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM clearances WHERE practice_id = $1 AND consultation_id = $2)
               OR EXISTS (SELECT FROM reactions WHERE practice_id = $1 AND appointment_id = $2)
               OR EXISTS (SELECT FROM assessment_results WHERE practice_id = $1 AND appointment_id = $2) AS "found!""#,
        practice.0,
        id.0
    );
    Ok(found.fetch_one(db).await?)
}

/// An appointment.
pub async fn get(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
) -> Result<Option<Appointment>, StoreError> {
    Ok(by_ids(db, practice, &[id.0]).await?.pop())
}

/// The appointments that a change booked, by start.
pub async fn booked_by(
    db: &mut PgConnection,
    practice: PracticeId,
    revision: i64,
) -> Result<Vec<Appointment>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT appointment_id FROM appointments WHERE practice_id = $1 AND booked_revision = $2",
        practice.0,
        revision
    );
    let ids = ids.fetch_all(&mut *db).await?;
    by_ids(db, practice, &ids).await
}

/// Appointments by their ids, by start; those that do not exist are left out.
pub async fn several(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[AppointmentId],
) -> Result<Vec<Appointment>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    by_ids(db, practice, &ids).await
}

/// The live sessions of some series and the live appointments that follow them, by start.
pub async fn live_of_series(
    db: &mut PgConnection,
    practice: PracticeId,
    series: &[SeriesId],
) -> Result<Vec<Appointment>, StoreError> {
    let series: Vec<Uuid> = series.iter().map(|id| id.0).collect();
    let ids = sqlx::query_scalar!(
        r#"SELECT appointment_id AS "id!" FROM appointments
           WHERE practice_id = $1 AND series_id = ANY($2) AND live
           UNION ALL
           SELECT appointment_id FROM appointments
           WHERE practice_id = $1 AND follows_series_id = ANY($2) AND live"#,
        practice.0,
        &series
    );
    let ids = ids.fetch_all(&mut *db).await?;
    by_ids(db, practice, &ids).await
}

/// Whose appointments a sheet lists.
#[derive(Debug, Clone, Copy)]
pub enum Whose {
    /// A clinic's.
    Clinic(ClinicId),
    /// A resource's.
    Resource(ResourceId),
    /// A patient's.
    Patient(PatientId),
}

/// What a sheet lists.
#[derive(Debug, Clone, Copy)]
pub struct Sheet {
    /// Whose appointments.
    pub whose: Whose,
    /// Those that overlap this.
    pub during: Interval,
    /// Whether with cancelled ones.
    pub include_cancelled: bool,
    /// Only those after this start and id.
    pub after: Option<(Instant, AppointmentId)>,
}

/// Appointments by start and id. No visit is longer than twelve hours, so that the indexes on starts serve.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    sheet: &Sheet,
    limit: i64,
) -> Result<Vec<Appointment>, StoreError> {
    let (from, to) = (sheet.during.start(), sheet.during.end());
    let (after, after_id) = sheet.after.map_or((Instant::UNIX_EPOCH, Uuid::nil()), |(at, id)| (at, id.0));
    let ids = match sheet.whose {
        Whose::Clinic(clinic) => {
            sqlx::query_scalar!(
                "SELECT appointment_id FROM appointments
                 WHERE practice_id = $1 AND clinic_id = $2 AND (live OR $3) AND visit && tstzrange($4, $5)
                   AND lower(visit) > $4::timestamptz - interval '12 hours' AND lower(visit) < $5
                   AND (lower(visit), appointment_id) > ($6, $7)
                 ORDER BY lower(visit), appointment_id LIMIT $8",
                practice.0,
                clinic.0,
                sheet.include_cancelled,
                from,
                to,
                after,
                after_id,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
        Whose::Patient(patient) => {
            sqlx::query_scalar!(
                "SELECT appointment_id FROM appointments
                 WHERE practice_id = $1 AND patient_id = $2 AND (live OR $3) AND visit && tstzrange($4, $5)
                   AND lower(visit) > $4::timestamptz - interval '12 hours' AND lower(visit) < $5
                   AND (lower(visit), appointment_id) > ($6, $7)
                 ORDER BY lower(visit), appointment_id LIMIT $8",
                practice.0,
                patient.0,
                sheet.include_cancelled,
                from,
                to,
                after,
                after_id,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
        Whose::Resource(resource) => {
            sqlx::query_scalar!(
                "SELECT a.appointment_id FROM appointments a
                 WHERE a.practice_id = $1
                   AND a.appointment_id IN (
                       SELECT appointment_id FROM occupancies
                       WHERE practice_id = $1 AND resource_id = $2 AND (live OR $3) AND during && tstzrange($4, $5)
                         AND lower(during) > $4::timestamptz - interval '12 hours' AND lower(during) < $5)
                   AND (lower(a.visit), a.appointment_id) > ($6, $7)
                 ORDER BY lower(a.visit), a.appointment_id LIMIT $8",
                practice.0,
                resource.0,
                sheet.include_cancelled,
                from,
                to,
                after,
                after_id,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
    };
    by_ids(db, practice, &ids).await
}

/// Appointments by id, in order of start and id.
async fn by_ids(db: &mut PgConnection, practice: PracticeId, ids: &[Uuid]) -> Result<Vec<Appointment>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT a.appointment_id, a.clinic_id, c.time_zone, a.patient_id, a.treatment_id, a.treatment_version,
                  a.add_on_treatment_id, a.add_on_treatment_version, a.combination_override_id,
                  a.series_id, a.session_number, a.body_area, a.state, lower(a.visit) AS "start!",
                  upper(a.visit) AS "end!", a.cancelled_at, a.cancel_reason, a.arrived_at, a.fulfilled_at,
                  a.performed_start, a.changed_revision, a.replaces, a.clearance_id, a.follows_series_id,
                  a.assessment_number, a.no_show_revision, a.held_until,
                  (SELECT r.appointment_id FROM appointments r
                   WHERE r.practice_id = a.practice_id AND r.replaces = a.appointment_id) AS replaced_by,
                  ARRAY(SELECT resource_id FROM occupancies o
                        WHERE o.practice_id = a.practice_id AND o.appointment_id = a.appointment_id
                        GROUP BY need, resource_id ORDER BY need) AS "serving!",
                  ARRAY(SELECT s.override_id FROM spacing_windows s
                        WHERE s.practice_id = a.practice_id AND s.appointment_id = a.appointment_id
                          AND s.override_id IS NOT NULL
                        UNION
                        SELECT w.override_id FROM activity_windows w
                        WHERE w.practice_id = a.practice_id AND w.appointment_id = a.appointment_id
                          AND w.override_id IS NOT NULL
                        UNION
                        SELECT a.combination_override_id WHERE a.combination_override_id IS NOT NULL
                        ORDER BY 1) AS "overrides!"
           FROM appointments a JOIN clinics c ON c.practice_id = a.practice_id AND c.clinic_id = a.clinic_id
           WHERE a.practice_id = $1 AND a.appointment_id = ANY($2)
           ORDER BY lower(a.visit), a.appointment_id"#,
        practice.0,
        ids
    );
    let rows = rows.fetch_all(&mut *db).await?;
    let added = rows.iter().filter_map(|row| row.add_on_treatment_id.zip(row.add_on_treatment_version));
    let added = added.map(|(id, version)| (TreatmentId(id), version));
    let mut wanted: Vec<(TreatmentId, i32)> =
        rows.iter().map(|row| (TreatmentId(row.treatment_id), row.treatment_version)).chain(added).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let treatments = catalog::treatments(db, practice, &wanted).await?;

    let read = rows.into_iter().map(|row| {
        let state = match (row.state.as_str(), row.cancelled_at, row.cancel_reason) {
            ("held", None, None) => {
                let until = row.held_until.ok_or(StoreError::Corrupt("state of an appointment"))?;
                AppointmentState::Held { until }
            }
            ("booked", None, None) => AppointmentState::Booked,
            ("arrived", None, None) => {
                let at = row.arrived_at.ok_or(StoreError::Corrupt("state of an appointment"))?;
                AppointmentState::Arrived { at }
            }
            ("fulfilled", None, None) => {
                let known = row.arrived_at.zip(row.fulfilled_at).zip(row.performed_start);
                let ((arrived_at, at), performed) = known.ok_or(StoreError::Corrupt("state of an appointment"))?;
                AppointmentState::Fulfilled { arrived_at, at, performed }
            }
            ("cancelled", Some(at), Some(reason)) => {
                let reason = Personal::new(read::prose(&reason)?);
                match row.no_show_revision {
                    None => AppointmentState::Cancelled { at, reason },
                    Some(_) => AppointmentState::NoShow { at, reason },
                }
            }
            _ => return Err(StoreError::Corrupt("state of an appointment")),
        };
        let in_version = |id: TreatmentId, version: i32| {
            let found = treatments.iter().find(|treatment| (treatment.id, treatment.version) == (id, version));
            found.ok_or(StoreError::Corrupt("treatment of an appointment"))
        };
        let treatment = in_version(TreatmentId(row.treatment_id), row.treatment_version)?;
        let added = row.add_on_treatment_id.zip(row.add_on_treatment_version).zip(row.combination_override_id);
        let add_on = added.map(|((treatment, version), approval)| AddOn {
            treatment: TreatmentId(treatment),
            version,
            approval: OverrideId(approval),
        });
        let whole = match add_on {
            Some(add_on) => Cow::Owned(combined(treatment, in_version(add_on.treatment, add_on.version)?)),
            None => Cow::Borrowed(treatment),
        };
        let serving: Vec<ResourceId> = row.serving.into_iter().map(ResourceId).collect();
        let session = row.series_id.zip(row.session_number);
        Ok(Appointment {
            id: AppointmentId(row.appointment_id),
            clinic: ClinicId(row.clinic_id),
            zone: read::zone(&row.time_zone)?,
            patient: PatientId(row.patient_id),
            treatment: TreatmentId(row.treatment_id),
            treatment_version: row.treatment_version,
            add_on,
            session: session.map(|(series, number)| SessionOf { series: SeriesId(series), number }),
            follows: row
                .follows_series_id
                .map(|series| Follows { series: SeriesId(series), assessment: row.assessment_number.map(i32::from) }),
            area: row.body_area.map(|area| read::named(BodyArea::from_name(&area))).transpose()?,
            state,
            visit: read::interval(row.start, row.end)?,
            phases: booked_phases(&whole, row.start, &serving),
            changed_revision: row.changed_revision,
            clearance: row.clearance_id.map(ClearanceId),
            replaces: row.replaces.map(AppointmentId),
            replaced_by: row.replaced_by.map(AppointmentId),
            overrides: row.overrides.into_iter().map(OverrideId).collect(),
        })
    });
    read.collect()
}
