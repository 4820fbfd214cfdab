-- A number that several organizations share: who stores and answers, and for whom a STOP counts.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

\set beta '''44444444-4444-7444-8444-444444444444'''
\set gamma '''55555555-5555-7555-8555-555555555555'''
INSERT INTO omnimsg.organizations (id, name) VALUES (:beta, 'Beta'), (:gamma, 'Gamma');
-- Acme and Beta share a number, which Beta has as its primary one; Gamma has another number
UPDATE omnimsg.inbound_phone_numbers SET is_primary = false;
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number, provider_account_id, is_primary) VALUES
	(:beta, '+15555550199', '22222222-2222-7222-8222-222222222222', true),
	(:beta, '+15555550198', '22222222-2222-7222-8222-222222222222', true),
	(:gamma, '+15555550197', '22222222-2222-7222-8222-222222222222', true);
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, secondary_phone) VALUES
	(:acme, 'known to both', '+15555550130', NULL), (:beta, 'known to both', '+15555550130', NULL),
	(:beta, 'known to Beta', '+15555550131', NULL), (:gamma, 'known to Gamma', '+15555550123', NULL),
	(:acme, 'known to Acme as second', '+15555550132', '+15555550133');

CREATE FUNCTION pg_temp.stored_by(body bytea, OUT organization text, OUT account text, OUT intent text, OUT reply text,
		OUT reason text) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT o.name, a.name, r.intent, r.reply, r.reason
	  FROM omnimsg_ingest('telnyx', body) r
	  JOIN omnimsg.organizations o ON o.id = r.organization_id
	  LEFT JOIN omnimsg.collection_accounts a ON a.organization_id = r.organization_id AND a.id = r.account_id
$$;
CREATE VIEW pg_temp.state AS
	SELECT c.address, o.name, c.channel, c.state FROM omnimsg.consents c JOIN omnimsg.organizations o ON o.id = c.organization_id;

-- the one that alone knows the sender, else the primary one
SELECT * FROM pg_temp.stored_by(pg_temp.received('1', 'hello'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('2', 'hello', sender => '+15555550133'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('3', 'hello', sender => '+15555550131'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('4', 'hello', sender => '+15555550130'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('5', 'hello', sender => '+15555550139'));

-- STOP counts for every organization that shares the number, and is confirmed once
SELECT * FROM pg_temp.stored_by(pg_temp.received('6', 'STOP', now() - interval '60 s'));
SELECT * FROM pg_temp.state ORDER BY 1, 2, 3;
SELECT o.name, a.name, a.sms_consent FROM omnimsg.collection_accounts a JOIN omnimsg.organizations o ON o.id = a.organization_id
 WHERE a.primary_phone = '+15555550123' ORDER BY 1, 2;
SELECT o.name, q.channel, q.request_type, q.our_address, q.our_address_only
  FROM omnimsg.opt_out_requests q JOIN omnimsg.organizations o ON o.id = q.organization_id ORDER BY 1, 2;
SELECT o.name, l.action, count(*) FROM omnimsg.audit_logs l JOIN omnimsg.organizations o ON o.id = l.organization_id
 WHERE l.action ~ 'OPT_OUT|REPLY' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS confirmations FROM omnimsg.outbox;

-- START there lifts it for all of them
SELECT * FROM pg_temp.stored_by(pg_temp.received('7', 'START', now() - interval '50 s'));
SELECT * FROM pg_temp.state ORDER BY 1, 2, 3;

-- START lifts only what was stopped through that number
SELECT * FROM pg_temp.stored_by(pg_temp.received('8', 'STOP', now() - interval '40 s', '+15555550131', '+15555550198'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('9', 'START', now() - interval '30 s', '+15555550131'));
SELECT * FROM pg_temp.state WHERE address = '+15555550131' ORDER BY 1, 2, 3;
-- as it lifts nothing that was said otherwise than by text
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550132', 'opt_out', 'agent', 'called', 'all', now() - interval '20 s') IS NOT NULL AS recorded;
SELECT * FROM pg_temp.stored_by(pg_temp.received('10', 'START', now() - interval '10 s', '+15555550132'));
SELECT * FROM pg_temp.state WHERE address = '+15555550132' ORDER BY 1, 2, 3;
-- on a number of one organization alone START lifts all of it
SELECT * FROM pg_temp.stored_by(pg_temp.received('11', 'STOP', now() - interval '9 s', '+15555550134', '+15555550199'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('12', 'START', now() - interval '8 s', '+15555550134', '+15555550198'));
SELECT * FROM pg_temp.state WHERE address = '+15555550134' ORDER BY 1, 2, 3;

-- who answers is said by the number of the organization that stores
UPDATE omnimsg.inbound_phone_numbers SET reply_mode = 'off' WHERE organization_id = :beta;
SELECT * FROM pg_temp.stored_by(pg_temp.received('13', 'STOP', sender => '+15555550133'));
SELECT * FROM pg_temp.stored_by(pg_temp.received('14', 'STOP', sender => '+15555550130'));
