//! What is known of a patient's fitness, for one protocol and area.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, clearance, read, screening};
use crate::domain::catalog::BodyArea;
use crate::domain::fitness::{Acquired, FitnessFacts, LiftedBy};
use crate::domain::ids::{OverrideId, PatientId, PracticeId, ProtocolId, SeriesId};
use crate::domain::text::{Code, Personal};

/// Whose fitness, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct For {
    /// The patient.
    pub patient: PatientId,
    /// The protocol; none for what holds whatever the protocol: reactions.
    pub protocol: Option<ProtocolId>,
    /// The area; none for what holds whatever the area: no decision of a practitioner lifts anything there.
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
    Ok(facts_of(db, practice, &[(of, needs_clearance)]).await?.pop().flatten())
}

/// The same for several at once, in their order, in a fixed number of statements.
pub async fn facts_of(
    db: &mut PgConnection,
    practice: PracticeId,
    asked: &[(For, bool)],
) -> Result<Vec<Option<FitnessFacts>>, StoreError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let needing = asked.iter().filter(|(_, needs_clearance)| *needs_clearance);
    let needing: Vec<For> = needing.map(|(of, _)| *of).collect();
    let mut latest = screening::latest(db, practice, &needing).await?.into_iter();
    let mut decided = clearance::latest(db, practice, &needing).await?.into_iter();
    let patients: Vec<Uuid> = asked.iter().map(|(of, _)| of.patient.0).collect();
    let protocols: Vec<Option<Uuid>> = asked.iter().map(|(of, _)| of.protocol.map(|id| id.0)).collect();
    let series: Vec<Option<Uuid>> = asked.iter().map(|(of, _)| of.series.map(|id| id.0)).collect();
    let areas: Vec<Option<&str>> = asked.iter().map(|(of, _)| of.area.map(BodyArea::as_str)).collect();
    let rows = sqlx::query!(
        r#"SELECT w.place AS "place!", p.birth_date, l.conditions AS "lifted!",
                  l.overrides AS "overrides!", l.granted AS "granted!", d.revision AS "decided_revision!", c.conditions AS "acquired!",
                  c.since AS "since!: Vec<NaiveDate>", c.unanswered AS "unanswered!: Vec<bool>",
                  EXISTS (SELECT FROM reactions r
                          WHERE r.practice_id = p.practice_id AND r.patient_id = p.patient_id
                            AND r.reaction_grade <> 'normal' AND r.cleared_revision IS NULL) AS "on_hold!",
                  (SELECT max(r.earliest_date) FROM reactions r
                   WHERE r.practice_id = p.practice_id AND r.patient_id = p.patient_id) AS earliest,
                  (SELECT max(e.session_count) FROM assessment_results e
                   WHERE e.practice_id = p.practice_id AND e.series_id = w.series AND e.outcome = 'extend'
                     AND e.recorded_revision > d.revision) AS extended_to
           FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) WITH ORDINALITY
                AS w (patient, protocol, series, area, place)
           JOIN patients p ON p.practice_id = $1 AND p.patient_id = w.patient
           CROSS JOIN LATERAL (
               SELECT coalesce(max(x.decided_revision), 0) AS revision
               FROM clearances x
               WHERE x.practice_id = p.practice_id AND x.patient_id = p.patient_id AND x.protocol_id = w.protocol
                 AND x.body_area = w.area) d
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(o.condition), '{}') AS conditions,
                      coalesce(array_agg(o.override_id), '{}') AS overrides,
                      coalesce(array_agg(o.granted_revision), '{}') AS granted
               FROM overrides o
               WHERE o.practice_id = p.practice_id AND o.patient_id = p.patient_id AND o.kind = 'condition'
                 AND o.protocol_id = w.protocol AND o.revoked_revision IS NULL
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
           ORDER BY w.place"#,
        practice.0,
        &patients,
        &protocols as &[Option<Uuid>],
        &series as &[Option<Uuid>],
        &areas as &[Option<&str>]
    );
    let mut rows = rows.fetch_all(&mut *db).await?.into_iter().peekable();
    let mut found = Vec::with_capacity(asked.len());
    for (place, (_, needs_clearance)) in (1..).zip(asked) {
        let (screening, clearance) =
            if *needs_clearance { (latest.next().flatten(), decided.next().flatten()) } else { (None, None) };
        let Some(row) = rows.next_if(|row| row.place == place) else {
            found.push(None);
            continue;
        };
        let code = |text: &String| read::named(Code::new(text));
        let granted = row.overrides.into_iter().zip(row.granted);
        let lifted = row.lifted.iter().zip(granted).map(|(text, (id, granted_revision)): (_, (Uuid, _))| {
            Ok(LiftedBy { condition: code(text)?, id: OverrideId(id), granted_revision })
        });
        let acquired = row
            .acquired
            .iter()
            .zip(row.since)
            .zip(row.unanswered)
            .map(|((text, since), is_unanswered)| Ok(Acquired { condition: code(text)?, since, is_unanswered }));
        found.push(Some(FitnessFacts {
            birth_date: Personal::new(row.birth_date),
            screening,
            clearance,
            decided_revision: row.decided_revision,
            lifted: Personal::new(lifted.collect::<Result<_, StoreError>>()?),
            acquired: Personal::new(acquired.collect::<Result<_, StoreError>>()?),
            on_hold: row.on_hold,
            earliest: row.earliest,
            extended_to: row.extended_to,
        }));
    }
    Ok(found)
}
