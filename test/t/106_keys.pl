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
is($node->psql("SELECT outcome, key_id FROM omnimsg.events WHERE message_id IN (SELECT id FROM omnimsg.messages WHERE peer_address = '+15550100002')"), "applied|$fingerprint", 'and is applied');
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
$node->psql(<<"SQL", user => 'omnimsg_relay');
SELECT setseed(@{[ $seed / 2**31 ]});
SELECT count(*) FROM generate_series(1, $forgeries / 50) AS b CROSS JOIN LATERAL omnimsg_ingest_batch(
	(SELECT array_agg('telnyx'::text) FROM generate_series(1, 50)),
	(SELECT array_agg(convert_to(json_build_object('data', json_build_object('event_type', 'message.received', 'id', 'f-' || b || '-' || n, 'payload', json_build_object('id', 'f-' || b || '-' || n,
		'type', 'SMS', 'text', 'STOP', 'from', json_build_object('phone_number', '+1555' || lpad((random() * 9999999)::int::text, 7, '0')), 'to', json_build_array(json_build_object('phone_number', '$did')))))::text, 'UTF8')
		ORDER BY n) FROM generate_series(1, 50) AS n),
	(SELECT array_agg(encode(sha512((b || ' ' || n || ' ' || random())::bytea), 'base64')) FROM generate_series(1, 50) AS n),
	(SELECT array_agg(extract(epoch FROM now())::bigint::text) FROM generate_series(1, 50)), (SELECT array_agg('$fingerprint'::text) FROM generate_series(1, 50)), NULL);
SQL
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

# ---- the key is changed ----

$request = $node->psql("SELECT id FROM omnimsg.opt_out_requests WHERE address = '+15550100004' AND channel = 'sms'");
$node->psql("SELECT omnimsg_add_key('$account', '$key')");
is($node->psql("SELECT omnimsg_retire_key('$account', '$fingerprint')"), 't', 'a key is retired when there is another one');
is(ingest(@{ $node->signed(from => '+15550100006', to => $did, text => 'STOP') }{qw(body signature timestamp)}, $fingerprint), 'dead|wrong key', 'it counts for nothing from then on');
is($node->psql($proof), "proven|$signed_at|$fingerprint|telnyx|t|{}", 'and what it signed before stays proven');

done_testing();
