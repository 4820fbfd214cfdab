/*
 * test_relay_framing.c
 *		Where a request ends, and which of its headers count.
 */
#include <stdlib.h>

#include "framing.h"
#include "tap.h"

static OmHeader list[80];
static OmFraming framing;

/* "Name: value" lines, each ended by \n; what civetweb would give for them */
static OmHeaders
headers(const char *lines)
{
	static char text[4096];
	OmHeaders	out = {.most = 64, .list = list};
	char	   *line;
	char	   *saved = NULL;

	snprintf(text, sizeof(text), "%s", lines);
	for (line = strtok_r(text, "\n", &saved); line != NULL; line = strtok_r(NULL, "\n", &saved))
	{
		char	   *colon = strchr(line, ':');

		*colon = '\0';
		list[out.count].name = line;
		list[out.count++].value = colon + 1 + strspn(colon + 1, " ");
	}
	return out;
}

static int
status_of(const char *method, const char *lines)
{
	OmHeaders	given = headers(lines);

	return om_framing_check(&given, method, &framing);
}

static void
test_lengths(void)
{
	static const struct
	{
		const char *value;
		int			status;
	}			cases[] = {
		{"0", 0}, {"1", 0}, {"0000012", 0}, {"9999999", 0}, {"", 400}, {"+5", 400}, {"-5", 400}, {"5abc", 400},
		{"5 ", 400}, {"5,5", 400}, {"0x10", 400}, {"1e3", 400}, {"10000000", 413}, {"00000005", 413},
		{"99999999999999999999999", 413}
	};
	char		line[64];
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		snprintf(line, sizeof(line), "Content-Length: %s\n", cases[i].value);
		ok(status_of("POST", line) == cases[i].status, "a length of \"%s\" is answered %d", cases[i].value,
		   cases[i].status);
	}
}

static void
test_ends(void)
{
	is_int(status_of("POST", "Transfer-Encoding: chunked\n"), 411, "chunks are refused");
	is_int(status_of("POST", "Transfer-Encoding: chunked\nContent-Length: 5\n"), 400, "chunks and a length are refused");
	is_int(status_of("POST", "Content-Length: 5\nTRANSFER-ENCODING: identity\n"), 400,
		   "so they are in the other order, in capitals");
	ok(framing.body_unread, "and what comes behind them is not taken for a request");
	is_int(status_of("POST", "Content-Length: 5\nContent-Length: 5\n"), 400, "two lengths are refused, equal ones too");
	ok(framing.body_unread, "and what comes behind them is not taken for a request either");

	is_int(status_of("GET", "Host: a\n"), 0, "GET without a length is served");
	ok(!framing.body_unread && framing.content_length == NULL, "and has no body");
	is_int(status_of("GET", "Content-Length: 3\n"), 0, "GET with a length is served");
	ok(framing.body_unread, "and has a body");
	is_int(status_of("POST", "Host: a\n"), 0, "POST without a length is looked at");
	ok(framing.body_unread, "and may have a body");
	is_int(status_of("DELETE", "Content-Length: 0\n"), 0, "a length of 0 is one");
	ok(!framing.body_unread, "and means that there is no body");
}

static void
test_signatures(void)
{
	is_int(status_of("POST", "Telnyx-Signature-Ed25519: s\nTELNYX-TIMESTAMP: t\nContent-Length: 2\n"), 0,
		   "headers are found in any case");
	is(framing.signature, "s", "the signature");
	is(framing.timestamp, "t", "the timestamp");
	is(framing.content_length, "2", "the length");
	is_int(status_of("POST", "telnyx-timestamp: 1\ntelnyx-timestamp: 1\n"), 400, "two timestamps are refused");
	is_int(status_of("POST", "telnyx-signature-ed25519: a\ntelnyx-signature-ed25519: b\n"), 400,
		   "two signatures are refused");
	status_of("POST", "x-telnyx-timestamp: 1\ntelnyx-timestamp-2: 1\n");
	ok(framing.timestamp == NULL && framing.signature == NULL, "a name that is only like it is another name");
}

static void
test_number(void)
{
	char		lines[4096];
	size_t		len = 0;
	int			i;

	for (i = 0; i < 63; i++)
		len += (size_t) snprintf(lines + len, sizeof(lines) - len, "x-%d: y\n", i);
	is_int(status_of("GET", lines), 0, "63 headers are all that came");
	snprintf(lines + len, sizeof(lines) - len, "x-64: y\n");
	is_int(status_of("GET", lines), 431, "64 may be some of more, so nothing is believed");
	ok(framing.body_unread && framing.content_length == NULL, "and where the request ends is not known");
}

static void
test_expectations(void)
{
	OmHeaders	given = headers("Host: a\n");

	ok(om_framing_expectation(&given) == OM_EXPECT_NOTHING, "most clients expect nothing");
	given = headers("Expect: 100-Continue\n");
	ok(om_framing_expectation(&given) == OM_EXPECT_CONTINUE, "some want to be asked for the body");
	given = headers("Expect: tea\n");
	ok(om_framing_expectation(&given) == OM_EXPECT_OTHER, "what else they expect they do not get");
	given = headers("Expect: 100-continue\nExpect: 100-continue\n");
	ok(om_framing_expectation(&given) == OM_EXPECT_OTHER, "nor two things");
}

static bool
kept(const char *method, const char *version, const char *lines)
{
	OmHeaders	given = headers(lines);

	return om_framing_keep_alive(&given, method, version);
}

static void
test_keep_alive(void)
{
	ok(kept("POST", "1.1", ""), "HTTP/1.1 keeps the connection");
	ok(!kept("POST", "1.0", ""), "HTTP/1.0 does not");
	ok(kept("POST", "1.0", "Connection: Keep-Alive\n"), "but when it is asked to");
	ok(!kept("POST", "1.1", "Connection: close\n"), "HTTP/1.1 closes when it is asked to");
	ok(!kept("POST", "1.1", "Connection: keep-alive, upgrade\n"), "a list is no wish that is understood");
	ok(!kept("POST", "1.1", "Connection: keep-alive\nConnection: keep-alive\n"), "nor are two");
	ok(!kept("HEAD", "1.1", ""), "an answer to HEAD would be taken for the next one's");
	ok(!kept("GET", NULL, ""), "without a version it is closed");
}

int
main(void)
{
	test_lengths();
	test_ends();
	test_signatures();
	test_number();
	test_expectations();
	test_keep_alive();
	return done_testing();
}
