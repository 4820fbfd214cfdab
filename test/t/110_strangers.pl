# Strangers at the relay: what civetweb would let pass in framing, who may hold a thread and for how long, and
# what becomes of an address that sends too much that is refused.  020 and 030 have the plain cases.

use strict;
use warnings;

use IO::Socket::INET;
use Omnimsg;
use Socket qw(INADDR_LOOPBACK SOL_SOCKET SO_RCVBUF pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(time);

my $node = Omnimsg->new;
my $made = $node->seed;
my $signed = $node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello', message_id => 'hello-1');
my $sign = "telnyx-timestamp: $signed->{timestamp}\r\ntelnyx-signature-ed25519: $signed->{signature}\r\n";
my $right = 'Content-Length: ' . length($signed->{body}) . "\r\n";
my $begin = "POST /webhooks/telnyx HTTP/1.1\r\nHost: localhost\r\n";
my $delivery = "$begin$sign$right\r\n$signed->{body}";

sub stored
{
	return $node->psql("SELECT count(*) FROM omnimsg.events WHERE event_type = 'message.received' OR event_type IS NULL");
}

sub metric
{
	my ($name, $url) = @_;
	my $page = $node->request(GET => '/metrics', $url ? (url => $url) : ())->{body};

	return $page =~ /^omnimsg_relay_\Q$name\E (\S+)$/m ? $1 : undef;
}

# ---- framing: none of these is stored, and what comes after it on the connection is no request ----

for (
	[ 'two lengths, the second in capitals', "${right}CONTENT-LENGTH: 5\r\n" ],
	[ 'Transfer-Encoding after a tab', "${right}Transfer-Encoding:\tchunked\r\n" ],
	[ 'Transfer-Encoding twice', "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n" ],
	[ 'a made-up Transfer-Encoding', "${right}Transfer-Encoding: xchunked\r\n" ],
	[ 'a hexadecimal length', "Content-Length: 0x10\r\n" ],
	[ 'a length with an exponent', "Content-Length: 1e3\r\n" ],
	[ 'a length with a dot', "Content-Length: 5.0\r\n" ],
	[ 'a length with a NUL', "Content-Length: 5\0006\r\n" ],
	[ 'a length of 2^64 + 5', "Content-Length: 18446744073709551621\r\n" ],
	[ 'a space before the colon of a length', "Content-Length : " . length($signed->{body}) . "\r\n" ],
	[ 'one before that of another header', "${right}X : 1\r\n" ],
	[ 'a folded length', "Content-Length:\r\n 5\r\n" ],
	[ 'a line that is no header', "${right}no header\r\n" ],
	[ 'Transfer-Encoding after a folded line', "${right}X: 1\r\n 2\r\nTransfer-Encoding: chunked\r\n" ],
	[ 'Transfer-Encoding after a line without a name', "${right}: 1\r\nTransfer-Encoding: chunked\r\n" ],
	[ 'Transfer-Encoding after a name that is not ASCII', "${right}\xe9: 1\r\nTransfer-Encoding: chunked\r\n" ],
	[ 'a folded line at the end', "${right}X: 1\n 2\r\n" ],
	[ 'a signature twice', "${right}Telnyx-Signature-Ed25519: $signed->{signature}\r\n" ],
	[ 'a timestamp twice', "${right}Telnyx-Timestamp: $signed->{timestamp}\r\n" ],
	[ '64 headers', $right . join('', map { "X-$_: 1\r\n" } 1 .. 60) ],
	[ '5000 headers', $right . join('', map { "X: $_\r\n" } 1 .. 5000) ],
)
{
	my ($what, $head) = @$_;
	my $answer = $node->raw("$begin$sign$head\r\n0\r\n\r\n$delivery");

	like($answer->{raw}, qr/\AHTTP\/1\.1 4\d\d (?!.*HTTP\/1\.1 \d)/s, "$what is refused, and ends the connection");
}
for ("X: 1\r\n 2\r\n", "X: 1\n 2\r\n", ": 1\r\n", "Host: localhost\r\n\xe9: 1\r\n")
{
	my $begin_get = "GET /healthz HTTP/1.1\r\n${_}Content-Length: " . length($delivery) . "\r\n\r\n";

	unlike($node->raw("$begin_get$delivery")->{raw}, qr/HTTP\/1\.1 \d.*HTTP\/1\.1 \d/s,
		'what a GET has as its body is no request either, when its length is behind a line that cannot be read');
}
like($node->raw("GET /healthz HTTP/1.0\r\n\r\n")->{raw}, qr/\AHTTP\/1\.1 200 /, 'a probe may have no headers at all');
like($node->raw("post /webhooks/telnyx HTTP/1.1\r\nHost: localhost\r\n$sign$right\r\n$signed->{body}")->{status},
	qr/^4/, 'a method in small letters is refused');
is(stored(), 0, 'nothing of all that is stored');
is($node->raw("$begin$sign${right}Connection: close\r\n" . join('', map { "X-$_: 1\r\n" } 1 .. 58) .
	"\r\n$signed->{body}")->{status}, 200, 'with 63 headers it is taken');
my $length = length $signed->{body};
is($node->raw("$begin${sign}Content-Length: 0000$length\r\nConnection: close\r\n\r\n$signed->{body}")->{status}, 413,
	'a length of more than seven digits is refused, whatever its value');

# ---- who asks learns nothing ----

my @told = map {
	my $request = $node->signed(from => '+15552000101', to => $_, text => 'Hello');
	map { $_->{raw} } $node->deliver($request), $node->deliver($request, body => "$request->{body} "),
		$node->deliver($request, signature => undef);
} $made->{did}, '+15559999999', 'nobody';
is(join('', @told[3 .. 5]), join('', @told[0 .. 2]), 'the answers about a number that nobody has are those about one that is known');
is(join('', @told[6 .. 8]), join('', @told[0 .. 2]), 'so are those about what is no number');

# ---- who holds a thread, and how long ----

# What each sends at once, and then after so many seconds, the last of it again and again.  One that is deaf reads nothing
# and has no room for an answer; one that ends says that it will send no more.
my $metrics = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
my $probe = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
my $unsigned = "${begin}Content-Length: 262144\r\n\r\n";
my $too_long = "$begin${sign}Content-Length: 9000000\r\n\r\n";

# in two steps, each as late as is let pass
sub late { return ('P', 0.9, 'OST', 0.9, substr($_[0], 4), @_[1 .. $#_]) }

my %slow = (
	'says nothing' => { sends => [ '' ] },
	'sends a byte in time and no more' => { sends => [ '', 0.9, 'P', 30, '' ] },
	'sends headers byte by byte' => { sends => [ 'POST /', 0.1, 'x' ] },
	'sends headers late, then a body byte by byte' => { sends => [ late("$begin$sign$right\r\n", 0.1, 'x') ] },
	'sends headers late, then half a body' => { sends => [ late("$begin$sign$right\r\nx") ] },
	'sends headers late, then a body that is too long' => { sends => [ late($too_long, 0.02, 'x' x 100) ] },
	'sends a body byte by byte' => { sends => [ "$begin$sign$right\r\n", 0.1, 'x' ] },
	'sends half a body' => { sends => [ "$begin$sign$right\r\n" . substr $signed->{body}, 0, 100 ] },
	'waits to be asked for the body, and sends none' => { sends => [ "$begin$sign${right}Expect: 100-continue\r\n\r\n" ] },
	'goes on with a body that was refused for its length' => { sends => [ $too_long, 0.1, 'x' ] },
	'goes on with a body that was refused unsigned' => { sends => [ $unsigned, 0.1, 'x' ] },
	'goes on with chunks' => { sends => [ "${begin}Transfer-Encoding: chunked\r\n\r\n", 0.1, "1\r\nx\r\n" ] },
	'asks for one thing after the other' => { sends => [ '', 0.2, $probe ] },
	'asks for twenty things at once, then for one byte by byte' => { sends => [ $probe x 20 . 'G', 0.1, 'E' ] },
	'asks for what there is not' => { sends => [ '', 0.2, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n" ] },
	'sends one unsigned delivery after the other' => { sends => [ '', 0.2, "${begin}Content-Length: 1\r\n\r\nx" ] },
	'sends one signed delivery after the other' => { sends => [ $delivery x 20, 0.1, $delivery ] },
	'sends a signed delivery late, to a database that hangs' => { sends => [ late($delivery) ] },
	'sends a signed delivery, then headers byte by byte' => { sends => [ $delivery, 0.1, 'P' ] },
	'ends before it says anything' => { sends => [ '' ], ends => 1 },
	'ends in the headers' => { sends => [ 'POST /' ], ends => 1 },
	'ends in the body' => { sends => [ "$begin$sign$right\r\nx" ], ends => 1 },
	'ends after its request' => { sends => [ $metrics ], ends => 1 },
	'reads no answer' => { sends => [ $metrics ], deaf => 1 },
	'reads none of a hundred answers' => { sends => [ $metrics x 100 ], deaf => 1 },
	'reads no refusal, and goes on' => { sends => [ $unsigned . 'x' x 100_000, 0.1, 'x' ], deaf => 1 },
	'reads no refusal of what it sent late' => { sends => [ late($unsigned . 'x' x 100_000, 0.1, 'x') ], deaf => 1 },
	'reads no answer to a hundred signed deliveries' => { sends => [ $delivery x 100, 0.1, 'P' ], deaf => 1 },
);

sub connect_slow
{
	my ($kind, $port) = @_;
	my ($first, @more) = @{ $kind->{sends} };
	my $socket = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => '127.0.0.2') or die "socket: $!";

	# before it connects, or the window is larger
	setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 1 if $kind->{deaf};
	my $began = time;
	connect $socket, pack_sockaddr_in($port, INADDR_LOOPBACK) or die "connect: $!";
	$socket->blocking(0);
	syswrite $socket, $first;
	shutdown $socket, 1 if $kind->{ends};
	return { kind => $kind, socket => $socket, began => $began, last => time, more => \@more, raw => '', held => 0 };
}

# The ports of those whose connection somebody who listens on this port has a descriptor of.  A client that reads nothing
# is not told that it is closed.
sub ports_held
{
	my ($port) = @_;
	my $local = sprintf ':%04X', $port;
	my %held;

	open my $table, '<', '/proc/net/tcp' or die $!;
	while (my $line = <$table>)
	{
		my (undef, $here, $there, $inode) = (split ' ', $line)[0 .. 2, 9];

		$held{ hex((split /:/, $there)[1]) } = 1 if $here =~ /\Q$local\E$/ && $inode ne '0';
	}
	return \%held;
}

sub go_on
{
	my ($client) = @_;
	my $more = $client->{more};

	sysread $client->{socket}, $client->{raw}, 65536, length $client->{raw} if !$client->{kind}{deaf};
	return if !@$more || time - $client->{last} < $more->[0];
	syswrite $client->{socket}, $more->[1];
	$client->{last} = time;
	splice @$more, 0, 2 if @$more > 2;
	return;
}

# hold(RELAY, NAMES...): one of each at once, until it has let all go.  Each gets: lasted, for how many seconds, held, the same
# without what a thread may have waited for a processor, and raw, what it was answered.
sub hold
{
	my ($of, @names) = @_;
	my ($port) = $of->url =~ /:(\d+)$/;
	my $had = $node->waits($of->{pid});
	my @clients = map { connect_slow($slow{$_}, $port) } @names;
	my @open = @clients;
	my $end = time + 20;

	local $SIG{PIPE} = 'IGNORE';
	while (@open && time < $end)
	{
		my $now = time;
		my $held = ports_held($port);

		for my $client (@open)
		{
			if ($held->{ $client->{socket}->sockport }) { $client->{held} = $now - $client->{began} }
			# it may not have got round to it yet
			elsif ($client->{held} || $now - $client->{began} > 1) { $client->{over} = 1 }
			go_on($client);
		}
		@open = grep { !$_->{over} } @open;
		select undef, undef, undef, 0.01;
	}
	my $waited = $node->longest_wait($of->{pid}, $had);

	diag(sprintf 'a thread of the relay has waited %.2f s for a processor', $waited) if $waited > 0.1;
	@{$_}{qw(lasted held)} = ($_->{held}, $_->{held} - $waited) for @clients;
	return @clients;
}

# Each has one of its 72 threads, so that it is not crowded, and no delivery is answered by the database.
my @kinds = sort keys %slow;
my $hang = "host=@{[ $node->env('PGHOST') ]} port=5432 dbname=omnimsg user=omnimsg_relay options='-c statement_timeout=0'";
my $patient = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, MAX_CONNECTIONS => 40, REFUSED_PER_MINUTE => 0, SPOOL => '',
	DATABASE => $hang);
ok($node->wait_until(sub { $node->request(GET => '/readyz', url => $patient->url)->{status} == 200 }),
	'a relay of 72 threads gets ready');
my $locker = $node->session;
$locker->query($_) for 'BEGIN', 'LOCK TABLE omnimsg.events';
my @clients = hold($patient, @kinds);
for my $n (0 .. $#kinds)
{
	cmp_ok($clients[$n]{held}, '<=', 3, sprintf 'who %s is let go after three seconds at most', $kinds[$n]);
	cmp_ok(scalar(() = $clients[$n]{raw} =~ m{^HTTP/1\.1 (?!100)}mg), '<=', 1, 'with one answer at most');
}
diag(join ', ', map { sprintf '%.2f', $_->{lasted} } @clients);

# and when all threads are theirs
@clients = hold($patient, ('sends a signed delivery late, to a database that hangs') x 72, 'asks for one thing after the other');
my $last = pop @clients;
my @seconds = sort { $a <=> $b } map { $_->{held} } @clients;
diag(sprintf '%.2f to %.2f', @seconds[0, -1]);
cmp_ok((sort { $a <=> $b } map { $_->{lasted} } @clients)[0], '>', 0.5, 'when strangers have every thread');
cmp_ok($seconds[-1], '<=', 3, 'each is free after three seconds');
cmp_ok($last->{held}, '<=', 3, 'who comes then waits no longer');
like($last->{raw}, qr{\AHTTP/1\.1 200 }, 'and is answered');
$locker->query('ROLLBACK');

my $proxied = $node->raw(join('', map { "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" } 1 .. 3) .
	"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
is(scalar(() = $proxied->{raw} =~ m{^HTTP/1\.1 }mg), 4, 'a proxy of ours keeps its connection');
my $kept = $node->raw("$delivery$delivery", from => '127.0.0.2');
is(join(' ', $kept->{raw} =~ m{^HTTP/1\.1 (\d+)}mg), '200', 'a stranger does not, be it signed what he delivers');

# ---- too much of what is refused, from one address ----

my $relay = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, REFUSED_PER_MINUTE => 2);
my $url = $relay->url;
ok($node->wait_until(sub { $node->request(GET => '/readyz', url => $url)->{status} == 200 }), 'a relay with a limit gets ready');

# try_from(ADDRESS, HEADERS...): the answer to a wrong signature.  One is earned back each half minute.
sub try_from
{
	my ($from, @more) = @_;

	return $node->deliver($signed, body => "$signed->{body} ", url => $url, from => $from, more => \@more)->{status};
}

sub right_from
{
	my ($from, @more) = @_;

	return $node->deliver($signed, url => $url, from => $from, more => \@more)->{status};
}

my @answers = map { try_from('127.0.0.2') } 1 .. 8;
like("@answers", qr/^401 401 (401 )?429\b/, 'after two wrong signatures an address is answered 429');
is(try_from('127.0.0.3'), 401, 'another one is not');
try_from('127.0.0.2');
is($node->request(POST => '/webhooks/telnyx', body => 'x', url => $url, from => '127.0.0.2')->{status}, 429,
	'what carries no signature gets the same');
is($node->request(POST => '/', body => 'x', url => $url, from => '127.0.0.2')->{status}, 429, 'and so does what nobody serves');
is($node->request(GET => '/healthz', url => $url, from => '127.0.0.2')->{status}, 200, 'but not a probe');
cmp_ok($node->raw("$begin$sign$right\r\nx", url => $url, from => '127.0.0.2')->{status}, '==', 429,
	'nor is its body waited for');
is(right_from('127.0.0.2'), 200, 'what is signed rightly is taken from there all the same');
is(try_from('127.0.0.2'), 401, 'and makes good for what was refused');
cmp_ok(metric('requests_total{code="429"}', $url), '>=', 3, 'the metrics count them');

my $old = $node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello', timestamp_offset => -4000);
@answers = map { $node->deliver($old, url => $url, from => '127.0.0.4')->{status} } 1 .. 8;
is("@answers", join(' ', (401) x 8), 'a stale one that is signed rightly does not count');

@answers = map { try_from('127.0.0.1') } 1 .. 8;
is("@answers", join(' ', (401) x 8), 'nor does what comes from a proxy that says not from whom');
try_from('127.0.0.1', 'X-Forwarded-For: 198.51.100.7') for 1 .. 7;
is(try_from('127.0.0.1', 'X-Forwarded-For: 198.51.100.7'), 429, 'if it says so, it counts for whom it names');
is(try_from('127.0.0.1', 'X-Forwarded-For: 198.51.100.7, 198.51.100.8'), 401, 'and for nobody else');
is(try_from('127.0.0.1', 'X-Forwarded-For: 198.51.100.8, 198.51.100.7'), 429,
	'the last address is believed, not what the client put before it');
is(try_from('127.0.0.1', 'X-Forwarded-For: 198.51.100.8', 'X-Forwarded-For: 198.51.100.7'), 429, 'in whatever form');
try_from('127.0.0.1', "X-Forwarded-For: 2001:db8::$_") for 1 .. 7;
is(try_from('127.0.0.1', 'X-Forwarded-For: 2001:db8::ffff:1:2'), 429, 'of IPv6 a /64 is one');
is(try_from('127.0.0.1', 'X-Forwarded-For: 2001:db8:0:1::1'), 401, 'and the next another');
try_from('127.0.0.5', "X-Forwarded-For: 198.51.100.$_") for 1 .. 7;
is(try_from('127.0.0.5', 'X-Forwarded-For: 198.51.100.99'), 429, 'nobody but a proxy is believed');

$relay->signal('HUP');
ok($node->wait_until(sub { grep { $_->{msg} eq 'keys loaded' } $relay->log }), 'when the keys are read again');
is(try_from('127.0.0.5'), 401, 'all are forgiven, for it may have been the key that was wrong');

for (
	[ 'a proxy that is no address', PROXIES => 'nginx' ],
	[ 'a proxy that is everybody', PROXIES => '0.0.0.0/0' ],
	[ 'a limit that is no number', REFUSED_PER_MINUTE => 'many' ],
)
{
	my ($what, @setting) = @$_;

	is($node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, @setting)->ended, 2, "with $what it does not start");
}

# ---- what it takes care of itself ----

my $pid = $node->relay_pid;
open my $limits, '<', "/proc/$pid/limits" or die $!;
my ($core) = grep { /^Max core file size/ } readline $limits;
like($core, qr/ 0 +0 /, 'it leaves no core file');
SKIP: {
	open my $status, '<', "/proc/$pid/status" or die $!;
	my ($uid) = map { /^Uid:\s+(\d+)/ } readline $status;

	skip 'it runs as root', 1 if $uid == 0;
	# the kernel gives the files there of a process that may not be dumped to root
	is((stat "/proc/$pid/environ")[4], 0, 'and no other process of its user may read its memory');
}

done_testing;
