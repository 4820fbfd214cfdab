/*
 * simulator_webhook.h
 *		What became of webhooks, as the provider lists it.
 */
#ifndef OM_SIMULATOR_WEBHOOK_H
#define OM_SIMULATOR_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "simulator_util.h"

#define OM_SIM_WEBHOOK_PAGE_MAX	250

/* A webhook that is delivered or given up */
struct om_sim_webhook
{
	char		id[OM_SIM_UUID_SIZE];
	bool		delivered;
	int64_t		started_at;		/* milliseconds since the Unix epoch */
	int64_t		finished_at;
	char	   *event_type;		/* allocated, as what follows; NULL when it is not known */
	char	   *attempts;		/* a JSON array, the latest first */
	char	   *webhook;		/* the event, in JSON as it was sent */
};

/* What a GET asks for */
struct om_sim_webhook_query
{
	char		status[16];		/* "" for any, as the next three */
	char		event_types[256];	/* separated by commas */
	char		webhook[256];	/* contained in its text */
	char		attempts[256];
	int64_t		started_since;	/* microseconds, all inclusive */
	int64_t		started_until;
	int64_t		finished_since;
	int64_t		finished_until;
	int			page;			/* from 1 */
	int			size;
};

struct om_sim_webhooks;

extern struct om_sim_webhooks *om_sim_webhooks_create(void);
extern void om_sim_webhooks_free(struct om_sim_webhooks *webhooks);
extern void om_sim_webhooks_clear(struct om_sim_webhooks *webhooks);

/* Takes over the strings, and gives it an id.  The one that began first goes when there is no room. */
extern void om_sim_webhooks_add(struct om_sim_webhooks *webhooks, const struct om_sim_webhook *webhook);

/*
 * Read the query string of a GET (NULL is none), false with a reason for people when it has anything
 * that is not known or does not fit.
 */
extern bool om_sim_webhook_query_parse(const char *text, struct om_sim_webhook_query *query,
									   char *error, size_t error_size);

/*
 * Write the page that query asks for, those that began last first, as members of a JSON array.
 * Returns how many there are, and counts those of all pages in *total.
 */
extern int	om_sim_webhooks_page(struct om_sim_webhooks *webhooks,
								 const struct om_sim_webhook_query *query, FILE *out, int *total);

#endif							/* OM_SIMULATOR_WEBHOOK_H */
