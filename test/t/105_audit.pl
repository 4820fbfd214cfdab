# The audit trail proves itself: whatever is changed, removed, added, swapped or cut off is found and named, by the rows, by the
# seals over them, and by what was kept outside.
#
# OMNIMSG_ROWS (100000) is how many rows there are, OMNIMSG_PICKS (3) how many of each kind are tampered with in one go, OMNIMSG_SEED
# chooses which.

use strict;
use warnings;

use List::Util qw(sum0);
use MIME::Base64 qw(encode_base64);
use Omnimsg;
use Test::More;
use Time::HiRes qw(time);

my $rows = $ENV{OMNIMSG_ROWS} // 100000;
my $picks = $ENV{OMNIMSG_PICKS} // 3;
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));

diag("seed $seed, $rows rows");
srand($seed);
my $node = Omnimsg->new;
# a seal ends before the oldest transaction that runs, which may be one of its
$node->setting('autovacuum', 'off');
$node->poll("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'", 0) or die 'autovacuum does not end';
my $organization = $node->seed->{organization};
my $other = '33333333-3333-7333-8333-333333333333';
my $key_file = $node->dir . '/secrets/audit_signing_key';

# rows as audit.c would write them, many at once
sub add_rows
{
	my ($count, $of) = @_;

	return <<"SQL";
WITH made AS (
	SELECT ROW(l.*)::omnimsg.audit_logs AS r FROM (
		SELECT '$of'::uuid, omnimsg.uuid7(), 'MESSAGE_RECEIVED', 'message', omnimsg.uuid7(), 'provider:telnyx',
			   CASE WHEN n % 3 = 0 THEN jsonb_build_object('status', 'queued') END, jsonb_build_object('n', n, 'source', 'keyword', 'part', 1.50),
			   NULL::bytea, pg_current_xact_id(), clock_timestamp(), omnimsg.audit_origin() FROM generate_series(1, $count) AS n) AS l)
INSERT INTO omnimsg.audit_logs (organization_id, id, action, resource_type, resource_id, actor, old_value, new_value, row_hash, xid, created_at, origin)
	SELECT (r).organization_id, (r).id, (r).action, (r).resource_type, (r).resource_id, (r).actor, (r).old_value, (r).new_value,
		   omnimsg.audit_hash(r), (r).xid, (r).created_at, (r).origin FROM made
SQL
}

sub verify
{
	my ($arguments, %where) = @_;

	return $node->psql("SELECT v.kind, coalesce(v.seal::text, '-'), coalesce(w.n::text, '-') FROM omnimsg_audit_verify(@{[ $arguments // '' ]}) v
		LEFT JOIN test.rows w ON w.id = v.row_id ORDER BY w.n NULLS FIRST, v.kind, v.seal", %where);
}

# what verify finds while the statements are in force; then they are taken back
sub found
{
	my ($statements, $arguments) = @_;
	my $found = $node->psql("BEGIN; $statements; SELECT 'BEGIN OF FINDINGS'; SELECT v.kind || '|' || coalesce(v.seal::text, '-') || '|' || coalesce(w.n::text, '-')
		FROM omnimsg_audit_verify(@{[ $arguments // '' ]}) v LEFT JOIN test.rows w ON w.id = v.row_id ORDER BY w.n NULLS FIRST, v.kind, v.seal; ROLLBACK");

	return $found =~ s/\A.*BEGIN OF FINDINGS\n?//sr;
}

sub seal
{
	return $node->psql('SELECT coalesce(sum(row_count), 0) FROM omnimsg_audit_seal()');
}

# seal_all(): how many each call sealed until nothing was left
sub seal_all
{
	my @calls;

	while (my $count = seal())
	{
		push @calls, $count;
	}
	return @calls;
}

# ---- rows and seals ----

my $parts = 4;
$node->psql("INSERT INTO omnimsg.organizations (id, name) VALUES ('$other', 'Other')");
$node->psql('SELECT omnimsg_disarm()');	# the worker seals as well, and would do it first at times
for (1 .. $parts)
{
	$node->psql(add_rows($rows / $parts, $organization));
	$node->psql(add_rows(10, $other));
	seal_all();
}
is(seal(), 0, 'when nothing is new nothing is sealed');
$node->psql(<<"SQL");
CREATE SCHEMA test;
CREATE TABLE test.rows AS SELECT l.id, row_number() OVER (ORDER BY l.xid, l.id) AS n FROM omnimsg.audit_logs l
	WHERE l.organization_id = '$organization' AND l.resource_type = 'message';
CREATE UNIQUE INDEX ON test.rows (n);
CREATE FUNCTION test.row(bigint) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT r.id FROM test.rows r WHERE r.n = \$1';
ANALYZE;
SQL
is($node->psql("SELECT sum(row_count), count(*) >= $parts, bool_and(s.number = s.n) FROM (
	SELECT *, row_number() OVER (ORDER BY number) AS n FROM omnimsg.audit_seals WHERE organization_id = '$organization') s"), "$rows|t|t",
	'each row is in one seal, and the seals are numbered without gaps');
is($node->psql('SELECT count(*) FROM omnimsg.audit_logs l WHERE l.row_hash IS DISTINCT FROM omnimsg.audit_hash(l)'), 0, 'each row has the hash of what it holds');
my $begin = time;
is(verify(), '', 'nothing is wrong');
diag(sprintf 'verified in %.2f s', time - $begin);

# ---- another program computes the same ----

SKIP: {
	my $python = q{
import sys, hashlib, struct, uuid
def f(b): return b'\x01' + struct.pack('>I', len(b)) + b
fields = sys.stdin.read().rstrip('\n').split('\t')
out = b'\x01'
for i, v in enumerate(fields):
    if v == '': out += b'\x00'
    elif i in (0, 1, 4): out += f(uuid.UUID(v).bytes)
    elif i in (8, 9, 10): out += f(struct.pack('>Q', int(v) % 2**64))
    else: out += f(v.encode())
print(hashlib.blake2b(out, digest_size=32).hexdigest())
};
	skip 'no python3', 1 if system('command -v python3 >/dev/null 2>&1') != 0;
	my $row = $node->psql("SELECT concat_ws(E'\\t', organization_id, id, action, resource_type, coalesce(resource_id::text, ''), actor, coalesce(old_value::text, ''), coalesce(new_value::text, ''),
		origin, xid, (extract(epoch FROM created_at) * 1000000)::bigint - 946684800000000) FROM omnimsg.audit_logs WHERE id = test.row(3)");
	my ($status, $out) = $node->_run({ stdin => $row }, 'python3', '-c', $python);
	is($out =~ s/\s+\z//r, $node->psql("SELECT encode(row_hash, 'hex') FROM omnimsg.audit_logs WHERE id = test.row(3)"), 'another program computes the hash of a row');
}

# ---- changed, removed, added, swapped, cut off ----

my %used;

sub pick
{
	my $n;

	do { $n = 1 + int(rand($rows - 100)) } while $used{$n}++;
	return $n;
}

my %change = (
	action => "'CONSENT_RECORDED'", resource_type => "'review'", resource_id => 'omnimsg.uuid7()', actor => "l.actor || ' '",
	old_value => q('{"status": "sent"}'), new_value => q(l.new_value || '{"source": "agent"}'), row_hash => q(set_byte(l.row_hash, 7, get_byte(l.row_hash, 7) # 1)),
	created_at => "l.created_at + interval '1 microsecond'", organization_id => "'$other'", origin => 'NULL', xid => q((l.xid::text::bigint + 100000)::text::xid8),
);
my @statements;
my %expected;
for my $column (sort keys %change)
{
	for (1 .. $picks)
	{
		my $n = pick();

		push @statements, "UPDATE omnimsg.audit_logs l SET $column = $change{$column} WHERE id = test.row($n)";
		$expected{$n} = $column =~ /^(?:xid|origin|organization_id)$/ ? 'edited|missing|reordered|added' : 'edited';
	}
}
for (1 .. $picks)
{
	my ($gone, $forged, $null, $a, $b, $c, $d) = map { pick() } 1 .. 7;

	push @statements, "DELETE FROM omnimsg.audit_logs WHERE id = test.row($gone)";
	$expected{$gone} = 'missing';
	# who knows how hashes are made
	push @statements, "UPDATE omnimsg.audit_logs l SET actor = 'role:somebody' WHERE id = test.row($forged)",
		"UPDATE omnimsg.audit_logs l SET row_hash = omnimsg.audit_hash(l) WHERE id = test.row($forged)";
	$expected{$forged} = 'edited';
	push @statements, "UPDATE omnimsg.audit_logs l SET row_hash = NULL WHERE id = test.row($null)";
	$expected{$null} = 'edited';
	# two rows change places: by their ids, and by their times
	push @statements, "CREATE TEMP TABLE swap AS SELECT * FROM omnimsg.audit_logs WHERE id IN (test.row($a), test.row($b))",
		"DELETE FROM omnimsg.audit_logs WHERE id IN (test.row($a), test.row($b))",
		"UPDATE swap SET id = CASE id WHEN test.row($a) THEN test.row($b) ELSE test.row($a) END",
		'INSERT INTO omnimsg.audit_logs SELECT * FROM swap', 'DROP TABLE swap';
	push @statements, "UPDATE omnimsg.audit_logs l SET xid = o.xid, created_at = o.created_at FROM omnimsg.audit_logs o
		WHERE (l.id, o.id) IN ((test.row($c), test.row($d)), (test.row($d), test.row($c)))";
	$expected{$_} = 'reordered' for $a, $b, $c, $d;
}
push @statements, "DELETE FROM omnimsg.audit_logs WHERE id IN (SELECT id FROM test.rows WHERE n > @{[ $rows - 5 ]})";
$expected{$_} = 'cut off' for $rows - 4 .. $rows;
push @statements, "INSERT INTO omnimsg.audit_logs SELECT l.organization_id, '99999999-9999-7999-8999-999999999999', l.action, l.resource_type, l.resource_id, l.actor, l.old_value,
	l.new_value, l.row_hash, l.xid, l.created_at, l.origin FROM omnimsg.audit_logs l WHERE id = test.row(@{[ pick() ]})";
my %named;
my $strangers = 0;
for (split /\n/, found(join ';', @statements))
{
	my ($kind, $seal, $n) = split /\|/;

	if ($n eq '-') { $strangers++ if $kind =~ /added|edited/; next }
	$named{$n} .= ($named{$n} ? ',' : '') . $kind;
}
is($strangers, 1, 'a row that was added is told');
is(join(' ', grep { ($named{$_} // '') !~ /^(?:$expected{$_})(?:,|$)/ } sort { $a <=> $b } keys %expected), '',
	'each row that was changed, removed, swapped or cut off is named with what was done to it');
is(join(' ', map { "$_: $named{$_}" } grep { !$expected{$_} } sort { $a <=> $b } keys %named), '', 'and no other row is');
is(verify(), '', 'all of it was taken back');

# rows that no seal would ever take: of another database, after the rows of others were sealed here, and of a transaction that has not been
for (['of another database' => "origin = 77, xid = '5'"], ['of a transaction that comes' => "xid = '500000000000'"])
{
	my ($what, $placed) = @$_;
	my $made = add_rows(1, $other) . "; UPDATE omnimsg.audit_logs l SET $placed WHERE xid = pg_current_xact_id(); UPDATE omnimsg.audit_logs l SET row_hash = omnimsg.audit_hash(l) WHERE $placed"
		=~ s/WHERE origin = 77, xid/WHERE origin = 77 AND xid/r;

	is(found($made, "'$other'"), 'added|-|-', "a row $what is told");
}

# An auditor sees the seals of his own: that there are none, or have been none since, is told by how far the others are sealed
sub found_by_auditor
{
	my ($statements) = @_;

	return $node->psql("BEGIN; $statements; SELECT 'BEGIN OF FINDINGS' FROM omnimsg_login(omnimsg_create_token('$other', 'an auditor')); SET LOCAL ROLE omnimsg_auditor;
		SELECT 'BEGIN OF FINDINGS'; SELECT v.kind, count(*) FROM omnimsg_audit_verify() v GROUP BY 1; ROLLBACK") =~ s/\A.*BEGIN OF FINDINGS\n?//sr;
}
is(found_by_auditor('SELECT 1'), '', 'an auditor finds nothing wrong');
is(found_by_auditor("DELETE FROM omnimsg.audit_seals WHERE organization_id = '$other'"), 'added|' . 10 * $parts, 'when all seals of his organization are gone he is told');

# ---- seals ----

my $last = $node->psql("SELECT max(number) FROM omnimsg.audit_seals WHERE organization_id = '$organization'");
my $mine = "organization_id = '$organization'";
for (['row_count', 'row_count + 1'], ['root', 'set_byte(root, 0, get_byte(root, 0) # 1)'], ['manifest', 'set_byte(manifest, 20, get_byte(manifest, 20) # 1)'],
	['previous', 'set_byte(previous, 0, get_byte(previous, 0) # 1)'], ['signature', 'set_byte(signature, 0, get_byte(signature, 0) # 1)'],
	['sealed_at', "sealed_at + interval '1 s'"], ['epoch', 'epoch + 1'], ['sealed_in', 'sealed_in + 1'], ['key_fingerprint', "'00'"],
	['from_xid', '(from_xid::text::bigint - 1)::text::xid8'], ['to_xid', '(to_xid::text::bigint + 1)::text::xid8'], ['origin', 'origin + 1'], ['origin', 'NULL'],
	['number', "number + $last"], ['organization_id', "'44444444-4444-7444-8444-444444444444'"])
{
	my ($column, $value) = @$_;
	my $number = 1 + int(rand($last));
	my $named = $column eq 'number' ? $number + $last : $number;
	my $found = found("UPDATE omnimsg.audit_seals SET $column = $value WHERE $mine AND number = $number");

	like($found, qr/^unsigned seal\|$named\|/m, "$column of a seal is told");
	like($found, qr/^missing seal\|$number\|/m, 'and that one is missing') if $column eq 'number';
}
like(found("UPDATE omnimsg.audit_seals SET hash = set_byte(hash, 0, get_byte(hash, 0) # 1) WHERE $mine AND number = 2"), qr/^broken chain\|2\|/m, 'the hash of a seal is told');
like(found("DELETE FROM omnimsg.audit_seals WHERE $mine AND number = 2"), qr/^missing seal\|2\|/m, 'a seal that was removed is told');

# the newest seal and its rows: only who kept the head knows
my $head = $node->psql('SELECT jsonb_agg(h) FROM omnimsg_audit_head() h');
my $cut = "DELETE FROM omnimsg.audit_logs l USING omnimsg.audit_seals s WHERE s.organization_id = '$organization' AND s.number = $last AND l.organization_id = s.organization_id
	AND l.xid >= s.from_xid AND l.xid < s.to_xid; DELETE FROM omnimsg.audit_seals WHERE $mine AND number = $last";
is(found($cut), '', 'the newest seal and its rows can be cut off together');
is(found($cut, "heads => '$head'"), "cut off|$last|-", 'which the head that was exported tells');
is(verify("heads => '$head'"), '', 'with that head nothing is wrong otherwise');

# ---- keys ----

sub write_key
{
	my ($text) = @_;

	unlink $key_file;
	open my $file, '>', $key_file or die "$key_file: $!";
	print {$file} $text;
	close $file;
	chmod 0600, $key_file;
	chown +(stat $node->dir . '/data')[4], -1, $key_file;
	return;
}

my $key = do { open my $file, '<', $key_file or die "$key_file: $!"; local $/; <$file> };
my $public = $node->psql('SELECT DISTINCT public_key FROM omnimsg_audit_head()');
my $forged = encode_base64(join('', map { chr int rand 256 } 1 .. 32), '') . "\n";

# who has the database and not the key: makes it anew with a key of his own
write_key($forged);
$node->psql("UPDATE omnimsg.audit_logs l SET actor = 'role:somebody' WHERE id = test.row(5)");
$node->psql("UPDATE omnimsg.audit_logs l SET row_hash = omnimsg.audit_hash(l) WHERE id = test.row(5)");
$node->psql("CREATE TABLE test.seals AS SELECT * FROM omnimsg.audit_seals; CREATE TABLE test.keys AS SELECT * FROM omnimsg.audit_keys");
$node->psql('TRUNCATE omnimsg.audit_seals, omnimsg.audit_keys');
my $unsealed = $node->psql('SELECT count(*) FROM omnimsg.audit_logs');
my @calls = seal_all();
# the rows of a part are of one transaction
my $most = 100000 > $rows / $parts ? 100000 : $rows / $parts;
is(sum0(@calls), $unsealed, 'somebody else seals all of it again with another key');
cmp_ok(scalar(@calls), '>=', $unsealed > $most ? 2 : 1, 'in more than one call where there is more than one may take');
is(scalar(grep { $_ > $most } @calls), 0, 'none of which takes more than it may');
is($node->psql('SELECT max(w.n) <= 1 FROM (SELECT count(*) AS n FROM omnimsg.audit_seals s GROUP BY s.organization_id, s.from_xid) AS w'), 't', 'each with a seal of its own for each organization');
like($node->psql("SELECT DISTINCT kind FROM omnimsg_audit_verify(trusted_key => '$public')"), qr/^unsigned seal$/m, 'with the public key that was kept outside that is told');
write_key($key);
like($node->psql('SELECT DISTINCT kind FROM omnimsg_audit_verify()'), qr/^unsigned seal$/m, 'and with the key where it belongs');
$node->psql("TRUNCATE omnimsg.audit_seals, omnimsg.audit_keys; INSERT INTO omnimsg.audit_seals SELECT * FROM test.seals; INSERT INTO omnimsg.audit_keys SELECT * FROM test.keys;
	UPDATE omnimsg.audit_logs l SET actor = 'provider:telnyx' WHERE id = test.row(5)");
$node->psql("UPDATE omnimsg.audit_logs l SET row_hash = omnimsg.audit_hash(l) WHERE id = test.row(5)");
is(verify(), '', 'put back, nothing is wrong');

# the key is changed by those whose it is
$key = encode_base64(join('', map { chr int rand 256 } 1 .. 32), '') . "\n";
write_key($key);
$node->psql(add_rows(3, $organization));
is(seal(), 3, 'a new key seals from now on');
is(verify(), '', 'and what the old one signed stays proven');
like(found("UPDATE omnimsg.audit_keys SET vouch = NULL WHERE vouched_by IS NOT NULL"), qr/^unsigned seal\|/m, 'by what the new one says of it');

unlink $key_file;
$node->psql(add_rows(1, $organization));
like($node->psql_error('SELECT * FROM omnimsg_audit_seal()'), qr/55000: the audit trail cannot be sealed: .*audit_signing_key/s, 'without a key nothing is sealed');
is($node->psql("SELECT detail FROM omnimsg_health() WHERE finding = 'the audit trail cannot be sealed'"), 'the secret does not exist in omnimsg.secrets_dir', 'health says why');
is(verify(), 'no key|-|-', 'and verification says that it has no key to trust');
write_key($key);

# ---- late commits ----

my $late = $node->session;
my $late_pid = $late->query('SELECT pg_backend_pid()');
$late->query('BEGIN; ' . add_rows(5, $organization));
$node->psql(add_rows(7, $organization));
is(seal(), 1, 'what was written after a transaction began that still runs waits with it');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs l WHERE l.organization_id = '$organization' AND l.xid >= (SELECT s.to_xid FROM omnimsg.audit_seals s WHERE s.origin = l.origin ORDER BY s.to_xid DESC LIMIT 1)"),
	7, 'unsealed');
is(verify(), '', 'which is nothing wrong');
like($node->psql("BEGIN; UPDATE omnimsg.audit_logs l SET created_at = created_at - interval '10 minutes' WHERE l.xid >= (SELECT max(to_xid) FROM omnimsg.audit_seals);
	SELECT detail, hint FROM omnimsg_health() WHERE finding = 'audit rows wait for their seal'; ROLLBACK"),
	qr/since before that a transaction is open: process $late_pid, role "postgres", database "omnimsg"\|.*pg_terminate_backend\($late_pid\)/, 'health names who holds them up');
$late->query('COMMIT');
is(seal(), 12, 'it is sealed when it has committed');
is(verify(), '', 'and nothing is wrong');

# many at once: rows by some, seals by others
my @writers = map { $node->session } 1 .. 3;
my @sealers = map { $node->session } 1 .. 2;
$_->begin(join '; ', map { 'BEGIN; ' . add_rows(3, $organization) . "; SELECT pg_sleep(random() * 0.02); " . ($_ % 4 ? 'COMMIT' : 'ROLLBACK') } 1 .. 20) for @writers;
$_->begin('SELECT count(*) FROM omnimsg_audit_seal(); ' x 20) for @sealers;
$_->result for @writers, @sealers;
seal();
is(verify(), '', 'rows and seals of many sessions at once: nothing is wrong');
is($node->psql("SELECT sum(s.row_count) - (SELECT count(*) FROM omnimsg.audit_logs l WHERE l.organization_id = '$organization') FROM omnimsg.audit_seals s WHERE s.organization_id = '$organization'"),
	0, 'and each row is in one seal');

# ---- nobody may ----

for my $role (qw(omnimsg_relay omnimsg_agent omnimsg_auditor omnimsg_admin omnimsg_worker))
{
	for my $statement ("UPDATE omnimsg.audit_logs SET actor = 'x'", 'DELETE FROM omnimsg.audit_logs', 'TRUNCATE omnimsg.audit_logs', "UPDATE omnimsg.audit_seals SET epoch = 2",
		'DELETE FROM omnimsg.audit_seals', "INSERT INTO omnimsg.audit_keys SELECT * FROM omnimsg.audit_keys", 'ALTER TABLE omnimsg.audit_logs DISABLE TRIGGER ALL')
	{
		like($node->psql_error("SET ROLE $role; $statement"), qr/42501/, "$role: " . ($statement =~ s/ SET.*| SELECT.*//r) . ' is refused');
	}
}

# ---- a restored copy ----

my $dump = $node->dir . '/audit.dump';
my ($status) = $node->program('pg_dump', '-Fc', '-f', $dump, 'omnimsg');
is($status, 0, 'dumped');
$node->psql('CREATE DATABASE restored', dbname => 'postgres');
$node->program('pg_restore', '-d', 'restored', $dump);
my %copy = (dbname => 'restored');
is($node->psql('SELECT v.kind, v.seal FROM omnimsg_audit_verify() v', %copy), '', 'in a restored copy the old seals are those of its rows');
like($node->psql_error('SELECT * FROM omnimsg_audit_seal()', %copy), qr/55000: .*not sealed before the database is armed/, 'which is not sealed before it is armed');
$node->psql('SELECT FROM omnimsg_arm()', %copy);
$node->psql(add_rows(4, $organization), %copy);
is($node->psql("SELECT epoch, sum(row_count) FROM omnimsg_audit_seal() WHERE organization_id = '$organization' GROUP BY 1", %copy), '2|4', 'then it begins an epoch of its own');
is($node->psql('SELECT v.kind, v.seal FROM omnimsg_audit_verify() v', %copy), '', 'and nothing is wrong in either');
is($node->psql("SELECT count(*) FROM omnimsg_audit_verify(heads => '$head')", %copy), 0, 'nor beside the head of the original');

done_testing();
