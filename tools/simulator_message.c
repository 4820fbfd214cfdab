/*
 * simulator_message.c
 *		Messages and their events in the words of Telnyx's API v2.
 *
 * Field names and the shapes of values follow deliveries and answers that were
 * captured from the provider, not its samples, which differ in places.
 */
#include "simulator_message.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "segment.h"
#include "simulator_json.h"

#define ORGANIZATION_ID	"aaaaaaaa-0000-4000-8000-000000000002"

static const struct
{
	int			code;
	const char *title;
	const char *detail;
}			errors[] = {
	{10003, "Invalid URL", "The URL provided was invalid, malformed, or too long."},
	{10004, "Missing required parameter", "A required parameter was missing."},
	{10005, "Resource not found", "The requested resource or URL could not be found."},
	{10009, "Authentication failed", "The required authentication headers were either invalid "
	"or not included in the request."},
	{10011, "Too many requests", "You have exceeded the maximum number of allowed requests."},
	{10015, "Bad Request", "The request failed because it was not well-formed."},
	{10016, "Phone number must be in +E.164 format",
	"The specified phone number parameter must be in +E.164 format."},
	{10023, "Invalid JSON", "The supplied JSON is invalid."},
	{10026, "Invalid parameter type", "The parameter must be of type string."},
	{10030, "Method not allowed", "The URL is valid, but the method is not allowed."},
	{10037, "Service unavailable", "Service is unavailable."},
	{40008, "Undeliverable", "The recipient server indicated that the message was undeliverable."},
	{40300, "Blocked due to STOP message",
	"Messages cannot be sent from your number to this recipient because they opted out."},
	{40310, "Invalid 'to' address", "The 'to' address is not a valid phone number."},
	{40318, "Queue full", "The message queue is full; send more slowly."},
	{42202, "Message too long", "The message would take more than ten parts."},
};

static void
write_error(FILE *out, int code, const char *pointer)
{
	const char *title = "Error";
	const char *detail = "The simulator was told to answer this code.";
	size_t		i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].code == code)
		{
			title = errors[i].title;
			detail = errors[i].detail;
		}
	fprintf(out, "{\"code\":\"%d\",\"title\":\"%s\",\"detail\":\"%s\","
			"\"meta\":{\"url\":\"https://developers.telnyx.com/docs/overview/errors/%d\"}",
			code, title, detail, code);
	if (pointer != NULL)
		fprintf(out, ",\"source\":{\"pointer\":\"%s\"}", pointer);
	putc('}', out);
}

void
om_sim_error_write(FILE *out, int code, const char *pointer)
{
	fputs("{\"errors\":[", out);
	write_error(out, code, pointer);
	fputs("]}", out);
}

int
om_sim_message_parts(const char *text, bool *gsm7)
{
	OmSegments	count = om_segment_count(text, text != NULL ? strlen(text) : 0);

	*gsm7 = count.encoding == OM_ENCODING_GSM7;
	/* pictures without a text are one part, too */
	return count.segments > 0 ? (int) count.segments : 1;
}

static void
write_member(FILE *out, const char *name, const char *value)
{
	fprintf(out, ",\"%s\":", name);
	om_sim_json_write(out, value);
}

static void
write_number(FILE *out, const char *number, const char *status)
{
	fputs("{\"carrier\":\"T-Mobile USA\",\"line_type\":\"Wireless\"", out);
	write_member(out, "phone_number", number);
	if (status != NULL)
		write_member(out, "status", status);
	putc('}', out);
}

static void
write_media(FILE *out, const struct om_sim_message *m)
{
	int			i;

	fputs(",\"media\":[", out);
	for (i = 0; i < m->media_count; i++)
	{
		fputs(i > 0 ? ",{\"url\":" : "{\"url\":", out);
		om_sim_json_write(out, m->media[i]);
		fputs(",\"content_type\":\"image/jpeg\",\"size\":2048,\"sha256\":null}", out);
	}
	putc(']', out);
}

void
om_sim_message_write(FILE *out, const struct om_sim_message *m)
{
	bool		gsm7;
	int			parts = om_sim_message_parts(m->text, &gsm7);
	int			i;

	fputs("{\"autoresponse_type\":", out);
	om_sim_json_write(out, m->autoresponse);
	fputs(",\"cc\":[", out);
	for (i = 0; i < m->cc_count; i++)
	{
		if (i > 0)
			putc(',', out);
		write_number(out, m->cc[i], m->outbound ? "queued" : "webhook_delivered");
	}
	putc(']', out);
	write_member(out, "completed_at", m->completed_at);
	fprintf(out, ",\"cost\":{\"amount\":\"%d.%04d\",\"currency\":\"USD\"}",
			parts * 70 / 10000, parts * 70 % 10000);
	fprintf(out, ",\"cost_breakdown\":{"
			"\"carrier_fee\":{\"amount\":\"%d.%05d\",\"currency\":\"USD\"},"
			"\"rate\":{\"amount\":\"%d.%05d\",\"currency\":\"USD\"}}",
			parts * 300 / 100000, parts * 300 % 100000,
			parts * 400 / 100000, parts * 400 % 100000);
	fprintf(out, ",\"direction\":\"%s\",\"encoding\":\"%s\",\"errors\":[",
			m->outbound ? "outbound" : "inbound", gsm7 ? "GSM-7" : "UCS-2");
	if (m->error_code != 0)
		write_error(out, m->error_code, NULL);
	fputs("],\"from\":", out);
	write_number(out, m->from, NULL);
	write_member(out, "id", m->id);
	if (!m->outbound)
		fputs(",\"is_spam\":false", out);
	write_media(out, m);
	fputs(",\"messaging_profile_id\":\"" OM_SIM_PROFILE_ID "\"", out);
	fputs(",\"organization_id\":\"" ORGANIZATION_ID "\"", out);
	fprintf(out, ",\"parts\":%d", parts);
	write_member(out, "received_at", m->received_at);
	write_member(out, "record_type", "message");
	write_member(out, "sent_at", m->sent_at);
	write_member(out, "subject", "");
	fputs(",\"tags\":[]", out);
	if (m->outbound)
		fputs(",\"tcr_campaign_billable\":false,\"tcr_campaign_id\":null,"
			  "\"tcr_campaign_registered\":null", out);
	write_member(out, "text", m->text);
	fputs(",\"to\":[", out);
	write_number(out, m->to, m->status);
	putc(']', out);
	write_member(out, "type", m->type);
	write_member(out, "valid_until", m->valid_until);
	write_member(out, "webhook_failover_url", m->failover_url);
	write_member(out, "webhook_url", m->webhook_url);
	putc('}', out);
}

void
om_sim_event_write(FILE *out, const char *event_type, const char *event_id,
				   const char *occurred_at, const struct om_sim_message *message)
{
	fputs("{\"event_type\":", out);
	om_sim_json_write(out, event_type);
	write_member(out, "id", event_id);
	write_member(out, "occurred_at", occurred_at);
	fputs(",\"payload\":", out);
	om_sim_message_write(out, message);
	write_member(out, "record_type", "event");
	putc('}', out);
}

/* Telnyx does not publish whether it trims; blanks around the word are let pass here. */
const char *
om_sim_autoresponse(const char *text)
{
	static const struct
	{
		const char *word;
		const char *answer;
	}			words[] = {
		{"stop", "STOP"}, {"stopall", "STOP"}, {"stop all", "STOP"}, {"unsubscribe", "STOP"},
		{"cancel", "STOP"}, {"end", "STOP"}, {"quit", "STOP"},
		{"start", "START"}, {"unstop", "START"}, {"help", "HELP"}, {"info", "HELP"},
	};
	size_t		len;
	size_t		i;

	if (text == NULL)
		return NULL;
	text += strspn(text, " \t\r\n");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i].word) == len && strncasecmp(words[i].word, text, len) == 0)
			return words[i].answer;
	return NULL;
}
