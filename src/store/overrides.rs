//! Where a practitioner decided otherwise than the rules.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::ids::{OverrideId, PatientId, PracticeId, TreatmentId};

/// The override in force that lets a treatment be added to another for a patient; the oldest of several.
pub async fn combination(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    treatment: TreatmentId,
    add_on: TreatmentId,
) -> Result<Option<OverrideId>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT override_id FROM overrides
         WHERE practice_id = $1 AND patient_id = $2 AND kind = 'combination' AND treatment_id = $3
           AND add_on_treatment_id = $4 AND revoked_revision IS NULL
         ORDER BY override_id LIMIT 1",
        practice.0,
        patient.0,
        treatment.0,
        add_on.0
    );
    Ok(found.fetch_optional(db).await?.map(OverrideId))
}
