//! What is known of a patient's fitness, for one protocol and area.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, clearance, read, screening};
use crate::domain::catalog::BodyArea;
use crate::domain::fitness::{Acquired, FitnessFacts};
use crate::domain::ids::{OverrideId, PatientId, PracticeId, ProtocolId, SeriesId};
use crate::domain::text::{Code, Personal};

/// Whose fitness, and for what.
#[derive(Debug, Clone, Copy)]
pub struct For {
    /// The patient.
    pub patient: PatientId,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The area; none for whichever was decided about last.
    pub area: Option<BodyArea>,
    /// The series, if there is one already.
    pub series: Option<SeriesId>,
}

/// What is known; nothing if there is no such patient. Reads decisions and screening only where the protocol asks for
/// them.
pub async fn facts(
    db: &mut PgConnection,
    practice: PracticeId,
    of: For,
    needs_clearance: bool,
) -> Result<Option<FitnessFacts>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT p.birth_date, l.conditions AS "lifted!", l.overrides AS "overrides!", c.conditions AS "acquired!",
                  c.since AS "since!: Vec<NaiveDate>", c.unanswered AS "unanswered!: Vec<bool>",
                  EXISTS (SELECT FROM reactions r
                          WHERE r.practice_id = p.practice_id AND r.patient_id = p.patient_id
                            AND r.reaction_grade <> 'normal' AND r.cleared_revision IS NULL) AS "on_hold!",
                  (SELECT max(r.earliest_date) FROM reactions r
                   WHERE r.practice_id = p.practice_id AND r.patient_id = p.patient_id) AS earliest,
                  (SELECT max(e.session_count) FROM assessment_results e
                   WHERE e.practice_id = p.practice_id AND e.series_id = $4 AND e.outcome = 'extend'
                     AND e.recorded_revision > d.revision) AS extended_to
           FROM patients p
           CROSS JOIN LATERAL (
               SELECT coalesce(max(x.decided_revision), 0) AS revision
               FROM clearances x
               WHERE x.practice_id = p.practice_id AND x.patient_id = p.patient_id AND x.protocol_id = $3
                 AND ($5::text IS NULL OR x.body_area = $5)) d
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(o.condition), '{}') AS conditions,
                      coalesce(array_agg(o.override_id), '{}') AS overrides
               FROM overrides o
               WHERE o.practice_id = p.practice_id AND o.patient_id = p.patient_id AND o.kind = 'condition'
                 AND o.protocol_id = $3 AND o.revoked_revision IS NULL
                 AND NOT EXISTS (
                     SELECT FROM reactions r
                     JOIN series s ON s.practice_id = r.practice_id AND s.series_id = r.series_id
                     JOIN reaction_rules k ON k.practice_id = s.practice_id AND k.protocol_id = s.protocol_id
                         AND k.version = s.protocol_version AND k.kind = r.kind AND k.counts_as = o.condition
                     WHERE r.practice_id = o.practice_id AND r.patient_id = o.patient_id
                       AND r.reported_revision > o.granted_revision)) l
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(k.counts_as), '{}') AS conditions,
                      coalesce(array_agg((r.onset AT TIME ZONE t.time_zone)::date), '{}') AS since,
                      coalesce(array_agg(r.reported_revision > d.revision), '{}') AS unanswered
               FROM reactions r
               JOIN series s ON s.practice_id = r.practice_id AND s.series_id = r.series_id
               JOIN reaction_rules k ON k.practice_id = s.practice_id AND k.protocol_id = s.protocol_id
                   AND k.version = s.protocol_version AND k.kind = r.kind AND k.counts_as IS NOT NULL
               JOIN appointments a ON a.practice_id = r.practice_id AND a.appointment_id = r.appointment_id
               JOIN clinics t ON t.practice_id = a.practice_id AND t.clinic_id = a.clinic_id
               WHERE r.practice_id = p.practice_id AND r.patient_id = p.patient_id) c
           WHERE p.practice_id = $1 AND p.patient_id = $2"#,
        practice.0,
        of.patient.0,
        of.protocol.0,
        of.series.map(|id| id.0),
        of.area.map(BodyArea::as_str)
    );
    let Some(row) = row.fetch_optional(&mut *db).await? else { return Ok(None) };
    let code = |text: &String| read::named(Code::new(text));
    let lifted = row.lifted.iter().zip(row.overrides).map(|(text, id): (_, Uuid)| Ok((code(text)?, OverrideId(id))));
    let acquired = row
        .acquired
        .iter()
        .zip(row.since)
        .zip(row.unanswered)
        .map(|((text, since), is_unanswered)| Ok(Acquired { condition: code(text)?, since, is_unanswered }));
    let (lifted, acquired) = (lifted.collect::<Result<_, StoreError>>()?, acquired.collect::<Result<_, StoreError>>()?);
    let (mut latest, mut decided) = (None, None);
    if needs_clearance {
        latest = screening::latest(db, practice, of.patient, of.protocol).await?;
        decided = clearance::latest(db, practice, of.patient, of.protocol, of.area).await?;
    }
    Ok(Some(FitnessFacts {
        birth_date: Personal::new(row.birth_date),
        screening: latest,
        clearance: decided,
        lifted: Personal::new(lifted),
        acquired: Personal::new(acquired),
        on_hold: row.on_hold,
        earliest: row.earliest,
        extended_to: row.extended_to,
    }))
}
