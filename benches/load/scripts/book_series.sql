-- Made from the log of PostgreSQL. What comes first is not the service's: the next booking's values.
SELECT * FROM bench_bookings WHERE number = (SELECT nextval('bench_turn')) \gset
SELECT role, resource_id FROM access_tokens
         WHERE practice_id = :v0_1::uuid AND token_id = :v0_2::uuid AND secret_hash = :v0_3::bytea AND revoked_at IS NULL;
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
UPDATE practices SET revision = revision + 1 WHERE practice_id = :v2_1::uuid RETURNING revision \gset
SELECT p.revision, p.booking_horizon_days,
                  (SELECT min(held_until) FROM appointments a
                   WHERE a.practice_id = p.practice_id AND a.state = 'held') AS hold_ends,
                  c.subject_id AS "subject_id?", c.revision AS "request_revision?", c.request_digest AS "request_digest?"
           FROM practices p LEFT JOIN changes c ON c.practice_id = p.practice_id AND c.request_id = :v3_2::uuid
           WHERE p.practice_id = :v3_1::uuid;
SELECT p.protocol_id, p.version, p.name, p.treatment_id, p.treatment_version, p.sessions_minimum,
                      p.sessions_default, p.sessions_maximum, p.gap_floor_days, p.gap_minimum_days, p.gap_target_days,
                      p.gap_maximum_days, p.source, p.grade, p.rationale, p.published_revision, p.published_at,
                      p.consultation_treatment_id, p.consultation_treatment_version, p.clearing_qualification,
                      p.clearance_days, p.cooling_off_hours, p.patch_test_hours, p.screening_days, p.clearance_source,
                      p.clearance_grade, p.clearance_rationale, p.maintenance_minimum_days, p.maintenance_target_days,
                      p.maintenance_source, p.maintenance_grade, p.maintenance_rationale, p.overdue_advice,
                      p.overdue_source, p.overdue_grade, p.overdue_rationale,
                      a.assessments AS "assessments!: Vec<String>", a.due_kinds AS "due_kinds!: Vec<String>",
                      a.at_sessions AS "at_sessions!: Vec<Option<i32>>",
                      a.due_minimums AS "due_minimums!: Vec<Option<i32>>",
                      a.due_targets AS "due_targets!: Vec<Option<i32>>",
                      a.due_maximums AS "due_maximums!: Vec<Option<i32>>",
                      a.due_sources AS "due_sources!: Vec<String>", a.due_grades AS "due_grades!: Vec<String>",
                      a.due_rationales AS "due_rationales!: Vec<String>"
               FROM (SELECT * FROM protocols
          WHERE practice_id = :v4_1::uuid AND protocol_id = :v4_2::uuid AND (NULL::integer::integer IS NULL OR version = NULL::integer)
          ORDER BY version DESC LIMIT 1) AS p
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(name), '{}') AS assessments,
                          coalesce(array_agg(due_kind), '{}') AS due_kinds,
                          coalesce(array_agg(at_session), '{}') AS at_sessions,
                          coalesce(array_agg(minimum_days), '{}') AS due_minimums,
                          coalesce(array_agg(target_days), '{}') AS due_targets,
                          coalesce(array_agg(maximum_days), '{}') AS due_maximums,
                          coalesce(array_agg(source), '{}') AS due_sources,
                          coalesce(array_agg(grade), '{}') AS due_grades,
                          coalesce(array_agg(rationale), '{}') AS due_rationales
                   FROM (SELECT * FROM protocol_assessments AS c
                         WHERE c.practice_id = p.practice_id AND c.protocol_id = p.protocol_id
                           AND c.version = p.version
                         ORDER BY position) AS ordered
               ) AS a
               ORDER BY p.protocol_id, p.version;
SELECT t.treatment_id, t.version, t.name, t.spacing_days, t.published_revision, t.published_at,
                      t.spacing_source, t.spacing_grade, t.spacing_rationale, t.across_areas_days,
                      t.across_areas_source, t.across_areas_grade, t.across_areas_rationale,
                      p.phase_names AS "phase_names!: Vec<String>", p.phase_minutes AS "phase_minutes!: Vec<i32>",
                      p.phases_present AS "phases_present!: Vec<bool>",
                      p.phases_exposing AS "phases_exposing!: Vec<bool>",
                      p.sources AS "phase_sources!: Vec<Option<String>>",
                      p.grades AS "phase_grades!: Vec<Option<String>>",
                      p.rationales AS "phase_rationales!: Vec<Option<String>>",
                      n.need_phases AS "need_phases!: Vec<i16>", n.need_kinds AS "need_kinds!: Vec<String>",
                      n.need_qualifications AS "need_qualifications!: Vec<String>",
                      e.exposures AS "exposures!: Vec<String>",
                      r.restricted AS "restricted!: Vec<String>",
                      r.before_amounts AS "before_amounts!: Vec<i32>", r.before_units AS "before_units!: Vec<String>",
                      r.after_amounts AS "after_amounts!: Vec<i32>", r.after_units AS "after_units!: Vec<String>",
                      r.advices AS "advices!: Vec<bool>", r.instructions AS "instructions!: Vec<String>",
                      r.sources AS "sources!: Vec<String>",
                      r.grades AS "grades!: Vec<String>", r.rationales AS "rationales!: Vec<String>",
                      d.activities AS "duties!: Vec<String>", d.from_amounts AS "from_amounts!: Vec<i32>",
                      d.from_units AS "from_units!: Vec<String>", d.until_amounts AS "until_amounts!: Vec<i32>",
                      d.until_units AS "until_units!: Vec<String>",
                      d.instructions AS "duty_instructions!: Vec<String>", d.sources AS "duty_sources!: Vec<String>",
                      d.grades AS "duty_grades!: Vec<String>", d.rationales AS "duty_rationales!: Vec<String>",
                      b.add_ons AS "add_ons!: Vec<Uuid>", b.sources AS "add_on_sources!: Vec<String>",
                      b.grades AS "add_on_grades!: Vec<String>", b.rationales AS "add_on_rationales!: Vec<String>"
               FROM (SELECT * FROM treatments
          WHERE practice_id = :v5_1::uuid AND treatment_id = :v5_2::uuid AND (:v5_3::integer::integer IS NULL OR version = :v5_3::integer)
          ORDER BY version DESC LIMIT 1) AS t
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(name), '{}') AS phase_names,
                          coalesce(array_agg(minutes), '{}') AS phase_minutes,
                          coalesce(array_agg(patient_present), '{}') AS phases_present,
                          coalesce(array_agg(exposing), '{}') AS phases_exposing,
                          coalesce(array_agg(source), '{}') AS sources, coalesce(array_agg(grade), '{}') AS grades,
                          coalesce(array_agg(rationale), '{}') AS rationales
                   FROM (SELECT * FROM treatment_phases AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY position) AS ordered
               ) AS p
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(position), '{}') AS need_phases,
                          coalesce(array_agg(kind), '{}') AS need_kinds,
                          coalesce(array_agg(qualification), '{}') AS need_qualifications
                   FROM (SELECT * FROM treatment_needs AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY position, kind COLLATE "C", qualification COLLATE "C") AS ordered
               ) AS n
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(activity), '{}') AS exposures
                   FROM (SELECT * FROM treatment_exposures AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY activity COLLATE "C") AS ordered
               ) AS e
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(activity), '{}') AS restricted,
                          coalesce(array_agg(before_amount), '{}') AS before_amounts,
                          coalesce(array_agg(before_unit), '{}') AS before_units,
                          coalesce(array_agg(after_amount), '{}') AS after_amounts,
                          coalesce(array_agg(after_unit), '{}') AS after_units,
                          coalesce(array_agg(advice), '{}') AS advices,
                          coalesce(array_agg(instruction), '{}') AS instructions,
                          coalesce(array_agg(source), '{}') AS sources, coalesce(array_agg(grade), '{}') AS grades,
                          coalesce(array_agg(rationale), '{}') AS rationales
                   FROM (SELECT * FROM treatment_restrictions AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY activity COLLATE "C") AS ordered
               ) AS r
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(activity), '{}') AS activities,
                          coalesce(array_agg(from_amount), '{}') AS from_amounts,
                          coalesce(array_agg(from_unit), '{}') AS from_units,
                          coalesce(array_agg(until_amount), '{}') AS until_amounts,
                          coalesce(array_agg(until_unit), '{}') AS until_units,
                          coalesce(array_agg(instruction), '{}') AS instructions,
                          coalesce(array_agg(source), '{}') AS sources, coalesce(array_agg(grade), '{}') AS grades,
                          coalesce(array_agg(rationale), '{}') AS rationales
                   FROM (SELECT * FROM treatment_duties AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY activity COLLATE "C") AS ordered
               ) AS d
               CROSS JOIN LATERAL (
                   SELECT coalesce(array_agg(add_on_treatment_id), '{}') AS add_ons,
                          coalesce(array_agg(source), '{}') AS sources, coalesce(array_agg(grade), '{}') AS grades,
                          coalesce(array_agg(rationale), '{}') AS rationales
                   FROM (SELECT * FROM treatment_combinations AS c
                         WHERE c.practice_id = t.practice_id AND c.treatment_id = t.treatment_id
                           AND c.version = t.version
                         ORDER BY add_on_treatment_id) AS ordered
               ) AS b
               ORDER BY t.treatment_id, t.version;
SELECT here.revision, here.booking_horizon_days,
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
               FROM unnest(:v6_3::timestamp with time zone[]::timestamptz[], :v6_4::timestamp with time zone[]::timestamptz[]) AS span (a, b)
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
                 AND scope = ANY(:v6_5::text[]) AND days && daterange(:v6_6::date, :v6_7::date, '[]')) s
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(activity), '{}') AS activities, coalesce(array_agg(role), '{}') AS roles,
                      coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM activity_windows
               WHERE practice_id = p.practice_id AND patient_id = p.patient_id AND live
                 AND role IN ('restricts', 'exposes') AND activity = ANY(:v6_8::text[]) AND during && tstzrange(:v6_9::timestamp with time zone, :v6_10::timestamp with time zone)) w
           WHERE p.practice_id = :v6_1::uuid AND p.patient_id = :v6_2::uuid;
SELECT w.place AS "place!", p.birth_date, l.conditions AS "lifted!",
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
           FROM unnest(:v7_2::uuid[]::uuid[], :v7_3::uuid[]::uuid[], :v7_4::uuid[]::uuid[], :v7_5::text[]::text[]) WITH ORDINALITY
                AS w (patient, protocol, series, area, place)
           JOIN patients p ON p.practice_id = :v7_1::uuid AND p.patient_id = w.patient
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
           ORDER BY w.place;
SELECT c.clinic_id, c.time_zone,
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
               JOIN unnest(:v8_3::timestamp with time zone[]::timestamptz[], :v8_4::timestamp with time zone[]::timestamptz[]) AS span (a, b) ON during && tstzrange(a, b)
               WHERE practice_id = c.practice_id AND clinic_id = c.clinic_id) k
           WHERE c.practice_id = :v8_1::uuid AND c.clinic_id = ANY(:v8_2::uuid[]);
SELECT r.resource_id, r.kind, r.clinic_id, r.active, r.qualifications,
                  w.clinics AS "work_clinics!", w.weekdays AS "weekdays!", w.froms AS "froms!", w.tos AS "tos!",
                  f.starts AS "off_starts!", f.ends AS "off_ends!",
                  o.appointments AS "busy_with!", o.starts AS "busy_starts!", o.ends AS "busy_ends!"
           FROM resources r
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(clinic_id), '{}') AS clinics, coalesce(array_agg(weekday), '{}') AS weekdays,
                      coalesce(array_agg(lower(minutes)), '{}') AS froms, coalesce(array_agg(upper(minutes)), '{}') AS tos
               FROM working_hours
               WHERE practice_id = r.practice_id AND resource_id = r.resource_id AND clinic_id = ANY(:v9_2::uuid[])) w
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM time_off
               JOIN unnest(:v9_6::timestamp with time zone[]::timestamptz[], :v9_7::timestamp with time zone[]::timestamptz[]) AS span (a, b) ON during && tstzrange(a, b)
               WHERE practice_id = r.practice_id AND resource_id = r.resource_id) f
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM unnest(:v9_6::timestamp with time zone[]::timestamptz[], :v9_7::timestamp with time zone[]::timestamptz[]) AS span (a, b)
               -- OFFSET 0 keeps the planner from joining the other way round, over all that the resource ever did. The
               -- ends are compared one by one, for the index by start: half as long as by the exclusion constraint's.
               CROSS JOIN LATERAL (
                   SELECT appointment_id, during FROM occupancies
                   WHERE practice_id = r.practice_id AND resource_id = r.resource_id AND live
                     AND lower(during) > span.a - make_interval(mins => :v9_8::integer) AND lower(during) < span.b
                     AND upper(during) > span.a OFFSET 0) taken) o
           WHERE r.practice_id = :v9_1::uuid
             AND (r.resource_id = ANY(:v9_5::uuid[])
                  OR (r.active AND (r.clinic_id IS NULL OR r.clinic_id = ANY(:v9_2::uuid[]))
                      AND (:v9_3::text[]::text[] IS NULL
                           OR EXISTS (SELECT FROM unnest(:v9_3::text[]::text[], :v9_4::text[]::text[]) AS need (kind, qualification)
                                      WHERE need.kind = r.kind AND need.qualification = ANY(r.qualifications)))))
           ORDER BY r.resource_id;
INSERT INTO changes (practice_id, revision, recorded_at, kind, subject_id, patient_id, appointment_ids,
                              actor_token_id, actor_role, request_id, request_digest, waiting_ids)
         VALUES (:v10_1::uuid, :revision::bigint, :v10_3::timestamp with time zone, :v10_4::text, :v10_5::uuid, :v10_6::uuid, :v10_7::uuid[], :v10_8::uuid, :v10_9::text, :v10_10::uuid, :v10_11::bytea, :v10_12::uuid[]);
INSERT INTO series (practice_id, series_id, patient_id, protocol_id, protocol_version, body_area,
                             session_count, state, booked_at, booked_revision, changed_revision, held_until,
                             held_revision)
         VALUES (:v11_1::uuid, :v11_2::uuid, :v11_3::uuid, :v11_4::uuid, :v11_5::integer, :v11_6::text, :v11_7::integer, CASE WHEN NULL::timestamp with time zone::timestamptz IS NULL THEN 'active' ELSE 'held' END, :v11_8::timestamp with time zone,
                 :revision::bigint::bigint, :revision::bigint::bigint, NULL::timestamp with time zone, CASE WHEN NULL::timestamp with time zone IS NOT NULL THEN :revision::bigint::bigint END);
WITH visits AS (
             INSERT INTO appointments (practice_id, patient_id, booked_at, booked_revision, changed_revision, state,
                                       held_until, held_revision, appointment_id, clinic_id, treatment_id, treatment_version, series_id,
                                       session_number, body_area, visit, replaces, clearance_id, add_on_treatment_id,
                                       add_on_treatment_version, combination_override_id, follows_series_id,
                                       assessment_number)
             SELECT :v12_1::uuid, patient, :v12_3::timestamp with time zone, :revision::bigint::bigint, :revision::bigint::bigint, CASE WHEN NULL::timestamp with time zone::timestamptz IS NULL THEN 'booked' ELSE 'held' END,
                    NULL::timestamp with time zone, CASE WHEN NULL::timestamp with time zone::timestamptz IS NOT NULL THEN :revision::bigint::bigint END, id, clinic, treatment, version, series, number, area, tstzrange(a, b),
                    replaced, clearance, added, added_version, approval, followed, assessment
             FROM unnest(:v12_5::uuid[]::uuid[], :v12_6::uuid[]::uuid[], :v12_7::uuid[]::uuid[], :v12_8::integer[]::int[], :v12_9::uuid[]::uuid[], :v12_10::integer[]::int[], :v12_11::text[]::text[],
                         :v12_12::timestamp with time zone[]::timestamptz[], :v12_13::timestamp with time zone[]::timestamptz[], :v12_28::uuid[]::uuid[], :v12_29::uuid[]::uuid[], :v12_30::uuid[]::uuid[], :v12_31::integer[]::int[],
                         :v12_32::uuid[]::uuid[], :v12_34::uuid[]::uuid[], :v12_35::integer[]::int[], :v12_2::uuid[]::uuid[])
                  AS v (id, clinic, treatment, version, series, number, area, a, b, replaced, clearance, added,
                        added_version, approval, followed, assessment, patient)),
         taken AS (
             INSERT INTO occupancies (practice_id, live, appointment_id, resource_id, need, during)
             SELECT :v12_1::uuid, true, id, resource, need, tstzrange(a, b)
             FROM unnest(:v12_14::uuid[]::uuid[], :v12_15::uuid[]::uuid[], :v12_16::smallint[]::smallint[], :v12_17::timestamp with time zone[]::timestamptz[], :v12_18::timestamp with time zone[]::timestamptz[])
                  AS o (id, resource, need, a, b)),
         spaced AS (
             INSERT INTO spacing_windows (practice_id, patient_id, live, appointment_id, scope, days, override_id)
             SELECT :v12_1::uuid, patient, true, id, scope, daterange(a, b), by
             FROM unnest(:v12_19::uuid[]::uuid[], :v12_20::text[]::text[], :v12_21::date[]::date[], :v12_22::date[]::date[], :v12_33::uuid[]::uuid[], :v12_37::uuid[]::uuid[])
                  AS s (id, scope, a, b, by, patient))
         INSERT INTO activity_windows (practice_id, patient_id, live, appointment_id, activity, role, during)
         SELECT :v12_1::uuid, patient, true, id, activity, role, tstzrange(a, b)
         FROM unnest(:v12_23::uuid[]::uuid[], :v12_24::text[]::text[], :v12_25::text[]::text[], :v12_26::timestamp with time zone[]::timestamptz[], :v12_27::timestamp with time zone[]::timestamptz[], :v12_38::uuid[]::uuid[])
              AS w (id, activity, role, a, b, patient);
COMMIT;
