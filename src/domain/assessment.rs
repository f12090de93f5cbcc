//! Assessments: when a protocol asks for photographs and a look at the result.

use chrono::{NaiveDate, TimeDelta};

use super::catalog::Evidence;
use super::ids::{AppointmentId, ResourceId};
use super::interval::Instant;
use super::text::{Label, Personal, Prose};

/// Most assessments of a protocol.
pub const MAX_ASSESSMENTS: usize = 8;
/// Longest time between the last session and an assessment, in days.
pub const MAX_DAYS_AFTER_LAST: i32 = 730;

/// Photographs and a look at the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// What the staff call it.
    pub name: Label,
    /// When it is due.
    pub due: AssessmentDue,
    /// Where the numbers come from.
    pub evidence: Evidence,
}

/// When an assessment is due, before anybody knows the days of the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssessmentDue {
    /// On the day of the first session at the latest.
    BeforeFirst,
    /// In the visit of the session of that number, from 1.
    AtSession(i32),
    /// Calendar days at the clinic after the last session, in ascending order; see [`AssessmentDue::after_last`].
    AfterLast {
        /// Fewest.
        minimum: i32,
        /// Aimed at.
        target: i32,
        /// Most.
        maximum: i32,
    },
}

impl AssessmentDue {
    /// That many days after the last session, if they are in order and in bounds.
    pub fn after_last(minimum: i32, target: i32, maximum: i32) -> Option<Self> {
        (0 <= minimum && minimum <= target && target <= maximum && maximum <= MAX_DAYS_AFTER_LAST)
            .then_some(Self::AfterLast { minimum, target, maximum })
    }

    /// The session of whose visit it is a part; none if it is a visit by itself.
    pub const fn session(self) -> Option<i32> {
        match self {
            Self::AtSession(number) => Some(number),
            Self::BeforeFirst | Self::AfterLast { .. } => None,
        }
    }

    /// The session that it counts from, of sessions in the order of their numbers.
    pub fn counts_from<S>(self, sessions: &[S], number_of: impl Fn(&S) -> i32) -> Option<&S> {
        match self {
            Self::BeforeFirst => sessions.first(),
            Self::AtSession(number) => sessions.iter().find(|session| number_of(session) == number),
            Self::AfterLast { .. } => sessions.last(),
        }
    }

    /// The first day, the day aimed at and the last day, if the session that it counts from is on this day. All are
    /// inclusive; where the first two are missing, any day will do that is early enough.
    pub fn days(self, session: NaiveDate) -> (Option<NaiveDate>, Option<NaiveDate>, NaiveDate) {
        let after = |days: i32| session + TimeDelta::days(i64::from(days));
        match self {
            Self::BeforeFirst => (None, None, session),
            Self::AtSession(_) => (Some(session), Some(session), session),
            Self::AfterLast { minimum, target, maximum } => (Some(after(minimum)), Some(after(target)), after(maximum)),
        }
    }
}

/// What a practitioner decided in an assessment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The series goes on as planned.
    Continue,
    /// It may have so many sessions in all.
    Extend(i32),
    /// It is completed.
    End,
}

/// What an assessment of a series came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssessmentResult {
    /// Which assessment of the protocol, from 1.
    pub number: i32,
    /// The visit in which it took place.
    pub appointment: AppointmentId,
    /// What was decided.
    pub outcome: Outcome,
    /// What was seen.
    pub notes: Personal<Prose<2000>>,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// Who assessed.
    pub recorded_by: ResourceId,
}

/// An assessment of a series whose days are known. All days are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueAssessment<'a> {
    /// Which.
    pub assessment: &'a Assessment,
    /// The session whose visit it is a part of; none if it is a visit by itself.
    pub session: Option<i32>,
    /// The first day that will do; none if any will that is early enough.
    pub from: Option<NaiveDate>,
    /// The day aimed at; none if any will that is early enough.
    pub target: Option<NaiveDate>,
    /// The last day that will do.
    pub until: Option<NaiveDate>,
}

/// When the assessments of a series are due, in the protocol's order. `days` are the calendar days of its sessions in
/// the order of their numbers. What refers to a session that the series does not have is left out.
pub fn due<'a>(assessments: &'a [Assessment], days: &[NaiveDate]) -> Vec<DueAssessment<'a>> {
    let sessions: Vec<(i32, NaiveDate)> = (1..).zip(days.iter().copied()).collect();
    let due = assessments.iter().filter_map(|assessment| {
        let (_, day) = assessment.due.counts_from(&sessions, |(number, _)| *number)?;
        let (from, target, until) = assessment.due.days(*day);
        Some(DueAssessment { assessment, session: assessment.due.session(), from, target, until: Some(until) })
    });
    due.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Grade;
    use crate::domain::text::Prose;

    fn assessment(due: AssessmentDue) -> Assessment {
        let evidence = Evidence { source: Prose::default(), grade: Grade::Own, rationale: Prose::default() };
        Assessment { name: Label::new("An assessment").unwrap(), due, evidence }
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// The session, and the first, the intended and the last day, of a single assessment.
    fn when(due_when: AssessmentDue, days: &[&str]) -> Option<(Option<i32>, [Option<NaiveDate>; 3])> {
        let days: Vec<NaiveDate> = days.iter().map(|text| day(text)).collect();
        let assessments = [assessment(due_when)];
        let found = due(&assessments, &days);
        assert!(found.iter().all(|due| *due.assessment == assessments[0]));
        found.first().map(|due| (due.session, [due.from, due.target, due.until]))
    }

    const SESSIONS: [&str; 3] = ["2026-02-02", "2026-03-02", "2026-03-30"];

    #[test]
    fn what_comes_before_the_first_session_may_still_be_done_on_its_day() {
        let found = when(AssessmentDue::BeforeFirst, &SESSIONS);
        assert_eq!(found, Some((None, [None, None, Some(day("2026-02-02"))])));
    }

    #[test]
    fn what_comes_at_a_session_is_due_on_that_day_alone() {
        let on = |text| [Some(day(text)); 3];
        assert_eq!(when(AssessmentDue::AtSession(1), &SESSIONS), Some((Some(1), on("2026-02-02"))));
        assert_eq!(when(AssessmentDue::AtSession(3), &SESSIONS), Some((Some(3), on("2026-03-30"))));
    }

    #[test]
    fn what_comes_at_a_session_that_a_series_does_not_have_is_left_out() {
        for number in [4, 12, 0, -1, i32::MIN, i32::MAX] {
            assert_eq!(when(AssessmentDue::AtSession(number), &SESSIONS), None, "session {number}");
        }
    }

    #[test]
    fn what_comes_after_the_last_session_counts_calendar_days_from_its_day() {
        let after = AssessmentDue::after_last(28, 56, 90).unwrap();
        let days = ["2026-04-27", "2026-05-25", "2026-06-28"].map(|text| Some(day(text)));
        assert_eq!(when(after, &SESSIONS), Some((None, days)));
        assert_eq!(when(after, &["2026-01-01", "2026-03-30"]), Some((None, days)), "only the last counts");
        let at_once = AssessmentDue::after_last(0, 0, 0).unwrap();
        assert_eq!(when(at_once, &SESSIONS), Some((None, [Some(day("2026-03-30")); 3])));
    }

    #[test]
    fn days_after_the_last_session_are_in_order_and_in_bounds() {
        for (minimum, target, maximum) in [(0, 0, 0), (28, 56, 90), (730, 730, 730)] {
            let due = AssessmentDue::AfterLast { minimum, target, maximum };
            assert_eq!(AssessmentDue::after_last(minimum, target, maximum), Some(due));
        }
        for (minimum, target, maximum) in [(-1, 0, 0), (57, 56, 90), (28, 91, 90), (0, 0, 731), (i32::MIN, 0, i32::MAX)]
        {
            assert_eq!(AssessmentDue::after_last(minimum, target, maximum), None, "{minimum} {target} {maximum}");
        }
    }

    #[test]
    fn assessments_keep_the_order_of_the_protocol_around_those_that_are_left_out() {
        let last = AssessmentDue::after_last(28, 56, 90).unwrap();
        let all = [last, AssessmentDue::AtSession(4), AssessmentDue::AtSession(2), AssessmentDue::BeforeFirst];
        let assessments = all.map(assessment);
        let found = |count| {
            let days: Vec<_> = SESSIONS.iter().take(count).map(|text| day(text)).collect();
            due(&assessments, &days).iter().map(|due| due.assessment.due).collect::<Vec<_>>()
        };
        assert_eq!(found(3), [all[0], all[2], all[3]]);
        assert_eq!(found(1), [all[0], all[3]]);
        assert_eq!(found(0), []);
    }
}
