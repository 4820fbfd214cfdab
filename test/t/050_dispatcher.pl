# What the provider answers, and what becomes of a text then: sent, sent once more, or never again.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};

# number(N): a person's; each scenario has its own
sub number { return sprintf '+1555200%04d', 1000 + $_[0] }

# posts(NUMBER): how often the provider was asked to send something there
sub posts { my ($to) = @_; return scalar $node->ledger(kind => 'post', to => $to) }

# accepted(NUMBER): how many texts the provider took for it
sub accepted { my ($to) = @_; return scalar grep { $_->{accepted} } $node->ledger(kind => 'post', to => $to) }

# state(NUMBER): a query for what the outbox and the message say of the latest text to it
sub state
{
	return <<SQL;
SELECT o.state || ' ' || m.status FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
 WHERE m.to_number = '$_[0]' ORDER BY o.id DESC LIMIT 1
SQL
}

sub last_error
{
	return "SELECT o.last_error FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
		WHERE m.to_number = '$_[0]' ORDER BY o.id DESC LIMIT 1";
}

sub text
{
	my ($from, $text) = @_;

	return $node->send(from => $from, to => $did, text => $text)->{http};
}

is($node->psql('SELECT finding FROM omnimsg_health() ORDER BY 1'), "provider accounts accept any key\nthe worker may speak to this machine, and without TLS",
	'a healthy server has no findings but of its key, and of what lets it reach the simulator');
ok($node->poll('SELECT pid IS NOT NULL, state, in_flight, sent FROM omnimsg_worker_status()', 't|idle|0|0'),
	'the worker runs and has nothing to do');

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization'");
$node->setting('omnimsg.request_timeout', '6s');	# so that whoever answers has done so, however slow the machine
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.reconcile_after', '500ms');

# ---- one text for each answer; all at once ----

# behaviour => [outbox and message afterwards, POSTs, what it is called]
my @answers = (
	['ok' => 'sent delivered', 1, 'a text is accepted, sent and delivered'],
	['429:retry_after=1' => 'sent delivered', 2, '429: the text is sent again later'],
	['503:json' => 'sent delivered', 2, '503 with the API\'s errors: the text is sent again later'],
	['503' => 'unknown unknown', 1, '503 without a body may come from a proxy: unknown'],
	['500' => 'unknown unknown', 1, '500: unknown'],
	['cut' => 'unknown unknown', 1, 'no answer, the connection closes: unknown'],
	['half' => 'sent delivered', 1, 'an answer of which half comes: its webhooks tell that it was accepted'],
	['garbage' => 'sent delivered', 1, '200 with HTML: likewise'],
	['noid' => 'sent delivered', 1, '200 without an id: likewise'],
	['silent:ms=20000' => 'unknown unknown', 1, 'no answer in time: unknown'],
	['redirect' => 'unknown unknown', 1, 'a redirect is not followed'],
	['40310' => 'failed failed', 1, 'a wrong number has failed'],
	['error:status=403,code=40013' => 'failed failed', 1, 'any other refusal has failed'],
	['failed' => 'sent failed', 1, 'what was accepted and could not be delivered has failed'],
	['unconfirmed' => 'sent sent', 1, 'what nobody confirms stays sent'],
	['events-reversed' => 'sent delivered', 1, 'finalized before sent: delivered'],
	['events-duplicated' => 'sent delivered', 1, 'each event twice: delivered'],
	['delay:ms=700' => 'sent delivered', 1, 'events before the answer, and so before the id: delivered'],
	['no-events' => 'sent sent', 1, 'nothing more heard: sent'],
);
my %of = map { $answers[$_][0] => number($_) } 0 .. $#answers;

for my $answer (@answers)
{
	my $name = $answer->[0];

	# more than once, so that a second POST would meet it too; but for those that are to be sent again
	my $times = $answer->[2] > 1 ? 1 : 9;
	$node->behave($name . ($name =~ /:/ ? ',' : ':') . "to=$of{$name},times=$times");
}
$node->queue($made, [map { $of{ $_->[0] } } @answers]);
for my $answer (@answers)
{
	my ($name, $state, $posts, $title) = @$answer;

	ok($node->poll(state($of{$name}), $state), $title);
	is(posts($of{$name}), $posts, $posts == 1 ? 'and was POSTed once' : 'and was POSTed twice');
	is(accepted($of{$name}), 1, 'and accepted once') if $posts > 1;
}
is($node->psql("SELECT m.error_code FROM omnimsg.messages m WHERE m.to_number = '$of{failed}'"), '40008',
	'the provider\'s code of a failure is kept');
ok($node->poll(<<SQL, 'message.finalized:applied message.sent:applied'), 'events that came too early were applied after all');
SELECT string_agg(e.event_type || ':' || e.outcome, ' ' ORDER BY e.event_type)
  FROM omnimsg.events e JOIN omnimsg.messages m ON m.id = e.message_id
 WHERE m.to_number = '$of{'delay:ms=700'}'
SQL
is($node->psql(<<SQL), 'MESSAGE_DELIVERED:1 MESSAGE_SENT:1', 'events that came twice are audited once');
SELECT string_agg(w.action || ':' || w.n, ' ' ORDER BY w.action)
  FROM (SELECT a.action, count(*) AS n FROM omnimsg.audit_logs a JOIN omnimsg.messages m ON m.id = a.resource_id
		 WHERE m.to_number = '$of{'events-duplicated'}' GROUP BY a.action) AS w
SQL
ok($node->poll("SELECT count(*) FROM omnimsg_health() WHERE finding = 'the fate of messages is unknown'", 1),
	'omnimsg_health tells of texts whose fate is unknown in the end');
ok($node->poll('SELECT unknown FROM omnimsg_worker_status()',
	scalar(grep { $_->[1] =~ /^unknown/ || $_->[0] =~ /^(half|garbage|noid)$/ } @answers)),
	'and omnimsg_worker_status counts the answers that told nothing');

# ---- a status never goes back ----

my $id = $node->psql("SELECT m.external_message_id FROM omnimsg.messages m WHERE m.to_number = '$of{ok}'");

for my $late (['message.sent', 'sent'], ['message.finalized', 'delivery_failed'])
{
	is($node->send(event_type => $late->[0], status => $late->[1], message_id => $id, from => $did, to => $of{ok},
		text => 'late')->{http}, 200, "a late $late->[0] is answered 200");
	is($node->psql(state($of{ok})), 'sent delivered', 'and takes nothing back');
}

# ---- Retry-After is obeyed ----

my $patient = number(30);

$node->behave("429:retry_after=1200,to=$patient,times=1");
$node->queue($made, [$patient]);
ok($node->poll("SELECT o.state || ' ' || (o.next_attempt_at > o.created_at + interval '1199 seconds')
	FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$patient'",
	'queued true'), 'what the provider wants later waits as long as it says');

# ---- a block by the provider ----

my $blocked = number(31);

$node->behave("40300:to=$blocked,times=1");
$node->queue($made, [$blocked]);
ok($node->poll(state($blocked), 'suppressed blocked'), '40300 with STOP: the text is blocked');
is($node->psql("SELECT request_type, our_address, scope FROM omnimsg.opt_out_requests
	WHERE address = '$blocked' AND source = 'provider_block' AND channel = 'sms'"), "opt_out|$did|all",
	'it is recorded as an opt-out that the provider knew of');
is($node->psql("SELECT state, provider_blocked FROM omnimsg.consents WHERE address = '$blocked' AND channel = 'sms'"),
	'opted_out|t', 'the address is opted out and blocked');
$node->queue($made, [$blocked]);
ok($node->poll(state($blocked), 'suppressed blocked'), 'the next text is not sent');
$node->psql("SELECT omnimsg_record_consent('$organization', 'sms', '$blocked', 'opt_in', 'agent', 'called us')");
$node->queue($made, [$blocked]);
ok($node->poll("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number = '$blocked' AND o.last_error = 'blocked by the provider'", 1),
	'nor after somebody else opted the person in: the provider would refuse');
is(posts($blocked), 1, 'the provider was asked once only');
is(text($blocked, 'START'), 200, 'START of the person');
ok($node->poll(state($blocked), 'sent delivered'), 'opens the way again');
is($node->psql("SELECT provider_blocked FROM omnimsg.consents WHERE address = '$blocked' AND channel = 'sms'"), 'f',
	'the block is lifted');

my $later = number(32);

$node->behave("blocked-later:to=$later,times=1");
$node->queue($made, [$later]);
ok($node->poll(state($later), 'sent blocked'), 'a block that comes after the acceptance counts, too');
is($node->psql("SELECT state, provider_blocked FROM omnimsg.consents WHERE address = '$later' AND channel = 'sms'"),
	'opted_out|t', 'and opts the address out');

# ---- nobody there ----

my $early = number(33);

$node->kill_simulator;
is(text($early, 'STOP'), 200, 'STOP is taken while the provider cannot be reached');
ok($node->poll("SELECT o.attempts > 1 FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number = '$early'", 't'), 'its confirmation is tried more than once');
like($node->psql(state($early)), qr/^(queued|leased|sending) (queued|sending)$/, 'and waits on');
$node->start;
ok($node->poll(state($early), 'sent delivered'), 'once the provider is back it is delivered');
is(posts($early), 1, 'once');

# ---- the key ----

my $secret = $node->dir . '/secrets/simulator';

# into the file as it stands, as an editor would
sub write_secret
{
	open my $handle, '>', $secret or die "$secret: $!";
	print {$handle} @_;
	close $handle or die "$secret: $!";
	return;
}

my ($keyless, $public) = (number(34), number(35));

rename $secret, "$secret.away" or die "rename: $!";
$node->queue($made, [$keyless]);
ok($node->poll(last_error($keyless), 'the secret does not exist in omnimsg.secrets_dir'),
	'without the file of the key nothing is sent, and last_error says why');
rename "$secret.away", $secret or die "rename: $!";
ok($node->poll(state($keyless), 'sent delivered'), 'with it the text is sent');
# one that is gone takes its key with it, so nothing is known of this one either
rename $secret, "$secret.away" or die "rename: $!";
$node->queue($made, [$public]);
ok($node->poll(last_error($public), 'the secret does not exist in omnimsg.secrets_dir'), 'a key that is taken away is not used on');
chmod 0644, "$secret.away" or die "chmod: $!";
rename "$secret.away", $secret or die "rename: $!";
ok($node->poll(last_error($public), 'the secret can be read by others: its mode must be 0600'),
	'a key that others can read is not used');
is(posts($public), 0, 'the provider was not asked');
chmod 0600, $secret or die "chmod: $!";
ok($node->poll(state($public), 'sent delivered'), 'until its mode is right');

# what is wrong with a file that was right before: the key of then is used on
my $key = do { open my $handle, '<', $secret or die "$secret: $!"; local $/; <$handle> };
my $spoilt = 60;

for my $wrong (['half of a key', sub { write_secret(substr $key, 0, 7) }], ['an empty file', sub { write_secret('') }],
	['blanks', sub { write_secret(" \n\n") }], ['a key of two lines', sub { write_secret("KEY-of\nanother\n") }],
	['a key that others can read', sub { write_secret("another\n"); chmod 0640, $secret }],
	['a link', sub { rename $secret, "$secret.away"; symlink "$secret.away", $secret }])
{
	my $to = number($spoilt++);

	$wrong->[1]->();
	$node->queue($made, [$to]);
	ok($node->poll(state($to), 'sent delivered'), "$wrong->[0] in its place: the key that was read before is used on");
}
unlink $secret;
rename "$secret.away", $secret or die "rename: $!";
write_secret($key);
chmod 0600, $secret or die "chmod: $!";

# ---- what is late, and what was taken back ----

my ($expired, $back, $asked) = map { number($_) } 36 .. 38;

$node->queue($made, [$expired], expires => '-1 second');
ok($node->poll(state($expired), 'expired expired'), 'an expired text is closed');
is(posts($expired), 0, 'and not sent');

$node->setting('omnimsg.dispatch', 'off');
ok($node->poll('SELECT state FROM omnimsg_worker_status()', 'off'), 'omnimsg.dispatch = off stops the worker');
$node->queue($made, [$asked]);
is(text($asked, 'STOP'), 200, 'STOP after a text was queued');
is(text($back, 'STOP'), 200, 'STOP of somebody else');
is(text($back, 'START'), 200, 'who then says START');
is($node->psql("SELECT count(*) FROM omnimsg.outbox o WHERE o.state = 'queued' AND o.next_attempt_at <= now()"), 4,
	'four texts wait');
my $findings = $node->psql('SELECT finding FROM omnimsg_health()');

like($findings, qr/^omnimsg.dispatch is off$/m, 'omnimsg_health says that nothing is sent');
$node->psql("UPDATE omnimsg.outbox SET next_attempt_at = now() - interval '2 minutes'
	WHERE state = 'queued' AND kind <> 'notification'");
like($node->psql('SELECT finding FROM omnimsg_health()'), qr/^messages wait longer than a minute$/m,
	'and that texts wait');
$node->setting('omnimsg.dispatch', 'on');
ok($node->poll("SELECT string_agg(o.kind || ' ' || o.state || ' ' || coalesce(o.last_error, ''), ', ' ORDER BY o.id)
	FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$back'",
	'opt_out_confirmation suppressed no longer decides the consent, opt_in_confirmation sent '),
	'the STOP that was taken back is not confirmed, the START is');
ok($node->poll("SELECT string_agg(o.kind || ' ' || o.state || ' ' || coalesce(o.last_error, ''), ', ' ORDER BY o.id)
	FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$asked'",
	'notification suppressed opted out, opt_out_confirmation sent '),
	'the text that was queued before the STOP is not sent, the confirmation is');
is(posts($back), 1, 'one POST for the one');
is(posts($asked), 1, 'one POST for the other');
is($node->psql(<<SQL), 'AUTO_REPLY_SUPPRESSED,SEND_BLOCKED', 'both are in the audit');
SELECT string_agg(a.action, ',' ORDER BY a.action) FROM omnimsg.audit_logs a JOIN omnimsg.messages m ON m.id = a.resource_id
 WHERE m.to_number IN ('$back', '$asked') AND a.action IN ('AUTO_REPLY_SUPPRESSED', 'SEND_BLOCKED')
SQL

# ---- while a request hangs ----

my ($hanging, $quick) = (number(40), number(41));

$node->setting('omnimsg.request_timeout', '30s');
$node->setting('omnimsg.lease', '5s');
$node->setting('omnimsg.poll_interval', '60s');	# so that nothing but the request keeps the worker busy
$node->behave("silent:ms=60000,to=$hanging,times=1");
is(text($hanging, 'STOP'), 200, 'a request hangs');
ok($node->poll('SELECT state, in_flight FROM omnimsg_worker_status()', 'sending|1'), 'the worker waits for its answer');
is($node->psql("SELECT leased_until - created_at > interval '30 seconds' FROM omnimsg.outbox WHERE state = 'sending'"), 't',
	'with a lease that lasts longer than a request may, whatever its setting says');
is(text($quick, 'STOP'), 200, 'somebody else says STOP');
ok($node->poll(state($quick), 'sent delivered'), 'and is answered');
is($node->psql(state($hanging)), 'sending sending', 'while the first still hangs');
$node->behave_well;	# which lets it go
ok($node->poll(state($hanging), 'unknown unknown'), 'whose fate is unknown in the end');
is(posts($hanging), 1, 'and was POSTed once');

# ---- each organization has its own rate ----

my %other = (organization => '33333333-3333-7333-8333-333333333333', did => '+15552000200');
my @many = map { number(100 + $_) } 1 .. 40;
my @few = map { number(200 + $_) } 1 .. 3;

$node->psql(<<SQL);
INSERT INTO omnimsg.organizations (id, name, consent_policy) VALUES ('$other{organization}', 'Lake Fitness', 'implied');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	VALUES ('$other{did}', '$other{organization}', 'telnyx', '$made->{provider_account}');
SQL
$node->setting('omnimsg.rate_limit', 2);
$node->queue($made, \@many);
$node->queue(\%other, \@few);
my $left = "SELECT count(*) FROM omnimsg.outbox WHERE state = 'queued' AND next_attempt_at <= now() AND organization_id = ";

ok($node->poll("$left'$other{organization}'", 0), 'the few texts of one organization are sent');
cmp_ok($node->psql("$left'$organization'"), '>', 0, 'before the many of another, which go at their rate');
$node->setting('omnimsg.rate_limit', 100);
ok($node->poll("SELECT count(*) FROM omnimsg.messages WHERE status = 'delivered' AND to_number >= '$many[0]'", 43),
	'in the end all are delivered');
is(join(' ', map { posts($_) } @many, @few), join(' ', (1) x 43), 'each was POSTed once');

# ---- what omnimsg_health looks at besides ----

$node->psql(<<SQL);
UPDATE omnimsg.inbound_phone_numbers SET provider_account_id = NULL WHERE phone_number = '$other{did}';
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id) VALUES ('$did', '$other{organization}');
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status, created_at)
	VALUES ('$organization', omnimsg.uuid7(), 'inbound', 'sms', '$quick', '$did', 'received', '2039-01-01');
SELECT omnimsg_ingest('telnyx', 'no JSON');
SQL
$findings = $node->psql('SELECT finding FROM omnimsg_health()');
for my $finding ('numbers have no provider account', 'a number has several primary organizations',
	'omnimsg.messages_default has rows', 'dead letters are open')
{
	like($findings, qr/^\Q$finding\E$/m, "omnimsg_health says: $finding");
}
unlike($node->psql('SELECT detail FROM omnimsg_health()'), qr/\d{7}/, 'and masks the numbers');

# ---- the log ----

open my $log, '<', $node->dir . '/log/postgres.log' or die "postgres.log: $!";
my @lines = <$log>;

is(scalar(grep { /KEY-of-the-simulator/ } @lines), 0, 'the key is not in the server\'s log');
is(scalar(grep { /\bomnimsg dispatcher\b.*555200\d{4}/ } @lines), 0, 'and the worker writes no phone number into it');

done_testing;
