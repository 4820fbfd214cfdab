/*
 * cutoff.h
 *		Ends the reading side of a connection at a moment of the monotonic clock.
 *
 * civetweb's timeout counts anew with each byte, and its read function returns
 * only when all that was asked for is there: a client that sends a byte now and
 * then keeps its thread for as long as it likes.  So the thread that reads
 * arms a cutoff first.  When the moment comes, a thread of this file shuts the socket for
 * reading; the read returns short, and the connection can still be written to.
 */
#ifndef OM_RELAY_CUTOFF_H
#define OM_RELAY_CUTOFF_H

#include <stdbool.h>
#include <stdint.h>

typedef struct OmCutoff
{
	const char *remote_addr;	/* numeric, as civetweb gives it */
	int			remote_port;
	int			local_port;
	int64_t		at;				/* monotonic milliseconds */
	bool		fired;			/* valid after om_cutoff_disarm */
	struct OmCutoff *prev;
	struct OmCutoff *next;
} OmCutoff;

/* Start the thread, which lives as long as the process. */
extern bool om_cutoff_start(void);

/*
 * The first four fields are the caller's to set.  Between the calls the connection
 * must stay open and the struct in place; after disarm it is not touched any more.
 */
extern void om_cutoff_arm(OmCutoff *cutoff);
extern void om_cutoff_disarm(OmCutoff *cutoff);

#endif							/* OM_RELAY_CUTOFF_H */
