/*
 * json_slice.c
 *		Parts of a JSON text as they were written, without reading what is in them.
 *
 * A list brings what strangers wrote.  One element that is wrong, or nested without end, must not spoil those
 * beside it, so nothing here checks more than it has to, and nothing recurses.
 */
#include "json_slice.h"

#include <string.h>

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

/* Behind a string, whose first quote p is at; NULL when it has no end */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p < end ? p + 1 : NULL;
}

/* Behind the value at p; NULL when there is none, or no end of it */
static const char *
skip_value(const char *p, const char *end)
{
	const char *start = p;
	size_t		depth = 0;

	if (p < end && *p == '"')
		return skip_string(p, end);
	if (p == end || (*p != '{' && *p != '['))
	{
		while (p < end && strchr(",]} \t\r\n", *p) == NULL)
			p++;
		return p > start ? p : NULL;
	}
	do
	{
		if (*p == '"')
		{
			p = skip_string(p, end);
			if (p == NULL)
				return NULL;
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		p++;
	} while (depth > 0 && p < end);
	return depth == 0 ? p : NULL;
}

bool
om_json_member(OmSlice object, const char *name, OmSlice *value)
{
	const char *end = object.start + object.len;
	const char *p = skip_blanks(object.start, end);
	size_t		len = strlen(name);

	if (p == end || *p != '{')
		return false;
	do
	{
		const char *key = skip_blanks(p + 1, end);
		const char *key_end;
		const char *start;

		if (key == end || *key != '"' || (key_end = skip_string(key, end)) == NULL)
			return false;
		p = skip_blanks(key_end, end);
		if (p == end || *p != ':')
			return false;
		start = skip_blanks(p + 1, end);
		p = skip_value(start, end);
		if (p == NULL)
			return false;
		if ((size_t) (key_end - key) == len + 2 && memcmp(key + 1, name, len) == 0)
		{
			value->start = start;
			value->len = (size_t) (p - start);
			return true;
		}
		p = skip_blanks(p, end);
	} while (p < end && *p == ',');
	return false;
}

bool
om_json_element(OmSlice array, size_t *at, OmSlice *element)
{
	const char *end = array.start + array.len;
	const char *p = skip_blanks(array.start + *at, end);
	const char *behind;

	if (p == end || *p != (*at == 0 ? '[' : ','))
		return false;
	p = skip_blanks(p + 1, end);
	behind = skip_value(p, end);
	if (behind == NULL)
		return false;
	element->start = p;
	element->len = (size_t) (behind - p);
	*at = (size_t) (behind - array.start);
	return true;
}

bool
om_json_plain(OmSlice value, char *out, size_t size)
{
	if (value.len >= 2 && value.start[0] == '"')
	{
		value.start++;
		value.len -= 2;
	}
	if (value.len >= size || memchr(value.start, '\\', value.len) != NULL)
		return false;
	memcpy(out, value.start, value.len);
	out[value.len] = '\0';
	return true;
}

bool
om_json_nested_deeper(const char *text, size_t len, int levels)
{
	bool		in_string = false;
	int			depth = 0;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (in_string)
		{
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		}
		else if (text[i] == '"')
			in_string = true;
		else if (text[i] == '{' || text[i] == '[')
		{
			if (++depth > levels)
				return true;
		}
		else if ((text[i] == '}' || text[i] == ']') && depth > 0)
			depth--;
	}
	return false;
}
