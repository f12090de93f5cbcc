//! Holds that end while servers are killed: by whichever server looks next, once, and with one owner.

use std::collections::BTreeSet;
use std::future::Future;

use chrono::{DateTime, TimeDelta, Utc};
use stipple::rpc::pb;
use stipple::rpc::pb::appointment_service_client::AppointmentServiceClient;
use tokio::task::JoinSet;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::changes::all_changes;
use crate::desk::get_appointment;
use crate::harness::World;
use crate::harness::kill::{Killed, spawn};
use crate::holds::{convert_request, held, hold_request, rival_request};

/// Servers that are killed in the middle of it.
const DEATHS: usize = 10;
/// Holds that end around the time when one is.
const HOLDS: usize = 100;
/// Between the ends of two of them.
const APART: TimeDelta = TimeDelta::milliseconds(10);

/// A half hour by its place: twenty a day, from a day in January on.
fn half_hour(place: usize) -> String {
    let (day, place) = (i64::try_from(place / 20).unwrap(), i64::try_from(place % 20).unwrap());
    let opening: DateTime<Utc> = "2026-01-12T08:00:00Z".parse().unwrap();
    (opening + TimeDelta::days(day) + TimeDelta::minutes(30 * place)).format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// What a server that may die answers, if it does. Of anything else nobody knows whether it was done.
async fn sent<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Option<T> {
    answer.await.ok().map(Response::into_inner)
}

/// How often each appointment expired, by the history.
async fn expired(world: &World) -> Vec<String> {
    let ended = all_changes(world, 500).await.into_iter().filter(|change| change.kind == "appointment.hold_expired");
    ended.flat_map(|change| change.appointment_ids).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_that_end_while_servers_are_killed_have_one_owner_and_end_once() {
    if Killed::wanted().is_some() {
        return;
    }
    let world = World::new().await;
    let bearer: MetadataValue<_> = format!("Bearer {}", world.manager.token()).parse().unwrap();
    let client = |channel: &Channel| {
        let bearer = bearer.clone();
        AppointmentServiceClient::with_interceptor(channel.clone(), move |mut request: Request<()>| {
            request.metadata_mut().insert("authorization", bearer.clone());
            Ok(request)
        })
    };
    let url = world.server.database_url();
    let mut random: u64 = 2026;
    let mut now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
    let mut taken = BTreeSet::new();
    for death in 0..DEATHS {
        let first_end = now + TimeDelta::minutes(1);
        let mut rounds = Vec::new();
        for place in 0..HOLDS {
            world.server.set_clock(&now.to_rfc3339()).unwrap();
            let start = half_hour(death * HOLDS + place);
            let request = pb::HoldAppointmentRequest { hold_minutes: 1, ..hold_request(&world, 0, 0, &start) };
            let kept = held(&world, request).await.unwrap();
            rounds.push((convert_request(&kept), rival_request(&world, &start)));
            now += APART;
        }
        // By its clock the first hold ends when it starts.
        let (mut child, channel) = spawn(&url, &first_end.to_rfc3339()).await;
        let mut answers = JoinSet::new();
        for (place, (convert, book)) in rounds.iter().cloned().enumerate() {
            let (mut owner, mut other) = (client(&channel), client(&channel));
            answers.spawn(async move {
                let (won, taken) = tokio::join!(sent(owner.convert_hold(convert)), sent(other.book_appointment(book)));
                (place, won, taken)
            });
        }
        // It dies after so many answers, in the middle of the others.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let survived = usize::try_from(random >> 33).unwrap() % HOLDS;
        let mut acknowledged = vec![(None, None); HOLDS];
        for count in 0..HOLDS {
            if count == survived {
                child.kill().await.unwrap();
            }
            let (place, won, taken) = answers.join_next().await.unwrap().unwrap();
            acknowledged[place] = (won, taken);
        }

        // The next server is asked the same, with the same request ids, when half of them have ended.
        world.server.set_clock(&(first_end + APART * i32::try_from(HOLDS / 2).unwrap()).to_rfc3339()).unwrap();
        for ((convert, book), (won, lost)) in rounds.into_iter().zip(acknowledged) {
            let id = convert.appointment_id.clone();
            let mut client = world.manager.appointments();
            let owner = client.convert_hold(convert).await.map(Response::into_inner);
            let other = client.book_appointment(book).await.map(Response::into_inner);
            assert!(won.is_none() || owner.as_ref().ok() == won.as_ref(), "{won:?} became {owner:?}");
            assert!(lost.is_none() || other.as_ref().ok() == lost.as_ref(), "{lost:?} became {other:?}");
            let state = get_appointment(&world, &id).await.state();
            match (&owner, &other) {
                (Ok(_), Err(refused)) if refused.code() == Code::FailedPrecondition => {
                    assert_eq!(state, pb::AppointmentState::Booked);
                }
                (Err(refused), Ok(_)) if refused.code() == Code::FailedPrecondition => {
                    assert_eq!(state, pb::AppointmentState::Cancelled);
                    taken.insert(id);
                }
                _ => panic!("one owner: {owner:?} {other:?}"),
            }
        }
        now = first_end + TimeDelta::minutes(1);
    }
    assert!((1..DEATHS * HOLDS).contains(&taken.len()), "{} went to others", taken.len());
    let mut ended = expired(&world).await;
    ended.sort();
    assert_eq!(ended, taken.into_iter().collect::<Vec<_>>(), "each ended once, and none that was booked");
    world.server.assert_clean().await;
}
