//! Booking a series, whole, and continuing one: the sessions that are not booked, all of them.

use std::sync::Arc;

use super::advice::LookAhead;
use super::commands::{BookSeries, ExtendSeries, ProposeSeries, SeriesOf, WhichSessions};
use super::facts::{self, Asked, Question};
use super::fitness::FitFor;
use super::series::SeriesNow;
use super::write::{Begun, Write};
use super::{App, Command, Error};
use crate::domain::access::Caller;
use crate::domain::appointment::{Appointment, SessionOf};
use crate::domain::booking::{AskedSession, Facts, PlannedVisit, SessionRequest, SessionsOf, plan_sessions};
use crate::domain::catalog::{BodyArea, Protocol, Treatment};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, ClinicId, PatientId, PracticeId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::planning::{NoPlan, Plan, PlanKind, PlannedSession};
use crate::domain::refusal::{Refusal, Rule, Violation};
use crate::domain::series::{Series, SeriesGap, SeriesState};
use crate::store::{PgConnection, appointment, practice, series};

/// How often a best plan is made, when what it needs is taken before it is booked.
pub(super) const MAX_PLANNINGS: u32 = 4;

/// Sessions to book, worked out.
#[derive(Debug, Clone)]
struct Booking {
    of: SeriesOf,
    /// The revision that last changed the series, where the caller says so.
    etag: Option<i64>,
    /// How many sessions the series is to have; none for as many as are booked then.
    count: Option<i32>,
    sessions: Asks,
    /// For how many minutes they are only held; none to book them.
    hold_minutes: Option<i32>,
    /// Where the request has the sessions, for errors about ids.
    path: &'static str,
}

#[derive(Debug, Clone)]
enum Asks {
    /// These, for the sessions that are not booked.
    InOrder(Vec<SessionRequest>),
    /// Those of a plan, made under a version of the protocol, around these that are booked.
    Planned { protocol_version: i32, booked: Vec<(i32, Option<AppointmentId>)>, sessions: Vec<AskedSession> },
}

impl Booking {
    /// The sessions of a series that are not booked, whichever they are.
    const fn of(of: SeriesOf) -> Self {
        Self { of, etag: None, count: None, sessions: Asks::InOrder(Vec::new()), hold_minutes: None, path: "" }
    }
}

/// What a booking refers to.
struct Setting {
    series: Option<Series>,
    patient: PatientId,
    area: BodyArea,
    protocol: Protocol,
    treatment: Treatment,
}

impl App {
    /// Books a series, or the rest of one; or holds a new one.
    pub async fn book_series(&self, caller: &Caller, command: &Command<BookSeries>) -> Result<SeriesNow, Error> {
        let BookSeries { of, sessions, hold_minutes } = &command.body;
        let whole = Booking { hold_minutes: *hold_minutes, ..Booking::of(*of) };
        self.book_sessions(caller, command, &whole, sessions).await
    }

    /// Extends a series.
    pub async fn extend_series(&self, caller: &Caller, command: &Command<ExtendSeries>) -> Result<SeriesNow, Error> {
        let ExtendSeries { id, etag, session_count, sessions } = &command.body;
        let longer =
            Booking { etag: Some(*etag), count: Some(*session_count), ..Booking::of(SeriesOf::Continued(*id)) };
        self.book_sessions(caller, command, &longer, sessions).await
    }

    async fn book_sessions<T>(
        &self,
        caller: &Caller,
        command: &Command<T>,
        what: &Booking,
        sessions: &WhichSessions,
    ) -> Result<SeriesNow, Error> {
        let booking = |sessions, path| Booking { sessions, path, ..what.clone() };
        let (clinic, wishes) = match sessions {
            WhichSessions::Given(sessions) => {
                let given = Asks::InOrder(sessions.clone());
                return self.book_or_advise(caller, command.with(booking(given, "sessions"))).await;
            }
            WhichSessions::Planned(plan) => {
                let planned = Asks::Planned {
                    protocol_version: plan.protocol_version,
                    booked: plan.booked.clone(),
                    sessions: plan.sessions.clone(),
                };
                let booked = self.book_or_advise(caller, command.with(booking(planned, "plan.sessions"))).await;
                return booked.map_err(of_plan);
            }
            WhichSessions::Best { clinic, wishes } => (*clinic, wishes),
        };
        let practice = Self::tenant(caller, command.practice)?;
        if let Some(earlier) = self.repeated(practice, command).await? {
            return self.series(practice, SeriesId(earlier.subject)).await;
        }
        // What planning cannot mend is told before it.
        let known = setting(&mut *self.read_current(practice).await?, practice, what).await?;
        must_grow(what, &known)?;
        let ask = ProposeSeries { of: what.of, clinic, wishes: wishes.clone(), plans: 1 };
        let mut plannings = 1;
        loop {
            let (best, version) = match self.best(practice, &ask).await {
                Ok(best) => best,
                // The same request may have been carried out meanwhile, and have taken the last places.
                Err(error) => match self.repeated(practice, command).await? {
                    Some(earlier) => return self.series(practice, SeriesId(earlier.subject)).await,
                    None => return Err(error),
                },
            };
            let planned = command.with(booking(planned(&best, clinic, version), ""));
            match self.retry(|| self.try_book(caller, &planned)).await {
                // Somebody else was faster: what is left now?
                Err(Error::Refused(_)) if plannings < MAX_PLANNINGS => plannings += 1,
                done => return done,
            }
        }
    }

    /// The best plan, and the version of the protocol that it keeps to.
    async fn best(&self, practice: PracticeId, ask: &ProposeSeries) -> Result<(Plan, i32), Error> {
        let proposal = self.propose(practice, ask.clone()).await?;
        if !proposal.missing.is_empty() {
            // No other plan would do either.
            return Err(Error::Refused(proposal.missing));
        }
        let version = proposal.course.protocol.as_ref().map_or(0, |protocol| protocol.version);
        let best = proposal.plans.map_err(no_plan)?.into_iter().find(|plan| plan.kind == PlanKind::Best);
        let best = best.unwrap_or_else(|| unreachable!("among plans is the best one"));
        Ok((best, version))
    }

    async fn book_or_advise(&self, caller: &Caller, command: Command<Booking>) -> Result<SeriesNow, Error> {
        match self.retry(|| self.try_book(caller, &command)).await {
            Err(Error::Refused(refusal)) => Err(Error::Refused(self.advise_booking(caller, command, refusal).await)),
            done => done,
        }
    }

    async fn try_book(&self, caller: &Caller, command: &Command<Booking>) -> Result<SeriesNow, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.series(practice, SeriesId(earlier.subject)).await,
        };
        let now = write.now;
        let booking = &command.body;
        let setting = setting(write.db(), practice, booking).await?;
        let asked = asked(booking, &setting, now)?;
        let facts = load(write.db(), practice, booking, &setting, &asked, now, None).await?;
        let plans = decide(facts, &setting, booking, &asked).map_err(Error::Refused)?;
        self.record(write, setting, booking.hold_minutes, &asked, plans).await
    }

    /// Writes what was decided.
    async fn record(
        &self,
        mut write: Box<Write>,
        setting: Setting,
        hold_minutes: Option<i32>,
        asked: &[AskedSession],
        plans: Vec<PlannedVisit>,
    ) -> Result<SeriesNow, Error> {
        let (now, revision, practice) = (write.now, write.revision, write.practice);
        let is_new = setting.series.is_none();
        let kind = match hold_minutes {
            _ if !is_new => ChangeKind::SeriesContinued,
            None => ChangeKind::SeriesBooked,
            Some(_) => ChangeKind::SeriesHeld,
        };
        let mut after = match setting.series {
            Some(series) => series,
            None => new_series(SeriesId(self.ids.new_id(now)), &setting),
        };
        let had = after.sessions.len();
        after.sessions.extend(asked.iter().zip(&plans).map(|(asked, plan)| {
            let session = Some(SessionOf { series: after.id, number: asked.number });
            let id = AppointmentId(self.ids.new_id(now));
            Appointment::book(id, after.patient, session, None, plan, revision)
        }));
        if let Some(minutes) = hold_minutes {
            let rules = practice::booking_rules(write.db(), practice).await?;
            after = after.held_for(minutes.min(rules.max_hold_minutes), rules.latest_hold(now), now);
        }
        let booked: Vec<(Appointment, PlannedVisit)> = after.sessions.iter().skip(had).cloned().zip(plans).collect();
        after.sessions.sort_by_key(|session| (session.visit.start(), session.id));
        let last = after.placed().last().map_or(0, |session| session.number);
        after.session_count = after.session_count.max(last);
        after.changed_revision = revision;

        let ids = booked.iter().map(|(appointment, _)| appointment.id).collect();
        write.record(kind, after.id, Some(after.patient), ids).await?;
        if is_new {
            series::insert(write.db(), practice, &after, now).await?;
        } else {
            series::resize(write.db(), practice, after.id, after.session_count, revision).await?;
        }
        appointment::insert(write.db(), practice, &booked, now).await?;
        write.finish().await?;
        Ok(SeriesNow { series: after, protocol: Arc::new(setting.protocol), now })
    }

    async fn advise_booking(&self, caller: &Caller, command: Command<Booking>, refusal: Refusal) -> Refusal {
        let Ok(practice) = Self::tenant(caller, command.practice) else { return refusal };
        let booking = Arc::new(command.body);
        self.advice(practice, refusal, |mut db, ahead| {
            let booking = Arc::clone(&booking);
            async move {
                let setting = setting(&mut db, practice, &booking).await?;
                let now = self.clock.now();
                let asked = asked(&booking, &setting, now)?;
                let facts = load(&mut db, practice, &booking, &setting, &asked, now, Some(&ahead)).await?;
                Ok(move || decide(facts, &setting, &booking, &asked).err())
            }
        })
        .await
    }
}

/// The sessions of a plan that are to be booked.
fn planned(plan: &Plan, clinic: ClinicId, protocol_version: i32) -> Asks {
    let open = plan.sessions.iter().enumerate().filter(|(_, session)| session.booked.is_none());
    let sessions = open.map(|(place, session)| {
        let request = request_of(session, clinic);
        AskedSession { place, number: session.number, request, combined: None }
    });
    let booked = plan.sessions.iter().map(|session| (session.number, session.booked));
    Asks::Planned { protocol_version, booked: booked.collect(), sessions: sessions.collect() }
}

fn request_of(session: &PlannedSession, clinic: ClinicId) -> SessionRequest {
    let practitioner = session.practitioner;
    let named = practitioner.into_iter().collect();
    SessionRequest { clinic, start: session.start, named, practitioner, moved_from: None }
}

/// There is no plan, and why.
fn no_plan(why: NoPlan) -> Error {
    let helps = why.relaxations.iter().map(|relaxation| relaxation.description.as_str());
    let hints = helps.collect::<Vec<_>>().join("; ");
    let text = if hints.is_empty() { "there is no plan".to_owned() } else { format!("there is no plan; {hints}") };
    let mut refusal = vec![Violation::new(Rule::NoPlan, text)];
    refusal.extend(why.obstacles);
    Error::Refused(refusal)
}

fn new_series(id: SeriesId, setting: &Setting) -> Series {
    Series {
        id,
        patient: setting.patient,
        protocol: setting.protocol.id,
        protocol_version: setting.protocol.version,
        area: setting.area,
        gap: SeriesGap { protocol: setting.protocol.content.gap, overridden: None },
        hold: None,
        session_count: 0,
        state: SeriesState::Active,
        sessions: Vec::new(),
        follow_ups: Vec::new(),
        results: Vec::new(),
        counted_as_used: 0,
        changed_revision: 0,
    }
}

/// What a booking refers to: a new series goes by the highest version of its protocol, others by theirs.
async fn setting(db: &mut PgConnection, practice: PracticeId, booking: &Booking) -> Result<Setting, Error> {
    let (series, patient, area, protocol, version, field) = match booking.of {
        SeriesOf::New { patient, protocol, area } => (None, patient, area, protocol, None, "protocol_id"),
        SeriesOf::Continued(id) => {
            let series = super::series::found(db, practice, id).await?;
            if booking.etag.is_some_and(|etag| etag != series.changed_revision) {
                return Err(Error::EtagMismatch);
            }
            series.must_be_active().map_err(Error::Refused)?;
            let Series { patient, area, protocol, protocol_version, .. } = series;
            (Some(series), patient, area, protocol, Some(protocol_version), "series_id")
        }
    };
    let rules = super::catalog::rules(db, practice, protocol, version).await?;
    let (protocol, treatment) = rules.ok_or_else(|| Error::not_found(field))?;
    Ok(Setting { series, patient, area, protocol, treatment })
}

/// The sessions that are asked for, by number: exactly those that are not booked.
fn asked(booking: &Booking, setting: &Setting, now: Instant) -> Result<Vec<AskedSession>, Error> {
    must_grow(booking, setting)?;
    let open = |count: i32| match &setting.series {
        Some(series) => series.open(count, now),
        None => (1..=count).collect(),
    };
    let asked = match &booking.sessions {
        Asks::InOrder(sessions) => {
            let open = open(booking.count.unwrap_or(i32::try_from(sessions.len()).unwrap_or(i32::MAX)));
            if open.len() != sessions.len() {
                let remedy = format!("must be {}, one for each session that is not booked", open.len());
                return Err(Error::field("sessions", remedy));
            }
            let asked = sessions.iter().zip(open).enumerate();
            let asked = asked.map(|(place, (request, number))| AskedSession {
                place,
                number,
                request: request.clone(),
                combined: None,
            });
            asked.collect::<Vec<_>>()
        }
        Asks::Planned { protocol_version, booked, sessions } => {
            let has = setting.series.as_ref().map_or(0, |series| series.session_count);
            let count = booked.last().map_or(0, |(number, _)| *number).max(has);
            // All that is booked, and all that is open: nothing more, nothing less.
            let held = setting.series.as_ref().map(Series::booked).unwrap_or_default().into_iter();
            let held = held.map(|session| (session.number, Some(session.id)));
            let mut stands: Vec<_> = held.chain(open(count).into_iter().map(|number| (number, None))).collect();
            stands.sort_unstable_by_key(|(number, _)| *number);
            if *protocol_version != setting.protocol.version || stands != *booked {
                let text = "the plan was made under another version of the protocol or another state of the series; \
                            propose anew";
                return Err(Error::Refused(vec![Violation::new(Rule::PlanOutdated, text)]));
            }
            sessions.clone()
        }
    };
    if asked.is_empty() {
        let text = "every session of the series is booked already";
        return Err(Error::Refused(vec![Violation::new(Rule::SessionAlreadyBooked, text)]));
    }
    Ok(asked)
}

/// Whether a series that is extended gets more sessions.
fn must_grow(booking: &Booking, setting: &Setting) -> Result<(), Error> {
    let has = setting.series.as_ref().map_or(0, |series| series.session_count);
    if booking.count.is_some_and(|count| count <= has) {
        let remedy = format!("must be more than {has}, the sessions of the series");
        return Err(Error::field("session_count", remedy));
    }
    Ok(())
}

async fn load(
    db: &mut PgConnection,
    practice: PracticeId,
    booking: &Booking,
    setting: &Setting,
    asked: &[AskedSession],
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<Facts, Error> {
    let visits = asked.iter().map(|AskedSession { place, request, .. }| {
        Asked::of(request, if booking.path.is_empty() { String::new() } else { format!("{}[{place}].", booking.path) })
    });
    let Setting { patient, treatment, area, .. } = setting;
    let visits = visits.collect();
    let fit_for = FitFor::Sessions(&setting.protocol, setting.series.as_ref().map(|series| series.id));
    let (patient, area, treatments) = (*patient, Some(*area), vec![treatment]);
    let question = Question { patient, treatments, area, visits, fit_for, ahead };
    facts::load(db, practice, &question, now).await
}

/// What a plan refers to is named in it; it has one clinic for all its sessions.
fn of_plan(error: Error) -> Error {
    match error {
        Error::NotFound(field) if field.ends_with(".clinic_id") => Error::not_found("plan.clinic_id"),
        Error::NotFound(field) if matches!(field.as_str(), "patient_id" | "protocol_id" | "series_id") => {
            Error::not_found(format!("plan.{field}"))
        }
        error => error,
    }
}

fn decide(
    facts: Facts,
    setting: &Setting,
    booking: &Booking,
    asked: &[AskedSession],
) -> Result<Vec<PlannedVisit>, Refusal> {
    let series = SessionsOf {
        gap: setting.series.as_ref().map_or(setting.protocol.content.gap, |series| series.gap.days()),
        gap_override: setting.series.as_ref().and_then(|series| series.gap.override_id()),
        treatment: &setting.treatment,
        area: setting.area,
        booked: setting.series.as_ref().map(Series::booked).unwrap_or_default(),
        known: setting.series.as_ref().map(Series::known).unwrap_or_default(),
    };
    let count = match &booking.sessions {
        Asks::InOrder(sessions) => {
            booking.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(sessions.len())
        }
        Asks::Planned { booked, .. } => {
            let last = booked.last().map_or(0, |(number, _)| *number);
            usize::try_from(last).unwrap_or_default()
        }
    };
    let planned = plan_sessions(facts, &series, asked);
    match setting.protocol.content.sessions.violation(count) {
        None => planned,
        Some(violation) => Err(std::iter::once(violation).chain(planned.err().into_iter().flatten()).collect()),
    }
}
