-- In a transaction of its own, so that no reader waits while the rows are looked through.

ALTER TABLE appointments VALIDATE CONSTRAINT appointment_replaces_another;
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_replaces_an_appointment;
