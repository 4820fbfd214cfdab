# How often a person may be written to, and what the dispatcher finds when it asks the gates again: an item
# that was allowed when it was queued is given up or put off, and the provider never hears of it.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $numbers = 0;

sub somebody { return sprintf '+1212555%04d', 100 + $numbers++ }

sub posts { my ($to) = @_; return scalar $node->ledger(kind => 'post', to => $to) }

# an opt-in, so that consent is nothing to think of
sub willing
{
	my @addresses = map { somebody() } 1 .. $_[0] // 1;

	$node->psql(join '', map { "SELECT omnimsg_record_consent('$organization', 'sms', '$_', 'opt_in', 'web',
		occurred_at => now() - interval '1 hour');\n" } @addresses);
	return wantarray ? @addresses : $addresses[0];
}

sub send_text
{
	my ($address, %options) = @_;
	my $kind = $options{kind} // 'notification';

	return $node->psql("SELECT omnimsg_send('$organization', '$address', 'Your appointment is tomorrow', kind => '$kind')");
}

# dispatch(on or off): waits until the worker has understood
sub dispatch
{
	my ($state) = @_;

	$node->setting('omnimsg.dispatch', $state);
	$node->poll("SELECT state = 'off' FROM omnimsg_worker_status()", $state eq 'off' ? 't' : 'f') or die 'the worker does not obey';
	return;
}

$node->setting('omnimsg.poll_interval', '200ms');
dispatch('off');
$node->psql("INSERT INTO omnimsg.send_limits (organization_id, opens, closes) VALUES ('$organization', '00:00', '24:00')");

# ---- what counts against a limit ----

# message(ADDRESS, STATUS, AGO, ...): an outbound message of that age
sub message
{
	my ($address, $status, $ago, %options) = @_;
	my $sent = exists $options{sent} ? $options{sent} : $status =~ /sent|delivered/ ? $ago : undef;

	$sent = defined $sent ? "now() - interval '$sent'" : 'NULL';
	my $channel = $options{channel} // 'sms';
	my $replies = $options{replies} ? 'omnimsg.uuid7()' : 'NULL';
	my $owner = $options{organization} // $organization;
	my $direction = $options{direction} // 'outbound';
	my ($from, $to) = $direction eq 'outbound' ? ($did, $address) : ($address, $did);

	$node->psql(<<SQL);
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status, in_reply_to, sent_at, created_at)
	VALUES ('$owner', omnimsg.uuid7(), '$direction', '$channel', '$from', '$to', '$status', $replies, $sent, now() - interval '$ago')
SQL
	return;
}

# frequency(ADDRESS, KIND): what the gate says, with the time until the limit ends, in minutes: tens of them, for the test takes its time
sub frequency
{
	my ($address, $kind) = @_;

	return $node->psql(<<SQL);
SELECT concat_ws(' ', verdict, reason, 'for ' || round(extract(epoch FROM not_before - now()) / 600) * 10 || ' min')
  FROM omnimsg_explain_send('$organization', 'sms', '$address', kind => '@{[$kind // 'notification']}') WHERE gate = 'frequency'
SQL
}

my $other = '33333333-3333-7333-8333-333333333333';

$node->psql("INSERT INTO omnimsg.organizations (id, name) VALUES ('$other', 'Lake Fitness');
	UPDATE omnimsg.send_limits SET per_day = 1");

# one message, and whether it counts against one a day
my @counted = (
	['a delivered one', ['delivered', '1 hour'], 1],
	['one that was sent', ['sent', '1 hour'], 1],
	['one of unknown fate', ['unknown', '1 hour'], 1],
	['one that is being sent', ['sending', '1 hour'], 1],
	['one that waits', ['queued', '1 hour'], 1],
	['one that failed', ['failed', '1 hour'], 0],
	['one that was blocked', ['blocked', '1 hour'], 0],
	['one that expired', ['expired', '1 hour'], 0],
	['an automatic reply', ['sent', '1 hour', replies => 1], 0],
	['one of theirs', ['received', '1 hour', direction => 'inbound'], 0],
	['an e-mail', ['sent', '1 hour', channel => 'email'], 0],
	['one of another organization', ['sent', '1 hour', organization => $other], 0],
	['one of 23 hours and 59 minutes ago', ['sent', '23 hours 59 minutes'], 1],
	['one of 24 hours ago', ['sent', '24 hours'], 0],
	['one that waited long and was sent an hour ago', ['sent', '26 hours', sent => '1 hour'], 1],
);

for my $row (@counted)
{
	my ($what, $message, $counts) = @$row;
	my ($status, $ago, %options) = @$message;
	my $address = somebody();

	message($address, $status, $ago, %options);
	like(frequency($address), $counts ? qr/^block no more than 1 in 24 hours for \d+ min$/ : qr/^allow$/,
		"$what " . ($counts ? 'counts' : 'does not count'));
}
{
	my $address = somebody();

	message($address, 'sent', "$_ hours") for 2, 5, 20;
	is(frequency($address), 'block no more than 1 in 24 hours for 1320 min', 'one a day: there is room a day after the last one');
	$node->psql('UPDATE omnimsg.send_limits SET per_day = 2');
	is(frequency($address), 'block no more than 2 in 24 hours for 1140 min', 'two a day: after the last but one');
	$node->psql('UPDATE omnimsg.send_limits SET per_day = 3');
	is(frequency($address), 'block no more than 3 in 24 hours for 240 min', 'three a day: after the third');
	$node->psql('UPDATE omnimsg.send_limits SET per_day = 4');
	is(frequency($address), 'allow', 'four a day: now');
	message($address, 'sent', "$_ hours") for 30, 100, 167, 169;
	$node->psql('UPDATE omnimsg.send_limits SET per_week = 6');
	is(frequency($address), 'block no more than 6 in seven days for 60 min', 'six in seven days, and one of them is over in an hour');
	$node->psql('UPDATE omnimsg.send_limits SET per_week = 7');
	is(frequency($address), 'allow', 'the eighth day counts no more');
	$node->psql('UPDATE omnimsg.send_limits SET per_day = 1, per_week = 6');
	is(frequency($address), 'block no more than 6 in seven days for 1320 min', 'where both limits are reached the later end holds');
	$node->psql('UPDATE omnimsg.send_limits SET per_day = 0, per_week = 6');
	is(frequency($address), 'block no more than 6 in seven days', 'and none where nothing may be sent at all');
	$node->psql('UPDATE omnimsg.send_limits SET per_day = NULL, per_week = 1');
	message($address, 'received', '1 hour', direction => 'inbound');
	is(frequency($address, 'conversation'), 'allow', 'an answer to the person\'s own message is not stopped');
	like(frequency($address), qr/^block/, 'a notification is');
	like(frequency($address, 'marketing'), qr/^block/, 'and so is marketing');
	$node->psql('UPDATE omnimsg.messages SET created_at = now() - interval \'25 hours\' WHERE direction = \'inbound\'');
	like(frequency($address, 'conversation'), qr/^block/, 'nor is it an answer after 24 hours');
	$node->psql('UPDATE omnimsg.send_limits SET per_week = NULL');
}

# ---- the item itself, and those queued after it ----

$node->psql('UPDATE omnimsg.send_limits SET per_day = 2');
my $eager = willing();

# state(MESSAGE): what outbox and message say of it
sub state
{
	return "SELECT o.state || ' ' || m.status || coalesce(' ' || o.last_error, '') FROM omnimsg.outbox o
		JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.id = '$_[0]'";
}

my @queued = map { send_text($eager) } 1 .. 2;

like($node->psql_error("SELECT omnimsg_send('$organization', '$eager', 'one more', kind => 'notification')"),
	qr/OM001: .*no more than 2 in 24 hours/, 'what waits counts, and the third is refused');
dispatch('on');
ok($node->poll(state($_), 'sent delivered'), 'the item itself, and what was queued after it, do not stop it') for @queued;

# queued while there was no limit; those queued first go first
dispatch('off');
$node->psql('UPDATE omnimsg.send_limits SET per_day = NULL');
my $limited = willing();

@queued = map { send_text($limited) } 1 .. 4;
$node->psql('UPDATE omnimsg.send_limits SET per_day = 2');
dispatch('on');
ok($node->poll(state($_), 'sent delivered'), 'of four in one claim the first two are sent') for @queued[0, 1];
ok($node->poll(state($_), 'queued queued no more than 2 in 24 hours'), 'and the others wait') for @queued[2, 3];
is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number = '$limited' AND o.state = 'queued' AND o.next_attempt_at > now() + interval '23 hours'"), 2, 'for a day');
is(posts($limited), 2, 'the provider heard of two');
$node->psql("DELETE FROM omnimsg.outbox WHERE state = 'queued'");

# ---- the dispatcher asks again ----

my @texts = qw(conversation notification marketing);

# audit(MESSAGE): what was audited of it
sub audit
{
	my ($message) = @_;

	return $node->psql("SELECT string_agg(a.action || ' ' || coalesce(a.new_value ->> 'reason', ''), ', ' ORDER BY a.id)
		FROM omnimsg.audit_logs a WHERE a.resource_id = '$message'");
}

$node->psql('UPDATE omnimsg.send_limits SET per_day = NULL');

# what happens while the item waits, and what becomes of it; %s is the address
my @ends = (
	['a STOP', sub { $node->send(from => $_[0], to => $did, text => 'STOP') }, 'opted out'],
	['an opt-out by an agent', "SELECT omnimsg_record_consent('$organization', 'sms', '%s', 'opt_out', 'agent')", 'opted out'],
	['a flag: reassigned', "SELECT omnimsg_flag_address('$organization', '%s', 'reassigned')", 'the number was given to somebody else'],
	['a flag: wrong number', "SELECT omnimsg_flag_address('$organization', '%s', 'wrong_number')", 'wrong number'],
	['a block of the provider', "UPDATE omnimsg.consents SET provider_blocked = true WHERE address = '%s'", 'blocked by the provider'],
	['a review past its deadline', "INSERT INTO omnimsg.reviews (organization_id, message_organization_id, id, message_id, channel, address, rule, occurred_at, due_at, created_at)
		VALUES ('$organization', '$organization', omnimsg.uuid7(), omnimsg.uuid7(), 'sms', '%s', 'test', now() - interval '1 minute', now() - interval '1 second', now())",
		qr/^opted out(: a review is past its deadline)?$/],
);

for my $row (@ends)
{
	my ($what, $how, $reason) = @$row;
	my @people = willing(3);

	dispatch('off');
	my @ids = map { send_text($people[$_], kind => $texts[$_]) } 0 .. 2;

	ref $how ? $how->($_) : $node->psql(sprintf $how, $_) for @people;
	is($node->psql(state($_)), 'queued queued', "$what after a text was queued") for $ids[0];
	dispatch('on');
	for my $i (0 .. 2)
	{
		$node->poll("SELECT state FROM omnimsg.outbox WHERE message_id = '$ids[$i]'", 'suppressed');
		my ($state, $said) = $node->psql(state($ids[$i])) =~ /^(\S+ \S+) (.*)/;

		is($state, 'suppressed blocked', "$what: the $texts[$i] is given up");
		like($said, ref $reason ? $reason : qr/^\Q$reason\E$/, 'and says why');
		is(audit($ids[$i]), "SEND_BLOCKED $said", 'the audit too');
		is(scalar(grep { $_->{text} =~ /appointment/ } $node->ledger(kind => 'post', to => $people[$i])), 0,
			'the provider never heard of it');
	}
}

# ---- what only puts off ----

my ($reviewed, $paused, $night, $capped, $folding, $passed) = willing(6);

dispatch('off');
my %id = map { $_ => send_text($_) } $reviewed, $paused, $night, $capped, $folding, $passed;
my %person = reverse %id;

$node->psql(<<SQL);
INSERT INTO omnimsg.reviews (organization_id, message_organization_id, id, message_id, channel, address, rule, occurred_at, due_at, created_at)
	VALUES ('$organization', '$organization', omnimsg.uuid7(), omnimsg.uuid7(), 'sms', '$reviewed', 'test', now(), now() + interval '9 days', now());
INSERT INTO omnimsg.send_limits (organization_id, region, opens, closes)
	SELECT '$organization', '$night', w.t, w.t + interval '1 hour'
	  FROM (SELECT CASE WHEN extract(hour FROM now() AT TIME ZONE 'America/New_York') < 12 THEN time '20:00' ELSE '05:00' END) AS w (t);
INSERT INTO omnimsg.send_limits (organization_id, region, per_week) VALUES ('$organization', '$capped', 0);
SQL
dispatch('on');
ok($node->poll(state($id{$passed}), 'sent delivered'), 'who is not stopped is written to');
ok($node->poll(state($id{$paused}), 'sent delivered'), 'so is somebody else');
ok($node->poll(state($id{$reviewed}), 'queued queued a message of theirs that may be an opt-out is under review'),
	'a review that is opened puts the text off');
like($node->psql(state($id{$night})), qr/^queued queued quiet hours: it is \d\d:\d\d in America\/New_York$/, 'so does the night');
is($node->psql(state($id{$capped})), 'queued queued no more than 0 in seven days', 'and a limit');
is($node->psql(<<SQL), "t\nt\nt", 'each until it ends, or for minutes where somebody has to end it');
SELECT CASE m.to_number WHEN '$reviewed' THEN o.next_attempt_at BETWEEN now() AND now() + interval '5 minutes'
	WHEN '$night' THEN (o.next_attempt_at AT TIME ZONE 'America/New_York')::time IN ('05:00', '20:00')
	WHEN '$capped' THEN o.next_attempt_at BETWEEN now() AND now() + interval '1 minute' END
  FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE o.state = 'queued'
SQL
is(audit($id{$_}), '', 'nothing is audited of it: nothing has ended') for $reviewed, $night, $capped;
is(posts($_), 0, 'the provider has not heard of it') for $reviewed, $night, $capped;

# the organization is paused while a text waits, and goes on
dispatch('off');
$id{$paused} = send_text($paused);
$node->psql("UPDATE omnimsg.organizations SET paused = true WHERE id = '$organization'");
is($node->send(from => $folding, to => $did, text => 'HELP')->{http}, 200, 'somebody asks for help while the organization is paused');
dispatch('on');
ok($node->poll(state($id{$paused}), 'queued queued the organization is paused'), 'what was queued before the pause waits');
ok($node->poll("SELECT state FROM omnimsg.outbox WHERE kind = 'help_reply'", 'sent'), 'who asks for help is answered');
is(posts($paused), 1, 'nothing else is sent');
like($node->psql_error("SELECT omnimsg_send('$organization', '$paused', 'hello')"), qr/OM001: .*the organization is paused/,
	'nor queued');
$node->psql("UPDATE omnimsg.organizations SET paused = false WHERE id = '$organization';
	UPDATE omnimsg.outbox SET next_attempt_at = now() WHERE message_id = '$id{$paused}'; SELECT pg_reload_conf()");
ok($node->poll(state($id{$paused}), 'sent delivered'), 'after the pause it is sent');
is(posts($paused), 2, 'once');

# a reviewer decides, or lets one answer go
my ($cleared, $guilty, $released) = willing(3);

for my $address ($cleared, $guilty, $released)
{
	$node->psql("INSERT INTO omnimsg.reviews (organization_id, message_organization_id, id, message_id, channel, address, rule, occurred_at, due_at, created_at)
		VALUES ('$organization', '$organization', omnimsg.uuid7(), omnimsg.uuid7(), 'sms', '$address', 'test', now(), now() + interval '9 days', now())");
	$id{$address} = send_text($address, kind => 'conversation');
}
my $second = send_text($released, kind => 'conversation');

is($node->psql("SELECT count(*) FROM omnimsg.outbox o WHERE o.next_attempt_at BETWEEN now() AND now() + interval '5 minutes'
	AND o.expires_at > now() + interval '9 days' AND o.message_id IN ('$id{$cleared}', '$id{$guilty}', '$id{$released}', '$second')"), 4, 'texts queued under review are looked at again within minutes, until after its deadline');
$node->psql("SELECT omnimsg_review(id, CASE address WHEN '$cleared' THEN 'none' ELSE 'opt_out' END, 'Ann')
	FROM omnimsg.reviews WHERE address IN ('$cleared', '$guilty');
	SELECT omnimsg_release('$id{$released}', 'Ann')");
ok($node->poll(state($id{$cleared}), 'sent delivered'), 'decided that it was nothing: sent at once');
ok($node->poll(state($id{$guilty}), 'suppressed blocked opted out'), 'decided that it was an opt-out: given up');
ok($node->poll(state($id{$released}), 'sent delivered'), 'released: sent');
is($node->psql(state($second)), 'queued queued', 'what was not released waits on');
is(join(' ', map { posts($_) } $cleared, $guilty, $released), '1 0 1', 'the provider heard of just those');

# START of the person ends the review
is($node->send(from => $released, to => $did, text => 'START')->{http}, 200, 'START under review');
is($node->psql("SELECT verdict FROM omnimsg_explain_send('$organization', 'sms', '$released') WHERE gate = 'review'"), 'allow',
	'takes the doubt away');

# ---- a month of which the planner knows nothing ----

# as each one is at first; what the organization has sent to others is not read to count what one has got
my $new = willing();
$node->psql(<<"SQL");
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, external_message_id, provider, created_at)
SELECT '$organization', omnimsg.uuid7(), 'outbound', 'sms', '$did', '+1212556' || lpad(n::text, 4, '0'), 'Hello', 'sent', md5(n::text), 'telnyx',
	   now() - interval '1 minute'
  FROM generate_series(1, 5000) AS n;
SQL
my ($blocks) = $node->psql("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF)
	SELECT * FROM omnimsg_explain_send('$organization', 'sms', '$new', kind => 'marketing')") =~ /shared hit=(\d+)/;
cmp_ok($blocks, '<', 5000, "the cap is looked up by the address, which takes $blocks blocks");

done_testing;
