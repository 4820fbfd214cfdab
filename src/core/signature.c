/*
 * signature.c
 *		Ed25519 signatures of webhooks.
 *
 * Verification has no secret of ours, so nothing here needs to run in constant
 * time.  The bytes that were signed are the header text of the timestamp, "|" and
 * the raw body: neither is ever parsed and printed again before it is verified.
 */
#include "signature.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define SIGNATURE_BYTES		64
#define KEY_BYTES			32
#define MAX_TIMESTAMP_LEN	12

static const char hex_digits[] = "0123456789abcdef";

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

/*
 * Decode the one canonical base64 text of bin_len bytes (RFC 4648, section 4):
 * standard alphabet, padded, no white space, unused bits zero.  Two texts
 * never mean the same bytes.
 */
static bool
base64_decode_exact(const char *text, size_t len, uint8_t *bin, size_t bin_len)
{
	size_t		digits = (bin_len * 8 + 5) / 6;
	uint32_t	bits = 0;
	int			nbits = 0;
	size_t		used = 0;
	size_t		i;

	if (len != (bin_len + 2) / 3 * 4)
		return false;
	for (i = 0; i < digits; i++)
	{
		int			value = base64_value(text[i]);

		if (value < 0)
			return false;
		bits = (bits << 6 | (uint32_t) value) & 0xffff;
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			bin[used++] = (uint8_t) (bits >> nbits);
			bits &= (1u << nbits) - 1;
		}
	}
	for (; i < len; i++)
	{
		if (text[i] != '=')
			return false;
	}
	return bits == 0;
}

OmSignatureResult
om_public_key_parse(const char *text, size_t len, OmPublicKey *out)
{
	uint8_t		digest[crypto_hash_sha256_BYTES];
	size_t		i;

	memset(out, 0, sizeof(*out));
	if (text == NULL || !base64_decode_exact(text, len, out->key, KEY_BYTES))
	{
		memset(out, 0, sizeof(*out));
		return OM_SIGNATURE_BAD_KEY;
	}

	/*
	 * A key of small order verifies forged signatures.  libsodium's check covers
	 * that, non-canonical points and points outside the group of prime order.
	 */
	if (crypto_core_ed25519_is_valid_point(out->key) != 1)
	{
		memset(out, 0, sizeof(*out));
		return OM_SIGNATURE_BAD_KEY;
	}

	crypto_hash_sha256(digest, out->key, KEY_BYTES);
	for (i = 0; i < sizeof(digest); i++)
	{
		out->fingerprint[2 * i] = hex_digits[digest[i] >> 4];
		out->fingerprint[2 * i + 1] = hex_digits[digest[i] & 15];
	}
	out->fingerprint[2 * sizeof(digest)] = '\0';
	return OM_SIGNATURE_OK;
}

/* 1 to 12 ASCII digits: below 10^12, so no sum below can overflow */
static bool
timestamp_read(const char *text, size_t len, int64_t *seconds)
{
	int64_t		value = 0;
	size_t		i;

	if (len < 1 || len > MAX_TIMESTAMP_LEN)
		return false;
	for (i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*seconds = value;
	return true;
}

OmSignatureResult
om_signature_verify(const OmPublicKey *keys, size_t nkeys,
					const char *timestamp, size_t timestamp_len,
					const char *signature, size_t signature_len,
					const uint8_t *body, size_t body_len,
					uint8_t *scratch, size_t scratch_len,
					int64_t now, int64_t tolerance,
					size_t *key_index)
{
	uint8_t		raw_signature[SIGNATURE_BYTES];
	int64_t		signed_at;
	uint8_t    *message;
	size_t		signed_len;
	size_t		i;

	if (timestamp == NULL || timestamp_len == 0 ||
		signature == NULL || signature_len == 0)
		return OM_SIGNATURE_MISSING;
	if (!timestamp_read(timestamp, timestamp_len, &signed_at))
		return OM_SIGNATURE_BAD_TIMESTAMP;
	if (!base64_decode_exact(signature, signature_len, raw_signature, SIGNATURE_BYTES))
		return OM_SIGNATURE_MALFORMED;
	if (scratch_len < OM_SIGNATURE_SCRATCH ||
		scratch_len - OM_SIGNATURE_SCRATCH < body_len)
		return OM_SIGNATURE_NO_SPACE;

	if (body_len > 0 && body != scratch + OM_SIGNATURE_SCRATCH)
		memcpy(scratch + OM_SIGNATURE_SCRATCH, body, body_len);
	message = scratch + OM_SIGNATURE_SCRATCH - timestamp_len - 1;
	memcpy(message, timestamp, timestamp_len);
	message[timestamp_len] = '|';
	signed_len = timestamp_len + 1 + body_len;

	for (i = 0; i < nkeys; i++)
	{
		if (crypto_sign_verify_detached(raw_signature, message, signed_len,
										keys[i].key) == 0)
			break;
	}
	if (i == nkeys)
		return OM_SIGNATURE_WRONG;
	if (key_index != NULL)
		*key_index = i;

	/* Compared without a subtraction that a hostile clock could overflow */
	if (now > signed_at && (uint64_t) now - (uint64_t) signed_at > (uint64_t) tolerance)
		return OM_SIGNATURE_TOO_OLD;
	if (now < signed_at && (uint64_t) signed_at - (uint64_t) now > (uint64_t) tolerance)
		return OM_SIGNATURE_TOO_NEW;
	return OM_SIGNATURE_OK;
}

const char *
om_signature_result_name(OmSignatureResult result)
{
	switch (result)
	{
		case OM_SIGNATURE_OK:
			return "ok";
		case OM_SIGNATURE_MISSING:
			return "missing";
		case OM_SIGNATURE_BAD_TIMESTAMP:
			return "bad_timestamp";
		case OM_SIGNATURE_MALFORMED:
			return "malformed";
		case OM_SIGNATURE_WRONG:
			return "wrong";
		case OM_SIGNATURE_TOO_OLD:
			return "too_old";
		case OM_SIGNATURE_TOO_NEW:
			return "too_new";
		case OM_SIGNATURE_BAD_KEY:
			return "bad_key";
		case OM_SIGNATURE_NO_SPACE:
			return "no_space";
	}
	return "unknown";
}
