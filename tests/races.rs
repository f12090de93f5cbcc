//! Many at once, and a server that is killed under them.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use stipple::rpc::pb;
use stipple::store::{Connections, StoreError};
use tokio::sync::Barrier;

use crate::harness::cluster;
use crate::harness::server::Home;
use crate::harness::world::request_id;
use crate::harness::{TestServer, World, refusal};

/// How long a connection is waited for, and kept by each of a crowd that is too large for that.
const WAIT: Duration = Duration::from_secs(2);
const KEPT: Duration = Duration::from_millis(50);
const CROWD: usize = 60;

/// Requests whose caller goes away, one each fifth of a millisecond later than the one before, from the start on.
const GONE: u64 = 60;

const CLIENTS: usize = 4;
/// Saunas that each client asks for; every third that it got it cancels again.
const SLOTS: usize = 7;
/// The practice has two rooms.
const WINNERS: usize = 2;

/// What one client was told.
#[derive(Default)]
struct Told {
    booked: Vec<(usize, pb::Appointment)>,
    cancelled: Vec<pb::Appointment>,
    /// The requests that were carried out.
    carried_out: Vec<String>,
    refused: Vec<String>,
}

async fn client(world: Arc<World>, patient: String, barrier: Arc<Barrier>) -> Told {
    let mut told = Told::default();
    for slot in 0..SLOTS {
        let mut request = world.visit_request(&world.sauna, &format!("2026-03-0{}T10:00:00", slot + 1));
        let Some(pb::book_appointment_request::Visit::Treatment(visit)) = &mut request.visit else { unreachable!() };
        visit.patient_id.clone_from(&patient);
        let id = request.request_id.clone();
        match world.book(request).await {
            Ok(appointment) => {
                told.booked.push((slot, appointment));
                told.carried_out.push(id);
            }
            Err(status) => {
                assert_eq!(refusal(&status).len(), 1, "{status:?}");
                told.refused.push(id);
            }
        }
    }
    barrier.wait().await;
    for (_, appointment) in told.booked.iter().step_by(3) {
        let request = pb::CancelAppointmentRequest {
            request_id: request_id(),
            etag: appointment.etag.clone(),
            appointment_id: appointment.appointment_id.clone(),
            ..Default::default()
        };
        told.carried_out.push(request.request_id.clone());
        let answer = world.manager.appointments().cancel_appointment(request).await.unwrap();
        told.cancelled.push(answer.into_inner().appointment.unwrap());
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_exactly_once_however_often_the_server_is_killed() {
    let world = Arc::new(World::on(TestServer::start_killed(7).await, "Europe/Berlin").await);
    let mut patients = world.patients.clone();
    while patients.len() < CLIENTS {
        patients.push(world.patient().await);
    }
    let pool = world.server.pool();
    let history = "SELECT revision, request_id::text FROM changes WHERE practice_id::text = $1 ORDER BY revision";
    let read = || async { sqlx::query_as(history).bind(&world.practice).fetch_all(pool).await.unwrap() };
    let before: Vec<(i64, String)> = read().await;

    let barrier = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = patients
        .into_iter()
        .map(|patient| tokio::spawn(client(Arc::clone(&world), patient, Arc::clone(&barrier))))
        .collect();
    let mut told = Vec::new();
    for client in clients {
        told.push(client.await.unwrap());
    }

    for slot in 0..SLOTS {
        let winners = told.iter().flat_map(|told| &told.booked).filter(|(of, _)| *of == slot).count();
        assert_eq!(winners, WINNERS, "slot {slot}");
    }
    let after: Vec<(i64, String)> = read().await;
    assert!(after.iter().zip(1..).all(|((revision, _), number)| *revision == number), "{after:?}");
    let mut recorded: Vec<_> = after[before.len()..].iter().map(|(_, request)| request.clone()).collect();
    let mut carried_out: Vec<_> = told.iter().flat_map(|told| told.carried_out.clone()).collect();
    recorded.sort();
    carried_out.sort();
    assert_eq!(recorded, carried_out, "each once, and nothing that was refused");

    for appointment in told.iter().flat_map(|told| &told.cancelled) {
        let request =
            pb::GetAppointmentRequest { appointment_id: appointment.appointment_id.clone(), ..Default::default() };
        let found = world.manager.appointments().get_appointment(request).await.unwrap().into_inner();
        assert_eq!(found.appointment.as_ref(), Some(appointment));
    }
    world.server.assert_clean().await;
    let Home::Killed(killed) = world.server.home() else { unreachable!() };
    let (_, deaths) = killed.channel().await;
    assert!(deaths >= 3, "killed {deaths} times only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_goes_away_leaves_nothing_behind_for_the_next() {
    let world = World::new().await;
    let mut asked = Vec::new();
    for number in 0..GONE {
        let day = 1 + number % 28;
        let start = format!("2026-02-{day:02}T{:02}:00:00", 8 + number / 28);
        let request = world.visit_request(&world.sauna, &start);
        let patience = Duration::from_micros(200 * number);
        // Whether it was carried out is open: that is what the request id is for.
        let _ = tokio::time::timeout(patience, world.book(request.clone())).await;
        asked.push(request);
    }
    // Every connection of the pool is used again, by reads and by writes.
    let mut again = tokio::task::JoinSet::new();
    for request in asked {
        let manager = world.manager.clone();
        again.spawn(async move {
            let booked =
                manager.appointments().book_appointment(request).await.unwrap().into_inner().appointment.unwrap();
            let query =
                pb::GetAppointmentRequest { appointment_id: booked.appointment_id.clone(), ..Default::default() };
            let read = manager.appointments().get_appointment(query).await.unwrap().into_inner().appointment.unwrap();
            assert_eq!(read, booked);
        });
    }
    while let Some(done) = again.join_next().await {
        done.unwrap();
    }
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_behind_a_crowd_is_told_so_and_who_waits_for_a_database_that_is_away_is_told_that() {
    let one = PgPoolOptions::new().max_connections(1).acquire_timeout(WAIT);
    let connections = Connections::new(one.clone().connect_with(cluster::migrated_database().await).await.unwrap());
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..CROWD {
        let connections = connections.clone();
        crowd.spawn(async move {
            let begun = connections.begin_read().await?;
            tokio::time::sleep(KEPT).await;
            drop(begun);
            Ok(())
        });
    }
    let turned_away: Vec<StoreError> = crowd.join_all().await.into_iter().filter_map(Result::err).collect();
    let crowded = turned_away.iter().filter(|error| matches!(error, StoreError::Exhausted)).count();
    assert!(crowded > 0 && crowded == turned_away.len(), "{turned_away:?}");

    // Nobody listens there, as where PostgreSQL has ended.
    let away = Connections::new(one.connect_lazy("postgres://nobody@127.0.0.1:1/nothing").unwrap());
    let (read, written, taken) = tokio::join!(away.begin_read(), away.begin_write(), away.acquire());
    for error in [read.err(), written.err(), taken.err()] {
        assert!(matches!(error, Some(StoreError::Unavailable(_))), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_given_up_while_it_begins_does_not_stay_open() {
    let options = cluster::migrated_database().await;
    let observer = cluster::pool(options.clone()).await;
    let options = options.application_name("given up");
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let connections = Connections::new(pool);
    for turns in 0..100 {
        // Given up after so many turns of the runtime, which is finer than its timers are.
        let mut begin = Box::pin(connections.begin_write());
        for _ in 0..turns {
            let begun = std::future::poll_fn(|context| Poll::Ready(begin.as_mut().poll(context).is_ready()));
            if begun.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(begin);
        let closed = async {
            let states = "SELECT bool_and(state = 'idle') FROM pg_stat_activity WHERE application_name = 'given up'";
            while sqlx::query_scalar::<_, Option<bool>>(states).fetch_one(&observer).await.unwrap() != Some(true) {
                tokio::task::yield_now().await;
            }
        };
        let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
        assert!(closed.is_ok(), "given up after {turns} turns");
    }
}
