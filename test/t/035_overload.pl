# The database stands still while more deliveries come than the relay has threads.  The provider waits two
# seconds and then counts a failure, whatever was stored: everybody must have an answer by then.  A relay without
# a spool can only tell all of them to come again; one with a spool keeps what they brought.  The relays have few threads,
# so that few clients are too many: on a slow machine many need the two seconds for themselves.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new(env => { OMNIMSG_RELAY_SPOOL => '', OMNIMSG_RELAY_MAX_CONNECTIONS => 16 });
my $made = $node->seed;
my $private = $node->dir . '/private';

# overload(URL, ALL, REPEAT): 100 clients at once, more than twice the threads, each so often; how many were answered what.
# All must be answered ALL, if it is there, and nobody nothing.  The relay takes 1.75 of the two seconds, so a machine
# that was away for the rest has two more turns; a relay that is late is so each time.
sub overload
{
	my ($url, $all, $repeat) = @_;
	my $count = 100 * ($repeat // 1);
	my %answers;

	for (1 .. 3)
	{
		my (undef, $out) = $node->_run($node->simulator, 'send', '--webhook-url', "$url/webhooks/telnyx",
			'--key-file', $node->env('OMNIMSG_SIGNING_KEY_FILE'), '--from', '+15552000101', '--to', $made->{did},
			'--text', 'Hello', '--repeat', $count, '--parallel', 100, '--attempts', 1);

		%answers = ();
		$answers{$1}++ while $out =~ / http (\d+)/g;
		last if $all ? ($answers{$all} // 0) == $count : !$answers{0};
		diag(join ', ', map { "$_: $answers{$_}" } sort keys %answers);
	}
	return \%answers;
}

mkdir $private;
chmod 0700, $private;
my $spooling = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, MAX_CONNECTIONS => 16, SPOOL => "$private/spool.db");
my $url = $spooling->url;
ok($node->wait_until(sub { $node->request(GET => '/readyz', url => $url)->{status} == 200 }), 'a relay with a spool gets ready');

my $lock = $node->session;
$lock->query('BEGIN');
$lock->query('LOCK TABLE omnimsg.messages');

my $answers = overload($node->env('OMNIMSG_RELAY_URL'), 503);
is($answers->{0} // 0, 0, 'none of 100 clients at once waits for its two seconds in vain while a table is locked');
is($answers->{503}, 100, 'all are told to come again');
is($node->request(GET => '/healthz')->{status}, 200, 'the relay lives');

$answers = overload($url, 200);
is($answers->{0} // 0, 0, 'nor does one with a spool');
is($answers->{200}, 100, 'where all are told that it is kept');

my $before = $node->psql('SELECT count(*) FROM omnimsg.events');
$lock->query('COMMIT');
ok($node->wait_until(sub {
	$node->send(from => '+15552000101', to => $made->{did}, text => 'Hello', attempts => 1)->{http} == 200;
}), 'when the lock is gone, deliveries are stored again');
ok($node->wait_until(sub { $node->request(GET => '/metrics', url => $url)->{body} =~ /^omnimsg_relay_spool_deliveries 0$/m }),
	'and the spool empties');
cmp_ok($node->psql('SELECT count(*) FROM omnimsg.events') - $before, '>=', 100, 'into the database');

# The database gets on, but one delivery after the other: more comes for seconds than it can take.  Those that are too many
# must hear so, for the others wait behind them where the relay cannot see them.
my $slow = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, MAX_CONNECTIONS => 16, DB_CONNECTIONS => 1, BATCH => 1);
ok($node->wait_until(sub { $node->request(GET => '/readyz', url => $slow->url)->{status} == 200 }), 'a slow relay gets ready');
$answers = overload($slow->url, undef, 9);
is($answers->{0} // 0, 0, 'none of many more than are stored waits in vain while the database gets on');
cmp_ok($answers->{503}, '>', 0, 'some are told to come again');
cmp_ok($answers->{200}, '>', 0, 'the others are stored');

done_testing;
