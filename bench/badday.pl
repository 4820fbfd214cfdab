# bench/badday.pl
# Twice as many webhooks as can be stored: what is answered, how soon, and what is left of it afterwards.

use strict;
use warnings;

use Bench;
use Traffic;

my $seconds = Traffic->seconds(20);
my $traffic = Traffic->new(accounts => 1_000_000, settings => { 'omnimsg.dispatch' => 'off' });
my $relay = $traffic->relay(SPOOL => '');

# What it can store, by a closed loop that keeps it busy
$traffic->load($relay->url, '--seconds', 3);
my $closed = $traffic->load($relay->url, '--seconds', 5, '--connections', 128);
my $sustained = int $closed->{rate};
my $before = Bench::resident($relay->{pid});

# By the clock, as a provider sends, on as many connections as it likes; and then half of it.  Both are signed before, so that the second follows the
# first without a pause, while that still waits for its last answers.
sub storm
{
	my $first = $traffic->begin_load($relay->url, '--wait', '--rate', 2 * $sustained, '--seconds', $seconds, '--connections', 2000, '--timeline',
		'--timeout', 5000);
	my $second = $traffic->begin_load($relay->url, '--wait', '--rate', int($sustained / 2), '--seconds', 15, '--connections', 2000, '--timeline');

	$traffic->begin_sending($first);
	sleep $seconds;
	$traffic->begin_sending($second);
	my ($seen, $after) = map { $traffic->finish_load($_) } $first, $second;
	my $recovered = 15;

	# the first second from which on all were answered 200, and within 300 ms
	for my $second (reverse 0 .. 14)
	{
		my ($ok, $refused, $lost, $worst) = @{ $after->{timeline}[$second] };

		last if $refused > 0 || $lost > 0 || $worst > 300;
		$recovered = $second;
	}
	return {
		answered => $seen->{answer_ms}{max} / 1000,
		stored => $seen->{rate} / $sustained,
		refused => $seen->{statuses}{503} // 0,
		lost => $seen->{statuses}{0} // 0,
		unsent => $seen->{unsent},
		recovered => $recovered,
	};
}

my $found = Bench::rounds(3, storm => \&storm);
my $median = $found->{storm};
my %worst = map { $_ => Bench::worst($found, 'storm', $_) } qw(answered lost recovered);
my $memory = Bench::resident($relay->{pid});

Bench::row(
	goal => sprintf('%d/s for %d s where %d/s can be stored: the longest wait for an answer', 2 * $sustained, $seconds, $sustained),
	ours => sprintf('%.2f s', $worst{answered}),
	beside => sprintf('%d got 503, %d no answer; %d were not sent', $median->{refused}, $worst{lost}, $median->{unsent}),
	wanted => 'all have one within 1.8 s',
	reached => $worst{answered} <= 1.8 && $median->{refused} > 0 && $worst{lost} == 0,
);
Bench::row(
	goal => 'stored meanwhile, of what can be stored',
	ours => sprintf('%.0f %%', 100 * $median->{stored}),
	wanted => 'at least half',
	reached => $median->{stored} >= 0.5,
);
Bench::row(
	goal => 'until all are answered 200 again, at half of the load',
	ours => sprintf('%d s', $worst{recovered}),
	wanted => 'within 10 s',
	reached => $worst{recovered} <= 10,
);
Bench::row(
	goal => 'memory of the relay at most',
	ours => sprintf('%.0f MB', $memory),
	beside => sprintf('before: %.0f MB', $before),
	wanted => 'under 256 MB',
	reached => $memory < 256,
);
Bench::note('Without a spool; with one what is too much is kept in it and answered 200. Of three rounds the longest times and the most without an answer are told, and medians of the rest. ' .
	'The half of the load follows the storm without a pause: the webhooks of both were signed before.');
