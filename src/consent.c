/*
 * consent.c
 *		Requests to stop and to start again, and the state they add up to.
 *
 * The state of (organization, channel, address, scope) is a function of the set of its
 * requests, so the order in which they arrive does not matter:
 *
 *	- an opt-out stands unless a later opt-in lifts it; at the same instant the opt-out
 *	  wins;
 *	- an opt-in by 'import' or 'api' lifts nothing; one with our_address_only lifts only
 *	  opt-outs made through the same number of ours;
 *	- while any opt-out stands the state is 'opted_out', decided by the newest of them;
 *	- else it is 'opted_in', decided by the newest opt-in that is not limited to a number
 *	  or that lifted something; else nothing decides;
 *	- a category folds the requests of 'all' and its own.
 *
 * Computing that under concurrency: the row of scope 'all' is the lock of its address.
 * Whoever adds a request makes sure that the row is there, locks it, adds the request,
 * and folds with a snapshot taken after the lock, which sees every request that
 * others committed before they let go of it.
 *
 * A STOP must not wait for a stranger's open transaction.  Where the lock cannot be had soon,
 * the request is recorded, which needs no lock, and the address is noted in
 * omnimsg.consent_repairs; the worker folds it, and until then nothing is sent to it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "account.h"
#include "arguments.h"
#include "compat.h"
#include "consent.h"
#include "erased.h"
#include "shmem.h"

OM_SQL_FUNCTION(omnimsg_consent_as_of);

/* How long a single address is waited for, when one of several is locked, and all of them */
#define PATIENCE_ALONE_MS	5
#define PATIENCE_ALONE_ALL_MS	200

/* How many deferred addresses the worker takes at once */
#define DEFERRED_LIMIT	100

static OmStatement make_rows = {
	"INSERT INTO omnimsg.consents (organization_id, channel, address, scope, changed_at)\n"
	"SELECT DISTINCT w.organization_id, w.channel, w.address, s.scope, $5\n"
	"  FROM unnest($1, $2, $3, $4) AS w(organization_id, channel, address, scope)\n"
	" CROSS JOIN LATERAL (VALUES ('all'), (w.scope)) AS s(scope)\n"
	" ORDER BY 1, 2, 3, 4\n"
	"ON CONFLICT (organization_id, channel, address, scope) DO NOTHING",
	5, {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}, NULL
};

static OmStatement lock_rows = {
	"SELECT w.n, c.state = 'opted_out'\n"
	"  FROM unnest($1, $2, $3) WITH ORDINALITY AS w(organization_id, channel, address, n)\n"
	"  JOIN omnimsg.consents c\n"
	"    ON c.organization_id = w.organization_id AND c.channel = w.channel\n"
	"   AND c.address = w.address AND c.scope = 'all'\n"
	" ORDER BY c.organization_id, c.channel, c.address\n"
	"   FOR UPDATE OF c",
	3, {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
};

static OmStatement insert_requests = {
	"INSERT INTO omnimsg.opt_out_requests (organization_id, id, channel, address, our_address,\n"
	"    our_address_only, account_id, request_type, scope, source, rule, matched_text, note,\n"
	"    message_id, provider, dedupe_key, occurred_at, created_at)\n"
	"SELECT w.*, $18\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) AS w",
	18, {UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID,
		UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID,
		TIMESTAMPTZOID}, NULL
};

/*
 * The fold described above, of the scopes that "target" names, by the requests that the
 * condition lets count.  "decided" is the result: a row for each scope that has requests.  The provider's
 * block stands until a START of the person to the same number, or to another number of the same
 * provider account, which is where the provider keeps it, whichever organization has the number now.
 */
#define FOLD(target, condition) \
	"WITH target AS (\n" target "),\n" \
	"request AS (\n" \
	"  SELECT t.organization_id, t.channel, t.address, t.scope, q.id, q.occurred_at,\n" \
	"         q.request_type = 'opt_out' AS stops, q.our_address_only, q.our_address, q.source,\n" \
	"         coalesce((SELECT min(n.provider_account_id::text) FROM omnimsg.inbound_phone_numbers n\n" \
	"                    WHERE n.phone_number = q.our_address), q.our_address) AS profile,\n" \
	"         q.request_type = 'opt_in' AND q.source NOT IN ('import', 'api') AS lifts\n" \
	"    FROM target t\n" \
	"    JOIN omnimsg.opt_out_requests q\n" \
	"      ON q.organization_id = t.organization_id AND q.channel = t.channel\n" \
	"     AND q.address = t.address AND q.scope IN ('all', t.scope)" condition "),\n" \
	"seen AS (\n" \
	"  SELECT r.*,\n" \
	"         max(occurred_at) FILTER (WHERE lifts AND NOT our_address_only) OVER everything AS lifted_all,\n" \
	"         max(occurred_at) FILTER (WHERE lifts AND our_address_only) OVER same_number AS lifted_here,\n" \
	"         min(occurred_at) FILTER (WHERE stops) OVER same_number AS first_stop_here,\n" \
	"         max(occurred_at) FILTER (WHERE lifts AND source IN ('keyword', 'free_text', 'provider'))\n" \
	"           OVER same_profile AS restarted\n" \
	"    FROM request r\n" \
	"  WINDOW everything AS (PARTITION BY organization_id, channel, address, scope),\n" \
	"         same_number AS (PARTITION BY organization_id, channel, address, scope, our_address),\n" \
	"         same_profile AS (PARTITION BY organization_id, channel, address, scope, profile)),\n" \
	"judged AS (\n" \
	"  SELECT s.*,\n" \
	"         stops AND (lifted_all IS NULL OR occurred_at >= lifted_all)\n" \
	"               AND (lifted_here IS NULL OR our_address IS NULL OR occurred_at >= lifted_here) AS stands,\n" \
	"         NOT stops AND (NOT our_address_only OR first_stop_here < occurred_at) AS starts,\n" \
	"         bool_or(source = 'provider_block' AND (restarted IS NULL OR occurred_at >= restarted))\n" \
	"           OVER (PARTITION BY organization_id, channel, address, scope) AS blocked\n" \
	"    FROM seen s),\n" \
	"decided AS (\n" \
	"  SELECT DISTINCT ON (organization_id, channel, address, scope) *\n" \
	"    FROM judged\n" \
	"   ORDER BY organization_id, channel, address, scope,\n" \
	"            stands DESC, coalesce(starts, false) DESC, occurred_at DESC, id DESC)"

static OmStatement fold = {
	FOLD("  SELECT c.organization_id, c.channel, c.address, c.scope\n"
		 "    FROM omnimsg.consents c\n"
		 "   WHERE (c.organization_id, c.channel, c.address) IN (\n"
		 "           SELECT w.organization_id, w.channel, w.address\n"
		 "             FROM unnest($1, $2, $3) AS w(organization_id, channel, address))", "") ",\n"
	"folded AS (\n"
	"UPDATE omnimsg.consents c\n"
	"   SET state = CASE WHEN d.stands THEN 'opted_out' WHEN d.starts THEN 'opted_in' END,\n"
	"       decided_at = CASE WHEN d.stands OR d.starts THEN d.occurred_at END,\n"
	"       request_id = CASE WHEN d.stands OR d.starts THEN d.id END,\n"
	"       provider_blocked = d.blocked, changed_at = $4\n"
	"  FROM decided d\n"
	" WHERE c.organization_id = d.organization_id AND c.channel = d.channel\n"
	"   AND c.address = d.address AND c.scope = d.scope\n"
	"RETURNING c.organization_id, c.channel, c.address, c.scope, c.request_id, c.provider_blocked)\n"
	"SELECT w.n, f.request_id, f.provider_blocked\n"
	"  FROM unnest($1, $2, $3) WITH ORDINALITY AS w(organization_id, channel, address, n)\n"
	"  JOIN folded f\n"
	"    ON f.organization_id = w.organization_id AND f.channel = w.channel\n"
	"   AND f.address = w.address AND f.scope = 'all'",
	4, {UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}, NULL
};

static OmStatement fold_as_of = {
	FOLD("  SELECT $1 AS organization_id, $2 AS channel, $3 AS address, $4 AS scope",
		 " AND q.occurred_at <= $5 AND q.created_at <= $6") "\n"
	"SELECT CASE WHEN d.stands THEN 'opted_out' WHEN d.starts THEN 'opted_in' END, d.occurred_at, d.id\n"
	"  FROM decided d",
	6, {UUIDOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
};

static OmStatement insert_repairs = {
	"INSERT INTO omnimsg.consent_repairs (organization_id, id, channel, address, scope)\n"
	"SELECT w.* FROM unnest($1, $2, $3, $4, $5) AS w",
	5, {UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, NULL
};

static OmStatement take_repairs = {
	"WITH taken AS (\n"
	"  DELETE FROM omnimsg.consent_repairs r\n"
	"   WHERE (r.organization_id, r.id) IN (\n"
	"           SELECT q.organization_id, q.id FROM omnimsg.consent_repairs q\n"
	"            ORDER BY q.organization_id, q.id LIMIT $1 FOR UPDATE SKIP LOCKED)\n"
	"  RETURNING r.organization_id, r.channel, r.address, r.scope)\n"
	"SELECT DISTINCT t.organization_id, t.channel, t.address, t.scope FROM taken t",
	1, {INT8OID}, NULL
};

static void
store_requests(OmRequest **requests, int count, TimestampTz now)
{
	static const Oid types[17] = {
		UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, UUIDOID, TEXTOID, TEXTOID,
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID
	};
	OmColumn   *columns[17];
	Datum		values[18];

	for (int c = 0; c < 17; c++)
		columns[c] = om_column(types[c], count);
	for (int i = 0; i < count; i++)
	{
		OmRequest  *request = requests[i];

		om_uuid7(&request->id);
		om_column_add_uuid(columns[0], &request->organization_id);
		om_column_add_uuid(columns[1], &request->id);
		om_column_add_text(columns[2], request->channel);
		om_column_add_text(columns[3], request->address);
		om_column_add_text(columns[4], request->our_address);
		om_column_add_bool(columns[5], request->our_address_only);
		om_column_add_uuid(columns[6], request->account_id);
		om_column_add_text(columns[7], request->request_type);
		om_column_add_text(columns[8], request->scope);
		om_column_add_text(columns[9], request->source);
		om_column_add_text(columns[10], request->rule);
		om_column_add_text(columns[11], request->matched_text);
		om_column_add_text(columns[12], request->note);
		om_column_add_uuid(columns[13], request->message_id);
		om_column_add_text(columns[14], request->provider);
		om_column_add_text(columns[15], request->dedupe_key);
		om_column_add_time(columns[16], request->occurred_at);
	}
	for (int c = 0; c < 17; c++)
		values[c] = om_column_array(columns[c]);
	values[17] = TimestampTzGetDatum(now);
	om_db_run(&insert_requests, values);
}

/*
 * Make the rows and lock them; key is organizations, channels, addresses, scopes and the time.  Whoever erased a person
 * or brought one back meanwhile has taken the row that was waited for away, so it is made again.
 */
static uint64
lock_consents(Datum *key, int count)
{
	uint64		rows;

	do
	{
		CHECK_FOR_INTERRUPTS();
		om_db_run(&make_rows, key);
		rows = om_db_run_generic(&lock_rows, key);
	} while (rows < (uint64) count);
	return rows;
}

void
om_consent_lock(OmColumn *organization_ids, OmColumn *channels, OmColumn *addresses, TimestampTz now)
{
	OmColumn   *scopes = om_column(TEXTOID, addresses->count);

	for (int i = 0; i < addresses->count; i++)
		om_column_add_text(scopes, "all");
	lock_consents((Datum[]) {om_column_array(organization_ids), om_column_array(channels),
				  om_column_array(addresses), om_column_array(scopes), TimestampTzGetDatum(now)},
				  addresses->count);
}

void
om_consent_refold(OmColumn *organization_ids, OmColumn *channels, OmColumn *addresses, TimestampTz now)
{
	om_consent_lock(organization_ids, channels, addresses, now);
	om_db_run_generic(&fold, (Datum[]) {om_column_array(organization_ids), om_column_array(channels),
			  om_column_array(addresses), TimestampTzGetDatum(now)});
	om_account_copy_consent(organization_ids, addresses, now);
}

/*
 * Lock, fold, and copy to the accounts.  The requests have been stored.
 */
static void
fold_requests(OmRequest **requests, int count, TimestampTz now)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *channels = om_column(TEXTOID, count);
	OmColumn   *addresses = om_column(TEXTOID, count);
	OmColumn   *scopes = om_column(TEXTOID, count);
	Datum		key[5];
	uint64		rows;

	for (int i = 0; i < count; i++)
	{
		om_column_add_uuid(organization_ids, &requests[i]->organization_id);
		om_column_add_text(channels, requests[i]->channel);
		om_column_add_text(addresses, requests[i]->address);
		om_column_add_text(scopes, requests[i]->scope);
	}
	key[0] = om_column_array(organization_ids);
	key[1] = om_column_array(channels);
	key[2] = om_column_array(addresses);
	key[3] = om_column_array(scopes);
	key[4] = TimestampTzGetDatum(now);

	rows = lock_consents(key, count);
	if (om_erased_any())
	{
		om_erased_recall(organization_ids, addresses, now);
		rows = om_db_run_generic(&lock_rows, key);	/* the states of those who are back are others */
	}
	for (uint64 row = 0; row < rows; row++)
		requests[om_field_int(row, 1) - 1]->was_opted_out = om_field_bool(row, 2);

	rows = om_db_run_generic(&fold, (Datum[]) {key[0], key[1], key[2], key[4]});
	for (uint64 row = 0; row < rows; row++)
	{
		OmRequest  *request = requests[om_field_int(row, 1) - 1];
		pg_uuid_t  *decider = om_field_uuid(row, 2);

		request->decides = decider && memcmp(decider, &request->id, sizeof(pg_uuid_t)) == 0;
		request->provider_blocked = om_field_bool(row, 3);
	}

	om_account_copy_consent(organization_ids, addresses, now);
}

typedef struct Fold
{
	OmRequest **requests;
	int			count;
	TimestampTz now;
} Fold;

static void
fold_them(void *argument)
{
	const Fold *fold_of = argument;

	fold_requests(fold_of->requests, fold_of->count, fold_of->now);
}

/* fold_requests, unless a lock is not to be had within patience_ms; false then, and nothing was done */
static bool
try_fold(OmRequest **requests, int count, TimestampTz now, int patience_ms)
{
	Fold		fold_of = {requests, count, now};
	ErrorData  *error;
	int			level = NewGUCNestLevel();
	char		timeout[16];

	snprintf(timeout, sizeof(timeout), "%d", patience_ms);
	(void) set_config_option("lock_timeout", timeout, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	error = om_db_try(fold_them, &fold_of, true);
	AtEOXact_GUC(true, level);

	if (error != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	return error == NULL;
}

static void
defer(OmRequest **requests, int count)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *ids = om_column(UUIDOID, count);
	OmColumn   *channels = om_column(TEXTOID, count);
	OmColumn   *addresses = om_column(TEXTOID, count);
	OmColumn   *scopes = om_column(TEXTOID, count);

	for (int i = 0; i < count; i++)
	{
		pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

		if (!requests[i]->deferred)
			continue;
		om_uuid7(id);
		om_column_add_uuid(organization_ids, &requests[i]->organization_id);
		om_column_add_uuid(ids, id);
		om_column_add_text(channels, requests[i]->channel);
		om_column_add_text(addresses, requests[i]->address);
		om_column_add_text(scopes, requests[i]->scope);
	}
	if (ids->count == 0)
		return;
	om_db_run(&insert_repairs, (Datum[]) {om_column_array(organization_ids), om_column_array(ids),
			  om_column_array(channels), om_column_array(addresses), om_column_array(scopes)});
}

/*
 * Fold all together, or, where somebody is in the way, each alone, and note what is left.
 * Returns how many that are.
 */
static int
fold_or_defer(OmRequest **requests, int count, TimestampTz now, int patience_ms)
{
	int			deferred = 0;
	TimestampTz until;

	if (try_fold(requests, count, now, patience_ms))
		return 0;
	until = GetCurrentTimestamp() + PATIENCE_ALONE_ALL_MS * 1000;
	for (int i = 0; i < count; i++)
	{
		requests[i]->was_opted_out = requests[i]->decides = requests[i]->provider_blocked = false;
		requests[i]->deferred = GetCurrentTimestamp() >= until ||
			!try_fold(&requests[i], 1, now, PATIENCE_ALONE_MS);
		deferred += requests[i]->deferred;
	}
	defer(requests, count);
	return deferred;
}

void
om_consent_record(OmRequest **requests, int count, TimestampTz now, int patience_ms)
{
	if (count == 0)
		return;
	store_requests(requests, count, now);
	if (patience_ms == 0)
		fold_requests(requests, count, now);
	else if (fold_or_defer(requests, count, now, patience_ms) > 0)
		om_wake_dispatcher_at_commit();
}

int
om_consent_fold_deferred(TimestampTz now)
{
	uint64		rows = om_db_run(&take_repairs, (Datum[]) {Int64GetDatum(DEFERRED_LIMIT)});
	OmRequest **requests = palloc(sizeof(OmRequest *) * Max(rows, 1));

	if (rows == 0)
		return 0;
	for (uint64 row = 0; row < rows; row++)
	{
		requests[row] = palloc0(sizeof(OmRequest));
		requests[row]->organization_id = *om_field_uuid(row, 1);
		requests[row]->channel = om_field_text(row, 2);
		requests[row]->address = om_field_text(row, 3);
		requests[row]->scope = om_field_text(row, 4);
	}
	return fold_or_defer(requests, rows, now, PATIENCE_ALONE_MS);
}

/*
 * omnimsg_consent_as_of(organization_id uuid, channel text, address text, at timestamptz,
 *		known_at timestamptz, scope text, OUT state text, OUT decided_at timestamptz,
 *		OUT request_id uuid)
 *
 * The same fold over what had happened until "at" and had been recorded until "known_at".
 */
Datum
omnimsg_consent_as_of(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *organization_id = om_arg_organization(fcinfo, 0);
	char	   *channel = om_arg_word(fcinfo, 1, "channel", om_channels);
	char	   *address = om_arg_text(fcinfo, 2, "address");
	char	   *scope = om_arg_scope(fcinfo, 5);
	MemoryContext context = CurrentMemoryContext;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, true, true};
	char	   *state = NULL;
	HeapTuple	tuple;

	if (PG_ARGISNULL(3) || PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("at and known_at must not be NULL"),
				 errhint("Give infinity for whatever is on record.")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	address = om_address_for(address, channel, om_organization_region(organization_id));
	if (om_db_run(&fold_as_of, (Datum[]) {UUIDPGetDatum(organization_id), CStringGetTextDatum(channel),
				  CStringGetTextDatum(om_erased_address(organization_id, address)),
				  CStringGetTextDatum(scope), PG_GETARG_DATUM(3), PG_GETARG_DATUM(4)}) > 0)
		state = om_field_text(0, 1);
	if (state != NULL)
	{
		bool		isnull;

		values[1] = TimestampTzGetDatum(om_field_time(0, 2, &isnull));
		values[2] = UUIDPGetDatum(om_field_uuid(0, 3));
		nulls[1] = nulls[2] = false;
	}
	values[0] = CStringGetTextDatum(state ? state : "none");
	MemoryContextSwitchTo(context);
	tuple = heap_form_tuple(desc, values, nulls);
	SPI_finish();
	PG_RETURN_DATUM(HeapTupleGetDatum(tuple));
}
