# Standbys that nobody waits for.  A subscriber has every row and sends nothing; an asynchronous standby that is promoted while it
# is behind lacks what was acknowledged last, no more than the lag that was reported, and the provider's list brings all of it back.

use strict;
use warnings;

use Omnimsg;
use Server;
use Test::More;
use Time::HiRes qw(time);

my $node = Omnimsg->new;
my $made = $node->seed;
my $simulator = $node->env('OMNIMSG_SIM_URL');
my $number = 1000;

sub posts { my ($of, @wanted) = @_; return scalar $of->ledger(kind => 'post', @wanted) }

sub next_number { return sprintf '+1555210%04d', ++$number }

# say_stop(COUNT): so many people say STOP, through the provider, which remembers that it was answered 200
sub say_stop
{
	my @who = map { next_number() } 1 .. $_[0];

	for my $from (@who)
	{
		$node->send(from => $from, to => $made->{did}, text => 'STOP', via => $simulator)->{http} == 200 or die 'STOP was not taken';
	}
	$node->applied;
	return @who;
}

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$made->{organization}'");
$node->psql("ALTER SYSTEM SET wal_level = 'logical'");
$node->psql("ALTER SYSTEM SET omnimsg.optout_pull_interval = '0'");
$node->psql("ALTER SYSTEM SET omnimsg.poll_interval = '100ms'");
$node->stop_postgres;
$node->start;

# ---- a logical subscriber ----

my $subscriber = Omnimsg->new;
my $tables = "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'omnimsg'::regnamespace";

# every table of the extension: name, rows, checksum
sub rows
{
	my ($of) = @_;

	return $of->psql(join ' UNION ALL ', map { "SELECT '$_', count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM omnimsg.$_ AS t" }
		split /\n/, $of->psql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'omnimsg'::regnamespace ORDER BY 1"));
}

# same(TITLE): in the end every row of one side is on the other
sub same
{
	my ($title) = @_;
	my ($here, $there) = ('', '');

	$node->wait_until(sub { ($here = rows($node)) eq ($there = rows($subscriber)) }, 30);
	is($there, $here, $title);
	return;
}

$subscriber->kill_relay;
$subscriber->setting('omnimsg.poll_interval', '100ms');
# what CREATE EXTENSION puts there comes from the publisher as well
$subscriber->psql('SET session_replication_role = replica; TRUNCATE ' . $subscriber->psql($tables));
$node->psql('CREATE PUBLICATION everything FOR TABLES IN SCHEMA omnimsg');
$subscriber->psql("CREATE SUBSCRIPTION everything CONNECTION 'host=" . $node->env('PGHOST') . " port=5432 dbname=omnimsg user=postgres' PUBLICATION everything");
ok($subscriber->poll("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'", 0, 120), 'a subscriber has copied all tables');
is($subscriber->psql('SELECT count(*) FROM pg_subscription_rel'), $node->psql("SELECT count(*) FROM pg_publication_tables WHERE pubname = 'everything'"),
	'as many as are published');
ok($subscriber->poll('SELECT state, omnimsg.why_not_armed() FROM omnimsg_worker_status()', 'not armed|restored from another cluster'),
	'its worker knows that it is a copy');

$node->setting('omnimsg.dispatch', 'off');
$node->queue($made, [map { next_number() } 1 .. 20]);
say_stop(5);
same('texts that are due and people who said STOP are there');
is($subscriber->psql("SELECT count(*) FROM omnimsg.outbox WHERE state = 'queued' AND next_attempt_at <= now() AND expires_at > now()"), 25, 'what is to be sent as well');
my $rounds = 'SELECT last_activity_at FROM omnimsg_worker_status()';
for (1 .. 2)
{
	my $before = $subscriber->psql($rounds);
	ok($node->wait_until(sub { $subscriber->psql($rounds) ne $before }, 20), 'the worker of the subscriber looks');
}
is(posts($subscriber), 0, 'and sends nothing');
$node->setting('omnimsg.dispatch', 'on');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state <> 'sent'", 0), 'the publisher sends');
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE direction = 'outbound' AND status <> 'delivered'", 0), 'and hears that it was delivered');
same('the subscriber has the same rows');
is(posts($node) . ' ' . posts($subscriber), '25 0', 'the one POSTed 25 times, the other never');
$subscriber->psql('DROP SUBSCRIPTION everything');
$subscriber->stop_postgres;

# ---- an asynchronous standby ----

my $standby = Server->base_backup($node, 'standby', '-R');
my $flushed = "SELECT flush_lsn FROM pg_stat_replication WHERE application_name = 'walreceiver'";

$standby->start;
my @there = say_stop(10);
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE direction = 'outbound' AND status <> 'delivered'", 0), 'confirmations are sent');
my $until = $node->psql('SELECT pg_current_wal_flush_lsn()');
ok($node->poll("SELECT flush_lsn >= '$until' FROM pg_stat_replication WHERE sync_state = 'async'", 't'), 'an asynchronous standby has all of it');

# from here on it hears nothing
my $sender = $node->psql('SELECT pid FROM pg_stat_replication');
kill 'STOP', $sender;
my %written;
for (1 .. 10)
{
	my ($from) = say_stop(1);

	$written{$from} = $node->psql('SELECT pg_current_wal_flush_lsn()');
}
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE direction = 'outbound' AND status <> 'delivered'", 0), 'ten more are taken and confirmed');
my $reported = $node->psql($flushed);
my $lag = $node->psql("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '$reported')");

$node->kill_relay;
my $postmaster = $node->postmaster_pid;
kill 'KILL', $sender, $postmaster;
$node->wait_until(sub { !$node->running($postmaster) && !$node->running($sender) }, 20);
$standby->promote;

my @all = (@there, sort keys %written);
my $list = join ',', map { "('$_')" } @all;
my $missing = "SELECT w.address FROM (VALUES $list) AS w (address) WHERE NOT EXISTS (
	SELECT FROM omnimsg.consents c WHERE c.address = w.address AND c.channel = 'sms' AND c.scope = 'all' AND c.state = 'opted_out') ORDER BY 1";
my @lost = split /\n/, $standby->psql($missing);

note(scalar(@lost) . " of " . @all . " acknowledged STOPs are not in the standby, which was $lag bytes behind");
cmp_ok(scalar(@lost), '>', 0, 'the promoted standby lacks some of what was acknowledged');
is($standby->psql("SELECT count(*) FROM (VALUES " . join(',', map { "('" . ($written{$_} // '0/0') . "'::pg_lsn)" } @lost) . ") AS w (written) WHERE written <= '$reported'"), 0,
	'nothing but what the lag was reported of');
my $before = posts($node);

$standby->psql('SELECT omnimsg_arm()');
$standby->psql("SELECT omnimsg_backfill(now() - interval '1 hour', delivered => true)");
ok($standby->poll('SELECT count(*) FROM omnimsg.backfills WHERE finished_at IS NULL OR asked_since IS NOT NULL', 0), 'armed, it asks the provider for all that was delivered');
is($standby->psql($missing), '', 'and has all of them');
is($standby->psql("SELECT count(*) FROM (VALUES $list) AS w (address) WHERE (SELECT count(*) FROM omnimsg.messages m WHERE m.from_number = w.address) <> 1"), 0, 'once');
is($standby->psql('SELECT is_conserved FROM omnimsg.conservation'), 't', 'the books are balanced');
is($standby->psql("SELECT count(*), min(new_value ->> 'reason'), max(new_value ->> 'reason') FROM omnimsg.audit_logs WHERE action = 'AUTO_REPLY_SUPPRESSED'"),
	@lost . '|was taken before|was taken before', 'what the old primary may have confirmed is not confirmed');
ok($standby->poll("SELECT count(*) FROM omnimsg.outbox WHERE state IN ('queued', 'leased', 'sending')", 0), 'nothing is left to be sent');
my %times;
$times{ $_->{to} }++ for $node->ledger(kind => 'post');
is(join(' ', grep { ($times{$_} // 0) != 1 } @all), '', 'each got one confirmation, from the old primary');

done_testing;
