//! What PostgreSQL alone reaches, beside what the service reaches: `pgbench` runs the very statements of `BookSeries` and
//! `BookAppointment`, with the very values, on a copy of the database that the service books on.

mod bookings;
mod capture;
mod pgbench;
mod script;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use stipple::app::App;
use stipple::app::clock::SystemClock;
use stipple::app::ids::SystemIds;
use stipple::store::{ConnectOptions as _, PgConnection};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::common::{Database, connect, is_quick};
use crate::figures::{Latency, Times};
use crate::process::{Process, Usage};
use bookings::{Booking, Bookings};
use capture::Log;
use pgbench::Bare;
use script::Script;

/// How long the empty calls are measured.
const EMPTY: Duration = Duration::from_secs(2);
/// Bookings that are captured before the log is read and emptied: PostgreSQL's guard empties one of 16 MiB by itself.
const CAPTURED_AT_ONCE: usize = 200;
/// Connections over which is captured; in which order does not matter.
const CAPTURERS: usize = 8;
/// Bookings of each plan that are there before PostgreSQL looks at its tables: it would plan for empty ones.
const THERE: usize = 160;
/// The database with the practices, and its copies: the one whose statements are logged, the service's and pgbench's.
const FOUNDED: &str = "baseline";
const CAPTURED: &str = "baseline_captured";
const SERVED: &str = "baseline_served";
const BARE: &str = "baseline_bare";

/// What is compared: who books, over how many connections, how often.
struct Plan {
    name: &'static str,
    script: &'static str,
    what: fn(&Bookings, usize) -> Booking,
    lines: [(usize, usize); 3],
}

/// More bookings where more are made in the same time.
const PLANS: [Plan; 3] = [
    Plan {
        name: "BookSeries, many practices",
        script: "book_series",
        what: Bookings::series_anywhere,
        lines: [(1, 240), (8, 960), (32, 960)],
    },
    Plan {
        name: "BookSeries, one practice",
        script: "book_series",
        what: Bookings::series_in_one,
        lines: [(1, 240), (8, 320), (32, 320)],
    },
    Plan {
        name: "BookAppointment, many practices",
        script: "book_appointment",
        what: Bookings::appointment_anywhere,
        lines: [(1, 480), (8, 1_600), (32, 1_600)],
    },
];

/// The same bookings by the service and by pgbench.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub name: &'static str,
    pub connections: usize,
    pub bookings: usize,
    pub service_per_second: f64,
    pub service: Latency,
    /// Of the server's own process, in milliseconds a booking; PostgreSQL's is not in it.
    pub server_cpu_ms: Option<f64>,
    pub pgbench_per_second: f64,
    pub pgbench_average_ms: f64,
    /// The service's rate, where pgbench's is 1.
    pub ratio: f64,
}

/// What a call costs in which nothing is done.
#[derive(Clone, Debug, Serialize)]
pub struct Empty {
    pub name: &'static str,
    pub connections: usize,
    pub per_second: f64,
    pub latency: Latency,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Baselines {
    pub empty: Vec<Empty>,
    pub compared: Vec<Compared>,
}

impl Baselines {
    /// Prints the tables.
    pub fn print(&self) {
        println!(
            "\n{:<32}{:>12}{:>10}{:>10}{:>10}{:>10}",
            "nothing is done", "connections", "per s", "p50 ms", "p99 ms", "max ms"
        );
        for Empty { name, connections, per_second, latency } in &self.empty {
            println!(
                "{name:<32}{connections:>12}{per_second:>10.0}{:>10.2}{:>10.2}{:>10.2}",
                latency.p50_ms, latency.p99_ms, latency.max_ms
            );
        }
        println!(
            "\n{:<32}{:>12}{:>10}{:>10}{:>10}{:>15}{:>13}{:>13}{:>8}",
            "bookings", "connections", "per s", "p50 ms", "p99 ms", "server CPU ms", "pgbench/s", "average ms", "ratio"
        );
        for line in &self.compared {
            println!(
                "{:<32}{:>12}{:>10.0}{:>10.2}{:>10.2}{:>15}{:>13.0}{:>13.2}{:>8.2}",
                line.name,
                line.connections,
                line.service_per_second,
                line.service.p50_ms,
                line.service.p99_ms,
                line.server_cpu_ms.map_or_else(String::new, |ms| format!("{ms:.2}")),
                line.pgbench_per_second,
                line.pgbench_average_ms,
                line.ratio
            );
        }
    }
}

/// Measures everything, in databases of its own on this cluster.
pub async fn run(database: &Database, out: &Path) -> Baselines {
    let mut admin = database.options("postgres").connect().await.expect("PostgreSQL answers");
    eprintln!("baseline: practices");
    create(&mut admin, FOUNDED, "template0").await;
    let bookings = found(database, out).await;
    for copy in [CAPTURED, SERVED, BARE] {
        create(&mut admin, copy, FOUNDED).await;
    }
    admin
        .execute(AssertSqlSafe(format!("ALTER DATABASE {CAPTURED} SET log_statement = 'all'")))
        .await
        .expect("the setting is known");

    // What the copies left to be written would be written while something is measured.
    admin.execute("CHECKPOINT").await.expect("PostgreSQL answers");

    let captured = Process::on(database, CAPTURED, out).await;
    let served = Process::on(database, SERVED, out).await;
    let log = Log::of(&database.data_dir());
    let bare = Bare::new(database, BARE, out).await;
    let mut baselines = Baselines { empty: empty(database, &served).await, compared: Vec::new() };
    for plan in PLANS {
        let mut first = THERE;
        for (connections, number) in plan.lines {
            let number = if is_quick() { 2 * connections } else { number };
            eprintln!("baseline: {}, {connections} connections", plan.name);
            let asked: Vec<Booking> = (first..first + number).map(|place| (plan.what)(&bookings, place)).collect();
            first += number;
            let mut transactions = Vec::new();
            for some in asked.chunks(CAPTURED_AT_ONCE) {
                log.empty();
                book(&captured, some, CAPTURERS).await;
                transactions.extend(log.transactions());
            }
            assert_eq!(transactions.len(), asked.len(), "each booking is one transaction");
            let script = Script::of(&transactions, bare.pool()).await;
            let (per_second, average) = bare.run(plan.script, &script, connections).await;

            let before = served.usage();
            let (seconds, times) = book(&served, &asked, connections).await;
            let service_per_second = asked.len() as f64 / seconds;
            baselines.compared.push(Compared {
                name: plan.name,
                connections,
                bookings: asked.len(),
                service_per_second,
                service: times.latency(),
                server_cpu_ms: cpu_ms(before, served.usage(), asked.len()),
                pgbench_per_second: per_second,
                pgbench_average_ms: average,
                ratio: service_per_second / per_second,
            });
        }
    }
    captured.stop().await;
    served.stop().await;
    bare.close().await;
    for name in [FOUNDED, CAPTURED, SERVED, BARE] {
        let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        admin.execute(drop).await.expect("the database can be dropped");
    }
    admin.close().await.expect("the connection closes");
    baselines
}

async fn create(admin: &mut PgConnection, name: &str, template: &str) {
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}"));
    admin.execute(create).await.expect("the database can be made");
}

/// Makes the practices on a database that nobody is connected to afterwards.
async fn found(database: &Database, out: &Path) -> Bookings {
    let server = Process::on(database, FOUNDED, out).await;
    let pool = stipple::store::pool(database.options(FOUNDED), 1).await.expect("PostgreSQL answers");
    let app = App::new(pool.clone(), Arc::new(SystemClock::default()), Arc::new(SystemIds));
    let operator = app.create_operator_token("bench").await.expect("a token is made");
    let bookings = Bookings::make(&server.address, &operator).await;
    for plan in &PLANS {
        let there = if is_quick() { CAPTURERS } else { THERE };
        let asked: Vec<Booking> = (0..there).map(|place| (plan.what)(&bookings, place)).collect();
        book(&server, &asked, CAPTURERS).await;
    }
    server.stop().await;
    stipple::store::analyze(&mut pool.acquire().await.expect("a connection is free")).await.expect("it analyzes");
    pool.close().await;
    bookings
}

/// Books everything; how long that took, and each of it.
async fn book(server: &Process, asked: &[Booking], connections: usize) -> (f64, Times) {
    let channels = join_all((0..connections).map(|_| connect(&server.address))).await;
    let (next, asked) = (Arc::new(AtomicUsize::new(0)), Arc::<[Booking]>::from(asked));
    let begun = Instant::now();
    let workers = channels.into_iter().map(|channel| {
        let (next, asked) = (Arc::clone(&next), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut times = Times::default();
            while let Some(booking) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                let start = Instant::now();
                booking.book(&channel).await.expect("nothing is refused");
                times.add(start.elapsed());
            }
            times
        })
    });
    let mut times = Times::default();
    for worker in workers.collect::<Vec<_>>() {
        times.merge(&worker.await.expect("a worker does not panic"));
    }
    (begun.elapsed().as_secs_f64(), times)
}

/// `SELECT 1` over a pool like the server's, and a call in which the server does nothing.
async fn empty(database: &Database, served: &Process) -> Vec<Empty> {
    let measure = if is_quick() { Duration::from_millis(100) } else { EMPTY };
    let mut all = Vec::new();
    for connections in PLANS[0].lines.map(|(connections, _)| connections) {
        let asked = (0..connections).map(|_| {
            let pool = database.pool.clone();
            move || {
                let pool = pool.clone();
                async move { sqlx::query("SELECT 1").execute(&pool).await.map(drop).expect("it answers") }
            }
        });
        all.push(measured("SELECT 1 over the pool", measure, asked).await);
        let channels = join_all((0..connections).map(|_| connect(&served.address))).await;
        let asked = channels.into_iter().map(|channel| {
            move || {
                let mut health = HealthClient::new(channel.clone());
                async move { health.check(HealthCheckRequest::default()).await.map(drop).expect("it answers") }
            }
        });
        all.push(measured("an empty call", measure, asked).await);
    }
    all
}

/// Callers that ask again as soon as they are answered.
async fn measured<F: Future<Output = ()> + Send + 'static>(
    name: &'static str,
    measure: Duration,
    callers: impl Iterator<Item = impl Fn() -> F + Send + 'static>,
) -> Empty {
    let begun = Instant::now();
    let run = callers.map(|ask| {
        tokio::spawn(async move {
            let mut times = Times::default();
            while begun.elapsed() < measure {
                let start = Instant::now();
                ask().await;
                times.add(start.elapsed());
            }
            times
        })
    });
    let run = run.collect::<Vec<_>>();
    let each: Vec<Times> = join_all(run).await.into_iter().map(|done| done.expect("a caller does not panic")).collect();
    let seconds = begun.elapsed().as_secs_f64();
    let mut times = Times::default();
    for caller in &each {
        times.merge(caller);
    }
    let latency = times.latency();
    Empty { name, connections: each.len(), per_second: latency.count as f64 / seconds, latency }
}

fn cpu_ms(before: Option<Usage>, after: Option<Usage>, bookings: usize) -> Option<f64> {
    Some((after?.cpu_seconds - before?.cpu_seconds) * 1e3 / bookings as f64)
}
