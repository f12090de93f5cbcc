//! A server for one test: in this process, or, when the suite is run with kills, in one that is killed at random.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgPool};
use stipple::app::App;
use stipple::app::clock::Clock;
use stipple::app::ids::SystemIds;
use stipple::store::verify::{Report, verify};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Channel;

use super::cluster;
use super::kill::Killed;
use super::wire::{Clients, Wire};

/// What the servers' clocks show when a test begins: a Monday, 9:00 in Berlin.
pub const NOW: &str = "2026-01-05T08:00:00Z";

/// A clock that stands until it is set.
pub struct TestClock(Mutex<DateTime<Utc>>);

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// Where the server runs.
pub enum Home {
    /// In this process.
    Here {
        /// To it.
        channel: Channel,
        /// Its clock.
        clock: Arc<TestClock>,
        /// Dropped, it ends.
        _stop: oneshot::Sender<()>,
    },
    /// In a process that is killed at random.
    Killed(Box<Killed>),
}

/// A server on a database of its own.
#[derive(Clone)]
pub struct TestServer {
    home: Arc<Home>,
    pool: PgPool,
    options: PgConnectOptions,
    operator: String,
}

impl TestServer {
    /// A server on a new database.
    pub async fn start() -> Self {
        Self::start_with(Killed::wanted()).await
    }

    /// A server on a new database, killed at random whether or not the suite is run with kills.
    pub async fn start_killed(seed: u64) -> Self {
        Self::start_with(Some(seed)).await
    }

    async fn start_with(killed: Option<u64>) -> Self {
        let options = cluster::migrated_database().await;
        let pool = cluster::pool(options.clone()).await;
        let clock = Arc::new(TestClock(Mutex::new(NOW.parse().unwrap())));
        let app = App::new(pool.clone(), Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemIds));
        let operator = app.create_operator_token("tests").await.unwrap();
        let home = match killed {
            Some(seed) => Home::Killed(Box::new(Killed::start(&cluster::url(&options), seed).await)),
            None => Self::here(app, clock).await,
        };
        Self { home: Arc::new(home), pool, options, operator }
    }

    async fn here(app: App, clock: Arc<TestClock>) -> Home {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            stipple::server::serve(listener, Arc::new(app), stopped).await.unwrap();
        });
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Home::Here { channel, clock, _stop: stop }
    }

    /// A second server on the same database, with a memory of its own and the same clock.
    pub async fn beside(&self) -> Self {
        let home = match &*self.home {
            Home::Here { clock, .. } => {
                let app = App::new(self.pool.clone(), Arc::clone(clock) as Arc<dyn Clock>, Arc::new(SystemIds));
                Self::here(app, Arc::clone(clock)).await
            }
            Home::Killed(_) => {
                let seed = Killed::wanted().unwrap_or_default().wrapping_add(1);
                Home::Killed(Box::new(Killed::start(&cluster::url(&self.options), seed).await))
            }
        };
        Self { home: Arc::new(home), ..self.clone() }
    }

    /// Where it runs.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Sets the server's clock. Nothing if the server runs in another process: then the test ends early.
    #[must_use]
    pub fn set_clock(&self, now: &str) -> Option<()> {
        match &*self.home {
            Home::Here { clock, .. } => {
                *clock.0.lock().unwrap() = now.parse().unwrap();
                Some(())
            }
            Home::Killed(_) => None,
        }
    }

    /// Clients with an operator's token.
    pub fn operator(&self) -> Clients {
        self.clients(&self.operator)
    }

    /// Clients with a token.
    pub fn clients(&self, token: &str) -> Clients {
        Clients::new(Wire::new(self.clone(), Some(token.to_owned())))
    }

    /// The database.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// How to connect to the database.
    pub fn database_url(&self) -> String {
        cluster::url(&self.options)
    }

    /// What verifying the database finds.
    pub async fn verify(&self) -> Report {
        verify(&mut self.pool.acquire().await.unwrap()).await.unwrap()
    }

    /// Holds the database to every promise.
    pub async fn assert_clean(&self) {
        let report = self.verify().await;
        assert!(report.is_clean(), "{report}");
    }
}
