//! Single visits, and the day sheet.

use std::sync::Arc;

use super::advice::{LookAhead, SOON_DAYS};
use super::commands::{BookAppointment, EndVisit, ListAppointments, SheetOf};
use super::crowd::At;
use super::holds::must_be_held_alone;
use super::lanes::Lane;
use super::next_session::NextSession;
use super::page::{Page, fetch};
use super::sheet::{SheetEntry, entries};
use super::single_visit::{decide, load};
use super::visit::as_known;
use super::write::{Begun, look_up};
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::booking::Facts;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::refusal::Refusal;
use crate::store::appointment::{Sheet, Whose};
use crate::store::{PgConnection, appointment, clinic, patient, practice, resource, series, waiting};

impl App {
    /// Books a single visit, or holds it.
    pub async fn book_appointment(
        &self,
        caller: &Caller,
        command: &Command<BookAppointment>,
    ) -> Result<Appointment, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let wanted = (command.body.clinic, command.body.start);
        let booked = self.retry(|| async {
            let lane = self.lanes.enter_for(practice, wanted).await?;
            // Of a crowd the first one gets it; the others are told so without holding the practice.
            if lane.in_a_crowd
                && let Some(decide) = self.refused_in_a_crowd(practice, command).await?
            {
                drop(lane);
                let refusal = self.advice.think(practice, decide).await?;
                return Err(Error::Refused(refusal));
            }
            self.try_book_appointment(caller, practice, command, lane).await
        });
        match booked.await {
            Err(Error::Refused(refusal)) => {
                Err(Error::Refused(self.advise_appointment(practice, command, refusal).await))
            }
            done => done,
        }
    }

    async fn try_book_appointment(
        &self,
        caller: &Caller,
        practice: PracticeId,
        command: &Command<BookAppointment>,
        lane: Lane,
    ) -> Result<Appointment, Error> {
        let mut write = match self.begin_in(lane, caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.appointment(practice, AppointmentId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let ask = &command.body;
        let (visit, facts) = load(write.db(), practice, ask, now, None).await?;
        let plan = decide(&facts, ask, &visit).map_err(Error::Refused)?;

        let id = AppointmentId(self.ids.new_id(now));
        let booked = Appointment::book(id, visit.patient, visit.session, visit.add_on, &plan, revision);
        let booked = Appointment { follows: visit.follow_up.map(|(follows, _)| follows), ..booked };
        let (booked, kind) = match ask.hold_minutes {
            Some(minutes) => {
                let rules = practice::booking_rules(write.db(), practice).await?;
                (booked.held_for(minutes.min(rules.max_hold_minutes), now), ChangeKind::AppointmentHeld)
            }
            None => (booked, ChangeKind::AppointmentBooked),
        };
        write.record(kind, id, Some(visit.patient), vec![id]).await?;
        let booked = [(booked, plan)];
        appointment::insert(write.db(), practice, &booked, now).await?;
        let [(booked, _)] = booked;
        if let Some(entry) = ask.offered_to {
            waiting::offer(write.db(), practice, entry.id, id, revision).await?;
        }
        if let Some(series) = booked.series() {
            series::touch(write.db(), practice, series, revision).await?;
        }
        write.finish().await?;
        Ok(booked)
    }

    async fn advise_appointment(
        &self,
        practice: PracticeId,
        command: &Command<BookAppointment>,
        refusal: Refusal,
    ) -> Refusal {
        self.advice(practice, refusal, |mut db, ahead| async move {
            let ask = command.body.clone();
            let (visit, facts) = load(&mut db, practice, &ask, self.clock.now(), Some(&ahead)).await?;
            Ok(move || decide(&facts, &ask, &visit).err())
        })
        .await
    }

    /// Whether a visit would be refused as things are, looked at without holding the practice: then the decision, which
    /// also says when it would do, as far as that is soon. Nothing is said to who asks again for what is booked already,
    /// nor while holds that have expired are still to be ended, which is for the next write to do.
    async fn refused_in_a_crowd(
        &self,
        practice: PracticeId,
        command: &Command<BookAppointment>,
    ) -> Result<Option<impl FnOnce() -> Refusal + Send + 'static>, Error> {
        let (mut db, now) = (self.read().await?, self.clock.now());
        let standing = match look_up(&mut db, practice, command).await? {
            Some((standing, None)) if !standing.is_outlasted(now) => standing,
            Some(_) | None => return Ok(None),
        };
        let at = At { practice, revision: standing.revision, now };
        let ahead = LookAhead { days: SOON_DAYS, crowd: Some((at, Arc::clone(&self.crowd))) };
        let ask = command.body.clone();
        let (visit, facts) = load(&mut db, practice, &ask, now, Some(&ahead)).await?;
        drop(db);
        // Others wait for the place in the lane: whether is found out here, and when after it.
        let whether = Facts { look_for_earliest: false, ..facts.clone() };
        let Err(refusal) = decide(&whether, &ask, &visit) else { return Ok(None) };
        Ok(Some(move || decide(&facts, &ask, &visit).err().unwrap_or(refusal)))
    }

    /// Cancels an appointment that has not begun, or releases its hold.
    pub async fn cancel_appointment(
        &self,
        caller: &Caller,
        command: &Command<EndVisit>,
    ) -> Result<(Appointment, Option<NextSession>), Error> {
        let cancelled = self.retry(|| self.try_cancel_appointment(caller, command)).await?;
        let practice = Self::tenant(caller, command.practice)?;
        let next = self.next_session(practice, &cancelled, command.validate_only).await;
        Ok((cancelled, next))
    }

    async fn try_cancel_appointment(&self, caller: &Caller, command: &Command<EndVisit>) -> Result<Appointment, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.appointment(practice, AppointmentId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let EndVisit { visit, because, reason } = &command.body;
        let id = visit.id;
        let before = as_known(write.db(), practice, *visit).await?;
        must_be_held_alone(write.db(), practice, &before).await?;
        let rules = practice::booking_rules(write.db(), practice).await?;
        let ending = rules.on_cancelling(&before, *because, now);
        let after = before.cancel(now, reason.clone(), ending, revision).map_err(Error::Refused)?;
        write.record(ChangeKind::AppointmentCancelled, id, Some(after.patient), vec![id]).await?;
        appointment::cancel(write.db(), practice, &[id], now, reason.expose().as_str(), revision).await?;
        appointment::ended(write.db(), practice, id, ending).await?;
        if let Some(series) = after.series() {
            series::touch(write.db(), practice, series, revision).await?;
        }
        write.finish().await?;
        Ok(after)
    }

    /// An appointment.
    pub async fn get_appointment(&self, caller: &Caller, scoped: Scoped<AppointmentId>) -> Result<Appointment, Error> {
        self.appointment(Self::tenant(caller, scoped.practice)?, scoped.query).await
    }

    /// The day sheet of a clinic, a resource or a patient.
    pub async fn list_appointments(
        &self,
        caller: &Caller,
        scoped: Scoped<ListAppointments>,
    ) -> Result<Page<SheetEntry, (Instant, AppointmentId)>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListAppointments { of, during, include_cancelled, page } = scoped.query;
        let mut db = self.read_current(practice).await?;
        let (whose, known, field) = match of {
            SheetOf::Clinic(id) => (Whose::Clinic(id), clinic::exists(&mut db, practice, id).await?, "clinic_id"),
            SheetOf::Resource(id) => {
                (Whose::Resource(id), resource::exists(&mut db, practice, id).await?, "resource_id")
            }
            SheetOf::Patient(id) => (Whose::Patient(id), patient::exists(&mut db, practice, id).await?, "patient_id"),
        };
        if !known {
            return Err(Error::not_found(field));
        }
        let sheet = Sheet { whose, during, include_cancelled, after: page.after };
        let found = appointment::list(&mut db, practice, &sheet, fetch(page.size)).await?;
        let shown = entries(&mut db, practice, found).await?;
        Ok(Page::new(shown, page.size, |last| (last.appointment.visit.start(), last.appointment.id)))
    }

    pub(super) async fn appointment(&self, practice: PracticeId, id: AppointmentId) -> Result<Appointment, Error> {
        found(&mut *self.read_current(practice).await?, practice, id).await
    }
}

pub(super) async fn found(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
) -> Result<Appointment, Error> {
    appointment::get(db, practice, id).await?.ok_or_else(|| Error::not_found("appointment_id"))
}
