# The database stands still while more deliveries come than the relay has threads.  The provider waits two
# seconds and then counts a failure, whatever was stored: everybody must have an answer by then.  A relay without
# a spool can only tell all of them to come again; one with a spool keeps what they brought.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new(env => { OMNIMSG_RELAY_SPOOL => '' });
my $made = $node->seed;
my $private = $node->dir . '/private';

# overload(URL, REPEAT): 600 clients at once, more than twice the threads, each so often; how many were answered what
sub overload
{
	my ($url, $repeat) = @_;
	my (@pids, %answers);

	for my $n (1 .. 6)
	{
		my $pid = fork // die $!;

		if ($pid == 0)
		{
			open STDOUT, '>', $node->dir . "/overload.$n";
			exec $node->simulator, 'send', '--webhook-url', "$url/webhooks/telnyx",
				'--key-file', $node->env('OMNIMSG_SIGNING_KEY_FILE'), '--from', '+15552000101',
				'--to', $made->{did}, '--text', 'Hello', '--repeat', 100 * ($repeat // 1), '--parallel', 100, '--attempts', 1;
			die $!;
		}
		push @pids, $pid;
	}
	waitpid $_, 0 for @pids;
	for my $n (1 .. 6)
	{
		open my $handle, '<', $node->dir . "/overload.$n" or die $!;
		while (my $line = <$handle>)
		{
			$answers{$1}++ if $line =~ / http (\d+)/;
		}
	}
	return \%answers;
}

mkdir $private;
chmod 0700, $private;
my $spooling = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$private/spool.db");
my $url = $spooling->url;
ok($node->wait_until(sub { $node->request(GET => '/readyz', url => $url)->{status} == 200 }), 'a relay with a spool gets ready');

my $lock = $node->session;
$lock->query('BEGIN');
$lock->query('LOCK TABLE omnimsg.messages');

my $answers = overload($node->env('OMNIMSG_RELAY_URL'));
is($answers->{0} // 0, 0, 'none of 600 clients at once waits for its two seconds in vain while a table is locked');
is($answers->{503}, 600, 'all are told to come again');
is($node->request(GET => '/healthz')->{status}, 200, 'the relay lives');

$answers = overload($url);
is($answers->{0} // 0, 0, 'nor does one with a spool');
is($answers->{200}, 600, 'where all are told that it is kept');

my $before = $node->psql('SELECT count(*) FROM omnimsg.events');
$lock->query('COMMIT');
ok($node->wait_until(sub {
	$node->send(from => '+15552000101', to => $made->{did}, text => 'Hello', attempts => 1)->{http} == 200;
}), 'when the lock is gone, deliveries are stored again');
ok($node->wait_until(sub { $node->request(GET => '/metrics', url => $url)->{body} =~ /^omnimsg_relay_spool_deliveries 0$/m }),
	'and the spool empties');
cmp_ok($node->psql('SELECT count(*) FROM omnimsg.events') - $before, '>=', 600, 'into the database');

# The database gets on, but one delivery after the other: more comes for seconds than it can take.  Those that are too many
# must hear so, for the others wait behind them where the relay cannot see them.
my $slow = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, MAX_CONNECTIONS => 16, DB_CONNECTIONS => 1, BATCH => 1);
ok($node->wait_until(sub { $node->request(GET => '/readyz', url => $slow->url)->{status} == 200 }), 'a slow relay gets ready');
$answers = overload($slow->url, 3);
is($answers->{0} // 0, 0, 'none of many more than are stored waits in vain while the database gets on');
cmp_ok($answers->{503}, '>', 0, 'some are told to come again');
cmp_ok($answers->{200}, '>', 0, 'the others are stored');

done_testing;
