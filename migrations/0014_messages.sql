-- Messages to patients that a messaging system has taken. What is due is derived from the visits, and stored only once it
-- is taken.

SET LOCAL lock_timeout = '10s';

CREATE TABLE messages (
    practice_id uuid NOT NULL,
    message_id uuid NOT NULL,
    appointment_id uuid NOT NULL,
    kind text NOT NULL,
    assessment_number integer NOT NULL,
    told_appointment_id uuid,
    due_at timestamptz NOT NULL,
    taken_at timestamptz NOT NULL,
    taken_revision bigint NOT NULL,
    CONSTRAINT message_is_identified PRIMARY KEY (practice_id, message_id),
    CONSTRAINT message_is_taken_once UNIQUE (practice_id, appointment_id, kind, assessment_number),
    CONSTRAINT message_is_about_an_appointment FOREIGN KEY (practice_id, appointment_id) REFERENCES appointments (practice_id, appointment_id),
    CONSTRAINT message_corrects_an_appointment FOREIGN KEY (practice_id, told_appointment_id) REFERENCES appointments (practice_id, appointment_id),
    CONSTRAINT message_was_taken_by_a_change FOREIGN KEY (practice_id, taken_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT message_kind_is_known CHECK (kind IN ('booked', 'moved', 'cancelled', 'reminder_7_days', 'reminder_48_hours', 'reminder_24_hours', 'pre_care', 'aftercare', 'check_2_days', 'assessment_due')),
    CONSTRAINT message_of_an_assessment_has_its_number CHECK ((kind = 'assessment_due') = (assessment_number > 0) AND assessment_number BETWEEN 0 AND 8),
    CONSTRAINT message_corrects_what_was_told CHECK ((kind IN ('moved', 'cancelled')) = (told_appointment_id IS NOT NULL)),
    CONSTRAINT message_is_taken_when_it_is_due CHECK (due_at <= taken_at)
);
CREATE UNIQUE INDEX appointment_is_announced_once ON messages (practice_id, appointment_id) WHERE kind IN ('booked', 'moved');
CREATE INDEX messages_by_told_appointment ON messages (practice_id, told_appointment_id);
CREATE INDEX messages_by_taking ON messages (practice_id, taken_revision);
COMMENT ON TABLE messages IS 'What a messaging system has taken to tell a patient, each once. It holds no text: that is the catalogue''s and the visit''s.';
COMMENT ON COLUMN messages.practice_id IS 'The practice.';
COMMENT ON COLUMN messages.message_id IS 'UUIDv7.';
COMMENT ON COLUMN messages.appointment_id IS 'The visit that it is about; of an assessment that is due, the last session, from which it counts.';
COMMENT ON COLUMN messages.kind IS 'What it tells.';
COMMENT ON COLUMN messages.assessment_number IS 'Which assessment of the series is due, from 1; 0 for any other kind.';
COMMENT ON COLUMN messages.told_appointment_id IS 'Of a move or a cancellation the appointment of the same visit that the patient was told of last; null for any other kind.';
COMMENT ON COLUMN messages.due_at IS 'Since when it was due.';
COMMENT ON COLUMN messages.taken_at IS 'When it was taken.';
COMMENT ON COLUMN messages.taken_revision IS 'The change that took it.';

-- Built at once: no server of this version serves before its migrations are done.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_start ON appointments (practice_id, lower(visit));
