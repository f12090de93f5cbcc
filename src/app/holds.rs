//! Holds: time that is kept while the patient decides.

use super::appointment::found;
use super::commands::{Known, RenewHold};
use super::fitness::{Asked, fitness};
use super::follow_up::following;
use super::series::found as series_of;
use super::write::Begun;
use super::{App, Command, Error};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, ClearanceId, PracticeId};
use crate::domain::refusal::{Rule, Violation};
use crate::store::{PgConnection, appointment, overrides, practice, series};

impl App {
    /// Prolongs a hold.
    pub async fn renew_hold(
        &self,
        caller: &Caller,
        command: &Command<RenewHold<AppointmentId>>,
    ) -> Result<Appointment, Error> {
        self.retry(|| self.try_renew_hold(caller, command)).await
    }

    async fn try_renew_hold(
        &self,
        caller: &Caller,
        command: &Command<RenewHold<AppointmentId>>,
    ) -> Result<Appointment, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.appointment(practice, AppointmentId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let RenewHold { held, minutes } = command.body;
        let before = held_now(write.db(), practice, held).await?;
        let known = before.held_until();
        let rules = practice::booking_rules(write.db(), practice).await?;
        let latest = rules.latest_hold(appointment::held_since(write.db(), practice, before.id).await?);
        let minutes = minutes.min(rules.max_hold_minutes);
        let after = before.renewed_for(minutes, latest, now, revision).map_err(Error::Refused)?;
        let Some(until) = after.held_until() else { unreachable!("it is held") };
        if Some(until) == known {
            // Nothing changes, so nothing is recorded.
            return found(write.db(), practice, after.id).await;
        }
        write.record(ChangeKind::HoldRenewed, after.id, Some(after.patient), vec![after.id]).await?;
        appointment::renew_hold(write.db(), practice, after.id, until, revision).await?;
        if let Some(series) = after.series() {
            series::touch(write.db(), practice, series, revision).await?;
        }
        write.finish().await?;
        Ok(after)
    }

    /// Books what is held.
    pub async fn convert_hold(
        &self,
        caller: &Caller,
        command: &Command<Known<AppointmentId>>,
    ) -> Result<Appointment, Error> {
        self.retry(|| self.try_convert_hold(caller, command)).await
    }

    async fn try_convert_hold(
        &self,
        caller: &Caller,
        command: &Command<Known<AppointmentId>>,
    ) -> Result<Appointment, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.appointment(practice, AppointmentId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let before = held_now(write.db(), practice, command.body).await?;
        must_still_follow(write.db(), practice, &before).await?;
        let clearance = still_fit(write.db(), practice, &before).await?;
        write.record(ChangeKind::AppointmentBooked, before.id, Some(before.patient), vec![before.id]).await?;
        appointment::convert_hold(write.db(), practice, before.id, clearance, now, revision).await?;
        if let Some(series) = before.series() {
            series::touch(write.db(), practice, series, revision).await?;
        }
        let after = found(write.db(), practice, before.id).await?;
        write.finish().await?;
        Ok(after)
    }
}

/// A hold that lasts. One that has expired meanwhile is told as that, whatever the caller knew.
async fn held_now(
    db: &mut PgConnection,
    practice: PracticeId,
    known: Known<AppointmentId>,
) -> Result<Appointment, Error> {
    let held = found(db, practice, known.id).await?;
    held.must_be_held().map_err(Error::Refused)?;
    must_be_held_alone(db, practice, &held).await?;
    known.must_be_unchanged(held.changed_revision)?;
    Ok(held)
}

/// A session of a series that is held as a whole is neither booked nor released by itself.
pub(super) async fn must_be_held_alone(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
) -> Result<(), Error> {
    match visit.session {
        Some(session) if visit.held_until().is_some() => {
            series_of(db, practice, session.series).await?.must_be_active().map_err(Error::Refused)
        }
        Some(_) | None => Ok(()),
    }
}

/// What may have changed since it was held: what it follows, and the approval of what is added to it.
async fn must_still_follow(db: &mut PgConnection, practice: PracticeId, held: &Appointment) -> Result<(), Error> {
    if let Some(follows) = held.follows {
        following(db, practice, follows, Some(held.id)).await?;
    }
    let Some(add_on) = held.add_on else { return Ok(()) };
    if overrides::get(db, practice, add_on.approval).await?.is_some_and(|approval| approval.revoked.is_none()) {
        return Ok(());
    }
    let text = "the approval of the added treatment was revoked";
    Err(Error::Refused(vec![Violation::new(Rule::CombinationNotApproved, text)]))
}

/// What may have changed since it was held: whether the patient is fit for it. Its time, resources and windows are its own.
/// The clearance that it is booked under.
async fn still_fit(
    db: &mut PgConnection,
    practice: PracticeId,
    held: &Appointment,
) -> Result<Option<ClearanceId>, Error> {
    let number = held.session.map(|session| session.number);
    let asked = Asked::of(db, practice, held).await?;
    let fitness = fitness(db, practice, held.patient, held.area, asked.fit_for()).await?;
    let (start, day) = (held.visit.start(), held.zone.day(held.visit.start()));
    match fitness.way(number, start, day, None) {
        Some(way) => Ok(way.clearance),
        None => Err(Error::Refused(fitness.violations(number, start, held.zone))),
    }
}
