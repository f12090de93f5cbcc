//! The only SQL. Free functions on a connection; rows are private, what goes in and out are domain types.
//!
//! Functions that list are given a limit by their caller; functions that write check how many rows they wrote.

pub mod connections;
pub mod constraint;
pub mod error;
mod pool;
mod read;

pub mod access;
pub mod aftercare;
pub mod agenda;
pub mod appointment;
pub mod assessment;
pub mod booking;
pub mod catalog;
pub mod clearance;
pub mod clinic;
pub mod displacement;
pub mod fitness;
pub mod history;
pub mod message;
pub mod overrides;
pub mod patient;
pub mod practice;
pub mod reaction;
pub mod resource;
pub mod screening;
pub mod series;
pub mod verify;
pub mod visit_record;
pub mod waiting;

pub use connections::Connections;
pub use error::StoreError;
pub use pool::{SESSION, pool};
pub use sqlx::postgres::{PgConnectOptions, PgPool};
pub use sqlx::{ConnectOptions, PgConnection, Postgres, Transaction};

/// Lets PostgreSQL look at how much there is of everything. It does so by itself, but not at once, and until then it
/// plans as if the tables were empty: for after a lot was written in one go.
pub async fn analyze(db: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("ANALYZE").execute(db).await?;
    Ok(())
}

/// Brings the schema up to date.
pub async fn migrate(db: &mut PgConnection) -> Result<(), sqlx::migrate::MigrateError> {
    MIGRATIONS.run_direct(None, db, false).await
}

/// The schema, as migrations in order.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
