//! Single visits, and the day sheet.

use std::sync::Arc;

use super::advice::{LookAhead, SOON_DAYS, says_when};
use super::combination::{Added, added};
use super::commands::{BookAppointment, EndVisit, ListAppointments, SheetOf, WhichVisit};
use super::crowd::{self, At};
use super::facts::{self, Asked, Question};
use super::fitness::FitFor;
use super::follow_up::{Following, following, series_field};
use super::holds::must_be_held_alone;
use super::lanes::Lane;
use super::next_session::NextSession;
use super::page::{Page, fetch};
use super::sheet::{SheetEntry, entries};
use super::visit::as_known;
use super::waiting::waiting_as_known;
use super::write::{Begun, was_carried_out};
use super::{App, Command, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::appointment::{Appointment, Follows, SessionOf};
use crate::domain::booking::{Facts, FollowUp, Neighbours, PlannedVisit, VisitRequest, plan_visit};
use crate::domain::catalog::{BodyArea, GapDays, Protocol, Treatment};
use crate::domain::combination::AddOn;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, OverrideId, PatientId, PracticeId, SeriesId, TreatmentId};
use crate::domain::interval::Instant;
use crate::domain::refusal::{Other, Refusal, Rule, Violation};
use crate::domain::series::Series;
use crate::store::appointment::{Sheet, Whose};
use crate::store::{PgConnection, appointment, catalog, clinic, patient, practice, resource, series, waiting};

/// A visit to book, with all that its request only refers to.
struct Visit {
    patient: PatientId,
    /// What it is, with what is added to it.
    treatment: Treatment,
    add_on: Option<AddOn>,
    /// What is against adding it.
    misfit: Refusal,
    area: Option<BodyArea>,
    spacing_days: Option<i64>,
    spacing_override: Option<OverrideId>,
    session: Option<SessionOf>,
    protocol: Option<Protocol>,
    neighbours: Option<Neighbours>,
    follow_up: Option<(Follows, FollowUp)>,
}

impl Visit {
    /// The series that it is a session of, or follows.
    fn series(&self) -> Option<SeriesId> {
        let followed = || self.follow_up.as_ref().map(|(follows, _)| follows.series);
        self.session.map(|session| session.series).or_else(followed)
    }
}

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
            Err(Error::Refused(refusal)) if !says_when(&refusal) => {
                let advised = self.advise_appointment(practice, command).await;
                Err(Error::Refused(advised.ok().flatten().unwrap_or(refusal)))
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
        if let Some(entry) = ask.offered_to {
            waiting_as_known(write.db(), practice, entry).await?;
        }
        let visit = visit(write.db(), practice, ask, now, None).await?;
        let facts = facts_of(write.db(), practice, ask, &visit, now, None).await?;
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

    /// Finds out, without holding the practice, when a refused visit would do.
    async fn advise_appointment(
        &self,
        practice: PracticeId,
        command: &Command<BookAppointment>,
    ) -> Result<Option<Refusal>, Error> {
        self.advice(practice, |mut db, ahead| async move {
            let (ask, facts, visit) = self.as_things_are(&mut db, practice, command, &ahead).await?;
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
        let Some((mut db, revision)) = self.unless_outlasted(practice, self.read().await?).await? else {
            return Ok(None);
        };
        if was_carried_out(&mut db, practice, command).await? {
            return Ok(None);
        }
        let at = At { practice, revision, now: self.clock.now() };
        let ahead = LookAhead { days: SOON_DAYS, crowd: Some((at, Arc::clone(&self.crowd))) };
        let (ask, facts, visit) = self.as_things_are(&mut db, practice, command, &ahead).await?;
        drop(db);
        // Others wait for the place in the lane: whether is found out here, and when after it.
        let whether = Facts { look_for_earliest: false, ..facts.clone() };
        let Err(refusal) = decide(&whether, &ask, &visit) else { return Ok(None) };
        Ok(Some(move || decide(&facts, &ask, &visit).err().unwrap_or(refusal)))
    }

    /// What a request asks for, what it rests on, and what it refers to.
    async fn as_things_are(
        &self,
        db: &mut PgConnection,
        practice: PracticeId,
        command: &Command<BookAppointment>,
        ahead: &LookAhead,
    ) -> Result<(BookAppointment, Facts, Visit), Error> {
        let (ask, now) = (command.body.clone(), self.clock.now());
        if let Some(entry) = ask.offered_to {
            waiting_as_known(db, practice, entry).await?;
        }
        let visit = visit(db, practice, &ask, now, Some(ahead)).await?;
        let facts = facts_of(db, practice, &ask, &visit, now, Some(ahead)).await?;
        Ok((ask, facts, visit))
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

/// What a request refers to.
async fn visit(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &BookAppointment,
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<Visit, Error> {
    let (visit, gap) = base(db, practice, &ask.which, now, ahead).await?;
    let Some(id) = ask.add_on else { return Ok(visit) };
    let Added { combined, add_on, refusal } = added(db, practice, visit.patient, &visit.treatment, id).await?;
    let spacing_days = match gap {
        Some(gap) => Some(combined.session_spacing(gap)),
        None => combined.treatment.content.spacing_days.map(i64::from),
    };
    Ok(Visit { treatment: combined.treatment, add_on, misfit: refusal, spacing_days, ..visit })
}

/// The visit without what is added to it, and the gaps of its series, if it is a session of one.
async fn base(
    db: &mut PgConnection,
    practice: PracticeId,
    which: &WhichVisit,
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<(Visit, Option<GapDays>), Error> {
    let (add_on, misfit) = (None, Vec::new());
    match *which {
        WhichVisit::Treatment { patient, treatment, area } => {
            let treatment = the_treatment(db, practice, (treatment, None), ahead).await?;
            let spacing_days = treatment.content.spacing_days.map(i64::from);
            let (spacing_override, session, protocol, neighbours, follow_up) = (None, None, None, None, None);
            let visit = Visit {
                patient,
                treatment,
                add_on,
                misfit,
                area,
                spacing_days,
                spacing_override,
                session,
                protocol,
                neighbours,
                follow_up,
            };
            Ok((visit, None))
        }
        WhichVisit::Session { series: id, number } => {
            let series = series::get(db, practice, id).await?.ok_or_else(|| Error::not_found("session.series_id"))?;
            the_session_is_open(&series, number, None)?;
            let version = Some(series.protocol_version);
            let protocol = catalog::protocol(db, practice, series.protocol, version).await?;
            let protocol = protocol.ok_or_else(|| Error::not_found("session.series_id"))?;
            let version = Some(protocol.treatment_version);
            let treatment = the_treatment(db, practice, (protocol.content.treatment, version), ahead).await?;
            let gap = series.gap.days();
            let visit = Visit {
                patient: series.patient,
                treatment,
                add_on,
                misfit,
                area: Some(series.area),
                spacing_days: Some(i64::from(gap.minimum)),
                spacing_override: series.gap.override_id(),
                session: Some(SessionOf { series: id, number }),
                neighbours: Some(series.neighbours(number, now)),
                protocol: Some(protocol),
                follow_up: None,
            };
            Ok((visit, Some(gap)))
        }
        WhichVisit::FollowUp(follows) => {
            let Following { patient, treatment: (id, version), area, protocol, follow_up } =
                following(db, practice, follows, None).await?;
            let treatment = catalog::treatment(db, practice, id, Some(version)).await?;
            let treatment = treatment.ok_or_else(|| Error::not_found(series_field(follows)))?;
            let visit = Visit {
                patient,
                // As of the same treatment outside a series.
                spacing_days: treatment.content.spacing_days.map(i64::from),
                spacing_override: None,
                treatment,
                add_on,
                misfit,
                area,
                session: None,
                protocol,
                neighbours: None,
                follow_up: Some((follows, follow_up)),
            };
            Ok((visit, None))
        }
    }
}

/// A treatment in a version, none for the highest; as it is or as somebody who searched at the same revision has read it.
pub(super) async fn the_treatment(
    db: &mut PgConnection,
    practice: PracticeId,
    wanted: (TreatmentId, Option<i32>),
    ahead: Option<&LookAhead>,
) -> Result<Treatment, Error> {
    let kept = ahead.and_then(|ahead| ahead.crowd.as_ref()).map(|(at, crowd)| (*at, &crowd.treatments));
    crowd::shared(kept, wanted, async |(id, version)| {
        let treatment = catalog::treatment(db, practice, *id, *version).await?;
        treatment.ok_or_else(|| Error::not_found("treatment.treatment_id"))
    })
    .await
}

/// Whether a session of a series may be booked, or is the appointment that is to be moved.
pub(super) fn the_session_is_open(series: &Series, number: i32, moving: Option<AppointmentId>) -> Result<(), Error> {
    if number > series.session_count {
        let remedy = format!("must be 1 to {}, the sessions of the series", series.session_count);
        return Err(Error::field("session.session_number", remedy));
    }
    series.must_be_active().map_err(Error::Refused)?;
    match series.session(number).filter(|booked| Some(booked.id) != moving) {
        Some(booked) => {
            let text = match booked.held_until() {
                Some(_) => "the session is held; convert the hold, or release it with CancelAppointment",
                None => "the session is booked already",
            };
            let other = Some(Other::Appointment(booked.id));
            Err(Error::Refused(vec![Violation { other, ..Violation::new(Rule::SessionAlreadyBooked, text) }]))
        }
        None => Ok(()),
    }
}

/// What the decision rests on.
async fn facts_of(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &BookAppointment,
    visit: &Visit,
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<Facts, Error> {
    let (path, named) = (String::new(), ask.named.as_slice());
    let asked = Asked { path, clinic: ask.clinic, start: ask.start, named, practitioner: None };
    let Visit { patient, treatment, area, .. } = visit;
    let fit_for = match &visit.protocol {
        Some(protocol) => FitFor::Sessions(protocol, visit.series()),
        None => FitFor::Treatment(treatment),
    };
    let (patient, area, treatments, visits) = (*patient, *area, vec![treatment], vec![asked]);
    let question = Question { patient, treatments, area, visits, fit_for, ahead };
    facts::load(db, practice, &question, now).await.map_err(|error| match (error, &ask.which) {
        (Error::NotFound(field), WhichVisit::Treatment { .. }) if field == "patient_id" => {
            Error::not_found("treatment.patient_id")
        }
        (error, WhichVisit::Treatment { .. } | WhichVisit::Session { .. } | WhichVisit::FollowUp(_)) => error,
    })
}

/// The plan, or all that is against it: what is against adding a treatment, and what is against the visit with it.
fn decide(facts: &Facts, ask: &BookAppointment, visit: &Visit) -> Result<PlannedVisit, Refusal> {
    let planned = plan_visit(facts, &visit.treatment, &asked(ask, visit));
    if visit.misfit.is_empty() {
        return planned;
    }
    Err(visit.misfit.iter().cloned().chain(planned.err().into_iter().flatten()).collect())
}

/// The visit as the decision knows it.
fn asked(ask: &BookAppointment, visit: &Visit) -> VisitRequest {
    VisitRequest {
        clinic: ask.clinic,
        start: ask.start,
        named: ask.named.clone(),
        area: visit.area,
        spacing_days: visit.spacing_days,
        spacing_override: visit.spacing_override,
        neighbours: visit.neighbours,
        follow_up: visit.follow_up.as_ref().map(|(_, follow_up)| follow_up.clone()),
        preferred: Vec::new(),
        moved_from: None,
    }
}
