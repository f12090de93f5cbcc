//! Why a use case was not carried out.

use crate::domain::catalog::ContentError;
use crate::domain::refusal::{Refusal, Violation};
use crate::domain::text::TextError;
use crate::store::StoreError;

/// One malformed field, by its path in the request, and what would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// For example `sessions[1].start_time`.
    pub field: String,
    /// For example "must be a UUID".
    pub remedy: String,
}

impl FieldViolation {
    /// A violation of a field.
    pub fn new(field: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.into(), remedy: remedy.into() }
    }
}

/// Why a use case was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields are malformed; at least one.
    #[error("malformed fields")]
    Fields(Vec<FieldViolation>),
    /// The practice has nothing of that kind with the id in that field.
    #[error("nothing has the id in {0}")]
    NotFound(String),
    /// The etag is not the current one.
    #[error("the etag is not the current one")]
    EtagMismatch,
    /// The request id was used with another payload.
    #[error("the request id was used with another payload")]
    RequestIdReused,
    /// The page token is not one of this query.
    #[error("the page token is not one of this query")]
    PageToken,
    /// No token, or one that opens nothing.
    #[error("no token, or one that opens nothing")]
    Unauthenticated,
    /// The role may not call the method.
    #[error("the role may not call the method")]
    RoleNotAllowed,
    /// The token is bound to another practice.
    #[error("the token is bound to another practice")]
    PracticeNotAllowed,
    /// As many requests of the practice as may wait do so.
    #[error("as many requests of the practice as may wait do so")]
    Overloaded,
    /// The server, or the practice on it, has as many watches as it takes.
    #[error("as many watches as there may be")]
    TooManyWatches,
    /// Rules are broken; at least one.
    #[error("refused")]
    Refused(Refusal),
    /// The database did not do what it should.
    #[error(transparent)]
    Store(StoreError),
}

impl Error {
    /// One malformed field.
    pub fn field(field: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Fields(vec![FieldViolation::new(field, remedy)])
    }

    /// Something that the practice does not have, by the field that names it.
    pub fn not_found(field: impl Into<String>) -> Self {
        Self::NotFound(field.into())
    }

    /// Whether the same again may succeed at once.
    pub const fn is_contention(&self) -> bool {
        matches!(self, Self::Store(StoreError::Contended(_)))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(field) => Self::not_found(field),
            StoreError::Refused(rule) => {
                Self::Refused(vec![Violation::new(rule, "it collides with what is booked already")])
            }
            other => Self::Store(other),
        }
    }
}

impl From<Vec<ContentError>> for Error {
    fn from(errors: Vec<ContentError>) -> Self {
        let violations =
            errors.into_iter().map(|(field, remedy)| FieldViolation::new(format!("content.{field}"), remedy));
        Self::Fields(violations.collect())
    }
}

impl From<TextError> for FieldViolation {
    fn from(error: TextError) -> Self {
        Self::new("", error.to_string())
    }
}
