//! Series as they are, and what ends them early.

use super::commands::{Cancel, ListSeries, ShortenSeries};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{PracticeId, SeriesId};
use crate::domain::series::Series;
use crate::store::series::Listed;
use crate::store::{PgConnection, appointment, catalog, patient, series};

impl App {
    /// Cancels a series with every session that has not begun.
    pub async fn cancel_series(&self, caller: &Caller, command: &Command<Cancel<SeriesId>>) -> Result<Series, Error> {
        self.retry(|| self.try_cancel_series(caller, command)).await
    }

    async fn try_cancel_series(&self, caller: &Caller, command: &Command<Cancel<SeriesId>>) -> Result<Series, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.series(practice, SeriesId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let Cancel { id, etag, reason } = &command.body;
        let before = found(write.db(), practice, *id).await?;
        if before.changed_revision != *etag {
            return Err(Error::EtagMismatch);
        }
        let (after, ahead) = before.cancel(now, reason.clone(), revision).map_err(Error::Refused)?;
        write.record(ChangeKind::SeriesCancelled, *id, Some(after.patient), ahead.clone()).await?;
        let reason = reason.expose().as_str();
        series::cancel(write.db(), practice, *id, now, reason, revision).await?;
        appointment::cancel(write.db(), practice, &ahead, now, reason, revision).await?;
        write.finish().await?;
        Ok(after)
    }

    /// Shortens a series: its sessions beyond a number are cancelled.
    pub async fn shorten_series(&self, caller: &Caller, command: &Command<ShortenSeries>) -> Result<Series, Error> {
        self.retry(|| self.try_shorten_series(caller, command)).await
    }

    async fn try_shorten_series(&self, caller: &Caller, command: &Command<ShortenSeries>) -> Result<Series, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.series(practice, SeriesId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let ShortenSeries { id, etag, session_count, reason } = &command.body;
        let before = found(write.db(), practice, *id).await?;
        if before.changed_revision != *etag {
            return Err(Error::EtagMismatch);
        }
        if *session_count >= before.session_count {
            let remedy = format!("must be less than {}, the sessions of the series", before.session_count);
            return Err(Error::field("session_count", remedy));
        }
        let version = Some(before.protocol_version);
        let protocol = catalog::protocol(write.db(), practice, before.protocol, version).await?;
        let protocol = protocol.ok_or_else(|| Error::not_found("series_id"))?;
        let shortened = before.shorten(*session_count, &protocol.content, now, revision);
        let (after, beyond) = shortened.map_err(Error::Refused)?;
        write.record(ChangeKind::SeriesShortened, *id, Some(after.patient), beyond.clone()).await?;
        series::resize(write.db(), practice, *id, after.session_count, revision).await?;
        appointment::cancel(write.db(), practice, &beyond, now, reason.expose().as_str(), revision).await?;
        write.finish().await?;
        Ok(after)
    }

    /// A series with its sessions.
    pub async fn get_series(&self, caller: &Caller, scoped: Scoped<SeriesId>) -> Result<Series, Error> {
        self.series(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    /// Series, oldest first.
    pub async fn list_series(
        &self,
        caller: &Caller,
        scoped: Scoped<ListSeries>,
    ) -> Result<Page<Series, SeriesId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListSeries { patient, on_hold_only, page } = scoped.query;
        let mut db = self.read().await?;
        if let Some(id) = patient
            && !patient::exists(&mut db, practice, id).await?
        {
            return Err(Error::not_found("patient_id"));
        }
        let listed = Listed { patient, on_hold_only, after: page.after };
        let found = series::list(&mut db, practice, listed, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    pub(super) async fn series(&self, practice: PracticeId, id: SeriesId) -> Result<Series, Error> {
        found(&mut *self.read().await?, practice, id).await
    }
}

pub(super) async fn found(db: &mut PgConnection, practice: PracticeId, id: SeriesId) -> Result<Series, Error> {
    series::get(db, practice, id).await?.ok_or_else(|| Error::not_found("series_id"))
}
