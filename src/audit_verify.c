/*
 * audit_verify.c
 *		Whether the audit trail is what it was.
 *
 * Two passes.  The first goes along the chain of seals of each organization: numbers without gaps, each holding the hash of
 * the one before, each signed by a key that can be trusted.  The second reads all rows in the order in which they were
 * sealed, beside the seals: what belongs to a seal must have its root.  Where it has not, the seal's list of
 * rows tells which one is missing, was added or is another one.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#include "arguments.h"
#include "audit_verify.h"
#include "compat.h"

OM_SQL_FUNCTION(omnimsg_audit_verify);

#define ROWS_AT_A_TIME	1000
#define SEALS_AT_A_TIME	50

#define SEAL_COLUMNS \
	"s.organization_id, s.number, s.epoch, s.origin, s.from_xid, s.to_xid, s.row_count, s.root, s.manifest,\n" \
	"       s.previous, s.sealed_at, s.sealed_in, s.key_fingerprint, s.signature, s.hash"

static const char chain_sql[] =
	"SELECT " SEAL_COLUMNS "\n"
	"  FROM omnimsg.audit_seals s WHERE $1 IS NULL OR s.organization_id = $1\n"
	" ORDER BY s.organization_id, s.number";

static const char seals_sql[] =
	"SELECT " SEAL_COLUMNS "\n"
	"  FROM omnimsg.audit_seals s WHERE $1 IS NULL OR s.organization_id = $1\n"
	" ORDER BY s.organization_id, s.origin NULLS FIRST, s.from_xid, s.number";

static const char rows_sql[] =
	"SELECT " ROW_COLUMNS ", l.row_hash\n"
	"  FROM omnimsg.audit_logs l WHERE $1 IS NULL OR l.organization_id = $1\n"
	" ORDER BY l.organization_id, l.origin NULLS FIRST, l.xid, l.id";

static OmStatement find_keys = {
	"SELECT k.fingerprint, k.public_key, k.vouched_by, k.vouch FROM omnimsg.audit_keys k", 0, {0}, NULL
};

/* Up to where each origin is sealed, whatever the organization */
static const char bounds_sql[] =
	"SELECT DISTINCT ON (s.origin) s.origin, s.to_xid::text::bigint, s.origin IS NULL FROM omnimsg.audit_seals s\n"
	" ORDER BY s.origin, s.to_xid DESC";

/* What an exported head knows and the database does not */
static OmStatement find_cut = {
	"SELECT h.organization_id, h.number, s.hash IS NULL\n"
	"  FROM jsonb_to_recordset($1) AS h(organization_id uuid, number bigint, hash bytea)\n"
	"  LEFT JOIN omnimsg.audit_seals s ON s.organization_id = h.organization_id AND s.number = h.number\n"
	" WHERE s.hash IS DISTINCT FROM h.hash\n"
	" ORDER BY 1, 2",
	1, {JSONBOID}, NULL
};

void
om_audit_tell(Verify *verify, const char *kind, const pg_uuid_t *organization_id, int64 number, const pg_uuid_t *id,
	 const char *detail)
{
	Datum		values[5] = {CStringGetTextDatum(kind), UUIDPGetDatum(organization_id), Int64GetDatum(number),
		UUIDPGetDatum(id), detail ? CStringGetTextDatum(detail) : (Datum) 0};
	bool		nulls[5] = {false, organization_id == NULL, number == 0, id == NULL, detail == NULL};

	tuplestore_putvalues(verify->out->setResult, verify->out->setDesc, values, nulls);
}

/* ---- keys ---- */

static Key *
find_key(Verify *verify, const char *fingerprint)
{
	for (int i = 0; i < verify->nkeys; i++)
		if (strcmp(verify->keys[i].fingerprint, fingerprint) == 0)
			return &verify->keys[i];
	return NULL;
}

/* The fingerprint is made of the key, and not taken from the table */
static void
add_key(Verify *verify, const unsigned char *public_key, bool trusted, char *vouched_by, bytea *vouch)
{
	char		fingerprint[OM_AUDIT_FINGERPRINT];
	Key		   *key;

	om_audit_fingerprint(public_key, fingerprint);
	key = find_key(verify, fingerprint);
	if (key == NULL)
		key = &verify->keys[verify->nkeys++];
	else if (key->trusted)
		return;
	memcpy(key->public_key, public_key, OM_AUDIT_KEY);
	strlcpy(key->fingerprint, fingerprint, sizeof(key->fingerprint));
	key->trusted = trusted;
	key->vouched_by = vouched_by;
	key->vouch = vouch;
	verify->any_trusted |= trusted;
}

/* What a key that is trusted says of one before it makes that one trusted */
static void
extend_trust(Verify *verify)
{
	StringInfoData buffer;
	bool		more = true;

	initStringInfo(&buffer);
	while (more)
	{
		more = false;
		for (int i = 0; i < verify->nkeys; i++)
		{
			Key		   *key = &verify->keys[i];
			Key		   *by = key->vouched_by ? find_key(verify, key->vouched_by) : NULL;

			if (key->trusted || by == NULL || !by->trusted || key->vouch == NULL ||
				VARSIZE_ANY_EXHDR(key->vouch) != OM_AUDIT_SIGNATURE)
				continue;
			om_audit_vouch_bytes(&buffer, key->public_key);
			if (crypto_sign_verify_detached((unsigned char *) VARDATA_ANY(key->vouch), (unsigned char *) buffer.data,
											buffer.len, by->public_key) == 0)
				key->trusted = more = true;
		}
	}
}

/* The one of the file, or the one that the caller brings from outside, and what follows from it */
static void
read_keys(Verify *verify, const char *trusted)
{
	uint64		count = om_db_run(&find_keys, NULL);
	OmAuditKey	key;

	verify->keys = palloc0(sizeof(Key) * (count + 2));
	if (trusted != NULL)
	{
		unsigned char public_key[OM_AUDIT_KEY];
		size_t		length;

		if (sodium_base642bin(public_key, sizeof(public_key), trusted, strlen(trusted), NULL, &length, NULL,
							  sodium_base64_VARIANT_ORIGINAL) != 0 || length != sizeof(public_key))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("trusted_key must be the base64 of 32 bytes"),
					 errhint("It is the public key that omnimsg_audit_head() gives.")));
		add_key(verify, public_key, true, NULL, NULL);
	}
	else if (om_audit_key_read(&key) == NULL)
	{
		add_key(verify, key.public_key, true, NULL, NULL);
		sodium_memzero(&key, sizeof(key));
	}
	for (uint64 row = 0; row < count; row++)
	{
		bool		isnull;
		bytea	   *public_key = DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 2, &isnull));
		Datum		vouch = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 4, &isnull);

		if (VARSIZE_ANY_EXHDR(public_key) == OM_AUDIT_KEY)
			add_key(verify, (unsigned char *) VARDATA_ANY(public_key), false, om_field_text(row, 3),
					isnull ? NULL : DatumGetByteaPCopy(vouch));
	}
	extend_trust(verify);
}

/* ---- reading ---- */

static void
open_cursor(Cursor *cursor, const char *sql, const pg_uuid_t *organization_id, int fetch)
{
	Oid			types[] = {UUIDOID};
	Datum		values[] = {UUIDPGetDatum(organization_id)};
	char		nulls[] = {organization_id ? ' ' : 'n'};

	cursor->portal = SPI_cursor_open_with_args(NULL, sql, 1, types, values, nulls, true, 0);
	cursor->table = NULL;
	cursor->row = cursor->rows = 0;
	cursor->fetch = fetch;
}

static bool
next_tuple(Cursor *cursor)
{
	if (cursor->row + 1 < cursor->rows)
	{
		cursor->row++;
		return true;
	}
	if (cursor->table != NULL)
		SPI_freetuptable(cursor->table);
	cursor->table = NULL;
	SPI_cursor_fetch(cursor->portal, true, cursor->fetch);
	cursor->table = SPI_tuptable;
	cursor->rows = SPI_processed;
	cursor->row = 0;
	return cursor->rows > 0;
}

static void
close_cursor(Cursor *cursor)
{
	if (cursor->table != NULL)
		SPI_freetuptable(cursor->table);
	SPI_cursor_close(cursor->portal);
}

static void
copy_hash(Datum value, bool isnull, unsigned char *out)
{
	memset(out, 0, OM_AUDIT_HASH);
	if (!isnull)
	{
		bytea	   *bytes = DatumGetByteaPP(value);

		memcpy(out, VARDATA_ANY(bytes), Min(VARSIZE_ANY_EXHDR(bytes), OM_AUDIT_HASH));
	}
}

/* The seal at the cursor; its columns are NOT NULL but for the origin.  signature and hash may be NULL. */
static void
read_seal(Cursor *cursor, OmSeal *seal, bytea **signature, unsigned char *hash)
{
	Datum		v[15];
	bool		n[15];
	bytea	   *manifest;
	char	   *fingerprint;

	heap_deform_tuple(cursor->table->vals[cursor->row], cursor->table->tupdesc, v, n);
	seal->organization_id = *DatumGetUUIDP(v[0]);
	seal->number = DatumGetInt64(v[1]);
	seal->epoch = DatumGetInt32(v[2]);
	seal->has_origin = !n[3];
	seal->origin = n[3] ? 0 : DatumGetInt64(v[3]);
	seal->from_xid = U64FromFullTransactionId(DatumGetFullTransactionId(v[4]));
	seal->to_xid = U64FromFullTransactionId(DatumGetFullTransactionId(v[5]));
	seal->rows = DatumGetInt64(v[6]);
	copy_hash(v[7], n[7], seal->root);
	manifest = DatumGetByteaPP(v[8]);
	seal->manifest = VARDATA_ANY(manifest);
	seal->manifest_length = VARSIZE_ANY_EXHDR(manifest);
	copy_hash(v[9], n[9], seal->previous);
	seal->sealed_at = DatumGetTimestampTz(v[10]);
	seal->sealed_in = DatumGetInt64(v[11]);
	fingerprint = TextDatumGetCString(v[12]);
	strlcpy(seal->fingerprint, fingerprint, sizeof(seal->fingerprint));
	if (signature != NULL)
		*signature = DatumGetByteaPP(v[13]);
	if (hash != NULL)
		copy_hash(v[14], n[14], hash);
}

/* ---- the chain ---- */

/* NULL when the seal is signed as it is */
static const char *
why_unsigned(Verify *verify, const OmSeal *seal, const bytea *signature, StringInfo bytes)
{
	Key		   *key = find_key(verify, seal->fingerprint);

	if (key == NULL)
		return "its key is not in omnimsg.audit_keys";
	if (VARSIZE_ANY_EXHDR(signature) != OM_AUDIT_SIGNATURE ||
		crypto_sign_verify_detached((unsigned char *) VARDATA_ANY(signature), (unsigned char *) bytes->data, bytes->len,
									key->public_key) != 0)
		return "its signature is not that of what it says";
	if (verify->any_trusted && !key->trusted)
		return "it is signed by a key that is none of ours";
	return NULL;
}

static void
check_seal(Verify *verify, const OmSeal *seal, const OmSeal *before, const unsigned char *before_hash,
		   const unsigned char *stored, const unsigned char *made, const char *unsigned_reason)
{
	static const unsigned char none[OM_AUDIT_HASH] = {0};
	bool		first = before == NULL;
	int64		expected = first ? 1 : before->number + 1;

	for (int64 number = expected; number < seal->number && number < expected + 1000; number++)
		om_audit_tell(verify, "missing seal", &seal->organization_id, number, NULL, NULL);
	if (unsigned_reason != NULL)
		om_audit_tell(verify, "unsigned seal", &seal->organization_id, seal->number, NULL, unsigned_reason);
	else if (memcmp(stored, made, OM_AUDIT_HASH) != 0)
		om_audit_tell(verify, "broken chain", &seal->organization_id, seal->number, NULL, "its hash is not that of what it says");
	else if (seal->number == expected &&
			 memcmp(seal->previous, first ? none : before_hash, OM_AUDIT_HASH) != 0)
		om_audit_tell(verify, "broken chain", &seal->organization_id, seal->number, NULL,
			 "it does not follow the seal before it");
}

static bool
verify_chain(Verify *verify, const pg_uuid_t *organization_id)
{
	Cursor		cursor;
	StringInfoData bytes;
	OmSeal		before;
	unsigned char before_hash[OM_AUDIT_HASH];
	bool		any = false;
	MemoryContext outer = CurrentMemoryContext;

	initStringInfo(&bytes);
	open_cursor(&cursor, chain_sql, organization_id, SEALS_AT_A_TIME);
	while (next_tuple(&cursor))
	{
		OmSeal		seal;
		bytea	   *signature;
		unsigned char stored[OM_AUDIT_HASH];
		unsigned char made[OM_AUDIT_HASH];
		bool		same;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(verify->each);
		read_seal(&cursor, &seal, &signature, stored);
		om_seal_bytes(&bytes, &seal);
		om_audit_blake2b(made, sizeof(made), bytes.data, bytes.len);
		same = any && memcmp(&before.organization_id, &seal.organization_id, UUID_LEN) == 0;
		check_seal(verify, &seal, same ? &before : NULL, before_hash, stored, made,
				   why_unsigned(verify, &seal, signature, &bytes));
		MemoryContextSwitchTo(outer);
		MemoryContextReset(verify->each);
		before = seal;
		memcpy(before_hash, made, sizeof(before_hash));
		any = true;
	}
	close_cursor(&cursor);
	return any;
}

/* ---- the rows ---- */

static void
end_seal(Verify *verify)
{
	OmSeal	   *seal = verify->seal;
	unsigned char root[OM_AUDIT_HASH];
	Place		last = {seal->number, verify->nrows - 1};

	om_merkle_root(&verify->tree, root);
	if (verify->tree.count != seal->rows || memcmp(root, seal->root, OM_AUDIT_HASH) != 0)
		om_audit_compare(verify);
	else
	{
		for (int i = 0; i < verify->nrows; i++)
			if (verify->rows[i].altered)
				om_audit_tell(verify, "edited", &seal->organization_id, seal->number, &verify->rows[i].id,
					 "row_hash is not the hash of the row");
		if (verify->nrows > 0 && om_audit_is_after(&last, &verify->last))
			verify->last = last;
	}
	verify->seal = NULL;
	verify->rows = NULL;
	verify->nrows = verify->capacity = 0;
	MemoryContextReset(verify->of_seal);
}

static void
enter_organization(Verify *verify, const pg_uuid_t *organization_id)
{
	if (verify->in_organization && memcmp(&verify->organization_id, organization_id, UUID_LEN) == 0)
		return;
	if (verify->in_organization)
		om_audit_tell_suspects(verify);
	verify->organization_id = *organization_id;
	verify->in_organization = true;
}

static void
begin_seal(Verify *verify, Cursor *seals)
{
	MemoryContext before = MemoryContextSwitchTo(verify->of_seal);

	verify->seal = palloc0(sizeof(OmSeal));
	read_seal(seals, verify->seal, NULL, NULL);
	enter_organization(verify, &verify->seal->organization_id);
	om_merkle_begin(&verify->tree);
	verify->capacity = Max(verify->seal->rows, 8) < 1000000 ? Max(verify->seal->rows, 8) : 1000000;
	verify->rows = palloc(sizeof(Row) * verify->capacity);
	verify->nrows = 0;
	MemoryContextSwitchTo(before);
}

static void
add_to_seal(Verify *verify, const pg_uuid_t *id, const unsigned char *hash, bool altered)
{
	Row		   *row;

	if (verify->nrows == verify->capacity)
	{
		verify->capacity *= 2;
		verify->rows = repalloc_huge(verify->rows, sizeof(Row) * verify->capacity);
	}
	row = &verify->rows[verify->nrows++];
	row->id = *id;
	memcpy(row->hash, hash, OM_AUDIT_HASH);
	row->altered = altered;
	row->listed = false;
	om_merkle_add(&verify->tree, hash);
}

/* Less than 0 when the row comes before what the seal covers, 0 when it is in it, more when it comes after */
static int
compare_place(const OmSeal *seal, const pg_uuid_t *organization_id, bool has_origin, int64 origin, uint64 xid)
{
	int			result = memcmp(organization_id, &seal->organization_id, UUID_LEN);

	if (result != 0)
		return result;
	if (has_origin != seal->has_origin)
		return has_origin ? 1 : -1;
	if (origin != seal->origin)
		return origin > seal->origin ? 1 : -1;
	return xid < seal->from_xid ? -1 : xid < seal->to_xid ? 0 : 1;
}

/*
 * Why a row that no seal covers, and that has its hash, is not simply one that waits for the next seal; NULL when it is.
 * Before the end of the last seal of anybody, all was sealed that there was; and before the first row that was written here,
 * all that was written elsewhere.
 */
static const char *
why_added(const Verify *verify, bool has_origin, int64 origin, uint64 xid)
{
	bool		is_here = has_origin && origin == verify->here;
	bool		began_here = false;

	for (int i = 0; i < verify->nbounds; i++)
	{
		const Bound *bound = &verify->bounds[i];

		if (bound->has_origin == has_origin && bound->origin == origin && xid < bound->xid)
			return "no seal covers it, and what is newer is sealed";
		began_here |= bound->has_origin && bound->origin == verify->here;
	}
	if (is_here && xid >= verify->next_xid)
		return "no seal covers it, and there was no such transaction yet";
	if (has_origin && !is_here && began_here)
		return "no seal covers it, and what was written in other databases was sealed before";
	return NULL;
}

static void
check_unsealed(Verify *verify, const pg_uuid_t *organization_id, const pg_uuid_t *id, bool has_origin, int64 origin,
			   uint64 xid, bool has_hash, bool altered)
{
	const char *reason = why_added(verify, has_origin, origin, xid);

	if (altered)
		om_audit_tell(verify, "edited", organization_id, 0, id, "row_hash is not the hash of the row");
	else if (reason != NULL)
		om_audit_tell(verify, "added", organization_id, 0, id, reason);
	else if (!has_hash && verify->nbounds > 0)
		om_audit_tell(verify, "added", organization_id, 0, id, "it has no hash, and came after the first seal");
}

static void
verify_rows(Verify *verify, const pg_uuid_t *organization_id)
{
	Cursor		rows;
	Cursor		seals;
	bool		more_seals;
	MemoryContext before = CurrentMemoryContext;

	open_cursor(&rows, rows_sql, organization_id, ROWS_AT_A_TIME);
	open_cursor(&seals, seals_sql, organization_id, SEALS_AT_A_TIME);
	more_seals = next_tuple(&seals);
	if (more_seals)
		begin_seal(verify, &seals);

	while (next_tuple(&rows))
	{
		Datum		values[OM_AUDIT_COLUMNS + 1];
		bool		nulls[OM_AUDIT_COLUMNS + 1];
		unsigned char hash[OM_AUDIT_HASH];
		unsigned char stored[OM_AUDIT_HASH];
		pg_uuid_t	organization;
		pg_uuid_t	id;
		bool		has_origin;
		int64		origin;
		uint64		xid;
		bool		has_hash;
		bool		altered;
		int			place = -1;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(verify->each);
		heap_deform_tuple(rows.table->vals[rows.row], rows.table->tupdesc, values, nulls);
		organization = *DatumGetUUIDP(values[OM_AUDIT_ORGANIZATION_ID]);
		id = *DatumGetUUIDP(values[OM_AUDIT_ID]);
		has_origin = !nulls[OM_AUDIT_ORIGIN];
		origin = has_origin ? DatumGetInt64(values[OM_AUDIT_ORIGIN]) : 0;
		xid = U64FromFullTransactionId(DatumGetFullTransactionId(values[OM_AUDIT_XID]));
		om_audit_hash(values, nulls, hash);
		copy_hash(values[OM_AUDIT_COLUMNS], nulls[OM_AUDIT_COLUMNS], stored);
		has_hash = !nulls[OM_AUDIT_COLUMNS];
		/* a row of before version 1.2 has neither; from then on each has both */
		altered = has_hash != has_origin || (has_hash &&
											 (VARSIZE_ANY_EXHDR(DatumGetByteaPP(values[OM_AUDIT_COLUMNS])) != OM_AUDIT_HASH ||
											  memcmp(hash, stored, OM_AUDIT_HASH) != 0));
		MemoryContextSwitchTo(before);
		MemoryContextReset(verify->each);

		while (verify->seal != NULL &&
			   (place = compare_place(verify->seal, &organization, has_origin, origin, xid)) > 0)
		{
			end_seal(verify);
			more_seals = next_tuple(&seals);
			if (more_seals)
				begin_seal(verify, &seals);
		}
		if (verify->seal != NULL && place == 0)
			add_to_seal(verify, &id, hash, altered);
		else
			check_unsealed(verify, &organization, &id, has_origin, origin, xid, has_hash, altered);
	}
	while (verify->seal != NULL)
	{
		end_seal(verify);
		if (next_tuple(&seals))
			begin_seal(verify, &seals);
	}
	if (verify->in_organization)
		om_audit_tell_suspects(verify);
	close_cursor(&seals);
	close_cursor(&rows);
}

/*
 * With the snapshot of all that is read here: a seal that is made meanwhile is not seen.  As the owner, because an auditor
 * sees those of his organization only, which may be none, or old: they are sealed all at once.
 */
static void
read_bounds(Verify *verify)
{
	Oid			user;
	int			context;

	om_db_become_owner(&user, &context);
	if (SPI_execute(bounds_sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the bounds of seals");
	SetUserIdAndSecContext(user, context);
	verify->here = om_audit_origin();
	verify->next_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
	verify->nbounds = SPI_processed;
	verify->bounds = palloc(sizeof(Bound) * Max(verify->nbounds, 1));
	for (int i = 0; i < verify->nbounds; i++)
	{
		verify->bounds[i].origin = om_field_int(i, 1);
		verify->bounds[i].xid = om_field_int(i, 2);
		verify->bounds[i].has_origin = !om_field_bool(i, 3);
	}
}

/* Heads that somebody kept outside: only they tell of seals and rows that were cut off together */
static void
compare_heads(Verify *verify, const pg_uuid_t *organization_id, Datum heads)
{
	uint64		rows = om_db_run(&find_cut, (Datum[]) {heads});

	for (uint64 row = 0; row < rows; row++)
	{
		pg_uuid_t  *of = om_field_uuid(row, 1);

		if (of == NULL || (organization_id != NULL && memcmp(of, organization_id, UUID_LEN) != 0))
			continue;
		if (om_field_bool(row, 3))
			om_audit_tell(verify, "cut off", of, om_field_int(row, 2), NULL, "the head that was exported is not there any more");
		else
			om_audit_tell(verify, "broken chain", of, om_field_int(row, 2), NULL, "it is another seal than the head that was exported");
	}
}

/*
 * omnimsg_audit_verify(organization_id uuid, heads jsonb, trusted_key text)
 *		returns setof (kind text, organization_id uuid, seal bigint, row_id uuid, detail text)
 */
Datum
omnimsg_audit_verify(PG_FUNCTION_ARGS)
{
	Verify		verify = {0};
	pg_uuid_t  *organization_id = PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0);
	char	   *trusted = PG_ARGISNULL(2) ? NULL : om_arg_text(fcinfo, 2, "trusted_key");

	InitMaterializedSRF(fcinfo, 0);
	verify.out = (ReturnSetInfo *) fcinfo->resultinfo;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	verify.context = CurrentMemoryContext;
	verify.each = AllocSetContextCreate(verify.context, "omnimsg audit row", ALLOCSET_DEFAULT_SIZES);
	verify.of_seal = AllocSetContextCreate(verify.context, "omnimsg audit seal", ALLOCSET_DEFAULT_SIZES);
	verify.of_organization = AllocSetContextCreate(verify.context, "omnimsg audit organization", ALLOCSET_DEFAULT_SIZES);

	read_keys(&verify, trusted);
	if (verify_chain(&verify, organization_id) && !verify.any_trusted)
		om_audit_tell(&verify, "no key", NULL, 0, NULL,
			 "the key cannot be read and none was given: that the seals are signed by a key of ours is not proven");
	read_bounds(&verify);
	verify_rows(&verify, organization_id);
	if (!PG_ARGISNULL(1))
		compare_heads(&verify, organization_id, PG_GETARG_DATUM(1));
	SPI_finish();
	return (Datum) 0;
}
