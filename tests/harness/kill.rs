//! A server in another process, killed (-9) at random after it has committed and before its reply is believed.
//!
//! With `STIPPLE_TEST_KILL=<seed>` in the environment the whole suite runs against such servers. A reply that comes in
//! is thrown away with some probability, the server is killed, and the request is sent again to the next server with
//! the same request id, as a client does that lost its connection.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tonic::transport::Channel;

use super::random::Random;
use super::server::NOW;

/// Of how many replies one is lost.
const ONE_IN: usize = 8;
/// How often a request is sent at most.
pub const MAX_SENDS: usize = 25;

/// A server that is killed at random. Whichever runs, the clock that began with the first goes on.
pub struct Killed {
    url: String,
    began: Instant,
    running: Mutex<Running>,
}

struct Running {
    child: Child,
    channel: Channel,
    generation: u64,
    random: Random,
}

impl Killed {
    /// The seed, if the suite is to run with kills.
    pub fn wanted() -> Option<u64> {
        std::env::var("STIPPLE_TEST_KILL").ok().map(|seed| seed.parse().expect("STIPPLE_TEST_KILL is a number"))
    }

    /// Starts the first server on a database.
    #[expect(clippy::disallowed_methods, reason = "the servers' clock goes on with the machine's")]
    pub async fn start(url: &str, seed: u64) -> Self {
        Self::start_since(Instant::now(), url, seed).await
    }

    /// Starts another one on the same database, by the same clock but for what either took to start.
    pub async fn beside(&self, seed: u64) -> Self {
        Self::start_since(self.began, &self.url, seed).await
    }

    async fn start_since(began: Instant, url: &str, seed: u64) -> Self {
        let (child, channel) = spawn(url, &clock(began)).await;
        let random = Random::seeded(seed);
        Self { url: url.to_owned(), began, running: Mutex::new(Running { child, channel, generation: 0, random }) }
    }

    /// A channel to the server that runs now, and which one that is.
    pub async fn channel(&self) -> (Channel, u64) {
        let running = self.running.lock().await;
        (running.channel.clone(), running.generation)
    }

    /// Decides whether a reply is lost; if so, kills the server that sent it.
    pub async fn loses_reply(&self, generation: u64) -> bool {
        let mut running = self.running.lock().await;
        let lost = running.random.below(ONE_IN) == 0;
        if lost && running.generation == generation {
            self.replace(&mut running).await;
        }
        lost
    }

    /// Sees to it that another server runs than the one that was lost.
    pub async fn recover(&self, generation: u64) {
        let mut running = self.running.lock().await;
        if running.generation == generation {
            self.replace(&mut running).await;
        }
    }

    async fn replace(&self, running: &mut Running) {
        // SIGKILL.
        let _ = running.child.kill().await;
        let (child, channel) = spawn(&self.url, &clock(self.began)).await;
        running.child = child;
        running.channel = channel;
        running.generation += 1;
    }
}

/// What a clock shows that stood at the tests' now when it began. A server's own begins a little later, once it has started;
/// so one that is started after another has ended is not behind it, and what was due to the one is due to the next.
fn clock(began: Instant) -> String {
    (NOW.parse::<DateTime<Utc>>().unwrap() + began.elapsed()).to_rfc3339()
}

/// A server in a process of its own, whose clock starts at that time.
pub async fn spawn(url: &str, clock: &str) -> (Child, Channel) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stipple"))
        .args(["--listen", "127.0.0.1:0", "--clock", clock, "--database-url", url, "serve"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(address) = line.strip_prefix("Stipple is ready on ") {
                return address.trim_end_matches('.').parse::<SocketAddr>().unwrap();
            }
        }
        panic!("the server ended before it was ready");
    };
    let address = tokio::time::timeout(Duration::from_mins(1), ready).await.expect("the server becomes ready");
    // Read to the end: a server whose output nobody takes dies of it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    (child, channel)
}
