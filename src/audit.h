/*
 * audit.h
 *		The audit trail: one row per effect, in the transaction of the effect.
 *
 * Steps collect rows in an OmAudit and the last step writes them with one
 * statement.  A row carries ids and words, never an address or a text.
 */
#ifndef OM_AUDIT_H
#define OM_AUDIT_H

#include "postgres.h"

#include "db.h"

typedef struct OmAudit OmAudit;

/* now is the time that all rows get; actor is kept by reference */
extern OmAudit *om_audit_begin(TimestampTz now, const char *actor);

/* The actor for what somebody does by calling a function: "role:" and the role of the session */
extern char *om_audit_role(void);

/*
 * Add a row.  old_value and new_value are JSON texts or NULL; om_audit_json builds
 * them.  resource_id may be NULL.
 */
extern void om_audit_add(OmAudit *audit, const pg_uuid_t *organization_id,
						 const char *action, const char *resource_type,
						 const pg_uuid_t *resource_id,
						 const char *old_value, const char *new_value);

/* {"key": "value", ...} of pairs of C strings, ended by a NULL key; NULL values are left out */
extern char *om_audit_json(const char *key, ...);

/* Write what was collected.  SPI must be connected. */
extern void om_audit_write(OmAudit *audit);

#endif							/* OM_AUDIT_H */
