# One webhook of every kind, from the provider's signature to the provider's answer.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my ($ada, $stranger) = ('+15552000101', '+15552000103');
my $nobody = '00000000-0000-0000-0000-000000000000';

$node->psql(<<SQL);
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, secondary_phone)
	VALUES ('$organization', 'Ada', '(555) 200-0101', NULL),
		   ('$organization', 'Bea', '+15552000102', '$ada');
SQL

sub text
{
	my ($from, $text, %options) = @_;

	return $node->send(from => $from, to => $did, text => $text, attempts => 1, %options);
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

# a plain message
is(text($ada, 'Hello', message_id => 'hello-1', media => 'https://media.example/1.png',
	received_at => '2026-05-15T18:47:40.731+00:00', occurred_at => '2026-05-15T18:47:41.038+00:00')->{http},
	200, 'a signed message.received is answered 200');
is($node->psql(<<SQL),
SELECT e.outcome, e.event_type, e.organization_id, e.message_id = m.id, e.key_id ~ '^[0-9a-f]{64}\$', e.signed_at IS NOT NULL,
	e.occurred_at = '2026-05-15 18:47:40.731+00'
  FROM omnimsg.events e JOIN omnimsg.messages m ON m.id = e.message_id WHERE e.dedupe_key = 'received:hello-1'
SQL
	"applied|message.received|$organization|t|t|t|t", 'it has its row in the journal');
is($node->psql(<<SQL),
SELECT m.direction, m.channel, m.from_number, m.to_number, m.peer_address, m.our_address, m.message_body,
	m.status, m.provider, m.intent, m.parts, m.cost_currency, m.media -> 0 ->> 'url', a.name,
	a.last_contact_at = '2026-05-15 18:47:40.731+00'
  FROM omnimsg.messages m LEFT JOIN omnimsg.collection_accounts a ON a.id = m.account_id
 WHERE m.external_message_id = 'hello-1'
SQL
	"inbound|sms|$ada|$did|$ada|$did|Hello|received|telnyx|none|1|USD|https://media.example/1.png|Ada|t",
	'the message is stored whole, linked to the account with that primary phone, and moves its last contact');
is($node->psql(<<SQL), 1, 'journal row, message, last contact and audit row were written by one transaction');
SELECT count(DISTINCT x) FROM (
	SELECT e.xmin::text AS x FROM omnimsg.events e WHERE e.dedupe_key = 'received:hello-1'
	UNION ALL SELECT m.xmin::text FROM omnimsg.messages m WHERE m.external_message_id = 'hello-1'
	UNION ALL SELECT c.xmin::text FROM omnimsg.collection_accounts c WHERE c.name = 'Ada'
	UNION ALL SELECT a.xmin::text FROM omnimsg.audit_logs a WHERE a.action = 'MESSAGE_RECEIVED') AS w
SQL

# STOP
is(text($ada, 'STOP', message_id => 'stop-1')->{http}, 200, 'STOP is answered 200');
is(consent($ada, 'sms') . ' ' . consent($ada, 'voice'), 'opted_out opted_out',
	'and holds for texts and for calls');
is($node->psql("SELECT string_agg(name || sms_consent::text, ' ' ORDER BY name) FROM omnimsg.collection_accounts"),
	'Adafalse Beafalse', 'every account with that phone, as primary or secondary, says so');
is($node->psql("SELECT string_agg(channel, ' ' ORDER BY channel) FROM omnimsg.opt_out_requests
	WHERE request_type = 'opt_out' AND source = 'keyword' AND matched_text = 'STOP' AND dedupe_key = 'received:stop-1'"),
	'sms voice', 'a request is on record for each');
ok($node->poll("SELECT m.status FROM omnimsg.messages m WHERE m.direction = 'outbound'", 'delivered'),
	'the confirmation is sent, and message.sent and message.finalized are applied');
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

# people and numbers that nobody knows
is(text($stranger, 'Who is this?', message_id => 'who-1')->{http}, 200, 'a stranger is answered 200');
is($node->psql("SELECT account_id IS NULL FROM omnimsg.messages WHERE external_message_id = 'who-1'"), 't',
	'the message is stored without an account');
is(text($stranger, 'Stop!')->{http}, 200, 'the stranger says stop');
is(consent($stranger, 'sms'), 'opted_out', 'and that counts');
is($node->psql("INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent)
	VALUES ('$organization', 'Cleo', '555-200-0103', true) RETURNING sms_consent"), 'f',
	'an account imported with that number afterwards is born opted out, whatever the import says');

is($node->send(from => $ada, to => '+15552000999', text => 'STOP', message_id => 'lost-1', attempts => 1)->{http}, 200,
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
