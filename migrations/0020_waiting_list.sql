-- The waiting list: visits that patients would take if time came free.

SET LOCAL lock_timeout = '10s';

CREATE TABLE waiting_list (
    practice_id uuid NOT NULL,
    waiting_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    treatment_id uuid,
    body_area text,
    series_id uuid,
    session_number integer,
    clinic_id uuid NOT NULL,
    practitioner_id uuid,
    first_day date NOT NULL,
    last_day date NOT NULL,
    weekdays smallint[] NOT NULL,
    hours_from integer[] NOT NULL,
    hours_until integer[] NOT NULL,
    urgent boolean NOT NULL,
    added_at timestamptz NOT NULL,
    added_revision bigint NOT NULL,
    changed_revision bigint NOT NULL,
    offered_appointment_id uuid,
    withdrawn_at timestamptz,
    CONSTRAINT waiting_entry_is_identified PRIMARY KEY (practice_id, waiting_id),
    CONSTRAINT waiting_entry_is_of_a_patient FOREIGN KEY (practice_id, patient_id) REFERENCES patients (practice_id, patient_id),
    CONSTRAINT waiting_entry_is_for_a_series FOREIGN KEY (practice_id, series_id) REFERENCES series (practice_id, series_id),
    CONSTRAINT waiting_entry_is_at_a_clinic FOREIGN KEY (practice_id, clinic_id) REFERENCES clinics (practice_id, clinic_id),
    CONSTRAINT waiting_entry_is_for_a_practitioner FOREIGN KEY (practice_id, practitioner_id) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT waiting_entry_was_offered_an_appointment FOREIGN KEY (practice_id, offered_appointment_id) REFERENCES appointments (practice_id, appointment_id),
    CONSTRAINT waiting_entry_was_added_by_a_change FOREIGN KEY (practice_id, added_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT waiting_entry_was_changed_by_a_change FOREIGN KEY (practice_id, changed_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT waiting_entry_is_for_a_treatment_or_a_session CHECK (
        (treatment_id IS NULL) = (series_id IS NOT NULL) AND (series_id IS NULL) = (session_number IS NULL)
        AND (body_area IS NULL OR treatment_id IS NOT NULL)),
    CONSTRAINT waiting_entry_body_area_is_known CHECK (body_area IN ('face', 'neck', 'decollete', 'scalp', 'upper_arms', 'hands', 'breasts', 'abdomen', 'flanks', 'back', 'hips', 'buttocks', 'thighs', 'calves')),
    CONSTRAINT waiting_entry_window_is_bounded CHECK (last_day BETWEEN first_day AND first_day + 400),
    CONSTRAINT waiting_entry_hours_are_bounded CHECK (cardinality(weekdays) <= 7 AND cardinality(hours_from) <= 10 AND cardinality(hours_from) = cardinality(hours_until))
);
CREATE INDEX waiting_by_patient ON waiting_list (practice_id, patient_id, waiting_id);
CREATE INDEX waiting_by_series ON waiting_list (practice_id, series_id);
CREATE INDEX waiting_by_clinic ON waiting_list (practice_id, clinic_id, last_day) WHERE withdrawn_at IS NULL;
CREATE INDEX waiting_by_clinic_ever ON waiting_list (practice_id, clinic_id);
CREATE INDEX waiting_by_practitioner ON waiting_list (practice_id, practitioner_id);
CREATE UNIQUE INDEX appointment_is_offered_once ON waiting_list (practice_id, offered_appointment_id);
CREATE INDEX waiting_by_rank ON waiting_list (practice_id, (NOT urgent), added_revision);
CREATE INDEX waiting_by_adding ON waiting_list (practice_id, added_revision);
CREATE INDEX waiting_by_change ON waiting_list (practice_id, changed_revision);
COMMENT ON TABLE waiting_list IS 'Visits that patients would take if time came free.';
COMMENT ON COLUMN waiting_list.practice_id IS 'The practice.';
COMMENT ON COLUMN waiting_list.waiting_id IS 'UUIDv7.';
COMMENT ON COLUMN waiting_list.patient_id IS 'Who waits.';
COMMENT ON COLUMN waiting_list.treatment_id IS 'The treatment; null for a session of a series.';
COMMENT ON COLUMN waiting_list.body_area IS 'The area, where the treatment needs one.';
COMMENT ON COLUMN waiting_list.series_id IS 'The series; null for a treatment.';
COMMENT ON COLUMN waiting_list.session_number IS 'Which session, from 1.';
COMMENT ON COLUMN waiting_list.clinic_id IS 'Where.';
COMMENT ON COLUMN waiting_list.practitioner_id IS 'Who has to treat; null for anybody.';
COMMENT ON COLUMN waiting_list.first_day IS 'The first calendar day at the clinic that will do.';
COMMENT ON COLUMN waiting_list.last_day IS 'The last one, inclusive.';
COMMENT ON COLUMN waiting_list.weekdays IS 'ISO weekdays that will do, 1 Monday to 7 Sunday; empty for any.';
COMMENT ON COLUMN waiting_list.hours_from IS 'Parts of the day that will do, in minutes after midnight at the clinic; empty for any.';
COMMENT ON COLUMN waiting_list.hours_until IS 'Their ends, exclusive.';
COMMENT ON COLUMN waiting_list.urgent IS 'Whether it comes before those that are not.';
COMMENT ON COLUMN waiting_list.added_at IS 'When it was added.';
COMMENT ON COLUMN waiting_list.added_revision IS 'The change that added it; among equals the lower one is offered time first.';
COMMENT ON COLUMN waiting_list.changed_revision IS 'The change that last changed it.';
COMMENT ON COLUMN waiting_list.offered_appointment_id IS 'The appointment that was last held for it. While that is held, the entry is offered; once it was booked, it is fulfilled; if it was released or ended, it waits on.';
COMMENT ON COLUMN waiting_list.withdrawn_at IS 'When it was withdrawn; null otherwise.';

ALTER TABLE changes ADD COLUMN waiting_ids uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN changes.waiting_ids IS 'Entries of the waiting list that wished for some of the time that the change freed, in the order in which they are offered it.';
