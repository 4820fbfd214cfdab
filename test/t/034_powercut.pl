# The relay's spool under power cuts, and when calls for memory or to the disk fail: see
# test/fault/spool_drive.c.  "make torture SCENARIO=S14" is the long form.

use strict;
use warnings;

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use Test::More;

# no server is needed, and nothing is to be flushed really: the shims stand for the disk
my $dir = tempdir('omnimsg-powercut-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $build = getcwd() . '/build';
my $seed = $ENV{OMNIMSG_SEED} // int rand 1_000_000;

chmod 0700, $dir;
note("OMNIMSG_SEED=$seed");

sub drive
{
	my (@arguments) = @_;
	my @lines = qx{'$build/spool_drive' @arguments};
	my $status = $?;
	my $planned = grep { /^1\.\./ } @lines;

	for my $line (@lines)
	{
		if ($line =~ /^(not )?ok \d+ - (.*)/)
		{
			ok(!$1, $2);
		}
		elsif ($line =~ /^# (.*)/)
		{
			diag($1);
		}
	}
	is("$status $planned", '0 1', "spool_drive $arguments[0] comes to its end");
	return;
}

drive('cuts', 400, $seed, $dir, "$build/powercut.so");
drive('sweep', 300, $dir, "$build/fail.so");

done_testing;
