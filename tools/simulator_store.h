/*
 * simulator_store.h
 *		The messages that the simulated provider accepted.
 */
#ifndef OM_SIMULATOR_STORE_H
#define OM_SIMULATOR_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "simulator_util.h"

#define OM_SIM_STORED_TEXT	4096	/* ten parts fit in any alphabet */
#define OM_SIM_STORED_URL	2001
#define OM_SIM_ADDRESS_SIZE	40

/* An accepted message and what is to become of it; times are om_sim_now_ms(). */
struct om_sim_stored
{
	char		id[OM_SIM_UUID_SIZE];
	char		from[OM_SIM_ADDRESS_SIZE];
	char		to[OM_SIM_ADDRESS_SIZE];
	char		text[OM_SIM_STORED_TEXT];
	char		webhook_url[OM_SIM_STORED_URL];
	bool		mms;
	bool		events;			/* false: it stays "queued" for ever */
	const char *final_status;
	int			error_code;
	int64_t		received_at;
	int64_t		sent_at;
	int64_t		completed_at;
};

struct om_sim_store;

extern struct om_sim_store *om_sim_store_create(void);
extern void om_sim_store_free(struct om_sim_store *store);

/* The latest few thousand messages are kept. */
extern void om_sim_store_add(struct om_sim_store *store, const struct om_sim_stored *message);
extern bool om_sim_store_find(struct om_sim_store *store, const char *id,
							  struct om_sim_stored *message);

#endif							/* OM_SIMULATOR_STORE_H */
