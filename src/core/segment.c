/*
 * segment.c
 *		How many segments a text takes on the air, and in which alphabet.
 *
 * A segment carries 140 bytes: 160 septets or 70 units of UTF-16.  In a message of several the
 * header that joins them takes 6 bytes of each (3GPP TS 23.040, 9.2.3.24.1), which leaves 153
 * and 67.
 */
#include "segment.h"

#include <stdbool.h>
#include <stdint.h>

#include "utf8.h"

/* By OmEncoding */
static const size_t single_limits[] = {160, 70};
static const size_t joined_limits[] = {153, 67};

/* The default alphabet beyond ASCII (3GPP TS 23.038, 6.2.1) */
static const uint16_t gsm_others[] = {
	0x00a1, 0x00a3, 0x00a4, 0x00a5, 0x00a7, 0x00bf, 0x00c4, 0x00c5, 0x00c6, 0x00c7, 0x00c9,
	0x00d1, 0x00d6, 0x00d8, 0x00dc, 0x00df, 0x00e0, 0x00e4, 0x00e5, 0x00e6, 0x00e8, 0x00e9,
	0x00ec, 0x00f1, 0x00f2, 0x00f6, 0x00f8, 0x00f9, 0x00fc, 0x0393, 0x0394, 0x0398, 0x039b,
	0x039e, 0x03a0, 0x03a3, 0x03a6, 0x03a8, 0x03a9
};

/* Septets of a character, 0 when the alphabet lacks it */
static size_t
gsm_septets(uint32_t code)
{
	size_t		i;

	switch (code)
	{
			/* the extension table (6.2.1.1): an escape goes before */
		case '\f':
		case '^':
		case '{':
		case '}':
		case '\\':
		case '[':
		case '~':
		case ']':
		case '|':
		case 0x20ac:			/* the euro sign */
			return 2;
		case '\n':
		case '\r':
			return 1;
		case '`':
			return 0;
	}
	if (code >= 0x20 && code <= 0x7e)
		return 1;
	for (i = 0; i < sizeof(gsm_others) / sizeof(gsm_others[0]); i++)
		if (gsm_others[i] == code)
			return 1;
	return 0;
}

/* Units of a character; a bad byte (OM_UTF8_BAD) is U+FFFD, one unit */
static size_t
character_units(uint32_t code, OmEncoding encoding)
{
	if (encoding == OM_ENCODING_GSM7)
		return gsm_septets(code);
	return code >= 0x10000 && code != OM_UTF8_BAD ? 2 : 1;
}

OmSegments
om_segment_count(const char *text, size_t len)
{
	OmSegments	result = {OM_ENCODING_GSM7, 0, 0};
	size_t		filled = 0;
	uint32_t	code;
	size_t		at;

	for (at = 0; at < len && result.encoding == OM_ENCODING_GSM7;)
	{
		at += om_utf8_decode(text + at, len - at, &code);
		if (gsm_septets(code) == 0)
			result.encoding = OM_ENCODING_UCS2;
	}

	/* as one of several: a character of two units stays in one segment (23.040, 9.2.3.24.1) */
	for (at = 0; at < len;)
	{
		size_t		units;

		at += om_utf8_decode(text + at, len - at, &code);
		units = character_units(code, result.encoding);
		result.units += units;
		if (result.segments == 0 || filled + units > joined_limits[result.encoding])
		{
			result.segments++;
			filled = 0;
		}
		filled += units;
	}
	if (result.units > 0 && result.units <= single_limits[result.encoding])
		result.segments = 1;
	return result;
}

const char *
om_encoding_name(OmEncoding encoding)
{
	return encoding == OM_ENCODING_GSM7 ? "GSM-7" : "UCS-2";
}
