//! Overrides, and the windows that rest on them.

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::catalog::{Activity, BodyArea, Qualification, Span};
use crate::domain::clearance::Revocation;
use crate::domain::ids::{
    AppointmentId, OverrideId, PatientId, PracticeId, ProtocolId, ResourceId, SeriesId, TreatmentId,
};
use crate::domain::interval::{Instant, Interval};
use crate::domain::overrides::{Exposure, Needling, Override, Purpose};
use crate::domain::text::{Code, Personal, Prose};
use crate::domain::visit::Shortened;

/// Most qualifications that protocols of one treatment name.
const MAX_QUALIFICATIONS: i64 = 50;

/// Inserts an override.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    granted: &Override,
    revision: i64,
) -> Result<(), StoreError> {
    let stored = Stored::of(&granted.purpose);
    let done = sqlx::query!(
        "INSERT INTO overrides (practice_id, override_id, patient_id, kind, series_id, gap_days, protocol_id, condition,
                                treatment_id, add_on_treatment_id, appointment_id, activity, after_amount, after_unit,
                                reason, granted_at, granted_by, granted_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        practice.0,
        granted.id.0,
        granted.patient.0,
        stored.kind,
        stored.series,
        stored.gap_days,
        stored.protocol,
        stored.condition,
        stored.treatment,
        stored.add_on,
        stored.appointment,
        stored.activity,
        stored.after_amount,
        stored.after_unit,
        granted.reason.expose().as_str(),
        granted.granted_at,
        granted.granted_by.0,
        revision
    );
    expect_rows("insert override", 1, &done.execute(db).await?)
}

/// Revokes an override that is in force.
pub async fn revoke(
    db: &mut PgConnection,
    practice: PracticeId,
    id: OverrideId,
    revocation: &Revocation,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE overrides SET revoked_at = $3, revoked_by = $4, revoke_reason = $5, revoked_revision = $6
         WHERE practice_id = $1 AND override_id = $2 AND revoked_revision IS NULL",
        practice.0,
        id.0,
        revocation.at,
        revocation.by.0,
        revocation.reason.expose().as_str(),
        revision
    );
    expect_rows("revoke override", 1, &done.execute(db).await?)
}

/// An override.
pub async fn get(db: &mut PgConnection, practice: PracticeId, id: OverrideId) -> Result<Option<Override>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT override_id, patient_id, kind, series_id, gap_days, protocol_id, condition, treatment_id,
                add_on_treatment_id, appointment_id, activity, after_amount, after_unit, reason, granted_at, granted_by,
                revoked_at, revoked_by, revoke_reason
         FROM overrides WHERE practice_id = $1 AND override_id = $2",
        practice.0,
        id.0
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// The overrides of a patient in order of their ids, after one of them: those in force, or all.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    include_revoked: bool,
    after: Option<OverrideId>,
    limit: i64,
) -> Result<Vec<Override>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT override_id, patient_id, kind, series_id, gap_days, protocol_id, condition, treatment_id,
                add_on_treatment_id, appointment_id, activity, after_amount, after_unit, reason, granted_at, granted_by,
                revoked_at, revoked_by, revoke_reason
         FROM overrides
         WHERE practice_id = $1 AND patient_id = $2 AND (revoked_revision IS NULL OR $3) AND override_id > $4
         ORDER BY override_id LIMIT $5",
        practice.0,
        patient.0,
        include_revoked,
        after.map_or(Uuid::nil(), |id| id.0),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// The override in force for a window of a visit.
pub async fn of_window(
    db: &mut PgConnection,
    practice: PracticeId,
    appointment: AppointmentId,
    activity: Activity,
) -> Result<Option<OverrideId>, StoreError> {
    let id = sqlx::query_scalar!(
        "SELECT override_id FROM overrides
         WHERE practice_id = $1 AND appointment_id = $2 AND activity = $3 AND revoked_revision IS NULL",
        practice.0,
        appointment.0,
        activity.as_str()
    );
    Ok(id.fetch_optional(db).await?.map(OverrideId))
}

/// The override in force of a condition of a patient.
pub async fn of_condition(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    protocol: ProtocolId,
    condition: &Code,
) -> Result<Option<OverrideId>, StoreError> {
    let id = sqlx::query_scalar!(
        "SELECT override_id FROM overrides
         WHERE practice_id = $1 AND patient_id = $2 AND kind = 'condition' AND protocol_id = $3 AND condition = $4
           AND revoked_revision IS NULL",
        practice.0,
        patient.0,
        protocol.0,
        condition.as_str()
    );
    Ok(id.fetch_optional(db).await?.map(OverrideId))
}

/// What practitioners have to be qualified for to decide about a treatment: one for each protocol of it that says so, as
/// its highest version that does.
pub async fn qualifications(
    db: &mut PgConnection,
    practice: PracticeId,
    treatment: TreatmentId,
) -> Result<Vec<Qualification>, StoreError> {
    let codes = sqlx::query_scalar!(
        r#"SELECT DISTINCT ON (protocol_id) clearing_qualification AS "qualification!" FROM protocols
           WHERE practice_id = $1 AND treatment_id = $2 AND clearing_qualification IS NOT NULL
           ORDER BY protocol_id, version DESC LIMIT $3"#,
        practice.0,
        treatment.0,
        MAX_QUALIFICATIONS
    );
    codes.fetch_all(db).await?.iter().map(|code| read::named(Qualification::new(code))).collect()
}

/// The booked visits of a patient that needle an area, by day.
pub async fn needlings(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    area: BodyArea,
    now: Instant,
) -> Result<Vec<Needling>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT w.appointment_id, a.series_id, a.state = 'fulfilled' AS "took_place!",
                  lower(a.visit) <= $4 AS "is_over!", lower(w.days) AS "day!", upper(w.days) AS "until!"
           FROM spacing_windows w
           JOIN appointments a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
           WHERE w.practice_id = $1 AND w.patient_id = $2 AND w.scope = $3 AND w.live
           ORDER BY lower(w.days), w.appointment_id"#,
        practice.0,
        patient.0,
        area.as_str(),
        now
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| Needling {
        id: AppointmentId(row.appointment_id),
        series: row.series_id.map(SeriesId),
        took_place: row.took_place,
        is_over: row.is_over,
        day: row.day,
        until: row.until,
    });
    Ok(read.collect())
}

/// Gives the spacing windows of visits another length, by an override or as it was without.
pub async fn respace(
    db: &mut PgConnection,
    practice: PracticeId,
    visits: &[AppointmentId],
    area: BodyArea,
    days: i32,
    by: Option<OverrideId>,
    revision: i64,
) -> Result<(), StoreError> {
    let visits: Vec<Uuid> = visits.iter().map(|id| id.0).collect();
    let done = sqlx::query!(
        "WITH respaced AS (
             UPDATE appointments SET changed_revision = $6
             WHERE practice_id = $1 AND appointment_id = ANY($2))
         -- What is added to a visit may keep the area free for longer.
         UPDATE spacing_windows AS w SET override_id = $5, days = daterange(lower(days), lower(days) + greatest($4, (
             SELECT t.spacing_days
             FROM appointments AS a
             JOIN treatments AS t ON t.practice_id = a.practice_id AND t.treatment_id = a.add_on_treatment_id
                 AND t.version = a.add_on_treatment_version
             WHERE a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id)))
         WHERE practice_id = $1 AND appointment_id = ANY($2) AND scope = $3 AND live",
        practice.0,
        &visits,
        area.as_str(),
        days,
        by.map(|id| id.0),
        revision
    );
    expect_rows("respace visits", visits.len(), &done.execute(db).await?)
}

/// Whether a booked visit forbids an activity at some time.
pub async fn forbids(
    db: &mut PgConnection,
    practice: PracticeId,
    appointment: AppointmentId,
    activity: Activity,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM activity_windows
                          WHERE practice_id = $1 AND appointment_id = $2 AND activity = $3 AND role = 'restricts'
                            AND live) AS "found!""#,
        practice.0,
        appointment.0,
        activity.as_str()
    );
    Ok(found.fetch_one(db).await?)
}

/// The other booked visits of a patient that are an activity within a stretch of time.
pub async fn exposures(
    db: &mut PgConnection,
    practice: PracticeId,
    (patient, activity): (PatientId, Activity),
    but: AppointmentId,
    during: Interval,
) -> Result<Vec<Exposure>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT w.appointment_id, a.state = 'fulfilled' AS "took_place!",
                  lower(w.during) AS "start!", upper(w.during) AS "end!"
           FROM activity_windows w
           JOIN appointments a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
           WHERE w.practice_id = $1 AND w.patient_id = $2 AND w.activity = $3 AND w.role = 'exposes' AND w.live
             AND w.appointment_id <> $4 AND w.during && tstzrange($5, $6)
           ORDER BY lower(w.during), w.appointment_id"#,
        practice.0,
        patient.0,
        activity.as_str(),
        but.0,
        during.start(),
        during.end()
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| {
        Ok(Exposure {
            id: AppointmentId(row.appointment_id),
            took_place: row.took_place,
            during: read::interval(row.start, row.end)?,
        })
    });
    read.collect()
}

/// Gives an aftercare window of a booked visit another length, by an override or as it was without.
pub async fn change_window(
    db: &mut PgConnection,
    practice: PracticeId,
    (appointment, activity): (AppointmentId, Activity),
    during: Interval,
    by: Option<OverrideId>,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "WITH changed AS (
             UPDATE appointments SET changed_revision = $6
             WHERE practice_id = $1 AND appointment_id = $2)
         UPDATE activity_windows SET during = tstzrange($4, $7), override_id = $5
         WHERE practice_id = $1 AND appointment_id = $2 AND activity = $3 AND role = 'restricts' AND live",
        practice.0,
        appointment.0,
        activity.as_str(),
        during.start(),
        by.map(|id| id.0),
        revision,
        during.end()
    );
    expect_rows("change aftercare window", 1, &done.execute(db).await?)
}

/// The visits that rest on an approved combination and to which the patient has not come yet, however late it is: whoever
/// comes is treated as it was booked.
pub async fn combined_ahead(
    db: &mut PgConnection,
    practice: PracticeId,
    id: OverrideId,
) -> Result<Vec<AppointmentId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT appointment_id FROM appointments
         WHERE practice_id = $1 AND combination_override_id = $2 AND state IN ('booked', 'confirmed')
         ORDER BY lower(visit), appointment_id",
        practice.0,
        id.0
    );
    Ok(ids.fetch_all(db).await?.into_iter().map(AppointmentId).collect())
}

/// The override in force that lets a treatment be added to another for a patient; the oldest of several.
pub async fn combination(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    treatment: TreatmentId,
    add_on: TreatmentId,
) -> Result<Option<OverrideId>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT override_id FROM overrides
         WHERE practice_id = $1 AND patient_id = $2 AND kind = 'combination' AND treatment_id = $3
           AND add_on_treatment_id = $4 AND revoked_revision IS NULL
         ORDER BY override_id LIMIT 1",
        practice.0,
        patient.0,
        treatment.0,
        add_on.0
    );
    Ok(found.fetch_optional(db).await?.map(OverrideId))
}

/// The aftercare windows of a visit that overrides have shortened, with the patient's other visits since it began that
/// are what they forbid and took place.
pub async fn shortened(
    db: &mut PgConnection,
    practice: PracticeId,
    appointment: AppointmentId,
) -> Result<Vec<Shortened>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT w.activity, o.after_amount AS "amount!", o.after_unit AS "unit!",
                  o.revoked_revision IS NOT NULL AS "is_revoked!", h.starts AS "starts!: Vec<Instant>",
                  h.ends AS "ends!: Vec<Instant>"
           FROM activity_windows w
           JOIN overrides o ON o.practice_id = w.practice_id AND o.override_id = w.override_id
           JOIN appointments a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(lower(x.during)), '{}') AS starts,
                      coalesce(array_agg(upper(x.during)), '{}') AS ends
               FROM activity_windows x
               JOIN appointments b ON b.practice_id = x.practice_id AND b.appointment_id = x.appointment_id
               WHERE x.practice_id = w.practice_id AND x.patient_id = w.patient_id AND x.activity = w.activity
                 AND x.role = 'exposes' AND x.live AND x.appointment_id <> w.appointment_id
                 AND b.state = 'fulfilled' AND upper(x.during) > lower(a.visit)) h
           WHERE w.practice_id = $1 AND w.appointment_id = $2 AND w.role = 'restricts'"#,
        practice.0,
        appointment.0
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| {
        let happened = row.starts.into_iter().zip(row.ends).map(|(start, end)| read::interval(start, end));
        Ok(Shortened {
            activity: read::named(Activity::from_name(&row.activity))?,
            after: if row.unit == HOURS { Span::Hours(row.amount) } else { Span::Days(row.amount) },
            is_revoked: row.is_revoked,
            happened: happened.collect::<Result<_, _>>()?,
        })
    });
    read.collect()
}

/// What an override is for, as its row says it: a kind, and the columns of that kind.
#[derive(Default)]
struct Stored<'a> {
    kind: &'static str,
    series: Option<Uuid>,
    gap_days: Option<i32>,
    protocol: Option<Uuid>,
    condition: Option<&'a str>,
    treatment: Option<Uuid>,
    add_on: Option<Uuid>,
    appointment: Option<Uuid>,
    activity: Option<&'static str>,
    after_amount: Option<i32>,
    after_unit: Option<&'static str>,
}

const GAP: &str = "gap";
const CONDITION: &str = "condition";
const COMBINATION: &str = "combination";
const AFTERCARE: &str = "aftercare";
const HOURS: &str = "hours";
const DAYS: &str = "days";

impl<'a> Stored<'a> {
    fn of(purpose: &'a Purpose) -> Self {
        match purpose {
            Purpose::Gap { series, days } => {
                Self { kind: GAP, series: Some(series.0), gap_days: Some(*days), ..Self::default() }
            }
            Purpose::Condition { protocol, condition } => Self {
                kind: CONDITION,
                protocol: Some(protocol.0),
                condition: Some(condition.expose().as_str()),
                ..Self::default()
            },
            Purpose::Combination { treatment, add_on } => {
                Self { kind: COMBINATION, treatment: Some(treatment.0), add_on: Some(add_on.0), ..Self::default() }
            }
            Purpose::Aftercare { appointment, activity, after } => {
                let (amount, unit) = match *after {
                    Span::Hours(hours) => (hours, HOURS),
                    Span::Days(days) => (days, DAYS),
                };
                Self {
                    kind: AFTERCARE,
                    appointment: Some(appointment.0),
                    activity: Some(activity.as_str()),
                    after_amount: Some(amount),
                    after_unit: Some(unit),
                    ..Self::default()
                }
            }
        }
    }
}

struct Row {
    override_id: Uuid,
    patient_id: Uuid,
    kind: String,
    series_id: Option<Uuid>,
    gap_days: Option<i32>,
    protocol_id: Option<Uuid>,
    condition: Option<String>,
    treatment_id: Option<Uuid>,
    add_on_treatment_id: Option<Uuid>,
    appointment_id: Option<Uuid>,
    activity: Option<String>,
    after_amount: Option<i32>,
    after_unit: Option<String>,
    reason: String,
    granted_at: Instant,
    granted_by: Uuid,
    revoked_at: Option<Instant>,
    revoked_by: Option<Uuid>,
    revoke_reason: Option<String>,
}

impl Row {
    fn purpose(&self) -> Result<Purpose, StoreError> {
        let purpose = match self.kind.as_str() {
            GAP => self.series_id.zip(self.gap_days).map(|(id, days)| Purpose::Gap { series: SeriesId(id), days }),
            CONDITION => self.protocol_id.zip(self.condition.as_deref().and_then(Code::new)).map(|(id, condition)| {
                Purpose::Condition { protocol: ProtocolId(id), condition: Personal::new(condition) }
            }),
            COMBINATION => self.treatment_id.zip(self.add_on_treatment_id).map(|(treatment, add_on)| {
                Purpose::Combination { treatment: TreatmentId(treatment), add_on: TreatmentId(add_on) }
            }),
            AFTERCARE => {
                let after = match (self.after_amount, self.after_unit.as_deref()) {
                    (Some(hours), Some(HOURS)) => Some(Span::Hours(hours)),
                    (Some(days), Some(DAYS)) => Some(Span::Days(days)),
                    _ => None,
                };
                let activity = self.activity.as_deref().and_then(Activity::from_name);
                self.appointment_id.zip(activity).zip(after).map(|((id, activity), after)| Purpose::Aftercare {
                    appointment: AppointmentId(id),
                    activity,
                    after,
                })
            }
            _ => None,
        };
        purpose.ok_or(StoreError::Corrupt("purpose of an override"))
    }

    fn read(self) -> Result<Override, StoreError> {
        let revoked = match (self.revoked_at, self.revoked_by, self.revoke_reason.as_deref()) {
            (None, None, None) => None,
            (Some(at), Some(by), Some(reason)) => {
                Some(Revocation { at, by: ResourceId(by), reason: personal(reason)? })
            }
            _ => return Err(StoreError::Corrupt("revocation of an override")),
        };
        Ok(Override {
            id: OverrideId(self.override_id),
            patient: PatientId(self.patient_id),
            purpose: self.purpose()?,
            reason: personal(&self.reason)?,
            granted_at: self.granted_at,
            granted_by: ResourceId(self.granted_by),
            revoked,
        })
    }
}

fn personal(text: &str) -> Result<Personal<Prose<2000>>, StoreError> {
    read::prose(text).map(Personal::new)
}
