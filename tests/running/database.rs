//! On a database of somebody else's.

use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use stipple::rpc::pb;
use stipple::rpc::pb::practice_service_client::PracticeServiceClient;
use uuid::Uuid;

use super::program::{Folder, LIMIT, Program, bearing};
use super::{book_series, counts, demo_env, list_patients, printed_booking};
use crate::harness::cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_put_into_a_database_of_somebody_elses_until_it_is_asked_for() {
    let options = cluster::empty_database().await;
    let url = cluster::url(&options);
    let folder = Folder::new();
    let data = folder.data();
    let place = ["--database-url", &url, "--data-dir", data.to_str().unwrap()];
    let mut server = Program::start(&[&["--listen", "127.0.0.1:0"], place.as_slice()].concat());
    let ready = server.ready().await;
    let mut db = PgConnection::connect_with(&options).await.unwrap();
    let practices: Vec<Uuid> =
        sqlx::query_scalar("SELECT practice_id FROM practices").fetch_all(&mut db).await.unwrap();
    assert_eq!(practices, [Uuid::nil()], "only the deployment itself");
    assert!(ready.token.is_empty() && ready.lines.is_empty() && !data.exists());

    let demo = [&["demo", "--listen", &ready.address], place.as_slice()].concat();
    let (well, output, errors) = Program::run(&demo).await;
    assert!(well, "{errors:?}");
    let there = counts(&mut db).await;
    assert!(there.contains(&"practices 2".to_owned()), "{there:?}");
    let (well, again, errors) = Program::run(&demo).await;
    assert!(well, "{errors:?}");
    assert_eq!(counts(&mut db).await, there);

    // What either printed works with the server that runs.
    for output in [output, again] {
        let token = output.iter().find_map(|line| line.strip_prefix("Token: ")).unwrap().to_owned();
        let lines: Vec<_> = output.into_iter().filter(|line| line.starts_with("grpcurl ")).collect();
        assert!(lines.iter().all(|line| line.contains(&ready.address)), "{lines:?}");
        let demo = super::Ready { address: ready.address.clone(), token, lines };
        assert!(!list_patients(&demo).await.unwrap().into_inner().patients.is_empty());
        let request = pb::BookSeriesRequest { validate_only: true, ..printed_booking(&demo) };
        book_series(&demo, request).await.unwrap();
    }
    assert_eq!(demo_env(&folder)["STIPPLE_ADDR"], ready.address);

    let (well, output, errors) = Program::run(&[&["token"], place.as_slice()].concat()).await;
    assert!(well && output.len() == 1, "{output:?} {errors:?}");
    let request = bearing(&output[0], pb::ListPracticesRequest::default());
    let practices = PracticeServiceClient::new(ready.channel()).list_practices(request).await.unwrap().into_inner();
    assert_eq!(practices.practices.len(), 1);
    assert!(Program::run(&[&["verify"], place.as_slice()].concat()).await.0);

    server.signal(Signal::TERM);
    assert_eq!(server.ended().await.code(), Some(0), "{:?}", server.errors());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrating_brings_the_schema_up_to_date_and_can_be_repeated() {
    let options = cluster::empty_database().await;
    let url = cluster::url(&options);
    for _ in 0..2 {
        let (well, output, errors) = Program::run(&["migrate", "--database-url", &url]).await;
        assert!(well && errors.is_empty(), "{errors:?}");
        assert_eq!(output, ["The schema is up to date."]);
    }
    let mut db = PgConnection::connect_with(&options).await.unwrap();
    assert!(stipple::store::verify::verify(&mut db).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_reached_is_told_in_one_line() {
    let secret = "hunter2";
    let nobody = format!("postgres://somebody:{secret}@127.0.0.1:1/nothing");
    let serve = ["serve", "--listen=127.0.0.1:0"].as_slice();
    // Whether it is still coming up is waited for, for some seconds.
    let cases = [(serve, nobody.as_str(), "connecting to the database"), (serve, "nonsense", "reading DATABASE_URL")];
    for (command, url, what) in cases.into_iter().chain([(&["verify"] as _, "nonsense", "reading DATABASE_URL")]) {
        let complaint = Program::complaint(&[command, &["--database-url", url]].concat()).await;
        assert!(complaint.starts_with(&format!("stipple: {what}: ")), "{complaint}");
        assert!(!complaint.contains(secret), "{complaint}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_takes_more_connections_than_it_is_given_files_at_first() {
    const FILES: u32 = 128;
    let url = cluster::url(&cluster::migrated_database().await);
    let mut server = Program::start_with_files(FILES, &["--listen", "127.0.0.1:0", "--database-url", &url]);
    let ready = server.ready().await;
    let mut open = Vec::new();
    for _ in 0..=FILES {
        let mut client = PracticeServiceClient::new(ready.channel());
        let asked = client.list_practices(pb::ListPracticesRequest::default());
        let answer = tokio::time::timeout(LIMIT, asked).await.expect("the connection is taken");
        assert_eq!(answer.unwrap_err().code(), tonic::Code::Unauthenticated);
        open.push(client);
    }
}
