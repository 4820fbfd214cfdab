/*
 * deploy/roles.sql: who may do what.  doc/roles.md explains it.
 *
 * Run as superuser in the database that has the extension; may be repeated, and must be after ALTER EXTENSION omnimsg
 * UPDATE and after a restore (omnimsg_health() says so):
 *     psql -X -v ON_ERROR_STOP=1 -d omnimsg -f deploy/roles.sql
 * Before a dump is restored into another server run it there, too: it makes the roles that the dump names.
 *
 * No role has a password: give omnimsg_relay one with \password, or let pg_hba.conf admit the relay's operating system
 * user by peer.  People and programs get roles of their own that are members of omnimsg_agent, omnimsg_auditor or
 * omnimsg_admin.
 */

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
	wanted text;
BEGIN
	FOREACH wanted IN ARRAY ARRAY['omnimsg_owner', 'omnimsg_relay', 'omnimsg_agent', 'omnimsg_auditor', 'omnimsg_admin',
			'omnimsg_worker'] LOOP
		IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = wanted) THEN
			EXECUTE format('CREATE ROLE %I', wanted);
		END IF;
	END LOOP;
END
$$;

-- owns all of it; nobody can act as it but functions
ALTER ROLE omnimsg_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
-- the relay, which asks for shorter times than these itself
ALTER ROLE omnimsg_relay LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 128;
ALTER ROLE omnimsg_relay SET statement_timeout = '5s';
ALTER ROLE omnimsg_relay SET lock_timeout = '1s';
ALTER ROLE omnimsg_relay SET idle_in_transaction_session_timeout = '5s';
-- what a tenant's people and programs are members of
ALTER ROLE omnimsg_agent NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
ALTER ROLE omnimsg_auditor NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
ALTER ROLE omnimsg_admin NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT NOREPLICATION NOBYPASSRLS;
-- the dispatcher acts as it in each of its transactions
ALTER ROLE omnimsg_worker NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;

SELECT format('GRANT %I TO omnimsg_admin', w.name) FROM unnest(ARRAY['omnimsg_agent', 'omnimsg_auditor']) AS w (name)
 WHERE NOT EXISTS (SELECT FROM pg_auth_members a WHERE a.roleid = to_regrole(w.name) AND a.member = to_regrole('omnimsg_admin'))
\gexec

-- Nobody can act as the owner, the worker or the relay, and none of them as anybody else.
DO $$
DECLARE
	member record;
BEGIN
	FOR member IN
		SELECT g.rolname AS role, m.rolname AS name
		  FROM pg_auth_members a
		  JOIN pg_roles g ON g.oid = a.roleid
		  JOIN pg_roles m ON m.oid = a.member
		 WHERE g.rolname = ANY (ARRAY['omnimsg_owner', 'omnimsg_worker', 'omnimsg_relay'])
			OR m.rolname = ANY (ARRAY['omnimsg_owner', 'omnimsg_worker', 'omnimsg_relay'])
	LOOP
		RAISE WARNING 'role "%" is no member of "%" any more', member.name, member.role;
		EXECUTE format('REVOKE %I FROM %I', member.role, member.name);
	END LOOP;
END
$$;

-- nobody makes objects or temporary tables here by accident of a default
SELECT format('REVOKE CREATE, TEMPORARY ON DATABASE %1$I FROM PUBLIC;'
	'GRANT CONNECT ON DATABASE %1$I TO omnimsg_relay, omnimsg_agent, omnimsg_auditor, omnimsg_admin', current_database())
\gexec

-- What will be changed is locked all at once, whoever works with it.  Nobody waits for us longer than a moment, and we hold
-- nothing while we wait for others: so there is no deadlock with the relay's calls and the worker.
DO $$
DECLARE
	locks CONSTANT text := (
		SELECT string_agg(format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', c.oid::regclass), '; ' ORDER BY c.relname) FROM pg_class c
		 WHERE c.relnamespace = to_regnamespace('omnimsg') AND c.relkind IN ('r', 'p')
		   AND (c.relowner <> 'omnimsg_owner'::regrole
				OR c.relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'owner')
				OR c.relrowsecurity AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'worker')));
	had CONSTANT text := current_setting('lock_timeout');
BEGIN
	IF locks IS NULL THEN
		RETURN;
	END IF;
	PERFORM set_config('lock_timeout', '100ms', true);
	FOR attempt IN 1 .. 300 LOOP
		BEGIN
			EXECUTE locks;
			PERFORM set_config('lock_timeout', had, true);
			RETURN;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			PERFORM pg_sleep(0.05 + random() * 0.2);
		END;
	END LOOP;
	RAISE EXCEPTION 'the tables of omnimsg are in use' USING ERRCODE = 'lock_not_available',
		HINT = 'Run this again when no transaction keeps them locked for long; see pg_locks.';
END
$$;

-- All that is the extension's goes to the owner, and who has a right to it is written anew.
DO $$
DECLARE
	home CONSTANT text := (SELECT n.nspname FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
							WHERE x.extname = 'omnimsg');
	roles CONSTANT text := 'omnimsg_relay, omnimsg_agent, omnimsg_auditor, omnimsg_admin, omnimsg_worker';
	statement text;
BEGIN
	IF home IS NULL THEN
		RAISE WARNING 'the extension omnimsg is not in this database: the roles are made, nothing else is done'
			USING HINT = 'Run this again after CREATE EXTENSION or after the restore.';
		RETURN;
	END IF;

	FOR statement IN
		WITH members AS (
			SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
			 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND x.extname = 'omnimsg'),
		tables AS (			-- months are no members
			SELECT c.* FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE c.relkind IN ('r', 'p', 'v')
			UNION
			SELECT c.* FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
			  JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = i.inhparent),
		owned (n, name, statement, owner) AS (
			SELECT 1, s.nspname::text, format('SCHEMA %I', s.nspname), s.nspowner FROM pg_namespace s
			  JOIN members m ON m.classid = 'pg_namespace'::regclass AND m.objid = s.oid
			UNION ALL
			SELECT 2, t.relname, format('%s %s', CASE t.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, t.oid::regclass), t.relowner FROM tables t
			UNION ALL
			SELECT 3, t.typname, format('TYPE %s', t.oid::regtype), t.typowner FROM pg_type t
			  JOIN members m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
			  JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
			UNION ALL
			SELECT 4, p.oid::regprocedure::text, format('FUNCTION %s', p.oid::regprocedure), p.proowner FROM pg_proc p
			  JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
		SELECT format('ALTER %s OWNER TO omnimsg_owner', o.statement) FROM owned o
		 WHERE o.owner <> 'omnimsg_owner'::regrole ORDER BY o.n, o.name
	LOOP
		EXECUTE statement;
	END LOOP;

	EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', home);
	-- what has been granted before goes, so that what follows is all there is
	EXECUTE format('REVOKE ALL ON SCHEMA omnimsg FROM %s, pg_monitor', roles);
	FOR statement IN
		WITH acls (object, acl) AS (
			SELECT format('TABLE %s', c.oid::regclass), c.relacl FROM pg_class c WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v')
			UNION ALL		-- with those of the table those of its columns go
			SELECT format('TABLE %s', c.oid::regclass), a.attacl FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
			 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v')
			UNION ALL
			SELECT format('FUNCTION %s', p.oid::regprocedure), p.proacl FROM pg_proc p
			  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
			  JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND x.oid = d.refobjid AND x.extname = 'omnimsg')
		SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', w.object, e.grantee::regrole) FROM acls w, aclexplode(w.acl) AS e
		 WHERE e.grantee::regrole::text = ANY (string_to_array(roles, ', ')) OR e.grantee = 'pg_monitor'::regrole AND w.object LIKE 'TABLE%'
		 ORDER BY 1
	LOOP
		EXECUTE statement;
	END LOOP;
	EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', home, roles);
	-- the relay reads no table and names no type
	GRANT USAGE ON SCHEMA omnimsg TO omnimsg_agent, omnimsg_auditor, omnimsg_admin, omnimsg_worker, pg_monitor;

	-- Functions.  What only reads its arguments is everybody's.
	FOR statement IN
		WITH granted (role, functions) AS (VALUES
			('omnimsg_relay', ARRAY['omnimsg_ingest', 'omnimsg_ingest_batch', 'omnimsg_keep_dead', 'omnimsg_health']),
			('omnimsg_worker', ARRAY['omnimsg_maintain', 'omnimsg_audit_seal']),
			('omnimsg_agent', ARRAY['omnimsg_login', 'omnimsg_read_message', 'omnimsg_read_conversation', 'omnimsg_send', 'omnimsg_explain_send',
				'omnimsg_record_consent', 'omnimsg_consent_as_of', 'omnimsg_review', 'omnimsg_release', 'omnimsg_flag_address']),
			('omnimsg_auditor', ARRAY['omnimsg_login', 'omnimsg_consent_as_of', 'omnimsg_audit_verify', 'omnimsg_audit_head',
				'omnimsg_reverify']),
			('omnimsg_admin', ARRAY['omnimsg_create_token', 'omnimsg_revoke_token', 'omnimsg_map_role', 'omnimsg_set_template', 'omnimsg_set_reply_mode',
				'omnimsg_replay_dead_letter', 'omnimsg_replay_dead_letters', 'omnimsg_erase_person', 'omnimsg_export_person'])),
		functions AS (
			SELECT p.oid, p.proname FROM pg_proc p
			  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
			  JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND x.oid = d.refobjid AND x.extname = 'omnimsg')
		SELECT format('REVOKE ALL ON FUNCTION %s FROM PUBLIC; GRANT EXECUTE ON FUNCTION %1$s TO %I', f.oid::regprocedure, g.role)
		  FROM granted g JOIN functions f ON f.proname = ANY (g.functions)
		 ORDER BY g.role, f.proname
	LOOP
		EXECUTE statement;
	END LOOP;

	-- Tables.  Rights without columns are for all of them.
	FOR statement IN
		WITH granted (role, relation, rights) AS (VALUES
			-- what it sends, what comes back, and what is answered on the way; of the audit trail it writes rows and sees none
			('omnimsg_worker', 'organizations', 'SELECT'),
			('omnimsg_worker', 'provider_accounts', 'SELECT, UPDATE (created_at)'),		-- it locks rows
			('omnimsg_worker', 'provider_keys', 'SELECT'),
			('omnimsg_worker', 'inbound_phone_numbers', 'SELECT'),
			('omnimsg_worker', 'send_limits', 'SELECT'),
			('omnimsg_worker', 'keywords', 'SELECT'),
			('omnimsg_worker', 'campaigns', 'SELECT'),
			('omnimsg_worker', 'collection_accounts', 'SELECT, UPDATE (sms_consent, email_consent, last_contact_at, updated_at)'),
			('omnimsg_worker', 'account_repairs', 'SELECT, INSERT, UPDATE, DELETE'),
			('omnimsg_worker', 'events', 'SELECT, INSERT, UPDATE'),
			('omnimsg_worker', 'event_counts', 'INSERT'),
			('omnimsg_worker', 'messages', 'SELECT, INSERT, UPDATE'),
			('omnimsg_worker', 'opt_out_requests', 'SELECT, INSERT'),
			('omnimsg_worker', 'consents', 'SELECT, INSERT, UPDATE'),
			('omnimsg_worker', 'consent_repairs', 'SELECT, INSERT, UPDATE, DELETE'),
			('omnimsg_worker', 'reviews', 'SELECT, INSERT, UPDATE'),
			('omnimsg_worker', 'address_flags', 'SELECT, INSERT, UPDATE, DELETE'),
			('omnimsg_worker', 'provider_optouts', 'SELECT, INSERT, UPDATE, DELETE'),
			('omnimsg_worker', 'optout_pulls', 'SELECT, INSERT, UPDATE'),
			('omnimsg_worker', 'backfills', 'SELECT, UPDATE'),
			('omnimsg_worker', 'outbox', 'SELECT, INSERT, UPDATE'),
			('omnimsg_worker', 'unknown_policies', 'SELECT'),
			('omnimsg_worker', 'reply_windows', 'SELECT, INSERT, UPDATE'),
			('omnimsg_worker', 'erasures', 'SELECT, UPDATE (returned_at)'),
			('omnimsg_worker', 'reply_templates', 'SELECT'),
			('omnimsg_worker', 'arming', 'SELECT'),
			('omnimsg_worker', 'audit_logs', 'INSERT'),
			-- a tenant's people: no text of a message, which is read by functions that put it on record; and SELECT only, because
			-- whoever may change a table may lock it as well
			('omnimsg_agent', 'organizations', 'SELECT'),
			('omnimsg_agent', 'inbound_phone_numbers', 'SELECT'),
			('omnimsg_agent', 'send_limits', 'SELECT'),
			('omnimsg_agent', 'keywords', 'SELECT'),
			('omnimsg_agent', 'campaigns', 'SELECT'),
			('omnimsg_agent', 'collection_accounts', 'SELECT'),
			('omnimsg_agent', 'messages', 'SELECT (organization_id, id, account_id, campaign_id, direction, channel, from_number, to_number, peer_address, '
				'our_address, status, external_message_id, provider, intent, in_reply_to, error_code, parts, sent_at, delivered_at, failed_at, created_at)'),
			('omnimsg_agent', 'opt_out_requests', 'SELECT (organization_id, id, channel, address, our_address, account_id, request_type, scope, source, '
				'rule, note, message_id, occurred_at, created_at)'),
			('omnimsg_agent', 'consents', 'SELECT'),
			('omnimsg_agent', 'reviews', 'SELECT (organization_id, id, message_organization_id, message_id, channel, address, our_address, account_id, '
				'rule, occurred_at, due_at, decision, decided_at, decided_by, request_id, created_at)'),
			('omnimsg_agent', 'address_flags', 'SELECT'),
			('omnimsg_agent', 'outbox', 'SELECT (organization_id, id, message_id, kind, scope, state, attempts, next_attempt_at, expires_at, request_id, '
				'released_by, released_at, created_at, settled_at)'),
			('omnimsg_agent', 'unknown_policies', 'SELECT'),
			('omnimsg_agent', 'reply_templates', 'SELECT'),
			('omnimsg_auditor', 'organizations', 'SELECT'),
			('omnimsg_auditor', 'inbound_phone_numbers', 'SELECT'),
			('omnimsg_auditor', 'audit_logs', 'SELECT'),
			('omnimsg_auditor', 'audit_seals', 'SELECT'),
			('omnimsg_auditor', 'audit_keys', 'SELECT'),
			('omnimsg_auditor', 'opt_out_requests', 'SELECT (organization_id, id, channel, address, our_address, our_address_only, account_id, request_type, '
				'scope, source, rule, note, message_id, provider, dedupe_key, occurred_at, created_at)'),
			('omnimsg_auditor', 'consents', 'SELECT'),
			('omnimsg_auditor', 'reviews', 'SELECT (organization_id, id, message_organization_id, message_id, channel, address, our_address, account_id, '
				'rule, provider, dedupe_key, occurred_at, due_at, decision, decided_at, decided_by, request_id, created_at)'),
			('omnimsg_auditor', 'legal_holds', 'SELECT'),
			('omnimsg_auditor', 'erasures', 'SELECT'),
			-- an administrator is an agent and an auditor, too
			('omnimsg_admin', 'events', 'SELECT (provider, dedupe_key, event_type, occurred_at, received_at, organization_id, message_id, outcome, reason, '
				'key_id, signed_at, sqlstate, attempts)'),
			('omnimsg_admin', 'tenant_roles', 'SELECT'),
			('omnimsg_admin', 'access_tokens', 'SELECT (organization_id, id, name, created_at, created_by, expires_at, revoked_at)'),
			-- what deploy/prometheus/postgres_exporter.yml reads: kinds and states, no addresses
			('pg_monitor', 'outbox', 'SELECT (kind, state, settled_at)'),
			('pg_monitor', 'reviews', 'SELECT (decision, due_at)'))
		SELECT format('GRANT %s ON %s TO %I', g.rights, c.oid::regclass, g.role)
		  FROM granted g JOIN pg_class c ON c.relname = g.relation AND c.relnamespace = 'omnimsg'::regnamespace
		 -- a tenant's people get nothing that is not closed to other tenants, but for keys that are public
		 WHERE c.relrowsecurity AND c.relforcerowsecurity OR g.role IN ('omnimsg_worker', 'pg_monitor') OR c.relname = 'audit_keys'
	LOOP
		EXECUTE statement;
	END LOOP;

	-- Row level security: the policy of the extension lets everybody see his tenant, and these see all rows.
	FOR statement IN
		SELECT format('CREATE POLICY %I ON %s %s TO %I USING (true)', w.policy, c.oid::regclass, w.command, w.role)
		  FROM pg_class c
		 CROSS JOIN (VALUES ('owner', 'omnimsg_owner', ''), ('worker', 'omnimsg_worker', ''), ('monitor', 'pg_monitor', 'FOR SELECT'))
			AS w (policy, role, command)
		 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity
		   AND (w.policy = 'owner' OR has_any_column_privilege(w.role, c.oid, 'SELECT, INSERT, UPDATE') AND NOT c.relispartition)
		   AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = w.policy)
		 ORDER BY c.relname, w.policy
	LOOP
		EXECUTE statement;
	END LOOP;
END
$$;

-- what pg_cron has kept of our jobs is purged by omnimsg_maintain(), which runs as the owner
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_depend d
				 JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'pg_cron'
				 JOIN pg_class c ON c.oid = d.objid AND c.relname = 'job_run_details'
				WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e') THEN
		GRANT USAGE ON SCHEMA cron TO omnimsg_owner;
		GRANT SELECT, UPDATE, DELETE ON cron.job_run_details TO omnimsg_owner;
		IF NOT EXISTS (SELECT FROM pg_policy p WHERE p.polname = 'omnimsg_owner'
						 AND p.polrelid = 'cron.job_run_details'::regclass) THEN
			CREATE POLICY omnimsg_owner ON cron.job_run_details TO omnimsg_owner
				USING (command LIKE '%omnimsg\_%');
		END IF;
	END IF;
END
$$;

COMMIT;
