-- The trigger on accounts runs with the rights of its owner for everybody who may insert one.
-- Nothing that such a role makes may run with them, and it cannot be put on another table.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

CREATE ROLE regress_omnimsg_loader;
GRANT USAGE ON SCHEMA omnimsg TO regress_omnimsg_loader;
GRANT SELECT, INSERT ON omnimsg.collection_accounts TO regress_omnimsg_loader;
INSERT INTO omnimsg.tenant_roles (role_name, organization_id, mapped_at, mapped_by) VALUES ('regress_omnimsg_loader', :acme, now(), 'test');
CREATE SCHEMA regress_omnimsg_trap AUTHORIZATION regress_omnimsg_loader;

SET ROLE regress_omnimsg_loader;
CREATE FUNCTION regress_omnimsg_trap.spring(boolean, boolean) RETURNS boolean LANGUAGE plpgsql
	AS $$ BEGIN RAISE EXCEPTION 'led astray as %', current_user; END $$;
CREATE AGGREGATE regress_omnimsg_trap.bool_or(boolean) (SFUNC = regress_omnimsg_trap.spring, STYPE = boolean, INITCOND = false);
CREATE FUNCTION regress_omnimsg_trap.spring(text, text) RETURNS boolean LANGUAGE plpgsql
	AS $$ BEGIN RAISE EXCEPTION 'led astray as %', current_user; END $$;
CREATE OPERATOR regress_omnimsg_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_omnimsg_trap.spring);
SET search_path = regress_omnimsg_trap, pg_catalog;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent)
	VALUES ('11111111-1111-7111-8111-111111111111', 'loaded', '(555) 555-0150', true)
	RETURNING primary_phone, sms_consent;

-- row_security = off marks a restore for the owner of the table only, and nobody else gets a row past the policies with it
SET row_security = off;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent)
	VALUES ('11111111-1111-7111-8111-111111111111', 'loaded too', '(555) 555-0151', false)
	RETURNING primary_phone, sms_consent;
RESET row_security;
RESET search_path;

-- not on a table of one's own, whose columns are of other types
CREATE TEMPORARY TABLE regress_omnimsg_trap_table (organization_id bigint, id bigint, primary_phone bigint,
	secondary_phone text, email text, sms_consent boolean, email_consent boolean);
CREATE TRIGGER trap BEFORE INSERT ON regress_omnimsg_trap_table FOR EACH ROW EXECUTE FUNCTION omnimsg.account_trigger();
RESET ROLE;
CREATE TRIGGER trap BEFORE INSERT ON regress_omnimsg_trap_table FOR EACH ROW EXECUTE FUNCTION omnimsg.account_trigger();
INSERT INTO regress_omnimsg_trap_table VALUES (1, 1, 1);

-- what the import brought is on record and in the audit trail; once, however often it is repeated
SELECT q.address, q.request_type, q.source FROM omnimsg.opt_out_requests q ORDER BY q.address;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent)
	VALUES (:acme, 'loaded again', '+15555550151', false), (:acme, 'loaded again', '+15555550150', true);
SELECT count(*) AS requests FROM omnimsg.opt_out_requests;
SELECT action, new_value ->> 'source' AS source, count(*) FROM omnimsg.audit_logs GROUP BY 1, 2;

DROP SCHEMA regress_omnimsg_trap CASCADE;
DROP TABLE regress_omnimsg_trap_table;
DELETE FROM omnimsg.tenant_roles;
DROP OWNED BY regress_omnimsg_loader;
DROP ROLE regress_omnimsg_loader;
