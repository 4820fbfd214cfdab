/*
 * backoff.h
 *		How long to wait before the next attempt, and the dates of HTTP.
 */
#ifndef OM_BACKOFF_H
#define OM_BACKOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OM_BACKOFF_MAX_MS	60000

/*
 * Milliseconds before the attempt after the attempt-th one (counted from 1):
 * 1, 2, 4 ... 60 s, of which a random part between a half and all is taken
 * ("equal jitter"), so that many that failed together do not come back together.
 * random is any 32 random bits.
 */
extern int64_t om_backoff_ms(unsigned int attempt, uint32_t random);

/*
 * Read a Retry-After header (RFC 9110, 10.2.3): whole seconds, or an IMF-fixdate
 * relative to now (Unix seconds).  Milliseconds, never negative, at most one
 * hour; -1 when the header says nothing usable.
 */
extern int64_t om_retry_after_ms(const char *text, size_t len, int64_t now);

/* Read an IMF-fixdate (RFC 9110, 5.6.7), as in a Date header: Unix seconds; false when it is none */
extern bool om_http_date_parse(const char *text, size_t len, int64_t *seconds);

#endif							/* OM_BACKOFF_H */
