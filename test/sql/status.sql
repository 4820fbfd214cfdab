-- What Telnyx tells of our messages: statuses move forward only, in any order of arrival; what
-- is unknown is kept; a block by the provider is a STOP.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

CREATE FUNCTION pg_temp.outbound(external_id text, status text DEFAULT 'sent', sent_to text DEFAULT '+15555550123',
		sent_from text DEFAULT '+15555550199', created_at timestamptz DEFAULT now()) RETURNS void LANGUAGE sql AS $$
	INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body,
		status, external_message_id, provider, created_at)
	VALUES ('11111111-1111-7111-8111-111111111111', omnimsg.uuid7(), 'outbound', 'sms', sent_from, sent_to, 'hi',
		status, external_id, 'telnyx', created_at)
$$;
CREATE VIEW pg_temp.message AS
	SELECT external_message_id AS id, status, error_code, error_detail, parts, cost_amount,
		   sent_at IS NOT NULL AS sent, delivered_at IS NOT NULL AS delivered, failed_at IS NOT NULL AS failed
	  FROM omnimsg.messages WHERE direction = 'outbound';

-- sent, then delivered
SELECT FROM pg_temp.outbound('a', 'sending');
SELECT * FROM pg_temp.ingest(pg_temp.status('a1', 'message.sent', 'a', 'sent', now() - interval '2 s'));
SELECT * FROM pg_temp.message WHERE id = 'a';
SELECT * FROM pg_temp.ingest(pg_temp.status('a2', 'message.finalized', 'a', 'delivered', now() - interval '1 s'));
SELECT * FROM pg_temp.message WHERE id = 'a';
SELECT delivered_at > sent_at AS in_order FROM omnimsg.messages WHERE external_message_id = 'a';
-- again, and what comes too late
SELECT * FROM pg_temp.ingest(pg_temp.status('a2', 'message.finalized', 'a', 'delivered'));
SELECT * FROM pg_temp.ingest(pg_temp.status('a3', 'message.sent', 'a', 'sent'));
SELECT * FROM pg_temp.ingest(pg_temp.status('a4', 'message.finalized', 'a', 'delivery_failed',
	more => '{"errors": [{"code": "40008", "title": "Undeliverable"}]}'));
SELECT id, status, failed FROM pg_temp.message WHERE id = 'a';
SELECT action, old_value, new_value FROM omnimsg.audit_logs ORDER BY id;

-- finalized before sent, and both in one batch in the wrong order
SELECT FROM pg_temp.outbound('b', 'sending');
SELECT * FROM pg_temp.ingest(pg_temp.status('b1', 'message.finalized', 'b', 'delivered', now()));
SELECT * FROM pg_temp.ingest(pg_temp.status('b2', 'message.sent', 'b', 'sent', now() - interval '1 s'));
SELECT FROM pg_temp.outbound('c', 'sending');
SELECT ordinal, outcome, event_type FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx', 'telnyx'], ARRAY[
	pg_temp.status('c1', 'message.finalized', 'c', 'delivered', now()),
	pg_temp.status('c2', 'message.sent', 'c', 'sent', now() - interval '1 s'),
	pg_temp.status('c1', 'message.finalized', 'c', 'delivered', now())]);
SELECT * FROM pg_temp.message WHERE id IN ('b', 'c') ORDER BY id;

-- the statuses there are, the older spellings, and one that nobody knows
SELECT FROM unnest(ARRAY['d1', 'd2', 'd3', 'd4', 'd5', 'd6', 'd7']) AS id, pg_temp.outbound(id);
SELECT * FROM pg_temp.ingest(pg_temp.status('d1', 'message.finalized', 'd1', 'sending_failed',
	more => '{"errors": [{"code": 40010, "title": "Not 10DLC registered", "detail": "register first"}]}'));
SELECT * FROM pg_temp.ingest(pg_temp.status('d2', 'message.finalized', 'd2', 'expired'));
SELECT * FROM pg_temp.ingest(pg_temp.status('d3', 'message.finalized', 'd3', 'delivery_unconfirmed'));
SELECT * FROM pg_temp.ingest(pg_temp.status('d4', 'message.delivered', 'd4', 'delivered'));
SELECT * FROM pg_temp.ingest(pg_temp.status('d5', 'message.failed', 'd5', 'failed'));
SELECT * FROM pg_temp.ingest(pg_temp.status('d6', 'message.finalized', 'd6', 'teleported'));
SELECT * FROM pg_temp.ingest(pg_temp.status('d7', 'message.read', 'd7', 'read'));
SELECT * FROM pg_temp.message WHERE id LIKE 'd%' ORDER BY id;

-- A failure of one of several segments or receivers has one code: the first error stays.
SELECT FROM pg_temp.outbound('e');
SELECT * FROM pg_temp.ingest(pg_temp.status('e1', 'message.finalized', 'e', 'delivery_failed',
	more => '{"errors": [{"code": "40008", "title": "Undeliverable", "detail": "first"}, {"code": "40011"}]}'));
SELECT * FROM pg_temp.ingest(pg_temp.status('e2', 'message.finalized', 'e', 'delivery_failed',
	more => '{"errors": [{"code": "40002", "title": "Blocked as spam"}]}'));
SELECT id, status, error_code, error_detail FROM pg_temp.message WHERE id = 'e';

-- An event for a message that is not known waits for it, with its bytes.  Nothing is stored of it but that.
SELECT * FROM pg_temp.ingest(pg_temp.status('f1', 'message.finalized', 'f', 'delivered'));
SELECT * FROM pg_temp.ingest(pg_temp.status('f1', 'message.finalized', 'f', 'delivered'));
SELECT dedupe_key, outcome, reason, external_message_id, message_id, raw IS NOT NULL AS kept FROM omnimsg.events
 WHERE outcome = 'pending';
-- neither another number's message of that id nor another organization's is taken for it
INSERT INTO omnimsg.organizations (id, name) VALUES ('44444444-4444-7444-8444-444444444444', 'Beta');
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status,
		external_message_id, provider, created_at)
	VALUES ('44444444-4444-7444-8444-444444444444', omnimsg.uuid7(), 'outbound', 'sms', '+15555550199', '+15555550123', 'sent', 'f', 'telnyx', now());
SELECT * FROM pg_temp.ingest(pg_temp.status('f2', 'message.finalized', 'f', 'delivered'));
SELECT status FROM omnimsg.messages WHERE external_message_id = 'f';

-- Rule 7.  40300 with the provider's word for it is a STOP of that person, made when the blocked
-- message was; with another title it is only a failure.
INSERT INTO omnimsg.provider_accounts (id, provider, name) VALUES ('22222222-2222-7222-8222-222222222223', 'telnyx', 'second');
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number, provider_account_id) VALUES
	(:acme, '+15555550198', '22222222-2222-7222-8222-222222222222'), (:acme, '+15555550197', '22222222-2222-7222-8222-222222222223');
CREATE VIEW pg_temp.consent AS
	SELECT c.channel, c.address, c.state, c.provider_blocked, q.source, q.rule,
		   c.decided_at = (SELECT m.created_at FROM omnimsg.messages m WHERE m.external_message_id = 'g') AS when_sent
	  FROM omnimsg.consents c LEFT JOIN omnimsg.opt_out_requests q ON q.id = c.request_id;
SELECT FROM pg_temp.outbound('g', created_at => now() - interval '1 hour');
SELECT FROM pg_temp.outbound('h', sent_to => '+15555550124');
SELECT * FROM pg_temp.ingest(pg_temp.status('h1', 'message.finalized', 'h', 'sending_failed',
	more => '{"errors": [{"code": "40300", "title": "Invalid destination"}]}'));
SELECT * FROM pg_temp.ingest(pg_temp.status('g1', 'message.finalized', 'g', 'sending_failed',
	more => '{"errors": [{"code": "40300", "title": "Blocked due to STOP message"}]}'));
SELECT id, status, error_code, error_detail FROM pg_temp.message WHERE id IN ('g', 'h') ORDER BY id;
SELECT * FROM pg_temp.consent;
SELECT name, sms_consent FROM omnimsg.collection_accounts ORDER BY id;
SELECT action, new_value FROM omnimsg.audit_logs WHERE action = 'CONSENT_RECORDED';
-- told twice it is recorded once
SELECT * FROM pg_temp.ingest(pg_temp.status('g2', 'message.failed', 'g', 'failed',
	more => '{"errors": [{"code": "40300", "title": "Blocked due to STOP message"}]}'));
SELECT count(*) FROM omnimsg.opt_out_requests;
-- a person who says otherwise on the telephone is opted in, but the provider blocks all the same
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'agent', 'called') IS NOT NULL AS recorded;
SELECT channel, state, provider_blocked FROM pg_temp.consent;
-- as does a START to a number of another account at the provider; STOP and START are not answered
SELECT * FROM pg_temp.ingest(pg_temp.received('g3', 'START', receiver => '+15555550197'));
SELECT channel, state, provider_blocked FROM pg_temp.consent WHERE channel = 'sms';
-- a START to a number of the same account lifts it
SELECT * FROM pg_temp.ingest(pg_temp.received('g4', 'START', receiver => '+15555550198'));
SELECT channel, state, provider_blocked FROM pg_temp.consent WHERE channel = 'sms';
-- until the provider says so again of a message that is younger than that START
SELECT FROM pg_temp.outbound('i', created_at => now() - interval '10 minutes');
SELECT FROM pg_temp.outbound('j', created_at => now() + interval '1 s');
SELECT * FROM pg_temp.ingest(pg_temp.status('i1', 'message.finalized', 'i', 'sending_failed',
	more => '{"errors": [{"code": "40301", "title": "Blocked", "detail": "the recipient replied STOP"}]}'));
SELECT channel, state, provider_blocked FROM pg_temp.consent WHERE channel = 'sms';
SELECT * FROM pg_temp.ingest(pg_temp.status('j1', 'message.finalized', 'j', 'sending_failed',
	more => '{"errors": [{"code": "40300", "title": "Blocked due to STOP message"}]}'));
SELECT channel, state, provider_blocked FROM pg_temp.consent WHERE channel = 'sms';
