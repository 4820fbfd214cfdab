-- What keeps it possible to distribute tables by tenant (doc/scaling.md): keys and references that hold the organization,
-- and statements that find, lock and claim rows of one organization each, with nothing volatile where rows change.
SET search_path = pg_catalog, pg_temp;
SET client_min_messages = warning;
SET jit = off;
CREATE SCHEMA growth;

-- ---- keys ----

-- A key or a reference without the organization.  Deliberate: the organizations themselves; the accounts at providers, which
-- serve several of them, and what is kept of those (keys, lists that are read); the journal and its counts, which are
-- claimed before the tenant is known; tokens and roles, which say which tenant it is; the keys that seals are signed with; and
-- what arms the database, which is one row.
CREATE FUNCTION growth.keys(schema regnamespace) RETURNS TABLE (relation name, constraint_name name, definition text)
LANGUAGE sql AS $$
	SELECT r.relname, c.conname, pg_get_constraintdef(c.oid)
	  FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid AND r.relnamespace = schema
	 WHERE c.contype IN ('p', 'u', 'f', 'x')
	   AND NOT EXISTS (
		SELECT FROM unnest(c.conkey, coalesce(c.confkey, c.conkey)) AS k (ours, theirs)
		  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.ours AND a.attname = 'organization_id'
		  JOIN pg_attribute b ON b.attrelid = CASE c.contype WHEN 'f' THEN c.confrelid ELSE c.conrelid END AND b.attnum = k.theirs
			   AND (b.attname = 'organization_id' OR c.confrelid = to_regclass('omnimsg.organizations') AND b.attname = 'id'))
	UNION ALL
	SELECT r.relname, x.relname, pg_get_indexdef(x.oid)
	  FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid AND r.relnamespace = schema JOIN pg_class x ON x.oid = i.indexrelid
	 WHERE i.indisunique AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
	   AND NOT EXISTS (SELECT FROM pg_attribute a
						WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) AND a.attname = 'organization_id')
	 ORDER BY 1, 2 $$;

SELECT * FROM growth.keys('omnimsg');
SELECT c.relname AS table_without_tenant
  FROM pg_class c
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id')
 ORDER BY 1;

-- it finds what is planted: a key, a reference and a unique index, and not the ones that are as they should be
CREATE SCHEMA growth_planted;
CREATE TABLE growth_planted.parents (organization_id uuid, id uuid UNIQUE, PRIMARY KEY (organization_id, id));
CREATE TABLE growth_planted.children (organization_id uuid, id uuid, parent_id uuid REFERENCES growth_planted.parents (id),
	PRIMARY KEY (organization_id, id), FOREIGN KEY (organization_id, parent_id) REFERENCES growth_planted.parents);
CREATE UNIQUE INDEX children_parent ON growth_planted.children (parent_id);
SELECT * FROM growth.keys('growth_planted');

-- ---- statements ----

-- The statements of the library, as the compiler put them into it; those of SQL and PL/pgSQL, a statement each, and
-- apart from them the ones that are in their strings, with placeholders where a name is put in.  What a parameter of a
-- function names is $1, as in C.
CREATE VIEW growth.statements AS
	SELECT DISTINCT 'C' AS language, regexp_replace(regexp_replace(t.text, '\\0(11|12)', ' ', 'g'), '\s+', ' ', 'g') AS text
	  FROM string_to_table(encode(pg_read_binary_file(
			(SELECT c.setting FROM pg_config() AS c WHERE c.name = 'PKGLIBDIR') || '/omnimsg.so'), 'escape'), '\000') AS t (text)
	 WHERE t.text ~ '\m(WITH|SELECT|INSERT|UPDATE|DELETE|LOCK|MERGE|TRUNCATE)\M' AND t.text ~ '\momnimsg\.'
	UNION ALL
	SELECT l.lanname, btrim(regexp_replace(s.text, '\s+', ' ', 'g'))
	  FROM pg_proc p
	  JOIN pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
	  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	  JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'omnimsg'
	 CROSS JOIN regexp_replace(regexp_replace(CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE pg_get_functiondef(p.oid) END,
			'--[^\n]*', '', 'g'), '''\s*\n\s*''', '', 'g') AS f (source)
	 CROSS JOIN LATERAL (
		SELECT CASE WHEN p.prosrc ~ '#variable_conflict use_variable' AND 'organization_id' = ANY (p.proargnames)
					THEN regexp_replace(o.text, '= organization_id\M', '= $1', 'g') ELSE o.text END
		  FROM regexp_split_to_table(regexp_replace(f.source, '''[^'']*''', '''''', 'g'), ';') AS o (text)
		UNION ALL
		SELECT i.text
		  FROM regexp_matches(f.source, '''((?:''''|[^''])*)''', 'g') AS c (string)
		 CROSS JOIN regexp_split_to_table(replace(c.string[1], '''''', ''''), ';\s*') AS i (text)
		 WHERE i.text ~ '^(WITH|SELECT|INSERT|UPDATE|DELETE|LOCK|MERGE|TRUNCATE|ALTER|DROP)\M') AS s (text);

-- it reads them: some that are known to be there, whole
SELECT s.language, count(*) > 100 AS over_a_hundred, count(*) FILTER (WHERE s.text ~ '\mUPDATE omnimsg\.') > 10 AS updates_over_ten
  FROM growth.statements s WHERE s.language = 'C' GROUP BY 1;
SELECT count(*) AS claims_of_the_outbox FROM growth.statements s
 WHERE s.text ~ '^UPDATE omnimsg\.outbox .* LIMIT w\.count FOR UPDATE SKIP LOCKED\) AS c\)\)$';

-- The volatile functions in a statement that changes rows: each shard, and each replay, would see other values.
CREATE FUNCTION growth.volatile_in(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(DISTINCT f.name[1], ', ')
	  FROM regexp_matches(regexp_replace(statement, '''[^'']*''', '', 'g'), '\m(\w+) ?\(', 'g') AS f (name)
	 WHERE statement ~ '\m(UPDATE omnimsg\.|DO UPDATE SET)'
	   AND EXISTS (SELECT FROM pg_proc p WHERE p.proname = lower(f.name[1]) AND p.provolatile = 'v') $$;

-- The queries of a statement: itself, and each that is in brackets, with # for what is in brackets within it.  Strings are
-- empty; a row that is compared, a list of columns and a key that ON CONFLICT names say when an organization is in them;
-- what depends on CASE is in brackets.
CREATE FUNCTION growth.queries(statement text) RETURNS SETOF text LANGUAGE sql AS $$
	WITH RECURSIVE step (rest, query) AS (
		SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(statement,
			'''[^'']*''', '''''', 'g'),
			'\((\w+)\.organization_id, [^()]*\) IN ', '\1.organization_id = given.organization_id AND given IN ', 'g'),
			'\m(INSERT INTO \S+(?: AS \w+)?|ON CONFLICT) \([^()]*\morganization_id\M[^()]*\)', '\1 tenant', 'g'),
			'\m(?:LEFT|RIGHT|FULL) (?:OUTER )?JOIN\M', 'OUTERJOIN', 'g'),
			'\mCASE\M', '(CASE', 'g'), '\mEND\M', 'END)', 'g') COLLATE "C", NULL COLLATE "C"
		UNION ALL
		SELECT regexp_replace(s.rest, '\([^()]*\)', '#'), substring(s.rest FROM '\(([^()]*)\)')
		  FROM step s WHERE s.rest ~ '\([^()]*\)')
	SELECT s.query FROM step s WHERE s.query IS NOT NULL
	UNION ALL
	SELECT s.rest FROM step s WHERE s.rest !~ '\([^()]*\)' $$;

-- The tables of tenants (and those whose name is put in later) whose rows a statement changes or locks without saying whose.
-- It says so where the very query that does it compares the table's organization with a parameter or a constant, or with
-- that of rows it has from elsewhere, in a statement where a parameter or a constant names one; as a condition of WHERE or
-- of an inner JOIN, without OR, NOT or brackets around it.  Inserted rows name theirs.  What gives rows to another
-- organization, what locks a table, and FOR UPDATE of a query in brackets are always reported.
CREATE FUNCTION growth.of_all_tenants(statement text) RETURNS SETOF text LANGUAGE sql AS $$
	WITH query AS MATERIALIZED (SELECT q.n, q.text FROM growth.queries(statement) WITH ORDINALITY AS q (text, n)),
	compared AS MATERIALIZED (
		SELECT q.n, m[1] AS alias, m[2] AS other, m[2] ~ '^(\$\d+|'''')$' AS named
		  FROM query q
		 CROSS JOIN regexp_split_to_table(q.text, '(?=\m(?:OUTERJOIN|JOIN|WHERE)\M)') AS clause
		 CROSS JOIN regexp_split_to_table(clause,
				'\m(?:WHERE|ON|AND|ORDER|GROUP|LIMIT|OFFSET|FETCH|FOR|RETURNING|CROSS|UNION)\M') AS condition
		 CROSS JOIN regexp_match(condition, '^ (\w+)\.organization_id = (\$\d+|''''|\w+\.organization_id) ?$') AS m
		 WHERE m IS NOT NULL AND clause ~ '^(JOIN|WHERE)\M' AND clause !~ '\mOR\M'),
	changed (n, name, alias, always) AS (
		SELECT q.n, m[1], m[2], q.text ~ '(\mSET|,) organization_id = '
		  FROM query q, regexp_matches(q.text,
				'\m(?:UPDATE|DELETE FROM|MERGE INTO) (?:ONLY )?((?:omnimsg\.|%)[\w%$]+)(?: (?:AS )?(\w+))?', 'g') AS m
		UNION ALL
		SELECT q.n, m[1], '', true
		  FROM query q, regexp_matches(q.text, '\mINSERT INTO ((?:omnimsg\.|%)[\w%$]+)(?: AS \w+)?( tenant)?', 'g') AS m
		 WHERE m[2] IS NULL OR q.text ~ 'DO UPDATE' AND q.text !~ 'ON CONFLICT tenant'
		UNION ALL
		SELECT q.n, m[1], '', true
		  FROM query q, regexp_matches(q.text, '(?:TABLE |ONLY |(?=omnimsg\.))((?:omnimsg\.|%)[\w%$]+)', 'g') AS m
		 WHERE q.text ~ '\m(LOCK|TRUNCATE|ALTER TABLE|DROP TABLE)\M'
		UNION ALL
		SELECT q.n, t[1], t[2], t[1] IS NULL
		  FROM query q, regexp_matches(q.text, '\mFOR (?:NO KEY |KEY )?(?:UPDATE|SHARE)(?: OF (\w+(?:, \w+)*))?', 'g') AS m,
			   regexp_matches(q.text, '(?:FROM|JOIN|,) (?:((?:omnimsg\.|%)[\w%$]+) (?:AS )?(\w+)|(?:LATERAL )?#)', 'g') AS t
		 WHERE m[1] IS NULL OR t[2] = ANY (string_to_array(m[1], ', ')))
	SELECT DISTINCT coalesce(replace(c.name, 'omnimsg.', ''), '(query)')
	  FROM changed c
	 WHERE NOT EXISTS (SELECT FROM pg_class r WHERE r.relnamespace = 'omnimsg'::regnamespace AND 'omnimsg.' || r.relname = c.name
						AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attname = 'organization_id'))
	   AND (c.always
			OR NOT EXISTS (SELECT FROM compared o
							WHERE o.n = c.n AND o.alias = c.alias
							  AND (o.named OR split_part(o.other, '.', 1) <> c.alias AND split_part(o.other, '.', 1) NOT IN (
									SELECT m[1] FROM regexp_matches(statement, 'omnimsg\.\w+ (?:AS )?(\w+)', 'g') AS m)))
			OR NOT (EXISTS (SELECT FROM compared o WHERE o.named)
					OR statement ~ '\munnest\(\$\d[^()]*\) (WITH ORDINALITY )?AS \w+ ?\([^()]*\morganization_id\M')) $$;

-- it finds what is planted, and not what is as it should be
SELECT growth.volatile_in(p.statement), (SELECT string_agg(t, ', ' ORDER BY t) FROM growth.of_all_tenants(p.statement) AS t) AS of_all_tenants, p.statement
  FROM (VALUES
	('UPDATE omnimsg.outbox o SET next_attempt_at = clock_timestamp(), id = gen_random_uuid() WHERE o.organization_id = $1'),
	('INSERT INTO omnimsg.consents (organization_id) VALUES ($1) ON CONFLICT (organization_id) DO UPDATE SET decided_at = timeofday()'),
	-- as it should be
	('UPDATE omnimsg.outbox o SET next_attempt_at = now() WHERE o.organization_id = $1'),
	('UPDATE omnimsg.arming SET disarmed_at = $1'),
	('SELECT c.state FROM omnimsg.consents c WHERE c.organization_id = $1 FOR SHARE'),
	('UPDATE omnimsg.outbox o SET state = $2 WHERE (o.organization_id, o.id) IN (SELECT q.organization_id, q.id FROM omnimsg.outbox q WHERE q.organization_id = $1 LIMIT 9 FOR UPDATE SKIP LOCKED)'),
	('SELECT FROM unnest($1, $2) AS w(organization_id, id) JOIN omnimsg.outbox o ON o.organization_id = w.organization_id AND o.id = w.id FOR UPDATE OF o'),
	-- no organization
	('UPDATE omnimsg.outbox o SET state = ''random()'' WHERE o.lease_token = $1'),
	('DELETE FROM omnimsg.reply_windows r WHERE r.last_at < $1'),
	('LOCK TABLE omnimsg.arming, omnimsg.consents IN EXCLUSIVE MODE'),
	('TRUNCATE omnimsg.reply_windows'),
	('DELETE FROM omnimsg.%I t WHERE t.created_at < %L'),
	('INSERT INTO omnimsg.messages SELECT * FROM old'),
	('INSERT INTO omnimsg.address_flags (organization_id, address) VALUES ($1, $2) ON CONFLICT (address) DO UPDATE SET flag = $3'),
	('UPDATE omnimsg.messages m SET status = $2, organization_id = $3 WHERE m.organization_id = $1'),
	-- not the first table, or not the first query
	('SELECT m.id FROM omnimsg.provider_accounts p JOIN omnimsg.messages m ON m.id = $1 FOR NO KEY UPDATE OF m'),
	('SELECT FROM omnimsg.consents c JOIN omnimsg.outbox o ON o.id = $2 WHERE c.organization_id = $1 FOR UPDATE OF c, o'),
	('SELECT FROM omnimsg.consents c, omnimsg.outbox o WHERE c.organization_id = $1 FOR KEY SHARE'),
	('SELECT FROM (SELECT o.id FROM omnimsg.outbox o) AS s FOR UPDATE'),
	('WITH a AS (UPDATE omnimsg.outbox o SET state = $2 WHERE o.organization_id = $1), b AS (DELETE FROM omnimsg.reviews v WHERE v.id = $3) INSERT INTO omnimsg.account_repairs (organization_id) VALUES ($1)'),
	('WITH a AS (SELECT o.id FROM omnimsg.outbox o LIMIT 9 FOR UPDATE) DELETE FROM omnimsg.reviews v WHERE v.organization_id = $1'),
	('UPDATE omnimsg.outbox o SET state = $2 WHERE o.organization_id = $1 AND o.id IN (SELECT q.id FROM omnimsg.consents q LIMIT 9 FOR UPDATE SKIP LOCKED)'),
	-- a condition that need not hold, or that names none
	('SELECT FROM omnimsg.reviews v WHERE v.id = $1 AND (NOT $2 OR v.organization_id = $3) FOR UPDATE'),
	('DELETE FROM omnimsg.reviews v WHERE v.id = $1 OR v.due_at < $2 AND v.organization_id = $3'),
	('DELETE FROM omnimsg.reviews v WHERE v.id = $1 AND NOT v.organization_id = $2'),
	('DELETE FROM omnimsg.reviews v WHERE CASE WHEN $2 AND v.organization_id = $1 AND $3 THEN true END'),
	('DELETE FROM omnimsg.reviews v WHERE EXISTS (SELECT FROM omnimsg.consents c WHERE c.organization_id = $1)'),
	('SELECT FROM omnimsg.outbox o LEFT JOIN omnimsg.consents c ON o.organization_id = $1 FOR UPDATE OF o'),
	('DELETE FROM omnimsg.reviews v WHERE v.organization_id = v.organization_id'),
	('DELETE FROM omnimsg.reviews v USING omnimsg.messages m WHERE v.organization_id = m.organization_id AND m.cc = $1'),
	('WITH a AS (SELECT c.organization_id FROM omnimsg.consents c LIMIT 9) DELETE FROM omnimsg.reviews v USING a WHERE v.organization_id = a.organization_id')
	) AS p (statement);

-- of the library: expect no rows
SELECT s.language, growth.volatile_in(s.text), s.text FROM growth.statements s WHERE growth.volatile_in(s.text) IS NOT NULL;

-- Deliberate, and why.  The numbers of statements tell when another one looks like these.
CREATE TEMP TABLE deliberate (relation text, pattern text, reason text);
INSERT INTO deliberate VALUES
	('outbox', '\mleased_until < \$1( |$)', 'leases of a dead worker, when one has ended'),
	('outbox', '\mexpires_at <= \$1( |$)', 'what is over, twice a minute'),
	('outbox', '\mexpires_at > \$1 \+ interval', 'replies of before the clock was set back, when it was and when a worker begins'),
	('outbox', '^UPDATE omnimsg\.outbox o .* WHERE o\.ctid = ANY \(ARRAY\( SELECT c\.ctid FROM unnest\(\$1, \$2\) AS w\(organization_id, count\) CROSS JOIN LATERAL \( SELECT q\.ctid FROM omnimsg\.outbox q WHERE q\.organization_id = w\.organization_id ',
		'a claim: the rows that it has just locked, for each organization as many as its count'),
	('outbox', '^SELECT .* WHERE o\.lease_token = \$1 AND o\.state = ''leased'' AND o\.leased_until > \$2 ', 'what one claim has leased: the token is its own'),
	('outbox', '\mo\.message_id = \$1 .*\(NOT \$4 OR o\.organization_id = \$5\)', 'one message by its id, for who is not bound to an organization'),
	('reviews', '\mv\.id = \$1 AND \(NOT \$2 OR v\.organization_id = \$3\) FOR UPDATE$', 'one review by its id, for who is not bound to an organization'),
	('events', '\me\.provider = \$1 AND e\.dedupe_key = \$2 AND \(NOT \$3 OR e\.organization_id = \$4\) FOR UPDATE$', 'one dead letter by its key, for who is not bound to an organization'),
	('tenant_roles', '^DELETE .*\mr\.role_name = \$1 AND \(NOT \$2 OR r\.organization_id = \$3\) ', 'one role by its name, for who is not bound to an organization'),
	('tenant_roles', '^INSERT .* ON CONFLICT \(role_name\) DO UPDATE SET mapped_at = r\.mapped_at WHERE r\.organization_id = excluded\.organization_id ', 'a role is of one organization: which one is asked of the row that has its name'),
	('reviews', '\mv\.due_at <= \$1 ORDER BY .* FOR UPDATE SKIP LOCKED$', 'what nobody reviewed in time, twice a minute'),
	('consent_repairs', '^WITH taken AS \( DELETE .* LIMIT \$1 FOR UPDATE SKIP LOCKED\)', 'requests whose consent was locked when they came, of all tenants'),
	('account_repairs', '^WITH noted AS \( SELECT ', 'accounts that were locked when their copies changed, of all tenants'),
	('collection_accounts', '^WITH noted AS \( SELECT ', 'those accounts: whichever were noted'),
	('collection_accounts', '^WITH seen AS MATERIALIZED \( SELECT ', 'accounts whose copies differ from consents of a stretch of time, of all tenants'),
	('events', '^WITH claimed AS \( UPDATE .* WHERE e\.provider = w\.provider AND e\.dedupe_key = w\.dedupe_key AND e\.outcome IN ', 'the journal, by its key, which is the provider''s: the tenant is not known before, and is set here'),
	('events', '^UPDATE omnimsg\.events e SET .* FROM unnest\(.* WHERE e\.provider = w\.provider AND e\.dedupe_key = w\.dedupe_key$', 'what ingest could not apply, or must not keep the bytes of, by that key'),
	('events', '^UPDATE omnimsg\.events e SET .* WHERE e\.provider = \$1 AND e\.dedupe_key = \$2$', 'a dead letter that is replayed: by that key, and locked'),
	('events', '^WITH waiting AS MATERIALIZED ', 'statuses that came before their message, which may be of another organization that shares the number'),
	('events', '\mFROM omnimsg\.opt_out_requests q WHERE q\.organization_id = \$1 .* UNION SELECT v\.provider, v\.dedupe_key FROM omnimsg\.reviews v WHERE v\.organization_id = \$1 ', 'an erasure: what requests and reviews of its organization came from, by that key'),
	('events', '\me\.outcome = ''dead'' AND e\.raw IS NOT NULL AND position\(.* \(e\.organization_id = \$1 OR coalesce\(e\.organization_id', 'an erasure: dead letters that hold the address, of its organization or of none that is known'),
	('events', '^UPDATE omnimsg\.events e .*\mp\.received_at < now\(\) - interval '''' LIMIT 5000 FOR UPDATE SKIP LOCKED', 'statuses whose message did not come within 24 hours'),
	('events', '^WITH old AS \( SELECT e\.ctid FROM omnimsg\.events e WHERE e\.received_at < before ', 'what of the journal is older than its retention'),
	('inbound_phone_numbers', '^DELETE .* WHERE n\.phone_number = \$1 AND n\.organization_id <> \$2$', 'a number goes from its organizations to another'),
	('messages', '^UPDATE omnimsg\.messages m SET organization_id = \$2, .* WHERE m\.organization_id = ''00000000-[0-]+'' AND m\.our_address = \$1$', 'what came to a number while it was nobody''s goes with it'),
	('reviews', '^UPDATE omnimsg\.reviews v SET organization_id = \$2, .* WHERE v\.organization_id = ''00000000-[0-]+'' AND v\.our_address = \$1$', 'what came to a number while it was nobody''s goes with it'),
	('legal_holds', '^BEGIN UPDATE .* WHERE h\.id = omnimsg_release_hold\.id ', 'a hold is lifted by its id, which is all that is given'),
	('legal_holds', 'LOCK TABLE omnimsg\.legal_holds IN SHARE MODE$', 'no hold may come while a month is dropped'),
	('audit_seals', '^LOCK TABLE omnimsg\.audit_seals IN SHARE ROW EXCLUSIVE MODE$', 'one chain of seals for each database, which one session at a time makes longer'),
	('messages', '^LOCK TABLE ONLY omnimsg\.messages IN ACCESS EXCLUSIVE MODE$', 'a month is detached and dropped for all: messages are locked first'),
	('messages', '^ALTER TABLE omnimsg\.messages DETACH PARTITION omnimsg\.%I$', 'a month is detached and dropped for all'),
	('%I', '^(ALTER TABLE omnimsg\.messages DETACH PARTITION|DROP TABLE) omnimsg\.%I$', 'a month is detached and dropped for all: the month itself'),
	('messages', '^INSERT INTO omnimsg\.messages \(%s\) SELECT %s %s$', 'a month is detached and dropped for all: what is held stays, with all of its columns'),
	('messages', '^LOCK TABLE ONLY omnimsg\.messages IN ACCESS SHARE MODE$', 'no month may be dropped while another call keeps house'),
	('messages_default', '^LOCK TABLE omnimsg\.messages_default, omnimsg\.%I IN ACCESS EXCLUSIVE MODE NOWAIT$', 'a month is detached and dropped for all: the default partition, which may get rows of it'),
	('%I', '^LOCK TABLE omnimsg\.messages_default, omnimsg\.%I IN ACCESS EXCLUSIVE MODE NOWAIT$', 'a month is detached and dropped for all: the month is locked first'),
	('messages_default', '^LOCK TABLE omnimsg\.messages_default IN ACCESS EXCLUSIVE MODE$', 'a month is made for all'),
	('audit_logs_default', '^LOCK TABLE omnimsg\.audit_logs_default IN ACCESS EXCLUSIVE MODE$', 'a month is made for all'),
	('%I', '^LOCK TABLE omnimsg\.%I IN ACCESS EXCLUSIVE MODE$', 'a month is made for all: the default partition'),
	('%I', '^ALTER TABLE omnimsg\.%I (ATTACH PARTITION omnimsg\.%I |DROP CONSTRAINT of_the_month$|ENABLE ROW LEVEL SECURITY|OWNER TO)', 'a month is made for all: the month itself'),
	('%1$I', '^WITH free AS \(SELECT d\.ctid FROM omnimsg\.%1\$I d ', 'a month is made for all: its rows leave the default partition'),
	('%4$I', '^WITH free AS \(SELECT d\.ctid FROM omnimsg\.%1\$I d ', 'a month is made for all: they come into it, with all of their columns'),
	('%1$s', '^WITH old AS \(SELECT t\.ctid FROM %1\$s t WHERE %2\$s LIMIT 1000 FOR UPDATE SKIP LOCKED\)', 'what has expired row by row');
CREATE TEMP TABLE told AS
	SELECT t.relation, s.language, s.text, d.pattern, d.reason
	  FROM growth.statements s CROSS JOIN LATERAL growth.of_all_tenants(s.text) AS t (relation)
	  LEFT JOIN deliberate d ON d.relation = t.relation AND s.text ~ d.pattern;
SELECT t.relation, count(*) AS statements, t.reason FROM told t WHERE t.pattern IS NOT NULL GROUP BY t.relation, t.pattern, t.reason
 ORDER BY t.relation COLLATE "C", t.reason COLLATE "C";
-- everything else names the tenant: expect no rows
SELECT t.relation AS of_all_tenants, t.language, t.text FROM told t WHERE t.pattern IS NULL ORDER BY 1, 2, 3;
-- each is allowed once, and nothing is allowed that is not there: expect no rows
SELECT t.relation, t.text FROM told t GROUP BY 1, 2 HAVING count(DISTINCT t.pattern) > 1;
SELECT d.* FROM deliberate d WHERE NOT EXISTS (SELECT FROM told t WHERE t.relation = d.relation AND t.pattern = d.pattern);

-- Locks that have no rows, as advisory ones, know no tenant: expect no rows
SELECT s.language, s.text FROM growth.statements s WHERE s.text ~ '\mpg_\w*advisory';

DROP SCHEMA growth, growth_planted CASCADE;
