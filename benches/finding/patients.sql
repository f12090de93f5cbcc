-- $1 practice, $2 ids, $3 now.
INSERT INTO patients (practice_id, patient_id, given_name, family_name, birth_date, phone, email, notes,
                      family_name_folded, given_name_folded, changed_revision, created_at)
SELECT $1, id, 'Bench', 'Bench', '1990-01-01', '', '', '', 'bench', 'bench', 1, $3 FROM unnest($2::uuid[]) AS id
