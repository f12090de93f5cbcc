//! The waiting list.

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, read};
use crate::domain::catalog::BodyArea;
use crate::domain::finding::{Times, TimesOfDay};
use crate::domain::hours::weekday_from_iso;
use crate::domain::ids::{
    AppointmentId, ClinicId, PatientId, PracticeId, ResourceId, SeriesId, TreatmentId, WaitingId,
};
use crate::domain::interval::Instant;
use crate::domain::waiting::{Entry, EntryFor, EntryState, Window};

/// Inserts a new entry.
pub async fn insert(db: &mut PgConnection, practice: PracticeId, entry: &Entry) -> Result<(), StoreError> {
    let (treatment, area, series, number) = match entry.what {
        EntryFor::Treatment { treatment, area } => (Some(treatment.0), area.map(BodyArea::as_str), None, None),
        EntryFor::Session { series, number } => (None, None, Some(series.0), Some(number)),
    };
    let Window { clinic, practitioner, zone: _, first, last, times } = &entry.window;
    let weekdays: Vec<i16> =
        times.weekdays().iter().filter_map(|day| i16::try_from(day.number_from_monday()).ok()).collect();
    let (from, until): (Vec<i32>, Vec<i32>) = times.parts().iter().map(|part| (part.from(), part.until())).unzip();
    let done = sqlx::query!(
        "INSERT INTO waiting_list (practice_id, waiting_id, patient_id, treatment_id, body_area, series_id,
                                   session_number, clinic_id, practitioner_id, first_day, last_day, weekdays, hours_from,
                                   hours_until, urgent, added_at, added_revision, changed_revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)",
        practice.0,
        entry.id.0,
        entry.patient.0,
        treatment,
        area,
        series,
        number,
        clinic.0,
        practitioner.map(|id| id.0),
        first,
        last,
        &weekdays,
        &from,
        &until,
        entry.is_urgent,
        entry.since,
        entry.added_revision
    );
    expect_rows("insert waiting entry", 1, &done.execute(db).await?)
}

/// Says that time is held for an entry.
pub async fn offer(
    db: &mut PgConnection,
    practice: PracticeId,
    id: WaitingId,
    held: AppointmentId,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE waiting_list SET offered_appointment_id = $3, changed_revision = $4
         WHERE practice_id = $1 AND waiting_id = $2 AND withdrawn_at IS NULL",
        practice.0,
        id.0,
        held.0,
        revision
    );
    expect_rows("offer to waiting entry", 1, &done.execute(db).await?)
}

/// Takes an entry off the list.
pub async fn withdraw(
    db: &mut PgConnection,
    practice: PracticeId,
    id: WaitingId,
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE waiting_list SET withdrawn_at = $3, changed_revision = $4
         WHERE practice_id = $1 AND waiting_id = $2 AND withdrawn_at IS NULL",
        practice.0,
        id.0,
        now,
        revision
    );
    expect_rows("withdraw waiting entry", 1, &done.execute(db).await?)
}

/// Which entries are looked for.
#[derive(Debug, Clone)]
pub enum Sought {
    /// This one.
    One(WaitingId),
    /// Those of a patient, or of all, that are after a rank; only those that wait or are offered something, or all.
    Listed {
        /// Whose.
        patient: Option<PatientId>,
        /// Whether also those that were booked, were withdrawn or have lapsed by now.
        with_ended: bool,
        /// The current time.
        now: Instant,
        /// The rank that they come after.
        after: Option<i64>,
    },
    /// Those that wait at one of these clinics for a day of a stretch, and for anybody or one of these practitioners.
    Waiting {
        /// The clinics.
        clinics: Vec<ClinicId>,
        /// The practitioners.
        practitioners: Vec<ResourceId>,
        /// Appointments that are about to end: what they were held for waits again.
        ending: Vec<AppointmentId>,
        /// The first day.
        first: NaiveDate,
        /// The last day, inclusive.
        last: NaiveDate,
    },
}

/// An entry.
pub async fn get(db: &mut PgConnection, practice: PracticeId, id: WaitingId) -> Result<Option<Entry>, StoreError> {
    Ok(list(db, practice, &Sought::One(id), 1).await?.pop())
}

/// Entries by their rank.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    sought: &Sought,
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    let (mut one, mut patient, mut after, mut lasting, mut clinics, mut days) = (None, None, None, None, None, None);
    let (mut by, mut over): (Vec<Uuid>, Vec<Uuid>) = (Vec::new(), Vec::new());
    match sought {
        Sought::One(id) => one = Some(id.0),
        Sought::Listed { patient: of, with_ended, now, after: place } => {
            patient = of.map(|id| id.0);
            after = *place;
            lasting = (!with_ended).then_some(*now);
        }
        Sought::Waiting { clinics: at, practitioners, ending, first, last } => {
            by = practitioners.iter().map(|id| id.0).collect();
            over = ending.iter().map(|id| id.0).collect();
            clinics = Some(at.iter().map(|id| id.0).collect::<Vec<Uuid>>());
            days = Some((*first, *last));
        }
    }
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT * FROM (
               SELECT w.waiting_id, w.patient_id, w.treatment_id, w.body_area, w.series_id, w.session_number,
                      w.clinic_id, c.time_zone, w.practitioner_id, w.first_day, w.last_day, w.weekdays, w.hours_from,
                      w.hours_until, w.urgent, w.added_at, w.added_revision, w.changed_revision,
                      w.offered_appointment_id, w.withdrawn_at, CASE
                          WHEN w.withdrawn_at IS NOT NULL THEN 'withdrawn'
                          WHEN a.booked_revision <> a.held_revision THEN 'booked'
                          WHEN a.state = 'held' AND a.appointment_id <> ALL($11) THEN 'offered'
                          WHEN w.series_id IS NOT NULL AND NOT EXISTS (
                              SELECT FROM series s
                              WHERE s.practice_id = w.practice_id AND s.series_id = w.series_id
                                AND s.state = 'active' AND s.session_count >= w.session_number) THEN 'moot'
                          WHEN EXISTS (
                              SELECT FROM appointments x
                              WHERE x.practice_id = w.practice_id AND x.series_id = w.series_id
                                AND x.session_number = w.session_number AND x.live
                                AND x.appointment_id <> ALL($11)) THEN 'moot'
                          ELSE 'waiting' END AS "standing!"
               FROM waiting_list w
               JOIN clinics c ON c.practice_id = w.practice_id AND c.clinic_id = w.clinic_id
               LEFT JOIN appointments a ON a.practice_id = w.practice_id AND a.appointment_id = w.offered_appointment_id
               WHERE w.practice_id = $1 AND ($2::uuid IS NULL OR w.waiting_id = $2)
                 AND ($3::uuid IS NULL OR w.patient_id = $3)
                 AND ($4::bigint IS NULL OR CASE WHEN w.urgent THEN 0 ELSE 1::bigint << 62 END + w.added_revision > $4)
                 AND ($5::timestamptz IS NULL
                      OR w.withdrawn_at IS NULL AND (w.last_day >= ($5 AT TIME ZONE c.time_zone)::date
                                                     OR coalesce(a.state = 'held', false)))
                 AND ($6::uuid[] IS NULL OR w.clinic_id = ANY($6) AND w.withdrawn_at IS NULL
                      AND w.last_day >= $7 AND w.first_day <= $8
                      AND (w.practitioner_id IS NULL OR w.practitioner_id = ANY($10)))) AS entry
           WHERE ($5 IS NULL OR "standing!" IN ('waiting', 'offered')) AND ($6 IS NULL OR "standing!" = 'waiting')
           ORDER BY NOT urgent, added_revision LIMIT $9"#,
        practice.0,
        one,
        patient,
        after,
        lasting,
        clinics.as_deref(),
        days.map(|(first, _)| first),
        days.map(|(_, last)| last),
        limit,
        &by,
        &over
    );
    rows.fetch_all(db).await?.into_iter().map(Row::read).collect()
}

struct Row {
    waiting_id: Uuid,
    patient_id: Uuid,
    treatment_id: Option<Uuid>,
    body_area: Option<String>,
    series_id: Option<Uuid>,
    session_number: Option<i32>,
    clinic_id: Uuid,
    time_zone: String,
    practitioner_id: Option<Uuid>,
    first_day: NaiveDate,
    last_day: NaiveDate,
    weekdays: Vec<i16>,
    hours_from: Vec<i32>,
    hours_until: Vec<i32>,
    urgent: bool,
    added_at: Instant,
    added_revision: i64,
    changed_revision: i64,
    offered_appointment_id: Option<Uuid>,
    withdrawn_at: Option<Instant>,
    standing: String,
}

impl Row {
    fn read(self) -> Result<Entry, StoreError> {
        let what = match (self.treatment_id, self.series_id.zip(self.session_number)) {
            (Some(treatment), None) => {
                let area = self.body_area.map(|area| read::named(BodyArea::from_name(&area))).transpose()?;
                EntryFor::Treatment { treatment: TreatmentId(treatment), area }
            }
            (None, Some((series, number))) => EntryFor::Session { series: SeriesId(series), number },
            _ => return Err(StoreError::Corrupt("what a waiting entry is for")),
        };
        let weekdays = self.weekdays.into_iter().map(|day| read::named(weekday_from_iso(day)));
        let parts = self.hours_from.into_iter().zip(self.hours_until);
        let parts = parts.map(|(from, until)| read::named(TimesOfDay::new(from, until)));
        let times = Times::new(weekdays.collect::<Result<_, _>>()?, parts.collect::<Result<_, _>>()?);
        let offered = self.offered_appointment_id.map(AppointmentId);
        let state = match (self.standing.as_str(), self.withdrawn_at, offered) {
            ("waiting", None, _) => EntryState::Waiting,
            ("offered", None, Some(held)) => EntryState::Offered(held),
            ("booked", None, Some(booked)) => EntryState::Booked(booked),
            ("moot", None, _) => EntryState::Moot,
            ("withdrawn", Some(at), _) => EntryState::Withdrawn { at },
            _ => return Err(StoreError::Corrupt("where a waiting entry stands")),
        };
        Ok(Entry {
            id: WaitingId(self.waiting_id),
            patient: PatientId(self.patient_id),
            what,
            window: Window {
                clinic: ClinicId(self.clinic_id),
                practitioner: self.practitioner_id.map(ResourceId),
                zone: read::zone(&self.time_zone)?,
                first: self.first_day,
                last: self.last_day,
                times: times.ok_or(StoreError::Corrupt("hours of a waiting entry"))?,
            },
            is_urgent: self.urgent,
            since: self.added_at,
            added_revision: self.added_revision,
            state,
            changed_revision: self.changed_revision,
        })
    }
}
