//! `MessageService`.

use tonic::{Request, Response, Status};

use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::list_messages_request as list;
use super::pb::message_service_server::MessageService;
use super::{Services, aftercare, open, pb, render};
use crate::app::commands::{ListMessages, MessagesOf, TakeMessages};
use crate::app::{Command, Error, Scoped, Taken};
use crate::domain::message::{DEFAULT_TAKEN, MAX_TAKEN, Message, MessageKind};

#[tonic::async_trait]
impl MessageService for Services {
    async fn take_messages(
        &self,
        request: Request<pb::TakeMessagesRequest>,
    ) -> Result<Response<pb::TakeMessagesResponse>, Status> {
        let (caller, message) = open(request)?;
        let Taken { messages, more } = self.app.take_messages(&caller, &parse_take(message)?).await?;
        Ok(Response::new(pb::TakeMessagesResponse { messages: messages.iter().map(rendered).collect(), more }))
    }

    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> Result<Response<pb::ListMessagesResponse>, Status> {
        let (caller, message) = open(request)?;
        let (query, scoped) = parse_list(message)?;
        let (messages, next_page_token) = query.render(self.app.list_messages(&caller, scoped).await?, rendered);
        Ok(Response::new(pb::ListMessagesResponse { messages, next_page_token }))
    }
}

fn parse_take(message: pb::TakeMessagesRequest) -> Result<Command<TakeMessages>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::TakeMessagesRequest { practice_id: _, request_id: _, validate_only: _, message_limit, kinds } = message;
    let mut fields = Fields::default();
    let limit = fields.or_default("message_limit", message_limit, DEFAULT_TAKEN, MAX_TAKEN);
    let kinds = parse_kinds(&mut fields, &kinds);
    head.command(fields, || Some(TakeMessages { limit: limit?, kinds: kinds? }))
}

fn parse_kinds(fields: &mut Fields, kinds: &[i32]) -> Option<Vec<MessageKind>> {
    fields.at_most("kinds", kinds.len(), MessageKind::ALL.len())?;
    let parsed: Vec<Option<MessageKind>> =
        kinds.iter().enumerate().map(|(i, kind)| parse_kind(fields, &format!("kinds[{i}]"), *kind)).collect();
    let parsed: Vec<MessageKind> = parsed.into_iter().collect::<Option<_>>()?;
    let mut distinct = parsed.clone();
    distinct.sort_unstable();
    distinct.dedup();
    fields.some("kinds", (distinct.len() == parsed.len()).then_some(parsed), "must name each at most once")
}

fn parse_kind(fields: &mut Fields, field: &str, kind: i32) -> Option<MessageKind> {
    let kind = match pb::MessageKind::try_from(kind) {
        Ok(pb::MessageKind::Booked) => Some(MessageKind::Booked),
        Ok(pb::MessageKind::Moved) => Some(MessageKind::Moved),
        Ok(pb::MessageKind::Cancelled) => Some(MessageKind::Cancelled),
        Ok(pb::MessageKind::Reminder7Days) => Some(MessageKind::SevenDays),
        Ok(pb::MessageKind::Reminder48Hours) => Some(MessageKind::TwoDays),
        Ok(pb::MessageKind::Reminder24Hours) => Some(MessageKind::OneDay),
        Ok(pb::MessageKind::PreCare) => Some(MessageKind::PreCare),
        Ok(pb::MessageKind::Aftercare) => Some(MessageKind::Aftercare),
        Ok(pb::MessageKind::Check2Days) => Some(MessageKind::Check),
        Ok(pb::MessageKind::AssessmentDue) => Some(MessageKind::AssessmentDue),
        Ok(pb::MessageKind::Unspecified) | Err(_) => None,
    };
    fields.some(field, kind, "must be a kind of message")
}

fn parse_list(message: pb::ListMessagesRequest) -> Result<(Query, Scoped<ListMessages>), Error> {
    let pb::ListMessagesRequest { practice_id, subject, page_size, page_token } = message;
    let mut fields = Fields::default();
    let (of, whose) = match subject {
        Some(list::Subject::PatientId(id)) => (fields.id("patient_id", &id).map(MessagesOf::Patient), id),
        Some(list::Subject::AppointmentId(id)) => (fields.id("appointment_id", &id).map(MessagesOf::Appointment), id),
        None => {
            fields.note("subject", "must be a patient_id or appointment_id");
            (None, String::new())
        }
    };
    let query = Query::new("ListMessages", &[&practice_id, &whose]);
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || Some(ListMessages { of: of?, page: page? }))?;
    Ok((query, scoped))
}

const fn rendered_kind(kind: MessageKind) -> pb::MessageKind {
    match kind {
        MessageKind::Booked => pb::MessageKind::Booked,
        MessageKind::Moved => pb::MessageKind::Moved,
        MessageKind::Cancelled => pb::MessageKind::Cancelled,
        MessageKind::SevenDays => pb::MessageKind::Reminder7Days,
        MessageKind::TwoDays => pb::MessageKind::Reminder48Hours,
        MessageKind::OneDay => pb::MessageKind::Reminder24Hours,
        MessageKind::PreCare => pb::MessageKind::PreCare,
        MessageKind::Aftercare => pb::MessageKind::Aftercare,
        MessageKind::Check => pb::MessageKind::Check2Days,
        MessageKind::AssessmentDue => pb::MessageKind::AssessmentDue,
    }
}

fn rendered(message: &Message) -> pb::Message {
    let told = message.told.as_ref();
    pb::Message {
        message_id: message.id.to_string(),
        kind: rendered_kind(message.kind).into(),
        patient_id: message.patient.to_string(),
        appointment_id: message.appointment.to_string(),
        clinic_id: message.clinic.to_string(),
        series_id: message.series.map(|id| id.to_string()).unwrap_or_default(),
        session_number: message.session.unwrap_or_default(),
        assessment_number: message.assessment.unwrap_or_default(),
        start_time: Some(render::timestamp(message.start)),
        local_start: message.zone.written(message.start),
        local_start_words: message.zone.in_words(message.start),
        told_appointment_id: told.map(|(told, _)| told.appointment.to_string()).unwrap_or_default(),
        told_clinic_id: told.map(|(told, _)| told.clinic.to_string()).unwrap_or_default(),
        told_start_time: told.map(|(told, _)| render::timestamp(told.start)),
        told_local_start: told.map(|(told, zone)| zone.written(told.start)).unwrap_or_default(),
        told_local_start_words: told.map(|(told, zone)| zone.in_words(told.start)).unwrap_or_default(),
        instructions: message.instructions.iter().map(aftercare::rendered).collect(),
        due_at: Some(render::timestamp(message.due_at)),
        taken_at: Some(render::timestamp(message.taken_at)),
    }
}
