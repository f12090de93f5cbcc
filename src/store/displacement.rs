//! Visits that may have lost their place: those that are booked or held and have not begun.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, read};
use crate::domain::displacement::{PlacedVisit, Whose};
use crate::domain::ids::{AppointmentId, ClinicId, PracticeId, ResourceId};
use crate::domain::interval::{Instant, Interval};

/// Which visits to look at.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// Only those of a clinic or resource.
    pub whose: Option<Whose>,
    /// Those that begin after this instant.
    pub after: Instant,
    /// Only those that begin before this one.
    pub before: Option<Instant>,
    /// Whether those too that are only held.
    pub with_held: bool,
    /// Only those after this start and id.
    pub place: Option<(Instant, AppointmentId)>,
}

/// Visits ahead, by start and id.
pub async fn ahead(
    db: &mut PgConnection,
    practice: PracticeId,
    which: &Ahead,
    limit: i64,
) -> Result<Vec<PlacedVisit>, StoreError> {
    let (clinic, resource) = match which.whose {
        Some(Whose::Clinic(clinic)) => (Some(clinic.0), None),
        Some(Whose::Resource(resource)) => (None, Some(resource.0)),
        None => (None, None),
    };
    let (place, id) = which.place.map_or((Instant::UNIX_EPOCH, Uuid::nil()), |(at, id)| (at, id.0));
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT a.appointment_id, a.clinic_id, a.state, lower(a.visit) AS "start!", upper(a.visit) AS "end!",
                  o.resources AS "resources!", o.starts AS "starts!", o.ends AS "ends!"
           FROM appointments a
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(resource_id), '{}') AS resources,
                      coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM occupancies
               WHERE practice_id = a.practice_id AND appointment_id = a.appointment_id AND live) o
           WHERE a.practice_id = $1 AND a.state IN ('held', 'booked', 'confirmed') AND (a.state <> 'held' OR $4)
             AND lower(a.visit) > $2 AND ($3::timestamptz IS NULL OR lower(a.visit) < $3)
             AND ($5::uuid IS NULL OR a.clinic_id = $5) AND ($6::uuid IS NULL OR $6 = ANY(o.resources))
             AND (lower(a.visit), a.appointment_id) > ($7, $8)
           ORDER BY lower(a.visit), a.appointment_id LIMIT $9"#,
        practice.0,
        which.after,
        which.before,
        which.with_held,
        clinic,
        resource,
        place,
        id,
        limit
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

struct Row {
    appointment_id: Uuid,
    clinic_id: Uuid,
    state: String,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    resources: Vec<Uuid>,
    starts: Vec<DateTime<Utc>>,
    ends: Vec<DateTime<Utc>>,
}

impl Row {
    fn read(self) -> Result<PlacedVisit, StoreError> {
        let during = self.starts.into_iter().zip(self.ends).map(|(start, end)| read::interval(start, end));
        let during: Vec<Interval> = during.collect::<Result<_, _>>()?;
        Ok(PlacedVisit {
            id: AppointmentId(self.appointment_id),
            clinic: ClinicId(self.clinic_id),
            visit: read::interval(self.start, self.end)?,
            occupied: self.resources.into_iter().map(ResourceId).zip(during).collect(),
            is_held: self.state == "held",
        })
    }
}
