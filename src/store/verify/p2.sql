-- P2, a patient is in one place at a time. Re-derives when the patient is there from the start of the visit and the
-- phases of the treatment version in which the patient is present.
WITH presence AS (
    SELECT practice_id, treatment_id, version, sum(minutes)::integer AS minutes
    FROM treatment_phases
    WHERE patient_present
    GROUP BY practice_id, treatment_id, version
),
visits AS MATERIALIZED (
    SELECT a.practice_id, a.patient_id, a.appointment_id, a.visit AS stored,
        tstzrange(lower(a.visit), lower(a.visit) + make_interval(mins => presence.minutes)) AS derived
    FROM appointments AS a
    LEFT JOIN presence ON presence.practice_id = a.practice_id AND presence.treatment_id = a.treatment_id
        AND presence.version = a.treatment_version
    WHERE a.state <> 'cancelled'
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
