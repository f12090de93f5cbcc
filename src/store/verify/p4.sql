-- P4, aftercare windows are kept. Re-derives every window of every booked appointment from the start of its visit, the
-- exposing phases, exposures and restrictions of its treatment version, and the time zone of its clinic.
WITH phases AS (
    SELECT practice_id, treatment_id, version, exposing,
        (sum(minutes) OVER in_order - minutes)::integer AS from_minute,
        (sum(minutes) OVER in_order)::integer AS to_minute
    FROM treatment_phases
    WINDOW in_order AS (PARTITION BY practice_id, treatment_id, version ORDER BY position)
),
proper AS MATERIALIZED (
    SELECT practice_id, treatment_id, version, min(from_minute) AS from_minute, max(to_minute) AS to_minute
    FROM phases
    WHERE exposing
    GROUP BY practice_id, treatment_id, version
),
booked AS MATERIALIZED (
    SELECT a.practice_id, a.appointment_id, a.patient_id, a.treatment_id, version, clinics.time_zone,
        lower(a.visit) + make_interval(mins => from_minute) AS begins,
        lower(a.visit) + make_interval(mins => to_minute) AS ends
    FROM appointments AS a
    JOIN proper ON proper.practice_id = a.practice_id AND proper.treatment_id = a.treatment_id
        AND proper.version = a.treatment_version
    LEFT JOIN clinics ON clinics.practice_id = a.practice_id AND clinics.clinic_id = a.clinic_id
    WHERE a.state <> 'cancelled'
),
-- Windows that name an override which may shorten them. One that was revoked counts for what had begun by then.
shortened AS MATERIALIZED (
    SELECT w.practice_id, w.appointment_id, w.activity, o.after_amount, o.after_unit
    FROM activity_windows AS w
    JOIN overrides AS o ON o.practice_id = w.practice_id AND o.override_id = w.override_id
    JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    WHERE w.role = 'restricts' AND o.kind = 'aftercare' AND o.appointment_id = w.appointment_id
        AND o.activity = w.activity AND o.patient_id = a.patient_id
        AND (o.revoked_at IS NULL OR lower(a.visit) <= o.revoked_at)
),
baseless AS (
    SELECT w.practice_id, w.appointment_id, w.activity
    FROM activity_windows AS w
    JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    LEFT JOIN shortened AS s ON s.practice_id = w.practice_id AND s.appointment_id = w.appointment_id
        AND s.activity = w.activity AND w.role = 'restricts'
    WHERE a.state <> 'cancelled' AND w.override_id IS NOT NULL AND s.appointment_id IS NULL
),
-- What each booked visit restricts: as its treatment says, or an override.
rules AS MATERIALIZED (
    SELECT booked.practice_id, booked.appointment_id, patient_id, time_zone, begins, ends, activity, before_amount,
        before_unit, coalesce(s.after_amount, r.after_amount) AS after_amount,
        coalesce(s.after_unit, r.after_unit) AS after_unit
    FROM booked
    JOIN treatment_restrictions AS r USING (practice_id, treatment_id, version)
    LEFT JOIN shortened AS s USING (practice_id, appointment_id, activity)
),
-- What has to be moved by calendar days, each once: many restrictions of one visit say the same.
moves AS (
    SELECT time_zone, begins AS at, -before_amount AS days
    FROM rules
    WHERE before_unit = 'days' AND before_amount <> 0
    UNION
    SELECT time_zone, ends, after_amount
    FROM rules
    WHERE after_unit = 'days' AND after_amount <> 0
),
-- A wall-clock time becomes the first instant at which the clock shows it or more. PostgreSQL takes the second of the
-- two instants of a time that the clock shows twice, and runs on past the skip for a time that it never shows.
moved AS MATERIALIZED (
    SELECT time_zone, at, days,
        CASE
            -- Never shown: the skip itself. The clock is ahead of what was wanted by the length of the skip.
            WHEN shown <> wanted THEN (
                SELECT min(minute)
                FROM generate_series(
                    date_trunc('minute', taken - (shown - wanted), 'UTC'), taken, interval '1 minute'
                ) AS minute
                WHERE minute AT TIME ZONE time_zone >= wanted
            )
            -- Shown twice: the clock went back in the day before, and showed the same before it did.
            WHEN went_back > interval '0' AND (taken - went_back) AT TIME ZONE time_zone = wanted THEN taken - went_back
            ELSE taken
        END AS arrives
    FROM (
        SELECT *, ((taken - interval '24 hours') AT TIME ZONE time_zone) - (shown - interval '24 hours') AS went_back
        FROM (
            SELECT *, taken AT TIME ZONE time_zone AS shown
            FROM (
                SELECT *, wanted AT TIME ZONE time_zone AS taken
                FROM (
                    SELECT *, (at AT TIME ZONE time_zone) + make_interval(days => days) AS wanted FROM moves
                ) AS with_wanted
            ) AS with_taken
        ) AS with_shown
    ) AS with_went_back
),
restricted AS (
    SELECT practice_id, appointment_id, patient_id, activity,
        CASE
            WHEN before_amount = 0 THEN begins
            WHEN before_unit = 'hours' THEN begins - make_interval(hours => before_amount)
            ELSE earlier.arrives
        END AS since,
        CASE
            WHEN after_amount = 0 THEN ends
            WHEN after_unit = 'hours' THEN ends + make_interval(hours => after_amount)
            ELSE later.arrives
        END AS until
    FROM rules
    LEFT JOIN moved AS earlier ON earlier.time_zone = rules.time_zone AND earlier.at = begins
        AND earlier.days = -before_amount AND before_unit = 'days'
    LEFT JOIN moved AS later ON later.time_zone = rules.time_zone AND later.at = ends
        AND later.days = after_amount AND after_unit = 'days'
),
derived AS MATERIALIZED (
    SELECT practice_id, appointment_id, patient_id, activity, 'restricts' AS role, tstzrange(since, until) AS during
    FROM restricted
    UNION ALL
    SELECT booked.practice_id, appointment_id, patient_id, activity, 'exposes', tstzrange(begins, ends)
    FROM booked
    JOIN treatment_exposures USING (practice_id, treatment_id, version)
),
forbidden AS (
    SELECT exposure.practice_id, exposure.patient_id, exposure.appointment_id, restriction.appointment_id AS forbids,
        exposure.activity
    FROM derived AS exposure
    JOIN derived AS restriction USING (practice_id, patient_id, activity)
    WHERE exposure.role = 'exposes' AND restriction.role = 'restricts'
        AND exposure.appointment_id <> restriction.appointment_id AND exposure.during && restriction.during
),
stored AS MATERIALIZED (
    SELECT w.practice_id, w.appointment_id, w.patient_id, w.activity, w.role, w.during
    FROM activity_windows AS w
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
    SELECT w.practice_id, w.appointment_id, w.activity
    FROM activity_windows AS w
    LEFT JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    WHERE (a.state <> 'cancelled') IS DISTINCT FROM w.live
)
SELECT 'nothing that an aftercare window forbids is booked inside it' AS "what!",
    (SELECT count(*) FROM derived) AS "rows_checked!",
    (SELECT count(*) FROM forbidden) AS "violations!",
    ARRAY(
        SELECT format(
                'practice %s patient %s appointment %s (%s) against %s', practice_id, patient_id, appointment_id,
                activity, forbids
            )
        FROM forbidden ORDER BY 1 LIMIT $1
    ) AS "examples!"
UNION ALL
SELECT 'each exposure and restriction has its window',
    (SELECT count(*) FROM derived),
    (SELECT count(*) FROM missing),
    ARRAY(
        SELECT format('practice %s appointment %s %s %s', practice_id, appointment_id, role, activity)
        FROM missing ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'each activity window follows from an exposure or restriction',
    (SELECT count(*) FROM stored),
    (SELECT count(*) FROM surplus),
    ARRAY(
        SELECT format('practice %s appointment %s %s %s', practice_id, appointment_id, role, activity)
        FROM surplus ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'activity windows live as long as their appointment',
    (SELECT count(*) FROM activity_windows),
    (SELECT count(*) FROM astray),
    ARRAY(
        SELECT format('practice %s appointment %s %s', practice_id, appointment_id, activity)
        FROM astray ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'an activity window that names an override rests on it',
    (SELECT count(*) FROM activity_windows WHERE override_id IS NOT NULL),
    (SELECT count(*) FROM baseless),
    ARRAY(
        SELECT format('practice %s appointment %s %s', practice_id, appointment_id, activity)
        FROM baseless ORDER BY 1 LIMIT $1
    )
