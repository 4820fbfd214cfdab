/*
 * deadletter.c
 *		What is kept without effect, and its replay.
 *
 * The relay hands over what it must not apply: a delivery with a right signature and a stale time, and one that
 * crashed the server each time it was tried.  Neither may stand in the way of the event itself, which
 * may yet come as it should, so they are kept under keys that no event has.
 *
 * A replay runs the bytes of a dead letter through the steps of ingest.  The row of the letter is locked before
 * anything else, so of two replays one waits and then finds that it is settled.  What the bytes tell is
 * claimed under the key of the event, as a fresh delivery of it would be: the letter may have another
 * key, because nobody read it, or because an older version could not.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "arguments.h"
#include "compat.h"
#include "ingest.h"
#include "tenant.h"

OM_SQL_FUNCTION(omnimsg_keep_dead);
OM_SQL_FUNCTION(omnimsg_replay_dead_letter);
OM_SQL_FUNCTION(omnimsg_replay_dead_letters);

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

/*
 * Whatever its outcome: another replay may have settled it while we waited.  Whose list told of another account's number
 * was not written down before version 1.2: then it is one that has no numbers.
 */
static OmStatement lock_letter = {
	"SELECT e.outcome, e.reason, e.event_type, e.raw, e.signature, e.key_id, e.signed_at, e.received_at,\n"
	"       least(e.received_at, e.signed_at) < now() - coalesce(current_setting('omnimsg.journal_retention', true), '400 days')::interval,\n"
	"       coalesce(e.fetched_from, CASE WHEN starts_with(e.dedupe_key, 'foreign:')\n"
	"                                     THEN uuid '00000000-0000-0000-0000-000000000000' END)\n"
	"  FROM omnimsg.events e WHERE e.provider = $1 AND e.dedupe_key = $2\n"
	"   AND (NOT $3 OR e.organization_id = $4) FOR UPDATE",
	4, {TEXTOID, TEXTOID, BOOLOID, UUIDOID}, NULL
};

static OmStatement find_letters = {
	"SELECT e.provider, e.dedupe_key FROM omnimsg.events e\n"
	" WHERE e.outcome = 'dead' AND starts_with(coalesce(e.reason, ''), $1)\n"
	"   AND (NOT $3 OR e.organization_id = $4)\n"
	" ORDER BY e.received_at, e.provider, e.dedupe_key LIMIT $2",
	4, {TEXTOID, INT4OID, BOOLOID, UUIDOID}, NULL
};

/* What it became is in the journal under its own key, with the bytes if they are evidence */
static OmStatement settle_letter = {
	"UPDATE omnimsg.events e\n"
	"   SET outcome = 'ignored', reason = $3, sqlstate = NULL, attempts = e.attempts + 1,\n"
	"       raw = NULL, signature = NULL\n"
	" WHERE e.provider = $1 AND e.dedupe_key = $2",
	3, {TEXTOID, TEXTOID, TEXTOID}, NULL
};

static OmStatement keep_letter = {
	"UPDATE omnimsg.events e\n"
	"   SET reason = $3, sqlstate = nullif($4, ''), attempts = e.attempts + 1\n"
	" WHERE e.provider = $1 AND e.dedupe_key = $2",
	4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}, NULL
};

/* One dead letter to replay */
typedef struct Letter
{
	char	   *provider;
	char	   *dedupe_key;
	int			ordinal;
	bool		old;			/* so that the journal forgets events of its time */
} Letter;

/* All that one call replays, and what came of it: tuples, because a dry run rolls back what made them */
typedef struct Replay
{
	Letter	   *letters;
	int			count;
	int			at;				/* which of them it is at */
	bool		one;			/* asked for by its key: it must be there, and its errors are the caller's */
	TupleDesc	desc;
	MemoryContext context;		/* of results */
	List	   *results;
} Replay;

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
	qsort(all, count, sizeof(OmEvent *), om_compare_ordinals);
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

static void
add_result(Replay *replay, const OmEvent *event)
{
	MemoryContext before = MemoryContextSwitchTo(replay->context);

	replay->results = lappend(replay->results, om_ingest_result(event, replay->desc));
	MemoryContextSwitchTo(before);
}

/* One that was not run, or not with success */
static void
add_other_result(Replay *replay, OmDelivery *delivery, char *event_type, OmOutcome outcome,
				 const char *reason)
{
	OmEvent		event = {0};

	event.delivery = delivery;
	event.part = 1;
	event.event_type = event_type;
	event.outcome = outcome;
	event.reason = reason;
	add_result(replay, &event);
}

/* Ids and words; the letter has a key of text, so it has no place in resource_id */
static void
audit_replay(const Letter *letter, const OmEvent *event, const char *outcome, const char *became)
{
	OmAudit    *audit = om_audit_begin(GetCurrentTimestamp(), om_audit_role());

	om_audit_add(audit, event->nowners > 0 ? &event->organization_id : &om_nil_uuid,
				 "DEAD_LETTER_REPLAYED", "event", NULL, NULL,
				 om_audit_json("provider", letter->provider, "dedupe_key", letter->dedupe_key,
							   "outcome", outcome, "became", became, NULL));
	om_audit_write(audit);
}

/* What was never tried says so still, so that it can be found by that */
static char *
lasting_reason(const Letter *letter, const char *failure)
{
	if (strncmp(letter->dedupe_key, STALE ":", strlen(STALE ":")) == 0)
		return psprintf(STALE ": %s", failure);
	if (strncmp(letter->dedupe_key, CRASHED ":", strlen(CRASHED ":")) == 0)
		return psprintf(CRASHED ": %s", failure);
	return pstrdup(failure);
}

/* Run a letter that is locked and open */
static void
run_letter(Replay *replay, Letter *letter, OmDelivery *delivery)
{
	OmBatch		batch = {0};
	OmEvent    *event;
	ErrorData  *error = NULL;
	bool		own_key;
	Datum		values[4] = {CStringGetTextDatum(letter->provider), CStringGetTextDatum(letter->dedupe_key)};

	batch.now = GetCurrentTimestamp();
	batch.deliveries = &delivery;
	batch.ndeliveries = 1;
	om_event_read(&batch);
	event = batch.events[0];
	own_key = strcmp(event->dedupe_key, letter->dedupe_key) == 0;

	/* The event may have come as it should, been applied and been forgotten since; what asks for consent never is */
	if (!own_key && letter->old && !om_journal_keeps_raw(event))
	{
		add_other_result(replay, delivery, event->event_type, OM_DEAD,
						 "not replayed: it is older than omnimsg.journal_retention, and the event itself may have been applied");
		return;
	}
	if (event->kind == OM_EVENT_BROKEN)
		delivery->failure = unconstify(char *, event->reason);
	else
	{
		batch.again = own_key;
		if ((error = om_ingest_try(&batch)) != NULL)
			om_ingest_failed(delivery, error);
		else
			event = batch.events[0];
		if (error == NULL && event->refused != NULL)
			delivery->failure = unconstify(char *, event->refused);
	}

	if (delivery->failure != NULL)
	{
		char	   *reason = lasting_reason(letter, delivery->failure);

		values[2] = CStringGetTextDatum(reason);
		values[3] = CStringGetTextDatum(delivery->sqlstate ? delivery->sqlstate : "");
		om_db_run(&keep_letter, values);
		audit_replay(letter, event, om_outcome_name(OM_DEAD), NULL);
		add_other_result(replay, delivery, event->event_type, OM_DEAD, reason);
		return;
	}

	if (!own_key)
	{
		values[2] = CStringGetTextDatum(psprintf("replayed as \"%s\", which was %s", event->dedupe_key,
												 event->outcome == OM_DUPLICATE ? "there already" :
												 om_outcome_name(event->outcome)));
		om_db_run(&settle_letter, values);
	}
	audit_replay(letter, event, om_outcome_name(event->outcome), own_key ? NULL : event->dedupe_key);
	for (int i = 0; i < batch.nevents; i++)
		add_result(replay, batch.events[i]);
}

static void
replay_letter(void *argument)
{
	Replay	   *replay = argument;
	Letter	   *letter = &replay->letters[replay->at];
	OmDelivery	delivery = {0};
	char	   *outcome;
	char	   *reason;
	char	   *event_type;
	bool		bound;
	pg_uuid_t	own;
	bool		isnull;
	Datum		raw;

	delivery.ordinal = letter->ordinal;
	delivery.provider = letter->provider;
	bound = om_tenant_binds(&own);
	if (om_db_run(&lock_letter, (Datum[]) {CStringGetTextDatum(letter->provider),
				  CStringGetTextDatum(letter->dedupe_key), BoolGetDatum(bound), UUIDPGetDatum(&own)}) == 0)
	{
		if (replay->one)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("the journal has no such event of provider \"%s\"", letter->provider),
					 errhint("The keys of dead letters are in omnimsg.dead_letters.")));
		add_other_result(replay, &delivery, NULL, OM_DUPLICATE, "it was settled meanwhile");
		return;
	}

	outcome = om_field_text(0, 1);
	reason = om_field_text(0, 2);
	event_type = om_field_text(0, 3);
	raw = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4, &isnull);
	if (strcmp(outcome, "dead") != 0 || isnull)
	{
		add_other_result(replay, &delivery, event_type, OM_DUPLICATE,
						 psprintf("it is no open dead letter: %s%s%s", outcome,
								  reason ? ", " : "", reason ? reason : ""));
		return;
	}
	raw = PointerGetDatum(DatumGetByteaPCopy(raw));
	delivery.body = VARDATA(DatumGetPointer(raw));
	delivery.length = VARSIZE(DatumGetPointer(raw)) - VARHDRSZ;
	delivery.signature = om_field_text(0, 5);
	delivery.key_id = om_field_text(0, 6);
	delivery.signed_at = om_field_time(0, 7, &isnull);
	delivery.received_at = om_field_time(0, 8, &isnull);
	letter->old = om_field_bool(0, 9);
	delivery.account_id = om_field_uuid(0, 10);
	delivery.letter_key = letter->dedupe_key;
	run_letter(replay, letter, &delivery);
}

/* Somebody else was in the way, and the letter is as it was */
static bool
is_lock_trouble(int sqlstate)
{
	return sqlstate == ERRCODE_LOCK_NOT_AVAILABLE || sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED;
}

static void
replay_letters(void *argument)
{
	Replay	   *replay = argument;

	if (replay->one)
		replay_letter(replay);
	for (int i = 0; i < replay->count && !replay->one; i++)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "omnimsg dead letter",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext before = MemoryContextSwitchTo(context);
		ErrorData  *error;

		CHECK_FOR_INTERRUPTS();
		replay->at = i;
		error = om_db_try(replay_letter, replay, true);
		if (error != NULL)
		{
			OmDelivery	delivery = {.ordinal = replay->letters[i].ordinal};

			if (!is_lock_trouble(error->sqlerrcode))
				ReThrowError(error);
			add_other_result(replay, &delivery, NULL, OM_DEAD,
							 psprintf("not replayed: somebody else has it locked (SQLSTATE %s)",
									  unpack_sql_state(error->sqlerrcode)));
		}
		MemoryContextSwitchTo(before);
		MemoryContextDelete(context);
	}
}

/* For real or not, and the results to the caller */
static void
replay_all(FunctionCallInfo fcinfo, Replay *replay, bool dry_run)
{
	ReturnSetInfo *out = (ReturnSetInfo *) fcinfo->resultinfo;
	ErrorData  *error;
	ListCell   *cell;

	replay->desc = out->setDesc;
	replay->context = CurrentMemoryContext;
	if (!dry_run)
		replay_letters(replay);
	else if ((error = om_db_try(replay_letters, replay, false)) != NULL)
		ReThrowError(error);
	foreach(cell, replay->results)
		tuplestore_puttuple(out->setResult, lfirst(cell));
}

static bool
dry_run_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("dry_run must not be NULL")));
	return PG_GETARG_BOOL(2);
}

/*
 * omnimsg_replay_dead_letter(provider text, dedupe_key text, dry_run boolean)
 *		returns setof omnimsg.ingest_result
 */
Datum
omnimsg_replay_dead_letter(PG_FUNCTION_ARGS)
{
	Letter		letter = {.ordinal = 1};
	Replay		replay = {.letters = &letter, .count = 1, .one = true};
	bool		dry_run = dry_run_argument(fcinfo);

	letter.provider = om_arg_text(fcinfo, 0, "provider");
	letter.dedupe_key = om_arg_text(fcinfo, 1, "dedupe_key");
	om_ingest_begin(fcinfo);
	replay_all(fcinfo, &replay, dry_run);
	SPI_finish();
	return (Datum) 0;
}

/*
 * omnimsg_replay_dead_letters(reason text, max_count int, dry_run boolean)
 *		returns setof omnimsg.ingest_result
 */
Datum
omnimsg_replay_dead_letters(PG_FUNCTION_ARGS)
{
	Replay		replay = {0};
	char	   *reason = PG_ARGISNULL(0) ? "" : om_arg_text(fcinfo, 0, "reason");
	bool		dry_run = dry_run_argument(fcinfo);
	pg_uuid_t	own;
	bool		bound = om_tenant_binds(&own);

	if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_count must be at least 1")));
	om_ingest_begin(fcinfo);
	replay.count = om_db_run(&find_letters, (Datum[]) {CStringGetTextDatum(reason), PG_GETARG_DATUM(1),
							 BoolGetDatum(bound), UUIDPGetDatum(&own)});
	replay.letters = palloc(sizeof(Letter) * Max(replay.count, 1));
	for (int i = 0; i < replay.count; i++)
	{
		replay.letters[i].provider = om_field_text(i, 1);
		replay.letters[i].dedupe_key = om_field_text(i, 2);
		replay.letters[i].ordinal = i + 1;
	}
	replay_all(fcinfo, &replay, dry_run);
	SPI_finish();
	return (Datum) 0;
}
