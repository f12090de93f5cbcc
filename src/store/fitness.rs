//! What is known of a patient's fitness, for one protocol and area.

use std::collections::BTreeMap;

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
    Ok(several(db, practice, &[(of, needs_clearance)]).await?.pop().flatten())
}

/// The same of several patients, protocols and areas at once, in their order.
pub async fn several(
    db: &mut PgConnection,
    practice: PracticeId,
    asked: &[(For, bool)],
) -> Result<Vec<Option<FitnessFacts>>, StoreError> {
    let patients: Vec<Uuid> = asked.iter().map(|(of, _)| of.patient.0).collect();
    let protocols: Vec<Uuid> = asked.iter().map(|(of, _)| of.protocol.0).collect();
    let series: Vec<Option<Uuid>> = asked.iter().map(|(of, _)| of.series.map(|id| id.0)).collect();
    let areas: Vec<Option<String>> = asked.iter().map(|(of, _)| of.area.map(|area| area.as_str().to_owned())).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT asked.place AS "place!", p.birth_date, l.conditions AS "lifted!", l.overrides AS "overrides!",
                  c.conditions AS "acquired!", c.since AS "since!: Vec<NaiveDate>",
                  c.unanswered AS "unanswered!: Vec<bool>",
                  EXISTS (SELECT FROM reactions r
                          WHERE r.practice_id = p.practice_id AND r.patient_id = p.patient_id
                            AND r.reaction_grade <> 'normal' AND r.cleared_revision IS NULL) AS "on_hold!",
                  (SELECT max(r.earliest_date) FROM reactions r
                   WHERE r.practice_id = p.practice_id AND r.patient_id = p.patient_id) AS earliest,
                  (SELECT max(e.session_count) FROM assessment_results e
                   WHERE e.practice_id = p.practice_id AND e.series_id = asked.series AND e.outcome = 'extend'
                     AND e.recorded_revision > d.revision) AS extended_to
           FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) WITH ORDINALITY
                AS asked (patient, protocol, series, area, place)
           JOIN patients p ON p.practice_id = $1 AND p.patient_id = asked.patient
           CROSS JOIN LATERAL (
               SELECT coalesce(max(x.decided_revision), 0) AS revision
               FROM clearances x
               WHERE x.practice_id = p.practice_id AND x.patient_id = p.patient_id AND x.protocol_id = asked.protocol
                 AND (asked.area IS NULL OR x.body_area = asked.area)) d
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(o.condition), '{}') AS conditions,
                      coalesce(array_agg(o.override_id), '{}') AS overrides
               FROM overrides o
               WHERE o.practice_id = p.practice_id AND o.patient_id = p.patient_id AND o.kind = 'condition'
                 AND o.protocol_id = asked.protocol AND o.revoked_revision IS NULL
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
               WHERE r.practice_id = p.practice_id AND r.patient_id = p.patient_id) c"#,
        practice.0,
        &patients,
        &protocols,
        &series as &[Option<Uuid>],
        &areas as &[Option<String>]
    );
    let mut rows: BTreeMap<i64, Row> =
        rows.fetch_all(&mut *db).await?.into_iter().map(|row| (row.place, row)).collect();
    let asking = || asked.iter().filter(|(_, needs_clearance)| *needs_clearance).map(|(of, _)| of);
    let (mut screenings, mut clearances) = (Vec::new(), Vec::new());
    if asking().next().is_some() && !rows.is_empty() {
        let questions: Vec<_> = asking().map(|of| (of.patient, of.protocol)).collect();
        screenings = screening::latest(db, practice, &questions).await?;
        let questions: Vec<_> = asking().map(|of| (of.patient, of.protocol, of.area)).collect();
        clearances = clearance::latest(db, practice, &questions).await?;
    }
    let known = (1..).zip(asked).map(|(place, (of, needs_clearance))| {
        let Some(row) = rows.remove(&place) else { return Ok(None) };
        let mut facts = row.read()?;
        if *needs_clearance {
            let is_theirs = |patient, protocol| (of.patient, of.protocol) == (patient, protocol);
            facts.screening = screenings.iter().find(|known| is_theirs(known.patient, known.protocol)).cloned();
            let mut decided = clearances.iter().filter(|known| is_theirs(known.patient, known.protocol));
            facts.clearance = decided.find(|known| of.area.is_none_or(|area| area == known.area)).cloned();
        }
        Ok(Some(facts))
    });
    known.collect()
}

struct Row {
    place: i64,
    birth_date: NaiveDate,
    lifted: Vec<String>,
    overrides: Vec<Uuid>,
    acquired: Vec<String>,
    since: Vec<NaiveDate>,
    unanswered: Vec<bool>,
    on_hold: bool,
    earliest: Option<NaiveDate>,
    extended_to: Option<i32>,
}

impl Row {
    /// What is known, screening and clearance aside.
    fn read(self) -> Result<FitnessFacts, StoreError> {
        let code = |text: &String| read::named(Code::new(text));
        let lifted = self.lifted.iter().zip(self.overrides).map(|(text, id)| Ok((code(text)?, OverrideId(id))));
        let acquired = self
            .acquired
            .iter()
            .zip(self.since)
            .zip(self.unanswered)
            .map(|((text, since), is_unanswered)| Ok(Acquired { condition: code(text)?, since, is_unanswered }));
        Ok(FitnessFacts {
            birth_date: Personal::new(self.birth_date),
            screening: None,
            clearance: None,
            lifted: Personal::new(lifted.collect::<Result<_, StoreError>>()?),
            acquired: Personal::new(acquired.collect::<Result<_, StoreError>>()?),
            on_hold: self.on_hold,
            earliest: self.earliest,
            extended_to: self.extended_to,
        })
    }
}
