/*
 * arm.c
 *		Whether this database may send: it was armed here, and is no copy.
 *
 * What is compared: the system identifier, which initdb makes and every physical copy keeps; the oid of the
 * database, which a dump or CREATE DATABASE ... TEMPLATE gets anew; the timeline, which changes with each promotion and
 * recovery to a point in time; and the file of the data directory that initdb makes first and nobody writes
 * again, which is another one in a base backup or a copy of the files.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "arguments.h"
#include "arm.h"
#include "audit.h"
#include "compat.h"
#include "db.h"
#include "shmem.h"

OM_SQL_FUNCTION(omnimsg_arm);
OM_SQL_FUNCTION(omnimsg_disarm);
OM_SQL_FUNCTION(omnimsg_why_not_armed);

typedef struct Identity
{
	int64		system_identifier;
	Oid			database;
	int			timeline;
	char	   *data_directory;
	char	   *database_name;
	bool		disarmed;		/* of what was armed: and taken back since */
} Identity;

static OmStatement find_arming = {
	"SELECT a.system_identifier, a.database_oid::bigint, a.timeline::bigint, a.data_directory, a.database_name,\n"
	"       a.disarmed_at IS NOT NULL\n"
	"  FROM omnimsg.arming a",
	0, {0}, NULL
};

static OmStatement write_arming = {
	"INSERT INTO omnimsg.arming AS a (system_identifier, database_oid, database_name, timeline, data_directory,\n"
	"    armed_at, armed_by, note)\n"
	"VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, ''))\n"
	"ON CONFLICT (singleton) DO UPDATE\n"
	"   SET system_identifier = excluded.system_identifier, database_oid = excluded.database_oid,\n"
	"       database_name = excluded.database_name, timeline = excluded.timeline,\n"
	"       data_directory = excluded.data_directory, armed_at = excluded.armed_at,\n"
	"       armed_by = excluded.armed_by, note = excluded.note, disarmed_at = NULL",
	8, {INT8OID, OIDOID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement take_back = {
	"UPDATE omnimsg.arming SET disarmed_at = $1 WHERE disarmed_at IS NULL", 1, {TIMESTAMPTZOID}, NULL
};

/*
 * The data directory as the file system knows it: inode and time of birth of a file that stays what it is.  The number
 * of the device is not taken: it changes with a restart.  A file system that tells no time of birth leaves the inode.
 */
static char *
data_directory(void)
{
	char	   *path = psprintf("%s/PG_VERSION", DataDir);
	struct statx status;

	if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	if ((status.stx_mask & STATX_BTIME) == 0)
		return psprintf("inode %llu", (unsigned long long) status.stx_ino);
	return psprintf("inode %llu born %lld.%09u", (unsigned long long) status.stx_ino,
					(long long) status.stx_btime.tv_sec, status.stx_btime.tv_nsec);
}

/* Only of a server that is not in recovery: it has no timeline of its own before */
static void
identify(Identity *identity)
{
	identity->system_identifier = (int64) GetSystemIdentifier();
	identity->database = MyDatabaseId;
	identity->timeline = (int) GetWALInsertionTimeLine();
	identity->data_directory = data_directory();
	identity->database_name = get_database_name(MyDatabaseId);
	identity->disarmed = false;
}

/* What omnimsg.arming says; false when it says nothing */
static bool
read_arming(Identity *identity)
{
	if (om_db_run(&find_arming, NULL) == 0)
		return false;
	identity->system_identifier = om_field_int(0, 1);
	identity->database = (Oid) om_field_int(0, 2);
	identity->timeline = (int) om_field_int(0, 3);
	identity->data_directory = om_field_text(0, 4);
	identity->database_name = om_field_text(0, 5);
	identity->disarmed = om_field_bool(0, 6);
	return true;
}

static OmArmed
compare(const Identity *armed, const Identity *here, const char **reason)
{
	*reason = NULL;
	if (armed->system_identifier != here->system_identifier)
		*reason = "restored from another cluster";
	else if (armed->database != here->database)
		*reason = psprintf("copied from database \"%s\" of this cluster", armed->database_name);
	if (*reason != NULL)
		return OM_ARMED_NEVER;
	if (armed->timeline != here->timeline)
		*reason = psprintf("promoted or recovered to a point in time: timeline %d, armed on %d",
						   here->timeline, armed->timeline);
	else if (strcmp(armed->data_directory, here->data_directory) != 0)
		*reason = "in a copied data directory";
	if (*reason != NULL)
		return OM_ARMED_ELSEWHERE;
	if (armed->disarmed)
		*reason = "disarmed";
	return *reason == NULL ? OM_ARMED : OM_DISARMED;
}

OmArmed
om_arm_check(const char **reason)
{
	Identity	armed;
	Identity	here;

	if (RecoveryInProgress())
	{
		*reason = "a standby";
		return OM_ARMED_ELSEWHERE;
	}
	if (!read_arming(&armed))
	{
		*reason = "never armed";
		return OM_ARMED_NEVER;
	}
	identify(&here);
	return compare(&armed, &here, reason);
}

int64
om_arm_place(void)
{
	Identity	here;

	identify(&here);
	return om_audit_number(psprintf("%llu %u %d %s", (unsigned long long) here.system_identifier, here.database,
									here.timeline, here.data_directory));
}

static char *
describe(const Identity *identity)
{
	return psprintf("database \"%s\" (oid %u) of cluster %lld, timeline %d, data directory: %s",
					identity->database_name, identity->database,
					(long long) identity->system_identifier, identity->timeline, identity->data_directory);
}

static void
audit_arming(const char *action, const char *before, const char *now, const char *note, TimestampTz at)
{
	OmAudit    *audit = om_audit_begin(at, om_audit_role());

	om_audit_add(audit, &om_nil_uuid, action, "database", NULL,
				 before ? om_audit_json("armed", before, NULL) : NULL,
				 now ? om_audit_json("armed", now, "note", note, NULL) : NULL);
	om_audit_write(audit);
}

/* What has been said of arming must hold after a crash, and where the standby is */
static void
be_durable(void)
{
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
}

static void
refuse_in_recovery(const char *what)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("a standby cannot be %s", what),
				 errhint("Promote it first, and make sure that the old primary sends no more.")));
}

static Datum
text_outside(const char *value, bool *isnull)
{
	*isnull = value == NULL;
	return *isnull ? (Datum) 0 : SPI_datumTransfer(CStringGetTextDatum(value), false, -1);
}

/* omnimsg_arm(note text) returns (armed text, replaced text, reason text) */
Datum
omnimsg_arm(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	char	   *note = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0));
	Identity	before;
	Identity	here;
	char	   *replaced = NULL;
	const char *reason = NULL;
	Datum		values[3];
	bool		nulls[3];
	TupleDesc	desc;

	refuse_in_recovery("armed");
	om_arg_refuse_address(note, "note");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	be_durable();
	identify(&here);
	if (read_arming(&before))
	{
		replaced = describe(&before);
		compare(&before, &here, &reason);
	}
	om_db_run(&write_arming, (Datum[]) {Int64GetDatum(here.system_identifier),
			  ObjectIdGetDatum(here.database), CStringGetTextDatum(here.database_name),
			  Int32GetDatum(here.timeline), CStringGetTextDatum(here.data_directory),
			  TimestampTzGetDatum(now), CStringGetTextDatum(om_audit_role()), CStringGetTextDatum(note)});
	audit_arming("DATABASE_ARMED", replaced, describe(&here), *note ? note : NULL, now);
	om_wake_dispatcher_at_commit();

	values[0] = text_outside(describe(&here), &nulls[0]);
	values[1] = text_outside(replaced, &nulls[1]);
	values[2] = text_outside(reason, &nulls[2]);
	SPI_finish();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

static Oid
arming_table(void)
{
	return get_relname_relid("arming", get_namespace_oid("omnimsg", false));
}

bool
om_arm_hold(void)
{
	return ConditionalLockRelationOid(arming_table(), RowShareLock);
}

/* omnimsg_disarm() returns boolean: whether it was armed, for whatever database */
Datum
omnimsg_disarm(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	Identity	before;
	bool		found;

	refuse_in_recovery("disarmed");
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	be_durable();
	LockRelationOid(arming_table(), ExclusiveLock);
	found = read_arming(&before) && om_db_run(&take_back, (Datum[]) {TimestampTzGetDatum(now)}) > 0;
	if (found)
	{
		audit_arming("DATABASE_DISARMED", describe(&before), NULL, NULL, now);
		om_wake_dispatcher_at_commit();
	}
	SPI_finish();
	PG_RETURN_BOOL(found);
}

/* omnimsg.why_not_armed() returns text: NULL when the database is armed */
Datum
omnimsg_why_not_armed(PG_FUNCTION_ARGS)
{
	const char *reason;
	Datum		result;
	bool		isnull;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	om_arm_check(&reason);
	result = text_outside(reason, &isnull);
	SPI_finish();
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/*
 * Asked of the server's bookkeeping, because the commit itself only warns, and only where somebody reads
 * warnings.  What is compared is the setting and not what the server made of it: while the two differ, the
 * answer is no.
 */
bool
om_commit_is_replicated(void)
{
	int			mode = synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY ? SYNC_REP_WAIT_APPLY :
		synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_WRITE ? SYNC_REP_WAIT_WRITE : SYNC_REP_WAIT_FLUSH;
	XLogRecPtr	confirmed;

	if (!SyncRepRequested() || SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0')
		return true;
	LWLockAcquire(SyncRepLock, LW_SHARED);
	confirmed = WalSndCtl->lsn[mode];
	LWLockRelease(SyncRepLock);
	return XactLastCommitEnd <= confirmed;
}
