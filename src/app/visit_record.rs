//! What is recorded of a visit when it is completed.

use super::appointment::found;
use super::commands::NewVisitRecord;
use super::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::catalog::ResourceKind;
use crate::domain::ids::{AppointmentId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::visit_record::VisitRecord;
use crate::store::{PgConnection, resource, visit_record};

impl App {
    /// What was done at a visit, if that was recorded.
    pub async fn get_visit_record(
        &self,
        caller: &Caller,
        scoped: Scoped<AppointmentId>,
    ) -> Result<Option<VisitRecord>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let mut db = self.read().await?;
        let visit = found(&mut db, practice, scoped.query).await?;
        Ok(visit_record::get(&mut db, practice, visit.id).await?)
    }
}

/// Whether who and what are named to have treated are of the practice. Resources neither go away nor change their kind.
pub(super) async fn must_be_known(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &NewVisitRecord,
) -> Result<(), Error> {
    let named = [
        (ask.practitioner, ResourceKind::Practitioner, "record.practitioner_id"),
        (ask.device, ResourceKind::Device, "record.device_id"),
    ];
    for (id, kind, field) in named {
        let Some(id) = id else { continue };
        if resource::get(db, practice, id).await?.is_none_or(|resource| resource.kind != kind) {
            return Err(Error::not_found(field));
        }
    }
    Ok(())
}

/// What is recorded of a visit: by whom and with what it was booked, unless that is said otherwise.
pub(super) fn recorded(visit: &Appointment, ask: &NewVisitRecord, now: Instant) -> VisitRecord {
    VisitRecord {
        appointment: visit.id,
        practitioner: ask.practitioner.or_else(|| visit.practitioner()),
        device: ask.device.or_else(|| visit.first_of(ResourceKind::Device)),
        treated: ask.treated.clone(),
        recorded_at: now,
    }
}
