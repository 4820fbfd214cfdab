# What may have been sent and was not confirmed: the provider's events and the provider itself tell what
# became of it; what nobody knows of is held or sent again, as the policy of its kind says.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP qw(encode_json);
use Omnimsg;
use POSIX ();
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $webhooks = $node->env('OMNIMSG_RELAY_URL') . '/webhooks/telnyx';

# where nobody listens, so that the provider's events reach nobody
my $nowhere = do
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!";
	'http://127.0.0.1:' . $socket->sockport . '/webhooks/telnyx';
};

sub number { return sprintf '+1555200%04d', 3000 + $_[0] }

sub posts { my ($to) = @_; return $node->ledger(kind => 'post', to => $to) }

# the numbers of the attempts that were POSTed, by the names that they had
sub attempts { return join ' ', map { ($_->{webhook_url} // '') =~ /\?ob=[0-9a-f-]{36}\.(\d+)\z/ ? $1 : 'none' } posts($_[0]) }

sub state
{
	return "SELECT o.state || CASE WHEN o.state = 'unknown' AND o.settled_at IS NOT NULL THEN ', held' ELSE '' END || ', ' || m.status
		FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$_[0]'";
}

sub ends
{
	return $node->psql("SELECT string_agg(a.action || coalesce(': ' || (a.new_value->>'reason'), ''), ', ' ORDER BY a.id)
		FROM omnimsg.audit_logs a JOIN omnimsg.messages m ON m.id = a.resource_id
		WHERE m.to_number = '$_[0]' AND a.action ~ '_SENT|_FAILED|_SUPPRESSED|BLOCKED'");
}

sub last_error
{
	return $node->psql("SELECT o.last_error FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
		WHERE m.to_number = '$_[0]'");
}

# an event of the provider's about the first POST to a number
sub event
{
	my ($to, $type, $status, %more) = @_;
	my ($post) = posts($to);
	my $file = $node->dir . '/event.json';

	open my $out, '>', $file or die "$file: $!";
	print {$out} encode_json({ data => { event_type => $type, id => "event-$type-$to", record_type => 'event',
		payload => { id => $more{id} // "message-$to", direction => 'outbound', webhook_url => $post->{webhook_url},
			from => { phone_number => $did }, to => [{ phone_number => $to, status => $status }] } } });
	close $out;
	return $node->send(body_file => $file)->{http};
}

sub webhook_url
{
	my ($url) = @_;

	$node->setting('omnimsg.webhook_url', $url);
	$node->poll("SELECT setting FROM pg_settings WHERE name = 'omnimsg.webhook_url'", $url);
	return;
}

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization';
	INSERT INTO omnimsg.unknown_policies VALUES ('$organization', 'notification', 'resend')");
$node->setting('omnimsg.request_timeout', '8s');
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.reconcile_after', '1s');

# ---- events that come before the answer, or without one ----

my ($silent, $slow) = (number(1), number(2));

$node->behave("silent:ms=20000,accept=yes,to=$silent,times=1 delay:ms=5000,to=$slow,times=1");
$node->queue($made, [$silent, $slow], kind => 'conversation');
ok($node->poll(state($silent), 'sent, delivered'), 'a text without an answer: its events tell that it was accepted');
ok($node->poll(state($slow), 'sent, delivered'), 'one whose events come before the answer');
is(ends($silent), 'MESSAGE_SENT: the provider told of it', 'that is one sending in the audit');
is(ends($slow), 'MESSAGE_SENT: the provider told of it', 'here as well');
is(attempts($_), '1', 'it was POSTed once, with the name of its attempt') for $silent, $slow;
ok($node->poll('SELECT in_flight FROM omnimsg_worker_status()', 0), 'the worker has its answers, which change nothing more');
is(ends($slow), 'MESSAGE_SENT: the provider told of it', 'nor does the audit say so twice');

# ---- no event reaches us: the provider is asked ----

my ($found, $missing, $again, $confirmation, $late, $expired) = map { number($_) } 10 .. 15;

webhook_url($nowhere);
$node->setting('omnimsg.reconcile_after', '4s');
$node->behave("cut:accept=yes,to=$found,times=9");
$node->behave("cut:to=$_,times=9") for $missing, $confirmation, $late, $expired;
$node->behave("cut:to=$again,times=1");
$node->queue($made, [$found, $missing, $late], kind => 'conversation');
$node->queue($made, [$again]);
$node->queue($made, [$expired], expires => '12 seconds');
is($node->send(from => $confirmation, to => $did, text => 'STOP')->{http}, 200, 'somebody says STOP');
ok($node->poll(state($found), 'sent, sent'), 'the provider knows one text: it was sent');
is(ends($found), 'MESSAGE_SENT: the provider was asked', 'the audit says who told');
is($node->psql("SELECT external_message_id FROM omnimsg.messages WHERE to_number = '$found'"),
	(posts($found))[0]{message_id}, 'the message has the provider\'s id');
ok($node->poll(state($missing), 'unknown, held, unknown'), 'it knows nothing of another, which is held');
is(ends($missing), 'MESSAGE_DELIVERY_FAILED: outcome unknown', 'that is one end in the audit');
is(last_error($missing), 'the provider does not know of it', 'and last_error says what was found out');
ok($node->poll("SELECT o.state || o.attempts FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number = '$again'", 'sent2'), 'nor of one whose policy is to send it again: it is sent again');
is(attempts($again), '1 2', 'under a name of its own');
ok($node->poll(state($confirmation), 'unknown, held, unknown'), 'the confirmation of the STOP is held');
is(ends($confirmation), 'AUTO_REPLY_FAILED: outcome unknown', 'the audit says that, too');
ok($node->poll(state($expired), 'unknown, held, unknown'), 'one that is hardly worth sending any more is held, whatever the policy');
is(attempts($_), '1', 'it was POSTed once') for $missing, $confirmation, $expired;
cmp_ok(scalar($node->ledger(kind => 'deliveries')), '>=', 8, 'the provider was asked twice before that counted');
is($node->psql("SELECT count(*) FROM omnimsg_health() WHERE finding = 'the fate of messages is unknown'"), 1,
	'omnimsg_health tells of what is held');

# ---- an event that comes after all that ----

$node->setting('omnimsg.reconcile_after', '1s');

webhook_url($webhooks);
ok($node->poll(state($late), 'unknown, held, unknown'), 'one more is held');
is(event($late, 'message.finalized', 'delivered'), 200, 'its event comes late');
is($node->psql(state($late)), 'sent, delivered', 'and tells that it was delivered');
is(ends($late), 'MESSAGE_DELIVERY_FAILED: outcome unknown, MESSAGE_SENT: the provider told of it', 'which the audit adds');
is($node->psql("SELECT error_detail IS NULL FROM omnimsg.messages WHERE to_number = '$late'"), 't', 'nothing is wrong with the message any more');

# ---- an event of the first attempt, while the item waits for the second ----

my ($waiting, $stopped) = (number(20), number(21));

webhook_url($nowhere);
# what is to come before they are looked for
$node->setting('omnimsg.reconcile_after', '5s');
$node->behave("cut:to=$_,times=1") for $waiting, $stopped;
$node->queue($made, [$waiting, $stopped]);
ok($node->poll("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number IN ('$waiting', '$stopped') AND o.state = 'unknown'", 2), 'two texts with an unknown fate');
$node->psql("UPDATE omnimsg.organizations SET paused = true WHERE id = '$organization'");
is($node->send(from => $stopped, to => $did, text => 'STOP', autoresponse => 'STOP')->{http}, 200, 'one of the two says STOP');
ok($node->poll(state($waiting), 'queued, unknown'), 'both would be sent again, and one waits, because its organization is paused');
is(event($waiting, 'message.sent', 'sent'), 200, 'then the event of its first attempt comes');
is($node->psql(state($waiting)), 'sent, sent', 'it was sent');
ok($node->poll(state($stopped), 'suppressed, blocked'), 'the other is not sent again: the gates were asked again');
$node->psql("UPDATE omnimsg.organizations SET paused = false WHERE id = '$organization'");
$node->queue($made, [number(22)]);
ok($node->poll(state(number(22)), 'sent, sent'), 'others are sent again');
is(attempts($waiting), '1', 'the one that had been accepted is not');
is(ends($waiting), 'MESSAGE_SENT: the provider told of it', 'and ended once');
is(attempts($stopped), '1', 'nor is the one that must not');
$node->setting('omnimsg.reconcile_after', '1s');

# ---- a provider that cannot be asked has not said that it knows nothing ----

my ($deaf, $deaf_again) = (number(30), number(31));

$node->behave("cut:accept=yes,to=$deaf,times=1 cut:to=$deaf_again,times=1 500:on=deliveries garbage:on=deliveries,times=1 cut:on=deliveries,times=1");
$node->queue($made, [$deaf, $deaf_again]);
ok($node->poll("SELECT min(o.failed_looks) >= 2 AND count(*) = 2 FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number IN ('$deaf', '$deaf_again') AND o.state = 'unknown' AND o.settled_at IS NULL", 't'),
	'a provider that gives no answer is asked again');
like(last_error($deaf), qr/^the provider could not be asked: /, 'last_error says why');
$node->behave('ok:on=deliveries');
ok($node->poll(state($deaf), 'sent, sent'), 'once it answers, it is found out');
ok($node->poll("SELECT attempts FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$deaf_again'", 2),
	'and only then the other is sent again');
is(attempts($deaf), '1', 'the one that was accepted is not');

my $forever = number(32);

$node->setting('omnimsg.reconcile_after', '200ms');
$node->behave("cut:to=$forever,times=1 500:on=deliveries");
$node->queue($made, [$forever]);
ok($node->poll(state($forever), 'unknown, held, unknown'), 'one that never answers is given up');
is(attempts($forever), '1', 'and nothing is sent again, whatever the policy');
is(ends($forever), 'MESSAGE_DELIVERY_FAILED: outcome unknown', 'it has ended once');

# ---- a provider of our own, for answers that no sane one gives: an id and errors ----

# serve(PATH => [status, body] or 'POST' => [...]): answers what is asked; the paths that were asked are in its log
sub serve
{
	my (%answers) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16) or die "listen: $!";
	my $log = $node->dir . '/served';
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		local $SIG{PIPE} = 'IGNORE';
		while (my $peer = $listener->accept)
		{
			my ($head, $line) = ('', '');

			$head .= $line while defined($line = readline $peer) && $line ne "\r\n";
			read $peer, my $body, $1 if $head =~ /^content-length: *(\d+)/im;
			my ($what) = $head =~ m{^(POST|GET /\S*?)[? ]};
			my ($status, $answer) = @{ $answers{$what} // [404, '{"errors":[{"code":"10005","title":"Resource not found"}]}'] };

			open my $out, '>>', $log or POSIX::_exit(1);
			print {$out} "$what\n";
			close $out;
			print {$peer} "HTTP/1.1 $status X\r\nContent-Type: application/json\r\nContent-Length: " . length($answer) . "\r\nConnection: close\r\n\r\n$answer";
			close $peer;
		}
		POSIX::_exit(0);
	}
	$node->setting('omnimsg.telnyx_api_base', 'http://127.0.0.1:' . $listener->sockport);
	return ($pid, sub { open my $in, '<', $log or return ''; return join ' ', map { chomp; $_ } readline $in });
}

sub stop_serving
{
	my ($pid) = @_;

	kill 'KILL', $pid;
	waitpid $pid, 0;
	unlink $node->dir . '/served';
	return;
}

my ($by_id, $by_name, $by_nothing) = (number(40), number(41), number(42));
my $both = [200, '{"data":{"id":"doubtful"},"errors":[{"code":"1","title":"Something"}]}'];
my $nothing = [200, '{"data":[],"meta":{"page_number":1,"page_size":50,"total_pages":0,"total_results":0}}'];

$node->setting('omnimsg.reconcile_after', '3s');
my ($pid, $served) = serve(POST => $both, 'GET /v2/messages/doubtful' => [200, '{"data":{"id":"doubtful","record_type":"message"}}']);
$node->queue($made, [$by_id]);
ok($node->poll(state($by_id), 'sent, sent'), 'an id that came in a doubtful answer is asked for');
is($served->(), 'POST GET /v2/messages/doubtful', 'with one request');
is($node->psql("SELECT external_message_id FROM omnimsg.messages WHERE to_number = '$by_id'"), 'doubtful', 'and is the message\'s');
stop_serving($pid);

($pid, $served) = serve(POST => $both, 'GET /v2/webhook_deliveries' => $nothing);
$node->queue($made, [$by_name], kind => 'conversation');
ok($node->poll(state($by_name), 'unknown, held, unknown'), 'where the provider does not know it, the name of the attempt is asked for');
is($served->(), 'POST GET /v2/messages/doubtful GET /v2/webhook_deliveries GET /v2/webhook_deliveries', 'twice before nothing counts');
stop_serving($pid);

# a list that does not say that it is empty, and an empty page of a list that is not
my $n = 50;

for my $answer ('{"data":[]}', '{"data":[],"meta":{"total_results":3}}', '{}', '[]')
{
	my $to = number($n++);

	$node->setting('omnimsg.reconcile_after', '100ms');
	($pid, $served) = serve(POST => [500, ''], 'GET /v2/webhook_deliveries' => [200, $answer]);
	$node->queue($made, [$to]);
	ok($node->poll(state($to), 'unknown, held, unknown'), "$answer is no answer to what it was asked");
	unlike($served->(), qr/POST.*POST/, 'nothing is sent again for it');
	stop_serving($pid);
}
$node->setting('omnimsg.telnyx_api_base', undef);

# ---- without a URL for webhooks nobody can be asked ----

my $nameless = number(45);

webhook_url('');
$node->behave("cut:to=$nameless,times=1");
my $asked = $node->ledger(kind => 'deliveries');
$node->queue($made, [$nameless]);
ok($node->poll(state($nameless), 'unknown, held, unknown'), 'without omnimsg.webhook_url what is unknown is held at once');
is(attempts($nameless), 'none', 'the POST names no attempt');
is(scalar($node->ledger(kind => 'deliveries')), $asked, 'nobody is asked');
is(ends($nameless), 'MESSAGE_DELIVERY_FAILED: outcome unknown', 'it has ended');
is($node->psql("SELECT count(*) FROM omnimsg_health() WHERE finding = 'omnimsg.webhook_url is not set'"), 1, 'and omnimsg_health says so');

# ---- what must not be left, and what nobody must see ----

is($node->psql("SELECT count(*) FROM omnimsg.outbox WHERE settled_at IS NULL"), 0, 'nothing is left over');
is($node->psql("BEGIN; SET LOCAL client_min_messages = error;
	UPDATE omnimsg.outbox SET state = 'sending', leased_until = now() - interval '3 minutes' WHERE state = 'sent';
	SELECT finding FROM omnimsg_health() WHERE severity = 'error'; ROLLBACK"), 'messages are stuck while being sent',
	'omnimsg_health would say that a text is stuck');

done_testing;
