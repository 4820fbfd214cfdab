/*
 * skew.h
 *		How far this host's clock is from others'.
 *
 * Signatures are good for 300 seconds around our clock, and the database orders what it
 * is told by the provider's: a clock that is wrong is noticed here before it costs a delivery.
 * All numbers are milliseconds, ours minus the other's.
 */
#ifndef OM_RELAY_SKEW_H
#define OM_RELAY_SKEW_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A delivery, rightly signed at that time, is here now (Unix milliseconds).  What it was on
 * its way, and what is missing of the whole second it was signed in, only adds to the
 * difference: the smallest of the last minutes is the one to show.
 */
extern void om_skew_provider(int64_t now, int64_t signed_at);

/* The database was asked, and half the time that took is taken off. */
extern void om_skew_database(int64_t offset);

/* False when nothing is known yet */
extern bool om_skew_provider_get(int64_t *offset);
extern bool om_skew_database_get(int64_t *offset);

#endif							/* OM_RELAY_SKEW_H */
