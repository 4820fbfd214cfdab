/*
 * pseudonym.h
 *		What stands in the place of an address or a text that was erased: a keyed hash of it.
 *
 * Whoever has the key can tell whether an address is the erased one; whoever has only the database
 * cannot, although there are few enough phone numbers to try all of them.
 */
#ifndef OM_PSEUDONYM_H
#define OM_PSEUDONYM_H

#include <stdbool.h>
#include <stddef.h>

/* Of the key: crypto_generichash_KEYBYTES, 256 bits */
#define OM_PSEUDONYM_KEY_BYTES	32

#define OM_PSEUDONYM_PREFIX		"erased:"

/* The prefix, 128 bits in hexadecimal digits, and the terminator */
#define OM_PSEUDONYM_SIZE		(7 + 32 + 1)

/* The shortest secret that a key is made of, in bytes: 32 hexadecimal digits are 128 bits */
#define OM_PSEUDONYM_SECRET_MIN	32

/*
 * Make the key of a secret.  False, and key is all zero, when the secret is shorter than
 * OM_PSEUDONYM_SECRET_MIN.
 */
extern bool om_pseudonym_key(const char *secret, size_t len, unsigned char key[OM_PSEUDONYM_KEY_BYTES]);

/* Write the pseudonym of a value: BLAKE2b (RFC 7693) with that key, of 16 bytes */
extern void om_pseudonym(const unsigned char key[OM_PSEUDONYM_KEY_BYTES], const char *value, size_t len,
						 char out[OM_PSEUDONYM_SIZE]);

/* Whether a value is a pseudonym already */
extern bool om_is_pseudonym(const char *value, size_t len);

#endif							/* OM_PSEUDONYM_H */
