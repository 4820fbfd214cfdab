/*
 * simulator_post.c
 *		A message that was POSTed to the provider: checked, recorded, told about.
 */
#include "simulator_post.h"

#include <string.h>

#include "simulator_util.h"

#define VALID_FOR_MS	3600000
#define PARTS_MAX		10

/* "+" and at most 15 digits, as ITU-T E.164 has it. */
static bool
is_e164(const char *number)
{
	size_t		digits;

	if (number[0] != '+' || number[1] < '1' || number[1] > '9')
		return false;
	digits = strspn(number + 1, "0123456789");
	return digits >= 2 && digits <= 15 && number[digits + 1] == '\0';
}

/* Of that shape but too short, or not ten digits behind +1. */
static bool
is_impossible(const char *number)
{
	size_t		len = strlen(number);

	return number[1] == '1' ? len != 12 || number[2] < '2' : len < 8;
}

static bool
is_short_code(const char *number)
{
	size_t		len = strlen(number);

	return (len == 5 || len == 6) && strspn(number, "0123456789") == len;
}

void
om_sim_post_refuse(struct om_sim_post *post, int status, int code, const char *pointer)
{
	post->status = status;
	post->error_code = code;
	post->error_pointer = pointer;
}

/* Read one member that must be a string if it is there at all. */
static const char *
read_text(const struct om_sim_json *json, struct om_sim_post *post, const char *key,
		  const char *pointer)
{
	const struct om_sim_json_field *field = om_sim_json_field(json, key, 0);

	if (field == NULL || field->type == OM_SIM_JSON_NULL)
		return NULL;
	if (field->type != OM_SIM_JSON_STRING && post->error_code == 0)
		om_sim_post_refuse(post, 422, 10026, pointer);
	return field->value;
}

void
om_sim_post_check(struct om_sim_post *post, const struct om_sim_json *json,
				  const char *default_url, struct om_sim_optouts *optouts)
{
	bool		gsm7;

	post->from = read_text(json, post, "from", "/from");
	post->to = read_text(json, post, "to", "/to");
	post->text = read_text(json, post, "text", "/text");
	post->webhook_url = read_text(json, post, "webhook_url", "/webhook_url");
	post->mms = om_sim_json_field(json, "media_urls", 0) != NULL;
	if (post->webhook_url == NULL || *post->webhook_url == '\0')
		post->webhook_url = default_url;
	if (post->error_code != 0)
		return;
	if (post->to == NULL || *post->to == '\0')
		om_sim_post_refuse(post, 422, 10004, "/to");
	else if (post->from == NULL || *post->from == '\0')
		om_sim_post_refuse(post, 422, 10004, "/from");
	else if ((post->text == NULL || *post->text == '\0') && !post->mms)
		om_sim_post_refuse(post, 422, 10004, "/text");
	else if (strlen(post->webhook_url) >= OM_SIM_STORED_URL)
		om_sim_post_refuse(post, 422, 10003, "/webhook_url");
	else if (om_sim_message_parts(post->text, &gsm7) > PARTS_MAX)
		om_sim_post_refuse(post, 422, 42202, "/text");
	else if (!is_e164(post->to))
		om_sim_post_refuse(post, 422, 10016, "/to");
	else if (!is_e164(post->from) && !is_short_code(post->from))
		om_sim_post_refuse(post, 422, 10016, "/from");
	else if (is_impossible(post->to))
		om_sim_post_refuse(post, 400, 40310, "/to");
	else if (om_sim_optouts_has(optouts, post->to))
		om_sim_post_refuse(post, 403, 40300, NULL);
}

void
om_sim_post_record(const struct om_sim_post *post, struct om_sim_ledger *ledger)
{
	struct om_sim_line line;
	char		digest[OM_SIM_SHA256_SIZE];
	FILE	   *out = om_sim_ledger_begin(ledger, &line, "post");

	if (out == NULL)
		return;
	if (post->text != NULL)
		om_sim_sha256(post->text, digest);
	om_sim_ledger_field(out, "message_id", post->accepted ? post->stored.id : NULL);
	om_sim_ledger_field(out, "from", post->from);
	om_sim_ledger_field(out, "to", post->to);
	om_sim_ledger_field(out, "text", post->text);
	om_sim_ledger_field(out, "text_sha256", post->text != NULL ? digest : NULL);
	om_sim_ledger_field(out, "webhook_url", post->webhook_url);
	om_sim_ledger_field(out, "behaviour", post->behaviour.spec[0] != '\0' ? post->behaviour.spec : NULL);
	fprintf(out, ",\"http\":%d,\"code\":%d,\"accepted\":%s", post->status, post->error_code,
			post->accepted ? "true" : "false");
	om_sim_ledger_end(ledger, &line);
	om_sim_ledger_flush(ledger);
}

void
om_sim_post_describe(const struct om_sim_stored *stored, enum om_sim_stage stage,
					 struct om_sim_described *d)
{
	struct om_sim_message *message = &d->message;

	memset(message, 0, sizeof(*message));
	om_sim_format_time(stored->received_at, d->received_at);
	om_sim_format_time(stored->sent_at, d->sent_at);
	om_sim_format_time(stored->completed_at, d->completed_at);
	om_sim_format_time(stored->received_at + VALID_FOR_MS, d->valid_until);
	message->outbound = true;
	message->id = stored->id;
	message->from = stored->from;
	message->to = stored->to;
	message->text = stored->text;
	message->type = stored->mms ? "MMS" : "SMS";
	message->status = stage == OM_SIM_FINALIZED ? stored->final_status :
		stage == OM_SIM_SENT ? "sent" : "queued";
	message->webhook_url = stored->webhook_url;
	message->failover_url = "";
	message->received_at = d->received_at;
	message->valid_until = d->valid_until;
	message->sent_at = stage >= OM_SIM_SENT ? d->sent_at : NULL;
	message->completed_at = stage == OM_SIM_FINALIZED ? d->completed_at : NULL;
	message->error_code = stage == OM_SIM_FINALIZED ? stored->error_code : 0;
}

static struct om_sim_delivery *
create_event(const struct om_sim_stored *stored, enum om_sim_stage stage, int64_t due)
{
	struct om_sim_delivery *delivery = om_sim_alloc(sizeof(*delivery));
	const char *event_type = stage == OM_SIM_SENT ? "message.sent" : "message.finalized";
	struct om_sim_described described;
	char		event_id[OM_SIM_UUID_SIZE];
	FILE	   *out = om_sim_memory(&delivery->content, &delivery->content_len);

	om_sim_uuid(event_id);
	om_sim_post_describe(stored, stage, &described);
	om_sim_event_write(out, event_type, event_id,
					   stage == OM_SIM_SENT ? described.sent_at : described.completed_at,
					   &described.message);
	fclose(out);
	delivery->event_id = om_sim_strdup(event_id);
	delivery->event_type = om_sim_strdup(event_type);
	delivery->message_id = om_sim_strdup(stored->id);
	delivery->from = om_sim_strdup(stored->from);
	delivery->to = om_sim_strdup(stored->to);
	delivery->url = om_sim_strdup(stored->webhook_url);
	delivery->due = due;
	return delivery;
}

/* The same event once more. */
static struct om_sim_delivery *
copy_event(const struct om_sim_delivery *event)
{
	struct om_sim_delivery *copy = om_sim_alloc(sizeof(*copy));

	copy->event_id = om_sim_strdup(event->event_id);
	copy->event_type = om_sim_strdup(event->event_type);
	copy->message_id = om_sim_strdup(event->message_id);
	copy->from = om_sim_strdup(event->from);
	copy->to = om_sim_strdup(event->to);
	copy->url = om_sim_strdup(event->url);
	copy->content = om_sim_strdup(event->content);
	copy->content_len = event->content_len;
	copy->due = event->due;
	return copy;
}

int
om_sim_post_events(const struct om_sim_post *post)
{
	if (post->behaviour.kind == OM_SIM_NO_EVENTS)
		return 0;
	return post->behaviour.kind == OM_SIM_EVENTS_DUPLICATED ? 4 : 2;
}

void
om_sim_post_send_events(const struct om_sim_post *post, struct om_sim_deliverer *deliverer,
						int event_delay)
{
	const struct om_sim_stored *stored = &post->stored;
	int64_t		now = om_sim_monotonic_ms();
	struct om_sim_delivery *sent;
	struct om_sim_delivery *final;

	if (om_sim_post_events(post) == 0)
		return;
	sent = create_event(stored, OM_SIM_SENT, now + event_delay);
	final = create_event(stored, OM_SIM_FINALIZED, now + 2 * event_delay);
	if (post->behaviour.kind == OM_SIM_EVENTS_REVERSED)
	{
		final->next = sent;
		om_sim_deliverer_add(deliverer, final);
		return;
	}
	sent->next = final;
	if (post->behaviour.kind == OM_SIM_EVENTS_DUPLICATED)
	{
		sent->next = copy_event(sent);
		sent->next->next = final;
		final->next = copy_event(final);
	}
	om_sim_deliverer_add(deliverer, sent);
}

void
om_sim_post_plan(struct om_sim_post *post, int event_delay)
{
	struct om_sim_stored *stored = &post->stored;
	enum om_sim_kind kind = post->behaviour.kind;

	snprintf(stored->from, sizeof(stored->from), "%s", post->from);
	snprintf(stored->to, sizeof(stored->to), "%s", post->to);
	snprintf(stored->text, sizeof(stored->text), "%s", post->text != NULL ? post->text : "");
	snprintf(stored->webhook_url, sizeof(stored->webhook_url), "%s", post->webhook_url);
	stored->mms = post->mms;
	stored->events = kind != OM_SIM_NO_EVENTS;
	stored->final_status = "delivered";
	if (kind == OM_SIM_FAILED || kind == OM_SIM_BLOCKED_LATER)
	{
		stored->final_status = "delivery_failed";
		stored->error_code = post->behaviour.code;
	}
	else if (kind == OM_SIM_UNCONFIRMED)
		stored->final_status = "delivery_unconfirmed";
	stored->received_at = om_sim_now_ms();
	stored->sent_at = stored->received_at + event_delay;
	stored->completed_at = stored->received_at + 2 * event_delay;
}
