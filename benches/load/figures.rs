//! What happened in a step, and how long it took.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::mix::Operation;

/// The longest time that is told apart, in microseconds: longer than any client waits.
const LONGEST: u64 = 60_000_000;
/// Digits of a time that are kept.
const DIGITS: u8 = 3;

/// How requests ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Carried out.
    pub done: u64,
    /// Refused by a rule, as a slot that was taken meanwhile (FAILED_PRECONDITION).
    pub refused: u64,
    /// Somebody changed it meanwhile (ABORTED).
    pub changed: u64,
    /// DEADLINE_EXCEEDED, or the client waited no longer.
    pub deadline_exceeded: u64,
    /// RESOURCE_EXHAUSTED: shed.
    pub resource_exhausted: u64,
    /// Of these, how many said when to try again (google.rpc.RetryInfo).
    pub with_retry_info: u64,
    /// UNAVAILABLE.
    pub unavailable: u64,
    /// Anything else: a fault.
    pub failed: u64,
    /// Arrivals that were not sent, because too many others were under way.
    pub not_sent: u64,
}

impl Outcomes {
    fn count(&mut self, result: &Result<(), Status>) {
        let Err(status) = result else {
            self.done += 1;
            return;
        };
        match status.code() {
            Code::FailedPrecondition => self.refused += 1,
            Code::Aborted => self.changed += 1,
            Code::DeadlineExceeded => self.deadline_exceeded += 1,
            Code::ResourceExhausted => {
                self.resource_exhausted += 1;
                self.with_retry_info += u64::from(status.get_details_retry_info().is_some());
            }
            Code::Unavailable => self.unavailable += 1,
            _ => self.failed += 1,
        }
    }

    /// How many got what they asked for, or were told why not.
    pub fn answered(&self) -> u64 {
        self.done + self.refused + self.changed
    }

    /// How many got no answer that they could go by.
    pub fn errors(&self) -> u64 {
        self.deadline_exceeded + self.resource_exhausted + self.unavailable + self.failed + self.not_sent
    }

    fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.changed += other.changed;
        self.deadline_exceeded += other.deadline_exceeded;
        self.resource_exhausted += other.resource_exhausted;
        self.with_retry_info += other.with_retry_info;
        self.unavailable += other.unavailable;
        self.failed += other.failed;
        self.not_sent += other.not_sent;
    }
}

/// How long requests took.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Latency {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// Gathers times, and tells how they are distributed.
#[derive(Clone)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new_with_max(LONGEST, DIGITS).expect("bounds that fit"))
    }
}

impl Times {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(LONGEST));
    }

    /// Those of several.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("they have the same bounds");
    }

    /// The distribution.
    pub fn latency(&self) -> Latency {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            count: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.0.max() as f64 / 1e3,
        }
    }
}

/// What became of one kind of request.
#[derive(Clone, Default)]
pub struct Kind {
    pub outcomes: Outcomes,
    /// Of those that were answered.
    pub times: Times,
}

/// What is gathered in one step.
pub struct Figures {
    /// What is measured, and not warm-up.
    window: Range<Instant>,
    /// Requests that were to start in the window.
    pub kinds: BTreeMap<Operation, Kind>,
    /// How many were answered in the window, whenever they were to start.
    pub answered: u64,
    /// How much later than intended they were sent; nothing of the closed loop.
    pub sent_late: Times,
    pub not_sent: u64,
    /// What the first fault said.
    pub first_fault: Option<String>,
    /// All so far, in the window or not, for who watches the run.
    pub so_far: Outcomes,
}

impl Figures {
    /// All kinds of requests as one.
    pub fn total(&self) -> Kind {
        let mut total = Kind::default();
        for kind in self.kinds.values() {
            total.outcomes.add(&kind.outcomes);
            total.times.merge(&kind.times);
        }
        total.outcomes.not_sent = self.not_sent;
        total
    }
}

/// Figures that many tasks write.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Figures>>);

impl Recorder {
    /// Nothing yet.
    pub fn new(window: Range<Instant>) -> Self {
        Self(Arc::new(Mutex::new(Figures {
            window,
            kinds: BTreeMap::new(),
            answered: 0,
            sent_late: Times::default(),
            not_sent: 0,
            first_fault: None,
            so_far: Outcomes::default(),
        })))
    }

    /// What is known so far.
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().expect("nobody panicked")
    }

    /// A request that was to start then and has ended now.
    pub fn ended(&self, operation: Operation, intended: Instant, result: &Result<(), Status>) {
        let now = Instant::now();
        let mut figures = self.figures();
        figures.so_far.count(result);
        let mut one = Outcomes::default();
        one.count(result);
        if figures.window.contains(&now) {
            figures.answered += one.answered();
        }
        if figures.window.contains(&intended) {
            let kind = figures.kinds.entry(operation).or_default();
            kind.outcomes.add(&one);
            if one.answered() > 0 {
                kind.times.add(now - intended);
            }
        }
        if let Err(status) = result
            && one.failed > 0
        {
            let said = || format!("{operation:?}: {:?}: {}", status.code(), status.message());
            figures.first_fault.get_or_insert_with(said);
        }
    }

    /// An arrival that is sent now.
    pub fn sent(&self, intended: Instant) {
        let now = Instant::now();
        let mut figures = self.figures();
        if figures.window.contains(&intended) {
            figures.sent_late.add(now.saturating_duration_since(intended));
        }
    }

    /// An arrival that is not sent.
    pub fn not_sent(&self, intended: Instant) {
        let mut figures = self.figures();
        figures.so_far.not_sent += 1;
        figures.not_sent += u64::from(figures.window.contains(&intended));
    }
}
