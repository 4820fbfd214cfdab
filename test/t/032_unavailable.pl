# The database is away in six ways while deliveries come in: every one of them is answered in time, what was
# answered 200 is in the database soon after it is back, and the spool is empty then.
# OMNIMSG_OUTAGES=N draws N outages of 1 to 12 seconds, of a kind and under a load that the seed says (OMNIMSG_SEED), instead.
#
# Times are those of the relay's own histogram, and of the client's clock without the time in which
# the client or a thread of the relay only waited for a processor.
# slow: six times ten seconds

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::UNIX;
use Omnimsg;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $outages = $ENV{OMNIMSG_OUTAGES} || 0;
my $seed = $ENV{OMNIMSG_SEED} // int rand 2**31;
my $clients = 8;
my $pause = 0.15;		# between two requests of a client
my $fault = 10;			# seconds that the database is away
my $bound = 1.8;

srand $seed;
diag("seed $seed (OMNIMSG_SEED=$seed repeats it), $outages outages") if $outages;

my $node = Omnimsg->new;
my $made = $node->seed;
my $held_up = 0;		# answers that took longer than $bound by the clock, but not without waits for a processor
# nobody loses power here, and a server that starts anew must not keep the disk from the spool
$node->setting('fsync', 'off');

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

# begin_load(NAME, URL, PID): clients that send to that relay until end_load(); it returns [status, seconds, id] of each
sub begin_load
{
	my ($name, $url, $pid) = @_;
	my @pool = pool(int(1.5 * ($fault + 2) / $pause + 1) * $clients);
	my $stop = $node->dir . "/$name.stop";
	my @pids;

	for my $client (0 .. $clients - 1)
	{
		my $child = fork // die "fork: $!";

		if ($child == 0)
		{
			open my $out, '>', $node->dir . "/$name.$client" or POSIX::_exit(1);
			for (my $i = $client; $i < @pool && !-e $stop; $i += $clients)
			{
				my $answer = eval { $node->deliver($pool[$i], url => $url, pid => $pid) } // { status => 0, seconds => 99, elapsed => 99 };

				print {$out} "$answer->{status} $answer->{seconds} $pool[$i]{id} $answer->{elapsed}\n";
				sleep $pause;
			}
			close $out;
			POSIX::_exit(0);
		}
		push @pids, $child;
	}
	return { name => $name, stop => $stop, pids => \@pids, least => $clients * $fault / 2 };
}

sub end_load
{
	my ($load) = @_;
	my @answers;

	open my $stop, '>', $load->{stop} or die $!;
	close $stop;
	for my $client (0 .. $#{ $load->{pids} })
	{
		waitpid $load->{pids}[$client], 0;
		open my $in, '<', $node->dir . "/$load->{name}.$client" or die $!;
		push @answers, map { chomp; [ split / / ] } readline $in;
	}
	$held_up += grep { $_->[3] > $bound && $_->[1] <= $bound } @answers;
	return @answers;
}

sub metric
{
	my ($name, $url) = @_;

	return $node->request(GET => '/metrics', url => $url)->{body} =~ /^omnimsg_relay_\Q$name\E (\S+)$/m ? $1 : undef;
}

# check(WHAT, URL, SINCE, LOAD, ANSWERS): what must be true of each case
sub check
{
	my ($what, $url, $since, $load, @answers) = @_;
	my $least = $load->{least};
	my @taken = grep { $_->[0] == 200 } @answers;
	my ($slowest) = sort { $b <=> $a } map { $_->[1] } @answers;
	my $left = 10 - (time - $since);
	my $missing = "SELECT count(*) FROM unnest(ARRAY['" . join("','", map { $_->[2] } @taken) . "']) AS w (id)
		WHERE NOT EXISTS (SELECT FROM omnimsg.events e WHERE e.dedupe_key = 'received:' || w.id)";

	cmp_ok(scalar @answers, '>=', $least, "$what: " . @answers . ' requests are answered');
	is(scalar(grep { $_->[0] != 200 } @answers), 0, "$what: all of them 200");
	cmp_ok($slowest, '<=', $bound, "$what: in time, the slowest after $slowest s");
	ok($node->wait_until(sub { (metric('spool_deliveries', $url) // 1) == 0 }, $left > 1 ? $left : 1),
		"$what: the spool is empty within 10 seconds of the return");
	ok($node->poll($missing, 0), "$what: all that was answered 200 is in the database");
	return;
}

# all processes of the server
sub server
{
	my $postmaster = $node->postmaster_pid;

	return ($postmaster, grep { /\A\d+\z/ } split /\s+/, `ps -o pid= --ppid $postmaster`);
}

# those that serve the relay; the server can take their place at once
sub backends
{
	return split /\n/, $node->psql("SELECT pid FROM pg_stat_activity WHERE usename = 'omnimsg_relay'");
}

sub drop_connections
{
	$node->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'omnimsg_relay'");
	return;
}

# ---- a socket behind which nobody is, for a relay beside that of the instance ----

my $black = $node->dir . '/black';
mkdir $black;
chmod 0755, $black;
my $hole = IO::Socket::UNIX->new(Local => "$black/hole", Listen => 128) or die "listen: $!";
chmod 0777, "$black/hole";
my $private = $node->dir . '/black-spool';
mkdir $private;
chmod 0700, $private;

# leads(TO): where that relay finds its database
sub leads
{
	my ($to) = @_;

	unlink "$black/.s.PGSQL.5432";
	symlink $to, "$black/.s.PGSQL.5432" or die $!;
	return;
}

my $door = $node->env('PGHOST') . '/.s.PGSQL.5432';

leads("$black/hole");
my $beside = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$private/spool.db",
	DATABASE => "host=$black port=5432 dbname=omnimsg user=omnimsg_relay");
my $own_url = $node->env('OMNIMSG_RELAY_URL');
my $beside_url = $beside->url;

# ---- the kinds: how the database goes away, and how it comes back ----

my (@stopped, $session);

sub go_on { kill 'CONT', @stopped; return }

my %kinds = (
	'processes stopped' => [ sub { @stopped = server(); kill 'STOP', @stopped }, \&go_on ],
	'backends stopped' => [ sub { @stopped = backends(); kill 'STOP', @stopped }, \&go_on ],
	'black hole' => [ sub { leads("$black/hole"); drop_connections() }, sub { leads($door) } ],
	'restart' => [ sub { $node->stop_postgres }, sub { $node->start } ],
	'immediate stop' => [ sub {
		my $postmaster = $node->postmaster_pid;

		kill 'QUIT', $postmaster;
		$node->wait_until(sub { !$node->running($postmaster) });
	}, sub { $node->start } ],
	'too many clients' => [ sub { $node->psql('ALTER ROLE omnimsg_relay CONNECTION LIMIT 0'); drop_connections() },
		sub { $node->psql('ALTER ROLE omnimsg_relay CONNECTION LIMIT 128') } ],
	'every table locked' => [ sub {
		$session = $node->session;
		$session->query('BEGIN');
		$session->query($_) for split /\n/, $node->psql("SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', oid::regclass)
			FROM pg_class WHERE relnamespace = 'omnimsg'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition");
	}, sub { $session->query('ROLLBACK'); $session->close } ],
);

# outage(KIND, WHAT): the database goes away and comes back while requests come in; how many went into the spool
sub outage
{
	my ($kind, $what) = @_;
	my ($url, $pid) = $kind eq 'black hole' ? ($beside_url, $beside->{pid}) : ($own_url, $node->relay_pid);
	my $spooled = metric('spool_stored_total', $url);
	my $load = begin_load($what =~ s/\W/-/gr, $url, $pid);
	my $until;

	$kinds{$kind}[0]->();
	$until = time + $fault;
	$node->wait_until(sub { time >= $until }, $fault + 1);
	$kinds{$kind}[1]->();
	my $since = time;
	ok($node->poll('SELECT 1', 1), "$what: the database is back");
	check($what, $url, $since, $load, end_load($load));
	return metric('spool_stored_total', $url) - $spooled;
}

if ($outages)
{
	my @names = sort keys %kinds;

	leads($door);
	for my $n (1 .. $outages)
	{
		my $kind = $names[rand @names];

		$fault = 1 + int(rand 111) / 10;
		$clients = 4 + int rand 9;
		$pause = 0.1 + int(rand 30) / 100;
		my $spooled = outage($kind, "$n, $kind for $fault s, $clients clients with pauses of $pause s");
		note("$n: $spooled deliveries were spooled");
	}
}
else
{
	# all the time that other things happen
	my $load = begin_load('black hole', $beside_url, $beside->{pid});

	cmp_ok(outage('processes stopped', 'processes stopped'), '>', 0, 'processes stopped: the spool was of use');
	my @answers = end_load($load);

	leads($door);
	check('black hole', $beside_url, time, $load, @answers);
	cmp_ok(outage($_, $_), '>', 0, "$_: the spool was of use") for 'restart', 'immediate stop', 'too many clients', 'every table locked';
}

for ([ 'the relay', $own_url ], [ 'the one before the black hole', $beside_url ])
{
	my ($who, $url) = @$_;

	cmp_ok(metric('request_duration_seconds_count', $url) - metric('request_duration_seconds_bucket{le="1.8"}', $url), '<=', $held_up,
		"by the clock of $who every request was answered within 1.8 seconds but for $held_up that had no processor");
}

done_testing;
