//! Practices.

use super::commands::{PageOf, PracticeSettings, Update};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::booking_rules::BookingRules;
use crate::domain::clinic::Practice;
use crate::domain::history::ChangeKind;
use crate::domain::ids::PracticeId;
use crate::store::{PgConnection, practice};

/// The revision of the change that founds a practice.
const FOUNDING: i64 = 1;

impl App {
    /// Creates a practice.
    pub async fn create_practice(
        &self,
        caller: &Caller,
        command: &Command<PracticeSettings>,
    ) -> Result<Practice, Error> {
        self.retry(|| self.try_create_practice(caller, command)).await
    }

    async fn try_create_practice(
        &self,
        caller: &Caller,
        command: &Command<PracticeSettings>,
    ) -> Result<Practice, Error> {
        let mut write = match self.begin(caller, PracticeId::DEPLOYMENT, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.practice_as_it_is(PracticeId(earlier.subject)).await,
        };
        let PracticeSettings { name, booking_horizon_days } = command.body.clone();
        let created = Practice {
            id: PracticeId(self.ids.new_id(write.now)),
            name,
            booking_horizon_days,
            booking_rules: BookingRules::default(),
            revision: FOUNDING,
            changed_revision: FOUNDING,
        };
        write.record(ChangeKind::PracticeCreated, created.id, None, Vec::new()).await?;
        let now = write.now;
        practice::insert(write.db(), &created, now).await?;
        // The new practice's own history begins with how it came to be, so that its numbers have no gap.
        write.record_founding(created.id, FOUNDING).await?;
        write.finish().await?;
        Ok(created)
    }

    /// Replaces the settings of a practice.
    pub async fn update_practice(
        &self,
        caller: &Caller,
        command: &Command<Update<(), PracticeSettings>>,
    ) -> Result<Practice, Error> {
        let change = |before, to: &PracticeSettings| {
            let PracticeSettings { name, booking_horizon_days } = to.clone();
            Practice { name, booking_horizon_days, ..before }
        };
        self.retry(|| self.try_replace(caller, command, ChangeKind::PracticeUpdated, change)).await
    }

    /// Replaces the booking rules of a practice.
    pub async fn update_booking_rules(
        &self,
        caller: &Caller,
        command: &Command<Update<(), BookingRules>>,
    ) -> Result<Practice, Error> {
        let change = |before, to: &BookingRules| Practice { booking_rules: *to, ..before };
        self.retry(|| self.try_replace(caller, command, ChangeKind::BookingRulesUpdated, change)).await
    }

    /// Replaces something of a practice.
    async fn try_replace<T>(
        &self,
        caller: &Caller,
        command: &Command<Update<(), T>>,
        kind: ChangeKind,
        change: impl FnOnce(Practice, &T) -> Practice,
    ) -> Result<Practice, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.practice_as_it_is(PracticeId(earlier.subject)).await,
        };
        let before = found(write.db(), practice).await?;
        if before.changed_revision != command.body.etag {
            return Err(Error::EtagMismatch);
        }
        let revision = write.revision;
        let after = Practice { revision, changed_revision: revision, ..change(before, &command.body.to) };
        write.record(kind, after.id, None, Vec::new()).await?;
        practice::update(write.db(), &after).await?;
        write.finish().await?;
        Ok(after)
    }

    /// A practice.
    pub async fn get_practice(&self, caller: &Caller, scoped: Scoped<()>) -> Result<Practice, Error> {
        self.practice_as_it_is(Self::tenant(caller, scoped.practice)?).await
    }

    /// All practices of the deployment, oldest first.
    pub async fn list_practices(&self, page: PageOf<PracticeId>) -> Result<Page<Practice, PracticeId>, Error> {
        let mut db = self.read().await?;
        // The deployment's id comes before every practice's.
        let after = page.after.unwrap_or(PracticeId::DEPLOYMENT);
        let found = practice::list(&mut db, after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    async fn practice_as_it_is(&self, id: PracticeId) -> Result<Practice, Error> {
        found(&mut *self.read().await?, id).await
    }
}

async fn found(db: &mut PgConnection, id: PracticeId) -> Result<Practice, Error> {
    practice::get(db, id).await?.ok_or_else(|| Error::not_found("practice_id"))
}
