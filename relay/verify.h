/*
 * verify.h
 *		Whose signature a delivery carries.
 */
#ifndef OM_RELAY_VERIFY_H
#define OM_RELAY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "signature.h"

#define OM_VERIFY_MAX_KEYS	16

/*
 * Load the keys: base64 texts separated by commas or white space, or @/path of a
 * file of them.  None, too many or a bad one is false, with a reason for people.
 * After the first time a failure leaves the keys in use as they were.
 */
extern bool om_verify_load(const char *setting, char *error, size_t error_size);

/* Write a log line with the number of keys and the starts of their fingerprints. */
extern void om_verify_log_keys(const char *msg);

/*
 * Verify one delivery with the keys of this moment and the clock of this host.  The body is in buffer after
 * OM_SIGNATURE_SCRATCH bytes, where the time that is signed with it is put.
 * key_id (65 bytes) is set to the fingerprint of the key when the signature is right, so
 * also when the result is stale.
 */
extern OmSignatureResult om_verify_delivery(const char *timestamp, const char *signature,
											uint8_t *buffer, size_t body_len,
											char *key_id);

/* Rightly signed, but too long ago or too far ahead */
extern bool om_verify_is_stale(OmSignatureResult result);

#endif							/* OM_RELAY_VERIFY_H */
