/*
 * fuzz_token.c
 *		A URL with the token of an attempt in it, or with anything else.
 */
#define _GNU_SOURCE				/* for memmem */

#include "token.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *url = exact_copy(data, size);
	OmToken		token;
	OmToken		again;
	char		written[OM_TOKEN_SIZE + 1];

	if (om_token_read(url, size, &token))
	{
		/* What was read stands in the URL as we would write it, and reads the same */
		MUST(om_token_write(&token, written + 1));
		written[0] = '?';
		MUST(memmem(url, size, written + 1, strlen(written + 1)) != NULL);
		MUST(om_token_read(written, strlen(written), &again));
		MUST(again.attempt == token.attempt && memcmp(again.id, token.id, sizeof(token.id)) == 0);
	}
	free(url);
	return 0;
}
