//! Bookings that nothing is in the way of, as many as are wanted, the same in each copy of the database.

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use futures_util::stream::{self, StreamExt as _};
use prost_types::Timestamp;
use stipple::app::clock::{Clock as _, SystemClock};
use stipple::rpc::pb;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use crate::common::{Desk, call, connect, hours, id, is_quick, with};
use crate::practice::{TEAMS, furnish};

/// Practices; the last is the one that is booked alone.
const PRACTICES: usize = 17;
/// Patients of each, who are made side by side. Each has a series on each of as many areas as there are teams.
const PATIENTS: usize = 160;
const MAKERS: usize = 16;
/// Visits of one team on one day, 80 minutes each.
const VISITS_A_DAY: usize = 17;
/// Days on which series begin, so that no two of a team share a day: fewer than between two sessions.
const FIRST_DAYS: usize = 28;
/// Days from one session to the next.
const GAP: usize = 29;
/// The first day of single appointments, which is after the last session.
const APPOINTMENTS_FROM: usize = 130;

struct Practice {
    token: MetadataValue<Ascii>,
    clinic: String,
    protocol: String,
    consultation: String,
    patients: Vec<String>,
}

/// See the module.
pub struct Bookings {
    practices: Vec<Practice>,
    midnight: DateTime<Utc>,
}

/// One of them.
#[derive(Clone)]
pub struct Booking {
    token: MetadataValue<Ascii>,
    request: Request,
}

#[derive(Clone)]
enum Request {
    Series(Box<pb::BookSeriesRequest>),
    Appointment(pb::BookAppointmentRequest),
}

impl Booking {
    /// Asks for it.
    pub async fn book(&self, channel: &Channel) -> Result<(), Status> {
        match &self.request {
            Request::Series(request) => {
                let path = "/stipple.v1.SeriesService/BookSeries";
                call::<_, pb::BookSeriesResponse>(channel, path, with(&self.token, request.as_ref().clone()))
                    .await
                    .map(drop)
            }
            Request::Appointment(request) => {
                let path = "/stipple.v1.AppointmentService/BookAppointment";
                call::<_, pb::BookAppointmentResponse>(channel, path, with(&self.token, request.clone()))
                    .await
                    .map(drop)
            }
        }
    }
}

impl Bookings {
    /// Makes the practices over the wire.
    pub async fn make(address: &str, operator: &str) -> Self {
        let channel = connect(address).await;
        let number = if is_quick() { 3 } else { PRACTICES };
        let made = (0..number).map(|_| Practice::make(&channel, operator));
        let practices = stream::iter(made).buffered(MAKERS).map(|made| made.expect("nothing is refused"));
        let midnight = SystemClock::default().now().with_hour(0).and_then(|at| at.with_minute(0));
        let midnight = midnight.and_then(|at| at.with_second(0)).and_then(|at| at.with_nanosecond(0));
        Self { practices: practices.collect().await, midnight: midnight.expect("each day has a midnight in UTC") }
    }

    /// The series of that number, of all practices but the last in turn.
    pub fn series_anywhere(&self, number: usize) -> Booking {
        let (practice, number) = self.in_turn(number);
        self.series(practice, number)
    }

    /// The series of that number in the last practice.
    pub fn series_in_one(&self, number: usize) -> Booking {
        self.series(&self.practices[self.practices.len() - 1], number)
    }

    /// The appointment of that number, of all practices but the last in turn.
    pub fn appointment_anywhere(&self, number: usize) -> Booking {
        let (practice, number) = self.in_turn(number);
        // One team after the other, each with another patient.
        let (slot, team) = (number / TEAMS, number % TEAMS);
        let request = pb::BookAppointmentRequest {
            request_id: id(),
            visit: Some(pb::book_appointment_request::Visit::Treatment(pb::TreatmentVisit {
                patient_id: practice.patients[(slot + 59 * team) % PATIENTS].clone(),
                treatment_id: practice.consultation.clone(),
                ..Default::default()
            })),
            clinic_id: practice.clinic.clone(),
            start_time: Some(self.start(APPOINTMENTS_FROM + slot / VISITS_A_DAY, slot % VISITS_A_DAY)),
            ..Default::default()
        };
        Booking { token: practice.token.clone(), request: Request::Appointment(request) }
    }

    fn in_turn(&self, number: usize) -> (&Practice, usize) {
        let many = self.practices.len() - 1;
        (&self.practices[number % many], number / many)
    }

    fn series(&self, practice: &Practice, number: usize) -> Booking {
        let (slot, team) = (number / TEAMS, number % TEAMS);
        let sessions = (0..4).map(|session| pb::SessionRequest {
            start_time: Some(self.start(2 + slot / VISITS_A_DAY % FIRST_DAYS + session * GAP, slot % VISITS_A_DAY)),
            ..Default::default()
        });
        let request = pb::BookSeriesRequest {
            request_id: id(),
            // Another one for each team: no multiple of 59 up to the number of teams is one of the number of patients.
            patient_id: practice.patients[(slot + 59 * team) % PATIENTS].clone(),
            protocol_id: practice.protocol.clone(),
            body_area: i32::try_from(team).unwrap_or_default() + 1,
            clinic_id: practice.clinic.clone(),
            sessions: sessions.collect(),
            ..Default::default()
        };
        Booking { token: practice.token.clone(), request: Request::Series(Box::new(request)) }
    }

    /// When one of the visits of a day begins.
    fn start(&self, day: usize, visit: usize) -> Timestamp {
        let whole = |number: usize| i64::try_from(number).unwrap_or_default();
        let at = self.midnight + TimeDelta::days(whole(day)) + TimeDelta::minutes(whole(visit * 80 + 120));
        Timestamp { seconds: at.timestamp(), nanos: 0 }
    }
}

impl Practice {
    async fn make(channel: &Channel, operator: &str) -> Result<Self, Status> {
        let desk = Desk::found(channel, operator).await?;
        let clinic = desk.clinic().await?;
        let always = hours(1..=7, &[("00:00", "24:00")]);
        let (consultation, protocol) = furnish(&desk, &clinic, TEAMS, &always).await?;
        let mut patients = Vec::new();
        for _ in 0..PATIENTS {
            patients.push(desk.patient().await?);
        }
        Ok(Self { token: desk.token, clinic, protocol, consultation, patients })
    }
}
