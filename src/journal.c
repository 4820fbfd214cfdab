/*
 * journal.c
 *		Claim each event, once.
 *
 * The primary key (provider, dedupe_key) is what makes ingest exactly once: whoever
 * inserts the row applies the event, in the same transaction, and nobody else ever
 * does.  Rows are claimed in key order, so that two batches with the same events wait
 * for each other instead of deadlocking.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "compat.h"
#include "ingest.h"

#define JOURNAL_COLUMNS \
	"provider, dedupe_key, event_type, occurred_at, organization_id, message_id,\n" \
	"external_message_id, outcome, reason, key_id, signed_at, signature, raw, sqlstate, attempts, fetched_from"
#define JOURNAL_TYPES \
	TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, UUIDARRAYOID, UUIDARRAYOID, \
	TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, \
	BYTEAARRAYOID, TEXTARRAYOID, INT4ARRAYOID, UUIDARRAYOID
#define JOURNAL_ARGS 16

static OmStatement claim = {
	"INSERT INTO omnimsg.events (received_at, " JOURNAL_COLUMNS ")\n"
	"SELECT $17, w.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) AS w\n"
	"ON CONFLICT (provider, dedupe_key) DO NOTHING\n"
	"RETURNING provider, dedupe_key",
	JOURNAL_ARGS + 1, {JOURNAL_TYPES, TIMESTAMPTZOID}, NULL
};

/*
 * Events that are in the journal already and have had no effect yet.  The rows come back in
 * the order of strcmp, as those of an insert do, which keeps the order given.
 */
static OmStatement claim_again = {
	"WITH claimed AS (\n"
	"UPDATE omnimsg.events e\n"
	"   SET event_type = w.event_type, occurred_at = w.occurred_at,\n"
	"       organization_id = w.organization_id, message_id = w.message_id,\n"
	"       external_message_id = w.external_message_id, outcome = w.outcome,\n"
	"       reason = w.reason, sqlstate = w.sqlstate, attempts = e.attempts + w.attempts,\n"
	"       signature = w.signature, raw = w.raw\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)\n"
	"    AS w (" JOURNAL_COLUMNS ")\n"
	" WHERE e.provider = w.provider AND e.dedupe_key = w.dedupe_key\n"
	"   AND e.outcome IN ('pending', 'dead')\n"
	"RETURNING e.provider, e.dedupe_key)\n"
	"SELECT c.provider, c.dedupe_key FROM claimed c\n"
	" ORDER BY c.provider COLLATE \"C\", c.dedupe_key COLLATE \"C\"",
	JOURNAL_ARGS, {JOURNAL_TYPES}, NULL
};

/* They stay counted as received: the outcome is that of the row */
static OmStatement bury = {
	"UPDATE omnimsg.events e\n"
	"   SET outcome = 'dead', reason = w.reason, sqlstate = w.sqlstate, attempts = e.attempts + 1,\n"
	"       organization_id = NULL, message_id = NULL, signature = w.signature, raw = w.raw\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6) AS w(provider, dedupe_key, reason, sqlstate, signature, raw)\n"
	" WHERE e.provider = w.provider AND e.dedupe_key = w.dedupe_key",
	6, {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BYTEAARRAYOID}, NULL
};

/* Of what was erased before it came the hash is left, as of what was erased after */
static OmStatement forget = {
	"UPDATE omnimsg.events e\n"
	"   SET raw = NULL, signature = NULL, raw_sha256 = CASE WHEN w.proves THEN sha256(e.raw) END\n"
	"  FROM unnest($1, $2, $3) AS w(provider, dedupe_key, proves)\n"
	" WHERE e.provider = w.provider AND e.dedupe_key = w.dedupe_key",
	3, {TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID}, NULL
};

/*
 * What was received is counted here and not by counting rows, so that omnimsg.conservation shows a row that
 * has vanished from the journal.  A row per provider and transaction, so that nobody waits for anybody.
 */
static OmStatement count_received = {
	"INSERT INTO omnimsg.event_counts (provider, received, duplicates, counted_at)\n"
	"SELECT w.provider, w.received, w.duplicates, $4\n"
	"  FROM unnest($1, $2, $3) AS w(provider, received, duplicates)",
	4, {TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID}, NULL
};

static int
compare_events(const void *a, const void *b)
{
	const OmEvent *left = *(OmEvent *const *) a;
	const OmEvent *right = *(OmEvent *const *) b;
	int			result = strcmp(left->delivery->provider, right->delivery->provider);

	if (result == 0)
		result = strcmp(left->dedupe_key, right->dedupe_key);
	if (result == 0)
		result = left->delivery->ordinal - right->delivery->ordinal;
	return result != 0 ? result : left->part - right->part;
}

static bool
same_key(const OmEvent *left, const OmEvent *right)
{
	return strcmp(left->delivery->provider, right->delivery->provider) == 0 &&
		strcmp(left->dedupe_key, right->dedupe_key) == 0;
}

/* The bytes are kept where somebody may have to read them again: as evidence, or to apply them */
bool
om_journal_keeps_raw(const OmEvent *event)
{
	return event->outcome == OM_DEAD || event->outcome == OM_PENDING ||
		event->intent.label == OM_INTENT_OPT_OUT || event->intent.label == OM_INTENT_OPT_IN ||
		event->intent.label == OM_INTENT_MAYBE_OPT_OUT ||
		(event->kind == OM_EVENT_STATUS && event->status && strcmp(event->status, "blocked") == 0);
}

/* sorted has the events of each provider side by side */
static void
count_events(OmEvent **sorted, int count, TimestampTz now)
{
	OmColumn   *providers = om_column(TEXTOID, 1);
	OmColumn   *received = om_column(INT4OID, 1);
	OmColumn   *duplicates = om_column(INT4OID, 1);
	int			first = 0;

	for (int i = 1; i <= count; i++)
	{
		int			claimed = 0;

		if (i < count && strcmp(sorted[i]->delivery->provider, sorted[first]->delivery->provider) == 0)
			continue;
		for (int e = first; e < i; e++)
			claimed += sorted[e]->outcome != OM_DUPLICATE;
		om_column_add_text(providers, sorted[first]->delivery->provider);
		om_column_add_int(received, claimed);
		om_column_add_int(duplicates, i - first - claimed);
		first = i;
	}
	om_db_run(&count_received, (Datum[]) {om_column_array(providers), om_column_array(received),
			  om_column_array(duplicates), TimestampTzGetDatum(now)});
}

static Datum
raw_of(const OmDelivery *delivery)
{
	bytea	   *raw = palloc(VARHDRSZ + delivery->length);

	SET_VARSIZE(raw, VARHDRSZ + delivery->length);
	memcpy(VARDATA(raw), delivery->body, delivery->length);
	return PointerGetDatum(raw);
}

void
om_journal_bury(OmEvent **events, int count)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID};
	OmColumn   *columns[lengthof(types)];
	Datum		values[lengthof(types)];

	for (int c = 0; c < (int) lengthof(types); c++)
		columns[c] = om_column(types[c], 1);
	for (int i = 0; i < count; i++)
	{
		const OmDelivery *delivery = events[i]->delivery;

		if (events[i]->outcome != OM_DEAD)
			continue;
		om_column_add_text(columns[0], delivery->provider);
		om_column_add_text(columns[1], events[i]->dedupe_key);
		om_column_add_text(columns[2], events[i]->reason);
		om_column_add_text(columns[3], delivery->sqlstate);
		om_column_add_text(columns[4], delivery->signature);
		om_column_add(columns[5], raw_of(delivery), false);
	}
	if (columns[0]->count == 0)
		return;
	for (int c = 0; c < (int) lengthof(types); c++)
		values[c] = om_column_array(columns[c]);
	om_db_run(&bury, values);
}

void
om_journal_forget(OmEvent **events, const bool *proves, int count)
{
	OmColumn   *providers = om_column(TEXTOID, count);
	OmColumn   *keys = om_column(TEXTOID, count);
	OmColumn   *proving = om_column(BOOLOID, count);

	if (count == 0)
		return;
	for (int i = 0; i < count; i++)
	{
		om_column_add_text(providers, events[i]->delivery->provider);
		om_column_add_text(keys, events[i]->dedupe_key);
		om_column_add_bool(proving, proves[i]);
	}
	om_db_run(&forget, (Datum[]) {om_column_array(providers), om_column_array(keys), om_column_array(proving)});
}

void
om_journal_claim(OmBatch *batch)
{
	static const Oid types[JOURNAL_ARGS] = {
		TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, UUIDOID, UUIDOID,
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, BYTEAOID, TEXTOID, INT4OID, UUIDOID
	};
	OmEvent   **sorted = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	OmColumn   *columns[JOURNAL_ARGS];
	Datum		values[JOURNAL_ARGS + 1];
	OmEvent    *previous = NULL;
	uint64		rows;
	uint64		row = 0;

	if (batch->nevents == 0)
		return;
	memcpy(sorted, batch->events, sizeof(OmEvent *) * batch->nevents);
	qsort(sorted, batch->nevents, sizeof(OmEvent *), compare_events);
	for (int c = 0; c < JOURNAL_ARGS; c++)
		columns[c] = om_column(types[c], batch->nevents);

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = sorted[i];
		bool		keep = om_journal_keeps_raw(event);
		bool		routed = event->nowners > 0;

		if (previous != NULL && same_key(previous, event))
			continue;
		previous = event;
		om_column_add_text(columns[0], event->delivery->provider);
		om_column_add_text(columns[1], event->dedupe_key);
		om_column_add_text(columns[2], event->event_type);
		om_column_add_time(columns[3], event->occurred_at);
		om_column_add_uuid(columns[4], routed ? &event->organization_id : NULL);
		om_column_add_uuid(columns[5], event->has_message ? &event->message_id : NULL);
		om_column_add_text(columns[6], event->outcome == OM_PENDING ? event->external_id : NULL);
		om_column_add_text(columns[7], om_outcome_name(event->outcome));
		om_column_add_text(columns[8], event->reason);
		om_column_add_text(columns[9], event->delivery->key_id);
		om_column_add_time(columns[10], event->delivery->signed_at);
		om_column_add_text(columns[11], keep ? event->delivery->signature : NULL);
		om_column_add(columns[12], keep ? raw_of(event->delivery) : (Datum) 0, !keep);
		om_column_add_text(columns[13], event->outcome == OM_DEAD ? event->delivery->sqlstate : NULL);
		om_column_add_int(columns[14], event->delivery->attempts);
		om_column_add_uuid(columns[15], event->delivery->account_id);
	}

	for (int c = 0; c < JOURNAL_ARGS; c++)
		values[c] = om_column_array(columns[c]);
	values[JOURNAL_ARGS] = TimestampTzGetDatum(batch->now);
	rows = om_db_run(batch->again ? &claim_again : &claim, values);

	/* Both come back in the order of sorted, so one pass tells what was claimed */
	previous = NULL;
	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = sorted[i];
		bool		claimed = false;

		if (row < rows && (previous == NULL || !same_key(previous, event)))
		{
			claimed = strcmp(om_field_text(row, 1), event->delivery->provider) == 0 &&
				strcmp(om_field_text(row, 2), event->dedupe_key) == 0;
			if (claimed)
				row++;
		}
		previous = event;
		if (!claimed)
		{
			event->outcome = OM_DUPLICATE;
			event->reason = NULL;
		}
	}

	/* An event that was claimed and not applied would be lost for ever */
	if (row != rows)
		elog(ERROR, "claimed events came back in another order");
	if (!batch->again)
		count_events(sorted, batch->nevents, batch->now);
}
