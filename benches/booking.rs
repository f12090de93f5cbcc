//! How fast series are booked: a real server on a durable PostgreSQL of its own, and clients that each wait for their
//! answer before they ask again.
//!
//! `cargo bench --bench booking` books four-session series over 1, 8 and 32 connections, spread over many practices
//! and on a single one, for a few seconds each, and prints series per second and latencies. Beside it runs `SELECT 1`
//! over a pool of the same size, so that machines can be compared.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]
#![expect(clippy::pedantic, reason = "a benchmark is not called by others")]

mod common;
#[path = "common/server.rs"]
mod server;
#[path = "common/timed.rs"]
mod timed;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use prost_types::Timestamp;
use stipple::app::clock::{Clock as _, SystemClock};
use stipple::rpc::pb;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};

use common::{Database, Desk, NEEDS, call, hours, id, is_quick, needling, with};
use server::Server;
use timed::{percentiles, select_one, timed};

/// How long each line of the table is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// Connections of each line.
const CONNECTIONS: [usize; 3] = [1, 8, 32];
/// Practices of the "many practices" lines.
const PRACTICES: usize = 32;
/// Rooms, practitioners, assistants and pens of each practice.
const TEAMS: usize = 8;
/// Visits of one team on one day, 80 minutes each.
const VISITS_A_DAY: u64 = 17;
/// First days of series, so that no two series of a team share a day, and no two of a patient meet: 28 of every 140.
const FIRST_DAYS: u64 = 28;
/// Series of each practice before anything is measured.
const WARM_UP: usize = 20;
struct Practice {
    token: MetadataValue<Ascii>,
    clinic: String,
    protocol: String,
    patients: Vec<String>,
    next: AtomicU64,
}

#[tokio::main]
async fn main() {
    let quick = is_quick();
    let measure = if quick { Duration::from_millis(200) } else { MEASURE };
    let database = Database::start().await;
    let app = database.app(Arc::new(SystemClock::default()));
    let operator = app.create_operator_token("bench").await.expect("a token is made");
    let server = Server::start(app).await;
    let channel = server.connect().await;
    let mut practices = Vec::new();
    for _ in 0..if quick { 2 } else { PRACTICES } {
        practices.push(Arc::new(Practice::make(&channel, &operator).await.expect("a practice is made")));
    }

    for practice in &practices {
        for _ in 0..WARM_UP {
            practice.book(&channel).await.expect("nothing is refused");
        }
    }
    database.analyze().await;

    println!("{:<28}{:>12}{:>12}{:>10}{:>10}", "", "connections", "per second", "p50 ms", "p99 ms");
    for connections in CONNECTIONS {
        let pool = &database.pool;
        let run = (0..connections).map(|_| timed(measure, move || select_one(pool)));
        report("SELECT 1 over the pool", connections, measure, futures_of(run).await);
    }
    for (name, choice) in
        [("BookSeries, many practices", &practices[..]), ("BookSeries, one practice", &practices[..1])]
    {
        for connections in CONNECTIONS {
            let mut clients = Vec::new();
            for number in 0..connections {
                clients.push((server.connect().await, &choice[number % choice.len()]));
            }
            let run = clients.iter().map(|(client, practice)| timed(measure, || practice.book(client)));
            report(name, connections, measure, futures_of(run).await);
        }
    }
    server.stop().await;
    database.stop().await;
}

/// Runs futures side by side, each as a task of its own.
async fn futures_of<F>(run: impl Iterator<Item = F>) -> Vec<Duration>
where
    F: Future<Output = Vec<Duration>>,
{
    let mut all = Vec::new();
    for latencies in futures_util::future::join_all(run).await {
        all.extend(latencies);
    }
    all
}

fn report(name: &str, connections: usize, measure: Duration, mut latencies: Vec<Duration>) {
    let rate = latencies.len() as f64 / measure.as_secs_f64();
    let (p50, p99) = percentiles(&mut latencies);
    println!("{name:<28}{connections:>12}{rate:>12.0}{p50:>10.2}{p99:>10.2}");
}

impl Practice {
    async fn make(channel: &Channel, operator: &str) -> Result<Self, Status> {
        let desk = Desk::found(channel, operator).await?;
        let clinic = desk.clinic().await?;
        let always = hours(1..=7, &[("00:00", "24:00")]);
        for _ in 0..TEAMS {
            for need in NEEDS {
                desk.resource(&clinic, need, &always).await?;
            }
        }
        let protocol = desk.protocol(&desk.treatment(needling()).await?, 4).await?;
        // Each of them has a series on each of as many areas as there are teams.
        let mut patients = Vec::new();
        for _ in 0..FIRST_DAYS * VISITS_A_DAY {
            patients.push(desk.patient().await?);
        }
        Ok(Self { token: desk.token, clinic, protocol, patients, next: AtomicU64::new(0) })
    }

    async fn book(&self, channel: &Channel) -> Result<(), Status> {
        let path = "/stipple.v1.SeriesService/BookSeries";
        call::<_, pb::BookSeriesResponse>(channel, path, self.request()).await.map(drop)
    }

    /// The next series that nothing is in the way of.
    fn request(&self) -> Request<pb::BookSeriesRequest> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let teams = u64::try_from(TEAMS).unwrap_or_default();
        let (slot, round) = (number / teams, number % teams);
        let (visit, slot) = (slot % VISITS_A_DAY, slot / VISITS_A_DAY);
        let (day, block) = (slot % FIRST_DAYS, slot / FIRST_DAYS);
        let midnight = SystemClock::default().now().with_hour(0).and_then(|at| at.with_minute(0));
        let midnight =
            midnight.and_then(|at| at.with_second(0)).and_then(|at| at.with_nanosecond(0)).unwrap_or_default();
        let minutes = i64::try_from(visit * 80 + 120).unwrap_or_default();
        let first = i64::try_from(day + block * 5 * FIRST_DAYS + 2).unwrap_or_default();
        let start = |session: i64| -> DateTime<Utc> {
            midnight + TimeDelta::days(first + session * 29) + TimeDelta::minutes(minutes)
        };
        let sessions = (0..4).map(|session| pb::SessionRequest {
            start_time: Some(Timestamp { seconds: start(session).timestamp(), nanos: 0 }),
            ..Default::default()
        });
        // Another patient for each team: 59 times the most teams is fewer than there are patients.
        let patient = usize::try_from(number / teams + 59 * round).unwrap_or_default() % self.patients.len();
        let request = pb::BookSeriesRequest {
            request_id: id(),
            patient_id: self.patients[patient].clone(),
            protocol_id: self.protocol.clone(),
            body_area: i32::try_from(round).unwrap_or_default() + 1,
            clinic_id: self.clinic.clone(),
            sessions: sessions.collect(),
            ..Default::default()
        };
        with(&self.token, request)
    }
}
