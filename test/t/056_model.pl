# Random sequences of all that changes consent, in eight sessions at once, against a model of the rules
# that knows nothing of the code; test/model/model.c says how.  "make torture" runs 100 000 of
# them, and longer ones.

use strict;
use warnings;

use File::Basename qw(dirname);
use Omnimsg;
use Test::More;

my $model = dirname(__FILE__) . '/../../build/model';
my $node = Omnimsg->new;

# nothing here is about the disk
$node->setting('fsync', 'off');

my ($status, $out, $err) = $node->_run($model, '--sequences', 2000, '--operations', 8, '--instants', 3,
	$ENV{OMNIMSG_SEED} ? ('--seed', $ENV{OMNIMSG_SEED}) : (), '');

# what it says stands for itself: its comments tell the seed, and what went wrong
for my $line (split /\n/, $out)
{
	if ($line =~ /^(not )?ok \d+ - (.*)/)
	{
		ok(!$1, $2);
	}
	else
	{
		note($line =~ s/^# //r);
	}
}
diag($out) if $status != 0;
is($status, 0, 'the model ends well');
is($err, '', 'and complains of nothing');

done_testing;
