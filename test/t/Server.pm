# Server.pm: a PostgreSQL server beside the one of an instance, made of a copy of its data directory.  It has
# the instance's settings, its simulator and its API key, so that it would send if it could.
#
#   my $copy = Server->base_backup($node, 'standby', '-R');     # copies; does not start it
#   $copy->start('omnimsg.dispatch' => 'on');
#   $copy->psql('SELECT 1');
#   $copy->promote;

package Server;

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

my @servers;
my $ports = 5433;

# new(NODE, DIRECTORY): of a data directory that is there
sub new
{
	my ($class, $node, $data) = @_;
	my $self = bless { node => $node, data => $data, port => $ports++, log => "$data.log", settings => { %{ $node->{settings} } } }, $class;

	$self->{settings}{PGPORT} = $self->{port};
	push @servers, $self;
	return $self;
}

# _as_owner(PROGRAM, ARGUMENTS...): a server program refuses to run as root
sub _as_owner
{
	my ($self, $program, @arguments) = @_;
	my ($uid, $gid) = (stat $self->{node}->dir . '/data/')[4, 5];
	my @command = ('sh', '-c', 'cd "$0" && exec "$@"', $self->{directory} // '/', $self->{node}->_bindir . "/$program", @arguments);

	unshift @command, 'setpriv', "--reuid=$uid", "--regid=$gid", '--init-groups', '--' if $> == 0;
	return $self->{node}->_run(@command);
}

sub _must
{
	my ($self, @command) = @_;
	my ($status, $out, $err) = $self->_as_owner(@command);

	$status == 0 or die "@command failed ($status):\n$out$err" . $self->log;
	return $out;
}

# base_backup(SOURCE, NAME, OPTIONS...): a copy of a running instance or Server, through replication
sub base_backup
{
	my ($class, $source, $name, @options) = @_;
	my $node = $source->{node} // $source;
	my $self = $class->new($node, $node->dir . "/$name");

	$self->_must('pg_basebackup', '-D', $self->{data}, '-c', 'fast', '-X', 'stream', '-h', $node->env('PGHOST'),
		'-p', $source->{port} // 5432, '-U', 'postgres', @options);
	return $self;
}

# upgraded(NODE, NAME): a new cluster that pg_upgrade has filled from the one of the instance, which is stopped
sub upgraded
{
	my ($class, $node, $name) = @_;
	my $self = $class->new($node, $node->dir . "/$name");
	my $loaded = '-c shared_preload_libraries=omnimsg,pg_cron -c cron.database_name=omnimsg';

	$self->_must('initdb', '-D', $self->{data}, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8');
	$self->write('postgresql.conf', "include '../data/instance.conf'\n");
	# it writes a script into the current directory
	local $self->{directory} = $self->{data};
	$self->_must('pg_upgrade', '-b', $node->_bindir, '-B', $node->_bindir, '-d', $node->dir . '/data', '-D', $self->{data},
		'-U', 'postgres', '-s', $node->env('PGHOST'), '-o', $loaded, '-O', $loaded);
	return $self;
}

# write(FILE, TEXT): adds to a file of the data directory
sub write
{
	my ($self, $file, $text) = @_;

	open my $handle, '>>', "$self->{data}/$file" or die "$self->{data}/$file: $!";
	print {$handle} $text;
	close $handle;
	chown((stat $self->{data})[4, 5], "$self->{data}/$file");
	return;
}

# start(SETTING => VALUE, ...): these win over the files
sub start
{
	my ($self, %settings) = @_;

	%settings = (port => $self->{port}, %settings);
	$self->_must('pg_ctl', '-D', $self->{data}, '-l', $self->{log}, '-w', '-t', 120, 'start', '-o',
		join ' ', map { "-c $_='$settings{$_}'" } sort keys %settings);
	return $self;
}

sub running
{
	my ($self) = @_;

	return -e "$self->{data}/postmaster.pid" && ($self->_as_owner('pg_ctl', '-D', $self->{data}, 'status'))[0] == 0;
}

# stop(MODE): 'fast' unless it is said otherwise
sub stop
{
	my ($self, $mode) = @_;

	$self->_must('pg_ctl', '-D', $self->{data}, '-m', $mode // 'fast', '-w', '-t', 120, 'stop') if $self->running;
	return;
}

# the process and all that belongs to it, at once
sub crash
{
	my ($self) = @_;

	open my $handle, '<', "$self->{data}/postmaster.pid" or die "$self->{data} does not run";
	my $pid = <$handle> + 0;
	kill 'KILL', $pid;
	$self->{node}->_until(sub { !$self->{node}->running($pid) }, 20) or die "process $pid does not end";
	unlink "$self->{data}/postmaster.pid";
	return;
}

sub promote
{
	my ($self) = @_;

	$self->_must('pg_ctl', '-D', $self->{data}, '-w', '-t', 120, 'promote');
	return;
}

sub log
{
	my ($self) = @_;

	open my $handle, '<', $self->{log} or return '';
	local $/;
	return <$handle> // '';
}

# as those of Omnimsg
sub psql
{
	my ($self, @arguments) = @_;
	local $self->{node}{settings} = $self->{settings};

	return $self->{node}->psql(@arguments);
}

sub psql_error
{
	my ($self, @arguments) = @_;
	local $self->{node}{settings} = $self->{settings};

	return $self->{node}->psql_error(@arguments);
}

sub poll
{
	my ($self, @arguments) = @_;
	local $self->{node}{settings} = $self->{settings};

	return $self->{node}->poll(@arguments);
}

sub session
{
	my ($self, @arguments) = @_;
	local $self->{node}{settings} = $self->{settings};

	return $self->{node}->session(@arguments);
}

# before the instances whose directories they are in
END
{
	my $status = $?;

	for my $server (@servers)
	{
		eval { $server->stop('immediate') };
		diag($@) if $@;
	}
	$? = $status;
}

1;
