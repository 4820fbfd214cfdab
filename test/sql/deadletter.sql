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

-- attempts are counted, those that were rolled back too: with the others, then by itself; the neighbours are tried once
CREATE FUNCTION pg_temp.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'no';
END
$$;
CREATE TRIGGER poison BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.external_message_id = 'message-p1')
	EXECUTE FUNCTION pg_temp.poison();
\set VERBOSITY terse
SELECT ordinal, outcome, reason FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx', 'telnyx'],
	ARRAY[pg_temp.received('p1', 'STOP', now() - interval '20 minutes', '+15555550160'), pg_temp.received('p2', 'hello'), '{"data":{}}']);
\set VERBOSITY default
SELECT event_type, outcome, reason, sqlstate, attempts FROM omnimsg.events WHERE dedupe_key ~ 'p[12]$' OR raw = '{"data":{}}' ORDER BY dedupe_key DESC;

-- ---- replay ----

CREATE FUNCTION pg_temp.state(OUT events bigint, OUT messages bigint, OUT requests bigint, OUT outbox bigint,
		OUT windows bigint, OUT audit bigint, OUT counts bigint) LANGUAGE sql STABLE
AS $$
	SELECT (SELECT count(*) FROM omnimsg.events), (SELECT count(*) FROM omnimsg.messages), (SELECT count(*) FROM omnimsg.opt_out_requests),
		   (SELECT count(*) FROM omnimsg.outbox), (SELECT count(*) FROM omnimsg.reply_windows), (SELECT count(*) FROM omnimsg.audit_logs),
		   (SELECT sum(received + duplicates) FROM omnimsg.event_counts)
$$;
CREATE FUNCTION pg_temp.replay(key text, dry_run boolean DEFAULT false)
	RETURNS TABLE (outcome text, event_type text, organization_id uuid, account boolean, message boolean, intent text, reply text, reason text) LANGUAGE sql VOLATILE
AS $$
	SELECT r.outcome, r.event_type, r.organization_id, r.account_id IS NOT NULL, r.message_id IS NOT NULL, r.intent, r.reply, r.reason
	  FROM omnimsg_replay_dead_letter('telnyx', key, dry_run) r
$$;
SELECT * FROM omnimsg_replay_dead_letter('telnyx', 'received:message-unheard-of');
SELECT * FROM omnimsg_replay_dead_letter('telnyx', NULL);
SELECT * FROM omnimsg_replay_dead_letter('telnyx', 'received:message-p1', NULL);
SELECT * FROM omnimsg_replay_dead_letters(max_count => 0);

-- while the cause is there it stays dead
\set VERBOSITY terse
SELECT * FROM pg_temp.replay('received:message-p1');
\set VERBOSITY default
SELECT dedupe_key, reason, sqlstate, attempts, raw_bytes > 0 AS has_bytes FROM omnimsg.dead_letters WHERE dedupe_key ~ 'p1';
CREATE OR REPLACE FUNCTION pg_temp.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'no';
END
$$;
\set VERBOSITY terse
SELECT outcome, reason FROM pg_temp.replay('received:message-p1');
\set VERBOSITY default
SELECT dedupe_key, reason, sqlstate, attempts, raw_bytes > 0 AS has_bytes FROM omnimsg.dead_letters WHERE dedupe_key ~ 'p1';
-- trouble of the server is the caller's, as in ingest
CREATE OR REPLACE FUNCTION pg_temp.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'disk full';
END
$$;
\set VERBOSITY terse
SELECT outcome, reason FROM pg_temp.replay('received:message-p1');
\set VERBOSITY default
DROP TRIGGER poison ON omnimsg.messages;

SELECT outcome, intent FROM pg_temp.ingest(pg_temp.received('p3', 'START', now() - interval '10 minutes', '+15555550160'));
-- What would come of it, and nothing does: not a row.  A confirmation that late is not sent.
SELECT * FROM pg_temp.state() \gset before_
SELECT * FROM pg_temp.replay('received:message-p1', dry_run => true);
SELECT s.events - :before_events AS events, s.messages - :before_messages AS messages, s.requests - :before_requests AS requests, s.outbox - :before_outbox AS outbox,
	   s.windows - :before_windows AS windows, s.audit - :before_audit AS audit, s.counts - :before_counts AS counts FROM pg_temp.state() s;
SELECT count(*) AS still_dead FROM omnimsg.dead_letters WHERE dedupe_key ~ 'p1' AND attempts = 4;
SELECT * FROM pg_temp.replay('received:message-p1');
SELECT s.events - :before_events AS events, s.messages - :before_messages AS messages, s.requests - :before_requests AS requests, s.outbox - :before_outbox AS outbox,
	   s.windows - :before_windows AS windows, s.audit - :before_audit AS audit, s.counts - :before_counts AS counts FROM pg_temp.state() s;
-- it counts from its provider's time: a START since then is younger, and holds
SELECT state, request_type FROM omnimsg.consents c JOIN omnimsg.opt_out_requests q ON q.id = c.request_id WHERE c.address = '+15555550160' AND c.channel = 'sms';
SELECT q.request_type, now() - q.occurred_at BETWEEN '20 minutes' AND '21 minutes' AS of_then FROM omnimsg.opt_out_requests q
 WHERE q.dedupe_key = 'received:message-p1' AND q.channel = 'sms';
SELECT outcome, reason, sqlstate, attempts, raw IS NOT NULL AS evidence FROM omnimsg.events WHERE dedupe_key = 'received:message-p1';
-- once more, by hand and by the provider
SELECT * FROM pg_temp.replay('received:message-p1');
SELECT outcome FROM pg_temp.ingest(pg_temp.received('p1', 'STOP', now() - interval '20 minutes', '+15555550160'));
SELECT s.events - :before_events AS events, s.messages - :before_messages AS messages, s.requests - :before_requests AS requests, s.outbox - :before_outbox AS outbox,
	   s.windows - :before_windows AS windows, s.audit - :before_audit AS audit FROM pg_temp.state() s;
-- audited each time that it was run, by whom, with ids only
SELECT action, resource_type, resource_id, actor = 'role:' || session_user AS by_us, organization_id, new_value
  FROM omnimsg.audit_logs WHERE action = 'DEAD_LETTER_REPLAYED' ORDER BY id;

-- Stale: claimed as the event that it is, and settled.
SELECT * FROM pg_temp.replay('stale:received:message-s3');
SELECT dedupe_key, outcome, reason, attempts, raw IS NULL AS no_bytes FROM omnimsg.events WHERE dedupe_key ~ 'message-s3$' ORDER BY 1;
SELECT outcome, reason FROM pg_temp.replay('stale:received:message-s3');
SELECT outcome FROM pg_temp.ingest(pg_temp.body('s3'));
-- and one whose event came since
SELECT outcome, reason FROM pg_temp.replay('stale:received:message-s1', dry_run => true);
SELECT outcome, reason FROM pg_temp.replay('stale:received:message-s1');
SELECT dedupe_key, outcome, reason FROM omnimsg.events WHERE dedupe_key ~ 'message-s1$' ORDER BY 1;
SELECT count(*) AS requests_of_s1 FROM omnimsg.opt_out_requests WHERE dedupe_key ~ 's1$' AND channel = 'sms';
-- one without any time of its own happened when it first came, not now
SELECT outcome FROM pg_temp.keep('stale', convert_to('{"data":{"event_type":"message.received","id":"e","payload":{"id":"timeless","type":"SMS",
	"from":{"phone_number":"+15555550177"},"to":[{"phone_number":"+15555550199"}],"text":"STOP"}}}', 'UTF8'));
UPDATE omnimsg.events SET signed_at = NULL, received_at = now() - interval '2 hours' WHERE dedupe_key = 'stale:received:timeless';
SELECT outcome, intent, reply, reason FROM pg_temp.replay('stale:received:timeless');
SELECT now() - occurred_at > '110 minutes' AS of_then FROM omnimsg.opt_out_requests WHERE address = '+15555550177' AND channel = 'sms';

-- crashed: by the key of the event as well; one that cannot be read stays
SELECT dedupe_key AS crashed FROM omnimsg.events WHERE raw = pg_temp.body('s5') \gset
SELECT outcome, message, reason FROM pg_temp.replay(:'crashed');
SELECT outcome, reason, attempts FROM omnimsg.events WHERE dedupe_key IN (:'crashed', 'received:message-s5') ORDER BY outcome;
SELECT ordinal, outcome, reason FROM omnimsg_replay_dead_letters('stale');
SELECT reason, sqlstate, attempts FROM omnimsg.dead_letters ORDER BY reason, provider;

-- What an older version could not read and kept under the hash of its body is claimed under the key of the event, too.
INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome, reason, raw)
	SELECT 'telnyx', encode(sha256(body), 'hex'), now() - interval '1 hour', 'dead', 'a word of the old version', body
	  FROM (SELECT pg_temp.received(n, 'STOP', now() - interval '1 hour', sender => '+1555555017' || n) AS body FROM (VALUES ('1'), ('2')) AS v (n)) AS w;
INSERT INTO omnimsg.event_counts (provider, received, counted_at) VALUES ('telnyx', 2, now());
SELECT outcome FROM pg_temp.ingest(pg_temp.received('1', 'STOP', now() - interval '1 hour', sender => '+15555550171'));
SELECT outcome, intent, reply, reason FROM omnimsg_replay_dead_letters('a word', dry_run => true) ORDER BY outcome;
SELECT outcome, intent, reply, reason FROM omnimsg_replay_dead_letters('a word') ORDER BY outcome;
SELECT outcome FROM pg_temp.ingest(pg_temp.received('2', 'STOP', now() - interval '1 hour', sender => '+15555550172'));
SELECT count(*) AS messages FROM omnimsg.messages WHERE from_number LIKE '+1555555017_' AND external_message_id IN ('message-1', 'message-2');

-- In bulk, oldest first; neither one that still fails nor one that somebody has locked stops the others.
CREATE TRIGGER poison BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body LIKE 'poison%')
	EXECUTE FUNCTION pg_temp.poison();
CREATE OR REPLACE FUNCTION pg_temp.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = CASE WHEN NEW.message_body = 'poison lock' THEN 'lock_not_available' ELSE 'P0001' END;
END
$$;
SELECT ordinal, outcome FROM omnimsg_keep_dead(array_fill('telnyx'::text, ARRAY[4]), ARRAY[
	pg_temp.received('b1', 'hello'), pg_temp.received('b2', 'poison'), pg_temp.received('b3', 'poison lock'), pg_temp.received('b4', 'hello')],
	NULL, NULL, NULL, array_fill('stale'::text, ARRAY[4]));
UPDATE omnimsg.events SET received_at = now() - (interval '1 minute' * right(dedupe_key, 1)::int) WHERE dedupe_key ~ '^stale:received:message-b';
\set VERBOSITY terse
SELECT ordinal, outcome, reason FROM omnimsg_replay_dead_letters('stale', 3);
\set VERBOSITY default
SELECT dedupe_key, outcome, reason, attempts FROM omnimsg.events WHERE dedupe_key ~ 'message-b[1-4]$' ORDER BY 1;
DROP TRIGGER poison ON omnimsg.messages;
SELECT ordinal, outcome FROM omnimsg_replay_dead_letters('stale') ORDER BY 1;
SELECT count(*) AS left_open FROM omnimsg.dead_letters WHERE reason ^@ 'stale';

-- An event that is as old as the journal may have been applied and forgotten: it is not applied now.  A STOP is never forgotten.
SELECT ordinal, outcome FROM omnimsg_keep_dead(array_fill('telnyx'::text, ARRAY[2]), ARRAY[
	pg_temp.received('c1', 'hello'), pg_temp.received('c2', 'STOP')], NULL, NULL, NULL, array_fill('stale'::text, ARRAY[2]));
UPDATE omnimsg.events SET received_at = now() - interval '401 days' WHERE dedupe_key ~ '^stale:received:message-c';
SELECT outcome, reason FROM omnimsg_replay_dead_letters('stale') ORDER BY 1;
SELECT dedupe_key, outcome, attempts FROM omnimsg.events WHERE dedupe_key ~ 'message-c[12]$' ORDER BY 1;
-- Nor is a recording of then that comes today, with a time that was signed then
SELECT ordinal, outcome FROM omnimsg_keep_dead(ARRAY['telnyx'], ARRAY[pg_temp.received('c3', 'hello')], NULL,
	ARRAY[extract(epoch FROM date_trunc('second', now()) - interval '401 days')::bigint::text], NULL, ARRAY['stale']);
SELECT outcome, reason FROM omnimsg_replay_dead_letters('stale');
SELECT received - applied - ignored - dead - pending AS difference, is_conserved FROM omnimsg.conservation ORDER BY provider;
