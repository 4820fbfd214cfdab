# A tenant sees its own: attempts to get at what is another's, and random statements, by an agent.  All texts of the other
# tenant carry a word, and its numbers some digits, that must be seen nowhere: rows, errors, notices, plans, statistics, other
# sessions.  OMNIMSG_STATEMENTS is how many random statements, OMNIMSG_SEED which, OMNIMSG_SQLSMITH how many of sqlsmith's.

use strict;
use warnings;

use IPC::Open3 qw(open3);
use IO::Socket::INET;
use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $mine = $node->seed->{organization};
my $theirs = '99999999-9999-7999-8999-999999999999';
my $canary = qr/CANARY|5558675309/;
my $statements = $ENV{OMNIMSG_STATEMENTS} // 5000;
my $seed = $ENV{OMNIMSG_SEED} // int rand 2**31;
diag("seed $seed");
srand $seed;

# ---- two tenants ----

$node->psql(<<"SQL");
CREATE ROLE agent_a LOGIN IN ROLE omnimsg_agent;
CREATE ROLE agent_b LOGIN IN ROLE omnimsg_agent;
CREATE ROLE admin_a LOGIN IN ROLE omnimsg_admin;
CREATE ROLE auditor_a LOGIN IN ROLE omnimsg_auditor;
CREATE ROLE pool LOGIN IN ROLE omnimsg_agent;
INSERT INTO omnimsg.organizations (id, name, settings) VALUES ('$theirs', 'CANARY Dental', '{"note": "CANARY"}');
SELECT omnimsg_map_role('agent_a', '$mine'), omnimsg_map_role('agent_b', '$theirs'), omnimsg_map_role('admin_a', '$mine'), omnimsg_map_role('auditor_a', '$mine');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider) VALUES ('+15558675309', '$theirs', 'telnyx');
INSERT INTO omnimsg.send_limits (organization_id, opens, closes) VALUES ('$mine', '00:00', '24:00'), ('$theirs', '00:00', '24:00');
INSERT INTO omnimsg.campaigns (organization_id, name, scope) VALUES ('$theirs', 'CANARY campaign', 'CANARY'), ('$mine', 'recall', 'all');
INSERT INTO omnimsg.keywords (organization_id, keyword, label) VALUES ('$theirs', 'CANARY', 'help'), ('$mine', 'genug', 'opt_out');
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, email)
	VALUES ('$theirs', 'CANARY customer', '+15558675309', 'CANARY\@example.com'), ('$mine', 'Our customer', '+15552000001', 'us\@example.com');
SQL

# all that can be got at by a webhook, and by the functions, in both
for my $tenant ([$mine, '+15552000100', '+15552000001', 'ours'], [$theirs, '+15558675309', '+15555867530', 'CANARY'])
{
	my ($organization, $did, $peer, $word) = @$tenant;
	my $peer_text = $word eq 'CANARY' ? 'CANARY' : 'hello';

	$node->send(from => $peer, to => $did, text => "$peer_text, please do not write me any more maybe", message_id => "$word-1");
	$node->send(from => $peer, to => $did, text => "$word stop", message_id => "$word-2");
	$node->psql(<<"SQL");
SELECT omnimsg_record_consent('$organization', 'email', '$word\@example.com', 'opt_in', 'web', '$word note', '$word');
SELECT omnimsg_flag_address('$organization', '$word\@example.com', 'wrong_number', '$word note');
SELECT omnimsg_place_hold('$organization', NULL, '$word case');
SELECT omnimsg_set_template('$organization', 'help', 'en', '$word {organization}: call us. Reply STOP to opt out.');
SELECT omnimsg_create_token('$organization', '$word');
INSERT INTO omnimsg.reviews (organization_id, id, message_organization_id, message_id, channel, address, our_address, rule, matched_text, provider, dedupe_key, occurred_at, due_at, created_at)
	VALUES ('$organization', omnimsg.uuid7(), '$organization', omnimsg.uuid7(), 'sms', '$word', '$word', '$word', '$word', '$word', '$word', now(), now() + interval '9 days', now());
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, cc, subject, message_body, media, status, external_message_id, provider, intent,
		intent_rule, error_code, error_detail, created_at)
	SELECT '$organization', omnimsg.uuid7(), 'outbound', 'sms', '$did', '$word', ARRAY['$word'], '$word', '$word text', '{"url": "$word"}', 'sent', '$word', '$word', '$word', '$word', '$word', '$word', now()
	  FROM generate_series(1, 200);
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, scope, state, next_attempt_at, expires_at, last_error, released_by, created_at, settled_at)
	SELECT '$organization', omnimsg.uuid7(), m.id, 'conversation', '$word', 'sent', now(), now(), '$word', '$word', m.created_at, now() FROM omnimsg.messages m
	 WHERE m.organization_id = '$organization' AND m.subject = '$word';
INSERT INTO omnimsg.reply_windows (organization_id, address, trigger, last_at) VALUES ('$organization', '$word', '$word', now());
INSERT INTO omnimsg.consent_repairs (organization_id, id, channel, address, scope) VALUES ('$organization', omnimsg.uuid7(), 'sms', '$word', '$word');
INSERT INTO omnimsg.events (provider, dedupe_key, event_type, received_at, organization_id, external_message_id, outcome, reason, key_id, signature, raw)
	VALUES ('telnyx', 'event:$word', '$word', now(), '$organization', '$word', 'dead', '$word', '$word', '$word', '$word');
INSERT INTO omnimsg.erasures (organization_id, id, address_hash, key_id, erased_by, erased_at, counts, returned_at)
	VALUES ('$organization', omnimsg.uuid7(), '$word', '$word', '$word', now(), '{"$word": 1}', now());
INSERT INTO omnimsg.event_counts (provider, received, counted_at) VALUES ('telnyx', 1, now());
INSERT INTO omnimsg.audit_logs (organization_id, id, action, resource_type, actor, old_value, new_value, created_at)
	VALUES ('$organization', omnimsg.uuid7(), '$word', '$word', '$word', '{"was": "$word"}', '{"is": "$word"}', now());
SQL
}
# what the worker and the provider do meanwhile would look like changes
$node->setting('omnimsg.dispatch', 'off');
$node->poll('SELECT state, in_flight FROM omnimsg_worker_status()', 'off|0') or die 'the worker does not rest';
$node->psql("UPDATE omnimsg.outbox SET expires_at = expires_at + interval '1 day' WHERE settled_at IS NULL");
$node->kill_simulator;
$node->seal_all;
$node->psql('ANALYZE');

my $without = $node->psql(<<"SQL");
DO \$\$
DECLARE r record; n int8; empty text := '';
BEGIN
	FOR r IN SELECT c.oid::regclass AS name, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('organization_id', 'id') ORDER BY a.attname DESC LIMIT 1) AS tenant
			   FROM pg_class c WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity AND NOT c.relispartition
	LOOP
		EXECUTE format('SELECT count(*) FROM %s WHERE %I = %L', r.name, r.tenant, '$theirs') INTO n;
		IF n = 0 THEN empty := empty || r.name || ' '; END IF;
	END LOOP;
	CREATE TABLE public.empty AS SELECT empty;
END \$\$;
SELECT * FROM public.empty;
DROP TABLE public.empty;
SQL
$without = join ' ', grep { !/^omnimsg\.(?:account_repairs|consent_repairs|unknown_policies)$/ } split ' ', $without;
is($without, '', 'the other tenant has rows in every table of tenants');

# attempt(SQL, user =>): all that the server says to it
sub attempt
{
	my ($sql, %options) = @_;
	my ($status, $out, $err) = $node->_run({ stdin => $sql }, $node->_bindir . '/psql', qw(-X -A -v VERBOSITY=verbose), '-U', $options{user} // 'agent_a',
		$options{port} ? ('-h', '127.0.0.1', '-p', $options{port}) : (), $options{port} || $options{go_on} ? ('-v', 'ON_ERROR_ROLLBACK=on') : ());

	return $out . $err;
}

# ---- it sees its own ----

my $theirs_id = $node->psql("SELECT id FROM omnimsg.messages WHERE organization_id = '$theirs' LIMIT 1");
my $their_review = $node->psql("SELECT id FROM omnimsg.reviews WHERE organization_id = '$theirs' LIMIT 1");
my $my_id = $node->psql("SELECT id FROM omnimsg.messages WHERE organization_id = '$mine' AND direction = 'inbound' ORDER BY created_at LIMIT 1");
my $my_peer = '+15552000001';
my $all = $node->psql("SELECT count(*), count(*) FILTER (WHERE organization_id = '$mine') FROM omnimsg.messages");
my ($of_all, $of_mine) = split /\|/, $all;
cmp_ok($of_mine, '<', $of_all, "of $of_all messages $of_mine are its own");
is($node->psql('SELECT count(*), count(DISTINCT organization_id) FROM omnimsg.messages', user => 'agent_a'), "$of_mine|1", 'an agent counts its own');
is($node->psql('SELECT count(*), count(DISTINCT organization_id) FROM omnimsg.messages', user => 'agent_b'), ($of_all - $of_mine) . '|1', 'the other agent the others');
is($node->psql('SELECT count(*) FROM omnimsg.messages', user => 'pool'), 0, 'who acts for nobody sees nothing');
like($node->psql("SELECT message_body FROM omnimsg_read_message('$mine', '$my_id')", user => 'agent_a'), qr/^hello/, 'it reads a text');
is($node->psql("SELECT count(*) FROM omnimsg_read_conversation('$mine', '+15552000001')", user => 'agent_a'), $node->psql("SELECT count(*) FROM omnimsg.messages WHERE organization_id = '$mine' AND peer_address = '+15552000001'"),
	'and a conversation');
is($node->psql("SELECT DISTINCT actor FROM omnimsg.audit_logs WHERE action = 'MESSAGE_VIEWED'"), 'role:agent_a', 'that is on record');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'MESSAGE_VIEWED'"),
	1 + $node->psql("SELECT count(*) FROM omnimsg.messages WHERE organization_id = '$mine' AND peer_address = '+15552000001'"), 'once for each message');

# logged(REGEX): how many lines of the server's log are like this
sub logged
{
	my ($like) = @_;

	open my $log, '<', $node->dir . '/log/postgres.log' or die $!;
	return scalar grep { $_ =~ $like } <$log>;
}

attempt("BEGIN; SELECT omnimsg_read_message('$mine', '$my_id'); ROLLBACK;");
attempt("BEGIN; SAVEPOINT s; SELECT omnimsg_read_message('$mine', '$my_id'); ROLLBACK TO s; COMMIT;");
is(logged(qr/omnimsg: role:agent_a was shown 1 message texts and 0 exports of organization $mine in a transaction that was rolled back; messages: $my_id$/), 2,
	'who reads and rolls back is in the log, with what it has read');
attempt("BEGIN; SAVEPOINT s; SELECT omnimsg_read_message('$mine', '$my_id'); RELEASE s; SAVEPOINT t; SELECT omnimsg_read_message('$mine', '$my_id'); ROLLBACK TO t; COMMIT;");
is(logged(qr/agent_a was shown 1 message texts/), 3, 'but not what an earlier savepoint has kept');
attempt("BEGIN; SELECT omnimsg_read_conversation('$mine', '$my_peer', max_count => 1) FROM generate_series(1, 12); ROLLBACK;");
is(logged(qr/agent_a was shown 12 message texts and 0 exports .*: [0-9a-f-]{36}(?:, [0-9a-f-]{36}){9} and 2 more$/), 1, 'of many it names some');
like(attempt("BEGIN; SELECT omnimsg_read_message('$mine', '$my_id'); PREPARE TRANSACTION 'later'"), qr/0A000: cannot PREPARE a transaction that has read texts/, 'none that has read can be prepared');
is(logged(qr/agent_a was shown 1 message texts/), 4, 'which is in the log as well');
attempt("BEGIN; SELECT omnimsg_export_person('$mine', '$my_peer'); ROLLBACK;", user => 'admin_a');
is(logged(qr/role:admin_a was shown [1-9]\d* message texts and 1 exports of organization $mine in .* rolled back; messages: .*$my_id/), 1, 'an export that is rolled back is, too');
like($node->psql("SELECT omnimsg_record_consent('$mine', 'sms', '+15552000009', 'opt_in', 'agent', 'on the telephone')", user => 'agent_a'), qr/^[0-9a-f-]{36}$/, 'it records consent');
like($node->psql("SELECT omnimsg_send('$mine', '+15552000009', 'Your appointment is tomorrow')", user => 'agent_a'), qr/^[0-9a-f-]{36}$/, 'it answers');
is($node->psql("SELECT count(*) > 0 FROM omnimsg.audit_logs", user => 'auditor_a'), 't', 'an auditor reads the audit trail');
is($node->psql("SELECT count(*) FROM omnimsg_replay_dead_letters()", user => 'admin_a'), 1, 'an administrator replays the dead letter that is its own');
like($node->psql("SELECT omnimsg_set_template('$mine', 'help', 'en', '{organization}: call us. Reply STOP to opt out.')", user => 'admin_a'), qr/^[0-9a-f-]{36}$/, 'and sets a template');

is($node->psql("SELECT omnimsg_set_reply_mode('$mine', '+15552000100', 'off')", user => 'admin_a'), 't', 'and who answers at a number of its own');
is($node->psql("SELECT omnimsg_set_reply_mode('$mine', '+1555867' || '5309', 'off')", user => 'admin_a'), 'f', 'not at one of the other');
is($node->psql("SELECT action, actor FROM omnimsg.audit_logs WHERE action IN ('TEMPLATE_SET', 'REPLY_MODE_SET') AND organization_id = '$mine' AND actor = 'role:admin_a' ORDER BY 1"),
	"REPLY_MODE_SET|role:admin_a\nTEMPLATE_SET|role:admin_a", 'that is on record');

# ---- attempts ----

sub rows_of_theirs
{
	return $node->psql("SELECT count(*), sum(hashtext(t::text)) FROM (SELECT m::text AS t FROM omnimsg.messages m WHERE organization_id = '$theirs'
	UNION ALL SELECT q::text FROM omnimsg.opt_out_requests q WHERE organization_id = '$theirs' UNION ALL SELECT v::text FROM omnimsg.reviews v WHERE organization_id = '$theirs'
	UNION ALL SELECT o::text FROM omnimsg.outbox o WHERE organization_id = '$theirs' UNION ALL SELECT f::text FROM omnimsg.address_flags f WHERE organization_id = '$theirs') AS t");
}

# ---- what plans tell ----

# statistics are about all tenants: the estimate for an address < 'X' jumps where one that is frequent lies, whoever has it
{
	my $ask = "SELECT id FROM omnimsg.messages WHERE to_number < 'CANARY' || '%s'";
	my $estimate = sub { return $node->psql("EXPLAIN (FORMAT JSON) " . sprintf($ask, $_[0]), user => $_[1]) =~ /\A.*?"Plan Rows": (\d+)/s ? $1 : undef };

	# the concatenation is computed when the plan is made
	isnt($estimate->(''), $estimate->('!'), 'a superuser sees by EXPLAIN where the other has a number');
	for my $explain ("EXPLAIN SELECT id FROM omnimsg.messages WHERE to_number < 'X'", 'EXPLAIN SELECT 1', "EXPLAIN (ANALYZE, BUFFERS) SELECT name FROM omnimsg.organizations",
		"PREPARE p AS SELECT id FROM omnimsg.messages WHERE to_number < \$1; EXPLAIN EXECUTE p('X')", 'EXPLAIN DECLARE c CURSOR FOR SELECT 1',
		"DO \$\$ DECLARE r record; BEGIN FOR r IN EXPLAIN SELECT id FROM omnimsg.messages WHERE to_number < 'X' LOOP RAISE NOTICE '%', r; END LOOP; END \$\$",
		"DO \$\$ DECLARE t text; BEGIN EXECUTE 'EXPLAIN SELECT 1' INTO t; RAISE NOTICE '%', t; END \$\$")
	{
		my $said = attempt($explain);

		like($said, qr/42501: permission denied for EXPLAIN/, "not to an agent: $explain");
		unlike($said, qr/rows=/, 'and no estimate');
	}
	like(attempt('EXPLAIN SELECT 1', user => $_), qr/permission denied for EXPLAIN/, "nor to $_") for qw(auditor_a admin_a pool);
	$node->psql("CREATE FUNCTION public.explain() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS \$\$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN SELECT 1'; END \$\$");
	like(attempt('SELECT public.explain()'), qr/permission denied for EXPLAIN/, 'nor through a function of a superuser\'s');
	like($node->psql('SELECT public.explain()'), qr/rows=1 /, 'which a superuser may call');
	$node->psql('DROP FUNCTION public.explain()');

	# whoever is no tenant's may, and learns nothing either
	$node->psql('CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA omnimsg TO reader; GRANT SELECT (id, to_number) ON omnimsg.messages TO reader');
	$node->psql("INSERT INTO omnimsg.tenant_roles VALUES ('reader', '$mine', now(), 'nobody')");
	like($estimate->('', 'reader'), qr/^\d+$/, 'a role of somebody else\'s may ask');
	is($estimate->('', 'reader'), $estimate->('!', 'reader'), 'and the planner knows no number where rows are kept back');
	$node->psql('DELETE FROM omnimsg.tenant_roles WHERE role_name = \'reader\'; REVOKE ALL ON SCHEMA omnimsg FROM reader; REVOKE ALL (id, to_number) ON omnimsg.messages FROM reader; DROP ROLE reader');

	# what is meant for the log
	$node->setting('session_preload_libraries', 'auto_explain');
	$node->setting('auto_explain.log_min_duration', '0');
	my $logged = "SET client_min_messages = log; SET debug_print_plan = on; SET debug_print_parse = on; SELECT count(*) FROM omnimsg.messages WHERE to_number < 'X'";
	my $plan = qr/rows=|plan_rows|PLANNEDSTMT|Query Text/;
	ok($node->wait_until(sub { attempt($logged, user => 'postgres') =~ $plan }), 'a superuser is shown a plan that is logged');
	my $said = attempt($logged);
	unlike($said, $plan, 'an agent is not');
	like($said, qr/^count/m, 'and gets his rows');
	$node->setting($_) for qw(session_preload_libraries auto_explain.log_min_duration);
	ok($node->wait_until(sub { attempt('SHOW session_preload_libraries', user => 'postgres') !~ /auto_explain/ }), 'it is not logged any more');

	# rows that an index finds are counted before they are kept back
	my $counted = "BEGIN; SET LOCAL enable_seqscan = off; SELECT count(received_at) FROM omnimsg.events WHERE provider = 'telnyx' AND dedupe_key BETWEEN 'event:CANAR' AND 'event:CANARZ';
		SELECT 'fetched ' || coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = 'events'; ROLLBACK";
	like(attempt($counted, user => 'postgres'), qr/^fetched [1-9]/m, 'a superuser finds by index');
	like(attempt($counted, user => 'admin_a'), qr/^fetched 0$/m, 'an administrator of a tenant does not find what is another\'s');
	is($node->psql('SELECT count(*) FROM pg_stats WHERE schemaname = \'omnimsg\' AND tablename NOT LIKE \'audit_keys%\'', user => 'admin_a'), 0, 'nor are there statistics to read');
}

my $before = rows_of_theirs();
my ($month) = $node->psql("SELECT tableoid::regclass FROM omnimsg.messages WHERE id = '$theirs_id'");
my @attempts = (
	'all of a table' => 'SELECT * FROM omnimsg.messages',
	'the rows of the other' => "SELECT id, peer_address, from_number FROM omnimsg.messages WHERE organization_id = '$theirs'",
	'a column that is not granted' => 'SELECT message_body, subject FROM omnimsg.messages',
	'the whole row as text or JSON' => 'SELECT m::text FROM omnimsg.messages m; SELECT to_jsonb(a) FROM omnimsg.collection_accounts a; SELECT json_agg(o) FROM omnimsg.organizations o',
	'a month itself' => "SELECT * FROM $month; SELECT organization_id, peer_address FROM omnimsg.messages_default",
	'a setting for the tenant' => "SET omnimsg.organization_id = '$theirs'; SET omnimsg.current_organization = '$theirs'; SELECT set_config('omnimsg.org', '$theirs', false); SELECT set_config('omnimsg.tenant', '$theirs', true); SET myapp.organization_id = '$theirs'; SELECT name FROM omnimsg.organizations",
	'row_security off' => 'SET row_security = off; SELECT name FROM omnimsg.collection_accounts; SELECT name FROM omnimsg.organizations',
	'another role' => 'SET ROLE omnimsg_owner; SET ROLE omnimsg_worker; SET ROLE postgres; SET ROLE agent_b; SET SESSION AUTHORIZATION agent_b; SET ROLE omnimsg_agent; SELECT name FROM omnimsg.organizations',
	'views' => 'SELECT * FROM omnimsg.dead_letters; SELECT * FROM omnimsg.consent_drift; SELECT * FROM omnimsg.conservation',
	'an error that tells the value' => 'SELECT 1 FROM omnimsg.collection_accounts WHERE name::int = 1; SELECT 1 FROM omnimsg.organizations WHERE name::uuid IS NULL; SELECT 1 FROM omnimsg.campaigns WHERE scope::inet IS NULL; SELECT name::date FROM omnimsg.organizations',
	'an error that tells that there is one' => "SELECT 1 / (strpos(name, 'C') - 1) FROM omnimsg.organizations; SELECT 1 FROM omnimsg.organizations WHERE 1 / (strpos(name, 'C') - 1) > 0",
	'a function in pg_temp in a condition' => 'CREATE FUNCTION pg_temp.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE \'%\', $1; RETURN true; END $$; SELECT name FROM omnimsg.organizations WHERE pg_temp.leak(name)',
	'a function of its own in a condition' => 'CREATE FUNCTION public.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE \'%\', $1; RETURN true; END $$; SELECT name FROM omnimsg.organizations WHERE public.leak(name)',
	'an operator of its own' => 'CREATE OPERATOR public.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq); SELECT name FROM omnimsg.organizations WHERE name OPERATOR(public.<<<) name',
	'notices from a loop' => 'DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM omnimsg.collection_accounts LOOP RAISE NOTICE \'%\', r; END LOOP; END $$; DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM omnimsg.organizations LOOP RAISE WARNING \'%\', r; END LOOP; END $$',
	'plans' => 'EXPLAIN (VERBOSE) SELECT name FROM omnimsg.organizations WHERE name > \'B\'; EXPLAIN (ANALYZE, VERBOSE, BUFFERS) SELECT peer_address FROM omnimsg.messages; EXPLAIN (VERBOSE, FORMAT JSON) SELECT address FROM omnimsg.consents ORDER BY 1',
	'statistics' => 'SELECT * FROM pg_stats WHERE schemaname = \'omnimsg\'; SELECT * FROM pg_statistic; SELECT * FROM pg_stats_ext; SELECT * FROM pg_stats_ext_exprs',
	'other sessions' => 'SELECT * FROM pg_stat_activity; SELECT * FROM pg_stat_get_activity(NULL); SELECT pg_stat_get_backend_activity(n) FROM generate_series(1, 50) n; SELECT * FROM pg_locks; SELECT * FROM pg_prepared_xacts; SELECT * FROM pg_cursors; SELECT * FROM pg_prepared_statements',
	'a text of the other by its function' => "SELECT * FROM omnimsg_read_message('$theirs', '$theirs_id'); SELECT * FROM omnimsg_read_message('$mine', '$theirs_id')",
	'a conversation of the other' => "SELECT * FROM omnimsg_read_conversation('$theirs', '+15555867530'); SELECT * FROM omnimsg_read_conversation('$mine', '+15555867530')",
	'a text from the other' => "SELECT omnimsg_send('$theirs', '+15555867530', 'hello'); SELECT omnimsg_send('$mine', '+15552000009', 'hello', from_number => '+1555867' || '5309')",
	'consent of the other' => "SELECT omnimsg_record_consent('$theirs', 'sms', '+15555867530', 'opt_in', 'agent', 'a note'); SELECT omnimsg_consent_as_of('$theirs', 'sms', '+15555867530'); SELECT omnimsg_explain_send('$theirs', 'sms', '+15555867530'); SELECT omnimsg_flag_address('$theirs', '+15555867530', 'wrong_number')",
	'a review of the other' => "SELECT omnimsg_review('$their_review', 'none', 'somebody'); SELECT omnimsg_release('$theirs_id', 'somebody')",
	'functions that are not granted' => "SELECT omnimsg_ingest('telnyx', '{}'); SELECT omnimsg_maintain(); SELECT omnimsg_arm(); SELECT omnimsg_stats(); SELECT omnimsg_health(); SELECT omnimsg_replay_dead_letters(); SELECT omnimsg_create_token('$mine', 'me'); SELECT omnimsg_map_role('agent_a', '$theirs'); SELECT omnimsg_assign_number('+15552000100', '$theirs')",
	'functions inside' => "SELECT omnimsg.purge('omnimsg.messages', 'true'); SELECT omnimsg.move_rows('messages', '2026-01-01', true); SELECT omnimsg.lock_soon('LOCK TABLE omnimsg.events'); SELECT omnimsg.security_findings(); SELECT omnimsg.is_held('$theirs', '$theirs_id'); SELECT omnimsg.drop_month('messages_default')",
	'a key that is taken' => "INSERT INTO omnimsg.organizations (id, name) VALUES ('$theirs', 'x'); INSERT INTO omnimsg.campaigns (organization_id, name) VALUES ('$theirs', 'x'); INSERT INTO omnimsg.consents (organization_id, channel, address, changed_at) VALUES ('$theirs', 'sms', 'x', now()) ON CONFLICT DO NOTHING",
	'changing and removing' => "UPDATE omnimsg.collection_accounts SET name = 'x'; DELETE FROM omnimsg.messages; TRUNCATE omnimsg.reviews; MERGE INTO omnimsg.campaigns c USING omnimsg.organizations o ON c.organization_id = o.id WHEN MATCHED THEN DELETE",
	'a reference to what is there' => "CREATE TABLE public.probe (id uuid REFERENCES omnimsg.organizations (id)); CREATE TEMPORARY TABLE probe (id uuid REFERENCES omnimsg.organizations (id)); INSERT INTO probe VALUES ('$theirs')",
	'COPY' => 'COPY omnimsg.collection_accounts TO STDOUT; COPY (SELECT * FROM omnimsg.organizations) TO STDOUT; COPY omnimsg.organizations TO PROGRAM \'cat\'; COPY omnimsg.messages_default TO STDOUT',
	'locks' => 'BEGIN; LOCK TABLE omnimsg.messages IN ACCESS EXCLUSIVE MODE; ROLLBACK; BEGIN; LOCK TABLE omnimsg.consents IN SHARE MODE; ROLLBACK; SELECT name FROM omnimsg.organizations FOR UPDATE; SELECT name FROM omnimsg.organizations FOR KEY SHARE',
	'XML of all of it' => "SELECT query_to_xml('SELECT * FROM omnimsg.organizations', true, false, ''); SELECT schema_to_xml('omnimsg', true, false, ''); SELECT table_to_xml('omnimsg.collection_accounts', true, false, ''); SELECT database_to_xml(true, false, '')",
	'samples and places of rows' => "SELECT name FROM omnimsg.organizations TABLESAMPLE SYSTEM (100); SELECT ctid, xmin, tableoid, name FROM omnimsg.organizations WHERE ctid = '(0,2)'; SELECT name FROM omnimsg.organizations WHERE ctid IN ('(0,1)', '(0,2)', '(0,3)')",
	'a wrong token' => "BEGIN; SELECT omnimsg_login('omnimsg_' || repeat('A', 43)); ROLLBACK; BEGIN; SELECT omnimsg_login(NULL); ROLLBACK; BEGIN; SELECT omnimsg_login(''); ROLLBACK; SELECT hash FROM omnimsg.access_tokens; SELECT * FROM omnimsg.tenant_roles",
	'files and programs' => "SELECT pg_read_file('/etc/passwd'); SELECT pg_ls_dir('.'); SELECT lo_import('/etc/passwd'); COPY omnimsg.organizations FROM '/etc/passwd'; LOAD 'omnimsg'; CREATE EXTENSION dblink; CREATE FUNCTION f() RETURNS void LANGUAGE c AS 'omnimsg', 'omnimsg_arm'",
	'taking the fences away' => 'ALTER TABLE omnimsg.organizations DISABLE ROW LEVEL SECURITY; DROP POLICY tenant ON omnimsg.organizations; CREATE POLICY mine ON omnimsg.organizations USING (true); ALTER VIEW omnimsg.dead_letters SET (security_invoker = false); CREATE OR REPLACE FUNCTION omnimsg.current_organization() RETURNS uuid LANGUAGE sql AS $$ SELECT NULL::uuid $$',
	'more rights' => 'GRANT omnimsg_admin TO agent_a; GRANT SELECT ON omnimsg.messages TO agent_a; ALTER ROLE agent_a SUPERUSER; ALTER ROLE agent_a BYPASSRLS; REASSIGN OWNED BY omnimsg_owner TO agent_a; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO agent_a',
	'a trigger, a rule, a view of its own' => 'CREATE VIEW public.v AS SELECT * FROM omnimsg.organizations; CREATE RULE r AS ON SELECT TO omnimsg.messages DO INSTEAD SELECT 1; CREATE TRIGGER t BEFORE INSERT ON omnimsg.messages FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); CREATE MATERIALIZED VIEW public.m AS SELECT 1; CREATE SCHEMA mine',
	'a cached plan' => "PREPARE p AS SELECT name FROM omnimsg.organizations; SET plan_cache_mode = force_generic_plan; EXECUTE p; EXECUTE p; EXECUTE p; EXECUTE p; EXECUTE p; EXECUTE p; EXPLAIN EXECUTE p",
	'a search_path that leads astray' => 'SET search_path = pg_temp, omnimsg, public; SELECT name FROM organizations; SELECT omnimsg_read_conversation(current_organization(), \'+15555867530\'); SELECT current_organization()',
	'sizes of joins and unions' => "SELECT count(*) FROM omnimsg.messages m FULL JOIN omnimsg.outbox o ON true LIMIT 1; SELECT name FROM omnimsg.organizations UNION SELECT address FROM omnimsg.consents UNION SELECT peer_address FROM omnimsg.messages; WITH RECURSIVE r AS (SELECT name, 1 AS n FROM omnimsg.organizations UNION ALL SELECT name, n + 1 FROM r WHERE n < 3) SELECT * FROM r",
	'two-phase commit' => "BEGIN; SELECT name FROM omnimsg.organizations; PREPARE TRANSACTION 'probe'",
	'parallel workers' => "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET force_parallel_mode = on; SELECT count(*), min(peer_address), max(from_number) FROM omnimsg.messages; SELECT max(name) FROM omnimsg.organizations",
	'listening' => "LISTEN omnimsg; NOTIFY omnimsg; SELECT pg_notify('omnimsg', 'x'); SELECT * FROM pg_listening_channels()",
	'the log and the settings' => "SELECT * FROM pg_settings WHERE name LIKE 'omnimsg%'; SHOW omnimsg.secrets_dir; SELECT * FROM pg_db_role_setting; SELECT pg_current_logfile(); SELECT * FROM pg_file_settings");

my $other = $node->session(user => 'agent_b');
$other->query("SELECT 'CANARY' FROM omnimsg.organizations");
my %attempts = @attempts;
my $count = 0;
while (my ($title, $sql) = splice @attempts, 0, 2)
{
	my $said = attempt($sql);

	unlike($said, $canary, "attempt: $title");
	cmp_ok(length $said, '>', 0, "$title: something was said") or diag($sql);
	$count++;
}
$other->close;
cmp_ok($count, '>=', 40, "these were $count attempts");
is(rows_of_theirs(), $before, 'nothing of the other has changed');
unlike(attempt("SELECT * FROM omnimsg_replay_dead_letter('telnyx', 'event:CANA' || 'RY'); SELECT * FROM omnimsg_replay_dead_letters('CANA' || 'RY'); SELECT * FROM omnimsg.access_tokens; SELECT name FROM omnimsg.access_tokens;
	SELECT omnimsg_create_token('$theirs', 'me'); SELECT omnimsg_revoke_token('$theirs', 'CANA' || 'RY'); SELECT omnimsg_map_role('agent_a', '$theirs'); SELECT omnimsg_map_role('agent_b', '$mine'); SELECT omnimsg_map_role('agent_b', NULL);
	SELECT omnimsg_set_template('$theirs', 'help', 'en', NULL); SELECT omnimsg_set_reply_mode('$theirs', '+1555867' || '5309', 'off'); SELECT omnimsg_export_person('$theirs', '+1555867' || '5309'); SELECT omnimsg_erase_person('$theirs', '+15555867530'); SELECT event_type, reason, dedupe_key FROM omnimsg.events; SELECT * FROM omnimsg.audit_logs", user => 'admin_a'), qr/CANARY|psql: error/, 'an administrator has no more of the other');
is($node->psql('SELECT role_name, organization_id FROM omnimsg.tenant_roles WHERE role_name = \'agent_b\''), "agent_b|$theirs", 'and has not taken the other\'s role');
is($node->psql("SELECT outcome FROM omnimsg.events WHERE dedupe_key = 'event:CANARY'"), 'dead', 'nor its dead letter');
is($node->psql("SELECT count(*) FROM omnimsg.access_tokens WHERE name = 'CANARY' AND revoked_at IS NULL"), 1, 'nor its token');

$node->psql('CREATE ROLE newcomer LOGIN IN ROLE omnimsg_agent; CREATE ROLE helper LOGIN IN ROLE omnimsg_agent; CREATE ROLE seer LOGIN BYPASSRLS IN ROLE omnimsg_agent; GRANT helper TO admin_a WITH ADMIN OPTION');
like($node->psql_error("SELECT omnimsg_map_role('$_', '$mine')", user => 'admin_a'), qr/42501: must have admin option on role "$_"/, "an administrator does not take the role $_, which nobody has given him") for qw(pool newcomer auditor_a);
my $superuser = $node->psql('SELECT current_user');
for my $role (qw(omnimsg_admin omnimsg_agent omnimsg_owner omnimsg_worker seer), $superuser)
{
	like($node->psql_error("SELECT omnimsg_map_role('$role', '$mine')", user => $_), qr/22023: role "$role" cannot act for an organization/, "$_ cannot map $role")
		for 'admin_a', $superuser;
}
is($node->psql("SELECT omnimsg_map_role('helper', '$mine')", user => 'admin_a'), 't', 'what he may give away he maps');
is($node->psql("SELECT omnimsg_map_role('helper', NULL)", user => 'admin_a'), 't', 'and takes back');
is($node->psql("SELECT string_agg(role_name, ' ' ORDER BY role_name) FROM omnimsg.tenant_roles"), 'admin_a agent_a agent_b auditor_a', 'the others are as they were');
my ($their_request) = split /\n/, $node->psql("SELECT q.id FROM omnimsg.opt_out_requests q WHERE q.organization_id = '$theirs' ORDER BY q.id");
my @answers = map { $node->psql_error("SELECT verdict FROM omnimsg_reverify('$_')", user => 'auditor_a') } $their_request, $theirs_id;
like($answers[0], qr/42704: there is no such request/, 'an auditor proves no request of the other');
is($answers[0], $answers[1], 'and is not told that there is one');
is(join('|', $node->psql("SELECT omnimsg_set_template('$mine', 'Peter Miller', '+15552000001', NULL) IS NULL", user => 'admin_a'),
	$node->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE new_value::text LIKE '%+15552000001%'")), 't|0', 'no template is none that is taken back, and what is not said of one is not put on record');
like($node->psql_error("SELECT omnimsg_record_consent('$mine', 'sms', '+15552000009', 'opt_out', 'agent', scope => 'offers of +15552000001')", user => 'agent_a'),
	qr/22023: scope must not have an e-mail address or a number in it/, 'nor is a number in the name of a category');
unlike(attempt('SELECT * FROM omnimsg.audit_logs; SELECT actor, old_value, new_value FROM omnimsg.audit_logs; SELECT note FROM omnimsg.opt_out_requests; SELECT reason FROM omnimsg.legal_holds', user => 'auditor_a'), $canary, 'an auditor sees the trail of his own');

# who may only read and call cannot stand in the way
like(attempt("BEGIN; LOCK TABLE omnimsg.$_ IN SHARE MODE"), qr/42501: permission denied for table $_/, "an agent cannot lock omnimsg.$_") for qw(messages consents reviews);
my $ingest = $node->session;
$ingest->query("BEGIN; SELECT omnimsg_ingest('telnyx', convert_to('{\"data\":{\"event_type\":\"message.received\",\"id\":\"lock\",\"payload\":{\"id\":\"lock\",\"text\":\"hello\",\"from\":{\"phone_number\":\"+15552000001\"},\"to\":[{\"phone_number\":\"+15552000100\"}]}}}', 'UTF8'))");
is($node->psql("SELECT count(*) > 0, bool_and(objsubid > 2) FROM pg_locks WHERE locktype = 'advisory'"), 't|t', 'the locks of numbers are none that functions of SQL take');
$ingest->close;

# ---- logging in ----

my %token = map { $_->[1] => $node->psql("SELECT omnimsg_create_token('$_->[0]', '$_->[1] pool')") } [$mine, 'a'], [$theirs, 'b'];
my $orgs = 'SELECT id FROM omnimsg.organizations';
like($token{a}, qr/^omnimsg_[A-Za-z0-9_-]{43}$/, 'a token');
like($node->psql_error("SELECT omnimsg_create_token('$mine', '$_')"), qr/22023: name must not have an e-mail address or a number in it/, 'nobody is named by an address') for 'ann@example.com', '+1 555 555 0123';
is($node->psql("SELECT count(*) FROM omnimsg.access_tokens t WHERE t::text LIKE '%' || substr('$token{a}', 9) || '%'"), 0, 'is not stored');
my $session = $node->session(user => 'pool');
my $log_in = sub { return "SELECT omnimsg_login('$token{$_[0]}')" };
is($session->query("BEGIN; $orgs"), '', 'before it is given there are no rows');
is($session->query($log_in->('a')), $mine, 'it says for whom');
is($session->query($orgs), $mine, 'then there are its rows');
is($session->query('SAVEPOINT s; ROLLBACK TO s; ' . $orgs), $mine, 'still after a savepoint was rolled back');
like($session->query($log_in->('b')), qr/acts for another organization already/, 'nobody acts for two in one transaction');
is($session->query("ROLLBACK; BEGIN; $orgs"), '', 'it ends with ROLLBACK');
is($session->query($log_in->('b') . "; COMMIT; BEGIN; $orgs; COMMIT"), $theirs, 'and with COMMIT');
is($session->query('BEGIN; SAVEPOINT s; ' . $log_in->('a') . "; ROLLBACK TO s; $orgs; COMMIT"), $mine, 'and with the savepoint that it was made after');
is($session->query('BEGIN; SAVEPOINT s; ' . $log_in->('a') . "; RELEASE s; $orgs; COMMIT; $orgs"), "$mine\n$mine", 'one that was released has not taken it along');
is($session->query('BEGIN; SAVEPOINT s; SAVEPOINT t; ' . $log_in->('a') . "; RELEASE t; ROLLBACK TO s; $orgs; COMMIT"), $mine, 'but for one around it that is rolled back');
is($session->query("DO \$\$ BEGIN PERFORM omnimsg_login('$token{a}'); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN PERFORM 1; END \$\$; $orgs") =~ s/^WARNING.*|^HINT.*//gmr =~ s/\A\n+//r, '', 'nor does an exception block that failed leave one');
like($session->query($log_in->('a')), qr/WARNING:  omnimsg_login\(\) ends with the transaction/, 'outside of a transaction there is a warning');
is($session->query($orgs), '', 'and nothing more');
is($session->query('BEGIN; ' . $log_in->('a') . "; DECLARE c CURSOR WITH HOLD FOR $orgs; COMMIT"), $mine, 'a cursor that would be held');
like($session->query('FETCH ALL FROM c'), qr/cursor "c" does not exist/, 'is closed with the login');
$session->query("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT o.id FROM omnimsg.organizations o, generate_series(1, 3) ORDER BY 1; SAVEPOINT s; " . $log_in->('a') . '; FETCH 1 FROM c; ROLLBACK TO s; COMMIT');
like($session->query('FETCH ALL FROM c'), qr/cursor "c" does not exist/, 'also when the login was taken back and the cursor was not');
is($session->query("SET plan_cache_mode = force_generic_plan; PREPARE o AS $orgs; BEGIN; " . $log_in->('a') . '; EXECUTE o; COMMIT; BEGIN; ' . $log_in->('b') . '; EXECUTE o; COMMIT; EXECUTE o'),
	"$mine\n$mine\n$theirs\n$theirs", 'a plan that is kept is one for each login');
is($session->query('BEGIN; ' . $log_in->('a') . "; SELECT count(*) FROM omnimsg_read_message('$mine', '$my_id'); COMMIT"), "$mine\n1", 'a text is read');
is($node->psql("SELECT DISTINCT actor FROM omnimsg.audit_logs WHERE action = 'MESSAGE_VIEWED' AND actor LIKE 'token:%'"), 'token:a pool', 'by the name of the token');
$session->query('BEGIN; ' . $log_in->('a') . "; SELECT count(*) FROM omnimsg_read_message('$mine', '$my_id'); ROLLBACK");
is(logged(qr/omnimsg: token:a pool was shown 1 message texts and 0 exports of organization $mine/), 1, 'also in the log');
like($session->query('BEGIN; ' . $log_in->('a') . "; SELECT count(*) FROM omnimsg_read_message('$theirs', '$theirs_id')"), qr/does not act for that organization/, 'none of the other\'s');
$session->query('ROLLBACK');
$session->begin("BEGIN; SELECT omnimsg_login('$token{a}'), pg_sleep(60)");
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pool' AND query = 'SELECT omnimsg_login(...'", 1), 'other sessions do not see the statement with the token');
$node->psql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'pool' AND state = 'active'");
$session->result;
$session->query('ROLLBACK');

my @wrong = ("omnimsg_" . 'A' x 43, $token{a} . 'x', substr($token{a}, 0, -1), uc $token{a});
$node->psql("SELECT omnimsg_create_token('$mine', 'short', now() + interval '1 hour')") =~ /(\S+)/ and push @wrong, $1;
$node->psql("UPDATE omnimsg.access_tokens SET expires_at = now() WHERE name = 'short'");
is($node->psql("SELECT omnimsg_revoke_token('$mine', 'a pool')"), 1, 'a token is revoked');
push @wrong, $token{a};
my %said = map { ($session->query("BEGIN; SELECT omnimsg_login('$_')") =~ s/LINE.*//sr => 1), ($session->query('ROLLBACK') ? () : ()) } @wrong;
is(scalar keys %said, 1, 'wrong, expired and revoked tokens get the same answer') or diag(join "\n", keys %said);
like((keys %said)[0], qr/the token is not valid/, 'that they are not valid');
$session->close;
$token{a} = $node->psql("SELECT omnimsg_create_token('$mine', 'a pool')");
is($node->psql("SELECT action, count(*) FROM omnimsg.audit_logs WHERE action LIKE 'TOKEN%' OR action LIKE 'ROLE%' GROUP BY 1 ORDER BY 1"), "ROLE_MAPPED|5\nROLE_UNMAPPED|1\nTOKEN_CREATED|6\nTOKEN_REVOKED|1", 'all of it is on record');

# one function, one plan, several roles in one session
my $dba = $node->session;
$dba->query("CREATE FUNCTION public.whose() RETURNS SETOF uuid LANGUAGE plpgsql AS \$\$ BEGIN RETURN QUERY $orgs; END \$\$; GRANT EXECUTE ON FUNCTION public.whose() TO PUBLIC");
is(join('|', map { $dba->query("SET ROLE $_; SELECT whose()") } qw(agent_a agent_b agent_a pool)), "$mine|$theirs|$mine|", 'a plan is not kept over a change of role');
$dba->query('RESET ROLE; DROP FUNCTION public.whose()');
$dba->close;

# ---- random statements ----

# relations(CONDITION): of the extension, with the columns for which it holds
sub relations
{
	my ($condition) = @_;

	return map { my ($name, @columns) = split /\|/; [$name, [split / /, $columns[0] // '']] } split /\n/, $node->psql(<<"SQL");
SELECT c.oid::regclass, string_agg(quote_ident(a.attname), ' ' ORDER BY a.attnum)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND $condition
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v') GROUP BY c.oid ORDER BY 1
SQL
}

my @relations = relations('true');
# most statements ask for what they may, or all that comes back is that they may not
my @open = relations("has_column_privilege('agent_a', c.oid, a.attnum, 'SELECT')");
my @functions = split /\n/, $node->psql(<<'SQL');
SELECT p.oid::regproc || '|' || coalesce(string_agg(t::regtype::text, '|' ORDER BY n), '')
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'omnimsg'
  LEFT JOIN LATERAL unnest(p.proargtypes::oid[]) WITH ORDINALITY AS w (t, n) ON true
 WHERE p.proname NOT IN ('omnimsg_map_role') GROUP BY p.oid ORDER BY 1
SQL

sub any { return $_[rand @_] }

my %value = (
	uuid => sub { any("'$mine'", "'$theirs'", "'$theirs_id'", "'$my_id'", "'$their_review'", 'NULL', 'omnimsg.current_organization()', 'omnimsg.uuid7()') },
	text => sub { any("'sms'", "'email'", "'opt_in'", "'+15552000001'", "'+15555867530'", "'STOP'", "'%'", "''", "'agent'", "'messages'", "'help'", "'telnyx'", 'NULL', 'current_user', "repeat('x', 300)") },
	'timestamp with time zone' => sub { any('now()', "'infinity'", "'2020-01-01'", 'NULL', "'-infinity'") },
	integer => sub { any(0, 1, -1, 1000, 'NULL', 2147483647) },
	boolean => sub { any('true', 'false', 'NULL') },
	bytea => sub { any("'{}'", "'\\x00'", 'NULL') },
	interval => sub { any("'1 day'", 'NULL', "'1000 years'") },
	date => sub { any('current_date', "'2026-01-01'") },
	name => sub { any("'agent_a'", "'agent_b'") },
	bigint => sub { any(0, 1, -1) });

sub value { my ($type) = @_; return ($value{$type} // sub { 'NULL' })->() }

sub column
{
	my ($relation) = @_;
	my $column = any(@{ $relation->[1] });

	return rand() < 0.05 ? any('ctid', 'xmin', 'tableoid::regclass', '*') : $column;
}

sub expression
{
	my ($alias, $relation, $depth) = @_;
	my $column = "$alias." . column($relation);

	return $column if $column =~ /\*$/ || $depth > 2 || rand() < 0.3;
	my $inner = expression($alias, $relation, $depth + 1);
	return any("$inner", "${inner}::text", "length(${inner}::text)", "${inner}::text::int", "${inner}::text::uuid", "${inner}::text::inet", "upper(${inner}::text)", "md5(${inner}::text)",
		"substr(${inner}::text, 1, 3)", "1 / (length(${inner}::text) - " . int(rand 20) . ")", "coalesce(${inner}::text, 'x')", "array_agg($inner) OVER ()", "${inner}::text::jsonb", "count(*) OVER (PARTITION BY $inner)",
		"encode(${inner}::text::bytea, 'hex')", "to_jsonb($inner)", "lag($inner) OVER ()", "quote_literal($inner)", "${inner}::text::date", "query_to_xml('SELECT * FROM $relation->[0]', true, false, '')");
}

sub condition
{
	my ($alias, $relation) = @_;
	my $e;

	do { $e = expression($alias, $relation, 1) } while $e =~ / OVER /;	# which WHERE does not take
	return any('true', "$e IS NOT NULL", "${e}::text > 'B'", "${e}::text ~ '^C'", "$alias.organization_id = '$theirs'", "$alias.organization_id <> omnimsg.current_organization()", "${e}::text LIKE '%A%'",
		"NOT (${e}::text = 'x')", "1 / (length(${e}::text) - 5) > 0", "${e}::text::int > 0", "EXISTS (SELECT FROM omnimsg.organizations z WHERE z.name = ${e}::text)", "random() < 0.5", "$alias IS NOT NULL", "${alias}::text ~ 'CAN'");
}

sub select_statement
{
	my $relation = rand() < 0.8 ? any(@open) : any(@relations);
	my $second = any(@open);
	my $list = join ', ', map { expression('t', $relation, 0) } 0 .. rand 3;
	my $sql = "SELECT $list FROM $relation->[0] t";

	$sql .= any('', '', " JOIN $second->[0] u ON true", " LEFT JOIN $second->[0] u ON u.organization_id = t.organization_id", " TABLESAMPLE BERNOULLI (50)", " CROSS JOIN LATERAL (SELECT count(*) FROM $second->[0] w WHERE w.organization_id <> t.organization_id) l");
	$sql .= ' WHERE ' . join any(' AND ', ' OR '), map { condition('t', $relation) } 0 .. rand 2 if rand() < 0.7;
	$sql .= any('', '', ' ORDER BY 1', ' ORDER BY 1 DESC', ' LIMIT 3', ' FOR SHARE', ' GROUP BY GROUPING SETS ((), (1))');
	return $sql;
}

sub statement
{
	my $kind = rand;
	my $select = select_statement();
	my $relation = any(@open);

	return $select if $kind < 0.45;
	return any('EXPLAIN', 'EXPLAIN ANALYZE', 'EXPLAIN (VERBOSE, FORMAT YAML)') . " $select" if $kind < 0.47;
	return "DO \$d\$ DECLARE r record; BEGIN FOR r IN $select LOOP RAISE NOTICE '%', r; END LOOP; END \$d\$" if $kind < 0.62;
	return "COPY ($select) TO STDOUT" if $kind < 0.65;
	if ($kind < 0.85)
	{
		my ($name, @types) = split /\|/, any(@functions);

		return "SELECT * FROM $name(" . join(', ', map { /\[\]$/ ? "ARRAY[" . value(substr $_, 0, -2) . "]::$_" : value($_) . "::$_" } @types) . ')';
	}
	return any("UPDATE $relation->[0] t SET $relation->[1][0] = $relation->[1][0] WHERE " . condition('t', $relation), "DELETE FROM $relation->[0] t WHERE " . condition('t', $relation),
		"INSERT INTO $relation->[0] SELECT * FROM $relation->[0] ON CONFLICT DO NOTHING", "TRUNCATE $relation->[0]", "LOCK TABLE $relation->[0]", "COPY $relation->[0] TO STDOUT", "TABLE $relation->[0]",
		"SET row_security = " . any('on', 'off'), "SET ROLE " . any('agent_a', 'agent_b', 'omnimsg_owner', 'omnimsg_agent', 'NONE'), "SET enable_indexscan = " . any('on', 'off'), "SET force_parallel_mode = " . any('on', 'off'),
		"SET plan_cache_mode = " . any('force_generic_plan', 'auto'), "SET omnimsg.organization = '$theirs'", 'SELECT * FROM pg_stats WHERE schemaname = \'omnimsg\'', 'SELECT query, state FROM pg_stat_activity',
		'SELECT * FROM pg_stat_get_activity(NULL)', "CREATE TEMPORARY TABLE x AS $select", "ALTER TABLE $relation->[0] DISABLE ROW LEVEL SECURITY", 'RESET ALL', 'ROLLBACK', 'BEGIN', 'COMMIT');
}

# in bites, so that one that takes long costs no more than itself; RESET ALL does not lift the limit of the role
my $seen = 0;
my $with_rows = 0;
my $done = 0;
$node->psql("ALTER ROLE agent_a SET statement_timeout = '500ms'");
my $pid = $node->postmaster_pid;
$other = $node->session(user => 'agent_b');
$other->query("SELECT 'CANARY' FROM omnimsg.organizations");
for (my $left = $statements; $left > 0; $left -= 500)
{
	my @bite = map { statement() } 1 .. ($left < 500 ? $left : 500);
	# an error ends no transaction, and what a SET has closed is open again soon
	my $said = attempt(join('', map { ($_ % 50 ? '' : "ROLLBACK;\nRESET ROLE;\nRESET ALL;\n") . "\\echo =$_=\n$bite[$_];\n" } 0 .. $#bite), go_on => 1);
	my %said = $said =~ /^=(\d+)=\n(.*?)(?=^=\d+=$|\z)/gms;

	$with_rows += grep { $bite[$_] =~ /^SELECT (?!.*GROUPING SETS).* FROM omnimsg\.\w+ t\b/ && $said{$_} =~ /^\([1-9]\d* rows?\)$/m } keys %said;
	if ($said =~ $canary)
	{
		$seen++;
		diag(join "\n", grep { $_ =~ $canary } split /\n/, $said) if $seen < 4;
	}
	$done += @bite;
	diag("$done statements") if $done % 50000 == 0;
}
$node->psql('ALTER ROLE agent_a RESET statement_timeout');
$other->close;
is($seen, 0, "of $statements random statements none shows anything of the other tenant");
cmp_ok($with_rows, '>', $statements / 40, "$with_rows of them brought rows of its own");
is($node->postmaster_pid, $pid, 'the server is the same');
is(rows_of_theirs(), $before, 'and nothing of the other has changed');

# ---- sqlsmith, in the long form ----

SKIP:
{
	skip 'OMNIMSG_SQLSMITH says how many', 3 if !$ENV{OMNIMSG_SQLSMITH};
	my ($status, $out, $err) = $node->_run('sqlsmith', '--seed=' . $seed % 100000, "--max-queries=$ENV{OMNIMSG_SQLSMITH}", '--exclude-catalog', '--verbose',
		'--target=host=' . $node->env('PGHOST') . ' dbname=omnimsg user=agent_a');
	like($out . $err, qr/error rate: [0-9.]+/, 'sqlsmith has asked');
	unlike($out . $err, $canary, 'and seen nothing either');
	is($node->postmaster_pid, $pid, 'and the server is the same');
}

# ---- behind PgBouncer, two connections for all ----

SKIP:
{
	my ($bouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
	skip 'PgBouncer is not installed', 1 if !$bouncer;
	# no port that the kernel gives to whoever connects
	my ($port) = grep { IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $_, Listen => 1) } map { 10_000 + int rand 10_000 } 1 .. 20;
	my $directory = $node->dir . '/bouncer';

	mkdir $directory or die $!;
	open my $file, '>', "$directory/pgbouncer.ini" or die $!;
	print {$file} <<"INI";
[databases]
omnimsg = host=@{[ $node->env('PGHOST') ]} port=5432 dbname=omnimsg
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
auth_file = $directory/users
pool_mode = transaction
default_pool_size = 2
max_client_conn = 50
logfile = $directory/log
pidfile = $directory/pid
INI
	close $file;
	# auth_type any takes one user for all clients, so it is named where the database is
	{ open my $ini, '<', "$directory/pgbouncer.ini" or die $!; local $/; my $text = <$ini>; $text =~ s/dbname=omnimsg$/dbname=omnimsg user=pool/m; open my $out, '>', "$directory/pgbouncer.ini" or die $!; print {$out} $text; }
	open $file, '>', "$directory/users" or die $!;
	print {$file} "\"pool\" \"\"\n";
	close $file;
	my @as = $> == 0 ? qw(setpriv --reuid=postgres --regid=postgres --init-groups --) : ();
	system('chown', '-R', 'postgres', $directory) if $> == 0;
	system('chmod', 'a+rx', $node->dir) if $> == 0;
	$node->_run(@as, $bouncer, '-q', '-d', "$directory/pgbouncer.ini");
	ok($node->wait_until(sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") }, 20), 'PgBouncer runs') or last SKIP;

	my @clients = map { { name => $_, session => Omnimsg::Session->new($node, user => 'pool', host => '127.0.0.1', port => $port) } } qw(a b n);
	my (%seen, %backends);
	my %sees = (a => $mine, b => $theirs, n => '');
	for my $round (1 .. 200)
	{
		my $client = any(@clients);
		my $name = $client->{name};
		my $end = any('COMMIT', 'ROLLBACK');
		my $login = $name eq 'n' ? 'SELECT 1' : "SELECT omnimsg_login('$token{$name}')";
		my $trick = any('SELECT 1', 'SAVEPOINT s', $name eq 'n' ? () : "DECLARE c$round CURSOR WITH HOLD FOR SELECT name FROM omnimsg.organizations", "SELECT 1/0", "PREPARE p$round AS SELECT name FROM omnimsg.organizations");
		my $said = $client->{session}->query("BEGIN; $login; SELECT 'pid ' || pg_backend_pid(); SELECT 'sees ' || string_agg(id::text, ' ') FROM omnimsg.organizations; $trick; $end;"
			. " SELECT 'after ' || count(*) FROM omnimsg.messages; SELECT 'cursors ' || count(*) FROM pg_cursors");

		$backends{$1} = 1 if $said =~ /^pid (\d+)/m;
		my ($organizations) = $said =~ /^sees (\S*)/m;
		$seen{wrong}++ if ($organizations // '') ne $sees{$name};
		$seen{after}++ if $said !~ /^after 0$/m;
		$seen{cursors}++ if $said =~ /^cursors [1-9]/m;
		$seen{canary}++ if $name ne 'b' && $said =~ $canary;
	}
	is(join(' ', map { "$_: $seen{$_}" } sort keys %seen), '', 'in 200 transactions on pooled connections each saw its own, and nothing was left behind');
	cmp_ok(scalar keys %backends, '<=', 2, 'all of them on two connections at most');
	my $busy = $clients[1]{session};
	# one waits with something in its statement; another has another connection as the same role
	$busy->begin("BEGIN; SELECT omnimsg_login('$token{b}'); SELECT pg_sleep(60), 'CANARY'");
	my $watched = '';
	ok($node->wait_until(sub { ($watched = $clients[0]{session}->query("SELECT query FROM pg_stat_activity WHERE wait_event = 'PgSleep'")) ne '' }), 'another connection of the pool is seen at work');
	# the first look may have come between its text and its sleep
	$watched = $clients[0]{session}->query("SELECT query FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	is($watched, 'SELECT pg_sleep(60), ...', 'and not with what its statement says');
	$node->psql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	$busy->result;
	$busy->query('ROLLBACK');
	my $through = sub {
		my (@sql) = @_;

		# without a canary in the statement itself: for a moment, until it is parsed, others see all of it (doc/tenants.md)
		$busy->begin(join ';', map { "BEGIN; SELECT omnimsg_login('$token{b}'); SELECT name FROM omnimsg.organizations; COMMIT" } 1 .. @sql / 2);
		my $said = attempt("SET statement_timeout = '500ms';\n" . join('', map { "BEGIN;\nSELECT omnimsg_login('$token{a}');\n$_;\nROLLBACK;\n" } @sql), user => 'pool', port => $port);
		$busy->result;
		return $said;
	};
	my $said = $through->(map { $attempts{$_} } sort keys %attempts);
	unlike($said, $canary, 'the attempts through it, while the other tenant uses the same connections, show nothing of that');
	like($said, qr/\Q$mine\E/, 'and something of its own');
	$seen = 0;
	for (my $left = $statements / 10; $left > 0; $left -= 500)
	{
		my $said = $through->(grep { !/^(?:BEGIN|COMMIT|ROLLBACK|SET )/ } map { statement() } 1 .. ($left < 500 ? $left : 500));
		next if $said !~ $canary;
		$seen++;
		diag(join "\n", grep { $_ =~ $canary } split /\n/, $said);
	}
	is($seen, 0, 'nor do random statements');
	$_->{session}->close for @clients;
	open my $pidfile, '<', "$directory/pid" or die $!;
	my $bouncer_pid = <$pidfile> + 0;
	kill 'INT', $bouncer_pid;
	$node->wait_until(sub { !$node->running($bouncer_pid) }, 20);
}

# ---- what is shared ----

$node->psql("INSERT INTO omnimsg.reviews (organization_id, id, message_organization_id, message_id, channel, address, rule, occurred_at, due_at, created_at)
	VALUES ('$mine', omnimsg.uuid7(), '$theirs', '$theirs_id', 'sms', '+15552000010', 'a rule', now(), now() + interval '9 days', now())");
is($node->psql("SELECT message_body IS NOT NULL, account_id IS NULL FROM omnimsg_read_message('$mine', '$theirs_id')", user => 'agent_a'), 't|t',
	'of a number that both have: who is to review a message may read it, without the other\'s account');

done_testing;
