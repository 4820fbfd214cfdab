#!/usr/bin/env perl
# how long it takes to read a phone number, beside libphonenumber
#
# bench/phone.cc; of the numbers of each kind the slowest, and the least that libphonenumber takes more.  OMNIMSG_ROUNDS (5)

use strict;
use warnings;

use Bench;
use File::Basename qw(dirname);

my $top = dirname(__FILE__) . '/..';

sub run
{
	my %figures;

	open my $pipe, '-|', "$top/build/oracle/bench_phone" or die "bench_phone: $!";
	while (<$pipe>)
	{
		my ($kind, $ours, $theirs) = /^(canonical|messy|none) .* +([\d.]+) +(\d+) +\d+x +\d+ +\d+x$/ or next;

		$figures{$kind} = $ours if $ours > ($figures{$kind} // 0);
		$figures{"${kind}_theirs"} = $theirs if $theirs < ($figures{"${kind}_theirs"} // 1e12);
		$figures{"${kind}_ratio"} = $theirs / $ours if $theirs / $ours < ($figures{"${kind}_ratio"} // 1e12);
	}
	close $pipe or die 'bench_phone failed';
	return \%figures;
}

my $found = Bench::rounds(reading => \&run)->{reading};

for my $kind (['canonical', 'canonical, as +14155552671', 60], ['messy', 'as people write them', 1000], ['none', 'no number'])
{
	my ($name, $what, $limit) = @$kind;

	Bench::row(goal => "$what: the slowest", ours => sprintf('%.0f ns', $found->{$name}),
		beside => sprintf('libphonenumber, parsed and formatted: from %.1f us', $found->{"${name}_theirs"} / 1000),
		ratio => sprintf('at least %.0f x', $found->{"${name}_ratio"}), wanted => !$limit ? undef : $limit < 1000 ? "under $limit ns" : 'under 1 us',
		reached => $limit && $found->{$name} < $limit);
}
Bench::note('Of each number the least time of 31 passes is taken, with warm caches, on both sides.');
Bench::note('Ours tells region, type and validity besides; libphonenumber takes several times as long with those.');
