-- Asking for what the provider could not deliver: what is refused, and who may.  What the worker fetches is in
-- test/t/066_backfill.pl.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all
SET timezone = 'UTC';

INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name) VALUES
	('22222222-2222-7222-8222-222222222224', 'telnyx', 'with a secret', 'no-such-secret');

-- nobody is asked while the transaction is open, so the worker does not come between
BEGIN;
SELECT omnimsg_backfill('2026-03-01 10:00');
SELECT a.name, b.since, b.asked_since, b.until > now() - interval '1 minute' AS until_now, b.next_page, b.seen, b.finished_at, b.due_at
  FROM omnimsg.backfills b JOIN omnimsg.provider_accounts a ON a.id = b.provider_account_id;
-- again, for more and for less: what is asked for is the earliest
SELECT omnimsg_backfill('2026-02-01 10:00'), omnimsg_backfill();
SELECT b.since, b.asked_since FROM omnimsg.backfills b;
-- all there is, as far back as the journal would know that it had come before
SELECT omnimsg_backfill('-infinity');
SELECT b.since, now() - b.asked_since BETWEEN interval '399 days 23:59' AND interval '400 days 00:01' AS asked_since FROM omnimsg.backfills b;
ROLLBACK;

-- what was delivered is asked for when anybody asks for it
BEGIN;
SELECT omnimsg_backfill(delivered => true);
SELECT b.delivered, b.asked_delivered FROM omnimsg.backfills b;
SELECT omnimsg_backfill(delivered => true), omnimsg_backfill();
SELECT b.delivered, b.asked_delivered FROM omnimsg.backfills b;
ROLLBACK;

-- the last three days, without a word
BEGIN;
SELECT omnimsg_backfill();
SELECT b.since = now() - interval '3 days' AS since FROM omnimsg.backfills b;
ROLLBACK;

SELECT omnimsg_backfill(NULL);
SELECT omnimsg_backfill(now() + interval '1 minute');
SELECT omnimsg_backfill('infinity');
SELECT omnimsg_backfill(delivered => NULL);
SELECT count(*) FROM omnimsg.backfills;

-- an account that goes takes its backfill with it
BEGIN;
SELECT omnimsg_backfill();
DELETE FROM omnimsg.provider_accounts WHERE name = 'with a secret';
SELECT count(*) FROM omnimsg.backfills;
UPDATE omnimsg.provider_accounts SET secret_name = NULL;
-- and without one there is nobody to ask
SELECT omnimsg_backfill();
ROLLBACK;

-- what does not come to an end is told, and what was left out
BEGIN;
SELECT omnimsg_backfill('2026-03-01 10:00');
UPDATE omnimsg.backfills SET last_error = 'HTTP status 500', skipped = 2;
SELECT severity, finding, detail FROM omnimsg_health() WHERE finding LIKE 'a backfill%' ORDER BY 2;
UPDATE omnimsg.backfills SET last_error = NULL, skipped = 0, finished_at = now();
SELECT severity, finding, detail FROM omnimsg_health() WHERE finding LIKE 'a backfill%';
ROLLBACK;

CREATE ROLE regress_omnimsg_nobody;
SET ROLE regress_omnimsg_nobody;
SELECT omnimsg_backfill();
SELECT * FROM omnimsg.backfills;
RESET ROLE;
GRANT EXECUTE ON FUNCTION omnimsg_backfill(timestamptz, boolean) TO regress_omnimsg_nobody;
BEGIN;
SET ROLE regress_omnimsg_nobody;
SELECT omnimsg_backfill();
ROLLBACK;
DROP OWNED BY regress_omnimsg_nobody;
DROP ROLE regress_omnimsg_nobody;
