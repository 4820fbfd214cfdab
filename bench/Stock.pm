# Stock.pm: a server for the benchmarks of the database, with organizations, accounts and webhooks in it.
#
#   my $node = Stock::server();
#   Stock::accounts($node, 1_000_000);
#   Stock::webhooks($node, run => 1, batches => 100, size => 64, accounts => 1_000_000);
#
# Account N of 100 organizations ends with N in hex, has the number +1555 and N in seven digits, and writes to the number of its organization.

package Stock;

use strict;
use warnings;

use File::Basename qw(dirname);
use Omnimsg;

my $top = dirname(__FILE__) . '/..';
my $organizations = 100;

# server(name => value): an instance with the settings that a DBA would give it, and no relay; what else is named is set too.
# Nothing works in the background: the worker is in another database, and autovacuum is off.
sub server
{
	my (%settings) = @_;
	my $node = Omnimsg->new;
	my %set = (
		shared_buffers => '1GB', max_wal_size => '8GB', checkpoint_timeout => '30min', work_mem => '16MB',
		maintenance_work_mem => '512MB', autovacuum => 'off', 'omnimsg.database' => 'postgres', %settings,
	);

	$node->kill_relay;
	$node->psql("ALTER SYSTEM SET $_ = " . ($_ eq 'shared_preload_libraries' ? $set{$_} : "'$set{$_}'")) for sort keys %set;
	$node->stop_postgres;
	$node->start;
	$node->kill_relay;
	$node->psql(<<"SQL");
CREATE SCHEMA bench;
CREATE TABLE bench.organizations AS
	SELECT n, omnimsg.uuid7() AS id, '+15562000' || lpad(n::text, 3, '0') AS did FROM generate_series(0, $organizations - 1) AS n;
INSERT INTO omnimsg.organizations (id, name) SELECT o.id, 'Harbor Dental ' || o.n FROM bench.organizations o;
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name)
	VALUES ('22222222-2222-7222-8222-222222222222', 'telnyx', 'simulator', 'simulator');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	SELECT o.did, o.id, 'telnyx', '22222222-2222-7222-8222-222222222222' FROM bench.organizations o;
CREATE TABLE bench.webhooks (batch int, n int, body bytea, PRIMARY KEY (batch, n));
CREATE TABLE bench.signatures (batch int, n int, signed_at text, signature text, PRIMARY KEY (batch, n));
SQL
	return $node;
}

# accounts(NODE, COUNT): past the trigger and the checks, which is what a restore does
sub accounts
{
	my ($node, $count) = @_;

	fill($node, 'omnimsg.collection_accounts', <<"SQL");
INSERT INTO omnimsg.collection_accounts (organization_id, id, name, primary_phone, email, last_contact_at)
	SELECT o.id, ('01900000-0000-7000-8000-' || lpad(to_hex(a.n), 12, '0'))::uuid, 'Customer ' || a.n, '+1555' || lpad(a.n::text, 7, '0'),
		   'customer' || a.n || '\@example.com', now() - interval '30 days'
	  FROM generate_series(0, $count - 1) AS a (n) JOIN bench.organizations o ON o.n = a.n % $organizations
SQL
	return;
}

# fill(NODE, TABLE, INSERT): without triggers, and with its indexes made anew after it, which is much sooner done
sub fill
{
	my ($node, $table, $insert) = @_;
	my @index = split /\n/, $node->psql("SELECT indexrelid::regclass || '|' || pg_get_indexdef(indexrelid) || '|' || coalesce(conname, '')
		FROM pg_index LEFT JOIN pg_constraint ON conindid = indexrelid AND contype = 'p' WHERE indrelid = '$table'::regclass");
	my (@drop, @make);

	for (@index)
	{
		my ($name, $definition, $key) = split /\|/;
		push @drop, $key ? "ALTER TABLE $table DROP CONSTRAINT $key" : "DROP INDEX $name";
		push @make, $definition, $key ? "ALTER TABLE $table ADD CONSTRAINT $key PRIMARY KEY USING INDEX $key" : ();
	}
	$node->psql(join ";\n", 'SET session_replication_role = replica', 'SET synchronous_commit = off', "SET maintenance_work_mem = '1GB'",
		'SET max_parallel_maintenance_workers = 1', @drop, $insert, @make, "VACUUM (ANALYZE, FREEZE) $table");
	return;
}

# body(...): SQL that makes a body as Telnyx sends it, with all that is of no use to us, of other expressions
sub body
{
	my ($event, $message, $at, $account, $text, $did) = @_;

	return <<"SQL";
convert_to(format(
	'{"data":{"event_type":"message.received","id":"%s","occurred_at":"%s","payload":{"autoresponse_type":null,"cc":[],"completed_at":null,'
	'"cost":null,"cost_breakdown":{"carrier_fee":{"amount":"0.00205","currency":"USD"},"rate":{"amount":"0.00400","currency":"USD"}},'
	'"direction":"inbound","encoding":"GSM-7","errors":[],"from":{"carrier":"Example Wireless","line_type":"Wireless","phone_number":"%s","status":"webhook_delivered"},'
	'"id":"%s","is_spam":false,"media":[],"messaging_profile_id":"33333333-3333-7333-8333-333333333333",'
	'"organization_id":"44444444-4444-7444-8444-444444444444","parts":1,"received_at":"%2\$s","record_type":"message","sent_at":null,"subject":"",'
	'"tags":[],"tcr_campaign_billable":false,"tcr_campaign_id":null,"tcr_campaign_registered":null,"text":"%5\$s",'
	'"to":[{"carrier":"Telnyx","line_type":"Wireless","phone_number":"%s","status":"webhook_delivered"}],"type":"SMS","valid_until":null,'
	'"webhook_failover_url":null,"webhook_url":"https://relay.example.com/webhooks/telnyx"},"record_type":"event"},'
	'"meta":{"attempt":1,"delivered_to":"https://relay.example.com/webhooks/telnyx"}}',
	$event, to_char($at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), '+1555' || lpad(($account)::text, 7, '0'), $message, $text, $did), 'UTF8')
SQL
}

# webhooks(NODE, run =>, batches =>, size =>, accounts =>): unique inbound texts of random accounts into bench.webhooks; every 20th
# is a STOP or, by turns, the START of who sent the last one
sub webhooks
{
	my ($node, %options) = @_;

	$node->psql(<<"SQL" . body("md5('event $options{run} ' || w.i)::uuid", "md5('message $options{run} ' || w.i)::uuid", 'w.at', 'w.account', <<"TEXT", 'o.did') . <<"SQL");
TRUNCATE bench.webhooks;
INSERT INTO bench.webhooks (batch, n, body) SELECT w.i / $options{size}, w.i % $options{size},
SQL
	CASE w.i % 40 WHEN 0 THEN 'STOP' WHEN 20 THEN 'START'
		ELSE (ARRAY['Yes, Tuesday at 10 works for me, see you then', 'Can you move it to next week please? I have to work that day', 'Thanks!',
			'How much is it without the insurance? And do I have to bring the letter from the last time?',
			'I paid it on Friday already, please look again. The confirmation number is in the e-mail that I sent', 'ok'])[1 + w.i % 6] END
TEXT
  FROM (SELECT i, clock_timestamp() AS at,
			   abs(hashint8extended(CASE i % 40 WHEN 20 THEN i - 20 ELSE i END, $options{run})) % $options{accounts} AS account
		  FROM generate_series(0::int8, $options{batches} * $options{size} - 1) AS i) AS w
  JOIN bench.organizations o ON o.n = w.account % $organizations;
VACUUM (FREEZE) bench.webhooks;
-- in the place of autovacuum
ANALYZE;
SQL
	return;
}

# sign(NODE): the signatures of bench.webhooks into bench.signatures, by the key of the instance
sub sign
{
	my ($node) = @_;
	my ($bodies, $signatures) = map { $node->dir . "/data/bench.$_" } qw(bodies signatures);

	$node->psql("COPY (SELECT w.batch, w.n, encode(w.body, 'hex') FROM bench.webhooks w) TO '$bodies'");
	system("$top/build/bench_sign '" . $node->env('OMNIMSG_SIGNING_KEY_FILE') . "' <'$bodies' >'$signatures'") == 0 or die "bench_sign failed\n";
	$node->psql("TRUNCATE bench.signatures; COPY bench.signatures FROM '$signatures'");
	$node->psql('VACUUM (ANALYZE, FREEZE) bench.signatures');
	unlink $bodies, $signatures;
	return;
}

# ingest(SESSION): prepares "EXECUTE ingest(BATCH)", which takes a batch of bench.webhooks as the relay would, and "EXECUTE ingest_signed(BATCH,
# FINGERPRINT)", which takes it with its signatures
sub ingest
{
	my ($session) = @_;

	$session->query(<<'SQL');
PREPARE ingest (int) AS
	SELECT count(*), count(*) FILTER (WHERE r.outcome = 'applied')
	  FROM (SELECT array_agg('telnyx'::text) AS providers, array_agg(w.body ORDER BY w.n) AS bodies FROM bench.webhooks w WHERE w.batch = $1) AS d,
		   omnimsg_ingest_batch(d.providers, d.bodies) AS r;
PREPARE ingest_signed (int, text) AS
	SELECT count(*), count(*) FILTER (WHERE r.outcome = 'applied')
	  FROM (SELECT array_agg('telnyx'::text) AS providers, array_agg(w.body ORDER BY w.n) AS bodies, array_agg(s.signature ORDER BY w.n) AS signatures,
				   array_agg(s.signed_at ORDER BY w.n) AS signed, array_agg($2) AS keys
			  FROM bench.webhooks w JOIN bench.signatures s USING (batch, n) WHERE w.batch = $1) AS d,
		   omnimsg_ingest_batch(d.providers, d.bodies, d.signatures, d.signed, d.keys) AS r
SQL
	return;
}

# touch(NODE, TABLE): a checkpoint, and the first change after it of each page, so that no page image is in the WAL of what comes
sub touch
{
	my ($node, @tables) = @_;

	$node->psql("VACUUM (ANALYZE) $_") for @tables;
	$node->psql('CHECKPOINT');
	$node->psql("UPDATE $_ SET updated_at = updated_at WHERE ctid = ANY (ARRAY(SELECT format('(%s,1)', p)::tid FROM generate_series(0, pg_relation_size('$_') / 8192 - 1) AS p))")
		for @tables;
	return;
}

1;
