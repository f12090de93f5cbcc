//! Aftercare windows, with the words and evidence of the rules that they come from.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, patient, read};
use crate::domain::aftercare::AftercareWindow;
use crate::domain::catalog::{Activity, Evidence, Grade};
use crate::domain::ids::{AppointmentId, PatientId, PracticeId};
use crate::domain::interval::{Instant, Interval};

/// Which windows of a patient.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// The patient.
    pub patient: PatientId,
    /// Those that overlap this.
    pub during: Interval,
    /// Only of this activity.
    pub activity: Option<Activity>,
    /// Only those after this start, appointment and activity.
    pub after: Option<(Instant, AppointmentId, Activity)>,
}

/// The windows, by start, appointment and activity. Nothing if there is no such patient.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    windows: &Windows,
    limit: i64,
) -> Result<Option<Vec<AftercareWindow>>, StoreError> {
    if !patient::exists(db, practice, windows.patient).await? {
        return Ok(None);
    }
    let (after, after_id, after_activity) =
        windows.after.map_or((Instant::MIN_UTC, Uuid::nil(), ""), |(at, id, activity)| (at, id.0, activity.as_str()));
    // PostgreSQL knows no instant as early as chrono's first.
    let after = after.max(Instant::UNIX_EPOCH);
    let rows = sqlx::query!(
        r#"SELECT w.appointment_id, w.activity, lower(w.during) AS "start!", upper(w.during) AS "end!", c.time_zone,
                  t.instruction, t.source, t.grade, t.rationale
           FROM activity_windows w
           JOIN appointments a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
           JOIN clinics c ON c.practice_id = a.practice_id AND c.clinic_id = a.clinic_id
           -- Where something is added to a visit, the words are those of whoever forbids it for longer.
           CROSS JOIN LATERAL (
               SELECT t.instruction, t.source, t.grade, t.rationale FROM treatment_restrictions t
               WHERE t.practice_id = a.practice_id AND t.activity = w.activity
                 AND (t.treatment_id, t.version) IN ((a.treatment_id, a.treatment_version),
                                                     (a.add_on_treatment_id, a.add_on_treatment_version))
               ORDER BY t.after_amount * CASE t.after_unit WHEN 'days' THEN 24 ELSE 1 END DESC,
                        t.before_amount * CASE t.before_unit WHEN 'days' THEN 24 ELSE 1 END DESC,
                        t.treatment_id <> a.treatment_id LIMIT 1) t
           WHERE w.practice_id = $1 AND w.patient_id = $2 AND w.live AND w.role = 'restricts'
             AND w.during && tstzrange($3, $4) AND ($5::text IS NULL OR w.activity = $5)
             AND (lower(w.during), w.appointment_id, w.activity) > ($6, $7, $8)
           ORDER BY lower(w.during), w.appointment_id, w.activity LIMIT $9"#,
        practice.0,
        windows.patient.0,
        windows.during.start(),
        windows.during.end(),
        windows.activity.map(Activity::as_str),
        after,
        after_id,
        after_activity,
        limit
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| {
        Ok(AftercareWindow {
            activity: read::named(Activity::from_name(&row.activity))?,
            during: read::interval(row.start, row.end)?,
            zone: read::zone(&row.time_zone)?,
            appointment: AppointmentId(row.appointment_id),
            instruction: read::prose(&row.instruction)?,
            evidence: Evidence {
                source: read::prose(&row.source)?,
                grade: read::named(Grade::from_name(&row.grade))?,
                rationale: read::prose(&row.rationale)?,
            },
        })
    });
    read.collect::<Result<_, StoreError>>().map(Some)
}
