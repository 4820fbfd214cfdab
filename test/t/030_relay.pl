# The relay: what it lets in and what not, what it does without its database, and how it ends.

use strict;
use warnings;

use JSON::PP qw(decode_json);
use Omnimsg;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

# without a spool, so that 503 is all there is to say; 031 and 032 have one
my $node = Omnimsg->new(env => { OMNIMSG_RELAY_SPOOL => '' });
my $made = $node->seed;
my $signed = $node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello', message_id => 'hello-1');
my $sign = "telnyx-timestamp: $signed->{timestamp}\r\ntelnyx-signature-ed25519: $signed->{signature}\r\n";
my $length = length $signed->{body};

# in seconds, as the provider waits for two; the relay gives up after 1.75
my $bound = 2;

sub stored
{
	return $node->psql("SELECT count(*) FROM omnimsg.events WHERE event_type = 'message.received' OR event_type IS NULL");
}

sub fresh
{
	return $node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello', @_);
}

sub status_of
{
	my ($path) = @_;

	return $node->request(GET => $path)->{status};
}

# metric(NAME, URL): the number that /metrics gives
sub metric
{
	my ($name, $url) = @_;
	my $page = $node->request(GET => '/metrics', $url ? (url => $url) : ())->{body};

	return $page =~ /^omnimsg_relay_\Q$name\E (\S+)$/m ? $1 : undef;
}

# in_background(SUB): runs it in another process; the returned function waits for what it returns
my $backgrounds = 0;
sub in_background
{
	my ($work) = @_;
	my $file = $node->dir . '/background-' . ++$backgrounds;
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		open my $handle, '>', $file or POSIX::_exit(1);
		print {$handle} eval { $work->() } // $@;
		close $handle;
		POSIX::_exit(0);
	}
	return sub {
		waitpid $pid, 0;
		open my $handle, '<', $file or die "$file: $!";
		local $/;
		return <$handle>;
	};
}

# ---- framing: each of these is signed rightly ----

sub framed
{
	my ($head, %options) = @_;

	return $node->raw("POST /webhooks/telnyx HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n$sign$head\r\n"
		. ($options{body} // $signed->{body}), %options);
}

my $right = "Content-Length: $length\r\n";
my $chunked = sprintf "%x\r\n%s\r\n0\r\n\r\n", $length, $signed->{body};

for (
	[ 'Content-Length beside Transfer-Encoding', "${right}Transfer-Encoding: chunked\r\n", 400, $chunked ],
	[ 'Transfer-Encoding alone', "Transfer-Encoding: chunked\r\n", 411, $chunked ],
	[ 'an impossible chunk', "Transfer-Encoding: chunked\r\n", 411, "ffffffffffffffff\r\nx\r\n" ],
	[ 'Transfer-Encoding: identity', "Transfer-Encoding: identity\r\n$right", 400 ],
	[ 'two different lengths', "${right}Content-Length: 5\r\n", 400 ],
	[ 'the same length twice', "$right$right", 400 ],
	[ 'a length with a letter', "Content-Length: ${length}a\r\n", 400 ],
	[ 'a length with a plus', "Content-Length: +$length\r\n", 400 ],
	[ 'a list of lengths', "Content-Length: $length, $length\r\n", 400 ],
	[ 'no length', '', 411 ],
	[ 'a length of 23 digits', "Content-Length: 99999999999999999999999\r\n", 413 ],
	[ 'a length over the limit', "Content-Length: 262145\r\n", 413 ],
	[ '70 headers', join('', map { "X-$_: 1\r\n" } 1 .. 70) . $right, 431 ],
	[ 'an expectation that nobody knows', "${right}Expect: the-unexpected\r\n", 417 ],
)
{
	my ($what, $head, $status, $body) = @$_;
	my $answer = framed($head, defined $body ? (body => $body) : ());

	is($answer->{status}, $status, "$what is answered $status");
	# without waiting for what it will not read
	cmp_ok($answer->{seconds}, '<', 1.5, 'in time');
}

# what civetweb refuses by itself: that nothing gets through is what counts
for (
	[ 'a negative length', "Content-Length: -1\r\n" ],
	[ 'an empty length', "Content-Length:\r\n" ],
	[ 'a folded header', "X-Long: 1\r\n 2\r\n$right" ],
	[ 'a header with a NUL', "X-Nul: 1\0002\r\n$right" ],
	[ 'a header of 20000 bytes', 'X-Long: ' . 'x' x 20000 . "\r\n$right" ],
	[ 'a space before the colon of a length', "Content-Length : 5\r\n$right" ],
)
{
	my ($what, $head) = @$_;

	like(framed($head)->{status}, qr/^4\d\d$/, "$what is refused");
}
is(framed($right, body => substr($signed->{body}, 0, 50), end => 1)->{status}, 400,
	'a body that ends early is answered 400');
like($node->raw("POST /webhooks/telnyx HTTP/2.0\r\nHost: localhost\r\n$sign$right\r\n$signed->{body}")->{status},
	qr/^(?:400|505)$/, 'a version of HTTP that it does not speak is refused');
unlike($node->raw("POST /webhooks/telnyx\r\n$sign$right\r\n$signed->{body}", end => 1)->{raw}, qr/ok/,
	'so is a request without a version');
is(stored(), 0, 'nothing of all that is stored');

# the first that the database gets
my $answer;
for (1 .. 3)
{
	$answer = framed("${right}Expect: 100-continue\r\n");
	last if $answer->{raw} !~ m{^HTTP/1\.1 503 }m;
}
like($answer->{raw}, qr{\AHTTP/1\.1 100 Continue\r\n\r\nHTTP/1\.1 200 OK\r\n}, 'who asks first is told to go on, then 200');
is(stored(), 1, 'and that is stored');

my $twice = "POST /webhooks/telnyx HTTP/1.1\r\nHost: localhost\r\n$sign$right";
is(() = $node->raw("$twice\r\n$signed->{body}${twice}Connection: close\r\n\r\n$signed->{body}")->{raw} =~ m{HTTP/1.1 200 OK}g,
	2, 'two requests sent at once over one connection are both answered');

# ---- sizes and slowness ----

my $big = $node->dir . '/big';
open my $handle, '>', $big or die "$big: $!";
print {$handle} 'x' x 262144;
close $handle;
is($node->send(body_file => $big)->{http}, 200, 'a body of 256 KiB is taken');
open $handle, '>>', $big or die "$big: $!";
print {$handle} 'x';
close $handle;
is($node->send(body_file => $big, attempts => 1)->{http}, 413, 'a byte more is answered 413');
is($node->psql("SELECT string_agg(length(raw)::text || ' ' || outcome, ', ') FROM omnimsg.events WHERE outcome = 'dead'"),
	'262144 dead', 'what was taken and is no JSON is kept as a dead letter');

# a body that drips, a byte each 0.1 s
{
	my ($where) = $node->env('OMNIMSG_RELAY_URL') =~ m{^http://([^/]+)};
	my $socket = IO::Socket::INET->new(PeerAddr => $where) or die $!;
	my ($had, $own) = ($node->waits($node->relay_pid), $node->waited($$));
	my $begin = time;
	my $raw = '';

	local $SIG{PIPE} = 'IGNORE';
	print {$socket} "POST /webhooks/telnyx HTTP/1.1\r\nHost: localhost\r\n$sign$right\r\n";
	$socket->flush;
	while (time - $begin < 10)
	{
		vec(my $ready = '', fileno $socket, 1) = 1;
		if (select $ready, undef, undef, 0.1)
		{
			last if !sysread $socket, $raw, 4096, length $raw;
		}
		else
		{
			syswrite $socket, 'x';
		}
	}
	like($raw, qr{\AHTTP/1\.1 408 }, 'a body that only drips is answered 408');
	my $waited = $node->waited($$) - $own + $node->longest_wait($node->relay_pid, $had);
	cmp_ok(time - $begin - $waited, '<', 2.3, 'and let go after one and a half seconds, however long it could go on');
}

# ---- paths and methods ----

for my $path ('/', '/webhooks', '/webhooks/telnyx/', '/webhooks/telnyx/more', '/webhooks/telnyx%00more', '//webhooks/telnyx',
	'/x/../webhooks/telnyx', '/webhooks/%74elnyx', '/Webhooks/telnyx', '/webhooks/telnyx;x', '/healthz/', '/etc/passwd',
	'/../../etc/passwd')
{
	is($node->request(POST => $path, body => $signed->{body})->{status}, 404, "$path is not found");
}
is($node->request(POST => '/webhooks/telnyx?from=telnyx', body => $signed->{body},
		headers => [ split /\r\n/, $sign ])->{status}, 200, 'a query string does no harm');
for my $method (qw(GET PUT PATCH DELETE HEAD OPTIONS))
{
	my $refused = $node->request($method => '/webhooks/telnyx', headers => ['Origin: https://example.com']);

	is($refused->{status}, 405, "$method is not allowed there");
	like($refused->{raw}, qr/^Allow: POST\r$/m, 'and the answer says what is');
	unlike($refused->{raw}, qr/Access-Control/i, 'and gives no other origin any right');
}
for my $path (qw(/healthz /readyz /metrics))
{
	is(status_of($path), 200, "$path answers 200");
	like($node->request(POST => $path, body => '')->{raw}, qr{\AHTTP/1\.1 405 .*^Allow: GET\r$}ms, 'and takes only GET');
}

# ---- metrics ----

my $page = $node->request(GET => '/metrics')->{body};
is(join("\n", grep { !/^(# (HELP|TYPE) omnimsg_relay_\w+ .+|omnimsg_relay_\w+(\{\w+="[^"]+"\})? -?[0-9.e+-]+)$/ }
	split /\n/, $page), '', 'the metrics are in the format of Prometheus');
my @before = map { metric($_) } 'requests_total{code="401"}', 'verifications_total{result="wrong"}', 'requests_total{code="200"}';
$node->deliver($signed, body => "$signed->{body} ");
$node->deliver($signed);
is(join(' ', map { metric($_) } 'requests_total{code="401"}', 'verifications_total{result="wrong"}',
		'requests_total{code="200"}'), join(' ', map { $_ + 1 } @before), 'they count what is refused, why, and what is taken');

# ---- batches ----

# one_connection(): a relay whose only connection waits for a lock as long as the relay lets it, and its URL
sub one_connection
{
	my $relay = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, DB_CONNECTIONS => 1,
		DATABASE => "host=@{[ $node->env('PGHOST') ]} port=5432 dbname=omnimsg user=omnimsg_relay options='-c lock_timeout=0 -c statement_timeout=0'");

	$node->wait_until(sub { $node->request(GET => '/readyz', url => $relay->url)->{status} == 200 })
		or die 'a second relay does not get ready';
	return ($relay, $relay->url);
}

my ($one, $url) = one_connection();
my $holder = $node->session;

# hold(): whoever wants to write to the journal waits until let_go()
sub hold
{
	$holder->query('BEGIN');
	$holder->query('LOCK TABLE omnimsg.events IN ACCESS EXCLUSIVE MODE');
	return;
}

sub let_go
{
	$holder->query('ROLLBACK');
	return;
}

hold();
my $crowd = in_background(sub {
	local $node->{settings}{OMNIMSG_RELAY_URL} = $url;
	return $node->send(from => '+15552000101', to => $made->{did}, text => 'Hello', repeat => 40, parallel => 40, attempts => 10)->{exit};
});
ok($node->wait_until(sub { metric('queue_depth', $url) >= 30 }), 'most of 40 deliveries wait for the database');
let_go();
is($crowd->(), 0, 'all are answered 200');
my ($calls, $size) = (metric('batches_total', $url), metric('batch_size_sum', $url));
cmp_ok($size, '>=', 40, 'it gave all of them to the database');
cmp_ok($calls, '<', $size / 2, "in batches: $calls calls for $size deliveries");

# ---- a database that does not answer ----

hold();
$answer = $node->deliver(fresh(message_id => 'locked-1'));
is($answer->{status}, 503, 'while the journal is locked a delivery is answered 503');
cmp_ok($answer->{seconds}, '<', $bound, 'in time');
is(status_of('/healthz'), 200, 'the relay is well all the same');
let_go();
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'omnimsg-relay' AND wait_event_type = 'Lock'", 0),
	'once it is not locked any more');
is($node->delivered(fresh(message_id => 'locked-1')), 200, 'the next attempt is answered 200');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id = 'locked-1'"), 1, 'and there is one message');

my @backends = split /\n/, $node->psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'omnimsg-relay'");
my $frozen = fresh(message_id => 'frozen-1');
my @still = ($node->postmaster_pid, @backends);	# nor does it get new ones
kill 'STOP', @still;
$answer = $node->deliver($frozen);
is($answer->{status}, 503, 'when the backends of the relay stand still a delivery is answered 503');
cmp_ok($answer->{seconds}, '<', $bound, 'in time');
kill 'CONT', @still;
ok($node->wait_until(sub { status_of('/readyz') == 200 }), 'when they go on the relay gets ready');
is($node->delivered($frozen), 200, 'and takes the next attempt');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id = 'frozen-1'"), 1,
	'of which there is one message, whatever became of the first');

# ---- no database ----

my $pid = $node->relay_pid;
my $waiting = fresh(message_id => 'down-1');
$node->crash_postgres;
$answer = $node->deliver($waiting);
is($answer->{status}, 503, 'without a database a delivery is answered 503');
cmp_ok($answer->{seconds}, '<', $bound, 'in time');
ok($node->wait_until(sub { status_of('/readyz') == 503 }), 'the relay says that it is not ready');
is(status_of('/healthz'), 200, 'but alive');
$answer = $node->deliver($waiting);
is($answer->{status}, 503, 'after a while, too, a delivery is answered 503');
cmp_ok($answer->{seconds}, '<', $bound, 'in time');
$node->start;
is($node->relay_pid, $pid, 'when the database is back, the same relay');
is($node->delivered($waiting), 200, 'takes deliveries again');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id = 'down-1'"), 1, 'and there is one message');

# ---- the end ----

sub readiness { my ($of) = @_; return (eval { $node->request(GET => '/readyz', url => $of) } // {})->{status} // 0 }

ok($node->wait_until(sub { readiness($url) == 200 }), 'the second relay is back, too');

# What is under way waits for the database for 1.75 s only.  Where that was too short for this test it is done again.
my $waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'omnimsg-relay' AND wait_event_type = 'Lock'";
my ($under_way, $said, $late, $last, $names);

for my $turn (1 .. 3)
{
	my ($first, $second) = (fresh(message_id => "last-$turn"), fresh(message_id => "late-$turn"));

	$holder = $node->session;
	hold();
	my $begin = time;
	my $status = in_background(sub { $node->deliver($first, url => $url)->{status} });
	$under_way = $node->wait_until(sub { $node->psql($waits) == 1 });
	$one->signal('TERM');
	$node->wait_until(sub { ($said = readiness($url)) != 200 });
	$late = (eval { $node->deliver($second, url => $url) } // {})->{status};
	let_go();
	my $seconds = time - $begin;
	$last = $status->();
	$names = "external_message_id IN ('last-$turn', 'late-$turn')";
	last if $last == 200 || $seconds < 1.2;
	diag(sprintf 'that took %.2f s', $seconds);
	($one, $url) = one_connection();
}
ok($under_way, 'a delivery is with the database when SIGTERM comes');
is($said, 503, 'from then on the relay is not ready');
is($late, 503, 'and answers 503');
is($last, 200, 'the delivery under way is answered 200');
is($one->ended, 0, 'and the relay exits with 0');
is($node->psql("SELECT string_agg(external_message_id, ' ') FROM omnimsg.messages WHERE $names") =~ s/-\d//r,
	'last', 'what was answered 200 is stored, what was answered 503 is not');

# ---- what it does not start with, and what it writes ----

is($node->relay->ended, 2, 'without a key it does not start');
is($node->relay(TELNYX_PUBLIC_KEYS => 'bm90IGEga2V5')->ended, 2, 'nor with something that is none');
is($node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, LISTEN => $node->env('OMNIMSG_RELAY_URL') =~ s{^http://}{}r)->ended, 1,
	'nor where somebody else listens');

open my $log, '<', $node->dir . '/log/relay.log' or die $!;
my @lines = readline $log;
is(scalar(grep { !eval { decode_json($_)->{msg} } } @lines), 0, 'each line of the log is JSON');
is(scalar(grep { /\+?1?555\d{7}|Hello/ } @lines, $page), 0, 'and neither the log nor the metrics hold a number or a text');

done_testing;
