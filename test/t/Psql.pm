# Psql.pm: one psql for all calls of a test, for to start one and to connect costs more than most of what it is asked.
# Calls that only read and write rows, and so leave nothing behind in their session, share a connection as well, until
# another kind of call comes, which has one of its own.
#
#   my ($status, $out, $err) = Psql->run('/path/of/psql', {%ENV}, 'SELECT 1', user => 'postgres');
#
# What is more than statements, as \gset or the data of a COPY, is not for it: suits() tells.

package Psql;

use strict;
use warnings;

use Errno;
use IO::Handle;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM pack_sockaddr_un);

# what a pipe takes at once, so that nobody waits for a psql that waits for him
my $largest = 60000;
my $kept;
my $started = 0;

# arguments(): those of each psql of the tests
sub arguments
{
	return (qw(-X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=verbose));
}

# suits(SQL, OPTIONS): whether it is complete statements and nothing else, and the names can be written without quotes
sub suits
{
	my ($class, $sql, %options) = @_;

	return 0 if length $sql > $largest || grep { !/\A\w+\z/ } grep { defined } @options{qw(dbname user)};
	$sql = _bare($sql);
	return $sql !~ m{[\\'"\$]|/\*|\bcopy\b}i && $sql =~ tr/(// == $sql =~ tr/)//;
}

# without literals, quoted names and comments
sub _bare
{
	my ($sql) = @_;

	return $sql =~ s/'(?:[^']|'')*'|\$(\w*)\$.*?\$\g{1}\$|"[^"]*"|--[^\n]*/ /gsr;
}

# whether it may share its session.  What changes who the session is, its settings or its locks may not; nor what looks at
# sessions, or has settings read again, which a session that is there does a little later.
sub _shares
{
	my ($sql) = @_;

	return 0 if $sql =~ /_login|set_config|reload_conf|advisory|terminate|pg_stat/;
	return !grep { !/\A\s*(?:(?:SELECT|INSERT|UPDATE|DELETE|WITH|VALUES)\b|\z)/i } split /;/, _bare($sql);
}

# run(PROGRAM, ENVIRONMENT, SQL, dbname =>, user =>): exit status, standard output, standard error
sub run
{
	my ($class, $program, $env, $sql, %options) = @_;
	my %to = (host => $env->{PGHOST}, port => $env->{PGPORT}, dbname => $options{dbname} // $env->{PGDATABASE},
		user => $options{user} // $env->{PGUSER});
	my $to = join ' ', map { "$_=$to{$_}" } grep { defined $to{$_} } sort keys %to;
	my $like = join "\0", $program, map { "$_=$env->{$_}" } grep { !/\APG(?:HOST|PORT|DATABASE|USER)\z/ } sort keys %$env;
	my $shares = !defined $options{user} && _shares($sql);
	local ($?, $SIG{PIPE}) = (0, 'IGNORE');

	# that of another process is no business of ours
	undef $kept if $kept && $kept->{owner} != $$;
	_end() if $kept && $kept->{like} ne $like;
	# the server may have ended the connection meanwhile, and then psql ends
	_end() if $kept && $shares && $kept->{to} eq $to && defined((_ask("DISCARD ALL;"))[0]);
	if (!$kept)
	{
		_start($program, $env, $to, $like);
	}
	elsif ($kept->{to} ne $to || !$shares)
	{
		_tell("\\c -reuse-previous=off '$to'\n");
		$kept->{to} = $to;
	}
	my ($status, $err) = _ask($sql);
	my $out = _output();
	# psql itself ends at an error
	_end() if defined $status;
	_disconnect() if !defined $status && !$shares;
	return ($status // 0, $out, $err);
}

sub _tell
{
	$kept->{in}->print(@_);
	$kept->{in}->flush;
	return;
}

# _ask(SQL): psql's exit status, undef when it lives, and what it says to it on standard error
sub _ask
{
	my ($sql) = @_;
	my $mark = 'the-end-of-it';
	my $said = '';

	_tell("$sql\n;\n\\warn $mark\n");
	while (defined(my $line = readline $kept->{err}))
	{
		# what comes before may have no end of line
		return (undef, $said . $line) if $line =~ s/$mark\n\z//;
		$said .= $line;
	}
	waitpid $kept->{pid}, 0;
	delete $kept->{pid};
	return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $said);
}

# psql cannot be without a connection, so it gets one to us
sub _disconnect
{
	my $peer;

	_tell("\\c -reuse-previous=off 'host=\@$kept->{name} port=5432'\n");
	until (accept $peer, $kept->{listener})
	{
		$!{EINTR} or die "accept: $!";
	}
	read $peer, my $length, 4;
	read $peer, my $startup, unpack('N', $length) - 4;
	# "authenticated", two parameters that psql looks at, "ready"
	syswrite $peer, pack('aNN', 'R', 8, 0) . join('', map { pack 'aNa*', 'S', 4 + length $_, $_ }
		join("\0", 'server_version', '15.0', ''), join("\0", 'client_encoding', 'UTF8', '')) . pack('aNa', 'Z', 5, 'I');
	$kept->{peer} = $peer;
	$kept->{to} = '';
	return;
}

sub _start
{
	my ($program, $env, $to, $like) = @_;

	pipe my $theirs, my $in or die "pipe: $!";
	pipe my $err, my $their_err or die "pipe: $!";
	# another process may still have the last one's
	my $name = "omnimsg-psql-$$-" . ++$started;
	# psql adds to it, wherever we read
	open my $out, '+>>', undef or die "temporary file: $!";
	socket my $listener, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!";
	bind $listener, pack_sockaddr_un("\0$name/.s.PGSQL.5432") or die "bind: $!";
	listen $listener, 1 or die "listen: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		local %ENV = %$env;
		open STDIN, '<&', $theirs or POSIX::_exit(126);
		open STDOUT, '>>&', $out or POSIX::_exit(126);
		open STDERR, '>&', $their_err or POSIX::_exit(126);
		exec {$program} $program, arguments(), '-d', $to or POSIX::_exit(127);
	}
	$kept = { like => $like, to => $to, pid => $pid, owner => $$, in => $in, out => $out, err => $err,
		listener => $listener, name => $name };
	return;
}

# what it has written since the last call
sub _output
{
	my $out = $kept->{out};

	seek $out, 0, 0;
	my $text = do { local $/; readline $out } // '';
	truncate $out, 0 or die "temporary file: $!";
	return $text;
}

# A process that was forked off meanwhile may hold the pipe open, so that psql would not see its end
sub _end
{
	if ($kept->{pid})
	{
		kill 'TERM', $kept->{pid};
		waitpid $kept->{pid}, 0;
	}
	undef $kept;
	return;
}

END
{
	local $?;
	_end() if $kept && $kept->{owner} == $$;
}

1;
