//! What runs and what may be done to it: a server, its PostgreSQL on a small disk, and the lines to both.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;
use tonic::transport::Channel;

use super::disk::Disk;
use super::line::{Far, Line};
use super::postgres::Postgres;
use crate::harness::TestServer;
use crate::harness::random::Random;
use crate::running::program::{Folder, Program, until};

/// The longest time between a fault and its repair, in milliseconds.
const DOWN: usize = 300;
/// The longest time for which answers are kept back before a fault, in milliseconds.
const HUSHED: usize = 150;
/// How long a database is away that is away for long: longer than a request waits for a connection.
const AWAY: Duration = Duration::from_secs(4);
/// The shortest and the longest pause of a process that is stopped, in milliseconds.
const STOPPED: (usize, usize) = (200, 800);

/// Something that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    ServerKilled,
    PostmasterKilled,
    BackendKilled,
    PostgresStopped,
    BothKilled,
    PostgresAway,
    DatabaseSilent,
    DatabaseCut,
    ClientsCut,
    DiskFull,
    ServerPaused,
    PostmasterPaused,
    BackendPaused,
}

impl Fault {
    /// What it is, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerKilled => "server killed (-9)",
            Self::PostmasterKilled => "postmaster killed (-9)",
            Self::BackendKilled => "backend killed (-9)",
            Self::PostgresStopped => "PostgreSQL stopped at once (SIGQUIT)",
            Self::BothKilled => "server and postmaster killed (-9) together",
            Self::PostgresAway => "PostgreSQL stopped for 4 s",
            Self::DatabaseSilent => "answers of PostgreSQL kept back for 4 s",
            Self::DatabaseCut => "connections to PostgreSQL cut",
            Self::ClientsCut => "connections of clients cut",
            Self::DiskFull => "disk full",
            Self::ServerPaused => "server paused (SIGSTOP)",
            Self::PostmasterPaused => "postmaster paused (SIGSTOP)",
            Self::BackendPaused => "backend paused (SIGSTOP)",
        }
    }

    /// How many kills it is.
    pub const fn kills(self) -> usize {
        match self {
            Self::ServerKilled
            | Self::PostmasterKilled
            | Self::BackendKilled
            | Self::PostgresStopped
            | Self::PostgresAway => 1,
            Self::BothKilled => 2,
            Self::DatabaseSilent
            | Self::DatabaseCut
            | Self::ClientsCut
            | Self::DiskFull
            | Self::ServerPaused
            | Self::PostmasterPaused
            | Self::BackendPaused => 0,
        }
    }
}

/// All that runs. Dropped in this order, whatever ends a run: what runs on the disk ends before the disk.
pub struct Stage {
    server: Program,
    clients: Line,
    database: Line,
    postgres: Postgres,
    disk: Option<Disk>,
    _folder: Folder,
    operator: String,
    /// What was inflicted, how often.
    pub inflicted: BTreeMap<Fault, usize>,
    /// What servers logged that they never should.
    complaints: Vec<String>,
}

impl Stage {
    /// Starts everything.
    pub async fn set() -> Self {
        let folder = Folder::new();
        let disk = Disk::mount(&folder.data());
        if disk.is_none() {
            println!("left out: no disk is full, because this user may not mount a small one");
        }
        let postgres = Postgres::make(&folder.data()).await;
        let database = Line::to(Far::Socket(postgres.socket()));
        let url = format!("postgres://stipple@{}/stipple", database.address());
        let (well, output, errors) = Program::run(&["token", "--database-url", &url]).await;
        assert!(well && output.len() == 1, "{errors:?}");
        let operator = output[0].clone();
        let mut server = serve(&url);
        let clients = Line::to(Far::Port(server.ready().await.address.parse().unwrap()));
        let (inflicted, complaints) = (BTreeMap::new(), Vec::new());
        Self { server, clients, database, postgres, disk, _folder: folder, operator, inflicted, complaints }
    }

    /// How to reach the server over a connection of one's own, whichever server it is by then.
    pub fn connect(&self) -> TestServer {
        let channel = Channel::from_shared(format!("http://{}", self.clients.address())).unwrap();
        TestServer::away(channel.connect_lazy(), &self.url(), &self.operator)
    }

    /// Whether the disk can be filled.
    pub const fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Lets something fail, and repairs what does not recover by itself.
    pub async fn inflict(&mut self, fault: Fault, random: &mut Random) {
        match fault {
            Fault::ServerKilled => {
                hush(&self.clients, random).await;
                self.kill_server().await;
                self.start_server(random).await;
            }
            Fault::PostmasterKilled => {
                hush(&self.database, random).await;
                self.end_postgres(Signal::KILL).await;
                self.start_postgres(random).await;
            }
            Fault::PostgresStopped => {
                hush(&self.database, random).await;
                self.end_postgres(Signal::QUIT).await;
                self.start_postgres(random).await;
            }
            Fault::BothKilled => {
                self.end_postgres(Signal::KILL).await;
                self.kill_server().await;
                self.start_postgres(random).await;
                self.start_server(random).await;
            }
            Fault::PostgresAway => {
                self.end_postgres(Signal::QUIT).await;
                sleep(AWAY).await;
                self.start_postgres(random).await;
            }
            Fault::DatabaseSilent => {
                self.database.hush(true);
                sleep(AWAY).await;
                self.database.hush(false);
            }
            Fault::BackendKilled => {
                // PostgreSQL then ends all others as well, and recovers by itself.
                let backend = self.backend(random).await;
                let _ = kill_process(backend, Signal::KILL);
            }
            Fault::DatabaseCut => sever(&mut self.database, random).await,
            Fault::ClientsCut => sever(&mut self.clients, random).await,
            Fault::DiskFull => self.fill_disk(random).await,
            Fault::ServerPaused => pause(self.server.pid(), random).await,
            Fault::PostmasterPaused => pause(self.postgres.postmaster(), random).await,
            Fault::BackendPaused => pause(self.backend(random).await, random).await,
        }
        *self.inflicted.entry(fault).or_default() += 1;
    }

    /// Verifies the database, as an operator does, and ends everything in order. What was found.
    pub async fn verify_and_end(mut self) -> Vec<String> {
        let (well, output, errors) = Program::run(&["verify", "--database-url", &self.url()]).await;
        if !well {
            self.complaints.push(format!("stipple verify: {output:?} {errors:?}"));
        }
        self.server.signal(Signal::TERM);
        if !self.server.ended().await.success() {
            self.complaints.push("the server did not end well".to_owned());
        }
        self.read_log();
        self.postgres.signal(Signal::INT);
        self.postgres.ended().await;
        self.complaints
    }

    fn url(&self) -> String {
        format!("postgres://stipple@{}/stipple", self.database.address())
    }

    async fn kill_server(&mut self) {
        self.server.signal(Signal::KILL);
        self.clients.refuse();
        self.server.ended().await;
        self.clients.lose();
        self.read_log();
    }

    async fn start_server(&mut self, random: &mut Random) {
        wait(random, DOWN).await;
        self.server = serve(&self.url());
        self.clients.lead_to(Far::Port(self.server.ready().await.address.parse().unwrap()));
        self.clients.open();
    }

    /// Keeps what the server that ended has logged of faults of its own.
    fn read_log(&mut self) {
        let own =
            self.server.errors().into_iter().filter(|line| line.contains("own fault") || line.contains("panicked"));
        self.complaints.extend(own);
    }

    async fn end_postgres(&mut self, signal: Signal) {
        self.postgres.signal(signal);
        self.database.refuse();
        self.postgres.ended().await;
        self.database.lose();
    }

    async fn start_postgres(&mut self, random: &mut Random) {
        wait(random, DOWN).await;
        self.postgres.start().await;
        self.database.open();
    }

    /// Fills the disk until PostgreSQL has noticed, and a little longer.
    async fn fill_disk(&mut self, random: &mut Random) {
        let disk = self.disk.as_ref().expect("a disk to fill");
        let before = self.postgres.met_a_full_disk();
        disk.fill();
        until("the full disk is noticed", || async { (self.postgres.met_a_full_disk() > before).then_some(()) }).await;
        wait(random, DOWN).await;
        disk.free();
        self.postgres.recover().await;
    }

    /// One of the processes that serve the server.
    async fn backend(&self, random: &mut Random) -> Pid {
        let backends = until("PostgreSQL serves the server", || async {
            Some(self.postgres.backends().await).filter(|backends| !backends.is_empty())
        });
        *random.of(&backends.await)
    }
}

fn serve(url: &str) -> Program {
    Program::start(&["serve", "--listen", "127.0.0.1:0", "--database-url", url])
}

async fn wait(random: &mut Random, longest: usize) {
    sleep(Duration::from_millis(random.below(longest + 1) as u64)).await;
}

/// Every other time, keeps back what the far end of a line says for a moment: what was done then, nobody hears of if
/// the line is cut before it may speak again.
async fn hush(line: &Line, random: &mut Random) {
    if random.below(2) == 0 {
        line.hush(true);
        wait(random, HUSHED).await;
    }
}

/// Cuts what goes over a line, and every other time takes nothing new for a moment.
async fn sever(line: &mut Line, random: &mut Random) {
    hush(line, random).await;
    let refuses = random.below(2) == 0;
    if refuses {
        line.refuse();
    }
    line.cut();
    line.hush(false);
    if refuses {
        wait(random, DOWN).await;
        line.open();
    }
}

async fn pause(process: Pid, random: &mut Random) {
    let (shortest, longest) = STOPPED;
    // A backend may have ended meanwhile.
    let _ = kill_process(process, Signal::STOP);
    sleep(Duration::from_millis((shortest + random.below(longest - shortest)) as u64)).await;
    let _ = kill_process(process, Signal::CONT);
}
