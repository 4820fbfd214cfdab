/*
 * test_token.c
 *		The name of one attempt to send, in the URL of the provider's webhooks.
 */
#include "token.h"

#include "tap.h"

#define ID	"01909f3c-7a5e-7b1d-8c2f-0123456789ab"
#define URL "https://relay.example.com/webhooks/telnyx"

static const OmToken example = {
	{0x01, 0x90, 0x9f, 0x3c, 0x7a, 0x5e, 0x7b, 0x1d, 0x8c, 0x2f, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab}, 7
};

static bool
reads(const char *url, int attempt)
{
	OmToken		token = {{0}, -1};

	if (!om_token_read(url, strlen(url), &token))
		return attempt == 0 && token.attempt == -1;
	return token.attempt == attempt && memcmp(token.id, example.id, sizeof(token.id)) == 0;
}

static void
test_write(void)
{
	OmToken		token = example;
	char		out[OM_TOKEN_SIZE];

	ok(om_token_write(&token, out), "a token is written");
	is(out, "ob=" ID ".7", "in lower case, with the number of the attempt behind a dot");
	token.attempt = OM_TOKEN_ATTEMPT_MAX;
	ok(om_token_write(&token, out), "the largest number of an attempt is written");
	is(out, "ob=" ID ".999999", "whole");
	is_int(strlen(out), OM_TOKEN_SIZE - 1, "and fills the room that there is for it");
	token.attempt = 0;
	ok(!om_token_write(&token, out), "there is no attempt 0");
	token.attempt = OM_TOKEN_ATTEMPT_MAX + 1;
	ok(!om_token_write(&token, out), "nor one beyond the largest");
}

static void
test_read(void)
{
	ok(reads(URL "?ob=" ID ".7", 7), "what was written is read again");
	ok(reads(URL "?ob=" ID ".999999", 999999), "the largest number, too");
	ok(reads(URL "?a=b&ob=" ID ".12&c=d", 12), "among other parameters");
	ok(reads(URL "?ob=" ID ".3#top", 3), "in front of a fragment");
	ok(reads("?ob=" ID ".1", 1), "of a URL that is nothing but its query");
	ok(reads("?x=?&ob=" ID ".1", 1), "behind a question mark that is data");
}

static void
test_refuse(void)
{
	ok(reads("", 0), "an empty URL has none");
	ok(reads(URL, 0), "a URL without a query has none");
	ok(reads(URL "?", 0), "an empty query has none");
	ok(reads(URL "?a=b", 0), "other parameters are none");
	ok(reads(URL "/ob=" ID ".7", 0), "a path is none");
	ok(reads(URL "#?ob=" ID ".7", 0), "a fragment is none");
	ok(reads(URL "?knob=" ID ".7", 0), "a parameter whose name ends alike is none");
	ok(reads(URL "?OB=" ID ".7", 0), "the name in capitals is none");
	ok(reads(URL "?ob=" ID, 0), "without an attempt it is none");
	ok(reads(URL "?ob=" ID ".", 0), "with an empty attempt it is none");
	ok(reads(URL "?ob=" ID ".0", 0), "there is no attempt 0");
	ok(reads(URL "?ob=" ID ".07", 0), "nor one with a zero in front");
	ok(reads(URL "?ob=" ID ".-7", 0), "nor one with a sign");
	ok(reads(URL "?ob=" ID ".7x", 0), "nor one with letters");
	ok(reads(URL "?ob=" ID ".1000000", 0), "nor one of seven digits");
	ok(reads(URL "?ob=" ID ".7%26", 0), "what is encoded is none");
	ok(reads(URL "?ob=01909F3C-7A5E-7B1D-8C2F-0123456789AB.7", 0), "a UUID in capitals is none of ours");
	ok(reads(URL "?ob=01909f3c7a5e7b1d8c2f0123456789ab.7", 0), "one without hyphens is none");
	ok(reads(URL "?ob=g1909f3c-7a5e-7b1d-8c2f-0123456789ab.7", 0), "one with another letter is none");
	ok(reads(URL "?ob=" ID "_7", 0), "another character than the dot is none");
	ok(reads(URL "?ob=" ID ".7&ob=" ID ".7", 0), "two of them are none: which one would it be");
	ok(reads(URL "?ob=" ID ".7&ob=x", 0), "nor is one beside a broken one");
}

int
main(void)
{
	test_write();
	test_read();
	test_refuse();
	return done_testing();
}
