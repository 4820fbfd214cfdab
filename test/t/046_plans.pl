# A session that stays, as the relay's do, keeps the plans of its statements.  They must not outlive the time when the tables were small.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my $session = $node->session;
my $n = 0;

# seq_scan counts what is there once the session has told its statistics, which it does when asked
my $scans = "SELECT seq_scan FROM pg_stat_all_tables WHERE relid = 'omnimsg.collection_accounts'::regclass";

sub ingest
{
	my ($count) = @_;

	for (1 .. $count)
	{
		$n++;
		$session->query(sprintf <<'SQL', $n, $n, 2000200 + $n, $made->{did}) eq 'applied' or die 'a message was not applied';
SELECT outcome FROM omnimsg_ingest('telnyx', convert_to('{"data":{"event_type":"message.received","id":"event %d","payload":{"id":"message %d","type":"SMS",'
	'"text":"hello","from":{"phone_number":"+1555%d"},"to":[{"phone_number":"%s"}]}}}', 'UTF8'))
SQL
	}
	$session->query('SELECT pg_stat_force_next_flush()');
	return $node->psql($scans);
}

$node->psql("ALTER SYSTEM SET autovacuum = off");
$node->psql('SELECT pg_reload_conf()');
# to the planner, reading all of it is free
$node->psql('VACUUM ANALYZE omnimsg.collection_accounts');
my $before = ingest(10);

$node->psql(<<"SQL");
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	SELECT '$made->{organization}', 'Customer ' || n, '+1555' || n FROM generate_series(2100000, 2119999) AS n
SQL
my $soon = ingest(10);
my $later = ingest(20);

cmp_ok($soon, '>', $before, 'plans of a time when there were no accounts read all of them');
is(ingest(10), $later, 'and soon are made anew, also without statistics, and read by index');

# ---- reviews are never deleted, so what is asked by address must not read them all ----

my $erased = '+15552300001';
$scans = "SELECT seq_scan FROM pg_stat_all_tables WHERE relid = 'omnimsg.reviews'::regclass";
$node->psql(<<"SQL");
INSERT INTO omnimsg.reviews (organization_id, id, message_organization_id, message_id, channel, address, rule, occurred_at, due_at,
		decision, decided_at, decided_by, created_at)
	SELECT '$made->{organization}', omnimsg.uuid7(), '$made->{organization}', omnimsg.uuid7(), 'sms', '+1555' || n, 'rule',
		now(), now(), 'none', now(), 'Ann', now() FROM generate_series(2300000, 2399999) AS n;
ANALYZE omnimsg.reviews;
SQL
$before = $node->psql($scans);
is($session->query("SELECT jsonb_array_length(omnimsg_export_person('$made->{organization}', '$erased') -> 'reviews')"), 1,
	'a person with one of 100 000 reviews is exported');
like($session->query("SELECT omnimsg_erase_person('$made->{organization}', '$erased')"), qr/^[-0-9a-f]{36}$/, 'and erased');
$session->query('SELECT pg_stat_force_next_flush()');
is($node->psql($scans), $before, 'and nobody has read all of them');
is($node->psql("SELECT count(*) FROM omnimsg.reviews WHERE address LIKE 'erased:%'"), 1, 'the review has no address any more');

# ---- a list of one is planned once, and not each time that it comes ----

$session->close;
$node->psql('ALTER SYSTEM SET shared_preload_libraries = omnimsg, pg_cron, pg_stat_statements');
$node->stop_postgres;
$node->start;
$node->psql('CREATE EXTENSION pg_stat_statements');
$node->psql(<<"SQL");
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, external_message_id, provider, created_at)
	SELECT '$made->{organization}', omnimsg.uuid7(), 'outbound', 'sms', '$made->{did}', '+1555' || n, 'hello', 'queued', 'sent ' || n, 'telnyx', now()
	  FROM generate_series(2400000, 2404999) AS n;
VACUUM ANALYZE;
SQL
$session = $node->session;
$session->query("SET pg_stat_statements.track = 'all'; SET pg_stat_statements.track_planning = on");
for my $person (2400000 .. 2400039)
{
	$session->query(sprintf <<'SQL', $person, $person, $made->{did}, $person) eq 'applied' or die 'a status was not applied';
SELECT outcome FROM omnimsg_ingest('telnyx', convert_to('{"data":{"event_type":"message.sent","id":"status %d","payload":{"id":"sent %d","type":"SMS",'
	'"from":{"phone_number":"%s"},"to":[{"phone_number":"+1555%d","status":"sent"}]}}}', 'UTF8'))
SQL
	$session->query(sprintf <<'SQL', $person, $person, $person, $made->{did}) eq 'applied' or die 'a STOP was not applied';
SELECT outcome FROM omnimsg_ingest('telnyx', convert_to('{"data":{"event_type":"message.received","id":"stop %d","payload":{"id":"stop %d","type":"SMS",'
	'"text":"STOP","from":{"phone_number":"+1555%d"},"to":[{"phone_number":"%s"}]}}}', 'UTF8'))
SQL
}
my $planned = "FROM pg_stat_statements WHERE calls >= 40 AND query ~ 'omnimsg\\.(messages|consents)' AND query ~ 'unnest'";
cmp_ok($node->psql("SELECT count(*) $planned"), '>=', 5, 'statuses and STOPs come one by one');
is($node->psql("SELECT string_agg(left(query, 60), '; ') $planned AND plans > calls / 2"), '', 'and none of their statements is planned for each');

done_testing;
