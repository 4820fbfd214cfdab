/*
 * fuzz_signature.c
 *		Keys, headers and bodies: timestamp NUL signature NUL body.
 *
 * Whatever is in the headers, reading them is safe and a signature has 88 characters.  What
 * was signed here verifies, and does not with one bit changed: asked of one input in 256, because curves take
 * a hundred times as long as reading (the oracle test asks it of very many).
 */
#include "signature.h"

#include <sodium.h>

#include "fuzz.h"

#define NOW		INT64_C(1705349767)

static OmPublicKey public_key;
static uint8_t secret[64];

static void
make_key(void)
{
	/* RFC 8032, section 7.1, TEST 1 */
	static const uint8_t seed[32] = {
		0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
		0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
		0x1c, 0xae, 0x7f, 0x60
	};
	const char *text = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

	MUST(sodium_init() >= 0);
	MUST(om_public_key_parse(text, strlen(text), &public_key) == OM_SIGNATURE_OK);
	crypto_sign_seed_keypair(public_key.key, secret, seed);
}

static OmSignatureResult
verify(const char *timestamp, size_t timestamp_len, const char *signature,
	   size_t signature_len, const uint8_t *body, size_t body_len)
{
	uint8_t    *scratch = malloc(body_len + OM_SIGNATURE_SCRATCH);
	OmSignatureResult result;

	MUST(scratch != NULL);
	result = om_signature_verify(&public_key, 1, timestamp, timestamp_len, signature,
								 signature_len, body, body_len, scratch,
								 body_len + OM_SIGNATURE_SCRATCH, NOW,
								 OM_SIGNATURE_TOLERANCE, NULL);
	free(scratch);
	return result;
}

static void
check_key(const char *text, size_t len)
{
	OmPublicKey key;
	char		back[64];

	if (om_public_key_parse(text, len, &key) != OM_SIGNATURE_OK)
		return;
	MUST(len == 44 && strlen(key.fingerprint) == 64);
	sodium_bin2base64(back, sizeof(back), key.key, 32, sodium_base64_VARIANT_ORIGINAL);
	MUST(memcmp(back, text, 44) == 0);
}

static void
check_own(const uint8_t *data, size_t size)
{
	uint8_t		raw[64];
	char		signature[128];
	uint8_t    *body = malloc(size + 11);
	OmSignatureResult result;

	MUST(body != NULL);
	memcpy(body, "1705349767|", 11);
	memcpy(body + 11, data, size);
	crypto_sign_detached(raw, NULL, body, size + 11, secret);
	sodium_bin2base64(signature, sizeof(signature), raw, 64, sodium_base64_VARIANT_ORIGINAL);
	MUST(verify("1705349767", 10, signature, 88, body + 11, size) == OM_SIGNATURE_OK);
	if (size > 0)
	{
		body[11 + size / 2] ^= (uint8_t) (1u << (size % 8));
		result = verify("1705349767", 10, signature, 88, body + 11, size);
		MUST(result == OM_SIGNATURE_WRONG);
	}
	free(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text;
	char	   *end;
	char	   *signature;
	size_t		rest;
	OmSignatureResult result;

	if (secret[0] == 0)
		make_key();
	text = exact_copy(data, size);
	check_key(text, size);
	end = memchr(text, '\0', size);
	if (end != NULL)
	{
		signature = end + 1;
		rest = size - (size_t) (signature - text);
		end = memchr(signature, '\0', rest);
		if (end != NULL)
		{
			size_t		signature_len = (size_t) (end - signature);

			result = verify(text, strlen(text), signature, signature_len,
							(const uint8_t *) end + 1, rest - signature_len - 1);
			MUST(om_signature_result_name(result)[0] != '\0');
			if (signature_len > 0 && signature_len != 88)
				MUST(result != OM_SIGNATURE_OK && result != OM_SIGNATURE_WRONG);
		}
	}
	if (one_in(256, data, size))
		check_own(data, size);
	free(text);
	return 0;
}
