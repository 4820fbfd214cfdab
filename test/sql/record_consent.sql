-- omnimsg_record_consent: what it refuses and how it says so, and how requests of different
-- sources and scopes add up.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

SELECT now() - interval '1 day' AS yesterday \gset
SELECT omnimsg_record_consent(NULL, 'sms', '+15555550123', 'opt_out', 'web');
SELECT omnimsg_record_consent(:acme, NULL, '+15555550123', 'opt_out', 'web');
SELECT omnimsg_record_consent(:acme, 'sms', NULL, 'opt_out', 'web');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', NULL, 'web');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_out', NULL);
SELECT omnimsg_record_consent(:acme, 'fax', '+15555550123', 'opt_out', 'web');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'stop', 'web');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_out', 'rumour');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_out', 'keyword');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_out', 'web', scope => '');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_out', 'web', scope => repeat('x', 256));
SELECT omnimsg_record_consent(:acme, 'sms', 'not a number', 'opt_out', 'web');
SELECT omnimsg_record_consent(:acme, 'sms', '555-0123', 'opt_out', 'web');
SELECT omnimsg_record_consent(:acme, 'sms', 'jo@example.com', 'opt_out', 'web');
SELECT omnimsg_record_consent(:acme, 'email', '+15555550123', 'opt_out', 'web');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_out', 'web', occurred_at => now() + interval '1 hour');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_out', 'web', occurred_at => 'infinity');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'agent');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'agent', '  ');
SELECT omnimsg_record_consent('99999999-9999-7999-8999-999999999999', 'sms', '+15555550123', 'opt_out', 'web');
SELECT count(*) AS recorded FROM omnimsg.opt_out_requests;

CREATE FUNCTION pg_temp.record(channel text, address text, request_type text, source text, note text DEFAULT NULL,
		scope text DEFAULT 'all', at timestamptz DEFAULT now()) RETURNS TABLE (scope_of text, state text) LANGUAGE plpgsql AS $$
DECLARE
	request uuid := omnimsg_record_consent('11111111-1111-7111-8111-111111111111', channel, address, request_type, source, note, scope, at);
BEGIN
	RETURN QUERY SELECT c.scope, c.state FROM omnimsg.consents c
		JOIN omnimsg.opt_out_requests q ON q.id = request AND q.channel = c.channel AND q.address = c.address ORDER BY 1;
END
$$;

-- an opt-out by telephone; the address in any form; the accounts say so too; the audit has no address
SELECT * FROM pg_temp.record('sms', '(555) 555-0123', 'opt_out', 'agent');
SELECT name, sms_consent FROM omnimsg.collection_accounts ORDER BY id;
SELECT channel, address, our_address, request_type, scope, source, rule, note, provider, message_id FROM omnimsg.opt_out_requests;
SELECT action, resource_type, actor ~ '^role:.' AS by_role, old_value, new_value FROM omnimsg.audit_logs;
-- calls are another matter
SELECT count(*) FROM omnimsg.consents WHERE channel = 'voice';
-- an import or an application that claims an opt-in never beats it, whatever its date
SELECT * FROM pg_temp.record('sms', '+15555550123', 'opt_in', 'import');
SELECT * FROM pg_temp.record('sms', '+15555550123', 'opt_in', 'api', 'the form says so');
-- an agent with a note does, and the person on a web page does
SELECT * FROM pg_temp.record('sms', '+15555550123', 'opt_in', 'agent', 'called at noon');
SELECT name, sms_consent FROM omnimsg.collection_accounts ORDER BY id;
SELECT * FROM pg_temp.record('sms', '+15555550123', 'opt_out', 'web');
SELECT * FROM pg_temp.record('sms', '+15555550123', 'opt_in', 'web');
-- where there is no opt-out an import opts in
SELECT * FROM pg_temp.record('sms', '+15555550125', 'opt_in', 'import');
-- a request of long ago decides nothing against a newer one, and STOP wins a tie
SELECT * FROM pg_temp.record('sms', '+15555550126', 'opt_in', 'web', at => :'yesterday');
SELECT * FROM pg_temp.record('sms', '+15555550126', 'opt_out', 'web', at => :'yesterday'::timestamptz - interval '1 s');
SELECT * FROM pg_temp.record('sms', '+15555550126', 'opt_out', 'web', at => :'yesterday');
SELECT * FROM pg_temp.record('sms', '+15555550126', 'opt_in', 'web', at => :'yesterday');

-- a category folds the requests of 'all' and its own; 'all' only its own
SELECT * FROM pg_temp.record('sms', '+15555550127', 'opt_in', 'web', at => now() - interval '5 h');
SELECT * FROM pg_temp.record('sms', '+15555550127', 'opt_out', 'web', scope => 'offers', at => now() - interval '4 h');
SELECT * FROM pg_temp.record('sms', '+15555550127', 'opt_out', 'web', at => now() - interval '3 h');
SELECT * FROM pg_temp.record('sms', '+15555550127', 'opt_in', 'web', scope => 'offers', at => now() - interval '2 h');
SELECT * FROM pg_temp.record('sms', '+15555550127', 'opt_in', 'web', at => now() - interval '1 h');
-- a STOP by text is one for every category
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'STOP', sender => '+15555550127'));
SELECT scope, state FROM omnimsg.consents WHERE channel = 'sms' AND address = '+15555550127' ORDER BY 1;

-- e-mail addresses are one whatever the case
INSERT INTO omnimsg.collection_accounts (organization_id, name, email) VALUES (:acme, 'by mail', 'Jo@Example.COM');
SELECT * FROM pg_temp.record('email', 'JO@example.com', 'opt_out', 'email');
SELECT address, state FROM omnimsg.consents WHERE channel = 'email';
SELECT email, sms_consent, email_consent FROM omnimsg.collection_accounts WHERE name = 'by mail';
-- short codes have consent too
SELECT * FROM pg_temp.record('sms', '262966', 'opt_out', 'web');
