# Deliveries wait in the relay's spool while the database does not take them, and go into it when it does.

use strict;
use warnings;

use Fcntl qw(:flock);
use IO::Select;
use IO::Socket::UNIX;
use JSON::PP qw(decode_json);
use MIME::Base64 qw(decode_base64);
use Omnimsg;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $node = Omnimsg->new;
my $made = $node->seed;
my $spool = $node->dir . '/data/../spool/relay.db';
my $program = $node->simulator =~ s/simulator$/relay/r;
my $bound = 1.8;
# nobody loses power here, and a server that starts anew must not keep the disk from the spool
$node->setting('fsync', 'off');

sub fresh
{
	return $node->signed(from => '+15552000101', to => $made->{did}, text => 'Hello', @_);
}

sub metric
{
	my ($name, $url) = @_;
	my $page = $node->request(GET => '/metrics', $url ? (url => $url) : ())->{body};

	return $page =~ /^omnimsg_relay_\Q$name\E (\S+)$/m ? $1 : undef;
}

sub stored
{
	my ($id) = @_;

	return "SELECT count(*) FROM omnimsg.messages WHERE external_message_id = '$id'";
}

sub spool_is_empty
{
	my ($url, $timeout) = @_;

	return $node->wait_until(sub { (metric('spool_deliveries', $url) // 1) == 0 }, $timeout);
}

sub relay_says
{
	return $node->_run($program, @_);
}

# ---- without a database ----

is(metric('spool_enabled'), 1, 'the instance has a spool');
$node->stop_postgres;
my @down = map { fresh(message_id => "down-$_") } 1 .. 5;
for my $delivery (@down)
{
	my $answer = $node->deliver($delivery);

	is($answer->{status}, 200, 'without a database a delivery is answered 200');
	cmp_ok($answer->{seconds}, '<', $bound, 'in time');
}
is(metric('spool_deliveries'), 5, 'all of them wait in the spool');
cmp_ok(metric('spool_bytes'), '>', 0, 'which knows its size');
ok($node->wait_until(sub { metric('spool_oldest_seconds') >= 1 }), 'and how old the oldest is');
is($node->request(GET => '/readyz')->{status}, 503, 'the relay is not ready all the same, for that is about the database');

my ($status, $out) = relay_says('--spool-status', $spool);
is($status, 0, '--spool-status works beside the relay');
like($out, qr/^deliveries +5$/m, 'and counts them');
unlike($out, qr/Hello|555/, 'without saying what is in them');
($status, $out) = relay_says('--spool-export', $spool);
is($status, 0, '--spool-export, too');
my @exported = map { decode_json($_) } split /\n/, $out;
is(join(' ', map { decode_base64($_->{body}) eq $down[$_->{n}]{body} ? 'same' : 'other' }
	map { +{ %{ $exported[$_] }, n => $_ } } 0 .. $#exported), 'same same same same same', 'it writes the bodies as they came');
is($exported[0]{signature}, $down[0]{signature}, 'with their signature');
is("$exported[0]{signed_at} $exported[0]{kind} $exported[0]{provider}", "$down[0]{timestamp} ingest telnyx", 'and what else ingest wants');

# ---- what is spooled stays ----

my @held = map { sprintf '%o', (stat "$spool$_")[2] & 07777 } '', '.lock', '-wal';
is("@held", '600 600 600', 'the files are nobody else\'s');
my $second = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => $spool);
is($second->ended, 1, 'a second relay does not start on the same spool');
like((grep { $_->{msg} eq 'cannot start' } $second->log)[0]{reason} // '', qr/another relay|somebody else/, 'and says why');

my $begun = time;
$node->kill_relay('TERM');
cmp_ok(time - $begun, '<', 8, 'with a full spool and no database the relay ends in time');
($status, $out) = relay_says('--spool-status', $spool);
like($out, qr/^deliveries +5$/m, 'what is spooled is still there');

$node->start;
ok(spool_is_empty(undef, 10), 'when relay and database are back, the spool is empty within 10 seconds');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id LIKE 'down-%'"), 5, 'and all is in the database');
ok($node->wait_until(sub { metric('spool_replayed_total') == 5 }), 'replays are counted');
$node->deliver($down[0]);
is($node->psql(stored('down-1')), 1, 'once, also when the provider sends it again');

# ---- killed with deliveries in the spool ----

$node->stop_postgres;
is($node->deliver(fresh(message_id => 'killed-1'))->{status}, 200, 'a delivery is spooled');
$node->kill_relay('KILL');
($status, $out) = relay_says('--spool-status', $spool);
like($out, qr/^deliveries +1$/m, 'and there after the death of the relay');
($status, $out) = relay_says('--spool-export', $spool);
$node->start;
ok($node->poll(stored('killed-1'), 1), 'another relay replays it');

# ---- by hand ----

{
	my $made_by_hand = $out =~ s/killed-1/killed-1/r;

	$node->psql("CREATE TABLE public.spooled (line text)");
	my ($code, undef, $err) = $node->_run({ stdin => $made_by_hand }, $node->_bindir . '/psql', qw(-X -q -v ON_ERROR_STOP=1 -c),
		"\\copy public.spooled FROM STDIN (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')", '-c', <<'SQL');
SELECT s.line::jsonb ->> 'received_at', i.outcome FROM public.spooled s, LATERAL omnimsg_ingest(s.line::jsonb ->> 'provider',
	decode(s.line::jsonb ->> 'body', 'base64'), s.line::jsonb ->> 'signature', s.line::jsonb ->> 'signed_at', s.line::jsonb ->> 'key_id') i
	WHERE s.line::jsonb ->> 'kind' = 'ingest'
SQL
	is($code, 0, 'what was exported can be given to omnimsg_ingest with psql') or diag($err);
	is($node->psql(stored('killed-1')), 1, 'which knows what it has');
}

# ---- a lock on one row holds nobody else up ----

$node->psql(<<"SQL");
CREATE FUNCTION public.trip() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \$\$
BEGIN
	IF NEW.external_message_id LIKE 'locked-%' THEN
		PERFORM pg_advisory_xact_lock(77);
	ELSIF NEW.external_message_id LIKE 'broken-%' THEN
		RAISE EXCEPTION 'not this one' USING ERRCODE = '53200';
	ELSIF NEW.external_message_id LIKE 'poison-%' THEN
		COPY (SELECT 1) TO PROGRAM 'kill -9 \$PPID';
	END IF;
	RETURN NEW;
END\$\$;
CREATE TRIGGER trip BEFORE INSERT ON omnimsg.messages FOR EACH ROW EXECUTE FUNCTION public.trip();
SQL
my $holder = $node->session;
$holder->query('SELECT pg_advisory_lock(77)');
my $answer = $node->deliver(fresh(message_id => 'locked-1'));
is($answer->{status}, 200, 'a delivery that waits for a lock is answered 200');
cmp_ok($answer->{seconds}, '<', $bound, 'in time');
is($node->psql(stored('locked-1')), 0, 'it is in the spool');
is($node->deliver(fresh(message_id => 'free-1'))->{status}, 200, 'another one meanwhile');
ok($node->poll(stored('free-1'), 1), 'does not wait for it');
ok($node->wait_until(sub { (relay_says('--spool-status', $spool))[1] =~ /^last SQLSTATE +(?:55P03|57014)$/m }),
	'the status of the spool says what is wrong');
$holder->query('SELECT pg_advisory_unlock(77)');
ok($node->poll(stored('locked-1'), 1), 'when the lock is gone it is stored');
ok(spool_is_empty(), 'and the spool is empty');

# ---- a delivery that always fails blocks nobody ----

is($node->deliver(fresh(message_id => 'broken-1'))->{status}, 200, 'a delivery for which the server lacks memory is answered 200');
ok($node->wait_until(sub { (relay_says('--spool-status', $spool))[1] =~ /^last SQLSTATE +53200/m }), 'and waits');
$node->psql("ALTER TABLE omnimsg.events RENAME TO hidden");
is($node->deliver(fresh(message_id => "beside-$_"))->{status}, 200, 'neighbours are spooled') for 1 .. 3;
$node->psql("ALTER TABLE omnimsg.hidden RENAME TO events");
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE external_message_id LIKE 'beside-%'", 3), 'and replayed without it');
ok($node->wait_until(sub { (relay_says('--spool-status', $spool))[1] =~ /^failed before +1$/m }), 'which is put off from then on');
$node->psql('ALTER TABLE omnimsg.messages DISABLE TRIGGER trip');
ok($node->poll(stored('broken-1'), 1), 'once the server is mended it goes in');
ok(spool_is_empty(), 'and the spool is empty');

# ---- a body that takes the server down ----

$node->psql('ALTER TABLE omnimsg.messages ENABLE TRIGGER trip');
sub crashes
{
	my $log = $node->dir . '/log/postgres.log';

	open my $handle, '<', $log or die "$log: $!";
	return scalar grep { /was terminated by signal 9/ } readline $handle;
}
my $poison = fresh(message_id => 'poison-1');
my $before = crashes();
is($node->delivered($poison), 200, 'a body that kills the server is answered 200');
ok($node->poll("SELECT count(*) FROM omnimsg.events WHERE outcome = 'dead' AND reason = 'crashed'", 1, 90),
	'it ends as a dead letter');
is($node->psql("SELECT count(*) FROM omnimsg.events WHERE outcome = 'dead' AND reason = 'crashed' AND raw IS NOT NULL"), 1, 'whole');
# one, when its second turn came before the server had noticed the first death
my $after = crashes();
like($after - $before, qr/^[12]$/, 'after two restarts of the server at most');
is($node->delivered($poison), 200, 'when the provider sends it again');
is($node->delivered(fresh(message_id => 'after-1')), 200, 'and others');
ok($node->poll(stored('after-1'), 1), 'those are stored');
ok(spool_is_empty(), 'the spool is empty');
is(crashes(), $after, 'and the server has not been taken down again');

# ---- a network that cuts is no crash ----

# cutting_proxy(TIMES): between a relay and the server; so often it cuts a connection when something to be stored comes
# along, before the server has it
sub cutting_proxy
{
	my ($times) = @_;
	my $directory = $node->dir . '/cut';
	my $count = "$directory/count";

	mkdir $directory;
	chmod 0700, $directory;
	my $listener = IO::Socket::UNIX->new(Local => "$directory/.s.PGSQL.5432", Listen => 32) or die "listen: $!";
	my $pid = fork // die "fork: $!";
	return ($pid, $directory, $count) if $pid;
	$SIG{CHLD} = 'IGNORE';
	while (my $client = $listener->accept)
	{
		next if fork;
		my $server = IO::Socket::UNIX->new(Peer => $node->env('PGHOST') . '/.s.PGSQL.' . $node->env('PGPORT')) or POSIX::_exit(1);
		my $select = IO::Select->new($client, $server);

		while (1)
		{
			for my $from ($select->can_read)
			{
				sysread $from, my $bytes, 65536 or POSIX::_exit(0);
				if ($from == $client && $bytes =~ /omnimsg_ingest_batch/ && (-s $count // 0) < $times)
				{
					open my $file, '>>', $count;
					print {$file} 'x';
					close $file;
					POSIX::_exit(0);
				}
				syswrite $from == $client ? $server : $client, $bytes;
			}
		}
	}
	POSIX::_exit(0);
}

my ($proxy, $through, $cuts) = cutting_proxy(4);
my $cut = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => $node->dir . '/cut/spool.db', CONNECTIONS => 1,
	DATABASE => "host=$through port=5432 dbname=omnimsg user=omnimsg_relay");
is($node->deliver(fresh(message_id => 'cut-1'), url => $cut->url)->{status}, 200, 'a delivery whose connection is cut is answered 200');
ok($node->poll(stored('cut-1'), 1, 20), 'and applied when the network lets it pass');
is(-s $cuts, 4, 'after four cuts');
ok(spool_is_empty($cut->url), 'the spool is empty');
is($node->psql("SELECT count(*) FROM omnimsg.events WHERE reason = 'crashed'"), 1, 'nothing but what did take the server down is kept for that');
$cut->signal('TERM');
is($cut->ended, 0, 'the relay ends as it should');
kill 'KILL', $proxy;
waitpid $proxy, 0;

# ---- a right signature at a wrong time ----

my $late = $node->signed(from => '+15552000102', to => $made->{did}, text => 'STOP', message_id => 'stale-1', timestamp_offset => -400);
$answer = $node->deliver($late);
is($answer->{status}, 401, 'a delivery signed 400 seconds ago is answered 401');
my $kept = "SELECT count(*) FROM omnimsg.events WHERE outcome = 'dead' AND reason = 'stale'";
ok($node->poll($kept, 1), 'and kept as a dead letter');
$node->deliver($late);
is($node->psql($kept), 1, 'once');
is($node->psql(stored('stale-1')), 0, 'without effect');
$node->stop_postgres;
$late = $node->signed(from => '+15552000103', to => $made->{did}, text => 'STOP', message_id => 'stale-2', timestamp_offset => -400);
$answer = $node->deliver($late);
is($answer->{status}, 401, 'without a database, too');
cmp_ok($answer->{seconds}, '<', $bound, 'in time');
is((relay_says('--spool-status', $spool))[1] =~ /^stale +1$/m, 1, 'it waits in the spool');
$node->start;
ok($node->poll($kept, 2), 'and is kept when the database is back');

# ---- clocks ----

ok($node->wait_until(sub { abs(metric('clock_skew_seconds{peer="database"}') // 99) < 0.5 }), 'the clock of the database is this host\'s');
$answer = $node->deliver(fresh(message_id => 'clock-1'));
ok(defined metric('clock_skew_seconds{peer="provider"}'), 'the provider\'s is watched as well');

# ---- what is no place for a spool ----

my $wide = $node->dir . '/wide';
mkdir $wide;
chmod 0777, $wide;
my $refused = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$wide/spool.db");
is($refused->ended, 1, 'a directory that others can write to is refused');
like((grep { $_->{msg} eq 'cannot start' } $refused->log)[0]{reason} // '', qr/others may write/, 'with the reason');
chmod 0700, $wide;
open my $handle, '>', "$wide/spool.db" or die $!;
print {$handle} "something else\n" x 1000;
close $handle;
chmod 0600, "$wide/spool.db";
is($node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$wide/spool.db")->ended, 1, 'so is a file that is no spool');
is(-s "$wide/spool.db", 15000, 'which is left as it is');
unlink "$wide/spool.db";

my $small = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$wide/spool.db", SPOOL_MAX_MB => 1, DATABASE => 'host=/nowhere');
my $url = $small->url;
my $third = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$wide/spool.db");
is($third->ended, 1, 'two relays never share a spool');
like((grep { $_->{msg} eq 'cannot start' } $third->log)[0]{reason} // '', qr/another relay/, 'the second says so');

# ---- the size limit ----

my $big = $node->dir . '/big';
open $handle, '>', $big or die $!;
print {$handle} 'x' x 200_000;
close $handle;
my @taken;
for (1 .. 10)
{
	my $sent = $node->signed(body_file => $big);

	push @taken, $node->delivered($sent, url => $url);
}
is("@taken", '200 200 200 200 200 503 503 503 503 503', 'beyond its size the spool takes nothing more');
cmp_ok(metric('spool_refused_total', $url), '>=', 5, 'what it refuses is counted');

my $again = $node->signed(body_file => $big);
my $told;
ok($node->_until(sub {
	$node->deliver($again, url => $url);
	($told) = grep { $_->{suppressed} } $small->log('the spool is full');
	return $told;
}, 30), 'after a burst of them its log says how many lines it has left out');
is_deeply([ sort keys %{$told} ], [ qw(detail doing level msg suppressed time) ], 'with what it was doing, and why');
is($node->deliver(fresh(message_id => 'small-1'), url => $url)->{status}, 200, 'a small one still fits');
$small->signal('TERM');
is($small->ended, 0, 'the relay ends as it should');
$small = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$wide/spool.db", SPOOL_MAX_MB => 1);
ok(spool_is_empty($small->url), 'with a database the spool empties');
is($node->delivered($node->signed(body_file => $big), url => $small->url), 200, 'and takes as much as before');

# ---- the command line ----

is((relay_says('--spool-status'))[0], 2, 'without a file --spool-status asks which');
is((relay_says('--spool-status', "$wide/nothing.db"))[0], 1, 'and of one that is not there it says so');
is((relay_says('--spool-export', '/etc/passwd'))[0], 1, 'as of one that is no spool');
like((relay_says('--help'))[1], qr/--spool-status.*OMNIMSG_RELAY_SPOOL /s, 'the help tells of the spool');
like((relay_says('--version'))[1], qr/^omnimsg-relay 1\.2$/m, 'and there is a version');

open my $log, '<', $node->dir . '/log/relay.log' or die $!;
my @lines = readline $log;
is(scalar(grep { /\+?1?555\d{7}|Hello|STOP/ } @lines), 0, 'the log holds neither a number nor a text');

done_testing;
