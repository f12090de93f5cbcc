//! Front desks at random, several at once, against a simple model of what may be done with a visit.
//!
//! A batch of requests goes out at the same time. The history then says in which order they were carried out; the model is
//! led along in that order and must allow each of them. What was refused it must refuse at some moment of the batch. After
//! each batch all visits stand where the model says.

pub mod desk;

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stipple::rpc::pb;
use tonic::Code;

use crate::desk::revision;
use crate::harness::World;
use crate::harness::kill::Killed;
use crate::harness::world::request_id;
use desk::{Desk, Request, State, Step, Time, Verdict, Visit, all_visits};

/// Random days at the desk.
const CASES: u32 = 4;
/// Batches of requests in each.
const BATCHES: usize = 60;
/// Requests at once.
const DESKS: usize = 4;
/// Appointments that are worked on: the latest ones.
const RECENT: usize = 10;

/// What a desk wants, with numbers to pick by.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Hold { patient: usize, room: usize, start: u8 },
    Book { patient: usize, room: usize, start: u8 },
    Move { which: usize, room: usize, start: u8 },
    Step { which: usize, step: Step },
}

/// Minutes that pass, and what is wanted then.
type Batch = (i64, Vec<Wish>);

fn wishes() -> impl Strategy<Value = Wish> {
    let place = || (0..3usize, 0..2usize, 0..5u8);
    let step = prop_oneof![
        1 => Just(Step::Renew),
        3 => Just(Step::Convert),
        1 => Just(Step::Cancel),
        2 => Just(Step::Confirm),
        5 => Just(Step::CheckIn),
        3 => Just(Step::Start),
        4 => Just(Step::Complete),
        2 => Just(Step::Miss),
        2 => Just(Step::Undo),
    ];
    prop_oneof![
        2 => place().prop_map(|(patient, room, start)| Wish::Hold { patient, room, start }),
        2 => place().prop_map(|(patient, room, start)| Wish::Book { patient, room, start }),
        1 => (0..RECENT, 0..2usize, 0..5u8).prop_map(|(which, room, start)| Wish::Move { which, room, start }),
        8 => (0..RECENT, step).prop_map(|(which, step)| Wish::Step { which, step }),
    ]
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let minutes = prop_oneof![2 => Just(0), 3 => Just(5), 3 => Just(15), 2 => Just(30), 1 => Just(9 * 60)];
    proptest::collection::vec((minutes, proptest::collection::vec(wishes(), DESKS)), BATCHES)
}

struct Play {
    world: World,
    patients: Vec<String>,
    desk: Desk,
    now: Time,
    read_to: i64,
}

impl Play {
    async fn new() -> Self {
        let world = World::new().await;
        let patients = vec![world.patients[0].clone(), world.patients[1].clone(), world.patient().await];
        let read_to = revision(&world).await;
        Self { world, patients, desk: Desk::default(), now: "2026-01-05T08:00:00Z".parse().unwrap(), read_to }
    }

    fn request(&self, wish: Wish) -> Option<Request> {
        let half_hour = TimeDelta::minutes(30);
        let since = self.now.timestamp().rem_euclid(half_hour.num_seconds());
        let next = self.now - TimeDelta::seconds(since);
        let at = |start: u8| next + half_hour * i32::from(start);
        let recent = |which: usize| {
            let mut known: Vec<(&String, &Visit)> = self.desk.visits.iter().collect();
            known.sort_by_key(|(id, visit)| (std::cmp::Reverse(visit.revision), (*id).clone()));
            known.get(which).map(|(id, visit)| ((*id).clone(), visit.revision))
        };
        Some(match wish {
            Wish::Hold { patient, room, start } => {
                Request::Place { hold_minutes: Some(10), patient, room, start: at(start) }
            }
            Wish::Book { patient, room, start } => {
                Request::Place { hold_minutes: None, patient, room, start: at(start) }
            }
            Wish::Move { which, room, start } => {
                let (id, etag) = recent(which)?;
                Request::Move { id, etag, room, start: at(start) }
            }
            Wish::Step { which, step } => {
                let (id, etag) = recent(which)?;
                Request::Step { id, etag, step }
            }
        })
    }

    async fn changes(&mut self) -> Vec<pb::Change> {
        let request = pb::ListChangesRequest { after_revision: self.read_to, page_size: 500, ..Default::default() };
        let changes = self.world.manager.history().list_changes(request).await.unwrap().into_inner().changes;
        self.read_to = changes.last().map_or(self.read_to, |change| change.revision);
        changes
    }

    /// All visits stand where the model says.
    async fn compare(&mut self) {
        let days = TimeDelta::days(60);
        let shown = all_visits(&self.world, self.now - days, self.now + days).await;
        // Whoever reads ends what has expired.
        for change in self.changes().await {
            assert_eq!(change.kind, "appointment.hold_expired");
            self.desk.expire(&change.appointment_ids, self.now, change.revision).unwrap();
        }
        assert_eq!(shown.len(), self.desk.visits.len());
        for shown in shown {
            let visit = &self.desk.visits[&shown.appointment_id];
            assert!(visit.is_shown_as(&shown), "{visit:?} {shown:?}");
        }
    }

    async fn play(&mut self, (minutes, wishes): &Batch) {
        self.now += TimeDelta::minutes(*minutes);
        self.world.server.set_clock(&self.now.to_rfc3339()).unwrap();
        self.compare().await;
        let requests: Vec<(String, Request)> =
            wishes.iter().filter_map(|wish| Some((request_id(), self.request(*wish)?))).collect();
        let sent = requests.iter().map(|(id, request)| request.send(&self.world, &self.patients, id.clone()));
        let answers = futures_util::future::join_all(sent).await;

        let by_id: HashMap<&str, &Request> = requests.iter().map(|(id, request)| (id.as_str(), request)).collect();
        let mut moments = vec![self.desk.clone()];
        let mut done = Vec::new();
        for change in self.changes().await {
            // What is held for a visit that begins now ends at once.
            if change.kind == "appointment.hold_expired" {
                self.desk.expire(&change.appointment_ids, self.now, change.revision).unwrap();
            } else {
                let request = by_id[change.request_id.as_str()];
                self.desk.carry_out(request, &change.subject_id, self.now, change.revision).unwrap();
            }
            moments.push(self.desk.clone());
            done.push(change.request_id);
        }
        for ((id, request), answer) in requests.iter().zip(answers) {
            let was_done = done.contains(id);
            let said = |verdicts: &[Verdict]| {
                moments.iter().any(|desk| {
                    let verdict = desk.asked(request, self.now, 0);
                    verdicts.iter().any(|one| std::mem::discriminant(one) == std::mem::discriminant(&verdict))
                })
            };
            let any = self.desk.visits.values().next().cloned();
            match answer {
                Ok(_) if was_done => {}
                Ok(_) => assert!(said(&[Verdict::Nothing]), "{request:?} was taken and changed nothing"),
                Err(status) => {
                    assert!(!was_done, "{request:?} was carried out, and {status} was told");
                    let refused = matches!(status.code(), Code::FailedPrecondition | Code::Aborted);
                    assert!(refused, "{request:?}: {status}");
                    let either = any.map(Verdict::Either).into_iter();
                    let verdicts: Vec<Verdict> = either.chain([Verdict::Refused]).collect();
                    assert!(said(&verdicts), "{request:?} was refused: {status}");
                }
            }
        }
        self.compare().await;
    }
}

#[test]
fn whatever_desks_do_at_once_follows_a_simple_model_of_visits() {
    // The clock of a server in another process cannot be set.
    if Killed::wanted().is_some() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases: CASES, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let mut stands: BTreeMap<&str, usize> = BTreeMap::new();
    let states = std::cell::RefCell::new(&mut stands);
    TestRunner::new(config)
        .run(&batches(), |batches| {
            runtime.block_on(async {
                let mut play = Play::new().await;
                for batch in &batches {
                    play.play(batch).await;
                }
                play.world.server.assert_clean().await;
                for visit in play.desk.visits.values() {
                    let name = match visit.state {
                        State::Held { .. } | State::Booked | State::Confirmed { .. } => "ahead",
                        State::Arrived { .. } | State::InProgress { .. } => "there",
                        State::Fulfilled => "fulfilled",
                        State::Cancelled => "cancelled",
                        State::NoShow { .. } => "no-show",
                    };
                    *states.borrow_mut().entry(name).or_default() += 1;
                }
            });
            Ok(())
        })
        .unwrap();
    // Random desks that never get anywhere would show nothing.
    assert!(["fulfilled", "cancelled", "no-show"].iter().all(|name| stands.contains_key(name)), "{stands:?}");
}
