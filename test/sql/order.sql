-- Order does not matter.  All sequences of one to four STOPs and STARTs at three different times,
-- which is every permutation and repetition of every set of them, are ingested one after the
-- other and all at once, and compared with what their times say: the latest wins, a tie is STOP.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\i :abs_srcdir/sql/telnyx.inc
\set ECHO all

CREATE TEMPORARY TABLE sequences AS
	WITH RECURSIVE kinds (kind, at) AS (
		SELECT kind, at FROM unnest(ARRAY['STOP', 'START']) AS kind, generate_series(1, 3) AS at),
	grown (kinds, times) AS (
		SELECT ARRAY[kind], ARRAY[at] FROM kinds
		UNION ALL
		SELECT g.kinds || k.kind, g.times || k.at FROM grown g, kinds k WHERE cardinality(g.kinds) < 4)
	SELECT row_number() OVER (ORDER BY kinds, times) AS n, kinds, times FROM grown;
SELECT count(*) AS sequences FROM sequences;

-- every sequence is one person; events of one batch at a time, 100 at once
CREATE TEMPORARY TABLE steps AS
	SELECT round, s.n, step, s.kinds[step] AS kind,
		   '+1555' || lpad((round * 10000 + s.n)::text, 7, '0') AS sender,
		   format('%s-%s-%s', round, s.n, step) AS id,
		   now() - interval '1 hour' + s.times[step] * interval '1 minute' AS at
	  FROM sequences s, generate_subscripts(s.kinds, 1) AS step, unnest(ARRAY[1, 2]) AS round;
INSERT INTO omnimsg.collection_accounts (organization_id, primary_phone)
	SELECT DISTINCT :acme::uuid, sender FROM steps;

-- round 1: the first step of everybody, then the second, and so on; the planner must not take
-- the tables for empty meanwhile
SELECT r.outcome, count(*)
  FROM (SELECT step, n / 100 AS part, array_agg('telnyx'::text) AS providers,
			   array_agg(pg_temp.received(id, kind, at, sender) ORDER BY n) AS bodies
		  FROM steps WHERE round = 1 AND step = 1 GROUP BY 1, 2 ORDER BY 1, 2) b,
	   omnimsg_ingest_batch(providers, bodies) r
 GROUP BY 1 ORDER BY 1;
ANALYZE omnimsg.consents, omnimsg.opt_out_requests, omnimsg.collection_accounts;
SELECT r.outcome, count(*)
  FROM (SELECT step, n / 100 AS part, array_agg('telnyx'::text) AS providers,
			   array_agg(pg_temp.received(id, kind, at, sender) ORDER BY n) AS bodies
		  FROM steps WHERE round = 1 AND step > 1 GROUP BY 1, 2 ORDER BY 1, 2) b,
	   omnimsg_ingest_batch(providers, bodies) r
 GROUP BY 1 ORDER BY 1;
-- and all of it again
SELECT r.outcome, count(*)
  FROM (SELECT step, n / 100 AS part, array_agg('telnyx'::text) AS providers,
			   array_agg(pg_temp.received(id, kind, at, sender) ORDER BY n) AS bodies
		  FROM steps WHERE round = 1 GROUP BY 1, 2 ORDER BY 1, 2) b,
	   omnimsg_ingest_batch(providers, bodies) r
 GROUP BY 1 ORDER BY 1;
-- round 2: all steps of a person in one batch, in the order of the sequence
SELECT r.outcome, count(*)
  FROM (SELECT n / 25 AS part, array_agg('telnyx'::text) AS providers,
			   array_agg(pg_temp.received(id, kind, at, sender) ORDER BY n, step) AS bodies
		  FROM steps WHERE round = 2 GROUP BY 1 ORDER BY 1) b,
	   omnimsg_ingest_batch(providers, bodies) r
 GROUP BY 1 ORDER BY 1;

-- The model.  For calls a START by text lifts a STOP by text and opts in to nothing.
CREATE TEMPORARY VIEW model AS
	SELECT round, sender, max(at) FILTER (WHERE kind = 'STOP') AS stopped,
		   max(at) FILTER (WHERE kind = 'START') AS started,
		   min(at) FILTER (WHERE kind = 'STOP') AS first_stopped
	  FROM steps GROUP BY 1, 2;
CREATE TEMPORARY VIEW expected AS
	SELECT round, sender, 'sms' AS channel, greatest(stopped, started) AS decided_at,
		   CASE WHEN stopped >= started OR started IS NULL THEN 'opted_out' ELSE 'opted_in' END AS state
	  FROM model
	UNION ALL
	SELECT round, sender, 'voice',
		   CASE WHEN stopped >= started OR started IS NULL THEN stopped WHEN first_stopped < started THEN started END,
		   CASE WHEN stopped >= started OR started IS NULL THEN 'opted_out' WHEN first_stopped < started THEN 'opted_in' END
	  FROM model;
SELECT e.round, e.channel, count(*) AS compared,
	   count(*) FILTER (WHERE c.state IS DISTINCT FROM e.state OR c.decided_at IS DISTINCT FROM e.decided_at) AS differences
  FROM expected e
  LEFT JOIN omnimsg.consents c ON c.organization_id = :acme AND c.channel = e.channel AND c.address = e.sender
		AND c.scope = 'all'
 GROUP BY 1, 2 ORDER BY 1, 2;
-- the accounts say the same
SELECT count(*) AS compared, count(*) FILTER (WHERE a.sms_consent IS DISTINCT FROM (e.state = 'opted_in')) AS differences
  FROM expected e JOIN omnimsg.collection_accounts a ON a.organization_id = :acme AND a.primary_phone = e.sender
 WHERE e.channel = 'sms';
-- and the request that decides is one that asks for that state
SELECT count(*) AS wrong_deciders
  FROM omnimsg.consents c
  JOIN omnimsg.opt_out_requests q ON q.organization_id = c.organization_id AND q.id = c.request_id
 WHERE q.occurred_at <> c.decided_at OR (q.request_type = 'opt_in') <> (c.state = 'opted_in');
