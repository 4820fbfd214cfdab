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
#include "simulator_post.h"
#include "simulator_store.h"
#include "simulator_util.h"

#define HELD_MAX		96		/* of civetweb's 128 threads */

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
	post->behaviour = om_sim_behaviours_next(&server->behaviours, post->to);
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

/* Answer 200 with the message, whole, half, or without its id. */
static void
answer_accepted(struct mg_connection *conn, const struct om_sim_post *post)
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
	if (post->behaviour.kind == OM_SIM_HALF)
		om_sim_http_answer_half(conn, body, len);
	else
		om_sim_http_answer(conn, 200, "", "application/json", body, len);
	free(body);
}

static void
answer_post(struct om_sim_server *server, struct mg_connection *conn,
			const struct om_sim_post *post)
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
		om_sim_post_check(&post, &json, server->options->webhook_url, server->store);
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
get_message(struct om_sim_server *server, struct mg_connection *conn, const char *id)
{
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
