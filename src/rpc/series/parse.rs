//! What requests about series ask for.

use crate::app::commands::{
    BookSeries, Cancel, DEFAULT_PLANS, Destination, ExtendSeries, Known, ListSeries, Needing, ProposeSeries,
    RecordAssessment, RenewHold, RescheduleSession, SeriesOf, SessionRequest, ShortenSeries, WhichSessions,
};
use crate::app::{Command, Error, Scoped};
use crate::domain::assessment::{MAX_ASSESSMENTS, Outcome};
use crate::domain::catalog::MAX_SESSIONS;
use crate::domain::ids::{ClinicId, ResourceId, SeriesId};
use crate::domain::planning::MAX_PLANS;
use crate::domain::text::Personal;
use crate::rpc::page::Query;
use crate::rpc::parse::{Fields, Head, scoped};
use crate::rpc::visit::parse_end_reason;
use crate::rpc::{pb, plan};

/// Most series of a page.
const MAX_PAGE: i32 = 100;
/// Series of a page, unless the caller says otherwise.
const DEFAULT_PAGE: i32 = 20;

pub(super) fn parse_propose(message: pb::ProposeSeriesRequest) -> Result<Scoped<ProposeSeries>, Error> {
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
    let most = i32::try_from(MAX_PLANS).unwrap_or(i32::MAX);
    let plans =
        fields.or_default("plan_count", plan_count, DEFAULT_PLANS, most).and_then(|plans| usize::try_from(plans).ok());
    scoped(fields, &practice_id, || Some(ProposeSeries { of: of?, clinic: clinic?, wishes: wishes?, plans: plans? }))
}

fn parse_new(fields: &mut Fields, patient: &str, protocol: &str, area: i32) -> Option<SeriesOf> {
    let (patient, protocol) = (fields.id("patient_id", patient), fields.id("protocol_id", protocol));
    let area = fields.body_area("body_area", area);
    Some(SeriesOf::New { patient: patient?, protocol: protocol?, area: area? })
}

pub(super) fn parse_book(message: pb::BookSeriesRequest) -> Result<Command<BookSeries>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let mut fields = Fields::default();
    let which = parse_new_or_planned(&mut fields, message);
    head.command(fields, || {
        let (of, sessions) = which?;
        Some(BookSeries { of, sessions, hold_minutes: None })
    })
}

pub(super) fn parse_hold(message: pb::HoldSeriesRequest) -> Result<Command<BookSeries>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::HoldSeriesRequest {
        practice_id,
        request_id,
        validate_only,
        patient_id,
        protocol_id,
        body_area,
        clinic_id,
        sessions,
        plan,
        wishes,
        hold_minutes,
    } = message;
    let like_booked = pb::BookSeriesRequest {
        practice_id,
        request_id,
        validate_only,
        patient_id,
        protocol_id,
        body_area,
        clinic_id,
        sessions,
        plan,
        wishes,
    };
    let mut fields = Fields::default();
    let which = parse_new_or_planned(&mut fields, like_booked);
    if let Some((SeriesOf::Continued(_), _)) = which {
        let remedy = "must be empty: sessions of a booked series are held with AppointmentService.HoldAppointment";
        fields.note("plan.series_id", remedy);
    }
    let minutes = fields.hold_minutes(hold_minutes);
    head.command(fields, || {
        let (of, sessions) = which?;
        Some(BookSeries { of, sessions, hold_minutes: Some(minutes?) })
    })
}

pub(super) fn parse_renew(message: pb::RenewSeriesHoldRequest) -> Result<Command<RenewHold<SeriesId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RenewSeriesHoldRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        series_id,
        hold_minutes: minutes,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("series_id", &series_id), fields.etag(&etag));
    let minutes = fields.hold_minutes(minutes);
    head.command(fields, || Some(RenewHold { held: Known { id: id?, etag: etag? }, minutes: minutes? }))
}

pub(super) fn parse_convert(message: pb::ConvertSeriesHoldRequest) -> Result<Command<Known<SeriesId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::ConvertSeriesHoldRequest { practice_id: _, request_id: _, validate_only: _, etag, series_id } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("series_id", &series_id), fields.etag(&etag));
    head.command(fields, || Some(Known { id: id?, etag: etag? }))
}

fn parse_new_or_planned(fields: &mut Fields, message: pb::BookSeriesRequest) -> Option<(SeriesOf, WhichSessions)> {
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
        return plan::parse(fields, plan).map(|(of, plan)| (of, WhichSessions::Planned(plan)));
    }
    let of = parse_new(fields, &patient_id, &protocol_id, body_area);
    let clinic = fields.id("clinic_id", &clinic_id);
    let sessions = parse_which(fields, clinic, &sessions, wishes);
    Some((of?, sessions?))
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

pub(super) fn parse_extend(message: pb::ExtendSeriesRequest) -> Result<Command<ExtendSeries>, Error> {
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

pub(super) fn parse_shorten(message: pb::ShortenSeriesRequest) -> Result<Command<ShortenSeries>, Error> {
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

pub(super) fn parse_reschedule(message: pb::RescheduleSessionRequest) -> Result<Command<RescheduleSession>, Error> {
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

pub(super) fn parse_get(message: pb::GetSeriesRequest) -> Result<Scoped<SeriesId>, Error> {
    let pb::GetSeriesRequest { practice_id, series_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("series_id", &series_id);
    scoped(fields, &practice_id, || id)
}

pub(super) fn parse_list(message: pb::ListSeriesRequest) -> Result<(Query, Scoped<ListSeries>), Error> {
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

pub(super) fn parse_cancel(message: pb::CancelSeriesRequest) -> Result<Command<Cancel<SeriesId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CancelSeriesRequest { practice_id: _, request_id: _, validate_only: _, etag, series_id, cancel_reason } =
        message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("series_id", &series_id), fields.etag(&etag));
    let reason = fields.prose("cancel_reason", &cancel_reason);
    head.command(fields, || Some(Cancel { id: id?, etag: etag?, reason: Personal::new(reason?) }))
}

pub(super) fn parse_record(message: pb::RecordAssessmentRequest) -> Result<Command<RecordAssessment>, Error> {
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
