//! The only SQL. Free functions on a connection; rows are private, what goes in and out are domain types.
//!
//! Functions that list are given a limit by their caller; functions that write check how many rows they wrote.

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

pub use error::StoreError;
pub use pool::{SESSION, pool};
pub use sqlx::postgres::{PgConnectOptions, PgPool};
pub use sqlx::{ConnectOptions, PgConnection, Postgres, Transaction};

/// Begins a transaction that writes.
pub async fn begin_write(pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
    begin(pool, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await
}

/// Begins a transaction that reads, all of it from the same state.
pub async fn begin_read(pool: &PgPool) -> Result<Transaction<'static, Postgres>, StoreError> {
    begin(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}

/// Begins in a task of its own, because a caller may go away at any moment: sqlx knows of a transaction only once the
/// answer to BEGIN is there, and would give a connection back to the pool with the transaction still open.
async fn begin(pool: &PgPool, statement: &'static str) -> Result<Transaction<'static, Postgres>, StoreError> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(statement).await });
    match begun.await {
        Ok(transaction) => Ok(transaction?),
        Err(_) => Err(StoreError::Unavailable(sqlx::Error::WorkerCrashed)),
    }
}

/// Asks the database for a sign of life.
pub async fn ping(pool: &PgPool) -> Result<(), StoreError> {
    sqlx::query("SELECT 1").execute(pool).await?;
    Ok(())
}

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
