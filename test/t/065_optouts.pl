# The provider's own list of opt-outs: what was missed is recorded, the mirror follows the list whatever happens
# on the way, and where the two sides differ is told.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP qw(encode_json);
use Omnimsg;
use Test::More;

my $node = Omnimsg->new(simulator => ['--native-optout']);
my $simulator = $node->env('OMNIMSG_SIM_URL');
my $made = $node->seed;
my ($organization, $did, $account) = @$made{qw(organization did provider_account)};
my $profile = 'aaaaaaaa-0000-4000-8000-000000000001';	# the simulator's

# number(N): a person's; each scenario has its own
sub number { return sprintf '+1555200%04d', 1000 + $_[0] }

# listed(NUMBER, from =>, created_at =>): the provider takes it for an opt-out, and no webhook tells
sub listed
{
	my ($to, %more) = @_;
	my $answer = $node->request(POST => '/sim/optout', url => $simulator,
		body => encode_json({ from => $did, %more, to => $to }));

	$answer->{status} == 200 or die "the simulator refused: $answer->{raw}";
	return;
}

# text(NUMBER, TEXT): a message that the provider sees, too
sub text
{
	my ($from, $text) = @_;

	return $node->send(from => $from, to => $did, text => $text, via => $simulator)->{http};
}

# asked(): the pages that were asked for since the last call, as "1 2 3"
my $asked_before = 0;

sub asked
{
	my @queries = map { $_->{query} } $node->ledger(kind => 'optouts');
	my @new = @queries[$asked_before .. $#queries];

	$asked_before = @queries;
	return join ' ', map { /page%5Bnumber%5D=(\d+)/ ? $1 : '?' } @new;
}

my $busy = "SELECT count(*) FROM omnimsg.optout_pulls WHERE due_at = '-infinity'
	OR finished_at IS NULL AND last_error IS NULL";

# pull(): asks for one and waits until it has ended, well or not; the error
sub pull
{
	$node->psql('SELECT omnimsg_pull_optouts()');
	$node->poll($busy, 0) or return 'no end';
	return $node->psql('SELECT last_error FROM omnimsg.optout_pulls');
}

sub mirror { return $node->psql('SELECT count(*) FROM omnimsg.provider_optouts') }

# recorded(NUMBER): the requests that the list led to
sub recorded
{
	return $node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE address = '$_[0]' AND rule = 'optout_list'");
}

sub consent
{
	return $node->psql("SELECT channel, state, provider_blocked FROM omnimsg.consents WHERE address = '$_[0]'
		AND organization_id = '$organization' AND scope = 'all' ORDER BY channel");
}

sub drift
{
	return $node->psql("SELECT address, our_address, ours, theirs, difference FROM omnimsg.consent_drift
		WHERE channel = 'sms' AND organization_id = '$organization' ORDER BY address");
}

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization'");
# a page that is delayed is waited for, however slow the machine is
$node->setting('omnimsg.request_timeout', '20s');
$node->setting('omnimsg.poll_interval', '200ms');

# ---- by itself ----

ok($node->poll('SELECT count(*) FROM omnimsg.optout_pulls WHERE completed_at IS NOT NULL', 1),
	'the list of a new account is pulled without anybody asking for it');
is($node->psql("SELECT due_at - finished_at FROM omnimsg.optout_pulls"), '01:00:00', 'and again an hour later');
is($node->psql("SELECT finding FROM omnimsg_health() WHERE finding !~ 'this machine'"), 'provider accounts accept any key', 'and all is well but for the key');
$node->setting('omnimsg.optout_pull_interval', '1s');
ok($node->wait_until(sub { (() = $node->ledger(kind => 'optouts')) >= 3 }), 'a shorter interval counts at once');
$node->setting('omnimsg.optout_pull_interval', '0');
is(pull(), '', 'with the interval 0 a pull can be asked for');
is($node->psql('SELECT due_at FROM omnimsg.optout_pulls'), 'infinity', 'and none is due after it');
asked();

# ---- what was missed ----

my ($missed, $known, $soon, $nowhere) = map { number($_) } 1 .. 4;
my $second = '33333333-3333-7333-8333-333333333333';

$node->psql(<<SQL);
INSERT INTO omnimsg.organizations (id, name) VALUES ('$second', 'Lake Fitness');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider_account_id, is_primary)
	VALUES ('$did', '$second', '$account', false);
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone) VALUES ('$organization', 'Ada', '$missed');
SQL
listed($missed, created_at => '2026-03-01T10:20:30.456Z', keyword => 'Arret');
is(text($known, 'STOP'), 200, 'somebody says STOP to both');
listed($soon, created_at => '2036-01-01T00:00:00Z');
listed($nowhere, from => '+15552009999');
is(pull(), '', 'the list is pulled');
is(asked(), '1', 'with one request');
is($node->psql(<<SQL), "sms|$did|opt_out|all|provider_block|Arret|t\nvoice|$did|opt_out|all|provider_block|Arret|t",
SELECT channel, our_address, request_type, scope, source, matched_text, occurred_at = '2026-03-01 10:20:30.456+00'
  FROM omnimsg.opt_out_requests WHERE organization_id = '$organization' AND address = '$missed' ORDER BY channel
SQL
	'the STOP that never came is recorded, for texts and calls, from when it was sent');
is(consent($missed), "sms|opted_out|t\nvoice|opted_out|t", 'the person is opted out, and blocked by the provider');
is($node->psql("SELECT sms_consent FROM omnimsg.collection_accounts WHERE primary_phone = '$missed'"), 'f',
	'which the account shows');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE organization_id = '$second' AND address = '$missed'"), 2,
	'it is recorded for the other organization of the number as well');
is($node->psql(<<SQL), 'worker|{"opted_out": "no"}|{"rule": "optout_list", "source": "provider_block", "decides": "yes", "request_type": "opt_out"}',
SELECT a.actor, a.old_value, a.new_value FROM omnimsg.audit_logs a JOIN omnimsg.opt_out_requests q ON q.id = a.resource_id
 WHERE a.action = 'CONSENT_RECORDED' AND a.organization_id = '$organization' AND q.address = '$missed'
SQL
	'and audited once');
is($node->psql("SELECT string_agg(DISTINCT source, ' ') FROM omnimsg.opt_out_requests WHERE address = '$known'"), 'keyword',
	'a STOP that we have is not recorded again');
is($node->psql("SELECT bool_and(occurred_at <= now() + interval '300 s') FROM omnimsg.opt_out_requests WHERE address = '$soon'"),
	't', 'one from the future happened when it was first seen');
is(recorded($nowhere), 0, 'one to a number that nobody owns is in the mirror only');
is(mirror(), 4, 'which has all of the list');
is(pull(), '', 'pulled again');
is(join(' ', map { recorded($_) } $missed, $known, $soon), '4 0 4', 'nothing is recorded twice');
$node->psql("INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider_account_id)
	VALUES ('+15552009999', '$organization', '$account')");
is(pull(), '', 'once somebody owns the number');
is(recorded($nowhere), 2, 'its opt-out is recorded');

like($node->psql_error("SELECT omnimsg_send('$organization', '$missed', 'hi')"), qr/OM001/,
	'nothing can be sent to who opted out');
$node->queue($made, [$missed]);
ok($node->poll("SELECT m.status FROM omnimsg.messages m WHERE m.to_number = '$missed'", 'blocked'), 'what is queued is blocked');
is(scalar($node->ledger(kind => 'post', to => $missed)), 0, 'and the provider not asked');

is(text($missed, 'START'), 200, 'START');
is(consent($missed), "sms|opted_in|f\nvoice|opted_in|f", 'lifts it all');
is(mirror(), 4, 'the mirror is as it was');
is(drift(), '', 'which is no difference: the list is older than the START');
is(pull(), '', 'until the list is pulled');
is(mirror(), 3, 'and the entry is gone');
is(consent($missed), "sms|opted_in|f\nvoice|opted_in|f", 'the person stays opted in');

# An entry need not say which number it was.  It is recorded once for each organization, and lifted by START to any.
my $vague = number(5);

listed($vague, from => undef);
is(pull(), '', 'an entry without our number');
is(recorded($vague), 4, 'is recorded for both organizations');
is(pull(), '', 'pulled again');
is(recorded($vague), 4, 'and not once more for another number of theirs');

# ---- pages ----

my @many = map { number(1000 + $_) } 1 .. 600;

$node->psql("UPDATE omnimsg.inbound_phone_numbers SET phone_number = '+15552009998' WHERE organization_id = '$second'");
for my $n (0 .. $#many)
{
	listed($many[$n], created_at => sprintf('2026-04-01T%02d:%02d:00Z', $n / 60, $n % 60));
}
my $all = mirror() + 600;
my $of_many = "SELECT count(*) FROM omnimsg.opt_out_requests WHERE rule = 'optout_list' AND occurred_at::date = '2026-04-01'";

asked();
is(pull(), '', 'a list of 600 entries and more');
is(asked(), '1 2 3', 'is asked for in three pages');
is(mirror(), $all, 'all are in the mirror');
is($node->psql($of_many), 1200, 'and recorded');

is(text($many[0], 'START'), 200, 'one person of the last page says START');
is(pull(), '', 'and the list is pulled');
is(asked(), '1 2 3 1 2 3', 'it is read twice before anything is removed from a mirror of several pages');
is(mirror(), --$all, 'then it is gone');

# ---- the worker dies between two pages ----

$node->behave('ok:on=optouts,times=1 silent:on=optouts,ms=30000,times=1');
$node->psql('SELECT omnimsg_pull_optouts()');
ok($node->poll('SELECT next_page FROM omnimsg.optout_pulls', 2), 'one page is stored');
ok($node->wait_until(sub { (() = $node->ledger(kind => 'optouts')) >= $asked_before + 2 }), 'the second hangs');
my $started = $node->psql('SELECT started_at FROM omnimsg.optout_pulls');

kill 'KILL', $node->psql('SELECT pid FROM omnimsg_worker_status()');
ok($node->poll("SELECT completed_at FROM omnimsg.optout_pulls", $started), 'another worker ends the same pull');
is(asked(), '1 2 2 3', 'from the page where it was');
is(mirror(), $all, 'and nothing is lost');

# ---- the list changes while it is read ----

# What is lifted on the first page moves an entry of the third to the second, which has been read.
my @order = split /\n/, $node->psql('SELECT address FROM omnimsg.provider_optouts ORDER BY created_at DESC');
my ($lifted, $moved) = @order[10, 500];

$node->psql('TRUNCATE omnimsg.provider_optouts');
$node->behave('ok:on=optouts,times=1 delay:on=optouts,ms=10000,times=1');
$node->psql('SELECT omnimsg_pull_optouts()');
ok($node->wait_until(sub { (() = $node->ledger(kind => 'optouts')) >= $asked_before + 2 }), 'the second page is on its way');
is(text($lifted, 'START'), 200, 'when somebody on the first page says START');
ok($node->poll($busy, 0), 'the pull comes to an end');
is(asked(), '1 2 3 1 2 3', 'after a second look');
is($node->psql("SELECT count(*) FROM omnimsg.provider_optouts WHERE address = '$moved'"), 1,
	'and has the entry that moved from one page to another');
is(pull(), '', 'the next one');
is(mirror(), --$all, 'removes who was lifted');
asked();

# ---- what goes wrong ----

my %errors = (
	'500' => 'HTTP status 500',
	'503' => 'HTTP status 503',
	'429:retry_after=1200' => qr/./,
	'error:status=401,code=10009' => qr/./,
	'redirect' => 'HTTP status 302',
	'cut' => qr/./,
	'half' => qr/./,
	'garbage' => 'invalid JSON',
	'silent:ms=30000' => 'Timeout was reached',
);

for my $name (sort keys %errors)
{
	my $expected = $errors{$name};

	# on the first page, and on a later one
	for my $pages (0, 1)
	{
		$node->setting('omnimsg.request_timeout', '6s') if $name =~ /silent/;
		$node->behave("ok:on=optouts,times=$pages") if $pages;
		$node->behave($name . ($name =~ /:/ ? ',' : ':') . 'on=optouts,times=1');
		my $error = pull();

		ref $expected ? like($error, $expected, "$name on page " . ($pages + 1) . ': the error is kept') :
			is($error, $expected, "$name on page " . ($pages + 1) . ': the error is kept');
		is($node->psql('SELECT finished_at IS NULL, next_page, failures FROM omnimsg.optout_pulls'),
			't|' . ($pages + 1) . '|1', 'the pull is not finished');
		is(mirror(), $all, 'and nothing is removed');
		if ($name =~ /^429/)
		{
			is($node->psql("SELECT due_at > now() + interval '1100 s' FROM omnimsg.optout_pulls"), 't',
				'Retry-After is obeyed');
		}
		$node->setting('omnimsg.request_timeout', '20s') if $name =~ /silent/;
		is(pull(), '', 'the next pull goes on and ends well');
	}
}
is(mirror(), $all, 'in the end nothing was removed');
asked();
$node->setting('omnimsg.optout_pull_interval', '1h');
$node->behave('500:on=optouts,times=2');
$node->psql('SELECT omnimsg_pull_optouts()');
ok($node->poll('SELECT finished_at IS NOT NULL AND failures = 0 AND due_at > now() FROM omnimsg.optout_pulls', 't'),
	'a request that failed is repeated without anybody asking');
is(asked(), '1 1 1 2 3', 'until it succeeds');

$node->behave('500:on=optouts,times=1');
$node->psql('UPDATE omnimsg.optout_pulls SET failures = 20, due_at = now()');
ok($node->poll("SELECT failures = 21 AND due_at > now() + interval '7 minutes' FROM omnimsg.optout_pulls", 't'),
	'after many failures the next request is minutes away');
$node->setting('omnimsg.optout_pull_interval', '0');
is(pull(), '', 'unless somebody asks for it');
asked();

$node->setting('omnimsg.dispatch', 'off');
ok($node->poll('SELECT state FROM omnimsg_worker_status()', 'off'), 'omnimsg.dispatch is off');
$node->psql('SELECT omnimsg_pull_optouts()');
is(text(number(6), 'STOP'), 200, 'a STOP wakes the worker');
is(asked(), '', 'but nothing is asked of the provider');
$node->setting('omnimsg.dispatch', 'on');
ok($node->poll($busy, 0), 'until dispatch is on');
is(asked(), '1 2 3', 'again');
$all++;

my $secret = $node->dir . '/secrets/simulator';

rename $secret, "$secret.away" or die "rename: $!";
is(pull(), 'the secret does not exist in omnimsg.secrets_dir', 'without a key nothing is asked');
my $unusable = "SELECT severity, detail FROM omnimsg_health() WHERE finding = 'the provider''s API cannot be used'";
is($node->psql($unusable), '', 'omnimsg_health does not mind an error that passes');
pull() for 1 .. 2;
is($node->psql($unusable), 'error|provider account "simulator": the secret does not exist in omnimsg.secrets_dir',
	'but one that stays: nothing can be sent either');
rename "$secret.away", $secret or die "rename: $!";
is(asked(), '', 'indeed');
$node->behave('500:on=optouts,times=3');
pull() for 1 .. 3;
is($node->psql($unusable), 'warning|provider account "simulator": HTTP status 500', 'what the provider answers wrongly is its own matter: a warning');
is(pull(), '', 'until a pull goes well');
is($node->psql($unusable), '', 'and then omnimsg_health says no more of it');
asked();

# ---- a page that hangs delays nobody ----

my ($quick, $quicker) = map { number($_) } 10, 11;

$node->setting('omnimsg.max_in_flight', 1);
$node->behave('silent:on=optouts,ms=15000,times=1');
$node->psql('SELECT omnimsg_pull_optouts()');
ok($node->wait_until(sub { (() = $node->ledger(kind => 'optouts')) > $asked_before }), 'a page hangs');
is($node->send(from => $quick, to => $did, text => 'STOP')->{http}, 200, 'somebody says STOP');
ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '$quick'", 'delivered'), 'which is confirmed');
# it may be about something else just now
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'omnimsg dispatcher' AND xact_start IS NOT NULL", 0),
	'with no transaction open');
is($node->psql('SELECT last_error IS NULL FROM omnimsg.optout_pulls'), 't', 'while the page still hangs');
ok($node->poll($busy, 0), 'the page fails in the end');
$node->setting('omnimsg.max_in_flight', undef);
{
	my $session = $node->session;

	$session->query('BEGIN; SELECT omnimsg_pull_optouts()');
	is($node->send(from => $quicker, to => $did, text => 'STOP')->{http}, 200, 'somebody asks for a pull and does not commit');
	ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '$quicker'", 'delivered'), 'which delays nobody either');
	$session->query('COMMIT');
	$session->close;
}
ok($node->poll($busy, 0), 'until the commit starts it');
is($node->psql('SELECT last_error IS NULL AND finished_at IS NOT NULL FROM omnimsg.optout_pulls'), 't', 'and it ends well');

# ---- one profile's list ----

$node->psql("UPDATE omnimsg.provider_accounts SET messaging_profile_id = '$profile'");
asked();
is(pull(), '', 'an account with a profile');
is(mirror(), $all, 'has the list of that profile');
like(($node->ledger(kind => 'optouts'))[-1]{query}, qr/&filter%5Bmessaging_profile_id%5D=\Q$profile\E$/, 'and asks for it alone');
$node->psql("UPDATE omnimsg.provider_accounts SET messaging_profile_id = 'a+b c&d'");
is(pull(), '', 'one with another profile');
is(mirror(), 0, 'has none of it');
like(($node->ledger(kind => 'optouts'))[-1]{query}, qr/=a%2Bb%20c%26d$/, 'and its name is encoded');
$node->psql("UPDATE omnimsg.provider_accounts SET messaging_profile_id = NULL");
my $requests = $node->psql('SELECT count(*) FROM omnimsg.opt_out_requests');

is(pull(), '', 'without a profile');
is(mirror(), $all, 'all are back');
is($node->psql('SELECT count(*) FROM omnimsg.opt_out_requests'), $requests, 'and nothing of that was an opt-out');

# ---- where both sides differ ----

my ($by_agent, $refused, $by_us, $both, $back) = map { number($_) } 20 .. 24;

is(text($_, 'STOP'), 200, 'STOP to both') for $by_agent, $both;
is($node->send(from => $by_us, to => $did, text => 'STOP')->{http}, 200, 'STOP that the provider does not know of');
$node->psql("SELECT omnimsg_record_consent('$organization', 'sms', '$by_agent', 'opt_in', 'agent', 'called us')");
$node->psql("SELECT omnimsg_record_consent('$organization', 'sms', '+15552001025', 'opt_out', 'agent', 'called us')");
$node->behave("40300:to=$_,times=1") for $refused, $back;
$node->queue($made, [$refused, $back]);
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE status = 'blocked' AND to_number IN ('$refused', '$back')", 2),
	'the provider refuses two texts');
is($node->send(from => $back, to => $did, text => 'START')->{http}, 200, 'one of the two says START');
my $before = join "\n", grep { !/\Q$quick\E|\Q$quicker\E/ } split /\n/, drift();

is($before, '', 'before the list is pulled nothing is known of it');
is(pull(), '', 'then');
is(drift(), join("\n", "$quick|$did|opted_out|not blocked|ours_only", "$quicker|$did|opted_out|not blocked|ours_only",
	"$by_agent|$did|opted_in|blocked|provider_only", "$refused|$did|opted_out|not blocked|block_gone",
	"$by_us|$did|opted_out|not blocked|ours_only"), 'each difference is told');
is($node->psql("SELECT count(*) FROM omnimsg.consent_drift WHERE meaning ~ '^The provider .*\\.\$' AND since < now()
	AND provider_account_id = '$account'"), 5, 'with what it means, and since when');
is(text($_, 'START'), 200, 'START') for $by_agent, $refused, $by_us;
is(pull(), '', 'and the list of after it');
is(drift(), join("\n", map { "$_|$did|opted_out|not blocked|ours_only" } $quick, $quicker), 'resolve them');

# ---- answers that do not fit together ----

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "listen: $!";
my $body_file = $node->dir . '/body';
my $server = fork // die "fork: $!";

if ($server == 0)
{
	# a provider that answers whatever the file says; it must not clean up after its parent
	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
	$SIG{PIPE} = 'IGNORE';	# of too long an answer the worker may not wait for the end
	alarm 1800;
	while (my $peer = $listener->accept)
	{
		while (defined(my $line = readline $peer)) { last if $line =~ /\A\r?\n\z/ }
		open my $handle, '<', $body_file or POSIX::_exit(1);
		my $body = do { local $/; <$handle> };
		print {$peer} "HTTP/1.1 200 OK\r\nContent-Length: ${\length $body}\r\nConnection: close\r\n\r\n$body";
		close $peer;
	}
	POSIX::_exit(0);
}

sub answer
{
	my ($body) = @_;

	open my $handle, '>', "$body_file.new" or die "$body_file: $!";
	print {$handle} $body;
	close $handle or die "$body_file: $!";
	rename "$body_file.new", $body_file or die "rename: $!";
	return;
}

# page(ENTRIES, more): a page as Telnyx writes it
sub page
{
	my ($entries, %meta) = @_;

	return encode_json({ data => $entries, meta => { page_number => 1, page_size => 250, total_pages => 1,
		total_results => scalar(@$entries), %meta } });
}

$all = mirror();
my $entry = { from => $did, to => number(60), created_at => '2025-04-28 12:00:38.631252+00:00', keyword => undef };

$node->setting('omnimsg.telnyx_api_base', 'http://127.0.0.1:' . $listener->sockport);
for my $wrong (
	['an empty object', '{}'],
	['nothing', ''],
	['a number', '1'],
	['no meta', '{"data": []}'],
	['an empty page of many entries', page([], total_results => 5)],
	['another page', page([$entry], page_number => 2)],
	['fewer entries than it says', page([$entry], total_results => 2)],
	['numbers that are none', page([$entry], total_pages => 'all')],
	['a count below zero', page([$entry], total_results => -1)],
	['numbers that were masked', page([{ %$entry, to => '+1555****' }])],
	['no entries but lists', '{"data": [[], []], "meta": {"page_number": 1, "total_pages": 1, "total_results": 2}}'],
	['half a surrogate', page([$entry]) =~ s/null/"\\ud83d"/r],
	['a null byte', page([$entry]) =~ s/null/"\\u0000"/r],
	['invalid UTF-8', page([$entry]) =~ s/null/"\xff"/r],
	['many levels', '[' x 5000],
	['more than a megabyte', page([$entry]) . ' ' x 1100000],
)
{
	answer($wrong->[1]);
	isnt(pull(), '', "$wrong->[0] is an error");
	is(mirror(), $all, 'and removes nothing');
}

# what fits is taken, however strange
my $long = number(62);

answer(page([$entry, { to => undef }, { to => $long, from => 'HARBOR', created_at => 'yesterday', keyword => "\x{e9}" x 300,
	messaging_profile_id => undef, more => [{ from => 'x' }] }, $entry]));
is(pull(), '', 'entries that cannot be read, that come twice or that say more are no error');
is($node->psql("SELECT our_address, address, created_at AT TIME ZONE 'UTC', length(keyword) FROM omnimsg.provider_optouts
	WHERE our_address = '$did'"), "$did|" . number(60) . '|2025-04-28 12:00:38.631252|', 'the others are in the mirror');
is($node->psql("SELECT our_address, length(keyword), created_at > now() - interval '1 hour' FROM omnimsg.provider_optouts
	WHERE address = '$long'"), 'HARBOR|100|t', 'with names for numbers, and words cut short');
is(recorded(number(60)), 2, 'and recorded');
answer(page([], total_pages => 0));
is(pull(), '', 'an empty list is one, too');
is(mirror(), 0, 'and empties the mirror');
kill 'TERM', $server;
waitpid $server, 0;
$node->setting('omnimsg.telnyx_api_base', $simulator);

# ---- what people see ----

isnt($node->psql("SELECT count(*) FROM omnimsg_health() WHERE finding = 'an opt-out list could not be pulled'"), 1,
	'with the interval 0 omnimsg_health does not wait for a pull');
$node->setting('omnimsg.optout_pull_interval', '1h');
$node->psql("UPDATE omnimsg.optout_pulls SET completed_at = now() - interval '26 hours', due_at = now() + interval '1 day',
	last_error = 'HTTP status 500', finished_at = NULL");
is($node->psql("SELECT regexp_replace(detail, 'at .*:', 'at TIME:') FROM omnimsg_health() WHERE finding = 'an opt-out list could not be pulled'"),
	'provider account "simulator", last pulled completely at TIME: HTTP status 500', 'omnimsg_health tells of a pull that failed for a day');
$node->psql("UPDATE omnimsg.optout_pulls SET completed_at = NULL; UPDATE omnimsg.provider_accounts SET created_at = now() - interval '2 hours'");
like($node->psql("SELECT detail FROM omnimsg_health() WHERE finding = 'an opt-out list could not be pulled'"),
	qr/never pulled completely/, 'and of one that never succeeded');
$node->psql("DELETE FROM omnimsg.inbound_phone_numbers; DELETE FROM omnimsg.provider_accounts");
is($node->psql('SELECT (SELECT count(*) FROM omnimsg.optout_pulls) + (SELECT count(*) FROM omnimsg.provider_optouts)'), 0,
	'an account that is deleted takes its list with it');

open my $log, '<', $node->dir . '/log/postgres.log' or die "postgres.log: $!";
my @lines = <$log>;

is(scalar(grep { /KEY-of-the-simulator/ } @lines), 0, 'the key is not in the server\'s log');
is(scalar(grep { /\bomnimsg dispatcher\b.*555200\d{4}/ } @lines), 0, 'and the worker writes no phone number into it');
is(scalar(grep { /\bPANIC\b|TRAP/ } @lines), 0, 'nor anything worse');

done_testing;
