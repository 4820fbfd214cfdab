-- Least privilege: the relay's role can ingest and read nothing; everybody else cannot even that.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

CREATE ROLE regress_omnimsg_relay;
CREATE ROLE regress_omnimsg_monitor IN ROLE pg_monitor;
CREATE ROLE regress_omnimsg_nobody;
GRANT EXECUTE ON FUNCTION omnimsg_ingest(text, bytea, text, text, text, text),
	omnimsg_ingest_batch(text[], bytea[], text[], text[], text[], text[]),
	omnimsg_keep_dead(text[], bytea[], text[], text[], text[], text[]) TO regress_omnimsg_relay;
SELECT pg_temp.received('1', 'STOP') AS body \gset

SET ROLE regress_omnimsg_relay;
SELECT (omnimsg_ingest('telnyx', :'body')).outcome;
SELECT outcome, reply FROM omnimsg_ingest_batch(ARRAY['telnyx'], ARRAY[:'body']::bytea[]);
SELECT outcome FROM omnimsg_keep_dead(ARRAY['telnyx'], ARRAY['{}']::bytea[], NULL, NULL, NULL, ARRAY['crashed']);
SELECT outcome FROM omnimsg_replay_dead_letters();
SELECT outcome FROM omnimsg_replay_dead_letter('telnyx', 'crashed:');
SELECT omnimsg.count_purged('telnyx', 1, 0);
SELECT omnimsg.fold_event_counts();
SELECT * FROM omnimsg.conservation;
SELECT count(*) FROM omnimsg.messages;
SELECT count(*) FROM omnimsg.events;
INSERT INTO omnimsg.organizations (name) VALUES ('mine');
SELECT omnimsg_record_consent('11111111-1111-7111-8111-111111111111', 'sms', '+15555550123', 'opt_in', 'web');
SELECT * FROM omnimsg_maintain();
SELECT omnimsg.make_month('messages', '2030-01-01');
-- its objects and its search_path do not come between
CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'led astray by %', current_user; END $$;
CREATE TEMPORARY TABLE events (provider text);
SET search_path = pg_temp, pg_catalog, public;
SELECT outcome FROM omnimsg_ingest('telnyx', :'body');
RESET search_path;
RESET ROLE;
SELECT o.state, c.state AS consent FROM omnimsg.outbox o, omnimsg.consents c WHERE c.channel = 'sms';

SET ROLE regress_omnimsg_monitor;
SELECT name, numerator, denominator FROM omnimsg_stats() ORDER BY name;
SELECT count(*) >= 0 AS told FROM omnimsg_health();
SELECT count(*) AS workers FROM omnimsg_worker_status();
SELECT count(*) FROM omnimsg.messages;
SELECT (omnimsg_ingest('telnyx', '{}')).outcome;
RESET ROLE;

SET ROLE regress_omnimsg_nobody;
SELECT (omnimsg_ingest('telnyx', '{}')).outcome;
SELECT omnimsg_ingest_batch(ARRAY['telnyx'], ARRAY['{}']::bytea[]);
SELECT omnimsg_record_consent('11111111-1111-7111-8111-111111111111', 'sms', '+15555550123', 'opt_in', 'web');
SELECT * FROM omnimsg_stats();
SELECT * FROM omnimsg_health();
SELECT * FROM omnimsg_worker_status();
SELECT * FROM omnimsg_schedule_jobs();
SELECT * FROM omnimsg.dead_letters;
SELECT omnimsg_normalize_phone('5551234567'), omnimsg_mask_phone('+15551234567');
RESET ROLE;

DROP OWNED BY regress_omnimsg_relay, regress_omnimsg_monitor, regress_omnimsg_nobody;
DROP ROLE regress_omnimsg_relay, regress_omnimsg_monitor, regress_omnimsg_nobody;
