//! Which changes concern the visits of a day.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::ids::{AppointmentId, ClinicId, PracticeId};
use crate::domain::interval::{Instant, Interval};
use crate::store::StoreError;

/// The visits of some days at clinics that changes concern, after a revision until another: the place of the day, the
/// revision and the visit, in that order.
///
/// A change concerns a visit that it names; and, because it may change what is to be known of it, any other visit of a
/// patient whom it is about, and, if it publishes a protocol, one that needles by that protocol outside any series: as
/// long as it was on the sheet at that revision. What patients are told is on no sheet. A visit leaves the sheet with
/// its last change. So the answer is the same whenever it is asked for.
pub async fn touched(
    db: &mut PgConnection,
    practice: PracticeId,
    (after, until): (i64, i64),
    days: &[(ClinicId, Interval)],
) -> Result<Vec<(usize, i64, AppointmentId)>, StoreError> {
    if days.is_empty() || after == until {
        return Ok(Vec::new());
    }
    let clinics: Vec<Uuid> = days.iter().map(|(clinic, _)| clinic.0).collect();
    let starts: Vec<Instant> = days.iter().map(|(_, during)| during.start()).collect();
    let ends: Vec<Instant> = days.iter().map(|(_, during)| during.end()).collect();
    let rows = sqlx::query!(
        r#"WITH news AS (
               SELECT revision, kind, subject_id, patient_id, appointment_ids FROM changes
               WHERE practice_id = $1 AND revision > $2 AND revision <= $3),
           about AS (
               SELECT revision, patient_id FROM news WHERE patient_id IS NOT NULL AND kind <> 'message.taken'
               UNION
               SELECT n.revision, a.patient_id
               FROM news n CROSS JOIN LATERAL unnest(n.appointment_ids) AS named (id)
               JOIN appointments a ON a.practice_id = $1 AND a.appointment_id = named.id
               WHERE n.kind <> 'message.taken'),
           days AS (
               SELECT place, clinic, tstzrange(a, b) AS during, a - interval '12 hours' AS a, b
               FROM unnest($4::uuid[], $5::timestamptz[], $6::timestamptz[]) WITH ORDINALITY
                    AS d (clinic, a, b, place)),
           concerned AS (
               SELECT d.place, n.revision, v.appointment_id, v.held_revision, v.booked_revision, v.changed_revision,
                      v.live
               FROM about n CROSS JOIN days d
               JOIN appointments v ON v.practice_id = $1 AND v.patient_id = n.patient_id AND v.clinic_id = d.clinic
                   AND lower(v.visit) > d.a AND lower(v.visit) < d.b AND v.visit && d.during
               UNION
               SELECT d.place, n.revision, v.appointment_id, v.held_revision, v.booked_revision, v.changed_revision,
                      v.live
               FROM news n
               JOIN protocols p ON p.practice_id = $1 AND p.protocol_id = n.subject_id
                   AND p.published_revision <= n.revision
               CROSS JOIN days d
               JOIN appointments v ON v.practice_id = $1 AND v.clinic_id = d.clinic AND v.treatment_id = p.treatment_id
                   AND lower(v.visit) > d.a AND lower(v.visit) < d.b AND v.visit && d.during
               WHERE n.kind = 'protocol.published' AND v.body_area IS NOT NULL
                 AND v.series_id IS NULL AND v.follows_series_id IS NULL)
           SELECT place AS "place!", revision AS "revision!", appointment_id AS "appointment_id!"
           FROM concerned
           WHERE least(held_revision, booked_revision) <= revision AND (live OR changed_revision >= revision)
           ORDER BY 1, 2, 3"#,
        practice.0,
        after,
        until,
        &clinics,
        &starts,
        &ends
    );
    let rows = rows.fetch_all(db).await?.into_iter();
    let place = |place: i64| usize::try_from(place - 1).map_err(|_| StoreError::Corrupt("place in a list"));
    rows.map(|row| Ok((place(row.place)?, row.revision, AppointmentId(row.appointment_id)))).collect()
}
