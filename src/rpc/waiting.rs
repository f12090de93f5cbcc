//! `WaitingListService`.

use std::time::Duration;

use chrono::TimeDelta;
use tonic::{Code, Request, Response, Status};

use super::appointment::rendered as rendered_appointment;
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::add_entry_request::Visit;
use super::pb::waiting_list_service_server::WaitingListService;
use super::slots::{parse_times, rendered_slot};
use super::{Services, open, pb, render};
use crate::app::commands::{AddEntry, AddedVisit, Known, ListEntries, OfferTime};
use crate::app::{Command, EntryNow, Error, Match, Offered, Scoped};
use crate::domain::access::Caller;
use crate::domain::catalog::MAX_SESSIONS;
use crate::domain::ids::{AppointmentId, WaitingId};
use crate::domain::waiting::{Entry, EntryFor, EntryState, MAX_WINDOW_DAYS, Window};

/// How long an answer waits for who waits.
const MATCHING: Duration = Duration::from_secs(2);

#[tonic::async_trait]
impl WaitingListService for Services {
    async fn add_entry(&self, request: Request<pb::AddEntryRequest>) -> Result<Response<pb::AddEntryResponse>, Status> {
        let (caller, message) = open(request)?;
        let entry = self.app.add_entry(&caller, &parse_add(message)?).await?;
        Ok(Response::new(pb::AddEntryResponse { entry: Some(rendered(&entry)) }))
    }

    async fn list_entries(
        &self,
        request: Request<pb::ListEntriesRequest>,
    ) -> Result<Response<pb::ListEntriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list(message)?;
        let (entries, next_page_token) = query.render(self.app.list_entries(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::ListEntriesResponse { entries, next_page_token }))
    }

    async fn withdraw_entry(
        &self,
        request: Request<pb::WithdrawEntryRequest>,
    ) -> Result<Response<pb::WithdrawEntryResponse>, Status> {
        let (caller, message) = open(request)?;
        let entry = self.app.withdraw_entry(&caller, &parse_withdraw(message)?).await?;
        Ok(Response::new(pb::WithdrawEntryResponse { entry: Some(rendered(&entry)) }))
    }

    async fn find_matches(
        &self,
        request: Request<pb::FindMatchesRequest>,
    ) -> Result<Response<pb::FindMatchesResponse>, Status> {
        let (caller, message) = open(request)?;
        let matches = self.app.find_matches(&caller, parse_find(message)?).await?;
        Ok(Response::new(pb::FindMatchesResponse { matches: matches.iter().map(rendered_match).collect() }))
    }

    async fn offer_time(
        &self,
        request: Request<pb::OfferTimeRequest>,
    ) -> Result<Response<pb::OfferTimeResponse>, Status> {
        let (caller, message) = open(request)?;
        let Offered { held, entry } = self.app.offer_time(&caller, &parse_offer(message)?).await?;
        let (appointment, entry) = (Some(rendered_appointment(&held)), Some(rendered(&entry)));
        Ok(Response::new(pb::OfferTimeResponse { appointment, entry }))
    }
}

fn parse_add(message: pb::AddEntryRequest) -> Result<Command<AddEntry>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::AddEntryRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        visit,
        clinic_id,
        practitioner_id,
        first_date,
        last_date,
        weekdays,
        hours,
        urgent,
    } = message;
    let mut fields = Fields::default();
    let which = parse_visit(&mut fields, visit);
    let clinic = fields.id("clinic_id", &clinic_id);
    let practitioner = fields.optional_id("practitioner_id", &practitioner_id);
    let days = fields.supported_day("first_date", &first_date).zip(fields.supported_day("last_date", &last_date));
    let days = days.and_then(|(first, last)| {
        let fits = first <= last && last - first <= TimeDelta::days(MAX_WINDOW_DAYS);
        let remedy = format!("must be first_date or at most {MAX_WINDOW_DAYS} days later");
        fields.some("last_date", fits.then_some((first, last)), &remedy)
    });
    let times = parse_times(&mut fields, "", &weekdays, &hours);
    head.command(fields, || {
        let (first, last) = days?;
        Some(AddEntry {
            which: which?,
            clinic: clinic?,
            practitioner: practitioner?,
            first,
            last,
            times: times?,
            is_urgent: urgent,
        })
    })
}

fn parse_visit(fields: &mut Fields, visit: Option<Visit>) -> Option<AddedVisit> {
    match visit {
        Some(Visit::Treatment(pb::TreatmentVisit { patient_id, treatment_id, body_area })) => {
            let patient = fields.id("treatment.patient_id", &patient_id);
            let treatment = fields.id("treatment.treatment_id", &treatment_id);
            let area = fields.optional_body_area("treatment.body_area", body_area);
            Some(AddedVisit::Treatment { patient: patient?, treatment: treatment?, area: area? })
        }
        Some(Visit::Session(pb::SessionVisit { series_id, session_number })) => {
            let series = fields.id("session.series_id", &series_id);
            let number = fields.within("session.session_number", session_number, 1, MAX_SESSIONS);
            Some(AddedVisit::Session { series: series?, number: number? })
        }
        None => {
            fields.note("visit", "must be a treatment or a session");
            None
        }
    }
}

fn parse_list(message: pb::ListEntriesRequest) -> Result<(Query, Scoped<ListEntries>), Error> {
    let pb::ListEntriesRequest { practice_id, patient_id, include_ended, page_size, page_token } = message;
    let query = Query::new("ListEntries", &[&practice_id, &patient_id, &include_ended.to_string()]);
    let mut fields = Fields::default();
    let patient = fields.optional_id("patient_id", &patient_id);
    let page = fields.page(&query, page_size, &page_token)?;
    let build = || Some(ListEntries { patient: patient?, with_ended: include_ended, page: page? });
    let scoped = scoped(fields, &practice_id, build)?;
    Ok((query, scoped))
}

fn parse_withdraw(message: pb::WithdrawEntryRequest) -> Result<Command<Known<WaitingId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::WithdrawEntryRequest { practice_id: _, request_id: _, validate_only: _, etag, waiting_id } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("waiting_id", &waiting_id), fields.etag(&etag));
    head.command(fields, || Some(Known { id: id?, etag: etag? }))
}

fn parse_find(message: pb::FindMatchesRequest) -> Result<Scoped<AppointmentId>, Error> {
    let pb::FindMatchesRequest { practice_id, appointment_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("appointment_id", &appointment_id);
    scoped(fields, &practice_id, || id)
}

fn parse_offer(message: pb::OfferTimeRequest) -> Result<Command<OfferTime>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::OfferTimeRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        waiting_id,
        start_time,
        resource_ids,
        hold_minutes,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("waiting_id", &waiting_id), fields.etag(&etag));
    let start = fields.start("start_time", start_time);
    let named = fields.named_resources("resource_ids", &resource_ids);
    let minutes = fields.hold_minutes(hold_minutes);
    head.command(fields, || {
        let entry = Known { id: id?, etag: etag? };
        Some(OfferTime { entry, start: start?, named: named?, hold_minutes: minutes? })
    })
}

/// An entry of the waiting list.
fn rendered(shown: &EntryNow) -> pb::WaitingEntry {
    let EntryNow { entry, now } = shown;
    let (treatment, area, series, number) = match entry.what {
        EntryFor::Treatment { treatment, area } => (treatment.to_string(), area, String::new(), 0),
        EntryFor::Session { series, number } => (String::new(), None, series.to_string(), number),
    };
    let Window { clinic, practitioner, zone: _, first, last, times } = &entry.window;
    let (state, appointment, withdrawn_at) = match entry.state {
        EntryState::Waiting if entry.has_lapsed(*now) => (pb::WaitingState::Lapsed, None, None),
        EntryState::Moot => (pb::WaitingState::Lapsed, None, None),
        EntryState::Waiting => (pb::WaitingState::Waiting, None, None),
        EntryState::Offered(held) => (pb::WaitingState::Offered, Some(held), None),
        EntryState::Booked(booked) => (pb::WaitingState::Booked, Some(booked), None),
        EntryState::Withdrawn { at } => (pb::WaitingState::Withdrawn, None, Some(render::timestamp(at))),
    };
    let Entry { id, patient, is_urgent, since, changed_revision, .. } = entry;
    pb::WaitingEntry {
        waiting_id: id.to_string(),
        patient_id: patient.to_string(),
        treatment_id: treatment,
        body_area: render::body_area(area).into(),
        series_id: series,
        session_number: number,
        clinic_id: clinic.to_string(),
        practitioner_id: practitioner.map(|id| id.to_string()).unwrap_or_default(),
        first_date: first.to_string(),
        last_date: last.to_string(),
        weekdays: times.weekdays().iter().map(|day| render::weekday(*day).into()).collect(),
        hours: times.parts().iter().map(|part| render::times_of_day(*part)).collect(),
        urgent: *is_urgent,
        state: state.into(),
        added_at: Some(render::timestamp(*since)),
        appointment_id: appointment.map(|id| id.to_string()).unwrap_or_default(),
        withdrawn_at,
        etag: render::etag(*changed_revision),
    }
}

impl Services {
    /// The entries that want time that a command has freed. The command is done, whether or not this can be found out.
    pub(super) async fn who_waits<T>(
        &self,
        caller: &Caller,
        command: &Command<T>,
        freed: &[AppointmentId],
    ) -> Vec<pb::WaitingMatch> {
        let code = match tokio::time::timeout(MATCHING, self.app.who_waits(caller, command, freed)).await {
            Ok(Ok(matches)) => return matches.iter().map(rendered_match).collect(),
            Ok(Err(error)) => Status::from(error).code(),
            Err(_) => Code::DeadlineExceeded,
        };
        tracing::warn!(?code, "who waits for the time that came free could not be found out");
        Vec::new()
    }
}

/// An entry that time has come free for.
fn rendered_match(found: &Match) -> pb::WaitingMatch {
    let Match { entry, slot, freed } = found;
    pb::WaitingMatch {
        entry: Some(rendered(entry)),
        slot: Some(rendered_slot(slot)),
        freed_appointment_id: freed.to_string(),
    }
}
