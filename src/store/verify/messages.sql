-- Of P7, what patients were told: each message was taken once, by the change that says so, in its time, and corrects only
-- what was told before. Re-derives the times from the visits.
WITH RECURSIVE taken AS (
    SELECT m.practice_id, m.message_id, m.appointment_id, m.kind, m.assessment_number, m.told_appointment_id, m.due_at,
        m.taken_at, m.taken_revision, a.state, a.booked_at, a.booked_revision, a.cancelled_at, a.changed_revision,
        a.no_show_revision, a.arrived_revision, a.fulfilled_at, a.performed_start, a.body_area, a.series_id, a.replaces,
        lower(a.visit) AS start, c.time_zone
    FROM messages AS m
    LEFT JOIN appointments AS a ON a.practice_id = m.practice_id AND a.appointment_id = m.appointment_id
    LEFT JOIN clinics AS c ON c.practice_id = a.practice_id AND c.clinic_id = a.clinic_id
),
named AS (
    SELECT practice_id, revision, recorded_at, unnest(appointment_ids) AS appointment_id
    FROM changes
    WHERE kind = 'message.taken'
),
-- A message without its change, and a change without its messages.
unsaid AS (
    SELECT COALESCE(t.practice_id, n.practice_id) AS practice_id,
        COALESCE(t.appointment_id, n.appointment_id) AS appointment_id
    FROM taken AS t
    FULL JOIN named AS n ON n.practice_id = t.practice_id AND n.revision = t.taken_revision
        AND n.appointment_id = t.appointment_id
    WHERE t.message_id IS NULL OR n.revision IS NULL OR n.recorded_at <> t.taken_at
),
-- That it was booked and that it was moved are one piece of news.
repeated AS (
    SELECT practice_id, appointment_id
    FROM taken
    GROUP BY practice_id, appointment_id, CASE kind WHEN 'moved' THEN 'booked' ELSE kind END, assessment_number
    HAVING count(*) > 1
),
timed AS (
    SELECT taken.*,
        CASE kind
            WHEN 'reminder_7_days' THEN
                ((start AT TIME ZONE time_zone) - interval '7 days') AT TIME ZONE time_zone
            WHEN 'reminder_48_hours' THEN start - interval '48 hours'
            WHEN 'reminder_24_hours' THEN start - interval '24 hours'
        END AS reminds_at,
        CASE kind
            WHEN 'reminder_7_days' THEN start - interval '48 hours'
            WHEN 'reminder_48_hours' THEN start - interval '24 hours'
            ELSE start
        END AS passes_at,
        (performed_start AT TIME ZONE time_zone)::date AS performed_on,
        (due_at AT TIME ZONE time_zone)::date AS due_on
    FROM taken
),
untimely AS (
    SELECT practice_id, message_id
    FROM timed
    WHERE due_at > taken_at OR NOT COALESCE(
        CASE
            WHEN kind = 'cancelled' THEN
                state = 'cancelled' AND no_show_revision IS NULL AND due_at = cancelled_at
                AND taken_revision > changed_revision
            WHEN kind = 'aftercare' THEN state = 'fulfilled' AND due_at = fulfilled_at
            WHEN kind = 'check_2_days' THEN
                state = 'fulfilled' AND due_at >= fulfilled_at AND due_on >= performed_on + 2
                AND body_area IS NOT NULL
            WHEN kind = 'assessment_due' THEN
                state = 'fulfilled' AND due_at >= fulfilled_at AND EXISTS (
                    SELECT FROM series AS s
                    JOIN protocol_assessments AS p ON p.practice_id = s.practice_id
                        AND p.protocol_id = s.protocol_id AND p.version = s.protocol_version
                    WHERE s.practice_id = timed.practice_id AND s.series_id = timed.series_id
                        AND p.position + 1 = timed.assessment_number
                        AND timed.due_on >= timed.performed_on + p.minimum_days
                )
            -- What is told ahead of a visit, of one that lay ahead.
            ELSE
                taken_at < passes_at AND taken_revision > booked_revision
                AND COALESCE(arrived_revision > taken_revision, true)
                AND (state <> 'cancelled' OR changed_revision > taken_revision)
                AND CASE
                    WHEN kind IN ('booked', 'moved') THEN due_at = booked_at
                    WHEN kind = 'pre_care' THEN due_at >= booked_at
                    -- Where the clock skips that time of day, at the skip.
                    WHEN kind = 'reminder_7_days' THEN
                        due_at > booked_at
                        AND due_at BETWEEN reminds_at - interval '1 hour' AND reminds_at + interval '1 hour'
                    ELSE due_at > booked_at AND due_at = reminds_at
                END
        END, false)
),
corrections AS (
    SELECT practice_id, message_id, kind, appointment_id, told_appointment_id, taken_revision
    FROM taken
    WHERE kind IN ('moved', 'cancelled') OR told_appointment_id IS NOT NULL
),
-- The appointments that each correction is about: the visit, and what it was moved from.
courses AS (
    SELECT practice_id, message_id, appointment_id, 0 AS moves FROM corrections
    UNION ALL
    SELECT c.practice_id, c.message_id, a.replaces, c.moves + 1
    FROM courses AS c
    JOIN appointments AS a ON a.practice_id = c.practice_id AND a.appointment_id = c.appointment_id
    WHERE a.replaces IS NOT NULL
),
told AS (
    SELECT DISTINCT ON (c.practice_id, c.message_id) c.practice_id, c.message_id, e.appointment_id
    FROM corrections AS c
    JOIN courses AS o ON o.practice_id = c.practice_id AND o.message_id = c.message_id
        AND (o.moves > 0 OR c.kind = 'cancelled')
    JOIN messages AS e ON e.practice_id = o.practice_id AND e.appointment_id = o.appointment_id
        AND e.taken_revision < c.taken_revision
    ORDER BY c.practice_id, c.message_id, o.moves
),
baseless AS (
    SELECT c.practice_id, c.message_id
    FROM corrections AS c
    LEFT JOIN told AS t ON t.practice_id = c.practice_id AND t.message_id = c.message_id
    WHERE t.appointment_id IS DISTINCT FROM c.told_appointment_id OR c.kind NOT IN ('moved', 'cancelled')
)
SELECT 'messages are taken by the changes that name their visits' AS "what!",
    (SELECT count(*) FROM taken) + (SELECT count(*) FROM named) AS "rows_checked!",
    (SELECT count(*) FROM unsaid) AS "violations!",
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM unsaid ORDER BY 1 LIMIT $1
    ) AS "examples!"
UNION ALL
SELECT 'no message is taken twice',
    (SELECT count(*) FROM taken),
    (SELECT count(*) FROM repeated),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM repeated ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'messages are taken in their time',
    (SELECT count(*) FROM taken),
    (SELECT count(*) FROM untimely),
    ARRAY(SELECT format('practice %s message %s', practice_id, message_id) FROM untimely ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'moves and cancellations correct what was told last',
    (SELECT count(*) FROM corrections),
    (SELECT count(*) FROM baseless),
    ARRAY(SELECT format('practice %s message %s', practice_id, message_id) FROM baseless ORDER BY 1 LIMIT $1)
