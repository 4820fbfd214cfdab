/*
 * worker.h
 *		The worker's transactions: as whom it acts in them, and how they are planned.
 */
#ifndef OM_WORKER_H
#define OM_WORKER_H

#include "postgres.h"

/* Settings that must not depend on how the database or the role is set; once, when the worker begins */
extern void om_worker_configure(void);

/*
 * A transaction of the worker with SPI connected; what is what pg_stat_activity shows.  While it lasts the extension
 * cannot be dropped.  After it the memory context is the one from before.  An error leaves it to the caller of the round to roll back.
 */
extern void om_worker_begin(const char *what);
extern void om_worker_end(void);

/* Say in the log, once, as whom it works when that is not the role that is meant for it; in a transaction */
extern void om_worker_tell_role(void);

/*
 * From here on statements are planned as in any other session, and not for finding a few rows by their keys.  Returns the level
 * that AtEOXact_GUC() goes back to.
 */
extern int	om_worker_plan_freely(void);

#endif							/* OM_WORKER_H */
