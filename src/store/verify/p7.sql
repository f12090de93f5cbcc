-- P7, every change is one numbered entry of its practice's history. Re-derives the numbers by counting, and looks up
-- every revision that any row refers to.
WITH numbered AS (
    SELECT practice_id, revision, lag(revision, 1, 0::bigint) OVER (
            PARTITION BY practice_id ORDER BY revision
        ) AS previous
    FROM changes
),
-- Said for the entry after the gap, and for the second of two with the same number.
gaps AS (
    SELECT practice_id, revision FROM numbered WHERE revision <> previous + 1
),
ends AS (
    SELECT practice_id, max(revision) AS revision FROM changes GROUP BY practice_id
),
-- A history without a practice is adrift too.
adrift AS (
    SELECT COALESCE(p.practice_id, e.practice_id) AS practice_id
    FROM practices AS p
    FULL JOIN ends AS e ON e.practice_id = p.practice_id
    WHERE p.practice_id IS NULL OR p.revision <> COALESCE(e.revision, 0)
),
said AS (
    -- The deployment is there before its first change: its settings were made by no change.
    SELECT practice_id, changed_revision AS revision, practice_id AS id, 'practice' AS noun FROM practices
    WHERE practice_id <> '00000000-0000-0000-0000-000000000000'
    UNION ALL
    SELECT practice_id, changed_revision, clinic_id, 'clinic' FROM clinics
    UNION ALL
    SELECT practice_id, changed_revision, resource_id, 'resource' FROM resources
    UNION ALL
    SELECT practice_id, published_revision, treatment_id, 'treatment' FROM treatments
    UNION ALL
    SELECT practice_id, published_revision, protocol_id, 'protocol' FROM protocols
    UNION ALL
    SELECT practice_id, changed_revision, patient_id, 'patient' FROM patients
    UNION ALL
    SELECT practice_id, booked_revision, series_id, 'series' FROM series
    UNION ALL
    SELECT practice_id, added_revision, waiting_id, 'waiting' FROM waiting_list
    UNION ALL
    SELECT practice_id, changed_revision, waiting_id, 'waiting' FROM waiting_list
    UNION ALL
    SELECT practice_id, held_revision, series_id, 'series hold' FROM series WHERE held_revision IS NOT NULL
    UNION ALL
    SELECT practice_id, changed_revision, series_id, 'series' FROM series
    UNION ALL
    SELECT practice_id, booked_revision, appointment_id, 'appointment' FROM appointments
    UNION ALL
    SELECT practice_id, changed_revision, appointment_id, 'appointment' FROM appointments
    UNION ALL
    SELECT practice_id, recorded_revision, series_id, 'assessment' FROM assessment_results
    UNION ALL
    SELECT practice_id, arrived_revision, appointment_id, 'arrival' FROM appointments WHERE arrived_revision IS NOT NULL
    UNION ALL
    SELECT practice_id, confirmed_revision, appointment_id, 'confirmation' FROM appointments
    WHERE confirmed_revision IS NOT NULL
    UNION ALL
    SELECT practice_id, started_revision, appointment_id, 'start' FROM appointments WHERE started_revision IS NOT NULL
    UNION ALL
    SELECT practice_id, held_revision, appointment_id, 'hold' FROM appointments WHERE held_revision IS NOT NULL
    UNION ALL
    SELECT practice_id, no_show_revision, appointment_id, 'no-show' FROM appointments WHERE no_show_revision IS NOT NULL
    UNION ALL
    SELECT practice_id, taken_revision, message_id, 'message' FROM messages
    UNION ALL
    SELECT practice_id, recorded_revision, screening_id, 'screening' FROM screenings
    UNION ALL
    SELECT practice_id, decided_revision, clearance_id, 'clearance' FROM clearances
    UNION ALL
    SELECT practice_id, revoked_revision, clearance_id, 'revocation' FROM clearances WHERE revoked_revision IS NOT NULL
    UNION ALL
    SELECT practice_id, granted_revision, override_id, 'override' FROM overrides
    UNION ALL
    SELECT practice_id, revoked_revision, override_id, 'revocation' FROM overrides WHERE revoked_revision IS NOT NULL
    UNION ALL
    SELECT practice_id, recorded_revision, appointment_id, 'visit record' FROM visit_records
    UNION ALL
    SELECT practice_id, reported_revision, reaction_id, 'reaction' FROM reactions
    UNION ALL
    SELECT practice_id, cleared_revision, reaction_id, 'clearing' FROM reactions WHERE cleared_revision IS NOT NULL
),
unrecorded AS (
    SELECT said.practice_id, said.noun, said.id, said.revision
    FROM said
    LEFT JOIN changes AS c ON c.practice_id = said.practice_id AND c.revision = said.revision
    WHERE c.revision IS NULL
)
SELECT 'a history is numbered 1, 2, 3 without gap or duplicate' AS "what!",
    (SELECT count(*) FROM numbered) AS "rows_checked!",
    (SELECT count(*) FROM gaps) AS "violations!",
    ARRAY(
        SELECT format('practice %s revision %s', practice_id, revision) FROM gaps ORDER BY 1 LIMIT $1
    ) AS "examples!"
UNION ALL
SELECT 'a practice is at the last revision of its history',
    (SELECT count(*) FROM practices),
    (SELECT count(*) FROM adrift),
    ARRAY(SELECT format('practice %s', practice_id) FROM adrift ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'each revision that a row refers to is in the history',
    (SELECT count(*) FROM said),
    (SELECT count(*) FROM unrecorded),
    ARRAY(
        SELECT format('practice %s %s %s revision %s', practice_id, noun, id, revision)
        FROM unrecorded ORDER BY 1 LIMIT $1
    )
