# Omnimsg.pm: an instance of its own for each test file: PostgreSQL with omnimsg, the relay and
# the provider simulator, started by tools/instance in a temporary directory.
#
#   my $node = Omnimsg->new;
#   $node->psql('SELECT 1');                              # text; dies on an error
#   $node->send(from => '+15550100001', to => '+15550100099', text => 'STOP')->{http};
#   $node->poll("SELECT count(*) FROM omnimsg.messages", 1);
#
# It is removed when the file ends; after a failure it is stopped and its directory is named.

package Omnimsg;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP qw(decode_json);
use List::Util qw(max);
use POSIX ();
use Psql;
use Test::More;
use Time::HiRes qw(sleep time);

my $top = File::Spec->rel2abs(dirname(__FILE__) . '/../..');
my %live;
my $owner = $$;	# a process that a test forks off and that dies must not end what it has not started

# %options: env => {name => value} for the relay, simulator => [its options]
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		# the X are chosen by rand, which a test may have given a seed
		dir => tempdir("omnimsg-test-$$-XXXXXX", TMPDIR => 1),
		env => {
			# retries as the provider makes them, only sooner
			OMNIMSG_SIMULATOR_OPTIONS => join(' ', '--retry-backoff', '100,200',
				@{ $options{simulator} || [] }),
			%{ $options{env} || {} },
		},
	}, $class;

	$live{ $self->{dir} } = $self;
	$self->start;
	return $self;
}

# ---- running programs ----

# run COMMAND...: returns exit status, standard output, standard error; {stdin} may come first
sub _run
{
	my $self = shift;
	my %options = ref $_[0] ? %{ shift() } : ();
	# files without names: no pipe can fill up
	my ($in, $out, $err) = map { open my $file, '+>', undef or die "temporary file: $!"; $file } 1 .. 3;

	print {$in} $options{stdin} // '';
	$in->flush;
	seek $in, 0, 0;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		local %ENV = (%ENV, %{ $self->{env} }, %{ $self->{settings} || {} });
		open STDIN, '<&', $in or POSIX::_exit(126);
		open STDOUT, '>&', $out or POSIX::_exit(126);
		open STDERR, '>&', $err or POSIX::_exit(126);
		exec {$_[0]} @_ or POSIX::_exit(127);
	}
	waitpid $pid, 0;
	my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	return ($status, map { seek $_, 0, 0; local $/; <$_> // '' } $out, $err);
}

sub _instance
{
	my ($self, $command) = @_;
	my ($status, $out, $err) = $self->_run("$top/tools/instance", $command, $self->{dir});

	$status == 0 or die "tools/instance $command failed:\n$out$err";
	return $out;
}

# start what is dead; leaves what lives
sub start
{
	my ($self) = @_;

	$self->_instance('start');
	$self->{settings} = { $self->_instance('env') =~ /^export (\w+)='(.*)'$/mg };
	return;
}

sub stop
{
	$_[0]->_instance('stop');
	return;
}

# value of a line of the instance's env file, as PGHOST or OMNIMSG_RELAY_URL
sub env
{
	my ($self, $name) = @_;

	return $self->{settings}{$name} // die "no $name in the environment of the instance";
}

sub dir
{
	return $_[0]->{dir};
}

# ---- processes ----

sub _pid
{
	my ($self, $file) = @_;

	open my $handle, '<', "$self->{dir}/$file" or return;
	my ($pid) = (<$handle> // '') =~ /\A(\d+)/;
	# it is empty for a moment while it is written
	return $pid;
}

sub relay_pid { return $_[0]->_pid('relay.pid') }
sub simulator_pid { return $_[0]->_pid('simulator.pid') }
sub postmaster_pid { return $_[0]->_pid('data/postmaster.pid') }

# whether a process runs; one that is dead but not waited for by its parent does not
sub running
{
	my ($self, $pid) = @_;

	return 0 if !$pid;
	open my $handle, '<', "/proc/$pid/stat" or return 0;
	my ($state) = (<$handle> // '') =~ /\) (\S)/;
	return defined $state && $state ne 'Z' && $state ne 'X';
}

sub _waited_by
{
	my ($file) = @_;

	open my $handle, '<', $file or return 0;
	return ((split ' ', <$handle> // '')[1] // 0) / 1e9;
}

# waited(PID): seconds that it was ready to run and had no processor, as the kernel counts them; waits(PID): each of its threads
sub waited { my ($self, $pid) = @_; return _waited_by("/proc/$pid/schedstat") }
sub waits { my ($self, $pid) = @_; return { map { ($_ => _waited_by($_)) } $pid ? glob "/proc/$pid/task/*/schedstat" : () } }

# longest_wait(PID, HAD): how long one of its threads waited at most since waits() gave HAD
sub longest_wait
{
	my ($self, $pid, $had) = @_;
	my $has = $self->waits($pid);

	return max(0, map { $has->{$_} - ($had->{$_} // 0) } keys %$has);
}

# last_seen(PID, SUB, OTHERS...): seconds from the call of SUB until the process was seen alive for the last time, without
# those in which it, or one of the others that have a part in its end, only waited for a processor
sub last_seen
{
	my ($self, $pid, $code, @others) = @_;
	my @watched = ($pid, @others);
	my %had = map { ($_ => $self->waited($_)) } @watched;
	my %has = %had;
	my $begin = time;
	my $seen = $begin;

	$code->();
	$self->_until(sub {
		my $now = time;
		my %now = map { ($_ => $self->waited($_)) } @watched;

		return 1 if !$self->running($pid);
		$seen = $now;
		# of one that has ended nothing is known any more
		$has{$_} = $now{$_} > $has{$_} ? $now{$_} : $has{$_} for @watched;
		return 0;
	}, 30) or return 99;
	my $idle = 0;

	$idle += $has{$_} - $had{$_} for @watched;
	return $seen - $begin > $idle ? $seen - $begin - $idle : 0;
}

sub _kill
{
	my ($self, $pid, $signal) = @_;

	$pid or die 'it does not run';
	kill $signal, $pid;
	# a checkpoint at the end may have much to write to a disk that others use
	$self->_until(sub { !$self->running($pid) }, 120) or die "process $pid does not end";
	return;
}

# these wait until the process is gone; start() brings back what is dead
sub kill_relay { my ($self, $signal) = @_; return $self->_kill($self->relay_pid, $signal // 'KILL') }
sub kill_simulator { my ($self) = @_; return $self->_kill($self->simulator_pid, 'KILL') }
sub crash_postgres { my ($self) = @_; return $self->_kill($self->postmaster_pid, 'KILL') }

# a fast shutdown
sub stop_postgres { my ($self) = @_; return $self->_kill($self->postmaster_pid, 'INT') }

# ---- the database ----

sub _bindir
{
	my ($self) = @_;
	my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
	my $debian = '/usr/lib/postgresql/15/bin/pg_config';

	$pg_config = $debian if $pg_config eq 'pg_config' && -x $debian;
	chomp($self->{bindir} //= `'$pg_config' --bindir`);
	return $self->{bindir};
}

# program(NAME, ARGUMENTS...): a client program of PostgreSQL, as pg_dump, with the instance's
# settings: returns exit status, standard output, standard error
sub program
{
	my ($self, $name, @arguments) = @_;

	return $self->_run($self->_bindir . "/$name", @arguments);
}

sub _psql
{
	my ($self, $sql, %options) = @_;
	my $program = $self->_bindir . '/psql';

	$self->applied(10) if delete $self->{unapplied};
	return Psql->run($program, { %ENV, %{ $self->{env} }, %{ $self->{settings} || {} } }, $sql, %options)
		if Psql->suits($sql, %options);
	return $self->_run({ stdin => $sql }, $program, Psql->arguments, $options{dbname} ? ('-d', $options{dbname}) : (),
		$options{user} ? ('-U', $options{user}) : ());
}

# psql(SQL, dbname =>, user =>): columns separated by |, rows by newlines; dies on an error
sub psql
{
	my ($self, $sql, %options) = @_;
	my ($status, $out, $err) = $self->_psql($sql, %options);

	$status == 0 or die "psql failed: $err\nin: $sql\n";
	chomp $out;
	return $out;
}

# what the server says to a statement that must fail; '' when it did not
sub psql_error
{
	my ($self, $sql, %options) = @_;
	my ($status, $out, $err) = $self->_psql($sql, %options);

	return $status == 0 ? '' : $err;
}

# seed(): an organization with one number and an account at the simulator; the ids and numbers
sub seed
{
	my ($self) = @_;
	my %made = (
		organization => '11111111-1111-7111-8111-111111111111',
		provider_account => '22222222-2222-7222-8222-222222222222',
		did => '+15552000100',
	);

	$self->psql(<<"SQL");
INSERT INTO omnimsg.organizations (id, name) VALUES ('$made{organization}', 'Harbor Dental');
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name)
	VALUES ('$made{provider_account}', 'telnyx', 'simulator', 'simulator');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	VALUES ('$made{did}', '$made{organization}', 'telnyx', '$made{provider_account}');
SQL
	return \%made;
}

# queue(SEED, [NUMBERS], kind =>, expires =>, text =>): a text to each, as an application would queue it
sub queue
{
	my ($self, $made, $numbers, %options) = @_;
	my $list = join ',', map { "('$_')" } @$numbers;
	my $text = $options{text} // 'Your appointment is tomorrow';
	my $kind = $options{kind} // 'notification';
	my $expires = $options{expires} // '1 hour';

	# without a commit of ingest nobody wakes the worker but a reload
	$self->psql(<<"SQL");
INSERT INTO omnimsg.send_limits (organization_id, opens, closes)
	VALUES ('$made->{organization}', '00:00', '24:00') ON CONFLICT DO NOTHING;
WITH m AS (
	INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number,
			message_body, status, provider, created_at)
		SELECT '$made->{organization}', omnimsg.uuid7(), 'outbound', 'sms', '$made->{did}', n, '$text',
			'queued', 'telnyx', now() FROM (VALUES $list) AS w (n)
	RETURNING organization_id, id, created_at)
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, next_attempt_at, expires_at, created_at)
	SELECT organization_id, omnimsg.uuid7(), id, '$kind', now(), now() + interval '$expires', created_at FROM m;
SELECT pg_reload_conf();
SQL
	return;
}

# changes a setting of the server without a restart
sub setting
{
	my ($self, $name, $value) = @_;

	$self->psql(defined $value ? "ALTER SYSTEM SET $name = '$value'" : "ALTER SYSTEM RESET $name");
	$self->psql('SELECT pg_reload_conf()');
	return;
}

# each look of a process of its own costs the others more than what it finds a little later: with PATIENT the pauses grow
sub _until
{
	my ($self, $condition, $timeout, $patient) = @_;
	my $begin = time;

	until ($condition->())
	{
		my $waited = time - $begin;

		return 0 if $waited > $timeout;
		sleep($patient && $waited > 0.3 ? ($waited > 2 ? 0.15 : 0.07) : 0.02);
	}
	return 1;
}

# wait_until(SUB, TIMEOUT): whether it comes to return something true
sub wait_until
{
	my ($self, $condition, $timeout) = @_;

	return $self->_until($condition, $timeout // 30);
}

# seal_all(): the audit trail to its end, of a Server as well; a seal ends before the oldest transaction that runs in the cluster
sub seal_all
{
	my ($self) = @_;
	my $last = $self->psql('SELECT pg_current_xact_id()');

	$self->poll("SELECT pg_snapshot_xmin(pg_current_snapshot()) > '$last'", 't', 60) or die 'a transaction does not end';
	return $self->psql('SELECT count(*) FROM omnimsg_audit_seal()');
}

# poll(QUERY, EXPECTED, TIMEOUT): whether the query comes to give the expected text; says what it
# gave instead.  A server that is just starting again is waited for, too.
sub poll
{
	my ($self, $query, $expected, $timeout) = @_;
	my $found;

	return 1 if $self->_until(sub {
		my ($status, $out, $err) = $self->_psql($query);
		chomp($found = $status == 0 ? $out : $err);
		return $status == 0 && $found eq $expected;
	}, $timeout // 30, 1);
	diag("waited for: $query\nexpected: $expected\nfound: $found");
	return 0;
}

# session(): a connection that stays open; ->query(SQL) returns text, ->close
sub session
{
	my ($self, %options) = @_;

	return Omnimsg::Session->new($self, %options);
}

# ---- the simulator and the relay ----

sub simulator
{
	return "$top/build/omnimsg-simulator";
}

# send(from =>, to =>, text =>, ...): options of "omnimsg-simulator send" with underscores; a list
# repeats the option, undef stands for one without a value.  Returns exit (0: all were taken),
# attempts [{event_id, attempt, http}], http (of the last attempt) and out.  Whoever asks the database then, by psql() or
# poll(), finds what was answered 200, unless something that the test does keeps it in the spool.
sub send
{
	my ($self, %options) = @_;
	my @arguments;

	for my $name (sort keys %options)
	{
		(my $option = "--$name") =~ tr/_/-/;
		for my $value (ref $options{$name} ? @{ $options{$name} } : $options{$name})
		{
			push @arguments, $option, defined $value ? $value : ();
		}
	}
	my ($status, $out, $err) = $self->_run($self->simulator, 'send',
		'--webhook-url', $self->env('OMNIMSG_RELAY_URL') . '/webhooks/telnyx',
		'--key-file', $self->env('OMNIMSG_SIGNING_KEY_FILE'),
		exists $options{retry_backoff} ? () : ('--retry-backoff', '100,200'), @arguments);
	$status < 2 or die "omnimsg-simulator send failed ($status): $err$out";
	my @attempts;
	while ($out =~ /^(\S+) attempt (\d+) http (\S+)/mg)
	{
		push @attempts, { event_id => $1, attempt => $2 + 0, http => $3 };
	}
	$self->{unapplied} = 1;
	return {
		exit => $status,
		attempts => \@attempts,
		http => @attempts ? $attempts[-1]{http} : undef,
		out => $out,
	};
}

# what the simulator did and saw, as a list of hashes
sub ledger
{
	my ($self, %wanted) = @_;
	my @rows;

	open my $handle, '<', $self->env('OMNIMSG_SIM_LEDGER') or return;
	while (my $line = <$handle>)
	{
		# before it is parsed, for that takes its time
		next if defined $wanted{kind} && index($line, "\"kind\":\"$wanted{kind}\"") < 0;
		# the last line may still be being written
		push @rows, decode_json($line) if $line =~ /\n\z/;
	}
	for my $key (keys %wanted)
	{
		@rows = grep { defined $_->{$key} && $_->{$key} eq $wanted{$key} } @rows;
	}
	return @rows;
}

# behave(SPEC): how the simulator answers from now on, as '429:retry_after=1,times=2'
sub behave
{
	my ($self, $spec) = @_;
	my $answer = $self->request(POST => '/sim/behave', body => $spec,
		url => $self->env('OMNIMSG_SIM_URL'));

	$answer->{status} == 200 or die "the simulator refused \"$spec\": $answer->{raw}";
	return;
}

sub behave_well
{
	my ($self) = @_;

	$self->request(POST => '/sim/reset', body => '', url => $self->env('OMNIMSG_SIM_URL'));
	return;
}

# public_key(FILE): the public key, in base64, of the key in that file, which is made when there is
# none; without FILE, the one of the instance
sub public_key
{
	my ($self, $file) = @_;

	$file //= $self->env('OMNIMSG_SIGNING_KEY_FILE');
	my ($status, $out, $err) = $self->_run($self->simulator, -e $file ? 'public-key' : 'keygen', '--key-file', $file);
	$status == 0 or die $err;
	chomp $out;
	return $out;
}

# signed(from =>, to =>, text =>, ...): a request as send() would make it, caught in the relay's
# place instead of delivered: body, timestamp, signature
sub signed
{
	my ($self, %options) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!";
	my $settings = { %{ $self->{settings} } };
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		# both sides wait for each other, so the sending one is a process of its own
		$self->{settings} = { %$settings, OMNIMSG_RELAY_URL => 'http://127.0.0.1:' . $listener->sockport };
		my $sent = eval { $self->send(attempts => 1, %options) };
		POSIX::_exit($sent && $sent->{exit} == 0 ? 0 : 1);
	}
	my ($head, $body) = ('', '');
	eval {
		local $SIG{ALRM} = sub { die "the simulator sent nothing\n" };
		alarm 20;
		my $peer = $listener->accept or die "accept: $!";
		while (defined(my $line = readline $peer))
		{
			last if $line =~ /\A\r?\n\z/;
			$head .= $line;
		}
		my ($length) = $head =~ /^content-length: *(\d+)/im;
		read $peer, $body, $length;
		print {$peer} "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
		close $peer;
		alarm 0;
		1;
	} or die $@;
	waitpid $pid, 0;
	my ($timestamp) = $head =~ /^telnyx-timestamp: *(\S+)/im;
	my ($signature) = $head =~ /^telnyx-signature-ed25519: *(\S+)/im;
	return { body => $body, timestamp => $timestamp, signature => $signature };
}

# deliver(SIGNED, body =>, timestamp =>, signature =>, more => [headers], url =>, pid =>, from =>): posts
# what signed() gave, with these changes; undef leaves a header out.  Returns as request() does.
sub deliver
{
	my ($self, $signed, %changes) = @_;
	my %sent = (%$signed, %changes);
	my @headers = ('Content-Type: application/json', @{ $sent{more} || [] });

	push @headers, "telnyx-timestamp: $sent{timestamp}" if defined $sent{timestamp};
	push @headers, "telnyx-signature-ed25519: $sent{signature}" if defined $sent{signature};
	return $self->request(POST => '/webhooks/telnyx', body => $sent{body}, headers => \@headers,
		map { $sent{$_} ? ($_ => $sent{$_}) : () } qw(url pid from));
}

# relay(NAME => value, ...): a second relay beside the instance's own, with these variables of
# its environment (without OMNIMSG_RELAY_); UNDER is a command that runs it; see Omnimsg::Relay.
# OMNIMSG_TEST_RELAY is another build of it, as one with a sanitizer.
sub relay
{
	my ($self, %variables) = @_;

	return Omnimsg::Relay->new($self, $ENV{OMNIMSG_TEST_RELAY} // "$top/build/omnimsg-relay", %variables);
}

# delivered(SIGNED, ...): the same as often as the provider does it, three times, while the answer is 503, as of a relay
# whose database is late; returns the status of the last
sub delivered
{
	my ($self, @arguments) = @_;
	my $status;

	for (1 .. 3)
	{
		$status = $self->deliver(@arguments)->{status};
		last if $status != 503;
	}
	return $status;
}

# applied(TIMEOUT): whether what the relay has answered 200 gets into the database: when that was late it is in the spool first
sub applied
{
	my ($self, $timeout) = @_;

	return $self->_until(sub {
		my $metrics = eval { $self->request(GET => '/metrics')->{body} };

		return !defined $metrics || $metrics =~ /^omnimsg_relay_spool_deliveries 0$/m;
	}, $timeout // 30);
}

# raw(BYTES, url =>, pid =>, from =>, timeout =>, end => 1): sends exactly these bytes to the relay, from
# that address (127.0.0.2 ...), with end nothing after them, and returns what comes until it closes: raw, status, body,
# elapsed, how long that took, and seconds: for a POST, the same without what this process, and a thread of the relay (pid; that
# of the instance, if there is no url), only waited for a processor
sub raw
{
	my ($self, $bytes, %options) = @_;
	my ($where) = ($options{url} // $self->env('OMNIMSG_RELAY_URL')) =~ m{^http://([^/]+)};
	my $relay = $bytes !~ /\APOST/ ? undef : $options{pid} // ($options{url} ? undef : $self->relay_pid);
	my $had = $self->waits($relay);
	my ($begin, $own) = (time, $self->waited($$));
	my $socket = IO::Socket::INET->new(PeerAddr => $where, Timeout => 5,
		$options{from} ? (LocalAddr => $options{from}) : ()) or die "connect $where: $!";
	my $raw = '';

	$socket->autoflush(1);
	{
		local $SIG{PIPE} = 'IGNORE';
		print {$socket} $bytes;
		shutdown $socket, 1 if $options{end};
	}
	eval {
		local $SIG{ALRM} = sub { die "timeout\n" };
		alarm($options{timeout} // 10);
		1 while sysread $socket, $raw, 65536, length $raw;
		alarm 0;
	};
	alarm 0;
	my $elapsed = time - $begin;
	my $seconds = $elapsed - ($self->waited($$) - $own) - $self->longest_wait($relay, $had);
	my ($status) = $raw =~ m{\AHTTP/1\.[01] (\d{3})};
	my ($body) = $raw =~ /\r\n\r\n(.*)\z/s;
	return { raw => $raw, status => $status // 0, body => $body, elapsed => $elapsed, seconds => max(0, $seconds) };
}

# request(METHOD => PATH, body =>, headers => [...], url =>, pid =>, from =>, timeout =>): one well-framed request
sub request
{
	my ($self, $method, $path, %options) = @_;
	my @headers = ('Host: localhost', 'Connection: close', @{ $options{headers} || [] });

	push @headers, 'Content-Length: ' . length $options{body} if defined $options{body};
	return $self->raw(join("\r\n", "$method $path HTTP/1.1", @headers, '', $options{body} // ''), %options);
}

# ---- the end ----

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

END
{
	my $status = $?;

	for my $node ($$ == $owner ? values %live : ())
	{
		if ($status == 0 && Test::More->builder->is_passing)
		{
			eval { $node->_instance('remove') };
		}
		else
		{
			eval { $node->_instance('stop') };
			diag("the instance is kept in $node->{dir}");
		}
		diag($@) if $@;
	}
	$? = $status;
}

package Omnimsg::Relay;

use strict;
use warnings;

sub new
{
	my ($class, $node, $program, %variables) = @_;
	my $self = bless { node => $node, log => $node->dir . '/relay-' . ++$node->{relays} . '.log' }, $class;
	my %env = (
		LISTEN => '127.0.0.1:0',
		DATABASE => 'host=' . $node->env('PGHOST') . ' port=' . $node->env('PGPORT') .
			' dbname=omnimsg user=omnimsg_relay',
		%variables,
	);

	my @under = split ' ', delete $env{UNDER} // '';

	$self->{pid} = fork // die "fork: $!";
	if ($self->{pid} == 0)
	{
		delete @ENV{ grep { /^OMNIMSG_RELAY_/ } keys %ENV };
		$ENV{"OMNIMSG_RELAY_$_"} = $env{$_} for keys %env;
		open STDERR, '>', $self->{log} or POSIX::_exit(126);
		exec {$under[0] // $program} @under, $program or POSIX::_exit(127);
	}
	return $self;
}

# log(MSG): the lines of its log, as hashes; or those that say MSG, which costs less
sub log
{
	my ($self, $msg) = @_;

	open my $handle, '<', $self->{log} or return;
	return map { JSON::PP::decode_json($_) } grep { /\n\z/ && (!defined $msg || index($_, qq("msg":"$msg")) >= 0) } readline $handle;
}

# where it listens; waits until it does
sub url
{
	my ($self) = @_;
	my $line;

	$self->{url} //= $self->{node}->_until(sub {
		($line) = grep { $_->{msg} eq 'listening' } $self->log;
		return $line;
	}, 60) ? "http://$line->{address}" : die "the relay does not listen\n";
	return $self->{url};
}

sub signal
{
	my ($self, $signal) = @_;

	kill $signal, $self->{pid};
	return;
}

# its exit status, once it has ended by itself; undef when it does not
sub ended
{
	my ($self) = @_;
	my $status;

	$self->{node}->_until(sub {
		waitpid($self->{pid}, POSIX::WNOHANG()) == 0 and return 0;
		$status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
		return 1;
	}, 20) or return;
	delete $self->{pid};
	return $status;
}

sub DESTROY
{
	my ($self) = @_;
	local $?;

	return if !$self->{pid} || $$ != $owner;
	kill 'KILL', $self->{pid};
	waitpid $self->{pid}, 0;
	return;
}

package Omnimsg::Session;

use strict;
use warnings;

use IPC::Open3 qw(open3);

sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless {}, $class;
	local %ENV = (%ENV, %{ $node->{settings} });

	$self->{pid} = open3($self->{in}, $self->{out}, undef, $node->_bindir . '/psql',
		qw(-X -q -A -t), $options{dbname} ? ('-d', $options{dbname}) : (),
		$options{user} ? ('-U', $options{user}) : (), $options{host} ? ('-h', $options{host}, '-p', $options{port}) : ());
	return $self;
}

# sends SQL and returns at once
sub begin
{
	my ($self, $sql) = @_;

	$self->{waiting}++;
	print { $self->{in} } "$sql\n;\n\\echo the-end-of-it\n";
	$self->{in}->flush;
	return;
}

# waits for what begin() sent; errors are part of the text
sub result
{
	my ($self) = @_;
	my $text = '';

	while (defined(my $line = readline $self->{out}))
	{
		last if $line eq "the-end-of-it\n";
		$text .= $line;
	}
	chomp $text;
	return $text;
}

sub query
{
	my ($self, $sql) = @_;

	$self->begin($sql);
	return $self->result;
}

sub close
{
	my ($self) = @_;

	return if !$self->{pid};
	close $self->{in};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
	return;
}

sub DESTROY
{
	local $?;
	$_[0]->close;
	return;
}

1;
