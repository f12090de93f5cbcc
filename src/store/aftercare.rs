//! Aftercare windows, with the words and evidence of the rules that they come from.

use std::borrow::Cow;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, catalog, patient, read};
use crate::domain::aftercare::{AftercareKind, AftercareWindow, instruction};
use crate::domain::booking::Timing;
use crate::domain::catalog::{Activity, Treatment};
use crate::domain::combination::combined;
use crate::domain::ids::{AppointmentId, OverrideId, PatientId, PracticeId, TreatmentId};
use crate::domain::interval::{Instant, Interval};

/// Which windows of a patient.
#[derive(Debug, Clone)]
pub struct Windows {
    /// The patient.
    pub patient: PatientId,
    /// Those that overlap this.
    pub during: Interval,
    /// Only of this activity.
    pub activity: Option<Activity>,
    /// Only of these kinds.
    pub kinds: &'static [AftercareKind],
    /// Only those after this start, appointment, activity and kind.
    pub after: Option<(Instant, AppointmentId, Activity, AftercareKind)>,
}

/// The windows, by start, appointment, activity and kind. Nothing if there is no such patient.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    windows: &Windows,
    limit: i64,
) -> Result<Option<Vec<AftercareWindow>>, StoreError> {
    if !patient::exists(db, practice, windows.patient).await? {
        return Ok(None);
    }
    let (after, after_id, after_activity, after_role) =
        windows.after.map_or((Instant::MIN_UTC, Uuid::nil(), "", ""), |(at, id, activity, kind)| {
            (at, id.0, activity.as_str(), kind.as_str())
        });
    // PostgreSQL knows no instant as early as chrono's first.
    let after = after.max(Instant::UNIX_EPOCH);
    let roles: Vec<String> = windows.kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT w.appointment_id, w.activity, w.role, lower(w.during) AS "start!", upper(w.during) AS "end!",
                  w.override_id, c.time_zone, a.treatment_id, a.treatment_version, a.add_on_treatment_id,
                  a.add_on_treatment_version, coalesce(a.performed_start, lower(a.visit)) AS "begun!"
           FROM activity_windows w
           JOIN appointments a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
           JOIN clinics c ON c.practice_id = a.practice_id AND c.clinic_id = a.clinic_id
           WHERE w.practice_id = $1 AND w.patient_id = $2 AND w.live AND w.role = ANY($3)
             AND w.during && tstzrange($4, $5) AND ($6::text IS NULL OR w.activity = $6)
             AND (lower(w.during), w.appointment_id, w.activity, w.role) > ($7, $8, $9, $10)
           ORDER BY lower(w.during), w.appointment_id, w.activity, w.role LIMIT $11"#,
        practice.0,
        windows.patient.0,
        &roles,
        windows.during.start(),
        windows.during.end(),
        windows.activity.map(Activity::as_str),
        after,
        after_id,
        after_activity,
        after_role,
        limit
    );
    let rows = rows.fetch_all(&mut *db).await?;
    explained(db, practice, rows).await.map(Some)
}

/// Every window of some visits, by appointment, start, activity and kind; also of those that do not take place any more.
pub async fn of_appointments(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[AppointmentId],
) -> Result<Vec<AftercareWindow>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let roles: Vec<String> = AftercareKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT w.appointment_id, w.activity, w.role, lower(w.during) AS "start!", upper(w.during) AS "end!",
                  w.override_id, c.time_zone, a.treatment_id, a.treatment_version, a.add_on_treatment_id,
                  a.add_on_treatment_version, coalesce(a.performed_start, lower(a.visit)) AS "begun!"
           FROM activity_windows w
           JOIN appointments a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
           JOIN clinics c ON c.practice_id = a.practice_id AND c.clinic_id = a.clinic_id
           WHERE w.practice_id = $1 AND w.appointment_id = ANY($2) AND w.role = ANY($3)
           ORDER BY w.appointment_id, lower(w.during), w.activity, w.role"#,
        practice.0,
        &ids,
        &roles
    );
    let rows = rows.fetch_all(&mut *db).await?;
    explained(db, practice, rows).await
}

/// A window with the visit that it belongs to.
struct Row {
    appointment_id: Uuid,
    activity: String,
    role: String,
    start: Instant,
    end: Instant,
    override_id: Option<Uuid>,
    time_zone: String,
    treatment_id: Uuid,
    treatment_version: i32,
    add_on_treatment_id: Option<Uuid>,
    add_on_treatment_version: Option<i32>,
    begun: Instant,
}

/// The windows with what their treatments say of them.
async fn explained(
    db: &mut PgConnection,
    practice: PracticeId,
    rows: Vec<Row>,
) -> Result<Vec<AftercareWindow>, StoreError> {
    let added = rows.iter().filter_map(|row| row.add_on_treatment_id.zip(row.add_on_treatment_version));
    let mut wanted: Vec<(TreatmentId, i32)> = rows
        .iter()
        .map(|row| (row.treatment_id, row.treatment_version))
        .chain(added)
        .map(|(id, version)| (TreatmentId(id), version))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let treatments = catalog::treatments(db, practice, &wanted).await?;
    let in_version = |id: Uuid, version: i32| {
        let found = treatments.iter().find(|treatment| (treatment.id.0, treatment.version) == (id, version));
        found.ok_or(StoreError::Corrupt("treatment of an appointment"))
    };

    let read = rows.into_iter().map(|row| {
        let base = in_version(row.treatment_id, row.treatment_version)?;
        let whole: Cow<'_, Treatment> = match row.add_on_treatment_id.zip(row.add_on_treatment_version) {
            Some((id, version)) => Cow::Owned(combined(base, in_version(id, version)?)),
            None => Cow::Borrowed(base),
        };
        let kind = read::named(AftercareKind::from_name(&row.role))?;
        let activity = read::named(Activity::from_name(&row.activity))?;
        let proper = Timing::new(&whole).proper(row.begun);
        let (proper, (instruction, evidence)) = proper
            .zip(instruction(&whole.content, kind, activity))
            .ok_or(StoreError::Corrupt("rule of an aftercare window"))?;
        Ok(AftercareWindow {
            kind,
            activity,
            during: read::interval(row.start, row.end)?,
            proper,
            zone: read::zone(&row.time_zone)?,
            appointment: AppointmentId(row.appointment_id),
            approval: row.override_id.map(OverrideId),
            instruction: instruction.clone(),
            evidence: evidence.clone(),
        })
    });
    read.collect()
}
