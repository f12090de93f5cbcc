//! Protocols.

use sqlx::PgConnection;
use uuid::Uuid;

use super::evidence;
use crate::domain::catalog::{GapDays, Protocol, ProtocolContent, SessionCounts};
use crate::domain::ids::{PracticeId, ProtocolId, TreatmentId};
use crate::domain::interval::Instant;
use crate::store::error::expect_rows;
use crate::store::{StoreError, read};

/// A protocol in one version; none stands for the highest.
pub async fn protocol(
    db: &mut PgConnection,
    practice: PracticeId,
    protocol: ProtocolId,
    version: Option<i32>,
) -> Result<Option<Protocol>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT protocol_id, version, name, treatment_id, treatment_version, sessions_minimum, sessions_default,
                sessions_maximum, gap_floor_days, gap_minimum_days, gap_target_days, gap_maximum_days, source, grade,
                rationale, published_revision, published_at
         FROM protocols
         WHERE practice_id = $1 AND protocol_id = $2 AND ($3::integer IS NULL OR version = $3)
         ORDER BY version DESC LIMIT 1",
        practice.0,
        protocol.0,
        version
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// Protocols in their highest versions, in order of their ids, after one of them.
pub async fn list_protocols(
    db: &mut PgConnection,
    practice: PracticeId,
    after: Option<ProtocolId>,
    limit: i64,
) -> Result<Vec<Protocol>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT DISTINCT ON (protocol_id)
                protocol_id, version, name, treatment_id, treatment_version, sessions_minimum, sessions_default,
                sessions_maximum, gap_floor_days, gap_minimum_days, gap_target_days, gap_maximum_days, source, grade,
                rationale, published_revision, published_at
         FROM protocols
         WHERE practice_id = $1 AND ($2::uuid IS NULL OR protocol_id > $2)
         ORDER BY protocol_id, version DESC LIMIT $3",
        practice.0,
        after.map(|id| id.0),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// Inserts a new version of a protocol.
pub async fn insert_protocol(
    db: &mut PgConnection,
    practice: PracticeId,
    protocol: &Protocol,
) -> Result<(), StoreError> {
    let ProtocolContent { name, treatment, sessions, gap, evidence } = &protocol.content;
    let done = sqlx::query!(
        "INSERT INTO protocols (practice_id, protocol_id, version, name, treatment_id, treatment_version,
                                sessions_minimum, sessions_default, sessions_maximum, gap_floor_days, gap_minimum_days,
                                gap_target_days, gap_maximum_days, source, grade, rationale, published_revision,
                                published_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        practice.0,
        protocol.id.0,
        protocol.version,
        name.as_str(),
        treatment.0,
        protocol.treatment_version,
        sessions.minimum,
        sessions.default,
        sessions.maximum,
        gap.floor,
        gap.minimum,
        gap.target,
        gap.maximum,
        evidence.source.as_str(),
        evidence.grade.as_str(),
        evidence.rationale.as_str(),
        protocol.published_revision,
        protocol.published_at
    );
    expect_rows("insert protocol", 1, &done.execute(db).await?)
}

struct Row {
    protocol_id: Uuid,
    version: i32,
    name: String,
    treatment_id: Uuid,
    treatment_version: i32,
    sessions_minimum: i32,
    sessions_default: i32,
    sessions_maximum: i32,
    gap_floor_days: i32,
    gap_minimum_days: i32,
    gap_target_days: i32,
    gap_maximum_days: i32,
    source: String,
    grade: String,
    rationale: String,
    published_revision: i64,
    published_at: Instant,
}

impl Row {
    fn read(self) -> Result<Protocol, StoreError> {
        let sessions = SessionCounts::new(self.sessions_minimum, self.sessions_default, self.sessions_maximum);
        let gap = GapDays::new(self.gap_floor_days, self.gap_minimum_days, self.gap_target_days, self.gap_maximum_days);
        Ok(Protocol {
            id: ProtocolId(self.protocol_id),
            version: self.version,
            published_at: self.published_at,
            published_revision: self.published_revision,
            treatment_version: self.treatment_version,
            content: ProtocolContent {
                name: read::label(&self.name)?,
                treatment: TreatmentId(self.treatment_id),
                sessions: sessions.ok_or(StoreError::Corrupt("session counts"))?,
                gap: gap.ok_or(StoreError::Corrupt("gap"))?,
                evidence: evidence(&self.source, &self.grade, &self.rationale)?,
            },
        })
    }
}
