/*
 * simulator_deliver.h
 *		Signed webhooks on their way, with the provider's retries.
 */
#ifndef OM_SIMULATOR_DELIVER_H
#define OM_SIMULATOR_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simulator_key.h"
#include "simulator_ledger.h"
#include "simulator_webhook.h"

#define OM_SIM_BACKOFFS_MAX	8

enum om_sim_corruption
{
	OM_SIM_INTACT,
	OM_SIM_CORRUPT_BODY,		/* a newline is added after signing */
	OM_SIM_CORRUPT_SIGNATURE,	/* one bit is flipped */
	OM_SIM_CORRUPT_TIMESTAMP	/* the header is one second later than what was signed */
};

struct om_sim_delivery
{
	/* Set by the caller; all strings owned and allocated. */
	char	   *event_id;
	char	   *event_type;		/* this and the next three: for the ledger, may be NULL */
	char	   *message_id;
	char	   *from;
	char	   *to;
	char	   *url;
	char	   *content;		/* the event's "data" object, or the whole body */
	size_t		content_len;
	bool		is_body;		/* content is the whole body */
	enum om_sim_corruption corruption;
	bool		omit_signature;
	bool		omit_timestamp;
	bool		wrong_key;
	int			timestamp_offset;	/* seconds */
	int64_t		due;			/* om_sim_monotonic_ms() */
	struct om_sim_delivery *next;	/* begins when the first attempt of this one ended */

	/* The deliverer's own. */
	int			attempt;
	int64_t		started;		/* the latest attempt: om_sim_monotonic_ms() */
	int64_t		began_at;		/* the first one: milliseconds since the Unix epoch */
	int64_t		attempt_at;		/* the latest one, likewise */
	char	   *attempts;		/* those that ended, the latest first, as the members of a JSON array */
	char	   *body;
	void	   *headers;
};

struct om_sim_delivery_options
{
	const struct om_sim_key *key;
	struct om_sim_ledger *ledger;
	int			attempts;
	int			backoffs[OM_SIM_BACKOFFS_MAX];	/* ms; the last one repeats */
	int			backoff_count;
	int			max_active;		/* transfers at a time */
	const char *source;			/* connects from this address; NULL: whichever */
	int			capacity;		/* deliveries it holds at most */
	bool		report;			/* print a line per attempt and per delivery */

	/* What became of a delivery; called by the one thread, may be NULL */
	void		(*ended) (void *context, const struct om_sim_webhook *webhook);
	void	   *context;		/* the callee owns the strings */
};

struct om_sim_deliverer;

/* Three attempts, 1 s and 5 s between them. */
extern void om_sim_delivery_defaults(struct om_sim_delivery_options *options);

/* Read "MS,MS..." into options; false when it is none. */
extern bool om_sim_delivery_backoffs(struct om_sim_delivery_options *options, const char *text);

/* Start the one thread that does all transfers. */
extern struct om_sim_deliverer *
			om_sim_deliverer_start(const struct om_sim_delivery_options *options);

/* Room for that many deliveries; waits for it, or returns false when there is none. */
extern bool om_sim_deliverer_reserve(struct om_sim_deliverer *d, int count, bool wait);

/* Hand over a delivery and those chained to it, for which room was reserved. */
extern void om_sim_deliverer_add(struct om_sim_deliverer *d, struct om_sim_delivery *delivery);

/* Wait until all have ended; returns how many did not end in a 2xx. */
extern int	om_sim_deliverer_drain(struct om_sim_deliverer *d);

/* Abandon what is left, which the ledger tells, and free everything. */
extern void om_sim_deliverer_stop(struct om_sim_deliverer *d);

#endif							/* OM_SIMULATOR_DELIVER_H */
