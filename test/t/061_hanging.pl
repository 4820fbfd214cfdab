# An organization whose requests time out is given fewer slots than others, as long as those send, and all that it may have when it
# is alone.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $hanging = $node->seed;
my $healthy = { organization => '33333333-3333-7333-8333-333333333333', did => '+15553000001' };
my ($silent, $slow, $quick) = ('+15552001001', '+15552001002', '+15552001003');
my $slots = 16;

$node->psql(<<"SQL");
INSERT INTO omnimsg.organizations (id, name, consent_policy) VALUES ('$healthy->{organization}', 'Other', 'implied');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	VALUES ('$healthy->{did}', '$healthy->{organization}', 'telnyx', '$hanging->{provider_account}');
UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$hanging->{organization}';
SQL
$node->setting('omnimsg.max_in_flight', $slots);
$node->setting('omnimsg.request_timeout', '5s');
$node->setting('omnimsg.reconcile_after', '1h');
$node->setting('omnimsg.poll_interval', '200ms');
$node->behave("silent:ms=60000,to=$silent");
$node->behave("delay:ms=500,to=$slow");

# look(): of the one how many requests are under way, have timed out, and how many texts wait; of the other how many
# are under way, and wait
sub look
{
	return split /\|/, $node->psql(<<"SQL");
SELECT count(*) FILTER (WHERE state IN ('leased', 'sending') AND NOT ours), count(*) FILTER (WHERE state = 'unknown' AND NOT ours),
	   count(*) FILTER (WHERE state = 'queued' AND NOT ours), count(*) FILTER (WHERE state IN ('leased', 'sending') AND ours),
	   count(*) FILTER (WHERE state = 'queued' AND ours)
  FROM (SELECT o.state, o.organization_id = '$healthy->{organization}' AS ours FROM omnimsg.outbox o) AS o
SQL
}

# put_off(): what hangs and has not been sent yet
sub put_off
{
	$node->psql("UPDATE omnimsg.outbox o SET next_attempt_at = now() + interval '1 hour' FROM omnimsg.messages m WHERE m.id = o.message_id
		AND m.to_number = '$silent' AND o.state = 'queued'");
	return;
}

$node->queue($hanging, [($silent) x 60]);
my ($held, $ended, $left, $others, $waiting) = (0) x 5;
ok($node->wait_until(sub { ($held, $ended) = look(); return $held == $slots / 2 && $ended > 0 }), 'one whose requests all hang gets half of the slots while it is alone');

# as many as take longer than the requests that hang
$node->queue($healthy, [($slow) x 250]);
ok($node->wait_until(sub { ($held, $ended, $left, $others) = look(); return $others > 0 }), 'another one begins to send');
my $over = $ended + $held;
my ($looks, $most) = (0, 0);
$node->wait_until(sub {
	($held, $ended, $left, $others, $waiting) = look();
	return 1 if !$waiting;
	return 0 if $ended < $over || !$left;
	$looks++;
	$most = $held if $held > $most;
	return 0;
}, 120);
cmp_ok($looks, '>', 0, 'the requests of the one time out while the other one has texts that wait');
cmp_ok($most, '<=', 1, 'and from then on it has one request under way');

put_off();
$node->queue($healthy, [($slow) x 300]);
$node->queue($hanging, [($quick) x 40]);
$node->queue($hanging, [($slow) x 40]);
ok($node->wait_until(sub { ($held, $ended, $left, $others, $waiting) = look(); return $waiting && $held > 2 }, 60), 'when it is answered it has more again, beside the other one');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE organization_id = '$healthy->{organization}' AND state <> 'sent'", 0, 120), 'nothing of which was lost');

done_testing;
