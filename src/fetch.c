/*
 * fetch.c
 *		What the worker asks of the provider beside what it sends: one GET at a time, for several users.
 *
 * look (commit) -> GET -> take (commit), after what is to be sent.  Those who have something to ask take turns,
 * so that a list of many pages delays nobody by more than a page.
 */
#include "postgres.h"

#include <sodium.h>
#include <time.h>

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "core/backoff.h"
#include "fetch.h"
#include "guc.h"
#include "secret.h"
#include "worker.h"

#define LOOK_MS		1000		/* between two looks of a user that has nothing, however often we are woken */
#define PAUSE_MS	60000		/* of a user after an error of the database */

/* After so many failures in succession the wait doubles on, from one minute to sixteen */
#define PATIENT_FAILURES	6
#define PATIENT_DOUBLINGS	4

typedef struct Turn
{
	const OmFetchUser *user;
	TimestampTz looked_at;
	TimestampTz look_at;		/* until then nothing is due, unless the worker is woken */
	TimestampTz paused_until;
	uint64		asked;			/* the number of its last request */
} Turn;

static Turn turns[] = {{.user = &om_lookup_fetch}, {.user = &om_optout_fetch}, {.user = &om_backfill_fetch}};

static uint64 requests = 0;
static OmFetch *asked = NULL;	/* under way, or answered and not taken yet */
static OmHttpAnswer *answer = NULL;

void *
om_fetch_new(const OmFetchUser *user, size_t size, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "omnimsg fetch", ALLOCSET_SMALL_SIZES);
	OmFetch    *fetch = MemoryContextAllocZero(context, size);

	fetch->user = user;
	fetch->context = context;
	return fetch;
}

bool
om_fetch_is_its_answer(OmHttpAnswer *http)
{
	if (asked == NULL || http->tag != asked)
		return false;
	answer = http;
	return true;
}

bool
om_fetch_has_answer(void)
{
	return answer != NULL;
}

int
om_fetch_in_flight(void)
{
	return asked != NULL && answer == NULL ? 1 : 0;
}

static Turn *
turn_of(const OmFetchUser *user)
{
	for (int i = 0; i < (int) lengthof(turns); i++)
		if (turns[i].user == user)
			return &turns[i];
	elog(ERROR, "a request of nobody");
}

static void
fail(OmFetch *fetch, const char *error, int64 retry_after_ms)
{
	int64		retry_ms = om_backoff_ms(fetch->failures + 1, randombytes_random());

	/* A key that is wrong stays so for hours, and nobody waits for the list by the minute */
	retry_ms <<= Max(Min(fetch->failures - PATIENT_FAILURES, PATIENT_DOUBLINGS), 0);
	retry_ms = Max(retry_ms, retry_after_ms);

	om_worker_begin("omnimsg: record a failed request");
	fetch->user->fail(fetch, error, retry_ms, GetCurrentTimestamp());
	om_worker_end();
}

/* The answer is gone from libcurl's memory before anything that may fail */
static void
take_answer(TimestampTz now, MemoryContext round)
{
	OmFetch    *fetch = asked;
	Turn	   *turn = turn_of(fetch->user);
	OmHttpAnswer copy = *answer;
	const char *error;
	bool		busy = false;

	if (answer->body != NULL)
	{
		copy.body = palloc(answer->body_length + 1);
		memcpy(copy.body, answer->body, answer->body_length + 1);
	}
	om_http_answer_free(answer);
	answer = NULL;
	asked = NULL;
	MemoryContextSetParent(fetch->context, round);
	turn->paused_until = now + PAUSE_MS * 1000; /* unless it comes back */
	turn->look_at = now;
	error = fetch->user->take(fetch, &copy, now, &busy);
	if (error != NULL)
		fail(fetch, error, om_retry_after_ms(copy.retry_after, strlen(copy.retry_after), time(NULL)));
	if (busy)
		turn->look_at = now + LOOK_MS * 1000;
	turn->paused_until = 0;
}

/* Who comes before whom: the urgent one unless it was the last, then who has waited longest */
static bool
comes_before(const Turn *left, const Turn *right)
{
	bool		left_first = left->user->urgent && left->asked < requests;
	bool		right_first = right->user->urgent && right->asked < requests;

	return left_first != right_first ? left_first : left->asked < right->asked;
}

static void
put_in_order(void)
{
	for (int i = 1; i < (int) lengthof(turns); i++)
		for (int j = i; j > 0 && comes_before(&turns[j], &turns[j - 1]); j--)
		{
			Turn		moved = turns[j];

			turns[j] = turns[j - 1];
			turns[j - 1] = moved;
		}
}

/* What is to be asked now, or NULL.  A user whose look fails is left alone for a while. */
static OmFetch *
look(TimestampTz now, MemoryContext round)
{
	OmFetch    *found = NULL;
	bool		begun = false;

	put_in_order();
	for (int i = 0; i < (int) lengthof(turns) && found == NULL; i++)
	{
		Turn	   *turn = &turns[i];
		TimestampTz next = 0;

		/* A clock that was set back ends no pause later */
		if (turn->paused_until - now > PAUSE_MS * 1000)
			turn->paused_until = 0;
		if (now < turn->paused_until || (now < turn->look_at && now >= turn->looked_at))
			continue;
		if (!begun)
			om_worker_begin("omnimsg: look for what is to be asked of the provider");
		begun = true;
		turn->looked_at = now;
		turn->paused_until = now + PAUSE_MS * 1000; /* unless it comes back */
		found = (*turn->user->next) (now, round, &next);
		turn->look_at = now + (found != NULL ? (int64) LOOK_MS : (int64) om_poll_interval) * 1000;
		if (next > 0)
			turn->look_at = Min(turn->look_at, next);
		turn->paused_until = 0;
	}
	if (begun)
		om_worker_end();
	return found;
}

static void
ask(OmFetch *fetch, MemoryContext lasting)
{
	Turn	   *turn = turn_of(fetch->user);
	char		secret[OM_SECRET_SIZE];
	const char *error = om_secret_read(fetch->secret_name, secret);

	turn->asked = ++requests;
	if (error == NULL && !om_http_get(fetch, fetch->url, secret))
		error = "out of memory";
	sodium_memzero(secret, sizeof(secret));
	if (error != NULL)
	{
		turn->paused_until = turn->looked_at + PAUSE_MS * 1000; /* unless it comes back */
		fail(fetch, error, 0);
		turn->paused_until = 0;
	}
	else
	{
		MemoryContextSetParent(fetch->context, lasting);
		asked = fetch;
	}
}

long
om_fetch_work(TimestampTz now, bool woken, bool may_ask, MemoryContext round, MemoryContext lasting)
{
	TimestampTz look_at;
	OmFetch    *found;

	if (answer != NULL)
		take_answer(now, round);
	if (asked != NULL || !may_ask)
		return om_poll_interval;

	/* Each commit that queues something wakes us, and only few of them want something of the provider */
	for (int i = 0; woken && i < (int) lengthof(turns); i++)
		turns[i].look_at = Min(turns[i].look_at, turns[i].looked_at + LOOK_MS * 1000);
	found = look(now, round);
	if (found != NULL)
		ask(found, lasting);

	look_at = now + (int64) om_poll_interval * 1000;
	for (int i = 0; i < (int) lengthof(turns); i++)
		look_at = Min(look_at, Max(turns[i].look_at, turns[i].paused_until));
	return Max(TimestampDifferenceMilliseconds(now, look_at), 1);
}
