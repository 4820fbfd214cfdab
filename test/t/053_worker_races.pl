# The worker against others: a STOP, another claim, a lease that ends, an event that is faster than the
# answer.  There is one worker in a server, so the test takes the part of the other one: it does by hand, in
# a session, what a second worker or a successor would do to the rows.  The worker is stopped where it
# waits for a lock that the test holds, or by SIGSTOP.
# slow: leases that end

use strict;
use warnings;

use IO::Socket::INET;
use Omnimsg;
use Socket qw(SOCK_STREAM SOMAXCONN);
use Test::More;
use Time::HiRes qw(sleep time);

my $lease = 8;
# events that leave time to look at what is being sent
my $node = Omnimsg->new(simulator => ['--event-delay', 3000]);
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};

sub number { return sprintf '+1555200%04d', 5000 + $_[0] }
sub posts { my ($to) = @_; return $node->ledger(kind => 'post', to => $to) }
sub attempts { return join ' ', map { ($_->{webhook_url} // '') =~ /\?ob=[0-9a-f-]{36}\.(\d+)\z/ ? $1 : 'none' } posts($_[0]) }
sub item { return "FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$_[0]'" }
sub state { return "SELECT o.state || ', ' || m.status @{[item($_[0])]}" }

sub ends
{
	return $node->psql("SELECT string_agg(a.action, ', ' ORDER BY a.id) FROM omnimsg.audit_logs a JOIN omnimsg.messages m
		ON m.id = a.resource_id WHERE m.to_number = '$_[0]' AND a.action ~ '_SENT|_FAILED|_SUPPRESSED|BLOCKED'");
}

sub webhook_url
{
	my ($url) = @_;

	$node->setting('omnimsg.webhook_url', $url);
	$node->poll("SELECT setting FROM pg_settings WHERE name = 'omnimsg.webhook_url'", $url);
	return;
}

sub worker { return $node->psql('SELECT pid FROM omnimsg_worker_status()') }

sub dispatch
{
	my ($value) = @_;

	$node->setting('omnimsg.dispatch', $value);
	$node->poll('SELECT state FROM omnimsg_worker_status()', 'off') if $value eq 'off';
	return;
}

# held(SQL): a session that holds what the statement locks
sub held
{
	my ($sql) = @_;
	my $session = $node->session;

	$session->query('BEGIN');
	$session->query($sql);
	return $session;
}

# The worker has claimed and cannot mark: it reads the accounts at the provider before it locks the items, or, when told so,
# the limits of sending after that.  Webhooks read the accounts, too.
sub claimed
{
	my ($numbers, $locked) = @_;

	dispatch('off');
	$node->queue($made, $numbers);
	my $session = held('LOCK TABLE omnimsg.' . ($locked // 'provider_accounts'));
	$node->setting('omnimsg.dispatch', 'on');
	ok($node->poll("SELECT count(*) FROM pg_stat_activity a, omnimsg_worker_status() s
		WHERE a.pid = s.pid AND a.wait_event_type = 'Lock' AND a.query = 'omnimsg: mark'", 1), 'the worker has claimed, and marks');
	return $session;
}

# holds the rows of these numbers, which are queued then, from the moment on when they are being sent
sub held_while_sending
{
	my ($numbers, %options) = @_;
	my $list = join ',', map { "'$_'" } @$numbers;
	my $session = $node->session;

	$session->query('BEGIN');
	# it looks before they are there: on a busy machine a short time is soon over
	$session->begin(sprintf q{DO $$ BEGIN
		WHILE (SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
				WHERE m.to_number IN (%s) AND o.state = 'sending') < %d LOOP PERFORM pg_sleep(0.002); END LOOP;
		PERFORM FROM omnimsg.outbox o WHERE o.message_id IN (SELECT id FROM omnimsg.messages WHERE to_number IN (%s))
			ORDER BY o.organization_id, o.id FOR UPDATE;
	END $$}, $list, scalar @$numbers, $list);
	$node->queue($made, $numbers, %options);
	$session->result;
	return $session;
}

sub waiting_for_locks { return "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '$_[0]'" }

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization';
	INSERT INTO omnimsg.unknown_policies VALUES ('$organization', 'notification', 'resend')");
$node->setting('omnimsg.lease', "${lease}s");
$node->setting('omnimsg.request_timeout', '10s');
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.reconcile_after', '1s');

# ---- STOP against claim, and STOP after the mark ----

my ($stopped, $too_late) = (number(1), number(2));
my $lock = claimed([$stopped], 'send_limits');

is($node->psql(state($stopped)), 'leased, queued', 'a text is claimed');
is($node->send(from => $stopped, to => $did, text => 'STOP', autoresponse => 'STOP')->{http}, 200, 'its person says STOP');
$node->applied;
$lock->query('COMMIT');
ok($node->poll(state($stopped), 'suppressed, blocked'), 'the gates, asked as it is marked, stop it');
is(scalar(posts($stopped)), 0, 'it was not sent');

$node->behave("delay:ms=6000,to=$too_late,times=1");
$node->queue($made, [$too_late]);
ok($node->poll(state($too_late), 'sending, sending'), 'another is being sent');
is($node->send(from => $too_late, to => $did, text => 'STOP', autoresponse => 'STOP')->{http}, 200, 'its person says STOP now');
ok($node->poll(state($too_late), 'sent, delivered'), 'what was marked goes out');
is($node->psql("SELECT state FROM omnimsg.consents WHERE address = '$too_late' AND channel = 'sms'"), 'opted_out', 'the STOP holds');
$node->queue($made, [$too_late]);
ok($node->poll("SELECT string_agg(o.state, ' ' ORDER BY o.id) @{[item($too_late)]}", 'sent suppressed'), 'for the next one');
is(scalar(posts($too_late)), 1, 'one text went out');

# ---- claim against claim ----

# so that a lease is as long as its setting says
$node->setting('omnimsg.request_timeout', '3900ms');

my @shared = map { number(10 + $_) } 0 .. 9;
my $token = '01909f3c-7a5e-7b1d-8c2f-000000000001';

dispatch('off');
$node->queue($made, \@shared);
my $other = held("SELECT FROM omnimsg.outbox WHERE state = 'queued' ORDER BY organization_id, id LIMIT 5 FOR UPDATE");
$node->setting('omnimsg.dispatch', 'on');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state = 'sent' AND message_id IN (SELECT id FROM omnimsg.messages WHERE to_number >= '$shared[0]')", 5),
	'while another claims five of ten texts, the worker sends the other five');
$other->query("UPDATE omnimsg.outbox SET state = 'leased', attempts = attempts + 1, lease_token = '$token',
	leased_until = clock_timestamp() + interval '10 seconds' WHERE state = 'queued'");
$other->query('COMMIT');
is(scalar(map { posts($_) } @shared), 5, 'what the other one has is left alone');
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE status = 'delivered' AND to_number >= '$shared[0]'", 10, 60),
	'when its lease ends, the worker sends that, too');
is(join(' ', sort map { attempts($_) } @shared), '1 1 1 1 1 2 2 2 2 2', 'each once, five of them as a second attempt');

# a worker that is ended after its claim, and its successor
my $handed = number(20);

$lock = claimed([$handed]);
my $old = worker();
$node->psql("SELECT pg_terminate_backend($old, 5000)");
$lock->query('COMMIT');
ok($node->poll("SELECT pid <> $old FROM omnimsg_worker_status()", 't'), 'a worker ends after its claim');
ok($node->poll(state($handed), 'sent, delivered', 60), 'its successor sends the text');
is(attempts($handed), '2', 'once');

# ---- an answer that comes after the lease: the row has gone on without its worker ----

my ($evidence, $passed_on, $nothing) = (number(30), number(31), number(32));

$node->setting('omnimsg.request_timeout', '10s');
# no event of theirs reaches us
webhook_url('http://127.0.0.1:9/webhooks/telnyx');
$node->behave("delay:ms=3000,to=$evidence,times=1 delay:ms=3000,to=$passed_on,times=1 silent:ms=3000,to=$nothing,times=1");
$other = held_while_sending([$evidence, $passed_on, $nothing], kind => 'conversation');
ok($node->poll(waiting_for_locks('omnimsg: record'), 1), 'the worker has answers, and cannot record them');
$other->query("UPDATE omnimsg.outbox SET state = 'unknown', lease_token = NULL, leased_until = NULL, unknown_at = now(),
	next_look_at = now() + interval '1 hour' WHERE state = 'sending'");
$other->query("UPDATE omnimsg.outbox SET state = 'leased', attempts = 2, lease_token = '$token', next_look_at = NULL,
	leased_until = now() + interval '1 hour' WHERE message_id IN (SELECT id FROM omnimsg.messages WHERE to_number = '$passed_on')");
$other->query('COMMIT');
ok($node->poll(state($evidence), 'sent, sent'), 'that one was accepted is evidence, however late');
is($node->psql("SELECT external_message_id FROM omnimsg.messages WHERE to_number = '$evidence'"), (posts($evidence))[0]{message_id},
	'its message has the provider\'s id');
ok($node->poll(state($passed_on), 'sent, sent'), 'also where somebody else has the lease of a second attempt');
is($node->psql("SELECT lease_token IS NULL @{[item($passed_on)]}"), 't', 'who can no longer mark it');
is($node->psql(state($nothing)), 'unknown, sending', 'an answer that tells nothing is dropped');
is(ends($_), 'MESSAGE_SENT', 'one end in the audit') for $evidence, $passed_on;
is(ends($nothing), '', 'none where nothing has ended');
webhook_url($node->env('OMNIMSG_RELAY_URL') . '/webhooks/telnyx');
$node->psql("UPDATE omnimsg.outbox SET next_look_at = now() WHERE next_look_at IS NOT NULL");

# ---- callback against record, in both orders ----

my ($callback_first, $record_first) = (number(40), number(41));

# the event comes after 3 s and waits for half a second, the answer after 3.25 or 1.5
$node->behave("delay:ms=3250,to=$callback_first,times=1");
$other = held_while_sending([$callback_first]);
ok($node->poll(waiting_for_locks('omnimsg_ingest'), 1), 'an event waits for a row');
ok($node->poll(waiting_for_locks('omnimsg: record'), 1), 'and behind it the worker, with the answer');
$other->query('COMMIT');
ok($node->poll(state($callback_first), 'sent, delivered'), 'both are done');

$node->behave("delay:ms=1500,to=$record_first,times=1");
$other = held_while_sending([$record_first]);
ok($node->poll(waiting_for_locks('omnimsg: record'), 1), 'the worker waits for a row');
ok($node->poll(waiting_for_locks('omnimsg_ingest'), 1), 'and behind it the event');
$other->query('COMMIT');
ok($node->poll(state($record_first), 'sent, delivered'), 'both are done');
is(attempts($_), '1', 'one POST') for $callback_first, $record_first;
is(ends($_), 'MESSAGE_SENT', 'one end in the audit') for $callback_first, $record_first;

# ---- a worker that was stopped for two leases ----

$node->setting('omnimsg.request_timeout', '3900ms');

# In marking: it goes on with what it knew before.  One text is somebody else's meanwhile, another is over.
my ($slept, $taken, $over) = map { number(50 + $_) } 0 .. 2;

$lock = claimed([$slept, $taken, $over]);
$node->psql("UPDATE omnimsg.outbox o SET lease_token = '$token', leased_until = now() + interval '@{[ 2 * $lease + 1 ]} seconds'
	FROM omnimsg.messages m WHERE m.id = o.message_id AND m.to_number = '$taken'");
$node->psql("UPDATE omnimsg.outbox o SET expires_at = now() + interval '6 seconds'
	FROM omnimsg.messages m WHERE m.id = o.message_id AND m.to_number = '$over'");
my $worker = worker();
kill 'STOP', $worker;
$lock->query('COMMIT');

my $woken_at = time + 2 * $lease;
sleep 0.1 while time < $woken_at;
kill 'CONT', $worker;
ok($node->poll(state($over), 'expired, expired'), 'what is over when it wakes is closed');
ok($node->poll(state($slept), 'sent, delivered'), 'what it had claimed is sent');
is(attempts($slept), '2', 'with a new lease, and not with the old one');
is(scalar(posts($over)), 0, 'what is over was not sent');
ok($node->poll(state($taken), 'sent, delivered'), 'what is somebody else\'s is sent when that lease has ended');
is(attempts($taken), '2', 'and not with the one that it had slept through');

# Connecting: the provider's queue is full.  The connection is made while the worker is stopped; when it goes
# on, its lease is over, and it must not write.
my $connecting = number(60);
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!";
my $port = $listener->sockport;
my @fillers;

sub in_state { my ($wanted) = @_; open my $in, '<', '/proc/net/tcp' or die $!;
	return scalar grep { my @f = split; $f[2] =~ /:(\w{4})\z/ && hex $1 == $port && $f[3] eq $wanted } <$in> }

# connections that nobody accepts, until one is left without an answer
while (in_state('02') == 0 && @fillers < 20)
{
	my $filler = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Blocking => 0);
	push @fillers, $filler if $filler;
	sleep 0.05;
}
my $unanswered = in_state('02');
cmp_ok($unanswered, '>', 0, 'a provider that accepts no more connections');
$node->setting('omnimsg.telnyx_api_base', "http://127.0.0.1:$port");
$worker = worker();	# asked for before, for soon the attempt is over
$node->queue($made, [$connecting]);
ok($node->wait_until(sub { in_state('02') > $unanswered }), 'the worker tries to connect to it');
kill 'STOP', $worker;
my $since = time;
close $_ for @fillers;

# whoever has sent nothing when it is closed was a filler, and so was the worker, if all is well
my ($connections, $bytes) = (0, '');
$listener->blocking(0);
my @accepted;
while (time < $since + $lease + 1)
{
	while (my $peer = $listener->accept) { $peer->blocking(0); push @accepted, $peer }
	sleep 0.05;
}
cmp_ok(scalar(@accepted), '>', scalar(@fillers) - 2, 'connections are made while it is stopped');
is($node->psql(state($connecting)), 'sending, sending', 'the text is being sent, as far as anybody knows');
$node->setting('omnimsg.telnyx_api_base', $node->env('OMNIMSG_SIM_URL'));
kill 'CONT', $worker;
ok($node->poll("SELECT o.state <> 'sending' OR o.attempts > 1 @{[item($connecting)]}", 't'), 'the worker goes on');
for my $peer (@accepted)
{
	$peer->blocking(1);
	local $SIG{ALRM} = sub { die "timeout\n" };
	eval { alarm 5; 1 while sysread $peer, $bytes, 65536, length $bytes; alarm 0 };
	alarm 0;
}
is($bytes, '', 'and writes nothing to a provider that has waited for it');
ok($node->poll(state($connecting), 'sent, delivered'), 'the text is sent in the end');
is(scalar(posts($connecting)), 1, 'once');
unlike(attempts($connecting), qr/\b1\b/, 'by a later attempt');

# In a call: the provider takes the text and answers, and its events come, while the worker sleeps
my $asleep = number(70);

$node->behave("delay:ms=3000,to=$asleep,times=1");
$worker = worker();
$node->queue($made, [$asleep]);
ok($node->wait_until(sub { posts($asleep) == 1 }), 'a text is being sent');
kill 'STOP', $worker;
ok($node->poll(state($asleep), 'sent, delivered'), 'its events come while the worker is stopped');
$woken_at = time + $lease;
sleep 0.1 while time < $woken_at;
kill 'CONT', $worker;
$node->queue($made, [number(71)]);
ok($node->poll(state(number(71)), 'sent, delivered'), 'the worker works again');
is($node->psql(state($asleep)), 'sent, delivered', 'and has overwritten nothing');
is(attempts($asleep), '1', 'nor sent it again');
is(ends($asleep), 'MESSAGE_SENT', 'it ended once');

# ---- somebody is disarming the database: what is marked after that has begun would leave after it has ended ----

my $disarmed = number(80);
my $disarming = held('SELECT omnimsg_disarm()');

$node->queue($made, [$disarmed]);
ok($node->poll("SELECT o.state || ': ' || o.last_error @{[item($disarmed)]}", 'queued: somebody is disarming the database'), 'while somebody disarms, nothing is marked');
$node->queue($made, [number(81)]);
ok($node->poll("SELECT o.state || ': ' || o.last_error @{[item(number(81))]}", 'queued: somebody is disarming the database'), 'and the worker does not wait for him');
is(scalar(posts($disarmed)), 0, 'nor is it sent');
$disarming->query('ROLLBACK');
ok($node->poll(state($disarmed), 'sent, delivered'), 'it is sent when he thinks better of it');

my $marking = held('LOCK TABLE omnimsg.arming IN ROW SHARE MODE');
my $disarmer = $node->session;
$disarmer->begin("SET application_name = 'disarmer'; SELECT omnimsg_disarm()");
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'disarmer' AND wait_event_type = 'Lock'", 1), 'he waits for what is being marked');
$marking->query('COMMIT');
like($disarmer->result, qr/^t$/m, 'and only then has disarmed');
$node->queue($made, [number(82)]);
ok($node->poll('SELECT state FROM omnimsg_worker_status()', 'not armed'), 'the worker sees it');
is($node->psql(state(number(82))), 'queued, queued', 'and sends nothing from then on');
$node->psql('SELECT omnimsg_arm()');
ok($node->poll(state(number(82)), 'sent, delivered'), 'until it is armed again');

# ---- a round that lasts ----

# A worker takes the time when its round begins, and the first one of a new worker looks for replies of before the clock was set back.
# What comes while it waits seems to be of the time ahead, and is not.
my ($late, $old) = (number(90), worker());
my $arming = held('LOCK TABLE omnimsg.arming IN ACCESS EXCLUSIVE MODE');
$node->psql("SELECT pg_terminate_backend($old)");
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'omnimsg dispatcher' AND pid <> $old AND wait_event_type = 'Lock'
	AND clock_timestamp() - xact_start > interval '6 seconds'", 1, 40), 'a new worker has waited for six seconds since its round began');
is($node->send(from => $late, to => $did, text => 'STOP')->{http}, 200, 'a STOP comes meanwhile');
$arming->query('COMMIT');
ok($node->poll("SELECT o.state @{[item($late)]}", 'sent'), 'and is confirmed') or diag($node->psql("SELECT o.state || ': ' || o.last_error @{[item($late)]}"));

# ---- nothing went wrong on the way ----

ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE settled_at IS NULL", 0), 'nothing is left over');
# an event that meets a row of the worker's for longer than the relay waits is tried again
open my $log, '<', $node->dir . '/log/postgres.log' or die $!;
is(scalar(grep { /deadlock|(?:ERROR|PANIC):/ && !/omnimsg-relay ERROR:  canceling statement due to (?:lock|statement) timeout/ } <$log>), 0,
	'no deadlock and no error in the server\'s log');

done_testing;
