# OmnimsgChaos.pm: faults for an instance (Omnimsg.pm), chosen by a seed.
#
#   my $chaos = OmnimsgChaos->new($node, seed => 1);
#   my $url = $chaos->lossy_proxy(0.02);        # in front of the relay: some answers never arrive
#   for my $fault ($chaos->plan(60))            # 60 kills and what else belongs to them, in an order that the seed gives
#   {
#       my $over = $chaos->inflict(@$fault);    # when it was over; of a kill, when it was done
#   }
#
# Each fault is a verb with its arguments: a method that returns when nothing of it is left but the recovery.  Only processes
# of the instance and children of ours are touched.  What is dead is started directly, not
# by tools/instance, so that the time until it works again is the time of the programs.

package OmnimsgChaos;

use strict;
use warnings;

use Cwd ();
use File::Basename qw(dirname);
use File::Copy ();
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max shuffle);
use POSIX qw(WNOHANG);
use Socket qw(IPPROTO_TCP);
use Time::HiRes qw(sleep time);

my @children;
my %paused;

# What happens, and how often beside 60 kills: at least once, however short the storm.  The worker stands still for longer than
# its lease (5 s in a storm), the others for about as long as the provider waits.
my @faults = (
	[14, 'kill', 'relay'],
	[15, 'kill', 'dispatcher'],
	[15, 'kill', 'backend'],
	[14, 'kill', 'postmaster'],
	[2, 'kill', 'simulator'],
	[1, 'pause', 'relay', 1, 3],
	[1, 'pause', 'dispatcher', 5, 7],
	[2, 'pause', 'backend', 1, 3],
	[1, 'pause', 'simulator', 1, 3],
	[2, 'cut'],
	[1, 'slow', 2],
	[1, 'fill', 2],
	[2, 'shift_clock', 2],
);

sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless { node => $node, seed => $options{seed} }, $class;

	# how they were started, to start them so again
	for my $name ('relay', 'simulator')
	{
		my $pid = $self->pid_of($name);

		$self->{$name} = {
			command => [split /\0/, _read("/proc/$pid/cmdline")],
			environment => { map { /\A([^=]+)=(.*)\z/s ? ($1, $2) : () } split /\0/, _read("/proc/$pid/environ") },
			user => (stat "/proc/$pid")[4],
			group => (stat "/proc/$pid")[5],
		};
	}
	return $self;
}

# plan(KILLS): the faults of a storm with so many kills, shuffled
sub plan
{
	my ($self, $kills) = @_;
	my @of_kills = grep { $_->[1] eq 'kill' } @faults;
	my (@plan, @kills);

	for my $fault (@faults)
	{
		my ($weight, @what) = @$fault;

		push @{ $what[0] eq 'kill' ? \@kills : \@plan }, map { [@what] } 1 .. max(1, int($weight * $kills / 60 + 0.5));
	}
	# what rounding made too many or too few
	splice @kills, $kills if @kills > $kills;
	push @kills, [@{ $of_kills[rand @of_kills] }[1 .. 2]] while @kills < $kills;
	return shuffle @plan, @kills;
}

# inflict(VERB, ARGUMENTS...): when it was over, false when it could not be done now
sub inflict
{
	my ($self, $verb, @arguments) = @_;

	# one that could not start is started again, as a service manager does
	for my $name ('relay', 'simulator')
	{
		$self->start_program($name) if !$self->{node}->running($self->pid_of($name));
	}
	return $self->$verb(@arguments);
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

	for my $pid (split ' ', _read("/proc/$postmaster/task/$postmaster/children"))
	{
		my ($state) = _read("/proc/$pid/stat") =~ /\) (\S)/;
		next if !defined $state || $state eq 'Z';
		push @found, [$pid, _read("/proc/$pid/cmdline")];
	}
	return @found;
}

# the process of a victim: 'relay', 'simulator', 'dispatcher', 'backend' (one of the relay's) or 'postmaster'
sub pid_of
{
	my ($self, $victim) = @_;

	return $self->{node}->relay_pid if $victim eq 'relay';
	return $self->{node}->simulator_pid if $victim eq 'simulator';
	return $self->{node}->postmaster_pid if $victim eq 'postmaster';
	my @pids = $self->_pids_of($victim);
	return @pids ? $pids[rand @pids] : undef;
}

sub _pids_of
{
	my ($self, $victim) = @_;
	my %pattern = (dispatcher => qr/\Apostgres: omnimsg dispatcher/, backend => qr/\Apostgres: omnimsg_relay /);

	return map { $_->[0] } grep { $_->[1] =~ $pattern{$victim} } $self->_children_of_postmaster;
}

# kill(VICTIM): kill -9; what does not come back by itself is started again
sub kill
{
	my ($self, $victim) = @_;
	my $node = $self->{node};
	my $pid = $self->pid_of($victim);
	my $at = time;

	return 0 if !$pid || !$node->running($pid);
	CORE::kill('KILL', $pid) or return 0;
	$node->wait_until(sub { waitpid -1, WNOHANG; !$node->running($pid) }, 20) or die "process $pid does not end";
	$self->start_program($victim) if $victim eq 'relay' || $victim eq 'simulator';
	$self->start_postgres if $victim eq 'postmaster';
	return $at;
}

# pause(VICTIM, LEAST, MOST): it stands still for so many seconds
sub pause
{
	my ($self, $victim, $least, $most) = @_;
	my $pid = $self->pid_of($victim);

	return 0 if !$pid || !$self->{node}->running($pid);
	$self->_stop($pid);
	sleep $least + rand($most - $least);
	$self->_continue;
	return time;
}

sub _stop
{
	my ($self, @pids) = @_;

	@paused{@pids} = ();
	CORE::kill('STOP', @pids);
	return;
}

sub _continue
{
	CORE::kill('CONT', keys %paused);
	%paused = ();
	return;
}

# cut(): all connections between relay and database end, as by pg_terminate_backend()
sub cut
{
	my ($self) = @_;
	my @pids = $self->_pids_of('backend') or return 0;

	CORE::kill('TERM', @pids);
	return time;
}

# slow(SECONDS): the spool's disk takes its time for each flush, while the database does not answer
sub slow
{
	my ($self, $seconds) = @_;

	return $self->_with_relay({ $self->_failing, FAIL_SLOW_MS => 100, FAIL_ARMED => 1 }, sub { $self->_without_database($seconds) });
}

# fill(SECONDS): the spool's disk is full, while the database does not answer
sub fill
{
	my ($self, $seconds) = @_;

	return $self->_with_relay({ $self->_failing, FAIL_CALL => 'write', FAIL_STICKY => 1, FAIL_ON_SIGNAL => 1 }, sub {
		CORE::kill('USR2', $self->{node}->relay_pid);
		$self->_without_database($seconds, sub {
			return (eval { $self->{node}->request(GET => '/metrics')->{body} } // '') =~ /^omnimsg_relay_spool_refused_total [1-9]/m;
		});
		my $page = eval { $self->{node}->request(GET => '/metrics')->{body} } // '';
		$self->{refused} += $1 if $page =~ /^omnimsg_relay_spool_refused_total (\d+)/m;
	});
}

# how many deliveries full disks have refused
sub refused { return $_[0]{refused} // 0 }

# shift_clock(SECONDS): the relay's clock is wrong for so long, by less than what makes a signature stale
sub shift_clock
{
	my ($self, $seconds) = @_;
	my ($library) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
	my $offset = (60 + int rand 200) * (rand() < 0.5 ? -1 : 1);

	return $self->_with_relay({ LD_PRELOAD => $library, FAKETIME => sprintf('%+d', $offset) }, sub { sleep $seconds });
}

# the library that fails, where the relay's user can read it
sub _failing
{
	my ($self) = @_;
	my $place = dirname(Cwd::abs_path($self->{node}->dir . '/data'));
	my $library = "$place/fail.so";

	if (!-e $library)
	{
		File::Copy::copy($self->{node}->simulator =~ s/omnimsg-simulator\z/fail.so/r, $library) or die "$library: $!";
		chmod 0755, $library;
	}
	return (LD_PRELOAD => $library, FAIL_DIR => "$place/spool");
}

# the relay, started again with more in its environment, during what SUB does
sub _with_relay
{
	my ($self, $more, $code) = @_;
	my $node = $self->{node};

	$node->_kill($node->relay_pid, 'KILL');
	$self->start_program('relay', %$more);
	# a relay that the library does not let start is a fault, too, but not the one that was asked for
	$node->wait_until(sub { (eval { $node->request(GET => '/healthz')->{status} } // 0) == 200 }, 60) or die 'the relay does not start';
	_read('/proc/' . $node->relay_pid . '/maps') =~ /\Q$more->{LD_PRELOAD}\E/ or die "the relay runs without $more->{LD_PRELOAD}";
	$code->();
	$node->_kill($node->relay_pid, 'KILL') if $node->running($node->relay_pid);
	my $over = time;
	$self->start_program('relay');
	return $over;
}

# for so long, and until ENOUGH, if it is there
sub _without_database
{
	my ($self, $seconds, $enough) = @_;
	my $postmaster = $self->pid_of('postmaster');

	# it first: it would start others
	$self->_stop($postmaster) if $postmaster;
	$self->_stop($self->_pids_of('backend'));
	sleep $seconds;
	$self->{node}->wait_until($enough, 20) if $enough;
	$self->_continue;
	return;
}

# start_program(NAME, VARIABLES): the relay or the simulator, as it was started first
sub start_program
{
	my ($self, $name, %more) = @_;
	my $program = $self->{$name};
	my $dir = $self->{node}->dir;

	open my $log, '>>', "$dir/log/$name.log" or die "$name.log: $!";
	my $pid = $self->_spawn(sub {
		%ENV = (%{ $program->{environment} }, %more);
		open STDOUT, '>&', $log;
		open STDERR, '>&', $log;
		exec { $program->{command}[0] } @{ $program->{command} } or POSIX::_exit(127);
	});
	open my $file, '>', "$dir/$name.pid" or die "$name.pid: $!";
	print {$file} "$pid\n";
	close $file or die "$name.pid: $!";
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

# sample(SQL, FILE): a session of its own that asks each second and writes each answer, one line, into the file; what
# was asked of a server that had just died has none
sub sample
{
	my ($self, $sql, $file) = @_;
	my $parent = $$;
	my $pid = fork // die "fork: $!";

	return $self->watch($pid) if $pid;
	$SIG{PIPE} = 'IGNORE';
	$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
	open my $out, '>>', $file or POSIX::_exit(1);
	my $session;
	while (getppid() == $parent)
	{
		my $next = time + 1;
		my $answer = eval {
			$session //= $self->{node}->session;
			$session->query($sql);
		} // '';

		# One row without an error of the server; while that is away it is asked soon again, for between two faults it is
		# there for a moment only
		if ($answer =~ /\A\d+\|.*\z/) { syswrite $out, "$answer\n"; sleep max(0.05, $next - time) }
		else { undef $session; sleep 0.1 }
	}
	POSIX::_exit(0);
}

# ---- answers that are lost ----

# lossy_proxy(SHARE): a proxy in front of the relay that passes requests on and, for a share of the
# connections, keeps the answer to itself: what the provider sees when a network fails after the commit
sub lossy_proxy
{
	my ($self, $share) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 256, ReuseAddr => 1, Blocking => 0)
		or die "listen: $!";
	my $parent = $$;

	# several, for one that waits must not let all the others wait
	for my $n (1 .. 4)
	{
		my $pid = fork // die "fork: $!";

		if ($pid)
		{
			$self->watch($pid);
			next;
		}
		$SIG{PIPE} = 'IGNORE';
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
		srand $self->{seed} + $n;
		$self->_pass_on($listener, $share, $parent);
		POSIX::_exit(0);
	}
	return 'http://127.0.0.1:' . $listener->sockport;
}

# whether the other side has given up already: the connection waits for our end (TCP_CLOSE_WAIT)
sub _given_up
{
	my ($socket) = @_;

	return unpack('C', getsockopt($socket, IPPROTO_TCP, 11) // "\0") == 8;
}

sub _pass_on
{
	my ($self, $listener, $share, $parent) = @_;
	my ($host, $port) = $self->{node}->env('OMNIMSG_RELAY_URL') =~ m{//([^:/]+):(\d+)};
	my $select = IO::Select->new($listener);
	my (%other, %loses);

	while (getppid() == $parent)
	{
		for my $from ($select->can_read(0.5))
		{
			if ($from == $listener)
			{
				my $client = $listener->accept or next;

				# who is there no more is not served, and a relay that takes no connection is not waited for
				next if _given_up($client);
				my $relay = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 0.05) or next;
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
	return;
}

END
{
	my $status = $?;

	CORE::kill('CONT', keys %paused);
	CORE::kill('KILL', $_) for @children;
	waitpid $_, 0 for @children;
	$? = $status;
}

1;
