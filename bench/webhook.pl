# bench/webhook.pl
# From the webhook to its 200, beside a server in Node; what the relay itself costs; and beside connections that idle.

use strict;
use warnings;

use Bench;
use Traffic;

my $seconds = Traffic->seconds(8);
my $traffic = Traffic->new(accounts => 1_000_000, settings => { 'omnimsg.dispatch' => 'off' });
my $node = $traffic->node;
# one relay as it is by default, and one that may keep a thousand connections more
my $relay = $traffic->relay;
my $wide = $traffic->relay(MAX_CONNECTIONS => 1100);
my $peer = $traffic->peer;
# webhooks a second at which both are asked how soon they answer: 40 in a hundred of what the peer can take
my $pace;

# busy(URL, [PIDS], OPTIONS...): 64 connections for a while; what came of it, and microseconds of the processor that those processes took for each
sub busy
{
	my ($url, $pids, @options) = @_;
	# signed before the clock starts
	my $load = $traffic->begin_load($url, '--wait', '--seconds', $seconds, @options);
	my @before = (Bench::cpu_of(@$pids), Bench::cpu_of_server($node->postmaster_pid), Bench::idle());
	$traffic->begin_sending($load);
	my $seen = $traffic->finish_load($load);
	my @after = (Bench::cpu_of(@$pids), Bench::cpu_of_server($node->postmaster_pid), Bench::idle());
	my $failed = $traffic->failed($seen);

	$failed == 0 or die "$failed of $seen->{sent} were not answered 200\n";
	return {
		rate => $seen->{rate},
		p95 => $seen->{ms}{p95},
		user => ($after[0] - $before[0]) * 1e6 / $seen->{sent},
		system => ($after[1] - $before[1]) * 1e6 / $seen->{sent},
		postgres => ($after[2] - $before[2]) * 1e6 / $seen->{sent},
		idle => ($after[3] - $before[3]) * 1e6 / $seen->{sent},
		reopened => $seen->{idle}{reopened} // 0,
	};
}

# paced(PEER, PIDS): as many a second as the peer takes with ease, for ours and for it
sub paced
{
	my ($peer, @pids) = @_;

	return { p95 => busy($peer->url, \@pids, '--rate', $pace, '--connections', 128)->{p95} };
}

# of one thread, over the same webhooks
sub verification
{
	return $traffic->load($relay->url, '--verify', '--count', 3000)->{us};
}

# healthz(SECONDS): 200 connections that ask for /healthz every 100 or 200 ms: how often they did once all were open, and processor time with their opening
sub healthz
{
	my @before = Bench::cpu_of($relay->{pid});
	my $seen = $traffic->load($relay->url, '--seconds', $_[0], '--rate', 1, '--connections', 1, '--idle', 200, '--idle-ping', 100);
	my @after = Bench::cpu_of($relay->{pid});

	return ($seen->{idle}{requests}, $after[0] - $before[0], $after[1] - $before[1]);
}

# what the front end costs for each request that does nothing: of ten seconds more, so that opening and closing the connections is in none of it
sub nothing
{
	my @short = healthz(1);
	my @long = healthz(11);
	my $requests = $long[0] - $short[0];

	return map { ($long[$_] - $short[$_]) * 1e6 / $requests } 1, 2;
}

# what is compiled, planned and cached the first time is so now, on each of the connections
$traffic->load($_->url, '--seconds', 8) for $relay, $wide, $peer;
$pace = int(0.4 * busy($peer->url, [$peer->pids], '--count', 2000 * $seconds)->{rate});

my $median = Bench::rounds(
	ours => sub {
		my $found = busy($relay->url, [$relay->{pid}]);

		$found->{verification} = verification();
		$found->{beyond} = $found->{user} + $found->{system} - $found->{verification};
		@$found{qw(nothing_user nothing_system)} = nothing();
		return $found;
	},
	# it gets as many as it can take, for signing more costs time
	peer => sub { return busy($peer->url, [$peer->pids], '--count', 2000 * $seconds) },
	paced => sub { return paced($relay, $relay->{pid}) },
	paced_peer => sub { return paced($peer, $peer->pids) },
	more => sub { return busy($relay->url, [$relay->{pid}], '--connections', 128) },
	alone => sub { return busy($wide->url, [$wide->{pid}]) },
	beside => sub { return busy($wide->url, [$wide->{pid}], '--idle', 1000, '--idle-ping', 1200) },
);

my $faster = Bench::ratio($median, 'ours', 'peer', 'rate');
my $sooner = Bench::ratio($median, 'peer', 'ours', 'p95');
my $sooner_paced = Bench::ratio($median, 'paced_peer', 'paced', 'p95');
my $kept = Bench::ratio($median, 'beside', 'alone', 'rate');
my $memory = Bench::resident($wide->{pid});
my %of = %{ $median->{ours} };
my $reopened = 0;

$reopened += $_ for @{ $median->{beside}{all}{reopened} };

Bench::row(
	goal => 'webhook to durable 200, 64 connections, 5 % STOP and START, 1 M accounts',
	ours => sprintf('%.0f/s', $median->{ours}{rate}),
	beside => sprintf('Node: %.0f/s', $median->{peer}{rate}),
	ratio => sprintf('%.1f x', $faster),
	wanted => 'at least 8 x',
	reached => $faster >= 8,
);
Bench::row(
	goal => 'its p95',
	ours => sprintf('%.1f ms', $median->{ours}{p95}),
	beside => sprintf('Node: %.1f ms', $median->{peer}{p95}),
	ratio => sprintf('1/%.1f', $sooner),
	wanted => 'at most 1/5',
	reached => $sooner >= 5,
);
Bench::row(
	goal => "p95 of both at $pace webhooks/s, by the clock",
	ours => sprintf('%.1f ms', $median->{paced}{p95}),
	beside => sprintf('Node: %.1f ms', $median->{paced_peer}{p95}),
	ratio => sprintf('1/%.1f', $sooner_paced),
);
Bench::row(
	goal => 'processor time of the relay for each, beyond the verification by libsodium',
	ours => sprintf('%.0f us', $median->{ours}{beyond}),
	beside => sprintf('verification: %.0f us; a GET /healthz: %.0f us', $of{verification}, $of{nothing_user} + $of{nothing_system}),
	ratio => '',
	wanted => 'at most 60 us',
	reached => $median->{ours}{beyond} <= 60,
);
Bench::row(
	goal => '64 busy connections beside 1 000 that idle',
	ours => sprintf('%.0f/s', $median->{beside}{rate}),
	beside => sprintf('without them: %.0f/s', $median->{alone}{rate}) . ($reopened > 0 ? "; $reopened had been closed and were opened again" : ''),
	ratio => sprintf('%.0f %%', 100 * $kept),
	wanted => 'at least 90 %',
	reached => $kept >= 0.9 && $reopened == 0,
);
Bench::row(
	goal => 'memory of the relay then',
	ours => sprintf('%.0f MB', $memory),
	wanted => 'under 128 MB',
	reached => $memory < 128,
);
Bench::note('The Node server is [bench/peer-node](../bench/peer-node/server.js): a cluster of two, prepared statements one by one in a ' .
	'transaction for each webhook, over plain copies of our tables with their indexes. The worker was off, so that nothing was sent.');
Bench::note(sprintf 'Processor time of the relay for a webhook: %.0f us in its own code, the verification included, and %.0f us in the kernel; for a GET /healthz, which does ' .
	'nothing: %.0f us and %.0f us.', @of{qw(user system nothing_user nothing_system)});
Bench::note(sprintf 'At %.0f/s a webhook has %.0f us of the two cores: PostgreSQL uses %.0f, the relay %.0f, and for %.0f they have nothing to do; the rest is the load and what the kernel does for nobody ' .
	'in particular. With 128 connections: %.0f/s, and %.0f us with nothing to do.', $of{rate}, 2e6 / $of{rate}, @of{qw(postgres)}, $of{user} + $of{system}, $of{idle}, @{ $median->{more} }{qw(rate idle)});
Bench::note('The 64 beside the 1 000, and the memory, are of a relay with MAX_CONNECTIONS=1100, the rest of one with its defaults. The relay closes a connection that says nothing for 1.4 seconds. An idle one is kept by a GET /healthz every 1.2 seconds, which counts against us.');
Bench::note('Rates and times are those of closed loops of 64, where the time that each waits is 64 divided by the rate; but for the row that says by the clock, where each webhook is due at a ' .
	"moment of its own, 40 % of what the Node server can take, on 128 connections at most; the rounds gave " . Bench::each($median, 'paced_peer', 'paced', 'p95') . ". Load, relay or Node, and PostgreSQL shared the cores.");
Bench::note($ENV{OMNIMSG_WITHOUT_KEY} ? 'The provider\'s key was not registered.' : 'The provider\'s key was registered, so that PostgreSQL verifies each signature once more; the Node server verifies it once.');
