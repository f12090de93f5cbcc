//! Clinics, their opening hours and closures.

use std::sync::Arc;

use super::commands::{ClinicSettings, ListClosures, Narrows, NewClinic, NewClosure, PageOf, Update};
use super::displacing::{DisplacedVisits, Moves};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::clinic::{Clinic, Closure};
use crate::domain::displacement::Narrowing;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{ClinicId, ClosureId, PracticeId};
use crate::store::{PgConnection, clinic};

impl App {
    /// Creates a clinic.
    pub async fn create_clinic(&self, caller: &Caller, command: &Command<NewClinic>) -> Result<Clinic, Error> {
        self.retry(|| self.try_create_clinic(caller, command)).await
    }

    async fn try_create_clinic(&self, caller: &Caller, command: &Command<NewClinic>) -> Result<Clinic, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.clinic(practice, ClinicId(earlier.subject)).await,
        };
        let NewClinic { name, zone, opening_hours } = command.body.clone();
        let created = Clinic {
            id: ClinicId(self.ids.new_id(write.now)),
            name,
            zone,
            opening_hours,
            changed_revision: write.revision,
        };
        write.record(ChangeKind::ClinicCreated, created.id, None, Vec::new()).await?;
        clinic::insert(write.db(), practice, &created).await?;
        write.finish().await?;
        Ok(created)
    }

    /// Replaces name and opening hours of a clinic, with what becomes of the visits that the hours displace.
    pub async fn update_clinic(
        &self,
        caller: &Caller,
        command: &Command<Narrows<Update<ClinicId, ClinicSettings>>>,
    ) -> Result<(Clinic, DisplacedVisits), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let Narrows { to: Update { id, to, .. }, rebooking } = &command.body;
        let narrowing = Narrowing::OpeningHours(*id, to.opening_hours.clone());
        let attempt = |moves| self.try_update_clinic(caller, command, (&narrowing, moves));
        self.with_moves(practice, (command, rebooking), &narrowing, attempt).await
    }

    async fn try_update_clinic(
        &self,
        caller: &Caller,
        command: &Command<Narrows<Update<ClinicId, ClinicSettings>>>,
        (narrowing, moves): (&Narrowing, Arc<Moves>),
    ) -> Result<(Clinic, DisplacedVisits), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let clinic = self.clinic(practice, ClinicId(earlier.subject)).await?;
                return Ok((clinic, self.displaced_by(practice, earlier, narrowing).await?));
            }
        };
        let Update { id, etag, to } = command.body.to.clone();
        let before = found(write.db(), practice, id).await?;
        if before.changed_revision != etag {
            return Err(Error::EtagMismatch);
        }
        let ClinicSettings { name, opening_hours } = to;
        let after = Clinic { id: before.id, name, zone: before.zone, opening_hours, changed_revision: write.revision };
        let displacing = self.displacing(&mut write, narrowing, &moves).await?;
        displacing.record(&mut write, ChangeKind::ClinicUpdated, after.id).await?;
        clinic::update(write.db(), practice, &after).await?;
        let displaced = displacing.carry_out(&mut write).await?;
        write.finish().await?;
        Ok((after, displaced))
    }

    /// A clinic.
    pub async fn get_clinic(&self, caller: &Caller, scoped: Scoped<ClinicId>) -> Result<Clinic, Error> {
        self.clinic(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    /// The clinics of a practice, oldest first.
    pub async fn list_clinics(
        &self,
        caller: &Caller,
        scoped: Scoped<PageOf<ClinicId>>,
    ) -> Result<Page<Clinic, ClinicId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let page = scoped.query;
        let mut db = self.read().await?;
        let found = clinic::list(&mut db, practice, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    /// Closes a clinic for a while, with what becomes of the visits that this displaces.
    pub async fn create_closure(
        &self,
        caller: &Caller,
        command: &Command<Narrows<NewClosure>>,
    ) -> Result<(Closure, DisplacedVisits), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let Narrows { to: NewClosure { clinic, during, .. }, rebooking } = &command.body;
        let narrowing = Narrowing::Closure(*clinic, *during);
        let attempt = |moves| self.try_create_closure(caller, command, (&narrowing, moves));
        self.with_moves(practice, (command, rebooking), &narrowing, attempt).await
    }

    async fn try_create_closure(
        &self,
        caller: &Caller,
        command: &Command<Narrows<NewClosure>>,
        (narrowing, moves): (&Narrowing, Arc<Moves>),
    ) -> Result<(Closure, DisplacedVisits), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let closure = self.closure(practice, ClosureId(earlier.subject)).await?;
                return Ok((closure, self.displaced_by(practice, earlier, narrowing).await?));
            }
        };
        let NewClosure { clinic, during, reason } = command.body.to.clone();
        let created = Closure { id: ClosureId(self.ids.new_id(write.now)), clinic, during, reason };
        let displacing = self.displacing(&mut write, narrowing, &moves).await?;
        displacing.record(&mut write, ChangeKind::ClosureCreated, created.id).await?;
        clinic::insert_closure(write.db(), practice, &created).await?;
        let displaced = displacing.carry_out(&mut write).await?;
        write.finish().await?;
        Ok((created, displaced))
    }

    /// The closures of a clinic, oldest first.
    pub async fn list_closures(
        &self,
        caller: &Caller,
        scoped: Scoped<ListClosures>,
    ) -> Result<Page<Closure, ClosureId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListClosures { clinic, page } = scoped.query;
        let mut db = self.read().await?;
        if !clinic::exists(&mut db, practice, clinic).await? {
            return Err(Error::not_found("clinic_id"));
        }
        let found = clinic::list_closures(&mut db, practice, clinic, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    /// Takes a closure back.
    pub async fn delete_closure(&self, caller: &Caller, command: &Command<ClosureId>) -> Result<(), Error> {
        self.retry(|| self.try_delete_closure(caller, command)).await
    }

    async fn try_delete_closure(&self, caller: &Caller, command: &Command<ClosureId>) -> Result<(), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(_) => return Ok(()),
        };
        write.record(ChangeKind::ClosureDeleted, command.body, None, Vec::new()).await?;
        if !clinic::delete_closure(write.db(), practice, command.body).await? {
            return Err(Error::not_found("closure_id"));
        }
        write.finish().await
    }

    async fn clinic(&self, practice: PracticeId, id: ClinicId) -> Result<Clinic, Error> {
        found(&mut *self.read().await?, practice, id).await
    }

    async fn closure(&self, practice: PracticeId, id: ClosureId) -> Result<Closure, Error> {
        let closure = clinic::get_closure(&mut *self.read().await?, practice, id).await?;
        closure.ok_or_else(|| Error::not_found("closure_id"))
    }
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: ClinicId) -> Result<Clinic, Error> {
    clinic::get(db, practice, id).await?.ok_or_else(|| Error::not_found("clinic_id"))
}
