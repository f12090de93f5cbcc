//! Appointments with all that they take up: booking and holding them.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::appointment::Appointment;
use crate::domain::booking::PlannedVisit;
use crate::domain::catalog::SpacingScope;
use crate::domain::ids::PracticeId;
use crate::domain::interval::Instant;
use crate::store::StoreError;
use crate::store::error::expect_rows;

/// Inserts new appointments with their occupancies and windows: all of them in one statement.
pub async fn insert(
    db: &mut PgConnection,
    practice: PracticeId,
    booked: &[(Appointment, PlannedVisit)],
    now: Instant,
) -> Result<(), StoreError> {
    let mut rows = Columns::default();
    for (appointment, plan) in booked {
        rows.push(appointment, plan);
    }
    let revision = booked.first().map(|(appointment, _)| appointment.changed_revision);
    // All of one request are held, or none.
    let held_until = booked.first().and_then(|(appointment, _)| appointment.held_until());
    let done = sqlx::query!(
        "WITH visits AS (
             INSERT INTO appointments (practice_id, patient_id, booked_at, booked_revision, changed_revision, state,
                                       held_until, held_revision, appointment_id, clinic_id, treatment_id, treatment_version, series_id,
                                       session_number, body_area, visit, replaces, clearance_id, add_on_treatment_id,
                                       add_on_treatment_version, combination_override_id, follows_series_id,
                                       assessment_number)
             SELECT $1, patient, $3, $4::bigint, $4::bigint, CASE WHEN $36::timestamptz IS NULL THEN 'booked' ELSE 'held' END,
                    $36, CASE WHEN $36::timestamptz IS NOT NULL THEN $4::bigint END, id, clinic, treatment, version, series, number, area, tstzrange(a, b),
                    replaced, clearance, added, added_version, approval, followed, assessment
             FROM unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::int[], $9::uuid[], $10::int[], $11::text[],
                         $12::timestamptz[], $13::timestamptz[], $28::uuid[], $29::uuid[], $30::uuid[], $31::int[],
                         $32::uuid[], $34::uuid[], $35::int[], $2::uuid[])
                  AS v (id, clinic, treatment, version, series, number, area, a, b, replaced, clearance, added,
                        added_version, approval, followed, assessment, patient)),
         taken AS (
             INSERT INTO occupancies (practice_id, live, appointment_id, resource_id, need, during)
             SELECT $1, true, id, resource, need, tstzrange(a, b)
             FROM unnest($14::uuid[], $15::uuid[], $16::smallint[], $17::timestamptz[], $18::timestamptz[])
                  AS o (id, resource, need, a, b)),
         spaced AS (
             INSERT INTO spacing_windows (practice_id, patient_id, live, appointment_id, scope, days, override_id)
             SELECT $1, patient, true, id, scope, daterange(a, b), by
             FROM unnest($19::uuid[], $20::text[], $21::date[], $22::date[], $33::uuid[], $37::uuid[])
                  AS s (id, scope, a, b, by, patient))
         INSERT INTO activity_windows (practice_id, patient_id, live, appointment_id, activity, role, during)
         SELECT $1, patient, true, id, activity, role, tstzrange(a, b)
         FROM unnest($23::uuid[], $24::text[], $25::text[], $26::timestamptz[], $27::timestamptz[], $38::uuid[])
              AS w (id, activity, role, a, b, patient)",
        practice.0,
        &rows.patients,
        now,
        revision,
        &rows.ids,
        &rows.clinics,
        &rows.treatments,
        &rows.versions,
        &rows.series as &[Option<Uuid>],
        &rows.numbers as &[Option<i32>],
        &rows.areas as &[Option<String>],
        &rows.visit_starts,
        &rows.visit_ends,
        &rows.taken_by,
        &rows.taken_resources,
        &rows.taken_needs,
        &rows.taken_starts,
        &rows.taken_ends,
        &rows.spaced_by,
        &rows.spaced_scopes,
        &rows.spaced_days,
        &rows.spaced_untils,
        &rows.windows_of,
        &rows.window_activities,
        &rows.window_roles,
        &rows.window_starts,
        &rows.window_ends,
        &rows.replaced as &[Option<Uuid>],
        &rows.clearances as &[Option<Uuid>],
        &rows.added as &[Option<Uuid>],
        &rows.added_versions as &[Option<i32>],
        &rows.approvals as &[Option<Uuid>],
        &rows.spaced_overrides as &[Option<Uuid>],
        &rows.followed as &[Option<Uuid>],
        &rows.assessments as &[Option<i32>],
        held_until,
        &rows.spaced_patients,
        &rows.window_patients
    );
    // The statement reports the rows of its last part; the others have no way to write fewer than they are given.
    expect_rows("insert activity windows", rows.windows_of.len(), &done.execute(db).await?)
}

/// Appointments and what they take up, column by column, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    patients: Vec<Uuid>,
    clinics: Vec<Uuid>,
    treatments: Vec<Uuid>,
    versions: Vec<i32>,
    series: Vec<Option<Uuid>>,
    numbers: Vec<Option<i32>>,
    areas: Vec<Option<String>>,
    visit_starts: Vec<Instant>,
    visit_ends: Vec<Instant>,
    taken_by: Vec<Uuid>,
    taken_resources: Vec<Uuid>,
    taken_needs: Vec<i16>,
    taken_starts: Vec<Instant>,
    taken_ends: Vec<Instant>,
    spaced_by: Vec<Uuid>,
    spaced_patients: Vec<Uuid>,
    spaced_scopes: Vec<String>,
    spaced_days: Vec<chrono::NaiveDate>,
    spaced_untils: Vec<chrono::NaiveDate>,
    spaced_overrides: Vec<Option<Uuid>>,
    windows_of: Vec<Uuid>,
    window_patients: Vec<Uuid>,
    window_activities: Vec<String>,
    window_roles: Vec<String>,
    window_starts: Vec<Instant>,
    window_ends: Vec<Instant>,
    replaced: Vec<Option<Uuid>>,
    clearances: Vec<Option<Uuid>>,
    added: Vec<Option<Uuid>>,
    added_versions: Vec<Option<i32>>,
    approvals: Vec<Option<Uuid>>,
    followed: Vec<Option<Uuid>>,
    assessments: Vec<Option<i32>>,
}

impl Columns {
    fn push(&mut self, appointment: &Appointment, plan: &PlannedVisit) {
        let id = appointment.id.0;
        self.ids.push(id);
        self.patients.push(appointment.patient.0);
        self.clinics.push(appointment.clinic.0);
        self.treatments.push(appointment.treatment.0);
        self.versions.push(appointment.treatment_version);
        self.series.push(appointment.session.map(|session| session.series.0));
        self.numbers.push(appointment.session.map(|session| session.number));
        self.areas.push(appointment.area.map(|area| area.as_str().to_owned()));
        self.visit_starts.push(appointment.visit.start());
        self.visit_ends.push(appointment.visit.end());
        self.replaced.push(appointment.replaces.map(|replaced| replaced.0));
        self.clearances.push(appointment.clearance.map(|clearance| clearance.0));
        self.added.push(appointment.add_on.map(|add_on| add_on.treatment.0));
        self.added_versions.push(appointment.add_on.map(|add_on| add_on.version));
        self.approvals.push(appointment.add_on.map(|add_on| add_on.approval.0));
        self.followed.push(appointment.follows.map(|follows| follows.series.0));
        self.assessments.push(appointment.follows.and_then(|follows| follows.assessment));
        for occupied in &plan.occupied {
            self.taken_by.push(id);
            self.taken_resources.push(occupied.resource.0);
            // A treatment has at most a handful of needs.
            self.taken_needs.push(i16::try_from(occupied.need).unwrap_or(i16::MAX));
            self.taken_starts.push(occupied.during.start());
            self.taken_ends.push(occupied.during.end());
        }
        for spaced in &plan.spacing {
            self.spaced_by.push(id);
            self.spaced_patients.push(appointment.patient.0);
            self.spaced_scopes.push(spaced.scope.as_str().to_owned());
            self.spaced_days.push(spaced.day);
            self.spaced_untils.push(spaced.until);
            let on_area = spaced.scope != SpacingScope::AnyArea;
            self.spaced_overrides.push(plan.spacing_override.filter(|_| on_area).map(|id| id.0));
        }
        for window in &plan.windows {
            self.windows_of.push(id);
            self.window_patients.push(appointment.patient.0);
            self.window_activities.push(window.activity.as_str().to_owned());
            self.window_roles.push(window.role.as_str().to_owned());
            self.window_starts.push(window.during.start());
            self.window_ends.push(window.during.end());
        }
    }
}
