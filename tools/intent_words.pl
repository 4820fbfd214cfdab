#!/usr/bin/env perl
# tools/intent_words.pl: makes of src/core/intent_words.txt
#	intent_words.c	a hash table with open addressing, in which a word is found in a step or two
#	intent_names.h	the index of each word there, by which rules name words
# Usage: tools/intent_words.pl FILE words|names >OUTPUT
use strict;
use warnings;

# what a word is for the message as a whole, and which channel it names; the rest are
# classes by which the phrase rules know it
my %use = map { $_ => 1 } qw(KEY KEYIN KEYHELP FILL FILLPART SWEAR LAUGH CH_SMS CH_VOICE CH_EMAIL KIN PET TEAR SLIP DID);
my (%classes, %uses, %language);

my $usage = "usage: tools/intent_words.pl FILE words|names >OUTPUT\n";
if ("@ARGV" eq '--help') { print $usage; exit }
die $usage unless @ARGV == 2;
open(my $in, '<', $ARGV[0]) or die "$ARGV[0]: $!\n";
while (my $line = <$in>)
{
	next if $line =~ /^\s*(#|$)/;
	my ($class, $language, $words) = $line =~ /^([A-Z_]+) (en|es|fr|pt): ([a-z0-9 ]+)$/
	  or die "$ARGV[0] line $.: not CLASS LANGUAGE: WORD...\n";
	for my $word (split ' ', $words)
	{
		die "$ARGV[0] line $.: $word is too long\n" if length $word > 15;
		# a word of several languages tells nothing about the language
		$language{$word} //= $language;
		$language{$word} = '' if $language{$word} ne $language;
		$classes{$word} //= {};
		$uses{$word} //= {};
		next if $class eq 'SAFE';
		($use{$class} ? $uses{$word} : $classes{$word})->{$class} = 1;
	}
}
close $in;

# as om_intent_hash() in intent_tokens.c
sub hash_of
{
	my $hash = 5381;
	$hash = ($hash * 33 ^ ord) & 0xffffffff for split //, shift;
	return ($hash ^ $hash >> 15) & 0xffffffff;
}

my @words = sort keys %language;
my $size = 256;
$size *= 2 while $size < 3 * @words;
my @slots = (0) x $size;
for my $i (0 .. $#words)
{
	my $slot = hash_of($words[$i]) & ($size - 1);
	$slot = ($slot + 1) & ($size - 1) while $slots[$slot];
	$slots[$slot] = $i + 1;
}

if ($ARGV[1] eq 'names')
{
	print <<"TEXT";
/*
 * intent_names.h
 *		The index of each word in om_intent_words.
 *
 * Made by tools/intent_words.pl of intent_words.txt; change that and call "make intent-words".
 */
#ifndef OM_INTENT_NAMES_H
#define OM_INTENT_NAMES_H

enum
{
TEXT
	print join(",\n", map { "\tOM_N_$words[$_] = @{[$_ + 1]}" } 0 .. $#words);
	print "\n};\n\n#endif\t\t\t\t\t\t\t/* OM_INTENT_NAMES_H */\n";
	exit 0;
}

print <<"TEXT";
/*
 * intent_words.c
 *		The words of people who want texts to stop.
 *
 * Made by tools/intent_words.pl of intent_words.txt; change that and call "make intent-words".
 */
#include "intent_words.h"

const uint32_t om_intent_slot_mask = @{[$size - 1]};

const OmIntentWord om_intent_words[] = {
	{"", 0, 0, ""},
TEXT
for my $word (@words)
{
	my $mask = join('|', map { "OM_W_$_" } sort keys %{ $classes{$word} }) || 0;
	my $use = join('|', map { "OM_U_$_" } sort keys %{ $uses{$word} }) || 0;
	print "\t{\"$word\", $mask, $use, \"$language{$word}\"},\n";
}
print "};\n\nconst uint16_t om_intent_words_count = @{[@words + 1]};\n\nconst uint16_t om_intent_slots[] = {";
for my $i (0 .. $#slots)
{
	print $i % 16 ? ' ' : "\n\t", $slots[$i], $i < $#slots ? ',' : '';
}
print "\n};\n";
