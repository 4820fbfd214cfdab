/*
 * skew.c
 *		The smallest offset of the last minutes, in two buckets.
 */
#include <pthread.h>

#include "skew.h"

/* The number shown is of one to two of these. */
#define BUCKET_MS	(2 * 60 * 1000)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static bool provider_known;
static int64_t bucket_begun;
static int64_t smallest;		/* in this bucket */
static bool previous_known;
static int64_t previous;		/* in the one before */

static bool database_known;
static int64_t database_offset;

void
om_skew_provider(int64_t now, int64_t signed_at)
{
	int64_t		offset = now - signed_at;

	pthread_mutex_lock(&mutex);
	/* A clock that was set back begins anew, too: what it said before is worth nothing */
	if (!provider_known || now < bucket_begun || now - bucket_begun >= BUCKET_MS)
	{
		previous_known = provider_known && now >= bucket_begun && now - bucket_begun < 2 * BUCKET_MS;
		previous = smallest;
		smallest = offset;
		bucket_begun = now;
		provider_known = true;
	}
	else if (offset < smallest)
		smallest = offset;
	pthread_mutex_unlock(&mutex);
}

void
om_skew_database(int64_t offset)
{
	pthread_mutex_lock(&mutex);
	database_offset = offset;
	database_known = true;
	pthread_mutex_unlock(&mutex);
}

bool
om_skew_provider_get(int64_t *offset)
{
	bool		known;

	pthread_mutex_lock(&mutex);
	known = provider_known;
	*offset = previous_known && previous < smallest ? previous : smallest;
	pthread_mutex_unlock(&mutex);
	return known;
}

bool
om_skew_database_get(int64_t *offset)
{
	bool		known;

	pthread_mutex_lock(&mutex);
	known = database_known;
	*offset = database_offset;
	pthread_mutex_unlock(&mutex);
	return known;
}
