-- A visit that is moved is cancelled, and booked anew as the appointment that replaces it.

SET LOCAL lock_timeout = '10s';

ALTER TABLE appointments ADD COLUMN replaces uuid;
ALTER TABLE appointments
    ADD CONSTRAINT appointment_replaces_another CHECK (replaces <> appointment_id) NOT VALID,
    ADD CONSTRAINT appointment_replaces_an_appointment FOREIGN KEY (practice_id, replaces) REFERENCES appointments (practice_id, appointment_id) NOT VALID;
-- Built at once: no server of this version serves before its migrations are done, and the column is null everywhere.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX appointment_is_replaced_once ON appointments (practice_id, replaces);
COMMENT ON COLUMN appointments.replaces IS 'The appointment that this one was moved from; null if it was not moved.';
