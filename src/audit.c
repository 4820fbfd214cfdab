/*
 * audit.c
 *		The audit trail: one row per effect, in the transaction of the effect.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "audit.h"
#include "compat.h"

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
	"    actor, old_value, new_value, created_at)\n"
	"SELECT w.organization_id, w.id, w.action, w.resource_type, w.resource_id,\n"
	"    $8, w.old_value::jsonb, w.new_value::jsonb, $9\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7)\n"
	"    AS w(organization_id, id, action, resource_type, resource_id, old_value, new_value)",
	9, {UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, UUIDARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID}, NULL
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
	audit->old_values = om_column(TEXTOID, 16);
	audit->new_values = om_column(TEXTOID, 16);
	return audit;
}

char *
om_audit_role(void)
{
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

void
om_audit_add(OmAudit *audit, const pg_uuid_t *organization_id, const char *action,
			 const char *resource_type, const pg_uuid_t *resource_id,
			 const char *old_value, const char *new_value)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	om_uuid7(id);
	om_column_add_uuid(audit->organization_ids, copy_uuid(organization_id));
	om_column_add_uuid(audit->ids, id);
	om_column_add_text(audit->actions, action);
	om_column_add_text(audit->resource_types, resource_type);
	om_column_add_uuid(audit->resource_ids, copy_uuid(resource_id));
	om_column_add_text(audit->old_values, old_value);
	om_column_add_text(audit->new_values, new_value);
}

char *
om_audit_json(const char *key,...)
{
	StringInfoData json;
	va_list		args;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	va_start(args, key);
	for (; key != NULL; key = va_arg(args, const char *))
	{
		const char *value = va_arg(args, const char *);

		if (value == NULL)
			continue;
		if (json.len > 1)
			appendStringInfoChar(&json, ',');
		escape_json(&json, key);
		appendStringInfoChar(&json, ':');
		escape_json(&json, value);
	}
	va_end(args);
	appendStringInfoChar(&json, '}');
	return json.data;
}

void
om_audit_write(OmAudit *audit)
{
	if (audit->ids->count == 0)
		return;
	om_db_run(&insert_rows, (Datum[]) {om_column_array(audit->organization_ids),
			  om_column_array(audit->ids), om_column_array(audit->actions),
			  om_column_array(audit->resource_types), om_column_array(audit->resource_ids),
			  om_column_array(audit->old_values), om_column_array(audit->new_values),
			  CStringGetTextDatum(audit->actor), TimestampTzGetDatum(audit->now)});
}
