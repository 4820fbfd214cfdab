/* omnimsg--1.0--1.1.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION or CREATE EXTENSION
\echo Use "ALTER EXTENSION omnimsg UPDATE TO '1.1'" to load this file. \quit

-- Version 1.0 stays as it was installed; what has changed since is here, and a new installation runs
-- both.  Names are qualified as in omnimsg--1.0.sql, for the same reason.  What is replaced is a
-- member of the extension already, and replacing takes nobody else's object.

-- A server that was not restarted since the new files came runs the old library, which has none of the functions of this
-- script.  Say so before anything else.
DO $$
BEGIN
	CREATE FUNCTION omnimsg.library_version() RETURNS pg_catalog.text
		AS 'MODULE_PATHNAME', 'omnimsg_library_version' LANGUAGE C STABLE PARALLEL SAFE;
EXCEPTION WHEN undefined_function THEN
	RAISE EXCEPTION USING
		ERRCODE = 'object_not_in_prerequisite_state',
		MESSAGE = 'the server still runs the library of an older version of omnimsg',
		DETAIL = 'The files of the new one are installed, but the server has loaded the old one.',
		HINT = 'Restart the server, then run ALTER EXTENSION omnimsg UPDATE again.';
END
$$;
COMMENT ON FUNCTION omnimsg.library_version() IS 'version of the extension that the library is made for; its functions refuse to work with tables of another one';

--
-- The journal: what received webhooks became, dead letters and their replay
--

ALTER TABLE omnimsg.events ADD COLUMN sqlstate pg_catalog.text,
	ADD COLUMN attempts pg_catalog.int4 NOT NULL DEFAULT 0;
COMMENT ON COLUMN omnimsg.events.sqlstate IS 'of a dead letter: SQLSTATE of the error that the last attempt met; NULL when its content could not be read';
COMMENT ON COLUMN omnimsg.events.attempts IS 'how often it was tried, each attempt that was rolled back included; 0 for a stale one, which was not tried, and for rows of version 1.0, which did not count';
COMMENT ON COLUMN omnimsg.events.dedupe_key IS '''received:'' and the message id for inbound messages, else the event id, else the SHA-256 of the body; of what was kept without being tried ''stale:'' and that, or ''crashed:'' and the SHA-256';

CREATE OR REPLACE VIEW omnimsg.dead_letters WITH (security_invoker = true) AS
	SELECT e.provider, e.dedupe_key, e.event_type, e.occurred_at, e.received_at,
		   e.organization_id, e.reason, e.key_id, pg_catalog.octet_length(e.raw) AS raw_bytes,
		   e.sqlstate, e.attempts
	  FROM omnimsg.events e
	 WHERE e.outcome OPERATOR(pg_catalog.=) 'dead';
COMMENT ON COLUMN omnimsg.dead_letters.reason IS 'why it could not be applied; begins with ''stale'' when its signed time was too far from the relay''s clock, with ''crashed'' when it took the server down each time it was tried';
COMMENT ON COLUMN omnimsg.dead_letters.sqlstate IS 'SQLSTATE of the error that the last attempt met; NULL when its content could not be read';
COMMENT ON COLUMN omnimsg.dead_letters.attempts IS 'how often it was tried';

-- One row per transaction and provider, so that nobody waits for anybody; omnimsg.fold_event_counts() adds them up.
CREATE TABLE omnimsg.event_counts (
	id pg_catalog.uuid PRIMARY KEY DEFAULT omnimsg.uuid7(),
	provider pg_catalog.text NOT NULL,
	received pg_catalog.int8 NOT NULL DEFAULT 0,
	duplicates pg_catalog.int8 NOT NULL DEFAULT 0,
	purged_applied pg_catalog.int8 NOT NULL DEFAULT 0,
	purged_ignored pg_catalog.int8 NOT NULL DEFAULT 0,
	counted_at pg_catalog.timestamptz NOT NULL
);
COMMENT ON TABLE omnimsg.event_counts IS 'what each transaction received and what was purged from the journal, counted apart from omnimsg.events; append-only but for omnimsg.fold_event_counts(); see omnimsg.conservation';
COMMENT ON COLUMN omnimsg.event_counts.id IS 'identifies the row';
COMMENT ON COLUMN omnimsg.event_counts.provider IS 'who sent them';
COMMENT ON COLUMN omnimsg.event_counts.received IS 'events that were claimed: each once, however often it was delivered';
COMMENT ON COLUMN omnimsg.event_counts.duplicates IS 'events that had been claimed before, and left no row; counted since version 1.1';
COMMENT ON COLUMN omnimsg.event_counts.purged_applied IS 'applied events that retention deleted from the journal';
COMMENT ON COLUMN omnimsg.event_counts.purged_ignored IS 'ignored events that retention deleted from the journal';
COMMENT ON COLUMN omnimsg.event_counts.counted_at IS 'when';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.event_counts', '');

-- a database of version 1.0 has received what its journal has
INSERT INTO omnimsg.event_counts (provider, received, counted_at)
	SELECT e.provider, pg_catalog.count(*), pg_catalog.now() FROM omnimsg.events e GROUP BY e.provider;

CREATE FUNCTION omnimsg.count_purged(provider pg_catalog.text, applied pg_catalog.int8, ignored pg_catalog.int8)
	RETURNS pg_catalog.void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO omnimsg.event_counts (provider, purged_applied, purged_ignored, counted_at)
		VALUES (count_purged.provider, count_purged.applied, count_purged.ignored, now())
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.count_purged(pg_catalog.text, pg_catalog.int8, pg_catalog.int8) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.count_purged(pg_catalog.text, pg_catalog.int8, pg_catalog.int8) IS 'note how many applied and ignored events of a provider retention has deleted from the journal, in the transaction that deleted them';

CREATE FUNCTION omnimsg.fold_event_counts() RETURNS pg_catalog.int8
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
	WITH counts AS (
		DELETE FROM omnimsg.event_counts c
		 WHERE c.id IN (SELECT l.id FROM omnimsg.event_counts l FOR UPDATE SKIP LOCKED)
		RETURNING c.provider, c.received, c.duplicates, c.purged_applied, c.purged_ignored),
	folded AS (
		INSERT INTO omnimsg.event_counts (provider, received, duplicates, purged_applied, purged_ignored, counted_at)
			SELECT c.provider, sum(c.received), sum(c.duplicates), sum(c.purged_applied), sum(c.purged_ignored), now()
			  FROM counts c GROUP BY c.provider)
	SELECT count(*) FROM counts
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.fold_event_counts() FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.fold_event_counts() IS 'add the rows of omnimsg.event_counts up to one per provider; returns how many there were';

CREATE VIEW omnimsg.conservation WITH (security_invoker = true) AS
	SELECT w.*, w.received OPERATOR(pg_catalog.-) (w.applied OPERATOR(pg_catalog.+) w.ignored OPERATOR(pg_catalog.+) w.dead OPERATOR(pg_catalog.+) w.pending) AS difference,
		   w.received OPERATOR(pg_catalog.=) (w.applied OPERATOR(pg_catalog.+) w.ignored OPERATOR(pg_catalog.+) w.dead OPERATOR(pg_catalog.+) w.pending) AS is_conserved
	  FROM (SELECT provider, coalesce(c.received, 0) AS received,
				   coalesce(e.applied, 0) OPERATOR(pg_catalog.+) coalesce(c.purged_applied, 0) AS applied,
				   coalesce(e.ignored, 0) OPERATOR(pg_catalog.+) coalesce(c.purged_ignored, 0) AS ignored,
				   coalesce(e.dead, 0) AS dead, coalesce(e.pending, 0) AS pending,
				   coalesce(c.purged_applied, 0) OPERATOR(pg_catalog.+) coalesce(c.purged_ignored, 0) AS purged,
				   coalesce(c.duplicates, 0) AS duplicates
			  FROM (SELECT j.provider,
						   pg_catalog.count(*) FILTER (WHERE j.outcome OPERATOR(pg_catalog.=) 'applied') AS applied,
						   pg_catalog.count(*) FILTER (WHERE j.outcome OPERATOR(pg_catalog.=) 'ignored') AS ignored,
						   pg_catalog.count(*) FILTER (WHERE j.outcome OPERATOR(pg_catalog.=) 'dead') AS dead,
						   pg_catalog.count(*) FILTER (WHERE j.outcome OPERATOR(pg_catalog.=) 'pending') AS pending
					  FROM omnimsg.events j GROUP BY j.provider) AS e
			  FULL JOIN (
					SELECT n.provider, pg_catalog.sum(n.received)::pg_catalog.int8 AS received,
						   pg_catalog.sum(n.duplicates)::pg_catalog.int8 AS duplicates,
						   pg_catalog.sum(n.purged_applied)::pg_catalog.int8 AS purged_applied,
						   pg_catalog.sum(n.purged_ignored)::pg_catalog.int8 AS purged_ignored
					  FROM omnimsg.event_counts n GROUP BY n.provider) AS c USING (provider)) AS w;
COMMENT ON VIEW omnimsg.conservation IS 'that nothing vanishes: of each provider, received = applied + ignored + dead + pending in every snapshot; received is counted apart from the journal, so a row that was removed or added behind its back shows; reads the whole journal';
COMMENT ON COLUMN omnimsg.conservation.provider IS 'who sent them';
COMMENT ON COLUMN omnimsg.conservation.received IS 'events that were claimed, each once; by omnimsg.event_counts';
COMMENT ON COLUMN omnimsg.conservation.applied IS 'applied, by the journal and by what was purged from it';
COMMENT ON COLUMN omnimsg.conservation.ignored IS 'without effect, with the reason; by the journal and by what was purged from it';
COMMENT ON COLUMN omnimsg.conservation.dead IS 'dead letters that are open';
COMMENT ON COLUMN omnimsg.conservation.pending IS 'waiting for their message';
COMMENT ON COLUMN omnimsg.conservation.purged IS 'how many of the applied and ignored retention has deleted from the journal';
COMMENT ON COLUMN omnimsg.conservation.duplicates IS 'further deliveries of the same events, since version 1.1; beside the sum, for they leave no row';
COMMENT ON COLUMN omnimsg.conservation.difference IS 'how many are missing; negative: how many are too many';
COMMENT ON COLUMN omnimsg.conservation.is_conserved IS 'whether nothing is missing and nothing too many';

CREATE FUNCTION @extschema@.omnimsg_keep_dead(providers pg_catalog.text[], bodies pg_catalog.bytea[],
		signatures pg_catalog.text[], signed_at pg_catalog.text[], key_ids pg_catalog.text[],
		reasons pg_catalog.text[])
	RETURNS SETOF omnimsg.ingest_result
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_keep_dead(pg_catalog.text[], pg_catalog.bytea[], pg_catalog.text[],
	pg_catalog.text[], pg_catalog.text[], pg_catalog.text[]) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_keep_dead(pg_catalog.text[], pg_catalog.bytea[], pg_catalog.text[],
	pg_catalog.text[], pg_catalog.text[], pg_catalog.text[]) IS 'keep verified webhooks as dead letters, without effect: arrays as of omnimsg_ingest_batch(), and why: ''stale'' (signed too long ago or ahead; outcome ''duplicate'' when the event itself is in the journal) or ''crashed'' (took the server down; its content is not looked into); the event itself can still come and is applied then; durable when the transaction commits; needs READ COMMITTED';

CREATE FUNCTION @extschema@.omnimsg_replay_dead_letter(provider pg_catalog.text, dedupe_key pg_catalog.text,
		dry_run pg_catalog.bool DEFAULT false)
	RETURNS SETOF omnimsg.ingest_result
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_replay_dead_letter(pg_catalog.text, pg_catalog.text, pg_catalog.bool) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_replay_dead_letter(pg_catalog.text, pg_catalog.text, pg_catalog.bool) IS 'run a dead letter through ingest again; it has its effects once, whoever replays it and how often: outcome ''duplicate'' when it was settled before; one that fails again stays dead; dry_run tells what would come of it, and nothing does; each replay is audited; needs READ COMMITTED';

CREATE FUNCTION @extschema@.omnimsg_replay_dead_letters(reason pg_catalog.text DEFAULT NULL,
		max_count pg_catalog.int4 DEFAULT 1000, dry_run pg_catalog.bool DEFAULT false)
	RETURNS SETOF omnimsg.ingest_result
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_replay_dead_letters(pg_catalog.text, pg_catalog.int4, pg_catalog.bool) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_replay_dead_letters(pg_catalog.text, pg_catalog.int4, pg_catalog.bool) IS 'omnimsg_replay_dead_letter() for the oldest open dead letters whose reason begins so, at most so many, in one transaction; one that fails does not stop the others; ordinal counts from the oldest';


--
-- What is to be sent: unknown outcomes and what is found out about them
--

ALTER TABLE omnimsg.outbox
	ADD COLUMN has_token pg_catalog.bool NOT NULL DEFAULT false,
	ADD COLUMN unknown_at pg_catalog.timestamptz,
	ADD COLUMN next_look_at pg_catalog.timestamptz,
	ADD COLUMN failed_looks pg_catalog.int4 NOT NULL DEFAULT 0,
	ADD COLUMN candidate_external_id pg_catalog.text;
CREATE INDEX outbox_next_look ON omnimsg.outbox (next_look_at) WHERE next_look_at IS NOT NULL;
COMMENT ON COLUMN omnimsg.outbox.state IS '''queued'', ''leased'' by a worker, ''sending'': a request may have left; then ''sent'', ''failed'', ''expired'', ''suppressed'' or ''unknown'', which is being found out about while settled_at is NULL, and held after that';
COMMENT ON COLUMN omnimsg.outbox.has_token IS 'whether the provider was told to report the latest attempt to omnimsg.webhook_url with the name of the attempt, by which it can be asked about';
COMMENT ON COLUMN omnimsg.outbox.unknown_at IS 'when the outcome of an attempt was last found to be unknown; NULL when it never was';
COMMENT ON COLUMN omnimsg.outbox.next_look_at IS 'when the provider is asked next what became of it; NULL when nobody needs to ask';
COMMENT ON COLUMN omnimsg.outbox.failed_looks IS 'how often in succession the provider could not be asked';
COMMENT ON COLUMN omnimsg.outbox.candidate_external_id IS 'the provider''s id in an answer that could not be relied on otherwise';
COMMENT ON COLUMN omnimsg.outbox.settled_at IS 'when it reached a final state; what the provider tells later can still make it ''sent''';

CREATE TABLE omnimsg.unknown_policies (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	kind pg_catalog.text NOT NULL
		CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['opt_out_confirmation', 'opt_in_confirmation', 'help_reply',
			'conversation', 'notification', 'marketing'])),
	on_unknown pg_catalog.text NOT NULL
		CHECK (on_unknown OPERATOR(pg_catalog.=) ANY (ARRAY['hold', 'resend'])),
	PRIMARY KEY (organization_id, kind),
	CONSTRAINT unknown_policies_confirmation_is_never_resent
		CHECK (kind OPERATOR(pg_catalog.<>) 'opt_out_confirmation' OR on_unknown OPERATOR(pg_catalog.=) 'hold')
);
COMMENT ON TABLE omnimsg.unknown_policies IS 'what becomes of a message that may have been sent and of which the provider knows nothing: what no row says is held';
COMMENT ON COLUMN omnimsg.unknown_policies.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.unknown_policies.kind IS 'kind of outbox items';
COMMENT ON COLUMN omnimsg.unknown_policies.on_unknown IS '''hold'': it stays unknown, for a person to ask; ''resend'': it is sent again while it is worth sending, and the person may get it twice. The confirmation of an opt-out is never sent again';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.unknown_policies', '');


--
-- Where this database may send from
--

CREATE TABLE omnimsg.arming (
	singleton pg_catalog.bool PRIMARY KEY DEFAULT true CHECK (singleton),
	system_identifier pg_catalog.int8 NOT NULL,
	database_oid pg_catalog.oid NOT NULL,
	database_name pg_catalog.text NOT NULL,
	timeline pg_catalog.int4 NOT NULL,
	data_directory pg_catalog.text NOT NULL,
	armed_at pg_catalog.timestamptz NOT NULL,
	armed_by pg_catalog.text NOT NULL,
	note pg_catalog.text,
	disarmed_at pg_catalog.timestamptz
);
COMMENT ON TABLE omnimsg.arming IS 'the database that may send: written by omnimsg_arm() and carried along by every copy, which is known by it; at most one row';
COMMENT ON COLUMN omnimsg.arming.singleton IS 'there is one row';
COMMENT ON COLUMN omnimsg.arming.system_identifier IS 'of the cluster, as pg_control_system() tells';
COMMENT ON COLUMN omnimsg.arming.database_oid IS 'of the database: another one after CREATE DATABASE ... TEMPLATE and in a restored dump';
COMMENT ON COLUMN omnimsg.arming.database_name IS 'its name at that time, for people';
COMMENT ON COLUMN omnimsg.arming.timeline IS 'of the write-ahead log: another one after each promotion and recovery to a point in time';
COMMENT ON COLUMN omnimsg.arming.data_directory IS 'inode and time of birth of the file PG_VERSION: others in a base backup and in a copy of the files';
COMMENT ON COLUMN omnimsg.arming.armed_at IS 'when';
COMMENT ON COLUMN omnimsg.arming.armed_by IS '''role:'' and the database role that asked for it';
COMMENT ON COLUMN omnimsg.arming.note IS 'what that role says of it';
COMMENT ON COLUMN omnimsg.arming.disarmed_at IS 'when omnimsg_disarm() took it back; NULL while it holds';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.arming', '');

CREATE FUNCTION omnimsg.why_not_armed() RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME', 'omnimsg_why_not_armed' LANGUAGE C STABLE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION omnimsg.why_not_armed() FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.why_not_armed() IS 'why nothing is sent from this database: it was never armed, or is a copy of the one that was; NULL when it is armed';

CREATE FUNCTION @extschema@.omnimsg_arm(note pg_catalog.text DEFAULT NULL,
		OUT armed pg_catalog.text, OUT replaced pg_catalog.text, OUT reason pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_arm(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_arm(pg_catalog.text) IS 'let this database send, as the one and only: returns what it is, what was armed before, and why that was another one; a copy, a restored dump and a promoted standby need it again; make sure first that the original sends no more';

CREATE FUNCTION @extschema@.omnimsg_disarm() RETURNS pg_catalog.bool
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_disarm() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_disarm() IS 'let this database send no more, before a switch-over or before it is copied; what is on its way to the provider at that moment still goes; false when it was not armed';

COMMENT ON COLUMN omnimsg.audit_logs.resource_type IS 'what it was done to: ''message'', ''opt_out_request'', ''review'', ''address_flag'', ''event'', ''organization'', ''database'' or ''legal_hold''';


--
-- Fetching from the provider what it could not deliver
--

CREATE TABLE omnimsg.backfills (
	provider_account_id pg_catalog.uuid PRIMARY KEY REFERENCES omnimsg.provider_accounts (id) ON DELETE CASCADE,
	since pg_catalog.timestamptz NOT NULL,
	until pg_catalog.timestamptz NOT NULL,
	delivered pg_catalog.bool NOT NULL DEFAULT false,
	asked_since pg_catalog.timestamptz,
	asked_delivered pg_catalog.bool NOT NULL DEFAULT false,
	started_at pg_catalog.timestamptz NOT NULL,
	next_page pg_catalog.int4 NOT NULL DEFAULT 1,
	page_size pg_catalog.int4 NOT NULL,
	pass pg_catalog.int4 NOT NULL DEFAULT 1,
	total pg_catalog.int4,
	seen pg_catalog.int8 NOT NULL DEFAULT 0,
	applied pg_catalog.int8 NOT NULL DEFAULT 0,
	pending pg_catalog.int8 NOT NULL DEFAULT 0,
	ignored pg_catalog.int8 NOT NULL DEFAULT 0,
	dead pg_catalog.int8 NOT NULL DEFAULT 0,
	duplicates pg_catalog.int8 NOT NULL DEFAULT 0,
	skipped pg_catalog.int8 NOT NULL DEFAULT 0,
	finished_at pg_catalog.timestamptz,
	due_at pg_catalog.timestamptz NOT NULL,
	failures pg_catalog.int4 NOT NULL DEFAULT 0,
	last_error pg_catalog.text
);
COMMENT ON TABLE omnimsg.backfills IS 'fetching what the provider could not deliver: how far the last backfill of each provider account has come';
COMMENT ON COLUMN omnimsg.backfills.provider_account_id IS 'the account';
COMMENT ON COLUMN omnimsg.backfills.since IS 'webhooks first tried from then on are asked for';
COMMENT ON COLUMN omnimsg.backfills.until IS 'and not after this: when it was asked for';
COMMENT ON COLUMN omnimsg.backfills.asked_since IS 'omnimsg_backfill() was called again since: it goes back so far at once, or begins anew when it has ended; NULL when it was not';
COMMENT ON COLUMN omnimsg.backfills.delivered IS 'whether webhooks that were delivered are asked for as well as those that failed';
COMMENT ON COLUMN omnimsg.backfills.asked_delivered IS 'whether such a call asked for those that were delivered';
COMMENT ON COLUMN omnimsg.backfills.started_at IS 'when it began';
COMMENT ON COLUMN omnimsg.backfills.next_page IS 'page to ask for next; a backfill that was interrupted goes on there';
COMMENT ON COLUMN omnimsg.backfills.page_size IS 'webhooks on that page; halved while a page is too long';
COMMENT ON COLUMN omnimsg.backfills.pass IS 'how often the list is being read, because its length changed meanwhile';
COMMENT ON COLUMN omnimsg.backfills.total IS 'how many webhooks the list has; NULL before the first page';
COMMENT ON COLUMN omnimsg.backfills.seen IS 'how many were on the pages read: the sum of the six that follow';
COMMENT ON COLUMN omnimsg.backfills.applied IS 'how many of them had their effects now';
COMMENT ON COLUMN omnimsg.backfills.pending IS 'how many wait for their message';
COMMENT ON COLUMN omnimsg.backfills.ignored IS 'how many have no effect';
COMMENT ON COLUMN omnimsg.backfills.dead IS 'how many are dead letters';
COMMENT ON COLUMN omnimsg.backfills.duplicates IS 'how many were known before';
COMMENT ON COLUMN omnimsg.backfills.skipped IS 'how many were too long to be read';
COMMENT ON COLUMN omnimsg.backfills.finished_at IS 'when it had its last page; NULL while it is under way';
COMMENT ON COLUMN omnimsg.backfills.due_at IS 'when the worker asks again; infinity: when it is asked for';
COMMENT ON COLUMN omnimsg.backfills.failures IS 'how often in succession the last request went wrong';
COMMENT ON COLUMN omnimsg.backfills.last_error IS 'what went wrong with the last request; NULL when it went well';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.backfills', '');

CREATE FUNCTION @extschema@.omnimsg_backfill(since pg_catalog.timestamptz
		DEFAULT pg_catalog.now() OPERATOR(pg_catalog.-) '3 days'::pg_catalog.interval,
		delivered pg_catalog.bool DEFAULT false)
	RETURNS pg_catalog.int4
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_backfill(pg_catalog.timestamptz, pg_catalog.bool) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_backfill(pg_catalog.timestamptz, pg_catalog.bool) IS 'have the worker fetch what the provider could not deliver since then, and with delivered => true what it did deliver as well, and apply what is not here; returns how many provider accounts it asks; omnimsg.backfills shows what came of it';


--
-- Keeping house: months, retention, legal holds
--

CREATE TABLE omnimsg.legal_holds (
	organization_id pg_catalog.uuid NOT NULL REFERENCES omnimsg.organizations (id),
	id pg_catalog.uuid NOT NULL DEFAULT omnimsg.uuid7(),
	address pg_catalog.text,
	reason pg_catalog.text NOT NULL,
	placed_by pg_catalog.text NOT NULL,
	placed_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	released_at pg_catalog.timestamptz,
	PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE omnimsg.legal_holds IS 'messages that retention must leave alone, with their outbox items and journal rows; set with omnimsg_place_hold(), kept for ever';
COMMENT ON COLUMN omnimsg.legal_holds.organization_id IS 'the tenant';
COMMENT ON COLUMN omnimsg.legal_holds.id IS 'identifies the hold';
COMMENT ON COLUMN omnimsg.legal_holds.address IS 'whose messages; NULL for all of the organization';
COMMENT ON COLUMN omnimsg.legal_holds.reason IS 'why';
COMMENT ON COLUMN omnimsg.legal_holds.placed_by IS '''role:'' and the database role that asked for it';
COMMENT ON COLUMN omnimsg.legal_holds.placed_at IS 'when';
COMMENT ON COLUMN omnimsg.legal_holds.released_at IS 'when it ended; NULL while it holds';
SELECT pg_catalog.pg_extension_config_dump('omnimsg.legal_holds', '');

CREATE FUNCTION omnimsg.is_held(organization_id pg_catalog.uuid, message_id pg_catalog.uuid) RETURNS pg_catalog.bool
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT 1 FROM omnimsg.legal_holds h
					WHERE h.organization_id = is_held.organization_id AND h.released_at IS NULL
					  AND (h.address IS NULL
						   OR EXISTS (SELECT 1 FROM omnimsg.messages m
									   WHERE m.organization_id = h.organization_id AND m.id = is_held.message_id
										 AND m.peer_address = h.address)))
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.is_held(pg_catalog.uuid, pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.is_held(pg_catalog.uuid, pg_catalog.uuid) IS 'whether a legal hold keeps what belongs to a message';

CREATE FUNCTION omnimsg.audit_hold(organization_id pg_catalog.uuid, hold_id pg_catalog.uuid,
		action pg_catalog.text, whole pg_catalog.bool) RETURNS pg_catalog.void
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
	INSERT INTO omnimsg.audit_logs (organization_id, id, action, resource_type, resource_id, actor, new_value, created_at)
		VALUES (audit_hold.organization_id, omnimsg.uuid7(), audit_hold.action, 'legal_hold', hold_id,
				'role:' || session_user, jsonb_build_object('of', CASE WHEN whole THEN 'organization' ELSE 'address' END), now())
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.audit_hold(pg_catalog.uuid, pg_catalog.uuid, pg_catalog.text, pg_catalog.bool) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.audit_hold(pg_catalog.uuid, pg_catalog.uuid, pg_catalog.text, pg_catalog.bool) IS 'put a change of a legal hold on record, without the address';

CREATE FUNCTION @extschema@.omnimsg_place_hold(organization_id pg_catalog.uuid, address pg_catalog.text,
		reason pg_catalog.text) RETURNS pg_catalog.uuid
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	region text := (SELECT o.default_region FROM omnimsg.organizations o WHERE o.id = organization_id);
	canonical text := CASE WHEN strpos(address, '@') > 0 THEN lower(btrim(address))
						   ELSE @extschema@.omnimsg_normalize_phone(address, region) END;
	hold uuid := omnimsg.uuid7();
BEGIN
	IF organization_id IS NULL THEN
		RAISE EXCEPTION 'organization_id must not be NULL' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF region IS NULL THEN
		RAISE EXCEPTION 'organization "%" does not exist', organization_id USING ERRCODE = 'undefined_object';
	END IF;
	IF btrim(coalesce(reason, '')) = '' THEN
		RAISE EXCEPTION 'a legal hold needs a reason' USING ERRCODE = 'null_value_not_allowed',
			HINT = 'Name the case, so that somebody can tell later whether it is over.';
	END IF;
	IF address IS NOT NULL AND canonical IS NULL THEN
		RAISE EXCEPTION '% is no address', @extschema@.omnimsg_mask_phone(address) USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Give a phone number, an e-mail address, or NULL for all messages of the organization.';
	END IF;
	INSERT INTO omnimsg.legal_holds (organization_id, id, address, reason, placed_by)
		VALUES (organization_id, hold, canonical, reason, 'role:' || session_user);
	PERFORM omnimsg.audit_hold(organization_id, hold, 'LEGAL_HOLD_PLACED', address IS NULL);
	RETURN hold;
END
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_place_hold(pg_catalog.uuid, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_place_hold(pg_catalog.uuid, pg_catalog.text, pg_catalog.text) IS 'keep the messages of an address, or with NULL all of an organization, from retention until omnimsg_release_hold(); returns the id of the hold; what retention has dropped before does not come back';

CREATE FUNCTION @extschema@.omnimsg_release_hold(id pg_catalog.uuid) RETURNS pg_catalog.bool
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	hold omnimsg.legal_holds;
BEGIN
	UPDATE omnimsg.legal_holds h SET released_at = now()
	 WHERE h.id = omnimsg_release_hold.id AND h.released_at IS NULL RETURNING h.* INTO hold;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM omnimsg.audit_hold(hold.organization_id, hold.id, 'LEGAL_HOLD_RELEASED', hold.address IS NULL);
	RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_release_hold(pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.omnimsg_release_hold(pg_catalog.uuid) IS 'end a legal hold: what is past its time goes with the next omnimsg_maintain(); false when there is none that holds';

-- A month is made in two steps, because many rows may have to move, and nobody should wait for that.
CREATE FUNCTION omnimsg.prepare_month(parent pg_catalog.text, month pg_catalog.date) RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part text := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
	starts timestamptz := month::timestamp AT TIME ZONE 'UTC';
	ends timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
	IF to_regclass(format('omnimsg.%I', part)) IS NOT NULL THEN
		RETURN NULL;
	END IF;
	-- keys, indexes and comments of the default partition; and what spares the reading of all rows when it is attached
	EXECUTE format('CREATE TABLE omnimsg.%I (LIKE omnimsg.%I INCLUDING ALL, '
				   'CONSTRAINT of_the_month CHECK (created_at >= %L AND created_at < %L))',
				   part, parent || '_default', starts, ends);
	RETURN omnimsg.move_rows(parent, month, true);
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.prepare_month(pg_catalog.text, pg_catalog.date) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.prepare_month(pg_catalog.text, pg_catalog.date) IS 'first step of omnimsg.make_month(): make the table and move what nobody holds locked; returns how many rows, NULL when the month is there already';

CREATE FUNCTION omnimsg.move_rows(parent pg_catalog.text, month pg_catalog.date, skip pg_catalog.bool) RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part text := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
	starts timestamptz := month::timestamp AT TIME ZONE 'UTC';
	ends timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
	names text;
	moved int8;
BEGIN
	-- generated columns cannot be inserted
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO names
	  FROM pg_attribute a
	 WHERE a.attrelid = format('omnimsg.%I', parent)::regclass
	   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
	EXECUTE format('WITH free AS (SELECT d.ctid FROM omnimsg.%1$I d WHERE d.created_at >= %2$L AND d.created_at < %3$L %6$s), '
				   'moved AS (DELETE FROM omnimsg.%1$I d USING free f WHERE d.ctid = f.ctid RETURNING d.*) '
				   'INSERT INTO omnimsg.%4$I (%5$s) SELECT %5$s FROM moved',
				   parent || '_default', starts, ends, part, names, CASE WHEN skip THEN 'FOR UPDATE SKIP LOCKED' ELSE '' END);
	GET DIAGNOSTICS moved = ROW_COUNT;
	RETURN moved;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.move_rows(pg_catalog.text, pg_catalog.date, pg_catalog.bool) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.move_rows(pg_catalog.text, pg_catalog.date, pg_catalog.bool) IS 'move the rows of a month from the default partition to its table, those that somebody has locked with it or without; returns how many';

CREATE FUNCTION omnimsg.attach_months(parent pg_catalog.text, months pg_catalog.date[]) RETURNS pg_catalog.int8[]
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part text;
	late date[];
	moved int8[];
BEGIN
	-- nobody may add a row of the months to the default partition from here on
	EXECUTE format('LOCK TABLE omnimsg.%I IN ACCESS EXCLUSIVE MODE', parent || '_default');
	-- what came since, or was locked: it is read once for all months, dead rows and all
	EXECUTE format('SELECT array_agg(DISTINCT date_trunc(''month'', d.created_at AT TIME ZONE ''UTC'')::date) FROM omnimsg.%I d',
				   parent || '_default') INTO late;
	FOR i IN 1 .. cardinality(months) LOOP
		part := format('%s_%s', parent, to_char(months[i], 'YYYY_MM'));
		moved[i] := CASE WHEN months[i] = ANY (late) THEN omnimsg.move_rows(parent, months[i], false) ELSE 0 END;
		EXECUTE format('ALTER TABLE omnimsg.%I ATTACH PARTITION omnimsg.%I FOR VALUES FROM (%L) TO (%L)', parent, part,
					   months[i]::timestamp AT TIME ZONE 'UTC', (months[i] + interval '1 month') AT TIME ZONE 'UTC');
		EXECUTE format('ALTER TABLE omnimsg.%I DROP CONSTRAINT of_the_month', part);
	END LOOP;
	RETURN moved;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.attach_months(pg_catalog.text, pg_catalog.date[]) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.attach_months(pg_catalog.text, pg_catalog.date[]) IS 'second step of omnimsg.make_month(), for several: lock the default partition, move what is left and attach the tables; returns how many rows moved for each';

CREATE OR REPLACE FUNCTION omnimsg.make_month(parent pg_catalog.text, month pg_catalog.date) RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
	SET datestyle = 'ISO' SET timezone = 'UTC'	-- as omnimsg_maintain()
AS $$
DECLARE
	moved int8 := omnimsg.prepare_month(parent, month);
BEGIN
	IF moved IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN moved + (omnimsg.attach_months(parent, ARRAY[month]))[1];
END
$$;

CREATE FUNCTION omnimsg.missing_months(ahead pg_catalog.int4, oldest pg_catalog.date, OUT parent pg_catalog.text, OUT month pg_catalog.date)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	WITH this (month) AS (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')),
	wanted (parent, month) AS (
		SELECT p, (this.month + n * interval '1 month')::date
		  FROM this, unnest(ARRAY['messages', 'audit_logs']) AS p, generate_series(0, ahead) AS n
		UNION	-- those that nobody made in time
		SELECT 'messages', date_trunc('month', m.created_at AT TIME ZONE 'UTC')::date
		  FROM omnimsg.messages_default m, this WHERE m.created_at < this.month AT TIME ZONE 'UTC'
		   AND m.created_at >= oldest::timestamp AT TIME ZONE 'UTC'
		UNION
		SELECT 'audit_logs', date_trunc('month', l.created_at AT TIME ZONE 'UTC')::date
		  FROM omnimsg.audit_logs_default l, this WHERE l.created_at < this.month AT TIME ZONE 'UTC')
	SELECT w.parent, w.month FROM wanted w
	 WHERE to_regclass(format('omnimsg.%I', format('%s_%s', w.parent, to_char(w.month, 'YYYY_MM')))) IS NULL
	 ORDER BY w.parent DESC, w.month		-- messages are locked before the audit trail, as everywhere
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.missing_months(pg_catalog.int4, pg_catalog.date) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.missing_months(pg_catalog.int4, pg_catalog.date) IS 'months without a partition: from this one on so many ahead, and older ones that have rows in the default partition; messages not before the oldest that is kept';

CREATE FUNCTION omnimsg.prepare_months(parent pg_catalog.text, oldest pg_catalog.date,
		OUT months pg_catalog.date[], OUT moved pg_catalog.int8[], OUT many pg_catalog.bool)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	SELECT coalesce(array_agg(m.month), '{}') INTO months FROM omnimsg.missing_months(3, oldest) m WHERE m.parent = prepare_months.parent;
	moved := '{}';
	many := false;
	FOR i IN 1 .. cardinality(months) LOOP
		moved[i] := omnimsg.prepare_month(parent, months[i]);
		-- the dead rows are read once for each month while the default partition is locked: that is enough
		many := moved[i] > 10000;
		IF many THEN
			months := months[1 : i];
			EXIT;
		END IF;
	END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.prepare_months(pg_catalog.text, pg_catalog.date) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.prepare_months(pg_catalog.text, pg_catalog.date) IS 'omnimsg.prepare_month() for all that are missing: which, and how many rows moved for each; it stops after one of which many moved, and says so';

CREATE FUNCTION omnimsg.is_largely_held(part pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	rows int8;
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM (SELECT DISTINCT h.organization_id, h.address FROM omnimsg.legal_holds h WHERE h.released_at IS NULL) AS h '
				   'JOIN omnimsg.%I m ON m.organization_id = h.organization_id AND (h.address IS NULL OR m.peer_address = h.address) LIMIT 10001) AS w', part)
	   INTO rows;
	RETURN rows > 10000;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.is_largely_held(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.is_largely_held(pg_catalog.text) IS 'whether more than 10 000 messages of a month are under a legal hold: to move them, all messages would have to be locked for too long';

CREATE FUNCTION omnimsg.drop_month(part pg_catalog.text) RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	names text;
	held text := format('FROM omnimsg.%I m WHERE EXISTS (SELECT 1 FROM omnimsg.legal_holds h '
						'WHERE h.organization_id = m.organization_id AND h.released_at IS NULL '
						'AND (h.address IS NULL OR h.address = m.peer_address))', part);
	found bool;
	kept int8 := 0;
BEGIN
	LOCK TABLE omnimsg.legal_holds IN SHARE MODE;	-- none may be being placed
	LOCK TABLE ONLY omnimsg.messages IN ACCESS EXCLUSIVE MODE;
	IF to_regclass(format('omnimsg.%I', part)) IS NULL THEN
		RETURN NULL;
	END IF;
	EXECUTE 'SELECT EXISTS (SELECT 1 ' || held || ')' INTO found;
	IF found THEN
		SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO names
		  FROM pg_attribute a
		 WHERE a.attrelid = 'omnimsg.messages'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
		EXECUTE format('ALTER TABLE omnimsg.messages DETACH PARTITION omnimsg.%I', part);
		EXECUTE format('INSERT INTO omnimsg.messages (%s) SELECT %s %s', names, names, held);
		GET DIAGNOSTICS kept = ROW_COUNT;
	END IF;
	EXECUTE format('DROP TABLE omnimsg.%I', part);
	RETURN kept;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.drop_month(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.drop_month(pg_catalog.text) IS 'drop a month of messages; what is under a legal hold goes to the default partition; returns how many rows that are, NULL when the month is gone already';

CREATE FUNCTION omnimsg.purge(relation pg_catalog.text, condition pg_catalog.text, OUT rows pg_catalog.int8, OUT more pg_catalog.bool)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	gone int8;
BEGIN
	rows := 0;
	FOR n IN 1 .. 4 LOOP
		EXECUTE format('WITH old AS (SELECT t.ctid FROM %1$s t WHERE %2$s LIMIT 5000 FOR UPDATE SKIP LOCKED) '
					   'DELETE FROM %1$s t USING old WHERE t.ctid = old.ctid', relation, condition);
		GET DIAGNOSTICS gone = ROW_COUNT;
		rows := rows + gone;
		more := gone = 5000;
		EXIT WHEN NOT more;
	END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.purge(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.purge(pg_catalog.text, pg_catalog.text) IS 'delete rows t of a table that a condition is true of, in four batches of 5000 at most; returns how many, and whether there may be more';

CREATE FUNCTION omnimsg.purge_events(before pg_catalog.timestamptz, OUT rows pg_catalog.int8, OUT more pg_catalog.bool)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	gone int8;
BEGIN
	rows := 0;
	FOR n IN 1 .. 4 LOOP
		-- what is evidence of consent has its bytes kept, and is kept itself
		WITH old AS (
			SELECT e.ctid FROM omnimsg.events e
			 WHERE e.received_at < before AND e.outcome IN ('applied', 'ignored') AND e.raw IS NULL
			   AND (e.organization_id IS NULL OR NOT omnimsg.is_held(e.organization_id, e.message_id))
			 LIMIT 5000 FOR UPDATE SKIP LOCKED),
		deleted AS (
			DELETE FROM omnimsg.events e USING old WHERE e.ctid = old.ctid RETURNING e.provider, e.outcome),
		counted AS (
			SELECT d.provider, count(*) FILTER (WHERE d.outcome = 'applied') AS applied,
				   count(*) FILTER (WHERE d.outcome = 'ignored') AS ignored FROM deleted d GROUP BY d.provider)
		SELECT coalesce(sum(c.applied + c.ignored), 0) INTO gone
		  FROM counted c CROSS JOIN LATERAL omnimsg.count_purged(c.provider, c.applied, c.ignored);
		rows := rows + gone;
		more := gone = 5000;
		EXIT WHEN NOT more;
	END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.purge_events(pg_catalog.timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.purge_events(pg_catalog.timestamptz) IS 'as omnimsg.purge(), of the journal: what has no bytes to keep and is older than a time; counted for omnimsg.conservation';

CREATE FUNCTION omnimsg.purge_expired(OUT action pg_catalog.text, OUT object pg_catalog.text, OUT rows pg_catalog.int8, OUT more pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	retention interval := coalesce(current_setting('omnimsg.retention', true), '90 days')::interval;
	journal_retention interval := coalesce(current_setting('omnimsg.journal_retention', true), '400 days')::interval;
	oldest timestamptz := date_trunc('month', (now() - retention) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
BEGIN
	-- A statement that began before somebody else dropped a month would find what is held neither there nor in the
	-- default partition: no month is dropped from here on.
	LOCK TABLE ONLY omnimsg.messages IN ACCESS SHARE MODE;
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
		format('t.created_at < %L AND NOT omnimsg.is_held(t.organization_id, t.id)', oldest)) p;
	RETURN NEXT;

	object := 'omnimsg.reply_windows';
	SELECT p.rows, p.more INTO rows, more FROM omnimsg.purge(object, format('t.last_at < %L', now() - interval '1 day')) p;
	RETURN NEXT;

	-- of the extension itself: anybody may make a table of that name, with a trigger that would run with our rights
	IF EXISTS (SELECT 1 FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'pg_cron'
				WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass('cron.job_run_details')
				  AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e') THEN
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
REVOKE EXECUTE ON FUNCTION omnimsg.purge_expired() FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.purge_expired() IS 'the part of omnimsg_maintain() that takes no strong locks: what has expired row by row, never consent and never what is under a legal hold; more tells that it stopped before the end';

CREATE FUNCTION omnimsg.lock_soon(statement pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
	patience text;
BEGIN
	FOREACH patience IN ARRAY ARRAY['10ms', '30ms', '100ms'] LOOP
		BEGIN
			PERFORM set_config('lock_timeout', patience, true);
			EXECUTE statement;
			RETURN true;
		EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
			PERFORM pg_sleep(0.05);		-- those who queued behind us go first
		END;
	END LOOP;
	RETURN false;
END
$$;
REVOKE EXECUTE ON FUNCTION omnimsg.lock_soon(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION omnimsg.lock_soon(pg_catalog.text) IS 'run a LOCK TABLE, up to three times, waiting 100 ms at most, and less at first: others queue behind; whether that gave the locks';

CREATE OR REPLACE FUNCTION @extschema@.omnimsg_maintain(OUT action pg_catalog.text, OUT object pg_catalog.text,
		OUT rows pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	SET lock_timeout = '100ms'	-- ingest must not queue behind us: give up soon, the next run tries again
	SET datestyle = 'ISO' SET timezone = 'UTC'	-- times become text in what is executed, and are read again
AS $$
DECLARE
	oldest date := date_trunc('month', (now() - coalesce(current_setting('omnimsg.retention', true), '90 days')::interval) AT TIME ZONE 'UTC');
	parent_locks CONSTANT text := 'LOCK TABLE omnimsg.legal_holds IN SHARE MODE; LOCK TABLE ONLY omnimsg.messages IN ACCESS EXCLUSIVE MODE';
	purged record;
	more bool := false;
	old text[];
	held text[];				-- of these, that stay
	messages record;
	audit record;
	may_drop bool := true;
	made text := 'partition not made: the default partition is in use';
BEGIN
	BEGIN
		FOR purged IN SELECT p.* FROM omnimsg.purge_expired() p LOOP
			more := more OR purged.more;
			CONTINUE WHEN purged.rows = 0;
			action := purged.action;
			object := purged.object;
			rows := purged.rows;
			RETURN NEXT;
		END LOOP;
	EXCEPTION WHEN lock_not_available THEN
		action := 'rows not purged: they are in use';
		object := NULL;
		rows := NULL;
		RETURN NEXT;
	END;

	SELECT coalesce(array_agg(c.relname ORDER BY c.relname), '{}') INTO old
	  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	 WHERE i.inhparent = 'omnimsg.messages'::regclass AND c.relname ~ '^messages_[0-9]{4}_[0-9]{2}$'
	   AND to_date(right(c.relname, 7), 'YYYY_MM') < oldest;

	-- A month of which much is under a legal hold stays, and what is not held goes row by row.
	held := ARRAY(SELECT p FROM unnest(old) AS p WHERE omnimsg.is_largely_held(p));
	old := ARRAY(SELECT p FROM unnest(old) AS p WHERE p <> ALL (held) ORDER BY p);
	FOR object IN SELECT format('omnimsg.%s', p) FROM unnest(held) AS p LOOP
		SELECT p.* INTO purged FROM omnimsg.purge(object,
			'NOT EXISTS (SELECT 1 FROM omnimsg.legal_holds h WHERE h.organization_id = t.organization_id AND h.released_at IS NULL '
			'AND (h.address IS NULL OR h.address = t.peer_address))') p;
		more := more OR purged.more;
		CONTINUE WHEN purged.rows = 0;
		action := 'rows purged';
		rows := purged.rows;
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
			may_drop := old = '{}' OR omnimsg.lock_soon(parent_locks);
			IF NOT omnimsg.lock_soon('LOCK TABLE omnimsg.messages_default IN ACCESS EXCLUSIVE MODE') THEN
				RAISE lock_not_available;
			END IF;
		END IF;
		IF cardinality(audit.months) > 0
			AND NOT omnimsg.lock_soon('LOCK TABLE omnimsg.audit_logs_default IN ACCESS EXCLUSIVE MODE') THEN
			RAISE lock_not_available;
		END IF;
		messages.moved := (SELECT array_agg(before + after) FROM unnest(messages.moved, omnimsg.attach_months('messages', messages.months)) AS w (before, after));
		audit.moved := (SELECT array_agg(before + after) FROM unnest(audit.moved, omnimsg.attach_months('audit_logs', audit.months)) AS w (before, after));
		made := 'partition made';
	EXCEPTION
		WHEN lock_not_available OR deadlock_detected THEN
			may_drop := true;		-- our locks are gone with the block
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
		may_drop := may_drop AND omnimsg.lock_soon(parent_locks);
		IF may_drop THEN
			BEGIN
				rows := omnimsg.drop_month(old[i]);
				CONTINUE WHEN rows IS NULL;		-- somebody else has dropped it
				action := CASE rows WHEN 0 THEN 'partition dropped' ELSE 'partition dropped, rows under a legal hold kept' END;
				rows := nullif(rows, 0);
			EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
				NULL;
			END;
		END IF;
		RETURN NEXT;
	END LOOP;

	IF more THEN
		action := 'more is left';
		object := NULL;
		rows := NULL;
		RETURN NEXT;
	END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.omnimsg_maintain() IS 'make the partitions of this month and the next three, move rows of months that were missed, drop those past omnimsg.retention but what is under a legal hold, purge what has expired; a row for each thing done, and ''more is left'' when it stopped before the end; safe to run at any time, again, and twice at once';



--
-- What people see
--

DROP FUNCTION @extschema@.omnimsg_worker_status();
CREATE FUNCTION @extschema@.omnimsg_worker_status(OUT pid pg_catalog.int4, OUT state pg_catalog.text,
		OUT started_at pg_catalog.timestamptz, OUT last_activity_at pg_catalog.timestamptz,
		OUT in_flight pg_catalog.int4, OUT sent pg_catalog.int8, OUT failed pg_catalog.int8,
		OUT unknown pg_catalog.int8, OUT provider_clock_offset pg_catalog.interval)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE;
REVOKE EXECUTE ON FUNCTION @extschema@.omnimsg_worker_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.omnimsg_worker_status() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.omnimsg_worker_status() IS 'the dispatcher of this server: pid (NULL when it does not run), what it does, what it counted since it started, and how far the provider''s clock is ahead of ours by its latest answers (within a second of the truth)';

CREATE OR REPLACE FUNCTION @extschema@.omnimsg_health(OUT severity pg_catalog.text, OUT finding pg_catalog.text,
		OUT detail pg_catalog.text, OUT hint pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'error', 'the dispatcher does not run', NULL::text,
		   'Add omnimsg to shared_preload_libraries, set omnimsg.database to this database, restart, and look into the log of the server.'
	  FROM @extschema@.omnimsg_worker_status() s
	 WHERE s.pid IS NULL AND NOT pg_is_in_recovery()
	UNION ALL
	SELECT 'warning', 'omnimsg.database is another database', current_setting('omnimsg.database', true),
		   'Nothing is sent from this database.'
	 WHERE current_setting('omnimsg.database', true) <> current_database()
	UNION ALL
	SELECT 'error', 'the database is not armed', w.reason,
		   'Nothing is sent. If no other copy of it sends, run SELECT * FROM omnimsg_arm(); see doc/copies.md.'
	  FROM (SELECT omnimsg.why_not_armed()) AS w (reason)
	 WHERE w.reason IS NOT NULL AND NOT pg_is_in_recovery()
	UNION ALL
	SELECT 'warning', 'omnimsg.dispatch is off', NULL, 'Nothing is sent until it is on.'
	 WHERE current_setting('omnimsg.dispatch', true) = 'off'
	UNION ALL
	SELECT 'error', format('%s is off', s.name), NULL,
		   'A crash of the machine can lose webhooks that were answered 200.'
	  FROM pg_settings s WHERE s.name IN ('fsync', 'full_page_writes') AND s.setting = 'off'
	UNION ALL
	SELECT 'error', 'what was received and what the journal has differ',
		   string_agg(format('%s of provider "%s"', n.difference, n.provider), ', ' ORDER BY n.provider),
		   'Rows of omnimsg.events were removed or added by other means than ours. See omnimsg.conservation.'
	  FROM omnimsg.conservation n
	 WHERE NOT n.is_conserved
	   -- all of the journal is counted for it: a tenth of a second, and in a large one whoever looks at the view
	   AND (SELECT c.reltuples FROM pg_class c WHERE c.oid = 'omnimsg.events'::regclass) < 200000
	HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'dead letters are open', format('%s, the oldest of %s', count(*), min(e.received_at)),
		   'See omnimsg.dead_letters. When the cause is gone, omnimsg_replay_dead_letters() runs them again; with dry_run it tells what would come of it.'
	  FROM omnimsg.events e WHERE e.outcome = 'dead' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'messages wait longer than a minute',
		   format('%s, the oldest due at %s', count(*), min(o.next_attempt_at)),
		   'See last_error in omnimsg.outbox, and omnimsg_worker_status().'
	  FROM omnimsg.outbox o
	 WHERE o.state = 'queued' AND o.next_attempt_at < now() - interval '1 minute' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'the fate of messages is unknown', format('%s in the last day', count(*)),
		   'They are not sent again. Ask the provider what became of them.'
	  FROM omnimsg.outbox o
	 WHERE o.state = 'unknown' AND o.settled_at > now() - interval '1 day' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'the fate of messages cannot be found out',
		   format('%s, the oldest since %s', count(*), min(o.unknown_at)),
		   'The dispatcher asks the provider about them and gets no answer. See last_error in omnimsg.outbox.'
	  FROM omnimsg.outbox o
	 WHERE o.state = 'unknown' AND o.settled_at IS NULL AND o.next_look_at < now() - interval '10 minutes' HAVING count(*) > 0
	UNION ALL
	SELECT 'error', 'messages are stuck while being sent',
		   format('%s, the oldest lease over at %s', count(*), min(o.leased_until)),
		   'A dispatcher that runs gives them up at the end of their lease. See omnimsg_worker_status().'
	  FROM omnimsg.outbox o
	 WHERE o.state = 'sending' AND o.leased_until < now() - interval '120 s' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'omnimsg.webhook_url is not set', NULL,
		   'The provider cannot be asked what became of a message whose outcome is unknown; that can only be looked up by hand.'
	 WHERE coalesce(current_setting('omnimsg.webhook_url', true), '') = ''
	UNION ALL
	SELECT 'error', 'numbers have opt-outs that their organization does not know of',
		   string_agg(w.masked, ', ' ORDER BY w.masked),
		   'People said STOP to them while they were nobody''s. Run omnimsg_assign_number(number, organization, share => true).'
	  FROM (SELECT @extschema@.omnimsg_mask_phone(n.phone_number) AS masked
			  FROM omnimsg.inbound_phone_numbers n
			 WHERE EXISTS (SELECT 1 FROM omnimsg.opt_out_requests q
							WHERE q.organization_id = '00000000-0000-0000-0000-000000000000'
							  AND q.our_address = n.phone_number AND q.request_type = 'opt_out'
							  AND NOT EXISTS (SELECT 1 FROM omnimsg.organizations o	-- the person has taken it back since
												JOIN omnimsg.opt_out_requests i ON i.organization_id = o.id
											   WHERE i.channel = q.channel AND i.address = q.address
												 AND i.our_address = q.our_address AND i.request_type = 'opt_in'
												 AND i.source NOT IN ('import', 'api') AND i.occurred_at > q.occurred_at)
							  AND NOT EXISTS (SELECT 1 FROM omnimsg.opt_out_requests h
											   WHERE h.organization_id IN (SELECT o.organization_id FROM omnimsg.inbound_phone_numbers o
																			WHERE o.phone_number = n.phone_number)
												 AND h.channel = q.channel AND h.address = q.address
												 AND h.our_address = q.our_address AND h.occurred_at = q.occurred_at))
			 LIMIT 10) AS w HAVING count(*) > 0
	UNION ALL
	SELECT 'error', 'reviews are past their deadline', format('%s, the oldest due at %s', count(*), min(v.due_at)),
		   'They count as opt-outs. The dispatcher records them when it runs.'
	  FROM omnimsg.reviews v
	 WHERE v.decision IS NULL AND v.due_at < now() - interval '10 minutes' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'reviews are due within three days',
		   format('%s, the first at %s', count(*), min(v.due_at)),
		   'Decide them with omnimsg_review(); without a decision they become opt-outs.'
	  FROM omnimsg.reviews v
	 WHERE v.decision IS NULL AND v.due_at BETWEEN now() AND now() + interval '3 days' HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'organizations have an unknown time zone', string_agg(w.timezone, ', ' ORDER BY w.timezone),
		   'Set omnimsg.organizations.timezone to a name of pg_timezone_names; until then it is passed over.'
	  FROM (SELECT DISTINCT o.timezone FROM omnimsg.organizations o
			 WHERE NOT omnimsg.is_timezone(o.timezone) LIMIT 10) AS w HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'an opt-out list could not be pulled',
		   format('provider account "%s", %s: %s', a.name,
				  coalesce('last pulled completely at ' || p.completed_at::text, 'never pulled completely'),
				  coalesce(p.last_error, 'no error')),
		   'Opt-outs whose webhooks were lost are not known here. See omnimsg.optout_pulls.'
	  FROM omnimsg.provider_accounts a
	  LEFT JOIN omnimsg.optout_pulls p ON p.provider_account_id = a.id
	 CROSS JOIN (SELECT coalesce(current_setting('omnimsg.optout_pull_interval', true), '1h')::interval) AS s (every)
	 WHERE a.secret_name IS NOT NULL AND s.every > '0'
	   AND coalesce(p.completed_at + s.every + interval '1 day', a.created_at + s.every) < now()
	UNION ALL
	SELECT 'warning', 'the clocks of the provider and of this server differ',
		   format('the provider''s is %s s %s', round(abs(extract(epoch FROM s.provider_clock_offset))),
				  CASE WHEN s.provider_clock_offset > '0' THEN 'ahead' ELSE 'behind' END),
		   'Synchronize the clock of this server, and that of the relay, by NTP: 300 s off, webhooks are refused and STOP is not confirmed.'
	  FROM @extschema@.omnimsg_worker_status() s
	 WHERE abs(extract(epoch FROM s.provider_clock_offset)) > 30
	UNION ALL
	SELECT 'warning', 'a backfill does not come to an end', format('provider account "%s", since %s: %s', a.name, b.since, b.last_error),
		   'Webhooks that were lost are not known here. See omnimsg.backfills.'
	  FROM omnimsg.backfills b JOIN omnimsg.provider_accounts a ON a.id = b.provider_account_id
	 WHERE b.finished_at IS NULL AND b.last_error IS NOT NULL
	UNION ALL
	SELECT 'warning', 'a backfill has left out what was too long', format('provider account "%s": %s since %s', a.name, b.skipped, b.since),
		   'See omnimsg.backfills and the log of the server, and ask the provider for these webhooks.'
	  FROM omnimsg.backfills b JOIN omnimsg.provider_accounts a ON a.id = b.provider_account_id
	 WHERE b.skipped > 0
	UNION ALL
	SELECT 'warning', 'numbers have no provider account', string_agg(w.masked, ', ' ORDER BY w.masked),
		   'Set provider_account_id in omnimsg.inbound_phone_numbers; nothing can be sent from them.'
	  FROM (SELECT @extschema@.omnimsg_mask_phone(n.phone_number) AS masked
			  FROM omnimsg.inbound_phone_numbers n
			 WHERE n.provider_account_id IS NULL AND n.reply_mode = 'auto'
			 ORDER BY n.phone_number LIMIT 10) AS w HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', 'a number has several primary organizations',
		   @extschema@.omnimsg_mask_phone(n.phone_number),
		   'Leave is_primary to one of them in omnimsg.inbound_phone_numbers.'
	  FROM omnimsg.inbound_phone_numbers n WHERE n.is_primary
	 GROUP BY n.phone_number HAVING count(*) > 1
	UNION ALL
	SELECT 'warning', format('omnimsg.%s_default has rows', w.parent), NULL,
		   'Run omnimsg_maintain(); schedule it with omnimsg_schedule_jobs().'
	  FROM (SELECT 'messages' WHERE EXISTS (		-- what is under a legal hold stays there
				SELECT 1 FROM omnimsg.messages_default m
				 WHERE NOT EXISTS (SELECT 1 FROM omnimsg.legal_holds h
									WHERE h.organization_id = m.organization_id AND h.released_at IS NULL
									  AND (h.address IS NULL OR h.address = m.peer_address)))
			UNION ALL
			SELECT 'audit_logs' WHERE EXISTS (SELECT 1 FROM omnimsg.audit_logs_default)) AS w (parent)
	UNION ALL
	SELECT 'warning', 'months of messages are past omnimsg.retention', string_agg(w.name, ', ' ORDER BY w.name),
		   'Something keeps omnimsg_maintain() from dropping them, an open transaction perhaps: see what it returns.'
	  FROM (SELECT format('omnimsg.%s', c.relname) AS name
			  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			 WHERE i.inhparent = 'omnimsg.messages'::regclass AND c.relname ~ '^messages_[0-9]{4}_[0-9]{2}$'
			   AND to_date(right(c.relname, 7), 'YYYY_MM') < date_trunc('month', (now() - interval '1 day'
					- coalesce(current_setting('omnimsg.retention', true), '90 days')::interval) AT TIME ZONE 'UTC')
			   AND NOT omnimsg.is_largely_held(c.relname)) AS w
	HAVING count(*) > 0
	UNION ALL
	SELECT 'warning', format('next month has no partition of omnimsg.%s', w.parent), NULL,
		   'Run omnimsg_maintain(); schedule it with omnimsg_schedule_jobs().'
	  FROM (VALUES ('messages'), ('audit_logs')) AS w (parent)
	 WHERE to_regclass(format('omnimsg.%s_%s', w.parent,
							  to_char((now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM'))) IS NULL
$$;
