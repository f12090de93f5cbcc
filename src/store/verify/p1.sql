-- P1, a resource is in one place at a time. Re-derives every occupancy of every booked appointment from the phases and
-- needs of its treatment version, together with those of what is added to it, and the start of its visit. What a
-- resource was picked for is known from the stored rows alone; whether it is there twice is counted on them, and they
-- are held to the derived ones.
-- A visit to which nothing is added is its treatment combined with itself, which is that treatment again.
WITH booked AS MATERIALIZED (
    SELECT practice_id, appointment_id, clinic_id, treatment_id, treatment_version AS version,
        coalesce(add_on_treatment_id, treatment_id) AS added_id,
        coalesce(add_on_treatment_version, treatment_version) AS added_version, lower(visit) AS start
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
phases AS MATERIALIZED (
    SELECT course, side, name, alike,
        row_number() OVER in_order AS place,
        (sum(minutes) OVER in_order - minutes)::integer AS from_minute,
        (sum(minutes) OVER in_order)::integer AS to_minute
    FROM joined
    WINDOW in_order AS (PARTITION BY course ORDER BY side, rank)
),
-- Of phases that are one, the needs of both.
phase_needs AS MATERIALIZED (
    SELECT DISTINCT course, place, from_minute, to_minute, kind, qualification
    FROM sided
    JOIN treatment_needs AS n ON n.practice_id = sided.practice_id AND n.treatment_id = part_id
        AND n.version = part_version AND n.position = sided.position
    JOIN phases USING (course, side, name, alike)
),
-- Distinct needs in order of first appearance; those that first appear together go by kind and qualification.
needs AS (
    SELECT course, kind, qualification,
        row_number() OVER (
            PARTITION BY course ORDER BY min(place), kind COLLATE "C", qualification COLLATE "C"
        )::integer - 1 AS need
    FROM phase_needs
    GROUP BY course, kind, qualification
),
-- Neighbouring phases with the same need differ in place exactly as they differ in their number among its phases.
needed AS (
    SELECT course, need, kind, from_minute, to_minute,
        place - row_number() OVER (PARTITION BY course, need ORDER BY place) AS run
    FROM phase_needs
    JOIN needs USING (course, kind, qualification)
),
stretches AS MATERIALIZED (
    SELECT course, need, kind, min(from_minute) AS from_minute, max(to_minute) AS to_minute
    FROM needed
    GROUP BY course, need, kind, run
),
derived AS MATERIALIZED (
    SELECT booked.practice_id, appointment_id, need, kind, tstzrange(
            start + make_interval(mins => from_minute), start + make_interval(mins => to_minute)
        ) AS during
    FROM booked
    JOIN courses USING (practice_id, treatment_id, version, added_id, added_version)
    JOIN stretches USING (course)
),
stored AS MATERIALIZED (
    SELECT o.practice_id, o.appointment_id, o.need::integer AS need, r.kind, o.during, o.resource_id,
        r.clinic_id AS stands_in, booked.clinic_id
    FROM occupancies AS o
    JOIN booked ON booked.practice_id = o.practice_id AND booked.appointment_id = o.appointment_id
    LEFT JOIN resources AS r ON r.practice_id = o.practice_id AND r.resource_id = o.resource_id
),
twice AS (
    SELECT practice_id, resource_id, appointment_id
    FROM (
        SELECT *, max(upper(during)) OVER (
                PARTITION BY practice_id, resource_id ORDER BY lower(during), appointment_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS taken_until
        FROM stored
    ) AS in_time
    WHERE taken_until > lower(during)
),
missing AS (
    SELECT practice_id, appointment_id, need, kind, during FROM derived
    EXCEPT ALL
    SELECT practice_id, appointment_id, need, kind, during FROM stored
),
surplus AS (
    SELECT practice_id, appointment_id, need, kind, during FROM stored
    EXCEPT ALL
    SELECT practice_id, appointment_id, need, kind, during FROM derived
),
-- One resource for a need, whatever the number of its stretches, and no resource for two needs.
served AS MATERIALIZED (
    SELECT practice_id, appointment_id, count(DISTINCT need) AS needs, count(DISTINCT resource_id) AS resources,
        count(DISTINCT (need, resource_id)) AS pairs
    FROM stored
    GROUP BY practice_id, appointment_id
),
shared AS (
    SELECT practice_id, appointment_id FROM served WHERE needs <> resources OR needs <> pairs
),
elsewhere AS (
    SELECT practice_id, appointment_id, resource_id FROM stored WHERE stands_in <> clinic_id
),
astray AS (
    SELECT o.practice_id, o.appointment_id, o.resource_id
    FROM occupancies AS o
    LEFT JOIN appointments AS a ON a.practice_id = o.practice_id AND a.appointment_id = o.appointment_id
    WHERE (a.state <> 'cancelled') IS DISTINCT FROM o.live
)
SELECT 'a resource is in one place at a time' AS "what!",
    (SELECT count(*) FROM stored) AS "rows_checked!",
    (SELECT count(*) FROM twice) AS "violations!",
    ARRAY(
        SELECT format('practice %s resource %s appointment %s', practice_id, resource_id, appointment_id)
        FROM twice ORDER BY 1 LIMIT $1
    ) AS "examples!"
UNION ALL
SELECT 'each stretch that a treatment needs is occupied',
    (SELECT count(*) FROM derived),
    (SELECT count(*) FROM missing),
    ARRAY(
        SELECT format('practice %s appointment %s need %s', practice_id, appointment_id, need)
        FROM missing ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'nothing is occupied that the treatment does not need',
    (SELECT count(*) FROM stored),
    (SELECT count(*) FROM surplus),
    ARRAY(
        SELECT format('practice %s appointment %s need %s', practice_id, appointment_id, need)
        FROM surplus ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'each need has one resource of its own',
    (SELECT count(*) FROM served),
    (SELECT count(*) FROM shared),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM shared ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'rooms and devices stand in the clinic of the visit',
    (SELECT count(*) FROM stored WHERE stands_in IS NOT NULL),
    (SELECT count(*) FROM elsewhere),
    ARRAY(
        SELECT format('practice %s appointment %s resource %s', practice_id, appointment_id, resource_id)
        FROM elsewhere ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'occupancies live as long as their appointment',
    (SELECT count(*) FROM occupancies),
    (SELECT count(*) FROM astray),
    ARRAY(
        SELECT format('practice %s appointment %s resource %s', practice_id, appointment_id, resource_id)
        FROM astray ORDER BY 1 LIMIT $1
    )
