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

# busy(URL, [PIDS], OPTIONS...): 64 connections for a while; what came of it, and processor time of those processes
sub busy
{
	my ($url, $pids, @options) = @_;
	my $before = Bench::cpu(@$pids);
	my $seen = $traffic->load($url, '--seconds', $seconds, @options);
	my $failed = $traffic->failed($seen);

	$failed == 0 or die "$failed of $seen->{sent} were not answered 200\n";
	return {
		rate => $seen->{rate},
		p95 => $seen->{ms}{p95},
		cpu => (Bench::cpu(@$pids) - $before) * 1e6 / $seen->{sent},
	};
}

# of one thread, over the same webhooks
sub verification
{
	return $traffic->load($relay->url, '--verify', '--count', 3000)->{us};
}

# what the front end costs for each request that does nothing: 200 connections that ask for /healthz ten times a second
sub nothing
{
	my $before = Bench::cpu($relay->{pid});
	my $seen = $traffic->load($relay->url, '--seconds', 3, '--rate', 1, '--connections', 1, '--idle', 200, '--idle-ping', 100);

	return (Bench::cpu($relay->{pid}) - $before) * 1e6 / $seen->{idle}{requests};
}

# what is compiled, planned and cached the first time is so now
$traffic->load($_->url, '--seconds', 3) for $relay, $wide, $peer;

my $median = Bench::rounds(
	ours => sub {
		my $found = busy($relay->url, [$relay->{pid}]);

		$found->{beyond} = $found->{cpu} - verification();
		$found->{nothing} = nothing();
		return $found;
	},
	# it gets as many as it can take, for signing more costs time
	peer => sub { return busy($peer->url, [$peer->pids], '--count', 2000 * $seconds) },
	alone => sub { return busy($wide->url, [$wide->{pid}]) },
	beside => sub { return busy($wide->url, [$wide->{pid}], '--idle', 1000, '--idle-ping', 1200) },
);

my $faster = Bench::ratio($median, 'ours', 'peer', 'rate');
my $sooner = Bench::ratio($median, 'peer', 'ours', 'p95');
my $kept = Bench::ratio($median, 'beside', 'alone', 'rate');
my $memory = Bench::resident($wide->{pid});

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
	goal => 'processor time of the relay for each, beyond the verification by libsodium',
	ours => sprintf('%.0f us', $median->{ours}{beyond}),
	beside => sprintf('verification: %.0f us; a GET /healthz: %.0f us', $median->{ours}{cpu} - $median->{ours}{beyond},
		$median->{ours}{nothing}),
	ratio => '',
	wanted => 'at most 60 us',
	reached => $median->{ours}{beyond} <= 60,
);
Bench::row(
	goal => '64 busy connections beside 1 000 that idle',
	ours => sprintf('%.0f/s', $median->{beside}{rate}),
	beside => sprintf('without them: %.0f/s', $median->{alone}{rate}),
	ratio => sprintf('%.0f %%', 100 * $kept),
	wanted => 'at least 90 %',
	reached => $kept >= 0.9,
);
Bench::row(
	goal => 'memory of the relay then',
	ours => sprintf('%.0f MB', $memory),
	wanted => 'under 128 MB',
	reached => $memory < 128,
);
Bench::note('The Node server is [bench/peer-node](../bench/peer-node/server.js): a cluster of two, prepared statements one by one in a ' .
	'transaction for each webhook, over plain copies of our tables with their indexes. The worker was off, so that nothing was sent.');
Bench::note('Most of what the relay costs beyond the verification is the kernel\'s: it sleeps twice for each webhook, for the request and for the commit, ' .
	'and waking up, receiving and sending are paid by system calls. A GET /healthz, which does nothing, shows what civetweb and the kernel take of it.');
Bench::note('The relay closes a connection that says nothing for 1.4 seconds. An idle one is kept by a GET /healthz every 1.2 seconds, which counts against us.');
Bench::note('Rates and times are those of closed loops of 64; load, relay or Node, and PostgreSQL shared the cores.');
