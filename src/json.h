/*
 * json.h
 *		The one reader of JSON: PostgreSQL's parser, without building a jsonb.
 */
#ifndef OM_JSON_H
#define OM_JSON_H

#include "postgres.h"

/*
 * Called for each scalar.  path is the names of the members on the way joined by '.', with
 * "[]" for an element of an array ("data.payload.to[].phone_number"); names that are empty,
 * hold '.' or '[' or are longer than 64 bytes stand as "?", so that no name can fake a path.
 * index is the position from 0 in the innermost array on the path, -1 without one.  value is the
 * decoded string, the literal of a number, "true" or "false", or NULL for null; it is the
 * callee's only during the call.
 */
typedef void (*OmJsonScalar) (void *arg, const char *path, int index, const char *value,
							  bool is_string, bool is_null);

/*
 * Read length bytes.  Returns NULL when they are one JSON value in valid UTF-8, nested
 * no deeper than OM_MAX_NESTING, else why not, as a static string; scalars before
 * the fault have been reported then.  Content never raises.  Allocates in the current
 * memory context and frees nothing.
 */
extern const char *om_json_read(const char *json, int length, OmJsonScalar scalar, void *arg);

#endif							/* OM_JSON_H */
