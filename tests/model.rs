//! Front desks at random, several at once, against a simple model of what may be done with a visit.
//!
//! A batch of requests goes out at the same time. The history then says in which order they were carried out; the model is
//! led along in that order and must allow each of them. What was refused it must refuse at some moment of the batch. After
//! each batch all visits stand where the model says.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stipple::rpc::pb;
use stipple::rpc::pb::hold_appointment_request::Visit as HoldVisit;
use tonic::{Code, Status};

use crate::desk::{instant, revision};
use crate::harness::World;
use crate::harness::kill::Killed;
use crate::harness::world::{request_id, timestamp};

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Renew,
    Convert,
    Cancel,
    Confirm,
    CheckIn,
    Start,
    Complete,
    Miss,
    Undo,
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

// --- The model -------------------------------------------------------------------------------------------------------

type Time = DateTime<Utc>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held { since: Time, until: Time },
    Booked,
    Confirmed { at: Time },
    Arrived { confirmed: Option<Time>, at: Time },
    InProgress { confirmed: Option<Time>, arrived: Time, at: Time },
    Fulfilled,
    Cancelled,
    NoShow { confirmed: Option<Time>, at: Time },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Visit {
    patient: usize,
    room: usize,
    start: Time,
    state: State,
    revision: i64,
}

impl Visit {
    fn takes_time(&self) -> bool {
        !matches!(self.state, State::Cancelled | State::NoShow { .. })
    }
}

/// A request, as it is sent: what is named by its id, as its sender last read it.
#[derive(Debug, Clone)]
enum Request {
    Place { hold: bool, patient: usize, room: usize, start: Time },
    Move { id: String, etag: i64, room: usize, start: Time },
    Step { id: String, etag: i64, step: Step },
}

/// What the model says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It is carried out: this visit stands so then.
    Allowed(Visit),
    /// It is carried out, and changes nothing.
    Nothing,
    /// It is refused.
    Refused,
    /// The model is too simple to say; if it is carried out, the visit stands so.
    Either(Visit),
}

/// Every visit by its id; each is there from its first revision on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Desk {
    visits: BTreeMap<String, Visit>,
}

fn after_hours(now: Time, then: Time, hours: i64) -> bool {
    now - then > TimeDelta::hours(hours)
}

fn expected(confirmed: Option<Time>) -> State {
    confirmed.map_or(State::Booked, |at| State::Confirmed { at })
}

impl Desk {
    /// Whether nobody else has the room or the patient then. All visits begin on a half hour and last as long.
    fn is_free(&self, room: usize, patient: usize, start: Time, but: Option<&str>) -> bool {
        let others = self.visits.iter().filter(|(id, visit)| Some(id.as_str()) != but && visit.takes_time());
        others
            .filter(|(_, visit)| visit.start == start)
            .all(|(_, visit)| visit.room != room && visit.patient != patient)
    }

    fn ahead(&self, visit: Visit, now: Time) -> Verdict {
        match visit.start.cmp(&now) {
            std::cmp::Ordering::Greater => Verdict::Allowed(visit),
            std::cmp::Ordering::Equal => Verdict::Either(visit),
            std::cmp::Ordering::Less => Verdict::Refused,
        }
    }

    fn asked(&self, request: &Request, now: Time, revision: i64) -> Verdict {
        match request {
            Request::Place { hold, patient, room, start } => {
                let until = (now + TimeDelta::minutes(10)).min(*start);
                let state = if *hold { State::Held { since: now, until } } else { State::Booked };
                if !self.is_free(*room, *patient, *start, None) {
                    return Verdict::Refused;
                }
                self.ahead(Visit { patient: *patient, room: *room, start: *start, state, revision }, now)
            }
            Request::Move { id, etag, room, start } => {
                let old = &self.visits[id];
                let movable = matches!(old.state, State::Booked | State::Confirmed { .. }) && old.start > now;
                if old.revision != *etag || !movable || !self.is_free(*room, old.patient, *start, Some(id)) {
                    return Verdict::Refused;
                }
                self.ahead(
                    Visit { patient: old.patient, room: *room, start: *start, state: State::Booked, revision },
                    now,
                )
            }
            Request::Step { id, etag, step } => {
                let old = &self.visits[id];
                if old.revision != *etag { Verdict::Refused } else { self.stepped(id, old, *step, now, revision) }
            }
        }
    }

    fn stepped(&self, id: &str, old: &Visit, step: Step, now: Time, revision: i64) -> Verdict {
        let to = |state| Visit { state, revision, ..old.clone() };
        let ahead = old.start > now;
        let same_day = local_day(old.start) == local_day(now);
        let soon = |at| !after_hours(now, at, 24);
        let state = match (step, old.state) {
            (Step::Renew, State::Held { since, until }) => {
                let longest = (now + TimeDelta::minutes(10)).min(old.start).min(since + TimeDelta::minutes(240));
                if longest <= until {
                    return Verdict::Nothing;
                }
                State::Held { since, until: longest }
            }
            (Step::Convert, State::Held { .. }) => State::Booked,
            (Step::Cancel, State::Held { .. }) => State::Cancelled,
            (Step::Cancel, State::Booked | State::Confirmed { .. }) if ahead => State::Cancelled,
            (Step::Confirm, State::Booked) if ahead => State::Confirmed { at: now },
            (Step::CheckIn, State::Booked) if same_day => State::Arrived { confirmed: None, at: now },
            (Step::CheckIn, State::Confirmed { at }) if same_day => State::Arrived { confirmed: Some(at), at: now },
            // On a later day more is asked than the model knows.
            (Step::CheckIn, State::Booked | State::Confirmed { .. }) if old.start < now => {
                let confirmed = if let State::Confirmed { at } = old.state { Some(at) } else { None };
                return Verdict::Either(to(State::Arrived { confirmed, at: now }));
            }
            (Step::Start, State::Arrived { confirmed, at }) if soon(at) => {
                State::InProgress { confirmed, arrived: at, at: now }
            }
            (Step::Complete, State::Arrived { .. }) if !ahead => State::Fulfilled,
            // Of one that began late, or before its time, more is asked too.
            (Step::Complete, State::Arrived { .. } | State::InProgress { .. }) => {
                return Verdict::Either(to(State::Fulfilled));
            }
            (Step::Miss, State::Booked) if !ahead => State::NoShow { confirmed: None, at: now },
            (Step::Miss, State::Confirmed { at }) if !ahead => State::NoShow { confirmed: Some(at), at: now },
            (Step::Undo, State::Confirmed { at }) if soon(at) => State::Booked,
            (Step::Undo, State::Arrived { confirmed, at }) if soon(at) => {
                let undone = to(expected(confirmed));
                return if ahead { Verdict::Either(undone) } else { Verdict::Allowed(undone) };
            }
            (Step::Undo, State::InProgress { confirmed, arrived, at }) if soon(at) => {
                State::Arrived { confirmed, at: arrived }
            }
            (Step::Undo, State::NoShow { confirmed, at })
                if soon(at) && self.is_free(old.room, old.patient, old.start, Some(id)) =>
            {
                expected(confirmed)
            }
            _ => return Verdict::Refused,
        };
        Verdict::Allowed(to(state))
    }

    /// What the history says was carried out, is.
    fn carry_out(&mut self, request: &Request, subject: &str, now: Time, revision: i64) {
        let (Verdict::Allowed(visit) | Verdict::Either(visit)) = self.asked(request, now, revision) else {
            panic!("{request:?} was carried out as revision {revision} on {self:?}");
        };
        if let Request::Move { id, .. } = request {
            let old = self.visits.get_mut(id).unwrap();
            (old.state, old.revision) = (State::Cancelled, revision);
        }
        self.visits.insert(subject.to_owned(), visit);
    }

    fn expire(&mut self, ids: &[String], now: Time, revision: i64) {
        let due = |visit: &Visit| matches!(visit.state, State::Held { until, .. } if until <= now);
        let mut ended: Vec<String> =
            self.visits.iter().filter(|(_, visit)| due(visit)).map(|(id, _)| id.clone()).collect();
        let mut told = ids.to_vec();
        ended.sort();
        told.sort();
        assert_eq!(told, ended, "what has expired, and nothing else, is ended");
        for id in ended {
            let visit = self.visits.get_mut(&id).unwrap();
            (visit.state, visit.revision) = (State::Cancelled, revision);
        }
    }
}

/// The day in Berlin in winter.
fn local_day(at: Time) -> chrono::NaiveDate {
    (at + TimeDelta::hours(1)).date_naive()
}

// --- The desks -------------------------------------------------------------------------------------------------------

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
            Wish::Hold { patient, room, start } => Request::Place { hold: true, patient, room, start: at(start) },
            Wish::Book { patient, room, start } => Request::Place { hold: false, patient, room, start: at(start) },
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

    /// Sends a request under an id. Whether it was carried out.
    async fn send(&self, request: &Request, request_id: String) -> Result<(), Status> {
        let mut client = self.world.manager.appointments();
        let (appointment_id, etag) = match request {
            Request::Place { .. } => (String::new(), String::new()),
            Request::Move { id, etag, .. } | Request::Step { id, etag, .. } => (id.clone(), etag.to_string()),
        };
        macro_rules! step {
            ($method:ident, $message:ident) => {
                client.$method(pb::$message { request_id, etag, appointment_id, ..Default::default() }).await.map(drop)
            };
        }
        match request {
            Request::Place { hold, patient, room, start } => {
                let hold_request = pb::HoldAppointmentRequest {
                    request_id,
                    visit: Some(HoldVisit::Treatment(pb::TreatmentVisit {
                        patient_id: self.patients[*patient].clone(),
                        treatment_id: self.world.sauna.clone(),
                        ..Default::default()
                    })),
                    clinic_id: self.world.clinic.clone(),
                    start_time: timestamp(*start),
                    resource_ids: vec![self.world.rooms[*room].clone()],
                    ..Default::default()
                };
                if *hold {
                    return client.hold_appointment(hold_request).await.map(drop);
                }
                let Some(HoldVisit::Treatment(visit)) = hold_request.visit else { unreachable!() };
                let book = pb::BookAppointmentRequest {
                    request_id: hold_request.request_id,
                    visit: Some(pb::book_appointment_request::Visit::Treatment(visit)),
                    clinic_id: hold_request.clinic_id,
                    start_time: hold_request.start_time,
                    resource_ids: hold_request.resource_ids,
                    ..Default::default()
                };
                client.book_appointment(book).await.map(drop)
            }
            Request::Move { room, start, .. } => {
                let request = pb::RescheduleAppointmentRequest {
                    request_id,
                    etag,
                    appointment_id,
                    start_time: timestamp(*start),
                    resource_ids: vec![self.world.rooms[*room].clone()],
                    ..Default::default()
                };
                client.reschedule_appointment(request).await.map(drop)
            }
            Request::Step { step, .. } => match step {
                Step::Renew => step!(renew_hold, RenewHoldRequest),
                Step::Convert => step!(convert_hold, ConvertHoldRequest),
                Step::Cancel => step!(cancel_appointment, CancelAppointmentRequest),
                Step::Confirm => step!(confirm_appointment, ConfirmAppointmentRequest),
                Step::CheckIn => step!(check_in, CheckInRequest),
                Step::Start => step!(start_visit, StartVisitRequest),
                Step::Complete => step!(complete_appointment, CompleteAppointmentRequest),
                Step::Miss => step!(mark_no_show, MarkNoShowRequest),
                Step::Undo => step!(undo_visit, UndoVisitRequest),
            },
        }
    }

    async fn changes(&mut self) -> Vec<pb::Change> {
        let request = pb::ListChangesRequest { after_revision: self.read_to, page_size: 500, ..Default::default() };
        let changes = self.world.manager.history().list_changes(request).await.unwrap().into_inner().changes;
        self.read_to = changes.last().map_or(self.read_to, |change| change.revision);
        changes
    }

    /// All visits stand where the model says.
    async fn compare(&mut self) {
        let (from, until) = (self.now - TimeDelta::days(60), self.now + TimeDelta::days(60));
        let mut page_token = String::new();
        let mut seen = 0;
        loop {
            let request = pb::ListAppointmentsRequest {
                subject: Some(pb::list_appointments_request::Subject::ClinicId(self.world.clinic.clone())),
                start_time: timestamp(from),
                end_time: timestamp(until),
                include_cancelled: true,
                page_size: 500,
                page_token,
                ..Default::default()
            };
            let page = self.world.manager.appointments().list_appointments(request).await.unwrap().into_inner();
            // Whoever reads ends what has expired.
            for change in self.changes().await {
                assert_eq!(change.kind, "appointment.hold_expired");
                self.desk.expire(&change.appointment_ids, self.now, change.revision);
            }
            for shown in page.appointments {
                let visit = &self.desk.visits[&shown.appointment_id];
                let (state, until) = match visit.state {
                    State::Held { until, .. } => (pb::AppointmentState::Held, Some(until)),
                    State::Booked => (pb::AppointmentState::Booked, None),
                    State::Confirmed { .. } => (pb::AppointmentState::Confirmed, None),
                    State::Arrived { .. } => (pb::AppointmentState::Arrived, None),
                    State::InProgress { .. } => (pb::AppointmentState::InProgress, None),
                    State::Fulfilled => (pb::AppointmentState::Fulfilled, None),
                    State::Cancelled => (pb::AppointmentState::Cancelled, None),
                    State::NoShow { .. } => (pb::AppointmentState::NoShow, None),
                };
                let told = shown.held_until.map(|until| instant(Some(&until)));
                assert_eq!((shown.state(), told), (state, until), "{visit:?}");
                assert_eq!(shown.etag, visit.revision.to_string(), "{visit:?}");
                assert_eq!(instant(shown.start_time.as_ref()), visit.start);
                seen += 1;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, self.desk.visits.len());
    }

    async fn play(&mut self, (minutes, wishes): &Batch) {
        self.now += TimeDelta::minutes(*minutes);
        self.world.server.set_clock(&self.now.to_rfc3339()).unwrap();
        self.compare().await;
        let requests: Vec<(String, Request)> =
            wishes.iter().filter_map(|wish| Some((request_id(), self.request(*wish)?))).collect();
        let sent = requests.iter().map(|(id, request)| self.send(request, id.clone()));
        let answers = futures_util::future::join_all(sent).await;

        let by_id: HashMap<&str, &Request> = requests.iter().map(|(id, request)| (id.as_str(), request)).collect();
        let mut moments = vec![self.desk.clone()];
        let mut done = Vec::new();
        for change in self.changes().await {
            // What is held for a visit that begins now ends at once.
            if change.kind == "appointment.hold_expired" {
                self.desk.expire(&change.appointment_ids, self.now, change.revision);
            } else {
                let request = by_id[change.request_id.as_str()];
                self.desk.carry_out(request, &change.subject_id, self.now, change.revision);
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
                Ok(()) if was_done => {}
                Ok(()) => assert!(said(&[Verdict::Nothing]), "{request:?} was taken and changed nothing"),
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
