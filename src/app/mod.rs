//! One straight-line method per use case. This layer owns transactions, the clock, ids, authorization, repeated
//! requests and retries; what is decided is decided in `domain`, what is stored is stored by `store`.

pub mod access;
pub mod clock;
pub mod error;
pub mod ids;
mod lanes;
pub mod page;
mod write;

mod aftercare;
mod appointment;
mod boards;
mod catalog;
mod clinic;
mod history;
mod patient;
mod practice;
mod resource;
mod series;
pub mod slots;
mod verify;

pub mod commands;
mod facts;

use std::sync::Arc;

use crate::domain::access::Caller;
use crate::domain::ids::PracticeId;
use crate::store::{self, PgPool, Postgres, Transaction};

pub use error::{Error, FieldViolation};
pub use write::{Command, Scoped};

use boards::Boards;
use clock::Clock;
use ids::IdSource;
use lanes::Lanes;
use tokio::sync::Semaphore;

/// Searches for an earliest start that are under way at once: they keep a core busy, and the others are for booking.
const MAX_ADVICE: usize = 1;

/// The use cases, with all that they need from outside.
#[derive(Clone)]
pub struct App {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    lanes: Arc<Lanes>,
    boards: Arc<Boards>,
    advice: Arc<Semaphore>,
}

impl App {
    /// The use cases on a database.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        let advice = Arc::new(Semaphore::new(MAX_ADVICE));
        let lanes = Arc::new(Lanes::new(write::WRITERS));
        Self { pool, clock, ids, lanes, boards: Arc::default(), advice }
    }

    /// The current time, by the clock that the use cases go by.
    pub fn now(&self) -> crate::domain::interval::Instant {
        self.clock.now()
    }

    /// A transaction for reading: all its statements see the same state.
    async fn read(&self) -> Result<Transaction<'static, Postgres>, Error> {
        Ok(store::begin_read(&self.pool).await?)
    }

    /// Whether the database answers.
    pub async fn is_reachable(&self) -> bool {
        store::ping(&self.pool).await.is_ok()
    }

    /// Thinks about when something refused would do: away from the threads that serve requests, without a connection,
    /// and a bounded number at once. Where that fails, what was known before will have to do.
    async fn advise<T: Send + 'static>(&self, think: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _turn = self.advice.acquire().await.ok()?;
        tokio::task::spawn_blocking(think).await.ok()
    }

    /// The practice that a request is about: the one it names, or else the caller's own.
    fn practice(caller: &Caller, named: Option<PracticeId>) -> Result<PracticeId, Error> {
        let bound = caller.practice != PracticeId::DEPLOYMENT;
        match named {
            Some(practice) if bound && practice != caller.practice => Err(Error::PracticeNotAllowed),
            Some(practice) => Ok(practice),
            None => Ok(caller.practice),
        }
    }

    /// The same, where the deployment itself will not do: an operator must name a practice.
    fn tenant(caller: &Caller, named: Option<PracticeId>) -> Result<PracticeId, Error> {
        match Self::practice(caller, named)? {
            PracticeId::DEPLOYMENT => Err(Error::field("practice_id", "an operator must name the practice")),
            practice => Ok(practice),
        }
    }
}
