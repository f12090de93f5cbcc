//! Patients.

use chrono::TimeDelta;

use super::commands::{ListPatients, UpdatePatient};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{PatientId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::patient::{Patient, PatientPlace, PatientRecord};
use crate::store::{PgConnection, patient};

impl App {
    /// Registers a patient.
    pub async fn create_patient(&self, caller: &Caller, command: &Command<PatientRecord>) -> Result<Patient, Error> {
        self.retry(|| self.try_create_patient(caller, command)).await
    }

    async fn try_create_patient(&self, caller: &Caller, command: &Command<PatientRecord>) -> Result<Patient, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.patient(practice, PatientId(earlier.subject)).await,
        };
        born_by(write.now, &command.body)?;
        let created = Patient {
            id: PatientId(self.ids.new_id(write.now)),
            record: command.body.clone(),
            changed_revision: write.revision,
        };
        write.record(ChangeKind::PatientCreated, created.id, Some(created.id), Vec::new()).await?;
        let now = write.now;
        patient::insert(write.db(), practice, &created, now).await?;
        write.finish().await?;
        Ok(created)
    }

    /// Replaces a patient's record.
    pub async fn update_patient(&self, caller: &Caller, command: &Command<UpdatePatient>) -> Result<Patient, Error> {
        self.retry(|| self.try_update_patient(caller, command)).await
    }

    async fn try_update_patient(&self, caller: &Caller, command: &Command<UpdatePatient>) -> Result<Patient, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.patient(practice, PatientId(earlier.subject)).await,
        };
        let before = found(write.db(), practice, command.body.id).await?;
        if before.changed_revision != command.body.etag {
            return Err(Error::EtagMismatch);
        }
        let after = Patient { id: before.id, record: command.body.to.clone(), changed_revision: write.revision };
        born_by(write.now, &after.record)?;
        write.record(ChangeKind::PatientUpdated, after.id, Some(after.id), Vec::new()).await?;
        patient::update(write.db(), practice, &after).await?;
        write.finish().await?;
        Ok(after)
    }

    /// A patient.
    pub async fn get_patient(&self, caller: &Caller, scoped: Scoped<PatientId>) -> Result<Patient, Error> {
        self.patient(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    /// Patients by name.
    pub async fn list_patients(
        &self,
        caller: &Caller,
        scoped: Scoped<ListPatients>,
    ) -> Result<Page<Patient, PatientPlace>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListPatients { family_name_prefix, page } = scoped.query;
        let mut db = self.search().await?;
        let limit = fetch(page.size);
        let found = patient::list(&mut db, practice, family_name_prefix.expose(), page.after.as_ref(), limit).await?;
        Ok(Page::new(found, page.size, Patient::place))
    }

    async fn patient(&self, practice: PracticeId, id: PatientId) -> Result<Patient, Error> {
        found(&mut *self.read().await?, practice, id).await
    }
}

/// A patient is born: today is over somewhere on earth before it is tomorrow everywhere.
fn born_by(now: Instant, record: &PatientRecord) -> Result<(), Error> {
    let latest = (now + TimeDelta::hours(14)).date_naive();
    if *record.birth_date.expose() > latest {
        return Err(Error::field("birth_date", "must not be in the future"));
    }
    Ok(())
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: PatientId) -> Result<Patient, Error> {
    patient::get(db, practice, id).await?.ok_or_else(|| Error::not_found("patient_id"))
}
