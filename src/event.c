/*
 * event.c
 *		Raw bytes to events: what the provider says, in one form, with canonical
 *		addresses and with the intent of the text.
 *
 * Content never raises.  What cannot be understood becomes an OM_EVENT_BROKEN, which
 * the journal keeps as a dead letter with its bytes.
 */
#include "postgres.h"

#include <sodium.h>

#include "compat.h"
#include "core/phone.h"
#include "ingest.h"

OmEvent *
om_event_new(OmBatch *batch, OmDelivery *delivery)
{
	OmEvent    *event = palloc0(sizeof(OmEvent));

	event->delivery = delivery;
	event->part = 1;
	if (batch->nevents > 0 && batch->events[batch->nevents - 1]->delivery == delivery)
		event->part = batch->events[batch->nevents - 1]->part + 1;

	if (batch->nevents == 0)
		batch->events = palloc(sizeof(OmEvent *) * Max(batch->ndeliveries, 4));
	else if (batch->nevents >= Max(batch->ndeliveries, 4))
		batch->events = repalloc(batch->events, sizeof(OmEvent *) * (batch->nevents + 1));
	batch->events[batch->nevents++] = event;
	return event;
}

static void
break_event(OmEvent *event, const char *reason)
{
	event->kind = OM_EVENT_BROKEN;
	event->reason = reason;
}

char *
om_canonical_address(const char *raw, bool *reachable)
{
	OmPhone		phone;
	const char *end;

	*reachable = false;
	if (raw == NULL)
		return NULL;
	while (*raw == ' ' || *raw == '\t' || *raw == '\r' || *raw == '\n')
		raw++;
	end = raw + strlen(raw);
	while (end > raw && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n'))
		end--;
	if (end == raw)
		return NULL;

	om_phone_parse(raw, end - raw, NULL, &phone);
	if (phone.kind == OM_PHONE_KIND_E164)
	{
		*reachable = true;
		return pstrdup(phone.e164);
	}
	return pnstrdup(raw, end - raw);
}

static bool
too_long(const char *text, size_t limit)
{
	return text != NULL && strlen(text) > limit;
}

/* What must hold of every event before a row is made of it */
static void
check_event(OmEvent *event)
{
	bool		reachable;

	if (too_long(event->event_id, OM_MAX_ID) || too_long(event->external_id, OM_MAX_ID) ||
		too_long(event->event_type, OM_MAX_ID))
	{
		/* nothing of it can be used, not even as a key, and were it broken for another reason */
		event->event_id = event->external_id = event->event_type = NULL;
		if (event->kind != OM_EVENT_BROKEN)
			break_event(event, "an id is longer than 255 bytes");
		return;
	}
	if (event->kind == OM_EVENT_BROKEN || event->kind == OM_EVENT_OTHER)
		return;

	if (too_long(event->from, OM_MAX_ADDRESS) || too_long(event->to, OM_MAX_ADDRESS))
	{
		break_event(event, "an address is longer than 320 bytes");
		return;
	}
	event->from = om_canonical_address(event->from, &event->from_reachable);
	event->to = om_canonical_address(event->to, &reachable);
	for (int i = 0; i < event->nothers; i++)
	{
		if (too_long(event->others[i], OM_MAX_ADDRESS))
		{
			break_event(event, "an address is longer than 320 bytes");
			return;
		}
		event->others[i] = om_canonical_address(event->others[i], &reachable);
	}
	if (event->kind == OM_EVENT_RECEIVED && event->from == NULL)
		break_event(event, "no sender");
	else if (event->kind == OM_EVENT_STATUS &&
			 (event->external_id == NULL || *event->external_id == '\0'))
		break_event(event, "no message id");
}

/*
 * When it happened.  A time far ahead would let an old START beat every later STOP,
 * so it counts as the time of the signature.
 */
static void
settle_time(OmEvent *event, TimestampTz now)
{
	const OmDelivery *delivery = event->delivery;
	TimestampTz signed_at = delivery->signed_at ? delivery->signed_at :
		delivery->received_at ? delivery->received_at : now;

	if (event->occurred_at == 0 ||
		event->occurred_at > signed_at + OM_MAX_AHEAD * USECS_PER_SEC)
		event->occurred_at = signed_at;
}

char *
om_body_hash(const OmDelivery *delivery)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char	   *hex = palloc(sizeof(hash) * 2 + 1);

	crypto_hash_sha256(hash, (const unsigned char *) delivery->body, delivery->length);
	return sodium_bin2hex(hex, sizeof(hash) * 2 + 1, hash, sizeof(hash));
}

/*
 * An inbound message is known by its own id, because a provider may make a new event
 * of it; all else by the event's.  Without either, the body itself is the key.
 */
static char *
dedupe_key(const OmEvent *event)
{
	if (event->delivery->dedupe_key)
		return event->delivery->dedupe_key;
	if (event->event_type && strcmp(event->event_type, "message.received") == 0 &&
		event->external_id && *event->external_id)
		return psprintf("received:%s", event->external_id);
	if (event->event_id && *event->event_id)
		return event->event_id;
	return om_body_hash(event->delivery);
}

bool
om_request_is_for(const OmEvent *event, const char *channel)
{
	const char *asked = event->intent.channel;

	if (strcmp(asked, "voice") == 0 || strcmp(asked, "email") == 0)
		return strcmp(channel, asked) == 0;
	return strcmp(channel, "email") != 0;
}

/*
 * What the message asks for, by our words and by the provider's.  A provider that says it
 * handled a STOP has blocked the person, whatever we read; its START and HELP
 * count only where we read nothing, since an opt-out must win over both.
 */
static void
read_intent(OmEvent *event)
{
	OmIntent   *intent = &event->intent;
	const char *text = event->text ? event->text : "";
	const char *flag = event->autoresponse;

	om_intent_detect(text, strlen(text), intent);
	if (flag == NULL || (intent->label == OM_INTENT_OPT_OUT && om_request_is_for(event, "sms")))
		return;
	if (pg_strcasecmp(flag, "STOP") == 0 || pg_strcasecmp(flag, "opt_out") == 0)
	{
		intent->label = OM_INTENT_OPT_OUT;
		intent->rule = "provider:stop";
		intent->channel = "all";
		intent->span_start = intent->span_end = 0;	/* not by our words */
	}
	else if (pg_strcasecmp(flag, "START") == 0 && intent->label == OM_INTENT_NONE)
	{
		intent->label = OM_INTENT_OPT_IN;
		intent->rule = "provider:start";
		intent->channel = "all";
	}
	else if (pg_strcasecmp(flag, "HELP") == 0 && intent->label == OM_INTENT_NONE)
	{
		intent->label = OM_INTENT_HELP;
		intent->rule = "provider:help";
		intent->channel = "all";
	}
}

void
om_event_read(OmBatch *batch)
{
	for (int i = 0; i < batch->ndeliveries; i++)
	{
		OmDelivery *delivery = batch->deliveries[i];

		if (strcmp(delivery->provider, "telnyx") == 0)
			om_telnyx_read(batch, delivery);
		else
			break_event(om_event_new(batch, delivery), "unknown provider");
	}

	for (int i = 0; i < batch->nevents; i++)
	{
		OmEvent    *event = batch->events[i];

		check_event(event);
		settle_time(event, batch->now);
		event->dedupe_key = dedupe_key(event);
		event->outcome = event->kind == OM_EVENT_BROKEN ? OM_DEAD :
			event->kind == OM_EVENT_OTHER ? OM_IGNORED : OM_APPLIED;
		if (event->kind == OM_EVENT_OTHER)
			event->reason = "event type has no effect";
		if (event->kind == OM_EVENT_RECEIVED)
			read_intent(event);
		else
			om_intent_detect("", 0, &event->intent);
	}
}
