//! Many watchers, many changes, and connections that are cut at random: each watcher sees each change once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use stipple::app::Pace;
use stipple::rpc::pb;

use super::{Watcher, hold_request, listed, quick};
use crate::desk::revision;
use crate::harness::World;
use crate::harness::random::Random;
use crate::harness::wire::Clients;
use crate::harness::world::request_id;

/// How many watch, and how many changes there are: few, unless `STIPPLE_TEST_WATCH=full` asks for all.
fn scale() -> (usize, usize) {
    match std::env::var("STIPPLE_TEST_WATCH").as_deref() {
        Ok("full") => (200, 10_000),
        _ => (40, 600),
    }
}

/// Those who write, each by themselves.
const WRITERS: usize = 4;
/// Patients of each.
const PATIENTS: usize = 10;
/// How far those who write may be ahead of the last watcher: as far as it may be resumed.
const AHEAD: i64 = 1_000;
/// Most messages between two cuts of a connection.
const MAX_MESSAGES: usize = 150;
/// Fewest connections of each watcher: what one takes falls far short of all changes.
const SEVERAL: usize = 4;

/// How far each watcher has come.
#[derive(Clone)]
struct Progress(Arc<Vec<AtomicI64>>);

impl Progress {
    fn slowest(&self) -> i64 {
        self.0.iter().map(|seen| seen.load(Ordering::Relaxed)).min().unwrap()
    }
}

async fn patients(world: &World, writer: usize) -> Vec<pb::Patient> {
    let mut patients = Vec::new();
    for place in 0..PATIENTS {
        let request = pb::CreatePatientRequest {
            request_id: request_id(),
            given_name: "Given".into(),
            family_name: format!("F{writer}{place}"),
            birth_date: "1990-04-01".into(),
            ..Default::default()
        };
        let made = world.manager.patients().create_patient(request).await.unwrap().into_inner().patient.unwrap();
        // Of two rooms, this writer has half of one's day.
        hold_booked(world, &made.patient_id, writer, place).await;
        patients.push(made);
    }
    patients
}

/// The start of a half hour that no other writer uses in the room.
fn start(writer: usize, place: usize) -> String {
    let half_hours = writer / 2 * 24 + place;
    format!("2026-01-26T{:02}:{:02}:00", half_hours / 2, half_hours % 2 * 30)
}

async fn hold_booked(world: &World, patient: &str, writer: usize, place: usize) {
    let held = pb::HoldAppointmentRequest {
        resource_ids: vec![world.rooms[writer % 2].clone()],
        ..hold_request(world, patient, &start(writer, place))
    };
    let held = world.manager.appointments().hold_appointment(held).await.unwrap().into_inner().appointment.unwrap();
    super::convert(world, &held).await;
}

/// Writes so many changes that each concern the day.
async fn write(world: World, writer: usize, mut patients: Vec<pb::Patient>, changes: usize, progress: Progress) {
    let mut random = Random::seeded(1_000 + writer as u64);
    let mut left = changes;
    let mut at = revision(&world).await;
    while left > 0 {
        while at - progress.slowest() > AHEAD {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let place = random.below(PATIENTS);
        if left >= 2 && random.below(4) == 0 {
            // A half hour that no visit has.
            let request = pb::HoldAppointmentRequest {
                resource_ids: vec![world.rooms[writer % 2].clone()],
                ..hold_request(&world, &patients[place].patient_id, &start(writer, PATIENTS + place))
            };
            let held = world.manager.appointments().hold_appointment(request).await.unwrap().into_inner();
            let released = world.cancel(&held.appointment.unwrap()).await.unwrap();
            at = released.etag.parse().unwrap();
            left -= 2;
        } else {
            patients[place] = renamed(&world.manager, &patients[place], left).await;
            at = patients[place].etag.parse().unwrap();
            left -= 1;
        }
    }
}

async fn renamed(clients: &Clients, patient: &pb::Patient, number: usize) -> pb::Patient {
    let request = pb::UpdatePatientRequest {
        request_id: request_id(),
        etag: patient.etag.clone(),
        patient_id: patient.patient_id.clone(),
        given_name: format!("Given {number}"),
        family_name: patient.family_name.clone(),
        birth_date: patient.birth_date.clone(),
        ..Default::default()
    };
    clients.patients().update_patient(request).await.unwrap().into_inner().patient.unwrap()
}

/// Watches until `last` says up to where, on one connection after the other.
async fn watch(
    world: World,
    mut watcher: Watcher,
    place: usize,
    progress: Progress,
    last: tokio::sync::watch::Receiver<i64>,
) -> (Watcher, usize) {
    let mut random = Random::seeded(place as u64);
    let mut cuts = 0;
    while watcher.seen < *last.borrow() {
        let server = world.server.connect(65_535).await.unwrap();
        watcher.clients = world.manager.over(&server);
        watcher.connect().await.unwrap();
        for _ in 0..=random.below(MAX_MESSAGES) {
            watcher.hear().await.unwrap().expect("the watch goes on");
            progress.0[place].store(watcher.seen, Ordering::Relaxed);
            if watcher.seen >= *last.borrow() {
                break;
            }
        }
        // The connection goes, with whatever is on its way.
        watcher.line = None;
        watcher.clients = world.manager.clone();
        cuts += 1;
    }
    (watcher, cuts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_watchers_sees_each_of_many_changes_once_and_in_order() {
    let (watchers, changes) = scale();
    let pace = Pace { of_server: watchers * 2, of_practice: watchers * 2, ..super::QUICK };
    let pace = Pace { heartbeat: Duration::from_secs(5), far_behind: 2 * AHEAD, ..pace };
    let Some(world) = quick(pace).await else { return };
    let mut of_writers = Vec::new();
    for writer in 0..WRITERS {
        of_writers.push(patients(&world, writer).await);
    }
    let begin = revision(&world).await;
    let progress = Progress(Arc::new((0..watchers).map(|_| AtomicI64::new(begin)).collect()));
    let (until, last) = tokio::sync::watch::channel(i64::MAX);
    let mut watching = Vec::new();
    for place in 0..watchers {
        let mut watcher = Watcher::new(&world.manager, &world);
        watcher.connect().await.unwrap();
        watcher.hear_until(begin).await;
        watcher.line = None;
        watching.push(tokio::spawn(watch(world.clone(), watcher, place, progress.clone(), last.clone())));
    }
    let writing = of_writers.into_iter().enumerate();
    let writing = writing.map(|(writer, patients)| {
        tokio::spawn(write(world.clone(), writer, patients, changes / WRITERS, progress.clone()))
    });
    for writer in writing.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let end = revision(&world).await;
    assert_eq!(end - begin, i64::try_from(changes).unwrap());
    until.send(end).unwrap();

    let sheet = listed(&world).await;
    let expected: Vec<i64> = (begin + 1..=end).collect();
    let mut cut = 0;
    for watching in watching {
        let (watcher, cuts) = watching.await.unwrap();
        let told: Vec<i64> = watcher.told.iter().map(|(revision, _)| *revision).collect();
        assert_eq!(told, expected);
        assert_eq!((watcher.sheets, watcher.sheet), (1, sheet.clone()));
        assert!(cuts >= SEVERAL, "{cuts} connections");
        cut += cuts;
    }
    eprintln!("{watchers} watchers saw {changes} changes each, over {cut} connections");
    world.server.assert_clean().await;
}
