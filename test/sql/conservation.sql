-- received = applied + ignored + dead + pending, and received is counted apart from the journal, so that a row
-- which vanishes shows.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

SELECT * FROM omnimsg.conservation;
SELECT ordinal, outcome FROM omnimsg_ingest_batch(array_fill('telnyx'::text, ARRAY[6]) || ARRAY['nobody'], ARRAY[
	pg_temp.received('1', 'STOP'), pg_temp.received('2', 'hello'), pg_temp.received('1', 'STOP'), '{"data":',
	pg_temp.status('3', 'message.sent', 'unheard-of', 'sent'), pg_temp.status('4', 'message.of.another.kind', 'x', 'sent'), pg_temp.received('5', 'hello')]);
SELECT * FROM omnimsg.conservation ORDER BY provider;
-- one row per provider and transaction; a batch of duplicates is one, too
SELECT provider, received, duplicates FROM omnimsg.event_counts ORDER BY provider;
SELECT ordinal, outcome FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx'], ARRAY[pg_temp.received('1', 'STOP'), pg_temp.received('2', 'hello')]);
SELECT received, applied, duplicates, is_conserved FROM omnimsg.conservation WHERE provider = 'telnyx';
-- what was rolled back has not been received
BEGIN;
SELECT outcome FROM pg_temp.ingest(pg_temp.received('6', 'hello'));
ROLLBACK;
SELECT received, applied, is_conserved FROM omnimsg.conservation WHERE provider = 'telnyx';
-- nor has what was rolled back within, for one poison event in the batch
ALTER TABLE omnimsg.messages ADD CONSTRAINT poison CHECK (message_body <> 'poison') NOT VALID;
\set VERBOSITY terse
SELECT ordinal, outcome FROM omnimsg_ingest_batch(ARRAY['telnyx', 'telnyx'], ARRAY[pg_temp.received('7', 'poison'), pg_temp.received('8', 'hello')]);
\set VERBOSITY default
ALTER TABLE omnimsg.messages DROP CONSTRAINT poison;
SELECT received, applied, dead, duplicates, is_conserved FROM omnimsg.conservation WHERE provider = 'telnyx';
-- a replay moves from dead to applied, and receives nothing
SELECT outcome FROM omnimsg_replay_dead_letter('telnyx', 'received:message-7');
SELECT received, applied, dead, is_conserved FROM omnimsg.conservation WHERE provider = 'telnyx';
-- one that was kept is received under its own key, and once more as the event that it is
SELECT outcome FROM omnimsg_keep_dead(ARRAY['telnyx'], ARRAY[pg_temp.received('9', 'hello')], NULL, NULL, NULL, ARRAY['stale']);
SELECT outcome FROM omnimsg_replay_dead_letters('stale');
SELECT received, applied, ignored, dead, is_conserved FROM omnimsg.conservation WHERE provider = 'telnyx';

-- folded, it says the same with a row per provider
SELECT omnimsg.fold_event_counts() > 5 AS folded;
SELECT count(*) AS rows FROM omnimsg.event_counts;
SELECT * FROM omnimsg.conservation ORDER BY provider;

-- what retention purges is counted as what it was
WITH purged AS (DELETE FROM omnimsg.events e WHERE e.outcome IN ('applied', 'ignored') AND e.raw IS NULL RETURNING e.provider, e.outcome)
SELECT omnimsg.count_purged(p.provider, count(*) FILTER (WHERE p.outcome = 'applied'), count(*) FILTER (WHERE p.outcome = 'ignored'))
  FROM purged p GROUP BY p.provider;
SELECT * FROM omnimsg.conservation ORDER BY provider;

-- A row that is removed behind its back is seen, and one that is added; and so is a provider that is gone altogether
SELECT count(*) FROM omnimsg_health() h WHERE h.finding ~ 'received';
BEGIN;
DELETE FROM omnimsg.events WHERE outcome = 'pending';
SELECT provider, received, pending, difference, is_conserved FROM omnimsg.conservation WHERE NOT is_conserved;
SELECT severity, finding, detail FROM omnimsg_health() h WHERE h.finding ~ 'received';
ROLLBACK;
BEGIN;
INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome) VALUES ('telnyx', 'forged', now(), 'applied'), ('another', 'forged', now(), 'applied');
SELECT provider, received, applied, difference, is_conserved FROM omnimsg.conservation WHERE NOT is_conserved ORDER BY provider;
ROLLBACK;
BEGIN;
DELETE FROM omnimsg.events WHERE provider = 'nobody';
SELECT provider, received, applied, dead, difference FROM omnimsg.conservation WHERE NOT is_conserved;
ROLLBACK;
SELECT count(*) AS not_conserved FROM omnimsg.conservation WHERE NOT is_conserved;
