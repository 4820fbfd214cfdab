#!/usr/bin/env perl
# how long it takes to verify the audit trail
#
# Rows as ingest writes them, sealed, in one organization; then omnimsg_audit_verify() of all of it, in a session that has just begun.
# OMNIMSG_ROUNDS (5), OMNIMSG_ROWS (100000)

use strict;
use warnings;

use Bench;
use Stock;
use Time::HiRes qw(time);

my $rows = $ENV{OMNIMSG_ROWS} // 100_000;
my $at_once = 10_000;
my $node = Stock::server();

# add(COUNT): as many rows with their hashes, in a transaction of its own
sub add
{
	my ($count) = @_;

	$node->psql(<<"SQL");
WITH made AS (
	SELECT ROW(l.*)::omnimsg.audit_logs AS r FROM (
		SELECT o.id, omnimsg.uuid7(), 'MESSAGE_RECEIVED', 'message', omnimsg.uuid7(), 'provider:telnyx', NULL::jsonb,
			   '{"channel": "sms", "intent": "none", "linked": "yes"}'::jsonb, NULL::bytea, pg_current_xact_id(), clock_timestamp(), omnimsg.audit_origin()
		  FROM generate_series(1, $count), bench.organizations o WHERE o.n = 0) AS l)
INSERT INTO omnimsg.audit_logs (organization_id, id, action, resource_type, resource_id, actor, old_value, new_value, row_hash, xid, created_at, origin)
	SELECT (r).organization_id, (r).id, (r).action, (r).resource_type, (r).resource_id, (r).actor, (r).old_value, (r).new_value,
		   omnimsg.audit_hash(r), (r).xid, (r).created_at, (r).origin FROM made
SQL
	return;
}

# seal(): rows a second, until nothing is left
sub seal
{
	my ($sealed, $begin) = (0, time);

	while (my $count = $node->psql('SELECT coalesce(sum(row_count), 0) FROM omnimsg_audit_seal()'))
	{
		$sealed += $count;
	}
	$sealed >= $rows or die "$sealed of $rows rows were sealed\n";
	return $sealed / (time - $begin);
}

sub verify
{
	my $session = $node->session;
	my $pid = $session->query('SELECT pg_backend_pid()');
	my $begin = time;
	my $found = $session->query('SELECT count(*) FROM omnimsg_audit_verify()');
	my %figures = (seconds => time - $begin, cpu => Bench::cpu($pid));

	$found eq '0' or die "verification found $found\n";
	$session->close;
	return \%figures;
}

for (my $made = 0; $made < $rows; $made += $at_once)
{
	add($at_once < $rows - $made ? $at_once : $rows - $made);
}
my $rate = seal();
my $seals = $node->psql('SELECT count(*) FROM omnimsg.audit_seals');
$node->psql('VACUUM ANALYZE');
my $of = Bench::rounds(verify => \&verify)->{verify};

Bench::row(goal => "omnimsg_audit_verify() of $rows rows in $seals seals", ours => sprintf('%.2f s', $of->{seconds}), beside => sprintf('sealing them: %.0f rows/s', $rate),
	wanted => 'under 2 s', reached => $of->{seconds} < 2);
Bench::note(sprintf 'In a session of its own each time, with the table in memory; %.2f s of that is the processor time of PostgreSQL. Nothing is wrong with the rows; each that is takes longer, for it is told.', $of->{cpu});
