//! Visits as calendar apps are told of them.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, read};
use crate::domain::agenda::Entry;
use crate::domain::ids::{AppointmentId, PatientId, PracticeId, ResourceId};
use crate::domain::interval::Instant;

/// Whose visits.
#[derive(Debug, Clone, Copy)]
pub enum Whose {
    /// A patient's.
    Patient(PatientId),
    /// Those that need a practitioner.
    Practitioner(ResourceId),
}

impl Whose {
    /// As the queries take it: either is null, and has no visits then.
    const fn columns(self) -> (Option<Uuid>, Option<Uuid>) {
        match self {
            Self::Patient(id) => (Some(id.0), None),
            Self::Practitioner(id) => (None, Some(id.0)),
        }
    }
}

/// The revision that last changed a visit in a stretch of time, or its clinic; 0 if there is none. Cancelled visits
/// count, however long ago they were.
pub async fn latest_revision(
    db: &mut PgConnection,
    practice: PracticeId,
    whose: Whose,
    (from, until): (Instant, Instant),
) -> Result<i64, StoreError> {
    let (patient, practitioner) = whose.columns();
    let latest = sqlx::query_scalar!(
        r#"SELECT coalesce(max(greatest(a.changed_revision, c.changed_revision)), 0) AS "latest!"
           FROM appointments a JOIN clinics c ON c.practice_id = a.practice_id AND c.clinic_id = a.clinic_id
           WHERE a.practice_id = $1 AND a.appointment_id IN (
               SELECT appointment_id FROM appointments
               WHERE practice_id = $1 AND patient_id = $2 AND visit && tstzrange($4, $5)
                 AND lower(visit) > $4::timestamptz - interval '12 hours' AND lower(visit) < $5
               UNION ALL
               SELECT appointment_id FROM occupancies
               WHERE practice_id = $1 AND resource_id = $3 AND lower(during) < $5
                 AND lower(during) > $4::timestamptz - interval '12 hours')"#,
        practice.0,
        patient,
        practitioner,
        from,
        until
    );
    Ok(latest.fetch_one(db).await?)
}

/// The visits in a stretch of time, each once, as the latest appointment in it that was booked for it; by start and first
/// appointment. What was cancelled before `cancelled_since` and what was never more than held is left out. No visit is
/// longer than twelve hours, so that the indexes on starts serve.
pub async fn entries(
    db: &mut PgConnection,
    practice: PracticeId,
    whose: Whose,
    (from, until): (Instant, Instant),
    cancelled_since: Instant,
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    let (patient, practitioner) = whose.columns();
    let rows = sqlx::query!(
        r#"WITH RECURSIVE scope AS (
               SELECT appointment_id AS id, lower(visit) AS starts, upper(visit) AS ends FROM appointments
               WHERE practice_id = $1 AND patient_id = $2 AND visit && tstzrange($4, $5)
                 AND lower(visit) > $4::timestamptz - interval '12 hours' AND lower(visit) < $5
               UNION ALL
               SELECT appointment_id, min(lower(during)), max(upper(during)) FROM occupancies
               WHERE practice_id = $1 AND resource_id = $3
                 AND lower(during) > $4::timestamptz - interval '12 hours'
                 AND lower(during) < $5::timestamptz + interval '12 hours'
               GROUP BY appointment_id
               HAVING tstzrange(min(lower(during)), max(upper(during))) && tstzrange($4, $5)),
           told AS (
               SELECT s.id, s.starts, s.ends, a.clinic_id, a.live, a.booked_revision, a.changed_revision, a.replaces
               FROM scope s JOIN appointments a ON a.practice_id = $1 AND a.appointment_id = s.id
               WHERE a.held_revision IS DISTINCT FROM a.booked_revision AND (a.live OR a.cancelled_at > $6)),
           moves AS (
               SELECT id, id AS first, replaces FROM told
               UNION ALL
               SELECT m.id, a.appointment_id, a.replaces
               FROM moves m JOIN appointments a ON a.practice_id = $1 AND a.appointment_id = m.replaces),
           visits AS (
               SELECT DISTINCT ON (m.first) m.first, t.*
               FROM moves m JOIN told t ON t.id = m.id
               WHERE m.replaces IS NULL
               ORDER BY m.first, t.booked_revision DESC)
           SELECT v.first AS "first!", v.starts AS "starts!", v.ends AS "ends!", v.live AS "live!", c.name, c.time_zone,
                  h.revision, h.recorded_at
           FROM visits v JOIN clinics c ON c.practice_id = $1 AND c.clinic_id = v.clinic_id
           JOIN changes h ON h.practice_id = $1 AND h.revision = greatest(v.changed_revision, c.changed_revision)
           ORDER BY v.starts, v.first LIMIT $7"#,
        practice.0,
        patient,
        practitioner,
        from,
        until,
        cancelled_since,
        limit
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| {
        Ok(Entry {
            first: AppointmentId(row.first),
            clinic: read::label(&row.name)?,
            zone: read::zone(&row.time_zone)?,
            during: read::interval(row.starts, row.ends)?,
            takes_place: row.live,
            revision: row.revision,
            changed_at: row.recorded_at,
        })
    });
    read.collect()
}
