//! Moving visits: each is cancelled and booked anew, as the appointment that replaces it, in one change.
//!
//! - `session`: a session of a series, and the later ones that have to follow
//! - `visit`: one that stands alone
//! - `later`: sessions that may not take place before some day
//! - `following`: where later sessions can follow to
//! - `decision`: what a decision about sessions that move rests on

mod decision;
mod following;
mod later;
mod session;
mod visit;

pub(super) use decision::rebook;
pub(super) use later::{Cause, Restart, Shift, overtaken};
pub use session::Moved;
pub(super) use session::pairs;
pub use visit::MovedVisit;

use super::write::Write;
use super::{App, Error};
use crate::domain::appointment::Appointment;
use crate::domain::booking::PlannedVisit;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, PatientId};
use crate::domain::interval::Instant;
use crate::store::appointment;

impl App {
    /// The appointments that replace others, as they were planned.
    fn replacements(
        &self,
        moving: &[Appointment],
        plans: Vec<PlannedVisit>,
        revision: i64,
        now: Instant,
    ) -> Vec<(Appointment, PlannedVisit)> {
        let booked = moving.iter().zip(plans);
        booked.map(|(old, plan)| replacement(old, AppointmentId(self.ids.new_id(now)), plan, revision)).collect()
    }
}

/// The appointment that replaces another, as it was planned.
pub(super) fn replacement(
    old: &Appointment,
    id: AppointmentId,
    plan: PlannedVisit,
    revision: i64,
) -> (Appointment, PlannedVisit) {
    let new = Appointment::book(id, old.patient, old.session, old.add_on, &plan, revision);
    (Appointment { replaces: Some(old.id), follows: old.follows, ..new }, plan)
}

/// Which appointments they are.
pub(super) fn ids(appointments: &[Appointment]) -> Vec<AppointmentId> {
    appointments.iter().map(|appointment| appointment.id).collect()
}

/// Cancels appointments and books those that replace them.
async fn replace(
    write: &mut Write,
    (kind, subject): (ChangeKind, uuid::Uuid),
    patient: PatientId,
    old: &[Appointment],
    new: &[(Appointment, PlannedVisit)],
) -> Result<(), Error> {
    let (practice, now, revision) = (write.practice, write.now, write.revision);
    let old = ids(old);
    let all = old.iter().copied().chain(new.iter().map(|(appointment, _)| appointment.id));
    write.record(kind, subject, Some(patient), all.collect()).await?;
    // The reason is that another appointment replaces it.
    appointment::cancel(write.db(), practice, &old, now, "", revision).await?;
    Ok(appointment::insert(write.db(), practice, new, now).await?)
}
