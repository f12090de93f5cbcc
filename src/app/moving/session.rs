//! Moving a session of a series, and the later ones that have to follow.

use std::sync::{Arc, OnceLock};

use super::decision::{Setting, of_following, told};
use super::following::{LaterSessions, add_ons};
use super::replace;
use crate::app::boards::{CourseId, Look, Sought};
use crate::app::commands::{Destination, RescheduleSession};
use crate::app::series::{SeriesNow, found, protocol_of};
use crate::app::series_booking::MAX_PLANNINGS;
use crate::app::write::Begun;
use crate::app::{App, Command, Error};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::booking::{AskedSession, Facts, PlannedVisit, SessionRequest};
use crate::domain::catalog::{BodyArea, GapDays};
use crate::domain::combination::AddOn;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, PracticeId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::planning::Following;
use crate::domain::refusal::{Refusal, Rule, Violation};
use crate::domain::series::{BookedSession, Series};
use crate::store::history::Earlier;
use crate::store::{PgConnection, appointment, practice, series};

/// A series whose sessions moved: each as it was and as it is.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The series.
    pub series: SeriesNow,
    /// What moved, in order.
    pub moves: Vec<(Appointment, Appointment)>,
}

impl App {
    /// Moves a session of a series, and those after it that have to follow.
    pub async fn reschedule_session(
        &self,
        caller: &Caller,
        command: &Command<RescheduleSession>,
    ) -> Result<Moved, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        if let Some(earlier) = self.repeated(practice, command).await? {
            return self.moved(practice, earlier).await;
        }
        let mut plannings = 1;
        loop {
            let following = match self.following(practice, &command.body).await {
                Ok(following) => following,
                // The same request may have been carried out meanwhile.
                Err(error) => match self.repeated(practice, command).await? {
                    Some(earlier) => return self.moved(practice, earlier).await,
                    None => return Err(error),
                },
            };
            let can_follow = following.is_some();
            let following = following.unwrap_or_default();
            let refusal = match self.retry(|| self.try_reschedule_session(caller, command, &following)).await {
                Err(Error::Refused(refusal)) => refusal,
                done => return done,
            };
            // Somebody took a place that a later session was to move to: what is left now?
            let overtaken = refusal.iter().any(|violation| violation.session.is_some_and(|place| place > 0));
            if overtaken && plannings < MAX_PLANNINGS {
                plannings += 1;
                continue;
            }
            let mut refusal = self.advise_session(practice, &command.body, following, refusal).await;
            if !can_follow {
                let text = "the later sessions of the series cannot all follow, wherever they are moved to";
                refusal.push(Violation::new(Rule::NoPlan, text));
            }
            return Err(Error::Refused(refusal));
        }
    }

    /// The later sessions that would have to move, and where to; nothing if they cannot all be placed.
    async fn following(&self, practice: PracticeId, ask: &RescheduleSession) -> Result<Option<Vec<Following>>, Error> {
        let (series, moved) = {
            let mut db = self.read_current(practice).await?;
            let series = found(&mut db, practice, ask.series).await?;
            let moved = the_session(&series, ask, self.clock.now())?.clone();
            (series, moved)
        };
        let later: Vec<Appointment> = in_order(&series, ask.number + 1);
        if later.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let clinic = ask.to.clinic.unwrap_or(moved.clinic);
        let mut clinics = vec![(clinic, "clinic_id".to_owned())];
        for appointment in &later {
            if !clinics.iter().any(|(known, _)| *known == appointment.clinic) {
                clinics.push((appointment.clinic, "series_id".to_owned()));
            }
        }
        let add_ons = add_ons(std::iter::once(&moved).chain(&later));
        let sought = Sought {
            clinics: &clinics,
            course: CourseId::Protocol(series.protocol, Some(series.protocol_version)),
            course_field: "series_id",
            add_ons: &add_ons,
            patient: Some((series.patient, "series_id")),
            area: Some(series.area),
            series: Some(series.id),
        };
        let look = self.look(practice, &sought).await?;
        let (to, of) = (ask.to.clone(), (series.area, series.gap.days()));
        self.planners.think(practice, move || after_move(&look, of, &to, &moved, &later)).await
    }

    async fn try_reschedule_session(
        &self,
        caller: &Caller,
        command: &Command<RescheduleSession>,
        following: &[Following],
    ) -> Result<Moved, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.moved(practice, earlier).await,
        };
        let (now, revision) = (write.now, write.revision);
        let ask = &command.body;
        let setting = setting(write.db(), practice, ask, following, now).await?;
        if setting.series.changed_revision != ask.etag {
            return Err(Error::EtagMismatch);
        }
        let asked = asked(&setting, ask, following);
        let facts = setting.load(write.db(), practice, &asked, now, None).await?;
        let plans = decide_move(facts, &setting, &asked).map_err(Error::Refused)?;

        let booked = self.replacements(&setting.moving, plans, revision, now);
        let id = setting.series.id;
        let subject = (ChangeKind::SeriesRescheduled, id.0);
        replace(&mut write, subject, setting.series.patient, &setting.moving, &booked).await?;
        let ending = practice::booking_rules(write.db(), practice).await?.on_moving(ask.because);
        // The others did not ask to be moved.
        if let Some(moved) = setting.moving.first() {
            appointment::ended(write.db(), practice, moved.id, ending).await?;
        }
        series::touch(write.db(), practice, id, revision).await?;
        // As it will be read, within the same transaction.
        let moves =
            pairs(write.db(), practice, booked.into_iter().map(|(appointment, _)| appointment).collect()).await?;
        let series = found(write.db(), practice, id).await?;
        write.finish().await?;
        let series = SeriesNow { series, protocol: Arc::new(setting.protocol), now };
        Ok(Moved { series, moves })
    }

    async fn advise_session(
        &self,
        practice: PracticeId,
        ask: &RescheduleSession,
        following: Vec<Following>,
        refusal: Refusal,
    ) -> Refusal {
        let (following, moved) = (following.as_slice(), OnceLock::new());
        let moved = &moved;
        let advised = self.advice(practice, refusal, |mut db, ahead| async move {
            let now = self.clock.now();
            let setting = setting(&mut db, practice, ask, following, now).await?;
            let asked = asked(&setting, ask, following);
            let facts = setting.load(&mut db, practice, &asked, now, Some(&ahead)).await?;
            moved.get_or_init(|| setting.moving.first().map(|moved| moved.id));
            Ok(move || decide_move(facts, &setting, &asked).err())
        });
        // The request is about one session; the others are told of by their numbers and appointments.
        told(advised.await, |place| match place.checked_sub(1) {
            None => (None, moved.get().copied().flatten()),
            Some(place) => of_following(following.get(place)),
        })
    }

    /// What an earlier request moved, as it is now.
    async fn moved(&self, practice: PracticeId, earlier: Earlier) -> Result<Moved, Error> {
        let mut db = self.read_current(practice).await?;
        let now = self.clock.now();
        let series = found(&mut db, practice, SeriesId(earlier.subject)).await?;
        let protocol = Arc::new(protocol_of(&mut db, practice, &series).await?);
        let series = SeriesNow { series, protocol, now };
        let booked = appointment::booked_by(&mut db, practice, earlier.revision).await?;
        let moves = pairs(&mut db, practice, booked).await?;
        Ok(Moved { series, moves })
    }
}

/// The booked session that a request is about, if it may be moved.
fn the_session<'a>(series: &'a Series, ask: &RescheduleSession, now: Instant) -> Result<&'a Appointment, Error> {
    if ask.number > series.session_count {
        let remedy = format!("must be 1 to {}, the sessions of the series", series.session_count);
        return Err(Error::field("session_number", remedy));
    }
    series.must_be_active().map_err(Error::Refused)?;
    let booked = series.session(ask.number).ok_or_else(|| {
        let text = "the session is not booked; book it with AppointmentService.BookAppointment";
        Error::Refused(vec![Violation::new(Rule::AppointmentNotBooked, text)])
    })?;
    booked.must_lie_ahead(now).map_err(Error::Refused)?;
    Ok(booked)
}

/// The booked sessions of a series from a number on, in order. What is only held stays where it is.
fn in_order(series: &Series, from: i32) -> Vec<Appointment> {
    let sessions = (from..=series.session_count).filter_map(|number| series.session(number));
    sessions.filter(|session| session.held_until().is_none()).cloned().collect()
}

/// Where the later sessions go when one is moved.
fn after_move(
    look: &Look,
    (area, gap): (BodyArea, GapDays),
    to: &Destination,
    moved: &Appointment,
    later: &[Appointment],
) -> Option<Vec<Following>> {
    let clinic = to.clinic.unwrap_or(moved.clinic);
    let zone = look.boards.iter().find(|board| board.clinic == clinic)?.zone;
    let session = BookedSession::of(moved)?;
    let practitioner = to.practitioner.or(session.practitioner);
    let before = BookedSession { start: to.start, day: zone.day(to.start), zone, practitioner, ..session };
    let mut patient = look.patient.clone()?;
    patient.forget(&[moved.id]);
    patient.fitness.let_put_off();
    let before = Some((before, moved.add_on.map(AddOn::added)));
    let question = LaterSessions { area, gap, before, gone: Some(moved), from: None, later };
    question.following(look, patient)
}

async fn setting(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &RescheduleSession,
    following: &[Following],
    now: Instant,
) -> Result<Setting, Error> {
    let series = found(db, practice, ask.series).await?;
    let mut moving = vec![the_session(&series, ask, now)?.clone()];
    for Following { session, .. } in following {
        // If it is not there any more, the series has changed since.
        let booked = series.session(session.number).filter(|booked| booked.id == session.id);
        moving.push(booked.ok_or(Error::EtagMismatch)?.clone());
    }
    Setting::of(db, practice, series, moving).await
}

/// The session where it is moved to, and those that follow.
fn asked(setting: &Setting, ask: &RescheduleSession, following: &[Following]) -> Vec<AskedSession> {
    let Destination { start, clinic, practitioner, named } = ask.to.clone();
    let own_clinic = setting.moving.first().map(|moved| moved.clinic);
    let request = SessionRequest {
        clinic: clinic.or(own_clinic).unwrap_or_else(|| unreachable!("a session is moved")),
        start,
        named,
        practitioner,
        moved_from: setting.moving.first().map(|moved| moved.visit.start()),
    };
    let combined = setting.combined.first().cloned().flatten();
    let moved = AskedSession { place: 0, number: ask.number, request, combined };
    std::iter::once(moved).chain(setting.followed(following, 1)).collect()
}

/// The session goes on with who and what it had; after that comes what the patient knows from the others.
fn decide_move(facts: Facts, setting: &Setting, asked: &[AskedSession]) -> Result<Vec<PlannedVisit>, Refusal> {
    let own = setting.moving.first().into_iter().flat_map(Appointment::occupied).map(|(resource, _)| resource);
    setting.decide(facts, own.chain(setting.series.known()).collect(), asked)
}

/// Appointments that replace others, each after the one that it replaces; in order of their sessions.
pub(in crate::app) async fn pairs(
    db: &mut PgConnection,
    practice: PracticeId,
    booked: Vec<Appointment>,
) -> Result<Vec<(Appointment, Appointment)>, Error> {
    let replaced: Vec<AppointmentId> = booked.iter().filter_map(|new| new.replaces).collect();
    let replaced = appointment::several(db, practice, &replaced).await?;
    let mut pairs: Vec<(Appointment, Appointment)> = booked
        .into_iter()
        .filter_map(|new| Some((replaced.iter().find(|old| Some(old.id) == new.replaces)?.clone(), new)))
        .collect();
    pairs.sort_by_key(|(_, new)| new.session.map(|session| session.number));
    Ok(pairs)
}
