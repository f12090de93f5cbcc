//! Protocols, from messages and to messages.

use super::{clinical, each, evidence, replaces, said, version};
use crate::app::commands::{PageOf, Publish, PublishProtocol, VersionOf};
use crate::app::{Command, Error, Scoped};
use crate::domain::assessment::{Assessment, AssessmentDue, MAX_ASSESSMENTS};
use crate::domain::catalog::{GapDays, MAX_SESSIONS, Protocol, ProtocolContent, SessionCounts};
use crate::domain::ids::ProtocolId;
use crate::domain::reaction::MAX_REACTION_RULES;
use crate::domain::screening::MAX_SCREENING_RULES;
use crate::rpc::page::Query;
use crate::rpc::parse::{Fields, Head, scoped};
use crate::rpc::pb::assessment::Due;
use crate::rpc::{pb, render};

pub fn parse_publish(message: pb::PublishProtocolRequest) -> Result<Command<PublishProtocol>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::PublishProtocolRequest { practice_id: _, request_id: _, validate_only: _, protocol_id, etag, content: new } =
        message;
    let mut fields = Fields::default();
    let replaces = replaces(&mut fields, "protocol_id", &protocol_id, &etag);
    let content = content(&mut fields, new.as_ref());
    head.command(fields, || Some(Publish { replaces: replaces?, content: content? }))
}

fn content(fields: &mut Fields, content: Option<&pb::ProtocolContent>) -> Option<ProtocolContent> {
    let pb::ProtocolContent {
        name,
        treatment_id,
        sessions_minimum,
        sessions_default,
        sessions_maximum,
        gap_floor_days,
        gap_minimum_days,
        gap_target_days,
        gap_maximum_days,
        evidence: source,
        assessments,
        clearance,
        screening_rules,
        reaction_rules,
        maintenance,
        overdue_advice,
        overdue_evidence,
    } = fields.some("content", content, "is required")?;
    let name = fields.label("content.name", name);
    let treatment = fields.id("content.treatment_id", treatment_id);
    let sessions = fields.some(
        "content.sessions_minimum",
        SessionCounts::new(*sessions_minimum, *sessions_default, *sessions_maximum),
        "must be 1 <= minimum <= default <= maximum <= 12",
    );
    let gap = fields.some(
        "content.gap_minimum_days",
        GapDays::new(*gap_floor_days, *gap_minimum_days, *gap_target_days, *gap_maximum_days),
        "must be 1 <= floor <= minimum <= target <= maximum <= 730",
    );
    let evidence = evidence(fields, "content.evidence", source.as_ref());
    // Where the counts are malformed, that is said once: an assessment is then held to what any protocol may have.
    let most = sessions.map_or(MAX_SESSIONS, |sessions| sessions.maximum);
    let assessments = each(fields, "content.assessments", assessments, MAX_ASSESSMENTS, |fields, field, entry| {
        assessment(fields, field, entry, most)
    });
    let needs_clearance = clearance.is_some();
    let clearance = clearance.as_ref().map(|rules| clinical::clearance(fields, "content.clearance", rules));
    let rules = "content.screening_rules";
    let screening = each(fields, rules, screening_rules, MAX_SCREENING_RULES, clinical::screening_rule);
    let remedy = "must be empty without content.clearance";
    fields.some(rules, (needs_clearance || screening_rules.is_empty()).then_some(()), remedy);
    distinct(fields, rules, screening_rules.iter().map(|rule| &rule.condition), "must name each condition once");
    let rules = "content.reaction_rules";
    let reactions = each(fields, rules, reaction_rules, MAX_REACTION_RULES, clinical::reaction_rule);
    fields.some(rules, (needs_clearance || reaction_rules.is_empty()).then_some(()), remedy);
    distinct(fields, rules, reaction_rules.iter().map(|rule| &rule.kind), "must name each kind once");
    let maintenance = maintenance.as_ref().map(|days| clinical::maintenance(fields, "content.maintenance", days));
    let place = "content.overdue_evidence";
    let remedy = "must be left out without content.overdue_advice";
    let advises = !overdue_advice.trim().is_empty();
    fields.some(place, (advises || overdue_evidence.is_none()).then_some(()), remedy);
    let overdue_evidence = said(fields, place, overdue_evidence.as_ref());
    let overdue_advice = fields.prose("content.overdue_advice", overdue_advice);
    Some(ProtocolContent {
        name: name?,
        treatment: treatment?,
        sessions: sessions?,
        gap: gap?,
        evidence: evidence?,
        assessments: assessments?,
        clearance: present(clearance)?,
        screening: screening?,
        reactions: reactions?,
        maintenance: present(maintenance)?,
        overdue_advice: overdue_advice?,
        overdue_evidence: overdue_evidence?,
    })
}

/// What may be left out: well formed if it is there.
#[expect(clippy::option_option, reason = "the outer says whether it is well formed, the inner whether it is there")]
fn present<T>(parsed: Option<Option<T>>) -> Option<Option<T>> {
    parsed.map_or(Some(None), |parsed| parsed.map(Some))
}

/// Notes a list that names something twice.
fn distinct<'a>(fields: &mut Fields, field: &str, names: impl Iterator<Item = &'a String>, remedy: &str) {
    let mut names: Vec<&String> = names.collect();
    names.sort_unstable();
    let repeats = names.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
    fields.some(field, (!repeats).then_some(()), remedy);
}

fn assessment(fields: &mut Fields, field: &str, assessment: &pb::Assessment, most_sessions: i32) -> Option<Assessment> {
    let pb::Assessment { name, due, evidence: source } = assessment;
    let name = fields.label(&format!("{field}.name"), name);
    let due = match due {
        Some(Due::BeforeFirstSession(before)) => fields.some(
            &format!("{field}.before_first_session"),
            before.then_some(AssessmentDue::BeforeFirst),
            "must be true, or at_session or after_last_session must be set instead",
        ),
        Some(Due::AtSession(number)) => {
            fields.within(&format!("{field}.at_session"), *number, 1, most_sessions).map(AssessmentDue::AtSession)
        }
        Some(Due::AfterLastSession(pb::AfterLastSession { minimum_days, target_days, maximum_days })) => fields.some(
            &format!("{field}.after_last_session"),
            AssessmentDue::after_last(*minimum_days, *target_days, *maximum_days),
            "must be 0 <= minimum_days <= target_days <= maximum_days <= 730",
        ),
        None => fields.some(
            &format!("{field}.due"),
            None,
            "must be set: before_first_session, at_session or after_last_session",
        ),
    };
    let evidence = evidence(fields, &format!("{field}.evidence"), source.as_ref());
    Some(Assessment { name: name?, due: due?, evidence: evidence? })
}

pub fn parse_get(message: pb::GetProtocolRequest) -> Result<Scoped<VersionOf<ProtocolId>>, Error> {
    let pb::GetProtocolRequest { practice_id, protocol_id, version: number } = message;
    let mut fields = Fields::default();
    let (id, version) = (fields.id("protocol_id", &protocol_id), version(&mut fields, number));
    scoped(fields, &practice_id, || Some(VersionOf { id: id?, version: version? }))
}

pub fn parse_list(message: pb::ListProtocolsRequest) -> Result<(Query, Scoped<PageOf<ProtocolId>>), Error> {
    let pb::ListProtocolsRequest { practice_id, page_size, page_token } = message;
    let query = Query::new("ListProtocols", &[&practice_id]);
    let mut fields = Fields::default();
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || page)?;
    Ok((query, scoped))
}

pub fn rendered(protocol: &Protocol) -> pb::Protocol {
    let Protocol { id, version, published_at, published_revision, treatment_version, consultation_version, content } =
        protocol;
    pb::Protocol {
        protocol_id: id.to_string(),
        version: *version,
        published_at: Some(render::timestamp(*published_at)),
        content: Some(rendered_content(content)),
        treatment_version: *treatment_version,
        etag: render::etag(*published_revision),
        consultation_treatment_version: consultation_version.unwrap_or_default(),
    }
}

fn rendered_content(content: &ProtocolContent) -> pb::ProtocolContent {
    let ProtocolContent {
        name,
        treatment,
        sessions,
        gap,
        evidence,
        assessments,
        clearance,
        screening,
        reactions,
        maintenance,
        overdue_advice,
        overdue_evidence,
    } = content;
    pb::ProtocolContent {
        name: name.as_str().to_owned(),
        treatment_id: treatment.to_string(),
        sessions_minimum: sessions.minimum,
        sessions_default: sessions.default,
        sessions_maximum: sessions.maximum,
        gap_floor_days: gap.floor,
        gap_minimum_days: gap.minimum,
        gap_target_days: gap.target,
        gap_maximum_days: gap.maximum,
        evidence: Some(render::evidence(evidence)),
        assessments: assessments.iter().map(rendered_assessment).collect(),
        clearance: clearance.as_ref().map(clinical::rendered_clearance),
        screening_rules: screening.iter().map(clinical::rendered_screening_rule).collect(),
        reaction_rules: reactions.iter().map(clinical::rendered_reaction_rule).collect(),
        maintenance: maintenance.as_ref().map(clinical::rendered_maintenance),
        overdue_advice: overdue_advice.as_str().to_owned(),
        overdue_evidence: overdue_evidence.as_ref().map(render::evidence),
    }
}

fn rendered_assessment(assessment: &Assessment) -> pb::Assessment {
    let Assessment { name, due, evidence } = assessment;
    let due = match *due {
        AssessmentDue::BeforeFirst => Due::BeforeFirstSession(true),
        AssessmentDue::AtSession(number) => Due::AtSession(number),
        AssessmentDue::AfterLast { minimum, target, maximum } => Due::AfterLastSession(pb::AfterLastSession {
            minimum_days: minimum,
            target_days: target,
            maximum_days: maximum,
        }),
    };
    pb::Assessment { name: name.as_str().to_owned(), due: Some(due), evidence: Some(render::evidence(evidence)) }
}
