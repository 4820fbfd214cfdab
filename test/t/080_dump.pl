# A dump of a lively database, plain or custom, restores into another cluster without an error and without a
# loss, and goes on from there.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $file = $node->dir . '/dump';

sub number { return sprintf '+1555200%04d', 1000 + $_[0] }

# ---- a lively database ----

$node->psql(<<SQL);
INSERT INTO omnimsg.campaigns (organization_id, id, name) VALUES
	('$organization', '44444444-4444-7444-8444-444444444444', 'Reminders');
INSERT INTO omnimsg.reply_templates (organization_id, trigger, body) VALUES ('$organization', 'help', 'Call us: {organization}');
INSERT INTO omnimsg.collection_accounts (organization_id, campaign_id, name, primary_phone, secondary_phone, sms_consent)
	SELECT '$organization', '44444444-4444-7444-8444-444444444444', 'Customer ' || n, '+1555200' || n,
		CASE WHEN n % 3 = 0 THEN '(555) 201-' || n END, CASE WHEN n % 2 = 0 THEN true END
	  FROM generate_series(1001, 1040) AS n;
SQL
$node->behave('40300:times=1,to=' . number(30));
for my $n (1 .. 8, 30)
{
	for my $text ('Hello', qw(STOP START HELP), 'It\'s "quoted" \\ and' . "\n\tmore \xc3\xa9\xf0\x9f\x98\x80")
	{
		next if $n % 2 && $text eq 'START';
		$node->send(from => number($n), to => $did, text => $text, message_id => "message-$n-" . length $text,
			media => 'https://media.example/1.png')->{http} == 200 or die "not taken: $text";
	}
}
$node->send(from => number(50), to => '+15552009999', text => 'STOP');	# to a number that nobody owns
$node->send(from => $did, to => number(51), text => 'x', event_type => 'message.sent', status => 'sent',
	message_id => 'of-a-message-that-never-comes');
$node->send(from => number(1), to => $did, text => 'x', event_type => 'message.of.another.kind');
$node->psql(q{SELECT omnimsg_ingest('telnyx', '\x6e6f204a534f4e00ff')});
$node->send(from => number(36), to => $did, text => 'Not interested');
$node->psql("SELECT omnimsg_record_consent('$organization', 'email', 'Ada\@Example.com', 'opt_out', 'agent', 'on the phone')");
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state IN ('queued', 'leased', 'sending')", 0), 'replies were sent');
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE status = 'sent'", 0), 'and delivered');

# from here on nobody writes but this test: the worker would do the repairs, whether it sends or not
$node->psql("ALTER SYSTEM SET omnimsg.database = 'postgres'");
$node->stop_postgres;
$node->start;
$node->kill_relay;
$node->psql(<<SQL);
SELECT omnimsg.make_month('messages', '2031-01-01'), omnimsg.make_month('audit_logs', '2031-01-01');
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, created_at)
	SELECT '$organization', omnimsg.uuid7(), 'inbound', 'sms', '@{[number(1)]}', '$did', 'from the future', 'received', t
	  FROM unnest(ARRAY['2031-01-15', '2038-01-15']::timestamptz[]) AS t;
INSERT INTO omnimsg.audit_logs (organization_id, id, action, resource_type, actor, created_at)
	SELECT '$organization', omnimsg.uuid7(), 'MESSAGE_VIEWED', 'message', 'role:test', t
	  FROM unnest(ARRAY['2031-01-15', '2038-01-15']::timestamptz[]) AS t;
INSERT INTO omnimsg.account_repairs (organization_id, account_id) SELECT organization_id, id
	FROM omnimsg.collection_accounts WHERE name = 'Customer 1039';
INSERT INTO omnimsg.consent_repairs (organization_id, id, channel, address, scope)
	VALUES ('$organization', omnimsg.uuid7(), 'sms', '@{[number(39)]}', 'all');
INSERT INTO omnimsg.unknown_policies (organization_id, kind, on_unknown) VALUES ('$organization', 'notification', 'resend');
INSERT INTO omnimsg.send_limits (organization_id, region, opens, closes, per_day)
	VALUES ('$organization', '+1555', '09:00', '21:00', 3);
INSERT INTO omnimsg.keywords (organization_id, keyword, label, language)
	VALUES ('$organization', 'Genug!', 'opt_out', 'de');
SELECT omnimsg_flag_address('$organization', '@{[number(38)]}', 'reassigned', 'as the database of the FCC says');
INSERT INTO omnimsg.provider_optouts (provider_account_id, our_address, address, keyword, created_at, seen_at)
	SELECT id, '$did', '@{[number(37)]}', 'STOP', now(), now() FROM omnimsg.provider_accounts;
INSERT INTO omnimsg.optout_pulls (provider_account_id, started_at, due_at)
	SELECT id, now(), now() FROM omnimsg.provider_accounts ON CONFLICT DO NOTHING;
INSERT INTO omnimsg.backfills (provider_account_id, since, until, started_at, page_size, due_at, finished_at)
	SELECT id, now(), now(), now(), 1, 'infinity', now() FROM omnimsg.provider_accounts ON CONFLICT DO NOTHING;
SELECT omnimsg_place_hold('$organization', '@{[number(36)]}', 'a case');
CREATE ROLE desk IN ROLE omnimsg_agent;
SELECT omnimsg_map_role('desk', '$organization'), omnimsg_create_token('$organization', 'ticket system');
INSERT INTO omnimsg.erasures (organization_id, id, address_hash, key_id, erased_by, erased_at, counts, returned_at)
	VALUES ('$organization', omnimsg.uuid7(), 'a hash', 'a key', 'somebody', now(), '{}', now());
INSERT INTO omnimsg.provider_keys (provider_account_id, fingerprint, public_key, not_before, not_after, added_at)
	SELECT id, repeat('0', 64), decode(repeat('00', 32), 'hex'), '-infinity', now(), now() FROM omnimsg.provider_accounts LIMIT 1;
SELECT * FROM omnimsg_schedule_jobs();
SQL
# then there is nothing left for the worker to seal, and no row changes any more
$node->seal_all;

# every table of the extension, partitions by themselves: name, rows, checksum
sub tables
{
	my ($of) = @_;
	my @names = split /\n/, $of->psql("SELECT relname FROM pg_class WHERE relkind = 'r'
		AND relnamespace = 'omnimsg'::regnamespace ORDER BY 1");

	return map { [split /\|/, $of->psql("SELECT '$_', count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text))
		FROM omnimsg.$_ AS t")] } @names;
}

sub text_of { return join "\n", map { join ' ', map { $_ // '' } @$_ } @_ }

my @tables = tables($node);

is(join(' ', map { $_->[0] } grep { $_->[1] == 0 && $_->[0] !~ /_\d{4}_\d\d$/ } @tables), '',
	'no table is empty');
is(scalar(grep { $_->[1] > 0 && $_->[0] =~ /_(\d{4}_\d\d|default)$/ } @tables), 6,
	'rows are in this month, in one made in between, and in the default partition');
is($node->psql('SELECT count(DISTINCT outcome) FROM omnimsg.events'), 4, 'events have every outcome');

my %before;

for my $dump (qw(plain custom watched))
{
	my $format = $dump eq 'custom' ? 'custom' : 'plain';

	# the worker that watches would do the repairs
	$node->psql('TRUNCATE omnimsg.account_repairs, omnimsg.consent_repairs') if $dump eq 'watched';
	$before{$dump} = text_of(tables($node));
	is(join('', $node->program('pg_dump', "--format=$format", '--file', "$file.$dump")), '0',
		"pg_dump writes the $dump dump without a word");
}

# ---- another cluster, which sends nothing ----

my $copy = Omnimsg->new;
my $mark = $copy->psql("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'omnimsg'");

sub restores
{
	my ($dump) = @_;
	my @program = $dump eq 'custom' ? qw(pg_restore --exit-on-error -d omnimsg) :
		qw(psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -f);

	is(join('', $copy->program(@program, "$file.$dump")), '0', "the $dump dump restores without a word");
	is(text_of(tables($copy)), $before{$dump}, 'and every table has every row');
	is($copy->psql('SELECT jobname, schedule FROM cron.job'), $node->psql('SELECT jobname, schedule FROM cron.job'),
		'the job is there, too');
	is(indexes($copy), indexes($node), 'keys and indexes as well');
	return;
}

sub indexes
{
	return $_[0]->psql("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'omnimsg'
		ORDER BY tablename, indexname");
}

# the role of the relay is the cluster's, and stays; the comment is how tools/instance knows its database
sub empty_database
{
	$copy->psql('DROP DATABASE omnimsg WITH (FORCE)', dbname => 'postgres');
	$copy->psql('CREATE DATABASE omnimsg TEMPLATE template0', dbname => 'postgres');
	$copy->psql("COMMENT ON DATABASE omnimsg IS '$mark'", dbname => 'postgres');
	return;
}

# A large dump takes minutes from CREATE EXTENSION to the partitions that it brings with it.  A worker that
# looks into the database meanwhile must not make them before.
{
	local ($^I, @ARGV) = ('', "$file.watched");

	while (<>)
	{
		print;
		print "SELECT pg_catalog.pg_sleep(0.5);\n" if /^CREATE EXTENSION .*\bomnimsg\b/;
	}
}
$copy->psql("ALTER SYSTEM SET omnimsg.poll_interval = '100ms'");
$copy->setting('omnimsg.dispatch', 'off');
empty_database();
ok($copy->poll("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'omnimsg dispatcher' AND datname = 'omnimsg'", 1),
	'the worker of the other cluster waits in its empty database');
restores('watched');

# and where its worker works in another one
$copy->psql("ALTER SYSTEM SET omnimsg.database = 'postgres'");
$copy->stop_postgres;
$copy->start;
for my $dump (qw(plain custom))
{
	empty_database();
	restores($dump);
}

# ---- it goes on there ----

my $consents = "SELECT md5(string_agg(c::text, ' ' ORDER BY c::text)) FROM omnimsg.consents c";
my $count = 'SELECT (SELECT count(*) FROM omnimsg.events), (SELECT count(*) FROM omnimsg.messages),
	(SELECT count(*) FROM omnimsg.opt_out_requests), (SELECT count(*) FROM omnimsg.outbox)';
my $before = $copy->psql("$count; $consents");

is($copy->psql("SELECT DISTINCT r.outcome FROM omnimsg.events e
	CROSS JOIN LATERAL omnimsg_ingest(e.provider, e.raw) AS r WHERE e.raw IS NOT NULL"), 'duplicate',
	'every event of which the bytes were kept is known there');
is($copy->psql(<<SQL), 'duplicate', 'so is one of which they were not');
SELECT outcome FROM omnimsg_ingest('telnyx', convert_to('{"data":{"event_type":"message.received","id":"again","payload":{
	"id":"message-1-5","from":{"phone_number":"@{[number(1)]}"},"to":[{"phone_number":"$did"}],"text":"Hello"}}}', 'UTF8'))
SQL
is($copy->psql("$count; $consents"), $before, 'and nothing changes by it');
is($copy->psql('SELECT bool_and(is_conserved) FROM omnimsg.conservation'), 't', 'what was received before and since is conserved');

is($copy->send(from => number(60), to => $did, text => 'STOP', attempts => 20)->{http}, 200,
	'the relay there takes a new STOP');
is($copy->psql("SELECT state FROM omnimsg.consents WHERE address = '@{[number(60)]}' AND channel = 'sms'"), 'opted_out',
	'which holds');
is($copy->psql("SELECT o.state FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number = '@{[number(60)]}'"), 'queued', 'and its confirmation waits');
is($copy->psql("SELECT count(*) FROM omnimsg.messages_default WHERE message_body <> 'from the future'"), 0,
	'new messages are in the partition of their month');
is($copy->psql("SELECT string_agg(action, ',') FROM omnimsg_maintain() WHERE action LIKE '%not%'"), '',
	'omnimsg_maintain works on it');
is(scalar($copy->ledger(kind => 'post')), 0, 'the copy has sent nothing');

done_testing;
