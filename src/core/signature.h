/*
 * signature.h
 *		Ed25519 signatures of webhooks (RFC 8032, pure Ed25519, no context).
 *
 * Telnyx signs the bytes  timestamp "|" raw body  and sends the signature in
 * the header telnyx-signature-ed25519 (standard padded base64 of 64 bytes) and
 * the time in telnyx-timestamp (Unix seconds, ASCII digits).
 *
 * Nothing here allocates, reads a clock or knows PostgreSQL.  libsodium does the
 * arithmetic; the caller must have called sodium_init() once.
 */
#ifndef OM_SIGNATURE_H
#define OM_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

/* How far a timestamp may be from our clock, in either direction, in seconds */
#define OM_SIGNATURE_TOLERANCE	300

/* Room that om_signature_verify needs in scratch beside the body */
#define OM_SIGNATURE_SCRATCH	16

typedef enum OmSignatureResult
{
	OM_SIGNATURE_OK,
	OM_SIGNATURE_MISSING,		/* no signature or no timestamp was given */
	OM_SIGNATURE_BAD_TIMESTAMP, /* not 1 to 12 ASCII digits */
	OM_SIGNATURE_MALFORMED,		/* not the canonical base64 of 64 bytes */
	OM_SIGNATURE_WRONG,			/* no key verifies it */
	OM_SIGNATURE_TOO_OLD,		/* right, but the timestamp is too far in the past */
	OM_SIGNATURE_TOO_NEW,		/* right, but the timestamp is too far ahead */
	OM_SIGNATURE_BAD_KEY,		/* om_public_key_parse only: no usable key */
	OM_SIGNATURE_NO_SPACE		/* scratch is too small: a bug of the caller */
} OmSignatureResult;

typedef struct OmPublicKey
{
	uint8_t		key[32];
	char		fingerprint[65];	/* lower-case hex SHA-256 of the 32 bytes, NUL-terminated */
} OmPublicKey;

/*
 * Read the base64 of a public key, as the provider's portal shows it.  Anything
 * but the canonical base64 of a valid point of prime order is OM_SIGNATURE_BAD_KEY.
 */
extern OmSignatureResult om_public_key_parse(const char *text, size_t len,
											 OmPublicKey *out);

/*
 * Verify one delivery against each key in turn.
 *
 * scratch is a buffer of the caller's of at least body_len + OM_SIGNATURE_SCRATCH
 * bytes in which the signed bytes are put together.  The body may be there already, OM_SIGNATURE_SCRATCH
 * bytes from its beginning; it is not copied then.  now and tolerance are Unix
 * seconds.  key_index, which may be NULL, is set to the key that verified
 * whenever the signature itself is right (OK, TOO_OLD and TOO_NEW), so that the caller
 * can tell a wrong clock from a forgery.
 */
extern OmSignatureResult om_signature_verify(const OmPublicKey *keys, size_t nkeys,
											 const char *timestamp, size_t timestamp_len,
											 const char *signature, size_t signature_len,
											 const uint8_t *body, size_t body_len,
											 uint8_t *scratch, size_t scratch_len,
											 int64_t now, int64_t tolerance,
											 size_t *key_index);

/* A short lower-case word for logs and metrics: "ok", "missing", "too_old" ... */
extern const char *om_signature_result_name(OmSignatureResult result);

#endif							/* OM_SIGNATURE_H */
