/*
 * json_slice.h
 *		Parts of a JSON text as they were written, without reading what is in them.
 */
#ifndef OM_JSON_SLICE_H
#define OM_JSON_SLICE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct OmSlice
{
	const char *start;
	size_t		len;
} OmSlice;

/*
 * The value of the first member of that name; false when the text is no object or has none.  The name must be
 * written without escapes.
 */
extern bool om_json_member(OmSlice object, const char *name, OmSlice *value);

/*
 * The next element of an array; *at is 0 before the first.  False at the end, and when the text is no array or ends
 * within an element.
 */
extern bool om_json_element(OmSlice array, size_t *at, OmSlice *element);

/* A string without escapes, or a number, that fits into out with a NUL behind it */
extern bool om_json_plain(OmSlice value, char *out, size_t size);

/*
 * Is anything deeper than so many levels?  For before a parser that recurses; of what is no JSON any answer is right.
 */
extern bool om_json_nested_deeper(const char *text, size_t len, int levels);

#endif							/* OM_JSON_SLICE_H */
