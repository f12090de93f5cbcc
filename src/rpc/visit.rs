//! What a visit goes through, from its confirmation to its completion.

use super::parse::{Fields, Head};
use super::{pb, visit_record};
use crate::app::commands::{Cancel, CompleteAppointment, Known};
use crate::app::{Command, Error};
use crate::domain::ids::AppointmentId;
use crate::domain::text::Personal;

pub(super) fn parse_no_show(message: pb::MarkNoShowRequest) -> Result<Command<Cancel<AppointmentId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::MarkNoShowRequest { practice_id: _, request_id: _, validate_only: _, etag, appointment_id, no_show_reason } =
        message;
    let mut fields = Fields::default();
    let (id, etag) = (fields.id("appointment_id", &appointment_id), fields.etag(&etag));
    let reason = fields.prose("no_show_reason", &no_show_reason);
    head.command(fields, || Some(Cancel { id: id?, etag: etag?, reason: Personal::new(reason?) }))
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
