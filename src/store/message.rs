//! Messages: what decides which are due, and those that were taken.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::expect_rows;
use super::{StoreError, aftercare, read};
use crate::domain::assessment::AssessmentDue;
use crate::domain::ids::{AppointmentId, ClinicId, MessageId, PatientId, PracticeId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::message::{Due, Message, MessageKind, OpenAssessment, Standing, Told, Topic};

/// The visits about which something may be due, by start and appointment, after one of them: a few more than there are,
/// which [`Topic::due`] tells apart. What is only held, was never more, or was moved on is left out, and so is what
/// nobody can be told any more, or has been told already.
pub async fn topics(
    db: &mut PgConnection,
    practice: PracticeId,
    now: Instant,
    after: Option<(Instant, AppointmentId)>,
    limit: i64,
) -> Result<Vec<Topic>, StoreError> {
    let (after, after_id) = after.map_or((Instant::UNIX_EPOCH, Uuid::nil()), |(at, id)| (at, id.0));
    let rows = sqlx::query_as!(
        TopicRow,
        r#"WITH near AS MATERIALIZED (
               SELECT a.appointment_id, a.clinic_id, a.visit, a.booked_at, a.cancelled_at, a.fulfilled_at,
                      a.performed_start, a.body_area IS NOT NULL AS needles, a.replaces,
                      ARRAY(SELECT m.kind FROM messages m
                            WHERE m.practice_id = $1 AND m.appointment_id = a.appointment_id) AS taken
               FROM appointments a
               -- A visit begins at most 31 days after it was booked for.
               WHERE a.practice_id = $1 AND lower(a.visit) > $2::timestamptz - interval '40 days'
                 AND (lower(a.visit), a.appointment_id) > ($3, $4)
                 AND a.held_revision IS DISTINCT FROM a.booked_revision AND a.no_show_revision IS NULL
                 AND CASE
                     WHEN a.cancelled_at IS NOT NULL THEN a.cancelled_at > $2::timestamptz - interval '32 days'
                     WHEN a.fulfilled_at IS NOT NULL THEN a.fulfilled_at > $2::timestamptz - interval '8 days'
                     ELSE a.arrived_at IS NULL AND lower(a.visit) > $2
                         AND (a.replaces IS NOT NULL OR a.booked_at > $2::timestamptz - interval '8 days'
                              OR lower(a.visit) < $2::timestamptz + interval '8 days'
                              -- As far ahead as any treatment asks for something to be left alone.
                              OR lower(a.visit) < $2::timestamptz + interval '3 days' + (
                                  SELECT max(CASE before_unit WHEN 'days' THEN make_interval(days => before_amount)
                                             ELSE make_interval(hours => before_amount) END)
                                  FROM treatment_restrictions WHERE practice_id = $1)) END)
           SELECT n.appointment_id, n.clinic_id, c.time_zone, lower(n.visit) AS "starts!", upper(n.visit) AS "ends!",
                  n.booked_at, n.cancelled_at, n.fulfilled_at, n.performed_start, n.needles AS "needles!", n.replaces,
                  n.taken AS "taken!", w.pre_care_from, w.aftercare_until
           FROM near n
           JOIN clinics c ON c.practice_id = $1 AND c.clinic_id = n.clinic_id
           CROSS JOIN LATERAL (
               SELECT min(lower(during)) FILTER (WHERE role <> 'asks' AND lower(during) < lower(n.visit)) AS pre_care_from,
                      max(upper(during)) AS aftercare_until
               FROM activity_windows
               WHERE practice_id = $1 AND appointment_id = n.appointment_id
                 AND role IN ('restricts', 'advises', 'asks')) w
           WHERE CASE
               WHEN n.cancelled_at IS NOT NULL THEN
                   NOT 'cancelled' = ANY(n.taken) AND (n.replaces IS NOT NULL OR cardinality(n.taken) > 0)
                   AND NOT EXISTS (SELECT FROM appointments r WHERE r.practice_id = $1 AND r.replaces = n.appointment_id)
               WHEN n.fulfilled_at IS NOT NULL THEN
                   NOT 'aftercare' = ANY(n.taken) AND w.aftercare_until > $2
                   OR NOT 'check_2_days' = ANY(n.taken) AND n.needles
               ELSE NOT n.taken && ARRAY['booked', 'moved']
                   OR lower(n.visit) < $2::timestamptz + interval '8 days' AND NOT CASE
                       WHEN lower(n.visit) <= $2::timestamptz + interval '24 hours' THEN 'reminder_24_hours'
                       WHEN lower(n.visit) <= $2::timestamptz + interval '48 hours' THEN 'reminder_48_hours'
                       ELSE 'reminder_7_days' END = ANY(n.taken)
                   OR NOT 'pre_care' = ANY(n.taken) AND w.pre_care_from < $2::timestamptz + interval '2 days' END
           ORDER BY lower(n.visit), n.appointment_id LIMIT $5"#,
        practice.0,
        now,
        after,
        after_id,
        limit
    );
    let rows = rows.fetch_all(&mut *db).await?;
    let moved: Vec<(Uuid, Uuid)> = rows.iter().filter_map(|row| Some((row.appointment_id, row.replaces?))).collect();
    let told = told_before(db, practice, &moved).await?;
    let read = rows.into_iter().map(|row| {
        let told = told.get(&row.appointment_id).copied();
        row.read(told)
    });
    read.collect()
}

/// Of visits that were moved, each with the appointment that it replaces, the latest of the appointments before of which
/// something was told; and whether of any of them it was what to leave alone before a visit at the same place and time.
async fn told_before(
    db: &mut PgConnection,
    practice: PracticeId,
    moved: &[(Uuid, Uuid)],
) -> Result<HashMap<Uuid, (Told, bool)>, StoreError> {
    let (ids, earlier): (Vec<Uuid>, Vec<Uuid>) = moved.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"SELECT n.id AS "id!", e.appointment_id, e.clinic_id, lower(e.visit) AS "start!", told.prepared AS "prepared!"
           FROM unnest($2::uuid[], $3::uuid[]) AS n (id, earlier)
           CROSS JOIN LATERAL (
               WITH RECURSIVE moves AS (
                   SELECT n.earlier AS id, 1 AS number
                   UNION ALL
                   SELECT a.replaces, m.number + 1
                   FROM moves m JOIN appointments a ON a.practice_id = $1 AND a.appointment_id = m.id
                   WHERE a.replaces IS NOT NULL)
               SELECT id, EXISTS (
                   SELECT FROM moves o
                   JOIN messages p ON p.practice_id = $1 AND p.appointment_id = o.id AND p.kind = 'pre_care'
                   JOIN appointments b ON b.practice_id = $1 AND b.appointment_id = o.id
                   JOIN appointments v ON v.practice_id = $1 AND v.appointment_id = n.id
                       AND v.clinic_id = b.clinic_id AND lower(v.visit) = lower(b.visit)) AS prepared
               FROM moves
               WHERE EXISTS (SELECT FROM messages t WHERE t.practice_id = $1 AND t.appointment_id = moves.id)
               ORDER BY number LIMIT 1) told
           JOIN appointments e ON e.practice_id = $1 AND e.appointment_id = told.id"#,
        practice.0,
        &ids,
        &earlier
    );
    let rows = rows.fetch_all(db).await?.into_iter();
    Ok(rows
        .map(|row| {
            let appointment = AppointmentId(row.appointment_id);
            (row.id, (Told { appointment, clinic: ClinicId(row.clinic_id), start: row.start }, row.prepared))
        })
        .collect())
}

struct TopicRow {
    appointment_id: Uuid,
    clinic_id: Uuid,
    time_zone: String,
    starts: Instant,
    ends: Instant,
    booked_at: Instant,
    cancelled_at: Option<Instant>,
    fulfilled_at: Option<Instant>,
    performed_start: Option<Instant>,
    needles: bool,
    replaces: Option<Uuid>,
    taken: Vec<String>,
    pre_care_from: Option<Instant>,
    aftercare_until: Option<Instant>,
}

impl TopicRow {
    fn read(self, told_before: Option<(Told, bool)>) -> Result<Topic, StoreError> {
        let performed = self.performed_start.zip(self.fulfilled_at);
        let stands = match (self.cancelled_at, performed) {
            (Some(at), _) => Standing::Cancelled { at },
            (None, Some((start, completed_at))) => Standing::Performed { start, completed_at },
            (None, None) => Standing::Ahead,
        };
        let taken = self.taken.iter().map(|kind| read::named(MessageKind::from_name(kind)));
        Ok(Topic {
            appointment: AppointmentId(self.appointment_id),
            clinic: ClinicId(self.clinic_id),
            zone: read::zone(&self.time_zone)?,
            visit: read::interval(self.starts, self.ends)?,
            booked_at: self.booked_at,
            stands,
            needles: self.needles,
            pre_care_from: self.pre_care_from,
            aftercare_until: self.aftercare_until,
            told_before: told_before.map(|(told, _)| told),
            prepared: told_before.is_some_and(|(_, prepared)| prepared),
            taken: taken.collect::<Result<_, _>>()?,
        })
    }
}

fn told(id: Option<Uuid>, clinic: Option<Uuid>, start: Option<Instant>) -> Option<Told> {
    let ((id, clinic), start) = id.zip(clinic).zip(start)?;
    Some(Told { appointment: AppointmentId(id), clinic: ClinicId(clinic), start })
}

/// The assessments after last sessions that may be due, neither booked nor done nor told, by when they may be first.
pub async fn open_assessments(
    db: &mut PgConnection,
    practice: PracticeId,
    now: Instant,
    limit: i64,
) -> Result<Vec<OpenAssessment>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH wanted AS MATERIALIZED (
               SELECT protocol_id, version, position + 1 AS number, minimum_days, target_days, maximum_days
               FROM protocol_assessments WHERE practice_id = $1 AND due_kind = 'after_last')
           SELECT w.number AS "number!", w.minimum_days AS "minimum!", w.target_days AS "target!",
                  w.maximum_days AS "maximum!", a.appointment_id, c.time_zone, a.performed_start AS "performed!",
                  a.fulfilled_at AS "fulfilled_at!"
           FROM appointments a
           JOIN clinics c ON c.practice_id = $1 AND c.clinic_id = a.clinic_id
           JOIN series s ON s.practice_id = $1 AND s.series_id = a.series_id
           JOIN wanted w ON w.protocol_id = s.protocol_id AND w.version = s.protocol_version
           WHERE a.practice_id = $1 AND a.performed_start IS NOT NULL
             -- A visit begins at most 31 days after it was booked for.
             AND lower(a.visit) <= $2::timestamptz + make_interval(days => 1 - (SELECT min(minimum_days) FROM wanted))
             AND lower(a.visit) > $2::timestamptz - make_interval(days => 33 + (SELECT max(maximum_days) FROM wanted))
             AND a.performed_start <= $2::timestamptz + make_interval(days => 1 - w.minimum_days)
             AND a.performed_start > $2::timestamptz - make_interval(days => 2 + w.maximum_days)
             AND (s.state = 'completed' OR s.state = 'active' AND a.session_number = s.session_count)
             AND NOT EXISTS (
                 SELECT FROM appointments l
                 WHERE l.practice_id = $1 AND l.series_id = a.series_id AND l.live
                   AND l.session_number > a.session_number)
             AND NOT EXISTS (
                 SELECT FROM appointments v
                 WHERE v.practice_id = $1 AND v.follows_series_id = a.series_id AND v.live
                   AND v.assessment_number = w.number AND lower(v.visit) > a.performed_start)
             AND NOT EXISTS (
                 SELECT FROM assessment_results r
                 WHERE r.practice_id = $1 AND r.series_id = a.series_id AND r.assessment_number = w.number
                   AND (s.state = 'completed' OR r.outcome <> 'extend' OR r.recorded_at > a.fulfilled_at))
             AND NOT EXISTS (
                 SELECT FROM messages m
                 WHERE m.practice_id = $1 AND m.appointment_id = a.appointment_id AND m.kind = 'assessment_due'
                   AND m.assessment_number = w.number)
           ORDER BY a.performed_start, a.appointment_id, w.number LIMIT $3"#,
        practice.0,
        now,
        limit
    );
    let read = rows.fetch_all(db).await?.into_iter().map(|row| {
        let due = AssessmentDue::after_last(row.minimum, row.target, row.maximum);
        Ok(OpenAssessment {
            number: row.number,
            due: due.ok_or(StoreError::Corrupt("days of an assessment"))?,
            session: AppointmentId(row.appointment_id),
            zone: read::zone(&row.time_zone)?,
            start: row.performed,
            completed_at: row.fulfilled_at,
        })
    });
    read.collect()
}

/// Records messages as taken.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    taken: &[(MessageId, Due)],
    now: Instant,
    revision: i64,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = taken.iter().map(|(id, _)| id.0).collect();
    let appointments: Vec<Uuid> = taken.iter().map(|(_, due)| due.appointment.0).collect();
    let kinds: Vec<&str> = taken.iter().map(|(_, due)| due.kind.as_str()).collect();
    let numbers: Vec<i32> = taken.iter().map(|(_, due)| due.assessment.unwrap_or_default()).collect();
    let told: Vec<Option<Uuid>> = taken.iter().map(|(_, due)| due.told.map(|id| id.0)).collect();
    let due: Vec<Instant> = taken.iter().map(|(_, due)| due.at).collect();
    let done = sqlx::query!(
        "INSERT INTO messages (practice_id, message_id, appointment_id, kind, assessment_number, told_appointment_id,
                               due_at, taken_at, taken_revision)
         SELECT $1::uuid, id, appointment, kind, number, told, due, $2::timestamptz, $3::bigint
         FROM unnest($4::uuid[], $5::uuid[], $6::text[], $7::int[], $8::uuid[], $9::timestamptz[])
              AS m (id, appointment, kind, number, told, due)",
        practice.0,
        now,
        revision,
        &ids,
        &appointments,
        &kinds as &[&str],
        &numbers,
        &told as &[Option<Uuid>],
        &due
    );
    expect_rows("take messages", taken.len(), &done.execute(db).await?)
}

/// Which messages.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// Those that a change took.
    TakenBy(i64),
    /// Those to a patient.
    To(PatientId),
    /// Those about an appointment.
    About(AppointmentId),
}

/// Messages that were taken, in order of their ids, after one of them.
pub async fn list(
    db: &mut PgConnection,
    practice: PracticeId,
    which: Which,
    after: Option<MessageId>,
    limit: i64,
) -> Result<Vec<Message>, StoreError> {
    let after = after.map(|id| id.0).unwrap_or_default();
    let ids = match which {
        Which::TakenBy(revision) => {
            sqlx::query_scalar!(
                "SELECT message_id FROM messages
                 WHERE practice_id = $1 AND taken_revision = $2 AND message_id > $3 ORDER BY message_id LIMIT $4",
                practice.0,
                revision,
                after,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
        Which::To(patient) => {
            sqlx::query_scalar!(
                "SELECT m.message_id FROM appointments a
                 JOIN messages m ON m.practice_id = a.practice_id AND m.appointment_id = a.appointment_id
                 WHERE a.practice_id = $1 AND a.patient_id = $2 AND m.message_id > $3 ORDER BY m.message_id LIMIT $4",
                practice.0,
                patient.0,
                after,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
        Which::About(appointment) => {
            sqlx::query_scalar!(
                "SELECT message_id FROM messages
                 WHERE practice_id = $1 AND appointment_id = $2 AND message_id > $3 ORDER BY message_id LIMIT $4",
                practice.0,
                appointment.0,
                after,
                limit
            )
            .fetch_all(&mut *db)
            .await?
        }
    };
    by_ids(db, practice, &ids).await
}

async fn by_ids(db: &mut PgConnection, practice: PracticeId, ids: &[Uuid]) -> Result<Vec<Message>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT m.message_id, m.kind, m.assessment_number, m.appointment_id, m.due_at, m.taken_at, a.patient_id,
                  a.clinic_id, c.time_zone, lower(a.visit) AS "start!",
                  coalesce(a.series_id, a.follows_series_id) AS series_id, a.session_number,
                  t.appointment_id AS "told_id?", t.clinic_id AS "told_clinic?", lower(t.visit) AS told_start,
                  d.time_zone AS "told_zone?"
           FROM messages m
           JOIN appointments a ON a.practice_id = m.practice_id AND a.appointment_id = m.appointment_id
           JOIN clinics c ON c.practice_id = a.practice_id AND c.clinic_id = a.clinic_id
           LEFT JOIN appointments t ON t.practice_id = m.practice_id AND t.appointment_id = m.told_appointment_id
           LEFT JOIN clinics d ON d.practice_id = t.practice_id AND d.clinic_id = t.clinic_id
           WHERE m.practice_id = $1 AND m.message_id = ANY($2)
           ORDER BY m.message_id"#,
        practice.0,
        ids
    );
    let rows = rows.fetch_all(&mut *db).await?;
    let visits: Vec<AppointmentId> = rows.iter().map(|row| AppointmentId(row.appointment_id)).collect();
    let windows = aftercare::of_appointments(db, practice, &visits).await?;
    let read = rows.into_iter().map(|row| {
        let kind = read::named(MessageKind::from_name(&row.kind))?;
        let appointment = AppointmentId(row.appointment_id);
        let told = told(row.told_id, row.told_clinic, row.told_start);
        let told_zone = row.told_zone.as_deref().map(read::zone).transpose()?;
        let instructions = windows.iter().filter(|window| window.appointment == appointment && kind.tells(window));
        Ok(Message {
            id: MessageId(row.message_id),
            kind,
            assessment: Some(row.assessment_number).filter(|number| *number > 0),
            appointment,
            patient: PatientId(row.patient_id),
            clinic: ClinicId(row.clinic_id),
            zone: read::zone(&row.time_zone)?,
            start: row.start,
            series: row.series_id.map(SeriesId),
            session: row.session_number,
            due_at: row.due_at,
            taken_at: row.taken_at,
            told: told.zip(told_zone),
            instructions: instructions.cloned().collect(),
        })
    });
    read.collect()
}
