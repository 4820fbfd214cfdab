-- Sending and what surrounds it: what the functions refuse and how they say so, what omnimsg_send queues,
-- flags, limits, keywords, templates, consent through time, numbers that change hands.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

-- what a call comes to: its error, or "fine"
CREATE FUNCTION pg_temp.try(call text, OUT state text, OUT said text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE call;
	state := 'fine';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, said = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END
$$;
CREATE FUNCTION pg_temp.calls(template text, VARIADIC arguments text[]) RETURNS TABLE (arguments text, state text, said text, hint text)
	LANGUAGE sql AS $$
	SELECT replace(left(a, 60), '11111111-1111-7111-8111-111111111111', 'acme'), t.*
	  FROM unnest(arguments) WITH ORDINALITY AS w (a, n),
		   pg_temp.try(format(template, replace(a, 'ACME', '''11111111-1111-7111-8111-111111111111'''))) AS t ORDER BY n
$$;

-- bad input: an error that says what to do, never a crash
SELECT * FROM pg_temp.calls('SELECT count(*) FROM omnimsg_explain_send(%s)',
	$$ACME, 'sms', '+15555550123'$$,
	$$NULL, 'sms', '+15555550123'$$, $$ACME, NULL, '+15555550123'$$, $$ACME, 'sms', NULL$$,
	$$ACME, 'sms', '+15555550123', kind => NULL$$, $$ACME, 'sms', '+15555550123', scope => NULL$$, $$ACME, 'sms', '+15555550123', at => NULL$$,
	$$'99999999-9999-7999-8999-999999999999', 'sms', '+15555550123'$$, $$'00000000-0000-0000-0000-000000000000', 'sms', '+15555550123'$$,
	$$ACME, '', '+15555550123'$$, $$ACME, 'SMS', '+15555550123'$$, $$ACME, '+15555550123', 'sms'$$, $$ACME, repeat('é', 1000000), '+15555550123'$$,
	$$ACME, 'sms', ''$$, $$ACME, 'sms', 'nobody'$$, $$ACME, 'sms', 'jo@example.com'$$, $$ACME, 'email', '+15555550123'$$,
	$$ACME, 'sms', repeat('5', 1000000)$$, $$ACME, 'email', repeat('x', 1000000) || '@example.com'$$, $$ACME, 'sms', E'\001\t+1555'$$,
	$$ACME, 'sms', '+15555550123', ''$$, $$ACME, 'sms', '+15555550123', repeat('x', 1000000)$$, $$ACME, 'sms', '+15555550123', repeat('😀', 250000)$$,
	$$ACME, 'sms', '+15555550123', kind => ''$$, $$ACME, 'sms', '+15555550123', kind => 'letter'$$,
	$$ACME, 'sms', '+15555550123', scope => ''$$, $$ACME, 'sms', '+15555550123', scope => repeat('x', 1000000)$$,
	$$ACME, 'sms', '+15555550123', at => 'infinity'$$, $$ACME, 'sms', '+15555550123', at => '-infinity'$$,
	$$ACME, 'sms', '+15555550123', at => '294276-12-31 23:59:59+00'$$, $$ACME, 'sms', '+15555550123', at => '4713-01-01 00:00+00 BC'$$);
SELECT * FROM pg_temp.calls('SELECT omnimsg_send(%s)',
	$$NULL, '+15555550123', 'Hi'$$, $$ACME, NULL, 'Hi'$$, $$ACME, '+15555550123', NULL$$, $$ACME, '+15555550123', 'Hi', channel => NULL$$,
	$$ACME, '+15555550123', 'Hi', kind => NULL$$, $$ACME, '+15555550123', 'Hi', scope => NULL$$,
	$$'99999999-9999-7999-8999-999999999999', '+15555550123', 'Hi'$$, $$'00000000-0000-0000-0000-000000000000', '+15555550123', 'Hi'$$,
	$$ACME, '', 'Hi'$$, $$ACME, repeat('5', 1000000), 'Hi'$$, $$ACME, '262966', 'Hi'$$,
	$$ACME, 'jo@example.com', 'Hi', channel => 'email'$$, $$ACME, '+15555550123', 'Hi', channel => 'voice'$$, $$ACME, '+15555550123', 'Hi', channel => 'pigeon'$$,
	$$ACME, '+15555550123', 'Hi', kind => 'opt_out_confirmation'$$, $$ACME, '+15555550123', 'Hi', kind => 'help_reply'$$,
	$$ACME, '+15555550123', 'Hi'$$);
SELECT count(*) AS messages FROM omnimsg.messages;

-- with consent it is queued, from our number, for the account of that phone
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'web') IS NOT NULL AS recorded;
SELECT * FROM pg_temp.calls('SELECT omnimsg_send(%s)',
	$$ACME, '+15555550123', ''$$, $$ACME, '+15555550123', E' \n'$$, $$ACME, '+15555550123', repeat('x', 1530)$$, $$ACME, '+15555550123', repeat('x', 1531)$$,
	$$ACME, '+15555550123', repeat('x', 1000000)$$, $$ACME, '+15555550123', repeat('é', 1530)$$, $$ACME, '+15555550123', repeat('ж', 671)$$,
	$$ACME, '+15555550123', 'Hi', from_number => '+15555550198'$$, $$ACME, '+15555550123', 'Hi', from_number => ''$$,
	$$ACME, '+15555550123', 'Hi', from_number => repeat('5', 1000000)$$,
	$$ACME, '+15555550123', 'Hi', account_id => '33333333-3333-7333-8333-333333333399'$$);
DELETE FROM omnimsg.outbox;
DELETE FROM omnimsg.messages;
INSERT INTO omnimsg.campaigns (organization_id, id, name) VALUES (:acme, '44444444-4444-7444-8444-444444444401', 'Spring');
UPDATE omnimsg.collection_accounts SET campaign_id = '44444444-4444-7444-8444-444444444401' WHERE name = 'Jim';
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number, is_primary) VALUES (:acme, '+15555550198', false);
CREATE VIEW pg_temp.queued AS
	SELECT m.from_number, m.to_number, a.name, m.campaign_id IS NOT NULL AS campaign, m.channel, m.message_body, m.status, m.provider, m.in_reply_to,
		   o.kind, o.scope, o.state, o.attempts, o.next_attempt_at <= clock_timestamp() AS due, o.expires_at - o.next_attempt_at AS life,
		   o.created_at = m.created_at AS together, o.request_id
	  FROM omnimsg.messages m JOIN omnimsg.outbox o ON o.organization_id = m.organization_id AND o.message_id = m.id
	  LEFT JOIN omnimsg.collection_accounts a ON a.organization_id = m.organization_id AND a.id = m.account_id
	 WHERE m.id = (SELECT message_id FROM omnimsg.outbox ORDER BY id DESC LIMIT 1);
SELECT omnimsg_send(:acme, '(555) 555-0123', 'Hi') AS message \gset
SELECT id = :'message' AS returned FROM omnimsg.messages;
SELECT * FROM pg_temp.queued \gx
-- from the number that the person wrote to last; from another, and for another account, where that is asked for
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'Hello', receiver => '+15555550198'));
SELECT omnimsg_send(:acme, '+15555550123', 'Hello') IS NOT NULL AS sent;
SELECT from_number, name FROM pg_temp.queued;
SELECT omnimsg_send(:acme, '+15555550123', 'Hello', 'sms', '555-555-0199', '33333333-3333-7333-8333-333333333302', 'marketing', 'offers') IS NOT NULL AS sent;
SELECT from_number, name, campaign, kind, scope FROM pg_temp.queued;
-- nothing of a transaction that does not commit
BEGIN;
SELECT omnimsg_send(:acme, '+15555550123', 'Hello') IS NOT NULL AS sent;
ROLLBACK;
SELECT count(*) FROM omnimsg.outbox;
-- an organization without a number, and one in a region that is none
INSERT INTO omnimsg.organizations (id, name, default_region, consent_policy) VALUES ('11111111-1111-7111-8111-111111111112', 'Nowhere', 'XX', 'implied');
SELECT * FROM pg_temp.calls('SELECT omnimsg_send(''11111111-1111-7111-8111-111111111112'', %s, ''Hi'')', $$'+15555550123'$$, $$'(555) 555-0123'$$);

-- flags
SELECT * FROM pg_temp.calls('SELECT omnimsg_flag_address(%s)',
	$$NULL, '+15555550123', 'reassigned'$$, $$ACME, NULL, 'reassigned'$$, $$ACME, '+15555550123', ''$$, $$ACME, '+15555550123', 'gone'$$,
	$$ACME, '', 'reassigned'$$, $$ACME, repeat('@', 1000000), 'reassigned'$$, $$ACME, '+15555550123', 'reassigned', since => NULL$$,
	$$ACME, '+15555550123', 'reassigned', since => 'infinity'$$, $$ACME, '+15555550123', 'reassigned', since => '-infinity'$$,
	$$ACME, '+15555550123', 'reassigned', since => now() + interval '1 hour'$$, $$'99999999-9999-7999-8999-999999999999', '+15555550123', NULL$$,
	$$ACME, 'Jo@Example.com', 'wrong_number', repeat('x', 1000000)$$, $$ACME, '+15555550123', 'reassigned', 'the database says so', now() - interval '1 day'$$);
SELECT address, flag, length(note), flagged_by ~ '^role:' AS by_role, since < now() - interval '1 hour' AS before FROM omnimsg.address_flags ORDER BY 1;
CREATE FUNCTION pg_temp.number(address text) RETURNS text LANGUAGE sql
	RETURN (SELECT concat_ws(' ', verdict, '(' || reason || ')') FROM omnimsg_explain_send('11111111-1111-7111-8111-111111111111', 'sms', address) WHERE gate = 'number');
-- the opt-in of a moment ago came after the number was given away
SELECT pg_temp.number('+15555550123');
SELECT omnimsg_flag_address(:acme, '+15555550123', 'wrong_number');
SELECT pg_temp.number('+15555550123');
-- an import knows nothing of that, the person does
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'import') IS NOT NULL AS recorded;
SELECT pg_temp.number('+15555550123');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'web') IS NOT NULL AS recorded;
SELECT pg_temp.number('+15555550123');
-- what is imported after that takes it back no more than it gave it
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'import') IS NOT NULL AS recorded;
SELECT pg_temp.number('+15555550123');
SELECT omnimsg_flag_address(:acme, '+15555550123', 'wrong_number');
SELECT omnimsg_flag_address(:acme, '+15555550123', NULL);
SELECT pg_temp.number('+15555550123'), (SELECT count(*) FROM omnimsg.address_flags) AS flags;
SELECT action, old_value, new_value, count(*) FROM omnimsg.audit_logs WHERE action = 'ADDRESS_FLAGGED' GROUP BY 1, 2, 3 ORDER BY 4;

-- whoever has a number now has opted in to nothing that the one before had: their START allows no marketing
CREATE FUNCTION pg_temp.refused(address text) RETURNS TABLE (kind text, refused text) LANGUAGE sql AS $$
	SELECT k, string_agg(e.gate || ': ' || e.reason, ', ') FILTER (WHERE e.verdict <> 'allow')
	  FROM unnest(ARRAY['conversation', 'notification', 'marketing']) AS k,
		   omnimsg_explain_send('11111111-1111-7111-8111-111111111111', 'sms', address, kind => k) AS e GROUP BY k ORDER BY k
$$;
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550160', 'opt_in', 'web', occurred_at => now() - interval '2 days') IS NOT NULL AS recorded;
SELECT * FROM pg_temp.refused('+15555550160');
SELECT omnimsg_flag_address(:acme, '+15555550160', 'reassigned', since => now() - interval '1 day');
SELECT * FROM pg_temp.refused('+15555550160');
SELECT * FROM pg_temp.ingest(pg_temp.received('f1', 'START', now() - interval '1 minute', sender => '+15555550160'));
SELECT * FROM pg_temp.refused('+15555550160');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550160', 'opt_in', 'web') IS NOT NULL AS recorded;
SELECT * FROM pg_temp.refused('+15555550160');

-- limits
SELECT * FROM pg_temp.calls('INSERT INTO omnimsg.send_limits (organization_id, region, opens, closes, per_day) VALUES (''11111111-1111-7111-8111-111111111111'', %s)',
	$$'US', '08:00', '20:00', 0$$, $$'XX', '00:00', '24:00', NULL$$, $$'*', NULL, NULL, NULL$$, $$'+1555', NULL, NULL, 1$$,
	$$'', NULL, NULL, 1$$, $$'us', NULL, NULL, 1$$, $$'USA', NULL, NULL, 1$$, $$'+', NULL, NULL, 1$$, $$'+0', NULL, NULL, 1$$, $$NULL, NULL, NULL, 1$$,
	$$'CA', '08:00', NULL, 1$$, $$'CA', '20:00', '08:00', 1$$, $$'CA', '08:00', '08:00', 1$$, $$'CA', '08:00', '20:00', -1$$, $$'US', NULL, NULL, 1$$);

-- quiet hours: names that are no place displace none that is; in UTC, where 04:00 is midnight in New York
SET timezone = 'UTC';
CREATE FUNCTION pg_temp.quiet(address text, VARIADIC times text[]) RETURNS TABLE (at text, verdict text, reason text, until timestamp) LANGUAGE sql AS $$
	SELECT t, e.verdict, e.reason, e.not_before AT TIME ZONE 'UTC'
	  FROM unnest(times) WITH ORDINALITY AS w (t, n), omnimsg_explain_send('11111111-1111-7111-8111-111111111111', 'sms', address, at => t::timestamptz) AS e
	 WHERE e.gate = 'quiet_hours' ORDER BY n
$$;
DELETE FROM omnimsg.send_limits;
SELECT * FROM pg_temp.quiet('+12125550161', '2026-07-01 04:00', '2026-07-01 12:00');
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, timezone) VALUES
	(:acme, 'misspelt', '+12125550162', 'Europe/Londno'), (:acme, 'a city', '+12125550163', 'Sydney'), (:acme, 'an offset', '+12125550164', 'UTC-5'),
	(:acme, 'two', '+12125550165', 'Europe/Londno'), (:acme, 'two', '+12125550165', 'America/Los_Angeles'), (:acme, 'nowhere', '+15555550166', 'UTC-5');
SELECT p, q.* FROM unnest('{+12125550162,+12125550163,+12125550164,+12125550165,+15555550166}'::text[]) AS p, pg_temp.quiet(p, '2026-07-01 04:00') AS q ORDER BY p;
-- nor is an offset read the other way: at 15:30 it would be evening in what POSIX takes UTC-5 for
SELECT * FROM pg_temp.quiet('+12125550164', '2026-07-01 15:30');
-- a mobile of Australia may be anywhere there, unless somebody says where; at 15:00 it is night in all of it
CREATE FUNCTION pg_temp.australian(INOUT account text, INOUT organization text, OUT verdict text, OUT reason text)
	LANGUAGE plpgsql AS $$
BEGIN
	UPDATE omnimsg.collection_accounts SET timezone = $1 WHERE primary_phone = '+61412345678';
	UPDATE omnimsg.organizations SET timezone = $2 WHERE id = '11111111-1111-7111-8111-111111111111';
	SELECT q.verdict, q.reason INTO australian.verdict, australian.reason FROM pg_temp.quiet('+61412345678', '2026-07-01 15:00') AS q;
END
$$;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone) VALUES (:acme, 'mobile', '+61412345678');
SELECT a.* FROM (VALUES (NULL, NULL), ('Europe/London', NULL), ('Europe/Londno', NULL), ('Sydney', NULL), ('UTC-5', NULL),
	(NULL, 'Europe/London'), (NULL, 'Europe/Londno'), (NULL, 'Sydney'), (NULL, 'UTC-5')) AS w (account, organization), pg_temp.australian(account, organization) AS a;
UPDATE omnimsg.organizations SET timezone = NULL WHERE id = :acme;
-- an area code that is new is somewhere from coast to coast; one that is nobody's at home is nowhere
SELECT * FROM pg_temp.quiet('+14835550161', '2026-07-01 04:00', '2026-07-01 14:59:59', '2026-07-01 15:00', '2026-07-01 23:59:59', '2026-07-02 00:00');
SELECT p, q.* FROM unnest('{+18005550161,+15555550161}'::text[]) AS p, pg_temp.quiet(p, '2026-07-01 04:00') AS q ORDER BY p;
-- where the organization is counts for them; a name that is no place counts for nothing there, too
UPDATE omnimsg.organizations SET timezone = 'UTC-5' WHERE id = :acme;
SELECT p, q.* FROM unnest('{+12125550161,+18005550161,+15555550161}'::text[]) AS p, pg_temp.quiet(p, '2026-07-01 04:00') AS q ORDER BY p;
SELECT finding, detail FROM omnimsg_health() WHERE finding ~ 'time zone';
UPDATE omnimsg.organizations SET timezone = 'America/New_York' WHERE id = :acme;
SELECT p, q.* FROM unnest('{+12125550161,+14835550161,+18005550161,+15555550161}'::text[]) AS p, pg_temp.quiet(p, '2026-07-01 04:00', '2026-07-01 12:00') AS q ORDER BY p, 2;
UPDATE omnimsg.organizations SET timezone = NULL WHERE id = :acme;
RESET timezone;

-- keywords of an organization
SELECT * FROM pg_temp.calls('INSERT INTO omnimsg.keywords (organization_id, keyword, label) VALUES (''11111111-1111-7111-8111-111111111111'', %s)',
	$$'Basta ya', 'opt_out'$$, $$'JOIN', 'opt_in'$$, $$'Wer da?', 'help'$$,
	$$'basta, YA!', 'help'$$, $$'yes', 'opt_in'$$, $$'Yes!!', 'opt_in'$$, $$'sí', 'opt_in'$$, $$'', 'opt_out'$$, $$'?!', 'opt_out'$$, $$NULL, 'opt_out'$$,
	$$'x', 'maybe_opt_out'$$, $$'x', NULL$$, $$repeat('word ', 200000), 'opt_out'$$);
SELECT * FROM pg_temp.ingest(pg_temp.received('k1', 'basta ya.', sender => '+15555550170'));
SELECT * FROM pg_temp.ingest(pg_temp.received('k2', 'Basta ya de bromas', sender => '+15555550171'));
SELECT * FROM pg_temp.ingest(pg_temp.received('k3', 'join', sender => '+15555550172'));
SELECT * FROM pg_temp.ingest(pg_temp.received('k4', 'WER DA', sender => '+15555550173'));
SELECT address, request_type, source, matched_text FROM omnimsg.opt_out_requests WHERE channel = 'sms' AND address > '+15555550169' ORDER BY address;
-- none of them makes a STOP less than one
INSERT INTO omnimsg.keywords (organization_id, keyword, label) VALUES (:acme, 'stop', 'help');
SELECT * FROM pg_temp.ingest(pg_temp.received('k5', 'STOP', sender => '+15555550174'));
-- nor are they anybody else's
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number) VALUES ('11111111-1111-7111-8111-111111111112', '+15555550197');
SELECT * FROM pg_temp.ingest(pg_temp.received('k6', 'join', sender => '+15555550172', receiver => '+15555550197'));

-- templates that may not be sent cannot be stored
SELECT * FROM pg_temp.calls('INSERT INTO omnimsg.reply_templates (organization_id, trigger, body, active) VALUES (''11111111-1111-7111-8111-111111111111'', %s, false)',
	$$'opt_out', '{organization}: You are unsubscribed. Reply START to come back.'$$, $$'help', 'Call 555-0100 or see https://example.com'$$,
	$$'opt_out', 'Bye'$$, $$'opt_out', ''$$, $$'help', E' \t\n'$$, $$'opt_out', 'You are out. See https://example.com/offers for more'$$,
	$$'opt_out', 'You are unsubscribed. Come back and save 20% today!'$$, $$'opt_out', 'You are unsubscribed. Only $5 if you return now.'$$,
	$$'opt_out', 'You are unsubscribed from all? Or from some? Tell us.'$$, $$'opt_out', '{name}: you are unsubscribed from our texts'$$,
	$$'opt_out', repeat('x', 1000000)$$, $$'help', repeat('é', 1000000)$$, $$'opt_out', NULL$$, $$'goodbye', 'You are unsubscribed from our texts'$$,
	$$'opt_out', 'You are out: https://example.com/' || repeat('é', 100)$$);

-- consent through time
SELECT * FROM pg_temp.calls('SELECT * FROM omnimsg_consent_as_of(%s)',
	$$NULL, 'sms', '+15555550123'$$, $$ACME, NULL, '+15555550123'$$, $$ACME, 'sms', NULL$$, $$ACME, 'sms', '+15555550123', NULL$$,
	$$ACME, 'sms', '+15555550123', known_at => NULL$$, $$ACME, 'sms', '+15555550123', scope => NULL$$, $$ACME, 'sms', '+15555550123', scope => ''$$,
	$$'99999999-9999-7999-8999-999999999999', 'sms', '+15555550123'$$, $$ACME, 'fax', '+15555550123'$$, $$ACME, 'sms', ''$$,
	$$ACME, 'sms', repeat('5', 1000000)$$, $$ACME, 'sms', '+15555550123', 'infinity', '-infinity'$$);
SELECT now() - interval '1 day' AS day \gset
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550180', 'opt_in', 'web', occurred_at => :'day') IS NOT NULL,
	   omnimsg_record_consent(:acme, 'sms', '+15555550180', 'opt_out', 'web', occurred_at => :'day'::timestamptz + interval '2 hours') IS NOT NULL,
	   omnimsg_record_consent(:acme, 'sms', '+15555550180', 'opt_in', 'web', scope => 'offers', occurred_at => :'day'::timestamptz + interval '4 hours') IS NOT NULL;
SELECT h AS hours, a.state, a.decided_at - :'day' AS decided, a.request_id IS NOT NULL AS request, c.state AS offers
  FROM unnest('{-1,0,1,2,3,4}'::int[]) AS h, omnimsg_consent_as_of(:acme, 'sms', '(555) 555-0180', :'day'::timestamptz + h * interval '1 hour') AS a,
	   omnimsg_consent_as_of(:acme, 'sms', '+15555550180', :'day'::timestamptz + h * interval '1 hour', scope => 'offers') AS c ORDER BY h;
-- known only since now
SELECT state, decided_at FROM omnimsg_consent_as_of(:acme, 'sms', '+15555550180', known_at => :'day'::timestamptz + interval '5 hours');
SELECT state FROM omnimsg_consent_as_of(:acme, 'sms', '+15555550180', 'infinity', 'infinity');
SELECT state FROM omnimsg_consent_as_of(:acme, 'sms', '+15555550180', '-infinity');
-- another organization, another channel
SELECT state FROM omnimsg_consent_as_of('11111111-1111-7111-8111-111111111112', 'sms', '+15555550180');
SELECT state FROM omnimsg_consent_as_of(:acme, 'voice', '+15555550180');

-- a provider's block is dated when the message left, not when it was queued: a START between the two does not lift it
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, external_message_id, provider, sent_at, created_at)
	SELECT :acme, omnimsg.uuid7(), 'outbound', 'sms', '+15555550199', w.person, 'hi', 'sent', w.external_id, 'telnyx', now() - w.sent, now() - interval '2 days'
	  FROM (VALUES ('b1', '+15555550185', interval '1 hour'), ('b2', '+15555550186', interval '47 hours')) AS w (external_id, person, sent);
SELECT * FROM pg_temp.ingest(pg_temp.received('b3', 'START', now() - interval '1 day', sender => '+15555550185'));
SELECT * FROM pg_temp.ingest(pg_temp.received('b4', 'START', now() - interval '1 day', sender => '+15555550186'));
SELECT id, i.* FROM unnest('{b1,b2}'::text[]) AS id, pg_temp.ingest(pg_temp.status(id, 'message.finalized', id, 'delivery_failed',
	more => '{"errors": [{"code": "40300", "title": "Blocked due to STOP message"}]}')) AS i;
SELECT q.address, q.source, q.occurred_at = m.sent_at AS when_it_left, c.state, c.provider_blocked
  FROM omnimsg.opt_out_requests q JOIN omnimsg.messages m ON m.id = q.message_id
  JOIN omnimsg.consents c ON c.organization_id = q.organization_id AND c.channel = q.channel AND c.address = q.address AND c.scope = 'all'
 WHERE q.source = 'provider_block' ORDER BY 1;

-- a number changes hands
SELECT * FROM pg_temp.calls('SELECT * FROM omnimsg_assign_number(%s)',
	$$NULL, ACME$$, $$'+15555550196', NULL$$, $$'', ACME$$, $$'jo@example.com', ACME$$, $$repeat('5', 1000000), ACME$$,
	$$'+15555550196', '99999999-9999-7999-8999-999999999999'$$, $$'+15555550196', '00000000-0000-0000-0000-000000000000'$$);
SELECT outcome, intent, reply FROM pg_temp.ingest(pg_temp.received('n1', 'STOP', sender => '+15555550123', receiver => '+15555550196'));
SELECT outcome, intent, reply FROM pg_temp.ingest(pg_temp.received('n2', 'START', sender => '+15555550181', receiver => '+15555550196'));
SELECT outcome, intent, reply FROM pg_temp.ingest(pg_temp.received('n3', 'Wrong number', sender => '+15555550182', receiver => '+15555550196'));
SELECT outcome, intent, reply FROM pg_temp.ingest(pg_temp.received('n4', 'STOP', now() - interval '2 minutes', sender => '+15555550183', receiver => '+15555550196'));
SELECT outcome, intent, reply FROM pg_temp.ingest(pg_temp.received('n5', 'START', now() - interval '1 minute', sender => '+15555550183', receiver => '+15555550196'));
SELECT count(*) AS of_nobody FROM omnimsg.messages WHERE organization_id = :unassigned;
-- every opt-out comes along, and no START, nor does one take an opt-out back: it was said to nobody
SELECT * FROM omnimsg_assign_number('555-555-0196', :acme);
SELECT m.from_number, m.account_id IS NOT NULL AS linked, c.state,
	   (SELECT count(*) FROM omnimsg.reviews v WHERE v.message_id = m.id AND v.organization_id = m.organization_id) AS reviews
  FROM omnimsg.messages m LEFT JOIN omnimsg.consents c ON c.organization_id = m.organization_id AND c.channel = 'sms' AND c.address = m.from_number AND c.scope = 'all'
 WHERE m.organization_id = :acme AND m.our_address = '+15555550196' ORDER BY 1;
-- once more: nothing is left to hand over
SELECT * FROM omnimsg_assign_number('+15555550196', :acme);
-- to another organization go the opt-outs that stand, and no opt-in
SELECT * FROM omnimsg_assign_number('+15555550196', '11111111-1111-7111-8111-111111111112');
SELECT address, state FROM omnimsg.consents WHERE organization_id = '11111111-1111-7111-8111-111111111112' AND address < '+15555550190' ORDER BY address, channel;
SELECT organization_id = :acme AS acme FROM omnimsg.inbound_phone_numbers WHERE phone_number = '+15555550196';
SELECT action, new_value, count(*) FROM omnimsg.audit_logs WHERE action = 'NUMBER_ASSIGNED' GROUP BY 1, 2 ORDER BY 2;
-- no number is in any of it
SELECT count(*) FROM omnimsg.audit_logs WHERE concat(old_value, new_value) ~ '555\d{4}';
