/*
 * simulator_json.h
 *		The little JSON the provider simulator reads and writes.
 */
#ifndef OM_SIMULATOR_JSON_H
#define OM_SIMULATOR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define OM_SIM_JSON_FIELDS	128

enum om_sim_json_type
{
	OM_SIM_JSON_STRING,
	OM_SIM_JSON_NUMBER,
	OM_SIM_JSON_TRUE,
	OM_SIM_JSON_FALSE,
	OM_SIM_JSON_NULL,
	OM_SIM_JSON_NESTED			/* an object, or an array in an array */
};

struct om_sim_json_field
{
	const char *key;
	const char *value;			/* of a string, decoded, or of a number, as written; else NULL */
	enum om_sim_json_type type;
};

struct om_sim_json
{
	char	   *arena;			/* holds every key and value */
	const char *error;			/* why the reading failed, for people */
	int			count;
	struct om_sim_json_field fields[OM_SIM_JSON_FIELDS];
};

/*
 * Read one JSON object (RFC 8259).  The elements of an array become fields of
 * the same key, in order; what is nested deeper is checked and otherwise passed
 * over.  A key that appears twice, a NUL in a string and invalid UTF-8 are
 * errors.  On failure error is set.  om_sim_json_free() is due either way.
 */
extern bool om_sim_json_parse(const char *text, size_t len, struct om_sim_json *json);
extern void om_sim_json_free(struct om_sim_json *json);

/* The index-th field of that key, counted from 0; NULL when there is none. */
extern const struct om_sim_json_field *om_sim_json_field(const struct om_sim_json *json,
														 const char *key, int index);

/* Its value when it is a string, else NULL. */
extern const char *om_sim_json_string(const struct om_sim_json *json, const char *key);

/* Write a JSON string with its quotes, or null for NULL. */
extern void om_sim_json_write(FILE *out, const char *text);

#endif							/* OM_SIMULATOR_JSON_H */
