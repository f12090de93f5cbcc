//! A page with the figures of a run: what stands between two comments of it is written anew, the words around it stay.

use std::path::Path;

use crate::baseline::Baselines;
use crate::figures::Latency;
use crate::machine::Machine;
use crate::race::Round;
use crate::report::{Overload, Report};
use crate::soak::Soak;
use crate::start::Starts;
use crate::step::Step;

/// Where figures end.
const END: &str = "<!-- end of figures -->";

/// What a page says of what a run has not measured.
const NOTHING: &str = "Not measured.";

/// Writes the figures of a run into a page, those of each name between `<!-- figures: name -->` and the next end.
pub fn write(report: &Report, page: &Path) {
    let mut text = std::fs::read_to_string(page).expect("the page can be read");
    for (name, figures) in figures(report) {
        let begin = format!("<!-- figures: {name} -->");
        let from = text.find(&begin).unwrap_or_else(|| panic!("the page has no {begin}")) + begin.len();
        let until = from + text[from..].find(END).expect("figures have an end");
        text.replace_range(from..until, &format!("\n\n{}\n\n", figures.as_deref().unwrap_or(NOTHING)));
    }
    std::fs::write(page, text).expect("the page can be written");
}

/// What was measured, by name.
fn figures(report: &Report) -> [(&'static str, Option<String>); 8] {
    [
        ("machine", Some(machine(&report.machine, report))),
        ("calls", report.baselines.as_ref().map(calls)),
        ("bookings", report.baselines.as_ref().map(bookings)),
        ("steps", Some(steps(report))),
        ("overload", report.overload.as_ref().map(|left| overload(left, report.peak_per_second))),
        ("soak", report.soak.as_ref().map(soak)),
        ("races", Some(races(&report.races))),
        ("starts", Some(starts(&report.starts))),
    ]
}

fn machine(machine: &Machine, report: &Report) -> String {
    let Machine { cores, processor, memory_gib, kernel, postgresql, profile } = machine;
    format!(
        "**Machine**: {cores} cores ({processor}), {memory_gib:.0} GiB, Linux {kernel},\nPostgreSQL {postgresql} with `fsync` \
         on, {profile} build, {}, seed {},\n{:.0} s in all.",
        report.made_at.format("%-d %B %Y"),
        report.options.seed,
        report.seconds_in_all
    )
}

/// A table with a column of words and others of numbers.
fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let rule = format!("| --- |{}", " ---: |".repeat(heads.len() - 1));
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let rows = rows.into_iter().map(|row| line(&row));
    [line(&heads), rule].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// Milliseconds, to three digits or so.
fn ms(time: f64) -> String {
    if time < 10.0 { format!("{time:.2} ms") } else { format!("{} ms", whole(time)) }
}

/// A number to its last digit before the point, in groups of three.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let (first, rest) = digits.split_at((digits.len() - 1) % 3 + 1);
    rest.as_bytes().chunks(3).fold(first.to_owned(), |told, group| format!("{told},{}", String::from_utf8_lossy(group)))
}

fn of(latency: &Latency) -> [String; 2] {
    [ms(latency.p50_ms), ms(latency.p99_ms)]
}

fn calls(baselines: &Baselines) -> String {
    let rows = baselines.empty.iter().map(|line| {
        let [p50, p99] = of(&line.latency);
        vec![line.name.to_owned(), line.connections.to_string(), whole(line.per_second), p50, p99]
    });
    table(&["", "connections", "per second", "p50", "p99"], rows)
}

fn bookings(baselines: &Baselines) -> String {
    let rows = baselines.compared.iter().map(|line| {
        let [p50, p99] = of(&line.service);
        let [service, pgbench] = [line.service_per_second, line.pgbench_per_second].map(whole);
        let cpu = line.server_cpu_ms.map_or_else(String::new, ms);
        let ratio = format!("{:.2}", line.ratio);
        vec![line.name.to_owned(), line.connections.to_string(), service, p50, p99, cpu, pgbench, ratio]
    });
    let heads = ["", "connections", "per second", "p50", "p99", "server's CPU each", "pgbench, per second", "ratio"];
    table(&heads, rows)
}

/// The steps in the order in which they were run: the last of the closed ones came after the open ones.
fn steps(report: &Report) -> String {
    let (again, closed) = report.closed.split_last().expect("there are some");
    let rows = closed.iter().chain(&report.open).chain([again]).map(|step: &Step| {
        let latency = &step.latency;
        let memory = step.server.map_or_else(String::new, |usage| format!("{:.0} MiB", usage.rss_mib));
        let offered = step.offered.map_or_else(String::new, whole);
        let outcomes = &step.outcomes;
        vec![
            step.name.clone(),
            offered,
            whole(step.answered_per_second),
            ms(latency.p50_ms),
            ms(latency.p99_ms),
            ms(latency.p999_ms),
            whole(outcomes.resource_exhausted as f64),
            outcomes.errors().saturating_sub(outcomes.resource_exhausted).to_string(),
            memory,
        ]
    });
    let heads = ["step", "offered/s", "answered/s", "p50", "p99", "p99.9", "shed", "other errors", "server's memory"];
    table(&heads, rows)
}

fn overload(overload: &Overload, peak: f64) -> String {
    format!(
        "{} requests a second arrived. {} a second were answered, **{:.0} % of the {}** that a closed step reached\n\
         right after it, and {:.0} % of the peak of the run's beginning, when there was less data; 99 % of them within {}.\n\
         {} were shed, with RESOURCE_EXHAUSTED, {} of them with the time after which to try again.",
        whole(overload.offered),
        whole(overload.answered_per_second),
        overload.share * 100.0,
        whole(overload.closed_per_second),
        overload.answered_per_second / peak * 100.0,
        ms(overload.answered_p99_ms),
        whole(overload.shed as f64),
        if overload.shed == overload.shed_with_retry_info {
            "all".to_owned()
        } else {
            overload.shed_with_retry_info.to_string()
        }
    )
}

fn soak(soak: &Soak) -> String {
    let answered = whole(soak.step.outcomes.answered() as f64);
    let asked = format!(
        "{answered} requests were answered in {:.0} s, as many as one busy clinic makes in {:.1} hours.",
        soak.step.seconds, soak.clinic_hours
    );
    let memory = soak.memory.as_ref().map(|memory| {
        format!(
            "\nThe server's memory: {:.1} MiB in the first quarter, {:.1} MiB in the last.",
            memory.first_quarter_mib, memory.last_quarter_mib
        )
    });
    asked + &memory.unwrap_or_default()
}

/// One line for each way of asking: of one round, 99 % are nearly all.
fn races(rounds: &[Round]) -> String {
    let ways = rounds.chunk_by(|a, b| a.method == b.method).map(|rounds| {
        let of = |figure: fn(&Latency) -> f64| {
            let mut figures: Vec<f64> = rounds.iter().map(|round| figure(&round.latency)).collect();
            figures.sort_by(f64::total_cmp);
            figures
        };
        let (p50, p99) = (of(|latency| latency.p50_ms), of(|latency| latency.p99_ms));
        let winners: Vec<u64> = rounds.iter().map(|round| round.winners).collect();
        let (least, most) = (winners.iter().min().unwrap_or(&0), winners.iter().max().unwrap_or(&0));
        vec![
            format!("`{}`", rounds[0].method),
            rounds.len().to_string(),
            if least == most { most.to_string() } else { format!("{least} to {most}") },
            rounds.iter().map(|round| round.other).sum::<u64>().to_string(),
            ms(p50[p50.len() / 2]),
            format!("{} to {}", ms(p99[0]), ms(p99[p99.len() - 1])),
        ]
    });
    let heads = [
        "",
        "rounds",
        "winners in each",
        "others than winners and refusals",
        "p50, median of rounds",
        "p99, lowest to highest",
    ];
    table(&heads, ways)
}

fn starts(starts: &[Starts]) -> String {
    let rows = starts
        .iter()
        .map(|start| vec![start.on.to_owned(), start.runs.to_string(), ms(start.median_ms), ms(start.max_ms)]);
    table(&["on", "runs", "median", "slowest"], rows)
}
