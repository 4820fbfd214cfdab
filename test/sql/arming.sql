-- Arming: what a database that is not armed says and does, what is compared, and who may arm it.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

CREATE FUNCTION pg_temp.plain(said text) RETURNS text LANGUAGE sql AS
	$$ SELECT regexp_replace(regexp_replace(said, '"[^"]*" \(oid [0-9]+\)', '"NAME" (oid N)'), '(cluster|inode|born|timeline) -?[0-9.]+', '\1 N', 'g') $$;
CREATE VIEW pg_temp.gate AS
	SELECT verdict, reason, not_before FROM omnimsg_explain_send('11111111-1111-7111-8111-111111111111', 'sms', '+15555550123', kind => 'opt_out_confirmation') WHERE gate = 'armed';
CREATE VIEW pg_temp.health AS
	SELECT severity, detail, hint FROM omnimsg_health() WHERE finding = 'the database is not armed';

-- as CREATE EXTENSION leaves it; the gate is the last one, and holds every kind
DELETE FROM omnimsg.arming;
SELECT array_agg(gate) FROM omnimsg_explain_send(:acme, 'sms', '+15555550123');
SELECT * FROM pg_temp.gate;
SELECT * FROM pg_temp.health;
-- what is queued meanwhile is due at once when it is armed
SELECT omnimsg_record_consent(:acme, 'sms', '+15555550123', 'opt_in', 'web') IS NOT NULL AS recorded;
SELECT omnimsg_send(:acme, '+15555550123', 'Hi') IS NOT NULL AS sent;
SELECT state, next_attempt_at <= now() AS due, expires_at - created_at AS life FROM omnimsg.outbox;

TRUNCATE omnimsg.audit_logs;
SELECT pg_temp.plain(armed) AS armed, replaced, reason FROM omnimsg_arm('the first one, 2026-11-28');
SELECT * FROM pg_temp.gate;
SELECT * FROM pg_temp.health;
SELECT system_identifier = (SELECT c.system_identifier FROM pg_control_system() c) AS cluster, database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) AS database,
	   database_name = current_database() AS name, timeline, armed_by ~ '^role:' AS by_role, note, disarmed_at FROM omnimsg.arming;
-- the note goes to the audit trail
SELECT omnimsg_arm('ask ann@example.com');
SELECT omnimsg_arm('call +1 555 555 0123');
SELECT omnimsg_arm('2026-11-28 or 555-2026-11-28');
-- again: the same
SELECT pg_temp.plain(armed) AS armed, armed = replaced AS same, reason FROM omnimsg_arm();
SELECT note FROM omnimsg.arming;

-- each part of what is compared
CREATE FUNCTION pg_temp.changed(change text) RETURNS TABLE (gate text, reason text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'UPDATE omnimsg.arming SET ' || change;
	gate := (SELECT g.verdict FROM pg_temp.gate g);
	RETURN QUERY SELECT gate, w.reason FROM omnimsg_arm() w;
END
$$;
SELECT * FROM pg_temp.changed('system_identifier = system_identifier + 1');
SELECT * FROM pg_temp.changed('database_oid = 1, database_name = ''sales''');
SELECT * FROM pg_temp.changed('timeline = 7');
SELECT * FROM pg_temp.changed('data_directory = ''inode 1''');
SELECT * FROM pg_temp.changed('note = ''no matter''');

-- and back
SELECT omnimsg_disarm(), omnimsg_disarm();
SELECT * FROM pg_temp.gate;
SELECT reason FROM omnimsg_arm();
SELECT disarmed_at FROM omnimsg.arming;

-- all of it is on record, of nobody's organization
SELECT organization_id = :unassigned AS unassigned, action, resource_type, actor ~ '^role:' AS by_role,
	   pg_temp.plain(old_value::text) AS before, pg_temp.plain(new_value::text) AS now
  FROM omnimsg.audit_logs ORDER BY id LIMIT 2;
SELECT action, count(*) FROM omnimsg.audit_logs GROUP BY 1 ORDER BY 1;
-- nothing of a transaction that does not commit
BEGIN;
SELECT omnimsg_disarm();
ROLLBACK;
SELECT * FROM pg_temp.gate;

CREATE ROLE regress_omnimsg_nobody;
SET ROLE regress_omnimsg_nobody;
SELECT omnimsg_arm();
SELECT omnimsg_disarm();
SELECT omnimsg.why_not_armed();
RESET ROLE;
DROP ROLE regress_omnimsg_nobody;
