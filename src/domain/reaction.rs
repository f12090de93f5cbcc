//! Reactions to a session.

use chrono::NaiveDate;

use super::access::Author;
use super::catalog::Evidence;
use super::ids::{AppointmentId, PatientId, ReactionId, ResourceId, SeriesId};
use super::interval::Instant;
use super::named_enum;
use super::refusal::{Refusal, Rule, Violation};
use super::text::{Code, Label, Personal, Prose};

/// Most reaction rules of a protocol.
pub const MAX_REACTION_RULES: usize = 50;

named_enum! {
    /// How grave a reaction is.
    pub enum ReactionGrade {
        /// Expected, and gone in days.
        Normal = "normal",
        /// A practitioner has to look at it.
        Warning = "warning",
        /// Harm.
        Serious = "serious",
    }
}

impl ReactionGrade {
    /// Whether it puts the patient's series on hold.
    pub const fn holds(self) -> bool {
        match self {
            Self::Normal => false,
            Self::Warning | Self::Serious => true,
        }
    }
}

/// A reaction that can be reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionRule {
    /// Which.
    pub kind: Code,
    /// What the staff call it.
    pub name: Label,
    /// How grave it is at least.
    pub grade: ReactionGrade,
    /// The condition that the patient counts as having from then on.
    pub counts_as: Option<Code>,
    /// What to do.
    pub instruction: Prose<2000>,
    /// Where the rule comes from.
    pub evidence: Evidence,
}

/// How a patient reacted to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// Its id.
    pub id: ReactionId,
    /// Who.
    pub patient: PatientId,
    /// The session.
    pub appointment: AppointmentId,
    /// Whether the patient was checked in for it: whoever reports may be faster than the desk.
    pub attended: bool,
    /// The series that the session is of.
    pub series: SeriesId,
    /// Which reaction.
    pub kind: Personal<Code>,
    /// How grave it is.
    pub grade: ReactionGrade,
    /// When it began.
    pub onset: Personal<Instant>,
    /// What was seen or told.
    pub description: Personal<Prose<2000>>,
    /// When it was reported.
    pub reported_at: Instant,
    /// Who reported it.
    pub reported_by: Author,
    /// Who cleared it, and from when on; none while it is not cleared.
    pub cleared: Option<Cleared>,
}

/// A practitioner's decision that a patient may be treated again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// When it was decided.
    pub at: Instant,
    /// Who decided.
    pub by: ResourceId,
    /// The first day on which the patient may be treated again.
    pub earliest: NaiveDate,
    /// May be empty.
    pub notes: Personal<Prose<2000>>,
}

impl Reaction {
    /// Whether it holds the patient's series.
    pub const fn holds(&self) -> bool {
        self.grade.holds() && self.cleared.is_none()
    }

    /// A refusal unless it holds something that could be cleared.
    pub fn must_hold(&self) -> Result<(), Refusal> {
        let text = match (self.holds(), &self.cleared) {
            (true, _) => return Ok(()),
            (false, Some(_)) => "the reaction has been cleared already",
            (false, None) => "the reaction is of grade normal and holds nothing",
        };
        Err(vec![Violation::new(Rule::AlreadyCleared, text)])
    }
}

/// What a patient's reactions mean for their sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The reactions that hold the patient's series, and when each was reported; the earliest first.
    pub holding: Vec<(ReactionId, Instant)>,
    /// Those that were cleared: when each was reported, and the first day on which the patient may be treated.
    pub cleared: Vec<(Instant, NaiveDate)>,
}

impl Standing {
    /// The first day on which the patient may be treated; none if no reaction was cleared.
    pub fn earliest(&self) -> Option<NaiveDate> {
        self.cleared.iter().map(|(_, earliest)| *earliest).max()
    }
}
