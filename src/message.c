/*
 * message.c
 *		Store an inbound message, or move the status of an outbound one.
 *
 * A status moves forward only: queued, sending (or unknown), sent, then one of the final ones.
 * The first final one stays.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

#include "compat.h"
#include "ingest.h"
#include "message.h"
#include "outbox.h"

/* How often rows are looked for that are to be locked */
#define LOCK_TRIES	3

/* Separates the members of cc within one element of an array; no address has it */
#define MEMBER_SEPARATOR	"\x1f"

static OmStatement insert_messages = {
	"INSERT INTO omnimsg.messages (organization_id, id, account_id, campaign_id, direction, channel,\n"
	"    from_number, to_number, cc, subject, message_body, media, status, external_message_id,\n"
	"    provider, intent, intent_rule, parts, cost_amount, cost_currency, created_at)\n"
	"SELECT w.organization_id, w.id, w.account_id, w.campaign_id, 'inbound', 'sms', w.from_number,\n"
	"    w.to_number, string_to_array(w.cc, E'\\x1f'), w.subject, w.message_body, w.media::jsonb,\n"
	"    'received', w.external_message_id, w.provider, w.intent, w.intent_rule,\n"
	"    nullif(w.parts, 0), w.cost_amount::numeric, w.cost_currency, $17\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $18)\n"
	"    AS w(organization_id, id, account_id, campaign_id, from_number, to_number, cc, subject,\n"
	"         message_body, media, external_message_id, provider, intent, cost_amount,\n"
	"         cost_currency, intent_rule, parts)\n"
	"RETURNING true",
	18, {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID, INT4ARRAYOID}, NULL
};

static OmStatement lock_messages = {
	"SELECT w.n, m.status\n"
	"  FROM unnest($1, $2, $3) WITH ORDINALITY AS w(organization_id, id, created_at, n)\n"
	"  JOIN omnimsg.messages m\n"
	"    ON m.organization_id = w.organization_id AND m.id = w.id AND m.created_at = w.created_at\n"
	" ORDER BY m.organization_id, m.id\n"
	"   FOR UPDATE OF m",
	3, {UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID}, NULL
};

static OmStatement move_messages = {
	"UPDATE omnimsg.messages m\n"
	"   SET status = w.status,\n"
	"       external_message_id = coalesce(m.external_message_id, w.external_id),\n"
	"       sent_at = coalesce(w.sent_at, m.sent_at),\n"
	"       delivered_at = coalesce(w.delivered_at, m.delivered_at),\n"
	"       failed_at = coalesce(w.failed_at, m.failed_at),\n"
	"       error_code = CASE WHEN w.settled THEN w.error_code ELSE coalesce(m.error_code, w.error_code) END,\n"
	"       error_detail = CASE WHEN w.settled THEN w.error_detail\n"
	"                           ELSE coalesce(m.error_detail, w.error_detail) END,\n"
	"       parts = coalesce(nullif(w.parts, 0), m.parts),\n"
	"       cost_amount = coalesce(w.cost_amount::numeric, m.cost_amount),\n"
	"       cost_currency = coalesce(w.cost_currency, m.cost_currency)\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)\n"
	"    AS w(organization_id, id, created_at, status, sent_at, delivered_at, failed_at,\n"
	"         error_code, error_detail, parts, cost_amount, cost_currency, external_id, settled)\n"
	" WHERE m.organization_id = w.organization_id AND m.id = w.id AND m.created_at = w.created_at",
	14, {UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID,
		TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID}, NULL
};

int
om_message_rank(const char *status)
{
	static const struct
	{
		const char *status;
		int			rank;
	}			ranks[] = {
		{"queued", 0}, {"sending", 1}, {"unknown", 1}, {"sent", 2},
		{"delivered", 3}, {"failed", 3}, {"blocked", 3}, {"expired", 3},
	};

	for (int i = 0; i < (int) lengthof(ranks); i++)
		if (strcmp(status, ranks[i].status) == 0)
			return ranks[i].rank;
	return 3;
}

#define MESSAGE_TEXTS 16		/* columns of insert_messages but the last two */

/* Messages to be stored: all of a batch, and which of them are being stored */
typedef struct NewMessages
{
	OmEvent   **events;
	OmColumn   *columns[MESSAGE_TEXTS];
	OmColumn   *parts;
	TimestampTz now;
	int			begin;
	int			count;
	uint64		reached;		/* how many of these went in, before one failed */
} NewMessages;

static void
insert_some(void *argument)
{
	NewMessages *new = argument;
	Datum		values[MESSAGE_TEXTS + 2];

	for (int c = 0; c < MESSAGE_TEXTS; c++)
		values[c] = om_column_part(new->columns[c], new->begin, new->count);
	values[MESSAGE_TEXTS] = TimestampTzGetDatum(new->now);
	values[MESSAGE_TEXTS + 1] = om_column_part(new->parts, new->begin, new->count);
	om_db_run_counting(&insert_messages, values, &new->reached);
}

/* It failed with others and by itself: no message, and no effect from here on */
static void
give_up(OmEvent *event, const ErrorData *error)
{
	om_ingest_failed(event->delivery, error);
	event->delivery->attempts++;
	event->kind = OM_EVENT_BROKEN;
	event->outcome = OM_DEAD;
	event->reason = event->delivery->failure;
	event->nowners = 0;
	event->has_message = false;
}

/*
 * Store messages, but those that cannot be.  This is where poison is met that looks like any other text, because
 * somebody's trigger or constraint refuses it, and redoing the whole batch for it would cost the others twice.
 * So the statement is run again without the one it failed at, and that one by itself.
 */
static void
insert_but_failing(NewMessages *new, int begin, int count)
{
	while (count > 0)
	{
		ErrorData  *error;
		int			good;

		new->begin = begin;
		new->count = count;
		error = om_db_try(insert_some, new, true);
		if (error == NULL)
			return;
		if (!om_ingest_is_of_content(error->sqlerrcode))
			ReThrowError(error);
		if (count == 1)
		{
			give_up(new->events[begin], error);
			return;
		}
		CHECK_FOR_INTERRUPTS();

		/* What fails after the last row, as AFTER triggers do, does not say which it was */
		good = new->reached < (uint64) count ? (int) new->reached : count / 2;
		insert_but_failing(new, begin, good);
		if (new->reached < (uint64) count)
			insert_but_failing(new, begin + good++, 1);
		begin += good;
		count -= good;
	}
}

static void
audit_received(OmAudit *audit, const OmEvent *event)
{
	om_audit_add(audit, &event->organization_id, "MESSAGE_RECEIVED", "message", &event->message_id, NULL,
				 om_audit_json("channel", "sms",
							   "intent", om_intent_label_name(event->intent.label),
							   "linked", event->account_id ? "yes" : "no", NULL));
	if (event->intent.label == OM_INTENT_HELP)
		om_audit_add(audit, &event->organization_id, "HELP_REQUESTED", "message", &event->message_id, NULL,
					 om_audit_json("rule", event->intent.rule, NULL));
}

static void
store_received(OmBatch *batch)
{
	static const Oid types[MESSAGE_TEXTS] = {
		UUIDOID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID
	};
	NewMessages new = {.now = batch->now};
	OmColumn  **columns = new.columns;
	int			count = 0;

	new.events = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	new.parts = om_column(INT4OID, batch->nevents);
	for (int c = 0; c < MESSAGE_TEXTS; c++)
		columns[c] = om_column(types[c], batch->nevents);
	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];
		StringInfoData cc;

		if (event->kind != OM_EVENT_RECEIVED || event->outcome != OM_APPLIED)
			continue;
		initStringInfo(&cc);
		for (int o = 0; o < event->nothers; o++)
			if (event->others[o] != NULL)
				appendStringInfo(&cc, "%s%s", cc.len > 0 ? MEMBER_SEPARATOR : "", event->others[o]);

		om_column_add_uuid(columns[0], &event->organization_id);
		om_column_add_uuid(columns[1], &event->message_id);
		om_column_add_uuid(columns[2], event->account_id);
		om_column_add_uuid(columns[3], event->campaign_id);
		om_column_add_text(columns[4], event->from);
		om_column_add_text(columns[5], event->to);
		om_column_add_text(columns[6], cc.len > 0 ? cc.data : NULL);
		om_column_add_text(columns[7], event->subject);
		om_column_add_text(columns[8], event->text);
		om_column_add_text(columns[9], event->media);
		om_column_add_text(columns[10], event->external_id);
		om_column_add_text(columns[11], event->delivery->provider);
		om_column_add_text(columns[12], om_intent_label_name(event->intent.label));
		om_column_add_text(columns[13], event->cost_amount);
		om_column_add_text(columns[14], event->cost_currency);
		om_column_add_text(columns[15], event->intent.label == OM_INTENT_NONE ? NULL :
						   om_request_rule(event));
		om_column_add_int(new.parts, event->parts);
		new.events[count++] = event;
	}
	if (count == 0)
		return;

	/* One by itself has failed when the caller knows it */
	if (batch->ndeliveries > 1)
		insert_but_failing(&new, 0, count);
	else
	{
		new.count = count;
		insert_some(&new);
	}
	om_journal_bury(new.events, count);
	for (int i = 0; i < count; i++)
		if (new.events[i]->outcome == OM_APPLIED)
			audit_received(batch->audit, new.events[i]);
}

static int
compare_moves(const void *a, const void *b)
{
	const OmEvent *left = *(OmEvent *const *) a;
	const OmEvent *right = *(OmEvent *const *) b;
	int			result = memcmp(&left->organization_id, &right->organization_id, sizeof(pg_uuid_t));

	if (result == 0)
		result = memcmp(&left->message_id, &right->message_id, sizeof(pg_uuid_t));
	if (result == 0)
		result = (left->status ? om_message_rank(left->status) : -1) -
			(right->status ? om_message_rank(right->status) : -1);
	if (result == 0)
		result = (left->occurred_at > right->occurred_at) - (left->occurred_at < right->occurred_at);
	return result;
}

static const char *
move_action(const char *status)
{
	if (strcmp(status, "sent") == 0)
		return "MESSAGE_SENT";
	if (strcmp(status, "delivered") == 0)
		return "MESSAGE_DELIVERED";
	return "MESSAGE_DELIVERY_FAILED";
}

static bool
same_message(const OmEvent *left, const OmEvent *right)
{
	return memcmp(&left->organization_id, &right->organization_id, sizeof(pg_uuid_t)) == 0 &&
		memcmp(&left->message_id, &right->message_id, sizeof(pg_uuid_t)) == 0;
}

/* The kind of the outbox item that one of the events of the first one's message settled, or NULL */
static const char *
settling(OmEvent **moves, int count)
{
	for (int i = 0; i < count && same_message(moves[i], moves[0]); i++)
		if (moves[i]->settled_kind != NULL)
			return moves[i]->settled_kind;
	return NULL;
}

uint64
om_message_lock(OmColumn *organization_ids, OmColumn *ids, OmColumn *created_at)
{
	Datum		keys[3] = {om_column_array(organization_ids), om_column_array(ids), om_column_array(created_at)};
	uint64		rows = 0;

	/*
	 * A row that was put elsewhere while we waited for it is passed over, as if it were gone.  The next statement
	 * sees where it is; and what it passes over twice is gone.
	 */
	for (int tries = 0; tries < LOCK_TRIES && (tries == 0 || rows < (uint64) ids->count); tries++)
		rows = om_db_run_generic(&lock_messages, keys);
	return rows;
}

/* Lock the messages and learn where they are now: the look-up of route.c took no lock */
static void
lock_moves(OmEvent **moves, int count)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *ids = om_column(UUIDOID, count);
	OmColumn   *created_at = om_column(TIMESTAMPTZOID, count);
	uint64		rows;

	for (int i = 0; i < count; i++)
	{
		om_column_add_uuid(organization_ids, &moves[i]->organization_id);
		om_column_add_uuid(ids, &moves[i]->message_id);
		om_column_add_time(created_at, moves[i]->message_created_at);
	}
	rows = om_message_lock(organization_ids, ids, created_at);
	for (uint64 row = 0; row < rows; row++)
		moves[om_field_int(row, 1) - 1]->message_status = om_field_text(row, 2);
}

static void
move_statuses(OmBatch *batch)
{
	static const Oid types[] = {
		UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, BOOLOID
	};
	OmEvent   **moves = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	OmColumn   *columns[lengthof(types)];
	Datum		values[lengthof(types)];
	int			count = 0;

	for (int i = 0; i < batch->nevents; i++)
		if (batch->events[i]->kind == OM_EVENT_STATUS && batch->events[i]->outcome == OM_APPLIED)
			moves[count++] = batch->events[i];
	if (count == 0)
		return;
	qsort(moves, count, sizeof(OmEvent *), compare_moves);
	lock_moves(moves, count);

	for (int c = 0; c < (int) lengthof(types); c++)
		columns[c] = om_column(types[c], count);

	/* The events of one message stand together, by rank: they become one row */
	for (int i = 0; i < count;)
	{
		OmEvent    *first = moves[i];
		const char *status = first->message_status;
		TimestampTz sent_at = 0;
		TimestampTz delivered_at = 0;
		TimestampTz failed_at = 0;
		char	   *error_code = NULL;
		char	   *error_detail = NULL;
		char	   *cost_amount = NULL;
		char	   *cost_currency = NULL;
		char	   *external_id = NULL;
		int			parts = 0;
		const char *settled_kind = settling(&moves[i], count - i);

		bool		settled = settled_kind != NULL && om_message_rank(status) < om_message_rank("sent");

		if (settled_kind != NULL)
			om_outbox_audit_end(batch->audit, &first->organization_id, &first->message_id, settled_kind,
								"AUTO_REPLY_SENT", "MESSAGE_SENT", "the provider told of it");
		if (settled)
		{
			status = "sent";
			sent_at = batch->now;
		}
		for (; i < count && same_message(moves[i], first); i++)
		{
			OmEvent    *event = moves[i];

			if (event->by_token && external_id == NULL)
				external_id = event->external_id;
			if (event->parts > 0)
				parts = event->parts;
			if (event->cost_amount)
			{
				cost_amount = event->cost_amount;
				cost_currency = event->cost_currency;
			}
			if (event->error_code)
			{
				error_code = event->error_code;
				error_detail = event->error_text;
			}
			if (event->status == NULL ||
				(event->provider_status && strcmp(event->provider_status, "delivery_unconfirmed") == 0))
				error_detail = error_detail ? error_detail : event->provider_status;
			if (event->status == NULL)
				continue;

			if (strcmp(event->status, "sent") == 0)
				sent_at = event->occurred_at;
			if (om_message_rank(event->status) <= om_message_rank(status))
				continue;
			if (strcmp(event->status, "delivered") == 0)
				delivered_at = event->occurred_at;
			else if (strcmp(event->status, "sent") != 0)
				failed_at = event->occurred_at;
			om_audit_add(batch->audit, &event->organization_id, move_action(event->status),
						 "message", &event->message_id,
						 om_audit_json("status", status, NULL),
						 om_audit_json("status", event->status,
									   "error_code", event->error_code, NULL));
			status = event->status;
		}

		om_column_add_uuid(columns[0], &first->organization_id);
		om_column_add_uuid(columns[1], &first->message_id);
		om_column_add_time(columns[2], first->message_created_at);
		om_column_add_text(columns[3], status);
		om_column_add_time(columns[4], sent_at);
		om_column_add_time(columns[5], delivered_at);
		om_column_add_time(columns[6], failed_at);
		om_column_add_text(columns[7], error_code);
		om_column_add_text(columns[8], error_detail);
		om_column_add_int(columns[9], parts);
		om_column_add_text(columns[10], cost_amount);
		om_column_add_text(columns[11], cost_currency);
		om_column_add_text(columns[12], external_id);
		om_column_add_bool(columns[13], settled);
	}

	for (int c = 0; c < (int) lengthof(types); c++)
		values[c] = om_column_array(columns[c]);
	om_db_run_generic(&move_messages, values);
}

void
om_message_store(OmBatch *batch)
{
	store_received(batch);
	move_statuses(batch);
}
