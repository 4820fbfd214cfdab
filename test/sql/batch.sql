-- omnimsg_ingest_batch: its arguments, its order, and that one bad event fails alone.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

SELECT * FROM omnimsg_ingest(NULL, '{}');
SELECT * FROM omnimsg_ingest('telnyx', NULL);
SELECT * FROM omnimsg_ingest_batch(NULL, ARRAY['{}'::bytea]);
SELECT * FROM omnimsg_ingest_batch(ARRAY['telnyx'], NULL);
SELECT * FROM omnimsg_ingest_batch(ARRAY['telnyx'], ARRAY['{}', '{}']::bytea[]);
SELECT * FROM omnimsg_ingest_batch(ARRAY['telnyx', NULL], ARRAY['{}', '{}']::bytea[]);
SELECT * FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx'], ARRAY['{}', NULL]::bytea[]);
SELECT * FROM omnimsg_ingest_batch(ARRAY['telnyx'], ARRAY['{}']::bytea[], ARRAY['a', 'b']);
SELECT * FROM omnimsg_ingest_batch(ARRAY['telnyx'], ARRAY['{}']::bytea[], NULL, ARRAY[]::text[]);
SELECT * FROM omnimsg_ingest_batch(ARRAY[['telnyx'], ['telnyx']], ARRAY['{}', '{}']::bytea[]);
SELECT count(*) AS nothing FROM omnimsg_ingest_batch('{}', '{}');
SELECT count(*) AS events FROM omnimsg.events;

-- results in the order given; the same event twice in a batch counts once
SELECT ordinal, part, outcome, intent, reply, reason
  FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx', 'telnyx', 'telnyx', 'telnyx'], ARRAY[
	pg_temp.received('z', 'STOP', now() - interval '3 s'), pg_temp.received('a', 'hello', now() - interval '2 s'),
	pg_temp.received('z', 'STOP', now() - interval '3 s'), '{"data":', pg_temp.received('m', 'STOP', now() - interval '1 s')],
	ARRAY[NULL, 'sig', NULL, NULL, NULL], NULL, ARRAY['k', NULL, NULL, NULL, NULL]);
SELECT dedupe_key, key_id, outcome FROM omnimsg.events WHERE outcome <> 'dead' ORDER BY 1;
SELECT count(*) AS requests FROM omnimsg.opt_out_requests WHERE channel = 'sms';
SELECT count(*) AS confirmations FROM omnimsg.outbox;
-- once more, backwards
SELECT ordinal, outcome FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx'], ARRAY[
	pg_temp.received('m', 'STOP'), pg_temp.received('a', 'hello')]);

-- Somebody's trigger raises for one message: it alone is dead, with its bytes; nothing else is
-- left of it, and the others are applied with all that follows from them.
CREATE FUNCTION pg_temp.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'no % of +15555550123 here', NEW.message_body;
END
$$;
CREATE TRIGGER poison BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body = 'poison STOP')
	EXECUTE FUNCTION pg_temp.poison();
\set VERBOSITY terse
SELECT ordinal, outcome, event_type, intent, reply, reason
  FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx', 'telnyx'], ARRAY[
	pg_temp.received('p1', 'STOP', sender => '+15555550150'), pg_temp.received('p2', 'poison STOP', sender => '+15555550151'),
	pg_temp.received('p3', 'STOP', sender => '+15555550152')]);
SELECT outcome, reason FROM omnimsg_ingest('telnyx', pg_temp.received('p4', 'poison STOP', sender => '+15555550151'));
\set VERBOSITY default
DROP TRIGGER poison ON omnimsg.messages;
SELECT dedupe_key, outcome, raw = pg_temp.received(right(dedupe_key, 2), 'poison STOP', occurred_at, '+15555550151') AS bytes_kept
  FROM omnimsg.events WHERE dedupe_key ~ 'message-p' AND outcome = 'dead' ORDER BY 1;
SELECT dedupe_key, reason, raw_bytes > 0 AS has_bytes FROM omnimsg.dead_letters WHERE reason ~ 'SQLSTATE' ORDER BY 1;
SELECT address, state FROM omnimsg.consents WHERE channel = 'sms' AND address LIKE '+1555555015_' ORDER BY 1;
SELECT external_message_id FROM omnimsg.messages WHERE external_message_id LIKE 'message-p%' ORDER BY 1;
-- a constraint likewise
ALTER TABLE omnimsg.messages ADD CONSTRAINT poison CHECK (message_body <> 'poison') NOT VALID;
\set VERBOSITY terse
SELECT ordinal, outcome, reason
  FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx'], ARRAY[pg_temp.received('q1', 'poison'), pg_temp.received('q2', 'fine')]);
\set VERBOSITY default
ALTER TABLE omnimsg.messages DROP CONSTRAINT poison;
-- several in one batch, and of one that is refused only after the last row went in nobody says which it is
CREATE FUNCTION pg_temp.late_poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'not this one';
END
$$;
CREATE TRIGGER poison BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body = 'poison STOP')
	EXECUTE FUNCTION pg_temp.poison();
CREATE TRIGGER late_poison AFTER INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body = 'late poison')
	EXECUTE FUNCTION pg_temp.late_poison();
\set VERBOSITY terse
SELECT ordinal, outcome, event_type, organization_id IS NULL AS nobodys, message_id IS NULL AS no_message, intent, reply, reason
  FROM omnimsg_ingest_batch(array_fill('telnyx'::text, ARRAY[9]), ARRAY[
	pg_temp.received('l1', 'poison STOP'), pg_temp.received('l2', 'fine', sender => '+15555550162'),
	pg_temp.received('l3', 'STOP', sender => '+15555550163'), pg_temp.received('l4', 'late poison'),
	pg_temp.received('l5', 'poison STOP'), pg_temp.received('l6', 'poison STOP'), pg_temp.received('l7', 'HELP', sender => '+15555550167'),
	pg_temp.received('l4', 'late poison'), pg_temp.received('l9', 'late poison')]);
\set VERBOSITY default
DROP TRIGGER poison ON omnimsg.messages;
DROP TRIGGER late_poison ON omnimsg.messages;
SELECT dedupe_key, outcome, sqlstate, attempts, raw IS NOT NULL AS bytes_kept, message_id IS NULL AS no_message
  FROM omnimsg.events WHERE dedupe_key ~ 'message-l' ORDER BY 1;
SELECT m.external_message_id, (SELECT string_agg(l.action, ', ' ORDER BY l.action) FROM omnimsg.audit_logs l WHERE l.resource_id = m.id) AS audited
  FROM omnimsg.messages m WHERE m.external_message_id LIKE 'message-l%' ORDER BY 1;
SELECT is_conserved FROM omnimsg.conservation;
-- where it is refused later than that, all of it is undone and done in groups
CREATE TRIGGER poison BEFORE INSERT ON omnimsg.opt_out_requests FOR EACH ROW WHEN (NEW.address = '+15555550171')
	EXECUTE FUNCTION pg_temp.late_poison();
\set VERBOSITY terse
SELECT ordinal, outcome, intent, reply, reason
  FROM omnimsg_ingest_batch(array_fill('telnyx'::text, ARRAY[3]), ARRAY[
	pg_temp.received('n1', 'STOP', sender => '+15555550171'), pg_temp.received('n2', 'STOP', sender => '+15555550172'),
	pg_temp.received('n3', 'fine', sender => '+15555550173')]);
\set VERBOSITY default
DROP TRIGGER poison ON omnimsg.opt_out_requests;
SELECT dedupe_key, outcome, sqlstate, attempts FROM omnimsg.events WHERE dedupe_key ~ 'message-n' ORDER BY 1;

-- Trouble of the server is no fault of the content: it is raised, nothing of the batch is
-- there, and the caller tries again.
CREATE FUNCTION pg_temp.trouble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'disk full';
END
$$;
CREATE TRIGGER trouble BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body = 'trouble')
	EXECUTE FUNCTION pg_temp.trouble();
\set VERBOSITY terse
SELECT * FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx'], ARRAY[pg_temp.received('r1', 'fine'), pg_temp.received('r2', 'trouble')]);
\set VERBOSITY default
DROP TRIGGER trouble ON omnimsg.messages;
SELECT count(*) AS left_behind FROM omnimsg.events WHERE dedupe_key LIKE 'received:message-r%';
SELECT ordinal, outcome FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx'], ARRAY[pg_temp.received('r1', 'fine'), pg_temp.received('r2', 'trouble')]);

-- A 200 is on disk: the commit is made durable, whatever the caller has set, and only that one.
SET synchronous_commit = off;
BEGIN;
SELECT outcome FROM omnimsg_ingest('telnyx', pg_temp.received('s1', 'hello'));
SHOW synchronous_commit;
COMMIT;
SHOW synchronous_commit;
BEGIN;
SET LOCAL synchronous_commit = local;
SELECT outcome FROM omnimsg_ingest_batch(ARRAY['telnyx'], ARRAY[pg_temp.received('s2', 'hello')]);
SHOW synchronous_commit;
COMMIT;
BEGIN;
SET LOCAL synchronous_commit = remote_apply;
SELECT outcome FROM omnimsg_ingest('telnyx', pg_temp.received('s3', 'hello'));
SHOW synchronous_commit;
COMMIT;
RESET synchronous_commit;

-- other isolation levels are refused, because they cannot see what was committed meanwhile
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT outcome FROM omnimsg_ingest('telnyx', pg_temp.received('t1', 'hello'));
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT outcome FROM omnimsg_ingest_batch(ARRAY['telnyx'], ARRAY[pg_temp.received('t2', 'hello')]);
ROLLBACK;
\set SHOW_CONTEXT never
BEGIN READ ONLY;
SELECT outcome FROM omnimsg_ingest('telnyx', pg_temp.received('t3', 'hello'));
ROLLBACK;
SELECT count(*) AS left_behind FROM omnimsg.events WHERE dedupe_key LIKE 'received:message-t%';

-- settings of the session that change how values are read and written change nothing
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Kathmandu';
SET bytea_output = 'escape';
SET standard_conforming_strings = off;
SET search_path = pg_temp;
SELECT outcome, intent, reply FROM public.omnimsg_ingest('telnyx', pg_temp.received('u1', 'STOP', now() - interval '1 s', '+15555550153'));
RESET ALL;
SELECT now() - occurred_at BETWEEN '0 s' AND '1 minute' AS right_time FROM omnimsg.events WHERE dedupe_key = 'received:message-u1';
