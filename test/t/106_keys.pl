# Keys of provider accounts: one reaches its own numbers only, what it signed is verified again in the database, and years later proves
# that the provider delivered a request.
#
# OMNIMSG_FORGERIES (2000) is how many deliveries somebody makes up who has the role of the relay, OMNIMSG_SEED chooses them.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $forgeries = $ENV{OMNIMSG_FORGERIES} // 2000;
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));

diag("seed $seed, $forgeries forgeries");
my $node = Omnimsg->new;
my ($organization, $account, $did) = @{ $node->seed }{qw(organization provider_account did)};
my $public = $node->public_key;
my $another = '44444444-4444-7444-8444-444444444444';

$node->psql(<<"SQL");
INSERT INTO omnimsg.provider_accounts (id, provider, name) VALUES ('$another', 'telnyx', 'another');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id) VALUES ('+15552000200', '$organization', 'telnyx', '$another');
SQL
my $effects = 'SELECT (SELECT count(*) FROM omnimsg.messages), (SELECT count(*) FROM omnimsg.opt_out_requests), (SELECT count(*) FROM omnimsg.outbox),
	(SELECT count(*) FROM omnimsg.audit_logs WHERE action IN (\'MESSAGE_RECEIVED\', \'OPT_OUT_REQUESTED\', \'AUTO_REPLY_QUEUED\'))';

# ingest(BODY, SIGNATURE, TIME, KEY) as the relay
sub ingest
{
	my ($body, $signature, $time, $key) = map { defined $_ ? "'" . ($_ =~ s/'/''/gr) . "'" : 'NULL' } @_;

	return $node->psql("SELECT outcome, reason FROM omnimsg_ingest('telnyx', convert_to($body, 'UTF8'), $signature, $time, $key)", user => 'omnimsg_relay');
}

# ---- registered and not ----

is($node->psql("SELECT detail FROM omnimsg_health() WHERE finding = 'provider accounts accept any key'"), '"another", "simulator"', 'health names the accounts without keys');
my $hello = $node->signed(from => '+15550100001', to => $did, text => 'Hello');
my $fingerprint = $node->psql("SELECT omnimsg.key_fingerprint('$public')");
is(ingest(@$hello{qw(body signature timestamp)}, 'f' x 64), 'applied|', 'without a key any will do');
is($node->psql("SELECT omnimsg_add_key('$account', '$public')"), $fingerprint, 'a key is registered');
is($node->psql("SELECT key_fingerprints, (SELECT count(*) FROM omnimsg.provider_keys) FROM omnimsg.provider_accounts WHERE id = '$account'"), "{$fingerprint}|1", 'in both places');
like($node->psql_error("SELECT omnimsg_add_key('$account', 'bm8ga2V5')"), qr/22023: invalid public key/, 'what is no key is refused');
like($node->psql_error("SELECT omnimsg_retire_key('$account', '$fingerprint')"), qr/55000: the last key/, 'the last one stays');
is($node->psql("SELECT action, resource_id, new_value FROM omnimsg.audit_logs WHERE action LIKE 'KEY%'"), qq(KEY_ADDED|$account|{"fingerprint": "$fingerprint"}), 'that is audited');

# ---- by the relay ----

is($node->send(from => '+15550100002', to => $did, text => 'STOP')->{http}, 200, 'what the provider signs arrives');
is($node->psql("SELECT outcome, key_id FROM omnimsg.events WHERE event_type = 'message.received' AND message_id IN (SELECT id FROM omnimsg.messages WHERE peer_address = '+15550100002')"), "applied|$fingerprint", 'and is applied');
my $before = $node->psql($effects);

# ---- a key of another account, and what is made up ----

my $key = $node->public_key($node->dir . '/another.key');
$node->psql("SELECT omnimsg_add_key('$another', '$key')");
is($node->send(from => '+15550100003', to => '+15552000200', text => 'STOP')->{http}, 200, 'a delivery for a number of another account is answered');
is($node->psql("SELECT reason, raw_bytes > 0 FROM omnimsg.dead_letters WHERE key_id = '$fingerprint'"), 'wrong key|t', 'and is a dead letter');
my $stop = $node->signed(from => '+15550100004', to => $did, text => 'STOP');
is(ingest(@$stop{qw(body signature timestamp)}, $node->psql("SELECT omnimsg.key_fingerprint('$key')")), 'dead|wrong key', 'the key that is said to have signed must be one of the account');
for my $case (['another body', body => $stop->{body} =~ s/"STOP"/"STOP "/r], ['another time', timestamp => $stop->{timestamp} - 1], ['no signature', signature => undef],
	['no time', timestamp => undef], ['another signature', signature => $hello->{signature}], ['no base64', signature => '?'])
{
	my ($title, %change) = @$case;
	my %sent = (%$stop, %change);

	$node->psql("DELETE FROM omnimsg.events WHERE dedupe_key LIKE 'refused:%'");
	is(ingest(@sent{qw(body signature timestamp)}, $fingerprint), 'dead|bad signature', "$title: a bad signature");
}
is($node->psql($effects), $before, 'none of them has an effect');
is(ingest(@$stop{qw(body signature timestamp)}, $fingerprint), 'applied|', 'and none stands in the way of the event itself');
is($node->psql("SELECT string_agg(outcome, ' ') FROM omnimsg_replay_dead_letters()"), 'dead', 'a replay makes none of them better');
is($node->psql("SELECT reason FROM omnimsg.dead_letters WHERE dedupe_key LIKE 'refused:%'"), 'bad signature', 'and they say so still');

$before = $node->psql($effects);
# 1000 in each statement, which may take longer than the role has
for (my $first = 1; $first <= $forgeries / 50; $first += 20)
{
	my $last = $first + 19 < $forgeries / 50 ? $first + 19 : int($forgeries / 50);

	$node->psql(<<"SQL", user => 'omnimsg_relay');
SET statement_timeout = 0;
SELECT setseed(@{[ ($seed + $first) % 2**31 / 2**31 ]});
SELECT count(*) FROM generate_series($first, $last) AS b CROSS JOIN LATERAL omnimsg_ingest_batch(
	(SELECT array_agg('telnyx'::text) FROM generate_series(1, 50)),
	(SELECT array_agg(convert_to(json_build_object('data', json_build_object('event_type', 'message.received', 'id', 'f-' || b || '-' || n, 'payload', json_build_object('id', 'f-' || b || '-' || n,
		'type', 'SMS', 'text', 'STOP', 'from', json_build_object('phone_number', '+1555' || lpad((random() * 9999999)::int::text, 7, '0')), 'to', json_build_array(json_build_object('phone_number', '$did')))))::text, 'UTF8')
		ORDER BY n) FROM generate_series(1, 50) AS n),
	(SELECT array_agg(encode(sha512((b || ' ' || n || ' ' || random())::bytea), 'base64')) FROM generate_series(1, 50) AS n),
	(SELECT array_agg(extract(epoch FROM now())::bigint::text) FROM generate_series(1, 50)), (SELECT array_agg('$fingerprint'::text) FROM generate_series(1, 50)), NULL);
SQL
}
is($node->psql($effects), $before, 'whoever has the role of the relay and not the key has no effect');
is($node->psql("SELECT count(*) FROM omnimsg.dead_letters WHERE reason = 'bad signature' AND dedupe_key LIKE 'refused:received:f-%'"), int($forgeries / 50) * 50, 'each try is a dead letter');

# ---- evidence ----

my $request = $node->psql("SELECT id FROM omnimsg.opt_out_requests WHERE address = '+15550100004' AND channel = 'sms'");
my $signed_at = $node->psql("SELECT to_timestamp($stop->{timestamp})");
my $proof = "SELECT verdict, signed_at, key_fingerprint, provider, event LIKE 'received:%', reasons FROM omnimsg_reverify('$request')";
is($node->psql($proof), "proven|$signed_at|$fingerprint|telnyx|t|{}", 'a STOP is proven');

# what verdict() is while the statements are in force
sub verdict
{
	my ($statements) = @_;

	return $node->psql("BEGIN; $statements; SELECT verdict, array_to_string(reasons, '; ') FROM omnimsg_reverify('$request'); ROLLBACK");
}

my $event = "provider = 'telnyx' AND dedupe_key = (SELECT dedupe_key FROM omnimsg.opt_out_requests WHERE id = '$request')";
for my $case (["UPDATE omnimsg.events SET raw = set_byte(raw, 20, get_byte(raw, 20) # 1) WHERE $event", qr/^contradicted\|the signature/, 'changed bytes'],
	["UPDATE omnimsg.events SET signed_at = signed_at - interval '1 s' WHERE $event", qr/^contradicted\|the signature/, 'another time'],
	["UPDATE omnimsg.events SET raw = NULL WHERE $event", qr/^not proven\|the bytes/, 'no bytes'],
	["UPDATE omnimsg.events SET signature = NULL WHERE $event", qr/^not proven\|its event has no signature/, 'no signature'],
	["DELETE FROM omnimsg.events WHERE $event", qr/^contradicted\|its event is not in the journal/, 'no event'],
	["UPDATE omnimsg.opt_out_requests SET address = '+15550100009' WHERE id = '$request'", qr/^contradicted\|its address/, 'another person'],
	["UPDATE omnimsg.opt_out_requests SET occurred_at = occurred_at + interval '1 minute' WHERE id = '$request'", qr/^contradicted\|its address/, 'another time of the request'],
	["UPDATE omnimsg.provider_keys SET not_after = '$signed_at'::timestamptz - interval '1 day' WHERE fingerprint = '$fingerprint'", qr/^not proven\|the key that signed it was not in use/, 'a key that had been retired'],
	["DELETE FROM omnimsg.provider_keys WHERE fingerprint = '$fingerprint'", qr/^not proven\|the key that signed it is not registered/, 'a key that nobody knows'])
{
	my ($statement, $expected, $title) = @$case;

	like(verdict($statement), $expected, "$title: not proven");
}
$request = $node->psql("SELECT omnimsg_record_consent('$organization', 'sms', '+15550100005', 'opt_out', 'agent', 'by telephone')");
like(verdict('SELECT'), qr/^not proven\|it did not come from the provider/, 'what an agent recorded is proven by no delivery');

# ---- what comes another way, or is something else than a message ----

my $simulator = $node->env('OMNIMSG_SIM_URL');
my $other_key = $node->psql("SELECT omnimsg.key_fingerprint('$key')");
my $finished = 'SELECT count(*) FROM omnimsg.backfills WHERE finished_at IS NULL OR asked_since IS NOT NULL';

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization'");
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.optout_pull_interval', '0');

# signed_status(MESSAGE, PERSON, STATUS): what became of a message, as the provider signs it
sub signed_status
{
	my ($message, $person, $status, @more) = @_;

	return $node->signed(event_type => 'message.finalized', status => $status, message_id => $message, from => $did, to => $person, text => 'x', @more);
}

# sent(MESSAGE, PERSON): a message that we have sent
sub sent
{
	my ($message, $person) = @_;

	$node->psql("INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, external_message_id, provider, created_at)
		VALUES ('$organization', omnimsg.uuid7(), 'outbound', 'sms', '$did', '$person', 'hi', 'sent', '$message', 'telnyx', now())");
	return;
}

sub status { return $node->psql("SELECT status FROM omnimsg.messages WHERE external_message_id = '$_[0]'") }

sent('out-1', '+15550100020');
my $failed = signed_status('out-1', '+15550100020', 'delivery_failed');
is(ingest(@$failed{qw(body signature timestamp)}, $other_key), 'dead|wrong key', 'a status by the key of another account is a dead letter');
is(ingest(signed_status('out-1', '+15550100020', 'delivery_failed')->{body}, @$failed{qw(signature timestamp)}, $fingerprint), 'dead|bad signature', 'and so is one that is made up');
is(status('out-1'), 'sent', 'neither changes the message');
is(ingest(@$failed{qw(body signature timestamp)}, $fingerprint), 'applied|', 'the provider\'s own does');
is(status('out-1'), 'failed', 'by what it says');

# a status before its message: looked at when it comes, and by the keys of that day
my $early = signed_status('out-2', '+15550100021', 'delivered');
is(ingest(@$early{qw(body signature timestamp)}, $other_key), 'dead|wrong key', 'a status for a message that is not there, by a wrong key, does not wait for it');
is(ingest(@$early{qw(body signature timestamp)}, $fingerprint), 'pending|waits for its message', 'by the right one it does');

# ---- a number of two organizations, with an account each ----

my $partner = '33333333-3333-7333-8333-333333333333';
my $keyless = '55555555-5555-7555-8555-555555555555';
my ($shared, $open) = ('+15552000300', '+15552000301');
$node->psql(<<"SQL");
INSERT INTO omnimsg.organizations (id, name) VALUES ('$partner', 'Maple Dental');
INSERT INTO omnimsg.provider_accounts (id, provider, name) VALUES ('$keyless', 'telnyx', 'keyless');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id) VALUES
	('$shared', '$organization', 'telnyx', '$account'), ('$shared', '$partner', 'telnyx', '$another'),
	('$open', '$organization', 'telnyx', '$account'), ('$open', '$partner', 'telnyx', '$keyless');
SQL
my %file = ($fingerprint => undef, $other_key => $node->dir . '/another.key', stranger => $node->dir . '/stranger.key');
my $stranger = $node->psql("SELECT omnimsg.key_fingerprint('" . $node->public_key($file{stranger}) . "')");
my $person = 30;
for my $case ([$shared, $fingerprint, 'applied|', 'the key of the one'], [$shared, $other_key, 'applied|', 'the key of the other'],
	[$shared, 'stranger', 'dead|wrong key', 'a key of neither'], [$open, $fingerprint, 'applied|', 'where the other has no key: the key of the one'],
	[$open, 'stranger', 'dead|wrong key', 'and no other'])
{
	my ($number, $by, $expected, $title) = @$case;
	my $from = '+155501000' . $person++;
	my $message = $node->signed(from => $from, to => $number, text => 'STOP', $file{$by} ? (key_file => $file{$by}) : ());

	is(ingest(@$message{qw(body signature timestamp)}, $by eq 'stranger' ? $stranger : $by), $expected, "a number of two: $title");
	is($node->psql("SELECT count(DISTINCT organization_id) FROM omnimsg.opt_out_requests WHERE address = '$from'"), $expected =~ /dead/ ? 0 : 2,
		$expected =~ /dead/ ? 'counts for nobody' : 'counts for both');
}
is($node->psql("SELECT string_agg(DISTINCT verdict, ' ') FROM omnimsg.opt_out_requests q, omnimsg_reverify(q.id) WHERE q.our_address IN ('$shared', '$open')"),
	'proven', 'what any of them signed is proven for each');

# ---- a number without an account, and one that nobody has yet ----

my ($loose, $nobodys) = ('+15552000400', '+15552000401');
my $named = "SELECT detail FROM omnimsg_health() WHERE finding = 'numbers without a provider account accept any key'";
is($node->psql($named), '', 'each number has an account');
$node->psql("INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, reply_mode) VALUES ('$loose', '$organization', 'off');
	UPDATE omnimsg.inbound_phone_numbers SET provider_account_id = NULL WHERE phone_number = '$open' AND organization_id = '$partner'");
is($node->psql($named), '1: ' . $node->psql("SELECT omnimsg_mask_phone('$loose')"), 'health names one that has none, unless another that shares it has keys');
is(ingest($node->signed(from => '+15550100250', to => $loose, text => 'STOP')->{body}, undef, undef, undef), 'applied|replies are off for the number', 'for any key reaches it');

for my $said (['+15550100251', 'STOP'], ['+15550100251', 'START'], ['+15550100252', 'START'])
{
	my ($from, $text) = @$said;

	is(ingest($node->signed(from => $from, to => $nobodys, text => $text)->{body}, undef, undef, undef), 'applied|', "somebody makes up a $text for a number that nobody has yet");
}
is($node->psql("SELECT rows FROM omnimsg_assign_number('$nobodys', '$organization') WHERE object = 'omnimsg.opt_out_requests'"), 2, 'its first owner gets what opts out');
is($node->psql("SELECT address, channel, state FROM omnimsg.consents WHERE organization_id = '$organization' AND address IN ('+15550100251', '+15550100252') ORDER BY 1, 2"),
	"+15550100251|sms|opted_out\n+15550100251|voice|opted_out", 'and no consent that was planted there');

# ---- what is fetched from the provider's list has no signature ----

# lost(NUMBER, TEXT): its webhook does not arrive
sub lost
{
	my ($from, $text) = @_;

	$node->send(from => $from, to => $did, text => $text, via => $simulator, retry_backoff => '10,10')->{exit} == 1 or die 'it was delivered';
	return;
}

$node->psql(<<'SQL');
CREATE SCHEMA test;
CREATE FUNCTION test.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body = 'refused') EXECUTE FUNCTION test.refuse();
SQL
$node->kill_relay;
lost('+15550100040', 'STOP');
lost('+15550100041', 'refused');
$node->start;
$node->psql("UPDATE omnimsg.provider_accounts SET secret_name = 'simulator' WHERE id = '$account'");
$node->psql("SELECT omnimsg_backfill(now() - interval '1 hour')");
ok($node->poll("$finished", 0, 60) || $node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE address = '+15550100040'"), 'a backfill');
ok($node->poll("SELECT string_agg(DISTINCT request_type, ' ') FROM omnimsg.opt_out_requests WHERE address = '+15550100040'", 'opt_out'), 'applies a STOP, though it has no signature');
my $fetched = $node->psql("SELECT id FROM omnimsg.opt_out_requests WHERE address = '+15550100040' AND channel = 'sms'");
like($node->psql("SELECT verdict, array_to_string(reasons, '; ') FROM omnimsg_reverify('$fetched')"), qr/^not proven\|its event was fetched from the provider's list/,
	'which proves nothing, and says so');
ok($node->poll("SELECT count(*) FROM omnimsg.dead_letters WHERE reason LIKE 'could not be applied%'", 1), 'one that a trigger refuses is a dead letter');
$node->psql('DROP TRIGGER refuse ON omnimsg.messages');
is($node->psql("SELECT outcome FROM omnimsg_replay_dead_letters('could not be applied')"), 'applied', 'and its replay needs no signature either');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE from_number = '+15550100041'"), 1, 'it has its message');
is(ingest($node->psql("SELECT convert_from(raw, 'UTF8') FROM omnimsg.events WHERE provider = 'telnyx' AND dedupe_key =
	(SELECT dedupe_key FROM omnimsg.opt_out_requests WHERE id = '$fetched')") =~ s/\+15550100040/+15550100042/gr =~ s/"id": ?"/${\ '"id":"x'}/gr, undef, undef, undef),
	'dead|wrong key', 'who hands in such a one himself needs one');

# ---- requests that are something else than a STOP ----

# verdict_of(CONDITION)
sub verdict_of
{
	my ($condition) = @_;

	return $node->psql("SELECT DISTINCT v.verdict, array_to_string(v.reasons, '; ') FROM omnimsg.opt_out_requests q, omnimsg_reverify(q.id) v WHERE $condition");
}

$node->behave('blocked-later');
$node->queue({ organization => $organization, did => $did }, ['+15550100050']);
ok($node->poll("SELECT count(*) > 0 FROM omnimsg.opt_out_requests WHERE address = '+15550100050' AND source = 'provider_block'", 't'), 'the provider says afterwards that it blocks somebody');
is(verdict_of("address = '+15550100050'"), 'proven|', 'its event proves it');
$node->behave('40300');
$node->queue({ organization => $organization, did => $did }, ['+15550100051']);
ok($node->poll("SELECT count(*) > 0 FROM omnimsg.opt_out_requests WHERE address = '+15550100051' AND source = 'provider_block'", 't'), 'and at once');
like(verdict_of("address = '+15550100051'"), qr/\Anot proven\|it did not come from the provider|\Anot proven\|/, 'an answer is not signed, and proves nothing');
$node->behave_well;

is($node->send(from => '+15550100052', to => $did, text => 'please do not text me so often')->{http}, 200, 'somebody writes what may be an opt-out');
my $review = $node->psql("SELECT id FROM omnimsg.reviews WHERE address = '+15550100052'");
my $reviewed = $node->psql("SELECT omnimsg_review('$review', 'opt_out', 'Ann')");
is(verdict_of("address = '+15550100052'"), 'proven|', 'a reviewer takes it for one: what was written is proven, and how it was understood is the reviewer\'s');

is($node->send(from => '+15550100053', to => $did, text => 'STOP')->{http}, 200, 'somebody stops');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '+15550100053' AND o.settled_at IS NULL", 0), 'is answered');
my $erased = $node->psql("SELECT id FROM omnimsg.opt_out_requests WHERE address = '+15550100053' AND channel = 'sms'");
$node->psql("SELECT omnimsg_erase_person('$organization', '+15550100053')");
is($node->psql("SELECT verdict, array_to_string(reasons, '; ') FROM omnimsg_reverify('$erased')"),
	'not proven|the bytes of its event are not there any more: they were erased with the data of the person', 'and erased: nothing is proven any more, nor contradicted');

# ---- the key is changed ----

$request = $node->psql("SELECT id FROM omnimsg.opt_out_requests WHERE address = '+15550100004' AND channel = 'sms'");
$node->psql("SELECT omnimsg_add_key('$account', '$key')");
is($node->psql("SELECT omnimsg_retire_key('$account', '$fingerprint')"), 't', 'a key is retired when there is another one');
is(ingest(@{ $node->signed(from => '+15550100006', to => $did, text => 'STOP') }{qw(body signature timestamp)}, $fingerprint), 'dead|wrong key', 'it counts for nothing from then on');
is($node->psql($proof), "proven|$signed_at|$fingerprint|telnyx|t|{}", 'and what it signed before stays proven');

# the status of above has been waiting for its message since before that
sent('out-2', '+15550100021');
$node->psql('SELECT pg_terminate_backend(pid) FROM omnimsg_worker_status()');
ok($node->poll("SELECT status FROM omnimsg.messages WHERE external_message_id = 'out-2'", 'delivered', 60), 'what came before and waited for its message is applied');

done_testing();
