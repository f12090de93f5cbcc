//! Everything fails, again and again, under desks that go on working: afterwards what was acknowledged is there, once,
//! what was refused is not, and what nobody knows of is wholly there or not at all. See docs/faults.md.
//!
//! The suite runs a short version. The whole one, with as many kills as `FULL` says:
//!
//! ```sh
//! cargo test --release --test stipple faults:: -- --ignored --nocapture
//! ```
//!
//! `STIPPLE_TEST_FAULTS=<seed>` draws other faults and other wishes, for either.

mod desks;
mod disk;
mod evidence;
mod line;
mod postgres;
mod spoiled;
mod stage;
mod table;
mod told;
mod watching;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::desk::revision;
use crate::harness::World;
use crate::harness::random::Random;
use crate::running::program::until;
use desks::Practice;
use evidence::Evidence;
use stage::{Fault, Stage};
use table::Table;
use told::{Told, Word, meaning};
use watching::Watched;

/// A zone that is always one hour ahead, as the model of visits takes the clinic's to be.
const ZONE: &str = "Etc/GMT-1";
/// The seed, if none is given.
const SEED: u64 = 2026;
/// The longest time from the last of it to the fault, in milliseconds: it comes at any moment of a request.
const MOMENT: usize = 60;

/// After how many faults it is told how far a run is.
const TOLD_EVERY: usize = 20;

/// How much is asked and how much fails.
struct Scale {
    practices: usize,
    desks: usize,
    /// The longest pause of a desk between two requests, in milliseconds.
    pause: usize,
    /// How much every practice gets done between two faults, at least and at most.
    work: (usize, usize),
    faults: &'static [(Fault, usize)],
}

/// For every run of the suite.
const SHORT: Scale = Scale {
    practices: 2,
    desks: 3,
    pause: 30,
    work: (1, 5),
    faults: &[
        (Fault::ServerKilled, 6),
        (Fault::PostmasterKilled, 3),
        (Fault::BackendKilled, 3),
        (Fault::PostgresStopped, 2),
        (Fault::BothKilled, 1),
        (Fault::PostgresAway, 1),
        (Fault::DatabaseCut, 3),
        (Fault::ClientsCut, 3),
        (Fault::DiskFull, 1),
        (Fault::ServerPaused, 1),
        (Fault::PostmasterPaused, 1),
        (Fault::BackendPaused, 1),
    ],
};

/// More than a hundred kills.
const FULL: Scale = Scale {
    practices: 4,
    desks: 4,
    pause: 60,
    work: (1, 6),
    faults: &[
        (Fault::ServerKilled, 40),
        (Fault::PostmasterKilled, 25),
        (Fault::BackendKilled, 25),
        (Fault::PostgresStopped, 15),
        (Fault::BothKilled, 10),
        (Fault::PostgresAway, 2),
        (Fault::DatabaseSilent, 2),
        (Fault::DatabaseCut, 15),
        (Fault::ClientsCut, 15),
        (Fault::DiskFull, 6),
        (Fault::ServerPaused, 4),
        (Fault::PostmasterPaused, 4),
        (Fault::BackendPaused, 4),
    ],
};

fn seed() -> u64 {
    let given = std::env::var("STIPPLE_TEST_FAULTS").ok();
    given.map_or(SEED, |seed| seed.parse().expect("STIPPLE_TEST_FAULTS is a number"))
}

/// The faults, in an order by chance.
fn drawn(scale: &Scale, has_disk: bool, random: &mut Random) -> Vec<Fault> {
    let wanted = scale.faults.iter().filter(|(fault, _)| has_disk || *fault != Fault::DiskFull);
    let mut faults: Vec<Fault> = wanted.flat_map(|(fault, count)| std::iter::repeat_n(*fault, *count)).collect();
    for place in (1..faults.len()).rev() {
        faults.swap(place, random.below(place + 1));
    }
    faults
}

/// Waits until every practice has got so much more done: whatever failed before, the server is over it.
async fn work_goes_on(practices: &[Arc<Practice>], more: usize) {
    let enough: Vec<usize> = practices.iter().map(|practice| practice.acknowledged() + more).collect();
    for (practice, enough) in practices.iter().zip(enough) {
        until("the practices work on", || async { (practice.acknowledged() >= enough).then_some(()) }).await;
    }
}

/// Runs it all. What is left of each practice, after nothing was found to be wrong.
async fn run(scale: &Scale) -> Vec<Evidence> {
    let (seed, began) = (seed(), now());
    println!("STIPPLE_TEST_FAULTS={seed}");
    let mut random = Random::seeded(seed);
    let mut stage = Stage::set().await;
    let (mut practices, mut before) = (Vec::new(), Vec::new());
    for _ in 0..scale.practices {
        let practice = Practice::new(World::on(stage.connect(), ZONE).await).await;
        before.push(revision(&practice.world).await);
        practices.push(Arc::new(practice));
    }

    let told = Arc::new(Told::default());
    let (mut desks, mut watching, mut lasts) = (JoinSet::new(), Vec::new(), Vec::new());
    for (practice, before) in practices.iter().zip(&before) {
        for _ in 0..scale.desks {
            let (practice, told) = (Arc::clone(practice), Arc::clone(&told));
            let (random, pause) = (Random::seeded(random.0 ^ desks.len() as u64), scale.pause);
            desks.spawn(async move { practice.work(random, &told, pause).await });
        }
        let (last, of_last) = watch::channel(i64::MAX);
        let (practice, told, before) = (Arc::clone(practice), Arc::clone(&told), *before);
        watching.push(tokio::spawn(async move { Watched::all(&practice.world, before, of_last, &told).await }));
        lasts.push(last);
    }

    let (least, most) = scale.work;
    let faults = drawn(scale, stage.has_disk(), &mut random);
    for (number, fault) in faults.iter().enumerate() {
        if number % TOLD_EVERY == 0 {
            println!("{number} of {} faults", faults.len());
        }
        work_goes_on(&practices, least + random.below(most - least + 1)).await;
        sleep(Duration::from_millis(random.below(MOMENT + 1) as u64)).await;
        stage.inflict(*fault, &mut random).await;
    }
    work_goes_on(&practices, most).await;
    practices.iter().for_each(|practice| practice.close());
    desks.join_all().await;

    let mut left = Vec::new();
    let (mut findings, mut table) = (Vec::new(), Table::new(&stage, &told));
    for (((practice, before), last), watching) in practices.iter().zip(before).zip(lasts).zip(watching) {
        let before = usize::try_from(before).unwrap();
        let mut evidence = Evidence::gather(&practice.world, before, practice.record()).await;
        last.send_replace(evidence.history.last().unwrap().revision);
        let watched = watching.await.unwrap();
        evidence.watched = watched.changes;
        findings.extend(evidence.findings());
        table.add(&evidence, watched.connections);
        left.push(evidence);
    }
    findings.extend(told.wrong());
    findings.extend(stage.verify_and_end().await);
    println!("{table}\nSeed {seed}, {} s.", began.elapsed().as_secs());
    assert!(findings.is_empty(), "STIPPLE_TEST_FAULTS={seed}: {findings:#?}");
    left
}

#[expect(clippy::disallowed_methods, reason = "how long a run took; nothing rests on it")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn what_no_fault_excuses_is_told_from_what_one_does() {
    let info = || ErrorDetails::with_error_info("UNAVAILABLE", "stipple.v1", HashMap::new());
    let hint = |mut details: ErrorDetails| {
        details.set_retry_info(Some(Duration::from_secs(1)));
        details
    };
    let said = |code, details| meaning(&Status::with_error_details(code, "", details));
    assert_eq!(said(Code::Internal, hint(info())), Word::Wrong);
    assert_eq!(said(Code::NotFound, info()), Word::Wrong);
    assert_eq!(said(Code::Unavailable, info()), Word::Wrong);
    assert_eq!(said(Code::ResourceExhausted, hint(info())), Word::Wrong);
    assert_eq!(said(Code::Unavailable, hint(info())), Word::Again);
    assert_eq!(said(Code::FailedPrecondition, info()), Word::Refused);
    assert_eq!(meaning(&Status::internal("")), Word::Wrong);
    let gone = Box::new(std::io::Error::from(ErrorKind::ConnectionReset));
    assert_eq!(meaning(&Status::from_error(gone)), Word::Again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_nothing_acknowledged_is_lost_and_nothing_is_there_twice() {
    let left = run(&SHORT).await;
    spoiled::is_found_out(&left[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn whatever_fails_a_hundred_times_nothing_acknowledged_is_lost_and_nothing_is_there_twice() {
    run(&FULL).await;
}
