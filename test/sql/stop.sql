-- STOP, START and HELP by text: what is recorded, and who is answered.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

CREATE VIEW pg_temp.state AS
	SELECT c.channel, c.address, c.scope, c.state, c.provider_blocked, q.source, q.rule ~ '^keyword:' AS by_keyword
	  FROM omnimsg.consents c LEFT JOIN omnimsg.opt_out_requests q
		ON q.organization_id = c.organization_id AND q.id = c.request_id;

-- STOP: a request for texts and one for calls, all accounts of the phone, three audit rows,
-- one confirmation from the number that was written to
BEGIN;
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'STOP', now() - interval '3 s'));
SELECT channel, address, our_address, our_address_only, request_type, scope, source, rule ~ '^keyword:stop \(.+\)$' AS rule,
	   matched_text, occurred_at = now() - interval '3 s' AS provider_time, provider, dedupe_key,
	   account_id, message_id = (SELECT id FROM omnimsg.messages WHERE direction = 'inbound') AS of_message
  FROM omnimsg.opt_out_requests ORDER BY channel;
SELECT * FROM pg_temp.state ORDER BY channel;
SELECT name, sms_consent, email_consent FROM omnimsg.collection_accounts ORDER BY id;
SELECT action, actor, xid = pg_current_xact_id() AS same_transaction FROM omnimsg.audit_logs ORDER BY id;
SELECT o.kind, o.state, o.attempts, o.next_attempt_at <= clock_timestamp() AS due,
	   o.expires_at = now() + interval '297 s' AS in_time,
	   o.request_id = (SELECT q.id FROM omnimsg.opt_out_requests q WHERE q.channel = 'sms') AS of_request,
	   m.from_number, m.to_number, m.peer_address, m.our_address, m.status, m.message_body,
	   m.in_reply_to = (SELECT id FROM omnimsg.messages WHERE direction = 'inbound') AS in_reply
  FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.organization_id = o.organization_id AND m.id = o.message_id;
SELECT dedupe_key, raw IS NOT NULL AS evidence, signature FROM omnimsg.events;
COMMIT;

-- STOP again, and the same STOP again: recorded, not answered a second time
SELECT * FROM pg_temp.ingest(pg_temp.received('2', 'stop'));
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'STOP'));
-- START: on again, and answered
SELECT * FROM pg_temp.ingest(pg_temp.received('3', 'START'));
SELECT * FROM pg_temp.state ORDER BY channel;
SELECT name, sms_consent FROM omnimsg.collection_accounts ORDER BY id;
-- STOP within ten minutes of the last confirmation: counts, but is not answered
SELECT * FROM pg_temp.ingest(pg_temp.received('4', 'STOP'));
SELECT * FROM pg_temp.state ORDER BY channel;
-- after ten minutes it is
SELECT * FROM pg_temp.ingest(pg_temp.received('5', 'START'));
UPDATE omnimsg.reply_windows SET last_at = last_at - interval '10 minutes';
SELECT * FROM pg_temp.ingest(pg_temp.received('6', 'STOP'));
-- HELP is answered also to somebody who opted out, once in ten minutes; YES means nothing
SELECT * FROM pg_temp.ingest(pg_temp.received('7', 'HELP'));
SELECT * FROM pg_temp.ingest(pg_temp.received('8', 'info'));
SELECT * FROM pg_temp.ingest(pg_temp.received('9', 'YES'));
SELECT kind, count(*) FROM omnimsg.outbox GROUP BY 1 ORDER BY 1;
SELECT action, count(*) FROM omnimsg.audit_logs GROUP BY 1 ORDER BY 1;

-- START from somebody who never opted out opts in to texts and says nothing of calls
SELECT * FROM pg_temp.ingest(pg_temp.received('10', 'START', sender => '+15555550161'));
SELECT * FROM pg_temp.state WHERE address = '+15555550161' ORDER BY channel;

-- From an unknown sender: stored without an account, and counts; an account imported
-- afterwards is born opted out, whatever the import says.
SELECT * FROM pg_temp.ingest(pg_temp.received('11', 'STOP', sender => '+15555550162'));
SELECT * FROM pg_temp.state WHERE address = '+15555550162' ORDER BY channel;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, secondary_phone, sms_consent) VALUES
	(:acme, 'born', '(555) 555-0162', NULL, NULL), (:acme, 'born as secondary', '+15555550163', '555-555-0162', NULL),
	(:acme, 'born in spite', '+15555550162', NULL, true), (:acme, 'other', '+15555550164', NULL, NULL)
	RETURNING name, primary_phone, secondary_phone, sms_consent;

-- to a number nobody owns: kept, its STOP counts for 'unassigned', and it is not answered
SELECT * FROM pg_temp.ingest(pg_temp.received('12', 'STOP', sender => '+15555550165', receiver => '+15555550188'));
SELECT organization_id = :unassigned AS unassigned, channel, state
  FROM omnimsg.consents WHERE address = '+15555550165' ORDER BY channel;

-- answered by Telnyx: recorded, nothing sent, whatever autoresponse_type says
SELECT * FROM pg_temp.ingest(pg_temp.received('13', 'STOP', sender => '+15555550166', more => '{"autoresponse_type": "STOP"}'));
SELECT * FROM pg_temp.ingest(pg_temp.received('14', 'STOP', sender => '+15555550167', more => '{"autoresponse_type": "something new"}'));
SELECT * FROM pg_temp.ingest(pg_temp.received('15', 'HELP', sender => '+15555550168', more => '{"autoresponse_type": "HELP"}'));
-- Telnyx took for STOP what we do not read as one: it has blocked the person, so we record it
SELECT * FROM pg_temp.ingest(pg_temp.received('16', 'xyzzy', sender => '+15555550169', more => '{"autoresponse_type": "STOP"}'));
-- its START never beats a STOP that we read
SELECT * FROM pg_temp.ingest(pg_temp.received('17', 'STOP', sender => '+15555550170', more => '{"autoresponse_type": "START"}'));
SELECT channel, address, state, source, by_keyword FROM pg_temp.state
 WHERE address BETWEEN '+15555550166' AND '+15555550170' AND channel = 'sms' ORDER BY address;

-- a group: recorded, never answered
SELECT * FROM pg_temp.ingest(pg_temp.received('18', 'STOP', sender => '+15555550171', more => '{"cc": ["+15555550172"]}'));
SELECT * FROM pg_temp.ingest(pg_temp.received('19', 'STOP', sender => '+15555550173',
	more => '{"to": [{"phone_number": "+15555550174", "status": "queued"}, {"phone_number": "+15555550199", "status": "webhook_delivered"}]}'));
SELECT external_message_id, to_number, cc FROM omnimsg.messages WHERE external_message_id IN ('message-18', 'message-19') ORDER BY 1;
SELECT address, state FROM pg_temp.state WHERE address IN ('+15555550171', '+15555550173') AND channel = 'sms' ORDER BY 1;

-- more than 300 s ago: recorded, too late to confirm
SELECT * FROM pg_temp.ingest(pg_temp.received('20', 'STOP', now() - interval '301 s', '+15555550175'));
SELECT * FROM pg_temp.ingest(pg_temp.received('21', 'STOP', now() - interval '200 s', '+15555550176'));
-- older than a START that is known: counts as evidence, decides nothing, is not confirmed
SELECT * FROM pg_temp.ingest(pg_temp.received('22', 'START', now() - interval '10 s', '+15555550177'));
SELECT * FROM pg_temp.ingest(pg_temp.received('23', 'STOP', now() - interval '20 s', '+15555550177'));
SELECT address, channel, state FROM pg_temp.state WHERE address BETWEEN '+15555550175' AND '+15555550177' ORDER BY 1, 2;

-- a sender that no phone has cannot be answered; what it asks for counts
SELECT * FROM pg_temp.ingest(pg_temp.received('24', 'STOP', sender => '262966'));
SELECT * FROM pg_temp.ingest(pg_temp.received('25', 'STOP', sender => 'ACME Corp'));
SELECT channel, address, state FROM omnimsg.consents WHERE address !~ '^\+' ORDER BY 2, 1;

-- who answers is a matter of the number
UPDATE omnimsg.inbound_phone_numbers SET reply_mode = 'provider';
SELECT * FROM pg_temp.ingest(pg_temp.received('26', 'STOP', sender => '+15555550178'));
UPDATE omnimsg.inbound_phone_numbers SET reply_mode = 'off';
SELECT * FROM pg_temp.ingest(pg_temp.received('27', 'STOP', sender => '+15555550179'));
UPDATE omnimsg.inbound_phone_numbers SET reply_mode = 'auto';
SELECT address, state FROM pg_temp.state WHERE address IN ('+15555550178', '+15555550179') AND channel = 'sms' ORDER BY 1;

-- The text is the organization's own in the language of the keyword, else the built-in one in that
-- language; inactive ones are not used.
TRUNCATE omnimsg.outbox;
DELETE FROM omnimsg.messages WHERE direction = 'outbound';
INSERT INTO omnimsg.reply_templates (organization_id, trigger, language, body, active) VALUES
	(:acme, 'opt_out', 'en', '{organization} lets you go. {organization}!', true),
	(:acme, 'opt_out', 'es', 'Adios de {organization}', true),
	(:acme, 'opt_in', 'en', 'not used', false);
SELECT * FROM pg_temp.ingest(pg_temp.received('28', 'STOP', sender => '+15555550180'));
SELECT * FROM pg_temp.ingest(pg_temp.received('29', 'PARAR', sender => '+15555550181'));
SELECT * FROM pg_temp.ingest(pg_temp.received('30', 'ARRET', sender => '+15555550182'));
SELECT * FROM pg_temp.ingest(pg_temp.received('31', 'START', sender => '+15555550183'));
SELECT to_number, message_body FROM omnimsg.messages WHERE direction = 'outbound' ORDER BY to_number;

-- the laws of the tables: never two confirmations of one request, never one for a request that is none
SELECT count(*) AS doubled FROM (SELECT FROM omnimsg.outbox WHERE request_id IS NOT NULL GROUP BY request_id HAVING count(*) > 1) d;
SELECT count(*) AS telltale FROM omnimsg.audit_logs l WHERE l::text ~ '5555550|STOP|PARAR';

-- a provider's clock that is ahead does not stretch the five minutes
SELECT outcome, reply FROM omnimsg_ingest('telnyx', pg_temp.received('ahead', 'STOP', now() + interval '290 seconds', '+15555550188'));
SELECT expires_at <= now() + interval '300 seconds' AS in_time FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
 WHERE m.to_number = '+15555550188';
