/*
 * simulator_json.c
 *		A strict reader of flat JSON objects and a writer of strings.
 *
 * The simulator must not take what the real provider would refuse, and must not
 * share code with the extension it tests: hence a reader of its own.
 */
#include "simulator_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH	32

struct reader
{
	const char *at;
	const char *end;
	char	   *arena;			/* next free byte; a decoded text never outgrows its source */
	const char *error;
};

static bool
fail(struct reader *r, const char *error)
{
	if (r->error == NULL)
		r->error = error;
	return false;
}

static void
skip_blanks(struct reader *r)
{
	while (r->at < r->end &&
		   (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

static bool
take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->at < r->end && *r->at == c)
	{
		r->at++;
		return true;
	}
	return false;
}

/* The length of the UTF-8 sequence at p (RFC 3629), 0 if there is none. */
static int
utf8_length(const unsigned char *p, const unsigned char *end)
{
	uint32_t	code;
	int			len;
	int			i;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xC2 && p[0] <= 0xDF)
		len = 2;
	else if ((p[0] & 0xF0) == 0xE0)
		len = 3;
	else if (p[0] >= 0xF0 && p[0] <= 0xF4)
		len = 4;
	else
		return 0;
	if (end - p < len)
		return 0;
	code = p[0] & (0x7F >> len);
	for (i = 1; i < len; i++)
	{
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		code = (code << 6) | (p[i] & 0x3F);
	}
	if (len == 3 && (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF)))
		return 0;
	if (len == 4 && (code < 0x10000 || code > 0x10FFFF))
		return 0;
	return len;
}

static bool
read_hex4(struct reader *r, uint32_t *code)
{
	int			i;

	if (r->end - r->at < 4)
		return fail(r, "an escape is cut short");
	*code = 0;
	for (i = 0; i < 4; i++)
	{
		char		c = *r->at++;

		*code <<= 4;
		if (c >= '0' && c <= '9')
			*code |= (uint32_t) (c - '0');
		else if (c >= 'a' && c <= 'f')
			*code |= (uint32_t) (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			*code |= (uint32_t) (c - 'A' + 10);
		else
			return fail(r, "\\u wants four hexadecimal digits");
	}
	return true;
}

static void
put_utf8(struct reader *r, uint32_t code)
{
	if (code < 0x80)
		*r->arena++ = (char) code;
	else if (code < 0x800)
	{
		*r->arena++ = (char) (0xC0 | (code >> 6));
		*r->arena++ = (char) (0x80 | (code & 0x3F));
	}
	else if (code < 0x10000)
	{
		*r->arena++ = (char) (0xE0 | (code >> 12));
		*r->arena++ = (char) (0x80 | ((code >> 6) & 0x3F));
		*r->arena++ = (char) (0x80 | (code & 0x3F));
	}
	else
	{
		*r->arena++ = (char) (0xF0 | (code >> 18));
		*r->arena++ = (char) (0x80 | ((code >> 12) & 0x3F));
		*r->arena++ = (char) (0x80 | ((code >> 6) & 0x3F));
		*r->arena++ = (char) (0x80 | (code & 0x3F));
	}
}

static bool
read_escape(struct reader *r)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t	code;
	uint32_t	low;
	char		c;

	if (r->at == r->end)
		return fail(r, "a string has no end");
	c = *r->at++;
	if (c != 'u')
	{
		found = c == '\0' ? NULL : strchr(from, c);
		if (found == NULL)
			return fail(r, "there is no such escape");
		*r->arena++ = to[found - from];
		return true;
	}
	if (!read_hex4(r, &code))
		return false;
	if (code == 0)
		return fail(r, "a string may not hold \\u0000");
	if (code >= 0xD800 && code <= 0xDBFF)
	{
		if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
			return fail(r, "a surrogate has no partner");
		r->at += 2;
		if (!read_hex4(r, &low))
			return false;
		if (low < 0xDC00 || low > 0xDFFF)
			return fail(r, "a surrogate has no partner");
		code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
	}
	else if (code >= 0xDC00 && code <= 0xDFFF)
		return fail(r, "a surrogate has no partner");
	put_utf8(r, code);
	return true;
}

static bool
read_string(struct reader *r, const char **value)
{
	char	   *start = r->arena;
	int			len;

	if (!take(r, '"'))
		return fail(r, "a string was expected");
	while (r->at < r->end && *r->at != '"')
	{
		unsigned char c = (unsigned char) *r->at;

		if (c < 0x20)
			return fail(r, "a string holds a bare control character");
		if (c == '\\')
		{
			r->at++;
			if (!read_escape(r))
				return false;
			continue;
		}
		len = utf8_length((const unsigned char *) r->at, (const unsigned char *) r->end);
		if (len == 0)
			return fail(r, "a string is not valid UTF-8");
		memcpy(r->arena, r->at, (size_t) len);
		r->arena += len;
		r->at += len;
	}
	if (r->at == r->end)
		return fail(r, "a string has no end");
	r->at++;
	*r->arena++ = '\0';
	*value = start;
	return true;
}

static int
skip_digits(struct reader *r)
{
	int			count = 0;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
	{
		r->at++;
		count++;
	}
	return count;
}

static bool
read_number(struct reader *r, const char **value)
{
	const char *start = r->at;
	size_t		len;

	if (*r->at == '-')
		r->at++;
	if (r->at < r->end && *r->at == '0')
		r->at++;
	else if (skip_digits(r) == 0)
		return fail(r, "a value was expected");
	if (r->at < r->end && *r->at == '.')
	{
		r->at++;
		if (skip_digits(r) == 0)
			return fail(r, "a number lacks digits");
	}
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E'))
	{
		r->at++;
		if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
			r->at++;
		if (skip_digits(r) == 0)
			return fail(r, "a number lacks digits");
	}
	len = (size_t) (r->at - start);
	memcpy(r->arena, start, len);
	r->arena[len] = '\0';
	*value = r->arena;
	r->arena += len + 1;
	return true;
}

static bool
read_word(struct reader *r, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return fail(r, "a value was expected");
	r->at += len;
	return true;
}

static bool read_value(struct reader *r, struct om_sim_json_field *field, int depth);

/* Check a nested object or array and forget it. */
static bool
skip_nested(struct reader *r, int depth)
{
	struct om_sim_json_field ignored;
	const char *key;
	bool		is_object = *r->at == '{';
	char		close = is_object ? '}' : ']';

	if (depth > MAX_DEPTH)
		return fail(r, "the JSON is nested too deeply");
	r->at++;
	if (take(r, close))
		return true;
	do
	{
		if (is_object && (!read_string(r, &key) || !take(r, ':')))
			return fail(r, "a key and a colon were expected");
		if (!read_value(r, &ignored, depth + 1))
			return false;
	} while (take(r, ','));
	return take(r, close) ? true : fail(r, "a bracket is not closed");
}

static bool
read_value(struct reader *r, struct om_sim_json_field *field, int depth)
{
	skip_blanks(r);
	field->value = NULL;
	if (r->at == r->end)
		return fail(r, "the JSON ends too early");
	switch (*r->at)
	{
		case '"':
			field->type = OM_SIM_JSON_STRING;
			return read_string(r, &field->value);
		case '{':
		case '[':
			field->type = OM_SIM_JSON_NESTED;
			return skip_nested(r, depth);
		case 't':
			field->type = OM_SIM_JSON_TRUE;
			return read_word(r, "true");
		case 'f':
			field->type = OM_SIM_JSON_FALSE;
			return read_word(r, "false");
		case 'n':
			field->type = OM_SIM_JSON_NULL;
			return read_word(r, "null");
		default:
			field->type = OM_SIM_JSON_NUMBER;
			return read_number(r, &field->value);
	}
}

static bool
add_value(struct reader *r, struct om_sim_json *json, const char *key)
{
	if (json->count == OM_SIM_JSON_FIELDS)
		return fail(r, "the object has too many fields");
	if (!read_value(r, &json->fields[json->count], 1))
		return false;
	json->fields[json->count++].key = key;
	return true;
}

static bool
read_member(struct reader *r, struct om_sim_json *json)
{
	const char *key;

	if (!read_string(r, &key))
		return fail(r, "a key was expected");
	if (om_sim_json_field(json, key, 0) != NULL)
		return fail(r, "a key appears twice");
	if (!take(r, ':'))
		return fail(r, "a colon was expected");
	if (!take(r, '['))
		return add_value(r, json, key);
	if (take(r, ']'))
		return true;
	do
	{
		if (!add_value(r, json, key))
			return false;
	} while (take(r, ','));
	return take(r, ']') ? true : fail(r, "an array is not closed");
}

bool
om_sim_json_parse(const char *text, size_t len, struct om_sim_json *json)
{
	struct reader r = {text, text + len, NULL, NULL};

	json->count = 0;
	json->error = NULL;
	json->arena = r.arena = malloc(len + 1);
	if (r.arena == NULL)
	{
		json->error = "out of memory";
		return false;
	}
	if (!take(&r, '{'))
		fail(&r, "a JSON object was expected");
	else if (!take(&r, '}'))
	{
		while (read_member(&r, json) && take(&r, ','))
			;
		if (r.error == NULL && !take(&r, '}'))
			fail(&r, "a comma or a closing brace was expected");
	}
	skip_blanks(&r);
	if (r.error == NULL && r.at != r.end)
		fail(&r, "something follows the object");
	json->error = r.error;
	return r.error == NULL;
}

void
om_sim_json_free(struct om_sim_json *json)
{
	free(json->arena);
	json->arena = NULL;
	json->count = 0;
}

const struct om_sim_json_field *
om_sim_json_field(const struct om_sim_json *json, const char *key, int index)
{
	int			i;

	for (i = 0; i < json->count; i++)
		if (strcmp(json->fields[i].key, key) == 0 && index-- == 0)
			return &json->fields[i];
	return NULL;
}

const char *
om_sim_json_string(const struct om_sim_json *json, const char *key)
{
	const struct om_sim_json_field *field = om_sim_json_field(json, key, 0);

	return field != NULL && field->type == OM_SIM_JSON_STRING ? field->value : NULL;
}

void
om_sim_json_write(FILE *out, const char *text)
{
	const unsigned char *p;

	if (text == NULL)
	{
		fputs("null", out);
		return;
	}
	putc('"', out);
	for (p = (const unsigned char *) text; *p != '\0'; p++)
	{
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < 0x20)
			fprintf(out, "\\u%04x", *p);
		else
			putc(*p, out);
	}
	putc('"', out);
}
