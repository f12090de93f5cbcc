//! The server as a process of its own, so that what it takes can be told from what the clients take.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use crate::common::{Database, connect};
use crate::target::LOG;

/// How long a server may take to start, with a new data folder, and to stop.
const LIMIT: Duration = Duration::from_secs(60);
/// Ticks of a processor second in /proc.
const TICKS: f64 = 100.0;

/// A server that runs; killed when it is dropped.
pub struct Process {
    /// Where it listens.
    pub address: String,
    /// How long it took until it answered that it serves.
    pub started_in: Duration,
    child: Child,
    /// Kept open: what it prints has somewhere to go.
    _output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a server with these arguments and waits until it serves; what it logs goes into a file.
    pub async fn start(arguments: &[&str], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("the log can be written");
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_stipple"));
        for setting in ["STIPPLE_CLOCK", "STIPPLE_DATABASE_CONNECTIONS", "STIPPLE_DATA_DIR", "DATABASE_URL"] {
            command.env_remove(setting);
        }
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments).kill_on_drop(true);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let serving = async {
            let mut line = String::new();
            output.read_line(&mut line).await.expect("its output can be read");
            let address = line.trim_end().strip_prefix("Stipple is ready on ").expect("it says that it is ready");
            let address = address.trim_end_matches('.').to_owned();
            let mut health = HealthClient::new(connect(&address).await);
            let answer = health.check(HealthCheckRequest::default()).await.expect("it answers").into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "it serves");
            address
        };
        let address = tokio::time::timeout(LIMIT, serving).await.expect("it is ready in time");
        Self { address, started_in: begun.elapsed(), child, _output: output }
    }

    /// Starts a server on a database of the cluster.
    pub async fn on(database: &Database, name: &str, out: &Path) -> Self {
        Self::start(&["--database-url", &database.url(name)], &out.join(LOG)).await
    }

    /// What it has taken so far.
    pub fn usage(&self) -> Option<Usage> {
        Usage::of(&self.child.id()?.to_string())
    }

    /// Ends it as its operator would.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(pid, Signal::TERM).expect("it can be signalled");
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await.expect("it ends in time");
        assert!(ended.expect("it can be waited for").success(), "it ends well");
    }
}

/// What a process takes, as Linux tells it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    /// Its resident memory, in MiB.
    pub rss_mib: f64,
    /// Processor seconds since its start.
    pub cpu_seconds: f64,
}

impl Usage {
    /// Of a process by its id, or of `self`; none where there is no /proc.
    pub fn of(process: &str) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = resident.trim().trim_end_matches(" kB").parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in parentheses, may hold spaces; of what follows it, user and system time are 12th and 13th.
        let ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Some(Self { rss_mib: kib / 1024.0, cpu_seconds: ticks.sum::<Result<f64, _>>().ok()? / TICKS })
    }
}
