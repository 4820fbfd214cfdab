-- One message.received with all its fields: journal row, message, link to the account,
-- last_contact_at and audit row, in one transaction; and the same event again has no effect.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

BEGIN;
SELECT outcome, event_type, organization_id = :acme AS of_acme, account_id, intent, reply, reason
  FROM omnimsg_ingest('telnyx', pg_temp.received('1', 'Hello, I paid on Friday', now() - interval '2 s'),
		'c2lnbmF0dXJl', floor(extract(epoch FROM now()))::bigint::text, 'key');
SELECT provider, dedupe_key, event_type, organization_id = :acme AS of_acme, outcome, reason, key_id,
	   occurred_at = now() - interval '2 s' AS provider_time, signed_at = date_trunc('second', now()) AS signed,
	   signature, raw
  FROM omnimsg.events;
\x on
SELECT m.organization_id = e.organization_id AND m.id = e.message_id AS of_journal, account_id, direction, channel,
	   from_number, to_number, peer_address, our_address, cc, subject, message_body, media, status,
	   m.external_message_id, m.provider, intent, error_code, parts, cost_amount, cost_currency,
	   sent_at, delivered_at, failed_at
  FROM omnimsg.messages m, omnimsg.events e;
\x off
SELECT name, last_contact_at = now() - interval '2 s' AS contacted, sms_consent FROM omnimsg.collection_accounts ORDER BY id;
SELECT l.action, l.resource_type, l.resource_id = m.id AS of_message, l.actor, l.old_value, l.new_value,
	   l.xid = pg_current_xact_id() AS same_transaction
  FROM omnimsg.audit_logs l, omnimsg.messages m;
COMMIT;

-- delivered once more, as it was and as a new event of the same message
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'Hello, I paid on Friday'));
SELECT * FROM pg_temp.ingest(convert_to(replace(convert_from(pg_temp.received('1', 'Hello'), 'UTF8'),
		'event-1', 'event-1-again'), 'UTF8'));
SELECT (SELECT count(*) FROM omnimsg.events) AS events, (SELECT count(*) FROM omnimsg.messages) AS messages,
	   (SELECT count(*) FROM omnimsg.audit_logs) AS audit_logs;

-- nothing of a transaction that does not commit
BEGIN;
SELECT * FROM pg_temp.ingest(pg_temp.received('2', 'STOP'));
ROLLBACK;
SELECT (SELECT count(*) FROM omnimsg.events) AS events, (SELECT count(*) FROM omnimsg.messages) AS messages,
	   (SELECT count(*) FROM omnimsg.audit_logs) AS audit_logs, (SELECT count(*) FROM omnimsg.consents) AS consents,
	   (SELECT count(*) FROM omnimsg.outbox) AS outbox;

-- pictures without text, both spellings of their hash; subject; a cost that is a number
SELECT * FROM pg_temp.ingest(pg_temp.received('3', NULL, more => '{"type": "MMS", "subject": "roof", "parts": "2",
	"cost": {"amount": 0.02, "currency": "USD"},
	"media": [{"url": "https://media.example.com/1", "content_type": "image/png", "size": 1200, "sha256": "ab"},
			  {"url": null, "content_type": null, "size": null, "hash_sha256": "cd"}]}'));
SELECT message_body, subject, media, parts, cost_amount FROM omnimsg.messages WHERE external_message_id = 'message-3';

-- a time ahead of the signature counts as the time of the signature; an unreadable one, as the time
-- of the event
SELECT * FROM pg_temp.ingest(pg_temp.received('4', 'hello', now() + interval '1 year'));
SELECT * FROM pg_temp.ingest(pg_temp.received('5', 'hello', more => '{"received_at": "yesterday"}'));
SELECT dedupe_key, occurred_at = signed_at AS as_signed, abs(extract(epoch FROM occurred_at - now())) < 60 AS recent
  FROM omnimsg.events WHERE dedupe_key IN ('received:message-4', 'received:message-5') ORDER BY 1;

-- last_contact_at only moves forward
SELECT * FROM pg_temp.ingest(pg_temp.received('6', 'an old one', now() - interval '3 days'));
SELECT name, last_contact_at > now() - interval '1 hour' AS still_new FROM omnimsg.collection_accounts ORDER BY id;

-- An unknown sender is stored without an account, as is one whom nobody can answer; a number
-- nobody owns is stored under 'unassigned'.
SELECT * FROM pg_temp.ingest(pg_temp.received('7', 'who is this', sender => '+15555550160'));
SELECT * FROM pg_temp.ingest(pg_temp.received('8', 'your code is 1', sender => '262966'));
SELECT * FROM pg_temp.ingest(pg_temp.received('9', 'sale', sender => 'ACME Corp'));
SELECT * FROM pg_temp.ingest(pg_temp.received('10', 'hello', receiver => '+15555550188'));
SELECT external_message_id, organization_id = :acme AS of_acme, organization_id = :unassigned AS unassigned,
	   from_number, account_id
  FROM omnimsg.messages WHERE external_message_id IN ('message-7', 'message-8', 'message-9', 'message-10')
 ORDER BY id;

-- Of several accounts with the phone: as primary before secondary, then the newest contact,
-- then the lowest id.
INSERT INTO omnimsg.collection_accounts (organization_id, id, name, primary_phone, secondary_phone, last_contact_at) VALUES
	(:acme, '33333333-3333-7333-8333-333333333311', 'secondary, new', '+15555550150', '+15555550151', now()),
	(:acme, '33333333-3333-7333-8333-333333333314', 'primary', '+15555550151', NULL, NULL),
	(:acme, '33333333-3333-7333-8333-333333333313', 'primary, lower', '+15555550151', NULL, NULL),
	(:acme, '33333333-3333-7333-8333-333333333315', 'primary, contacted', '+15555550151', NULL, now() - interval '1 year');
SELECT a.name FROM omnimsg_ingest('telnyx', pg_temp.received('11', 'hello', sender => '+15555550151')) r
  JOIN omnimsg.collection_accounts a ON a.id = r.account_id;
DELETE FROM omnimsg.collection_accounts WHERE name = 'primary, contacted';
SELECT a.name FROM omnimsg_ingest('telnyx', pg_temp.received('12', 'hello', sender => '+15555550151')) r
  JOIN omnimsg.collection_accounts a ON a.id = r.account_id;
DELETE FROM omnimsg.collection_accounts WHERE name LIKE 'primary%';
SELECT a.name FROM omnimsg_ingest('telnyx', pg_temp.received('13', 'hello', sender => '+15555550151')) r
  JOIN omnimsg.collection_accounts a ON a.id = r.account_id;

-- the account of another organization is nobody's business
INSERT INTO omnimsg.organizations (id, name) VALUES ('44444444-4444-7444-8444-444444444444', 'Beta');
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	VALUES ('44444444-4444-7444-8444-444444444444', 'Bea', '+15555550152');
SELECT outcome, account_id FROM omnimsg_ingest('telnyx', pg_temp.received('14', 'hello', sender => '+15555550152'));

-- the audit carries ids, never an address or a text
SELECT count(*) AS rows, count(*) FILTER (WHERE l::text ~ '5555550|hello|Hello') AS telltale
  FROM omnimsg.audit_logs l;
