# The clock of the host on which server and relay run is set an hour ahead, and back, while they work; the provider's stays right.  Nothing is
# sent twice, nothing is confirmed late, nothing waits longer than the clock was wrong.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use JSON::PP qw(encode_json);
use Omnimsg;
use Test::More;
use Time::HiRes qw(time);

my $hour = 3600;
my $dir = tempdir('omnimsg-clock-XXXXXX', TMPDIR => 1, CLEANUP => 1);

chmod 0755, $dir;
system('cp', dirname(__FILE__) . '/../../build/clock.so', "$dir/clock.so") == 0 or die 'cp';
open my $clock, '+>', "$dir/clock" or die "$dir/clock: $!";
chmod 0644, "$dir/clock";
$clock->autoflush(1);

# set_clock(SECONDS): so much ahead is the host from now on
sub set_clock
{
	seek $clock, 0, 0;
	print {$clock} pack('q', $_[0]);
	return;
}

set_clock(0);
my $node = Omnimsg->new(env => { LD_PRELOAD => "$dir/clock.so", OMNIMSG_CLOCK => "$dir/clock" });
# whatever is started from here on has the right clock
delete @{ $node->{env} }{qw(LD_PRELOAD OMNIMSG_CLOCK)};
$node->kill_simulator;
$node->start;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};

# number(N): a person's; each case has its own
sub number { return sprintf '+1555200%04d', 1000 + $_[0] }

# state(NUMBER): of the last item for it
sub state
{
	return $node->psql("SELECT o.state FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '$_[0]' ORDER BY o.id DESC LIMIT 1");
}

sub ends
{
	my ($number, $state, $title) = @_;

	return ok($node->wait_until(sub { state($number) eq $state }), $title) || diag(state($number));
}

# posts(NUMBER): the times of the provider's at which it was sent something
sub posts
{
	my ($number) = @_;

	return grep { $_->{to} eq $number } $node->ledger(kind => 'post');
}

sub asks
{
	my ($number, $text) = @_;

	return $node->send(from => $number, to => $did, text => $text);
}

$node->psql("UPDATE omnimsg.organizations SET consent_policy = 'implied' WHERE id = '$organization'");
$node->setting('omnimsg.poll_interval', '200ms');
$node->setting('omnimsg.optout_pull_interval', '0');
$node->setting('omnimsg.reconcile_after', '500ms');

# ---- ahead, while requests are under way ----

my @under_way = map { number($_) } 1 .. 5;
$node->behave('delay:ms=2500');
$node->queue($made, \@under_way);
ok($node->wait_until(sub { 5 == grep { posts($_) } @under_way }), 'five texts are at the provider, which has not answered');
set_clock($hour);
is($node->psql("SELECT abs(extract(epoch FROM clock_timestamp()) - $hour - " . time . ') < 5'), 't', 'the clock is set an hour ahead: their leases are over');
ends($_, 'sent', 'what was under way is found to be sent') for @under_way;
$node->behave_well;
is(join(' ', map { scalar(posts($_)) } @under_way), '1 1 1 1 1', 'each was sent once');

# ---- while it is ahead ----

$node->queue($made, [number(10)]);
ends(number(10), 'sent', 'what is queued then is sent');
is(asks(number(11), 'STOP')->{http}, 401, 'a STOP from a provider whose clock is right is taken for a recording');
# for longer than it takes to set the clock back
$node->behave('429:retry_after=300');
$node->queue($made, [number(12)]);
ok($node->poll("SELECT o.attempts > 0 AND o.state = 'queued' FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.to_number = '${\ number(12)}'", 't'),
	'a text that the provider does not take now is put off, by a clock that is wrong');

# ---- back to what is right ----

set_clock(0);
$node->behave_well;
$node->queue($made, [number(20)]);
ends(number(20), 'sent', 'the clock is set back: what is queued now is sent');
is(asks(number(21), 'STOP')->{http}, 200, 'a STOP is taken');
ends(number(21), 'sent', 'and confirmed');
is(asks(number(22), 'HELP')->{http}, 200, 'so is a HELP');
ends(number(22), 'sent', 'and answered');
like($node->psql("SELECT string_agg(outcome, ' ') FROM omnimsg_replay_dead_letters('stale')"), qr/\Aapplied( applied)*\z/, 'what was refused is applied by a replay');
is($node->psql("SELECT state FROM omnimsg.consents WHERE address = '${\ number(11)}' AND channel = 'sms' AND scope = 'all'"), 'opted_out', 'the STOP, too');
$node->behave('503:json,times=2,to=' . number(23));	# what was put off may come at any time
$node->queue($made, [number(23)]);
ends(number(23), 'sent', 'what the provider refuses twice is tried until it takes it');
is(scalar(posts(number(23))), 3, 'at the third time');

# ---- behind: whoever was to be answered before must not be answered an hour later ----

$node->behave('429:retry_after=20');	# none is under way when the clock is set
my $asked = time;
is(asks(number(30), 'STOP')->{http}, 200, 'a STOP');
is(asks(number(31), 'HELP')->{http}, 200, 'and a HELP');
$node->queue($made, [number(32)]);
ok($node->poll("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
	WHERE m.to_number BETWEEN '${\ number(30)}' AND '${\ number(32)}' AND o.attempts > 0 AND o.state = 'queued'", 3), 'and a text, put off when the provider does not take them');
set_clock(-$hour);
ends(number(30), 'expired', 'the clock is set an hour back: the STOP is not confirmed later than it may be');
ends(number(31), 'expired', 'nor the HELP answered');
is(state(number(32)), 'queued', 'the text waits');
$node->behave_well;
$node->queue($made, [number(33)]);
ends(number(33), 'sent', 'and what is queued now is sent');

# a reply of a time that seems to come yet holds nobody up: the person of above asks again
my $help = encode_json({ data => { event_type => 'message.received', id => 'again', payload => { id => 'again', text => 'HELP',
	from => { phone_number => number(22) }, to => [{ phone_number => $did }] } } });
is($node->psql("SELECT reply FROM omnimsg_ingest('telnyx', convert_to('$help', 'UTF8'))"), 'queued', 'who was answered in the hour that is not over yet is answered');
ok($node->wait_until(sub { posts(number(22)) == 2 }), 'at once');

# ---- and right again ----

set_clock(0);
ends(number(32), 'sent', 'the clock is right again: the text is sent');
is(scalar(grep { $_->{accepted} } posts(number(32))), 1, 'once');

# what was put off by the clock that was ahead waits as long as that was; the hour passes
is(state(number(12)), 'queued', 'what was put off first still waits');
set_clock($hour + 360);
ends(number(12), 'sent', 'and is sent when its time has come');
set_clock(0);

# ---- all in all ----

my (%accepted, @late);
for my $post ($node->ledger(kind => 'post'))
{
	$accepted{"$post->{to} $post->{text}"}++ if $post->{accepted};
}
delete $accepted{$_} for grep { $_ =~ /\A\Q${\ number(22)}/ } keys %accepted;
is(join(', ', grep { $accepted{$_} > 1 } sort keys %accepted), '', 'nobody got anything twice');
is(scalar(grep { $_->{accepted} } posts(number(30)), posts(number(31))), 0, 'and nobody an answer that was late');
ok($node->poll("SELECT count(*) FROM omnimsg.outbox WHERE state IN ('queued', 'leased', 'sending') OR settled_at IS NULL", 0), 'nothing is stuck');
is($node->psql('SELECT bool_and(is_conserved) FROM omnimsg.conservation'), 't', 'the books are balanced');
open my $log, '<', $node->dir . '/log/postgres.log' or die "postgres.log: $!";
# whose time is over at once when the clock is set ahead is tried again
is(join('', grep { /\bPANIC\b|TRAP|\bERROR\b|was terminated/ && !/canceling statement due to (?:statement|lock) timeout/ } <$log>), '', 'and the server met no error');

done_testing;
