/*
 * pseudonym.c
 *		What stands in the place of an address or a text that was erased: a keyed hash of it.
 */
#include "pseudonym.h"

#include <sodium.h>
#include <string.h>

#define PREFIX_LEN	(sizeof(OM_PSEUDONYM_PREFIX) - 1)
#define HASH_BYTES	16

bool
om_pseudonym_key(const char *secret, size_t len, unsigned char key[OM_PSEUDONYM_KEY_BYTES])
{
	if (len < OM_PSEUDONYM_SECRET_MIN)
	{
		memset(key, 0, OM_PSEUDONYM_KEY_BYTES);
		return false;
	}
	crypto_generichash(key, OM_PSEUDONYM_KEY_BYTES, (const unsigned char *) secret, len, NULL, 0);
	return true;
}

void
om_pseudonym(const unsigned char key[OM_PSEUDONYM_KEY_BYTES], const char *value, size_t len,
			 char out[OM_PSEUDONYM_SIZE])
{
	unsigned char hash[HASH_BYTES];

	crypto_generichash(hash, sizeof(hash), (const unsigned char *) value, len, key, OM_PSEUDONYM_KEY_BYTES);
	memcpy(out, OM_PSEUDONYM_PREFIX, PREFIX_LEN);
	sodium_bin2hex(out + PREFIX_LEN, 2 * HASH_BYTES + 1, hash, sizeof(hash));
}

bool
om_is_pseudonym(const char *value, size_t len)
{
	if (len != OM_PSEUDONYM_SIZE - 1 || memcmp(value, OM_PSEUDONYM_PREFIX, PREFIX_LEN) != 0)
		return false;
	for (size_t i = PREFIX_LEN; i < len; i++)
		if (strchr("0123456789abcdef", value[i]) == NULL || value[i] == '\0')
			return false;
	return true;
}
