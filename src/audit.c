/*
 * audit.c
 *		The audit trail: one row per effect, in the transaction of the effect, with its hash.
 *
 * This is the only place that inserts into omnimsg.audit_logs; functions in SQL come here by omnimsg.write_audit().
 * The hash is taken over what the row will hold, in the form that doc/audit.md gives in full: whoever has the columns of a
 * row, from a dump for example, can compute it with another program.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "utils/xid8.h"

#include "arguments.h"
#include "audit.h"
#include "compat.h"
#include "tenant.h"

OM_SQL_FUNCTION(omnimsg_write_audit);
OM_SQL_FUNCTION(omnimsg_audit_hash);

/* The first byte of what is hashed: another form of the rows gets another number */
#define HASH_VERSION	1

struct OmAudit
{
	TimestampTz now;
	const char *actor;
	OmColumn   *organization_ids;
	OmColumn   *ids;
	OmColumn   *actions;
	OmColumn   *resource_types;
	OmColumn   *resource_ids;
	OmColumn   *old_values;
	OmColumn   *new_values;
};

static OmStatement insert_rows = {
	"INSERT INTO omnimsg.audit_logs (organization_id, id, action, resource_type, resource_id,\n"
	"    old_value, new_value, row_hash, actor, origin, xid, created_at)\n"
	"SELECT w.organization_id, w.id, w.action, w.resource_type, w.resource_id,\n"
	"    w.old_value, w.new_value, w.row_hash, $9, $10, $11, $12\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)\n"
	"    AS w(organization_id, id, action, resource_type, resource_id, old_value, new_value, row_hash)",
	12, {UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, UUIDARRAYOID, JSONBARRAYOID,
		JSONBARRAYOID, BYTEAARRAYOID, TEXTOID, INT8OID, XID8OID, TIMESTAMPTZOID}, NULL
};

OmAudit *
om_audit_begin(TimestampTz now, const char *actor)
{
	OmAudit    *audit = palloc(sizeof(OmAudit));

	audit->now = now;
	audit->actor = actor;
	audit->organization_ids = om_column(UUIDOID, 16);
	audit->ids = om_column(UUIDOID, 16);
	audit->actions = om_column(TEXTOID, 16);
	audit->resource_types = om_column(TEXTOID, 16);
	audit->resource_ids = om_column(UUIDOID, 16);
	audit->old_values = om_column(JSONBOID, 16);
	audit->new_values = om_column(JSONBOID, 16);
	return audit;
}

char *
om_audit_role(void)
{
	const char *token = om_tenant_token();

	if (token != NULL)
		return psprintf("token:%s", token);
	return psprintf("role:%s", GetUserNameFromId(GetSessionUserId(), false));
}

static pg_uuid_t *
copy_uuid(const pg_uuid_t *uuid)
{
	pg_uuid_t  *copy;

	if (uuid == NULL)
		return NULL;
	copy = palloc(sizeof(pg_uuid_t));
	*copy = *uuid;
	return copy;
}

static void
add_json(OmColumn *column, const Jsonb *json)
{
	om_column_add(column, JsonbPGetDatum(json), json == NULL);
}

void
om_audit_add(OmAudit *audit, const pg_uuid_t *organization_id, const char *action,
			 const char *resource_type, const pg_uuid_t *resource_id,
			 const Jsonb *old_value, const Jsonb *new_value)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	om_uuid7(id);
	om_column_add_uuid(audit->organization_ids, copy_uuid(organization_id));
	om_column_add_uuid(audit->ids, id);
	om_column_add_text(audit->actions, action);
	om_column_add_text(audit->resource_types, resource_type);
	om_column_add_uuid(audit->resource_ids, copy_uuid(resource_id));
	add_json(audit->old_values, old_value);
	add_json(audit->new_values, new_value);
}

static JsonbValue
json_string(const char *text)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	return value;
}

Jsonb *
om_audit_json(const char *key,...)
{
	JsonbParseState *state = NULL;
	va_list		args;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	va_start(args, key);
	for (; key != NULL; key = va_arg(args, const char *))
	{
		const char *value = va_arg(args, const char *);
		JsonbValue	name = json_string(key);
		JsonbValue	content;

		if (value == NULL)
			continue;
		content = json_string(value);
		pushJsonbValue(&state, WJB_KEY, &name);
		pushJsonbValue(&state, WJB_VALUE, &content);
	}
	va_end(args);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

int64
om_audit_number(const char *text)
{
	unsigned char hash[sizeof(uint64)];
	uint64		number = 0;

	om_audit_blake2b(hash, sizeof(hash), text, strlen(text));
	for (size_t i = 0; i < sizeof(hash); i++)
		number = number << 8 | hash[i];
	return (int64) number;
}

/* Only of a cluster that stays what it is while the server runs, and of the database of this session */
int64
om_audit_origin(void)
{
	char	   *text = psprintf("%llu %u", (unsigned long long) GetSystemIdentifier(), MyDatabaseId);
	int64		number = om_audit_number(text);

	pfree(text);
	return number;
}

void
om_audit_blake2b(unsigned char *hash, size_t size, const void *data, size_t length)
{
	unsigned char whole[crypto_generichash_BYTES];

	/* cut off, and not made shorter: every library can make the long one */
	crypto_generichash(whole, sizeof(whole), data, length, NULL, 0);
	memcpy(hash, whole, size);
}

static void
put_field(StringInfo buffer, const void *data, int length)
{
	pq_sendbyte(buffer, 1);
	pq_sendint32(buffer, length);
	appendBinaryStringInfo(buffer, data, length);
}

static void
put_number(StringInfo buffer, uint64 number)
{
	pq_sendbyte(buffer, 1);
	pq_sendint32(buffer, sizeof(number));
	pq_sendint64(buffer, number);
}

static void
put_json(StringInfo buffer, Datum value)
{
	Jsonb	   *json = DatumGetJsonbP(value);
	char	   *text = JsonbToCString(NULL, &json->root, VARSIZE(json));

	put_field(buffer, text, strlen(text));
	pfree(text);
}

static void
put_value(StringInfo buffer, OmAuditColumn column, Datum value)
{
	text	   *bytes;

	switch (column)
	{
		case OM_AUDIT_ORGANIZATION_ID:
		case OM_AUDIT_ID:
		case OM_AUDIT_RESOURCE_ID:
			put_field(buffer, DatumGetUUIDP(value), UUID_LEN);
			break;
		case OM_AUDIT_OLD_VALUE:
		case OM_AUDIT_NEW_VALUE:
			put_json(buffer, value);
			break;
		case OM_AUDIT_ORIGIN:
			put_number(buffer, (uint64) DatumGetInt64(value));
			break;
		case OM_AUDIT_XID:
			put_number(buffer, U64FromFullTransactionId(DatumGetFullTransactionId(value)));
			break;
		case OM_AUDIT_CREATED_AT:
			put_number(buffer, (uint64) DatumGetTimestampTz(value));
			break;
		default:
			bytes = DatumGetTextPP(value);
			put_field(buffer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	}
}

void
om_audit_hash(const Datum *values, const bool *nulls, unsigned char *hash)
{
	static StringInfoData buffer = {0};

	if (buffer.data == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&buffer);
		MemoryContextSwitchTo(before);
	}
	resetStringInfo(&buffer);
	pq_sendbyte(&buffer, HASH_VERSION);
	for (int i = 0; i < OM_AUDIT_COLUMNS; i++)
		if (nulls[i])
			pq_sendbyte(&buffer, 0);
		else
			put_value(&buffer, i, values[i]);
	om_audit_blake2b(hash, OM_AUDIT_HASH, buffer.data, buffer.len);

	/* a row of many megabytes is none of ours; keep no such buffer */
	if (buffer.maxlen > 1024 * 1024)
	{
		pfree(buffer.data);
		buffer.data = NULL;
	}
}

static OmColumn *
hash_rows(OmAudit *audit, Datum actor, int64 origin, FullTransactionId xid)
{
	OmColumn   *columns[OM_AUDIT_COLUMNS] = {
		[OM_AUDIT_ORGANIZATION_ID] = audit->organization_ids,
		[OM_AUDIT_ID] = audit->ids,
		[OM_AUDIT_ACTION] = audit->actions,
		[OM_AUDIT_RESOURCE_TYPE] = audit->resource_types,
		[OM_AUDIT_RESOURCE_ID] = audit->resource_ids,
		[OM_AUDIT_OLD_VALUE] = audit->old_values,
		[OM_AUDIT_NEW_VALUE] = audit->new_values
	};
	OmColumn   *hashes = om_column(BYTEAOID, audit->ids->count);

	for (int row = 0; row < audit->ids->count; row++)
	{
		Datum		values[OM_AUDIT_COLUMNS];
		bool		nulls[OM_AUDIT_COLUMNS] = {false};
		bytea	   *hash = palloc(VARHDRSZ + OM_AUDIT_HASH);

		for (int i = 0; i < OM_AUDIT_COLUMNS; i++)
			if (columns[i] != NULL)
			{
				values[i] = columns[i]->values[row];
				nulls[i] = columns[i]->nulls[row];
			}
		values[OM_AUDIT_ACTOR] = actor;
		values[OM_AUDIT_ORIGIN] = Int64GetDatum(origin);
		values[OM_AUDIT_XID] = FullTransactionIdGetDatum(xid);
		values[OM_AUDIT_CREATED_AT] = TimestampTzGetDatum(audit->now);
		SET_VARSIZE(hash, VARHDRSZ + OM_AUDIT_HASH);
		om_audit_hash(values, nulls, (unsigned char *) VARDATA(hash));
		om_column_add(hashes, PointerGetDatum(hash), false);
	}
	return hashes;
}

void
om_audit_write(OmAudit *audit)
{
	Datum		actor;
	int64		origin;
	FullTransactionId xid;

	if (audit->ids->count == 0)
		return;
	actor = CStringGetTextDatum(audit->actor);
	origin = om_audit_origin();
	xid = GetTopFullTransactionId();
	om_db_run(&insert_rows, (Datum[]) {om_column_array(audit->organization_ids),
			  om_column_array(audit->ids), om_column_array(audit->actions),
			  om_column_array(audit->resource_types), om_column_array(audit->resource_ids),
			  om_column_array(audit->old_values), om_column_array(audit->new_values),
			  om_column_array(hash_rows(audit, actor, origin, xid)), actor, Int64GetDatum(origin),
			  FullTransactionIdGetDatum(xid), TimestampTzGetDatum(audit->now)});
}

/*
 * omnimsg.write_audit(organization_id uuid, action text, resource_type text, resource_id uuid, old_value jsonb,
 *		new_value jsonb)
 *
 * For functions in SQL; the actor is the role of the session.
 */
Datum
omnimsg_write_audit(PG_FUNCTION_ARGS)
{
	OmAudit    *audit;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	audit = om_audit_begin(GetCurrentTimestamp(), om_audit_role());
	om_audit_add(audit, om_arg_uuid(fcinfo, 0, "organization_id"), om_arg_text(fcinfo, 1, "action"),
				 om_arg_text(fcinfo, 2, "resource_type"), PG_ARGISNULL(3) ? NULL : PG_GETARG_UUID_P(3),
				 PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4), PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5));
	om_audit_write(audit);
	SPI_finish();
	PG_RETURN_VOID();
}

const char *const om_audit_columns[OM_AUDIT_COLUMNS] = {
	"organization_id", "id", "action", "resource_type", "resource_id", "actor", "old_value", "new_value",
	"origin", "xid", "created_at"
};

/* omnimsg.audit_hash(omnimsg.audit_logs) returns bytea */
Datum
omnimsg_audit_hash(PG_FUNCTION_ARGS)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(0);
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row};
	Datum		values[OM_AUDIT_COLUMNS];
	bool		nulls[OM_AUDIT_COLUMNS];
	bytea	   *hash = palloc(VARHDRSZ + OM_AUDIT_HASH);

	for (int i = 0; i < OM_AUDIT_COLUMNS; i++)
	{
		int			number = SPI_fnumber(desc, om_audit_columns[i]);

		if (number <= 0)
			elog(ERROR, "audit row without column %s", om_audit_columns[i]);
		values[i] = heap_getattr(&tuple, number, desc, &nulls[i]);
	}
	SET_VARSIZE(hash, VARHDRSZ + OM_AUDIT_HASH);
	om_audit_hash(values, nulls, (unsigned char *) VARDATA(hash));
	ReleaseTupleDesc(desc);
	PG_RETURN_BYTEA_P(hash);
}
