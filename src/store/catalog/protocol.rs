//! Protocols, each whole in one statement.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{clinical, evidence, known};
use crate::domain::assessment::{Assessment, AssessmentDue};
use crate::domain::catalog::{
    Evidence, GapDays, Maintenance, MaintenanceDays, Protocol, ProtocolContent, Qualification, SessionCounts,
};
use crate::domain::clearance::ClearanceRules;
use crate::domain::ids::{PracticeId, ProtocolId, TreatmentId};
use crate::domain::interval::Instant;
use crate::store::error::expect_rows;
use crate::store::{StoreError, read};

/// How the ways in which an assessment is due are stored.
const BEFORE_FIRST: &str = "before_first";
const AT_SESSION: &str = "at_session";
const AFTER_LAST: &str = "after_last";

/// Selects rows of protocols whole; what `$from` picks from the table is known as `p`. The assessments come as arrays
/// in parallel, all in the order of the one sorted subquery.
macro_rules! select {
    ($from:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT p.protocol_id, p.version, p.name, p.treatment_id, p.treatment_version, p.sessions_minimum,
                      p.sessions_default, p.sessions_maximum, p.gap_floor_days, p.gap_minimum_days, p.gap_target_days,
                      p.gap_maximum_days, p.source, p.grade, p.rationale, p.published_revision, p.published_at,
                      p.consultation_treatment_id, p.consultation_treatment_version, p.clearing_qualification,
                      p.clearance_days, p.cooling_off_hours, p.patch_test_hours, p.screening_days, p.clearance_source,
                      p.clearance_grade, p.clearance_rationale, p.maintenance_minimum_days, p.maintenance_target_days,
                      p.maintenance_source, p.maintenance_grade, p.maintenance_rationale, p.overdue_advice,
                      p.overdue_source, p.overdue_grade, p.overdue_rationale,
                      a.assessments AS "assessments!: Vec<String>", a.due_kinds AS "due_kinds!: Vec<String>",
                      a.at_sessions AS "at_sessions!: Vec<Option<i32>>",
                      a.due_minimums AS "due_minimums!: Vec<Option<i32>>",
                      a.due_targets AS "due_targets!: Vec<Option<i32>>",
                      a.due_maximums AS "due_maximums!: Vec<Option<i32>>",
                      a.due_sources AS "due_sources!: Vec<String>", a.due_grades AS "due_grades!: Vec<String>",
                      a.due_rationales AS "due_rationales!: Vec<String>"
               FROM "# + $from + r#" AS p
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(name), '{}') AS assessments,
                          coalesce(array_agg(due_kind), '{}') AS due_kinds,
                          coalesce(array_agg(at_session), '{}') AS at_sessions,
                          coalesce(array_agg(minimum_days), '{}') AS due_minimums,
                          coalesce(array_agg(target_days), '{}') AS due_targets,
                          coalesce(array_agg(maximum_days), '{}') AS due_maximums,
                          coalesce(array_agg(source), '{}') AS due_sources,
                          coalesce(array_agg(grade), '{}') AS due_grades,
                          coalesce(array_agg(rationale), '{}') AS due_rationales
                   FROM (SELECT * FROM protocol_assessments AS c
                         WHERE c.practice_id = p.practice_id AND c.protocol_id = p.protocol_id
                           AND c.version = p.version
                         ORDER BY position) AS ordered
               ) AS a
               ORDER BY p.protocol_id, p.version"#,
            $($argument),+
        )
    };
}

/// A protocol in one version; none stands for the highest.
pub async fn protocol(
    db: &mut PgConnection,
    practice: PracticeId,
    protocol: ProtocolId,
    version: Option<i32>,
) -> Result<Option<Protocol>, StoreError> {
    let row = select!(
        "(SELECT * FROM protocols
          WHERE practice_id = $1 AND protocol_id = $2 AND ($3::integer IS NULL OR version = $3)
          ORDER BY version DESC LIMIT 1)",
        practice.0,
        protocol.0,
        version
    );
    let row = row.fetch_optional(&mut *db).await?;
    Ok(whole(db, practice, row.into_iter().collect()).await?.pop())
}

/// A protocol in the highest of its versions that ask for a clearance.
pub async fn clearing_protocol(
    db: &mut PgConnection,
    practice: PracticeId,
    protocol: ProtocolId,
) -> Result<Option<Protocol>, StoreError> {
    let row = select!(
        "(SELECT * FROM protocols
          WHERE practice_id = $1 AND protocol_id = $2 AND consultation_treatment_id IS NOT NULL
          ORDER BY version DESC LIMIT 1)",
        practice.0,
        protocol.0
    );
    let row = row.fetch_optional(&mut *db).await?;
    Ok(whole(db, practice, row.into_iter().collect()).await?.pop())
}

/// Protocols in their highest versions, in order of their ids, after one of them.
pub async fn list_protocols(
    db: &mut PgConnection,
    practice: PracticeId,
    after: Option<ProtocolId>,
    limit: i64,
) -> Result<Vec<Protocol>, StoreError> {
    let rows = select!(
        "(SELECT DISTINCT ON (protocol_id) * FROM protocols
          WHERE practice_id = $1 AND ($2::uuid IS NULL OR protocol_id > $2)
          ORDER BY protocol_id, version DESC LIMIT $3)",
        practice.0,
        after.map(|id| id.0),
        limit
    );
    let rows = rows.fetch_all(&mut *db).await?;
    whole(db, practice, rows).await
}

/// Protocols by id and version.
pub async fn protocols(
    db: &mut PgConnection,
    practice: PracticeId,
    wanted: &[(ProtocolId, i32)],
) -> Result<Vec<Protocol>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (ids, versions): (Vec<Uuid>, Vec<i32>) = wanted.iter().map(|(id, version)| (id.0, *version)).unzip();
    let rows = select!(
        "(SELECT p.* FROM protocols p
          JOIN unnest($2::uuid[], $3::integer[]) AS w (id, version) ON w.id = p.protocol_id AND w.version = p.version
          WHERE p.practice_id = $1)",
        practice.0,
        &ids,
        &versions
    );
    let rows = rows.fetch_all(&mut *db).await?;
    whole(db, practice, rows).await
}

/// Of some treatments, each with the protocols in their highest versions that use it and ask for a clearance; where there
/// is none, with those to whose treatment it may be added.
pub async fn protocols_of(
    db: &mut PgConnection,
    practice: PracticeId,
    treatments: &[TreatmentId],
) -> Result<Vec<(TreatmentId, Protocol)>, StoreError> {
    if treatments.is_empty() {
        return Ok(Vec::new());
    }
    let treatments: Vec<Uuid> = treatments.iter().map(|id| id.0).collect();
    let asking = sqlx::query!(
        r#"SELECT w.treatment AS "treatment!", h.protocol_id, h.version, h.treatment_id = w.treatment AS "is_own!"
           FROM (SELECT DISTINCT ON (protocol_id) * FROM protocols WHERE practice_id = $1
                 ORDER BY protocol_id, version DESC) h
           JOIN (SELECT DISTINCT treatment FROM unnest($2::uuid[]) AS t (treatment)) w
             ON h.treatment_id = w.treatment
             OR EXISTS (SELECT FROM treatment_combinations c
                        WHERE c.practice_id = h.practice_id AND c.treatment_id = h.treatment_id
                          AND c.version = h.treatment_version AND c.add_on_treatment_id = w.treatment)
           WHERE h.consultation_treatment_id IS NOT NULL
           ORDER BY h.protocol_id"#,
        practice.0,
        &treatments
    );
    let mut asking = asking.fetch_all(&mut *db).await?;
    let own: HashSet<Uuid> = asking.iter().filter(|row| row.is_own).map(|row| row.treatment).collect();
    asking.retain(|row| row.is_own || !own.contains(&row.treatment));
    let mut versions: Vec<(ProtocolId, i32)> =
        asking.iter().map(|row| (ProtocolId(row.protocol_id), row.version)).collect();
    versions.dedup();
    let known = protocols(db, practice, &versions).await?;
    let of = |row: ProtocolId| known.iter().find(|protocol| protocol.id == row).cloned();
    let pairs =
        asking.into_iter().filter_map(|row| Some((TreatmentId(row.treatment), of(ProtocolId(row.protocol_id))?)));
    Ok(pairs.collect())
}

/// Protocols with their clinical rules.
async fn whole(db: &mut PgConnection, practice: PracticeId, rows: Vec<Row>) -> Result<Vec<Protocol>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let versions: Vec<clinical::Version> = rows.iter().map(|row| (row.protocol_id, row.version)).collect();
    let (mut screening, mut reactions) = (HashMap::new(), HashMap::new());
    // Only protocols that ask for a clearance have them.
    if rows.iter().any(|row| row.consultation_treatment_id.is_some()) {
        screening = clinical::screening_rules(db, practice, &versions).await?;
        reactions = clinical::reaction_rules(db, practice, &versions).await?;
    }
    let read = rows.into_iter().zip(versions).map(|(row, version)| {
        let mut protocol = row.read()?;
        protocol.content.screening = screening.remove(&version).unwrap_or_default();
        protocol.content.reactions = reactions.remove(&version).unwrap_or_default();
        Ok(protocol)
    });
    read.collect()
}

/// Inserts a new version of a protocol, with its assessments and clinical rules.
pub async fn insert_protocol(
    db: &mut PgConnection,
    practice: PracticeId,
    protocol: &Protocol,
) -> Result<(), StoreError> {
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
    } = &protocol.content;
    let clearance = clearance.as_ref();
    let done = sqlx::query!(
        "INSERT INTO protocols (practice_id, protocol_id, version, name, treatment_id, treatment_version,
                                sessions_minimum, sessions_default, sessions_maximum, gap_floor_days, gap_minimum_days,
                                gap_target_days, gap_maximum_days, source, grade, rationale, published_revision,
                                published_at, consultation_treatment_id, consultation_treatment_version,
                                clearing_qualification, clearance_days, cooling_off_hours, patch_test_hours,
                                screening_days, clearance_source, clearance_grade, clearance_rationale,
                                maintenance_minimum_days, maintenance_target_days, maintenance_source,
                                maintenance_grade, maintenance_rationale, overdue_advice, overdue_source,
                                overdue_grade, overdue_rationale)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                 $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)",
        practice.0,
        protocol.id.0,
        protocol.version,
        name.as_str(),
        treatment.0,
        protocol.treatment_version,
        sessions.minimum,
        sessions.default,
        sessions.maximum,
        gap.floor,
        gap.minimum,
        gap.target,
        gap.maximum,
        evidence.source.as_str(),
        evidence.grade.as_str(),
        evidence.rationale.as_str(),
        protocol.published_revision,
        protocol.published_at,
        clearance.map(|rules| rules.consultation.0),
        protocol.consultation_version,
        clearance.map(|rules| rules.qualification.as_str()),
        clearance.map(|rules| rules.valid_days),
        clearance.map(|rules| rules.cooling_off_hours),
        clearance.map(|rules| rules.patch_test_hours),
        clearance.map(|rules| rules.screening_days),
        clearance.map(|rules| rules.evidence.source.as_str()),
        clearance.map(|rules| rules.evidence.grade.as_str()),
        clearance.map(|rules| rules.evidence.rationale.as_str()),
        maintenance.as_ref().map(|maintenance| maintenance.days.minimum),
        maintenance.as_ref().map(|maintenance| maintenance.days.target),
        maintenance.as_ref().map(|maintenance| maintenance.evidence.source.as_str()),
        maintenance.as_ref().map(|maintenance| maintenance.evidence.grade.as_str()),
        maintenance.as_ref().map(|maintenance| maintenance.evidence.rationale.as_str()),
        overdue_advice.as_str(),
        overdue_evidence.as_ref().map(|evidence| evidence.source.as_str()),
        overdue_evidence.as_ref().map(|evidence| evidence.grade.as_str()),
        overdue_evidence.as_ref().map(|evidence| evidence.rationale.as_str())
    );
    expect_rows("insert protocol", 1, &done.execute(&mut *db).await?)?;
    let version = (practice, protocol.id, protocol.version);
    insert_assessments(db, version, assessments).await?;
    clinical::insert_screening_rules(db, version, screening).await?;
    clinical::insert_reaction_rules(db, version, reactions).await
}

/// Evidence in columns that are there where this is asked.
fn said(source: Option<&str>, grade: Option<&str>, rationale: Option<&str>) -> Result<Evidence, StoreError> {
    known(source, grade, rationale)?.ok_or(StoreError::Corrupt("evidence of a protocol"))
}

async fn insert_assessments(
    db: &mut PgConnection,
    (practice, protocol, version): (PracticeId, ProtocolId, i32),
    assessments: &[Assessment],
) -> Result<(), StoreError> {
    if assessments.is_empty() {
        return Ok(());
    }
    let positions: Vec<i16> = (0..).zip(assessments).map(|(position, _)| position).collect();
    let texts = |of: fn(&Assessment) -> &str| -> Vec<&str> { assessments.iter().map(of).collect() };
    let due: Vec<StoredDue> = assessments.iter().map(|assessment| StoredDue::of(assessment.due)).collect();
    let numbers = |of: fn(&StoredDue) -> Option<i32>| -> Vec<Option<i32>> { due.iter().map(of).collect() };
    let kinds: Vec<&str> = due.iter().map(|due| due.kind).collect();
    let done = sqlx::query!(
        "INSERT INTO protocol_assessments (practice_id, protocol_id, version, position, name, due_kind, at_session,
                                           minimum_days, target_days, maximum_days, source, grade, rationale)
         SELECT $1, $2, $3, * FROM UNNEST($4::smallint[], $5::text[], $6::text[], $7::integer[], $8::integer[],
                                          $9::integer[], $10::integer[], $11::text[], $12::text[], $13::text[])",
        practice.0,
        protocol.0,
        version,
        &positions,
        &texts(|a| a.name.as_str()) as &[&str],
        &kinds as &[&str],
        &numbers(|due| due.session) as &[Option<i32>],
        &numbers(|due| due.minimum) as &[Option<i32>],
        &numbers(|due| due.target) as &[Option<i32>],
        &numbers(|due| due.maximum) as &[Option<i32>],
        &texts(|a| a.evidence.source.as_str()) as &[&str],
        &texts(|a| a.evidence.grade.as_str()) as &[&str],
        &texts(|a| a.evidence.rationale.as_str()) as &[&str]
    );
    expect_rows("insert assessments", assessments.len(), &done.execute(db).await?)
}

/// When an assessment is due, as its row says it: a kind, and the columns of that kind.
struct StoredDue<'a> {
    kind: &'a str,
    session: Option<i32>,
    minimum: Option<i32>,
    target: Option<i32>,
    maximum: Option<i32>,
}

impl StoredDue<'_> {
    const fn of(due: AssessmentDue) -> Self {
        let (kind, session, minimum, target, maximum) = match due {
            AssessmentDue::BeforeFirst => (BEFORE_FIRST, None, None, None, None),
            AssessmentDue::AtSession(number) => (AT_SESSION, Some(number), None, None, None),
            AssessmentDue::AfterLast { minimum, target, maximum } => {
                (AFTER_LAST, None, Some(minimum), Some(target), Some(maximum))
            }
        };
        Self { kind, session, minimum, target, maximum }
    }

    fn read(&self) -> Result<AssessmentDue, StoreError> {
        let due = match (self.kind, self.session, self.minimum, self.target, self.maximum) {
            (BEFORE_FIRST, None, None, None, None) => Some(AssessmentDue::BeforeFirst),
            (AT_SESSION, Some(number), None, None, None) => Some(AssessmentDue::AtSession(number)),
            (AFTER_LAST, None, Some(minimum), Some(target), Some(maximum)) => {
                AssessmentDue::after_last(minimum, target, maximum)
            }
            _ => None,
        };
        due.ok_or(StoreError::Corrupt("time of an assessment"))
    }
}

struct Row {
    protocol_id: Uuid,
    version: i32,
    name: String,
    treatment_id: Uuid,
    treatment_version: i32,
    sessions_minimum: i32,
    sessions_default: i32,
    sessions_maximum: i32,
    gap_floor_days: i32,
    gap_minimum_days: i32,
    gap_target_days: i32,
    gap_maximum_days: i32,
    source: String,
    grade: String,
    rationale: String,
    published_revision: i64,
    published_at: Instant,
    consultation_treatment_id: Option<Uuid>,
    consultation_treatment_version: Option<i32>,
    clearing_qualification: Option<String>,
    clearance_days: Option<i32>,
    cooling_off_hours: Option<i32>,
    patch_test_hours: Option<i32>,
    screening_days: Option<i32>,
    clearance_source: Option<String>,
    clearance_grade: Option<String>,
    clearance_rationale: Option<String>,
    maintenance_minimum_days: Option<i32>,
    maintenance_target_days: Option<i32>,
    maintenance_source: Option<String>,
    maintenance_grade: Option<String>,
    maintenance_rationale: Option<String>,
    overdue_advice: String,
    overdue_source: Option<String>,
    overdue_grade: Option<String>,
    overdue_rationale: Option<String>,
    assessments: Vec<String>,
    due_kinds: Vec<String>,
    at_sessions: Vec<Option<i32>>,
    due_minimums: Vec<Option<i32>>,
    due_targets: Vec<Option<i32>>,
    due_maximums: Vec<Option<i32>>,
    due_sources: Vec<String>,
    due_grades: Vec<String>,
    due_rationales: Vec<String>,
}

impl Row {
    /// The protocol, but for the rules that have rows of their own.
    fn read(self) -> Result<Protocol, StoreError> {
        let sessions = SessionCounts::new(self.sessions_minimum, self.sessions_default, self.sessions_maximum);
        let gap = GapDays::new(self.gap_floor_days, self.gap_minimum_days, self.gap_target_days, self.gap_maximum_days);
        Ok(Protocol {
            id: ProtocolId(self.protocol_id),
            version: self.version,
            published_at: self.published_at,
            published_revision: self.published_revision,
            treatment_version: self.treatment_version,
            consultation_version: self.consultation_treatment_version,
            content: ProtocolContent {
                name: read::label(&self.name)?,
                treatment: TreatmentId(self.treatment_id),
                sessions: sessions.ok_or(StoreError::Corrupt("session counts"))?,
                gap: gap.ok_or(StoreError::Corrupt("gap"))?,
                evidence: evidence(&self.source, &self.grade, &self.rationale)?,
                assessments: self.assessments()?,
                clearance: self.clearance()?,
                screening: Vec::new(),
                reactions: Vec::new(),
                maintenance: self.maintenance()?,
                overdue_advice: read::prose(&self.overdue_advice)?,
                overdue_evidence: known(
                    self.overdue_source.as_deref(),
                    self.overdue_grade.as_deref(),
                    self.overdue_rationale.as_deref(),
                )?,
            },
        })
    }

    fn clearance(&self) -> Result<Option<ClearanceRules>, StoreError> {
        let Some(consultation) = self.consultation_treatment_id else { return Ok(None) };
        let corrupt = StoreError::Corrupt("clearance of a protocol");
        let number = |column: Option<i32>| column.ok_or(StoreError::Corrupt("clearance of a protocol"));
        Ok(Some(ClearanceRules {
            consultation: TreatmentId(consultation),
            qualification: self.clearing_qualification.as_deref().and_then(Qualification::new).ok_or(corrupt)?,
            valid_days: number(self.clearance_days)?,
            cooling_off_hours: number(self.cooling_off_hours)?,
            patch_test_hours: number(self.patch_test_hours)?,
            screening_days: number(self.screening_days)?,
            evidence: said(
                self.clearance_source.as_deref(),
                self.clearance_grade.as_deref(),
                self.clearance_rationale.as_deref(),
            )?,
        }))
    }

    fn maintenance(&self) -> Result<Option<Maintenance>, StoreError> {
        let days = self.maintenance_minimum_days.zip(self.maintenance_target_days);
        let Some((minimum, target)) = days else { return Ok(None) };
        let days = MaintenanceDays::new(minimum, target).ok_or(StoreError::Corrupt("maintenance"))?;
        let evidence = said(
            self.maintenance_source.as_deref(),
            self.maintenance_grade.as_deref(),
            self.maintenance_rationale.as_deref(),
        )?;
        Ok(Some(Maintenance { days, evidence }))
    }

    fn assessments(&self) -> Result<Vec<Assessment>, StoreError> {
        let days = self.due_minimums.iter().zip(&self.due_targets).zip(&self.due_maximums);
        let due = self.due_kinds.iter().zip(&self.at_sessions).zip(days);
        let evidences = self.due_sources.iter().zip(self.due_grades.iter().zip(&self.due_rationales));
        let assessments = self.assessments.iter().zip(due).zip(evidences).map(
            |((name, ((kind, session), ((minimum, target), maximum))), (source, (grade, rationale)))| {
                let (session, minimum, target, maximum) = (*session, *minimum, *target, *maximum);
                Ok(Assessment {
                    name: read::label(name)?,
                    due: StoredDue { kind, session, minimum, target, maximum }.read()?,
                    evidence: evidence(source, grade, rationale)?,
                })
            },
        );
        assessments.collect()
    }
}
