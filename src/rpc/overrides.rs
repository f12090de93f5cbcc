//! Overrides, as `PatientService` takes and tells them.

use super::catalog::clinical::code;
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::grant_override_request::Purpose as Asked;
use super::pb::r#override::Purpose as Told;
use super::{pb, render};
use crate::app::commands::{GrantOverride, ListOverrides, RevokeOverride};
use crate::app::{Command, Error, Scoped};
use crate::domain::catalog::{MAX_SPAN, Span};
use crate::domain::ids::TreatmentId;
use crate::domain::overrides::{MAX_OVERRIDE_GAP_DAYS, Override, Purpose};
use crate::domain::text::{Personal, Prose};

pub fn parse_grant(message: pb::GrantOverrideRequest) -> Result<Command<GrantOverride>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::GrantOverrideRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        patient_id,
        purpose,
        override_reason,
    } = message;
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let purpose = parse_purpose(&mut fields, purpose);
    let reason = fields.prose("override_reason", &override_reason);
    let reason = reason.and_then(|reason: Prose<2000>| {
        let said = (!reason.as_str().is_empty()).then_some(reason);
        fields.some("override_reason", said, "must not be empty")
    });
    head.command(fields, || {
        Some(GrantOverride { patient: patient?, purpose: purpose?, reason: Personal::new(reason?) })
    })
}

fn parse_purpose(fields: &mut Fields, purpose: Option<Asked>) -> Option<Purpose> {
    match purpose {
        Some(Asked::Gap(pb::GapOverride { series_id, gap_days })) => {
            let series = fields.id("gap.series_id", &series_id);
            let days = fields.within("gap.gap_days", gap_days, 1, MAX_OVERRIDE_GAP_DAYS);
            Some(Purpose::Gap { series: series?, days: days? })
        }
        Some(Asked::Condition(pb::ConditionOverride { protocol_id, condition })) => {
            let protocol = fields.id("condition.protocol_id", &protocol_id);
            let condition = code(fields, "condition.condition", &condition).map(Personal::new);
            Some(Purpose::Condition { protocol: protocol?, condition: condition? })
        }
        Some(Asked::Combination(pb::CombinationOverride { treatment_id, add_on_treatment_id })) => {
            let treatment = fields.id::<TreatmentId>("combination.treatment_id", &treatment_id);
            let add_on = fields.id::<TreatmentId>("combination.add_on_treatment_id", &add_on_treatment_id);
            let (treatment, add_on) = (treatment?, add_on?);
            let add_on = (add_on != treatment).then_some(add_on);
            let add_on = fields.some("combination.add_on_treatment_id", add_on, "must be another treatment");
            Some(Purpose::Combination { treatment, add_on: add_on? })
        }
        Some(Asked::Aftercare(pb::AftercareOverride { appointment_id, activity, after })) => {
            let appointment = fields.id("aftercare.appointment_id", &appointment_id);
            let activity = fields.activity("aftercare.activity", activity);
            let bounded = |least: i32, amount: i32| (least..=MAX_SPAN).contains(&amount).then_some(amount);
            let after = match after.and_then(|span| span.amount) {
                Some(pb::span::Amount::Hours(hours)) => bounded(0, hours).map(Span::Hours),
                Some(pb::span::Amount::Days(days)) => bounded(1, days).map(Span::Days),
                None => None,
            };
            let remedy = format!("must be 0 to {MAX_SPAN} hours or 1 to {MAX_SPAN} days");
            let after = fields.some("aftercare.after", after, &remedy);
            Some(Purpose::Aftercare { appointment: appointment?, activity: activity?, after: after? })
        }
        None => {
            fields.note("purpose", "must be a gap, a condition, a combination or aftercare");
            None
        }
    }
}

pub fn parse_revoke(message: pb::RevokeOverrideRequest) -> Result<Command<RevokeOverride>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RevokeOverrideRequest { practice_id: _, request_id: _, validate_only: _, override_id, revoke_reason } =
        message;
    let mut fields = Fields::default();
    let id = fields.id("override_id", &override_id);
    let reason = fields.prose("revoke_reason", &revoke_reason);
    head.command(fields, || Some(RevokeOverride { id: id?, reason: Personal::new(reason?) }))
}

pub fn parse_list(message: pb::ListOverridesRequest) -> Result<(Query, Scoped<ListOverrides>), Error> {
    let pb::ListOverridesRequest { practice_id, patient_id, include_revoked, page_size, page_token } = message;
    let query = Query::new("ListOverrides", &[&practice_id, &patient_id, if include_revoked { "all" } else { "" }]);
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped =
        scoped(fields, &practice_id, || Some(ListOverrides { patient: patient?, include_revoked, page: page? }))?;
    Ok((query, scoped))
}

pub fn rendered(granted: &Override) -> pb::Override {
    let Override { id, patient, purpose, reason, granted_at, granted_by, revoked } = granted;
    let purpose = match purpose {
        Purpose::Gap { series, days } => Told::Gap(pb::GapOverride { series_id: series.to_string(), gap_days: *days }),
        Purpose::Condition { protocol, condition } => Told::Condition(pb::ConditionOverride {
            protocol_id: protocol.to_string(),
            condition: condition.expose().as_str().to_owned(),
        }),
        Purpose::Combination { treatment, add_on } => Told::Combination(pb::CombinationOverride {
            treatment_id: treatment.to_string(),
            add_on_treatment_id: add_on.to_string(),
        }),
        Purpose::Aftercare { appointment, activity, after } => Told::Aftercare(pb::AftercareOverride {
            appointment_id: appointment.to_string(),
            activity: render::activity(*activity).into(),
            after: Some(render::span(*after)),
        }),
    };
    let revoked = revoked.as_ref();
    pb::Override {
        override_id: id.to_string(),
        patient_id: patient.to_string(),
        purpose: Some(purpose),
        reason: reason.expose().as_str().to_owned(),
        granted_at: Some(render::timestamp(*granted_at)),
        granted_by: granted_by.to_string(),
        revoked_at: revoked.map(|revoked| render::timestamp(revoked.at)),
        revoked_by: revoked.map(|revoked| revoked.by.to_string()).unwrap_or_default(),
        revoke_reason: revoked.map(|revoked| revoked.reason.expose().as_str().to_owned()).unwrap_or_default(),
    }
}
