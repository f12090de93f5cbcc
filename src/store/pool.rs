//! Connections to the database, and what each of them is set to.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

/// How long a request waits for a free connection to the database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may have been idle before it is asked whether it still lives. Asking each time costs every
/// transaction a round trip; one that died within this time fails at its BEGIN, before anything is done.
const IDLE_UNASKED: Duration = Duration::from_secs(1);
/// How many prepared statements a connection keeps: more than there are, so that none is prepared twice.
const KEPT_STATEMENTS: usize = 512;
/// How long one statement may run, as PostgreSQL writes it: shorter than a request may take.
const STATEMENT_TIMEOUT: &str = "5s";
/// How long one statement may wait for a lock, as PostgreSQL writes it.
const LOCK_TIMEOUT: &str = "3s";
/// How long a transaction may sit idle before PostgreSQL ends it, as PostgreSQL writes it.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "15s";
/// What each session is set to.
pub const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", STATEMENT_TIMEOUT),
    ("lock_timeout", LOCK_TIMEOUT),
    ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
    // What is acknowledged is on disk, whatever the database is set to otherwise.
    ("synchronous_commit", "on"),
    // Most statements go by keys and are planned once for each connection: to plan those that read a booking's facts takes
    // longer than to run them. Searches are planned for their values.
    ("plan_cache_mode", "force_generic_plan"),
];

/// At most so many connections, of which one is made at once.
pub async fn pool(options: PgConnectOptions, connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = options.statement_cache_capacity(KEPT_STATEMENTS).options(SESSION);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection: &mut PgConnection, known| {
            Box::pin(
                async move { Ok(known.idle_for < IDLE_UNASKED || sqlx::Connection::ping(connection).await.is_ok()) },
            )
        })
        .connect_with(options)
        .await
}
