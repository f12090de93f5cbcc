//! A private PostgreSQL cluster in a data folder, run from installed binaries.
//!
//! A clinic that has no database server of its own should be able to start one binary
//! and be done. So this finds an installed PostgreSQL, makes a cluster in the data folder
//! at the first start, runs it as a child that takes connections only on a Unix socket in
//! a private folder, starts it again when it dies and stops it cleanly at the end. The
//! child never outlives us, not even at `kill -9` (see `guard`), and two servers never
//! share a data folder (a file lock, held until PostgreSQL has ended).
//!
//! ```text
//! <data_dir>/stipple.lock      held while a server runs
//! <data_dir>/postgres/         the cluster
//! <data_dir>/postgres.log      its log; .old is that of the start before
//! <data_dir>/run/              the socket (or <temp>/stipple-<hash>/ when the path is too long)
//! ```
//!
//! Under systemd use `KillMode=mixed`: else PostgreSQL gets the SIGTERM as well, and
//! takes no new connections while the last requests are answered.

mod account;
mod binaries;
mod error;
mod folder;
mod guard;
mod log;
mod paths;
mod pidfile;
mod server;
mod settings;
mod supervise;

pub use error::EmbeddedError;
pub use paths::default_data_dir;
pub use settings::{Durability, Settings};

use paths::Layout;
use server::{Lifeline, Server};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection, Executor};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use supervise::State;
use tokio::sync::watch;
use tokio::time::timeout;

/// The one role, who owns everything; the socket's folder is the access control.
const SUPERUSER: &str = "stipple";
/// Only part of the socket's name; `server` and `paths` say it, too.
const PORT: u16 = 5432;
/// The database that is there after the first start.
const DATABASE: &str = "stipple";
/// The database every cluster has.
const MAINTENANCE_DATABASE: &str = "postgres";

/// How long the first connection may take once the server says it is ready.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_TRIES: u32 = 40;
const CONNECT_PAUSE: Duration = Duration::from_millis(25);

/// How long [`Cluster::stop`] waits; longer than the guard's own limit, after which
/// PostgreSQL ends at once.
const STOP_LIMIT_SECONDS: u64 = guard::END_LIMIT_SECONDS + 15;

/// A running cluster. Dropping it stops PostgreSQL, too, but does not wait for it.
pub struct Cluster {
    layout: Layout,
    lifeline: Arc<Lifeline>,
    state: watch::Receiver<State>,
}

impl Cluster {
    /// Starts the cluster of a data folder, makes it first when there is none, and
    /// returns when a connection to its database succeeds.
    ///
    /// # Errors
    /// Each says what to do; see [`EmbeddedError`].
    pub async fn start(settings: &Settings) -> Result<Self, EmbeddedError> {
        let settings = settings.clone();
        let cluster = tokio::task::spawn_blocking(move || Self::launch(&settings))
            .await
            .map_err(|error| EmbeddedError::Runtime(error.to_string()))??;
        match cluster.open_database().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.stop().await?;
                Err(error)
            }
        }
    }

    /// [`Cluster::start`] for where there is no runtime, or one that must not be waited
    /// in: a static that all tests of a process share.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_blocking(settings: &Settings) -> Result<Self, EmbeddedError> {
        // On a thread of its own, because a runtime cannot be started inside another.
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .map_err(|error| EmbeddedError::Runtime(error.to_string()))?
                        .block_on(Self::start(settings))
                })
                .join()
                .unwrap_or_else(|_| Err(EmbeddedError::Runtime("it panicked".to_owned())))
        })
    }

    /// Connect options of the cluster that a running server holds in this data folder:
    /// for a second command beside the server. `None` when none runs, or its socket is
    /// not ours to open.
    pub async fn attach(data_dir: &Path) -> Option<PgConnectOptions> {
        let data_dir = data_dir.to_path_buf();
        let found = tokio::task::spawn_blocking(move || {
            let layout = Layout::of(&data_dir).ok()?;
            // Where PostgreSQL itself says, not where we would put it: TMPDIR may differ.
            pidfile::ready_socket_dir(&layout.cluster)
        });
        let socket_dir = found.await.ok()??;
        Some(connect_options(&socket_dir, DATABASE))
    }

    /// How to connect to a database of this cluster.
    #[must_use]
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        connect_options(&self.layout.socket_dir, database)
    }

    /// The same for `psql` and other programs.
    #[must_use]
    pub fn url(&self) -> String {
        let socket_dir = paths::percent_encoded(&self.layout.socket_dir);
        format!("postgres:///{DATABASE}?host={socket_dir}&port={PORT}&user={SUPERUSER}")
    }

    /// The data folder, as an absolute path.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.layout.data_dir
    }

    /// Ends when PostgreSQL has failed for good: it died and was started again as often as
    /// is allowed. The server should stop then. Never ends otherwise.
    pub async fn failed(&self) -> EmbeddedError {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Failed(why) => return EmbeddedError::Failed { why: why.clone() },
                State::Stopped => break,
                State::Running => {}
            }
            if state.changed().await.is_err() {
                return EmbeddedError::Failed { why: "its supervisor has ended".to_owned() };
            }
        }
        std::future::pending().await
    }

    /// Stops PostgreSQL cleanly: connections are closed, everything is written out. Close
    /// the pools before. The data folder is free for another server after this.
    ///
    /// # Errors
    /// [`EmbeddedError::TooSlow`] when it does not end within a limit.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        self.lifeline.cut();
        let mut state = self.state.clone();
        let ended = state.wait_for(|state| !matches!(state, State::Running));
        match timeout(Duration::from_secs(STOP_LIMIT_SECONDS), ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(EmbeddedError::TooSlow {
                what: "stopping PostgreSQL",
                seconds: STOP_LIMIT_SECONDS,
                log: self.layout.log.clone(),
            }),
        }
    }

    /// All of the start that blocks.
    fn launch(settings: &Settings) -> Result<Self, EmbeddedError> {
        folder::create_data_dir(&settings.data_dir, settings.durability)?;
        let launched = Self::launch_in(settings);
        if launched.is_err() && settings.durability == Durability::Throwaway {
            // Made above, so it is ours to remove; the guard may have done so.
            let _ = std::fs::remove_dir_all(&settings.data_dir);
        }
        launched
    }

    fn launch_in(settings: &Settings) -> Result<Self, EmbeddedError> {
        let layout = Layout::of(&settings.data_dir)?;
        let durability = settings.durability;
        let lock = folder::lock(&layout)?;
        let account = account::choose(&layout.cluster)?;
        let account_ref = account.as_ref();
        if durability == Durability::Throwaway {
            // The guard, who removes it at the end, runs as the cluster's user.
            account::hand_over(&layout.data_dir, account_ref)?;
        }
        folder::remove_unfinished(&layout);
        let made_by = folder::made_by(&layout)?;
        let binaries = binaries::find(settings.bin_dir.as_deref(), made_by, account_ref)?;
        account::check_reach(&layout.data_dir, account_ref)?;
        let log = log::Log::create(&layout)?;
        if made_by.is_none() {
            tracing::info!(
                folder = ?layout.cluster,
                version = binaries.major,
                "making a new PostgreSQL cluster"
            );
            folder::create_cluster(&layout, &binaries, account_ref, durability, &log)?;
        }
        folder::prepare_socket_dir(&layout, account_ref)?;
        let lifeline = Arc::new(Lifeline::default());
        let server = Server { layout: layout.clone(), binaries, account, durability, log };
        let child = server.start(&lifeline)?;
        let state = supervise::spawn(server, Arc::clone(&lifeline), lock, child)?;
        Ok(Self { layout, lifeline, state })
    }

    /// Connects once, as the proof that the cluster is ready. The database is made when
    /// missing, at any start: the first one may have been killed just before.
    async fn open_database(&self) -> Result<(), EmbeddedError> {
        let mut tries = 0;
        loop {
            let error = match self.try_database().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            tries += 1;
            if tries >= CONNECT_TRIES {
                return Err(EmbeddedError::Connect(Box::new(error)));
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
    }

    async fn try_database(&self) -> Result<(), sqlx::Error> {
        let mut connection = connect(&self.connect_options(MAINTENANCE_DATABASE)).await?;
        let exists = sqlx::query("SELECT FROM pg_database WHERE datname = $1")
            .bind(DATABASE)
            .fetch_optional(&mut connection)
            .await?
            .is_some();
        if !exists {
            connection.execute("CREATE DATABASE stipple").await?;
        }
        connection.close().await?;
        let connection = connect(&self.connect_options(DATABASE)).await?;
        connection.close().await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.lifeline.cut();
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    timeout(CONNECT_LIMIT, PgConnection::connect_with(options)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Everything is said, so that `PGHOST` and its like in our environment, which mean some
/// other server, change nothing.
fn connect_options(socket_dir: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_dir)
        .port(PORT)
        .username(SUPERUSER)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
        .application_name("stipple")
}
