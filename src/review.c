/*
 * review.c
 *		Messages that may be an opt-out, and wait for a person to say whether they are.
 *
 * While a review is open nothing is sent to its address but what a reviewer releases.  One that
 * nobody decides in time is an opt-out: 47 CFR 64.1200(a)(10) gives ten business
 * days, so ten days are always enough, and a reasonable person's doubt is the consumer's.
 *
 * Locks are taken in the order reviews, outbox, consents.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "compat.h"
#include "flag.h"
#include "review.h"
#include "shmem.h"
#include "tenant.h"

#define DEADLINE_DAYS	10

/* How many the worker closes in one transaction, and how long it waits for one's consent */
#define EXPIRE_LIMIT	20
#define EXPIRE_PATIENCE_MS	100

#define MAX_ACTOR		200

/* Who decided when nobody did; a person cannot call himself that */
#define DEADLINE		"deadline"

OM_SQL_FUNCTION(omnimsg_review);
OM_SQL_FUNCTION(omnimsg_release);

static OmStatement insert_reviews = {
	"INSERT INTO omnimsg.reviews (organization_id, id, message_id, channel, address, our_address,\n"
	"    account_id, rule, matched_text, provider, dedupe_key, occurred_at, due_at,\n"
	"    message_organization_id, created_at)\n"
	"SELECT w.*, $15 FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS w",
	15, {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID,
		TIMESTAMPTZARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID}, NULL
};

#define REVIEW_COLUMNS \
	"v.organization_id, v.id, v.message_id, v.address, v.our_address, v.account_id, v.rule,\n" \
	"       v.matched_text, v.provider, v.dedupe_key, v.occurred_at, v.due_at, v.decision, v.request_id"

static OmStatement lock_review = {
	"SELECT " REVIEW_COLUMNS " FROM omnimsg.reviews v\n"
	" WHERE v.id = $1 AND (NOT $2 OR v.organization_id = $3) FOR UPDATE",
	3, {UUIDOID, BOOLOID, UUIDOID}, NULL
};

static OmStatement lock_overdue = {
	"SELECT " REVIEW_COLUMNS " FROM omnimsg.reviews v\n"
	" WHERE v.decision IS NULL AND v.due_at <= $1\n"
	" ORDER BY v.due_at, v.id LIMIT $2 FOR UPDATE SKIP LOCKED",
	2, {TIMESTAMPTZOID, INT8OID}, NULL
};

static OmStatement close_review = {
	"UPDATE omnimsg.reviews v\n"
	"   SET decision = $3, decided_at = $5, decided_by = $4,\n"
	"       request_id = nullif($6, '00000000-0000-0000-0000-000000000000')\n"
	" WHERE v.organization_id = $1 AND v.id = $2",
	6, {UUIDOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, UUIDOID}, NULL
};

/* What waits for the address is asked about again at once; the gates decide */
static OmStatement wake_items = {
	"UPDATE omnimsg.outbox o SET next_attempt_at = $3\n"
	"  FROM omnimsg.messages m\n"
	" WHERE o.organization_id = $1 AND o.state = 'queued' AND o.next_attempt_at > $3\n"
	"   AND m.organization_id = o.organization_id AND m.id = o.message_id\n"
	"   AND m.created_at = o.created_at AND m.peer_address = $2",
	3, {UUIDOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

static OmStatement release_item = {
	"UPDATE omnimsg.outbox o SET released_by = $2, released_at = $3, next_attempt_at = $3\n"
	"  FROM omnimsg.messages m\n"
	" WHERE o.message_id = $1 AND o.state = 'queued' AND o.kind = 'conversation'\n"
	"   AND (NOT $4 OR o.organization_id = $5)\n"
	"   AND m.organization_id = o.organization_id AND m.id = o.message_id\n"
	"   AND m.created_at = o.created_at\n"
	"   AND EXISTS (SELECT 1 FROM omnimsg.reviews v\n"
	"                WHERE v.organization_id = o.organization_id AND v.address = m.peer_address\n"
	"                  AND v.decision IS NULL AND v.due_at > $3)\n"
	"   AND NOT EXISTS (SELECT 1 FROM omnimsg.reviews v\n"
	"                    WHERE v.organization_id = o.organization_id AND v.address = m.peer_address\n"
	"                      AND v.decision IS NULL AND v.due_at <= $3)\n"
	"RETURNING o.organization_id",
	5, {UUIDOID, TEXTOID, TIMESTAMPTZOID, BOOLOID, UUIDOID}, NULL
};

/* A row of omnimsg.reviews */
typedef struct Review
{
	pg_uuid_t	organization_id;
	pg_uuid_t	id;
	pg_uuid_t  *message_id;
	char	   *address;
	char	   *our_address;
	pg_uuid_t  *account_id;
	char	   *rule;
	char	   *matched_text;
	char	   *provider;
	char	   *dedupe_key;
	TimestampTz occurred_at;
	TimestampTz due_at;
	char	   *decision;
	pg_uuid_t  *request_id;
} Review;

/*
 * Which messages wait for a person.  One that forbids calls is an opt-out of calls, and of
 * texts it may be one: "stop calling me" in answer to a text is often meant so.
 */
static bool
is_doubtful(const OmEvent *event)
{
	if (event->kind != OM_EVENT_RECEIVED || event->outcome != OM_APPLIED || !event->from_reachable)
		return false;
	return event->intent.label == OM_INTENT_MAYBE_OPT_OUT ||
		(event->intent.label == OM_INTENT_OPT_OUT && !om_request_is_for(event, "sms"));
}

void
om_review_open(OmBatch *batch)
{
	static const Oid types[14] = {
		UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID,
		TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID
	};
	OmColumn   *columns[14];
	Datum		values[15];

	for (int c = 0; c < 14; c++)
		columns[c] = om_column(types[c], batch->nevents);
	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		if (!is_doubtful(event))
			continue;
		for (int o = 0; o < event->nowners; o++)
		{
			pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

			om_uuid7(id);
			om_audit_add(batch->audit, &event->owners[o].organization_id, "REVIEW_OPENED", "review", id,
						 NULL, om_audit_json("rule", event->intent.rule, NULL));
			om_column_add_uuid(columns[0], &event->owners[o].organization_id);
			om_column_add_uuid(columns[1], id);
			om_column_add_uuid(columns[2], &event->message_id);
			om_column_add_text(columns[3], "sms");
			om_column_add_text(columns[4], event->from);
			om_column_add_text(columns[5], event->to);
			om_column_add_uuid(columns[6], o == 0 ? event->account_id : NULL);
			om_column_add_text(columns[7], om_request_rule(event));
			om_column_add_text(columns[8], om_request_matched_text(event));
			om_column_add_text(columns[9], event->delivery->provider);
			om_column_add_text(columns[10], event->dedupe_key);
			om_column_add_time(columns[11], event->occurred_at);
			om_column_add_time(columns[12], event->occurred_at + DEADLINE_DAYS * USECS_PER_DAY);
			om_column_add_uuid(columns[13], &event->organization_id);
		}
	}
	if (columns[0]->count == 0)
		return;
	for (int c = 0; c < 14; c++)
		values[c] = om_column_array(columns[c]);
	values[14] = TimestampTzGetDatum(batch->now);
	om_db_run(&insert_reviews, values);
}

static void
read_review(uint64 row, Review *review)
{
	bool		isnull;

	review->organization_id = *om_field_uuid(row, 1);
	review->id = *om_field_uuid(row, 2);
	review->message_id = om_field_uuid(row, 3);
	review->address = om_field_text(row, 4);
	review->our_address = om_field_text(row, 5);
	review->account_id = om_field_uuid(row, 6);
	review->rule = om_field_text(row, 7);
	review->matched_text = om_field_text(row, 8);
	review->provider = om_field_text(row, 9);
	review->dedupe_key = om_field_text(row, 10);
	review->occurred_at = om_field_time(row, 11, &isnull);
	review->due_at = om_field_time(row, 12, &isnull);
	review->decision = om_field_text(row, 13);
	review->request_id = om_field_uuid(row, 14);
}

/*
 * The opt-out that a review comes to: as if the message had been clear, from when it was
 * written.  Returns the request of the texts.
 */
static OmRequest *
opt_out(const Review *review, const char *actor, TimestampTz now, int patience_ms)
{
	static const char *const channels[] = {"sms", "voice"};
	OmRequest **requests = palloc(sizeof(OmRequest *) * lengthof(channels));

	for (int i = 0; i < (int) lengthof(channels); i++)
	{
		OmRequest  *request = palloc0(sizeof(OmRequest));

		request->organization_id = review->organization_id;
		request->channel = channels[i];
		request->address = review->address;
		request->our_address = review->our_address;
		request->account_id = review->account_id;
		request->request_type = "opt_out";
		request->scope = "all";
		request->source = "free_text";
		request->rule = review->rule;
		request->matched_text = review->matched_text;
		request->note = psprintf("reviewed by %s", actor);
		request->message_id = review->message_id;
		request->provider = review->provider;
		request->dedupe_key = review->dedupe_key;
		request->occurred_at = review->occurred_at;
		requests[i] = request;
	}
	om_consent_record(requests, lengthof(channels), now, patience_ms);
	return requests[0];
}

static void
settle(const Review *review, const char *decision, const char *actor, const OmRequest *request,
	   OmAudit *audit, TimestampTz now)
{
	om_db_run(&close_review, (Datum[]) {UUIDPGetDatum(&review->organization_id),
			  UUIDPGetDatum(&review->id), CStringGetTextDatum(decision), CStringGetTextDatum(actor),
			  TimestampTzGetDatum(now), UUIDPGetDatum(request ? &request->id : &om_nil_uuid)});
	om_audit_add(audit, &review->organization_id, "REVIEW_DECIDED", "review", &review->id, NULL,
				 om_audit_json("decision", decision, "rule", review->rule,
							   "by", strcmp(actor, DEADLINE) == 0 ? "worker" : om_audit_role(), NULL));
	if (request != NULL)
		om_audit_add(audit, &review->organization_id, "OPT_OUT_REQUESTED", "opt_out_request",
					 &request->id,
					 om_audit_json("opted_out", request->was_opted_out ? "yes" : "no", NULL),
					 om_audit_json("request_type", "opt_out", "source", "free_text",
								   "rule", review->rule,
								   "decides", request->deferred ? "not known yet" :
								   request->decides ? "yes" : "no", NULL));
}

/* Blanks around a name are not part of it */
static char *
trimmed(char *name)
{
	size_t		length;

	name += strspn(name, " \t\r\n");
	for (length = strlen(name); length > 0 && strchr(" \t\r\n", name[length - 1]); length--)
		name[length - 1] = '\0';
	return name;
}

static char *
actor_argument(FunctionCallInfo fcinfo, int number)
{
	char	   *actor = trimmed(om_arg_text(fcinfo, number, "actor"));

	if (actor[0] == '\0' || strlen(actor) > MAX_ACTOR)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("actor must have 1 to %d bytes", MAX_ACTOR),
				 errhint("Give the name of the person who decides; it goes on record.")));
	if (pg_strcasecmp(actor, DEADLINE) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("actor must not be \"%s\"", DEADLINE),
				 errdetail("On record it means that nobody decided in time."),
				 errhint("Give the name of the person who decides; it goes on record.")));
	om_arg_refuse_address(actor, "actor");
	return actor;
}

static void
read_open_review(const pg_uuid_t *id, const char *decision, Review *review, TimestampTz now)
{
	pg_uuid_t	own;
	bool		bound = om_tenant_binds(&own);

	if (om_db_run(&lock_review, (Datum[]) {UUIDPGetDatum(id), BoolGetDatum(bound), UUIDPGetDatum(&own)}) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("review \"%s\" does not exist",
						DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)))),
				 errhint("Reviews are in omnimsg.reviews.")));
	read_review(0, review);
	if (review->decision != NULL && strcmp(review->decision, decision) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the review has been decided: \"%s\"", review->decision),
				 errhint("What the person asks for later is recorded with omnimsg_record_consent().")));
	if (review->decision == NULL && review->due_at <= now && strcmp(decision, "opt_out") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the review is past its deadline and counts as an opt-out"),
				 errhint("What the person asks for later is recorded with omnimsg_record_consent().")));
}

/* omnimsg_review(id uuid, decision text, actor text) returns uuid */
Datum
omnimsg_review(PG_FUNCTION_ARGS)
{
	static const char *const decisions[] = {"opt_out", "wrong_number", "none", NULL};
	pg_uuid_t  *id = om_arg_uuid(fcinfo, 0, "id");
	char	   *decision = om_arg_word(fcinfo, 1, "decision", decisions);
	char	   *actor = actor_argument(fcinfo, 2);
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	OmRequest  *request = NULL;
	Review		review;
	OmAudit    *audit;
	bool		isnull;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	read_open_review(id, decision, &review, now);
	if (review.decision == NULL)
	{
		om_db_run(&wake_items, (Datum[]) {UUIDPGetDatum(&review.organization_id),
				  CStringGetTextDatum(review.address), TimestampTzGetDatum(now)});
		if (strcmp(decision, "opt_out") == 0)
			request = opt_out(&review, actor, now, 0);
		else if (strcmp(decision, "wrong_number") == 0)
			om_flag_set(&review.organization_id, review.address, "wrong_number", review.occurred_at,
						"the person says so in a message that was reviewed", actor, true);
		audit = om_audit_begin(now, psprintf("reviewer:%s", actor));
		settle(&review, decision, actor, request, audit, now);
		om_audit_write(audit);
		om_wake_dispatcher_at_commit();
		review.request_id = request ? &request->id : NULL;
	}
	isnull = review.request_id == NULL;
	if (!isnull)
		memcpy(result, review.request_id, sizeof(pg_uuid_t));
	SPI_finish();
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(result);
}

/* omnimsg_release(message_id uuid, actor text) returns boolean */
Datum
omnimsg_release(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *message_id = om_arg_uuid(fcinfo, 0, "message_id");
	char	   *actor = actor_argument(fcinfo, 1);
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t	own;
	bool		bound = om_tenant_binds(&own);
	bool		released;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	released = om_db_run(&release_item, (Datum[]) {UUIDPGetDatum(message_id),
						 CStringGetTextDatum(actor), TimestampTzGetDatum(now), BoolGetDatum(bound),
						 UUIDPGetDatum(&own)}) > 0;
	if (released)
	{
		OmAudit    *audit = om_audit_begin(now, psprintf("reviewer:%s", actor));

		om_audit_add(audit, om_field_uuid(0, 1), "REPLY_RELEASED", "message", message_id, NULL,
					 om_audit_json("by", om_audit_role(), NULL));
		om_audit_write(audit);
		om_wake_dispatcher_at_commit();
	}
	SPI_finish();
	PG_RETURN_BOOL(released);
}

int
om_review_expire(TimestampTz now)
{
	uint64		rows = om_db_run(&lock_overdue, (Datum[]) {TimestampTzGetDatum(now),
								 Int64GetDatum(EXPIRE_LIMIT)});
	Review	   *reviews = palloc(sizeof(Review) * Max(rows, 1));
	OmAudit    *audit = om_audit_begin(now, "worker");

	for (uint64 row = 0; row < rows; row++)
		read_review(row, &reviews[row]);
	for (uint64 row = 0; row < rows; row++)
		settle(&reviews[row], "opt_out", DEADLINE,
			   opt_out(&reviews[row], DEADLINE, now, EXPIRE_PATIENCE_MS), audit, now);
	om_audit_write(audit);
	return rows;
}
