# What a DBA does to a server while the provider keeps the worker waiting: settings, signals, DROP and shutdown.

use strict;
use warnings;

use FindBin;
use Omnimsg;
use Test::More;
use Time::HiRes qw(time);

my $node = Omnimsg->new;
my $made = $node->seed;
my $did = $made->{did};
my $number = 1000;
# what waits for the provider waits for a minute: 30 seconds tell that apart, however long a checkpoint takes
my $at_most = 30;
$node->setting('omnimsg.request_timeout', '60s');

# somebody says STOP, and the request for the confirmation hangs
sub hang
{
	my $to = sprintf '+1555200%04d', ++$number;

	$node->behave_well;	# what hangs from before is let go
	$node->poll('SELECT in_flight FROM omnimsg_worker_status()', 0) or die 'something is being sent';
	$node->behave("silent:ms=60000,times=1,to=$to");
	$node->send(from => $to, to => $did, text => 'STOP')->{http} == 200 or die 'STOP was not taken';
	ok($node->poll("SELECT state, in_flight FROM omnimsg_worker_status()", 'sending|1'), 'a request hangs');
	# it is said to be under way before it is
	$node->wait_until(sub { $node->ledger(kind => 'post', to => $to) }) or die 'the provider has no request';
	return $to;
}

# somebody says STOP, and hears of it
sub works
{
	my ($title) = @_;
	my $from = sprintf '+1555200%04d', ++$number;

	# the relay may have to connect again
	$node->send(from => $from, to => $did, text => 'STOP', attempts => 40)->{http} == 200 or diag 'STOP was not taken';
	ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '$from'", 'delivered'), $title);
	return;
}

# takes_at_most(SECONDS, CODE, TITLE)
sub takes_at_most
{
	my ($seconds, $code, $title) = @_;
	my $begin = time;

	$code->();
	cmp_ok(time - $begin, '<', $seconds, $title);
	return;
}

sub worker { return $node->psql('SELECT pid FROM omnimsg_worker_status()') }

# a query for the worker's process, from a database that outlives the other
my $workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'omnimsg dispatcher'";

# ---- settings ----

for my $wrong (["omnimsg.secrets_dir", 'KEY0123456789abcdef', 'a literal key in omnimsg.secrets_dir'],
	["omnimsg.telnyx_api_base", 'http://api.telnyx.com', 'a key sent in the clear'],
	["omnimsg.telnyx_api_base", 'http://127.0.0.1.example.com', 'a name that only begins like this machine'],
	["omnimsg.telnyx_api_base", 'https://user:secret@api.telnyx.com', 'credentials in the URL'],
	["omnimsg.telnyx_api_base", 'ftp://127.0.0.1', 'another protocol'])
{
	my ($name, $value, $title) = @$wrong;

	like($node->psql_error("ALTER SYSTEM SET $name = '$value'"), qr/invalid value for parameter "$name"/,
		"$title is refused");
}
like($node->psql_error("ALTER SYSTEM SET omnimsg.secrets_dir = 'KEY0123'"), qr/HINT: .*file of mode 0600/,
	'with a hint where the key belongs');
for my $right ('https://api.telnyx.com', 'http://127.0.0.1:8080', 'http://localhost/', 'http://[::1]:1')
{
	is($node->psql_error("ALTER SYSTEM SET omnimsg.telnyx_api_base = '$right'"), '', "$right is taken");
}
$node->psql('ALTER SYSTEM RESET omnimsg.telnyx_api_base');
like($node->psql_error("SET omnimsg.dispatsh = 'on'"), qr/invalid configuration parameter name/,
	'a setting that does not exist is refused');
like($node->psql_error('SHOW omnimsg.secrets_dir', user => 'omnimsg_relay'), qr/must be superuser|permission denied/,
	'not everybody may read where the keys are');

$node->setting('omnimsg.dispatch', 'off');
ok($node->poll('SELECT state FROM omnimsg_worker_status()', 'off'), 'a reload switches the dispatcher off');
$node->setting('omnimsg.dispatch', 'on');
ok($node->poll('SELECT state FROM omnimsg_worker_status()', 'idle'), 'and on again');
works('a text is sent then');

# ---- SIGTERM of the worker ----

my $hung = hang();
my $pid = worker();

my $took = $node->last_seen($pid, sub { kill 'TERM', $pid });
note(sprintf 'SIGTERM in a call: %.3f s', $took);
cmp_ok($took, '<', 1, 'a worker that waits ends within a second when it is told to');
ok($node->poll("SELECT pid IS NOT NULL AND pid <> $pid FROM omnimsg_worker_status()", 't'), 'another one starts');
works('and sends');

# ---- fast shutdown ----

hang();
takes_at_most($at_most, sub { $node->stop_postgres }, 'a fast shutdown does not wait for the provider');
$node->start;
works('after the start texts are sent again');
my $started = $node->psql('SELECT pg_postmaster_start_time()');
is(scalar($node->ledger(kind => 'post', to => $hung)), 1, 'what hung was POSTed once');

# ---- DROP EXTENSION ----

hang();
$pid = worker();
takes_at_most($at_most, sub { $node->psql('DROP EXTENSION omnimsg') }, 'DROP EXTENSION does not wait for the provider');
is($node->psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'omnimsg'"), 0, 'and leaves nothing behind');
is($node->psql("SELECT count(*) FROM pg_proc WHERE proname LIKE 'omnimsg%'"), 0, 'no function either');
ok($node->running($pid), 'the worker stays');

# make_extension(): as the instance was set up
sub make_extension
{
	my $roles = do {
		open my $file, '<', "$FindBin::Bin/../../deploy/roles.sql" or die "roles.sql: $!";
		local $/;
		<$file>;
	};

	$node->psql('CREATE EXTENSION omnimsg; SELECT omnimsg_arm()');
	$node->psql($roles);
	$node->seed;
	$node->psql('SELECT pg_reload_conf()');
	return;
}

make_extension();
ok($node->poll("SELECT count(*) > 1 FROM pg_inherits WHERE inhparent = 'omnimsg.messages'::regclass", 't', 90),	# roles.sql had the tables locked, perhaps
	'after CREATE EXTENSION it makes the partitions');
works('and sends');
is(worker(), $pid, 'it is the same one');

# Of a round that is held up, DROP EXTENSION waits for all: with a part of the tables each they would wait for each other
my ($holder, $dropper) = ($node->session, $node->session);

$holder->query('BEGIN; LOCK TABLE omnimsg.messages');
ok($node->poll("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid", 'Lock', 60), 'the worker is held up in the midst of a round');
$dropper->begin("SET application_name = 'dropper'; DROP EXTENSION omnimsg");
ok($node->poll("SELECT wait_event_type FROM pg_stat_activity WHERE application_name = 'dropper'", 'Lock'), 'DROP EXTENSION waits');
$holder->query('COMMIT');
is($dropper->result, '', 'and does what it is to do when the round is done');
is($node->psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'omnimsg'"), 0, 'with nothing left');
$_->close for $holder, $dropper;
make_extension();
works('the next one sends, too');

# ---- DROP DATABASE ----

hang();
takes_at_most($at_most, sub { $node->psql('DROP DATABASE omnimsg WITH (FORCE)', dbname => 'postgres') },
	'DROP DATABASE WITH (FORCE) does not wait for the provider');
is($node->psql("SELECT count(*) FROM pg_database WHERE datname = 'omnimsg'", dbname => 'postgres'), 0,
	'the database is gone');
$node->psql('CREATE DATABASE omnimsg TEMPLATE template0', dbname => 'postgres');
make_extension();
ok($node->poll($workers, 1), 'with a new database a worker comes back');
works('and sends');
is($node->psql('SELECT pg_postmaster_start_time()'), $started, 'all that was one run of the server');

open my $log, '<', $node->dir . '/log/postgres.log' or die "postgres.log: $!";
is(scalar(grep { /terminated by signal|PANIC|exit code [2-9]/ } <$log>), 0, 'in which nothing crashed');

done_testing;
