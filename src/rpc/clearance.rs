//! Clearances, from messages and to messages.

use super::catalog::clinical::code;
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::record_clearance_request::Decision as PbDecision;
use super::screening::{DEFAULT_PAGE, MAX_PAGE, rendered_findings};
use super::status::rendered_violation;
use super::{appointment, pb, render};
use crate::app::commands::{ClearedPatient, ListClearances, RecordClearance, Revoke};
use crate::app::{Command, Error, Scoped, Signed};
use crate::domain::catalog::MAX_SESSIONS;
use crate::domain::clearance::{Clearance, Decision};
use crate::domain::ids::ClearanceId;
use crate::domain::screening::MAX_SCREENING_RULES;
use crate::domain::text::{Code, Personal};

pub fn parse_record(message: pb::RecordClearanceRequest) -> Result<Command<RecordClearance>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RecordClearanceRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        consultation_appointment_id,
        protocol_id,
        body_area,
        notes,
        decision,
    } = message;
    let mut fields = Fields::default();
    let consultation = fields.id("consultation_appointment_id", &consultation_appointment_id);
    let protocol = fields.id("protocol_id", &protocol_id);
    let area = fields.body_area("body_area", body_area);
    let cleared = match &decision {
        Some(PbDecision::Cleared(cleared)) => parse_cleared(&mut fields, cleared).map(Some),
        Some(PbDecision::Declined(declined)) => {
            fields.some("declined", declined.then_some(None), "must be true, or cleared must be set instead")
        }
        None => fields.some("decision", None, "must be set: cleared or declined"),
    };
    let notes = fields.prose("notes", &notes);
    head.command(fields, || {
        Some(RecordClearance {
            consultation: consultation?,
            protocol: protocol?,
            area: area?,
            cleared: cleared?,
            notes: Personal::new(notes?),
        })
    })
}

fn parse_cleared(fields: &mut Fields, cleared: &pb::ClearedPatient) -> Option<ClearedPatient> {
    let pb::ClearedPatient { session_count, valid_until, cleared_conditions, patch_tested_at } = cleared;
    let session_count = match session_count {
        0 => Some(None),
        count => fields.within("cleared.session_count", *count, 1, MAX_SESSIONS).map(Some),
    };
    let valid_until = fields.optional_day("cleared.valid_until", valid_until);
    let path = "cleared.cleared_conditions";
    fields.at_most(path, cleared_conditions.len(), MAX_SCREENING_RULES)?;
    let codes = cleared_conditions.iter().enumerate();
    let codes: Vec<Option<Code>> = codes.map(|(i, text)| code(fields, &format!("{path}[{i}]"), text)).collect();
    let codes: Option<Vec<Code>> = codes.into_iter().collect();
    let patch_tested_at = match patch_tested_at {
        None => Some(None),
        at => fields.instant("cleared.patch_tested_at", *at).map(Some),
    };
    Some(ClearedPatient {
        session_count: session_count?,
        valid_until: valid_until?,
        conditions: Personal::new(codes?),
        patch_tested_at: patch_tested_at?,
    })
}

pub fn parse_revoke(message: pb::RevokeClearanceRequest) -> Result<Command<Revoke<ClearanceId>>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RevokeClearanceRequest { practice_id: _, request_id: _, validate_only: _, clearance_id, revoke_reason } =
        message;
    let mut fields = Fields::default();
    let id = fields.id("clearance_id", &clearance_id);
    let reason = fields.prose("revoke_reason", &revoke_reason);
    head.command(fields, || Some(Revoke { id: id?, reason: Personal::new(reason?) }))
}

pub fn parse_list(message: pb::ListClearancesRequest) -> Result<(Query, Scoped<ListClearances>), Error> {
    let pb::ListClearancesRequest { practice_id, patient_id, page_size, page_token } = message;
    let query = Query::new("ListClearances", &[&practice_id, &patient_id]);
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let page = fields.page_sized(&query, page_size, &page_token, DEFAULT_PAGE, MAX_PAGE)?;
    let scoped = scoped(fields, &practice_id, || Some(ListClearances { patient: patient?, page: page? }))?;
    Ok((query, scoped))
}

pub fn rendered_signed(signed: &Signed) -> pb::RecordClearanceResponse {
    let Signed { clearance, rules, facts, missing, at_risk } = signed;
    pb::RecordClearanceResponse {
        findings: rendered_findings(rules, facts, clearance.decided_at),
        clearance: Some(rendered(clearance)),
        missing: missing.iter().map(rendered_violation).collect(),
        at_risk: at_risk.iter().map(appointment::rendered).collect(),
    }
}

pub fn rendered(clearance: &Clearance) -> pb::Clearance {
    let Clearance {
        id,
        patient,
        protocol,
        protocol_version,
        area,
        consultation,
        decision,
        notes,
        decided_at,
        decided_by,
        revoked,
    } = clearance;
    let revoked = revoked.as_ref();
    let declined = pb::Clearance {
        clearance_id: id.to_string(),
        patient_id: patient.to_string(),
        protocol_id: protocol.to_string(),
        protocol_version: *protocol_version,
        body_area: render::body_area(Some(*area)).into(),
        consultation_appointment_id: consultation.to_string(),
        outcome: pb::ClearanceOutcome::Declined.into(),
        session_count: 0,
        valid_from: String::new(),
        valid_until: String::new(),
        not_before: None,
        cleared_conditions: Vec::new(),
        notes: notes.expose().as_str().to_owned(),
        decided_at: Some(render::timestamp(*decided_at)),
        decided_by_practitioner_id: decided_by.to_string(),
        revoked_at: revoked.map(|revoked| render::timestamp(revoked.at)),
        revoked_by_practitioner_id: revoked.map(|revoked| revoked.by.to_string()).unwrap_or_default(),
        revoke_reason: revoked.map(|revoked| revoked.reason.expose().as_str().to_owned()).unwrap_or_default(),
    };
    match decision {
        Decision::Declined => declined,
        Decision::Cleared { session_count, valid_from, valid_until, not_before, conditions } => pb::Clearance {
            outcome: pb::ClearanceOutcome::Cleared.into(),
            session_count: *session_count,
            valid_from: valid_from.to_string(),
            valid_until: valid_until.to_string(),
            not_before: Some(render::timestamp(*not_before)),
            cleared_conditions: conditions.expose().iter().map(|code| code.as_str().to_owned()).collect(),
            ..declined
        },
    }
}
