//! The only SQL. Free functions on a connection; rows are private, what goes in and out are domain types.
//!
//! Functions that list are given a limit by their caller; functions that write check how many rows they wrote.

pub mod constraint;
pub mod error;
mod read;

pub mod access;
pub mod aftercare;
pub mod appointment;
pub mod booking;
pub mod catalog;
pub mod clinic;
pub mod history;
pub mod patient;
pub mod practice;
pub mod resource;
pub mod series;
pub mod verify;

pub use error::StoreError;
pub use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
pub use sqlx::{PgConnection, Postgres, Transaction};

/// Lets PostgreSQL look at how much there is of everything. It does so by itself, but not at once, and until then it
/// plans as if the tables were empty: for after a lot was written in one go.
pub async fn analyze(pool: &PgPool) -> Result<(), StoreError> {
    sqlx::query("ANALYZE").execute(pool).await?;
    Ok(())
}

/// The schema, as migrations in order.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
