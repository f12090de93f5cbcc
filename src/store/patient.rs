//! Patients.

use sqlx::PgConnection;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::ids::{PatientId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::patient::{Patient, PatientPlace, PatientRecord};
use crate::domain::text::{Personal, folded};

/// A patient.
pub async fn get(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
) -> Result<Option<Patient>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT patient_id, given_name, family_name, birth_date, phone, email, notes, changed_revision FROM patients
         WHERE practice_id = $1 AND patient_id = $2",
        practice.0,
        patient.0
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// Patients by their ids, in no order; those that do not exist are left out.
pub async fn several(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[PatientId],
) -> Result<Vec<Patient>, StoreError> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT patient_id, given_name, family_name, birth_date, phone, email, notes, changed_revision FROM patients
         WHERE practice_id = $1 AND patient_id = ANY($2)",
        practice.0,
        &ids
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// Whether there is such a patient.
pub async fn exists(db: &mut PgConnection, practice: PracticeId, patient: PatientId) -> Result<bool, StoreError> {
    let known = sqlx::query_scalar!(
        "SELECT patient_id FROM patients WHERE practice_id = $1 AND patient_id = $2",
        practice.0,
        patient.0
    );
    Ok(known.fetch_optional(db).await?.is_some())
}

/// Patients whose family name begins with `prefix`, whatever the letter case, in the order of their places.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    prefix: &str,
    after: Option<&PatientPlace>,
    limit: i64,
) -> Result<Vec<Patient>, StoreError> {
    let literal = folded(prefix).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let (family, given, id) = match after {
        Some(after) => (after.family_name.expose().as_str(), after.given_name.expose().as_str(), after.id.0),
        None => ("", "", uuid::Uuid::nil()),
    };
    let rows = sqlx::query_as!(
        Row,
        "SELECT patient_id, given_name, family_name, birth_date, phone, email, notes, changed_revision FROM patients
         WHERE practice_id = $1 AND family_name_folded LIKE $2
           AND (family_name_folded, given_name_folded, patient_id) > ($3, $4, $5)
         ORDER BY family_name_folded, given_name_folded, patient_id LIMIT $6",
        practice.0,
        format!("{literal}%"),
        family,
        given,
        id,
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// Inserts a new patient.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: &Patient,
    now: Instant,
) -> Result<(), StoreError> {
    let (record, place) = (&patient.record, patient.place());
    let done = sqlx::query!(
        "INSERT INTO patients (practice_id, patient_id, given_name, family_name, birth_date, phone, email, notes,
                               family_name_folded, given_name_folded, changed_revision, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        practice.0,
        patient.id.0,
        record.given_name.expose().as_str(),
        record.family_name.expose().as_str(),
        *record.birth_date.expose(),
        record.phone.expose().as_str(),
        record.email.expose().as_str(),
        record.notes.expose().as_str(),
        place.family_name.expose(),
        place.given_name.expose(),
        patient.changed_revision,
        now
    );
    expect_rows("insert patient", 1, &done.execute(db).await?)
}

/// Replaces a patient's record.
pub async fn update(db: &mut PgConnection, practice: PracticeId, patient: &Patient) -> Result<(), StoreError> {
    let (record, place) = (&patient.record, patient.place());
    let done = sqlx::query!(
        "UPDATE patients SET given_name = $3, family_name = $4, birth_date = $5, phone = $6, email = $7, notes = $8,
                             family_name_folded = $9, given_name_folded = $10, changed_revision = $11,
                             birth_date_revision = CASE WHEN birth_date = $5 THEN birth_date_revision ELSE $11 END
         WHERE practice_id = $1 AND patient_id = $2",
        practice.0,
        patient.id.0,
        record.given_name.expose().as_str(),
        record.family_name.expose().as_str(),
        *record.birth_date.expose(),
        record.phone.expose().as_str(),
        record.email.expose().as_str(),
        record.notes.expose().as_str(),
        place.family_name.expose(),
        place.given_name.expose(),
        patient.changed_revision
    );
    expect_rows("update patient", 1, &done.execute(db).await?)
}

struct Row {
    patient_id: uuid::Uuid,
    given_name: String,
    family_name: String,
    birth_date: chrono::NaiveDate,
    phone: String,
    email: String,
    notes: String,
    changed_revision: i64,
}

impl Row {
    fn read(self) -> Result<Patient, StoreError> {
        Ok(Patient {
            id: PatientId(self.patient_id),
            record: PatientRecord {
                given_name: Personal::new(read::label(&self.given_name)?),
                family_name: Personal::new(read::label(&self.family_name)?),
                birth_date: Personal::new(self.birth_date),
                phone: Personal::new(read::prose(&self.phone)?),
                email: Personal::new(read::prose(&self.email)?),
                notes: Personal::new(read::prose(&self.notes)?),
            },
            changed_revision: self.changed_revision,
        })
    }
}
