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
mod moving;
mod patient;
mod planning;
mod practice;
mod resource;
mod series;
mod series_booking;
pub mod slots;
mod verify;

pub mod commands;
mod facts;

use std::sync::Arc;

use crate::domain::access::Caller;
use crate::domain::ids::PracticeId;
use crate::store::{self, PgPool, Postgres, StoreError, Transaction};

pub use boards::Course;
pub use error::{Error, FieldViolation};
pub use moving::Moved;
pub use planning::Proposal;
pub use write::{Command, Scoped};

use boards::Boards;
use clock::Clock;
use ids::IdSource;
use lanes::Lanes;
use tokio::sync::Semaphore;

/// Searches for an earliest start that are under way at once: they keep a core busy, and the others are for booking.
const MAX_ADVICE: usize = 1;
/// Series that are planned at once: likewise.
const MAX_PLANNERS: usize = 2;

/// The use cases, with all that they need from outside.
#[derive(Clone)]
pub struct App {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    lanes: Arc<Lanes>,
    boards: Arc<Boards>,
    advice: Arc<Semaphore>,
    planners: Arc<Semaphore>,
}

impl App {
    /// The use cases on a database.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        let advice = Arc::new(Semaphore::new(MAX_ADVICE));
        let lanes = Arc::new(Lanes::new(write::WRITERS));
        let planners = Arc::new(Semaphore::new(MAX_PLANNERS));
        Self { pool, clock, ids, lanes, boards: Arc::default(), advice, planners }
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

    /// Plans a series, likewise away from the threads that serve requests.
    async fn plan<T: Send + 'static>(&self, plan: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let turn = self.planners.acquire().await;
        let planned = tokio::task::spawn_blocking(plan).await;
        drop(turn);
        planned.map_err(|_| StoreError::Corrupt("a plan that cannot be made").into())
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
