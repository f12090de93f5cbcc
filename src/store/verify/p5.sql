-- P5, nobody is needled who is not fit for it. Looks at the moments of every visit that needles: when it was booked,
-- when its patient was checked in, and when the treatment was said to begin. What was known at a moment is what changes
-- before it had recorded: the latest decision of a practitioner, the latest screening, overrides, and reactions that
-- nobody had cleared. A session is held to the protocol of its series. A visit outside any series is held to one of the
-- protocols, as they were then, that ask for a clearance before its treatment; where none does, to one of those before
-- whose treatment it may be added; where there is none either, to reactions alone. For what is added to a visit its
-- approval stands (P4).
WITH visits AS (
    SELECT a.practice_id, a.appointment_id, a.patient_id, a.body_area, a.session_number, a.clearance_id, a.replaces,
        a.treatment_id, a.booked_revision, a.arrived_revision, lower(a.visit) AS start, clinics.time_zone,
        coalesce(a.series_id, a.follows_series_id) AS series_id, a.arrived_at, a.started_at, a.started_revision
    FROM appointments AS a
    LEFT JOIN clinics ON clinics.practice_id = a.practice_id AND clinics.clinic_id = a.clinic_id
    WHERE a.state NOT IN ('held', 'cancelled') AND a.assessment_number IS NULL
),
looked_at AS (
    SELECT *, 'booked' AS moment, booked_revision AS revision, start AS at,
        (start AT TIME ZONE time_zone)::date AS day
    FROM visits
    UNION ALL
    SELECT *, 'arrived', arrived_revision, arrived_at, (arrived_at AT TIME ZONE time_zone)::date
    FROM visits
    WHERE arrived_revision IS NOT NULL
    UNION ALL
    SELECT *, 'started', started_revision, started_at, (started_at AT TIME ZONE time_zone)::date
    FROM visits
    WHERE started_revision IS NOT NULL
),
-- Those at which somebody is needled, whether any protocol asks for anything or none.
needled AS MATERIALIZED (
    SELECT * FROM looked_at WHERE series_id IS NOT NULL OR body_area IS NOT NULL
),
-- Each moment with each protocol that it is held to: one of a series, perhaps several outside any.
moments AS MATERIALIZED (
    SELECT looked_at.*, series.protocol_id, series.protocol_version
    FROM looked_at
    JOIN series ON series.practice_id = looked_at.practice_id AND series.series_id = looked_at.series_id
    UNION ALL
    SELECT looked_at.*, highest.protocol_id, highest.version
    FROM looked_at
    CROSS JOIN LATERAL (
        SELECT protocol_id, version, own, bool_or(own) OVER () AS any_own
        FROM (
            SELECT protocol_id, version, treatment_id = looked_at.treatment_id AS own,
                treatment_id = looked_at.treatment_id OR EXISTS (
                    SELECT FROM treatment_combinations AS c
                    WHERE c.practice_id = looked_at.practice_id AND c.treatment_id = latest.treatment_id
                        AND c.version = latest.treatment_version AND c.add_on_treatment_id = looked_at.treatment_id
                ) AS speaks
            FROM (
                SELECT DISTINCT ON (protocol_id) protocol_id, version, treatment_id, treatment_version,
                    consultation_treatment_id
                FROM protocols
                WHERE practice_id = looked_at.practice_id AND published_revision < looked_at.revision
                ORDER BY protocol_id, version DESC
            ) AS latest
            WHERE consultation_treatment_id IS NOT NULL
        ) AS asking
        WHERE speaks
    ) AS highest
    WHERE looked_at.series_id IS NULL AND looked_at.body_area IS NOT NULL
        AND (highest.own OR NOT highest.any_own)
),
ruled AS MATERIALIZED (
    SELECT moments.*, protocols.screening_days
    FROM moments
    JOIN protocols ON protocols.practice_id = moments.practice_id AND protocols.protocol_id = moments.protocol_id
        AND protocols.version = moments.protocol_version
    WHERE protocols.consultation_treatment_id IS NOT NULL
),
decided AS MATERIALIZED (
    SELECT DISTINCT ON (ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id)
        ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id, c.clearance_id, c.conditions,
        c.outcome = 'cleared' AND (c.revoked_revision IS NULL OR c.revoked_revision > ruled.revision) AS in_force,
        c.decided_revision, c.session_count, c.valid_from, c.valid_until, c.not_before
    FROM ruled
    JOIN clearances AS c ON c.practice_id = ruled.practice_id AND c.patient_id = ruled.patient_id
        AND c.protocol_id = ruled.protocol_id AND c.body_area = ruled.body_area
        AND c.decided_revision < ruled.revision
    ORDER BY ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id, c.decided_revision DESC
),
extended AS MATERIALIZED (
    SELECT ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id,
        max(e.session_count) AS session_count
    FROM ruled
    JOIN assessment_results AS e ON e.practice_id = ruled.practice_id AND e.series_id = ruled.series_id
        AND e.recorded_revision < ruled.revision
    JOIN decided ON decided.practice_id = ruled.practice_id AND decided.appointment_id = ruled.appointment_id
        AND decided.moment = ruled.moment AND decided.protocol_id = ruled.protocol_id
        AND decided.decided_revision < e.recorded_revision
    GROUP BY ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id
),
no_clearance AS MATERIALIZED (
    SELECT ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id
    FROM ruled
    LEFT JOIN decided USING (practice_id, appointment_id, moment, protocol_id)
    LEFT JOIN extended USING (practice_id, appointment_id, moment, protocol_id)
    WHERE NOT coalesce(
        decided.in_force AND ruled.day BETWEEN decided.valid_from AND decided.valid_until
        AND ruled.at >= decided.not_before
        AND coalesce(ruled.session_number, 1) <= greatest(decided.session_count, extended.session_count)
        AND (ruled.moment <> 'booked' OR ruled.clearance_id = decided.clearance_id), false)
),
screened AS MATERIALIZED (
    SELECT DISTINCT ON (ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id)
        ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id, s.screening_id, s.skin_type,
        (s.recorded_at AT TIME ZONE ruled.time_zone)::date AS screened_on
    FROM ruled
    JOIN screenings AS s ON s.practice_id = ruled.practice_id AND s.patient_id = ruled.patient_id
        AND s.protocol_id = ruled.protocol_id AND s.recorded_revision < ruled.revision
    ORDER BY ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id, s.recorded_revision DESC
),
-- Each rule at each moment, with the answer to it.
asked AS MATERIALIZED (
    SELECT ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.day, ruled.revision, ruled.patient_id,
        ruled.protocol_id, r.condition, r.asks, r.least, r.most, r.may_be_cleared,
        CASE r.deferral_unit WHEN 'days' THEN make_interval(days => r.deferral_amount)
            WHEN 'months' THEN make_interval(months => r.deferral_amount) END AS deferral,
        screened.screening_id, screened.skin_type, x.present, x.on_date
    FROM ruled
    JOIN screening_rules AS r ON r.practice_id = ruled.practice_id AND r.protocol_id = ruled.protocol_id
        AND r.version = ruled.protocol_version
    LEFT JOIN screened ON screened.practice_id = ruled.practice_id
        AND screened.appointment_id = ruled.appointment_id AND screened.moment = ruled.moment
        AND screened.protocol_id = ruled.protocol_id
    LEFT JOIN screening_answers AS x ON x.practice_id = screened.practice_id
        AND x.screening_id = screened.screening_id AND x.condition = r.condition
),
no_screening AS MATERIALIZED (
    SELECT practice_id, appointment_id, moment, protocol_id
    FROM asked
    WHERE asks IN ('presence', 'presence_and_date') AND present IS NULL OR asks = 'skin_type' AND skin_type IS NULL
    UNION
    SELECT ruled.practice_id, ruled.appointment_id, ruled.moment, ruled.protocol_id
    FROM ruled
    JOIN screened USING (practice_id, appointment_id, moment, protocol_id)
    WHERE ruled.moment IN ('arrived', 'started') AND ruled.day - ruled.screening_days > screened.screened_on
        AND EXISTS (SELECT FROM screening_rules AS r
            WHERE r.practice_id = ruled.practice_id AND r.protocol_id = ruled.protocol_id
                AND r.version = ruled.protocol_version)
),
acquired AS MATERIALIZED (
    SELECT r.practice_id, r.patient_id, r.reported_revision, k.counts_as AS condition,
        (r.onset AT TIME ZONE clinics.time_zone)::date AS since
    FROM reactions AS r
    JOIN series ON series.practice_id = r.practice_id AND series.series_id = r.series_id
    JOIN reaction_rules AS k ON k.practice_id = series.practice_id AND k.protocol_id = series.protocol_id
        AND k.version = series.protocol_version AND k.kind = r.kind
    JOIN appointments AS a ON a.practice_id = r.practice_id AND a.appointment_id = r.appointment_id
    JOIN clinics ON clinics.practice_id = a.practice_id AND clinics.clinic_id = a.clinic_id
    WHERE k.counts_as IS NOT NULL
),
firing AS MATERIALIZED (
    SELECT asked.*
    FROM asked
    WHERE asks IN ('presence', 'presence_and_date') AND present
        AND (deferral IS NULL OR on_date IS NULL OR day < on_date + deferral)
    UNION ALL
    SELECT asked.*
    FROM asked
    WHERE asks = 'skin_type' AND skin_type BETWEEN least AND most
    UNION ALL
    -- A birth date that was corrected since is not held against what was booked before.
    SELECT asked.*
    FROM asked
    JOIN patients ON patients.practice_id = asked.practice_id AND patients.patient_id = asked.patient_id
    WHERE asks = 'age' AND coalesce(patients.birth_date_revision < asked.revision, true)
        AND asked.day >= patients.birth_date + make_interval(years => least)
        AND asked.day < patients.birth_date + make_interval(years => most + 1)
    UNION ALL
    SELECT asked.*
    FROM asked
    JOIN acquired USING (practice_id, patient_id, condition)
    WHERE acquired.reported_revision < asked.revision AND (deferral IS NULL OR day < acquired.since + deferral)
),
-- What a reaction brings is lifted only by whoever knew of it.
brought AS (
    SELECT asked.practice_id, asked.appointment_id, asked.moment, asked.protocol_id, asked.condition,
        max(acquired.reported_revision) AS revision
    FROM asked
    JOIN acquired USING (practice_id, patient_id, condition)
    WHERE acquired.reported_revision < asked.revision
    GROUP BY asked.practice_id, asked.appointment_id, asked.moment, asked.protocol_id, asked.condition
),
-- Since when a stated condition is what it is: since the last screening that said no, or named an earlier day. A decision
-- before that was about something else.
news AS MATERIALIZED (
    SELECT asked.practice_id, asked.appointment_id, asked.moment, asked.protocol_id, asked.condition,
        max(CASE WHEN e.present THEN e.next_revision ELSE e.recorded_revision END) AS revision
    FROM asked
    JOIN screenings AS s ON s.practice_id = asked.practice_id AND s.screening_id = asked.screening_id
    CROSS JOIN LATERAL (
        SELECT b.recorded_revision, y.present, y.on_date,
            lead(b.recorded_revision) OVER (ORDER BY b.recorded_revision) AS next_revision
        FROM screenings AS b
        JOIN screening_answers AS y ON y.practice_id = b.practice_id AND y.screening_id = b.screening_id
            AND y.condition = asked.condition
        WHERE b.practice_id = s.practice_id AND b.patient_id = s.patient_id AND b.protocol_id = s.protocol_id
            AND b.recorded_revision <= s.recorded_revision
    ) AS e
    WHERE asked.present AND e.recorded_revision < s.recorded_revision AND (NOT e.present OR e.on_date < asked.on_date)
    GROUP BY asked.practice_id, asked.appointment_id, asked.moment, asked.protocol_id, asked.condition
),
condition_stands AS MATERIALIZED (
    SELECT firing.practice_id, firing.appointment_id, firing.moment, firing.protocol_id
    FROM firing
    LEFT JOIN decided USING (practice_id, appointment_id, moment, protocol_id)
    LEFT JOIN brought USING (practice_id, appointment_id, moment, protocol_id, condition)
    LEFT JOIN news USING (practice_id, appointment_id, moment, protocol_id, condition)
    LEFT JOIN overrides AS o ON o.practice_id = firing.practice_id AND o.patient_id = firing.patient_id
        AND o.kind = 'condition' AND o.protocol_id = firing.protocol_id AND o.condition = firing.condition
        AND o.granted_revision < firing.revision
        AND o.granted_revision > greatest(brought.revision, news.revision, 0)
        AND (o.revoked_revision IS NULL OR o.revoked_revision > firing.revision)
    WHERE NOT (firing.may_be_cleared AND (o.override_id IS NOT NULL
        OR coalesce(decided.in_force AND firing.condition = ANY (decided.conditions)
            AND decided.decided_revision > greatest(brought.revision, news.revision, 0), false)))
),
-- Visits outside any series with which one of the protocols of their treatment is content.
content AS MATERIALIZED (
    SELECT practice_id, appointment_id, moment, protocol_id FROM ruled WHERE series_id IS NULL
    EXCEPT
    (TABLE no_clearance UNION ALL TABLE no_screening UNION ALL TABLE condition_stands)
),
uncleared AS (
    SELECT practice_id, appointment_id, moment FROM no_clearance
    EXCEPT SELECT practice_id, appointment_id, moment FROM content
),
unscreened AS (
    SELECT practice_id, appointment_id, moment FROM no_screening
    EXCEPT SELECT practice_id, appointment_id, moment FROM content
),
unfit AS (
    SELECT practice_id, appointment_id, moment FROM condition_stands
    EXCEPT SELECT practice_id, appointment_id, moment FROM content
),
-- A hold does not keep a visit from being put off. A change that clears a reaction books the rest anew.
held AS (
    SELECT DISTINCT needled.practice_id, needled.appointment_id, needled.moment
    FROM needled
    JOIN reactions AS r ON r.practice_id = needled.practice_id AND r.patient_id = needled.patient_id
    LEFT JOIN appointments AS old ON old.practice_id = needled.practice_id AND old.appointment_id = needled.replaces
    WHERE r.reaction_grade <> 'normal' AND r.reported_revision < needled.revision
        AND (r.cleared_revision IS NULL OR r.cleared_revision > needled.revision)
        AND NOT (needled.moment = 'booked' AND coalesce(needled.start >= lower(old.visit), false))
    UNION
    -- Of what nobody said when it began, the completion looked at what had been reported before.
    SELECT a.practice_id, a.appointment_id, 'performed'
    FROM appointments AS a
    JOIN reactions AS r ON r.practice_id = a.practice_id AND r.patient_id = a.patient_id
    WHERE a.state = 'fulfilled' AND a.body_area IS NOT NULL AND a.started_revision IS NULL
        AND r.reaction_grade <> 'normal' AND r.reported_at < a.performed_start
        AND (r.cleared_at IS NULL OR r.cleared_at > a.fulfilled_at)
),
too_soon AS (
    SELECT DISTINCT needled.practice_id, needled.appointment_id, needled.moment
    FROM needled
    JOIN reactions AS r ON r.practice_id = needled.practice_id AND r.patient_id = needled.patient_id
    WHERE r.cleared_revision <= needled.revision AND needled.day < r.earliest_date
    UNION
    SELECT a.practice_id, a.appointment_id, 'performed'
    FROM appointments AS a
    JOIN clinics ON clinics.practice_id = a.practice_id AND clinics.clinic_id = a.clinic_id
    JOIN reactions AS r ON r.practice_id = a.practice_id AND r.patient_id = a.patient_id
    WHERE a.state = 'fulfilled' AND a.body_area IS NOT NULL AND a.started_revision IS NULL
        AND r.reported_at < a.performed_start AND r.cleared_at < a.fulfilled_at
        AND (a.performed_start AT TIME ZONE clinics.time_zone)::date < r.earliest_date
)
SELECT 'sessions are booked and begun under a clearance that covers them' AS "what!",
    (SELECT count(*) FROM ruled) AS "rows_checked!",
    (SELECT count(*) FROM uncleared) AS "violations!",
    ARRAY(
        SELECT format('practice %s appointment %s when %s', practice_id, appointment_id, moment)
        FROM uncleared ORDER BY 1 LIMIT $1
    ) AS "examples!"
UNION ALL
SELECT 'sessions are booked and begun after a screening that answers all and is recent enough',
    (SELECT count(*) FROM ruled),
    (SELECT count(*) FROM unscreened),
    ARRAY(
        SELECT format('practice %s appointment %s when %s', practice_id, appointment_id, moment)
        FROM unscreened ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'no session is booked or begun against a condition that nobody lifted',
    (SELECT count(*) FROM asked),
    (SELECT count(*) FROM unfit),
    ARRAY(
        SELECT format('practice %s appointment %s when %s', practice_id, appointment_id, moment)
        FROM unfit ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'no session is booked, brought nearer or begun while a reaction holds its series',
    (SELECT count(*) FROM needled),
    (SELECT count(*) FROM held),
    ARRAY(
        SELECT format('practice %s appointment %s when %s', practice_id, appointment_id, moment)
        FROM held ORDER BY 1 LIMIT $1
    )
UNION ALL
SELECT 'no session lies before the day that was set when a reaction was cleared',
    (SELECT count(*) FROM needled),
    (SELECT count(*) FROM too_soon),
    ARRAY(
        SELECT format('practice %s appointment %s when %s', practice_id, appointment_id, moment)
        FROM too_soon ORDER BY 1 LIMIT $1
    )
