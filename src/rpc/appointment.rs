//! `AppointmentService`.

use chrono::TimeDelta;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::appointment_service_server::AppointmentService;
use super::pb::{
    book_appointment_request as book, hold_appointment_request as hold, list_appointments_request as list,
};
use super::visit::{
    known, parse_cancel, parse_check_in, parse_complete, parse_confirm, parse_end_reason, parse_no_show, parse_start,
    parse_undo, rendered_end_reason,
};
use super::{Services, displacement, next_session, open, pb, render, series, sheet, slots, visit_record, watch};
use crate::app::commands::{
    BookAppointment, Destination, Known, ListAppointments, ListDisplaced, RenewHold, RescheduleAppointment, SheetOf,
    WhichVisit,
};
use crate::app::{Command, Completed, Error, MovedVisit, Scoped, VisitNow};
use crate::domain::appointment::{Appointment, AppointmentState, BookedPhase};
use crate::domain::catalog::MAX_SESSIONS;
use crate::domain::displacement::Whose;
use crate::domain::ids::AppointmentId;
use crate::domain::zone::Zone;

/// Longest stretch of time that a sheet lists, in days.
const MAX_SHEET_DAYS: i64 = 400;

#[tonic::async_trait]
impl AppointmentService for Services {
    async fn find_slots(
        &self,
        request: Request<pb::FindSlotsRequest>,
    ) -> Result<Response<pb::FindSlotsResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = slots::parse(message)?;
        Ok(Response::new(slots::rendered(&query, self.app.find_slots(&caller, scoped).await?)))
    }

    async fn book_appointment(
        &self,
        request: Request<pb::BookAppointmentRequest>,
    ) -> Result<Response<pb::BookAppointmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let appointment = self.app.book_appointment(&caller, &parse_book(message)?).await?;
        Ok(Response::new(pb::BookAppointmentResponse { appointment: Some(rendered(&appointment)) }))
    }

    async fn reschedule_appointment(
        &self,
        request: Request<pb::RescheduleAppointmentRequest>,
    ) -> Result<Response<pb::RescheduleAppointmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_reschedule(message)?;
        let MovedVisit { appointment, late } = self.app.reschedule_appointment(&caller, &command).await?;
        let waiting_matches = self.who_waits(&caller, &command, &[command.body.id]).await;
        Ok(Response::new(pb::RescheduleAppointmentResponse {
            appointment: Some(rendered(&appointment)),
            late,
            waiting_matches,
        }))
    }

    async fn get_appointment(
        &self,
        request: Request<pb::GetAppointmentRequest>,
    ) -> Result<Response<pb::GetAppointmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let appointment = self.app.get_appointment(&caller, parse_get(message)?).await?;
        Ok(Response::new(pb::GetAppointmentResponse { appointment: Some(rendered(&appointment)) }))
    }

    async fn list_appointments(
        &self,
        request: Request<pb::ListAppointmentsRequest>,
    ) -> Result<Response<pb::ListAppointmentsResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list(message)?;
        let (appointments, next_page_token) =
            query.render(self.app.list_appointments(&caller, scoped).await?, sheet::rendered_entry);
        Ok(Response::new(pb::ListAppointmentsResponse { appointments, next_page_token }))
    }

    type WatchDayStream = BoxStream<pb::WatchDayResponse>;

    async fn watch_day(&self, request: Request<pb::WatchDayRequest>) -> Result<Response<Self::WatchDayStream>, Status> {
        let (caller, message) = open(request)?;
        let watch = self.app.watch_day(&caller, watch::parse_day(message)?).await?;
        Ok(Response::new(watch::day(watch)))
    }

    async fn list_displaced(
        &self,
        request: Request<pb::ListDisplacedRequest>,
    ) -> Result<Response<pb::ListDisplacedResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list_displaced(message)?;
        let page = self.app.list_displaced(&caller, scoped).await?;
        let (visits, next_page_token) = query.render(page, displacement::rendered_visit);
        Ok(Response::new(pb::ListDisplacedResponse { visits, next_page_token }))
    }

    async fn cancel_appointment(
        &self,
        request: Request<pb::CancelAppointmentRequest>,
    ) -> Result<Response<pb::CancelAppointmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let command = parse_cancel(message)?;
        let (appointment, next) = self.app.cancel_appointment(&caller, &command).await?;
        let waiting_matches = self.who_waits(&caller, &command, &[appointment.id]).await;
        Ok(Response::new(pb::CancelAppointmentResponse {
            appointment: Some(rendered(&appointment)),
            next_session: next.as_ref().map(next_session::rendered),
            waiting_matches,
        }))
    }

    async fn check_in(&self, request: Request<pb::CheckInRequest>) -> Result<Response<pb::CheckInResponse>, Status> {
        let (caller, message) = open(request)?;
        let appointment = self.app.check_in(&caller, &parse_check_in(message)?).await?;
        Ok(Response::new(pb::CheckInResponse { appointment: Some(rendered(&appointment)) }))
    }

    async fn confirm_appointment(
        &self,
        request: Request<pb::ConfirmAppointmentRequest>,
    ) -> Result<Response<pb::ConfirmAppointmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let appointment = self.app.confirm_appointment(&caller, &parse_confirm(message)?).await?;
        Ok(Response::new(pb::ConfirmAppointmentResponse { appointment: Some(rendered(&appointment)) }))
    }

    async fn start_visit(
        &self,
        request: Request<pb::StartVisitRequest>,
    ) -> Result<Response<pb::StartVisitResponse>, Status> {
        let (caller, message) = open(request)?;
        let appointment = self.app.start_visit(&caller, &parse_start(message)?).await?;
        Ok(Response::new(pb::StartVisitResponse { appointment: Some(rendered(&appointment)) }))
    }

    async fn get_visit_record(
        &self,
        request: Request<pb::GetVisitRecordRequest>,
    ) -> Result<Response<pb::GetVisitRecordResponse>, Status> {
        let (caller, message) = open(request)?;
        let record = self.app.get_visit_record(&caller, visit_record::parse_get(message)?).await?;
        Ok(Response::new(pb::GetVisitRecordResponse { record: record.as_ref().map(visit_record::rendered) }))
    }

    async fn hold_appointment(
        &self,
        request: Request<pb::HoldAppointmentRequest>,
    ) -> Result<Response<pb::HoldAppointmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let appointment = self.app.book_appointment(&caller, &parse_hold(message)?).await?;
        Ok(Response::new(pb::HoldAppointmentResponse { appointment: Some(rendered(&appointment)) }))
    }

    async fn renew_hold(
        &self,
        request: Request<pb::RenewHoldRequest>,
    ) -> Result<Response<pb::RenewHoldResponse>, Status> {
        let (caller, message) = open(request)?;
        let appointment = self.app.renew_hold(&caller, &parse_renew(message)?).await?;
        Ok(Response::new(pb::RenewHoldResponse { appointment: Some(rendered(&appointment)) }))
    }

    async fn convert_hold(
        &self,
        request: Request<pb::ConvertHoldRequest>,
    ) -> Result<Response<pb::ConvertHoldResponse>, Status> {
        let (caller, message) = open(request)?;
        let appointment = self.app.convert_hold(&caller, &parse_convert(message)?).await?;
        Ok(Response::new(pb::ConvertHoldResponse { appointment: Some(rendered(&appointment)) }))
    }

    async fn mark_no_show(
        &self,
        request: Request<pb::MarkNoShowRequest>,
    ) -> Result<Response<pb::MarkNoShowResponse>, Status> {
        let (caller, message) = open(request)?;
        let (VisitNow { appointment, series }, next) = self.app.mark_no_show(&caller, &parse_no_show(message)?).await?;
        Ok(Response::new(pb::MarkNoShowResponse {
            appointment: Some(rendered(&appointment)),
            series: series.as_ref().map(series::rendered),
            next_session: next.as_ref().map(next_session::rendered),
        }))
    }

    async fn undo_visit(
        &self,
        request: Request<pb::UndoVisitRequest>,
    ) -> Result<Response<pb::UndoVisitResponse>, Status> {
        let (caller, message) = open(request)?;
        let VisitNow { appointment, series } = self.app.undo_visit(&caller, &parse_undo(message)?).await?;
        Ok(Response::new(pb::UndoVisitResponse {
            appointment: Some(rendered(&appointment)),
            series: series.as_ref().map(series::rendered),
        }))
    }

    async fn complete_appointment(
        &self,
        request: Request<pb::CompleteAppointmentRequest>,
    ) -> Result<Response<pb::CompleteAppointmentResponse>, Status> {
        let (caller, message) = open(request)?;
        let Completed { appointment, series, moves } =
            self.app.complete_appointment(&caller, &parse_complete(message)?).await?;
        Ok(Response::new(pb::CompleteAppointmentResponse {
            appointment: Some(rendered(&appointment)),
            series: series.as_ref().map(series::rendered),
            moves: moves.iter().map(|(old, new)| series::rendered_move(old, new)).collect(),
        }))
    }
}

fn parse_book(message: pb::BookAppointmentRequest) -> Result<Command<BookAppointment>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::BookAppointmentRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        visit,
        clinic_id,
        start_time,
        resource_ids,
        add_on_treatment_id,
    } = message;
    let body = pb::HoldAppointmentRequest {
        visit: visit.map(|visit| match visit {
            book::Visit::Treatment(visit) => hold::Visit::Treatment(visit),
            book::Visit::Session(visit) => hold::Visit::Session(visit),
            book::Visit::Assessment(visit) => hold::Visit::Assessment(visit),
            book::Visit::Maintenance(visit) => hold::Visit::Maintenance(visit),
        }),
        clinic_id,
        start_time,
        resource_ids,
        add_on_treatment_id,
        ..Default::default()
    };
    let mut fields = Fields::default();
    let body = parse_visit(&mut fields, body);
    head.command(fields, || body)
}

fn parse_hold(message: pb::HoldAppointmentRequest) -> Result<Command<BookAppointment>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let mut fields = Fields::default();
    let minutes = fields.hold_minutes(message.hold_minutes);
    let body = parse_visit(&mut fields, message);
    head.command(fields, || Some(BookAppointment { hold_minutes: Some(minutes?), ..body? }))
}

/// What is to be booked, or held.
fn parse_visit(fields: &mut Fields, message: pb::HoldAppointmentRequest) -> Option<BookAppointment> {
    let pb::HoldAppointmentRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        visit,
        clinic_id,
        start_time,
        resource_ids,
        add_on_treatment_id,
        hold_minutes: _,
    } = message;
    let which = match visit {
        Some(hold::Visit::Treatment(pb::TreatmentVisit { patient_id, treatment_id, body_area })) => {
            let patient = fields.id("treatment.patient_id", &patient_id);
            let treatment = fields.id("treatment.treatment_id", &treatment_id);
            let area = fields.optional_body_area("treatment.body_area", body_area);
            patient.zip(treatment).zip(area).map(|((patient, treatment), area)| WhichVisit::Treatment {
                patient,
                treatment,
                area,
            })
        }
        Some(hold::Visit::Session(pb::SessionVisit { series_id, session_number })) => {
            let series = fields.id("session.series_id", &series_id);
            let number = fields.within("session.session_number", session_number, 1, MAX_SESSIONS);
            series.zip(number).map(|(series, number)| WhichVisit::Session { series, number })
        }
        Some(hold::Visit::Assessment(visit)) => slots::parse_assessment(fields, &visit).map(WhichVisit::FollowUp),
        Some(hold::Visit::Maintenance(visit)) => slots::parse_maintenance(fields, &visit).map(WhichVisit::FollowUp),
        None => {
            fields.note("visit", "must be a treatment, a session, an assessment or maintenance");
            None
        }
    };
    let clinic = fields.id("clinic_id", &clinic_id);
    let start = fields.start("start_time", start_time);
    let named = fields.named_resources("resource_ids", &resource_ids);
    let add_on = fields.optional_id("add_on_treatment_id", &add_on_treatment_id);
    let (which, add_on, clinic, start, named) = (which?, add_on?, clinic?, start?, named?);
    Some(BookAppointment { which, add_on, clinic, start, named, hold_minutes: None, offered_to: None })
}

fn parse_reschedule(message: pb::RescheduleAppointmentRequest) -> Result<Command<RescheduleAppointment>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RescheduleAppointmentRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        appointment_id,
        start_time,
        clinic_id,
        resource_ids,
        end_reason,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("appointment_id", &appointment_id), fields.etag(&etag));
    let because = parse_end_reason(&mut fields, end_reason);
    let start = fields.start("start_time", start_time);
    let clinic = fields.optional_id("clinic_id", &clinic_id);
    let named = fields.named_resources("resource_ids", &resource_ids);
    head.command(fields, || {
        let to = Destination { start: start?, clinic: clinic?, practitioner: None, named: named? };
        Some(RescheduleAppointment { id: id?, etag: etag?, to, because: because? })
    })
}

fn parse_renew(message: pb::RenewHoldRequest) -> Result<Command<RenewHold<AppointmentId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RenewHoldRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        appointment_id,
        hold_minutes: minutes,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("appointment_id", &appointment_id), fields.etag(&etag));
    let minutes = fields.hold_minutes(minutes);
    head.command(fields, || Some(RenewHold { held: Known { id: id?, etag: etag? }, minutes: minutes? }))
}

fn parse_convert(message: pb::ConvertHoldRequest) -> Result<Command<Known<AppointmentId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::ConvertHoldRequest { practice_id: _, request_id: _, validate_only: _, etag, appointment_id } = message;
    known(head, &appointment_id, &etag)
}

fn parse_get(message: pb::GetAppointmentRequest) -> Result<Scoped<AppointmentId>, Error> {
    let pb::GetAppointmentRequest { practice_id, appointment_id } = message;
    let mut fields = Fields::default();
    let id = fields.id("appointment_id", &appointment_id);
    scoped(fields, &practice_id, || id)
}

fn parse_list(message: pb::ListAppointmentsRequest) -> Result<(Query, Scoped<ListAppointments>), Error> {
    let pb::ListAppointmentsRequest {
        practice_id,
        subject,
        start_time,
        end_time,
        include_cancelled,
        page_size,
        page_token,
    } = message;
    let mut fields = Fields::default();
    let (of, whose) = match subject {
        Some(list::Subject::ClinicId(id)) => (fields.id("clinic_id", &id).map(SheetOf::Clinic), id),
        Some(list::Subject::ResourceId(id)) => (fields.id("resource_id", &id).map(SheetOf::Resource), id),
        Some(list::Subject::PatientId(id)) => (fields.id("patient_id", &id).map(SheetOf::Patient), id),
        None => {
            fields.note("subject", "must be a clinic_id, resource_id or patient_id");
            (None, String::new())
        }
    };
    let during = fields.interval(start_time, end_time).and_then(|during| {
        let short = during.length() <= TimeDelta::days(MAX_SHEET_DAYS);
        fields.some("end_time", short.then_some(during), "must be at most 400 days after start_time")
    });
    let stretch = format!("{start_time:?} {end_time:?} {include_cancelled}");
    let query = Query::new("ListAppointments", &[&practice_id, &whose, &stretch]);
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || {
        Some(ListAppointments { of: of?, during: during?, include_cancelled, page: page? })
    })?;
    Ok((query, scoped))
}

fn parse_list_displaced(message: pb::ListDisplacedRequest) -> Result<(Query, Scoped<ListDisplaced>), Error> {
    let pb::ListDisplacedRequest { practice_id, clinic_id, resource_id, page_size, page_token } = message;
    let query = Query::new("ListDisplaced", &[&practice_id, &clinic_id, &resource_id]);
    let mut fields = Fields::default();
    let clinic = fields.optional_id("clinic_id", &clinic_id);
    let resource = fields.optional_id("resource_id", &resource_id);
    if !clinic_id.is_empty() {
        fields.must_be_absent("together with clinic_id", &[("resource_id", !resource_id.is_empty())]);
    }
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || {
        let whose = clinic?.map(Whose::Clinic).or(resource?.map(Whose::Resource));
        Some(ListDisplaced { whose, page: page? })
    })?;
    Ok((query, scoped))
}

/// An appointment.
pub fn rendered(appointment: &Appointment) -> pb::Appointment {
    let fulfilled = match appointment.state {
        AppointmentState::Held { .. }
        | AppointmentState::Booked
        | AppointmentState::Confirmed { .. }
        | AppointmentState::Arrived(_)
        | AppointmentState::InProgress { .. }
        | AppointmentState::Cancelled { .. }
        | AppointmentState::NoShow { .. } => None,
        AppointmentState::Fulfilled { at, performed, .. } => Some((at, performed)),
    };
    let (state, ended) = match &appointment.state {
        AppointmentState::Held { .. } => (pb::AppointmentState::Held, None),
        AppointmentState::Booked => (pb::AppointmentState::Booked, None),
        AppointmentState::Confirmed { .. } => (pb::AppointmentState::Confirmed, None),
        AppointmentState::Arrived(_) => (pb::AppointmentState::Arrived, None),
        AppointmentState::InProgress { .. } => (pb::AppointmentState::InProgress, None),
        AppointmentState::Fulfilled { .. } => (pb::AppointmentState::Fulfilled, None),
        AppointmentState::Cancelled { at, reason, .. } => (pb::AppointmentState::Cancelled, Some((at, reason))),
        AppointmentState::NoShow { at, reason, .. } => (pb::AppointmentState::NoShow, Some((at, reason))),
    };
    let ending = appointment.state.ending().map(|(ending, _)| ending);
    let (start, end) = (appointment.visit.start(), appointment.visit.end());
    pb::Appointment {
        appointment_id: appointment.id.to_string(),
        clinic_id: appointment.clinic.to_string(),
        patient_id: appointment.patient.to_string(),
        treatment_id: appointment.treatment.to_string(),
        treatment_version: appointment.treatment_version,
        series_id: appointment.session.map(|session| session.series.to_string()).unwrap_or_default(),
        session_number: appointment.session.map_or(0, |session| session.number),
        body_area: render::body_area(appointment.area).into(),
        state: state.into(),
        start_time: Some(render::timestamp(start)),
        end_time: Some(render::timestamp(end)),
        local_start: appointment.zone.written(start),
        local_end: appointment.zone.written(end),
        phases: appointment.phases.iter().map(|phase| rendered_phase(phase, appointment.zone)).collect(),
        cancelled_at: ended.map(|(at, _)| render::timestamp(*at)),
        cancel_reason: ended.map(|(_, reason)| reason.expose().as_str().to_owned()).unwrap_or_default(),
        etag: render::etag(appointment.changed_revision),
        replaces_appointment_id: appointment.replaces.map(|id| id.to_string()).unwrap_or_default(),
        add_on_treatment_id: appointment.add_on.map(|add_on| add_on.treatment.to_string()).unwrap_or_default(),
        add_on_treatment_version: appointment.add_on.map_or(0, |add_on| add_on.version),
        combination_override_id: appointment.add_on.map(|add_on| add_on.approval.to_string()).unwrap_or_default(),
        follows_series_id: appointment.follows.map(|follows| follows.series.to_string()).unwrap_or_default(),
        assessment_number: appointment.follows.and_then(|follows| follows.assessment).unwrap_or_default(),
        replaced_by_appointment_id: appointment.replaced_by.map(|id| id.to_string()).unwrap_or_default(),
        clearance_id: appointment.clearance.map(|id| id.to_string()).unwrap_or_default(),
        override_ids: appointment.overrides.iter().map(ToString::to_string).collect(),
        held_until: appointment.held_until().map(render::timestamp),
        end_reason: ending.map(|ending| rendered_end_reason(ending.because).into()).unwrap_or_default(),
        end_notice_hours: ending.map(|ending| ending.notice_hours).unwrap_or_default(),
        ended_late: appointment.ended_late(),
        counts_as_used: ending.is_some_and(|ending| ending.counts_as_used),
        confirmed_at: appointment.state.confirmed_at().map(render::timestamp),
        arrived_at: appointment.arrived_at().map(render::timestamp),
        started_at: appointment.state.started_at().map(render::timestamp),
        fulfilled_at: fulfilled.map(|(at, _)| render::timestamp(at)),
        performed_start_time: fulfilled.map(|(_, performed)| render::timestamp(performed)),
        local_performed_start: fulfilled.map(|(_, performed)| appointment.zone.written(performed)).unwrap_or_default(),
        sheet: None,
    }
}

fn rendered_phase(phase: &BookedPhase, zone: Zone) -> pb::AppointmentPhase {
    let resources = phase.resources.iter().map(|(id, kind)| pb::OccupiedResource {
        resource_id: id.to_string(),
        kind: render::resource_kind(*kind).into(),
    });
    pb::AppointmentPhase {
        name: phase.name.as_str().to_owned(),
        start_time: Some(render::timestamp(phase.during.start())),
        end_time: Some(render::timestamp(phase.during.end())),
        patient_present: phase.patient_present,
        resources: resources.collect(),
        local_start: zone.written(phase.during.start()),
        local_end: zone.written(phase.during.end()),
    }
}
