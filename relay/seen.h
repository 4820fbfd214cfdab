/*
 * seen.h
 *		A short memory of bytes that came by, by their hash.
 */
#ifndef OM_RELAY_SEEN_H
#define OM_RELAY_SEEN_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define OM_SEEN_SIZE	1024		/* the oldest is forgotten for the next */
#define OM_SEEN_HASH	16

typedef struct OmSeen
{
	pthread_mutex_t mutex;
	int			used;
	int			next;
	struct
	{
		uint8_t		hash[OM_SEEN_HASH];
		int			count;
	}			entries[OM_SEEN_SIZE];
} OmSeen;

#define OM_SEEN_INIT	{.mutex = PTHREAD_MUTEX_INITIALIZER}

/* How often it was added; 0 when it is not known */
extern int	om_seen_count(OmSeen *seen, const uint8_t *bytes, size_t len);

/* It counts as added that often from now on; 0 forgets it */
extern void om_seen_set(OmSeen *seen, const uint8_t *bytes, size_t len, int count);

#endif							/* OM_RELAY_SEEN_H */
