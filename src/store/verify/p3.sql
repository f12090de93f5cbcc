-- P3, sessions keep their gap. Re-derives the day of every booked needling from the start of its visit and the time
-- zone of its clinic, and the gaps that follow it: on its area from the protocol version of its series, or from an
-- override that the stored window names and that may say so, or, outside a series, from the treatment version; across
-- areas from the treatment version. What is added to a visit makes them longer where its own are.
WITH took_place AS MATERIALIZED (
    SELECT a.practice_id, a.patient_id, a.appointment_id, a.body_area, a.performed_start AS start, c.revision
    FROM appointments AS a
    JOIN changes AS c ON c.practice_id = a.practice_id AND c.subject_id = a.appointment_id
        AND c.kind = 'appointment.fulfilled'
    WHERE a.state = 'fulfilled' AND a.body_area IS NOT NULL
),
-- Since which revision a visit is history: it took place, and another after it on the area.
history AS MATERIALIZED (
    SELECT earlier.practice_id, earlier.appointment_id, min(greatest(earlier.revision, later.revision)) AS since
    FROM took_place AS earlier
    JOIN took_place AS later USING (practice_id, patient_id, body_area)
    WHERE later.start > earlier.start
    GROUP BY earlier.practice_id, earlier.appointment_id
),
overridden AS MATERIALIZED (
    SELECT w.practice_id, w.appointment_id, w.scope, o.gap_days
    FROM spacing_windows AS w
    JOIN overrides AS o ON o.practice_id = w.practice_id AND o.override_id = w.override_id
    JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    JOIN series AS s ON s.practice_id = a.practice_id AND s.series_id = a.series_id
    JOIN protocols AS p ON p.practice_id = s.practice_id AND p.protocol_id = s.protocol_id
        AND p.version = s.protocol_version
    LEFT JOIN history AS h ON h.practice_id = a.practice_id AND h.appointment_id = a.appointment_id
    WHERE o.kind = 'gap' AND o.series_id = a.series_id AND o.patient_id = a.patient_id AND w.scope = a.body_area
        AND o.gap_days >= p.gap_floor_days
        -- One that was revoked counts for what was history by then.
        AND (o.revoked_revision IS NULL OR h.since < o.revoked_revision)
),
baseless AS (
    SELECT w.practice_id, w.appointment_id
    FROM spacing_windows AS w
    JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    LEFT JOIN overridden AS o ON o.practice_id = w.practice_id AND o.appointment_id = w.appointment_id
        AND o.scope = w.scope
    WHERE a.state <> 'cancelled' AND w.override_id IS NOT NULL AND o.appointment_id IS NULL
),
-- What was not history yet when a gap was granted that is in force follows it.
unfollowing AS (
    SELECT a.practice_id, a.appointment_id
    FROM overrides AS o
    JOIN appointments AS a ON a.practice_id = o.practice_id AND a.series_id = o.series_id
    LEFT JOIN spacing_windows AS w ON w.practice_id = a.practice_id AND w.appointment_id = a.appointment_id
        AND w.scope = a.body_area
    LEFT JOIN history AS h ON h.practice_id = a.practice_id AND h.appointment_id = a.appointment_id
    WHERE o.kind = 'gap' AND o.revoked_at IS NULL AND a.state <> 'cancelled'
        AND w.override_id IS DISTINCT FROM o.override_id
        AND coalesce(h.since > o.granted_revision, true)
),
needlings AS MATERIALIZED (
    SELECT a.practice_id, a.patient_id, a.appointment_id, a.body_area, coalesce(a.performed_start, lower(a.visit)) AS start,
        (coalesce(a.performed_start, lower(a.visit)) AT TIME ZONE clinics.time_zone)::date AS day,
        greatest(
            CASE WHEN a.series_id IS NULL THEN treatments.spacing_days
                ELSE coalesce(overridden.gap_days, protocols.gap_minimum_days) END,
            added.spacing_days
        ) AS gap,
        greatest(treatments.across_areas_days, added.across_areas_days) AS gap_across_areas
    FROM appointments AS a
    LEFT JOIN clinics ON clinics.practice_id = a.practice_id AND clinics.clinic_id = a.clinic_id
    LEFT JOIN treatments ON treatments.practice_id = a.practice_id AND treatments.treatment_id = a.treatment_id
        AND treatments.version = a.treatment_version
    LEFT JOIN treatments AS added ON added.practice_id = a.practice_id
        AND added.treatment_id = a.add_on_treatment_id AND added.version = a.add_on_treatment_version
    LEFT JOIN series ON series.practice_id = a.practice_id AND series.series_id = a.series_id
    LEFT JOIN protocols ON protocols.practice_id = series.practice_id AND protocols.protocol_id = series.protocol_id
        AND protocols.version = series.protocol_version
    LEFT JOIN overridden ON overridden.practice_id = a.practice_id AND overridden.appointment_id = a.appointment_id
    WHERE a.state <> 'cancelled'
        AND (a.series_id IS NOT NULL OR treatments.spacing_days IS NOT NULL OR added.spacing_days IS NOT NULL)
),
spaced AS MATERIALIZED (
    SELECT practice_id, patient_id, appointment_id, body_area AS scope, start, day, gap FROM needlings
    UNION ALL
    SELECT practice_id, patient_id, appointment_id, 'any_area', start, day, gap_across_areas
    FROM needlings
    WHERE gap_across_areas IS NOT NULL
),
near AS MATERIALIZED (
    SELECT practice_id, patient_id, appointment_id, scope
    FROM (
        SELECT *, max(day + gap) OVER (
                PARTITION BY practice_id, patient_id, scope ORDER BY day, start, appointment_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS allowed_from
        FROM spaced
    ) AS in_time
    WHERE day < allowed_from
),
derived AS MATERIALIZED (
    SELECT practice_id, appointment_id, patient_id, scope, daterange(day, day + gap) AS days FROM spaced
),
stored AS MATERIALIZED (
    SELECT w.practice_id, w.appointment_id, w.patient_id, w.scope, w.days
    FROM spacing_windows AS w
    JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    WHERE a.state <> 'cancelled'
),
missing AS (
    SELECT * FROM derived EXCEPT ALL SELECT * FROM stored
),
surplus AS (
    SELECT * FROM stored EXCEPT ALL SELECT * FROM derived
),
astray AS (
    SELECT w.practice_id, w.appointment_id
    FROM spacing_windows AS w
    LEFT JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    WHERE (a.state <> 'cancelled') IS DISTINCT FROM w.live
)
SELECT 'sessions on one area keep the gap that follows the earlier one' AS "what!",
    (SELECT count(*) FROM needlings) AS "rows_checked!",
    (SELECT count(*) FROM near WHERE scope <> 'any_area') AS "violations!",
    ARRAY(
        SELECT format('practice %s patient %s appointment %s', practice_id, patient_id, appointment_id)
        FROM near WHERE scope <> 'any_area' ORDER BY 1 LIMIT $1
    ) AS "examples!"
UNION ALL
SELECT 'sessions on different areas keep the gap across areas',
    (SELECT count(*) FROM needlings WHERE gap_across_areas IS NOT NULL),
    (SELECT count(*) FROM near WHERE scope = 'any_area'),
    ARRAY(
        SELECT format('practice %s patient %s appointment %s', practice_id, patient_id, appointment_id)
        FROM near WHERE scope = 'any_area' ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'each session has its spacing window',
    (SELECT count(*) FROM derived),
    (SELECT count(*) FROM missing),
    ARRAY(SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM missing ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'each spacing window follows from a session',
    (SELECT count(*) FROM stored),
    (SELECT count(*) FROM surplus),
    ARRAY(SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM surplus ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'spacing windows live as long as their appointment',
    (SELECT count(*) FROM spacing_windows),
    (SELECT count(*) FROM astray),
    ARRAY(SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM astray ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'a spacing window that names an override rests on it',
    (SELECT count(*) FROM spacing_windows WHERE override_id IS NOT NULL),
    (SELECT count(*) FROM baseless),
    ARRAY(SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM baseless ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'sessions from the last one on that took place follow the gap override that is in force',
    (SELECT count(*) FROM overrides WHERE kind = 'gap'),
    (SELECT count(*) FROM unfollowing),
    ARRAY(SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM unfollowing ORDER BY 1 LIMIT $1)
