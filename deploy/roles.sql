/*
 * deploy/roles.sql: the role that the relay connects as.
 *
 * Run as superuser in the database that has the extension; may be repeated:
 *     psql -X -v ON_ERROR_STOP=1 -d omnimsg -f deploy/roles.sql
 *
 * The relay may hand deliveries in and nothing else: it reads no table.  The role has no password; give it one with \password, or let pg_hba.conf
 * admit the relay's operating system user by peer.
 */

BEGIN;

SELECT 'CREATE ROLE omnimsg_relay'
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'omnimsg_relay')
\gexec

ALTER ROLE omnimsg_relay LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION
	NOBYPASSRLS CONNECTION LIMIT 128;

-- nobody makes objects or temporary tables here by accident of a default
SELECT pg_catalog.format('REVOKE CREATE, TEMPORARY ON DATABASE %1$I FROM PUBLIC;'
	'GRANT CONNECT ON DATABASE %1$I TO omnimsg_relay', pg_catalog.current_database())
\gexec

-- the functions are wherever CREATE EXTENSION put them
SELECT pg_catalog.format('REVOKE ALL ON FUNCTION %1$s FROM PUBLIC; GRANT EXECUTE ON FUNCTION %1$s TO omnimsg_relay',
	p.oid::pg_catalog.regprocedure)
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
	AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
	AND d.refobjid = e.oid AND e.extname = 'omnimsg'
 WHERE p.proname IN ('omnimsg_ingest', 'omnimsg_ingest_batch', 'omnimsg_keep_dead')
\gexec

-- what deploy/prometheus/postgres_exporter.yml reads: kinds and states, no addresses
GRANT USAGE ON SCHEMA omnimsg TO pg_monitor;
GRANT SELECT (kind, state, settled_at) ON omnimsg.outbox TO pg_monitor;
GRANT SELECT (decision, due_at) ON omnimsg.reviews TO pg_monitor;

COMMIT;
