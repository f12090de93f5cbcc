//! Writing treatments: one statement for each table.

use sqlx::PgConnection;
use uuid::Uuid;

use super::treatment::{DAYS, HOURS};
use crate::domain::catalog::{Activity, Combination, Duty, Evidence, Need, Phase, Restriction, Span, Treatment};
use crate::domain::ids::{PracticeId, TreatmentId};
use crate::store::StoreError;
use crate::store::error::expect_rows;

/// Inserts a new version of a treatment, with all that it is made of.
pub async fn insert_treatment(
    db: &mut PgConnection,
    practice: PracticeId,
    treatment: &Treatment,
) -> Result<(), StoreError> {
    let content = &treatment.content;
    let (spacing, across) = (content.spacing_evidence.as_ref(), content.across_areas.as_ref());
    let done = sqlx::query!(
        "INSERT INTO treatments (practice_id, treatment_id, version, name, spacing_days, published_revision,
                                 published_at, spacing_source, spacing_grade, spacing_rationale, across_areas_days,
                                 across_areas_source, across_areas_grade, across_areas_rationale)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        practice.0,
        treatment.id.0,
        treatment.version,
        content.name.as_str(),
        content.spacing_days,
        treatment.published_revision,
        treatment.published_at,
        spacing.map(|evidence| evidence.source.as_str()),
        spacing.map(|evidence| evidence.grade.as_str()),
        spacing.map(|evidence| evidence.rationale.as_str()),
        across.map(|across| across.days),
        across.map(|across| across.evidence.source.as_str()),
        across.map(|across| across.evidence.grade.as_str()),
        across.map(|across| across.evidence.rationale.as_str())
    );
    expect_rows("insert treatment", 1, &done.execute(&mut *db).await?)?;
    let of = (practice, treatment.id, treatment.version);
    insert_phases(db, of, &content.phases).await?;
    insert_needs(db, of, &content.phases).await?;
    insert_exposures(db, of, &content.exposures).await?;
    insert_restrictions(db, of, &content.restrictions).await?;
    insert_duties(db, of, &content.duties).await?;
    insert_combinations(db, of, &content.combinations).await
}

/// The version of a treatment to which rows belong.
type Of = (PracticeId, TreatmentId, i32);

async fn insert_phases(
    db: &mut PgConnection,
    (practice, treatment, version): Of,
    phases: &[Phase],
) -> Result<(), StoreError> {
    if phases.is_empty() {
        return Ok(());
    }
    let positions: Vec<i16> = (0..).zip(phases).map(|(position, _)| position).collect();
    let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
    let minutes: Vec<i32> = phases.iter().map(|phase| phase.minutes).collect();
    let present: Vec<bool> = phases.iter().map(|phase| phase.patient_present).collect();
    let exposing: Vec<bool> = phases.iter().map(|phase| phase.exposing).collect();
    let texts = |of: fn(&Evidence) -> &str| -> Vec<Option<&str>> {
        phases.iter().map(|phase| phase.evidence.as_ref().map(of)).collect()
    };
    let done = sqlx::query!(
        "INSERT INTO treatment_phases (practice_id, treatment_id, version, position, name, minutes, patient_present,
                                       exposing, source, grade, rationale)
         SELECT $1, $2, $3, * FROM UNNEST($4::smallint[], $5::text[], $6::integer[], $7::boolean[], $8::boolean[],
                                          $9::text[], $10::text[], $11::text[])",
        practice.0,
        treatment.0,
        version,
        &positions,
        &names as &[&str],
        &minutes,
        &present,
        &exposing,
        &texts(|evidence| evidence.source.as_str()) as &[Option<&str>],
        &texts(|evidence| evidence.grade.as_str()) as &[Option<&str>],
        &texts(|evidence| evidence.rationale.as_str()) as &[Option<&str>]
    );
    expect_rows("insert phases", phases.len(), &done.execute(db).await?)
}

async fn insert_needs(
    db: &mut PgConnection,
    (practice, treatment, version): Of,
    phases: &[Phase],
) -> Result<(), StoreError> {
    let needs: Vec<(i16, &Need)> =
        (0..).zip(phases).flat_map(|(position, phase)| phase.needs.iter().map(move |need| (position, need))).collect();
    if needs.is_empty() {
        return Ok(());
    }
    let positions: Vec<i16> = needs.iter().map(|(position, _)| *position).collect();
    let kinds: Vec<&str> = needs.iter().map(|(_, need)| need.kind.as_str()).collect();
    let qualifications: Vec<&str> = needs.iter().map(|(_, need)| need.qualification.as_str()).collect();
    let done = sqlx::query!(
        "INSERT INTO treatment_needs (practice_id, treatment_id, version, position, kind, qualification)
         SELECT $1, $2, $3, * FROM UNNEST($4::smallint[], $5::text[], $6::text[])",
        practice.0,
        treatment.0,
        version,
        &positions,
        &kinds as &[&str],
        &qualifications as &[&str]
    );
    expect_rows("insert needs", needs.len(), &done.execute(db).await?)
}

async fn insert_exposures(
    db: &mut PgConnection,
    (practice, treatment, version): Of,
    exposures: &[Activity],
) -> Result<(), StoreError> {
    if exposures.is_empty() {
        return Ok(());
    }
    let activities: Vec<&str> = exposures.iter().map(|activity| activity.as_str()).collect();
    let done = sqlx::query!(
        "INSERT INTO treatment_exposures (practice_id, treatment_id, version, activity)
         SELECT $1, $2, $3, * FROM UNNEST($4::text[])",
        practice.0,
        treatment.0,
        version,
        &activities as &[&str]
    );
    expect_rows("insert exposures", exposures.len(), &done.execute(db).await?)
}

async fn insert_restrictions(
    db: &mut PgConnection,
    (practice, treatment, version): Of,
    restrictions: &[Restriction],
) -> Result<(), StoreError> {
    if restrictions.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&Restriction) -> &str| -> Vec<&str> { restrictions.iter().map(of).collect() };
    let (before_amounts, before_units): (Vec<i32>, Vec<&str>) = restrictions.iter().map(|r| stored(r.before)).unzip();
    let advices: Vec<bool> = restrictions.iter().map(|r| r.advice_only).collect();
    let (after_amounts, after_units): (Vec<i32>, Vec<&str>) = restrictions.iter().map(|r| stored(r.after)).unzip();
    let done = sqlx::query!(
        "INSERT INTO treatment_restrictions (practice_id, treatment_id, version, activity, before_amount, before_unit,
                                             after_amount, after_unit, instruction, source, grade, rationale, advice)
         SELECT $1, $2, $3, * FROM UNNEST($4::text[], $5::integer[], $6::text[], $7::integer[], $8::text[], $9::text[],
                                          $10::text[], $11::text[], $12::text[], $13::boolean[])",
        practice.0,
        treatment.0,
        version,
        &texts(|r| r.activity.as_str()) as &[&str],
        &before_amounts,
        &before_units as &[&str],
        &after_amounts,
        &after_units as &[&str],
        &texts(|r| r.instruction.as_str()) as &[&str],
        &texts(|r| r.evidence.source.as_str()) as &[&str],
        &texts(|r| r.evidence.grade.as_str()) as &[&str],
        &texts(|r| r.evidence.rationale.as_str()) as &[&str],
        &advices
    );
    expect_rows("insert restrictions", restrictions.len(), &done.execute(db).await?)
}

async fn insert_duties(
    db: &mut PgConnection,
    (practice, treatment, version): Of,
    duties: &[Duty],
) -> Result<(), StoreError> {
    if duties.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&Duty) -> &str| -> Vec<&str> { duties.iter().map(of).collect() };
    let (from_amounts, from_units): (Vec<i32>, Vec<&str>) = duties.iter().map(|d| stored(d.from)).unzip();
    let (until_amounts, until_units): (Vec<i32>, Vec<&str>) = duties.iter().map(|d| stored(Some(d.until))).unzip();
    let done = sqlx::query!(
        "INSERT INTO treatment_duties (practice_id, treatment_id, version, activity, from_amount, from_unit, until_amount,
                                       until_unit, instruction, source, grade, rationale)
         SELECT $1, $2, $3, * FROM UNNEST($4::text[], $5::integer[], $6::text[], $7::integer[], $8::text[], $9::text[],
                                          $10::text[], $11::text[], $12::text[])",
        practice.0,
        treatment.0,
        version,
        &texts(|d| d.activity.as_str()) as &[&str],
        &from_amounts,
        &from_units as &[&str],
        &until_amounts,
        &until_units as &[&str],
        &texts(|d| d.instruction.as_str()) as &[&str],
        &texts(|d| d.evidence.source.as_str()) as &[&str],
        &texts(|d| d.evidence.grade.as_str()) as &[&str],
        &texts(|d| d.evidence.rationale.as_str()) as &[&str]
    );
    expect_rows("insert duties", duties.len(), &done.execute(db).await?)
}

async fn insert_combinations(
    db: &mut PgConnection,
    (practice, treatment, version): Of,
    combinations: &[Combination],
) -> Result<(), StoreError> {
    if combinations.is_empty() {
        return Ok(());
    }
    let add_ons: Vec<Uuid> = combinations.iter().map(|combination| combination.add_on.0).collect();
    let texts = |of: fn(&Evidence) -> &str| -> Vec<&str> { combinations.iter().map(|c| of(&c.evidence)).collect() };
    let done = sqlx::query!(
        "INSERT INTO treatment_combinations (practice_id, treatment_id, version, add_on_treatment_id, source, grade,
                                             rationale)
         SELECT $1, $2, $3, * FROM UNNEST($4::uuid[], $5::text[], $6::text[], $7::text[])",
        practice.0,
        treatment.0,
        version,
        &add_ons,
        &texts(|evidence| evidence.source.as_str()) as &[&str],
        &texts(|evidence| evidence.grade.as_str()) as &[&str],
        &texts(|evidence| evidence.rationale.as_str()) as &[&str]
    );
    expect_rows("insert combinations", combinations.len(), &done.execute(db).await?)
}

const fn stored(span: Option<Span>) -> (i32, &'static str) {
    match span {
        Some(Span::Hours(hours)) => (hours, HOURS),
        Some(Span::Days(days)) => (days, DAYS),
        None => (0, HOURS),
    }
}
