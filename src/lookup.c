/*
 * lookup.c
 *		Asking the provider what became of a message that may have been sent.
 *
 * An item of unknown outcome waits for a webhook to tell of it for as long as omnimsg.reconcile_after says.  Then
 * the provider is asked.  When it knows nothing after twice that time, the policy of the item's kind decides:
 * the item is held, or sent again under a new number.  A provider that cannot be asked has not said
 * that it knows nothing; what nobody tells us for long is held.
 */
#include "postgres.h"

#include <sodium.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "compat.h"
#include "core/backoff.h"
#include "guc.h"
#include "ingest.h"
#include "lookup.h"
#include "outbox.h"
#include "provider_telnyx_lookup.h"
#include "worker.h"

#define ACTOR "worker"

/*
 * In units of omnimsg.reconcile_after since the outcome is unknown: from when on the provider's "I know nothing of
 * it" counts, and how long one that cannot be asked is asked again.
 */
#define DECIDE_AFTER	2
#define GIVE_UP_AFTER	12

/* The secret is the one that the item was sent with, or would be today */
static OmStatement find_due = {
	"SELECT o.organization_id, o.id, o.attempts::bigint, o.failed_looks::bigint, o.candidate_external_id,\n"
	"       p.secret_name\n"
	"  FROM omnimsg.outbox o\n"
	"  LEFT JOIN omnimsg.messages m\n"
	"    ON m.organization_id = o.organization_id AND m.id = o.message_id AND m.created_at = o.created_at\n"
	"  LEFT JOIN omnimsg.inbound_phone_numbers n\n"
	"    ON n.organization_id = o.organization_id AND n.phone_number = m.from_number\n"
	"  LEFT JOIN omnimsg.provider_accounts p ON p.id = n.provider_account_id\n"
	" WHERE o.next_look_at <= $1\n"
	" ORDER BY o.next_look_at LIMIT 1",
	1, {TIMESTAMPTZOID}, NULL
};

static OmStatement find_next = {
	"SELECT min(o.next_look_at) FROM omnimsg.outbox o WHERE o.next_look_at IS NOT NULL",
	0, {0}, NULL
};

/* The item, if its fate is still open; and whether it may be sent again */
static OmStatement lock_unknown = {
	"SELECT o.message_id, o.kind, o.unknown_at, o.has_token,\n"
	"       p.on_unknown IS NOT NULL AND o.has_token AND o.kind <> 'opt_out_confirmation' AND o.expires_at > $4\n"
	"  FROM omnimsg.outbox o\n"
	"  LEFT JOIN omnimsg.unknown_policies p\n"
	"    ON p.organization_id = o.organization_id AND p.kind = o.kind AND p.on_unknown = 'resend'\n"
	" WHERE o.organization_id = $1 AND o.id = $2 AND o.attempts = $3 AND o.state = 'unknown'\n"
	"   AND o.settled_at IS NULL\n"
	"   FOR UPDATE OF o",
	4, {UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID}, NULL
};

static OmStatement look_later = {
	"UPDATE omnimsg.outbox o\n"
	"   SET next_look_at = $3, failed_looks = $4, candidate_external_id = nullif($5, ''),\n"
	"       last_error = coalesce(nullif($6, ''), o.last_error)\n"
	" WHERE o.organization_id = $1 AND o.id = $2",
	6, {UUIDOID, UUIDOID, TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID}, NULL
};

static OmStatement hold_unknown = {
	"UPDATE omnimsg.outbox o\n"
	"   SET settled_at = $3, next_look_at = NULL, last_error = $4\n"
	" WHERE o.organization_id = $1 AND o.id = $2",
	4, {UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID}, NULL
};

static OmStatement send_again = {
	"UPDATE omnimsg.outbox o\n"
	"   SET state = 'queued', next_attempt_at = $3, next_look_at = NULL, failed_looks = 0, last_error = $4\n"
	" WHERE o.organization_id = $1 AND o.id = $2",
	4, {UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID}, NULL
};

static TimestampTz
after(TimestampTz since, int units)
{
	return since + (int64) om_reconcile_after * 1000 * units;
}

TimestampTz
om_lookup_first(TimestampTz now)
{
	return after(now, 1);
}

/* An item that lock_unknown has locked */
typedef struct Unknown
{
	pg_uuid_t  *message_id;
	char	   *kind;
	TimestampTz unknown_at;
	bool		has_token;
	bool		may_resend;
} Unknown;

/* False when its fate is no longer open, or it is another attempt's */
static bool
lock_lookup(const OmLookup *lookup, Unknown *item, TimestampTz now)
{
	bool		isnull;

	if (om_db_run(&lock_unknown, (Datum[]) {UUIDPGetDatum(&lookup->organization_id),
				  UUIDPGetDatum(&lookup->id), Int32GetDatum(lookup->attempts),
				  TimestampTzGetDatum(now + OM_SEND_SECONDS * USECS_PER_SEC)}) == 0)
		return false;
	item->message_id = om_field_uuid(0, 1);
	item->kind = om_field_text(0, 2);
	item->unknown_at = om_field_time(0, 3, &isnull);
	item->has_token = om_field_bool(0, 4);
	item->may_resend = om_field_bool(0, 5);
	return true;
}

/* It stays unknown.  Only now has something ended, which the audit tells. */
static void
hold(const OmLookup *lookup, const Unknown *item, const char *why, TimestampTz now)
{
	OmAudit    *audit = om_audit_begin(now, ACTOR);

	om_db_run(&hold_unknown, (Datum[]) {UUIDPGetDatum(&lookup->organization_id), UUIDPGetDatum(&lookup->id),
			  TimestampTzGetDatum(now), CStringGetTextDatum(why)});
	om_outbox_audit_end(audit, &lookup->organization_id, item->message_id, item->kind,
						"AUTO_REPLY_FAILED", "MESSAGE_DELIVERY_FAILED", OM_OUTCOME_UNKNOWN);
	om_audit_write(audit);
}

static void
ask_later(const OmLookup *lookup, TimestampTz at, int failures, const char *candidate, const char *error)
{
	om_db_run(&look_later, (Datum[]) {UUIDPGetDatum(&lookup->organization_id), UUIDPGetDatum(&lookup->id),
			  TimestampTzGetDatum(at), Int32GetDatum(failures),
			  CStringGetTextDatum(candidate ? candidate : ""), CStringGetTextDatum(error ? error : "")});
}

static void
missing(const OmLookup *lookup, TimestampTz now)
{
	Unknown		item;

	if (!lock_lookup(lookup, &item, now))
		return;
	if (lookup->candidate != NULL && item.has_token)
		ask_later(lookup, now, 0, NULL, NULL);	/* at once, by the token, which says more */
	else if (lookup->candidate == NULL && now < after(item.unknown_at, DECIDE_AFTER))
		ask_later(lookup, after(item.unknown_at, DECIDE_AFTER), 0, NULL, NULL);
	else if (item.may_resend)
		om_db_run(&send_again, (Datum[]) {UUIDPGetDatum(&lookup->organization_id),
				  UUIDPGetDatum(&lookup->id), TimestampTzGetDatum(now),
				  CStringGetTextDatum(psprintf("the provider does not know of attempt %d", lookup->attempts))});
	else
		hold(lookup, &item, "the provider does not know of it", now);
}

static void
failed(const OmLookup *lookup, const char *error, int64 retry_ms, TimestampTz now)
{
	Unknown		item;
	char	   *why = psprintf("the provider could not be asked: %s", error);

	if (!lock_lookup(lookup, &item, now))
		return;
	if (now < after(item.unknown_at, GIVE_UP_AFTER))
		ask_later(lookup, now + retry_ms * 1000, lookup->fetch.failures + 1, lookup->candidate, why);
	else
		hold(lookup, &item, why, now);
}

static OmLookup *
read_due(MemoryContext parent)
{
	OmLookup   *lookup = om_fetch_new(&om_lookup_fetch, sizeof(OmLookup), parent);
	MemoryContext before = MemoryContextSwitchTo(lookup->fetch.context);

	lookup->organization_id = *om_field_uuid(0, 1);
	lookup->id = *om_field_uuid(0, 2);
	lookup->attempts = om_field_int(0, 3);
	lookup->fetch.failures = om_field_int(0, 4);
	lookup->candidate = om_field_text(0, 5);
	lookup->fetch.secret_name = om_field_text(0, 6);
	lookup->fetch.url = om_telnyx_lookup_url(lookup);
	MemoryContextSwitchTo(before);
	return lookup;
}

static OmFetch *
next_lookup(TimestampTz now, MemoryContext parent, TimestampTz *when)
{
	bool		isnull;

	while (om_db_run(&find_due, (Datum[]) {TimestampTzGetDatum(now)}) > 0)
	{
		OmLookup   *lookup = read_due(parent);

		if (lookup->fetch.secret_name != NULL)
			return &lookup->fetch;
		failed(lookup, "its number has no provider account with a secret",
			   om_backoff_ms(lookup->fetch.failures + 1, randombytes_random()), now);
	}
	om_db_run(&find_next, NULL);
	*when = om_field_time(0, 1, &isnull);
	return NULL;
}

/* The provider knows it */
static void
found(const OmEvidence *evidence, int count, TimestampTz now)
{
	OmAudit    *audit = om_audit_begin(now, ACTOR);

	om_reconcile_accept(evidence, count, "the provider was asked", audit, now);
	om_audit_write(audit);
}

/*
 * What it told of it before the id was known here is told again, in a transaction of its own: ingest takes
 * the locks of the journal first.
 */
static void
tell_again(const OmEvidence *evidence, int count)
{
	OmColumn   *external_ids;

	om_worker_begin("omnimsg: apply what waited");
	external_ids = om_column(TEXTOID, count);
	for (int i = 0; i < count; i++)
		om_column_add_text(external_ids, evidence[i].external_id);
	om_ingest_pending_of(external_ids);
	om_worker_end();
}

static const char *
take_lookup(OmFetch *fetch, const OmHttpAnswer *answer, TimestampTz now, bool *busy)
{
	const OmLookup *lookup = (OmLookup *) fetch;
	OmEvidence *evidence;
	int			count;
	const char *error = om_telnyx_lookup(answer, lookup, &evidence, &count);

	if (error != NULL)
		return error;
	om_worker_begin("omnimsg: record what was found out");
	if (count > 0)
		found(evidence, count, now);
	else
		missing(lookup, now);
	om_worker_end();
	if (count > 0)
		tell_again(evidence, count);
	return NULL;
}

static void
record_failure(OmFetch *fetch, const char *error, int64 retry_ms, TimestampTz now)
{
	failed((OmLookup *) fetch, error, retry_ms, now);
}

const OmFetchUser om_lookup_fetch = {
	.urgent = true,
	.next = next_lookup,
	.take = take_lookup,
	.fail = record_failure,
};
