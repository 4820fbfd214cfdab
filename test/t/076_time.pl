# Clocks that are wrong and events in the wrong order: nothing is lost by it, nothing goes back, and what differs is told.
# The clock of the server itself stays right here; the relay's and the provider's do not.

use strict;
use warnings;

use JSON::PP qw(encode_json);
use Omnimsg;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time sleep);

my $node = Omnimsg->new;
my $simulator = $node->env('OMNIMSG_SIM_URL');
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $ten_years = 10 * 365 * 86400;

# number(N): a person's; each scenario has its own
sub number { return sprintf '+1555220%04d', 1000 + $_[0] }

sub consent
{
	return $node->psql("SELECT state FROM omnimsg.consents WHERE address = '$_[0]' AND channel = 'sms' AND scope = 'all'");
}

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization'");
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.optout_pull_interval', '0');

# ---- statuses before their message: the worker sees to them within half a minute, and when it starts ----

my $early = number(400);

$node->send(event_type => 'message.finalized', status => 'delivered', message_id => 'out-early', from => $did, to => $early, text => 'x');
$node->send(event_type => 'message.sent', message_id => 'out-early', from => $did, to => $early, text => 'x');
is($node->psql("SELECT count(*) FROM omnimsg.events WHERE outcome = 'pending' AND external_message_id = 'out-early'"), 2, 'statuses without a message wait');
$node->psql(<<SQL);
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, external_message_id, provider, created_at)
	VALUES ('$organization', omnimsg.uuid7(), 'outbound', 'sms', '$did', '$early', 'hi', 'sending', 'out-early', 'telnyx', now());
SELECT pg_terminate_backend(pid) FROM omnimsg_worker_status();
SQL

# ---- the provider's clock ----

my $clocks = "SELECT finding || ': ' || detail FROM omnimsg_health() WHERE finding ~ 'clocks'";

for my $offset (0, 29, 33, -33, -3600, $ten_years, -$ten_years, -1)
{
	my $answer = $node->request(POST => '/sim/date-offset', url => $simulator, body => "$offset");

	$answer->{status} == 200 or die "the simulator refused: $answer->{raw}";
	# on a machine that is busy one answer may be slow, and another tells more
	ok($node->wait_until(sub {
		$node->psql('SELECT omnimsg_pull_optouts()');
		sleep 0.2;
		return $node->psql("SELECT abs(extract(epoch FROM provider_clock_offset) - $offset) < 1 FROM omnimsg_worker_status()") eq 't';
	}), "a provider's clock that is $offset s ahead shows, within a second");
	my $found = $node->psql($clocks);

	if (abs $offset < 30) { is($found, '', 'which is not worth telling') }
	else
	{
		my $word = $offset > 0 ? 'ahead' : 'behind';

		like($found, qr/^the clocks of the provider and of this server differ: the provider's is \d+ s $word$/, 'and omnimsg_health tells it');
	}
}

# An answer that takes long says little of the time at which it was written.
$node->behave('delay:on=optouts,ms=3000,times=1');
$node->psql('SELECT omnimsg_pull_optouts()');
$node->poll("SELECT count(*) FROM omnimsg.optout_pulls WHERE due_at = '-infinity' OR finished_at IS NULL", 0);
is($node->psql('SELECT abs(extract(epoch FROM provider_clock_offset) + 1) < 1 FROM omnimsg_worker_status()'), 't',
	'a slow answer does not blur what a quick one has told');

# ---- events from wrong clocks ----

# A STOP counts from when the provider says, unless that is too far ahead of the signature; and a STOP that comes after
# it counts whatever an earlier START said of its time.
my $n = 0;

for my $offset (1, -1, 60, -60, 280, -280, 400, -400, 86400, -86400, $ten_years, -$ten_years)
{
	my $person = number(++$n);
	my $time = sprintf 'now%+d', $offset;
	my $expected = $offset > 300 ? 0 : $offset;

	is($node->send(from => $person, to => $did, text => 'STOP', received_at => $time, occurred_at => $time)->{http}, 200,
		"a STOP that was written $offset s ahead is taken");
	is($node->psql("SELECT abs(extract(epoch FROM occurred_at - created_at) - $expected) < 10
		FROM omnimsg.opt_out_requests WHERE address = '$person' AND channel = 'sms'"), 't',
		$offset > 300 ? 'and counts from when it was signed' : 'and counts from when it was written');
	is(consent($person), 'opted_out', 'and opts out');

	my $other = number(100 + $n);

	$node->send(from => $other, to => $did, text => 'START', received_at => $time, occurred_at => $time);
	$node->send(from => $other, to => $did, text => 'STOP', received_at => 'now+1', occurred_at => 'now+1');
	is(consent($other), $offset > 1 && $offset <= 300 ? 'opted_in' : 'opted_out', 'a STOP after a START of that time is the later one')
		if $offset < 2 || $offset > 300;
}
is($node->psql("SELECT max(occurred_at) < now() + interval '300 s' FROM omnimsg.opt_out_requests"), 't', 'nothing that is recorded lies in the future');
is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number IN ('" . join("', '", map { number($_) } 8, 10, 12) . "')"), 0, 'a STOP that is older than five minutes is not confirmed');
is($node->psql("SELECT bool_and(o.expires_at <= o.created_at + interval '300 s') FROM omnimsg.outbox o WHERE o.kind = 'opt_out_confirmation'"), 't',
	'and no confirmation may leave later than five minutes after it came');

# ---- the end of 32 bits ----

my %seconds = (2147483647 => '2038-01-19T03:14:07Z', 2147483648 => '2038-01-19T03:14:08Z', 4102444800 => '2100-01-01T00:00:00Z');

for my $second (sort keys %seconds)
{
	my $person = number(200 + ++$n);
	my $body = encode_json({ data => { event_type => 'message.received', id => "y2038-$second", payload => { id => "y2038-$second",
		received_at => $seconds{$second}, text => 'STOP', from => { phone_number => $person }, to => [{ phone_number => $did }] } } });

	is($node->psql("SELECT outcome FROM omnimsg_ingest('telnyx', convert_to('$body', 'UTF8'), NULL, '$second')"), 'applied', "a STOP of $seconds{$second}");
	is($node->psql("SELECT q.occurred_at = '$seconds{$second}' AND e.signed_at = '$seconds{$second}' FROM omnimsg.opt_out_requests q, omnimsg.events e
		WHERE q.address = '$person' AND q.channel = 'sms' AND e.dedupe_key = 'received:y2038-$second'"), 't', 'keeps its time');
}

# ---- statuses in any order ----

my %rank = (queued => 0, sending => 1, sent => 2, delivered => 3);

for my $behaviour ('events-reversed', 'events-duplicated', 'delay:ms=700', 'ok')
{
	my @people = map { number(300 + ++$n) } 1 .. 3;

	$node->behave($behaviour);
	$node->queue($made, \@people);

	# what a reader sees while it goes on
	my $seen = -1;
	my $back = 0;
	my $list = "'" . join("', '", @people) . "'";
	my $end = time + 60;

	while (time < $end)
	{
		my $now = 0;

		$now += $rank{$_} // 9 for split /\n/, $node->psql("SELECT status FROM omnimsg.messages WHERE to_number IN ($list)");
		$back ||= $now < $seen;
		$seen = $now;
		last if $now == 9;
		sleep 0.02;
	}
	is($seen, 9, "$behaviour: all are delivered");
	ok(!$back, 'and no status went back');
	is($node->psql("SELECT count(*) FROM omnimsg.events WHERE outcome = 'pending' AND external_message_id <> 'out-early'"), 0,
		'nothing waits for its message any more');
}
$node->behave_well;

# A status that comes late, with whatever time.
my $id = $node->psql("SELECT external_message_id FROM omnimsg.messages WHERE status = 'delivered' LIMIT 1");
my $to = $node->psql("SELECT to_number FROM omnimsg.messages WHERE external_message_id = '$id'");

for my $offset (0, 3600, -3600, $ten_years, -$ten_years)
{
	my $time = sprintf 'now%+d', $offset;

	is($node->send(event_type => 'message.sent', message_id => $id, from => $did, to => $to, text => 'x', received_at => $time, occurred_at => $time)->{http},
		200, "message.sent comes once more, $offset s ahead");
	is($node->psql("SELECT status, coalesce(sent_at, now()) <= now() + interval '300 s' FROM omnimsg.messages
		WHERE external_message_id = '$id'"), 'delivered|t', 'and changes nothing');
}
ok($node->poll("SELECT status FROM omnimsg.messages WHERE external_message_id = 'out-early'", 'delivered', 60), 'the statuses that came before their message are applied');
is($node->psql("SELECT count(*) FROM omnimsg.events WHERE outcome = 'pending'"), 0, 'both of them');

# ---- the relay's clock ----

# relay_clock(SECONDS): the relay runs with a clock so much ahead
sub relay_clock
{
	my ($seconds) = @_;
	my ($library) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';

	$node->kill_relay('TERM');
	local $node->{env} = { %{ $node->{env} }, $seconds ? (OMNIMSG_RELAY_PRELOAD => $library, FAKETIME => sprintf('%+d', $seconds)) : () };
	$node->start;
	return;
}

for my $offset (290, -290)
{
	my $person = number(500 + ++$n);

	relay_clock($offset);
	is($node->send(from => $person, to => $did, text => 'STOP')->{http}, 200, "a relay whose clock is $offset s ahead takes a STOP");
	is(consent($person), 'opted_out', 'which counts');
}
for my $offset (310, -$ten_years)
{
	my $person = number(500 + ++$n);

	relay_clock($offset);
	is($node->send(from => $person, to => $did, text => 'STOP', via => $simulator)->{http}, 401, "one whose clock is $offset s ahead takes it for a replay");
	is(consent($person), '', 'and it does not count');
	relay_clock(0);
	# a delivery of which the provider's last attempt is still to come has not failed: ask until it has
	my $brought = $node->wait_until(sub {
		$node->psql("SELECT omnimsg_backfill(now() - interval '10 minutes')");
		$node->poll("SELECT count(*) FROM omnimsg.backfills WHERE finished_at IS NULL OR asked_since IS NOT NULL", 0) or return 0;
		return consent($person) eq 'opted_out';
	}, 60);
	ok($brought, 'when its clock is right again, a backfill brings what was lost');
}
is($node->psql('SELECT bool_and(is_conserved) FROM omnimsg.conservation'), 't', 'the books are balanced');

open my $log, '<', $node->dir . '/log/postgres.log' or die "postgres.log: $!";
# but for the limits that the relay sets
is(scalar(grep { /\bPANIC\b|TRAP|\bERROR\b/ && !/canceling statement due to (?:statement|lock) timeout/ } <$log>), 0, 'and the server met no error');

done_testing;
