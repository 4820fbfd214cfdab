/*
 * log.c
 *		JSON lines on standard error.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

/* Kept free at the end of a line for the closing quote, brace and newline */
#define LOG_TAIL	8

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static atomic_int log_level = OM_LOG_INFO;

bool
om_log_level_parse(const char *name, OmLogLevel *out)
{
	int			i;

	for (i = 0; i <= OM_LOG_DEBUG; i++)
	{
		if (strcmp(name, level_names[i]) == 0)
		{
			*out = (OmLogLevel) i;
			return true;
		}
	}
	return false;
}

void
om_log_set_level(OmLogLevel level)
{
	atomic_store(&log_level, (int) level);
}

/* Add bytes, all or none; false when they do not fit. */
static bool
append(OmLogLine *line, const char *bytes, size_t len)
{
	if (line->len + len > sizeof(line->text) - LOG_TAIL)
		return false;
	memcpy(line->text + line->len, bytes, len);
	line->len += len;
	return true;
}

/*
 * A JSON string.  All bytes outside of printable ASCII are escaped as code
 * points of their own: texts from outside (libpq, civetweb) come in any encoding, and
 * a log that people read in a terminal must not carry control characters.
 */
static void
append_string(OmLogLine *line, const char *value)
{
	const unsigned char *p;
	char		escape[8];

	append(line, "\"", 1);
	for (p = (const unsigned char *) value; *p != '\0'; p++)
	{
		bool		fits;

		if (*p == '"' || *p == '\\')
		{
			escape[0] = '\\';
			escape[1] = (char) *p;
			fits = append(line, escape, 2);
		}
		else if (*p < 0x20 || *p > 0x7e)
		{
			snprintf(escape, sizeof(escape), "\\u%04x", *p);
			fits = append(line, escape, 6);
		}
		else
			fits = append(line, (const char *) p, 1);
		if (!fits)
			break;
	}
	line->text[line->len++] = '"';
}

/* The key with its comma and colon; false when a value would not fit any more. */
static bool
append_key(OmLogLine *line, const char *key)
{
	size_t		start = line->len;
	char		text[64];
	int			n;

	n = snprintf(text, sizeof(text), ",\"%s\":", key);
	if (n < 0 || (size_t) n >= sizeof(text) || !append(line, text, (size_t) n) ||
		line->len + 32 > sizeof(line->text) - LOG_TAIL)
	{
		line->len = start;
		return false;
	}
	return true;
}

void
om_log_begin(OmLogLine *line, OmLogLevel level, const char *msg)
{
	struct timespec now;
	struct tm	utc;
	char		head[96];
	int			n;

	line->len = 0;
	line->wanted = (int) level <= atomic_load_explicit(&log_level, memory_order_relaxed);
	if (!line->wanted)
		return;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	n = snprintf(head, sizeof(head),
				 "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\",\"level\":\"%s\",\"msg\":",
				 (utc.tm_year + 1900) % 10000, utc.tm_mon + 1, utc.tm_mday,
				 utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000,
				 level_names[level]);
	append(line, head, n < (int) sizeof(head) ? (size_t) n : sizeof(head) - 1);
	append_string(line, msg);
}

void
om_log_text(OmLogLine *line, const char *key, const char *value)
{
	if (line->wanted && append_key(line, key))
		append_string(line, value);
}

void
om_log_number(OmLogLine *line, const char *key, int64_t value)
{
	char		text[24];
	int			len = snprintf(text, sizeof(text), "%lld", (long long) value);

	if (line->wanted && append_key(line, key))
		append(line, text, (size_t) len);
}

void
om_log_end(OmLogLine *line)
{
	ssize_t		written;

	if (!line->wanted)
		return;
	line->text[line->len++] = '}';
	line->text[line->len++] = '\n';
	written = write(STDERR_FILENO, line->text, line->len);
	(void) written;				/* there is nowhere else to say it */
}

void
om_log(OmLogLevel level, const char *msg)
{
	OmLogLine	line;

	om_log_begin(&line, level, msg);
	om_log_end(&line);
}

void
om_log_with(OmLogLevel level, const char *msg, const char *key, const char *value)
{
	OmLogLine	line;

	om_log_begin(&line, level, msg);
	om_log_text(&line, key, value);
	om_log_end(&line);
}

bool
om_log_allowed(OmLogLimit *limit, int64_t *suppressed)
{
	int64_t		now = om_clock_ms();
	int64_t		earned;
	bool		allowed;

	pthread_mutex_lock(&limit->mutex);
	earned = (now - limit->refilled_at) / 1000;
	if (earned > 0)
	{
		limit->refilled_at = now;
		limit->tokens = earned < OM_LOG_LIMIT_BURST - limit->tokens ?
			limit->tokens + (int) earned : OM_LOG_LIMIT_BURST;
	}
	allowed = limit->tokens > 0;
	if (allowed)
	{
		limit->tokens--;
		*suppressed = limit->suppressed;
		limit->suppressed = 0;
	}
	else
		limit->suppressed++;
	pthread_mutex_unlock(&limit->mutex);
	return allowed;
}

void
om_log_suppressed(OmLogLine *line, int64_t suppressed)
{
	if (suppressed > 0)
		om_log_number(line, "suppressed", suppressed);
}
