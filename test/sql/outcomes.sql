-- What an event tells of the attempt that it names: whatever became of the item meanwhile, it was accepted, once.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

-- items in every state, after three attempts; n is in their ids
CREATE FUNCTION pg_temp.item(n int) RETURNS uuid LANGUAGE sql IMMUTABLE
	RETURN ('01909f3c-7a5e-7b1d-8c2f-' || lpad(n::text, 12, '0'))::uuid;
CREATE FUNCTION pg_temp.queue(n int, state text, status text DEFAULT NULL, kind text DEFAULT 'notification',
		organization uuid DEFAULT '11111111-1111-7111-8111-111111111111') RETURNS void LANGUAGE sql AS $$
	INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body,
			status, provider, error_detail, created_at)
		VALUES (organization, pg_temp.item(n), 'outbound', 'sms', '+15555550199', '+15555550123', 'hi',
			coalesce(status, state), 'telnyx', CASE state WHEN 'unknown' THEN 'Timeout was reached' END, now());
	INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, state, attempts, next_attempt_at, lease_token,
			leased_until, expires_at, created_at, settled_at, next_look_at)
		VALUES (organization, pg_temp.item(n), pg_temp.item(n), kind, state, 3, now(),
			CASE WHEN state IN ('leased', 'sending') THEN pg_temp.item(0) END,
			CASE WHEN state IN ('leased', 'sending') THEN now() + interval '1 hour' END, now() + interval '1 hour', now(),
			CASE WHEN state NOT IN ('queued', 'leased', 'sending', 'unknown') THEN now() END,
			CASE WHEN state = 'unknown' THEN now() END);
$$;
CREATE FUNCTION pg_temp.url(n int, attempt text DEFAULT '3') RETURNS jsonb LANGUAGE sql IMMUTABLE
	RETURN jsonb_build_object('webhook_url', format('https://relay.example.com/webhooks/telnyx?ob=%s.%s', pg_temp.item(n), attempt));
CREATE VIEW pg_temp.items AS
	SELECT right(o.id::text, 2)::int AS n, o.state, o.lease_token IS NOT NULL AS leased, o.settled_at IS NOT NULL AS settled,
		   o.next_look_at IS NOT NULL AS looked_at, m.status, m.external_message_id AS id, m.error_detail AS error,
		   (SELECT string_agg(a.action || coalesce(' ' || (a.new_value->>'reason'), ''), ', ' ORDER BY a.id) FROM omnimsg.audit_logs a WHERE a.resource_id = m.id) AS audit
	  FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id;

-- the attempt is being sent, or nobody knows: the event comes before our own record, or instead of it
SELECT FROM pg_temp.queue(1, 'sending');
SELECT FROM pg_temp.queue(2, 'unknown');
SELECT FROM pg_temp.queue(3, 'unknown', kind => 'opt_out_confirmation');
SELECT * FROM pg_temp.ingest(pg_temp.status('1', 'message.sent', 'a', 'sent', more => pg_temp.url(1)));
SELECT * FROM pg_temp.ingest(pg_temp.status('2', 'message.finalized', 'b', 'delivered', more => pg_temp.url(2)));
SELECT * FROM pg_temp.ingest(pg_temp.status('3', 'message.finalized', 'c', 'delivery_failed',
	more => pg_temp.url(3) || '{"errors": [{"code": "40008", "title": "Undeliverable"}]}'));
SELECT * FROM pg_temp.items ORDER BY n;
-- what comes after that is known by the id, and the attempt is accepted once
SELECT * FROM pg_temp.ingest(pg_temp.status('4', 'message.finalized', 'a', 'delivered', more => pg_temp.url(1)));
SELECT * FROM pg_temp.ingest(pg_temp.status('5', 'message.sent', 'b', 'sent', more => pg_temp.url(2)));
SELECT * FROM pg_temp.items WHERE n <= 2 ORDER BY n;

-- both events in one batch, in the wrong order, with one of another item between them
SELECT FROM pg_temp.queue(4, 'unknown');
SELECT FROM pg_temp.queue(5, 'sending');
SELECT ordinal, outcome FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx', 'telnyx'], ARRAY[
	pg_temp.status('6', 'message.finalized', 'd', 'delivered', more => pg_temp.url(4)),
	pg_temp.status('7', 'message.sent', 'e', 'sent', more => pg_temp.url(5)),
	pg_temp.status('8', 'message.sent', 'd', 'sent', more => pg_temp.url(4))]);
SELECT * FROM pg_temp.items WHERE n IN (4, 5) ORDER BY n;

-- an earlier attempt was accepted after all: the next one is not made, and what it was closed as does not matter
SELECT FROM unnest(ARRAY['queued', 'leased', 'sending', 'expired', 'failed', 'suppressed']) WITH ORDINALITY AS s (state, n),
	pg_temp.queue(9 + n::int, s.state, CASE s.state WHEN 'queued' THEN 'unknown' WHEN 'leased' THEN 'unknown' WHEN 'suppressed' THEN 'blocked' END);
SELECT outcome FROM generate_series(10, 15) n, pg_temp.ingest(pg_temp.status(n::text, 'message.sent', 'f' || n, 'sent', more => pg_temp.url(n, '1')));
SELECT * FROM pg_temp.items WHERE n >= 10 ORDER BY n;

-- meta.delivered_to says the same where the payload does not
SELECT FROM pg_temp.queue(20, 'unknown');
SELECT * FROM pg_temp.ingest(convert_to(replace(convert_from(pg_temp.status('20', 'message.sent', 'g', 'sent'), 'UTF8'),
	'"https://relay.example.com/webhooks/telnyx"', format('"https://relay.example.com/webhooks/telnyx?ob=%s.3"', pg_temp.item(20))), 'UTF8'));
SELECT n, state, id FROM pg_temp.items WHERE n = 20;

-- Not evidence: an attempt that was never made; something that is no token; another organization's item, whose
-- number it did not leave from.  Those wait for a message, as before.
INSERT INTO omnimsg.organizations (id, name) VALUES ('44444444-4444-7444-8444-444444444444', 'Beta');
SELECT FROM pg_temp.queue(21, 'unknown');
SELECT FROM pg_temp.queue(22, 'unknown', organization => '44444444-4444-7444-8444-444444444444');
SELECT * FROM pg_temp.ingest(pg_temp.status('21', 'message.sent', 'h', 'sent', more => pg_temp.url(21, '4')));
SELECT * FROM pg_temp.ingest(pg_temp.status('22', 'message.sent', 'i', 'sent', more => pg_temp.url(21, '03')));
SELECT * FROM pg_temp.ingest(pg_temp.status('23', 'message.sent', 'j', 'sent', more => pg_temp.url(22)));
SELECT n, state, id FROM pg_temp.items WHERE n IN (21, 22) ORDER BY n;

-- a second text that was accepted, too: its events are the message's, which keeps the first id
SELECT * FROM pg_temp.ingest(pg_temp.status('24', 'message.sent', 'second', 'sent', more => pg_temp.url(1, '2')));
SELECT n, state, id, status, audit FROM pg_temp.items WHERE n = 1;

-- the confirmation of an opt-out is never sent again, whatever anybody writes
INSERT INTO omnimsg.unknown_policies VALUES (:acme, 'opt_out_confirmation', 'resend');
INSERT INTO omnimsg.unknown_policies VALUES (:acme, 'opt_out_confirmation', 'hold'), (:acme, 'notification', 'resend');
UPDATE omnimsg.unknown_policies SET on_unknown = 'resend';

-- where the provider reports: one URL, https or this machine, without a query of its own
SET omnimsg.webhook_url = 'https://relay.example.com/webhooks/telnyx';
ALTER SYSTEM SET omnimsg.webhook_url = 'http://relay.example.com/webhooks/telnyx';
ALTER SYSTEM SET omnimsg.webhook_url = 'https://relay.example.com/webhooks/telnyx?a=b';
ALTER SYSTEM SET omnimsg.webhook_url = 'https://user@relay.example.com/';
