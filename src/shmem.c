/*
 * shmem.c
 *		What the backends and the worker share: a latch to wake the worker, and its counters.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "shmem.h"

/* So long, and unless another is so much less precise, one look at the provider's clock counts */
#define CLOCK_USECS			(5 * USECS_PER_MINUTE)
#define CLOCK_SLACK_USECS	(USECS_PER_SEC / 4)

typedef struct Shared
{
	slock_t		mutex;
	Latch	   *latch;			/* the worker's, itself in shared memory; NULL while there is none */
	int			pid;
	OmWorkerState state;
	TimestampTz started_at;
	TimestampTz last_activity_at;
	int			in_flight;
	int64		sent;
	int64		failed;
	int64		unknown;
	int64		clock_offset;	/* the provider's clock before ours, in microseconds, */
	int64		clock_error;	/* give or take so many */
	TimestampTz clock_at;		/* when that was found; 0 never */
} Shared;

OM_SQL_FUNCTION(omnimsg_worker_status);

static Shared *shared = NULL;	/* NULL when the library was not preloaded */
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/* Armed by a transaction that queued something, in a subtransaction of that level */
static bool wake_at_commit = false;
static int	wake_level;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Shared)));
}

static void
attach_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("omnimsg", sizeof(Shared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Shared));
		SpinLockInit(&shared->mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
om_shmem_request(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_memory;
}

/*
 * Must not throw and must not touch the catalogs: it runs inside the commit.  A
 * prepared transaction wakes nobody; the poll finds what it queued.
 */
static void
transaction_ended(XactEvent event, void *arg)
{
	Latch	   *latch;

	if (!wake_at_commit)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			wake_at_commit = false;
			SpinLockAcquire(&shared->mutex);
			latch = shared->latch;
			SpinLockRelease(&shared->mutex);
			if (latch)
				SetLatch(latch);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			wake_at_commit = false;
			break;
		default:
			break;
	}
}

/* What a subtransaction queued is gone when it is rolled back, and nobody need be woken for it */
static void
subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (!wake_at_commit || wake_level < level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		wake_at_commit = false;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		wake_level = level - 1;
}

void
om_wake_dispatcher_at_commit(void)
{
	/* Once per backend: callbacks are never taken off the list */
	static bool registered = false;

	if (shared == NULL)
		return;
	if (!registered)
	{
		RegisterXactCallback(transaction_ended, NULL);
		RegisterSubXactCallback(subtransaction_ended, NULL);
		registered = true;
	}
	if (!wake_at_commit)
		wake_level = GetCurrentTransactionNestLevel();
	wake_at_commit = true;
}

static void
worker_stopped(int code, Datum arg)
{
	SpinLockAcquire(&shared->mutex);
	shared->latch = NULL;
	shared->pid = 0;
	shared->in_flight = 0;
	shared->state = OM_WORKER_STOPPED;
	SpinLockRelease(&shared->mutex);
}

void
om_shmem_worker_started(void)
{
	before_shmem_exit(worker_stopped, (Datum) 0);
	SpinLockAcquire(&shared->mutex);
	shared->latch = MyLatch;
	shared->pid = MyProcPid;
	shared->started_at = shared->last_activity_at = GetCurrentTimestamp();
	shared->in_flight = 0;
	shared->sent = shared->failed = shared->unknown = 0;
	shared->clock_at = 0;
	SpinLockRelease(&shared->mutex);
}

void
om_shmem_worker_state(OmWorkerState state, int in_flight)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&shared->mutex);
	shared->state = state;
	shared->in_flight = in_flight;
	shared->last_activity_at = now;
	SpinLockRelease(&shared->mutex);
}

void
om_shmem_worker_counted(int sent, int failed, int unknown)
{
	SpinLockAcquire(&shared->mutex);
	shared->sent += sent;
	shared->failed += failed;
	shared->unknown += unknown;
	SpinLockRelease(&shared->mutex);
}

/*
 * A quick answer tells more than a slow one, so one that was much quicker counts for some minutes; but not when
 * both cannot be true, because then one of the clocks was set.
 */
void
om_shmem_provider_clock(int64 offset, int64 error)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		between;

	SpinLockAcquire(&shared->mutex);
	between = offset > shared->clock_offset ? offset - shared->clock_offset : shared->clock_offset - offset;
	if (shared->clock_at == 0 || now < shared->clock_at || now - shared->clock_at > CLOCK_USECS ||
		error <= shared->clock_error + CLOCK_SLACK_USECS || between > error + shared->clock_error)
	{
		shared->clock_offset = offset;
		shared->clock_error = error;
		shared->clock_at = now;
	}
	SpinLockRelease(&shared->mutex);
}

static Interval *
interval_of(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return interval;
}

/* omnimsg_worker_status() returns record: one row, with NULLs while no worker runs */
Datum
omnimsg_worker_status(PG_FUNCTION_ARGS)
{
	static const char *const states[] = {"stopped", "waiting for the extension",
		"waiting for the update of the extension", "not armed", "off", "idle", "sending"};
	Shared		now = {0};
	TupleDesc	desc;
	Datum		values[9];
	bool		nulls[9] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (shared != NULL)
	{
		SpinLockAcquire(&shared->mutex);
		now = *shared;
		SpinLockRelease(&shared->mutex);
	}
	values[0] = Int32GetDatum(now.pid);
	values[1] = CStringGetTextDatum(states[now.state]);
	values[2] = TimestampTzGetDatum(now.started_at);
	values[3] = TimestampTzGetDatum(now.last_activity_at);
	values[4] = Int32GetDatum(now.in_flight);
	values[5] = Int64GetDatum(now.sent);
	values[6] = Int64GetDatum(now.failed);
	values[7] = Int64GetDatum(now.unknown);
	values[8] = IntervalPGetDatum(interval_of(now.clock_offset)); /* not in version 1.0 */
	nulls[0] = nulls[2] = nulls[3] = now.pid == 0;
	nulls[8] = now.clock_at == 0;
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
