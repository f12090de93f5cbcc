-- In a transaction of its own, so that no reader waits while the rows are looked through.

ALTER TABLE appointments VALIDATE CONSTRAINT appointment_state_is_known;
ALTER TABLE appointments VALIDATE CONSTRAINT held_appointment_says_until;
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_was_held_by_a_change;
