/*
 * clock.h
 *		Milliseconds of the monotonic clock, which all deadlines of the relay are in, and of
 *		the other one, which only people and the spool's file see.
 */
#ifndef OM_RELAY_CLOCK_H
#define OM_RELAY_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
om_clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Since 1970; may jump */
static inline int64_t
om_clock_unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The same moment as pthread_cond_timedwait wants it (condition on CLOCK_MONOTONIC) */
static inline struct timespec
om_clock_timespec(int64_t ms)
{
	struct timespec ts;

	ts.tv_sec = (time_t) (ms / 1000);
	ts.tv_nsec = (long) (ms % 1000) * 1000000L;
	return ts;
}

#endif							/* OM_RELAY_CLOCK_H */
