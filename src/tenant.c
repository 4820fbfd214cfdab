/*
 * tenant.c
 *		Who a session acts for.
 *
 * Row level security asks omnimsg.current_organization() and so do the functions that people call.  The answer is never
 * a setting, which every session can change.  It is what omnimsg_login() has put here for the current transaction, in
 * memory that SQL cannot reach; or what omnimsg.tenant_roles says of the role.
 *
 * A connection of a pool is used by one tenant after the other, a transaction each.  So the login ends with the
 * transaction, and with the subtransaction that it was made in if that is rolled back; and a cursor WITH HOLD, which
 * would hand rows of one tenant to the next, is closed with it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "compat.h"
#include "ingest.h"
#include "statement.h"
#include "tenant.h"

OM_SQL_FUNCTION(omnimsg_current_organization);
OM_SQL_FUNCTION(omnimsg_require_organization);

/* Columns of omnimsg.tenant_roles */
#define ROLE_NAME			1
#define ROLE_ORGANIZATION	2

/* The login of this transaction */
typedef struct Login
{
	bool		valid;
	SubTransactionId subtransaction;
	pg_uuid_t	organization_id;
	char		token[OM_TOKEN_NAME_MAX + 1];
} Login;

/* What the role is mapped to, looked up once in a statement */
typedef struct Mapping
{
	LocalTransactionId transaction;
	TimestampTz statement;
	Oid			role;
	bool		found;
	pg_uuid_t	organization_id;
} Mapping;

const char *const om_tenant_groups[OM_TENANT_GROUPS] = {"omnimsg_agent", "omnimsg_auditor", "omnimsg_admin"};

static Login login;
static Mapping mapping;

/* Whether there has been one in this transaction, also where it was rolled back: a cursor may have been read under it */
static bool logged_in = false;

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (logged_in)
				PortalHashTableDeleteAll();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			memset(&login, 0, sizeof(login));
			memset(&mapping, 0, sizeof(mapping));
			logged_in = false;
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId self, SubTransactionId parent, void *arg)
{
	if (!login.valid || login.subtransaction != self)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		login.subtransaction = parent;
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		memset(&login, 0, sizeof(login));
}

static void
watch_transactions(void)
{
	static bool watching = false;

	if (watching)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	watching = true;
}

void
om_tenant_log_in(const pg_uuid_t *organization_id, const char *token)
{
	if (login.valid && memcmp(&login.organization_id, organization_id, sizeof(pg_uuid_t)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("this transaction acts for another organization already"),
				 errhint("Log in once in each transaction.")));
	if (login.valid)
		return;
	watch_transactions();
	login.organization_id = *organization_id;
	strlcpy(login.token, token, sizeof(login.token));
	login.subtransaction = GetCurrentSubTransactionId();
	login.valid = true;
	logged_in = true;
}

/* Nobody's rights are asked: every role may know what it is mapped to itself */
static bool
look_up_role(Oid role, pg_uuid_t *organization_id)
{
	NameData	name;
	ScanKeyData key;
	Oid			schema = get_namespace_oid("omnimsg", true);
	Oid			index = OidIsValid(schema) ? get_relname_relid("tenant_roles_pkey", schema) : InvalidOid;
	char	   *role_name = GetUserNameFromId(role, true);
	Relation	relation;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	if (!OidIsValid(index) || role_name == NULL)
		return false;
	namestrcpy(&name, role_name);
	relation = table_open(get_relname_relid("tenant_roles", schema), AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyInit(&key, ROLE_NAME, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&name));
	scan = systable_beginscan(relation, index, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, ROLE_ORGANIZATION, RelationGetDescr(relation), &isnull);

		found = !isnull;
		if (found)
			*organization_id = *DatumGetUUIDP(value);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
	return found;
}

/* The role that was set by the session itself: functions of the owner run as another one */
static const Mapping *
mapping_of_role(void)
{
	LocalTransactionId transaction = om_local_xid;
	TimestampTz statement = GetCurrentStatementStartTimestamp();
	Oid			role = GetOuterUserId();

	if (mapping.transaction != transaction || mapping.statement != statement || mapping.role != role)
	{
		watch_transactions();
		mapping.found = look_up_role(role, &mapping.organization_id);
		mapping.transaction = transaction;
		mapping.statement = statement;
		mapping.role = role;
	}
	return &mapping;
}

bool
om_tenant(pg_uuid_t *organization_id)
{
	const Mapping *mapped;

	if (login.valid)
	{
		*organization_id = login.organization_id;
		return true;
	}
	mapped = mapping_of_role();
	if (mapped->found)
		*organization_id = mapped->organization_id;
	return mapped->found;
}

const char *
om_tenant_token(void)
{
	return login.valid ? login.token : NULL;
}

bool
om_tenant_binds(pg_uuid_t *organization_id)
{
	*organization_id = om_nil_uuid;
	om_statement_calls_us();
	if (!login.valid && superuser_arg(GetOuterUserId()))
		return false;
	if (!om_tenant(organization_id))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the session acts for no organization"),
				 errhint("Call omnimsg_login() first in each transaction, or have the role mapped with omnimsg_map_role().")));
	return true;
}

void
om_tenant_require(const pg_uuid_t *organization_id)
{
	pg_uuid_t	own;

	if (om_tenant_binds(&own) && memcmp(&own, organization_id, sizeof(pg_uuid_t)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the session does not act for that organization"),
				 errdetail("It acts for \"%s\".",
						   DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&own))))));
}

static bool
is_a_tenants(Oid role)
{
	if (superuser_arg(role))
		return false;
	for (int i = 0; i < OM_TENANT_GROUPS; i++)
	{
		Oid			group = get_role_oid(om_tenant_groups[i], true);

		if (OidIsValid(group) && is_member_of_role_nosuper(role, group))
			return true;
	}
	return false;
}

/* Roles are of all databases, what is to be kept from them is in one */
bool
om_tenant_is_restricted(void)
{
	Oid			session = GetSessionUserId();
	Oid			outer = GetOuterUserId();

	if (!OidIsValid(get_namespace_oid("omnimsg", true)))
		return false;
	return (login.valid && !superuser_arg(outer)) || is_a_tenants(session) ||
		(outer != session && is_a_tenants(outer));
}

/* omnimsg.current_organization() returns uuid */
Datum
omnimsg_current_organization(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));

	if (!om_tenant(result))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(result);
}

/* omnimsg.require_organization(organization_id uuid) returns void */
Datum
omnimsg_require_organization(PG_FUNCTION_ARGS)
{
	(void) om_arg_organization(fcinfo, 0);
	PG_RETURN_VOID();
}
