/*
 * zone.h
 *		In which time zones the holder of a phone number may be.
 *
 * A number is only a hint: people move and take it along.  Where the number leaves several
 * zones open all of them are given, so that a caller who wants to be sure that it is not night
 * asks each.
 */
#ifndef OM_ZONE_H
#define OM_ZONE_H

#include <stddef.h>

/* No number has more zones than this (calling code 1 has 42) */
#define OM_ZONE_MAX		64

/*
 * The IANA zones of an E.164 number ("+12125550123", a plus and 7 to 15 digits, nothing else),
 * by the longest prefix that is known, in the order of their names.  A number of which only
 * the calling code is known, as toll-free ones, has all zones of that code.
 *
 * Fills at most max names into zones, which are static strings, and returns how many there are;
 * 0 when nothing is known or it is no E.164 number.  zones may be NULL when max is 0.
 */
extern size_t om_zone_lookup(const char *e164, size_t len, const char **zones, size_t max);

#endif							/* OM_ZONE_H */
