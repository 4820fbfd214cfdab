# Disks get full: that of the spool, that of pg_wal, and both at once; or a flush fails, or takes long.  Nothing that was answered 200 is lost, what
# cannot be kept is answered 503, and with space everything goes on by itself (a server that has stopped
# for want of space is started again, as its service manager would do).
#
# OMNIMSG_DISKS=N draws N more times that a disk gets full and free again, of a kind that the seed says (OMNIMSG_SEED).
#
# Small file systems are mounted for it, which takes root.

use strict;
use warnings;

use Cwd qw(realpath);
use File::Basename qw(dirname);
use Omnimsg;
use Test::More;
use Time::HiRes qw(time);

my (@mounts, $node);

END
{
	my $status = $?;

	if (@mounts)
	{
		eval { $node->stop };
		system 'umount', $_ for @mounts;
	}
	$? = $status;
}

$node = Omnimsg->new;
my $made = $node->seed;
my $place = dirname(realpath($node->dir . '/data'));
my $bound = 1.8;
my $cycles = $ENV{OMNIMSG_DISKS} || 0;
my $seed = $ENV{OMNIMSG_SEED} // int rand 2**31;
my (@kept, @refused);

# small(NAME, SIZE): a file system of that size
sub small
{
	my ($name, $size) = @_;
	my $where = "$place/$name";

	mkdir $where or die "$where: $!";
	if (system('mount', '-t', 'tmpfs', '-o', "size=$size,mode=0755", 'tmpfs', $where) != 0)
	{
		fail('a small file system can be mounted (the test must run as root, and where that is allowed)');
		done_testing;
		exit 1;
	}
	push @mounts, $where;
	return $where;
}

sub private
{
	my ($where) = @_;

	mkdir $where or die "$where: $!";
	chmod 0700, $where;
	return $where;
}

# fill(WHERE, LEAVE): but for so many bytes
sub fill
{
	my ($where, $leave) = @_;

	open my $filler, '>', "$where/filler" or die $!;
	1 while syswrite $filler, "\0" x 65536;
	1 while syswrite $filler, "\0" x 512;
	truncate $filler, (-s $filler) > $leave ? (-s $filler) - $leave : 0 if $leave;
	close $filler;
	return;
}

sub empty
{
	my ($where) = @_;

	unlink "$where/filler" or die $!;
	return;
}

sub metric
{
	my ($name, $url) = @_;

	return $node->request(GET => '/metrics', url => $url)->{body} =~ /^omnimsg_relay_\Q$name\E (\S+)$/m ? $1 : undef;
}

# a delivery with a long text, so that disks get full of it; remembers what it was answered
my $count = 0;
sub deliver
{
	my ($url, $length) = @_;
	my $id = 'disk-' . ++$count;
	my $answer = $node->deliver($node->signed(from => '+15552000101', to => $made->{did},
			text => 'x' x ($length // 10), message_id => $id), url => $url);

	push @{ $answer->{status} == 200 ? \@kept : \@refused }, $id;
	cmp_ok($answer->{seconds}, '<', $bound, 'an answer in time') if $answer->{seconds} >= $bound;
	fail("an answer that is neither 200 nor 503, but $answer->{status}") if $answer->{status} !~ /\A(?:200|503)\z/;
	return $answer->{status};
}

sub all_kept
{
	return $node->poll("SELECT count(*) FROM unnest(ARRAY['" . join("','", @kept) . "']) AS w (id)
		WHERE NOT EXISTS (SELECT FROM omnimsg.messages m WHERE m.external_message_id = w.id)", 0);
}

sub spool_is_empty
{
	my ($url) = @_;

	return $node->wait_until(sub { (metric('spool_deliveries', $url) // 1) == 0 }, 10);
}

# ---- the spool's file system ----

my $small = small('small', '4m');
my $socket = $node->dir . '/socket-here';
my $alone = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => private("$small/spool") . '/spool.db',
	DATABASE => "host=$socket port=5432 dbname=omnimsg user=omnimsg_relay");
my $url = $alone->url;

is(deliver($url), 200, 'without a database a delivery is spooled');
fill($small);
is(deliver($url), 503, 'when the file system of the spool is full it is answered 503');
is(deliver($url), 503, 'and so is the next');
is($node->request(GET => '/healthz', url => $url)->{status}, 200, 'the relay lives');
empty($small);
is(deliver($url), 200, 'with space again the next one is kept');

my $status;
for (1 .. 60)
{
	$status = deliver($url, 100_000);
	last if $status != 200;
}
is($status, 503, 'by and by the spool itself fills the file system');
cmp_ok(metric('spool_refused_total', $url), '>=', 3, 'and counts what it refuses');
is(metric('spool_failed', $url), 0, 'which is no failure');
fill($small);
symlink $node->env('PGHOST'), $socket or die $!;
ok(all_kept(), 'with a database all of it goes there, even when the disk is so full that nothing can be deleted');
empty($small);
ok(spool_is_empty($url), 'the full spool empties within 10 seconds of there being space');
is(deliver($url), 200, 'and deliveries are taken');

# the file has its size, and nothing in it
unlink $socket or die $!;
$node->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'omnimsg_relay'");
my $again = 0;
$again++ while $again < 60 && deliver($url, 100_000) == 200;
cmp_ok($again, '>=', 10, "when the database is gone once more the spool takes what it took before ($again deliveries)");
symlink $node->env('PGHOST'), $socket or die $!;
ok(all_kept() && spool_is_empty($url), 'and gives it to the database');
$alone->signal('TERM');
is($alone->ended, 0, 'the relay ends as it should');

# ---- a flush that fails ----

{
	my $failing = private("$place/failing");
	my ($code, @answers) = (200);

	unlink $socket or die $!;
	local @ENV{qw(LD_PRELOAD FAIL_CALL FAIL_AT FAIL_DIR FAIL_ARMED)} =
		($node->simulator =~ s/omnimsg-simulator$/fail.so/r, 'sync', 15, $failing, 1);
	my $unlucky = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$failing/spool.db",
		DATABASE => "host=$socket port=5432 dbname=omnimsg user=omnimsg_relay");
	delete @ENV{qw(LD_PRELOAD FAIL_CALL FAIL_AT FAIL_DIR FAIL_ARMED)};
	$url = $unlucky->url;
	for (1 .. 20)
	{
		push @answers, $code = deliver($url);
		last if $code != 200;
	}
	cmp_ok(scalar @answers, '>', 2, 'deliveries are spooled');
	is($code, 503, 'until a flush of the disk fails');
	is(deliver($url), 503, 'from then on the spool takes nothing, though the next flush would not fail') for 1 .. 3;
	is(metric('spool_failed', $url), 1, 'the metrics say so');
	is(scalar(grep { $_->{level} eq 'error' && $_->{msg} =~ /the spool has failed/ } $unlucky->log), 1, 'and the log, once');
	symlink $node->env('PGHOST'), $socket or die $!;
	ok(spool_is_empty($url), 'what it has goes into the database when that is back');
	ok(all_kept(), 'all that was answered 200');
	unlink $socket or die $!;
	$unlucky->signal('TERM');
	is($unlucky->ended, 0, 'the relay ends as it should');
	my $again = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$failing/spool.db",
		DATABASE => "host=$socket port=5432 dbname=omnimsg user=omnimsg_relay");
	is(deliver($again->url), 200, 'another one on the same file takes deliveries again');
	symlink $node->env('PGHOST'), $socket or die $!;
	ok(spool_is_empty($again->url), 'and replays them');
}

# ---- a disk that takes its time ----

{
	my $slow = private("$place/slow");
	my @names = qw(LD_PRELOAD FAIL_SLOW_MS FAIL_DIR FAIL_ARMED);
	my $maker = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$slow/spool.db");

	# to make the file takes many flushes; those of its directory are not slow
	$maker->url;
	$maker->signal('TERM');
	$maker->ended;
	local @ENV{@names} = ($node->simulator =~ s/omnimsg-simulator$/fail.so/r, 20_000, "$slow/spool.db", 1);
	my $patient = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$slow/spool.db",
		DATABASE => 'host=/nowhere port=5432 dbname=omnimsg user=omnimsg_relay');
	delete @ENV{@names};
	$url = $patient->url;
	for (1 .. 2)
	{
		my $answer = $node->deliver($node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello'), url => $url, pid => $patient->{pid});

		is($answer->{status}, 503, 'what a slow disk has not flushed in time is answered 503');
		cmp_ok($answer->{seconds}, '<', 2, 'before the provider gives up');
	}
	is($node->request(GET => '/metrics', url => $url)->{status}, 200, 'nothing else waits for the disk');
}

# ---- that of pg_wal, and one that a second relay's spool shares with it ----

my $wal = small('wal', '112m');
my $own = $node->env('OMNIMSG_RELAY_URL');

$node->stop_postgres;
# not across file systems by rename
system("cp -a '$place/data/pg_wal' '$wal/pg_wal' && rm -rf '$place/data/pg_wal' && ln -s '$wal/pg_wal' '$place/data/pg_wal'") == 0
	or die 'pg_wal could not be moved';
$node->start;
my $shared = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => private("$wal/spool") . '/spool.db');
my $shared_url = $shared->url;
ok($node->wait_until(sub { deliver($own) == 200 && deliver($shared_url) == 200 }), 'with pg_wal on a small disk deliveries are taken');
ok($node->wait_until(sub { metric('database_connections', $shared_url) > 0 }), 'the second relay is connected');

# goes_down(): what is written, until it cannot be
sub goes_down
{
	return $node->wait_until(sub {
		$node->psql_error('SELECT pg_switch_wal(); CREATE TABLE IF NOT EXISTS public.filler AS SELECT 1; DROP TABLE public.filler');
		return !$node->running($node->postmaster_pid || 0);
	}, 30);
}

fill($wal);
ok(goes_down(), 'when pg_wal is full the server goes down, and stays down');
is(deliver($own), 200, 'the relay whose spool is elsewhere goes on') for 1 .. 5;
is(deliver($shared_url), 503, 'the one whose spool is on the same disk can keep nothing: 503') for 1 .. 5;
empty($wal);
is(deliver($shared_url), 200, 'with space again it goes on by itself');
$node->start;
for ([ $own, 'one' ], [ $shared_url, 'other' ])
{
	my ($relay, $which) = @$_;

	ok(spool_is_empty($relay), "once the server is back the spool of the $which relay is empty within 10 seconds");
	is(deliver($relay), 200, 'and it takes deliveries');
}

# ---- again and again ----

my ($roaming, $tight);

# without the database for a third relay, whose spool is on a disk of its own
sub cut_off
{
	unlink $socket or die $!;
	$node->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'omnimsg_relay'");
	return;
}

sub reconnect
{
	symlink $node->env('PGHOST'), $socket or die $!;
	return;
}

sub some { deliver($_[0], int rand 20_000) for 1 .. 1 + rand 5; return }

my %kinds = (
	'the disk of the spool' => sub {
		cut_off();
		some($roaming);
		fill($tight, int rand 50_000);
		some($roaming);
		fill($tight);
		is(deliver($roaming), 503, 'without space 503');
		empty($tight);
		is(deliver($roaming), 200, 'with space 200');
		reconnect();
	},
	'the spool, by what it takes' => sub {
		my $status;

		cut_off();
		$node->wait_until(sub { ($status = deliver($roaming, 60_000 + int rand 60_000)) != 200 }, 60);
		is($status, 503, 'when the spool is full 503');
		reconnect();
		# replaying makes room, but in the file: the disk stays full for a while
		fill($tight) if rand 2 < 1;
	},
	'pg_wal' => sub {
		fill($wal, int rand 4_000_000);
		for (1 .. 20)
		{
			deliver($own, 20_000);
			deliver($shared_url, 20_000);
			last if !$node->running($node->postmaster_pid || 0);
		}
		fill($wal);
		ok(goes_down(), 'the server goes down');
		is(deliver($own), 200, 'the relay whose spool is elsewhere goes on');
		is(deliver($shared_url), 503, 'the other can keep nothing');
		empty($wal);
		is(deliver($shared_url), 200, 'until there is space');
		$node->start;
	},
	'pg_wal and the spool' => sub {
		fill($wal);
		fill($tight);
		ok(goes_down(), 'the server goes down');
		is(deliver($_), 503, 'no place is left') for $shared_url, $roaming;
		is(deliver($own), 200, 'but that of the third');
		empty($tight);
		is(deliver($roaming), 200, 'the spool has space');
		empty($wal);
		is(deliver($shared_url), 200, 'and the other one');
		$node->start;
	},
);

if ($cycles)
{
	my @names = sort keys %kinds;

	srand $seed;
	diag("seed $seed (OMNIMSG_SEED=$seed repeats it), $cycles times full and free");
	$node->psql("ALTER SYSTEM SET max_wal_size = '48MB'");
	$node->setting('min_wal_size', '32MB');
	$tight = small('tight', '4m');
	my $relay = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => private("$tight/roaming") . '/spool.db',
		DATABASE => "host=$socket port=5432 dbname=omnimsg user=omnimsg_relay");
	$roaming = $relay->url;
	for my $n (1 .. $cycles)
	{
		my $kind = $names[rand @names];

		note("$n: $kind");
		$kinds{$kind}->();
		ok($node->poll('SELECT 1', 1), "$n, $kind: the database is there");
		empty($tight) if -e "$tight/filler";
		ok(spool_is_empty($_), "$n, $kind: within 10 seconds a spool is empty") for $own, $shared_url, $roaming;
		ok(all_kept(), "$n, $kind: nothing that was answered 200 is lost");
		is(deliver($_), 200, "$n, $kind: deliveries are taken") for $own, $shared_url, $roaming;
		$node->psql('CHECKPOINT');
	}
}

ok(all_kept(), scalar(@kept) . ' deliveries were answered 200, and all are in the database');
cmp_ok(scalar @refused, '>=', 8, scalar(@refused) . ' were answered 503');
$shared->signal('TERM');
is($shared->ended, 0, 'the second relay ends as it should');

done_testing;
