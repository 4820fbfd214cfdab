/*
 * fuzz_backoff.c
 *		Back-off and Retry-After.  Bytes 0 to 7: the clock, then the header.
 */
#include "backoff.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t		now;
	int64_t		ms;
	uint32_t	attempt;
	uint32_t	random;
	char	   *text;

	if (size < sizeof(now))
		return 0;
	memcpy(&now, data, sizeof(now));
	memcpy(&attempt, data, sizeof(attempt));
	memcpy(&random, data + 4, sizeof(random));
	ms = om_backoff_ms(attempt % 12, random);
	MUST(ms >= 500 && ms <= OM_BACKOFF_MAX_MS);
	MUST(om_backoff_ms(attempt, random) <= OM_BACKOFF_MAX_MS);

	text = exact_copy(data + sizeof(now), size - sizeof(now));
	ms = om_retry_after_ms(text, size - sizeof(now), now);
	MUST(ms >= -1 && ms <= 3600000);
	free(text);
	return 0;
}
