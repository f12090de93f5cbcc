-- Visits that have lost their place are found among those that are still to come: an index of these, by start.

SET LOCAL lock_timeout = '10s';

-- Built at once: no server of this version serves before its migrations are done.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_ahead ON appointments (practice_id, lower(visit), appointment_id) WHERE state IN ('held', 'booked', 'confirmed');
