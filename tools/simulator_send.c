/*
 * simulator_send.c
 *		Inbound messages as a test describes them, delivered as webhooks.
 */
#include "simulator_send.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulator_json.h"
#include "simulator_tell.h"
#include "simulator_util.h"

#define FILE_MAX		(256 * 1024 * 1024)
#define MAX_REPEAT		10000000

void
om_sim_inbound_init(struct om_sim_inbound *inbound)
{
	memset(inbound, 0, sizeof(*inbound));
	inbound->event_type = "message.received";
	inbound->type = "SMS";
	inbound->repeat = 1;
}

/* Append to a list of bounded length. */
static bool
append(const char **list, int *count, const char *value)
{
	if (*count == OM_SIM_LIST_MAX)
		return false;
	list[(*count)++] = value;
	return true;
}

static bool
set_corruption(struct om_sim_inbound *inbound, const char *value)
{
	if (strcmp(value, "body") == 0)
		inbound->corruption = OM_SIM_CORRUPT_BODY;
	else if (strcmp(value, "signature") == 0)
		inbound->corruption = OM_SIM_CORRUPT_SIGNATURE;
	else if (strcmp(value, "timestamp") == 0)
		inbound->corruption = OM_SIM_CORRUPT_TIMESTAMP;
	else
		return false;
	return true;
}

static bool
set_omission(struct om_sim_inbound *inbound, const char *value)
{
	if (strcmp(value, "signature") == 0)
		inbound->omit_signature = true;
	else if (strcmp(value, "timestamp") == 0)
		inbound->omit_timestamp = true;
	else
		return false;
	return true;
}

static bool
set_time(const char **target, const char *value)
{
	char		buffer[OM_SIM_TIME_SIZE];

	*target = value;
	return om_sim_resolve_time(value, buffer) != NULL;
}

bool
om_sim_inbound_set(struct om_sim_inbound *inbound, const char *name, const char *value,
				   char *error, size_t error_size)
{
	const struct
	{
		const char *name;
		const char **target;
	}			texts[] = {
		{"event-id", &inbound->event_id}, {"message-id", &inbound->message_id},
		{"event-type", &inbound->event_type}, {"from", &inbound->from},
		{"to", &inbound->to}, {"text", &inbound->text}, {"type", &inbound->type},
		{"status", &inbound->status}, {"autoresponse", &inbound->autoresponse},
		{"body-file", &inbound->body_file},
	};
	bool		fits;
	size_t		i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].name, name) == 0)
		{
			*texts[i].target = value;
			return true;
		}
	if (strcmp(name, "received-at") == 0)
		fits = set_time(&inbound->received_at, value);
	else if (strcmp(name, "occurred-at") == 0)
		fits = set_time(&inbound->occurred_at, value);
	else if (strcmp(name, "cc") == 0)
		fits = append(inbound->cc, &inbound->cc_count, value);
	else if (strcmp(name, "media") == 0)
		fits = append(inbound->media, &inbound->media_count, value);
	else if (strcmp(name, "timestamp-offset") == 0)
		fits = om_sim_read_int(value, -OM_SIM_OFFSET_MAX, OM_SIM_OFFSET_MAX, &inbound->timestamp_offset);
	else if (strcmp(name, "repeat") == 0)
		fits = om_sim_read_int(value, 1, MAX_REPEAT, &inbound->repeat);
	else if (strcmp(name, "corrupt") == 0)
		fits = set_corruption(inbound, value);
	else if (strcmp(name, "omit") == 0)
		fits = set_omission(inbound, value);
	else if (strcmp(name, "wrong-key") == 0)
		fits = inbound->wrong_key = true;
	else
	{
		snprintf(error, error_size, "there is no \"%s\"", name);
		return false;
	}
	if (!fits)
		snprintf(error, error_size, "\"%s\" does not fit %s", value, name);
	return fits;
}

bool
om_sim_inbound_check(const struct om_sim_inbound *inbound, char *error, size_t error_size)
{
	const char *missing = NULL;

	if (inbound->body_file != NULL)
		return true;
	if (inbound->from == NULL)
		missing = "from";
	else if (inbound->to == NULL)
		missing = "to";
	else if (inbound->text == NULL && inbound->media_count == 0)
		missing = "text";
	if (missing != NULL)
		snprintf(error, error_size, "%s is missing", missing);
	return missing == NULL;
}

/* The whole of a file, "-" for standard input, with a NUL behind it. */
static char *
read_file(const char *path, size_t *len)
{
	FILE	   *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char	   *text;
	FILE	   *out;
	char		part[8192];
	size_t		got;

	if (file == NULL)
		om_sim_die("cannot open %s: %s", path, strerror(errno));
	out = om_sim_memory(&text, len);
	while ((got = fread(part, 1, sizeof(part), file)) > 0)
	{
		fwrite(part, 1, got, out);
		if (ftell(out) > FILE_MAX)
			om_sim_die("%s is larger than %d bytes", path, FILE_MAX);
	}
	if (ferror(file))
		om_sim_die("cannot read %s: %s", path, strerror(errno));
	if (file != stdin)
		fclose(file);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	return text;
}

/*
 * Tell a running simulator that this person wrote.  Returns what it answered by
 * itself ("STOP"), to be freed, or NULL for nothing.
 */
static char *
tell_simulator(const char *url, const struct om_sim_inbound *inbound)
{
	struct om_sim_json json = {.arena = NULL};
	char	   *request;
	char	   *answer;
	size_t		len;
	FILE	   *out = om_sim_memory(&request, &len);
	const char *said;
	char	   *copy = NULL;

	fputs("{\"from\":", out);
	om_sim_json_write(out, inbound->from);
	om_sim_ledger_field(out, "to", inbound->to);
	om_sim_ledger_field(out, "text", inbound->text);
	putc('}', out);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	answer = om_sim_tell(url, "/sim/inbound", request, &len);
	if (!om_sim_json_parse(answer, len, &json))
		om_sim_die("the simulator at %s answered: %s", url, answer);
	said = om_sim_json_string(&json, "autoresponse_type");
	if (said != NULL)
		copy = om_sim_strdup(said);
	om_sim_json_free(&json);
	free(request);
	free(answer);
	return copy;
}

void
om_sim_send_ended(void *context, const struct om_sim_webhook *webhook)
{
	const struct om_sim_sender *sender = context;
	char		started_at[OM_SIM_TIME_SIZE];
	char		finished_at[OM_SIM_TIME_SIZE];
	char	   *request;
	size_t		len;
	FILE	   *out = om_sim_memory(&request, &len);

	om_sim_format_time(webhook->started_at, started_at);
	om_sim_format_time(webhook->finished_at, finished_at);
	fprintf(out, "{\"status\":\"%s\"", webhook->delivered ? "delivered" : "failed");
	om_sim_ledger_field(out, "event_type", webhook->event_type);
	om_sim_ledger_field(out, "started_at", started_at);
	om_sim_ledger_field(out, "finished_at", finished_at);
	om_sim_ledger_field(out, "attempts", webhook->attempts);
	om_sim_ledger_field(out, "webhook", webhook->webhook);
	putc('}', out);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	free(om_sim_tell(sender->via, "/sim/webhook", request, &len));
	free(request);
	free(webhook->event_type);
	free(webhook->attempts);
	free(webhook->webhook);
}

static char *
copy_or_uuid(const char *given)
{
	char		uuid[OM_SIM_UUID_SIZE];

	if (given != NULL)
		return om_sim_strdup(given);
	om_sim_uuid(uuid);
	return om_sim_strdup(uuid);
}

/* What is about to be sent, for a checker to compare with what became of it. */
static void
write_ledger(const struct om_sim_sender *sender, const struct om_sim_inbound *inbound,
			 const struct om_sim_delivery *delivery, const struct om_sim_message *message)
{
	struct om_sim_line line;
	char		digest[OM_SIM_SHA256_SIZE];
	FILE	   *out = om_sim_ledger_begin(sender->ledger, &line, "message");
	bool		tampered = inbound->corruption != OM_SIM_INTACT || inbound->wrong_key ||
		inbound->omit_signature || inbound->omit_timestamp;

	if (out == NULL)
		return;
	om_sim_ledger_field(out, "event_id", delivery->event_id);
	om_sim_ledger_field(out, "event_type", delivery->event_type);
	om_sim_ledger_field(out, "message_id", delivery->message_id);
	om_sim_ledger_field(out, "from", inbound->from);
	om_sim_ledger_field(out, "to", inbound->to);
	om_sim_ledger_field(out, "text", inbound->text);
	if (inbound->text != NULL)
	{
		om_sim_sha256(inbound->text, digest);
		fprintf(out, ",\"text_sha256\":\"%s\"", digest);
	}
	om_sim_ledger_field(out, "received_at", message->received_at);
	om_sim_ledger_field(out, "autoresponse", message->autoresponse);
	om_sim_ledger_field(out, "body_file", inbound->body_file);
	fprintf(out, ",\"cc\":%d,\"media\":%d,\"tampered\":%s,\"timestamp_offset\":%d",
			inbound->cc_count, inbound->media_count, tampered ? "true" : "false",
			inbound->timestamp_offset);
	om_sim_ledger_end(sender->ledger, &line);
	om_sim_ledger_flush(sender->ledger);
}

/*
 * Hold the rate: message number n of a second is not begun before n/rate of it has gone.  Time that
 * is lost, because nobody answered, is not made up for.
 */
static void
keep_pace(struct om_sim_sender *sender)
{
	int64_t		now = om_sim_monotonic_ms();
	int64_t		due;

	if (sender->rate == 0)
		return;
	if (now >= sender->paced_until)
	{
		sender->paced_until = now + 1000;
		sender->paced = 0;
	}
	due = sender->paced_until - 1000 + sender->paced++ * 1000 / sender->rate;
	if (due > now)
		nanosleep(&(struct timespec) {due - now >= 1000, (due - now) % 1000 * 1000000}, NULL);
}

static void
send_once(struct om_sim_sender *sender, const struct om_sim_inbound *inbound,
		  const char *body, size_t body_len)
{
	struct om_sim_delivery *delivery;
	struct om_sim_message message = {.outbound = false};
	char		received_at[OM_SIM_TIME_SIZE];
	char		occurred_at[OM_SIM_TIME_SIZE];
	char	   *said = NULL;
	FILE	   *out;

	keep_pace(sender);
	om_sim_deliverer_reserve(sender->deliverer, 1, true);
	delivery = om_sim_alloc(sizeof(*delivery));
	delivery->event_id = copy_or_uuid(inbound->event_id);
	delivery->url = om_sim_strdup(sender->webhook_url);
	delivery->corruption = inbound->corruption;
	delivery->omit_signature = inbound->omit_signature;
	delivery->omit_timestamp = inbound->omit_timestamp;
	delivery->wrong_key = inbound->wrong_key;
	delivery->timestamp_offset = inbound->timestamp_offset;
	delivery->is_body = body != NULL;
	out = om_sim_memory(&delivery->content, &delivery->content_len);
	if (body != NULL)
		fwrite(body, 1, body_len, out);
	else
	{
		delivery->event_type = om_sim_strdup(inbound->event_type);
		delivery->message_id = copy_or_uuid(inbound->message_id);
		delivery->from = om_sim_strdup(inbound->from);
		delivery->to = om_sim_strdup(inbound->to);
		if (sender->via != NULL)
			said = tell_simulator(sender->via, inbound);
		message.id = delivery->message_id;
		message.from = inbound->from;
		message.to = inbound->to;
		message.text = inbound->text;
		message.type = inbound->type;
		message.autoresponse = inbound->autoresponse != NULL ? inbound->autoresponse : said;
		message.webhook_url = sender->webhook_url;
		message.received_at = om_sim_resolve_time(inbound->received_at, received_at);
		message.status = "webhook_delivered";
		if (strcmp(inbound->event_type, "message.sent") == 0 ||
			strcmp(inbound->event_type, "message.finalized") == 0)
		{
			message.outbound = true;
			message.sent_at = message.received_at;
			message.status = "sent";
			if (strcmp(inbound->event_type, "message.finalized") == 0)
			{
				message.completed_at = message.received_at;
				message.status = "delivered";
			}
		}
		if (inbound->status != NULL)
			message.status = inbound->status;
		memcpy(message.cc, inbound->cc, sizeof(message.cc));
		message.cc_count = inbound->cc_count;
		memcpy(message.media, inbound->media, sizeof(message.media));
		message.media_count = inbound->media_count;
		om_sim_event_write(out, inbound->event_type, delivery->event_id,
						   om_sim_resolve_time(inbound->occurred_at, occurred_at), &message);
	}
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	write_ledger(sender, inbound, delivery, &message);
	om_sim_deliverer_add(sender->deliverer, delivery);
	free(said);
}

void
om_sim_send(struct om_sim_sender *sender, const struct om_sim_inbound *inbound)
{
	char	   *body = NULL;
	size_t		len = 0;
	int			i;

	if (inbound->body_file != NULL)
		body = read_file(inbound->body_file, &len);
	for (i = 0; i < inbound->repeat; i++)
		send_once(sender, inbound, body, len);
	free(body);
}

/* Take the members of one line; its strings live in json. */
static bool
read_line(const struct om_sim_json *json, struct om_sim_inbound *inbound,
		  char *error, size_t error_size)
{
	const struct om_sim_json_field *field;
	char		name[64];
	char	   *dash;
	int			i;

	for (i = 0; i < json->count; i++)
	{
		field = &json->fields[i];
		snprintf(name, sizeof(name), "%s", field->key);
		while ((dash = strchr(name, '_')) != NULL)
			*dash = '-';
		if (field->type == OM_SIM_JSON_NULL || field->type == OM_SIM_JSON_FALSE)
			continue;
		if (field->type == OM_SIM_JSON_NESTED ||
			(field->type == OM_SIM_JSON_TRUE) != (strcmp(name, "wrong-key") == 0))
		{
			snprintf(error, error_size, "the value of \"%s\" does not fit", field->key);
			return false;
		}
		if (!om_sim_inbound_set(inbound, name, field->value, error, error_size))
			return false;
	}
	return om_sim_inbound_check(inbound, error, error_size);
}

/* Somebody wants no more: what was begun is brought to its end */
static volatile sig_atomic_t ended;

static void
begin_no_more(int signal_number)
{
	ended = 1;
}

bool
om_sim_send_file(struct om_sim_sender *sender, const struct om_sim_inbound *defaults,
				 const char *path, char *error, size_t error_size)
{
	struct om_sim_json *json = om_sim_alloc(sizeof(*json));
	struct om_sim_inbound inbound;
	size_t		len;
	char	   *text = read_file(path, &len);
	char	   *at;
	char	   *end;
	char		reason[256];
	bool		good = true;
	int			number;
	int			pass;

	sigaction(SIGTERM, &(struct sigaction) {.sa_handler = begin_no_more, .sa_flags = SA_RESTART}, NULL);
	for (pass = 0; pass < 2 && good; pass++)
	{
		for (at = text, number = 1; at < text + len && good && !ended; at = end + 1, number++)
		{
			end = memchr(at, '\n', (size_t) (text + len - at));
			if (end == NULL)
				end = text + len;
			if (strspn(at, " \t\r") == (size_t) (end - at))
				continue;
			inbound = *defaults;
			good = om_sim_json_parse(at, (size_t) (end - at), json);
			if (!good)
				snprintf(error, error_size, "%s, line %d: %s", path, number, json->error);
			else if (!(good = read_line(json, &inbound, reason, sizeof(reason))))
				snprintf(error, error_size, "%s, line %d: %s", path, number, reason);
			else if (pass == 1)
				om_sim_send(sender, &inbound);
			om_sim_json_free(json);
		}
	}
	free(text);
	free(json);
	return good;
}
