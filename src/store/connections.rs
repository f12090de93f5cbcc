//! Connections to the database, and why there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Transaction};

use super::{PgPool, StoreError};

/// The connections that requests share.
#[derive(Debug, Clone)]
pub struct Connections {
    pool: PgPool,
    /// How many were handed out so far.
    handed_out: Arc<AtomicU64>,
}

impl Connections {
    /// The connections of a pool.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, handed_out: Arc::default() }
    }

    /// The pool that they are of.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Takes a connection.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.waited_for(self.pool.acquire()).await
    }

    /// Begins a transaction that writes.
    pub async fn begin_write(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await
    }

    /// Begins a transaction that reads by keys, all of it from the same state.
    pub async fn begin_read(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// The same for a search, by a part of a name or by filters that may be left out: its plan depends on the values.
    pub async fn begin_search(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan")
            .await
    }

    /// Begins in a task of its own, because a caller may go away at any moment: sqlx knows of a transaction only once
    /// the answer to BEGIN is there, and would give a connection back to the pool with the transaction still open.
    async fn begin(&self, statement: &'static str) -> Result<Transaction<'static, Postgres>, StoreError> {
        let own = self.clone();
        let begun = tokio::spawn(async move { own.waited_for(own.pool.begin_with(statement)).await });
        begun.await.unwrap_or(Err(StoreError::Unavailable(sqlx::Error::WorkerCrashed)))
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&mut *self.acquire().await?).await?;
        Ok(())
    }

    /// Waits for a connection. Whoever waits in vain while others are handed theirs waits behind a crowd. Where nobody
    /// gets any, it is the database that is away: the pool goes on trying to connect until the time is up, and says the
    /// same of both. The second half of the wait counts, so that what was handed out just before an outage does not.
    async fn waited_for<T>(&self, connection: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        tokio::pin!(connection);
        let half = self.pool.options().get_acquire_timeout() / 2;
        let (got, before) = if let Ok(got) = tokio::time::timeout(half, &mut connection).await {
            (got, None)
        } else {
            let before = self.handed_out.load(Ordering::Relaxed);
            (connection.await, Some(before))
        };
        match got {
            Ok(got) => {
                self.handed_out.fetch_add(1, Ordering::Relaxed);
                Ok(got)
            }
            Err(sqlx::Error::PoolTimedOut) if before == Some(self.handed_out.load(Ordering::Relaxed)) => {
                Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut))
            }
            Err(error) => Err(error.into()),
        }
    }
}
