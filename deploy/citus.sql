-- Distributes the tables over a Citus cluster, by practice.
--
-- What was tried, and what was not:
--
--   * This file as such has not been run on a Citus cluster. Foreign keys to a generated column (appointments.live) in
--     particular have to be checked before use.
--   * Shapes that the schema uses were seen to work on Citus 12.1 with PostgreSQL 15, one coordinator and two workers:
--     exclusion constraints that include the distribution column; inserts from UNNEST; data-modifying CTEs, which stay
--     atomic.
--   * A violated constraint came back with a shard number appended (patient_is_in_one_place_at_a_time_102144). The
--     server takes it off before it looks the name up.
--
-- How to use it, on the coordinator:
--
--   1. CREATE EXTENSION citus; add the workers; have btree_gist available on every node.
--   2. DATABASE_URL=... stipple migrate
--   3. Before any server has run and before any data is there (the migrations add one row, the deployment's own):
--
--        psql --single-transaction -v ON_ERROR_STOP=1 -f deploy/citus.sql "$DATABASE_URL"
--
--      In one transaction, so that a refusal leaves nothing half distributed.
--
-- A table comes after all that it refers to. All share practices' placement, so that a practice is on one node and a
-- booking is a transaction of one node.

SET LOCAL citus.multi_shard_modify_mode TO 'sequential';
SET LOCAL citus.shard_replication_factor TO 1;

SELECT create_distributed_table('practices', 'practice_id');
SELECT create_distributed_table('changes', 'practice_id', colocate_with => 'practices');

SELECT create_distributed_table('clinics', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('opening_hours', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('closures', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('resources', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('access_tokens', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('working_hours', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('time_off', 'practice_id', colocate_with => 'practices');

SELECT create_distributed_table('treatments', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('treatment_phases', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('treatment_needs', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('treatment_exposures', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('treatment_restrictions', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('treatment_duties', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('treatment_combinations', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('protocols', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('protocol_assessments', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('screening_rules', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('reaction_rules', 'practice_id', colocate_with => 'practices');

SELECT create_distributed_table('patients', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('series', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('appointments', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('screenings', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('screening_answers', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('clearances', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('overrides', 'practice_id', colocate_with => 'practices');

SELECT create_distributed_table('occupancies', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('spacing_windows', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('activity_windows', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('visit_records', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('reactions', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('assessment_results', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('waiting_list', 'practice_id', colocate_with => 'practices');
SELECT create_distributed_table('messages', 'practice_id', colocate_with => 'practices');
