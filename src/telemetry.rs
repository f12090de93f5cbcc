//! Logs: to standard error, so that standard output is for people. They carry no personal data.

use tracing_subscriber::EnvFilter;

/// What is logged unless `STIPPLE_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info,sqlx=warn";

/// Begins to log.
pub fn init() {
    let filter = EnvFilter::try_from_env("STIPPLE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
