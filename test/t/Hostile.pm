# Hostile.pm: providers that mean no good, each on a port of its own, over TLS.
#
#   my $hostile = Hostile->new(address => '127.0.0.1', name => 'api.example.test', dir => $dir, manners => {'+1...' => 'drip'});
#   $hostile->url('well');                  # https://api.example.test:PORT, the one with the right certificate
#   $hostile->seen('well');                 # what has arrived there: [what, detail] each
#
# The one called "well" reads the request and does what manners says of its receiver, or of the first six characters of the
# number, else it accepts the message.

package Hostile;

use strict;
use warnings;

use Compress::Zlib ();
use IO::Socket::INET;
use IO::Socket::SSL;
use IO::Socket::SSL::Utils;
use JSON::PP qw(decode_json);
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

my %children;

# ---- certificates ----

# _certificates(NAME, DIR): files of each kind; DIR/ca.pem is the authority that the worker is told of
sub _certificates
{
	my ($name, $dir) = @_;
	my ($ca, $ca_key) = CERT_create(CA => 1, key => KEY_create_ec('prime256v1'), subject => { commonName => 'An authority of the test' });
	my ($other, $other_key) = CERT_create(CA => 1, key => KEY_create_ec('prime256v1'), subject => { commonName => 'An authority of somebody else' });
	my %made;

	PEM_cert2file($ca, "$dir/ca.pem");
	chmod 0644, "$dir/ca.pem";
	my @names = (subject => { commonName => $name }, subjectAltNames => [[DNS => $name]]);
	my %wanted = (
		well => [@names, issuer => [$ca, $ca_key]],
		expired => [@names, issuer => [$ca, $ca_key], not_before => time - 90 * 86400, not_after => time - 86400],
		other_host => [subject => { commonName => 'other.example.test' }, subjectAltNames => [[DNS => 'other.example.test']],
			issuer => [$ca, $ca_key]],
		stranger => [@names, issuer => [$other, $other_key]],
		self_signed => [@names],
	);
	for my $kind (keys %wanted)
	{
		my ($cert, $key) = CERT_create(@{ $wanted{$kind} }, key => KEY_create_ec('prime256v1'));

		PEM_cert2file($cert, "$dir/$kind.crt");
		PEM_key2file($key, "$dir/$kind.key");
		$made{$kind} = [SSL_cert_file => "$dir/$kind.crt", SSL_key_file => "$dir/$kind.key"];
	}
	return \%made;
}

# ---- the servers ----

sub new
{
	my ($class, %options) = @_;
	my $self = bless { %options, ports => {}, log => "$options{dir}/seen",
		bomb => Compress::Zlib::memGzip('{"data":{"id":"bomb","more":"' . ' ' x 40_000_000 . '"}}') }, $class;
	my $certificates = _certificates($options{name}, $options{dir});

	# Nothing may arrive here: where redirects and proxies lead
	$self->_listen('forbidden', sub { $_[0]->_answer($_[1], 200, '{"data":{"id":"forbidden"}}') }, address => '127.0.0.1');
	$self->_listen($_, \&_tls, @{ $certificates->{$_} }) for keys %$certificates;
	$self->_listen('old_tls', \&_tls, @{ $certificates->{well} }, SSL_version => 'TLSv1_1', SSL_cipher_list => 'ALL:@SECLEVEL=0');
	$self->_listen('resets', \&_reset);
	$self->_listen('resets_hello', sub { sysread $_[1], my $hello, 1; $_[0]->_reset($_[1]) });
	$self->_listen('plain', sub { $_[0]->_answer($_[1], 200, '{"data":{"id":"plain"}}') });
	$self->_listen('mute', sub { sleep 60 });
	$self->_black_hole;
	return $self;
}

# forbid(NAME, ADDRESS, PORT): a further place where nothing may arrive
sub forbid
{
	my ($self, $name, $address, $port) = @_;

	$self->_listen($name, sub { $_[0]->_answer($_[1], 200, '{"data":{"id":"forbidden"}}') }, address => $address, port => $port);
	return;
}

sub _listen
{
	my ($self, $name, $code, %options) = @_;
	my $address = delete $options{address} // $self->{address};
	my $socket = IO::Socket::INET->new(LocalAddr => $address, LocalPort => delete $options{port} // 0, Listen => 128, ReuseAddr => 1)
		or die "listen on $address: $!";

	$self->{ports}{$name} = $socket->sockport;
	# made once, for a connection should cost little on a machine that does other things, too
	$self->{tls}{$name} = IO::Socket::SSL::SSL_Context->new(SSL_server => 1, SSL_verify_mode => 0, %options) || die $SSL_ERROR if %options;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		setpgrp;
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
		$SIG{CHLD} = $SIG{PIPE} = 'IGNORE';
		%children = ();
		while (my $client = $socket->accept)
		{
			my $worker = fork // next;

			if ($worker == 0)
			{
				alarm 90;
				$self->_see($name, 'connection', $client->peerhost);
				eval { $code->($self, $client, $name) };
				POSIX::_exit(0);
			}
			close $client;
		}
		POSIX::_exit(0);
	}
	$children{$pid} = 1;
	close $socket;
	return;
}

# a socket whose queue is full: who connects hears nothing
sub _black_hole
{
	my ($self) = @_;
	my $hole = IO::Socket::INET->new(LocalAddr => $self->{address}, Listen => 1) or die "listen: $!";

	$self->{ports}{black_hole} = $hole->sockport;
	$self->{hole} = [$hole, map {
		IO::Socket::INET->new(PeerAddr => $self->{address}, PeerPort => $hole->sockport, Blocking => 0)
	} 1 .. 8];
	return;
}

sub url
{
	my ($self, $name, $host) = @_;

	return 'https://' . ($host // $self->{name}) . ":$self->{ports}{$name}";
}

sub port { return $_[0]{ports}{ $_[1] } }

sub _see
{
	my ($self, @what) = @_;

	open my $log, '>>', $self->{log} or return;
	syswrite $log, join("\t", @what) . "\n";
	return;
}

# seen(NAME, WHAT): the details of what has arrived there: each connection, each request
sub seen
{
	my ($self, $name, $what) = @_;

	open my $log, '<', $self->{log} or return;
	return map { $_->[2] } grep { $_->[0] eq $name && $_->[1] eq $what } map { chomp; [split /\t/] } readline $log;
}

# ---- what they do ----

# what lingers for no time is not closed but reset, with the end of its last process
sub _reset
{
	my ($self, $client) = @_;

	setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	POSIX::_exit(0);
}

sub _tls
{
	my ($self, $client, $name) = @_;

	IO::Socket::SSL->start_SSL($client, SSL_server => 1, SSL_reuse_ctx => $self->{tls}{$name}) or return;
	$self->_see($name, $client->get_session_reused ? 'resumed' : 'whole', time);
	$self->_serve($client, $name);
	return;
}

sub _answer
{
	my ($self, $client, $status, $body, @headers) = @_;

	print {$client} join "\r\n", "HTTP/1.1 $status Said", 'Content-Type: application/json', 'Content-Length: ' . length $body,
		@headers, '', $body;
	close $client;
	return;
}

sub _serve
{
	my ($self, $client, $name) = @_;
	my ($head, $body) = ('', '');

	while (defined(my $line = readline $client))
	{
		last if $line =~ /\A\r?\n\z/;
		$head .= $line;
	}
	my ($length) = $head =~ /^content-length: *(\d+)/im;
	return if !$length;
	read $client, $body, $length;
	my $to = eval { decode_json($body)->{to} } // '';
	my $manner = $self->{manners}{$to} // $self->{manners}{ substr $to, 0, 6 } // 'accept';

	$self->_see($name, 'request', $to);
	my $way = $self->can("_do_$manner");
	return $way->($self, $client) if $way;
	# STATUS, then headers or a body
	my ($status, @rest) = split / *\| */, $manner;
	my ($text) = grep { /\A\{/ } @rest;
	return $self->_answer($client, $status, $text // '', grep { !/\A\{/ } @rest);
}

# for ever, or until the other side has enough
sub _repeat
{
	my ($client, $text, $pause) = @_;

	while (print {$client} $text)
	{
		$client->flush;
		sleep $pause if $pause;
	}
	return;
}

sub _do_accept
{
	my ($self, $client) = @_;
	my $id = join '-', map { sprintf '%04x', rand 65536 } 1 .. 4;

	return $self->_answer($client, 200, qq({"data":{"id":"$id"}}), 'Date: ' . POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime));
}

sub _do_late { sleep 1; return $_[0]->_do_accept($_[1]) }
sub _do_silent { sleep 60; return }
sub _do_close { return }
sub _do_reset { return $_[0]->_reset($_[1]) }

sub _do_reset_in_answer
{
	my ($self, $client) = @_;

	print {$client} "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":";
	$client->flush;
	sleep 0.2;
	return $self->_reset($client);
}

sub _do_drip
{
	my ($self, $client) = @_;

	print {$client} "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
	return _repeat($client, ' ', 1);
}

sub _do_drip_headers { print { $_[1] } "HTTP/1.1 200 OK\r\n"; return _repeat($_[1], 'x', 1) }

sub _do_huge
{
	my ($self, $client) = @_;

	print {$client} "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n";
	return _repeat($client, 'x' x 65536);
}

sub _do_huge_chunks
{
	my ($self, $client) = @_;

	print {$client} "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
	return _repeat($client, "8000\r\n" . 'x' x 32768 . "\r\n");
}

sub _do_header_flood { print { $_[1] } "HTTP/1.1 200 OK\r\n"; return _repeat($_[1], 'X-Flood: ' . 'x' x 1000 . "\r\n") }
sub _do_long_header { print { $_[1] } "HTTP/1.1 200 OK\r\nX-Long: "; return _repeat($_[1], 'x' x 65536) }
sub _do_endless_1xx { return _repeat($_[1], "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n") }
sub _do_endless_100 { return _repeat($_[1], "HTTP/1.1 100 Continue\r\n\r\n", 0.01) }

sub _do_bomb
{
	my ($self, $client) = @_;

	$self->_answer($client, 200, $self->{bomb}, 'Content-Encoding: gzip');
}

sub _do_bad_json { return $_[0]->_answer($_[1], 200, '{"data":{"id":"half') }
sub _do_deep_json { return $_[0]->_answer($_[1], 200, '[' x 60000) }
sub _do_no_http { print { $_[1] } "220 smtp.example.test ESMTP\r\n"; return }
sub _do_negative_length { print { $_[1] } "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"; return }
sub _do_switch { print { $_[1] } "HTTP/1.1 101 Switching Protocols\r\nUpgrade: smtp\r\nConnection: Upgrade\r\n\r\n"; sleep 60; return }
sub _do_redirect_home { return $_[0]->_answer($_[1], 307, '', "Location: http://127.0.0.1:$_[0]{ports}{forbidden}/") }

# ---- the end ----

sub end
{
	kill '-KILL', keys %children;
	waitpid $_, 0 for keys %children;
	%children = ();
	return;
}

END
{
	my $status = $?;

	end();
	$? = $status;
}

1;
