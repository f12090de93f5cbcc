//! One step: a load that stays the same for a while, and what came of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::dice::Dice;
use crate::figures::{Latency, Outcomes, Recorder};
use crate::loops::{self, Arrivals};
use crate::mix::{Mix, Operation};
use crate::options::Options;
use crate::process::{Process, Usage};
use crate::watchers::Watchers;
use crate::world::World;

/// How often a line of progress is written.
const PROGRESS: Duration = Duration::from_secs(1);

/// What a step came to.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What it is called in tables.
    pub name: String,
    pub mix: Mix,
    /// How many connections were asked over.
    pub connections: usize,
    /// Arrivals a second; none of a closed step, in which nothing arrives by itself.
    pub offered: Option<f64>,
    /// How long it was measured.
    pub seconds: f64,
    /// Requests a second that were carried out or refused by a rule.
    pub answered_per_second: f64,
    pub outcomes: Outcomes,
    /// Of those that were answered, in milliseconds: from the intended start, of an open step.
    pub latency: Latency,
    pub operations: BTreeMap<Operation, OperationFigures>,
    /// How much later than intended arrivals were sent, in milliseconds: the generator's own fault.
    pub sent_late: Option<Latency>,
    /// Messages that watches saw, warm-up included.
    pub watch_messages: u64,
    /// Memory at the end, and processor seconds of the step.
    pub server: Option<Usage>,
    pub clients: Option<Usage>,
    /// What the first fault said, if there was one.
    pub first_fault: Option<String>,
}

/// The same of one kind of request.
#[derive(Clone, Debug, Serialize)]
pub struct OperationFigures {
    pub outcomes: Outcomes,
    pub latency: Latency,
}

/// How a step asks.
#[derive(Clone, Copy)]
pub enum Asking {
    /// So many connections, each of which waits for its answer.
    Closed(usize),
    /// Over all connections, as they arrive.
    Open(Arrivals),
}

/// What is to be run.
pub struct Plan {
    pub name: String,
    pub asking: Asking,
    /// How long it runs before it is measured.
    pub warm: Duration,
    pub measure: Duration,
}

/// All that steps need.
pub struct Stage<'a> {
    pub options: &'a Options,
    pub world: &'a World,
    pub watchers: &'a Watchers,
    /// The server, if it is our own.
    pub process: Option<&'a Process>,
}

impl Stage<'_> {
    /// Runs a step.
    pub async fn step(&self, plan: Plan, dice: &mut Dice) -> Step {
        let Plan { name, asking, warm, measure } = plan;
        let begin = Instant::now();
        let start = begin + warm;
        let window = start..start + measure;
        let (recorder, mix, seats) = (Recorder::new(window.clone()), self.options.mix, &self.world.seats);
        let seen = self.watchers.seen();
        let progress = tokio::spawn(progress(name.clone(), begin, window.end, recorder.clone()));
        let load = async {
            match asking {
                Asking::Closed(number) => loops::closed(&seats[..number], mix, window.end, dice, &recorder).await,
                Asking::Open(arrivals) => {
                    loops::open(seats, mix, arrivals, begin..window.end, dice, &recorder).await;
                }
            }
        };
        let ((), (server, clients)) = tokio::join!(load, self.taken_in(window.clone()));
        progress.abort();

        let figures = recorder.figures();
        let (total, offered, connections) = match asking {
            Asking::Closed(number) => (figures.total(), None, number),
            Asking::Open(arrivals) => (figures.total(), Some(arrivals.rate), seats.len()),
        };
        let operations = figures.kinds.iter().map(|(operation, kind)| {
            (*operation, OperationFigures { outcomes: kind.outcomes.clone(), latency: kind.times.latency() })
        });
        Step {
            name,
            mix,
            connections,
            offered,
            seconds: measure.as_secs_f64(),
            answered_per_second: figures.answered as f64 / measure.as_secs_f64(),
            outcomes: total.outcomes,
            latency: total.times.latency(),
            operations: operations.collect(),
            sent_late: offered.map(|_| figures.sent_late.latency()),
            watch_messages: self.watchers.seen() - seen,
            server,
            clients,
            first_fault: figures.first_fault.clone(),
        }
    }

    /// What server and clients take in the window.
    async fn taken_in(&self, window: Range<Instant>) -> (Option<Usage>, Option<Usage>) {
        let now = || (self.process.and_then(Process::usage), Usage::of("self"));
        tokio::time::sleep_until(window.start.into()).await;
        let before = now();
        tokio::time::sleep_until(window.end.into()).await;
        let after = now();
        (taken(before.0, after.0), taken(before.1, after.1))
    }
}

fn taken(before: Option<Usage>, after: Option<Usage>) -> Option<Usage> {
    let (before, after) = (before?, after?);
    Some(Usage { rss_mib: after.rss_mib, cpu_seconds: after.cpu_seconds - before.cpu_seconds })
}

/// Tells who waits how it goes.
async fn progress(name: String, begin: Instant, end: Instant, recorder: Recorder) {
    let mut ticks = tokio::time::interval_at((begin + PROGRESS).into(), PROGRESS);
    let mut before = 0;
    while Instant::now() < end {
        ticks.tick().await;
        let so_far = recorder.figures().so_far.clone();
        let (elapsed, rate) = (begin.elapsed().as_secs(), so_far.answered() - before);
        before = so_far.answered();
        eprintln!("{name}: {elapsed} s, {rate} answered in the last, {} errors", so_far.errors());
    }
}
