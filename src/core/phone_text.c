/*
 * phone_text.c
 *		The written form of a phone number: what is number in it and what is extension.
 *
 * Every character becomes one byte first.  ASCII stays what it is; of the others only those
 * have a byte of their own that the rules below name, as the letters of "ext" in full width.
 * The rules are libphonenumber's regular expressions, written out.
 */
#include "phone_text.h"

#include <string.h>

#include "phone_tables.h"
#include "utf8.h"

/* Bytes that stand for characters beyond ASCII */
enum
{
	WIDE_DIGIT = 0x80,			/* to 0x89: decimal digits of any script */
	WIDE_E = 0x90,				/* the letters of labels, of either case */
	WIDE_X,
	WIDE_T,
	WIDE_N,
	WIDE_I,
	O_ACUTE,
	CYRILLIC_D,
	CYRILLIC_O,
	CYRILLIC_B,
	LONG_S,						/* is an s without regard to case, as Unicode has it */
	KELVIN,						/* and this is a k */
	LETTER,						/* any other letter, or a number that is no decimal digit */
	ACUTE = 0xa0,				/* the accent alone */
	NBSP,
	WIDE_STOP,
	WIDE_HASH,
	WIDE_TILDE,
	PUNCTUATION,
	LONG_VOWEL,					/* of Japanese: serves as a dash, but is a letter */
	OTHER
};

/* Classes, as bits */
enum
{
	DIGIT = 1,
	PUNCT = 2,					/* may stand between the digits of a number */
	ALPHA = 4,					/* a letter of the Latin alphabet */
	KEPT = 8,					/* does not get trimmed from the end */
	LABEL = 16					/* without one of these there is no extension */
};

#define DIGITS(c)	[c ... (c) + 9] = DIGIT | KEPT

static const unsigned char classes[256] = {
	DIGITS('0'), DIGITS(WIDE_DIGIT),
	['a' ... 'w'] = ALPHA | KEPT | LABEL, ['y' ... 'z'] = ALPHA | KEPT | LABEL,
	['A' ... 'W'] = ALPHA | KEPT | LABEL, ['Y' ... 'Z'] = ALPHA | KEPT | LABEL,
	/* stands for the code of a carrier that the caller chooses */
	['x'] = PUNCT | ALPHA | KEPT | LABEL, ['X'] = PUNCT | ALPHA | KEPT | LABEL,
	['-'] = PUNCT, [' '] = PUNCT, ['('] = PUNCT, [')'] = PUNCT, ['.'] = PUNCT,
	['['] = PUNCT, [']'] = PUNCT, ['/'] = PUNCT, ['*'] = PUNCT, ['~'] = PUNCT | LABEL,
	['#'] = KEPT | LABEL, [';'] = LABEL, [','] = LABEL,
	[WIDE_E ... WIDE_I] = KEPT | LABEL,
	[O_ACUTE ... CYRILLIC_B] = KEPT | LABEL,
	[LONG_S ... KELVIN] = ALPHA | KEPT | LABEL,
	[LETTER] = KEPT,
	[NBSP] = PUNCT, [WIDE_STOP] = PUNCT, [PUNCTUATION] = PUNCT,
	[LONG_VOWEL] = PUNCT | KEPT,
	[WIDE_HASH] = LABEL, [WIDE_TILDE] = LABEL
};

/* Characters that are named by the rules; ascending */
static const struct
{
	uint16_t	first;
	uint16_t	last;
	unsigned char byte;
} named[] = {
	{0xa0, 0xa0, NBSP}, {0xad, 0xad, PUNCTUATION}, {0xd3, 0xd3, O_ACUTE}, {0xf3, 0xf3, O_ACUTE},
	{0x17f, 0x17f, LONG_S}, {0x301, 0x301, ACUTE}, {0x411, 0x411, CYRILLIC_B},
	{0x414, 0x414, CYRILLIC_D}, {0x41e, 0x41e, CYRILLIC_O}, {0x431, 0x431, CYRILLIC_B},
	{0x434, 0x434, CYRILLIC_D}, {0x43e, 0x43e, CYRILLIC_O}, {0x200b, 0x200b, PUNCTUATION},
	{0x2010, 0x2015, PUNCTUATION}, {0x2028, 0x2029, '\n'}, {0x2053, 0x2053, PUNCTUATION},
	{0x2060, 0x2060, PUNCTUATION}, {0x212a, 0x212a, KELVIN}, {0x2212, 0x2212, PUNCTUATION},
	{0x223c, 0x223c, PUNCTUATION}, {0x3000, 0x3000, PUNCTUATION}, {0x30fc, 0x30fc, LONG_VOWEL},
	{0xff03, 0xff03, WIDE_HASH}, {0xff08, 0xff09, PUNCTUATION}, {0xff0b, 0xff0b, '+'},
	{0xff0d, 0xff0d, PUNCTUATION}, {0xff0e, 0xff0e, WIDE_STOP}, {0xff0f, 0xff0f, PUNCTUATION},
	{0xff25, 0xff25, WIDE_E}, {0xff29, 0xff29, WIDE_I}, {0xff2e, 0xff2e, WIDE_N},
	{0xff34, 0xff34, WIDE_T}, {0xff38, 0xff38, WIDE_X}, {0xff3b, 0xff3b, PUNCTUATION},
	{0xff3d, 0xff3d, PUNCTUATION}, {0xff45, 0xff45, WIDE_E}, {0xff49, 0xff49, WIDE_I},
	{0xff4e, 0xff4e, WIDE_N}, {0xff54, 0xff54, WIDE_T}, {0xff58, 0xff58, WIDE_X},
	{0xff5e, 0xff5e, WIDE_TILDE}
};

static bool
is(unsigned char c, unsigned bits)
{
	return (classes[c] & bits) != 0;
}

OmPhoneChar
om_phone_char_class(unsigned char c)
{
	if (is(c, DIGIT))
		return OM_PHONE_CHAR_DIGIT;
	if (is(c, ALPHA))
		return OM_PHONE_CHAR_LETTER;
	if (c == '+')
		return OM_PHONE_CHAR_PLUS;
	return is(c, PUNCT) && c != '*' ? OM_PHONE_CHAR_PUNCTUATION : OM_PHONE_CHAR_OTHER;
}

static bool
is_letter(uint32_t code)
{
	unsigned	low = 0;
	unsigned	high = om_phone_letter_count;

	while (low < high)
	{
		unsigned	middle = (low + high) / 2;

		if (code > om_phone_letters[middle][1])
			low = middle + 1;
		else if (code < om_phone_letters[middle][0])
			high = middle;
		else
			return true;
	}
	return false;
}

/* The value of a decimal digit beyond ASCII, -1 for what is none */
static int
digit_value(uint32_t code)
{
	unsigned	low = 0;
	unsigned	high = om_phone_zero_count;

	/* the first zero beyond code */
	while (low < high)
	{
		unsigned	middle = (low + high) / 2;

		if (om_phone_zeros[middle] <= code)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && code - om_phone_zeros[low - 1] < 10 ? (int) (code - om_phone_zeros[low - 1]) : -1;
}

static unsigned char
byte_of(uint32_t code)
{
	size_t		low = 0;
	size_t		high = sizeof(named) / sizeof(named[0]);
	int			digit;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (code > named[middle].last)
			low = middle + 1;
		else if (code < named[middle].first)
			high = middle;
		else
			return named[middle].byte;
	}
	digit = digit_value(code);
	if (digit >= 0)
		return (unsigned char) (WIDE_DIGIT + digit);
	return is_letter(code) ? LETTER : OTHER;
}

/* Control characters and what Unicode calls no character make a text no text, to libphonenumber */
static bool
is_interchangeable(uint32_t code)
{
	if (code < 0x20)
		return code == '\t' || code == '\n' || code == '\f' || code == '\r';
	return !(code >= 0x7f && code <= 0x9f) && !(code >= 0xfdd0 && code <= 0xfdef) &&
		(code & 0xfffe) != 0xfffe;
}

/* The bytes of a text; false for bad UTF-8 and for what is too long */
static bool
fold(const char *raw, size_t len, unsigned char *out, size_t *out_len)
{
	size_t		n = 0;
	size_t		pos = 0;

	while (pos < len)
	{
		unsigned char c = (unsigned char) raw[pos];
		uint32_t	code = c;

		if (n == OM_PHONE_MAX_TEXT)
			return false;
		if (c >= 0x20 && c < 0x7f)
		{
			out[n++] = c;
			pos++;
			continue;
		}
		pos += om_utf8_decode(raw + pos, len - pos, &code);
		if (code == OM_UTF8_BAD || !is_interchangeable(code))
			return false;
		out[n++] = code < 0x80 ? (unsigned char) code : byte_of(code);
	}
	*out_len = n;
	return true;
}

static unsigned char
lower(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned char) (c + ('a' - 'A'));
	if (c == LONG_S)
		return 's';
	return c == KELVIN ? 'k' : c;
}

static int
value_of(unsigned char c)
{
	return c >= WIDE_DIGIT ? c - WIDE_DIGIT : c - '0';
}

/* ---- where the number begins and ends ---- */

/* Does "/ x" or "\ x" stand at pos?  A second extension follows, which would be a second number. */
static bool
is_second_number(const unsigned char *text, size_t pos, size_t end)
{
	if (text[pos] != '/' && text[pos] != '\\')
		return false;
	do
		pos++;
	while (pos < end && text[pos] == ' ');
	return pos < end && text[pos] == 'x';
}

static bool
is_line_end(unsigned char c)
{
	return c == '\n' || c == '\r' || c == '\f';
}

/*
 * Cut off a second number.  The expression is "(.*)[\\/] *x": the first line that holds such
 * a mark counts, and the last mark in it.
 */
static void
cut_second_number(const unsigned char *text, size_t *start, size_t *end)
{
	size_t		line = *start;
	size_t		mark = *end;
	size_t		pos;

	for (pos = *start; pos < *end; pos++)
	{
		if (is_line_end(text[pos]))
		{
			if (mark < *end)
				break;
			line = pos + 1;
		}
		else if (is_second_number(text, pos, *end))
			mark = pos;
	}
	if (mark < *end)
	{
		*start = line;
		*end = mark;
	}
}

static void
cut_subaddress(const unsigned char *text, size_t start, size_t *end)
{
	size_t		pos;

	for (pos = start; pos + 6 <= *end; pos++)
	{
		if (text[pos] == ';' && memcmp(text + pos, ";isub=", 6) == 0)
			*end = pos;
	}
}

/* ---- extensions ---- */

static size_t
skip_spaces(const unsigned char *text, size_t pos, size_t end, bool comma, bool dash)
{
	while (pos < end && (text[pos] == ' ' || text[pos] == NBSP || text[pos] == '\t' ||
						 (comma && text[pos] == ',') || (dash && text[pos] == '-')))
		pos++;
	return pos;
}

/* The word at pos without regard to case: how long it is, 0 if it is another */
static size_t
word_at(const unsigned char *text, size_t pos, size_t end, const char *word)
{
	size_t		len = strlen(word);
	size_t		i;

	if (end - pos < len)
		return 0;
	for (i = 0; i < len; i++)
	{
		if (lower(text[pos + i]) != (unsigned char) word[i])
			return 0;
	}
	return len;
}

/* "ext", "xt", "extension", "extensión", "extn" ...: the length, 0 for none */
static size_t
latin_label(const unsigned char *text, size_t start, size_t end)
{
	size_t		pos = start + word_at(text, start, end, "e");
	size_t		len = word_at(text, pos, end, "xt");

	if (len == 0)
		return 0;
	pos += len;
	len = word_at(text, pos, end, "ensi");
	pos += len;
	if (len > 0 && pos < end && text[pos] == O_ACUTE)
		pos++;
	else if (len > 0 && word_at(text, pos, end, "o") > 0)
		pos += pos + 1 < end && text[pos + 1] == ACUTE ? 2 : 1;
	return pos + word_at(text, pos, end, "n") - start;
}

/* The same in full width */
static size_t
wide_label(const unsigned char *text, size_t start, size_t end)
{
	size_t		pos = start;

	if (pos < end && text[pos] == WIDE_E)
		pos++;
	if (end - pos < 2 || text[pos] != WIDE_X || text[pos + 1] != WIDE_T)
		return 0;
	pos += 2;
	return pos - start + (pos < end && text[pos] == WIDE_N);
}

static size_t
explicit_label(const unsigned char *text, size_t pos, size_t end)
{
	static const unsigned char russian[] = {CYRILLIC_D, CYRILLIC_O, CYRILLIC_B};
	size_t		len = latin_label(text, pos, end);

	if (len == 0)
		len = wide_label(text, pos, end);
	if (len == 0 && end - pos >= 3 && memcmp(text + pos, russian, 3) == 0)
		len = 3;
	return len > 0 ? len : word_at(text, pos, end, "anexo");
}

static size_t
ambiguous_label(const unsigned char *text, size_t pos, size_t end)
{
	static const unsigned char wide_int[] = {WIDE_I, WIDE_N, WIDE_T};
	static const unsigned char single[] = {'x', 'X', WIDE_X, '#', WIDE_HASH, '~', WIDE_TILDE};

	if (pos < end && memchr(single, text[pos], sizeof(single)) != NULL)
		return 1;
	if (end - pos >= 3 && memcmp(text + pos, wide_int, 3) == 0)
		return 3;
	return word_at(text, pos, end, "int");
}

/*
 * Are there 1 to max digits from pos to the end, behind which a '#' may (or must) stand?
 * Returns where they begin, 0 if not.
 */
static size_t
final_digits(const unsigned char *text, size_t pos, size_t end, size_t max, bool must_hash)
{
	size_t		last = end;

	if (last > pos && text[last - 1] == '#')
		last--;
	else if (must_hash)
		return 0;
	if (last <= pos || last - pos > max)
		return 0;
	for (end = pos; end < last; end++)
	{
		if (!is(text[end], DIGIT))
			return 0;
	}
	return pos;
}

/* What may stand between a label and its digits, and the digits */
static size_t
labelled_digits(const unsigned char *text, size_t pos, size_t end, size_t max)
{
	if (pos < end && (text[pos] == ':' || text[pos] == '.' || text[pos] == WIDE_STOP))
		pos++;
	return final_digits(text, skip_spaces(text, pos, end, true, true), end, max, false);
}

/*
 * Does an extension stand from start to the end?  Returns where its digits begin, 0 if not.
 * The forms and the number of digits that each of them may have, in the order in which
 * libphonenumber tries them.
 */
static size_t
extension_at(const unsigned char *text, size_t start, size_t end)
{
	size_t		pos;
	size_t		len;
	size_t		digits;

	if (word_at(text, start, end, ";ext=") > 0)
	{
		digits = final_digits(text, start + 5, end, 20, false);
		/* this form has no '#' at its end */
		if (digits > 0 && text[end - 1] != '#')
			return digits;
	}

	pos = skip_spaces(text, start, end, true, false);
	len = explicit_label(text, pos, end);
	if (len > 0 && (digits = labelled_digits(text, pos + len, end, 20)) > 0)
		return digits;
	len = ambiguous_label(text, pos, end);
	if (len > 0 && (digits = labelled_digits(text, pos + len, end, 9)) > 0)
		return digits;

	/* "- 503#" */
	pos = start;
	while (pos < end && (text[pos] == '-' || text[pos] == ' '))
		pos++;
	if (pos > start && (digits = final_digits(text, pos, end, 6, true)) > 0)
		return digits;

	/* ",," and ";" are pauses of diallers */
	pos = skip_spaces(text, start, end, false, false);
	len = pos < end && text[pos] == ';' ? 1 : 2 * (word_at(text, pos, end, ",,") > 0);
	if (len > 0 && (digits = labelled_digits(text, pos + len, end, 15)) > 0)
		return digits;
	if (pos < end && text[pos] == ',')
		return labelled_digits(text, pos + 1, end, 9);
	return 0;
}

/*
 * Where an extension could begin: it ends in digits, and has none before them.  end when there
 * can be no extension.
 */
static size_t
extension_floor(const unsigned char *text, size_t start, size_t end)
{
	size_t		last = end;
	size_t		pos;

	if (last > start && text[last - 1] == '#')
		last--;
	for (pos = last; pos > start && is(text[pos - 1], DIGIT); pos--)
		;
	if (pos == last)
		return end;
	while (pos > start && !is(text[pos - 1], DIGIT))
		pos--;
	return pos;
}

/*
 * Could this be a number?  Two digits, or three with punctuation between them and then
 * anything that numbers are written with; an extension may follow.
 */
static bool
is_viable(const unsigned char *text, size_t start, size_t end, bool label)
{
	size_t		floor = label ? extension_floor(text, start, end) : end;
	size_t		pos = start;
	size_t		digits = 0;

	if (end - start == 2 && is(text[start], DIGIT) && is(text[start + 1], DIGIT))
		return true;
	while (pos < end && text[pos] == '+')
		pos++;
	while (digits < 3)
	{
		if (pos == end || !is(text[pos], DIGIT | PUNCT))
			return false;
		digits += is(text[pos], DIGIT);
		pos++;
	}
	for (;;)
	{
		if (pos == end)
			return true;
		if (pos >= floor && !is(text[pos], DIGIT) && extension_at(text, pos, end) > 0)
			return true;
		if (!is(text[pos], DIGIT | PUNCT | ALPHA))
			return false;
		pos++;
	}
}

/* Take the extension off the end of the number */
static void
split_extension(OmPhoneText *form)
{
	size_t		pos;

	for (pos = extension_floor(form->text, form->start, form->end);
		 pos < form->end && !is(form->text[pos], DIGIT); pos++)
	{
		size_t		digits = extension_at(form->text, pos, form->end);
		size_t		n = 0;

		if (digits == 0)
			continue;
		if (!is_viable(form->text, form->start, pos, true))
			return;
		while (digits < form->end && is(form->text[digits], DIGIT))
			form->extension[n++] = (char) ('0' + value_of(form->text[digits++]));
		form->extension[n] = '\0';
		form->end = pos;
		return;
	}
}

/* ---- digits ---- */

static void
collect_digits(OmPhoneText *form)
{
	/* ITU-T E.161 */
	static const char keys[] = "22233344455566677778889999";
	size_t		pos;

	form->plus = form->text[form->start] == '+';
	for (pos = form->start; pos < form->end; pos++)
		form->letters += is(form->text[pos], ALPHA);
	for (pos = form->start; pos < form->end; pos++)
	{
		unsigned char c = lower(form->text[pos]);

		if (form->letters < 3)
		{
			if (is(c, DIGIT))
				form->digits[form->len++] = (char) ('0' + value_of(c));
		}
		/* beside letters libphonenumber knows ASCII only */
		else if (c >= '0' && c <= '9')
			form->digits[form->len++] = (char) c;
		else if (c >= 'a' && c <= 'z' && form->text[pos] < WIDE_DIGIT)
			form->digits[form->len++] = keys[c - 'a'];
	}
}

bool
om_phone_text_read(const char *raw, size_t len, OmPhoneText *out)
{
	bool		label = false;
	size_t		pos;

	out->start = out->letters = out->len = 0;
	out->extension[0] = '\0';
	if (!fold(raw, len, out->text, &out->text_len))
		return false;
	out->end = out->text_len;

	while (out->start < out->end && out->text[out->start] != '+' &&
		   !is(out->text[out->start], DIGIT))
		out->start++;
	while (out->end > out->start && !is(out->text[out->end - 1], KEPT))
		out->end--;
	cut_second_number(out->text, &out->start, &out->end);
	cut_subaddress(out->text, out->start, &out->end);

	for (pos = out->start; pos < out->end && !label; pos++)
		label = is(out->text[pos], LABEL);
	if (out->start == out->end || !is_viable(out->text, out->start, out->end, label))
		return false;
	if (label)
		split_extension(out);
	collect_digits(out);
	return true;
}
