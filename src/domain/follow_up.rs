//! What a series answers to beside its sessions: its assessments, a gap that has grown too long, and the sessions that
//! keep its result.

use chrono::{NaiveDate, TimeDelta};

use super::appointment::Appointment;
use super::assessment::{Assessment, AssessmentDue, AssessmentResult, Outcome};
use super::booking::FollowUp;
use super::catalog::{MaintenanceDays, ProtocolContent};
use super::ids::AppointmentId;
use super::interval::Instant;
use super::refusal::{Other, Refusal, Rule, Violation};
use super::series::{BookedSession, Series, SeriesState};

/// Where an assessment of a series stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssessmentState {
    /// It is not due yet, or nobody can say when it will be.
    Upcoming,
    /// It is due today.
    Due,
    /// The last day on which it was due has passed.
    Overdue,
    /// It has its result.
    Done,
}

/// An assessment of a series. All days are inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesAssessment<'a> {
    /// Which of the protocol, from 1.
    pub number: i32,
    /// What the protocol says of it.
    pub assessment: &'a Assessment,
    /// The first day that will do; none if any will that is early enough, or if it is not known.
    pub from: Option<NaiveDate>,
    /// The day aimed at; none likewise.
    pub target: Option<NaiveDate>,
    /// The last day that will do; none if it is not known.
    pub until: Option<NaiveDate>,
    /// Where it stands.
    pub state: AssessmentState,
    /// The visit in which it took place, or is to.
    pub appointment: Option<AppointmentId>,
    /// What it came to; more than one only where it extended the series and was due once more.
    pub results: Vec<&'a AssessmentResult>,
}

/// A series whose next session is not booked and whose longest gap has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// The day of the last session.
    pub last_session: NaiveDate,
    /// The last day on which the next session would have kept the longest gap.
    pub latest: NaiveDate,
    /// Calendar days since then.
    pub days_over: i64,
}

/// When the next maintenance session of a completed series is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintenanceDue {
    /// The first day.
    pub from: NaiveDate,
    /// The day aimed at.
    pub target: NaiveDate,
}

impl Series {
    /// Its assessments, in the protocol's order. Those of sessions that it does not have are left out; a completed series
    /// keeps what comes after its last session, a cancelled one what is done.
    pub fn assessments<'a>(&'a self, assessments: &'a [Assessment], now: Instant) -> Vec<SeriesAssessment<'a>> {
        let sessions = self.booked();
        let all = (1..).zip(assessments).filter_map(|(number, assessment)| {
            let due = assessment.due;
            let is_done = self.is_done(number, due);
            let is_wanted = match self.state {
                SeriesState::Active => due.session().is_none_or(|session| session <= self.session_count),
                SeriesState::Completed { .. } => is_after_last(due),
                SeriesState::Cancelled { .. } => false,
            };
            if !is_done && !is_wanted {
                return None;
            }
            let anchor = due.counts_from(&sessions, |session| session.number);
            let days = anchor.map(|session| (due.days(session.day), session.zone.day(now)));
            let state = match (days, due) {
                (_, _) if is_done => AssessmentState::Done,
                (Some(((from, _, until), today)), _) => {
                    if today > until {
                        AssessmentState::Overdue
                    } else if from.is_some_and(|from| today < from) {
                        AssessmentState::Upcoming
                    } else {
                        AssessmentState::Due
                    }
                }
                (None, AssessmentDue::BeforeFirst) => AssessmentState::Due,
                (None, AssessmentDue::AtSession(_) | AssessmentDue::AfterLast { .. }) => AssessmentState::Upcoming,
            };
            let days = days.map(|(days, _)| days);
            let results: Vec<&AssessmentResult> = self.results_of(number).collect();
            let done_in = results.last().filter(|_| is_done).map(|result| result.appointment);
            let visit = || self.visit_of(number, due).map(|visit| visit.id);
            Some(SeriesAssessment {
                number,
                assessment,
                from: days.and_then(|(from, _, _)| from),
                target: days.and_then(|(_, target, _)| target),
                until: days.map(|(_, _, until)| until),
                state,
                appointment: done_in.or_else(visit),
                results,
            })
        });
        all.collect()
    }

    fn results_of(&self, number: i32) -> impl Iterator<Item = &AssessmentResult> {
        self.results.iter().filter(move |result| result.number == number)
    }

    /// Whether an assessment has its result. One that follows the last session and extended the series follows the new
    /// last session too, else nobody could end the series then.
    fn is_done(&self, number: i32, due: AssessmentDue) -> bool {
        self.results_of(number).last().is_some_and(|last| !self.is_due_again(due, last))
    }

    fn is_due_again(&self, due: AssessmentDue, last: &AssessmentResult) -> bool {
        let extended = match last.outcome {
            Outcome::Extend(_) => true,
            Outcome::Continue | Outcome::End => false,
        };
        extended && is_after_last(due) && self.state == SeriesState::Active
    }

    /// The live visit in which an assessment is to take place.
    fn visit_of(&self, number: i32, due: AssessmentDue) -> Option<&Appointment> {
        match due.session() {
            Some(session) => self.session(session),
            None => self.own_visit(number).filter(|visit| self.results.iter().all(|of| of.appointment != visit.id)),
        }
    }

    /// The live appointment that was booked for an assessment, whether it had its result there or not.
    fn own_visit(&self, number: i32) -> Option<&Appointment> {
        let is_its = |visit: &&Appointment| visit.follows.is_some_and(|follows| follows.assessment == Some(number));
        self.follow_ups.iter().find(is_its)
    }

    /// Where the visit of an assessment may lie that has one of its own, leaving out an appointment that is moved.
    pub fn assessment_visit(
        &self,
        number: i32,
        due: AssessmentDue,
        moving: Option<AppointmentId>,
    ) -> Result<FollowUp, Refusal> {
        let mut refusal = self.must_want(due);
        if self.is_done(number, due) {
            refusal.push(Violation::new(Rule::AssessmentDone, "the assessment has its result already"));
        }
        if let Some(visit) = self.own_visit(number).filter(|visit| Some(visit.id) != moving) {
            let is_over = self.results.iter().any(|result| result.appointment == visit.id);
            let text = if is_over {
                "the assessment has had its visit; book the next one as a treatment by itself"
            } else {
                "the assessment is booked already; move it with AppointmentService.RescheduleAppointment"
            };
            let other = Some(Other::Appointment(visit.id));
            refusal.push(Violation { other, ..Violation::new(Rule::SessionAlreadyBooked, text) });
        }
        let sessions = self.booked();
        let anchor = due.counts_from(&sessions, |session| session.number);
        if anchor.is_none() && is_after_last(due) {
            let text = "no session of the series is booked or has taken place from which it counts";
            refusal.push(Violation::new(Rule::AssessmentNotDue, text));
        }
        if !refusal.is_empty() {
            return Err(refusal);
        }
        let days = anchor.map(|session| due.days(session.day));
        let (from, until) = days.map_or((None, None), |(from, _, until)| (from, Some(until)));
        Ok(FollowUp::Assessment { from, until })
    }

    /// What is in the way where the series does not want an assessment any more.
    fn must_want(&self, due: AssessmentDue) -> Refusal {
        let text = match self.state {
            SeriesState::Active => return Vec::new(),
            SeriesState::Completed { .. } if is_after_last(due) => return Vec::new(),
            SeriesState::Completed { .. } => "the series is completed; only what comes after it is still assessed",
            SeriesState::Cancelled { .. } => "the series is cancelled",
        };
        vec![Violation::new(Rule::SeriesNotActive, text)]
    }

    /// Whether an assessment could have taken place in a visit: its own, or that of its session; one before the first
    /// session in any visit of the patient until its day; one that is due again in any since the series was extended.
    pub fn is_visit_of(&self, number: i32, due: AssessmentDue, visit: &Appointment) -> bool {
        let is_own = visit.follows.is_some_and(|f| (f.series, f.assessment) == (self.id, Some(number)));
        let could = match due {
            AssessmentDue::AtSession(session) => {
                visit.session.is_some_and(|of| (of.series, of.number) == (self.id, session))
            }
            AssessmentDue::BeforeFirst => {
                let first = self.booked().first().map(|session| session.day);
                is_own || first.is_none_or(|first| visit.zone.day(visit.begins()) <= first)
            }
            AssessmentDue::AfterLast { .. } => match self.results_of(number).last() {
                None => is_own,
                Some(last) => visit.visit.start() > last.recorded_at,
            },
        };
        could && visit.patient == self.patient
    }

    /// Whether nothing is left to go on with: every session has begun or was left out, and no assessment but this one is
    /// without its result.
    pub fn is_at_its_end(&self, protocol: &ProtocolContent, number: i32, now: Instant) -> bool {
        let ahead = self.sessions.iter().any(|session| !session.has_begun(now));
        let others = self.assessments(&protocol.assessments, now);
        let others = others.iter().any(|other| other.number != number && other.state != AssessmentState::Done);
        !ahead && self.open(self.session_count, now).is_empty() && !others
    }

    /// The series with the result of an assessment, and the appointments of sessions that are cancelled with it.
    pub fn assess(
        mut self,
        protocol: &ProtocolContent,
        due: AssessmentDue,
        visit: &Appointment,
        result: AssessmentResult,
        revision: i64,
    ) -> Result<(Self, Vec<AppointmentId>), Refusal> {
        let now = result.recorded_at;
        let mut refusal = self.must_want(due);
        match result.outcome {
            Outcome::Continue => {}
            Outcome::Extend(_) | Outcome::End if !refusal.is_empty() => {}
            Outcome::Extend(count) => {
                refusal.extend(self.must_be_active().err().into_iter().flatten());
                refusal.extend(protocol.sessions.violation(usize::try_from(count).unwrap_or_default()));
            }
            Outcome::End => refusal.extend(self.must_be_active().err().into_iter().flatten()),
        }
        if self.is_done(result.number, due) {
            refusal.push(Violation::new(Rule::AssessmentDone, "the assessment has its result already"));
        }
        let in_the_way = if !visit.is_live() {
            Some((Rule::AppointmentNotBooked, "the appointment is cancelled"))
        } else if !visit.has_begun(now) {
            Some((Rule::AssessmentNotDue, "the visit of the assessment has not begun"))
        } else {
            None
        };
        refusal.extend(in_the_way.map(|(rule, text)| {
            let other = Some(Other::Appointment(visit.id));
            Violation { other, ..Violation::new(rule, text) }
        }));
        if !refusal.is_empty() {
            return Err(refusal);
        }
        let outcome = result.outcome;
        self.results.push(result);
        self.results.sort_by_key(|result| (result.number, result.recorded_at));
        self.changed_revision = revision;
        Ok(match outcome {
            Outcome::Continue => (self, Vec::new()),
            Outcome::Extend(count) => (Self { session_count: count, ..self }, Vec::new()),
            Outcome::End => self.complete(now, revision),
        })
    }

    /// How long the next session is overdue: none of the sessions after the last that has begun is booked, one is still
    /// to come, and the longest gap has passed.
    pub fn overdue(&self, now: Instant) -> Option<Overdue> {
        match self.state {
            SeriesState::Active => {}
            SeriesState::Completed { .. } | SeriesState::Cancelled { .. } => return None,
        }
        let last = self.booked().pop().filter(|last| last.number < self.session_count)?;
        let longest = i64::from(self.gap.days().maximum);
        last.has_lapsed(longest, now).then(|| {
            let latest = last.day + TimeDelta::days(longest);
            Overdue { last_session: last.day, latest, days_over: (last.zone.day(now) - latest).num_days() }
        })
    }

    /// Where a maintenance session may lie, leaving out an appointment that is moved.
    pub fn maintenance_visit(&self, days: MaintenanceDays, moving: Option<AppointmentId>) -> Result<FollowUp, Refusal> {
        let refuse = |rule, text: &str| Err(vec![Violation::new(rule, text)]);
        match self.state {
            SeriesState::Completed { .. } => {}
            SeriesState::Active => {
                let text = "the series is not completed; an assessment ends it (SeriesService.RecordAssessment)";
                return refuse(Rule::NotInSeriesYet, text);
            }
            SeriesState::Cancelled { .. } => return refuse(Rule::SeriesNotActive, "the series is cancelled"),
        }
        let Some(last) = self.booked().pop() else {
            return refuse(Rule::NotInSeriesYet, "no session of the series has taken place");
        };
        let kept = self.maintenance().filter(|(_, visit)| Some(visit.id) != moving);
        let kept = kept.map(|(day, visit)| (day, Other::Appointment(visit.id)));
        let others = std::iter::once((last.day, Other::Appointment(last.id))).chain(kept).collect();
        Ok(FollowUp::Maintenance { minimum_days: i64::from(days.minimum), others })
    }

    /// When the next maintenance session is due, counted from the last session of any kind.
    pub fn maintenance_due(&self, days: MaintenanceDays) -> Option<MaintenanceDue> {
        match self.state {
            SeriesState::Completed { .. } => {}
            SeriesState::Active | SeriesState::Cancelled { .. } => return None,
        }
        let last: BookedSession = self.booked().pop()?;
        let last = self.maintenance().map(|(day, _)| day).chain([last.day]).max()?;
        let after = |days: i32| last + TimeDelta::days(i64::from(days));
        Some(MaintenanceDue { from: after(days.minimum), target: after(days.target) })
    }

    /// Its live maintenance sessions, each with its day.
    fn maintenance(&self) -> impl Iterator<Item = (NaiveDate, &Appointment)> {
        let visits = self.follow_ups.iter();
        let visits = visits.filter(|visit| visit.follows.is_some_and(|follows| follows.assessment.is_none()));
        visits.map(|visit| (visit.zone.day(visit.begins()), visit))
    }
}

const fn is_after_last(due: AssessmentDue) -> bool {
    match due {
        AssessmentDue::AfterLast { .. } => true,
        AssessmentDue::BeforeFirst | AssessmentDue::AtSession(_) => false,
    }
}
