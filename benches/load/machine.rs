//! Where figures were measured.

use serde::Serialize;
use stipple::store::PgPool;

/// What figures depend on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub memory_gib: f64,
    pub kernel: String,
    /// Of the own database; that of a server that ran already is not known.
    pub postgresql: String,
    /// How generator and server were built.
    pub profile: &'static str,
}

impl Machine {
    /// This one; what Linux does not tell is empty.
    pub async fn here(pool: Option<&PgPool>) -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let value = |file: &str, name: &str| {
            let text = read(file);
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = value("/proc/meminfo", "MemTotal");
        let postgresql = match pool {
            Some(pool) => sqlx::query_scalar("SHOW server_version").fetch_one(pool).await.expect("PostgreSQL answers"),
            None => "unknown".to_owned(),
        };
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: value("/proc/cpuinfo", "model name"),
            memory_gib: memory.trim_end_matches(" kB").parse().unwrap_or(0.0) / 1024.0 / 1024.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgresql,
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
        }
    }
}
