-- A visit that is moved is cancelled, and booked anew as the appointment that replaces it.

SET LOCAL lock_timeout = '10s';

ALTER TABLE appointments ADD COLUMN replaces uuid;
ALTER TABLE appointments
    ADD CONSTRAINT appointment_replaces_another CHECK (replaces <> appointment_id) NOT VALID,
    ADD CONSTRAINT appointment_replaces_an_appointment FOREIGN KEY (practice_id, replaces) REFERENCES appointments (practice_id, appointment_id) NOT VALID;
CREATE UNIQUE INDEX appointment_is_replaced_once ON appointments (practice_id, replaces);
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_replaces_another;
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_replaces_an_appointment;
COMMENT ON COLUMN appointments.replaces IS 'The appointment that this one was moved from; null if it was not moved.';
