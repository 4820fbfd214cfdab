# The send matrix: the worker is killed at six points of a sending, with fourteen answers of the provider, for
# four kinds of messages.  A kill -9 of the worker restarts the server, so one kill is for fourteen cells: one
# of each answer, with kinds that rotate by the seed.  OMNIMSG_ROUNDS=N runs all kinds N times, 336 cells each.

use strict;
use warnings;

use IO::Socket::INET;
use Omnimsg;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{OMNIMSG_SEED} // int rand 1_000_000;
my $rounds = $ENV{OMNIMSG_ROUNDS};

note("OMNIMSG_SEED=$seed");

my @kinds = qw(opt_out_confirmation help_reply conversation notification);	# the last one is sent again
my %asked_by = (opt_out_confirmation => 'STOP', help_reply => 'HELP');
my @points = ('before the claim', 'after the claim', 'after the mark', 'in the call', 'after the answer', 'after the record');

# what the provider does once; with true, it accepts the text whatever it answers
my @behaviours = (
	['ok', 1], ['delay:ms=300', 1], ['no-events', 1], ['half', 1], ['garbage', 1], ['noid', 1],
	['429:retry_after=1', 0], ['503:json', 0], ['503', 0], ['500', 0], ['cut', 0], ['silent:ms=20000', 0],
	['redirect', 0], ['40310', 0],
);
my %refused_for_now = ('429:retry_after=1' => 1, '503:json' => 1);

my $node = Omnimsg->new;
my $made = $node->seed;
my $simulator = $node->env('OMNIMSG_SIM_URL');
my (@cells, $next);

sub worker { return $node->psql('SELECT pid FROM omnimsg_worker_status()') }

sub dispatch
{
	my ($value) = @_;

	$node->setting('omnimsg.dispatch', $value);
	$node->poll('SELECT state FROM omnimsg_worker_status()', 'off') if $value eq 'off';
	return;
}

sub list { return join ',', map { "'$_->{to}'" } @_ }
sub items { my @wanted = @_; return 'FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number IN (' . list(@wanted) . ')' }

# how often each number was POSTed to, and how often that was accepted
sub ledger
{
	my (%posts, %accepted);

	for my $post ($node->ledger(kind => 'post'))
	{
		next if !defined $post->{to};
		push @{ $posts{ $post->{to} } }, $post;
		$accepted{ $post->{to} }++ if $post->{accepted};
	}
	return (\%posts, \%accepted);
}

sub all_posted
{
	my ($posts) = ledger();

	return !grep { !$posts->{ $_->{to} } } @_;
}

sub worker_waits
{
	my ($for) = @_;

	return $node->poll("SELECT count(*) FROM pg_stat_activity a, omnimsg_worker_status() s
		WHERE a.pid = s.pid AND a.wait_event_type = 'Lock' AND a.query = 'omnimsg: $for'", 1);
}

sub kill_worker
{
	my $pid = worker();

	kill 'KILL', $pid;
	$node->wait_until(sub { !$node->running($pid) }) or die 'the worker does not die';
	$node->poll("SELECT pid <> $pid FROM omnimsg_worker_status()", 't') or die 'the worker does not come back';
	return;
}

# a provider that accepts no connection: its queue is full
sub black_hole
{
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!";
	my @held = ($listener);

	push @held, IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listener->sockport, Blocking => 0) for 1 .. 4;
	return ($listener->sockport, @held);
}

# the texts of one kill, with dispatch off
sub queue
{
	my ($point, $rotation) = @_;
	my @mine;

	for my $i (0 .. $#behaviours)
	{
		my ($spec, $accepts) = @{ $behaviours[$i] };

		push @mine, { to => sprintf('+1555%07d', 2100000 + $next++), spec => $spec, accepts => $accepts, point => $point,
			kind => $kinds[($i + $point + $rotation) % @kinds] };
	}
	for my $cell (@mine)
	{
		my $colon = $cell->{spec} =~ /:/ ? ',' : ':';

		# in the call: the call hangs, and what the provider does with the text is as in its own answer
		$node->behave($point == 3 ? "silent:ms=20000,accept=" . ($cell->{accepts} ? 'yes' : 'no') . ",to=$cell->{to},times=1" :
			"$cell->{spec}${colon}to=$cell->{to},times=1");
		if (my $word = $asked_by{ $cell->{kind} })
		{
			my $sent = $node->send(from => $cell->{to}, to => $made->{did}, text => $word);
			$sent->{http} eq '200' or die "$word was answered $sent->{http}";
		}
	}
	for my $kind (qw(conversation notification))
	{
		my @numbers = map { $_->{to} } grep { $_->{kind} eq $kind } @mine;
		$node->queue($made, \@numbers, kind => $kind) if @numbers;
	}
	$node->poll("SELECT count(*) @{[items(@mine)]} AND o.state = 'queued'", scalar @mine) or die 'they are not queued';
	push @cells, @mine;
	return @mine;
}

# one kill
sub kill_at
{
	my ($point, $rotation) = @_;
	my ($session, @hole);

	dispatch('off');
	my @mine = queue($point, $rotation);

	if ($point == 0)
	{
		kill_worker();
		dispatch('on');
	}
	elsif ($point == 1)
	{
		# nothing but marking reads this table now
		$session = $node->session;
		$session->query('BEGIN; LOCK TABLE omnimsg.provider_accounts');
		$node->setting('omnimsg.dispatch', 'on');
		worker_waits('mark') or die 'the worker does not claim';
		kill_worker();
	}
	elsif ($point == 2)
	{
		(my $port, @hole) = black_hole();
		$node->setting('omnimsg.telnyx_api_base', "http://127.0.0.1:$port");
		$node->setting('omnimsg.dispatch', 'on');
		$node->poll("SELECT count(*) @{[items(@mine)]} AND o.state = 'sending'", scalar @mine) or die 'they are not marked';
		kill_worker();
		$node->setting('omnimsg.telnyx_api_base', $simulator);
	}
	elsif ($point == 3 || $point == 5)
	{
		$node->setting('omnimsg.dispatch', 'on');
		$node->wait_until(sub { all_posted(@mine) }) or die 'they are not POSTed';
		$node->poll("SELECT count(*) @{[items(@mine)]} AND o.state = 'sending'", 0) if $point == 5;
		kill_worker();
	}
	elsif ($point == 4)
	{
		# whatever ends needs a row in the audit
		$session = $node->session;
		$session->query('BEGIN; LOCK TABLE omnimsg.audit_logs IN EXCLUSIVE MODE');
		$node->setting('omnimsg.dispatch', 'on');
		worker_waits('record') or die 'the worker does not record';
		$node->wait_until(sub { all_posted(@mine) }) or die 'they are not POSTed';
		kill_worker();
	}
	ok($node->poll("SELECT count(*) @{[items(@mine)]} AND o.settled_at IS NULL", 0, 120), "killed $points[$point]: each text has an end");
	return;
}

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$made->{organization}';
	INSERT INTO omnimsg.unknown_policies VALUES ('$made->{organization}', 'notification', 'resend')");
$node->setting('omnimsg.lease', '5s');
$node->setting('omnimsg.request_timeout', '4s');
$node->setting('omnimsg.poll_interval', '100ms');
$node->setting('omnimsg.reconcile_after', '3s');	# what the provider tells by itself is there by then

$next = 0;
for my $rotation (defined $rounds ? (0 .. 4 * $rounds - 1) : ($seed))
{
	kill_at($_, $rotation) for 0 .. $#points;
}

# ---- the provider's book ----

my ($posts, $accepted) = ledger();
my %wrong;

sub wrong
{
	my ($cell, $what) = @_;

	push @{ $wrong{$what} }, "$points[$cell->{point}], $cell->{spec}, $cell->{kind}: POSTed "
		. join(' ', map { ($_->{behaviour} // '-') . ($_->{accepted} ? ' accepted' : '') } @{ $posts->{ $cell->{to} } || [] });
	return;
}

my %state = map { split /\|/ } split /\n/, $node->psql("SELECT m.to_number, o.state @{[items(@cells)]}");

for my $cell (@cells)
{
	my @posts = @{ $posts->{ $cell->{to} } || [] };
	my $taken = $accepted->{ $cell->{to} } // 0;

	# a POST whose body did not leave is none
	@posts = grep { defined $_->{webhook_url} } @posts;
	my @unknown = grep { !$refused_for_now{ ($_->{behaviour} // '') =~ s/,?to=.*//r =~ s/:\z//r } } @posts;

	if ($cell->{kind} eq 'notification')
	{
		wrong($cell, 'sent again by policy: accepted at least once') if $taken < 1 && $cell->{spec} ne '40310';
	}
	else
	{
		wrong($cell, 'held by policy: accepted at most once') if $taken > 1;
		wrong($cell, 'held by policy: no POST after one with an unknown end') if @unknown > 1;
	}
	if ($cell->{point} < 2)
	{
		wrong($cell, 'nothing was sent before the kill: accepted exactly once')
			if $taken != 1 && ($cell->{accepts} || $refused_for_now{ $cell->{spec} }) && $cell->{spec} ne 'no-events';
	}
	wrong($cell, 'a state "sent" is the provider\'s, too') if $state{ $cell->{to} } eq 'sent' && $taken == 0;
	wrong($cell, 'what was accepted and told of is known') if $state{ $cell->{to} } ne 'sent' && $taken > 0 && $cell->{spec} ne 'no-events';
}
for my $what ('sent again by policy: accepted at least once', 'held by policy: accepted at most once',
	'held by policy: no POST after one with an unknown end', 'nothing was sent before the kill: accepted exactly once',
	'a state "sent" is the provider\'s, too', 'what was accepted and told of is known')
{
	is(join("\n", @{ $wrong{$what} || [] }), '', $what);
}

# ---- our own book ----

is($node->psql("SELECT count(*) FROM omnimsg.outbox"), scalar @cells, scalar(@cells) . ' texts, and no others');
is($node->psql("SELECT count(*) FROM omnimsg.outbox WHERE settled_at IS NULL"), 0, 'nothing is stuck');
is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.audit_logs a ON a.resource_id = o.message_id
	WHERE o.kind = 'opt_out_confirmation' AND a.action = 'AUTO_REPLY_SENT' AND a.created_at > o.expires_at"), 0,
	'no confirmation of an opt-out went out after its 300 s');
is($node->psql(<<SQL), '', 'each has one end in the audit');
SELECT string_agg(format('%s %s %s: %s', m.to_number, o.kind, o.state, coalesce(e.ends, 'none')), E'\\n')
  FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
 CROSS JOIN LATERAL (
	SELECT string_agg(a.action || coalesce(' ' || (a.new_value->>'reason'), ''), ', ') AS ends, count(*) AS n FROM omnimsg.audit_logs a
	 WHERE a.resource_id = m.id AND a.action IN ('AUTO_REPLY_SENT', 'AUTO_REPLY_FAILED', 'AUTO_REPLY_SUPPRESSED',
		'MESSAGE_SENT', 'MESSAGE_DELIVERY_FAILED', 'SEND_BLOCKED')) AS e
 WHERE e.n <> 1
SQL
note('ends: ' . $node->psql("SELECT string_agg(kind || ' ' || state || ' ' || n, ', ') FROM
	(SELECT kind, state, count(*) AS n FROM omnimsg.outbox GROUP BY 1, 2 ORDER BY 1, 2) AS w"));

done_testing;
