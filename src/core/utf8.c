/*
 * utf8.c
 *		Reading UTF-8 from people, one character at a time.
 */
#include "utf8.h"

size_t
om_utf8_decode(const char *text, size_t len, uint32_t *code)
{
	/* The smallest character that needs this many bytes */
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char) text[0];
	uint32_t	value;
	size_t		size;
	size_t		i;

	*code = OM_UTF8_BAD;
	if (first < 0x80)
	{
		*code = first;
		return 1;
	}
	if (first >= 0xc2 && first <= 0xdf)
	{
		size = 2;
		value = first & 0x1f;
	}
	else if (first >= 0xe0 && first <= 0xef)
	{
		size = 3;
		value = first & 0x0f;
	}
	else if (first >= 0xf0 && first <= 0xf4)
	{
		size = 4;
		value = first & 0x07;
	}
	else
		return 1;

	if (len < size)
		return 1;
	for (i = 1; i < size; i++)
	{
		unsigned char next = (unsigned char) text[i];

		if ((next & 0xc0) != 0x80)
			return 1;
		value = value << 6 | (next & 0x3f);
	}
	if (value < smallest[size] || value > 0x10ffff ||
		(value >= 0xd800 && value <= 0xdfff))
		return 1;
	*code = value;
	return size;
}
