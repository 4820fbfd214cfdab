/*
 * dispatcher.h
 *		The background worker that sends what is in the outbox.
 */
#ifndef OM_DISPATCHER_H
#define OM_DISPATCHER_H

#include "postgres.h"

/* Tell the postmaster to start it; only while the library is being preloaded */
extern void om_dispatcher_register(void);

#endif							/* OM_DISPATCHER_H */
