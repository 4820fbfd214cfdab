/*
 * seen.c
 *		A ring of hashes, looked through from end to end: it is empty almost always.
 */
#include <sodium.h>
#include <string.h>

#include "seen.h"

/* The entry, or -1.  The caller holds the mutex. */
static int
find(const OmSeen *seen, const uint8_t *hash)
{
	int			i;

	for (i = 0; i < seen->used; i++)
	{
		if (memcmp(seen->entries[i].hash, hash, OM_SEEN_HASH) == 0)
			return i;
	}
	return -1;
}

int
om_seen_count(OmSeen *seen, const uint8_t *bytes, size_t len)
{
	uint8_t		hash[OM_SEEN_HASH];
	int			count = 0;

	pthread_mutex_lock(&seen->mutex);
	if (seen->used > 0)
	{
		int			found;

		crypto_generichash(hash, sizeof(hash), bytes, len, NULL, 0);
		found = find(seen, hash);
		count = found >= 0 ? seen->entries[found].count : 0;
	}
	pthread_mutex_unlock(&seen->mutex);
	return count;
}

void
om_seen_set(OmSeen *seen, const uint8_t *bytes, size_t len, int count)
{
	uint8_t		hash[OM_SEEN_HASH];
	int			found;

	crypto_generichash(hash, sizeof(hash), bytes, len, NULL, 0);
	pthread_mutex_lock(&seen->mutex);
	found = find(seen, hash);
	if (found < 0 && count > 0)
	{
		found = seen->next;
		seen->next = (seen->next + 1) % OM_SEEN_SIZE;
		if (seen->used < OM_SEEN_SIZE)
			seen->used++;
		memcpy(seen->entries[found].hash, hash, sizeof(hash));
	}
	if (found >= 0)
		seen->entries[found].count = count;
	pthread_mutex_unlock(&seen->mutex);
}
