//! The program itself, from its first start to its end, whichever end that is.

mod database;
mod deaths;
pub mod program;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use chrono::{DateTime, SecondsFormat, Utc};
use prost_types::Timestamp;
use rustix::process::Signal;
use sqlx::PgConnection;
use stipple::rpc::pb;
use stipple::rpc::pb::history_service_client::HistoryServiceClient;
use stipple::rpc::pb::patient_service_client::PatientServiceClient;
use stipple::rpc::pb::practice_service_client::PracticeServiceClient;
use stipple::rpc::pb::series_service_client::SeriesServiceClient;
use tokio::net::{TcpListener, TcpStream};
use tonic::{Response, Status};

use crate::harness::world::timestamp;
use program::{Folder, Program, Ready, bearing, until};

/// What `demo.env` says.
fn demo_env(folder: &Folder) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder.data().join("demo.env")).unwrap();
    let pairs = text.lines().map(|line| line.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The request of the printed line that books a series, read out of its JSON.
fn printed_booking(ready: &Ready) -> pb::BookSeriesRequest {
    let line = ready.lines.iter().find(|line| line.ends_with("stipple.v1.SeriesService/BookSeries")).unwrap();
    let json = line.split('\'').nth(3).unwrap();
    let value = |name: &str| {
        let rest = json.split_once(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("{name} in {json}")).1;
        rest.split_once('"').unwrap().0.to_owned()
    };
    let starts: Vec<&str> = json.split("\"start_time\":\"").skip(1).map(|rest| &rest[..20]).collect();
    let start = |text: &&str| timestamp(text.parse::<DateTime<Utc>>().unwrap());
    let request = pb::BookSeriesRequest {
        request_id: value("request_id"),
        patient_id: value("patient_id"),
        protocol_id: value("protocol_id"),
        body_area: pb::BodyArea::from_str_name(&value("body_area")).unwrap().into(),
        clinic_id: value("clinic_id"),
        sessions: starts
            .iter()
            .map(|text| pb::SessionRequest { start_time: start(text), ..Default::default() })
            .collect(),
        ..Default::default()
    };
    // Nothing else is in it.
    let written =
        |at: &Timestamp| DateTime::from_timestamp(at.seconds, 0).unwrap().to_rfc3339_opts(SecondsFormat::Secs, true);
    let sessions: Vec<_> = request.sessions.iter().map(|session| session.start_time.as_ref().unwrap()).collect();
    let sessions: Vec<_> = sessions.into_iter().map(|at| format!("{{\"start_time\":\"{}\"}}", written(at))).collect();
    let expected = format!(
        "{{\"request_id\":\"{}\",\"patient_id\":\"{}\",\"protocol_id\":\"{}\",\"body_area\":\"{}\",\"clinic_id\":\"{}\",\"sessions\":[{}]}}",
        request.request_id,
        request.patient_id,
        request.protocol_id,
        request.body_area().as_str_name(),
        request.clinic_id,
        sessions.join(","),
    );
    assert_eq!(json, expected);
    request
}

/// Books a series with the data of the printed line.
async fn book_series(ready: &Ready, request: pb::BookSeriesRequest) -> Result<pb::Series, Status> {
    let answer = SeriesServiceClient::new(ready.channel()).book_series(ready.request(request)).await;
    answer.map(|answer| answer.into_inner().series.unwrap())
}

async fn series(ready: &Ready, series_id: &str) -> Result<pb::Series, Status> {
    let request = pb::GetSeriesRequest { series_id: series_id.to_owned(), ..Default::default() };
    let answer = SeriesServiceClient::new(ready.channel()).get_series(ready.request(request)).await;
    answer.map(|answer| answer.into_inner().series.unwrap())
}

async fn list_patients(ready: &Ready) -> Result<Response<pb::ListPatientsResponse>, Status> {
    PatientServiceClient::new(ready.channel()).list_patients(ready.request(pb::ListPatientsRequest::default())).await
}

/// How many changes the practice's history has, as a client reads it page by page.
async fn history(ready: &Ready) -> usize {
    let mut client = HistoryServiceClient::new(ready.channel());
    let (mut revisions, mut page_token) = (0, String::new());
    loop {
        let request = pb::ListChangesRequest { page_token, page_size: 500, ..Default::default() };
        let page = client.list_changes(ready.request(request)).await.unwrap().into_inner();
        for change in page.changes {
            revisions += 1;
            assert_eq!(change.revision, revisions);
        }
        if page.next_page_token.is_empty() {
            return usize::try_from(revisions).unwrap();
        }
        page_token = page.next_page_token;
    }
}

/// How much of everything there is: that nothing is there twice shows in it.
async fn counts(db: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT format('%s %s', name, (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', name),
             false, true, '')))[1])
         FROM unnest(ARRAY['practices', 'clinics', 'opening_hours', 'closures', 'resources', 'working_hours',
             'time_off', 'treatments', 'treatment_phases', 'protocols', 'patients', 'series', 'appointments',
             'occupancies']) AS name",
    )
    .fetch_all(db)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_makes_a_practice_and_says_how_to_use_it() {
    let folder = Folder::new();
    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    assert!(ready.lines.len() >= 3, "{:?}", program.output());
    for line in &ready.lines {
        let (start, token) = ("grpcurl -plaintext -H 'authorization: Bearer ", &ready.token);
        assert!(line.starts_with(&format!("{start}{token}' -d '{{")), "{line}");
        assert!(line.contains(&format!("}}' {} stipple.v1.", ready.address)), "{line}");
    }
    let env = demo_env(&folder);
    let names: Vec<_> = env.keys().map(|name| name.trim_start_matches("STIPPLE_")).collect();
    assert_eq!(names, ["ADDR", "CLINIC_ID", "PATIENT_ID", "PRACTICE_ID", "PROTOCOL_ID", "TOKEN"]);
    assert_eq!((&env["STIPPLE_ADDR"], &env["STIPPLE_TOKEN"]), (&ready.address, &ready.token));
    assert!(env.values().all(|value| !value.is_empty()));
    let mode = std::fs::metadata(folder.data().join("demo.env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let logged = program.errors().join("\n");
    assert!(!logged.contains(&ready.token) && !logged.contains("WARN") && !logged.contains("ERROR"), "{logged}");

    // What is printed can be carried out, and again.
    let request = printed_booking(&ready);
    let booked = book_series(&ready, request.clone()).await.unwrap();
    assert_eq!(booked.sessions.len(), request.sessions.len());
    assert_eq!(book_series(&ready, request).await.unwrap().series_id, booked.series_id);
    assert!(!list_patients(&ready).await.unwrap().into_inner().patients.is_empty());

    // Only the token of that practice opens it.
    let other = Ready { token: format!("{}x", ready.token), ..ready.clone() };
    assert_eq!(list_patients(&other).await.unwrap_err().code(), tonic::Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_is_under_way_and_leaves_nothing_running() {
    let folder = Folder::seeded().await;
    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    assert!(!folder.processes().is_empty());

    // A booking is held up behind the practice's lock.
    let mut db = folder.database().await.unwrap();
    sqlx::query("BEGIN").execute(&mut db).await.unwrap();
    sqlx::query("SELECT FROM practices FOR UPDATE").fetch_all(&mut db).await.unwrap();
    let booking = tokio::spawn({
        let (ready, request) = (ready.clone(), printed_booking(&ready));
        async move { book_series(&ready, request).await }
    });
    let mut watcher = folder.database().await.unwrap();
    let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted";
    loop {
        if sqlx::query_scalar(waiting).fetch_one(&mut watcher).await.unwrap() {
            break;
        }
        assert!(!booking.is_finished(), "{:?}", booking.await);
        tokio::task::yield_now().await;
    }

    program.signal(Signal::TERM);
    until("no more connections", || async { TcpStream::connect(&ready.address).await.is_err().then_some(()) }).await;
    assert!(!booking.is_finished());
    sqlx::query("ROLLBACK").execute(&mut db).await.unwrap();
    let booked = booking.await.unwrap().unwrap();
    assert_eq!(program.ended().await.code(), Some(0), "{:?}", program.errors());
    until("everything has ended", || async { folder.processes().is_empty().then_some(()) }).await;

    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    assert_eq!(series(&ready, &booked.series_id).await.unwrap(), booked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_before_the_server_is_ready_ends_it_as_well() {
    let folder = Folder::new();
    let mut program = Program::serve(&folder);
    until("PostgreSQL is being made", || async { folder.makes_postgresql().then_some(()) }).await;
    program.signal(Signal::TERM);
    assert_eq!(program.ended().await.code(), Some(0), "{:?}", program.errors());
    assert!(program.output().is_empty());
    until("everything has ended", || async { folder.processes().is_empty().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_start_goes_on_with_what_is_there() {
    let folder = Folder::seeded().await;
    let before = demo_env(&folder);
    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    let changes = history(&ready).await;
    assert_eq!(ready.token, before["STIPPLE_TOKEN"]);
    program.signal(Signal::INT);
    assert_eq!(program.ended().await.code(), Some(0));

    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    assert_eq!(history(&ready).await, changes);
    let mut after = demo_env(&folder);
    assert_eq!(after["STIPPLE_ADDR"], ready.address);
    after.insert("STIPPLE_ADDR".to_owned(), before["STIPPLE_ADDR"].clone());
    assert_eq!(after, before);

    // A token that is lost is replaced; the practice stays.
    program.signal(Signal::TERM);
    assert!(program.ended().await.success());
    std::fs::remove_file(folder.data().join("demo.env")).unwrap();
    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    assert_eq!(history(&ready).await, changes + 1);
    assert_eq!(demo_env(&folder)["STIPPLE_PRACTICE_ID"], before["STIPPLE_PRACTICE_ID"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_beside_the_server_and_without_it() {
    let folder = Folder::seeded().await;
    let data = folder.data();
    let place = ["--data-dir", data.to_str().unwrap()];
    let verify = [&["verify"], place.as_slice()].concat();
    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    let (well, output, errors) = Program::run(&verify).await;
    assert!(well && output.iter().any(|line| line.contains("P7")), "{output:?} {errors:?}");

    // An operator's token, made beside the running server, opens it.
    let (well, output, errors) = Program::run(&[&["token", "--label", "a test"], place.as_slice()].concat()).await;
    assert!(well && output.len() == 1, "{output:?} {errors:?}");
    let mut practices = PracticeServiceClient::new(ready.channel());
    let request = bearing(&output[0], pb::ListPracticesRequest::default());
    assert_eq!(practices.list_practices(request).await.unwrap().into_inner().practices.len(), 1);
    assert!(!list_patients(&ready).await.unwrap().into_inner().patients.is_empty());

    program.signal(Signal::TERM);
    assert!(program.ended().await.success());
    let (well, output, errors) = Program::run(&verify).await;
    assert!(well && output.iter().any(|line| line.contains("P7")), "{output:?} {errors:?}");
    until("everything has ended", || async { folder.processes().is_empty().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_folder_is_told_so() {
    let folder = Folder::seeded().await;
    let mut program = Program::serve(&folder);
    let ready = program.ready().await;
    let data = folder.data();
    let complaint = Program::complaint(&["--data-dir", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]).await;
    let expected = format!("stipple: another stipple is running on this data folder ({})", data.display());
    assert!(complaint.starts_with(&expected), "{complaint}");
    // Which leaves the first one alone.
    list_patients(&ready).await.unwrap();
    assert_eq!(demo_env(&folder)["STIPPLE_ADDR"], ready.address);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_told_before_anything_is_made() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = folder.data();
    let complaint = Program::complaint(&["--data-dir", data.to_str().unwrap(), "--listen", &address]).await;
    assert!(complaint.starts_with(&format!("stipple: listening on {address}: Address already in use")), "{complaint}");
    assert!(!data.exists());
}
