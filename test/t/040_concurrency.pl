# Many at once: one effect for each event, no deadlock, and consent that does not care for order.

use strict;
use warnings;

use List::Util qw(shuffle);
use Omnimsg;
use POSIX ();
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));

diag("seed $seed");
srand($seed);

# runs a list of calls of the simulator at the same time; their exit codes
sub at_once
{
	my (@calls) = @_;
	my @pids;

	for my $call (@calls)
	{
		my $pid = fork // die $!;

		if ($pid == 0)
		{
			open STDOUT, '>', '/dev/null';
			exec $node->simulator, 'send', '--webhook-url',
				$node->env('OMNIMSG_RELAY_URL') . '/webhooks/telnyx', '--key-file',
				$node->env('OMNIMSG_SIGNING_KEY_FILE'), @$call
				or POSIX::_exit(127);
		}
		push @pids, $pid;
	}
	my @status = map { waitpid $_, 0; $? >> 8 } @pids;

	$node->applied;
	return @status;
}

# five deliveries of one event
my @same = ('--from', '+15552000101', '--to', $did, '--text', 'STOP', '--message-id', 'five-1', '--event-id', 'five-e',
	'--retry-backoff', '100,200');
is(join(' ', at_once(map { [@same] } 1 .. 5)), '0 0 0 0 0', 'five concurrent deliveries of one STOP are all answered 200');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE direction = 'inbound'"), 1, 'they leave one message');
is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE channel = 'sms'"), 1, 'one request');
ok($node->poll("SELECT status FROM omnimsg.messages WHERE direction = 'outbound'", 'delivered'), 'and one reply');
is($node->psql('SELECT count(*) FROM omnimsg.outbox'), 1, 'no second one is queued');
is(scalar($node->ledger(kind => 'post')), 1, 'and the provider was asked to send one');

# somebody's open transaction on the account
my $person = '+15552000177';
my $account = "SELECT sms_consent, last_contact_at IS NOT NULL FROM omnimsg.collection_accounts WHERE name = 'Dee'";
my $agent = $node->session;
$node->psql("INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	VALUES ('$organization', 'Dee', '$person')");
$agent->query('BEGIN');
$agent->query("SELECT 1 FROM omnimsg.collection_accounts WHERE name = 'Dee' FOR UPDATE");
is($node->send(from => $person, to => $did, text => 'STOP')->{http}, 200,
	'a STOP is answered 200 while an agent holds the account');
is($node->psql("SELECT string_agg(state, ' ') FROM omnimsg.consents WHERE address = '$person'"), 'opted_out opted_out',
	'and holds at once');
ok($node->poll("SELECT status FROM omnimsg.messages WHERE direction = 'outbound' AND to_number = '$person'", 'delivered'),
	'and is confirmed');
is($node->psql($account), '|f', 'only the account does not know yet');
$agent->query('COMMIT');
# what became of it is looked at last, for the worker may take its time

# two batches with the same events in opposite order
$node->psql(<<"SQL");
CREATE FUNCTION batch(round int, backwards boolean) RETURNS bytea[] LANGUAGE sql AS \$\$
	SELECT array_agg(convert_to(json_build_object('data', json_build_object('event_type', 'message.received', 'id', 'r' || round || '-' || i,
			'payload', json_build_object('id', 'r' || round || '-' || i, 'text', CASE i % 3 WHEN 0 THEN 'STOP' WHEN 1 THEN 'START' ELSE 'Hi' END,
				'from', json_build_object('phone_number', '+155530000' || (10 + i % 20)),
				'to', json_build_array(json_build_object('phone_number', '$did')))))::text, 'UTF8')
			ORDER BY CASE WHEN backwards THEN -i ELSE i END)
	  FROM generate_series(1, 64) i
\$\$;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	SELECT '$organization', 'account ' || i, '+155530000' || (10 + i % 20) FROM generate_series(1, 40) i;
SQL
my ($one, $two) = ($node->session, $node->session);
my $failed = 0;
for my $round (1 .. 20)
{
	my $sql = "SELECT string_agg(DISTINCT outcome, ' ') FROM omnimsg_ingest_batch(array_fill('telnyx'::text, '{64}'), batch($round, %s));";

	$one->begin(sprintf $sql, 'false');
	$two->begin(sprintf $sql, 'true');
	my $outcomes = join ' ', sort split ' ', $one->result . ' ' . $two->result;
	$failed++, diag($outcomes) if $outcomes !~ /\Aapplied (applied )?(duplicate )?duplicate\z/;
}
is($failed, 0, 'two concurrent batches with the same 64 events in opposite order both succeed, twenty times');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE external_message_id ~ '^r'"), 20 * 64,
	'and every event has one message');

# STOP and START of ten people, in any order, with repetitions, from eight senders
my (%model, @texts);
for my $n (1 .. 200)
{
	my $person = '+1555400001' . int(rand(10));
	my $word = rand() < 0.5 ? 'STOP' : 'START';
	my $second = int(rand(40));
	my $at = sprintf '2026-05-15T18:%02d:%02d.000+00:00', $second / 60, $second % 60;

	push @texts, { from => $person, to => $did, text => $word, message_id => "any-$n", received_at => $at };
	my $last = $model{$person} //= [ -1, '' ];
	$model{$person} = [ $second, $word ]
		if $second > $last->[0] || ($second == $last->[0] && $word eq 'STOP');
}
my @deliveries = shuffle(@texts, grep { rand() < 0.5 } @texts);
my @files;
for my $n (0 .. 7)
{
	my $file = $node->dir . "/texts-$n.jsonl";

	open my $handle, '>', $file or die "$file: $!";
	for (my $i = $n; $i < @deliveries; $i += 8)
	{
		my $text = $deliveries[$i];

		print {$handle} '{' . join(',', map { qq("$_":"$text->{$_}") } sort keys %$text) . "}\n";
	}
	close $handle;
	push @files, $file;
}
is(join(' ', at_once(map { [ '--file', $_, '--attempts', 10, '--retry-backoff', '100,200' ] } @files)), '0 0 0 0 0 0 0 0',
	scalar(@deliveries) . ' deliveries of STOP and START by eight senders are all answered 200');
ok($node->poll('SELECT count(*) FROM omnimsg.consent_repairs', 0), 'nothing waits to be folded');
my %wrong;
for my $person (sort keys %model)
{
	my $expected = $model{$person}[1] eq 'STOP' ? 'opted_out' : 'opted_in';
	my $found = $node->psql("SELECT state FROM omnimsg.consents WHERE channel = 'sms' AND address = '$person'");

	$wrong{$person} = "$found, not $expected" if $found ne $expected;
}
is_deeply(\%wrong, {}, 'and end in the state that the times of the texts say, a tie being STOP');

# the account that the agent held
ok($node->poll($account, 'f|t', 70), 'once the agent is done, the worker brings it up to date within a minute');
ok($node->poll('SELECT count(*) FROM omnimsg.account_repairs', 0), 'nothing is left to repair');

done_testing;
