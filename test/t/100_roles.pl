# Who may do what: the whole matrix of roles, objects and rights against test/data/roles.txt, what omnimsg_health() says when it
# is not so, and that what runs with these roles runs as it did.
#
# An object that is new, or a right, fails the first test until it is in the file.  OMNIMSG_WRITE=1 writes it; read what changed.

use strict;
use warnings;

use FindBin;
use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my $golden = "$FindBin::Bin/../data/roles.txt";
my $roles_sql = "$FindBin::Bin/../../deploy/roles.sql";

# ---- the matrix ----

# Rights as they work, whatever they come from.  Months are one line, all of them alike.
my $matrix = <<'SQL';
WITH role (name, shown) AS (VALUES ('omnimsg_relay', 'relay'), ('omnimsg_agent', 'agent'), ('omnimsg_auditor', 'auditor'),
	('omnimsg_admin', 'admin'), ('omnimsg_worker', 'worker'), ('pg_monitor', 'monitor'), ('nobody', 'everybody')),
relation AS (
	SELECT c.*, c.relispartition AND c.relname !~ '_default$' AS is_month,
		   CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind,
		   CASE WHEN c.relispartition AND c.relname !~ '_default$' THEN regexp_replace(c.relname, '_\d{4}_\d{2}$', '_MONTH') ELSE c.relname END AS shown
	  FROM pg_class c WHERE c.relnamespace = 'omnimsg'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')),
member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname = 'omnimsg'
	 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'),
rights (object, role, rights) AS (
	SELECT 'database', r.shown, p FROM role r, unnest(ARRAY['CREATE', 'TEMPORARY']) AS p WHERE has_database_privilege(r.name, current_database(), p)
	UNION ALL
	SELECT 'schema ' || n, r.shown, p FROM role r, unnest(ARRAY['omnimsg', 'public']) AS n, unnest(ARRAY['CREATE', 'USAGE']) AS p WHERE has_schema_privilege(r.name, n, p)
	UNION ALL
	SELECT format('%s %s', c.kind, c.shown), r.shown, p FROM relation c, role r, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p
	 WHERE c.relkind <> 'S' AND has_table_privilege(r.name, c.oid, p)
	UNION ALL
	SELECT format('%s %s', c.kind, c.shown), r.shown, p FROM relation c, role r, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS p
	 WHERE c.relkind = 'S' AND has_sequence_privilege(r.name, c.oid, p)
	UNION ALL
	SELECT format('%s %s', c.kind, c.shown), r.shown, format('%s(%s)', p, string_agg(a.attname, ' ' ORDER BY a.attnum))
	  FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped, role r, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS p
	 WHERE c.relkind <> 'S' AND NOT has_table_privilege(r.name, c.oid, p) AND has_column_privilege(r.name, c.oid, a.attnum, p)
	 GROUP BY c.oid, c.kind, c.shown, r.shown, p
	UNION ALL
	SELECT format('function %s', p.oid::regprocedure), r.shown, 'EXECUTE' FROM role r, pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	 WHERE has_function_privilege(r.name, p.oid, 'EXECUTE')
	   AND (r.name = 'nobody' OR NOT has_function_privilege('nobody', p.oid, 'EXECUTE'))
	UNION ALL
	SELECT format('type %s', t.oid::regtype), r.shown, 'USAGE' FROM role r, pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
	  JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
	 WHERE has_type_privilege(r.name, t.oid, 'USAGE') AND r.name = 'nobody'),
object (object) AS (
	SELECT 'database' UNION SELECT 'schema omnimsg' UNION SELECT 'schema public' UNION SELECT format('%s %s', c.kind, c.shown) FROM relation c
	UNION SELECT format('function %s', p.oid::regprocedure) FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	UNION SELECT format('type %s', t.oid::regtype) FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
	  JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
	UNION SELECT pg_describe_object(m.classid, m.objid, 0) FROM member m		-- what nobody thought of
	 WHERE m.classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass, 'pg_type'::regclass)),
line (line) AS (
	SELECT format('%s: %s', o.object, coalesce(string_agg(w.role || ' ' || w.rights, '; ' ORDER BY w.role), 'nobody'))
	  FROM object o
	  LEFT JOIN (SELECT d.object, d.role, string_agg(d.rights, ' ' ORDER BY d.rights) AS rights FROM (SELECT DISTINCT * FROM rights) AS d GROUP BY 1, 2) AS w
		ON w.object = o.object
	 GROUP BY o.object
	UNION
	SELECT format('owner of a %s: %s', c.kind, c.relowner::regrole) FROM relation c
	UNION
	SELECT format('owner of a function: %s', p.proowner::regrole) FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	UNION
	SELECT format('owner of a schema: %s', n.nspowner::regrole) FROM pg_namespace n JOIN member m ON m.classid = 'pg_namespace'::regclass AND m.objid = n.oid
	UNION
	SELECT format('policy of %s%s: %s for %s to %s %s%s', c.shown, CASE WHEN c.relrowsecurity AND c.relforcerowsecurity THEN '' ELSE ', not in force' END, p.policyname, p.cmd,
				  array_to_string(p.roles, ' '), p.qual, ' check ' || p.with_check)
	  FROM pg_policies p JOIN relation c ON c.relname = p.tablename WHERE p.schemaname = 'omnimsg'
	UNION
	SELECT format('rows of %s are open to who may read it', c.shown) FROM relation c WHERE c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
	UNION
	SELECT format('role %s: %s, member of %s, has members %s', r.rolname, array_to_string(ARRAY[
				CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolbypassrls THEN 'bypasses row level security' END,
				CASE WHEN r.rolcreaterole THEN 'makes roles' END, CASE WHEN r.rolcreatedb THEN 'makes databases' END, CASE WHEN r.rolreplication THEN 'replicates' END,
				CASE WHEN r.rolcanlogin THEN format('logs in up to %s times', r.rolconnlimit) ELSE 'does not log in' END, array_to_string(s.setconfig, ' ')], ', '),
			coalesce((SELECT string_agg(a.roleid::regrole::text, ' ' ORDER BY 1) FROM pg_auth_members a WHERE a.member = r.oid), 'none'),
			coalesce((SELECT string_agg(a.member::regrole::text, ' ' ORDER BY 1) FROM pg_auth_members a WHERE a.roleid = r.oid), 'none'))
	  FROM pg_roles r LEFT JOIN pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0 WHERE r.rolname LIKE 'omnimsg\_%')
SELECT line FROM line ORDER BY line COLLATE "C"
SQL

$node->psql('CREATE ROLE nobody');
my $found = $node->psql($matrix);
if ($ENV{OMNIMSG_WRITE})
{
	open my $file, '>', $golden or die "$golden: $!";
	print {$file} "$found\n";
	close $file or die "$golden: $!";
}
my %wanted = do { open my $file, '<', $golden or die "$golden: $!"; map { chomp; ($_ => 1) } <$file> };
my %got = map { $_ => 1 } split /\n/, $found;
is(join("\n", map { "+ $_" } grep { !$wanted{$_} } sort keys %got), '', 'nobody has a right that test/data/roles.txt does not name, and no object is new');
is(join("\n", map { "- $_" } grep { !$got{$_} } sort keys %wanted), '', 'all that it names is there');

# ---- what omnimsg_health() says ----

sub roles_sql
{
	my ($database) = @_;

	return join '', $node->program('psql', qw(-X -q -v ON_ERROR_STOP=1 -o /dev/null), '-d', $database // 'omnimsg', '-f', $roles_sql);
}

sub findings
{
	my ($database) = @_;

	return $node->psql("SELECT finding, detail FROM omnimsg.security_findings() WHERE finding NOT IN ('provider accounts accept any key', 'the worker may speak to this machine, and without TLS') ORDER BY 1, 2", dbname => $database // 'omnimsg');
}

is(findings(), '', 'of an instance that is set up as it should be there is nothing to say');
is(roles_sql(), '0', 'deploy/roles.sql can be run again');
is($node->psql($matrix), $found, 'and changes nothing');

for my $case (
	['ALTER TABLE omnimsg.consents OWNER TO postgres', qr/must be run again\|1 of .* do not belong to omnimsg_owner: table consents/, 'a table of somebody else\'s'],
	['ALTER FUNCTION omnimsg_maintain() OWNER TO postgres', qr/must be run again\|.*function omnimsg_maintain/, 'a function of somebody else\'s'],
	['DROP POLICY owner ON omnimsg.events', qr/must be run again\|omnimsg\.events has no policy/, 'a table whose owner sees nothing of it'],
	['GRANT omnimsg_owner TO nobody', qr/may act as the owner of all messages\|nobody is a member/, 'a member of omnimsg_owner'])
{
	my ($change, $finding, $title) = @$case;

	$node->psql($change);
	like(findings(), $finding, $title);
}
# rights that are missing or too many
$node->psql('REVOKE ALL ON SCHEMA omnimsg FROM omnimsg_agent; GRANT EXECUTE ON FUNCTION omnimsg_arm(text) TO omnimsg_relay; GRANT SELECT ON omnimsg.events TO omnimsg_relay; GRANT UPDATE (raw) ON omnimsg.events TO omnimsg_agent');
roles_sql();
is($node->psql($matrix), $found, 'deploy/roles.sql puts all of it right');
for my $case (
	['ALTER TABLE omnimsg.consents NO FORCE ROW LEVEL SECURITY', 'ALTER TABLE omnimsg.consents FORCE ROW LEVEL SECURITY',
		qr/omnimsg\.consents is open to other tenants\|Row level security is not forced/, 'a table without FORCE'],
	['ALTER TABLE omnimsg.reviews DISABLE ROW LEVEL SECURITY', 'ALTER TABLE omnimsg.reviews ENABLE ROW LEVEL SECURITY',
		qr/omnimsg\.reviews is open to other tenants\|Row level security is not enabled/, 'a table without row level security'],
	['ALTER POLICY tenant ON omnimsg.outbox USING (true)', 'ALTER POLICY tenant ON omnimsg.outbox USING (organization_id = omnimsg.current_organization())',
		qr/omnimsg\.outbox is open to other tenants\|The policy/, 'a policy that lets everything through'],
	['CREATE POLICY more ON omnimsg.outbox USING (true)', 'DROP POLICY more ON omnimsg.outbox', qr/has a policy of somebody else's\|It is called "more"/, 'one more policy'],
	['ALTER VIEW omnimsg.dead_letters SET (security_invoker = false)', 'ALTER VIEW omnimsg.dead_letters SET (security_invoker = true)',
		qr/omnimsg\.dead_letters shows more/, 'a view with the rights of its owner'],
	['DROP POLICY worker ON omnimsg.messages', 'CREATE POLICY worker ON omnimsg.messages TO omnimsg_worker USING (true)',
		qr/must be run again\|omnimsg_worker has no right to omnimsg\.messages or no policy there$/m, 'a table of which the worker sees nothing'],
	['CREATE ROLE desk BYPASSRLS IN ROLE omnimsg_agent', 'DROP ROLE desk', qr/sees the rows of all of them\|"desk"$/m, 'a member of a group that row level security does not hold for'],
	["CREATE ROLE desk IN ROLE omnimsg_agent; SELECT omnimsg_map_role('desk', '$made->{organization}'); REVOKE omnimsg_agent FROM desk; ALTER ROLE desk BYPASSRLS",
		"SELECT omnimsg_map_role('desk', NULL); DROP ROLE desk", qr/sees the rows of all of them\|"desk"$/m, 'a role like that which acts for an organization'],
	['CREATE ROLE desk IN ROLE omnimsg_agent; CREATE ROLE keys BYPASSRLS ROLE desk', 'DROP ROLE desk, keys', qr/sees the rows of all of them\|"desk" as "keys"$/m, 'one that may become such a role'],
	['ALTER ROLE omnimsg_relay BYPASSRLS', 'ALTER ROLE omnimsg_relay NOBYPASSRLS', qr/sees the rows of all of them\|"omnimsg_relay"$/m, 'the relay as one'],
	['GRANT SELECT ON omnimsg.reviews TO PUBLIC', 'REVOKE ALL ON omnimsg.reviews FROM PUBLIC', qr/omnimsg\.reviews is open to everybody/, 'a table that everybody may read'])
{
	my ($change, $back, $finding, $title) = @$case;

	$node->psql($change);
	like(findings(), $finding, $title);
	$node->psql($back);
}
is(findings(), '', 'and all is well again');

# ---- without deploy/roles.sql ----

$node->psql('CREATE DATABASE bare TEMPLATE template0', dbname => 'postgres');
like(roles_sql('bare'), qr/\A0psql:.*WARNING:  the extension omnimsg is not in this database: the roles are made/, 'without the extension it makes the roles');
$node->psql('CREATE EXTENSION omnimsg', dbname => 'bare');
$node->psql("SELECT FROM omnimsg_maintain()", dbname => 'bare');
is(findings('bare'), 'deploy/roles.sql has not been run in this database|', 'a database where it was not run');
$node->psql("INSERT INTO omnimsg.organizations (id, name) VALUES ('$made->{organization}', 'Harbor Dental')", dbname => 'bare');
like($node->psql("SELECT omnimsg_record_consent('$made->{organization}', 'sms', '+15552000001', 'opt_out', 'web')", dbname => 'bare'), qr/^[0-9a-f-]{36}$/,
	'works all the same');
is(roles_sql('bare'), '0', 'it can be run there at any time');
is(findings('bare'), '', 'and then there is nothing to say');
is($node->psql($matrix, dbname => 'bare') =~ s/^schema public: .*\n//mr, $found =~ s/^schema public: .*\n//mr, 'with the same rights, its months included');
like($node->psql("SELECT omnimsg_record_consent('$made->{organization}', 'sms', '+15552000001', 'opt_in', 'web')", dbname => 'bare'), qr/^[0-9a-f-]{36}$/, 'and works');

# ---- who the programs are ----

# what changes an outbox item leaves its name
$node->psql(<<'SQL');
CREATE TABLE public.seen (name text);
CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER AS $$ BEGIN INSERT INTO public.seen VALUES (current_user); RETURN NEW; END $$;
GRANT INSERT ON public.seen TO PUBLIC;
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON omnimsg.outbox FOR EACH ROW EXECUTE FUNCTION public.see();
SQL
is($node->send(from => '+15552001000', to => $made->{did}, text => 'STOP')->{http}, 200, 'a STOP');
ok($node->poll('SELECT state FROM omnimsg.outbox', 'sent'), 'is confirmed');
is($node->psql('SELECT DISTINCT name FROM public.seen ORDER BY 1'), "omnimsg_owner\nomnimsg_worker",
	'the relay\'s function acted as omnimsg_owner, the worker as omnimsg_worker: nobody as a superuser');
is($node->psql("SELECT omnimsg_health() IS NOT NULL LIMIT 0", user => 'omnimsg_relay'), '', 'the relay may ask for the health');
like($node->psql_error('SELECT FROM omnimsg.messages', user => 'omnimsg_relay'), qr/42501/, 'and reads nothing');
$node->psql('REVOKE UPDATE ON omnimsg.outbox FROM omnimsg_worker');
is($node->send(from => '+15552001001', to => $made->{did}, text => 'STOP')->{http}, 200, 'one more STOP');
ok($node->wait_until(sub { open my $log, '<', $node->dir . '/log/postgres.log' or die $!; return scalar grep { /permission denied for table outbox/ } <$log> }),
	'a right that is taken from the worker is gone');
roles_sql();
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state = 'sent'", 2), 'and comes back with deploy/roles.sql');

# what is lost of the worker's rights: nobody waits for a confirmation, and nothing is done as a superuser
my $log = sub { open my $file, '<', $node->dir . '/log/postgres.log' or die $!; local $/; return <$file> };
for my $case (
	['its policy', 'DROP POLICY worker ON omnimsg.outbox', \&roles_sql, qr/must be run again\|omnimsg_worker has no right to omnimsg\.outbox or no policy there$/m],
	['its role', 'ALTER ROLE omnimsg_worker RENAME TO somewhere_else', sub { $node->psql('ALTER ROLE somewhere_else RENAME TO omnimsg_worker') },
		qr/must be run again\|the role omnimsg_worker does not exist$/m])
{
	my ($title, $lose, $restore, $finding) = @$case;
	my $from = '+1555200100' . ($title =~ /role/ ? 3 : 2);

	$node->psql("$lose; TRUNCATE public.seen");
	like(findings(), $finding, "without $title: health says so");
	is($node->send(from => $from, to => $made->{did}, text => 'STOP')->{http}, 200, 'a STOP');
	ok($node->poll("SELECT o.state FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$from'", 'sent'), 'is confirmed');
	is($node->psql('SELECT DISTINCT name FROM public.seen'), 'omnimsg_owner', 'by the worker as omnimsg_owner, and not as a superuser');
	like($log->(), qr/works in database "omnimsg" as role "omnimsg_owner"\n.*omnimsg_worker or its policies are missing/, 'which the log tells');
	$restore->();
	is(findings(), '', 'and all is well again');
}

# what pg_cron keeps of its jobs is another extension's, and closed to other roles by policies of its own
$node->psql(<<'SQL');
INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, start_time, end_time)
	VALUES (1, 1000001, 'omnimsg', 'postgres', 'SELECT * FROM public.omnimsg_maintain()', 'succeeded', now() - interval '30 days', now() - interval '30 days'),
		(2, 1000002, 'omnimsg', 'postgres', 'SELECT 1', 'succeeded', now() - interval '30 days', now() - interval '30 days');
SQL
is($node->psql("SELECT object, rows FROM omnimsg_maintain() WHERE object LIKE 'cron%'"), 'cron.job_run_details|1', 'old runs of our jobs are purged');
is($node->psql('SELECT command FROM cron.job_run_details WHERE runid > 1000000'), 'SELECT 1', 'those of other jobs are nobody\'s business');

# ---- what it costs: the plans of those who see everything are what they were ----

for my $query (
	"SELECT 1 FROM omnimsg.events WHERE provider = 'telnyx' AND dedupe_key = 'x'",
	"SELECT 1 FROM omnimsg.collection_accounts WHERE organization_id = '$made->{organization}' AND (primary_phone = '+1' OR secondary_phone = '+1')",
	"SELECT 1 FROM omnimsg.messages m JOIN omnimsg.outbox o ON o.organization_id = m.organization_id AND o.message_id = m.id AND o.created_at = m.created_at WHERE o.state = 'queued'",
	"SELECT 1 FROM omnimsg.consents WHERE organization_id = '$made->{organization}' AND channel = 'sms' AND address = '+1' AND lower(address) = 'x' FOR UPDATE",
	"INSERT INTO omnimsg.events (provider, dedupe_key, received_at, outcome) SELECT 'telnyx', n::text, now(), 'applied' FROM generate_series(1, 10) n ON CONFLICT DO NOTHING",
	"UPDATE omnimsg.messages SET status = 'sent' WHERE organization_id = '$made->{organization}' AND id = '$made->{organization}'")
{
	my $plain = $node->psql("EXPLAIN (COSTS OFF) $query");

	for my $role (qw(omnimsg_owner omnimsg_worker))
	{
		is($node->psql("SET ROLE $role; EXPLAIN (COSTS OFF) $query"), $plain, "$role: the plan of a superuser: " . substr $query, 0, 50);
	}
}

done_testing;
