/*
 * optout.c
 *		The provider's own list of opt-outs: pulled page by page, kept as a mirror, and what we
 *		had missed recorded.
 *
 * A page and the number of the next one are stored in one transaction, so a pull that is cut off goes
 * on where it was.  Each row of the mirror says in which pull it was last seen; when the list has been
 * read to its end, rows that this pull has not seen are removed.
 *
 * The list may change while it is read.  When an entry that was read already is lifted, those behind it
 * move up, one of them from the next page to the one before, and nobody sees it.  So a list of
 * several pages is read once more at once, before anything is removed, if its length changed between two
 * pages or if something would be removed.  Twice is enough: what both looks missed is only
 * missing from the mirror, until the next pull; what was recorded as an opt-out stays.
 *
 * Who works on a pull locks the row of its account.  The worker passes over an account that somebody
 * else has locked, and waits for no row: it has messages to send.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "audit.h"
#include "compat.h"
#include "consent.h"
#include "erased.h"
#include "fetch.h"
#include "guc.h"
#include "ingest.h"
#include "optout.h"
#include "provider_telnyx_optout.h"
#include "shmem.h"
#include "worker.h"

OM_SQL_FUNCTION(omnimsg_pull_optouts);

/* How long a consent that others have locked is waited for */
#define CONSENT_PATIENCE_MS	100

/* How soon an account that somebody had locked is looked at again */
#define LOCKED_USECS	USECS_PER_SEC

/* A page that is to be asked for, of a pull that is recorded as being under way */
typedef struct OmOptoutPull
{
	OmFetch		fetch;
	pg_uuid_t	account_id;
	char	   *account_name;
	TimestampTz started_at;
	int			page;			/* from 1 */
} OmOptoutPull;

/*
 * When the worker asks about an account, $1 being the setting.  '-infinity' is what
 * omnimsg_pull_optouts() leaves.  With 0 no pull is begun; one that is under way ends, unless it
 * meets an error.  A shorter interval counts at once.
 */
#define DUE \
	"CASE WHEN p.due_at = '-infinity' THEN p.due_at\n" \
	"     WHEN p.finished_at IS NULL AND p.last_error IS NULL AND p.due_at IS NOT NULL THEN p.due_at\n" \
	"     WHEN $1 = 0 THEN 'infinity'\n" \
	"     WHEN p.due_at IS NULL THEN '-infinity'\n" \
	"     WHEN p.finished_at IS NOT NULL THEN least(p.due_at, p.finished_at + $1 * interval '1 second')\n" \
	"     ELSE p.due_at END"

#define ACCOUNTS \
	"  FROM omnimsg.provider_accounts a\n" \
	"  LEFT JOIN omnimsg.optout_pulls p ON p.provider_account_id = a.id\n" \
	" WHERE a.provider = 'telnyx' AND a.secret_name IS NOT NULL\n"

static OmStatement lock_due = {
	"SELECT a.id, a.name, a.secret_name, a.messaging_profile_id, p.started_at, p.next_page::bigint,\n"
	"       p.failures::bigint, p.finished_at IS NULL AND (p.next_page > 1 OR p.pass > 1)\n"
	ACCOUNTS
	"   AND " DUE " <= $2\n"
	" ORDER BY " DUE ", a.id LIMIT 1\n"
	"   FOR NO KEY UPDATE OF a SKIP LOCKED",
	2, {INT4OID, TIMESTAMPTZOID}, NULL
};

static OmStatement find_next = {
	"SELECT nullif(min(" DUE "), 'infinity')\n" ACCOUNTS,
	1, {INT4OID}, NULL
};

/* Each pull has a start of its own, and a later one than the last, whatever the clock does */
static OmStatement start_pull = {
	"INSERT INTO omnimsg.optout_pulls AS p (provider_account_id, started_at, due_at) VALUES ($1, $2, $2)\n"
	"ON CONFLICT (provider_account_id) DO UPDATE\n"
	"   SET started_at = greatest(excluded.started_at, p.started_at + interval '1 microsecond'),\n"
	"       next_page = 1, pass = 1, total = NULL, finished_at = NULL, due_at = excluded.due_at,\n"
	"       last_error = NULL\n"
	"RETURNING p.started_at",
	2, {UUIDOID, TIMESTAMPTZOID}, NULL
};

static OmStatement lock_pull = {
	"SELECT p.pass::bigint, p.total::bigint\n"
	"  FROM omnimsg.provider_accounts a\n"
	"  JOIN omnimsg.optout_pulls p ON p.provider_account_id = a.id\n"
	" WHERE a.id = $1 AND p.started_at = $2 AND p.next_page = $3 AND p.finished_at IS NULL\n"
	"   FOR NO KEY UPDATE OF a SKIP LOCKED",
	3, {UUIDOID, TIMESTAMPTZOID, INT4OID}, NULL
};

/*
 * The mirror, and of what is in it now the entries that an organization has no opt-out of.  A time that
 * cannot be believed is the one at which the entry was first seen, the same in each pull.  An
 * entry that does not tell our number is every organization's at the account, once.
 */
static OmStatement store_page = {
	"WITH stored AS (\n"
	"  INSERT INTO omnimsg.provider_optouts AS o\n"
	"         (provider_account_id, our_address, address, keyword, created_at, seen_at)\n"
	"  SELECT DISTINCT ON (w.our_address, w.address) $1, w.our_address, w.address, w.keyword,\n"
	"         coalesce(w.created_at, k.created_at, $2), $3\n"
	"    FROM unnest($4, $5, $6, $7) AS w(our_address, address, keyword, created_at)\n"
	"    LEFT JOIN omnimsg.provider_optouts k\n"
	"      ON k.provider_account_id = $1 AND k.our_address = w.our_address AND k.address = w.address\n"
	"   ORDER BY w.our_address, w.address, w.created_at DESC NULLS LAST\n"
	"  ON CONFLICT (provider_account_id, our_address, address) DO UPDATE\n"
	"     SET keyword = excluded.keyword, created_at = excluded.created_at, seen_at = excluded.seen_at\n"
	"  RETURNING o.our_address, o.address, o.keyword, o.created_at)\n"
	"SELECT DISTINCT ON (n.organization_id, s.address, s.our_address)\n"
	"       n.organization_id, s.address, n.phone_number, s.keyword, s.created_at\n"
	"  FROM stored s\n"
	" CROSS JOIN LATERAL (\n"
	"    SELECT i.organization_id, i.phone_number, i.is_primary FROM omnimsg.inbound_phone_numbers i\n"
	"     WHERE i.phone_number = s.our_address AND i.provider = 'telnyx'\n"
	"    UNION ALL\n"
	"    SELECT i.organization_id, i.phone_number, i.is_primary FROM omnimsg.inbound_phone_numbers i\n"
	"     WHERE s.our_address = '' AND i.provider_account_id = $1) AS n\n"
	" WHERE NOT EXISTS (\n"
	"    SELECT 1 FROM omnimsg.opt_out_requests q\n"
	"     WHERE q.organization_id = n.organization_id AND q.channel = 'sms' AND q.address = s.address\n"
	"       AND q.request_type = 'opt_out' AND q.scope = 'all'\n"
	"       AND q.occurred_at BETWEEN s.created_at - interval '10 minutes' AND s.created_at + interval '10 minutes'\n"
	"       AND (q.our_address = s.our_address OR s.our_address = '' AND q.our_address IN (\n"
	"              SELECT i.phone_number FROM omnimsg.inbound_phone_numbers i\n"
	"               WHERE i.organization_id = n.organization_id AND i.provider_account_id = $1)))\n"
	" ORDER BY n.organization_id, s.address, s.our_address, n.is_primary DESC, n.phone_number",
	7, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TIMESTAMPTZARRAYOID}, NULL
};

static OmStatement find_unseen = {
	"SELECT 1 FROM omnimsg.provider_optouts o WHERE o.provider_account_id = $1 AND o.seen_at < $2 LIMIT 1",
	2, {UUIDOID, TIMESTAMPTZOID}, NULL
};

static OmStatement remove_unseen = {
	"DELETE FROM omnimsg.provider_optouts o WHERE o.provider_account_id = $1 AND o.seen_at < $2",
	2, {UUIDOID, TIMESTAMPTZOID}, NULL
};

static OmStatement turn_page = {
	"UPDATE omnimsg.optout_pulls p\n"
	"   SET next_page = $2, pass = $3, total = $4, failures = 0, last_error = NULL\n"
	" WHERE p.provider_account_id = $1",
	4, {UUIDOID, INT4OID, INT4OID, INT4OID}, NULL
};

/* Who asked for a pull while this one was under way gets another */
static OmStatement finish_pull = {
	"UPDATE omnimsg.optout_pulls p\n"
	"   SET finished_at = $2, completed_at = p.started_at, failures = 0, last_error = NULL,\n"
	"       due_at = CASE WHEN p.due_at = '-infinity' THEN p.due_at\n"
	"                     WHEN $3 = 0 THEN 'infinity' ELSE $2 + $3 * interval '1 second' END\n"
	" WHERE p.provider_account_id = $1",
	3, {UUIDOID, TIMESTAMPTZOID, INT4OID}, NULL
};

static OmStatement note_failure = {
	"UPDATE omnimsg.optout_pulls p\n"
	"   SET failures = p.failures + 1, last_error = $3, due_at = $4\n"
	" WHERE p.started_at = $2 AND p.finished_at IS NULL AND p.provider_account_id = (\n"
	"         SELECT a.id FROM omnimsg.provider_accounts a WHERE a.id = $1\n"
	"            FOR NO KEY UPDATE SKIP LOCKED)",
	4, {UUIDOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

static OmStatement ask_all = {
	"WITH asked AS (\n"
	"  SELECT a.id FROM omnimsg.provider_accounts a\n"
	"   WHERE a.provider = 'telnyx' AND a.secret_name IS NOT NULL ORDER BY a.id FOR NO KEY UPDATE)\n"
	"INSERT INTO omnimsg.optout_pulls (provider_account_id, started_at, due_at)\n"
	"SELECT a.id, $1, '-infinity' FROM asked a\n"
	"ON CONFLICT (provider_account_id) DO UPDATE SET due_at = excluded.due_at",
	1, {TIMESTAMPTZOID}, NULL
};

static OmFetch *
next_page(TimestampTz now, MemoryContext parent, TimestampTz *when)
{
	MemoryContext before;
	OmOptoutPull *pull;
	char	   *profile;
	bool		under_way;
	bool		isnull;

	if (om_db_run(&lock_due, (Datum[]) {Int32GetDatum(om_optout_pull_interval),
				  TimestampTzGetDatum(now)}) == 0)
	{
		om_db_run(&find_next, (Datum[]) {Int32GetDatum(om_optout_pull_interval)});
		*when = om_field_time(0, 1, &isnull);
		if (!isnull && *when <= now)
			*when = now + LOCKED_USECS;
		return NULL;
	}

	pull = om_fetch_new(&om_optout_fetch, sizeof(OmOptoutPull), parent);
	before = MemoryContextSwitchTo(pull->fetch.context);
	pull->account_id = *om_field_uuid(0, 1);
	pull->account_name = om_field_text(0, 2);
	pull->fetch.secret_name = om_field_text(0, 3);
	profile = om_field_text(0, 4);
	pull->started_at = om_field_time(0, 5, &isnull);
	pull->page = om_field_int(0, 6);
	pull->fetch.failures = om_field_int(0, 7);
	under_way = om_field_bool(0, 8);
	if (!under_way)
	{
		om_db_run(&start_pull, (Datum[]) {UUIDPGetDatum(&pull->account_id), TimestampTzGetDatum(now)});
		pull->started_at = om_field_time(0, 1, &isnull);
		pull->page = 1;
		MemoryContextSwitchTo(pull->fetch.context); /* SPI leaves its own behind */
	}
	pull->fetch.url = om_telnyx_optouts_url(profile, pull->page);
	MemoryContextSwitchTo(before);
	return &pull->fetch;
}

/* An opt-out of texts and calls, as the STOP that we missed would have been; returns that of the texts */
static OmRequest *
add_missed(OmRequest **requests, int *count, uint64 row)
{
	static const char *const channels[] = {"sms", "voice"};
	OmRequest  *first = NULL;
	bool		isnull;

	for (int i = 0; i < (int) lengthof(channels); i++)
	{
		OmRequest  *request = palloc0(sizeof(OmRequest));

		request->organization_id = *om_field_uuid(row, 1);
		request->channel = channels[i];
		request->address = om_field_text(row, 2);
		request->our_address = om_field_text(row, 3);
		request->request_type = "opt_out";
		request->scope = "all";
		request->source = "provider_block";
		request->rule = "optout_list";
		request->matched_text = om_field_text(row, 4);
		request->occurred_at = om_field_time(row, 5, &isnull);
		if (request->occurred_at == 0)
			request->occurred_at = 1;	/* 0 stands for no time in a column of ours */
		if (i == 0)
			first = request;
		else if (request->address[0] != '+')
			break;				/* a short code cannot be called */
		requests[(*count)++] = request;
	}
	return first;
}

/* The rows are what store_page returned */
static void
record_missed(uint64 rows, TimestampTz now)
{
	OmAudit    *audit = om_audit_begin(now, "worker");
	OmRequest **requests = palloc(sizeof(OmRequest *) * Max(rows * 2, 1));
	OmRequest **texts = palloc(sizeof(OmRequest *) * Max(rows, 1));
	int			count = 0;

	for (uint64 row = 0; row < rows; row++)
		texts[row] = add_missed(requests, &count, row);
	om_consent_record(requests, count, now, CONSENT_PATIENCE_MS);
	for (uint64 row = 0; row < rows; row++)
		om_audit_add(audit, &texts[row]->organization_id, "CONSENT_RECORDED", "opt_out_request",
					 &texts[row]->id,
					 om_audit_json("opted_out", texts[row]->was_opted_out ? "yes" : "no", NULL),
					 om_audit_json("request_type", "opt_out", "source", "provider_block",
								   "rule", "optout_list",
								   "decides", texts[row]->deferred ? "not known yet" :
								   texts[row]->decides ? "yes" : "no", NULL));
	om_audit_write(audit);
}

static void
store_entries(const OmOptoutPull *pull, const OmOptoutPage *page, TimestampTz now)
{
	OmColumn   *our_addresses = om_column(TEXTOID, page->count);
	OmColumn   *addresses = om_column(TEXTOID, page->count);
	OmColumn   *keywords = om_column(TEXTOID, page->count);
	OmColumn   *times = om_column(TIMESTAMPTZOID, page->count);

	if (page->count == 0)
		return;
	for (int i = 0; i < page->count; i++)
	{
		const OmOptout *entry = &page->entries[i];

		om_column_add_text(our_addresses, entry->our_address);
		om_column_add_text(addresses, entry->address);
		om_column_add_text(keywords, entry->keyword);

		/* A STOP of the future would win over every START until then */
		om_column_add_time(times, entry->created_at > now + OM_MAX_AHEAD * USECS_PER_SEC ?
						   0 : entry->created_at);
	}
	om_erased_translate(addresses);
	record_missed(om_db_run(&store_page, (Datum[]) {UUIDPGetDatum(&pull->account_id),
							TimestampTzGetDatum(now), TimestampTzGetDatum(pull->started_at),
							om_column_array(our_addresses), om_column_array(addresses),
							om_column_array(keywords), om_column_array(times)}), now);
}

static void
go_on(const OmOptoutPull *pull, int page, int pass, int total)
{
	om_db_run(&turn_page, (Datum[]) {UUIDPGetDatum(&pull->account_id), Int32GetDatum(page),
			  Int32GetDatum(pass), Int32GetDatum(total)});
}

/*
 * Store the page, record what was missed, and go on to the next page or end the pull.  False, and nothing is
 * done, when the pull is another by now or its account is locked.
 */
static bool
store_pull(const OmOptoutPull *pull, const OmOptoutPage *page, TimestampTz now)
{
	Datum		seen[2] = {UUIDPGetDatum(&pull->account_id), TimestampTzGetDatum(pull->started_at)};
	int			pass;
	int			total;

	if (om_db_run(&lock_pull, (Datum[]) {seen[0], seen[1], Int32GetDatum(pull->page)}) == 0)
		return false;
	pass = om_field_int(0, 1);
	total = om_field_int_or(0, 2, page->total);
	if (total != page->total)
		total = -1;				/* it changed while it was read */

	store_entries(pull, page, now);
	if (page->unreadable > 0)
		ereport(LOG,
				(errmsg("omnimsg dispatcher: %d entries of the opt-out list of provider account \"%s\" could not be read",
						page->unreadable, pull->account_name)));

	if (page->count + page->unreadable > 0 && pull->page < page->total_pages)
		go_on(pull, pull->page + 1, pass, total);
	else if (pass == 1 && pull->page > 1 && (total < 0 || om_db_run(&find_unseen, seen) > 0))
		go_on(pull, 1, 2, page->total);
	else
	{
		om_db_run(&remove_unseen, seen);
		om_db_run(&finish_pull, (Datum[]) {seen[0], TimestampTzGetDatum(now),
				  Int32GetDatum(om_optout_pull_interval)});
	}
	return true;
}

static const char *
take_page(OmFetch *fetch, const OmHttpAnswer *answer, TimestampTz now, bool *busy)
{
	const OmOptoutPull *pull = (OmOptoutPull *) fetch;
	OmOptoutPage page;
	const char *error = om_telnyx_optouts(answer, pull->page, &page);

	if (error != NULL)
		return error;
	om_worker_begin("omnimsg: store opt-outs");
	*busy = !store_pull(pull, &page, now);
	om_worker_end();
	return NULL;
}

static void
record_failure(OmFetch *fetch, const char *error, int64 retry_ms, TimestampTz now)
{
	const OmOptoutPull *pull = (OmOptoutPull *) fetch;

	om_db_run(&note_failure, (Datum[]) {UUIDPGetDatum(&pull->account_id),
			  TimestampTzGetDatum(pull->started_at), CStringGetTextDatum(error),
			  TimestampTzGetDatum(now + retry_ms * 1000)});
	if (fetch->failures == 0)
		ereport(WARNING,
				(errmsg("omnimsg dispatcher: the opt-out list of provider account \"%s\" could not be pulled: %s",
						pull->account_name, error),
				 errhint("It is tried again. See last_error in omnimsg.optout_pulls.")));
}

const OmFetchUser om_optout_fetch = {
	.next = next_page,
	.take = take_page,
	.fail = record_failure,
};

/*
 * omnimsg_pull_optouts() returns int
 *
 * How many accounts there are to pull.  A transaction that commits wakes the worker.
 */
Datum
omnimsg_pull_optouts(PG_FUNCTION_ARGS)
{
	int			count;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	count = om_db_run(&ask_all, (Datum[]) {TimestampTzGetDatum(GetCurrentTimestamp())});
	om_wake_dispatcher_at_commit();
	SPI_finish();
	PG_RETURN_INT32(count);
}
