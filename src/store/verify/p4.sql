-- P4, aftercare windows are kept. Re-derives every window of every booked appointment from the start of its visit, the
-- exposing phases, exposures, restrictions and duties of its treatment version, together with those of what is added to
-- it, and the time zone of its clinic.
-- A visit to which nothing is added is its treatment combined with itself, which is that treatment again.
WITH booked AS MATERIALIZED (
    SELECT a.practice_id, a.appointment_id, a.patient_id, a.treatment_id, a.treatment_version AS version,
        coalesce(a.add_on_treatment_id, a.treatment_id) AS added_id,
        coalesce(a.add_on_treatment_version, a.treatment_version) AS added_version, clinics.time_zone,
        coalesce(a.performed_start, lower(a.visit)) AS start
    FROM appointments AS a
    LEFT JOIN clinics ON clinics.practice_id = a.practice_id AND clinics.clinic_id = a.clinic_id
    WHERE a.state <> 'cancelled'
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
-- Phases lie before the treatment proper, in it, after it, or come when the patient has gone. On each side, those of the
-- same name are one, the longer of the two; where a treatment has several of a name, the first goes with the first.
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
proper AS MATERIALIZED (
    SELECT course, coalesce(sum(minutes) FILTER (WHERE side < 2), 0)::integer AS from_minute,
        (sum(minutes) FILTER (WHERE side <= 2))::integer AS to_minute
    FROM joined
    GROUP BY course
    HAVING bool_or(side = 2)
),
-- Of two restrictions on the same activity the longer counts, on each side of the treatment proper; both have to be
-- advice for it to be no more than that.
restrictions AS MATERIALIZED (
    SELECT course, activity, CASE WHEN bool_and(advice) THEN 'advises' ELSE 'restricts' END AS role,
        (array_agg(before_amount ORDER BY before_hours DESC, part))[1] AS before_amount,
        (array_agg(before_unit ORDER BY before_hours DESC, part))[1] AS before_unit,
        (array_agg(after_amount ORDER BY after_hours DESC, part))[1] AS after_amount,
        (array_agg(after_unit ORDER BY after_hours DESC, part))[1] AS after_unit
    FROM (
        SELECT course, part, activity, advice, before_amount, before_unit, after_amount, after_unit,
            before_amount * CASE before_unit WHEN 'days' THEN 24 ELSE 1 END AS before_hours,
            after_amount * CASE after_unit WHEN 'days' THEN 24 ELSE 1 END AS after_hours
        FROM parts
        JOIN treatment_restrictions AS r ON r.practice_id = parts.practice_id AND r.treatment_id = part_id
            AND r.version = part_version
    ) AS of_parts
    GROUP BY course, activity
),
-- Of two duties against the same activity all the time from the earlier beginning until the later end counts.
duties AS MATERIALIZED (
    SELECT course, activity,
        (array_agg(from_amount ORDER BY from_hours, part))[1] AS from_amount,
        (array_agg(from_unit ORDER BY from_hours, part))[1] AS from_unit,
        (array_agg(until_amount ORDER BY until_hours DESC, part))[1] AS until_amount,
        (array_agg(until_unit ORDER BY until_hours DESC, part))[1] AS until_unit
    FROM (
        SELECT course, part, activity, from_amount, from_unit, until_amount, until_unit,
            from_amount * CASE from_unit WHEN 'days' THEN 24 ELSE 1 END AS from_hours,
            until_amount * CASE until_unit WHEN 'days' THEN 24 ELSE 1 END AS until_hours
        FROM parts
        JOIN treatment_duties AS d ON d.practice_id = parts.practice_id AND d.treatment_id = part_id
            AND d.version = part_version
    ) AS of_parts
    GROUP BY course, activity
),
exposures AS MATERIALIZED (
    SELECT DISTINCT course, activity
    FROM parts
    JOIN treatment_exposures AS e ON e.practice_id = parts.practice_id AND e.treatment_id = part_id
        AND e.version = part_version
),
performed AS MATERIALIZED (
    SELECT booked.practice_id, appointment_id, patient_id, course, time_zone,
        start + make_interval(mins => from_minute) AS begins,
        start + make_interval(mins => to_minute) AS ends
    FROM booked
    JOIN courses USING (practice_id, treatment_id, version, added_id, added_version)
    JOIN proper USING (course)
),
-- Windows that name an override which may shorten them, or could before it was revoked.
shortened AS MATERIALIZED (
    SELECT w.practice_id, w.appointment_id, w.activity, o.after_amount, o.after_unit,
        o.revoked_revision IS NOT NULL AS revoked
    FROM activity_windows AS w
    JOIN overrides AS o ON o.practice_id = w.practice_id AND o.override_id = w.override_id
    JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    WHERE w.role = 'restricts' AND o.kind = 'aftercare' AND o.appointment_id = w.appointment_id
        AND o.activity = w.activity AND o.patient_id = a.patient_id
),
-- What each booked visit tells the patient: as its treatments say, or an override. Each end of it is so far from an end of
-- the treatment proper. Under an override that was revoked it may be as the one or as the other has it, see below.
rules AS MATERIALIZED (
    SELECT performed.practice_id, performed.appointment_id, patient_id, time_zone, activity, role, begins AS since_at,
        -before_amount AS since_amount, before_unit AS since_unit, ends AS until_at,
        CASE WHEN short THEN s.after_amount ELSE r.after_amount END AS until_amount,
        CASE WHEN short THEN s.after_unit ELSE r.after_unit END AS until_unit, short
    FROM performed
    JOIN restrictions AS r USING (course)
    LEFT JOIN shortened AS s USING (practice_id, appointment_id, activity)
    CROSS JOIN (VALUES (false), (true)) AS variants (short)
    WHERE CASE WHEN s.appointment_id IS NULL THEN NOT short ELSE s.revoked OR short END
    UNION ALL
    SELECT practice_id, appointment_id, patient_id, time_zone, activity, 'asks', ends, from_amount, from_unit, ends,
        until_amount, until_unit, false
    FROM performed
    JOIN duties USING (course)
),
-- What has to be moved by calendar days, each once: many rules of one visit say the same.
moves AS (
    SELECT time_zone, since_at AS at, since_amount AS days
    FROM rules
    WHERE since_unit = 'days' AND since_amount <> 0
    UNION
    SELECT time_zone, until_at, until_amount
    FROM rules
    WHERE until_unit = 'days' AND until_amount <> 0
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
-- One side after the other, so that each is looked up by zone, instant and days at once.
begun AS MATERIALIZED (
    SELECT practice_id, appointment_id, patient_id, activity, role, short, rules.time_zone, until_at, until_amount,
        until_unit,
        CASE
            WHEN since_amount = 0 THEN since_at
            WHEN since_unit = 'hours' THEN since_at + make_interval(hours => since_amount)
            ELSE earlier.arrives
        END AS since
    FROM rules
    LEFT JOIN moved AS earlier ON earlier.time_zone = rules.time_zone AND earlier.at = since_at
        AND earlier.days = since_amount AND since_unit = 'days'
),
told AS (
    SELECT practice_id, appointment_id, patient_id, activity, role, short, since,
        CASE
            WHEN until_amount = 0 THEN until_at
            WHEN until_unit = 'hours' THEN until_at + make_interval(hours => until_amount)
            ELSE later.arrives
        END AS until
    FROM begun
    LEFT JOIN moved AS later ON later.time_zone = begun.time_zone AND later.at = until_at
        AND later.days = until_amount AND until_unit = 'days'
),
-- What took place since that a shortened window would have forbidden is history: the window counts again from
-- its end on.
clipped AS MATERIALIZED (
    SELECT t.practice_id, t.appointment_id, t.patient_id, t.activity, role, short, coalesce(s.revoked, false) AS revoked,
        t.since AS begins, greatest(t.since, CASE WHEN s.appointment_id IS NOT NULL THEN (
            SELECT max(upper(x.during))
            FROM activity_windows AS x
            JOIN appointments AS a ON a.practice_id = x.practice_id AND a.appointment_id = x.appointment_id
            WHERE x.practice_id = t.practice_id AND x.patient_id = t.patient_id AND x.activity = t.activity
                AND x.role = 'exposes' AND x.appointment_id <> t.appointment_id AND a.state = 'fulfilled'
                AND lower(x.during) < t.until AND upper(x.during) > t.since
        ) END) AS since, until
    FROM told AS t
    LEFT JOIN shortened AS s ON s.practice_id = t.practice_id AND s.appointment_id = t.appointment_id
        AND s.activity = t.activity AND t.role = 'restricts'
),
-- Without an override that was revoked a window is as the treatment has it, unless all of that is history.
restored AS MATERIALIZED (
    SELECT * FROM clipped WHERE revoked AND NOT short AND since < until
),
baseless AS (
    SELECT w.practice_id, w.appointment_id, w.activity
    FROM activity_windows AS w
    JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.appointment_id
    LEFT JOIN shortened AS s ON s.practice_id = w.practice_id AND s.appointment_id = w.appointment_id
        AND s.activity = w.activity AND w.role = 'restricts'
    WHERE a.state <> 'cancelled' AND w.override_id IS NOT NULL AND s.appointment_id IS NULL
),
derived AS MATERIALIZED (
    SELECT practice_id, appointment_id, patient_id, activity, role, tstzrange(since, until) AS during
    FROM clipped
    -- Where the clocks are put back, a duty from a day on may be over before that day is.
    WHERE NOT revoked AND (since < until) IS NOT FALSE
    UNION ALL
    SELECT practice_id, appointment_id, patient_id, activity, role, tstzrange(since, until) FROM restored
    UNION ALL
    SELECT practice_id, appointment_id, patient_id, activity, role, tstzrange(begins, until)
    FROM clipped
    WHERE revoked AND short AND NOT EXISTS (
        SELECT FROM restored AS r
        WHERE r.practice_id = clipped.practice_id AND r.appointment_id = clipped.appointment_id
            AND r.activity = clipped.activity
    )
    UNION ALL
    SELECT practice_id, appointment_id, patient_id, activity, 'exposes', tstzrange(begins, ends)
    FROM performed
    JOIN exposures USING (course)
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
-- What is added to a visit comes into these windows; a practitioner has to have allowed it for that patient
-- before it was booked, and not to have taken that back before the patient came.
added AS MATERIALIZED (
    SELECT a.practice_id, a.appointment_id, o.override_id
    FROM appointments AS a
    LEFT JOIN overrides AS o ON o.practice_id = a.practice_id AND o.override_id = a.combination_override_id
        AND o.kind = 'combination' AND o.patient_id = a.patient_id AND o.treatment_id = a.treatment_id
        AND o.add_on_treatment_id = a.add_on_treatment_id AND o.granted_revision < a.booked_revision
        AND (o.revoked_revision IS NULL OR o.revoked_revision > a.arrived_revision)
    WHERE a.state <> 'cancelled' AND a.add_on_treatment_id IS NOT NULL
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
SELECT 'each exposure, restriction and duty has its window',
    (SELECT count(*) FROM derived),
    (SELECT count(*) FROM missing),
    ARRAY(
        SELECT format('practice %s appointment %s %s %s', practice_id, appointment_id, role, activity)
        FROM missing ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'each activity window follows from an exposure, restriction or duty',
    (SELECT count(*) FROM stored),
    (SELECT count(*) FROM surplus),
    ARRAY(
        SELECT format('practice %s appointment %s %s %s', practice_id, appointment_id, role, activity)
        FROM surplus ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'what is added to a visit was allowed for the patient',
    (SELECT count(*) FROM added),
    (SELECT count(*) FROM added WHERE override_id IS NULL),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id)
        FROM added WHERE override_id IS NULL ORDER BY 1 LIMIT $1
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
