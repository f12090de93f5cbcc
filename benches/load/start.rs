//! How long a server takes from its start until it serves.

use std::time::Duration;

use serde::Serialize;

use crate::common::{Database, Folder, is_quick};
use crate::options::Options;
use crate::process::Process;
use crate::target::{LOG, serve};

/// Starts of each kind.
const RUNS: usize = 5;

/// Starts of one kind, in milliseconds from the spawn of the process to its answer that it serves.
#[derive(Clone, Debug, Serialize)]
pub struct Starts {
    pub on: &'static str,
    pub runs: usize,
    pub median_ms: f64,
    pub max_ms: f64,
}

/// Starts servers, one after the other: on this database, on a new data folder, and on that folder again.
pub async fn run(database: &Database, options: &Options) -> Vec<Starts> {
    let runs = if is_quick() { 1 } else { RUNS };
    let mut starts = Vec::new();
    let mut times = Vec::new();
    for run in 0..runs {
        eprintln!("start on a database, run {}", run + 1);
        times.push(ended(serve(database, &options.out).await).await);
    }
    starts.push(Starts::of("a database that is there", times));

    // Not among the results: PostgreSQL's own user has to reach it.
    let folder = Folder(std::env::temp_dir().join(format!("stipple-load-{}", std::process::id())));
    let (argument, log) = (folder.0.to_str().expect("a name in UTF-8").to_owned(), options.out.join(LOG));
    let mut times = Vec::new();
    for run in 0..=runs {
        eprintln!("start on a data folder, run {}", run + 1);
        times.push(ended(Process::start(&["--data-dir", &argument], &log).await).await);
    }
    drop(folder);
    let again = times.split_off(1);
    starts.push(Starts::of("a new data folder", times));
    starts.push(Starts::of("a data folder that is there", again));
    starts
}

/// Ends a server; how long it had taken to start.
async fn ended(process: Process) -> Duration {
    let started_in = process.started_in;
    process.stop().await;
    started_in
}

impl Starts {
    fn of(on: &'static str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let ms = |place: usize| times[place].as_secs_f64() * 1e3;
        Self { on, runs: times.len(), median_ms: ms(times.len() / 2), max_ms: ms(times.len() - 1) }
    }
}
