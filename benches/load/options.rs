//! What the command line says.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum};
use serde::Serialize;

use crate::common::is_quick;
use crate::mix::Mix;

/// Longest step, in seconds.
const MAX_SECONDS: f64 = 600.0;
/// Shortest warm-up if more may arrive than can be answered: the queue has to become as long as it gets, and a request
/// waits up to three seconds for a connection to the database.
const WARM_UP_OVERLOADED: Duration = Duration::from_secs(5);
/// Longest soak, in seconds.
const MAX_SOAK: u64 = 3_600;
/// Highest rate of arrivals, a second.
const MAX_RATE: f64 = 20_000.0;
/// Most connections.
const MAX_CONNECTIONS: u64 = 256;
/// Most practices: each takes about a second to make.
const MAX_PRACTICES: u64 = 256;
/// Most watches that are held open: the server takes 2,000, for whoever else has some.
const MAX_WATCHERS: u64 = 1_000;

/// Puts a server under a clinic's load, over gRPC, and says what it did.
///
/// Without options: a server and a durable PostgreSQL of its own; the most that connections reach which wait for their
/// answers; then arrivals at fixed shares of that, up to twice as many; then races for one slot, and how long the
/// server takes to start. docs/load.md says what the figures mean.
#[derive(Clone, Debug, Parser, Serialize)]
#[command(name = "load", bin_name = "cargo bench --bench load --")]
pub struct Options {
    /// Where everything random begins.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What is done.
    #[arg(long, value_enum, default_value_t = Mode::Sweep)]
    pub mode: Mode,
    /// Of what the load is made.
    #[arg(long, value_enum, default_value_t = Mix::Day)]
    pub mix: Mix,
    /// Practices that the load is spread over; a connection belongs to one of them. At most 256.
    #[arg(long, value_name = "NUMBER", default_value_t = 32,
          value_parser = clap::value_parser!(u64).range(1..=MAX_PRACTICES))]
    pub practices: u64,
    /// Connections: one closed step for each number; arrivals are spread over the highest. At most 256.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_values_t = [1, 4, 16, 64],
          value_parser = clap::value_parser!(u64).range(1..=MAX_CONNECTIONS))]
    pub connections: Vec<u64>,
    /// Arrivals a second, one open step for each; for --mode open.
    #[arg(long = "rate", value_name = "RATES", value_delimiter = ',', value_parser = rate,
          required_if_eq("mode", "open"))]
    pub rates: Vec<f64>,
    /// How arrivals follow each other.
    #[arg(long, value_enum, default_value_t = Spacing::Exponential)]
    pub spacing: Spacing,
    /// How long each step is measured.
    #[arg(long, value_name = "SECONDS", default_value = "6", value_parser = seconds)]
    pub seconds: f64,
    /// How long each step runs before it is measured.
    #[arg(long, value_name = "SECONDS", default_value = "1.5", value_parser = seconds)]
    pub warm_up: f64,
    /// Watches that are held open meanwhile, of days and of histories in turn: at most 1,000.
    #[arg(long, value_name = "NUMBER", default_value_t = 8,
          value_parser = clap::value_parser!(u64).range(0..=MAX_WATCHERS))]
    pub watchers: u64,
    /// After the steps, the same load for so long, with the server's memory sampled every second: at most an hour; 0 for
    /// none.
    #[arg(long, value_name = "SECONDS", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(0..=MAX_SOAK))]
    pub soak: u64,
    /// Its arrivals, in per cent of the highest rate that was reached before.
    #[arg(long, value_name = "PER CENT", default_value_t = 50,
          value_parser = clap::value_parser!(u64).range(1..=200))]
    pub soak_share: u64,
    /// A server that runs already, as host:port; nothing is started, and it keeps the practices that are made there.
    #[arg(long, value_name = "ADDRESS", requires = "token")]
    pub server: Option<String>,
    /// An operator's token of that server.
    #[arg(long, env = "STIPPLE_TOKEN", hide_env_values = true)]
    #[serde(skip)]
    pub token: Option<String>,
    /// Where the results go; those of another mode than a whole sweep into a folder in it.
    #[arg(long, value_name = "FOLDER", default_value = "target/load")]
    pub out: PathBuf,
    /// A page whose figures are written anew, between its comments.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub page: Option<PathBuf>,
    /// What cargo says to benchmarks; without it, everything is made small and quick.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything: what the others do, races and starts.
    Sweep,
    /// Closed steps only: each connection waits for its answer before it asks again.
    Closed,
    /// Open steps only: requests arrive at a rate, whether or not others were answered.
    Open,
    /// Only the bookings that are compared with the same statements without a service.
    Baseline,
    /// Only the races for one slot.
    Race,
}

/// How arrivals follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// By chance, as people come: some at once, some after a while.
    Exponential,
    /// All at the same distance.
    Constant,
}

impl Options {
    /// The command line; what only has to run is made small.
    pub fn read() -> Self {
        let mut options = Self::parse();
        if !options.rates.is_empty() && options.mode != Mode::Open {
            Self::command().error(ErrorKind::ArgumentConflict, "--rate goes with --mode open").exit();
        }
        if options.page.is_some() && (options.mode != Mode::Sweep || options.server.is_some() || is_quick()) {
            let text = "--page goes with a whole sweep of a server of our own";
            Self::command().error(ErrorKind::ArgumentConflict, text).exit();
        }
        if options.soak > 0 && matches!(options.mode, Mode::Baseline | Mode::Race) {
            Self::command().error(ErrorKind::ArgumentConflict, "--soak goes with a mode that has steps").exit();
        }
        // What a part of the whole comes to does not take the place of the whole.
        if options.mode != Mode::Sweep {
            let mode = options.mode.to_possible_value().expect("no mode is left out");
            options.out.push(mode.get_name());
        }
        if is_quick() {
            options.practices = options.practices.min(2);
            options.connections = vec![1, 4];
            options.rates.truncate(1);
            options.watchers = options.watchers.min(2);
            options.soak = options.soak.min(2);
            (options.seconds, options.warm_up) = (0.3, 0.1);
            options.out.push("quick");
        }
        options
    }

    /// How long a step is measured.
    pub fn measure(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// How long it runs before.
    pub fn warm(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// How long it runs before, if more may arrive than can be answered.
    pub fn warm_overloaded(&self) -> Duration {
        if is_quick() { self.warm() } else { self.warm().max(WARM_UP_OVERLOADED) }
    }

    /// The highest number of connections.
    pub fn most_connections(&self) -> usize {
        self.connections.iter().copied().max().unwrap_or(1) as usize
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, MAX_SECONDS)
}

fn rate(text: &str) -> Result<f64, String> {
    within(text, MAX_RATE)
}

fn within(text: &str, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number > 0.0 && number <= most { Ok(number) } else { Err(format!("more than 0, at most {most}")) }
}
