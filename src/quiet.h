/*
 * quiet.h
 *		Quiet hours: when it is day for a person, wherever they may be.
 */
#ifndef OM_QUIET_H
#define OM_QUIET_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "pgtime.h"

/* A zone by its IANA name, or NULL when the server knows none of that name; "UTC-5" is none */
extern pg_tz *om_timezone(const char *name);

/*
 * The earliest time, at or after "at", at which the local clock is from opens (included) to closes
 * (not included), both in seconds of the day, in every one of the zones: at itself when it is now.
 * 0 when there is none within eight days.
 *
 * Zones by IANA name; those that the server does not know are passed over; with none
 * known it is always day.  *where becomes a zone in which it is night at "at", and *clock the local time there
 * in seconds of the day; *where is NULL when it is day everywhere.
 */
extern TimestampTz om_quiet_until(const char *const *zones, int count, int opens, int closes,
								  TimestampTz at, const char **where, int *clock);

#endif							/* OM_QUIET_H */
