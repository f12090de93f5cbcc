//! Holds of whole series: prolonged and booked like those of single visits, with all their sessions or not at all.

use std::sync::Arc;

use super::commands::{Known, RenewHold};
use super::fitness::{FitFor, fitness};
use super::series::{SeriesNow, found, protocol_of};
use super::write::Begun;
use super::{App, Command, Error};
use crate::domain::access::Caller;
use crate::domain::catalog::Protocol;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, ClearanceId, PracticeId, SeriesId};
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::series::Series;
use crate::store::{PgConnection, appointment, practice, series};

impl App {
    /// Prolongs the hold of a series.
    pub async fn renew_series_hold(
        &self,
        caller: &Caller,
        command: &Command<RenewHold<SeriesId>>,
    ) -> Result<SeriesNow, Error> {
        self.retry(|| self.try_renew_series_hold(caller, command)).await
    }

    async fn try_renew_series_hold(
        &self,
        caller: &Caller,
        command: &Command<RenewHold<SeriesId>>,
    ) -> Result<SeriesNow, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.series(practice, SeriesId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let RenewHold { held, minutes } = command.body;
        let before = held_now(write.db(), practice, held).await?;
        let protocol = Arc::new(protocol_of(write.db(), practice, &before).await?);
        let known = before.held_until();
        let rules = practice::booking_rules(write.db(), practice).await?;
        let Some(session) = before.sessions.first() else { unreachable!("a series is held with its sessions") };
        let latest = rules.latest_hold(appointment::held_since(write.db(), practice, session.id).await?);
        let after = before.clone().held_for(minutes.min(rules.max_hold_minutes), latest, now);
        let Some(until) = after.held_until() else { unreachable!("it is held") };
        if Some(until) == known {
            // Nothing changes, so nothing is recorded.
            return Ok(SeriesNow { series: before, protocol, now });
        }
        write.record(ChangeKind::SeriesHoldRenewed, after.id, Some(after.patient), after.appointment_ids()).await?;
        series::renew_hold(write.db(), practice, after.id, after.sessions.len(), until, revision).await?;
        let series = found(write.db(), practice, after.id).await?;
        write.finish().await?;
        Ok(SeriesNow { series, protocol, now })
    }

    /// Books a series that is held.
    pub async fn convert_series_hold(
        &self,
        caller: &Caller,
        command: &Command<Known<SeriesId>>,
    ) -> Result<SeriesNow, Error> {
        self.retry(|| self.try_convert_series_hold(caller, command)).await
    }

    async fn try_convert_series_hold(
        &self,
        caller: &Caller,
        command: &Command<Known<SeriesId>>,
    ) -> Result<SeriesNow, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.series(practice, SeriesId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let before = held_now(write.db(), practice, command.body).await?;
        let protocol = Arc::new(protocol_of(write.db(), practice, &before).await?);
        let under = still_fit(write.db(), practice, &before, &protocol).await?;
        write.record(ChangeKind::SeriesBooked, before.id, Some(before.patient), before.appointment_ids()).await?;
        series::convert_hold(write.db(), practice, before.id, &under, now, revision).await?;
        let series = found(write.db(), practice, before.id).await?;
        write.finish().await?;
        Ok(SeriesNow { series, protocol, now })
    }
}

/// A hold that lasts. One that has expired meanwhile is told as that, whatever the caller knew.
async fn held_now(db: &mut PgConnection, practice: PracticeId, known: Known<SeriesId>) -> Result<Series, Error> {
    let series = found(db, practice, known.id).await?;
    series.must_be_held().map_err(Error::Refused)?;
    known.must_be_unchanged(series.changed_revision)?;
    Ok(series)
}

/// What may have changed since it was held: whether the patient is fit for every session. The clearance that each is booked
/// under.
async fn still_fit(
    db: &mut PgConnection,
    practice: PracticeId,
    held: &Series,
    protocol: &Protocol,
) -> Result<Vec<(AppointmentId, Option<ClearanceId>)>, Error> {
    let fit_for = FitFor::Sessions(protocol, Some(held.id));
    let fitness = fitness(db, practice, held.patient, Some(held.area), fit_for).await?;
    let (mut under, mut refusal) = (Vec::new(), Refusal::new());
    for (place, session) in held.sessions.iter().enumerate() {
        let (number, start) = (session.session.map(|session| session.number), session.visit.start());
        match fitness.way(number, start, session.zone.day(start), None) {
            Some(way) => under.push((session.id, way.clearance)),
            None => refusal.extend(
                fitness
                    .violations(number, start, session.zone)
                    .into_iter()
                    .map(|violation| Violation { session: Some(place), ..violation }),
            ),
        }
    }
    if refusal.is_empty() { Ok(under) } else { Err(Error::Refused(refusal)) }
}
