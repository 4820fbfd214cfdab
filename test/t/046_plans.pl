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

done_testing;
