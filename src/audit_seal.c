/*
 * audit_seal.c
 *		Seals: once a minute, one for each organization that has audit rows which no seal covers.
 *
 * A seal covers the rows of the transactions from one number up to another one, below which none was running any more
 * when it was made: what commits late has a number above it and is in the next.  All of one run have the same bounds,
 * and the next run begins where it ended.  A run takes SEAL_ROWS rows at most, of whole transactions, so that a backlog is worked off
 * in portions, each with seals, a transaction and memory of its own.  Rows that were written in another cluster or database, and came here by a
 * restore, have numbers of their own; they are sealed by themselves, when the first seal is made here.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#include "arm.h"
#include "audit_chain.h"
#include "compat.h"
#include "version.h"

OM_SQL_FUNCTION(omnimsg_audit_seal);
OM_SQL_FUNCTION(omnimsg_audit_origin);
OM_SQL_FUNCTION(omnimsg_audit_key_problem);

/* How many rows are taken from the server at a time */
#define FETCH	1000

/* How many one run seals, unless one transaction has written more */
#define SEAL_ROWS	100000

/* Whether the latest run of this process has left something for the next one */
bool		om_audit_more = false;

static OmStatement lock_seals = {
	"LOCK TABLE omnimsg.audit_seals IN SHARE ROW EXCLUSIVE MODE", 0, {0}, NULL
};

static OmStatement find_horizon = {
	"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint", 0, {0}, NULL
};

static OmStatement find_bound = {
	"SELECT s.to_xid::text::bigint FROM omnimsg.audit_seals s WHERE s.origin = $1\n"
	" ORDER BY s.to_xid DESC LIMIT 1",
	1, {INT8OID}, NULL
};

/* Of a portion: the first transaction, and the one of the first row that is too many; 0 when there is none */
static OmStatement find_portion = {
#define PORTION_ROWS \
	"SELECT l.xid FROM omnimsg.audit_logs l\n" \
	"   WHERE CASE WHEN $4 THEN l.origin = $1 ELSE l.origin IS NULL END AND l.xid >= $2::text::xid8 AND l.xid < $3::text::xid8\n" \
	"   ORDER BY l.xid"
	"SELECT coalesce((" PORTION_ROWS " LIMIT 1)::text::bigint, 0),\n"
	"       coalesce((" PORTION_ROWS " OFFSET $5 LIMIT 1)::text::bigint, 0)",
	5, {INT8OID, INT8OID, INT8OID, BOOLOID, INT8OID}, NULL
};

/* What a restore has brought: asked for until the first seal is made here */
static OmStatement find_foreign = {
	"SELECT l.origin, max(l.xid::text::bigint) + 1,\n"
	"       (SELECT s.to_xid::text::bigint FROM omnimsg.audit_seals s WHERE s.origin IS NOT DISTINCT FROM l.origin\n"
	"         ORDER BY s.to_xid DESC LIMIT 1), l.origin IS NULL\n"
	"  FROM omnimsg.audit_logs l WHERE l.origin IS DISTINCT FROM $1 GROUP BY l.origin",
	1, {INT8OID}, NULL
};

static OmStatement find_heads = {
	"SELECT s.number, s.epoch::bigint, s.hash, s.sealed_in, w.n\n"
	"  FROM unnest($1) WITH ORDINALITY AS w(organization_id, n)\n"
	" CROSS JOIN LATERAL (SELECT h.* FROM omnimsg.audit_seals h WHERE h.organization_id = w.organization_id\n"
	"                      ORDER BY h.number DESC LIMIT 1) AS s",
	1, {UUIDARRAYOID}, NULL
};

static OmStatement insert_seals = {
	"INSERT INTO omnimsg.audit_seals (organization_id, number, epoch, row_count, root, manifest, previous, hash,\n"
	"    signature, origin, from_xid, to_xid, key_fingerprint, sealed_at, sealed_in)\n"
	"SELECT w.organization_id, w.number::bigint, w.epoch, w.row_count::bigint, w.root, w.manifest, w.previous, w.hash,\n"
	"       w.signature, nullif($10, '')::bigint, $11::xid8, $12::xid8, $13, $14, $15\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)\n"
	"    AS w(organization_id, number, epoch, row_count, root, manifest, previous, hash, signature)",
	15, {UUIDARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, BYTEAARRAYOID, BYTEAARRAYOID,
		BYTEAARRAYOID, BYTEAARRAYOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID}, NULL
};

static OmStatement add_key = {
	"INSERT INTO omnimsg.audit_keys (fingerprint, public_key, first_used_at) VALUES ($1, $2, $3)\n"
	"ON CONFLICT (fingerprint) DO NOTHING",
	3, {TEXTOID, BYTEAOID, TIMESTAMPTZOID}, NULL
};

/* Those that made seals and that no later key has confirmed */
static OmStatement find_former_keys = {
	"SELECT k.fingerprint, k.public_key FROM omnimsg.audit_keys k\n"
	" WHERE k.fingerprint <> $1 AND k.vouched_by IS NULL\n"
	"   AND EXISTS (SELECT 1 FROM omnimsg.audit_seals s WHERE s.key_fingerprint = k.fingerprint)",
	1, {TEXTOID}, NULL
};

static OmStatement vouch_for = {
	"UPDATE omnimsg.audit_keys k SET vouched_by = $2, vouch = $3 WHERE k.fingerprint = $1",
	3, {TEXTOID, TEXTOID, BYTEAOID}, NULL
};

/* The seals of one run over the rows of one origin */
typedef struct Run
{
	OmAuditKey *key;
	bool		has_origin;
	int64		origin;
	int64		here;			/* the origin of rows that are written now */
	int64		place;			/* who seals: a copy of the files has the same origin and is another place */
	uint64		from_xid;
	uint64		to_xid;
	TimestampTz now;
	List	   *seals;			/* OmSeal */
	ReturnSetInfo *out;
} Run;

static Datum
bytes_datum(const void *data, int length)
{
	bytea	   *bytes = palloc(VARHDRSZ + length);

	SET_VARSIZE(bytes, VARHDRSZ + length);
	memcpy(VARDATA(bytes), data, length);
	return PointerGetDatum(bytes);
}

/* A key that is new here says of those before it that they were ours */
static void
note_key(const OmAuditKey *key, TimestampTz now)
{
	Datum		fingerprint = CStringGetTextDatum(key->fingerprint);
	StringInfoData buffer;
	SPITupleTable *former;
	uint64		count;

	om_db_run(&add_key, (Datum[]) {fingerprint, bytes_datum(key->public_key, OM_AUDIT_KEY), TimestampTzGetDatum(now)});
	if (SPI_processed == 0)
		return;
	count = om_db_run(&find_former_keys, (Datum[]) {fingerprint});
	former = SPI_tuptable;
	initStringInfo(&buffer);
	for (uint64 row = 0; row < count; row++)
	{
		unsigned char signature[OM_AUDIT_SIGNATURE];
		bool		isnull;
		Datum		old = SPI_getbinval(former->vals[row], former->tupdesc, 1, &isnull);
		bytea	   *public_key = DatumGetByteaPP(SPI_getbinval(former->vals[row], former->tupdesc, 2, &isnull));

		if (VARSIZE_ANY_EXHDR(public_key) != OM_AUDIT_KEY)
			continue;
		om_audit_vouch_bytes(&buffer, (unsigned char *) VARDATA_ANY(public_key));
		crypto_sign_detached(signature, NULL, (unsigned char *) buffer.data, buffer.len, key->secret_key);
		om_db_run(&vouch_for, (Datum[]) {old, fingerprint, bytes_datum(signature, sizeof(signature))});
	}
}

static void
end_seal(Run *run, OmSeal *seal, OmMerkle *tree, StringInfo manifest)
{
	seal->rows = tree->count;
	om_merkle_root(tree, seal->root);
	seal->manifest = manifest->data;
	seal->manifest_length = manifest->len;
	run->seals = lappend(run->seals, seal);
}

/* No more than a run may take; whether something is left then */
static bool
cut_portion(Run *run)
{
	uint64		first;
	uint64		beyond;

	if (run->from_xid >= run->to_xid)
		return false;
	om_db_run(&find_portion, (Datum[]) {Int64GetDatum(run->origin), Int64GetDatum((int64) run->from_xid),
			  Int64GetDatum((int64) run->to_xid), BoolGetDatum(run->has_origin), Int64GetDatum(SEAL_ROWS)});
	first = om_field_int(0, 1);
	beyond = om_field_int(0, 2);
	if (beyond == 0)
		return false;
	run->to_xid = Max(beyond, first + 1);	/* a transaction is not divided */
	return true;
}

/* The rows in the order of the tree: by organization, transaction and id */
static void
read_rows(Run *run)
{
	static const char *const sql =
		"SELECT l.organization_id, l.id, l.action, l.resource_type, l.resource_id, l.actor, l.old_value,\n"
		"       l.new_value, l.origin, l.xid, l.created_at\n"
		"  FROM omnimsg.audit_logs l\n"
		" WHERE l.origin IS NOT DISTINCT FROM $1 AND l.xid >= $2 AND l.xid < $3\n"
		" ORDER BY l.organization_id, l.xid, l.id";
	Oid			types[] = {INT8OID, XID8OID, XID8OID};
	Datum		arguments[] = {Int64GetDatum(run->origin),
		FullTransactionIdGetDatum(FullTransactionIdFromU64(run->from_xid)),
		FullTransactionIdGetDatum(FullTransactionIdFromU64(run->to_xid))};
	char		nulls[] = {run->has_origin ? ' ' : 'n', ' ', ' '};
	MemoryContext kept = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(kept, "omnimsg audit rows", ALLOCSET_DEFAULT_SIZES);
	Portal		portal = SPI_cursor_open_with_args(NULL, sql, 3, types, arguments, nulls, false, 0);
	OmSeal	   *seal = NULL;
	OmMerkle	tree;
	StringInfo	manifest = NULL;

	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH);
		if (SPI_processed == 0)
			break;
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			Datum		values[OM_AUDIT_COLUMNS];
			bool		isnull[OM_AUDIT_COLUMNS];
			unsigned char hash[OM_AUDIT_HASH];
			pg_uuid_t  *organization_id;

			CHECK_FOR_INTERRUPTS();
			heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, values, isnull);
			organization_id = DatumGetUUIDP(values[OM_AUDIT_ORGANIZATION_ID]);
			if (seal == NULL || memcmp(&seal->organization_id, organization_id, UUID_LEN) != 0)
			{
				MemoryContextSwitchTo(kept);
				if (seal != NULL)
					end_seal(run, seal, &tree, manifest);
				seal = palloc0(sizeof(OmSeal));
				seal->organization_id = *organization_id;
				manifest = makeStringInfo();
				om_merkle_begin(&tree);
			}
			MemoryContextSwitchTo(each);
			om_audit_hash(values, isnull, hash);
			MemoryContextReset(each);
			om_merkle_add(&tree, hash);
			appendBinaryStringInfo(manifest, (char *) DatumGetUUIDP(values[OM_AUDIT_ID]), UUID_LEN);
			appendBinaryStringInfo(manifest, (char *) hash, OM_MANIFEST_HASH);
		}
		MemoryContextSwitchTo(kept);
		SPI_freetuptable(SPI_tuptable);
	}
	MemoryContextSwitchTo(kept);
	if (seal != NULL)
		end_seal(run, seal, &tree, manifest);
	SPI_cursor_close(portal);
	MemoryContextDelete(each);
}

/* The seals take their places at the ends of the chains of their organizations */
static void
chain(Run *run)
{
	OmColumn   *organizations = om_column(UUIDOID, 8);
	uint64		rows;
	ListCell   *cell;

	foreach(cell, run->seals)
	{
		OmSeal	   *seal = lfirst(cell);

		om_column_add_uuid(organizations, &seal->organization_id);
		seal->number = 1;
		seal->epoch = 1;
		seal->has_origin = run->has_origin;
		seal->origin = run->origin;
		seal->from_xid = run->from_xid;
		seal->to_xid = run->to_xid;
		seal->sealed_at = run->now;
		seal->sealed_in = run->place;
		strlcpy(seal->fingerprint, run->key->fingerprint, sizeof(seal->fingerprint));
	}
	rows = om_db_run(&find_heads, (Datum[]) {om_column_array(organizations)});
	for (uint64 row = 0; row < rows; row++)
	{
		OmSeal	   *seal = list_nth(run->seals, om_field_int(row, 5) - 1);
		bool		isnull;
		bytea	   *hash = DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 3, &isnull));

		if (VARSIZE_ANY_EXHDR(hash) == OM_AUDIT_HASH)
			memcpy(seal->previous, VARDATA_ANY(hash), OM_AUDIT_HASH);
		seal->number = om_field_int(row, 1) + 1;
		seal->epoch = om_field_int(row, 2) + (om_field_int(row, 4) == run->place ? 0 : 1);
	}
}

static void
tell_seal(ReturnSetInfo *out, const OmSeal *seal, Datum hash)
{
	Datum		values[5] = {UUIDPGetDatum(&seal->organization_id), Int64GetDatum(seal->number),
		Int32GetDatum(seal->epoch), Int64GetDatum(seal->rows), hash};
	bool		nulls[5] = {false};

	tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
}

static void
write_seals(Run *run)
{
	static const Oid types[9] = {UUIDOID, TEXTOID, INT4OID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID};
	OmColumn   *columns[9];
	Datum		values[15];
	StringInfoData buffer;
	ListCell   *cell;

	for (int i = 0; i < 9; i++)
		columns[i] = om_column(types[i], 8);
	initStringInfo(&buffer);
	foreach(cell, run->seals)
	{
		OmSeal	   *seal = lfirst(cell);
		unsigned char hash[OM_AUDIT_HASH];
		unsigned char signature[OM_AUDIT_SIGNATURE];

		om_seal_bytes(&buffer, seal);
		om_audit_blake2b(hash, sizeof(hash), buffer.data, buffer.len);
		crypto_sign_detached(signature, NULL, (unsigned char *) buffer.data, buffer.len, run->key->secret_key);
		om_column_add_uuid(columns[0], &seal->organization_id);
		om_column_add_text(columns[1], psprintf(INT64_FORMAT, seal->number));
		om_column_add_int(columns[2], seal->epoch);
		om_column_add_text(columns[3], psprintf(INT64_FORMAT, seal->rows));
		om_column_add(columns[4], bytes_datum(seal->root, OM_AUDIT_HASH), false);
		om_column_add(columns[5], bytes_datum(seal->manifest, seal->manifest_length), false);
		om_column_add(columns[6], bytes_datum(seal->previous, OM_AUDIT_HASH), false);
		om_column_add(columns[7], bytes_datum(hash, sizeof(hash)), false);
		om_column_add(columns[8], bytes_datum(signature, sizeof(signature)), false);
		tell_seal(run->out, seal, bytes_datum(hash, sizeof(hash)));
	}
	for (int i = 0; i < 9; i++)
		values[i] = om_column_array(columns[i]);
	values[9] = CStringGetTextDatum(run->has_origin ? psprintf(INT64_FORMAT, run->origin) : "");
	values[10] = CStringGetTextDatum(psprintf(UINT64_FORMAT, run->from_xid));
	values[11] = CStringGetTextDatum(psprintf(UINT64_FORMAT, run->to_xid));
	values[12] = CStringGetTextDatum(run->key->fingerprint);
	values[13] = TimestampTzGetDatum(run->now);
	values[14] = Int64GetDatum(run->place);
	om_db_run(&insert_seals, values);
}

/* Whether all of them are sealed then */
static bool
seal_rows(Run *run)
{
	bool		more = cut_portion(run);

	run->seals = NIL;
	if (run->from_xid < run->to_xid)
		read_rows(run);
	if (run->seals == NIL)
		return true;
	note_key(run->key, run->now);
	chain(run);
	write_seals(run);
	om_audit_more = more;
	return !more;
}

static bool
seal_foreign(Run *run)
{
	Run			foreign = *run;
	uint64		rows = om_db_run(&find_foreign, (Datum[]) {Int64GetDatum(run->here)});
	SPITupleTable *found = SPI_tuptable;

	for (uint64 row = 0; row < rows; row++)
	{
		SPI_tuptable = found;
		foreign.origin = om_field_int(row, 1);
		foreign.to_xid = om_field_int(row, 2);
		foreign.from_xid = om_field_int(row, 3);
		foreign.has_origin = !om_field_bool(row, 4);
		if (!seal_rows(&foreign))
			return false;
	}
	return true;
}

/* Rows here and now: below the lowest transaction that runs.  Restored ones only before any of these were sealed. */
static void
seal(Run *run)
{
	om_db_run(&lock_seals, NULL);
	om_db_run(&find_horizon, NULL);
	run->to_xid = om_field_int(0, 1);
	if (om_db_run(&find_bound, (Datum[]) {Int64GetDatum(run->here)}) > 0)
		run->from_xid = om_field_int(0, 1);
	else if (!seal_foreign(run))
		return;					/* they go on being asked for until the first seal is made here */
	run->has_origin = true;
	run->origin = run->here;
	seal_rows(run);
}

static void
refuse(const char *error)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the audit trail cannot be sealed: %s", error),
			 errhint("Put the base64 of 32 random bytes into the file \"%s\" in omnimsg.secrets_dir, with mode 0600.",
					 OM_AUDIT_SECRET)));
}

/*
 * omnimsg_audit_seal() returns setof (organization_id uuid, number bigint, epoch int, row_count bigint, hash bytea)
 */
Datum
omnimsg_audit_seal(PG_FUNCTION_ARGS)
{
	OmAuditKey	key;
	Run			run = {.key = &key, .now = GetCurrentTimestamp(), .here = om_audit_origin()};
	const char *error;

	om_require_version();
	om_audit_more = false;
	if (XactIsoLevel != XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("omnimsg_audit_seal needs transaction isolation level READ COMMITTED")));
	InitMaterializedSRF(fcinfo, 0);
	run.out = (ReturnSetInfo *) fcinfo->resultinfo;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (om_arm_check(&error) > OM_DISARMED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the audit trail is not sealed before the database is armed: it is %s", error),
				 errhint("A dump may be being restored here, or this may be a copy of one that goes on elsewhere. When it is complete, and is to take the other one's place, run omnimsg_arm().")));
	run.place = om_arm_place();
	error = om_audit_key_read(&key);
	if (error != NULL)
		refuse(error);
	PG_TRY();
	{
		seal(&run);
	}
	PG_FINALLY();
	{
		sodium_memzero(&key, sizeof(key));
	}
	PG_END_TRY();
	SPI_finish();
	return (Datum) 0;
}

/* omnimsg.audit_origin() returns bigint */
Datum
omnimsg_audit_origin(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(om_audit_origin());
}

/* omnimsg.audit_key_problem() returns text: NULL when seals can be signed */
Datum
omnimsg_audit_key_problem(PG_FUNCTION_ARGS)
{
	OmAuditKey	key;
	const char *error = om_audit_key_read(&key);

	sodium_memzero(&key, sizeof(key));
	if (error == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(error));
}
