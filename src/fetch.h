/*
 * fetch.h
 *		What the worker asks of the provider beside what it sends: one GET at a time, for several users.
 *
 * A user is a struct of functions and knows what is to be asked next; the engine asks, and hands the answer over.
 * Nothing is kept here that the database does not have: a worker that dies, or is told to end, loses one
 * request.  No transaction is open while one is under way.
 */
#ifndef OM_FETCH_H
#define OM_FETCH_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "http.h"

struct OmFetchUser;

/* A request; the first member of what a user keeps of it */
typedef struct OmFetch
{
	const struct OmFetchUser *user;
	MemoryContext context;		/* of the request itself and its strings */
	char	   *url;
	char	   *secret_name;
	int			failures;		/* of this request until now */
} OmFetch;

typedef struct OmFetchUser
{
	bool		urgent;			/* comes before the others, though never twice in succession when they wait */

	/*
	 * In a transaction with SPI connected: what is due, made by om_fetch_new; NULL when nothing is, and then
	 * *when is when something will be, 0 when that is not known.  Its strings must be in its own context, which
	 * is not the current one after a statement.
	 */
	OmFetch    *(*next) (TimestampTz now, MemoryContext parent, TimestampTz *when);

	/*
	 * Read the answer and store what it says, in transactions of its own (om_worker_begin).  NULL, or what is
	 * wrong with the answer.  *busy becomes true when somebody else was in the way, and then it is to be asked
	 * for again in a moment.
	 */
	const char *(*take) (OmFetch *fetch, const OmHttpAnswer *answer, TimestampTz now, bool *busy);

	/* In a transaction with SPI connected: record that it failed, and is to be asked again after retry_ms */
	void		(*fail) (OmFetch *fetch, const char *error, int64 retry_ms, TimestampTz now);
} OmFetchUser;

/* The users; each is in a file of its own */
extern const OmFetchUser om_lookup_fetch;
extern const OmFetchUser om_optout_fetch;
extern const OmFetchUser om_backfill_fetch;

/* A request of that size, zeroed, in a context of its own under parent */
extern void *om_fetch_new(const OmFetchUser *user, size_t size, MemoryContext parent);

/* Is it an answer of ours?  Then it is kept until the next om_fetch_work. */
extern bool om_fetch_is_its_answer(OmHttpAnswer *http);
extern bool om_fetch_has_answer(void);

/* Of om_http_in_flight(), how many are ours */
extern int	om_fetch_in_flight(void);

/*
 * Hand over the answer that has come, and ask the next one if may_ask.  Runs transactions of its own.
 * round is reset after the round, lasting is not.  Returns how long to wait before there may be
 * more to do, in ms.
 */
extern long om_fetch_work(TimestampTz now, bool woken, bool may_ask, MemoryContext round,
						  MemoryContext lasting);

#endif							/* OM_FETCH_H */
