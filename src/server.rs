//! The gRPC server: services, health, reflection, limits, and an end without cutting anybody off.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::app::App;
use crate::rpc::guard::GuardLayer;
use crate::rpc::{MAX_MESSAGE_BYTES, Services, codec, pb};

mod connections;

pub use connections::{Limits, take_files};

/// Most requests under way on one connection.
const MAX_STREAMS: u32 = 256;
/// Largest set of headers that is taken, in bytes.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// How often an idle connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long it may take to answer, before it is taken to be gone.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// How often the database is asked whether it answers, for the health service.
const HEALTH_CHECK: Duration = Duration::from_secs(2);
/// How long requests under way may take to finish once the server is to stop.
const DRAIN: Duration = Duration::from_secs(15);

const BUILDING: &str = "building reflection";

/// Serves until `stop` ends, then finishes what is under way.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    serve_within(Limits::default(), listener, app, stop).await
}

/// The same within other limits of connections.
pub async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    app: Arc<App>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let names: Vec<String> = codec::DESCRIPTORS
        .services()
        .map(|service| service.full_name().to_owned())
        .filter(|name| name.starts_with("stipple."))
        .collect();
    report(&health, &names, true).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Services::new(Arc::clone(&app))
        .routes()
        .add_service(health_service.max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(reflection().build_v1().context(BUILDING)?.max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(reflection().build_v1alpha().context(BUILDING)?.max_decoding_message_size(MAX_MESSAGE_BYTES));

    let (watched, looking_on) = (Arc::clone(&app), Arc::clone(&app));
    let reporter = health.clone();
    let watched_names = names.clone();
    let watch = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(HEALTH_CHECK);
        let mut before = true;
        loop {
            ticks.tick().await;
            let reachable = watched.is_reachable().await;
            if reachable != before {
                report(&reporter, &watched_names, reachable).await;
                before = reachable;
            }
        }
    });

    let (stopping, mut stopped) = tokio::sync::watch::channel(());
    let server = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .layer(GuardLayer::new(app))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections::connections(listener, limits), async move {
            // An error means that the sender is gone, which is just as good a reason to stop.
            let _ = stopped.changed().await;
        });
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended.context("serving"),
        () = stop => {}
    }
    watch.abort();
    report(&health, &names, false).await;
    // They would last longer than any request.
    looking_on.end_watches();
    let _ = stopping.send(());
    if let Ok(ended) = tokio::time::timeout(DRAIN, server).await {
        ended.context("serving")
    } else {
        tracing::warn!("some requests did not finish in time and were cut off");
        Ok(())
    }
}

/// Tells the health service whether requests are served, of the server as a whole and of each service.
async fn report(health: &HealthReporter, names: &[String], serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in std::iter::once("").chain(names.iter().map(String::as_str)) {
        health.set_service_status(name, status).await;
    }
}
