//! Screening: what a patient is asked before treatment, and what the answers mean.

use chrono::{Days, Months, NaiveDate};

use super::access::Author;
use super::catalog::Evidence;
use super::ids::{PatientId, ProtocolId, ScreeningId};
use super::interval::Instant;
use super::named_enum;
use super::refusal::Rule;
use super::text::{Code, Personal, Prose};

/// Most screening rules of a protocol.
pub const MAX_SCREENING_RULES: usize = 50;
/// Longest deferral, in days or months.
pub const MAX_DEFERRAL: i32 = 1000;
/// Highest age that a rule can name, in years.
pub const MAX_AGE: i32 = 150;

/// A condition that matters for a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreeningRule {
    /// What it is about.
    pub condition: Code,
    /// How it is found out.
    pub asks: Asks,
    /// What to ask; empty where nothing is asked.
    pub question: Prose<500>,
    /// What it does to sessions.
    pub class: ConditionClass,
    /// How long it defers, from the day of the answer; none for until it is resolved.
    pub deferral: Option<Deferral>,
    /// Whether a practitioner may lift it.
    pub may_be_cleared: bool,
    /// What it means, for the staff.
    pub meaning: Prose<500>,
    /// Where it comes from.
    pub evidence: Evidence,
}

impl ScreeningRule {
    /// Whether another rule comes to the same, whatever its words.
    pub fn judges_like(&self, other: &Self) -> bool {
        let judged = |rule: &Self| (rule.asks, rule.class, rule.deferral, rule.may_be_cleared);
        self.condition == other.condition && judged(self) == judged(other)
    }
}

/// How a screening finds out about a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// A question with yes or no.
    Presence,
    /// The same with a calendar day.
    PresenceAndDate,
    /// From the Fitzpatrick skin type.
    SkinType(Range),
    /// From the age in completed years on the day of the session.
    Age(Range),
}

/// From least to most, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The lowest.
    pub least: i32,
    /// The highest.
    pub most: i32,
}

impl Range {
    /// The range, if it is one within bounds.
    pub fn new(least: i32, most: i32, lowest: i32, highest: i32) -> Option<Self> {
        (lowest <= least && least <= most && most <= highest).then_some(Self { least, most })
    }

    /// Whether it holds a value.
    pub const fn contains(self, value: i32) -> bool {
        self.least <= value && value <= self.most
    }
}

named_enum! {
    /// What a condition does to sessions.
    pub enum ConditionClass {
        /// None while it lasts.
        Block = "block",
        /// None until a day, or until it is resolved.
        Defer = "defer",
        /// A practitioner must clear it.
        Clear = "clear",
        /// A prescription is needed first.
        Premed = "premed",
    }
}

impl ConditionClass {
    /// The rule that a session breaks.
    pub const fn rule(self) -> Rule {
        match self {
            Self::Block => Rule::ConditionBlocks,
            Self::Defer => Rule::ConditionDefers,
            Self::Clear => Rule::ConditionNeedsClearance,
            Self::Premed => Rule::ConditionNeedsPremedication,
        }
    }
}

/// How long a condition defers, by the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deferral {
    /// Days.
    Days(i32),
    /// Months, to the same day of the month or the last one.
    Months(i32),
}

impl Deferral {
    /// The first day that is not deferred any more.
    pub fn until(self, from: NaiveDate) -> NaiveDate {
        let until = match self {
            Self::Days(days) => from.checked_add_days(Days::new(days.unsigned_abs().into())),
            Self::Months(months) => from.checked_add_months(Months::new(months.unsigned_abs())),
        };
        until.unwrap_or(NaiveDate::MAX)
    }
}

named_enum! {
    /// How severe stretch marks are.
    pub enum Severity {
        /// None.
        None = "none",
        /// Mild.
        Mild = "mild",
        /// Moderate.
        Moderate = "moderate",
        /// Severe.
        Severe = "severe",
    }
}

/// An answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The condition asked about.
    pub condition: Code,
    /// Whether the patient has it.
    pub present: bool,
    /// The day of it, where that is asked.
    pub date: Option<NaiveDate>,
    /// The last revision by which the patient had said no, or named an earlier day: what was decided before that was about
    /// something else. 0 if they never did, or if it is not kept yet.
    pub news: i64,
}

/// What a patient answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// To each question.
    pub given: Vec<Answer>,
    /// Fitzpatrick skin type, 1 to 6.
    pub skin_type: Option<i32>,
    /// How severe stretch marks are.
    pub stretch_marks: Option<Severity>,
    /// What the patient takes.
    pub medication: Prose<2000>,
    /// What else was said.
    pub notes: Prose<2000>,
}

/// What rules ask and answers do not say, or say in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The condition that is asked about, or should not be.
    pub condition: Code,
    /// Whether it is the date of the answer, rather than the answer.
    pub of_date: bool,
    /// What would do.
    pub remedy: &'static str,
}

impl Answers {
    /// What rules ask and these answers do not say, or say in another way.
    pub fn misfits(&self, rules: &[ScreeningRule]) -> Vec<Misfit> {
        let asked = rules.iter().filter_map(|rule| {
            let answer = self.given.iter().find(|answer| answer.condition == rule.condition);
            let (of_date, remedy) = match (rule.asks, answer) {
                (Asks::Presence | Asks::PresenceAndDate, None) => (false, "must be answered"),
                (Asks::PresenceAndDate, Some(Answer { present: true, date: None, .. })) => {
                    (true, "is required: the protocol asks for the date of what is present")
                }
                (Asks::Presence, Some(Answer { date: Some(_), .. })) => {
                    (true, "must be left out: the protocol asks for no date here")
                }
                (Asks::SkinType(_) | Asks::Age(_), Some(_)) => (false, "must be left out: it is not asked"),
                (Asks::Presence | Asks::PresenceAndDate, Some(_)) | (Asks::SkinType(_) | Asks::Age(_), None) => {
                    return None;
                }
            };
            Some(Misfit { condition: rule.condition.clone(), of_date, remedy })
        });
        let unknown = self.given.iter().filter(|answer| !rules.iter().any(|rule| rule.condition == answer.condition));
        let unknown = unknown.map(|answer| Misfit {
            condition: answer.condition.clone(),
            of_date: false,
            remedy: "must be left out: the protocol does not ask it",
        });
        asked.chain(unknown).collect()
    }
}

/// A patient's answers, as they were recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screening {
    /// Its id.
    pub id: ScreeningId,
    /// The patient.
    pub patient: PatientId,
    /// The protocol whose questions were answered.
    pub protocol: ProtocolId,
    /// Its version.
    pub protocol_version: i32,
    /// The answers.
    pub answers: Personal<Answers>,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// Who recorded it.
    pub recorded_by: Author,
}
