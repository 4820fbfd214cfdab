# After some thousand events and sendings relay, worker and backends hold as much memory and as many files as before.
#
# OMNIMSG_EVENTS (6000) makes it longer; OMNIMSG_VALGRIND_EVENTS sends so many through a relay under valgrind.

use strict;
use warnings;

use JSON::PP qw(encode_json);
use Omnimsg;
use Test::More;

my $events = $ENV{OMNIMSG_EVENTS} // 6000;
my $seed = $ENV{OMNIMSG_SEED} // int rand 2**31;

diag("seed $seed, $events events");
srand $seed;

my $node = Omnimsg->new;
my $made = $node->seed;
my $file = $node->dir . '/messages.jsonl';
my $number = 0;

$node->setting('omnimsg.rate_limit', '2000');

# so many messages, of which one in four is answered, each from somebody else
sub messages
{
	my ($count, $url) = @_;

	open my $out, '>', $file or die "$file: $!";
	for (1 .. $count)
	{
		my $from = sprintf '+1555%07d', 2100000 + $number++;

		print {$out} encode_json({ from => $from, to => $made->{did}, text => (qw(STOP Hello Thanks), 'When?')[rand 4] }), "\n";
	}
	close $out or die "$file: $!";
	$node->send(file => $file, parallel => 16, quiet => undef, $url ? (webhook_url => $url) : ())->{exit} == 0 or die 'they were not all taken';
	$node->poll("SELECT count(*) FROM omnimsg.outbox WHERE settled_at IS NULL", 0, 120) or die 'replies were not sent';
	$node->poll("SELECT count(*) FROM omnimsg.messages WHERE status IN ('sent', 'sending')", 0, 60) or die 'nor delivered';
	return;
}

# kB of a process in memory, and how many files it has open
sub size_of
{
	my ($pid) = @_;
	my ($rss) = do { open my $in, '<', "/proc/$pid/status" or die "status of $pid: $!"; local $/; <$in> =~ /^RssAnon:\s+(\d+)/m };

	opendir my $fds, "/proc/$pid/fd" or die "fd of $pid: $!";
	return ($rss, scalar grep { /\A\d/ } readdir $fds);
}

# bytes that the worker's memory contexts hold, as the server writes into its log when asked
sub contexts
{
	my ($pid) = @_;
	my $log = $node->dir . '/log/postgres.log';
	my $before = -s $log;
	my $total;

	$node->psql("SELECT pg_log_backend_memory_contexts($pid)");
	$node->wait_until(sub {
		open my $in, '<', $log or die "$log: $!";
		seek $in, $before, 0;
		local $/;
		($total) = <$in> =~ /\[$pid\].*Grand total: (\d+) bytes/;
		return $total;
	}, 30) or die 'the worker does not log its memory';
	return $total;
}

sub worker { return $node->psql('SELECT pid FROM omnimsg_worker_status()') }

# What is made once is made first: plans, buffers, SQLite's cache.  Then come rounds of equal length.  What each event left
# behind would be there after every one of them.  malloc takes more when a burst was larger than any before, and gives back
# some later: a round in which it did neither is waited for, and with a leak it never comes.
my $least = 3;
my $most = 12;
my $per_round = int($events / $least);
my %allowed = (relay => $per_round * 0.1, worker => $per_round * 0.1, contexts => 16 + $per_round * 0.004, relay_fds => 1, worker_fds => 1);

messages($per_round);
my $relay = $node->relay_pid;
my $worker = worker();
my @sizes;

# by which it grew (in kB, or files) in the round in which it grew least
sub growth
{
	my ($what) = @_;

	return (sort { $a <=> $b } map { $sizes[$_]{$what} - $sizes[$_ - 1]{$what} } 1 .. $#sizes)[0];
}

sub look
{
	my ($relay_kb, $relay_fds) = size_of($relay);
	my ($worker_kb, $worker_fds) = size_of($worker);

	push @sizes, { relay => $relay_kb, worker => $worker_kb, contexts => contexts($worker) / 1024, relay_fds => $relay_fds, worker_fds => $worker_fds };
	note(join ', ', "round $#sizes", map { sprintf '%s %d', $_, $sizes[-1]{$_} } sort keys %allowed);
	return;
}

look();
while ($#sizes < $least || ($#sizes < $most && grep { growth($_) >= $allowed{$_} } keys %allowed))
{
	messages($per_round);
	look();
}

is(worker(), $worker, 'the worker is the same');
is($node->relay_pid, $relay, 'and so is the relay');
cmp_ok(growth('relay'), '<', $allowed{relay}, 'the relay keeps less than 0.1 kB per event');
cmp_ok(growth('contexts'), '<', $allowed{contexts}, 'the worker\'s memory contexts keep next to nothing per event');
cmp_ok(growth('worker'), '<', $allowed{worker}, 'the worker as a whole keeps less than 0.1 kB per event');
# PostgreSQL keeps the files of tables open, and comes to one or the other later
cmp_ok(growth("${_}_fds"), '<', $allowed{"${_}_fds"}, "there is a round after which the $_ has no more files open than before") for qw(relay worker);

# ---- a backend that ingests all the time ----

my $session = $node->session;
my $bytes = 'SELECT sum(used_bytes) FROM pg_backend_memory_contexts';
my $ingest = <<"SQL";
SELECT count(*) FROM generate_series(1, 200) AS n CROSS JOIN LATERAL omnimsg_ingest('telnyx', convert_to(format(
	'{"data":{"event_type":"message.received","id":"%s","payload":{"id":"%s","from":{"phone_number":"+1555%s"},"to":[{"phone_number":"$made->{did}"}],"text":"Hello"}}}',
	gen_random_uuid(), gen_random_uuid(), 2500000 + n), 'UTF8'))
SQL
$session->query($ingest) for 1 .. 3;
my $grown;
# what autovacuum has made meanwhile is read once
for (1 .. 4)
{
	my $backend_before = $session->query($bytes);

	$session->query($ingest) for 1 .. 10;
	my $backend_after = $session->query($bytes);
	note("a backend: $backend_before, then $backend_after bytes");
	$grown = $backend_after - $backend_before;
	last if $grown < 65536;
}
cmp_ok($grown, '<', 65536, 'a backend holds no more after two thousand further events');

# ---- under valgrind ----

if (my $count = $ENV{OMNIMSG_VALGRIND_EVENTS})
{
	my $relay = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => '', UNDER => 'valgrind -q --leak-check=full
		--errors-for-leak-kinds=definite --error-exitcode=99');

	messages($count, "@{[$relay->url]}/webhooks/telnyx");
	$relay->signal('TERM');
	is($relay->ended, 0, "after $count events valgrind knows of no wrong access and of nothing that was lost");
}

done_testing;
