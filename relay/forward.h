/*
 * forward.h
 *		Verified deliveries on their way into the database, in batches, or into the spool.
 */
#ifndef OM_RELAY_FORWARD_H
#define OM_RELAY_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum OmForwardResult
{
	OM_FORWARD_STORED,			/* committed */
	OM_FORWARD_SPOOLED,			/* flushed to the spool, and perhaps committed as well */
	OM_FORWARD_FAILED,			/* the database refused or lost it: perhaps stored, perhaps not */
	OM_FORWARD_LATE,			/* no answer by the deadline: perhaps stored, perhaps not */
	OM_FORWARD_BUSY,			/* too many wait, and the database does not get on */
	OM_FORWARD_NO_DATABASE		/* there is no connection */
} OmForwardResult;

typedef struct OmDelivery
{
	const char *provider;
	uint8_t    *body;			/* from malloc; om_forward takes it over */
	size_t		body_len;
	const char *signature;		/* header texts */
	const char *signed_at;
	const char *key_id;
	const char *reason;			/* NULL, or why it is kept without effect: "stale" */
	int64_t		deadline;		/* monotonic milliseconds */
	bool		is_crowded;		/* it came on a connection beyond those that may keep alive */
} OmDelivery;

/*
 * Start the database threads.  A database that is down is no error.  The spool, if there is
 * one, has been started.
 *
 * shed is how many deliveries may wait while the database does not get on; more are answered at
 * once, so that no thread is missing for those that come.
 */
extern bool om_forward_start(const char *conninfo, int connections, int batch, int shed);

/* End them.  Only when no delivery is under way. */
extern void om_forward_stop(void);

/*
 * Have there been more connections than may keep alive for a while, with much of what they brought waiting for the
 * database?  To be asked for a delivery that is_crowded; without a spool it is better refused than verified.
 */
extern bool om_forward_is_overloaded(void);

/*
 * Store one delivery, with a spool there when the database does not take it soon enough.
 * Returns when it is committed or spooled, when it failed, or at its deadline.  The body is freed in any case, sooner or later;
 * the texts are copied.
 */
extern OmForwardResult om_forward(const OmDelivery *delivery);

/* Is a connection up that has answered in the last seconds? */
extern bool om_forward_ready(void);

/* For the metrics */
extern long om_forward_queue_depth(void);
extern long om_forward_connections(void);

#endif							/* OM_RELAY_FORWARD_H */
