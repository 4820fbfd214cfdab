# Poison among good events: what cannot be read, what a trigger refuses, what crashes the server.  Its neighbours are applied, it is
# tried a few times, and once the cause is gone a replay has its effects once.
#
# OMNIMSG_EVENTS (1000) is how many events there are, OMNIMSG_SEED chooses which are poison.

use strict;
use warnings;

use Omnimsg;
use Test::More;
use Time::HiRes qw(time);

my $events = $ENV{OMNIMSG_EVENTS} // 1000;
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));
my $sessions = 4;

diag("seed $seed, $events events");
srand($seed);
my $percent = 1 + int(rand(5));
my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};

# Three runs of events: healthy ones, then with poison.  Every tenth batch is delivered by two sessions at once.
$node->psql(<<"SQL");
SELECT setseed(@{[ $seed / 2**31 ]});
CREATE SCHEMA test;
CREATE TABLE test.events AS
SELECT run, n, n / 50 AS batch, kind,
	   CASE kind WHEN 'unreadable' THEN convert_to(format('{"data":{"id":"%s-%s"', run, n), 'UTF8')
	   ELSE convert_to(json_build_object('data', json_build_object('event_type', 'message.received', 'id', run || '-' || n,
			'payload', json_build_object('id', run || '-' || n, 'type', 'SMS',
				'text', CASE WHEN kind = 'refused' THEN 'refused' WHEN n % 50 = 0 THEN 'STOP' ELSE 'Hello' END,
				'received_at', to_char((now() - interval '10 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
				'from', json_build_object('phone_number', '+1555' || lpad((3000000 + n)::text, 7, '0')),
				'to', json_build_array(json_build_object('phone_number', '$did')))))::text, 'UTF8') END AS body
  FROM (SELECT run, n, CASE WHEN run = 'healthy' OR random() * 100 >= $percent THEN 'good' WHEN random() < 0.5 THEN 'unreadable' ELSE 'refused' END AS kind
		  FROM unnest(ARRAY['healthy', 'poisoned']) AS run, generate_series(1, $events) AS n OFFSET 0) AS w;
CREATE INDEX ON test.events (run, batch);
-- the cause, which will go away
CREATE FUNCTION test.refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'not this one'; END \$\$;
CREATE TRIGGER refuse BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body = 'refused') EXECUTE FUNCTION test.refuse();
VACUUM ANALYZE test.events;
SQL

# delivers a run in batches by several sessions; meanwhile another one looks whether all is conserved; returns events a second
sub deliver_run
{
	my ($run) = @_;
	my @session = map { $node->session } 1 .. $sessions;
	my $observer = $node->session;
	my $begin = time;

	for my $s (0 .. $sessions - 1)
	{
		$session[$s]->begin(<<"SQL");
SET client_min_messages = error;
SELECT format('SELECT count(*) FROM omnimsg_ingest_batch((SELECT array_agg(''telnyx''::text) FROM test.events WHERE run = %L AND batch = %s),
	(SELECT array_agg(body ORDER BY n) FROM test.events WHERE run = %1\$L AND batch = %2\$s))', '$run', b)
  FROM generate_series(0, @{[ int($events / 50) ]}) AS b
 WHERE b % $sessions = $s OR b % 10 = 0 AND (b + 1) % $sessions = $s \\gexec
SQL
	}
	my ($looks, $wrong) = (0, 0);
	my $done = 0;
	until ($done)
	{
		$done = $observer->query("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT count.*test.events' AND pid <> pg_backend_pid()") eq '0' && $looks > 0;
		$wrong += $observer->query('SELECT count(*) FROM omnimsg.conservation WHERE NOT is_conserved');
		$looks++;
	}
	my @results = map { $_->result } @session;
	my $seconds = time - $begin;
	is(join('', grep { !/^\d+$/ } map { split /\n/ } @results), '', "the $run events are all taken");
	is($wrong, 0, 'and all is conserved, whenever somebody looks');
	note("looked $looks times");
	return $events / $seconds;
}

my $healthy = deliver_run('healthy');
my $poisoned = deliver_run('poisoned');
note(sprintf '%d events a second without poison, %d with %d %% of it: %.2f', $healthy, $poisoned, $percent, $poisoned / $healthy);

# ---- the neighbours ----

is($node->psql(<<'SQL'), 0, 'every good event is applied, and has one message');
SELECT count(*) FROM (
	SELECT t.run, t.n FROM test.events t
	  LEFT JOIN omnimsg.events e ON e.dedupe_key = 'received:' || t.run || '-' || t.n AND e.outcome = 'applied'
	  LEFT JOIN omnimsg.messages m ON m.id = e.message_id
	 WHERE t.kind = 'good' GROUP BY 1, 2 HAVING count(m.id) <> 1) AS w
SQL
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE direction = 'inbound'"), $node->psql("SELECT count(*) FROM test.events WHERE kind = 'good'"),
	'and nothing else has one');
is($node->psql(<<'SQL'), 0, 'every poison event is a dead letter with its bytes and the reason');
SELECT count(*) FROM test.events t LEFT JOIN omnimsg.events e ON e.raw = t.body AND e.outcome = 'dead'
 WHERE t.kind <> 'good' AND concat_ws(', ', e.reason, e.sqlstate) <>
	   CASE t.kind WHEN 'refused' THEN 'could not be applied (SQLSTATE P0001), P0001' ELSE 'invalid JSON' END
SQL
my $dead = $node->psql("SELECT count(*) FROM test.events WHERE kind <> 'good'");
is($node->psql('SELECT count(*) FROM omnimsg.dead_letters'), $dead, "$dead of them, and no others");
cmp_ok($node->psql('SELECT max(attempts) FROM omnimsg.events'), '<=', 5, 'nothing was tried more than five times');
cmp_ok($node->psql('SELECT min(attempts) FROM omnimsg.dead_letters'), '>=', 1, 'and everything once');

# ---- replay ----

my $state = 'SELECT (SELECT count(*) FROM omnimsg.messages), (SELECT count(*) FROM omnimsg.audit_logs), (SELECT count(*) FROM omnimsg.outbox),
	(SELECT md5(string_agg(e::text, \' \' ORDER BY dedupe_key)) FROM omnimsg.events e)';
my $outcomes = sub {
	my ($dry_run) = @_;
	return "SELECT string_agg(w.n || ' ' || w.outcome, ', ' ORDER BY w.outcome) FROM (SELECT outcome, count(*) AS n
		FROM omnimsg_replay_dead_letters(NULL, $events, $dry_run) GROUP BY 1) AS w";
};
my $refused = $node->psql("SELECT count(*) FROM test.events WHERE kind = 'refused'");
my $unreadable = $dead - $refused;
my $before = $node->psql($state);

is($node->psql("SET client_min_messages = error; " . $outcomes->('true')), "$dead dead", 'while the cause is there, a replay would come to nothing');
is($node->psql($state), $before, 'and a dry run leaves nothing');
$node->psql('DROP TRIGGER refuse ON omnimsg.messages');
my $would = join ', ', $refused ? "$refused applied" : (), $unreadable ? "$unreadable dead" : ();
is($node->psql($outcomes->('true')), $would, 'without the cause it would succeed');
is($node->psql($state), $before, 'and that was a dry run, too');

my @people = map { $node->session } 1 .. 2;
$_->begin($outcomes->('false')) for @people;
my @answers = map { $_->result } @people;
is(scalar(grep { $_ eq $would } @answers), $refused ? 1 : 2, 'of two who replay all of them at once, one has the effects') or diag(join "\n", @answers);
# it may find them settled, or not at all any more
is(scalar(grep { /applied/ && $_ ne $would } @answers), 0, 'and the other none');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE message_body = 'refused'"), $refused, 'each has one message');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'MESSAGE_RECEIVED'"),
	$node->psql("SELECT count(*) FROM test.events WHERE kind <> 'unreadable'"), 'and is audited once as received');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'DEAD_LETTER_REPLAYED' AND new_value->>'outcome' = 'applied'"), $refused,
	'and once as replayed');
is($node->psql('SELECT count(*) FROM omnimsg.dead_letters'), $unreadable, 'what cannot be read stays');
is($node->psql('SELECT count(*) FROM omnimsg.conservation WHERE NOT is_conserved'), 0, 'all of it is conserved');

# ---- a dry run does not even wake the worker ----

$node->setting('omnimsg.poll_interval', '60s');
my $asleep = 0;
my $activity = 'SELECT last_activity_at FROM omnimsg_worker_status()';
my $letter = "SELECT omnimsg_keep_dead(ARRAY['telnyx'], ARRAY[convert_to(json_build_object('data', json_build_object('event_type', 'message.received', 'id', 'w%1\$d',
	'payload', json_build_object('id', 'w%1\$d', 'type', 'SMS', 'text', 'STOP', 'from', json_build_object('phone_number', '+1555500000%1\$d'),
	'to', json_build_array(json_build_object('phone_number', '$did')))))::text, 'UTF8')], NULL, ARRAY[floor(extract(epoch FROM now()))::int8::text], NULL, ARRAY['stale'])";
for my $try (1 .. 5)
{
	$node->psql(sprintf $letter, $try);
	$node->wait_until(sub { my $seen = $node->psql($activity); select undef, undef, undef, 0.3; $seen eq $node->psql($activity) });
	my $seen = $node->psql($activity);
	my $replies = join ' ', map { $node->psql("SELECT reply FROM omnimsg_replay_dead_letter('telnyx', 'stale:received:w$try', true)") } 1 .. 5;
	$asleep = 1, last if $replies eq join(' ', ('queued') x 5) && $node->psql($activity) eq $seen;
}
ok($asleep, 'a dry run that would queue a reply does not wake the worker');
is($node->psql("SELECT count(*) FROM omnimsg_replay_dead_letters('stale') WHERE reply = 'queued'") > 0, 1, 'the replay does queue it');
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE direction = 'outbound' AND status NOT IN ('sent', 'delivered')", 0, 40), 'and the worker sends it');

# ---- a body that crashes the server ----

# A trigger takes the place of a fault in a library: it has the backend die as one would.
$node->psql(<<'SQL');
CREATE FUNCTION test.crash() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'kill -SEGV ' || pg_backend_pid());
	PERFORM pg_sleep(10);
	RETURN NEW;
END
$$;
CREATE TRIGGER crash BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body = 'crash') EXECUTE FUNCTION test.crash();
SQL
my $log = $node->dir . '/log/postgres.log';
sub crashes
{
	open my $file, '<', $log or die "$log: $!";
	return scalar(grep { /was terminated by signal 11/ } readline $file);
}
my @around = map { sprintf '+15556000%03d', $_ } 1 .. 10;
for my $n (0 .. 9)
{
	$node->send(from => '+15556000999', to => $did, text => 'crash', message_id => 'crash') if $n == 5;
	$node->send(from => $around[$n], to => $did, text => 'STOP', message_id => "around-$n", attempts => 40);
}
ok($node->poll("SELECT count(*) FROM omnimsg.dead_letters WHERE reason = 'crashed'", 1, 120), 'a body that crashes the server becomes a dead letter');
cmp_ok(crashes(), '<=', 2, 'after two crashes at most');
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE direction = 'inbound' AND from_number LIKE '+15556000%'", 10, 120), 'its neighbours are applied');
is($node->psql("SELECT attempts, convert_from(raw, 'UTF8') ~ '\"crash\"', sqlstate FROM omnimsg.events WHERE outcome = 'dead' AND reason = 'crashed'"), '2|t|',
	'its bytes are kept, and how often it was tried');
$node->psql('DROP TRIGGER crash ON omnimsg.messages');
is($node->psql("SELECT outcome FROM omnimsg_replay_dead_letters('crashed')"), 'applied', 'without the cause it is replayed');
is($node->psql("SELECT outcome FROM omnimsg_replay_dead_letters('crashed')"), '', 'and then there is nothing to replay');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE message_body = 'crash'"), 1, 'it has one message');
is($node->psql('SELECT count(*) FROM omnimsg.conservation WHERE NOT is_conserved'), 0, 'and all is conserved, crashes or not');

done_testing;
