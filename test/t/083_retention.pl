# Retention under load: a month of old messages goes while webhooks come in; what is to be kept is kept; a call that is
# killed leaves nothing half done, and two at once do not hurt each other.  OMNIMSG_ROWS (100000) is how many are old.
# slow: 10^5 old rows, made twice

use strict;
use warnings;

use Omnimsg;
use Test::More;
use Time::HiRes qw(sleep time);

my $rows = $ENV{OMNIMSG_ROWS} || 100_000;
my $alone = defined $ENV{OMNIMSG_ROWS};	# on a machine that has nothing else to do, so that times tell something
my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $number = 0;

$node->kill_relay;
$node->setting('omnimsg.dispatch', 'off');
# the worker maintains only what is armed; the function, which is called here, does not ask
$node->psql('SELECT omnimsg_disarm()');

sub body
{
	my ($from, $text, $id) = @_;

	return "convert_to('{\"data\":{\"event_type\":\"message.received\",\"id\":\"e$id\",\"payload\":{\"id\":\"m$id\","
		. "\"from\":{\"phone_number\":\"$from\"},\"to\":[{\"phone_number\":\"$did\"}],\"text\":\"$text\"}}}', 'UTF8')";
}

# a STOP and a text of long ago, as they came: they are aged below
$node->psql("SELECT omnimsg_ingest('telnyx', " . body('+15552000001', 'STOP', 'old-stop') . "),
	omnimsg_ingest('telnyx', " . body('+15552000002', 'Hello', 'old-text') . ')');
my $hold = $node->psql("SELECT omnimsg_place_hold('$organization', '+15552000077', 'a case')");

# make_old(MONTHS): that many months ago, a partition full of messages, with outbox items and rows of the journal
# that are past their time
sub make_old
{
	my ($months) = @_;

	$node->psql(<<"SQL");
SELECT omnimsg.make_month('messages', date_trunc('month', now() AT TIME ZONE 'UTC' - interval '$months months')::date);
WITH m AS (
	INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, created_at)
		SELECT '$organization', omnimsg.uuid7(), 'outbound', 'sms', '$did', '+15552000' || lpad((n % 1000)::text, 3, '0'), 'old text', 'delivered',
			(date_trunc('month', now() AT TIME ZONE 'UTC') - interval '$months months' + n % 27 * interval '1 day') AT TIME ZONE 'UTC'
		  FROM generate_series(1, $rows) AS n
	RETURNING organization_id, id, created_at)
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, state, next_attempt_at, expires_at, created_at, settled_at)
	SELECT organization_id, id, id, 'notification', 'sent', created_at, created_at, created_at, created_at FROM m;
INSERT INTO omnimsg.events (provider, dedupe_key, event_type, received_at, outcome)
	SELECT 'telnyx', '$months months ago ' || n, 'message.sent', now() - interval '401 days', 'applied' FROM generate_series(1, $rows / 10) AS n;
INSERT INTO omnimsg.event_counts (provider, received, counted_at) VALUES ('telnyx', $rows / 10, now());
ANALYZE omnimsg.messages, omnimsg.outbox, omnimsg.events;
SQL
	return;
}

# load(SECONDS): webhooks one after the other; returns a handle for wait_load
sub load
{
	my ($seconds) = @_;
	my $file = $node->dir . '/load-' . ++$number;
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		my $session = $node->session;
		my $end = time + $seconds;
		my ($n, @times) = 0;

		while (time < $end)
		{
			my $begin = time;
			my $text = $n % 10 == 0 ? 'STOP' : 'Hello';
			my $answer = $session->query('SELECT outcome FROM omnimsg_ingest(\'telnyx\', '
				. body(sprintf('+1555201%04d', $n % 10_000), $text, "load-$number-" . $n++) . ')');
			push @times, [time - $begin, $answer];
			sleep 0.004;
		}
		open my $out, '>', $file or POSIX::_exit(1);
		print {$out} map { "$_->[0] $_->[1]\n" } @times;
		close $out;
		$session->close;
		POSIX::_exit(0);
	}
	return { pid => $pid, file => $file };
}

# wait_load(LOAD): how many there were, those that were not applied, and the 99th percentile in ms
sub wait_load
{
	my ($load) = @_;

	waitpid $load->{pid}, 0;
	open my $in, '<', $load->{file} or die "the load has died";
	my @lines = map { chomp; [split / /, $_, 2] } <$in>;
	my @times = sort { $a <=> $b } map { $_->[0] } @lines;
	return (scalar @lines, scalar(grep { $_->[1] ne 'applied' } @lines), 1000 * $times[int(@times * 0.99)], 1000 * $times[-1]);
}

$node->psql('CREATE TABLE watching (over bool); INSERT INTO watching VALUES (false)');

# watch(DECLARATIONS, LOOK): a session that runs LOOK, statements of PL/pgSQL that set "seen", again and again
sub watch
{
	my ($declarations, $look) = @_;
	my $watcher = $node->session;

	$node->psql('UPDATE watching SET over = false');
	$watcher->begin(<<"SQL");
DO \$\$
DECLARE
	seen numeric := 0;
	$declarations
BEGIN
	WHILE NOT (SELECT over FROM watching) LOOP
		$look
		COMMIT;
		PERFORM pg_sleep(0.001);
	END LOOP;
	RAISE NOTICE 'seen: %', seen;
END
\$\$
SQL
	return $watcher;
}

# watched(WATCHER): ends it, and what it has seen
sub watched
{
	my ($watcher) = @_;

	$node->psql('UPDATE watching SET over = true');
	my ($seen) = $watcher->result =~ /seen: ([\d.]+)/ or die 'nobody watched';

	$watcher->close;
	return $seen;
}

# watch_locks(): the longest wait, in ms, for what ingest needs of messages and its month
sub watch_locks
{
	my $month = $node->psql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')");

	return watch('began timestamptz;', <<"SQL");
		began := clock_timestamp();
		LOCK TABLE ONLY omnimsg.messages, ONLY omnimsg.messages_$month IN ROW EXCLUSIVE MODE;
		seen := greatest(seen, 1000 * extract(epoch FROM clock_timestamp() - began));
SQL
}

my $kept = "SELECT (SELECT count(*) FROM omnimsg.consents WHERE address IN ('+15552000001')), (SELECT count(*) FROM omnimsg.opt_out_requests WHERE address = '+15552000001'),
	(SELECT count(*) FROM omnimsg.audit_logs WHERE created_at < (SELECT min(received_at) FROM omnimsg.events WHERE dedupe_key LIKE 'received:mload%') OR resource_id = '$hold'),
	(SELECT count(*) FROM omnimsg.events WHERE dedupe_key LIKE 'received:mold-%'),
	(SELECT count(*) FROM omnimsg.legal_holds)";
my $old = "FROM omnimsg.messages WHERE message_body = 'old text'";

make_old(10);

# the events of long ago are 200 days old, with what they did
$node->psql(<<"SQL");
UPDATE omnimsg.events SET received_at = now() - interval '200 days', occurred_at = now() - interval '200 days' WHERE dedupe_key LIKE 'received:mold-%';
UPDATE omnimsg.opt_out_requests SET occurred_at = now() - interval '200 days', created_at = now() - interval '200 days' WHERE address = '+15552000001';
SELECT omnimsg.make_month('messages', date_trunc('month', now() AT TIME ZONE 'UTC' - interval '200 days')::date);
UPDATE omnimsg.messages SET created_at = now() - interval '200 days' WHERE external_message_id LIKE 'mold-%';
SQL
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id LIKE 'mold-%' AND tableoid <> 'omnimsg.messages_default'::regclass"), 2, 'messages are in the month of then');
my ($count, $bad, $without) = wait_load(load($alone ? 20 : 3));
is($bad, 0, "without retention all $count webhooks are applied");

# maintain(): until nothing is left or in the way, as a table that is being vacuumed; what it did
sub maintain
{
	my @done;
	my $end = time + 120 + $rows / 10_000;

	while (time < $end)
	{
		my $out = $node->psql('SELECT action, object, rows FROM omnimsg_maintain()');

		push @done, split /\n/, $out;
		return \@done if $out !~ /^more is left|not (?:dropped|made|purged)/m;
		sleep 0.05;
	}
	return \@done;
}

# ---- killed in the middle ----

my $before = $node->psql("SELECT count(*) $old") . ' ' . $node->psql($kept) . ' ' . $node->psql('SELECT count(*) FROM omnimsg.outbox');
my $session = $node->session;

$session->begin("SET application_name = 'to be killed'; BEGIN; SELECT count(*) FROM omnimsg_maintain(); SELECT pg_sleep(60)");
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'to be killed' AND query ~ '^ ?SELECT pg_sleep'", 1, 120), 'a call has done its work');
is($node->psql('SELECT action, object FROM omnimsg_maintain()'), 'rows not purged, partitions neither made nor dropped: messages or legal holds are in use|',
	'another call meanwhile says that it has done nothing');
is($node->psql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'to be killed'"), 't', 'and is killed before it commits');
$session->close;
is($node->psql("SELECT count(*) $old") . ' ' . $node->psql($kept) . ' ' . $node->psql('SELECT count(*) FROM omnimsg.outbox'), $before,
	'nothing is gone');

# ---- somebody has a month for himself ----

my ($month) = $node->psql("SELECT to_char(now() AT TIME ZONE 'UTC' - interval '10 months', '\"messages_\"YYYY_MM')");
$session = $node->session;
$session->query("BEGIN; LOCK TABLE omnimsg.$month");
is($node->psql("BEGIN; SELECT action FROM omnimsg_maintain() WHERE object = 'omnimsg.$month'; ROLLBACK"), 'partition not dropped: it is in use',
	'a month that somebody has locked is left, and the call says so');
$session->query('ROLLBACK');
$node->psql("SELECT omnimsg.make_month('messages', '2020-01-01')");
$session->query('BEGIN; DROP TABLE omnimsg.messages_2020_01');
my $looking = $node->session;
$looking->begin("SET application_name = 'looks'; SELECT count(*) FROM omnimsg_health() WHERE concat(finding, detail, hint) ~ '2020'");
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'looks' AND wait_event_type = 'Lock'", 1), 'health waits for a month that is being dropped');
$session->query('COMMIT');
is($looking->result, '0', 'and does not complain of it when it is gone');
$looking->close;

# ---- somebody reads the trail's default partition while months are to be made and one of messages to be dropped ----

# watch_sleepers(): how often somebody sleeps who has locked the messages
sub watch_sleepers
{
	return watch(<<'DECLARATIONS', <<'SQL');
	locked CONSTANT text := 'SELECT array_agg(pid) FROM pg_locks WHERE relation = ''omnimsg.messages''::regclass AND mode = ''AccessExclusiveLock'' AND granted';
	before int[];
	asleep int[];
	after int[];
DECLARATIONS
		EXECUTE locked INTO before;
		SELECT array_agg(pid) INTO asleep FROM pg_stat_activity WHERE wait_event = 'PgSleep';
		EXECUTE locked INTO after;
		seen := seen + (EXISTS (SELECT unnest(before) INTERSECT SELECT unnest(asleep) INTERSECT SELECT unnest(after)))::int;
SQL
}

my $third = $node->psql("SELECT to_char(now() AT TIME ZONE 'UTC' + interval '3 months', 'YYYY_MM')");
$node->psql("DROP TABLE omnimsg.audit_logs_$third, omnimsg.messages_$third");
$session->query('BEGIN; SELECT count(*) FROM omnimsg.audit_logs_default');
my $watching = watch_sleepers();
my $said;
# a month that autovacuum is reading stays: then once more
$node->wait_until(sub {
	$said = $node->psql("BEGIN; SELECT action, object FROM omnimsg_maintain() WHERE object ~ '$third|$month'; ROLLBACK");
	return $said !~ /not dropped/;
});
is($said, "partition not made: the default partition is in use|omnimsg.messages_$third\npartition not made: the default partition is in use|omnimsg.audit_logs_$third\n"
	. "partition dropped, rows under a legal hold kept|omnimsg.$month", 'they are not made, the other is dropped');
# what is seen but once may have begun or ended between two looks
cmp_ok(watched($watching), '<', 3, 'and nobody holds on to the messages while he waits for the trail');
$session->query('ROLLBACK; BEGIN; LOCK TABLE omnimsg.audit_logs_default');
is($node->psql("BEGIN; SELECT action FROM omnimsg_maintain() WHERE action ~ 'made'; ROLLBACK"), 'partitions not made: they or a default partition are in use',
	'that nothing could even be begun is said, too');
$session->close;

# ---- under load, two at once ----

# Whoever wants a strong lock waits no longer than that, and those who come meanwhile wait behind.
is($node->psql("SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p WHERE p.proname IN ('omnimsg_maintain', 'lock_soon') AND 'lock_timeout=100ms' = ANY (p.proconfig)"),
	'lock_soon omnimsg_maintain', 'what keeps house waits 100 ms for a lock at most');
my $watcher = watch_locks();
my $loaded = load($alone ? 40 : 6);
my $second = fork // die "fork: $!";

if ($second == 0)
{
	maintain();
	POSIX::_exit(0);
}
maintain();
waitpid $second, 0;
is($?, 0, 'two calls at once do not fail');
maintain();
($count, $bad, my $with, my $longest) = wait_load($loaded);
is($bad, 0, "during retention all $count webhooks are applied");
diag(sprintf 'the longest wait for a lock that ingest needs: %.1f ms', watched($watcher));
note(sprintf 'a webhook takes %.1f ms at the 99th percentile without retention, %.1f ms during it; the longest took %.1f ms; %d rows were old', $without, $with, $longest, $rows);
cmp_ok($with, '<', 2 * $without, 'which is less than twice as much') if $alone;
is($node->psql("SELECT count(*) $old AND peer_address <> '+15552000077'"), 0, 'no message past the retention is left');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id LIKE 'mold-%'"), 0, 'nor those of 200 days ago');
is($node->psql("SELECT count(*) $old AND peer_address = '+15552000077'"), $rows / 1000, 'but those under a legal hold are all there');
is($node->psql("SELECT count(*) FROM omnimsg.outbox WHERE settled_at < now() - interval '90 days'"), $rows / 1000, 'with their outbox items');
is($node->psql("SELECT count(*) FROM omnimsg.events WHERE received_at < now() - interval '400 days'"), 0, 'the journal is cut off at its own time');
is($node->psql('SELECT difference, is_conserved FROM omnimsg.conservation'), '0|t', 'and nothing is missing by its count');
is($node->psql($kept), $before =~ /^\d+ (\S+) / ? $1 : '', 'consent, requests, audit trail and younger events are untouched');
is(join("\n", @{ maintain() }), '', 'there is nothing more to do');
$session = $node->session;
$session->query('BEGIN; SELECT count(*) FROM omnimsg_maintain()');
my $placing = $node->session;
$placing->begin("SET application_name = 'places'; BEGIN; SELECT omnimsg_place_hold('$organization', '+15552000078', 'a case') IS NOT NULL");
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'places' AND wait_event_type = 'Lock'", 1), 'a hold waits until a call has ended');
$session->query('ROLLBACK');
is($placing->result, 't', 'and is placed then');
$placing->query('ROLLBACK');
$_->close for $session, $placing;
is($node->psql("SELECT count(*) FROM omnimsg_health() WHERE finding ~ 'default|past omnimsg.retention'"), 0, 'health has nothing to say of it');

# ---- an event of long ago comes again ----

my $effects = "SELECT (SELECT count(*) FROM omnimsg.messages), (SELECT count(*) FROM omnimsg.opt_out_requests), (SELECT count(*) FROM omnimsg.outbox),
	(SELECT count(*) FROM omnimsg.audit_logs), (SELECT md5(string_agg(c::text, ' ' ORDER BY c::text)) FROM omnimsg.consents c)";

$before = $node->psql($effects);
is($node->psql("SELECT outcome FROM omnimsg_ingest('telnyx', " . body('+15552000001', 'STOP', 'old-stop') . ')'), 'duplicate', 'a STOP of 200 days ago is known');
is($node->psql("SELECT outcome FROM omnimsg_ingest('telnyx', " . body('+15552000002', 'Hello', 'old-text') . ')'), 'duplicate', 'so is a text');
is($node->psql($effects), $before, 'and neither has any effect');

# ---- somebody reads: it is not dropped, and nobody waits for it ----

make_old(9);
$session = $node->session;
$session->query('BEGIN; SELECT count(*) FROM omnimsg.messages WHERE false');
$watcher = watch_locks();
$loaded = load(2);
my $begin = time;
like($node->psql('SELECT action FROM omnimsg_maintain()'), qr/^partition not dropped: it is in use$/m, 'a month that somebody reads is not dropped');
note(sprintf 'the call gave up after %.2f s', time - $begin);
($count, $bad, undef, $longest) = wait_load($loaded);
is($bad, 0, 'and no webhook fails for it');
diag(sprintf 'behind a call that waits for its lock in vain: %.1f ms', watched($watcher));
note(sprintf 'the longest of %d took %.1f ms', $count, $longest);
$session->query('COMMIT');

# the worker comes back for it within the minute, and for the rest sooner
$node->psql('SELECT omnimsg_arm()');
$node->psql('SELECT pg_terminate_backend(pid, 5000) FROM omnimsg_worker_status()');
ok($node->poll("SELECT count(*) $old AND peer_address <> '+15552000077'", 0, 120), 'the worker drops it');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE settled_at < now() - interval '90 days'", 2 * $rows / 1000, 60 + $rows / 2000),
	'and goes on until nothing is left');

# ---- missed days: three months without a partition, and then they are made ----

is($node->psql("SELECT omnimsg_release_hold('$hold')"), 't', 'the hold is released');
$node->psql(<<'SQL');
DO $$
DECLARE
	month regclass;
BEGIN
	FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('omnimsg.messages'::regclass, 'omnimsg.audit_logs'::regclass)
					AND inhrelid::regclass::text ~ '[0-9]$' LOOP

		EXECUTE 'DROP TABLE ' || month;

	END LOOP;
END
$$;
SQL
$node->psql(<<"SQL");
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, created_at)
	SELECT '$organization', omnimsg.uuid7(), 'inbound', 'sms', '+15552000078', '$did', 'missed', 'received',
		date_trunc('month', now()) - n % 2 * interval '1 month' + interval '1 hour'
	  FROM generate_series(1, 2000) AS n;
SQL
maintain();
is($node->psql("SELECT count(*), count(DISTINCT tableoid) FROM omnimsg.messages WHERE message_body = 'missed'"), '2000|2', 'the months that were missed are made');
is($node->psql('SELECT count(*) FROM omnimsg.messages_default'), 0, 'and the default partition is empty, for nothing is held any more');

done_testing;
