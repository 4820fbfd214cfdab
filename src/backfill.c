/*
 * backfill.c
 *		Fetching what the provider could not deliver, and feeding it through ingest.
 *
 * A page is applied and the number of the next one stored in one transaction, so a backfill that is cut off goes
 * on where it was; and ingest applies an event once, so to read a page again does no harm.
 *
 * The list is bounded by the times at which deliveries began, so what fails from now on is not in it.  It still changes
 * while it is read: a delivery that had begun fails for the last time, an old one is forgotten.  Then
 * entries move from one page to another and one may be missed, so a list whose length changed is read again,
 * at most twice.
 *
 * Webhooks are long and their attempts longer.  When a page is more than we read, pages of half the size are asked
 * for until one fits, and then larger ones again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "fetch.h"
#include "ingest.h"
#include "provider_telnyx_delivery.h"
#include "shmem.h"
#include "worker.h"

OM_SQL_FUNCTION(omnimsg_backfill);

/* Of a page; a power of two */
#define LARGEST_PAGE	32

/* So often a list is read that changes while it is read */
#define MAX_PASSES		3

/* How long rows that others have locked are waited for, in ms; the worker has messages to send */
#define LOCK_TIMEOUT	"1000"

/* How often a long backfill tells the log how far it is */
#define PAGES_PER_LINE	20

/* A page that is to be asked for, of a backfill that is recorded as being under way */
typedef struct Backfill
{
	OmFetch		fetch;
	OmDeliveryList list;
	pg_uuid_t	account_id;
	char	   *account_name;
} Backfill;

#define RFC3339(time) "to_char(" time " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* What next_page() reads of a backfill */
#define BACKFILL_FIELDS RFC3339("b.since") ", " RFC3339("b.until") ", b.next_page::bigint, b.page_size::bigint, b.delivered"

static OmStatement lock_due = {
	"SELECT " BACKFILL_FIELDS ", a.id, a.name, a.secret_name, a.messaging_profile_id, b.failures::bigint,\n"
	"       b.asked_since IS NOT NULL AND b.finished_at IS NOT NULL,\n"
	"       b.asked_since IS NOT NULL AND b.finished_at IS NULL AND\n"
	"         (b.asked_since < b.since OR b.asked_delivered AND NOT b.delivered)\n"
	"  FROM omnimsg.backfills b JOIN omnimsg.provider_accounts a ON a.id = b.provider_account_id\n"
	" WHERE b.due_at <= $1 AND a.secret_name IS NOT NULL\n"
	" ORDER BY b.due_at, a.id LIMIT 1\n"
	"   FOR NO KEY UPDATE OF a SKIP LOCKED",
	1, {TIMESTAMPTZOID}, NULL
};

static OmStatement find_next = {
	"SELECT nullif(min(greatest(b.due_at, $1 + interval '1 s')), 'infinity')\n"
	"  FROM omnimsg.backfills b JOIN omnimsg.provider_accounts a ON a.id = b.provider_account_id\n"
	" WHERE a.secret_name IS NOT NULL",
	1, {TIMESTAMPTZOID}, NULL
};

#define RESTART \
	"until = $2, asked_since = NULL, asked_delivered = false, next_page = 1, page_size = $3, pass = 1,\n" \
	"       total = NULL, due_at = $2"

static OmStatement begin_backfill = {
	"UPDATE omnimsg.backfills b\n"
	"   SET since = b.asked_since, delivered = b.asked_delivered, " RESTART ",\n"
	"       started_at = $2, finished_at = NULL, failures = 0, last_error = NULL,\n"
	"       seen = 0, applied = 0, pending = 0, ignored = 0, dead = 0, duplicates = 0, skipped = 0\n"
	" WHERE b.provider_account_id = $1\n"
	"RETURNING " BACKFILL_FIELDS,
	3, {UUIDOID, TIMESTAMPTZOID, INT4OID}, NULL
};

/* One that is under way and of which more was asked reads the longer list from its beginning */
static OmStatement extend_backfill = {
	"UPDATE omnimsg.backfills b\n"
	"   SET since = least(b.since, b.asked_since), delivered = b.delivered OR b.asked_delivered, " RESTART "\n"
	" WHERE b.provider_account_id = $1\n"
	"RETURNING " BACKFILL_FIELDS,
	3, {UUIDOID, TIMESTAMPTZOID, INT4OID}, NULL
};

static OmStatement lock_backfill = {
	"SELECT b.pass::bigint, b.total::bigint\n"
	"  FROM omnimsg.provider_accounts a JOIN omnimsg.backfills b ON b.provider_account_id = a.id\n"
	" WHERE a.id = $1 AND b.finished_at IS NULL AND " RFC3339("b.since") " = $2 AND " RFC3339("b.until") " = $3\n"
	"   AND b.next_page = $4 AND b.page_size = $5\n"
	"   FOR NO KEY UPDATE OF a SKIP LOCKED",
	5, {UUIDOID, TEXTOID, TEXTOID, INT4OID, INT4OID}, NULL
};

/* $1 to $5 where it goes on, $6 when, $7 whether it is the end; who asked for another meanwhile gets it at once */
static OmStatement turn_page = {
	"UPDATE omnimsg.backfills b\n"
	"   SET next_page = $2, page_size = $3, pass = $4, total = $5, failures = 0, last_error = NULL,\n"
	"       finished_at = CASE WHEN $7 THEN $6 END,\n"
	"       due_at = CASE WHEN $7 AND b.asked_since IS NULL THEN 'infinity' ELSE $6 END,\n"
	"       applied = b.applied + $8, duplicates = b.duplicates + $9, ignored = b.ignored + $10,\n"
	"       pending = b.pending + $11, dead = b.dead + $12, skipped = b.skipped + $13,\n"
	"       seen = b.seen + $8 + $9 + $10 + $11 + $12 + $13\n"
	" WHERE b.provider_account_id = $1\n"
	"RETURNING b.seen, b.applied, b.duplicates, b.pending + b.ignored, b.dead, b.skipped",
	13, {UUIDOID, INT4OID, INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, BOOLOID, INT4OID, INT4OID, INT4OID,
		INT4OID, INT4OID, INT4OID}, NULL
};

static OmStatement note_failure = {
	"UPDATE omnimsg.backfills b\n"
	"   SET failures = b.failures + 1, last_error = $2, due_at = $3\n"
	" WHERE b.finished_at IS NULL AND b.provider_account_id = (\n"
	"         SELECT a.id FROM omnimsg.provider_accounts a WHERE a.id = $1\n"
	"            FOR NO KEY UPDATE SKIP LOCKED)",
	3, {UUIDOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

/*
 * A backfill that is under way, or has ended, begins another or goes further back when the worker sees it.  What
 * the journal may have forgotten is not asked for: an old event would be new.
 */
static OmStatement ask_all = {
	"WITH asked AS (\n"
	"  SELECT a.id FROM omnimsg.provider_accounts a\n"
	"   WHERE a.provider = 'telnyx' AND a.secret_name IS NOT NULL ORDER BY a.id FOR NO KEY UPDATE)\n"
	"INSERT INTO omnimsg.backfills AS b (provider_account_id, since, until, delivered, started_at, page_size, due_at)\n"
	"SELECT a.id, greatest($1, $2 - coalesce(current_setting('omnimsg.journal_retention', true), '400 days')::interval),\n"
	"       $2, $4, $2, $3, '-infinity'\n"
	"  FROM asked a\n"
	"ON CONFLICT (provider_account_id) DO UPDATE\n"
	"   SET asked_since = least(b.asked_since, excluded.since), due_at = excluded.due_at,\n"
	"       asked_delivered = b.asked_delivered OR excluded.delivered",
	4, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, BOOLOID}, NULL
};

static void
read_position(OmDeliveryList *list)
{
	list->since = om_field_text(0, 1);
	list->until = om_field_text(0, 2);
	list->page = om_field_int(0, 3);
	list->size = om_field_int(0, 4);
	list->delivered = om_field_bool(0, 5);
}

static OmFetch *
next_page(TimestampTz now, MemoryContext parent, TimestampTz *when)
{
	MemoryContext before;
	Backfill   *backfill;
	OmStatement *restart;
	bool		isnull;

	if (om_db_run(&lock_due, (Datum[]) {TimestampTzGetDatum(now)}) == 0)
	{
		om_db_run(&find_next, (Datum[]) {TimestampTzGetDatum(now)});
		*when = om_field_time(0, 1, &isnull);
		return NULL;
	}
	backfill = om_fetch_new(&om_backfill_fetch, sizeof(Backfill), parent);
	before = MemoryContextSwitchTo(backfill->fetch.context);
	read_position(&backfill->list);
	backfill->account_id = *om_field_uuid(0, 6);
	backfill->account_name = om_field_text(0, 7);
	backfill->fetch.secret_name = om_field_text(0, 8);
	backfill->list.profile = om_field_text(0, 9);
	backfill->fetch.failures = om_field_int(0, 10);
	restart = om_field_bool(0, 11) ? &begin_backfill : om_field_bool(0, 12) ? &extend_backfill : NULL;
	if (restart != NULL)
	{
		om_db_run(restart, (Datum[]) {UUIDPGetDatum(&backfill->account_id), TimestampTzGetDatum(now),
				  Int32GetDatum(LARGEST_PAGE)});
		MemoryContextSwitchTo(backfill->fetch.context); /* SPI leaves its own behind */
		read_position(&backfill->list);
	}
	backfill->fetch.url = om_telnyx_deliveries_url(&backfill->list);
	MemoryContextSwitchTo(before);
	if (restart != NULL || (backfill->list.page == 1 && backfill->fetch.failures == 0))
		ereport(LOG,
				(errmsg("omnimsg dispatcher: asking provider account \"%s\" for what it %s since %s",
						backfill->account_name,
						backfill->list.delivered ? "tried to deliver" : "could not deliver",
						backfill->list.since)));
	return &backfill->fetch;
}

/* Where to go on after a page that was too long; one of a single delivery is passed over */
static void
shrink(OmDeliveryList *list, int *skipped)
{
	if (list->size > 1)
	{
		list->page = 2 * list->page - 1;
		list->size /= 2;
		return;
	}
	list->page++;
	*skipped = 1;
}

/* Where to go on after a page that fitted: with larger ones, as soon as one begins here */
static void
go_on(OmDeliveryList *list)
{
	if (list->page % 2 == 0 && list->size < LARGEST_PAGE)
	{
		list->page /= 2;
		list->size *= 2;
	}
	list->page++;
}

/* The numbers are what turn_page returned */
static void
tell_progress(const Backfill *backfill, bool finished)
{
	ereport(LOG,
			(errmsg("omnimsg dispatcher: backfill of provider account \"%s\" since %s %s: " INT64_FORMAT " seen, "
					INT64_FORMAT " applied, " INT64_FORMAT " known before, " INT64_FORMAT " without effect, "
					INT64_FORMAT " dead letters, " INT64_FORMAT " too long to be read",
					backfill->account_name, backfill->list.since, finished ? "has ended" : "goes on",
					om_field_int(0, 1), om_field_int(0, 2), om_field_int(0, 3), om_field_int(0, 4),
					om_field_int(0, 5), om_field_int(0, 6))));
}

/*
 * Apply the page, which is NULL when it was too long, and go on to the next one or end the backfill.  False, and nothing
 * is done, when another page is to be asked for by now or the account is locked.
 */
static bool
store_page(const Backfill *backfill, OmDeliveryPage *page, TimestampTz now)
{
	const OmDeliveryList *list = &backfill->list;
	OmDeliveryList next = *list;
	int			counts[OM_OUTCOMES] = {0};
	int			skipped = 0;
	int			pass;
	int			total;
	bool		changed;
	bool		finished;

	if (om_db_run(&lock_backfill, (Datum[]) {UUIDPGetDatum(&backfill->account_id),
				  CStringGetTextDatum(list->since), CStringGetTextDatum(list->until),
				  Int32GetDatum(list->page), Int32GetDatum(list->size)}) == 0)
		return false;
	pass = om_field_int(0, 1);
	total = om_field_int_or(0, 2, page != NULL ? page->total : -1);

	for (int i = 0; page != NULL && i < page->count; i++)
		page->deliveries[i].account_id = unconstify(pg_uuid_t *, &backfill->account_id);
	if (page != NULL)
		om_ingest_fetched(page->deliveries, page->count, counts);

	changed = page != NULL && total >= 0 && page->total != total && pass < MAX_PASSES;
	finished = page != NULL && !changed && list->page >= page->total_pages;
	if (page == NULL)
		shrink(&next, &skipped);
	else if (changed)
	{
		next.page = 1;
		pass++;
	}
	else if (!finished)
		go_on(&next);
	if (page != NULL)
		total = page->total;

	om_db_run(&turn_page, (Datum[]) {UUIDPGetDatum(&backfill->account_id), Int32GetDatum(next.page),
			  Int32GetDatum(next.size), Int32GetDatum(pass), Int32GetDatum(total),
			  TimestampTzGetDatum(now), BoolGetDatum(finished), Int32GetDatum(counts[OM_APPLIED]),
			  Int32GetDatum(counts[OM_DUPLICATE]), Int32GetDatum(counts[OM_IGNORED]),
			  Int32GetDatum(counts[OM_PENDING]), Int32GetDatum(counts[OM_DEAD]), Int32GetDatum(skipped)});
	if (finished || list->page % PAGES_PER_LINE == 0)
		tell_progress(backfill, finished);
	if (skipped > 0)
		ereport(WARNING,
				(errmsg("omnimsg dispatcher: a webhook that provider account \"%s\" could not deliver is too long to be fetched",
						backfill->account_name),
				 errdetail("It is number %d of those since %s.", list->page, list->since)));
	return true;
}

static const char *
take_page(OmFetch *fetch, const OmHttpAnswer *answer, TimestampTz now, bool *busy)
{
	const Backfill *backfill = (Backfill *) fetch;
	OmDeliveryPage page;
	const char *error = answer->too_long ? NULL : om_telnyx_deliveries(answer, &backfill->list, &page);

	if (error != NULL)
		return error;
	om_worker_begin("omnimsg: apply what could not be delivered");
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	*busy = !store_page(backfill, answer->too_long ? NULL : &page, now);
	om_worker_end();
	return NULL;
}

static void
record_failure(OmFetch *fetch, const char *error, int64 retry_ms, TimestampTz now)
{
	const Backfill *backfill = (Backfill *) fetch;

	om_db_run(&note_failure, (Datum[]) {UUIDPGetDatum(&backfill->account_id), CStringGetTextDatum(error),
			  TimestampTzGetDatum(now + retry_ms * 1000)});
	if (fetch->failures == 0)
		ereport(WARNING,
				(errmsg("omnimsg dispatcher: what provider account \"%s\" could not deliver cannot be fetched: %s",
						backfill->account_name, error),
				 errhint("It is tried again. See last_error in omnimsg.backfills.")));
}

const OmFetchUser om_backfill_fetch = {
	.next = next_page,
	.take = take_page,
	.fail = record_failure,
};

/*
 * omnimsg_backfill(since timestamptz, delivered boolean) returns int
 *
 * How many accounts there are to ask.  A transaction that commits wakes the worker.
 */
Datum
omnimsg_backfill(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	int			count;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("since must not be NULL"),
				 errhint("Leave it out for the last three days.")));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("delivered must not be NULL"),
				 errhint("It says whether webhooks that were delivered are wanted as well; leave it out for no.")));
	if (PG_GETARG_TIMESTAMPTZ(0) > now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since must not be in the future"),
				 errhint("It is the time from which on the provider is asked for what it could not deliver.")));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	count = om_db_run(&ask_all, (Datum[]) {PG_GETARG_DATUM(0), TimestampTzGetDatum(now),
					  Int32GetDatum(LARGEST_PAGE), PG_GETARG_DATUM(1)});
	om_wake_dispatcher_at_commit();
	SPI_finish();
	PG_RETURN_INT32(count);
}
