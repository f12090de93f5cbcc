//! The facts that a booking decision rests on, in a few queries whatever the practice's age.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::practice::Standing;
use super::{StoreError, read};
use crate::domain::booking::{
    ActivityWindow, Busy, ClinicFacts, PatientFacts, PatientVisit, ResourceFacts, SpacingWindow, WindowRole,
};
use crate::domain::catalog::{Activity, BodyArea, MAX_VISIT_MINUTES, Need, Qualification, ResourceKind, SpacingScope};
use crate::domain::hours::Week;
use crate::domain::ids::{AppointmentId, ClinicId, PatientId, PracticeId, ResourceId};
use crate::domain::interval::Interval;
use crate::domain::refusal::Other;

/// Columns of a span in two arrays, as SQL takes them.
struct Spans {
    starts: Vec<DateTime<Utc>>,
    ends: Vec<DateTime<Utc>>,
}

impl Spans {
    fn new(spans: &[Interval]) -> Self {
        Self {
            starts: spans.iter().map(|span| span.start()).collect(),
            ends: spans.iter().map(|span| span.end()).collect(),
        }
    }
}

/// Clinics, with their closures in the spans. Those that do not exist are missing from the answer.
pub async fn clinics(
    db: &mut PgConnection,
    practice: PracticeId,
    clinics: &[ClinicId],
    spans: &[Interval],
) -> Result<BTreeMap<ClinicId, ClinicFacts>, StoreError> {
    let ids: Vec<Uuid> = clinics.iter().map(|id| id.0).collect();
    let spans = Spans::new(spans);
    let rows = sqlx::query!(
        r#"SELECT c.clinic_id, c.time_zone,
                  o.weekdays AS "weekdays!", o.opens AS "opens!", o.closes AS "closes!",
                  k.starts AS "closure_starts!", k.ends AS "closure_ends!"
           FROM clinics c
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(weekday), '{}') AS weekdays, coalesce(array_agg(lower(minutes)), '{}') AS opens,
                      coalesce(array_agg(upper(minutes)), '{}') AS closes
               FROM opening_hours WHERE practice_id = c.practice_id AND clinic_id = c.clinic_id) o
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM closures
               JOIN unnest($3::timestamptz[], $4::timestamptz[]) AS span (a, b) ON during && tstzrange(a, b)
               WHERE practice_id = c.practice_id AND clinic_id = c.clinic_id) k
           WHERE c.practice_id = $1 AND c.clinic_id = ANY($2)"#,
        practice.0,
        &ids,
        &spans.starts,
        &spans.ends
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| {
        let stretches = row.weekdays.into_iter().zip(row.opens).zip(row.closes);
        let stretches = stretches.map(|((weekday, from), to)| read::stretch(weekday, from, to));
        let week = Week::new(stretches.collect::<Result<_, _>>()?);
        let facts = ClinicFacts {
            zone: read::zone(&row.time_zone)?,
            opening_hours: week.ok_or(StoreError::Corrupt("opening hours"))?,
            closures: intervals(row.closure_starts, row.closure_ends)?,
        };
        Ok((ClinicId(row.clinic_id), facts))
    });
    read.collect()
}

/// The resources that could serve one of the needs at one of the clinics (any need at all, where none are given), and the
/// named ones, with what takes them in the spans.
pub async fn resources(
    db: &mut PgConnection,
    practice: PracticeId,
    clinics: &[ClinicId],
    needs: Option<&[&Need]>,
    named: &[ResourceId],
    spans: &[Interval],
) -> Result<Vec<ResourceFacts>, StoreError> {
    let clinics: Vec<Uuid> = clinics.iter().map(|id| id.0).collect();
    let column = |of: fn(&Need) -> &str| -> Option<Vec<String>> {
        needs.map(|needs| needs.iter().map(|need| of(need).to_owned()).collect())
    };
    let (kinds, qualifications) = (column(|need| need.kind.as_str()), column(|need| need.qualification.as_str()));
    let named: Vec<Uuid> = named.iter().map(|id| id.0).collect();
    let spans = Spans::new(spans);
    let rows = sqlx::query!(
        r#"SELECT r.resource_id, r.kind, r.clinic_id, r.active, r.qualifications,
                  w.clinics AS "work_clinics!", w.weekdays AS "weekdays!", w.froms AS "froms!", w.tos AS "tos!",
                  f.starts AS "off_starts!", f.ends AS "off_ends!",
                  o.appointments AS "busy_with!", o.starts AS "busy_starts!", o.ends AS "busy_ends!"
           FROM resources r
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(clinic_id), '{}') AS clinics, coalesce(array_agg(weekday), '{}') AS weekdays,
                      coalesce(array_agg(lower(minutes)), '{}') AS froms, coalesce(array_agg(upper(minutes)), '{}') AS tos
               FROM working_hours
               WHERE practice_id = r.practice_id AND resource_id = r.resource_id AND clinic_id = ANY($2)) w
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM time_off
               JOIN unnest($6::timestamptz[], $7::timestamptz[]) AS span (a, b) ON during && tstzrange(a, b)
               WHERE practice_id = r.practice_id AND resource_id = r.resource_id) f
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM unnest($6::timestamptz[], $7::timestamptz[]) AS span (a, b)
               -- OFFSET 0 keeps the planner from joining the other way round, over all that the resource ever did. The
               -- ends are compared one by one, for the index by start: half as long as by the exclusion constraint's.
               CROSS JOIN LATERAL (
                   SELECT appointment_id, during FROM occupancies
                   WHERE practice_id = r.practice_id AND resource_id = r.resource_id AND live
                     AND lower(during) > span.a - make_interval(mins => $8) AND lower(during) < span.b
                     AND upper(during) > span.a OFFSET 0) taken) o
           WHERE r.practice_id = $1
             AND (r.resource_id = ANY($5)
                  OR (r.active AND (r.clinic_id IS NULL OR r.clinic_id = ANY($2))
                      AND ($3::text[] IS NULL
                           OR EXISTS (SELECT FROM unnest($3::text[], $4::text[]) AS need (kind, qualification)
                                      WHERE need.kind = r.kind AND need.qualification = ANY(r.qualifications)))))
           ORDER BY r.resource_id"#,
        practice.0,
        &clinics,
        kinds.as_deref(),
        qualifications.as_deref(),
        &named,
        &spans.starts,
        &spans.ends,
        MAX_VISIT_MINUTES
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| {
        let stretches = row.weekdays.into_iter().zip(row.froms).zip(row.tos);
        let hours = row.work_clinics.into_iter().zip(stretches);
        let busy = row.busy_with.into_iter().zip(intervals(row.busy_starts, row.busy_ends)?);
        let qualifications = row.qualifications.iter().map(|code| read::named(Qualification::new(code)));
        Ok(ResourceFacts {
            id: ResourceId(row.resource_id),
            kind: read::named(ResourceKind::from_name(&row.kind))?,
            clinic: row.clinic_id.map(ClinicId),
            active: row.active,
            qualifications: qualifications.collect::<Result<_, _>>()?,
            working_hours: hours
                .map(|(clinic, ((weekday, from), to))| Ok((ClinicId(clinic), read::stretch(weekday, from, to)?)))
                .collect::<Result<_, StoreError>>()?,
            time_off: intervals(row.off_starts, row.off_ends)?,
            busy: busy.map(|(id, during)| Busy { during, other: Other::Appointment(AppointmentId(id)) }).collect(),
        })
    });
    read.collect()
}

/// What appointments take up or took up: resource, when, and whether still.
pub async fn occupied(
    db: &mut PgConnection,
    practice: PracticeId,
    appointments: &[AppointmentId],
) -> Result<Vec<(ResourceId, Interval, bool)>, StoreError> {
    let appointments: Vec<Uuid> = appointments.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"SELECT resource_id, lower(during) AS "start!", upper(during) AS "end!", live FROM occupancies
           WHERE practice_id = $1 AND appointment_id = ANY($2)"#,
        practice.0,
        &appointments
    );
    let read = rows.fetch_all(db).await?.into_iter();
    read.map(|row| Ok((ResourceId(row.resource_id), read::interval(row.start, row.end)?, row.live))).collect()
}

/// What to look at of a patient.
#[derive(Debug, Clone)]
pub struct PatientQuestion {
    /// The patient.
    pub patient: PatientId,
    /// Where to look for visits.
    pub spans: Vec<Interval>,
    /// The area, with the days in which spacing windows matter, if the treatment needles.
    pub spacing: Option<(BodyArea, NaiveDate, NaiveDate)>,
    /// The activities that matter, as far as they are forbidden or booked.
    pub activities: Vec<Activity>,
    /// Where to look for their windows.
    pub windows: Interval,
}

/// A patient, and where the practice stands; nothing if there is none of that id.
pub async fn patient(
    db: &mut PgConnection,
    practice: PracticeId,
    question: &PatientQuestion,
) -> Result<Option<(Standing, PatientFacts)>, StoreError> {
    let spans = Spans::new(&question.spans);
    let (scopes, first_day, last_day) = match question.spacing {
        Some((area, first, last)) => (vec![SpacingScope::Area(area), SpacingScope::AnyArea], Some(first), Some(last)),
        None => (Vec::new(), None, None),
    };
    let scopes: Vec<String> = scopes.into_iter().map(|scope| scope.as_str().to_owned()).collect();
    let activities: Vec<String> = question.activities.iter().map(|activity| activity.as_str().to_owned()).collect();
    let row = sqlx::query!(
        r#"SELECT here.revision, here.booking_horizon_days,
                  (SELECT min(held_until) FROM appointments a
                   WHERE a.practice_id = p.practice_id AND a.state = 'held') AS hold_ends, v.appointments AS "visits!", v.starts AS "visit_starts!", v.ends AS "visit_ends!",
                  s.appointments AS "spacings!", s.scopes AS "scopes!", s.days AS "spacing_days!", s.untils AS "spacing_untils!",
                  w.appointments AS "windows!", w.activities AS "activities!", w.roles AS "roles!",
                  w.starts AS "window_starts!", w.ends AS "window_ends!"
           FROM patients p
           JOIN practices here ON here.practice_id = p.practice_id
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(lower(visit)), '{}') AS starts, coalesce(array_agg(upper(visit)), '{}') AS ends
               FROM unnest($3::timestamptz[], $4::timestamptz[]) AS span (a, b)
               CROSS JOIN LATERAL (
                   SELECT appointment_id, visit FROM appointments
                   WHERE practice_id = p.practice_id AND patient_id = p.patient_id AND live
                     AND visit && tstzrange(span.a, span.b) OFFSET 0) there) v
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(scope), '{}') AS scopes,
                      coalesce(array_agg(lower(days)), '{}') AS days, coalesce(array_agg(upper(days)), '{}') AS untils
               FROM spacing_windows
               WHERE practice_id = p.practice_id AND patient_id = p.patient_id AND live
                 AND scope = ANY($5) AND days && daterange($6, $7, '[]')) s
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(activity), '{}') AS activities, coalesce(array_agg(role), '{}') AS roles,
                      coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM activity_windows
               WHERE practice_id = p.practice_id AND patient_id = p.patient_id AND live
                 AND role IN ('restricts', 'exposes') AND activity = ANY($8) AND during && tstzrange($9, $10)) w
           WHERE p.practice_id = $1 AND p.patient_id = $2"#,
        practice.0,
        question.patient.0,
        &spans.starts,
        &spans.ends,
        &scopes,
        first_day,
        last_day,
        &activities,
        question.windows.start(),
        question.windows.end()
    );
    let Some(row) = row.fetch_optional(db).await? else { return Ok(None) };
    let (revision, booking_horizon_days) = (row.revision, row.booking_horizon_days);
    let standing = Standing { revision, booking_horizon_days, hold_ends: row.hold_ends };
    let known = PatientRow {
        patient_id: question.patient.0,
        visits: row.visits,
        visit_starts: row.visit_starts,
        visit_ends: row.visit_ends,
        spacings: row.spacings,
        scopes: row.scopes,
        spacing_days: row.spacing_days,
        spacing_untils: row.spacing_untils,
        windows: row.windows,
        activities: row.activities,
        roles: row.roles,
        window_starts: row.window_starts,
        window_ends: row.window_ends,
    };
    Ok(Some((standing, known.read()?.1)))
}

/// What to look at of several patients: whatever may matter to a visit of any treatment on any area.
#[derive(Debug, Clone, Copy)]
pub struct PatientsQuestion {
    /// Where to look for visits.
    pub span: Interval,
    /// The days in which spacing windows matter.
    pub days: (NaiveDate, NaiveDate),
    /// Where to look for windows of activities.
    pub windows: Interval,
}

/// Patients; those that do not exist are missing from the answer.
pub async fn patients(
    db: &mut PgConnection,
    practice: PracticeId,
    patients: &[PatientId],
    question: &PatientsQuestion,
) -> Result<BTreeMap<PatientId, PatientFacts>, StoreError> {
    let patients: Vec<Uuid> = patients.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        PatientRow,
        r#"SELECT p.patient_id, v.appointments AS "visits!", v.starts AS "visit_starts!", v.ends AS "visit_ends!",
                  s.appointments AS "spacings!", s.scopes AS "scopes!", s.days AS "spacing_days!", s.untils AS "spacing_untils!",
                  w.appointments AS "windows!", w.activities AS "activities!", w.roles AS "roles!",
                  w.starts AS "window_starts!", w.ends AS "window_ends!"
           FROM patients p
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(lower(visit)), '{}') AS starts, coalesce(array_agg(upper(visit)), '{}') AS ends
               FROM appointments
               WHERE practice_id = p.practice_id AND patient_id = p.patient_id AND live AND visit && tstzrange($3, $4)) v
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(scope), '{}') AS scopes,
                      coalesce(array_agg(lower(days)), '{}') AS days, coalesce(array_agg(upper(days)), '{}') AS untils
               FROM spacing_windows
               WHERE practice_id = p.practice_id AND patient_id = p.patient_id AND live
                 AND days && daterange($5, $6, '[]')) s
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(activity), '{}') AS activities, coalesce(array_agg(role), '{}') AS roles,
                      coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM activity_windows
               WHERE practice_id = p.practice_id AND patient_id = p.patient_id AND live
                 AND role IN ('restricts', 'exposes') AND during && tstzrange($7, $8)) w
           WHERE p.practice_id = $1 AND p.patient_id = ANY($2)"#,
        practice.0,
        &patients,
        question.span.start(),
        question.span.end(),
        question.days.0,
        question.days.1,
        question.windows.start(),
        question.windows.end()
    );
    rows.fetch_all(db).await?.into_iter().map(PatientRow::read).collect()
}

/// What a patient's live appointments mean for others, kind by kind, column by column.
struct PatientRow {
    patient_id: Uuid,
    visits: Vec<Uuid>,
    visit_starts: Vec<DateTime<Utc>>,
    visit_ends: Vec<DateTime<Utc>>,
    spacings: Vec<Uuid>,
    scopes: Vec<String>,
    spacing_days: Vec<NaiveDate>,
    spacing_untils: Vec<NaiveDate>,
    windows: Vec<Uuid>,
    activities: Vec<String>,
    roles: Vec<String>,
    window_starts: Vec<DateTime<Utc>>,
    window_ends: Vec<DateTime<Utc>>,
}

impl PatientRow {
    fn read(self) -> Result<(PatientId, PatientFacts), StoreError> {
        let other = |id: Uuid| Other::Appointment(AppointmentId(id));
        let visits = self.visits.into_iter().zip(intervals(self.visit_starts, self.visit_ends)?);
        let visits = visits.map(|(id, during)| PatientVisit { during, other: other(id) }).collect();

        let days = self.spacing_days.into_iter().zip(self.spacing_untils);
        let spacing = self.spacings.into_iter().zip(self.scopes).zip(days).map(|((id, scope), (day, until))| {
            let scope = read::named(SpacingScope::from_name(&scope))?;
            Ok(SpacingWindow { scope, day, until, other: other(id) })
        });
        let spacing = spacing.collect::<Result<_, StoreError>>()?;

        let kinds = self.activities.into_iter().zip(self.roles);
        let windows = self.windows.into_iter().zip(kinds).zip(intervals(self.window_starts, self.window_ends)?);
        let windows = windows.map(|((id, (activity, role)), during)| {
            let window = ActivityWindow {
                activity: read::named(Activity::from_name(&activity))?,
                role: read::named(WindowRole::from_name(&role))?,
                during,
            };
            Ok((window, other(id)))
        });
        let windows = windows.collect::<Result<_, StoreError>>()?;
        Ok((PatientId(self.patient_id), PatientFacts { visits, spacing, windows, ..PatientFacts::default() }))
    }
}

fn intervals(starts: Vec<DateTime<Utc>>, ends: Vec<DateTime<Utc>>) -> Result<Vec<Interval>, StoreError> {
    starts.into_iter().zip(ends).map(|(start, end)| read::interval(start, end)).collect()
}
