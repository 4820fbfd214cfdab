/*
 * shmem.h
 *		What the backends and the worker share: a latch to wake the worker, and its counters.
 *		Plain data only: a process may die at any moment, and others read on.
 */
#ifndef OM_SHMEM_H
#define OM_SHMEM_H

#include "postgres.h"

typedef enum OmWorkerState
{
	OM_WORKER_STOPPED,
	OM_WORKER_NO_EXTENSION,		/* waits for CREATE EXTENSION */
	OM_WORKER_OUTDATED,			/* waits for ALTER EXTENSION UPDATE */
	OM_WORKER_NOT_ARMED,		/* the database is a copy, or was never armed */
	OM_WORKER_OFF,				/* omnimsg.dispatch is off */
	OM_WORKER_IDLE,
	OM_WORKER_SENDING
} OmWorkerState;

/* Ask for the shared memory; only while the library is being preloaded */
extern void om_shmem_request(void);

/* Wake the dispatcher when the current transaction commits; no effect when it aborts */
extern void om_wake_dispatcher_at_commit(void);

/* The worker's side */
extern void om_shmem_worker_started(void);
extern void om_shmem_worker_state(OmWorkerState state, int in_flight);
extern void om_shmem_worker_counted(int sent, int failed, int unknown);

/*
 * How far the provider's clock is ahead of ours by one of its answers, in microseconds, give or take so many.
 */
extern void om_shmem_provider_clock(int64 offset, int64 error);

#endif							/* OM_SHMEM_H */
