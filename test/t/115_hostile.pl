# A provider that means no good, or somebody who plays it: names that resolve into the network behind the server, certificates
# that prove nothing, answers without end.  Nothing forbidden is reached, nothing is taken for an answer that is
# none, the worker stays small, and other organizations are served meanwhile.
#
# Where that is possible the test runs in a network of its own, in which this machine has a public address, too.
# OMNIMSG_ROUNDS=100 repeats the answers, and compares how fast the others are with and without them, by turns.  What they
# then share is slots: their provider takes a second for each text, so that the processors, of which the providers of this
# test want more than the worker, have time left over.
# slow: providers that are waited for in vain

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp qw(tempdir);

# a public address, and two where clouds and companies keep what nobody outside may reach
my ($public, $metadata, $private) = ('1.2.3.4', '169.254.169.254', '10.9.8.7');

BEGIN
{
	# before anything is started; a process that may not do it stays where it is
	if (!$ENV{OMNIMSG_OWN_NETWORK} && $> == 0 && system("unshare -n ip link set lo up 2>/dev/null") == 0)
	{
		$ENV{OMNIMSG_OWN_NETWORK} = 1;
		exec 'unshare', '-n', 'sh', '-c', 'ip link set lo up && for a in 1.2.3.4 169.254.169.254 10.9.8.7; do ip address add "$a/32" dev lo; done; exec "$@"',
			'-', $^X, (map { "-I$_" } @INC), $0, @ARGV;
	}
}

use Hostile;
use Omnimsg;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = $ENV{OMNIMSG_ROUNDS} // 1;
my $own = $ENV{OMNIMSG_OWN_NETWORK};
my $name = 'api.example.test';
my $dir = tempdir('omnimsg-hostile-XXXXXX', TMPDIR => 1, CLEANUP => 1);

$public = '127.0.0.1' if !$own;
note($own ? 'in a network of its own' : 'without a network of its own: this machine stands for a public host');
chmod 0755, $dir;
system('cp', dirname(__FILE__) . '/../../build/resolve.so', "$dir/resolve.so") == 0 or die 'cp';

# ---- what the provider answers ----

my (%manners, @cases);

# number(N): a person's; each case has its own
sub number { return sprintf '+1555200%04d', 1000 + $_[0] }

# what it does => [outbox and message afterwards, last_error]; those that are to be sent later are queued
my $redirect = 'redirects are not followed: ';
for my $case (
	# the first one is asked for more often, for it takes a slot for long
	['silent', 'unknown', qr/Timeout/, 'it says nothing'],
	['close', 'unknown', qr/nothing/i, 'it closes without an answer'],
	['reset', 'unknown', qr/./, 'it breaks off when it has read the request'],
	['reset_in_answer', 'unknown', qr/./, 'it breaks off in its answer'],
	['drip', 'unknown', qr/Timeout/, 'a body of a byte per second'],
	['drip_headers', 'unknown', qr/Timeout/, 'a header of a byte per second'],
	['huge', 'unknown', qr/./, 'a body of 10 GB'],
	['huge_chunks', 'unknown', qr/./, 'a body without end, in chunks'],
	['header_flood', 'unknown', qr/./, 'headers without end'],
	['long_header', 'unknown', qr/./, 'a header without end'],
	['endless_1xx', 'unknown', qr/./, 'hints without end'],
	['endless_100', 'unknown', qr/./, 'continue without end'],
	['bomb', 'unknown', qr/./, 'a body that gzip blows up'],
	['bad_json', 'unknown', qr/./, 'half of a JSON object'],
	['deep_json', 'unknown', qr/./, 'JSON of 60 000 levels'],
	['no_http', 'unknown', qr/./, 'another protocol'],
	['negative_length', 'unknown', qr/./, 'a body of less than nothing'],
	['switch', 'unknown', qr/./, 'a change of the protocol'],
	['redirect_home', 'unknown', qr/307/, $redirect . 'to this machine'],
	["302|Location: http://$metadata/latest/meta-data/", 'unknown', qr/302/, $redirect . 'to the metadata service'],
	['301|Location: file:///etc/passwd', 'unknown', qr/301/, $redirect . 'to a file'],
	['308|Location: gopher://127.0.0.1:25/_x', 'unknown', qr/308/, $redirect . 'to another protocol'],
	['500', 'unknown', qr/500/, '500'],
	['502', 'unknown', qr/502/, '502'],
	['503', 'unknown', qr/503/, '503 of a proxy'],
	['503|{"errors":[{"code":"10016","title":"Unavailable"}]}', 'queued', qr/Unavailable/, '503 of the API'],
	['504', 'unknown', qr/504/, '504'],
	['429', 'queued', qr/429/, '429'],
	['429|Retry-After: -5', 'queued', qr/429/, '429 for less than no time'],
	['429|Retry-After: 99999999999999999999', 'queued', qr/429/, '429 for ever'],
	['429|Retry-After: Thu, 01 Jan 1970 00:00:00 GMT', 'queued', qr/429/, '429 until a day long ago'],
	['429|Retry-After: Fri, 31 Dec 9999 23:59:59 GMT', 'queued', qr/429/, '429 for eight thousand years'],
	['403|{"errors":[{"code":"40300","title":"Blocked due to STOP message"}]}', 'suppressed', qr/STOP|opted out/, 'a block'],
	# what it says is logged, and logs are read in terminals
	['400|{"errors":[{"code":"40310","title":"Invalid\u001b[2J\r\u007f!"}]}', 'failed', qr/Invalid \[2J  !$/, 'a refusal with control characters'],
	['200|{"data":{"id":"x"},"errors":[{"code":"1"}]}', 'unknown', qr/./, 'an acceptance with errors'])
{
	my ($manner, @rest) = @$case;

	push @cases, { to => number(scalar @cases), manner => $manner, state => $rest[0], error => $rest[1], title => $rest[2] };
	$manners{ $cases[-1]{to} } = $manner;
}

# those of the others find a provider that is well; its manners go by the beginning of their numbers
my @tenants = 1 .. 5;
my $texts = $rounds > 1 ? 100 : 20;
my $turns = $rounds < 8 ? $rounds : 8;
if ($rounds > 1)
{
	$manners{ '+1555' . (3 + $_) } = 'late' for @tenants;
}

my $hostile = Hostile->new(address => $public, name => $name, dir => $dir, manners => \%manners);
my $forbidden = 'http://127.0.0.1:' . $hostile->port('forbidden');

if ($own)
{
	$hostile->forbid('metadata', $metadata, 80);
	$hostile->forbid('private', $private, 443);
}

# names(NAME => [MS, ADDRESSES], ...): what the name server says from now on
sub names
{
	my (%names) = @_;

	open my $file, '>', "$dir/names.new" or die "names: $!";
	print {$file} join(' ', $_, @{ $names{$_} }) . "\n" for sort keys %names;
	close $file;
	chmod 0644, "$dir/names.new";
	rename "$dir/names.new", "$dir/names" or die "names: $!";
	return;
}

my %names = ($name => [0, $public]);

names(%names);
# where the environment wants the keys of TLS to be written
open my $keys, '>', "$dir/keys" or die "keys: $!";
chmod 0666, "$dir/keys";
my $node = Omnimsg->new(env => {
	LD_PRELOAD => "$dir/resolve.so", OMNIMSG_NAMES => "$dir/names",
	(map { $_ => $forbidden } qw(http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY)),
	no_proxy => '', NO_PROXY => '', SSLKEYLOGFILE => "$dir/keys",
});
# what the worker has of the buffers that all share counts as its memory, and grows with what the database has seen
$node->psql("ALTER SYSTEM SET shared_buffers = '16MB'");
$node->stop_postgres;
$node->start;
my $made = $node->seed;
my $organization = $made->{organization};

# tenant(N): another organization with a number of its own, as seed() makes the first
sub tenant
{
	my ($n) = @_;
	my %tenant = (organization => sprintf('11111111-1111-7111-8111-%012d', $n), did => sprintf('+1555300%04d', $n));

	$node->psql(<<"SQL");
INSERT INTO omnimsg.organizations (id, name, consent_policy) VALUES ('$tenant{organization}', 'Tenant $n', 'implied');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	VALUES ('$tenant{did}', '$tenant{organization}', 'telnyx', '$made->{provider_account}');
SQL
	return \%tenant;
}

sub worker { return $node->psql('SELECT pid FROM omnimsg_worker_status()') }

# item(NUMBER): a query for the state of the latest text to it and what was wrong
sub item
{
	return "SELECT o.state || '|' || coalesce(o.last_error, '') FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
		WHERE m.to_number = '$_[0]' ORDER BY o.id DESC LIMIT 1";
}

# memory(): the most that the worker ever had, in kB
sub memory
{
	open my $status, '<', '/proc/' . worker() . '/status' or return;
	my ($kb) = join('', readline $status) =~ /^VmHWM:\s+(\d+)/m;
	return $kb;
}

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization'");
$node->setting('omnimsg.ca_file', "$dir/ca.pem");
$node->setting('fsync', 'off');
$node->setting('omnimsg.reconcile_after', '1h');
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.max_in_flight', $rounds > 1 ? 32 : 16);
$node->setting('omnimsg.allow_loopback', $own ? 'off' : 'on');
my @made = map { tenant($_) } @tenants;

# provider(NAME, HOST): which of them the worker speaks to from now on
sub provider
{
	my ($url) = @_;

	# a worker in the midst of a round still sends what comes to where it has sent before
	$node->setting('omnimsg.dispatch', 'off');
	$node->poll('SELECT state FROM omnimsg_worker_status()', 'off') or die 'the worker does not rest';
	$node->setting('omnimsg.telnyx_api_base', $url);
	$node->setting('omnimsg.dispatch', 'on');
	return;
}

# ---- in good health ----

provider($hostile->url('well'));
$node->queue($made, [number(900)]);
ok($node->poll(item(number(900)), 'sent|'), 'with the right name, address and certificate a text is sent');
is(scalar($hostile->seen('well', 'request')), 1, 'over TLS');

# ---- before the request: it is not sent, and sent later ----

my @unsent;

# not_sent(N, URL, QR, TITLE): a text while the provider is there
sub not_sent
{
	my ($n, $url, $error, $title) = @_;
	my $to = number(800 + $n);
	my $found;

	push @unsent, $to;
	provider($url);
	$node->queue($made, [$to]);
	ok($node->wait_until(sub { ($found = $node->psql(item($to))) =~ /\Aqueued\|.*$error/ }), "$title: not sent") or diag($found);
	return;
}

my $not_public = qr/not public/;
my $n = 0;

# other names: libcurl remembers the addresses of one for a minute
%names = (%names,
	'mapped.example.test' => [0, '::ffff:10.9.8.7', '::ffff:127.0.0.1', 'fd00::1', 'fe80::1', '64:ff9b::a9fe:a9fe'],
	'private.example.test' => [0, $private], 'metadata.example.test' => [0, $metadata],
	'shared.example.test' => [0, '100.64.1.1'], 'nowhere.example.test' => [0, '0.0.0.0'],
	'rebound.example.test' => [0, $own ? ($public, '127.0.0.1') : ($private, '::ffff:169.254.169.254')],
	'home.example.test' => [0, '127.0.0.1', '::1'], 'slow.example.test' => [20000, $public], 'gone.example.test' => [0]);
names(%names);
my $port = $hostile->port('forbidden');

not_sent($n++, 'https://private.example.test', $not_public, 'a name with a private address');
not_sent($n++, 'https://metadata.example.test:80', $not_public, 'a name with the address of the metadata service');
not_sent($n++, 'https://shared.example.test', $not_public, 'a name behind a carrier\'s NAT');
not_sent($n++, 'https://nowhere.example.test', $not_public, 'a name with no address');
not_sent($n++, 'https://mapped.example.test', $not_public, 'a name with private addresses of IPv6, and of IPv4 in them');
not_sent($n++, "https://rebound.example.test:$port", $not_public, 'a name that turns to a forbidden address after the first');
not_sent($n++, "https://$private", $not_public, 'a private address without a name');
my $open = "SELECT count(*) FROM omnimsg_health() WHERE finding ~ 'may speak to this machine'";
ok($node->poll($open, $own ? 0 : 1), 'omnimsg_health() warns of what is for tests');
$node->setting('omnimsg.allow_loopback', 'off');
ok($node->poll($open, 0), 'and not of what is as it should be');
not_sent($n++, "https://home.example.test:$port", $not_public, 'a name of this machine');
not_sent($n++, "https://localhost:$port", $not_public, 'this machine by its name');
not_sent($n++, "http://127.0.0.1:$port", qr/plain http is for tests/, 'this machine without TLS');
$node->setting('omnimsg.allow_loopback', $own ? 'off' : 'on');
not_sent($n++, 'https://gone.example.test', qr/resolve/, 'a name that nobody knows');
not_sent($n++, $hostile->url('expired'), qr/certificate|SSL/, 'a certificate that has expired');
not_sent($n++, $hostile->url('other_host'), qr/certificate|SSL/, 'a certificate for another name');
not_sent($n++, $hostile->url('self_signed'), qr/certificate|SSL/, 'a certificate that vouches for itself');
not_sent($n++, $hostile->url('stranger'), qr/certificate|SSL/, 'a certificate of an authority that nobody trusts');
not_sent($n++, $hostile->url('old_tls'), qr/SSL/, 'TLS 1.1');
not_sent($n++, $hostile->url('plain'), qr/SSL/, 'no TLS');
not_sent($n++, $hostile->url('resets'), qr/./, 'a connection that is reset at once');
not_sent($n++, $hostile->url('resets_hello'), qr/./, 'one that is reset in the handshake');
not_sent($n++, $hostile->url('mute'), qr/Timeout|SSL/, 'one on which nobody speaks');
not_sent($n++, $hostile->url('black_hole'), qr/Timeout/, 'packets that nobody answers');

# ---- a name server that does not answer ----

# what waits is left out: a worker that is told to end does not know what became of a text that it had begun to send
my $unsent = "FROM omnimsg.messages m WHERE m.id = o.message_id AND m.to_number IN (" . join(',', map { "'$_'" } @unsent) . ')';
ok($node->wait_until(sub {
	$node->psql("UPDATE omnimsg.outbox o SET next_attempt_at = now() + interval '1 hour' $unsent AND o.state = 'queued'");
	return $node->psql("SELECT count(*) FROM omnimsg.outbox o WHERE (o.state <> 'queued' OR o.next_attempt_at < now() + interval '30 minutes') AND EXISTS (SELECT $unsent)") == 0;
}), 'nothing of what was not sent is under way');

# so many at once that each could have a thread
provider('https://slow.example.test');
$node->queue($made, [map { number(700 + $_) } 1 .. 12]);
my %masks;
ok($node->wait_until(sub {
	my $pid = worker();

	for my $file (glob "/proc/$pid/task/*/status")
	{
		my ($task) = $file =~ m{task/(\d+)};
		open my $status, '<', $file or next;
		my ($blocked) = join('', readline $status) =~ /^SigBlk:\s+([0-9a-f]+)/m;
		$masks{$task} = $blocked if $task != $pid;
	}
	return %masks > 1;
}), 'each look-up of a name that hangs has a thread of its own in the worker');
# HUP, INT, QUIT, USR1, USR2, PIPE, ALRM, TERM, CHLD, URG
my $all = 0;
$all |= 1 << $_ - 1 for 1, 2, 3, 10, 12, 13, 14, 15, 17, 23;
is(scalar(grep { (hex(substr $_, -8) & $all) != $all } values %masks), 0, 'which no signal handler of PostgreSQL runs on');
my %timed_out;	# one after the other: of what is tried again nothing is said meanwhile
ok($node->wait_until(sub {
	$timed_out{$_} = 1 for split /\n/, $node->psql("SELECT m.to_number FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
		WHERE m.to_number BETWEEN '${\ number(701)}' AND '${\ number(712)}' AND o.state = 'queued' AND o.last_error LIKE 'Timeout%'");
	return keys %timed_out == 12;
}, 60),
	'a name server that does not answer: not sent');
is($node->psql(sprintf 'SELECT pg_terminate_backend(%d, 10000)', worker()), 't', 'and a worker ends in spite of it');
$node->wait_until(sub { worker() });

# ---- what it answers ----

provider($hostile->url('well'));
$node->psql("UPDATE omnimsg.outbox o SET next_attempt_at = now() $unsent");
ok($node->wait_until(sub {
	# each time that the machine is too slow they would wait longer
	$node->psql("UPDATE omnimsg.outbox o SET next_attempt_at = now() $unsent AND o.state = 'queued' AND o.next_attempt_at > now()");
	sleep 1;
	return $node->psql("SELECT count(*) FROM omnimsg.outbox o WHERE o.state <> 'sent' AND EXISTS (SELECT $unsent)") == 0;
}, 60), 'what was not sent is sent once the provider is well')
	or diag($node->psql("SELECT m.to_number, o.state, o.attempts, o.last_error FROM omnimsg.outbox o
		JOIN omnimsg.messages m ON m.id = o.message_id WHERE o.state <> 'sent'"));
my %times;
$times{$_}++ for $hostile->seen('well', 'request');
is(scalar(grep { ($times{$_} // 0) != 1 } @unsent), 0, 'each once');

# everybody(): how long it takes until the texts of all others are sent, from one moment on
my $sent = 0;
sub everybody
{
	my $begin = $node->psql('SELECT clock_timestamp()');

	for my $i (0 .. $#made)
	{
		$node->queue($made[$i], [map { sprintf '+1555%d%02d%04d', 4 + $i, $sent, $_ } 1 .. $texts]);
	}
	$sent++;
	ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE organization_id <> '$organization' AND state <> 'sent'", 0, 120),
		'the texts of five other organizations are sent');
	return $node->psql("SELECT extract(epoch FROM max(sent_at) - '$begin') FROM omnimsg.messages WHERE organization_id <> '$organization'");
}

# hanging(): how many requests of the one are under way
sub hanging { return $node->psql("SELECT count(*) FROM omnimsg.outbox WHERE organization_id = '$organization' AND state IN ('leased', 'sending')") }

# pause(): nothing of it is under way, nor will be until resume() is called
sub pause
{
	$node->psql('CREATE TABLE IF NOT EXISTS paused AS SELECT o.organization_id, o.id, o.next_attempt_at FROM omnimsg.outbox o WHERE false');
	ok($node->wait_until(sub {
		$node->psql(<<"SQL");
WITH o AS (SELECT organization_id, id, next_attempt_at FROM omnimsg.outbox
		WHERE organization_id = '$organization' AND state = 'queued' AND next_attempt_at < now() + interval '10 hours' FOR UPDATE),
	kept AS (INSERT INTO paused SELECT * FROM o)
UPDATE omnimsg.outbox SET next_attempt_at = now() + interval '1 day' FROM o WHERE (outbox.organization_id, outbox.id) = (o.organization_id, o.id)
SQL
		return hanging() == 0;
	}), 'the one rests');
	return;
}

sub resume
{
	$node->psql(<<'SQL');
WITH p AS (DELETE FROM paused RETURNING *)
UPDATE omnimsg.outbox SET next_attempt_at = p.next_attempt_at FROM p WHERE (outbox.organization_id, outbox.id) = (p.organization_id, p.id);
SELECT pg_reload_conf()
SQL
	return;
}

my ($alone, $beside) = (0, 0);
# where it is a matter of rates; else those of the provider that answers slowly would be over as well
$node->setting('omnimsg.request_timeout', '5s') if $rounds > 1;
for my $turn (1 .. $turns)
{
	my %seconds;

	# another one first in each turn, for the machine may get slower
	for my $way ($rounds == 1 ? 'beside' : $turn % 2 ? ('alone', 'beside') : ('beside', 'alone'))
	{
		if ($way eq 'alone')
		{
			pause();
			$seconds{alone} = everybody();
			resume();
			next;
		}
		# some more that hang before and after, so that there is no slot that they would not take
		$node->queue($made, [map { $cases[0]{to} } 1 .. 8]);
		$node->queue($made, [map { $_->{to} } @cases], expires => '3 hours') for 1 .. int($rounds * $turn / $turns) - int($rounds * ($turn - 1) / $turns);
		$node->queue($made, [map { $cases[0]{to} } 1 .. 20]) if $rounds > 1;
		$seconds{beside} = everybody();
		my $hanging = hanging();
		cmp_ok($hanging, '>', 0, "while $hanging of one other's hang");
	}
	next if $rounds == 1;
	diag(sprintf 'turn %d: alone %.1f s, beside it %.1f s', $turn, @seconds{qw(alone beside)});
	$alone += $seconds{alone};
	$beside += $seconds{beside};
}
cmp_ok($alone / $beside, '>=', 0.9, sprintf 'they keep nine tenths of their rate: %.2f', $alone / $beside) if $rounds > 1;

for my $case (@cases)
{
	my $found;
	my $of = "FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$case->{to}'";
	my $ends = $case->{state} eq 'queued' ? "o.state = 'queued' AND o.last_error IS NOT NULL" :
		$case->{state} eq 'suppressed' ? "o.state = 'suppressed'" : "o.state = '$case->{state}'";

	ok($node->poll("SELECT count(*) FILTER (WHERE NOT ($ends)) $of", 0, 60 + 60 * $rounds), "$case->{title}: $case->{state}")
		or diag($node->psql("SELECT o.state, o.attempts, o.last_error $of"));
	# while it is tried again nothing is said
	ok($node->wait_until(sub { ($found = $node->psql(item($case->{to}))) =~ /\|.*$case->{error}/ }), 'and it says why') or diag($found);
}
my %asked;
$asked{$_}++ for $hostile->seen('well', 'request');
is(scalar(grep { $_->{state} ne 'queued' && $_->{state} ne 'suppressed' && $_->{manner} ne 'silent' && $asked{ $_->{to} } != $rounds } @cases), 0,
	'what is not to be sent again is not');
like($node->psql(<<"SQL"), qr/\A[34]\d\d\d\z/, 'no provider puts a text off for longer than an hour');
SELECT ceil(extract(epoch FROM max(o.next_attempt_at) - now())) FROM omnimsg.outbox o WHERE o.state = 'queued'
SQL

# ---- all in all ----

is(join(' ', $hostile->seen($_, 'connection')), '', "nothing came to the place called $_")
	for 'forbidden', $own ? qw(metadata private) : ();
is(join(' ', $hostile->seen($_, 'request')), '', "no request came to the provider called $_")
	for qw(expired other_host self_signed stranger old_tls plain);
my @whole = $hostile->seen('well', 'whole');
my @resumed = $hostile->seen('well', 'resumed');
my @too_old = grep { my $at = $_; !grep { $_ <= $at && $_ > $at - 35 } @whole } @resumed;
ok(@resumed > 0 && $resumed[-1] - $whole[0] > 35, 'connections resume the session of an earlier one, all the time');
is(scalar @too_old, 0, 'and none a session that began more than half a minute before');
diag(scalar(@whole) . ' whole handshakes, ' . @resumed . ' resumed ones');
ok(!-s "$dir/keys", 'the keys of TLS are in no file');
my $memory = memory();
cmp_ok($memory, '<', 64 * 1024, sprintf 'the worker never had 64 MB: %d kB', $memory);

done_testing;
