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
#include "simulator_optout.h"
#include "simulator_post.h"
#include "simulator_store.h"
#include "simulator_util.h"
#include "timestamp.h"

#define HELD_MAX		96		/* of civetweb's 128 threads */

struct om_sim_server
{
	const struct om_sim_server_options *options;
	struct om_sim_store *store;
	struct om_sim_optouts *optouts;
	struct mg_context *http;

	pthread_mutex_t mutex;		/* guards what follows */
	pthread_cond_t release;
	struct om_sim_behaviours behaviours;
	unsigned	generation;		/* counts resets */
	int			held;
	bool		stopping;
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

/* Choose the behaviour for a message nothing is wrong with. */
static void
apply_behaviour(struct om_sim_server *server, struct om_sim_post *post)
{
	pthread_mutex_lock(&server->mutex);
	post->behaviour = om_sim_behaviours_next(&server->behaviours, OM_SIM_MESSAGES, post->to);
	pthread_mutex_unlock(&server->mutex);
	post->status = post->behaviour.status;
	post->accepted = post->behaviour.accept;
	if (post->behaviour.kind == OM_SIM_ERROR)
		post->error_code = post->behaviour.code;
	om_sim_post_plan(post, server->options->event_delay);
	if (post->accepted &&
		!om_sim_deliverer_reserve(server->options->deliverer,
								  om_sim_post_events(post), false))
	{
		post->accepted = false;
		post->behaviour.kind = OM_SIM_ERROR;
		post->behaviour.retry_after = 1;
		om_sim_post_refuse(post, 429, 40318, NULL);
	}
}

/* Answer as the behaviour says; body is the answer of one that does nothing wrong. */
static void
answer_as_told(struct om_sim_server *server, struct mg_connection *conn,
			   const struct om_sim_behaviour *behaviour, int status, int code,
			   const char *body, size_t len)
{
	char		retry_after[40] = "";

	if (behaviour->retry_after >= 0)
		snprintf(retry_after, sizeof(retry_after), "Retry-After: %d\r\n",
				 behaviour->retry_after);
	switch (behaviour->kind)
	{
		case OM_SIM_ERROR:
			answer_error(conn, status, retry_after, code, NULL);
			break;
		case OM_SIM_NO_BODY:
			om_sim_http_answer(conn, status, "", NULL, NULL, 0);
			break;
		case OM_SIM_REDIRECT:
			om_sim_http_answer(conn, status, "Location: /v2/elsewhere\r\n", NULL, NULL, 0);
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
		case OM_SIM_HALF:
			om_sim_http_answer_half(conn, body, len);
			break;
		case OM_SIM_DELAY:
			hold(server, behaviour->ms);
			/* FALLTHROUGH */
		default:
			om_sim_http_answer(conn, 200, "", "application/json", body, len);
			break;
	}
}

static void
answer_post(struct om_sim_server *server, struct mg_connection *conn,
			const struct om_sim_post *post)
{
	struct om_sim_described described;
	char	   *body;
	size_t		len;
	FILE	   *out = om_sim_memory(&body, &len);

	fputs("{\"data\":", out);
	if (post->behaviour.kind == OM_SIM_NOID)
		fputs("{\"record_type\":\"message\"}", out);
	else
	{
		om_sim_post_describe(&post->stored, OM_SIM_QUEUED, &described);
		om_sim_message_write(out, &described.message);
	}
	putc('}', out);
	fclose(out);
	answer_as_told(server, conn, &post->behaviour, post->status, post->error_code, body, len);
	free(body);
}

static void
post_message(struct om_sim_server *server, struct mg_connection *conn)
{
	struct om_sim_json json = {.arena = NULL};
	struct om_sim_post post = {.behaviour = {.retry_after = -1}};
	char	   *body;
	size_t		len;
	bool		early;

	pthread_mutex_lock(&server->mutex);
	early = om_sim_behaviours_cut_early(&server->behaviours);
	pthread_mutex_unlock(&server->mutex);
	if (early)
	{
		strcpy(post.behaviour.spec, "cut-early");
		om_sim_post_record(&post, server->options->ledger);
		om_sim_http_close(conn);
		return;
	}
	om_sim_uuid(post.stored.id);
	body = om_sim_http_body(conn, &len);
	if (body == NULL)
		om_sim_post_refuse(&post, 400, 10015, NULL);
	else if (!om_sim_json_parse(body, len, &json))
		om_sim_post_refuse(&post, 400, 10023, NULL);
	else
		om_sim_post_check(&post, &json, server->options->webhook_url, server->optouts);
	if (!is_authorized(server, conn))
		om_sim_post_refuse(&post, 401, 10009, NULL);
	if (post.error_code == 0)
		apply_behaviour(server, &post);
	om_sim_post_record(&post, server->options->ledger);
	if (post.accepted)
	{
		om_sim_store_add(server->store, &post.stored);
		om_sim_post_send_events(&post, server->options->deliverer,
								server->options->event_delay);
	}
	if (post.behaviour.spec[0] == '\0')
		answer_error(conn, post.status, "", post.error_code, post.error_pointer);
	else
		answer_post(server, conn, &post);
	om_sim_json_free(&json);
	free(body);
}

static void
get_message(struct om_sim_server *server, struct mg_connection *conn)
{
	const char *id = mg_get_request_info(conn)->local_uri + strlen("/v2/messages/");
	struct om_sim_stored stored;
	struct om_sim_described described;
	int64_t		now = om_sim_now_ms();
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
	if (!stored.events || now < stored.sent_at)
		om_sim_post_describe(&stored, OM_SIM_QUEUED, &described);
	else
		om_sim_post_describe(&stored, now < stored.completed_at ?
							 OM_SIM_SENT : OM_SIM_FINALIZED, &described);
	om_sim_message_write(out, &described.message);
	putc('}', out);
	fclose(out);
	answer_json(conn, 200, "", body);
	free(body);
}

/* The end of a list */
static void
write_meta(FILE *out, int page, int size, int total)
{
	fprintf(out, "],\"meta\":{\"page_number\":%d,\"page_size\":%d,\"total_pages\":%d,"
			"\"total_results\":%d}}", page, size, (total + size - 1) / size, total);
}

static void
write_optouts(FILE *out, const struct om_sim_optout *optouts, int count,
			  const struct om_sim_optout_query *query, int total)
{
	char		created_at[OM_SIM_TIME_SIZE];
	int			i;

	fputs("{\"data\":[", out);
	for (i = 0; i < count; i++)
	{
		om_sim_format_time(optouts[i].created_at, created_at);
		fprintf(out, "%s{\"created_at\":\"%s\",\"from\":", i > 0 ? "," : "", created_at);
		om_sim_json_write(out, optouts[i].from[0] != '\0' ? optouts[i].from : NULL);
		om_sim_ledger_field(out, "to", optouts[i].to);
		om_sim_ledger_field(out, "keyword", optouts[i].keyword[0] != '\0' ? optouts[i].keyword : NULL);
		om_sim_ledger_field(out, "messaging_profile_id", OM_SIM_PROFILE_ID);
		putc('}', out);
	}
	write_meta(out, query->page, query->size, total);
}

static void
record_list(struct om_sim_server *server, const char *kind, const char *query, const char *error,
			const struct om_sim_behaviour *behaviour, int status, int count)
{
	struct om_sim_line line;
	FILE	   *out = om_sim_ledger_begin(server->options->ledger, &line, kind);

	if (out == NULL)
		return;
	om_sim_ledger_field(out, "query", query);
	om_sim_ledger_field(out, "error", error);
	om_sim_ledger_field(out, "behaviour", behaviour->spec[0] != '\0' ? behaviour->spec : NULL);
	fprintf(out, ",\"http\":%d,\"count\":%d", status, count);
	om_sim_ledger_end(server->options->ledger, &line);
	om_sim_ledger_flush(server->options->ledger);
}

/* Who asks for a list wrongly is told so, whatever the behaviour; error is NULL when the query is right. */
static bool
refuse_list(struct om_sim_server *server, struct mg_connection *conn, const char *kind,
			const char *query, const char *error)
{
	struct om_sim_behaviour none = {.retry_after = -1};
	bool		authorized = is_authorized(server, conn);
	int			status = !authorized ? 401 : 400;

	if (authorized && error == NULL)
		return false;
	record_list(server, kind, query, !authorized ? "no key, or a wrong one" : error, &none, status, 0);
	answer_error(conn, status, "", !authorized ? 10009 : 10015, NULL);
	return true;
}

static void
answer_list(struct om_sim_server *server, struct mg_connection *conn, const char *kind,
			enum om_sim_target target, const char *query, const char *body, size_t len, int count)
{
	struct om_sim_behaviour behaviour;

	pthread_mutex_lock(&server->mutex);
	behaviour = om_sim_behaviours_next(&server->behaviours, target, "");
	pthread_mutex_unlock(&server->mutex);
	record_list(server, kind, query, NULL, &behaviour, behaviour.status, count);
	answer_as_told(server, conn, &behaviour, behaviour.status, behaviour.code, body, len);
}

static void
get_optouts(struct om_sim_server *server, struct mg_connection *conn)
{
	const char *text = mg_get_request_info(conn)->query_string;
	struct om_sim_optout *optouts;
	struct om_sim_optout_query query;
	char		error[200];
	char	   *body;
	size_t		len;
	FILE	   *out;
	int			count = 0;
	int			total = 0;

	if (refuse_list(server, conn, "optouts", text,
					om_sim_optout_query_parse(text, &query, error, sizeof(error)) ? NULL : error))
		return;
	optouts = om_sim_alloc(sizeof(*optouts) * OM_SIM_OPTOUT_PAGE_MAX);
	if (query.profile[0] == '\0' || strcmp(query.profile, OM_SIM_PROFILE_ID) == 0)
		count = om_sim_optouts_page(server->optouts, &query, optouts, &total);
	out = om_sim_memory(&body, &len);
	write_optouts(out, optouts, count, &query, total);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	answer_list(server, conn, "optouts", OM_SIM_OPTOUTS, text, body, len, count);
	free(body);
	free(optouts);
}

static void
get_webhooks(struct om_sim_server *server, struct mg_connection *conn)
{
	const char *text = mg_get_request_info(conn)->query_string;
	struct om_sim_webhook_query query;
	char		error[200];
	char	   *body;
	size_t		len;
	FILE	   *out;
	int			count;
	int			total;

	if (refuse_list(server, conn, "deliveries", text,
					om_sim_webhook_query_parse(text, &query, error, sizeof(error)) ? NULL : error))
		return;
	out = om_sim_memory(&body, &len);
	fputs("{\"data\":[", out);
	count = om_sim_webhooks_page(server->options->webhooks, &query, out, &total);
	write_meta(out, query.page, query.size, total);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	answer_list(server, conn, "deliveries", OM_SIM_DELIVERIES, text, body, len, count);
	free(body);
}

static void
get_health(struct om_sim_server *server, struct mg_connection *conn)
{
	answer_json(conn, 200, "", "{\"status\":\"ok\"}");
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
	om_sim_optouts_clear(server->optouts);
	om_sim_webhooks_clear(server->options->webhooks);
	answer_json(conn, 200, "", "{\"status\":\"ok\"}");
}

/* NULL, or why this opt-out cannot be taken; blanks around its keyword are left out. */
static const char *
add_optout(struct om_sim_server *server, const char *from, const char *to, const char *keyword,
		   int64_t created_at)
{
	struct om_sim_optout optout = {.created_at = created_at};
	size_t		len;

	if (strlen(to) >= sizeof(optout.to) || (from != NULL && strlen(from) >= sizeof(optout.from)))
		return "a number is too long";
	strcpy(optout.to, to);
	if (from != NULL)
		strcpy(optout.from, from);
	if (keyword != NULL)
	{
		keyword += strspn(keyword, " \t\r\n");
		len = strlen(keyword);
		while (len > 0 && strchr(" \t\r\n", keyword[len - 1]) != NULL)
			len--;
		if (len >= sizeof(optout.keyword))
			return "the keyword is too long";
		memcpy(optout.keyword, keyword, len);
	}
	return om_sim_optouts_add(server->optouts, &optout) ? NULL : "the opt-out list is full";
}

/* Somebody opted out, and no webhook tells of it. */
static void
post_optout(struct om_sim_server *server, struct mg_connection *conn)
{
	struct om_sim_json json = {.arena = NULL};
	size_t		len;
	char	   *body = om_sim_http_body(conn, &len);
	const char *to;
	const char *time;
	const char *complaint = NULL;
	int64_t		created_at = om_sim_now_ms() * 1000;

	if (body == NULL || !om_sim_json_parse(body, len, &json))
		complaint = "the body is not a JSON object";
	else if ((to = om_sim_json_string(&json, "to")) == NULL || *to == '\0')
		complaint = "\"to\" is missing";
	else if ((time = om_sim_json_string(&json, "created_at")) != NULL &&
			 !om_timestamp_parse(time, strlen(time), &created_at))
		complaint = "\"created_at\" is no time of RFC 3339";
	else
		complaint = add_optout(server, om_sim_json_string(&json, "from"), to,
							   om_sim_json_string(&json, "keyword"), created_at / 1000);
	if (complaint != NULL)
		answer_complaint(conn, 400, complaint);
	else
		answer_json(conn, 200, "", "{\"status\":\"ok\"}");
	om_sim_json_free(&json);
	free(body);
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
	const char *text;
	const char *autoresponse = NULL;
	const char *complaint = NULL;
	char		answer[64];

	if (body == NULL || !om_sim_json_parse(body, len, &json))
		complaint = "the body is not a JSON object";
	else if ((from = om_sim_json_string(&json, "from")) == NULL)
		complaint = "\"from\" is missing";
	else if (server->options->native_optout)
	{
		text = om_sim_json_string(&json, "text");
		autoresponse = om_sim_autoresponse(text);
		if (autoresponse != NULL && strcmp(autoresponse, "START") == 0)
			om_sim_optouts_remove(server->optouts, from);
		else if (autoresponse != NULL && strcmp(autoresponse, "STOP") == 0)
			complaint = add_optout(server, om_sim_json_string(&json, "to"), from, text,
								   om_sim_now_ms());
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

/* Seconds by which the Date of the answers is ahead */
static void
post_date_offset(struct om_sim_server *server, struct mg_connection *conn)
{
	size_t		len;
	char	   *body = om_sim_http_body(conn, &len);
	int			seconds;

	if (body == NULL || !om_sim_read_int(body, -OM_SIM_OFFSET_MAX, OM_SIM_OFFSET_MAX, &seconds))
		answer_complaint(conn, 400, "the body is not a number of seconds");
	else
	{
		om_sim_http_date_offset(seconds);
		answer_json(conn, 200, "", "{\"status\":\"ok\"}");
	}
	free(body);
}

/* A member that is a time, or now when there is none; false when it is something else */
static bool
read_time(const struct om_sim_json *json, const char *name, int64_t *ms)
{
	const char *text = om_sim_json_string(json, name);
	int64_t		micros = *ms * 1000;

	if (text != NULL && !om_timestamp_parse(text, strlen(text), &micros))
		return false;
	*ms = micros / 1000;
	return true;
}

/* A webhook that somebody else delivered, or could not deliver, in our name */
static void
post_webhook(struct om_sim_server *server, struct mg_connection *conn)
{
	struct om_sim_json json = {.arena = NULL};
	struct om_sim_webhook webhook = {.delivered = false};
	size_t		len;
	char	   *body = om_sim_http_body(conn, &len);
	const char *event = NULL;
	const char *complaint = NULL;
	const char *value;

	webhook.started_at = webhook.finished_at = om_sim_now_ms();
	if (body == NULL || !om_sim_json_parse(body, len, &json))
		complaint = "the body is not a JSON object";
	else if ((event = om_sim_json_string(&json, "webhook")) == NULL)
		complaint = "\"webhook\" is missing";
	else if (!read_time(&json, "started_at", &webhook.started_at) ||
			 !read_time(&json, "finished_at", &webhook.finished_at))
		complaint = "a time is none of RFC 3339";
	if (complaint != NULL)
		answer_complaint(conn, 400, complaint);
	else
	{
		value = om_sim_json_string(&json, "status");
		webhook.delivered = value != NULL && strcmp(value, "delivered") == 0;
		value = om_sim_json_string(&json, "event_type");
		webhook.event_type = value != NULL ? om_sim_strdup(value) : NULL;
		value = om_sim_json_string(&json, "attempts");
		webhook.attempts = om_sim_strdup(value != NULL ? value : "[]");
		webhook.webhook = om_sim_strdup(event);
		om_sim_webhooks_add(server->options->webhooks, &webhook);
		answer_json(conn, 200, "", "{\"status\":\"ok\"}");
	}
	om_sim_json_free(&json);
	free(body);
}

/* A path that ends with a slash goes on with an identifier. */
static const struct
{
	const char *path;
	const char *method;
	void		(*answer) (struct om_sim_server *server, struct mg_connection *conn);
}			routes[] = {
	{"/v2/messages", "POST", post_message},
	{"/v2/messages/", "GET", get_message},
	{"/v2/messaging_optouts", "GET", get_optouts},
	{"/v2/webhook_deliveries", "GET", get_webhooks},
	{"/healthz", "GET", get_health},
	{"/sim/ledger", "GET", get_ledger},
	{"/sim/behave", "POST", post_behave},
	{"/sim/reset", "POST", reset},
	{"/sim/inbound", "POST", post_inbound},
	{"/sim/optout", "POST", post_optout},
	{"/sim/webhook", "POST", post_webhook},
	{"/sim/date-offset", "POST", post_date_offset},
};

static void
handle(void *context, struct mg_connection *conn, const char *method, const char *path)
{
	size_t		i;

	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
	{
		const char *route = routes[i].path;
		size_t		len = strlen(route);

		if (route[len - 1] == '/' ? strncmp(path, route, len) != 0 : strcmp(path, route) != 0)
			continue;
		if (strcmp(method, routes[i].method) == 0)
			routes[i].answer(context, conn);
		else
			answer_error(conn, 405, routes[i].method[0] == 'P' ? "Allow: POST\r\n" :
						 "Allow: GET\r\n", 10030, NULL);
		return;
	}
	answer_error(conn, 404, "", 10005, NULL);
}

struct om_sim_server *
om_sim_server_start(const struct om_sim_server_options *options, int *port)
{
	struct om_sim_server *server = om_sim_alloc(sizeof(*server));
	pthread_condattr_t monotonic;

	server->options = options;
	server->behaviours = options->behaviours;
	server->store = om_sim_store_create();
	server->optouts = om_sim_optouts_create();
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
	om_sim_optouts_free(server->optouts);
	pthread_mutex_destroy(&server->mutex);
	pthread_cond_destroy(&server->release);
	free(server);
}
