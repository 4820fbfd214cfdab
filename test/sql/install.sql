-- What CREATE EXTENSION makes: all of it explained, none of it open to everybody, all of it
-- dumped, and keyed by tenant.

SELECT c.relname::text COLLATE "C" AS relation, c.relkind
  FROM pg_class c
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
   AND c.relname !~ '_[0-9]{4}_[0-9]{2}$'
 ORDER BY 1;

SELECT p.oid::regprocedure::text COLLATE "C" AS function, p.prosecdef AS definer
  FROM pg_proc p
  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'omnimsg'
 ORDER BY 1;

-- the library is made for the version that is installed by default
SELECT omnimsg.library_version() = v.default_version AS of_default_version FROM pg_available_extensions v WHERE v.name = 'omnimsg';

-- everything has a comment: expect no rows
SELECT c.oid::regclass AS uncommented_relation
  FROM pg_class c
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v')
   AND c.relname !~ '_[0-9]{4}_[0-9]{2}$'
   AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT c.oid::regclass AS relation, a.attname AS uncommented_column
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'c')
   AND NOT c.relispartition AND col_description(c.oid, a.attnum) IS NULL;
SELECT pg_describe_object(d.classid, d.objid, 0) AS uncommented_member
  FROM pg_depend d
  JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'omnimsg'
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND obj_description(d.objid, d.classid::regclass::name) IS NULL
   AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (	-- row and array types
			SELECT 1 FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
			 WHERE t.oid = d.objid AND (t.typelem <> 0 OR c.relkind <> 'c')));
SELECT t.tgname AS uncommented_trigger
  FROM pg_trigger t
 WHERE t.tgrelid = 'omnimsg.collection_accounts'::regclass AND NOT t.tgisinternal
   AND obj_description(t.oid, 'pg_trigger') IS NULL;

-- what everybody may call: functions that read and write nothing
SELECT p.oid::regprocedure::text COLLATE "C" AS open_to_public
  FROM pg_proc p
  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'omnimsg'
 WHERE EXISTS (SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
				WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
 ORDER BY 1;
-- and what everybody may read, write or look into: expect no rows
SELECT c.relname AS open_to_public, a.privilege_type
  FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.grantee = 0;
SELECT a.privilege_type AS open_to_public
  FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
 WHERE n.nspname = 'omnimsg' AND a.grantee = 0;

-- whoever runs with the owner's rights does not run with the caller's search_path: expect no rows
SELECT p.oid::regprocedure AS unguarded
  FROM pg_proc p
 WHERE p.proname ~ '^omnimsg' AND p.prosecdef
   AND NOT coalesce(p.proconfig::text ~ 'search_path=', false);

-- a dump has the rows of every table: expect no rows; the nil organization, which the script makes, is left out
SELECT c.oid::regclass AS not_dumped
  FROM pg_class c
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p')
   AND c.relname !~ '_[0-9]{4}_[0-9]{2}$'
   AND c.oid <> ALL (SELECT unnest(x.extconfig) FROM pg_extension x WHERE x.extname = 'omnimsg');
SELECT u.relation::regclass, u.condition
  FROM pg_extension x, unnest(x.extconfig, x.extcondition) AS u (relation, condition)
 WHERE x.extname = 'omnimsg' AND u.condition <> '';

-- What has a tenant is closed to other tenants, each month as well: expect no rows
SELECT c.relname AS open_to_other_tenants, c.relrowsecurity, c.relforcerowsecurity, p.polroles, pg_get_expr(p.polqual, c.oid) AS policy
  FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p')
   AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id')
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND p.polname = 'tenant' AND p.polcmd = '*' AND p.polwithcheck IS NULL
			AND pg_get_expr(p.polqual, c.oid) = '(organization_id = omnimsg.current_organization())');
-- without one there are no policies, but for the organizations themselves
SELECT p.polrelid::regclass AS relation, p.polname, pg_get_expr(p.polqual, p.polrelid) AS policy
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
 WHERE c.relnamespace = 'omnimsg'::regnamespace
   AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id');

-- a partitioned parent has neither keys nor indexes, or a restored dump fails: expect no rows
SELECT i.indexrelid::regclass AS index_of_parent
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind = 'p';
-- and append-only tables have no foreign keys: expect no rows
SELECT c.conrelid::regclass AS append_only, c.conname
  FROM pg_constraint c
 WHERE c.contype = 'f'
   AND c.conrelid IN ('omnimsg.events'::regclass, 'omnimsg.messages'::regclass, 'omnimsg.messages_default'::regclass,
					  'omnimsg.opt_out_requests'::regclass, 'omnimsg.audit_logs'::regclass,
					  'omnimsg.audit_logs_default'::regclass);

-- nothing of it is gone after a crash, and no view shows more than its reader may see: expect no rows
SELECT c.relname AS not_durable
  FROM pg_class c
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 'p';
SELECT c.relname AS with_the_rights_of_its_owner
  FROM pg_class c
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind = 'v'
   AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false);

-- a misspelled setting of ours is refused
SET omnimsg.dispatsh = off;

-- only UTF8
\set SHOW_CONTEXT never
CREATE DATABASE regress_omnimsg_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
\set here :DBNAME
\c regress_omnimsg_latin
CREATE EXTENSION omnimsg;
\c :here
DROP DATABASE regress_omnimsg_latin;

-- Somebody else's schema of that name is refused; any schema for the functions is fine; and
-- DROP EXTENSION leaves nothing, months that were made since included.
CREATE DATABASE regress_omnimsg_other ENCODING 'UTF8' TEMPLATE template0;
\c regress_omnimsg_other
CREATE SCHEMA omnimsg;
CREATE EXTENSION omnimsg;
DROP SCHEMA omnimsg;
CREATE SCHEMA api;
CREATE EXTENSION omnimsg SCHEMA api;
SELECT name, numerator, denominator, ratio FROM api.omnimsg_stats();
SELECT api.omnimsg_mask_phone('+15555550123');
SELECT DISTINCT action FROM api.omnimsg_maintain();
SELECT count(*) > 0 AS is_told FROM api.omnimsg_health();
DROP EXTENSION omnimsg;
SELECT count(*) FROM pg_namespace WHERE nspname = 'omnimsg';
\c :here
DROP DATABASE regress_omnimsg_other;
