//! The clinical rules of protocols, from messages and to messages.

use super::evidence;
use crate::domain::catalog::{Maintenance, MaintenanceDays, Qualification};
use crate::domain::clearance::{ClearanceRules, MAX_CLEARANCE_DAYS, MAX_SCREENING_DAYS, MAX_WAIT_HOURS};
use crate::domain::reaction::{ReactionGrade, ReactionRule};
use crate::domain::screening::{Asks, ConditionClass, Deferral, MAX_AGE, MAX_DEFERRAL, Range, ScreeningRule};
use crate::domain::text::Code;
use crate::rpc::parse::Fields;
use crate::rpc::pb::screening_rule::Deferral as PbDeferral;
use crate::rpc::{pb, render};

pub fn clearance(fields: &mut Fields, field: &str, rules: &pb::ClearanceRules) -> Option<ClearanceRules> {
    let pb::ClearanceRules {
        consultation_treatment_id,
        qualification,
        valid_days,
        cooling_off_hours,
        patch_test_hours,
        screening_days,
        evidence: source,
    } = rules;
    let path = |name: &str| format!("{field}.{name}");
    let consultation = fields.id(&path("consultation_treatment_id"), consultation_treatment_id);
    let qualification = fields.some(&path("qualification"), Qualification::new(qualification), CODE);
    let valid_days = fields.within(&path("valid_days"), *valid_days, 1, MAX_CLEARANCE_DAYS);
    let cooling_off_hours = fields.within(&path("cooling_off_hours"), *cooling_off_hours, 0, MAX_WAIT_HOURS);
    let patch_test_hours = fields.within(&path("patch_test_hours"), *patch_test_hours, 0, MAX_WAIT_HOURS);
    let screening_days = fields.within(&path("screening_days"), *screening_days, 0, MAX_SCREENING_DAYS);
    let evidence = evidence(fields, &path("evidence"), source.as_ref());
    Some(ClearanceRules {
        consultation: consultation?,
        qualification: qualification?,
        valid_days: valid_days?,
        cooling_off_hours: cooling_off_hours?,
        patch_test_hours: patch_test_hours?,
        screening_days: screening_days?,
        evidence: evidence?,
    })
}

const CODE: &str = "must be a code of lower-case letters, digits and underscores, beginning with a letter, at most 63 \
                    characters";

/// A code.
pub fn code(fields: &mut Fields, field: &str, text: &str) -> Option<Code> {
    fields.some(field, Code::new(text), CODE)
}

pub fn screening_rule(fields: &mut Fields, field: &str, rule: &pb::ScreeningRule) -> Option<ScreeningRule> {
    let pb::ScreeningRule {
        condition,
        asks,
        question,
        least,
        most,
        condition_class,
        may_be_cleared,
        meaning,
        evidence: source,
        deferral,
    } = rule;
    let path = |name: &str| format!("{field}.{name}");
    let condition = code(fields, &path("condition"), condition);
    let range = |fields: &mut Fields, lowest, highest| {
        let remedy = format!("must be {lowest} <= least <= most <= {highest}");
        fields.some(&path("least"), Range::new(*least, *most, lowest, highest), &remedy)
    };
    let is_asked = match pb::ScreeningQuestion::try_from(*asks) {
        Ok(pb::ScreeningQuestion::Presence) => Some((true, Some(Asks::Presence))),
        Ok(pb::ScreeningQuestion::PresenceAndDate) => Some((true, Some(Asks::PresenceAndDate))),
        Ok(pb::ScreeningQuestion::SkinType) => Some((false, range(fields, 1, 6).map(Asks::SkinType))),
        Ok(pb::ScreeningQuestion::Age) => Some((false, range(fields, 0, MAX_AGE).map(Asks::Age))),
        Ok(pb::ScreeningQuestion::Unspecified) | Err(_) => None,
    };
    let (is_asked, asks) = fields.some(&path("asks"), is_asked, "must be a way of asking")?;
    if is_asked {
        fields.must_be_absent(
            "where the patient is asked",
            &[(&path("least"), *least != 0), (&path("most"), *most != 0)],
        );
        fields.some(&path("question"), (!question.trim().is_empty()).then_some(()), "must not be empty");
    } else {
        fields.must_be_absent("where nothing is asked", &[(&path("question"), !question.is_empty())]);
    }
    let question = fields.prose(&path("question"), question);
    let class = match pb::ConditionClass::try_from(*condition_class) {
        Ok(pb::ConditionClass::Block) => Some(ConditionClass::Block),
        Ok(pb::ConditionClass::Defer) => Some(ConditionClass::Defer),
        Ok(pb::ConditionClass::Clear) => Some(ConditionClass::Clear),
        Ok(pb::ConditionClass::Premed) => Some(ConditionClass::Premed),
        Ok(pb::ConditionClass::Unspecified) | Err(_) => None,
    };
    let class = fields.some(&path("condition_class"), class, "must be a class");
    let dated = asks == Some(Asks::PresenceAndDate) && class == Some(ConditionClass::Defer);
    let deferral = match deferral {
        Some(PbDeferral::DeferDays(days)) => {
            fields.within(&path("defer_days"), *days, 1, MAX_DEFERRAL).map(|days| Some(Deferral::Days(days)))
        }
        Some(PbDeferral::DeferMonths(months)) => {
            fields.within(&path("defer_months"), *months, 1, MAX_DEFERRAL).map(|months| Some(Deferral::Months(months)))
        }
        None => Some(None),
    }?;
    let remedy = "must be set, as defer_days or defer_months, exactly for CONDITION_CLASS_DEFER with PRESENCE_AND_DATE";
    fields.some(&path("deferral"), (deferral.is_some() == dated).then_some(()), remedy);
    let lifted_by_its_meaning = matches!(class, Some(ConditionClass::Clear | ConditionClass::Premed));
    let may = (*may_be_cleared || !lifted_by_its_meaning).then_some(*may_be_cleared);
    let may_be_cleared = fields.some(&path("may_be_cleared"), may, "must be true for CLEAR and PREMED");
    fields.some(&path("meaning"), (!meaning.trim().is_empty()).then_some(()), "must not be empty");
    let meaning = fields.prose(&path("meaning"), meaning);
    let evidence = evidence(fields, &path("evidence"), source.as_ref());
    Some(ScreeningRule {
        condition: condition?,
        asks: asks?,
        question: question?,
        class: class?,
        deferral,
        may_be_cleared: may_be_cleared?,
        meaning: meaning?,
        evidence: evidence?,
    })
}

pub fn reaction_rule(fields: &mut Fields, field: &str, rule: &pb::ReactionRule) -> Option<ReactionRule> {
    let pb::ReactionRule { kind, name, reaction_grade: grade, counts_as, instruction, evidence: source } = rule;
    let path = |name: &str| format!("{field}.{name}");
    let kind = code(fields, &path("kind"), kind);
    let name = fields.label(&path("name"), name);
    let grade = reaction_grade(fields, &path("reaction_grade"), *grade);
    let counts_as =
        if counts_as.is_empty() { Some(None) } else { code(fields, &path("counts_as"), counts_as).map(Some) };
    let instruction = fields.prose(&path("instruction"), instruction);
    let evidence = evidence(fields, &path("evidence"), source.as_ref());
    Some(ReactionRule {
        kind: kind?,
        name: name?,
        grade: grade?,
        counts_as: counts_as?,
        instruction: instruction?,
        evidence: evidence?,
    })
}

/// How grave a reaction is.
pub fn reaction_grade(fields: &mut Fields, field: &str, grade: i32) -> Option<ReactionGrade> {
    let grade = match pb::ReactionGrade::try_from(grade) {
        Ok(pb::ReactionGrade::Normal) => Some(ReactionGrade::Normal),
        Ok(pb::ReactionGrade::Warning) => Some(ReactionGrade::Warning),
        Ok(pb::ReactionGrade::Serious) => Some(ReactionGrade::Serious),
        Ok(pb::ReactionGrade::Unspecified) | Err(_) => None,
    };
    fields.some(field, grade, "must be a grade")
}

pub fn maintenance(fields: &mut Fields, field: &str, maintenance: &pb::Maintenance) -> Option<Maintenance> {
    let pb::Maintenance { minimum_days, target_days, evidence: source } = maintenance;
    let remedy = "must be 1 <= minimum_days <= target_days <= 730";
    let days = fields.some(&format!("{field}.minimum_days"), MaintenanceDays::new(*minimum_days, *target_days), remedy);
    let evidence = evidence(fields, &format!("{field}.evidence"), source.as_ref());
    Some(Maintenance { days: days?, evidence: evidence? })
}

pub fn rendered_clearance(rules: &ClearanceRules) -> pb::ClearanceRules {
    let ClearanceRules {
        consultation,
        qualification,
        valid_days,
        cooling_off_hours,
        patch_test_hours,
        screening_days,
        evidence,
    } = rules;
    pb::ClearanceRules {
        consultation_treatment_id: consultation.to_string(),
        qualification: qualification.as_str().to_owned(),
        valid_days: *valid_days,
        cooling_off_hours: *cooling_off_hours,
        patch_test_hours: *patch_test_hours,
        screening_days: *screening_days,
        evidence: Some(render::evidence(evidence)),
    }
}

pub fn rendered_screening_rule(rule: &ScreeningRule) -> pb::ScreeningRule {
    let ScreeningRule { condition, asks, question, class, deferral, may_be_cleared, meaning, evidence } = rule;
    let (asks, range) = match *asks {
        Asks::Presence => (pb::ScreeningQuestion::Presence, None),
        Asks::PresenceAndDate => (pb::ScreeningQuestion::PresenceAndDate, None),
        Asks::SkinType(range) => (pb::ScreeningQuestion::SkinType, Some(range)),
        Asks::Age(range) => (pb::ScreeningQuestion::Age, Some(range)),
    };
    pb::ScreeningRule {
        condition: condition.as_str().to_owned(),
        asks: asks.into(),
        question: question.as_str().to_owned(),
        least: range.map_or(0, |range| range.least),
        most: range.map_or(0, |range| range.most),
        condition_class: rendered_class(*class).into(),
        may_be_cleared: *may_be_cleared,
        meaning: meaning.as_str().to_owned(),
        evidence: Some(render::evidence(evidence)),
        deferral: deferral.map(|deferral| match deferral {
            Deferral::Days(days) => PbDeferral::DeferDays(days),
            Deferral::Months(months) => PbDeferral::DeferMonths(months),
        }),
    }
}

/// What a condition does to sessions.
pub const fn rendered_class(class: ConditionClass) -> pb::ConditionClass {
    match class {
        ConditionClass::Block => pb::ConditionClass::Block,
        ConditionClass::Defer => pb::ConditionClass::Defer,
        ConditionClass::Clear => pb::ConditionClass::Clear,
        ConditionClass::Premed => pb::ConditionClass::Premed,
    }
}

pub fn rendered_reaction_rule(rule: &ReactionRule) -> pb::ReactionRule {
    let ReactionRule { kind, name, grade, counts_as, instruction, evidence } = rule;
    pb::ReactionRule {
        kind: kind.as_str().to_owned(),
        name: name.as_str().to_owned(),
        reaction_grade: rendered_grade(*grade).into(),
        counts_as: counts_as.as_ref().map(|code| code.as_str().to_owned()).unwrap_or_default(),
        instruction: instruction.as_str().to_owned(),
        evidence: Some(render::evidence(evidence)),
    }
}

/// How grave a reaction is.
pub const fn rendered_grade(grade: ReactionGrade) -> pb::ReactionGrade {
    match grade {
        ReactionGrade::Normal => pb::ReactionGrade::Normal,
        ReactionGrade::Warning => pb::ReactionGrade::Warning,
        ReactionGrade::Serious => pb::ReactionGrade::Serious,
    }
}

pub fn rendered_maintenance(maintenance: &Maintenance) -> pb::Maintenance {
    let Maintenance { days, evidence } = maintenance;
    pb::Maintenance { minimum_days: days.minimum, target_days: days.target, evidence: Some(render::evidence(evidence)) }
}
