# The gates, one by one and in pairs: what omnimsg_explain_send says of each, in their order, and what
# omnimsg_send makes of it.  Every scenario is a transaction that is rolled back.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $nobody = '00000000-0000-0000-0000-000000000000';
my $person = '+12125550123';
my $short_code = '26296';
my @gates = qw(address consent scope provider_block review quiet_hours frequency number organization content armed);

$node->setting('omnimsg.dispatch', 'off');

my $session = $node->session;

$session->query(<<"SQL");
SET timezone = 'UTC';
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.send(organization uuid, address text, body text, kind text) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
	queued uuid;
BEGIN
	queued := omnimsg_send(organization, address, body, kind => kind, scope => 'billing');
	RETURN (SELECT 'queued ' || o.state || ' ' || m.status || '|' || o.next_attempt_at
			  FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.id = queued);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN state || '|' || message || '|' || detail || '|' || hint;
END
\$\$;
CREATE FUNCTION pg_temp.opening(zone text, opens time, closes time) RETURNS timestamptz LANGUAGE sql
	RETURN (SELECT min(t) FROM generate_series(date_trunc('hour', now()), now() + interval '3 days', '15 minutes') AS t
			 WHERE t > now() AND (t AT TIME ZONE zone)::time >= opens AND (t AT TIME ZONE zone)::time < closes);
SQL

# an hour of the day that neither is nor begins soon where the numbers are
my $hour = $session->query(<<'SQL');
SELECT CASE WHEN extract(hour FROM now()) NOT IN (7, 8) AND extract(hour FROM now() AT TIME ZONE 'America/New_York') NOT IN (7, 8)
		THEN 8 ELSE 20 END
SQL
my @window = map { sprintf '%02d:00', $_ } $hour, $hour + 1;

# Ways to be stopped: gate, verdict, what is said, when it ends (SQL), and the SQL that brings it about; that of
# "before" runs before the person opts in.  Names after the gate's tell several ways of one gate apart.
my %ways = (
	address => { verdict => 'block', reason => 'a short code is nobody to write to' },
	consent => { verdict => 'block', reason => 'opted out',
		sql => q{SELECT omnimsg_record_consent(ORG, 'sms', ADDRESS, 'opt_out', 'web', occurred_at => now() - interval '10 minutes')} },
	'consent, folding' => { verdict => 'hold', reason => 'the consent of the person is being changed', ends => q{now() + interval '1 second'},
		sql => q{INSERT INTO omnimsg.consent_repairs VALUES (ORG, omnimsg.uuid7(), 'sms', ADDRESS, 'all')} },
	scope => { verdict => 'block', reason => 'opted out of "billing"',
		sql => q{SELECT omnimsg_record_consent(ORG, 'sms', ADDRESS, 'opt_out', 'web', scope => 'billing',
			occurred_at => now() - interval '5 minutes')} },
	provider_block => { verdict => 'block', reason => 'blocked by the provider',
		before => qq{INSERT INTO omnimsg.opt_out_requests (organization_id, id, channel, address, our_address, request_type, source,
			occurred_at, created_at) VALUES (ORG, omnimsg.uuid7(), 'sms', ADDRESS, '$did', 'opt_out', 'provider_block',
			now() - interval '2 hours', now())} },
	review => { verdict => 'hold', reason => 'a message of theirs that may be an opt-out is under review', ends => q{now() + interval '5 days'},
		sql => q{INSERT INTO omnimsg.reviews (organization_id, message_organization_id, id, message_id, channel, address, rule, occurred_at, due_at, created_at)
			VALUES (ORG, ORG, omnimsg.uuid7(), omnimsg.uuid7(), 'sms', ADDRESS, 'test', now() - interval '30 minutes',
				now() + interval '5 days', now())} },
	'review, overdue' => { verdict => 'block', reason => 'opted out: a review is past its deadline',
		sql => q{INSERT INTO omnimsg.reviews (organization_id, message_organization_id, id, message_id, channel, address, rule, occurred_at, due_at, created_at)
			VALUES (ORG, ORG, omnimsg.uuid7(), omnimsg.uuid7(), 'sms', ADDRESS, 'test', now() - interval '30 minutes', now(), now())} },
	quiet_hours => { verdict => 'hold', reason => 'quiet hours: it is HH:MM in ZONE', ends => "pg_temp.opening('ZONE', '$window[0]', '$window[1]')",
		sql => "UPDATE omnimsg.send_limits SET opens = '$window[0]', closes = '$window[1]' WHERE organization_id = ORG" },
	'quiet_hours, always' => { verdict => 'block',
		reason => 'quiet hours: it is HH:MM in ZONE, and it is never day in all of its possible time zones at once',
		sql => qq{UPDATE omnimsg.send_limits SET opens = '$window[0]', closes = '$window[1]' WHERE organization_id = ORG;
			UPDATE omnimsg.organizations SET timezone = 'America/Los_Angeles' WHERE id = ORG;
			INSERT INTO omnimsg.collection_accounts (organization_id, primary_phone, timezone) VALUES (ORG, ADDRESS, 'Asia/Tokyo')} },
	frequency => { verdict => 'block', reason => 'no more than 1 in 24 hours', ends => q{now() + interval '23 hours'},
		sql => qq{UPDATE omnimsg.send_limits SET per_day = 1 WHERE organization_id = ORG;
			INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status, sent_at, created_at)
			VALUES (ORG, omnimsg.uuid7(), 'outbound', 'sms', '$did', ADDRESS, 'sent', now() - interval '1 hour', now() - interval '2 hours')} },
	number => { verdict => 'block', reason => 'the number was given to somebody else',
		sql => q{SELECT omnimsg_flag_address(ORG, ADDRESS, 'reassigned')} },
	'number, wrong' => { verdict => 'block', reason => 'wrong number', sql => q{SELECT omnimsg_flag_address(ORG, ADDRESS, 'wrong_number')} },
	organization => { verdict => 'block', reason => 'the organization is paused',
		sql => q{UPDATE omnimsg.organizations SET paused = true WHERE id = ORG} },
	'organization, nobody' => { verdict => 'block', reason => 'nobody owns the number' },
	content => { verdict => 'block', reason => 'the text is empty' },
	armed => { verdict => 'hold', reason => 'the database is not armed: disarmed', sql => 'SELECT omnimsg_disarm()' },
);
my @ways = sort { index("@gates", gate($a)) <=> index("@gates", gate($b)) || $a cmp $b } keys %ways;

sub gate { return $_[0] =~ s/,.*//r }

# explain(KIND, WAYS...): what every gate says in that state, as lists gate, verdict, reason, end; then what
# omnimsg_send does, and when each of the ways ends
sub explain
{
	my ($kind, @ways) = @_;
	my $address = grep({ $_ eq 'address' } @ways) ? $short_code : $person;
	my $zone = $address eq $person ? 'America/New_York' : 'UTC';
	my $owner = grep({ /nobody/ } @ways) ? $nobody : $organization;
	my $body = grep({ $_ eq 'content' } @ways) ? ' ' : 'Your appointment is tomorrow';
	my @sql = map { $ways{$_}{before} // () } @ways;

	# a short code is nowhere, but the organization is somewhere
	unshift @sql, "UPDATE omnimsg.organizations SET timezone = 'UTC' WHERE id = ORG" if $address eq $short_code;
	my $scope = $kind =~ /_/ ? 'all' : 'billing';	# no reply to a keyword is of a category
	my $opts = $kind eq 'opt_out_confirmation' ? 'opt_out' : 'opt_in';
	my @ends = map { $ways{$_}{ends} // () } @ways;

	push @sql, q{INSERT INTO omnimsg.send_limits (organization_id, opens, closes) VALUES (ORG, '00:00', '24:00')},
		qq{SELECT omnimsg_record_consent(ORG, 'sms', ADDRESS, '$opts', 'web', occurred_at => now() - interval '1 hour')},
		map { $ways{$_}{sql} // () } @ways;
	s/\bORG\b/'$owner'/g, s/\bADDRESS\b/'$address'/g for @sql;
	s/ZONE/$zone/ for @ends;
	my $sql = join '', map { "$_;\n" } @sql;

	my $out = $session->query("BEGIN;\n\\o /dev/null\n$sql\\o\n" . <<SQL);
SELECT * FROM omnimsg_explain_send('$owner', 'sms', '$address', '$body', '$kind', '$scope');
SELECT 'sent|' || pg_temp.send('$owner', '$address', '$body', '$kind') WHERE '$kind' !~ '_';
SELECT 'end|' || e FROM unnest(ARRAY[@{[join ', ', @ends]}]::timestamptz[]) AS e;
ROLLBACK
SQL
	# the minute may end between explain and send
	$out =~ s/it is \d\d:\d\d in/it is HH:MM in/g;
	my @lines = map { [split /\|/, $_, -1] } split /\n/, $out;
	my ($sent) = map { join '|', @$_[1 .. $#$_] } grep { $_->[0] eq 'sent' } @lines;
	my @ended = map { $_->[1] } grep { $_->[0] eq 'end' } @lines;

	return { address => $address, zone => $zone, sent => $sent, ends => \@ended,
		gates => [grep { $_->[0] !~ /^(sent|end)$/ } @lines] };
}

# what the gates should say when the person is stopped in these ways
sub expected
{
	my ($found, @ways) = @_;
	my %stopped = map { gate($_) => $_ } @ways;
	my @ends = @{ $found->{ends} };
	my %end = map { $_ => shift @ends } grep { $ways{$_}{ends} } @ways;

	return join "\n", map {
		my $way = $stopped{$_};
		my $reason = $way ? $ways{$way}{reason} =~ s/ZONE/$found->{zone}/r : $_ eq 'content' ? '1 segment (GSM-7)' : '';

		join '|', $_, $way ? $ways{$way}{verdict} : 'allow', $reason, $way ? $end{$way} // '' : '';
	} @gates;
}

sub said
{
	my ($found) = @_;

	return join "\n", map { join '|', @$_ } @{ $found->{gates} };
}

# what omnimsg_send should do then: refuse by the first gate that blocks, or wait for the longest that holds
sub outcome
{
	my ($found) = @_;
	my ($block) = grep { $_->[1] eq 'block' } @{ $found->{gates} };
	my $mask = $found->{address} eq $person ? '+1212***0123' : '26***';

	return "OM001|message to $mask is refused: $block->[2]|The gate is \"$block->[0]\".|"
		. 'omnimsg_explain_send() shows what every gate says.' if $block;
	my ($longest) = sort { $b cmp $a } map { $_->[1] eq 'hold' ? $_->[3] : () } @{ $found->{gates} };
	return defined $longest ? "queued queued queued|$longest" : 'queued queued queued|now';
}

# times to the second: omnimsg_send looks at the clock a moment after explain, and waits for that or longer
sub coarse
{
	my ($text, $folding) = @_;

	return $text =~ s/\|(\d{4}-.*)?$/|soon/r if $folding;
	return $text;
}

# ---- nothing in the way ----

for my $kind (qw(conversation notification marketing))
{
	my $found = explain($kind);

	is(said($found), expected($found), "$kind: all gates allow what nothing stops, in their order");
	like($found->{sent}, qr/^queued queued queued\|\d{4}-/, "$kind: and it is queued");
}

# ---- each alone, and every pair ----

my $pairs = 0;

for my $kind (qw(conversation notification marketing))
{
	for my $i (0 .. $#ways)
	{
		for my $j ($i .. $#ways)
		{
			my @both = $i == $j ? $ways[$i] : @ways[$i, $j];

			next if @both == 2 && gate($both[0]) eq gate($both[1]);
			my $name = $kind . ': ' . join ' and ', @both;
			my $found = explain($kind, @both);
			# what waits for a person to decide is looked at again after minutes, what waits for omnimsg_arm() at once
			my $soon = grep({ $_ eq 'review' } @both) ||
				grep({ $_ eq 'consent, folding' || $_ eq 'armed' } @both) && !grep { $ways{$_}{ends} && $_ !~ /folding/ } @both;

			# the zone that is named is one of those where it is night
			$_->[2] =~ s/in \S+?(?=,|$)/in $found->{zone}/ for grep { $_->[0] eq 'quiet_hours' } @{ $found->{gates} };
			$found->{sent} =~ s/it is HH:MM in \S+?(?=,|\|)/it is HH:MM in $found->{zone}/;
			is(said($found), expected($found, @both), "$name: just that is said");
			is(coarse($found->{sent}, $soon), coarse(outcome($found), $soon), "$name: the first block refuses, else the longest hold waits");
			$pairs++ if @both == 2;
		}
	}
}
my %of;

$of{ gate($_) }++ for @ways;
my $all = @ways * (@ways - 1) / 2;

$all -= $_ * ($_ - 1) / 2 for values %of;
is($pairs, 3 * $all, 'every pair of gates was tried');
is(join(' ', sort keys %of), join(' ', sort @gates), 'every gate was in it');

# the longest hold is not always the same gate's
{
	local $ways{review}{sql} = $ways{review}{sql} =~ s/'5 days'/'1 minute'/r;
	local $ways{review}{ends} = q{now() + interval '1 minute'};
	my $found = explain('notification', 'review', 'quiet_hours');

	is(said($found), expected($found, 'review', 'quiet_hours'), 'a review that ends sooner than the night');
	is($found->{sent}, "queued queued queued|$found->{ends}[1]", 'the text waits for the day');
}

# a review holds whatever is known of the person's consent, which may be nothing
for my $policy ('explicit', 'implied')
{
	is($session->query(<<SQL), 'review|hold|2', "a review holds an answer to somebody of whom nothing is known: policy $policy");
BEGIN;
UPDATE omnimsg.organizations SET consent_policy = '$policy' WHERE id = '$organization';
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status, created_at)
	VALUES ('$organization', omnimsg.uuid7(), 'inbound', 'sms', '$person', '$did', 'received', now());
@{[$ways{review}{sql} =~ s/\bORG\b/'$organization'/gr =~ s/\bADDRESS\b/'$person'/r]};
SELECT gate, verdict, extract(day FROM not_before - now()) - 3 FROM omnimsg_explain_send('$organization', 'sms', '$person')
 WHERE verdict <> 'allow' AND gate <> 'quiet_hours';
ROLLBACK
SQL
}

# ---- automatic replies ----

my %heeded = map { $_ => 1 } 'address', 'consent, folding', 'provider_block', 'organization, nobody', 'content', 'armed';

for my $kind (qw(opt_out_confirmation opt_in_confirmation help_reply))
{
	for my $way (@ways)
	{
		my $found = explain($kind, $way);
		my $stops = join ',', map { "$_->[0] $_->[1] $_->[2]" } grep { $_->[1] ne 'allow' } @{ $found->{gates} };
		my $reason = $ways{$way}{reason};

		# what takes it back stops the reply to a START, too
		$reason = 'no longer decides the consent' if $kind eq 'opt_in_confirmation' && $way eq 'consent';
		is($stops, $heeded{$way} || $reason =~ /no longer/ ? gate($way) . " $ways{$way}{verdict} $reason" : '',
			$stops eq '' ? "$kind passes: $way" : "$kind is stopped: $way");
	}
}
is($session->query(<<SQL), 'consent|block|no longer decides the consent', 'a confirmation needs somebody who is opted out');
SELECT gate, verdict, reason FROM omnimsg_explain_send('$organization', 'sms', '$person', kind => 'opt_out_confirmation')
 WHERE verdict <> 'allow'
SQL

# ---- which consent a message needs ----

sub consent
{
	my ($address, $kind, $scope) = @_;

	return $session->query(<<SQL);
SELECT string_agg(concat_ws(' ', verdict, '(' || reason || ')'), ', ')
  FROM omnimsg_explain_send('$organization', 'sms', '$address', kind => '$kind', scope => '@{[$scope // 'all']}')
 WHERE gate = 'consent' OR gate = 'scope' AND verdict <> 'allow'
SQL
}

my $last = 200;
sub somebody { return sprintf '+1212555%04d', $last++ }

sub wrote
{
	my ($address, $ago) = @_;

	$session->query(<<SQL);
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status, created_at)
	VALUES ('$organization', omnimsg.uuid7(), 'inbound', 'sms', '$address', '$did', 'received', now() - interval '$ago')
SQL
	return;
}

# opts(ADDRESS, REQUEST, SOURCE, MINUTES AGO, SCOPE)
sub opts
{
	my ($address, $request, $source, $ago, $scope) = @_;

	$session->query("SELECT omnimsg_record_consent('$organization', 'sms', '$address', '$request', '$source', 'they called',
		scope => '@{[$scope // 'all']}', occurred_at => now() - interval '$ago minutes')");
	return;
}

my $none = 'block (no consent on record)';
my $needs = 'block (marketing needs an opt-in on record)';
my $start_only = 'block (a START of somebody who was never opted out allows conversation, not marketing)';
my $answer = 'allow (an answer within 24 hours to the person\'s own message)';
my $implied = 'allow (consent is implied by the organization\'s policy)';

# who, then what is said of a conversation, a notification, marketing
my @people = (
	['somebody of whom nothing is known', sub { }, $none, $none, $needs],
	['somebody who wrote 23 hours ago', sub { wrote($_[0], '23 hours') }, $answer, $none, $needs],
	['somebody who wrote 24 hours ago', sub { wrote($_[0], '24 hours') }, $none, $none, $needs],
	['somebody who wrote and opted out', sub { wrote($_[0], '1 hour'); opts($_[0], 'opt_out', 'web', 5) }, ('block (opted out)') x 3],
	['an opt-in on the web', sub { opts($_[0], 'opt_in', 'web', 5) }, ('allow') x 3],
	['an opt-in that an agent heard', sub { opts($_[0], 'opt_in', 'agent', 5) }, ('allow') x 3],
	['an imported opt-in', sub { opts($_[0], 'opt_in', 'import', 5) }, ('allow') x 3],
	['an import after an opt-out', sub { opts($_[0], 'opt_out', 'web', 9); opts($_[0], 'opt_in', 'import', 5) }, ('block (opted out)') x 3],
	['an opt-in after an opt-out', sub { opts($_[0], 'opt_out', 'web', 9); opts($_[0], 'opt_in', 'web', 5) }, ('allow') x 3],
	['START of somebody who never opted out', sub { says($_[0], 'START') }, 'allow', 'allow', $start_only],
	['START after STOP', sub { opts($_[0], 'opt_out', 'web', 9); says($_[0], 'START') }, ('allow') x 3],
	['START after an imported opt-in', sub { opts($_[0], 'opt_in', 'import', 9); says($_[0], 'START') }, ('allow') x 3],
	['START, then STOP, then START', sub { says($_[0], $_) for qw(START STOP START) }, ('allow') x 3],
	['START, then an opt-in on the web', sub { says($_[0], 'START'); opts($_[0], 'opt_in', 'web', 0) }, ('allow') x 3],
);

sub says
{
	my ($from, $text) = @_;

	$node->send(from => $from, to => $did, text => $text)->{http} eq '200' or die "the relay refused $text";
	$node->applied;
	return;
}

for my $row (@people)
{
	my ($who, $sub, @verdicts) = @$row;
	my $address = somebody();

	$sub->($address);
	is(join("\n", map { consent($address, $_) } qw(conversation notification marketing)), join("\n", @verdicts), $who);
}
{
	my ($nobody, $out, $wrote) = (somebody(), somebody(), somebody());

	opts($out, 'opt_out', 'web', 5);
	wrote($wrote, '1 hour');
	$session->query("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization'");
	is(join("\n", map { consent($nobody, $_) } qw(conversation notification marketing)), "$implied\n$implied\n$needs",
		'consent can be implied by policy, but not for marketing');
	is(join("\n", map { consent($out, $_) } qw(conversation notification marketing)), join("\n", ('block (opted out)') x 3),
		'an opt-out is nothing that a policy lifts');
	is(consent($wrote, 'conversation'), $implied, 'and that is what is said of an answer as well');
	$session->query("UPDATE omnimsg.organizations SET consent_policy = 'explicit' WHERE id = '$organization'");
}
{
	my ($category, $lifted, $all) = (somebody(), somebody(), somebody());

	opts($category, 'opt_in', 'web', 5, 'billing');
	is(consent($category, 'notification', 'billing'), 'allow', 'an opt-in to a category allows that');
	is(consent($category, 'notification', 'offers'), $none, 'and no other');
	is(consent($category, 'notification'), $none, 'nor messages of no category');
	opts($lifted, 'opt_out', 'web', 9);
	opts($lifted, 'opt_in', 'web', 5, 'billing');
	is(consent($lifted, 'notification', 'billing'), 'allow', 'after an opt-out of all a category can be opted in to');
	is(consent($lifted, 'notification'), 'block (opted out)', 'and the rest stays out');
	opts($all, 'opt_in', 'web', 9);
	opts($all, 'opt_out', 'web', 5, 'billing');
	is(consent($all, 'notification', 'billing'), 'allow, block (opted out of "billing")', 'a category can be opted out of');
	is(consent($all, 'notification'), 'allow', 'and the rest stays in');
	opts($all, 'opt_in', 'web', 1);
	is(consent($all, 'notification', 'billing'), 'allow', 'until all is opted in to again');
}

# ---- no way around ----

my $refused = $node->psql_error("SELECT omnimsg_send('$organization', '@{[somebody()]}', 'hello')");

like($refused, qr/^ERROR:  OM001: message to \+1212\*\*\*\d{4} is refused: no consent on record$/m, 'psql shows SQLSTATE and reason');
like($refused, qr/^DETAIL:  The gate is "consent"\.$/m, 'the gate');
like($refused, qr/^HINT:  omnimsg_explain_send\(\) shows what every gate says\.$/m, 'and where to look');
unlike($refused, qr/555\d/, 'but not the number');
$node->psql(<<SQL);
CREATE ROLE app LOGIN;
GRANT USAGE ON SCHEMA omnimsg TO app;
GRANT EXECUTE ON FUNCTION omnimsg_send, omnimsg_explain_send TO app;
GRANT omnimsg_agent TO app;
SELECT omnimsg_map_role('app', '$organization');
SQL
for my $statement ("INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, next_attempt_at, expires_at, created_at)
		VALUES ('$organization', omnimsg.uuid7(), omnimsg.uuid7(), 'help_reply', now(), now(), now())",
	"UPDATE omnimsg.outbox SET state = 'queued'", "UPDATE omnimsg.consents SET state = 'opted_in'",
	'DELETE FROM omnimsg.reviews', 'DELETE FROM omnimsg.address_flags', 'DELETE FROM omnimsg.opt_out_requests')
{
	my ($what) = $statement =~ /^(\w+ \S+ \S+)/;

	like($node->psql_error($statement, user => 'app'), qr/42501/, "a role that may send may not: $what");
}
like($node->psql_error("SELECT omnimsg_send('$organization', '@{[somebody()]}', 'hello')", user => 'app'), qr/OM001/,
	'it is asked like everybody');
for my $kind (qw(opt_out_confirmation opt_in_confirmation help_reply))
{
	like($node->psql_error("SELECT omnimsg_send('$organization', '$person', 'hello', kind => '$kind')", user => 'app'),
		qr/22023: invalid kind: "$kind"/, "and cannot pass off a text as $kind");
}

$session->close;
done_testing;
