# What deploy/ ships for the relay: a systemd unit that takes away what it does not need, and settings that exist; alerts and a
# dashboard over metrics that exist; and the modes of its files, whatever the umask.

use strict;
use warnings;

use File::Temp qw(tempdir);
use JSON::PP qw(decode_json);
use Omnimsg;
use Test::More;

sub read_file
{
	my ($path) = @_;

	open my $handle, '<', $path or die "$path: $!";
	local $/;
	return <$handle>;
}

my $dir = tempdir(CLEANUP => 1);
my $unit = read_file('deploy/omnimsg-relay.service');

# ---- the unit ----

SKIP: {
	skip 'there is no systemd-analyze', 2 if system('systemd-analyze --version >/dev/null 2>&1') != 0;
	chomp(my $here = qx{pwd});
	my $copy = "$dir/omnimsg-relay.service";

	# verify looks whether the program is there
	(my $local = $unit) =~ s{^ExecStart=/usr/local/bin/}{ExecStart=$here/build/}m or die 'the unit has no such ExecStart';
	open my $handle, '>', $copy or die "$copy: $!";
	print {$handle} $local;
	close $handle;
	my $said = qx{SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --recursive-errors=no --man=no $copy 2>&1};
	is($? >> 8, 0, 'systemd finds nothing wrong with the unit') or diag($said);
	$said = qx{systemd-analyze security --no-pager --offline=yes --threshold=20 $copy 2>&1};
	is($? >> 8, 0, 'and rates its exposure 2 of 10 or better') or diag($said);
}
for my $line ('NoNewPrivileges=yes', 'CapabilityBoundingSet=', 'ProtectSystem=strict', 'ProtectHome=yes', 'PrivateTmp=yes',
	'PrivateDevices=yes', 'ProtectProc=invisible', 'MemoryDenyWriteExecute=yes', 'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6',
	'RestrictNamespaces=yes', 'SystemCallArchitectures=native', 'SystemCallFilter=@system-service', 'UMask=0077',
	'StateDirectoryMode=0700', 'LimitCORE=0', 'LimitNOFILE=16384', 'MemoryMax=256M', 'MemorySwapMax=0')
{
	like($unit, qr/^\Q$line\E$/m, "the unit says $line");
}

# ---- the settings ----

my %known = map { $_ => 1 } qx{build/omnimsg-relay --help} =~ /^  (OMNIMSG_RELAY_\w+)/mg;
my %shipped = map { $_ => 1 } read_file('deploy/omnimsg-relay.env') =~ /^#?(OMNIMSG_RELAY_\w+)=/mg;
is(join(' ', sort keys %shipped), join(' ', sort keys %known), 'the sample of the settings has all that the relay reads, and no other');
my %documented = map { $_ => 1 } read_file('doc/relay.md') =~ /^\| `(OMNIMSG_RELAY_\w+)`/mg;
is(join(' ', sort keys %documented), join(' ', sort keys %known), 'so has its page');

# ---- its files ----

my $node = Omnimsg->new;
my $spool = $node->dir . '/private';

mkdir $spool;
chmod 0700, $spool;
umask 0;
my $relay = $node->relay(TELNYX_PUBLIC_KEYS => $node->public_key, SPOOL => "$spool/spool.db");
$relay->url;
my @files = sort glob "$spool/*";
cmp_ok(scalar @files, '>=', 1, 'a relay makes its spool');
is(join(' ', map { sprintf '%04o', (stat)[2] & 07777 } @files), join(' ', ('0600') x @files),
	'which nobody else can read, whatever the umask is');

# ---- metrics ----

# The relay says what its are called.  It knows the clocks' only once both sides have told theirs, so its page stands in for these.
my %metric = map { $_ => 1 } $node->request(GET => '/metrics', url => $relay->url)->{body} =~ /^(omnimsg_relay_\w+)/mg;
$metric{"omnimsg_relay_$_"} = 1 for read_file('doc/relay.md') =~ /^\| `(clock_skew_seconds)\{peer\}` \| gauge/m;
my $query;
for my $line (split /\n/, read_file('deploy/prometheus/postgres_exporter.yml'))
{
	$query = $1 if $line =~ /^(omnimsg_\w+):$/;
	$metric{"${query}_$1"} = 1 if $line =~ /^    - (\w+):$/;
}

sub unknown
{
	my %used = map { $_ => 1 } grep { !$metric{$_} } map { /\b(omnimsg_\w+)/g } @_;

	return join ' ', sort keys %used;
}

my @alerts = read_file('deploy/prometheus/rules.yml') =~ /^        expr: (.*?)\n        (?:for|labels):/msg;
my $dashboard = decode_json(read_file('deploy/grafana/omnimsg.json'));
my @targets = map { @{ $_->{targets} } } @{ $dashboard->{panels} };
my @expressions = map { $_->{expr} } @targets;
cmp_ok(scalar @alerts, '>=', 10, 'there are alerts');
is(unknown(@alerts), '', 'which name metrics that exist');
like(join(' ', @alerts), qr/omnimsg_findings_count\{severity="error"\} > 0/, 'one wakes somebody when omnimsg_health() finds an error');
cmp_ok(scalar @expressions, '>=', 20, 'there is a dashboard');
is(unknown(@expressions, map { $_->{definition} // () } @{ $dashboard->{templating}{list} }), '', 'which names metrics that exist, too');
is(unknown('omnimsg_relay_no_such_thing'), 'omnimsg_relay_no_such_thing', 'as it would be told otherwise');
cmp_ok($dashboard->{schemaVersion}, '>=', 36, 'it is of a form that Grafana reads');
my %ids = map { $_->{id} => 1 } @{ $dashboard->{panels} };
is(scalar keys %ids, scalar @{ $dashboard->{panels} }, 'its panels have ids of their own');
my %sources = map { $_->{datasource}{uid} => 1 } @{ $dashboard->{panels} };
is(join(' ', (keys %sources), map { $_->{name} } grep { $_->{type} eq 'datasource' } @{ $dashboard->{templating}{list} }), '${datasource} datasource',
	'they ask the data source that is chosen above');

done_testing;
