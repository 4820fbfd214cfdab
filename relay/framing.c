/*
 * framing.c
 *		Where a request ends, and which of its headers count.
 *
 * civetweb 1.15 reads a request more generously than is safe behind a proxy: it takes the first of two
 * Content-Length headers, "5abc" as 5, and Transfer-Encoding beside Content-Length (request smuggling, RFC 9112
 * 11.2), and it keeps 64 headers and drops the others silently.  Here the same headers are read again, strictly.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "framing.h"

#define SIGNATURE_HEADER	"telnyx-signature-ed25519"
#define TIMESTAMP_HEADER	"telnyx-timestamp"

const char *
om_header(const OmHeaders *headers, const char *name, int *count)
{
	const char *value = NULL;
	int			i;

	*count = 0;
	for (i = 0; i < headers->count; i++)
	{
		if (strcasecmp(headers->list[i].name, name) == 0)
		{
			value = headers->list[i].value;
			(*count)++;
		}
	}
	return value;
}

int
om_framing_check(const OmHeaders *headers, const char *method, OmFraming *out)
{
	const char *digits;
	int			encodings;
	int			lengths;
	int			signatures;
	int			timestamps;

	memset(out, 0, sizeof(*out));
	out->body_unread = true;	/* until it is known where the request ends */
	if (headers->count >= headers->most)
		return 431;

	(void) om_header(headers, "Transfer-Encoding", &encodings);
	out->content_length = om_header(headers, "Content-Length", &lengths);
	out->signature = om_header(headers, SIGNATURE_HEADER, &signatures);
	out->timestamp = om_header(headers, TIMESTAMP_HEADER, &timestamps);

	if (encodings > 0)
		return lengths > 0 ? 400 : 411;
	if (lengths > 1 || signatures > 1 || timestamps > 1)
		return 400;
	if (lengths == 1)
	{
		digits = out->content_length;
		if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits))
			return 400;
		if (strlen(digits) > 7)
			return 413;
	}

	/* Without a length only GET is known to have no body */
	out->body_unread = lengths == 1 ? atol(out->content_length) > 0 : strcmp(method, "GET") != 0;
	return 0;
}

OmExpectation
om_framing_expectation(const OmHeaders *headers)
{
	int			count;
	const char *expected = om_header(headers, "Expect", &count);

	if (count == 0)
		return OM_EXPECT_NOTHING;
	if (count > 1 || strcasecmp(expected, "100-continue") != 0)
		return OM_EXPECT_OTHER;
	return OM_EXPECT_CONTINUE;
}

bool
om_framing_keep_alive(const OmHeaders *headers, const char *method, const char *version)
{
	int			count;
	const char *wish = om_header(headers, "Connection", &count);

	/* Our answers have a body, which a client that asked with HEAD takes for the next answer */
	if (strcmp(method, "HEAD") == 0 || count > 1)
		return false;
	if (count == 1)
		return strcasecmp(wish, "keep-alive") == 0;
	return version != NULL && strcmp(version, "1.1") == 0;
}
