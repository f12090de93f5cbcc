//! A PostgreSQL of the driver's own, which it kills and starts as often as it likes: made by `stipple::embedded`, whose
//! supervisor gives up after five deaths, and then run from the same binaries, by the same user, on the same socket.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use stipple::embedded::{Cluster, Settings};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::running::program::LIMIT;

/// Durable, as what is proven is that acknowledged changes survive; and little of its log is kept, because the disk is
/// small.
const SETTINGS: [&str; 11] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "restart_after_crash=on",
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=60",
    "shared_buffers=64MB",
    "min_wal_size=32MB",
    "max_wal_size=96MB",
    "timezone=UTC",
];
/// How often a start is tried: one that comes while processes of a killed postmaster still end fails.
const MAX_STARTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is asked whether it takes connections, and how long it may take to say so.
const MAX_LOOKS: u32 = 6_000;
const LOOK: Duration = Duration::from_millis(10);
const ANSWER: Duration = Duration::from_secs(10);
/// What it says of a disk that is full.
const FULL: &str = "No space left on device";

/// The cluster and its postmaster, which is killed when this is dropped.
pub struct Postgres {
    program: PathBuf,
    cluster: PathBuf,
    log: PathBuf,
    options: PgConnectOptions,
    child: Child,
}

impl Postgres {
    /// Makes a cluster in a data folder, with an empty database, and starts it.
    pub async fn make(data: &Path) -> Self {
        let made = Cluster::start(&Settings::durable(data)).await.unwrap();
        let options = made.connect_options("stipple").application_name("faults");
        let mut db = PgConnection::connect_with(&options).await.unwrap();
        let binaries = "SELECT setting FROM pg_config WHERE name = 'BINDIR'";
        let binaries: String = sqlx::query_scalar(binaries).fetch_one(&mut db).await.unwrap();
        db.close().await.unwrap();
        made.stop().await.unwrap();
        let program = Path::new(&binaries).join("postgres");
        // Beside the data folder, whose disk may be full.
        let (cluster, log) = (data.join("postgres"), data.with_extension("log"));
        let child = spawn(&program, &cluster, &options, &log);
        let mut postgres = Self { program, cluster, log, options, child };
        if !postgres.comes_up().await {
            postgres.start().await;
        }
        postgres
    }

    /// The folder of its socket.
    pub fn socket(&self) -> PathBuf {
        self.options.get_socket().unwrap().join(".s.PGSQL.5432")
    }

    /// Starts it again, and waits until it takes connections.
    pub async fn start(&mut self) {
        for _ in 0..MAX_STARTS {
            self.child = spawn(&self.program, &self.cluster, &self.options, &self.log);
            if self.comes_up().await {
                return;
            }
            sleep(PAUSE).await;
        }
        panic!("PostgreSQL does not start: {}", self.said());
    }

    /// Sees to it that it runs and takes connections, as soon as it does by itself or else by starting it.
    pub async fn recover(&mut self) {
        if !self.comes_up().await {
            self.start().await;
        }
    }

    /// Waits until it takes connections; not if it ends.
    async fn comes_up(&mut self) -> bool {
        for _ in 0..MAX_LOOKS {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            let answer = async { PgConnection::connect_with(&self.options).await?.ping().await };
            if timeout(ANSWER, answer).await.is_ok_and(|answer| answer.is_ok()) {
                return true;
            }
            sleep(LOOK).await;
        }
        panic!("PostgreSQL does not take connections: {}", self.said());
    }

    /// Its postmaster.
    pub fn postmaster(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("it runs").cast_signed()).unwrap()
    }

    /// Sends the postmaster a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.postmaster(), signal).unwrap();
    }

    /// Waits for the postmaster's end.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(LIMIT, self.child.wait()).await.expect("the postmaster ends").unwrap()
    }

    /// The processes that serve the server now; nothing if it cannot say.
    pub async fn backends(&self) -> Vec<Pid> {
        let Ok(mut db) = PgConnection::connect_with(&self.options).await else { return Vec::new() };
        let serving = "SELECT pid FROM pg_stat_activity WHERE application_name = 'stipple'";
        let pids: Vec<i32> = sqlx::query_scalar(serving).fetch_all(&mut db).await.unwrap_or_default();
        pids.into_iter().filter_map(Pid::from_raw).collect()
    }

    /// How often it has met a full disk so far.
    pub fn met_a_full_disk(&self) -> usize {
        self.said().matches(FULL).count()
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }
}

fn spawn(program: &Path, cluster: &Path, options: &PgConnectOptions, log: &Path) -> Child {
    let owner = std::fs::metadata(cluster).unwrap();
    let log: File = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
    command.arg("-D").arg(cluster).args(["-k", options.get_socket().unwrap().to_str().unwrap()]);
    command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    // PostgreSQL refuses to run as root.
    command.uid(owner.uid()).gid(owner.gid());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn().unwrap()
}
