-- In a transaction of its own, so that no reader waits while the rows are looked through.

ALTER TABLE series VALIDATE CONSTRAINT series_state_is_known;
ALTER TABLE series VALIDATE CONSTRAINT held_series_says_until;
ALTER TABLE series VALIDATE CONSTRAINT series_was_held_by_a_change;
