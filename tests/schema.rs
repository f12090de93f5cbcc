//! The schema keeps its own rules, and holds the promises against whoever writes around the server.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use stipple::store::MIGRATIONS;
use stipple::store::constraint::CONSTRAINTS;

use crate::harness::{World, cluster};

async fn migrated() -> PgConnection {
    PgConnection::connect_with(&cluster::migrated_database().await).await.unwrap()
}

/// The rows of a query of one text column.
async fn texts(db: &mut PgConnection, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(db).await.unwrap()
}

/// Our own tables, with the schema in front of every query below.
const TABLES: &str = "WITH tables AS (
    SELECT c.oid, c.relname::text AS name FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'),
    keys AS (
    SELECT k.*, k.conname::text AS name, t.name AS tables FROM pg_constraint k JOIN tables t ON t.oid = k.conrelid) ";

/// What a query over the catalogue finds wrong: nothing on the schema as it is, and this once it is damaged.
async fn finds(query: &str, damage: &str, finding: &str) {
    let sql = format!("{TABLES} {query}");
    let mut db = migrated().await;
    assert_eq!(texts(&mut db, &sql).await, [""; 0]);
    db.execute(AssertSqlSafe(damage.to_owned())).await.unwrap();
    assert_eq!(texts(&mut db, &sql).await, [finding], "{damage}");
}

#[tokio::test]
async fn every_table_and_column_says_what_it_holds() {
    let query = "SELECT t.name || coalesce('.' || a.attname, '') FROM tables t
        LEFT JOIN LATERAL (SELECT NULL::name AS attname, 0 AS attnum UNION ALL
            SELECT attname, attnum FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped) a ON true
        WHERE coalesce(CASE a.attnum WHEN 0 THEN obj_description(t.oid, 'pg_class')
            ELSE col_description(t.oid, a.attnum) END, '') = ''";
    finds(query, "COMMENT ON TABLE series IS NULL", "series").await;
    finds(query, "ALTER TABLE series ADD COLUMN mood text", "series.mood").await;
}

#[tokio::test]
async fn every_constraint_is_named_for_what_it_guarantees() {
    // What PostgreSQL makes up begins with the table and ends like this.
    let query = "SELECT name FROM keys
        WHERE name LIKE tables || '%' AND name ~ '_(pkey|key|check|fkey|excl|not_null)[0-9]*$'";
    finds(query, "ALTER TABLE series ADD CHECK (session_count < 99)", "series_session_count_check").await;
    finds(query, "ALTER TABLE series ADD UNIQUE (practice_id, state)", "series_practice_id_state_key").await;
}

/// The names that the server has to know: constraints, but for NOT NULL, and unique indexes.
const NAMES: &str = "SELECT name FROM keys WHERE contype <> 'n'
    UNION SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    JOIN tables t ON t.oid = x.indrelid WHERE x.indisunique";

#[tokio::test]
async fn the_server_knows_what_each_constraint_means_and_no_others() {
    let mut db = migrated().await;
    let known: BTreeSet<String> = CONSTRAINTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(known.len(), CONSTRAINTS.len(), "a name is there twice");
    let there: BTreeSet<String> = texts(&mut db, &format!("{TABLES} {NAMES}")).await.into_iter().collect();
    let unknown: Vec<_> = there.difference(&known).collect();
    let gone: Vec<_> = known.difference(&there).collect();
    assert!(unknown.is_empty() && gone.is_empty(), "without a meaning: {unknown:?}; without a constraint: {gone:?}");
    db.execute("CREATE UNIQUE INDEX surprise ON series (practice_id, state)").await.unwrap();
    assert!(texts(&mut db, &format!("{TABLES} {NAMES}")).await.contains(&"surprise".to_owned()));
}

#[tokio::test]
async fn every_foreign_key_has_an_index_that_begins_with_its_columns() {
    let query = "SELECT name FROM keys WHERE contype = 'f' AND NOT EXISTS (
        SELECT FROM pg_index x WHERE x.indrelid = keys.conrelid AND x.indpred IS NULL AND x.indisvalid
        AND cardinality(keys.conkey) <= x.indnkeyatts
        AND (SELECT array_agg(k ORDER BY k) FROM unnest(keys.conkey) k)
            = (SELECT array_agg(k ORDER BY k) FROM unnest((x.indkey::int2[])[0:cardinality(keys.conkey) - 1]) k))";
    finds(query, "DROP INDEX series_by_protocol", "series_follows_a_protocol").await;
    finds(query, "DROP INDEX resources_by_clinic", "resource_stands_in_clinic").await;
}

#[tokio::test]
async fn the_practice_leads_every_key() {
    // Of foreign keys the practice refers to the practice.
    let query = "SELECT name FROM keys JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[1]
        LEFT JOIN pg_attribute r ON r.attrelid = confrelid AND r.attnum = confkey[1]
        WHERE contype IN ('p', 'u', 'x', 'f')
        AND (a.attname <> 'practice_id' OR contype = 'f' AND r.attname <> 'practice_id')
        UNION SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        JOIN tables t ON t.oid = x.indrelid JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
        WHERE x.indisunique AND a.attname <> 'practice_id'
        UNION SELECT t.name FROM tables t WHERE NOT EXISTS (
            SELECT FROM keys WHERE keys.conrelid = t.oid AND contype = 'p')";
    finds(query, "CREATE UNIQUE INDEX one_phone ON patients (phone)", "one_phone").await;
    finds(query, "CREATE TABLE notes (practice_id uuid)", "notes").await;
    let excluded = "ALTER TABLE closures ADD CONSTRAINT x EXCLUDE USING gist (closure_id WITH =, practice_id WITH =)";
    finds(query, excluded, "x").await;
    let crossed = "ALTER TABLE notes ADD CONSTRAINT y FOREIGN KEY (clinic_id, practice_id) REFERENCES clinics";
    let table = "CREATE TABLE notes (practice_id uuid CONSTRAINT z PRIMARY KEY, clinic_id uuid)";
    finds(query, &format!("{table}; {crossed}"), "y").await;
}

#[tokio::test]
async fn there_are_no_triggers_sequences_or_functions_of_ours() {
    let query = "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT relname::text FROM pg_class WHERE relkind = 'S'
        UNION ALL SELECT evtname::text FROM pg_event_trigger
        UNION ALL SELECT rulename::text FROM pg_rules WHERE schemaname = 'public'
        UNION ALL SELECT proname::text FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')";
    finds(query, "CREATE SEQUENCE numbers", "numbers").await;
    finds(query, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "f").await;
    let trigger = "CREATE TRIGGER t BEFORE UPDATE ON series FOR EACH ROW
        EXECUTE FUNCTION suppress_redundant_updates_trigger()";
    finds(query, trigger, "t").await;
}

/// All that can be read of a schema, as text.
const SHAPE: &str = "SELECT string_agg(line, chr(10) ORDER BY line) FROM (
    SELECT format('%s.%s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
        col_description(attrelid, attnum)) AS line
    FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        AND attnum > 0
    UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT format('%s %s', version, encode(checksum, 'hex')) FROM _sqlx_migrations) AS lines";

#[tokio::test]
async fn migrations_run_from_nothing_and_change_nothing_when_run_again() {
    let mut db = PgConnection::connect_with(&cluster::empty_database().await).await.unwrap();
    assert_eq!(
        texts(&mut db, "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384").await,
        [""; 0]
    );
    MIGRATIONS.run_direct(None, &mut db, false).await.unwrap();
    let first = texts(&mut db, SHAPE).await;
    assert!(first[0].contains("patient_is_in_one_place_at_a_time EXCLUDE"), "{first:?}");
    MIGRATIONS.run_direct(None, &mut db, false).await.unwrap();
    assert_eq!(texts(&mut db, SHAPE).await, first);
    assert_eq!(texts(&mut db, "SELECT practice_id::text FROM practices").await, [uuid::Uuid::nil().to_string()]);
}

/// A practice with a series, a sauna that is clear of it, and a second patient's sauna.
async fn booked() -> World {
    let world = World::new().await;
    world.book_series(&["2026-02-02T10:00:00", "2026-03-02T10:00:00", "2026-03-30T10:00:00"]).await.unwrap();
    world.book_sauna("2026-02-20T10:00:00").await.unwrap();
    world.book_sauna("2026-02-21T10:00:00").await.unwrap();
    world
}

/// For each exclusion constraint a way around the server that breaks it.
const VIOLATIONS: &[(&str, &str)] = &[
    // P1: another visit takes the same room at an overlapping time.
    (
        "resource_is_in_one_place_at_a_time",
        "INSERT INTO occupancies
         SELECT practice_id, other.appointment_id, resource_id,
             tstzrange(lower(during) + interval '5 minutes', upper(during) + interval '5 minutes'), need, o.live
         FROM occupancies o JOIN appointments other USING (practice_id)
         WHERE other.appointment_id <> o.appointment_id LIMIT 1",
    ),
    // P2: the patient is at a visit already.
    (
        "patient_is_in_one_place_at_a_time",
        "INSERT INTO appointments (practice_id, appointment_id, clinic_id, patient_id, treatment_id, treatment_version,
             state, visit, booked_at, booked_revision, changed_revision)
         SELECT practice_id, gen_random_uuid(), clinic_id, patient_id, treatment_id, treatment_version, 'booked',
             tstzrange(lower(visit) + interval '5 minutes', upper(visit) + interval '1 hour'), booked_at,
             booked_revision, changed_revision
         FROM appointments LIMIT 1",
    ),
    // P3: a visit of the same area on the last day of a window.
    (
        "sessions_keep_their_gap",
        "INSERT INTO spacing_windows
         SELECT w.practice_id, a.appointment_id, w.patient_id, w.scope, daterange(upper(days) - 1, upper(days) + 27),
             true
         FROM spacing_windows w JOIN appointments a USING (practice_id) WHERE a.series_id IS NULL
         ORDER BY lower(days) DESC LIMIT 1",
    ),
    // P4, both ways: heat inside a window, and a window over heat that is booked.
    (
        "aftercare_windows_are_kept",
        "INSERT INTO activity_windows
         SELECT w.practice_id, a.appointment_id, w.patient_id, 'chemical_peel', 'exposes',
             tstzrange(upper(during) - interval '1 minute', upper(during) + interval '1 hour'), true
         FROM activity_windows w JOIN appointments a USING (practice_id)
         WHERE a.series_id IS NULL AND w.activity = 'chemical_peel' LIMIT 1",
    ),
    (
        "aftercare_windows_are_kept",
        "UPDATE activity_windows SET during = tstzrange(lower(during), '2026-02-20T11:00Z')
         WHERE activity = 'heat' AND role = 'restricts' AND lower(during) < '2026-02-20'",
    ),
    (
        "opening_hours_do_not_overlap",
        "INSERT INTO opening_hours SELECT practice_id, clinic_id, weekday, int4range(600, 660) FROM opening_hours LIMIT 1",
    ),
    (
        "working_hours_do_not_overlap",
        "INSERT INTO working_hours
         SELECT practice_id, resource_id, clinic_id, weekday, int4range(600, 660) FROM working_hours LIMIT 1",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_around_the_server_meets_the_constraint_itself() {
    let world = booked().await;
    let mut db = world.server.pool().acquire().await.unwrap();
    for (constraint, sql) in VIOLATIONS {
        let error = db.execute(*sql).await.expect_err(constraint);
        let error = error.as_database_error().unwrap_or_else(|| panic!("{constraint}: {error}"));
        assert_eq!(error.code().as_deref(), Some("23P01"), "{error:?}");
        assert_eq!(error.constraint(), Some(*constraint), "{error:?}");
    }
    let excluding = texts(&mut db, "SELECT conname::text FROM pg_constraint WHERE contype = 'x' ORDER BY 1").await;
    let tried: BTreeSet<&str> = VIOLATIONS.iter().map(|(constraint, _)| *constraint).collect();
    assert_eq!(excluding, tried.into_iter().collect::<Vec<_>>(), "every exclusion constraint is tried");
    drop(db);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_booking_of_a_session_is_refused_by_the_database_itself() {
    let world = booked().await;
    let sql = "INSERT INTO appointments (practice_id, appointment_id, clinic_id, patient_id, treatment_id,
            treatment_version, series_id, session_number, body_area, state, visit, booked_at, booked_revision,
            changed_revision)
        SELECT practice_id, gen_random_uuid(), clinic_id, patient_id, treatment_id, treatment_version, series_id,
            session_number, body_area, 'booked', tstzrange('2027-01-01Z', '2027-01-02Z'), booked_at, booked_revision,
            changed_revision
        FROM appointments WHERE series_id IS NOT NULL LIMIT 1";
    let error = world.server.pool().execute(sql).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().constraint(), Some("session_is_booked_once"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_cannot_be_cancelled_without_what_it_takes_up_nor_freed_while_it_is_booked() {
    let world = booked().await;
    let mut db = world.server.pool().acquire().await.unwrap();
    for (statement, constraint) in [
        (
            "UPDATE appointments SET state = 'cancelled', cancelled_at = now(), cancel_reason = ''
             WHERE session_number = 1",
            None,
        ),
        ("UPDATE occupancies SET live = false", Some("occupancy_lives_with_its_appointment")),
        ("UPDATE spacing_windows SET live = false", Some("spacing_window_lives_with_its_appointment")),
        ("UPDATE activity_windows SET live = false", Some("activity_window_lives_with_its_appointment")),
        (
            "UPDATE spacing_windows SET patient_id = (SELECT patient_id FROM patients
                 WHERE patient_id <> spacing_windows.patient_id LIMIT 1)",
            Some("spacing_window_lives_with_its_appointment"),
        ),
        ("UPDATE appointments SET body_area = 'face' WHERE series_id IS NOT NULL", Some("session_belongs_to_series")),
    ] {
        let error = db.execute(statement).await.expect_err(statement);
        let error = error.as_database_error().unwrap_or_else(|| panic!("{statement}: {error}"));
        assert_eq!(error.code().as_deref(), Some("23503"), "{error:?}");
        if let Some(constraint) = constraint {
            assert_eq!(error.constraint(), Some(constraint), "{error:?}");
        }
    }
    drop(db);
    world.server.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assessment_is_stored_only_if_it_is_due_in_exactly_one_way() {
    let world = World::new().await;
    let mut db = world.server.pool().acquire().await.unwrap();
    for (columns, constraint) in [
        ("0, 'before_first', NULL, NULL, NULL, NULL", None),
        ("1, 'at_session', 12, NULL, NULL, NULL", None),
        ("2, 'after_last', NULL, 0, 0, 730", None),
        ("3, 'before_first', 1, NULL, NULL, NULL", Some("protocol_assessment_is_due_in_one_way")),
        ("3, 'before_first', NULL, 1, 1, 1", Some("protocol_assessment_is_due_in_one_way")),
        ("3, 'before_first', NULL, NULL, NULL, 1", Some("protocol_assessment_is_due_in_one_way")),
        ("3, 'at_session', NULL, NULL, NULL, NULL", Some("protocol_assessment_is_due_in_one_way")),
        ("3, 'at_session', 1, 1, 1, 1", Some("protocol_assessment_is_due_in_one_way")),
        ("3, 'after_last', NULL, NULL, NULL, NULL", Some("protocol_assessment_is_due_in_one_way")),
        ("3, 'after_last', NULL, 1, NULL, 1", Some("protocol_assessment_is_due_in_one_way")),
        ("3, 'after_last', 1, 1, 1, 1", Some("protocol_assessment_is_due_in_one_way")),
        ("3, 'sometimes', NULL, NULL, NULL, NULL", Some("protocol_assessment_due_kind_is_known")),
        ("3, 'at_session', 13, NULL, NULL, NULL", Some("protocol_assessment_session_is_bounded")),
        ("3, 'after_last', NULL, 2, 1, 3", Some("protocol_assessment_days_are_ordered")),
        ("3, 'after_last', NULL, 1, 2, 731", Some("protocol_assessment_days_are_ordered")),
        ("8, 'before_first', NULL, NULL, NULL, NULL", Some("protocol_assessment_position_is_bounded")),
    ] {
        let sql = format!(
            "INSERT INTO protocol_assessments (practice_id, protocol_id, version, position, due_kind, at_session,
                 minimum_days, target_days, maximum_days, name, source, grade, rationale)
             SELECT practice_id, protocol_id, version, {columns}, 'a look', '', 'own', '' FROM protocols"
        );
        let written = db.execute(AssertSqlSafe(sql)).await;
        let refused = written.err().map(|error| error.into_database_error().unwrap());
        assert_eq!(refused.as_ref().and_then(|error| error.constraint()), constraint, "{columns}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_without_an_end_or_with_both_ends_inside_is_not_stored() {
    let world = booked().await;
    for during in ["'[2030-01-01Z,infinity)'", "'[2030-01-01Z,2030-01-02Z]'", "'(2030-01-01Z,2030-01-02Z)'"] {
        let sql = format!("UPDATE appointments SET visit = {during}::tstzrange WHERE session_number = 1");
        let error = world.server.pool().execute(sqlx::AssertSqlSafe(sql)).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().constraint(), Some("visit_has_start_and_end"), "{during}");
    }
}
