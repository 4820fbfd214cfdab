# What the provider could not deliver is fetched and applied exactly once, whatever happens on the way and however it
# comes besides; nobody's list writes into what belongs to others.

use strict;
use warnings;

use JSON::PP qw(encode_json);
use Omnimsg;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep);

my $node = Omnimsg->new;
my $simulator = $node->env('OMNIMSG_SIM_URL');
my $made = $node->seed;
my ($organization, $did, $account) = @$made{qw(organization did provider_account)};

# number(N): a person's; each scenario has its own
sub number { return sprintf '+1555210%04d', 1000 + $_[0] }

sub rfc3339 { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $_[0])) }

# lost(NUMBER, TEXT, OPTIONS): a message whose webhook nobody takes; the provider lists it as failed
sub lost
{
	my ($from, $text, %more) = @_;
	my $sent = $node->send(from => $from, to => $did, text => $text, via => $simulator, retry_backoff => '10,10', %more);

	$sent->{exit} == 1 or die 'it was delivered';
	return;
}

# event(ID, NUMBER, MORE...): message.received as the provider's list has it
sub event
{
	my ($id, $from, %more) = @_;

	return { event_type => 'message.received', id => "event-$id", occurred_at => rfc3339(-60), record_type => 'event',
		payload => { id => "message-$id", from => { phone_number => $from }, received_at => rfc3339(-60), text => 'hello',
			to => [{ phone_number => $did, status => 'webhook_failed' }], type => 'SMS', %more } };
}

# listed(WEBHOOK, MORE...): the list has that, JSON or a structure to make it of
sub listed
{
	my ($webhook, %more) = @_;
	my $answer = $node->request(POST => '/sim/webhook', url => $simulator,
		body => encode_json({ webhook => ref $webhook ? encode_json($webhook) : $webhook, %more }));

	$answer->{status} == 200 or die "the simulator refused: $answer->{raw}";
	return;
}

# asked(): the pages that were asked for since the last call, as "1 2 3"
my $asked_before = 0;

sub queries
{
	my @all = map { $_->{query} } $node->ledger(kind => 'deliveries');
	my @new = @all[$asked_before .. $#all];

	$asked_before = @all;
	return @new;
}

sub asked { return join ' ', map { /page%5Bnumber%5D=(\d+)/ ? $1 : '?' } queries() }

my $busy = 'SELECT count(*) FROM omnimsg.backfills WHERE finished_at IS NULL OR asked_since IS NOT NULL';

# backfill(SINCE): asks for it and waits for its end; what it counted
sub backfill
{
	my $since = $_[0] // "now() - interval '1 hour'";

	$node->psql("SELECT omnimsg_backfill($since)");
	$node->poll($busy, 0) or return 'no end';
	return counted();
}

sub counted
{
	return $node->psql("SELECT 'seen ' || seen || ', applied ' || applied || ', known ' || duplicates || ', dead ' || dead
		|| ', ignored ' || ignored || ', pending ' || pending FROM omnimsg.backfills WHERE provider_account_id = '$account'");
}

sub messages { return $node->psql("SELECT count(*) FROM omnimsg.messages WHERE direction = 'inbound' AND from_number = '$_[0]'") }

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization'");
$node->setting('omnimsg.optout_pull_interval', '0');
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.request_timeout', '20s');

# ---- the relay is down ----

my ($talks, $stops, $stopped_long_ago) = map { number($_) } 1 .. 3;
my $long_ago = rfc3339(-7200);

$node->kill_relay;
lost($talks, 'hello');
lost($stops, 'STOP');
lost($stopped_long_ago, 'STOP', received_at => $long_ago, occurred_at => $long_ago);
$node->start;
is($node->psql('SELECT count(*) FROM omnimsg.events'), 0, 'three webhooks are lost while the relay is down');
is($node->psql('SELECT omnimsg_backfill()'), 1, 'the account is to be asked for them');
ok($node->poll($busy, 0), 'the backfill comes to an end');
is(counted(), 'seen 3, applied 3, known 0, dead 0, ignored 0, pending 0', 'and has applied all three');
is(join(' ', map { messages($_) } $talks, $stops, $stopped_long_ago), '1 1 1', 'their messages are there');
is($node->psql("SELECT string_agg(state, ' ' ORDER BY address, channel) FROM omnimsg.consents WHERE address IN ('$stops', '$stopped_long_ago')"),
	'opted_out opted_out opted_out opted_out', 'who said STOP is opted out');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE address = '$stopped_long_ago' AND occurred_at = '$long_ago'"), 2,
	'from when it was said');
ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '$stops'", 'delivered'), 'a STOP of just now is confirmed');
is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$stopped_long_ago'"), 0,
	'one of two hours ago is not');
is($node->psql("SELECT new_value ->> 'reason' FROM omnimsg.audit_logs WHERE action = 'AUTO_REPLY_SUPPRESSED'"), 'too late', 'and the audit says why');
is($node->psql("SELECT DISTINCT key_id, signature IS NULL, signed_at > now() - interval '1 minute' FROM omnimsg.events WHERE key_id = 'api'"),
	'api|t|t', 'the journal says where they came from');
like((queries())[-1], qr/^filter%5Bstatus%5D%5Beq%5D=failed&filter%5Bstarted_at%5D%5Bgte%5D=[^&]+&filter%5Bstarted_at%5D%5Blte%5D=/,
	'only what failed was asked for, and when');
is(backfill(), 'seen 3, applied 0, known 3, dead 0, ignored 0, pending 0', 'a second backfill finds nothing new');
is($node->psql('SELECT is_conserved FROM omnimsg.conservation'), 't', 'and the books are balanced');
is($node->psql("SELECT count(*) FROM omnimsg_health() WHERE finding ~ 'backfill'"), 0, 'omnimsg_health has nothing to tell');
my @lines = grep { /backfill of provider account "simulator"/ } log_lines();
like($lines[0], qr/has ended: 3 seen, 3 applied, 0 known before/, 'the log has a line of it');

# ---- what was delivered to a database that is lost ----

my ($first, $second) = map { number(50 + $_) } 1, 2;

is($node->send(from => $_, to => $did, text => 'STOP', via => $simulator)->{http}, 200, 'a webhook is answered 200') for $first, $second;
$node->psql(<<SQL);
DELETE FROM omnimsg.opt_out_requests WHERE address = '$second';
DELETE FROM omnimsg.consents WHERE address = '$second';
DELETE FROM omnimsg.messages WHERE from_number = '$second';
DELETE FROM omnimsg.events WHERE key_id <> 'api' AND convert_from(raw, 'UTF8') LIKE '%$second%';
SQL
is(backfill(), 'seen 3, applied 0, known 3, dead 0, ignored 0, pending 0', 'what is gone from the database was no failure of the provider');
$node->psql("SELECT omnimsg_backfill(now() - interval '1 hour', delivered => true)");
ok($node->poll($busy, 0), 'so all that it tried to deliver is asked for');
is($node->psql("SELECT applied, delivered FROM omnimsg.backfills"), '1|t', 'and what is not here is applied');
is(join(' ', map { messages($_) } $first, $second), '1 1', 'the one that is gone is back, the other was not done twice');
is($node->psql("SELECT state FROM omnimsg.consents WHERE address = '$second' AND channel = 'sms'"), 'opted_out', 'with its consent');
$node->psql("INSERT INTO omnimsg.event_counts (provider, received, counted_at) VALUES ('telnyx', -1, now())");

# ---- several pages, and a provider that fails between them ----

my $base = 100;

sub many
{
	my ($name, $count, %more) = @_;

	listed(event("$name-$_", number($base)), %more) for 1 .. $count;
	return;
}

sub applied { return $node->psql("SELECT count(*) FROM omnimsg.events WHERE outcome = 'applied' AND dedupe_key LIKE 'received:message-$_[0]-%'") }

many('a', 147);
asked();
$node->behave('ok:on=deliveries,times=1 500:on=deliveries,times=1');
is(backfill(), 'seen 150, applied 147, known 3, dead 0, ignored 0, pending 0', '150 are fetched');
is(asked(), '1 2 2 3 4 5', 'in five pages, of which the one that failed was asked for again');
is(applied('a'), 147, 'and each is applied');

# ---- the worker dies between two pages, and more is asked for meanwhile ----

many('b', 20);
$node->behave('ok:on=deliveries,times=1 silent:on=deliveries,ms=20000,times=1');
$node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')");
ok($node->poll('SELECT next_page FROM omnimsg.backfills', 2), 'one page is applied');
ok($node->wait_until(sub { (() = $node->ledger(kind => 'deliveries')) >= $asked_before + 2 }), 'the second hangs');
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'omnimsg dispatcher' AND xact_start IS NOT NULL", 0),
	'with no transaction open');
kill 'KILL', $node->psql('SELECT pid FROM omnimsg_worker_status()');
ok($node->poll($busy, 0), 'another worker ends the same backfill');
is(asked(), '1 2 2 3 4 5 6', 'from the page where it was');
is(counted(), 'seen 170, applied 20, known 150, dead 0, ignored 0, pending 0', 'nothing is lost and nothing done twice');

# ---- a long list delays nobody else who has something to ask ----

my $unknown = number(90);
my $before = () = $node->ledger;

$node->setting('omnimsg.reconcile_after', '100ms');
$node->behave("delay:on=deliveries,ms=1500 cut:to=$unknown,times=1");
$node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')");
ok($node->wait_until(sub { (() = $node->ledger(kind => 'deliveries')) > $asked_before }), 'a list of six slow pages is read');
$node->psql('SELECT omnimsg_pull_optouts()');
$node->queue($made, [$unknown]);
ok($node->poll($busy, 0, 60), 'to its end');
my $order = join '', map { $_->{kind} eq 'optouts' ? 'o' : $_->{kind} ne 'deliveries' ? '' : $_->{query} =~ /status/ ? 'b' : 'l' }
	(sort { $a->{at} cmp $b->{at} } $node->ledger)[$before .. (() = $node->ledger) - 1];

like($order, qr/^b+o?b*l/, 'a look-up of a message of unknown fate does not wait for that');
like($order, qr/o.*b.*b/, 'nor does the opt-out list');
like($order, qr/l.*b/, 'and neither makes the other wait');
$node->behave('ok:on=deliveries');
asked();

many('c', 3, started_at => rfc3339(-36000));
$node->behave('ok:on=deliveries,times=1 silent:on=deliveries,ms=8000,times=1');
$node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')");
ok($node->wait_until(sub { (() = $node->ledger(kind => 'deliveries')) >= $asked_before + 2 }), 'one is under way');
is($node->psql("SELECT omnimsg_backfill(now() - interval '30 minutes')"), 1, 'when somebody asks for less');
is($node->psql("SELECT omnimsg_backfill(now() - interval '1 day')"), 1, 'and for more');
ok($node->poll($busy, 0, 60), 'it goes back as far as that');
is(applied('c'), 3, 'and finds what is older');
is($node->psql("SELECT since < now() - interval '23 hours', applied FROM omnimsg.backfills"), 't|3', 'as one backfill');
like(asked(), qr/^1 2 1 2 3 4 5 6$/, 'which reads the longer list from its beginning');

# ---- the same by webhook at the same time ----

for my $n (1 .. 10)
{
	my $from = number(200 + $n);

	$node->kill_relay if $n == 1;
	lost($from, 'STOP', event_id => "both-$n", message_id => "both-message-$n");
}
$node->start;
$node->behave('delay:on=deliveries,ms=150,times=1');
$node->psql("SELECT omnimsg_backfill(now() - interval '10 minutes')");
is($node->send(from => number(200 + $_), to => $did, text => 'STOP', event_id => "both-$_", message_id => "both-message-$_")->{http},
	200, "webhook $_ comes after all") for 1 .. 10;
# an event that a relay has not committed yet lets the backfill pause for a minute
ok($node->poll($busy, 0, 100), 'while they are fetched');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id LIKE 'both-%'"), 10, 'each message is stored once');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE our_address = '$did' AND channel = 'sms' AND address > '" . number(200)
	. "' AND address < '" . number(211) . "'"), 10, 'and each STOP recorded once');
is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE o.kind = 'opt_out_confirmation' AND m.to_number > '" . number(200) . "' AND m.to_number < '" . number(211) . "'"), 10, 'and confirmed once');

# ---- a status, and what is no event of ours ----

$node->request(POST => '/sim/reset', url => $simulator);
$node->queue($made, [number(300)]);
ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '" . number(300) . "'", 'delivered'), 'a message is delivered');
$node->psql("UPDATE omnimsg.messages SET status = 'sent', external_message_id = 'out-1' WHERE to_number = '" . number(300) . "'");
my $status = { event_type => 'message.finalized', id => 'final-1', occurred_at => rfc3339(0), payload => { id => 'out-1',
	from => { phone_number => $did }, to => [{ phone_number => number(300), status => 'delivery_failed' }] } };
listed({ data => $status, meta => { attempt => 3 } });
listed('{"event_type":"call.hangup","id":"call-1","payload":{}}');
listed('null');
listed('"x"');
(my $deep = encode_json(event('deep', number(301), more => 'DEEP'))) =~ s/"DEEP"/'[' x 10000 . ']' x 10000/e;
(my $zero = encode_json(event('zero', number(301), text => 'ZERO'))) =~ s/ZERO/\\u0000/;
(my $numbers = encode_json(event('numbers', number(302), more => 'N'))) =~ s/"N"/'[' . join(',', ('1e131071') x 5000) . ']'/e;
listed($_) for $deep, $zero, $numbers;
is(backfill(), 'seen 7, applied 2, known 0, dead 4, ignored 1, pending 0', 'what is wrong with one spoils no other');
is($node->psql("SELECT status FROM omnimsg.messages WHERE external_message_id = 'out-1'"), 'failed', 'a status that was listed in its envelope counts');
is(messages(number(302)), 1, 'and a message with numbers that would be large');
is($node->psql("SELECT string_agg(reason, ', ' ORDER BY reason COLLATE \"C\") FROM omnimsg.events WHERE key_id = 'api' AND outcome = 'dead'"),
	'JSON with \\u0000, nested too deeply, no event type, no event type', 'the dead letters say what is wrong');
is($node->psql("SELECT count(*) FROM omnimsg.events WHERE outcome = 'dead' AND convert_from(raw, 'UTF8') LIKE '{\"delivery\":{\"id\":%\"webhook\":\"x\"}}'"), 1,
	'and have all that was listed');

# ---- pages that are too long ----

$node->request(POST => '/sim/reset', url => $simulator);
listed(event("long-$_", number(310), more => 'x' x 60000)) for 1 .. 30;
asked();
is(backfill(), 'seen 30, applied 30, known 0, dead 0, ignored 0, pending 0', 'webhooks that are too long for a page of 32 are fetched');
is(join(' ', map { /page%5Bnumber%5D=(\d+)&page%5Bsize%5D=(\d+)/ ? "$1/$2" : '?' } queries()), '1/32 1/16 2/16', 'in smaller ones');

# ---- what goes wrong ----

my %errors = (
	'503' => 'HTTP status 503',
	'error:status=401,code=10009' => qr/./,
	'garbage' => 'the answer is no list',
	'half' => qr/./,
);

for my $name (sort keys %errors)
{
	my $expected = $errors{$name};

	$node->behave($name . ($name =~ /:/ ? ',' : ':') . 'on=deliveries');
	$node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')");
	ok($node->poll('SELECT failures > 0 FROM omnimsg.backfills', 't'), "$name: it fails");
	my $error = $node->psql('SELECT last_error FROM omnimsg.backfills');

	ref $expected ? like($error, $expected, "$name: the error is kept") : is($error, $expected, "$name: the error is kept");
	like($node->psql("SELECT detail FROM omnimsg_health() WHERE finding = 'a backfill does not come to an end'"),
		qr/^provider account "simulator", since .*: \Q$error\E$/, 'and omnimsg_health tells it');
	$node->behave('ok:on=deliveries');
	$node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')");
	ok($node->poll($busy, 0), 'it ends well in the end');
}
$node->setting('omnimsg.dispatch', 'off');
ok($node->poll('SELECT state FROM omnimsg_worker_status()', 'off'), 'omnimsg.dispatch is off');
asked();
$node->psql('SELECT omnimsg_backfill()');
sleep 0.6;
is(asked(), '', 'nothing is asked of the provider');
$node->setting('omnimsg.dispatch', 'on');
ok($node->poll($busy, 0), 'until it is on');

# ---- a list speaks for the numbers of its account only ----

my $other = '44444444-4444-7444-8444-444444444444';
my $their_number = '+15552109999';

$node->request(POST => '/sim/reset', url => $simulator);
system('cp', '-p', $node->dir . '/secrets/simulator', $node->dir . '/secrets/other') == 0 or die 'cp';
$node->psql(<<SQL);
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name) VALUES ('$other', 'telnyx', 'other', 'other');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider_account_id) VALUES ('$their_number', '$organization', '$other');
SQL
listed(event('ours', number(400), text => 'STOP'));
listed(event('theirs', number(401), text => 'STOP', to => [{ phone_number => $their_number }]));
is($node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')"), 2, 'two accounts are asked');
ok($node->poll($busy, 0), 'and both lists read');
is($node->psql("SELECT string_agg(applied || ' ' || dead, ', ') FROM omnimsg.backfills"), '1 1, 1 1',
	'of the same two webhooks each account may tell the one of its number');
is(messages(number(400)) . messages(number(401)), '11', 'each is applied once');
is($node->psql("SELECT string_agg(dedupe_key || ': ' || reason, ', ' ORDER BY dedupe_key) FROM omnimsg.events WHERE dedupe_key LIKE 'foreign:%'"),
	join(', ', map { "foreign:received:message-$_: its number belongs to another provider account" } qw(ours theirs)), 'the other is a dead letter');
$node->psql("UPDATE omnimsg.provider_accounts SET secret_name = 'simulator' WHERE id = '$other'");
listed(event('shared', number(402), to => [{ phone_number => $their_number }]));
is($node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')"), 2, 'two with the same key');
ok($node->poll($busy, 0), 'are one account at the provider');
is($node->psql("SELECT string_agg(dead::text, ' ') FROM omnimsg.backfills"), '0 0', 'and may tell of both numbers');
is(messages(number(402)), 1, 'once');

# ---- nor does a replay of what a list told of another account's number ----

my $replay = "SELECT string_agg(concat_ws(' ', outcome, reason), ', ' ORDER BY outcome) FROM omnimsg_replay_dead_letters('its number belongs')";
my $refused = 'dead its number belongs to another provider account';

$node->psql("UPDATE omnimsg.provider_accounts SET secret_name = NULL WHERE id = '$other'");
$node->request(POST => '/sim/reset', url => $simulator);
listed(event('stolen', number(403), text => 'STOP', to => [{ phone_number => $their_number }]));
is($node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')"), 1, 'one account is asked');
ok($node->poll($busy, 0), 'and tells of the other\'s number');
# before version 1.2 it was not written down whose list told
$node->psql("UPDATE omnimsg.events SET fetched_from = NULL WHERE dedupe_key = 'foreign:received:message-theirs'");
is($node->psql($replay), join(', ', ($refused) x 3), 'replays are refused');
is($node->psql("SELECT attempts, reason FROM omnimsg.dead_letters WHERE dedupe_key = 'foreign:received:message-stolen'"),
	'2|its number belongs to another provider account', 'and the dead letter says so still');
is($node->psql("SELECT count(*) FROM omnimsg.consents WHERE address = '" . number(403) . "'"), 0, 'nobody is opted out by it');
$node->psql("UPDATE omnimsg.inbound_phone_numbers SET provider_account_id = '$account' WHERE phone_number = '$their_number'");
is($node->psql($replay), join(', ', 'applied', ($refused) x 2), 'it is applied when the number has come to the account');
is($node->psql("SELECT state FROM omnimsg.consents WHERE address = '" . number(403) . "' AND channel = 'sms'"), 'opted_out', 'then it counts');
is($node->psql("SELECT fetched_from FROM omnimsg.events WHERE dedupe_key = 'received:message-stolen'"), $account, 'and the journal says whose list told');

# ---- one profile's ----

$node->psql("DELETE FROM omnimsg.inbound_phone_numbers WHERE provider_account_id = '$other'; DELETE FROM omnimsg.provider_accounts WHERE id = '$other'");
$node->psql("UPDATE omnimsg.provider_accounts SET messaging_profile_id = 'profile one'");
queries();
is(backfill(), 'seen 0, applied 0, known 0, dead 0, ignored 0, pending 0', 'an account with a profile');
like((queries())[-1], qr/&filter%5Bwebhook%5D%5Bcontains%5D=profile%20one$/, 'asks for what tells of it');
is($node->psql('SELECT bool_and(is_conserved) FROM omnimsg.conservation'), 't', 'the books are balanced');

# ---- who holds an event delays nobody ----

my $held = number(500);
my $session = $node->session;
my $json = encode_json({ data => event('held', $held) });

$node->psql('UPDATE omnimsg.provider_accounts SET messaging_profile_id = NULL');
listed(event('held', $held));
$session->query("BEGIN; SELECT outcome FROM omnimsg_ingest('telnyx', convert_to('$json', 'UTF8'))");
$node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')");
ok($node->wait_until(sub { grep { /canceling statement due to lock timeout/ } log_lines() }), 'an event that an open transaction has is waited for for a second');
$node->queue($made, [number(501)]);
ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '" . number(501) . "'", 'delivered'), 'then other things go on');
is($node->psql($busy), 1, 'and the page will be asked for again');
$session->query('COMMIT');
$session->close;
is(messages($held), 1, 'the message is there once');

sub log_lines
{
	open my $log, '<', $node->dir . '/log/postgres.log' or die "postgres.log: $!";
	return <$log>;
}

my @all = log_lines();

is(scalar(grep { /KEY-of-the-simulator/ } @all), 0, 'the key is not in the server\'s log');
is(scalar(grep { /555210\d{4}/ } @all), 0, 'nor a phone number');
is(scalar(grep { /\bPANIC\b|TRAP/ } @all), 0, 'nor anything worse');

done_testing;
