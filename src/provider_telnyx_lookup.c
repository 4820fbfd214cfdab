/*
 * provider_telnyx_lookup.c
 *		What Telnyx knows of a message that may have been sent.
 *
 * Two questions: GET /v2/messages/{id}, where an answer had an id in it; else GET /v2/webhook_deliveries for the
 * webhooks that carry the item's token, whether or not they reached us.  "Nothing" is taken for an answer
 * only where Telnyx says it: 404 with its errors, or a list that says that it has no entries.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "core/token.h"
#include "ingest.h"
#include "json.h"
#include "provider_telnyx_lookup.h"
#include "provider_telnyx_send.h"

/* As many deliveries as Telnyx gives at once; a message has two events, tried six times at most */
#define PAGE_SIZE	50

/* What is wanted of a message or of a webhook */
typedef struct Entry
{
	char	   *id;
	char	   *webhook_url;
} Entry;

typedef struct Fields
{
	Entry		entries[PAGE_SIZE];
	int			count;
	int64		total;			/* -1 when the answer does not say */
} Fields;

/* Of all attempts: that an earlier one was accepted counts as much */
static char *
token_of_item(const OmLookup *lookup)
{
	OmToken		token;
	char		name[OM_TOKEN_SIZE];

	memcpy(token.id, lookup->id.data, sizeof(token.id));
	token.attempt = 1;
	om_token_write(&token, name);
	name[strlen(name) - 1] = '\0';
	return pstrdup(name);
}

char *
om_telnyx_lookup_url(const OmLookup *lookup)
{
	StringInfoData url;

	initStringInfo(&url);
	if (lookup->candidate != NULL)
	{
		appendStringInfoString(&url, om_telnyx_url("messages/"));
		om_telnyx_add_encoded(&url, lookup->candidate);
	}
	else
	{
		appendStringInfoString(&url, om_telnyx_url("webhook_deliveries"));
		om_telnyx_add_parameter(&url, "filter[webhook][contains]", token_of_item(lookup));
		om_telnyx_add_parameter(&url, "page[number]", "1");
		om_telnyx_add_parameter(&url, "page[size]", psprintf("%d", PAGE_SIZE));
	}
	return url.data;
}

static void
read_delivery(void *arg, const char *path, int index, const char *value, bool is_string, bool is_null)
{
	Fields	   *fields = arg;

	if (is_null)
		return;
	if (strcmp(path, "meta.total_results") == 0)
		fields->total = strspn(value, "0123456789") == strlen(value) && strlen(value) <= 9 ? atoi(value) : -1;
	if (strncmp(path, "data[].webhook.", 15) != 0 || index < 0 || index >= PAGE_SIZE)
		return;
	fields->count = Max(fields->count, index + 1);
	if (strcmp(path + 15, "payload.id") == 0)
		fields->entries[index].id = pstrdup(value);
	else if (strcmp(path + 15, "payload.webhook_url") == 0)
		fields->entries[index].webhook_url = pstrdup(value);
}

static void
read_message(void *arg, const char *path, int index, const char *value, bool is_string, bool is_null)
{
	Fields	   *fields = arg;

	if (is_null)
		return;
	if (strcmp(path, "data.id") == 0)
		fields->entries[0].id = pstrdup(value);
	else if (strcmp(path, "data.webhook_url") == 0)
		fields->entries[0].webhook_url = pstrdup(value);
}

/* Is it of this item?  Then *attempt is which of its attempts. */
static bool
is_ours(const OmLookup *lookup, const Entry *entry, int *attempt)
{
	OmToken		token;

	if (entry->id == NULL || *entry->id == '\0' || strlen(entry->id) > OM_MAX_ID || entry->webhook_url == NULL ||
		!om_token_read(entry->webhook_url, strlen(entry->webhook_url), &token) ||
		memcmp(token.id, lookup->id.data, sizeof(token.id)) != 0 || token.attempt > lookup->attempts)
		return false;
	*attempt = token.attempt;
	return true;
}

static void
add_evidence(const OmLookup *lookup, const Entry *entry, int attempt, OmEvidence *evidence)
{
	memset(evidence, 0, sizeof(OmEvidence));
	evidence->organization_id = lookup->organization_id;
	evidence->id = lookup->id;
	evidence->attempt = attempt;
	evidence->external_id = entry->id;
}

/* A message by an id that came in the answer to the latest attempt */
static const char *
read_by_id(const OmHttpAnswer *http, const OmLookup *lookup, OmEvidence *evidence, int *count)
{
	Fields	   *fields = palloc0(sizeof(Fields));
	OmTelnyxAnswer answer;
	OmToken		token;
	Entry	   *entry = &fields->entries[0];
	const char *error;

	om_telnyx_answer(http, &answer);
	if (http->complete && http->status == 404 && *answer.error_code != '\0')
		return NULL;
	if (!http->complete || http->status != 200 || http->body == NULL)
		return answer.error_text;
	error = om_json_read(http->body, http->body_length, read_message, fields);
	if (error != NULL)
		return error;
	if (entry->id == NULL || strcmp(entry->id, lookup->candidate) != 0)
		return "the answer is not of the message that was asked for";

	/* Somebody else's message may have got into the answer; then it is not ours */
	if (entry->webhook_url != NULL && om_token_read(entry->webhook_url, strlen(entry->webhook_url), &token) &&
		memcmp(token.id, lookup->id.data, sizeof(token.id)) != 0)
		return NULL;
	add_evidence(lookup, entry, lookup->attempts, &evidence[(*count)++]);
	return NULL;
}

static const char *
read_by_token(const OmHttpAnswer *http, const OmLookup *lookup, OmEvidence *evidence, int *count)
{
	Fields	   *fields = palloc0(sizeof(Fields));
	const char *error;

	fields->total = -1;
	if (!http->complete || http->status != 200 || http->body == NULL)
	{
		OmTelnyxAnswer answer;

		om_telnyx_answer(http, &answer);
		return answer.error_text;
	}
	error = om_json_read(http->body, http->body_length, read_delivery, fields);
	if (error != NULL)
		return error;
	for (int i = 0; i < fields->count; i++)
	{
		int			attempt;

		if (is_ours(lookup, &fields->entries[i], &attempt))
			add_evidence(lookup, &fields->entries[i], attempt, &evidence[(*count)++]);
	}
	if (*count == 0 && fields->total < 0)
		return "the answer does not say how many webhooks there are";
	if (*count == 0 && (fields->total > 0 || fields->count > 0))
		return "the webhooks in the answer cannot be read";
	return NULL;
}

const char *
om_telnyx_lookup(const OmHttpAnswer *http, const OmLookup *lookup, OmEvidence **evidence, int *count)
{
	*evidence = palloc(sizeof(OmEvidence) * PAGE_SIZE);
	*count = 0;
	return lookup->candidate != NULL ? read_by_id(http, lookup, *evidence, count) :
		read_by_token(http, lookup, *evidence, count);
}
