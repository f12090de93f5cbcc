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
                SeriesState::Held { .. } | SeriesState::Cancelled { .. } => false,
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
            SeriesState::Held { .. } => "the series is only held",
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
                Some(last) if self.is_due_again(due, last) => visit.visit.start() > last.recorded_at,
                Some(_) | None => is_own,
            },
        };
        could && visit.patient == self.patient
    }

    /// Whether an assessment is the last thing that is left of it: every session has begun or was left out, and no other
    /// assessment is without its result.
    pub fn ends_with(&self, protocol: &ProtocolContent, number: i32, now: Instant) -> bool {
        let is_open = protocol.assessment(number).is_some_and(|assessment| !self.is_done(number, assessment.due));
        let ahead = self.sessions.iter().any(|session| !session.has_begun(now));
        let others = self.assessments(&protocol.assessments, now);
        let others = others.iter().any(|other| other.number != number && other.state != AssessmentState::Done);
        self.is_active() && is_open && !ahead && self.open(self.session_count, now).is_empty() && !others
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
            Some((Rule::AppointmentNotBooked, "the appointment is cancelled, or nobody came"))
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
            SeriesState::Held { .. } | SeriesState::Completed { .. } | SeriesState::Cancelled { .. } => return None,
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
            SeriesState::Held { .. } | SeriesState::Active => {
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
            SeriesState::Held { .. } | SeriesState::Active | SeriesState::Cancelled { .. } => return None,
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::appointment::{AppointmentState, Follows, SessionOf};
    use crate::domain::catalog::{BodyArea, Evidence, GapDays, Grade};
    use crate::domain::ids::{ClinicId, PatientId, ProtocolId, ResourceId, SeriesId, TreatmentId};
    use crate::domain::interval::Interval;
    use crate::domain::series::SeriesGap;
    use crate::domain::text::{Label, Personal, Prose};
    use crate::domain::zone::Zone;

    const SERIES: SeriesId = SeriesId(Uuid::from_u128(1));

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn id(number: u128) -> AppointmentId {
        AppointmentId(Uuid::from_u128(number))
    }

    /// A visit at ten in the morning in Auckland, which is the evening before in UTC.
    fn visit(number: u128, date: &str, session: Option<i32>, follows: Option<Follows>) -> Appointment {
        let zone = Zone::from_name("Pacific/Auckland").unwrap();
        let start = zone.instant(day(date).and_hms_opt(10, 0, 0).unwrap());
        Appointment {
            id: id(number),
            clinic: ClinicId(Uuid::nil()),
            zone,
            patient: PatientId(Uuid::nil()),
            treatment: TreatmentId(Uuid::nil()),
            treatment_version: 1,
            session: session.map(|number| SessionOf { series: SERIES, number }),
            follows,
            add_on: None,
            area: None,
            clearance: None,
            state: AppointmentState::Booked,
            visit: Interval::new(start, start + TimeDelta::minutes(30)).unwrap(),
            phases: Vec::new(),
            changed_revision: 1,
            replaces: None,
            replaced_by: None,
            overrides: Vec::new(),
        }
    }

    /// A series with its first sessions on these days.
    fn series(session_count: i32, days: &[&str], state: SeriesState) -> Series {
        let sessions = (1..).zip(1..).zip(days).map(|((id, number), day)| visit(id, day, Some(number), None));
        Series {
            id: SERIES,
            patient: PatientId(Uuid::nil()),
            protocol: ProtocolId(Uuid::nil()),
            protocol_version: 1,
            area: BodyArea::Face,
            gap: SeriesGap { protocol: GAP, overridden: None },
            hold: None,
            session_count,
            state,
            sessions: sessions.collect(),
            follow_ups: Vec::new(),
            results: Vec::new(),
            counted_as_used: 0,
            changed_revision: 1,
        }
    }

    fn completed() -> SeriesState {
        SeriesState::Completed { at: at("2026-03-02T00:00:00Z") }
    }

    fn result(number: i32, outcome: Outcome) -> AssessmentResult {
        AssessmentResult {
            number,
            appointment: id(9),
            outcome,
            notes: Personal::new(Prose::default()),
            recorded_at: at("2026-05-01T00:00:00Z"),
            recorded_by: ResourceId(Uuid::nil()),
        }
    }

    fn assessments() -> Vec<Assessment> {
        let after = AssessmentDue::after_last(28, 56, 90).unwrap();
        let due = [AssessmentDue::BeforeFirst, AssessmentDue::AtSession(2), AssessmentDue::AtSession(4), after];
        let evidence = || Evidence { source: Prose::default(), grade: Grade::Own, rationale: Prose::default() };
        let assessment = |due| Assessment { name: Label::new("An assessment").unwrap(), due, evidence: evidence() };
        due.map(assessment).to_vec()
    }

    fn states(series: &Series, now: &str) -> Vec<(i32, AssessmentState)> {
        series.assessments(&assessments(), at(now)).iter().map(|found| (found.number, found.state)).collect()
    }

    const DAYS: [&str; 2] = ["2026-02-02", "2026-03-02"];
    const GAP: GapDays = GapDays { floor: 14, minimum: 28, target: 35, maximum: 56 };
    const MAINTENANCE: MaintenanceDays = MaintenanceDays { minimum: 90, target: 182 };

    #[test]
    fn assessments_stand_by_the_day_at_the_clinic_of_the_session_that_they_count_from() {
        use AssessmentState::{Due, Overdue, Upcoming};
        let series = series(3, &DAYS, SeriesState::Active);
        // Midnight in Auckland is 11:00 in UTC in summer.
        assert_eq!(states(&series, "2026-02-02T10:59:59Z"), [(1, Due), (2, Upcoming), (4, Upcoming)]);
        assert_eq!(states(&series, "2026-02-02T11:00:00Z"), [(1, Overdue), (2, Upcoming), (4, Upcoming)]);
        assert_eq!(states(&series, "2026-03-01T11:00:00Z"), [(1, Overdue), (2, Due), (4, Upcoming)]);
        assert_eq!(states(&series, "2026-03-29T11:00:00Z"), [(1, Overdue), (2, Overdue), (4, Due)]);
    }

    #[test]
    fn what_extended_a_series_after_its_last_session_is_due_again_until_it_ends() {
        let mut series = series(3, &DAYS, SeriesState::Active);
        series.results = vec![result(2, Outcome::Extend(4)), result(4, Outcome::Extend(5))];
        let of = |series: &Series, number| {
            let assessments = assessments();
            let found = series.assessments(&assessments, at("2026-04-01T00:00:00Z"));
            found.iter().find(|found| found.number == number).map(|found| (found.state, found.appointment))
        };
        assert_eq!(of(&series, 2), Some((AssessmentState::Done, Some(id(9)))), "at a session once is enough");
        assert_eq!(of(&series, 4), Some((AssessmentState::Due, None)));
        let due = assessments()[3].due;
        let later = visit(5, "2026-05-02", None, None);
        assert!(series.is_visit_of(4, due, &later));
        assert!(!series.is_visit_of(4, due, &visit(5, "2026-05-01", None, None)), "before it was extended");
        series.results.push(result(4, Outcome::End));
        assert_eq!(of(&series, 4), Some((AssessmentState::Done, Some(id(9)))));
        assert!(!series.is_visit_of(4, due, &later));
    }

    #[test]
    fn a_series_is_overdue_while_its_next_session_is_open_and_the_longest_gap_has_passed() {
        let overdue = |count, days: &[&str], state, now: &str| {
            series(count, days, state).overdue(at(now)).map(|overdue| (overdue.latest, overdue.days_over))
        };
        // Summer time has ended.
        let (last, first) = ("2026-04-27T11:59:59Z", "2026-04-27T12:00:00Z");
        let told = Some((day("2026-04-27"), 1));
        assert_eq!(overdue(3, &DAYS, SeriesState::Active, last), None);
        assert_eq!(overdue(3, &DAYS, SeriesState::Active, first), told);
        assert_eq!(overdue(2, &DAYS, SeriesState::Active, first), None, "nothing is open");
        assert_eq!(overdue(3, &[], SeriesState::Active, first), None, "nothing has begun");
        assert_eq!(overdue(3, &DAYS, completed(), first), None);
        let with_a_third = [DAYS[0], DAYS[1], "2026-06-01"];
        assert_eq!(overdue(4, &with_a_third, SeriesState::Active, first), None, "it goes on");
        // A neighbour binds exactly as long.
        let previous = |now| {
            let before = series(3, &DAYS, SeriesState::Active).neighbours(3, at(now)).previous;
            before.map(|before| before.binds())
        };
        assert_eq!((previous(last), previous(first)), (Some(true), Some(false)));
    }

    #[test]
    fn maintenance_counts_from_the_last_session_of_any_kind() {
        let mut kept = series(2, &DAYS, completed());
        let due = |series: &Series| series.maintenance_due(MAINTENANCE).map(|due| (due.from, due.target));
        assert_eq!(due(&kept), Some((day("2026-05-31"), day("2026-08-31"))));
        let follows = |assessment| Some(Follows { series: SERIES, assessment });
        let visits = [visit(7, "2026-06-01", None, follows(None)), visit(8, "2026-07-01", None, follows(Some(4)))];
        kept.follow_ups = visits.to_vec();
        assert_eq!(due(&kept), Some((day("2026-08-30"), day("2026-11-30"))), "an assessment is no session");
        let others = |moving| match kept.maintenance_visit(MAINTENANCE, moving) {
            Ok(FollowUp::Maintenance { minimum_days: 90, others }) => others,
            other => panic!("{other:?}"),
        };
        let (last, first) = (Other::Appointment(id(2)), Other::Appointment(id(7)));
        assert_eq!(others(None), [(day("2026-03-02"), last), (day("2026-06-01"), first)]);
        assert_eq!(others(Some(id(7))), [(day("2026-03-02"), last)]);
        let rule = |state, days: &[&str]| {
            let refused = series(2, days, state).maintenance_visit(MAINTENANCE, None).unwrap_err();
            refused.iter().map(|violation| violation.rule).collect::<Vec<_>>()
        };
        assert_eq!(rule(SeriesState::Active, &DAYS), [Rule::NotInSeriesYet]);
        assert_eq!(rule(completed(), &[]), [Rule::NotInSeriesYet]);
    }
}
