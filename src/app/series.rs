//! Series as they are, and what ends them early.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::commands::{Cancel, ListSeries, ShortenSeries};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::catalog::Protocol;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{PracticeId, ProtocolId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::series::Series;
use crate::store::series::{Listed, Needing};
use crate::store::{PgConnection, appointment, catalog, clinic, patient, series};

/// A series with what its protocol says and the time: what it needs follows from them.
#[derive(Debug, Clone)]
pub struct SeriesNow {
    /// The series.
    pub series: Series,
    /// The protocol, in the version that the series runs on under.
    pub protocol: Arc<Protocol>,
    /// The current time.
    pub now: Instant,
}

impl App {
    /// Cancels a series with every session that has not begun.
    pub async fn cancel_series(
        &self,
        caller: &Caller,
        command: &Command<Cancel<SeriesId>>,
    ) -> Result<SeriesNow, Error> {
        self.retry(|| self.try_cancel_series(caller, command)).await
    }

    async fn try_cancel_series(
        &self,
        caller: &Caller,
        command: &Command<Cancel<SeriesId>>,
    ) -> Result<SeriesNow, Error> {
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
        let protocol = Arc::new(protocol_of(write.db(), practice, &before).await?);
        let (series, ahead) = before.cancel(now, reason.clone(), revision).map_err(Error::Refused)?;
        write.record(ChangeKind::SeriesCancelled, *id, Some(series.patient), ahead.clone()).await?;
        let reason = reason.expose().as_str();
        series::cancel(write.db(), practice, *id, now, reason, revision).await?;
        appointment::cancel(write.db(), practice, &ahead, now, reason, revision).await?;
        write.finish().await?;
        Ok(SeriesNow { series, protocol, now })
    }

    /// Shortens a series: its sessions beyond a number are cancelled.
    pub async fn shorten_series(&self, caller: &Caller, command: &Command<ShortenSeries>) -> Result<SeriesNow, Error> {
        self.retry(|| self.try_shorten_series(caller, command)).await
    }

    async fn try_shorten_series(&self, caller: &Caller, command: &Command<ShortenSeries>) -> Result<SeriesNow, Error> {
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
        let protocol = Arc::new(protocol_of(write.db(), practice, &before).await?);
        let shortened = before.shorten(*session_count, &protocol.content, now, revision);
        let (series, beyond) = shortened.map_err(Error::Refused)?;
        write.record(ChangeKind::SeriesShortened, *id, Some(series.patient), beyond.clone()).await?;
        series::resize(write.db(), practice, *id, series.session_count, revision).await?;
        appointment::cancel(write.db(), practice, &beyond, now, reason.expose().as_str(), revision).await?;
        write.finish().await?;
        Ok(SeriesNow { series, protocol, now })
    }

    /// A series with its sessions.
    pub async fn get_series(&self, caller: &Caller, scoped: Scoped<SeriesId>) -> Result<SeriesNow, Error> {
        self.series(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    /// Series, oldest first.
    pub async fn list_series(
        &self,
        caller: &Caller,
        scoped: Scoped<ListSeries>,
    ) -> Result<Page<SeriesNow, SeriesId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListSeries { patient, needing, page } = scoped.query;
        let now = self.clock.now();
        let mut db = self.search_current(practice).await?;
        if let Some(id) = patient
            && !patient::exists(&mut db, practice, id).await?
        {
            return Err(Error::not_found("patient_id"));
        }
        let (limit, listed) = (fetch(page.size), Listed { patient, after: page.after });
        let found = match needing {
            Needing { clearing: false, next_session: false, assessment: false } => {
                series::list(&mut db, practice, listed, limit).await?
            }
            needing => {
                let zones = clinic::zones(&mut db, practice).await?;
                let today: Vec<_> = zones.into_iter().map(|zone| (zone, zone.day(now))).collect();
                series::list_needing(&mut db, practice, listed, needing, &today, limit).await?
            }
        };
        let shown = seen(&mut db, practice, found, now).await?;
        Ok(Page::new(shown, page.size, |last| last.series.id))
    }

    pub(super) async fn series(&self, practice: PracticeId, id: SeriesId) -> Result<SeriesNow, Error> {
        let now = self.clock.now();
        let mut db = self.read_current(practice).await?;
        let series = found(&mut db, practice, id).await?;
        let protocol = Arc::new(protocol_of(&mut db, practice, &series).await?);
        Ok(SeriesNow { series, protocol, now })
    }
}

pub(super) async fn found(db: &mut PgConnection, practice: PracticeId, id: SeriesId) -> Result<Series, Error> {
    series::get(db, practice, id).await?.ok_or_else(|| Error::not_found("series_id"))
}

/// Series with what their protocols say; each protocol is read once.
pub(super) async fn seen(
    db: &mut PgConnection,
    practice: PracticeId,
    found: Vec<Series>,
    now: Instant,
) -> Result<Vec<SeriesNow>, Error> {
    let mut protocols: HashMap<(ProtocolId, i32), Arc<Protocol>> = HashMap::new();
    let mut seen = Vec::with_capacity(found.len());
    for series in found {
        let protocol = match protocols.entry((series.protocol, series.protocol_version)) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(place) => Arc::clone(place.insert(Arc::new(protocol_of(db, practice, &series).await?))),
        };
        seen.push(SeriesNow { series, protocol, now });
    }
    Ok(seen)
}

/// The protocol of a series, in its version.
pub(super) async fn protocol_of(
    db: &mut PgConnection,
    practice: PracticeId,
    series: &Series,
) -> Result<Protocol, Error> {
    let protocol = catalog::protocol(db, practice, series.protocol, Some(series.protocol_version)).await?;
    protocol.ok_or_else(|| Error::not_found("series_id"))
}
