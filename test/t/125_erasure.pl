# One person's data is given out whole and erased whole; what they said of being written to holds all the same, also when their
# address comes back by itself, by an import or in the provider's list.

use strict;
use warnings;

use JSON::PP qw(decode_json encode_json);
use Omnimsg;
use Test::More;

my $node = Omnimsg->new(simulator => ['--native-optout']);
my $simulator = $node->env('OMNIMSG_SIM_URL');
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $key = $node->dir . '/secrets/erasure_key';
my ($anna, $other, $carl, $dora, $emil) = map { "+1555200100$_" } 1 .. 5;
my $mail = 'anna@example.com';
my $canary = 'my cat is called Mimi';

sub text
{
	my ($from, $text, %more) = @_;

	return $node->send(from => $from, to => $did, text => $text, %more)->{http};
}

sub settle
{
	$node->poll('SELECT count(*) FROM omnimsg.outbox WHERE settled_at IS NULL', 0, 60) or die 'replies are not sent';
}

sub erase
{
	my ($address, $more) = @_;

	settle();	# what is just being sent is refused
	return $node->psql("SELECT omnimsg_erase_person('$organization', '$address'" . ($more // '') . ')');
}

# where(TEXT): the tables that have it in any column, bytes included
sub where
{
	my ($text) = @_;
	my $digits = $text =~ s/^\+//r;
	my $tables = $node->psql(<<'SQL');
SELECT string_agg(format('SELECT %L WHERE EXISTS (SELECT 1 FROM %s t WHERE %s)', c.oid::regclass, c.oid::regclass, w.any_column), ' UNION ALL ')
  FROM pg_class c, LATERAL (
		SELECT string_agg(CASE WHEN a.atttypid = 'bytea'::regtype THEN format('position(''TEXT''::bytea IN t.%I) > 0', a.attname)
							   ELSE format('position(''TEXT'' IN t.%I::text) > 0', a.attname) END, ' OR ') AS any_column
		  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS w
 WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind = 'r' AND w.any_column IS NOT NULL
SQL
	$tables =~ s/TEXT/$digits/g;
	return join ' ', sort split /\n/, $node->psql($tables);
}

# ---- somebody of whom there is something everywhere ----

$node->psql(<<"SQL");
INSERT INTO omnimsg.collection_accounts (organization_id, id, name, primary_phone, email)
	VALUES ('$organization', omnimsg.uuid7(), 'Anna Canary', '$anna', '$mail');
INSERT INTO omnimsg.send_limits (organization_id, region, opens, closes) VALUES ('$organization', '*', '00:00', '24:00')
	ON CONFLICT DO NOTHING;
SQL
is(text($anna, $canary), 200, 'a person writes');
is(text($anna, 'please do not text me so often'), 200, 'and something that may be an opt-out');
is(text($other, $canary), 200, 'another one writes the same');
is(text($anna, 'STOP', via => $simulator), 200, 'the first one stops');
is($node->psql("SELECT omnimsg_flag_address('$organization', '$anna', 'wrong_number', 'says ' || '$canary') IS NULL"), 'f', 'is flagged');
$node->psql("SELECT omnimsg_record_consent('$organization', 'email', '$mail', 'opt_out', 'agent', 'by phone: $canary')");
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE settled_at IS NULL", 0, 60), 'what was to be answered is answered');
like(where($anna), qr/address_flags.*collection_accounts.*consents.*events.*messages.*opt_out_requests/, 'the number is in many tables');

# ---- what is there is given out ----

my $export = decode_json($node->psql("SELECT omnimsg_export_person('$organization', '$anna')"));
is($export->{address}, $anna, 'an export says whose it is');
is(scalar(grep { ($_->{message_body} // '') eq $canary } @{ $export->{messages} }), 1, 'has the messages');
is(scalar(@{ $export->{accounts} }), 1, 'the account');
is(join(' ', sort map { "$_->{channel}/$_->{state}" } @{ $export->{consents} }), 'sms/opted_out voice/opted_out', 'the consents');
is(scalar(@{ $export->{flags} }), 1, 'the flag');
cmp_ok(scalar(@{ $export->{audit} }), '>=', 4, 'and what was put on record about them');
ok(!grep({ ($_->{peer_address} // '') ne $anna } @{ $export->{messages} }), 'and nothing of anybody else');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'PERSON_EXPORTED' AND new_value->>'address_hash' LIKE 'erased:%'"), 1,
	'which is put on record, without the address');
is($node->psql("SELECT omnimsg_export_person('$organization', '+15552009999')->>'messages'"), '[]', 'of somebody unknown there is nothing');

# ---- what keeps it from being erased ----

my $hold = $node->psql("SELECT omnimsg_place_hold('$organization', '$anna', 'a case')");
like($node->psql_error("SELECT omnimsg_erase_person('$organization', '$anna')"), qr/a legal hold keeps the data of "\+1555\*\*\*1001".*HINT/s, 'a legal hold does');
$node->psql("SELECT omnimsg_release_hold('$hold')");
$node->psql("SELECT * FROM omnimsg_ingest('telnyx', convert_to('{\"data\":{\"from\":\"$anna\",\"to\":\"$did\"', 'UTF8'))");
like($node->psql_error("SELECT omnimsg_erase_person('$organization', '$anna')"), qr/1 dead letter.s. name "\+1555\*\*\*1001".*HINT/s, 'a dead letter that names the person does');
rename $key, "$key.away" or die "$key: $!";
like($node->psql_error("SELECT omnimsg_erase_person('$organization', '$anna', true)"), qr/the key of erasures cannot be read: .*HINT:.*erasure_key/s, 'and a key that is not there does');
rename "$key.away", $key or die "$key: $!";

# ---- it is erased ----

my $audit = "SELECT md5(string_agg(l::text, ',' ORDER BY l.id)) FROM omnimsg.audit_logs l WHERE l.action <> 'PERSON_ERASED'";
my $trail = $node->psql($audit);
my $certificate = erase($anna, ', dead_letters => true');
erase($mail);
is(where($anna), '', 'the number is in no table any more');
is(where('Anna Canary'), '', 'nor the name');
is(where($mail), '', 'nor the e-mail address');
is(where($canary), 'omnimsg.messages' . ($node->psql("SELECT '_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")), 'the text only where the other one wrote it');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE message_body = '$canary'"), 1, 'once');
my $dump = $node->dir . '/erased.sql';
is(join('', $node->program('pg_dump', '--file', $dump)), '0', 'a dump');
open my $in, '<', $dump or die "$dump: $!";
is(scalar(grep { /5552001001|anna\@example|Anna Canary/ } <$in>), 0, 'has none of it');
close $in;
is($node->psql($audit), $trail, 'the audit trail is byte by byte what it was');
is($node->psql("SELECT erased_by ~ '^role:', address_hash ~ '^erased:[0-9a-f]{32}\$', counts->>'messages', counts->>'requests', counts->>'accounts', counts->>'dead_letters', returned_at IS NULL
	FROM omnimsg.erasures WHERE id = '$certificate'"), 't|t|' . scalar(@{ $export->{messages} }) . '|' . scalar(@{ $export->{requests} }) . '|1|1|t', 'a certificate says what was done');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'PERSON_ERASED' AND resource_id = '$certificate'"), 1, 'and the trail names it');
is($node->psql("SELECT count(*) FROM omnimsg.events WHERE raw_sha256 IS NOT NULL AND raw IS NULL") > 0, 1, 'of the bytes that proved the request their hash is left');
$node->psql("UPDATE omnimsg.events SET received_at = received_at - interval '401 days' WHERE raw_sha256 IS NOT NULL");
$node->psql('SELECT * FROM omnimsg_maintain()');
is($node->psql("SELECT string_agg(DISTINCT v.verdict, ' ') FROM omnimsg.opt_out_requests q, omnimsg_reverify(q.id) v WHERE q.address ~ '^erased:'"),
	'not proven', 'for ever: retention does not make of it that its event was never there');
is($node->psql('SELECT bool_and(is_conserved) FROM omnimsg.conservation'), 't', 'the books are balanced');
is($node->psql("SELECT state FROM omnimsg_consent_as_of('$organization', 'sms', '$anna')"), 'opted_out', 'that they have stopped is known all the same');

# ---- and holds ----

like($node->psql_error("SELECT omnimsg_send('$organization', '$anna', 'Hello')"), qr/OM001.*before their data was erased/s, 'nobody can write to them');
$node->psql('SELECT omnimsg_pull_optouts()');
ok($node->poll("SELECT count(*) FROM omnimsg.optout_pulls WHERE due_at = '-infinity' OR finished_at IS NULL", 0), 'the provider\'s list is pulled, which has the number');
is(where($anna), '', 'and it does not come back with it');
is($node->psql("SELECT count(*) FROM omnimsg.provider_optouts WHERE address LIKE 'erased:%'"), 1, 'the entry is recognised');
is($node->psql("SELECT difference FROM omnimsg.consent_drift WHERE difference <> 'block_gone'"), '', 'and no drift is told');

$node->psql("INSERT INTO omnimsg.collection_accounts (organization_id, id, primary_phone) VALUES ('$organization', omnimsg.uuid7(), '(555) 200-1001')");
is($node->psql("SELECT sms_consent FROM omnimsg.collection_accounts WHERE primary_phone = '$anna'"), 'f', 'an account that is imported afterwards is born opted out');
is($node->psql("SELECT returned_at IS NOT NULL FROM omnimsg.erasures WHERE id = '$certificate'"), 't', 'the certificate says that they are back');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'ERASED_PERSON_RETURNED' AND resource_id = '$certificate'"), 1, 'and so does the trail');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE address = '$anna' AND (matched_text LIKE '%STOP%' OR note LIKE '%Mimi%')"), 0, 'texts are not back');
is($node->psql("SELECT string_agg(gate, ',') FROM omnimsg_explain_send('$organization', 'sms', '$anna') WHERE verdict = 'block'") =~ /consent/, 1, 'the gate says opted out as ever');

# ---- somebody who has not stopped, and somebody who comes back by themselves ----

is(text($carl, 'Hello'), 200, 'one who only said hello');
erase($carl);
is(where($carl), '', 'is erased');
is(text($carl, 'Hello again'), 200, 'and writes again');
like($node->psql("SELECT omnimsg_send('$organization', '$carl', 'Good day')"), qr/\A[0-9a-f-]{36}\z/, 'is answered like anybody');

is(text($dora, 'STOP'), 200, 'one who stopped');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE settled_at IS NULL", 0, 60), 'and has it confirmed');
erase($dora);
is(text($dora, 'START'), 200, 'and wants messages again after the erasure');
is($node->psql("SELECT state FROM omnimsg.consents WHERE address = '$dora' AND channel = 'sms'"), 'opted_in', 'has them');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE address = '$dora' AND channel = 'sms'"), 2, 'by a request that lifts the old one');
is(text($dora, 'STOP'), 200, 'stops again');
erase($dora);
is(text($dora, 'STOP'), 200, 'is erased, and stops once more');
is($node->psql("SELECT reply FROM omnimsg_ingest('telnyx', convert_to('{}', 'UTF8'))"), 'none', 'a body that says nothing has no reply');
is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.organization_id = o.organization_id AND m.id = o.message_id
	WHERE m.to_number = '$dora' AND o.kind = 'opt_out_confirmation'"), 0, 'which is not confirmed again: they were out before');

# ---- what the provider tells twice, and what it tells afterwards ----

# blocked(ADDRESS, EVENT, MESSAGE): the provider says of a message that the person had stopped
sub blocked
{
	my ($address, $event, $message) = @_;
	my $body = encode_json({ data => { event_type => 'message.finalized', id => $event, record_type => 'event', occurred_at => '2026-01-01T00:00:00Z', payload => {
		id => $message, direction => 'outbound', record_type => 'message', type => 'SMS', text => $canary, from => { phone_number => $did }, to => [{ phone_number => $address, status => 'sending_failed' }],
		errors => [{ code => '40300', title => 'Blocked due to STOP message' }] } } });

	return $node->psql("SELECT outcome FROM omnimsg_ingest('telnyx', convert_to('$body', 'UTF8'))");
}

for my $address ('+15552001009', '+15552001010')
{
	my $late = $address =~ /10$/;

	text($address, 'Hello');
	$node->psql("SELECT omnimsg_send('$organization', '$address', 'Good day')");
	settle();
	my $id = $node->psql("SELECT max(external_message_id) FROM omnimsg.messages WHERE to_number = '$address' AND message_body = 'Good day'");
	if ($late) { erase($address) }
	is(blocked($address, 'blocked-' . ($_ + ($late ? 2 : 0)), $id), 'applied', 'the provider refuses a message because the person stopped' . ($late ? ', and tells it when they were erased' : '')) for 1 .. 2;
	is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE source = 'provider_block' AND message_id = (SELECT id FROM omnimsg.messages WHERE external_message_id = '$id')"), 1, 'which is one request');
	if (!$late) { erase($address) }
	is(where($address), '', 'nothing is left of the person');
}

# ---- at the same time ----

is(text($emil, 'Hello'), 200, 'one who is written to');
my $session = $node->session;
$session->query('BEGIN');
$session->query("SELECT omnimsg_erase_person('$organization', '$emil')");
is(text($emil, 'STOP', attempts => 20), 200, 'a STOP comes while they are being erased');
$session->query('COMMIT');
$session->close;
ok($node->poll("SELECT state FROM omnimsg.consents WHERE address = '$emil' AND channel = 'sms'", 'opted_out'), 'and is in force, under the number');
ok($node->poll("SELECT count(*) FROM omnimsg.consent_repairs", 0), 'with nothing left to do');
like($node->psql_error("SELECT omnimsg_send('$organization', '$emil', 'Hello')"), qr/OM001/, 'nobody writes to them');

# ---- what organizations share ----

my $partner = '55555555-5555-7555-8555-555555555555';
my ($shared, $fay, $gus, $hal) = ('+15552000150', map { "+1555200100$_" } 6 .. 8);
$node->psql(<<"SQL");
INSERT INTO omnimsg.organizations (id, name) VALUES ('$partner', 'Partner Dental');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	SELECT '$shared', o, 'telnyx', '$made->{provider_account}' FROM unnest('{$organization, $partner}'::uuid[]) AS o;
CREATE ROLE admin_ours LOGIN IN ROLE omnimsg_admin;
CREATE ROLE admin_theirs LOGIN IN ROLE omnimsg_admin;
SELECT omnimsg_map_role('admin_ours', '$organization'), omnimsg_map_role('admin_theirs', '$partner');
SELECT omnimsg_add_key('$made->{provider_account}', '@{[$node->public_key]}');
SQL

# ours(ADDRESS, ...), theirs(ADDRESS, ...): erase it as an administrator of the one or the other; what the certificate counts
sub erase_as
{
	my ($user, $owner, $address, $more) = @_;

	settle();
	my $id = $node->psql("SELECT omnimsg_erase_person('$owner', '$address'" . ($more // '') . ')', user => $user);
	return $node->psql("SELECT counts->>'evidence', counts->>'dead_letters', counts->>'kept_for_others' FROM omnimsg.erasures WHERE id = '$id'");
}

sub ours { return erase_as('admin_ours', $organization, @_) }
sub theirs { return erase_as('admin_theirs', $partner, @_) }

sub verdicts
{
	my ($owner, $condition) = @_;
	return $node->psql("SELECT string_agg(DISTINCT v.verdict, ' ') FROM omnimsg.opt_out_requests q, omnimsg_reverify(q.id) v
		WHERE q.organization_id = '$owner' AND q.our_address = '$shared' AND $condition");
}

is(text($fay, 'please do not text me so often', to => $shared), 200, 'a person writes to a number of two organizations');
is(text($fay, 'STOP', to => $shared), 200, 'and stops');
is($node->psql("SELECT count(DISTINCT organization_id), count(DISTINCT dedupe_key) FROM omnimsg.opt_out_requests WHERE address = '$fay'"), '2|1', 'which one delivery proves for both');
my $their_hold = $node->psql("SELECT omnimsg_place_hold('$partner', NULL, 'a case of theirs')");
is(ours($fay), '0|0|2', 'one erases the person: the certificate says that bytes stay for others');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE organization_id = '$organization' AND address = '$fay'"), 0, 'it has the number in no request');
is(verdicts($partner, "q.address = '$fay'"), 'proven', 'what the other has is proven still');
is(verdicts($organization, "q.address LIKE 'erased:%'"), 'not proven', 'its own is not, and is not contradicted either');
is($node->psql("SELECT count(*) FROM omnimsg.reviews v JOIN omnimsg.events e USING (provider, dedupe_key) WHERE v.organization_id = '$partner' AND v.address = '$fay' AND e.raw IS NOT NULL"), 1,
	'nor has the other\'s review lost its bytes');
like($node->psql_error("SELECT omnimsg_erase_person('$partner', '$fay')", user => 'admin_theirs'), qr/a legal hold keeps/, 'whose hold holds');
$node->psql("SELECT omnimsg_release_hold('$their_hold')");
is(theirs($fay), '2|0|0', 'the last one to erase the person takes the bytes along');
is(where($fay), '', 'then the number is nowhere');

is($node->psql("SELECT outcome FROM omnimsg_ingest('telnyx', convert_to('{\"data\":{\"from\":\"$gus\",\"to\":\"$shared\"', 'UTF8'))"), 'dead', 'a letter that cannot be read names a number of both');
is(ours($gus, ', dead_letters => true'), '0|0|1', 'one erases it: it stays for the other, who may have to apply it');
is(where($gus), 'omnimsg.events', 'with its bytes, and nothing else has the number');
is(theirs($gus, ', dead_letters => true'), '0|1|0', 'the other one takes it along');
is(where($gus), '', 'and nothing is left');

is(text($hal, 'STOP', to => $shared), 200, 'another one stops');
settle();
my $first = $node->session(user => 'admin_ours');
my $second = $node->session(user => 'admin_theirs');
$first->query('BEGIN');
$first->query("SELECT omnimsg_erase_person('$organization', '$hal')");
$second->begin("SELECT omnimsg_erase_person('$partner', '$hal')");
ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE usename = 'admin_theirs' AND wait_event_type = 'Lock'", 1), 'who erases the same person at the same time waits');
$first->query('COMMIT');
$second->result;
$_->close for $first, $second;
is(where($hal), '', 'and leaves nothing for the other');
like($node->psql_error("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT omnimsg_erase_person('$partner', '$hal')"), qr/25001: omnimsg_erase_person needs .*READ COMMITTED/, 'it wants to see what others have erased');

# ---- a key that is lost ----

rename $key, "$key.away" or die "$key: $!";
erase_is_held('the key cannot be read');
open my $out, '>', $key or die "$key: $!";
print {$out} "ffffffffffffffffffffffffffffffffffff\n";
close $out;
chmod 0600, $key;
chown((stat "$key.away")[4, 5], $key);
erase_is_held('the key is another one than at the erasure');
rename "$key.away", $key or die "$key: $!";
is($node->psql("SELECT count(*) FROM omnimsg_health() WHERE finding ~ 'erased'"), 0, 'with the key all is well');

sub erase_is_held
{
	my ($why) = @_;

	is($node->psql("SELECT detail FROM omnimsg_health() WHERE finding ~ 'erased'"), $why, "health says that $why");
	is($node->psql("SELECT verdict, reason ~ 'without the key' FROM omnimsg_explain_send('$organization', 'sms', '$other', 'x') WHERE gate = 'consent'"), 'hold|t',
		'and what would be sent waits');
	return;
}

# ---- the provider's list is due while somebody is being erased, whose number is in it ----

my $frieda = '+15552001019';

is(text($frieda, 'STOP', via => $simulator), 200, 'somebody stops');
settle();
my $eraser = $node->session;
$eraser->query('BEGIN');
like($eraser->query("SELECT omnimsg_erase_person('$organization', '$frieda')"), qr/^[0-9a-f-]{36}$/, 'and is being erased');
$node->setting('omnimsg.optout_pull_interval', '1s');
# the worker has many rounds in which it could pull the list
for my $n (20 .. 29)
{
	is(text("+155520010$n", 'STOP'), 200, 'somebody else stops');
	settle();
}
# a pull of after it would mend what one of before has done
$node->setting('omnimsg.dispatch', 'off');
ok($node->poll('SELECT state FROM omnimsg_worker_status()', 'off'), 'the worker rests');
$eraser->query('COMMIT');
$eraser->close;
is(where($frieda), '', 'the list has not brought the number back');

done_testing;
