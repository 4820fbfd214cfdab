/*
 * limit.c
 *		A token bucket for each address that something was refused to.
 *
 * A full bucket needs no place.  Where an address may be depends on a secret, so that nobody can
 * choose addresses that push others out; whoever has very many can, and gains what he has paid for.
 */
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "limit.h"

#define SETS	1024
#define WAYS	4

typedef struct Bucket
{
	uint64_t	client;			/* 0: free */
	int64_t		tokens;			/* in units of a 60000th, so that a millisecond earns per_minute */
	int64_t		filled_at;
} Bucket;

#define TOKEN	60000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Bucket table[SETS][WAYS];
static uint8_t secret[crypto_shorthash_KEYBYTES];
static int64_t rate;			/* units for each millisecond; 0: no limit */

void
om_limit_start(int per_minute)
{
	crypto_shorthash_keygen(secret);
	rate = per_minute;
	om_limit_forgive_all();
}

static Bucket *
set_of(uint64_t client)
{
	uint8_t		hash[crypto_shorthash_BYTES];
	uint64_t	number;

	crypto_shorthash(hash, (const unsigned char *) &client, sizeof(client), secret);
	memcpy(&number, hash, sizeof(number));
	return table[number % SETS];
}

/* Bring all buckets of a set up to now; full ones are given up. */
static void
fill(Bucket *set, int64_t now)
{
	int64_t		full = rate * TOKEN;
	int			i;

	for (i = 0; i < WAYS; i++)
	{
		int64_t		passed = now - set[i].filled_at;

		if (set[i].client == 0)
			continue;
		/* a minute fills any bucket */
		if (passed >= TOKEN || set[i].tokens + passed * rate >= full)
			set[i].client = 0;
		else
			set[i].tokens += passed * rate;
		set[i].filled_at = now;
	}
}

static Bucket *
find(Bucket *set, uint64_t client)
{
	int			i;

	for (i = 0; i < WAYS; i++)
	{
		if (set[i].client == client)
			return &set[i];
	}
	return NULL;
}

/* A free place, or that of the bucket which is the fullest */
static Bucket *
take_place(Bucket *set, uint64_t client, int64_t now)
{
	Bucket	   *place = find(set, 0);
	int			i;

	if (place == NULL)
	{
		place = &set[0];
		for (i = 1; i < WAYS; i++)
		{
			if (set[i].tokens > place->tokens)
				place = &set[i];
		}
	}
	place->client = client;
	place->tokens = rate * TOKEN;
	place->filled_at = now;
	return place;
}

bool
om_limit_spent(uint64_t client, int64_t now)
{
	Bucket	   *set;
	Bucket	   *bucket;
	bool		spent;

	if (rate == 0 || client == 0)
		return false;
	set = set_of(client);
	pthread_mutex_lock(&mutex);
	fill(set, now);
	bucket = find(set, client);
	spent = bucket != NULL && bucket->tokens < TOKEN;
	pthread_mutex_unlock(&mutex);
	return spent;
}

void
om_limit_charge(uint64_t client, int64_t now)
{
	Bucket	   *set;
	Bucket	   *bucket;

	if (rate == 0 || client == 0)
		return;
	set = set_of(client);
	pthread_mutex_lock(&mutex);
	fill(set, now);
	bucket = find(set, client);
	if (bucket == NULL)
		bucket = take_place(set, client, now);
	bucket->tokens = bucket->tokens > TOKEN ? bucket->tokens - TOKEN : 0;
	pthread_mutex_unlock(&mutex);
}

void
om_limit_forgive(uint64_t client)
{
	Bucket	   *bucket;

	if (rate == 0 || client == 0)
		return;
	pthread_mutex_lock(&mutex);
	bucket = find(set_of(client), client);
	if (bucket != NULL)
		bucket->client = 0;
	pthread_mutex_unlock(&mutex);
}

void
om_limit_forgive_all(void)
{
	pthread_mutex_lock(&mutex);
	memset(table, 0, sizeof(table));
	pthread_mutex_unlock(&mutex);
}
