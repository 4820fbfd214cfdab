/*
 * erased.c
 *		People whose data was erased: how they are recognised when they come back.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "audit.h"
#include "compat.h"
#include "consent.h"
#include "erased.h"
#include "secret.h"

OM_SQL_FUNCTION(omnimsg_pseudonym);
OM_SQL_FUNCTION(omnimsg_erasure_key_id);

static OmStatement find_one = {
	"SELECT 1 FROM omnimsg.erasures e\n"
	" WHERE e.address_hash = $2 AND e.organization_id = $1 AND e.returned_at IS NULL",
	2, {UUIDOID, TEXTOID}, NULL
};

static OmStatement find_any = {
	"SELECT w.n FROM unnest($1) WITH ORDINALITY AS w(address_hash, n)\n"
	" WHERE EXISTS (SELECT 1 FROM omnimsg.erasures e WHERE e.address_hash = w.address_hash AND e.returned_at IS NULL)",
	1, {TEXTARRAYOID}, NULL
};

/* The certificates of those who are back, with their number among the arguments */
static OmStatement take_back = {
	"WITH w AS (\n"
	"  SELECT u.organization_id, u.address_hash, min(u.n) AS n\n"
	"    FROM unnest($1, $2) WITH ORDINALITY AS u(organization_id, address_hash, n)\n"
	"   GROUP BY u.organization_id, u.address_hash)\n"
	"UPDATE omnimsg.erasures e SET returned_at = $3\n"
	"  FROM w\n"
	" WHERE e.address_hash = w.address_hash AND e.organization_id = w.organization_id AND e.returned_at IS NULL\n"
	"RETURNING w.n, e.organization_id, e.id, e.address_hash",
	3, {UUIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}, NULL
};

/* $1 the organization, $2 the pseudonym, $3 the address */
static OmStatement rename_reviews = {
	"UPDATE omnimsg.reviews v SET address = $3 WHERE v.organization_id = $1 AND v.address = $2",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement rename_requests = {
	"UPDATE omnimsg.opt_out_requests q SET address = $3\n"
	" WHERE q.organization_id = $1 AND q.channel IN ('sms', 'voice', 'email') AND q.address = $2",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement rename_consents = {
	"WITH gone AS (\n"
	"  DELETE FROM omnimsg.consents c\n"
	"   WHERE c.organization_id = $1 AND c.channel IN ('sms', 'voice', 'email') AND c.address = $2\n"
	"  RETURNING c.channel, c.scope, c.state, c.provider_blocked)\n"
	"INSERT INTO omnimsg.consents (organization_id, channel, address, scope, changed_at)\n"
	"SELECT $1, g.channel, $3, g.scope, $4 FROM gone g WHERE g.state IS NOT NULL OR g.provider_blocked\n"
	"ON CONFLICT (organization_id, channel, address, scope) DO NOTHING",
	4, {UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/* A flag that the address has got meanwhile is the newer one */
static OmStatement rename_flag = {
	"WITH gone AS (\n"
	"  DELETE FROM omnimsg.address_flags f WHERE f.organization_id = $1 AND f.address = $2 RETURNING f.*)\n"
	"INSERT INTO omnimsg.address_flags (organization_id, id, address, flag, since, note, flagged_by)\n"
	"SELECT g.organization_id, g.id, $3, g.flag, g.since, g.note, g.flagged_by FROM gone g\n"
	"ON CONFLICT (organization_id, address) DO NOTHING",
	3, {UUIDOID, TEXTOID, TEXTOID}, NULL
};

bool
om_erased_any(void)
{
	Oid			id = get_relname_relid("erasures", get_namespace_oid("omnimsg", false));
	Relation	relation;
	bool		any;

	if (!OidIsValid(id))
		return false;
	relation = table_open(id, AccessShareLock);
	any = RelationGetNumberOfBlocks(relation) > 0;
	table_close(relation, AccessShareLock);
	return any;
}

void
om_erasure_key_read(OmErasureKey *key)
{
	char		secret[OM_SECRET_SIZE];
	unsigned char hash[(OM_ERASURE_KEY_ID_SIZE - 1) / 2];
	static const char purpose[] = "omnimsg erasure key id";

	memset(key, 0, sizeof(*key));
	if (sodium_init() < 0)
		elog(ERROR, "libsodium could not be initialized");
	key->error = om_secret_read(OM_ERASURE_SECRET, secret);
	if (key->error != NULL)
		return;
	if (!om_pseudonym_key(secret, strlen(secret), key->key))
		key->error = "the secret is shorter than 32 characters";
	sodium_memzero(secret, sizeof(secret));
	if (key->error != NULL)
		return;
	/* under the key, and not of it, so that the id says nothing of either */
	crypto_generichash(hash, sizeof(hash), (const unsigned char *) purpose, sizeof(purpose) - 1, key->key, sizeof(key->key));
	sodium_bin2hex(key->id, sizeof(key->id), hash, sizeof(hash));
}

char *
om_erased_name(const OmErasureKey *key, const char *address)
{
	char	   *name = palloc(OM_PSEUDONYM_SIZE);

	om_pseudonym(key->key, address, strlen(address), name);
	return name;
}

const char *
om_erased_address(const pg_uuid_t *organization_id, const char *address)
{
	OmErasureKey key;
	char	   *name = NULL;

	if (!om_erased_any())
		return address;
	om_erasure_key_read(&key);
	if (key.error == NULL)
		name = om_erased_name(&key, address);
	sodium_memzero(&key, sizeof(key));
	if (name == NULL || om_db_run(&find_one, (Datum[]) {UUIDPGetDatum(organization_id), CStringGetTextDatum(name)}) == 0)
		return address;
	return name;
}

/* NULL when the key cannot be read */
static OmColumn *
names_of(OmColumn *addresses)
{
	OmColumn   *names = om_column(TEXTOID, addresses->count);
	OmErasureKey key;

	om_erasure_key_read(&key);
	for (int i = 0; key.error == NULL && i < addresses->count; i++)
		om_column_add_text(names, om_erased_name(&key, TextDatumGetCString(addresses->values[i])));
	sodium_memzero(&key, sizeof(key));
	return key.error == NULL ? names : NULL;
}

void
om_erased_rename(const pg_uuid_t *organization_id, const char *from, const char *to, TimestampTz now)
{
	static const char *const channels[] = {"sms", "voice", "email"};
	Datum		values[4] = {
		UUIDPGetDatum(organization_id), CStringGetTextDatum(from), CStringGetTextDatum(to), TimestampTzGetDatum(now)
	};
	OmColumn   *organization_ids = om_column(UUIDOID, lengthof(channels));
	OmColumn   *channel = om_column(TEXTOID, lengthof(channels));
	OmColumn   *addresses = om_column(TEXTOID, lengthof(channels));

	om_db_run(&rename_reviews, values);
	om_db_run(&rename_requests, values);
	om_db_run(&rename_consents, values);
	om_db_run(&rename_flag, values);
	for (int i = 0; i < (int) lengthof(channels); i++)
	{
		om_column_add_uuid(organization_ids, organization_id);
		om_column_add_text(channel, channels[i]);
		om_column_add_text(addresses, to);
	}
	om_consent_refold(organization_ids, channel, addresses, now);
}

void
om_erased_recall(OmColumn *organization_ids, OmColumn *addresses, TimestampTz now)
{
	OmColumn   *names;
	uint64		rows;
	pg_uuid_t **organizations;
	pg_uuid_t **certificates;
	char	  **hashes;
	int		   *numbers;
	OmAudit    *audit;
	Oid			user;
	int			context;

	if (!om_erased_any() || (names = names_of(addresses)) == NULL)
		return;
	rows = om_db_run(&take_back, (Datum[]) {om_column_array(organization_ids), om_column_array(names),
					 TimestampTzGetDatum(now)});
	if (rows == 0)
		return;
	organizations = palloc(sizeof(pg_uuid_t *) * rows);
	certificates = palloc(sizeof(pg_uuid_t *) * rows);
	hashes = palloc(sizeof(char *) * rows);
	numbers = palloc(sizeof(int) * rows);
	for (uint64 row = 0; row < rows; row++)
	{
		numbers[row] = om_field_int(row, 1) - 1;
		organizations[row] = om_field_uuid(row, 2);
		certificates[row] = om_field_uuid(row, 3);
		hashes[row] = om_field_text(row, 4);
	}
	audit = om_audit_begin(now, "omnimsg");
	/* nobody else changes what was recorded, not even the worker, which may find out that somebody is back */
	om_db_become_owner(&user, &context);
	for (uint64 row = 0; row < rows; row++)
	{
		om_erased_rename(organizations[row], hashes[row],
						 TextDatumGetCString(addresses->values[numbers[row]]), now);
		om_audit_add(audit, organizations[row], "ERASED_PERSON_RETURNED", "erasure", certificates[row], NULL, NULL);
	}
	SetUserIdAndSecContext(user, context);
	om_audit_write(audit);
}

void
om_erased_translate(OmColumn *addresses)
{
	OmColumn   *names;
	uint64		rows;

	if (addresses->count == 0 || !om_erased_any() || (names = names_of(addresses)) == NULL)
		return;
	rows = om_db_run(&find_any, (Datum[]) {om_column_array(names)});
	for (uint64 row = 0; row < rows; row++)
	{
		int			i = om_field_int(row, 1) - 1;

		addresses->values[i] = names->values[i];
	}
}

/* What omnimsg_pseudonym keeps from row to row, and wipes at the end of the statement */
static void
wipe(void *key)
{
	sodium_memzero(key, sizeof(OmErasureKey));
}

/*
 * omnimsg.pseudonym(value text) returns text
 *
 * Raises when there is no key.
 */
Datum
omnimsg_pseudonym(PG_FUNCTION_ARGS)
{
	OmErasureKey *key = fcinfo->flinfo->fn_extra;
	char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (key == NULL)
	{
		MemoryContextCallback *callback = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(*callback));

		key = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(*key));
		callback->func = wipe;
		callback->arg = key;
		MemoryContextRegisterResetCallback(fcinfo->flinfo->fn_mcxt, callback);
		om_erasure_key_read(key);
		fcinfo->flinfo->fn_extra = key;
	}
	if (key->error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key of erasures cannot be read: %s", key->error),
				 errhint("Put at least 32 random characters into the file \"%s\" in omnimsg.secrets_dir, with mode 0600.",
						 OM_ERASURE_SECRET)));
	if (om_is_pseudonym(value, strlen(value)))
		PG_RETURN_TEXT_P(cstring_to_text(value));
	PG_RETURN_TEXT_P(cstring_to_text(om_erased_name(key, value)));
}

/* omnimsg.erasure_key_id() returns text */
Datum
omnimsg_erasure_key_id(PG_FUNCTION_ARGS)
{
	OmErasureKey key;
	text	   *id;

	om_erasure_key_read(&key);
	id = cstring_to_text(key.id);
	sodium_memzero(&key, sizeof(key));
	PG_RETURN_TEXT_P(id);
}
