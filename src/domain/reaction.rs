//! Reactions to a session.

use super::catalog::Evidence;
use super::named_enum;
use super::text::{Code, Label, Prose};

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
