# Keys change under load.  The provider's: a new one is added, both are in force, the old one is taken away, and what
# is signed rightly is never refused, while what the old one signs is from then on.  Ours: the file of the API key is
# swapped, spoilt and half written while the worker sends.

use strict;
use warnings;

use List::Util qw(max);
use Omnimsg;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $rotations = $ENV{OMNIMSG_ROTATIONS} // 10;
my $rate = $ENV{OMNIMSG_RATE} // 200;
my $swaps = $ENV{OMNIMSG_SWAPS} // 60;
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));
diag("seed $seed");
srand($seed);

my $api_key = 'KEY-of-the-simulator';
my $node = Omnimsg->new(simulator => [ '--api-key', $api_key ]);
my $made = $node->seed;
my $keys = $node->dir . '/keys';

sub put
{
	my ($path, $text, $mode) = @_;

	open my $handle, '>', $path or die "$path: $!";
	print {$handle} $text;
	close $handle or die "$path: $!";
	chmod $mode, $path if defined $mode;
	return;
}

# ---- the keys of the provider ----

my @public = map { $node->public_key($node->dir . "/signing-$_") } 0 .. $rotations;

put($keys, "$public[0]\n");
my $relay = $node->relay(TELNYX_PUBLIC_KEYS => "\@$keys");
my $url = $relay->url;
ok($node->wait_until(sub { $node->request(GET => '/readyz', url => $url)->{status} == 200 }), 'a relay with one key gets ready');

sub lines
{
	my ($msg) = @_;

	return scalar(() = $relay->log($msg));
}

# reload(TEXT, MESSAGE): the file is replaced, and the relay told; how long until it says MESSAGE, without what it and this
# process only waited for a processor
sub reload
{
	my ($text, $msg) = @_;
	my $before = lines($msg);
	my ($begin, $own) = (time, $node->waited($$));
	my $had = $node->waits($relay->{pid});

	put("$keys.new", $text);
	rename "$keys.new", $keys or die "rename: $!";
	$relay->signal('HUP');
	$node->wait_until(sub { lines($msg) > $before }) or return 99;
	return max(0, time - $begin - $node->longest_wait($relay->{pid}, $had) - ($node->waited($$) - $own));
}

# The load of one key: the first half of it belongs to the time before the next one comes.
my $senders = 0;
sub start_sender
{
	my ($n) = @_;
	my $file = $node->dir . '/sender-' . $senders++;
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>', $file or POSIX::_exit(126);
		exec $node->simulator, 'send', '--webhook-url', "$url/webhooks/telnyx", '--key-file', $node->dir . "/signing-$n",
			'--from', '+15552000101', '--to', $made->{did}, '--text', 'Hello', '--attempts', 5, '--retry-backoff', '200,1000', '--parallel', 8,
			'--rate', $rate, '--repeat', $rate;
	}
	return [ $pid, $file ];
}

sub ended_sender
{
	my ($pid, $file) = @{ $_[0] };
	my %answers;

	waitpid $pid, 0;
	open my $handle, '<', $file or die "$file: $!";
	# 0 and 503 are of a machine that was away for seconds; such a delivery comes again
	/ http (\d+)/ and $1 !~ /\A(?:0|503)\z/ and $answers{$1}++ while <$handle>;
	return \%answers;
}

sub has_begun
{
	my ($sender) = @_;

	return $node->wait_until(sub { -s $sender->[1] });
}

my (%answers, $old_taken, $slowest);
my $kept = 0;
($old_taken, $slowest) = (0, 0);

my $sender = start_sender(0);
for my $n (1 .. $rotations)
{
	my ($old, $new) = @public[$n - 1, $n];

	has_begun($sender);
	reload("$old\n$new\n", 'keys loaded') < 99 or die 'the relay did not read its keys';
	my $next = start_sender($n);

	has_begun($next);
	# both are under way; something is wrong with a file that is put there meanwhile
	my $bad = ('', "$old\n" . substr($new, 0, 20), 'not a key', "\0" x 44, "$old\n" x 17)[$n % 5];
	$kept++ if reload($bad, 'keys not reloaded, the old ones stay') < 99;

	my $ended = ended_sender($sender);
	$answers{$_} += $ended->{$_} for keys %$ended;

	my $forged = $node->signed(from => '+15552000101', to => $made->{did}, text => 'STOP', key_file => $node->dir . '/signing-' . ($n - 1));
	my $seconds = reload("$new\n", 'keys loaded');
	$slowest = $seconds if $seconds > $slowest;
	$old_taken++ if $node->deliver($forged, url => $url)->{status} != 401;
	$sender = $next;
}
my $ended = ended_sender($sender);
$answers{$_} += $ended->{$_} for keys %$ended;

is(join(' ', map { "$_:$answers{$_}" } sort keys %answers), '200:' . $rate * ($rotations + 1),
	"in $rotations changes of the key under $rate deliveries a second all that was signed rightly was taken");
is($old_taken, 0, 'and nothing that a key signed which had been taken away');
cmp_ok($slowest, '<', 1, sprintf 'a second after SIGHUP at the latest (%.3f s)', $slowest);
is($kept, $rotations, 'a file with something wrong in it left the keys in force, and the log said so each time');
is($node->psql("SELECT count(*) || ' ' || count(DISTINCT key_id) FROM omnimsg.events WHERE event_type = 'message.received'"),
	$rate * ($rotations + 1) . ' ' . ($rotations + 1), 'the journal has all of them, and of each the key');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests"), 0, 'and no forged STOP has stopped anything');

# ---- our key at the provider ----

my $secret = $node->dir . '/secrets/simulator';
my $half = substr $api_key, 0, 10;
my %spoil = (
	'a new file in its place' => sub { put("$secret.new", "$api_key\n", 0600); own("$secret.new"); rename "$secret.new", $secret },
	'written in two halves' => sub { put($secret, $half); sleep 0.02; put($secret, "$api_key\n") },
	'empty for a moment' => sub { put($secret, ''); sleep 0.02; put($secret, "$api_key\n") },
	'readable by all, and of another key' => sub { put("$secret.new", "KEY-of-nobody\n", 0644); own("$secret.new"); rename "$secret.new", $secret },
	'half written, and left so' => sub { put($secret, $half) },
	'two lines' => sub { put($secret, "$api_key\nKEY-of-nobody\n") },
);

# the server's user is another than ours when we are root
my ($uid, $gid) = (stat $secret)[4, 5];
sub own { chown $uid, $gid, $_[0]; return }

my @numbers = map { sprintf '+1555200%04d', 2000 + $_ } 1 .. $swaps;

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$made->{organization}'");
# the worker has to have read it once
$node->queue($made, ['+15552001999']);
ok($node->wait_until(sub { $node->ledger(kind => 'post', to => '+15552001999') }), 'the worker sends with the key');
$spoil{'a new file in its place'}->();
for my $to (@numbers)
{
	my $how = (sort keys %spoil)[int(rand(keys %spoil))];

	$spoil{$how}->();
	$node->queue($made, [$to]);
}
my $waiting = "SELECT count(*) FROM omnimsg.outbox WHERE state <> 'sent' AND kind = 'notification'";
my $sent_spoilt = $node->wait_until(sub {
	utime undef, undef, $secret;	# half of a key that was left alone for ten seconds is a key
	return $node->psql($waiting) == 0;
}, 60 + $swaps);
ok($sent_spoilt, "while the file of the key was spoilt $swaps times in six ways everything was sent") or diag($node->psql(<<'SQL'));
SELECT state, last_error, count(*) FROM omnimsg.outbox GROUP BY 1, 2
SQL
my %posts;
$posts{ $_->{to} }++ for $node->ledger(kind => 'post');
is(scalar(grep { ($posts{$_} // 0) != 1 } @numbers), 0, 'each message once');
is(scalar(grep { ($_->{http} // 0) == 401 } $node->ledger(kind => 'post')), 0, 'and none with half of a key or with another');

done_testing;
