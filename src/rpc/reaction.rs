//! Reactions, as `PatientService` takes and tells them.

use super::access::rendered_author;
use super::appointment::rendered as rendered_appointment;
use super::catalog::clinical::{code, reaction_grade, rendered_grade};
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::series::{rendered as rendered_series, rendered_move};
use super::{pb, render};
use crate::app::commands::{ClearReaction, ListReactions, ReportReaction};
use crate::app::{Command, Error, ReactionCleared, Reported, Scoped};
use crate::domain::overrides::MAX_OVERRIDE_GAP_DAYS;
use crate::domain::reaction::Reaction;
use crate::domain::text::Personal;

pub fn parse_report(message: pb::ReportReactionRequest) -> Result<Command<ReportReaction>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::ReportReactionRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        appointment_id,
        reaction_kind,
        reaction_grade: grade,
        onset_time,
        description,
    } = message;
    let mut fields = Fields::default();
    let appointment = fields.id("appointment_id", &appointment_id);
    let kind = code(&mut fields, "reaction_kind", &reaction_kind);
    let grade = if grade == 0 { Some(None) } else { reaction_grade(&mut fields, "reaction_grade", grade).map(Some) };
    let onset = fields.instant("onset_time", onset_time);
    let description = fields.prose("description", &description);
    head.command(fields, || {
        Some(ReportReaction {
            appointment: appointment?,
            kind: Personal::new(kind?),
            grade: grade?,
            onset: Personal::new(onset?),
            description: Personal::new(description?),
        })
    })
}

pub fn parse_clear(message: pb::ClearReactionRequest) -> Result<Command<ClearReaction>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::ClearReactionRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        reaction_id,
        earliest_date,
        override_gap_days,
        clear_notes,
    } = message;
    let mut fields = Fields::default();
    let id = fields.id("reaction_id", &reaction_id);
    let earliest = fields.supported_day("earliest_date", &earliest_date);
    let gap_days = fields.within("override_gap_days", override_gap_days, 0, MAX_OVERRIDE_GAP_DAYS);
    let notes = fields.prose("clear_notes", &clear_notes);
    head.command(fields, || {
        let gap_days = gap_days.map(|days| (days > 0).then_some(days));
        Some(ClearReaction { id: id?, earliest: earliest?, gap_days: gap_days?, notes: Personal::new(notes?) })
    })
}

pub fn parse_list(message: pb::ListReactionsRequest) -> Result<(Query, Scoped<ListReactions>), Error> {
    let pb::ListReactionsRequest { practice_id, patient_id, page_size, page_token } = message;
    let query = Query::new("ListReactions", &[&practice_id, &patient_id]);
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || Some(ListReactions { patient: patient?, page: page? }))?;
    Ok((query, scoped))
}

pub fn rendered_report(reported: &Reported) -> pb::ReportReactionResponse {
    pb::ReportReactionResponse {
        reaction: Some(rendered(&reported.reaction)),
        on_hold_series_ids: reported.held.iter().map(|series| series.id.to_string()).collect(),
        at_risk: reported.at_risk.iter().map(rendered_appointment).collect(),
    }
}

pub fn rendered_clearing(cleared: &ReactionCleared) -> pb::ClearReactionResponse {
    let ReactionCleared { reaction, series, moves } = cleared;
    pb::ClearReactionResponse {
        reaction: Some(rendered(reaction)),
        series: Some(rendered_series(series)),
        moves: moves.iter().map(|(old, new)| rendered_move(old, new)).collect(),
    }
}

pub fn rendered(reaction: &Reaction) -> pb::Reaction {
    let holds = reaction.holds();
    let Reaction {
        id,
        patient,
        appointment,
        attended,
        series,
        kind,
        grade,
        onset,
        description,
        reported_at,
        reported_by,
        cleared,
    } = reaction;
    let cleared = cleared.as_ref();
    pb::Reaction {
        reaction_id: id.to_string(),
        patient_id: patient.to_string(),
        appointment_id: appointment.to_string(),
        series_id: series.to_string(),
        kind: kind.expose().as_str().to_owned(),
        reaction_grade: rendered_grade(*grade).into(),
        onset_time: Some(render::timestamp(*onset.expose())),
        description: description.expose().as_str().to_owned(),
        reported_at: Some(render::timestamp(*reported_at)),
        reported_by: Some(rendered_author(*reported_by)),
        holds,
        attended: *attended,
        cleared_at: cleared.map(|cleared| render::timestamp(cleared.at)),
        cleared_by: cleared.map(|cleared| cleared.by.to_string()).unwrap_or_default(),
        earliest_date: cleared.map(|cleared| cleared.earliest.to_string()).unwrap_or_default(),
        clear_notes: cleared.map(|cleared| cleared.notes.expose().as_str().to_owned()).unwrap_or_default(),
    }
}
