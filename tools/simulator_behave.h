/*
 * simulator_behave.h
 *		How the simulated provider is told to misbehave.
 */
#ifndef OM_SIMULATOR_BEHAVE_H
#define OM_SIMULATOR_BEHAVE_H

#include <stdbool.h>
#include <stddef.h>

#define OM_SIM_BEHAVIOURS_MAX	256
#define OM_SIM_SPEC_MAX			128
#define OM_SIM_HOLD_MS			30000

enum om_sim_kind
{
	OM_SIM_OK,
	OM_SIM_DELAY,
	OM_SIM_ERROR,				/* an answer with status and code */
	OM_SIM_NO_BODY,				/* a status alone */
	OM_SIM_REDIRECT,
	OM_SIM_CUT,
	OM_SIM_CUT_EARLY,
	OM_SIM_HALF,
	OM_SIM_SILENT,
	OM_SIM_GARBAGE,
	OM_SIM_NOID,
	OM_SIM_NO_EVENTS,
	OM_SIM_EVENTS_REVERSED,
	OM_SIM_EVENTS_DUPLICATED,
	OM_SIM_FAILED,
	OM_SIM_BLOCKED_LATER,
	OM_SIM_UNCONFIRMED
};

/* What is asked for */
enum om_sim_target
{
	OM_SIM_MESSAGES,
	OM_SIM_OPTOUTS,
	OM_SIM_DELIVERIES
};

struct om_sim_behaviour
{
	enum om_sim_kind kind;
	enum om_sim_target on;
	int			times;			/* requests left, -1 for ever */
	int			ms;
	int			status;
	int			code;			/* Telnyx's error code, 0 for none */
	int			retry_after;	/* seconds, -1 for none */
	bool		accept;			/* the message is accepted and its events are sent */
	char		to[OM_SIM_SPEC_MAX];	/* only for this receiver; "" for all */
	char		spec[OM_SIM_SPEC_MAX];	/* as it was given */
};

struct om_sim_behaviours
{
	int			count;
	struct om_sim_behaviour list[OM_SIM_BEHAVIOURS_MAX];
};

/* Read one SPEC; false with a reason for people. */
extern bool om_sim_behaviour_parse(const char *spec, struct om_sim_behaviour *behaviour,
								   char *error, size_t error_size);

/* False when there is no room for one more. */
extern bool om_sim_behaviours_add(struct om_sim_behaviours *all,
								  const struct om_sim_behaviour *behaviour);

/*
 * What to do with the next request of that kind, a message for this receiver ("" for a list),
 * which counts it.  Those with a number of times go first, in the order they were added, so
 * that a script of answers can be given; then the latest of those without; then OM_SIM_OK.
 */
extern struct om_sim_behaviour om_sim_behaviours_next(struct om_sim_behaviours *all,
													  enum om_sim_target on, const char *to);

/*
 * True, and counted, when the next request is to be cut before its body, and so
 * before its receiver, is known.
 */
extern bool om_sim_behaviours_cut_early(struct om_sim_behaviours *all);

/* Description of SPEC for --help. */
extern const char *const om_sim_behaviour_help;

#endif							/* OM_SIMULATOR_BEHAVE_H */
