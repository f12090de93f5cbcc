//! The server that is put under load.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use stipple::app::clock::{Clock as _, SystemClock};
use tonic::transport::Channel;

use crate::common::Database;
use crate::options::Options;
use crate::process::Process;

/// Where the clock of the own server begins: early on a Monday, before anybody comes, so that all visits of today can
/// still be booked, and each run finds the same calendar.
const START: &str = "2027-03-01T05:00:00Z";
/// What the own server logs, in the folder of the results.
pub const LOG: &str = "server.log";

/// See the module.
pub struct Target {
    pub address: String,
    /// An operator's token.
    pub operator: String,
    /// The day that it is there.
    pub today: NaiveDate,
    pub own: Option<Own>,
}

/// A server and a database that were started for this.
pub struct Own {
    // Ends first.
    pub process: Process,
    pub database: Database,
}

impl Target {
    /// The server that the options name, or one of its own.
    pub async fn open(options: &Options) -> Self {
        let clock = SystemClock::default();
        if let (Some(address), Some(operator)) = (&options.server, &options.token) {
            let server = Channel::from_shared(format!("http://{address}"));
            let reached = match server {
                Ok(server) => server.connect().await.is_ok(),
                Err(_) => false,
            };
            if !reached {
                Options::command().error(ErrorKind::ValueValidation, format!("no server answers at {address}")).exit();
            }
            let today = clock.now().date_naive();
            return Self { address: address.clone(), operator: operator.clone(), today, own: None };
        }
        let database = Database::start().await;
        let app = database.app(Arc::new(clock));
        let operator = app.create_operator_token("bench").await.expect("a token is made");
        let process = serve(&database, &options.out).await;
        let start: DateTime<Utc> = START.parse().expect("a time");
        let address = process.address.clone();
        Self { address, operator, today: start.date_naive(), own: Some(Own { database, process }) }
    }
}

/// Starts a server on a database.
pub async fn serve(database: &Database, out: &Path) -> Process {
    Process::start(&["--database-url", &database.url("stipple"), "--clock", START], &out.join(LOG)).await
}
