-- Day by day, after starts.sql: how many starts, the first and the last.
SELECT (start AT TIME ZONE c.time_zone)::date AS day, count(DISTINCT start), min(start) AS first, max(start) AS last
FROM starts CROSS JOIN clinics AS c
WHERE c.practice_id = $1 AND c.clinic_id = $2
GROUP BY day ORDER BY day
