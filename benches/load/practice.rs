//! A practice under load: what it is made of, and what its front desk knows and does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{Days, NaiveDate, NaiveTime};
use prost_types::Timestamp;
use stipple::rpc::pb;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::common::{Desk, NEEDS, call, hours, id, needling, phase, with};
use crate::dice::Dice;
use crate::mix::Operation;
use crate::shelf::Shelf;

/// Rooms, practitioners, assistants and pens of each practice.
pub const TEAMS: usize = 8;
/// Patients of each practice.
const PATIENTS: u64 = 100;
/// Body areas, on each of which a patient has one series at most.
const AREAS: u64 = 14;
/// Days in which visits begin.
const DAYS: u64 = 90;
/// Days in which a patient looks for a slot.
const WEEK: u64 = 7;
/// Slots that a screen shows.
const SLOTS: i32 = 20;
/// The first start of a day, in minutes from midnight in UTC, and how many there are, a quarter of an hour apart: until
/// 16:45. A consultation takes half an hour, and people work from 8 to 20 in Berlin, so that all starts are within their
/// hours in summer and winter.
const FIRST_START: u64 = 7 * 60;
const STARTS: u64 = 40;
/// Visits of today that are booked before anything is measured, for patients to come to.
const TODAY: usize = 40;
/// Series that are booked before.
const SERIES: usize = 3;
/// How long a client waits; longer than the server lets a request take.
const PATIENCE: Duration = Duration::from_secs(15);

/// See the module.
pub struct Practice {
    pub desk: Desk,
    pub clinic: String,
    pub consultation: String,
    pub patients: Vec<String>,
    pub today: NaiveDate,
    protocol: String,
    /// How many series were asked for.
    series_asked: AtomicU64,
    slots: Shelf<Timestamp>,
    plans: Shelf<pb::SeriesPlan>,
    series: Shelf<String>,
    /// Visits that are booked, not confirmed yet, and those that are.
    booked: Shelf<Visit>,
    confirmed: Shelf<Visit>,
    /// Those of today, who may come.
    expected: Shelf<Visit>,
}

/// What the front desk knows of a visit.
#[derive(Clone, Default)]
struct Visit {
    id: String,
    etag: String,
}

impl Practice {
    /// Makes one.
    pub async fn make(channel: &Channel, operator: &str, teams: usize, today: NaiveDate) -> Result<Self, Status> {
        let desk = Desk::found(channel, operator).await?;
        let clinic = desk.clinic().await?;
        let work = hours(1..=7, &[("08:00", "20:00")]);
        let (consultation, protocol) = furnish(&desk, &clinic, teams, &work).await?;
        let mut patients = Vec::new();
        for _ in 0..PATIENTS {
            patients.push(desk.patient().await?);
        }
        Ok(Self {
            desk,
            clinic,
            consultation,
            patients,
            today,
            protocol,
            series_asked: AtomicU64::new(0),
            slots: Shelf::default(),
            plans: Shelf::default(),
            series: Shelf::default(),
            booked: Shelf::default(),
            confirmed: Shelf::default(),
            expected: Shelf::default(),
        })
    }

    /// Books series, and visits of today. Refusals are no harm: then there are fewer.
    pub async fn fill(&self, channel: &Channel, dice: &mut Dice) {
        for _ in 0..SERIES {
            let _ = self.book_series(channel, dice).await;
        }
        for _ in 0..TODAY {
            let start = self.start(0, dice.below(STARTS));
            if let Ok(visit) = self.book_at(channel, start, dice).await {
                self.expected.put(dice, visit);
            }
        }
    }

    /// Does it, or what comes before it if nothing is known that it could be done to; which it was, and how it went.
    pub async fn act(
        &self,
        channel: &Channel,
        operation: Operation,
        dice: &mut Dice,
    ) -> (Operation, Result<(), Status>) {
        let (operation, known) = self.possible(operation, dice);
        let visit = known.as_ref().map(|(_, visit)| visit.clone()).unwrap_or_default();
        let done = tokio::time::timeout(PATIENCE, async {
            match operation {
                Operation::FindSlots => self.find_slots(channel, dice).await,
                Operation::ListAppointments => self.day_sheet(channel, dice).await,
                Operation::GetSeries => self.get_series(channel, dice).await,
                Operation::ProposeSeries => self.propose_series(channel, dice).await,
                Operation::BookSeries => self.book_series(channel, dice).await,
                Operation::BookAppointment => {
                    let start = self.some_start(dice);
                    let visit = self.book_at(channel, start, dice).await?;
                    self.booked.put(dice, visit);
                    Ok(())
                }
                Operation::RescheduleAppointment => self.reschedule(channel, visit, dice).await,
                Operation::CancelAppointment => self.cancel(channel, visit).await,
                Operation::ConfirmAppointment => self.confirm(channel, visit, dice).await,
                Operation::CheckIn => self.check_in(channel, visit).await,
            }
        });
        let done = done.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("the client waits no longer")));
        // Of these it is certain that the visit is as it was.
        if let (Some((shelf, visit)), Err(status)) = (known, &done)
            && matches!(status.code(), Code::FailedPrecondition | Code::ResourceExhausted)
        {
            shelf.put(dice, visit);
        }
        (operation, done)
    }

    /// What can be done by what is known, and the visit that it is done to. Nobody else knows of that visit meanwhile.
    fn possible(&self, operation: Operation, dice: &mut Dice) -> (Operation, Option<(&Shelf<Visit>, Visit)>) {
        let mut take = |shelf| Shelf::take(shelf, dice).map(|visit| (shelf, visit));
        let (known, instead) = match operation {
            Operation::RescheduleAppointment | Operation::CancelAppointment => {
                (take(&self.booked).or_else(|| take(&self.confirmed)), Operation::BookAppointment)
            }
            Operation::ConfirmAppointment => (take(&self.booked), Operation::BookAppointment),
            // Who is expected is looked up before anybody is checked in.
            Operation::CheckIn => (take(&self.expected), Operation::ListAppointments),
            Operation::GetSeries if self.series.is_empty() => (None, Operation::ListAppointments),
            _ => (None, operation),
        };
        (if known.is_some() { operation } else { instead }, known)
    }

    async fn find_slots(&self, channel: &Channel, dice: &mut Dice) -> Result<(), Status> {
        let first = self.today + Days::new(1 + dice.below(DAYS));
        let request = pb::FindSlotsRequest {
            visit: Some(pb::find_slots_request::Visit::Treatment(self.visit(self.some_patient(dice)))),
            clinic_ids: vec![self.clinic.clone()],
            start_date: first.to_string(),
            end_date: (first + Days::new(WEEK - 1)).to_string(),
            start_grid_minutes: 15,
            page_size: SLOTS,
            ..Default::default()
        };
        let answer: pb::FindSlotsResponse = self.call(channel, Operation::FindSlots, request).await?;
        // Any of them: people do not all want the first.
        let chosen = dice.below(answer.slots.len().max(1) as u64) as usize;
        if let Some(start) = answer.slots.get(chosen).and_then(|slot| slot.start_time) {
            self.slots.put(dice, start);
        }
        Ok(())
    }

    async fn day_sheet(&self, channel: &Channel, dice: &mut Dice) -> Result<(), Status> {
        // Today every other time.
        let day = self.today + Days::new(dice.below(2) * dice.below(WEEK));
        let request = pb::ListAppointmentsRequest {
            subject: Some(pb::list_appointments_request::Subject::ClinicId(self.clinic.clone())),
            start_time: Some(midnight(day)),
            end_time: Some(midnight(day + Days::new(1))),
            ..Default::default()
        };
        self.call::<_, pb::ListAppointmentsResponse>(channel, Operation::ListAppointments, request).await.map(drop)
    }

    async fn get_series(&self, channel: &Channel, dice: &mut Dice) -> Result<(), Status> {
        let series_id = self.series.look(dice).unwrap_or_default();
        let request = pb::GetSeriesRequest { series_id, ..Default::default() };
        self.call::<_, pb::GetSeriesResponse>(channel, Operation::GetSeries, request).await.map(drop)
    }

    async fn propose_series(&self, channel: &Channel, dice: &mut Dice) -> Result<(), Status> {
        let (patient, body_area) = self.next_course();
        let request = pb::ProposeSeriesRequest {
            patient_id: patient.to_owned(),
            protocol_id: self.protocol.clone(),
            body_area,
            clinic_id: self.clinic.clone(),
            wishes: Some(self.wishes(dice)),
            ..Default::default()
        };
        let answer: pb::ProposeSeriesResponse = self.call(channel, Operation::ProposeSeries, request).await?;
        if let Some(plan) = answer.plans.into_iter().next() {
            self.plans.put(dice, plan);
        }
        Ok(())
    }

    async fn book_series(&self, channel: &Channel, dice: &mut Dice) -> Result<(), Status> {
        let request = if let Some(plan) = self.plans.take(dice) {
            pb::BookSeriesRequest { request_id: id(), plan: Some(plan), ..Default::default() }
        } else {
            let (patient, body_area) = self.next_course();
            pb::BookSeriesRequest {
                request_id: id(),
                patient_id: patient.to_owned(),
                protocol_id: self.protocol.clone(),
                body_area,
                clinic_id: self.clinic.clone(),
                wishes: Some(self.wishes(dice)),
                ..Default::default()
            }
        };
        let answer: pb::BookSeriesResponse = self.call(channel, Operation::BookSeries, request).await?;
        self.series.put(dice, answer.series.unwrap_or_default().series_id);
        Ok(())
    }

    async fn book_at(&self, channel: &Channel, start: Timestamp, dice: &mut Dice) -> Result<Visit, Status> {
        let request = self.booking(self.some_patient(dice), start);
        let answer: pb::BookAppointmentResponse = self.call(channel, Operation::BookAppointment, request).await?;
        Ok(answer.appointment.unwrap_or_default().into())
    }

    async fn reschedule(&self, channel: &Channel, visit: Visit, dice: &mut Dice) -> Result<(), Status> {
        let request = pb::RescheduleAppointmentRequest {
            request_id: id(),
            etag: visit.etag,
            appointment_id: visit.id,
            start_time: Some(self.some_start(dice)),
            ..Default::default()
        };
        let answer: pb::RescheduleAppointmentResponse =
            self.call(channel, Operation::RescheduleAppointment, request).await?;
        self.booked.put(dice, answer.appointment.unwrap_or_default().into());
        Ok(())
    }

    async fn cancel(&self, channel: &Channel, visit: Visit) -> Result<(), Status> {
        let request = pb::CancelAppointmentRequest {
            request_id: id(),
            etag: visit.etag,
            appointment_id: visit.id,
            ..Default::default()
        };
        self.call::<_, pb::CancelAppointmentResponse>(channel, Operation::CancelAppointment, request).await.map(drop)
    }

    async fn confirm(&self, channel: &Channel, visit: Visit, dice: &mut Dice) -> Result<(), Status> {
        let request = pb::ConfirmAppointmentRequest {
            request_id: id(),
            etag: visit.etag,
            appointment_id: visit.id,
            ..Default::default()
        };
        let answer: pb::ConfirmAppointmentResponse = self.call(channel, Operation::ConfirmAppointment, request).await?;
        self.confirmed.put(dice, answer.appointment.unwrap_or_default().into());
        Ok(())
    }

    async fn check_in(&self, channel: &Channel, visit: Visit) -> Result<(), Status> {
        let request =
            pb::CheckInRequest { request_id: id(), etag: visit.etag, appointment_id: visit.id, ..Default::default() };
        self.call::<_, pb::CheckInResponse>(channel, Operation::CheckIn, request).await.map(drop)
    }

    async fn call<Q, A>(&self, channel: &Channel, operation: Operation, request: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        call(channel, operation.path(), with(&self.desk.token, request)).await
    }

    /// A consultation for a patient.
    pub fn visit(&self, patient: &str) -> pb::TreatmentVisit {
        pb::TreatmentVisit {
            patient_id: patient.to_owned(),
            treatment_id: self.consultation.clone(),
            ..Default::default()
        }
    }

    /// A booking of it.
    pub fn booking(&self, patient: &str, start: Timestamp) -> pb::BookAppointmentRequest {
        pb::BookAppointmentRequest {
            request_id: id(),
            visit: Some(pb::book_appointment_request::Visit::Treatment(self.visit(patient))),
            clinic_id: self.clinic.clone(),
            start_time: Some(start),
            ..Default::default()
        }
    }

    fn some_patient(&self, dice: &mut Dice) -> &str {
        &self.patients[dice.below(PATIENTS) as usize]
    }

    /// The next patient and body area without a series.
    fn next_course(&self) -> (&str, i32) {
        let number = self.series_asked.fetch_add(1, Ordering::Relaxed);
        let area = 1 + number / PATIENTS % AREAS;
        (&self.patients[(number % PATIENTS) as usize], area as i32)
    }

    fn wishes(&self, dice: &mut Dice) -> pb::SeriesWishes {
        let from = self.today + Days::new(1 + dice.below(DAYS));
        pb::SeriesWishes { first_session_from: from.to_string(), ..Default::default() }
    }

    /// When a visit may begin: at a slot that was found, which others may have taken since; else at any time.
    fn some_start(&self, dice: &mut Dice) -> Timestamp {
        match self.slots.take(dice) {
            Some(start) => start,
            None => self.start(1 + dice.below(DAYS), dice.below(STARTS)),
        }
    }

    /// One of the starts of a day, counted from today.
    pub fn start(&self, day: u64, start: u64) -> Timestamp {
        let mut time = midnight(self.today + Days::new(day));
        time.seconds += i64::try_from(60 * (FIRST_START + 15 * start)).unwrap_or_default();
        time
    }
}

impl From<pb::Appointment> for Visit {
    fn from(appointment: pb::Appointment) -> Self {
        Self { id: appointment.appointment_id, etag: appointment.etag }
    }
}

fn midnight(day: NaiveDate) -> Timestamp {
    Timestamp { seconds: day.and_time(NaiveTime::MIN).and_utc().timestamp(), nanos: 0 }
}

/// Gives a clinic teams that work in these hours, a consultation and a protocol of four sessions: the ids of those two.
pub async fn furnish(
    desk: &Desk,
    clinic: &str,
    teams: usize,
    hours: &[pb::WeeklyHours],
) -> Result<(String, String), Status> {
    for _ in 0..teams {
        for need in NEEDS {
            desk.resource(clinic, need, hours).await?;
        }
    }
    let consultation = pb::TreatmentContent {
        name: "Bench".into(),
        phases: vec![phase("talk", 30, (true, false), &[NEEDS[0], NEEDS[2]])],
        ..Default::default()
    };
    let consultation = desk.treatment(consultation).await?;
    let protocol = desk.protocol(&desk.treatment(needling()).await?, 4).await?;
    Ok((consultation, protocol))
}
