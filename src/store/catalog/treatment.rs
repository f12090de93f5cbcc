//! Reading treatments, each whole in one statement.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{evidence, known};
use crate::domain::catalog::{
    AcrossAreas, Activity, Combination, Duty, Need, Phase, Qualification, ResourceKind, Restriction, Span, Treatment,
    TreatmentContent,
};
use crate::domain::ids::{PracticeId, TreatmentId};
use crate::domain::interval::Instant;
use crate::store::{StoreError, read};

/// The unit of a span of hours, and of no span at all.
pub(super) const HOURS: &str = "hours";
/// The unit of a span of days.
pub(super) const DAYS: &str = "days";

/// Selects rows of treatments whole; what `$from` picks from the table is known as `t`. Each child table comes as
/// arrays in parallel, from one sorted subquery and nothing else, so that they keep its order: sorting anew in each
/// `array_agg` is slower. Names are ordered by their bytes, because the place of a need among the needs is kept with
/// the appointments and must not change with the database's locale.
macro_rules! select {
    ($from:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT t.treatment_id, t.version, t.name, t.spacing_days, t.published_revision, t.published_at,
                      t.spacing_source, t.spacing_grade, t.spacing_rationale, t.across_areas_days,
                      t.across_areas_source, t.across_areas_grade, t.across_areas_rationale,
                      p.phase_names AS "phase_names!: Vec<String>", p.phase_minutes AS "phase_minutes!: Vec<i32>",
                      p.phases_present AS "phases_present!: Vec<bool>",
                      p.phases_exposing AS "phases_exposing!: Vec<bool>",
                      p.sources AS "phase_sources!: Vec<Option<String>>",
                      p.grades AS "phase_grades!: Vec<Option<String>>",
                      p.rationales AS "phase_rationales!: Vec<Option<String>>",
                      n.need_phases AS "need_phases!: Vec<i16>", n.need_kinds AS "need_kinds!: Vec<String>",
                      n.need_qualifications AS "need_qualifications!: Vec<String>",
                      e.exposures AS "exposures!: Vec<String>",
                      r.restricted AS "restricted!: Vec<String>",
                      r.before_amounts AS "before_amounts!: Vec<i32>", r.before_units AS "before_units!: Vec<String>",
                      r.after_amounts AS "after_amounts!: Vec<i32>", r.after_units AS "after_units!: Vec<String>",
                      r.advices AS "advices!: Vec<bool>", r.instructions AS "instructions!: Vec<String>",
                      r.sources AS "sources!: Vec<String>",
                      r.grades AS "grades!: Vec<String>", r.rationales AS "rationales!: Vec<String>",
                      d.activities AS "duties!: Vec<String>", d.from_amounts AS "from_amounts!: Vec<i32>",
                      d.from_units AS "from_units!: Vec<String>", d.until_amounts AS "until_amounts!: Vec<i32>",
                      d.until_units AS "until_units!: Vec<String>",
                      d.instructions AS "duty_instructions!: Vec<String>", d.sources AS "duty_sources!: Vec<String>",
                      d.grades AS "duty_grades!: Vec<String>", d.rationales AS "duty_rationales!: Vec<String>",
                      b.add_ons AS "add_ons!: Vec<Uuid>", b.sources AS "add_on_sources!: Vec<String>",
                      b.grades AS "add_on_grades!: Vec<String>", b.rationales AS "add_on_rationales!: Vec<String>"
               FROM "# + $from + r#" AS t
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(name), '{}') AS phase_names,
                          coalesce(array_agg(minutes), '{}') AS phase_minutes,
                          coalesce(array_agg(patient_present), '{}') AS phases_present,
                          coalesce(array_agg(exposing), '{}') AS phases_exposing,
                          coalesce(array_agg(source), '{}') AS sources, coalesce(array_agg(grade), '{}') AS grades,
                          coalesce(array_agg(rationale), '{}') AS rationales
                   FROM (SELECT * FROM treatment_phases AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY position) AS ordered
               ) AS p
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(position), '{}') AS need_phases,
                          coalesce(array_agg(kind), '{}') AS need_kinds,
                          coalesce(array_agg(qualification), '{}') AS need_qualifications
                   FROM (SELECT * FROM treatment_needs AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY position, kind COLLATE "C", qualification COLLATE "C") AS ordered
               ) AS n
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(activity), '{}') AS exposures
                   FROM (SELECT * FROM treatment_exposures AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY activity COLLATE "C") AS ordered
               ) AS e
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(activity), '{}') AS restricted,
                          coalesce(array_agg(before_amount), '{}') AS before_amounts,
                          coalesce(array_agg(before_unit), '{}') AS before_units,
                          coalesce(array_agg(after_amount), '{}') AS after_amounts,
                          coalesce(array_agg(after_unit), '{}') AS after_units,
                          coalesce(array_agg(advice), '{}') AS advices,
                          coalesce(array_agg(instruction), '{}') AS instructions,
                          coalesce(array_agg(source), '{}') AS sources, coalesce(array_agg(grade), '{}') AS grades,
                          coalesce(array_agg(rationale), '{}') AS rationales
                   FROM (SELECT * FROM treatment_restrictions AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY activity COLLATE "C") AS ordered
               ) AS r
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(activity), '{}') AS activities,
                          coalesce(array_agg(from_amount), '{}') AS from_amounts,
                          coalesce(array_agg(from_unit), '{}') AS from_units,
                          coalesce(array_agg(until_amount), '{}') AS until_amounts,
                          coalesce(array_agg(until_unit), '{}') AS until_units,
                          coalesce(array_agg(instruction), '{}') AS instructions,
                          coalesce(array_agg(source), '{}') AS sources, coalesce(array_agg(grade), '{}') AS grades,
                          coalesce(array_agg(rationale), '{}') AS rationales
                   FROM (SELECT * FROM treatment_duties AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY activity COLLATE "C") AS ordered
               ) AS d
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(add_on_treatment_id), '{}') AS add_ons,
                          coalesce(array_agg(source), '{}') AS sources, coalesce(array_agg(grade), '{}') AS grades,
                          coalesce(array_agg(rationale), '{}') AS rationales
                   FROM (SELECT * FROM treatment_combinations AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY add_on_treatment_id) AS ordered
               ) AS b
               ORDER BY t.treatment_id, t.version"#,
            $($argument),+
        )
    };
}

/// A treatment in one version; none stands for the highest.
pub async fn treatment(
    db: &mut PgConnection,
    practice: PracticeId,
    treatment: TreatmentId,
    version: Option<i32>,
) -> Result<Option<Treatment>, StoreError> {
    let row = select!(
        "(SELECT * FROM treatments
          WHERE practice_id = $1 AND treatment_id = $2 AND ($3::integer IS NULL OR version = $3)
          ORDER BY version DESC LIMIT 1)",
        practice.0,
        treatment.0,
        version
    );
    row.fetch_optional(db).await?.map(Row::read).transpose()
}

/// Treatments in exactly these versions, each once; those that do not exist are left out.
pub async fn treatments(
    db: &mut PgConnection,
    practice: PracticeId,
    versions: &[(TreatmentId, i32)],
) -> Result<Vec<Treatment>, StoreError> {
    let (ids, versions): (Vec<Uuid>, Vec<i32>) = versions.iter().map(|(id, version)| (id.0, *version)).unzip();
    let rows = select!(
        "(SELECT * FROM treatments
          WHERE practice_id = $1 AND (treatment_id, version) IN (SELECT * FROM UNNEST($2::uuid[], $3::integer[])))",
        practice.0,
        &ids,
        &versions
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// Treatments in their highest versions, in order of their ids, after one of them.
pub async fn list_treatments(
    db: &mut PgConnection,
    practice: PracticeId,
    after: Option<TreatmentId>,
    limit: i64,
) -> Result<Vec<Treatment>, StoreError> {
    let rows = select!(
        "(SELECT DISTINCT ON (treatment_id) * FROM treatments
          WHERE practice_id = $1 AND ($2::uuid IS NULL OR treatment_id > $2)
          ORDER BY treatment_id, version DESC LIMIT $3)",
        practice.0,
        after.map(|id| id.0),
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

/// Which of these treatments exist, in any version.
pub async fn existing(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[TreatmentId],
) -> Result<Vec<TreatmentId>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let found = sqlx::query_scalar!(
        "SELECT DISTINCT treatment_id FROM treatments WHERE practice_id = $1 AND treatment_id = ANY($2)",
        practice.0,
        &ids
    );
    Ok(found.fetch_all(db).await?.into_iter().map(TreatmentId).collect())
}

fn span(amount: i32, unit: &str) -> Result<Option<Span>, StoreError> {
    match (amount, unit) {
        (0, _) => Ok(None),
        (hours, HOURS) => Ok(Some(Span::Hours(hours))),
        (days, DAYS) => Ok(Some(Span::Days(days))),
        (_, _) => Err(StoreError::Corrupt("unit of a span")),
    }
}

struct Row {
    treatment_id: Uuid,
    version: i32,
    name: String,
    spacing_days: Option<i32>,
    published_revision: i64,
    published_at: Instant,
    spacing_source: Option<String>,
    spacing_grade: Option<String>,
    spacing_rationale: Option<String>,
    across_areas_days: Option<i32>,
    across_areas_source: Option<String>,
    across_areas_grade: Option<String>,
    across_areas_rationale: Option<String>,
    phase_names: Vec<String>,
    phase_minutes: Vec<i32>,
    phases_present: Vec<bool>,
    phases_exposing: Vec<bool>,
    phase_sources: Vec<Option<String>>,
    phase_grades: Vec<Option<String>>,
    phase_rationales: Vec<Option<String>>,
    need_phases: Vec<i16>,
    need_kinds: Vec<String>,
    need_qualifications: Vec<String>,
    exposures: Vec<String>,
    restricted: Vec<String>,
    before_amounts: Vec<i32>,
    before_units: Vec<String>,
    after_amounts: Vec<i32>,
    after_units: Vec<String>,
    advices: Vec<bool>,
    instructions: Vec<String>,
    sources: Vec<String>,
    grades: Vec<String>,
    rationales: Vec<String>,
    duties: Vec<String>,
    from_amounts: Vec<i32>,
    from_units: Vec<String>,
    until_amounts: Vec<i32>,
    until_units: Vec<String>,
    duty_instructions: Vec<String>,
    duty_sources: Vec<String>,
    duty_grades: Vec<String>,
    duty_rationales: Vec<String>,
    add_ons: Vec<Uuid>,
    add_on_sources: Vec<String>,
    add_on_grades: Vec<String>,
    add_on_rationales: Vec<String>,
}

impl Row {
    fn read(self) -> Result<Treatment, StoreError> {
        let exposures = self.exposures.iter().map(|name| read::named(Activity::from_name(name)));
        Ok(Treatment {
            id: TreatmentId(self.treatment_id),
            version: self.version,
            published_at: self.published_at,
            published_revision: self.published_revision,
            content: TreatmentContent {
                name: read::label(&self.name)?,
                spacing_days: self.spacing_days,
                spacing_evidence: known(
                    self.spacing_source.as_deref(),
                    self.spacing_grade.as_deref(),
                    self.spacing_rationale.as_deref(),
                )?,
                across_areas: self.across_areas()?,
                phases: self.phases()?,
                exposures: exposures.collect::<Result<_, _>>()?,
                restrictions: self.restrictions()?,
                duties: self.duties()?,
                combinations: self.combinations()?,
            },
        })
    }

    fn across_areas(&self) -> Result<Option<AcrossAreas>, StoreError> {
        let evidence = known(
            self.across_areas_source.as_deref(),
            self.across_areas_grade.as_deref(),
            self.across_areas_rationale.as_deref(),
        )?;
        Ok(self.across_areas_days.zip(evidence).map(|(days, evidence)| AcrossAreas { days, evidence }))
    }

    fn combinations(&self) -> Result<Vec<Combination>, StoreError> {
        let evidences = self.add_on_sources.iter().zip(self.add_on_grades.iter().zip(&self.add_on_rationales));
        let combinations = self.add_ons.iter().zip(evidences).map(|(add_on, (source, (grade, rationale)))| {
            let evidence = evidence(source, grade, rationale)?;
            Ok(Combination { add_on: TreatmentId(*add_on), evidence })
        });
        combinations.collect()
    }

    fn phases(&self) -> Result<Vec<Phase>, StoreError> {
        let stretches = self.phase_names.iter().zip(&self.phase_minutes);
        let flags = self.phases_present.iter().zip(&self.phases_exposing);
        let evidences = self.phase_sources.iter().zip(self.phase_grades.iter().zip(&self.phase_rationales));
        let phases =
            (0..).zip(stretches.zip(flags).zip(evidences)).map(|(position, (phase, (source, (grade, why))))| {
                let ((name, minutes), (present, exposing)) = phase;
                Ok(Phase {
                    name: read::label(name)?,
                    minutes: *minutes,
                    patient_present: *present,
                    exposing: *exposing,
                    needs: self.needs(position)?,
                    evidence: known(source.as_deref(), grade.as_deref(), why.as_deref())?,
                })
            });
        phases.collect()
    }

    fn needs(&self, phase: i16) -> Result<Vec<Need>, StoreError> {
        let needs = self.need_phases.iter().zip(self.need_kinds.iter().zip(&self.need_qualifications));
        let of_phase = needs.filter(|(position, _)| **position == phase).map(|(_, (kind, qualification))| {
            Ok(Need {
                kind: read::named(ResourceKind::from_name(kind))?,
                qualification: read::named(Qualification::new(qualification))?,
            })
        });
        of_phase.collect()
    }

    fn restrictions(&self) -> Result<Vec<Restriction>, StoreError> {
        let befores = self.before_amounts.iter().zip(&self.before_units);
        let afters = self.after_amounts.iter().zip(&self.after_units);
        let told = self.advices.iter().zip(&self.instructions);
        let rules = self.restricted.iter().zip(befores.zip(afters)).zip(told);
        let evidences = self.sources.iter().zip(self.grades.iter().zip(&self.rationales));
        let restrictions = rules.zip(evidences).map(
            |(((activity, (before, after)), (advice, instruction)), (source, (grade, rationale)))| {
                Ok(Restriction {
                    activity: read::named(Activity::from_name(activity))?,
                    before: span(*before.0, before.1)?,
                    after: span(*after.0, after.1)?,
                    advice_only: *advice,
                    instruction: read::prose(instruction)?,
                    evidence: evidence(source, grade, rationale)?,
                })
            },
        );
        restrictions.collect()
    }

    fn duties(&self) -> Result<Vec<Duty>, StoreError> {
        let froms = self.from_amounts.iter().zip(&self.from_units);
        let untils = self.until_amounts.iter().zip(&self.until_units);
        let rules = self.duties.iter().zip(froms.zip(untils)).zip(&self.duty_instructions);
        let evidences = self.duty_sources.iter().zip(self.duty_grades.iter().zip(&self.duty_rationales));
        let duties =
            rules.zip(evidences).map(|(((activity, (from, until)), instruction), (source, (grade, rationale)))| {
                Ok(Duty {
                    activity: read::named(Activity::from_name(activity))?,
                    from: span(*from.0, from.1)?,
                    until: read::named(span(*until.0, until.1)?)?,
                    instruction: read::prose(instruction)?,
                    evidence: evidence(source, grade, rationale)?,
                })
            });
        duties.collect()
    }
}
