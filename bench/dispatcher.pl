#!/usr/bin/env perl
# sends a second by one worker, what they cost it, and how soon a commit becomes a POST
#
# Ten organizations share a worker with 64 requests under way at most, and the provider answers in 150 ms: in the open, and behind TLS
# (nginx, a P-256 certificate, the authorities of the system).  Beside it, at the same rate, libcurl alone: bench/floor_post.c.  The provider's webhooks
# stay away, for what they cost is not the worker's.
# OMNIMSG_ROUNDS (5), OMNIMSG_SECONDS (20) of each run, OMNIMSG_SENDS (100) single ones of a round

use strict;
use warnings;

use Bench;
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::SSL::Utils;
use JSON::PP qw(decode_json);
use Omnimsg;
use POSIX ();
use Time::HiRes qw(sleep time);
use Time::Local qw(timegm);

my $seconds = $ENV{OMNIMSG_SECONDS} // 20;
my $sends = $ENV{OMNIMSG_SENDS} // 100;
my ($organizations, $wanted, $answer_ms, $used) = (10, 300, 150, 200000);
my $top = dirname(__FILE__) . '/..';
my $system_authorities = '/etc/ssl/certs/ca-certificates.crt';
my $node = Omnimsg->new;
my $dir = tempdir('omnimsg-bench-XXXXXX', DIR => -d '/dev/shm' ? '/dev/shm' : '/tmp', CLEANUP => 1);
my %started;

END { kill 'TERM', keys %started }

# launch(LOG, COMMAND...): in the background, until the end of the run
sub launch
{
	my ($log, @command) = @_;
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>', $log or POSIX::_exit(126);
		open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
		exec {$command[0]} @command or POSIX::_exit(127);
	}
	$started{$pid} = 1;
	return;
}

sub slurp
{
	my ($name) = @_;

	open my $file, '<', $name or return '';
	local $/;
	return <$file> // '';
}

# ---- the provider: its ledger is in memory, for its disk is not ours ----

chmod 0755, $dir;
launch("$dir/provider", $node->simulator, 'serve', '--listen', '127.0.0.1:0', '--key-file', $node->env('OMNIMSG_SIGNING_KEY_FILE'),
	'--webhook-url', 'http://127.0.0.1:1/', '--ledger', "$dir/ledger", '--api-key', 'KEY-of-the-simulator');
$node->wait_until(sub { slurp("$dir/provider") =~ /listening on/ }, 20) or die slurp("$dir/provider");
my ($plain) = map { "http://$_" } slurp("$dir/provider") =~ /listening on (\S+)/;

# provider(SPEC): how it answers from now on
sub provider
{
	my ($spec) = @_;

	$node->request(POST => '/sim/reset', body => '', url => $plain);
	$node->request(POST => '/sim/behave', body => $spec, url => $plain)->{status} == 200 or die "the provider refused $spec";
	return;
}

my ($ca, $ca_key) = CERT_create(CA => 1, key => KEY_create_ec('prime256v1'), subject => { commonName => 'An authority of the benchmark' });
my ($cert, $key) = CERT_create(key => KEY_create_ec('prime256v1'), subject => { commonName => 'localhost' },
	subjectAltNames => [[DNS => 'localhost'], [IP => '127.0.0.1']], issuer => [$ca, $ca_key]);

PEM_cert2file($ca, "$dir/ca.pem");
PEM_cert2file($cert, "$dir/cert.pem");
PEM_key2file($key, "$dir/key.pem");
# among as many others as a server trusts
open my $authorities, '>', "$dir/authorities.pem" or die "authorities: $!";
print {$authorities} slurp($system_authorities), slurp("$dir/ca.pem");
close $authorities;
chmod 0644, "$dir/authorities.pem";

my $free = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, ReuseAddr => 1) or die "listen: $!";
my $tls = 'https://127.0.0.1:' . $free->sockport;

close $free;
open my $conf, '>', "$dir/nginx.conf" or die "nginx.conf: $!";
print {$conf} <<"CONF";
pid $dir/nginx.pid;
error_log $dir/nginx.log;
worker_processes 1;
daemon off;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path $dir/body;
	proxy_temp_path $dir/proxy;
	fastcgi_temp_path $dir/fastcgi;
	uwsgi_temp_path $dir/uwsgi;
	scgi_temp_path $dir/scgi;
	upstream provider { server @{[ $plain =~ s{http://}{}r ]}; keepalive 64; }
	server {
		listen @{[ $tls =~ s{https://}{}r ]} ssl;
		ssl_certificate $dir/cert.pem;
		ssl_certificate_key $dir/key.pem;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_session_cache shared:s:1m;
		location / { proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
}
CONF
close $conf;
launch("$dir/nginx.out", '/usr/sbin/nginx', '-c', "$dir/nginx.conf", '-e', "$dir/nginx.log");
$node->wait_until(sub { IO::Socket::INET->new(PeerAddr => $tls =~ s{https://}{}r) }, 20) or die slurp("$dir/nginx.log");

# ---- the server ----

$node->kill_relay;
$node->psql("ALTER SYSTEM SET $_") for "shared_buffers = '1GB'", "max_wal_size = '8GB'", "checkpoint_timeout = '30min'",
	"omnimsg.ca_file = '$dir/authorities.pem'";
$node->stop_postgres;
$node->start;
$node->kill_relay;
$node->psql(<<"SQL");
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name)
	VALUES ('22222222-2222-7222-8222-222222222222', 'telnyx', 'simulator', 'simulator');
INSERT INTO omnimsg.organizations (id, name, consent_policy)
	SELECT format('11111111-1111-7111-8111-%s', lpad(n::text, 12, '0'))::uuid, 'Clinic ' || n, 'implied' FROM generate_series(1, $organizations) AS n;
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	SELECT '+1555200' || lpad(n::text, 4, '0'), format('11111111-1111-7111-8111-%s', lpad(n::text, 12, '0'))::uuid, 'telnyx',
		'22222222-2222-7222-8222-222222222222' FROM generate_series(1, $organizations) AS n;
INSERT INTO omnimsg.send_limits (organization_id, opens, closes)
	SELECT id, '00:00', '24:00' FROM omnimsg.organizations WHERE name LIKE 'Clinic %';
SQL

# a database that has been in use: a month's messages and what people have consented to, and plans for that
my $session = $node->session;
my $person = 2000000;

$session->query(<<"SQL");
INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, provider, external_message_id, created_at)
	SELECT format('11111111-1111-7111-8111-%s', lpad((n % $organizations + 1)::text, 12, '0'))::uuid, omnimsg.uuid7(), d.direction, 'sms',
		CASE d.direction WHEN 'inbound' THEN p.person ELSE p.ours END, CASE d.direction WHEN 'inbound' THEN p.ours ELSE p.person END,
		'See you tomorrow', CASE d.direction WHEN 'inbound' THEN 'received' ELSE 'delivered' END, 'telnyx', omnimsg.uuid7(),
		greatest(date_trunc('month', now()), now() - (n % 86400) * interval '5 seconds')
	  FROM generate_series(1, $used) AS n,
		LATERAL (SELECT '+15554' || lpad((n % 20000)::text, 6, '0') AS person, '+1555200' || lpad((n % $organizations + 1)::text, 4, '0') AS ours) AS p,
		LATERAL (SELECT CASE WHEN n % 2 = 0 THEN 'inbound' ELSE 'outbound' END AS direction) AS d;
INSERT INTO omnimsg.collection_accounts (organization_id, id, name, primary_phone)
	SELECT format('11111111-1111-7111-8111-%s', lpad((n % $organizations + 1)::text, 12, '0'))::uuid, omnimsg.uuid7(), 'Person ' || n,
		'+15554' || lpad((n % 20000)::text, 6, '0') FROM generate_series(1, 20000) AS n;
VACUUM ANALYZE;
SQL

# use(URL, RATE): the provider is there, and the organizations together may send so much a second
sub use_provider
{
	my ($url, $rate) = @_;

	$node->setting('omnimsg.rate_limit', POSIX::ceil($rate / $organizations));
	$node->setting('omnimsg.telnyx_api_base', $url);
	return;
}

# queue(COUNT): so many texts, as an application would queue them, to people of their own
sub queue
{
	my ($count) = @_;

	$node->psql(<<"SQL");
WITH m AS (
	INSERT INTO omnimsg.messages (organization_id, id, direction, channel, from_number, to_number, message_body, status, provider, created_at)
		SELECT format('11111111-1111-7111-8111-%s', lpad((n % $organizations + 1)::text, 12, '0'))::uuid, omnimsg.uuid7(), 'outbound', 'sms',
			'+1555200' || lpad((n % $organizations + 1)::text, 4, '0'), '+1555' || n, 'Your appointment is tomorrow', 'queued', 'telnyx', now()
		  FROM generate_series($person, $person + $count - 1) AS n
	RETURNING organization_id, id, created_at)
INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, next_attempt_at, expires_at, created_at)
	SELECT organization_id, omnimsg.uuid7(), id, 'notification', now(), now() + interval '1 hour', created_at FROM m;
SELECT pg_reload_conf();
SQL
	$person += $count;
	return;
}

sub worker
{
	my ($pid, $sent) = split /\|/, $session->query('SELECT pid, sent FROM omnimsg_worker_status()');

	return ($pid, $sent, time, Bench::cpu($pid));
}

# sending(URL, RATE): texts a second of a backlog that does not end meanwhile, and the worker's processor time for 300 a second
sub sending
{
	my ($url, $rate) = @_;

	provider("delay:ms=$answer_ms,accept=no");
	use_provider($url, $rate);
	$session->query('CHECKPOINT');
	my $reach = $rate < 500 ? $rate : 500;
	queue($reach * ($seconds + 3));
	# the buckets of the organizations are full at first
	sleep 2;
	my ($pid, $sent, $at, $cpu) = worker();
	sleep $seconds;
	my ($same, $sent_now, $now, $cpu_now) = worker();

	$pid == $same or die 'the worker has died';
	$session->query("UPDATE omnimsg.outbox SET state = 'suppressed', settled_at = now() WHERE state = 'queued'");
	$node->poll('SELECT in_flight FROM omnimsg_worker_status()', 0) or die 'it does not end';
	my $texts = $sent_now - $sent;
	return { rate => $texts / ($now - $at), percent => ($cpu_now - $cpu) / $texts * $wanted * 100 };
}

# floor(URL): the same of libcurl alone
sub floor
{
	my ($url) = @_;

	provider("delay:ms=$answer_ms,accept=no");
	my @command = ("$top/build/floor_post", "$url/v2/messages", 'KEY-of-the-simulator', $wanted, $seconds,
		$node->env('OMNIMSG_RELAY_URL') . '/webhooks/telnyx', $url =~ /^https/ ? "$dir/authorities.pem" : ());
	open my $pipe, '-|', @command or die "floor_post: $!";
	my ($sent, undef, $cpu) = join('', <$pipe>) =~ /^sent (\d+) seconds (\S+) cpu (\S+)/;
	close $pipe;
	$sent or die 'floor_post failed';
	return { percent => $cpu / $sent * $wanted * 100 };
}

# ---- from the commit to the POST ----

sub seconds_of
{
	my ($year, $month, $day, $hour, $minute, $second) = $_[0] =~ /\A(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)/;

	return timegm(0, $minute, $hour, $day, $month - 1, $year) + $second;
}

# waiting(URL): milliseconds from the moment when a commit has returned until the provider has the POST, each when nothing else is under way
sub waiting
{
	my ($url) = @_;
	my (%committed, %posted);

	provider('ok:accept=no');
	use_provider($url, 10000);
	sleep 0.5;
	for my $n (1 .. $sends)
	{
		my $to = '+1555' . $person++;
		my (undef, $at) = split /\n/, $session->query("SELECT omnimsg_send('11111111-1111-7111-8111-000000000001', '$to',
			'Your appointment is tomorrow', kind => 'notification');\nSELECT extract(epoch FROM clock_timestamp())");

		$committed{$to} = $at;
		sleep 0.03 + rand 0.03;
	}
	$node->poll('SELECT in_flight FROM omnimsg_worker_status()', 0) or die 'it does not end';
	open my $ledger, '<', "$dir/ledger" or die "ledger: $!";
	while (my $line = <$ledger>)
	{
		my $post = decode_json($line);

		$posted{ $post->{to} } = seconds_of($post->{at}) if $post->{kind} eq 'post' && $committed{ $post->{to} };
	}
	close $ledger;
	my @waited = sort { $a <=> $b } map { ($posted{$_} // die "no POST to $_") - $committed{$_} } keys %committed;
	return { p50 => $waited[$#waited * 0.5] * 1000, p95 => $waited[$#waited * 0.95] * 1000, max => $waited[-1] * 1000 };
}

# ---- the rounds ----

my $found = Bench::rounds(
	most => sub { sending($plain, 5000) },
	most_tls => sub { sending($tls, 5000) },
	plain => sub { sending($plain, $wanted) },
	floor => sub { floor($plain) },
	tls => sub { sending($tls, $wanted) },
	floor_tls => sub { floor($tls) },
	waiting => sub { waiting($plain) },
	waiting_tls => sub { waiting($tls) });
my $slots = 64 / ($answer_ms / 1000);

for my $kind (['', 'without TLS'], ['_tls', 'with TLS'])
{
	my ($suffix, $name) = @$kind;

	Bench::row(goal => "sends by one worker, answers in $answer_ms ms, $name", ours => sprintf('%.0f/s', $found->{"most$suffix"}{rate}),
		beside => sprintf('64 under way: %.0f/s', $slots), ratio => sprintf('%.2f x', $found->{"most$suffix"}{rate} / $slots),
		wanted => "at least $wanted/s", reached => $found->{"most$suffix"}{rate} >= $wanted);
}
for my $kind (['plain', 'floor', 'without TLS'], ['tls', 'floor_tls', 'with TLS'])
{
	my ($ours, $floor, $name) = @$kind;
	my $percent = $found->{$ours}{percent};

	Bench::row(goal => sprintf("the worker's share of a core for each $wanted sends/s, %s, at %.0f/s", $name, $found->{$ours}{rate}), ours => sprintf('%.1f %%', $percent),
		beside => sprintf('libcurl alone: %.1f %%', $found->{$floor}{percent}), ratio => sprintf('%.1f x', Bench::ratio($found, $ours, $floor, 'percent')),
		wanted => $ours eq 'tls' ? undef : 'under 15 %', reached => $percent < 15);
}
for my $kind (['waiting', 'without TLS', 20], ['waiting_tls', 'with TLS', 0])
{
	my ($name, $how, $limit) = @$kind;
	my $of = $found->{$name};

	Bench::row(goal => "from the commit to the POST, idle, $how: p95", ours => sprintf('%.1f ms', $of->{p95}), beside => sprintf('p50 %.1f ms', $of->{p50}),
		wanted => $limit ? "under $limit ms" : undef, reached => $limit && $of->{p95} < $limit);
}
Bench::note(sprintf 'The rounds without TLS gave %s sends/s. Its share of a core was taken while it was told to send %d/s, as was libcurl alone.',
	join(', ', map { sprintf '%.0f', $_ } @{ $found->{most}{all}{rate} }), $wanted);
Bench::note('Each POST has a connection of its own, and with TLS a handshake: on one that is kept the provider may hang up when a message is on its way. '
	. 'The provider reports nothing of what becomes of the messages, for that is not the worker\'s work. The share of a core is of the worker\'s process alone; the provider, nginx and the other processes of PostgreSQL ran on the same cores.');
