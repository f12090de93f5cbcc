-- The spine: practices and their history, clinics, resources, the catalogue, patients, series and appointments.
--
-- Rules of the house, held by a test:
--   * practice_id leads every primary key, unique, exclusion and foreign key, so that the tables can be distributed by it;
--   * every constraint is named for what it guarantees, and the server knows each name;
--   * every table and column says what it holds; every foreign key has an index;
--   * no triggers and no sequences: ids and revisions are made by the server.
--
-- Ranges are half-open. Instants are timestamptz; what a person would say ("Tuesdays 9 to 17") is kept as minutes of
-- the wall clock and read in the clinic's time zone.

CREATE EXTENSION IF NOT EXISTS btree_gist;

-- ---------------------------------------------------------------------------------------------------------------------
-- Practices and their history
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE practices (
    practice_id uuid NOT NULL,
    name text NOT NULL,
    booking_horizon_days integer NOT NULL,
    revision bigint NOT NULL,
    changed_revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT practice_is_identified PRIMARY KEY (practice_id),
    CONSTRAINT practice_name_is_short_text CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT booking_horizon_is_bounded CHECK (booking_horizon_days BETWEEN 1 AND 800),
    CONSTRAINT practice_revision_counts_up CHECK (revision >= changed_revision AND changed_revision >= 0)
);
COMMENT ON TABLE practices IS 'A tenant: one legal entity with one patient list. Its row is the lock that orders its writers. The nil id is the deployment itself, whose history holds what operators did outside any practice.';
COMMENT ON COLUMN practices.practice_id IS 'UUIDv7; the nil UUID is the deployment.';
COMMENT ON COLUMN practices.name IS 'What the practice calls itself.';
COMMENT ON COLUMN practices.booking_horizon_days IS 'How many days ahead of now a visit may be booked.';
COMMENT ON COLUMN practices.revision IS 'Number of the latest change in the practice''s history; raised by one as the first statement of every write.';
COMMENT ON COLUMN practices.changed_revision IS 'Revision that last changed the practice''s own settings: its etag.';
COMMENT ON COLUMN practices.created_at IS 'When the practice was created, by the server''s clock.';

-- The deployment's own row. Revision 0: its history is empty until an operator acts.
INSERT INTO practices (practice_id, name, booking_horizon_days, revision, changed_revision, created_at)
VALUES ('00000000-0000-0000-0000-000000000000', 'deployment', 1, 0, 0, now());

CREATE TABLE changes (
    practice_id uuid NOT NULL,
    revision bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    patient_id uuid,
    appointment_ids uuid[] NOT NULL,
    actor_token_id uuid,
    actor_role text NOT NULL,
    request_id uuid NOT NULL,
    request_digest bytea NOT NULL,
    CONSTRAINT change_has_its_own_revision PRIMARY KEY (practice_id, revision),
    CONSTRAINT request_is_recorded_once UNIQUE (practice_id, request_id),
    CONSTRAINT change_belongs_to_practice FOREIGN KEY (practice_id) REFERENCES practices (practice_id),
    CONSTRAINT change_is_numbered_from_one CHECK (revision >= 1),
    CONSTRAINT change_kind_is_noun_and_verb CHECK (kind ~ '^[a-z_]+[.][a-z_]+$'),
    CONSTRAINT change_actor_role_is_known CHECK (actor_role IN ('operator', 'manager', 'practitioner', 'front_desk', 'read_only')),
    CONSTRAINT request_digest_is_sha256 CHECK (octet_length(request_digest) = 32)
);
COMMENT ON TABLE changes IS 'The history of a practice: every committed write is one row, numbered without a gap, in commit order. It is also the record of which request ids were carried out.';
COMMENT ON COLUMN changes.practice_id IS 'The practice that changed.';
COMMENT ON COLUMN changes.revision IS 'Place in the practice''s history: 1, 2, 3, ...';
COMMENT ON COLUMN changes.recorded_at IS 'When it was recorded, by the server''s clock.';
COMMENT ON COLUMN changes.kind IS 'What happened, as noun.verb, for example series.booked.';
COMMENT ON COLUMN changes.subject_id IS 'Id of the thing that changed: the noun of kind.';
COMMENT ON COLUMN changes.patient_id IS 'The patient concerned, where there is one.';
COMMENT ON COLUMN changes.appointment_ids IS 'Appointments that were written by this change.';
COMMENT ON COLUMN changes.actor_token_id IS 'The access token that asked; null for the command line of the server''s own machine.';
COMMENT ON COLUMN changes.actor_role IS 'The role in which it was asked.';
COMMENT ON COLUMN changes.request_id IS 'The caller''s id for the request: a repeat finds this row instead of acting again.';
COMMENT ON COLUMN changes.request_digest IS 'SHA-256 of method and payload, to tell a repeat from another request under the same id.';

CREATE TABLE access_tokens (
    practice_id uuid NOT NULL,
    token_id uuid NOT NULL,
    label text NOT NULL,
    role text NOT NULL,
    resource_id uuid,
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT access_token_is_identified PRIMARY KEY (practice_id, token_id),
    CONSTRAINT access_token_belongs_to_practice FOREIGN KEY (practice_id) REFERENCES practices (practice_id),
    CONSTRAINT access_token_label_is_short_text CHECK (length(label) BETWEEN 1 AND 200),
    CONSTRAINT access_token_role_fits_practice CHECK (
        CASE WHEN practice_id = '00000000-0000-0000-0000-000000000000' THEN role = 'operator'
             ELSE role IN ('manager', 'practitioner', 'front_desk', 'read_only') END),
    CONSTRAINT practitioner_token_names_its_practitioner CHECK ((role = 'practitioner') = (resource_id IS NOT NULL)),
    CONSTRAINT access_token_secret_is_sha256 CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT access_token_is_revoked_after_creation CHECK (revoked_at >= created_at)
);
COMMENT ON TABLE access_tokens IS 'Bearer tokens. Operators'' tokens belong to the deployment (nil practice), all others to one practice.';
COMMENT ON COLUMN access_tokens.practice_id IS 'The practice that the token opens.';
COMMENT ON COLUMN access_tokens.token_id IS 'UUIDv7; part of the token text, so that the row is found without searching.';
COMMENT ON COLUMN access_tokens.label IS 'Who or what uses it, for example "front desk tablet 2".';
COMMENT ON COLUMN access_tokens.role IS 'What its bearer may do: operator, manager, practitioner, front_desk or read_only.';
COMMENT ON COLUMN access_tokens.resource_id IS 'The practitioner whose token it is; set for the role practitioner only.';
COMMENT ON COLUMN access_tokens.secret_hash IS 'SHA-256 of the secret half of the token; the secret itself is never stored.';
COMMENT ON COLUMN access_tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN access_tokens.revoked_at IS 'Since when it opens nothing; null while it does.';

-- ---------------------------------------------------------------------------------------------------------------------
-- Clinics and resources
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE clinics (
    practice_id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    name text NOT NULL,
    time_zone text NOT NULL,
    changed_revision bigint NOT NULL,
    CONSTRAINT clinic_is_identified PRIMARY KEY (practice_id, clinic_id),
    CONSTRAINT clinic_belongs_to_practice FOREIGN KEY (practice_id) REFERENCES practices (practice_id),
    CONSTRAINT clinic_name_is_short_text CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT clinic_time_zone_is_named CHECK (length(time_zone) BETWEEN 1 AND 64)
);
COMMENT ON TABLE clinics IS 'A site of a practice.';
COMMENT ON COLUMN clinics.practice_id IS 'The practice whose site it is.';
COMMENT ON COLUMN clinics.clinic_id IS 'UUIDv7.';
COMMENT ON COLUMN clinics.name IS 'What the site is called.';
COMMENT ON COLUMN clinics.time_zone IS 'IANA name, for example Europe/Berlin; hours and calendar days of the clinic are read in it.';
COMMENT ON COLUMN clinics.changed_revision IS 'Revision that last changed it: its etag.';

CREATE TABLE opening_hours (
    practice_id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    weekday smallint NOT NULL,
    minutes int4range NOT NULL,
    CONSTRAINT opening_hours_are_identified PRIMARY KEY (practice_id, clinic_id, weekday, minutes),
    CONSTRAINT opening_hours_belong_to_clinic FOREIGN KEY (practice_id, clinic_id) REFERENCES clinics (practice_id, clinic_id),
    CONSTRAINT opening_hours_name_a_weekday CHECK (weekday BETWEEN 1 AND 7),
    CONSTRAINT opening_hours_lie_in_one_day CHECK (NOT isempty(minutes) AND minutes <@ int4range(0, 1440)),
    CONSTRAINT opening_hours_do_not_overlap EXCLUDE USING gist (practice_id WITH =, clinic_id WITH =, weekday WITH =, minutes WITH &&)
);
COMMENT ON TABLE opening_hours IS 'When a clinic is open, week by week; several stretches a day are allowed.';
COMMENT ON COLUMN opening_hours.practice_id IS 'The practice.';
COMMENT ON COLUMN opening_hours.clinic_id IS 'The clinic that is open.';
COMMENT ON COLUMN opening_hours.weekday IS 'ISO weekday: 1 Monday to 7 Sunday.';
COMMENT ON COLUMN opening_hours.minutes IS 'Minutes after midnight on the clinic''s wall clock, half-open.';

CREATE TABLE closures (
    practice_id uuid NOT NULL,
    closure_id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    during tstzrange NOT NULL,
    reason text NOT NULL,
    CONSTRAINT closure_is_identified PRIMARY KEY (practice_id, closure_id),
    CONSTRAINT closure_belongs_to_clinic FOREIGN KEY (practice_id, clinic_id) REFERENCES clinics (practice_id, clinic_id),
    CONSTRAINT closure_has_start_and_end CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during) AND isfinite(lower(during)) AND isfinite(upper(during))),
    CONSTRAINT closure_reason_is_short_text CHECK (length(reason) <= 200)
);
CREATE INDEX closures_by_clinic ON closures USING gist (practice_id, clinic_id, during);
COMMENT ON TABLE closures IS 'Stretches of time in which a clinic takes no visits, whatever its opening hours say.';
COMMENT ON COLUMN closures.practice_id IS 'The practice.';
COMMENT ON COLUMN closures.closure_id IS 'UUIDv7.';
COMMENT ON COLUMN closures.clinic_id IS 'The clinic that is closed.';
COMMENT ON COLUMN closures.during IS 'From when until when, half-open.';
COMMENT ON COLUMN closures.reason IS 'Why, for the staff.';

CREATE TABLE resources (
    practice_id uuid NOT NULL,
    resource_id uuid NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    clinic_id uuid,
    active boolean NOT NULL,
    qualifications text[] NOT NULL,
    changed_revision bigint NOT NULL,
    CONSTRAINT resource_is_identified PRIMARY KEY (practice_id, resource_id),
    CONSTRAINT resource_belongs_to_practice FOREIGN KEY (practice_id) REFERENCES practices (practice_id),
    CONSTRAINT resource_stands_in_clinic FOREIGN KEY (practice_id, clinic_id) REFERENCES clinics (practice_id, clinic_id),
    CONSTRAINT resource_kind_is_known CHECK (kind IN ('practitioner', 'assistant', 'room', 'device')),
    CONSTRAINT resource_name_is_short_text CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT only_rooms_and_devices_stand_in_a_clinic CHECK ((kind IN ('room', 'device')) = (clinic_id IS NOT NULL)),
    CONSTRAINT resource_qualifications_are_few CHECK (cardinality(qualifications) <= 50)
);
CREATE INDEX resources_by_clinic ON resources (practice_id, clinic_id);
COMMENT ON TABLE resources IS 'What an appointment occupies: a practitioner, an assistant, a room or a device.';
COMMENT ON COLUMN resources.practice_id IS 'The practice.';
COMMENT ON COLUMN resources.resource_id IS 'UUIDv7.';
COMMENT ON COLUMN resources.kind IS 'practitioner, assistant, room or device.';
COMMENT ON COLUMN resources.name IS 'What the staff call it; a person''s name is personal data.';
COMMENT ON COLUMN resources.clinic_id IS 'Where a room or device stands; null for people, who work where their working hours say.';
COMMENT ON COLUMN resources.active IS 'Whether new visits may use it.';
COMMENT ON COLUMN resources.qualifications IS 'What it may be used for: the codes that phases of treatments ask for.';
COMMENT ON COLUMN resources.changed_revision IS 'Revision that last changed it: its etag.';

ALTER TABLE access_tokens ADD CONSTRAINT access_token_names_a_resource
    FOREIGN KEY (practice_id, resource_id) REFERENCES resources (practice_id, resource_id);
CREATE INDEX access_tokens_by_resource ON access_tokens (practice_id, resource_id);

CREATE TABLE working_hours (
    practice_id uuid NOT NULL,
    resource_id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    weekday smallint NOT NULL,
    minutes int4range NOT NULL,
    CONSTRAINT working_hours_are_identified PRIMARY KEY (practice_id, resource_id, clinic_id, weekday, minutes),
    CONSTRAINT working_hours_belong_to_resource FOREIGN KEY (practice_id, resource_id) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT working_hours_are_at_a_clinic FOREIGN KEY (practice_id, clinic_id) REFERENCES clinics (practice_id, clinic_id),
    CONSTRAINT working_hours_name_a_weekday CHECK (weekday BETWEEN 1 AND 7),
    CONSTRAINT working_hours_lie_in_one_day CHECK (NOT isempty(minutes) AND minutes <@ int4range(0, 1440)),
    CONSTRAINT working_hours_do_not_overlap EXCLUDE USING gist (practice_id WITH =, resource_id WITH =, clinic_id WITH =, weekday WITH =, minutes WITH &&)
);
CREATE INDEX working_hours_by_clinic ON working_hours (practice_id, clinic_id);
COMMENT ON TABLE working_hours IS 'When a practitioner or assistant works at which clinic, week by week. Rooms and devices follow their clinic''s opening hours.';
COMMENT ON COLUMN working_hours.practice_id IS 'The practice.';
COMMENT ON COLUMN working_hours.resource_id IS 'Who works.';
COMMENT ON COLUMN working_hours.clinic_id IS 'Where.';
COMMENT ON COLUMN working_hours.weekday IS 'ISO weekday: 1 Monday to 7 Sunday.';
COMMENT ON COLUMN working_hours.minutes IS 'Minutes after midnight on the clinic''s wall clock, half-open.';

CREATE TABLE time_off (
    practice_id uuid NOT NULL,
    time_off_id uuid NOT NULL,
    resource_id uuid NOT NULL,
    during tstzrange NOT NULL,
    reason text NOT NULL,
    CONSTRAINT time_off_is_identified PRIMARY KEY (practice_id, time_off_id),
    CONSTRAINT time_off_belongs_to_resource FOREIGN KEY (practice_id, resource_id) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT time_off_has_start_and_end CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during) AND isfinite(lower(during)) AND isfinite(upper(during))),
    CONSTRAINT time_off_reason_is_short_text CHECK (length(reason) <= 200)
);
CREATE INDEX time_off_by_resource ON time_off USING gist (practice_id, resource_id, during);
COMMENT ON TABLE time_off IS 'Stretches in which a resource is not there: leave, illness, repair.';
COMMENT ON COLUMN time_off.practice_id IS 'The practice.';
COMMENT ON COLUMN time_off.time_off_id IS 'UUIDv7.';
COMMENT ON COLUMN time_off.resource_id IS 'The resource that is away.';
COMMENT ON COLUMN time_off.during IS 'From when until when, half-open.';
COMMENT ON COLUMN time_off.reason IS 'Why; may be personal data.';

-- ---------------------------------------------------------------------------------------------------------------------
-- The catalogue: immutable versions; an appointment or series keeps the version that it was booked under
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE treatments (
    practice_id uuid NOT NULL,
    treatment_id uuid NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    spacing_days integer,
    published_revision bigint NOT NULL,
    published_at timestamptz NOT NULL,
    CONSTRAINT treatment_version_is_identified PRIMARY KEY (practice_id, treatment_id, version),
    CONSTRAINT treatment_belongs_to_practice FOREIGN KEY (practice_id) REFERENCES practices (practice_id),
    CONSTRAINT treatment_versions_count_up CHECK (version >= 1),
    CONSTRAINT treatment_name_is_short_text CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT treatment_spacing_is_bounded CHECK (spacing_days BETWEEN 1 AND 365)
);
COMMENT ON TABLE treatments IS 'What can be booked. A version is never edited: a change is published as the next version.';
COMMENT ON COLUMN treatments.practice_id IS 'The practice.';
COMMENT ON COLUMN treatments.treatment_id IS 'UUIDv7, the same for all versions.';
COMMENT ON COLUMN treatments.version IS '1, 2, 3, ...; new visits use the highest.';
COMMENT ON COLUMN treatments.name IS 'What the staff call it.';
COMMENT ON COLUMN treatments.spacing_days IS 'For a treatment that needles: calendar days before the same area may be needled again when it is booked outside a series; null for one that does not needle.';
COMMENT ON COLUMN treatments.published_revision IS 'Revision that published this version: its etag.';
COMMENT ON COLUMN treatments.published_at IS 'When this version was published.';

CREATE TABLE treatment_phases (
    practice_id uuid NOT NULL,
    treatment_id uuid NOT NULL,
    version integer NOT NULL,
    position smallint NOT NULL,
    name text NOT NULL,
    minutes integer NOT NULL,
    patient_present boolean NOT NULL,
    exposing boolean NOT NULL,
    CONSTRAINT treatment_phase_is_identified PRIMARY KEY (practice_id, treatment_id, version, position),
    CONSTRAINT treatment_phase_belongs_to_treatment FOREIGN KEY (practice_id, treatment_id, version) REFERENCES treatments (practice_id, treatment_id, version),
    CONSTRAINT treatment_phase_position_is_bounded CHECK (position BETWEEN 0 AND 11),
    CONSTRAINT treatment_phase_name_is_short_text CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT treatment_phase_fills_the_grid CHECK (minutes BETWEEN 5 AND 480 AND minutes % 5 = 0),
    CONSTRAINT patient_is_present_while_treated CHECK (patient_present OR NOT exposing)
);
COMMENT ON TABLE treatment_phases IS 'The stretches of a visit, one after the other, each with its own needs.';
COMMENT ON COLUMN treatment_phases.practice_id IS 'The practice.';
COMMENT ON COLUMN treatment_phases.treatment_id IS 'The treatment.';
COMMENT ON COLUMN treatment_phases.version IS 'The treatment''s version.';
COMMENT ON COLUMN treatment_phases.position IS 'Order within the visit, from 0.';
COMMENT ON COLUMN treatment_phases.name IS 'For example numbing, needling, turnover.';
COMMENT ON COLUMN treatment_phases.minutes IS 'Length in minutes, a multiple of 5.';
COMMENT ON COLUMN treatment_phases.patient_present IS 'Whether the patient is there; not during turnover.';
COMMENT ON COLUMN treatment_phases.exposing IS 'Whether this is the treatment proper (needling, the sauna itself): aftercare counts from its end, exposure lasts while it does.';

CREATE TABLE treatment_needs (
    practice_id uuid NOT NULL,
    treatment_id uuid NOT NULL,
    version integer NOT NULL,
    position smallint NOT NULL,
    kind text NOT NULL,
    qualification text NOT NULL,
    CONSTRAINT treatment_need_is_identified PRIMARY KEY (practice_id, treatment_id, version, position, kind, qualification),
    CONSTRAINT treatment_need_belongs_to_phase FOREIGN KEY (practice_id, treatment_id, version, position) REFERENCES treatment_phases (practice_id, treatment_id, version, position),
    CONSTRAINT treatment_need_kind_is_known CHECK (kind IN ('practitioner', 'assistant', 'room', 'device')),
    CONSTRAINT treatment_need_qualification_is_a_code CHECK (qualification ~ '^[a-z][a-z0-9_]{0,62}$')
);
COMMENT ON TABLE treatment_needs IS 'What a phase occupies. The same kind and qualification in several phases of a visit is one and the same resource.';
COMMENT ON COLUMN treatment_needs.practice_id IS 'The practice.';
COMMENT ON COLUMN treatment_needs.treatment_id IS 'The treatment.';
COMMENT ON COLUMN treatment_needs.version IS 'The treatment''s version.';
COMMENT ON COLUMN treatment_needs.position IS 'The phase that needs it.';
COMMENT ON COLUMN treatment_needs.kind IS 'practitioner, assistant, room or device.';
COMMENT ON COLUMN treatment_needs.qualification IS 'The qualification that the resource must hold.';

CREATE TABLE treatment_exposures (
    practice_id uuid NOT NULL,
    treatment_id uuid NOT NULL,
    version integer NOT NULL,
    activity text NOT NULL,
    CONSTRAINT treatment_exposure_is_identified PRIMARY KEY (practice_id, treatment_id, version, activity),
    CONSTRAINT treatment_exposure_belongs_to_treatment FOREIGN KEY (practice_id, treatment_id, version) REFERENCES treatments (practice_id, treatment_id, version),
    CONSTRAINT treatment_exposure_activity_is_known CHECK (activity IN ('sun_exposure', 'heat', 'swimming', 'exercise', 'make_up', 'retinoids_and_acids', 'alcohol', 'depilation', 'chemical_peel', 'laser_and_light', 'botulinum_toxin', 'filler', 'vaccination'))
);
COMMENT ON TABLE treatment_exposures IS 'What a treatment exposes the patient to: a sauna to heat, a peel to a chemical peel.';
COMMENT ON COLUMN treatment_exposures.practice_id IS 'The practice.';
COMMENT ON COLUMN treatment_exposures.treatment_id IS 'The treatment.';
COMMENT ON COLUMN treatment_exposures.version IS 'The treatment''s version.';
COMMENT ON COLUMN treatment_exposures.activity IS 'The activity, as aftercare windows name it.';

CREATE TABLE treatment_restrictions (
    practice_id uuid NOT NULL,
    treatment_id uuid NOT NULL,
    version integer NOT NULL,
    activity text NOT NULL,
    before_amount integer NOT NULL,
    before_unit text NOT NULL,
    after_amount integer NOT NULL,
    after_unit text NOT NULL,
    instruction text NOT NULL,
    source text NOT NULL,
    grade text NOT NULL,
    rationale text NOT NULL,
    CONSTRAINT treatment_restriction_is_identified PRIMARY KEY (practice_id, treatment_id, version, activity),
    CONSTRAINT treatment_restriction_belongs_to_treatment FOREIGN KEY (practice_id, treatment_id, version) REFERENCES treatments (practice_id, treatment_id, version),
    CONSTRAINT treatment_restriction_activity_is_known CHECK (activity IN ('sun_exposure', 'heat', 'swimming', 'exercise', 'make_up', 'retinoids_and_acids', 'alcohol', 'depilation', 'chemical_peel', 'laser_and_light', 'botulinum_toxin', 'filler', 'vaccination')),
    CONSTRAINT treatment_restriction_units_are_known CHECK (before_unit IN ('hours', 'days') AND after_unit IN ('hours', 'days')),
    CONSTRAINT treatment_restriction_is_bounded CHECK (before_amount BETWEEN 0 AND 1000 AND after_amount BETWEEN 0 AND 1000 AND before_amount + after_amount > 0),
    CONSTRAINT treatment_restriction_grade_is_known CHECK (grade IN ('a', 'b', 'c', 'own')),
    CONSTRAINT treatment_restriction_texts_are_bounded CHECK (length(instruction) <= 2000 AND length(source) <= 2000 AND length(rationale) <= 2000)
);
COMMENT ON TABLE treatment_restrictions IS 'What a treatment forbids before and afterwards: the rules from which aftercare windows are made.';
COMMENT ON COLUMN treatment_restrictions.practice_id IS 'The practice.';
COMMENT ON COLUMN treatment_restrictions.treatment_id IS 'The treatment.';
COMMENT ON COLUMN treatment_restrictions.version IS 'The treatment''s version.';
COMMENT ON COLUMN treatment_restrictions.activity IS 'The activity that is forbidden.';
COMMENT ON COLUMN treatment_restrictions.before_amount IS 'How long before the treatment proper begins, in before_unit; 0 for not at all.';
COMMENT ON COLUMN treatment_restrictions.before_unit IS 'hours are elapsed time, days are calendar days at the clinic.';
COMMENT ON COLUMN treatment_restrictions.after_amount IS 'How long after the treatment proper ends, in after_unit; 0 for not at all.';
COMMENT ON COLUMN treatment_restrictions.after_unit IS 'hours are elapsed time, days are calendar days at the clinic.';
COMMENT ON COLUMN treatment_restrictions.instruction IS 'What to tell the patient.';
COMMENT ON COLUMN treatment_restrictions.source IS 'Where the number comes from.';
COMMENT ON COLUMN treatment_restrictions.grade IS 'How good the source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN treatment_restrictions.rationale IS 'Why the rule is there.';

CREATE TABLE protocols (
    practice_id uuid NOT NULL,
    protocol_id uuid NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    treatment_id uuid NOT NULL,
    treatment_version integer NOT NULL,
    sessions_minimum integer NOT NULL,
    sessions_default integer NOT NULL,
    sessions_maximum integer NOT NULL,
    gap_floor_days integer NOT NULL,
    gap_minimum_days integer NOT NULL,
    gap_target_days integer NOT NULL,
    gap_maximum_days integer NOT NULL,
    source text NOT NULL,
    grade text NOT NULL,
    rationale text NOT NULL,
    published_revision bigint NOT NULL,
    published_at timestamptz NOT NULL,
    CONSTRAINT protocol_version_is_identified PRIMARY KEY (practice_id, protocol_id, version),
    CONSTRAINT protocol_uses_a_treatment FOREIGN KEY (practice_id, treatment_id, treatment_version) REFERENCES treatments (practice_id, treatment_id, version),
    CONSTRAINT protocol_versions_count_up CHECK (version >= 1),
    CONSTRAINT protocol_name_is_short_text CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT protocol_session_counts_are_ordered CHECK (1 <= sessions_minimum AND sessions_minimum <= sessions_default AND sessions_default <= sessions_maximum AND sessions_maximum <= 12),
    CONSTRAINT protocol_gaps_are_ordered CHECK (1 <= gap_floor_days AND gap_floor_days <= gap_minimum_days AND gap_minimum_days <= gap_target_days AND gap_target_days <= gap_maximum_days AND gap_maximum_days <= 730),
    CONSTRAINT protocol_grade_is_known CHECK (grade IN ('a', 'b', 'c', 'own')),
    CONSTRAINT protocol_texts_are_bounded CHECK (length(source) <= 2000 AND length(rationale) <= 2000)
);
CREATE INDEX protocols_by_treatment ON protocols (practice_id, treatment_id, treatment_version);
COMMENT ON TABLE protocols IS 'How a treatment becomes a series. A version is never edited: a change is published as the next version.';
COMMENT ON COLUMN protocols.practice_id IS 'The practice.';
COMMENT ON COLUMN protocols.protocol_id IS 'UUIDv7, the same for all versions.';
COMMENT ON COLUMN protocols.version IS '1, 2, 3, ...; new series use the highest.';
COMMENT ON COLUMN protocols.name IS 'What the staff call it.';
COMMENT ON COLUMN protocols.treatment_id IS 'The treatment of each session.';
COMMENT ON COLUMN protocols.treatment_version IS 'The version of that treatment.';
COMMENT ON COLUMN protocols.sessions_minimum IS 'Fewest sessions of a series.';
COMMENT ON COLUMN protocols.sessions_default IS 'Sessions when the caller names no number.';
COMMENT ON COLUMN protocols.sessions_maximum IS 'Most sessions of a series.';
COMMENT ON COLUMN protocols.gap_floor_days IS 'Calendar days below which not even a practitioner may go.';
COMMENT ON COLUMN protocols.gap_minimum_days IS 'Fewest calendar days between a session and the next.';
COMMENT ON COLUMN protocols.gap_target_days IS 'Calendar days aimed at.';
COMMENT ON COLUMN protocols.gap_maximum_days IS 'Most calendar days between a session and the next.';
COMMENT ON COLUMN protocols.source IS 'Where the numbers come from.';
COMMENT ON COLUMN protocols.grade IS 'How good the source is: a trial, review, regulator or maker; b clinic or vendor; c content site; own judgement.';
COMMENT ON COLUMN protocols.rationale IS 'Why these numbers.';
COMMENT ON COLUMN protocols.published_revision IS 'Revision that published this version: its etag.';
COMMENT ON COLUMN protocols.published_at IS 'When this version was published.';

-- ---------------------------------------------------------------------------------------------------------------------
-- Patients, series, appointments
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE patients (
    practice_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    given_name text NOT NULL,
    family_name text NOT NULL,
    birth_date date NOT NULL,
    phone text NOT NULL,
    email text NOT NULL,
    notes text NOT NULL,
    family_name_folded text COLLATE "C" NOT NULL,
    given_name_folded text COLLATE "C" NOT NULL,
    changed_revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT patient_is_identified PRIMARY KEY (practice_id, patient_id),
    CONSTRAINT patient_belongs_to_practice FOREIGN KEY (practice_id) REFERENCES practices (practice_id),
    CONSTRAINT patient_names_are_short_text CHECK (length(given_name) BETWEEN 1 AND 200 AND length(family_name) BETWEEN 1 AND 200),
    CONSTRAINT patient_folded_names_are_bounded CHECK (length(family_name_folded) <= 800 AND length(given_name_folded) <= 800),
    CONSTRAINT patient_contact_is_bounded CHECK (length(phone) <= 50 AND length(email) <= 254 AND length(notes) <= 2000)
);
CREATE INDEX patients_by_name ON patients (practice_id, family_name_folded, given_name_folded, patient_id);
COMMENT ON TABLE patients IS 'The person treated. Everything in it but the ids is personal data.';
COMMENT ON COLUMN patients.practice_id IS 'The practice whose patient it is.';
COMMENT ON COLUMN patients.patient_id IS 'UUIDv7.';
COMMENT ON COLUMN patients.given_name IS 'Personal data.';
COMMENT ON COLUMN patients.family_name IS 'Personal data.';
COMMENT ON COLUMN patients.birth_date IS 'Personal data.';
COMMENT ON COLUMN patients.phone IS 'Personal data; empty if unknown.';
COMMENT ON COLUMN patients.email IS 'Personal data; empty if unknown.';
COMMENT ON COLUMN patients.notes IS 'Personal data; what the front desk should know.';
COMMENT ON COLUMN patients.family_name_folded IS 'Personal data; the family name without differences of letter case in any alphabet, to search and sort by.';
COMMENT ON COLUMN patients.given_name_folded IS 'Personal data; the given name likewise.';
COMMENT ON COLUMN patients.changed_revision IS 'Revision that last changed it: its etag.';
COMMENT ON COLUMN patients.created_at IS 'When the patient was registered.';

CREATE TABLE series (
    practice_id uuid NOT NULL,
    series_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    protocol_id uuid NOT NULL,
    protocol_version integer NOT NULL,
    body_area text NOT NULL,
    session_count integer NOT NULL,
    state text NOT NULL,
    booked_at timestamptz NOT NULL,
    booked_revision bigint NOT NULL,
    cancelled_at timestamptz,
    cancel_reason text,
    changed_revision bigint NOT NULL,
    CONSTRAINT series_is_identified PRIMARY KEY (practice_id, series_id),
    CONSTRAINT series_is_known_to_its_sessions UNIQUE (practice_id, series_id, patient_id, body_area),
    CONSTRAINT series_is_of_a_patient FOREIGN KEY (practice_id, patient_id) REFERENCES patients (practice_id, patient_id),
    CONSTRAINT series_follows_a_protocol FOREIGN KEY (practice_id, protocol_id, protocol_version) REFERENCES protocols (practice_id, protocol_id, version),
    CONSTRAINT series_was_booked_by_a_change FOREIGN KEY (practice_id, booked_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT series_body_area_is_known CHECK (body_area IN ('face', 'neck', 'decollete', 'scalp', 'upper_arms', 'hands', 'breasts', 'abdomen', 'flanks', 'back', 'hips', 'buttocks', 'thighs', 'calves')),
    CONSTRAINT series_session_count_is_bounded CHECK (session_count BETWEEN 1 AND 12),
    CONSTRAINT series_state_is_known CHECK (state IN ('active', 'cancelled')),
    CONSTRAINT cancelled_series_says_when CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL) AND (cancelled_at IS NOT NULL) = (cancel_reason IS NOT NULL)),
    CONSTRAINT series_cancel_reason_is_bounded CHECK (length(cancel_reason) <= 2000)
);
CREATE INDEX series_by_patient ON series (practice_id, patient_id, series_id);
CREATE INDEX series_by_protocol ON series (practice_id, protocol_id, protocol_version);
CREATE INDEX series_by_booking ON series (practice_id, booked_revision);
COMMENT ON TABLE series IS 'One patient''s course of one protocol on one body area.';
COMMENT ON COLUMN series.practice_id IS 'The practice.';
COMMENT ON COLUMN series.series_id IS 'UUIDv7.';
COMMENT ON COLUMN series.patient_id IS 'The patient.';
COMMENT ON COLUMN series.protocol_id IS 'The protocol.';
COMMENT ON COLUMN series.protocol_version IS 'The version it was booked under and runs on under.';
COMMENT ON COLUMN series.body_area IS 'The area that is treated.';
COMMENT ON COLUMN series.session_count IS 'Number of sessions of the series.';
COMMENT ON COLUMN series.state IS 'active or cancelled.';
COMMENT ON COLUMN series.booked_at IS 'When it was booked.';
COMMENT ON COLUMN series.booked_revision IS 'The change that booked it, whole.';
COMMENT ON COLUMN series.cancelled_at IS 'When it was cancelled; null while active.';
COMMENT ON COLUMN series.cancel_reason IS 'Why it was cancelled; may be personal data.';
COMMENT ON COLUMN series.changed_revision IS 'Revision that last changed it: its etag.';

CREATE TABLE appointments (
    practice_id uuid NOT NULL,
    appointment_id uuid NOT NULL,
    clinic_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    treatment_id uuid NOT NULL,
    treatment_version integer NOT NULL,
    series_id uuid,
    session_number integer,
    body_area text,
    state text NOT NULL,
    live boolean NOT NULL GENERATED ALWAYS AS (state <> 'cancelled') STORED,
    visit tstzrange NOT NULL,
    booked_at timestamptz NOT NULL,
    booked_revision bigint NOT NULL,
    cancelled_at timestamptz,
    cancel_reason text,
    changed_revision bigint NOT NULL,
    CONSTRAINT appointment_is_identified PRIMARY KEY (practice_id, appointment_id),
    CONSTRAINT appointment_life_is_known_to_its_occupancies UNIQUE (practice_id, appointment_id, live),
    CONSTRAINT appointment_life_is_known_to_its_windows UNIQUE (practice_id, appointment_id, patient_id, live),
    CONSTRAINT appointment_is_at_a_clinic FOREIGN KEY (practice_id, clinic_id) REFERENCES clinics (practice_id, clinic_id),
    CONSTRAINT appointment_is_of_a_patient FOREIGN KEY (practice_id, patient_id) REFERENCES patients (practice_id, patient_id),
    CONSTRAINT appointment_is_for_a_treatment FOREIGN KEY (practice_id, treatment_id, treatment_version) REFERENCES treatments (practice_id, treatment_id, version),
    CONSTRAINT session_belongs_to_series FOREIGN KEY (practice_id, series_id, patient_id, body_area) REFERENCES series (practice_id, series_id, patient_id, body_area),
    CONSTRAINT appointment_was_booked_by_a_change FOREIGN KEY (practice_id, booked_revision) REFERENCES changes (practice_id, revision),
    CONSTRAINT appointment_state_is_known CHECK (state IN ('booked', 'cancelled')),
    CONSTRAINT appointment_body_area_is_known CHECK (body_area IN ('face', 'neck', 'decollete', 'scalp', 'upper_arms', 'hands', 'breasts', 'abdomen', 'flanks', 'back', 'hips', 'buttocks', 'thighs', 'calves')),
    CONSTRAINT session_has_number_and_area CHECK ((series_id IS NULL) = (session_number IS NULL) AND (series_id IS NULL OR body_area IS NOT NULL)),
    CONSTRAINT session_number_is_bounded CHECK (session_number BETWEEN 1 AND 12),
    CONSTRAINT visit_has_start_and_end CHECK (NOT isempty(visit) AND lower_inc(visit) AND NOT upper_inc(visit) AND isfinite(lower(visit)) AND isfinite(upper(visit))),
    CONSTRAINT cancelled_appointment_says_when CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL) AND (cancelled_at IS NOT NULL) = (cancel_reason IS NOT NULL)),
    CONSTRAINT appointment_cancel_reason_is_bounded CHECK (length(cancel_reason) <= 2000),
    CONSTRAINT patient_is_in_one_place_at_a_time EXCLUDE USING gist (practice_id WITH =, patient_id WITH =, visit WITH &&) WHERE (live)
);
CREATE UNIQUE INDEX session_is_booked_once ON appointments (practice_id, series_id, session_number) WHERE live;
CREATE INDEX appointments_by_series ON appointments (practice_id, series_id, patient_id, body_area);
CREATE INDEX appointments_by_clinic ON appointments (practice_id, clinic_id, lower(visit), appointment_id);
CREATE INDEX appointments_by_patient ON appointments (practice_id, patient_id, lower(visit), appointment_id);
CREATE INDEX appointments_by_treatment ON appointments (practice_id, treatment_id, treatment_version);
CREATE INDEX appointments_by_booking ON appointments (practice_id, booked_revision);
COMMENT ON TABLE appointments IS 'A booked visit of any kind; a session of a series is one with series_id and session_number.';
COMMENT ON COLUMN appointments.practice_id IS 'The practice.';
COMMENT ON COLUMN appointments.appointment_id IS 'UUIDv7.';
COMMENT ON COLUMN appointments.clinic_id IS 'Where.';
COMMENT ON COLUMN appointments.patient_id IS 'Who is treated.';
COMMENT ON COLUMN appointments.treatment_id IS 'The treatment.';
COMMENT ON COLUMN appointments.treatment_version IS 'The version it was booked under: its phases and restrictions.';
COMMENT ON COLUMN appointments.series_id IS 'The series whose session it is; null for any other visit.';
COMMENT ON COLUMN appointments.session_number IS 'Which session of the series, from 1.';
COMMENT ON COLUMN appointments.body_area IS 'The area treated; set for every treatment that needles.';
COMMENT ON COLUMN appointments.state IS 'booked or cancelled.';
COMMENT ON COLUMN appointments.live IS 'Whether it still takes up time. Its occupancies and windows carry the same value, and their foreign keys let no statement change one without the other.';
COMMENT ON COLUMN appointments.visit IS 'When the patient is there, half-open; turnover comes after it.';
COMMENT ON COLUMN appointments.booked_at IS 'When it was booked.';
COMMENT ON COLUMN appointments.booked_revision IS 'The change that booked it.';
COMMENT ON COLUMN appointments.cancelled_at IS 'When it was cancelled; null otherwise.';
COMMENT ON COLUMN appointments.cancel_reason IS 'Why it was cancelled; may be personal data.';
COMMENT ON COLUMN appointments.changed_revision IS 'Revision that last changed it: its etag.';

CREATE TABLE occupancies (
    practice_id uuid NOT NULL,
    appointment_id uuid NOT NULL,
    resource_id uuid NOT NULL,
    during tstzrange NOT NULL,
    need smallint NOT NULL,
    live boolean NOT NULL,
    CONSTRAINT occupancy_is_identified PRIMARY KEY (practice_id, appointment_id, resource_id, during),
    CONSTRAINT occupancy_lives_with_its_appointment FOREIGN KEY (practice_id, appointment_id, live) REFERENCES appointments (practice_id, appointment_id, live),
    CONSTRAINT occupancy_is_of_a_resource FOREIGN KEY (practice_id, resource_id) REFERENCES resources (practice_id, resource_id),
    CONSTRAINT occupancy_has_start_and_end CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during) AND isfinite(lower(during)) AND isfinite(upper(during))),
    CONSTRAINT occupancy_need_is_bounded CHECK (need BETWEEN 0 AND 7),
    CONSTRAINT resource_is_in_one_place_at_a_time EXCLUDE USING gist (practice_id WITH =, resource_id WITH =, during WITH &&) WHERE (live)
);
CREATE INDEX occupancies_by_appointment ON occupancies (practice_id, appointment_id, live);
CREATE INDEX occupancies_by_resource ON occupancies (practice_id, resource_id, lower(during));
COMMENT ON TABLE occupancies IS 'Which resource an appointment takes up, and when: one row for each unbroken stretch.';
COMMENT ON COLUMN occupancies.practice_id IS 'The practice.';
COMMENT ON COLUMN occupancies.appointment_id IS 'The appointment.';
COMMENT ON COLUMN occupancies.resource_id IS 'The resource.';
COMMENT ON COLUMN occupancies.during IS 'From when until when, half-open.';
COMMENT ON COLUMN occupancies.need IS 'Which need of the treatment it serves: place in the list of its distinct needs, in order of first appearance.';
COMMENT ON COLUMN occupancies.live IS 'As the appointment''s.';

CREATE TABLE spacing_windows (
    practice_id uuid NOT NULL,
    appointment_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    scope text NOT NULL,
    days daterange NOT NULL,
    live boolean NOT NULL,
    CONSTRAINT spacing_window_is_identified PRIMARY KEY (practice_id, appointment_id, scope),
    CONSTRAINT spacing_window_lives_with_its_appointment FOREIGN KEY (practice_id, appointment_id, patient_id, live) REFERENCES appointments (practice_id, appointment_id, patient_id, live),
    CONSTRAINT spacing_window_has_start_and_end CHECK (NOT isempty(days) AND lower_inc(days) AND NOT upper_inc(days) AND isfinite(lower(days)) AND isfinite(upper(days))),
    CONSTRAINT spacing_window_scope_is_known CHECK (scope IN ('face', 'neck', 'decollete', 'scalp', 'upper_arms', 'hands', 'breasts', 'abdomen', 'flanks', 'back', 'hips', 'buttocks', 'thighs', 'calves')),
    CONSTRAINT sessions_keep_their_gap EXCLUDE USING gist (practice_id WITH =, patient_id WITH =, scope WITH =, days WITH &&) WHERE (live)
);
CREATE INDEX spacing_windows_by_appointment ON spacing_windows (practice_id, appointment_id, patient_id, live);
COMMENT ON TABLE spacing_windows IS 'The calendar days, from a session''s own day on, in which the same area may not be needled again.';
COMMENT ON COLUMN spacing_windows.practice_id IS 'The practice.';
COMMENT ON COLUMN spacing_windows.appointment_id IS 'The session.';
COMMENT ON COLUMN spacing_windows.patient_id IS 'The patient.';
COMMENT ON COLUMN spacing_windows.scope IS 'What is spaced: the body area.';
COMMENT ON COLUMN spacing_windows.days IS 'From the session''s day at its clinic until the day on which the area may be needled again, half-open.';
COMMENT ON COLUMN spacing_windows.live IS 'As the appointment''s.';

CREATE TABLE activity_windows (
    practice_id uuid NOT NULL,
    appointment_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    activity text NOT NULL,
    role text NOT NULL,
    during tstzrange NOT NULL,
    live boolean NOT NULL,
    CONSTRAINT activity_window_is_identified PRIMARY KEY (practice_id, appointment_id, activity, role),
    CONSTRAINT activity_window_lives_with_its_appointment FOREIGN KEY (practice_id, appointment_id, patient_id, live) REFERENCES appointments (practice_id, appointment_id, patient_id, live),
    CONSTRAINT activity_window_activity_is_known CHECK (activity IN ('sun_exposure', 'heat', 'swimming', 'exercise', 'make_up', 'retinoids_and_acids', 'alcohol', 'depilation', 'chemical_peel', 'laser_and_light', 'botulinum_toxin', 'filler', 'vaccination')),
    CONSTRAINT activity_window_restricts_or_exposes CHECK (role IN ('restricts', 'exposes')),
    CONSTRAINT activity_window_has_start_and_end CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during) AND isfinite(lower(during)) AND isfinite(upper(during))),
    -- Rows of one appointment never collide: a visit may both expose to an activity and forbid more of it.
    CONSTRAINT aftercare_windows_are_kept EXCLUDE USING gist (practice_id WITH =, patient_id WITH =, activity WITH =, role WITH <>, appointment_id WITH <>, during WITH &&) WHERE (live)
);
CREATE INDEX activity_windows_by_appointment ON activity_windows (practice_id, appointment_id, patient_id, live);
COMMENT ON TABLE activity_windows IS 'What an appointment forbids (restricts: the aftercare windows) and what it is itself (exposes); only rows of different roles collide.';
COMMENT ON COLUMN activity_windows.practice_id IS 'The practice.';
COMMENT ON COLUMN activity_windows.appointment_id IS 'The appointment.';
COMMENT ON COLUMN activity_windows.patient_id IS 'The patient.';
COMMENT ON COLUMN activity_windows.activity IS 'The activity.';
COMMENT ON COLUMN activity_windows.role IS 'restricts or exposes.';
COMMENT ON COLUMN activity_windows.during IS 'From when until when, half-open.';
COMMENT ON COLUMN activity_windows.live IS 'As the appointment''s.';
