# A POST to a provider is never repeated behind our back.  libcurl does that on a connection it uses
# again, when the provider reads the request and closes without a byte; the person would get two texts.
#
# OMNIMSG_CUTS (200) is how many connections the provider cuts.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $cuts = $ENV{OMNIMSG_CUTS} // 200;
my $node = Omnimsg->new;
my $made = $node->seed;
my @warm = map { sprintf '+1555200%04d', 1000 + $_ } 1 .. 20;
my @cut = map { sprintf '+1555200%04d', 2000 + $_ } 1 .. $cuts;

# posts(NUMBERS): how often each was POSTed, as a text of numbers
sub posts
{
	my %count;

	$count{ $_->{to} }++ for $node->ledger(kind => 'post');
	return join ' ', map { $count{$_} // 0 } @_;
}

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$made->{organization}'");
$node->setting('omnimsg.rate_limit', 1000);
$node->setting('omnimsg.reconcile_after', '500ms');

# connections that could be kept, were the worker to keep any
$node->queue($made, \@warm);
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE status = 'delivered'", 20),
	'twenty texts are sent to a provider in good health');
is(posts(@warm), join(' ', (1) x 20), 'each was POSTed once');

$node->behave('cut');
$node->queue($made, \@cut);
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state NOT IN ('queued', 'leased', 'sending')", $cuts + 20, 60 + $cuts / 5),
	"$cuts more, each read and then cut off, come to an end");
is(posts(@cut), join(' ', (1) x $cuts), 'the provider saw each of them once');
is(scalar($node->ledger(kind => 'post')), $cuts + 20, 'and no others');
is($node->psql("SELECT state, count(*) FROM omnimsg.outbox GROUP BY state ORDER BY state"), "sent|20\nunknown|$cuts",
	'what became of them is unknown');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE status = 'unknown'"), $cuts, 'the messages say so');
ok($node->poll("SELECT count(*) FROM omnimsg.audit_logs WHERE action = 'MESSAGE_DELIVERY_FAILED'", $cuts, 60 + $cuts),
	'and the audit, when nothing more was found out');

# nothing of it is taken up again, now that the provider would take it
$node->behave_well;
$node->queue($made, ['+15552009000']);
ok($node->poll("SELECT status FROM omnimsg.messages WHERE to_number = '+15552009000'", 'delivered'),
	'the provider is well again');
is(posts(@cut), join(' ', (1) x $cuts), 'and none of those is sent again');

done_testing;
