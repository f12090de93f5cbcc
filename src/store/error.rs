//! What can go wrong between the server and its database, as far as the difference matters to anybody.

use sqlx::postgres::PgDatabaseError;

use super::constraint::{self, Meaning};
use crate::domain::refusal::Rule;

/// A statement that did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint holds a rule that the request breaks.
    #[error("refused by the database: {0:?}")]
    Refused(Rule),
    /// The request names something that does not exist.
    #[error("nothing is there for {0}")]
    Missing(&'static str),
    /// Another transaction was in the way; the same again may succeed.
    #[error("contended")]
    Contended(#[source] sqlx::Error),
    /// The database cannot be reached, or not in time.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// Others got connections, but for longer than a request waits none became free for it.
    #[error("no database connection became free")]
    Exhausted,
    /// What is stored makes no sense to this server.
    #[error("stored value is not understood: {0}")]
    Corrupt(&'static str),
    /// A write touched another number of rows than it had to.
    #[error("{statement} touched {rows} rows instead of {expected}")]
    Rows {
        /// Which write.
        statement: &'static str,
        /// The rows that it had to touch.
        expected: u64,
        /// The rows that it touched.
        rows: u64,
    },
    /// Anything else: a fault of this server.
    #[error("the database refused a statement")]
    Fault(#[source] sqlx::Error),
}

/// SQLSTATE of a serialization failure.
const SERIALIZATION_FAILURE: &str = "40001";
/// SQLSTATE of a deadlock.
const DEADLOCK_DETECTED: &str = "40P01";
/// SQLSTATE of a statement that was cancelled because it ran or waited too long.
const QUERY_CANCELED: &str = "57014";
/// SQLSTATE of a lock that was not granted in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Beginnings of the SQLSTATEs that mean that the server is going down, coming up, out of reach or for reading only, or
/// that it ended a transaction that sat idle.
const UNAVAILABLE_CLASSES: [&str; 5] = ["57P", "08", "53", "25006", "25P03"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let state = database.code().unwrap_or_default().into_owned();
                if let Some(meaning) = database.constraint().and_then(constraint::meaning) {
                    return match meaning {
                        Meaning::Refusal(rule) => Self::Refused(rule),
                        Meaning::Missing(field) => Self::Missing(field),
                        Meaning::Contention => Self::Contended(error),
                        Meaning::Fault => Self::Fault(error),
                    };
                }
                match state.as_str() {
                    SERIALIZATION_FAILURE | DEADLOCK_DETECTED => Self::Contended(error),
                    QUERY_CANCELED | LOCK_NOT_AVAILABLE => Self::Unavailable(error),
                    state if UNAVAILABLE_CLASSES.iter().any(|class| state.starts_with(class)) => {
                        Self::Unavailable(error)
                    }
                    _ => Self::Fault(error),
                }
            }
            sqlx::Error::PoolTimedOut => Self::Exhausted,
            sqlx::Error::Io(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_) => Self::Unavailable(error),
            _ => Self::Fault(error),
        }
    }
}

impl StoreError {
    /// What may be logged: never the values of a row, which PostgreSQL puts into the detail of its errors.
    pub fn chain(&self) -> String {
        let cause = match self {
            Self::Contended(error) | Self::Unavailable(error) | Self::Fault(error) => Some(error),
            Self::Refused(_) | Self::Missing(_) | Self::Exhausted | Self::Corrupt(_) | Self::Rows { .. } => None,
        };
        let Some(cause) = cause else { return self.to_string() };
        let said = match cause.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) {
            Some(error) => format!(
                "{} {} (table {}, constraint {})",
                error.code(),
                error.message(),
                error.table().unwrap_or("-"),
                error.constraint().unwrap_or("-")
            ),
            None => cause.to_string(),
        };
        format!("{self}: {said}")
    }
}

/// Holds a write to the number of rows that it has to touch.
pub(super) fn expect_rows(
    statement: &'static str,
    expected: usize,
    done: &sqlx::postgres::PgQueryResult,
) -> Result<(), StoreError> {
    let expected = u64::try_from(expected).unwrap_or(u64::MAX);
    match done.rows_affected() {
        rows if rows == expected => Ok(()),
        rows => Err(StoreError::Rows { statement, expected, rows }),
    }
}
