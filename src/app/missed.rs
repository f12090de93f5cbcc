//! Visits to which nobody came, and steps that are taken back.

use std::sync::Arc;

use super::appointment::found;
use super::commands::{EndVisit, Known};
use super::follow_up::following;
use super::next_session::NextSession;
use super::series::{SeriesNow, found as found_series, protocol_of};
use super::single_visit::the_session_is_open;
use super::visit::{as_known, performed};
use super::write::Begun;
use super::{App, Command, Error};
use crate::domain::access::Caller;
use crate::domain::appointment::{Appointment, AppointmentState};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::refusal::{Other, Refusal, Rule, Violation};
use crate::domain::series::Series;
use crate::domain::visit::collisions;
use crate::store::{PgConnection, appointment, history, overrides, practice, series};

/// A visit as it is, with its series.
#[derive(Debug, Clone)]
pub struct VisitNow {
    /// The visit.
    pub appointment: Appointment,
    /// The series that it is a session of, or follows.
    pub series: Option<SeriesNow>,
}

impl VisitNow {
    pub(super) async fn read(
        db: &mut PgConnection,
        practice: PracticeId,
        id: AppointmentId,
        now: Instant,
    ) -> Result<Self, Error> {
        let appointment = found(db, practice, id).await?;
        let series = match appointment.series() {
            Some(id) => {
                let series = found_series(db, practice, id).await?;
                let protocol = Arc::new(protocol_of(db, practice, &series).await?);
                Some(SeriesNow { series, protocol, now })
            }
            None => None,
        };
        Ok(Self { appointment, series })
    }
}

impl App {
    /// Says that nobody came to a visit.
    pub async fn mark_no_show(
        &self,
        caller: &Caller,
        command: &Command<EndVisit>,
    ) -> Result<(VisitNow, Option<NextSession>), Error> {
        let missed = self.retry(|| self.try_mark_no_show(caller, command)).await?;
        let practice = Self::tenant(caller, command.practice)?;
        let next = self.next_session(practice, &missed.appointment, command.validate_only).await;
        Ok((missed, next))
    }

    async fn try_mark_no_show(&self, caller: &Caller, command: &Command<EndVisit>) -> Result<VisitNow, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.visit_now(practice, AppointmentId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let EndVisit { visit, because, reason } = &command.body;
        let id = visit.id;
        let before = as_known(write.db(), practice, *visit).await?;
        let ending = practice::booking_rules(write.db(), practice).await?.on_missing(&before, *because);
        let after = before.miss(now, reason.clone(), ending, revision).map_err(Error::Refused)?;
        if appointment::has_record(write.db(), practice, id).await? {
            let text = "a clearance, a reaction or a result was recorded of the visit, so that the patient came";
            return Err(Error::Refused(vec![Violation::new(Rule::AppointmentStarted, text)]));
        }
        write.record(ChangeKind::AppointmentMissed, id, Some(after.patient), vec![id]).await?;
        appointment::miss(write.db(), practice, id, now, reason.expose().as_str(), revision).await?;
        appointment::ended(write.db(), practice, id, ending).await?;
        if let Some(series) = after.series() {
            series::touch(write.db(), practice, series, revision).await?;
        }
        let done = VisitNow::read(write.db(), practice, id, now).await?;
        write.finish().await?;
        Ok(done)
    }

    /// Takes the latest step of a visit back: a confirmation, a check-in, a start or a no-show.
    pub async fn undo_visit(
        &self,
        caller: &Caller,
        command: &Command<Known<AppointmentId>>,
    ) -> Result<VisitNow, Error> {
        self.retry(|| self.try_undo_visit(caller, command)).await
    }

    async fn try_undo_visit(
        &self,
        caller: &Caller,
        command: &Command<Known<AppointmentId>>,
    ) -> Result<VisitNow, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.visit_now(practice, AppointmentId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let before = as_known(write.db(), practice, command.body).await?;
        let was = before.state.clone();
        let (after, at) = before.undo(now, revision).map_err(Error::Refused)?;
        match was {
            AppointmentState::NoShow { .. } => {
                must_rest_on_the_same(write.db(), practice, &after, at).await?;
                must_still_fit(write.db(), practice, &after).await?;
            }
            AppointmentState::Arrived(_) => {
                must_rest_on_the_same(write.db(), practice, &after, at).await?;
                if appointment::has_record(write.db(), practice, after.id).await? {
                    return Err(not_allowed("a clearance, a reaction or a result was recorded of the visit"));
                }
                // Whoever is there early counts as begun, and what was decided meanwhile took it for that.
                if !after.has_begun(now) && history::has_changed_since_arrival(write.db(), practice, after.id).await? {
                    return Err(not_allowed("something of the patient has changed since, and the visit lies ahead"));
                }
            }
            // Nothing rests on a confirmation or a start; the others are not taken back.
            AppointmentState::Confirmed { .. }
            | AppointmentState::InProgress { .. }
            | AppointmentState::Held { .. }
            | AppointmentState::Booked
            | AppointmentState::Fulfilled { .. }
            | AppointmentState::Cancelled { .. } => {}
        }
        write.record(ChangeKind::AppointmentUndone, after.id, Some(after.patient), vec![after.id]).await?;
        appointment::undo(write.db(), practice, after.id, revision).await?;
        if let Some(series) = after.series() {
            series::touch(write.db(), practice, series, revision).await?;
        }
        let done = VisitNow::read(write.db(), practice, after.id, now).await?;
        write.finish().await?;
        Ok(done)
    }

    async fn visit_now(&self, practice: PracticeId, id: AppointmentId) -> Result<VisitNow, Error> {
        let now = self.clock.now();
        VisitNow::read(&mut *self.read_current(practice).await?, practice, id, now).await
    }
}

/// A refusal if a decision that the visit rests on was taken back after that.
async fn must_rest_on_the_same(
    db: &mut PgConnection,
    practice: PracticeId,
    after: &Appointment,
    at: Instant,
) -> Result<(), Error> {
    for id in &after.overrides {
        let known = overrides::get(db, practice, *id).await?;
        if known.is_none_or(|known| known.revoked.is_some_and(|revoked| revoked.at >= at)) {
            return Err(not_allowed("an override that the visit rests on was revoked since"));
        }
    }
    Ok(())
}

/// Whether a visit to which nobody came may take up again what it did. Whether its time and resources are free, the
/// constraints tell.
async fn must_still_fit(db: &mut PgConnection, practice: PracticeId, after: &Appointment) -> Result<(), Error> {
    if let Some(session) = after.session {
        let series = found_series(db, practice, session.series).await?;
        if session.number > series.session_count {
            return Err(not_allowed("the series has fewer sessions since"));
        }
        the_session_is_open(&series, session.number, None)?;
        // Its window is as long as the gap was then.
        if series.gap.override_id().is_some_and(|id| !after.overrides.contains(&id)) {
            return Err(not_allowed("the series has another gap since"));
        }
        must_be_in_order(&series, after, session.number).map_err(Error::Refused)?;
    }
    if let Some(follows) = after.follows {
        following(db, practice, follows, Some(after.id)).await?;
    }
    let (performed, patient, spaced) = performed(db, practice, after, &[]).await?;
    collisions(&patient, &performed.windows, &spaced).map_err(Error::Refused)
}

/// Whether the sessions of a series would lie in the order of their numbers with this one among them.
fn must_be_in_order(series: &Series, after: &Appointment, number: i32) -> Result<(), Refusal> {
    let astray = series.sessions.iter().filter(|known| {
        let is_before = known.begins() < after.begins();
        known.session.is_some_and(|of| (of.number < number) != is_before)
    });
    let refusal: Refusal = astray
        .map(|known| Violation {
            other: Some(Other::Appointment(known.id)),
            ..Violation::new(
                Rule::SessionOutOfOrder,
                "another session of the series was booked on the other side since",
            )
        })
        .collect();
    if refusal.is_empty() { Ok(()) } else { Err(refusal) }
}

fn not_allowed(text: &str) -> Error {
    Error::Refused(vec![Violation::new(Rule::UndoNotAllowed, text)])
}
