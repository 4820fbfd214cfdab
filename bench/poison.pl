#!/usr/bin/env perl
# what is left of the rate of good events beside poison
#
# Full batches without poison and with each kind of it, by turns, on a server that has nothing else to do.
# OMNIMSG_ROUNDS (5), OMNIMSG_BATCHES (40) of each session in a round, OMNIMSG_BATCH (100), OMNIMSG_SESSIONS (2), OMNIMSG_PERCENT (1)

use strict;
use warnings;

use Bench;
use Omnimsg;
use Time::HiRes qw(time);

my $batches = $ENV{OMNIMSG_BATCHES} // 40;
my $size = $ENV{OMNIMSG_BATCH} // 100;
my $sessions = $ENV{OMNIMSG_SESSIONS} // 2;
my $percent = $ENV{OMNIMSG_PERCENT} // 1;
my @kinds = $ENV{OMNIMSG_KINDS} ? split(/,/, $ENV{OMNIMSG_KINDS}) : qw(unreadable message request);

my $node = Omnimsg->new;
my $did = $node->seed->{did};

$node->kill_relay;
$node->setting('omnimsg.dispatch', 'off');
$node->psql(<<'SQL');
CREATE SCHEMA test;
CREATE TABLE test.events (run text, session int, batch int, bodies bytea[]);
CREATE FUNCTION test.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON omnimsg.messages FOR EACH ROW WHEN (NEW.message_body = 'message') EXECUTE FUNCTION test.refuse();
CREATE FUNCTION test.refuse_stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON omnimsg.opt_out_requests FOR EACH ROW WHEN (NEW.address LIKE '+15559%') EXECUTE FUNCTION test.refuse_stop();
SQL

# run(RUN, KIND): good events a second, and the milliseconds of the processor that each took
sub run
{
	my ($run, $kind) = @_;

	$node->psql(<<"SQL");
TRUNCATE test.events;
INSERT INTO test.events
SELECT '$run', s, b, array_agg(CASE WHEN kind = 'unreadable' THEN convert_to(format('{"data":{"id":"%s-%s"', '$run', n), 'UTF8')
	   ELSE convert_to(json_build_object('data', json_build_object('event_type', 'message.received', 'id', '$run' || n,
			'payload', json_build_object('id', '$run' || n, 'type', 'SMS',
				'text', CASE WHEN kind = 'message' THEN 'message' WHEN kind = 'request' OR n % 50 = 0 THEN 'STOP' ELSE 'Hello' END,
				'received_at', to_char((now() - interval '10 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
				'from', json_build_object('phone_number', '+1555' || CASE kind WHEN 'request' THEN '9' ELSE '3' END || lpad((n % 1000000)::text, 6, '0')),
				'to', json_build_array(json_build_object('phone_number', '$did')))))::text, 'UTF8') END)
  FROM (SELECT s, b, s * 1000000 + b * $size + i AS n, CASE WHEN random() * 100 < $percent THEN '$kind' ELSE 'none' END AS kind
		  FROM generate_series(1, $sessions) AS s, generate_series(1, $batches) AS b, generate_series(1, $size) AS i OFFSET 0) AS w
 GROUP BY s, b;
VACUUM test.events;
CHECKPOINT;
SQL
	my @session = map { $node->session } 1 .. $sessions;
	my @pid = map { $_->query('SELECT pg_backend_pid()') } @session;
	my $call = "SET client_min_messages = error;\nSELECT format('SELECT count(*) FROM omnimsg_ingest_batch(array_fill(''telnyx''::text, ARRAY[$size]),
		(SELECT bodies FROM test.events WHERE session = %s AND batch = %s))', %d, b) FROM generate_series(1, $batches) AS b \\gexec\n";

	# the plans are made before
	$_->query("SELECT count(*) FROM omnimsg_ingest('telnyx', 'warm $run')") for @session;
	my $before = Bench::cpu(@pid);
	my $begin = time;

	$session[$_ - 1]->begin(sprintf $call =~ s/%d/\%d/r =~ s/%s/%%s/gr, $_) for 1 .. $sessions;
	$_->result for @session;
	my $seconds = time - $begin;
	my $used = Bench::cpu(@pid) - $before;
	$_->close for @session;
	my $good = $node->psql("SELECT count(*) FROM omnimsg.events WHERE dedupe_key LIKE 'received:$run%' AND outcome = 'applied'");
	return { rate => $good / $seconds, cost => 1000 * $used / $good };
}

my $turn = 0;
run('warm', 'none');
my $median = Bench::rounds(map { my $kind = $_; $kind => sub { return run($kind . '-' . $turn++ . '-', $kind) } } 'none', @kinds);
for my $kind (@kinds)
{
	my $rate = Bench::ratio($median, $kind, 'none', 'rate');

	Bench::row(goal => "neighbours of poison: $kind", ours => sprintf('%d good events/s, %.3f ms CPU each', @{ $median->{$kind} }{qw(rate cost)}),
		beside => sprintf('none: %d/s, %.3f ms', @{ $median->{none} }{qw(rate cost)}), ratio => sprintf('%.2f x', $rate),
		wanted => 'at least 0.9 x', reached => $rate >= 0.9);
}
Bench::note("$percent % of the events are poison, in full batches of $size from $sessions sessions, which is the limit of the server.");
