/*
 * share.c
 *		How the organizations share what can be sent at once, and in a second.
 *
 * Each has a bucket of tokens that fills as time goes by.  And none may have more requests under way than there are
 * slots left for others: one whose requests all hang gets half of the slots, two get a third each, and the
 * next one always finds some.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "share.h"

/* What an organization may still send */
typedef struct Bucket
{
	pg_uuid_t	organization_id;
	double		tokens;
	TimestampTz filled_at;
	int			in_flight;
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
	}
	else if (now > bucket->filled_at)
		bucket->tokens = Min(bucket->tokens +
							 (double) (now - bucket->filled_at) * om_rate_limit / USECS_PER_SEC,
							 om_rate_limit);
	bucket->filled_at = now;
	return bucket;
}

/* One at a time around, so that none waits behind a large one */
int
om_share_divide(OmShare *shares, int count, int slots, TimestampTz now)
{
	Bucket	  **bucket = palloc(sizeof(Bucket *) * Max(count, 1));
	int			given = 0;
	bool		progress = true;

	for (int i = 0; i < count; i++)
	{
		shares[i].count = 0;
		bucket[i] = bucket_of(&shares[i].organization_id, now);
	}
	while (given < slots && progress)
	{
		progress = false;
		for (int i = 0; i < count && given < slots; i++)
			if (bucket[i]->tokens >= 1.0 && bucket[i]->in_flight + shares[i].count < slots - given)
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

void
om_share_in_flight(const pg_uuid_t *organization_id, int change)
{
	Bucket	   *bucket = hash_search(buckets, organization_id, HASH_FIND, NULL);

	if (bucket != NULL)			/* as it is since the slots were divided */
		bucket->in_flight += change;
}

/* Those with requests under way say something even when they are full */
void
om_share_forget(TimestampTz now)
{
	HASH_SEQ_STATUS scan;
	Bucket	   *bucket;

	hash_seq_init(&scan, buckets);
	while ((bucket = hash_seq_search(&scan)) != NULL)
		if (bucket->in_flight == 0 && now - bucket->filled_at > USECS_PER_MINUTE)
			hash_search(buckets, &bucket->organization_id, HASH_REMOVE, NULL);
}
