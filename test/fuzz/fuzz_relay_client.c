/*
 * fuzz_relay_client.c
 *		Addresses, what a proxy says about them, and the list of proxies, from any text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = calloc(size + 1, 1);
	char	   *list = malloc(size + 16);
	char		error[128] = "";
	uint64_t	key;

	MUST(text != NULL && list != NULL);
	memcpy(text, data, size);
	key = om_client_key(text);

	/* whatever the client has put before it, the proxy's word is the same */
	strcpy(list, "192.0.2.1, ");
	strcat(list, text);
	MUST(om_client_forwarded_key(list) == om_client_forwarded_key(text));
	if (key != 0)
		MUST(om_client_forwarded_key(text) == key);

	if (om_client_load_proxies(text, error, sizeof(error)))
	{
		MUST(error[0] == '\0');
		/* a single address is a proxy, and nobody is one of an empty list */
		if (key != 0 && strchr(text, ':') == NULL)
			MUST(om_client_is_proxy(text));
		if (strspn(text, ", \t\r\n") == strlen(text))
			MUST(!om_client_is_proxy("192.0.2.1"));
	}
	else
		MUST(error[0] != '\0');
	(void) om_client_is_proxy(text);

	free(list);
	free(text);
	return 0;
}
