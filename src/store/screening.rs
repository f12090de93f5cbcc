//! Screenings. They are personal data.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::ids::{PatientId, PracticeId, ProtocolId, ScreeningId};
use crate::domain::interval::Instant;
use crate::domain::screening::{Answer, Answers, Screening, Severity};
use crate::domain::text::{Code, Personal};

/// Inserts a new screening.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    screening: &Screening,
    revision: i64,
) -> Result<(), StoreError> {
    let Answers { given, skin_type, stretch_marks, medication, notes } = screening.answers.expose();
    let done = sqlx::query!(
        "INSERT INTO screenings (practice_id, screening_id, patient_id, protocol_id, protocol_version, skin_type,
                                 stretch_marks, medication, notes, recorded_at, recorded_revision)
         VALUES ($1, $2, $3, $4, $5, $6::integer, $7, $8, $9, $10, $11)",
        practice.0,
        screening.id.0,
        screening.patient.0,
        screening.protocol.0,
        screening.protocol_version,
        *skin_type,
        stretch_marks.map(Severity::as_str),
        medication.as_str(),
        notes.as_str(),
        screening.recorded_at,
        revision
    );
    expect_rows("insert screening", 1, &done.execute(&mut *db).await?)?;
    let conditions: Vec<&str> = given.iter().map(|answer| answer.condition.as_str()).collect();
    let present: Vec<bool> = given.iter().map(|answer| answer.present).collect();
    let dates: Vec<Option<NaiveDate>> = given.iter().map(|answer| answer.date).collect();
    let done = sqlx::query!(
        "INSERT INTO screening_answers (practice_id, screening_id, condition, present, on_date)
         SELECT $1, $2, * FROM UNNEST($3::text[], $4::boolean[], $5::date[])",
        practice.0,
        screening.id.0,
        &conditions as &[&str],
        &present,
        &dates as &[Option<NaiveDate>]
    );
    expect_rows("insert screening answers", given.len(), &done.execute(db).await?)
}

/// A screening.
pub async fn get(
    db: &mut PgConnection,
    practice: PracticeId,
    id: ScreeningId,
) -> Result<Option<Screening>, StoreError> {
    let patient = sqlx::query_scalar!(
        "SELECT patient_id FROM screenings WHERE practice_id = $1 AND screening_id = $2",
        practice.0,
        id.0
    );
    let Some(patient) = patient.fetch_optional(&mut *db).await? else { return Ok(None) };
    let found = several(db, practice, PatientId(patient), &Which { only: Some(id), ..Which::default() }, 1).await?;
    Ok(found.into_iter().next())
}

/// The latest screening of each of these patients for a protocol; those that have none are left out.
pub async fn latest(
    db: &mut PgConnection,
    practice: PracticeId,
    asked: &[(PatientId, ProtocolId)],
) -> Result<Vec<Screening>, StoreError> {
    let (patients, protocols): (Vec<Uuid>, Vec<Uuid>) = asked.iter().map(|(p, of)| (p.0, of.0)).unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT s.screening_id, s.patient_id, s.protocol_id, s.protocol_version, s.skin_type, s.stretch_marks,
                  s.medication, s.notes, s.recorded_at, a.conditions AS "conditions!", a.present AS "present!",
                  a.dates AS "dates!: Vec<Option<NaiveDate>>"
           FROM unnest($2::uuid[], $3::uuid[]) AS asked (patient, protocol)
           CROSS JOIN LATERAL (
               SELECT * FROM screenings x
               WHERE x.practice_id = $1 AND x.patient_id = asked.patient AND x.protocol_id = asked.protocol
               ORDER BY x.recorded_revision DESC LIMIT 1) s
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(condition), '{}') AS conditions, coalesce(array_agg(present), '{}') AS present,
                      coalesce(array_agg(on_date), '{}') AS dates
               FROM (SELECT * FROM screening_answers x
                     WHERE x.practice_id = s.practice_id AND x.screening_id = s.screening_id
                     ORDER BY condition) AS ordered) a"#,
        practice.0,
        &patients,
        &protocols
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// The screenings of a patient, latest first, before one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    before: Option<ScreeningId>,
    limit: i64,
) -> Result<Vec<Screening>, StoreError> {
    several(db, practice, patient, &Which { before, ..Which::default() }, limit).await
}

/// Which screenings of a patient.
#[derive(Debug, Default)]
struct Which {
    only: Option<ScreeningId>,
    before: Option<ScreeningId>,
}

async fn several(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    which: &Which,
    limit: i64,
) -> Result<Vec<Screening>, StoreError> {
    // Ids do not follow the order of commits; revisions do.
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT s.screening_id, s.patient_id, s.protocol_id, s.protocol_version, s.skin_type, s.stretch_marks,
                  s.medication, s.notes, s.recorded_at, a.conditions AS "conditions!", a.present AS "present!",
                  a.dates AS "dates!: Vec<Option<NaiveDate>>"
           FROM screenings s
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(condition), '{}') AS conditions, coalesce(array_agg(present), '{}') AS present,
                      coalesce(array_agg(on_date), '{}') AS dates
               FROM (SELECT * FROM screening_answers x
                     WHERE x.practice_id = s.practice_id AND x.screening_id = s.screening_id
                     ORDER BY condition) AS ordered) a
           WHERE s.practice_id = $1 AND s.patient_id = $2 AND ($3::uuid IS NULL OR s.screening_id = $3)
             AND ($4::uuid IS NULL OR s.recorded_revision < (
                  SELECT recorded_revision FROM screenings b WHERE b.practice_id = $1 AND b.screening_id = $4))
           ORDER BY s.recorded_revision DESC LIMIT $5"#,
        practice.0,
        patient.0,
        which.only.map(|id| id.0),
        which.before.map(|id| id.0),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

struct Row {
    screening_id: Uuid,
    patient_id: Uuid,
    protocol_id: Uuid,
    protocol_version: i32,
    skin_type: Option<i16>,
    stretch_marks: Option<String>,
    medication: String,
    notes: String,
    recorded_at: Instant,
    conditions: Vec<String>,
    present: Vec<bool>,
    dates: Vec<Option<NaiveDate>>,
}

impl Row {
    fn read(self) -> Result<Screening, StoreError> {
        let given = self.conditions.iter().zip(self.present).zip(self.dates).map(|((condition, present), date)| {
            Ok(Answer { condition: read::named(Code::new(condition))?, present, date })
        });
        let answers = Answers {
            given: given.collect::<Result<_, StoreError>>()?,
            skin_type: self.skin_type.map(i32::from),
            stretch_marks: self.stretch_marks.map(|name| read::named(Severity::from_name(&name))).transpose()?,
            medication: read::prose(&self.medication)?,
            notes: read::prose(&self.notes)?,
        };
        Ok(Screening {
            id: ScreeningId(self.screening_id),
            patient: PatientId(self.patient_id),
            protocol: ProtocolId(self.protocol_id),
            protocol_version: self.protocol_version,
            answers: Personal::new(answers),
            recorded_at: self.recorded_at,
        })
    }
}
