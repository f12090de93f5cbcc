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
          WHERE practice_id = :v4_1::uuid AND treatment_id = :v4_2::uuid AND (NULL::integer::integer IS NULL OR version = NULL::integer)
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
               FROM unnest(:v5_3::timestamp with time zone[]::timestamptz[], :v5_4::timestamp with time zone[]::timestamptz[]) AS span (a, b)
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
                 AND scope = ANY(:v5_5::text[]) AND days && daterange(NULL::date, NULL::date, '[]')) s
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(activity), '{}') AS activities, coalesce(array_agg(role), '{}') AS roles,
                      coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM activity_windows
               WHERE practice_id = p.practice_id AND patient_id = p.patient_id AND live
                 AND role IN ('restricts', 'exposes') AND activity = ANY(:v5_8::text[]) AND during && tstzrange(:v5_9::timestamp with time zone, :v5_10::timestamp with time zone)) w
           WHERE p.practice_id = :v5_1::uuid AND p.patient_id = :v5_2::uuid;
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
               JOIN unnest(:v6_3::timestamp with time zone[]::timestamptz[], :v6_4::timestamp with time zone[]::timestamptz[]) AS span (a, b) ON during && tstzrange(a, b)
               WHERE practice_id = c.practice_id AND clinic_id = c.clinic_id) k
           WHERE c.practice_id = :v6_1::uuid AND c.clinic_id = ANY(:v6_2::uuid[]);
SELECT r.resource_id, r.kind, r.clinic_id, r.active, r.qualifications,
                  w.clinics AS "work_clinics!", w.weekdays AS "weekdays!", w.froms AS "froms!", w.tos AS "tos!",
                  f.starts AS "off_starts!", f.ends AS "off_ends!",
                  o.appointments AS "busy_with!", o.starts AS "busy_starts!", o.ends AS "busy_ends!"
           FROM resources r
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(clinic_id), '{}') AS clinics, coalesce(array_agg(weekday), '{}') AS weekdays,
                      coalesce(array_agg(lower(minutes)), '{}') AS froms, coalesce(array_agg(upper(minutes)), '{}') AS tos
               FROM working_hours
               WHERE practice_id = r.practice_id AND resource_id = r.resource_id AND clinic_id = ANY(:v7_2::uuid[])) w
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM time_off
               JOIN unnest(:v7_6::timestamp with time zone[]::timestamptz[], :v7_7::timestamp with time zone[]::timestamptz[]) AS span (a, b) ON during && tstzrange(a, b)
               WHERE practice_id = r.practice_id AND resource_id = r.resource_id) f
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(appointment_id), '{}') AS appointments,
                      coalesce(array_agg(lower(during)), '{}') AS starts, coalesce(array_agg(upper(during)), '{}') AS ends
               FROM unnest(:v7_6::timestamp with time zone[]::timestamptz[], :v7_7::timestamp with time zone[]::timestamptz[]) AS span (a, b)
               -- OFFSET 0 keeps the planner from joining the other way round, over all that the resource ever did. The
               -- ends are compared one by one, for the index by start: half as long as by the exclusion constraint's.
               CROSS JOIN LATERAL (
                   SELECT appointment_id, during FROM occupancies
                   WHERE practice_id = r.practice_id AND resource_id = r.resource_id AND live
                     AND lower(during) > span.a - make_interval(mins => :v7_8::integer) AND lower(during) < span.b
                     AND upper(during) > span.a OFFSET 0) taken) o
           WHERE r.practice_id = :v7_1::uuid
             AND (r.resource_id = ANY(:v7_5::uuid[])
                  OR (r.active AND (r.clinic_id IS NULL OR r.clinic_id = ANY(:v7_2::uuid[]))
                      AND (:v7_3::text[]::text[] IS NULL
                           OR EXISTS (SELECT FROM unnest(:v7_3::text[]::text[], :v7_4::text[]::text[]) AS need (kind, qualification)
                                      WHERE need.kind = r.kind AND need.qualification = ANY(r.qualifications)))))
           ORDER BY r.resource_id;
INSERT INTO changes (practice_id, revision, recorded_at, kind, subject_id, patient_id, appointment_ids,
                              actor_token_id, actor_role, request_id, request_digest, waiting_ids)
         VALUES (:v8_1::uuid, :revision::bigint, :v8_3::timestamp with time zone, :v8_4::text, :v8_5::uuid, :v8_6::uuid, :v8_7::uuid[], :v8_8::uuid, :v8_9::text, :v8_10::uuid, :v8_11::bytea, :v8_12::uuid[]);
WITH visits AS (
             INSERT INTO appointments (practice_id, patient_id, booked_at, booked_revision, changed_revision, state,
                                       held_until, held_revision, appointment_id, clinic_id, treatment_id, treatment_version, series_id,
                                       session_number, body_area, visit, replaces, clearance_id, add_on_treatment_id,
                                       add_on_treatment_version, combination_override_id, follows_series_id,
                                       assessment_number)
             SELECT :v9_1::uuid, patient, :v9_3::timestamp with time zone, :revision::bigint::bigint, :revision::bigint::bigint, CASE WHEN NULL::timestamp with time zone::timestamptz IS NULL THEN 'booked' ELSE 'held' END,
                    NULL::timestamp with time zone, CASE WHEN NULL::timestamp with time zone::timestamptz IS NOT NULL THEN :revision::bigint::bigint END, id, clinic, treatment, version, series, number, area, tstzrange(a, b),
                    replaced, clearance, added, added_version, approval, followed, assessment
             FROM unnest(:v9_5::uuid[]::uuid[], :v9_6::uuid[]::uuid[], :v9_7::uuid[]::uuid[], :v9_8::integer[]::int[], :v9_9::uuid[]::uuid[], :v9_10::integer[]::int[], :v9_11::text[]::text[],
                         :v9_12::timestamp with time zone[]::timestamptz[], :v9_13::timestamp with time zone[]::timestamptz[], :v9_28::uuid[]::uuid[], :v9_29::uuid[]::uuid[], :v9_30::uuid[]::uuid[], :v9_31::integer[]::int[],
                         :v9_32::uuid[]::uuid[], :v9_34::uuid[]::uuid[], :v9_35::integer[]::int[], :v9_2::uuid[]::uuid[])
                  AS v (id, clinic, treatment, version, series, number, area, a, b, replaced, clearance, added,
                        added_version, approval, followed, assessment, patient)),
         taken AS (
             INSERT INTO occupancies (practice_id, live, appointment_id, resource_id, need, during)
             SELECT :v9_1::uuid, true, id, resource, need, tstzrange(a, b)
             FROM unnest(:v9_14::uuid[]::uuid[], :v9_15::uuid[]::uuid[], :v9_16::smallint[]::smallint[], :v9_17::timestamp with time zone[]::timestamptz[], :v9_18::timestamp with time zone[]::timestamptz[])
                  AS o (id, resource, need, a, b)),
         spaced AS (
             INSERT INTO spacing_windows (practice_id, patient_id, live, appointment_id, scope, days, override_id)
             SELECT :v9_1::uuid, patient, true, id, scope, daterange(a, b), by
             FROM unnest(:v9_19::uuid[]::uuid[], :v9_20::text[]::text[], :v9_21::date[]::date[], :v9_22::date[]::date[], :v9_33::uuid[]::uuid[], :v9_37::uuid[]::uuid[])
                  AS s (id, scope, a, b, by, patient))
         INSERT INTO activity_windows (practice_id, patient_id, live, appointment_id, activity, role, during)
         SELECT :v9_1::uuid, patient, true, id, activity, role, tstzrange(a, b)
         FROM unnest(:v9_23::uuid[]::uuid[], :v9_24::text[]::text[], :v9_25::text[]::text[], :v9_26::timestamp with time zone[]::timestamptz[], :v9_27::timestamp with time zone[]::timestamptz[], :v9_38::uuid[]::uuid[])
              AS w (id, activity, role, a, b, patient);
COMMIT;
