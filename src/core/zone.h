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

typedef enum OmZoneSource
{
	OM_ZONE_UNKNOWN,			/* nothing is known of the number */
	OM_ZONE_OF_COUNTRY,			/* only its calling code is, so it may be anywhere in that;
								 * of calling code 1 it is toll-free or fictitious */
	OM_ZONE_OF_AREA				/* its area is, or the country has one zone only */
} OmZoneSource;

/*
 * The IANA zones of an E.164 number ("+12125550123", a plus and 7 to 15 digits, nothing else),
 * by the longest prefix that is known, in the order of their names.  A number of which only
 * the calling code is known, as toll-free ones, has all zones of that code.
 *
 * Fills at most max names into zones, which are static strings, and returns how many there are;
 * 0 when nothing is known or it is no E.164 number.  zones may be NULL when max is 0; *source tells
 * what they stand for, and may be NULL.
 */
extern size_t om_zone_lookup(const char *e164, size_t len, const char **zones, size_t max,
							 OmZoneSource *source);

#endif							/* OM_ZONE_H */
