/*
 * reconcile.c
 *		Finding out what became of a message that may have been sent.
 *
 * An item is settled as sent by evidence only, and evidence is never lost: it counts whatever became of the item
 * meanwhile, also when it is queued for another attempt, which then is not made.  It is never taken back, because
 * the provider does not take back a message either.
 *
 * Locks are taken in the order journal, outbox, messages.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "compat.h"
#include "ingest.h"
#include "message.h"
#include "outbox.h"
#include "reconcile.h"

/* The items that evidence is about, and what they are now.  One of an attempt that was never made is none. */
static OmStatement lock_items = {
	"SELECT w.n, o.state, o.kind, o.message_id, o.created_at\n"
	"  FROM unnest($1, $2, $3) WITH ORDINALITY AS w(organization_id, id, attempt, n)\n"
	"  JOIN omnimsg.outbox o\n"
	"    ON o.organization_id = w.organization_id AND o.id = w.id AND o.attempts >= w.attempt\n"
	" ORDER BY o.organization_id, o.id\n"
	"   FOR UPDATE OF o",
	3, {UUIDARRAYOID, UUIDARRAYOID, INT4ARRAYOID}, NULL
};

static OmStatement settle_sent = {
	"UPDATE omnimsg.outbox o\n"
	"   SET state = 'sent', settled_at = $3, last_error = NULL, lease_token = NULL, leased_until = NULL,\n"
	"       next_look_at = NULL, failed_looks = 0, candidate_external_id = NULL\n"
	"  FROM unnest($1, $2) AS w(organization_id, id)\n"
	" WHERE o.organization_id = w.organization_id AND o.id = w.id",
	3, {UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID}, NULL
};

/* What an error said while the outcome was unknown is no error of a message that was accepted */
static OmStatement accept_messages = {
	"UPDATE omnimsg.messages m\n"
	"   SET external_message_id = coalesce(m.external_message_id, w.external_id),\n"
	"       sent_at = coalesce(m.sent_at, $5),\n"
	"       status = CASE WHEN m.status IN ('queued', 'sending', 'unknown') THEN 'sent' ELSE m.status END,\n"
	"       error_code = CASE WHEN m.status NOT IN ('queued', 'sending', 'unknown') THEN m.error_code END,\n"
	"       error_detail = CASE WHEN m.status NOT IN ('queued', 'sending', 'unknown') THEN m.error_detail END\n"
	"  FROM unnest($1, $2, $3, $4) AS w(organization_id, id, created_at, external_id)\n"
	" WHERE m.organization_id = w.organization_id AND m.id = w.id AND m.created_at = w.created_at",
	5, {UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}, NULL
};

/* An item that evidence has settled */
typedef struct Settled
{
	int			evidence;		/* which, from 0 */
	pg_uuid_t  *organization_id;
	pg_uuid_t  *id;
	char	   *kind;
	pg_uuid_t  *message_id;
	TimestampTz created_at;
} Settled;

/*
 * Lock the items of the evidence and settle as sent those that are not.  Of several pieces of
 * evidence for one item the first settles it.
 */
static Settled *
settle_items(const OmEvidence *evidence, int count, TimestampTz now, int *settled_count)
{
	OmColumn   *organization_ids = om_column(UUIDOID, count);
	OmColumn   *ids = om_column(UUIDOID, count);
	OmColumn   *attempts = om_column(INT4OID, count);
	OmColumn   *settled_organization_ids = om_column(UUIDOID, count);
	OmColumn   *settled_ids = om_column(UUIDOID, count);
	Settled    *settled = palloc(sizeof(Settled) * Max(count, 1));
	uint64		rows;

	*settled_count = 0;
	if (count == 0)
		return settled;
	for (int i = 0; i < count; i++)
	{
		om_column_add_uuid(organization_ids, &evidence[i].organization_id);
		om_column_add_uuid(ids, &evidence[i].id);
		om_column_add_int(attempts, evidence[i].attempt);
	}
	rows = om_db_run(&lock_items, (Datum[]) {om_column_array(organization_ids), om_column_array(ids),
					 om_column_array(attempts)});
	for (uint64 row = 0; row < rows; row++)
	{
		Settled    *one = &settled[*settled_count];
		Settled    *previous = *settled_count > 0 ? one - 1 : NULL;
		bool		isnull;

		if (strcmp(om_field_text(row, 2), "sent") == 0)
			continue;
		one->evidence = om_field_int(row, 1) - 1;
		one->organization_id = unconstify(pg_uuid_t *, &evidence[one->evidence].organization_id);
		one->id = unconstify(pg_uuid_t *, &evidence[one->evidence].id);
		if (previous != NULL && memcmp(previous->id, one->id, sizeof(pg_uuid_t)) == 0 &&
			memcmp(previous->organization_id, one->organization_id, sizeof(pg_uuid_t)) == 0)
			continue;
		one->kind = om_field_text(row, 3);
		one->message_id = om_field_uuid(row, 4);
		one->created_at = om_field_time(row, 5, &isnull);
		om_column_add_uuid(settled_organization_ids, one->organization_id);
		om_column_add_uuid(settled_ids, one->id);
		(*settled_count)++;
	}
	if (*settled_count > 0)
		om_db_run(&settle_sent, (Datum[]) {om_column_array(settled_organization_ids),
				  om_column_array(settled_ids), TimestampTzGetDatum(now)});
	return settled;
}

int
om_reconcile_accept(const OmEvidence *evidence, int count, const char *source, OmAudit *audit,
					TimestampTz now)
{
	int			settled_count;
	Settled    *settled = settle_items(evidence, count, now, &settled_count);
	OmColumn   *organization_ids = om_column(UUIDOID, settled_count);
	OmColumn   *message_ids = om_column(UUIDOID, settled_count);
	OmColumn   *created_at = om_column(TIMESTAMPTZOID, settled_count);
	OmColumn   *external_ids = om_column(TEXTOID, settled_count);
	Datum		keys[3];

	if (settled_count == 0)
		return 0;
	for (int i = 0; i < settled_count; i++)
	{
		om_column_add_uuid(organization_ids, settled[i].organization_id);
		om_column_add_uuid(message_ids, settled[i].message_id);
		om_column_add_time(created_at, settled[i].created_at);
		om_column_add_text(external_ids, evidence[settled[i].evidence].external_id);
		om_outbox_audit_end(audit, settled[i].organization_id, settled[i].message_id, settled[i].kind,
							"AUTO_REPLY_SENT", "MESSAGE_SENT", source);
	}
	om_message_lock(organization_ids, message_ids, created_at);
	keys[0] = om_column_array(organization_ids);
	keys[1] = om_column_array(message_ids);
	keys[2] = om_column_array(created_at);
	om_db_run(&accept_messages, (Datum[]) {keys[0], keys[1], keys[2], om_column_array(external_ids),
			  TimestampTzGetDatum(now)});
	return settled_count;
}

/*
 * A step of ingest: statuses that were matched by the token of an attempt.  Only the items are settled
 * here; message.c moves the messages, all of them in one order.
 */
void
om_reconcile_callbacks(OmBatch *batch)
{
	OmEvidence *evidence = palloc(sizeof(OmEvidence) * Max(batch->nevents, 1));
	OmEvent   **events = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	Settled    *settled;
	int			count = 0;
	int			settled_count;

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		if (event->kind != OM_EVENT_STATUS || event->outcome != OM_APPLIED || !event->by_token)
			continue;
		events[count] = event;
		evidence[count].organization_id = event->organization_id;
		memcpy(evidence[count].id.data, event->token.id, sizeof(event->token.id));
		evidence[count].attempt = event->token.attempt;
		evidence[count].external_id = event->external_id;
		count++;
	}
	settled = settle_items(evidence, count, batch->now, &settled_count);
	for (int i = 0; i < settled_count; i++)
		events[settled[i].evidence]->settled_kind = settled[i].kind;
}
