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

#include "utils/jsonb.h"

#include "db.h"

typedef struct OmAudit OmAudit;

/* Bytes of a hash: BLAKE2b-256, as libsodium's crypto_generichash makes it */
#define OM_AUDIT_HASH	32

/* What is hashed of a row, in this order */
typedef enum OmAuditColumn
{
	OM_AUDIT_ORGANIZATION_ID,
	OM_AUDIT_ID,
	OM_AUDIT_ACTION,
	OM_AUDIT_RESOURCE_TYPE,
	OM_AUDIT_RESOURCE_ID,
	OM_AUDIT_ACTOR,
	OM_AUDIT_OLD_VALUE,
	OM_AUDIT_NEW_VALUE,
	OM_AUDIT_ORIGIN,
	OM_AUDIT_XID,
	OM_AUDIT_CREATED_AT
} OmAuditColumn;

#define OM_AUDIT_COLUMNS	(OM_AUDIT_CREATED_AT + 1)

extern const char *const om_audit_columns[OM_AUDIT_COLUMNS];

/* now is the time that all rows get; actor is kept by reference */
extern OmAudit *om_audit_begin(TimestampTz now, const char *actor);

/* The actor for what somebody does by calling a function: "token:" and the name of the token it logged in with, else "role:" and the role of the session */
extern char *om_audit_role(void);

/* Add a row.  old_value, new_value and resource_id may be NULL; om_audit_json builds the values, which are kept by reference. */
extern void om_audit_add(OmAudit *audit, const pg_uuid_t *organization_id,
						 const char *action, const char *resource_type,
						 const pg_uuid_t *resource_id,
						 const Jsonb *old_value, const Jsonb *new_value);

/* {"key": "value", ...} of pairs of C strings, ended by a NULL key; NULL values are left out */
extern Jsonb *om_audit_json(const char *key, ...);

/* Where rows are written at present: a number of this cluster and this database.  Another one counts its transactions anew. */
extern int64 om_audit_origin(void);

/* A number for something that has a name */
extern int64 om_audit_number(const char *text);

/* The hash of a row, OM_AUDIT_HASH bytes; values are of the types of the table's columns */
extern void om_audit_hash(const Datum *values, const bool *nulls, unsigned char *hash);

/* The first size bytes, up to OM_AUDIT_HASH, of BLAKE2b-256 */
extern void om_audit_blake2b(unsigned char *hash, size_t size, const void *data, size_t length);

/* Write what was collected.  SPI must be connected. */
extern void om_audit_write(OmAudit *audit);

#endif							/* OM_AUDIT_H */
