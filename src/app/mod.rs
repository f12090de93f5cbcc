//! One straight-line method per use case. This layer owns transactions, the clock, ids, authorization, repeated
//! requests and retries; what is decided is decided in `domain`, what is stored is stored by `store`.

pub mod access;
pub mod clock;
pub mod error;
pub mod ids;
pub mod lanes;
pub mod page;
mod write;

mod advice;
mod aftercare;
mod agenda;
mod appointment;
mod assessment;
mod boards;
mod catalog;
mod clearance;
mod clinic;
mod combination;
mod crowd;
mod displacing;
mod fitness;
mod follow_up;
mod history;
mod holds;
mod messages;
mod missed;
mod moving;
mod next_session;
mod overrides;
mod patient;
mod planning;
mod practice;
mod reactions;
mod resource;
mod screening;
mod series;
mod series_booking;
mod series_holds;
mod sheet;
mod signature;
mod single_visit;
pub mod slots;
mod steps;
mod thinkers;
mod verify;
mod visit;
mod visit_record;
mod waiting;
mod watch;

pub mod commands;
mod facts;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::access::Caller;
use crate::domain::ids::PracticeId;
use crate::store::{self, Connections, PgPool, Postgres, Transaction};

pub use boards::Course;
pub use clearance::Signed;
pub use displacing::{DisplacedVisit, DisplacedVisits};
pub use error::{Error, FieldViolation};
pub use messages::Taken;
pub use missed::VisitNow;
pub use moving::{Moved, MovedVisit};
pub use next_session::{MAX_NEXT_SLOTS, NextSession};
pub use planning::Proposal;
pub use reactions::{ReactionCleared, Reported};
pub use screening::Screened;
pub use series::SeriesNow;
pub use sheet::SheetEntry;
pub use visit::Completed;
pub use waiting::{EntryNow, Match, Offered};
pub use watch::{DayChange, DayNews, DayWatch, HistoryNews, HistoryWatch, Pace};
pub use write::{Command, Scoped};

use boards::Boards;
use clock::Clock;
use crowd::Crowd;
use ids::IdSource;
use lanes::{Lanes, MAX_WAITING, MAX_WAITING_WRITERS};
use thinkers::Thinkers;
use watch::Watches;

/// How long the database may take for a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// Searches for an earliest start that are under way at once: they keep a core busy, and the others are for booking.
const MAX_ADVICE: usize = 1;
/// Series that are planned at once, half of them of one practice: likewise.
const MAX_PLANNERS: usize = 2;
/// Searches for slots at once, half of them of one practice: most take a fraction of a millisecond.
const MAX_SEARCHES: usize = 2;

/// The use cases, with all that they need from outside.
#[derive(Clone)]
pub struct App {
    connections: Connections,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    lanes: Arc<Lanes>,
    boards: Arc<Boards>,
    advice: Arc<Thinkers>,
    crowd: Arc<Crowd>,
    planners: Arc<Thinkers>,
    searches: Arc<Thinkers>,
    watches: Arc<Watches>,
}

impl App {
    /// The use cases on a database.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        let size = pool.options().get_max_connections();
        Self {
            connections: Connections::new(pool),
            clock,
            ids,
            lanes: Arc::new(Lanes::new(write::WRITERS, MAX_WAITING_WRITERS)),
            boards: Arc::default(),
            advice: Arc::new(Thinkers::new(MAX_ADVICE, MAX_ADVICE, MAX_WAITING_WRITERS)),
            crowd: Arc::default(),
            planners: Arc::new(Thinkers::new(MAX_PLANNERS, MAX_PLANNERS.div_ceil(2), MAX_WAITING)),
            searches: Arc::new(Thinkers::new(MAX_SEARCHES, MAX_SEARCHES.div_ceil(2), MAX_WAITING)),
            watches: Arc::new(Watches::new(Pace::default(), size)),
        }
    }

    /// The same use cases on the same database, by another clock.
    #[must_use]
    pub fn by_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self::new(self.connections.pool().clone(), clock, self.ids.clone())
    }

    /// The current time, by the clock that the use cases go by.
    pub fn now(&self) -> crate::domain::interval::Instant {
        self.clock.now()
    }

    /// A transaction for reading: all its statements see the same state.
    async fn read(&self) -> Result<Transaction<'static, Postgres>, Error> {
        Ok(self.connections.begin_read().await?)
    }

    /// The same for a search.
    async fn search(&self) -> Result<Transaction<'static, Postgres>, Error> {
        Ok(self.connections.begin_search().await?)
    }

    /// A transaction for reading what visits take up. Holds that have expired by now end first: whoever reads does not
    /// take them for taken time, though nothing has run since.
    async fn read_current(&self, practice: PracticeId) -> Result<Transaction<'static, Postgres>, Error> {
        self.current(practice, || self.read()).await
    }

    /// The same for a search.
    async fn search_current(&self, practice: PracticeId) -> Result<Transaction<'static, Postgres>, Error> {
        self.current(practice, || self.search()).await
    }

    async fn current<F>(
        &self,
        practice: PracticeId,
        begin: impl Fn() -> F,
    ) -> Result<Transaction<'static, Postgres>, Error>
    where
        F: Future<Output = Result<Transaction<'static, Postgres>, Error>>,
    {
        let mut db = begin().await?;
        let standing = store::practice::standing(&mut db, practice).await?;
        if standing.is_none_or(|standing| !standing.is_outlasted(self.clock.now())) {
            return Ok(db);
        }
        // Given back first: the pool may have no other connection.
        drop(db);
        match self.expire_holds(practice).await {
            // The next of those who wait to write ends them.
            Ok(()) | Err(Error::Overloaded) => begin().await,
            Err(error) => Err(error),
        }
    }

    /// Whether the database answers. A crowd before it is no outage.
    pub async fn is_reachable(&self) -> bool {
        let answer = tokio::time::timeout(SIGN_OF_LIFE, self.connections.ping()).await;
        matches!(answer, Ok(Ok(()) | Err(store::StoreError::Exhausted)))
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
