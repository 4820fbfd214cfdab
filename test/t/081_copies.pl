# Copies stay silent: a thousand texts are due, and no dump, clone, backup, promoted standby or upgraded cluster sends
# one of them before it is armed.

use strict;
use warnings;

use Omnimsg;
use Server;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my $did = $made->{did};

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$made->{organization}'");
# nobody writes from here on but who copies
$node->setting('omnimsg.dispatch', 'off');
$node->poll('SELECT state FROM omnimsg_worker_status()', 'off') or die 'the worker does not rest';
$node->kill_relay;
$node->queue($made, [map { sprintf '+1555200%04d', $_ } 1000 .. 1999]);
is($node->psql("SELECT count(*) FROM omnimsg.outbox WHERE state = 'queued' AND next_attempt_at <= now()"), 1000, 'a thousand texts are due');
is($node->psql('SELECT omnimsg.why_not_armed() IS NULL'), 't', 'in a database that is armed');

# every table of the extension: name, rows, checksum
sub tables
{
	my ($of, %where) = @_;

	return $of->psql(join(' UNION ALL ', map { "SELECT '$_', count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM omnimsg.$_ AS t" }
		split /\n/, $of->psql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'omnimsg'::regnamespace ORDER BY 1", %where)), %where);
}

$node->seal_all;
is($node->psql('SELECT max(epoch) FROM omnimsg.audit_seals'), 1, 'whose audit trail is sealed');

my $original = tables($node);

sub posts { return scalar $_[0]->ledger(kind => 'post') }

# silent(SERVER, WHAT, REASON): its worker looks into it, with dispatch on, and touches nothing
sub silent
{
	my ($copy, $what, $reason, %where) = @_;
	my $status = 'SELECT state, omnimsg.why_not_armed() FROM omnimsg_worker_status()';
	my $rounds = sub { $copy->psql('SELECT last_activity_at FROM omnimsg_worker_status()', %where) };
	my $found = '';

	$node->wait_until(sub { ($found = eval { $copy->psql($status, %where) } // $@) =~ /^not armed/ }, 30);
	like($found, qr/^not armed\|$reason$/, "$what: the worker knows that it is one");
	for (1 .. 2)
	{
		my $before = $rounds->();
		$node->wait_until(sub { $rounds->() ne $before }, 20) or diag 'no round';
	}
	is($copy->psql("SELECT severity FROM omnimsg_health() WHERE finding = 'the database is not armed'", %where), 'error', "$what: health tells");
	like($copy->psql_error('SELECT * FROM omnimsg_audit_seal()', %where), qr/55000: the audit trail is not sealed before the database is armed/, "$what: nobody seals");
	is(tables($copy, %where), $original, "$what: every table is as in the original");
	is($copy->psql("SELECT DISTINCT verdict FROM omnimsg_explain_send('$made->{organization}', 'sms', '+15552001000') WHERE gate = 'armed'", %where), 'hold',
		"$what: the gate holds");
	return;
}

# ---- dumps, into another cluster ----

my $other = Omnimsg->new;
my $file = $node->dir . '/dump';

$other->kill_relay;
$other->psql("ALTER SYSTEM SET omnimsg.rate_limit = 10000");
$other->setting('omnimsg.poll_interval', '100ms');
for my $dump (['plain', [], ['psql', qw(-X -q -v ON_ERROR_STOP=1 -o /dev/null -f)]],
	['custom', ['--format=custom'], ['pg_restore', '--exit-on-error', '-d', 'omnimsg']],
	['directory, two jobs', ['--format=directory', '--jobs=2'], map { ['pg_restore', '--exit-on-error', '-d', 'omnimsg', @$_] }
		['--section=pre-data'], ['--section=data'], ['--section=post-data', '--jobs=2']])
{
	my ($name, $options, @restore) = @$dump;

	is(join('', $node->program('pg_dump', @$options, '--file', "$file.$name")), '0', "$name: the dump is written");
	# the worker is in the database while it fills
	$other->psql('DROP EXTENSION omnimsg, pg_cron');
	is($other->psql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'omnimsg dispatcher' AND datname = 'omnimsg'"), 1,
		"$name: a worker waits in the empty database");
	is(join('', map { $other->program(@$_, "$file.$name") } @restore), '0' x @restore, "$name: it restores without a word");
	silent($other, $name, 'restored from another cluster');
}
is(posts($other), 0, 'nothing was sent from any of them');

# ---- databases made of it, in its own cluster ----

# nobody may be connected to a template
$node->psql("ALTER SYSTEM SET omnimsg.database = 'copied'");
$node->psql("ALTER SYSTEM SET cron.database_name = 'postgres'");
$node->psql("ALTER SYSTEM SET omnimsg.dispatch = on");
$node->psql("ALTER SYSTEM SET omnimsg.poll_interval = '100ms'");
$node->stop_postgres;
$node->start;
$node->kill_relay;
$node->wait_until(sub { $node->psql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'omnimsg'", dbname => 'postgres') == 0 }, 10);
$node->psql('CREATE DATABASE copied TEMPLATE omnimsg', dbname => 'postgres');
silent($node, 'CREATE DATABASE TEMPLATE', 'copied from database "omnimsg" of this cluster', dbname => 'copied');

# ---- copies of the cluster ----

my %sends = ('omnimsg.database' => 'omnimsg', 'omnimsg.dispatch' => 'on', 'omnimsg.rate_limit' => 10000, 'omnimsg.poll_interval' => '100ms');
my $backup = Server->base_backup($node, 'backup');

$backup->start(%sends);
silent($backup, 'base backup', 'in a copied data directory');

my $recovered = Server->base_backup($node, 'recovered');

$recovered->write('recovery.signal', '');
$recovered->start(%sends, restore_command => 'false', recovery_target => 'immediate', recovery_target_action => 'promote');
ok($recovered->poll('SELECT pg_is_in_recovery()', 'f'), 'recovery to a point in time ends');
silent($recovered, 'recovery', 'promoted or recovered to a point in time: timeline 2, armed on 1');
$recovered->stop;

my $standby = Server->base_backup($node, 'standby', '-R');

$standby->start(%sends);
is($standby->psql('SELECT pid FROM omnimsg_worker_status()'), '', 'no worker runs in a standby');
is($standby->psql('SELECT omnimsg.why_not_armed()'), 'a standby', 'which is not armed');
like($standby->psql_error('SELECT omnimsg_arm()'), qr/a standby cannot be armed.*HINT:  Promote it first/s, 'and cannot be');
is(tables($standby), $original, 'it has every row');
$standby->promote;
silent($standby, 'promoted standby', 'promoted or recovered to a point in time: timeline 2, armed on 1');

# ---- the same cluster, and what it becomes ----

# the same directory on another timeline, as after a switch-over and back
$node->stop_postgres;
my $upgraded = Server->upgraded($node, 'upgraded');

$upgraded->start(%sends);
silent($upgraded, 'pg_upgrade', 'restored from another cluster');
$upgraded->stop;

my $same = Server->new($node, $node->dir . '/data');

$same->write('standby.signal', '');
$same->start(%sends);
$same->promote;
silent($same, 'promotion in place', 'promoted or recovered to a point in time: timeline 2, armed on 1');
$same->stop;

is(posts($node), 0, 'nothing was sent from any of them');

# ---- until it is armed ----

# sealed(SERVER, WHAT): in the next epoch, whichever copy it is
sub sealed
{
	my ($copy, $what) = @_;

	Omnimsg::seal_all($copy);
	is($copy->psql('SELECT max(epoch), count(DISTINCT sealed_in) FROM omnimsg.audit_seals'), '2|2', "$what seals in an epoch of its own");
	is($copy->psql('SELECT * FROM omnimsg_audit_verify()'), '', 'and nothing is wrong in either');
	return;
}

sub sends
{
	my ($copy, $ledger, $what) = @_;

	$copy->psql("SELECT omnimsg_arm('it takes the place of the original')");
	ok($copy->poll("SELECT count(*) FROM omnimsg.outbox WHERE state = 'sent'", 1000, 60), "$what sends when it is armed");
	is(posts($ledger), 1000, 'each text once');
	is($copy->psql("SELECT count(*) FROM omnimsg_health() WHERE finding = 'the database is not armed'"), 0, 'and health is content');
	sealed($copy, $what);
	return;
}

sends($other, $other, 'a restored dump');
# as one that is to send nothing
$backup->stop;
$backup->start(%sends, 'omnimsg.dispatch' => 'off');
$backup->psql('SELECT omnimsg_arm()');
sealed($backup, 'a base backup');
$backup->stop;
sends($standby, $node, 'a promoted standby');
is($standby->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'DATABASE_ARMED'"), 2, 'both armings are on record');
$standby->psql('SELECT omnimsg_disarm()');
ok($standby->poll('SELECT state FROM omnimsg_worker_status()', 'not armed'), 'and silent again when it is disarmed');

done_testing;
