//! `SeriesService`.

use chrono::NaiveDate;
use tonic::{Request, Response, Status};

use super::appointment::rendered as rendered_appointment;
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::series_service_server::SeriesService;
use super::visit::parse_end_reason;
use super::{Services, open, pb, plan, render};
use crate::app::commands::{
    BookSeries, Cancel, DEFAULT_PLANS, Destination, ExtendSeries, ListSeries, Needing, ProposeSeries, RecordAssessment,
    RescheduleSession, SeriesOf, SessionRequest, ShortenSeries, WhichSessions,
};
use crate::app::{Command, Error, Moved, Scoped, SeriesNow};
use crate::domain::appointment::Appointment;
use crate::domain::assessment::{AssessmentResult, MAX_ASSESSMENTS, Outcome};
use crate::domain::catalog::MAX_SESSIONS;
use crate::domain::follow_up::{AssessmentState, MaintenanceDue, Overdue, SeriesAssessment};
use crate::domain::ids::{ClinicId, ResourceId, SeriesId};
use crate::domain::planning::MAX_PLANS;
use crate::domain::series::SeriesState;
use crate::domain::text::Personal;

/// Most series of a page.
const MAX_PAGE: i32 = 100;
/// Series of a page, unless the caller says otherwise.
const DEFAULT_PAGE: i32 = 20;

#[tonic::async_trait]
impl SeriesService for Services {
    async fn propose_series(
        &self,
        request: Request<pb::ProposeSeriesRequest>,
    ) -> Result<Response<pb::ProposeSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let proposal = self.app.propose_series(&caller, parse_propose(message)?).await?;
        Ok(Response::new(plan::rendered(&proposal)))
    }

    async fn reschedule_session(
        &self,
        request: Request<pb::RescheduleSessionRequest>,
    ) -> Result<Response<pb::RescheduleSessionResponse>, Status> {
        let (caller, message) = open(request)?;
        let Moved { series, moves } = self.app.reschedule_session(&caller, &parse_reschedule(message)?).await?;
        let moves = moves.iter().map(|(old, new)| rendered_move(old, new)).collect();
        Ok(Response::new(pb::RescheduleSessionResponse { series: Some(rendered(&series)), moves }))
    }

    async fn extend_series(
        &self,
        request: Request<pb::ExtendSeriesRequest>,
    ) -> Result<Response<pb::ExtendSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.extend_series(&caller, &parse_extend(message)?).await?;
        Ok(Response::new(pb::ExtendSeriesResponse { series: Some(rendered(&series)) }))
    }

    async fn shorten_series(
        &self,
        request: Request<pb::ShortenSeriesRequest>,
    ) -> Result<Response<pb::ShortenSeriesResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.shorten_series(&caller, &parse_shorten(message)?).await?;
        Ok(Response::new(pb::ShortenSeriesResponse { series: Some(rendered(&series)) }))
    }

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

    async fn record_assessment(
        &self,
        request: Request<pb::RecordAssessmentRequest>,
    ) -> Result<Response<pb::RecordAssessmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let series = self.app.record_assessment(&caller, &parse_record(message)?).await?;
        Ok(Response::new(pb::RecordAssessmentResponse { series: Some(rendered(&series)) }))
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

fn parse_propose(message: pb::ProposeSeriesRequest) -> Result<Scoped<ProposeSeries>, Error> {
    let pb::ProposeSeriesRequest {
        practice_id,
        patient_id,
        protocol_id,
        body_area,
        series_id,
        clinic_id,
        wishes,
        plan_count,
    } = message;
    let mut fields = Fields::default();
    let of = if series_id.is_empty() {
        parse_new(&mut fields, &patient_id, &protocol_id, body_area)
    } else {
        fields.must_be_absent(
            "to continue a series",
            &[
                ("patient_id", !patient_id.is_empty()),
                ("protocol_id", !protocol_id.is_empty()),
                ("body_area", body_area != 0),
            ],
        );
        fields.id("series_id", &series_id).map(SeriesOf::Continued)
    };
    let clinic = fields.id("clinic_id", &clinic_id);
    let wishes = plan::parse_wishes(&mut fields, &wishes.unwrap_or_default());
    let plans = if plan_count == 0 { DEFAULT_PLANS } else { plan_count };
    let most = i32::try_from(MAX_PLANS).unwrap_or(i32::MAX);
    let plans = fields.within("plan_count", plans, 1, most).and_then(|plans| usize::try_from(plans).ok());
    scoped(fields, &practice_id, || Some(ProposeSeries { of: of?, clinic: clinic?, wishes: wishes?, plans: plans? }))
}

fn parse_new(fields: &mut Fields, patient: &str, protocol: &str, area: i32) -> Option<SeriesOf> {
    let (patient, protocol) = (fields.id("patient_id", patient), fields.id("protocol_id", protocol));
    let area = fields.body_area("body_area", area);
    Some(SeriesOf::New { patient: patient?, protocol: protocol?, area: area? })
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
        plan,
        wishes,
    } = message;
    let mut fields = Fields::default();
    if let Some(plan) = plan {
        fields.must_be_absent(
            "with a plan",
            &[
                ("patient_id", !patient_id.is_empty()),
                ("protocol_id", !protocol_id.is_empty()),
                ("body_area", body_area != 0),
                ("clinic_id", !clinic_id.is_empty()),
                ("sessions", !sessions.is_empty()),
                ("wishes", wishes.is_some()),
            ],
        );
        let planned = plan::parse(&mut fields, plan);
        return head.command(fields, || {
            let (of, plan) = planned?;
            Some(BookSeries { of, sessions: WhichSessions::Planned(plan) })
        });
    }
    let of = parse_new(&mut fields, &patient_id, &protocol_id, body_area);
    let clinic = fields.id("clinic_id", &clinic_id);
    let sessions = parse_which(&mut fields, clinic, &sessions, wishes);
    head.command(fields, || Some(BookSeries { of: of?, sessions: sessions? }))
}

/// The sessions that are named, or those of the best plan.
fn parse_which(
    fields: &mut Fields,
    clinic: Option<ClinicId>,
    sessions: &[pb::SessionRequest],
    wishes: Option<pb::SeriesWishes>,
) -> Option<WhichSessions> {
    let Some(wishes) = wishes else {
        return parse_sessions(fields, clinic, sessions).map(WhichSessions::Given);
    };
    fields.must_be_absent("with wishes", &[("sessions", !sessions.is_empty())]);
    let wishes = plan::parse_wishes(fields, &wishes);
    Some(WhichSessions::Best { clinic: clinic?, wishes: wishes? })
}

fn parse_extend(message: pb::ExtendSeriesRequest) -> Result<Command<ExtendSeries>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::ExtendSeriesRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        series_id,
        session_count,
        clinic_id,
        sessions,
        wishes,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("series_id", &series_id), fields.etag(&etag));
    let count = fields.within("session_count", session_count, 1, MAX_SESSIONS);
    let clinic = fields.id("clinic_id", &clinic_id);
    let own_count = wishes.as_ref().is_some_and(|wishes| wishes.session_count != 0);
    fields.must_be_absent("here", &[("wishes.session_count", own_count)]);
    let wishes = wishes.map(|wishes| pb::SeriesWishes { session_count: 0, ..wishes });
    let mut sessions = parse_which(&mut fields, clinic, &sessions, wishes);
    if let Some(WhichSessions::Best { wishes, .. }) = &mut sessions {
        wishes.session_count = count;
    }
    head.command(fields, || Some(ExtendSeries { id: id?, etag: etag?, session_count: count?, sessions: sessions? }))
}

fn parse_shorten(message: pb::ShortenSeriesRequest) -> Result<Command<ShortenSeries>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::ShortenSeriesRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        series_id,
        session_count,
        cancel_reason,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("series_id", &series_id), fields.etag(&etag));
    let count = fields.within("session_count", session_count, 1, MAX_SESSIONS);
    let reason = fields.prose("cancel_reason", &cancel_reason);
    head.command(fields, || {
        Some(ShortenSeries { id: id?, etag: etag?, session_count: count?, reason: Personal::new(reason?) })
    })
}

fn parse_reschedule(message: pb::RescheduleSessionRequest) -> Result<Command<RescheduleSession>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RescheduleSessionRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        series_id,
        session_number,
        start_time,
        clinic_id,
        practitioner_id,
        resource_ids,
        end_reason,
    } = message;
    let mut fields = Fields::default();
    let (series, etag) = (fields.id("series_id", &series_id), fields.etag(&etag));
    let because = parse_end_reason(&mut fields, end_reason);
    let number = fields.within("session_number", session_number, 1, MAX_SESSIONS);
    let start = fields.start("start_time", start_time);
    let clinic = fields.optional_id("clinic_id", &clinic_id);
    let who = parse_named(&mut fields, "", &practitioner_id, &resource_ids);
    head.command(fields, || {
        let (practitioner, named) = who?;
        let to = Destination { start: start?, clinic: clinic?, practitioner, named };
        Some(RescheduleSession { series: series?, etag: etag?, number: number?, to, because: because? })
    })
}

/// The practitioner who must treat, and all resources that must be used, the practitioner among them.
fn parse_named(
    fields: &mut Fields,
    path: &str,
    practitioner: &str,
    resources: &[String],
) -> Option<(Option<ResourceId>, Vec<ResourceId>)> {
    let practitioner = fields.optional_id::<ResourceId>(&format!("{path}practitioner_id"), practitioner);
    let named = fields.named_resources(&format!("{path}resource_ids"), resources);
    let (mut named, practitioner) = (named?, practitioner?);
    if let Some(practitioner) = practitioner {
        if named.contains(&practitioner) {
            fields.note(format!("{path}resource_ids"), "must not name the practitioner again");
        }
        named.push(practitioner);
    }
    Some((practitioner, named))
}

fn parse_sessions(
    fields: &mut Fields,
    clinic: Option<ClinicId>,
    sessions: &[pb::SessionRequest],
) -> Option<Vec<SessionRequest>> {
    if sessions.is_empty() {
        fields.note("sessions", "must not be empty, unless a plan or wishes say what to book");
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
    let who = parse_named(fields, &format!("sessions[{place}]."), practitioner_id, resource_ids);
    let (practitioner, named) = who?;
    Some(SessionRequest { clinic: own_clinic?.or(clinic)?, start: start?, named, practitioner, moved_from: None })
}

fn parse_get(message: pb::GetSeriesRequest) -> Result<Scoped<SeriesId>, Error> {
    let pb::GetSeriesRequest { practice_id, series_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("series_id", &series_id);
    scoped(fields, &practice_id, || id)
}

fn parse_list(message: pb::ListSeriesRequest) -> Result<(Query, Scoped<ListSeries>), Error> {
    let pb::ListSeriesRequest {
        practice_id,
        patient_id,
        page_size,
        page_token,
        on_hold_only,
        overdue_only,
        assessment_due_only,
    } = message;
    let needing = Needing { clearing: on_hold_only, next_session: overdue_only, assessment: assessment_due_only };
    let query = Query::new("ListSeries", &[&practice_id, &patient_id, &format!("{needing:?}")]);
    let mut fields = Fields::default();
    let patient = fields.optional_id("patient_id", &patient_id);
    let page = fields.page_sized(&query, page_size, &page_token, DEFAULT_PAGE, MAX_PAGE)?;
    let scoped = scoped(fields, &practice_id, || Some(ListSeries { patient: patient?, needing, page: page? }))?;
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

fn parse_record(message: pb::RecordAssessmentRequest) -> Result<Command<RecordAssessment>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RecordAssessmentRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        series_id,
        assessment_number,
        appointment_id,
        outcome,
        session_count,
        notes,
    } = message;
    let mut fields = Fields::default();
    let (series, etag) = (fields.id("series_id", &series_id), fields.etag(&etag));
    let most = i32::try_from(MAX_ASSESSMENTS).unwrap_or(i32::MAX);
    let number = fields.within("assessment_number", assessment_number, 1, most);
    let appointment = fields.id("appointment_id", &appointment_id);
    let outcome = parse_outcome(&mut fields, outcome, session_count);
    let notes = fields.prose("notes", &notes);
    head.command(fields, || {
        Some(RecordAssessment {
            series: series?,
            etag: etag?,
            number: number?,
            appointment: appointment?,
            outcome: outcome?,
            notes: Personal::new(notes?),
        })
    })
}

fn parse_outcome(fields: &mut Fields, outcome: i32, session_count: i32) -> Option<Outcome> {
    let outcome = match pb::AssessmentOutcome::try_from(outcome) {
        Ok(pb::AssessmentOutcome::Extend) => {
            return fields.within("session_count", session_count, 1, MAX_SESSIONS).map(Outcome::Extend);
        }
        Ok(pb::AssessmentOutcome::Continue) => Some(Outcome::Continue),
        Ok(pb::AssessmentOutcome::End) => Some(Outcome::End),
        Ok(pb::AssessmentOutcome::Unspecified) | Err(_) => None,
    };
    let outcome = fields.some("outcome", outcome, "must be to continue, to extend or to end")?;
    fields.must_be_absent("unless the series is extended", &[("session_count", session_count != 0)]);
    Some(outcome)
}

/// A series, as it is.
pub fn rendered(shown: &SeriesNow) -> pb::Series {
    let SeriesNow { series, protocol, now } = shown;
    let content = &protocol.content;
    let (state, completed_at, cancelled_at, cancel_reason) = match &series.state {
        SeriesState::Active => (pb::SeriesState::Active, None, None, String::new()),
        SeriesState::Completed { at } => {
            (pb::SeriesState::Completed, Some(render::timestamp(*at)), None, String::new())
        }
        SeriesState::Cancelled { at, reason } => {
            let reason = reason.expose().as_str().to_owned();
            (pb::SeriesState::Cancelled, None, Some(render::timestamp(*at)), reason)
        }
    };
    let day = |number: i32| series.session(number).map(|booked| booked.zone.day(booked.begins()));
    let sessions = (1..=series.session_count).map(|number| {
        let gap = day(number).zip(day(number - 1)).map_or(0, |(this, before)| (this - before).num_days());
        pb::Session {
            session_number: number,
            appointment: series.session(number).map(rendered_appointment),
            // Bounded by the years that times may lie in.
            gap_days: i32::try_from(gap).unwrap_or(i32::MAX),
            at_risk: series.hold.is_some()
                && series.session(number).is_some_and(|known| known.held_until().is_none() && !known.has_begun(*now)),
        }
    });
    let overdue = series.overdue(*now).map(|Overdue { last_session, latest, days_over }| pb::OverdueSession {
        last_session_date: last_session.to_string(),
        latest_date: latest.to_string(),
        days_over: i32::try_from(days_over).unwrap_or(i32::MAX),
        advice: content.overdue_advice.as_str().to_owned(),
        evidence: Some(render::evidence(&content.evidence)),
    });
    let maintenance_due = content.maintenance.as_ref().and_then(|maintenance| series.maintenance_due(maintenance.days));
    let maintenance_due = maintenance_due.map(|MaintenanceDue { from, target }| pb::MaintenanceDue {
        due_from: from.to_string(),
        due_target: target.to_string(),
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
        gap_override_id: series.gap.override_id().map(|id| id.to_string()).unwrap_or_default(),
        gap_minimum_days: series.gap.days().minimum,
        on_hold: series.hold.as_ref().map(|hold| pb::SeriesHold {
            reaction_ids: hold.reactions.iter().map(ToString::to_string).collect(),
            since: Some(render::timestamp(hold.since)),
        }),
        completed_at,
        assessments: series.assessments(&content.assessments, *now).iter().map(rendered_assessment).collect(),
        overdue,
        maintenance_due,
        visits_counted_as_used: series.counted_as_used,
    }
}

fn rendered_assessment(assessment: &SeriesAssessment<'_>) -> pb::SeriesAssessment {
    let SeriesAssessment { number, assessment, from, target, until, state, appointment, results } = assessment;
    let day = |day: &Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
    let state = match state {
        AssessmentState::Upcoming => pb::AssessmentState::Upcoming,
        AssessmentState::Due => pb::AssessmentState::Due,
        AssessmentState::Overdue => pb::AssessmentState::Overdue,
        AssessmentState::Done => pb::AssessmentState::Done,
    };
    pb::SeriesAssessment {
        assessment_number: *number,
        name: assessment.name.as_str().to_owned(),
        session_number: assessment.due.session().unwrap_or_default(),
        due_from: day(from),
        due_target: day(target),
        due_until: day(until),
        state: state.into(),
        appointment_id: appointment.map(|id| id.to_string()).unwrap_or_default(),
        results: results.iter().map(|result| rendered_result(result)).collect(),
    }
}

fn rendered_result(result: &AssessmentResult) -> pb::AssessmentResult {
    let AssessmentResult { number: _, appointment, outcome, notes, recorded_at, recorded_by } = result;
    let (outcome, session_count) = match outcome {
        Outcome::Continue => (pb::AssessmentOutcome::Continue, 0),
        Outcome::Extend(count) => (pb::AssessmentOutcome::Extend, *count),
        Outcome::End => (pb::AssessmentOutcome::End, 0),
    };
    pb::AssessmentResult {
        outcome: outcome.into(),
        session_count,
        notes: notes.expose().as_str().to_owned(),
        appointment_id: appointment.to_string(),
        practitioner_id: recorded_by.to_string(),
        recorded_at: Some(render::timestamp(*recorded_at)),
    }
}

/// A session that moved.
pub fn rendered_move(old: &Appointment, new: &Appointment) -> pb::SessionMove {
    let (before, now) = (old.visit.start(), new.visit.start());
    let days = (new.zone.day(now) - old.zone.day(before)).num_days();
    pb::SessionMove {
        session_number: new.session.map_or(0, |session| session.number),
        old_start_time: Some(render::timestamp(before)),
        new_start_time: Some(render::timestamp(now)),
        local_old_start: old.zone.written(before),
        local_new_start: new.zone.written(now),
        // Bounded by the years that times may lie in.
        days_moved: i32::try_from(days).unwrap_or_default(),
        old_appointment_id: old.id.to_string(),
        new_appointment_id: new.id.to_string(),
        series_id: new.session.map(|session| session.series.to_string()).unwrap_or_default(),
        late: old.ended_late(),
    }
}
