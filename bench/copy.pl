#!/usr/bin/env perl
# loading accounts with COPY, beside a table that has no trigger
#
# The other table has the same columns, checks, indexes and foreign keys.  The file is as an export of another system: national
# numbers in several spellings, no consent; two in a hundred of the people have said STOP before.
# OMNIMSG_ROUNDS (5), OMNIMSG_ROWS (1000000)

use strict;
use warnings;

use Bench;
use Stock;
use Time::HiRes qw(time);

my $rows = $ENV{OMNIMSG_ROWS} // 1_000_000;
my $node = Stock::server();
my $columns = 'organization_id, name, primary_phone, secondary_phone, email';
my $file = $node->dir . '/data/accounts.copy';

$node->psql(<<"SQL");
CREATE TABLE bench.accounts (LIKE omnimsg.collection_accounts INCLUDING ALL,
	FOREIGN KEY (organization_id) REFERENCES omnimsg.organizations (id),
	FOREIGN KEY (organization_id, campaign_id) REFERENCES omnimsg.campaigns (organization_id, id));
COPY (SELECT o.id, 'Customer ' || a.n, format((ARRAY['(555) %s-%s', '555-%s-%s', '+1555%s%s', '1.555.%s.%s'])[1 + a.n % 4], substr(d.digits, 1, 3), substr(d.digits, 4)),
			 CASE WHEN a.n % 10 = 0 THEN '+1554' || d.digits END, 'Customer' || a.n || '\@Example.com'
		FROM generate_series(0, $rows - 1) AS a (n) JOIN bench.organizations o ON o.n = a.n % 100
	   CROSS JOIN LATERAL (SELECT lpad(a.n::text, 7, '0')) AS d (digits)) TO '$file';
INSERT INTO omnimsg.consents (organization_id, channel, address, scope, state, decided_at, request_id, changed_at)
	SELECT o.id, c.channel, '+1555' || lpad(a.n::text, 7, '0'), 'all', 'opted_out', now(), omnimsg.uuid7(), now()
	  FROM generate_series(0, $rows - 1, 50) AS a (n) JOIN bench.organizations o ON o.n = a.n % 100
	 CROSS JOIN (VALUES ('sms'), ('voice')) AS c (channel);
VACUUM ANALYZE;
SQL

# load(TABLE): seconds of the clock and of the processor
sub load
{
	my ($table) = @_;
	my $session = $node->session;
	my $pid = $session->query('SELECT pg_backend_pid()');

	$node->psql("TRUNCATE $table; CHECKPOINT");
	my $begin = time;
	my $said = $session->query("COPY $table ($columns) FROM '$file'");
	my %figures = (seconds => time - $begin, cpu => Bench::cpu($pid));
	$said eq '' or die $said;
	$session->close;
	my $loaded = $node->psql("SELECT count(*), count(*) FILTER (WHERE sms_consent = false) FROM $table");
	$loaded eq "$rows|" . ($table =~ /^omnimsg/ ? int(($rows + 49) / 50) : 0) or die "of $rows accounts and their opt-outs, $table has $loaded\n";
	return \%figures;
}

my $of = Bench::rounds(ours => sub { return load('omnimsg.collection_accounts') }, without => sub { return load('bench.accounts') });
my %ratio = map { $_ => Bench::ratio($of, 'ours', 'without', $_) } qw(seconds cpu);
my $many = $rows >= 1_000_000 ? sprintf('%.3g M', $rows / 1e6) : $rows;

Bench::row(goal => "loading $many accounts with COPY", ours => sprintf('%.0f s, %.1f us of the processor each', $of->{ours}{seconds}, $of->{ours}{cpu} / $rows * 1e6),
	beside => sprintf('a table without the trigger: %.0f s, %.1f us each', $of->{without}{seconds}, $of->{without}{cpu} / $rows * 1e6),
	ratio => sprintf('%.1f x (processor %.1f x)', $ratio{seconds}, $ratio{cpu}), wanted => 'at most 4 x', reached => $ratio{seconds} <= 4);
Bench::note('The trigger reads each number as people write it, looks up what its owner has said about texts, and lower-cases the e-mail address; rows with a trigger BEFORE them are stored one by one, those without in pages.');
