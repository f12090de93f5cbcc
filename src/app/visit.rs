//! Visits that take place: patients are checked in, and what happened is recorded.

use chrono::{NaiveDate, TimeDelta};

use super::appointment::found;
use super::commands::{CompleteAppointment, Known};
use super::facts::patient_question;
use super::follow_up::{Following, following};
use super::missed::VisitNow;
use super::moving::{Cause, Restart, Shift, overtaken, pairs, rebook};
use super::series::{SeriesNow, found as found_series};
use super::series_booking::MAX_PLANNINGS;
use super::visit_record::{must_be_known, recorded};
use super::write::Begun;
use super::{App, Command, Error, combination, fitness};
use crate::domain::access::Caller;
use crate::domain::appointment::{Appointment, AppointmentState, Arrival, MAX_START_HOURS};
use crate::domain::booking::{PatientFacts, Spaced, Timing, before_grid};
use crate::domain::catalog::{SpacingScope, Treatment};
use crate::domain::combination::Combined;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::refusal::{Other, Refusal, Rule, Violation};
use crate::domain::series::Series;
use crate::domain::visit::{MAX_DAYS_LATE, collisions, windows};
use crate::store::appointment::Performed;
use crate::store::history::Earlier;
use crate::store::{PgConnection, appointment, booking, overrides, reaction, series, visit_record};

/// A visit that was completed, with its series and the sessions that moved: each as it was and as it is.
#[derive(Debug, Clone)]
pub struct Completed {
    /// The visit.
    pub appointment: Appointment,
    /// The series that it is a session of, or follows.
    pub series: Option<SeriesNow>,
    /// What moved, in order.
    pub moves: Vec<(Appointment, Appointment)>,
}

impl App {
    /// Checks a patient in.
    pub async fn check_in(
        &self,
        caller: &Caller,
        command: &Command<Known<AppointmentId>>,
    ) -> Result<Appointment, Error> {
        self.retry(|| self.try_check_in(caller, command)).await
    }

    async fn try_check_in(
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
        let before = as_known(write.db(), practice, command.body).await?;
        let mut refusal = before.may_arrive(now).err().unwrap_or_default();
        refusal.extend(untreatable(write.db(), practice, &before, now).await?);
        if !refusal.is_empty() {
            return Err(Error::Refused(refusal));
        }
        write.record(ChangeKind::AppointmentArrived, before.id, Some(before.patient), vec![before.id]).await?;
        appointment::arrive(write.db(), practice, before.id, now, revision).await?;
        if let Some(series) = before.series() {
            series::touch(write.db(), practice, series, revision).await?;
        }
        let after = found(write.db(), practice, before.id).await?;
        write.finish().await?;
        Ok(after)
    }

    /// Completes a visit, and moves the later sessions that have to follow.
    pub async fn complete_appointment(
        &self,
        caller: &Caller,
        command: &Command<CompleteAppointment>,
    ) -> Result<Completed, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        if let Some(earlier) = self.repeated(practice, command).await? {
            return self.completed(practice, earlier).await;
        }
        let mut plannings = 1;
        loop {
            let shift = match self.shift_after(practice, &command.body).await {
                Ok(shift) => shift,
                // The same request may have been carried out meanwhile.
                Err(error) => match self.repeated(practice, command).await? {
                    Some(earlier) => return self.completed(practice, earlier).await,
                    None => return Err(error),
                },
            };
            match self.retry(|| self.try_complete(caller, command, shift.as_ref())).await? {
                Ok(completed) => return Ok(completed),
                // Somebody took a place that a session was to move to: what is left now?
                Err(_) if plannings < MAX_PLANNINGS => plannings += 1,
                Err(refusal) => return Err(Error::Refused(refusal)),
            }
        }
    }

    /// The later sessions that have to move.
    async fn shift_after(&self, practice: PracticeId, ask: &CompleteAppointment) -> Result<Option<Shift>, Error> {
        let series = {
            let now = self.clock.now();
            let mut db = self.read_current(practice).await?;
            if let Some(record) = &ask.record {
                must_be_known(&mut db, practice, record).await?;
            }
            let before = as_known(&mut db, practice, ask.visit).await?;
            let after = fulfilled(before, ask, now, 0)?;
            let Some(series) = with_fulfilled(&mut db, practice, &after, now).await? else { return Ok(None) };
            let (performed, patient, spaced) = performed(&mut db, practice, &after, &[]).await?;
            let refusal = collisions(&patient, &performed.windows, &spaced).err().unwrap_or_default();
            // Where nothing of the series is in the way, nothing has to move.
            if !names_any_of(&refusal, &series.ahead(now)) {
                return Ok(None);
            }
            series
        };
        let restart = Restart { series, is_respaced: true };
        let no_plan = "later sessions of the series cannot all follow; cancel some of them first";
        let cause = Cause { field: "appointment_id", no_plan };
        let shifts = self.shifts(practice, vec![restart], NaiveDate::MIN, cause).await?;
        Ok(shifts.into_iter().next())
    }

    /// The inner error tells that somebody was faster than the plan.
    async fn try_complete(
        &self,
        caller: &Caller,
        command: &Command<CompleteAppointment>,
        shift: Option<&Shift>,
    ) -> Result<Result<Completed, Refusal>, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.completed(practice, earlier).await.map(Ok),
        };
        let (now, revision) = (write.now, write.revision);
        let before = as_known(write.db(), practice, command.body.visit).await?;
        let after = fulfilled(before, &command.body, now, revision)?;
        must_not_be_held(write.db(), practice, &after).await?;
        let series = with_fulfilled(write.db(), practice, &after, now).await?;
        let following = shift.map(|shift| shift.following.as_slice()).unwrap_or_default();
        let ahead = series.as_ref().map(|series| series.ahead(now)).unwrap_or_default();
        let of = |id| ahead.iter().find(|session| session.id == id).cloned();
        let moving = following.iter().map(|following| of(following.session.id)).collect::<Option<Vec<Appointment>>>();
        let Some(moving) = moving else { return Ok(Err(overtaken())) };
        let old: Vec<AppointmentId> = moving.iter().map(|session| session.id).collect();
        let new: Vec<AppointmentId> = moving.iter().map(|_| AppointmentId(self.ids.new_id(now))).collect();

        let (performed, patient, spaced) = performed(write.db(), practice, &after, &old).await?;
        if let Err(refusal) = collisions(&patient, &performed.windows, &spaced) {
            // What is of the same series would have moved by the plan, had nobody changed it since.
            let overtaken = names_any_of(&refusal, &ahead);
            return if overtaken { Ok(Err(refusal)) } else { Err(Error::Refused(refusal)) };
        }
        let touched = std::iter::once(after.id).chain(old.iter().copied()).chain(new.iter().copied()).collect();
        write.record(ChangeKind::AppointmentFulfilled, after.id, Some(after.patient), touched).await?;
        // The reason is that another appointment replaces it.
        appointment::cancel(write.db(), practice, &old, now, "", revision).await?;
        appointment::fulfil(write.db(), practice, (after.id, after.patient), &performed, now, revision).await?;
        if let Some(record) = &command.body.record {
            visit_record::insert(write.db(), practice, &recorded(&after, record, now), revision).await?;
        }
        if let Some(series) = series.filter(|_| !moving.is_empty())
            && let Err(refusal) = rebook(&mut write, series, moving, following, new).await?
        {
            return Ok(Err(refusal));
        }
        if let Some(series) = after.series() {
            series::touch(write.db(), practice, series, revision).await?;
        }
        // As it will be read, within the same transaction.
        let done = as_it_is(write.db(), practice, after.id, revision, now).await?;
        write.finish().await?;
        Ok(Ok(done))
    }

    /// What an earlier request completed, as it is now.
    async fn completed(&self, practice: PracticeId, earlier: Earlier) -> Result<Completed, Error> {
        let now = self.clock.now();
        as_it_is(
            &mut *self.read_current(practice).await?,
            practice,
            AppointmentId(earlier.subject),
            earlier.revision,
            now,
        )
        .await
    }
}

/// An appointment, unless it has changed since the caller read it.
pub(super) async fn as_known(
    db: &mut PgConnection,
    practice: PracticeId,
    known: Known<AppointmentId>,
) -> Result<Appointment, Error> {
    let appointment = found(db, practice, known.id).await?;
    known.must_be_unchanged(appointment.changed_revision)?;
    Ok(appointment)
}

async fn as_it_is(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
    revision: i64,
    now: Instant,
) -> Result<Completed, Error> {
    let VisitNow { appointment, series } = VisitNow::read(db, practice, id, now).await?;
    let booked = appointment::booked_by(db, practice, revision).await?;
    let moves = pairs(db, practice, booked).await?;
    Ok(Completed { appointment, series, moves })
}

/// Why a patient may not be treated now: not being fit, or being there on a day on which the visit may not be.
pub(super) async fn untreatable(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
    now: Instant,
) -> Result<Refusal, Error> {
    let mut refusal = unfit(db, practice, visit, now).await?;
    refusal.extend(out_of_place(db, practice, visit, now).await?);
    Ok(refusal)
}

/// Why a patient is not fit to be treated now.
async fn unfit(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
    now: Instant,
) -> Result<Refusal, Error> {
    let number = visit.session.map(|session| session.number);
    let asked = fitness::Asked::of(db, practice, visit).await?;
    fitness::at_check_in(db, practice, visit, asked.fit_for(), number, now).await
}

/// Why a patient may not be treated today, as far as the other visits go: whoever is there on another day than the
/// booked one must not be nearer to them than bookings may be. Later sessions of the series move along at completion.
async fn out_of_place(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
    now: Instant,
) -> Result<Refusal, Error> {
    let series = match visit.session {
        Some(session) => Some(found_series(db, practice, session.series).await?),
        None => None,
    };
    let mut refusal = series.as_ref().and_then(|series| series.must_be_active().err()).unwrap_or_default();
    if visit.zone.day(now) <= visit.zone.day(visit.visit.start()) {
        return Ok(refusal);
    }
    if let Some(follows) = visit.follows.filter(|follows| follows.assessment.is_none()) {
        let Following { follow_up, .. } = following(db, practice, follows, Some(visit.id)).await?;
        refusal.extend(follow_up.too_near(visit.zone.day(now)).into_iter().map(|(other, gap, text)| Violation {
            other: Some(other),
            gap: Some(gap),
            ..Violation::new(Rule::SessionTooSoon, text)
        }));
    }
    let (arrival, started_at, performed_now) = (Arrival::unconfirmed(now), None, before_grid(now));
    let state = AppointmentState::Fulfilled { arrival, started_at, at: now, performed: performed_now };
    let today = Appointment { state, ..visit.clone() };
    if let (Some(series), Some(session)) = (&series, visit.session) {
        refusal.extend(must_keep_order(series, &today, session.number, now).err().unwrap_or_default());
    }
    let along: Vec<AppointmentId> = series.iter().flat_map(|series| series.ahead(now)).map(|later| later.id).collect();
    let (performed, patient, spaced) = performed(db, practice, &today, &along).await?;
    // What is too near to maintenance is said once.
    let known = |other| refusal.iter().any(|known| known.rule == Rule::SessionTooSoon && known.other == other);
    let mut others = collisions(&patient, &performed.windows, &spaced).err().unwrap_or_default();
    others.retain(|violation| violation.rule != Rule::SessionTooSoon || !known(violation.other));
    refusal.extend(others);
    Ok(refusal)
}

/// The visit as completed.
fn fulfilled(
    before: Appointment,
    ask: &CompleteAppointment,
    now: Instant,
    revision: i64,
) -> Result<Appointment, Error> {
    let (booked, zone) = (before.visit.start(), before.zone);
    // Who is there early may be treated early; who came on a later day was not treated before that.
    let came = before.arrived_at().filter(|at| zone.day(*at) > zone.day(booked));
    let began = before.state.started_at().or(came).unwrap_or_else(|| booked.min(now));
    let start = ask.start.unwrap_or_else(|| before_grid(began));
    let after = before.fulfil(start, now, revision).map_err(Error::Refused)?;
    let late = (zone.day(start) - zone.day(booked)).num_days();
    let before_arrival = came.is_some_and(|at| zone.day(start) < zone.day(at));
    // Nobody has looked since whether the patient is fit.
    let long_after = after.arrived_at().is_some_and(|at| start - at > TimeDelta::hours(MAX_START_HOURS));
    if start > now || before_arrival || long_after || !(0..=MAX_DAYS_LATE).contains(&late) {
        let remedy = format!(
            "must be in the past, on the booked day at the clinic or at most {MAX_DAYS_LATE} days later, not before the \
             day on which the patient was checked in, and at most {MAX_START_HOURS} hours after the check-in"
        );
        return Err(Error::field("start_time", remedy));
    }
    Ok(after)
}

/// A refusal if a reaction that was reported before a treatment began keeps the patient from it. Where `StartVisit` said
/// that it did, that was looked at then.
async fn must_not_be_held(db: &mut PgConnection, practice: PracticeId, after: &Appointment) -> Result<(), Error> {
    if after.area.is_none() || after.state.started_at().is_some() {
        return Ok(());
    }
    let standing = reaction::standing(db, practice, after.patient).await?;
    let (start, day) = (after.begins(), after.zone.day(after.begins()));
    let rule = if standing.holding.iter().any(|(_, reported)| *reported <= start) {
        Rule::SeriesOnHold
    } else if standing.cleared.iter().any(|(reported, earliest)| *reported <= start && day < *earliest) {
        Rule::TooSoonAfterReaction
    } else {
        return Ok(());
    };
    let text = "a reaction that was reported before the treatment began keeps the patient from it; if it began before that, \
                say so with start_time, and if it did not begin, take the check-in back with UndoVisit";
    Err(Error::Refused(vec![Violation::new(rule, text)]))
}

/// The series of a session, with that session as it really was.
async fn with_fulfilled(
    db: &mut PgConnection,
    practice: PracticeId,
    after: &Appointment,
    now: Instant,
) -> Result<Option<Series>, Error> {
    let Some(session) = after.session else { return Ok(None) };
    let mut series = found_series(db, practice, session.series).await?;
    for known in series.sessions.iter_mut().filter(|known| known.id == after.id) {
        known.clone_from(after);
    }
    must_keep_order(&series, after, session.number, now).map_err(Error::Refused)?;
    Ok(Some(series))
}

/// Sessions that have begun lie in the order of their numbers, whatever is said of one of them.
fn must_keep_order(series: &Series, after: &Appointment, number: i32, now: Instant) -> Result<(), Refusal> {
    let day = after.zone.day(after.begins());
    let begun = series.sessions.iter().filter(|known| known.id != after.id && known.has_begun(now));
    let astray = begun.filter(|known| {
        let other = known.zone.day(known.begins());
        known.session.is_some_and(|of| if of.number < number { other >= day } else { other <= day })
    });
    let refusal: Refusal = astray
        .map(|known| Violation {
            other: Some(Other::Appointment(known.id)),
            ..Violation::new(
                Rule::SessionOutOfOrder,
                "another session of the series has begun on the other side of that day",
            )
        })
        .collect();
    if refusal.is_empty() { Ok(()) } else { Err(refusal) }
}

/// Whether a refusal names any of these sessions.
pub(super) fn names_any_of(refusal: &[Violation], sessions: &[Appointment]) -> bool {
    let named = |other| matches!(other, Some(Other::Appointment(id)) if sessions.iter().any(|known| known.id == id));
    refusal.iter().any(|violation| named(violation.other))
}

/// What happened, and what it has to agree with: the patient's other visits, but for those that move.
pub(super) async fn performed(
    db: &mut PgConnection,
    practice: PracticeId,
    after: &Appointment,
    moving: &[AppointmentId],
) -> Result<(Performed, PatientFacts, Vec<Spaced>), Error> {
    let (treatment, combined) = treatments(db, practice, after).await?;
    let treatment = combined.as_ref().map_or(&treatment, |combined| &combined.treatment);
    let timing = Timing::new(treatment);
    let (zone, start) = (after.zone, after.begins());
    let shortened = overrides::shortened(db, practice, after.id).await?;
    let windows = windows(&timing, zone, start, &shortened);
    let question = patient_question(after.patient, &[treatment], after.area, vec![timing.visit(start)]);
    let known = booking::patient(db, practice, &question).await?;
    let (_, mut patient) = known.ok_or_else(|| Error::not_found("appointment_id"))?;
    let day = zone.day(start);
    let mut spaced = appointment::spaced(db, practice, after.id).await?;
    for own in &mut spaced {
        *own = Spaced { day, until: day + (own.until - own.day), ..*own };
    }
    // The same area first: two sessions on it are told of once.
    spaced.sort_by_key(|spaced| spaced.scope == SpacingScope::AnyArea);
    patient.forget(&[after.id]);
    patient.forget(moving);
    Ok((Performed { start, day, windows }, patient, spaced))
}

/// The treatment of a visit, and with what is added to it.
pub(super) async fn treatments(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
) -> Result<(Treatment, Option<Combined>), Error> {
    let version = Some(visit.treatment_version);
    let treatment = crate::store::catalog::treatment(db, practice, visit.treatment, version).await?;
    let treatment = treatment.ok_or_else(|| Error::not_found("appointment_id"))?;
    let combined = combination::of_appointment(db, practice, &treatment, visit).await?;
    Ok((treatment, combined))
}
