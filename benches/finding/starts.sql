-- The starts of a visit of 45 minutes with one practitioner, on a grid of 15 minutes, with who can treat at each.
-- $1 practice, $2 clinic, $3 qualification, $4 first day, $5 last day, $6 now.
WITH days AS (
    SELECT day, extract(isodow FROM day) AS weekday
    FROM generate_series($4::date::timestamp, $5::date::timestamp, interval '1 day') AS day),
hours AS (
    SELECT w.resource_id, range_agg(tstzrange(
               (day + make_interval(mins => lower(w.minutes))) AT TIME ZONE c.time_zone,
               (day + make_interval(mins => upper(w.minutes))) AT TIME ZONE c.time_zone)) AS there
    FROM clinics AS c
    JOIN working_hours AS w ON w.practice_id = c.practice_id AND w.clinic_id = c.clinic_id
    JOIN resources AS r ON r.practice_id = w.practice_id AND r.resource_id = w.resource_id
    JOIN days ON days.weekday = w.weekday
    WHERE c.practice_id = $1 AND c.clinic_id = $2
      AND r.active AND r.kind = 'practitioner' AND r.qualifications @> ARRAY[$3::text]
    GROUP BY w.resource_id),
free AS (
    SELECT h.resource_id, h.there * tstzmultirange(tstzrange($6::timestamptz, NULL)) - taken.during AS during
    FROM hours AS h
    CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(during), '{}') AS during
        FROM (SELECT during FROM occupancies AS o
              WHERE o.practice_id = $1 AND o.resource_id = h.resource_id AND o.live
                AND o.during && tstzrange(lower(h.there), upper(h.there))
              UNION ALL
              SELECT during FROM time_off AS f
              WHERE f.practice_id = $1 AND f.resource_id = h.resource_id
                AND f.during && tstzrange(lower(h.there), upper(h.there))) AS t) AS taken),
-- Only starts within a free stretch are made, which is less work than to ask of all starts whether one contains them.
starts AS (
    SELECT f.resource_id, start
    FROM free AS f
    CROSS JOIN unnest(f.during) AS stretch
    CROSS JOIN generate_series(
        date_bin('15 minutes', lower(stretch) + interval '15 minutes' - interval '1 microsecond', 'epoch'),
        upper(stretch) - interval '45 minutes', interval '15 minutes') AS start)
