# What deploy/ ships for the relay: a systemd unit that takes away what it does not need, and settings that exist; and
# the modes of its files, whatever the umask.

use strict;
use warnings;

use File::Temp qw(tempdir);
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

done_testing;
