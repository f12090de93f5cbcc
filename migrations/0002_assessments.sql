-- The assessments of protocols: when to photograph and look at the result.

CREATE TABLE protocol_assessments (
    practice_id uuid NOT NULL,
    protocol_id uuid NOT NULL,
    version integer NOT NULL,
    position smallint NOT NULL,
    name text NOT NULL,
    due_kind text NOT NULL,
    at_session integer,
    minimum_days integer,
    target_days integer,
    maximum_days integer,
    source text NOT NULL,
    grade text NOT NULL,
    rationale text NOT NULL,
    CONSTRAINT protocol_assessment_is_identified PRIMARY KEY (practice_id, protocol_id, version, position),
    CONSTRAINT protocol_assessment_belongs_to_protocol FOREIGN KEY (practice_id, protocol_id, version) REFERENCES protocols (practice_id, protocol_id, version),
    CONSTRAINT protocol_assessment_position_is_bounded CHECK (position BETWEEN 0 AND 7),
    CONSTRAINT protocol_assessment_name_is_short_text CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT protocol_assessment_due_kind_is_known CHECK (due_kind IN ('before_first', 'at_session', 'after_last')),
    CONSTRAINT protocol_assessment_is_due_in_one_way CHECK (
        (due_kind = 'at_session') = (at_session IS NOT NULL)
        AND num_nonnulls(minimum_days, target_days, maximum_days) = CASE WHEN due_kind = 'after_last' THEN 3 ELSE 0 END),
    CONSTRAINT protocol_assessment_session_is_bounded CHECK (at_session BETWEEN 1 AND 12),
    CONSTRAINT protocol_assessment_days_are_ordered CHECK (0 <= minimum_days AND minimum_days <= target_days AND target_days <= maximum_days AND maximum_days <= 730),
    CONSTRAINT protocol_assessment_grade_is_known CHECK (grade IN ('a', 'b', 'c', 'own')),
    CONSTRAINT protocol_assessment_texts_are_bounded CHECK (length(source) <= 2000 AND length(rationale) <= 2000)
);
COMMENT ON TABLE protocol_assessments IS 'When a protocol asks for photographs and a look at the result. Written with the protocol''s version, and never edited.';
COMMENT ON COLUMN protocol_assessments.practice_id IS 'The practice.';
COMMENT ON COLUMN protocol_assessments.protocol_id IS 'The protocol.';
COMMENT ON COLUMN protocol_assessments.version IS 'The protocol''s version.';
COMMENT ON COLUMN protocol_assessments.position IS 'Order within the protocol, from 0.';
COMMENT ON COLUMN protocol_assessments.name IS 'What the staff call it.';
COMMENT ON COLUMN protocol_assessments.due_kind IS 'before_first: on the day of the first session at the latest; at_session: in the visit of a session; after_last: some days after the last session.';
COMMENT ON COLUMN protocol_assessments.at_session IS 'Which session, from 1; set for at_session only. A shorter series does without the assessment.';
COMMENT ON COLUMN protocol_assessments.minimum_days IS 'Fewest calendar days after the last session; set for after_last only.';
COMMENT ON COLUMN protocol_assessments.target_days IS 'Calendar days after the last session that are aimed at; set for after_last only.';
COMMENT ON COLUMN protocol_assessments.maximum_days IS 'Most calendar days after the last session; set for after_last only.';
COMMENT ON COLUMN protocol_assessments.source IS 'Where the timing comes from.';
COMMENT ON COLUMN protocol_assessments.grade IS 'How good the source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN protocol_assessments.rationale IS 'Why this timing.';
