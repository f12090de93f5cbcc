//! Sessions that may not take place before some day: those that are booked earlier move, and others that have to follow.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};

use super::ids;
use super::session::{LaterSessions, add_ons};
use crate::app::boards::{CourseId, Sought};
use crate::app::facts::{self, Asked, Question};
use crate::app::fitness::FitFor;
use crate::app::write::Write;
use crate::app::{App, Error, catalog, combination};
use crate::domain::appointment::Appointment;
use crate::domain::booking::{
    AskedSession, PatientFacts, PatientVisit, PlannedVisit, SessionRequest, SessionsOf, Spaced, SpacingWindow, Timing,
    plan_sessions,
};
use crate::domain::catalog::BodyArea;
use crate::domain::combination::{AddOn, Combined};
use crate::domain::ids::{AppointmentId, ClinicId, PracticeId, SeriesId, TreatmentId};
use crate::domain::interval::Interval;
use crate::domain::planning::Following;
use crate::domain::refusal::{Other, Refusal, Rule, Violation};
use crate::domain::series::{BookedSession, Series};

/// A series whose sessions may have to move.
#[derive(Debug, Clone)]
pub(in crate::app) struct Restart {
    /// The series, with the gap that is to count.
    pub series: Series,
    /// Whether its last session keeps others away in another way than it is stored: by another gap, or from another day.
    pub is_respaced: bool,
}

/// What later sessions move for, as a refusal names it.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Cause {
    /// The field of the request that leads to the series.
    pub field: &'static str,
    /// What to tell, with a remedy, where the sessions cannot all be placed.
    pub no_plan: &'static str,
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
    /// The sessions that would have to move, series by series, and where to. Where they cannot all be placed, the
    /// refusal also names what has to be settled before any session can be booked.
    pub(in crate::app) async fn shifts(
        &self,
        practice: PracticeId,
        restarts: Vec<Restart>,
        from: NaiveDate,
        Cause { field, no_plan }: Cause,
    ) -> Result<Vec<Shift>, Error> {
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
                    clinics.push((session.clinic, field.to_owned()));
                }
            }
            let sought = Sought {
                clinics: &clinics,
                course: CourseId::Protocol(series.protocol, Some(series.protocol_version)),
                course_field: field,
                add_ons: &add_ons(later.iter()),
                patient: Some((series.patient, field)),
                area: Some(series.area),
                series: Some(series.id),
            };
            let look = self.look(practice, &sought).await?;
            let mut patient = look.patient.clone().unwrap_or_default();
            let booked = series.booked();
            let before = booked.into_iter().rfind(|session| !later.iter().any(|later| later.id == session.id));
            let gap = series.gap.days();
            if let Some(before) = before.filter(|_| is_respaced) {
                // Its gap and what it forbids are looked at as they are to be.
                patient.forget(&[before.id]);
            }
            let added = |session: &BookedSession| {
                series.sessions.iter().find(|known| known.id == session.id)?.add_on.map(AddOn::added)
            };
            let before = before.map(|session| (session, added(&session)));
            let course = Arc::clone(&look.course);
            let plain = Timing::new(&course.treatment);
            let combined: Vec<((TreatmentId, i32), Combined)> = look
                .add_ons
                .iter()
                .map(|add_on| (add_on.treatment.id, add_on.treatment.version, &add_on.treatment))
                .map(|(id, version, add_on)| ((id, version), Combined::new(&course.treatment, add_on)))
                .collect();
            let turnover = plain.minutes() - plain.present_minutes();
            for placed in &placed {
                placed.add_to(&mut patient, turnover);
            }
            // Sessions may be put off while they are on hold.
            patient.fitness.concerns.retain(|concern| concern.rule != Rule::SeriesOnHold);
            let mut refusal = patient.fitness.missing(later.last().and_then(|last| last.session).map(|of| of.number));
            refusal.push(Violation::new(Rule::NoPlan, no_plan));
            let area = series.area;
            let sessions = later.clone();
            let think = move || {
                let gone = None;
                LaterSessions { area, gap, before, gone, from: Some(from), later: &sessions }.following(&look, patient)
            };
            let following = self.planners.think(practice, think).await?.ok_or(Error::Refused(refusal))?;
            placed.extend(following.iter().map(|following| {
                let added = added(&following.session);
                let combined = combined.iter().find(|(known, _)| Some(*known) == added).map(|(_, combined)| combined);
                let timing = combined.map(|combined| Timing::new(&combined.treatment));
                let days = combined.map_or(i64::from(gap.minimum), |combined| combined.session_spacing(gap));
                Placed::new(following, &later, timing.as_ref().unwrap_or(&plain), (area, days))
            }));
            if !following.is_empty() {
                shifts.push(Shift { series: series.id, following });
            }
        }
        Ok(shifts)
    }
}

/// A session that is planned to move, as the plans of other series have to know it.
struct Placed {
    old: AppointmentId,
    visit: Interval,
    turnover: i64,
    spacing: Vec<SpacingWindow>,
    windows: Vec<crate::domain::booking::ActivityWindow>,
}

impl Placed {
    /// A session that moves, of a series of that area, after which it may not be needled for that many calendar days.
    fn new(following: &Following, later: &[Appointment], timing: &Timing<'_>, (area, days): (BodyArea, i64)) -> Self {
        let Following { session, start, .. } = following;
        let zone = later.iter().find(|known| known.id == session.id).map_or(session.zone, |known| known.zone);
        let other = Other::Appointment(session.id);
        let spacing = timing.needling(zone, area, days, *start).into_iter();
        Self {
            old: session.id,
            visit: timing.visit(*start),
            turnover: timing.minutes() - timing.present_minutes(),
            spacing: spacing.map(|Spaced { scope, day, until }| SpacingWindow { scope, day, until, other }).collect(),
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
        patient.spacing.extend(&self.spacing);
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
    let (protocol, treatment) = rules.ok_or_else(|| Error::not_found("series_id"))?;
    let mut combined = Vec::with_capacity(moving.len());
    for session in moving {
        combined.push(combination::of_appointment(write.db(), practice, &treatment, session).await?.map(Arc::new));
    }
    let asked: Vec<AskedSession> = (0..)
        .zip(following.iter().zip(moving).zip(&combined))
        .map(|(place, ((following, old), combined))| {
            let Following { session, start, practitioner } = *following;
            let named = practitioner.into_iter().collect();
            let moved_from = Some(old.visit.start());
            let request = SessionRequest { clinic: old.clinic, start, named, practitioner, moved_from };
            AskedSession { place, number: session.number, request, combined: combined.clone() }
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
        treatments: std::iter::once(&treatment)
            .chain(combined.iter().flatten().map(|combined| &combined.treatment))
            .collect(),
        area: Some(series.area),
        visits,
        fit_for: FitFor::Sessions(&protocol, Some(series.id)),
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

/// Somebody was faster than the plan.
pub(in crate::app) fn overtaken() -> Refusal {
    let text = "sessions were booked or moved at the same time; try again";
    vec![Violation::new(Rule::NoPlan, text)]
}
