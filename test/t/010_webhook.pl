# One webhook of every kind, from the provider's signature to the provider's answer.

use strict;
use warnings;

use JSON::PP qw(encode_json);
use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my ($ada, $stranger) = ('+15552000101', '+15552000103');
my $nobody = '00000000-0000-0000-0000-000000000000';

$node->psql(<<SQL);
INSERT INTO omnimsg.campaigns (organization_id, id, name)
	VALUES ('$organization', '33333333-3333-7333-8333-333333333333', 'Autumn');
INSERT INTO omnimsg.collection_accounts (organization_id, campaign_id, name, primary_phone, secondary_phone)
	VALUES ('$organization', '33333333-3333-7333-8333-333333333333', 'Ada', '(555) 200-0101', NULL),
		   ('$organization', NULL, 'Bea', '+15552000102', '$ada');
SQL

# Ingest works in subtransactions, so the rows of one transaction differ in xmin.  They have the time
# of its commit in common, and no other transaction has it.
$node->psql('ALTER SYSTEM SET track_commit_timestamp = on');
$node->stop;
$node->start;

sub text
{
	my ($from, $text, %options) = @_;

	return $node->send(from => $from, to => $did, text => $text, %options);
}

sub consent
{
	my ($address, $channel) = @_;

	return $node->psql("SELECT state FROM omnimsg.consents WHERE organization_id = '$organization'
		AND channel = '$channel' AND address = '$address' AND scope = 'all'");
}

sub audit
{
	my ($message) = @_;

	return $node->psql(<<SQL);
SELECT string_agg(a.action, ' ' ORDER BY a.id) FROM omnimsg.audit_logs a WHERE a.resource_id IN (
	SELECT m.id FROM omnimsg.messages m WHERE m.external_message_id = '$message'
	UNION SELECT r.id FROM omnimsg.messages r JOIN omnimsg.messages m ON r.in_reply_to = m.id
		WHERE m.external_message_id = '$message'
	UNION SELECT q.id FROM omnimsg.opt_out_requests q JOIN omnimsg.messages m ON q.message_id = m.id
		WHERE m.external_message_id = '$message')
SQL
}

# a plain message, with all that Telnyx sends
sub received
{
	my (%payload) = @_;

	return encode_json({
		data => {
			event_type => 'message.received', id => 'event-of-hello-1', record_type => 'event',
			occurred_at => '2026-05-15T18:47:41.038+00:00',
			payload => {
				autoresponse_type => undef, completed_at => undef, direction => 'inbound',
				cc => [], encoding => 'GSM-7', errors => [], is_spam => JSON::PP::false,
				cost => { amount => '0.0160', currency => 'USD' },
				cost_breakdown => {
					carrier_fee => { amount => '0.01200', currency => 'USD' },
					rate => { amount => '0.00400', currency => 'USD' },
				},
				from => { carrier => 'T-Mobile USA', line_type => 'Wireless', phone_number => $ada },
				messaging_profile_id => 'aaaaaaaa-0000-4000-8000-000000000001',
				organization_id => 'aaaaaaaa-0000-4000-8000-000000000002',
				parts => 2, record_type => 'message', sent_at => undef, subject => 'Greeting', tags => [],
				received_at => '2026-05-15T18:47:40.731+00:00',
				media => [ { url => 'https://media.example/1.png', content_type => 'image/png', size => 4711,
					sha256 => 'ab' x 32 } ],
				to => [ { carrier => 'Telnyx', line_type => 'Wireless', phone_number => $did,
					status => 'webhook_delivered' } ],
				type => 'MMS', valid_until => undef, webhook_failover_url => undef,
				webhook_url => 'https://relay.example.com/webhooks/telnyx', %payload,
			},
		},
		meta => { attempt => 1, delivered_to => 'https://relay.example.com/webhooks/telnyx' },
	});
}

sub post
{
	my ($body) = @_;
	my $file = $node->dir . '/body.json';

	open my $handle, '>', $file or die "$file: $!";
	print {$handle} $body;
	close $handle;
	return $node->send(body_file => $file)->{http};
}

is(post(received(id => 'hello-1', text => "Gr\x{fc}\x{df} dich \x{1f44b}")), 200, 'a signed message.received is answered 200');
is($node->psql(<<SQL),
SELECT e.outcome, e.reason IS NULL, e.event_type, e.organization_id, e.message_id = m.id,
	e.key_id ~ '^[0-9a-f]{64}\$', e.signed_at > now() - interval '300 s',
	e.occurred_at = '2026-05-15 18:47:40.731+00', e.received_at > now() - interval '300 s', e.raw IS NULL
  FROM omnimsg.events e JOIN omnimsg.messages m ON m.id = e.message_id
 WHERE e.provider = 'telnyx' AND e.dedupe_key = 'received:hello-1'
SQL
	"applied|t|message.received|$organization|t|t|t|t|t|t",
	'it has its row in the journal; its bytes are not kept, for it asks nothing of consent');
is($node->psql(<<SQL),
SELECT m.organization_id, a.name, m.campaign_id = c.id, m.direction, m.channel, m.from_number, m.to_number,
	m.peer_address, m.our_address, m.subject, m.message_body, m.status, m.external_message_id,
	m.provider, m.intent, m.parts, m.cost_amount, m.cost_currency, m.created_at > now() - interval '300 s'
  FROM omnimsg.messages m JOIN omnimsg.collection_accounts a ON a.id = m.account_id
  JOIN omnimsg.campaigns c ON c.id = a.campaign_id
SQL
	join('|', $organization, 'Ada', 't', 'inbound', 'sms', $ada, $did, $ada, $did, 'Greeting',
		"Gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x91\x8b", 'received', 'hello-1', 'telnyx', 'none', 2, '0.0160', 'USD', 't'),
	'the message is stored whole, and linked to the account that has the phone as its primary one');
is($node->psql(<<SQL), '{https://media.example/1.png,image/png,4711,' . 'ab' x 32 . '}|t', 'with its picture; and what a text has not is null');
SELECT ARRAY[media -> 0 ->> 'url', media -> 0 ->> 'content_type', media -> 0 ->> 'size', media -> 0 ->> 'sha256'],
	num_nonnulls(cc, in_reply_to, error_code, error_detail, sent_at, delivered_at, failed_at) = 0
  FROM omnimsg.messages
SQL
is($node->psql("SELECT string_agg(name, ' ') FROM omnimsg.collection_accounts
	WHERE last_contact_at = '2026-05-15 18:47:40.731+00'"), 'Ada', 'the account knows when the person last wrote');
is($node->psql(<<SQL), 1, 'journal row, message, last contact and audit row were written by one transaction');
SELECT count(DISTINCT pg_xact_commit_timestamp(x)) FROM (
	SELECT e.xmin AS x FROM omnimsg.events e
	UNION ALL SELECT m.xmin FROM omnimsg.messages m
	UNION ALL SELECT c.xmin FROM omnimsg.collection_accounts c WHERE c.name = 'Ada'
	UNION ALL SELECT a.xmin FROM omnimsg.audit_logs a
	UNION ALL SELECT a.xid::xid FROM omnimsg.audit_logs a) AS w
SQL
is($node->psql(q{SELECT action, resource_type, actor FROM omnimsg.audit_logs WHERE action <> 'DATABASE_ARMED'}),
	'MESSAGE_RECEIVED|message|provider:telnyx', 'and there is one audit row');

# STOP
is(text($ada, 'STOP', message_id => 'stop-1')->{http}, 200, 'STOP is answered 200');
is(consent($ada, 'sms') . ' ' . consent($ada, 'voice'), 'opted_out opted_out',
	'and holds for texts and for calls');
is($node->psql("SELECT string_agg(name || sms_consent::text, ' ' ORDER BY name) FROM omnimsg.collection_accounts"),
	'Adafalse Beafalse', 'every account with that phone, as primary or secondary, says so');
is($node->psql("SELECT string_agg(channel, ' ' ORDER BY channel) FROM omnimsg.opt_out_requests
	WHERE request_type = 'opt_out' AND source = 'keyword' AND matched_text = 'STOP' AND dedupe_key = 'received:stop-1'"),
	'sms voice', 'a request is on record for each');
is($node->psql(<<SQL), '1|9', 'journal row, message, requests, both consents and the three audit rows are of one transaction');
SELECT count(DISTINCT pg_xact_commit_timestamp(x)), count(*) FROM (
	SELECT e.xmin AS x FROM omnimsg.events e WHERE e.dedupe_key = 'received:stop-1'
	UNION ALL SELECT m.xmin FROM omnimsg.messages m WHERE m.external_message_id = 'stop-1'
	UNION ALL SELECT q.xmin FROM omnimsg.opt_out_requests q
	UNION ALL SELECT c.xmin FROM omnimsg.consents c
	UNION ALL SELECT a.xid::xid FROM omnimsg.audit_logs a JOIN omnimsg.messages m ON a.created_at >= m.created_at
		WHERE m.external_message_id = 'stop-1'
		AND a.action IN ('MESSAGE_RECEIVED', 'OPT_OUT_REQUESTED', 'AUTO_REPLY_QUEUED')) AS w
SQL
ok($node->poll("SELECT m.status FROM omnimsg.messages m WHERE m.direction = 'outbound'", 'delivered'),
	'the confirmation is sent, and message.sent and message.finalized are applied');
is($node->psql(<<SQL), 'opt_out_confirmation|sent|1|t|t', 'and on record as sent, as delivered, and as the answer');
SELECT o.kind, o.state, o.attempts, r.sent_at IS NOT NULL AND r.delivered_at IS NOT NULL, r.in_reply_to = m.id
  FROM omnimsg.outbox o JOIN omnimsg.messages r ON r.id = o.message_id
  JOIN omnimsg.messages m ON m.external_message_id = 'stop-1'
SQL
ok($node->poll("SELECT string_agg(event_type || ' ' || outcome, ', ' ORDER BY event_type DESC) FROM omnimsg.events
	WHERE message_id = (SELECT id FROM omnimsg.messages WHERE direction = 'outbound')",
	'message.sent applied, message.finalized applied'), 'both events are in the journal');
is(audit('stop-1'), 'MESSAGE_RECEIVED OPT_OUT_REQUESTED AUTO_REPLY_QUEUED AUTO_REPLY_SENT MESSAGE_DELIVERED',
	'the audit trail tells it in order');
my @posts = $node->ledger(kind => 'post');
is(scalar @posts, 1, 'the provider was asked once');
is("$posts[0]{from} $posts[0]{to}", "$did $ada", 'to send it from our number to the person');
is($node->psql("SELECT octet_length(raw) > 0 AND signature IS NOT NULL FROM omnimsg.events WHERE dedupe_key = 'received:stop-1'"),
	't', 'the signed bytes of the STOP are kept as evidence');

is(text($ada, 'stop', message_id => 'stop-2')->{http}, 200, 'a second STOP is answered 200');
is(audit('stop-2'), 'MESSAGE_RECEIVED OPT_OUT_REQUESTED AUTO_REPLY_SUPPRESSED', 'recorded, and not confirmed again');

# START
is(text($ada, 'START', message_id => 'start-1')->{http}, 200, 'START is answered 200');
is(consent($ada, 'sms'), 'opted_in', 'and puts the consent on again');
is($node->psql("SELECT bool_and(sms_consent) FROM omnimsg.collection_accounts"), 't', 'also on the accounts');
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE direction = 'outbound' AND status = 'delivered'", 2),
	'that is confirmed, too');
is(audit('start-1'), 'MESSAGE_RECEIVED OPT_IN_CONFIRMED AUTO_REPLY_QUEUED AUTO_REPLY_SENT MESSAGE_DELIVERED',
	'and audited');

# people and numbers that nobody knows
is(text($stranger, 'Who is this?', message_id => 'who-1')->{http}, 200, 'a stranger is answered 200');
is($node->psql("SELECT account_id IS NULL FROM omnimsg.messages WHERE external_message_id = 'who-1'"), 't',
	'the message is stored without an account');
is(text($stranger, 'Stop!')->{http}, 200, 'the stranger says stop');
is(consent($stranger, 'sms'), 'opted_out', 'and that counts');
is($node->psql("INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent)
	VALUES ('$organization', 'Cleo', '555-200-0103', true) RETURNING sms_consent"), 'f',
	'an account imported with that number afterwards is born opted out, whatever the import says');

is($node->send(from => $ada, to => '+15552000999', text => 'STOP', message_id => 'lost-1')->{http}, 200,
	'a text to a number of nobody is answered 200');
is($node->psql("SELECT organization_id FROM omnimsg.messages WHERE external_message_id = 'lost-1'"), $nobody,
	'and stored under "unassigned"');
is($node->psql("SELECT state FROM omnimsg.consents WHERE organization_id = '$nobody' AND channel = 'sms'"), 'opted_out',
	'with its STOP');

# the provider has answered
is(text('+15552000104', 'STOP', message_id => 'auto-1', autoresponse => 'STOP')->{http}, 200,
	'a STOP that the provider answered is answered 200');
is(consent('+15552000104', 'sms'), 'opted_out', 'and recorded');
is(audit('auto-1'), 'MESSAGE_RECEIVED OPT_OUT_REQUESTED AUTO_REPLY_SUPPRESSED', 'nothing is queued for it');

ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state NOT IN ('sent', 'suppressed')", 0),
	'the outbox is empty');
is(join(' ', map { substr($_->{to}, -3) } $node->ledger(kind => 'post')), '101 101 103',
	'the provider saw three texts: two to the first person, one to the stranger');

# a duplicate of everything
is(text($ada, 'Hello', message_id => 'hello-1')->{http}, 200, 'a repeated delivery is answered 200');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id = 'hello-1'"), 1,
	'and has no second effect');

done_testing;
