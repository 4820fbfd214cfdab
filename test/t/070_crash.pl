# kill -9 of everything, in the middle of everything.  What was answered 200 is there afterwards with
# all that belongs to it, nothing is there twice, and nothing by halves.

use strict;
use warnings;

use JSON::PP qw(decode_json encode_json);
use List::Util qw(shuffle);
use Omnimsg;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

my $seed = $ENV{OMNIMSG_TEST_SEED} // int rand 2**31;
my $rounds = 12;
my $per_round = 25;

diag("seed $seed (set OMNIMSG_TEST_SEED to repeat)");

my $node = Omnimsg->new;
my $made = $node->seed;

srand $seed;
my $did = $made->{did};
my $deliveries = $node->dir . '/deliveries.jsonl';
my %text;						# of each message

$node->psql(<<SQL);
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	SELECT '$made->{organization}', 'Customer ' || n, '+1555200' || n FROM generate_series(1000, 1999, 3) AS n
SQL
$node->setting('omnimsg.lease', '5s');
$node->setting('omnimsg.request_timeout', '1s');
# so that requests are under way when the worker dies
$node->behave('delay:ms=60');

sub rows
{
	my ($file) = @_;

	open my $handle, '<', $file or return;
	return map { decode_json($_) } grep { /\n\z/ } <$handle>;
}

sub answered { return scalar grep { $_->{kind} eq 'webhook' && $_->{http} == 200 } rows($deliveries) }

# a round's deliveries, some of them twice, by a process of their own; returns its pid
sub deliver
{
	my ($round) = @_;
	my $file = $node->dir . "/round-$round.jsonl";
	my @lines;

	for my $i (1 .. $per_round)
	{
		my $n = 1000 + $round * $per_round + $i;
		my $text = (qw(STOP STOP Hello HELP START))[rand 5];
		my $line = encode_json({ from => "+1555200$n", to => $did, text => $text, message_id => "message-$n",
			event_id => sprintf('00000000-0000-4000-8000-%012d', $n) });

		$text{"message-$n"} = $text;
		push @lines, ($line) x (rand(10) < 1 ? 2 : 1);
	}
	open my $handle, '>', $file or die "$file: $!";
	print {$handle} map { "$_\n" } shuffle @lines;
	close $handle or die "$file: $!";

	my $pid = fork // die "fork: $!";
	return $pid if $pid;
	my $result = eval { $node->send(file => $file, ledger => $deliveries, parallel => 4, attempts => 60,
		retry_backoff => '100,250') };
	POSIX::_exit($result && $result->{exit} == 0 ? 0 : 1);
}

sub process_of
{
	my ($victim) = @_;

	return $node->relay_pid if $victim eq 'relay';
	return $node->postmaster_pid if $victim eq 'postmaster';
	return $node->psql('SELECT pid FROM omnimsg_worker_status()') if $victim eq 'dispatcher';
	return $node->psql("SELECT pid FROM pg_stat_activity WHERE usename = 'omnimsg_relay' ORDER BY random() LIMIT 1");
}

my @victims = shuffle((qw(relay dispatcher backend postmaster)) x ($rounds / 4));
my $complete = 0;

for my $round (0 .. $rounds - 1)
{
	# before the deliveries: a look at the server in their middle would take too long
	my $pid = process_of($victims[$round]);
	my $goal = answered() + 1 + int rand($per_round - 10);
	my $sender = deliver($round);

	for (1 .. 3000)
	{
		last if answered() >= $goal;
		sleep 0.002;
	}
	kill 'KILL', $pid if $pid;
	for (1 .. 1000)
	{
		last if !$node->running($pid);
		sleep 0.01;
	}
	# PostgreSQL comes back by itself, but for its postmaster
	$node->poll('SELECT 1', 1) if $victims[$round] =~ /backend|dispatcher/;
	$node->start;
	waitpid $sender, 0;
	$complete++ if $? == 0;
}
is($complete, $rounds, "after $rounds kills each delivery was answered 200 in the end");

# a fresh worker takes up what the leases of a dead one held
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE leased_until > clock_timestamp()", 0), 'all leases end');
$node->psql("SELECT pg_terminate_backend(pid) FROM omnimsg_worker_status()");
$node->setting('omnimsg.reconcile_after', '1s');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state IN ('queued', 'leased', 'sending')", 0),
	'no item is left between the states');
$node->psql("UPDATE omnimsg.outbox SET next_look_at = now() WHERE next_look_at IS NOT NULL");
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE settled_at IS NULL", 0),
	'what was unknown is found out, or held');

# ---- the deliveries; xmin is the transaction that wrote a row, as long as nothing updates it ----

my %taken = map { $_->{message_id} => 1 } grep { $_->{kind} eq 'webhook' && $_->{http} == 200 } rows($deliveries);

is(scalar(keys %taken), $rounds * $per_round, 'the provider knows of an answer for each message');
is($node->psql("SELECT string_agg(dedupe_key, ' ' ORDER BY dedupe_key) FROM omnimsg.events
	WHERE event_type = 'message.received' AND outcome = 'applied'"),
	join(' ', map { "received:$_" } sort keys %taken), 'each is in the journal, once');
is($node->psql("SELECT string_agg(external_message_id, ' ' ORDER BY external_message_id) FROM omnimsg.messages
	WHERE direction = 'inbound'"), join(' ', sort keys %taken), 'each is stored, once');
is($node->psql(<<SQL), 0, 'each has its row in the audit, once, of the same transaction');
SELECT count(*) FROM omnimsg.messages m
  JOIN omnimsg.events e ON e.message_id = m.id AND e.event_type = 'message.received'
 WHERE m.direction = 'inbound'
   AND (SELECT string_agg(a.xmin::text, ' ') FROM omnimsg.audit_logs a
		 WHERE a.resource_id = m.id AND a.action = 'MESSAGE_RECEIVED') IS DISTINCT FROM m.xmin::text
SQL
is($node->psql("SELECT count(*) FROM omnimsg.messages m JOIN omnimsg.events e ON e.message_id = m.id
	WHERE m.direction = 'inbound' AND e.event_type = 'message.received' AND m.xmin <> e.xmin"), 0,
	'and so has the journal');

# ---- what a STOP brings with it ----

my @stops = sort grep { $text{$_} eq 'STOP' } keys %text;

cmp_ok(scalar(@stops), '>', 0, 'some of them said STOP');
is($node->psql(<<SQL), join("\n", map { "$_|sms,voice" } @stops), 'each STOP has two requests, for texts and for calls');
SELECT m.external_message_id, string_agg(r.channel, ',' ORDER BY r.channel)
  FROM omnimsg.opt_out_requests r JOIN omnimsg.messages m ON m.id = r.message_id
 WHERE r.request_type = 'opt_out' GROUP BY 1 ORDER BY 1
SQL
is($node->psql(<<SQL), scalar(@stops), 'each STOP holds, for texts and for calls');
SELECT count(*) FROM omnimsg.messages m
 WHERE m.intent = 'opt_out'
   AND (SELECT count(*) FROM omnimsg.consents c WHERE c.address = m.from_number AND c.state = 'opted_out') = 2
SQL
is($node->psql(<<SQL), 0, 'requests and their audit are of the transaction of their message');
SELECT count(*) FROM omnimsg.opt_out_requests r JOIN omnimsg.messages m ON m.id = r.message_id
 WHERE r.xmin <> m.xmin
	OR r.channel = 'sms' AND r.request_type = 'opt_out'
	   AND (SELECT count(*) FROM omnimsg.audit_logs a
			 WHERE a.action = 'OPT_OUT_REQUESTED' AND a.resource_id IN (r.id, m.id)
			   AND a.xmin = m.xmin) <> 1
SQL
is($node->psql(<<SQL), 0, 'accounts say what the consent says');
SELECT count(*) FROM omnimsg.collection_accounts a
  JOIN omnimsg.consents c ON c.address = a.primary_phone AND c.channel = 'sms' AND c.state IS NOT NULL
 WHERE a.sms_consent IS DISTINCT FROM (c.state = 'opted_in')
	AND NOT EXISTS (SELECT 1 FROM omnimsg.account_repairs r WHERE r.account_id = a.id)
SQL

# ---- the replies ----

my $asking = grep { $_ ne 'Hello' } values %text;

is($node->psql("SELECT count(*) FROM omnimsg.outbox"), $asking, 'whoever said STOP, START or HELP has one reply');
is($node->psql(<<SQL), $asking, 'it belongs to one message, which has one row in the audit and answers one message');
SELECT count(*) FROM omnimsg.outbox o
  JOIN omnimsg.messages m ON m.id = o.message_id AND m.direction = 'outbound'
  JOIN omnimsg.messages i ON i.id = m.in_reply_to AND i.from_number = m.to_number
 WHERE (SELECT count(*) FROM omnimsg.audit_logs a WHERE a.resource_id = m.id AND a.action = 'AUTO_REPLY_QUEUED'
		   AND a.xmin = i.xmin) = 1
SQL
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE direction = 'outbound'"), $asking,
	'there are no other messages');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'AUTO_REPLY_QUEUED'"), $asking,
	'and no other rows of it');
is($node->psql(<<SQL), 0, 'each has one end in the audit');
SELECT count(*) FROM omnimsg.outbox o
 WHERE (SELECT count(*) FROM omnimsg.audit_logs a WHERE a.resource_id = o.message_id
		   AND a.action IN ('AUTO_REPLY_SENT', 'AUTO_REPLY_FAILED', 'AUTO_REPLY_SUPPRESSED')) <> 1
SQL

my (%posts, %accepted);

for my $post ($node->ledger(kind => 'post'))
{
	$posts{ $post->{to} }++;
	$accepted{ $post->{message_id} } = $post->{to} if $post->{accepted};
}
is(scalar(grep { $_ > 1 } values %posts), 0, 'the provider was asked at most once for each reply');
is($node->psql("SELECT count(*) FROM omnimsg.outbox WHERE state NOT IN ('sent', 'unknown', 'expired', 'suppressed')"), 0,
	'each was sent, or nobody knows');
is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE o.state = 'sent' AND m.external_message_id IS NULL"), 0, 'what was sent has the provider\'s id');
is(scalar(grep { !$accepted{$_} } split /\n/, $node->psql("SELECT external_message_id FROM omnimsg.messages
	WHERE direction = 'outbound' AND external_message_id IS NOT NULL")), 0, 'which the provider knows');
note('replies: ' . $node->psql("SELECT string_agg(state || ' ' || n, ', ') FROM
	(SELECT state, count(*) AS n FROM omnimsg.outbox GROUP BY state ORDER BY state) AS w"));

done_testing;
