/*
 * test_segment.c
 *		How many segments a text takes on the air, and in which alphabet.
 */
#include <stdlib.h>

#include "segment.h"

#include "tap.h"

#define UNITS_MAX	1200

/* count copies of a text behind one another, and then a tail */
static const char *
repeat(const char *text, int count, const char *tail)
{
	static char buffer[8192];
	char	   *at = buffer;

	while (count-- > 0)
		at = stpcpy(at, text);
	strcpy(at, tail);
	return buffer;
}

static void
check(const char *text, OmEncoding encoding, size_t units, size_t segments,
	  const char *sentence)
{
	OmSegments	got = om_segment_count(text, strlen(text));

	if (!ok(got.encoding == encoding && got.units == units && got.segments == segments,
			"%s", sentence))
		printf("#   got %s, %zu units, %zu segments\n", om_encoding_name(got.encoding),
			   got.units, got.segments);
}

static void
test_borders(void)
{
	check("", OM_ENCODING_GSM7, 0, 0, "nothing takes no segment");
	check("a", OM_ENCODING_GSM7, 1, 1, "a letter takes one");
	check(repeat("a", 160, ""), OM_ENCODING_GSM7, 160, 1, "160 septets fit into one");
	check(repeat("a", 161, ""), OM_ENCODING_GSM7, 161, 2, "161 do not");
	check(repeat("a", 306, ""), OM_ENCODING_GSM7, 306, 2, "two segments hold 306");
	check(repeat("a", 307, ""), OM_ENCODING_GSM7, 307, 3, "and not 307");
	check(repeat("a", 1530, ""), OM_ENCODING_GSM7, 1530, 10, "ten hold 1530");
	check(repeat("a", 1531, ""), OM_ENCODING_GSM7, 1531, 11, "and not 1531");
	check(repeat("ж", 70, ""), OM_ENCODING_UCS2, 70, 1, "70 units of UTF-16 fit into one");
	check(repeat("ж", 71, ""), OM_ENCODING_UCS2, 71, 2, "71 do not");
	check(repeat("ж", 134, ""), OM_ENCODING_UCS2, 134, 2, "two segments hold 134");
	check(repeat("ж", 135, ""), OM_ENCODING_UCS2, 135, 3, "and not 135");
	check(repeat("ж", 670, ""), OM_ENCODING_UCS2, 670, 10, "ten hold 670");
	check(repeat("a", 71, "’"), OM_ENCODING_UCS2, 72, 2, "one curly quote changes all of it");
}

static void
test_pairs(void)
{
	check(repeat("€", 80, ""), OM_ENCODING_GSM7, 160, 1, "80 euro signs fit into one");
	check(repeat("a", 159, "€"), OM_ENCODING_GSM7, 161, 2, "159 letters and one do not");
	check(repeat("€", 81, ""), OM_ENCODING_GSM7, 162, 2, "81 take two");
	check(repeat("€", 152, ""), OM_ENCODING_GSM7, 304, 2, "76 fit into each of several");
	check(repeat("€", 153, ""), OM_ENCODING_GSM7, 306, 3,
		  "306 septets of pairs take three: none is split");
	check(repeat("a", 152, "€aaaaaaaaaaaaaaaaaaaaaaaaaa"), OM_ENCODING_GSM7, 180, 2,
		  "a pair at the border moves on");
	check(repeat("😀", 35, ""), OM_ENCODING_UCS2, 70, 1, "35 emoji fit into one");
	check(repeat("😀", 36, ""), OM_ENCODING_UCS2, 72, 2, "36 do not");
	check(repeat("😀", 66, ""), OM_ENCODING_UCS2, 132, 2, "33 fit into each of several");
	check(repeat("😀", 67, ""), OM_ENCODING_UCS2, 134, 3,
		  "134 units of pairs take three: none is split");
}

/* The rows of the tables of 3GPP TS 23.038, 6.2.1 and 6.2.1.1, as they stand there */
static const char basic[] =
"@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
static const char extension[] = "\f^{}\\[~]|€";

static void
test_alphabet(void)
{
	static const char *const others[] = {
		"`", "\t", "\x1b", "\x7f", "ç", "á", "í", "ó", "ú", "ê", "–", "“", "…", "\xc2\xa0", "Α",
		"\x01", "À", "№",
	};
	size_t		i;

	check(basic, OM_ENCODING_GSM7, 127, 1, "the alphabet has 127 characters beside the escape");
	check(extension, OM_ENCODING_GSM7, 20, 1, "ten characters take two septets");
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
	{
		OmSegments	got = om_segment_count(others[i], strlen(others[i]));

		ok(got.encoding == OM_ENCODING_UCS2, "foreign character %zu makes it UTF-16", i);
	}
	ok(om_segment_count("\0", 1).encoding == OM_ENCODING_UCS2, "a NUL is foreign");
	is(om_encoding_name(OM_ENCODING_GSM7), "GSM-7", "septets are called GSM-7");
	is(om_encoding_name(OM_ENCODING_UCS2), "UCS-2", "UTF-16 is called UCS-2");
}

static void
test_bad_bytes(void)
{
	check("\xff", OM_ENCODING_UCS2, 1, 1, "a bad byte is one replacement character");
	check("\xf0\x9f\x98", OM_ENCODING_UCS2, 3, 1, "half an emoji is one for each of its bytes");
	check("\xed\xa0\x80", OM_ENCODING_UCS2, 3, 1, "a surrogate in UTF-8 is no character");
	check("\xc1\xa1", OM_ENCODING_UCS2, 2, 1, "an overlong letter is no letter");
}

/*
 * The fewest segments of up to limit units in which characters of these widths lie whole and
 * in order, by trying every last segment of every beginning.
 */
static size_t
fewest(const int *widths, int count, int limit)
{
	static size_t best[UNITS_MAX + 1];
	int			i;
	int			j;

	best[0] = 0;
	for (i = 1; i <= count; i++)
	{
		int			sum = 0;

		best[i] = UNITS_MAX;
		for (j = i - 1; j >= 0; j--)
		{
			sum += widths[j];
			if (sum > limit)
				break;
			if (best[j] + 1 < best[i])
				best[i] = best[j] + 1;
		}
	}
	return best[count];
}

/* Append the index-th of the characters of a text */
static char *
append(char *at, const char *text, int index)
{
	for (; index >= 0; text++)
		if ((*text & 0xc0) != 0x80 && index-- == 0)
			do
				*at++ = *text++;
			while ((*text & 0xc0) == 0x80);
	return at;
}

static void
test_packing(void)
{
	static char text[UNITS_MAX * 4 + 1];
	static int	widths[UNITS_MAX];
	const char *given = getenv("OMNIMSG_SEED");
	unsigned	seed = given != NULL ? (unsigned) strtoul(given, NULL, 10) : 20261124;
	bool		same = true;
	int			round;
	int			i;

	printf("# seed %u\n", seed);
	srand(seed);
	for (round = 0; round < 3000 && same; round++)
	{
		bool		gsm = round % 2 == 0;
		int			count = 1 + rand() % (round % 3 == 0 ? 180 : 700);
		int			wide = rand() % 101;
		int			units = 0;
		char	   *at = text;
		size_t		expected;
		OmSegments	got;

		for (i = 0; i < count; i++)
		{
			widths[i] = rand() % 100 < wide ? 2 : 1;
			units += widths[i];
			if (gsm)
				at = widths[i] == 2 ? append(at, extension, rand() % 10) :
					append(at, basic, rand() % 127);
			else
				at = widths[i] == 2 ? append(at, "😀🚀𝒜", rand() % 3) :
					append(at, "ж’ça한", i == 0 ? 0 : rand() % 5);
		}
		expected = units <= (gsm ? 160 : 70) ? 1 : fewest(widths, count, gsm ? 153 : 67);
		got = om_segment_count(text, (size_t) (at - text));
		same = got.encoding == (gsm ? OM_ENCODING_GSM7 : OM_ENCODING_UCS2) &&
			got.units == (size_t) units && got.segments == expected;
		if (!same)
			printf("#   round %d: %d characters, %d units, expected %zu, got %s %zu %zu\n", round,
				   count, units, expected, om_encoding_name(got.encoding), got.units,
				   got.segments);
	}
	ok(same, "no other way to lay characters into segments needs fewer");
}

int
main(void)
{
	test_borders();
	test_pairs();
	test_alphabet();
	test_bad_bytes();
	test_packing();
	return done_testing();
}
