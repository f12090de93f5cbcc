//! Practitioners, assistants, rooms and devices, and when they are away.

use std::sync::Arc;

use super::commands::{ListResources, ListTimeOff, Narrows, NewResource, NewTimeOff, ResourceSettings, Update};
use super::displacing::{DisplacedVisits, Moves};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::displacement::Narrowing;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{PracticeId, ResourceId, TimeOffId};
use crate::domain::resource::{Resource, TimeOff};
use crate::store::{PgConnection, resource};

impl App {
    /// Creates a resource.
    pub async fn create_resource(&self, caller: &Caller, command: &Command<NewResource>) -> Result<Resource, Error> {
        self.retry(|| self.try_create_resource(caller, command)).await
    }

    async fn try_create_resource(&self, caller: &Caller, command: &Command<NewResource>) -> Result<Resource, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.resource(practice, ResourceId(earlier.subject)).await,
        };
        let NewResource { kind, clinic, settings } = command.body.clone();
        let ResourceSettings { name, active, qualifications, working_hours } = settings;
        let created = Resource {
            id: ResourceId(self.ids.new_id(write.now)),
            kind,
            name,
            clinic,
            active,
            qualifications,
            working_hours,
            changed_revision: write.revision,
        };
        write.record(ChangeKind::ResourceCreated, created.id, None, Vec::new()).await?;
        resource::insert(write.db(), practice, &created).await?;
        write.finish().await?;
        Ok(created)
    }

    /// Replaces what may change of a resource, with what becomes of the visits that its hours displace.
    pub async fn update_resource(
        &self,
        caller: &Caller,
        command: &Command<Narrows<Update<ResourceId, ResourceSettings>>>,
    ) -> Result<(Resource, DisplacedVisits), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let Narrows { to: Update { id, to, .. }, rebooking } = &command.body;
        let narrowing = Narrowing::Resource {
            id: *id,
            active: to.active,
            qualifications: to.qualifications.clone(),
            working_hours: to.working_hours.clone(),
        };
        let attempt = |moves| self.try_update_resource(caller, command, (&narrowing, moves));
        self.with_moves(practice, (command, rebooking), &narrowing, attempt).await
    }

    async fn try_update_resource(
        &self,
        caller: &Caller,
        command: &Command<Narrows<Update<ResourceId, ResourceSettings>>>,
        (narrowing, moves): (&Narrowing, Arc<Moves>),
    ) -> Result<(Resource, DisplacedVisits), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let resource = self.resource(practice, ResourceId(earlier.subject)).await?;
                return Ok((resource, self.displaced_by(practice, earlier, narrowing).await?));
            }
        };
        let Update { id, etag, to } = command.body.to.clone();
        let before = found(write.db(), practice, id).await?;
        if before.changed_revision != etag {
            return Err(Error::EtagMismatch);
        }
        let ResourceSettings { name, active, qualifications, working_hours } = to;
        // The request does not say what the resource is, so that only here it shows whether hours make sense.
        if before.kind.stands_in_a_clinic() && !working_hours.is_empty() {
            return Err(Error::field("working_hours", "must be empty: rooms and devices follow their clinic's hours"));
        }
        let after = Resource {
            id: before.id,
            kind: before.kind,
            name,
            clinic: before.clinic,
            active,
            qualifications,
            working_hours,
            changed_revision: write.revision,
        };
        let displacing = self.displacing(&mut write, narrowing, &moves).await?;
        displacing.record(&mut write, ChangeKind::ResourceUpdated, after.id).await?;
        resource::update(write.db(), practice, &after).await?;
        let displaced = displacing.carry_out(&mut write).await?;
        write.finish().await?;
        Ok((after, displaced))
    }

    /// A resource.
    pub async fn get_resource(&self, caller: &Caller, scoped: Scoped<ResourceId>) -> Result<Resource, Error> {
        self.resource(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    /// The resources of a practice, oldest first.
    pub async fn list_resources(
        &self,
        caller: &Caller,
        scoped: Scoped<ListResources>,
    ) -> Result<Page<Resource, ResourceId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListResources { kind, page } = scoped.query;
        let mut db = self.read().await?;
        let found = resource::list(&mut db, practice, kind, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    /// Takes a resource away for a while, with what becomes of the visits that this displaces.
    pub async fn create_time_off(
        &self,
        caller: &Caller,
        command: &Command<Narrows<NewTimeOff>>,
    ) -> Result<(TimeOff, DisplacedVisits), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let Narrows { to: NewTimeOff { resource, during, .. }, rebooking } = &command.body;
        let narrowing = Narrowing::TimeOff(*resource, *during);
        let attempt = |moves| self.try_create_time_off(caller, command, (&narrowing, moves));
        self.with_moves(practice, (command, rebooking), &narrowing, attempt).await
    }

    async fn try_create_time_off(
        &self,
        caller: &Caller,
        command: &Command<Narrows<NewTimeOff>>,
        (narrowing, moves): (&Narrowing, Arc<Moves>),
    ) -> Result<(TimeOff, DisplacedVisits), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let time_off = self.time_off(practice, TimeOffId(earlier.subject)).await?;
                return Ok((time_off, self.displaced_by(practice, earlier, narrowing).await?));
            }
        };
        let NewTimeOff { resource, during, reason } = command.body.to.clone();
        let created = TimeOff { id: TimeOffId(self.ids.new_id(write.now)), resource, during, reason };
        let displacing = self.displacing(&mut write, narrowing, &moves).await?;
        displacing.record(&mut write, ChangeKind::TimeOffCreated, created.id).await?;
        resource::insert_time_off(write.db(), practice, &created).await?;
        let displaced = displacing.carry_out(&mut write).await?;
        write.finish().await?;
        Ok((created, displaced))
    }

    /// The time off of a resource, oldest first.
    pub async fn list_time_off(
        &self,
        caller: &Caller,
        scoped: Scoped<ListTimeOff>,
    ) -> Result<Page<TimeOff, TimeOffId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListTimeOff { resource, page } = scoped.query;
        let mut db = self.read().await?;
        if !resource::exists(&mut db, practice, resource).await? {
            return Err(Error::not_found("resource_id"));
        }
        let found = resource::list_time_off(&mut db, practice, resource, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    /// Takes time off back.
    pub async fn delete_time_off(&self, caller: &Caller, command: &Command<TimeOffId>) -> Result<(), Error> {
        self.retry(|| self.try_delete_time_off(caller, command)).await
    }

    async fn try_delete_time_off(&self, caller: &Caller, command: &Command<TimeOffId>) -> Result<(), Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(_) => return Ok(()),
        };
        write.record(ChangeKind::TimeOffDeleted, command.body, None, Vec::new()).await?;
        if !resource::delete_time_off(write.db(), practice, command.body).await? {
            return Err(Error::not_found("time_off_id"));
        }
        write.finish().await
    }

    async fn resource(&self, practice: PracticeId, id: ResourceId) -> Result<Resource, Error> {
        found(&mut *self.read().await?, practice, id).await
    }

    async fn time_off(&self, practice: PracticeId, id: TimeOffId) -> Result<TimeOff, Error> {
        let time_off = resource::get_time_off(&mut *self.read().await?, practice, id).await?;
        time_off.ok_or_else(|| Error::not_found("time_off_id"))
    }
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: ResourceId) -> Result<Resource, Error> {
    resource::get(db, practice, id).await?.ok_or_else(|| Error::not_found("resource_id"))
}
