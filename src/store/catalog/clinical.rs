//! The clinical rules of protocols: screening and reactions, as rows of their own.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::evidence;
use crate::domain::ids::{PracticeId, ProtocolId};
use crate::domain::reaction::{ReactionGrade, ReactionRule};
use crate::domain::screening::{Asks, ConditionClass, Deferral, MAX_AGE, Range, ScreeningRule};
use crate::domain::text::Code;
use crate::store::error::expect_rows;
use crate::store::{StoreError, read};

/// How the ways of asking are stored.
const PRESENCE: &str = "presence";
const PRESENCE_AND_DATE: &str = "presence_and_date";
const SKIN_TYPE: &str = "skin_type";
const AGE: &str = "age";
/// How the units of deferrals are stored.
const DAYS: &str = "days";
const MONTHS: &str = "months";

/// A protocol in one version.
pub(super) type Version = (Uuid, i32);

/// The screening rules of some protocols, in order.
pub(super) async fn screening_rules(
    db: &mut PgConnection,
    practice: PracticeId,
    protocols: &[Version],
) -> Result<HashMap<Version, Vec<ScreeningRule>>, StoreError> {
    let (ids, versions): (Vec<Uuid>, Vec<i32>) = protocols.iter().copied().unzip();
    let rows = sqlx::query!(
        "SELECT r.protocol_id, r.version, condition, asks, question, least, most, class, deferral_amount, deferral_unit,
                may_be_cleared, meaning, source, grade, rationale
         FROM screening_rules r
         JOIN UNNEST($2::uuid[], $3::integer[]) AS wanted (protocol_id, version)
             ON r.protocol_id = wanted.protocol_id AND r.version = wanted.version
         WHERE r.practice_id = $1
         ORDER BY r.protocol_id, r.version, position",
        practice.0,
        &ids,
        &versions
    );
    let mut found: HashMap<Version, Vec<ScreeningRule>> = HashMap::new();
    for row in rows.fetch_all(db).await? {
        let deferral = match (row.deferral_unit.as_deref(), row.deferral_amount) {
            (None, None) => None,
            (Some(DAYS), Some(days)) => Some(Deferral::Days(days)),
            (Some(MONTHS), Some(months)) => Some(Deferral::Months(months)),
            _ => return Err(StoreError::Corrupt("deferral of a condition")),
        };
        let rule = ScreeningRule {
            condition: read::named(Code::new(&row.condition))?,
            asks: read_asks(&row.asks, row.least, row.most)?,
            question: read::prose(&row.question)?,
            class: read::named(ConditionClass::from_name(&row.class))?,
            deferral,
            may_be_cleared: row.may_be_cleared,
            meaning: read::prose(&row.meaning)?,
            evidence: evidence(&row.source, &row.grade, &row.rationale)?,
        };
        found.entry((row.protocol_id, row.version)).or_default().push(rule);
    }
    Ok(found)
}

/// Whether a protocol leaves each of some conditions to a practitioner, as the highest of its versions says that asks for
/// it. Conditions that none ever asked for are left out.
pub async fn may_be_cleared(
    db: &mut PgConnection,
    practice: PracticeId,
    protocol: ProtocolId,
    conditions: &[Code],
) -> Result<Vec<(Code, bool)>, StoreError> {
    let conditions: Vec<&str> = conditions.iter().map(Code::as_str).collect();
    let rows = sqlx::query!(
        "SELECT DISTINCT ON (condition) condition, may_be_cleared FROM screening_rules
         WHERE practice_id = $1 AND protocol_id = $2 AND condition = ANY($3)
         ORDER BY condition, version DESC",
        practice.0,
        protocol.0,
        &conditions as &[&str]
    );
    let rows = rows.fetch_all(db).await?;
    rows.into_iter().map(|row| Ok((read::named(Code::new(&row.condition))?, row.may_be_cleared))).collect()
}

/// The reaction rules of some protocols, in order.
pub(super) async fn reaction_rules(
    db: &mut PgConnection,
    practice: PracticeId,
    protocols: &[Version],
) -> Result<HashMap<Version, Vec<ReactionRule>>, StoreError> {
    let (ids, versions): (Vec<Uuid>, Vec<i32>) = protocols.iter().copied().unzip();
    let rows = sqlx::query!(
        "SELECT r.protocol_id, r.version, kind, name, reaction_grade, counts_as, instruction, source, grade, rationale
         FROM reaction_rules r
         JOIN UNNEST($2::uuid[], $3::integer[]) AS wanted (protocol_id, version)
             ON r.protocol_id = wanted.protocol_id AND r.version = wanted.version
         WHERE r.practice_id = $1
         ORDER BY r.protocol_id, r.version, position",
        practice.0,
        &ids,
        &versions
    );
    let mut found: HashMap<Version, Vec<ReactionRule>> = HashMap::new();
    for row in rows.fetch_all(db).await? {
        let rule = ReactionRule {
            kind: read::named(Code::new(&row.kind))?,
            name: read::label(&row.name)?,
            grade: read::named(ReactionGrade::from_name(&row.reaction_grade))?,
            counts_as: row.counts_as.map(|code| read::named(Code::new(&code))).transpose()?,
            instruction: read::prose(&row.instruction)?,
            evidence: evidence(&row.source, &row.grade, &row.rationale)?,
        };
        found.entry((row.protocol_id, row.version)).or_default().push(rule);
    }
    Ok(found)
}

/// Inserts the screening rules of a new version.
pub(super) async fn insert_screening_rules(
    db: &mut PgConnection,
    (practice, protocol, version): (PracticeId, ProtocolId, i32),
    rules: &[ScreeningRule],
) -> Result<(), StoreError> {
    if rules.is_empty() {
        return Ok(());
    }
    let positions: Vec<i16> = (0..).zip(rules).map(|(position, _)| position).collect();
    let texts = |of: fn(&ScreeningRule) -> &str| -> Vec<&str> { rules.iter().map(of).collect() };
    let asks: Vec<(&str, Option<Range>)> = rules.iter().map(|rule| stored_asks(rule.asks)).collect();
    let kinds: Vec<&str> = asks.iter().map(|(kind, _)| *kind).collect();
    let least: Vec<Option<i32>> = asks.iter().map(|(_, range)| range.map(|range| range.least)).collect();
    let most: Vec<Option<i32>> = asks.iter().map(|(_, range)| range.map(|range| range.most)).collect();
    let deferrals: Vec<(Option<i32>, Option<&str>)> = rules.iter().map(|rule| stored_deferral(rule.deferral)).collect();
    let (amounts, units): (Vec<Option<i32>>, Vec<Option<&str>>) = deferrals.into_iter().unzip();
    let may_be_cleared: Vec<bool> = rules.iter().map(|rule| rule.may_be_cleared).collect();
    let done = sqlx::query!(
        "INSERT INTO screening_rules (practice_id, protocol_id, version, position, condition, asks, question, least,
                                      most, class, deferral_amount, deferral_unit, may_be_cleared, meaning, source,
                                      grade, rationale)
         SELECT $1, $2, $3, * FROM UNNEST($4::smallint[], $5::text[], $6::text[], $7::text[], $8::integer[],
                                          $9::integer[], $10::text[], $11::integer[], $12::text[], $13::boolean[],
                                          $14::text[], $15::text[], $16::text[], $17::text[])",
        practice.0,
        protocol.0,
        version,
        &positions,
        &texts(|rule| rule.condition.as_str()) as &[&str],
        &kinds as &[&str],
        &texts(|rule| rule.question.as_str()) as &[&str],
        &least as &[Option<i32>],
        &most as &[Option<i32>],
        &texts(|rule| rule.class.as_str()) as &[&str],
        &amounts as &[Option<i32>],
        &units as &[Option<&str>],
        &may_be_cleared,
        &texts(|rule| rule.meaning.as_str()) as &[&str],
        &texts(|rule| rule.evidence.source.as_str()) as &[&str],
        &texts(|rule| rule.evidence.grade.as_str()) as &[&str],
        &texts(|rule| rule.evidence.rationale.as_str()) as &[&str]
    );
    expect_rows("insert screening rules", rules.len(), &done.execute(db).await?)
}

/// Inserts the reaction rules of a new version.
pub(super) async fn insert_reaction_rules(
    db: &mut PgConnection,
    (practice, protocol, version): (PracticeId, ProtocolId, i32),
    rules: &[ReactionRule],
) -> Result<(), StoreError> {
    if rules.is_empty() {
        return Ok(());
    }
    let positions: Vec<i16> = (0..).zip(rules).map(|(position, _)| position).collect();
    let texts = |of: fn(&ReactionRule) -> &str| -> Vec<&str> { rules.iter().map(of).collect() };
    let counts_as: Vec<Option<&str>> = rules.iter().map(|rule| rule.counts_as.as_ref().map(Code::as_str)).collect();
    let done = sqlx::query!(
        "INSERT INTO reaction_rules (practice_id, protocol_id, version, position, kind, name, reaction_grade, counts_as,
                                     instruction, source, grade, rationale)
         SELECT $1, $2, $3, * FROM UNNEST($4::smallint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                                          $10::text[], $11::text[], $12::text[])",
        practice.0,
        protocol.0,
        version,
        &positions,
        &texts(|rule| rule.kind.as_str()) as &[&str],
        &texts(|rule| rule.name.as_str()) as &[&str],
        &texts(|rule| rule.grade.as_str()) as &[&str],
        &counts_as as &[Option<&str>],
        &texts(|rule| rule.instruction.as_str()) as &[&str],
        &texts(|rule| rule.evidence.source.as_str()) as &[&str],
        &texts(|rule| rule.evidence.grade.as_str()) as &[&str],
        &texts(|rule| rule.evidence.rationale.as_str()) as &[&str]
    );
    expect_rows("insert reaction rules", rules.len(), &done.execute(db).await?)
}

const fn stored_asks(asks: Asks) -> (&'static str, Option<Range>) {
    match asks {
        Asks::Presence => (PRESENCE, None),
        Asks::PresenceAndDate => (PRESENCE_AND_DATE, None),
        Asks::SkinType(range) => (SKIN_TYPE, Some(range)),
        Asks::Age(range) => (AGE, Some(range)),
    }
}

fn read_asks(kind: &str, least: Option<i32>, most: Option<i32>) -> Result<Asks, StoreError> {
    let range = |lowest, highest| least.zip(most).and_then(|(a, b)| Range::new(a, b, lowest, highest));
    let asks = match kind {
        PRESENCE => Some(Asks::Presence),
        PRESENCE_AND_DATE => Some(Asks::PresenceAndDate),
        SKIN_TYPE => range(1, 6).map(Asks::SkinType),
        AGE => range(0, MAX_AGE).map(Asks::Age),
        _ => None,
    };
    asks.ok_or(StoreError::Corrupt("way of asking"))
}

const fn stored_deferral(deferral: Option<Deferral>) -> (Option<i32>, Option<&'static str>) {
    match deferral {
        None => (None, None),
        Some(Deferral::Days(days)) => (Some(days), Some(DAYS)),
        Some(Deferral::Months(months)) => (Some(months), Some(MONTHS)),
    }
}
