# The database is away in six ways while deliveries come in: every one of them is answered in time, what was
# answered 200 is in the database soon after it is back, and the spool is empty then.
#
# Times are those of the relay's own histogram, and of the client's clock: there with 0.2 s for a machine that
# has other things to do, so that the provider's two seconds are the bound.

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::UNIX;
use Omnimsg;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $clients = 8;
my $pause = 0.15;		# between two requests of a client
my $fault = 4;			# seconds that the database is away
my $bound = 2.0;

my $node = Omnimsg->new;
my $made = $node->seed;

# pool(N): as many signed requests of the simulator, caught in the relay's place
sub pool
{
	my ($n) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "listen: $!";
	my $pid = fork // die "fork: $!";
	my @pool;

	if ($pid == 0)
	{
		open STDOUT, '>', '/dev/null';
		exec $node->simulator, 'send', '--webhook-url', 'http://127.0.0.1:' . $listener->sockport . '/', '--key-file',
			$node->env('OMNIMSG_SIGNING_KEY_FILE'), '--from', '+15552000101', '--to', $made->{did}, '--text', 'Hello',
			'--repeat', $n, '--attempts', 1 or POSIX::_exit(127);
	}
	while (@pool < $n)
	{
		my ($head, $body) = ('', '');
		my $peer = $listener->accept or die "accept: $!";

		while (defined(my $line = readline $peer))
		{
			last if $line =~ /\A\r?\n\z/;
			$head .= $line;
		}
		read $peer, $body, $head =~ /^content-length: *(\d+)/im ? $1 : 0;
		print {$peer} "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
		close $peer;
		push @pool, {
			body => $body,
			id => $body =~ /"payload":\s*\{.*?"id":\s*"([^"]+)"/s ? "$1" : die("no id in $body"),
			timestamp => $head =~ /^telnyx-timestamp: *(\S+)/im,
			signature => $head =~ /^telnyx-signature-ed25519: *(\S+)/im,
		};
	}
	waitpid $pid, 0;
	return @pool;
}

# begin_load(NAME, URL): clients that send until end_load(); it returns [status, seconds, id] of each
sub begin_load
{
	my ($name, $url) = @_;
	my @pool = pool(400);
	my $stop = $node->dir . "/$name.stop";
	my @pids;

	for my $client (0 .. $clients - 1)
	{
		my $pid = fork // die "fork: $!";

		if ($pid == 0)
		{
			open my $out, '>', $node->dir . "/$name.$client" or POSIX::_exit(1);
			for (my $i = $client; $i < @pool && !-e $stop; $i += $clients)
			{
				my $answer = eval { $node->deliver($pool[$i], url => $url) } // { status => 0, seconds => 99 };

				print {$out} "$answer->{status} $answer->{seconds} $pool[$i]{id}\n";
				sleep $pause;
			}
			close $out;
			POSIX::_exit(0);
		}
		push @pids, $pid;
	}
	return { name => $name, stop => $stop, pids => \@pids };
}

sub end_load
{
	my ($load) = @_;
	my @answers;

	open my $stop, '>', $load->{stop} or die $!;
	close $stop;
	for my $client (0 .. $clients - 1)
	{
		waitpid $load->{pids}[$client], 0;
		open my $in, '<', $node->dir . "/$load->{name}.$client" or die $!;
		push @answers, map { chomp; [ split / / ] } readline $in;
	}
	return @answers;
}

sub metric
{
	my ($name, $url) = @_;

	return $node->request(GET => '/metrics', url => $url)->{body} =~ /^omnimsg_relay_\Q$name\E (\S+)$/m ? $1 : undef;
}

# check(WHAT, URL, SINCE, ANSWERS): what must be true of each case
sub check
{
	my ($what, $url, $since, @answers) = @_;
	my @taken = grep { $_->[0] == 200 } @answers;
	my ($slowest) = sort { $b <=> $a } map { $_->[1] } @answers;
	my $left = 10 - (time - $since);
	my $missing = "SELECT count(*) FROM unnest(ARRAY['" . join("','", map { $_->[2] } @taken) . "']) AS w (id)
		WHERE NOT EXISTS (SELECT FROM omnimsg.events e WHERE e.dedupe_key = 'received:' || w.id)";

	cmp_ok(scalar @answers, '>', 30, "$what: " . @answers . ' requests are answered');
	is(scalar(grep { $_->[0] != 200 } @answers), 0, "$what: all of them 200");
	cmp_ok($slowest, '<=', $bound, "$what: in time, the slowest after $slowest s");
	ok($node->wait_until(sub { (metric('spool_deliveries', $url) // 1) == 0 }, $left > 1 ? $left : 1),
		"$what: the spool is empty within 10 seconds of the return");
	ok($node->poll($missing, 0, 5), "$what: all that was answered 200 is in the database");
	return;
}

# during(WHAT, SUB): SUB is called while requests come in, and calls hold() between taking the database away
# and giving it back
sub during
{
	my ($what, $work) = @_;
	my $url = $node->env('OMNIMSG_RELAY_URL');
	my $spooled = metric('spool_stored_total', $url);
	my $load = begin_load($what =~ s/\W/-/gr, $url);

	$work->();
	my $since = time;
	ok($node->poll('SELECT 1', 1, 10), "$what: the database is back");
	check($what, $url, $since, end_load($load));
	cmp_ok(metric('spool_stored_total', $url), '>', $spooled, "$what: the spool was of use");
	return;
}

sub hold
{
	my $until = time + $fault;

	$node->wait_until(sub { time >= $until }, $fault + 1);
	return;
}

# all processes of the server
sub server
{
	my $postmaster = $node->postmaster_pid;

	return ($postmaster, grep { /\A\d+\z/ } split /\s+/, `ps -o pid= --ppid $postmaster`);
}

# ---- a socket behind which nobody is, all the time that other things happen ----

my $black = $node->dir . '/black';
mkdir $black;
chmod 0755, $black;
my $hole = IO::Socket::UNIX->new(Local => "$black/hole", Listen => 128) or die "listen: $!";
chmod 0777, "$black/hole";
symlink "$black/hole", "$black/.s.PGSQL.5432" or die $!;
my $private = $node->dir . '/black-spool';
mkdir $private;
chmod 0700, $private;
my $beside = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$private/spool.db",
	DATABASE => "host=$black port=5432 dbname=omnimsg user=omnimsg_relay");
my $beside_url = $beside->url;
my $beside_load = begin_load('black hole', $beside_url);

during('processes stopped', sub {
	my @stopped = server();

	kill 'STOP', @stopped;
	hold();
	kill 'CONT', @stopped;
});

my @answers = end_load($beside_load);
unlink "$black/.s.PGSQL.5432";
symlink $node->env('PGHOST') . '/.s.PGSQL.5432', "$black/.s.PGSQL.5432" or die $!;
check('black hole', $beside_url, time, @answers);

during('restart', sub {
	$node->stop_postgres;
	hold();
	$node->start;
});

during('immediate stop', sub {
	kill 'QUIT', $node->postmaster_pid;
	$node->wait_until(sub { !$node->running($node->postmaster_pid || 0) }, 10);
	hold();
	$node->start;
});

during('too many clients', sub {
	$node->psql('ALTER ROLE omnimsg_relay CONNECTION LIMIT 0');
	$node->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'omnimsg_relay'");
	hold();
	$node->psql('ALTER ROLE omnimsg_relay CONNECTION LIMIT 128');
});

during('every table locked', sub {
	my $session = $node->session;

	$session->query('BEGIN');
	$session->query($_) for split /\n/, $node->psql("SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', oid::regclass)
		FROM pg_class WHERE relnamespace = 'omnimsg'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition");
	hold();
	$session->query('ROLLBACK');
});

for ([ 'the relay', $node->env('OMNIMSG_RELAY_URL') ], [ 'the one before the black hole', $beside_url ])
{
	my ($who, $url) = @$_;

	is(metric('request_duration_seconds_bucket{le="1.8"}', $url), metric('request_duration_seconds_count', $url),
		"by the clock of $who every request was answered within 1.8 seconds");
}

done_testing;
