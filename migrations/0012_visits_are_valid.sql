-- In a transaction of its own, so that no reader waits while the rows are looked through.

ALTER TABLE appointments VALIDATE CONSTRAINT appointment_state_is_known;
ALTER TABLE appointments VALIDATE CONSTRAINT confirmed_appointment_says_when;
ALTER TABLE appointments VALIDATE CONSTRAINT arrived_appointment_says_when;
ALTER TABLE appointments VALIDATE CONSTRAINT started_appointment_says_when;
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_was_confirmed_by_a_change;
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_was_started_by_a_change;
ALTER TABLE appointments VALIDATE CONSTRAINT ended_appointment_says_how;
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_end_reason_is_known;
ALTER TABLE appointments VALIDATE CONSTRAINT appointment_end_notice_is_bounded;
ALTER TABLE appointments VALIDATE CONSTRAINT only_sessions_that_the_clinic_did_not_end_are_counted;
ALTER TABLE practices VALIDATE CONSTRAINT practice_notice_is_bounded;
ALTER TABLE practices VALIDATE CONSTRAINT practice_holds_are_bounded;
