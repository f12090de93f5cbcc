//! Assessments: when a protocol asks for photographs and a look at the result.

use chrono::{NaiveDate, TimeDelta};

use super::catalog::Evidence;
use super::text::Label;

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
    assessments
        .iter()
        .filter_map(|assessment| {
            let (session, from, target, until) = match assessment.due {
                AssessmentDue::BeforeFirst => (None, None, None, *days.first()?),
                AssessmentDue::AtSession(number) => {
                    let place = usize::try_from(number).ok()?.checked_sub(1)?;
                    let day = *days.get(place)?;
                    (Some(number), Some(day), Some(day), day)
                }
                AssessmentDue::AfterLast { minimum, target, maximum } => {
                    let last = *days.last()?;
                    let after = |days: i32| last + TimeDelta::days(i64::from(days));
                    (None, Some(after(minimum)), Some(after(target)), after(maximum))
                }
            };
            Some(DueAssessment { assessment, session, from, target, until: Some(until) })
        })
        .collect()
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
