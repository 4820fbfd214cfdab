/*
 * limit.h
 *		How much of what an address sends may be refused before it is served shortly.
 *
 * Only what is refused counts, and a right signature makes good for all before it: the
 * provider's addresses serve all of its customers, and one of those may send us, from there,
 * what another account has signed.
 *
 * The table is of a fixed size.  An address that has no room in it is not limited.
 */
#ifndef OM_RELAY_LIMIT_H
#define OM_RELAY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* per_minute refusals, and as many at once; 0: no limit.  Call it once, after sodium_init. */
extern void om_limit_start(int per_minute);

/* client is a key of client.h, and 0 for nobody, who has no limit; now is monotonic milliseconds */
extern bool om_limit_spent(uint64_t client, int64_t now);
extern void om_limit_charge(uint64_t client, int64_t now);
extern void om_limit_forgive(uint64_t client);

/* Forgive all: what was wrong may have been our keys. */
extern void om_limit_forgive_all(void);

#endif							/* OM_RELAY_LIMIT_H */
