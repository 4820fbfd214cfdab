/*
 * fuzz_json_slice.c
 *		Members and elements of any bytes lie within them, and come to an end.
 */
#include "json_slice.h"

#include "fuzz.h"

static void
check_within(OmSlice outer, OmSlice inner)
{
	MUST(inner.len > 0 && inner.start >= outer.start &&
		 inner.start + inner.len <= outer.start + outer.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = exact_copy(data, size);
	OmSlice		all = {text, size};
	OmSlice		list = all;
	OmSlice		element;
	OmSlice		value;
	char		plain[16];
	size_t		at = 0;

	if (om_json_member(all, "a", &value))
	{
		check_within(all, value);
		list = value;
	}
	while (om_json_element(list, &at, &element))
	{
		check_within(list, element);
		if (om_json_member(element, "b", &value))
			check_within(element, value);
		if (om_json_plain(element, plain, sizeof(plain)))
			MUST(strlen(plain) <= element.len);
	}
	MUST(at <= list.len);

	/* What is deeper than eight levels is deeper than three */
	MUST(!om_json_nested_deeper(text, size, 8) || om_json_nested_deeper(text, size, 3));
	if (memchr(text, '[', size) == NULL && memchr(text, '{', size) == NULL)
		MUST(!om_json_nested_deeper(text, size, 0));
	free(text);
	return 0;
}
