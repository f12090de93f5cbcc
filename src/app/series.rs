//! Series: booked whole or not at all.

use super::commands::{BookSeries, Cancel, ListSeries};
use super::facts::{self, Asked, Question};
use super::page::{Page, fetch};
use super::write::Begun;
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::appointment::{Appointment, SessionOf};
use crate::domain::booking::{Facts, PlannedVisit, plan_series};
use crate::domain::catalog::{Protocol, Treatment};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, PracticeId, SeriesId};
use crate::domain::refusal::Refusal;
use crate::domain::series::{Series, SeriesState};
use crate::store::{PgConnection, appointment, patient, series};

impl App {
    /// Books a series.
    pub async fn book_series(&self, caller: &Caller, command: &Command<BookSeries>) -> Result<Series, Error> {
        match self.retry(|| self.try_book_series(caller, command)).await {
            Err(Error::Refused(refusal)) => Err(Error::Refused(self.advise_series(caller, command, refusal).await)),
            done => done,
        }
    }

    async fn try_book_series(&self, caller: &Caller, command: &Command<BookSeries>) -> Result<Series, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.series(practice, SeriesId(earlier.subject)).await,
        };
        let now = write.now;
        let ask = &command.body;
        let (protocol, treatment) = rules(write.db(), practice, ask).await?;
        let facts = facts::load(write.db(), practice, &question(ask, &treatment, false), now).await?;
        let plans = plan(facts, &protocol, &treatment, ask).map_err(Error::Refused)?;

        let id = SeriesId(self.ids.new_id(now));
        let revision = write.revision;
        let booked: Vec<(Appointment, PlannedVisit)> = (1..)
            .zip(plans)
            .map(|(number, plan)| {
                let session = Some(SessionOf { series: id, number });
                let appointment = AppointmentId(self.ids.new_id(now));
                (Appointment::book(appointment, ask.patient, session, &plan, revision), plan)
            })
            .collect();
        let series = Series {
            id,
            patient: ask.patient,
            protocol: protocol.id,
            protocol_version: protocol.version,
            area: ask.area,
            // At most as many as the protocol allows.
            session_count: i32::try_from(booked.len()).unwrap_or(i32::MAX),
            state: SeriesState::Active,
            sessions: booked.iter().map(|(appointment, _)| appointment.clone()).collect(),
            changed_revision: revision,
        };
        let ids = series.sessions.iter().map(|session| session.id).collect();
        write.record(ChangeKind::SeriesBooked, id, Some(ask.patient), ids).await?;
        series::insert(write.db(), practice, &series, now).await?;
        appointment::insert(write.db(), practice, &booked, now).await?;
        write.finish().await?;
        Ok(series)
    }

    /// Finds out, without holding the practice, when a refused series would do. If meanwhile nothing is in its way any
    /// more, or it cannot be found out, the refusal stands as it was.
    async fn advise_series(&self, caller: &Caller, command: &Command<BookSeries>, refusal: Refusal) -> Refusal {
        let ask = command.body.clone();
        let known = async {
            let practice = Self::tenant(caller, command.practice)?;
            let mut db = self.read().await?;
            let (protocol, treatment) = rules(&mut db, practice, &ask).await?;
            let facts = facts::load(&mut db, practice, &question(&ask, &treatment, true), self.clock.now()).await?;
            Ok::<_, Error>((facts, protocol, treatment))
        };
        let Ok((facts, protocol, treatment)) = known.await else { return refusal };
        let advice = self.advise(move || plan(facts, &protocol, &treatment, &ask).err()).await;
        advice.flatten().unwrap_or(refusal)
    }

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
        let ListSeries { patient, page } = scoped.query;
        let mut db = self.read().await?;
        if let Some(id) = patient
            && !patient::exists(&mut db, practice, id).await?
        {
            return Err(Error::not_found("patient_id"));
        }
        let found = series::list(&mut db, practice, patient, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    async fn series(&self, practice: PracticeId, id: SeriesId) -> Result<Series, Error> {
        found(&mut *self.read().await?, practice, id).await
    }
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: SeriesId) -> Result<Series, Error> {
    series::get(db, practice, id).await?.ok_or_else(|| Error::not_found("series_id"))
}

/// The protocol in its highest version, with its treatment.
async fn rules(db: &mut PgConnection, practice: PracticeId, ask: &BookSeries) -> Result<(Protocol, Treatment), Error> {
    let rules = super::catalog::rules(db, practice, ask.protocol, None).await?;
    rules.ok_or_else(|| Error::not_found("protocol_id"))
}

fn question<'a>(ask: &'a BookSeries, treatment: &'a Treatment, look_for_earliest: bool) -> Question<'a> {
    let visits = ask.sessions.iter().enumerate().map(|(place, session)| Asked {
        path: format!("sessions[{place}]."),
        clinic: session.clinic,
        start: session.start,
        named: &session.named,
        practitioner: session.practitioner,
    });
    Question { patient: ask.patient, treatment, area: Some(ask.area), visits: visits.collect(), look_for_earliest }
}

fn plan(
    facts: Facts,
    protocol: &Protocol,
    treatment: &Treatment,
    ask: &BookSeries,
) -> Result<Vec<PlannedVisit>, Refusal> {
    plan_series(facts, &protocol.content, treatment, ask.area, &ask.sessions)
}
