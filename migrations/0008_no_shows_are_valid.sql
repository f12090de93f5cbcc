-- In a transaction of its own, so that no reader waits while the rows are looked through.

ALTER TABLE appointments VALIDATE CONSTRAINT no_show_takes_up_nothing;
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_was_missed_by_a_change;
