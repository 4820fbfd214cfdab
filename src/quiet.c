/*
 * quiet.c
 *		Quiet hours: when it is day for a person, wherever they may be.
 *
 * Nobody is called or texted before 8 in the morning or after 8 in the evening where they are
 * (47 CFR 64.1200(c)(1) says 9, several states say 8), and where that is not certain it
 * must be day in every place that it may be (12 CFR 1006.6(b)(1), comment 2).
 */
#include "postgres.h"

#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "quiet.h"

#define LOOK_AHEAD	(8 * USECS_PER_DAY)

pg_tz *
om_timezone(const char *name)
{
	static const char *const with_digits[] = {"EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", "GMT0"};
	bool		is_name = strpbrk(name, "0123456789<>,") == NULL || strchr(name, '/') != NULL;

	/* "UTC-5" is a zone to POSIX, but one that lies the other way than people mean */
	for (int i = 0; i < (int) lengthof(with_digits) && !is_name; i++)
		is_name = pg_strcasecmp(name, with_digits[i]) == 0;
	return is_name && strlen(name) <= TZ_STRLEN_MAX ? pg_tzset(name) : NULL;
}

/* Seconds of the day on the local clock */
static int
local_clock(pg_tz *zone, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;

	if (timestamp2tm(at, &offset, &tm, &fsec, NULL, zone) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return (tm.tm_hour * MINS_PER_HOUR + tm.tm_min) * SECS_PER_MINUTE + tm.tm_sec;
}

/*
 * The next time, at or after "at", at which it may be day in one zone: now, when the clock opens if
 * it runs on evenly, or when it is set before that, where the caller has to look again.  An opening that
 * a change skips, or brings twice, needs no thought this way.
 */
static TimestampTz
day_in(pg_tz *zone, int opens, int closes, TimestampTz at, int *clock)
{
	pg_time_t	seconds = timestamptz_to_time_t(at);
	pg_time_t	change;
	TimestampTz next;
	TimestampTz changed;
	long int	gmtoff;
	int			isdst;

	*clock = local_clock(zone, at);
	if (*clock >= opens && *clock < closes)
		return at;
	next = time_t_to_timestamptz(seconds + (opens - *clock + SECS_PER_DAY) % SECS_PER_DAY);
	if (pg_next_dst_boundary(&seconds, &gmtoff, &isdst, &change, &gmtoff, &isdst, zone) != 1)
		return next;
	changed = time_t_to_timestamptz(change);
	return changed > at ? Min(next, changed) : next;
}

TimestampTz
om_quiet_until(const char *const *zones, int count, int opens, int closes, TimestampTz at,
			   const char **where, int *clock)
{
	pg_tz	  **known = palloc(sizeof(pg_tz *) * (count + 1));
	TimestampTz until = at;
	int			nknown = 0;
	bool		moved = true;

	for (int i = 0; i < count; i++)
	{
		pg_tz	   *zone = om_timezone(zones[i]);

		if (zone != NULL)
			known[nknown++] = zone;
	}
	*where = NULL;
	while (moved && until <= at + LOOK_AHEAD)
	{
		moved = false;
		for (int i = 0; i < nknown; i++)
		{
			int			local;
			TimestampTz next = day_in(known[i], opens, closes, until, &local);

			if (next == until)
				continue;
			if (*where == NULL && until == at)
			{
				*where = pg_get_timezone_name(known[i]);
				*clock = local;
			}
			until = next;
			moved = true;
		}
	}
	return moved ? 0 : until;
}
