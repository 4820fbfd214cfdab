-- omnimsg_maintain: months ahead, rows out of the default partition, what has expired; and it
-- does nothing the second time.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

-- other tests may have made months
DO $$
DECLARE
	month regclass;
BEGIN
	FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('omnimsg.messages'::regclass, 'omnimsg.audit_logs'::regclass)
					AND inhrelid::regclass::text ~ '[0-9]$' LOOP
		EXECUTE format('DROP TABLE %s', month);
	END LOOP;
END
$$;
CREATE VIEW pg_temp.months AS
	SELECT i.inhparent::regclass::text AS parent, count(*) AS months,
		   min(to_date(right(c.relname, 7), 'YYYY_MM')) = date_trunc('month', now() AT TIME ZONE 'UTC') AS from_this_month,
		   max(to_date(right(c.relname, 7), 'YYYY_MM')) = date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months' AS three_ahead
	  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	 WHERE i.inhparent IN ('omnimsg.messages'::regclass, 'omnimsg.audit_logs'::regclass) AND c.relname ~ '[0-9]$'
	 GROUP BY 1;

-- what came before the first run is in the default partition, and is moved
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'STOP'));
UPDATE omnimsg.messages SET status = 'sending', external_message_id = 'out' WHERE direction = 'outbound';
SELECT tableoid::regclass, direction, message_body IS NOT NULL AS body FROM omnimsg.messages ORDER BY 2;
SELECT action, regexp_replace(object, '[0-9]{4}_[0-9]{2}$', 'MONTH') AS object, count(*), sum(rows) AS rows FROM omnimsg_maintain() GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM pg_temp.months ORDER BY 1;
SELECT regexp_replace(tableoid::regclass::text, '[0-9]{4}_[0-9]{2}$', 'MONTH') AS table, direction, peer_address, our_address FROM omnimsg.messages ORDER BY 2;
SELECT count(*) AS left_in_default FROM (SELECT id FROM omnimsg.messages_default UNION ALL SELECT id FROM omnimsg.audit_logs_default) d;
-- the second run does nothing
SELECT * FROM omnimsg_maintain();

-- each month has the keys and indexes of the default partition
SELECT i.inhparent::regclass AS parent, count(*) AS differences
  FROM pg_inherits i
 CROSS JOIN LATERAL (
	SELECT count(*) AS n, i.inhrelid AS relation FROM pg_index x WHERE x.indrelid = i.inhrelid) own
 WHERE i.inhparent IN ('omnimsg.messages'::regclass, 'omnimsg.audit_logs'::regclass)
   AND own.n <> (SELECT count(*) FROM pg_index x WHERE x.indrelid = (i.inhparent::regclass::text || '_default')::regclass)
 GROUP BY 1;
-- and takes what comes
SELECT * FROM pg_temp.ingest(pg_temp.received('2', 'START'));
SELECT count(*) AS left_in_default FROM (SELECT id FROM omnimsg.messages_default UNION ALL SELECT id FROM omnimsg.audit_logs_default) d;
-- what left before the month was made is found by its status
SELECT outcome FROM omnimsg_ingest('telnyx', pg_temp.status('s1', 'message.sent', 'out', 'sent'));
SELECT status FROM omnimsg.messages WHERE external_message_id = 'out';

-- Months of messages past the retention are dropped; consent, requests, audit and journal stay, and the
-- journal still knows the event.
SELECT 'messages_' || to_char(now() - interval '10 months', 'YYYY_MM') AS old, date_trunc('month', now() - interval '10 months')::date AS old_month \gset
SELECT omnimsg.make_month('messages', :'old_month') AS moved, omnimsg.make_month('messages', :'old_month') IS NULL AS is_there;
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status, created_at)
	VALUES (:acme, omnimsg.uuid7(), 'inbound', 'sms', '+15555550123', '+15555550199', 'received', :'old_month'::timestamptz + interval '2 days');
SELECT count(*) AS there FROM omnimsg.messages WHERE tableoid = ('omnimsg.' || :'old')::regclass;
SELECT action, object = 'omnimsg.' || :'old' AS the_old_one, rows FROM omnimsg_maintain();
SELECT to_regclass('omnimsg.' || :'old') IS NULL AS gone;
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'STOP'));
SELECT channel, state FROM omnimsg.consents ORDER BY 1;

-- what has expired elsewhere
UPDATE omnimsg.outbox SET state = 'sent', settled_at = now() - interval '91 days' WHERE kind = 'opt_out_confirmation';
UPDATE omnimsg.outbox SET state = 'sent', settled_at = now() - interval '89 days' WHERE kind = 'opt_in_confirmation';
UPDATE omnimsg.reply_windows SET last_at = now() - interval '2 days';
INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome, raw, external_message_id) VALUES
	('telnyx', 'old', now() - interval '401 days', 'applied', NULL, NULL),
	('telnyx', 'not so old', now() - interval '399 days', 'applied', NULL, NULL),
	('telnyx', 'evidence', now() - interval '401 days', 'applied', 'x', NULL),
	('telnyx', 'dead', now() - interval '401 days', 'dead', 'x', NULL),
	('telnyx', 'waiting', now() - interval '23 hours', 'pending', 'x', 'a'),
	('telnyx', 'waited', now() - interval '25 hours', 'pending', 'x', 'b');
INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome, raw_sha256) VALUES
	('telnyx', 'erased evidence', now() - interval '401 days', 'applied', sha256('x'));
SELECT * FROM omnimsg_maintain();
SELECT dedupe_key, outcome, reason, raw IS NOT NULL AS has_bytes FROM omnimsg.events
 WHERE dedupe_key !~ '^received|^event' ORDER BY 1;
SELECT kind FROM omnimsg.outbox;
SELECT * FROM omnimsg_maintain();

-- months that nobody made in time are made when somebody comes: all of the audit trail, of messages those that are kept
SELECT date_trunc('month', now() - interval '1 month')::date AS last_month, date_trunc('month', now() - interval '10 months')::date AS old_month \gset
DO $$
DECLARE
	month regclass;
BEGIN
	FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('omnimsg.messages'::regclass, 'omnimsg.audit_logs'::regclass)
					AND inhrelid::regclass::text ~ '[0-9]$' LOOP
		EXECUTE format('DROP TABLE %s', month);
	END LOOP;
END
$$;
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status, created_at)
	SELECT :acme, omnimsg.uuid7(), 'inbound', 'sms', p, '+15555550199', 'received', t
	  FROM unnest(ARRAY[:'old_month'::timestamptz + interval '2 days', :'last_month'::timestamptz + interval '2 days', now(), '2099-01-01']) AS t,
		   unnest(ARRAY['+15555550123', '+15555550124']) AS p;
INSERT INTO omnimsg.audit_logs (organization_id, id, action, resource_type, actor, created_at)
	SELECT :acme, omnimsg.uuid7(), 'MESSAGE_VIEWED', 'message', 'role:test', t FROM unnest(ARRAY[:'old_month'::timestamptz + interval '2 days', now()]) AS t;
SELECT action, regexp_replace(object, '[0-9]{4}_[0-9]{2}$', 'MONTH') AS object, count(*), sum(rows) AS rows FROM omnimsg_maintain() GROUP BY 1, 2 ORDER BY 1, 2;
SELECT peer_address, created_at FROM omnimsg.messages_default ORDER BY 1;
SELECT count(*) AS left_in_default FROM omnimsg.audit_logs_default;
SELECT count(*) AS constraints FROM pg_constraint WHERE conname = 'of_the_month';
SELECT finding FROM omnimsg_health() WHERE finding ~ 'default|past';
DELETE FROM omnimsg.messages_default;

-- Legal holds: what they ask for
SELECT omnimsg_place_hold(NULL, NULL, 'a case');
SELECT omnimsg_place_hold('99999999-9999-7999-8999-999999999999', NULL, 'a case');
SELECT omnimsg_place_hold(:acme, NULL, ' ');
SELECT omnimsg_place_hold(:acme, NULL, NULL);
SELECT omnimsg_place_hold(:acme, '', 'a case');
SELECT omnimsg_place_hold(:acme, 'nobody', 'a case');
SELECT omnimsg_release_hold('99999999-9999-7999-8999-999999999999'), omnimsg_release_hold(NULL);
SELECT omnimsg_place_hold(:acme, '(555) 555-0123', 'Doe v. Acme') AS hold \gset
SELECT address, reason, placed_by ~ '^role:' AS by_role, released_at FROM omnimsg.legal_holds;

-- what is held outlives its month, with its outbox item and its row of the journal; nothing else does
SELECT omnimsg.make_month('messages', :'old_month') AS moved;
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, created_at)
	SELECT :acme, ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'inbound', 'sms', '+1555555012' || n, '+15555550199', 'text ' || n, 'received', :'old_month'::timestamptz + interval '2 days'
	  FROM generate_series(3, 4) AS n;
TRUNCATE omnimsg.outbox, omnimsg.events, omnimsg.event_counts;
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, state, next_attempt_at, expires_at, created_at, settled_at)
	SELECT m.organization_id, m.id, m.id, 'conversation', 'sent', m.created_at, m.created_at, m.created_at, m.created_at FROM omnimsg.messages m WHERE m.message_body ~ '^text';
INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome, organization_id, message_id)
	SELECT 'telnyx', 'of ' || m.message_body, now() - interval '401 days', 'applied', m.organization_id, m.id FROM omnimsg.messages m WHERE m.message_body ~ '^text';
SELECT action, regexp_replace(object, '[0-9]{4}_[0-9]{2}$', 'MONTH') AS object, rows FROM omnimsg_maintain();
SELECT tableoid::regclass, message_body FROM omnimsg.messages WHERE message_body ~ '^text';
SELECT (SELECT string_agg(id::text, ' ') FROM omnimsg.outbox) AS outbox, (SELECT string_agg(dedupe_key, ' ') FROM omnimsg.events) AS events;
SELECT finding FROM omnimsg_health() WHERE finding ~ 'default|past';
SELECT * FROM omnimsg_maintain();
-- until the hold is released
SELECT omnimsg_release_hold(:'hold'), omnimsg_release_hold(:'hold');
SELECT finding FROM omnimsg_health() WHERE finding ~ 'default|past';
SELECT * FROM omnimsg_maintain();
SELECT count(*) FROM omnimsg.messages WHERE message_body ~ '^text';
SELECT action, resource_type, resource_id = :'hold' AS of_the_hold, actor ~ '^role:' AS by_role, new_value FROM omnimsg.audit_logs WHERE action ~ 'HOLD' ORDER BY id;
-- a hold on everything
SELECT omnimsg_place_hold(:acme, NULL, 'Doe v. Acme') AS hold \gset
SELECT omnimsg.make_month('messages', :'old_month') AS moved;
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, created_at)
	SELECT :acme, omnimsg.uuid7(), 'inbound', 'sms', '+1555555012' || n, '+15555550199', 'text ' || n, 'received', :'old_month'::timestamptz + interval '2 days' FROM generate_series(3, 4) AS n;
SELECT action, rows FROM omnimsg_maintain();
SELECT tableoid::regclass, message_body FROM omnimsg.messages WHERE message_body ~ '^text' ORDER BY 2;
-- of two months one in a call: what is held moves while webhooks wait
SELECT omnimsg.make_month('messages', '2020-01-01'), omnimsg.make_month('messages', '2020-02-01');
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, created_at)
	SELECT :acme, omnimsg.uuid7(), 'inbound', 'sms', '+1555555012' || n, '+15555550199', 'text ' || n, 'received', ('2020-0' || n || '-02 UTC')::timestamptz FROM generate_series(1, 2) AS n;
SELECT * FROM omnimsg_maintain();
SELECT * FROM omnimsg_maintain();
SELECT count(*) FROM omnimsg.messages_default WHERE message_body ~ '^text';
SELECT omnimsg_release_hold(:'hold');
SELECT action, rows FROM omnimsg_maintain();
-- one on so much that moving it would lock the messages for long: the month stays, without what is not held, until the hold is released
SELECT omnimsg_place_hold(:acme, NULL, 'Doe v. Acme') AS hold \gset
SELECT omnimsg.make_month('messages', :'old_month') AS moved;
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, created_at)
	SELECT CASE WHEN n <= 10001 THEN :acme ELSE :unassigned END::uuid, omnimsg.uuid7(), 'inbound', 'sms', '+15555550123', '+15555550199', 'text', 'received', :'old_month'::timestamptz + interval '2 days'
	  FROM generate_series(1, 10005) AS n;
SELECT action, object = 'omnimsg.' || :'old' AS the_old_one, rows FROM omnimsg_maintain();
SELECT action, rows FROM omnimsg_maintain();
SELECT tableoid = ('omnimsg.' || :'old')::regclass AS the_old_one, organization_id = :acme AS held, count(*) FROM omnimsg.messages WHERE message_body = 'text' GROUP BY 1, 2;
SELECT finding FROM omnimsg_health() WHERE finding ~ 'default|past';
SELECT omnimsg_release_hold(:'hold');
SELECT finding FROM omnimsg_health() WHERE finding ~ 'default|past';
SELECT action, object = 'omnimsg.' || :'old' AS the_old_one, rows FROM omnimsg_maintain();
DELETE FROM omnimsg.legal_holds;

-- twenty thousand rows of a kind in a call, and then it says that there may be more
INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome)
	SELECT 'telnyx', n::text, now() - interval '401 days', CASE n % 2 WHEN 0 THEN 'applied' ELSE 'ignored' END FROM generate_series(1, 23000) AS n;
SELECT * FROM omnimsg_maintain();
SELECT * FROM omnimsg_maintain();
SELECT * FROM omnimsg_maintain();
SELECT purged_applied, purged_ignored FROM omnimsg.event_counts;

-- A snapshot of before would have neither the hold that was placed meanwhile nor the rows that were moved.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM omnimsg_maintain();
ROLLBACK;

-- A table that only looks like pg_cron's is nobody's business of ours: its trigger would run with our rights.
CREATE SCHEMA cron;
CREATE TABLE cron.job_run_details (command text, start_time timestamptz, end_time timestamptz);
INSERT INTO cron.job_run_details VALUES ('SELECT * FROM public.omnimsg_maintain()', now() - interval '30 days', now() - interval '30 days');
SELECT * FROM omnimsg_maintain();
SELECT count(*) FROM cron.job_run_details;
DROP SCHEMA cron CASCADE;

-- how the caller reads and writes times makes no difference to the bounds of a month
SET datestyle = 'German';
SET timezone = 'Asia/Kolkata';
SELECT omnimsg.make_month('messages', '2034-05-01');
SELECT pg_get_expr(c.relpartbound, c.oid) = 'FOR VALUES FROM (''01.05.2034 05:30:00 IST'') TO (''01.06.2034 05:30:00 IST'')' AS in_utc
  FROM pg_class c WHERE c.oid = 'omnimsg.messages_2034_05'::regclass;
RESET datestyle;
RESET timezone;
DROP TABLE omnimsg.messages_2034_05;
