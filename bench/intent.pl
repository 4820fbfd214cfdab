#!/usr/bin/env perl
# how long it takes to read what a text means
#
# bench/intent.c over the labelled texts of test/data and over invented chat lines.  OMNIMSG_ROUNDS (5)

use strict;
use warnings;

use Bench;
use File::Basename qw(dirname);

my $top = dirname(__FILE__) . '/..';
my @files = grep { !/heldout/ } glob "$top/test/data/optout_*.tsv $top/test/data/intent_texts*.tsv";
my %texts;

sub run
{
	my %figures;

	open my $pipe, '-|', "$top/build/bench_intent", @files or die "bench_intent: $!";
	while (<$pipe>)
	{
		my ($name, $count, $bytes, $p50, $p99) = /^(\w+) \w+ +(\d+) texts, +([\d.]+) bytes on average: p50 +(\d+) ns +p99 +(\d+) ns/ or next;

		@figures{"${name}_p50", "${name}_p99"} = ($p50, $p99);
		$texts{$name} = [$count, $bytes];
	}
	close $pipe or die 'bench_intent failed';
	return \%figures;
}

my $found = Bench::rounds(reading => \&run)->{reading};

for my $set (['listed', 'labelled texts'], ['chat', 'chat lines'])
{
	my ($name, $what) = @$set;

	Bench::row(goal => sprintf('%s: %d of %.0f bytes, p50', $what, @{ $texts{$name} }), ours => "$found->{\"${name}_p50\"} ns",
		beside => "p99 $found->{\"${name}_p99\"} ns", wanted => 'under 1 us', reached => $found->{"${name}_p50"} < 1000);
}
Bench::note('Of each text the least time of 40 passes is taken, with warm caches, and p50 and p99 are those of the texts.');
