/*
 * outbox.c
 *		The life of an outbox item in SQL: claim, mark, record.
 *
 * Locks are taken in the order outbox, messages, consents, and in the order of the keys within each:
 * what the provider tells of items changes them too, in other transactions (reconcile.c).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"

#include "arm.h"
#include "audit.h"
#include "compat.h"
#include "consent.h"
#include "core/token.h"
#include "gate.h"
#include "guc.h"
#include "ingest.h"
#include "lookup.h"
#include "message.h"
#include "outbox.h"
#include "reconcile.h"

#define ACTOR "worker"

/* How long a consent that others have locked is waited for */
#define CONSENT_PATIENCE_MS	100

/* Rows that others may change are locked in the order of their keys first */
#define LOCK_ITEMS(condition) \
	"SELECT FROM omnimsg.outbox o WHERE " condition "\n" \
	" ORDER BY o.organization_id, o.id FOR UPDATE"

static OmStatement lock_overdue = {
	LOCK_ITEMS("o.state IN ('leased', 'sending') AND o.leased_until < $1"),
	1, {TIMESTAMPTZOID}, NULL
};

static OmStatement requeue_leased = {
	"UPDATE omnimsg.outbox o\n"
	"   SET state = 'queued', lease_token = NULL, leased_until = NULL,\n"
	"       last_error = 'the worker ended before it sent anything'\n"
	" WHERE o.state = 'leased' AND o.leased_until < $1",
	1, {TIMESTAMPTZOID}, NULL
};

/* It may have been sent.  Where the provider can tell, it will be asked; else that is all there is to know. */
static OmStatement abandon_sending = {
	"UPDATE omnimsg.outbox o\n"
	"   SET state = 'unknown', last_error = 'the worker ended while it was sending',\n"
	"       unknown_at = $1, failed_looks = 0, lease_token = NULL, leased_until = NULL,\n"
	"       next_look_at = CASE WHEN o.has_token THEN $2 END,\n"
	"       settled_at = CASE WHEN NOT o.has_token THEN $1 END\n"
	" WHERE o.state = 'sending' AND o.leased_until < $1\n"
	"RETURNING o.organization_id, o.message_id, o.created_at, o.kind, o.has_token",
	2, {TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
};

static OmStatement next_lease_end = {
	"SELECT min(o.leased_until) FROM omnimsg.outbox o WHERE o.state IN ('leased', 'sending')",
	0, {0}, NULL
};

#define IS_EXPIRED "o.state = 'queued' AND o.expires_at <= $1"

#define EXPIRE_ITEMS(condition) \
	"UPDATE omnimsg.outbox o\n" \
	"   SET state = 'expired', settled_at = $1, last_error = coalesce(o.last_error, 'expired')\n" \
	" WHERE " condition "\n" \
	"RETURNING o.organization_id, o.message_id, o.created_at, o.kind, false"

static OmStatement lock_expired = {LOCK_ITEMS(IS_EXPIRED), 1, {TIMESTAMPTZOID}, NULL};
static OmStatement expire_queued = {EXPIRE_ITEMS(IS_EXPIRED), 1, {TIMESTAMPTZOID}, NULL};

/*
 * No automatic reply has more than OM_CONFIRMATION_SECONDS.  One that seems to was queued before the clock was set back,
 * nobody knows how long ago.
 */
#define IS_OF_ANOTHER_CLOCK \
	"o.state = 'queued' AND o.expires_at > $1 + interval '" CppAsString2(OM_CONFIRMATION_SECONDS) " seconds' + interval '5 seconds'\n" \
	"   AND o.kind IN ('opt_out_confirmation', 'opt_in_confirmation', 'help_reply')"

static OmStatement lock_of_another_clock = {LOCK_ITEMS(IS_OF_ANOTHER_CLOCK), 1, {TIMESTAMPTZOID}, NULL};
static OmStatement expire_of_another_clock = {EXPIRE_ITEMS(IS_OF_ANOTHER_CLOCK), 1, {TIMESTAMPTZOID}, NULL};

/*
 * The earliest item of each organization: one look into the index outbox_due for each of them,
 * however many items wait.
 */
static OmStatement find_first = {
	"WITH RECURSIVE first AS (\n"
	"  (SELECT o.organization_id, o.next_attempt_at FROM omnimsg.outbox o\n"
	"    WHERE o.state = 'queued'\n"
	"    ORDER BY o.organization_id, o.next_attempt_at LIMIT 1)\n"
	"  UNION ALL\n"
	"  SELECT n.organization_id, n.next_attempt_at\n"
	"    FROM first f CROSS JOIN LATERAL (\n"
	"      SELECT o.organization_id, o.next_attempt_at FROM omnimsg.outbox o\n"
	"       WHERE o.state = 'queued' AND o.organization_id > f.organization_id\n"
	"       ORDER BY o.organization_id, o.next_attempt_at LIMIT 1) AS n)\n"
	"SELECT f.organization_id, f.next_attempt_at FROM first f",
	0, {0}, NULL
};

/*
 * Expired items are claimed as well: marking closes them, and no index is needed to find
 * them here.  The array is computed once; a plan that ran a LIMIT with SKIP LOCKED again
 * would claim other rows each time.  And it is of tuples, because a planner that does not
 * know the LIMIT would read the whole table to find rows by their keys.
 */
static OmStatement claim = {
	"UPDATE omnimsg.outbox o\n"
	"   SET state = 'leased', attempts = o.attempts + 1, lease_token = $3, leased_until = $5\n"
	" WHERE o.ctid = ANY (ARRAY(\n"
	"   SELECT c.ctid FROM unnest($1, $2) AS w(organization_id, count)\n"
	"    CROSS JOIN LATERAL (\n"
	"      SELECT q.ctid FROM omnimsg.outbox q\n"
	"       WHERE q.organization_id = w.organization_id AND q.state = 'queued'\n"
	"         AND q.next_attempt_at <= $4\n"
	"       ORDER BY q.next_attempt_at LIMIT w.count FOR UPDATE SKIP LOCKED) AS c))",
	5, {UUIDARRAYOID, INT4ARRAYOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}, NULL
};

/* What the token holds, and what is needed to ask the gates about it and to send it */
static OmStatement lock_leased = {
	"SELECT o.organization_id, o.id, o.message_id, o.created_at, o.leased_until, o.expires_at,\n"
	"       o.attempts::bigint, o.kind, m.from_number, m.to_number, m.message_body, p.secret_name,\n"
	"       p.messaging_profile_id, o.scope, m.channel, o.released_at\n"
	"  FROM omnimsg.outbox o\n"
	"  JOIN omnimsg.messages m\n"
	"    ON m.organization_id = o.organization_id AND m.id = o.message_id AND m.created_at = o.created_at\n"
	"  LEFT JOIN omnimsg.inbound_phone_numbers n\n"
	"    ON n.organization_id = o.organization_id AND n.phone_number = m.from_number\n"
	"  LEFT JOIN omnimsg.provider_accounts p ON p.id = n.provider_account_id\n"
	" WHERE o.lease_token = $1 AND o.state = 'leased' AND o.leased_until > $2\n"
	" ORDER BY o.organization_id, o.id\n"
	"   FOR UPDATE OF o",
	2, {UUIDOID, TIMESTAMPTZOID}, NULL
};

/* What our tokens still hold of some items; where they hold nothing, what became of those */
static OmStatement lock_items = {
	"SELECT w.n, o.lease_token = w.lease_token AND o.state IN ('leased', 'sending'), o.state = 'sent'\n"
	"  FROM unnest($1, $2, $3) WITH ORDINALITY AS w(organization_id, id, lease_token, n)\n"
	"  JOIN omnimsg.outbox o ON o.organization_id = w.organization_id AND o.id = w.id\n"
	" ORDER BY o.organization_id, o.id\n"
	"   FOR UPDATE OF o",
	3, {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID}, NULL
};

/* What is unknown is settled only where nobody can be asked (w.look is false) */
static OmStatement settle = {
	"UPDATE omnimsg.outbox o\n"
	"   SET state = w.state, last_error = w.last_error,\n"
	"       next_attempt_at = coalesce(w.next_attempt_at, o.next_attempt_at),\n"
	"       settled_at = CASE WHEN w.state NOT IN ('queued', 'sending') AND NOT w.look THEN $9 END,\n"
	"       lease_token = CASE WHEN w.state = 'sending' THEN o.lease_token END,\n"
	"       leased_until = CASE WHEN w.state = 'sending' THEN o.leased_until END,\n"
	"       has_token = CASE WHEN w.state = 'sending' THEN $10 ELSE o.has_token END,\n"
	"       candidate_external_id = w.candidate, failed_looks = 0,\n"
	"       unknown_at = CASE WHEN w.state = 'unknown' THEN $9 ELSE o.unknown_at END,\n"
	"       next_look_at = CASE WHEN w.look THEN $11 END\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)\n"
	"    AS w(organization_id, id, lease_token, state, last_error, next_attempt_at, candidate, look)\n"
	" WHERE o.organization_id = w.organization_id AND o.id = w.id\n"
	"   AND o.lease_token = w.lease_token AND o.state IN ('leased', 'sending')",
	11, {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID,
		TEXTARRAYOID, BOOLARRAYOID, TIMESTAMPTZOID, BOOLOID, TIMESTAMPTZOID}, NULL
};

/* A message that an event has moved on since keeps what the event said */
static OmStatement move_messages = {
	"UPDATE omnimsg.messages m\n"
	"   SET status = CASE WHEN m.status IN ('queued', 'sending', 'unknown') THEN w.status ELSE m.status END,\n"
	"       external_message_id = coalesce(m.external_message_id, w.external_id),\n"
	"       error_code = coalesce(w.error_code, m.error_code),\n"
	"       error_detail = coalesce(w.error_detail, m.error_detail),\n"
	"       sent_at = CASE WHEN w.status = 'sent' THEN coalesce(m.sent_at, $8) ELSE m.sent_at END,\n"
	"       failed_at = CASE WHEN w.status IN ('failed', 'blocked', 'expired') THEN $8 ELSE m.failed_at END\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7)\n"
	"    AS w(organization_id, id, created_at, status, external_id, error_code, error_detail)\n"
	" WHERE m.organization_id = w.organization_id AND m.id = w.id AND m.created_at = w.created_at",
	8, {UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TIMESTAMPTZOID}, NULL
};

/* Rows for settle and move_messages, side by side */
typedef struct Changes
{
	OmColumn   *organization_ids;
	OmColumn   *ids;
	OmColumn   *tokens;
	OmColumn   *states;
	OmColumn   *last_errors;
	OmColumn   *next_attempts;
	OmColumn   *candidates;
	OmColumn   *looks;
	OmColumn   *message_organization_ids;
	OmColumn   *message_ids;
	OmColumn   *created_at;
	OmColumn   *statuses;
	OmColumn   *external_ids;
	OmColumn   *error_codes;
	OmColumn   *error_details;
} Changes;

static void
begin_changes(Changes *changes, int count)
{
	changes->organization_ids = om_column(UUIDOID, count);
	changes->ids = om_column(UUIDOID, count);
	changes->tokens = om_column(UUIDOID, count);
	changes->states = om_column(TEXTOID, count);
	changes->last_errors = om_column(TEXTOID, count);
	changes->next_attempts = om_column(TIMESTAMPTZOID, count);
	changes->candidates = om_column(TEXTOID, count);
	changes->looks = om_column(BOOLOID, count);
	changes->message_organization_ids = om_column(UUIDOID, count);
	changes->message_ids = om_column(UUIDOID, count);
	changes->created_at = om_column(TIMESTAMPTZOID, count);
	changes->statuses = om_column(TEXTOID, count);
	changes->external_ids = om_column(TEXTOID, count);
	changes->error_codes = om_column(TEXTOID, count);
	changes->error_details = om_column(TEXTOID, count);
}

/* Can the provider be asked what became of it? */
static bool
can_look(const OmItem *item)
{
	return item->webhook_url != NULL || item->external_id != NULL;
}

static void
change_item(Changes *changes, const OmItem *item, const char *state, const char *last_error,
			TimestampTz next_attempt_at)
{
	bool		unknown = strcmp(state, "unknown") == 0;

	om_column_add_uuid(changes->organization_ids, &item->organization_id);
	om_column_add_uuid(changes->ids, &item->id);
	om_column_add_uuid(changes->tokens, &item->lease_token);
	om_column_add_text(changes->states, state);
	om_column_add_text(changes->last_errors, last_error);
	om_column_add_time(changes->next_attempts, next_attempt_at);
	om_column_add_text(changes->candidates, unknown ? item->external_id : NULL);
	om_column_add_bool(changes->looks, unknown && can_look(item));
}

static void
change_message(Changes *changes, const pg_uuid_t *organization_id, const pg_uuid_t *message_id,
			   TimestampTz created_at, const char *status, const char *external_id,
			   const char *error_code, const char *error_detail)
{
	om_column_add_uuid(changes->message_organization_ids, organization_id);
	om_column_add_uuid(changes->message_ids, message_id);
	om_column_add_time(changes->created_at, created_at);
	om_column_add_text(changes->statuses, status);
	om_column_add_text(changes->external_ids, external_id);
	om_column_add_text(changes->error_codes, error_code && *error_code ? error_code : NULL);
	om_column_add_text(changes->error_details, error_detail);
}

/* The rows are locked */
static void
settle_items(Changes *changes, TimestampTz now)
{
	if (changes->ids->count > 0)
		om_db_run(&settle, (Datum[]) {om_column_array(changes->organization_ids),
				  om_column_array(changes->ids), om_column_array(changes->tokens),
				  om_column_array(changes->states), om_column_array(changes->last_errors),
				  om_column_array(changes->next_attempts), om_column_array(changes->candidates),
				  om_column_array(changes->looks), TimestampTzGetDatum(now),
				  BoolGetDatum(*om_webhook_url != '\0'),
				  TimestampTzGetDatum(om_lookup_first(now))});
}

static void
write_messages(Changes *changes, TimestampTz now)
{
	if (changes->message_ids->count == 0)
		return;
	om_message_lock(changes->message_organization_ids, changes->message_ids, changes->created_at);
	om_db_run(&move_messages, (Datum[]) {om_column_array(changes->message_organization_ids),
			  om_column_array(changes->message_ids), om_column_array(changes->created_at),
			  om_column_array(changes->statuses), om_column_array(changes->external_ids),
			  om_column_array(changes->error_codes), om_column_array(changes->error_details),
			  TimestampTzGetDatum(now)});
}

void
om_outbox_audit_end(OmAudit *audit, const pg_uuid_t *organization_id, const pg_uuid_t *message_id,
					const char *kind, const char *automatic, const char *other, const char *reason)
{
	om_audit_add(audit, organization_id, om_kind_is_automatic(kind) ? automatic : other, "message",
				 message_id, NULL, om_audit_json("kind", kind, "reason", reason, NULL));
}

/*
 * What abandon_sending and expire_queued returned: the messages end like their items.  Nothing has
 * ended of what is being found out about, and the audit has nothing to say of it.
 */
static int
end_messages(uint64 rows, TimestampTz now, const char *status, const char *reason)
{
	OmAudit    *audit = om_audit_begin(now, ACTOR);
	Changes		changes;

	begin_changes(&changes, rows);
	for (uint64 row = 0; row < rows; row++)
	{
		pg_uuid_t  *organization_id = om_field_uuid(row, 1);
		pg_uuid_t  *message_id = om_field_uuid(row, 2);
		bool		isnull;

		change_message(&changes, organization_id, message_id, om_field_time(row, 3, &isnull),
					   status, NULL, NULL, reason);
		if (!om_field_bool(row, 5))
			om_outbox_audit_end(audit, organization_id, message_id, om_field_text(row, 4),
								"AUTO_REPLY_FAILED", "MESSAGE_DELIVERY_FAILED", reason);
	}
	write_messages(&changes, now);
	om_audit_write(audit);
	return rows;
}

int
om_outbox_recover(TimestampTz now, TimestampTz *next)
{
	Datum		at[2] = {TimestampTzGetDatum(now), TimestampTzGetDatum(om_lookup_first(now))};
	uint64		rows = 0;
	bool		isnull;

	if (om_db_run(&lock_overdue, at) > 0)
	{
		rows = om_db_run(&requeue_leased, at);
		rows += end_messages(om_db_run(&abandon_sending, at), now, "unknown", OM_OUTCOME_UNKNOWN);
	}
	om_db_run(&next_lease_end, NULL);
	*next = om_field_time(0, 1, &isnull);
	return rows;
}

void
om_outbox_expire(TimestampTz now, bool set_back)
{
	Datum		at[1] = {TimestampTzGetDatum(now)};

	if (om_db_run(&lock_expired, at) > 0)
		end_messages(om_db_run(&expire_queued, at), now, "expired", "expired");
	if (!set_back)
		return;
	/* The round may have begun long ago, and the lock may have been waited for: what came meanwhile is of this clock */
	at[0] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (om_db_run(&lock_of_another_clock, at) == 0)
		return;
	now = GetCurrentTimestamp();
	at[0] = TimestampTzGetDatum(now);
	end_messages(om_db_run(&expire_of_another_clock, at), now, "expired", "expired");
}

OmShare *
om_outbox_due(TimestampTz now, int *count, TimestampTz *next)
{
	uint64		rows = om_db_run(&find_first, NULL);
	OmShare    *shares = palloc(sizeof(OmShare) * Max(rows, 1));

	*count = 0;
	*next = 0;
	for (uint64 row = 0; row < rows; row++)
	{
		bool		isnull;
		TimestampTz first = om_field_time(row, 2, &isnull);

		if (first <= now)
			shares[(*count)++].organization_id = *om_field_uuid(row, 1);
		else if (*next == 0 || first < *next)
			*next = first;
	}
	return shares;
}

int
om_outbox_claim(const OmShare *shares, int count, const pg_uuid_t *token,
				TimestampTz now, TimestampTz leased_until)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *counts = om_column(INT4OID, count);

	for (int i = 0; i < count; i++)
		if (shares[i].count > 0)
		{
			om_column_add_uuid(organization_ids, &shares[i].organization_id);
			om_column_add_int(counts, shares[i].count);
		}
	if (counts->count == 0)
		return 0;
	return om_db_run(&claim, (Datum[]) {om_column_array(organization_ids), om_column_array(counts),
					 UUIDPGetDatum(token), TimestampTzGetDatum(now), TimestampTzGetDatum(leased_until)});
}

/* Where the provider is to report this attempt, or NULL.  What is told is recognized by the name. */
static char *
webhook_url(const OmItem *item)
{
	OmToken		token;
	char		name[OM_TOKEN_SIZE];

	memcpy(token.id, item->id.data, sizeof(token.id));
	token.attempt = item->attempts;
	if (*om_webhook_url == '\0' || !om_token_write(&token, name))
		return NULL;
	return psprintf("%s?%s", om_webhook_url, name);
}

static OmItem *
read_item(uint64 row, const pg_uuid_t *token, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "omnimsg item", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	OmItem	   *item = palloc0(sizeof(OmItem));
	bool		isnull;

	item->context = context;
	item->organization_id = *om_field_uuid(row, 1);
	item->id = *om_field_uuid(row, 2);
	item->lease_token = *token;
	item->message_id = *om_field_uuid(row, 3);
	item->created_at = om_field_time(row, 4, &isnull);
	item->leased_until = om_field_time(row, 5, &isnull);
	item->expires_at = om_field_time(row, 6, &isnull);
	item->attempts = om_field_int(row, 7);
	item->kind = om_field_text(row, 8);
	item->from = om_field_text(row, 9);
	item->to = om_field_text(row, 10);
	item->text = om_field_text(row, 11);
	item->secret_name = om_field_text(row, 12);
	item->profile = om_field_text(row, 13);
	item->webhook_url = webhook_url(item);
	MemoryContextSwitchTo(before);
	return item;
}

/* Read what the token holds, each item in a context of its own, and ask the gates about it */
static OmItem **
read_leased(const pg_uuid_t *token, TimestampTz now, MemoryContext parent, OmSending ***sendings,
			int *count)
{
	uint64		rows = om_db_run(&lock_leased, (Datum[]) {UUIDPGetDatum(token), TimestampTzGetDatum(now)});
	OmItem	  **items = MemoryContextAlloc(parent, sizeof(OmItem *) * Max(rows, 1));

	*sendings = palloc(sizeof(OmSending *) * Max(rows, 1));
	*count = rows;
	for (uint64 row = 0; row < rows; row++)
	{
		OmItem	   *item = read_item(row, token, parent);
		OmSending  *sending = palloc0(sizeof(OmSending));
		bool		isnull;

		sending->organization_id = &item->organization_id;
		sending->channel = om_field_text(row, 15);
		sending->address = item->to;
		sending->kind = item->kind;
		sending->scope = om_field_text(row, 14);
		sending->body = item->text;
		sending->message_id = &item->message_id;
		sending->released_at = om_field_time(row, 16, &isnull);
		items[row] = item;
		(*sendings)[row] = sending;
	}
	om_gates_ask(*sendings, *count, now);
	return items;
}

/* It will not be sent: item and message end, and the audit says why */
static void
end_item(Changes *changes, OmAudit *audit, const OmItem *item, bool expired, const char *reason)
{
	change_item(changes, item, expired ? "expired" : "suppressed", reason, 0);
	change_message(changes, &item->organization_id, &item->message_id, item->created_at,
				   expired ? "expired" : "blocked", NULL, NULL, reason);
	om_outbox_audit_end(audit, &item->organization_id, &item->message_id, item->kind,
			  expired ? "AUTO_REPLY_FAILED" : "AUTO_REPLY_SUPPRESSED",
			  expired ? "MESSAGE_DELIVERY_FAILED" : "SEND_BLOCKED", reason);
}

OmItem **
om_outbox_mark(const pg_uuid_t *token, TimestampTz now, MemoryContext parent, int *count)
{
	OmSending **sendings;
	int			leased;
	bool		held = om_arm_hold();
	OmItem	  **items = read_leased(token, now, parent, &sendings, &leased);
	OmAudit    *audit = om_audit_begin(now, ACTOR);
	Changes		changes;

	*count = 0;
	begin_changes(&changes, leased);
	for (int i = 0; i < leased; i++)
	{
		OmItem	   *item = items[i];
		OmGate		gate;
		const OmGateAnswer *answer = om_gates_decision(sendings[i], &gate);

		if (item->expires_at <= now + OM_SEND_SECONDS * USECS_PER_SEC)
			end_item(&changes, audit, item, true, "expired");
		else if (!held)
			change_item(&changes, item, "queued", "somebody is disarming the database", now + USECS_PER_SEC);
		else if (answer == NULL)
		{
			change_item(&changes, item, "sending", NULL, 0);
			change_message(&changes, &item->organization_id, &item->message_id, item->created_at,
						   "sending", NULL, NULL, NULL);
			item->marked_at = now;
			items[(*count)++] = item;
		}
		else if (answer->verdict == OM_HOLD || om_gate_passes(gate))
			change_item(&changes, item, "queued", answer->reason,
						om_gate_ask_again(gate, answer, now));
		else
			end_item(&changes, audit, item, false, answer->reason);
	}
	settle_items(&changes, now);
	write_messages(&changes, now);
	om_audit_write(audit);
	return items;
}

/* The states that an answer leads to, and the word for the audit */
static void
change_by_result(Changes *changes, const OmItem *item, TimestampTz now)
{
	TimestampTz next = now + item->retry_ms * 1000;

	switch (item->result)
	{
		case OM_ANSWER_NOT_SENT:
		case OM_ANSWER_REFUSED_FOR_NOW:
			if (next < item->expires_at)
				change_item(changes, item, "queued", item->error_text, next);
			else
				change_item(changes, item, "expired", item->error_text, 0);
			break;
		case OM_ANSWER_ACCEPTED:
			change_item(changes, item, "sent", NULL, 0);
			break;
		case OM_ANSWER_BLOCKED:
			change_item(changes, item, "suppressed", item->error_text, 0);
			break;
		case OM_ANSWER_REFUSED:
			change_item(changes, item, "failed", item->error_text, 0);
			break;
		case OM_ANSWER_UNKNOWN:
			change_item(changes, item, "unknown", item->error_text, 0);
			break;
	}
}

static void
record_message(Changes *changes, OmAudit *audit, const OmItem *item, TimestampTz now)
{
	const char *status = NULL;
	const char *automatic = "AUTO_REPLY_FAILED";
	const char *other = "MESSAGE_DELIVERY_FAILED";

	/* The audit trail carries no words of the provider: they may quote number or text */
	const char *reason = item->error_code != NULL && item->error_code[0] != '\0' ?
		psprintf("error:%s", item->error_code) : om_answer_class_name(item->result);

	switch (item->result)
	{
		case OM_ANSWER_NOT_SENT:
		case OM_ANSWER_REFUSED_FOR_NOW:
			if (now + item->retry_ms * 1000 < item->expires_at)
				return;			/* it will be tried again: nothing has come of it yet */
			status = "expired";
			reason = "expired";
			break;
		case OM_ANSWER_ACCEPTED:
			status = "sent";
			automatic = "AUTO_REPLY_SENT";
			other = "MESSAGE_SENT";
			reason = NULL;
			break;
		case OM_ANSWER_REFUSED:
			status = "failed";
			break;
		case OM_ANSWER_BLOCKED:
			status = "blocked";
			break;
		case OM_ANSWER_UNKNOWN:
			status = "unknown";
			reason = OM_OUTCOME_UNKNOWN;
			break;
	}
	change_message(changes, &item->organization_id, &item->message_id, item->created_at, status,
				   item->result == OM_ANSWER_ACCEPTED ? item->external_id : NULL, item->error_code,
				   item->result == OM_ANSWER_ACCEPTED ? NULL : item->error_text);
	if (item->result == OM_ANSWER_UNKNOWN && can_look(item))
		return;					/* it is being found out */
	om_outbox_audit_end(audit, &item->organization_id, &item->message_id, item->kind, automatic, other, reason);
}

/*
 * The provider refused because the person said STOP to it: that is an opt-out, and we knew nothing of it; or only from
 * a webhook that was faster.  Whoever records one has locked the message.
 */
static void
record_blocks(OmItem **items, int count, OmAudit *audit, TimestampTz now)
{
	OmRequest **requests = palloc(sizeof(OmRequest *) * Max(count, 1));
	OmItem	  **blocked = palloc(sizeof(OmItem *) * Max(count, 1));
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *addresses = om_column(TEXTOID, count);
	OmColumn   *message_ids = om_column(UUIDOID, count);
	bool	   *known;
	int			blocks = 0;

	for (int i = 0; i < count; i++)
		if (items[i]->result == OM_ANSWER_BLOCKED)
		{
			om_column_add_uuid(organization_ids, &items[i]->organization_id);
			om_column_add_text(addresses, items[i]->to);
			om_column_add_uuid(message_ids, &items[i]->message_id);
			blocked[blocks++] = items[i];
		}
	known = om_request_known_blocks(organization_ids, addresses, message_ids);
	items = blocked;
	count = blocks;
	blocks = 0;
	for (int i = 0; i < count; i++)
	{
		OmRequest  *request;

		if (known[i])
			continue;
		request = palloc0(sizeof(OmRequest));
		request->organization_id = items[i]->organization_id;
		request->channel = "sms";
		request->address = items[i]->to;
		request->our_address = items[i]->from;
		request->request_type = "opt_out";
		request->scope = "all";
		request->source = "provider_block";
		request->rule = psprintf("error:%s", items[i]->error_code);
		request->message_id = &items[i]->message_id;
		request->occurred_at = items[i]->marked_at;
		requests[blocks++] = request;
	}
	om_consent_record(requests, blocks, now, CONSENT_PATIENCE_MS);
	for (int i = 0; i < blocks; i++)
		om_audit_add(audit, &requests[i]->organization_id, "CONSENT_RECORDED", "opt_out_request",
					 &requests[i]->id,
					 om_audit_json("opted_out", requests[i]->was_opted_out ? "yes" : "no", NULL),
					 om_audit_json("request_type", "opt_out", "source", "provider_block",
								   "rule", requests[i]->rule, NULL));
}

/*
 * Lock the items, and see where our lease still holds.  The token fences: who lost the lease has nothing
 * to say any more of an item.
 */
static void
lock_leases(OmItem **items, int count)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *ids = om_column(UUIDOID, count);
	OmColumn   *tokens = om_column(UUIDOID, count);
	uint64		rows;

	for (int i = 0; i < count; i++)
	{
		items[i]->recorded = items[i]->known = false;
		om_column_add_uuid(organization_ids, &items[i]->organization_id);
		om_column_add_uuid(ids, &items[i]->id);
		om_column_add_uuid(tokens, &items[i]->lease_token);
	}
	rows = om_db_run(&lock_items, (Datum[]) {om_column_array(organization_ids),
					 om_column_array(ids), om_column_array(tokens)});
	for (uint64 row = 0; row < rows; row++)
	{
		OmItem	   *item = items[om_field_int(row, 1) - 1];

		item->recorded = om_field_bool(row, 2);
		item->known = om_field_bool(row, 3);
	}
}

/*
 * What came too late changes messages as well, after those of the others: all of them are locked now, in the order of
 * their keys.
 */
static void
lock_late(OmItem **items, int count)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *ids = om_column(UUIDOID, count);
	OmColumn   *created_at = om_column(TIMESTAMPTZOID, count);
	bool		late = false;

	for (int i = 0; i < count; i++)
	{
		late = late || !items[i]->recorded;
		om_column_add_uuid(organization_ids, &items[i]->organization_id);
		om_column_add_uuid(ids, &items[i]->message_id);
		om_column_add_time(created_at, items[i]->created_at);
	}
	if (late)
		om_message_lock(organization_ids, ids, created_at);
}

/* What we learned too late to record: only that the provider accepted a message still counts */
static void
keep_evidence(OmItem **items, int count, OmAudit *audit, TimestampTz now)
{
	OmEvidence *evidence = palloc0(sizeof(OmEvidence) * Max(count, 1));
	int			found = 0;

	for (int i = 0; i < count; i++)
		if (!items[i]->recorded && items[i]->result == OM_ANSWER_ACCEPTED)
		{
			evidence[found].organization_id = items[i]->organization_id;
			evidence[found].id = items[i]->id;
			evidence[found].attempt = items[i]->attempts;
			evidence[found].external_id = items[i]->external_id;
			found++;
		}
	om_reconcile_accept(evidence, found, "late answer", audit, now);
}

void
om_outbox_record(OmItem **items, int count, TimestampTz now)
{
	OmAudit    *audit = om_audit_begin(now, ACTOR);
	Changes		changes;

	lock_leases(items, count);
	lock_late(items, count);
	begin_changes(&changes, count);
	for (int i = 0; i < count; i++)
		if (items[i]->recorded)
			change_by_result(&changes, items[i], now);
	settle_items(&changes, now);
	for (int i = 0; i < count; i++)
		if (items[i]->recorded)
			record_message(&changes, audit, items[i], now);
	write_messages(&changes, now);
	keep_evidence(items, count, audit, now);
	record_blocks(items, count, audit, now);
	om_audit_write(audit);
}
