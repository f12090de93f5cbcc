//! Clinics, their opening hours and closures.

use super::commands::{ClinicSettings, ListClosures, NewClinic, NewClosure, PageOf, Update};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::clinic::{Clinic, Closure};
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

    /// Replaces name and opening hours of a clinic.
    pub async fn update_clinic(
        &self,
        caller: &Caller,
        command: &Command<Update<ClinicId, ClinicSettings>>,
    ) -> Result<Clinic, Error> {
        self.retry(|| self.try_update_clinic(caller, command)).await
    }

    async fn try_update_clinic(
        &self,
        caller: &Caller,
        command: &Command<Update<ClinicId, ClinicSettings>>,
    ) -> Result<Clinic, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.clinic(practice, ClinicId(earlier.subject)).await,
        };
        let before = found(write.db(), practice, command.body.id).await?;
        if before.changed_revision != command.body.etag {
            return Err(Error::EtagMismatch);
        }
        let ClinicSettings { name, opening_hours } = command.body.to.clone();
        let after = Clinic { id: before.id, name, zone: before.zone, opening_hours, changed_revision: write.revision };
        write.record(ChangeKind::ClinicUpdated, after.id, None, Vec::new()).await?;
        clinic::update(write.db(), practice, &after).await?;
        write.finish().await?;
        Ok(after)
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

    /// Closes a clinic for a while.
    pub async fn create_closure(&self, caller: &Caller, command: &Command<NewClosure>) -> Result<Closure, Error> {
        self.retry(|| self.try_create_closure(caller, command)).await
    }

    async fn try_create_closure(&self, caller: &Caller, command: &Command<NewClosure>) -> Result<Closure, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.closure(practice, ClosureId(earlier.subject)).await,
        };
        let NewClosure { clinic, during, reason } = command.body.clone();
        let created = Closure { id: ClosureId(self.ids.new_id(write.now)), clinic, during, reason };
        write.record(ChangeKind::ClosureCreated, created.id, None, Vec::new()).await?;
        clinic::insert_closure(write.db(), practice, &created).await?;
        write.finish().await?;
        Ok(created)
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
