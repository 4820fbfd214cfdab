#!/usr/bin/env perl
# ten million messages: the rate of ingest beside an empty database, and every list that people ask for
#
# Two servers with the same settings: one has messages, journal and audit trail of four months and an account for each message, the
# other one account for every thousand of these and nothing else.  Both are asked to ingest the same number of batches by turns.
# First each takes webhooks that are not measured, OMNIMSG_WARM (400000) at least: a server between two checkpoints writes an image of
# each page once, and half an hour of them is not measured by its first minute.  The second row is of the time before that.
# OMNIMSG_ROUNDS (5), OMNIMSG_ROWS (10000000), OMNIMSG_BATCHES (100) of 64 in a round, OMNIMSG_SHARED_BUFFERS (a third of the memory)

use strict;
use warnings;

use Bench;
use Stock;
use Time::HiRes qw(time);

my $rows = $ENV{OMNIMSG_ROWS} // 10_000_000;
my $batches = $ENV{OMNIMSG_BATCHES} // 100;
my $size = 64;
my $tries = 40;
my $many = $rows >= 1_000_000 ? sprintf('%.3g M', $rows / 1e6) : $rows;
my $warm = $ENV{OMNIMSG_WARM} // 400_000;
my %settings = (shared_buffers => $ENV{OMNIMSG_SHARED_BUFFERS} // third_of_memory(), max_wal_size => '16GB');
my %accounts = (large => $rows, empty => $rows / 1000 < 1000 ? 1000 : $rows / 1000);
my %node = map { $_ => Stock::server(%settings) } qw(large empty);

sub third_of_memory
{
	open my $file, '<', '/proc/meminfo' or return '1GB';
	my ($kilobytes) = join('', <$file>) =~ /^MemTotal:\s+(\d+)/m;
	return int($kilobytes / 3) . 'kB';
}

sub say_so
{
	my ($what) = @_;

	printf STDERR "%s: %s\n", scalar(gmtime), $what;
	return;
}

# months(NODE): the first days of the last three months and of this one
sub months
{
	return split /\n/, $node{large}->psql("SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - n * interval '1 month')::date FROM generate_series(3, 0, -1) AS n");
}

# fill_month(MONTH, NUMBER): a quarter of everything.  Message I is of account I * 7919 modulo all; three of ten are ours, and delivered.
sub fill_month
{
	my ($month, $number) = @_;
	my $node = $node{large};
	my $suffix = $month =~ s/^(\d+)-(\d+).*/$1_$2/r;
	my $quarter = int($rows / 4);
	my $from = $quarter * $number;
	my $series = <<"SQL";
  FROM (SELECT i, i * 7919 % $rows AS account, b.starts + (i - $from)::float8 / $quarter * (least(b.starts + interval '1 month', now()) - b.starts) AS at
		  FROM generate_series($from\::int8, $from + $quarter - 1) AS i, (SELECT '$month'::timestamp AT TIME ZONE 'UTC') AS b (starts)) AS w
  JOIN bench.organizations o ON o.n = w.account % 100
 CROSS JOIN LATERAL (SELECT '+1555' || lpad(w.account::text, 7, '0'), ('01900000-0000-7000-8000-' || lpad(to_hex(w.account), 12, '0'))::uuid,
		('01910000-0000-7000-8000-' || lpad(to_hex(w.i), 12, '0'))::uuid, w.i % 10 < 3) AS m (phone, account_id, id, ours)
SQL

	$node->psql("SELECT omnimsg.make_month(t, '$month') FROM (VALUES ('messages'), ('audit_logs')) AS w (t)");
	Stock::fill($node, "omnimsg.messages_$suffix", <<"SQL");
INSERT INTO omnimsg.messages_$suffix (organization_id, id, account_id, direction, channel, from_number, to_number, message_body, status, external_message_id,
		provider, intent, created_at)
	SELECT o.id, m.id, m.account_id, CASE WHEN m.ours THEN 'outbound' ELSE 'inbound' END, 'sms', CASE WHEN m.ours THEN o.did ELSE m.phone END,
		CASE WHEN m.ours THEN m.phone ELSE o.did END, 'I paid it on Friday already, please look again: ' || w.i, CASE WHEN m.ours THEN 'delivered' ELSE 'received' END,
		md5('old ' || w.i)::uuid, 'telnyx', CASE WHEN NOT m.ours THEN 'none' END, w.at $series
SQL
	say_so("messages of $month");
	Stock::fill($node, "omnimsg.audit_logs_$suffix", <<"SQL");
INSERT INTO omnimsg.audit_logs_$suffix (organization_id, id, action, resource_type, resource_id, actor, new_value, row_hash, xid, created_at)
	SELECT o.id, ('01920000-0000-7000-8000-' || lpad(to_hex(w.i), 12, '0'))::uuid, CASE WHEN m.ours THEN 'MESSAGE_SENT' ELSE 'MESSAGE_RECEIVED' END, 'message', m.id,
		'provider:telnyx', '{"channel": "sms", "intent": "none", "linked": "yes"}', uuid_send(m.id) || uuid_send(m.id), (3 + w.i / 64)::text::xid8, w.at $series
SQL
	say_so("audit trail of $month");
	return "SELECT 'telnyx', 'received:' || md5('old ' || w.i)::uuid, 'message.received', w.at, w.at, o.id, m.id, 'applied', NULL, 1 $series";
}

# the smaller tables, in proportion: requests and consents of two people in a hundred, reviews, dead letters, the outbox
sub fill_others
{
	my $node = $node{large};

	$node->psql(<<"SQL");
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO omnimsg.opt_out_requests (organization_id, id, channel, address, our_address, request_type, source, occurred_at, created_at)
	SELECT o.id, omnimsg.uuid7(), c.channel, '+1555' || lpad(a.n::text, 7, '0'), o.did, 'opt_out', 'keyword', now() - interval '40 days', now() - interval '40 days'
	  FROM generate_series(0, $rows - 1, 50) AS a (n) JOIN bench.organizations o ON o.n = a.n % 100 CROSS JOIN (VALUES ('sms'), ('voice')) AS c (channel);
INSERT INTO omnimsg.consents (organization_id, channel, address, scope, state, decided_at, request_id, changed_at)
	SELECT q.organization_id, q.channel, q.address, 'all', 'opted_out', q.occurred_at, q.id, q.created_at FROM omnimsg.opt_out_requests q;
INSERT INTO omnimsg.reviews (organization_id, id, message_organization_id, message_id, channel, address, rule, occurred_at, due_at, decision, decided_at, decided_by, created_at)
	SELECT o.id, omnimsg.uuid7(), o.id, omnimsg.uuid7(), 'sms', '+1555' || lpad(a.n::text, 7, '0'), 'maybe', now(), now() + interval '9 days', d.decision,
		   CASE WHEN d.decision IS NOT NULL THEN now() END, d.decision, now()
	  FROM generate_series(0, $rows - 1, 500) AS a (n) JOIN bench.organizations o ON o.n = a.n % 100
	 CROSS JOIN LATERAL (SELECT CASE WHEN a.n % 1000 = 0 THEN 'none' END) AS d (decision);
INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome, reason, raw)
	SELECT 'telnyx', 'dead ' || i, now() - i * interval '1 minute', 'dead', 'invalid JSON', '{' FROM generate_series(1, $rows / 1000) AS i;
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, state, next_attempt_at, expires_at, created_at, settled_at)
	SELECT o.id, omnimsg.uuid7(), ('01910000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'notification', CASE WHEN i % 100 = 0 THEN 'queued' ELSE 'sent' END,
		   now(), now() + interval '1 day', now(), CASE WHEN i % 100 > 0 THEN now() END
	  FROM generate_series(0::int8, $rows - 1, 100) AS i JOIN bench.organizations o ON o.n = i * 7919 % $rows % 100;
SQL
	say_so('requests, consents, reviews, dead letters and outbox');
	return;
}

# ---- ingest ----

my %session;
my $run = 0;

# ingest(NAME, BATCHES): webhooks a second
sub ingest
{
	my ($name, $count) = @_;
	my $node = $node{$name};

	Stock::webhooks($node, run => ++$run, batches => $count, size => $size, accounts => $accounts{$name});
	my $begin = time;
	my $said = $session{$name}->query(join "\n", map { "EXECUTE ingest($_);" } 0 .. $count - 1);
	my $seconds = time - $begin;

	$said =~ /ERROR/ and die $said;
	return $count * $size / $seconds;
}

# compare(): the medians of the rounds of both, and the ratio
sub compare
{
	my $of = Bench::rounds(map { my $name = $_; ($name => sub { return { rate => ingest($name, $batches) } }) } qw(large empty));

	return ($of->{large}{rate}, $of->{empty}{rate}, Bench::ratio($of, 'large', 'empty', 'rate'));
}

# ---- lists ----

# $1 organization, $2 number of a person, $3 account, $4 message, $5 the provider's id
my @lists = (
	'conversation with an address' => 'SELECT * FROM omnimsg.messages m WHERE m.organization_id = $1 AND m.peer_address = $2 ORDER BY m.created_at DESC LIMIT 50',
	'the same with MESSAGE_VIEWED' => 'SELECT * FROM omnimsg_read_conversation($1, $2)',
	'messages of an account' => 'SELECT * FROM omnimsg.messages m WHERE m.organization_id = $1 AND m.account_id = $3 ORDER BY m.created_at DESC LIMIT 50',
	'newest messages' => 'SELECT * FROM omnimsg.messages m WHERE m.organization_id = $1 ORDER BY m.id DESC LIMIT 50',
	'a message' => 'SELECT * FROM omnimsg_read_message($1, $4)',
	'a message by the provider\'s id' => q{SELECT * FROM omnimsg.messages m WHERE m.organization_id = $1 AND m.external_message_id = $5 AND m.direction = 'outbound'},
	'accounts of a phone' => 'SELECT * FROM omnimsg.collection_accounts a WHERE a.organization_id = $1 AND (a.primary_phone = $2 OR a.secondary_phone = $2)',
	'accounts, by pages' => 'SELECT * FROM omnimsg.collection_accounts a WHERE a.organization_id = $1 AND a.id > $3 ORDER BY a.id LIMIT 50',
	'consents of an address' => 'SELECT * FROM omnimsg.consents c WHERE c.organization_id = $1 AND c.address = $2',
	'requests of an address' => 'SELECT * FROM omnimsg.opt_out_requests q WHERE q.organization_id = $1 AND q.address = $2 ORDER BY q.occurred_at',
	'consent as of a day' => q{SELECT * FROM omnimsg_consent_as_of($1, 'sms', $2, now() - interval '20 days')},
	'whether a text may be sent' => q{SELECT * FROM omnimsg_explain_send($1, 'sms', $2)},
	'audit trail of a message' => 'SELECT * FROM omnimsg.audit_logs l WHERE l.organization_id = $1 AND l.resource_id = $4 ORDER BY l.id',
	'newest of the audit trail' => 'SELECT * FROM omnimsg.audit_logs l WHERE l.organization_id = $1 ORDER BY l.id DESC LIMIT 50',
	'dead letters' => 'SELECT * FROM omnimsg.dead_letters d ORDER BY d.received_at DESC LIMIT 50',
	'reviews that are open' => 'SELECT * FROM omnimsg.reviews v WHERE v.decision IS NULL ORDER BY v.due_at LIMIT 50',
	'reviews of an address' => 'SELECT * FROM omnimsg.reviews v WHERE v.organization_id = $1 AND v.address = $2 AND v.decision IS NULL',
	'what waits to be sent' => q{SELECT * FROM omnimsg.outbox o WHERE o.organization_id = $1 AND o.state = 'queued' ORDER BY o.next_attempt_at LIMIT 50},
	'all of a person' => 'SELECT omnimsg_export_person($1, $2)',
);

# clock(SQL): the median and the longest of the milliseconds that it takes with values of different people, read to the end; and
# which large tables it read from one end to the other
sub clock
{
	my ($sql) = @_;
	my $large = "SELECT coalesce(sum(s.seq_scan), 0) FROM pg_stat_user_tables s WHERE pg_relation_size(s.relid) > 8 * 1024 * 1024 AND s.schemaname = 'omnimsg'";
	my $said = $node{large}->psql(<<"SQL");
CREATE TEMP TABLE took (ms float8);
CREATE TEMP TABLE scans AS $large;
DO \$do\$
DECLARE
	r record;
	p record;
	begun timestamptz;
BEGIN
	FOR p IN
		SELECT o.id AS organization, '+1555' || lpad(w.account::text, 7, '0') AS phone, ('01900000-0000-7000-8000-' || lpad(to_hex(w.account), 12, '0'))::uuid AS account,
			   ('01910000-0000-7000-8000-' || lpad(to_hex(w.i), 12, '0'))::uuid AS message, (md5('old ' || w.i)::uuid)::text AS external
		  FROM (SELECT k, i, i * 7919 % $rows AS account FROM (SELECT k, (random() * ($rows - 1))::int8 AS i FROM generate_series(-4, $tries) AS k OFFSET 0) AS v) AS w
		  JOIN bench.organizations o ON o.n = w.account % 100 ORDER BY w.k
	LOOP
		begun := clock_timestamp();
		FOR r IN EXECUTE \$sql\$$sql\$sql\$ USING p.organization, p.phone, p.account, p.message, p.external LOOP
			NULL;
		END LOOP;
		INSERT INTO took VALUES (extract(epoch FROM clock_timestamp() - begun) * 1000);
	END LOOP;
END
\$do\$;
SELECT pg_stat_force_next_flush();
SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY t.ms), ($large) - (SELECT s.* FROM scans s) FROM (SELECT ms FROM took OFFSET 5) AS t;
SQL
	my ($median, $high, $scans) = $said =~ /\{([\d.]+),([\d.]+)\}\|(-?\d+)/ or die "unexpected: $said";

	return ($median, $high, $scans);
}

my $number = 0;
my @journal = map { fill_month($_, $number++) } months();

Stock::accounts($node{$_}, $accounts{$_}) for qw(large empty);
say_so('accounts');
Stock::fill($node{large}, 'omnimsg.events',
	"INSERT INTO omnimsg.events (provider, dedupe_key, event_type, occurred_at, received_at, organization_id, message_id, outcome, reason, attempts)\n" .
	join("\nUNION ALL\n", @journal));
say_so('journal');
fill_others();
for my $name (qw(large empty))
{
	$node{$name}->psql('VACUUM ANALYZE');
	Stock::touch($node{$name}, 'omnimsg.collection_accounts');
	$session{$name} = $node{$name}->session;
	Stock::ingest($session{$name});
	ingest($name, $batches);
}
say_so('ready: ' . $node{large}->psql('SELECT pg_size_pretty(pg_database_size(current_database()))'));

my @early = compare();
for my $name (qw(large empty))
{
	for (my $taken = 0; $taken < $warm; $taken += 1000 * $size)
	{
		ingest($name, 1000);
	}
	say_so("$name: $warm webhooks since the checkpoint");
}
my ($ours, $beside, $ratio) = compare();

Bench::row(goal => "ingest with $many messages in 4 partitions and $many accounts, batches of $size in one session",
	ours => sprintf('%.0f/s', $ours), beside => sprintf('an empty database: %.0f/s', $beside),
	ratio => sprintf('%.2f x', $ratio), wanted => 'at least 0.9 x', reached => $ratio >= 0.9);
Bench::row(goal => 'the same just after a checkpoint', ours => sprintf('%.0f/s', $early[0]), beside => sprintf('%.0f/s', $early[1]), ratio => sprintf('%.2f x', $early[2]));

my (@slow, $slowest, $slowest_name);

while (my ($name, $sql) = splice @lists, 0, 2)
{
	my ($median, $high, $scans) = clock($sql);

	printf STDERR "%-34s median %6.2f ms, 95 of 100 in %6.2f ms, %d large tables read from end to end\n", $name, $median, $high, $scans;
	push @slow, sprintf('%s (%.1f ms, %d whole tables)', $name, $median, $scans) if $median >= 5 || $scans != 0;
	($slowest, $slowest_name) = ($median, $name) if !defined $slowest || $median > $slowest;
}
Bench::row(goal => "each list that people ask for, with $many messages", ours => sprintf('at most %.2f ms (%s), no large table is read from end to end', $slowest, $slowest_name),
	beside => @slow ? 'not reached: ' . join(', ', @slow) : '', ratio => '', wanted => 'under 5 ms', reached => !@slow);
Bench::note('The first row is of a server that has taken ' . $warm . ' webhooks since its last checkpoint, the second of one that has just made one: the keys of the journal are random, so that at first ' .
	'nearly each message is the first to change its page of that index, and the WAL gets an image of it; and with who writes spread evenly over all accounts, two or three pages of each message are ' .
	'not in shared_buffers yet.');
Bench::note('The rates are of one session, with who writes spread evenly over all accounts; the lists are medians of 40 people, plans made anew for each.');
