/*
 * load_webhook.h
 *		Unique webhooks, signed before the clock starts.
 */
#ifndef OM_LOAD_WEBHOOK_H
#define OM_LOAD_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simulator_key.h"

/* Longer than any request that is made here */
#define OM_LOAD_REQUEST_MAX	8192

enum om_load_kind
{
	OM_LOAD_MESSAGE,
	OM_LOAD_STOP,
	OM_LOAD_START
};

struct om_load_plan
{
	const struct om_sim_key *key;
	const char *host;			/* of the HTTP header */
	const char *path;
	int64_t		first_sender;	/* the digits of a number */
	int			senders;
	int64_t		first_number;	/* of ours */
	int			numbers;		/* sender n writes to number n modulo numbers */
	double		share;			/* of STOP and START together, 0 to 1 */
	uint64_t	seed;			/* of ids and choices */
	int			count;
	double		rate;			/* per second; 0: all are of the same moment */
	int64_t		start_ms;		/* when the first is due, since the Unix epoch */
};

/* Makes and signs all of them.  Ends the program when it cannot. */
extern void om_load_make(const struct om_load_plan *plan);

extern enum om_load_kind om_load_kind(int index);

/* Writes the HTTP request into out, of OM_LOAD_REQUEST_MAX bytes; returns its length. */
extern size_t om_load_request(int index, char *out);

/* The microseconds of processor time that libsodium takes to verify one, the mean over all */
extern double om_load_verify_us(void);

#endif							/* OM_LOAD_WEBHOOK_H */
