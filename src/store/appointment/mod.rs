//! Appointments with all that they take up: reading them.

mod insert;
mod steps;
mod touched;

pub use insert::insert;
pub use steps::{
    Performed, arrive, cancel, confirm, convert_hold, ended, fulfil, held_since, holds_ending, miss, renew_hold, start,
    undo,
};
pub use touched::touched;

use std::borrow::Cow;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, catalog, read};
use crate::domain::appointment::{Appointment, AppointmentState, Arrival, Follows, SessionOf};
use crate::domain::booking::{Spaced, booked_phases};
use crate::domain::booking_rules::{EndReason, Ending};
use crate::domain::catalog::{BodyArea, SpacingScope};
use crate::domain::combination::{AddOn, combined};
use crate::domain::ids::{
    AppointmentId, ClearanceId, ClinicId, OverrideId, PatientId, PracticeId, ResourceId, SeriesId, TreatmentId,
};
use crate::domain::interval::{Instant, Interval};
use crate::domain::text::Personal;

/// An appointment.
pub async fn get(
    db: &mut PgConnection,
    practice: PracticeId,
    id: AppointmentId,
) -> Result<Option<Appointment>, StoreError> {
    Ok(by_ids(db, practice, &[id.0]).await?.pop())
}

/// The appointments that a change booked, by start.
pub async fn booked_by(
    db: &mut PgConnection,
    practice: PracticeId,
    revision: i64,
) -> Result<Vec<Appointment>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT appointment_id FROM appointments WHERE practice_id = $1 AND booked_revision = $2",
        practice.0,
        revision
    );
    let ids = ids.fetch_all(&mut *db).await?;
    by_ids(db, practice, &ids).await
}

/// Appointments by their ids, by start; those that do not exist are left out.
pub async fn several(
    db: &mut PgConnection,
    practice: PracticeId,
    ids: &[AppointmentId],
) -> Result<Vec<Appointment>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    by_ids(db, practice, &ids).await
}

/// The live sessions of some series and the live appointments that follow them, by start.
pub async fn live_of_series(
    db: &mut PgConnection,
    practice: PracticeId,
    series: &[SeriesId],
) -> Result<Vec<Appointment>, StoreError> {
    let series: Vec<Uuid> = series.iter().map(|id| id.0).collect();
    let ids = sqlx::query_scalar!(
        r#"SELECT appointment_id AS "id!" FROM appointments
           WHERE practice_id = $1 AND series_id = ANY($2) AND live
           UNION ALL
           SELECT appointment_id FROM appointments
           WHERE practice_id = $1 AND follows_series_id = ANY($2) AND live"#,
        practice.0,
        &series
    );
    let ids = ids.fetch_all(&mut *db).await?;
    by_ids(db, practice, &ids).await
}

/// Whose appointments a sheet lists.
#[derive(Debug, Clone, Copy)]
pub enum Whose {
    /// A clinic's.
    Clinic(ClinicId),
    /// A resource's.
    Resource(ResourceId),
    /// A patient's.
    Patient(PatientId),
}

/// What a sheet lists.
#[derive(Debug, Clone, Copy)]
pub struct Sheet {
    /// Whose appointments.
    pub whose: Whose,
    /// Those that overlap this.
    pub during: Interval,
    /// Whether with cancelled ones.
    pub include_cancelled: bool,
    /// Only those after this start and id.
    pub after: Option<(Instant, AppointmentId)>,
}

/// Appointments by start and id. No visit is longer than twelve hours, so that the indexes on starts serve.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    sheet: &Sheet,
    limit: i64,
) -> Result<Vec<Appointment>, StoreError> {
    let (from, to) = (sheet.during.start(), sheet.during.end());
    let (after, after_id) = sheet.after.map_or((Instant::UNIX_EPOCH, Uuid::nil()), |(at, id)| (at, id.0));
    let ids = match sheet.whose {
        Whose::Clinic(clinic) => {
            sqlx::query_scalar!(
                "SELECT appointment_id FROM appointments
                 WHERE practice_id = $1 AND clinic_id = $2 AND (live OR $3) AND visit && tstzrange($4, $5)
                   AND lower(visit) > $4::timestamptz - interval '12 hours' AND lower(visit) < $5
                   AND (lower(visit), appointment_id) > ($6, $7)
                 ORDER BY lower(visit), appointment_id LIMIT $8",
                practice.0,
                clinic.0,
                sheet.include_cancelled,
                from,
                to,
                after,
                after_id,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
        Whose::Patient(patient) => {
            sqlx::query_scalar!(
                "SELECT appointment_id FROM appointments
                 WHERE practice_id = $1 AND patient_id = $2 AND (live OR $3) AND visit && tstzrange($4, $5)
                   AND lower(visit) > $4::timestamptz - interval '12 hours' AND lower(visit) < $5
                   AND (lower(visit), appointment_id) > ($6, $7)
                 ORDER BY lower(visit), appointment_id LIMIT $8",
                practice.0,
                patient.0,
                sheet.include_cancelled,
                from,
                to,
                after,
                after_id,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
        Whose::Resource(resource) => {
            sqlx::query_scalar!(
                "SELECT a.appointment_id FROM appointments a
                 WHERE a.practice_id = $1
                   AND a.appointment_id IN (
                       SELECT appointment_id FROM occupancies
                       WHERE practice_id = $1 AND resource_id = $2 AND (live OR $3) AND during && tstzrange($4, $5)
                         AND lower(during) > $4::timestamptz - interval '12 hours' AND lower(during) < $5)
                   AND (lower(a.visit), a.appointment_id) > ($6, $7)
                 ORDER BY lower(a.visit), a.appointment_id LIMIT $8",
                practice.0,
                resource.0,
                sheet.include_cancelled,
                from,
                to,
                after,
                after_id,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
    };
    by_ids(db, practice, &ids).await
}

/// Most needlings ahead of a patient that are looked at.
const MAX_AHEAD: i64 = 200;

/// The booked visits of a patient that needle and are to come, by start: those to which they have come and in which nobody
/// has begun to treat them, too.
pub async fn needlings_ahead(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    now: Instant,
) -> Result<Vec<Appointment>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT appointment_id FROM appointments
         WHERE practice_id = $1 AND patient_id = $2 AND body_area IS NOT NULL
           AND (state IN ('booked', 'confirmed') AND upper(visit) > $3 OR state = 'arrived')
         ORDER BY lower(visit), appointment_id LIMIT $4",
        practice.0,
        patient.0,
        now,
        MAX_AHEAD
    );
    let ids = ids.fetch_all(&mut *db).await?;
    by_ids(db, practice, &ids).await
}

/// Appointments by id, in order of start and id.
async fn by_ids(db: &mut PgConnection, practice: PracticeId, ids: &[Uuid]) -> Result<Vec<Appointment>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT a.appointment_id, a.clinic_id, c.time_zone, a.patient_id, a.treatment_id, a.treatment_version,
                  a.add_on_treatment_id, a.add_on_treatment_version, a.combination_override_id,
                  a.series_id, a.session_number, a.body_area, a.state, lower(a.visit) AS "start!",
                  upper(a.visit) AS "end!", a.cancelled_at, a.cancel_reason, a.confirmed_at, a.arrived_at,
                  a.started_at, a.fulfilled_at,
                  a.performed_start, a.changed_revision, a.replaces, a.clearance_id, a.follows_series_id,
                  a.assessment_number, a.no_show_revision, a.held_until, a.end_reason, a.end_notice_hours, a.counts_as_used,
                  (SELECT r.appointment_id FROM appointments r
                   WHERE r.practice_id = a.practice_id AND r.replaces = a.appointment_id) AS replaced_by,
                  ARRAY(SELECT resource_id FROM occupancies o
                        WHERE o.practice_id = a.practice_id AND o.appointment_id = a.appointment_id
                        GROUP BY need, resource_id ORDER BY need) AS "serving!",
                  ARRAY(SELECT s.override_id FROM spacing_windows s
                        WHERE s.practice_id = a.practice_id AND s.appointment_id = a.appointment_id
                          AND s.override_id IS NOT NULL
                        UNION
                        SELECT w.override_id FROM activity_windows w
                        WHERE w.practice_id = a.practice_id AND w.appointment_id = a.appointment_id
                          AND w.override_id IS NOT NULL
                        UNION
                        SELECT a.combination_override_id WHERE a.combination_override_id IS NOT NULL
                        ORDER BY 1) AS "overrides!"
           FROM appointments a JOIN clinics c ON c.practice_id = a.practice_id AND c.clinic_id = a.clinic_id
           WHERE a.practice_id = $1 AND a.appointment_id = ANY($2)
           ORDER BY lower(a.visit), a.appointment_id"#,
        practice.0,
        ids
    );
    let rows = rows.fetch_all(&mut *db).await?;
    let added = rows.iter().filter_map(|row| row.add_on_treatment_id.zip(row.add_on_treatment_version));
    let added = added.map(|(id, version)| (TreatmentId(id), version));
    let mut wanted: Vec<(TreatmentId, i32)> =
        rows.iter().map(|row| (TreatmentId(row.treatment_id), row.treatment_version)).chain(added).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let treatments = catalog::treatments(db, practice, &wanted).await?;

    let read = rows.into_iter().map(|row| {
        let state = Stands {
            state: &row.state,
            held_until: row.held_until,
            confirmed_at: row.confirmed_at,
            arrived_at: row.arrived_at,
            started_at: row.started_at,
            fulfilled_at: row.fulfilled_at,
            performed_start: row.performed_start,
            ended: row.cancelled_at.zip(row.cancel_reason),
            is_no_show: row.no_show_revision.is_some(),
            ending: row.end_reason.as_deref().zip(row.end_notice_hours).zip(row.counts_as_used),
        };
        let in_version = |id: TreatmentId, version: i32| {
            let found = treatments.iter().find(|treatment| (treatment.id, treatment.version) == (id, version));
            found.ok_or(StoreError::Corrupt("treatment of an appointment"))
        };
        let treatment = in_version(TreatmentId(row.treatment_id), row.treatment_version)?;
        let added = row.add_on_treatment_id.zip(row.add_on_treatment_version).zip(row.combination_override_id);
        let add_on = added.map(|((treatment, version), approval)| AddOn {
            treatment: TreatmentId(treatment),
            version,
            approval: OverrideId(approval),
        });
        let whole = match add_on {
            Some(add_on) => Cow::Owned(combined(treatment, in_version(add_on.treatment, add_on.version)?)),
            None => Cow::Borrowed(treatment),
        };
        let serving: Vec<ResourceId> = row.serving.into_iter().map(ResourceId).collect();
        let session = row.series_id.zip(row.session_number);
        Ok(Appointment {
            id: AppointmentId(row.appointment_id),
            clinic: ClinicId(row.clinic_id),
            zone: read::zone(&row.time_zone)?,
            patient: PatientId(row.patient_id),
            treatment: TreatmentId(row.treatment_id),
            treatment_version: row.treatment_version,
            add_on,
            session: session.map(|(series, number)| SessionOf { series: SeriesId(series), number }),
            follows: row
                .follows_series_id
                .map(|series| Follows { series: SeriesId(series), assessment: row.assessment_number.map(i32::from) }),
            area: row.body_area.map(|area| read::named(BodyArea::from_name(&area))).transpose()?,
            state: state.read()?,
            visit: read::interval(row.start, row.end)?,
            phases: booked_phases(&whole, row.start, &serving),
            changed_revision: row.changed_revision,
            clearance: row.clearance_id.map(ClearanceId),
            replaces: row.replaces.map(AppointmentId),
            replaced_by: row.replaced_by.map(AppointmentId),
            overrides: row.overrides.into_iter().map(OverrideId).collect(),
        })
    });
    read.collect()
}

/// Where an appointment stands, as its columns say it.
struct Stands<'a> {
    state: &'a str,
    held_until: Option<Instant>,
    confirmed_at: Option<Instant>,
    arrived_at: Option<Instant>,
    started_at: Option<Instant>,
    fulfilled_at: Option<Instant>,
    performed_start: Option<Instant>,
    ended: Option<(Instant, String)>,
    is_no_show: bool,
    ending: Option<((&'a str, i32), bool)>,
}

impl Stands<'_> {
    fn read(self) -> Result<AppointmentState, StoreError> {
        let Self {
            state,
            held_until,
            confirmed_at,
            arrived_at,
            started_at,
            fulfilled_at,
            performed_start,
            ended,
            is_no_show,
            ending,
        } = self;
        let arrival = arrived_at.map(|at| Arrival { confirmed_at, at });
        let known = match (state, ended) {
            ("held", None) => held_until.map(|until| AppointmentState::Held { until }),
            ("booked", None) => Some(AppointmentState::Booked),
            ("confirmed", None) => confirmed_at.map(|at| AppointmentState::Confirmed { at }),
            ("arrived", None) => arrival.map(AppointmentState::Arrived),
            ("in_progress", None) => {
                arrival.zip(started_at).map(|(arrival, at)| AppointmentState::InProgress { arrival, at })
            }
            ("fulfilled", None) => arrival
                .zip(fulfilled_at)
                .zip(performed_start)
                .map(|((arrival, at), performed)| AppointmentState::Fulfilled { arrival, started_at, at, performed }),
            ("cancelled", Some((at, reason))) => {
                let reason = Personal::new(read::prose(&reason)?);
                let ending = ending.map(|((because, notice_hours), counts_as_used)| {
                    let because = read::named(EndReason::from_name(because))?;
                    Ok::<_, StoreError>(Ending { because, notice_hours, counts_as_used })
                });
                let ending = ending.transpose()?;
                Some(if is_no_show {
                    AppointmentState::NoShow { confirmed_at, at, reason, ending }
                } else {
                    AppointmentState::Cancelled { at, reason, ending }
                })
            }
            _ => None,
        };
        known.ok_or(StoreError::Corrupt("state of an appointment"))
    }
}

/// The days in which a visit keeps other needlings away, or would if it took place, as they are stored.
pub async fn spaced(db: &mut PgConnection, practice: PracticeId, id: AppointmentId) -> Result<Vec<Spaced>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT scope, lower(days) AS "day!", upper(days) AS "until!" FROM spacing_windows
           WHERE practice_id = $1 AND appointment_id = $2"#,
        practice.0,
        id.0
    );
    let read = rows.fetch_all(db).await?.into_iter();
    let read = read.map(|row| {
        Ok(Spaced { scope: read::named(SpacingScope::from_name(&row.scope))?, day: row.day, until: row.until })
    });
    read.collect()
}

/// Whether something was recorded of a visit: a clearance, a reaction, or the result of an assessment.
pub async fn has_record(db: &mut PgConnection, practice: PracticeId, id: AppointmentId) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM clearances WHERE practice_id = $1 AND consultation_id = $2)
               OR EXISTS (SELECT FROM reactions WHERE practice_id = $1 AND appointment_id = $2)
               OR EXISTS (SELECT FROM assessment_results WHERE practice_id = $1 AND appointment_id = $2) AS "found!""#,
        practice.0,
        id.0
    );
    Ok(found.fetch_one(db).await?)
}
