# The worker's life, what 090_lifecycle.pl leaves out: no snapshot while the provider is silent, signals in a call and out of
# it, terminations without a loop of restarts, databases and versions that come and go, and servers that have no place for it.

use strict;
use warnings;

use Omnimsg;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = Omnimsg->new;
my $made = $node->seed;
my $number = 1000;
my $status = 'SELECT state FROM omnimsg_worker_status()';
my $pid;

$node->kill_relay;
$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$made->{organization}'");
$node->setting('omnimsg.poll_interval', '100ms');
$node->setting('omnimsg.request_timeout', '60s');

sub worker { return $node->psql('SELECT pid FROM omnimsg_worker_status()') }

# hang(MS): a text is being sent, and the provider says nothing for so long; its receiver
sub hang
{
	my ($ms) = @_;
	my $to = sprintf '+1555200%04d', ++$number;

	$node->behave("silent:ms=$ms,times=1,to=$to");
	$node->queue($made, [$to]);
	ok($node->poll('SELECT state, in_flight FROM omnimsg_worker_status()', 'sending|1'), 'a request hangs');
	return $to;
}

sub works
{
	my ($title) = @_;
	my $to = sprintf '+1555200%04d', ++$number;

	$node->queue($made, [$to]);
	ok($node->wait_until(sub { $node->ledger(kind => 'post', to => $to) }, 30), $title);
	return;
}

# stops(SUB, TITLE, OTHERS...): the worker $pid, which SUB tells to; what it waits for a processor is not its own time
sub stops
{
	my ($code, $title, @others) = @_;
	my $took = $node->last_seen($pid, $code, @others);

	note(sprintf '%s: %.3f s', $title, $took);
	cmp_ok($took, '<', 1, "$title ends it within a second");
	return;
}

# timed(SUB, TITLE): what waited for the call would take a minute; the number is printed
sub timed
{
	my ($code, $title) = @_;
	my $begin = time;

	$code->();
	my $took = time - $begin;
	note(sprintf '%s: %.2f s', $title, $took);
	cmp_ok($took, '<', 40, $title);
	return;
}

# told(PATTERN): whether the server's log has it
sub told
{
	my ($pattern) = @_;

	open my $log, '<', $node->dir . '/log/postgres.log' or die "postgres.log: $!";
	return scalar grep { /$pattern/ } <$log>;
}

works('it sends');

# ---- plans ----

# Of a table that was empty when it was vacuumed, the planner believes that a scan of it is free; and plans are kept.
my $scans = "SELECT seq_scan FROM pg_stat_all_tables WHERE relid = 'omnimsg.outbox'::regclass";

$node->psql('DELETE FROM omnimsg.outbox; SELECT pg_stat_force_next_flush()');
$node->psql('VACUUM ANALYZE omnimsg.outbox');
my $before_growth = $node->psql($scans);
works('it sends from an outbox that was empty when it was vacuumed');
works('and more from it');
is($node->psql($scans), $before_growth, 'and finds what it looks for by keys, without reading all of it');

# ---- in a call ----

$pid = worker();

# it has nothing else to do meanwhile
$node->setting('omnimsg.poll_interval', '60s');
my $to = hang(60_000);

# A sample counts when the worker slept in the wait for its requests all the time that it took: what pg_stat_activity shows is put
# together from several places, and a look into the outbox that ended in between would be seen as half there.
my $observer = $node->session;
my ($counted, $free, $passed_over) = (0, 0, 0);

sub asleep
{
	open my $handle, '<', "/proc/$pid/status" or return '';
	my %is = map { /^(\w+):\s+(\S+)/ ? ($1 => $2) : () } <$handle>;

	return $is{State} eq 'S' ? "$is{voluntary_ctxt_switches} $is{nonvoluntary_ctxt_switches}" : '';
}

while ($counted < 200 && $passed_over < 4000)
{
	my $before = asleep();
	my ($event, $in_flight, $held) = split /\|/, $observer->query(<<"SQL");
SELECT a.wait_event, s.in_flight, a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL OR a.xact_start IS NOT NULL OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid)
	FROM pg_stat_activity a, omnimsg_worker_status() s WHERE a.pid = $pid AND s.pid = $pid
SQL
	if ($before ne '' && $before eq asleep() && $event eq 'Extension' && $in_flight == 1)
	{
		$counted++;
		$free++ if $held eq 'f';
	}
	else
	{
		$passed_over++;
		$to = hang(60_000) if $in_flight == 0;
	}
}
$observer->close;
note("$passed_over looks fell into something that the worker did meanwhile");
is($counted, 200, 'the worker is seen 200 times while it waits for the provider');
is($free, $counted, 'each time without a snapshot, a transaction or a lock');
is($node->psql($status), 'sending', 'and the call goes on');
$node->psql("ALTER SYSTEM SET omnimsg.poll_interval = '100ms'");
timed(sub { $node->psql('CREATE DATABASE other') }, 'CREATE DATABASE in a call');
timed(sub { $node->psql('DROP DATABASE other') }, 'DROP DATABASE of another one in a call');
$node->psql('CREATE DATABASE pattern IS_TEMPLATE true');
timed(sub { $node->psql('ALTER DATABASE pattern IS_TEMPLATE false'); $node->psql('DROP DATABASE pattern') }, 'DROP DATABASE of a template in a call');
is($node->psql('SELECT count(*) FROM pg_database WHERE datconnlimit = -2'), 0, 'no database is left invalid');
$node->setting('omnimsg.max_in_flight', 7);
kill 'HUP', $pid;
is($node->psql("SELECT pg_cancel_backend($pid)"), 't', 'settings are read, and somebody cancels it');
$node->behave_well;
ok($node->poll('SELECT in_flight FROM omnimsg_worker_status()', 0), 'the call comes to its end');
is(worker(), $pid, 'by the same worker');
ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '$to'", 'unknown'), 'and what came of it is recorded: nobody knows');
is(scalar($node->ledger(kind => 'post', to => $to)), 1, 'one request left');

# ---- the threads that look names up ----

# a name is looked up in no time: a library before the others makes it take longer
my $library = $node->dir . '/slow.so';

open my $source, '|-', 'cc', '-shared', '-fPIC', '-o', $library, '-x', 'c', '-', '-ldl' or die "cc: $!";
print {$source} <<'C';
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");

	usleep(300000);
	return next(node, service, hints, result);
}
C
close $source or die 'cc failed';
my ($name) = map { /^\s*(?:127\.\S+|::1)\s+(.*)/ ? grep { !/^localhost/ && !/^#/ } split ' ', $1 : () } do {
	open my $hosts, '<', '/etc/hosts' or die "/etc/hosts: $!";
	<$hosts>;
};

SKIP:
{
	skip 'no name of this machine but localhost is known without asking a server', 1 if !$name;
	my ($port) = $node->env('OMNIMSG_SIM_URL') =~ /:(\d+)/;
	my %wanted = (HUP => 1, INT => 2, USR1 => 10, TERM => 15, URG => 23);
	my ($threads, %open) = 0;

	# what does not speak TLS is not sent; until then the name is looked up each time
	$node->psql("ALTER SYSTEM SET omnimsg.telnyx_api_base = 'https://$name:$port'");
	$node->psql('ALTER SYSTEM SET omnimsg.max_in_flight = 64');
	$node->stop_postgres;
	{
		local $node->{env}{LD_PRELOAD} = $library;
		$node->start;
	}
	$node->kill_relay;
	$node->wait_until(sub { $pid = worker() });
	$node->queue($made, [map { sprintf '+1555201%04d', $_ } 1000 .. 1049], expires => '20 seconds');
	$node->wait_until(sub {
		for my $status (grep { !m{/$pid/status$} } glob "/proc/$pid/task/*/status")
		{
			open my $handle, '<', $status or next;
			my ($blocked) = map { /^SigBlk:\s+(\S+)/ ? hex substr($1, -8) : () } <$handle>;
			next if !defined $blocked;
			$threads++;
			$blocked & 1 << $wanted{$_} - 1 or $open{$_}++ for keys %wanted;
		}
		return $threads >= 20;
	}, 15);
	$node->psql('ALTER SYSTEM RESET omnimsg.telnyx_api_base');
	$node->setting('omnimsg.poll_interval', '100ms');
	note("$threads looks at threads beside the worker's own");
	skip 'no thread was caught', 1 if !$threads;
	is(join(' ', sort keys %open), '', 'threads beside the worker\'s own take none of its signals');
}
$node->psql("UPDATE omnimsg.outbox SET state = 'suppressed', settled_at = now(), lease_token = NULL, leased_until = NULL WHERE state IN ('queued', 'leased')");

# ---- ends ----

$pid = worker();
stops(sub { kill 'TERM', $pid }, 'SIGTERM while it is idle');
ok($node->poll("SELECT pid <> $pid FROM omnimsg_worker_status()", 't'), 'and another one starts');

# a hundred times, as often as there is one: it comes back at its own pace
my $begin = time;
my %pids;

my $session = $node->session;

for (1 .. 100)
{
	$pids{$_}++ for grep { /^\d+$/ } split /\n/, $session->query('SELECT pid FROM (SELECT pid, pg_terminate_backend(pid) FROM omnimsg_worker_status() WHERE pid IS NOT NULL) AS w');
	sleep 0.06;
}
$session->close;
my $seconds = time - $begin;

cmp_ok(scalar(keys %pids), '<=', $seconds / 5 + 1, sprintf '%d workers in %d s: there is no loop of restarts', scalar keys %pids, $seconds);
works('at last it sends again');

# ---- no process for it ----

# a limit of that postmaster alone, with which each fork fails as on a machine that has no process left
my $postmaster = $node->postmaster_pid;
my ($uid, $gid) = (stat $node->dir . '/data/')[4, 5];
my @as_owner = $> == 0 ? ('setpriv', "--reuid=$uid", "--regid=$gid", '--init-groups', '--') : ();
my ($limit) = `@as_owner prlimit --pid=$postmaster --nproc --output=SOFT --noheadings --raw` =~ /^(\w+)/;
my $forks = sub { system(@as_owner, 'prlimit', "--pid=$postmaster", "--nproc=$_[0]:") == 0 or die 'no limit can be set' };

$session = $node->session;
$pid = $session->query('SELECT pid FROM omnimsg_worker_status()');
$forks->(0);
stops(sub { kill 'TERM', $pid }, 'SIGTERM when nothing can be forked');
ok($node->wait_until(sub { told(qr/could not fork worker process/) }, 30), 'none can take its place, which the log tells');
is($session->query("SELECT severity FROM omnimsg_health() WHERE finding = 'the dispatcher does not run'"), 'error', 'and health');
$forks->($limit);
$session->close;
works('as soon as there are processes again it comes back by itself and sends');

# ---- versions, in a call ----

hang(60_000);
timed(sub { $node->psql("DROP EXTENSION omnimsg; CREATE EXTENSION omnimsg VERSION '1.0'") }, 'an older version takes its place in a call');
ok($node->wait_until(sub { $node->psql_error('SELECT * FROM omnimsg_worker_status()') =~ /version/ || $node->psql($status) !~ /^(?:idle|sending)/ }, 20),
	'the worker waits for the update');
$node->behave_well;
timed(sub { $node->psql('ALTER EXTENSION omnimsg UPDATE') }, 'the update');
ok($node->poll($status, 'not armed'), 'does not arm');
$node->psql('SELECT omnimsg_arm()');
ok($node->poll($status, 'idle'), 'and then it goes on');
$node->seed;
$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$made->{organization}'");
works('and sends');

# ---- no database, and no place ----

my $started = $node->psql('SELECT pg_postmaster_start_time()');

is(told(qr/terminated by signal|PANIC|exit code [2-9]/), 0, 'nothing crashed until here');

$node->psql("ALTER SYSTEM SET omnimsg.database = 'nowhere'");
hang(60_000);
$pid = worker();
$postmaster = $node->postmaster_pid;
stops(sub { kill 'INT', $postmaster }, 'a fast shutdown in a call', $postmaster);
ok($node->wait_until(sub { !$node->running($postmaster) }, 60), 'and the server ends');
$node->start;
ok($node->wait_until(sub { told(qr/database "nowhere" does not exist/) }, 20), 'a database that does not exist is told in the log');
is($node->psql("SELECT string_agg(finding, ', ' ORDER BY finding) FROM omnimsg_health() WHERE finding ~ 'dispatcher|omnimsg.database'"),
	'omnimsg.database is another database, the dispatcher does not run', 'and by health');
$node->psql('ALTER SYSTEM RESET omnimsg.database');
$node->psql('ALTER SYSTEM SET max_worker_processes = 0');
$node->stop_postgres;
$node->start;
is($node->psql("SELECT severity FROM omnimsg_health() WHERE finding = 'the dispatcher does not run'"), 'error', 'without a place for it health tells that it does not run');
ok($node->wait_until(sub { told(qr/too many background workers/) }), 'and the log why');
$node->psql('ALTER SYSTEM RESET max_worker_processes');
$node->stop_postgres;
$node->start;
works('with a place it sends');

done_testing;
