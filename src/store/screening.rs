//! Screenings. They are personal data.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::fitness::For;
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

/// Selects screenings, latest first: ids do not follow the order of commits; revisions do. Who recorded one is looked up by
/// itself: joined, all changes of a practice may be read for it, because plans are made without knowing how few screenings
/// there will be.
macro_rules! select {
    ($which:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT s.screening_id, s.patient_id, s.protocol_id, s.protocol_version, s.skin_type, s.stretch_marks,
                      s.medication, s.notes, s.recorded_at,
                      (SELECT c.actor_token_id FROM changes c
                       WHERE c.practice_id = s.practice_id AND c.revision = s.recorded_revision) AS actor_token_id,
                      (SELECT c.actor_role FROM changes c
                       WHERE c.practice_id = s.practice_id AND c.revision = s.recorded_revision) AS "actor_role!",
                      a.conditions AS "conditions!", a.present AS "present!",
                      a.dates AS "dates!: Vec<Option<NaiveDate>>", a.news AS "news!"
               FROM screenings s
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(condition), '{}') AS conditions,
                          coalesce(array_agg(present), '{}') AS present, coalesce(array_agg(on_date), '{}') AS dates,
                          coalesce(array_agg(news), '{}') AS news
                   FROM (SELECT x.*, CASE WHEN x.present THEN coalesce((
                             SELECT max(CASE WHEN e.present THEN e.next_revision ELSE e.recorded_revision END)
                             FROM (SELECT b.recorded_revision, y.present, y.on_date,
                                          lead(b.recorded_revision) OVER (ORDER BY b.recorded_revision) AS next_revision
                                   FROM screenings b
                                   JOIN screening_answers y ON y.practice_id = b.practice_id
                                       AND y.screening_id = b.screening_id AND y.condition = x.condition
                                   WHERE b.practice_id = s.practice_id AND b.patient_id = s.patient_id
                                     AND b.protocol_id = s.protocol_id
                                     AND b.recorded_revision <= s.recorded_revision) e
                             WHERE e.recorded_revision < s.recorded_revision
                               AND (NOT e.present OR e.on_date < x.on_date)), 0) ELSE 0 END AS news
                         FROM screening_answers x
                         WHERE x.practice_id = s.practice_id AND x.screening_id = s.screening_id
                         ORDER BY condition) AS ordered) a
               WHERE s.practice_id = $1 AND "# + $which + r#"
               ORDER BY s.recorded_revision DESC"#,
            $($argument),+
        )
    };
}

/// A screening.
pub async fn get(
    db: &mut PgConnection,
    practice: PracticeId,
    id: ScreeningId,
) -> Result<Option<Screening>, StoreError> {
    let row = select!("s.screening_id = $2", practice.0, id.0);
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// The latest screening of each of some patients for a protocol, in their order.
pub async fn latest(
    db: &mut PgConnection,
    practice: PracticeId,
    asked: &[For],
) -> Result<Vec<Option<Screening>>, StoreError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let patients: Vec<Uuid> = asked.iter().map(|of| of.patient.0).collect();
    let protocols: Vec<Option<Uuid>> = asked.iter().map(|of| of.protocol.map(|id| id.0)).collect();
    let rows = select!(
        "s.screening_id IN (
             SELECT (SELECT x.screening_id FROM screenings x
                     WHERE x.practice_id = $1 AND x.patient_id = w.patient AND x.protocol_id = w.protocol
                     ORDER BY x.recorded_revision DESC LIMIT 1)
             FROM unnest($2::uuid[], $3::uuid[]) AS w (patient, protocol))",
        practice.0,
        &patients,
        &protocols as &[Option<Uuid>]
    );
    let found: Vec<Screening> = rows.fetch_all(db).await?.into_iter().map(Row::read).collect::<Result<_, _>>()?;
    let of = |of: &For| {
        found.iter().find(|known| (known.patient, Some(known.protocol)) == (of.patient, of.protocol)).cloned()
    };
    Ok(asked.iter().map(of).collect())
}

/// The screenings of a patient, latest first, before one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    before: Option<ScreeningId>,
    limit: i64,
) -> Result<Vec<Screening>, StoreError> {
    let rows = select!(
        "s.screening_id IN (
             SELECT x.screening_id FROM screenings x
             WHERE x.practice_id = $1 AND x.patient_id = $2
               AND ($3::uuid IS NULL OR x.recorded_revision < (
                    SELECT recorded_revision FROM screenings b WHERE b.practice_id = $1 AND b.screening_id = $3))
             ORDER BY x.recorded_revision DESC LIMIT $4)",
        practice.0,
        patient.0,
        before.map(|id| id.0),
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
    actor_token_id: Option<Uuid>,
    actor_role: String,
    conditions: Vec<String>,
    present: Vec<bool>,
    dates: Vec<Option<NaiveDate>>,
    news: Vec<i64>,
}

impl Row {
    fn read(self) -> Result<Screening, StoreError> {
        let stated = self.conditions.iter().zip(self.present);
        let given = stated.zip(self.dates.into_iter().zip(self.news)).map(|((condition, present), (date, news))| {
            Ok(Answer { condition: read::named(Code::new(condition))?, present, date, news })
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
            recorded_by: read::author(self.actor_token_id, &self.actor_role)?,
        })
    }
}
