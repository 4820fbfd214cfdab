# alone: it floods both cores, and what is delivered meanwhile has two seconds
#
# 500 slow clients, floods of connections and of unsigned requests, bodies of a megabyte and tricks of framing at
# once, first through nginx with the configuration that is shipped, then at the relay itself.

use strict;
use warnings;

use Errno qw(EAGAIN EINPROGRESS EINTR);
use IO::Poll qw(POLLERR POLLHUP POLLIN);
use IO::Socket::INET;
use List::Util qw(shuffle);
use Omnimsg;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{OMNIMSG_SECONDS} // 6;
my $flood = $ENV{OMNIMSG_FLOOD} // 300;
my $samples = $ENV{OMNIMSG_SAMPLES} // 0;
my $slow = 500;
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));
diag("seed $seed");

my $node = Omnimsg->new(env => { OMNIMSG_RELAY_SPOOL => '' });
my $made = $node->seed;
my $relay = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key);
my $url = $relay->url;
my $begin = "POST /webhooks/telnyx HTTP/1.1\r\nHost: localhost\r\n";
my $signed = "telnyx-timestamp: 1700000000\r\ntelnyx-signature-ed25519: " . ('A' x 86) . "==\r\n";

ok($node->wait_until(sub { $node->request(GET => '/readyz', url => $url)->{status} == 200 }), 'a relay gets ready');

# ---- nginx with the file of deploy/: other ports, another certificate, and nothing else ----

sub read_file
{
	my ($path) = @_;

	open my $handle, '<', $path or die "$path: $!";
	local $/;
	return <$handle>;
}

sub write_file
{
	my ($path, $text) = @_;

	open my $handle, '>', $path or die "$path: $!";
	print {$handle} $text;
	close $handle or die "$path: $!";
	return;
}

sub free_port
{
	return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
}

my $dir = $node->dir . '/nginx';
my ($tls_port, $plain_port) = (free_port(), free_port());
my $nginx_pid;

sub start_nginx
{
	my $conf = read_file('deploy/nginx.conf');
	my ($relay_address) = $url =~ m{^http://(.+)};

	for (
		# the slow clients of this test speak no TLS
		[ 'listen 443 ssl;', "listen 127.0.0.1:$tls_port ssl; listen 127.0.0.1:$plain_port;" ],
		[ '/etc/ssl/certs/webhooks.example.com.pem', "$dir/cert.pem" ],
		[ '/etc/ssl/private/webhooks.example.com.key', "$dir/key.pem" ],
		[ '127.0.0.1:8080', $relay_address ],
	)
	{
		my ($from, $to) = @$_;

		$conf =~ s/\Q$from\E/$to/ == 1 or die "deploy/nginx.conf has no \"$from\"";
	}
	mkdir $dir;
	system('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=webhooks.example.com',
		'-keyout', "$dir/key.pem", '-out', "$dir/cert.pem", '-batch') == 0 or die 'openssl failed';
	write_file("$dir/omnimsg.conf", $conf);
	# the rest of /etc/nginx/nginx.conf; root's worker has to get into a directory of root
	write_file("$dir/nginx.conf", ($> == 0 ? "user root;\n" : '') . <<"CONF");
daemon off;
pid $dir/pid;
error_log $dir/error.log warn;
worker_processes 1;
worker_rlimit_nofile 16384;
events { worker_connections 4096; }
http {
	access_log $dir/access.log;
	client_body_temp_path $dir/body;
	proxy_temp_path $dir/proxy;
	fastcgi_temp_path $dir/fastcgi;
	uwsgi_temp_path $dir/uwsgi;
	scgi_temp_path $dir/scgi;
	include $dir/omnimsg.conf;
}
CONF
	my $program = (grep { -x } map { "$_/nginx" } '/usr/sbin', split /:/, $ENV{PATH})[0] or die 'there is no nginx';
	is(system("'$program' -p $dir -c $dir/nginx.conf -t -q >$dir/check.log 2>&1"), 0, 'nginx finds nothing wrong with its configuration')
		or diag(read_file("$dir/check.log"));
	$nginx_pid = fork // die "fork: $!";
	if ($nginx_pid == 0)
	{
		open STDERR, '>', "$dir/stderr.log";
		exec $program, '-p', $dir, '-c', "$dir/nginx.conf" or POSIX::_exit(127);
	}
	return $node->wait_until(sub { IO::Socket::INET->new("127.0.0.1:$plain_port") });
}

END
{
	my $status = $?;

	if ($nginx_pid)
	{
		kill 'TERM', $nginx_pid;
		waitpid $nginx_pid, 0;
	}
	$? = $status;
}

# ---- who abuses; each in a process of its own, for so many seconds ----

# fork a SUB that is given the end as a time; returns the process and where it says what it found
sub abuser
{
	my ($name, $work) = @_;
	my $file = $node->dir . "/abuser-$name";
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		$SIG{PIPE} = 'IGNORE';
		srand($seed);
		write_file($file, eval { $work->(time + $seconds) } // $@);
		POSIX::_exit(0);
	}
	return [ $pid, $file ];
}

sub found
{
	my ($pid, $file) = @{ $_[0] };

	waitpid $pid, 0;
	return read_file($file);
}

sub connect_to
{
	my ($where, $from) = @_;

	return IO::Socket::INET->new(PeerAddr => $where, LocalAddr => $from, Blocking => 0);
}

# 500 at once, of three kinds, who come again when they are closed.  Returns the longest that one was kept, and how
# many were closed.
my @starts = (
	'POST /webhooks/telnyx HTTP/1.1',
	"$begin${signed}Content-Length: 1000\r\n\r\n",
	"$begin${signed}Content-Length: 9000000\r\n\r\n",
);

sub slow_clients
{
	my ($where, $end) = @_;
	my $poll = IO::Poll->new;
	my (%clients, $longest, $closed);

	($longest, $closed) = (0, 0);
	while (time < $end)
	{
		my $missing = $slow - keys %clients;

		for my $n (1 .. ($missing < 50 ? $missing : 50))
		{
			my $socket = connect_to($where, '127.0.0.' . (2 + int(rand(8)))) or next;

			$poll->mask($socket => POLLIN | POLLERR | POLLHUP);
			$clients{ fileno $socket } = { socket => $socket, begin => time, next => time + 0.05, rest => $starts[rand @starts] };
		}
		$poll->poll(0.05);
		for my $socket ($poll->handles(POLLIN | POLLERR | POLLHUP))
		{
			my $got = sysread $socket, my $bytes, 4096;

			next if defined $got ? $got > 0 : $! == EAGAIN || $! == EINTR;
			my $client = delete $clients{ fileno $socket };
			my $kept = time - $client->{begin};

			$longest = $kept if $kept > $longest;
			$closed++;
			$poll->remove($socket);
			close $socket;
		}
		for my $client (values %clients)
		{
			next if time < $client->{next};
			syswrite $client->{socket}, $client->{rest};
			$client->{rest} = 'x';
			$client->{next} = time + 0.3;
		}
	}
	return sprintf '%.1f %d', $longest, $closed;
}

# connections that are closed as soon as they are open
sub connect_close
{
	my ($where, $end) = @_;
	my ($made, $started) = (0, time);

	while (time < $end)
	{
		connect_to($where, '127.0.0.10');
		sleep 0.005 while $made++ > $flood * (time - $started) && time < $end;
	}
	return $made;
}

# what is refused for its framing or its length, and a connection that is gone before its answer
sub tricks
{
	my ($where, $end) = @_;
	my @tricks = (
		"$begin${signed}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"$begin${signed}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
		"$begin${signed}Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx",
		$begin . join('', map { "X-$_: 1\r\n" } 1 .. 100) . "\r\n",
		'GET /' . 'x' x 9000 . " HTTP/1.1\r\n\r\n",
		"$begin${signed}Content-Length: 1048576\r\n\r\n" . 'x' x 1048576,
		"$begin${signed}Content-Length: 262144\r\n\r\n" . 'x' x 262144,
		"\0" x 100, "GET /\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	);
	my $sent = 0;

	while (time < $end)
	{
		my $socket = connect_to($where, '127.0.0.11') or next;
		my $trick = $tricks[rand @tricks];

		$socket->blocking(1);
		setsockopt $socket, Socket::SOL_SOCKET, Socket::SO_SNDTIMEO, pack 'l!l!', 1, 0;
		setsockopt $socket, Socket::SOL_SOCKET, Socket::SO_RCVTIMEO, pack 'l!l!', 0, 200_000;
		syswrite $socket, $trick;
		sysread $socket, my $bytes, 100 if rand() < 0.5;
		$sent++;
		sleep 0.01;
	}
	return $sent;
}

sub send_in_background
{
	my ($name, $where, %options) = @_;

	return abuser($name, sub {
		local $node->{settings}{OMNIMSG_RELAY_URL} = "http://$where";
		my $sent = $node->send(from => '+15552000101', to => $made->{did}, text => 'Hello', attempts => 1, %options);
		my %answers;

		$answers{ $_->{http} }++ for @{ $sent->{attempts} };
		return join ' ', map { "$_:$answers{$_}" } sort keys %answers;
	});
}

# abuse(WHERE): all of them at once, and 50 right deliveries each second; what they found
sub abuse
{
	my ($where) = @_;
	my %running = (
		slow => abuser(slow => sub { slow_clients($where, @_) }),
		connects => abuser(connects => sub { connect_close($where, @_) }),
		tricks => abuser(tricks => sub { tricks($where, @_) }),
		unsigned => send_in_background('unsigned', $where, omit => 'signature', rate => $flood, repeat => $flood * $seconds,
			parallel => 20, source => '127.0.0.12'),
		# as often as the provider tries, for the relay has no spool
		right => send_in_background('right', $where, attempts => 3, rate => 50, repeat => 50 * $seconds, parallel => 30),
	);
	my %found = map { $_ => found($running{$_}) } keys %running;

	diag(join ', ', map { "$_ $found{$_}" } sort keys %found);
	return \%found;
}

# ---- what the relay is made of meanwhile ----

sub descriptors
{
	opendir my $handle, "/proc/$relay->{pid}/fd" or die $!;
	return scalar(grep { /^\d/ } readdir $handle);
}

sub highest_memory
{
	return read_file("/proc/$relay->{pid}/status") =~ /^VmHWM:\s+(\d+) kB/m ? $1 / 1024 : die;
}

sub metric
{
	my ($name) = @_;

	return $node->request(GET => '/metrics', url => $url)->{body} =~ /^omnimsg_relay_\Q$name\E (\S+)$/m ? $1 : undef;
}

my $descriptors = descriptors();
ok(start_nginx(), 'nginx starts with the configuration that is shipped');

my $proxied = "127.0.0.1:$plain_port";
my $request = $node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello');
write_file("$dir/body.json", $request->{body});
is(qx{curl -sS --cacert $dir/cert.pem --resolve webhooks.example.com:$tls_port:127.0.0.1 --data-binary \@$dir/body.json -H 'telnyx-timestamp: $request->{timestamp}' -H 'telnyx-signature-ed25519: $request->{signature}' -H 'X-Forwarded-For: 192.0.2.1' -o /dev/null -w '%{http_code}' https://webhooks.example.com:$tls_port/webhooks/telnyx},
	'200', 'it passes a delivery on that came over TLS');
is($node->request($_ => '/metrics', url => "http://$proxied")->{status}, 404, "and not $_ /metrics") for qw(GET POST);
is($node->request(POST => '/webhooks/telnyx/../telnyx', body => '', url => "http://$proxied")->{status}, 404,
	'nor a path that only means the same');
is($node->request(POST => '/webhooks/telnyx', body => 'x' x 262_145, url => "http://$proxied")->{status}, 413,
	'a body of more than 256 KiB ends there');
for (
	[ 'Content-Length beside Transfer-Encoding', "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
	[ 'two lengths', "Content-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx" ],
	[ 'a length with a letter', "Content-Length: 5a\r\n\r\nxxxxx" ],
)
{
	my ($what, $rest) = @$_;

	is($node->raw("$begin$signed$rest", url => "http://$proxied")->{status}, 400, "and so does $what");
}
my $chunked = $node->raw(sprintf("%stelnyx-timestamp: %s\r\ntelnyx-signature-ed25519: %s\r\nConnection: close\r\n" .
	"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", $begin, @$request{qw(timestamp signature)},
	length $request->{body}, $request->{body}), url => "http://$proxied");
is($chunked->{status}, 200, 'chunks reach the relay as one body with a length');

# ---- behind nginx ----

my $found = abuse($proxied);
my ($taken) = $found->{right} =~ /\b200:(\d+)/;
cmp_ok($taken // 0, '>=', 50 * $seconds * 0.999, 'behind nginx at least 99.9 % of what is signed is taken meanwhile');
my $others = 0;
$others += $1 while $found->{right} =~ /\b(?!200:)\d+:(\d+)/g;
cmp_ok($others, '<=', 50 * $seconds * 0.05, 'hardly any of it not at once');
like($found->{unsigned}, qr/\A(?!.*\b200:).*\b401:/, 'and nothing that is not');
cmp_ok((split ' ', $found->{slow})[1], '>', 0, 'slow clients were closed');
my $refused = (split ' ', $found->{slow})[1] + $found->{tricks};

# ---- at the relay itself ----

$found = abuse($url =~ s{^http://}{}r);
# half of the clients wait for a thread before they have one
cmp_ok((split ' ', $found->{slow})[0], '<', 8, 'at the relay itself no client is kept longer than it takes to wait for one thread and hold it');
cmp_ok((split ' ', $found->{slow})[1], '>', $slow / 4, 'the threads are free again and again');
like($found->{unsigned}, qr/\A(?!.*\b200:).*\b(?:401|429):/, 'what is not signed is not taken');
ok($node->wait_until(sub { metric('http_connections') <= 2 }, 20), 'when they are gone all connections are');
# the one from before may be too old by now
$request = $node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello');
is($node->delivered($request, url => $url), 200, 'and deliveries are taken');

my $calls = metric('batches_total');
my $transactions = $node->psql('SELECT count(*) FROM omnimsg.events');
for my $way ([omit => 'signature'], [wrong_key => undef])
{
	like(found(send_in_background('flood', $url =~ s{^http://}{}r, @$way, rate => $flood, repeat => $flood, parallel => 20)),
		qr/\A(?!.*\b200:).*\b401:/, "a flood with $way->[0] is refused");
}
is(metric('batches_total'), $calls, 'a flood that is not signed causes no call of the database');
is($node->psql('SELECT count(*) FROM omnimsg.events'), $transactions, 'and stores nothing');

# connections to the database may have come
ok($node->wait_until(sub { descriptors() <= $descriptors + 5 }), 'its descriptors are as many as before');
cmp_ok(highest_memory(), '<', 128, sprintf 'it never had more than 128 MB: %d', highest_memory());
is(-s "$dir/access.log", 0, 'nginx has written no line for each of them');
cmp_ok(read_file("$dir/error.log") =~ tr/\n//, '<=', $refused, 'nor in all more than one for each client that it had to refuse itself') or
	diag(substr read_file("$dir/error.log"), 0, 2000);

# ---- who may not sign learns nothing ----

SKIP: {
	skip 'only in its long form', 1 if !$samples;
	my %spent = (known => 0, unknown => 0);

	for (1 .. $samples)
	{
		for my $which (shuffle keys %spent)
		{
			my $number = $which eq 'known' ? $made->{did} : '+15559999999';

			$spent{$which} += $node->raw("$begin${signed}Connection: close\r\nContent-Length: " . length($number) . "\r\n\r\n$number",
				url => $url)->{seconds};
		}
	}
	my $difference = abs($spent{known} - $spent{unknown}) / $samples * 1000;

	diag(sprintf 'a known number takes %.3f ms, an unknown one %.3f', map { $_ / $samples * 1000 } @spent{qw(known unknown)});
	cmp_ok($difference, '<', 1, 'an answer about a number that is known takes as long as about another, to a millisecond');
}

done_testing;
