/*
 * test_signature.c
 *		om_signature_verify against OpenSSL: what OpenSSL signs is accepted, and with one bit changed by neither.
 *
 * The reference below is written a second time from the rule, with nothing of src/core: OpenSSL reads the
 * base64, holds the key and verifies.  Usage: test_signature [DIRECTORY [FLIPS [THREADS]]]; OMNIMSG_SEED
 * repeats a run.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "../unit/tap.h"
#include "signature.h"

#define NOW				INT64_C(1705349767)
#define NOW_TEXT		"1705349767"
#define MAX_BODY		600
#define FLIPS_OF_ONE	400		/* flips of one message, before another is signed */
#define MAX_THREADS		16

/* A delivery, and the key that is configured, as texts */
typedef struct Delivery
{
	char		timestamp[32];
	char		signature[260];
	char		key[64];
	uint8_t		body[MAX_BODY];
	size_t		body_len;
} Delivery;

/* What was flipped */
enum
{
	TIMESTAMP,
	BODY,
	SIGNATURE,
	SIGNATURE_TEXT,
	KEY,
	NUM_PARTS
};

static const char *const part_names[NUM_PARTS] = {"timestamp", "body", "signature", "text of the signature", "key"};

/* What a thread has counted */
typedef struct Run
{
	uint64_t	random;
	long		flips;			/* to be done */
	bool		tells;			/* how far it is; one thread does, for all */
	long		done[NUM_PARTS];
	long		messages;
	long		refused_right;	/* messages that were right and were refused by one of the two */
	long		accepted;		/* flips that were accepted by us */
	long		different;		/* flips on which the two do not agree */
} Run;

/* splitmix64 */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t	z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t
below(uint64_t *state, size_t n)
{
	return (size_t) (next_random(state) % n);
}

static void
to_base64(const uint8_t *raw, size_t len, char *out)
{
	EVP_EncodeBlock((unsigned char *) out, raw, (int) len);
}

/* The one base64 text of len bytes: what OpenSSL reads must be written back the same */
static bool
from_base64(const char *text, uint8_t *raw, size_t len)
{
	uint8_t		decoded[200];
	char		again[270];

	if (strlen(text) != (len + 2) / 3 * 4 ||
		EVP_DecodeBlock(decoded, (const unsigned char *) text, (int) strlen(text)) < (int) len)
		return false;
	to_base64(decoded, len, again);
	memcpy(raw, decoded, len);
	return strcmp(text, again) == 0;
}

static bool
openssl_verifies(const uint8_t *raw_key, const uint8_t *raw_signature, const uint8_t *message, size_t len)
{
	EVP_PKEY   *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw_key, 32);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		verifies = key != NULL &&
		EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestVerify(context, raw_signature, 64, message, len) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return verifies;
}

/* The whole rule: a text of 1 to 12 digits within five minutes, a signature of it, "|" and the body */
static bool
reference_accepts(const Delivery *d, int64_t now)
{
	uint8_t		message[sizeof(d->timestamp) + 1 + MAX_BODY];
	uint8_t		key[32];
	uint8_t		signature[64];
	size_t		len = strlen(d->timestamp);
	long long	seconds;

	if (len == 0 || len > 12 || strspn(d->timestamp, "0123456789") != len)
		return false;
	seconds = atoll(d->timestamp);
	if (!from_base64(d->key, key, 32) || !from_base64(d->signature, signature, 64))
		return false;
	memcpy(message, d->timestamp, len);
	message[len++] = '|';
	memcpy(message + len, d->body, d->body_len);
	return openssl_verifies(key, signature, message, len + d->body_len) && llabs(now - seconds) <= 300;
}

/* What we say */
static OmSignatureResult
verdict(const Delivery *d, int64_t now)
{
	uint8_t		scratch[MAX_BODY + OM_SIGNATURE_SCRATCH];
	OmPublicKey key;

	if (om_public_key_parse(d->key, strlen(d->key), &key) != OM_SIGNATURE_OK)
		return OM_SIGNATURE_BAD_KEY;
	return om_signature_verify(&key, 1, d->timestamp, strlen(d->timestamp), d->signature, strlen(d->signature),
							   d->body, d->body_len, scratch, sizeof(scratch), now, OM_SIGNATURE_TOLERANCE, NULL);
}

/* Sign with OpenSSL what the delivery has; sets key and signature */
static void
sign(Delivery *d, const uint8_t *seed)
{
	uint8_t		message[sizeof(d->timestamp) + 1 + MAX_BODY];
	uint8_t		raw[64];
	size_t		raw_len = 64;
	size_t		len = strlen(d->timestamp);
	EVP_PKEY   *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	memcpy(message, d->timestamp, len);
	message[len++] = '|';
	memcpy(message + len, d->body, d->body_len);
	if (EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
		EVP_DigestSign(context, raw, &raw_len, message, len + d->body_len) != 1)
		abort();
	to_base64(raw, 64, d->signature);
	raw_len = 32;
	if (EVP_PKEY_get_raw_public_key(key, raw, &raw_len) != 1)
		abort();
	to_base64(raw, 32, d->key);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
}

/* ---- bits ---- */

static void
flip_bit(void *bytes, size_t bit)
{
	((uint8_t *) bytes)[bit / 8] ^= (uint8_t) (1u << bit % 8);
}

/* One bit of what the base64 text says */
static void
flip_in_base64(char *text, size_t len, size_t bit)
{
	uint8_t		raw[64];

	if (!from_base64(text, raw, len))
		abort();
	flip_bit(raw, bit);
	to_base64(raw, len, text);
}

static void
flip_one(Run *run, const Delivery *right)
{
	Delivery	d = *right;
	int			part = (int) below(&run->random, NUM_PARTS);
	bool		ours;

	switch (part)
	{
		case TIMESTAMP:
			flip_bit(d.timestamp, below(&run->random, 8 * strlen(d.timestamp)));
			break;
		case BODY:
			flip_bit(d.body, below(&run->random, 8 * d.body_len));
			break;
		case SIGNATURE:
			flip_in_base64(d.signature, 64, below(&run->random, 512));
			break;
		case SIGNATURE_TEXT:
			flip_bit(d.signature, below(&run->random, 8 * strlen(d.signature)));
			break;
		default:
			flip_in_base64(d.key, 32, below(&run->random, 256));
			break;
	}
	ours = verdict(&d, NOW) == OM_SIGNATURE_OK;
	run->done[part]++;
	run->accepted += ours;
	run->different += ours != reference_accepts(&d, NOW);
}

/* A message of its own key and time, and flips of it */
static void *
flip_many(void *argument)
{
	Run		   *run = argument;
	uint8_t		seed[32];
	Delivery	d;
	long		all = run->flips;
	long		told = 0;		/* tenths */
	long		i;
	size_t		j;

	while (run->flips > 0)
	{
		if (run->tells && (all - run->flips) * 10 / all > told)
		{
			told++;
			printf("# %ld %% of the flips are done\n", told * 10);
			fflush(stdout);
		}
		memset(&d, 0, sizeof(d));
		for (j = 0; j < sizeof(seed); j++)
			seed[j] = (uint8_t) next_random(&run->random);
		snprintf(d.timestamp, sizeof(d.timestamp), "%" PRId64, NOW - 300 + (int64_t) below(&run->random, 601));
		d.body_len = 1 + below(&run->random, MAX_BODY);
		for (j = 0; j < d.body_len; j++)
			d.body[j] = (uint8_t) next_random(&run->random);
		sign(&d, seed);
		run->messages++;
		run->refused_right += verdict(&d, NOW) != OM_SIGNATURE_OK || !reference_accepts(&d, NOW);
		for (i = 0; i < FLIPS_OF_ONE && run->flips > 0; i++, run->flips--)
			flip_one(run, &d);
	}
	return NULL;
}

static void
test_flips(long flips, int threads)
{
	const char *chosen = getenv("OMNIMSG_SEED");
	uint64_t	seed = chosen != NULL ? strtoull(chosen, NULL, 10) : (uint64_t) time(NULL);
	Run			runs[MAX_THREADS] = {0};
	pthread_t	ids[MAX_THREADS];
	Run			all = {0};
	int			i;
	int			part;

	printf("# seed %" PRIu64 "\n", seed);
	fflush(stdout);
	for (i = 0; i < threads; i++)
	{
		runs[i].random = seed + (uint64_t) i * 1000003;
		runs[i].flips = flips / threads;
		runs[i].tells = i == 0;
		if (pthread_create(&ids[i], NULL, flip_many, &runs[i]) != 0)
			abort();
	}
	for (i = 0; i < threads; i++)
	{
		pthread_join(ids[i], NULL);
		for (part = 0; part < NUM_PARTS; part++)
		{
			all.done[part] += runs[i].done[part];
			all.flips += runs[i].done[part];
		}
		all.messages += runs[i].messages;
		all.refused_right += runs[i].refused_right;
		all.accepted += runs[i].accepted;
		all.different += runs[i].different;
	}
	for (part = 0; part < NUM_PARTS; part++)
		printf("# %ld flips in the %s\n", all.done[part], part_names[part]);
	ok(all.flips >= flips - threads, "%ld single bits were flipped", all.flips);
	is_int(all.refused_right, 0, "each message that OpenSSL signed is accepted before");
	is_int(all.accepted, 0, "none is accepted with one bit changed");
	is_int(all.different, 0, "OpenSSL says the same about each of them");
}

/* ---- by hand ---- */

static const uint8_t hand_seed[32] = {42};
static int	hand_vectors;

static Delivery
signed_delivery(const char *timestamp, const char *body)
{
	Delivery	d = {0};

	snprintf(d.timestamp, sizeof(d.timestamp), "%s", timestamp);
	d.body_len = strlen(body);
	memcpy(d.body, body, d.body_len);
	sign(&d, hand_seed);
	return d;
}

static void
check(const Delivery *d, int64_t now, OmSignatureResult expected, const char *sentence)
{
	OmSignatureResult got = verdict(d, now);

	hand_vectors++;
	ok(got == expected && reference_accepts(d, now) == (got == OM_SIGNATURE_OK), "%s: %s", sentence,
	   om_signature_result_name(expected));
	if (got != expected)
		printf("#   got '%s'\n", om_signature_result_name(got));
	else if (reference_accepts(d, now) != (got == OM_SIGNATURE_OK))
		printf("#   OpenSSL does not agree\n");
}

static void
test_window(void)
{
	static const struct
	{
		int64_t		from_now;
		OmSignatureResult expected;
		const char *sentence;
	}			cases[] = {
		{0, OM_SIGNATURE_OK, "of now"},
		{-299, OM_SIGNATURE_OK, "299 seconds old"},
		{-300, OM_SIGNATURE_OK, "300 seconds old"},
		{-301, OM_SIGNATURE_TOO_OLD, "301 seconds old"},
		{299, OM_SIGNATURE_OK, "299 seconds ahead"},
		{300, OM_SIGNATURE_OK, "300 seconds ahead"},
		{301, OM_SIGNATURE_TOO_NEW, "301 seconds ahead"},
		{-86400, OM_SIGNATURE_TOO_OLD, "a day old"},
		{86400, OM_SIGNATURE_TOO_NEW, "a day ahead"},
		{-NOW, OM_SIGNATURE_TOO_OLD, "of 1970"},
		{INT64_C(999999999999) - NOW, OM_SIGNATURE_TOO_NEW, "of the year 33658"},
	};
	char		text[32];
	Delivery	d;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		snprintf(text, sizeof(text), "%" PRId64, NOW + cases[i].from_now);
		d = signed_delivery(text, "{}");
		check(&d, NOW, cases[i].expected, cases[i].sentence);
	}
}

/* Each is signed as it stands, so nothing but its form can be wrong with it */
static void
test_timestamps(void)
{
	static const struct
	{
		const char *text;
		OmSignatureResult expected;
	}			cases[] = {
		{"", OM_SIGNATURE_MISSING},
		{" ", OM_SIGNATURE_BAD_TIMESTAMP},
		{" 1705349767", OM_SIGNATURE_BAD_TIMESTAMP},
		{"1705349767 ", OM_SIGNATURE_BAD_TIMESTAMP},
		{"1705349767\n", OM_SIGNATURE_BAD_TIMESTAMP},
		{"\t1705349767", OM_SIGNATURE_BAD_TIMESTAMP},
		{"+1705349767", OM_SIGNATURE_BAD_TIMESTAMP},
		{"-1705349767", OM_SIGNATURE_BAD_TIMESTAMP},
		{"1705349767.0", OM_SIGNATURE_BAD_TIMESTAMP},
		{"1705349767|", OM_SIGNATURE_BAD_TIMESTAMP},
		{"|1705349767", OM_SIGNATURE_BAD_TIMESTAMP},
		{"17053|49767", OM_SIGNATURE_BAD_TIMESTAMP},
		{"1.705e9", OM_SIGNATURE_BAD_TIMESTAMP},
		{"0x65a58e47", OM_SIGNATURE_BAD_TIMESTAMP},
		{"1,705,349,767", OM_SIGNATURE_BAD_TIMESTAMP},
		{"\xd9\xa1\xd9\xa7\xd9\xa0\xd9\xa5", OM_SIGNATURE_BAD_TIMESTAMP},
		{"0001705349767", OM_SIGNATURE_BAD_TIMESTAMP},
		{"001705349767", OM_SIGNATURE_OK},
		{"1705349767000", OM_SIGNATURE_BAD_TIMESTAMP},
		{"2024-01-15", OM_SIGNATURE_BAD_TIMESTAMP},
	};
	char		sentence[80];
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Delivery	d = signed_delivery(cases[i].text, "{}");

		/* what is not a letter would break the line */
		snprintf(sentence, sizeof(sentence), "timestamp number %zu, %zu bytes", i + 1, strlen(cases[i].text));
		check(&d, NOW, cases[i].expected, sentence);
	}
}

static void
test_signature_texts(void)
{
	const Delivery right = signed_delivery(NOW_TEXT, "{\"a\":1}");
	const char *whole = right.signature;
	uint8_t		raw[66] = {0};
	Delivery	d = right;

	if (!from_base64(whole, raw, 64))
		abort();
#define TEXT(expected, sentence, ...) \
	(d = right, snprintf(d.signature, sizeof(d.signature), __VA_ARGS__), check(&d, NOW, expected, sentence))
	TEXT(OM_SIGNATURE_OK, "as it was written", "%.88s", whole);
	TEXT(OM_SIGNATURE_MISSING, "nothing", "%s", "");
	TEXT(OM_SIGNATURE_MALFORMED, "a line break behind it", "%.88s\n", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "a blank behind it", "%.88s ", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "a blank before it", " %.88s", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "a blank before it and no padding", "  %.86s", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "a line break in the middle", "%.44s\n%.88s", whole, whole + 44);
	TEXT(OM_SIGNATURE_MALFORMED, "no padding", "%.86s", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "half the padding", "%.87s", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "more padding", "%.88s==", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "padding in front", "==%.86s", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "padding that is something else", "%.86s=A", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "unused bits that are set", "%.85s%c==", whole, whole[85] + 1);
	TEXT(OM_SIGNATURE_MALFORMED, "it twice", "%.88s%.88s", whole, whole);
	TEXT(OM_SIGNATURE_MALFORMED, "it twice, with a comma", "%.88s,%.88s", whole, whole);
	TEXT(OM_SIGNATURE_MALFORMED, "a version before it", "v1,%.88s", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "quotation marks", "\"%.88s\"", whole);
	TEXT(OM_SIGNATURE_MALFORMED, "a star for the first letter", "*%.88s", whole + 1);
	TEXT(OM_SIGNATURE_MALFORMED, "a letter of two bytes", "\xc3\xa9%.88s", whole + 2);
#undef TEXT
	d = right;
	to_base64(raw, 63, d.signature);
	check(&d, NOW, OM_SIGNATURE_MALFORMED, "63 bytes");
	to_base64(raw, 65, d.signature);
	check(&d, NOW, OM_SIGNATURE_MALFORMED, "65 bytes");
	memset(raw, 0, sizeof(raw));
	to_base64(raw, 64, d.signature);
	check(&d, NOW, OM_SIGNATURE_WRONG, "64 bytes of zero");
	memset(raw, 0xff, sizeof(raw));
	to_base64(raw, 64, d.signature);
	check(&d, NOW, OM_SIGNATURE_WRONG, "64 bytes of ones");
}

/* What the signature is made over is the text of the header, "|" and the bytes that came */
static void
test_messages(void)
{
	static const uint8_t other_seed[32] = {43};
	const Delivery right = signed_delivery(NOW_TEXT, "{\"a\":1}");
	const char *whole = right.signature;
	Delivery	d = signed_delivery(NOW_TEXT, "");

	check(&d, NOW, OM_SIGNATURE_OK, "an empty body");
	d.body[d.body_len++] = '\0';
	check(&d, NOW, OM_SIGNATURE_WRONG, "a zero byte more than an empty body");
	d = signed_delivery(NOW_TEXT, "|");
	check(&d, NOW, OM_SIGNATURE_OK, "a body that is a separator");
	d.body_len = 0;
	check(&d, NOW, OM_SIGNATURE_WRONG, "the separator taken away");
	d = right;
	d.body[d.body_len++] = '\n';
	check(&d, NOW, OM_SIGNATURE_WRONG, "a line break more");
	d = right;
	d.body_len--;
	check(&d, NOW, OM_SIGNATURE_WRONG, "a byte less");
	d = signed_delivery(NOW_TEXT, "{\"a\": 1}");
	snprintf(d.signature, sizeof(d.signature), "%s", whole);
	check(&d, NOW, OM_SIGNATURE_WRONG, "the same JSON in another form");
	d = right;
	snprintf(d.timestamp, sizeof(d.timestamp), "0%s", NOW_TEXT);
	check(&d, NOW, OM_SIGNATURE_WRONG, "the same time in another form");
	/* 1|705349767|... has the same bytes behind another separator */
	d = signed_delivery("1", "705349767|{}");
	snprintf(d.timestamp, sizeof(d.timestamp), "%s", "1705349767");
	memcpy(d.body, "{}", 2);
	d.body_len = 2;
	check(&d, NOW, OM_SIGNATURE_WRONG, "the separator moved");
	d = right;
	sign(&d, other_seed);
	snprintf(d.signature, sizeof(d.signature), "%s", whole);
	check(&d, NOW, OM_SIGNATURE_WRONG, "the key of somebody else");
}

/* S + L is the same number modulo L: the second signature of the same message */
static void
test_malleability(void)
{
	static const uint8_t order[32] = {
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde,
		0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10
	};
	Delivery	d = signed_delivery(NOW_TEXT, "{}");
	uint8_t		raw[64];
	int			carry = 0;
	int			i;
	int			bit;

	if (!from_base64(d.signature, raw, 64))
		abort();
	for (bit = 5; bit < 8; bit++)
	{
		flip_in_base64(d.signature, 64, (size_t) (63 * 8 + bit));
		check(&d, NOW, OM_SIGNATURE_WRONG, "one of the three highest bits of S set");
		to_base64(raw, 64, d.signature);
	}
	for (i = 0; i < 32; i++)
	{
		carry += raw[32 + i] + order[i];
		raw[32 + i] = (uint8_t) carry;
		carry >>= 8;
	}
	to_base64(raw, 64, d.signature);
	check(&d, NOW, OM_SIGNATURE_WRONG, "S + L");
	memcpy(raw + 32, order, 32);
	to_base64(raw, 64, d.signature);
	check(&d, NOW, OM_SIGNATURE_WRONG, "S = L");
}

/*
 * Keys of small order verify R = A, S = 0 of about every eighth message, or every one, and OpenSSL says so: the
 * one matter in which we are stricter.  Such a key cannot be configured, and if it were, libsodium
 * would refuse what it verifies.
 */
static void
test_small_order(void)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t		scratch[64];
	uint8_t		raw[64];
	char		message[32];
	char		signature[128];
	OmPublicKey key = {0};
	int			openssl = 0;
	int			ours = 0;
	size_t		i;
	size_t		r;
	int			n;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++)
	{
		Delivery	d = signed_delivery(NOW_TEXT, "{}");

		sodium_hex2bin(key.key, 32, points[i], 64, NULL, NULL, NULL);
		to_base64(key.key, 32, d.key);
		hand_vectors++;
		ok(verdict(&d, NOW) == OM_SIGNATURE_BAD_KEY, "point %zu of small order is no key", i + 1);
		for (r = 0; r < sizeof(points) / sizeof(points[0]); r++)
		{
			memset(raw, 0, sizeof(raw));
			sodium_hex2bin(raw, 32, points[r], 64, NULL, NULL, NULL);
			to_base64(raw, 64, signature);
			for (n = 0; n < 20; n++)
			{
				snprintf(message, sizeof(message), NOW_TEXT "|%02d", n);
				openssl += openssl_verifies(key.key, raw, (uint8_t *) message, strlen(message));
				ours += om_signature_verify(&key, 1, NOW_TEXT, 10, signature, 88, (uint8_t *) message + 11, 2,
											scratch, sizeof(scratch), NOW, 300, NULL) == OM_SIGNATURE_OK;
			}
		}
	}
	ok(openssl > 0, "OpenSSL verifies %d forged signatures with such keys", openssl);
	is_int(ours, 0, "we verify none of them, even if the key were there");
}

int
main(int argc, char **argv)
{
	long		flips = argc > 2 ? atol(argv[2]) : 100000;
	int			threads = argc > 3 ? atoi(argv[3]) : 1;

	if (sodium_init() < 0)
		return 1;
	test_window();
	test_timestamps();
	test_signature_texts();
	test_messages();
	test_malleability();
	test_small_order();
	printf("# %d vectors by hand\n", hand_vectors);
	test_flips(flips, threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads);
	return done_testing();
}
