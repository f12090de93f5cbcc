-- A visit that its patient has confirmed, and one that has begun: two states more.

SET LOCAL lock_timeout = '10s';

ALTER TABLE appointments
    ADD COLUMN confirmed_at timestamptz,
    ADD COLUMN confirmed_revision bigint,
    ADD COLUMN started_at timestamptz,
    ADD COLUMN started_revision bigint,
    -- Wider ones take their places in the same statement.
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT appointment_state_is_known,
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT arrived_appointment_says_when,
    ADD CONSTRAINT appointment_state_is_known CHECK (state IN ('held', 'booked', 'confirmed', 'arrived', 'in_progress', 'fulfilled', 'cancelled')) NOT VALID,
    ADD CONSTRAINT confirmed_appointment_says_when CHECK (num_nonnulls(confirmed_at, confirmed_revision) IN (0, 2) AND (state <> 'confirmed' OR confirmed_at IS NOT NULL) AND (state NOT IN ('held', 'booked') OR confirmed_at IS NULL)) NOT VALID,
    ADD CONSTRAINT arrived_appointment_says_when CHECK (num_nonnulls(arrived_at, arrived_revision) = CASE WHEN state IN ('arrived', 'in_progress', 'fulfilled') THEN 2 ELSE 0 END) NOT VALID,
    ADD CONSTRAINT started_appointment_says_when CHECK (num_nonnulls(started_at, started_revision) IN (0, 2) AND (state <> 'in_progress' OR started_at IS NOT NULL) AND (state IN ('in_progress', 'fulfilled') OR started_at IS NULL)) NOT VALID,
    ADD CONSTRAINT appointment_was_confirmed_by_a_change FOREIGN KEY (practice_id, confirmed_revision) REFERENCES changes (practice_id, revision) NOT VALID,
    ADD CONSTRAINT appointment_was_started_by_a_change FOREIGN KEY (practice_id, started_revision) REFERENCES changes (practice_id, revision) NOT VALID;
-- Built at once: no server of this version serves before its migrations are done, and the columns are null everywhere.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_confirmation ON appointments (practice_id, confirmed_revision);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_beginning ON appointments (practice_id, started_revision);
COMMENT ON COLUMN appointments.state IS 'held, booked, confirmed, arrived, in_progress, fulfilled or cancelled; cancelled with no_show_revision where nobody came, and also where a hold was released or expired.';
COMMENT ON COLUMN appointments.confirmed_at IS 'When the patient said that they will come; null if they have not. Kept by what follows.';
COMMENT ON COLUMN appointments.confirmed_revision IS 'The change that said so.';
COMMENT ON COLUMN appointments.started_at IS 'When the treatment began, as it was said then; null before, and where nobody said so.';
COMMENT ON COLUMN appointments.started_revision IS 'The change that said so.';
