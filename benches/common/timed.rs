//! How long things take that are done one after the other.

use std::time::{Duration, Instant};

use stipple::store::PgPool;
use tonic::Status;

/// Does something again and again for a while; how long each took.
pub async fn timed<F>(measure: Duration, mut act: impl FnMut() -> F) -> Vec<Duration>
where
    F: Future<Output = Result<(), Status>>,
{
    let begin = Instant::now();
    let mut latencies = Vec::new();
    while begin.elapsed() < measure {
        let start = Instant::now();
        act().await.expect("nothing is refused");
        latencies.push(start.elapsed());
    }
    latencies
}

/// `SELECT 1` over the pool.
pub async fn select_one(pool: &PgPool) -> Result<(), Status> {
    let done = sqlx::query("SELECT 1").execute(pool).await;
    done.map(drop).map_err(|error| Status::internal(error.to_string()))
}

/// The 50th and the 99th percentile in milliseconds.
pub fn percentiles(latencies: &mut [Duration]) -> (f64, f64) {
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e3;
    (at(50), at(99))
}
