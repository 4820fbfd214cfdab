/*
 * token.c
 *		The name of one attempt to send, in the URL of the provider's webhooks.
 */
#include "token.h"

#include <string.h>

#define NAME		"ob="
#define NAME_LEN	3
#define UUID_LEN	36

static const char hex_digits[] = "0123456789abcdef";

/* Is there a hyphen in front of byte number i of a UUID? */
static bool
is_group_start(int i)
{
	return i == 4 || i == 6 || i == 8 || i == 10;
}

bool
om_token_write(const OmToken *token, char out[OM_TOKEN_SIZE])
{
	char		digits[8];
	int			count = 0;
	char	   *p = out;

	if (token->attempt < 1 || token->attempt > OM_TOKEN_ATTEMPT_MAX)
		return false;
	memcpy(p, NAME, NAME_LEN);
	p += NAME_LEN;
	for (int i = 0; i < 16; i++)
	{
		if (is_group_start(i))
			*p++ = '-';
		*p++ = hex_digits[token->id[i] >> 4];
		*p++ = hex_digits[token->id[i] & 15];
	}
	*p++ = '.';
	for (int rest = token->attempt; rest > 0; rest /= 10)
		digits[count++] = (char) ('0' + rest % 10);
	while (count > 0)
		*p++ = digits[--count];
	*p = '\0';
	return true;
}

/* The value of a digit as we write it, in lower case; -1 for anything else */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* One parameter's value, "<uuid>.<attempt>" and nothing else */
static bool
read_value(const char *text, size_t len, OmToken *token)
{
	OmToken		found;

	if (len < UUID_LEN + 2 || len > OM_TOKEN_SIZE - 1 - NAME_LEN || text[UUID_LEN] != '.' ||
		text[UUID_LEN + 1] == '0')
		return false;
	for (int i = 0, at = 0; i < 16; i++)
	{
		int			high;
		int			low;

		if (is_group_start(i) && text[at++] != '-')
			return false;
		high = hex_value(text[at++]);
		low = hex_value(text[at++]);
		if (high < 0 || low < 0)
			return false;
		found.id[i] = (unsigned char) (high << 4 | low);
	}
	found.attempt = 0;
	for (size_t at = UUID_LEN + 1; at < len; at++)
	{
		if (text[at] < '0' || text[at] > '9')
			return false;
		found.attempt = found.attempt * 10 + (text[at] - '0');
	}
	*token = found;
	return true;
}

bool
om_token_read(const char *url, size_t len, OmToken *token)
{
	const char *end = url + len;
	const char *at = memchr(url, '?', len);
	const char *fragment = memchr(url, '#', len);
	OmToken		found;
	int			count = 0;

	if (fragment != NULL)
		end = fragment;
	if (at == NULL || at >= end)
		return false;
	while (at < end)
	{
		const char *start = at + 1; /* behind the '?' or the '&' */
		const char *stop = memchr(start, '&', end - start);

		if (stop == NULL)
			stop = end;
		if ((size_t) (stop - start) >= NAME_LEN && memcmp(start, NAME, NAME_LEN) == 0)
		{
			if (++count > 1 || !read_value(start + NAME_LEN, stop - start - NAME_LEN, &found))
				return false;
		}
		at = stop;
	}
	if (count == 0)
		return false;
	*token = found;
	return true;
}
