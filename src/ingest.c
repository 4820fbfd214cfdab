/*
 * ingest.c
 *		One transaction: deliveries in, their effects and what became of each out.
 *
 * A batch runs in a subtransaction.  A message that cannot be stored is left out where it is met (message.c), and
 * costs the others nothing.  If an event makes the batch fail otherwise, the deliveries are run in groups and then one
 * by one, so that a poison event fails alone.  Either becomes a dead letter with its bytes.
 * Trouble of the server itself (disk, locks, shutdown ...) is raised instead,
 * nothing is committed, and the caller tries again.
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "account.h"
#include "compat.h"
#include "ingest.h"

#define RESULT_COLUMNS 10

OM_SQL_FUNCTION(omnimsg_ingest);
OM_SQL_FUNCTION(omnimsg_ingest_batch);

/*
 * Events that wait, and whose message is there now.  It may be of any organization that
 * shares a number with the one the event was routed to.  The waiting ones are found first
 * and by themselves: there may be many that are not of ours and wait in vain.
 */
#define FIND_PENDING(condition) \
	"WITH waiting AS MATERIALIZED (\n" \
	"  SELECT e.provider, e.dedupe_key, e.organization_id, e.external_message_id\n" \
	"    FROM omnimsg.events e WHERE e.outcome = 'pending' AND " condition "),\n" \
	"found AS MATERIALIZED (\n" \
	"  SELECT p.provider, p.dedupe_key FROM waiting p\n" \
	"   WHERE EXISTS (\n" \
	"           SELECT 1 FROM omnimsg.inbound_phone_numbers ours\n" \
	"             JOIN omnimsg.inbound_phone_numbers n ON n.phone_number = ours.phone_number\n" \
	"             JOIN omnimsg.messages m\n" \
	"               ON m.organization_id = n.organization_id\n" \
	"              AND m.external_message_id = p.external_message_id AND m.direction = 'outbound'\n" \
	"            WHERE ours.organization_id = p.organization_id)\n" \
	"   LIMIT 1000)\n" \
	"SELECT e.provider, e.raw, e.signature, e.key_id, e.signed_at, e.dedupe_key\n" \
	"  FROM found f JOIN omnimsg.events e ON e.provider = f.provider AND e.dedupe_key = f.dedupe_key\n" \
	" WHERE e.outcome = 'pending'\n" \
	" ORDER BY e.provider, e.dedupe_key\n" \
	"   FOR UPDATE OF e SKIP LOCKED"

static OmStatement find_pending_of = {
	FIND_PENDING("e.external_message_id = ANY ($1)"), 1, {TEXTARRAYOID}, NULL
};

static OmStatement find_pending_since = {
	FIND_PENDING("e.received_at >= $1"), 1, {TIMESTAMPTZOID}, NULL
};

void
om_ingest_begin(FunctionCallInfo fcinfo)
{
	/* What the design promises needs that each statement sees what others committed meanwhile */
	if (XactIsoLevel != XACT_READ_COMMITTED)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s needs transaction isolation level READ COMMITTED",
						get_func_name(fcinfo->flinfo->fn_oid)),
				 errhint("Set default_transaction_isolation to 'read committed' for this role.")));
	/* A 200 must be on disk, whatever the caller has set: inside the function, for this transaction */
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize libsodium")));
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	om_db_age_plans();
}

/*
 * Every step over every event of the batch.  Locks are taken in this order everywhere:
 * journal, reviews, outbox, messages, consents, accounts, reply windows; within each in key order.
 * Of reviews ingest locks none: it makes new ones.
 */
static void
apply(void *argument)
{
	OmBatch    *batch = argument;

	batch->audit = om_audit_begin(batch->now, "provider:telnyx");
	om_event_read(batch);
	om_route(batch);
	om_journal_claim(batch);
	om_link(batch);
	om_reconcile_callbacks(batch);
	om_message_store(batch);
	om_consent(batch);
	om_account_contacted(batch);
	om_reply(batch);
	om_audit_write(batch->audit);
}

bool
om_ingest_is_of_content(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_CARDINALITY_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case MAKE_SQLSTATE('P', '0', '0', '0', '0'):	/* somebody's trigger */
			return true;
		default:
			return sqlstate == ERRCODE_INTERNAL_ERROR;
	}
}

ErrorData *
om_ingest_try(OmBatch *batch)
{
	ErrorData  *error;

	batch->nevents = 0;
	for (int i = 0; i < batch->ndeliveries; i++)
	{
		batch->deliveries[i]->attempts++;
		batch->deliveries[i]->failure = batch->deliveries[i]->sqlstate = NULL;
	}
	error = om_db_try(apply, batch, true);

	/* Only now: an error that leaves a subtransaction open leaves the session in it */
	if (error != NULL && !om_ingest_is_of_content(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/* What a delivery failed with, for its dead letter and for the log */
void
om_ingest_failed(OmDelivery *delivery, const ErrorData *error)
{
	delivery->sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	delivery->failure = psprintf("could not be applied (SQLSTATE %s)", delivery->sqlstate);

	/* The message may quote values; it goes to the log of the server, without its detail */
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("omnimsg: an event could not be applied and was kept as a dead letter"),
			 errdetail("The error was raised in %s, line %d.",
					   error->filename ? error->filename : "an unknown file", error->lineno),
			 errhint("See omnimsg.dead_letters.")));
}

/* A delivery that cannot be applied: its events go to the journal as they are, and nowhere else */
static void
bury(OmBatch *batch, const ErrorData *error)
{
	OmDelivery *delivery = batch->deliveries[0];

	om_ingest_failed(delivery, error);
	batch->nevents = 0;
	om_event_read(batch);
	for (int i = 0; i < batch->nevents; i++)
	{
		batch->events[i]->kind = OM_EVENT_BROKEN;
		batch->events[i]->outcome = OM_DEAD;
		batch->events[i]->reason = delivery->failure;
	}
	om_journal_claim(batch);
}

const char *
om_outcome_name(OmOutcome outcome)
{
	static const char *const names[] = {"applied", "duplicate", "ignored", "pending", "dead"};

	return names[outcome];
}

static const char *
reply_name(OmReplyOutcome reply)
{
	static const char *const names[] = {"none", "queued", "provider", "suppressed"};

	return names[reply];
}

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	values[column] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
put_uuid(Datum *values, bool *nulls, int column, const pg_uuid_t *uuid)
{
	nulls[column] = uuid == NULL;
	values[column] = PointerGetDatum(uuid);
}

HeapTuple
om_ingest_result(const OmEvent *event, TupleDesc desc)
{
	bool		applied = event->outcome == OM_APPLIED;
	Datum		values[RESULT_COLUMNS];
	bool		nulls[RESULT_COLUMNS] = {false};

	values[0] = Int32GetDatum(event->delivery->ordinal);
	values[1] = Int32GetDatum(event->part);
	put_text(values, nulls, 2, om_outcome_name(event->outcome));
	put_text(values, nulls, 3, event->event_type);
	put_uuid(values, nulls, 4, event->nowners > 0 ? &event->organization_id : NULL);
	put_uuid(values, nulls, 5, applied ? event->account_id : NULL);
	put_uuid(values, nulls, 6, applied && event->has_message ? &event->message_id : NULL);
	put_text(values, nulls, 7, event->kind == OM_EVENT_RECEIVED ?
			 om_intent_label_name(event->intent.label) : NULL);
	put_text(values, nulls, 8, reply_name(event->reply));
	put_text(values, nulls, 9, event->reason ? event->reason : event->reply_reason);
	return heap_form_tuple(desc, values, nulls);
}

void
om_ingest_put_results(const OmBatch *batch, ReturnSetInfo *out)
{
	for (int i = 0; i < batch->nevents; i++)
		tuplestore_puttuple(out->setResult, om_ingest_result(batch->events[i], out->setDesc));
}

int
om_compare_ordinals(const void *a, const void *b)
{
	const OmEvent *left = *(OmEvent *const *) a;
	const OmEvent *right = *(OmEvent *const *) b;
	int			result = left->delivery->ordinal - right->delivery->ordinal;

	return result != 0 ? result : left->part - right->part;
}

/* Deliveries in the order of the keys of their events, which is the order of the locks */
static int
compare_deliveries(const void *a, const void *b)
{
	const OmEvent *left = *(OmEvent *const *) a;
	const OmEvent *right = *(OmEvent *const *) b;
	int			result = strcmp(left->delivery->provider, right->delivery->provider);

	if (result == 0)
		result = strcmp(left->dedupe_key, right->dedupe_key);
	return result != 0 ? result : left->delivery->ordinal - right->delivery->ordinal;
}

/*
 * A delivery by itself, after those around it failed together.  One that fails by itself is
 * tried twice: what it met may have been somebody attaching a partition, and
 * a dead letter is for what fails whenever it is tried.
 */
static void
apply_one(OmBatch *batch)
{
	ErrorData  *error = NULL;

	for (int tries = 0; tries < 2; tries++)
		if ((error = om_ingest_try(batch)) == NULL)
			return;
	bury(batch, error);
}

/* A batch of the deliveries of some events, each with one */
static OmBatch *
part_of(const OmBatch *whole, OmEvent **events, int count)
{
	OmBatch    *part = palloc(sizeof(OmBatch));

	*part = *whole;
	part->events = NULL;
	part->nevents = 0;
	part->deliveries = palloc(sizeof(OmDelivery *) * count);
	part->ndeliveries = count;
	for (int i = 0; i < count; i++)
		part->deliveries[i] = events[i]->delivery;
	return part;
}

/*
 * All of them together failed.  The good ones among them shall not pay for it one by one, and nothing shall be
 * tried over and over: so there are groups of the square root of their number, and a group that fails is
 * taken apart.  Each delivery is tried four times at most.  The parts come back as a list.
 */
static List *
apply_apart(OmBatch *together)
{
	OmEvent   **first = palloc(sizeof(OmEvent *) * together->ndeliveries);
	List	   *parts = NIL;
	int			size = 1;

	together->nevents = 0;
	om_event_read(together);
	for (int e = together->nevents - 1; e >= 0; e--)
		first[together->events[e]->delivery->ordinal - 1] = together->events[e];
	qsort(first, together->ndeliveries, sizeof(OmEvent *), compare_deliveries);

	/* of few, one by one at once */
	while (together->ndeliveries > 8 && size * size < together->ndeliveries)
		size++;
	for (int begin = 0; begin < together->ndeliveries; begin += size)
	{
		int			count = Min(size, together->ndeliveries - begin);
		OmBatch    *group = part_of(together, &first[begin], count);

		CHECK_FOR_INTERRUPTS();
		if (count > 1 && om_ingest_try(group) == NULL)
		{
			parts = lappend(parts, group);
			continue;
		}
		for (int i = 0; i < count; i++)
		{
			OmBatch    *one = part_of(together, &first[begin + i], 1);

			CHECK_FOR_INTERRUPTS();
			apply_one(one);
			parts = lappend(parts, one);
		}
	}
	return parts;
}

static void
tell_results(const OmBatch *batch, ReturnSetInfo *out, int *counts)
{
	if (out != NULL)
		om_ingest_put_results(batch, out);
	for (int i = 0; counts != NULL && i < batch->nevents; i++)
		counts[batch->events[i]->outcome]++;
}

/* Apply all deliveries; results go to out and are added to counts, both of which may be NULL */
static void
ingest(OmDelivery *deliveries, int count, bool again, ReturnSetInfo *out, int *counts)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "omnimsg batch",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	OmBatch		batch = {0};

	batch.now = GetCurrentTimestamp();
	batch.again = again;
	batch.ndeliveries = count;
	batch.deliveries = palloc(sizeof(OmDelivery *) * Max(count, 1));
	for (int i = 0; i < count; i++)
		batch.deliveries[i] = &deliveries[i];

	if (count > 0 && om_ingest_try(&batch) == NULL)
		tell_results(&batch, out, counts);
	else if (count > 0)
	{
		List	   *parts = apply_apart(&batch);
		ListCell   *cell;

		/* The events of all parts, in the order in which they were given */
		batch.nevents = 0;
		batch.events = NULL;
		foreach(cell, parts)
			batch.nevents += ((OmBatch *) lfirst(cell))->nevents;
		batch.events = palloc(sizeof(OmEvent *) * batch.nevents);
		batch.nevents = 0;
		foreach(cell, parts)
			for (int i = 0; i < ((OmBatch *) lfirst(cell))->nevents; i++)
				batch.events[batch.nevents++] = ((OmBatch *) lfirst(cell))->events[i];
		qsort(batch.events, batch.nevents, sizeof(OmEvent *), om_compare_ordinals);
		tell_results(&batch, out, counts);
	}

	MemoryContextSwitchTo(before);
	MemoryContextDelete(context);
}

/*
 * omnimsg_ingest(provider text, body bytea, signature text, signed_at text, key_id text,
 *		delivery_id text) returns setof omnimsg.ingest_result
 *
 * A batch of one.
 */
Datum
omnimsg_ingest(PG_FUNCTION_ARGS)
{
	OmDelivery	delivery;

	om_delivery_argument(fcinfo, &delivery);
	om_ingest_begin(fcinfo);
	ingest(&delivery, 1, false, (ReturnSetInfo *) fcinfo->resultinfo, NULL);
	SPI_finish();
	return (Datum) 0;
}

/*
 * omnimsg_ingest_batch(providers text[], bodies bytea[], signatures text[], signed_at text[],
 *		key_ids text[], delivery_ids text[]) returns setof omnimsg.ingest_result
 */
Datum
omnimsg_ingest_batch(PG_FUNCTION_ARGS)
{
	OmDelivery *deliveries;
	int			count = om_delivery_arrays(fcinfo, "delivery_ids", &deliveries, NULL);

	om_ingest_begin(fcinfo);
	ingest(deliveries, count, false, (ReturnSetInfo *) fcinfo->resultinfo, NULL);
	SPI_finish();
	return (Datum) 0;
}

/* What a query for pending events returned, through the same steps again */
static int
ingest_again(uint64 rows)
{
	OmDelivery *deliveries = palloc0(sizeof(OmDelivery) * Max(rows, 1));
	int			counts[OM_OUTCOMES] = {0};

	for (uint64 row = 0; row < rows; row++)
	{
		OmDelivery *delivery = &deliveries[row];
		bool		isnull;
		bytea	   *raw = DatumGetByteaPCopy(SPI_getbinval(SPI_tuptable->vals[row],
														   SPI_tuptable->tupdesc, 2, &isnull));

		delivery->ordinal = row + 1;
		delivery->provider = om_field_text(row, 1);
		delivery->body = VARDATA(raw);
		delivery->length = VARSIZE(raw) - VARHDRSZ;
		delivery->signature = om_field_text(row, 3);
		delivery->key_id = om_field_text(row, 4);
		delivery->signed_at = om_field_time(row, 5, &isnull);
		delivery->dedupe_key = om_field_text(row, 6);
		delivery->checked = true;
	}
	ingest(deliveries, rows, true, NULL, counts);
	return counts[OM_APPLIED];
}

void
om_ingest_fetched(OmDelivery *deliveries, int count, int counts[OM_OUTCOMES])
{
	ingest(deliveries, count, false, NULL, counts);
}

int
om_ingest_pending_of(OmColumn *external_ids)
{
	if (external_ids->count == 0)
		return 0;
	return ingest_again(om_db_run(&find_pending_of, (Datum[]) {om_column_array(external_ids)}));
}

int
om_ingest_pending_since(TimestampTz since)
{
	return ingest_again(om_db_run(&find_pending_since, (Datum[]) {TimestampTzGetDatum(since)}));
}
