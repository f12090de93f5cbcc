//! Displaced visits that nobody has settled yet.

use super::DisplacedVisit;
use super::lost::{BATCH, Lost, batch, judged};
use crate::app::commands::ListDisplaced;
use crate::app::page::Page;
use crate::app::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::displacement::Whose;
use crate::domain::ids::AppointmentId;
use crate::domain::interval::Instant;
use crate::store::displacement::Ahead;
use crate::store::{appointment, clinic, resource};

impl App {
    /// The booked visits that have lost their place and have not begun, by start.
    pub async fn list_displaced(
        &self,
        caller: &Caller,
        scoped: Scoped<ListDisplaced>,
    ) -> Result<Page<DisplacedVisit, (Instant, AppointmentId)>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListDisplaced { whose, page } = scoped.query;
        let mut db = self.search().await?;
        let (is_known, field) = match whose {
            Some(Whose::Clinic(id)) => (clinic::exists(&mut db, practice, id).await?, "clinic_id"),
            Some(Whose::Resource(id)) => (resource::exists(&mut db, practice, id).await?, "resource_id"),
            None => (true, ""),
        };
        if !is_known {
            return Err(Error::not_found(field));
        }
        let mut which = Ahead { whose, after: self.clock.now(), before: None, with_held: false, place: page.after };
        let wanted = usize::try_from(page.size).unwrap_or_default() + 1;
        let mut found: Vec<Lost> = Vec::new();
        loop {
            let visits = batch(&mut db, practice, &mut which).await?;
            let is_last = visits.len() < BATCH;
            let judged = judged(&mut db, practice, visits, None).await?;
            found.extend(judged.into_iter().filter(|lost| !lost.losses.is_empty()));
            if is_last || found.len() >= wanted {
                break;
            }
        }
        found.truncate(wanted);
        let ids: Vec<AppointmentId> = found.iter().map(|lost| lost.visit.id).collect();
        let appointments = appointment::several(&mut db, practice, &ids).await?;
        // Both are by start and id.
        let displaced = appointments.into_iter().zip(found);
        let displaced =
            displaced.map(|(appointment, Lost { losses, .. })| DisplacedVisit { appointment, losses, moved_to: None });
        Ok(Page::new(displaced.collect(), page.size, |last| (last.appointment.visit.start(), last.appointment.id)))
    }
}
