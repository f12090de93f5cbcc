-- A visit that its patient has confirmed, and one that has begun: two states more. What was done at a visit.
-- And what a practice asks of those who cancel, move or miss one.

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

ALTER TABLE appointments
    ADD COLUMN end_reason text,
    ADD COLUMN end_notice_hours integer,
    ADD COLUMN counts_as_used boolean,
    ADD CONSTRAINT ended_appointment_says_how CHECK (num_nonnulls(end_reason, end_notice_hours, counts_as_used) IN (0, 3) AND (end_reason IS NULL OR state = 'cancelled')) NOT VALID,
    ADD CONSTRAINT appointment_end_reason_is_known CHECK (end_reason IN ('patient_ill', 'patient_asked', 'not_wanted', 'clinic', 'weather_or_travel', 'forgotten', 'other')) NOT VALID,
    ADD CONSTRAINT appointment_end_notice_is_bounded CHECK (end_notice_hours BETWEEN 0 AND 336) NOT VALID,
    ADD CONSTRAINT only_sessions_that_the_clinic_did_not_end_are_counted CHECK (NOT counts_as_used OR (series_id IS NOT NULL AND end_reason <> 'clinic')) NOT VALID;
COMMENT ON COLUMN appointments.end_reason IS 'Why it was cancelled, moved or missed by itself; null otherwise.';
COMMENT ON COLUMN appointments.end_notice_hours IS 'The notice that the practice asked for then: with less it was late.';
COMMENT ON COLUMN appointments.counts_as_used IS 'Whether it counts as a session used, by the rules of the practice as they were then.';

ALTER TABLE practices
    ADD COLUMN cancel_notice_hours integer NOT NULL DEFAULT 24,
    ADD COLUMN move_notice_hours integer NOT NULL DEFAULT 24,
    ADD COLUMN late_cancellation_counts boolean NOT NULL DEFAULT false,
    ADD COLUMN no_show_counts boolean NOT NULL DEFAULT false,
    ADD COLUMN max_hold_minutes integer NOT NULL DEFAULT 60,
    ADD COLUMN max_hold_total_minutes integer NOT NULL DEFAULT 240,
    ADD CONSTRAINT practice_notice_is_bounded CHECK (cancel_notice_hours BETWEEN 0 AND 336 AND move_notice_hours BETWEEN 0 AND 336) NOT VALID,
    ADD CONSTRAINT practice_holds_are_bounded CHECK (max_hold_minutes BETWEEN 1 AND 60 AND max_hold_total_minutes BETWEEN max_hold_minutes AND 1440) NOT VALID;
COMMENT ON COLUMN practices.cancel_notice_hours IS 'Who cancels later than so many hours before a visit is late.';
COMMENT ON COLUMN practices.move_notice_hours IS 'Who moves a visit later than so many hours before it is late.';
COMMENT ON COLUMN practices.late_cancellation_counts IS 'Whether a session that is cancelled late counts as used.';
COMMENT ON COLUMN practices.no_show_counts IS 'Whether a session to which nobody came counts as used.';
COMMENT ON COLUMN practices.max_hold_minutes IS 'Longest that a visit is held at once.';
COMMENT ON COLUMN practices.max_hold_total_minutes IS 'Longest that one hold is kept in all, by renewing it.';

CREATE TABLE visit_records (
    practice_id uuid NOT NULL,
    appointment_id uuid NOT NULL,
    practitioner_id uuid,
    device_id uuid,
    cartridge_lot text NOT NULL,
    needle_depth_micrometres integer,
    numbing_product text,
    numbing_minutes integer,
    treatment_notes text NOT NULL,
    recorded_at timestamptz NOT NULL,
    recorded_revision bigint NOT NULL,
    CONSTRAINT visit_record_is_identified PRIMARY KEY (practice_id, appointment_id),
    CONSTRAINT visit_record_is_of_a_visit FOREIGN KEY (practice_id, appointment_id) REFERENCES appointments (practice_id, appointment_id),
    CONSTRAINT visit_record_names_a_practitioner FOREIGN KEY (practice_id, practitioner_id) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT visit_record_names_a_device FOREIGN KEY (practice_id, device_id) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT visit_record_was_made_by_a_change FOREIGN KEY (practice_id, recorded_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT visit_record_needle_depth_is_bounded CHECK (needle_depth_micrometres BETWEEN 100 AND 3000),
    CONSTRAINT visit_record_numbing_is_whole CHECK (num_nonnulls(numbing_product, numbing_minutes) IN (0, 2) AND numbing_minutes BETWEEN 0 AND 180),
    CONSTRAINT visit_record_texts_are_bounded CHECK (length(cartridge_lot) <= 64 AND length(numbing_product) BETWEEN 1 AND 200 AND length(treatment_notes) <= 4000)
);
CREATE INDEX visit_records_by_practitioner ON visit_records (practice_id, practitioner_id);
CREATE INDEX visit_records_by_device ON visit_records (practice_id, device_id);
CREATE INDEX visit_records_by_change ON visit_records (practice_id, recorded_revision);
COMMENT ON TABLE visit_records IS 'What was done at a visit, as it was said on its completion; personal data.';
COMMENT ON COLUMN visit_records.practice_id IS 'The practice.';
COMMENT ON COLUMN visit_records.appointment_id IS 'The visit.';
COMMENT ON COLUMN visit_records.practitioner_id IS 'Who treated; null if the visit had no practitioner.';
COMMENT ON COLUMN visit_records.device_id IS 'The device that was used; null if the visit had none.';
COMMENT ON COLUMN visit_records.cartridge_lot IS 'The lot of the cartridge; empty if it was not written down.';
COMMENT ON COLUMN visit_records.needle_depth_micrometres IS 'How deep the needles went; null if it was not written down.';
COMMENT ON COLUMN visit_records.numbing_product IS 'What numbed the skin; null if nothing did.';
COMMENT ON COLUMN visit_records.numbing_minutes IS 'How long it was left on; null if nothing was.';
COMMENT ON COLUMN visit_records.treatment_notes IS 'Notes on the treatment; personal data.';
COMMENT ON COLUMN visit_records.recorded_at IS 'When it was said.';
COMMENT ON COLUMN visit_records.recorded_revision IS 'The change that completed the visit.';
