/*
 * letters.c
 *		Which plain letter a character of a message stands for.
 *
 * Letters are folded from Unicode's canonical decompositions and, where there is none
 * (as for the Danish o), to what a keyboard without them would write.
 */
#include "letters.h"

#include <stdbool.h>
#include <stddef.h>

/* U+00C0 to U+017F: Latin-1 Supplement and Latin Extended-A */
static const char latin[] =
"aaaaaa?ceeeeiiii?nooooo ouuuuy?\?aaaaaa?ceeeeiiii?nooooo ouuuuy?y"
"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii?\?jjkk?lllllll"
"lllnnnnnn?\?\?oooooo?\?rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/* U+1E00 to U+1EFF: Latin Extended Additional */
static const char latin_additional[] =
"aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
"mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
"wwwwwwwwwwxxxxyyzzzzzzhtwy?\?\?\?\?\?aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
"eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy?\?\?\?\?\?";

typedef struct LetterRange
{
	uint32_t	first;
	uint32_t	last;
} LetterRange;

/* Leave no trace.  In order. */
static const LetterRange traceless[] = {
	{0x00ad, 0x00ad},			/* soft hyphen */
	{0x02b9, 0x02bf},			/* modifier apostrophes */
	{0x0300, 0x036f},			/* combining marks */
	{0x034f, 0x034f},
	{0x061c, 0x061c},			/* bidi */
	{0x180e, 0x180e},
	{0x200b, 0x200f},			/* zero width, bidi */
	{0x2018, 0x2019},			/* apostrophes */
	{0x201b, 0x201b},
	{0x202a, 0x202e},			/* bidi */
	{0x2060, 0x206f},
	{0x20d0, 0x20ff},			/* combining marks for symbols, keycaps */
	{0xfe00, 0xfe0f},			/* variation selectors */
	{0xfe20, 0xfe2f},			/* combining half marks */
	{0xfeff, 0xfeff},
	{0xff07, 0xff07},			/* full-width apostrophe */
	{0xe0000, 0xe0fff}			/* tags, more variation selectors */
};

/* End a word.  In order. */
static const LetterRange breaks[] = {
	{0x0080, 0x00a9},
	{0x00ab, 0x00b9},
	{0x00bb, 0x00bf},
	{0x2000, 0x2bff},			/* punctuation, symbols, arrows, dingbats */
	{0x2e00, 0x2e7f},
	{0x3000, 0x3020},			/* CJK punctuation */
	{0x3030, 0x3030},
	{0xe000, 0xf8ff},			/* private use: the emoji of old telephones */
	{0xfe10, 0xfe6f},
	{0xff00, 0xff65},			/* full-width forms that are no letters */
	{0xffe0, 0xffff},
	{0x1f000, 0x1faff}			/* emoji and other pictures */
};

/* Alphabets of 26 or 52 letters in ASCII order */
static const struct
{
	uint32_t	first;
	uint32_t	last;
}			alphabets[] = {
	{0x249c, 0x24b5},			/* parenthesized */
	{0x24b6, 0x24e9},			/* circled */
	{0xff21, 0xff3a},			/* full-width */
	{0xff41, 0xff5a},
	{0x1d400, 0x1d6a3},			/* mathematical, 13 alphabets */
	{0x1f110, 0x1f129},			/* parenthesized */
	{0x1f130, 0x1f149},			/* squared */
	{0x1f150, 0x1f169},			/* negative circled */
	{0x1f170, 0x1f189}			/* negative squared */
};

/* Letters of other alphabets that a reader cannot tell from Latin ones (UTS 39) */
static const struct
{
	uint16_t	code;
	char		letter;
}			lookalikes[] = {
	{0x0391, 'a'}, {0x0392, 'b'}, {0x0395, 'e'}, {0x0396, 'z'}, {0x0397, 'h'},
	{0x0399, 'i'}, {0x039a, 'k'}, {0x039c, 'm'}, {0x039d, 'n'}, {0x039f, 'o'},
	{0x03a1, 'p'}, {0x03a4, 't'}, {0x03a5, 'y'}, {0x03a7, 'x'}, {0x03b1, 'a'},
	{0x03b9, 'i'}, {0x03bd, 'v'}, {0x03bf, 'o'}, {0x03c1, 'p'}, {0x0405, 's'},
	{0x0406, 'i'}, {0x0408, 'j'}, {0x0410, 'a'}, {0x0412, 'b'}, {0x0415, 'e'},
	{0x041a, 'k'}, {0x041c, 'm'}, {0x041d, 'h'}, {0x041e, 'o'}, {0x0420, 'p'},
	{0x0421, 'c'}, {0x0422, 't'}, {0x0423, 'y'}, {0x0425, 'x'}, {0x0430, 'a'},
	{0x0435, 'e'}, {0x043e, 'o'}, {0x0440, 'p'}, {0x0441, 'c'}, {0x0442, 't'},
	{0x0443, 'y'}, {0x0445, 'x'}, {0x0455, 's'}, {0x0456, 'i'}, {0x0458, 'j'}
};

static bool
in_ranges(const LetterRange *ranges, size_t n, uint32_t code)
{
	size_t		i;

	for (i = 0; i < n && ranges[i].first <= code; i++)
	{
		if (code <= ranges[i].last)
			return true;
	}
	return false;
}

static char
fold_ascii(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return c;
	if (c >= 'A' && c <= 'Z')
		return (char) (c + ('a' - 'A'));
	return c == '\'' || c == '`' ? OM_LETTER_NONE : OM_LETTER_BREAK;
}

/* A letter or digit of ASCII in another shape; OM_LETTER_OTHER when it is none */
static char
fold_shape(uint32_t code)
{
	size_t		i;

	if (code >= 0xff10 && code <= 0xff19)	/* full-width digits */
		return (char) ('0' + (code - 0xff10));
	if (code >= 0x1d7ce && code <= 0x1d7ff) /* mathematical digits */
		return (char) ('0' + (code - 0x1d7ce) % 10);
	for (i = 0; i < sizeof(alphabets) / sizeof(alphabets[0]); i++)
	{
		if (code >= alphabets[i].first && code <= alphabets[i].last)
			return (char) ('a' + (code - alphabets[i].first) % 26);
	}
	for (i = 0; i < sizeof(lookalikes) / sizeof(lookalikes[0]); i++)
	{
		if (code == lookalikes[i].code)
			return lookalikes[i].letter;
	}
	return OM_LETTER_OTHER;
}

char
om_letter_fold(uint32_t code)
{
	char		letter;

	if (code < 0x80)
		return fold_ascii((char) code);
	if (code >= 0xc0 && code <= 0x17f)
		return latin[code - 0xc0];
	if (code >= 0x1e00 && code <= 0x1eff)
		return latin_additional[code - 0x1e00];
	if (in_ranges(traceless, sizeof(traceless) / sizeof(traceless[0]), code))
		return OM_LETTER_NONE;
	letter = fold_shape(code);
	if (letter != OM_LETTER_OTHER)
		return letter;
	if (code > 0x10ffff || in_ranges(breaks, sizeof(breaks) / sizeof(breaks[0]), code))
		return OM_LETTER_BREAK;
	return OM_LETTER_OTHER;
}
