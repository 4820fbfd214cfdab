/*
 * simulator_send.h
 *		Inbound messages as a test describes them, delivered as webhooks.
 */
#ifndef OM_SIMULATOR_SEND_H
#define OM_SIMULATOR_SEND_H

#include <stdbool.h>
#include <stddef.h>

#include "simulator_deliver.h"
#include "simulator_message.h"

/* What is to be sent; strings are not owned and may be NULL for their default. */
struct om_sim_inbound
{
	const char *event_id;
	const char *message_id;
	const char *event_type;
	const char *from;
	const char *to;
	const char *text;
	const char *type;
	const char *status;
	const char *autoresponse;
	const char *received_at;
	const char *occurred_at;
	const char *body_file;
	const char *cc[OM_SIM_LIST_MAX];
	const char *media[OM_SIM_LIST_MAX];
	int			cc_count;
	int			media_count;
	int			timestamp_offset;
	int			repeat;
	enum om_sim_corruption corruption;
	bool		omit_signature;
	bool		omit_timestamp;
	bool		wrong_key;
};

/* How to send. */
struct om_sim_sender
{
	const char *webhook_url;
	const char *via;			/* a simulator to tell first, and what became of it; or NULL */
	struct om_sim_ledger *ledger;
	struct om_sim_deliverer *deliverer;
	int			rate;			/* messages begun per second at most; 0: as fast as they go */
	int64_t		paced_until;	/* om_sim_monotonic_ms(); the sender's own */
	int64_t		paced;			/* how many in the second that ends then */
};

extern void om_sim_inbound_init(struct om_sim_inbound *inbound);

/*
 * Set one property by its name on the command line ("event-id").  False with a
 * reason for people when there is no such property or the value does not fit.
 */
extern bool om_sim_inbound_set(struct om_sim_inbound *inbound, const char *name,
							   const char *value, char *error, size_t error_size);

/* False with a reason when something that is needed is missing. */
extern bool om_sim_inbound_check(const struct om_sim_inbound *inbound,
								 char *error, size_t error_size);

/* Tell the simulator of the sender, context, what became of a webhook: for om_sim_delivery_options. */
extern void om_sim_send_ended(void *context, const struct om_sim_webhook *webhook);

/* Send it as often as it says; waits while the deliverer is full. */
extern void om_sim_send(struct om_sim_sender *sender, const struct om_sim_inbound *inbound);

/*
 * Send each line of a file of JSON objects with the same names ("event_id"), those
 * of defaults where a line is silent.  The file is checked as a whole before the
 * first is sent; false with a reason when it is not in order.
 */
extern bool om_sim_send_file(struct om_sim_sender *sender,
							 const struct om_sim_inbound *defaults, const char *path,
							 char *error, size_t error_size);

#endif							/* OM_SIMULATOR_SEND_H */
