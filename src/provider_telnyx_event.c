/*
 * provider_telnyx_event.c
 *		The events of Telnyx's webhooks (API version 2), read leniently: fields may be
 *		missing, null, a number where the page says string, or unknown.
 *
 * Sources: "Receiving webhooks for messaging" and "Receive SMS & MMS messages" of
 * Telnyx's documentation, and the types of its Node SDK.  Of the outbound events only
 * message.sent and message.finalized exist today; message.delivered and message.failed are
 * older spellings.
 */
#include "postgres.h"

#include "utils/json.h"

#include "compat.h"
#include "core/answer.h"
#include "core/timestamp.h"
#include "ingest.h"
#include "json.h"

typedef struct Recipient
{
	char	   *address;
	char	   *status;
} Recipient;

typedef struct Media
{
	char	   *url;
	char	   *content_type;
	char	   *size;
	char	   *sha256;
} Media;

/* All that is wanted of a body, as it was written */
typedef struct Fields
{
	char	   *event_type;
	char	   *event_id;
	char	   *occurred_at;
	char	   *record_type;
	char	   *message_id;
	char	   *received_at;
	char	   *completed_at;
	char	   *from;
	char	   *text;
	char	   *body;
	char	   *subject;
	char	   *type;
	char	   *autoresponse;
	char	   *parts;
	char	   *cost_amount;
	char	   *cost_currency;
	char	   *error_code;
	char	   *error_title;
	char	   *error_detail;
	char	   *webhook_url;
	char	   *delivered_to;
	Recipient	to[OM_MAX_OTHERS];
	int			nto;
	char	   *cc[OM_MAX_OTHERS];
	int			ncc;
	Media		media[OM_MAX_MEDIA];
	int			nmedia;
} Fields;

/* Where a plain field is found; sorted by path for bsearch */
typedef struct Place
{
	const char *path;
	size_t		offset;
} Place;

static const Place places[] = {
	{"data.event_type", offsetof(Fields, event_type)},
	{"data.id", offsetof(Fields, event_id)},
	{"data.occurred_at", offsetof(Fields, occurred_at)},
	{"data.payload.autoresponse_type", offsetof(Fields, autoresponse)},
	{"data.payload.body", offsetof(Fields, body)},
	{"data.payload.body.text", offsetof(Fields, body)},
	{"data.payload.completed_at", offsetof(Fields, completed_at)},
	{"data.payload.cost.amount", offsetof(Fields, cost_amount)},
	{"data.payload.cost.currency", offsetof(Fields, cost_currency)},
	{"data.payload.from", offsetof(Fields, from)},
	{"data.payload.from.phone_number", offsetof(Fields, from)},
	{"data.payload.id", offsetof(Fields, message_id)},
	{"data.payload.parts", offsetof(Fields, parts)},
	{"data.payload.received_at", offsetof(Fields, received_at)},
	{"data.payload.subject", offsetof(Fields, subject)},
	{"data.payload.text", offsetof(Fields, text)},
	{"data.payload.type", offsetof(Fields, type)},
	{"data.payload.webhook_url", offsetof(Fields, webhook_url)},
	{"data.record_type", offsetof(Fields, record_type)},
	{"meta.delivered_to", offsetof(Fields, delivered_to)},
	{"record_type", offsetof(Fields, record_type)},
};

static int
compare_place(const void *key, const void *place)
{
	return strcmp(key, ((const Place *) place)->path);
}

/* One value of an array of the payload; elements beyond the limits are cut */
static void
read_element(Fields *fields, const char *path, int index, char *value)
{
	if (strcmp(path, "to[].phone_number") == 0 || strcmp(path, "to[]") == 0 ||
		strcmp(path, "to[].status") == 0)
	{
		if (index >= OM_MAX_OTHERS)
			return;
		fields->nto = Max(fields->nto, index + 1);
		if (strcmp(path, "to[].status") == 0)
			fields->to[index].status = value;
		else
			fields->to[index].address = value;
	}
	else if (strcmp(path, "cc[].phone_number") == 0 || strcmp(path, "cc[]") == 0)
	{
		if (index >= OM_MAX_OTHERS)
			return;
		fields->ncc = Max(fields->ncc, index + 1);
		fields->cc[index] = value;
	}
	else if (strncmp(path, "media[].", 8) == 0)
	{
		Media	   *media;

		if (index >= OM_MAX_MEDIA)
			return;
		fields->nmedia = Max(fields->nmedia, index + 1);
		media = &fields->media[index];
		path += 8;
		if (strcmp(path, "url") == 0)
			media->url = value;
		else if (strcmp(path, "content_type") == 0)
			media->content_type = value;
		else if (strcmp(path, "size") == 0)
			media->size = value;
		else if (strcmp(path, "sha256") == 0 || strcmp(path, "hash_sha256") == 0)
			media->sha256 = value;
	}
	else if (index == 0 && strcmp(path, "errors[].code") == 0)
		fields->error_code = value;
	else if (index == 0 && strcmp(path, "errors[].title") == 0)
		fields->error_title = value;
	else if (index == 0 && strcmp(path, "errors[].detail") == 0)
		fields->error_detail = value;
}

static void
read_scalar(void *arg, const char *path, int index, const char *value,
			bool is_string, bool is_null)
{
	Fields	   *fields = arg;
	char	   *copy;

	if (is_null)
		return;
	if (strncmp(path, "data.payload.", 13) == 0 && index >= 0)
		read_element(fields, path + 13, index, pstrdup(value));
	else if (strcmp(path, "data.payload.to") == 0)
	{
		/* WhatsApp: a plain string */
		fields->to[0].address = pstrdup(value);
		fields->nto = Max(fields->nto, 1);
	}
	else
	{
		const Place *place = bsearch(path, places, lengthof(places), sizeof(Place),
									 compare_place);

		if (place == NULL)
			return;
		copy = pstrdup(value);
		*(char **) ((char *) fields + place->offset) = copy;
	}
}

TimestampTz
om_telnyx_time(const char *text)
{
	int64		micros;

	if (text == NULL || !om_timestamp_parse(text, strlen(text), &micros))
		return 0;
	return micros - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

/* A decimal that numeric cannot blow up: "1e131071" would be 131 kB */
static char *
read_decimal(char *text)
{
	const char *p = text;
	int			digits = 0;

	if (text == NULL)
		return NULL;
	if (*p == '-')
		p++;
	for (; *p >= '0' && *p <= '9'; p++)
		digits++;
	if (digits == 0 || digits > 12)
		return NULL;
	if (*p == '.')
	{
		digits = 0;
		for (p++; *p >= '0' && *p <= '9'; p++)
			digits++;
		if (digits == 0 || digits > 12)
			return NULL;
	}
	return *p == '\0' ? text : NULL;
}

static int
read_small_int(const char *text)
{
	int			value = 0;

	if (text == NULL || *text == '\0' || strlen(text) > 4)
		return 0;
	for (; *text; text++)
	{
		if (*text < '0' || *text > '9')
			return 0;
		value = value * 10 + (*text - '0');
	}
	return value;
}

/* A count that can stand in JSON as it is: no sign, no zero before other digits */
static bool
is_json_count(const char *text)
{
	return text != NULL && strlen(text) <= 12 && *text != '\0' &&
		strspn(text, "0123456789") == strlen(text) && (text[0] != '0' || text[1] == '\0');
}

/* Media as JSON of our own, so that what jsonb reads is bounded and of one shape */
static char *
media_json(const Fields *fields)
{
	StringInfoData json;

	if (fields->nmedia == 0)
		return NULL;
	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	for (int i = 0; i < fields->nmedia; i++)
	{
		const Media *media = &fields->media[i];

		appendStringInfoString(&json, i > 0 ? ",{\"url\":" : "{\"url\":");
		if (media->url)
			escape_json(&json, media->url);
		else
			appendStringInfoString(&json, "null");
		if (media->content_type)
		{
			appendStringInfoString(&json, ",\"content_type\":");
			escape_json(&json, media->content_type);
		}
		if (is_json_count(media->size))
			appendStringInfo(&json, ",\"size\":%s", media->size);
		if (media->sha256)
		{
			appendStringInfoString(&json, ",\"sha256\":");
			escape_json(&json, media->sha256);
		}
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

/* Our word for to[].status of message.finalized; NULL when the provider invents one */
static char *
finalized_status(const char *status)
{
	static const struct
	{
		const char *theirs;
		const char *ours;
	}			words[] = {
		{"delivered", "delivered"},
		{"read", "delivered"},
		{"delivery_failed", "failed"},
		{"sending_failed", "failed"},
		{"failed", "failed"},
		{"expired", "expired"},
		/* the carrier says nothing: all that is known is that it went out */
		{"delivery_unconfirmed", "sent"},
		{"sent", "sent"},
	};

	if (status != NULL)
		for (int i = 0; i < (int) lengthof(words); i++)
			if (strcmp(status, words[i].theirs) == 0)
				return pstrdup(words[i].ours);
	return NULL;
}

static void
read_received(OmEvent *event, Fields *fields)
{
	int			ours = 0;

	event->kind = OM_EVENT_RECEIVED;
	event->from = fields->from;
	event->text = fields->text ? fields->text : fields->body;
	event->subject = fields->subject && *fields->subject ? fields->subject : NULL;
	event->media = media_json(fields);
	event->autoresponse = fields->autoresponse && *fields->autoresponse ? fields->autoresponse : NULL;
	event->is_texting = fields->type == NULL || strcmp(fields->type, "WHATSAPP") != 0;
	event->occurred_at = om_telnyx_time(fields->received_at);
	if (event->occurred_at == 0)
		event->occurred_at = om_telnyx_time(fields->occurred_at);

	/* Of several receivers, ours is the one whose copy became this webhook */
	for (int i = 0; i < fields->nto; i++)
		if (fields->to[i].status && strcmp(fields->to[i].status, "webhook_delivered") == 0)
		{
			ours = i;
			break;
		}
	event->to = fields->to[ours].address;
	for (int i = 0; i < fields->nto; i++)
		if (i != ours && fields->to[i].address && event->nothers < OM_MAX_OTHERS)
			event->others[event->nothers++] = fields->to[i].address;
	for (int i = 0; i < fields->ncc; i++)
		if (fields->cc[i] && event->nothers < OM_MAX_OTHERS)
			event->others[event->nothers++] = fields->cc[i];
}

/* The attempt that a status is of: we told the provider where to report it, and it says where it does */
static void
read_token(OmEvent *event, const Fields *fields)
{
	event->has_token = (fields->webhook_url != NULL &&
						om_token_read(fields->webhook_url, strlen(fields->webhook_url), &event->token)) ||
		(fields->delivered_to != NULL &&
		 om_token_read(fields->delivered_to, strlen(fields->delivered_to), &event->token));
}

static void
read_status(OmEvent *event, Fields *fields)
{
	const char *type = event->event_type;

	event->kind = OM_EVENT_STATUS;
	event->from = fields->from;
	event->to = fields->to[0].address;
	event->provider_status = fields->to[0].status;
	event->occurred_at = om_telnyx_time(fields->occurred_at);
	if (event->occurred_at == 0)
		event->occurred_at = om_telnyx_time(fields->completed_at);
	read_token(event, fields);
	event->error_code = fields->error_code;
	if (fields->error_title || fields->error_detail)
		event->error_text = psprintf("%s%s%s",
									 fields->error_title ? fields->error_title : "",
									 fields->error_title && fields->error_detail ? ": " : "",
									 fields->error_detail ? fields->error_detail : "");

	if (strcmp(type, "message.sent") == 0)
		event->status = "sent";
	else if (strcmp(type, "message.delivered") == 0)
		event->status = "delivered";
	else if (strcmp(type, "message.failed") == 0)
		event->status = "failed";
	else
		event->status = finalized_status(event->provider_status);

	/* 40300 means other things too; only a failure that speaks of STOP is a block */
	if (event->status && strcmp(event->status, "failed") == 0 && event->error_code &&
		om_answer_is_stop_block(event->error_code, event->error_text ? event->error_text : ""))
		event->status = "blocked";
}

void
om_telnyx_read(OmBatch *batch, OmDelivery *delivery)
{
	OmEvent    *event = om_event_new(batch, delivery);
	Fields	   *fields = palloc0(sizeof(Fields));
	const char *error = om_json_read(delivery->body, delivery->length, read_scalar, fields);

	if (error != NULL)
	{
		event->kind = OM_EVENT_BROKEN;
		event->reason = error;
		return;
	}

	event->event_id = fields->event_id;
	event->external_id = fields->message_id;
	event->event_type = fields->event_type ? fields->event_type : fields->record_type;
	event->parts = read_small_int(fields->parts);
	event->cost_amount = read_decimal(fields->cost_amount);
	event->cost_currency = event->cost_amount ? fields->cost_currency : NULL;

	if (event->event_type == NULL)
	{
		event->kind = OM_EVENT_BROKEN;
		event->reason = "no event type";
	}
	else if (strcmp(event->event_type, "message.received") == 0)
		read_received(event, fields);
	else if (strcmp(event->event_type, "message.sent") == 0 ||
			 strcmp(event->event_type, "message.finalized") == 0 ||
			 strcmp(event->event_type, "message.delivered") == 0 ||
			 strcmp(event->event_type, "message.failed") == 0)
		read_status(event, fields);
	else
	{
		event->kind = OM_EVENT_OTHER;
		event->occurred_at = om_telnyx_time(fields->occurred_at);
	}
}
