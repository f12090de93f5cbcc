//! One throw-away PostgreSQL for the whole run, and a database for each test, cloned from a migrated template.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use stipple::embedded::{Cluster, Settings};
use tokio::sync::Mutex;

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static TEMPLATE: Mutex<bool> = Mutex::const_new(false);
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The name of the template database.
const TEMPLATE_NAME: &str = "stipple_template";

fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| Cluster::start_blocking(&Settings::throwaway()).expect("PostgreSQL starts"))
}

/// The folder of the run's PostgreSQL, which is removed at the end of the run, however that comes.
pub fn folder() -> &'static std::path::Path {
    cluster().data_dir()
}

/// A new empty database, without a schema.
pub async fn empty_database() -> PgConnectOptions {
    create("template0").await
}

/// A new database with the schema.
pub async fn migrated_database() -> PgConnectOptions {
    let mut made = TEMPLATE.lock().await;
    if !*made {
        let mut db = cluster().connect_options("postgres").connect().await.unwrap();
        db.execute(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE_NAME}"))).await.unwrap();
        db.close().await.unwrap();
        let mut template = cluster().connect_options(TEMPLATE_NAME).connect().await.unwrap();
        stipple::store::migrate(&mut template).await.unwrap();
        // A template is copied only while nobody is connected to it.
        template.close().await.unwrap();
        *made = true;
    }
    create(TEMPLATE_NAME).await
}

async fn create(template: &str) -> PgConnectOptions {
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut db = cluster().connect_options("postgres").connect().await.unwrap();
    db.execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}"))).await.unwrap();
    db.close().await.unwrap();
    cluster().connect_options(&name)
}

/// The URL of a database, for a server in another process.
pub fn url(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap();
    cluster().url().replacen("/stipple?", &format!("/{name}?"), 1)
}

/// Connections to a database.
pub async fn pool(options: PgConnectOptions) -> PgPool {
    stipple::store::pool(options, 8).await.unwrap()
}
