//! Many callers who ask for the same slot at the same moment.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use prost_types::Timestamp;
use serde::Serialize;
use stipple::rpc::pb;
use tokio::sync::Barrier;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::common::{call, connect, id, with};
use crate::figures::{Latency, Times};
use crate::mix::Operation;
use crate::practice::Practice;
use crate::target::Target;

/// Callers, each with a connection and a patient of their own.
const CALLERS: usize = 64;
/// Rounds of each way of asking, each for a slot that nobody has asked for before.
const ROUNDS: u64 = 10;

/// What came of one round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    pub method: &'static str,
    pub callers: usize,
    pub winners: u64,
    /// Told by a rule that it is taken.
    pub refused: u64,
    /// Anything else.
    pub other: u64,
    /// Of all callers, in milliseconds.
    pub latency: Latency,
}

/// How a slot is asked for.
#[derive(Clone, Copy)]
enum Way {
    Book,
    Hold,
}

/// Runs the rounds, in a practice that can serve one patient at a time.
pub async fn run(target: &Target) -> Vec<Round> {
    let channels = join_all((0..CALLERS).map(|_| connect(&target.address))).await;
    let practice = Practice::make(&channels[0], &target.operator, 1, target.today).await;
    let practice = Arc::new(practice.expect("nothing is refused"));
    let mut rounds = Vec::new();
    for (way, first_day) in [(Way::Book, 1), (Way::Hold, 1 + ROUNDS)] {
        eprintln!("race, {}", way.method());
        for number in 0..ROUNDS {
            rounds.push(round(way, &channels, &practice, practice.start(first_day + number, 0)).await);
        }
    }
    rounds
}

async fn round(way: Way, channels: &[Channel], practice: &Arc<Practice>, start: Timestamp) -> Round {
    let ready = Arc::new(Barrier::new(channels.len()));
    let callers = channels.iter().zip(&practice.patients).map(|(channel, patient)| {
        let (channel, practice, patient) = (channel.clone(), Arc::clone(practice), patient.clone());
        let ready = Arc::clone(&ready);
        tokio::spawn(async move {
            ready.wait().await;
            let asked = Instant::now();
            let answer = way.ask(&channel, &practice, &patient, start).await;
            (answer, asked.elapsed())
        })
    });
    let mut times = Times::default();
    let (mut winners, mut refused, mut other) = (0, 0, 0);
    for caller in callers.collect::<Vec<_>>() {
        let (answer, time) = caller.await.expect("a caller does not panic");
        times.add(time);
        match answer.map_err(|status| status.code()) {
            Ok(()) => winners += 1,
            Err(Code::FailedPrecondition) => refused += 1,
            Err(_) => other += 1,
        }
    }
    Round { method: way.method(), callers: channels.len(), winners, refused, other, latency: times.latency() }
}

impl Way {
    fn method(self) -> &'static str {
        match self {
            Way::Book => "BookAppointment",
            Way::Hold => "HoldAppointment",
        }
    }

    async fn ask(self, channel: &Channel, practice: &Practice, patient: &str, start: Timestamp) -> Result<(), Status> {
        let token = &practice.desk.token;
        match self {
            Way::Book => {
                let request = with(token, practice.booking(patient, start));
                let path = Operation::BookAppointment.path();
                call::<_, pb::BookAppointmentResponse>(channel, path, request).await.map(drop)
            }
            Way::Hold => {
                let request = pb::HoldAppointmentRequest {
                    request_id: id(),
                    visit: Some(pb::hold_appointment_request::Visit::Treatment(practice.visit(patient))),
                    clinic_id: practice.clinic.clone(),
                    start_time: Some(start),
                    ..Default::default()
                };
                let path = "/stipple.v1.AppointmentService/HoldAppointment";
                call::<_, pb::HoldAppointmentResponse>(channel, path, with(token, request)).await.map(drop)
            }
        }
    }
}
