-- Time that is kept for a while, until the patient has decided: an appointment that is held, with all that it would take
-- up.

SET LOCAL lock_timeout = '10s';

ALTER TABLE appointments
    ADD COLUMN held_until timestamptz,
    ADD COLUMN held_revision bigint,
    -- A wider one takes its place in the same statement.
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT appointment_state_is_known,
    ADD CONSTRAINT appointment_state_is_known CHECK (state IN ('held', 'booked', 'arrived', 'fulfilled', 'cancelled')) NOT VALID,
    ADD CONSTRAINT held_appointment_says_until CHECK (num_nonnulls(held_until, held_revision) IN (0, 2) AND (state <> 'held' OR held_until IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT appointment_was_held_by_a_change FOREIGN KEY (practice_id, held_revision) REFERENCES changes (practice_id, revision) NOT VALID;
-- Built at once: no server of this version serves before its migrations are done, and the columns are null everywhere.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_hold ON appointments (practice_id, held_revision);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX holds_by_end ON appointments (practice_id, held_until) WHERE state = 'held';
COMMENT ON COLUMN appointments.state IS 'held, booked, arrived, fulfilled or cancelled; cancelled with no_show_revision where nobody came, and also where a hold was released or expired.';
COMMENT ON COLUMN appointments.booked_at IS 'When it was booked; while it is held, when that began.';
COMMENT ON COLUMN appointments.booked_revision IS 'The change that booked it; of one that is held, or never was more, the change that held it.';
COMMENT ON COLUMN appointments.held_until IS 'When the hold ends, or would have; null for what was booked at once.';
COMMENT ON COLUMN appointments.held_revision IS 'The change that held it; null for what was booked at once.';
COMMENT ON COLUMN changes.actor_token_id IS 'The access token that asked; null for the command line of the server''s own machine, and for what the server does by itself.';
