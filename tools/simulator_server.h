/*
 * simulator_server.h
 *		The provider's API: accepts messages, misbehaves when told to.
 */
#ifndef OM_SIMULATOR_SERVER_H
#define OM_SIMULATOR_SERVER_H

#include <stdbool.h>

#include "simulator_behave.h"
#include "simulator_deliver.h"
#include "simulator_ledger.h"
#include "simulator_webhook.h"

struct om_sim_server_options
{
	const char *listen;			/* HOST:PORT */
	const char *webhook_url;
	const char *ledger_path;
	const char *api_key;		/* NULL: any */
	bool		native_optout;
	int			event_delay;	/* ms */
	struct om_sim_ledger *ledger;
	struct om_sim_deliverer *deliverer;
	struct om_sim_webhooks *webhooks;
	struct om_sim_behaviours behaviours;	/* at the start */
};

struct om_sim_server;

/* Listen and answer; *port tells which port.  The options must outlive the server. */
extern struct om_sim_server *om_sim_server_start(const struct om_sim_server_options *options,
												 int *port);

/* Let go of every connection that is held, and end. */
extern void om_sim_server_stop(struct om_sim_server *server);

#endif							/* OM_SIMULATOR_SERVER_H */
