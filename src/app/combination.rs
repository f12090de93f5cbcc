//! What is added to a visit: as it is asked for, and as it is booked.

use super::Error;
use crate::domain::appointment::Appointment;
use crate::domain::catalog::Treatment;
use crate::domain::combination::{AddOn, Combined, combination_misfit};
use crate::domain::ids::{OverrideId, PatientId, PracticeId, TreatmentId};
use crate::domain::refusal::{Refusal, Rule, Violation};
use crate::store::{PgConnection, catalog, overrides};

/// A treatment that is asked for in addition.
pub(super) struct Added {
    /// The visit with it.
    pub combined: Combined,
    /// How it would be booked; none where nobody approved it.
    pub add_on: Option<AddOn>,
    /// What is against it; empty if it is allowed and approved.
    pub refusal: Refusal,
}

/// Adds a treatment, in its highest version, to another for a patient. A visit that is too large for any treatment is
/// refused at once: nothing else could be said about it.
pub(super) async fn added(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    base: &Treatment,
    id: TreatmentId,
) -> Result<Added, Error> {
    let add_on = catalog::treatment(db, practice, id, None).await?;
    let add_on = add_on.ok_or_else(|| Error::not_found("add_on_treatment_id"))?;
    let approval = overrides::combination(db, practice, patient, base.id, id).await?;
    let refusal = misfit(base, &add_on, approval);
    let combined = Combined::new(base, &add_on);
    if combined.treatment.content.check().is_err() {
        return Err(Error::Refused(refusal));
    }
    let add_on = approval.map(|approval| AddOn { treatment: add_on.id, version: add_on.version, approval });
    Ok(Added { combined, add_on, refusal })
}

/// What is against adding a treatment to another.
pub(super) fn misfit(base: &Treatment, add_on: &Treatment, approval: Option<OverrideId>) -> Refusal {
    let mut refusal = combination_misfit(base, add_on);
    if approval.is_none() {
        let text = "no practitioner has approved the added treatment for the patient; PatientService.GrantOverride \
                    records that one has";
        refusal.push(Violation { is_lasting: true, ..Violation::new(Rule::CombinationNotApproved, text) });
    }
    refusal
}

/// The visit that an appointment is, if something is added to it, in the versions in which it was booked.
pub(super) async fn of_appointment(
    db: &mut PgConnection,
    practice: PracticeId,
    base: &Treatment,
    appointment: &Appointment,
) -> Result<Option<Combined>, Error> {
    let Some(AddOn { treatment, version, .. }) = appointment.add_on else { return Ok(None) };
    let add_on = catalog::treatment(db, practice, treatment, Some(version)).await?;
    let add_on = add_on.ok_or_else(|| Error::not_found("appointment_id"))?;
    Ok(Some(Combined::new(base, &add_on)))
}
