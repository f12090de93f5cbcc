//! What is told of a run: tables for people, and a file for programs.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::baseline::Baselines;
use crate::machine::Machine;
use crate::options::Options;
use crate::race::Round;
use crate::soak::Soak;
use crate::start::Starts;
use crate::step::Step;

/// The file for programs.
const FILE: &str = "load.json";

/// All that a run came to.
#[derive(Serialize)]
pub struct Report {
    #[serde(serialize_with = "as_text")]
    pub made_at: DateTime<Utc>,
    pub machine: Machine,
    pub options: Options,
    /// What the service is compared with; none of a server that ran already.
    pub baselines: Option<Baselines>,
    /// The most that a closed step answered in a second; 0 without one.
    pub peak_per_second: f64,
    pub closed: Vec<Step>,
    pub open: Vec<Step>,
    pub overload: Option<Overload>,
    pub soak: Option<Soak>,
    pub races: Vec<Round>,
    pub starts: Vec<Starts>,
    /// From begin to end, preparations included.
    pub seconds_in_all: f64,
}

/// What is left when twice as much arrives as can be served.
#[derive(Clone, Debug, Serialize)]
pub struct Overload {
    pub offered: f64,
    pub answered_per_second: f64,
    /// What the most connections were answered right after it, each waiting for its answer.
    pub closed_per_second: f64,
    /// Of that.
    pub share: f64,
    pub shed: u64,
    pub shed_with_retry_info: u64,
    /// Of what was answered.
    pub answered_p99_ms: f64,
}

impl Overload {
    /// Of the last open step, if it offered more than was answered after it.
    pub fn of(open: &[Step], closed_per_second: f64) -> Option<Self> {
        let step = open.last()?;
        let offered = step.offered.filter(|offered| closed_per_second > 0.0 && *offered > closed_per_second)?;
        Some(Self {
            offered,
            answered_per_second: step.answered_per_second,
            closed_per_second,
            share: step.answered_per_second / closed_per_second,
            shed: step.outcomes.resource_exhausted,
            shed_with_retry_info: step.outcomes.with_retry_info,
            answered_p99_ms: step.latency.p99_ms,
        })
    }
}

impl Report {
    /// Writes the file.
    pub fn write(&self, out: &Path) {
        let text = serde_json::to_string_pretty(self).expect("it can be written as JSON");
        std::fs::write(out.join(FILE), text).expect("the file can be written");
    }

    /// Prints the tables.
    pub fn print(&self) {
        let machine = &self.machine;
        println!(
            "{} cores ({}), {:.0} GiB, Linux {}, PostgreSQL {}, {} build, {}",
            machine.cores,
            machine.processor,
            machine.memory_gib,
            machine.kernel,
            machine.postgresql,
            machine.profile,
            self.made_at.format("%Y-%m-%d %H:%M UTC")
        );
        self.baselines.iter().for_each(Baselines::print);
        let all: Vec<&Step> =
            self.closed.iter().chain(&self.open).chain(self.soak.iter().map(|soak| &soak.step)).collect();
        latencies(&all);
        outcomes(&all);
        for step in self.told_in_detail() {
            operations(step);
        }
        self.tell_overload();
        self.tell_soak();
        races(&self.races);
        starts(&self.starts);
        println!("\nSeed {}, {:.0} s in all", self.options.seed, self.seconds_in_all);
    }

    /// The best closed step, and the open step nearest to half of it; the file has the others.
    fn told_in_detail(&self) -> impl Iterator<Item = &Step> {
        let best = self.closed.iter().max_by(|a, b| a.answered_per_second.total_cmp(&b.answered_per_second));
        let far = |step: &Step| (step.offered.unwrap_or_default() - self.peak_per_second / 2.0).abs();
        best.into_iter().chain(self.open.iter().min_by(|a, b| far(a).total_cmp(&far(b))))
    }

    fn tell_overload(&self) {
        if let Some(overload) = &self.overload {
            println!(
                "\nOverload: {:.0}/s arrived, {:.0}/s were answered, {:.0} % of the {:.0}/s of a closed step right after it, \
                 99 % of them within {:.0} ms; {} were shed, {} of them told when to try again",
                overload.offered,
                overload.answered_per_second,
                overload.share * 100.0,
                overload.closed_per_second,
                overload.answered_p99_ms,
                overload.shed,
                overload.shed_with_retry_info
            );
        }
    }

    fn tell_soak(&self) {
        let Some(soak) = &self.soak else { return };
        println!(
            "\nSoak: {} requests answered, as many as one busy clinic makes in {:.1} hours",
            soak.step.outcomes.answered(),
            soak.clinic_hours
        );
        if let Some(memory) = &soak.memory {
            println!(
                "The server's memory: {:.1} MiB in the first quarter, {:.1} MiB in the last; in the second half \
                 {:+.1} MiB an hour",
                memory.first_quarter_mib, memory.last_quarter_mib, memory.slope_mib_per_hour
            );
        }
    }
}

fn latencies(steps: &[&Step]) {
    println!(
        "\n{:<14}{:>10}{:>12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}",
        "step",
        "offered/s",
        "answered/s",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "RSS MiB",
        "server s",
        "clients s",
        "watched"
    );
    for step in steps {
        let (offered, latency) = (step.offered.map_or_else(String::new, |rate| format!("{rate:.0}")), &step.latency);
        let taken = |usage: Option<f64>| usage.map_or_else(String::new, |usage| format!("{usage:.1}"));
        println!(
            "{:<14}{offered:>10}{:>12.0}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10}{:>10}{:>10}{:>9}",
            step.name,
            step.answered_per_second,
            latency.p50_ms,
            latency.p90_ms,
            latency.p99_ms,
            latency.p999_ms,
            latency.max_ms,
            taken(step.server.map(|usage| usage.rss_mib)),
            taken(step.server.map(|usage| usage.cpu_seconds)),
            taken(step.clients.map(|usage| usage.cpu_seconds)),
            step.watch_messages
        );
    }
}

fn outcomes(steps: &[&Step]) {
    println!(
        "\n{:<14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>12}{:>13}{:>10}{:>10}{:>14}",
        "step",
        "done",
        "refused",
        "changed",
        "deadline",
        "shed",
        "with retry",
        "unavailable",
        "faults",
        "not sent",
        "sent late p99"
    );
    for step in steps {
        let outcomes = &step.outcomes;
        let late = step.sent_late.as_ref().map_or_else(String::new, |late| format!("{:.2} ms", late.p99_ms));
        println!(
            "{:<14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>12}{:>13}{:>10}{:>10}{late:>14}",
            step.name,
            outcomes.done,
            outcomes.refused,
            outcomes.changed,
            outcomes.deadline_exceeded,
            outcomes.resource_exhausted,
            outcomes.with_retry_info,
            outcomes.unavailable,
            outcomes.failed,
            outcomes.not_sent
        );
    }
    for (step, fault) in steps.iter().filter_map(|step| Some((step, step.first_fault.as_ref()?))) {
        println!("{}: the first fault said: {fault}", step.name);
    }
}

fn operations(step: &Step) {
    println!(
        "\n{:<24}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        step.name, "answered", "refused", "others", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"
    );
    for (operation, figures) in &step.operations {
        let latency = &figures.latency;
        println!(
            "{:<24}{:>10}{:>10}{:>10}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
            format!("{operation:?}"),
            figures.outcomes.answered(),
            figures.outcomes.refused,
            figures.outcomes.errors(),
            latency.p50_ms,
            latency.p90_ms,
            latency.p99_ms,
            latency.p999_ms,
            latency.max_ms
        );
    }
}

fn races(rounds: &[Round]) {
    if rounds.is_empty() {
        return;
    }
    println!(
        "\n{:<24}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "race for one slot", "callers", "winners", "refused", "others", "p50 ms", "p99 ms", "max ms"
    );
    for round in rounds {
        println!(
            "{:<24}{:>10}{:>10}{:>10}{:>10}{:>10.2}{:>10.2}{:>10.2}",
            round.method,
            round.callers,
            round.winners,
            round.refused,
            round.other,
            round.latency.p50_ms,
            round.latency.p99_ms,
            round.latency.max_ms
        );
    }
}

fn starts(starts: &[Starts]) {
    if starts.is_empty() {
        return;
    }
    println!("\n{:<34}{:>10}{:>12}{:>12}", "start on", "runs", "median ms", "max ms");
    for start in starts {
        println!("{:<34}{:>10}{:>12.0}{:>12.0}", start.on, start.runs, start.median_ms, start.max_ms);
    }
}

fn as_text<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
