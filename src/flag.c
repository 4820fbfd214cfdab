/*
 * flag.c
 *		Addresses that do not belong to the person meant.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "audit.h"
#include "compat.h"
#include "flag.h"
#include "ingest.h"

OM_SQL_FUNCTION(omnimsg_flag_address);

static OmStatement set_flag = {
	"INSERT INTO omnimsg.address_flags AS f (organization_id, address, flag, since, note, flagged_by)\n"
	"VALUES ($1, $2, $3, $4, nullif($5, ''), $6)\n"
	"ON CONFLICT (organization_id, address) DO UPDATE\n"
	"   SET flag = EXCLUDED.flag, since = EXCLUDED.since, note = EXCLUDED.note,\n"
	"       flagged_by = EXCLUDED.flagged_by\n"
	" WHERE NOT $7 OR f.since < EXCLUDED.since\n"
	"RETURNING f.id",
	7, {UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, BOOLOID}, NULL
};

static OmStatement take_back = {
	"DELETE FROM omnimsg.address_flags f WHERE f.organization_id = $1 AND f.address = $2 RETURNING f.id",
	2, {UUIDOID, TEXTOID}, NULL
};

pg_uuid_t *
om_flag_set(const pg_uuid_t *organization_id, const char *address, const char *flag,
			TimestampTz since, const char *note, const char *who, bool only_newer)
{
	if (om_db_run(&set_flag, (Datum[]) {UUIDPGetDatum(organization_id), CStringGetTextDatum(address),
				  CStringGetTextDatum(flag), TimestampTzGetDatum(since), CStringGetTextDatum(note),
				  CStringGetTextDatum(who), BoolGetDatum(only_newer)}) == 0)
		return NULL;
	return om_field_uuid(0, 1);
}

/*
 * omnimsg_flag_address(organization_id uuid, address text, flag text, note text, since timestamptz)
 *
 * A number that was given to somebody else takes no consent along: 47 CFR 64.1200(m) holds who
 * asked the Reassigned Numbers Database free of blame, and nobody else.
 */
Datum
omnimsg_flag_address(PG_FUNCTION_ARGS)
{
	static const char *const flags[] = {"wrong_number", "reassigned", NULL};
	pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 0);
	char	   *address = om_arg_text(fcinfo, 1, "address");
	char	   *flag = PG_ARGISNULL(2) ? NULL : om_arg_word(fcinfo, 2, "flag", flags);
	char	   *note = PG_ARGISNULL(3) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	TimestampTz since = om_arg_time(fcinfo, 4, "since");
	TimestampTz now = GetCurrentTimestamp();
	char	   *role = om_audit_role();
	OmAudit    *audit;
	pg_uuid_t  *changed = NULL;

	if (since > now + OM_MAX_AHEAD * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("since must be a time that has been"),
				 errhint("Leave it out, and it is now.")));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	address = om_address_for(address, strchr(address, '@') ? "email" : "sms",
							 om_organization_region(organization_id));
	if (flag != NULL)
		changed = om_flag_set(organization_id, address, flag, since, note, role, false);
	else if (om_db_run(&take_back, (Datum[]) {UUIDPGetDatum(organization_id),
					   CStringGetTextDatum(address)}) > 0)
		changed = om_field_uuid(0, 1);

	audit = om_audit_begin(now, role);
	if (changed != NULL)
		om_audit_add(audit, organization_id, "ADDRESS_FLAGGED", "address_flag", changed, NULL,
					 om_audit_json("flag", flag ? flag : "none", NULL));
	om_audit_write(audit);
	SPI_finish();
	PG_RETURN_VOID();
}
