/*
 * simulator_post.h
 *		A message that was POSTed to the provider: checked, recorded, told about.
 */
#ifndef OM_SIMULATOR_POST_H
#define OM_SIMULATOR_POST_H

#include <stdbool.h>

#include "simulator_behave.h"
#include "simulator_deliver.h"
#include "simulator_json.h"
#include "simulator_ledger.h"
#include "simulator_message.h"
#include "simulator_optout.h"
#include "simulator_store.h"

/* A POST /v2/messages while it is being answered; texts live in its JSON. */
struct om_sim_post
{
	const char *from;
	const char *to;
	const char *text;
	const char *webhook_url;
	const char *error_pointer;
	bool		mms;
	int			status;			/* of the answer, 0 for none */
	int			error_code;		/* 0 for none */
	bool		accepted;
	struct om_sim_behaviour behaviour;
	struct om_sim_stored stored;
};

enum om_sim_stage
{
	OM_SIM_QUEUED,
	OM_SIM_SENT,
	OM_SIM_FINALIZED
};

/* A stored message in the provider's words, and the memory for its times. */
struct om_sim_described
{
	struct om_sim_message message;
	char		received_at[OM_SIM_TIME_SIZE];
	char		sent_at[OM_SIM_TIME_SIZE];
	char		completed_at[OM_SIM_TIME_SIZE];
	char		valid_until[OM_SIM_TIME_SIZE];
};

/* Answer it with an error; pointer names the field at fault or is NULL. */
extern void om_sim_post_refuse(struct om_sim_post *post, int status, int code,
							   const char *pointer);

/* Read it and refuse what Telnyx itself would refuse, whatever the behaviour. */
extern void om_sim_post_check(struct om_sim_post *post, const struct om_sim_json *json,
							  const char *default_url, struct om_sim_optouts *optouts);

/* Fill in what is to become of it by its behaviour. */
extern void om_sim_post_plan(struct om_sim_post *post, int event_delay);

/* Write its line, and return when that is on disk. */
extern void om_sim_post_record(const struct om_sim_post *post, struct om_sim_ledger *ledger);

/* How many deliveries its events take, for which the caller reserves room. */
extern int	om_sim_post_events(const struct om_sim_post *post);
extern void om_sim_post_send_events(const struct om_sim_post *post,
									struct om_sim_deliverer *deliverer, int event_delay);

/* A stored message as it stands at that stage. */
extern void om_sim_post_describe(const struct om_sim_stored *stored, enum om_sim_stage stage,
								 struct om_sim_described *described);

#endif							/* OM_SIMULATOR_POST_H */
