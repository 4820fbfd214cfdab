-- what planning and execution of "the newest 20 texts of an account" take, by plan, in a database of bench/scaling.sql: psql -f bench/read.sql DATABASE
--
-- Medians of 300 accounts, each asked for three times: the first time its pages may have to be read.  What planning of a generic plan takes is locking its partitions.
\set ON_ERROR_STOP on
PREPARE read (uuid, uuid) AS SELECT id, direction, message_body, created_at FROM omnimsg.messages
	WHERE organization_id = $1 AND account_id = $2 ORDER BY created_at DESC LIMIT 20;
PREPARE since_value (uuid, uuid, timestamptz) AS SELECT id, direction, message_body, created_at FROM omnimsg.messages
	WHERE organization_id = $1 AND account_id = $2 AND created_at > $3 ORDER BY created_at DESC LIMIT 20;
PREPARE since_now (uuid, uuid) AS SELECT id, direction, message_body, created_at FROM omnimsg.messages
	WHERE organization_id = $1 AND account_id = $2 AND created_at > now() - interval '20 days' ORDER BY created_at DESC LIMIT 20;
CREATE TEMPORARY TABLE took (statement text, mode text, again bool, scans int, planning float8, execution float8);

DO $do$
DECLARE
	which record;
	n bigint;
	found jsonb;
BEGIN
	FOR which IN SELECT * FROM generate_series(1, 300), unnest(ARRAY['read', 'since_value', 'since_now']) AS s (statement), unnest(ARRAY['custom', 'generic']) AS m (mode)
	LOOP
		PERFORM set_config('plan_cache_mode', format('force_%s_plan', which.mode), true);
		n := floor(random() * 10000);
		FOR again IN 0 .. 2
		LOOP
			EXECUTE format('EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE %s(%L, %L %s)', which.statement, bench.organization(n), bench.account(n),
				CASE which.statement WHEN 'since_value' THEN ', now() - interval ''20 days''' END) INTO found;
			INSERT INTO took SELECT which.statement, which.mode, again > 0,
				jsonb_array_length(jsonb_path_query_array(found, 'strict $.**."Relation Name"')), (found -> 0 ->> 'Planning Time')::float8, (found -> 0 ->> 'Execution Time')::float8;
		END LOOP;
	END LOOP;
END
$do$;

SELECT statement, mode AS plan, max(scans) AS partitions,
	   round(percentile_cont(0.5) WITHIN GROUP (ORDER BY planning)::numeric, 2) AS planning_ms,
	   round(percentile_cont(0.5) WITHIN GROUP (ORDER BY execution) FILTER (WHERE again)::numeric, 2) AS execution_ms,
	   round(percentile_cont(0.5) WITHIN GROUP (ORDER BY execution) FILTER (WHERE NOT again)::numeric, 2) AS first_time_ms
  FROM took GROUP BY statement, mode ORDER BY statement, mode;
-- which has to read what the catalog says of each partition
SELECT round(planning::numeric, 1) AS first_planning_of_the_connection_ms FROM took LIMIT 1;
