//! Sessions that may not take place before some day: those that are booked earlier move, and others that have to follow.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};

use super::following::{LaterSessions, add_ons};
use crate::app::boards::{CourseId, Sought};
use crate::app::{App, Error};
use crate::domain::appointment::Appointment;
use crate::domain::booking::{ActivityWindow, PatientFacts, PatientVisit, Spaced, SpacingWindow, Timing};
use crate::domain::catalog::BodyArea;
use crate::domain::combination::AddOn;
use crate::domain::ids::{AppointmentId, ClinicId, PracticeId, SeriesId};
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
            // Held ones stay where they are, before those that move and after them.
            let first = later.iter().filter_map(|session| session.session).map(|session| session.number).min();
            let before = series.placed().into_iter().rfind(|session| Some(session.number) < first);
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
            let combined = look.combined();
            let turnover = plain.minutes() - plain.present_minutes();
            for placed in &placed {
                placed.add_to(&mut patient, turnover);
            }
            patient.fitness.let_put_off();
            let mut refusal =
                patient.fitness.missing(later.last().and_then(|last| last.session).map(|of| of.number), look.now);
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
    windows: Vec<ActivityWindow>,
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

/// Somebody was faster than the plan.
pub(in crate::app) fn overtaken() -> Refusal {
    let text = "sessions were booked or moved at the same time; try again";
    vec![Violation::new(Rule::NoPlan, text)]
}
