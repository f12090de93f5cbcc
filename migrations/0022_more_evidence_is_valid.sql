-- In a transaction of its own, so that no reader waits while the rows are looked through.

ALTER TABLE treatment_phases VALIDATE CONSTRAINT treatment_phase_evidence_is_whole;
ALTER TABLE treatment_phases VALIDATE CONSTRAINT treatment_phase_grade_is_known;
ALTER TABLE treatment_phases VALIDATE CONSTRAINT treatment_phase_texts_are_bounded;
ALTER TABLE protocols VALIDATE CONSTRAINT protocol_overdue_evidence_is_whole;
ALTER TABLE protocols VALIDATE CONSTRAINT protocol_overdue_grade_is_known;
ALTER TABLE protocols VALIDATE CONSTRAINT protocol_overdue_texts_are_bounded;
