/*
 * pull.c
 *		Pulling the provider's opt-out lists: the worker's side of optout.h.
 *
 * look (commit) -> GET -> store (commit), a page at a time, after what is to be sent.  Nothing is kept
 * here that the database does not have: a worker that dies, or is told to end, loses one request.
 */
#include "postgres.h"

#include <sodium.h>
#include <time.h>

#include "utils/memutils.h"

#include "compat.h"
#include "core/backoff.h"
#include "dispatcher.h"
#include "guc.h"
#include "optout.h"
#include "provider_telnyx_optout.h"
#include "pull.h"
#include "secret.h"

#define LOOK_MS		1000		/* between two looks for pulls that are due, however often we are woken */
#define PAUSE_MS	60000		/* after an error of the database */

/* After so many failures in succession the wait doubles on, from one minute to sixteen */
#define PATIENT_FAILURES	6
#define PATIENT_DOUBLINGS	4

static OmOptoutPull *pull = NULL;	/* of which a page was asked for */
static OmHttpAnswer *answer = NULL; /* that page, not stored yet */
static TimestampTz look_at = 0; /* until then no pull is due, unless the worker is woken */
static TimestampTz paused_until = 0;

bool
om_pull_is_its_answer(OmHttpAnswer *http)
{
	if (pull == NULL || http->tag != pull)
		return false;
	answer = http;
	return true;
}

bool
om_pull_has_answer(void)
{
	return answer != NULL;
}

int
om_pull_in_flight(void)
{
	return pull != NULL && answer == NULL ? 1 : 0;
}

static void
fail_pull(const OmOptoutPull *failed, const char *error, int64 retry_after_ms)
{
	int64		retry_ms = om_backoff_ms(failed->failures + 1, randombytes_random());

	/* A key that is wrong stays so for hours, and nobody waits for the list by the minute */
	retry_ms <<= Max(Min(failed->failures - PATIENT_FAILURES, PATIENT_DOUBLINGS), 0);
	retry_ms = Max(retry_ms, retry_after_ms);

	om_worker_begin("omnimsg: record a failed pull");
	om_optout_fail(failed, error, retry_ms, GetCurrentTimestamp());
	om_worker_end();
	if (failed->failures == 0)
		ereport(WARNING,
				(errmsg("omnimsg dispatcher: the opt-out list of provider account \"%s\" could not be pulled: %s",
						failed->account_name, error),
				 errhint("It is tried again. See last_error in omnimsg.optout_pulls.")));
}

/* Store the page that has come.  It is gone from memory before anything that may fail. */
static void
take_page(TimestampTz now, MemoryContext round)
{
	OmOptoutPull *taken = pull;
	OmOptoutPage page;
	const char *error = om_telnyx_optouts(answer, pull->page, &page);
	int64		retry_after = om_retry_after_ms(answer->retry_after, strlen(answer->retry_after),
												time(NULL));

	om_http_answer_free(answer);
	answer = NULL;
	pull = NULL;
	MemoryContextSetParent(taken->context, round);
	paused_until = now + PAUSE_MS * 1000;	/* unless it comes back */
	look_at = now;
	if (error != NULL)
		fail_pull(taken, error, retry_after);
	else
	{
		om_worker_begin("omnimsg: store opt-outs");
		if (!om_optout_store(taken, &page, now))
			look_at = now + LOOK_MS * 1000;
		om_worker_end();
	}
	paused_until = 0;
}

static void
ask_page(OmOptoutPull *asked, MemoryContext lasting)
{
	char		secret[OM_SECRET_SIZE];
	const char *error = om_secret_read(asked->secret_name, secret);

	if (error == NULL && !om_http_get(asked, om_telnyx_optouts_url(asked->profile, asked->page), secret))
		error = "out of memory";
	sodium_memzero(secret, sizeof(secret));
	if (error != NULL)
		fail_pull(asked, error, 0);
	else
	{
		MemoryContextSetParent(asked->context, lasting);
		pull = asked;
	}
}

long
om_pull_work(TimestampTz now, bool woken, bool may_ask, MemoryContext round, MemoryContext lasting)
{
	static TimestampTz looked_at = 0;
	TimestampTz next = 0;
	OmOptoutPull *asked;

	if (answer != NULL)
		take_page(now, round);
	if (pull != NULL || !may_ask || now < paused_until)
		return om_poll_interval;

	/* Each commit that queues something wakes us, and only few of them ask for a pull */
	if (woken)
		look_at = Min(look_at, looked_at + LOOK_MS * 1000);
	if (now < look_at && now >= looked_at)
		return Max(TimestampDifferenceMilliseconds(now, look_at), 1);

	looked_at = now;
	paused_until = now + PAUSE_MS * 1000;	/* unless it comes back */
	om_worker_begin("omnimsg: look for opt-out lists to pull");
	asked = om_optout_begin(now, round, &next);
	om_worker_end();
	look_at = now + (asked != NULL ? (int64) LOOK_MS : (int64) om_poll_interval) * 1000;
	if (next > 0)
		look_at = Min(look_at, next);
	if (asked != NULL)
		ask_page(asked, lasting);
	paused_until = 0;
	return Max(TimestampDifferenceMilliseconds(now, look_at), 1);
}
