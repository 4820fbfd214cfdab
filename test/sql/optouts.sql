-- The provider's block and its list of opt-outs: what lifts a block, who may ask for the list, and
-- where both sides differ.  What the worker pulls is in test/t/065_optouts.pl.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

\set beta '''44444444-4444-7444-8444-444444444444'''
\set main '''22222222-2222-7222-8222-222222222222'''
\set second '''22222222-2222-7222-8222-222222222223'''
INSERT INTO omnimsg.organizations (id, name) VALUES (:beta, 'Beta');
INSERT INTO omnimsg.provider_accounts (id, provider, name) VALUES (:second, 'telnyx', 'without a secret');
-- 0199 is Acme's and 0198 is shared, both of the first account; 0197 is Acme's at the second
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number, provider_account_id, is_primary) VALUES
	(:acme, '+15555550198', :main, true), (:beta, '+15555550198', :main, false), (:acme, '+15555550197', :second, true);

-- a text of ours that the provider refused because of a STOP
CREATE FUNCTION pg_temp.blocked(id text, person text, ours text DEFAULT '+15555550199', code text DEFAULT '40300',
		title text DEFAULT 'Blocked due to STOP message', at timestamptz DEFAULT now() - interval '1 hour') RETURNS text LANGUAGE sql AS $$
	INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body,
		status, external_message_id, provider, created_at)
	VALUES ('11111111-1111-7111-8111-111111111111', omnimsg.uuid7(), 'outbound', 'sms', ours, person, 'hi', 'sent', id, 'telnyx', at);
	SELECT outcome FROM pg_temp.ingest(pg_temp.status(id || '-failed', 'message.finalized', id, 'delivery_failed',
		more => jsonb_build_object('from', jsonb_build_object('phone_number', ours),
			'to', jsonb_build_array(jsonb_build_object('phone_number', person, 'status', 'delivery_failed')),
			'errors', jsonb_build_array(jsonb_build_object('code', code, 'title', title)))));
$$;
CREATE VIEW pg_temp.consent AS
	SELECT o.name, c.address, c.state, c.provider_blocked FROM omnimsg.consents c JOIN omnimsg.organizations o ON o.id = c.organization_id
	 WHERE c.channel = 'sms' ORDER BY 1, 2;

-- A block stands, whoever says otherwise at a desk or on the web, ...
SELECT pg_temp.blocked('a', '+15555550101');
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550101', 'opt_in', source, 'asked for it') IS NOT NULL AS recorded
  FROM unnest(ARRAY['web', 'email', 'agent', 'free_text', 'provider', 'api', 'import']) AS source;
SELECT * FROM pg_temp.consent;
SELECT verdict, reason FROM omnimsg_explain_send(:acme, 'sms', '+15555550101') WHERE gate = 'provider_block';
-- and whatever was texted before, or to a number of another account
SELECT * FROM pg_temp.ingest(pg_temp.received('1', 'START', now() - interval '2 hours', sender => '+15555550101'));
SELECT * FROM pg_temp.ingest(pg_temp.received('2', 'START', sender => '+15555550101', receiver => '+15555550197'));
SELECT * FROM pg_temp.consent;
-- START to a shared number of the same account lifts it, for the organization that has it
SELECT * FROM pg_temp.ingest(pg_temp.received('3', 'START', sender => '+15555550101', receiver => '+15555550198'));
SELECT * FROM pg_temp.consent;
-- 40301 is one only if its title says so; another code never is
SELECT pg_temp.blocked('b', '+15555550102', code => '40301', title => 'Unsupported message type');
SELECT pg_temp.blocked('c', '+15555550102', code => '40301', title => 'Recipient sent STOP');
SELECT pg_temp.blocked('d', '+15555550103', code => '40310', title => 'STOP is no valid number');
SELECT external_message_id, status, error_code FROM omnimsg.messages WHERE direction = 'outbound' ORDER BY 1;
SELECT * FROM pg_temp.consent WHERE address > '+15555550101';
-- nothing of it is sent again
SELECT count(*) FROM omnimsg.outbox WHERE kind NOT IN ('opt_in_confirmation');

--
-- Where both sides differ.  The mirror is written by hand here.
--
CREATE FUNCTION pg_temp.pulled(at timestamptz DEFAULT clock_timestamp(), account uuid DEFAULT :main) RETURNS void LANGUAGE sql AS $$
	INSERT INTO omnimsg.optout_pulls (provider_account_id, started_at, finished_at, completed_at, due_at)
		VALUES (account, at, at, at, 'infinity')
	ON CONFLICT (provider_account_id) DO UPDATE SET completed_at = excluded.completed_at;
	UPDATE omnimsg.provider_optouts SET seen_at = at WHERE provider_account_id = account;
$$;
CREATE VIEW pg_temp.drift AS
	SELECT o.name, d.address, d.our_address, d.ours, d.theirs, d.difference
	  FROM omnimsg.consent_drift d JOIN omnimsg.organizations o ON o.id = d.organization_id ORDER BY 2, 1, 3;

-- as long as no list was pulled there is nothing to compare with
SELECT * FROM pg_temp.drift;
SELECT pg_temp.pulled(now() - interval '1 day');
SELECT * FROM pg_temp.drift;
-- the block of 0102 is not in the list
SELECT pg_temp.pulled();
SELECT * FROM pg_temp.drift;
SELECT DISTINCT difference, meaning FROM omnimsg.consent_drift;
-- it may be there for another number of ours: the account is one list
INSERT INTO omnimsg.provider_optouts VALUES (:main, '+15555550198', '+15555550102', 'STOP', now() - interval '1 hour', now());
SELECT * FROM pg_temp.drift;
SELECT DISTINCT difference, meaning FROM omnimsg.consent_drift;
SELECT * FROM pg_temp.ingest(pg_temp.received('4', 'STOP', sender => '+15555550102', receiver => '+15555550198'));
SELECT * FROM pg_temp.drift;
-- a STOP that the provider did not take for one; one without a number of ours; one of another account's number,
-- whose list nobody pulls; and one of both
SELECT * FROM pg_temp.ingest(pg_temp.received('5', 'STOP', sender => '+15555550105'));
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550106', 'opt_out', 'web') IS NOT NULL AS recorded;
SELECT * FROM pg_temp.ingest(pg_temp.received('6', 'STOP', sender => '+15555550107', receiver => '+15555550197'));
SELECT * FROM pg_temp.ingest(pg_temp.received('7', 'STOP', sender => '+15555550108'));
INSERT INTO omnimsg.provider_optouts VALUES (:main, '+15555550199', '+15555550108', 'STOP', now(), now());
SELECT * FROM pg_temp.drift;
SELECT pg_temp.pulled();
SELECT * FROM pg_temp.drift;
SELECT DISTINCT meaning FROM omnimsg.consent_drift WHERE difference = 'ours_only';
-- START is younger than the list: no difference until the list still has it
SELECT * FROM pg_temp.ingest(pg_temp.received('8', 'START', clock_timestamp(), sender => '+15555550108'));
SELECT * FROM pg_temp.drift WHERE address = '+15555550108';
SELECT pg_temp.pulled();
SELECT * FROM pg_temp.drift WHERE address = '+15555550108';
-- entries for numbers that nobody owns are nobody's
INSERT INTO omnimsg.provider_optouts VALUES (:main, '+15555550000', '+15555550109', NULL, now(), now()), (:main, '', '+15555550109', NULL, now(), now());
SELECT * FROM pg_temp.drift WHERE address = '+15555550109';

-- Who may ask for a pull, and see what differs
SELECT omnimsg_pull_optouts();
SELECT provider_account_id, due_at, finished_at IS NOT NULL AS finished FROM omnimsg.optout_pulls;
UPDATE omnimsg.provider_accounts SET secret_name = 'telnyx' WHERE id = :second;
SELECT omnimsg_pull_optouts();
SELECT provider_account_id, due_at, next_page, pass, finished_at IS NOT NULL AS finished FROM omnimsg.optout_pulls ORDER BY 1;
CREATE ROLE regress_omnimsg_nobody;
SET ROLE regress_omnimsg_nobody;
SELECT omnimsg_pull_optouts();
SELECT * FROM omnimsg.consent_drift;
RESET ROLE;
-- the view shows nobody more than the tables would
GRANT USAGE ON SCHEMA omnimsg TO regress_omnimsg_nobody;
GRANT SELECT ON omnimsg.consent_drift TO regress_omnimsg_nobody;
SET ROLE regress_omnimsg_nobody;
SELECT * FROM omnimsg.consent_drift;
RESET ROLE;
DROP OWNED BY regress_omnimsg_nobody;
DROP ROLE regress_omnimsg_nobody;
