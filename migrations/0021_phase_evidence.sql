-- Phases say where their lengths and needs come from.

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
