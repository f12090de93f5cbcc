//! What may be done with the visits of a desk, by a simple model, and the requests that ask for it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use stipple::rpc::pb;
use stipple::rpc::pb::hold_appointment_request::Visit as HoldVisit;
use tonic::Status;

use crate::desk::instant;
use crate::harness::World;
use crate::harness::world::timestamp;

/// An instant.
pub type Time = DateTime<Utc>;

/// How a visit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Held { since: Time, until: Time },
    Booked,
    Confirmed { at: Time },
    Arrived { confirmed: Option<Time>, at: Time },
    InProgress { confirmed: Option<Time>, arrived: Time, at: Time },
    Fulfilled,
    Cancelled,
    NoShow { confirmed: Option<Time>, at: Time },
}

/// A visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    pub patient: usize,
    pub room: usize,
    pub start: Time,
    pub state: State,
    /// The revision that last changed it.
    pub revision: i64,
}

impl Visit {
    fn takes_time(&self) -> bool {
        !matches!(self.state, State::Cancelled | State::NoShow { .. })
    }

    /// Whether the server shows it as it stands.
    pub fn is_shown_as(&self, shown: &pb::Appointment) -> bool {
        let (state, until) = match self.state {
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
        (shown.state(), told, shown.etag.as_str()) == (state, until, self.revision.to_string().as_str())
            && instant(shown.start_time.as_ref()) == self.start
    }
}

/// A request, as it is sent: what is named by its id, as its sender last read it.
#[derive(Debug, Clone)]
pub enum Request {
    Place { hold_minutes: Option<i32>, patient: usize, room: usize, start: Time },
    Move { id: String, etag: i64, room: usize, start: Time },
    Step { id: String, etag: i64, step: Step },
}

/// A step of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
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

impl Request {
    /// Sends it under an id; the visit, if it was carried out.
    pub async fn send(
        &self,
        world: &World,
        patients: &[String],
        request_id: String,
    ) -> Result<pb::Appointment, Status> {
        let mut client = world.manager.appointments();
        let (appointment_id, etag) = match self {
            Request::Place { .. } => (String::new(), String::new()),
            Request::Move { id, etag, .. } | Request::Step { id, etag, .. } => (id.clone(), etag.to_string()),
        };
        macro_rules! step {
            ($method:ident, $message:ident) => {
                client
                    .$method(pb::$message { request_id, etag, appointment_id, ..Default::default() })
                    .await?
                    .into_inner()
                    .appointment
            };
        }
        let appointment = match self {
            Request::Place { hold_minutes, patient, room, start } => {
                let hold_request = pb::HoldAppointmentRequest {
                    request_id,
                    visit: Some(HoldVisit::Treatment(pb::TreatmentVisit {
                        patient_id: patients[*patient].clone(),
                        treatment_id: world.sauna.clone(),
                        ..Default::default()
                    })),
                    clinic_id: world.clinic.clone(),
                    start_time: timestamp(*start),
                    resource_ids: vec![world.rooms[*room].clone()],
                    hold_minutes: hold_minutes.unwrap_or_default(),
                    ..Default::default()
                };
                if hold_minutes.is_some() {
                    return told(client.hold_appointment(hold_request).await?.into_inner().appointment);
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
                client.book_appointment(book).await?.into_inner().appointment
            }
            Request::Move { room, start, .. } => {
                let request = pb::RescheduleAppointmentRequest {
                    request_id,
                    etag,
                    appointment_id,
                    start_time: timestamp(*start),
                    resource_ids: vec![world.rooms[*room].clone()],
                    ..Default::default()
                };
                client.reschedule_appointment(request).await?.into_inner().appointment
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
        };
        told(appointment)
    }
}

fn told(appointment: Option<pb::Appointment>) -> Result<pb::Appointment, Status> {
    Ok(appointment.expect("every answer has the visit"))
}

/// All visits that begin in a stretch of time, those that were cancelled too.
pub async fn all_visits(world: &World, from: Time, until: Time) -> Vec<pb::Appointment> {
    let (mut visits, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListAppointmentsRequest {
            subject: Some(pb::list_appointments_request::Subject::ClinicId(world.clinic.clone())),
            start_time: timestamp(from),
            end_time: timestamp(until),
            include_cancelled: true,
            page_size: 500,
            page_token,
            ..Default::default()
        };
        let page = world.manager.appointments().list_appointments(request).await.unwrap().into_inner();
        visits.extend(page.appointments);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return visits;
        }
    }
}

/// What the model says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
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
pub struct Desk {
    pub visits: BTreeMap<String, Visit>,
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

    pub fn asked(&self, request: &Request, now: Time, revision: i64) -> Verdict {
        match request {
            Request::Place { hold_minutes, patient, room, start } => {
                let state = hold_minutes.map_or(State::Booked, |minutes| {
                    let until = (now + TimeDelta::minutes(minutes.into())).min(*start);
                    State::Held { since: now, until }
                });
                if !self.is_free(*room, *patient, *start, None) {
                    return Verdict::Refused;
                }
                self.ahead(Visit { patient: *patient, room: *room, start: *start, state, revision }, now)
            }
            Request::Move { id, etag, room, start } => {
                let Some(old) = self.visits.get(id) else { return Verdict::Refused };
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
                let Some(old) = self.visits.get(id) else { return Verdict::Refused };
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

    /// What the history says was carried out, is; or why it cannot have been.
    pub fn carry_out(&mut self, request: &Request, subject: &str, now: Time, revision: i64) -> Result<(), String> {
        let (Verdict::Allowed(visit) | Verdict::Either(visit)) = self.asked(request, now, revision) else {
            return Err(format!("{request:?} was carried out as revision {revision}"));
        };
        if let Request::Move { id, .. } = request
            && let Some(old) = self.visits.get_mut(id)
        {
            (old.state, old.revision) = (State::Cancelled, revision);
        }
        match self.visits.insert(subject.to_owned(), visit) {
            Some(_) if !matches!(request, Request::Step { .. }) => Err(format!("{subject} was booked twice")),
            _ => Ok(()),
        }
    }

    /// What has expired, and nothing else, is ended; or what was ended wrongly.
    pub fn expire(&mut self, ids: &[String], now: Time, revision: i64) -> Result<(), String> {
        let due = |visit: &Visit| matches!(visit.state, State::Held { until, .. } if until <= now);
        let mut ended: Vec<String> =
            self.visits.iter().filter(|(_, visit)| due(visit)).map(|(id, _)| id.clone()).collect();
        let mut told = ids.to_vec();
        ended.sort();
        told.sort();
        if told != ended {
            return Err(format!("{told:?} were ended as revision {revision} instead of {ended:?}"));
        }
        for id in ended {
            let visit = self.visits.get_mut(&id).unwrap();
            (visit.state, visit.revision) = (State::Cancelled, revision);
        }
        Ok(())
    }
}

/// The day in Berlin in winter.
fn local_day(at: Time) -> chrono::NaiveDate {
    (at + TimeDelta::hours(1)).date_naive()
}
