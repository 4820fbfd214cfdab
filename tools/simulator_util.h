/*
 * simulator_util.h
 *		Time, identifiers and memory for the provider simulator.
 */
#ifndef OM_SIMULATOR_UTIL_H
#define OM_SIMULATOR_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OM_SIM_UUID_SIZE	37
#define OM_SIM_TIME_SIZE	36
#define OM_SIM_SHA256_SIZE	65

/* Milliseconds since the Unix epoch, and on a clock nobody sets. */
extern int64_t om_sim_now_ms(void);
extern int64_t om_sim_monotonic_ms(void);

/* As Telnyx writes times: 2026-05-15T18:47:40.731+00:00 */
extern void om_sim_format_time(int64_t ms, char out[OM_SIM_TIME_SIZE]);

/*
 * A time as a test gives it: NULL for now, "now+SECONDS" or "now-SECONDS", which are written
 * into buffer, or any other text, which is returned as it is.  NULL for a bad offset.
 */
#define OM_SIM_OFFSET_MAX	1000000000	/* seconds, some thirty years */
extern const char *om_sim_resolve_time(const char *given, char buffer[OM_SIM_TIME_SIZE]);

/* A random UUID, version 4. */
extern void om_sim_uuid(char out[OM_SIM_UUID_SIZE]);

/* SHA-256 in hexadecimal. */
extern void om_sim_sha256(const char *text, char out[OM_SIM_SHA256_SIZE]);

/* A whole decimal number from min to max; false for anything else, and *out is unchanged. */
extern bool om_sim_read_int(const char *text, int min, int max, int *out);

/*
 * Read a query string ("filter%5Bfrom%5D=%2B1555...&page[size]=20"; NULL is none) and set each of its decoded
 * parameters; false with a reason for people when one is not taken.
 */
extern bool om_sim_query_read(const char *text,
							  bool (*set) (void *context, const char *name, const char *value),
							  void *context, char *error, size_t error_size);

/* A tool that is out of memory says so and ends: these never return NULL. */
extern void *om_sim_alloc(size_t size);
extern char *om_sim_strdup(const char *text);
extern FILE *om_sim_memory(char **text, size_t *len);

/* Print "omnimsg-simulator: ..." and exit with status 1. */
extern void om_sim_die(const char *format,...)
			__attribute__((format(printf, 1, 2), noreturn));

#endif							/* OM_SIMULATOR_UTIL_H */
