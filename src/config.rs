//! The command line, and the environment variables that stand for its options.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};

/// Connections to the database, unless the operator says otherwise.
const DEFAULT_CONNECTIONS: u32 = 16;
/// Fewest connections to the database: one for requests, while the other reads for watches.
const MIN_CONNECTIONS: i64 = 2;
/// Most connections to the database; PostgreSQL takes 100 unless it is told otherwise.
const MAX_CONNECTIONS: i64 = 200;

/// Books series of treatments for clinics, over gRPC, on PostgreSQL.
///
/// Without a command it serves. Without configuration it runs a private PostgreSQL in a data folder, with a
/// demonstration practice.
#[derive(Debug, Parser)]
#[command(name = "stipple", version)]
pub struct Config {
    /// What to do; serve, if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where things are.
    #[command(flatten)]
    pub place: Place,
}

/// Where the database is and where to listen.
#[derive(Debug, Args)]
pub struct Place {
    /// The folder of the private PostgreSQL; by default in the user's data directory.
    #[arg(long, global = true, env = "STIPPLE_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// The database to use instead of a private one, as `postgres://user:password@host/database`.
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Where to listen for gRPC; port 0 takes a free one.
    #[arg(long, global = true, env = "STIPPLE_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Most connections to the database.
    #[arg(long, global = true, env = "STIPPLE_DATABASE_CONNECTIONS", value_name = "NUMBER",
          default_value_t = DEFAULT_CONNECTIONS,
          value_parser = clap::value_parser!(u32).range(MIN_CONNECTIONS..=MAX_CONNECTIONS))]
    pub database_connections: u32,
    /// Starts the server's clock at this time instead of now, for rehearsals and tests.
    #[arg(long, global = true, env = "STIPPLE_CLOCK", value_name = "TIME", hide = true)]
    pub clock: Option<DateTime<Utc>>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves gRPC until Ctrl-C or SIGTERM.
    Serve,
    /// Brings the database's schema up to date and ends.
    Migrate,
    /// Adds the demonstration practice to the database, and writes demo.env into the data folder.
    Demo,
    /// Makes an operator's token and prints it.
    Token {
        /// Who or what will use it.
        #[arg(long, default_value = "operator")]
        label: String,
    },
    /// Checks every promise against the tables; ends with 1 if one is broken.
    Verify,
}
