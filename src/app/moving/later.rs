//! Sessions that may not take place before some day: those that are booked earlier move, and others that have to follow.

use chrono::{NaiveDate, TimeDelta};

use super::ids;
use super::session::LaterSessions;
use crate::app::boards::{CourseId, Sought};
use crate::app::facts::{self, Asked, Question};
use crate::app::write::Write;
use crate::app::{App, Error, catalog};
use crate::domain::appointment::Appointment;
use crate::domain::booking::{
    AskedSession, PatientFacts, PatientVisit, PlannedVisit, SessionRequest, SessionsOf, SpacingWindow, Timing,
    plan_sessions,
};
use crate::domain::catalog::{BodyArea, GapDays};
use crate::domain::ids::{AppointmentId, ClinicId, PracticeId, SeriesId};
use crate::domain::interval::Interval;
use crate::domain::planning::Following;
use crate::domain::refusal::{Other, Refusal, Violation};
use crate::domain::series::{BookedSession, Series};

/// A series whose sessions may have to move.
#[derive(Debug, Clone)]
pub(in crate::app) struct Restart {
    /// The series, with the gap that is to count.
    pub series: Series,
    /// Whether that gap is another than the one under which its sessions are booked.
    pub is_respaced: bool,
}

/// Sessions of a series that move.
#[derive(Debug, Clone)]
pub(in crate::app) struct Shift {
    /// The series.
    pub series: SeriesId,
    /// The sessions, in order; at least one.
    pub following: Vec<Following>,
}

impl App {
    /// The sessions that would have to move, series by series, and where to; nothing if they cannot all be placed.
    pub(in crate::app) async fn shifts(
        &self,
        practice: PracticeId,
        restarts: Vec<Restart>,
        from: NaiveDate,
    ) -> Result<Option<Vec<Shift>>, Error> {
        let mut shifts = Vec::new();
        let mut placed: Vec<Placed> = Vec::new();
        for Restart { series, is_respaced } in restarts {
            let later = series.ahead(self.clock.now());
            let too_early = later.iter().any(|session| session.zone.day(session.visit.start()) < from);
            if later.is_empty() || !(too_early || is_respaced) {
                continue;
            }
            let mut clinics: Vec<(ClinicId, String)> = Vec::new();
            for session in &later {
                if !clinics.iter().any(|(known, _)| *known == session.clinic) {
                    clinics.push((session.clinic, "reaction_id".to_owned()));
                }
            }
            let sought = Sought {
                clinics: &clinics,
                course: CourseId::Protocol(series.protocol, Some(series.protocol_version)),
                course_field: "reaction_id",
                patient: Some((series.patient, "reaction_id")),
                area: Some(series.area),
            };
            let look = self.look(practice, &sought).await?;
            let mut patient = look.patient.clone().unwrap_or_default();
            let booked = series.booked();
            let before = booked.into_iter().rfind(|session| !later.iter().any(|later| later.id == session.id));
            let gap = series.gap.days();
            if let Some(before) = before.filter(|_| is_respaced) {
                patient.respace(before.id, gap.minimum);
            }
            let course = std::sync::Arc::clone(&look.course);
            let timing = Timing::new(&course.treatment);
            let turnover = timing.minutes() - timing.present_minutes();
            for other in &placed {
                other.add_to(&mut patient, turnover);
            }
            let area = series.area;
            let sessions = later.clone();
            let think = move || {
                let gone = None;
                LaterSessions { area, gap, before, gone, from: Some(from), later: &sessions }.following(&look, patient)
            };
            let Some(following) = self.planners.think(practice, think).await? else { return Ok(None) };
            placed.extend(following.iter().map(|following| Placed::new(following, &later, &timing, area, gap)));
            if !following.is_empty() {
                shifts.push(Shift { series: series.id, following });
            }
        }
        Ok(Some(shifts))
    }
}

/// A session that is planned to move, as the plans of other series have to know it.
struct Placed {
    old: AppointmentId,
    visit: Interval,
    turnover: i64,
    spacing: SpacingWindow,
    windows: Vec<crate::domain::booking::ActivityWindow>,
}

impl Placed {
    fn new(following: &Following, later: &[Appointment], timing: &Timing<'_>, area: BodyArea, gap: GapDays) -> Self {
        let Following { session, start, .. } = following;
        let zone = later.iter().find(|known| known.id == session.id).map_or(session.zone, |known| known.zone);
        let (day, other) = (zone.day(*start), Other::Appointment(session.id));
        Self {
            old: session.id,
            visit: timing.visit(*start),
            turnover: timing.minutes() - timing.present_minutes(),
            spacing: SpacingWindow { area, day, until: day + TimeDelta::days(gap.minimum.into()), other },
            windows: timing.windows(zone, *start),
        }
    }

    /// The patient is there instead of where the session was. Nothing of the turnovers overlaps, because nobody knows yet
    /// which room each of the visits gets.
    fn add_to(&self, patient: &mut PatientFacts, turnover: i64) {
        patient.forget(&[self.old]);
        let pad = TimeDelta::minutes(turnover.max(self.turnover));
        let other = Other::Appointment(self.old);
        if let Some(during) = Interval::new(self.visit.start() - pad, self.visit.end() + pad) {
            patient.visits.push(PatientVisit { during, other });
        }
        patient.spacing.push(self.spacing);
        patient.windows.extend(self.windows.iter().map(|window| (*window, other)));
    }
}

/// Decides where sessions of a series go that are cancelled already in the same write. Whoever they collide with was
/// faster; the refusal tells them by their numbers.
pub(in crate::app) async fn decide_shift(
    write: &mut Write,
    series: &Series,
    moving: &[Appointment],
    following: &[Following],
) -> Result<Result<Vec<PlannedVisit>, Refusal>, Error> {
    let (practice, now) = (write.practice, write.now);
    let rules = catalog::rules(write.db(), practice, series.protocol, Some(series.protocol_version)).await?;
    let (_, treatment) = rules.ok_or_else(|| Error::not_found("series_id"))?;
    let asked: Vec<AskedSession> = (0..)
        .zip(following.iter().zip(moving))
        .map(|(place, (following, old))| {
            let Following { session, start, practitioner } = *following;
            let named = practitioner.into_iter().collect();
            let request = SessionRequest { clinic: old.clinic, start, named, practitioner };
            AskedSession { place, number: session.number, request }
        })
        .collect();
    let visits = asked.iter().map(|AskedSession { request, .. }| Asked {
        path: String::new(),
        clinic: request.clinic,
        start: request.start,
        named: &request.named,
        practitioner: request.practitioner,
    });
    let visits = visits.collect();
    let question = Question {
        patient: series.patient,
        treatment: &treatment,
        area: Some(series.area),
        visits,
        look_for_earliest: false,
    };
    let facts = facts::load(write.db(), practice, &question, now).await?;
    let gone = ids(moving);
    let mut booked: Vec<BookedSession> = series.booked();
    booked.retain(|session| !gone.contains(&session.id));
    let sessions = SessionsOf {
        gap: series.gap.days(),
        gap_override: series.gap.override_id(),
        treatment: &treatment,
        area: series.area,
        booked,
        known: series.known(),
    };
    let told = |refusal: Refusal| {
        let told = refusal.into_iter().map(|violation| {
            let of = |place: usize| following.get(place).map(|following| following.session);
            let description = match violation.session.and_then(of) {
                Some(session) => {
                    format!("session {}, which would have to move: {}", session.number, violation.description)
                }
                None => violation.description,
            };
            let other = match violation.other {
                Some(Other::Session(place)) => of(place).map(|session| Other::Appointment(session.id)),
                other => other,
            };
            Violation { session: None, other, description, ..violation }
        });
        told.collect()
    };
    Ok(plan_sessions(facts, &sessions, &asked).map_err(told))
}
