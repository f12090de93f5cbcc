-- Phases say where their lengths and needs come from, and protocols where their advice about overdue series does.

SET LOCAL lock_timeout = '10s';

ALTER TABLE treatment_phases
    ADD COLUMN source text,
    ADD COLUMN grade text,
    ADD COLUMN rationale text,
    ADD CONSTRAINT treatment_phase_evidence_is_whole CHECK (num_nonnulls(source, grade, rationale) IN (0, 3)) NOT VALID,
    ADD CONSTRAINT treatment_phase_grade_is_known CHECK (grade IN ('a', 'b', 'c', 'own')) NOT VALID,
    ADD CONSTRAINT treatment_phase_texts_are_bounded CHECK (length(source) <= 2000 AND length(rationale) <= 2000) NOT VALID;
COMMENT ON COLUMN treatment_phases.source IS 'Where its length and its needs come from; null if not said.';
COMMENT ON COLUMN treatment_phases.grade IS 'How good that source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN treatment_phases.rationale IS 'Why they are what they are.';

ALTER TABLE protocols
    ADD COLUMN overdue_source text,
    ADD COLUMN overdue_grade text,
    ADD COLUMN overdue_rationale text,
    ADD CONSTRAINT protocol_overdue_evidence_is_whole CHECK (num_nonnulls(overdue_source, overdue_grade, overdue_rationale) IN (0, 3)) NOT VALID,
    ADD CONSTRAINT protocol_overdue_grade_is_known CHECK (overdue_grade IN ('a', 'b', 'c', 'own')) NOT VALID,
    ADD CONSTRAINT protocol_overdue_texts_are_bounded CHECK (length(overdue_source) <= 2000 AND length(overdue_rationale) <= 2000) NOT VALID;
COMMENT ON COLUMN protocols.overdue_source IS 'Where overdue_advice comes from; null if not said.';
COMMENT ON COLUMN protocols.overdue_grade IS 'How good that source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN protocols.overdue_rationale IS 'Why the advice is what it is.';
