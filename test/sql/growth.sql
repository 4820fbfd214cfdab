-- What keeps it possible to distribute tables by tenant (doc/scaling.md): keys and references that hold the organization,
-- and statements that find, lock and claim rows of one organization each, with nothing volatile where rows change.
SET search_path = pg_catalog, pg_temp;
SET client_min_messages = warning;
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

-- The statements of the library, as the compiler put them into it; those of SQL and PL/pgSQL, a statement each.
CREATE VIEW growth.statements AS
	SELECT DISTINCT 'C' AS language, regexp_replace(regexp_replace(t.text, '\\0(11|12)', ' ', 'g'), '\s+', ' ', 'g') AS text
	  FROM string_to_table(encode(pg_read_binary_file(
			(SELECT c.setting FROM pg_config() AS c WHERE c.name = 'PKGLIBDIR') || '/omnimsg.so'), 'escape'), '\000') AS t (text)
	 WHERE t.text ~ '^(WITH|SELECT|INSERT|UPDATE|DELETE|LOCK|MERGE|TRUNCATE)\M' AND t.text ~ '\momnimsg\.'
	UNION ALL
	SELECT l.lanname, regexp_replace(s.text, '\s+', ' ', 'g')
	  FROM pg_proc p
	  JOIN pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
	  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	  JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'omnimsg'
	 CROSS JOIN regexp_split_to_table(regexp_replace(
			CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE pg_get_functiondef(p.oid) END, '--[^\n]*', ' ', 'g'), ';') AS s (text);

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

-- The table of tenants whose rows a statement changes, locks or claims without saying whose: an organization is compared
-- with, or is in the key that ON CONFLICT names; where rows are claimed, with the very table whose locked rows are skipped.
CREATE FUNCTION growth.of_all_tenants(statement text) RETURNS name LANGUAGE sql AS $$
	SELECT min(t.name)
	  FROM (SELECT coalesce(
				(SELECT (regexp_match(statement, '\m(?:FROM|JOIN) (?:ONLY )?omnimsg\.(\w+) (?:AS )?' || a.alias[1] || '\M'))[1]
				   FROM regexp_match(statement, '\mFOR (?:NO KEY |KEY )?(?:UPDATE|SHARE) OF (\w+)') AS a (alias)),
				(regexp_match(statement, '\m(?:UPDATE|DELETE FROM|LOCK TABLE)(?: ONLY)? omnimsg\.(\w+)'))[1],
				(regexp_match(statement, '\mINSERT INTO omnimsg\.(\w+).* DO UPDATE SET'))[1],
				(regexp_match(statement, '\mFROM omnimsg\.(\w+).*\mFOR (?:NO KEY |KEY )?(?:UPDATE|SHARE)'))[1])) AS t (name)
	 WHERE EXISTS (SELECT FROM pg_attribute a
					WHERE a.attrelid = to_regclass('omnimsg.' || t.name) AND a.attname = 'organization_id')
	   AND NOT CASE
			WHEN statement ~ 'SKIP LOCKED'
			THEN (regexp_match(statement, '.*\m(?:FROM|JOIN) omnimsg\.(.*?)SKIP LOCKED'))[1] ~ '\morganization_id( =|, [\w., ]+\) IN)'
			ELSE statement ~ '\morganization_id( = |, [\w., ]+\) (IN|=) )' OR statement ~ 'ON CONFLICT \([^)]*\morganization_id\M' END $$;

-- it finds what is planted, and not what is as it should be
SELECT growth.volatile_in(p.statement), growth.of_all_tenants(p.statement), p.statement
  FROM (VALUES
	('UPDATE omnimsg.outbox o SET next_attempt_at = clock_timestamp(), id = gen_random_uuid() WHERE o.organization_id = $1'),
	('INSERT INTO omnimsg.consents (organization_id) VALUES ($1) ON CONFLICT (organization_id) DO UPDATE SET decided_at = timeofday()'),
	('UPDATE omnimsg.outbox o SET next_attempt_at = now() WHERE o.organization_id = $1'),
	('UPDATE omnimsg.outbox o SET state = ''random()'' WHERE o.lease_token = $1'),
	('DELETE FROM omnimsg.reply_windows r WHERE r.last_at < $1'),
	('LOCK TABLE omnimsg.consents IN EXCLUSIVE MODE'),
	('SELECT m.id FROM omnimsg.provider_accounts p JOIN omnimsg.messages m ON m.id = $1 FOR NO KEY UPDATE OF m'),
	('SELECT c.state FROM omnimsg.consents c WHERE c.organization_id = $1 FOR SHARE'),
	('INSERT INTO omnimsg.address_flags (address) VALUES ($1) ON CONFLICT (address) DO UPDATE SET flag = $2'),
	('UPDATE omnimsg.outbox o SET state = $2 WHERE o.organization_id = $1 AND o.id IN (SELECT q.id FROM omnimsg.outbox q LIMIT 9 FOR UPDATE SKIP LOCKED)'),
	('UPDATE omnimsg.outbox o SET state = $2 WHERE o.id IN (SELECT q.id FROM omnimsg.outbox q WHERE q.organization_id = $1 LIMIT 9 FOR UPDATE SKIP LOCKED)')
	) AS p (statement);

-- of the library: expect no rows
SELECT s.language, growth.volatile_in(s.text), s.text FROM growth.statements s WHERE growth.volatile_in(s.text) IS NOT NULL;

-- Deliberate, and why.
CREATE TEMP TABLE deliberate (relation name, pattern text, reason text);
INSERT INTO deliberate VALUES
	('outbox', 'leased_until < \$1', 'leases of a dead worker, when one has ended'),
	('outbox', 'expires_at <= \$1', 'what is over, twice a minute'),
	('outbox', 'expires_at > \$1 \+ interval', 'replies of before the clock was set back, when it was and when a worker begins'),
	('reviews', 'due_at <= \$1 ORDER BY', 'what nobody reviewed in time, twice a minute'),
	('consent_repairs', 'SKIP LOCKED', 'requests whose consent was locked when they came, of all tenants'),
	('events', '', 'the journal, whose key is the provider''s: the tenant is not known yet'),
	('inbound_phone_numbers', '', 'a number goes from one organization to another'),
	('audit_seals', '^LOCK', 'one chain of seals for each database, which one session at a time makes longer'),
	('messages', '', 'a month is detached and dropped for all'),
	('messages_default', '', 'a month is made for all'),
	('audit_logs_default', '', 'a month is made for all'),
	('legal_holds', '', 'no hold may come while a month is dropped; or one is lifted, by its id');
SELECT DISTINCT d.relation, d.reason
  FROM growth.statements s
  JOIN deliberate d ON d.relation = growth.of_all_tenants(s.text) AND s.text ~ d.pattern
 ORDER BY 1, 2;
-- everything else names the tenant: expect no rows
SELECT growth.of_all_tenants(s.text) AS of_all_tenants, s.language, s.text
  FROM growth.statements s
 WHERE NOT EXISTS (SELECT FROM deliberate d WHERE d.relation = growth.of_all_tenants(s.text) AND s.text ~ d.pattern)
   AND growth.of_all_tenants(s.text) IS NOT NULL;
-- and nothing is allowed that is not there: expect no rows
SELECT d.* FROM deliberate d
 WHERE NOT EXISTS (SELECT FROM growth.statements s WHERE growth.of_all_tenants(s.text) = d.relation AND s.text ~ d.pattern);

-- Locks that have no rows, as advisory ones, know no tenant: expect no rows
SELECT s.language, s.text FROM growth.statements s WHERE s.text ~ '\mpg_\w*advisory';

DROP SCHEMA growth, growth_planted CASCADE;
