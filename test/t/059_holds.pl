# What waits behind a review: when it is looked at again, for which reviews a release counts, and how much of it
# is sent at once.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $under_review = 'queued queued a message of theirs that may be an opt-out is under review';
my $numbers = 0;

# somebody who opted in an hour ago
sub somebody
{
	my $address = sprintf '+1212555%04d', 100 + $numbers++;

	$node->psql("SELECT omnimsg_record_consent('$organization', 'sms', '$address', 'opt_in', 'web', occurred_at => now() - interval '1 hour')");
	return $address;
}

sub says
{
	my ($from, $text) = @_;

	$node->send(from => $from, to => $did, text => $text)->{http} eq '200' or die "the relay refused $text";
	return;
}

sub send_text
{
	my ($address, $kind) = @_;

	return $node->psql("SELECT omnimsg_send('$organization', '$address', 'Your appointment is tomorrow', kind => '$kind')");
}

# state(MESSAGE): a query for what outbox and message say of it
sub state
{
	return "SELECT o.state || ' ' || m.status || coalesce(' ' || o.last_error, '') FROM omnimsg.outbox o
		JOIN omnimsg.messages m ON m.id = o.message_id WHERE m.id = '$_[0]'";
}

# looked_at(MESSAGE): whether it is looked at again within five minutes, and not only at the deadline
sub looked_at
{
	return $node->psql("SELECT CASE WHEN next_attempt_at <= clock_timestamp() + interval '5 minutes' THEN 'soon'
		ELSE 'in ' || (next_attempt_at - clock_timestamp()) END FROM omnimsg.outbox WHERE message_id = '$_[0]'");
}

# time_passes(MESSAGE): until it is looked at again
sub time_passes
{
	$node->psql("UPDATE omnimsg.outbox SET next_attempt_at = now() WHERE message_id = '$_[0]'; SELECT pg_reload_conf()");
	return;
}

sub review { return $node->psql("SELECT id FROM omnimsg.reviews WHERE address = '$_[0]' AND decision IS NULL") }

sub posts { my ($to) = @_; return scalar grep { $_->{text} =~ /appointment/ } $node->ledger(kind => 'post', to => $to) }

# dispatch(on or off): waits until the worker has understood
sub dispatch
{
	my ($state) = @_;

	$node->setting('omnimsg.dispatch', $state);
	$node->poll("SELECT state = 'off' FROM omnimsg_worker_status()", $state eq 'off' ? 't' : 'f') or die 'the worker does not obey';
	return;
}

$node->setting('omnimsg.poll_interval', '200ms');
$node->psql("INSERT INTO omnimsg.send_limits (organization_id, opens, closes) VALUES ('$organization', '00:00', '24:00')");

# ---- START ends a review ----
{
	my $person = somebody();

	says($person, 'Wrong number');
	my $queued = send_text($person, 'notification');

	is(looked_at($queued), 'soon', 'a text that is queued under review is looked at within five minutes');
	time_passes($queued);
	ok($node->poll(state($queued), $under_review), 'it is looked at, and the review holds it');
	is(looked_at($queued), 'soon', 'it is looked at again within five minutes');
	says($person, 'START');
	time_passes($queued);
	ok($node->poll(state($queued), 'sent delivered'), 'after START it is sent');
}

# ---- a review that is decided while the item is leased ----
{
	my $person = somebody();

	says($person, 'Wrong number');
	dispatch('off');
	my $queued = send_text($person, 'notification');
	my $reviewer = $node->session;

	# a worker ended that had leased it: it is due, and the next one takes it up
	$node->psql("UPDATE omnimsg.outbox SET state = 'leased', lease_token = omnimsg.uuid7(), leased_until = now() - interval '1 second',
		next_attempt_at = now() - interval '1 minute' WHERE message_id = '$queued'");
	$reviewer->query('BEGIN');
	is($reviewer->query("SELECT omnimsg_review('@{[review($person)]}', 'none', 'Ann') IS NULL"), 't', 'a reviewer decides, and has not committed');
	dispatch('on');
	ok($node->poll(state($queued), $under_review, 60), 'the worker sees the review open');
	$reviewer->query('COMMIT');
	is(looked_at($queued), 'soon', 'the item is looked at again within five minutes of the decision');
	time_passes($queued);
	ok($node->poll(state($queued), 'sent delivered'), 'and is sent');
	$reviewer->close;
}

# ---- a release counts for the reviews that were open ----
{
	my $person = somebody();

	says($person, 'Wrong number');
	dispatch('off');
	my ($once, $twice) = map { send_text($person, 'conversation') } 1 .. 2;

	is($node->psql("SELECT omnimsg_release('$once', 'Ann'), omnimsg_release('$twice', 'Ann')"), 't|t', 'two answers are released');
	dispatch('on');
	ok($node->poll(state($once), 'sent delivered'), 'a released answer is sent under the review that it was released from');
	ok($node->poll(state($twice), 'sent delivered'), 'and the other one');

	dispatch('off');
	my $held = send_text($person, 'conversation');

	is($node->psql("SELECT omnimsg_release('$held', 'Ann')"), 't', 'a third one is released');
	says($person, 'Wrong number');
	dispatch('on');
	ok($node->poll(state($held), $under_review), 'a review that is opened later holds it again');
	is(looked_at($held), 'soon', 'and it is looked at within five minutes');
	is($node->psql("SELECT omnimsg_release('$held', 'Bob')"), 't', 'it can be released once more');
	ok($node->poll(state($held), 'sent delivered'), 'and is sent');
	is(posts($person), 3, 'the provider heard of each once');
}
{
	my $person = somebody();

	says($person, 'Wrong number');
	dispatch('off');
	my $late = send_text($person, 'conversation');

	is($node->psql("SELECT omnimsg_release('$late', 'Ann')"), 't', 'an answer is released in time');
	$node->psql("UPDATE omnimsg.reviews SET due_at = now() WHERE address = '$person'");
	is($node->psql("SELECT omnimsg_release('$late', 'Ann')"), 'f', 'past the deadline nothing is released');
	dispatch('on');
	$node->poll("SELECT state FROM omnimsg.outbox WHERE message_id = '$late'", 'suppressed');
	like($node->psql(state($late)), qr/^suppressed blocked opted out/, 'nor sent that was released before');
	is(posts($person), 0, 'the provider has not heard of it');
}

# ---- what waited long is not sent all at once ----
{
	my $person = somebody();

	says($person, 'Wrong number');
	dispatch('off');
	# queued one after another over days, so that no limit stopped any of them
	$node->psql('UPDATE omnimsg.send_limits SET per_day = 100');
	my @queued = map { send_text($person, 'marketing') } 1 .. 6;

	$node->psql("UPDATE omnimsg.send_limits SET per_day = NULL;
		UPDATE omnimsg.outbox o SET created_at = o.created_at - interval '2 days' FROM omnimsg.messages m
		 WHERE m.id = o.message_id AND m.to_number = '$person';
		UPDATE omnimsg.messages SET created_at = created_at - interval '2 days' WHERE to_number = '$person'");
	is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.organization_id = o.organization_id AND m.id = o.message_id
		AND m.created_at = o.created_at WHERE m.to_number = '$person' AND o.state = 'queued' AND m.created_at < now() - interval '1 day'"), 6,
		'six marketing messages have waited for two days');
	like($node->psql_error("SELECT omnimsg_send('$organization', '$person', 'one more', kind => 'marketing')"),
		qr/OM001: .*no more than 3 in 24 hours/, 'what waits is about to be sent, so a seventh is refused');
	$node->psql("SELECT omnimsg_review('@{[review($person)]}', 'none', 'Ann')");
	dispatch('on');
	ok($node->poll(state($_), 'sent delivered'), 'when it is decided the first three are sent') for @queued[0 .. 2];
	ok($node->poll(state($_), 'queued queued no more than 3 in 24 hours'), 'and the others wait') for @queued[3 .. 5];
	is($node->psql("SELECT count(*) FROM omnimsg.outbox o JOIN omnimsg.messages m ON m.id = o.message_id
		WHERE m.to_number = '$person' AND o.state = 'queued' AND o.next_attempt_at > now() + interval '23 hours'"), 3, 'for a day');
	is(posts($person), 3, 'the provider heard of three');
	# a day later
	$node->psql("UPDATE omnimsg.messages SET sent_at = sent_at - interval '24 hours' WHERE to_number = '$person' AND sent_at IS NOT NULL");
	time_passes($_) for @queued[3 .. 5];
	ok($node->poll(state($_), 'sent delivered'), 'a day later they are sent') for @queued[3 .. 5];
}

done_testing;
