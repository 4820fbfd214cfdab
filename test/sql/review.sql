-- Messages that may be an opt-out: the review that each opens, what it holds back, and what deciding it does.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

CREATE VIEW pg_temp.reviewed AS
	SELECT v.address, v.decision, v.decided_by, v.decided_at IS NOT NULL AS decided, v.request_id IS NOT NULL AS request FROM omnimsg.reviews v;
CREATE VIEW pg_temp.state AS SELECT c.channel, c.state FROM omnimsg.consents c;
CREATE FUNCTION pg_temp.gates(address text) RETURNS text LANGUAGE sql
	RETURN (SELECT coalesce(string_agg(concat_ws(' ', gate, verdict, reason), ', '), 'all allow')
			  FROM omnimsg_explain_send('11111111-1111-7111-8111-111111111111', 'sms', address) WHERE verdict <> 'allow');
-- the review of an address that is open, or was decided last
CREATE FUNCTION pg_temp.review(address text) RETURNS uuid LANGUAGE sql
	RETURN (SELECT v.id FROM omnimsg.reviews v WHERE v.address = review.address ORDER BY v.decision IS NULL DESC, v.id DESC LIMIT 1);
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
	SELECT left(a, 60), t.* FROM unnest(arguments) WITH ORDINALITY AS w (a, n), pg_temp.try(format(template, a)) AS t ORDER BY n
$$;

-- one is opened in the transaction of the message, due ten days after it was written; nothing else is sent
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'Wrong number', now() - interval '3 s'));
SELECT v.organization_id = :acme AS acme, v.message_id = m.id AS of_message, v.channel, v.address, v.our_address, v.account_id = m.account_id AS account,
	   v.rule ~ '^maybe:' AS rule, v.matched_text, v.provider, v.dedupe_key, v.occurred_at = v.due_at - interval '10 days' AS ten_days,
	   v.created_at = m.created_at AS together, v.decision, v.decided_at, v.decided_by, v.request_id
  FROM omnimsg.reviews v, omnimsg.messages m \gx
SELECT count(*) AS outbox FROM omnimsg.outbox;
SELECT * FROM pg_temp.state;
-- the same delivery opens no second one; a clear STOP, START, HELP or anything else opens none
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'Wrong number'));
SELECT * FROM pg_temp.ingest(pg_temp.received('2', 'STOP', sender => '+15555550131'));
SELECT * FROM pg_temp.ingest(pg_temp.received('3', 'HELP', sender => '+15555550132'));
SELECT * FROM pg_temp.ingest(pg_temp.received('4', 'See you on Friday', sender => '+15555550133'));
SELECT count(*) FROM omnimsg.reviews;
-- of one who forbids calls it is asked whether texts were meant, too
SELECT * FROM pg_temp.ingest(pg_temp.received('5', 'stop calling me', sender => '+15555550134'));
SELECT address, channel, rule ~ '^phrase:' AS rule FROM omnimsg.reviews WHERE address = '+15555550134';
SELECT channel, state FROM omnimsg.consents WHERE address = '+15555550134' ORDER BY 1;

-- bad input
SELECT * FROM pg_temp.calls('SELECT omnimsg_review(%s)',
	$$NULL, 'none', 'Ann'$$, $$omnimsg.uuid7(), NULL, 'Ann'$$, $$omnimsg.uuid7(), 'none', NULL$$, $$omnimsg.uuid7(), 'maybe', 'Ann'$$, $$omnimsg.uuid7(), '', 'Ann'$$,
	$$omnimsg.uuid7(), 'none', 'deadline'$$, $$omnimsg.uuid7(), 'none', ''$$, $$omnimsg.uuid7(), 'none', E' \n'$$, $$omnimsg.uuid7(), 'none', repeat('x', 201)$$, $$omnimsg.uuid7(), 'none', repeat('é', 500000)$$,
	$$omnimsg.uuid7(), 'none', 'ann@example.com'$$, $$omnimsg.uuid7(), 'none', 'Ann, (555) 555-0123'$$, $$omnimsg.uuid7(), 'none', 'Ann ５５５５５５５'$$, $$'99999999-9999-7999-8999-999999999999', 'none', 'Ann 123456'$$,
	$$omnimsg.uuid7(), repeat('é', 500000), 'Ann'$$, $$'99999999-9999-7999-8999-999999999999', 'none', 'Ann'$$);
SELECT * FROM pg_temp.calls('SELECT omnimsg_release(%s)',
	$$NULL, 'Ann'$$, $$omnimsg.uuid7(), NULL$$, $$omnimsg.uuid7(), 'deadline'$$, $$omnimsg.uuid7(), ''$$, $$omnimsg.uuid7(), repeat('x', 1000000)$$, $$omnimsg.uuid7(), 'ann@example.com'$$, $$omnimsg.uuid7(), 'Ann'$$);
SELECT count(*) AS decided FROM omnimsg.reviews WHERE decision IS NOT NULL;

-- what is to be sent waits for the deadline, whatever it is; a reviewer can let an answer go, and only that
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'web', occurred_at => now() - interval '1 day') IS NOT NULL AS recorded;
SELECT pg_temp.gates('+15555550123');
SELECT omnimsg_send(:acme, '+15555550123', 'Sorry to hear') AS answer \gset
SELECT omnimsg_send(:acme, '+15555550123', 'Your bill', kind => 'notification') AS bill \gset
CREATE VIEW pg_temp.waiting AS
	SELECT m.message_body, o.state, o.released_by, CASE WHEN o.next_attempt_at <= clock_timestamp() THEN 'now' WHEN o.next_attempt_at <= clock_timestamp() + interval '5 minutes' THEN 'soon' END AS next
	  FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id LEFT JOIN omnimsg.reviews v ON v.address = m.to_number
	 WHERE o.kind IN ('conversation', 'notification', 'marketing') ORDER BY o.id;
SELECT * FROM pg_temp.waiting;
SELECT omnimsg_release(:'bill', 'Ann'), omnimsg_release(omnimsg.uuid7(), 'Ann');
SELECT omnimsg_release(:'answer', 'Ann');
SELECT * FROM pg_temp.waiting;
SELECT action, actor, resource_type, resource_id = :'answer' AS of_answer, new_value ? 'by' AS by_role FROM omnimsg.audit_logs WHERE action = 'REPLY_RELEASED';

-- it was nothing: what waits is asked about again at once
SELECT omnimsg_review(pg_temp.review('+15555550123'), 'none', 'Ann') IS NULL AS no_request;
SELECT * FROM pg_temp.waiting;
SELECT * FROM pg_temp.reviewed WHERE address = '+15555550123';
SELECT pg_temp.gates('+15555550123');
-- nothing is under review any more, so nothing is released
SELECT omnimsg_release(:'answer', 'Bob');
-- decided again: the same is no error and changes nothing, another decision is one
SELECT omnimsg_review(pg_temp.review('+15555550123'), 'none', 'Bob') IS NULL AS no_request;
SELECT * FROM pg_temp.calls('SELECT omnimsg_review(pg_temp.review(''+15555550123''), %s)', $$'opt_out', 'Bob'$$, $$'wrong_number', 'Bob'$$);
SELECT * FROM pg_temp.reviewed WHERE address = '+15555550123';
SELECT count(*) AS audited FROM omnimsg.audit_logs WHERE action = 'REVIEW_DECIDED';

-- it was an opt-out, from when it was written, for texts and calls
SELECT * FROM pg_temp.ingest(pg_temp.received('6', 'not interested', now() - interval '10 s', sender => '+15555550141'));
SELECT omnimsg_review(pg_temp.review('+15555550141'), 'opt_out', 'Ann') AS request \gset
SELECT channel, address, our_address, request_type, scope, source, rule ~ '^maybe:' AS rule, matched_text, note, provider, dedupe_key,
	   occurred_at = (SELECT v.occurred_at FROM omnimsg.reviews v WHERE v.message_id = opt_out_requests.message_id) AS when_written, id = :'request' AS returned
  FROM omnimsg.opt_out_requests WHERE address = '+15555550141' ORDER BY channel;
SELECT omnimsg_review(pg_temp.review('+15555550141'), 'opt_out', 'Bob') = :'request' AS the_same;
SELECT pg_temp.gates('+15555550141');
SELECT action, actor, old_value, new_value - 'rule' - 'by' AS new_value FROM omnimsg.audit_logs WHERE actor LIKE 'reviewer:%' AND action <> 'REPLY_RELEASED' ORDER BY id;
-- nobody is told: the confirmation would be late
SELECT count(*) FROM omnimsg.outbox WHERE kind = 'opt_out_confirmation' AND request_id = :'request';

-- it was a wrong number: an opt-out of nothing, but the number is not the person's
SELECT * FROM pg_temp.ingest(pg_temp.received('7', 'Wrong number', now() - interval '10 s', sender => '+15555550142'));
SELECT omnimsg_review(pg_temp.review('+15555550142'), 'wrong_number', 'Ann') IS NULL AS no_request;
SELECT address, flag, since < now() AS when_written, note, flagged_by FROM omnimsg.address_flags;
SELECT pg_temp.gates('+15555550142');
-- a flag that was set later stays
SELECT * FROM pg_temp.ingest(pg_temp.received('8', 'Wrong number', now() - interval '1 hour', sender => '+15555550143'));
SELECT omnimsg_flag_address(:acme, '+15555550143', 'reassigned', 'the database says so');
SELECT omnimsg_review(pg_temp.review('+15555550143'), 'wrong_number', 'Ann') IS NULL AS no_request;
SELECT flag, note FROM omnimsg.address_flags WHERE address = '+15555550143';

-- past its deadline it counts as an opt-out, and no other decision is heard
SELECT * FROM pg_temp.ingest(pg_temp.received('9', 'Wrong number', now() - interval '1 minute', sender => '+15555550144'));
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550144', 'opt_in', 'web', occurred_at => now() - interval '1 day') IS NOT NULL AS recorded;
UPDATE omnimsg.reviews SET due_at = now() WHERE address = '+15555550144';
SELECT pg_temp.gates('+15555550144');
SELECT * FROM pg_temp.calls('SELECT omnimsg_review(pg_temp.review(''+15555550144''), %s)', $$'none', 'Ann'$$, $$'wrong_number', 'Ann'$$, $$'opt_out', 'Ann'$$);
SELECT * FROM pg_temp.reviewed WHERE address = '+15555550144';
SELECT pg_temp.gates('+15555550144');

-- START after it says what was meant; a START before it, or an import, does not
SELECT * FROM pg_temp.ingest(pg_temp.received('10', 'START', now() - interval '3 minutes', sender => '+15555550145'));
SELECT * FROM pg_temp.ingest(pg_temp.received('11', 'Wrong number', now() - interval '2 minutes', sender => '+15555550145'));
SELECT pg_temp.gates('+15555550145');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550145', 'opt_in', 'import') IS NOT NULL AS recorded;
SELECT pg_temp.gates('+15555550145');
SELECT * FROM pg_temp.ingest(pg_temp.received('12', 'START', now() - interval '1 minute', sender => '+15555550145'));
SELECT pg_temp.gates('+15555550145');
-- deciding it all the same records an opt-out that the START has lifted
SELECT omnimsg_review(pg_temp.review('+15555550145'), 'opt_out', 'Ann') IS NOT NULL AS request;
SELECT pg_temp.gates('+15555550145');
SELECT new_value - 'rule' AS new_value FROM omnimsg.audit_logs WHERE actor = 'reviewer:Ann' AND action = 'OPT_OUT_REQUESTED' ORDER BY id DESC LIMIT 1;

-- two of one person of whom nothing else is known: the other one still holds
SELECT * FROM pg_temp.ingest(pg_temp.received('13', 'Wrong number', now() - interval '2 minutes', sender => '+15555550146'));
SELECT * FROM pg_temp.ingest(pg_temp.received('14', 'not interested', now() - interval '1 minute', sender => '+15555550146'));
SELECT omnimsg_review(pg_temp.review('+15555550146'), 'none', 'Ann') IS NULL AS no_request;
SELECT pg_temp.gates('+15555550146');
SELECT omnimsg_review(pg_temp.review('+15555550146'), 'none', 'Ann') IS NULL AS no_request;
SELECT pg_temp.gates('+15555550146');

-- who decided is on record, and by which role
CREATE ROLE regress_reviewer;
GRANT EXECUTE ON FUNCTION omnimsg_review TO regress_reviewer;
SELECT * FROM pg_temp.ingest(pg_temp.received('19', 'Wrong number', sender => '+15555550149'));
SELECT pg_temp.review('+15555550149') AS review \gset
SET SESSION AUTHORIZATION regress_reviewer;
SELECT omnimsg_review(:'review', 'none', 'Eve') IS NULL AS no_request;
RESET SESSION AUTHORIZATION;
INSERT INTO omnimsg.tenant_roles (role_name, organization_id, mapped_at, mapped_by) VALUES ('regress_reviewer', :acme, now(), 'test');
SET SESSION AUTHORIZATION regress_reviewer;
SELECT omnimsg_review(:'review', 'none', 'Eve') IS NULL AS no_request;
RESET SESSION AUTHORIZATION;
SELECT actor, new_value - 'rule' AS new_value FROM omnimsg.audit_logs WHERE action = 'REVIEW_DECIDED' AND resource_id = :'review';
REVOKE EXECUTE ON FUNCTION omnimsg_review FROM regress_reviewer;
DELETE FROM omnimsg.tenant_roles;
DROP ROLE regress_reviewer;

-- nothing is released that an overdue review stops
SELECT * FROM pg_temp.ingest(pg_temp.received('16', 'Wrong number', now() - interval '1 minute', sender => '+15555550148'));
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550148', 'opt_in', 'web', occurred_at => now() - interval '1 day') IS NOT NULL AS recorded;
SELECT omnimsg_send(:acme, '+15555550148', 'Sorry to hear') AS answer \gset
UPDATE omnimsg.reviews SET due_at = now() WHERE address = '+15555550148';
SELECT omnimsg_release(:'answer', 'Ann');
UPDATE omnimsg.reviews SET due_at = now() + interval '1 day' WHERE address = '+15555550148';
SELECT omnimsg_release(:'answer', 'Ann');

-- an import after START takes nothing back of what the START ended
SELECT * FROM pg_temp.ingest(pg_temp.received('17', 'Wrong number', now() - interval '3 minutes', sender => '+15555550150'));
SELECT * FROM pg_temp.ingest(pg_temp.received('18', 'START', now() - interval '2 minutes', sender => '+15555550150'));
SELECT pg_temp.gates('+15555550150');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550150', 'opt_in', 'import') IS NOT NULL AS recorded;
SELECT pg_temp.gates('+15555550150');

-- who is refused an address in the audit trail is told so beforehand
SELECT p.proname FROM pg_catalog.pg_proc p
 WHERE pg_catalog.obj_description(p.oid, 'pg_proc') LIKE '%goes to the audit trail and is refused when an e-mail address or a number is in it%' ORDER BY 1;

-- of a number that organizations share each has its own
INSERT INTO omnimsg.organizations (id, name, consent_policy) VALUES ('11111111-1111-7111-8111-111111111112', 'Zenith', 'implied');
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number, is_primary) VALUES ('11111111-1111-7111-8111-111111111112', '+15555550199', false);
SELECT * FROM pg_temp.ingest(pg_temp.received('15', 'Wrong number', sender => '+15555550147'));
SELECT organization_id = :acme AS acme, address FROM omnimsg.reviews WHERE address = '+15555550147' ORDER BY organization_id;
SELECT omnimsg_review(id, 'opt_out', 'Ann') IS NOT NULL AS request FROM omnimsg.reviews WHERE address = '+15555550147' AND organization_id = :acme;
SELECT organization_id = :acme AS acme, channel, state FROM omnimsg.consents WHERE address = '+15555550147' ORDER BY organization_id, channel;
-- and the other waits for its own, where consent is implied, too
SELECT gate, verdict FROM omnimsg_explain_send('11111111-1111-7111-8111-111111111112', 'sms', '+15555550147') WHERE verdict <> 'allow';

-- the audit of all that has neither numbers nor words of theirs
SELECT count(*) FROM omnimsg.audit_logs WHERE concat(old_value, new_value) ~* '555\d{4}|wrong number|not interested';
