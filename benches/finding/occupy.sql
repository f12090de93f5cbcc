-- Booked visits as if each had been booked by itself: a change, an appointment and what it takes up.
-- $1 practice, $2 clinic, $3 treatment, $4 now; visits: $5 ids, $6 patients, $7 starts, $8 ends;
-- what they take up: $9 visits, $10 resources, $11 needs, $12 starts, $13 ends.
WITH counted AS (
    UPDATE practices SET revision = revision + cardinality($5::uuid[]) WHERE practice_id = $1
    RETURNING revision - cardinality($5::uuid[]) AS before),
visits AS (
    SELECT before + n AS revision, id, patient, a, b
    FROM counted
    CROSS JOIN unnest($5::uuid[], $6::uuid[], $7::timestamptz[], $8::timestamptz[])
        WITH ORDINALITY AS v (id, patient, a, b, n)),
recorded AS (
    INSERT INTO changes (practice_id, revision, recorded_at, kind, subject_id, patient_id, appointment_ids, actor_role,
                         request_id, request_digest)
    SELECT $1, revision, $4, 'appointment.booked', id, patient, ARRAY[id], 'manager', id, sha256('')
    FROM visits),
booked AS (
    INSERT INTO appointments (practice_id, appointment_id, clinic_id, patient_id, treatment_id, treatment_version, state,
                              visit, booked_at, booked_revision, changed_revision)
    SELECT $1, id, $2, patient, $3, 1, 'booked', tstzrange(a, b), $4, revision, revision FROM visits)
INSERT INTO occupancies (practice_id, live, appointment_id, resource_id, need, during)
SELECT $1, true, id, resource, need, tstzrange(a, b)
FROM unnest($9::uuid[], $10::uuid[], $11::smallint[], $12::timestamptz[], $13::timestamptz[])
     AS o (id, resource, need, a, b)
