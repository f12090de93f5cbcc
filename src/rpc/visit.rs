//! What a visit goes through, from its confirmation to its completion.

use super::parse::{Fields, Head};
use super::{pb, visit_record};
use crate::app::commands::{CompleteAppointment, EndVisit, Known};
use crate::app::{Command, Error};
use crate::domain::booking_rules::EndReason;
use crate::domain::ids::AppointmentId;
use crate::domain::text::Personal;

pub(super) fn parse_cancel(message: pb::CancelAppointmentRequest) -> Result<Command<EndVisit>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CancelAppointmentRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        appointment_id,
        cancel_reason,
        end_reason,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("appointment_id", &appointment_id), fields.etag(&etag));
    let reason = fields.prose("cancel_reason", &cancel_reason);
    let because = parse_end_reason(&mut fields, end_reason);
    head.command(fields, || {
        let visit = Known { id: id?, etag: etag? };
        Some(EndVisit { visit, because: because?, reason: Personal::new(reason?) })
    })
}

pub(super) fn parse_no_show(message: pb::MarkNoShowRequest) -> Result<Command<EndVisit>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::MarkNoShowRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        appointment_id,
        no_show_reason,
        end_reason,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("appointment_id", &appointment_id), fields.etag(&etag));
    let reason = fields.prose("no_show_reason", &no_show_reason);
    let because = parse_end_reason(&mut fields, end_reason);
    head.command(fields, || {
        let visit = Known { id: id?, etag: etag? };
        Some(EndVisit { visit, because: because?, reason: Personal::new(reason?) })
    })
}

pub(super) fn parse_undo(message: pb::UndoVisitRequest) -> Result<Command<Known<AppointmentId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::UndoVisitRequest { practice_id: _, request_id: _, validate_only: _, etag, appointment_id } = message;
    known(head, &appointment_id, &etag)
}

/// A request that names an appointment as it was last read, and nothing else.
pub(super) fn known(head: Head, appointment_id: &str, etag: &str) -> Result<Command<Known<AppointmentId>>, Error> {
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("appointment_id", appointment_id), fields.etag(etag));
    head.command(fields, || Some(Known { id: id?, etag: etag? }))
}

pub(super) fn parse_confirm(message: pb::ConfirmAppointmentRequest) -> Result<Command<Known<AppointmentId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::ConfirmAppointmentRequest { practice_id: _, request_id: _, validate_only: _, etag, appointment_id } =
        message;
    known(head, &appointment_id, &etag)
}

pub(super) fn parse_start(message: pb::StartVisitRequest) -> Result<Command<Known<AppointmentId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::StartVisitRequest { practice_id: _, request_id: _, validate_only: _, etag, appointment_id } = message;
    known(head, &appointment_id, &etag)
}

pub(super) fn parse_check_in(message: pb::CheckInRequest) -> Result<Command<Known<AppointmentId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CheckInRequest { practice_id: _, request_id: _, validate_only: _, etag, appointment_id } = message;
    known(head, &appointment_id, &etag)
}

pub(super) fn parse_complete(message: pb::CompleteAppointmentRequest) -> Result<Command<CompleteAppointment>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::CompleteAppointmentRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        etag,
        appointment_id,
        start_time,
        record,
    } = message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("appointment_id", &appointment_id), fields.etag(&etag));
    let start = match start_time {
        None => Some(None),
        given => fields.start("start_time", given).map(Some),
    };
    let record = match record {
        Some(content) => visit_record::parse(&mut fields, content).map(Some),
        None => Some(None),
    };
    head.command(fields, || {
        let visit = Known { id: id?, etag: etag? };
        Some(CompleteAppointment { visit, start: start?, record: record? })
    })
}

/// Why a visit is cancelled, moved or missed.
pub(super) fn parse_end_reason(fields: &mut Fields, reason: i32) -> Option<EndReason> {
    let known = match pb::VisitEndReason::try_from(reason) {
        Ok(pb::VisitEndReason::PatientIll) => Some(EndReason::PatientIll),
        Ok(pb::VisitEndReason::PatientAsked) => Some(EndReason::PatientAsked),
        Ok(pb::VisitEndReason::NotWanted) => Some(EndReason::NotWanted),
        Ok(pb::VisitEndReason::Clinic) => Some(EndReason::Clinic),
        Ok(pb::VisitEndReason::WeatherOrTravel) => Some(EndReason::WeatherOrTravel),
        Ok(pb::VisitEndReason::Forgotten) => Some(EndReason::Forgotten),
        Ok(pb::VisitEndReason::Other | pb::VisitEndReason::Unspecified) => Some(EndReason::Other),
        Err(_) => None,
    };
    fields.some("end_reason", known, "must be one of the reasons, or unspecified for another")
}

pub(super) const fn rendered_end_reason(reason: EndReason) -> pb::VisitEndReason {
    match reason {
        EndReason::PatientIll => pb::VisitEndReason::PatientIll,
        EndReason::PatientAsked => pb::VisitEndReason::PatientAsked,
        EndReason::NotWanted => pb::VisitEndReason::NotWanted,
        EndReason::Clinic => pb::VisitEndReason::Clinic,
        EndReason::WeatherOrTravel => pb::VisitEndReason::WeatherOrTravel,
        EndReason::Forgotten => pb::VisitEndReason::Forgotten,
        EndReason::Other => pb::VisitEndReason::Other,
    }
}
