# A thousand STOPs while everything misbehaves: webhooks come twice, late and in any order, some were
# answered by the provider, and the provider's API fails in every way that the simulator knows.  What is
# asserted is read from the simulator's ledger: what was really asked of the provider, and when.

use strict;
use warnings;

use JSON::PP ();
use List::Util qw(shuffle);
use Omnimsg;
use POSIX ();
use Test::More;
use Time::Local qw(timegm_modern);

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $seed = $ENV{OMNIMSG_SEED} // int(rand(2**31));

diag("seed $seed");
srand($seed);
$node->setting('omnimsg.request_timeout', '5s');
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.rate_limit', 1000);

my @words = ('STOP', 'Stop.', 'stop!!', 'arret', 'ARRÊT', 'REVOKE', 'opt out', 'Opt-Out', 'optout', 'Unsubscribe', 'CANCEL', 'END',
	'quit', 'stopall', 'please stop', 'stop texting me', 'Stop. Thank you', 'ALTO', 'PARAR', '«stop»', 'Remove me from your list');

# What the provider does to a person's confirmation.  One that says "try again" and sends all the same cannot
# be told from one that does not send, so accept=yes goes with the answers that leave the fate open.
my @behaviours = (qw(ok 429:retry_after=1 500 503 503:json 40300 40310 error:status=403,code=40013 redirect cut half
	silent:ms=7000 garbage noid no-events events-reversed events-duplicated failed blocked-later unconfirmed delay:ms=700
	cut:accept=yes 500:accept=yes 503:accept=yes silent:ms=7000,accept=yes garbage:accept=no noid:accept=no half:accept=no redirect:accept=yes));
my %again = map { $_ => 1 } '429:retry_after=1', '503:json';

# ---- who writes what ----

my %group;		# of each person
my %behaves;	# what the provider does to the person
my %stops;		# how often the person says it
my @messages;

sub person
{
	my ($group) = @_;
	my $number = sprintf '+1555201%04d', scalar keys %group;

	$group{$number} = $group;
	return $number;
}

sub says
{
	my ($from, $text, %more) = @_;

	$stops{$from}++ if $text ne 'START';
	push @messages, { from => $from, to => $did, text => $text, %more };
	return;
}

sub word { return $words[rand @words] }

for my $i (0 .. 899)
{
	my $from = person($i < 100 ? 'answered' : $i < 200 ? 'late' : $i < 250 ? 'nearly late' : $i < 350 ? 'often'
		: $i < 450 ? 'twice' : $i < 550 ? 'back' : $i < 640 ? 'plain' : $i < 650 ? 'cut early' : 'misbehaves');
	my $group = $group{$from};

	if ($group eq 'answered')
	{
		says($from, word(), autoresponse => 'STOP');
	}
	elsif ($group eq 'late')
	{
		says($from, word(), received_at => 'now-' . (301 + int rand 600), occurred_at => 'now-301');
	}
	elsif ($group eq 'nearly late')
	{
		says($from, word(), received_at => 'now-' . (270 + int rand 28));
	}
	elsif ($group eq 'often')
	{
		says($from, word(), received_at => "now-$_") for 3, 1;
	}
	elsif ($group eq 'twice')
	{
		says($from, word(), message_id => "message-$i", event_id => "event-$i", received_at => 'now-2');
		# the same event again, and the same message as another event
		push @messages, { %{ $messages[-1] } }, { %{ $messages[-1] }, event_id => "event-$i-again" };
	}
	elsif ($group eq 'back')
	{
		# they may be delivered in any order, and it must not matter
		says($from, word(), received_at => POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time - 9)));
		says($from, 'START', received_at => POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time - 5)));
	}
	else
	{
		$behaves{$from} = $behaviours[$i % @behaviours] if $group eq 'misbehaves';
		says($from, word());
	}
}
is(eval { my $n = 0; $n += $_ for values %stops; $n }, 1000, 'a thousand STOPs');

# ---- and all at once ----

my $json = JSON::PP->new->canonical;
my $file = $node->dir . '/stops.jsonl';

# deliver([MESSAGES], OPTIONS): the exit code of the simulator, 0 when all were answered 200
sub deliver
{
	my ($list, @options) = @_;

	# the words are bytes here, and go as they are
	open my $handle, '>', $file or die "$file: $!";
	print {$handle} $json->encode($_), "\n" for @$list;
	close $handle;
	return system($node->simulator, 'send', '--webhook-url', $node->env('OMNIMSG_RELAY_URL') . '/webhooks/telnyx',
		'--key-file', $node->env('OMNIMSG_SIGNING_KEY_FILE'), '--ledger', $node->env('OMNIMSG_SIM_LEDGER'), '--quiet',
		'--retry-backoff', '100,200', '--file', $file, @options) >> 8;
}

sub settled
{
	$node->applied;
	return $node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state IN ('queued', 'leased', 'sending')", 0, 60);
}

# connections that close before the request was read cannot be told apart by receiver: these come first
$node->behave('cut-early:times=10');
is(deliver([grep { $group{ $_->{from} } eq 'cut early' } @messages]), 0, 'a few whose confirmations meet a closed door');
ok(settled(), 'are dealt with');

$node->behave(join "\n", map {
	my $spec = $behaves{$_};

	"$spec" . ($spec =~ /:/ ? ',' : ':') . "to=$_,times=" . ($again{$spec} ? 1 : 9);
} grep { $behaves{$_} ne 'ok' } sort keys %behaves);
is(deliver([shuffle grep { $group{ $_->{from} } ne 'cut early' } @messages], '--parallel', 16), 0, 'all others, in any order, were answered 200');

# some that nobody signed
my @forged = map { person('forged') } 1 .. 20;

is(deliver([map { { from => $_, to => $did, text => 'STOP', wrong_key => JSON::PP::true } } @forged], '--attempts', 1), 1,
	'those that the provider did not sign were not');
ok(settled(), 'nothing waits any more');

# ---- the ledger ----

sub seconds
{
	my ($text) = @_;
	my ($year, $month, $day, $hour, $minute, $second) = $text =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)(?:Z|\+00:00)$/
		or die "no time: $text";

	return timegm_modern(0, $minute, $hour, $day, $month - 1, $year) + $second;
}

my (%asked, %accepted, %heard, @others, $early);

for my $row ($node->ledger)
{
	if ($row->{kind} eq 'message' && ($row->{text} // '') ne 'START' && exists $group{ $row->{from} } && !$row->{tampered})
	{
		push @{ $heard{ $row->{from} } }, seconds($row->{received_at});
	}
	elsif ($row->{kind} eq 'post' && ($row->{behaviour} // '') eq 'cut-early')
	{
		$early++;
	}
	elsif ($row->{kind} eq 'post')
	{
		# the confirmation of a STOP, in any language; the other one is that of a START
		my $confirms = $row->{text} =~ /^Harbor Dental: (You are unsubscribed|Se ha dado de baja|Vous etes desabonne|Sua inscricao foi)/;

		if (!$confirms)
		{
			push @others, $row if $row->{text} !~ /^Harbor Dental: You are subscribed again/;
			next;
		}
		push @{ $asked{ $row->{to} // '' } }, $row;
		push @{ $accepted{ $row->{to} } }, $row if $row->{accepted};
	}
}
my %said;

for my $from (keys %accepted)
{
	push @{ $said{many} }, $from if @{ $accepted{$from} } > 1;
	push @{ $said{stranger} }, $from if !exists $group{$from};
}
for my $from (keys %asked)
{
	# two STOPs of one person are two seconds apart here, so the newest tells as much as the other
	my ($newest) = sort { $b <=> $a } @{ $heard{$from} || [0] };

	push @{ $said{late} }, $from if grep { seconds($_->{at}) - $newest > 300 } @{ $asked{$from} };
	# but where the provider says that it did not send
	push @{ $said{again} }, $from if !$again{ $behaves{$from} // '' } && @{ $asked{$from} } > 1;
	push @{ $said{ $group{$from} } }, $from if exists $group{$from};
}
sub those { return join ' ', sort @{ $said{ $_[0] } || [] } }

is(scalar(keys %heard), 900, 'the ledger has the STOPs of nine hundred people');
is(those('many'), '', 'no person got two confirmations, though a hundred said it twice and a hundred were heard three times');
is(those('late'), '', 'none was asked for 300 seconds after the STOP');
is(scalar(grep { $group{$_} eq 'late' } keys %asked), 0, 'none for a STOP that was told of too late');
is(those('answered'), '', 'none where the provider had answered itself');
is(those('forged'), '', 'none for what the provider did not sign');
is(those('again'), '', 'none was asked for again that may have been sent');
is("$early " . those('cut early'), '10 ', 'nor where the request may have been read before the connection closed');
is(those('stranger'), '', 'nobody else got one');
is(scalar @others, 0, 'and nothing but confirmations was sent');

# ... and they were not avoided by sending none
for my $group (qw(plain often twice))
{
	my @people = grep { $group{$_} eq $group } keys %group;

	is(scalar(grep { @{ $accepted{$_} || [] } == 1 } @people), scalar @people, "$group: each got one");
}
for my $behaviour (@behaviours)
{
	my @people = grep { ($behaves{$_} // '') eq $behaviour } keys %group;
	my $reaches = $again{$behaviour} || $behaviour =~ /^(ok|delay|.*events|events|failed|blocked-later|unconfirmed|half$|garbage$|noid$)|accept=yes/
		&& $behaviour !~ /accept=no/ ? 1 : 0;

	is(scalar(grep { @{ $accepted{$_} || [] } == $reaches } @people), scalar @people, "$behaviour: each got " . ($reaches ? 'one' : 'none'));
}

# ---- and the database ----

is($node->psql("SELECT count(*) FROM omnimsg.opt_out_requests WHERE channel = 'sms' AND request_type = 'opt_out' AND source <> 'provider_block'"),
	1000, 'every STOP is on record once');
is($node->psql("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM omnimsg.consents
	WHERE channel = 'sms' GROUP BY 1) AS w"), 'opted_in 100, opted_out 800', 'and holds, but for those who came back');
is($node->psql("SELECT count(*) FROM omnimsg.messages WHERE from_number IN (" . join(',', map { "'$_'" } @forged) . ')'), 0,
	'nothing forged was stored');
is($node->psql("SELECT count(*) FROM (SELECT 1 FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE o.kind = 'opt_out_confirmation' GROUP BY m.to_number HAVING count(*) > 1) AS w"), 0, 'no second confirmation was ever queued');

# ---- two machines that answer each other ----

my %echo = ('STOP' => '+15552020001', 'START' => '+15552020002', 'HELP' => '+15552020003', 'Wrong number' => '+15552020004',
	'Hello' => '+15552020005', 'STOP HELP START' => '+15552020006', 'AYUDA' => '+15552020007', 'arret' => '+15552020008',
	'AIDE' => '+15552020009', 'AJUDA' => '+15552020010', 'ALTO' => '+15552020011', 'PARAR' => '+15552020012', 'UNSTOP' => '+15552020013');
my %answered;

$node->behave_well;
$node->send(from => $echo{$_}, to => $did, text => $_) for sort keys %echo;
for my $round (1 .. 8)
{
	my $echoed = 0;

	ok(settled(), "round $round: all is sent") or last;
	my @all = $node->ledger(kind => 'post');

	for my $word (sort keys %echo)
	{
		my @posts = grep { ($_->{to} // '') eq $echo{$word} } @all;

		# whatever it gets it sends back
		for my $post (@posts[($answered{$word} // 0) .. $#posts])
		{
			$node->send(from => $echo{$word}, to => $did, text => $post->{text});
			$answered{$word}++;
			$echoed++;
		}
	}
	last if !$echoed;
}
for my $word (sort keys %echo)
{
	cmp_ok($answered{$word} // 0, '<=', 1, "a machine that begins with \"$word\" and sends back what it gets is answered once at most");
}

done_testing;
