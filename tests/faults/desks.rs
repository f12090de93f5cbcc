//! The desks of a practice: what they ask at random, how often they ask again, and what became of it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Timelike as _, Utc};
use stipple::rpc::pb;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::told::{Told, Word};
use crate::harness::World;
use crate::harness::random::Random;
use crate::harness::world::timestamp;
use crate::model::desk::{Request, Step, Time};

/// Most that one desk asks for.
const MAX_ASKS: usize = 20_000;
/// How often a request is sent at most.
const MAX_SENDS: usize = 400;
/// The longest pause before a request is sent again, in milliseconds.
const PAUSE: usize = 60;
/// How long an answer is waited for: longer than the server gives a request.
const PATIENCE: Duration = Duration::from_secs(15);
/// Of how many requests one is sent but once, so that nobody knows what became of it.
const UNREPEATED: usize = 4;
/// Patients who come for visits; those who come for a series are registered meanwhile.
const PATIENTS: usize = 12;
/// Visits that are worked on: the latest ones.
const RECENT: usize = 12;
/// Half hours from now on in which visits begin: those of today and tomorrow more often.
const SOON: usize = 24;
const LATER: usize = 240;

/// What a desk asks for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// That a patient is registered.
    Patient,
    /// A series, with sessions at these times.
    Series { patient: String, starts: Vec<Time> },
    /// That a series is cancelled.
    Cancel { series: String, etag: String },
    /// Something about a visit.
    Visit(Request),
}

/// What it was answered.
#[derive(Debug, Clone)]
pub enum Answer {
    Patient(Box<pb::Patient>),
    Series(Box<pb::Series>),
    Visit(Box<pb::Appointment>),
}

impl Answer {
    /// The revision that had last changed it.
    pub fn revision(&self) -> i64 {
        let etag = match self {
            Self::Patient(patient) => &patient.etag,
            Self::Series(series) => &series.etag,
            Self::Visit(visit) => &visit.etag,
        };
        etag.parse().unwrap()
    }
}

/// How a request ended, as far as its sender knows.
#[derive(Debug, Clone)]
pub enum End {
    Acknowledged(Answer),
    Refused,
    Unknown,
}

/// A request, from its first sending to its end, in the order of the practice's other requests.
#[derive(Debug, Clone)]
pub struct Sent {
    pub request_id: String,
    pub ask: Ask,
    pub end: End,
    pub asked: u64,
    pub ended: u64,
    pub sends: usize,
}

/// A practice with desks that work at the same time.
pub struct Practice {
    pub world: World,
    patients: Vec<String>,
    /// Patients without a series.
    registered: Mutex<Vec<String>>,
    visits: Mutex<BTreeMap<String, pb::Appointment>>,
    series: Mutex<Vec<pb::Series>>,
    clock: AtomicU64,
    record: Mutex<Vec<Sent>>,
    closed: AtomicBool,
}

impl Practice {
    /// A practice on a server.
    pub async fn new(world: World) -> Self {
        let mut patients = world.patients.clone();
        while patients.len() < PATIENTS {
            patients.push(world.patient().await);
        }
        Self {
            world,
            patients,
            registered: Mutex::default(),
            visits: Mutex::default(),
            series: Mutex::default(),
            clock: AtomicU64::new(0),
            record: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// What was asked so far.
    pub fn record(&self) -> Vec<Sent> {
        self.record.lock().unwrap().clone()
    }

    /// How much was acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.record.lock().unwrap().iter().filter(|sent| matches!(sent.end, End::Acknowledged(_))).count()
    }

    /// Has the desks finish what they are at, and end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// A desk, which asks one thing after the other until the practice closes.
    pub async fn work(&self, mut random: Random, told: &Told, longest_pause: usize) {
        for _ in 0..MAX_ASKS {
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            let ask = self.wish(&mut random);
            let (request_id, asked) = (crate::harness::world::request_id(), self.tick());
            let most = if random.below(UNREPEATED) == 0 { 1 } else { MAX_SENDS };
            let (end, sends) = self.put(&ask, &request_id, most, &mut random, told).await;
            self.learn(&ask, &end);
            let sent = Sent { request_id, ask, end, asked, ended: self.tick(), sends };
            self.record.lock().unwrap().push(sent);
            pause(&mut random, longest_pause).await;
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Sends a request until it is answered, at most so often.
    async fn put(&self, ask: &Ask, request_id: &str, most: usize, random: &mut Random, told: &Told) -> (End, usize) {
        for sends in 1..=most {
            match timeout(PATIENCE, self.send(ask, request_id.to_owned())).await {
                Ok(Ok(answer)) => return (End::Acknowledged(answer), sends),
                Ok(Err(status)) => match told.hear(&status, &format!("{ask:?}")) {
                    Word::Refused => return (End::Refused, sends),
                    Word::Wrong => return (End::Unknown, sends),
                    Word::Again => {}
                },
                Err(_) => told.hear_nothing(),
            }
            if sends < most {
                pause(random, PAUSE).await;
            }
        }
        (End::Unknown, most)
    }

    async fn send(&self, ask: &Ask, request_id: String) -> Result<Answer, Status> {
        let clients = &self.world.manager;
        match ask {
            Ask::Patient => {
                let request = pb::CreatePatientRequest {
                    request_id,
                    given_name: "Given".into(),
                    family_name: "Family".into(),
                    birth_date: "1990-04-01".into(),
                    ..Default::default()
                };
                let answer = clients.patients().create_patient(request).await?.into_inner();
                Ok(Answer::Patient(Box::new(answer.patient.unwrap())))
            }
            Ask::Series { patient, starts } => {
                let sessions = starts
                    .iter()
                    .map(|start| pb::SessionRequest { start_time: timestamp(*start), ..Default::default() });
                let request = pb::BookSeriesRequest {
                    request_id,
                    patient_id: patient.clone(),
                    sessions: sessions.collect(),
                    ..self.world.series_request(&[])
                };
                let answer = clients.series().book_series(request).await?.into_inner();
                Ok(Answer::Series(Box::new(answer.series.unwrap())))
            }
            Ask::Cancel { series, etag } => {
                let (series_id, etag) = (series.clone(), etag.clone());
                let request = pb::CancelSeriesRequest { request_id, etag, series_id, ..Default::default() };
                let answer = clients.series().cancel_series(request).await?.into_inner();
                Ok(Answer::Series(Box::new(answer.series.unwrap())))
            }
            Ask::Visit(request) => {
                let visit = request.send(&self.world, &self.patients, request_id).await?;
                Ok(Answer::Visit(Box::new(visit)))
            }
        }
    }

    /// What a desk knows after a request. What it was refused it does not come back to.
    fn learn(&self, ask: &Ask, end: &End) {
        let mut visits = self.visits.lock().unwrap();
        if let Ask::Visit(Request::Move { id, .. } | Request::Step { id, .. }) = ask {
            visits.remove(id);
        }
        match end {
            End::Acknowledged(Answer::Patient(patient)) => {
                self.registered.lock().unwrap().push(patient.patient_id.clone());
            }
            End::Acknowledged(Answer::Series(series)) if series.state() == pb::SeriesState::Active => {
                self.series.lock().unwrap().push((**series).clone());
            }
            End::Acknowledged(Answer::Visit(visit)) => {
                visits.insert(visit.appointment_id.clone(), (**visit).clone());
            }
            End::Acknowledged(Answer::Series(_)) | End::Refused | End::Unknown => {}
        }
    }

    fn wish(&self, random: &mut Random) -> Ask {
        match random.below(10) {
            0 => Ask::Patient,
            1 | 2 => match self.registered.lock().unwrap().pop() {
                Some(patient) => Ask::Series { patient, starts: sessions(random) },
                None => Ask::Patient,
            },
            3 if random.below(4) == 0 => match self.series.lock().unwrap().pop() {
                Some(series) => Ask::Cancel { series: series.series_id, etag: series.etag },
                None => Ask::Patient,
            },
            4..=6 => self.place(random),
            _ => self.step(random).unwrap_or_else(|| self.place(random)),
        }
    }

    fn place(&self, random: &mut Random) -> Ask {
        let hold_minutes = (random.below(2) == 0).then(|| if random.below(2) == 0 { 1 } else { 10 });
        let (patient, room) = (random.below(self.patients.len()), random.below(self.world.rooms.len()));
        Ask::Visit(Request::Place { hold_minutes, patient, room, start: half_hour(random) })
    }

    /// What suits one of the latest visits, as it was when somebody last heard of it.
    fn step(&self, random: &mut Random) -> Option<Ask> {
        let visits = self.visits.lock().unwrap();
        // Ids follow the time at which they were made.
        let recent: Vec<&pb::Appointment> = visits.values().rev().take(RECENT).collect();
        if recent.is_empty() {
            return None;
        }
        let visit = *random.of(&recent);
        let (id, etag) = (visit.appointment_id.clone(), visit.etag.parse().unwrap());
        let step = match visit.state() {
            pb::AppointmentState::Held => *random.of(&[Step::Convert, Step::Convert, Step::Convert, Step::Cancel]),
            pb::AppointmentState::Booked if random.below(3) == 0 => {
                let room = random.below(self.world.rooms.len());
                return Some(Ask::Visit(Request::Move { id, etag, room, start: half_hour(random) }));
            }
            pb::AppointmentState::Booked => *random.of(&[Step::Confirm, Step::CheckIn, Step::CheckIn, Step::Cancel]),
            pb::AppointmentState::Confirmed => *random.of(&[Step::CheckIn, Step::Undo, Step::Cancel]),
            pb::AppointmentState::Arrived => *random.of(&[Step::Start, Step::Complete, Step::Undo]),
            pb::AppointmentState::InProgress => *random.of(&[Step::Complete, Step::Undo]),
            _ => return None,
        };
        Some(Ask::Visit(Request::Step { id, etag, step }))
    }
}

async fn pause(random: &mut Random, longest: usize) {
    sleep(Duration::from_millis(random.below(longest + 1) as u64)).await;
}

#[expect(clippy::disallowed_methods, reason = "the servers go by the clock of the machine, which nothing shifts")]
fn now() -> Time {
    Utc::now()
}

/// A half hour to come.
fn half_hour(random: &mut Random) -> Time {
    let within = if random.below(2) == 0 { SOON } else { LATER };
    let now = now();
    let hour = now.with_minute(0).unwrap().with_second(0).unwrap().with_nanosecond(0).unwrap();
    hour + TimeDelta::minutes(30) * i32::try_from(2 + random.below(within)).unwrap()
}

/// Three or four sessions, far from all single visits, with gaps that the protocol takes.
fn sessions(random: &mut Random) -> Vec<Time> {
    let mut days = |least: i64, most: usize| least + i64::try_from(random.below(most)).unwrap();
    let midnight = now().date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let (mut day, count) = (days(20, 150), days(3, 2));
    let mut starts = Vec::new();
    for _ in 0..count {
        starts.push(midnight + TimeDelta::days(day) + TimeDelta::minutes(15 * days(0, 80)));
        day += days(29, 20);
    }
    starts
}
