//! The same load for long, and what the server's memory does meanwhile.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::dice::Dice;
use crate::loops::Arrivals;
use crate::process::Process;
use crate::step::{Asking, Plan, Stage, Step};

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_secs(1);
/// Requests that one busy clinic makes in an hour: five desks that each do something every ten seconds.
const CLINIC_HOUR: f64 = 1_800.0;

/// What a soak came to.
#[derive(Clone, Debug, Serialize)]
pub struct Soak {
    pub step: Step,
    /// Requests that were answered, in hours of one busy clinic.
    pub clinic_hours: f64,
    /// None where the server is not our own, or tells nothing of its memory.
    pub memory: Option<Memory>,
}

/// Resident memory over time.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    pub first_quarter_mib: f64,
    pub last_quarter_mib: f64,
    /// Of the straight line nearest to all samples of the second half, when caches have filled.
    pub slope_mib_per_hour: f64,
    /// Seconds since the begin, and MiB.
    pub samples: Vec<(f64, f64)>,
}

/// Runs it.
pub async fn run(stage: &Stage<'_>, arrivals: Arrivals, dice: &mut Dice) -> Soak {
    let measure = Duration::from_secs(stage.options.soak);
    let warm = stage.options.warm();
    let plan = Plan { name: "soak".to_owned(), asking: Asking::Open(arrivals), warm, measure };
    let (step, samples) = tokio::join!(stage.step(plan, dice), samples(stage.process, warm + measure));
    let clinic_hours = step.outcomes.answered() as f64 / CLINIC_HOUR;
    Soak { step, clinic_hours, memory: Memory::of(samples) }
}

async fn samples(process: Option<&Process>, length: Duration) -> Vec<(f64, f64)> {
    let (mut samples, begin) = (Vec::new(), Instant::now());
    let mut ticks = tokio::time::interval(SAMPLE);
    while begin.elapsed() < length {
        ticks.tick().await;
        let usage = process.and_then(Process::usage);
        samples.extend(usage.map(|usage| (begin.elapsed().as_secs_f64(), usage.rss_mib)));
    }
    samples
}

impl Memory {
    fn of(samples: Vec<(f64, f64)>) -> Option<Self> {
        let quarter = samples.len().div_ceil(4);
        let mean =
            |part: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| part.iter().map(of).sum::<f64>() / part.len() as f64;
        let second = samples.get(samples.len() / 2..).filter(|part| !part.is_empty())?;
        let (at, size) = (mean(second, |sample| sample.0), mean(second, |sample| sample.1));
        let (mut both, mut square) = (0.0, 0.0);
        for (second, mib) in second {
            both += (second - at) * (mib - size);
            square += (second - at).powi(2);
        }
        Some(Self {
            first_quarter_mib: mean(&samples[..quarter], |sample| sample.1),
            last_quarter_mib: mean(&samples[samples.len() - quarter..], |sample| sample.1),
            // Of a single sample there is no slope.
            slope_mib_per_hour: if square > 0.0 { both / square * 3_600.0 } else { 0.0 },
            samples,
        })
    }
}
