/*
 * request.c
 *		Where requests come from: inbound messages, provider's blocks, and people at a desk.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "compat.h"
#include "core/pseudonym.h"
#include "ingest.h"
#include "review.h"

/* matched_text keeps the words that decided, not a whole novel */
#define MAX_MATCHED_TEXT	200

/* How long a webhook waits for a consent that others have locked; its provider waits two seconds */
#define PATIENCE_MS	700

OM_SQL_FUNCTION(omnimsg_record_consent);

/* Of messages that the provider refused: those whose block is on record */
static OmStatement find_blocks = {
	"SELECT w.n FROM unnest($1, $2, $3) WITH ORDINALITY AS w(organization_id, address, message_id, n)\n"
	" WHERE EXISTS (SELECT 1 FROM omnimsg.opt_out_requests q\n"
	"                WHERE q.organization_id = w.organization_id AND q.channel = 'sms'\n"
	"                  AND q.address = w.address AND q.message_id = w.message_id\n"
	"                  AND q.source = 'provider_block')",
	3, {UUIDARRAYOID, TEXTARRAYOID, UUIDARRAYOID}, NULL
};

typedef struct Requests
{
	OmRequest **all;
	OmEvent   **events;			/* what each is from */
	int			count;
	int			capacity;
} Requests;

static OmRequest *
new_request(Requests *requests, OmEvent *event, const pg_uuid_t *organization_id,
			const char *channel, const char *address, const char *our_address)
{
	OmRequest  *request = palloc0(sizeof(OmRequest));

	if (requests->count == requests->capacity)
	{
		requests->capacity *= 2;
		requests->all = repalloc(requests->all, sizeof(OmRequest *) * requests->capacity);
		requests->events = repalloc(requests->events, sizeof(OmEvent *) * requests->capacity);
	}
	requests->all[requests->count] = request;
	requests->events[requests->count++] = event;

	request->organization_id = *organization_id;
	request->channel = channel;
	request->address = address;
	request->our_address = our_address;
	request->scope = "all";
	request->message_id = &event->message_id;
	request->provider = event->delivery->provider;
	request->dedupe_key = event->dedupe_key;
	return request;
}

char *
om_request_matched_text(const OmEvent *event)
{
	const OmIntent *intent = &event->intent;
	size_t		length = intent->span_end - intent->span_start;

	if (event->text == NULL || length == 0)
		return NULL;
	length = pg_mbcliplen(event->text + intent->span_start, length, MAX_MATCHED_TEXT);
	return pnstrdup(event->text + intent->span_start, length);
}

char *
om_request_rule(const OmEvent *event)
{
	return psprintf("%s (%s)", event->intent.rule, om_intent_version());
}

static const char *
source_of(const OmEvent *event)
{
	if (strncmp(event->intent.rule, "provider:", 9) == 0)
		return "provider";
	if (strncmp(event->intent.rule, "keyword:", 8) == 0 ||
		strncmp(event->intent.rule, "organization:", 13) == 0)
		return "keyword";
	return "free_text";
}

/*
 * STOP and START by text.
 *
 * STOP is recorded for every organization that shares the number, because the person
 * cannot know that there are several, and for calls as well: 47 CFR 64.1200(a)(10)
 * speaks of calls and texts alike.  Words that forbid only calls are recorded for calls, and
 * review.c asks a person what they mean for texts.  START to a shared number lifts only what was
 * stopped through it; and for calls it never lifts more than a text to the same number took.
 */
static void
add_received(Requests *requests, OmEvent *event)
{
	static const char *const channels[] = {"sms", "voice"};
	bool		stops = event->intent.label == OM_INTENT_OPT_OUT;
	const char *rule = om_request_rule(event);
	const char *matched = om_request_matched_text(event);

	for (int o = 0; o < (event->for_first_owner ? 1 : event->nowners); o++)
	{
		const pg_uuid_t *organization_id = &event->owners[o].organization_id;

		for (int voice = 0; voice <= (event->from_reachable ? 1 : 0); voice++)
		{
			OmRequest  *request;

			if (stops && !om_request_is_for(event, channels[voice]))
				continue;
			request = new_request(requests, event, organization_id, channels[voice], event->from,
								  event->to);
			request->our_address_only = !stops && (voice || event->nowners > 1);
			request->account_id = o == 0 ? event->account_id : NULL;
			request->request_type = stops ? "opt_out" : "opt_in";
			request->source = source_of(event);
			request->rule = rule;
			request->matched_text = matched;
			request->occurred_at = event->occurred_at;
			if (o == 0 && !voice)
				event->request = request;
		}
	}
}

/* The provider refused one of our messages because the person said STOP to it */
static void
add_block(Requests *requests, OmEvent *event)
{
	OmRequest  *request = new_request(requests, event, &event->organization_id, "sms",
									  event->message_peer, event->message_ours);

	request->request_type = "opt_out";
	request->source = "provider_block";
	request->rule = psprintf("error:%s", event->error_code);
	request->occurred_at = event->message_left_at;
}

bool *
om_request_known_blocks(OmColumn *organization_ids, OmColumn *addresses, OmColumn *message_ids)
{
	bool	   *known = palloc0(sizeof(bool) * Max(message_ids->count, 1));
	uint64		rows = 0;

	if (message_ids->count > 0)
		rows = om_db_run(&find_blocks, (Datum[]) {om_column_array(organization_ids),
						 om_column_array(addresses), om_column_array(message_ids)});
	for (uint64 row = 0; row < rows; row++)
		known[om_field_int(row, 1) - 1] = true;
	return known;
}

/* Two events of one batch may tell of the same block */
static bool
has_block(const Requests *requests, const OmEvent *event)
{
	for (int i = 0; i < requests->count; i++)
		if (requests->events[i]->kind == OM_EVENT_STATUS &&
			memcmp(&requests->events[i]->message_id, &event->message_id, sizeof(pg_uuid_t)) == 0)
			return true;
	return false;
}

/*
 * The blocks that a batch tells of, each once.  The status of the message does not tell whether its block is
 * known: one that failed before stays failed.  Its row is locked, so nobody else
 * is recording the block meanwhile.
 */
static void
add_blocks(Requests *requests, OmBatch *batch)
{
	OmColumn   *organization_ids = om_column(UUIDOID, batch->nevents);
	OmColumn   *addresses = om_column(TEXTOID, batch->nevents);
	OmColumn   *message_ids = om_column(UUIDOID, batch->nevents);
	OmEvent   **blocked = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	OmEvent   **forgotten = palloc(sizeof(OmEvent *) * Max(batch->nevents, 1));
	bool	   *proving = palloc(sizeof(bool) * Max(batch->nevents, 1));
	int			count = 0;
	int			nforgotten = 0;
	bool	   *known;

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		if (event->outcome != OM_APPLIED || event->kind != OM_EVENT_STATUS || event->status == NULL ||
			strcmp(event->status, "blocked") != 0 || event->message_peer == NULL)
			continue;
		om_column_add_uuid(organization_ids, &event->organization_id);
		om_column_add_text(addresses, event->message_peer);
		om_column_add_uuid(message_ids, &event->message_id);
		blocked[count++] = event;
	}
	known = om_request_known_blocks(organization_ids, addresses, message_ids);
	for (int i = 0; i < count; i++)
	{
		bool		proves = !known[i] && !has_block(requests, blocked[i]);

		if (proves)
			add_block(requests, blocked[i]);
		/* the number of somebody who was erased must not come back, and what proves nothing nobody would find to erase */
		if (proves && !om_is_pseudonym(blocked[i]->message_peer, strlen(blocked[i]->message_peer)))
			continue;
		forgotten[nforgotten] = blocked[i];
		proving[nforgotten++] = proves;
	}
	om_journal_forget(forgotten, proving, nforgotten);
}

static void
audit_request(OmBatch *batch, OmEvent *event, OmRequest *request)
{
	const char *action;

	if (event->kind == OM_EVENT_STATUS)
		action = "CONSENT_RECORDED";
	else if (strcmp(request->channel, "sms") != 0 && om_request_is_for(event, "sms"))
		return;					/* one row tells of the texts and of the calls */
	else
		action = event->intent.label == OM_INTENT_OPT_OUT ? "OPT_OUT_REQUESTED" : "OPT_IN_CONFIRMED";

	om_audit_add(batch->audit, &request->organization_id, action, "opt_out_request", &request->id,
				 om_audit_json("opted_out", request->was_opted_out ? "yes" : "no", NULL),
				 om_audit_json("request_type", request->request_type, "source", request->source,
							   "rule", request->rule,
							   "decides", request->deferred ? "not known yet" :
							   request->decides ? "yes" : "no", NULL));
}

/* Step of ingest: record what the messages and the failures ask for */
void
om_consent(OmBatch *batch)
{
	Requests	requests;

	requests.count = 0;
	requests.capacity = 16;
	requests.all = palloc(sizeof(OmRequest *) * requests.capacity);
	requests.events = palloc(sizeof(OmEvent *) * requests.capacity);

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		if (event->outcome != OM_APPLIED)
			continue;
		if (event->kind == OM_EVENT_RECEIVED &&
			(event->intent.label == OM_INTENT_OPT_OUT || event->intent.label == OM_INTENT_OPT_IN))
			add_received(&requests, event);
	}
	add_blocks(&requests, batch);

	om_review_open(batch);
	om_consent_record(requests.all, requests.count, batch->now, PATIENCE_MS);
	for (int i = 0; i < requests.count; i++)
		audit_request(batch, requests.events[i], requests.all[i]);
}

/*
 * omnimsg_record_consent(organization_id uuid, channel text, address text,
 *		request_type text, source text, note text, scope text, occurred_at timestamptz) returns uuid
 *
 * A request that did not come as a message: somebody called, wrote a letter, ticked a box.
 */
Datum
omnimsg_record_consent(PG_FUNCTION_ARGS)
{
	static const char *const types[] = {"opt_out", "opt_in", NULL};
	static const char *const sources[] = {"agent", "email", "web", "import", "api", "free_text",
	"provider", NULL};
	OmRequest	request = {0};
	OmRequest  *requests[1] = {&request};
	TimestampTz now = GetCurrentTimestamp();
	OmAudit    *audit;
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	char	   *address;

	request.organization_id = *om_arg_organization(fcinfo, 0);
	request.channel = om_arg_word(fcinfo, 1, "channel", om_channels);
	address = om_arg_text(fcinfo, 2, "address");
	request.request_type = om_arg_word(fcinfo, 3, "request_type", types);
	request.source = om_arg_word(fcinfo, 4, "source", sources);
	request.note = PG_ARGISNULL(5) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(5));
	request.scope = om_arg_scope(fcinfo, 6);
	om_arg_refuse_address(request.scope, "scope");
	request.occurred_at = PG_ARGISNULL(7) ? now : PG_GETARG_TIMESTAMPTZ(7);

	if (TIMESTAMP_NOT_FINITE(request.occurred_at) ||
		request.occurred_at > now + OM_MAX_AHEAD * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("occurred_at must be a time that has been"),
				 errdetail("A request from the future would win over every request until then.")));
	if (strcmp(request.request_type, "opt_in") == 0 && strcmp(request.source, "agent") == 0 &&
		(request.note == NULL || request.note[strspn(request.note, " \t\r\n")] == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an opt-in that an agent records needs a note"),
				 errhint("Say in it how and when the person asked for it.")));
	if (request.occurred_at == 0)
		request.occurred_at = 1;	/* 0 stands for no time in a column of ours */

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	request.address = om_address_for(address, request.channel,
									 om_organization_region(&request.organization_id));

	om_consent_record(requests, 1, now, 0);

	audit = om_audit_begin(now, om_audit_role());
	om_audit_add(audit, &request.organization_id, "CONSENT_RECORDED", "opt_out_request", &request.id,
				 om_audit_json("opted_out", request.was_opted_out ? "yes" : "no", NULL),
				 om_audit_json("channel", request.channel, "request_type", request.request_type,
							   "source", request.source, "scope", request.scope,
							   "decides", request.decides ? "yes" : "no", NULL));
	om_audit_write(audit);

	memcpy(result, &request.id, sizeof(pg_uuid_t));
	SPI_finish();
	PG_RETURN_UUID_P(result);
}
