//! How errors look on the wire: a `google.rpc.Status` with one `ErrorInfo`, and what belongs to it.

use std::collections::HashMap;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::pb as rpc;

use super::{MAX_MESSAGE_BYTES, pb, render};
use crate::app::{Error, FieldViolation};
use crate::domain::refusal::{Other, Rule, Violation};
use crate::store::StoreError;

/// The `domain` of every `ErrorInfo`.
pub const DOMAIN: &str = "stipple.v1";
/// Bytes of violations that an error carries. They travel in headers, as base64, and callers take 8 KiB of headers.
const MAX_DETAIL_BYTES: usize = 4_000;
/// Bytes that a violation takes beside its own: its frame, and its entry in the `PreconditionFailure`.
const ENTRY_BYTES: usize = 48;
/// Violations that the message, which people read, says in words.
const MAX_CLAUSES: usize = 6;
/// How long a caller should wait before the same again, in seconds.
const RETRY_SECONDS: i64 = 1;

impl From<Error> for Status {
    /// What a caller is told of an error. What is the server's own fault is logged here, once, and not told.
    fn from(error: Error) -> Self {
        describe(error)
    }
}

fn describe(error: Error) -> Status {
    match error {
        Error::Fields(violations) => fields(pb::Reason::FieldInvalid, "malformed fields", violations),
        Error::PageToken => {
            let remedy = "is not a token of this query; leave it empty to begin anew";
            fields(pb::Reason::PageTokenInvalid, "page token", vec![FieldViolation::new("page_token", remedy)])
        }
        Error::RequestIdReused => {
            let remedy = "was used before with another payload; make a new one";
            fields(pb::Reason::RequestIdReused, "request id", vec![FieldViolation::new("request_id", remedy)])
        }
        Error::NotFound(field) => {
            let message = format!("the practice has nothing with the id in {field}");
            build(Code::NotFound, message, pb::Reason::NotFound, [("field", field)], Vec::new())
        }
        Error::EtagMismatch => {
            let message = "it has changed since it was read: read it again, then decide again";
            simple(Code::Aborted, message, pb::Reason::EtagMismatch)
        }
        Error::Unauthenticated => {
            let message = "send metadata \"authorization: Bearer <token>\" with a token that is not revoked";
            simple(Code::Unauthenticated, message, pb::Reason::TokenInvalid)
        }
        Error::RoleNotAllowed => {
            simple(Code::PermissionDenied, "the token's role may not call this method", pb::Reason::RoleNotAllowed)
        }
        Error::PracticeNotAllowed => {
            let message = "the token is bound to another practice: leave practice_id empty or name the token's own";
            simple(Code::PermissionDenied, message, pb::Reason::PracticeNotAllowed)
        }
        Error::Overloaded => overloaded(),
        Error::TooManyWatches => {
            let message = "as many watches as this server takes are under way; try again after a pause";
            retry_later(Code::ResourceExhausted, message, pb::Reason::Overloaded)
        }
        Error::Refused(violations) => refused(&violations),
        Error::Store(error) => from_store(&error),
    }
}

fn from_store(error: &StoreError) -> Status {
    match error {
        StoreError::Exhausted => overloaded(),
        StoreError::Unavailable(_) | StoreError::Contended(_) => {
            tracing::warn!(error = %error.chain(), "the database is out of reach");
            let message = "the database cannot be reached just now; repeat with the same request id";
            retry_later(Code::Unavailable, message, pb::Reason::Unavailable)
        }
        StoreError::Refused(_)
        | StoreError::Missing(_)
        | StoreError::Corrupt(_)
        | StoreError::Rows { .. }
        | StoreError::Fault(_) => {
            tracing::error!(error = %error.chain(), "a request failed by the server's own fault");
            internal()
        }
    }
}

/// The server's own fault, of which callers are told nothing more.
pub fn internal() -> Status {
    simple(Code::Internal, "internal error", pb::Reason::Internal)
}

/// More requests than the server takes.
pub fn overloaded() -> Status {
    let message = "too many requests at once; repeat with the same request id after a pause";
    retry_later(Code::ResourceExhausted, message, pb::Reason::Overloaded)
}

/// The request took too long.
pub fn deadline_exceeded() -> Status {
    let message = "the request took too long; repeat it with the same request id";
    simple(Code::DeadlineExceeded, message, pb::Reason::DeadlineExceeded)
}

/// No such method.
pub fn unknown_method() -> Status {
    simple(Code::Unimplemented, "the server has no such method", pb::Reason::MethodUnknown)
}

/// The message is compressed in a way that the server does not take.
pub fn unknown_encoding() -> Status {
    simple(Code::Unimplemented, "send messages without compression", pb::Reason::EncodingUnknown)
}

/// The bytes are not a message.
pub fn malformed_message() -> Status {
    simple(Code::InvalidArgument, "the bytes are not a message of the expected type", pb::Reason::MessageMalformed)
}

/// The message has a field that the server does not know.
pub fn unknown_field(path: &str) -> Status {
    let violation = FieldViolation::new(path, "is not known to this server; leave it out or update the server");
    fields(pb::Reason::FieldUnknown, "unknown field", vec![violation])
}

/// The message is too large.
pub fn message_too_large() -> Status {
    let message = format!("the message is larger than {MAX_MESSAGE_BYTES} bytes");
    simple(Code::InvalidArgument, message, pb::Reason::MessageTooLarge)
}

fn simple(code: Code, message: impl Into<String>, reason: pb::Reason) -> Status {
    build(code, message, reason, [], Vec::new())
}

fn retry_later(code: Code, message: &str, reason: pb::Reason) -> Status {
    let delay = prost_types::Duration { seconds: RETRY_SECONDS, nanos: 0 };
    let retry = rpc::RetryInfo { retry_delay: Some(delay) };
    build(code, message, reason, [], vec![any("google.rpc.RetryInfo", &retry)])
}

fn fields(reason: pb::Reason, what: &str, violations: Vec<FieldViolation>) -> Status {
    let all: Vec<_> = violations
        .into_iter()
        .map(|FieldViolation { field, remedy }| rpc::bad_request::FieldViolation {
            field,
            description: remedy,
            ..Default::default()
        })
        .collect();
    let total = all.len();
    let bad = rpc::BadRequest { field_violations: fitting(all, |violation| violation.field.clone()) };
    let said = bad.field_violations.iter().map(|violation| format!("{} {}", violation.field, violation.description));
    let message = format!("{what}: {}", summary(said, total));
    build(Code::InvalidArgument, message, reason, [], vec![any("google.rpc.BadRequest", &bad)])
}

fn refused(violations: &[Violation]) -> Status {
    let rendered = fitting(violations.iter().map(rendered_violation).collect(), |violation| violation.field.clone());
    let omitted = violations.len() - rendered.len();
    // The descriptions are in the refusal: what travels in headers is not said twice.
    let precondition = rendered.iter().map(|violation| rpc::precondition_failure::Violation {
        r#type: reason_name(violation.reason()),
        subject: violation.field.clone(),
        description: String::new(),
    });
    let precondition = rpc::PreconditionFailure { violations: precondition.collect() };
    let first = rendered.first().cloned().unwrap_or_default();
    let metadata = [
        ("field", first.field.clone()),
        ("appointment_id", first.appointment_id.clone()),
        ("resource_id", first.resource_id.clone()),
        ("gap_days", if first.gap_days == 0 { String::new() } else { first.gap_days.to_string() }),
        ("earliest_date", first.earliest_date.clone()),
    ];
    let reason = first.reason();
    // Of each part of the request the first, before any second.
    let mut seen = HashMap::new();
    let mut clauses: Vec<(usize, String)> = Vec::with_capacity(rendered.len());
    for violation in &rendered {
        let rank: &mut usize = seen.entry(violation.field.as_str()).or_default();
        clauses.push((*rank, sentence(violation)));
        *rank += 1;
    }
    clauses.sort_by_key(|(rank, _)| *rank);
    let message = format!("refused: {}", summary(clauses.into_iter().map(|(_, clause)| clause), violations.len()));
    let refusal = pb::Refusal { violations: rendered, omitted: i32::try_from(omitted).unwrap_or(i32::MAX) };
    let details = vec![any("google.rpc.PreconditionFailure", &precondition), any("stipple.v1.Refusal", &refusal)];
    build(Code::FailedPrecondition, message, reason, metadata, details)
}

/// The first few clauses, and how many more there are.
fn summary(clauses: impl Iterator<Item = String>, total: usize) -> String {
    let first: Vec<String> = clauses.take(MAX_CLAUSES).collect();
    match total - first.len() {
        0 => first.join("; "),
        more => format!("{}; and {more} more", first.join("; ")),
    }
}

/// As many violations as fit into [`MAX_DETAIL_BYTES`], in their order. If not all do, each part of the request keeps
/// its first, then its second, and so on.
fn fitting<V: prost::Message>(violations: Vec<V>, part: impl Fn(&V) -> String) -> Vec<V> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(violations.len());
    for (place, violation) in violations.iter().enumerate() {
        let rank = seen.entry(part(violation)).or_default();
        order.push((*rank, place));
        *rank += 1;
    }
    order.sort_unstable();
    let mut bytes = 0;
    let mut kept: Vec<usize> = Vec::with_capacity(order.len());
    for (_, place) in order {
        bytes += violations[place].encoded_len() + ENTRY_BYTES;
        if bytes > MAX_DETAIL_BYTES && !kept.is_empty() {
            break;
        }
        kept.push(place);
    }
    kept.sort_unstable();
    let mut kept = kept.into_iter().peekable();
    let fits = violations.into_iter().enumerate().filter(|(place, _)| kept.next_if_eq(place).is_some());
    fits.map(|(_, violation)| violation).collect()
}

/// A violation as one clause of the message that people read.
fn sentence(violation: &pb::RuleViolation) -> String {
    let pb::RuleViolation { field, description, earliest_date, local_earliest_start, .. } = violation;
    let place = if field.is_empty() { String::new() } else { format!("{field}: ") };
    // Gaps are a matter of days; of all else, the time matters.
    let earliest = if violation.required_gap_days > 0 { earliest_date } else { local_earliest_start };
    let when = if earliest.is_empty() { String::new() } else { format!(", earliest {earliest}") };
    format!("{place}{description} ({}){when}", reason_name(violation.reason()))
}

/// A reason as `ErrorInfo` names it: without the prefix of the enum.
fn reason_name(reason: pb::Reason) -> String {
    reason.as_str_name().trim_start_matches("REASON_").to_owned()
}

/// One violated rule.
pub fn rendered_violation(violation: &Violation) -> pb::RuleViolation {
    let session = |place: usize| format!("sessions[{place}]");
    let (appointment_id, other_field) = match violation.other {
        Some(Other::Appointment(id)) => (id.to_string(), String::new()),
        Some(Other::Session(place)) => (String::new(), session(place)),
        None => (String::new(), String::new()),
    };
    let days = |days: i64| i32::try_from(days).unwrap_or(i32::MAX);
    let local_earliest_start = violation.earliest.map(|earliest| earliest.zone.written(earliest.start));
    pb::RuleViolation {
        reason: reason(violation.rule).into(),
        field: violation.session.map(session).unwrap_or_default(),
        description: violation.description.clone(),
        appointment_id,
        other_field,
        resource_id: violation.resource.map(|id| id.to_string()).unwrap_or_default(),
        gap_days: violation.gap.map_or(0, |gap| days(gap.days)),
        required_gap_days: violation.gap.map_or(0, |gap| days(gap.required)),
        earliest_start: violation.earliest.map(|earliest| render::timestamp(earliest.start)),
        earliest_date: violation.earliest.map(|earliest| earliest.day().to_string()).unwrap_or_default(),
        local_earliest_start: local_earliest_start.unwrap_or_default(),
        latest_date: violation.gap.and_then(|gap| gap.latest).map(|day| day.to_string()).unwrap_or_default(),
    }
}

/// The reason that a broken rule is told by.
pub const fn reason(rule: Rule) -> pb::Reason {
    match rule {
        Rule::StartInPast => pb::Reason::StartInPast,
        Rule::BeyondHorizon => pb::Reason::BeyondHorizon,
        Rule::OutsideOpeningHours => pb::Reason::OutsideOpeningHours,
        Rule::ClinicClosed => pb::Reason::ClinicClosed,
        Rule::PatientBusy => pb::Reason::PatientBusy,
        Rule::NoQualifiedResource => pb::Reason::NoQualifiedResource,
        Rule::NoResourceFree => pb::Reason::NoResourceFree,
        Rule::ResourceBusy => pb::Reason::ResourceBusy,
        Rule::OutsideWorkingHours => pb::Reason::OutsideWorkingHours,
        Rule::ResourceAway => pb::Reason::ResourceAway,
        Rule::ResourceNotQualified => pb::Reason::ResourceNotQualified,
        Rule::ResourceInactive => pb::Reason::ResourceInactive,
        Rule::SessionTooSoon => pb::Reason::SessionTooSoon,
        Rule::SessionTooLate => pb::Reason::SessionTooLate,
        Rule::SessionOutOfOrder => pb::Reason::SessionOutOfOrder,
        Rule::NoPlan => pb::Reason::NoPlan,
        Rule::PlanOutdated => pb::Reason::PlanOutdated,
        Rule::SessionCountNotAllowed => pb::Reason::SessionCountNotAllowed,
        Rule::ActivityForbidden => pb::Reason::ActivityForbidden,
        Rule::ForbidsBookedActivity => pb::Reason::ForbidsBookedActivity,
        Rule::SeriesNotActive => pb::Reason::SeriesNotActive,
        Rule::SessionAlreadyBooked => pb::Reason::SessionAlreadyBooked,
        Rule::AppointmentNotBooked => pb::Reason::AppointmentNotBooked,
        Rule::AppointmentStarted => pb::Reason::AppointmentStarted,
        Rule::BodyAreaMismatch => pb::Reason::BodyAreaMismatch,
        Rule::ClearanceMissing => pb::Reason::ClearanceMissing,
        Rule::ClearanceExceeded => pb::Reason::ClearanceExceeded,
        Rule::CoolingOff => pb::Reason::CoolingOff,
        Rule::ScreeningMissing => pb::Reason::ScreeningMissing,
        Rule::ConditionBlocks => pb::Reason::ConditionBlocks,
        Rule::ConditionDefers => pb::Reason::ConditionDefers,
        Rule::ConditionNeedsClearance => pb::Reason::ConditionNeedsClearance,
        Rule::ConditionNeedsPremedication => pb::Reason::ConditionNeedsPremedication,
        Rule::SeriesOnHold => pb::Reason::SeriesOnHold,
        Rule::TooSoonAfterReaction => pb::Reason::TooSoonAfterReaction,
        Rule::OtherAreaTooSoon => pb::Reason::OtherAreaTooSoon,
        Rule::CombinationNotAllowed => pb::Reason::CombinationNotAllowed,
        Rule::CombinationNotApproved => pb::Reason::CombinationNotApproved,
        Rule::OverrideNotAllowed => pb::Reason::OverrideNotAllowed,
        Rule::OverrideInUse => pb::Reason::OverrideInUse,
        Rule::NotQualifiedToClear => pb::Reason::NotQualifiedToClear,
        Rule::NotAConsultation => pb::Reason::NotAConsultation,
        Rule::AlreadyCleared => pb::Reason::AlreadyCleared,
        Rule::TooEarlyToCheckIn => pb::Reason::TooEarlyToCheckIn,
        Rule::NotCheckedIn => pb::Reason::NotCheckedIn,
        Rule::NotInSeriesYet => pb::Reason::NotInSeriesYet,
        Rule::AssessmentNotDue => pb::Reason::AssessmentNotDue,
        Rule::AssessmentDone => pb::Reason::AssessmentDone,
        Rule::TooEarlyForNoShow => pb::Reason::TooEarlyForNoShow,
        Rule::NotHeld => pb::Reason::NotHeld,
        Rule::NotWaiting => pb::Reason::NotWaiting,
        Rule::UndoNotAllowed => pb::Reason::UndoNotAllowed,
        Rule::TooManyDisplaced => pb::Reason::TooManyDisplaced,
    }
}

fn build<const N: usize>(
    code: Code,
    message: impl Into<String>,
    reason: pb::Reason,
    metadata: [(&str, String); N],
    mut more: Vec<prost_types::Any>,
) -> Status {
    let message = message.into();
    let metadata = metadata.into_iter().filter(|(_, value)| !value.is_empty());
    let info = rpc::ErrorInfo {
        reason: reason_name(reason),
        domain: DOMAIN.to_owned(),
        metadata: metadata.map(|(key, value)| (key.to_owned(), value)).collect::<HashMap<_, _>>(),
    };
    let mut details = vec![any("google.rpc.ErrorInfo", &info)];
    details.append(&mut more);
    let status = rpc::Status { code: code.into(), message: message.clone(), details };
    Status::with_details(code, message, status.encode_to_vec().into())
}

fn any(name: &str, message: &impl prost::Message) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_a_few_of_many_violations_in_words_and_counts_the_others() {
        let clauses = |count: usize| summary((0..count).map(|number| format!("clause {number}")), count);
        assert_eq!(clauses(2), "clause 0; clause 1");
        assert!(clauses(MAX_CLAUSES).ends_with(&format!("; clause {}", MAX_CLAUSES - 1)));
        assert!(clauses(MAX_CLAUSES + 2).ends_with(&format!("; clause {}; and 2 more", MAX_CLAUSES - 1)));
    }
}
