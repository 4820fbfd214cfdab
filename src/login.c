/*
 * login.c
 *		Tokens that sessions log in with, and the roles that need none.
 *
 * A token is 32 random bytes.  Only its hash is stored, by which it is looked up: a plain one is enough, because nobody can
 * guess what has so many bits, and how far a comparison comes tells nothing about what was hashed.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "audit.h"
#include "compat.h"
#include "ingest.h"
#include "statement.h"
#include "tenant.h"

OM_SQL_FUNCTION(omnimsg_login);
OM_SQL_FUNCTION(omnimsg_create_token);
OM_SQL_FUNCTION(omnimsg_revoke_token);
OM_SQL_FUNCTION(omnimsg_map_role);

/* So that a token is known for one where it should not be */
#define TOKEN_PREFIX	"omnimsg_"
#define TOKEN_BYTES		32
#define TOKEN_VARIANT	sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define TOKEN_SIZE		(sizeof(TOKEN_PREFIX) + sodium_base64_ENCODED_LEN(TOKEN_BYTES, TOKEN_VARIANT))
#define HASH_BYTES		32

#define LONGEST_LIFE	(366 * USECS_PER_DAY)

/* Columns of omnimsg.access_tokens */
enum
{
	TOKEN_ORGANIZATION = 1, TOKEN_ID, TOKEN_NAME, TOKEN_HASH, TOKEN_CREATED_AT, TOKEN_CREATED_BY, TOKEN_EXPIRES_AT,
	TOKEN_REVOKED_AT
};

static OmStatement insert_token = {
	"INSERT INTO omnimsg.access_tokens (organization_id, id, name, hash, created_at, created_by, expires_at)\n"
	"VALUES ($1, $2, $3, $4, $5, $6, $7)",
	7, {UUIDOID, UUIDOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

static OmStatement revoke_tokens = {
	"UPDATE omnimsg.access_tokens t SET revoked_at = $3\n"
	" WHERE t.organization_id = $1 AND t.name = $2 AND t.revoked_at IS NULL\n"
	"RETURNING t.id",
	3, {UUIDOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/* One that is mapped to another organization stays there until that gives it up */
static OmStatement map_role = {
	"INSERT INTO omnimsg.tenant_roles AS r (role_name, organization_id, mapped_at, mapped_by) VALUES ($1, $2, $3, $4)\n"
	"ON CONFLICT (role_name) DO UPDATE SET mapped_at = r.mapped_at WHERE r.organization_id = excluded.organization_id\n"
	"RETURNING r.organization_id",
	4, {NAMEOID, UUIDOID, TIMESTAMPTZOID, TEXTOID}, NULL
};

static OmStatement unmap_role = {
	"DELETE FROM omnimsg.tenant_roles r WHERE r.role_name = $1 AND (NOT $2 OR r.organization_id = $3)\n"
	"RETURNING r.organization_id",
	3, {NAMEOID, BOOLOID, UUIDOID}, NULL
};

static bytea *
hash_token(const char *token, size_t length)
{
	bytea	   *hash = palloc(VARHDRSZ + HASH_BYTES);

	if (sodium_init() < 0 ||
		crypto_generichash((unsigned char *) VARDATA(hash), HASH_BYTES, (const unsigned char *) token, length, NULL, 0) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libsodium")));
	SET_VARSIZE(hash, VARHDRSZ + HASH_BYTES);
	return hash;
}

/*
 * Whose token it is.  The newest snapshot is asked, so that one that was revoked while this transaction was open is not
 * taken.  What is looked at is the same for one that never was and for one that is over: neither the answer nor its
 * time tells them apart.
 */
static bool
find_token(bytea *hash, pg_uuid_t *organization_id, char *name, size_t size)
{
	Oid			schema = get_namespace_oid("omnimsg", false);
	Relation	relation = table_open(get_relname_relid("access_tokens", schema), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TimestampTz now = GetCurrentTimestamp();
	bool		found = false;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, TOKEN_HASH, BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(hash));
	scan = systable_beginscan(relation, get_relname_relid("access_tokens_hash_key", schema), true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		values[TOKEN_REVOKED_AT];
		bool		nulls[TOKEN_REVOKED_AT];

		heap_deform_tuple(tuple, RelationGetDescr(relation), values, nulls);
		found = nulls[TOKEN_REVOKED_AT - 1] && DatumGetTimestampTz(values[TOKEN_EXPIRES_AT - 1]) > now;
		*organization_id = *DatumGetUUIDP(values[TOKEN_ORGANIZATION - 1]);
		strlcpy(name, TextDatumGetCString(values[TOKEN_NAME - 1]), size);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
	return found;
}

/*
 * omnimsg_login(token text) returns uuid
 *
 * Where the library is not preloaded, the statement has been shown to other sessions of the same role until here, with
 * the token if that is written into it.
 */
Datum
omnimsg_login(PG_FUNCTION_ARGS)
{
	text	   *token = PG_ARGISNULL(0) ? cstring_to_text("") : PG_GETARG_TEXT_PP(0);
	pg_uuid_t  *organization_id = palloc0(sizeof(pg_uuid_t));
	char		name[OM_TOKEN_NAME_MAX + 1] = "";

	om_statement_calls_us();
	if (!find_token(hash_token(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token)), organization_id, name, sizeof(name)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("the token is not valid"),
				 errhint("Tokens are made by omnimsg_create_token(), and end.")));
	if (!IsTransactionBlock())
		ereport(WARNING,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("omnimsg_login() ends with the transaction, and this one has a single statement"),
				 errhint("Call it after BEGIN.")));
	om_tenant_log_in(organization_id, name);
	PG_RETURN_UUID_P(organization_id);
}

static char *
name_argument(FunctionCallInfo fcinfo, int number, bool is_new)
{
	char	   *name = om_arg_text(fcinfo, number, "name");

	if (name[0] == '\0' || strlen(name) > OM_TOKEN_NAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name must have 1 to %d bytes", OM_TOKEN_NAME_MAX),
				 errhint("It goes on record with what is done with the token: say which program or person has it.")));
	if (is_new)
		om_arg_refuse_address(name, "name");
	return name;
}

/* omnimsg_create_token(organization_id uuid, name text, expires_at timestamptz) returns text */
Datum
omnimsg_create_token(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 0);
	char	   *name = name_argument(fcinfo, 1, true);
	TimestampTz expires_at = om_arg_time(fcinfo, 2, "expires_at");
	TimestampTz now = GetCurrentTimestamp();
	unsigned char bytes[TOKEN_BYTES];
	char		token[TOKEN_SIZE] = TOKEN_PREFIX;
	char	   *role = om_audit_role();
	OmAudit    *audit = om_audit_begin(now, role);
	text	   *result;
	pg_uuid_t	id;

	if (expires_at <= now || expires_at > now + LONGEST_LIFE)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a token ends within a year"),
				 errhint("Make another one before that, and revoke this one after.")));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	(void) om_organization_region(organization_id);
	if (sodium_init() < 0)
		elog(ERROR, "could not initialize libsodium");
	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2base64(token + strlen(TOKEN_PREFIX), sizeof(token) - strlen(TOKEN_PREFIX), bytes, sizeof(bytes), TOKEN_VARIANT);
	om_uuid7(&id);
	om_db_run(&insert_token, (Datum[]) {UUIDPGetDatum(organization_id), UUIDPGetDatum(&id), CStringGetTextDatum(name),
			  PointerGetDatum(hash_token(token, strlen(token))), TimestampTzGetDatum(now), CStringGetTextDatum(role),
			  TimestampTzGetDatum(expires_at)});
	om_audit_add(audit, organization_id, "TOKEN_CREATED", "token", &id, NULL, NULL);
	om_audit_write(audit);
	SPI_finish();
	result = cstring_to_text(token);
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(token, sizeof(token));
	PG_RETURN_TEXT_P(result);
}

/* omnimsg_revoke_token(organization_id uuid, name text) returns int */
Datum
omnimsg_revoke_token(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 0);
	char	   *name = name_argument(fcinfo, 1, false);
	TimestampTz now = GetCurrentTimestamp();
	OmAudit    *audit = om_audit_begin(now, om_audit_role());
	int			count;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	count = om_db_run(&revoke_tokens, (Datum[]) {UUIDPGetDatum(organization_id), CStringGetTextDatum(name), TimestampTzGetDatum(now)});
	for (int row = 0; row < count; row++)
		om_audit_add(audit, organization_id, "TOKEN_REVOKED", "token", om_field_uuid(row, 1), NULL, NULL);
	om_audit_write(audit);
	SPI_finish();
	PG_RETURN_INT32(count);
}

static bool
is_member_of_group(Oid role)
{
	bool		found = false;

	for (int i = 0; i < OM_TENANT_GROUPS; i++)
	{
		Oid			group = get_role_oid(om_tenant_groups[i], true);

		if (group == role)
			return false;		/* that of the administrators is a member itself */
		found |= OidIsValid(group) && is_member_of_role(role, group);
	}
	return found;
}

/*
 * A role that acts for all of them, or for none, must not be bound to one by it.  And an administrator of a tenant maps what
 * was given to him: any other role may be another tenant's, or a pool that all of them log in with.
 */
static void
check_role(Oid role, const char *name, bool bound)
{
	if (has_bypassrls_privilege(role) || !is_member_of_group(role))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("role \"%s\" cannot act for an organization", name),
				 errdetail("That is for members of omnimsg_agent, omnimsg_auditor or omnimsg_admin that are none of these themselves, and neither superusers nor BYPASSRLS.")));
	if (bound && !is_admin_of_role(GetOuterUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must have admin option on role \"%s\"", name),
				 errhint("A superuser can map the role, or grant it to you WITH ADMIN OPTION.")));
}

/* omnimsg_map_role(role_name name, organization_id uuid) returns boolean */
Datum
omnimsg_map_role(PG_FUNCTION_ARGS)
{
	char	   *name;
	TimestampTz now = GetCurrentTimestamp();
	char	   *role = om_audit_role();
	OmAudit    *audit = om_audit_begin(now, role);
	pg_uuid_t	own;
	bool		bound = om_tenant_binds(&own);
	bool		changed;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("role_name must not be NULL")));
	name = NameStr(*PG_GETARG_NAME(0));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (PG_ARGISNULL(1))
		changed = om_db_run(&unmap_role, (Datum[]) {PG_GETARG_DATUM(0), BoolGetDatum(bound), UUIDPGetDatum(&own)}) > 0;
	else
	{
		pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 1);

		(void) om_organization_region(organization_id);
		check_role(get_role_oid(name, false), name, bound);
		changed = om_db_run(&map_role, (Datum[]) {PG_GETARG_DATUM(0), UUIDPGetDatum(organization_id), TimestampTzGetDatum(now),
							CStringGetTextDatum(role)}) > 0;
		if (!changed)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("role \"%s\" acts for another organization", name),
					 errhint("Who administers that one can give it up: omnimsg_map_role(role, NULL).")));
	}
	if (changed)
		om_audit_add(audit, om_field_uuid(0, 1), PG_ARGISNULL(1) ? "ROLE_UNMAPPED" : "ROLE_MAPPED", "organization",
					 om_field_uuid(0, 1), NULL, om_audit_json("role", name, NULL));
	om_audit_write(audit);
	SPI_finish();
	PG_RETURN_BOOL(changed);
}
