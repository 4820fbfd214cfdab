# Whatever bytes come as the body of a delivery, each ends applied, ignored, pending or dead, and nothing of it is
# lost that somebody may ask for: the corpora of the fuzz targets, put into events and damaged, through SQL.  The second half
# of them is taken by a library that ends the process where C does not say what happens: an overflow, a shift, an index.
#
# OMNIMSG_BODIES (2500) makes it longer, OMNIMSG_SEED repeats it.

use strict;
use warnings;

use File::Copy qw(copy);
use Omnimsg;
use Test::More;

my $bodies = $ENV{OMNIMSG_BODIES} // 2500;
my $seed = $ENV{OMNIMSG_SEED} // int rand 2**31;
my $batch = 50;

diag("seed $seed, $bodies bodies");
srand $seed;

my $node = Omnimsg->new;
my $made = $node->seed;

sub one_of { return $_[rand @_] }

# ---- what is sent ----

my %corpus;
for my $file (glob 'test/fuzz/corpus/*/*')
{
	my ($target) = $file =~ m{corpus/(\w+)/};

	open my $in, '<:raw', $file or die "$file: $!";
	push @{ $corpus{$target} }, do { local $/; <$in> };
}

# a JSON string of bytes, which need not be UTF-8, as one who writes JSON carelessly would
sub quoted
{
	my ($text) = @_;

	$text =~ s/(["\\])/\\$1/g;
	$text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge if rand() < 0.9;
	return qq("$text");
}

my @values = ('null', 'true', '0', '-0', '1e400', '1e131071', '9' x 400, '""', '[]', '{}', '"\u0000"', '"\ud800"',
	'"' . 'x' x 300 . '"', '"' . "\xff" . '"', '[' x 70 . ']' x 70, '[' x 9000, '{"a":' x 65 . '1' . '}' x 65,
	'[' . join(',', ('1e131071') x 1000) . ']', '"STOP"', '"+15552000101"', '{"phone_number":"+15552000101"}');

my $number = 0;

sub event
{
	my $id = sprintf '%08x-%04x', $number++, rand 65536;
	my $text = quoted(one_of(@{ $corpus{intent} }, @{ $corpus{template} }));
	my $from = rand() < 0.5 ? quoted(one_of(@{ $corpus{phone} }, @{ $corpus{mask} })) : sprintf '"+1555%07d"', 2000000 + rand 2000;
	my $to = rand() < 0.1 ? quoted(one_of(@{ $corpus{phone} })) : qq("$made->{did}");
	my $at = quoted(one_of(@{ $corpus{timestamp} }, '2026-05-15T18:47:40.731+00:00'));
	my $type = one_of(qw(message.received message.received message.received message.sent message.finalized other));
	my $url = quoted('https://relay.example/' . one_of(@{ $corpus{token} }));
	my $error = quoted(one_of(@{ $corpus{answer} }));

	return qq({"data":{"event_type":"$type","id":"event-$id","occurred_at":$at,"payload":{"direction":"inbound",)
		. qq("from":{"phone_number":$from},"id":"message-$id","received_at":$at,"text":$text,"to":[{"phone_number":$to,)
		. qq("status":"delivered"}],"errors":[{"code":"40300","title":$error}],"webhook_url":$url,"type":"SMS"}}});
}

# one wrong thing more
sub damaged
{
	my ($body) = @_;
	my $at = int rand(length($body) + 1);
	my $kind = int rand 7;

	if ($kind == 0) { vec($body, rand(8 * length $body), 1) ^= 1 if length $body }
	elsif ($kind == 1) { substr $body, $at, int rand 20, '' }
	elsif ($kind == 2) { substr $body, $at, 0, one_of(@values) }
	elsif ($kind == 3) { $body = substr $body, 0, $at }
	elsif ($kind == 4)
	{
		# a value in the place of another
		my @places;

		push @places, [ $-[1], $+[1] - $-[1] ] while $body =~ /:("[^"]*"|\{\}|\[\]|\w+)/g;
		if (my $place = one_of(@places)) { substr $body, $place->[0], $place->[1], one_of(@values) }
	}
	elsif ($kind == 5) { $body .= substr $body, 0, $at }
	else { $body =~ s/"(\w+)":/my $name = one_of($1, uc $1, 'id', "a\\u0062", ''); qq("$name":)/e }
	return $body;
}

sub body
{
	my $choice = rand;
	my $body = $choice < 0.6 ? event() : $choice < 0.85 ? one_of(@{ $corpus{event} })
		: one_of(map { @$_ } @corpus{sort keys %corpus});

	$body = damaged($body) for 1 .. int rand 4;
	return $body;
}

# ---- and what becomes of it ----

$node->psql(<<'SQL');
CREATE TABLE public.sent (n int PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE public.became (n int NOT NULL, outcome text NOT NULL, reason text);
SQL

my $copy = $node->dir . '/bodies';
open my $out, '>', $copy or die "$copy: $!";
printf {$out} "%d\t\\\\x%s\n", $_, unpack 'H*', body() for 1 .. $bodies;
close $out or die "$copy: $!";
$node->psql("\\copy public.sent FROM '$copy'");

sub anonymous
{
	my ($pid) = @_;

	open my $in, '<', "/proc/$pid/status" or return;
	local $/;
	my ($kb) = <$in> =~ /^RssAnon:\s+(\d+)/m;
	return $kb;
}

# feed(FROM, TO, WHO): gives those bodies to one process of the server, and sees how that bears it
sub feed
{
	my ($begin, $end, $who) = @_;
	my $session = $node->session;
	my $pid = $session->query('SELECT pg_backend_pid()');
	my ($first, $most, $answers) = (undef, 0, '');

	for (my $from = $begin; $from <= $end; $from += $batch)
	{
		my $to = $from + $batch - 1 < $end ? $from + $batch - 1 : $end;

		$answers .= $session->query(<<"SQL");
INSERT INTO public.became
	SELECT $from + r.ordinal - 1, r.outcome, r.reason
	  FROM omnimsg_ingest_batch((SELECT array_agg('telnyx'::text) FROM public.sent WHERE n BETWEEN $from AND $to),
								(SELECT array_agg(body ORDER BY n) FROM public.sent WHERE n BETWEEN $from AND $to)) r
SQL
		my $kb = anonymous($pid) // last;

		$first = $kb if $from < $begin + $batch * 10;
		$most = $kb if $kb > $most;
	}
	is($answers, '', "no body is an error to $who");
	is($session->query('SELECT pg_backend_pid()'), $pid, 'the server process that took them is still there');
	cmp_ok($most - $first, '<', 65536, 'and holds no more than 64 MB more than after the first ones');
	diag(sprintf '%d kB after the first, %d kB at most', $first, $most);
	return;
}

my $half = int($bodies / 2);
feed(1, $half, 'the library as it is built');

# ---- the other half, where nothing passes that C leaves undefined ----

# a file of its own, which the server's user can read; pg_cron is where it was
my $place = "@{[ $node->dir ]}/data";
my $trapping = $node->psql('SHOW data_directory') . '/trap';
mkdir "$place/trap";
copy('build/trap/omnimsg.so', "$place/trap/omnimsg.so") or die "build/trap/omnimsg.so: $!";
chown((stat "$place/")[4, 5], "$place/trap", "$place/trap/omnimsg.so");
$node->psql(<<"SQL");
ALTER SYSTEM SET dynamic_library_path = '$trapping:\$libdir';
UPDATE pg_catalog.pg_proc SET probin = '$trapping/omnimsg' WHERE probin = '\$libdir/omnimsg';
SQL
$node->stop_postgres;
$node->start;
like(qx{objdump -d build/trap/omnimsg.so}, qr/\bud2\b/, 'there is a library with traps');
my $loaded = sub {
	my ($pid) = @_;

	open my $maps, '<', "/proc/$pid/maps" or return '';
	my %files = map { $_ => 1 } grep { m{/omnimsg\.so$} } map { /(\/\S+)$/ } readline $maps;
	return join ' ', sort keys %files;
};
my $session = $node->session;
$session->query("SELECT omnimsg_normalize_phone('+15552000101')");
is($loaded->($session->query('SELECT pg_backend_pid()')), "$trapping/omnimsg.so", 'a session has loaded it, and not the other');
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'omnimsg dispatcher'";
ok($node->wait_until(sub { $loaded->($node->psql($worker) || 0) eq "$trapping/omnimsg.so" }), 'so has the worker');
feed($half + 1, $bodies, 'the one that traps');

# ---- what became of them ----

is($node->psql('SELECT count(*) FROM public.sent s WHERE NOT EXISTS (SELECT FROM public.became b WHERE b.n = s.n)'), 0,
	'something became of each');
is($node->psql("SELECT string_agg(DISTINCT outcome, ' ') FROM public.became WHERE outcome NOT IN ('applied', 'ignored', 'pending', 'dead', 'duplicate')"),
	'', 'it was applied, ignored, known already, waits or is a dead letter');
for my $outcome (qw(applied ignored pending dead))
{
	cmp_ok($node->psql("SELECT count(*) FROM public.became WHERE outcome = '$outcome'"), '>', 0, "some are $outcome");
}
is($node->psql(<<'SQL'), 0, 'the bytes of all that wait or are dead are there as they came');
SELECT count(*) FROM public.became b JOIN public.sent s USING (n)
 WHERE b.outcome IN ('dead', 'pending') AND NOT EXISTS (SELECT FROM omnimsg.events e WHERE e.raw = s.body)
SQL
is($node->psql(<<'SQL'), 0, 'and nothing else is: what is kept was sent');
SELECT count(*) FROM omnimsg.events e WHERE e.raw IS NOT NULL AND NOT EXISTS (SELECT FROM public.sent s WHERE s.body = e.raw)
SQL
is($node->psql("SELECT count(*) FROM public.became WHERE outcome = 'dead' AND coalesce(reason, '') = ''"), 0, 'each dead letter has a reason');
is($node->psql('SELECT bool_and(is_conserved) FROM omnimsg.conservation'), 't', 'nothing has vanished');

my $log = do { open my $in, '<', $node->dir . '/log/postgres.log' or die $!; local $/; <$in> };
unlike($log, qr/terminated by signal|PANIC|TRAP:/, 'nothing has crashed');
# the relay, which takes what the provider tells of replies, has such limits; the sessions of this test have none
unlike($log, qr/\b(?:ERROR|FATAL): (?!.*(?:starting up|shutting down|administrator command|canceling statement due to (?:lock|statement) timeout))/, 'nor is there an error in the log of the server');

done_testing;
