# The shortest way through everything: a text arrives, is stored, linked and answered.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;

is($node->request(GET => '/readyz')->{status}, 200, 'the relay is ready');

$node->psql(<<'SQL');
INSERT INTO omnimsg.organizations (id, name)
	VALUES ('11111111-1111-7111-8111-111111111111', 'Harbor Dental');
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name)
	VALUES ('22222222-2222-7222-8222-222222222222', 'telnyx', 'simulator', 'simulator');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	VALUES ('+15552000100', '11111111-1111-7111-8111-111111111111', 'telnyx',
		'22222222-2222-7222-8222-222222222222');
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	VALUES ('11111111-1111-7111-8111-111111111111', 'Sam Rivera', '(555) 200-0101');
SQL

is($node->send(from => '+15552000101', to => '+15552000100', text => 'Hello')->{http}, 200,
	'a text from a known person is answered 200');
is($node->psql(<<'SQL'), 'received|none|Sam Rivera|t', 'and is stored with its account');
SELECT m.status, m.intent, a.name, a.last_contact_at IS NOT NULL
  FROM omnimsg.messages m
  JOIN omnimsg.collection_accounts a ON a.organization_id = m.organization_id AND a.id = m.account_id
SQL

is($node->send(from => '+15552000101', to => '+15552000100', text => 'STOP')->{http}, 200,
	'STOP is answered 200');
is($node->psql("SELECT state FROM omnimsg.consents WHERE channel = 'sms'"), 'opted_out',
	'and holds at once');
ok($node->poll("SELECT status FROM omnimsg.messages WHERE direction = 'outbound'", 'delivered'),
	'its confirmation is delivered');
is(scalar($node->ledger(kind => 'post')), 1, 'the provider was asked once to send it');

is($node->send(from => '+15552000101', to => '+15552000100', text => 'Hello', corrupt => 'signature')->{http}, 401,
	'a text with a wrong signature is refused');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE direction = 'inbound'"), 2,
	'and nothing of it is stored');

done_testing;
