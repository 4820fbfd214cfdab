/*
 * fuzz_relay_framing.c
 *		Headers of a request.  Byte 0: the method; then lines "name:value", each ended by \n.
 *
 * What is served has one plain length or none, and no encoding: the properties that a proxy in front and the relay
 * must agree on.
 */
#include <strings.h>

#include "framing.h"
#include "fuzz.h"

#define MOST	64

static int
count_of(const OmHeaders *headers, const char *name)
{
	int			count;
	const char *value = om_header(headers, name, &count);

	MUST((value != NULL) == (count > 0) && count <= headers->count);
	return count;
}

static void
check_served(const OmHeaders *headers, const OmFraming *framing, const char *method)
{
	const char *p;

	MUST(headers->count < MOST && count_of(headers, "transfer-encoding") == 0);
	MUST(count_of(headers, "CONTENT-LENGTH") == (framing->content_length != NULL));
	MUST(count_of(headers, "Telnyx-Timestamp") == (framing->timestamp != NULL));
	MUST(count_of(headers, "telnyx-Signature-ed25519") == (framing->signature != NULL));
	if (framing->content_length == NULL)
	{
		MUST(framing->body_unread == (strcmp(method, "GET") != 0));
		return;
	}
	for (p = framing->content_length; *p != '\0'; p++)
		MUST(*p >= '0' && *p <= '9');
	MUST(p > framing->content_length && p - framing->content_length <= 7);
	MUST(framing->body_unread == (strspn(framing->content_length, "0") < strlen(framing->content_length)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = {"POST", "GET", "HEAD", "", "PUT"};
	OmHeader	list[MOST];
	OmHeaders	headers = {.most = MOST, .list = list};
	OmFraming	framing;
	const char *method;
	char	   *text;
	char	   *line;
	char	   *saved = NULL;

	if (size < 1)
		return 0;
	method = methods[data[0] % 5];
	text = malloc(size);
	MUST(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	for (line = strtok_r(text, "\n", &saved); line != NULL && headers.count < MOST; line = strtok_r(NULL, "\n", &saved))
	{
		char	   *colon = strchr(line, ':');

		if (colon == NULL)
			continue;
		*colon = '\0';
		list[headers.count].name = line;
		list[headers.count++].value = colon + 1;
	}

	switch (om_framing_check(&headers, method, &framing))
	{
		case 0:
			check_served(&headers, &framing, method);
			break;
		case 400:
		case 411:
		case 413:
		case 431:
			MUST(framing.body_unread);
			break;
		default:
			abort();
	}
	MUST(om_framing_expectation(&headers) == OM_EXPECT_NOTHING || count_of(&headers, "expect") > 0);
	if (om_framing_keep_alive(&headers, method, "1.0"))
		MUST(count_of(&headers, "connection") == 1 && strcmp(method, "HEAD") != 0);
	free(text);
	return 0;
}
