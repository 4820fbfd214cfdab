# An organization whose requests time out is given fewer slots than the others for as long as they want some, and all that it may
# have when it is alone.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $hanging = $node->seed;
my $healthy = { organization => '33333333-3333-7333-8333-333333333333', did => '+15553000001' };
my ($silent, $slow) = ('+15552001001', '+15552001002');
my $slots = 16;

$node->psql(<<"SQL");
INSERT INTO omnimsg.organizations (id, name, consent_policy) VALUES ('$healthy->{organization}', 'Other', 'implied');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	VALUES ('$healthy->{did}', '$healthy->{organization}', 'telnyx', '$hanging->{provider_account}');
UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$hanging->{organization}';
SQL
$node->setting('omnimsg.max_in_flight', $slots);
$node->setting('omnimsg.request_timeout', '2s');
$node->setting('omnimsg.reconcile_after', '1h');
$node->setting('omnimsg.poll_interval', '200ms');
$node->behave("silent:ms=60000,to=$silent");
$node->behave("delay:ms=500,to=$slow");

# look(): how many of one's requests are under way, how many have timed out, and how many texts wait of both
sub look
{
	return split /\|/, $node->psql(<<"SQL");
SELECT count(*) FILTER (WHERE state IN ('leased', 'sending') AND NOT ours), count(*) FILTER (WHERE state = 'unknown' AND NOT ours),
	   count(*) FILTER (WHERE state = 'queued' AND NOT ours), count(*) FILTER (WHERE state = 'queued' AND ours)
  FROM (SELECT o.state, o.organization_id = '$healthy->{organization}' AS ours FROM omnimsg.outbox o) AS o
SQL
}

$node->queue($hanging, [($silent) x 60]);
my ($held, $ended, $left, $waiting) = (0) x 4;
ok($node->wait_until(sub { ($held, $ended, $left) = look(); return $held == $slots / 2 }), 'one whose requests all hang gets half of the slots');

# as many as take longer than the requests that hang
$node->queue($healthy, [($slow) x 120]);
my ($looks, $most) = (0, 0);
$node->wait_until(sub {
	($held, $ended, $left, $waiting) = look();
	return 1 if !$waiting;
	return 0 if $ended < $slots / 2 || !$left;
	$looks++;
	$most = $held if $held > $most;
	return 0;
}, 60);
cmp_ok($looks, '>', 0, 'they time out while another one has texts that wait');
cmp_ok($most, '<=', 1, 'and from then on it has one request under way');

ok($node->wait_until(sub { ($held, $ended, $left) = look(); return $held == $slots / 2 }), 'half of the slots again, when nobody else wants them');
is($node->psql("SELECT count(*) FROM omnimsg.outbox WHERE organization_id = '$healthy->{organization}' AND state NOT IN ('queued', 'leased', 'sending', 'sent')"), 0,
	'nothing of the other one was lost');
# what hangs would be waited for
$node->psql("UPDATE omnimsg.outbox SET next_attempt_at = now() + interval '1 hour' WHERE state = 'queued'");

done_testing;
