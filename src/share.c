/*
 * share.c
 *		How the organizations share what can be sent at once, and in a second.
 *
 * Each has a bucket of tokens that fills as time goes by.  And none may have more requests under way than there are
 * slots left for others: one whose requests all hang gets half of the slots, two get a third each, and the
 * next one always finds some.
 *
 * Half is much for one that keeps it for nothing.  So each has a window as TCP has one: halved by a request that timed out, wider
 * by one when as many as fit into it were answered.  It counts beside the widest one of those who wanted slots in the last
 * minute: who is alone, or fares no worse than the others while the provider is ill, gives up nothing.
 */
#include "postgres.h"

#include <math.h>

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "share.h"

/* The part of all slots that is left to one whose requests all hang: confirmations of STOP are among them, and have five minutes */
#define NARROWEST	16.0

/* What an organization may still send */
typedef struct Bucket
{
	pg_uuid_t	organization_id;
	double		tokens;
	TimestampTz filled_at;
	int			in_flight;
	double		window;			/* infinite until something timed out */
} Bucket;

static HTAB *buckets;

void
om_share_start(void)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(pg_uuid_t);
	control.entrysize = sizeof(Bucket);
	control.hcxt = TopMemoryContext;
	buckets = hash_create("omnimsg rate limits", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static Bucket *
bucket_of(const pg_uuid_t *organization_id, TimestampTz now)
{
	bool		found;
	Bucket	   *bucket = hash_search(buckets, organization_id, HASH_ENTER, &found);

	if (!found)
	{
		bucket->tokens = om_rate_limit;
		bucket->in_flight = 0;
		bucket->window = INFINITY;
	}
	else if (now > bucket->filled_at)
		bucket->tokens = Min(bucket->tokens +
							 (double) (now - bucket->filled_at) * om_rate_limit / USECS_PER_SEC,
							 om_rate_limit);
	bucket->filled_at = now;
	return bucket;
}

static double
window_of(const Bucket *bucket)
{
	return Min(bucket->window, om_max_in_flight);
}

/* Of all that have wanted slots lately: who has none for a moment would find them taken in the next */
static double
widest_window(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	Bucket	   *bucket;
	double		widest = 1.0;

	hash_seq_init(&scan, buckets);
	while ((bucket = hash_seq_search(&scan)) != NULL)
		if (now - bucket->filled_at <= USECS_PER_MINUTE)
			widest = Max(widest, window_of(bucket));
	return widest;
}

static bool
may_have_another(const Bucket *bucket, int given_to_it, int slots_left, double widest)
{
	int			held = bucket->in_flight + given_to_it;

	return bucket->tokens >= 1.0 && held < slots_left &&
		held < Max(om_max_in_flight * window_of(bucket) / widest, 1.0);
}

/* One at a time around, so that none waits behind a large one */
int
om_share_divide(OmShare *shares, int count, int slots, TimestampTz now)
{
	Bucket	  **bucket = palloc(sizeof(Bucket *) * Max(count, 1));
	double		widest;
	int			given = 0;
	bool		progress = true;

	for (int i = 0; i < count; i++)
	{
		shares[i].count = 0;
		bucket[i] = bucket_of(&shares[i].organization_id, now);
	}
	widest = widest_window(now);
	while (given < slots && progress)
	{
		progress = false;
		for (int i = 0; i < count && given < slots; i++)
			if (may_have_another(bucket[i], shares[i].count, slots - given, widest))
			{
				bucket[i]->tokens -= 1.0;
				shares[i].count++;
				given++;
				progress = true;
			}
	}
	return given;
}

bool
om_share_return(const OmShare *shares, int count, OmItem **items, int nitems, TimestampTz now)
{
	bool		limited = false;

	for (int i = 0; i < count; i++)
	{
		int			used = 0;
		Bucket	   *bucket = bucket_of(&shares[i].organization_id, now);

		for (int j = 0; j < nitems; j++)
			used += memcmp(&items[j]->organization_id, &shares[i].organization_id,
						   sizeof(pg_uuid_t)) == 0;
		bucket->tokens = Min(bucket->tokens + shares[i].count - used, om_rate_limit);
		if (bucket->tokens < 1.0)
			limited = true;
	}
	return limited;
}

/* The bucket is there since the slots were divided */
void
om_share_begin(const pg_uuid_t *organization_id)
{
	Bucket	   *bucket = hash_search(buckets, organization_id, HASH_FIND, NULL);

	if (bucket != NULL)
		bucket->in_flight++;
}

void
om_share_end(const pg_uuid_t *organization_id, bool timed_out)
{
	Bucket	   *bucket = hash_search(buckets, organization_id, HASH_FIND, NULL);

	if (bucket == NULL)
		return;
	bucket->in_flight--;
	if (timed_out)
		bucket->window = Max(window_of(bucket) / 2, Max(om_max_in_flight / NARROWEST, 1.0));
	else if (bucket->window < om_max_in_flight)
		bucket->window += 1.0 / bucket->window;
	else
		bucket->window = INFINITY;
}

/* Those with requests under way say something even when they are full, and those that timed out for an hour */
void
om_share_forget(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	Bucket	   *bucket;

	hash_seq_init(&scan, buckets);
	while ((bucket = hash_seq_search(&scan)) != NULL)
		if (bucket->in_flight == 0 &&
			now - bucket->filled_at > (isinf(bucket->window) ? USECS_PER_MINUTE : USECS_PER_HOUR))
			hash_search(buckets, &bucket->organization_id, HASH_REMOVE, NULL);
}
