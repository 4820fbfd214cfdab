/*
 * deadletter.c
 *		What is kept without effect, and its replay.
 *
 * The relay hands over what it must not apply: a delivery with a right signature and a stale time, and one that
 * crashed the server each time it was tried.  Neither may stand in the way of the event itself, which
 * may yet come as it should, so they are kept under keys that no event has.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"

#include "compat.h"
#include "ingest.h"

OM_SQL_FUNCTION(omnimsg_keep_dead);

#define STALE	"stale"
#define CRASHED	"crashed"

/* The relay gives up on a body after so many crashes */
#define CRASHES	2

static OmStatement find_keys = {
	"SELECT w.n FROM unnest($1, $2) WITH ORDINALITY AS w(provider, dedupe_key, n)\n"
	" WHERE EXISTS (SELECT FROM omnimsg.events e\n"
	"                WHERE e.provider = w.provider AND e.dedupe_key = w.dedupe_key)",
	2, {TEXTARRAYOID, TEXTARRAYOID}, NULL
};

static int
compare_ordinals(const void *a, const void *b)
{
	const OmEvent *left = *(OmEvent *const *) a;
	const OmEvent *right = *(OmEvent *const *) b;
	int			result = left->delivery->ordinal - right->delivery->ordinal;

	return result != 0 ? result : left->part - right->part;
}

/* A stale delivery is read to know which event it is: the provider's retries of it differ in their bytes */
static void
read_stale(OmBatch *batch)
{
	OmColumn   *providers = om_column(TEXTOID, batch->ndeliveries);
	OmColumn   *keys = om_column(TEXTOID, batch->ndeliveries);
	uint64		rows;

	if (batch->ndeliveries == 0)
		return;
	om_event_read(batch);
	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		om_column_add_text(providers, event->delivery->provider);
		om_column_add_text(keys, event->dedupe_key);
		event->kind = OM_EVENT_BROKEN;
		event->outcome = OM_DEAD;
		event->reason = STALE;
		event->dedupe_key = psprintf(STALE ":%s", event->dedupe_key);
	}

	/* What has come as it should needs no dead letter */
	rows = om_db_run(&find_keys, (Datum[]) {om_column_array(providers), om_column_array(keys)});
	for (uint64 row = 0; row < rows; row++)
	{
		OmEvent    *event = batch->events[om_field_int(row, 1) - 1];

		event->outcome = OM_DUPLICATE;
		event->reason = NULL;
	}
}

/* Nothing looks again into what crashed the server */
static void
take_crashed(OmBatch *batch)
{
	for (int i = 0; i < batch->ndeliveries; i++)
	{
		OmEvent    *event = om_event_new(batch, batch->deliveries[i]);

		event->delivery->attempts = CRASHES;
		event->kind = OM_EVENT_BROKEN;
		event->outcome = OM_DEAD;
		event->reason = CRASHED;
		event->dedupe_key = psprintf(CRASHED ":%s", om_body_hash(event->delivery));
	}
}

/* The events of both, to the journal in one statement, and back in the order in which they were given */
static void
keep(OmBatch *batch, const OmBatch *stale, const OmBatch *crashed)
{
	OmEvent   **all = palloc(sizeof(OmEvent *) * (stale->nevents + crashed->nevents));
	int			count = 0;

	batch->events = palloc(sizeof(OmEvent *) * (stale->nevents + crashed->nevents));
	for (int i = 0; i < stale->nevents; i++)
		all[count++] = stale->events[i];
	for (int i = 0; i < crashed->nevents; i++)
		all[count++] = crashed->events[i];
	qsort(all, count, sizeof(OmEvent *), compare_ordinals);
	for (int i = 0; i < count; i++)
		if (all[i]->outcome == OM_DEAD)
			batch->events[batch->nevents++] = all[i];
	om_journal_claim(batch);
	batch->events = all;
	batch->nevents = count;
}

/*
 * omnimsg_keep_dead(providers text[], bodies bytea[], signatures text[], signed_at text[],
 *		key_ids text[], reasons text[]) returns setof omnimsg.ingest_result
 */
Datum
omnimsg_keep_dead(PG_FUNCTION_ARGS)
{
	OmDelivery *deliveries;
	char	  **reasons;
	int			count = om_delivery_arrays(fcinfo, "reasons", &deliveries, &reasons);
	OmBatch		batch = {0};
	OmBatch		stale = {0};
	OmBatch		crashed = {0};

	for (int i = 0; i < count; i++)
		if (reasons[i] == NULL || (strcmp(reasons[i], STALE) != 0 && strcmp(reasons[i], CRASHED) != 0))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("reasons must be \"%s\" or \"%s\"", STALE, CRASHED),
					 errdetail("Element %d is neither.", i + 1)));
	om_ingest_begin(fcinfo);
	batch.now = stale.now = GetCurrentTimestamp();
	stale.deliveries = palloc(sizeof(OmDelivery *) * Max(count, 1));
	crashed.deliveries = palloc(sizeof(OmDelivery *) * Max(count, 1));
	for (int i = 0; i < count; i++)
		if (strcmp(reasons[i], STALE) == 0)
			stale.deliveries[stale.ndeliveries++] = &deliveries[i];
		else
			crashed.deliveries[crashed.ndeliveries++] = &deliveries[i];
	if (count > 0)
	{
		read_stale(&stale);
		take_crashed(&crashed);
		keep(&batch, &stale, &crashed);
		om_ingest_put_results(&batch, (ReturnSetInfo *) fcinfo->resultinfo);
	}
	SPI_finish();
	return (Datum) 0;
}
