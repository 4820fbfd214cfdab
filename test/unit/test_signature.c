/*
 * test_signature.c
 *		Ed25519 signatures of webhooks.
 *
 * Reads telnyx_signature_vectors.json in the directory given: key and texts were made
 * with the first key pair of RFC 8032, section 7.1.
 */
#include "signature.h"

#include <sodium.h>
#include <stdlib.h>

#include "tap.h"

#define MAX_BODY	1024
#define NOW			INT64_C(1705349767)

typedef struct Vector
{
	char		name[64];
	char		timestamp[32];
	char		signature[256];
	uint8_t		body[MAX_BODY];
	size_t		body_len;
} Vector;

static OmPublicKey key;
static char key_text[64];
static char seed_hex[128];
static Vector vectors[8];
static size_t nvectors;
static Vector wrong_separator;

/*
 * Copy the string value of the next "name" before end; false when there is none.  The
 * file is ours: no escapes but \" occur in it.
 */
static bool
json_string(const char **pos, const char *end, const char *name, char *out, size_t size)
{
	char		label[64];
	const char *p;
	size_t		n = 0;

	snprintf(label, sizeof(label), "\"%s\": \"", name);
	p = strstr(*pos, label);
	if (p == NULL || p >= end)
		return false;
	for (p += strlen(label); *p != '"' && *p != '\0'; p++)
	{
		if (*p == '\\')
			p++;
		if (n + 1 < size)
			out[n++] = *p;
	}
	out[n] = '\0';
	*pos = p;
	return true;
}

static size_t
from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t		len = 0;

	if (sodium_hex2bin(out, size, hex, strlen(hex), NULL, &len, NULL) != 0)
		return 0;
	return len;
}

static void
read_vectors(const char *directory)
{
	static char text[16384];
	static char hex[2 * MAX_BODY + 1];
	char		path[1024];
	const char *pos = text;
	const char *bad;
	size_t		len;
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/telnyx_signature_vectors.json", directory);
	file = fopen(path, "rb");
	if (file == NULL)
	{
		printf("Bail out! cannot open %s\n", path);
		exit(1);
	}
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	fclose(file);

	bad = strstr(text, "\"bad\"");
	if (bad == NULL)
		bad = text + len;
	json_string(&pos, bad, "seed_hex", seed_hex, sizeof(seed_hex));
	json_string(&pos, bad, "public_key_b64", key_text, sizeof(key_text));
	while (nvectors < 8)
	{
		Vector	   *v = &vectors[nvectors];

		if (!json_string(&pos, bad, "name", v->name, sizeof(v->name)) ||
			!json_string(&pos, bad, "timestamp", v->timestamp, sizeof(v->timestamp)) ||
			!json_string(&pos, bad, "body_hex", hex, sizeof(hex)) ||
			!json_string(&pos, bad, "signature_b64", v->signature, sizeof(v->signature)))
			break;
		v->body_len = from_hex(hex, v->body, sizeof(v->body));
		nvectors++;
	}
	pos = bad;
	json_string(&pos, text + len, "signature_b64", wrong_separator.signature,
				sizeof(wrong_separator.signature));
}

/* Verify at a time; the text of the result */
static const char *
verify_at(const Vector *v, int64_t now)
{
	static uint8_t scratch[MAX_BODY + OM_SIGNATURE_SCRATCH];
	static uint8_t whole[MAX_BODY + OM_SIGNATURE_SCRATCH];
	const uint8_t *bodies[2] = {v->body, whole + OM_SIGNATURE_SCRATCH};
	uint8_t    *buffers[2] = {scratch, whole};
	OmSignatureResult results[2];

	memcpy(whole + OM_SIGNATURE_SCRATCH, v->body, v->body_len);
	for (int i = 0; i < 2; i++)
		results[i] = om_signature_verify(&key, 1, v->timestamp, strlen(v->timestamp),
										 v->signature, strlen(v->signature), bodies[i], v->body_len,
										 buffers[i], v->body_len + OM_SIGNATURE_SCRATCH,
										 now, OM_SIGNATURE_TOLERANCE, NULL);
	if (results[0] != results[1] || memcmp(whole + OM_SIGNATURE_SCRATCH, v->body, v->body_len) != 0)
		return "not the same when the body is in the buffer already";
	return om_signature_result_name(results[0]);
}

static Vector
with_signature(const Vector *v, const char *signature)
{
	Vector		copy = *v;

	snprintf(copy.signature, sizeof(copy.signature), "%s", signature);
	return copy;
}

static Vector
with_timestamp(const Vector *v, const char *timestamp)
{
	Vector		copy = *v;

	snprintf(copy.timestamp, sizeof(copy.timestamp), "%s", timestamp);
	return copy;
}

static void
test_vectors(void)
{
	const Vector *a = &vectors[0];
	Vector		v;
	size_t		i;

	is_int((long long) nvectors, 4, "the file has four good vectors");
	is_int((long long) a->body_len, 411, "vector A has its 411 bytes");
	for (i = 0; i < nvectors; i++)
		ok(strcmp(verify_at(&vectors[i], NOW), "ok") == 0, "vector %s verifies",
		   vectors[i].name);

	v = vectors[3];
	memcpy(v.signature, a->signature, sizeof(v.signature));
	is(verify_at(&v, NOW), "wrong", "the signature of A is wrong for A pretty-printed");
	v = with_timestamp(a, "1705349768");
	is(verify_at(&v, NOW), "wrong", "another timestamp is wrong");
	v = with_signature(a, wrong_separator.signature);
	is(verify_at(&v, NOW), "wrong", "another separator is wrong");
	v = with_timestamp(a, "01705349767");
	is(verify_at(&v, NOW), "wrong", "the text of the timestamp is signed, not its number");
}

static void
test_window(void)
{
	const Vector *a = &vectors[0];
	Vector		v;

	is(verify_at(a, NOW + 300), "ok", "300 seconds old is fine");
	is(verify_at(a, NOW + 301), "too_old", "301 seconds old is too old");
	is(verify_at(a, NOW - 300), "ok", "300 seconds ahead is fine");
	is(verify_at(a, NOW - 301), "too_new", "301 seconds ahead is too new");
	is(verify_at(a, INT64_MAX), "too_old", "the last clock does not overflow");
	is(verify_at(a, INT64_MIN), "too_new", "the first clock does not overflow");
	v = with_timestamp(a, "1705349066");
	is(verify_at(&v, NOW), "wrong", "a wrong signature is wrong before it is too old");
}

static void
test_order_and_forms(void)
{
	const Vector *a = &vectors[0];
	uint8_t		raw[64];
	char		text[512];
	size_t		raw_len;
	Vector		v;

	v = with_signature(a, "");
	is(verify_at(&v, NOW), "missing", "no signature is missing");
	v = with_timestamp(a, "");
	is(verify_at(&v, NOW), "missing", "no timestamp is missing");
	v = with_timestamp(a, "yesterday");
	is(verify_at(&v, NOW), "bad_timestamp", "a timestamp of letters is bad");
	v = with_timestamp(a, "-1705349767");
	is(verify_at(&v, NOW), "bad_timestamp", "a sign is bad");
	v = with_timestamp(a, " 1705349767");
	is(verify_at(&v, NOW), "bad_timestamp", "a blank is bad");
	v = with_timestamp(a, "1705349767.0");
	is(verify_at(&v, NOW), "bad_timestamp", "a fraction is bad");
	v = with_timestamp(a, "1705349767|");
	is(verify_at(&v, NOW), "bad_timestamp", "a separator in the timestamp is bad");
	v = with_timestamp(a, "0000000000001");
	is(verify_at(&v, NOW), "bad_timestamp", "thirteen digits are bad");
	v = with_signature(a, "???");
	v = with_timestamp(&v, "x");
	is(verify_at(&v, NOW), "bad_timestamp", "the timestamp is looked at first");

	v = with_signature(a, "not base64");
	is(verify_at(&v, NOW), "malformed", "what is not base64 is malformed");
	snprintf(text, sizeof(text), "%s\n", a->signature);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "malformed", "a line break behind it is malformed");
	snprintf(text, sizeof(text), " %s", a->signature);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "malformed", "a blank before it is malformed");
	snprintf(text, sizeof(text), "%.86s", a->signature);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "malformed", "missing padding is malformed");
	snprintf(text, sizeof(text), "%.85sB==", a->signature);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "malformed", "unused bits that are not zero are malformed");
	snprintf(text, sizeof(text), "%.88s%.88s", a->signature, a->signature);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "malformed", "two signatures are malformed");

	sodium_base642bin(raw, sizeof(raw), a->signature, strlen(a->signature), NULL, &raw_len,
					  NULL, sodium_base64_VARIANT_ORIGINAL);
	sodium_bin2base64(text, sizeof(text), raw, 63, sodium_base64_VARIANT_ORIGINAL);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "malformed", "63 bytes are malformed");
	sodium_bin2base64(text, sizeof(text), raw, 64, sodium_base64_VARIANT_URLSAFE);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "malformed", "the alphabet of URLs is malformed");
	sodium_bin2hex(text, sizeof(text), raw, 44);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "malformed", "hexadecimal is malformed");
	memset(raw, 0, sizeof(raw));
	sodium_bin2base64(text, sizeof(text), raw, 64, sodium_base64_VARIANT_ORIGINAL);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "wrong", "64 zero bytes are wrong");
}

/* S + L is the same number modulo L: RFC 8032, 5.1.7 wants it refused */
static void
test_malleability(void)
{
	static const uint8_t order[32] = {
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde,
		0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10
	};
	const Vector *a = &vectors[0];
	uint8_t		raw[64];
	char		text[128];
	unsigned int carry = 0;
	size_t		len;
	size_t		i;
	Vector		v;

	sodium_base642bin(raw, sizeof(raw), a->signature, strlen(a->signature), NULL, &len,
					  NULL, sodium_base64_VARIANT_ORIGINAL);
	for (i = 0; i < 32; i++)
	{
		carry += (unsigned int) raw[32 + i] + order[i];
		raw[32 + i] = (uint8_t) carry;
		carry >>= 8;
	}
	sodium_bin2base64(text, sizeof(text), raw, 64, sodium_base64_VARIANT_ORIGINAL);
	v = with_signature(a, text);
	is(verify_at(&v, NOW), "wrong", "a signature with S + L is wrong");
}

/* No single bit of what is signed, or of the signature, can change */
static void
test_bit_flips(void)
{
	const Vector *a = &vectors[0];
	size_t		accepted = 0;
	size_t		flips = 0;
	size_t		len;
	uint8_t		raw[64];
	size_t		bit;
	Vector		v;

	for (bit = 0; bit < a->body_len * 8; bit++, flips++)
	{
		v = *a;
		v.body[bit / 8] ^= (uint8_t) (1u << (bit % 8));
		accepted += strcmp(verify_at(&v, NOW), "ok") == 0;
	}
	is_int((long long) accepted, 0, "no flipped bit of the body verifies");

	for (bit = 0; bit < strlen(a->timestamp) * 8; bit++, flips++)
	{
		const char *result;

		v = *a;
		v.timestamp[bit / 8] = (char) (v.timestamp[bit / 8] ^ (1 << (bit % 8)));
		result = verify_at(&v, NOW);
		accepted += strcmp(result, "wrong") != 0 && strcmp(result, "bad_timestamp") != 0;
	}
	is_int((long long) accepted, 0, "no flipped bit of the timestamp verifies");

	for (bit = 0; bit < strlen(a->signature) * 8; bit++, flips++)
	{
		v = *a;
		v.signature[bit / 8] = (char) (v.signature[bit / 8] ^ (1 << (bit % 8)));
		accepted += strcmp(verify_at(&v, NOW), "ok") == 0;
	}
	is_int((long long) accepted, 0, "no flipped bit of the signature's text verifies");

	for (bit = 0; bit < 64 * 8; bit++, flips++)
	{
		v = *a;
		sodium_base642bin(raw, sizeof(raw), a->signature, strlen(a->signature), NULL, &len,
						  NULL, sodium_base64_VARIANT_ORIGINAL);
		raw[bit / 8] ^= (uint8_t) (1u << (bit % 8));
		sodium_bin2base64(v.signature, sizeof(v.signature), raw, 64,
						  sodium_base64_VARIANT_ORIGINAL);
		accepted += strcmp(verify_at(&v, NOW), "wrong") != 0;
	}
	is_int((long long) accepted, 0, "no flipped bit of the signature verifies");
	printf("# %zu flips\n", flips);
}

static const char *
parse_key(const char *text)
{
	OmPublicKey out;

	return om_signature_result_name(om_public_key_parse(text, strlen(text), &out));
}

static void
test_keys(void)
{
	static const uint8_t other_seed[32] = {1};
	const Vector *a = &vectors[0];
	uint8_t		raw[32];
	uint8_t		secret[64];
	uint8_t		digest[32];
	uint8_t		scratch[MAX_BODY];
	char		text[128];
	OmPublicKey two[2];
	size_t		index = 99;

	is(key.fingerprint,
	   "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9",
	   "the fingerprint is the SHA-256 of the key in hexadecimal");
	crypto_hash_sha256(digest, key.key, 32);
	sodium_bin2hex(text, sizeof(text), digest, 32);
	is(key.fingerprint, text, "computed in another way too");

	is(parse_key(""), "bad_key", "no key is bad");
	is(parse_key("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"), "bad_key",
	   "a key without padding is bad");
	is(parse_key("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"), "bad_key",
	   "a key with a line break is bad");
	is(parse_key("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
	   "bad_key", "a key in hexadecimal is bad");
	memset(raw, 0, sizeof(raw));
	sodium_bin2base64(text, sizeof(text), raw, 32, sodium_base64_VARIANT_ORIGINAL);
	is(parse_key(text), "bad_key", "32 zero bytes are a point of small order");
	raw[0] = 1;
	sodium_bin2base64(text, sizeof(text), raw, 32, sodium_base64_VARIANT_ORIGINAL);
	is(parse_key(text), "bad_key", "the neutral element is a point of small order");
	memset(raw, 0xff, sizeof(raw));
	sodium_bin2base64(text, sizeof(text), raw, 32, sodium_base64_VARIANT_ORIGINAL);
	is(parse_key(text), "bad_key", "a number that is no point is bad");
	is(parse_key("eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg="), "ok",
	   "the example key of the SDK's documentation is a key");

	crypto_sign_seed_keypair(two[0].key, secret, other_seed);
	two[1] = key;
	is(om_signature_result_name(
		   om_signature_verify(two, 2, a->timestamp, 10, a->signature, 88, a->body,
							   a->body_len, scratch, sizeof(scratch), NOW, 300, &index)),
	   "ok", "each of several keys is tried");
	is_int((long long) index, 1, "and the one that verified is named");
	index = 99;
	is(om_signature_result_name(
		   om_signature_verify(two, 2, a->timestamp, 10, a->signature, 88, a->body,
							   a->body_len, scratch, sizeof(scratch), NOW + 999, 300, &index)),
	   "too_old", "a right signature of the wrong time is told apart");
	is_int((long long) index, 1, "with the key that verified it");
	index = 99;
	is(om_signature_result_name(
		   om_signature_verify(two, 1, a->timestamp, 10, a->signature, 88, a->body,
							   a->body_len, scratch, sizeof(scratch), NOW, 300, &index)),
	   "wrong", "the key of somebody else does not verify");
	is_int((long long) index, 99, "and no key is named");
	is(om_signature_result_name(
		   om_signature_verify(NULL, 0, a->timestamp, 10, a->signature, 88, a->body,
							   a->body_len, scratch, sizeof(scratch), NOW, 300, NULL)),
	   "wrong", "without any key nothing verifies");
	is(om_signature_result_name(
		   om_signature_verify(two, 2, a->timestamp, 10, a->signature, 88, a->body,
							   a->body_len, scratch,
							   a->body_len + OM_SIGNATURE_SCRATCH - 1, NOW, 300, NULL)),
	   "no_space", "a scratch buffer that is too small is not written to");
	is(om_signature_result_name(
		   om_signature_verify(two, 2, NULL, 0, NULL, 0, NULL, 0, NULL, 0, NOW, 300, NULL)),
	   "missing", "headers that are not there are missing");
}

/* What the providers' own tests sign: accents, CJK, emoji, not JSON, long timestamps */
static void
test_own_signatures(void)
{
	static const char *const bodies[] = {
		"{\"text\":\"Arr\xc3\xaat \xe5\x81\x9c\xe6\xad\xa2 \xf0\x9f\x9a\x80\"}",
		"not JSON at all", "|", "1705349767|", "{\"a\":1}\n", "\xff\xfe"
	};
	uint8_t		seed[32];
	uint8_t		public[32];
	uint8_t		secret[64];
	uint8_t		raw[64];
	size_t		i;

	from_hex(seed_hex, seed, sizeof(seed));
	crypto_sign_seed_keypair(public, secret, seed);
	ok(memcmp(public, key.key, 32) == 0, "the seed belongs to the key");
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
	{
		Vector		v = {.timestamp = "1705349767"};
		char		message[256];
		int			len;

		v.body_len = strlen(bodies[i]);
		memcpy(v.body, bodies[i], v.body_len);
		len = snprintf(message, sizeof(message), "1705349767|%s", bodies[i]);
		crypto_sign_detached(raw, NULL, (const uint8_t *) message, (unsigned long long) len,
							 secret);
		sodium_bin2base64(v.signature, sizeof(v.signature), raw, 64,
						  sodium_base64_VARIANT_ORIGINAL);
		ok(strcmp(verify_at(&v, NOW), "ok") == 0, "own body %zu verifies", i + 1);
	}
}

static void
test_names(void)
{
	OmPublicKey out;
	int			result;
	int			other;
	size_t		alike = 0;

	for (result = OM_SIGNATURE_OK; result <= OM_SIGNATURE_NO_SPACE; result++)
		for (other = OM_SIGNATURE_OK; other < result; other++)
			alike += strcmp(om_signature_result_name((OmSignatureResult) result),
							om_signature_result_name((OmSignatureResult) other)) == 0;
	is_int((long long) alike, 0, "each result has a name of its own");
	is(om_signature_result_name((OmSignatureResult) 99), "unknown", "what is none has none");
	ok(om_public_key_parse(NULL, 0, &out) == OM_SIGNATURE_BAD_KEY, "a key that is not there is bad");
	ok(om_signature_verify(&key, 1, "1", 1, NULL, 0, NULL, 0, NULL, 0, NOW, 300, NULL) == OM_SIGNATURE_MISSING,
	   "a signature that is not there is missing");
	ok(om_signature_verify(&key, 1, "1", 1, vectors[0].signature, 88, NULL, 0, out.key, 15, NOW, 300, NULL) ==
	   OM_SIGNATURE_NO_SPACE, "scratch without room for the timestamp is too small");
}

int
main(int argc, char **argv)
{
	if (sodium_init() < 0)
		return 1;
	read_vectors(argc > 1 ? argv[1] : "test/data");
	ok(om_public_key_parse(key_text, strlen(key_text), &key) == OM_SIGNATURE_OK,
	   "the key of the vectors is read");
	test_vectors();
	test_window();
	test_order_and_forms();
	test_malleability();
	test_bit_flips();
	test_keys();
	test_own_signatures();
	test_names();
	return done_testing();
}
