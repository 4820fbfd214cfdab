-- What is kept without effect, and its replay.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

-- keep as the relay does; what of the result is the same in every run
CREATE FUNCTION pg_temp.keep(reason text, VARIADIC bodies bytea[])
	RETURNS TABLE (ordinal int, outcome text, event_type text, why text) LANGUAGE sql VOLATILE
AS $$
	SELECT r.ordinal, r.outcome, r.event_type, r.reason
	  FROM omnimsg_keep_dead(array_fill('telnyx'::text, ARRAY[cardinality(bodies)]), bodies, NULL,
							 array_fill(floor(extract(epoch FROM now() - interval '1 hour'))::bigint::text, ARRAY[cardinality(bodies)]),
							 array_fill('key'::text, ARRAY[cardinality(bodies)]), array_fill(reason, ARRAY[cardinality(bodies)])) r
$$;

CREATE TEMPORARY TABLE bodies AS SELECT name, pg_temp.received(name, text, now() - age) AS body
  FROM (VALUES ('s1', 'STOP', interval '1 hour'), ('s2', 'hello', '1 hour'), ('s3', 'hello', '1 hour'), ('s4', 'hello', '1 second'),
			   ('s5', 'hello', '1 second')) AS w (name, text, age);
CREATE FUNCTION pg_temp.body(name text) RETURNS bytea LANGUAGE sql STABLE RETURN (SELECT b.body FROM bodies b WHERE b.name = body.name);

SELECT * FROM pg_temp.keep('late', '{}');
SELECT * FROM pg_temp.keep(NULL, '{}');
SELECT * FROM omnimsg_keep_dead(ARRAY['telnyx'], ARRAY['{}']::bytea[], NULL, NULL, NULL, NULL);
SELECT * FROM omnimsg_keep_dead(ARRAY['telnyx'], ARRAY['{}']::bytea[], NULL, NULL, NULL, ARRAY['stale', 'stale']);
SELECT count(*) AS nothing FROM omnimsg_keep_dead('{}', '{}', NULL, NULL, NULL, '{}');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM pg_temp.keep('stale', '{}');
ROLLBACK;

-- A stale one is known by its event: the provider's second attempt has other bytes and is the same.
SELECT * FROM pg_temp.keep('stale', pg_temp.body('s1'));
SELECT * FROM pg_temp.keep('stale', convert_to(replace(convert_from(pg_temp.body('s1'), 'UTF8'),
	'"attempt": 1', '"attempt": 2'), 'UTF8'));
-- one that is in the journal already is not kept; in the order given, whatever their reasons
SELECT outcome FROM pg_temp.ingest(pg_temp.body('s2'));
SELECT * FROM pg_temp.keep('stale', pg_temp.body('s2'), pg_temp.body('s3'), '{"data":');
SELECT ordinal, outcome, reason FROM omnimsg_keep_dead(ARRAY['telnyx', 'nobody', 'telnyx'],
	ARRAY[pg_temp.body('s4'), '\x00ff', pg_temp.body('s5')], NULL, NULL, NULL, ARRAY['crashed', 'stale', 'crashed']);
-- and one that crashed the server is not looked into
SELECT * FROM pg_temp.keep('crashed', pg_temp.body('s4'));
SELECT provider, regexp_replace(dedupe_key, '[0-9a-f]{64}', 'SHA-256') AS key, event_type, occurred_at < now() - interval '50 minutes' AS old,
	   reason, sqlstate, attempts, raw_bytes > 0 AS has_bytes
  FROM omnimsg.dead_letters ORDER BY reason DESC, provider, 2;
SELECT count(*) AS whole FROM omnimsg.events
 WHERE outcome = 'dead' AND (raw IN (SELECT body FROM bodies) OR raw IN (convert_to('{"data":', 'UTF8'), '\x00ff'));
-- nothing came of any of them
SELECT count(*) AS messages FROM omnimsg.messages;
SELECT count(*) AS requests FROM omnimsg.opt_out_requests;

-- neither key keeps the event itself from being applied
SELECT outcome, intent, reply, reason FROM pg_temp.ingest(pg_temp.received('s1', 'STOP', now() - interval '1 second'));
SELECT outcome FROM pg_temp.ingest(pg_temp.body('s4'));

-- attempts are counted, those that were rolled back too: together, then alone twice; a neighbour twice
CREATE FUNCTION pg_temp.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'no';
END
$$;
CREATE TRIGGER poison BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body LIKE 'poison%')
	EXECUTE FUNCTION pg_temp.poison();
\set VERBOSITY terse
SELECT ordinal, outcome, reason FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx', 'telnyx'],
	ARRAY[pg_temp.received('p1', 'poison STOP', now() - interval '20 minutes'), pg_temp.received('p2', 'hello'), '{"data":{}}']);
\set VERBOSITY default
SELECT event_type, outcome, reason, sqlstate, attempts FROM omnimsg.events WHERE dedupe_key ~ 'p[12]$' OR raw = '{"data":{}}' ORDER BY dedupe_key DESC;
