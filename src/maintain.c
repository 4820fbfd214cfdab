/*
 * maintain.c
 *		The worker's calls of omnimsg_maintain() and omnimsg_audit_seal().
 *
 * pg_cron may call the functions as well; that two do it at once hurts nobody.
 */
#include "postgres.h"

#include <sodium.h>

#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "audit_chain.h"
#include "compat.h"
#include "maintain.h"
#include "worker.h"

#define HOUR_MS		3600000L
#define IN_USE_MS	60000L		/* whoever holds a lock on messages is done by then, mostly */
#define MORE_MS		1000L		/* messages that are to be sent go between */
#define BUSY_MS		200L		/* while the provider is being asked */

#define SEAL_MS		60000L

static TimestampTz due_at = 0;
static TimestampTz seal_at = 0;

void
om_maintain_soon(void)
{
	due_at = seal_at = 0;
}

/* What the rows say of when to come again, in ms */
static long
next_call(void)
{
	long		wait = HOUR_MS;

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		char	   *action = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 1);

		if (strcmp(action, "more is left") == 0)
			wait = Min(wait, MORE_MS);
		else if (strstr(action, " not ") != NULL)
			wait = Min(wait, IN_USE_MS);
	}
	return wait;
}

/* In whatever schema the extension's functions are; format has %s in its place */
static bool
call(const char *format)
{
	char	   *sql;
	int			level;
	bool		done;

	if (SPI_execute("SELECT extnamespace::regnamespace FROM pg_catalog.pg_extension WHERE extname = 'omnimsg'",
					true, 1) != SPI_OK_SELECT || SPI_processed == 0)
		return false;
	sql = psprintf(format, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	level = om_worker_plan_freely();
	done = SPI_execute(sql, false, 0) == SPI_OK_SELECT;
	AtEOXact_GUC(true, level);
	return done;
}

long
om_maintain(TimestampTz now, bool busy)
{
	long		wait = IN_USE_MS;

	/* A clock that was set back must not keep it from being done */
	if (now < due_at && due_at - now <= HOUR_MS * 1000)
		return Max((due_at - now) / 1000, 1);
	if (busy && due_at != 0 && now >= due_at && now - due_at < HOUR_MS * 1000)
		return BUSY_MS;
	due_at = now + IN_USE_MS * 1000;	/* even if it fails */
	om_worker_begin("omnimsg: keep months and retention");
	if (call("SELECT action FROM %s.omnimsg_maintain()"))
		wait = next_call();
	om_worker_end();
	due_at = now + wait * 1000;
	return wait;
}

long
om_seal_audit(TimestampTz now)
{
	OmAuditKey	key;
	const char *error;

	if (now < seal_at && seal_at - now <= SEAL_MS * 1000)
		return Max((seal_at - now) / 1000, 1);
	seal_at = now + SEAL_MS * 1000; /* even if it fails */
	error = om_audit_key_read(&key);
	sodium_memzero(&key, sizeof(key));
	if (error != NULL)
		return SEAL_MS;			/* omnimsg_health() says so */
	om_worker_begin("omnimsg: seal the audit trail");
	call("SELECT count(*) FROM %s.omnimsg_audit_seal()");
	om_worker_end();
	if (!om_audit_more)
		return SEAL_MS;
	seal_at = now + MORE_MS * 1000;
	return MORE_MS;
}
