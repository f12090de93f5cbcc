-- A visit to which nobody came takes up nothing, like one that is cancelled; the change that said so tells them apart.

SET LOCAL lock_timeout = '10s';

ALTER TABLE appointments ADD COLUMN no_show_revision bigint;
ALTER TABLE appointments
    ADD CONSTRAINT no_show_takes_up_nothing CHECK (no_show_revision IS NULL OR state = 'cancelled') NOT VALID,
    ADD CONSTRAINT appointment_was_missed_by_a_change FOREIGN KEY (practice_id, no_show_revision) REFERENCES changes (practice_id, revision) NOT VALID;
-- Built at once: no server of this version serves before its migrations are done, and the column is null everywhere.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_no_show ON appointments (practice_id, no_show_revision);
COMMENT ON COLUMN appointments.state IS 'booked, arrived, fulfilled or cancelled; cancelled with no_show_revision where nobody came.';
COMMENT ON COLUMN appointments.no_show_revision IS 'The change that said that nobody came; null otherwise.';
COMMENT ON COLUMN appointments.cancelled_at IS 'When it was cancelled, or said that nobody came; null otherwise.';
COMMENT ON COLUMN appointments.cancel_reason IS 'Why it was cancelled, or what is known of why nobody came; may be personal data.';
COMMENT ON COLUMN clearances.protocol_version IS 'The highest version of the protocol that asked for a clearance when it was decided.';
