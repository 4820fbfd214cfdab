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

--
-- Private data: erasure, and the export of one person's data
--

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
