//! A server for one test: in this process, or, when the suite is run with kills, in one that is killed at random.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgPool;
use stipple::app::clock::Clock;
use stipple::app::ids::SystemIds;
use stipple::app::{App, Pace};
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
        /// Where it listens.
        address: SocketAddr,
        /// To it.
        channel: Channel,
        /// Its clock.
        clock: Arc<TestClock>,
        /// Taken and dropped, it ends.
        stop: Mutex<Option<oneshot::Sender<()>>>,
    },
    /// In a process that is killed at random.
    Killed(Box<Killed>),
    /// In a process that the test itself keeps, behind this channel.
    Away(Channel),
}

/// A server on a database of its own.
#[derive(Clone)]
pub struct TestServer {
    home: Arc<Home>,
    pool: PgPool,
    url: String,
    operator: String,
    pace: Pace,
}

impl TestServer {
    /// A server on a new database.
    pub async fn start() -> Self {
        Self::start_with(Killed::wanted(), Pace::default()).await
    }

    /// The same with other times and limits of watches, unless it runs in another process.
    pub async fn start_paced(pace: Pace) -> Self {
        Self::start_with(Killed::wanted(), pace).await
    }

    /// A server on a new database, killed at random whether or not the suite is run with kills.
    pub async fn start_killed(seed: u64) -> Self {
        Self::start_with(Some(seed), Pace::default()).await
    }

    async fn start_with(killed: Option<u64>, pace: Pace) -> Self {
        let options = cluster::migrated_database().await;
        let pool = cluster::pool(options.clone()).await;
        let clock = Arc::new(TestClock(Mutex::new(NOW.parse().unwrap())));
        let app = App::new(pool.clone(), Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemIds));
        let operator = app.create_operator_token("tests").await.unwrap();
        let url = cluster::url(&options);
        let home = match killed {
            Some(seed) => Home::Killed(Box::new(Killed::start(&url, seed).await)),
            None => Self::here(app.with_pace(pace), clock).await,
        };
        Self { home: Arc::new(home), pool, url, operator, pace }
    }

    /// A server that the test itself keeps, on a database that it keeps as well. Nothing is sent again: who asks is
    /// told what became of it.
    pub fn away(channel: Channel, url: &str, operator: &str) -> Self {
        let pool = PgPool::connect_lazy(url).unwrap();
        let (home, pace) = (Arc::new(Home::Away(channel)), Pace::default());
        Self { home, pool, url: url.to_owned(), operator: operator.to_owned(), pace }
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
        Home::Here { address, channel, clock, stop: Mutex::new(Some(stop)) }
    }

    /// A second server on the same database, with a memory of its own and the same clock.
    pub async fn beside(&self) -> Self {
        self.beside_paced(self.pace).await
    }

    /// The same with other times and limits of watches.
    pub async fn beside_paced(&self, pace: Pace) -> Self {
        let home = match &*self.home {
            Home::Here { clock, .. } => {
                let app = App::new(self.pool.clone(), Arc::clone(clock) as Arc<dyn Clock>, Arc::new(SystemIds));
                Self::here(app.with_pace(pace), Arc::clone(clock)).await
            }
            Home::Killed(killed) => {
                let seed = Killed::wanted().unwrap_or_default().wrapping_add(1);
                Home::Killed(Box::new(killed.beside(seed).await))
            }
            Home::Away(_) => unreachable!("whoever keeps a server starts the next"),
        };
        Self { home: Arc::new(home), pace, ..self.clone() }
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
            Home::Killed(_) | Home::Away(_) => None,
        }
    }

    /// Lets the server finish what is under way and end.
    pub fn stop(&self) {
        if let Home::Here { stop, .. } = &*self.home {
            drop(stop.lock().unwrap().take());
        }
    }

    /// The same server over a new connection, which takes so many bytes of each answer before they are read. Nothing if
    /// the server runs in another process.
    pub async fn connect(&self, window: u32) -> Option<Self> {
        let Home::Here { address, clock, .. } = &*self.home else { return None };
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.initial_stream_window_size(window).connect().await.unwrap();
        let home = Home::Here { address: *address, channel, clock: Arc::clone(clock), stop: Mutex::new(None) };
        Some(Self { home: Arc::new(home), ..self.clone() })
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
        self.url.clone()
    }

    /// What verifying the database finds.
    pub async fn verify(&self) -> Report {
        // Of one moment, whatever goes on meanwhile.
        let mut db = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.unwrap();
        verify(&mut db).await.unwrap()
    }

    /// Holds the database to every promise.
    pub async fn assert_clean(&self) {
        let report = self.verify().await;
        assert!(report.is_clean(), "{report}");
    }
}
