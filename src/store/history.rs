//! The numbered history of a practice.

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::practice::Standing;
use super::{StoreError, read};
use crate::domain::access::Author;
use crate::domain::history::{Change, ChangeKind};
use crate::domain::ids::{AppointmentId, PatientId, PracticeId, RequestId, WaitingId};

/// A request that was carried out before.
#[derive(Debug, Clone, Copy)]
pub struct Earlier {
    /// What it made or changed.
    pub subject: Uuid,
    /// The revision that it was.
    pub revision: i64,
    /// SHA-256 of its method and payload.
    pub digest: [u8; 32],
}

/// Where a practice stands, and the request of that id, if it was carried out before. Nothing if there is no such
/// practice.
pub async fn find_request(
    db: &mut PgConnection,
    practice: PracticeId,
    request: RequestId,
) -> Result<Option<(Standing, Option<Earlier>)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT p.revision, p.booking_horizon_days,
                  (SELECT min(held_until) FROM appointments a
                   WHERE a.practice_id = p.practice_id AND a.state = 'held') AS hold_ends,
                  c.subject_id AS "subject_id?", c.revision AS "request_revision?", c.request_digest AS "request_digest?"
           FROM practices p LEFT JOIN changes c ON c.practice_id = p.practice_id AND c.request_id = $2
           WHERE p.practice_id = $1"#,
        practice.0,
        request.0
    );
    let Some(row) = row.fetch_optional(db).await? else { return Ok(None) };
    let standing =
        Standing { revision: row.revision, booking_horizon_days: row.booking_horizon_days, hold_ends: row.hold_ends };
    let Some(((subject, revision), digest)) = row.subject_id.zip(row.request_revision).zip(row.request_digest) else {
        return Ok(Some((standing, None)));
    };
    let digest = digest.try_into().map_err(|_| StoreError::Corrupt("request digest"))?;
    Ok(Some((standing, Some(Earlier { subject, revision, digest }))))
}

/// Appends a change.
pub async fn append(
    db: &mut PgConnection,
    practice: PracticeId,
    change: &Change,
    digest: &[u8; 32],
) -> Result<(), StoreError> {
    let appointments: Vec<Uuid> = change.appointments.iter().map(|id| id.0).collect();
    let waiting: Vec<Uuid> = change.waiting.iter().map(|id| id.0).collect();
    let done = sqlx::query!(
        "INSERT INTO changes (practice_id, revision, recorded_at, kind, subject_id, patient_id, appointment_ids,
                              actor_token_id, actor_role, request_id, request_digest, waiting_ids)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        practice.0,
        change.revision,
        change.recorded_at,
        change.kind.as_str(),
        change.subject,
        change.patient.map(|id| id.0),
        &appointments,
        change.token.map(|id| id.0),
        change.role.as_str(),
        change.request.0,
        digest.as_slice(),
        &waiting
    );
    expect_rows("append change", 1, &done.execute(db).await?)
}

/// Whether anything of the patient of a visit has changed since they were checked in, but for steps of the visit
/// itself: by a change that is about the patient, or that names another visit of theirs among those of several
/// patients. What was told to patients decides nothing.
pub async fn has_changed_since_arrival(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: AppointmentId,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM appointments a
                          JOIN changes c ON c.practice_id = a.practice_id AND c.revision > a.arrived_revision
                              AND c.subject_id <> a.appointment_id AND c.kind <> 'message.taken'
                              AND (c.patient_id = a.patient_id OR EXISTS (
                                  SELECT FROM appointments o
                                  WHERE o.practice_id = c.practice_id AND o.appointment_id = ANY (c.appointment_ids)
                                    AND o.patient_id = a.patient_id AND o.appointment_id <> a.appointment_id))
                          WHERE a.practice_id = $1 AND a.appointment_id = $2) AS "found!""#,
        practice.0,
        visit.0
    );
    Ok(found.fetch_one(db).await?)
}

/// Changes after a revision, in order.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    after: i64,
    limit: i64,
) -> Result<Vec<Change>, StoreError> {
    let rows = sqlx::query!(
        "SELECT revision, recorded_at, kind, subject_id, patient_id, appointment_ids, actor_token_id, actor_role,
                request_id, waiting_ids
         FROM changes WHERE practice_id = $1 AND revision > $2 ORDER BY revision LIMIT $3",
        practice.0,
        after,
        limit
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| {
        let Author { token, role } = read::author(row.actor_token_id, &row.actor_role)?;
        Ok(Change {
            revision: row.revision,
            recorded_at: row.recorded_at,
            kind: read::named(ChangeKind::from_name(&row.kind))?,
            subject: row.subject_id,
            patient: row.patient_id.map(PatientId),
            appointments: row.appointment_ids.into_iter().map(AppointmentId).collect(),
            waiting: row.waiting_ids.into_iter().map(WaitingId).collect(),
            token,
            role,
            request: RequestId(row.request_id),
        })
    });
    read.collect()
}
