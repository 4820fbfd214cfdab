# OmnimsgChaos.pm: faults for an instance (Omnimsg.pm), chosen by a seed.
#
#   my $chaos = OmnimsgChaos->new($node, seed => 1);
#   my $url = $chaos->lossy_proxy(0.02);        # in front of the relay: some answers never arrive
#   $chaos->kill($victim);                      # kill -9; what does not come back by itself is started again
#
# Only processes of the instance and children of ours are touched.  What is dead is started directly, not
# by tools/instance, so that the time until it works again is the time of the programs.

package OmnimsgChaos;

use strict;
use warnings;

use Cwd ();
use IO::Select;
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my @children;

sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless { node => $node, seed => $options{seed} }, $class;

	# how the relay was started, to start it so again
	my $pid = $node->relay_pid;
	$self->{relay} = {
		command => [split /\0/, _read("/proc/$pid/cmdline")],
		environment => { map { /\A([^=]+)=(.*)\z/s ? ($1, $2) : () } split /\0/, _read("/proc/$pid/environ") },
		user => (stat "/proc/$pid")[4],
		group => (stat "/proc/$pid")[5],
	};
	return $self;
}

sub _read
{
	my ($file) = @_;

	open my $handle, '<', $file or return '';
	local $/;
	return <$handle> // '';
}

# _spawn(SUB): a child that runs it as the user of the servers; its pid
sub _spawn
{
	my ($self, $code) = @_;
	my $pid = fork // die "fork: $!";

	return $pid if $pid;
	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
	if ($> == 0)
	{
		$( = $) = "$self->{relay}{group} $self->{relay}{group}";
		POSIX::setuid($self->{relay}{user}) or POSIX::_exit(126);
	}
	eval { $code->() };
	warn $@ if $@;
	POSIX::_exit(1);
}

# ---- processes ----

sub _children_of_postmaster
{
	my ($self) = @_;
	my $postmaster = $self->{node}->postmaster_pid or return;
	my @found;

	opendir my $proc, '/proc' or die "/proc: $!";
	for my $pid (grep { /\A\d+\z/ } readdir $proc)
	{
		my ($state, $parent) = _read("/proc/$pid/stat") =~ /\) (\S) (\d+)/;
		next if !defined $parent || $parent != $postmaster || $state eq 'Z';
		push @found, [$pid, _read("/proc/$pid/cmdline")];
	}
	return @found;
}

# the process of a victim: 'relay', 'dispatcher', 'backend' (one of the relay's) or 'postmaster'
sub pid_of
{
	my ($self, $victim) = @_;
	my %pattern = (dispatcher => qr/\Apostgres: omnimsg dispatcher/, backend => qr/\Apostgres: omnimsg_relay /);

	return $self->{node}->relay_pid if $victim eq 'relay';
	return $self->{node}->postmaster_pid if $victim eq 'postmaster';
	my @pids = map { $_->[0] } grep { $_->[1] =~ $pattern{$victim} } $self->_children_of_postmaster;
	return @pids ? $pids[rand @pids] : undef;
}

# kill(VICTIM): false when there is none at the moment
sub kill
{
	my ($self, $victim) = @_;
	my $node = $self->{node};
	my $pid = $self->pid_of($victim);

	# one that could not start is started again, as a service manager does
	$self->start_relay if !$node->running($node->relay_pid);
	return 0 if !$pid || !$node->running($pid);
	CORE::kill('KILL', $pid) or return 0;
	$node->wait_until(sub { waitpid -1, WNOHANG; !$node->running($pid) }, 20) or die "process $pid does not end";
	$self->start_relay if $victim eq 'relay';
	$self->start_postgres if $victim eq 'postmaster';
	return 1;
}

sub start_relay
{
	my ($self) = @_;
	my $relay = $self->{relay};
	my $dir = $self->{node}->dir;

	open my $log, '>>', "$dir/log/relay.log" or die "relay.log: $!";
	my $pid = $self->_spawn(sub {
		%ENV = %{ $relay->{environment} };
		open STDOUT, '>&', $log;
		open STDERR, '>&', $log;
		exec { $relay->{command}[0] } @{ $relay->{command} } or POSIX::_exit(127);
	});
	open my $file, '>', "$dir/relay.pid" or die "relay.pid: $!";
	print {$file} "$pid\n";
	close $file or die "relay.pid: $!";
	return;
}

# the processes that work in the cluster
sub _workers
{
	my ($self, $data) = @_;

	return map { m{(\d+)\z} } grep { (readlink("$_/cwd") // '') eq $data } glob '/proc/[0-9]*';
}

# As tools/instance does, without what it checks.  A dead postmaster's children end by themselves, but one that recovers
# waits a minute for others; a service manager kills what is left, and so do we.
sub start_postgres
{
	my ($self) = @_;
	my $node = $self->{node};
	my $data = Cwd::abs_path($node->dir . '/data');

	$node->wait_until(sub { !$self->_workers($data) }, 1);
	$node->wait_until(sub { my @left = $self->_workers($data); CORE::kill('KILL', @left); return !@left }, 20)
		or die 'processes of a dead postmaster do not end';
	unlink "$data/postmaster.pid", glob($node->env('PGHOST') . '/.s.PGSQL.*');
	open my $log, '>>', $node->dir . '/log/postgres.log' or die "postgres.log: $!";
	my $pid = $self->_spawn(sub {
		open STDIN, '<', '/dev/null';
		open STDOUT, '>&', $log;
		open STDERR, '>&', $log;
		chdir $data;
		exec $node->_bindir . '/pg_ctl', '-D', $data, '-W', 'start';
	});
	waitpid $pid, 0;
	return;
}

# watch(PID): a child of the test's that ends with it, whatever happens
sub watch
{
	my ($self, $pid) = @_;

	push @children, $pid;
	return $pid;
}

# ---- answers that are lost ----

# lossy_proxy(SHARE): a proxy in front of the relay that passes requests on and, for a share of the
# connections, keeps the answer to itself: what the provider sees when a network fails after the commit
sub lossy_proxy
{
	my ($self, $share) = @_;
	my ($host, $port) = $self->{node}->env('OMNIMSG_RELAY_URL') =~ m{//([^:/]+):(\d+)};
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 256, ReuseAddr => 1)
		or die "listen: $!";
	my $url = 'http://127.0.0.1:' . $listener->sockport;
	my $parent = $$;
	my $pid = fork // die "fork: $!";

	if ($pid)
	{
		$self->watch($pid);
		return $url;
	}
	$SIG{PIPE} = 'IGNORE';
	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
	srand $self->{seed} + 1;
	my $select = IO::Select->new($listener);
	my (%other, %loses);

	while (getppid() == $parent)
	{
		for my $from ($select->can_read(0.5))
		{
			if ($from == $listener)
			{
				my $client = $listener->accept or next;
				my $relay = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port) or next;
				@other{ $client, $relay } = ($relay, $client);
				$loses{$relay} = 1 if rand() < $share;
				$select->add($client, $relay);
				next;
			}
			my $to = $other{$from} or next;
			my $bytes = sysread $from, my $data, 65536;
			next if $bytes && !$loses{$from} && (syswrite($to, $data) // 0) == $bytes;
			# closed, or an answer that gets lost
			$select->remove($from, $to);
			delete @other{ $from, $to };
			delete @loses{ $from, $to };
			close $_ for $from, $to;
		}
	}
	POSIX::_exit(0);
}

END
{
	my $status = $?;

	CORE::kill('KILL', $_) for @children;
	waitpid $_, 0 for @children;
	$? = $status;
}

1;
