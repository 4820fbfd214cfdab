# Failover to a synchronous standby: what was acknowledged is there, no confirmation goes out twice, the standby
# sends nothing before it is armed, and an old primary that is cut off sends nothing any more.
# OMNIMSG_PROMOTIONS (3) says how often.

use strict;
use warnings;

use Omnimsg;
use Server;
use Test::More;
use Time::HiRes qw(sleep time);

my $promotions = $ENV{OMNIMSG_PROMOTIONS} || 3;
my $node = Omnimsg->new;
my $made = $node->seed;
my $did = $made->{did};
my $primary = $node;
my @acknowledged;
my $number = 1000;

$node->kill_relay;
# what a dead primary held is free soon
$node->psql("ALTER SYSTEM SET omnimsg.lease = '5s'");
$node->psql("ALTER SYSTEM SET omnimsg.request_timeout = '1s'");
$node->setting('omnimsg.poll_interval', '100ms');

sub posts { return scalar $node->ledger(kind => 'post', @_) }

# whether the simulator holds no connection: whatever a dead worker wrote into one is in the ledger then
sub simulator_is_idle
{
	my ($port) = $node->env('OMNIMSG_SIM_URL') =~ /:(\d+)/;
	my $local = sprintf ':%04X', $port;

	open my $table, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";
	while (my $line = <$table>)
	{
		my ($here, $state) = (split ' ', $line)[1, 3];

		# established, or closed by the other side only
		return 0 if $here =~ /\Q$local\E$/ && $state =~ /^(?:01|08)$/;
	}
	return 1;
}

# a webhook, as a statement that tells its number when it has committed
sub stop
{
	my $from = sprintf '+1555%07d', ++$number;

	return "SELECT '$from' || '|' || outcome FROM omnimsg_ingest('telnyx', convert_to('{\"data\":{\"event_type\":\"message.received\",\"id\":\"e$from\","
		. "\"payload\":{\"id\":\"m$from\",\"from\":{\"phone_number\":\"$from\"},\"to\":[{\"phone_number\":\"$did\"}],\"text\":\"STOP\"}}}', 'UTF8'))";
}

# load(SERVER, COUNT): a process that says STOP after STOP to it; file with what was acknowledged
sub load
{
	my ($server, $count) = @_;
	my $file = $node->dir . "/acknowledged-$number";
	my $sql = join '', map { stop() . ";\n" } 1 .. $count;
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		# what psql printed was committed: it gets the rows with the end of the command
		local %ENV = (%ENV, %{ $server->{settings} });
		open STDOUT, '>', $file or POSIX::_exit(126);
		open STDERR, '>', '/dev/null' or POSIX::_exit(126);
		open my $psql, '|-', $node->_bindir . '/psql', qw(-X -q -A -t) or POSIX::_exit(126);
		local $SIG{PIPE} = 'IGNORE';
		print {$psql} $sql;
		close $psql;
		POSIX::_exit(0);
	}
	return ($pid, $file);
}

sub lines
{
	my ($file) = @_;

	open my $handle, '<', $file or return ();
	my @lines = map { /^(\+\d+)\|applied$/ ? $1 : () } grep { /\n\z/ } <$handle>;
	return @lines;
}

sub make_standby
{
	my ($name) = @_;
	my $standby = Server->base_backup($primary, $name, '-R');

	$standby->start;
	$primary->psql("ALTER SYSTEM SET synchronous_standby_names = '*'");
	$primary->psql('SELECT pg_reload_conf()');
	ok($primary->poll("SELECT string_agg(sync_state, ' ') FROM pg_stat_replication", 'sync'), "$name is a synchronous standby");
	return $standby;
}

# ---- killed under load, again and again ----

for my $n (1 .. $promotions)
{
	Omnimsg::seal_all($primary);
	is($primary->psql('SELECT max(epoch) FROM omnimsg.audit_seals'), $n, "primary $n seals in epoch $n");
	my $standby = make_standby("standby$n");
	my ($pid, $file) = load($primary, 3000);

	$node->wait_until(sub { (my @lines = lines($file)) >= 40 }, 20) or diag 'the load is slow';
	is($standby->psql('SELECT pid FROM omnimsg_worker_status()'), '', 'no worker runs in the standby');
	my $worker = $primary->psql('SELECT pid FROM omnimsg_worker_status()');
	$primary == $node ? $primary->crash_postgres : $primary->crash;
	waitpid $pid, 0;
	my @here = lines($file);
	push @acknowledged, @here;

	# the postmaster is dead; its worker ends when it comes to see that, and what it sent till then counts
	ok($node->wait_until(sub { !$node->running($worker) && simulator_is_idle() }), 'the worker of the dead primary has ended');
	my $before = posts();
	$standby->promote;
	ok($standby->poll('SELECT state FROM omnimsg_worker_status()', 'not armed'), 'the worker of the new primary is not armed');
	my $list = join ',', map { "('$_')" } @here;
	is($standby->psql("SELECT count(*) FROM (VALUES $list) AS w (address) WHERE NOT EXISTS (
		SELECT 1 FROM omnimsg.consents c WHERE c.address = w.address AND c.channel = 'sms' AND c.state = 'opted_out')
		OR NOT EXISTS (SELECT 1 FROM omnimsg.events e WHERE e.dedupe_key = 'received:m' || w.address AND e.outcome = 'applied')"), 0,
		'promotion ' . $n . ': all ' . @here . ' that were acknowledged are there, with their effect');
	is(posts(), $before, 'and it has sent nothing');
	like($standby->psql_error('SELECT * FROM omnimsg_audit_seal()'), qr/55000: the audit trail is not sealed before the database is armed/, 'nor sealed');
	$standby->psql('SELECT omnimsg_arm()');
	$primary = $standby;
}
ok($primary->poll("SELECT count(*) FROM omnimsg.outbox WHERE state IN ('queued', 'leased')", 0, 60), 'armed, it sends what its predecessors left');

Omnimsg::seal_all($primary);
is($primary->psql('SELECT max(epoch), count(DISTINCT sealed_in) FROM omnimsg.audit_seals'), join('|', ($promotions + 1) x 2), 'each of them sealed in an epoch of its own');
is($primary->psql('SELECT * FROM omnimsg_audit_verify()'), '', 'and nothing is wrong in any');

my %times;

$times{ $_->{to} }++ for $node->ledger(kind => 'post');
is(join(' ', grep { $times{$_} > 1 } sort keys %times), '', 'nobody got two confirmations from whichever primary');
cmp_ok(scalar(keys %times), '>', @acknowledged / 2, 'and most got one');

# ---- cut off ----

my $standby = make_standby('last');
my $worker = $primary->psql('SELECT pid FROM omnimsg_worker_status()');
my $waiting = "SELECT count(*) FROM pg_stat_activity WHERE pid = $worker AND wait_event = 'SyncRep'";

$standby->promote;
is($primary->psql('SELECT omnimsg.why_not_armed() IS NULL'), 't', 'the old primary, cut off, is armed still');

my $queued = sprintf '+1555%07d', ++$number;
my $before = posts();

$primary->psql("SET synchronous_commit = local;
	UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$made->{organization}';
	INSERT INTO omnimsg.send_limits (organization_id, opens, closes) VALUES ('$made->{organization}', '00:00', '24:00');
	SELECT omnimsg_send('$made->{organization}', '$queued', 'Your table is ready', kind => 'notification')");
ok($primary->poll($waiting, 1), 'its worker waits for the standby before it sends');
is(posts(), $before, 'and has sent nothing');

# somebody loses patience: the commit is not where it must be, and the server only warns
my $cancels = 0;

ok($node->wait_until(sub {
	# looked at first, so that no claim after that is cancelled as well
	return 1 if $primary->psql("SELECT count(*) FROM omnimsg.outbox WHERE last_error ~ 'synchronous standby'") == 1;
	$cancels++ if $primary->psql($waiting) && $primary->psql("SELECT pg_cancel_backend($worker)") eq 't';
	return 0;
}, 30), 'a wait that is cancelled puts the text off');
like($primary->log, qr/canceling wait for synchronous replication/, 'the server warned');
note("$cancels waits were cancelled");
is(posts(), $before, 'nothing has left');
is($primary->psql('SELECT pid FROM omnimsg_worker_status()'), $worker, 'it is the same worker');

# stops all the same
my $begin = time;
$primary->psql("SELECT pg_terminate_backend($worker, 10000)");
note(sprintf 'a worker that waits for a standby ended in %.2f s', time - $begin);
ok(!$node->running($worker), 'the waiting worker ends when it is told to');

# and what the new primary says of it
is($standby->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$queued'"), 0,
	'the new primary knows nothing of that text');

# without a standby that it has to wait for, it sends
$primary->psql('ALTER SYSTEM RESET synchronous_standby_names');
$primary->psql('SELECT pg_reload_conf()');
ok($node->wait_until(sub { posts(to => $queued) == 1 }, 30), 'when somebody says that no standby is needed it goes');
is(posts(), $before + 1, 'once');

done_testing;
