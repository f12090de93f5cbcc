-- A whole series whose time is kept until the patient has decided: held together with its sessions, booked or ended with
-- them.

SET LOCAL lock_timeout = '10s';

ALTER TABLE series
    ADD COLUMN held_until timestamptz,
    ADD COLUMN held_revision bigint,
    -- A wider one takes its place in the same statement.
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT series_state_is_known,
    ADD CONSTRAINT series_state_is_known CHECK (state IN ('held', 'active', 'completed', 'cancelled')) NOT VALID,
    ADD CONSTRAINT held_series_says_until CHECK (num_nonnulls(held_until, held_revision) IN (0, 2) AND (state <> 'held' OR held_until IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT series_was_held_by_a_change FOREIGN KEY (practice_id, held_revision) REFERENCES changes (practice_id, revision) NOT VALID;
-- Built at once: no server of this version serves before its migrations are done, and the column is null everywhere.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX series_by_hold ON series (practice_id, held_revision);
COMMENT ON COLUMN series.state IS 'held, active, completed or cancelled; cancelled also where a hold was released or expired.';
COMMENT ON COLUMN series.booked_at IS 'When it was booked; while it is held, when that began.';
COMMENT ON COLUMN series.booked_revision IS 'The change that booked it; of one that is held, or never was more, the change that held it.';
COMMENT ON COLUMN series.held_until IS 'When the hold ends, or would have; null for what was booked at once.';
COMMENT ON COLUMN series.held_revision IS 'The change that held it; null for what was booked at once.';
