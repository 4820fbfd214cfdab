/*
 * simulator_server.c
 *		The provider's API: accepts messages, misbehaves when told to.
 *
 * Every POST of a message is in the ledger before anything is answered, so that
 * one which the sender repeated behind its own back shows.
 */
#include "simulator_server.h"

#include <civetweb.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulator_http.h"
#include "simulator_json.h"
#include "simulator_message.h"
#include "simulator_store.h"
#include "simulator_util.h"

#define HELD_MAX		96		/* of civetweb's 128 threads */
#define VALID_FOR_MS	3600000

struct om_sim_server
{
	const struct om_sim_server_options *options;
	struct om_sim_store *store;
	struct mg_context *http;

	pthread_mutex_t mutex;		/* guards what follows */
	pthread_cond_t release;
	struct om_sim_behaviours behaviours;
	unsigned	generation;		/* counts resets */
	int			held;
	bool		stopping;
};

/* A POST /v2/messages while it is being answered. */
struct post
{
	const char *from;
	const char *to;
	const char *text;
	const char *webhook_url;
	const char *error_pointer;
	bool		mms;
	int			status;			/* of the answer, 0 for none */
	int			error_code;		/* 0 for none */
	bool		accepted;
	struct om_sim_behaviour behaviour;
	struct om_sim_stored stored;
};

static void
answer_json(struct mg_connection *conn, int status, const char *headers, const char *body)
{
	om_sim_http_answer(conn, status, headers, "application/json", body, strlen(body));
}

static void
answer_error(struct mg_connection *conn, int status, const char *headers, int code,
			 const char *pointer)
{
	char	   *body;
	size_t		len;
	FILE	   *out = om_sim_memory(&body, &len);

	om_sim_error_write(out, code, pointer);
	fclose(out);
	answer_json(conn, status, headers, body);
	free(body);
}

/* An error of the simulator's own endpoints, for people. */
static void
answer_complaint(struct mg_connection *conn, int status, const char *complaint)
{
	char	   *body;
	size_t		len;
	FILE	   *out = om_sim_memory(&body, &len);

	fputs("{\"error\":", out);
	om_sim_json_write(out, complaint);
	putc('}', out);
	fclose(out);
	answer_json(conn, status, "", body);
	free(body);
}

/* Wait that long, or until a reset or the end. */
static void
hold(struct om_sim_server *server, int ms)
{
	struct timespec until;
	unsigned	generation;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long) (ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&server->mutex);
	generation = server->generation;
	if (server->held < HELD_MAX)
	{
		server->held++;
		while (!server->stopping && server->generation == generation &&
			   pthread_cond_timedwait(&server->release, &server->mutex, &until) != ETIMEDOUT)
			;
		server->held--;
	}
	pthread_mutex_unlock(&server->mutex);
}

static bool
is_authorized(const struct om_sim_server *server, struct mg_connection *conn)
{
	const char *header = mg_get_header(conn, "Authorization");

	if (header == NULL || mg_strncasecmp(header, "Bearer ", 7) != 0)
		return false;
	header += 7;
	header += strspn(header, " ");
	if (server->options->api_key == NULL)
		return *header != '\0';
	return strcmp(header, server->options->api_key) == 0;
}

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

static void
refuse(struct post *post, int status, int code, const char *pointer)
{
	post->status = status;
	post->error_code = code;
	post->error_pointer = pointer;
}

/* Read one member that must be a string if it is there at all. */
static const char *
read_text(const struct om_sim_json *json, struct post *post, const char *key,
		  const char *pointer)
{
	const struct om_sim_json_field *field = om_sim_json_field(json, key, 0);

	if (field == NULL || field->type == OM_SIM_JSON_NULL)
		return NULL;
	if (field->type != OM_SIM_JSON_STRING && post->error_code == 0)
		refuse(post, 422, 10026, pointer);
	return field->value;
}

/* What Telnyx itself would refuse, whatever the behaviour. */
static void
check(struct om_sim_server *server, const struct om_sim_json *json, struct post *post)
{
	post->from = read_text(json, post, "from", "/from");
	post->to = read_text(json, post, "to", "/to");
	post->text = read_text(json, post, "text", "/text");
	post->webhook_url = read_text(json, post, "webhook_url", "/webhook_url");
	post->mms = om_sim_json_field(json, "media_urls", 0) != NULL;
	if (post->error_code != 0)
		return;
	if (post->to == NULL || *post->to == '\0')
		refuse(post, 422, 10004, "/to");
	else if (post->from == NULL || *post->from == '\0')
		refuse(post, 422, 10004, "/from");
	else if ((post->text == NULL || *post->text == '\0') && !post->mms)
		refuse(post, 422, 10004, "/text");
	else if (!is_e164(post->to))
		refuse(post, 422, 10016, "/to");
	else if (!is_e164(post->from) && !is_short_code(post->from))
		refuse(post, 422, 10016, "/from");
	else if (is_impossible(post->to))
		refuse(post, 400, 40310, "/to");
	else if (om_sim_store_is_blocked(server->store, post->to))
		refuse(post, 403, 40300, NULL);
}

static void
write_ledger(struct om_sim_server *server, const struct post *post)
{
	struct om_sim_line line;
	char		digest[OM_SIM_SHA256_SIZE];
	FILE	   *out = om_sim_ledger_begin(server->options->ledger, &line, "post");

	if (out == NULL)
		return;
	if (post->text != NULL)
		om_sim_sha256(post->text, digest);
	fputs(",\"message_id\":", out);
	om_sim_json_write(out, post->accepted ? post->stored.id : NULL);
	fputs(",\"from\":", out);
	om_sim_json_write(out, post->from);
	fputs(",\"to\":", out);
	om_sim_json_write(out, post->to);
	fputs(",\"text\":", out);
	om_sim_json_write(out, post->text);
	fputs(",\"text_sha256\":", out);
	om_sim_json_write(out, post->text != NULL ? digest : NULL);
	fputs(",\"webhook_url\":", out);
	om_sim_json_write(out, post->webhook_url);
	fputs(",\"behaviour\":", out);
	om_sim_json_write(out, post->behaviour.spec[0] != '\0' ? post->behaviour.spec : NULL);
	fprintf(out, ",\"http\":%d,\"code\":%d,\"accepted\":%s", post->status, post->error_code,
			post->accepted ? "true" : "false");
	om_sim_ledger_end(server->options->ledger, &line);
	om_sim_ledger_flush(server->options->ledger);
}

/* Write a stored message as it stands at a moment. */
static void
write_stored(FILE *out, const struct om_sim_stored *stored, int64_t now, const char *url)
{
	struct om_sim_message message = {.outbound = true};
	char		received_at[OM_SIM_TIME_SIZE];
	char		sent_at[OM_SIM_TIME_SIZE];
	char		completed_at[OM_SIM_TIME_SIZE];
	char		valid_until[OM_SIM_TIME_SIZE];

	om_sim_format_time(stored->received_at, received_at);
	om_sim_format_time(stored->sent_at, sent_at);
	om_sim_format_time(stored->completed_at, completed_at);
	om_sim_format_time(stored->received_at + VALID_FOR_MS, valid_until);
	message.id = stored->id;
	message.from = stored->from;
	message.to = stored->to;
	message.text = stored->text;
	message.type = stored->mms ? "MMS" : "SMS";
	message.status = "queued";
	message.webhook_url = url;
	message.failover_url = "";
	message.received_at = received_at;
	message.valid_until = valid_until;
	if (stored->events && now >= stored->sent_at)
	{
		message.status = "sent";
		message.sent_at = sent_at;
	}
	if (stored->events && now >= stored->completed_at)
	{
		message.status = stored->final_status;
		message.completed_at = completed_at;
		message.error_code = stored->error_code;
	}
	om_sim_message_write(out, &message);
}

static struct om_sim_delivery *
create_event(const struct post *post, const char *event_type, int64_t occurred, int64_t due)
{
	struct om_sim_delivery *delivery = om_sim_alloc(sizeof(*delivery));
	const struct om_sim_stored *stored = &post->stored;
	char		event_id[OM_SIM_UUID_SIZE];
	char		occurred_at[OM_SIM_TIME_SIZE];
	struct om_sim_message message = {.outbound = true};
	char		received_at[OM_SIM_TIME_SIZE];
	char		sent_at[OM_SIM_TIME_SIZE];
	char		valid_until[OM_SIM_TIME_SIZE];
	bool		final = strcmp(event_type, "message.finalized") == 0;
	FILE	   *out = om_sim_memory(&delivery->content, &delivery->content_len);

	om_sim_uuid(event_id);
	om_sim_format_time(occurred, occurred_at);
	om_sim_format_time(stored->received_at, received_at);
	om_sim_format_time(stored->sent_at, sent_at);
	om_sim_format_time(stored->received_at + VALID_FOR_MS, valid_until);
	message.id = stored->id;
	message.from = stored->from;
	message.to = stored->to;
	message.text = post->text;
	message.type = post->mms ? "MMS" : "SMS";
	message.status = final ? stored->final_status : "sent";
	message.webhook_url = post->webhook_url;
	message.failover_url = "";
	message.received_at = received_at;
	message.sent_at = sent_at;
	message.valid_until = valid_until;
	message.completed_at = final ? occurred_at : NULL;
	message.error_code = final ? stored->error_code : 0;
	om_sim_event_write(out, event_type, event_id, occurred_at, &message);
	fclose(out);
	delivery->event_id = om_sim_strdup(event_id);
	delivery->event_type = om_sim_strdup(event_type);
	delivery->message_id = om_sim_strdup(stored->id);
	delivery->from = om_sim_strdup(stored->from);
	delivery->to = om_sim_strdup(stored->to);
	delivery->url = om_sim_strdup(post->webhook_url);
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

static int
count_events(const struct om_sim_behaviour *behaviour)
{
	if (behaviour->kind == OM_SIM_NO_EVENTS)
		return 0;
	return behaviour->kind == OM_SIM_EVENTS_DUPLICATED ? 4 : 2;
}

/* The message is accepted: remember it and send what is to be told about it. */
static void
send_events(struct om_sim_server *server, const struct post *post)
{
	const struct om_sim_stored *stored = &post->stored;
	int64_t		due = om_sim_monotonic_ms();
	int			delay = server->options->event_delay;
	struct om_sim_delivery *sent;
	struct om_sim_delivery *final;
	struct om_sim_delivery *first;

	om_sim_store_add(server->store, stored);
	if (count_events(&post->behaviour) == 0)
		return;
	sent = create_event(post, "message.sent", stored->sent_at, due + delay);
	final = create_event(post, "message.finalized", stored->completed_at, due + 2 * delay);
	first = sent;
	if (post->behaviour.kind == OM_SIM_EVENTS_REVERSED)
	{
		first = final;
		first->next = sent;
	}
	else if (post->behaviour.kind == OM_SIM_EVENTS_DUPLICATED)
	{
		first->next = copy_event(sent);
		first->next->next = final;
		final->next = copy_event(final);
	}
	else
		first->next = final;
	om_sim_deliverer_add(server->options->deliverer, first);
}

/* Choose the behaviour for a message nothing is wrong with. */
static void
apply_behaviour(struct om_sim_server *server, struct post *post)
{
	struct om_sim_stored *stored = &post->stored;
	int			delay = server->options->event_delay;

	pthread_mutex_lock(&server->mutex);
	post->behaviour = om_sim_behaviours_next(&server->behaviours, post->to);
	pthread_mutex_unlock(&server->mutex);
	post->status = post->behaviour.status;
	post->accepted = post->behaviour.accept;
	if (post->behaviour.kind == OM_SIM_ERROR)
		post->error_code = post->behaviour.code;
	if (!post->accepted)
	{
		/* accept=no on one that answers 200 leaves nothing to answer: a lost message */
		return;
	}
	if (!om_sim_deliverer_reserve(server->options->deliverer,
								  count_events(&post->behaviour), false))
	{
		post->accepted = false;
		post->behaviour.kind = OM_SIM_ERROR;
		post->behaviour.retry_after = 1;
		post->behaviour.code = 40318;
		refuse(post, 429, 40318, NULL);
		return;
	}
	snprintf(stored->from, sizeof(stored->from), "%s", post->from);
	snprintf(stored->to, sizeof(stored->to), "%s", post->to);
	snprintf(stored->text, sizeof(stored->text), "%s", post->text != NULL ? post->text : "");
	stored->mms = post->mms;
	stored->events = post->behaviour.kind != OM_SIM_NO_EVENTS;
	stored->final_status = "delivered";
	if (post->behaviour.kind == OM_SIM_FAILED || post->behaviour.kind == OM_SIM_BLOCKED_LATER)
	{
		stored->final_status = "delivery_failed";
		stored->error_code = post->behaviour.code;
	}
	else if (post->behaviour.kind == OM_SIM_UNCONFIRMED)
		stored->final_status = "delivery_unconfirmed";
	stored->received_at = om_sim_now_ms();
	stored->sent_at = stored->received_at + delay;
	stored->completed_at = stored->received_at + 2 * delay;
}

/* Answer 200 with the message, whole, half, or without its id. */
static void
answer_accepted(struct mg_connection *conn, const struct post *post)
{
	char	   *body;
	size_t		len;
	FILE	   *out = om_sim_memory(&body, &len);

	fputs("{\"data\":", out);
	if (post->behaviour.kind == OM_SIM_NOID)
		fputs("{\"record_type\":\"message\"}", out);
	else
		write_stored(out, &post->stored, 0, post->webhook_url);
	putc('}', out);
	fclose(out);
	if (post->behaviour.kind == OM_SIM_HALF)
		om_sim_http_answer_half(conn, body, len);
	else
		om_sim_http_answer(conn, 200, "", "application/json", body, len);
	free(body);
}

static void
answer_post(struct om_sim_server *server, struct mg_connection *conn, const struct post *post)
{
	const struct om_sim_behaviour *behaviour = &post->behaviour;
	char		retry_after[40] = "";

	if (behaviour->retry_after >= 0)
		snprintf(retry_after, sizeof(retry_after), "Retry-After: %d\r\n",
				 behaviour->retry_after);
	switch (behaviour->kind)
	{
		case OM_SIM_ERROR:
			answer_error(conn, post->status, retry_after, post->error_code, NULL);
			break;
		case OM_SIM_NO_BODY:
			om_sim_http_answer(conn, post->status, "", NULL, NULL, 0);
			break;
		case OM_SIM_REDIRECT:
			om_sim_http_answer(conn, post->status, "Location: /v2/elsewhere\r\n", NULL, NULL, 0);
			break;
		case OM_SIM_SILENT:
			hold(server, behaviour->ms);
			om_sim_http_close(conn);
			break;
		case OM_SIM_CUT:
		case OM_SIM_CUT_EARLY:
			om_sim_http_close(conn);
			break;
		case OM_SIM_GARBAGE:
			om_sim_http_answer(conn, 200, "", "text/html", "<html>upstream said hello", 25);
			break;
		case OM_SIM_DELAY:
			hold(server, behaviour->ms);
			answer_accepted(conn, post);
			break;
		default:
			answer_accepted(conn, post);
			break;
	}
}

static void
post_message(struct om_sim_server *server, struct mg_connection *conn)
{
	struct om_sim_json json = {.arena = NULL};
	struct post post = {.behaviour = {.retry_after = -1}};
	char	   *body;
	size_t		len;
	bool		early;

	pthread_mutex_lock(&server->mutex);
	early = om_sim_behaviours_cut_early(&server->behaviours);
	pthread_mutex_unlock(&server->mutex);
	if (early)
	{
		strcpy(post.behaviour.spec, "cut-early");
		write_ledger(server, &post);
		om_sim_http_close(conn);
		return;
	}
	om_sim_uuid(post.stored.id);
	body = om_sim_http_body(conn, &len);
	if (body == NULL)
		refuse(&post, 400, 10015, NULL);
	else if (!om_sim_json_parse(body, len, &json))
		refuse(&post, 400, 10023, NULL);
	else
		check(server, &json, &post);
	if (post.webhook_url == NULL || *post.webhook_url == '\0')
		post.webhook_url = server->options->webhook_url;
	if (!is_authorized(server, conn))
		refuse(&post, 401, 10009, NULL);
	if (post.error_code == 0)
		apply_behaviour(server, &post);
	write_ledger(server, &post);
	if (post.accepted)
		send_events(server, &post);
	if (post.behaviour.spec[0] == '\0')
		answer_error(conn, post.status, "", post.error_code, post.error_pointer);
	else
		answer_post(server, conn, &post);
	om_sim_json_free(&json);
	free(body);
}

static void
get_message(struct om_sim_server *server, struct mg_connection *conn, const char *id)
{
	struct om_sim_stored stored;
	char	   *body;
	size_t		len;
	FILE	   *out;

	if (!is_authorized(server, conn))
	{
		answer_error(conn, 401, "", 10009, NULL);
		return;
	}
	if (!om_sim_store_find(server->store, id, &stored))
	{
		answer_error(conn, 404, "", 10005, NULL);
		return;
	}
	out = om_sim_memory(&body, &len);
	fputs("{\"data\":", out);
	write_stored(out, &stored, om_sim_now_ms(), server->options->webhook_url);
	putc('}', out);
	fclose(out);
	answer_json(conn, 200, "", body);
	free(body);
}

static void
get_ledger(struct om_sim_server *server, struct mg_connection *conn)
{
	FILE	   *file = fopen(server->options->ledger_path, "re");
	char		part[8192];
	size_t		got;

	if (file == NULL)
	{
		answer_complaint(conn, 503, "the ledger cannot be read");
		return;
	}
	/* it grows meanwhile: no length, the end of the connection is the end */
	om_sim_http_close(conn);
	mg_printf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
			  "Content-Type: application/x-ndjson\r\n\r\n");
	while ((got = fread(part, 1, sizeof(part), file)) > 0 &&
		   mg_write(conn, part, got) == (int) got)
		;
	fclose(file);
}

/* The body is SPECs separated by blanks or newlines; all are taken or none. */
static void
post_behave(struct om_sim_server *server, struct mg_connection *conn)
{
	struct om_sim_behaviours *added = om_sim_alloc(sizeof(*added));
	struct om_sim_behaviour behaviour;
	char		complaint[OM_SIM_SPEC_MAX * 3] = "";
	char	   *rest = NULL;
	char	   *spec;
	char	   *body;
	size_t		len;
	int			i;

	body = om_sim_http_body(conn, &len);
	if (body == NULL)
		snprintf(complaint, sizeof(complaint), "the body is incomplete or too large");
	else
		for (spec = strtok_r(body, " \t\r\n", &rest); spec != NULL && *complaint == '\0';
			 spec = strtok_r(NULL, " \t\r\n", &rest))
			if (om_sim_behaviour_parse(spec, &behaviour, complaint, sizeof(complaint)) &&
				!om_sim_behaviours_add(added, &behaviour))
				snprintf(complaint, sizeof(complaint), "too many behaviours");
	if (*complaint == '\0' && added->count == 0)
		snprintf(complaint, sizeof(complaint), "the body holds no behaviour");
	pthread_mutex_lock(&server->mutex);
	if (*complaint == '\0' && server->behaviours.count + added->count > OM_SIM_BEHAVIOURS_MAX)
		snprintf(complaint, sizeof(complaint), "too many behaviours; POST /sim/reset first");
	for (i = 0; *complaint == '\0' && i < added->count; i++)
		om_sim_behaviours_add(&server->behaviours, &added->list[i]);
	pthread_mutex_unlock(&server->mutex);
	if (*complaint == '\0')
		answer_json(conn, 200, "", "{\"status\":\"ok\"}");
	else
		answer_complaint(conn, 400, complaint);
	free(added);
	free(body);
}

static void
reset(struct om_sim_server *server, struct mg_connection *conn)
{
	pthread_mutex_lock(&server->mutex);
	server->behaviours.count = 0;
	server->generation++;
	pthread_cond_broadcast(&server->release);
	pthread_mutex_unlock(&server->mutex);
	om_sim_store_unblock_all(server->store);
	answer_json(conn, 200, "", "{\"status\":\"ok\"}");
}

/*
 * A person wrote: do what Telnyx does on its own keywords and tell how the
 * webhook has to say it.
 */
static void
post_inbound(struct om_sim_server *server, struct mg_connection *conn)
{
	struct om_sim_json json = {.arena = NULL};
	size_t		len;
	char	   *body = om_sim_http_body(conn, &len);
	const char *from;
	const char *autoresponse = NULL;
	const char *complaint = NULL;
	char		answer[64];

	if (body == NULL || !om_sim_json_parse(body, len, &json))
		complaint = "the body is not a JSON object";
	else if ((from = om_sim_json_string(&json, "from")) == NULL)
		complaint = "\"from\" is missing";
	else if (server->options->native_optout)
	{
		autoresponse = om_sim_autoresponse(om_sim_json_string(&json, "text"));
		if (autoresponse != NULL && strcmp(autoresponse, "START") == 0)
			om_sim_store_unblock(server->store, from);
		else if (autoresponse != NULL && strcmp(autoresponse, "STOP") == 0 &&
				 !om_sim_store_block(server->store, from))
			complaint = "the opt-out list is full";
	}
	if (complaint != NULL)
		answer_complaint(conn, 400, complaint);
	else
	{
		snprintf(answer, sizeof(answer), "{\"autoresponse_type\":%s%s%s}",
				 autoresponse != NULL ? "\"" : "", autoresponse != NULL ? autoresponse : "null",
				 autoresponse != NULL ? "\"" : "");
		answer_json(conn, 200, "", answer);
	}
	om_sim_json_free(&json);
	free(body);
}

static void
handle(void *context, struct mg_connection *conn, const char *method, const char *path)
{
	struct om_sim_server *server = context;
	bool		is_get = strcmp(method, "GET") == 0;
	bool		is_post = strcmp(method, "POST") == 0;
	bool		is_message = strncmp(path, "/v2/messages/", 13) == 0;
	bool		posts = strcmp(path, "/v2/messages") == 0 || strcmp(path, "/sim/behave") == 0 ||
		strcmp(path, "/sim/reset") == 0 || strcmp(path, "/sim/inbound") == 0;
	bool		gets = is_message || strcmp(path, "/healthz") == 0 ||
		strcmp(path, "/sim/ledger") == 0;

	if (!posts && !gets)
		answer_error(conn, 404, "", 10005, NULL);
	else if (posts ? !is_post : !is_get)
		answer_error(conn, 405, posts ? "Allow: POST\r\n" : "Allow: GET\r\n", 10030, NULL);
	else if (strcmp(path, "/v2/messages") == 0)
		post_message(server, conn);
	else if (strcmp(path, "/sim/behave") == 0)
		post_behave(server, conn);
	else if (strcmp(path, "/sim/reset") == 0)
		reset(server, conn);
	else if (strcmp(path, "/sim/inbound") == 0)
		post_inbound(server, conn);
	else if (is_message)
		get_message(server, conn, path + 13);
	else if (strcmp(path, "/sim/ledger") == 0)
		get_ledger(server, conn);
	else
		answer_json(conn, 200, "", "{\"status\":\"ok\"}");
}

struct om_sim_server *
om_sim_server_start(const struct om_sim_server_options *options, int *port)
{
	struct om_sim_server *server = om_sim_alloc(sizeof(*server));
	pthread_condattr_t monotonic;

	server->options = options;
	server->behaviours = options->behaviours;
	server->store = om_sim_store_create();
	pthread_mutex_init(&server->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&server->release, &monotonic);
	pthread_condattr_destroy(&monotonic);
	server->http = om_sim_http_start(options->listen, handle, server, port);
	return server;
}

void
om_sim_server_stop(struct om_sim_server *server)
{
	pthread_mutex_lock(&server->mutex);
	server->stopping = true;
	pthread_cond_broadcast(&server->release);
	pthread_mutex_unlock(&server->mutex);
	mg_stop(server->http);
	om_sim_store_free(server->store);
	pthread_mutex_destroy(&server->mutex);
	pthread_cond_destroy(&server->release);
	free(server);
}
