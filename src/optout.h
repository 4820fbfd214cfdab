/*
 * optout.h
 *		The provider's own list of opt-outs: pulled page by page, kept as a mirror, and what we
 *		had missed recorded.
 *
 * Each function runs inside a transaction of the caller's with SPI connected, and none is open
 * while a page is asked for.  None of them waits for a row that somebody else has
 * locked: the worker that calls them has messages to send.
 */
#ifndef OM_OPTOUT_H
#define OM_OPTOUT_H

#include "postgres.h"

#include "db.h"

/* Entries that are asked for with one request */
#define OM_OPTOUT_PAGE_SIZE	250

/* A page that is to be asked for, of a pull that is recorded as being under way */
typedef struct OmOptoutPull
{
	MemoryContext context;		/* of the pull itself and its strings */
	pg_uuid_t	account_id;
	char	   *account_name;
	char	   *secret_name;
	char	   *profile;		/* or NULL: the lists of all profiles */
	TimestampTz started_at;
	int			page;			/* from 1 */
	int			failures;		/* of this request until now */
} OmOptoutPull;

typedef struct OmOptout
{
	char	   *our_address;	/* canonical; "" when the provider does not tell */
	char	   *address;		/* canonical */
	char	   *keyword;		/* or NULL */
	TimestampTz created_at;		/* 0 when it cannot be read */
} OmOptout;

typedef struct OmOptoutPage
{
	OmOptout   *entries;
	int			count;
	int			unreadable;		/* entries without an address, which are not among them */
	int			total_pages;
	int			total;			/* entries on all pages */
} OmOptoutPage;

/*
 * The pull that is due, in a context of its own under parent; NULL when none is, and then *next is
 * when another will be, 0 when that is not known.
 */
extern OmOptoutPull *om_optout_begin(TimestampTz now, MemoryContext parent, TimestampTz *next);

/*
 * Store the page that was asked for, record what was missed, and go on to the next page or end the pull.
 * False, and nothing is done, when the pull is another by now or its account is locked: the page is
 * to be asked for again.
 */
extern bool om_optout_store(const OmOptoutPull *pull, const OmOptoutPage *page, TimestampTz now);

/* The page could not be had; it is asked for again after retry_ms */
extern void om_optout_fail(const OmOptoutPull *pull, const char *error, int64 retry_ms, TimestampTz now);

#endif							/* OM_OPTOUT_H */
