/*
 * fuzz_timestamp.c
 *		Times as providers write them.
 */
#include "timestamp.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int64_t untouched = INT64_C(-987654321987654321);
	char	   *text = exact_copy(data, size);
	int64_t		out = untouched;

	if (om_timestamp_parse(text, size, &out))
	{
		MUST(size >= 20 && size <= 35);

		/* 1970 to 9999, a day more on both sides for the offset */
		MUST(out >= INT64_C(-86400000000) && out <= INT64_C(253402387200000000));
	}
	else
		MUST(out == untouched);

	out = untouched;
	if (om_unix_seconds_parse(text, size, &out))
		MUST(size <= 12 && out >= 0 && out % 1000000 == 0);
	else
		MUST(out == untouched);
	free(text);
	return 0;
}
