-- What makes a clinic's system of a calendar: screening, clearance, overrides, reactions, combinations, assessments, and
-- visits that take place.

SET LOCAL lock_timeout = '10s';

-- ---------------------------------------------------------------------------------------------------------------------
-- The catalogue
-- ---------------------------------------------------------------------------------------------------------------------

ALTER TABLE treatments
    ADD COLUMN spacing_source text,
    ADD COLUMN spacing_grade text,
    ADD COLUMN spacing_rationale text,
    ADD COLUMN across_areas_days integer,
    ADD COLUMN across_areas_source text,
    ADD COLUMN across_areas_grade text,
    ADD COLUMN across_areas_rationale text,
    ADD CONSTRAINT treatment_spacing_evidence_is_whole CHECK (num_nonnulls(spacing_source, spacing_grade, spacing_rationale) IN (0, 3)) NOT VALID,
    ADD CONSTRAINT treatment_spacing_grade_is_known CHECK (spacing_grade IN ('a', 'b', 'c', 'own')) NOT VALID,
    ADD CONSTRAINT treatment_spacing_texts_are_bounded CHECK (length(spacing_source) <= 2000 AND length(spacing_rationale) <= 2000) NOT VALID,
    ADD CONSTRAINT treatment_across_areas_is_whole CHECK (num_nonnulls(across_areas_days, across_areas_source, across_areas_grade, across_areas_rationale) IN (0, 4)) NOT VALID,
    ADD CONSTRAINT treatment_across_areas_is_bounded CHECK (across_areas_days BETWEEN 1 AND spacing_days) NOT VALID,
    ADD CONSTRAINT treatment_across_areas_grade_is_known CHECK (across_areas_grade IN ('a', 'b', 'c', 'own')) NOT VALID,
    ADD CONSTRAINT treatment_across_areas_texts_are_bounded CHECK (length(across_areas_source) <= 2000 AND length(across_areas_rationale) <= 2000) NOT VALID;
COMMENT ON COLUMN treatments.spacing_source IS 'Where spacing_days comes from; null if not said.';
COMMENT ON COLUMN treatments.spacing_grade IS 'How good that source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN treatments.spacing_rationale IS 'Why spacing_days is what it is.';
COMMENT ON COLUMN treatments.across_areas_days IS 'Calendar days before any other body area may be needled; null if other areas do not matter.';
COMMENT ON COLUMN treatments.across_areas_source IS 'Where across_areas_days comes from.';
COMMENT ON COLUMN treatments.across_areas_grade IS 'How good that source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN treatments.across_areas_rationale IS 'Why across_areas_days is what it is.';

ALTER TABLE treatment_restrictions ADD COLUMN advice boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN treatment_restrictions.advice IS 'Whether the patient is only told; otherwise no visit that is the activity is booked in the window.';

CREATE TABLE treatment_duties (
    practice_id uuid NOT NULL,
    treatment_id uuid NOT NULL,
    version integer NOT NULL,
    activity text NOT NULL,
    from_amount integer NOT NULL,
    from_unit text NOT NULL,
    until_amount integer NOT NULL,
    until_unit text NOT NULL,
    instruction text NOT NULL,
    source text NOT NULL,
    grade text NOT NULL,
    rationale text NOT NULL,
    CONSTRAINT treatment_duty_is_identified PRIMARY KEY (practice_id, treatment_id, version, activity),
    CONSTRAINT treatment_duty_belongs_to_treatment FOREIGN KEY (practice_id, treatment_id, version) REFERENCES treatments (practice_id, treatment_id, version),
    CONSTRAINT treatment_duty_activity_is_known CHECK (activity IN ('sun_exposure', 'heat', 'swimming', 'exercise', 'make_up', 'retinoids_and_acids', 'alcohol', 'depilation', 'chemical_peel', 'laser_and_light', 'botulinum_toxin', 'filler', 'vaccination')),
    CONSTRAINT treatment_duty_units_are_known CHECK (from_unit IN ('hours', 'days') AND until_unit IN ('hours', 'days')),
    CONSTRAINT treatment_duty_is_bounded CHECK (from_amount BETWEEN 0 AND 1000 AND until_amount BETWEEN 1 AND 1000),
    CONSTRAINT treatment_duty_grade_is_known CHECK (grade IN ('a', 'b', 'c', 'own')),
    CONSTRAINT treatment_duty_texts_are_bounded CHECK (length(instruction) BETWEEN 1 AND 2000 AND length(source) <= 2000 AND length(rationale) <= 2000)
);
COMMENT ON TABLE treatment_duties IS 'What a patient has to do after a treatment, for example sunscreen every day.';
COMMENT ON COLUMN treatment_duties.practice_id IS 'The practice.';
COMMENT ON COLUMN treatment_duties.treatment_id IS 'The treatment.';
COMMENT ON COLUMN treatment_duties.version IS 'The treatment''s version.';
COMMENT ON COLUMN treatment_duties.activity IS 'What the duty protects against: sun_exposure for sunscreen.';
COMMENT ON COLUMN treatment_duties.from_amount IS 'How long after the treatment proper ends it begins, in from_unit; 0 for at once.';
COMMENT ON COLUMN treatment_duties.from_unit IS 'hours are elapsed time, days are calendar days at the clinic.';
COMMENT ON COLUMN treatment_duties.until_amount IS 'How long after the treatment proper ends it ends, in until_unit.';
COMMENT ON COLUMN treatment_duties.until_unit IS 'hours are elapsed time, days are calendar days at the clinic.';
COMMENT ON COLUMN treatment_duties.instruction IS 'What to tell the patient.';
COMMENT ON COLUMN treatment_duties.source IS 'Where the numbers come from.';
COMMENT ON COLUMN treatment_duties.grade IS 'How good the source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN treatment_duties.rationale IS 'Why the duty is there.';

CREATE TABLE treatment_combinations (
    practice_id uuid NOT NULL,
    treatment_id uuid NOT NULL,
    version integer NOT NULL,
    add_on_treatment_id uuid NOT NULL,
    source text NOT NULL,
    grade text NOT NULL,
    rationale text NOT NULL,
    CONSTRAINT treatment_combination_is_identified PRIMARY KEY (practice_id, treatment_id, version, add_on_treatment_id),
    CONSTRAINT treatment_combination_belongs_to_treatment FOREIGN KEY (practice_id, treatment_id, version) REFERENCES treatments (practice_id, treatment_id, version),
    CONSTRAINT treatment_is_not_combined_with_itself CHECK (add_on_treatment_id <> treatment_id),
    CONSTRAINT treatment_combination_grade_is_known CHECK (grade IN ('a', 'b', 'c', 'own')),
    CONSTRAINT treatment_combination_texts_are_bounded CHECK (length(source) <= 2000 AND length(rationale) <= 2000)
);
COMMENT ON TABLE treatment_combinations IS 'Which other treatments may be added to a visit for this one, where a practitioner approves it for the patient.';
COMMENT ON COLUMN treatment_combinations.practice_id IS 'The practice.';
COMMENT ON COLUMN treatment_combinations.treatment_id IS 'The treatment that something is added to.';
COMMENT ON COLUMN treatment_combinations.version IS 'Its version.';
COMMENT ON COLUMN treatment_combinations.add_on_treatment_id IS 'The treatment that may be added, in whatever version is the highest when it is booked.';
COMMENT ON COLUMN treatment_combinations.source IS 'Where it comes from that the two may be combined.';
COMMENT ON COLUMN treatment_combinations.grade IS 'How good the source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN treatment_combinations.rationale IS 'Why the two may be combined.';

ALTER TABLE protocols
    ADD COLUMN consultation_treatment_id uuid,
    ADD COLUMN consultation_treatment_version integer,
    ADD COLUMN clearing_qualification text,
    ADD COLUMN clearance_days integer,
    ADD COLUMN cooling_off_hours integer,
    ADD COLUMN patch_test_hours integer,
    ADD COLUMN screening_days integer,
    ADD COLUMN clearance_source text,
    ADD COLUMN clearance_grade text,
    ADD COLUMN clearance_rationale text,
    ADD COLUMN maintenance_minimum_days integer,
    ADD COLUMN maintenance_target_days integer,
    ADD COLUMN maintenance_source text,
    ADD COLUMN maintenance_grade text,
    ADD COLUMN maintenance_rationale text,
    ADD COLUMN overdue_advice text NOT NULL DEFAULT '',
    ADD CONSTRAINT protocol_consults_by_a_treatment FOREIGN KEY (practice_id, consultation_treatment_id, consultation_treatment_version) REFERENCES treatments (practice_id, treatment_id, version) NOT VALID,
    ADD CONSTRAINT protocol_clearance_is_whole CHECK (num_nonnulls(consultation_treatment_id, consultation_treatment_version, clearing_qualification, clearance_days, cooling_off_hours, patch_test_hours, screening_days, clearance_source, clearance_grade, clearance_rationale) IN (0, 10)) NOT VALID,
    ADD CONSTRAINT protocol_clearance_is_bounded CHECK (clearance_days BETWEEN 1 AND 1095 AND cooling_off_hours BETWEEN 0 AND 1000 AND patch_test_hours BETWEEN 0 AND 1000 AND screening_days BETWEEN 0 AND 365) NOT VALID,
    ADD CONSTRAINT protocol_clearing_qualification_is_a_code CHECK (clearing_qualification ~ '^[a-z][a-z0-9_]{0,62}$') NOT VALID,
    ADD CONSTRAINT protocol_maintenance_is_whole CHECK (num_nonnulls(maintenance_minimum_days, maintenance_target_days, maintenance_source, maintenance_grade, maintenance_rationale) IN (0, 5)) NOT VALID,
    ADD CONSTRAINT protocol_maintenance_is_ordered CHECK (1 <= maintenance_minimum_days AND maintenance_minimum_days <= maintenance_target_days AND maintenance_target_days <= 730) NOT VALID,
    ADD CONSTRAINT protocol_more_grades_are_known CHECK (clearance_grade IN ('a', 'b', 'c', 'own') AND maintenance_grade IN ('a', 'b', 'c', 'own')) NOT VALID,
    ADD CONSTRAINT protocol_more_texts_are_bounded CHECK (length(clearance_source) <= 2000 AND length(clearance_rationale) <= 2000 AND length(maintenance_source) <= 2000 AND length(maintenance_rationale) <= 2000 AND length(overdue_advice) <= 2000) NOT VALID;
-- Built at once: no server of this version serves before its migrations are done, and the column is null everywhere.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX protocols_by_consultation ON protocols (practice_id, consultation_treatment_id, consultation_treatment_version);
COMMENT ON COLUMN protocols.consultation_treatment_id IS 'The treatment that is the consultation; null if the protocol needs no clearance and no screening.';
COMMENT ON COLUMN protocols.consultation_treatment_version IS 'The version of that treatment.';
COMMENT ON COLUMN protocols.clearing_qualification IS 'What a practitioner has to be qualified for to clear, to override and to clear a reaction.';
COMMENT ON COLUMN protocols.clearance_days IS 'Calendar days for which a clearance is valid unless the practitioner says otherwise.';
COMMENT ON COLUMN protocols.cooling_off_hours IS 'Hours between a clearance and the sessions under it at least.';
COMMENT ON COLUMN protocols.patch_test_hours IS 'Hours between a patch test and the first session at least; 0 if there is none.';
COMMENT ON COLUMN protocols.screening_days IS 'Calendar days that a screening may be old at check-in; 0 for one of the same day.';
COMMENT ON COLUMN protocols.clearance_source IS 'Where the rules of clearance come from.';
COMMENT ON COLUMN protocols.clearance_grade IS 'How good that source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN protocols.clearance_rationale IS 'Why these rules.';
COMMENT ON COLUMN protocols.maintenance_minimum_days IS 'Fewest calendar days between the last session and a maintenance session; null if there is no maintenance.';
COMMENT ON COLUMN protocols.maintenance_target_days IS 'Calendar days aimed at.';
COMMENT ON COLUMN protocols.maintenance_source IS 'Where the numbers of maintenance come from.';
COMMENT ON COLUMN protocols.maintenance_grade IS 'How good that source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN protocols.maintenance_rationale IS 'Why these numbers.';
COMMENT ON COLUMN protocols.overdue_advice IS 'What to do about a series whose gap has grown past the maximum; empty if not said.';

CREATE TABLE screening_rules (
    practice_id uuid NOT NULL,
    protocol_id uuid NOT NULL,
    version integer NOT NULL,
    position smallint NOT NULL,
    condition text NOT NULL,
    asks text NOT NULL,
    question text NOT NULL,
    least integer,
    most integer,
    class text NOT NULL,
    deferral_amount integer,
    deferral_unit text,
    may_be_cleared boolean NOT NULL,
    meaning text NOT NULL,
    source text NOT NULL,
    grade text NOT NULL,
    rationale text NOT NULL,
    CONSTRAINT screening_rule_is_identified PRIMARY KEY (practice_id, protocol_id, version, position),
    CONSTRAINT screening_rule_is_about_one_condition UNIQUE (practice_id, protocol_id, version, condition),
    CONSTRAINT screening_rule_belongs_to_protocol FOREIGN KEY (practice_id, protocol_id, version) REFERENCES protocols (practice_id, protocol_id, version),
    CONSTRAINT screening_rule_position_is_bounded CHECK (position BETWEEN 0 AND 49),
    CONSTRAINT screening_rule_condition_is_a_code CHECK (condition ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT screening_rule_asks_in_a_known_way CHECK (asks IN ('presence', 'presence_and_date', 'skin_type', 'age')),
    CONSTRAINT screening_rule_has_a_range_where_it_needs_one CHECK ((asks IN ('skin_type', 'age')) = (least IS NOT NULL AND most IS NOT NULL) AND num_nonnulls(least, most) <> 1 AND 0 <= least AND least <= most AND most <= 150),
    CONSTRAINT screening_rule_class_is_known CHECK (class IN ('block', 'defer', 'clear', 'premed')),
    CONSTRAINT screening_rule_deferral_has_an_amount CHECK (num_nonnulls(deferral_amount, deferral_unit) IN (0, 2) AND (deferral_amount IS NOT NULL) = (class = 'defer' AND asks = 'presence_and_date') AND deferral_amount BETWEEN 1 AND 1000 AND deferral_unit IN ('days', 'months')),
    CONSTRAINT screening_rule_grade_is_known CHECK (grade IN ('a', 'b', 'c', 'own')),
    CONSTRAINT screening_rule_texts_are_bounded CHECK (length(question) <= 500 AND length(meaning) BETWEEN 1 AND 500 AND length(source) <= 2000 AND length(rationale) <= 2000)
);
COMMENT ON TABLE screening_rules IS 'What a protocol asks a patient, and what an answer means. Written with the protocol''s version, and never edited.';
COMMENT ON COLUMN screening_rules.practice_id IS 'The practice.';
COMMENT ON COLUMN screening_rules.protocol_id IS 'The protocol.';
COMMENT ON COLUMN screening_rules.version IS 'The protocol''s version.';
COMMENT ON COLUMN screening_rules.position IS 'Order within the questionnaire, from 0.';
COMMENT ON COLUMN screening_rules.condition IS 'A code for what is asked about.';
COMMENT ON COLUMN screening_rules.asks IS 'presence: yes or no; presence_and_date: with the day of it; skin_type: the Fitzpatrick type; age: nothing, the birth date is known.';
COMMENT ON COLUMN screening_rules.question IS 'What to ask; empty where nothing is asked.';
COMMENT ON COLUMN screening_rules.least IS 'Lowest skin type or age in years for which the rule fires; null for the others.';
COMMENT ON COLUMN screening_rules.most IS 'Highest skin type or age in years for which the rule fires; null for the others.';
COMMENT ON COLUMN screening_rules.class IS 'block: not treated while so; defer: not until a date or until resolved; clear: a practitioner must clear it; premed: a prescription first.';
COMMENT ON COLUMN screening_rules.deferral_amount IS 'How long after the day of the answer, in deferral_unit; null for until resolved.';
COMMENT ON COLUMN screening_rules.deferral_unit IS 'days or months of the calendar.';
COMMENT ON COLUMN screening_rules.may_be_cleared IS 'Whether a practitioner may lift it.';
COMMENT ON COLUMN screening_rules.meaning IS 'What it means for the staff.';
COMMENT ON COLUMN screening_rules.source IS 'Where the rule comes from.';
COMMENT ON COLUMN screening_rules.grade IS 'How good the source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN screening_rules.rationale IS 'Why the rule is there.';

CREATE TABLE reaction_rules (
    practice_id uuid NOT NULL,
    protocol_id uuid NOT NULL,
    version integer NOT NULL,
    position smallint NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    reaction_grade text NOT NULL,
    counts_as text,
    instruction text NOT NULL,
    source text NOT NULL,
    grade text NOT NULL,
    rationale text NOT NULL,
    CONSTRAINT reaction_rule_is_identified PRIMARY KEY (practice_id, protocol_id, version, position),
    CONSTRAINT reaction_rule_is_about_one_kind UNIQUE (practice_id, protocol_id, version, kind),
    CONSTRAINT reaction_rule_belongs_to_protocol FOREIGN KEY (practice_id, protocol_id, version) REFERENCES protocols (practice_id, protocol_id, version),
    CONSTRAINT reaction_rule_position_is_bounded CHECK (position BETWEEN 0 AND 49),
    CONSTRAINT reaction_rule_kind_is_a_code CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT reaction_rule_counts_as_a_code CHECK (counts_as ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT reaction_rule_reaction_grade_is_known CHECK (reaction_grade IN ('normal', 'warning', 'serious')),
    CONSTRAINT reaction_rule_grade_is_known CHECK (grade IN ('a', 'b', 'c', 'own')),
    CONSTRAINT reaction_rule_texts_are_bounded CHECK (length(name) BETWEEN 1 AND 200 AND length(instruction) <= 2000 AND length(source) <= 2000 AND length(rationale) <= 2000)
);
COMMENT ON TABLE reaction_rules IS 'Which reactions a protocol knows, and how grave each is at least. Written with the protocol''s version, and never edited.';
COMMENT ON COLUMN reaction_rules.practice_id IS 'The practice.';
COMMENT ON COLUMN reaction_rules.protocol_id IS 'The protocol.';
COMMENT ON COLUMN reaction_rules.version IS 'The protocol''s version.';
COMMENT ON COLUMN reaction_rules.position IS 'Order in which to show them, from 0.';
COMMENT ON COLUMN reaction_rules.kind IS 'A code for the reaction.';
COMMENT ON COLUMN reaction_rules.name IS 'What the staff call it.';
COMMENT ON COLUMN reaction_rules.reaction_grade IS 'normal, warning or serious; from warning on the patient''s series go on hold.';
COMMENT ON COLUMN reaction_rules.counts_as IS 'The condition of the screening that the patient has from then on; null if none.';
COMMENT ON COLUMN reaction_rules.instruction IS 'What to do, for the staff.';
COMMENT ON COLUMN reaction_rules.source IS 'Where the rule comes from.';
COMMENT ON COLUMN reaction_rules.grade IS 'How good the source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN reaction_rules.rationale IS 'Why the rule is there.';

-- ---------------------------------------------------------------------------------------------------------------------
-- Screenings, clearances, overrides
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE screenings (
    practice_id uuid NOT NULL,
    screening_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    protocol_id uuid NOT NULL,
    protocol_version integer NOT NULL,
    skin_type smallint,
    stretch_marks text,
    medication text NOT NULL,
    notes text NOT NULL,
    recorded_at timestamptz NOT NULL,
    recorded_revision bigint NOT NULL,
    CONSTRAINT screening_is_identified PRIMARY KEY (practice_id, screening_id),
    CONSTRAINT screening_is_of_a_patient FOREIGN KEY (practice_id, patient_id) REFERENCES patients (practice_id, patient_id),
    CONSTRAINT screening_follows_a_protocol FOREIGN KEY (practice_id, protocol_id, protocol_version) REFERENCES protocols (practice_id, protocol_id, version),
    CONSTRAINT screening_was_recorded_by_a_change FOREIGN KEY (practice_id, recorded_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT screening_skin_type_is_of_fitzpatrick CHECK (skin_type BETWEEN 1 AND 6),
    CONSTRAINT screening_stretch_marks_are_graded CHECK (stretch_marks IN ('none', 'mild', 'moderate', 'severe')),
    CONSTRAINT screening_texts_are_bounded CHECK (length(medication) <= 2000 AND length(notes) <= 2000)
);
CREATE INDEX screenings_by_patient ON screenings (practice_id, patient_id, protocol_id, recorded_revision);
CREATE INDEX screenings_by_protocol ON screenings (practice_id, protocol_id, protocol_version);
CREATE INDEX screenings_by_change ON screenings (practice_id, recorded_revision);
COMMENT ON TABLE screenings IS 'A patient''s answers about conditions that matter. Everything in it but ids and times is personal data. Never edited: a new one is recorded. Who recorded it is in the history.';
COMMENT ON COLUMN screenings.practice_id IS 'The practice.';
COMMENT ON COLUMN screenings.screening_id IS 'UUIDv7.';
COMMENT ON COLUMN screenings.patient_id IS 'The patient.';
COMMENT ON COLUMN screenings.protocol_id IS 'The protocol whose questionnaire was answered.';
COMMENT ON COLUMN screenings.protocol_version IS 'Its version.';
COMMENT ON COLUMN screenings.skin_type IS 'Personal data; Fitzpatrick type 1 to 6; null if not asked.';
COMMENT ON COLUMN screenings.stretch_marks IS 'Personal data; severity of stretch marks; null if not asked.';
COMMENT ON COLUMN screenings.medication IS 'Personal data; what the patient takes; may be empty.';
COMMENT ON COLUMN screenings.notes IS 'Personal data; may be empty.';
COMMENT ON COLUMN screenings.recorded_at IS 'When it was recorded, by the server''s clock.';
COMMENT ON COLUMN screenings.recorded_revision IS 'The change that recorded it.';

CREATE TABLE screening_answers (
    practice_id uuid NOT NULL,
    screening_id uuid NOT NULL,
    condition text NOT NULL,
    present boolean NOT NULL,
    on_date date,
    CONSTRAINT screening_answer_is_identified PRIMARY KEY (practice_id, screening_id, condition),
    CONSTRAINT screening_answer_belongs_to_screening FOREIGN KEY (practice_id, screening_id) REFERENCES screenings (practice_id, screening_id),
    CONSTRAINT screening_answer_condition_is_a_code CHECK (condition ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT screening_answer_is_dated_if_present CHECK (present OR on_date IS NULL)
);
COMMENT ON TABLE screening_answers IS 'One answer of a screening. Personal data.';
COMMENT ON COLUMN screening_answers.practice_id IS 'The practice.';
COMMENT ON COLUMN screening_answers.screening_id IS 'The screening.';
COMMENT ON COLUMN screening_answers.condition IS 'The condition asked about.';
COMMENT ON COLUMN screening_answers.present IS 'Personal data; whether the patient has it.';
COMMENT ON COLUMN screening_answers.on_date IS 'Personal data; the day of it, for example of the last dose; null if not asked.';

CREATE TABLE clearances (
    practice_id uuid NOT NULL,
    clearance_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    protocol_id uuid NOT NULL,
    protocol_version integer NOT NULL,
    body_area text NOT NULL,
    consultation_id uuid NOT NULL,
    outcome text NOT NULL,
    session_count integer,
    valid_from date,
    valid_until date,
    not_before timestamptz,
    conditions text[] NOT NULL,
    notes text NOT NULL,
    decided_at timestamptz NOT NULL,
    decided_by uuid NOT NULL,
    decided_revision bigint NOT NULL,
    revoked_at timestamptz,
    revoked_by uuid,
    revoked_revision bigint,
    revoke_reason text,
    CONSTRAINT clearance_is_identified PRIMARY KEY (practice_id, clearance_id),
    CONSTRAINT clearance_is_known_to_its_sessions UNIQUE (practice_id, clearance_id, patient_id, body_area),
    CONSTRAINT clearance_is_of_a_patient FOREIGN KEY (practice_id, patient_id) REFERENCES patients (practice_id, patient_id),
    CONSTRAINT clearance_is_for_a_protocol FOREIGN KEY (practice_id, protocol_id, protocol_version) REFERENCES protocols (practice_id, protocol_id, version),
    CONSTRAINT clearance_follows_a_consultation FOREIGN KEY (practice_id, consultation_id) REFERENCES appointments (practice_id, appointment_id),
    CONSTRAINT clearance_is_signed FOREIGN KEY (practice_id, decided_by) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT clearance_is_revoked_by_a_practitioner FOREIGN KEY (practice_id, revoked_by) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT clearance_was_decided_by_a_change FOREIGN KEY (practice_id, decided_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT clearance_was_revoked_by_a_change FOREIGN KEY (practice_id, revoked_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT clearance_body_area_is_known CHECK (body_area IN ('face', 'neck', 'decollete', 'scalp', 'upper_arms', 'hands', 'breasts', 'abdomen', 'flanks', 'back', 'hips', 'buttocks', 'thighs', 'calves')),
    CONSTRAINT clearance_outcome_is_known CHECK (outcome IN ('cleared', 'declined')),
    CONSTRAINT clearance_says_for_what CHECK (num_nonnulls(session_count, valid_from, valid_until, not_before) = CASE outcome WHEN 'cleared' THEN 4 ELSE 0 END AND session_count BETWEEN 1 AND 12 AND valid_from <= valid_until),
    CONSTRAINT clearance_conditions_are_few CHECK (cardinality(conditions) <= 50),
    CONSTRAINT clearance_is_revoked_as_a_whole CHECK (num_nonnulls(revoked_at, revoked_by, revoked_revision, revoke_reason) IN (0, 4)),
    CONSTRAINT clearance_texts_are_bounded CHECK (length(notes) <= 2000 AND length(revoke_reason) <= 2000)
);
CREATE INDEX clearances_by_patient ON clearances (practice_id, patient_id, protocol_id, body_area, decided_revision);
CREATE INDEX clearances_by_protocol ON clearances (practice_id, protocol_id, protocol_version);
CREATE INDEX clearances_by_consultation ON clearances (practice_id, consultation_id);
CREATE INDEX clearances_by_practitioner ON clearances (practice_id, decided_by);
CREATE INDEX clearances_by_revoker ON clearances (practice_id, revoked_by);
CREATE INDEX clearances_by_change ON clearances (practice_id, decided_revision);
CREATE INDEX clearances_by_revocation ON clearances (practice_id, revoked_revision);
COMMENT ON TABLE clearances IS 'What a practitioner decided after a consultation: that a patient may be treated, or not.';
COMMENT ON COLUMN clearances.practice_id IS 'The practice.';
COMMENT ON COLUMN clearances.clearance_id IS 'UUIDv7.';
COMMENT ON COLUMN clearances.patient_id IS 'The patient.';
COMMENT ON COLUMN clearances.protocol_id IS 'The protocol that it is about.';
COMMENT ON COLUMN clearances.protocol_version IS 'The protocol''s version when it was decided.';
COMMENT ON COLUMN clearances.body_area IS 'The area that it is about.';
COMMENT ON COLUMN clearances.consultation_id IS 'The appointment that was the consultation.';
COMMENT ON COLUMN clearances.outcome IS 'cleared or declined; of several decisions the latest counts.';
COMMENT ON COLUMN clearances.session_count IS 'How many sessions of a series it covers; null if declined.';
COMMENT ON COLUMN clearances.valid_from IS 'The first calendar day that it covers; null if declined.';
COMMENT ON COLUMN clearances.valid_until IS 'The last calendar day that it covers; null if declined.';
COMMENT ON COLUMN clearances.not_before IS 'When a session under it may begin at the earliest, after cooling-off and patch test; null if declined.';
COMMENT ON COLUMN clearances.conditions IS 'Personal data; the conditions of the screening that it clears.';
COMMENT ON COLUMN clearances.notes IS 'Personal data; may be empty.';
COMMENT ON COLUMN clearances.decided_at IS 'When it was decided.';
COMMENT ON COLUMN clearances.decided_by IS 'The practitioner who signed.';
COMMENT ON COLUMN clearances.decided_revision IS 'The change that recorded it.';
COMMENT ON COLUMN clearances.revoked_at IS 'Since when it counts no more; null while it does.';
COMMENT ON COLUMN clearances.revoked_by IS 'The practitioner who revoked it.';
COMMENT ON COLUMN clearances.revoked_revision IS 'The change that revoked it.';
COMMENT ON COLUMN clearances.revoke_reason IS 'Why it was revoked; may be personal data.';

CREATE TABLE overrides (
    practice_id uuid NOT NULL,
    override_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    kind text NOT NULL,
    series_id uuid,
    gap_days integer,
    protocol_id uuid,
    condition text,
    treatment_id uuid,
    add_on_treatment_id uuid,
    appointment_id uuid,
    activity text,
    after_amount integer,
    after_unit text,
    reason text NOT NULL,
    granted_at timestamptz NOT NULL,
    granted_by uuid NOT NULL,
    granted_revision bigint NOT NULL,
    revoked_at timestamptz,
    revoked_by uuid,
    revoked_revision bigint,
    revoke_reason text,
    CONSTRAINT override_is_identified PRIMARY KEY (practice_id, override_id),
    CONSTRAINT override_is_known_to_its_windows UNIQUE (practice_id, override_id, patient_id),
    CONSTRAINT override_is_of_a_patient FOREIGN KEY (practice_id, patient_id) REFERENCES patients (practice_id, patient_id),
    CONSTRAINT override_is_for_a_series FOREIGN KEY (practice_id, series_id) REFERENCES series (practice_id, series_id),
    CONSTRAINT override_is_for_an_appointment FOREIGN KEY (practice_id, appointment_id) REFERENCES appointments (practice_id, appointment_id),
    CONSTRAINT override_is_signed FOREIGN KEY (practice_id, granted_by) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT override_is_revoked_by_a_practitioner FOREIGN KEY (practice_id, revoked_by) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT override_was_granted_by_a_change FOREIGN KEY (practice_id, granted_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT override_was_revoked_by_a_change FOREIGN KEY (practice_id, revoked_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT override_kind_is_known CHECK (kind IN ('gap', 'condition', 'combination', 'aftercare')),
    CONSTRAINT override_says_what_it_is_for CHECK (
        (kind = 'gap') = (series_id IS NOT NULL AND gap_days IS NOT NULL) AND num_nonnulls(series_id, gap_days) IN (0, 2)
        AND (kind = 'condition') = (protocol_id IS NOT NULL AND condition IS NOT NULL) AND num_nonnulls(protocol_id, condition) IN (0, 2)
        AND (kind = 'combination') = (treatment_id IS NOT NULL AND add_on_treatment_id IS NOT NULL) AND num_nonnulls(treatment_id, add_on_treatment_id) IN (0, 2)
        AND (kind = 'aftercare') = (appointment_id IS NOT NULL AND activity IS NOT NULL) AND num_nonnulls(appointment_id, activity, after_amount, after_unit) IN (0, 4)),
    CONSTRAINT override_numbers_are_bounded CHECK (gap_days BETWEEN 1 AND 730 AND after_amount BETWEEN 0 AND 1000 AND after_unit IN ('hours', 'days')),
    CONSTRAINT override_activity_is_known CHECK (activity IN ('sun_exposure', 'heat', 'swimming', 'exercise', 'make_up', 'retinoids_and_acids', 'alcohol', 'depilation', 'chemical_peel', 'laser_and_light', 'botulinum_toxin', 'filler', 'vaccination')),
    CONSTRAINT override_condition_is_a_code CHECK (condition ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT override_has_a_reason CHECK (length(reason) BETWEEN 1 AND 2000 AND length(revoke_reason) <= 2000),
    CONSTRAINT override_is_revoked_as_a_whole CHECK (num_nonnulls(revoked_at, revoked_by, revoked_revision, revoke_reason) IN (0, 4))
);
CREATE UNIQUE INDEX series_has_one_gap_override ON overrides (practice_id, series_id) WHERE revoked_revision IS NULL;
CREATE UNIQUE INDEX window_has_one_aftercare_override ON overrides (practice_id, appointment_id, activity) WHERE revoked_revision IS NULL;
CREATE INDEX overrides_by_patient ON overrides (practice_id, patient_id, override_id);
CREATE INDEX overrides_by_series ON overrides (practice_id, series_id);
CREATE INDEX overrides_by_appointment ON overrides (practice_id, appointment_id);
CREATE INDEX overrides_by_practitioner ON overrides (practice_id, granted_by);
CREATE INDEX overrides_by_revoker ON overrides (practice_id, revoked_by);
CREATE INDEX overrides_by_change ON overrides (practice_id, granted_revision);
CREATE INDEX overrides_by_revocation ON overrides (practice_id, revoked_revision);
COMMENT ON TABLE overrides IS 'Where a practitioner decided otherwise than the rules, for one patient and one purpose.';
COMMENT ON COLUMN overrides.practice_id IS 'The practice.';
COMMENT ON COLUMN overrides.override_id IS 'UUIDv7.';
COMMENT ON COLUMN overrides.patient_id IS 'The patient.';
COMMENT ON COLUMN overrides.kind IS 'gap: another minimum gap for a series; condition: lifts a rule of the screening; combination: allows an add-on; aftercare: shortens a window.';
COMMENT ON COLUMN overrides.series_id IS 'gap: the series.';
COMMENT ON COLUMN overrides.gap_days IS 'gap: calendar days after its sessions, from the last that has begun on.';
COMMENT ON COLUMN overrides.protocol_id IS 'condition: the protocol.';
COMMENT ON COLUMN overrides.condition IS 'condition: the condition; personal data.';
COMMENT ON COLUMN overrides.treatment_id IS 'combination: the treatment that something is added to.';
COMMENT ON COLUMN overrides.add_on_treatment_id IS 'combination: the treatment that is added.';
COMMENT ON COLUMN overrides.appointment_id IS 'aftercare: the visit.';
COMMENT ON COLUMN overrides.activity IS 'aftercare: the activity.';
COMMENT ON COLUMN overrides.after_amount IS 'aftercare: how long after the treatment proper the activity stays forbidden, in after_unit; 0 for not at all.';
COMMENT ON COLUMN overrides.after_unit IS 'aftercare: hours are elapsed time, days are calendar days at the clinic.';
COMMENT ON COLUMN overrides.reason IS 'Why; may be personal data.';
COMMENT ON COLUMN overrides.granted_at IS 'When it was granted.';
COMMENT ON COLUMN overrides.granted_by IS 'The practitioner who decided.';
COMMENT ON COLUMN overrides.granted_revision IS 'The change that granted it.';
COMMENT ON COLUMN overrides.revoked_at IS 'Since when it counts no more; null while it does.';
COMMENT ON COLUMN overrides.revoked_by IS 'The practitioner who revoked it.';
COMMENT ON COLUMN overrides.revoked_revision IS 'The change that revoked it.';
COMMENT ON COLUMN overrides.revoke_reason IS 'Why it was revoked; may be personal data.';

-- ---------------------------------------------------------------------------------------------------------------------
-- Series and visits
-- ---------------------------------------------------------------------------------------------------------------------

ALTER TABLE series
    ADD COLUMN completed_at timestamptz,
    -- A wider one takes its place in the same statement.
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT series_state_is_known,
    ADD CONSTRAINT series_state_is_known CHECK (state IN ('active', 'completed', 'cancelled')) NOT VALID,
    ADD CONSTRAINT completed_series_says_when CHECK ((state = 'completed') = (completed_at IS NOT NULL)) NOT VALID;
COMMENT ON COLUMN series.state IS 'active, completed (an assessment ended it) or cancelled.';
COMMENT ON COLUMN series.completed_at IS 'When an assessment ended it; null otherwise.';

ALTER TABLE appointments
    ADD COLUMN arrived_at timestamptz,
    ADD COLUMN arrived_revision bigint,
    ADD COLUMN fulfilled_at timestamptz,
    ADD COLUMN performed_start timestamptz,
    ADD COLUMN clearance_id uuid,
    ADD COLUMN add_on_treatment_id uuid,
    ADD COLUMN add_on_treatment_version integer,
    ADD COLUMN combination_override_id uuid,
    ADD COLUMN follows_series_id uuid,
    ADD COLUMN assessment_number smallint,
    -- A wider one takes its place in the same statement.
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT appointment_state_is_known,
    ADD CONSTRAINT appointment_state_is_known CHECK (state IN ('booked', 'arrived', 'fulfilled', 'cancelled')) NOT VALID,
    ADD CONSTRAINT arrived_appointment_says_when CHECK (num_nonnulls(arrived_at, arrived_revision) = CASE WHEN state IN ('arrived', 'fulfilled') THEN 2 ELSE 0 END) NOT VALID,
    ADD CONSTRAINT fulfilled_appointment_says_when CHECK (num_nonnulls(fulfilled_at, performed_start) = CASE WHEN state = 'fulfilled' THEN 2 ELSE 0 END) NOT VALID,
    ADD CONSTRAINT appointment_add_on_has_a_version_and_an_approval CHECK (num_nonnulls(add_on_treatment_id, add_on_treatment_version, combination_override_id) IN (0, 3)) NOT VALID,
    ADD CONSTRAINT appointment_is_a_session_or_follows_a_series CHECK (series_id IS NULL OR follows_series_id IS NULL) NOT VALID,
    ADD CONSTRAINT assessment_follows_a_series CHECK (assessment_number IS NULL OR follows_series_id IS NOT NULL) NOT VALID,
    ADD CONSTRAINT assessment_number_is_bounded CHECK (assessment_number BETWEEN 1 AND 8) NOT VALID,
    ADD CONSTRAINT appointment_arrived_by_a_change FOREIGN KEY (practice_id, arrived_revision) REFERENCES changes (practice_id, revision) NOT VALID,
    ADD CONSTRAINT session_is_cleared FOREIGN KEY (practice_id, clearance_id, patient_id, body_area) REFERENCES clearances (practice_id, clearance_id, patient_id, body_area) NOT VALID,
    ADD CONSTRAINT appointment_adds_a_treatment FOREIGN KEY (practice_id, add_on_treatment_id, add_on_treatment_version) REFERENCES treatments (practice_id, treatment_id, version) NOT VALID,
    ADD CONSTRAINT appointment_combination_is_approved FOREIGN KEY (practice_id, combination_override_id, patient_id) REFERENCES overrides (practice_id, override_id, patient_id) NOT VALID,
    ADD CONSTRAINT appointment_follows_a_series FOREIGN KEY (practice_id, follows_series_id) REFERENCES series (practice_id, series_id) NOT VALID;
-- Built at once: no server of this version serves before its migrations are done, and the columns are null everywhere.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_arrival ON appointments (practice_id, arrived_revision);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_clearance ON appointments (practice_id, clearance_id, patient_id, body_area);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_add_on ON appointments (practice_id, add_on_treatment_id, add_on_treatment_version);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_combination ON appointments (practice_id, combination_override_id, patient_id);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX appointments_by_followed_series ON appointments (practice_id, follows_series_id);
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX assessment_is_booked_once ON appointments (practice_id, follows_series_id, assessment_number) WHERE live;
COMMENT ON COLUMN appointments.state IS 'booked, arrived, fulfilled or cancelled.';
COMMENT ON COLUMN appointments.arrived_at IS 'When the patient was checked in; null before.';
COMMENT ON COLUMN appointments.arrived_revision IS 'The change that checked the patient in.';
COMMENT ON COLUMN appointments.fulfilled_at IS 'When it was completed; null before.';
COMMENT ON COLUMN appointments.performed_start IS 'When the visit really began: what its windows count from; null before it is completed.';
COMMENT ON COLUMN appointments.clearance_id IS 'The clearance under which it was booked; null where the protocol needs none.';
COMMENT ON COLUMN appointments.add_on_treatment_id IS 'The treatment that is added to the visit; null for none.';
COMMENT ON COLUMN appointments.add_on_treatment_version IS 'The version of the added treatment.';
COMMENT ON COLUMN appointments.combination_override_id IS 'The override that allows the added treatment.';
COMMENT ON COLUMN appointments.follows_series_id IS 'The series that it assesses or maintains; null for any other visit.';
COMMENT ON COLUMN appointments.assessment_number IS 'Which assessment of the protocol it is, from 1; null for a maintenance session.';

ALTER TABLE spacing_windows
    ADD COLUMN override_id uuid,
    -- A wider one takes its place in the same statement.
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT spacing_window_scope_is_known,
    ADD CONSTRAINT spacing_window_scope_is_known CHECK (scope IN ('any_area', 'face', 'neck', 'decollete', 'scalp', 'upper_arms', 'hands', 'breasts', 'abdomen', 'flanks', 'back', 'hips', 'buttocks', 'thighs', 'calves')) NOT VALID,
    ADD CONSTRAINT spacing_window_is_overridden FOREIGN KEY (practice_id, override_id, patient_id) REFERENCES overrides (practice_id, override_id, patient_id) NOT VALID;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX spacing_windows_by_override ON spacing_windows (practice_id, override_id, patient_id);
COMMENT ON COLUMN spacing_windows.scope IS 'What is spaced: the body area, or any_area for the gap to all others.';
COMMENT ON COLUMN spacing_windows.override_id IS 'The override that says how long it is; null where the protocol or treatment does.';

ALTER TABLE activity_windows
    ADD COLUMN override_id uuid,
    -- A wider one takes its place in the same statement.
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT activity_window_restricts_or_exposes,
    ADD CONSTRAINT activity_window_role_is_known CHECK (role IN ('restricts', 'exposes', 'advises', 'asks')) NOT VALID,
    -- A wider one takes its place in the same statement.
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT aftercare_windows_are_kept,
    -- Rows of one appointment never collide: a visit may both expose to an activity and forbid more of it. An exclusion
    -- cannot be added without looking through the rows; the migration takes as long as that does.
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT aftercare_windows_are_kept EXCLUDE USING gist (practice_id WITH =, patient_id WITH =, activity WITH =, role WITH <>, appointment_id WITH <>, during WITH &&) WHERE (live AND role IN ('restricts', 'exposes')),
    ADD CONSTRAINT activity_window_is_overridden FOREIGN KEY (practice_id, override_id, patient_id) REFERENCES overrides (practice_id, override_id, patient_id) NOT VALID;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX activity_windows_by_override ON activity_windows (practice_id, override_id, patient_id);
COMMENT ON TABLE activity_windows IS 'What an appointment forbids (restricts: the aftercare windows), what it is itself (exposes), what it advises against and what it asks the patient to do; only restricts and exposes collide.';
COMMENT ON COLUMN activity_windows.role IS 'restricts, exposes, advises or asks.';
COMMENT ON COLUMN activity_windows.override_id IS 'The override that shortened it; null for none.';

CREATE TABLE reactions (
    practice_id uuid NOT NULL,
    reaction_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    appointment_id uuid NOT NULL,
    series_id uuid NOT NULL,
    kind text NOT NULL,
    reaction_grade text NOT NULL,
    onset timestamptz NOT NULL,
    description text NOT NULL,
    reported_at timestamptz NOT NULL,
    reported_revision bigint NOT NULL,
    cleared_at timestamptz,
    cleared_by uuid,
    cleared_revision bigint,
    earliest_date date,
    clear_notes text,
    CONSTRAINT reaction_is_identified PRIMARY KEY (practice_id, reaction_id),
    CONSTRAINT reaction_is_of_a_patient FOREIGN KEY (practice_id, patient_id) REFERENCES patients (practice_id, patient_id),
    CONSTRAINT reaction_follows_a_session FOREIGN KEY (practice_id, appointment_id) REFERENCES appointments (practice_id, appointment_id),
    CONSTRAINT reaction_is_in_a_series FOREIGN KEY (practice_id, series_id) REFERENCES series (practice_id, series_id),
    CONSTRAINT reaction_is_cleared_by_a_practitioner FOREIGN KEY (practice_id, cleared_by) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT reaction_was_reported_by_a_change FOREIGN KEY (practice_id, reported_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT reaction_was_cleared_by_a_change FOREIGN KEY (practice_id, cleared_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT reaction_kind_is_a_code CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT reaction_grade_is_known CHECK (reaction_grade IN ('normal', 'warning', 'serious')),
    CONSTRAINT reaction_is_cleared_as_a_whole CHECK (num_nonnulls(cleared_at, cleared_by, cleared_revision, earliest_date, clear_notes) IN (0, 5) AND (cleared_at IS NULL OR reaction_grade <> 'normal')),
    CONSTRAINT reaction_texts_are_bounded CHECK (length(description) <= 2000 AND length(clear_notes) <= 2000)
);
CREATE INDEX reactions_by_patient ON reactions (practice_id, patient_id, reaction_id);
CREATE INDEX reactions_by_appointment ON reactions (practice_id, appointment_id);
CREATE INDEX reactions_by_series ON reactions (practice_id, series_id);
CREATE INDEX reactions_by_practitioner ON reactions (practice_id, cleared_by);
CREATE INDEX reactions_by_change ON reactions (practice_id, reported_revision);
CREATE INDEX reactions_by_clearing ON reactions (practice_id, cleared_revision);
COMMENT ON TABLE reactions IS 'How a patient reacted to a session. From grade warning on, all series of the patient are on hold until a practitioner clears.';
COMMENT ON COLUMN reactions.practice_id IS 'The practice.';
COMMENT ON COLUMN reactions.reaction_id IS 'UUIDv7.';
COMMENT ON COLUMN reactions.patient_id IS 'The patient.';
COMMENT ON COLUMN reactions.appointment_id IS 'The session.';
COMMENT ON COLUMN reactions.series_id IS 'The series of the session, or the one that it maintains.';
COMMENT ON COLUMN reactions.kind IS 'Personal data; a code of the protocol''s reaction rules.';
COMMENT ON COLUMN reactions.reaction_grade IS 'normal, warning or serious.';
COMMENT ON COLUMN reactions.onset IS 'Personal data; when it began.';
COMMENT ON COLUMN reactions.description IS 'Personal data; may be empty.';
COMMENT ON COLUMN reactions.reported_at IS 'When it was reported.';
COMMENT ON COLUMN reactions.reported_revision IS 'The change that reported it.';
COMMENT ON COLUMN reactions.cleared_at IS 'When a practitioner cleared it; null while it holds the patient''s series.';
COMMENT ON COLUMN reactions.cleared_by IS 'The practitioner who cleared.';
COMMENT ON COLUMN reactions.cleared_revision IS 'The change that cleared it.';
COMMENT ON COLUMN reactions.earliest_date IS 'The first calendar day on which the patient may be treated again.';
COMMENT ON COLUMN reactions.clear_notes IS 'Personal data; may be empty.';

CREATE TABLE assessment_results (
    practice_id uuid NOT NULL,
    series_id uuid NOT NULL,
    assessment_number smallint NOT NULL,
    appointment_id uuid NOT NULL,
    outcome text NOT NULL,
    session_count integer,
    notes text NOT NULL,
    recorded_at timestamptz NOT NULL,
    recorded_by uuid NOT NULL,
    recorded_revision bigint NOT NULL,
    CONSTRAINT assessment_result_is_identified PRIMARY KEY (practice_id, series_id, assessment_number, recorded_revision),
    CONSTRAINT assessment_result_is_of_a_series FOREIGN KEY (practice_id, series_id) REFERENCES series (practice_id, series_id),
    CONSTRAINT assessment_result_is_of_a_visit FOREIGN KEY (practice_id, appointment_id) REFERENCES appointments (practice_id, appointment_id),
    CONSTRAINT assessment_result_is_signed FOREIGN KEY (practice_id, recorded_by) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT assessment_result_was_recorded_by_a_change FOREIGN KEY (practice_id, recorded_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT assessment_result_number_is_bounded CHECK (assessment_number BETWEEN 1 AND 8),
    CONSTRAINT assessment_result_outcome_is_known CHECK (outcome IN ('continue', 'extend', 'end')),
    CONSTRAINT assessment_result_extends_to_a_count CHECK ((outcome = 'extend') = (session_count IS NOT NULL) AND session_count BETWEEN 1 AND 12),
    CONSTRAINT assessment_result_notes_are_bounded CHECK (length(notes) <= 2000)
);
CREATE INDEX assessment_results_by_appointment ON assessment_results (practice_id, appointment_id);
CREATE INDEX assessment_results_by_practitioner ON assessment_results (practice_id, recorded_by);
CREATE INDEX assessment_results_by_change ON assessment_results (practice_id, recorded_revision);
COMMENT ON TABLE assessment_results IS 'What an assessment of a series came to: one result, or more where it extended the series and was due once more.';
COMMENT ON COLUMN assessment_results.practice_id IS 'The practice.';
COMMENT ON COLUMN assessment_results.series_id IS 'The series.';
COMMENT ON COLUMN assessment_results.assessment_number IS 'Which assessment of its protocol, from 1.';
COMMENT ON COLUMN assessment_results.appointment_id IS 'The visit in which it took place.';
COMMENT ON COLUMN assessment_results.outcome IS 'continue as planned, extend to more sessions, or end the series.';
COMMENT ON COLUMN assessment_results.session_count IS 'extend: how many sessions the series may have, and is cleared for.';
COMMENT ON COLUMN assessment_results.notes IS 'Personal data; may be empty.';
COMMENT ON COLUMN assessment_results.recorded_at IS 'When it was recorded.';
COMMENT ON COLUMN assessment_results.recorded_by IS 'The practitioner who assessed.';
COMMENT ON COLUMN assessment_results.recorded_revision IS 'The change that recorded it.';
