# bench/stop.pl
# How soon a STOP counts at 1 000 webhooks a second, and what sealing and retention do to that.

use strict;
use warnings;

use Bench;
use Traffic;

my $rate = 1000;
my $seconds = Traffic->seconds(600);
my $round = $seconds < 30 ? $seconds : 30;
# The worker confirms, as always; the provider tells it at once.  Checkpoints come as often as by default.
my $traffic = Traffic->new(accounts => 1_000_000, settings => { checkpoint_timeout => '5min' });
my $node = $traffic->node;
my $relay = $traffic->relay;
# one that is past omnimsg.retention
my $month = $node->psql("SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '5 months')::date");

# paced(SECONDS): what came of that many; every 200 was in time
sub paced
{
	my $seen = $traffic->load($relay->url, '--rate', $rate, '--seconds', $_[0], '--connections', 256);
	my $failed = $traffic->failed($seen);

	print STDERR "of $seen->{sent} $failed were not answered 200, and $seen->{unsent} more not sent\n"
		if $failed + $seen->{unsent} > 0;
	return $seen;
}

# Something for retention to do: a month that is to be dropped, and rows of the journal that have expired
sub let_it_expire
{
	$node->psql(<<"SQL");
-- by the role that retention drops it as
SET ROLE omnimsg_owner;
SELECT omnimsg.make_month('messages', '$month');
RESET ROLE;
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, created_at)
	SELECT '11111111-1111-7111-8111-000000000000', omnimsg.uuid7(), 'inbound', 'sms', '+15553000000', '+15552000100',
		'It was long ago', 'received', '$month'::timestamp AT TIME ZONE 'UTC' + n * interval '1 second'
	  FROM generate_series(1, 50000) AS n;
INSERT INTO omnimsg.events (provider, dedupe_key, event_type, received_at, outcome)
	SELECT 'telnyx', 'received:' || gen_random_uuid(), 'message.received', now() - interval '500 days', 'ignored'
	  FROM generate_series(1, 200000);
SQL
	return;
}

# quiet(): nothing beside it.  Both begin after a checkpoint, when the first change of each page writes all of it.
sub quiet
{
	$node->psql('CHECKPOINT');
	return paced($round);
}

# beside(): the same while one process seals and another keeps retention going, again and again
sub beside
{
	my (@calls, $seen);

	let_it_expire();
	$node->psql('CHECKPOINT');
	for my $sql ('SELECT count(*) FROM omnimsg_audit_seal()', 'SELECT count(*) FROM omnimsg_maintain()')
	{
		my $pid = open(my $pipe, '-|') // die "fork: $!";

		if ($pid == 0)
		{
			my ($count, $until) = (0, time + $round);

			while (time < $until)
			{
				$node->psql($sql);
				$count++;
				select undef, undef, undef, 1;
			}
			print "$count\n";
			POSIX::_exit(0);
		}
		push @calls, $pipe;
	}
	$seen = paced($round);
	($seen->{seals}, $seen->{maintained}) = map { readline $_ } @calls;
	$seen->{kept} = $node->psql("SELECT count(to_regclass('omnimsg.messages_' || to_char('$month'::date, 'YYYY_MM')))");
	return $seen;
}

# what is told of a round; missing are those that were not answered 200, or not sent
sub figures
{
	my ($seen) = @_;

	return {
		p99 => $seen->{ms}{p99}, p50 => $seen->{ms}{p50}, missing => $traffic->failed($seen) + $seen->{unsent},
		map { $_ => $seen->{$_} // 0 } qw(seals maintained kept),
	};
}

paced(3);
my $long = paced($seconds);
my $behind = $node->psql('SELECT count(*) FROM omnimsg.consent_repairs');

print STDERR "$behind consents wait for the worker\n" if $behind > 0;
my $median = Bench::rounds(
	quiet => sub { return figures(quiet()) },
	beside => sub { return figures(beside()) },
);
my $missing = Bench::worst($median, 'quiet', 'missing') + Bench::worst($median, 'beside', 'missing') + Bench::worst($median, 'beside', 'kept');
my $rises = Bench::ratio($median, 'beside', 'quiet', 'p99');

Bench::row(
	goal => "STOP to consent effective, $rate webhooks/s for $seconds s: p99",
	ours => sprintf('%.0f ms', $long->{stop_ms}{p99}),
	beside => sprintf('p50 %.0f ms, all webhooks: p99 %.0f ms', $long->{stop_ms}{p50}, $long->{ms}{p99}),
	wanted => 'under 250 ms',
	reached => $long->{stop_ms}{p99} < 250 && $traffic->failed($long) + $long->{unsent} + $behind == 0,
);
Bench::row(
	goal => "p99 of webhooks at $rate/s while the audit trail is sealed and retention runs",
	ours => sprintf('%.0f ms', $median->{beside}{p99}),
	beside => sprintf('without: %.0f ms', $median->{quiet}{p99}),
	ratio => sprintf('%.1f x', $rises),
	wanted => 'less than 2 x',
	reached => $rises < 2 && $missing == 0,
);
Bench::note('The first row is one run. From the moment that the STOP was due to its 200, which comes after the commit that makes the consent effective; the worker sent the confirmations meanwhile. ' .
	'A checkpoint is begun every five minutes, as by default.');
Bench::note(sprintf 'Sealing and retention were called again a second after each had ended, %d and %d times in %d s, where they run once a minute and once an hour; retention had a month of 50 000 messages ' .
	'to drop and 200 000 rows of the journal to delete. Both kinds of rounds begin after a checkpoint, when the first change of each page writes all of it into the WAL. The rounds gave %s.',
	@{ $median->{beside} }{qw(seals maintained)}, $round, Bench::each($median, 'beside', 'quiet', 'p99'));
