# Canaries: a key, a person's numbers and their words go through everything that can go wrong, and then are looked for where
# they must not be: logs, dumps, base backups, settings, statistics, command lines, metrics, the audit.

use strict;
use warnings;

use Omnimsg;
use POSIX ();
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};

# made of what nothing else is made of
my $key = 'KEYCANARY0123456789abcdefghijklmnop_Secret';
my $people = '+1555777';
my ($word, $surname) = ('kumquat', 'Quillfeather');
my $text = "Dear $surname, your $word is ready";
my %canaries = ('the API key' => qr/KEYCANARY/, 'a phone number' => qr/555777\d\d\d\d|555\W{1,2}777-0\d\d\d/, 'the text of a message' => qr/$word/i, 'a name' => qr/$surname/);

sub person { return sprintf '%s%04d', $people, $_[0] }

sub slurp
{
	my ($file) = @_;

	open my $handle, '<:raw', $file or return '';
	local $/;
	return scalar(<$handle>) // '';
}

# absent(TEXT, WHERE, [WHICH]): none of the canaries is in it
sub absent
{
	my ($found, $where, @which) = @_;

	for my $which (@which ? @which : sort keys %canaries)
	{
		my ($line) = $found =~ /^(.*$canaries{$which}.*)$/m;
		is($line // '', '', "$which is not in $where");
	}
	return;
}

open my $secret, '>', $node->dir . '/secrets/canary' or die "secret: $!";
print {$secret} "$key\n";
close $secret;
chmod 0600, $node->dir . '/secrets/canary';
chown((stat $node->dir . '/secrets/simulator')[4, 5], $node->dir . '/secrets/canary');

$node->psql('ALTER SYSTEM SET shared_preload_libraries = omnimsg, pg_cron, pg_stat_statements');
$node->stop_postgres;
$node->start;
$node->psql('CREATE EXTENSION pg_stat_statements');
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.reconcile_after', '500ms');
$node->psql(<<"SQL");
UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization';
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name) VALUES ('22222222-2222-7222-8222-222222222299', 'telnyx', 'canary', 'canary');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	VALUES ('+15552000199', '$organization', 'telnyx', '22222222-2222-7222-8222-222222222299');
INSERT INTO omnimsg.send_limits (organization_id, opens, closes) VALUES ('$organization', '00:00', '24:00');
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone) VALUES ('$organization', '$surname', '${\ person(1)}');
SQL

# ---- what happens ----

# webhooks: good ones, one twice, one of a number of nobody, bytes that cannot be read, values that cannot be stored
for my $n (1 .. 4)
{
	is($node->send(from => person($n), to => $did, text => $n == 1 ? 'STOP' : $text)->{http}, 200, "message $n is taken");
}
my $signed = $node->signed(from => person(5), to => $did, text => $text);
is($node->deliver($signed)->{status}, 200, 'and another one, twice') for 1 .. 2;
is($node->deliver($signed, body => "$signed->{body} ")->{status}, 401, 'changed on the way');
$node->send(from => person(6), to => '+15559990000', text => $text);
$node->send(from => "$surname$word", to => $did, text => $text);
$node->send(event_type => 'message.finalized', status => 'delivery_failed', from => $did, to => person(7), text => $text);
for my $body (qq({"data":{"event_type":"message.received","id":"x","payload":{"from":{"phone_number":"${\ person(8)}"},"text":"$text),
	qq({"data":{"event_type":"message.received","id":"y","occurred_at":"${\ person(8)}","payload":{"from":{"phone_number":"${\ person(8)}"},"to":"$surname","text":"$text \\u0000"}}}))
{
	my $file = $node->dir . '/body.json';
	open my $handle, '>', $file or die "$file: $!";
	print {$handle} $body;
	close $handle;
	$node->send(from => person(8), to => $did, text => $text, body_file => $file);
}

# texts to them: taken, refused with their number in the answer, with a key that the provider does not know, to nobody there
my $send = sub { return $node->psql("SELECT omnimsg_send('$organization', '$_[0]', '$text', from_number => '$_[1]')") };
$node->behave('40310:to=' . person(11));
$node->behave('redirect:to=' . person(12));
$send->(person($_), $did) for 10 .. 12;
$send->(person(13), '+15552000199');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number BETWEEN '${\ person(10)}' AND '${\ person(13)}' AND o.state NOT IN ('queued', 'leased', 'sending')", 4), 'texts are sent and refused');

# statements that fail, written as nobody should: with everything in them
my @failing = (
	"SELECT omnimsg_send('$organization', '${\ person(1)}', '$text')",
	"SELECT omnimsg_send('$organization', '${\ person(20)}', '$text', channel => '$text')",
	"SELECT omnimsg_send('00000000-0000-0000-0000-000000000000', '${\ person(20)}', '$text')",
	"SELECT omnimsg_send('${\ person(20)}', '${\ person(20)}', '$text')",
	"SELECT omnimsg_send('$organization', '${\ person(20)}', '$text', from_number => '${\ person(21)}')",
	"SELECT omnimsg_record_consent('$organization', 'sms', '${\ person(20)}', 'opt_in', 'agent')",
	"SELECT omnimsg_record_consent('$organization', 'sms', '${\ person(20)}$surname', 'opt_out', 'agent', '$text')",
	"INSERT INTO omnimsg.collection_accounts (organization_id, id, name, primary_phone) SELECT organization_id, id, '$surname', '${\ person(22)}' FROM omnimsg.collection_accounts",
	"INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone) VALUES (NULL, '$surname', '${\ person(22)}')",
	"INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, provider, created_at)
		VALUES ('$organization', omnimsg.uuid7(), 'outbound', 'sms', '$did', '${\ person(23)}', '$text', '$word', 'telnyx', now())",
	"INSERT INTO omnimsg.consents SELECT * FROM omnimsg.consents",
	"COPY omnimsg.collection_accounts (organization_id, name, primary_phone, created_at) FROM stdin;\n$organization\t$surname\t${\ person(24)}\ttomorrowish\n\\.\n",
	"SELECT ('{\"text\": \"$text\", ' || '}')::jsonb FROM omnimsg.messages",
	"SELECT '${\ person(25)}'::uuid FROM omnimsg.messages",
	"SELECT to_timestamp('$surname ${\ person(25)}', 'YYYY') FROM omnimsg.messages",
	"SET statement_timeout = 50; SELECT pg_sleep(5), omnimsg_send('$organization', '${\ person(26)}', '$text')",
	"DO \$\$ BEGIN PERFORM omnimsg_send('$organization', '${\ person(1)}', '$text'); END \$\$",
	"PREPARE p AS SELECT omnimsg_send(\$1, \$2, \$3); EXECUTE p('$organization', '${\ person(1)}', '$text')",
	"SET omnimsg.api_key = '$key'", "ALTER SYSTEM SET omnimsg.api_key = '$key'", "ALTER ROLE omnimsg_relay SET omnimsg.api_key = '$key'",
	"ALTER DATABASE omnimsg SET omnimsg.api_key = '$key'", "ALTER SYSTEM SET omnimsg.secrets_dir = '$key'", "ALTER SYSTEM SET omnimsg.secrets_dir = '/etc/$key'",
	"ALTER SYSTEM SET omnimsg.telnyx_api_base = 'https://$key\@api.telnyx.com'", "ALTER SYSTEM SET omnimsg.telnyx_api_base = 'https://api.telnyx.com/$key'",
	"ALTER SYSTEM SET omnimsg.webhook_url = 'https://relay.example.com/$key'", "ALTER SYSTEM SET omnimsg.database = '$key'",
	"ALTER SYSTEM SET omnimsg.ca_file = '$key'", "ALTER ROLE omnimsg_relay SET omnimsg.secrets_dir = '/tmp/$key'",
);
is(scalar(grep { $node->psql_error($_) eq '' } @failing), 0, scalar(@failing) . ' statements fail, as they must') or
	diag(grep { $node->psql_error($_) eq '' } @failing);
my $inside = $node->psql('SHOW data_directory') . '/secrets';
like($node->psql_error("ALTER SYSTEM SET omnimsg.secrets_dir = '$inside'"), qr/must not be in the data directory/,
	'keys cannot be in the data directory, where base backups would have them');

# an application's own functions and triggers: what it writes does not name omnimsg
$node->psql(<<'SQL');
CREATE SCHEMA app;
CREATE TABLE app.orders (phone text, name text, said text);
CREATE FUNCTION app.notify(organization uuid, phone text, said text) RETURNS uuid LANGUAGE plpgsql AS 'BEGIN RETURN omnimsg_send(organization, phone, said); END';
CREATE FUNCTION app.notify_sql(organization uuid, phone text, said text) RETURNS uuid LANGUAGE sql AS 'SELECT omnimsg_send(organization, phone, said)';
CREATE FUNCTION app.notify_written(organization uuid, phone text, said text) RETURNS uuid LANGUAGE plpgsql
	AS $$ DECLARE id uuid; BEGIN EXECUTE format('SELECT omnimsg_send(%L, %L, %L)', organization, phone, said) INTO id; RETURN id; END $$;
CREATE FUNCTION app.notify_badly(phone text, said text) RETURNS void LANGUAGE plpgsql
	AS $$ BEGIN EXECUTE format('SELECT omnimsg_send(%L, %L) nonsense here', phone, said); END $$;
CREATE FUNCTION app.notify_name(name text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM omnimsg_send(name::uuid, '+15552000101', 'hello'); END $$;
CREATE FUNCTION app.after_call(organization uuid, phone text, said text) RETURNS int LANGUAGE plpgsql
	AS $$ BEGIN PERFORM omnimsg_explain_send(organization, 'sms', phone, said); RETURN 1 / 0; END $$;
CREATE FUNCTION app.tell() RETURNS trigger LANGUAGE plpgsql
	AS $$ BEGIN PERFORM omnimsg_send('11111111-1111-7111-8111-111111111111', new.phone, new.said); RETURN new; END $$;
CREATE TRIGGER tell AFTER INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.tell();
SQL
for my $sql ("SELECT app.notify('$organization', '${\ person(1)}', '$text')", "SELECT app.notify_sql('$organization', '${\ person(1)}', '$text')",
	"SELECT app.notify_written('$organization', '${\ person(1)}', '$text')", "SELECT app.notify_badly('${\ person(1)}', '$text')", "SELECT app.notify_name('$surname $word')",
	"SELECT app.after_call('$organization', '${\ person(1)}', '$text')", "INSERT INTO app.orders VALUES ('${\ person(1)}', '$surname', '$text')",
	"SELECT omnimsg_send('$surname $word', '${\ person(1)}', '$text')", "SELECT '$surname'::date FROM omnimsg.messages")
{
	isnt($node->psql_error($sql), '', 'a statement of an application fails: ' . substr $sql, 0, 24);
}
like($node->psql_error("SELECT '$surname'::uuid FROM omnimsg.messages"), qr/invalid input syntax for type uuid: "$surname"/, 'the client is told the value that is not logged');
like($node->psql_error("SELECT app.notify_name('$surname')"), qr/"$surname".*PL\/pgSQL function app\.notify_name/s, 'and where it happened');

# those that do not
$node->psql("SELECT * FROM omnimsg_explain_send('$organization', 'sms', '${\ person(30)}', '$text')");
$node->psql("UPDATE omnimsg.collection_accounts SET name = '$surname II' WHERE primary_phone = '${\ person(1)}'");

# a server that goes away under a relay that has something for it
$node->crash_postgres;
is($node->send(from => person(31), to => $did, text => $text)->{http}, 200, 'a message is spooled while the server is away');
$node->start;
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE from_number = '${\ person(31)}'", 1), 'and comes in later');
$send->(person(32), '+15552000199');
ok($node->poll("SELECT o.state FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '${\ person(32)}'", 'failed'),
	'the worker that started again has used the key');

# ---- where it must not be ----

for my $log (grep { !m{/simulator\.log\z} } glob $node->dir . '/log/*.log')
{
	my ($name) = $log =~ m{([^/]+)\z};
	absent(slurp($log), "the log $name");
}
like(slurp($node->dir . '/log/postgres.log'), qr/violates check constraint/, 'the log does tell what failed');
like(slurp($node->dir . '/log/postgres.log'), qr/Not logged: it may quote/, 'and that it does not tell all');
like(slurp($node->dir . '/log/postgres.log'), qr/invalid input syntax for type uuid: "\.\.\."$/m, 'nor a value');

absent($node->psql("SELECT string_agg(a::text, E'\\n') FROM omnimsg.audit_logs a"), 'the audit');
is($node->psql("SELECT count(*) FROM omnimsg.audit_logs a WHERE a::text ~ '\\+1?555|STOP'"), 0, 'nor any number, nor the word');
absent($node->psql("SELECT string_agg(d::text, E'\\n') FROM omnimsg.dead_letters d"), 'what is said of dead letters');
absent($node->psql("SELECT string_agg(o.last_error, E'\\n') FROM omnimsg.outbox o"), 'what is said of failed requests');
absent($node->psql("SELECT string_agg(m.error_detail, E'\\n') FROM omnimsg.messages m"), 'what is said of failed messages');
absent($node->psql("SELECT string_agg(s.query, E'\\n') FROM pg_stat_statements s"), 'pg_stat_statements');

# what sessions of the same role see of each other, and who monitors of all, while it runs and after
{
	$node->psql("CREATE ROLE desk LOGIN IN ROLE omnimsg_agent; CREATE ROLE watch LOGIN IN ROLE pg_monitor;
		CREATE FUNCTION app.slow(organization uuid, phone text, said text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
			AS \$\$ BEGIN PERFORM omnimsg_explain_send(organization, 'sms', phone, said); PERFORM pg_sleep(60); END \$\$;
		GRANT USAGE ON SCHEMA app TO PUBLIC");
	my $shown = "SELECT string_agg(a.query, E'\\n') FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid()";
	my @sessions;
	my $run = sub {
		my ($user, $sql) = @_;
		my $session = $node->session(user => $user);

		push @sessions, $session;
		$session->begin($sql);
	};
	my $who = "'${\ person(40)}', '$text'";

	# of a tenant's: whatever it says
	$run->(desk => "SELECT pg_sleep(60), $who");
	$run->(desk => "PREPARE p AS SELECT pg_sleep(60), \$1, $who; EXECUTE p('$text')");
	$run->(desk => "DO \$\$ BEGIN PERFORM pg_sleep(60), $who; END \$\$");
	# of others: what names omnimsg, or calls it
	$run->(postgres => "SELECT pg_sleep(60) FROM omnimsg.organizations WHERE name NOT IN ($who)");
	$run->(postgres => "SELECT app.slow('$organization', $who)");
	ok($node->poll("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid <> pg_backend_pid()", 5), 'five statements run');
	# the protocol's own prepared statements
	my $file = $node->dir . '/script.sql';
	open my $script, '>', $file or die "$file: $!";
	print {$script} "SELECT pg_sleep(0.5), $who;\n";
	close $script;
	for my $protocol (qw(extended prepared))
	{
		my $pid = fork // die "fork: $!";
		if ($pid == 0)
		{
			my ($status) = $node->program('pgbench', qw(-n -t 12 -U desk -M), $protocol, '-f', $file);
			POSIX::_exit($status);
		}
		my ($looks, $leaks, $before) = (0, 0, '');
		my $watch = $node->session(user => 'desk');
		while (waitpid($pid, POSIX::WNOHANG()) == 0)
		{
			my $seen = $watch->query("SELECT a.query_start, a.query FROM pg_stat_activity a WHERE a.application_name = 'pgbench' AND a.wait_event = 'PgSleep'");
			my ($start) = $seen =~ /\A([^|]*)/;
			# the server reads the text before it reads who sleeps: only that of a second look is of one that has begun to
			if ($start ne '' && $start eq $before)
			{
				$looks++;
				$leaks++ if grep { $seen =~ $_ } values %canaries;
			}
			$before = $start;
		}
		is($?, 0, "pgbench has run with the protocol \"$protocol\"");
		cmp_ok($looks, '>', 0, 'and was seen');
		is($leaks, 0, 'but not what it said');
		$watch->close;
	}
	for my $user (qw(desk watch postgres))
	{
		my $said = $node->psql($shown, user => $user);

		absent($said, "pg_stat_activity, while statements run, for $user");
		like($said, qr/^SELECT pg_sleep\(60\), \.\.\.$/m, 'which shows how they begin');
	}
	$node->psql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	$_->result for @sessions;
	# of what was not understood, and of what came after an error, in sessions that stay
	my $desk_session = $sessions[0];
	$desk_session->query('SELECT 1');
	$desk_session->query("SELECT pg_sleep(60), $who nonsense here");
	absent($node->psql($shown, user => 'desk'), 'pg_stat_activity, after an error of syntax');
	$desk_session->query("BEGIN; SELECT 1 / 0");
	$desk_session->query("SELECT $who");
	absent($node->psql($shown, user => 'desk'), 'pg_stat_activity, in a transaction that has failed');
	$_->close for @sessions;
	my $plain = $node->session;
	$plain->query("SELECT 'nothing of anybody''s'");
	like($node->psql($shown), qr/^SELECT 'nothing of anybody''s'$/m, 'what is not about omnimsg is shown as it was written');
	$plain->close;
}
absent($node->psql("SELECT string_agg(s.setting, E'\\n') FROM pg_settings s"), 'pg_settings');
absent($node->psql("SELECT coalesce(string_agg(s.setconfig::text, E'\\n'), '') FROM pg_db_role_setting s"), 'pg_db_role_setting');
absent($node->psql("SELECT string_agg(h::text, E'\\n') FROM omnimsg_health() h"), 'omnimsg_health()');
absent($node->psql("SELECT string_agg(h::text, E'\\n') FROM omnimsg_stats() h"), 'omnimsg_stats()');
absent($node->request(GET => '/metrics')->{raw}, 'the metrics of the relay');
absent($node->deliver($signed, body => "$signed->{body} ")->{raw}, 'the body of an error');

my ($status, $dump) = $node->program('pg_dump', 'omnimsg');
is($status, 0, 'the database is dumped');
like($dump, $canaries{'a phone number'}, 'with the people in it');
absent($dump, 'the dump', 'the API key');
($status, $dump) = $node->program('pg_dumpall', '--globals-only');
absent($dump, 'the dump of roles and settings', 'the API key');
my $data = readlink($node->dir . '/data') // $node->dir . '/data';
is(-r "$data/PG_VERSION" ? `grep -rlas KEYCANARY '$data/'` : 'it cannot be read', '', 'nor is it anywhere in the data directory, and so in no base backup');

my @processes = grep { /\A\d+\z/ } map { (split m{/})[2] } glob '/proc/[0-9]*';
my %ours = map { $_ => 1 } $node->postmaster_pid, $node->relay_pid;
for (1 .. 2)
{
	for my $pid (@processes)
	{
		my ($parent) = slurp("/proc/$pid/stat") =~ /\) \S (\d+)/;
		$ours{$pid} = 1 if $parent && $ours{$parent};
	}
}
absent(join("\n", map { slurp("/proc/$_/cmdline") . slurp("/proc/$_/environ") } keys %ours), 'command lines and environments', 'the API key');

# the memory of the worker: the one copy that is kept in case the file gets spoilt
SKIP:
{
	my $pid = $node->psql('SELECT pid FROM omnimsg_worker_status()');
	open my $memory, '<:raw', "/proc/$pid/mem" or skip 'memory cannot be read', 1;
	my $copies;

	# while it asks for a list of opt-outs, which fails here and comes again, libcurl has one, too
	$node->wait_until(sub {
		$copies = 0;
		for my $line (split /\n/, slurp("/proc/$pid/maps"))
		{
			my ($begin, $end, $rights) = $line =~ /^([0-9a-f]+)-([0-9a-f]+) (\S+)/ or next;
			next if $rights !~ /p/ || $line =~ /\[v(?:var|syscall|dso)/;
			no warnings 'portable';
			my ($at, $length) = (hex $begin, hex($end) - hex $begin);
			my $bytes;

			next if $length > 64 * 1024 * 1024;
			sysseek $memory, $at, 0 or next;
			sysread $memory, $bytes, $length or next;
			$copies++ while $bytes =~ /KEYCANARY/g;
		}
		return $copies <= 1;
	}, 10);
	cmp_ok($copies, '<=', 1, 'the worker has wiped its key, but for one copy');
}

# ---- settings that would let it out ----

my $finding = "SELECT count(*) FROM omnimsg_health() WHERE finding = 'the log may hold people''s numbers and messages'";
is($node->psql($finding), 0, 'at the default settings of logging omnimsg_health() has nothing to say of them');
for my $leak (['log_statement', 'all'], ['log_min_duration_statement', '100'], ['log_parameter_max_length_on_error', '-1'])
{
	$node->setting(@$leak);
	ok($node->poll($finding, 1), "it warns of $leak->[0]");
	$node->setting($leak->[0]);
	$node->poll($finding, 0);
}

done_testing;
