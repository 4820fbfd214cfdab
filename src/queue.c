/*
 * queue.c
 *		A message that is to be sent: its row in omnimsg.messages and its outbox item.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "queue.h"
#include "shmem.h"

static OmStatement insert_messages = {
	"INSERT INTO omnimsg.messages (organization_id, id, account_id, campaign_id, direction, channel,\n"
	"    from_number, to_number, message_body, status, provider, in_reply_to, created_at)\n"
	"SELECT w.organization_id, w.id, w.account_id, w.campaign_id, 'outbound', 'sms',\n"
	"    w.from_number, w.to_number, w.message_body, 'queued', w.provider, w.in_reply_to, $10\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)\n"
	"    AS w(organization_id, id, account_id, campaign_id, from_number, to_number,\n"
	"         message_body, provider, in_reply_to)",
	10, {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID}, NULL
};

static OmStatement insert_outbox = {
	"INSERT INTO omnimsg.outbox (organization_id, id, message_id, kind, scope, state, next_attempt_at,\n"
	"    expires_at, request_id, created_at)\n"
	"SELECT w.organization_id, w.id, w.message_id, w.kind, w.scope, 'queued', w.next_attempt_at,\n"
	"    w.expires_at, w.request_id, $9\n"
	"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)\n"
	"    AS w(organization_id, id, message_id, kind, scope, next_attempt_at, expires_at, request_id)",
	9, {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID,
		TIMESTAMPTZARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID}, NULL
};

void
om_queue(OmQueued *items, int count, TimestampTz now)
{
	static const Oid message_types[] = {
		UUIDOID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID
	};
	OmColumn   *m[lengthof(message_types)];
	OmColumn   *outbox_ids = om_column(UUIDOID, count);
	OmColumn   *kinds = om_column(TEXTOID, count);
	OmColumn   *scopes = om_column(TEXTOID, count);
	OmColumn   *next_attempts = om_column(TIMESTAMPTZOID, count);
	OmColumn   *expires_at = om_column(TIMESTAMPTZOID, count);
	OmColumn   *request_ids = om_column(UUIDOID, count);
	Datum		values[lengthof(message_types) + 1];

	if (count == 0)
		return;
	for (int c = 0; c < (int) lengthof(message_types); c++)
		m[c] = om_column(message_types[c], count);
	for (int i = 0; i < count; i++)
	{
		OmQueued   *item = &items[i];
		pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

		om_uuid7(id);
		om_column_add_uuid(m[0], &item->organization_id);
		om_column_add_uuid(m[1], &item->message_id);
		om_column_add_uuid(m[2], item->account_id);
		om_column_add_uuid(m[3], item->campaign_id);
		om_column_add_text(m[4], item->from);
		om_column_add_text(m[5], item->to);
		om_column_add_text(m[6], item->body);
		om_column_add_text(m[7], item->provider);
		om_column_add_uuid(m[8], item->in_reply_to);
		om_column_add_uuid(outbox_ids, id);
		om_column_add_text(kinds, item->kind);
		om_column_add_text(scopes, item->scope);
		om_column_add_time(next_attempts, item->next_attempt_at);
		om_column_add_time(expires_at, item->expires_at);
		om_column_add_uuid(request_ids, item->request_id);
	}

	for (int c = 0; c < (int) lengthof(message_types); c++)
		values[c] = om_column_array(m[c]);
	values[lengthof(message_types)] = TimestampTzGetDatum(now);
	om_db_run(&insert_messages, values);
	om_db_run(&insert_outbox, (Datum[]) {values[0], om_column_array(outbox_ids), values[1],
			  om_column_array(kinds), om_column_array(scopes), om_column_array(next_attempts),
			  om_column_array(expires_at), om_column_array(request_ids), TimestampTzGetDatum(now)});
	om_wake_dispatcher_at_commit();
}
