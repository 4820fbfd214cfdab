/*
 * simulator_util.c
 *		Time, identifiers and memory for the provider simulator.
 */
#include "simulator_util.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUERY_MAX		2048

static int64_t
read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
om_sim_now_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t
om_sim_monotonic_ms(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void
om_sim_format_time(int64_t ms, char out[OM_SIM_TIME_SIZE])
{
	time_t		seconds = (time_t) (ms / 1000);
	struct tm	utc;
	char		date[24];

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out, OM_SIM_TIME_SIZE, "%s.%03d+00:00", date, (int) (ms % 1000));
}

const char *
om_sim_resolve_time(const char *given, char buffer[OM_SIM_TIME_SIZE])
{
	int			seconds = 0;

	if (given != NULL && strncmp(given, "now", 3) != 0)
		return given;
	if (given != NULL && given[3] != '\0' &&
		((given[3] != '+' && given[3] != '-') || given[4] < '0' || given[4] > '9' ||
		 !om_sim_read_int(given + 3, -OM_SIM_OFFSET_MAX, OM_SIM_OFFSET_MAX, &seconds)))
		return NULL;
	om_sim_format_time(om_sim_now_ms() + (int64_t) seconds * 1000, buffer);
	return buffer;
}

void
om_sim_uuid(char out[OM_SIM_UUID_SIZE])
{
	unsigned char raw[16];
	char		hex[33];

	randombytes_buf(raw, sizeof(raw));
	raw[6] = (unsigned char) ((raw[6] & 0x0F) | 0x40);
	raw[8] = (unsigned char) ((raw[8] & 0x3F) | 0x80);
	sodium_bin2hex(hex, sizeof(hex), raw, sizeof(raw));
	snprintf(out, OM_SIM_UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s",
			 hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

void
om_sim_sha256(const char *text, char out[OM_SIM_SHA256_SIZE])
{
	unsigned char digest[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(digest, (const unsigned char *) text, strlen(text));
	sodium_bin2hex(out, OM_SIM_SHA256_SIZE, digest, sizeof(digest));
}

void *
om_sim_alloc(size_t size)
{
	void	   *memory = calloc(1, size);

	if (memory == NULL)
		om_sim_die("out of memory");
	return memory;
}

char *
om_sim_strdup(const char *text)
{
	char	   *copy = strdup(text);

	if (copy == NULL)
		om_sim_die("out of memory");
	return copy;
}

FILE *
om_sim_memory(char **text, size_t *len)
{
	FILE	   *out = open_memstream(text, len);

	if (out == NULL)
		om_sim_die("out of memory");
	return out;
}

void
om_sim_die(const char *format,...)
{
	va_list		args;

	fflush(stdout);
	fputs("omnimsg-simulator: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
	exit(1);
}

bool
om_sim_read_int(const char *text, int min, int max, int *out)
{
	char	   *end;
	long		value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 || value < min || value > max)
		return false;
	*out = (int) value;
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode in place: %2B is a plus, and a bare plus a blank, as forms are sent (WHATWG URL, 5.1). */
static bool
decode(char *text)
{
	char	   *out = text;

	for (; *text != '\0'; text++)
	{
		if (*text != '%')
			*out++ = *text == '+' ? ' ' : *text;
		else
		{
			int			high = hex_digit(text[1]);
			int			low = high < 0 ? -1 : hex_digit(text[2]);

			if (low < 0 || (high == 0 && low == 0))
				return false;
			*out++ = (char) (high * 16 + low);
			text += 2;
		}
	}
	*out = '\0';
	return true;
}

bool
om_sim_query_read(const char *text, bool (*set) (void *context, const char *name, const char *value),
				  void *context, char *error, size_t error_size)
{
	char		copy[QUERY_MAX];
	char	   *rest = NULL;
	char	   *name;
	char	   *value;

	if (text == NULL)
		return true;
	if (strlen(text) >= sizeof(copy))
	{
		snprintf(error, error_size, "the query is too long");
		return false;
	}
	strcpy(copy, text);
	for (name = strtok_r(copy, "&", &rest); name != NULL; name = strtok_r(NULL, "&", &rest))
	{
		value = strchr(name, '=');
		if (value != NULL)
			*value++ = '\0';
		if (value == NULL || !decode(name) || !decode(value) || !set(context, name, value))
		{
			snprintf(error, error_size, "the parameter \"%.60s\" is not known, or its value does not fit",
					 name);
			return false;
		}
	}
	return true;
}
