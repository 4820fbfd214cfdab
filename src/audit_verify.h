/*
 * audit_verify.h
 *		What is known while the audit trail is verified, shared by audit_verify.c and audit_suspect.c.
 */
#ifndef OM_AUDIT_VERIFY_H
#define OM_AUDIT_VERIFY_H

#include "postgres.h"

#include "executor/spi.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"

#include "audit_chain.h"

/* In the order of OmAuditColumn */
#define ROW_COLUMNS \
	"l.organization_id, l.id, l.action, l.resource_type, l.resource_id, l.actor, l.old_value,\n" \
	"       l.new_value, l.origin, l.xid, l.created_at"

typedef struct Key
{
	unsigned char public_key[OM_AUDIT_KEY];
	char		fingerprint[OM_AUDIT_FINGERPRINT];
	bool		trusted;
	char	   *vouched_by;
	bytea	   *vouch;
} Key;

typedef struct Bound
{
	bool		has_origin;
	int64		origin;
	uint64		xid;
} Bound;

/* Where a row stands in the chain of its organization */
typedef struct Place
{
	int64		number;			/* of the seal */
	int			index;			/* within it */
} Place;

/* A row that is not what a seal says: missing, added, or another one */
typedef struct Suspect
{
	pg_uuid_t	id;
	Place		place;
	unsigned char expected[OM_MANIFEST_HASH];
	bool		told;
	Datum	   *values;			/* of one that is there, or NULL */
	bool	   *nulls;
} Suspect;

/* A row beside its seal */
typedef struct Row
{
	pg_uuid_t	id;
	unsigned char hash[OM_AUDIT_HASH];
	bool		altered;		/* its own hash is not that of the row */
	bool		listed;
} Row;

typedef struct Cursor
{
	Portal		portal;
	SPITupleTable *table;
	uint64		row;
	uint64		rows;
	int			fetch;
} Cursor;

typedef struct Verify
{
	Key		   *keys;
	int			nkeys;
	bool		any_trusted;
	Bound	   *bounds;
	int			nbounds;
	int64		here;			/* the origin of rows that are written now */
	uint64		next_xid;		/* and no transaction of theirs has reached this */
	ReturnSetInfo *out;
	MemoryContext context;		/* of the whole */
	MemoryContext each;			/* of one row */
	MemoryContext of_seal;		/* of the current seal and its rows */
	MemoryContext of_organization;	/* of what was found in one organization */

	/* the current seal and the rows that belong to it */
	OmSeal	   *seal;
	OmMerkle	tree;
	Row		   *rows;
	int			nrows;
	int			capacity;

	/* of the current organization */
	bool		in_organization;
	pg_uuid_t	organization_id;
	List	   *missing;
	List	   *added;
	List	   *edited;
	Place		last;			/* of the last row that is there */
} Verify;

/* One finding, for the caller of omnimsg_audit_verify(); id and detail may be NULL */
extern void om_audit_tell(Verify *verify, const char *kind, const pg_uuid_t *organization_id, int64 number,
						  const pg_uuid_t *id, const char *detail);

/* Whether a place comes after another one of the same organization */
extern bool om_audit_is_after(const Place *place, const Place *other);

/* Find out which rows of the current seal are not those that it was made of; they are told of with the others of the organization */
extern void om_audit_compare(Verify *verify);

/* Tell of all that was found in the organization that is left */
extern void om_audit_tell_suspects(Verify *verify);

#endif							/* OM_AUDIT_VERIFY_H */
