//! Moving a session of a series, and the later ones that have to follow.

use std::sync::Arc;

use chrono::NaiveDate;

use super::{ids, replace};
use crate::app::boards::{CourseId, Look, Sought};
use crate::app::commands::{Destination, RescheduleSession};
use crate::app::facts::{self, Asked, Question};
use crate::app::fitness::FitFor;
use crate::app::series::{SeriesNow, found, protocol_of};
use crate::app::series_booking::MAX_PLANNINGS;
use crate::app::write::Begun;
use crate::app::{App, Command, Error, catalog, combination};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::booking::{
    AskedSession, Facts, PatientFacts, PlannedVisit, SessionRequest, SessionsOf, Timing, plan_sessions,
};
use crate::domain::catalog::{BodyArea, GRID_MINUTES, GapDays, Protocol, Treatment};
use crate::domain::combination::{AddOn, Combined};
use crate::domain::finding::{Board, Starts, Wanted, find};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, ClinicId, PracticeId, SeriesId, TreatmentId};
use crate::domain::interval::Instant;
use crate::domain::planning::{Following, Later, MoveQuestion, Moving};
use crate::domain::refusal::{Other, Refusal, Rule, Violation};
use crate::domain::series::{BookedSession, Series};
use crate::store::history::Earlier;
use crate::store::{PgConnection, appointment, series};

/// A series whose sessions moved: each as it was and as it is.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The series.
    pub series: SeriesNow,
    /// What moved, in order.
    pub moves: Vec<(Appointment, Appointment)>,
}

/// A session to move, with all that its request refers to.
struct Setting {
    series: Series,
    /// The session and those that follow, as they are booked.
    moving: Vec<Appointment>,
    /// What is added to each of them.
    combined: Vec<Option<Arc<Combined>>>,
    protocol: Protocol,
    treatment: Treatment,
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
            let mut db = self.read().await?;
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
        let facts = load(write.db(), practice, &setting, &asked, now, false).await?;
        let plans = decide(facts, &setting, &asked).map_err(Error::Refused)?;

        let booked = self.replacements(&setting.moving, plans, revision, now);
        let id = setting.series.id;
        let subject = (ChangeKind::SeriesRescheduled, id.0);
        replace(&mut write, subject, setting.series.patient, &setting.moving, &booked).await?;
        series::touch(write.db(), practice, id, revision).await?;
        // As it will be read, within the same transaction.
        let moves =
            pairs(write.db(), practice, booked.into_iter().map(|(appointment, _)| appointment).collect()).await?;
        let series = found(write.db(), practice, id).await?;
        write.finish().await?;
        let series = SeriesNow { series, protocol: Arc::new(setting.protocol), now };
        Ok(Moved { series, moves })
    }

    /// Finds out, without holding the practice, when a refused move would do. The refusal stands as it was if that
    /// cannot be found out.
    async fn advise_session(
        &self,
        practice: PracticeId,
        ask: &RescheduleSession,
        following: Vec<Following>,
        refusal: Refusal,
    ) -> Refusal {
        let known = async {
            let now = self.clock.now();
            let mut db = self.read().await?;
            let setting = setting(&mut db, practice, ask, &following, now).await?;
            let asked = asked(&setting, ask, &following);
            let facts = load(&mut db, practice, &setting, &asked, now, true).await?;
            Ok::<_, Error>((facts, setting, asked))
        };
        // The request is about one session; the others are told of by their numbers and appointments.
        let (advice, moved) = match known.await {
            Ok((facts, setting, asked)) => {
                let moved = setting.moving.first().map(|moved| Other::Appointment(moved.id));
                let think = move || decide(facts, &setting, &asked).err();
                (self.advice.think(practice, think).await.ok().flatten(), moved)
            }
            Err(_) => (None, None),
        };
        let other = |other| match other {
            Other::Session(0) => moved,
            Other::Session(place) => following.get(place - 1).map(|f| Other::Appointment(f.session.id)),
            Other::Appointment(_) => Some(other),
        };
        let told = advice.unwrap_or(refusal).into_iter().map(|violation| {
            let number =
                violation.session.and_then(|place| following.get(place.checked_sub(1)?)).map(|f| f.session.number);
            let description = match number {
                Some(number) => format!("session {number}, which would have to move: {}", violation.description),
                None => violation.description,
            };
            Violation { session: None, other: violation.other.and_then(other), description, ..violation }
        });
        told.collect()
    }

    /// What an earlier request moved, as it is now.
    async fn moved(&self, practice: PracticeId, earlier: Earlier) -> Result<Moved, Error> {
        let mut db = self.read().await?;
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

/// The booked sessions of a series from a number on, in order.
fn in_order(series: &Series, from: i32) -> Vec<Appointment> {
    (from..=series.session_count).filter_map(|number| series.session(number)).cloned().collect()
}

/// The treatments that are added to visits, each once.
pub(super) fn add_ons<'a>(visits: impl Iterator<Item = &'a Appointment>) -> Vec<(TreatmentId, Option<i32>)> {
    let added = visits.filter_map(|visit| visit.add_on).map(|add_on| (add_on.treatment, Some(add_on.version)));
    let mut added: Vec<_> = added.collect();
    added.sort_unstable();
    added.dedup();
    added
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
    let before = Some((before, moved.add_on.map(AddOn::added)));
    let question = LaterSessions { area, gap, before, gone: Some(moved), from: None, later };
    question.following(look, patient)
}

/// Later sessions that keep their gaps from one before them.
pub(super) struct LaterSessions<'a> {
    pub area: BodyArea,
    pub gap: GapDays,
    /// The session before them, with the treatment that is added to it; none if they are the first.
    pub before: Option<(BookedSession, Option<(TreatmentId, i32)>)>,
    /// An appointment that is taken as gone, besides the sessions themselves.
    pub gone: Option<&'a Appointment>,
    /// The first day on which they may be; none if any will do.
    pub from: Option<NaiveDate>,
    /// The sessions, as they are booked.
    pub later: &'a [Appointment],
}

/// Sessions of one kind: plain, or with the same treatment added.
struct Kind<'a> {
    added: Option<(TreatmentId, i32)>,
    timing: Timing<'a>,
    spacing_days: i64,
}

impl LaterSessions<'_> {
    /// Those that move, and where to; nothing if they cannot all be placed.
    pub(super) fn following(&self, look: &Look, mut patient: PatientFacts) -> Option<Vec<Following>> {
        let Self { area, gap, before, gone, from, later } = self;
        let plain = &look.course.treatment;
        let combined = look.add_ons.iter().map(|course| {
            let add_on = &course.treatment;
            ((add_on.id, add_on.version), Combined::new(plain, add_on))
        });
        let combined: Vec<((TreatmentId, i32), Combined)> = combined.collect();
        let kinds = combined.iter().map(|(added, combined)| Kind {
            added: Some(*added),
            timing: Timing::new(&combined.treatment),
            spacing_days: combined.session_spacing(*gap),
        });
        let plain = Kind { added: None, timing: Timing::new(plain), spacing_days: i64::from(gap.minimum) };
        let kinds: Vec<Kind<'_>> = std::iter::once(plain).chain(kinds).collect();
        let kind_of = |added| kinds.iter().position(|kind| kind.added == added);
        let moving = |session, added| {
            let Kind { timing, spacing_days, .. } = kinds.get(kind_of(added)?)?;
            Some(Moving { session, timing, spacing_days: *spacing_days })
        };
        patient.forget(&ids(later));
        // Sessions may be put off while they are on hold; that none is brought nearer is decided session by session.
        patient.fitness.concerns.retain(|concern| concern.rule != Rule::SeriesOnHold);
        // The starts at each clinic for each kind of session that is booked there.
        let mut searches: Vec<(ClinicId, usize)> = Vec::new();
        for session in *later {
            let search = (session.clinic, kind_of(session.add_on.map(AddOn::added))?);
            if !searches.contains(&search) {
                searches.push(search);
            }
        }
        let found = searches.into_iter().map(|(clinic, kind)| {
            let Kind { timing, spacing_days, .. } = &kinds[kind];
            let board = look.boards.iter().find(|board| board.clinic == clinic)?;
            let mut board = board.cut(&(0..board.window.ticks()), &timing.needs);
            for (resource, during) in gone.iter().copied().chain(*later).flat_map(Appointment::occupied) {
                board.mark(resource, during, false);
            }
            let wanted = Wanted {
                timing,
                patient: Some(&patient),
                area: Some(*area),
                spacing_days: Some(*spacing_days),
                neighbours: None,
                follow_up: None,
                moved_from: None,
                earliest: look.now,
                latest: look.horizon_end,
                grid_minutes: GRID_MINUTES,
            };
            let starts = find(&board, &wanted);
            Some(((clinic, kind), board, starts))
        });
        let found: Vec<((ClinicId, usize), Board, Starts)> = found.collect::<Option<_>>()?;
        let before = match before {
            Some((session, added)) => Some(moving(*session, *added)?),
            None => None,
        };
        let later = later.iter().map(|appointment| {
            let added = appointment.add_on.map(AddOn::added);
            let search = (appointment.clinic, kind_of(added)?);
            let (_, board, starts) = found.iter().find(|(known, ..)| *known == search)?;
            Some(Later { moving: moving(BookedSession::of(appointment)?, added)?, board, starts })
        });
        MoveQuestion { gap: *gap, before, from: *from, later: later.collect::<Option<_>>()? }.following()
    }
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
    let rules = catalog::rules(db, practice, series.protocol, Some(series.protocol_version)).await?;
    let (protocol, treatment) = rules.ok_or_else(|| Error::not_found("series_id"))?;
    let mut combined = Vec::with_capacity(moving.len());
    for session in &moving {
        combined.push(combination::of_appointment(db, practice, &treatment, session).await?.map(Arc::new));
    }
    Ok(Setting { series, moving, combined, protocol, treatment })
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
    let combined = |place: usize| setting.combined.get(place).cloned().flatten();
    let mut asked = vec![AskedSession { place: 0, number: ask.number, request, combined: combined(0) }];
    for (place, (following, old)) in (1..).zip(following.iter().zip(setting.moving.iter().skip(1))) {
        let Following { session, start, practitioner } = *following;
        let named = practitioner.into_iter().collect();
        let moved_from = Some(old.visit.start());
        let request = SessionRequest { clinic: old.clinic, start, named, practitioner, moved_from };
        asked.push(AskedSession { place, number: session.number, request, combined: combined(place) });
    }
    asked
}

async fn load(
    db: &mut PgConnection,
    practice: PracticeId,
    setting: &Setting,
    asked: &[AskedSession],
    now: Instant,
    look_for_earliest: bool,
) -> Result<Facts, Error> {
    let visits = asked.iter().map(|AskedSession { request, .. }| Asked {
        path: String::new(),
        clinic: request.clinic,
        start: request.start,
        named: &request.named,
        practitioner: request.practitioner,
    });
    let Setting { series, protocol, treatment, moving, combined } = setting;
    let visits = visits.collect();
    let combined = combined.iter().flatten().map(|combined| &combined.treatment);
    let treatments = std::iter::once(treatment).chain(combined).collect();
    let fit_for = FitFor::Sessions(protocol, Some(series.id));
    let (patient, area) = (series.patient, Some(series.area));
    let question = Question { patient, treatments, area, visits, fit_for, look_for_earliest };
    let mut facts = facts::load(db, practice, &question, now).await?;
    facts.forget(&ids(moving));
    Ok(facts)
}

fn decide(facts: Facts, setting: &Setting, asked: &[AskedSession]) -> Result<Vec<PlannedVisit>, Refusal> {
    let Setting { series, moving, treatment, .. } = setting;
    let gone = ids(moving);
    let mut booked = series.booked();
    booked.retain(|session| !gone.contains(&session.id));
    // Who and what the session had comes first, then what the patient knows from the others.
    let own = moving.first().into_iter().flat_map(Appointment::occupied).map(|(resource, _)| resource);
    let known = own.chain(series.known()).collect();
    let (gap, gap_override) = (series.gap.days(), series.gap.override_id());
    let series = SessionsOf { gap, gap_override, treatment, area: series.area, booked, known };
    plan_sessions(facts, &series, asked)
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
