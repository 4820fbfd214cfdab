/*
 * provider_telnyx_delivery.c
 *		The list of webhook deliveries that Telnyx keeps: where a page of it is, and what is in it.
 *
 * Source: GET /v2/webhook_deliveries ("List webhook deliveries") in Telnyx's Node SDK.  The event that could not be
 * delivered is the member "webhook", there without the envelope {"data": ...} in which it was sent.
 * The bytes of it are taken as they stand, so that ingest judges each by itself: one that is
 * no JSON, or has no end of levels, spoils none of its neighbours.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "core/json_slice.h"
#include "provider_telnyx_delivery.h"
#include "provider_telnyx_send.h"

/* Where such an event says that it comes from: nobody has signed it */
#define KEY_ID	"api"

char *
om_telnyx_deliveries_url(const OmDeliveryList *list)
{
	StringInfoData url;

	initStringInfo(&url);
	appendStringInfoString(&url, om_telnyx_url("webhook_deliveries"));
	if (!list->delivered)
		om_telnyx_add_parameter(&url, "filter[status][eq]", "failed");
	om_telnyx_add_parameter(&url, "filter[started_at][gte]", list->since);
	om_telnyx_add_parameter(&url, "filter[started_at][lte]", list->until);
	om_telnyx_add_parameter(&url, "page[number]", psprintf("%d", list->page));
	om_telnyx_add_parameter(&url, "page[size]", psprintf("%d", list->size));
	if (list->profile != NULL && *list->profile != '\0')
		om_telnyx_add_parameter(&url, "filter[webhook][contains]", list->profile);
	return url.data;
}

/* A count of "meta", -1 when it cannot be read */
static int
read_count(OmSlice meta, const char *name)
{
	OmSlice		value;
	char		text[12];

	if (!om_json_member(meta, name, &value) || !om_json_plain(value, text, sizeof(text)) ||
		*text == '\0' || strlen(text) > 9 || strspn(text, "0123456789") != strlen(text))
		return -1;
	return atoi(text);
}

/*
 * The body that the webhook would have had.  What has no event in it is kept whole, for people; ingest finds that it
 * is none.
 */
static void
make_body(OmDelivery *delivery, OmSlice element)
{
	StringInfoData body;
	OmSlice		event;
	OmSlice		inner;

	initStringInfo(&body);
	if (!om_json_member(element, "webhook", &event) || event.start[0] != '{')
	{
		appendStringInfoString(&body, "{\"delivery\":");
		appendBinaryStringInfo(&body, element.start, element.len);
		appendStringInfoChar(&body, '}');
	}
	else if (!om_json_member(event, "event_type", &inner) && om_json_member(event, "data", &inner))
		appendBinaryStringInfo(&body, event.start, event.len);
	else
	{
		appendStringInfoString(&body, "{\"data\":");
		appendBinaryStringInfo(&body, event.start, event.len);
		appendStringInfoChar(&body, '}');
	}
	delivery->body = body.data;
	delivery->length = body.len;
}

static void
read_delivery(OmDelivery *delivery, int ordinal, OmSlice element)
{
	OmSlice		started_at;
	OmSlice		status;
	char		text[64];

	memset(delivery, 0, sizeof(OmDelivery));
	delivery->ordinal = ordinal;
	delivery->provider = "telnyx";
	delivery->key_id = KEY_ID;
	make_body(delivery, element);

	/* The webhook would have been signed when it was first tried */
	if (om_json_member(element, "started_at", &started_at) &&
		om_json_plain(started_at, text, sizeof(text)))
		delivery->signed_at = om_telnyx_time(text);
	delivery->taken = om_json_member(element, "status", &status) &&
		om_json_plain(status, text, sizeof(text)) && strcmp(text, "delivered") == 0;
}

const char *
om_telnyx_deliveries(const OmHttpAnswer *http, const OmDeliveryList *list, OmDeliveryPage *out)
{
	OmSlice		all = {http->body, http->body_length};
	OmSlice		meta;
	OmSlice		data;
	OmSlice		element;
	size_t		at = 0;

	if (!http->complete || http->status != 200 || http->body == NULL)
	{
		OmTelnyxAnswer answer;

		om_telnyx_answer(http, &answer);
		return answer.error_text;
	}
	if (!om_json_member(all, "meta", &meta) || !om_json_member(all, "data", &data))
		return "the answer is no list";
	out->total_pages = read_count(meta, "total_pages");
	out->total = read_count(meta, "total_results");
	if (out->total_pages < 0 || out->total < 0)
		return "the answer does not say how many pages there are";
	if (read_count(meta, "page_number") != list->page)
		return "the answer is another page than the one asked for";

	out->count = 0;
	out->deliveries = palloc(sizeof(OmDelivery) * list->size);
	while (om_json_element(data, &at, &element))
	{
		if (out->count == list->size)
			return "the page is longer than the one asked for";
		read_delivery(&out->deliveries[out->count], out->count + 1, element);
		out->count++;
	}
	if (out->count == 0 && out->total > 0 && list->page <= out->total_pages)
		return "the page is empty where deliveries should be";
	return NULL;
}
