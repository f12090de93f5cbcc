//! Treatments, from messages and to messages.

use super::{each, evidence, replaces, said, version};
use crate::app::commands::{PageOf, Publish, PublishTreatment, VersionOf};
use crate::app::{Command, Error, Scoped};
use crate::domain::catalog::{
    AcrossAreas, Activity, Combination, Duty, GRID_MINUTES, MAX_COMBINATIONS, MAX_NEEDS, MAX_PHASE_MINUTES, MAX_PHASES,
    MAX_SPACING_DAYS, MAX_SPAN, Need, Phase, Qualification, Restriction, Span, Treatment, TreatmentContent,
};
use crate::domain::ids::TreatmentId;
use crate::rpc::page::Query;
use crate::rpc::parse::{Fields, Head, scoped};
use crate::rpc::{pb, render};

pub fn parse_publish(message: pb::PublishTreatmentRequest) -> Result<Command<PublishTreatment>, Error> {
    let head = Head::new(&message, &message.practice_id, &message.request_id, message.validate_only);
    let pb::PublishTreatmentRequest {
        practice_id: _,
        request_id: _,
        validate_only: _,
        treatment_id,
        etag,
        content: new,
    } = message;
    let mut fields = Fields::default();
    let replaces = replaces(&mut fields, "treatment_id", &treatment_id, &etag);
    let content = content(&mut fields, new.as_ref());
    head.command(fields, || Some(Publish { replaces: replaces?, content: content? }))
}

fn content(fields: &mut Fields, content: Option<&pb::TreatmentContent>) -> Option<TreatmentContent> {
    let pb::TreatmentContent {
        name,
        spacing_days,
        spacing_evidence,
        across_areas,
        phases,
        exposures,
        restrictions,
        duties,
        combinations,
    } = fields.some("content", content, "is required")?;
    let name = fields.label("content.name", name);
    let spacing_days = match *spacing_days {
        0 => Some(None),
        days => fields.within("content.spacing_days", days, 1, MAX_SPACING_DAYS).map(Some),
    };
    let spacing_evidence = said(fields, "content.spacing_evidence", spacing_evidence.as_ref());
    let across_areas = match across_areas {
        None => Some(None),
        Some(pb::AcrossAreas { days, evidence: source }) => {
            let days = fields.within("content.across_areas.days", *days, 1, MAX_SPACING_DAYS);
            let evidence = evidence(fields, "content.across_areas.evidence", source.as_ref());
            days.zip(evidence).map(|(days, evidence)| Some(AcrossAreas { days, evidence }))
        }
    };
    if phases.is_empty() {
        fields.note("content.phases", "must have at least one entry");
    }
    let phases = each(fields, "content.phases", phases, MAX_PHASES, phase);
    let most = Activity::ALL.len();
    let exposures =
        each(fields, "content.exposures", exposures, most, |fields, field, activity| fields.activity(field, *activity));
    let restrictions = each(fields, "content.restrictions", restrictions, most, restriction);
    let duties = each(fields, "content.duties", duties, most, duty);
    let combinations = each(fields, "content.combinations", combinations, MAX_COMBINATIONS, combination);
    Some(TreatmentContent {
        name: name?,
        spacing_days: spacing_days?,
        spacing_evidence: spacing_evidence?,
        across_areas: across_areas?,
        phases: phases?,
        exposures: exposures?,
        restrictions: restrictions?,
        duties: duties?,
        combinations: combinations?,
    })
}

fn phase(fields: &mut Fields, field: &str, phase: &pb::Phase) -> Option<Phase> {
    let pb::Phase { name, minutes, patient_present, exposing, needs, evidence: source } = phase;
    let name = fields.label(&format!("{field}.name"), name);
    let on_grid = (GRID_MINUTES..=MAX_PHASE_MINUTES).contains(minutes) && minutes % GRID_MINUTES == 0;
    let remedy = format!("must be {GRID_MINUTES} to {MAX_PHASE_MINUTES}, a multiple of {GRID_MINUTES}");
    let minutes = fields.some(&format!("{field}.minutes"), on_grid.then_some(*minutes), &remedy);
    let place = format!("{field}.needs");
    let needs = each(fields, &place, needs, MAX_NEEDS, need).and_then(|needs| {
        let repeats = needs.iter().enumerate().any(|(i, need)| needs[..i].contains(need));
        fields.some(&place, (!repeats).then_some(needs), "must name each need at most once")
    });
    let evidence = said(fields, &format!("{field}.evidence"), source.as_ref());
    Some(Phase {
        name: name?,
        minutes: minutes?,
        patient_present: *patient_present,
        exposing: *exposing,
        needs: needs?,
        evidence: evidence?,
    })
}

fn need(fields: &mut Fields, field: &str, need: &pb::Need) -> Option<Need> {
    let pb::Need { kind, qualification } = need;
    let kind = fields.resource_kind(&format!("{field}.kind"), *kind);
    let qualification = fields.some(
        &format!("{field}.qualification"),
        Qualification::new(qualification),
        "must be 1 to 63 lower-case letters, digits and underscores, the first a letter",
    );
    Some(Need { kind: kind?, qualification: qualification? })
}

fn restriction(fields: &mut Fields, field: &str, restriction: &pb::Restriction) -> Option<Restriction> {
    let pb::Restriction { activity, before, after, advice_only, instruction, evidence: source } = restriction;
    let activity = fields.activity(&format!("{field}.activity"), *activity);
    if before.is_none() && after.is_none() {
        fields.note(format!("{field}.before"), "must be set, or after, or both");
    }
    let before = span(fields, &format!("{field}.before"), before.as_ref());
    let after = span(fields, &format!("{field}.after"), after.as_ref());
    let instruction = fields.prose(&format!("{field}.instruction"), instruction);
    let evidence = evidence(fields, &format!("{field}.evidence"), source.as_ref());
    Some(Restriction {
        activity: activity?,
        before: before?,
        after: after?,
        advice_only: *advice_only,
        instruction: instruction?,
        evidence: evidence?,
    })
}

fn duty(fields: &mut Fields, field: &str, duty: &pb::Duty) -> Option<Duty> {
    let pb::Duty { activity, from, until, instruction, evidence: source } = duty;
    let activity = fields.activity(&format!("{field}.activity"), *activity);
    let from = span(fields, &format!("{field}.from"), from.as_ref());
    let place = format!("{field}.until");
    let until = fields.some(&place, until.as_ref(), "is required");
    let until = until.and_then(|until| span(fields, &place, Some(until))).flatten();
    let place = format!("{field}.instruction");
    fields.some(&place, (!instruction.trim().is_empty()).then_some(()), "must not be empty");
    let instruction = fields.prose(&place, instruction);
    let evidence = evidence(fields, &format!("{field}.evidence"), source.as_ref());
    Some(Duty { activity: activity?, from: from?, until: until?, instruction: instruction?, evidence: evidence? })
}

fn combination(fields: &mut Fields, field: &str, combination: &pb::Combination) -> Option<Combination> {
    let pb::Combination { add_on_treatment_id, evidence: source } = combination;
    let add_on = fields.id(&format!("{field}.add_on_treatment_id"), add_on_treatment_id);
    let evidence = evidence(fields, &format!("{field}.evidence"), source.as_ref());
    Some(Combination { add_on: add_on?, evidence: evidence? })
}

#[expect(clippy::option_option, reason = "the outer says whether it is well formed, the inner whether it is there")]
fn span(fields: &mut Fields, field: &str, span: Option<&pb::Span>) -> Option<Option<Span>> {
    let Some(pb::Span { amount }) = span else {
        return Some(None);
    };
    let bounded = |amount: i32| (1..=MAX_SPAN).contains(&amount).then_some(amount);
    let span = match *amount {
        Some(pb::span::Amount::Hours(hours)) => bounded(hours).map(Span::Hours),
        Some(pb::span::Amount::Days(days)) => bounded(days).map(Span::Days),
        None => None,
    };
    fields.some(field, span, &format!("must be 1 to {MAX_SPAN} hours or days")).map(Some)
}

pub fn parse_get(message: pb::GetTreatmentRequest) -> Result<Scoped<VersionOf<TreatmentId>>, Error> {
    let pb::GetTreatmentRequest { practice_id, treatment_id, version: number } = message;
    let mut fields = Fields::default();
    let (id, version) = (fields.id("treatment_id", &treatment_id), version(&mut fields, number));
    scoped(fields, &practice_id, || Some(VersionOf { id: id?, version: version? }))
}

pub fn parse_list(message: pb::ListTreatmentsRequest) -> Result<(Query, Scoped<PageOf<TreatmentId>>), Error> {
    let pb::ListTreatmentsRequest { practice_id, page_size, page_token } = message;
    let query = Query::new("ListTreatments", &[&practice_id]);
    let mut fields = Fields::default();
    let page = fields.page(&query, page_size, &page_token)?;
    let scoped = scoped(fields, &practice_id, || page)?;
    Ok((query, scoped))
}

pub fn rendered(treatment: &Treatment) -> pb::Treatment {
    let Treatment { id, version, published_at, published_revision, content } = treatment;
    pb::Treatment {
        treatment_id: id.to_string(),
        version: *version,
        published_at: Some(render::timestamp(*published_at)),
        content: Some(rendered_content(content)),
        etag: render::etag(*published_revision),
    }
}

fn rendered_content(content: &TreatmentContent) -> pb::TreatmentContent {
    let TreatmentContent {
        name,
        spacing_days,
        spacing_evidence,
        across_areas,
        phases,
        exposures,
        restrictions,
        duties,
        combinations,
    } = content;
    pb::TreatmentContent {
        name: name.as_str().to_owned(),
        spacing_days: spacing_days.unwrap_or_default(),
        spacing_evidence: spacing_evidence.as_ref().map(render::evidence),
        across_areas: across_areas.as_ref().map(|AcrossAreas { days, evidence }| pb::AcrossAreas {
            days: *days,
            evidence: Some(render::evidence(evidence)),
        }),
        phases: phases.iter().map(rendered_phase).collect(),
        exposures: exposures.iter().map(|activity| render::activity(*activity).into()).collect(),
        restrictions: restrictions.iter().map(rendered_restriction).collect(),
        duties: duties.iter().map(rendered_duty).collect(),
        combinations: combinations.iter().map(rendered_combination).collect(),
    }
}

fn rendered_phase(phase: &Phase) -> pb::Phase {
    let Phase { name, minutes, patient_present, exposing, needs, evidence } = phase;
    let needs = needs.iter().map(|Need { kind, qualification }| pb::Need {
        kind: render::resource_kind(*kind).into(),
        qualification: qualification.as_str().to_owned(),
    });
    pb::Phase {
        name: name.as_str().to_owned(),
        minutes: *minutes,
        patient_present: *patient_present,
        exposing: *exposing,
        needs: needs.collect(),
        evidence: evidence.as_ref().map(render::evidence),
    }
}

fn rendered_restriction(restriction: &Restriction) -> pb::Restriction {
    let Restriction { activity, before, after, advice_only, instruction, evidence } = restriction;
    pb::Restriction {
        activity: render::activity(*activity).into(),
        before: before.map(render::span),
        after: after.map(render::span),
        instruction: instruction.as_str().to_owned(),
        evidence: Some(render::evidence(evidence)),
        advice_only: *advice_only,
    }
}

fn rendered_duty(duty: &Duty) -> pb::Duty {
    let Duty { activity, from, until, instruction, evidence } = duty;
    pb::Duty {
        activity: render::activity(*activity).into(),
        from: from.map(render::span),
        until: Some(render::span(*until)),
        instruction: instruction.as_str().to_owned(),
        evidence: Some(render::evidence(evidence)),
    }
}

fn rendered_combination(combination: &Combination) -> pb::Combination {
    let Combination { add_on, evidence } = combination;
    pb::Combination { add_on_treatment_id: add_on.to_string(), evidence: Some(render::evidence(evidence)) }
}
