# Nothing unsigned gets in: every one-byte change of body, timestamp and signature is refused.

use strict;
use warnings;

use MIME::Base64 qw(encode_base64);
use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));
my $serial = 0;

diag("seed $seed");
srand($seed);

# What is signed once by the simulator is caught in the relay's place and sent again, changed.
use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, ReuseAddr => 1) or die $!;

sub signed_request
{
	my (%options) = @_;
	my $url = 'http://127.0.0.1:' . $listener->sockport;
	my $pid = fork // die $!;

	if ($pid == 0)
	{
		open STDOUT, '>', '/dev/null';
		exec $node->simulator, 'send', '--webhook-url', "$url/webhooks/telnyx", '--key-file',
			$node->env('OMNIMSG_SIGNING_KEY_FILE'), '--from', '+15552000101', '--to', $made->{did},
			'--text', 'STOP', '--attempts', 1, '--message-id', 'signed-' . ++$serial . "-$$",
			map { (("--" . ($_ =~ tr/_/-/r)), $options{$_}) } keys %options;
		die $!;
	}
	my $peer = $listener->accept;
	my ($head, $body) = ('', '');
	while (my $line = readline $peer)
	{
		last if $line =~ /\A\r?\n\z/;
		$head .= $line;
	}
	my ($length) = $head =~ /content-length: *(\d+)/i;
	read $peer, $body, $length;
	print {$peer} "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	close $peer;
	waitpid $pid, 0;
	my ($timestamp) = $head =~ /^telnyx-timestamp: *(\S+)/im;
	my ($signature) = $head =~ /^telnyx-signature-ed25519: *(\S+)/im;
	return { body => $body, timestamp => $timestamp, signature => $signature };
}

sub deliver
{
	my ($request, %changed) = @_;
	my %sent = (%$request, %changed);
	my @headers;

	push @headers, "telnyx-timestamp: $sent{timestamp}" if defined $sent{timestamp};
	push @headers, "telnyx-signature-ed25519: $sent{signature}" if defined $sent{signature};
	push @headers, @{ $sent{more} || [] };
	return $node->request(POST => '/webhooks/telnyx', body => $sent{body},
		headers => [ 'Content-Type: application/json', @headers ])->{status};
}

sub stored
{
	return $node->psql("SELECT count(*) FROM omnimsg.events
		WHERE event_type = 'message.received' OR event_type IS NULL") + 0;
}

# how many of the changed requests were not answered 401
sub let_in
{
	my ($request, $field, @positions) = @_;
	my $let_in = 0;

	for my $position (@positions)
	{
		my $changed = $request->{$field};
		my $byte = ord substr $changed, $position, 1;
		my $other = $field eq 'timestamp' ? ord('0') + ($byte - ord('0') + 1 + int(rand(9))) % 10 :
			($byte + 1 + int(rand(255))) % 256;

		# a byte that would end the header line is another request, not another signature
		redo if $field eq 'signature' && ($other < 33 || $other > 126);
		substr $changed, $position, 1, chr $other;
		$let_in++ if deliver($request, $field => $changed) != 401;
	}
	return $let_in;
}

my $request = signed_request();

is(let_in($request, 'signature', 0 .. length($request->{signature}) - 1), 0,
	'a change of any byte of the signature is answered 401');
is(let_in($request, 'timestamp', 0 .. length($request->{timestamp}) - 1), 0,
	'a change of any digit of the timestamp is answered 401');
is(let_in($request, 'body', map { int(rand(length $request->{body})) } 1 .. 200), 0,
	'a change of any of 200 bytes of the body is answered 401');
is(deliver($request, body => $request->{body} . "\n"), 401, 'so is a byte more');
is(deliver($request, body => substr($request->{body}, 0, -1)), 401, 'and a byte less');
is(deliver($request, signature => undef), 401, 'so is a missing signature');
is(deliver($request, timestamp => undef), 401, 'and a missing timestamp');
is(deliver($request, signature => encode_base64('x' x 64, '')), 401, 'and a made-up signature');
is(deliver($request, signature => encode_base64('x' x 63, '')), 401, 'and one of 63 bytes');
is(deliver($request, more => ["telnyx-timestamp: $request->{timestamp}"]), 400, 'a header given twice is answered 400');
is(stored(), 0, 'nothing of all that is stored');
is(deliver($request), 200, 'the request as it was signed is answered 200');
is(stored(), 1, 'and stored');
is(deliver($request, timestamp => undef, signature => undef,
	more => ["TELNYX-Timestamp: $request->{timestamp}", "Telnyx-Signature-Ed25519: $request->{signature}"]), 200,
	'the names of the headers may be written in any case');

# the window; two seconds are left for the clock to go on
for ([ -303, 401, 'more than 300 s old' ], [ -297, 200, 'less than 300 s old' ], [ 297, 200, 'less than 300 s ahead' ],
	[ 303, 401, 'more than 300 s ahead' ])
{
	my ($offset, $status, $what) = @$_;
	my $before = stored();

	is(deliver(signed_request(timestamp_offset => $offset)), $status, "a right signature $what is answered $status");
	is(stored() - $before, $status == 200 ? 1 : 0, $status == 200 ? 'and stored' : 'and has no effect');
}
is($node->send(from => '+15552000101', to => $made->{did}, text => 'STOP', wrong_key => undef, attempts => 1)->{http},
	401, 'another key is answered 401');

done_testing;
