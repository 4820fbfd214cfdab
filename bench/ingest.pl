#!/usr/bin/env perl
# what ingest costs PostgreSQL: in batches beside COPY of the same rows, and one by one beside prepared statements
#
# The floor writes the very rows that ingest has just made into tables with the same columns, checks and indexes: of each batch a COPY
# for each table and one UPDATE of the accounts, in one transaction.  Both have a session that stays, with its plans made.
# OMNIMSG_ROUNDS (5), OMNIMSG_BATCHES (150) in a round, OMNIMSG_BATCH (64), OMNIMSG_ROWS (1000000) accounts, OMNIMSG_SECONDS (10) of each pgbench;
# OMNIMSG_ONLY is "batches" or "calls"

use strict;
use warnings;

use Bench;
use File::Basename qw(dirname);
use Stock;

my $batches = $ENV{OMNIMSG_BATCHES} // 150;
my $size = $ENV{OMNIMSG_BATCH} // 64;
my $accounts = $ENV{OMNIMSG_ROWS} // 1_000_000;
my $seconds = $ENV{OMNIMSG_SECONDS} // 10;
my $only = $ENV{OMNIMSG_ONLY} // '';
my $clients = 8;
my $here = dirname(__FILE__);

# the tables that the floor writes, and the column that has the time of the batch
my %time_of = (events => 'received_at', messages => 'created_at', audit_logs => 'created_at', opt_out_requests => 'created_at',
	consents => 'changed_at', outbox => 'created_at', reply_windows => 'last_at');
my @tables = sort keys %time_of;

my $node = Stock::server();
my $month = $node->psql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')");
my %columns = map { $_ => $node->psql("SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
	WHERE attrelid = 'omnimsg.$_'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''") } @tables;

Stock::accounts($node, $accounts);
# the same columns, checks, defaults and indexes
$node->psql('CREATE SCHEMA floor');
$node->psql("CREATE TABLE floor.$_ (LIKE omnimsg." . (/^(messages|audit_logs)$/ ? "${_}_$month" : $_) . ' INCLUDING ALL)')
	for @tables, 'collection_accounts';
$node->psql('INSERT INTO floor.collection_accounts SELECT * FROM omnimsg.collection_accounts');
Stock::touch($node, 'omnimsg.collection_accounts', 'floor.collection_accounts');

# ---- batches ----

# rows(TABLE, SINCE): what ingest has written there since, as text: {time of the batch}[rows]
sub rows
{
	my ($table, $since) = @_;
	my ($status, $out, $err) = $node->program('psql', '-X', '-q', '-c',
		"COPY (SELECT $time_of{$table}, $columns{$table} FROM omnimsg.$table WHERE $time_of{$table} >= '$since') TO STDOUT");
	my %of;

	$status == 0 or die $err;
	for my $line (split /\n/, $out)
	{
		my ($time, $row) = split /\t/, $line, 2;
		push @{ $of{$time} }, $row;
	}
	return \%of;
}

# floor_script(SINCE): a file that writes it all once more, a transaction for each batch
sub floor_script
{
	my ($since) = @_;
	my %rows = map { $_ => rows($_, $since) } @tables;
	my %contact;
	my $file = $node->dir . '/floor.sql';

	for my $line (split /\n/, $node->psql(<<"SQL"))
SELECT m.created_at, '{' || string_agg(m.organization_id::text, ',') || '}', '{' || string_agg(m.account_id::text, ',') || '}',
	   '{' || string_agg('"' || e.occurred_at || '"', ',') || '}'
  FROM omnimsg.messages m JOIN omnimsg.events e ON e.provider = 'telnyx' AND e.dedupe_key = 'received:' || m.external_message_id
 WHERE m.created_at >= '$since' AND m.direction = 'inbound' AND m.account_id IS NOT NULL GROUP BY m.created_at
SQL
	{
		my ($time, @arrays) = split /\|/, $line;
		$contact{$time} = join ', ', (map { "'$_'" } @arrays), "'$time'";
	}
	open my $script, '>', $file or die "$file: $!";
	for my $time (sort keys %{ $rows{events} })
	{
		print {$script} "BEGIN;\n";
		for my $table (grep { $rows{$_}{$time} } @tables)
		{
			print {$script} "COPY floor.$table ($columns{$table}) FROM STDIN;\n", map { "$_\n" } @{ $rows{$table}{$time} }, '\\.';
		}
		print {$script} "EXECUTE contacted($contact{$time});\n" if $contact{$time};
		print {$script} "COMMIT;\n";
	}
	close $script or die "$file: $!";
	return $file;
}

# measured(SESSION, SQL): microseconds of processor and bytes of WAL for each message
sub measured
{
	my ($session, $sql, $messages) = @_;
	my $pid = $session->query('SELECT pg_backend_pid()');
	my $lsn = $node->psql('SELECT pg_current_wal_insert_lsn()');
	my $cpu = Bench::cpu($pid);

	my $said = $session->query($sql);
	$said =~ /ERROR/ and die $said;
	$cpu = Bench::cpu($pid) - $cpu;
	my $bytes = $node->psql("SELECT pg_current_wal_insert_lsn() - '$lsn'");
	return ($cpu / $messages * 1e6, $bytes / $messages);
}

my $run = 0;

# applied(SINCE, COUNT): that so many webhooks have had their effect since then
sub applied
{
	my ($since, $count) = @_;
	my $applied = $node->psql("SELECT count(*) FROM omnimsg.events e WHERE e.received_at >= '$since' AND e.outcome = 'applied'");

	$applied == $count or die "$applied of $count webhooks were applied\n";
	return;
}

# signed(SESSION, BATCHES): microseconds of processor for each message when its signature is verified once more, because the key is registered
sub signed
{
	my ($session, $count) = @_;

	Stock::webhooks($node, run => ++$run, batches => $count, size => $size, accounts => $accounts);
	Stock::sign($node);
	my $key = $node->psql("SELECT omnimsg_add_key(a.id, '" . $node->public_key . "') FROM omnimsg.provider_accounts a");
	my $since = $node->psql('SELECT clock_timestamp()');
	my ($cpu) = measured($session, join("\n", map { "EXECUTE ingest_signed($_, '$key');" } 0 .. $count - 1), $count * $size);

	applied($since, $count * $size);
	$node->psql("UPDATE omnimsg.provider_accounts SET key_fingerprints = '{}'; DELETE FROM omnimsg.provider_keys");
	return $cpu;
}

sub measure_batches
{
	my ($ours, $floor) = map { $node->session } 1 .. 2;

	Stock::ingest($ours);
	$floor->query(<<'SQL');
PREPARE contacted (uuid[], uuid[], timestamptz[], timestamptz) AS
	UPDATE floor.collection_accounts a SET last_contact_at = greatest(a.last_contact_at, w.contact_at), updated_at = $4
	  FROM unnest($1, $2, $3) AS w (organization_id, id, contact_at)
	 WHERE a.organization_id = w.organization_id AND a.id = w.id
SQL
	my $round = sub {
		my ($count) = @_;

		Stock::webhooks($node, run => ++$run, batches => $count, size => $size, accounts => $accounts);
		my $since = $node->psql('SELECT clock_timestamp()');
		my ($cpu, $wal) = measured($ours, join("\n", map { "EXECUTE ingest($_);" } 0 .. $count - 1), $count * $size);
		applied($since, $count * $size);
		my $file = floor_script($since);
		# COPY can only add: of the rows that ingest changes those of the round before give way
		$node->psql('TRUNCATE floor.consents, floor.reply_windows');
		my ($floor_cpu, $floor_wal) = measured($floor, "\\i $file", $count * $size);
		my $signed = signed($ours, $count);
		return {
			cpu => $cpu, floor_cpu => $floor_cpu, cpu_ratio => $cpu / $floor_cpu,
			wal => $wal, floor_wal => $floor_wal, wal_ratio => $wal / $floor_wal, signed => $signed, signed_ratio => $signed / $floor_cpu,
		};
	};
	# the plans are made before, and the pages of the indexes written once
	$round->(20);
	my $of = Bench::rounds(batches => sub { return $round->($batches) })->{batches};

	Bench::row(goal => "PostgreSQL CPU for a message, batches of $size", ours => sprintf('%.0f us', $of->{cpu}),
		beside => sprintf('COPY of the same rows and one UPDATE: %.0f us', $of->{floor_cpu}),
		ratio => sprintf('%.2f x', $of->{cpu_ratio}), wanted => 'at most 2 x', reached => $of->{cpu_ratio} <= 2);
	Bench::row(goal => "WAL for a message, batches of $size", ours => sprintf('%.0f bytes', $of->{wal}),
		beside => sprintf('COPY of the same rows and one UPDATE: %.0f bytes', $of->{floor_wal}),
		ratio => sprintf('%.2f x', $of->{wal_ratio}), wanted => 'at most 1.3 x', reached => $of->{wal_ratio} <= 1.3);
	Bench::row(goal => "PostgreSQL CPU for a message, batches of $size, with a registered key: each signature is verified once more", ours => sprintf('%.0f us', $of->{signed}),
		beside => sprintf('the same floor, which verifies nothing: %.0f us', $of->{floor_cpu}),
		ratio => sprintf('%.2f x', $of->{signed_ratio}), wanted => 'at most 2 x', reached => $of->{signed_ratio} <= 2);
	return;
}

# ---- calls ----

# pgbench(FILES): transactions a second, and for each the microseconds of PostgreSQL's processor time, and those that a core had nothing to do
sub pgbench
{
	my (@files) = @_;
	my $postmaster = $node->postmaster_pid;
	my ($cpu, $idle) = (Bench::cpu_of_server($postmaster), Bench::idle());
	my ($status, $out, $err) = $node->program('pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', 1, '-T', $seconds,
		'-D', 'accounts=' . ($accounts - 1), map { ('-f', "$here/$_") } @files);
	my ($tps) = $out =~ /^tps = ([\d.]+)/m;

	$status == 0 && $tps or die "pgbench failed: $out$err";
	$out =~ /number of failed transactions: 0 / or die "pgbench had failures: $out$err";
	return {
		rate => $tps, cpu => (Bench::cpu_of_server($postmaster) - $cpu) * 1e6 / $tps / $seconds,
		idle => (Bench::idle() - $idle) * 1e6 / $tps / $seconds,
	};
}

sub measure_calls
{
	# The body of a webhook, of which pgbench has only numbers.  Called VOLATILE, for clock_timestamp() is, it becomes part of the statement; else it
	# would be parsed and planned in every call.
	$node->psql('CREATE FUNCTION bench.body(n bigint, account bigint, text text) RETURNS bytea LANGUAGE sql VOLATILE AS $body$ SELECT ' .
		Stock::body('md5($1::text)::uuid', 'md5($1::text)::uuid', 'clock_timestamp()', '$2', '$3', "'+15562000' || lpad((\$2 % 100)::text, 3, '0')") . ' $body$');
	my %file = (
		call => ['call.pgbench@19', 'call_stop.pgbench@1'],
		statements => ['statements.pgbench@19', 'statements_stop.pgbench@1'],
	);
	my $of = Bench::rounds(map { my $name = $_; ($name => sub { $node->psql('ANALYZE'); return pgbench(@{ $file{$name} }) }) } qw(call statements));
	my $ratio = Bench::ratio($of, 'call', 'statements', 'rate');

	Bench::row(goal => "one omnimsg_ingest() a transaction, $clients clients", ours => sprintf('%.0f/s', $of->{call}{rate}),
		beside => sprintf('the same work in prepared statements: %.0f/s', $of->{statements}{rate}),
		ratio => sprintf('%.2f x', $ratio), wanted => 'at least 1.5 x', reached => $ratio >= 1.5);
	Bench::note(sprintf 'A single call takes %.0f us of the processor in PostgreSQL, and leaves the two cores unused for %.0f us, for its commit waits for the disk; the work in prepared statements takes %.0f us and leaves %.0f us. ' .
		'The rounds gave %s.', (map { @{ $of->{$_} }{qw(cpu idle)} } qw(call statements)), Bench::each($of, 'call', 'statements', 'rate'));
	return;
}

measure_batches() if $only ne 'calls';
measure_calls() if $only ne 'batches';
Bench::note('The floor is COPY of the rows that ingest has just made in journal, messages, audit trail, requests, consents, outbox and reply windows, and one UPDATE of the ' .
	'accounts; that the accounts of every twentieth get their consent noted as well is in the figure of ingest only. But for the row that says so the provider account has no key registered. ' .
	'The peer of the single call neither reads JSON nor looks for an intent.');
