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
SELECT * FROM omnimsg_maintain();
SELECT dedupe_key, outcome, reason, raw IS NOT NULL AS has_bytes FROM omnimsg.events
 WHERE dedupe_key !~ '^received|^event' ORDER BY 1;
SELECT kind FROM omnimsg.outbox;
SELECT * FROM omnimsg_maintain();
