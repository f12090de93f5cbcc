//! What was done at visits. It is personal data.

use sqlx::PgConnection;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::ids::{AppointmentId, PracticeId, ResourceId};
use crate::domain::text::Personal;
use crate::domain::visit_record::{Numbing, Treated, VisitRecord};

/// Inserts what was done at a visit.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    record: &VisitRecord,
    revision: i64,
) -> Result<(), StoreError> {
    let Treated { lot, needle_depth, numbing, notes } = record.treated.expose();
    let done = sqlx::query!(
        "INSERT INTO visit_records (practice_id, appointment_id, practitioner_id, device_id, cartridge_lot,
                                    needle_depth_micrometres, numbing_product, numbing_minutes, treatment_notes,
                                    recorded_at, recorded_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        practice.0,
        record.appointment.0,
        record.practitioner.map(|id| id.0),
        record.device.map(|id| id.0),
        lot.as_str(),
        *needle_depth,
        numbing.as_ref().map(|numbing| numbing.product.as_str()),
        numbing.as_ref().map(|numbing| numbing.minutes),
        notes.as_str(),
        record.recorded_at,
        revision
    );
    expect_rows("insert visit record", 1, &done.execute(db).await?)
}

/// What was done at a visit, if that was recorded.
pub async fn get(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: AppointmentId,
) -> Result<Option<VisitRecord>, StoreError> {
    let row = sqlx::query!(
        "SELECT practitioner_id, device_id, cartridge_lot, needle_depth_micrometres, numbing_product, numbing_minutes,
                treatment_notes, recorded_at
         FROM visit_records WHERE practice_id = $1 AND appointment_id = $2",
        practice.0,
        visit.0
    );
    let Some(row) = row.fetch_optional(db).await? else { return Ok(None) };
    let numbing = row.numbing_product.zip(row.numbing_minutes);
    let numbing =
        numbing.map(|(product, minutes)| Ok::<_, StoreError>(Numbing { product: read::label(&product)?, minutes }));
    let treated = Treated {
        lot: read::prose(&row.cartridge_lot)?,
        needle_depth: row.needle_depth_micrometres,
        numbing: numbing.transpose()?,
        notes: read::prose(&row.treatment_notes)?,
    };
    Ok(Some(VisitRecord {
        appointment: visit,
        practitioner: row.practitioner_id.map(ResourceId),
        device: row.device_id.map(ResourceId),
        treated: Personal::new(treated),
        recorded_at: row.recorded_at,
    }))
}
