# Objects that somebody made before the extension, or before its update, and that only wait to be taken for its own or to be
# called by its script as the superuser: CREATE EXTENSION and ALTER EXTENSION UPDATE refuse them, or pass them by.
#
# slow: the extension is made, updated and refused again and again

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;

$node->kill_relay;
$node->psql('CREATE ROLE mallory LOGIN NOSUPERUSER');
$node->setting('fsync', 'off');

# what mallory's objects do when somebody with the right to do so calls them; they work as those of PostgreSQL do
sub body
{
	my ($result) = @_;

	return "LANGUAGE plpgsql AS \$f\$ BEGIN BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN $result; END \$f\$";
}

sub operator
{
	my ($name, $left, $right, $returns) = @_;
	my $function = 'op' . join '', map { sprintf '%02x', ord } split //, $name . $left;

	return "CREATE FUNCTION $function($left, $right) RETURNS $returns " . body("\$1 OPERATOR(pg_catalog.$name) \$2") .
		"; CREATE OPERATOR $name (LEFTARG = $left, RIGHTARG = $right, FUNCTION = $function);";
}

sub function
{
	my ($signature, $returns, $result) = @_;

	return "CREATE FUNCTION $signature RETURNS $returns " . body($result) . ';';
}

# [what it is, how mallory makes it in schema public]
my @attacks = (
	['a schema omnimsg', 'CREATE SCHEMA omnimsg;'],
	['a schema omnimsg with a table', 'CREATE SCHEMA omnimsg; CREATE TABLE omnimsg.organizations (id uuid, name text);'],
	['a schema omnimsg with a function', 'CREATE SCHEMA omnimsg; CREATE FUNCTION omnimsg.uuid7() RETURNS uuid ' . body('NULL') . ';'],
	['a function of ours with our arguments', function('omnimsg_ingest(text, bytea, text, text, timestamptz)', 'text', 'NULL')],
	['a function of ours with other arguments', function('omnimsg_send(text)', 'uuid', 'NULL')],
	['a function that reports', function('omnimsg_health(OUT severity text, OUT finding text, OUT detail text, OUT hint text)', 'SETOF record', '')],
	['equality of texts', operator('=', 'text', 'text', 'boolean')],
	['equality of UUIDs', operator('=', 'uuid', 'uuid', 'boolean')],
	['inequality of texts', operator('<>', 'text', 'text', 'boolean')],
	['matches of texts', operator('~', 'text', 'text', 'boolean') . operator('!~', 'text', 'text', 'boolean')],
	['concatenation of texts', operator('||', 'text', 'text', 'text')],
	['comparison of times and numbers', operator('<', 'timestamptz', 'timestamptz', 'boolean') . operator('>=', 'timestamptz', 'timestamptz', 'boolean') .
		operator('-', 'timestamptz', 'interval', 'timestamptz') . operator('<=', 'integer', 'integer', 'boolean') . operator('*', 'integer', 'integer', 'integer')],
	['functions of PostgreSQL', function('now()', 'timestamptz', 'pg_catalog.now()') . function('lower(text)', 'text', 'pg_catalog.lower($1)') .
		function('length(text)', 'integer', 'pg_catalog.length($1)') . function('current_database()', 'name', 'pg_catalog.current_database()') .
		function('set_config(text, text, boolean)', 'text', 'pg_catalog.set_config($1, $2, $3)')],
	['functions that fit better than those of PostgreSQL', function('format(text, name)', 'text', 'pg_catalog.format($1, $2)') .
		function('date_trunc(text, date)', 'timestamptz', 'NULL')],
	['types of PostgreSQL', join '', map { "CREATE DOMAIN public.$_ AS pg_catalog.\"$_\" CHECK (VALUE IS NOT NULL);" } qw(text uuid timestamptz bytea)],
	['a type with the name of a function of ours', 'CREATE TYPE omnimsg_stats AS (a text); CREATE TABLE omnimsg_worker_status (a text);'],
	['tables with the names of ours', join '', map { "CREATE TABLE $_ (organization_id uuid, id uuid); CREATE FUNCTION t_$_() RETURNS trigger " . body('NEW') .
		"; CREATE TRIGGER t BEFORE INSERT ON $_ EXECUTE FUNCTION t_$_();" } qw(organizations events messages consents outbox)],
	['tables of the catalog', 'CREATE TABLE pg_class_ (a text); CREATE VIEW public.pg_extension AS SELECT * FROM pg_catalog.pg_extension; CREATE VIEW public.pg_roles AS SELECT * FROM pg_catalog.pg_roles;'],
	['a collation', 'CREATE COLLATION public."C" (LOCALE = \'C.UTF-8\');'],
	['aggregates', 'CREATE AGGREGATE public.max(timestamptz) (SFUNC = timestamptz_larger, STYPE = timestamptz); CREATE AGGREGATE public.sum(bigint) (SFUNC = int8pl, STYPE = bigint);'],
	['a cast', 'CREATE TYPE public.omnimsg_text AS (a text);' . function('to_it(text)', 'omnimsg_text', 'ROW($1)') . 'CREATE CAST (text AS omnimsg_text) WITH FUNCTION to_it(text) AS IMPLICIT;'],
	['default privileges', 'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO mallory; ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO mallory;'],
);

# fingerprint(DATABASE): all that the extension consists of, with the names to which it resolved
sub fingerprint
{
	my ($database) = @_;

	return $node->psql(<<'SQL', dbname => $database);
SET search_path = pg_catalog;
WITH members AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'omnimsg')
SELECT md5(string_agg(w.line, E'\n' ORDER BY w.line))
  FROM (SELECT pg_get_functiondef(p.oid) || p.proacl::text FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
		UNION ALL
		SELECT pg_get_viewdef(c.oid) FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid AND c.relkind = 'v'
		UNION ALL
		SELECT c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || coalesce(l.collname, '')
		  FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
		  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum LEFT JOIN pg_collation l ON l.oid = a.attcollation
		UNION ALL
		SELECT c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.conrelid
		UNION ALL
		SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = i.indrelid
		UNION ALL
		SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = t.tgrelid WHERE NOT t.tgisinternal
		UNION ALL
		SELECT p.polrelid::regclass || ' ' || p.polname || ' ' || coalesce(pg_get_expr(p.polqual, p.polrelid), '') FROM pg_policy p
		UNION ALL
		SELECT 'owned by ' || r.rolname FROM members m JOIN pg_shdepend s ON s.classid = m.classid AND s.objid = m.objid AND s.deptype = 'o'
		   AND s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) JOIN pg_roles r ON r.oid = s.refobjid) AS w (line)
SQL
}

my %clean;

# attack(TITLE, SQL, VERSION before, what the superuser does)
sub attack
{
	my ($title, $sql, $from, $statement) = @_;
	my $how = $from ? 'update' : 'creation';

	$node->psql('CREATE DATABASE attacked TEMPLATE ' . ($from ? 'before' : 'empty') . ' OWNER mallory', dbname => 'postgres');
	my $made = $node->psql_error($sql, dbname => 'attacked', user => 'mallory');
	# what mallory may not do at all is no attack
	note("$title: $made") if $made;
	my $error = $node->psql_error("$statement;", dbname => 'attacked');
	my $super = $node->psql("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'", dbname => 'postgres');
	my $end = $error ? 'refused' : fingerprint('attacked') eq $clean{$how} ? 'unaffected' : 'another extension';

	isnt("$end $super", 'another extension f', "$how: $title: $end" . ($made ? ' (it could not be made)' : ''));
	is($super, 'f', 'and nothing of it was run');
	$node->psql('ALTER ROLE mallory NOSUPERUSER', dbname => 'postgres');
	$node->psql('DROP DATABASE attacked WITH (FORCE)', dbname => 'postgres');
	return $end;
}

for my $database ('empty', 'before')
{
	$node->psql("CREATE DATABASE $database OWNER mallory", dbname => 'postgres');
}
$node->psql("CREATE EXTENSION omnimsg VERSION '1.0'", dbname => 'before');
$node->psql('CREATE DATABASE clean TEMPLATE empty OWNER mallory', dbname => 'postgres');
$node->psql('CREATE EXTENSION omnimsg', dbname => 'clean');
$clean{creation} = fingerprint('clean');
$node->psql('DROP DATABASE clean', dbname => 'postgres');
$node->psql('CREATE DATABASE clean TEMPLATE before OWNER mallory', dbname => 'postgres');
$node->psql('ALTER EXTENSION omnimsg UPDATE', dbname => 'clean');
$clean{update} = fingerprint('clean');

my %ends;
for my $attack (@attacks)
{
	$ends{ attack(@$attack, undef, 'CREATE EXTENSION omnimsg') }++;
}
# a search_path that finds mallory's first; the extension is then made where it says, or where it is told
my $all = join '', map { $_->[1] } grep { $_->[0] =~ /equality of|concatenation|functions of PostgreSQL/ } @attacks;
$ends{ attack('a search_path of the database', "CREATE SCHEMA evil; SET search_path = evil, pg_catalog; $all ALTER DATABASE attacked SET search_path = public, evil, pg_catalog;",
	undef, 'CREATE EXTENSION omnimsg') }++;
# in the session of the superuser itself, as a script would leave it that was given to them
$ends{ attack('temporary objects', 'SELECT 1', undef, "CREATE TEMPORARY TABLE organizations (id uuid); CREATE TEMPORARY TABLE events (id uuid);
	CREATE TEMPORARY VIEW pg_class AS SELECT * FROM pg_catalog.pg_class; CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql AS 'SELECT \$1'; CREATE EXTENSION omnimsg") }++;
note("creation: $_: $ends{$_}") for sort keys %ends;

# of a version that is there, what the update makes anew
%ends = ();
for my $attack (grep { $_->[0] !~ /schema omnimsg|that reports/ } @attacks)
{
	$ends{ attack(@$attack, '1.0', 'ALTER EXTENSION omnimsg UPDATE') }++;
}
for my $new (['a function of 1.1', function('omnimsg_keep_dead(text, bytea, text, text, timestamptz)', 'text', 'NULL')],
	['a function that is renamed by 1.2', function('work_findings()', 'text', 'NULL')],
	['a new function of 1.1 that fits better', function('omnimsg_arm(name)', 'text', 'NULL')],
	['a search_path of the database', "CREATE SCHEMA evil; SET search_path = evil, pg_catalog; $all ALTER DATABASE attacked SET search_path = evil, public, pg_catalog;"])
{
	$ends{ attack(@$new, '1.0', 'ALTER EXTENSION omnimsg UPDATE') }++;
}
note("update: $_: $ends{$_}") for sort keys %ends;

# ---- what mallory may not do at all ----

$node->psql('CREATE DATABASE attacked OWNER mallory', dbname => 'postgres');
my @as_mallory = (dbname => 'attacked', user => 'mallory');
like($node->psql_error('CREATE EXTENSION omnimsg', @as_mallory), qr/permission denied to create extension/, 'who is no superuser cannot make the extension');
like($node->psql_error(function('e()', 'event_trigger', '') . 'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()', @as_mallory),
	qr/permission denied to create event trigger|must be superuser/i, 'nor an event trigger');
$node->psql('CREATE EXTENSION omnimsg', dbname => 'attacked');
for my $sql ('ALTER EXTENSION omnimsg UPDATE', 'ALTER EXTENSION omnimsg SET SCHEMA public', 'DROP EXTENSION omnimsg', 'CREATE TABLE omnimsg.mine (a int)', 'ALTER TABLE omnimsg.outbox OWNER TO mallory',
	'ALTER EXTENSION omnimsg ADD TABLE mine', 'CREATE OR REPLACE FUNCTION omnimsg.uuid7() RETURNS uuid LANGUAGE sql AS $$ SELECT NULL::uuid $$', 'DROP FUNCTION public.omnimsg_arm',
	'CREATE TRIGGER t BEFORE INSERT ON omnimsg.messages EXECUTE FUNCTION suppress_redundant_updates_trigger()')
{
	isnt($node->psql_error("CREATE TABLE IF NOT EXISTS mine (a int); $sql", @as_mallory), '', "the owner of the database cannot $sql");
}

done_testing;
