//! Visits for calendar apps.

use chrono::TimeDelta;

use super::commands::{PatientAgenda, PractitionerAgenda};
use super::page::{Page, fetch};
use super::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::agenda::{Agenda, CANCELLED_DAYS, MAX_ENTRIES, PAST_DAYS};
use crate::domain::catalog::ResourceKind;
use crate::domain::clinic::MAX_HORIZON_DAYS;
use crate::domain::ids::PracticeId;
use crate::domain::interval::Instant;
use crate::store::agenda::{self, Whose};
use crate::store::{PgConnection, patient, resource};

impl App {
    /// The visits of a patient.
    pub async fn patient_agenda(&self, caller: &Caller, scoped: Scoped<PatientAgenda>) -> Result<Agenda, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let PatientAgenda { patient, known } = scoped.query;
        let mut db = self.read().await?;
        if !patient::exists(&mut db, practice, patient).await? {
            return Err(Error::not_found("patient_id"));
        }
        let now = self.clock.now();
        // Nothing is booked beyond the furthest horizon.
        let ahead = TimeDelta::days(i64::from(MAX_HORIZON_DAYS) + 1);
        let during = (now - TimeDelta::days(PAST_DAYS), now + ahead);
        let too_many = || Error::field("patient_id", format!("must have at most {MAX_ENTRIES} visits for a calendar"));
        self.agenda(&mut db, practice, Whose::Patient(patient), during, known, too_many).await
    }

    /// When a practitioner is needed.
    pub async fn practitioner_agenda(
        &self,
        caller: &Caller,
        scoped: Scoped<PractitionerAgenda>,
    ) -> Result<Agenda, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let PractitionerAgenda { practitioner, during, known } = scoped.query;
        let mut db = self.read().await?;
        let found = resource::get(&mut db, practice, practitioner).await?;
        if found.is_none_or(|found| found.kind != ResourceKind::Practitioner) {
            return Err(Error::not_found("practitioner_id"));
        }
        let too_many =
            || Error::field("end_time", format!("must be earlier: there are more than {MAX_ENTRIES} visits"));
        self.agenda(
            &mut db,
            practice,
            Whose::Practitioner(practitioner),
            (during.start(), during.end()),
            known,
            too_many,
        )
        .await
    }

    async fn agenda(
        &self,
        db: &mut PgConnection,
        practice: PracticeId,
        whose: Whose,
        during: (Instant, Instant),
        known: Option<i64>,
        too_many: impl Fn() -> Error,
    ) -> Result<Agenda, Error> {
        let revision = agenda::latest_revision(db, practice, whose, during).await?;
        if known == Some(revision) {
            return Ok(Agenda { revision, entries: None });
        }
        let cancelled_since = self.clock.now() - TimeDelta::days(CANCELLED_DAYS);
        let found = agenda::entries(db, practice, whose, during, cancelled_since, fetch(MAX_ENTRIES)).await?;
        let page = Page::new(found, MAX_ENTRIES, |_| ());
        if page.more {
            return Err(too_many());
        }
        Ok(Agenda { revision, entries: Some(page.items.into_iter().map(|(entry, ())| entry).collect()) })
    }
}
