-- The four ratios, the findings, and the jobs.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

SELECT * FROM omnimsg_stats();
-- two dead of eight; six inbound, of which four are linked and two ask to stop
SELECT r.outcome, count(*) FROM omnimsg_ingest_batch(array_fill('telnyx'::text, ARRAY[8]), ARRAY['{', '[',
	pg_temp.received('1', 'hello'), pg_temp.received('2', 'hello'), pg_temp.received('3', 'HELP'), pg_temp.received('4', 'STOP'),
	pg_temp.received('5', 'STOP', sender => '+15555550140'), pg_temp.received('6', 'hello', sender => '+15555550140')]) r
 GROUP BY 1 ORDER BY 1;
-- three replies: one sent, one failed, one not settled
UPDATE omnimsg.outbox o SET state = s.state, settled_at = now()
  FROM (SELECT id, (ARRAY['sent', 'failed', NULL])[row_number() OVER (ORDER BY kind, id)] AS state FROM omnimsg.outbox) s
 WHERE s.id = o.id AND s.state IS NOT NULL;
SELECT * FROM omnimsg_stats();
SELECT * FROM omnimsg_stats('0 s');
-- a duplicate is no webhook that failed
SELECT outcome FROM omnimsg_ingest('telnyx', pg_temp.received('1', 'hello'));
SELECT numerator, denominator FROM omnimsg_stats() WHERE name = 'webhook_success';

-- findings; the server's own settings are not the matter of this test
CREATE VIEW pg_temp.health AS
	SELECT severity, finding, detail, hint IS NOT NULL AS has_hint FROM omnimsg_health()
	 WHERE finding !~ 'dispatcher|omnimsg.dispatch|omnimsg.database|omnimsg.webhook_url|this machine|(fsync|full_page_writes) is off';
SELECT count(*) >= 0 AS done FROM omnimsg_maintain();
SELECT severity, finding, detail ~ '^2, the oldest of ' AS detail FROM pg_temp.health;
UPDATE omnimsg.events SET outcome = 'ignored' WHERE outcome = 'dead';
SELECT * FROM pg_temp.health;
-- waiting, unknown, a number that nothing can be sent from, one with two primary organizations
UPDATE omnimsg.outbox SET next_attempt_at = now() - interval '2 minutes' WHERE state = 'queued';
UPDATE omnimsg.outbox SET state = 'unknown' WHERE state = 'failed';
INSERT INTO omnimsg.organizations (id, name) VALUES ('44444444-4444-7444-8444-444444444444', 'Beta');
INSERT INTO omnimsg.inbound_phone_numbers (organization_id, phone_number) VALUES ('44444444-4444-7444-8444-444444444444', '+15555550199');
SELECT severity, finding, regexp_replace(detail, 'due at .*', 'due at TIME') AS detail, has_hint FROM pg_temp.health ORDER BY finding;
-- and what omnimsg_maintain would have made
SELECT 'omnimsg.messages_' || to_char((now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM') AS next_month \gset
BEGIN;
DROP TABLE :next_month;
SELECT finding FROM pg_temp.health WHERE finding ~ 'partition';
ROLLBACK;

-- in another database than pg_cron's the statement to run there is told
SELECT job, schedule, command, regexp_replace(replace(result, current_database(), 'THIS DATABASE'), 'in database \S+:', 'in database OF PG_CRON:') AS result FROM omnimsg_schedule_jobs();
