# Quiet hours against a reckoning of their own: on a grid of 15 minutes, by AT TIME ZONE, when it is next
# day in all zones at once.  Whole weeks, both sides of every change of the clocks, and whose limits hold.

use strict;
use warnings;

use Omnimsg;
use Test::More;

my $node = Omnimsg->new;
my $made = $node->seed;
my ($organization, $did) = @$made{qw(organization did)};
my $session = $node->session;

$session->query(<<"SQL");
SET timezone = 'UTC';
SET client_min_messages = warning;
SET plan_cache_mode = force_generic_plan;	-- one statement, fifty thousand times
-- what the gate says at every step, and in the last microsecond of its quarter of an hour, against what it should say:
-- how often it was asked, how often it said "hold", and the first answer that is wrong, or 'no'
CREATE FUNCTION pg_temp.compare(address text, zones text[], opens time, closes time, first timestamptz, last timestamptz, step interval,
		OUT asked bigint, OUT held bigint, OUT wrong text) LANGUAGE sql AS \$\$
	WITH day AS (
		SELECT g, bool_and((g AT TIME ZONE z)::time >= opens AND (g AT TIME ZONE z)::time < closes) AS here
		  FROM generate_series(first, last + interval '8 days', '15 minutes') AS g, unnest(zones) AS z GROUP BY g),
	next AS (
		SELECT g, here, min(g) FILTER (WHERE here) OVER (ORDER BY g DESC) AS opening FROM day),
	answer AS (
		SELECT g + late AS at, e.verdict || coalesce(' until ' || e.not_before, '') AS said,
			   CASE WHEN here THEN 'allow' WHEN opening IS NULL THEN 'block' ELSE 'hold until ' || opening END AS reckoned
		  FROM next, (VALUES (interval '0'), (interval '14:59.999999')) AS w (late),
			   omnimsg_explain_send('$organization', 'sms', address, at => g + late) AS e
		 WHERE g < last AND extract(epoch FROM g - first)::int % extract(epoch FROM step)::int = 0 AND e.gate = 'quiet_hours')
	SELECT count(*), count(*) FILTER (WHERE said <> 'allow'),
		   coalesce((SELECT format('at %s: %s, not %s', at, said, reckoned) FROM answer WHERE said <> reckoned ORDER BY at LIMIT 1), 'no')
	  FROM answer
\$\$;
SQL

# compare(ADDRESS, [ZONES], OPENS, CLOSES, FIRST, LAST, STEP): asked, held and 'no' when nothing was wrong
sub compare
{
	my ($address, $zones, @rest) = @_;

	return split /\|/, $session->query(sprintf "SELECT * FROM pg_temp.compare('%s', '{%s}', '%s', '%s', '%s', '%s', '%s')",
		$address, join(',', @$zones), @rest);
}

sub limit
{
	my (%limit) = @_;
	my @names = sort keys %limit;

	$session->query(sprintf "INSERT INTO omnimsg.send_limits (organization_id, %s) VALUES ('$organization', %s)",
		join(', ', @names), join(', ', map { "'$limit{$_}'" } @names));
	return;
}

sub no_limits { $session->query('DELETE FROM omnimsg.send_limits'); return }

my %number = (
	'America/New_York' => '+12125550123',
	'America/Los_Angeles' => '+13105550123',
	'Europe/London' => '+442079460123',
	'Australia/Sydney' => '+61370101234',
);

# ---- 24 hours, 7 days ----

# number, zones of accounts, zone of the organization, zones that count
my @weeks = (
	(map { [$number{$_}, [], undef, [$_]] } sort keys %number),
	[$number{'America/New_York'}, ['America/Los_Angeles'], undef, ['America/New_York', 'America/Los_Angeles']],
	[$number{'America/New_York'}, [], 'Pacific/Honolulu', ['America/New_York', 'Pacific/Honolulu']],
	[$number{'America/New_York'}, ['Europe/London'], 'America/Los_Angeles', ['America/New_York', 'Europe/London', 'America/Los_Angeles']],
	[$number{'Europe/London'}, ['America/Chicago', 'America/Denver'], undef, ['Europe/London', 'America/Chicago', 'America/Denver']],
	# an area of two zones, and an account that settles which, or contradicts
	['+61255501234', [], undef, ['Australia/Sydney', 'Australia/Lord_Howe']],
	['+61255501234', ['Australia/Sydney'], undef, ['Australia/Sydney']],
	['+61255501234', ['Australia/Perth'], undef, ['Australia/Sydney', 'Australia/Lord_Howe', 'Australia/Perth']],
	# a number that tells its country only
	['+61491570156', [], undef, ['Australia/Lord_Howe', 'Australia/Sydney', 'Australia/Perth', 'Indian/Cocos']],
	['+61491570156', [], 'Australia/Perth', ['Australia/Perth']],
	['+61491570156', ['Australia/Sydney'], 'Australia/Perth', ['Australia/Sydney', 'Australia/Perth']],
	['+18005550123', [], 'America/Denver', ['America/Denver']],
	['+18005550123', ['America/Chicago'], undef, ['America/Chicago']],
	['+912212345678', ['Asia/Kathmandu'], 'Australia/Adelaide', ['Asia/Kolkata', 'Asia/Kathmandu', 'Australia/Adelaide']],
	[$number{'Australia/Sydney'}, ['America/New_York'], undef, ['Australia/Sydney', 'America/New_York']],
	[$number{'America/Los_Angeles'}, ['Asia/Tokyo'], 'Europe/London', ['America/Los_Angeles', 'Asia/Tokyo', 'Europe/London']],
	# names that the server does not know neither stand for a place nor displace one
	[$number{'Europe/London'}, ['Mars/Olympus'], '../UTC', ['Europe/London']],
	['+61491570156', ['Mars/Olympus', ''], undef, ['Australia/Lord_Howe', 'Australia/Sydney', 'Australia/Perth', 'Indian/Cocos']],
	['+61491570156', [], 'Mars/Olympus', ['Australia/Lord_Howe', 'Australia/Sydney', 'Australia/Perth', 'Indian/Cocos']],
	['26296', [], 'Asia/Tokyo', ['Asia/Tokyo']],
);

for my $row (@weeks)
{
	my ($address, $accounts, $zone, $zones) = @$row;

	$session->query('DELETE FROM omnimsg.collection_accounts');
	$session->query("INSERT INTO omnimsg.collection_accounts (organization_id, primary_phone, timezone)
		VALUES ('$organization', '$address', '$_')") for @$accounts;
	$session->query(sprintf "UPDATE omnimsg.organizations SET timezone = %s WHERE id = '$organization'",
		defined $zone ? "'$zone'" : 'NULL');
	# a plain week, and one in which the clocks of some change
	for my $monday ('2026-06-01', '2026-03-23')
	{
		my ($asked, $held, $wrong) = compare($address, $zones, '08:00', '20:00', "$monday 00:00+00",
			$monday =~ s/(\d\d)$/sprintf '%02d', $1 + 7/re . ' 00:00+00', '30 minutes');

		is($wrong, 'no', "a week from $monday in @$zones") or next;
		is($asked, 7 * 24 * 2 * 2, 'was asked about');
		# no day has more than 12 hours, and one that is part of two has no more
		cmp_ok($held, $#$zones ? '>=' : '==', $asked / 2, 'and half of it, or more, was quiet') if "@$zones" !~ /Europe/ || $monday =~ /06/;
	}
}

# another account of the person, by its second phone
$session->query(<<SQL);
UPDATE omnimsg.organizations SET timezone = NULL;
DELETE FROM omnimsg.collection_accounts;
INSERT INTO omnimsg.collection_accounts (organization_id, primary_phone, secondary_phone, timezone)
	VALUES ('$organization', '+15552000199', '$number{'America/New_York'}', 'Pacific/Honolulu');
SQL
is((compare($number{'America/New_York'}, ['America/New_York', 'Pacific/Honolulu'], '08:00', '20:00', '2026-06-01 00:00+00',
	'2026-06-02 00:00+00', '15 minutes'))[2], 'no', 'the time zone of an account counts for its second phone, too');
$session->query('DELETE FROM omnimsg.collection_accounts');

# where nothing is known there is no night
is($session->query(<<SQL), "$_: allow no time zone is known", 'nothing is known of the place of ' . (/^.1/ ? 'a toll-free number' : 'a short code'))
SELECT '$_: ' || string_agg(DISTINCT concat_ws(' ', verdict, reason), ',')
  FROM generate_series('2026-06-01'::timestamptz, '2026-06-02', '1 hour') AS g, omnimsg_explain_send('$organization', 'sms', '$_', at => g)
 WHERE gate = 'quiet_hours'
SQL
	for '+18005550123', '26296';

# ---- both sides of each change ----

# when the clocks change, by the rules of each country
my %changes = (
	'America/New_York' => ['2026-03-08 07:00', '2026-11-01 06:00', '2027-03-14 07:00', '2027-11-07 06:00'],
	'America/Los_Angeles' => ['2026-03-08 10:00', '2026-11-01 09:00', '2027-03-14 10:00', '2027-11-07 09:00'],
	'Europe/London' => ['2026-03-29 01:00', '2026-10-25 01:00', '2027-03-28 01:00', '2027-10-31 01:00'],
	'Australia/Sydney' => ['2026-04-04 16:00', '2026-10-03 16:00', '2027-04-03 16:00', '2027-10-02 16:00'],
);

# the default, what opens or closes in the hour that is skipped or comes twice, what lies in it, what touches it
my @windows = (undef, ['02:30', '20:00'], ['00:30', '03:30'], ['01:30', '20:00'], ['02:00', '03:00'], ['02:15', '02:45'],
	['01:15', '01:45'], ['03:00', '04:00']);

for my $zone (sort keys %changes)
{
	for my $change (@{ $changes{$zone} })
	{
		is($session->query(<<SQL), '01:00:00', "the clocks change in $zone at $change, by an hour");
SELECT greatest(w, -w) FROM (SELECT ('$change+00'::timestamptz AT TIME ZONE '$zone')
	- ('$change+00'::timestamptz - interval '1 us') AT TIME ZONE '$zone' - interval '1 us') AS x (w)
SQL
		for my $window (@windows)
		{
			my ($opens, $closes) = $window ? @$window : ('08:00', '20:00');

			no_limits();
			limit(region => '*', opens => $opens, closes => $closes) if $window;
			my ($asked, $held, $wrong) = compare($number{$zone}, [$zone], $opens, $closes,
				(map { $session->query("SELECT '$change+00'::timestamptz $_") } "- interval '26 hours'", "+ interval '6 hours'"), '15 minutes');

			is($wrong, 'no', "$opens to $closes around it") or next;
			is($asked, 32 * 4 * 2, 'was asked about') if !$window;
		}
	}
}

# ---- whose limits hold, value by value ----

# the window of a number and how often it may be written to, as far as the gate tells
sub limits
{
	my ($address, $zone, $kind) = @_;
	my $explain = "omnimsg_explain_send('$organization', 'sms', '$address', kind => '@{[$kind // 'notification']}', at => ";
	my $sent = sub {
		my ($ago, $times) = @_;

		return <<SQL;
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, status, sent_at, created_at)
	SELECT '$organization', omnimsg.uuid7(), 'outbound', 'sms', '$did', '$address', 'sent', now() - interval '$ago', now() - interval '$ago'
	  FROM generate_series(1, $times)
SQL
	};
	my $found = $session->query(<<SQL);
BEGIN;
SELECT min((g AT TIME ZONE '$zone')::time) || '-' || max((g AT TIME ZONE '$zone')::time)
  FROM generate_series('2026-06-01'::timestamptz, '2026-06-02 23:45', '15 minutes') AS g, ${explain}g) AS e
 WHERE e.gate = 'quiet_hours' AND e.verdict = 'allow';
@{[$sent->('1 hour', 5)]};
SELECT coalesce(substring(reason FROM 'no more than (\\d+) in 24 hours'), 'any') FROM ${explain}now()) WHERE gate = 'frequency';
@{[$sent->('3 days', 5)]};
SELECT coalesce(substring(reason FROM 'no more than (\\d+) in seven days'), 'any') FROM ${explain}now()) WHERE gate = 'frequency';
ROLLBACK
SQL
	return $found =~ s/\n/ /gr =~ s/:00//gr;
}

my ($ny, $la, $london) = @number{'America/New_York', 'America/Los_Angeles', 'Europe/London'};
my $toronto = '+14165550123';

no_limits();
is(limits($ny, 'America/New_York'), '08-19:45 any any', 'without a row: 08:00 to 20:00 and no limit');
is(limits($ny, 'America/New_York', 'marketing'), '08-19:45 3 any', 'but three in 24 hours where they include marketing');
$session->query("INSERT INTO omnimsg.organizations (id, name) VALUES ('33333333-3333-7333-8333-333333333333', 'Lake Fitness');
	INSERT INTO omnimsg.send_limits VALUES ('33333333-3333-7333-8333-333333333333', '*', '03:00', '04:00', 1, 1)");
is(limits($ny, 'America/New_York'), '08-19:45 any any', 'rows of others say nothing');
limit(region => '*', opens => '09:00', closes => '17:00', per_day => 2, per_week => 6);
is(limits($ny, 'America/New_York'), '09-16:45 2 6', '* is for all');
is(limits($ny, 'America/New_York', 'marketing'), '09-16:45 2 6', 'marketing too');
limit(region => 'US', opens => '10:00', closes => '18:00');
is(limits($la, 'America/Los_Angeles'), '10-17:45 2 6', 'a region decides what it says, and leaves the rest');
is(limits($toronto, 'America/Toronto'), '09-16:45 2 6', 'and is no other\'s');
limit(region => '+1', per_day => 4);
is(limits($toronto, 'America/Toronto'), '09-16:45 4 6', 'a calling code is narrower than *');
is(limits($la, 'America/Los_Angeles'), '10-17:45 4 6', 'and decides what the region leaves open');
$session->query("UPDATE omnimsg.send_limits SET per_day = 3 WHERE region = 'US'");
is(limits($la, 'America/Los_Angeles'), '10-17:45 3 6', 'but a region is narrower than its calling code');
limit(region => '+1212', per_week => 7);
is(limits($ny, 'America/New_York'), '10-17:45 3 7', 'an area code is narrower than a region');
is(limits($la, 'America/Los_Angeles'), '10-17:45 3 6', 'and is no other\'s');
limit(region => '+12125550', opens => '11:00', closes => '12:00');
limit(region => $ny, per_day => 1, per_week => 8);
is(limits($ny, 'America/New_York'), '11-11:45 1 8', 'the beginning of a number, and all of it');
is(limits('+12125550199', 'America/New_York'), '11-11:45 3 7', 'its neighbour has the same beginning only');
limit(region => '+44', per_day => 1);
is(limits($london, 'Europe/London'), '09-16:45 1 6', 'another calling code');
limit(region => 'GB', per_day => 4, opens => '12:00', closes => '24:00');
is(limits($london, 'Europe/London'), '12-23:45 4 6', 'and its region, until midnight');
limit(region => '+4420', per_day => 3);
is(limits($london, 'Europe/London'), '12-23:45 3 6', 'and an area of that');
no_limits();
limit(region => '*', per_day => 5);
is(limits($ny, 'America/New_York', 'marketing'), '08-19:45 5 any', 'a row lets more marketing pass than the default');
limit(region => 'US', opens => '00:00', closes => '24:00', per_week => 10);
is(limits($ny, 'America/New_York'), '00-23:45 5 10', 'a window can be the whole day');
no_limits();
limit(region => '*', per_day => 0);
is(limits($ny, 'America/New_York'), '08-19:45 0 any', 'no message a day');
$session->query("UPDATE omnimsg.send_limits SET per_week = 0, per_day = NULL WHERE region = '*' AND organization_id = '$organization'");
is(limits($ny, 'America/New_York'), '08-19:45 any 0', 'no message a week');

$session->close;
done_testing;
