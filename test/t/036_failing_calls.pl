# The first, the second ... call of one kind that the relay makes after a moment fails: for memory, on the network,
# to the disk.  It does not crash, what it answers 200 is in the database in the end, and the next delivery
# is answered 200.  (test/fault/spool_drive.c does the same to the spool alone, from its first call on.)

use strict;
use warnings;

use Omnimsg;
use Test::More;
use Time::HiRes qw(time);

my $node = Omnimsg->new;
my $made = $node->seed;
my $places = $ENV{OMNIMSG_FAIL_PLACES} // 48;
my $number = 0;
my @kept;

sub private
{
	my ($where) = @_;

	mkdir $where or die "$where: $!";
	chmod 0700, $where;
	return $where;
}

sub deliver
{
	my ($url) = @_;
	my $id = 'fail-' . ++$number;
	my $status = $node->send(from => '+15552000101', to => $made->{did}, text => 'Hello', message_id => $id, attempts => 1,
		webhook_url => "$url/webhooks/telnyx")->{http};

	push @kept, $id if $status == 200;
	return $status;
}

sub all_kept
{
	return $node->poll("SELECT count(*) FROM unnest(ARRAY['" . join("','", @kept) . "']) AS w (id)
		WHERE NOT EXISTS (SELECT FROM omnimsg.messages m WHERE m.external_message_id = w.id)", 0);
}

for (
	[ 'malloc', 'up', $places ], [ 'malloc', 'away', $places ], [ 'recv', 'up', $places / 3 ], [ 'send', 'up', $places / 3 ],
	[ 'poll', 'up', $places / 3 ], [ 'connect', 'away', $places / 6 ], [ 'write', 'away', $places / 3 ])
{
	my ($call, $database, $count) = @$_;
	my $spool = private($node->dir . "/$call-$database");
	my $socket = $node->dir . "/socket-$call-$database";
	my @names = qw(LD_PRELOAD FAIL_CALL FAIL_DIR FAIL_ON_SIGNAL);
	my ($next, $late) = (0, 0);

	symlink $database eq 'up' ? $node->env('PGHOST') : '/nowhere', $socket or die $!;
	local @ENV{@names} = ($node->simulator =~ s/omnimsg-simulator$/fail.so/r, $call, $spool, 1);
	my $relay = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$spool/spool.db",
		DATABASE => "host=$socket port=5432 dbname=omnimsg user=omnimsg_relay");
	delete @ENV{@names};
	my $url = $node->wait_until(sub { eval { $relay->url } }) && $relay->url;

	for my $place (1 .. $count)
	{
		my $begin = time;

		$relay->signal('USR2');
		# the call may be one of the second delivery, when the first makes fewer
		for (1 .. 2)
		{
			next if deliver($url) == 200;
			# one of the two may have failed for want of time, on a machine that was away: not often
			$next++ if deliver($url) != 200 && (time - $begin < 1.2 || ++$late > 2 || deliver($url) != 200);
			last;
		}
	}
	is($next, 0, "$call fails, with the database $database: the next delivery is always answered 200");
	if ($database ne 'up')
	{
		unlink $socket or die $!;
		symlink $node->env('PGHOST'), $socket or die $!;
	}
	ok($node->wait_until(sub { ($node->request(GET => '/metrics', url => $url)->{body} // '') =~ /^omnimsg_relay_spool_deliveries 0$/m }),
		'the spool empties');
	$relay->signal('TERM');
	is($relay->ended, 0, 'the relay has not crashed');
}
ok(all_kept(), 'all that was answered 200 is in the database: ' . @kept . " of $number deliveries");
cmp_ok(scalar @kept, '<', $number, 'some calls did make a difference');

# a disk that takes a minute for a flush: the file is there already, so that the relay starts
my $slow = private($node->dir . '/slow');
my %nowhere = (TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$slow/spool.db", DATABASE => 'host=/nowhere');
my $first = $node->relay(%nowhere);
$first->url;
$first->signal('TERM');
is($first->ended, 0, 'a spool is made');
my @slow = qw(LD_PRELOAD FAIL_DIR FAIL_SLOW_MS FAIL_ARMED);
@ENV{@slow} = ($node->simulator =~ s/omnimsg-simulator$/fail.so/r, "$slow/spool.db", 60_000, 1);
my $waiting = $node->relay(%nowhere);
delete @ENV{@slow};
my $hello = $node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello');
is($node->deliver($hello, url => $waiting->url)->{status}, 503, 'what is not flushed in time is not answered 200');
$waiting->signal('TERM');
is($waiting->ended, 0, 'a relay whose disk takes a minute for a flush ends all the same');
is((grep { $_->{msg} =~ /^stopped/ } $waiting->log)[-1]{level}, 'warning', 'and says that it has not waited');

done_testing;
