-- P6, a series is booked whole or not at all, and a repeated request books once. Re-derives what each booking change
-- has to have written from the history, and what each series and appointment has to have been written by.
WITH sessions AS MATERIALIZED (
    SELECT a.practice_id, a.series_id, a.appointment_id, a.session_number, a.patient_id, a.body_area,
        a.state <> 'cancelled' AS booked, lower(a.visit) AS start, least(lower(a.visit), a.arrived_at) AS begun_at,
        a.booked_revision = s.booked_revision AS original, s.patient_id AS series_patient_id,
        s.body_area AS series_body_area, COALESCE(s.cancelled_at, s.completed_at) AS series_ended_at
    FROM appointments AS a
    LEFT JOIN series AS s ON s.practice_id = a.practice_id AND s.series_id = a.series_id
    WHERE a.series_id IS NOT NULL
),
originals AS (
    SELECT practice_id, series_id, array_agg(session_number ORDER BY session_number) AS numbers
    FROM sessions
    WHERE original
    GROUP BY practice_id, series_id
),
-- As many as its booking names, numbered from 1; later it may have been extended or shortened.
partial AS (
    SELECT s.practice_id, s.series_id
    FROM series AS s
    LEFT JOIN originals AS o ON o.practice_id = s.practice_id AND o.series_id = s.series_id
    LEFT JOIN changes AS c ON c.practice_id = s.practice_id AND c.revision = s.booked_revision
    WHERE o.numbers IS DISTINCT FROM ARRAY(SELECT generate_series(1, cardinality(c.appointment_ids)))
),
beyond AS (
    SELECT a.practice_id, a.series_id, a.appointment_id
    FROM sessions AS a
    JOIN series AS s ON s.practice_id = a.practice_id AND s.series_id = a.series_id
    WHERE a.booked AND a.session_number > s.session_count
),
-- Whoever extends a series books the sessions that it gets; but for an assessment that only says how many it may have.
hollow AS (
    SELECT s.practice_id, s.series_id
    FROM series AS s
    LEFT JOIN sessions AS a ON a.practice_id = s.practice_id AND a.series_id = s.series_id
        AND a.session_number = s.session_count
    WHERE NOT EXISTS (
        SELECT FROM assessment_results AS r
        WHERE r.practice_id = s.practice_id AND r.series_id = s.series_id AND r.session_count >= s.session_count
    )
    GROUP BY s.practice_id, s.series_id
    HAVING count(a.appointment_id) = 0
),
-- What was moved is cancelled, and is the same visit: of the same patient, for the same session or treatment.
misplaced AS (
    SELECT a.practice_id, a.appointment_id
    FROM appointments AS a
    LEFT JOIN appointments AS b ON b.practice_id = a.practice_id AND b.appointment_id = a.replaces
    WHERE a.replaces IS NOT NULL
        AND (
            b.appointment_id IS NULL OR b.state <> 'cancelled' OR b.changed_revision <> a.booked_revision
            OR (a.patient_id, a.body_area) IS DISTINCT FROM (b.patient_id, b.body_area)
            OR (a.treatment_id, a.treatment_version) IS DISTINCT FROM (b.treatment_id, b.treatment_version)
            OR (a.add_on_treatment_id, a.add_on_treatment_version, a.combination_override_id)
                IS DISTINCT FROM (b.add_on_treatment_id, b.add_on_treatment_version, b.combination_override_id)
            OR (a.series_id, a.session_number) IS DISTINCT FROM (b.series_id, b.session_number)
            OR (a.follows_series_id, a.assessment_number) IS DISTINCT FROM (b.follows_series_id, b.assessment_number)
        )
),
-- A session of no series at all is foreign too.
foreign_sessions AS (
    SELECT practice_id, appointment_id
    FROM sessions
    WHERE patient_id IS DISTINCT FROM series_patient_id OR body_area IS DISTINCT FROM series_body_area
),
-- As it was booked, and as it stands: a session that was booked again may not overtake its neighbours.
unordered AS (
    SELECT practice_id, series_id, appointment_id
    FROM (
        SELECT *, lag(start) OVER (PARTITION BY practice_id, series_id ORDER BY session_number, start) AS previous
        FROM sessions
        WHERE original
        UNION ALL
        SELECT *, lag(start) OVER (PARTITION BY practice_id, series_id ORDER BY session_number, start)
        FROM sessions
        WHERE booked
    ) AS in_order
    WHERE start < previous
),
repeated AS (
    SELECT practice_id, series_id, session_number
    FROM sessions
    WHERE booked
    GROUP BY practice_id, series_id, session_number
    HAVING count(*) > 1
),
outlasting AS (
    SELECT practice_id, series_id, appointment_id
    FROM sessions
    WHERE booked AND begun_at > series_ended_at
),
followers AS MATERIALIZED (
    SELECT a.practice_id, a.appointment_id, a.follows_series_id, a.assessment_number, a.patient_id, a.body_area,
        a.treatment_id, a.treatment_version, a.state <> 'cancelled' AS booked, lower(a.visit) AS start,
        least(lower(a.visit), a.arrived_at) AS begun_at, s.patient_id AS series_patient_id, s.body_area AS series_body_area, s.state AS series_state, s.completed_at,
        s.cancelled_at, p.treatment_id AS session_treatment_id, p.treatment_version AS session_treatment_version,
        p.consultation_treatment_id, p.consultation_treatment_version
    FROM appointments AS a
    LEFT JOIN series AS s ON s.practice_id = a.practice_id AND s.series_id = a.follows_series_id
    LEFT JOIN protocols AS p ON p.practice_id = s.practice_id AND p.protocol_id = s.protocol_id
        AND p.version = s.protocol_version
    WHERE a.follows_series_id IS NOT NULL
),
-- An assessment is a consultation and treats no area; maintenance is one session more.
strayed AS (
    SELECT practice_id, appointment_id
    FROM followers
    WHERE patient_id IS DISTINCT FROM series_patient_id
        OR (assessment_number IS NULL AND (body_area, treatment_id, treatment_version)
            IS DISTINCT FROM (series_body_area, session_treatment_id, session_treatment_version))
        OR (assessment_number IS NOT NULL AND (body_area, treatment_id, treatment_version)
            IS DISTINCT FROM (NULL, consultation_treatment_id, consultation_treatment_version))
),
reassessed AS (
    SELECT practice_id, follows_series_id, assessment_number
    FROM followers
    WHERE booked AND assessment_number IS NOT NULL
    GROUP BY practice_id, follows_series_id, assessment_number
    HAVING count(*) > 1
),
untimely AS (
    SELECT practice_id, appointment_id
    FROM followers
    WHERE booked
        AND (begun_at > cancelled_at
            OR (assessment_number IS NULL AND (series_state <> 'completed' OR start < completed_at)))
),
-- A visit begins when its time comes, or the patient.
-- A result is of a visit of the series' patient that had begun, and only one that extends leaves room for another.
misattributed AS (
    SELECT r.practice_id, r.series_id, r.assessment_number
    FROM assessment_results AS r
    LEFT JOIN series AS s ON s.practice_id = r.practice_id AND s.series_id = r.series_id
    LEFT JOIN appointments AS a ON a.practice_id = r.practice_id AND a.appointment_id = r.appointment_id
    WHERE a.patient_id IS DISTINCT FROM s.patient_id OR a.state = 'cancelled' OR least(lower(a.visit), a.arrived_at) > r.recorded_at
        OR (r.outcome <> 'extend' AND EXISTS (
            SELECT FROM assessment_results AS later
            WHERE later.practice_id = r.practice_id AND later.series_id = r.series_id
                AND later.assessment_number = r.assessment_number AND later.recorded_revision > r.recorded_revision))
),
unended AS (
    SELECT s.practice_id, s.series_id
    FROM series AS s
    LEFT JOIN assessment_results AS r ON r.practice_id = s.practice_id AND r.series_id = s.series_id
        AND r.outcome = 'end'
    GROUP BY s.practice_id, s.series_id, s.state
    HAVING count(r.outcome) <> CASE WHEN s.state = 'completed' THEN 1 ELSE 0 END
),
requested_twice AS (
    SELECT practice_id, request_id FROM changes GROUP BY practice_id, request_id HAVING count(*) > 1
),
-- Closures, time off and hours name the visits that they displaced and moved, of one patient or several, and the holds
-- that they released; most name none.
bookings AS MATERIALIZED (
    SELECT practice_id, revision, kind, subject_id, patient_id, appointment_ids,
        kind LIKE '%.rescheduled' OR kind IN ('reaction.cleared', 'appointment.fulfilled') OR displaces AS moves,
        displaces
    FROM (
        SELECT *, kind IN ('closure.created', 'clinic.updated', 'time_off.created', 'resource.updated') AS displaces
        FROM changes
    ) AS changes
    WHERE kind IN ('series.booked', 'series.held', 'series.continued', 'series.rescheduled', 'appointment.held', 'appointment.booked',
        'appointment.rescheduled', 'reaction.cleared', 'appointment.fulfilled')
        OR displaces AND cardinality(appointment_ids) > 0
),
named AS MATERIALIZED (
    SELECT practice_id, revision, kind, moves, displaces, subject_id, patient_id,
        unnest(appointment_ids) AS appointment_id
    FROM bookings
),
-- What a move cancels, it also books anew. Clearing a reaction also names sessions whose gap it changes, completing a
-- visit names that visit, and what was only held is released.
unmoved AS (
    SELECT n.practice_id, n.revision, n.appointment_id
    FROM named AS n
    JOIN appointments AS a ON a.practice_id = n.practice_id AND a.appointment_id = n.appointment_id
    LEFT JOIN appointments AS b ON b.practice_id = n.practice_id AND b.replaces = n.appointment_id
        AND b.booked_revision = n.revision
    WHERE n.moves AND a.booked_revision <> n.revision AND b.appointment_id IS NULL
        AND (n.kind NOT IN ('reaction.cleared', 'appointment.fulfilled') OR (a.state = 'cancelled' AND a.changed_revision = n.revision))
        AND NOT (n.displaces AND a.booked_revision IS NOT DISTINCT FROM a.held_revision)
),
-- And what it books replaces something.
unreplacing AS (
    SELECT n.practice_id, n.revision, n.appointment_id
    FROM named AS n
    JOIN appointments AS a ON a.practice_id = n.practice_id AND a.appointment_id = n.appointment_id
    WHERE a.booked_revision = n.revision AND n.moves <> (a.replaces IS NOT NULL)
),
unbooked_series AS (
    SELECT s.practice_id, s.series_id
    FROM series AS s
    LEFT JOIN bookings AS b ON b.practice_id = s.practice_id AND b.revision = s.booked_revision
        AND b.kind = CASE WHEN s.booked_revision = s.held_revision THEN 'series.held' ELSE 'series.booked' END
        AND b.subject_id = s.series_id AND b.patient_id = s.patient_id
    WHERE b.revision IS NULL
),
unbooked_appointments AS (
    SELECT a.practice_id, a.appointment_id
    FROM appointments AS a
    LEFT JOIN named AS n ON n.practice_id = a.practice_id AND n.revision = a.booked_revision
        AND n.appointment_id = a.appointment_id
        AND (n.patient_id = a.patient_id OR n.displaces AND n.patient_id IS NULL)
        AND (
            n.kind IN ('reaction.cleared', 'appointment.fulfilled') OR n.displaces
            OR n.subject_id = CASE WHEN n.kind LIKE 'series.%' THEN a.series_id ELSE a.appointment_id END
        )
    WHERE n.revision IS NULL
),
unkept AS (
    SELECT n.practice_id, n.revision, n.appointment_id
    FROM named AS n
    LEFT JOIN appointments AS a ON a.practice_id = n.practice_id AND a.appointment_id = n.appointment_id
        AND (
            a.booked_revision = n.revision
            -- A move also names what it cancels.
            OR (n.moves AND a.changed_revision = n.revision AND a.state = 'cancelled')
            OR n.kind IN ('reaction.cleared', 'appointment.fulfilled')
            -- What was held may have been booked since.
            OR (n.kind IN ('appointment.held', 'series.held') AND a.held_revision = n.revision)
        )
    WHERE a.appointment_id IS NULL
),
-- A booking change that names no appointment, or a series that is not there, booked nothing.
void AS (
    SELECT b.practice_id, b.revision
    FROM bookings AS b
    LEFT JOIN series AS s ON s.practice_id = b.practice_id AND s.series_id = b.subject_id
        AND (b.revision IN (s.booked_revision, s.held_revision) OR b.kind NOT IN ('series.booked', 'series.held'))
    WHERE (cardinality(b.appointment_ids) = 0 AND b.kind <> 'reaction.cleared') OR (b.kind LIKE 'series.%' AND s.series_id IS NULL)
),
-- The steps of visits. Each but a completion may be taken back, within a day, the latest first: what is taken back is the
-- step before it on its level. What is left, level by level, is the way that a visit came, and where it stands.
leveled AS (
    SELECT practice_id, subject_id AS appointment_id, revision, kind, recorded_at,
        sum(CASE kind WHEN 'appointment.undone' THEN -1 ELSE 1 END) OVER in_order
        + CASE kind WHEN 'appointment.undone' THEN 1 ELSE 0 END AS level
    FROM changes
    WHERE kind IN ('appointment.confirmed', 'appointment.arrived', 'appointment.started', 'appointment.fulfilled',
        'appointment.no_show', 'appointment.undone')
    WINDOW in_order AS (PARTITION BY practice_id, subject_id ORDER BY revision)
),
steps AS MATERIALIZED (
    SELECT *, lag(kind) OVER on_level AS kind_before, lag(recorded_at) OVER on_level AS recorded_before,
        lead(kind) OVER on_level IS NULL AND kind <> 'appointment.undone' AS stands
    FROM leveled
    WINDOW on_level AS (PARTITION BY practice_id, appointment_id, level ORDER BY revision)
),
ways AS MATERIALIZED (
    SELECT practice_id, appointment_id,
        array_agg(replace(kind, 'appointment.', '') ORDER BY level) AS way,
        max(revision) FILTER (WHERE kind = 'appointment.confirmed') AS confirmed,
        max(revision) FILTER (WHERE kind = 'appointment.arrived') AS arrived,
        max(revision) FILTER (WHERE kind = 'appointment.started') AS started,
        max(revision) FILTER (WHERE kind = 'appointment.no_show') AS missed
    FROM steps
    WHERE stands
    GROUP BY practice_id, appointment_id
),
misstepped AS (
    SELECT practice_id, appointment_id
    FROM steps
    WHERE kind = 'appointment.undone' AND NOT coalesce(
        kind_before IN ('appointment.confirmed', 'appointment.arrived', 'appointment.started', 'appointment.no_show')
        AND recorded_at <= recorded_before + interval '24 hours', false)
    UNION
    SELECT a.practice_id, a.appointment_id
    FROM appointments AS a
    LEFT JOIN ways AS w ON w.practice_id = a.practice_id AND w.appointment_id = a.appointment_id
    LEFT JOIN changes AS f ON f.practice_id = a.practice_id AND f.revision = a.confirmed_revision
    LEFT JOIN changes AS b ON b.practice_id = a.practice_id AND b.revision = a.started_revision
    -- Nobody has to confirm, nor to say that a treatment begins.
    WHERE NOT CASE array_to_string(array_remove(w.way, 'confirmed'), ' ')
            WHEN 'arrived' THEN a.state = 'arrived'
            WHEN 'arrived started' THEN a.state = 'in_progress'
            WHEN 'arrived fulfilled' THEN a.state = 'fulfilled'
            WHEN 'arrived started fulfilled' THEN a.state = 'fulfilled'
            WHEN 'no_show' THEN a.no_show_revision IS NOT DISTINCT FROM w.missed
            WHEN '' THEN a.state IN ('confirmed', 'cancelled') AND a.no_show_revision IS NULL
            ELSE w.way IS NULL AND a.state IN ('held', 'booked', 'cancelled') AND a.no_show_revision IS NULL
        END
        OR array_position(w.way, 'confirmed') > 1
        OR (a.confirmed_revision, a.arrived_revision, a.started_revision)
            IS DISTINCT FROM (w.confirmed, w.arrived, w.started)
        -- When it was said; a visit is confirmed before it begins, and its treatment begins soon after the check-in.
        OR (a.confirmed_at, a.started_at) IS DISTINCT FROM (f.recorded_at, b.recorded_at)
        OR a.confirmed_at >= lower(a.visit)
        OR NOT a.started_at BETWEEN a.arrived_at AND a.arrived_at + interval '24 hours'
        OR a.performed_start > a.arrived_at + interval '24 hours'
),
-- A patient was checked in or did not come, and a visit was completed, by a change that says so of that visit; what was
-- performed was completed. Nobody is missed before the visit begins, and nothing is recorded of a visit that never was.
unattended AS (
    SELECT a.practice_id, a.appointment_id
    FROM appointments AS a
    LEFT JOIN changes AS c ON c.practice_id = a.practice_id AND c.revision = a.arrived_revision
        AND c.kind = 'appointment.arrived' AND c.subject_id = a.appointment_id
    LEFT JOIN changes AS d ON d.practice_id = a.practice_id AND d.kind = 'appointment.fulfilled'
        AND d.subject_id = a.appointment_id
    LEFT JOIN changes AS m ON m.practice_id = a.practice_id AND m.revision = a.no_show_revision
        AND m.kind = 'appointment.no_show' AND m.subject_id = a.appointment_id
    WHERE (a.arrived_revision IS NOT NULL) IS DISTINCT FROM (c.revision IS NOT NULL)
        OR (a.state = 'fulfilled') IS DISTINCT FROM (d.revision IS NOT NULL)
        OR (a.state = 'fulfilled') IS DISTINCT FROM (a.performed_start IS NOT NULL)
        OR (a.state IN ('arrived', 'in_progress', 'fulfilled')) IS DISTINCT FROM (a.arrived_revision IS NOT NULL)
        OR (a.no_show_revision IS NOT NULL) IS DISTINCT FROM (m.revision IS NOT NULL)
        OR a.no_show_revision IS NOT NULL AND (a.state <> 'cancelled' OR m.recorded_at < lower(a.visit)
            OR EXISTS (SELECT FROM clearances AS c WHERE c.practice_id = a.practice_id
                AND c.consultation_id = a.appointment_id)
            OR EXISTS (SELECT FROM reactions AS r WHERE r.practice_id = a.practice_id
                AND r.appointment_id = a.appointment_id))
),
-- What is recorded of a visit was said when it was completed, of somebody and something that can have treated.
misrecorded AS (
    SELECT r.practice_id, r.appointment_id
    FROM visit_records AS r
    LEFT JOIN appointments AS a ON a.practice_id = r.practice_id AND a.appointment_id = r.appointment_id
    LEFT JOIN changes AS c ON c.practice_id = r.practice_id AND c.revision = r.recorded_revision
    LEFT JOIN resources AS p ON p.practice_id = r.practice_id AND p.resource_id = r.practitioner_id
    LEFT JOIN resources AS d ON d.practice_id = r.practice_id AND d.resource_id = r.device_id
    WHERE a.state IS DISTINCT FROM 'fulfilled' OR c.kind IS DISTINCT FROM 'appointment.fulfilled'
        OR c.subject_id IS DISTINCT FROM r.appointment_id
        OR (r.practitioner_id IS NOT NULL AND p.kind IS DISTINCT FROM 'practitioner')
        OR (r.device_id IS NOT NULL AND d.kind IS DISTINCT FROM 'device')
),
-- What counts as a session used is a session that was missed, or cancelled with less notice than was asked for, and not
-- by the clinic; one that is to take place, or took place, is not ended. What was moved takes place in another visit.
-- Only what somebody cancelled, moved or missed by itself says how it ended.
miscounted AS (
    SELECT a.practice_id, a.appointment_id
    FROM appointments AS a
    LEFT JOIN appointments AS b ON b.practice_id = a.practice_id AND b.replaces = a.appointment_id
    LEFT JOIN changes AS c ON c.practice_id = a.practice_id AND c.revision = a.changed_revision
        AND c.kind IN ('appointment.cancelled', 'appointment.no_show', 'appointment.rescheduled', 'series.rescheduled')
    WHERE (a.end_reason IS NOT NULL AND (a.state <> 'cancelled' OR c.revision IS NULL OR a.counts_as_used IS NULL
            OR a.end_notice_hours IS NULL))
        OR (a.counts_as_used AND (
            a.series_id IS NULL OR a.end_reason = 'clinic' OR b.appointment_id IS NOT NULL
            OR (a.no_show_revision IS NULL
                AND lower(a.visit) - a.cancelled_at >= make_interval(hours => a.end_notice_hours))))
),
-- A hold is what a change held, and is booked before it ends or not at all; nothing else is booked twice. One that ended
-- by itself did so once, when its time was over.
mishandled AS (
    SELECT a.practice_id, a.appointment_id
    FROM appointments AS a
    LEFT JOIN changes AS h ON h.practice_id = a.practice_id AND h.revision = a.held_revision
        AND (h.kind, h.subject_id) IN (('appointment.held', a.appointment_id), ('series.held', a.series_id))
    LEFT JOIN changes AS b ON b.practice_id = a.practice_id AND b.revision = a.booked_revision
    WHERE a.held_revision IS NULL AND (a.state = 'held' OR b.kind IN ('appointment.held', 'series.held'))
        OR a.held_revision IS NOT NULL AND (
            h.revision IS NULL
            OR (a.state = 'held') AND a.booked_revision <> a.held_revision
            OR a.state NOT IN ('held', 'cancelled') AND a.booked_revision <= a.held_revision
            OR a.booked_revision <> a.held_revision AND (b.recorded_at >= a.held_until
                OR b.kind <> CASE h.kind WHEN 'series.held' THEN 'series.booked' ELSE 'appointment.booked' END)
        )
    UNION
    SELECT e.practice_id, named.appointment_id
    FROM changes AS e
    CROSS JOIN LATERAL unnest(e.appointment_ids) AS named (appointment_id)
    LEFT JOIN appointments AS a ON a.practice_id = e.practice_id AND a.appointment_id = named.appointment_id
    WHERE e.kind = 'appointment.hold_expired' AND NOT coalesce(
        a.changed_revision = e.revision AND a.state = 'cancelled' AND a.booked_revision = a.held_revision
        AND a.no_show_revision IS NULL AND a.held_until <= e.recorded_at, false)
),
-- What was held for an entry of the waiting list is what it is about.
misoffered AS (
    SELECT w.practice_id, w.waiting_id
    FROM waiting_list AS w
    LEFT JOIN appointments AS a ON a.practice_id = w.practice_id AND a.appointment_id = w.offered_appointment_id
    WHERE w.offered_appointment_id IS NOT NULL
        AND (a.held_revision IS NULL OR a.held_revision <= w.added_revision OR a.patient_id <> w.patient_id
            OR a.clinic_id <> w.clinic_id OR a.follows_series_id IS NOT NULL
            OR (w.withdrawn_at IS NOT NULL AND a.state = 'held')
            OR EXISTS (SELECT FROM waiting_list AS o WHERE o.practice_id = w.practice_id
                AND o.offered_appointment_id = w.offered_appointment_id AND o.waiting_id <> w.waiting_id)
            OR (a.series_id, a.session_number) IS DISTINCT FROM (w.series_id, w.session_number)
            OR (w.treatment_id IS NOT NULL AND (a.treatment_id, a.body_area) IS DISTINCT FROM (w.treatment_id, w.body_area)))
),
-- A series is held, booked and ended together with the sessions that it was held with.
halved AS (
    SELECT s.practice_id, s.series_id
    FROM series AS s
    LEFT JOIN appointments AS a ON a.practice_id = s.practice_id AND a.series_id = s.series_id
        AND a.held_revision = s.held_revision
    WHERE s.held_revision IS NOT NULL OR s.state = 'held'
    GROUP BY s.practice_id, s.series_id, s.state, s.booked_revision, s.held_revision, s.held_until
    HAVING count(a.appointment_id) = 0
        OR NOT bool_and(a.held_until = s.held_until AND a.booked_revision = s.booked_revision)
        OR (s.state = 'held') <> bool_and(a.state = 'held')
        OR s.booked_revision = s.held_revision AND s.state NOT IN ('held', 'cancelled')
        OR s.booked_revision = s.held_revision AND s.state = 'cancelled' AND NOT bool_and(a.state = 'cancelled')
)
SELECT 'a series is booked whole' AS "what!",
    (SELECT count(*) FROM series) AS "rows_checked!",
    (SELECT count(*) FROM partial) AS "violations!",
    ARRAY(
        SELECT format('practice %s series %s', practice_id, series_id) FROM partial ORDER BY 1 LIMIT $1
    ) AS "examples!"
UNION ALL
SELECT 'a series has no session beyond its number of sessions',
    (SELECT count(*) FROM sessions WHERE booked),
    (SELECT count(*) FROM beyond),
    ARRAY(
        SELECT format('practice %s series %s appointment %s', practice_id, series_id, appointment_id)
        FROM beyond ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'a series has had as many sessions as it says',
    (SELECT count(*) FROM series),
    (SELECT count(*) FROM hollow),
    ARRAY(SELECT format('practice %s series %s', practice_id, series_id) FROM hollow ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'what a move cancels it books anew, and nothing else replaces',
    (SELECT count(*) FROM named),
    (SELECT count(*) FROM (SELECT 1 FROM unmoved UNION ALL SELECT 1 FROM unreplacing) AS half),
    ARRAY(
        SELECT format('practice %s revision %s appointment %s', practice_id, revision, appointment_id)
        FROM (SELECT * FROM unmoved UNION ALL SELECT * FROM unreplacing) AS half ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'what was moved is cancelled, and is the same visit',
    (SELECT count(*) FROM appointments WHERE replaces IS NOT NULL),
    (SELECT count(*) FROM misplaced),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM misplaced ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'a session is of the patient and the area of its series',
    (SELECT count(*) FROM sessions),
    (SELECT count(*) FROM foreign_sessions),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id)
        FROM foreign_sessions ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'sessions follow each other in the order of their numbers',
    (SELECT count(*) FROM sessions),
    (SELECT count(*) FROM unordered),
    ARRAY(
        SELECT format('practice %s series %s appointment %s', practice_id, series_id, appointment_id)
        FROM unordered ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'a session is booked once',
    (SELECT count(*) FROM sessions WHERE booked),
    (SELECT count(*) FROM repeated),
    ARRAY(
        SELECT format('practice %s series %s session %s', practice_id, series_id, session_number)
        FROM repeated ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'a cancelled or completed series has no session ahead',
    (SELECT count(*) FROM sessions WHERE series_ended_at IS NOT NULL),
    (SELECT count(*) FROM outlasting),
    ARRAY(
        SELECT format('practice %s series %s appointment %s', practice_id, series_id, appointment_id)
        FROM outlasting ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'what follows a series is of its patient, and is what its protocol says',
    (SELECT count(*) FROM followers),
    (SELECT count(*) FROM strayed),
    ARRAY(SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM strayed ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'an assessment is booked once',
    (SELECT count(*) FROM followers WHERE booked AND assessment_number IS NOT NULL),
    (SELECT count(*) FROM reassessed),
    ARRAY(
        SELECT format('practice %s series %s assessment %s', practice_id, follows_series_id, assessment_number)
        FROM reassessed ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'maintenance follows a completed series, and nothing lies ahead of a cancelled one',
    (SELECT count(*) FROM followers WHERE booked),
    (SELECT count(*) FROM untimely),
    ARRAY(SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM untimely ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'an assessment has one result, of a visit of the patient that had begun',
    (SELECT count(*) FROM assessment_results),
    (SELECT count(*) FROM misattributed),
    ARRAY(
        SELECT format('practice %s series %s assessment %s', practice_id, series_id, assessment_number)
        FROM misattributed ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'a series is completed by the assessment that ended it',
    (SELECT count(*) FROM series),
    (SELECT count(*) FROM unended),
    ARRAY(SELECT format('practice %s series %s', practice_id, series_id) FROM unended ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'a request is carried out once',
    (SELECT count(*) FROM changes),
    (SELECT count(*) FROM requested_twice),
    ARRAY(
        SELECT format('practice %s request %s', practice_id, request_id) FROM requested_twice ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'a series was booked by a change that names it',
    (SELECT count(*) FROM series),
    (SELECT count(*) FROM unbooked_series),
    ARRAY(
        SELECT format('practice %s series %s', practice_id, series_id) FROM unbooked_series ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'an appointment was booked by a change that names it',
    (SELECT count(*) FROM appointments),
    (SELECT count(*) FROM unbooked_appointments),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id)
        FROM unbooked_appointments ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'each appointment that a booking names was booked by it',
    (SELECT count(*) FROM named),
    (SELECT count(*) FROM unkept),
    ARRAY(
        SELECT format('practice %s revision %s appointment %s', practice_id, revision, appointment_id)
        FROM unkept ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'each booking booked something',
    (SELECT count(*) FROM bookings),
    (SELECT count(*) FROM void),
    ARRAY(SELECT format('practice %s revision %s', practice_id, revision) FROM void ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'patients arrive or do not, and visits are completed, by a change that says so',
    (SELECT count(*) FROM appointments),
    (SELECT count(*) FROM unattended),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM unattended ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'what was done at a visit was said when it was completed',
    (SELECT count(*) FROM visit_records),
    (SELECT count(*) FROM misrecorded),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM misrecorded ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'only sessions that were missed or cancelled late count as used',
    (SELECT count(*) FROM appointments WHERE end_reason IS NOT NULL),
    (SELECT count(*) FROM miscounted),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM miscounted ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'a hold is booked before it ends, or ends',
    (SELECT count(*) FROM appointments WHERE held_revision IS NOT NULL),
    (SELECT count(*) FROM mishandled),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM mishandled ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'what is offered to an entry of the waiting list is what it is about',
    (SELECT count(*) FROM waiting_list WHERE offered_appointment_id IS NOT NULL),
    (SELECT count(*) FROM misoffered),
    ARRAY(SELECT format('practice %s waiting %s', practice_id, waiting_id) FROM misoffered ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'a series is held, booked and ended with all its sessions',
    (SELECT count(*) FROM series WHERE held_revision IS NOT NULL),
    (SELECT count(*) FROM halved),
    ARRAY(SELECT format('practice %s series %s', practice_id, series_id) FROM halved ORDER BY 1 LIMIT $1)
UNION ALL
SELECT 'a visit stands where its latest step left it, and steps are taken back soon',
    (SELECT count(*) FROM steps),
    (SELECT count(*) FROM misstepped),
    ARRAY(
        SELECT format('practice %s appointment %s', practice_id, appointment_id) FROM misstepped ORDER BY 1 LIMIT $1
    )
