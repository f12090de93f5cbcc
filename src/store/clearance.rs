//! What practitioners decided after consultations.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::fitness::For;
use super::{StoreError, read};
use crate::domain::catalog::BodyArea;
use crate::domain::clearance::{Clearance, Decision, Revocation};
use crate::domain::ids::{AppointmentId, ClearanceId, PatientId, PracticeId, ProtocolId, ResourceId};
use crate::domain::interval::Instant;
use crate::domain::text::{Code, Personal};

/// How decisions are stored.
const CLEARED: &str = "cleared";
const DECLINED: &str = "declined";

/// Inserts a new decision.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    clearance: &Clearance,
    revision: i64,
) -> Result<(), StoreError> {
    let none: &[Code] = &[];
    let (outcome, covers, conditions) = match &clearance.decision {
        Decision::Cleared { session_count, valid_from, valid_until, not_before, conditions } => {
            (CLEARED, Some((*session_count, *valid_from, *valid_until, *not_before)), conditions.expose().as_slice())
        }
        Decision::Declined => (DECLINED, None, none),
    };
    let conditions: Vec<&str> = conditions.iter().map(Code::as_str).collect();
    let done = sqlx::query!(
        "INSERT INTO clearances (practice_id, clearance_id, patient_id, protocol_id, protocol_version, body_area,
                                 consultation_id, outcome, session_count, valid_from, valid_until, not_before,
                                 conditions, notes, decided_at, decided_by, decided_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        practice.0,
        clearance.id.0,
        clearance.patient.0,
        clearance.protocol.0,
        clearance.protocol_version,
        clearance.area.as_str(),
        clearance.consultation.0,
        outcome,
        covers.map(|covers| covers.0),
        covers.map(|covers| covers.1),
        covers.map(|covers| covers.2),
        covers.map(|covers| covers.3),
        &conditions as &[&str],
        clearance.notes.expose().as_str(),
        clearance.decided_at,
        clearance.decided_by.0,
        revision
    );
    expect_rows("insert clearance", 1, &done.execute(db).await?)
}

/// Revokes a clearance.
pub async fn revoke(
    db: &mut PgConnection,
    practice: PracticeId,
    id: ClearanceId,
    revocation: &Revocation,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE clearances SET revoked_at = $3, revoked_by = $4, revoke_reason = $5, revoked_revision = $6
         WHERE practice_id = $1 AND clearance_id = $2 AND revoked_revision IS NULL",
        practice.0,
        id.0,
        revocation.at,
        revocation.by.0,
        revocation.reason.expose().as_str(),
        revision
    );
    expect_rows("revoke clearance", 1, &done.execute(db).await?)
}

/// A decision.
pub async fn get(
    db: &mut PgConnection,
    practice: PracticeId,
    id: ClearanceId,
) -> Result<Option<Clearance>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT clearance_id, patient_id, protocol_id, protocol_version, body_area, consultation_id, outcome,
                session_count, valid_from, valid_until, not_before, conditions, notes, decided_at, decided_by,
                revoked_at, revoked_by, revoke_reason
         FROM clearances WHERE practice_id = $1 AND clearance_id = $2",
        practice.0,
        id.0
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// The latest decision about each of some patients for a protocol and an area, or any area, revoked or not; in their
/// order.
pub async fn latest(
    db: &mut PgConnection,
    practice: PracticeId,
    asked: &[For],
) -> Result<Vec<Option<Clearance>>, StoreError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let patients: Vec<Uuid> = asked.iter().map(|of| of.patient.0).collect();
    let protocols: Vec<Option<Uuid>> = asked.iter().map(|of| of.protocol.map(|id| id.0)).collect();
    let areas: Vec<Option<&str>> = asked.iter().map(|of| of.area.map(BodyArea::as_str)).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT clearance_id, patient_id, protocol_id, protocol_version, body_area, consultation_id, outcome,
                session_count, valid_from, valid_until, not_before, conditions, notes, decided_at, decided_by,
                revoked_at, revoked_by, revoke_reason
         FROM clearances
         WHERE practice_id = $1 AND clearance_id IN (
             SELECT (SELECT c.clearance_id FROM clearances c
                     WHERE c.practice_id = $1 AND c.patient_id = w.patient AND c.protocol_id = w.protocol
                       AND c.body_area = w.area
                     ORDER BY c.decided_revision DESC LIMIT 1)
             FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS w (patient, protocol, area))
         ORDER BY decided_revision DESC",
        practice.0,
        &patients,
        &protocols as &[Option<Uuid>],
        &areas as &[Option<&str>]
    );
    let found: Vec<Clearance> = rows.fetch_all(db).await?.into_iter().map(Row::read).collect::<Result<_, _>>()?;
    let is_of = |known: &Clearance, of: &For| {
        (known.patient, Some(known.protocol), Some(known.area)) == (of.patient, of.protocol, of.area)
    };
    Ok(asked.iter().map(|of| found.iter().find(|known| is_of(known, of)).cloned()).collect())
}

/// The decisions about a patient, latest first, before one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    before: Option<ClearanceId>,
    limit: i64,
) -> Result<Vec<Clearance>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT clearance_id, patient_id, protocol_id, protocol_version, body_area, consultation_id, outcome,
                session_count, valid_from, valid_until, not_before, conditions, notes, decided_at, decided_by,
                revoked_at, revoked_by, revoke_reason
         FROM clearances
         WHERE practice_id = $1 AND patient_id = $2
           AND ($3::uuid IS NULL OR decided_revision < (
                SELECT decided_revision FROM clearances b WHERE b.practice_id = $1 AND b.clearance_id = $3))
         ORDER BY decided_revision DESC LIMIT $4",
        practice.0,
        patient.0,
        before.map(|id| id.0),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

struct Row {
    clearance_id: Uuid,
    patient_id: Uuid,
    protocol_id: Uuid,
    protocol_version: i32,
    body_area: String,
    consultation_id: Uuid,
    outcome: String,
    session_count: Option<i32>,
    valid_from: Option<NaiveDate>,
    valid_until: Option<NaiveDate>,
    not_before: Option<Instant>,
    conditions: Vec<String>,
    notes: String,
    decided_at: Instant,
    decided_by: Uuid,
    revoked_at: Option<Instant>,
    revoked_by: Option<Uuid>,
    revoke_reason: Option<String>,
}

impl Row {
    fn read(self) -> Result<Clearance, StoreError> {
        let days = self.valid_from.zip(self.valid_until);
        let decision = match (self.outcome.as_str(), self.session_count, days, self.not_before) {
            (CLEARED, Some(session_count), Some((valid_from, valid_until)), Some(not_before)) => {
                let conditions = self.conditions.iter().map(|code| read::named(Code::new(code)));
                let conditions = Personal::new(conditions.collect::<Result<_, _>>()?);
                Decision::Cleared { session_count, valid_from, valid_until, not_before, conditions }
            }
            (DECLINED, None, None, None) => Decision::Declined,
            _ => return Err(StoreError::Corrupt("decision of a clearance")),
        };
        let revoked = match (self.revoked_at, self.revoked_by, self.revoke_reason) {
            (None, None, None) => None,
            (Some(at), Some(by), Some(reason)) => {
                Some(Revocation { at, by: ResourceId(by), reason: Personal::new(read::prose(&reason)?) })
            }
            _ => return Err(StoreError::Corrupt("revocation of a clearance")),
        };
        Ok(Clearance {
            id: ClearanceId(self.clearance_id),
            patient: PatientId(self.patient_id),
            protocol: ProtocolId(self.protocol_id),
            protocol_version: self.protocol_version,
            area: read::named(BodyArea::from_name(&self.body_area))?,
            consultation: AppointmentId(self.consultation_id),
            decision,
            notes: Personal::new(read::prose(&self.notes)?),
            decided_at: self.decided_at,
            decided_by: ResourceId(self.decided_by),
            revoked,
        })
    }
}
