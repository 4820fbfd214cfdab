#!/usr/bin/env perl
# tools/sql_operators.pl FILE...: operators in the scripts of the extension that do not say that they are PostgreSQL's own.
#
# Whoever may create objects in the schema into which the extension is installed could make one that fits better, and the
# script is run by a superuser.  Bodies of functions that set their search_path are safe; everything else is read, with the words that
# stand for operators (IN, LIKE, BETWEEN ...).  Prints a line for each.

use strict;
use warnings;

if ("@ARGV" eq '--help')
{
	print "usage: tools/sql_operators.pl FILE...: lists operators in scripts of the extension that name no schema; exit status 1 when there are any\n";
	exit;
}

my $safe_path = qr/\bSET\s+search_path\s*(?:=|TO)\s*pg_catalog\s*,\s*pg_temp\b/i;
my $word = qr/[A-Za-z_\x80-\xff\@][\w\x80-\xff\@\$]*/;
my %words = map { ($_ => 1) } qw(LIKE ILIKE SIMILAR BETWEEN NULLIF OVERLAPS);

# tokens(TEXT, LINE): [kind, text, line] each: word, number, string, body (between dollars), operator, other
sub tokens
{
	my ($text, $line) = @_;
	my @tokens;

	while (length $text)
	{
		my ($kind, $found);

		if ($text =~ /\A(?:\s+|--[^\n]*|\/\*.*?\*\/)/s) { ($kind, $found) = ('blank', $&) }
		elsif ($text =~ /\A(\$\w*\$)(.*?)\g1/s) { ($kind, $found) = ('body', $&) }
		elsif ($text =~ /\A[eE]?'(?:[^'\\]|''|\\.)*'/s) { ($kind, $found) = ('string', $&) }
		elsif ($text =~ /\A"(?:[^"]|"")*"/s) { ($kind, $found) = ('word', $&) }
		elsif ($text =~ /\A$word/) { ($kind, $found) = ('word', $&) }
		elsif ($text =~ /\A(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\$\d+)/) { ($kind, $found) = ('number', $&) }
		elsif ($text =~ /\A(?:::|:=|\.\.)/) { ($kind, $found) = ('other', $&) }
		elsif ($text =~ /\A(?:(?!--|\/\*)[-+*\/<>=~!#%^&|`?])+/) { ($kind, $found) = ('operator', $&) }
		else { ($kind, $found) = ('other', substr $text, 0, 1) }
		push @tokens, [$kind, $found, $line] if $kind ne 'blank';
		$line += $found =~ tr/\n//;
		substr($text, 0, length $found) = '';
	}
	return @tokens;
}

# is_none(TOKENS, I): an operator sign that is none, as the star of count(*) and the sign of SET a = b
sub is_none
{
	my ($tokens, $i, $assigns) = @_;
	my $text = $tokens->[$i][1];
	my ($before, $after) = map { $_ >= 0 && $tokens->[$_] ? uc $tokens->[$_][1] : '' } $i - 1, $i + 1;

	return 1 if $text eq '=>';
	return 1 if $text eq '*' && $before =~ /\A(?:\(|\.|SELECT|ALL|,|RETURNING|DISTINCT)\z/;
	return 1 if $text eq '%' && $after =~ /\A(?:TYPE|ROWTYPE)\z/;
	# of a number
	return 1 if $text eq '-' && $after =~ /\A\d/ && $before =~ /\A(?:\(|,|\[|DEFAULT|RETURN|THEN|ELSE)\z/;
	# of RAISE
	return 1 if $text eq '=' && $before =~ /\A(?:ERRCODE|MESSAGE|DETAIL|HINT)\z/ && $tokens->[$i - 2][1] =~ /\A(?:USING|,)\z/i;
	return $text eq '=' && $assigns;
}

# The first version is what it is: here a text is compared with a literal, which is a text then, and that PostgreSQL finds its own
# operator for before it looks anywhere else.
my %frozen = ('omnimsg--1.0.sql' => qr/\ACASE direction WHEN 'inbound'/);

# look(FILE, TOKENS): says what it finds in one statement, or in a body
sub look
{
	my ($file, @tokens) = @_;
	my $found = 0;
	my $setting = 0;			# behind SET: its list of assignments
	my @options;				# of each parenthesis, whether it has options, and the setting outside

	for my $i (0 .. $#tokens)
	{
		my ($kind, $text, $line) = @{ $tokens[$i] };
		my $upper = uc $text;
		my ($before, $two_before) = map { $_ >= 0 ? uc $tokens[$_][1] : '' } $i - 1, $i - 2;

		if ($text eq '(')
		{
			push @options, [scalar($before =~ /\A(?:WITH|SET)\z/), $setting];
			$setting = 0;
		}
		elsif ($text eq ')') { $setting = (pop(@options) // [0, 0])->[1] }
		elsif ($upper eq 'SET') { $setting = 1 }
		elsif ($text eq ';' || $upper =~ /\A(?:FROM|WHERE|RETURNING|AS|LANGUAGE)\z/) { $setting = 0 }
		elsif ($kind eq 'word' && $words{$upper} || $upper eq 'IN' && ($tokens[$i + 1][1] // '') eq '(' && $before ne 'FOR')
		{
			# an argument of that mode, or a loop over a query
			next if $upper eq 'IN' && ($two_before =~ /\A(?:FOR|,)\z/ || $before =~ /\A(?:,|\()\z/);
			print "$file:$line: $upper stands for an operator of any schema\n";
			$found++;
		}
		elsif ($upper eq 'DISTINCT' && ($tokens[$i + 1][1] // '') =~ /\AFROM\z/i)
		{
			print "$file:$line: IS DISTINCT FROM stands for an operator of any schema\n";
			$found++;
		}
		elsif ($upper eq 'CASE' && ($tokens[$i + 1][1] // '') !~ /\AWHEN\z/i)
		{
			my $case = join ' ', map { $_->[1] } @tokens[$i .. $i + 3];

			next if $frozen{$file} && $case =~ $frozen{$file};
			print "$file:$line: CASE with a value stands for an operator of any schema\n";
			$found++;
		}
		elsif ($kind eq 'operator')
		{
			my $assigns = $setting || @options && $options[-1][0];

			# a column of UPDATE or a setting is named right before, and behind SET or a comma
			$assigns &&= $i >= 2 && ($tokens[$i - 1][0] eq 'word') && $tokens[$i - 2][1] =~ /\A(?:SET|LOCAL|,|\(|\.)\z/i;
			next if $i >= 2 && $tokens[$i - 1][1] eq '.' && $two_before eq 'PG_CATALOG' || is_none(\@tokens, $i, $assigns);
			print "$file:$line: $text is an operator of any schema\n";
			$found++;
		}
	}
	return $found;
}

# a statement from its first token; what is between dollars is code of DO and of functions
sub statement
{
	my ($file, @tokens) = @_;
	my $head = join ' ', map { $_->[0] eq 'body' ? '' : $_->[1] } @tokens;
	my $safe = $head =~ /\ACREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)\b/i && $head =~ s/ ([=,]) /$1/gr =~ $safe_path;
	my $found = look($file, grep { $_->[0] ne 'body' } @tokens);

	for my $token ($safe ? () : grep { $_->[0] eq 'body' } @tokens)
	{
		my ($quote, $code) = $token->[1] =~ /\A(\$\w*\$)(.*)\$\w*\$\z/s;

		$found += look($file, tokens($code, $token->[2]));
	}
	return $found;
}

my $found = 0;
for my $file (@ARGV)
{
	open my $handle, '<', $file or die "$file: $!\n";
	my $text = do { local $/; <$handle> };
	my @statement;

	for my $token (tokens($text, 1), ['other', ';', 0])
	{
		push @statement, $token;
		next if $token->[1] ne ';';
		$found += statement($file, @statement);
		@statement = ();
	}
}
exit($found ? 1 : 0);
