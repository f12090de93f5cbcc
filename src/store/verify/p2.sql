-- P2, a patient is in one place at a time. Re-derives when the patient is there from the start of the visit and the
-- phases of the treatment version, together with those of what is added to it, in which the patient is present.
-- A visit to which nothing is added is its treatment combined with itself, which is that treatment again.
WITH booked AS MATERIALIZED (
    SELECT practice_id, patient_id, appointment_id, treatment_id, treatment_version AS version,
        coalesce(add_on_treatment_id, treatment_id) AS added_id,
        coalesce(add_on_treatment_version, treatment_version) AS added_version, visit
    FROM appointments
    WHERE state <> 'cancelled'
),
courses AS MATERIALIZED (
    SELECT *, row_number() OVER () AS course
    FROM (SELECT DISTINCT practice_id, treatment_id, version, added_id, added_version FROM booked) AS combinations
),
parts AS MATERIALIZED (
    SELECT course, practice_id, 0 AS part, treatment_id AS part_id, version AS part_version FROM courses
    UNION ALL
    SELECT course, practice_id, 1, added_id, added_version FROM courses
),
-- Phases lie before the treatment proper, in it, after it, or come when the patient has gone. On each side, those of
-- the same name are one, the longer of the two; where a treatment has several of a name, the first goes with the first.
sided AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY course, part, side, name ORDER BY position) AS alike
    FROM (
        SELECT course, part, p.practice_id, part_id, part_version, p.position, p.name, p.minutes,
            CASE
                WHEN NOT p.patient_present THEN 4
                WHEN p.exposing THEN 2
                WHEN bool_or(p.exposing) OVER (PARTITION BY course, part ORDER BY p.position) THEN 3
                ELSE 1
            END AS side
        FROM parts
        JOIN treatment_phases AS p ON p.practice_id = parts.practice_id AND p.treatment_id = part_id
            AND p.version = part_version
    ) AS with_side
),
joined AS MATERIALIZED (
    SELECT course, side, name, alike, max(minutes) AS minutes, min(part * 100 + position) AS rank
    FROM sided
    GROUP BY course, side, name, alike
),
presence AS (
    SELECT course, sum(minutes)::integer AS minutes FROM joined WHERE side < 4 GROUP BY course
),
visits AS MATERIALIZED (
    SELECT booked.practice_id, booked.patient_id, booked.appointment_id, booked.visit AS stored,
        tstzrange(lower(booked.visit), lower(booked.visit) + make_interval(mins => presence.minutes)) AS derived
    FROM booked
    JOIN courses USING (practice_id, treatment_id, version, added_id, added_version)
    LEFT JOIN presence USING (course)
),
twice AS (
    SELECT practice_id, patient_id, appointment_id
    FROM (
        SELECT *, max(upper(derived)) OVER (
                PARTITION BY practice_id, patient_id ORDER BY lower(derived), appointment_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS there_until
        FROM visits
    ) AS in_time
    WHERE there_until > lower(derived)
),
-- A treatment version without a phase gives a visit without an end, which equals no stored one.
otherwise AS (
    SELECT practice_id, appointment_id FROM visits WHERE stored <> derived
),
astray AS (
    SELECT practice_id, appointment_id FROM appointments WHERE live IS DISTINCT FROM (state <> 'cancelled')
)
SELECT 'a patient is in one place at a time' AS "what!",
    (SELECT count(*) FROM visits) AS "rows_checked!",
    (SELECT count(*) FROM twice) AS "violations!",
    ARRAY(
        SELECT format('practice %s patient %s appointment %s', practice_id, patient_id, appointment_id)
        FROM twice ORDER BY 1 LIMIT $1
    ) AS "examples!"
UNION ALL
SELECT 'a visit lasts as long as its treatment has the patient there',
    (SELECT count(*) FROM visits),
    (SELECT count(*) FROM otherwise),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM otherwise ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'an appointment lives until it is cancelled',
    (SELECT count(*) FROM appointments),
    (SELECT count(*) FROM astray),
    ARRAY(SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM astray ORDER BY 1 LIMIT $1)
