/*
 * replay.h
 *		From the spool into the database, when that answers again.
 */
#ifndef OM_RELAY_REPLAY_H
#define OM_RELAY_REPLAY_H

#include <stdbool.h>

/* Start the thread, which has a connection of its own while there is something to do. */
extern bool om_replay_start(const char *conninfo, int batch);

/* Ask it to end after the call that is under way, and wait for that. */
extern void om_replay_ask_to_stop(void);
extern void om_replay_stop(void);

#endif							/* OM_RELAY_REPLAY_H */
