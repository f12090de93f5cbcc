//! What happens at the limits: whoever asks for more than there is gets told so and when to come back, and takes
//! nothing from anybody else.

use std::future::pending;
use std::net::SocketAddr;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use stipple::app::App;
use stipple::app::clock::SystemClock;
use stipple::app::ids::SystemIds;
use stipple::app::lanes::MAX_WAITING_WRITERS;
use stipple::rpc::guard::MAX_REQUESTS;
use stipple::rpc::pb;
use stipple::rpc::pb::patient_service_client::PatientServiceClient;
use stipple::rpc::pb::practice_service_client::PracticeServiceClient;
use stipple::server::Limits;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::codegen::http::{Request, Response, header};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::harness::World;
use crate::harness::wire::reason;
use crate::harness::world::request_id;
use crate::wire::{Ids, call, crowded, frame, lists, rpcs};

const GET_PRACTICE: &str = "stipple.v1.PracticeService/GetPractice";
const CREATE_PATIENT: &str = "stipple.v1.PatientService/CreatePatient";
/// How long a test waits for what should come at once, before it fails.
const LONG: Duration = Duration::from_secs(60);

/// A server in this process on a world's database, over connections and within limits of its own. It ends with the test.
struct Site {
    address: SocketAddr,
    pool: PgPool,
}

impl Site {
    async fn on(world: &World, limits: Limits, pool: PgPoolOptions, options: &[(&str, &str)]) -> Self {
        let database = PgConnectOptions::from_str(&world.server.database_url()).unwrap();
        let pool = pool.connect_with(database.options(options.iter().copied())).await.unwrap();
        let app = App::new(pool.clone(), Arc::new(SystemClock::default()), Arc::new(SystemIds));
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(stipple::server::serve_within(limits, listener, Arc::new(app), pending()));
        Self { address, pool }
    }

    async fn usual(world: &World) -> Self {
        Self::on(world, Limits::default(), PgPoolOptions::new().max_connections(8), &[]).await
    }

    /// A connection that sends nothing again by itself.
    async fn connect(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// A connection without the manners of a gRPC client.
    async fn raw(&self) -> h2::client::SendRequest<Bytes> {
        let (client, connection) =
            h2::client::handshake(TcpStream::connect(self.address).await.unwrap()).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

fn bearing<T>(world: &World, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let token = format!("Bearer {}", world.manager.token());
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    request
}

async fn read(world: &World, channel: &Channel) -> Result<i64, Status> {
    let ask = bearing(world, pb::GetPracticeRequest::default());
    let answer = PracticeServiceClient::new(channel.clone()).get_practice(ask).await?;
    Ok(answer.into_inner().practice.unwrap().revision)
}

fn patient() -> pb::CreatePatientRequest {
    pb::CreatePatientRequest {
        request_id: request_id(),
        given_name: "Given".into(),
        family_name: "Family".into(),
        birth_date: "1990-04-01".into(),
        ..Default::default()
    }
}

async fn write(world: &World, channel: &Channel, patient: pb::CreatePatientRequest) -> Result<(), Status> {
    PatientServiceClient::new(channel.clone()).create_patient(bearing(world, patient)).await.map(drop)
}

/// Sends a message over a raw connection, with further headers, and takes the head of the answer.
async fn send_raw(
    client: &h2::client::SendRequest<Bytes>,
    world: &World,
    (method, message): (&str, Vec<u8>),
    headers: &[(&str, &str)],
) -> Result<Response<h2::RecvStream>, h2::Error> {
    let mut request = Request::post(format!("http://localhost/{method}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::AUTHORIZATION, format!("Bearer {}", world.manager.token()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut client = client.clone().ready().await?;
    let (answer, mut body) = client.send_request(request.body(()).unwrap(), false)?;
    // A server that has refused by the headers alone takes no message any more; its answer tells.
    let _refused_already = body.send_data(frame(&message), true);
    answer.await
}

/// What a caller is told who comes when there is no room: to come back, and after how long.
fn is_told_to_come_back(status: &Status, code: Code, named: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, named), "{status:?}");
    let delay = status.get_details_retry_info().expect("a hint").retry_delay.expect("a delay");
    assert_eq!(delay, Duration::from_secs(1));
}

/// Holds the row of a practice, so that its writers wait, until what is returned is dropped.
async fn hold(site: &Site, world: &World) -> sqlx::Transaction<'static, sqlx::Postgres> {
    // Over a connection that is none of the server's.
    let pool =
        PgPoolOptions::new().max_connections(1).connect_with((*site.pool.connect_options()).clone()).await.unwrap();
    let mut held = pool.begin().await.unwrap();
    let practice: Uuid = world.practice.parse().unwrap();
    sqlx::query("SELECT 1 FROM practices WHERE practice_id = $1 FOR UPDATE")
        .bind(practice)
        .execute(&mut *held)
        .await
        .unwrap();
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_requests_than_a_server_takes_the_surplus_is_told_to_come_back() {
    const MORE: usize = 8;
    let world = World::new().await;
    let site = Site::usual(&world).await;
    // Nobody's token can be looked up, so that every request that is taken waits.
    let pool =
        PgPoolOptions::new().max_connections(1).connect_with((*site.pool.connect_options()).clone()).await.unwrap();
    let mut held = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE access_tokens IN ACCESS EXCLUSIVE MODE").execute(&mut *held).await.unwrap();
    let mut answers = JoinSet::new();
    for _ in 0..4 {
        let channel = site.connect().await;
        for _ in 0..(MAX_REQUESTS + MORE) / 4 {
            let (world, channel) = (world.clone(), channel.clone());
            answers.spawn(async move { read(&world, &channel).await });
        }
    }
    for _ in 0..MORE {
        let status = answers.join_next().await.unwrap().unwrap().unwrap_err();
        is_told_to_come_back(&status, Code::ResourceExhausted, "OVERLOADED");
    }
    held.rollback().await.unwrap();
    assert_eq!(answers.len(), MAX_REQUESTS);
    while let Some(answer) = answers.join_next().await {
        answer.unwrap().expect("what was taken is answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_a_practice_for_whom_there_is_no_room_are_told_to_come_back_and_nobody_else_is() {
    /// Two that write, and those that wait.
    const ROOM: usize = 2 + MAX_WAITING_WRITERS;
    const MORE: usize = 40;
    let world = World::new().await;
    let other = World::on(world.server.clone(), "Asia/Tokyo").await;
    let site = Site::usual(&world).await;
    let (channel, elsewhere) = (site.connect().await, site.connect().await);
    let before = read(&world, &channel).await.unwrap();
    let held = hold(&site, &world).await;
    let mut answers = JoinSet::new();
    for _ in 0..ROOM + MORE {
        let (world, channel) = (world.clone(), channel.clone());
        answers.spawn(async move { write(&world, &channel, patient()).await });
    }
    for _ in 0..MORE {
        let status = answers.join_next().await.unwrap().unwrap().unwrap_err();
        is_told_to_come_back(&status, Code::ResourceExhausted, "OVERLOADED");
    }
    // Whoever reads, and whoever writes in another practice, does not wait for them.
    assert_eq!(read(&world, &elsewhere).await.unwrap(), before);
    read(&other, &elsewhere).await.unwrap();
    write(&other, &elsewhere, patient()).await.unwrap();
    assert_eq!(answers.len(), ROOM);
    held.rollback().await.unwrap();
    while let Some(answer) = answers.join_next().await {
        answer.unwrap().expect("who waited writes");
    }
    assert_eq!(read(&world, &channel).await.unwrap(), before + i64::try_from(ROOM).unwrap());
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_waits_in_its_lane_for_longer_than_it_may_is_told_so_and_has_written_nothing() {
    let world = World::new().await;
    let site = Site::usual(&world).await;
    let channel = site.connect().await;
    let before = read(&world, &channel).await.unwrap();
    let held = hold(&site, &world).await;
    let mut first = JoinSet::new();
    for _ in 0..2 {
        let (world, channel) = (world.clone(), channel.clone());
        first.spawn(async move { write(&world, &channel, patient()).await });
    }
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let both = async {
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&site.pool).await.unwrap() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, both).await.expect("both wait for the practice");
    let raw = site.raw().await;
    let late = patient();
    for timeout in ["50m", "60000u", "70000000n", "0S"] {
        let message = (CREATE_PATIENT, late.encode_to_vec());
        let answer = send_raw(&raw, &world, message, &[("grpc-timeout", timeout)]).await.unwrap();
        let status = Status::from_header_map(answer.headers()).expect("nothing but an error");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    }
    held.rollback().await.unwrap();
    while let Some(answer) = first.join_next().await {
        answer.unwrap().unwrap();
    }
    assert_eq!(read(&world, &channel).await.unwrap(), before + 2);
    // Nor is its request id used up.
    write(&world, &channel, late).await.unwrap();
    assert_eq!(read(&world, &channel).await.unwrap(), before + 3);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_gets_no_connection_to_the_database_in_time_is_told_to_come_back() {
    let world = World::new().await;
    let short = PgPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(2));
    let site = Site::on(&world, Limits::default(), short, &[]).await;
    let channel = site.connect().await;
    let all = [site.pool.acquire().await.unwrap(), site.pool.acquire().await.unwrap()];
    let status = read(&world, &channel).await.unwrap_err();
    // Nobody else got one either: for all that the server knows, the database is away.
    is_told_to_come_back(&status, Code::Unavailable, "UNAVAILABLE");
    drop(all);
    read(&world, &channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_or_waits_too_long_is_given_up_and_its_caller_told_to_come_back() {
    let world = World::new().await;
    for limit in ["lock_timeout", "statement_timeout"] {
        let pool = PgPoolOptions::new().max_connections(4);
        let site = Site::on(&world, Limits::default(), pool, &[(limit, "1s")]).await;
        let channel = site.connect().await;
        let before = read(&world, &channel).await.unwrap();
        let held = hold(&site, &world).await;
        let status = write(&world, &channel, patient()).await.unwrap_err();
        is_told_to_come_back(&status, Code::Unavailable, "UNAVAILABLE");
        held.rollback().await.unwrap();
        assert_eq!(read(&world, &channel).await.unwrap(), before, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_when_the_database_is_out_of_reach() {
    let world = World::new().await;
    let site = Site::usual(&world).await;
    let mut health = HealthClient::new(site.connect().await);
    let mut check = async || {
        let ask = HealthCheckRequest { service: "stipple.v1.SeriesService".into() };
        health.check(ask).await.unwrap().into_inner().status()
    };
    assert_eq!(check().await, ServingStatus::Serving);
    site.pool.close().await;
    let until_told = async {
        while check().await != ServingStatus::NotServing {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, until_told).await.expect("it is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_beyond_those_that_are_taken_is_served_once_another_ends() {
    let world = World::new().await;
    let limits = Limits { connections: 2, ..Limits::default() };
    let site = Site::on(&world, limits, PgPoolOptions::new().max_connections(4), &[]).await;
    let (first, second) = (site.connect().await, site.connect().await);
    read(&world, &first).await.unwrap();
    let third = tokio::spawn({
        let (world, address) = (world.clone(), site.address);
        async move {
            let third = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
            read(&world, &third).await
        }
    });
    // Far more than it would take, were it taken.
    for _ in 0..100 {
        read(&world, &second).await.unwrap();
    }
    assert!(!third.is_finished());
    drop(first);
    third.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_does_not_say_what_it_speaks_is_ended() {
    let world = World::new().await;
    let limits = Limits { preface: Duration::from_secs(2), ..Limits::default() };
    let site = Site::on(&world, limits, PgPoolOptions::new().max_connections(4), &[]).await;
    let speaking = site.connect().await;
    read(&world, &speaking).await.unwrap();
    for said in ["", "PRI * HTTP/2.0\r\n"] {
        let mut silent = TcpStream::connect(site.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut silent, said.as_bytes()).await.unwrap();
        let mut told = Vec::new();
        let ended = tokio::time::timeout(LONG, silent.read_to_end(&mut told)).await.expect("it is ended");
        // With the server's own settings, at most.
        assert!(ended.is_err() || told.len() < 100, "{told:?}");
    }
    // One that has said so may be silent.
    read(&world, &speaking).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_has_so_many_requests_under_way_and_so_large_headers() {
    let world = World::new().await;
    let site = Site::usual(&world).await;
    let raw = site.raw().await;
    let ask = || (GET_PRACTICE, pb::GetPracticeRequest::default().encode_to_vec());
    let large = "a".repeat(15 * 1024);
    let answer = send_raw(&raw, &world, ask(), &[("x-large", &large)]).await.unwrap();
    assert_eq!((answer.status().as_u16(), Status::from_header_map(answer.headers()).is_none()), (200, true));
    assert_eq!(raw.current_max_send_streams(), 256);
    let larger = "a".repeat(17 * 1024);
    let answer = send_raw(&raw, &world, ask(), &[("x-large", &larger)]).await.unwrap();
    assert_eq!(answer.status().as_u16(), 431);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_reflection_take_no_larger_messages_than_the_service() {
    let world = World::new().await;
    let site = Site::usual(&world).await;
    let raw = site.raw().await;
    for method in [
        "grpc.health.v1.Health/Check",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        let mut told = Vec::new();
        for bytes in [1_000, 250 * 1024, 260 * 1024] {
            // The first field of each is a text.
            let asked = tonic_types::pb::LocalizedMessage { locale: "a".repeat(bytes), message: String::new() };
            let mut answer = send_raw(&raw, &world, (method, asked.encode_to_vec()), &[]).await.unwrap();
            let head = Status::from_header_map(answer.headers()).map(|status| status.code());
            while let Some(data) = answer.body_mut().data().await {
                answer.body_mut().flow_control().release_capacity(data.unwrap().len()).unwrap();
            }
            let end = answer.body_mut().trailers().await.unwrap();
            let end = end.and_then(|end| Status::from_header_map(&end)).map(|status| status.code());
            told.push(head.or(end).expect("a code"));
        }
        // What is read is understood, and answered all the same way.
        assert_eq!(told[0], told[1], "{method}");
        assert_ne!(told[1], told[2], "{method}");
    }
}

/// Most entries of a list; nothing for what a plan only says of itself, which is looked at as a whole, by its digest.
fn most_entries(list: &str) -> Option<usize> {
    let nobody_reads = ["plan.sessions[0].aftercare", "plan.cost.terms", "plan.assessments"];
    let name = list.rsplit('.').next().unwrap();
    (!nobody_reads.contains(&list)).then(|| match name {
        "sessions" | "phases" => 12,
        "resource_ids" | "needs" | "assessments" => 8,
        "exposures" | "restrictions" | "duties" => 13,
        "combinations" | "dates_away" | "practitioner_ids" => 20,
        "screening_rules" | "reaction_rules" | "answers" | "cleared_conditions" => 50,
        "opening_hours" | "qualifications" => 50,
        "working_hours" => 100,
        "clinic_ids" | "hours" => 10,
        "weekdays" => 7,
        "kinds" => 10,
        "moves" => 500,
        name => panic!("teach this test the limit of {name}"),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_of_every_request_has_a_limit_and_one_entry_more_is_refused() {
    let world = World::new().await;
    let ids = Ids::of(&world).await;
    let (mut tried, mut wrong) = (0, Vec::new());
    for rpc in rpcs() {
        for (name, leaf, depth) in lists(&rpc.input) {
            let Some(most) = most_entries(&name) else { continue };
            for (entries, refused) in [(most, false), (most + 1, true)] {
                tried += 1;
                let message = crowded(&rpc, &ids, (&leaf, depth), entries);
                let answer = call(&world.server, Some(ids.token(&rpc)), &rpc, &message).await;
                let told = answer.as_ref().err().and_then(|status| status.get_details_bad_request());
                let told = told.map(|bad| bad.field_violations).unwrap_or_default();
                let remedy = format!("must have at most {most} entries");
                let found = told.iter().any(|told| told.field == name && told.description == remedy);
                if found != refused {
                    wrong.push(format!("{} {name} with {entries}: {told:?}", rpc.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 60, "{tried}");
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_our_own_takes_as_many_connections_as_a_server_may_be_given() {
    let world = World::new().await;
    let most = sqlx::query_scalar::<_, String>("SHOW max_connections").fetch_one(world.server.pool()).await.unwrap();
    // With the server's own connection, and some for commands beside it and for who looks on.
    assert!(most.parse::<u32>().unwrap() >= 200 + 1 + 10, "{most}");
    let program = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stipple")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    for number in ["1", "201"] {
        let (code, told) = program(&["--database-connections", number, "migrate"]);
        assert!(code == Some(2) && told.contains(&format!("{number} is not in 2..=200")), "{told}");
    }
    let (_, help) = program(&["--help"]);
    let option = help.split("--database-connections").nth(1).unwrap().split("\n      --").next().unwrap();
    assert!(option.contains("[default: 16]"), "{help}");
}
