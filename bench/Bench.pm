# Bench.pm: what the benchmarks share: rounds by turns, medians, processor time, and the rows of doc/performance.md.
#
#   my $median = Bench::rounds(ours => sub { return { rate => 5320 } }, peer => sub { return { rate => 512 } });
#   Bench::row(goal => 'webhook to durable 200', ours => sprintf('%d/s', $median->{ours}{rate}), beside => ...,
#       ratio => ..., wanted => 'at least 8 x', reached => $ratio >= 8);
#   Bench::note('Server, relay and load ran on the same two cores.');
#
# OMNIMSG_ROUNDS (5) makes fewer rounds; tools/bench then shows the rows and does not write them.

package Bench;

use strict;
use warnings;

use List::Util qw(sum0);
use POSIX qw(sysconf _SC_CLK_TCK);

my $rounds = $ENV{OMNIMSG_ROUNDS} // 5;
my $ticks = sysconf(_SC_CLK_TCK);

$| = 1;

# median(NUMBERS): the one in the middle, the lower of two
sub median
{
	my @sorted = sort { $a <=> $b } grep { defined } @_;

	return $sorted[$#sorted / 2];
}

# rounds([COUNT,] NAME => sub {...}, ...): runs each variant once in a round, the order turned round every time, so that what
# the machine does meanwhile hits them alike.  A variant returns {figure => number}.  Returns {NAME}{figure}, the
# median over the rounds, and {NAME}{all}{figure}, what each round gave, in their order.
sub rounds
{
	my $count = @_ % 2 ? shift : $rounds;
	my @variants = @_;
	my @names = map { $variants[2 * $_] } 0 .. $#variants / 2;
	my %run = @variants;
	my %all;

	$count = $rounds if $rounds < $count;
	for my $round (1 .. $count)
	{
		for my $name ($round % 2 ? @names : reverse @names)
		{
			my $figures = $run{$name}->();

			push @{ $all{$name}{$_} }, $figures->{$_} for keys %$figures;
			printf STDERR "round %d of %d, %s: %s\n", $round, $count, $name,
				join(', ', map { sprintf '%s %.4g', $_, $figures->{$_} } sort keys %$figures);
		}
	}
	return { map { my $of = $all{$_}; $_ => { all => $of, map { $_ => median(@{ $of->{$_} }) } keys %$of } } keys %all };
}

# ratio(MEDIANS, LEFT, RIGHT, FIGURE): the median of the quotients of each round, which swings less than that of the medians
sub ratio
{
	my ($medians, $left, $right, $figure) = @_;
	my ($of, $by) = map { $medians->{$_}{all}{$figure} } $left, $right;

	return median(map { $of->[$_] / $by->[$_] } 0 .. $#$of);
}

# worst(MEDIANS, NAME, FIGURE): the largest of all rounds, for what must never be more
sub worst
{
	my ($medians, $name, $figure) = @_;

	return (sort { $b <=> $a } @{ $medians->{$name}{all}{$figure} })[0];
}

# each(MEDIANS, LEFT, RIGHT, FIGURE): the quotients of the rounds in their order, to be told where they differ much
sub each
{
	my ($medians, $left, $right, $figure) = @_;
	my ($of, $by) = map { $medians->{$_}{all}{$figure} } $left, $right;

	return join ', ', map { sprintf '%.1f', $of->[$_] / $by->[$_] } 0 .. $#$of;
}

# idle(): the seconds that the processors have had nothing to do since the machine was started, all together
sub idle
{
	open my $file, '<', '/proc/stat' or return 0;
	my @field = split ' ', <$file> // '';
	return ($field[4] + $field[5]) / $ticks;
}

# times_of(PID): the seconds of processor time of /proc/PID/stat: its own code, the kernel for it, and both of its children that have ended; none when it is gone
sub times_of
{
	my ($pid) = @_;

	open my $file, '<', "/proc/$pid/stat" or return;
	return map { $_ / $ticks } (split / /, (<$file> // '') =~ s/.*\) //sr)[11 .. 14];
}

# cpu_of(PIDS): the seconds of processor time that the processes have used, ended threads included: of their own code, and of the kernel for them
sub cpu_of
{
	my ($user, $system) = (0, 0);

	for my $pid (@_)
	{
		my @times = times_of($pid) or next;
		$user += $times[0];
		$system += $times[1];
	}
	return ($user, $system);
}

# cpu(PIDS): both together
sub cpu
{
	my ($user, $system) = cpu_of(@_);

	return $user + $system;
}

# cpu_of_server(POSTMASTER): that of a server of PostgreSQL, of its sessions that have ended as well
sub cpu_of_server
{
	my ($postmaster) = @_;
	my (undef, undef, @ended) = times_of($postmaster);

	return cpu($postmaster, children($postmaster)) + sum0(@ended);
}

# resident(PID): the megabytes of memory that a process has used at most
sub resident
{
	my ($pid) = @_;

	open my $file, '<', "/proc/$pid/status" or return 0;
	my ($kilobytes) = join('', <$file>) =~ /^VmHWM:\s+(\d+)/m;
	return $kilobytes / 1024;
}

# children(PID): the processes that it started, as the backends of a postmaster
sub children
{
	my ($pid) = @_;
	my @found;

	for my $task (glob "/proc/$pid/task/*/children")
	{
		open my $file, '<', $task or next;
		push @found, split ' ', <$file> // '';
	}
	return @found;
}

sub _write
{
	my ($line) = @_;

	print "$line\n";
	return if !$ENV{OMNIMSG_BENCH_ROWS};
	open my $file, '>>', $ENV{OMNIMSG_BENCH_ROWS} or die "$ENV{OMNIMSG_BENCH_ROWS}: $!";
	print {$file} "$line\n";
	close $file or die "$ENV{OMNIMSG_BENCH_ROWS}: $!";
	return;
}

# row(goal, ours, beside, ratio, wanted, reached): a line of the table; reached is whether the goal is.  Without a goal (wanted) the
# figure is only told.
sub row
{
	my %row = @_;

	_write('| ' . join(' | ', map { $_ // '' } @row{qw(goal ours beside ratio wanted)}, !defined $row{wanted} ? '' : $row{reached} ? 'yes' : '**no**') . ' |');
	return;
}

# note(TEXT): a sentence below the table
sub note
{
	my ($text) = @_;

	_write("- $text");
	return;
}

1;
