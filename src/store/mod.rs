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

/// The schema, as migrations in order.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
