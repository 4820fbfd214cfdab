/*
 * timestamp.h
 *		Times as providers write them.
 */
#ifndef OM_TIMESTAMP_H
#define OM_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Read an RFC 3339 date-time ("2026-05-15T18:47:40.731+00:00", "...Z"; a blank
 * instead of T and up to nine digits of fraction are fine) into microseconds since the
 * Unix epoch.  The offset is required.  Years 1970 to 9999; a leap second 60 counts as 59.
 * False for anything else, and then *out is unchanged.
 */
extern bool om_timestamp_parse(const char *text, size_t len, int64_t *out);

/* 1 to 12 ASCII digits, Unix seconds, into the same unit.  False for anything else. */
extern bool om_unix_seconds_parse(const char *text, size_t len, int64_t *out);

#endif							/* OM_TIMESTAMP_H */
