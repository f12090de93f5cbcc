//! How fast series are booked: a real server on a durable PostgreSQL of its own, and clients that each wait for their
//! answer before they ask again.
//!
//! `cargo bench --bench booking` books four-session series over 1, 8 and 32 connections, spread over many practices
//! and on a single one, for a few seconds each, and prints series per second and latencies. Beside it runs `SELECT 1`
//! over a pool of the same size, so that machines can be compared.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures elapsed time")]
#![expect(clippy::pedantic, reason = "a benchmark is not called by others")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use prost_types::Timestamp;
use stipple::app::App;
use stipple::app::clock::{Clock as _, SystemClock};
use stipple::app::ids::{IdSource as _, SystemIds};
use stipple::embedded::{Cluster, Durability, Settings};
use stipple::rpc::pb;
use stipple::store::{MIGRATIONS, PgPoolOptions, analyze};
use tokio::net::TcpListener;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};

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
/// Connections of the server to the database.
const POOL: u32 = 16;

struct Practice {
    token: MetadataValue<Ascii>,
    clinic: String,
    protocol: String,
    patients: Vec<String>,
    next: AtomicU64,
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let measure = if quick { Duration::from_millis(200) } else { MEASURE };

    let settings = Settings { durability: Durability::Durable, ..Settings::throwaway() };
    let cluster = Cluster::start(&settings).await.expect("PostgreSQL starts");
    let options = match std::env::var("BENCH_DATABASE_URL") {
        Ok(url) => url.parse().expect("a URL"),
        Err(_) => cluster.connect_options("stipple"),
    };
    let pool = PgPoolOptions::new().max_connections(POOL).connect_with(options);
    let pool = pool.await.expect("PostgreSQL answers");
    MIGRATIONS.run(&pool).await.expect("migrations run");
    let app = Arc::new(App::new(pool.clone(), Arc::new(SystemClock::default()), Arc::new(SystemIds)));
    let operator = app.create_operator_token("bench").await.expect("a token is made");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(stipple::server::serve(listener, app, async {
        let _ = stopped.await;
    }));

    let connect = || async move {
        Channel::from_shared(format!("http://{address}"))
            .expect("an address")
            .connect()
            .await
            .expect("the server listens")
    };
    let channel = connect().await;
    let mut practices = Vec::new();
    for _ in 0..if quick { 2 } else { PRACTICES } {
        practices.push(Arc::new(Practice::make(&channel, &operator).await.expect("a practice is made")));
    }

    for practice in &practices {
        let mut client = pb::series_service_client::SeriesServiceClient::new(channel.clone());
        for _ in 0..WARM_UP {
            client.book_series(practice.request()).await.expect("nothing is refused");
        }
    }
    analyze(&mut pool.acquire().await.expect("a connection is free")).await.expect("PostgreSQL looks at its tables");

    println!("{:<28}{:>12}{:>12}{:>10}{:>10}", "", "connections", "per second", "p50 ms", "p99 ms");
    for connections in CONNECTIONS {
        let pool = &pool;
        let run = (0..connections).map(|_| async move {
            timed(measure, || async move {
                sqlx::query("SELECT 1")
                    .execute(pool)
                    .await
                    .map(drop)
                    .map_err(|error| Status::internal(error.to_string()))
            })
            .await
        });
        report("SELECT 1 over the pool", connections, measure, futures_of(run).await);
    }
    for (name, choice) in
        [("BookSeries, many practices", &practices[..]), ("BookSeries, one practice", &practices[..1])]
    {
        for connections in CONNECTIONS {
            let mut clients = Vec::new();
            for number in 0..connections {
                let client = pb::series_service_client::SeriesServiceClient::new(connect().await);
                clients.push((client, Arc::clone(&choice[number % choice.len()])));
            }
            let run = clients.into_iter().map(|(client, practice)| async move {
                timed(measure, || {
                    let (mut client, practice) = (client.clone(), Arc::clone(&practice));
                    async move { client.book_series(practice.request()).await.map(drop) }
                })
                .await
            });
            report(name, connections, measure, futures_of(run).await);
        }
    }
    let _ = stop.send(());
    server.await.expect("the server ends").expect("it ends well");
    pool.close().await;
    let folder = cluster.data_dir().to_owned();
    cluster.stop().await.expect("PostgreSQL stops");
    std::fs::remove_dir_all(folder).expect("the folder is removed");
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

/// Does something again and again for a while; how long each took.
async fn timed<F>(measure: Duration, mut act: impl FnMut() -> F) -> Vec<Duration>
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

fn report(name: &str, connections: usize, measure: Duration, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e3;
    let rate = latencies.len() as f64 / measure.as_secs_f64();
    println!("{name:<28}{connections:>12}{rate:>12.0}{:>10.2}{:>10.2}", at(50), at(99));
}

impl Practice {
    async fn make(channel: &Channel, operator: &str) -> Result<Self, Status> {
        let operator = bearer(operator);
        let mut practices = pb::practice_service_client::PracticeServiceClient::new(channel.clone());
        let request = pb::CreatePracticeRequest { request_id: id(), name: "Bench".into(), ..Default::default() };
        let practice =
            practices.create_practice(with(&operator, request)).await?.into_inner().practice.unwrap_or_default();
        let request = pb::CreateTokenRequest {
            practice_id: practice.practice_id,
            request_id: id(),
            label: "bench".into(),
            role: pb::Role::Manager.into(),
            ..Default::default()
        };
        let mut access = pb::access_service_client::AccessServiceClient::new(channel.clone());
        let token = bearer(&access.create_token(with(&operator, request)).await?.into_inner().bearer_token);

        let hours = |_| -> Vec<pb::WeeklyHours> {
            let day = |weekday| pb::WeeklyHours { weekday, opens: "00:00".into(), closes: "24:00".into() };
            (1..=7).map(day).collect()
        };
        let request = pb::CreateClinicRequest {
            request_id: id(),
            name: "Bench".into(),
            time_zone: "Europe/Berlin".into(),
            opening_hours: hours(()),
            ..Default::default()
        };
        let clinic =
            practices.create_clinic(with(&token, request)).await?.into_inner().clinic.unwrap_or_default().clinic_id;

        let mut resources = pb::resource_service_client::ResourceServiceClient::new(channel.clone());
        for _ in 0..TEAMS {
            for (kind, qualification) in NEEDS {
                let person = matches!(kind, pb::ResourceKind::Practitioner | pb::ResourceKind::Assistant);
                let work = |hours| pb::WorkingHours { clinic_id: clinic.clone(), hours: Some(hours) };
                let request = pb::CreateResourceRequest {
                    request_id: id(),
                    kind: kind.into(),
                    name: "Bench".into(),
                    clinic_id: if person { String::new() } else { clinic.clone() },
                    qualifications: vec![qualification.into()],
                    working_hours: if person { hours(()).into_iter().map(work).collect() } else { Vec::new() },
                    ..Default::default()
                };
                resources.create_resource(with(&token, request)).await?;
            }
        }

        let mut catalog = pb::catalog_service_client::CatalogServiceClient::new(channel.clone());
        let request =
            pb::PublishTreatmentRequest { request_id: id(), content: Some(treatment()), ..Default::default() };
        let treatment =
            catalog.publish_treatment(with(&token, request)).await?.into_inner().treatment.unwrap_or_default();
        let content = pb::ProtocolContent {
            name: "Bench".into(),
            treatment_id: treatment.treatment_id,
            sessions_minimum: 3,
            sessions_default: 4,
            sessions_maximum: 6,
            gap_floor_days: 14,
            gap_minimum_days: 28,
            gap_target_days: 35,
            gap_maximum_days: 56,
            evidence: evidence(),
            assessments: vec![],
        };
        let request = pb::PublishProtocolRequest { request_id: id(), content: Some(content), ..Default::default() };
        let protocol = catalog.publish_protocol(with(&token, request)).await?.into_inner().protocol.unwrap_or_default();

        // Each of them has a series on each of as many areas as there are teams.
        let mut patients = pb::patient_service_client::PatientServiceClient::new(channel.clone());
        let mut ids = Vec::new();
        for _ in 0..FIRST_DAYS * VISITS_A_DAY {
            let request = pb::CreatePatientRequest {
                request_id: id(),
                given_name: "Bench".into(),
                family_name: "Bench".into(),
                birth_date: "1990-01-01".into(),
                ..Default::default()
            };
            let answer = patients.create_patient(with(&token, request)).await?.into_inner();
            ids.push(answer.patient.unwrap_or_default().patient_id);
        }
        Ok(Self { token, clinic, protocol: protocol.protocol_id, patients: ids, next: AtomicU64::new(0) })
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

const NEEDS: [(pb::ResourceKind, &str); 4] = [
    (pb::ResourceKind::Room, "room"),
    (pb::ResourceKind::Assistant, "assistance"),
    (pb::ResourceKind::Practitioner, "needling"),
    (pb::ResourceKind::Device, "pen"),
];

fn treatment() -> pb::TreatmentContent {
    let phase = |name: &str, minutes, patient_present, exposing, needs: &[usize]| pb::Phase {
        name: name.into(),
        minutes,
        patient_present,
        exposing,
        needs: needs
            .iter()
            .map(|need| pb::Need { kind: NEEDS[*need].0.into(), qualification: NEEDS[*need].1.into() })
            .collect(),
    };
    let days = |days| Some(pb::Span { amount: Some(pb::span::Amount::Days(days)) });
    let restriction = |activity: pb::Activity| pb::Restriction {
        activity: activity.into(),
        before: None,
        after: days(7),
        instruction: "Wait.".into(),
        evidence: evidence(),
    };
    pb::TreatmentContent {
        name: "Bench".into(),
        spacing_days: 28,
        phases: vec![
            phase("numbing", 30, true, false, &[0, 1]),
            phase("needling", 30, true, true, &[0, 2, 3]),
            phase("talk", 5, true, false, &[0, 1]),
            phase("turnover", 15, false, false, &[0, 3]),
        ],
        exposures: Vec::new(),
        restrictions: [
            pb::Activity::SunExposure,
            pb::Activity::Heat,
            pb::Activity::Swimming,
            pb::Activity::Exercise,
            pb::Activity::ChemicalPeel,
        ]
        .map(restriction)
        .to_vec(),
    }
}

fn evidence() -> Option<pb::Evidence> {
    Some(pb::Evidence { source: String::new(), grade: pb::EvidenceGrade::Own.into(), rationale: String::new() })
}

fn id() -> String {
    SystemIds.new_id(SystemClock::default().now()).to_string()
}

fn bearer(token: &str) -> MetadataValue<Ascii> {
    format!("Bearer {token}").parse().expect("a token is plain text")
}

fn with<T>(token: &MetadataValue<Ascii>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
}
