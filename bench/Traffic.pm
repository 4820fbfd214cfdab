# Traffic.pm: what the benchmarks of the relay share: a server as a DBA would set it up, with a hundred organizations and a
# million accounts, and bench_load, which writes to it.
#
#   my $traffic = Traffic->new(accounts => 1_000_000, settings => { 'omnimsg.dispatch' => 'off' });
#   my $relay = $traffic->relay(MAX_CONNECTIONS => 256);
#   my $seen = $traffic->load($relay->url, '--seconds', 10);      # as bench_load prints it
#
# The provider's key is registered, as omnimsg_health() demands, so that the database verifies each signature once more; OMNIMSG_WITHOUT_KEY=1
# leaves that out.  OMNIMSG_ROWS makes fewer accounts.

package Traffic;

use strict;
use warnings;

use Bench;
use File::Basename qw(dirname);
use File::Spec;
use JSON::PP qw(decode_json);
use Omnimsg;
use POSIX ();

my $top = File::Spec->rel2abs(dirname(__FILE__) . '/..');
my $organizations = 100;

# new(accounts =>, settings => {name => value of the server})
sub new
{
	my ($class, %options) = @_;
	my $accounts = $ENV{OMNIMSG_ROWS} // $options{accounts};
	my $node = Omnimsg->new;
	my $self = bless { node => $node, accounts => $accounts }, $class;
	my %settings = (
		shared_buffers => '1GB',
		max_wal_size => '8GB',
		checkpoint_timeout => '30min',
		%{ $options{settings} || {} },
	);

	$node->psql("ALTER SYSTEM SET $_ = '$settings{$_}'") for sort keys %settings;
	$node->stop_postgres;
	$node->start;
	print STDERR "loading $accounts accounts ...\n";
	$node->psql(<<"SQL");
INSERT INTO omnimsg.organizations (id, name)
	SELECT ('11111111-1111-7111-8111-' || lpad(n::text, 12, '0'))::uuid, 'Organization ' || n FROM generate_series(0, $organizations - 1) AS n;
INSERT INTO omnimsg.provider_accounts (id, provider, name, secret_name)
	VALUES ('22222222-2222-7222-8222-222222222222', 'telnyx', 'simulator', 'simulator');
INSERT INTO omnimsg.inbound_phone_numbers (phone_number, organization_id, provider, provider_account_id)
	SELECT '+1555' || 2000100 + n, ('11111111-1111-7111-8111-' || lpad(n::text, 12, '0'))::uuid, 'telnyx',
		'22222222-2222-7222-8222-222222222222' FROM generate_series(0, $organizations - 1) AS n;
-- without the trigger, for the numbers are as it would write them
SET session_replication_role = replica;
INSERT INTO omnimsg.collection_accounts (organization_id, name, primary_phone)
	SELECT ('11111111-1111-7111-8111-' || lpad((n % $organizations)::text, 12, '0'))::uuid, 'Customer ' || n, '+1555' || 3000000 + n
		FROM generate_series(0, $accounts - 1) AS n;
VACUUM ANALYZE;
CHECKPOINT;
SQL
	$node->psql("SELECT omnimsg_add_key('22222222-2222-7222-8222-222222222222', '" . $node->public_key . "')") if !$ENV{OMNIMSG_WITHOUT_KEY};
	return $self;
}

sub node
{
	return $_[0]{node};
}

# relay(NAME => value, ...): as Omnimsg's, with the instance's key, ready
sub relay
{
	my ($self, %variables) = @_;
	my $relay = $self->{node}->relay(TELNYX_PUBLIC_KEYS => $self->{node}->public_key, %variables);

	$self->ready($relay->url);
	return $relay;
}

# ready(URL): waits until it can store something
sub ready
{
	my ($self, $url) = @_;

	$self->{node}->wait_until(sub {
		(eval { $self->{node}->request(GET => '/readyz', url => $url)->{status} } // 0) == 200;
	}, 60) or die "nothing gets ready at $url\n";
	return;
}

# begin_load(URL, OPTIONS...): starts bench_load; finish_load(LOAD) waits for it and returns what it printed.  With --wait it has signed all of its
# webhooks then, and begin_sending(LOAD) lets it send them.
sub begin_load
{
	my ($self, $url, @options) = @_;
	my @command = ("$top/build/bench_load", '--url', "$url/webhooks/telnyx", '--key-file',
		$self->{node}->env('OMNIMSG_SIGNING_KEY_FILE'), '--senders', $self->{accounts}, '--numbers', $organizations, @options);
	my %load;

	$load{pid} = open($load{output}, '-|', @command) or die "bench_load: $!";
	if (grep { $_ eq '--wait' } @options)
	{
		my $state = '';

		# T: stopped; Z: dead
		$self->{node}->wait_until(sub {
			open my $file, '<', "/proc/$load{pid}/stat" or return 0;
			($state) = (<$file> // '') =~ /\) (\S)/;
			return ($state // '') =~ /[TZ]/;
		}, 600);
		($state // '') eq 'T' or kill('KILL', $load{pid}), die "bench_load did not get ready\n";
	}
	return \%load;
}

sub begin_sending
{
	my ($self, $load) = @_;

	kill 'CONT', $load->{pid};
	return;
}

sub finish_load
{
	my ($self, $load) = @_;
	my $line = readline $load->{output};

	close $load->{output} or die "bench_load failed: $?\n";
	return decode_json($line);
}

sub load
{
	my ($self, @arguments) = @_;

	return $self->finish_load($self->begin_load(@arguments));
}

# seconds(DEFAULT): OMNIMSG_SECONDS makes a run shorter
sub seconds
{
	return $ENV{OMNIMSG_SECONDS} // $_[1];
}

# failed(SEEN): how many were not answered 200
sub failed
{
	my ($self, $seen) = @_;

	return $seen->{sent} - ($seen->{statuses}{200} // 0);
}

# ---- the peer ----

# the version that is taken where Debian's is not to be had, as beside a Node that is not Debian's
my $package = 'pg@8.23.1';

sub _find_package
{
	my $place = "$top/build/peer-node";

	$ENV{NODE_PATH} = join ':', "$place/node_modules", '/usr/share/nodejs';
	return if system(q{node -e 'require("pg")' 2>/dev/null}) == 0;
	mkdir $place;
	system('npm', 'install', '--silent', '--no-audit', '--no-fund', '--no-package-lock', '--prefix', $place, $package) == 0
		or die "neither Debian's node-pg nor npm's $package could be had\n";
	return;
}

# peer(): the Node server over tables of its own, ready: its URL, and cpu()
sub peer
{
	my ($self, %variables) = @_;
	my $node = $self->{node};
	my $port = 30000 + $$ % 2000;

	_find_package();
	if (!$self->{has_tables}++)
	{
		my ($status, $out, $err) = $node->program('psql', '-X', '-q', '-f', "$top/bench/peer-node/tables.sql");
		$status == 0 or die $err;
		$node->psql('VACUUM ANALYZE; CHECKPOINT');
	}
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		$ENV{$_} = $node->env($_) for qw(PGHOST PGPORT PGDATABASE PGUSER);
		%ENV = (%ENV, PORT => $port, PUBLIC_KEY => $node->public_key, %variables);
		exec 'node', "$top/bench/peer-node/server.js" or POSIX::_exit(127);
	}
	my $peer = bless { pid => $pid, url => "http://127.0.0.1:$port" }, 'Traffic::Peer';
	$node->wait_until(sub { (eval { $node->request(GET => '/healthz', url => $peer->{url})->{status} } // 0) == 200 }, 30)
		or die "the peer does not listen\n";
	return $peer;
}

package Traffic::Peer;

use strict;
use warnings;

sub url
{
	return $_[0]{url};
}

sub pids
{
	my ($self) = @_;

	return ($self->{pid}, Bench::children($self->{pid}));
}

sub DESTROY
{
	my ($self) = @_;
	local $?;

	return if !$self->{pid};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	return;
}

1;
