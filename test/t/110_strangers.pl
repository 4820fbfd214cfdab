# Strangers at the relay: what civetweb would let pass in framing, who may hold a thread and for how long, and
# what becomes of an address that sends too much that is refused.  020 and 030 have the plain cases.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use IO::Select;
use Omnimsg;
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
	[ 'a folded length', "Content-Length:\r\n 5\r\n" ],
	[ 'a line that is no header', "${right}no header\r\n" ],
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

# Each has something to send, and then something again and again, until the relay closes.
my %slow = (
	'says nothing' => [ '' ],
	'sends a byte in time and no more' => [ '', 0.9, 'P', 30, '' ],
	'sends headers byte by byte' => [ 'POST /', 0.1, 'x' ],
	'sends headers late, then a body byte by byte' =>
		[ '', 0.9, 'POST', 0.9, " /webhooks/telnyx HTTP/1.1\r\n$sign$right\r\n", 0.1, 'x' ],
	'sends a body byte by byte' => [ "$begin$sign$right\r\n", 0.1, 'x' ],
	'sends half a body' => [ "$begin$sign$right\r\n" . substr $signed->{body}, 0, 100 ],
	'goes on with a body that was refused for its length' => [ "${begin}${sign}Content-Length: 9000000\r\n\r\n", 0.1, 'x' ],
	'goes on with a body that was refused unsigned' => [ "${begin}Content-Length: 262144\r\n\r\n", 0.1, 'x' ],
	'goes on with chunks' => [ "${begin}Transfer-Encoding: chunked\r\n\r\n", 0.1, "1\r\nx\r\n" ],
	'asks for one thing after the other' => [ '', 0.2, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" ],
	'asks for what there is not' => [ '', 0.2, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n" ],
	'sends one unsigned delivery after the other' => [ '', 0.2, "${begin}Content-Length: 1\r\n\r\nx" ],
);

# hold(URL): what each of them is let hold a connection, in seconds, and what it was answered
sub hold
{
	my ($where) = $_[0] =~ m{^http://(.+)};
	my (%held, %socket);
	my $end = time + 12;

	local $SIG{PIPE} = 'IGNORE';
	for my $what (sort keys %slow)
	{
		my ($first, @more) = @{ $slow{$what} };
		my $socket = IO::Socket::INET->new(PeerAddr => $where, LocalAddr => '127.0.0.2') or die "connect: $!";

		$socket->blocking(0);
		syswrite $socket, $first;
		$socket{$what} = { socket => $socket, begin => time, last => time, more => \@more, raw => '' };
	}
	while (%socket && time < $end)
	{
		select undef, undef, undef, 0.02;
		for my $what (keys %socket)
		{
			my $client = $socket{$what};
			my $got = sysread $client->{socket}, $client->{raw}, 4096, length $client->{raw};
			my $over = defined $got ? $got == 0 : $! != EAGAIN && $! != EINTR;

			if (!$over && @{ $client->{more} } && time - $client->{last} >= $client->{more}[0])
			{
				my ($wait, $bytes) = @{ $client->{more} };

				splice @{ $client->{more} }, 0, 2 if @{ $client->{more} } > 2;
				syswrite $client->{socket}, $bytes;
				$client->{last} = time;
			}
			if ($over)
			{
				$held{$what} = [ time - $client->{begin}, $client->{raw} ];
				delete $socket{$what};
			}
		}
	}
	return \%held;
}

my $held = hold($node->env('OMNIMSG_RELAY_URL'));
for my $what (sort keys %slow)
{
	my ($seconds, $raw) = @{ $held->{$what} // [ 99, '' ] };

	# three are promised; one more, for a machine that is busy
	cmp_ok($seconds, '<', 4, "who $what is let go");
	cmp_ok(scalar(() = $raw =~ m{^HTTP/1\.1 }mg), '<=', 1, 'with one answer at most');
}
my $proxied = $node->raw(join('', map { "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" } 1 .. 3) .
	"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
is(scalar(() = $proxied->{raw} =~ m{^HTTP/1\.1 }mg), 4, 'a proxy of ours keeps its connection');
my $kept = $node->raw("$delivery$delivery${begin}Content-Length: 1\r\n\r\nx$delivery", from => '127.0.0.2');
is(join(' ', $kept->{raw} =~ m{^HTTP/1\.1 (\d+)}mg), '200 200 401', 'so does a stranger for as long as all he delivers is signed');

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
