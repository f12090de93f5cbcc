//! What is recorded of a visit when it is completed.

use super::appointment::found;
use super::commands::NewVisitRecord;
use super::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::catalog::ResourceKind;
use crate::domain::ids::{AppointmentId, PracticeId, ResourceId};
use crate::domain::interval::Instant;
use crate::domain::visit_record::{VisitRecord, planned};
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

/// What is recorded of a visit: by whom and with what it was booked, unless that is said otherwise.
pub(super) async fn recorded(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
    ask: &NewVisitRecord,
    now: Instant,
) -> Result<VisitRecord, Error> {
    let NewVisitRecord { practitioner, device, treated } = ask;
    let field = "record.practitioner_id";
    let practitioner = used(db, practice, visit, (*practitioner, ResourceKind::Practitioner, field)).await?;
    let device = used(db, practice, visit, (*device, ResourceKind::Device, "record.device_id")).await?;
    Ok(VisitRecord { appointment: visit.id, practitioner, device, treated: treated.clone(), recorded_at: now })
}

/// The resource that was named, if it is of the practice and that kind; else the one that was booked.
async fn used(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
    (named, kind, field): (Option<ResourceId>, ResourceKind, &'static str),
) -> Result<Option<ResourceId>, Error> {
    let Some(id) = named else { return Ok(planned(visit, kind)) };
    match resource::get(db, practice, id).await? {
        Some(resource) if resource.kind == kind => Ok(Some(id)),
        Some(_) | None => Err(Error::not_found(field)),
    }
}
