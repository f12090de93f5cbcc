//! Reactions.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::ids::{AppointmentId, PatientId, PracticeId, ReactionId, ResourceId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::reaction::{Cleared, Reaction, ReactionGrade, Standing};
use crate::domain::text::{Code, Personal};

/// Inserts a reaction.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    reaction: &Reaction,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO reactions (practice_id, reaction_id, patient_id, appointment_id, series_id, kind, reaction_grade,
                                onset, description, reported_at, reported_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        practice.0,
        reaction.id.0,
        reaction.patient.0,
        reaction.appointment.0,
        reaction.series.0,
        reaction.kind.expose().as_str(),
        reaction.grade.as_str(),
        reaction.onset.expose(),
        reaction.description.expose().as_str(),
        reaction.reported_at,
        revision
    );
    expect_rows("insert reaction", 1, &done.execute(db).await?)
}

/// Clears a reaction.
pub async fn clear(
    db: &mut PgConnection,
    practice: PracticeId,
    id: ReactionId,
    cleared: &Cleared,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE reactions SET cleared_at = $3, cleared_by = $4, earliest_date = $5, clear_notes = $6,
                              cleared_revision = $7
         WHERE practice_id = $1 AND reaction_id = $2 AND cleared_at IS NULL",
        practice.0,
        id.0,
        cleared.at,
        cleared.by.0,
        cleared.earliest,
        cleared.notes.expose().as_str(),
        revision
    );
    expect_rows("clear reaction", 1, &done.execute(db).await?)
}

/// A reaction.
pub async fn get(db: &mut PgConnection, practice: PracticeId, id: ReactionId) -> Result<Option<Reaction>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT r.reaction_id, r.patient_id, r.appointment_id, r.series_id, r.kind, r.reaction_grade, r.onset,
                  r.description, r.reported_at, r.cleared_at, r.cleared_by, r.earliest_date, r.clear_notes,
                  a.arrived_at IS NOT NULL AS "attended!", c.actor_token_id, c.actor_role
           FROM reactions r
           JOIN changes c ON c.practice_id = r.practice_id AND c.revision = r.reported_revision
           JOIN appointments a ON a.practice_id = r.practice_id AND a.appointment_id = r.appointment_id
           WHERE r.practice_id = $1 AND r.reaction_id = $2"#,
        practice.0,
        id.0
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// The reactions of a patient in order of their ids, after one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    after: Option<ReactionId>,
    limit: i64,
) -> Result<Vec<Reaction>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT r.reaction_id, r.patient_id, r.appointment_id, r.series_id, r.kind, r.reaction_grade, r.onset,
                  r.description, r.reported_at, r.cleared_at, r.cleared_by, r.earliest_date, r.clear_notes,
                  a.arrived_at IS NOT NULL AS "attended!", c.actor_token_id, c.actor_role
           FROM reactions r
           JOIN changes c ON c.practice_id = r.practice_id AND c.revision = r.reported_revision
           JOIN appointments a ON a.practice_id = r.practice_id AND a.appointment_id = r.appointment_id
           WHERE r.practice_id = $1 AND r.patient_id = $2 AND r.reaction_id > $3
           ORDER BY r.reaction_id LIMIT $4"#,
        practice.0,
        patient.0,
        after.map_or(Uuid::nil(), |id| id.0),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// What a patient's reactions mean for their sessions.
pub async fn standing(db: &mut PgConnection, practice: PracticeId, patient: PatientId) -> Result<Standing, StoreError> {
    let rows = sqlx::query!(
        "SELECT reaction_id, reaction_grade, reported_at, earliest_date FROM reactions
         WHERE practice_id = $1 AND patient_id = $2
         ORDER BY reported_revision",
        practice.0,
        patient.0
    );
    let mut standing = Standing::default();
    for row in rows.fetch_all(db).await? {
        let id = ReactionId(row.reaction_id);
        let grade = read::named(ReactionGrade::from_name(&row.reaction_grade))?;
        match row.earliest_date {
            Some(earliest) => standing.cleared.push((row.reported_at, earliest)),
            None if grade.holds() => standing.holding.push((id, row.reported_at)),
            None => {}
        }
    }
    Ok(standing)
}

struct Row {
    reaction_id: Uuid,
    patient_id: Uuid,
    appointment_id: Uuid,
    series_id: Uuid,
    kind: String,
    reaction_grade: String,
    onset: Instant,
    description: String,
    reported_at: Instant,
    cleared_at: Option<Instant>,
    cleared_by: Option<Uuid>,
    earliest_date: Option<NaiveDate>,
    clear_notes: Option<String>,
    attended: bool,
    actor_token_id: Option<Uuid>,
    actor_role: String,
}

impl Row {
    fn read(self) -> Result<Reaction, StoreError> {
        let cleared = match (self.cleared_at, self.cleared_by, self.earliest_date, self.clear_notes) {
            (None, None, None, None) => None,
            (Some(at), Some(by), Some(earliest), Some(notes)) => {
                Some(Cleared { at, by: ResourceId(by), earliest, notes: Personal::new(read::prose(&notes)?) })
            }
            _ => return Err(StoreError::Corrupt("clearing of a reaction")),
        };
        Ok(Reaction {
            id: ReactionId(self.reaction_id),
            patient: PatientId(self.patient_id),
            appointment: AppointmentId(self.appointment_id),
            attended: self.attended,
            series: SeriesId(self.series_id),
            kind: Personal::new(read::named(Code::new(&self.kind))?),
            grade: read::named(ReactionGrade::from_name(&self.reaction_grade))?,
            onset: Personal::new(self.onset),
            description: Personal::new(read::prose(&self.description)?),
            reported_at: self.reported_at,
            reported_by: read::author(self.actor_token_id, &self.actor_role)?,
            cleared,
        })
    }
}
