-- Slot by slot, after starts.sql: who can treat at each start.
SELECT start, array_agg(resource_id ORDER BY resource_id) AS practitioners FROM starts GROUP BY start ORDER BY start
