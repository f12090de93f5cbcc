//! Screenings, from messages and to messages.

use super::access::rendered_author;
use super::catalog::clinical::{code, rendered_class};
use super::page::Query;
use super::parse::{Fields, Head, scoped};
use super::pb::record_screening_request::Questionnaire as PbQuestionnaire;
use super::{pb, render, status};
use crate::app::commands::{ListScreenings, Questionnaire, RecordScreening};
use crate::app::{Command, Error, Scoped, Screened};
use crate::domain::fitness::{Finding, FitnessFacts, Lift, When, current_findings, today_at_the_earliest};
use crate::domain::interval::Instant;
use crate::domain::screening::{Answer, Answers, MAX_SCREENING_RULES, Screening, ScreeningRule, Severity};
use crate::domain::text::Personal;

/// Most screenings or clearances of a page.
pub const MAX_PAGE: i32 = 100;
/// Screenings or clearances of a page, unless the caller says otherwise.
pub const DEFAULT_PAGE: i32 = 20;

pub fn parse_record(message: pb::RecordScreeningRequest) -> Result<Command<RecordScreening>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::RecordScreeningRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        patient_id,
        answers,
        skin_type,
        stretch_marks,
        medication,
        notes,
        questionnaire,
    } = message;
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let questionnaire = match questionnaire {
        Some(PbQuestionnaire::ProtocolId(id)) => fields.id("protocol_id", &id).map(Questionnaire::Protocol),
        Some(PbQuestionnaire::SeriesId(id)) => fields.id("series_id", &id).map(Questionnaire::Series),
        None => fields.some("questionnaire", None, "must be set: protocol_id or series_id"),
    };
    let given = parse_answers(&mut fields, &answers);
    let skin_type = if skin_type == 0 { Some(None) } else { fields.within("skin_type", skin_type, 1, 6).map(Some) };
    let stretch_marks = match pb::StretchMarkSeverity::try_from(stretch_marks) {
        Ok(pb::StretchMarkSeverity::Unspecified) => Some(None),
        Ok(pb::StretchMarkSeverity::None) => Some(Some(Severity::None)),
        Ok(pb::StretchMarkSeverity::Mild) => Some(Some(Severity::Mild)),
        Ok(pb::StretchMarkSeverity::Moderate) => Some(Some(Severity::Moderate)),
        Ok(pb::StretchMarkSeverity::Severe) => Some(Some(Severity::Severe)),
        Err(_) => None,
    };
    let stretch_marks = fields.some("stretch_marks", stretch_marks, "must be a severity");
    let (medication, notes) = (fields.prose("medication", &medication), fields.prose("notes", &notes));
    head.command(fields, || {
        let answers = Answers {
            given: given?,
            skin_type: skin_type?,
            stretch_marks: stretch_marks?,
            medication: medication?,
            notes: notes?,
        };
        Some(RecordScreening { patient: patient?, questionnaire: questionnaire?, answers: Personal::new(answers) })
    })
}

fn parse_answers(fields: &mut Fields, answers: &[pb::ScreeningAnswer]) -> Option<Vec<Answer>> {
    fields.at_most("answers", answers.len(), MAX_SCREENING_RULES)?;
    let parsed = answers.iter().enumerate().map(|(place, answer)| {
        let pb::ScreeningAnswer { condition, present, date } = answer;
        let path = |field: &str| format!("answers[{place}].{field}");
        let condition = code(fields, &path("condition"), condition);
        let date = fields.optional_day(&path("date"), date);
        if date.is_some_and(|date| date.is_some()) && !present {
            fields.note(path("date"), "must be left out where present is false");
        }
        Some(Answer { condition: condition?, present: *present, date: date?, news: 0 })
    });
    let parsed: Vec<Option<Answer>> = parsed.collect();
    let parsed: Vec<Answer> = parsed.into_iter().collect::<Option<_>>()?;
    for (place, answer) in parsed.iter().enumerate() {
        if parsed.iter().take(place).any(|earlier| earlier.condition == answer.condition) {
            fields.note(format!("answers[{place}].condition"), "must not be answered twice");
        }
    }
    Some(parsed)
}

pub fn parse_list(message: pb::ListScreeningsRequest) -> Result<(Query, Scoped<ListScreenings>), Error> {
    let pb::ListScreeningsRequest { practice_id, patient_id, page_size, page_token } = message;
    let query = Query::new("ListScreenings", &[&practice_id, &patient_id]);
    let mut fields = Fields::default();
    let patient = fields.id("patient_id", &patient_id);
    let page = fields.page_sized(&query, page_size, &page_token, DEFAULT_PAGE, MAX_PAGE)?;
    let scoped = scoped(fields, &practice_id, || Some(ListScreenings { patient: patient?, page: page? }))?;
    Ok((query, scoped))
}

pub fn rendered_screened(screened: &Screened) -> pb::Screening {
    let Screened { screening, protocol, facts, at_risk: _ } = screened;
    let findings = rendered_findings(&protocol.content.screening, facts, screening.recorded_at);
    pb::Screening { findings, ..rendered(screening) }
}

pub fn rendered(screening: &Screening) -> pb::Screening {
    let Screening { id, patient, protocol, protocol_version, answers, recorded_at, recorded_by } = screening;
    let Answers { given, skin_type, stretch_marks, medication, notes } = answers.expose();
    let severity = match stretch_marks {
        None => pb::StretchMarkSeverity::Unspecified,
        Some(Severity::None) => pb::StretchMarkSeverity::None,
        Some(Severity::Mild) => pb::StretchMarkSeverity::Mild,
        Some(Severity::Moderate) => pb::StretchMarkSeverity::Moderate,
        Some(Severity::Severe) => pb::StretchMarkSeverity::Severe,
    };
    let answer = |answer: &Answer| pb::ScreeningAnswer {
        condition: answer.condition.as_str().to_owned(),
        present: answer.present,
        date: answer.date.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    pb::Screening {
        screening_id: id.to_string(),
        patient_id: patient.to_string(),
        protocol_id: protocol.to_string(),
        protocol_version: *protocol_version,
        answers: given.iter().map(answer).collect(),
        skin_type: skin_type.unwrap_or_default(),
        stretch_marks: severity.into(),
        medication: medication.as_str().to_owned(),
        notes: notes.as_str().to_owned(),
        recorded_at: Some(render::timestamp(*recorded_at)),
        findings: Vec::new(),
        recorded_by: Some(rendered_author(*recorded_by)),
    }
}

/// The rules that fire, as of then.
pub fn rendered_findings(rules: &[ScreeningRule], facts: &FitnessFacts, now: Instant) -> Vec<pb::ScreeningFinding> {
    current_findings(rules, facts, now).iter().map(|finding| rendered_finding(finding, now)).collect()
}

/// The override or the clearance that lifted a condition.
pub fn lifted_by(lift: Option<Lift>) -> (String, String) {
    match lift {
        None => (String::new(), String::new()),
        Some(Lift::Override(id)) => (id.to_string(), String::new()),
        Some(Lift::Clearance(id)) => (String::new(), id.to_string()),
    }
}

fn rendered_finding(finding: &Finding<'_>, now: Instant) -> pb::ScreeningFinding {
    let Finding { rule, when, lifted } = finding;
    let (from, until) = match when {
        When::Always | When::Before(_) => (None, None),
        When::Days(from, until) => (Some(from).filter(|from| **from > today_at_the_earliest(now)), Some(until)),
    };
    let (override_id, clearance_id) = lifted_by(*lifted);
    pb::ScreeningFinding {
        condition: rule.condition.as_str().to_owned(),
        condition_class: rendered_class(rule.class).into(),
        reason: status::reason(rule.class.rule()).into(),
        meaning: rule.meaning.as_str().to_owned(),
        from: from.map(ToString::to_string).unwrap_or_default(),
        until: until.map(ToString::to_string).unwrap_or_default(),
        may_be_cleared: rule.may_be_cleared,
        lifted: lifted.is_some(),
        override_id,
        clearance_id,
        evidence: Some(render::evidence(&rule.evidence)),
    }
}
