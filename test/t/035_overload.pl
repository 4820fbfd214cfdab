# The database stands still while more deliveries come than the relay has threads.  The provider waits two
# seconds and then counts a failure, whatever was stored: everybody must have an answer by then.
# alone: four hundred clients want both processors

use strict;
use warnings;

use Omnimsg;
use Test::More;

# without a spool, so that 503 is all there is to say; 031 and 032 have one
my $node = Omnimsg->new(env => { OMNIMSG_RELAY_SPOOL => '' });
my $made = $node->seed;
my $lock = $node->session;
my (@pids, %answers);

$lock->query('BEGIN');
$lock->query('LOCK TABLE omnimsg.messages');

# 600 clients at once, more than twice the threads
for my $n (1 .. 6)
{
	my $pid = fork // die $!;

	if ($pid == 0)
	{
		open STDOUT, '>', $node->dir . "/overload.$n";
		exec $node->simulator, 'send', '--webhook-url', $node->env('OMNIMSG_RELAY_URL') . '/webhooks/telnyx',
			'--key-file', $node->env('OMNIMSG_SIGNING_KEY_FILE'), '--from', '+15552000101',
			'--to', $made->{did}, '--text', 'Hello', '--repeat', 100, '--parallel', 100, '--attempts', 1;
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
is($answers{0} // 0, 0, 'none of 600 clients at once waits for its two seconds in vain while a table is locked');
is($answers{503}, 600, 'all are told to come again');
is($node->request(GET => '/healthz')->{status}, 200, 'the relay lives');

$lock->query('COMMIT');
ok($node->wait_until(sub {
	$node->send(from => '+15552000101', to => $made->{did}, text => 'Hello', attempts => 1)->{http} == 200;
}), 'when the lock is gone, deliveries are stored again');

done_testing;
