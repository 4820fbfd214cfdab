# A new library meets the tables of version 1.0: it refuses and loses nothing.  ALTER EXTENSION UPDATE then makes of a
# database with rows and months the same that a fresh installation is.

use strict;
use warnings;

use FindBin;
use Omnimsg;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $node = Omnimsg->new;
my $number = 2000;

sub phone { return sprintf '+1555200%04d', ++$number }

# what SQLSTATE 55000 says
my $refusal = qr/55000: extension "omnimsg" is of version 1\.0 in this database, and its library of version 1\.2.*HINT: .*ALTER EXTENSION omnimsg UPDATE/s;

# ---- a database of version 1.0, with rows and months, as the library of 1.0 left it ----

# the worker and the jobs use what is dropped, so that it may meet a deadlock
ok($node->wait_until(sub { eval { $node->psql('SET client_min_messages = warning; DROP EXTENSION omnimsg'); 1 } }), 'the extension goes');
$node->psql(<<'SQL');
CREATE EXTENSION omnimsg VERSION '1.0';
SELECT omnimsg.make_month(p, (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month' * i)::date)
  FROM unnest(ARRAY['messages', 'audit_logs']) AS p, generate_series(-1, 2) AS i;
SQL
is(join('', $node->program('psql', qw(-X -q -v ON_ERROR_STOP=1 -o /dev/null -f), "$top/deploy/roles.sql")), '0',
	'the roles fit version 1.0');
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};

$node->psql(<<"SQL");
SET session_replication_role = replica;		-- the trigger is the library's
INSERT INTO omnimsg.send_limits (organization_id, opens, closes) VALUES ('$organization', '00:00', '24:00');
INSERT INTO omnimsg.keywords (organization_id, keyword, label) VALUES ('$organization', 'Genug!', 'opt_out');
INSERT INTO omnimsg.campaigns (organization_id, id, name) VALUES ('$organization', '44444444-4444-7444-8444-444444444444', 'Reminders');
INSERT INTO omnimsg.reply_templates (organization_id, trigger, body) VALUES ('$organization', 'help', 'Call us: {organization}');
INSERT INTO omnimsg.collection_accounts (organization_id, id, name, primary_phone, sms_consent)
	SELECT '$organization', omnimsg.uuid7(), 'Customer ' || n, '+1555200' || n, false FROM generate_series(1001, 1020) AS n;
INSERT INTO omnimsg.opt_out_requests (organization_id, id, channel, address, our_address, request_type, source, occurred_at, created_at)
	SELECT '$organization', omnimsg.uuid7(), 'sms', primary_phone, '$did', 'opt_out', 'keyword', now() - interval '1 day', now()
	  FROM omnimsg.collection_accounts;
INSERT INTO omnimsg.consents (organization_id, channel, address, state, decided_at, request_id, changed_at)
	SELECT organization_id, channel, address, 'opted_out', occurred_at, id, now() FROM omnimsg.opt_out_requests;
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, external_message_id, created_at)
	SELECT '$organization', omnimsg.uuid7(), CASE WHEN n % 2 = 0 THEN 'inbound' ELSE 'outbound' END, 'sms', '$did', '+1555200' || n, 'hello',
		'sent', 'old-' || n, now() - interval '1 month' * (n % 3) + interval '5 years' * (n % 5 / 4) FROM generate_series(1001, 1020) AS n;
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, state, attempts, next_attempt_at, expires_at, created_at, settled_at)
	SELECT organization_id, omnimsg.uuid7(), id, 'conversation', 'sent', 1, created_at, created_at, created_at, created_at
	  FROM omnimsg.messages WHERE direction = 'outbound';
INSERT INTO omnimsg.audit_logs (organization_id, id, action, resource_type, resource_id, actor, created_at)
	SELECT organization_id, omnimsg.uuid7(), 'MESSAGE_RECEIVED', 'message', id, 'provider:telnyx', created_at FROM omnimsg.messages;
INSERT INTO omnimsg.reviews (organization_id, id, message_organization_id, message_id, channel, address, rule, occurred_at, due_at, created_at)
	SELECT organization_id, omnimsg.uuid7(), organization_id, id, 'sms', '+15552001001', 'a rule', now(), now() + interval '10 days', now()
	  FROM omnimsg.messages WHERE direction = 'inbound' LIMIT 1;
INSERT INTO omnimsg.address_flags (organization_id, address, flag, since, flagged_by) VALUES ('$organization', '+15552001002', 'reassigned', now(), 'somebody');
INSERT INTO omnimsg.provider_optouts (provider_account_id, our_address, address, created_at, seen_at)
	SELECT id, '$did', '+15552001003', now(), now() FROM omnimsg.provider_accounts;
INSERT INTO omnimsg.reply_windows (organization_id, address, trigger, last_at) VALUES ('$organization', '+15552001001', 'opt_out', now());
INSERT INTO omnimsg.events (provider, dedupe_key, event_type, received_at, outcome, reason, raw)
	SELECT 'telnyx', 'received:old-' || n, 'message.received', now() - interval '1 day', w.outcome, w.reason, w.raw
	  FROM generate_series(1, 50) AS n, LATERAL (SELECT CASE n % 10 WHEN 0 THEN 'ignored' WHEN 1 THEN 'pending' ELSE 'applied' END, NULL, NULL::bytea) AS w (outcome, reason, raw)
	UNION ALL SELECT 'telnyx', encode(sha256('{"data":'), 'hex'), NULL, now(), 'dead', 'invalid JSON', '{"data":'
	UNION ALL SELECT 'telnyx', 'received:old-dead', 'message.received', now() - interval '1 day', 'dead', 'could not be applied (SQLSTATE XX000)',
		convert_to('{"data":{"event_type":"message.received","id":"d","payload":{"id":"old-dead","type":"SMS","from":{"phone_number":"+15552001900"},"to":[{"phone_number":"$did"}],"text":"STOP"}}}', 'UTF8');
SQL
my $rows = join ', ', map { "(SELECT count(*) FROM omnimsg.$_)" } qw(events messages opt_out_requests consents outbox audit_logs collection_accounts
	reviews address_flags keywords campaigns reply_templates send_limits provider_optouts reply_windows);
my $before = $node->psql("SELECT $rows");

# ---- the new library refuses ----

for my $call ("SELECT omnimsg_ingest('telnyx', '{}')", "SELECT omnimsg_ingest_batch(ARRAY['telnyx'], ARRAY['{}']::bytea[])",
	"SELECT omnimsg_record_consent('$organization', 'sms', '+15552001001', 'opt_out', 'web')",
	"SELECT omnimsg_consent_as_of('$organization', 'sms', '+15552001001')", "SELECT omnimsg_send('$organization', '+15552001001', 'hello')",
	"SELECT omnimsg_explain_send('$organization', 'sms', '+15552001001')", "SELECT omnimsg_flag_address('$organization', '+15552001001', 'reassigned')",
	"SELECT omnimsg_review('$organization', 'none', 'somebody')", "SELECT omnimsg_release('$organization', 'somebody')",
	"SELECT omnimsg_assign_number('$did', '$organization')", 'SELECT omnimsg_pull_optouts()',
	"INSERT INTO omnimsg.collection_accounts (organization_id, primary_phone) VALUES ('$organization', '+15552001999')")
{
	my ($what) = $call =~ /(omnimsg[._]\w+)/;

	like($node->psql_error($call), $refusal, "$what refuses, and says what to do");
}
is($node->psql("SELECT omnimsg_normalize_phone('(555) 200-1001'), (omnimsg_detect_intent('STOP')).label, omnimsg_mask_phone('+15552001001'),
	omnimsg.uuid7() IS NOT NULL, omnimsg.keyword_key('Genug!'), omnimsg.is_timezone('America/New_York')"),
	'+15552001001|opt_out|+1555***1001|t|genug|t', 'what only computes works');
is($node->psql("SELECT count(*) > 0 FROM omnimsg_worker_status()"), 't', 'so does the state of the worker');
ok($node->poll('SELECT state FROM omnimsg_worker_status()', 'waiting for the update of the extension'), 'the worker waits');

# a webhook that comes meanwhile: kept by the relay, or left to the provider
my %early = (from => phone(), to => $did, text => 'STOP', message_id => 'early');
my $early;
$node->wait_until(sub { ($early = $node->send(%early, attempts => 1)->{http}) =~ /^(?:200|503)$/ });
like($early, qr/^(200|503)$/, "a webhook that comes meanwhile is answered $early");
is($node->psql("SELECT $rows"), $before, 'and nothing of it is half there');

my $dump = $node->dir . '/dump';
is(join('', $node->program('pg_dump', '--extension=omnimsg', '--file', $dump)), '0', 'a dump of version 1.0 is made without a word');

# ---- the update, taken back and for real ----

my $session = $node->session;
$session->query('SET client_min_messages = warning');
like($session->query("BEGIN; ALTER EXTENSION omnimsg UPDATE; SELECT outcome FROM omnimsg_ingest('telnyx', '{\"data\":{}}')"), qr/^dead$/m,
	'in the session that updates it works at once');
like($session->query("ROLLBACK; SELECT omnimsg_ingest('telnyx', '{}')"), qr/is of version 1\.0/, 'and refuses again when the update is rolled back');
# in the same transaction, for what came meanwhile takes effect right after it
is($node->psql(<<"SQL"), "1.2|1.2\nt|52|40|5|2|5\n$before", 'ALTER EXTENSION omnimsg UPDATE: what version 1.0 received is conserved, and every row is there');
BEGIN;
ALTER EXTENSION omnimsg UPDATE;
SELECT extversion, omnimsg.library_version() FROM pg_extension WHERE extname = 'omnimsg';
SELECT is_conserved, received, applied, ignored, dead, pending FROM omnimsg.conservation;
SELECT $rows;
COMMIT;
SQL
is($session->query("SELECT outcome FROM omnimsg_ingest('telnyx', '{\"data\":{}}')"), 'dead', 'a session that was refused before works now');
$session->close;
ok($node->poll("SELECT state IN ('idle', 'sending', 'not armed') FROM omnimsg_worker_status()", 't'), 'the worker goes on without a restart');
my $log = do { local $/; open my $file, '<', $node->dir . '/log/postgres.log' or die $!; <$file> };
my $said = () = $log =~ /omnimsg dispatcher: the extension in database "omnimsg" is of version 1\.0/g;
is($said, 1, 'it has said once why it waited');

# ---- everything works ----

is(join('', $node->program('psql', qw(-X -q -v ON_ERROR_STOP=1 -o /dev/null -f), "$top/deploy/roles.sql")), '0', 'the roles fit the new version');
if ($early != 200)
{
	is($node->send(%early, attempts => 40)->{http}, 200, 'the provider comes again');
}
ok($node->poll("SELECT count(*) FROM omnimsg.consents WHERE address = '$early{from}' AND channel = 'sms' AND state = 'opted_out'", 1),
	'the webhook that came meanwhile has its effect');
$node->psql('SELECT omnimsg_arm()');
my $from = phone();
is($node->send(from => $from, to => $did, text => 'STOP', attempts => 40)->{http}, 200, 'a new one is taken');
ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '$from'", 'delivered'), 'and confirmed');
is($node->psql("SELECT outcome, intent, reply, reason FROM omnimsg_replay_dead_letter('telnyx', 'received:old-dead')"),
	'applied|opt_out|suppressed|too late', 'a dead letter of version 1.0 is replayed, too late for a confirmation');
is($node->psql("SELECT outcome, attempts FROM omnimsg.events WHERE dedupe_key = 'received:old-dead'"), 'applied|1', 'attempts are counted from here');
# which the worker does as well, now that it is armed
ok($node->poll("SELECT count(*) FROM omnimsg_maintain() WHERE action ~ 'not'", 0), 'omnimsg_maintain finds its way');
is($node->psql('SELECT count(*) FROM omnimsg.conservation WHERE NOT is_conserved'), 0, 'and all of it is conserved');

# ---- the catalog is the one of a fresh installation ----

# Each line says one thing about one object; nothing in it depends on the order or the names of what was made when.
my $catalog = <<'SQL';
SET search_path = pg_catalog;
WITH member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'omnimsg'
	 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'),
relation AS (
	SELECT c.*, c.oid::regclass::text AS name, c.relispartition AND c.relname !~ '_default$' AS is_month
	  FROM pg_class c WHERE c.relnamespace = 'omnimsg'::regnamespace)
SELECT format('relation %s kind %s persistence %s options %s acl %s rls %s%s bound %s owner %s comment %s', r.name, r.relkind, r.relpersistence, r.reloptions,
			  (SELECT array_agg(i ORDER BY i::text) FROM unnest(r.relacl) AS i), r.relrowsecurity, r.relforcerowsecurity, pg_get_expr(r.relpartbound, r.oid), r.relowner::regrole, obj_description(r.oid, 'pg_class'))
  FROM relation r WHERE r.relkind IN ('r', 'p', 'v', 'm', 'S', 'c', 'f')
UNION ALL
SELECT format('column %s %s %s type %s notnull %s default %s generated %s identity %s collation %s storage %s acl %s comment %s', r.name,
			  row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
			  pg_get_expr(d.adbin, d.adrelid), a.attgenerated, a.attidentity, a.attcollation::regcollation, a.attstorage, (SELECT array_agg(i ORDER BY i::text) FROM unnest(a.attacl) AS i), col_description(r.oid, a.attnum))
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
 WHERE r.relkind IN ('r', 'p', 'v', 'm', 'c', 'f')
UNION ALL
SELECT format('constraint %s %s %s validated %s', r.name, CASE WHEN NOT r.is_month THEN n.conname END, pg_get_constraintdef(n.oid), n.convalidated)
  FROM relation r JOIN pg_constraint n ON n.conrelid = r.oid
UNION ALL
SELECT format('index %s %s %s valid %s', r.name, CASE WHEN NOT r.is_month THEN i.indexrelid::regclass END,
			  regexp_replace(pg_get_indexdef(i.indexrelid), 'INDEX \S+ ON', 'INDEX ON'), i.indisvalid)
  FROM relation r JOIN pg_index i ON i.indrelid = r.oid
UNION ALL
SELECT format('trigger %s %s enabled %s comment %s', r.name, pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger'))
  FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT format('policy %s %s %s to %s using %s check %s', p.tablename, p.policyname, p.cmd, p.roles, p.qual, p.with_check) FROM pg_policies p WHERE p.schemaname = 'omnimsg'
UNION ALL
SELECT format('view %s %s', r.name, pg_get_viewdef(r.oid)) FROM relation r WHERE r.relkind IN ('v', 'm')
UNION ALL
SELECT format('function %s result %s arguments %s %s owner %s acl %s comment %s', p.oid::regprocedure, pg_get_function_result(p.oid), pg_get_function_arguments(p.oid),
			  pg_get_functiondef(p.oid), p.proowner::regrole, (SELECT array_agg(i ORDER BY i::text) FROM unnest(p.proacl) AS i), obj_description(p.oid, 'pg_proc'))
  FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
UNION ALL
SELECT format('member %s comment %s', pg_describe_object(m.classid, m.objid, 0), obj_description(m.objid, m.classid::regclass::name)) FROM member m
UNION ALL
SELECT format('dumped %s %s', u.relation::regclass, u.condition) FROM pg_extension x, unnest(x.extconfig, x.extcondition) AS u (relation, condition)
 WHERE x.extname = 'omnimsg'
UNION ALL
SELECT format('schema acl %s comment %s', (SELECT array_agg(i ORDER BY i::text) FROM unnest(n.nspacl) AS i), obj_description(n.oid, 'pg_namespace')) FROM pg_namespace n WHERE n.nspname = 'omnimsg'
UNION ALL
SELECT format('extension %s version %s schema %s relocatable %s', x.extname, x.extversion, x.extnamespace::regnamespace, x.extrelocatable)
  FROM pg_extension x WHERE x.extname = 'omnimsg'
 ORDER BY 1
SQL

# the lines that one database has and the other has not; a body of many lines is one of psql's, so they are cut at NUL
sub difference
{
	my ($one, $other) = @_;
	my %count;

	for my $database ($one, $other)
	{
		my $lines = $node->psql($catalog =~ s/^SELECT format\(/SELECT E'\\x01' || format(/mgr, dbname => $database);
		$count{$_}{$database}++ for split /^\x01/m, $lines;
	}
	return join '', map { my $n = $count{$_}; ($n->{$one} // 0) == ($n->{$other} // 0) ? () : ($n->{$one} ? '+ ' : '- ') . $_ }
		sort keys %count;
}

$node->psql('CREATE DATABASE fresh TEMPLATE template0', dbname => 'postgres');
my $months = $node->psql("SELECT string_agg(format('SELECT omnimsg.make_month(%L, %L);', left(relname, -8), replace(right(relname, 7), '_', '-') || '-01'), ' ')
	FROM pg_class WHERE relnamespace = 'omnimsg'::regnamespace AND relkind = 'r' AND relname ~ '_[0-9]{4}_[0-9]{2}\$'");
$node->psql("CREATE EXTENSION omnimsg; $months", dbname => 'fresh');
# the grants of deploy/roles.sql are the DBA's
is(join('', $node->program('psql', qw(-X -q -v ON_ERROR_STOP=1 -o /dev/null -d fresh -f), "$top/deploy/roles.sql")), '0', 'a fresh installation');
cmp_ok(scalar(split / +SELECT/, $months), '>=', 8, 'with the same months');
is(difference('omnimsg', 'fresh'), '', 'has the catalog of the updated one, month by month');

# A dump of version 1.0 has its months as they were, so it wants its version made first.
$node->psql('CREATE DATABASE restored TEMPLATE template0', dbname => 'postgres');
$node->psql("CREATE EXTENSION omnimsg VERSION '1.0'", dbname => 'restored');
is(join('', $node->program('psql', qw(-X -q -v ON_ERROR_STOP=1 -o /dev/null -d restored -f), $dump)), '0', 'a dump of version 1.0 restores into version 1.0');
is($node->psql("SELECT $rows", dbname => 'restored'), $before, 'with every row');
$node->psql("ALTER EXTENSION omnimsg UPDATE; $months", dbname => 'restored');
is(join('', $node->program('psql', qw(-X -q -v ON_ERROR_STOP=1 -o /dev/null -d restored -f), "$top/deploy/roles.sql")), '0', 'and is updated there');
is(difference('restored', 'fresh'), '', 'to the same catalog');
is($node->psql('SELECT is_conserved, received FROM omnimsg.conservation', dbname => 'restored'), 't|52', 'what it received is conserved');

# Version 1.1 is the way between, and may be where a database stands.
$node->psql('CREATE DATABASE between TEMPLATE template0', dbname => 'postgres');
$node->psql("CREATE EXTENSION omnimsg VERSION '1.1'; $months", dbname => 'between');
like($node->psql_error("SELECT omnimsg_ingest('telnyx', '{}')", dbname => 'between'), qr/is of version 1\.1 in this database/, 'version 1.1 is refused as well');
$node->psql('ALTER EXTENSION omnimsg UPDATE', dbname => 'between');
is(join('', $node->program('psql', qw(-X -q -v ON_ERROR_STOP=1 -o /dev/null -d between -f), "$top/deploy/roles.sql")), '0', 'and updated');
is(difference('between', 'fresh'), '', 'to the same catalog');

# Would that have told of an index that the default partition got and the months that were there did not?
$node->psql('CREATE INDEX messages_default_later ON omnimsg.messages_default (status)', dbname => $_) for qw(omnimsg fresh);
my ($month) = $months =~ /make_month\('messages', '(\d{4}-\d\d)-01'\)/;
(my $part = "omnimsg.messages_$month") =~ tr/-/_/;
$node->psql("DROP TABLE $part; SELECT omnimsg.make_month('messages', '$month-01')", dbname => 'fresh');
like(difference('omnimsg', 'fresh'), qr/\A- index \Q$part\E .*USING btree \(status\) valid t\n?\z/, 'an index that an older month lacks would be told');

# ---- the other way round: new files, and a server that still runs the old library ----

my $script = do { local $/; open my $file, '<', "$top/omnimsg--1.0--1.1.sql" or die $!; <$file> };
my ($block) = $script =~ /\A(?:--\N*\n|\/\*\N*\*\/\n|\\echo\N*\n|\s*\n)*(DO \$\$.*?^\$\$;\n)/ms;
ok($block, 'the update script begins with a block');
# any library that is there and has none of our functions
$block =~ s/MODULE_PATHNAME/\$libdir\/plpgsql/g;
like($node->psql_error("DROP EXTENSION omnimsg; CREATE SCHEMA omnimsg; $block", dbname => 'fresh'),
	qr/55000: the server still runs the library of an older version of omnimsg.*HINT: .*Restart the server/s,
	'which says that the server must be restarted, when the old library is loaded');

# From 1.1 on the library says its version, and each script asks for it.
$script = do { local $/; open my $file, '<', "$top/omnimsg--1.1--1.2.sql" or die $!; <$file> };
($block) = $script =~ /\A(?:--\N*\n|\/\*\N*\*\/\n|\\echo\N*\n|\s*\n)*(DO \$\$.*?^\$\$;\n)/ms;
like($node->psql_error("CREATE FUNCTION omnimsg.library_version() RETURNS text LANGUAGE sql AS \$\$ SELECT '1.1' \$\$; $block", dbname => 'fresh'),
	qr/55000: the server still runs the library of an older version of omnimsg.*HINT: .*Restart the server/s, 'so does the script that begins at 1.1');

# ---- what a session has found out about the version does not outlive the extension ----

$node->psql('DROP SCHEMA omnimsg CASCADE; CREATE EXTENSION omnimsg', dbname => 'fresh');
$session = $node->session(dbname => 'fresh');
$session->query('SET client_min_messages = warning');
is($session->query("SELECT outcome FROM omnimsg_ingest('telnyx', '{\"data\":{}}')"), 'dead', 'a session works');
like($session->query("DROP EXTENSION omnimsg; CREATE EXTENSION omnimsg VERSION '1.0'; SELECT omnimsg_ingest('telnyx', '{}')"),
	qr/is of version 1\.0/, 'until it makes version 1.0 of it');
is($session->query("DROP EXTENSION omnimsg; CREATE EXTENSION omnimsg; SELECT outcome FROM omnimsg_ingest('telnyx', '{\"data\":{}}')"), 'dead',
	'and works again with a new one');
$session->close;

done_testing;
