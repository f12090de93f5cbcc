-- What a decision rests on: one override of a condition at a time, and since when a birth date is the one that counts.

SET LOCAL lock_timeout = '10s';

-- Of several that are in force, the latest takes the place of the others, as it would have since.
UPDATE overrides AS former
SET revoked_at = latest.granted_at, revoked_by = latest.granted_by, revoked_revision = latest.granted_revision,
    revoke_reason = 'superseded'
FROM (
    SELECT DISTINCT ON (practice_id, patient_id, protocol_id, condition) practice_id, patient_id, protocol_id, condition,
        override_id, granted_at, granted_by, granted_revision
    FROM overrides
    WHERE kind = 'condition' AND revoked_revision IS NULL
    ORDER BY practice_id, patient_id, protocol_id, condition, granted_revision DESC
) AS latest
WHERE former.practice_id = latest.practice_id AND former.patient_id = latest.patient_id
    AND former.protocol_id = latest.protocol_id AND former.condition = latest.condition
    AND former.override_id <> latest.override_id AND former.kind = 'condition' AND former.revoked_revision IS NULL;
-- Built at once: no server of this version serves before its migrations are done, and overrides are few.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX condition_has_one_override ON overrides (practice_id, patient_id, protocol_id, condition) WHERE kind = 'condition' AND revoked_revision IS NULL;

ALTER TABLE patients ADD COLUMN birth_date_revision bigint;
-- Which of their changes corrected it was not kept: as if each had.
UPDATE patients SET birth_date_revision = changed_revision;
COMMENT ON COLUMN patients.birth_date_revision IS 'Revision that last corrected the birth date; null if none did since the patient was registered.';
