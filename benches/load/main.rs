//! A load generator: a clinic's requests over real connections, against a real server on a durable PostgreSQL.
//!
//! `cargo bench --bench load -- --help` lists what it does; docs/load.md says what its figures mean.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]
#![expect(clippy::pedantic, reason = "a benchmark is not called by others")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/dice.rs"]
mod dice;

mod baseline;
mod cluster;
mod figures;
mod loops;
mod machine;
mod mix;
mod options;
mod page;
mod plot;
mod practice;
mod process;
mod race;
mod report;
mod shelf;
mod soak;
mod start;
mod step;
mod target;
mod watchers;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use dice::Dice;
use loops::Arrivals;
use machine::Machine;
use options::{Mode, Options};
use report::{Overload, Report};
use step::{Asking, Plan, Stage, Step};
use stipple::app::clock::{Clock as _, SystemClock};
use target::Target;
use tokio::signal::unix::{SignalKind, signal};
use watchers::Watchers;
use world::World;

/// What is offered in a sweep, in per cent of the most that closed steps reached.
const SHARES: [u32; 8] = [10, 25, 50, 75, 90, 100, 125, 200];
/// From which of these on more may arrive than can be answered.
const OVERLOAD: u32 = 100;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::read();
    std::fs::create_dir_all(&options.out).expect("the folder of the results can be made");
    let mut terminated = signal(SignalKind::terminate()).expect("signals can be heard");
    // What is broken off takes the server with it, which a process that just dies would leave behind.
    let report = tokio::select! {
        report = run(options) => report,
        _ = tokio::signal::ctrl_c() => return ExitCode::FAILURE,
        _ = terminated.recv() => return ExitCode::FAILURE,
    };
    report.print();
    report.write(&report.options.out);
    plot::draw(&report.open, report.peak_per_second, &report.options.out);
    if let Some(page) = &report.options.page {
        page::write(&report, page);
    }
    ExitCode::SUCCESS
}

/// Everything, from the start of a server to its end.
async fn run(options: Options) -> Report {
    eprintln!("seed {}", options.seed);
    let (begun, made_at) = (Instant::now(), SystemClock::default().now());
    let mut dice = Dice(options.seed);
    let target = Target::open(&options).await;
    let machine = Machine::here(target.own.as_ref().map(|own| &own.database.pool)).await;
    let baselines = match (&target.own, options.mode) {
        (Some(own), Mode::Sweep | Mode::Baseline) => Some(baseline::run(&own.database, &options.out).await),
        (None, _) | (Some(_), Mode::Closed | Mode::Open | Mode::Race) => None,
    };
    let world = World::make(&target, &options, &mut dice).await;
    if let Some(own) = &target.own {
        own.database.analyze().await;
    }
    let watchers = Watchers::begin(options.watchers as usize, &target.address, &world.practices).await;
    let stage = Stage {
        options: &options,
        world: &world,
        watchers: &watchers,
        process: target.own.as_ref().map(|own| &own.process),
    };
    let mut closed = closed_steps(&stage, &mut dice).await;
    let peak = peak(&closed);
    let open = open_steps(&stage, peak, &mut dice).await;
    let mut overload = None;
    if options.mode == Mode::Sweep {
        // With what the run has booked by now, everything takes longer than it did for the first of the closed steps.
        let again = stage.step(closed_step(&options, "again, ", options.most_connections()), &mut dice).await;
        overload = Overload::of(&open, again.answered_per_second);
        closed.push(again);
    }
    let soak = match options.soak {
        0 => None,
        _ => {
            let most = closed.iter().chain(&open).map(|step| step.answered_per_second).fold(0.0, f64::max);
            let rate = most * options.soak_share as f64 / 100.0;
            Some(soak::run(&stage, Arrivals { rate, spacing: options.spacing }, &mut dice).await)
        }
    };
    watchers.end();
    let (mut races, mut starts) = (Vec::new(), Vec::new());
    if matches!(options.mode, Mode::Sweep | Mode::Race) {
        races = race::run(&target).await;
    }
    if let Some(own) = target.own {
        own.process.stop().await;
        if options.mode == Mode::Sweep {
            starts = start::run(&own.database, &options).await;
        }
        own.database.stop().await;
    }
    Report {
        made_at,
        machine,
        baselines,
        peak_per_second: peak,
        overload,
        closed,
        open,
        soak,
        races,
        starts,
        options,
        seconds_in_all: begun.elapsed().as_secs_f64(),
    }
}

/// The most that was answered in a second.
fn peak(closed: &[Step]) -> f64 {
    closed.iter().map(|step| step.answered_per_second).fold(0.0, f64::max)
}

async fn closed_steps(stage: &Stage<'_>, dice: &mut Dice) -> Vec<Step> {
    let options = stage.options;
    let mut steps = Vec::new();
    if matches!(options.mode, Mode::Sweep | Mode::Closed) {
        for connections in &options.connections {
            steps.push(stage.step(closed_step(options, "closed, ", *connections as usize), dice).await);
        }
    }
    steps
}

fn closed_step(options: &Options, name: &str, connections: usize) -> Plan {
    let name = format!("{name}{connections}");
    Plan { name, asking: Asking::Closed(connections), warm: options.warm(), measure: options.measure() }
}

async fn open_steps(stage: &Stage<'_>, peak: f64, dice: &mut Dice) -> Vec<Step> {
    let options = stage.options;
    let at = |name: String, rate: f64, warm: Duration| {
        let asking = Asking::Open(Arrivals { rate, spacing: options.spacing });
        Plan { name, asking, warm, measure: options.measure() }
    };
    let plans: Vec<Plan> = match options.mode {
        Mode::Closed | Mode::Baseline | Mode::Race => Vec::new(),
        Mode::Open => {
            options.rates.iter().map(|rate| at(format!("open, {rate:.0}/s"), *rate, options.warm())).collect()
        }
        Mode::Sweep => SHARES
            .iter()
            .map(|share| {
                let warm = if *share < OVERLOAD { options.warm() } else { options.warm_overloaded() };
                at(format!("open, {share} %"), peak * f64::from(*share) / 100.0, warm)
            })
            .collect(),
    };
    let mut steps = Vec::new();
    for plan in plans {
        steps.push(stage.step(plan, dice).await);
    }
    steps
}
