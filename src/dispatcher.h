/*
 * dispatcher.h
 *		The background worker that sends what is in the outbox.
 */
#ifndef OM_DISPATCHER_H
#define OM_DISPATCHER_H

#include "postgres.h"

/* Tell the postmaster to start it; only while the library is being preloaded */
extern void om_dispatcher_register(void);

/*
 * A transaction of the worker with SPI connected; what is what pg_stat_activity shows.  An error
 * leaves it to the caller of the round to roll back.
 */
extern void om_worker_begin(const char *what);
extern void om_worker_end(void);

/*
 * From here on statements are planned as in any other session, and not for finding a few rows by their keys.  Returns the level
 * that AtEOXact_GUC() goes back to.
 */
extern int	om_worker_plan_freely(void);

#endif							/* OM_DISPATCHER_H */
