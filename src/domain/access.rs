//! Who calls, and what they may do.

use super::ids::{PracticeId, ResourceId, TokenId};
use super::interval::Instant;
use super::named_enum;
use super::text::Label;

named_enum! {
    /// What the bearer of a token may do.
    pub enum Role {
        /// Runs the deployment.
        Operator = "operator",
        /// Runs a practice.
        Manager = "manager",
        /// Treats patients.
        Practitioner = "practitioner",
        /// Registers patients, books and cancels.
        FrontDesk = "front_desk",
        /// Reads only.
        ReadOnly = "read_only",
    }
}

/// A bearer token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The practice that it opens; the deployment for operators.
    pub practice: PracticeId,
    /// Who or what uses it.
    pub label: Label,
    /// What its bearer may do.
    pub role: Role,
    /// Whose token it is; for the role practitioner only.
    pub practitioner: Option<ResourceId>,
    /// When it was made.
    pub created_at: Instant,
    /// Since when it opens nothing.
    pub revoked_at: Option<Instant>,
}

/// Somebody who was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The practice of their token; the deployment for operators.
    pub practice: PracticeId,
    /// Their token; none for the command line of the server's own machine.
    pub token: Option<TokenId>,
    /// Their role.
    pub role: Role,
    /// Who they are, if they are a practitioner.
    pub practitioner: Option<ResourceId>,
}

/// Who recorded something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Author {
    /// Their token; none for the command line of the server's own machine.
    pub token: Option<TokenId>,
    /// Their role.
    pub role: Role,
}

impl Caller {
    /// As who they record what they say.
    pub const fn author(&self) -> Author {
        Author { token: self.token, role: self.role }
    }

    /// The command line of the server's own machine, or the server by itself.
    pub const COMMAND_LINE: Self =
        Self { practice: PracticeId::DEPLOYMENT, token: None, role: Role::Operator, practitioner: None };
}
