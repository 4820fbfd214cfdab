/*
 * pg_shim.c
 *		What the readers of events call in the server, for a program that is none.
 *
 * The parser of JSON, psprintf and StringInfo come from libpgcommon, which also allocates here.  Each allocation is
 * one of malloc, of its exact size, so that the sanitizer sees one byte read too far.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "pg_shim.h"

#define MAX_ALLOCATIONS	65536

static void *allocations[MAX_ALLOCATIONS];
static int	nallocations;

static void *
keep(void *pointer)
{
	if (pointer == NULL || nallocations == MAX_ALLOCATIONS)
		abort();
	allocations[nallocations++] = pointer;
	return pointer;
}

/* Where it is; what is freed was mostly allocated a moment ago */
static void **
find(const void *pointer)
{
	for (int i = nallocations - 1; i >= 0; i--)
		if (allocations[i] == pointer)
			return &allocations[i];
	abort();
}

void
pg_shim_reset(void)
{
	while (nallocations > 0)
		free(allocations[--nallocations]);
}

void *
palloc(Size size)
{
	if (size > MaxAllocSize)
		abort();
	return keep(malloc(size));
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

void *
repalloc(void *pointer, Size size)
{
	void	  **at = find(pointer);

	if (size > MaxAllocSize)
		abort();
	*at = realloc(pointer, size);
	if (*at == NULL)
		abort();
	return *at;
}

void
pfree(void *pointer)
{
	void	  **at = find(pointer);

	free(pointer);
	*at = allocations[--nallocations];
}

char *
pnstrdup(const char *in, Size len)
{
	char	   *copy;

	len = strnlen(in, len);
	copy = palloc(len + 1);
	memcpy(copy, in, len);
	copy[len] = '\0';
	return copy;
}

char *
pstrdup(const char *in)
{
	return pnstrdup(in, strlen(in));
}

/* A database in UTF-8; nobody asks for an error */
bool
pg_verifymbstr(const char *text, int length, bool no_error)
{
	if (!no_error)
		abort();
	return pg_encoding_verifymbstr(PG_UTF8, text, length) == length;
}

void
escape_json(StringInfo out, const char *text)
{
	static const char short_forms[] = "\b\f\n\r\t\"\\";
	static const char letters[] = "bfnrt\"\\";

	appendStringInfoChar(out, '"');
	for (; *text != '\0'; text++)
	{
		const char *found = strchr(short_forms, *text);

		if (found != NULL)
			appendStringInfo(out, "\\%c", letters[found - short_forms]);
		else if ((unsigned char) *text < ' ')
			appendStringInfo(out, "\\u%04x", (unsigned char) *text);
		else
			appendStringInfoChar(out, *text);
	}
	appendStringInfoChar(out, '"');
}
