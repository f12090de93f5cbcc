//! Protocols, from messages and to messages.

use super::{evidence, replaces, version};
use crate::app::commands::{PageOf, Publish, PublishProtocol, VersionOf};
use crate::app::{Command, Error, Scoped};
use crate::domain::catalog::{GapDays, Protocol, ProtocolContent, SessionCounts};
use crate::domain::ids::ProtocolId;
use crate::rpc::page::Query;
use crate::rpc::parse::{Fields, Head, scoped};
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
    Some(ProtocolContent { name: name?, treatment: treatment?, sessions: sessions?, gap: gap?, evidence: evidence? })
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
    let Protocol { id, version, published_at, published_revision, treatment_version, content } = protocol;
    pb::Protocol {
        protocol_id: id.to_string(),
        version: *version,
        published_at: Some(render::timestamp(*published_at)),
        content: Some(rendered_content(content)),
        treatment_version: *treatment_version,
        etag: render::etag(*published_revision),
    }
}

fn rendered_content(content: &ProtocolContent) -> pb::ProtocolContent {
    let ProtocolContent { name, treatment, sessions, gap, evidence } = content;
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
    }
}
