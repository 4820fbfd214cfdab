# An import that brings consent with it holds the consents of its people until it commits, and that may
# take minutes.  No webhook may wait for that, and no STOP may get lost over it.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $organization = '11111111-1111-7111-8111-111111111111';
my ($did, $person, $other) = ('+15552000100', '+15552000140', '+15552000141');
my $state = "SELECT state FROM omnimsg.consents WHERE channel = 'sms' AND address = '$person'";

$node->psql(<<SQL);
INSERT INTO omnimsg.organizations (id, name, consent_policy) VALUES ('$organization', 'Harbor Dental', 'implied');
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name)
	VALUES ('22222222-2222-7222-8222-222222222222', 'telnyx', 'simulator', 'simulator');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	VALUES ('$did', '$organization', 'telnyx', '22222222-2222-7222-8222-222222222222');
SQL

my $import = $node->session;

$import->query('BEGIN');
$import->query("INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone, sms_consent)
	VALUES ('$organization', 'Sam Rivera', '$person', true)");

my $stop = $node->send(from => $person, to => $did, text => 'STOP');

is($stop->{http}, 200, 'STOP is answered 200 while an open import holds the consent of the person');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE address = '$person' AND source = 'keyword'"),
	2, 'and its requests are on record, for texts and for calls');
is($node->psql("SELECT DISTINCT channel FROM omnimsg.consent_repairs WHERE address = '$person'"), 'sms',
	'and what could not be folded is noted');
is($node->psql("SELECT new_value ->> 'reason' FROM omnimsg.audit_logs WHERE action = 'AUTO_REPLY_SUPPRESSED'"),
	'somebody else is changing the consent', 'and the audit says why no confirmation goes out');

is($node->send(from => $other, to => $did, text => 'STOP')->{http}, 200,
	'somebody else\'s STOP is taken meanwhile');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox o WHERE o.state = 'sent'", 1), 'and confirmed');

# a text that somebody queued for the person: it must neither go out nor get lost now
$node->psql(<<SQL);
INSERT INTO omnimsg.send_limits (organization_id, opens, closes) VALUES ('$organization', '00:00', '24:00');
WITH m AS (
	INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number,
			message_body, status, provider, created_at)
		VALUES ('$organization', omnimsg.uuid7(), 'outbound', 'sms', '$did', '$person',
			'Your appointment is tomorrow', 'queued', 'telnyx', now())
	RETURNING id, created_at)
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, next_attempt_at, expires_at, created_at)
	SELECT '$organization', omnimsg.uuid7(), id, 'notification', now(), now() + interval '1 hour', created_at FROM m;
SELECT pg_reload_conf();
SQL
ok($node->poll("SELECT last_error FROM omnimsg.outbox WHERE kind = 'notification'",
		'the consent of the person is being changed'), 'a text to the person is held');

$import->query('COMMIT');
ok($node->poll($state, 'opted_out'), 'once the import has committed, the worker folds the STOP');
is($node->psql("SELECT sms_consent FROM omnimsg.collection_accounts WHERE name = 'Sam Rivera'"), 'f',
	'the imported account says so');
ok($node->poll("SELECT state FROM omnimsg.outbox WHERE kind = 'notification'", 'suppressed'),
	'and the text that was held is not sent');
is($node->psql('SELECT count(*) FROM omnimsg.consent_repairs'), 0, 'nothing is left to repair');
is(scalar(grep { $_->{to} eq $person } $node->ledger(kind => 'post')), 0,
	'the provider was never asked to send anything to the person');

# ---- a burst: the copies of six thousand accounts differ, as after an import that nobody saw ----

$node->psql(<<"SQL");
SET row_security = off;		-- the trigger leaves the rows alone
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	SELECT '$organization', 'one of many', '+1555203' || n FROM generate_series(1000, 6999) AS n;
INSERT INTO omnimsg.consents (organization_id, channel, address, state, decided_at, changed_at)
	SELECT '$organization', 'sms', '+1555203' || n, 'opted_out', now() - interval '1 minute', now() - interval '1 minute' + n * interval '1 microsecond'
	  FROM generate_series(1000, 6999) AS n;
ANALYZE omnimsg.collection_accounts, omnimsg.consents;
SELECT pg_terminate_backend(pid, 5000) FROM omnimsg_worker_status();
SQL
# a third of them each half minute would take more than a minute
ok($node->poll("SELECT count(*) FROM omnimsg.collection_accounts WHERE name = 'one of many' AND sms_consent IS NOT FALSE", 0, 55),
	'the copies of consent on many accounts are repaired in one go');

done_testing;
