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
# who have written and been written to: five times each
my $people = int($rows / 5);
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

# Message I is of account I * 7919 modulo the people who have any; three of ten, as a hash of I has it, are ours, and delivered.
sub account_of
{
	return "($_[0] * 7919 % $people)";
}

sub is_ours
{
	return "(hashint8($_[0]) & 1023) < 307";
}

# fill_month(MONTH, NUMBER): a quarter of everything
sub fill_month
{
	my ($month, $number) = @_;
	my $node = $node{large};
	my $suffix = $month =~ s/^(\d+)-(\d+).*/$1_$2/r;
	my $quarter = int($rows / 4);
	my $from = $quarter * $number;
	my $series = <<"SQL";
  FROM (SELECT i, @{[ account_of('i') ]} AS account, b.starts + (i - $from)::float8 / $quarter * (least(b.starts + interval '1 month', now()) - b.starts) AS at
		  FROM generate_series($from\::int8, $from + $quarter - 1) AS i, (SELECT '$month'::timestamp AT TIME ZONE 'UTC') AS b (starts)) AS w
  JOIN bench.organizations o ON o.n = w.account % 100
 CROSS JOIN LATERAL (SELECT '+1555' || lpad(w.account::text, 7, '0'), ('01900000-0000-7000-8000-' || lpad(to_hex(w.account), 12, '0'))::uuid,
		('01910000-0000-7000-8000-' || lpad(to_hex(w.i), 12, '0'))::uuid, @{[ is_ours('w.i') ]}) AS m (phone, account_id, id, ours)
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

# whom requests and reviews are of, which messages have been in the outbox, and which of those still wait
my %step = (requests => 53, reviews => 499);
my %outbox = (all => "i % 37 = 0 AND @{[ is_ours('i') ]}", queued => '(hashint8(i + 1) & 7) = 0');

# the smaller tables, in proportion: requests and consents of two people in a hundred, reviews, dead letters, the outbox.  The steps are prime, so
# that all organizations have some.
sub fill_others
{
	my $node = $node{large};

	$node->psql(<<"SQL");
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO omnimsg.opt_out_requests (organization_id, id, channel, address, our_address, request_type, source, occurred_at, created_at)
	SELECT o.id, omnimsg.uuid7(), c.channel, '+1555' || lpad(a.n::text, 7, '0'), o.did, 'opt_out', 'keyword', now() - interval '40 days', now() - interval '40 days'
	  FROM generate_series(0, $rows - 1, $step{requests}) AS a (n) JOIN bench.organizations o ON o.n = a.n % 100 CROSS JOIN (VALUES ('sms'), ('voice')) AS c (channel);
INSERT INTO omnimsg.consents (organization_id, channel, address, scope, state, decided_at, request_id, changed_at)
	SELECT q.organization_id, q.channel, q.address, 'all', 'opted_out', q.occurred_at, q.id, q.created_at FROM omnimsg.opt_out_requests q;
INSERT INTO omnimsg.reviews (organization_id, id, message_organization_id, message_id, channel, address, rule, occurred_at, due_at, decision, decided_at, decided_by, created_at)
	SELECT o.id, omnimsg.uuid7(), o.id, omnimsg.uuid7(), 'sms', '+1555' || lpad(a.n::text, 7, '0'), 'maybe', now(), now() + interval '9 days', d.decision,
		   CASE WHEN d.decision IS NOT NULL THEN now() END, d.decision, now()
	  FROM generate_series(0, $rows - 1, $step{reviews}) AS a (n) JOIN bench.organizations o ON o.n = a.n % 100
	 CROSS JOIN LATERAL (SELECT CASE WHEN a.n % 2 = 0 THEN 'none' END) AS d (decision);
INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome, reason, raw)
	SELECT 'telnyx', 'dead ' || i, now() - i * interval '1 minute', 'dead', 'invalid JSON', '{' FROM generate_series(1, $rows / 1000) AS i;
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, state, next_attempt_at, expires_at, created_at, settled_at)
	SELECT o.id, omnimsg.uuid7(), ('01910000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'notification', CASE WHEN $outbox{queued} THEN 'queued' ELSE 'sent' END,
		   now(), now() + interval '1 day', now(), CASE WHEN NOT $outbox{queued} THEN now() END
	  FROM generate_series(0::int8, $rows - 1) AS i JOIN bench.organizations o ON o.n = @{[ account_of('i') ]} % 100 WHERE $outbox{all};
SQL
	say_so('requests, consents, reviews, dead letters and outbox');
	return;
}

# ---- ingest ----

my %session;
my $run = 0;

# spent(NAME): by the session so far: seconds of the processor, images of pages in the WAL, blocks that were not in shared_buffers
sub spent
{
	my ($name) = @_;
	my ($pid) = $session{$name}->query('SELECT pg_backend_pid() FROM pg_stat_force_next_flush()') =~ /(\d+)/;
	my ($images, $blocks) = split /\|/, $node{$name}->psql('SELECT w.wal_fpi, d.blks_read FROM pg_stat_wal w JOIN pg_stat_database d ON d.datname = current_database()');

	return (Bench::cpu($pid), $images, $blocks);
}

# ingest(NAME, BATCHES): webhooks a second, and for each: microseconds of the processor, images, blocks
sub ingest
{
	my ($name, $count) = @_;
	my $node = $node{$name};

	Stock::webhooks($node, run => ++$run, batches => $count, size => $size, accounts => $accounts{$name});
	my @before = spent($name);
	my $begin = time;
	my $said = $session{$name}->query(join "\n", map { "EXECUTE ingest($_);" } 0 .. $count - 1);
	my $seconds = time - $begin;

	$said =~ /ERROR/ and die $said;
	my ($cpu, $images, $blocks) = map { $_ / $count / $size } pairwise(\@before, [ spent($name) ]);
	return { rate => $count * $size / $seconds, cpu => $cpu * 1e6, images => $images, blocks => $blocks };
}

# the differences of two lists
sub pairwise
{
	my ($before, $after) = @_;

	return map { $after->[$_] - $before->[$_] } 0 .. $#$before;
}

# compare(): the medians of the rounds of both, and the ratio
sub compare
{
	my $of = Bench::rounds(map { my $name = $_; ($name => sub { return ingest($name, $batches) }) } qw(large empty));
	my @cost = map { sprintf '%.0f us of the processor, %.2f images of pages, %.2f blocks read', @{ $of->{$_} }{qw(cpu images blocks)} } qw(large empty);

	return ($of->{large}{rate}, $of->{empty}{rate}, Bench::ratio($of, 'large', 'empty', 'rate'), @cost);
}

# ---- lists ----

# All are asked for one organization of the hundred, by a role that is mapped to it, where there is one that may: so the policies hold
my $tenant = 7;
my $as_agent = 'm.id, m.account_id, m.direction, m.channel, m.from_number, m.to_number, m.status, m.intent, m.created_at';
# who asks, about which people, and for what: $1 organization, $2 number of a person, $3 account, $4 message, $5 the provider's id
my @lists = (
	'conversation with an address' => [agent => 'any', "SELECT $as_agent FROM omnimsg.messages m WHERE m.organization_id = \$1 AND m.peer_address = \$2 ORDER BY m.created_at DESC LIMIT 50"],
	'the same with its texts and MESSAGE_VIEWED' => [agent => 'any', 'SELECT * FROM omnimsg_read_conversation($1, $2)'],
	'messages of an account' => [agent => 'any', "SELECT $as_agent FROM omnimsg.messages m WHERE m.organization_id = \$1 AND m.account_id = \$3 ORDER BY m.created_at DESC LIMIT 50"],
	'newest messages' => [agent => 'any', "SELECT $as_agent FROM omnimsg.messages m WHERE m.organization_id = \$1 ORDER BY m.id DESC LIMIT 50"],
	'a message' => [agent => 'any', 'SELECT * FROM omnimsg_read_message($1, $4)'],
	'a message by the provider\'s id' => [agent => 'written to', "SELECT $as_agent FROM omnimsg.messages m WHERE m.organization_id = \$1 AND m.external_message_id = \$5 AND m.direction = 'outbound'"],
	'accounts of a phone' => [agent => 'any', 'SELECT * FROM omnimsg.collection_accounts a WHERE a.organization_id = $1 AND (a.primary_phone = $2 OR a.secondary_phone = $2)'],
	'accounts, by pages' => [agent => 'any', 'SELECT * FROM omnimsg.collection_accounts a WHERE a.organization_id = $1 AND a.id >= $3 ORDER BY a.id LIMIT 50'],
	'consents of an address' => [agent => 'requests', 'SELECT * FROM omnimsg.consents c WHERE c.organization_id = $1 AND c.address = $2'],
	'requests of an address' => [agent => 'requests', 'SELECT q.id, q.channel, q.request_type, q.scope, q.source, q.occurred_at FROM omnimsg.opt_out_requests q
		WHERE q.organization_id = $1 AND q.address = $2 ORDER BY q.occurred_at'],
	'consent as of a day' => [agent => 'requests', q{SELECT * FROM omnimsg_consent_as_of($1, 'sms', $2, now() - interval '20 days')}],
	'whether a text may be sent' => [agent => 'requests', q{SELECT * FROM omnimsg_explain_send($1, 'sms', $2)}],
	'audit trail of a message' => [auditor => 'any', 'SELECT * FROM omnimsg.audit_logs l WHERE l.organization_id = $1 AND l.resource_id = $4 ORDER BY l.id'],
	'newest of the audit trail' => [auditor => 'any', 'SELECT * FROM omnimsg.audit_logs l WHERE l.organization_id = $1 ORDER BY l.id DESC LIMIT 50'],
	'dead letters' => [superuser => 'any', 'SELECT * FROM omnimsg.dead_letters d ORDER BY d.received_at DESC LIMIT 50'],
	'reviews that are open' => [agent => 'any', 'SELECT v.id, v.channel, v.address, v.rule, v.due_at FROM omnimsg.reviews v WHERE v.decision IS NULL ORDER BY v.due_at LIMIT 50'],
	'reviews of an address' => [agent => 'reviews', 'SELECT v.id, v.channel, v.address, v.rule, v.due_at FROM omnimsg.reviews v
		WHERE v.organization_id = $1 AND v.address = $2 AND v.decision IS NULL'],
	'what waits to be sent' => [agent => 'any', q{SELECT o.id, o.message_id, o.kind, o.state, o.next_attempt_at FROM omnimsg.outbox o
		WHERE o.organization_id = $1 AND o.state = 'queued' ORDER BY o.next_attempt_at LIMIT 50}],
	'all of a person' => [admin => 'any', 'SELECT omnimsg_export_person($1, $2)'],
);

# people(WHICH): some of those whom the list is about, so that it finds something, into bench.people; again and again where they are few
sub people
{
	my ($which) = @_;
	my $ours = is_ours('i');
	my $messages = "SELECT i, @{[ account_of('i') ]} AS account FROM generate_series(0::int8, $rows - 1, 29) AS i";
	my $accounts = 'SELECT NULL::int8 AS i, n::int8 AS account FROM generate_series';
	my %from = (
		any => $messages,
		'written to' => "$messages WHERE $ours",
		requests => "$accounts(0, $people - 1, $step{requests}) AS n",
		reviews => "$accounts($step{reviews}, $rows - 1, 2 * $step{reviews}) AS n",
	);

	return $node{large}->psql(<<"SQL");
TRUNCATE bench.people, bench.took;
INSERT INTO bench.people (organization, phone, account, message, external)
	SELECT o.id, '+1555' || lpad(w.account::text, 7, '0'), ('01900000-0000-7000-8000-' || lpad(to_hex(w.account), 12, '0'))::uuid,
		   ('01910000-0000-7000-8000-' || lpad(to_hex(w.i), 12, '0'))::uuid, (md5('old ' || w.i)::uuid)::text
	  FROM ($from{$which}) AS w JOIN bench.organizations o ON o.n = w.account % 100 CROSS JOIN generate_series(1, 5 + $tries) AS c (copy)
	 WHERE o.n = $tenant ORDER BY c.copy, random() LIMIT 5 + $tries;
SQL
}

# the roles that ask, as a DBA makes them
sub make_roles
{
	for my $kind (qw(agent auditor admin))
	{
		$node{large}->psql(<<"SQL");
CREATE ROLE bench_$kind LOGIN IN ROLE omnimsg_$kind;
SELECT omnimsg_map_role('bench_$kind', o.id) FROM bench.organizations o WHERE o.n = $tenant;
SQL
	}
	$node{large}->psql(<<'SQL');
CREATE TABLE bench.people (k int GENERATED ALWAYS AS IDENTITY, organization uuid, phone text, account uuid, message uuid, external text);
CREATE TABLE bench.took (n int GENERATED ALWAYS AS IDENTITY, ms float8, found int);
GRANT USAGE ON SCHEMA bench TO bench_agent, bench_auditor, bench_admin;
GRANT SELECT ON bench.people TO bench_agent, bench_auditor, bench_admin;
GRANT INSERT ON bench.took TO bench_agent, bench_auditor, bench_admin;
SQL
	return;
}

# clock(KIND, WHICH, SQL): the median and the longest but for one in twenty of the milliseconds that it takes with values of different people,
# read to the end; how many of them found something; and how often it read a large table from one end to the other
sub clock
{
	my ($kind, $which, $sql) = @_;
	my $node = $node{large};
	my $scans = "SELECT coalesce(sum(s.seq_scan), 0) FROM pg_stat_user_tables s WHERE pg_relation_size(s.relid) > 8 * 1024 * 1024 AND s.schemaname = 'omnimsg'";

	people($which);
	my $before = $node->psql($scans);
	$node->psql(<<"SQL", $kind eq 'superuser' ? () : (user => "bench_$kind"));
DO \$do\$
DECLARE
	r record;
	p record;
	begun timestamptz;
	found int;
BEGIN
	FOR p IN SELECT * FROM bench.people ORDER BY k LOOP
		begun := clock_timestamp();
		found := 0;
		FOR r IN EXECUTE \$sql\$$sql\$sql\$ USING p.organization, p.phone, p.account, p.message, p.external LOOP
			found := found + 1;
		END LOOP;
		INSERT INTO bench.took (ms, found) VALUES (extract(epoch FROM clock_timestamp() - begun) * 1000, found);
	END LOOP;
END
\$do\$;
SELECT pg_stat_force_next_flush();
SQL
	my $said = $node->psql(<<"SQL");
SELECT percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY t.ms), count(*) FILTER (WHERE t.found > 0), count(*), ($scans) - $before
  FROM (SELECT * FROM bench.took ORDER BY n OFFSET 5) AS t
SQL
	my ($median, $high, $found, $asked, $whole) = $said =~ /\{([\d.]+),([\d.]+)\}\|(\d+)\|(\d+)\|(-?\d+)/ or die "unexpected: $said";

	return ($median, $high, $found, $asked, $whole);
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
make_roles();
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
my ($ours, $beside, $ratio, @cost) = compare();

Bench::row(goal => "ingest with $many messages in 4 partitions and $many accounts, batches of $size in one session",
	ours => sprintf('%.0f/s', $ours), beside => sprintf('an empty database: %.0f/s', $beside),
	ratio => sprintf('%.2f x', $ratio), wanted => 'at least 0.9 x', reached => $ratio >= 0.9);
Bench::row(goal => 'the same just after a checkpoint', ours => sprintf('%.0f/s', $early[0]), beside => sprintf('%.0f/s', $early[1]), ratio => sprintf('%.2f x', $early[2]));

my $scans = 0;
my (@slow, $slowest, $slowest_name);

while (my ($name, $list) = splice @lists, 0, 2)
{
	my ($median, $high, $found, $asked, $whole) = clock(@$list);

	printf STDERR "%-43s as %-9s median %6.2f ms, 95 of 100 in %6.2f ms, %d of %d found something, %d large tables read from end to end\n", $name, $list->[0], $median, $high,
		$found, $asked, $whole;
	push @slow, sprintf('%s (%.1f ms, %d whole tables)', $name, $high, $whole) if $high >= 5 || $whole != 0;
	push @slow, "$name (finds nothing)" if $found == 0;
	$scans += $whole;
	($slowest, $slowest_name) = ($high, "$name; median " . sprintf('%.2f ms', $median)) if !defined $slowest || $high > $slowest;
}
Bench::row(goal => "each list that people ask for, with $many messages", ours => sprintf('95 of 100 in at most %.2f ms (%s)', $slowest, $slowest_name) .
	($scans == 0 ? ', no large table is read from end to end' : ''),
	beside => @slow ? 'not reached: ' . join(', ', @slow) : '', ratio => '', wanted => 'under 5 ms', reached => !@slow);
Bench::note("The first row is of servers that have taken $warm webhooks at least since their last checkpoint, the second of such as have just made one. The rates are of one session, with who writes " .
	'spread evenly over all accounts.');
Bench::note("The session that ingests, for each message: $cost[0]; beside it $cost[1]. Just after the checkpoint: $early[3]; beside it $early[4].");
Bench::note("The lists were asked once, not in rounds, for $tries people of one organization, who have what is asked for, plans made anew for each. A role that is mapped to the organization asked, so that row level security was in " .
	'force: a member of omnimsg_agent, of omnimsg_auditor for the audit trail, of omnimsg_admin for all of a person; a superuser for the dead letters only.');
