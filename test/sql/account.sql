-- The trigger on collection_accounts: normalizes addresses, takes consent over, keeps everybody
-- from writing it directly, and leaves a restore alone.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

\set record 'SELECT count(*) AS recorded FROM omnimsg_record_consent'
-- written as E.164 where that is possible, kept as given where it is not
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, secondary_phone, email) VALUES
	(:acme, 'a', '(555) 555-0140', '555.555.0141', 'Jo@Example.COM'),
	(:acme, 'b', 'call my sister', '555-0140', NULL), (:acme, 'c', NULL, NULL, NULL)
	RETURNING name, primary_phone, secondary_phone, email, sms_consent, email_consent;
UPDATE omnimsg.collection_accounts SET primary_phone = '1-555-555-0142' WHERE name = 'b' RETURNING primary_phone;
-- the organization's region decides how national numbers are read
INSERT INTO omnimsg.organizations (id, name, default_region) VALUES ('44444444-4444-7444-8444-444444444444', 'Beta', 'GB');
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone) VALUES
	('44444444-4444-7444-8444-444444444444', 'd', '5555550143'), ('44444444-4444-7444-8444-444444444444', 'e', '+1 555 555 0143')
	RETURNING primary_phone;
-- an organization that is not there
INSERT INTO omnimsg.collection_accounts (organization_id, primary_phone) VALUES ('99999999-9999-7999-8999-999999999999', '5555550144');
\set VERBOSITY terse
INSERT INTO omnimsg.collection_accounts (primary_phone, sms_consent) VALUES ('5555550144', true);
INSERT INTO omnimsg.collection_accounts (organization_id, id, primary_phone, sms_consent) VALUES (:acme, NULL, '5555550144', true);
\set VERBOSITY default

-- nobody writes the copies; to write what is there already is no change
UPDATE omnimsg.collection_accounts SET sms_consent = true WHERE name = 'a';
UPDATE omnimsg.collection_accounts SET email_consent = false WHERE name = 'a';
UPDATE omnimsg.collection_accounts SET sms_consent = NULL WHERE name = 'a' RETURNING sms_consent;
UPDATE omnimsg.collection_accounts SET name = 'A' WHERE name = 'a' RETURNING name;

-- a value that an INSERT brings is a request of source 'import', one for each phone
INSERT INTO omnimsg.collection_accounts (organization_id, id, name, primary_phone, secondary_phone, email, sms_consent, email_consent) VALUES
	(:acme, '33333333-3333-7333-8333-333333333321', 'imported', '+15555550145', '+15555550146', 'im@example.com', true, false)
	RETURNING sms_consent, email_consent;
SELECT channel, address, request_type, source, account_id FROM omnimsg.opt_out_requests ORDER BY 1, 2;
-- it never beats an opt-out; of two phones one opted out is enough
:record (:acme, 'sms', '+15555550146', 'opt_out', 'web');
SELECT sms_consent FROM omnimsg.collection_accounts WHERE name = 'imported';
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent) VALUES
	(:acme, 'imported again', '+15555550146', true) RETURNING sms_consent;
SELECT address, state FROM omnimsg.consents WHERE channel = 'sms' ORDER BY 1;

-- another phone brings the consent of that phone, in both directions
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone) VALUES (:acme, 'mover', '+15555550147') RETURNING sms_consent;
UPDATE omnimsg.collection_accounts SET primary_phone = '555-555-0146' WHERE name = 'mover' RETURNING primary_phone, sms_consent;
UPDATE omnimsg.collection_accounts SET primary_phone = '+15555550145' WHERE name = 'mover' RETURNING sms_consent;
UPDATE omnimsg.collection_accounts SET secondary_phone = '+15555550146' WHERE name = 'mover' RETURNING sms_consent;
UPDATE omnimsg.collection_accounts SET primary_phone = NULL, secondary_phone = NULL WHERE name = 'mover' RETURNING sms_consent;

-- COPY goes the same way
COPY omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent) FROM stdin WITH (FORMAT csv);
11111111-1111-7111-8111-111111111111,copied,(555) 555-0148,
11111111-1111-7111-8111-111111111111,copied too,555 555 0146,true
11111111-1111-7111-8111-111111111111,copied with consent,555 555 0149,true
\.
SELECT name, primary_phone, sms_consent FROM omnimsg.collection_accounts WHERE name LIKE 'copied%' ORDER BY 1;

-- with row_security off, as pg_dump's output sets it, rows go in as they are
SET row_security = off;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent) VALUES (:acme, 'restored', '(555) 555-0146', true)
	RETURNING primary_phone, sms_consent;
RESET row_security;
SELECT count(*) FROM omnimsg.opt_out_requests WHERE address ~ '\(';

-- whoever may load accounts needs no right on what the trigger reads
CREATE ROLE regress_omnimsg_loader;
GRANT USAGE ON SCHEMA omnimsg TO regress_omnimsg_loader;
GRANT SELECT, INSERT ON omnimsg.collection_accounts TO regress_omnimsg_loader;
INSERT INTO omnimsg.tenant_roles (role_name, organization_id, mapped_at, mapped_by) VALUES ('regress_omnimsg_loader', :acme, now(), 'test');
SET ROLE regress_omnimsg_loader;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent) VALUES (:acme, 'by the loader', '5555550146', true)
	RETURNING primary_phone, sms_consent;
SELECT current_user;
-- nor does its search_path lead the trigger astray
CREATE FUNCTION pg_temp.astray(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'led astray by %', current_user; END $$;
CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.astray);
SET search_path = pg_temp, pg_catalog;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent)
	VALUES ('11111111-1111-7111-8111-111111111111', 'not led astray', '5555550146', true) RETURNING primary_phone, sms_consent;
RESET search_path;
RESET ROLE;
DROP OPERATOR pg_temp.= (text, text);
DELETE FROM omnimsg.tenant_roles;
DROP OWNED BY regress_omnimsg_loader;
DROP ROLE regress_omnimsg_loader;

-- a table of consents that nobody has counted yet, as after a restore, is not read whole for each account
BEGIN;
INSERT INTO omnimsg.consents (organization_id, channel, address, state, changed_at)
	SELECT :acme, 'sms', '+1555555' || n, 'opted_in', now() FROM generate_series(2000, 6999) AS n;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	SELECT :acme, 'many', '+15555552000' FROM generate_series(1, 20);
SELECT idx_tup_fetch AS before FROM pg_stat_xact_user_tables WHERE relid = 'omnimsg.consents'::regclass \gset
SELECT outcome FROM pg_temp.ingest(pg_temp.received('uncounted', 'STOP', sender => '+15555552000'));
SELECT count(*), bool_and(sms_consent = false) AS copied FROM omnimsg.collection_accounts WHERE name = 'many';
SELECT idx_tup_fetch - :before < 500 AS few FROM pg_stat_xact_user_tables WHERE relid = 'omnimsg.consents'::regclass;
ROLLBACK;
-- a load asks for the region of an organization once; one that the same transaction has changed counts at once
BEGIN;
DO $$
BEGIN
	INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
		SELECT '11111111-1111-7111-8111-111111111111', 'before', '5555550160' FROM generate_series(1, 2);
	UPDATE omnimsg.organizations SET default_region = 'GB' WHERE id = '11111111-1111-7111-8111-111111111111';
	INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
		SELECT '11111111-1111-7111-8111-111111111111', 'after', '5555550160' FROM generate_series(1, 2);
END
$$;
SELECT name, primary_phone, count(*) FROM omnimsg.collection_accounts WHERE name IN ('before', 'after') GROUP BY 1, 2 ORDER BY 1 DESC;
ROLLBACK;
