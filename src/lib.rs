//! Stipple: the appointment backend of a clinic that treats with microneedling. It books whole series of sessions,
//! keeps their gaps and the aftercare between them, and holds everything in PostgreSQL.
//!
//! The modules in reading order; each uses only those above it:
//!
//! - [`domain`]: the rules, pure
//! - [`store`]: the only SQL
//! - [`app`]: one method per use case
//! - [`rpc`]: the wire
//! - [`demo`]: the demonstration practice
//! - [`server`]: the gRPC server around the wire
//! - [`embedded`]: a private PostgreSQL, for running without configuration
//! - [`config`], [`telemetry`] and the commands of the command line

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod domain;

pub mod store;

pub mod app;

pub mod rpc;

pub mod demo;

pub mod server;

pub mod embedded;

pub mod config;
pub mod telemetry;

mod run;
pub use run::run;
