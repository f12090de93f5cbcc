//! `SeriesService`.

use tonic::{Request, Response, Status};

use super::appointment::rendered as rendered_appointment;
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::series_service_server::SeriesService;
use super::{Services, open, pb, render};
use crate::app::commands::{BookSeries, Cancel, ListSeries, SessionRequest};
use crate::app::{Command, Error, Scoped};
use crate::domain::catalog::MAX_SESSIONS;
use crate::domain::ids::{ClinicId, ResourceId, SeriesId};
use crate::domain::series::{Series, SeriesState};
use crate::domain::text::Personal;

/// Most series of a page.
const MAX_PAGE: i32 = 100;
/// Series of a page, unless the caller says otherwise.
const DEFAULT_PAGE: i32 = 20;

#[tonic::async_trait]
impl SeriesService for Services {
    async fn book_series(
        &self,
        request: Request<pb::BookSeriesRequest>,
    ) -> Result<Response<pb::BookSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.book_series(&caller, &parse_book(message)?).await?;
        Ok(Response::new(pb::BookSeriesResponse { series: Some(rendered(&series)) }))
    }

    async fn get_series(
        &self,
        request: Request<pb::GetSeriesRequest>,
    ) -> Result<Response<pb::GetSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.get_series(&caller, parse_get(message)?).await?;
        Ok(Response::new(pb::GetSeriesResponse { series: Some(rendered(&series)) }))
    }

    async fn list_series(
        &self,
        request: Request<pb::ListSeriesRequest>,
    ) -> Result<Response<pb::ListSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list(message)?;
        let (series, next_page_token) = query.render(self.app.list_series(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::ListSeriesResponse { series, next_page_token }))
    }

    async fn cancel_series(
        &self,
        request: Request<pb::CancelSeriesRequest>,
    ) -> Result<Response<pb::CancelSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.cancel_series(&caller, &parse_cancel(message)?).await?;
        Ok(Response::new(pb::CancelSeriesResponse { series: Some(rendered(&series)) }))
    }
}

fn parse_book(message: pb::BookSeriesRequest) -> Result<Command<BookSeries>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::BookSeriesRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        patient_id,
        protocol_id,
        body_area,
        clinic_id,
        sessions,
    } = message;
    let mut fields = Fields::default();
    let (patient, protocol) = (fields.id("patient_id", &patient_id), fields.id("protocol_id", &protocol_id));
    let area = fields.body_area("body_area", body_area);
    let clinic = fields.id("clinic_id", &clinic_id);
    let sessions = parse_sessions(&mut fields, clinic, &sessions);
    head.command(fields, || {
        Some(BookSeries { patient: patient?, protocol: protocol?, area: area?, sessions: sessions? })
    })
}

fn parse_sessions(
    fields: &mut Fields,
    clinic: Option<ClinicId>,
    sessions: &[pb::SessionRequest],
) -> Option<Vec<SessionRequest>> {
    if sessions.is_empty() {
        fields.note("sessions", "must not be empty");
    }
    fields.at_most("sessions", sessions.len(), usize::try_from(MAX_SESSIONS).unwrap_or_default())?;
    let parsed: Vec<Option<SessionRequest>> =
        sessions.iter().enumerate().map(|(place, session)| parse_session(fields, clinic, place, session)).collect();
    let parsed: Vec<SessionRequest> = parsed.into_iter().collect::<Option<_>>()?;
    for (place, pair) in parsed.windows(2).enumerate() {
        if let [earlier, later] = pair
            && later.start <= earlier.start
        {
            let remedy = format!("must be after sessions[{place}].start_time");
            fields.note(format!("sessions[{}].start_time", place + 1), remedy);
        }
    }
    Some(parsed)
}

fn parse_session(
    fields: &mut Fields,
    clinic: Option<ClinicId>,
    place: usize,
    session: &pb::SessionRequest,
) -> Option<SessionRequest> {
    let pb::SessionRequest { start_time, clinic_id, practitioner_id, resource_ids } = session;
    let path = |field: &str| format!("sessions[{place}].{field}");
    let start = fields.start(&path("start_time"), *start_time);
    let own_clinic = fields.optional_id::<ClinicId>(&path("clinic_id"), clinic_id);
    let practitioner = fields.optional_id::<ResourceId>(&path("practitioner_id"), practitioner_id);
    let named = fields.named_resources(&path("resource_ids"), resource_ids);
    let (mut named, practitioner) = (named?, practitioner?);
    if let Some(practitioner) = practitioner {
        if named.contains(&practitioner) {
            fields.note(path("resource_ids"), "must not name the practitioner again");
        }
        named.push(practitioner);
    }
    Some(SessionRequest { clinic: own_clinic?.or(clinic)?, start: start?, named, practitioner })
}

fn parse_get(message: pb::GetSeriesRequest) -> Result<Scoped<SeriesId>, Error> {
    let pb::GetSeriesRequest { practice_id, series_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("series_id", &series_id);
    scoped(fields, &practice_id, || id)
}

fn parse_list(message: pb::ListSeriesRequest) -> Result<(Query, Scoped<ListSeries>), Error> {
    let pb::ListSeriesRequest { practice_id, patient_id, page_size, page_token } = message;
    let query = Query::new("ListSeries", &[&practice_id, &patient_id]);
    let mut fields = Fields::default();
    let patient = fields.optional_id("patient_id", &patient_id);
    let page = fields.page_sized(&query, page_size, &page_token, DEFAULT_PAGE, MAX_PAGE)?;
    let scoped = scoped(fields, &practice_id, || Some(ListSeries { patient: patient?, page: page? }))?;
    Ok((query, scoped))
}

fn parse_cancel(message: pb::CancelSeriesRequest) -> Result<Command<Cancel<SeriesId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CancelSeriesRequest { practice_id: _, request_id: _, validate_only: _, etag, series_id, cancel_reason } =
        message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("series_id", &series_id), fields.etag(&etag));
    let reason = fields.prose("cancel_reason", &cancel_reason);
    head.command(fields, || Some(Cancel { id: id?, etag: etag?, reason: Personal::new(reason?) }))
}

fn rendered(series: &Series) -> pb::Series {
    let (state, cancelled_at, cancel_reason) = match &series.state {
        SeriesState::Active => (pb::SeriesState::Active, None, String::new()),
        SeriesState::Cancelled { at, reason } => {
            (pb::SeriesState::Cancelled, Some(render::timestamp(*at)), reason.expose().as_str().to_owned())
        }
    };
    let day = |number: i32| series.session(number).map(|booked| booked.zone.day(booked.visit.start()));
    let sessions = (1..=series.session_count).map(|number| {
        let gap = day(number).zip(day(number - 1)).map_or(0, |(this, before)| (this - before).num_days());
        pb::Session {
            session_number: number,
            appointment: series.session(number).map(rendered_appointment),
            // Bounded by the protocol's longest gap.
            gap_days: i32::try_from(gap).unwrap_or(i32::MAX),
        }
    });
    pb::Series {
        series_id: series.id.to_string(),
        patient_id: series.patient.to_string(),
        protocol_id: series.protocol.to_string(),
        protocol_version: series.protocol_version,
        body_area: render::body_area(Some(series.area)).into(),
        session_count: series.session_count,
        state: state.into(),
        sessions: sessions.collect(),
        cancelled_at,
        cancel_reason,
        etag: render::etag(series.changed_revision),
    }
}
