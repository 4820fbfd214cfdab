-- a new database with months of messages, for the tables of doc/scaling.md: psql -v months=24 -f bench/scaling.sql DATABASE
--
-- 10 000 accounts of 100 organizations have :rows messages (300 000), spread evenly over that many months, of which the last is this one.  Account N has the
-- number +1555 and N in seven digits, and the id that ends with N in hex.
\set ON_ERROR_STOP on
\if :{?rows} \else \set rows 300000 \endif
SET client_min_messages = warning;
CREATE EXTENSION omnimsg;
CREATE SCHEMA bench;
CREATE FUNCTION bench.organization(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
	RETURN ('11111111-1111-7111-8111-' || lpad(to_hex(n % 100), 12, '0'))::uuid;
CREATE FUNCTION bench.account(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
	RETURN ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid;
-- a text of one of them, as the provider would bring it, with little more than what is read; batch.pgbench hands over 64
CREATE FUNCTION bench.webhook(n bigint, account bigint) RETURNS bytea LANGUAGE sql VOLATILE
	RETURN convert_to(jsonb_build_object('data', jsonb_build_object('event_type', 'message.received', 'id', md5('event ' || n)::uuid, 'occurred_at', clock_timestamp(),
		'record_type', 'event', 'payload', jsonb_build_object('id', md5('message ' || n)::uuid, 'direction', 'inbound', 'type', 'SMS', 'record_type', 'message',
			'from', jsonb_build_object('phone_number', '+1555' || lpad(account::text, 7, '0')), 'received_at', clock_timestamp(),
			'to', jsonb_build_array(jsonb_build_object('phone_number', '+1555' || 2000100 + account % 100)),
			'text', 'Yes, Tuesday at 10 works for me, see you then')))::text, 'UTF8');

INSERT INTO omnimsg.organizations (id, name) SELECT bench.organization(n), 'Harbor Dental ' || n FROM generate_series(0, 99) AS n;
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name)
	VALUES ('22222222-2222-7222-8222-222222222222', 'telnyx', 'simulator', 'simulator');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	SELECT '+1555' || 2000100 + n, bench.organization(n), 'telnyx', '22222222-2222-7222-8222-222222222222' FROM generate_series(0, 99) AS n;
INSERT INTO omnimsg.collection_accounts (organization_id, id, name, primary_phone)
	SELECT bench.organization(n), bench.account(n), 'Customer ' || n, '+1555' || lpad(n::text, 7, '0') FROM generate_series(0, 9999) AS n;

SELECT count(omnimsg.make_month(t, (date_trunc('month', now() AT TIME ZONE 'UTC') - n * interval '1 month')::date)) AS months
  FROM unnest(ARRAY['messages', 'audit_logs']) AS t, generate_series(0, :months - 1) AS n;
INSERT INTO omnimsg.messages (organization_id, id, account_id, direction, channel, from_number, to_number, message_body, status, provider, created_at)
	SELECT bench.organization(w.account), gen_random_uuid(), bench.account(w.account), 'inbound', 'sms', '+1555' || lpad(w.account::text, 7, '0'),
		'+1555' || 2000100 + w.account % 100, 'I paid it on Friday already, please look again: ' || i, 'received', 'telnyx',
		b.starts + i::float8 / :rows * (now() - b.starts)
	  FROM (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - (:months - 1) * interval '1 month') AS b (starts),
		generate_series(0::bigint, :rows - 1) AS i, LATERAL (SELECT i * 7919 % 10000) AS w (account);
VACUUM (ANALYZE);
