/*
 * log.h
 *		The relay's log: one JSON object per line on standard error.
 *
 * Every line has "time" (RFC 3339, UTC), "level" and "msg"; fields follow.  A line
 * is written with one write(2), so lines of several threads never mix.  Callers
 * pass no addresses of people, no bodies and no error texts that may quote them.
 */
#ifndef OM_RELAY_LOG_H
#define OM_RELAY_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum OmLogLevel
{
	OM_LOG_ERROR,
	OM_LOG_WARNING,
	OM_LOG_INFO,
	OM_LOG_DEBUG
} OmLogLevel;

typedef struct OmLogLine
{
	bool		wanted;			/* false: the level is switched off, all calls do nothing */
	size_t		len;
	char		text[2048];
} OmLogLine;

/* Start a line, add fields, write it.  What does not fit is left out or cut; the
 * line stays valid JSON. */
extern void om_log_begin(OmLogLine *line, OmLogLevel level, const char *msg);
extern void om_log_text(OmLogLine *line, const char *key, const char *value);
extern void om_log_number(OmLogLine *line, const char *key, int64_t value);
extern void om_log_end(OmLogLine *line);

/* A line without fields, and one with one text field */
extern void om_log(OmLogLevel level, const char *msg);
extern void om_log_with(OmLogLevel level, const char *msg, const char *key, const char *value);

/* False when name is not a level */
extern bool om_log_level_parse(const char *name, OmLogLevel *out);
extern void om_log_set_level(OmLogLevel level);

/*
 * A limit for lines that somebody outside can cause: ten at once, then one per
 * second.  A flood must not fill a disk.
 */
typedef struct OmLogLimit
{
	pthread_mutex_t mutex;
	int64_t		refilled_at;	/* monotonic milliseconds */
	int			tokens;
	int64_t		suppressed;
} OmLogLimit;

#define OM_LOG_LIMIT_BURST	10
#define OM_LOG_LIMIT_INIT	{PTHREAD_MUTEX_INITIALIZER, 0, OM_LOG_LIMIT_BURST, 0}

/* May a line be written now?  If so, *suppressed is how many were not since the last, for om_log_suppressed. */
extern bool om_log_allowed(OmLogLimit *limit, int64_t *suppressed);

/* Say so in the line, unless there were none */
extern void om_log_suppressed(OmLogLine *line, int64_t suppressed);

#endif							/* OM_RELAY_LOG_H */
