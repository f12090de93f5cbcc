-- A visit that its patient has confirmed, and one that has begun: two states more. And what was done at a visit.

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
