//! Requests that nobody would send, by the thousand and by the million: none of them may be the server's fault, change
//! anything that it is refused, or leave anything behind in the server's memory.
//!
//! `STIPPLE_TEST_FUZZ=<seed>` repeats a run with the seed that it printed. The full run takes minutes:
//! `cargo test --release --test stipple fuzz::a_million -- --ignored --nocapture`.

mod broken;
mod line;
mod messages;
mod random;
mod report;
mod rows;
mod timing;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::harness::TestServer;
use crate::harness::server::NOW;
use crate::running::program::Program;
use worker::{FAR, Site, Tally, WIDE, Way};

/// The seed of a run that is given none.
const SEED: u64 = 20_260_105;
/// How often the full run looks at the server's memory.
const LOOK: Duration = Duration::from_millis(500);
/// Of how many parts of the full run the first is the warm-up; memory is told after each.
const PARTS: u64 = 10;
/// How much more memory than after the warm-up the server may take, in KiB. Most of it are boards, which have a limit of
/// their own (32 MiB).
const GROWTH: u64 = 48 * 1024;

fn seed() -> u64 {
    let seed = std::env::var("STIPPLE_TEST_FUZZ").ok().map_or(SEED, |seed| seed.parse().unwrap());
    println!("STIPPLE_TEST_FUZZ={seed}");
    seed
}

/// A server in a process of its own, beside one in this process that makes practices in the same database.
async fn program(server: &TestServer) -> (Program, String) {
    let url = server.database_url();
    let mut program = Program::start(&["--listen", "127.0.0.1:0", "--clock", NOW, "--database-url", &url]);
    let address = program.ready().await.address;
    (program, format!("http://{address}"))
}

/// Has workers send to it over so many connections, each so many requests to each of so many practices.
async fn send_all(address: &str, site: &Arc<Site>, workers: usize, connections: usize) -> Tally {
    let connect = || Channel::from_shared(address.to_owned()).unwrap().connect_lazy();
    let channels: Vec<_> = std::iter::repeat_with(connect).take(connections).collect();
    let mut running = JoinSet::new();
    for (number, channel) in channels.iter().cycle().take(workers).enumerate() {
        running.spawn(worker::run(Arc::clone(site), u64::try_from(number).unwrap(), channel.clone()));
    }
    let mut all = Tally::default();
    while let Some(done) = running.join_next().await {
        all.add(done.unwrap());
    }
    all
}

/// Fails if the server panicked, or logged a fault of its own.
fn assert_no_fault(program: &Program) {
    let faults: Vec<_> =
        program.errors().into_iter().filter(|line| line.contains("panicked") || line.contains("ERROR")).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_answered_with_a_fault_of_the_server_or_changes_what_it_is_refused() {
    let seed = seed();
    let server = TestServer::start().await;
    let (program, address) = program(&server).await;
    let site = Site::new(server.clone(), seed, FAR, (1, 2000)).await;
    let tally = send_all(&address, &site, 2, 2).await;
    tally.print();
    assert_no_fault(&program);
    let (ok, missing, bad) = (tally.coded("Ok"), tally.coded("NotFound"), tally.coded("InvalidArgument"));
    assert!(ok > 200 && missing > 50 && bad > 1000, "the requests get everywhere: {ok} {missing} {bad}");
    assert!(tally.changes > 50 && tally.looks > 10 && tally.repeats > 2 && tally.went(Way::BrokenHead) > 100);
    server.assert_clean().await;
}

/// How much memory a process holds, in KiB.
fn resident(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Workers: more than the server has connections to the database would wait for each other.
const WORKERS: usize = 12;
/// Connections that they share: what several say at once takes one packet.
const CONNECTIONS: usize = 3;
/// Practices of each.
const ROUNDS: u64 = 10;
/// Requests to each.
const REQUESTS: u64 = 8500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
#[expect(clippy::disallowed_methods, reason = "a rate is told")]
async fn a_million_requests_leave_no_fault_no_change_and_no_memory_behind() {
    let seed = seed();
    let server = TestServer::start().await;
    let (program, address) = program(&server).await;
    let site = Site::new(server.clone(), seed, WIDE, (ROUNDS, REQUESTS)).await;
    let whole = u64::try_from(WORKERS).unwrap() * ROUNDS * REQUESTS;
    let (mut memory, begun) = (vec![resident(&program)], std::time::Instant::now());
    let sending = send_all(&address, &site, WORKERS, CONNECTIONS);
    tokio::pin!(sending);
    let tally = loop {
        tokio::select! {
            tally = &mut sending => break tally,
            () = tokio::time::sleep(LOOK) => {
                let sent = site.sent.load(Ordering::Relaxed);
                while u64::try_from(memory.len()).unwrap() <= sent * PARTS / whole {
                    memory.push(resident(&program));
                    println!("{sent:>8} requests {:>5.0} s {:>8} KiB", begun.elapsed().as_secs_f64(), resident(&program));
                }
            }
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    memory.push(resident(&program));
    tally.print();
    println!("{} requests in {seconds:.0} s, {:.0} a second, seed {seed}", tally.sent(), tally.sent() as f64 / seconds);
    println!("resident memory in KiB, before and after each tenth: {memory:?}");
    assert_no_fault(&program);
    let (warm, most) = (memory[1], memory[1..].iter().max().unwrap());
    assert!(*most <= warm + GROWTH, "{memory:?}");
    server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; prints, and fails of nothing but a broken answer"]
async fn ids_of_others_and_ids_of_nothing_are_compared_by_the_time_that_answers_take() {
    let server = TestServer::start().await;
    let (program, address) = program(&server).await;
    timing::compare(&server, &Channel::from_shared(address).unwrap().connect_lazy()).await;
    assert_no_fault(&program);
}
