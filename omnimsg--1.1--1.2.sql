/* omnimsg--1.1--1.2.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION or CREATE EXTENSION
\echo Use "ALTER EXTENSION omnimsg UPDATE TO '1.2'" to load this file. \quit

-- Versions 1.0 and 1.1 stay as they were installed; what has changed since is here, and a new installation runs
-- all of them.  Names are qualified as in omnimsg--1.0.sql, for the same reason.

-- A server that was not restarted since the new files came runs the old library.  Say so before anything else.
DO $$
BEGIN
	IF omnimsg.library_version() OPERATOR(pg_catalog.<>) '1.2' THEN
		RAISE EXCEPTION USING
			ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = 'the server still runs the library of an older version of omnimsg',
			DETAIL = 'The files of the new one are installed, but the server has loaded the old one.',
			HINT = 'Restart the server, then run ALTER EXTENSION omnimsg UPDATE again.';
	END IF;
END
$$;

--
-- Tenants: who a session acts for, and that it sees nothing else
--

--
-- Keys of provider accounts: a key reaches its own numbers only
--

--
-- Evidence: what proves years later that the provider delivered a request
--

--
-- The audit trail: a hash per row, and seals over them
--

ALTER TABLE omnimsg.audit_logs ADD COLUMN origin pg_catalog.int8;
COMMENT ON COLUMN omnimsg.audit_logs.row_hash IS 'BLAKE2b-256 of the row, as doc/audit.md says; NULL in rows of before version 1.2';
COMMENT ON COLUMN omnimsg.audit_logs.origin IS 'a number of the cluster and the database that the row was written in: in another one xid means another transaction; NULL in rows of before version 1.2';

-- Seals ask for what came since.  Transactions are numbered upwards, so the entry goes to the end of the index.  Months that are
-- made later get it from the default partition.
CREATE INDEX audit_logs_default_xid ON omnimsg.audit_logs_default (xid);
DO $$
DECLARE
	part text;
BEGIN
	FOR part IN
		SELECT c.relname FROM pg_catalog.pg_inherits i
		  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
		 WHERE i.inhparent OPERATOR(pg_catalog.=) 'omnimsg.audit_logs'::pg_catalog.regclass
		   AND c.relname OPERATOR(pg_catalog.<>) 'audit_logs_default'
	LOOP
		EXECUTE pg_catalog.format('CREATE INDEX %I ON omnimsg.%I (xid)', part OPERATOR(pg_catalog.||) '_xid_idx', part);
	END LOOP;
END
$$;

CREATE FUNCTION omnimsg.write_audit(organization_id pg_catalog.uuid, action pg_catalog.text, resource_type pg_catalog.text,
		resource_id pg_catalog.uuid, old_value pg_catalog.jsonb, new_value pg_catalog.jsonb) RETURNS pg_catalog.void
	AS 'MODULE_PATHNAME', 'omnimsg_write_audit' LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION omnimsg.write_audit(pg_catalog.uuid, pg_catalog.text, pg_catalog.text, pg_catalog.uuid, pg_catalog.jsonb, pg_catalog.jsonb) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.write_audit(pg_catalog.uuid, pg_catalog.text, pg_catalog.text, pg_catalog.uuid, pg_catalog.jsonb, pg_catalog.jsonb) IS 'how functions in SQL write an audit row, by the role of the session; ids and words, never an address or a text';

CREATE FUNCTION omnimsg.audit_hash(omnimsg.audit_logs) RETURNS pg_catalog.bytea
	AS 'MODULE_PATHNAME', 'omnimsg_audit_hash' LANGUAGE C STABLE STRICT PARALLEL SAFE;
REVOKE EXECUTE ON FUNCTION omnimsg.audit_hash(omnimsg.audit_logs) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.audit_hash(omnimsg.audit_logs) IS 'what row_hash of an audit row must be';

CREATE OR REPLACE FUNCTION omnimsg.audit_hold(organization_id pg_catalog.uuid, hold_id pg_catalog.uuid,
		action pg_catalog.text, whole pg_catalog.bool) RETURNS pg_catalog.void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT omnimsg.write_audit(audit_hold.organization_id, audit_hold.action, 'legal_hold', hold_id, NULL,
							   jsonb_build_object('of', CASE WHEN whole THEN 'organization' ELSE 'address' END))
$$;

--
-- Private data: erasure, and the export of one person's data
--

ALTER TABLE omnimsg.events ADD COLUMN raw_sha256 pg_catalog.bytea;
COMMENT ON COLUMN omnimsg.events.raw_sha256 IS 'of a delivery whose raw bytes were erased with the data of a person: their SHA-256, so that a copy that the provider or a court has can be compared';

CREATE TABLE omnimsg.erasures (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	id pg_catalog.uuid NOT NULL,
	address_hash pg_catalog.text NOT NULL,
	key_id pg_catalog.text NOT NULL,
	erased_by pg_catalog.text NOT NULL,
	erased_at pg_catalog.timestamptz NOT NULL,
	counts pg_catalog.jsonb NOT NULL,
	returned_at pg_catalog.timestamptz,
	PRIMARY KEY (organization_id, id)
);
CREATE INDEX erasures_address_hash ON omnimsg.erasures (address_hash, organization_id) WHERE returned_at IS NULL;
COMMENT ON TABLE omnimsg.erasures IS 'certificates: whose data was erased, when and by whom; written by omnimsg_erase_person(), kept for ever';
COMMENT ON COLUMN omnimsg.erasures.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.erasures.id IS 'number of the certificate, and the resource of its audit row';
COMMENT ON COLUMN omnimsg.erasures.address_hash IS 'what stands in the place of the address now: a keyed hash; with the key the same is made of the address again';
COMMENT ON COLUMN omnimsg.erasures.key_id IS 'which key: a hash under it of a text that everybody knows';
COMMENT ON COLUMN omnimsg.erasures.erased_by IS '''role:'' and the database role that asked for it';
COMMENT ON COLUMN omnimsg.erasures.erased_at IS 'when';
COMMENT ON COLUMN omnimsg.erasures.counts IS 'rows in which something was replaced: messages, requests, accounts, evidence (raw bytes of deliveries), dead_letters';
COMMENT ON COLUMN omnimsg.erasures.returned_at IS 'when the person, or an import, brought the address back, and the requests got it again; NULL until then';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.erasures', '');

CREATE FUNCTION omnimsg.pseudonym(value pg_catalog.text) RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME', 'omnimsg_pseudonym' LANGUAGE C STABLE STRICT;
REVOKE EXECUTE ON FUNCTION omnimsg.pseudonym(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.pseudonym(pg_catalog.text) IS 'keyed hash that stands in the place of an erased address or text; the key is made of the file erasure_key in omnimsg.secrets_dir';

CREATE FUNCTION omnimsg.erasure_key_id() RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME', 'omnimsg_erasure_key_id' LANGUAGE C STABLE;
REVOKE EXECUTE ON FUNCTION omnimsg.erasure_key_id() FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.erasure_key_id() IS 'which key of erasures there is now; empty when it cannot be read';

CREATE FUNCTION @extschema@.omnimsg_erase_person(organization_id pg_catalog.uuid, address pg_catalog.text,
		dead_letters pg_catalog.bool DEFAULT false) RETURNS pg_catalog.uuid
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_erase_person(pg_catalog.uuid, pg_catalog.text, pg_catalog.bool) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_erase_person(pg_catalog.uuid, pg_catalog.text, pg_catalog.bool) IS 'replace an address of an organization, and the texts of and to it, by keyed hashes; what the person said of being written to stays in force; returns the id of the certificate in omnimsg.erasures; refused under a legal hold, and while dead letters name the address unless dead_letters erases those as well';

CREATE FUNCTION @extschema@.omnimsg_export_person(organization_id pg_catalog.uuid, address pg_catalog.text)
	RETURNS pg_catalog.jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_export_person(pg_catalog.uuid, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_export_person(pg_catalog.uuid, pg_catalog.text) IS 'all that an organization has of one address: accounts, messages, requests, consents, reviews, flags, and the audit rows about them; put on record as PERSON_EXPORTED';

--
-- What omnimsg_health() finds: of the work, as in version 1.1, and of who may do what
--

ALTER FUNCTION @extschema@.omnimsg_health() RENAME TO work_findings;
ALTER FUNCTION @extschema@.work_findings() SET SCHEMA omnimsg;
REVOKE ALL ON FUNCTION omnimsg.work_findings() FROM pg_monitor;
COMMENT ON FUNCTION omnimsg.work_findings() IS 'the findings of omnimsg_health() about what arrives and what is sent';

CREATE FUNCTION omnimsg.security_findings(OUT severity pg_catalog.text, OUT finding pg_catalog.text,
		OUT detail pg_catalog.text, OUT hint pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'error', format('omnimsg.%s is open to everybody', c.relname), NULL::text,
		   'Revoke what was granted to PUBLIC: people''s numbers and messages are in it.'
	  FROM pg_class c, aclexplode(c.relacl) AS a
	 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.grantee = 0
	 GROUP BY c.relname
	UNION ALL
	SELECT 'error', 'people whose data was erased cannot be recognised',
		   CASE k.id WHEN '' THEN 'the key cannot be read' ELSE 'the key is another one than at the erasure' END,
		   'Put the file erasure_key back into omnimsg.secrets_dir. Until then messages of organizations that erased somebody are held.'
	  FROM omnimsg.erasure_key_id() AS k (id)
	 WHERE EXISTS (SELECT 1 FROM omnimsg.erasures e WHERE e.returned_at IS NULL AND e.key_id <> k.id)
$$;
REVOKE ALL ON FUNCTION omnimsg.security_findings() FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.security_findings() IS 'the findings of omnimsg_health() about who may do what';

CREATE FUNCTION @extschema@.omnimsg_health(OUT severity pg_catalog.text, OUT finding pg_catalog.text,
		OUT detail pg_catalog.text, OUT hint pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT * FROM omnimsg.work_findings()
	UNION ALL
	SELECT * FROM omnimsg.security_findings()
$$;
REVOKE ALL ON FUNCTION @extschema@.omnimsg_health() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.omnimsg_health() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.omnimsg_health() IS 'what somebody should look at, with what to do; no rows when all is well';
