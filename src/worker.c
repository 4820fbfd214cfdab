/*
 * worker.c
 *		The worker's transactions: as whom it acts in them, and how they are planned.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "commands/policy.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "guc.h"
#include "worker.h"

static Oid	connected_as = InvalidOid;	/* and what it acts as in a transaction may be another role */
static int	connected_context = 0;
static MemoryContext outside;	/* the context from before the transaction */

static Oid
schema_owner(Oid schema)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid			owner = connected_as;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/*
 * A role that nobody may log in as cannot connect, so it is taken on, where deploy/roles.sql has given it its rights.  Where they
 * were lost since, with a restore or by hand, confirmations of STOP must not wait until somebody looks, and nothing
 * may be done as a superuser: then it is the owner, as whom the functions act as well.
 */
static void
act_as_worker(void)
{
	Oid			role = get_role_oid("omnimsg_worker", true);
	Oid			tables = get_namespace_oid("omnimsg", true);
	Oid			outbox = OidIsValid(tables) ? get_relname_relid("outbox", tables) : InvalidOid;

	GetUserIdAndSecContext(&connected_as, &connected_context);
	if (!OidIsValid(outbox))
		return;
	if (!OidIsValid(role) || !OidIsValid(get_relation_policy_oid(outbox, "worker", true)))
		role = schema_owner(tables);
	if (!superuser_arg(role))
		SetUserIdAndSecContext(role, connected_context | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * DROP EXTENSION locks the extension before what belongs to it, so one of both waits here for the other to end.  Without
 * that each could have some of the tables and wait for the rest, and DROP EXTENSION would fail with a deadlock.
 */
static void
hold_extension(void)
{
	Oid			extension = get_extension_oid("omnimsg", true);

	if (OidIsValid(extension))
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
}

void
om_worker_begin(const char *what)
{
	outside = CurrentMemoryContext;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	hold_extension();
	act_as_worker();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	debug_query_string = what;
	pgstat_report_activity(STATE_RUNNING, what);
}

void
om_worker_end(void)
{
	SPI_finish();
	PopActiveSnapshot();
	SetUserIdAndSecContext(connected_as, connected_context);
	CommitTransactionCommand();
	debug_query_string = NULL;
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(outside);
}

void
om_worker_tell_role(void)
{
	static Oid	told = InvalidOid;
	Oid			role = GetUserId();

	if (role != told && role == schema_owner(get_namespace_oid("omnimsg", false)) && role != connected_as)
		ereport(WARNING,
				(errmsg("omnimsg dispatcher: works in database \"%s\" as role \"%s\"", om_database,
						GetUserNameFromId(role, false)),
				 errdetail("The role omnimsg_worker or its policies are missing."),
				 errhint("Run deploy/roles.sql again.")));
	told = role;
}

/*
 * All that is asked round by round finds its rows by keys, a few of them each time.  A table that was vacuumed while it was
 * empty looks to the planner as if a scan of it were free, and the plan is kept while the table grows.
 */
static void
plan_by_keys(void)
{
	SetConfigOption("enable_seqscan", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("enable_hashjoin", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("enable_mergejoin", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("plan_cache_mode", "force_generic_plan", PGC_SUSET, PGC_S_OVERRIDE);
}

int
om_worker_plan_freely(void)
{
	int			level = NewGUCNestLevel();
	static const char *const settings[][2] = {
		{"enable_seqscan", "on"}, {"enable_hashjoin", "on"}, {"enable_mergejoin", "on"}, {"plan_cache_mode", "auto"}
	};

	for (int i = 0; i < (int) lengthof(settings); i++)
		set_config_option(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

void
om_worker_configure(void)
{
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("row_security", "on", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("jit", "off", PGC_SUSET, PGC_S_OVERRIDE);
	plan_by_keys();
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		SetConfigOption("synchronous_commit", "on", PGC_SUSET, PGC_S_OVERRIDE);
}
