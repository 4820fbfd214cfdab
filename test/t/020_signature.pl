# Nothing unsigned gets in: every one-byte change of body, timestamp and signature is refused.

use strict;
use warnings;

use MIME::Base64 qw(encode_base64);
use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));

diag("seed $seed");
srand($seed);

sub signed_stop
{
	return $node->signed(from => '+15552000101', to => $made->{did}, text => 'STOP', @_);
}

sub deliver
{
	return $node->delivered(@_);
}

# what inbound messages leave behind, in all tables; what tells of our reply is not counted
sub stored
{
	$node->applied;
	return $node->psql(<<'SQL');
SELECT (SELECT count(*) FROM omnimsg.events WHERE (event_type = 'message.received' OR event_type IS NULL)
		AND reason IS DISTINCT FROM 'stale')
	 + (SELECT count(*) FROM omnimsg.messages WHERE direction = 'inbound')
	 + (SELECT count(*) FROM omnimsg.opt_out_requests)
	 + (SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'MESSAGE_RECEIVED')
SQL
}

# another byte than the given one; in a header, one that leaves the header what it is
sub other_byte
{
	my ($field, $byte) = @_;
	my $other;

	do
	{
		$other = $field eq 'timestamp' ? 48 + int(rand(10)) :
			$field eq 'signature' ? 33 + int(rand(94)) : int(rand(256));
	} while ($other == $byte);
	return $other;
}

# how many of the requests with one byte changed were not answered 401
sub let_in
{
	my ($request, $field, @positions) = @_;
	my $let_in = 0;

	for my $position (@positions)
	{
		my $changed = $request->{$field};
		my $other = other_byte($field, ord substr $changed, $position, 1);

		substr $changed, $position, 1, chr $other;
		next if deliver($request, $field => $changed) == 401;
		$let_in++;
		diag("$field, byte $position, changed to $other, was let in");
	}
	return $let_in;
}

my $request = signed_stop();
my $length = length $request->{body};

is(let_in($request, 'signature', 0 .. length($request->{signature}) - 1), 0,
	'a change of any character of the signature is answered 401');
is(let_in($request, 'timestamp', (0 .. length($request->{timestamp}) - 1) x 3), 0,
	'so is a change of any digit of the timestamp');
is(let_in($request, 'body', 0, $length - 1, map { int(rand($length)) } 1 .. 300), 0,
	'and a change of any of 300 bytes of the body');

# the last digit of base64 carries four bits that a lenient reader drops
my $spelled = grep {
	my $signature = $request->{signature};
	substr $signature, 85, 1, $_;
	$signature ne $request->{signature} && deliver($request, signature => $signature) != 401;
} 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '+', '/';
is($spelled, 0, 'and any other spelling of the last byte of the signature');

my $space = grep {
	my $body = $request->{body};
	substr $body, int(rand($length)), 0, ' ';
	deliver($request, body => $body) != 401;
} 1 .. 50;
is($space, 0, 'and a space more anywhere in the body');
my $shorter = grep {
	my $body = $request->{body};
	substr $body, int(rand($length)), 1, '';
	deliver($request, body => $body) != 401;
} 1 .. 50;
is($shorter, 0, 'and a byte less anywhere');
is(deliver($request, body => ''), 401, 'and no body at all');
is(deliver($request, timestamp => "0$request->{timestamp}"), 401, 'and a zero before the timestamp');
is(deliver($request, timestamp => "$request->{timestamp}.0"), 401, 'and a fraction after it');

is(deliver($request, signature => undef), 401, 'a missing signature is answered 401');
is(deliver($request, timestamp => undef), 401, 'so is a missing timestamp');
is(deliver($request, signature => undef, timestamp => undef), 401, 'and both missing');
is(deliver($request, signature => ''), 401, 'and an empty signature');
is(deliver($request, timestamp => ''), 401, 'and an empty timestamp');
is(deliver($request, signature => encode_base64('x' x $_, '')), 401, "and a made-up signature of $_ bytes")
	for 63, 64, 65;
is(deliver(signed_stop(wrong_key => undef)), 401, 'and the signature of another key');
is(deliver($request, more => ["telnyx-signature-ed25519: $request->{signature}"]), 400,
	'a signature given twice is answered 400');
is(deliver($request, more => ["telnyx-timestamp: $request->{timestamp}"]), 400, 'so is a timestamp');
is(stored(), 0, 'nothing of all that is stored');

# the first one may be too old by now
$request = signed_stop();
is(deliver($request), 200, 'a request as it was signed is answered 200');
is(stored(), 5, 'and stored');
is(deliver($request, timestamp => undef, signature => undef,
		more => [ "TELNYX-Timestamp: $request->{timestamp}", "Telnyx-Signature-ED25519: $request->{signature}" ]),
	200, 'the names of the headers may be written in any case');

# The window ends between 300 and 301 s.  An answer counts when the clock's second was the same
# before the signing and after the answer.
sub at_offset
{
	my ($offset) = @_;

	for (1 .. 20)
	{
		my $before = stored();
		my $second = time;
		my $status = deliver(signed_stop(timestamp_offset => $offset));

		return "$status, " . (stored() > $before ? 'stored' : 'no effect') if time == $second;
	}
	return 'the clock never stood still';
}

for ([ 299, '200, stored' ], [ 300, '200, stored' ], [ 301, '401, no effect' ], [ 100_000, '401, no effect' ])
{
	my ($seconds, $expected) = @$_;

	is(at_offset(-$seconds), $expected, "a right signature $seconds s old: $expected");
	is(at_offset($seconds), $expected, "a right signature $seconds s ahead: $expected");
}

# a change of the key without a gap
my $new_key = $node->dir . '/new.key';
my $keys = $node->dir . '/keys';

sub write_keys
{
	open my $handle, '>', $keys or die "$keys: $!";
	print {$handle} map { "$_\n" } @_;
	close $handle;
	return;
}

sub deliver_with
{
	my ($relay, $key) = @_;

	local $node->{settings}{OMNIMSG_SIGNING_KEY_FILE} = $key if $key;
	return deliver(signed_stop(), url => $relay->url);
}

# SIGHUP is obeyed when the log says so
sub reload
{
	my ($relay, $msg) = @_;
	my $before = grep { $_->{msg} eq $msg } $relay->log;

	$relay->signal('HUP');
	return $node->wait_until(sub { $before < grep { $_->{msg} eq $msg } $relay->log });
}

my ($old, $new) = ($node->public_key, $node->public_key($new_key));
write_keys($old);
my $relay = $node->relay(TELNYX_PUBLIC_KEYS => "\@$keys");
is(deliver_with($relay), 200, 'a relay with one key takes what that key signed');
is(deliver_with($relay, $new_key), 401, 'and not what another one signed');
write_keys($old, $new);
ok(reload($relay, 'keys loaded'), 'it reads the file again after SIGHUP');
is(deliver_with($relay), 200, 'with two keys it takes the old one');
is(deliver_with($relay, $new_key), 200, 'and the new one');
is($node->psql("SELECT count(DISTINCT key_id) FROM omnimsg.events WHERE event_type = 'message.received'"), 2,
	'and the journal says which of them verified');
write_keys('not a key');
ok(reload($relay, 'keys not reloaded, the old ones stay'), 'a broken key file is refused');
is(deliver_with($relay, $new_key), 200, 'and the keys of before stay');
write_keys($new);
ok(reload($relay, 'keys loaded'), 'the old key is taken away');
is(deliver_with($relay), 401, 'and no longer taken');
is(deliver_with($relay, $new_key), 200, 'while the new one is');

done_testing;
