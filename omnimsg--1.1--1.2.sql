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

CREATE FUNCTION omnimsg.current_organization() RETURNS pg_catalog.uuid
	AS 'MODULE_PATHNAME', 'omnimsg_current_organization' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION omnimsg.current_organization() IS 'the organization that the session acts for: that of the token of omnimsg_login() in this transaction, else the one its role is mapped to, else NULL; no setting changes it';

CREATE TABLE omnimsg.tenant_roles (
	role_name pg_catalog.name PRIMARY KEY,
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	mapped_at pg_catalog.timestamptz NOT NULL,
	mapped_by pg_catalog.text NOT NULL
);
COMMENT ON TABLE omnimsg.tenant_roles IS 'roles that act for one organization without logging in; set with omnimsg_map_role()';
COMMENT ON COLUMN omnimsg.tenant_roles.role_name IS 'the role; a name, so that it means the same in a restored dump';
COMMENT ON COLUMN omnimsg.tenant_roles.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.tenant_roles.mapped_at IS 'when';
COMMENT ON COLUMN omnimsg.tenant_roles.mapped_by IS 'by whom, as in omnimsg.audit_logs.actor';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.tenant_roles', '');

CREATE TABLE omnimsg.access_tokens (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	id pg_catalog.uuid NOT NULL,
	name pg_catalog.text NOT NULL,
	hash pg_catalog.bytea NOT NULL UNIQUE,
	created_at pg_catalog.timestamptz NOT NULL,
	created_by pg_catalog.text NOT NULL,
	expires_at pg_catalog.timestamptz NOT NULL,
	revoked_at pg_catalog.timestamptz,
	PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE omnimsg.access_tokens IS 'tokens that sessions log in with; made with omnimsg_create_token(), and kept when they have ended';
COMMENT ON COLUMN omnimsg.access_tokens.organization_id IS 'the tenant that it lets act for';
COMMENT ON COLUMN omnimsg.access_tokens.id IS 'identifies the token within its organization';
COMMENT ON COLUMN omnimsg.access_tokens.name IS 'which program or person has it; several may have one name, while one takes the place of another';
COMMENT ON COLUMN omnimsg.access_tokens.hash IS 'BLAKE2b of the token, which itself is stored nowhere';
COMMENT ON COLUMN omnimsg.access_tokens.created_at IS 'when it was made';
COMMENT ON COLUMN omnimsg.access_tokens.created_by IS 'by whom, as in omnimsg.audit_logs.actor';
COMMENT ON COLUMN omnimsg.access_tokens.expires_at IS 'when it ends by itself';
COMMENT ON COLUMN omnimsg.access_tokens.revoked_at IS 'when omnimsg_revoke_token() ended it; NULL while it has not';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.access_tokens', '');

CREATE FUNCTION @extschema@.omnimsg_login(token pg_catalog.text) RETURNS pg_catalog.uuid
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_login(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_login(pg_catalog.text) IS 'act for the organization of the token until the transaction ends; returns which that is; raises the same for tokens that never were, have expired or were revoked; give the token as a parameter, not as part of the statement';

CREATE FUNCTION @extschema@.omnimsg_create_token(organization_id pg_catalog.uuid, name pg_catalog.text,
		expires_at pg_catalog.timestamptz DEFAULT pg_catalog.now() OPERATOR(pg_catalog.+) '90 days'::pg_catalog.interval)
	RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_create_token(pg_catalog.uuid, pg_catalog.text, pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_create_token(pg_catalog.uuid, pg_catalog.text, pg_catalog.timestamptz) IS 'make a token with which a session can act for the organization, and return it, this once: only its hash is stored; expires_at is within a year; name says who has it; it goes to the audit trail and is refused when an e-mail address or a number is in it, for nobody''s data can be erased from there';

CREATE FUNCTION @extschema@.omnimsg_revoke_token(organization_id pg_catalog.uuid, name pg_catalog.text)
	RETURNS pg_catalog.int4
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_revoke_token(pg_catalog.uuid, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_revoke_token(pg_catalog.uuid, pg_catalog.text) IS 'end all tokens of that name; returns how many; a transaction that has logged in already goes on to its end';

CREATE FUNCTION @extschema@.omnimsg_map_role(role_name pg_catalog.name, organization_id pg_catalog.uuid)
	RETURNS pg_catalog.bool
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_map_role(pg_catalog.name, pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_map_role(pg_catalog.name, pg_catalog.uuid) IS 'let a role, a member of omnimsg_agent, omnimsg_auditor or omnimsg_admin, act for the organization without logging in; who is not a superuser needs the role WITH ADMIN OPTION; NULL takes the mapping back; false when there was nothing to take back';

CREATE FUNCTION @extschema@.omnimsg_read_message(organization_id pg_catalog.uuid, message_id pg_catalog.uuid)
	RETURNS TABLE (id pg_catalog.uuid, created_at pg_catalog.timestamptz, direction pg_catalog.text, channel pg_catalog.text,
		our_address pg_catalog.text, account_id pg_catalog.uuid, status pg_catalog.text, subject pg_catalog.text,
		message_body pg_catalog.text, media pg_catalog.jsonb)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER ROWS 1
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_read_message(pg_catalog.uuid, pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_read_message(pg_catalog.uuid, pg_catalog.uuid) IS 'one message with its text; that it was read is audited: MESSAGE_VIEWED';

CREATE FUNCTION @extschema@.omnimsg_read_conversation(organization_id pg_catalog.uuid, address pg_catalog.text,
		before pg_catalog.timestamptz DEFAULT 'infinity', max_count pg_catalog.int4 DEFAULT 50)
	RETURNS TABLE (id pg_catalog.uuid, created_at pg_catalog.timestamptz, direction pg_catalog.text, channel pg_catalog.text,
		our_address pg_catalog.text, account_id pg_catalog.uuid, status pg_catalog.text, subject pg_catalog.text,
		message_body pg_catalog.text, media pg_catalog.jsonb)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER ROWS 50
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_read_conversation(pg_catalog.uuid, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.int4) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_read_conversation(pg_catalog.uuid, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.int4) IS 'the newest messages with an address, with their texts, newest first, max_count of them, 1000 at most; that each was read is audited: MESSAGE_VIEWED';

CREATE FUNCTION @extschema@.omnimsg_set_template(organization_id pg_catalog.uuid, trigger pg_catalog.text,
		language pg_catalog.text, body pg_catalog.text)
	RETURNS pg_catalog.uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	made uuid;
BEGIN
	PERFORM omnimsg.require_organization(organization_id);
	UPDATE omnimsg.reply_templates t SET active = false
	 WHERE t.organization_id = organization_id AND t.trigger = trigger AND t.language = language AND t.active;
	IF body IS NULL AND NOT FOUND THEN
		RETURN NULL;		-- it is the built-in one; and what was given as trigger and language nothing has looked at
	END IF;
	IF body IS NOT NULL THEN
		INSERT INTO omnimsg.reply_templates (organization_id, trigger, language, body)
			VALUES (organization_id, trigger, language, body) RETURNING id INTO made;
	END IF;
	PERFORM omnimsg.write_audit(organization_id, 'TEMPLATE_SET', 'reply_template', made, NULL,
								jsonb_build_object('trigger', trigger, 'language', language, 'built_in', made IS NULL));
	RETURN made;
END
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_set_template(pg_catalog.uuid, pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_set_template(pg_catalog.uuid, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS 'use this text for automatic replies to the trigger in the language from now on, and return its id; NULL for the built-in one again; those of before are kept, inactive';

CREATE FUNCTION @extschema@.omnimsg_set_reply_mode(organization_id pg_catalog.uuid, phone_number pg_catalog.text,
		reply_mode pg_catalog.text)
	RETURNS pg_catalog.bool
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	before text;
BEGIN
	PERFORM omnimsg.require_organization(organization_id);
	SELECT n.reply_mode INTO before FROM omnimsg.inbound_phone_numbers n
	 WHERE n.organization_id = organization_id AND n.phone_number = phone_number FOR UPDATE;
	IF NOT FOUND OR before = reply_mode THEN
		RETURN false;
	END IF;
	UPDATE omnimsg.inbound_phone_numbers n SET reply_mode = reply_mode
	 WHERE n.organization_id = organization_id AND n.phone_number = phone_number;
	PERFORM omnimsg.write_audit(organization_id, 'REPLY_MODE_SET', 'organization', organization_id,
								jsonb_build_object('reply_mode', before), jsonb_build_object('reply_mode', reply_mode));
	RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_set_reply_mode(pg_catalog.uuid, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_set_reply_mode(pg_catalog.uuid, pg_catalog.text, pg_catalog.text) IS 'say who answers STOP, START and HELP at a number of the organization: ''auto'', ''provider'' or ''off''; false when that changes nothing';

CREATE FUNCTION omnimsg.require_organization(organization_id pg_catalog.uuid) RETURNS pg_catalog.void
	AS 'MODULE_PATHNAME', 'omnimsg_require_organization' LANGUAGE C STABLE;
REVOKE EXECUTE ON FUNCTION omnimsg.require_organization(pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.require_organization(pg_catalog.uuid) IS 'raise unless the caller acts for the organization, or is a superuser that has not logged in';

-- Months take over row level security and its policies from their pattern, those that deploy/roles.sql made included.
CREATE OR REPLACE FUNCTION omnimsg.prepare_month(parent pg_catalog.text, month pg_catalog.date) RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part text := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
	starts timestamptz := month::timestamp AT TIME ZONE 'UTC';
	ends timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
	keeper text := (SELECT c.relowner::regrole FROM pg_class c WHERE c.oid = format('omnimsg.%I', parent || '_default')::regclass);
	policy text;
BEGIN
	IF to_regclass(format('omnimsg.%I', part)) IS NOT NULL THEN
		RETURN NULL;
	END IF;
	-- keys, indexes and comments of the default partition; and what spares the reading of all rows when it is attached
	EXECUTE format('CREATE TABLE omnimsg.%I (LIKE omnimsg.%I INCLUDING ALL, '
				   'CONSTRAINT of_the_month CHECK (created_at >= %L AND created_at < %L))',
				   part, parent || '_default', starts, ends);
	IF keeper::regrole <> current_user::regrole THEN
		EXECUTE format('ALTER TABLE omnimsg.%I OWNER TO %s', part, keeper);
	END IF;
	EXECUTE format('ALTER TABLE omnimsg.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
	FOR policy IN
		SELECT format('CREATE POLICY %I ON omnimsg.%I FOR %s TO %s USING (%s)', p.policyname, part, p.cmd,
					  (SELECT string_agg(quote_ident(r), ', ') FROM unnest(p.roles) AS r), p.qual)
		  FROM pg_policies p WHERE p.schemaname = 'omnimsg' AND p.tablename = parent || '_default'
	LOOP
		EXECUTE policy;
	END LOOP;
	RETURN omnimsg.move_rows(parent, month, true);
END
$$;


CREATE OR REPLACE FUNCTION omnimsg.purge_expired(OUT action pg_catalog.text, OUT object pg_catalog.text, OUT rows pg_catalog.int8, OUT more pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	retention interval := coalesce(current_setting('omnimsg.retention', true), '90 days')::interval;
	journal_retention interval := coalesce(current_setting('omnimsg.journal_retention', true), '400 days')::interval;
	oldest timestamptz := date_trunc('month', (now() - retention) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
BEGIN
	action := 'rows purged';
	object := 'omnimsg.events';
	SELECT p.rows, p.more INTO rows, more FROM omnimsg.purge_events(now() - journal_retention) p;
	RETURN NEXT;

	object := 'omnimsg.outbox';
	SELECT p.rows, p.more INTO rows, more FROM omnimsg.purge(object,
		format('t.settled_at < %L AND NOT omnimsg.is_held(t.organization_id, t.message_id)', now() - retention)) p;
	RETURN NEXT;

	-- months that were dropped have left here what was held then
	object := 'omnimsg.messages_default';
	SELECT p.rows, p.more INTO rows, more FROM omnimsg.purge(object,
		format('t.created_at < %L AND NOT EXISTS (SELECT 1 FROM omnimsg.legal_holds h WHERE h.organization_id = t.organization_id '
			   'AND h.released_at IS NULL AND (h.address IS NULL OR h.address = t.peer_address))', oldest)) p;
	RETURN NEXT;

	object := 'omnimsg.reply_windows';
	SELECT p.rows, p.more INTO rows, more FROM omnimsg.purge(object, format('t.last_at < %L', now() - interval '1 day')) p;
	RETURN NEXT;

	-- of the extension itself: anybody may make a table of that name, with a trigger that would run with our rights
	-- and deploy/roles.sql gives the owner the right to it, who may not even look for it else
	IF EXISTS (SELECT 1 FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'pg_cron'
				 JOIN pg_class c ON c.oid = d.objid AND c.relname = 'job_run_details'
				 JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'cron'
				WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
				  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'UPDATE')
				  AND has_table_privilege(c.oid, 'DELETE')) THEN
		object := 'cron.job_run_details';
		SELECT p.rows, p.more INTO rows, more FROM omnimsg.purge(object,
			format('t.command LIKE %L AND coalesce(t.end_time, t.start_time) < %L', '%omnimsg\_%', now() - interval '7 days')) p;
		RETURN NEXT;
	END IF;

	-- a status whose message never came is not of ours: the provider's own auto-reply, for one
	action := 'rows given up';
	object := 'omnimsg.events';
	UPDATE omnimsg.events e
	   SET outcome = 'ignored', reason = 'its message never came', raw = NULL, signature = NULL
	 WHERE e.ctid = ANY (ARRAY(
			SELECT p.ctid FROM omnimsg.events p
			 WHERE p.outcome = 'pending' AND p.received_at < now() - interval '24 hours'
			 LIMIT 5000 FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS rows = ROW_COUNT;
	more := rows = 5000;
	RETURN NEXT;

	IF EXISTS (SELECT 1 FROM omnimsg.event_counts c GROUP BY c.provider HAVING count(*) > 1) THEN
		PERFORM omnimsg.fold_event_counts();
	END IF;
END
$$;

--
-- Keys of provider accounts: a key reaches its own numbers only
--

CREATE TABLE omnimsg.provider_keys (
	provider_account_id pg_catalog.uuid NOT NULL,
	fingerprint pg_catalog.text NOT NULL,
	public_key pg_catalog.bytea NOT NULL CHECK (pg_catalog.octet_length(public_key) OPERATOR(pg_catalog.=) 32),
	not_before pg_catalog.timestamptz NOT NULL,
	not_after pg_catalog.timestamptz NOT NULL DEFAULT 'infinity',
	added_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (provider_account_id, fingerprint)
);
COMMENT ON TABLE omnimsg.provider_keys IS 'public keys that provider accounts sign with or have signed with, kept for ever: what they signed is evidence; omnimsg_add_key() and omnimsg_retire_key() keep provider_accounts.key_fingerprints, which decides what is accepted, the same';
COMMENT ON COLUMN omnimsg.provider_keys.provider_account_id IS 'the account';
COMMENT ON COLUMN omnimsg.provider_keys.fingerprint IS 'SHA-256 of the key, lower-case hex';
COMMENT ON COLUMN omnimsg.provider_keys.public_key IS 'Ed25519, 32 bytes';
COMMENT ON COLUMN omnimsg.provider_keys.not_before IS 'what it signed before proves nothing';
COMMENT ON COLUMN omnimsg.provider_keys.not_after IS 'nor what it signed after: when it was retired';
COMMENT ON COLUMN omnimsg.provider_keys.added_at IS 'when it was registered';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.provider_keys', '');

ALTER TABLE omnimsg.events ADD COLUMN fetched_from pg_catalog.uuid;
COMMENT ON COLUMN omnimsg.events.fetched_from IS 'provider account whose list the worker fetched it from: such an event has no signature; NULL of what was delivered';

CREATE FUNCTION omnimsg.key_fingerprint(public_key pg_catalog.text) RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME', 'omnimsg_key_fingerprint' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE EXECUTE ON FUNCTION omnimsg.key_fingerprint(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.key_fingerprint(pg_catalog.text) IS 'fingerprint of a public key as the provider''s portal shows it; raises when it is none';

CREATE FUNCTION @extschema@.omnimsg_add_key(provider_account_id pg_catalog.uuid, public_key pg_catalog.text,
		not_before pg_catalog.timestamptz DEFAULT '-infinity') RETURNS pg_catalog.text
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	fingerprint text := omnimsg.key_fingerprint(public_key);
BEGIN
	UPDATE omnimsg.provider_accounts a
	   SET key_fingerprints = array_append(array_remove(a.key_fingerprints, fingerprint), fingerprint)
	 WHERE a.id = provider_account_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object',
			MESSAGE = format('there is no provider account %s', coalesce(provider_account_id::text, 'without an id'));
	END IF;
	INSERT INTO omnimsg.provider_keys AS k (provider_account_id, fingerprint, public_key, not_before, added_at)
		VALUES (provider_account_id, fingerprint, decode(public_key, 'base64'), coalesce(not_before, '-infinity'), now())
		ON CONFLICT ON CONSTRAINT provider_keys_pkey DO UPDATE SET not_before = least(k.not_before, excluded.not_before), not_after = 'infinity';
	PERFORM omnimsg.write_audit('00000000-0000-0000-0000-000000000000', 'KEY_ADDED', 'provider_account', provider_account_id,
								NULL, jsonb_build_object('fingerprint', fingerprint));
	RETURN fingerprint;
END
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_add_key(pg_catalog.uuid, pg_catalog.text, pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_add_key(pg_catalog.uuid, pg_catalog.text, pg_catalog.timestamptz) IS 'register a public key that a provider account signs with, as the portal shows it; returns its fingerprint; from the first one on what is signed by others is a dead letter ''wrong key''; audited';

CREATE FUNCTION @extschema@.omnimsg_retire_key(provider_account_id pg_catalog.uuid, fingerprint pg_catalog.text)
	RETURNS pg_catalog.bool
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	fingerprints text[];
BEGIN
	SELECT a.key_fingerprints INTO fingerprints FROM omnimsg.provider_accounts a WHERE a.id = provider_account_id FOR UPDATE;
	IF NOT coalesce(fingerprint = ANY (fingerprints), false) THEN
		RETURN false;
	END IF;
	IF fingerprints = ARRAY[fingerprint] THEN
		RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
			MESSAGE = 'the last key of a provider account cannot be retired',
			DETAIL = 'An account without keys accepts any.',
			HINT = 'Register the new one with omnimsg_add_key() first.';
	END IF;
	UPDATE omnimsg.provider_accounts a SET key_fingerprints = array_remove(fingerprints, fingerprint) WHERE a.id = provider_account_id;
	UPDATE omnimsg.provider_keys k SET not_after = now() WHERE k.provider_account_id = provider_account_id AND k.fingerprint = fingerprint;
	PERFORM omnimsg.write_audit('00000000-0000-0000-0000-000000000000', 'KEY_RETIRED', 'provider_account', provider_account_id,
								jsonb_build_object('fingerprint', fingerprint), NULL);
	RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_retire_key(pg_catalog.uuid, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_retire_key(pg_catalog.uuid, pg_catalog.text) IS 'accept a key of a provider account no longer; what it signed until now stays proven; false when it was not accepted; audited';

COMMENT ON FUNCTION @extschema@.omnimsg_assign_number(pg_catalog.text, pg_catalog.uuid, pg_catalog.bool) IS 'give a number to an organization, with what it brings: from nobody''s its messages, reviews and all opt-outs; from another organization the opt-outs that stand and the reviews that are open; from neither anything that would let the new one write; share leaves it to the others, too; a row for each kind of thing; safe to repeat; what is said to the number waits until the transaction ends';

--
-- Evidence: what proves years later that the provider delivered a request
--

CREATE FUNCTION @extschema@.omnimsg_reverify(request pg_catalog.uuid, OUT verdict pg_catalog.text, OUT signed_at pg_catalog.timestamptz,
		OUT key_fingerprint pg_catalog.text, OUT provider pg_catalog.text, OUT event pg_catalog.text, OUT reasons pg_catalog.text[])
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_reverify(pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_reverify(pg_catalog.uuid) IS 'whether the provider delivered a request at that time: ''proven'' when the bytes that the journal keeps are signed by a key that was in use then and have this very request in them, ''contradicted'' when what is there says something else, ''not proven'' when something is missing; reasons say what';

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

CREATE TABLE omnimsg.audit_keys (
	fingerprint pg_catalog.text PRIMARY KEY,
	public_key pg_catalog.bytea NOT NULL,
	first_used_at pg_catalog.timestamptz NOT NULL,
	vouched_by pg_catalog.text,
	vouch pg_catalog.bytea
);
COMMENT ON TABLE omnimsg.audit_keys IS 'public keys that seals were signed with, kept for ever; each key confirms those before it by its signature, so that what they signed can be trusted after the key was changed';
COMMENT ON COLUMN omnimsg.audit_keys.fingerprint IS 'SHA-256 of the key, lower-case hex';
COMMENT ON COLUMN omnimsg.audit_keys.public_key IS 'Ed25519, 32 bytes';
COMMENT ON COLUMN omnimsg.audit_keys.first_used_at IS 'when its first seal was made';
COMMENT ON COLUMN omnimsg.audit_keys.vouched_by IS 'fingerprint of the later key that confirms this one; NULL while it is in use';
COMMENT ON COLUMN omnimsg.audit_keys.vouch IS 'the signature of that key over this one';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.audit_keys', '');

CREATE TABLE omnimsg.audit_seals (
	organization_id pg_catalog.uuid NOT NULL,
	number pg_catalog.int8 NOT NULL,
	epoch pg_catalog.int4 NOT NULL,
	origin pg_catalog.int8,
	from_xid pg_catalog.xid8 NOT NULL,
	to_xid pg_catalog.xid8 NOT NULL,
	row_count pg_catalog.int8 NOT NULL,
	root pg_catalog.bytea NOT NULL,
	manifest pg_catalog.bytea NOT NULL,
	previous pg_catalog.bytea NOT NULL,
	hash pg_catalog.bytea NOT NULL,
	key_fingerprint pg_catalog.text NOT NULL,
	signature pg_catalog.bytea NOT NULL,
	sealed_at pg_catalog.timestamptz NOT NULL,
	sealed_in pg_catalog.int8 NOT NULL,
	PRIMARY KEY (organization_id, number)
);
CREATE INDEX audit_seals_to_xid ON omnimsg.audit_seals (origin, to_xid);
COMMENT ON TABLE omnimsg.audit_seals IS 'signed hashes over the audit rows of an organization, each over the one before it; written by omnimsg_audit_seal(), never changed; doc/audit.md has their form';
COMMENT ON COLUMN omnimsg.audit_seals.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.audit_seals.number IS 'from 1 on, without gaps';
COMMENT ON COLUMN omnimsg.audit_seals.epoch IS 'one more than before where the database that made it is another one than that of the seal before it: a restored dump, a copy of the files, a standby that was promoted';
COMMENT ON COLUMN omnimsg.audit_seals.origin IS 'of the rows that it covers';
COMMENT ON COLUMN omnimsg.audit_seals.from_xid IS 'it covers the rows of transactions from this one on';
COMMENT ON COLUMN omnimsg.audit_seals.to_xid IS 'and before this one: when it was made none of them was running any more';
COMMENT ON COLUMN omnimsg.audit_seals.row_count IS 'how many rows that are';
COMMENT ON COLUMN omnimsg.audit_seals.root IS 'root of the hash tree over the hashes of the rows, in the order of xid and id';
COMMENT ON COLUMN omnimsg.audit_seals.manifest IS 'of each row in that order its id and the first eight bytes of its hash: by it a row that is missing is named';
COMMENT ON COLUMN omnimsg.audit_seals.previous IS 'hash of the seal before it; zeros in the first';
COMMENT ON COLUMN omnimsg.audit_seals.hash IS 'hash of all that is signed: what the next seal holds, and what is worth keeping outside';
COMMENT ON COLUMN omnimsg.audit_seals.key_fingerprint IS 'the key, in omnimsg.audit_keys';
COMMENT ON COLUMN omnimsg.audit_seals.signature IS 'Ed25519';
COMMENT ON COLUMN omnimsg.audit_seals.sealed_at IS 'when';
COMMENT ON COLUMN omnimsg.audit_seals.sealed_in IS 'number of the cluster, database, timeline and data directory that made it: other than origin, every copy has another one';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.audit_seals', '');

CREATE FUNCTION omnimsg.audit_origin() RETURNS pg_catalog.int8
	AS 'MODULE_PATHNAME', 'omnimsg_audit_origin' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE EXECUTE ON FUNCTION omnimsg.audit_origin() FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.audit_origin() IS 'number of this cluster and database, as audit rows that are written now have it';

CREATE FUNCTION omnimsg.audit_key_problem() RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME', 'omnimsg_audit_key_problem' LANGUAGE C VOLATILE;
REVOKE EXECUTE ON FUNCTION omnimsg.audit_key_problem() FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.audit_key_problem() IS 'why seals cannot be signed; NULL when they can';

CREATE FUNCTION @extschema@.omnimsg_audit_seal(OUT organization_id pg_catalog.uuid, OUT number pg_catalog.int8,
		OUT epoch pg_catalog.int4, OUT row_count pg_catalog.int8, OUT hash pg_catalog.bytea)
	RETURNS SETOF pg_catalog.record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_audit_seal() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_audit_seal() IS 'seal the audit rows of all transactions that have ended, one seal for each organization that has new ones, 100000 rows and whole transactions at most in a call; returns the seals; the worker calls it every minute, and each second while there is more; signed with the key in the file audit_signing_key in omnimsg.secrets_dir; needs READ COMMITTED and a database that is armed, or was disarmed where it was armed';

CREATE FUNCTION @extschema@.omnimsg_audit_verify(organization_id pg_catalog.uuid DEFAULT NULL, heads pg_catalog.jsonb DEFAULT NULL,
		trusted_key pg_catalog.text DEFAULT NULL, OUT kind pg_catalog.text, OUT organization pg_catalog.uuid,
		OUT seal pg_catalog.int8, OUT row_id pg_catalog.uuid, OUT detail pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_audit_verify(pg_catalog.uuid, pg_catalog.jsonb, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_audit_verify(pg_catalog.uuid, pg_catalog.jsonb, pg_catalog.text) IS 'what is wrong with the audit trail of one organization or of all that the caller may see: no rows when all is well; kind is ''edited'', ''missing'', ''added'', ''reordered'' or ''cut off'' of rows, ''missing seal'', ''unsigned seal'', ''broken chain'' or ''cut off'' of seals, ''no key'' when nothing tells which keys are ours; heads are what omnimsg_audit_head() gave before, as a JSON array; trusted_key is the base64 of a public key to be used instead of the one in omnimsg.secrets_dir';

CREATE FUNCTION @extschema@.omnimsg_audit_head(OUT organization_id pg_catalog.uuid, OUT number pg_catalog.int8, OUT epoch pg_catalog.int4,
		OUT hash pg_catalog.bytea, OUT sealed_at pg_catalog.timestamptz, OUT public_key pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.organization_id, s.number, s.epoch, s.hash, s.sealed_at, encode(k.public_key, 'base64')
	  FROM (SELECT DISTINCT ON (h.organization_id) h.* FROM omnimsg.audit_seals h
			 ORDER BY h.organization_id, h.number DESC) AS s
	  LEFT JOIN omnimsg.audit_keys k ON k.fingerprint = s.key_fingerprint
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_audit_head() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_audit_head() IS 'the newest seal of each organization, to be kept outside: with it omnimsg_audit_verify() notices what was cut off at the end';

CREATE OR REPLACE FUNCTION @extschema@.omnimsg_schedule_jobs(OUT job pg_catalog.text, OUT schedule pg_catalog.text,
		OUT command pg_catalog.text, OUT result pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	cron_database text := current_setting('cron.database_name', true);
BEGIN
	FOR job, schedule, command IN VALUES
		('omnimsg_maintain', '17 * * * *', format('SELECT * FROM %s()', '@extschema@.omnimsg_maintain')),
		('omnimsg_audit_seal', '* * * * *', format('SELECT count(*) FROM %s()', '@extschema@.omnimsg_audit_seal'))
	LOOP
		IF cron_database IS NULL THEN
			result := 'pg_cron is not loaded: add it to shared_preload_libraries, or run the command by other means';
		ELSIF cron_database <> current_database() THEN
			result := format('run in database %I: SELECT cron.schedule_in_database(%L, %L, %L, %L)',
							 cron_database, job || ' ' || current_database(), schedule, command, current_database());
		ELSIF NOT EXISTS (SELECT 1 FROM pg_extension x WHERE x.extname = 'pg_cron') THEN
			result := 'run CREATE EXTENSION pg_cron in this database, then this function again';
		ELSE
			EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING job, schedule, command;
			result := 'scheduled';
		END IF;
		RETURN NEXT;
	END LOOP;
END
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
COMMENT ON COLUMN omnimsg.erasures.erased_by IS 'by whom, as in omnimsg.audit_logs.actor';
COMMENT ON COLUMN omnimsg.erasures.erased_at IS 'when';
COMMENT ON COLUMN omnimsg.erasures.counts IS 'rows in which something was replaced: messages, requests, accounts, evidence (raw bytes of deliveries), dead_letters; and kept_for_others: deliveries whose bytes stay because another organization needs them';
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
COMMENT ON FUNCTION @extschema@.omnimsg_export_person(pg_catalog.uuid, pg_catalog.text) IS 'what an organization has of one address: accounts, messages, requests, consents, reviews, flags, and the audit rows about them; put on record as PERSON_EXPORTED';

-- What people write into the audit trail
COMMENT ON FUNCTION @extschema@.omnimsg_arm(pg_catalog.text) IS 'let this database send, as the one and only: returns what it is, what was armed before, and why that was another one; a copy, a restored dump and a promoted standby need it again; make sure first that the original sends no more; note goes to the audit trail and is refused when an e-mail address or a number is in it, for nobody''s data can be erased from there';
COMMENT ON FUNCTION @extschema@.omnimsg_record_consent(pg_catalog.uuid, pg_catalog.text, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz) IS 'record an opt-out or opt-in that did not come as a message; returns the id of the request; an opt-in by an agent needs a note; scope goes to the audit trail and is refused when an e-mail address or a number is in it, for nobody''s data can be erased from there';
COMMENT ON FUNCTION @extschema@.omnimsg_review(pg_catalog.uuid, pg_catalog.text, pg_catalog.text) IS 'decide a review: ''opt_out'', ''wrong_number'' or ''none''; actor is who read the message; returns the id of the opt-out that it made, NULL for the other decisions; deciding the same again changes nothing; actor goes to the audit trail and is refused when an e-mail address or a number is in it, for nobody''s data can be erased from there';
COMMENT ON FUNCTION @extschema@.omnimsg_release(pg_catalog.uuid, pg_catalog.text) IS 'let one reply (kind ''conversation'') go although its person''s message is under review; false when it is not waiting any more; actor goes to the audit trail and is refused when an e-mail address or a number is in it, for nobody''s data can be erased from there';

COMMENT ON COLUMN omnimsg.events.dedupe_key IS '''received:'' and the message id for inbound messages, else the event id, else the SHA-256 of the body; of what was kept without being tried ''stale:'' and that, or ''crashed:'' and the SHA-256; of what was refused for its key, its signature or its account ''refused:'' or ''foreign:'' and that; the primary key begins with provider, so who asks for one event names that, too, or the whole journal is read';

-- What other comments of versions 1.0 and 1.1 say no longer, or never did, as it is
COMMENT ON COLUMN omnimsg.organizations.consent_policy IS '''explicit'': an address without an opt-in may not be written to, but in answer to its own message of the last 24 hours; ''implied'': it may, but for marketing';
COMMENT ON COLUMN omnimsg.provider_accounts.key_fingerprints IS 'SHA-256 of the public keys that may sign its webhooks, lower-case hex; omnimsg_add_key() and omnimsg_retire_key() write it; empty: any key may';
COMMENT ON COLUMN omnimsg.provider_accounts.messaging_profile_id IS 'messaging profile to send from, and whose opt-outs and webhooks the provider is asked for; the provider''s own STOP blocks hold for the whole profile';
COMMENT ON COLUMN omnimsg.inbound_phone_numbers.provider_account_id IS 'the account to send from, whose keys must sign what comes; without one nothing can be sent from this number, and any key will do';
COMMENT ON COLUMN omnimsg.campaigns.scope IS 'category of consent that its messages need, or ''all'': for programs, which give it to omnimsg_send(); nothing takes it from here';
COMMENT ON TABLE omnimsg.events IS 'the journal: what has been claimed here is never applied twice; kept for omnimsg.journal_retention, evidence of consent and open dead letters for ever, events of messages under a legal hold while that lasts';
COMMENT ON COLUMN omnimsg.events.outcome IS '''applied''; ''ignored'': without effect, or a dead letter that another row has taken the place of, see reason; ''pending'': waits for its message; ''dead'': could not be applied, see omnimsg.dead_letters';
COMMENT ON COLUMN omnimsg.events.key_id IS 'fingerprint of the public key that verified it; ''api'' of what the worker fetched from the provider';
COMMENT ON COLUMN omnimsg.dead_letters.key_id IS 'fingerprint of the public key that verified it; ''api'' of what the worker fetched from the provider';
COMMENT ON COLUMN omnimsg.events.signed_at IS 'time that was signed with it; of what the worker fetched when the provider first tried to deliver it';
COMMENT ON COLUMN omnimsg.events.raw IS 'the body, byte for byte, of events that ask for consent to change, may ask for it or tell of a block by the provider, that wait or that are dead; NULL when it was erased with the data of a person';
COMMENT ON TABLE omnimsg.messages IS 'texts and e-mails, partitioned by month of created_at; omnimsg_maintain() makes months ahead and drops those past omnimsg.retention, but what is under a legal hold';
COMMENT ON TABLE omnimsg.messages_default IS 'messages of months that have no partition yet, and what a legal hold keeps of months that were dropped; should have no others';
COMMENT ON COLUMN omnimsg.messages.message_body IS 'the text; NULL when there was none, as in an MMS of pictures only; a keyed hash, as the address of the person, when it was erased';
COMMENT ON COLUMN omnimsg.messages.error_detail IS 'the provider''s words for it, why omnimsg did not send it, or a status of the provider that omnimsg does not know';
COMMENT ON COLUMN omnimsg.opt_out_requests.address IS 'whose request it is: E.164, a short code or an e-mail address; a keyed hash when the data of the person was erased';
COMMENT ON COLUMN omnimsg.consents.address IS 'the person''s address; a keyed hash when the data of the person was erased';
COMMENT ON COLUMN omnimsg.consents.state IS '''opted_in'' or ''opted_out''; NULL when no request decides, as when a START to a number that organizations share had nothing to lift; while the address is in omnimsg.consent_repairs, requests are on record that are not in here yet';
COMMENT ON COLUMN omnimsg.consents.provider_blocked IS 'the provider refuses messages to this address until the person sends START to the same number, or to another one of the same provider account';
COMMENT ON COLUMN omnimsg.provider_optouts.address IS 'the person''s number; a keyed hash when the data of the person was erased';
COMMENT ON COLUMN omnimsg.reply_templates.trigger IS 'what it answers: ''opt_out'', ''opt_in'' or ''help''; ''after_hours'' and ''generic'' are for later versions, and nothing sends them';
COMMENT ON COLUMN omnimsg.audit_logs.resource_type IS 'what it was done to: ''message'', ''opt_out_request'', ''review'', ''address_flag'', ''event'', ''organization'', ''database'', ''legal_hold'', ''provider_account'', ''reply_template'', ''token'', ''erasure'' or ''person''';
COMMENT ON COLUMN omnimsg.audit_logs.actor IS '''provider:telnyx''; ''worker''; ''reviewer:'' and who decided; ''token:'' and the name of the token that the session had logged in with, else ''role:'' and the database role that asked for it; ''omnimsg'' where an erased person comes back';
COMMENT ON COLUMN omnimsg.arming.armed_by IS 'by whom, as in omnimsg.audit_logs.actor';
COMMENT ON FUNCTION @extschema@.omnimsg_ingest(pg_catalog.text, pg_catalog.bytea, pg_catalog.text,
	pg_catalog.text, pg_catalog.text, pg_catalog.text) IS 'apply one verified webhook: body as it came, signature and signed_at as in its headers, key_id of the key that verified it, delivery_id for providers that name deliveries in a header (Telnyx does not, and nothing uses it yet); never raises for content; durable when the transaction commits; needs READ COMMITTED';

-- Reviews are kept for ever, and are asked for by address when somebody is erased, comes back or wants to know what there is
CREATE INDEX reviews_address ON omnimsg.reviews (address, organization_id);

--
-- Keeping house under load: small batches with pauses between them, and a lock on the messages that is short
--

CREATE FUNCTION omnimsg.pause_after(began pg_catalog.timestamptz) RETURNS pg_catalog.void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_sleep(least(extract(epoch FROM clock_timestamp() - began), 0.2))
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.pause_after(pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.pause_after(pg_catalog.timestamptz) IS 'sleep as long as has passed since a time, 200 ms at most: webhooks have the other half of the disk and of the processor';

CREATE OR REPLACE FUNCTION omnimsg.purge(relation pg_catalog.text, condition pg_catalog.text, OUT rows pg_catalog.int8, OUT more pg_catalog.bool)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	began timestamptz;
	gone int8;
BEGIN
	rows := 0;
	FOR n IN 1 .. 20 LOOP
		began := clock_timestamp();
		EXECUTE format('WITH old AS (SELECT t.ctid FROM %1$s t WHERE %2$s LIMIT 1000 FOR UPDATE SKIP LOCKED) '
					   'DELETE FROM %1$s t USING old WHERE t.ctid = old.ctid', relation, condition);
		GET DIAGNOSTICS gone = ROW_COUNT;
		rows := rows + gone;
		more := gone = 1000;
		EXIT WHEN NOT more;
		PERFORM omnimsg.pause_after(began);
	END LOOP;
END
$$;
COMMENT ON FUNCTION omnimsg.purge(pg_catalog.text, pg_catalog.text) IS 'delete rows t of a table that a condition is true of, in 20 batches of 1000 at most, with pauses between them; returns how many, and whether there may be more';

CREATE OR REPLACE FUNCTION omnimsg.purge_events(before pg_catalog.timestamptz, OUT rows pg_catalog.int8, OUT more pg_catalog.bool)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	began timestamptz;
	gone int8;
BEGIN
	rows := 0;
	FOR n IN 1 .. 10 LOOP
		began := clock_timestamp();
		-- what is evidence of consent has its bytes kept, or of those of an erased person the hash, and is kept itself
		WITH old AS (
			SELECT e.ctid FROM omnimsg.events e
			 WHERE e.received_at < before AND e.outcome IN ('applied', 'ignored') AND e.raw IS NULL
			   AND e.raw_sha256 IS NULL
			   AND (e.organization_id IS NULL OR NOT omnimsg.is_held(e.organization_id, e.message_id))
			 LIMIT 2000 FOR UPDATE SKIP LOCKED),
		deleted AS (
			DELETE FROM omnimsg.events e USING old WHERE e.ctid = old.ctid RETURNING e.provider, e.outcome),
		counted AS (
			SELECT d.provider, count(*) FILTER (WHERE d.outcome = 'applied') AS applied,
				   count(*) FILTER (WHERE d.outcome = 'ignored') AS ignored FROM deleted d GROUP BY d.provider)
		SELECT coalesce(sum(c.applied + c.ignored), 0) INTO gone
		  FROM counted c CROSS JOIN LATERAL omnimsg.count_purged(c.provider, c.applied, c.ignored);
		rows := rows + gone;
		more := gone = 2000;
		EXIT WHEN NOT more;
		PERFORM omnimsg.pause_after(began);
	END LOOP;
END
$$;

-- What is held is found by index: the month is not read from end to end while nobody may use the messages
CREATE OR REPLACE FUNCTION omnimsg.drop_month(part pg_catalog.text) RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	names text;
	whole uuid[];				-- organizations all of whose messages are held
	organizations uuid[];		-- and addresses of others
	addresses text[];
	held text := format('FROM (SELECT m.* FROM omnimsg.%1$I m WHERE m.organization_id = ANY ($1) '
						'UNION ALL SELECT m.* FROM unnest($2, $3) AS h (organization_id, address) '
						'JOIN omnimsg.%1$I m ON m.organization_id = h.organization_id AND m.peer_address = h.address) AS m', part);
	found bool;
	kept int8 := 0;
BEGIN
	LOCK TABLE omnimsg.legal_holds IN SHARE MODE;	-- none may be being placed
	SELECT coalesce(array_agg(DISTINCT h.organization_id), '{}') INTO whole
	  FROM omnimsg.legal_holds h WHERE h.released_at IS NULL AND h.address IS NULL;
	SELECT coalesce(array_agg(h.organization_id), '{}'), coalesce(array_agg(h.address), '{}') INTO organizations, addresses
	  FROM (SELECT DISTINCT a.organization_id, a.address FROM omnimsg.legal_holds a
			 WHERE a.released_at IS NULL AND a.address IS NOT NULL AND a.organization_id <> ALL (whole)) AS h;
	LOCK TABLE ONLY omnimsg.messages IN ACCESS EXCLUSIVE MODE;
	IF to_regclass(format('omnimsg.%I', part)) IS NULL THEN
		RETURN NULL;
	END IF;
	-- webhooks wait by now: whoever has these without the messages, as VACUUM, is not waited for
	EXECUTE format('LOCK TABLE omnimsg.messages_default, omnimsg.%I IN ACCESS EXCLUSIVE MODE NOWAIT', part);
	EXECUTE 'SELECT EXISTS (SELECT 1 ' || held || ')' INTO found USING whole, organizations, addresses;
	IF found THEN
		SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO names
		  FROM pg_attribute a
		 WHERE a.attrelid = 'omnimsg.messages'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
		EXECUTE format('ALTER TABLE omnimsg.messages DETACH PARTITION omnimsg.%I', part);
		EXECUTE format('INSERT INTO omnimsg.messages (%s) SELECT %s %s', names, names, held) USING whole, organizations, addresses;
		GET DIAGNOSTICS kept = ROW_COUNT;
	END IF;
	EXECUTE format('DROP TABLE omnimsg.%I', part);
	RETURN kept;
END
$$;

CREATE OR REPLACE FUNCTION omnimsg.is_largely_held(part pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	rows int8;
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM (SELECT DISTINCT h.organization_id, h.address FROM omnimsg.legal_holds h WHERE h.released_at IS NULL) AS h '
				   'JOIN omnimsg.%I m ON m.organization_id = h.organization_id AND (h.address IS NULL OR m.peer_address = h.address) LIMIT 10001) AS w', part)
	   INTO rows;
	RETURN rows > 10000;
EXCEPTION WHEN undefined_table THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION omnimsg.is_largely_held(pg_catalog.text) IS 'whether more than 10 000 messages of a month are under a legal hold: to move them, all messages would have to be locked for too long; NULL when the month has been dropped meanwhile';

-- Whoever finds the messages or a month locked, as by another call of it, says so and does not fail
CREATE OR REPLACE FUNCTION @extschema@.omnimsg_maintain(OUT action pg_catalog.text, OUT object pg_catalog.text,
		OUT rows pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	SET lock_timeout = '100ms'	-- ingest must not queue behind us: give up soon, the next run tries again
	SET datestyle = 'ISO' SET timezone = 'UTC'	-- times become text in what is executed, and are read again
AS $$
DECLARE
	oldest date := date_trunc('month', (now() - coalesce(current_setting('omnimsg.retention', true), '90 days')::interval) AT TIME ZONE 'UTC');
	parent_lock CONSTANT text := 'LOCK TABLE ONLY omnimsg.messages IN ACCESS EXCLUSIVE MODE';
	default_locks text := '';
	purged record;
	more bool := false;
	part text;
	old text[] := '{}';			-- months that go
	messages record;
	audit record;
	may_drop bool := true;
	made text := 'partition not made: the default partition is in use';
BEGIN
	-- as ingest: a snapshot of before would not have the hold that was placed, or the rows that were moved, meanwhile
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION USING ERRCODE = 'active_sql_transaction',
			MESSAGE = 'omnimsg_maintain needs transaction isolation level READ COMMITTED',
			HINT = 'Set default_transaction_isolation to ''read committed'' for this role.';
	END IF;
	-- A statement that began before somebody else dropped a month would find what is held neither there nor in the
	-- default partition, and wait for the month: none is dropped from here on, and no hold placed or lifted.
	IF NOT omnimsg.lock_soon('LOCK TABLE omnimsg.legal_holds IN SHARE MODE; LOCK TABLE ONLY omnimsg.messages IN ACCESS SHARE MODE') THEN
		action := 'rows not purged, partitions neither made nor dropped: messages or legal holds are in use';
		RETURN NEXT;
		RETURN;
	END IF;
	BEGIN
		FOR purged IN SELECT p.* FROM omnimsg.purge_expired() p LOOP
			more := more OR purged.more;
			CONTINUE WHEN purged.rows = 0;
			action := purged.action;
			object := purged.object;
			rows := purged.rows;
			RETURN NEXT;
		END LOOP;
	EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
		action := 'rows not purged: they are in use';
		object := NULL;
		rows := NULL;
		RETURN NEXT;
	END;

	-- A month of which much is under a legal hold stays, and what is not held goes row by row.
	FOR part IN
		SELECT c.relname
		  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		 WHERE i.inhparent = 'omnimsg.messages'::regclass AND c.relname ~ '^messages_[0-9]{4}_[0-9]{2}$'
		   AND to_date(right(c.relname, 7), 'YYYY_MM') < oldest
		 ORDER BY c.relname
	LOOP
		object := format('omnimsg.%s', part);
		action := 'partition not dropped: it is in use';
		BEGIN
			IF omnimsg.is_largely_held(part) IS NOT TRUE THEN
				old := old || part;
				CONTINUE;
			END IF;
			action := 'rows not purged: they are in use';
			SELECT p.* INTO purged FROM omnimsg.purge(object,
				'NOT EXISTS (SELECT 1 FROM omnimsg.legal_holds h WHERE h.organization_id = t.organization_id AND h.released_at IS NULL '
				'AND (h.address IS NULL OR h.address = t.peer_address))') p;
			more := more OR purged.more;
			CONTINUE WHEN purged.rows = 0;
			action := 'rows purged';
			rows := purged.rows;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			rows := NULL;
		END;
		RETURN NEXT;
	END LOOP;

	-- All rows but a few move before anything is locked.  Strong locks come last, because they are held until the
	-- end; the parent comes before its partitions, as in every statement.  Who gets no lock at all has made none.
	SELECT '{}'::date[] AS months, '{}'::int8[] AS moved, false AS many INTO messages;
	audit := messages;
	BEGIN
		SELECT p.* INTO messages FROM omnimsg.prepare_months('messages', oldest) p;
		SELECT '{}'::date[] AS months, '{}'::int8[] AS moved, false AS many INTO audit;
		IF NOT messages.many THEN
			SELECT p.* INTO audit FROM omnimsg.prepare_months('audit_logs', oldest) p;
		END IF;
		more := more OR messages.many OR audit.many;
		IF cardinality(messages.months) > 0 THEN
			default_locks := '; LOCK TABLE omnimsg.messages_default IN ACCESS EXCLUSIVE MODE';
		END IF;
		IF cardinality(audit.months) > 0 THEN
			default_locks := default_locks || '; LOCK TABLE omnimsg.audit_logs_default IN ACCESS EXCLUSIVE MODE';
		END IF;
		-- all at once, so that none is held while the others are waited for; a month is dropped under the same ones
		IF default_locks <> '' THEN
			may_drop := old <> '{}' AND omnimsg.lock_soon(parent_lock || default_locks);
			IF NOT may_drop AND NOT omnimsg.lock_soon(ltrim(default_locks, '; ')) THEN
				RAISE lock_not_available;
			END IF;
		END IF;
		messages.moved := (SELECT array_agg(before + after) FROM unnest(messages.moved, omnimsg.attach_months('messages', messages.months)) AS w (before, after));
		audit.moved := (SELECT array_agg(before + after) FROM unnest(audit.moved, omnimsg.attach_months('audit_logs', audit.months)) AS w (before, after));
		made := 'partition made';
	EXCEPTION
		WHEN lock_not_available OR deadlock_detected THEN
			may_drop := true;		-- our locks are gone with the block
			IF messages.months = '{}' AND audit.months = '{}' THEN
				action := 'partitions not made: they or a default partition are in use';
				object := NULL;
				rows := NULL;
				RETURN NEXT;
			END IF;
		WHEN duplicate_table OR unique_violation THEN
			messages.months := '{}';	-- somebody else is making them at this moment
			audit.months := '{}';
			may_drop := true;
	END;
	FOR action, object, rows IN
		SELECT made, format('omnimsg.%s_%s', w.parent, to_char(w.month, 'YYYY_MM')), CASE made WHEN 'partition made' THEN w.moved END
		  FROM (SELECT 1, 'messages', m.* FROM unnest(messages.months, messages.moved) AS m
				UNION ALL SELECT 2, 'audit_logs', l.* FROM unnest(audit.months, audit.moved) AS l) AS w (n, parent, month, moved)
		 ORDER BY w.n, w.month
	LOOP
		RETURN NEXT;
	END LOOP;

	-- bodies of messages, a month at a time; consent, requests and audit stay
	FOR i IN 1 .. cardinality(old) LOOP
		object := format('omnimsg.%s', old[i]);
		action := 'partition not dropped: it is in use';
		rows := NULL;
		BEGIN
			may_drop := may_drop AND omnimsg.lock_soon(parent_lock);
			IF may_drop THEN
				rows := omnimsg.drop_month(old[i]);
				CONTINUE WHEN rows IS NULL;		-- somebody else has dropped it
				action := CASE rows WHEN 0 THEN 'partition dropped' ELSE 'partition dropped, rows under a legal hold kept' END;
				rows := nullif(rows, 0);
			END IF;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			NULL;
		END;
		RETURN NEXT;
		-- rows were moved while webhooks waited: that is enough for once
		IF rows > 0 AND i < cardinality(old) THEN
			more := true;
			EXIT;
		END IF;
	END LOOP;

	IF more THEN
		action := 'more is left';
		object := NULL;
		rows := NULL;
		RETURN NEXT;
	END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.omnimsg_maintain() IS 'make the partitions of this month and the next three, move rows of months that were missed, drop those past omnimsg.retention but what is under a legal hold, purge what has expired; a row for each thing done or not done because somebody locks it, and ''more is left'' when it stopped before the end; safe to run at any time, again, and twice at once; needs READ COMMITTED';

--
-- Dead letters: a call in bulk keeps its locks until the transaction ends, so it takes fewer unless it is told otherwise
--

CREATE OR REPLACE FUNCTION @extschema@.omnimsg_replay_dead_letters(reason pg_catalog.text DEFAULT NULL,
		max_count pg_catalog.int4 DEFAULT 100, dry_run pg_catalog.bool DEFAULT false)
	RETURNS SETOF omnimsg.ingest_result
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION @extschema@.omnimsg_replay_dead_letters(pg_catalog.text, pg_catalog.int4, pg_catalog.bool) IS 'omnimsg_replay_dead_letter() for the oldest open dead letters whose reason begins so, at most so many, in one transaction, which holds their locks until it ends; one that fails does not stop the others; ordinal counts from the oldest';

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
	WITH objects (kind, name, owner, oid) AS (		-- of the extension; its months are no members of it
		SELECT 'schema', n.nspname::text, n.nspowner, n.oid FROM pg_namespace n WHERE n.nspname = 'omnimsg'
		UNION ALL
		SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, c.relname, c.relowner, c.oid FROM pg_class c
		 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v')
		UNION ALL
		SELECT 'function', p.proname, p.proowner, p.oid FROM pg_proc p
		  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		  JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND x.oid = d.refobjid AND x.extname = 'omnimsg'),
	roles (are_set) AS (
		SELECT coalesce(n.nspowner = to_regrole('omnimsg_owner'), false)
		  FROM pg_namespace n WHERE n.nspname = 'omnimsg')
	SELECT 'warning', 'deploy/roles.sql has not been run in this database',
		   NULL::text,
		   'Run it as superuser: the functions and the dispatcher act as a superuser until then.'
	  FROM roles r WHERE NOT r.are_set
	UNION ALL
	SELECT 'error', 'deploy/roles.sql must be run again',
		   format('%s of the extension''s objects do not belong to omnimsg_owner: %s', count(*), left(string_agg(o.kind || ' ' || o.name, ', ' ORDER BY o.kind, o.name), 200)),
		   'They came with an update or a restore. Running it again changes nothing else.'
	  FROM objects o, roles r WHERE r.are_set AND o.owner <> to_regrole('omnimsg_owner') HAVING count(*) > 0
	UNION ALL
	SELECT 'error', 'deploy/roles.sql must be run again', format('omnimsg.%s has no policy for its owner', c.relname),
		   'The functions see nothing of it.'
	  FROM pg_class c, roles r
	 WHERE r.are_set AND c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity
	   AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'owner')
	UNION ALL
	SELECT 'error', 'deploy/roles.sql must be run again', 'the role omnimsg_worker does not exist',
		   'The worker acts as the owner until then, who sees more than it has to.'
	  FROM roles r WHERE r.are_set AND to_regrole('omnimsg_worker') IS NULL
	UNION ALL
	SELECT 'error', 'deploy/roles.sql must be run again',
		   format('omnimsg_worker has no right to omnimsg.%1$s or no policy there', string_agg(c.relname, ', omnimsg.' ORDER BY c.relname)),
		   'The worker sees nothing of it; without one for omnimsg.outbox it acts as the owner, who sees more than it has to.'
	  FROM pg_class c, roles r
	 WHERE r.are_set AND to_regrole('omnimsg_worker') IS NOT NULL
	   AND c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity AND NOT c.relispartition
	   AND (c.relname IN ('messages', 'outbox') OR has_any_column_privilege(to_regrole('omnimsg_worker'), c.oid, 'SELECT, INSERT, UPDATE'))
	   AND NOT (has_any_column_privilege(to_regrole('omnimsg_worker'), c.oid, 'SELECT, INSERT, UPDATE')
				AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'worker'
							   AND p.polroles = ARRAY[to_regrole('omnimsg_worker')::oid]))
	HAVING count(*) > 0
	UNION ALL
	-- itself, or by a role that it may become
	SELECT 'error', 'a role of the tenants sees the rows of all of them',
		   string_agg(DISTINCT format(CASE WHEN b.oid = p.oid THEN '"%s"' ELSE '"%s" as "%s"' END, p.rolname, b.rolname), ', '),
		   'Row level security does not hold for superusers and roles with BYPASSRLS: take that from it, or its membership or mapping.'
	  FROM pg_roles p JOIN pg_roles b ON (b.rolbypassrls OR b.rolsuper) AND (b.oid = p.oid OR NOT p.rolsuper AND pg_has_role(p.oid, b.oid, 'MEMBER'))
	 CROSS JOIN (VALUES (ARRAY['omnimsg_owner', 'omnimsg_worker', 'omnimsg_relay', 'omnimsg_agent', 'omnimsg_auditor', 'omnimsg_admin'])) AS g (names)
	 WHERE EXISTS (SELECT 1 FROM omnimsg.tenant_roles t WHERE t.role_name = p.rolname) OR p.rolname = ANY (g.names)
		OR NOT p.rolsuper AND EXISTS (SELECT 1 FROM unnest(g.names) AS n (name) WHERE pg_has_role(p.oid, to_regrole(n.name), 'MEMBER'))
	HAVING count(*) > 0
	UNION ALL
	SELECT 'error', 'a role may act as the owner of all messages', string_agg(format('%s is a member of omnimsg_owner', m.member::regrole), ', '),
		   'Nobody should be: run deploy/roles.sql, which ends it.'
	  FROM pg_auth_members m WHERE m.roleid = to_regrole('omnimsg_owner') HAVING count(*) > 0
	UNION ALL
	SELECT 'error', format('omnimsg.%s is open to other tenants', c.relname),
		   CASE WHEN NOT c.relrowsecurity THEN 'Row level security is not enabled.'
				WHEN NOT c.relforcerowsecurity THEN 'Row level security is not forced.'
				ELSE 'The policy of tenants is not there.' END,
		   format('Run ALTER TABLE omnimsg.%1$I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, and CREATE POLICY tenant ON omnimsg.%1$I USING (organization_id = omnimsg.current_organization()).', c.relname)
	  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
	 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p')
	   AND to_regclass(format('omnimsg.%I', c.relname)) IS NOT NULL		-- a month may be gone since this statement began
	   AND NOT (c.relrowsecurity AND c.relforcerowsecurity
				AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant'
							   AND pg_get_expr(p.polqual, p.polrelid) = '(organization_id = omnimsg.current_organization())'))
	UNION ALL
	SELECT 'error', format('omnimsg.%s has a policy of somebody else''s', c.relname), format('It is called "%s".', p.polname),
		   'Permissive policies add up: what one lets see no other keeps back. Drop it, or make it AS RESTRICTIVE.'
	  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
	 WHERE c.relnamespace = 'omnimsg'::regnamespace AND p.polpermissive
	   AND NOT (p.polname = 'tenant' AND p.polroles = '{0}'
				OR p.polname = 'owner' AND p.polroles = ARRAY[to_regrole('omnimsg_owner')::oid]
				OR p.polname = 'worker' AND p.polroles = ARRAY[to_regrole('omnimsg_worker')::oid]
				OR p.polname = 'monitor' AND p.polroles = ARRAY[to_regrole('pg_monitor')::oid])
	UNION ALL
	SELECT 'error', format('omnimsg.%s shows more than its reader may see', c.relname), 'It is a view with the rights of its owner.',
		   format('Run ALTER VIEW omnimsg.%I SET (security_invoker = true).', c.relname)
	  FROM pg_class c
	 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind = 'v'
	   AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false)
	UNION ALL
	SELECT 'warning', 'a role that acts for an organization does not exist', string_agg(format('"%s"', r.role_name), ', ' ORDER BY r.role_name),
		   'A role that is made under that name would act for it. Run omnimsg_map_role(role, NULL).'
	  FROM omnimsg.tenant_roles r WHERE NOT EXISTS (SELECT 1 FROM pg_roles p WHERE p.rolname = r.role_name) HAVING count(*) > 0
	UNION ALL
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
	UNION ALL
	-- with their literals, or with the values of their parameters
	SELECT 'warning', 'the log may hold people''s numbers and messages', string_agg(s.name || ' = ' || s.setting, ', ' ORDER BY s.name),
		   'Statements are logged as applications write them. Reset these settings, or treat the log as you treat the database.'
	  FROM pg_settings s
	 WHERE s.name = 'log_statement' AND s.setting IN ('mod', 'all')
		OR s.name IN ('log_min_duration_statement', 'log_min_duration_sample', 'log_parameter_max_length_on_error', 'auto_explain.log_min_duration')
		   AND s.setting::bigint <> CASE s.name WHEN 'log_parameter_max_length_on_error' THEN 0 ELSE -1 END
		OR s.name = 'log_transaction_sample_rate' AND s.setting::float8 > 0
	HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'the worker may speak to this machine, and without TLS', 'omnimsg.allow_loopback is on.',
		   'It is for the simulator and for tests: run ALTER SYSTEM RESET omnimsg.allow_loopback, or take it out of the file where it is set.'
	 WHERE current_setting('omnimsg.allow_loopback', true)::boolean
	UNION ALL
	SELECT 'warning', 'provider accounts accept any key', string_agg(format('"%s"', a.name), ', ' ORDER BY a.name),
		   'Register the public key of each with omnimsg_add_key(): without it a key of one account reaches the numbers of another, and nothing is verified again here.'
	  FROM omnimsg.provider_accounts a WHERE a.key_fingerprints = '{}' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'numbers without a provider account accept any key',
		   format('%s: %s', count(*), left(string_agg(w.masked, ', ' ORDER BY w.masked), 200)),
		   'Name the account of each in provider_account_id of omnimsg.inbound_phone_numbers: the keys that are registered for it do not count for them.'
	  FROM (SELECT DISTINCT n.provider, n.phone_number, @extschema@.omnimsg_mask_phone(n.phone_number) AS masked
			  FROM omnimsg.inbound_phone_numbers n
			 WHERE n.provider_account_id IS NULL
			   AND NOT EXISTS (SELECT 1 FROM omnimsg.inbound_phone_numbers o		-- of those that share it one with keys is enough
								 JOIN omnimsg.provider_accounts a ON a.id = o.provider_account_id
								WHERE o.phone_number = n.phone_number AND o.provider = n.provider AND a.key_fingerprints <> '{}')) AS w
	HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'a key is registered by its fingerprint only', string_agg(format('"%s"', a.name), ', ' ORDER BY a.name),
		   'Give the public key to omnimsg_add_key(): without it nothing is verified again here, and nothing can be proven later.'
	  FROM omnimsg.provider_accounts a
	 WHERE EXISTS (SELECT 1 FROM unnest(a.key_fingerprints) AS f (fingerprint)
					WHERE NOT EXISTS (SELECT 1 FROM omnimsg.provider_keys k WHERE k.provider_account_id = a.id AND k.fingerprint = f.fingerprint))
	HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'the audit trail cannot be sealed', w.problem,
		   'Put the base64 of 32 random bytes into the file audit_signing_key in omnimsg.secrets_dir, with mode 0600.'
	  FROM omnimsg.audit_key_problem() AS w (problem) WHERE w.problem IS NOT NULL
	UNION ALL
	-- a transaction that was open before they were written holds up the seals of all organizations
	SELECT 'warning', 'audit rows wait for their seal', format('the oldest was written at %s', l.created_at) || coalesce('; since before that a transaction is open: ' || w.who, ''),
		   coalesce(w.ending, 'The worker seals every minute in a database that is armed: see the log of the server for why it did not, or run omnimsg_audit_seal().')
	  FROM (SELECT a.created_at, a.xid FROM omnimsg.audit_logs a
			 WHERE a.xid >= coalesce((SELECT s.to_xid FROM omnimsg.audit_seals s WHERE s.origin = omnimsg.audit_origin()
									   ORDER BY s.to_xid DESC LIMIT 1), '0'::xid8)
			   AND a.origin = omnimsg.audit_origin() ORDER BY a.xid LIMIT 1) AS l
	  LEFT JOIN LATERAL (
			SELECT o.who, o.ending
			  FROM (SELECT s.backend_xid, format('process %s, role "%s", database "%s"', s.pid, s.usename, s.datname),
						   format('Nothing newer is sealed before it ends: SELECT pg_terminate_backend(%s). Set idle_in_transaction_session_timeout for the role.', s.pid)
					  FROM pg_stat_activity s
					UNION ALL
					SELECT p.transaction, format('prepared as "%s", role "%s", database "%s"', p.gid, p.owner, p.database),
						   format('Nothing newer is sealed before it ends: COMMIT PREPARED or ROLLBACK PREPARED %L in its database.', p.gid)
					  FROM pg_prepared_xacts p) AS o (xid, who, ending)
			 WHERE age(o.xid) > age(l.xid::xid) ORDER BY age(o.xid) DESC LIMIT 1) AS w ON true
	 WHERE l.created_at < now() - interval '5 minutes' AND omnimsg.audit_key_problem() IS NULL
	UNION ALL
	-- The list is pulled as soon as there is an account, so this tells of a key or a network that is wrong before a text has to go.
	SELECT CASE WHEN p.last_error LIKE 'the secret %' THEN 'error' ELSE 'warning' END, 'the provider''s API cannot be used',
		   format('provider account "%s": %s', a.name, p.last_error),
		   'Texts from its numbers do not leave either, and expire. Look at the file of the key in omnimsg.secrets_dir and the log of the server; omnimsg_pull_optouts() tries again at once.'
	  FROM omnimsg.optout_pulls p JOIN omnimsg.provider_accounts a ON a.id = p.provider_account_id
	 WHERE p.failures >= 3
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

--
-- Last, for whatever section made it.  All tables of a tenant have row level security, and the months that are there
-- already.  This policy is everybody's; deploy/roles.sql adds those of the owner and of the worker.  Where it has given the
-- older objects to an owner, the new ones are that one's as well: the functions that work with them are.
--

DO $$
DECLARE
	-- while it is a superuser's, roles.sql has not been run
	keeper pg_catalog.oid := (SELECT n.nspowner FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
							   WHERE n.nspname OPERATOR(pg_catalog.=) 'omnimsg' AND NOT r.rolsuper);
	name text;
	tenant text;
BEGIN
	FOR name, tenant IN
		SELECT c.relname, a.attname FROM pg_catalog.pg_class c
		  JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
		   AND a.attname OPERATOR(pg_catalog.=) CASE WHEN c.relname OPERATOR(pg_catalog.=) 'organizations' THEN 'id' ELSE 'organization_id' END
		 WHERE c.relnamespace OPERATOR(pg_catalog.=) 'omnimsg'::pg_catalog.regnamespace
		   AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog."char"[])
		 ORDER BY 1
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE omnimsg.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
		EXECUTE pg_catalog.format('CREATE POLICY tenant ON omnimsg.%I USING (%I OPERATOR(pg_catalog.=) omnimsg.current_organization())', name, tenant);
		IF keeper IS NOT NULL THEN
			EXECUTE pg_catalog.format('CREATE POLICY owner ON omnimsg.%I TO %s USING (true)', name, keeper::pg_catalog.regrole);
		END IF;
	END LOOP;

	FOR name IN
		SELECT pg_catalog.format(CASE WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass THEN 'FUNCTION %s' ELSE 'TABLE %s' END,
				CASE WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass THEN d.objid::pg_catalog.regprocedure::text
					ELSE d.objid::pg_catalog.regclass::text END)
		  FROM pg_catalog.pg_depend d
		  JOIN pg_catalog.pg_extension x ON x.oid OPERATOR(pg_catalog.=) d.refobjid AND x.extname OPERATOR(pg_catalog.=) 'omnimsg'
		  LEFT JOIN pg_catalog.pg_proc p ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
		   AND p.oid OPERATOR(pg_catalog.=) d.objid
		  LEFT JOIN pg_catalog.pg_class c ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
		   AND c.oid OPERATOR(pg_catalog.=) d.objid AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'v']::pg_catalog."char"[])
		 WHERE d.deptype OPERATOR(pg_catalog.=) 'e' AND coalesce(p.proowner, c.relowner) OPERATOR(pg_catalog.<>) keeper
		 ORDER BY 1
	LOOP
		EXECUTE pg_catalog.format('ALTER %s OWNER TO %s', name, keeper::pg_catalog.regrole);
	END LOOP;
END
$$;
