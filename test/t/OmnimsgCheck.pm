# OmnimsgCheck.pm: whether what both sides have on record fits together.
#
#   my $check = OmnimsgCheck->new($node, ledgers => [FILES]);
#   for my $invariant ($check->invariants)
#   {
#       my ($name, @violations) = @$invariant;
#       is("@violations", '', $name);
#   }
#
# The ledgers are those of "omnimsg-simulator send --ledger": a line of kind "message" before a delivery, one of kind
# "webhook" after each attempt.  What was sent by the dispatcher is in the serving simulator's own
# ledger.  Nothing here is computed by omnimsg: what should be in the database is reckoned from the ledgers.

package OmnimsgCheck;

use strict;
use warnings;

use JSON::PP qw(decode_json);
use Time::Local qw(timegm);

my $opt_out = qr/\A\s*(?:stop|stopall|unsubscribe|cancel|end|quit|revoke)\s*\z/i;
my $opt_in = qr/\A\s*(?:start|unstop)\s*\z/i;
my $shown = 5;					# violations of one invariant that are told
# An address gets another reply to the same trigger ten minutes later, in storms that last so long; the first one may
# have left as late as it was allowed to.
my $apart = 600 - 300;

sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless { node => $node, %options }, $class;

	$self->_read($_) for @{ $self->{ledgers} };
	return $self;
}

sub _read
{
	my ($self, $file) = @_;

	open my $handle, '<', $file or die "$file: $!";
	while (my $line = <$handle>)
	{
		next if $line !~ /\n\z/;
		my $row = _fields($line);
		if ($row->{kind} eq 'message')
		{
			# of several lines of one message the first: the others are its duplicates
			$self->{sent}{ $row->{message_id} } //= $row;
			$self->{untampered}{ $row->{message_id} } = 1 if !$row->{tampered};
		}
		$self->{answered}{ $row->{message_id} } = 1
			if $row->{kind} eq 'webhook' && $row->{http} >= 200 && $row->{http} < 300;
	}
	return;
}

# A line of a ledger is flat; a long storm has a million of them, for which the parser in Perl takes many minutes.
sub _fields
{
	my ($line) = @_;

	return decode_json($line) if index($line, '\\') >= 0 || $line !~ /\A\{[^{}\[\]]*\}\n\z/;
	my %row;
	while ($line =~ /"(\w+)":(?:"([^"]*)"|(true)|(?:null|false)|(-?[\d.]+))/g)
	{
		$row{$1} = $2 // $3 // $4;
	}
	return \%row;
}

sub sent { return scalar keys %{ $_[0]{sent} } }
sub answered { return scalar keys %{ $_[0]{answered} } }

sub _lines { my ($self, $sql) = @_; return split /\n/, $self->{node}->psql($sql) }

sub _seconds
{
	my ($year, $month, $day, $hour, $minute, $second) = $_[0] =~ /\A(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)/
		or die "$_[0] is no time";

	return timegm(0, $minute, $hour, $day, $month - 1, $year) + $second;
}

sub _few
{
	my (@all) = @_;

	return @all > $shown ? (@all[0 .. $shown - 1], '... ' . @all . ' in all') : @all;
}

# each as [name, violations]
sub invariants
{
	my ($self) = @_;

	return (
		['I1 what was answered 200 is stored, once', _few($self->answered_is_stored)],
		['I2 what was not answered is stored at most once', _few($self->stored_at_most_once)],
		['I3 nothing is stored that nobody signed', _few($self->nothing_unsigned)],
		['I4 consent is what the messages say', _few($self->consent)],
		['I5 at most one reply to each trigger of an address in five minutes, confirmations within 300 s', _few($self->replies)],
		['I6 each effect has its one row in the audit, in its own transaction', _few($self->audit)],
		['I7 received = applied + ignored + dead + pending', _few($self->conservation)],
		['I8 everything is with the organization of its number', _few($self->organizations)],
		['I9 nothing is stuck', _few($self->stuck)],
	);
}

sub answered_is_stored
{
	my ($self) = @_;
	my %stored = map { $_ => 1 } $self->_lines("SELECT m.external_message_id FROM omnimsg.messages m
		JOIN omnimsg.events e ON e.message_id = m.id AND e.dedupe_key = 'received:' || m.external_message_id
		WHERE m.direction = 'inbound' AND e.outcome = 'applied'");

	return map { "$_ was answered 200 and is not stored" } grep { !$stored{$_} } sort keys %{ $self->{answered} };
}

sub stored_at_most_once
{
	my ($self) = @_;

	return map { "$_ is stored more than once" } $self->_lines("SELECT external_message_id FROM omnimsg.messages
		WHERE direction = 'inbound' GROUP BY 1 HAVING count(*) > 1 ORDER BY 1");
}

sub nothing_unsigned
{
	my ($self) = @_;

	return map { "$_ is stored" } grep { !$self->{untampered}{$_} }
		$self->_lines("SELECT external_message_id FROM omnimsg.messages WHERE direction = 'inbound'
			UNION SELECT substr(dedupe_key, 10) FROM omnimsg.events WHERE dedupe_key LIKE 'received:%' ORDER BY 1");
}

# the latest STOP or START of an address decides, STOP at the same time; by what is stored, for a message that was
# not answered may be there or not
sub consent
{
	my ($self) = @_;
	my %stored = map { $_ => 1 } $self->_lines("SELECT external_message_id FROM omnimsg.messages WHERE direction = 'inbound'");
	my (%latest, %state);

	for my $id (grep { $stored{$_} && $self->{sent}{$_} } keys %{ $self->{sent} })
	{
		my $row = $self->{sent}{$id};
		my $word = $row->{text} =~ $opt_out ? 'opted_out' : $row->{text} =~ $opt_in ? 'opted_in' : next;
		my $key = "$row->{to}|$row->{from}";
		my $before = $latest{$key};

		next if defined $before && ($before gt $row->{received_at} || $before eq $row->{received_at} && $word eq 'opted_in');
		$latest{$key} = $row->{received_at};
		$state{$key} = $word;
	}
	my %found = map { /\A(.*)\|(\w+)\z/ ? ($1 => $2) : () } $self->_lines("SELECT n.phone_number, c.address, c.state
		FROM omnimsg.consents c JOIN omnimsg.inbound_phone_numbers n ON n.organization_id = c.organization_id
		WHERE c.channel = 'sms' AND c.scope = 'all' AND c.state IS NOT NULL");
	my %all = (%state, %found);

	return ((map { "$_ is " . ($found{$_} // 'none') . ' and should be ' . ($state{$_} // 'none') }
		grep { ($found{$_} // '') ne ($state{$_} // '') } sort keys %all),
		$self->_lines("SELECT 'account ' || a.id || ' says something else than the consent of its phone'
			FROM omnimsg.collection_accounts a JOIN omnimsg.consents c ON c.organization_id = a.organization_id
				AND c.address = a.primary_phone AND c.channel = 'sms' AND c.scope = 'all' AND c.state IS NOT NULL
			WHERE a.secondary_phone IS NULL AND a.sms_consent IS DISTINCT FROM (c.state = 'opted_in')
				AND NOT EXISTS (SELECT 1 FROM omnimsg.account_repairs r WHERE r.account_id = a.id)"));
}

# what the dispatcher really asked of the provider
sub replies
{
	my ($self) = @_;
	my (%posts, %posted, %of_item, @violations);
	my %stopped;

	for my $row (values %{ $self->{sent} })
	{
		push @{ $stopped{ $row->{from} } }, $row->{received_at} if $row->{text} =~ $opt_out;
	}
	for my $post ($self->{node}->ledger(kind => 'post'))
	{
		$posted{ $post->{message_id} } = _seconds($post->{at}) if defined $post->{message_id};
		# of a request that broke off with the worker nothing could be read
		next if !defined $post->{text} && !$post->{accepted};
		my $confirms = $post->{text} =~ /unsubscribed/;

		# a second one after an error that says that nothing was sent is no second text
		push @{ $posts{"$post->{from} to $post->{to}: $post->{text_sha256}"} }, $post
			if $post->{accepted} || $post->{http} == 0 || $post->{http} >= 500;
		push @violations, "a confirmation went to $post->{to}, who said nothing"
			if $confirms && !$stopped{ $post->{to} };
		# by the item that its own webhook_url names, also where the worker never learned the provider's id
		my ($item) = ($post->{webhook_url} // '') =~ /[?&]ob=([0-9a-f-]+)/;
		push @{ $of_item{$item} }, _seconds($post->{at}) if $confirms && $item && ($post->{accepted} || $post->{http} == 0 || $post->{http} >= 500);
	}
	for my $key (sort keys %posts)
	{
		my @times = sort { $a <=> $b } map { _seconds($_->{at}) } @{ $posts{$key} };

		push @violations, 'sent ' . @times . ' times from ' . substr($key, 0, 50)
			if grep { $times[$_] - $times[$_ - 1] < $apart } 1 .. $#times;
	}
	# By when the provider was asked: our own sent_at is that of the webhook where nothing else told of it.
	for my $row ($self->_lines("SELECT o.id, coalesce(m.external_message_id, ''), extract(epoch FROM q.occurred_at) FROM omnimsg.outbox o
		JOIN omnimsg.messages m ON m.id = o.message_id
		JOIN omnimsg.opt_out_requests q ON q.organization_id = o.organization_id AND q.id = o.request_id
		WHERE o.kind = 'opt_out_confirmation'"))
	{
		my ($item, $id, $asked) = split /\|/, $row;
		my @times = @{ $of_item{$item} || [] };

		push @violations, "$item was confirmed, and the provider knows nothing of it" if $id ne '' && !$posted{$id};
		push @violations, "$item was sent " . @times . ' times' if @times > 1;
		push @violations, "$item was confirmed later than 300 s" if grep { $_ > $asked + 300 } @times, $posted{$id} // ();
	}
	return @violations;
}

# a message has one row of its arrival, one for what it asks and one for the reply that it got, all of the same
# transaction, and a reply one end, before which it may have been given up as unknown: the webhook that tells of it may have
# been in the spool meanwhile.  xmin names the transaction; where a message of the batch was refused, the messages are
# of a part of it that was tried again, and the time, which all rows of one batch share, names it for them
sub audit
{
	my ($self) = @_;

	return $self->_lines(<<'SQL');
SELECT 'message ' || m.external_message_id || ' has not one row MESSAGE_RECEIVED of its transaction'
  FROM omnimsg.messages m
  LEFT JOIN omnimsg.events e ON e.provider = 'telnyx' AND e.dedupe_key = 'received:' || m.external_message_id
 WHERE m.direction = 'inbound'
   AND (SELECT string_agg(format('%s %s', a.xmin, a.created_at), ', ') FROM omnimsg.audit_logs a
		 WHERE a.organization_id = m.organization_id AND a.resource_id = m.id AND a.action = 'MESSAGE_RECEIVED')
	   IS DISTINCT FROM format('%s %s', e.xmin, m.created_at)
UNION ALL
SELECT 'request ' || r.id || ' is not of the transaction of its message, or has not one row in the audit'
  FROM omnimsg.opt_out_requests r JOIN omnimsg.messages m ON m.organization_id = r.organization_id AND m.id = r.message_id
 WHERE r.created_at <> m.created_at
	OR r.channel = 'sms'
	   AND (SELECT count(*) FROM omnimsg.audit_logs a
			 WHERE a.organization_id = r.organization_id AND a.resource_id IN (r.id, m.id) AND a.created_at = m.created_at
			   AND a.action = CASE r.request_type WHEN 'opt_out' THEN 'OPT_OUT_REQUESTED' ELSE 'OPT_IN_CONFIRMED' END) <> 1
UNION ALL
SELECT 'reply ' || o.message_id || ' has not one row AUTO_REPLY_QUEUED'
  FROM omnimsg.outbox o
 WHERE (SELECT count(*) FROM omnimsg.audit_logs a
		 WHERE a.organization_id = o.organization_id AND a.resource_id = o.message_id AND a.action = 'AUTO_REPLY_QUEUED') <> 1
UNION ALL
SELECT 'reply ' || o.message_id || ', ' || o.state || ', has not one end in the audit'
  FROM omnimsg.outbox o
	   CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE a.new_value ->> 'reason' = 'outcome unknown') AS given_up,
				   count(*) FILTER (WHERE a.new_value ->> 'reason' IS DISTINCT FROM 'outcome unknown') AS known
			  FROM omnimsg.audit_logs a
			 WHERE a.organization_id = o.organization_id AND a.resource_id = o.message_id
			   AND a.action IN ('AUTO_REPLY_SENT', 'AUTO_REPLY_FAILED', 'AUTO_REPLY_SUPPRESSED')) AS ends
 WHERE o.settled_at IS NOT NULL
   AND NOT CASE o.state WHEN 'unknown' THEN ends.given_up = 1 AND ends.known = 0
						ELSE ends.given_up <= 1 AND ends.known = 1 END
SQL
}

sub conservation
{
	my ($self) = @_;

	return $self->_lines("SELECT provider || ': ' || difference || ' are missing' FROM omnimsg.conservation WHERE NOT is_conserved");
}

sub organizations
{
	my ($self) = @_;

	return $self->_lines(<<'SQL');
SELECT 'message ' || m.id || ' is with another organization than its number'
  FROM omnimsg.messages m
 WHERE NOT EXISTS (SELECT 1 FROM omnimsg.inbound_phone_numbers n
					WHERE n.organization_id = m.organization_id AND n.phone_number = m.our_address)
UNION ALL
SELECT 'message ' || m.id || ' is linked to an account of another organization'
  FROM omnimsg.messages m
 WHERE m.account_id IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM omnimsg.collection_accounts a
					WHERE a.organization_id = m.organization_id AND a.id = m.account_id)
SQL
}

sub stuck
{
	my ($self) = @_;

	return $self->_lines(<<'SQL');
SELECT 'item ' || o.id || ' is ' || o.state || ' since ' || o.created_at
  FROM omnimsg.outbox o WHERE o.settled_at IS NULL
UNION ALL
SELECT 'event ' || e.dedupe_key || ' waits: ' || e.reason
  FROM omnimsg.events e WHERE e.outcome = 'pending' AND e.external_message_id IN (SELECT m.external_message_id FROM omnimsg.messages m)
SQL
}

1;
