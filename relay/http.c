/*
 * http.c
 *		The HTTP side of the relay; the only file that knows civetweb.
 *
 * Everything is answered in begin_request, which comes before all that civetweb would
 * do by itself (files, CORS, redirects, WebSockets).  civetweb 1.15 reads a request more
 * generously than is safe behind a proxy:
 *
 *	- what it makes of the headers is checked again in framing.c;
 *	- it matches decoded and cleaned paths; here the raw path must be equal;
 *	- it drains an unread body for as long as the client sends, unless the
 *	  connection is marked to be closed before the callback returns;
 *	- its timeouts start anew with each byte (see cutoff.h), but for the headers, which may
 *	  take twice the timeout.
 *
 * A stranger holds a thread for three seconds at most: two for the headers, and what is left
 * for body and answer, also when what he sends is signed rightly, for he may have recorded it.
 * Only our own proxies may keep a connection.
 */
#include <civetweb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "clock.h"
#include "cutoff.h"
#include "forward.h"
#include "framing.h"
#include "http.h"
#include "limit.h"
#include "metrics.h"
#include "seen.h"
#include "skew.h"
#include "spool.h"
#include "verify.h"

/* The provider waits 2 s for an answer; these count from the end of the headers. */
#define BODY_DEADLINE_MS	1200
#define STORE_DEADLINE_MS	1750

/*
 * Headers get once to twice this.  An idle connection gets its own, which must be longer than
 * keepalive_timeout in deploy/nginx.conf.
 */
#define HEADERS_MS			"1000"
#define SILENCE_MS			1000	/* so long it waits for the next byte of a body */
#define IDLE_MS				"1400"

/* These count from the moment that the thread took the connection, or had answered on it. */
#define HOLD_BODY_MS		2500
#define HOLD_MS				2800

/* What is on its way together with the headers is there by then, whatever happened before. */
#define HURRY_MS			100

/* So much of a body is read before it is looked at the clock again */
#define PIECE				16384

/* The body of an address that was refused too much comes at once, or not at all */
#define SPENT_BODY_MS		300

/* How long an unread body may go on arriving after an early answer */
#define DISCARD_MS			300

/*
 * Threads beyond the connections that may keep alive.  A connection that gets one of
 * these is closed after its answer, so there is always one free again soon.
 */
#define SPARE_THREADS		32

/* More than any webhook takes */
#define DRAIN_MS			2500

typedef struct Answer
{
	int			status;
	const char *reason;			/* RFC 9110 */
	const char *body;
} Answer;

static const Answer answer_ok = {200, "OK", "{\"status\":\"ok\"}\n"};
static const Answer answer_ready = {200, "OK", "{\"status\":\"ready\"}\n"};
static const Answer answer_bad_request = {400, "Bad Request", "{\"status\":\"bad_request\"}\n"};
static const Answer answer_unauthorized = {401, "Unauthorized", "{\"status\":\"unauthorized\"}\n"};
static const Answer answer_not_found = {404, "Not Found", "{\"status\":\"not_found\"}\n"};
static const Answer answer_not_allowed =
{405, "Method Not Allowed", "{\"status\":\"method_not_allowed\"}\n"};
static const Answer answer_timeout =
{408, "Request Timeout", "{\"status\":\"request_timeout\"}\n"};
static const Answer answer_length_required =
{411, "Length Required", "{\"status\":\"length_required\"}\n"};
static const Answer answer_too_large =
{413, "Content Too Large", "{\"status\":\"too_large\"}\n"};
static const Answer answer_expectation =
{417, "Expectation Failed", "{\"status\":\"expectation_failed\"}\n"};
static const Answer answer_too_many_requests =
{429, "Too Many Requests", "{\"status\":\"too_many_requests\"}\n"};
static const Answer answer_too_many_headers =
{431, "Request Header Fields Too Large", "{\"status\":\"too_many_headers\"}\n"};
static const Answer answer_internal_error =
{500, "Internal Server Error", "{\"status\":\"internal_error\"}\n"};
static const Answer answer_unavailable =
{503, "Service Unavailable", "{\"status\":\"unavailable\"}\n"};
static const Answer answer_version =
{505, "HTTP Version Not Supported", "{\"status\":\"http_version\"}\n"};

/* One request */
typedef struct Request
{
	struct mg_connection *conn;
	const struct mg_request_info *info;
	int64_t		begun;
	int64_t		held_since;		/* since when it has the thread */
	uint64_t	client;			/* see client.h */
	bool		from_proxy;
	bool		spent;			/* the client was refused too much already */
	bool		is_signed;		/* rightly, be it stale */
	OmHeaders	headers;
	OmHeader	list[MG_MAX_HEADERS];
	OmFraming	framing;
} Request;

static struct mg_context *context;
static const OmConfig *config;
static atomic_long connections;
static atomic_bool draining;
static _Thread_local int64_t held_since;	/* see Request */
static OmLogLimit unauthorized_limit = OM_LOG_LIMIT_INIT;

/* May the connection live on? */
static bool
may_keep_alive(const Request *request)
{
	if (!request->from_proxy)
		return false;
	/* When civetweb kept no header, it is not known whether it dropped some */
	if (request->headers.count == 0)
		return false;
	if (request->framing.body_unread || atomic_load(&draining) ||
		atomic_load(&connections) > config->max_connections)
		return false;
	return om_framing_keep_alive(&request->headers, request->info->request_method,
								 request->info->http_version);
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static OmCutoff
cutoff_at(const Request *request, int64_t at)
{
	OmCutoff	cutoff = {
		.remote_addr = request->info->remote_addr,
		.remote_port = request->info->remote_port,
		.local_port = request->info->server_port,
		.at = at
	};

	return cutoff;
}

static void
write_answer(struct mg_connection *conn, const Answer *answer, const char *type,
			 const char *extra, const char *body, size_t body_len, bool keep_alive)
{
	char		head[512];
	int			len;

	len = snprintf(head, sizeof(head),
				   "HTTP/1.1 %d %s\r\n"
				   "Content-Type: %s\r\n"
				   "Content-Length: %zu\r\n"
				   "Cache-Control: no-store\r\n"
				   "%s"
				   "Connection: %s\r\n\r\n",
				   answer->status, answer->reason, type, body_len, extra,
				   keep_alive ? "keep-alive" : "close");

	/* One segment when it fits, and it always does but for the metrics. */
	if ((size_t) len + body_len <= sizeof(head))
	{
		memcpy(head + len, body, body_len);
		mg_write(conn, head, (size_t) len + body_len);
	}
	else
	{
		mg_write(conn, head, (size_t) len);
		mg_write(conn, body, body_len);
	}
}

/*
 * Read what is there, at most len bytes; 0 when nothing more comes, or it is too late.  What arrives
 * after a cutoff can still be read, so a client that never stops is told by the clock.
 */
static size_t
read_piece(const Request *request, void *buffer, size_t len, const OmCutoff *cutoff)
{
	int			n;

	if (om_clock_ms() >= cutoff->at)
		return 0;
	n = mg_read(request->conn, buffer, len < PIECE ? len : PIECE);
	return n > 0 ? (size_t) n : 0;
}

/*
 * Let the rest of a body arrive before the connection is closed: closing with
 * unread bytes resets it, and the client may never see the answer (RFC 9112 9.6).
 * For a client that does not come to an end the cutoff does.
 */
static void
discard_body(const Request *request)
{
	char		buffer[PIECE];
	size_t		left = 4 * config->max_body_bytes;
	size_t		n = 1;
	OmCutoff	cutoff = cutoff_at(request, earlier(om_clock_ms() + DISCARD_MS,
													request->held_since + HOLD_MS));

	om_cutoff_arm(&cutoff);
	while (left > 0 && n > 0)
	{
		n = read_piece(request, buffer, left, &cutoff);
		left -= n;
	}
	om_cutoff_disarm(&cutoff);
}

static int
send_text(Request *request, const Answer *answer, const char *type,
		  const char *extra, const char *body, size_t body_len)
{
	bool		keep_alive = may_keep_alive(request);

	/* Before anything else: civetweb drains without an end otherwise. */
	if (!keep_alive)
		mg_disable_connection_keep_alive(request->conn);
	write_answer(request->conn, answer, type, extra, body, body_len, keep_alive);
	if (request->framing.body_unread && !request->spent)
		discard_body(request);
	return answer->status;
}

/*
 * What is refused counts against its address; what is beyond the limit hears so.  A right
 * signature is never refused for it.
 */
static const Answer *
judge(const Request *request, const Answer *answer)
{
	if (answer->status < 400 || answer == &answer_unavailable || request->is_signed)
		return answer;
	om_limit_charge(request->client, request->begun);
	return request->spent ? &answer_too_many_requests : answer;
}

static int
send_answer(Request *request, const Answer *answer)
{
	answer = judge(request, answer);
	return send_text(request, answer, "application/json", "",
					 answer->body, strlen(answer->body));
}

static int
send_not_allowed(Request *request, const char *allow)
{
	char		extra[32];
	const Answer *answer = judge(request, &answer_not_allowed);

	snprintf(extra, sizeof(extra), "Allow: %s\r\n", allow);
	return send_text(request, answer, "application/json", extra,
					 answer->body, strlen(answer->body));
}

/*
 * civetweb takes a line that begins with a space, a colon or what is not ASCII for the end of the headers, and drops the
 * others.  Behind the last value that it kept are the end of its line, made NUL, and the empty line, of which the
 * last byte is NUL, too.  Where both are a bare \n, the byte after them is looked at: of the body, or of what malloc
 * rounds up.
 */
static bool
is_cut_short(const OmHeaders *headers)
{
	const char *end;

	if (headers->count == 0)
		return false;
	end = headers->list[headers->count - 1].value;
	end += strlen(end) + 1;
	if (*end == '\0')
		end++;
	return *end != '\r' && *end != '\0';
}

/*
 * RFC 9112, 5.1: nothing may stand between a name and its colon, for others may read the name with it.  civetweb makes a space
 * there NUL, and the colon behind it; without one the colon only.
 */
static bool
has_loose_colon(const OmHeaders *headers)
{
	for (int i = 0; i < headers->count; i++)
	{
		const char *colon = headers->list[i].name + strlen(headers->list[i].name);

		if (colon[1] == '\0' && colon + 1 < headers->list[i].value)
			return true;
	}
	return false;
}

/* Read the headers that matter; an answer when the request must not be served. */
static const Answer *
check_framing(Request *request)
{
	switch (om_framing_check(&request->headers, request->info->request_method, &request->framing))
	{
		case 0:
			if (!is_cut_short(&request->headers) && !has_loose_colon(&request->headers))
				return NULL;
			request->framing.body_unread = true;	/* who knows where it ends */
			return &answer_bad_request;
		case 411:
			return &answer_length_required;
		case 413:
			return &answer_too_large;
		case 431:
			return &answer_too_many_headers;
		default:
			return &answer_bad_request;
	}
}

/* A client that wants to be asked for the body is asked, once all headers are right. */
static const Answer *
check_expectation(const Request *request)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	OmExpectation expectation = om_framing_expectation(&request->headers);

	if (expectation == OM_EXPECT_OTHER)
		return &answer_expectation;
	if (expectation == OM_EXPECT_CONTINUE && strcmp(request->info->http_version, "1.1") == 0)
		mg_write(request->conn, go_on, sizeof(go_on) - 1);
	return NULL;
}

static int64_t
body_deadline(const Request *request)
{
	int64_t		at = earlier(request->begun + (request->spent ? SPENT_BODY_MS : BODY_DEADLINE_MS),
							 request->held_since + HOLD_BODY_MS);

	return at < request->begun + HURRY_MS ? request->begun + HURRY_MS : at;
}

/* Our own proxies ask for others, who wait for the whole of it. */
static int64_t
store_deadline(const Request *request)
{
	int64_t		at = request->begun + STORE_DEADLINE_MS;

	return request->from_proxy ? at : earlier(at, request->held_since + HOLD_MS);
}

/* Read the body; an answer when it does not come whole and in time. */
static const Answer *
read_body(Request *request, uint8_t *body, size_t len)
{
	size_t		got = 0;
	size_t		n = 1;
	OmCutoff	cutoff;

	if (len == 0)
		return NULL;
	cutoff = cutoff_at(request, body_deadline(request));
	om_cutoff_arm(&cutoff);
	while (got < len && n > 0)
	{
		n = read_piece(request, body + got, len - got, &cutoff);
		got += n;
	}
	om_cutoff_disarm(&cutoff);

	if (got == len)
	{
		request->framing.body_unread = false;
		return NULL;
	}
	/* No use in waiting for the rest, and nothing more can be read. */
	mg_disable_connection_keep_alive(request->conn);
	return om_clock_ms() >= earlier(cutoff.at, request->begun + SILENCE_MS) ?
		&answer_timeout : &answer_bad_request;
}

static void
log_unauthorized(OmSignatureResult result)
{
	OmLogLine	line;
	int64_t		suppressed;

	if (!om_log_allowed(&unauthorized_limit, &suppressed))
		return;
	om_log_begin(&line, OM_LOG_INFO, "delivery refused");
	om_log_text(&line, "reason", om_signature_result_name(result));
	om_log_suppressed(&line, suppressed);
	om_log_end(&line);
}

static const Answer *
refuse(OmSignatureResult result)
{
	om_metrics_verified(result);
	if (result == OM_SIGNATURE_NO_SPACE)
		return &answer_unavailable; /* no memory: not the sender's fault */
	log_unauthorized(result);
	return &answer_unauthorized;
}

/*
 * It is refused, for anybody may have recorded it; but if a clock is wrong, it is real, and a STOP
 * must not be lost.  So it is kept without effect, once.  Takes the body over.
 */
static void
keep_stale(OmDelivery *delivery)
{
	static OmSeen kept = OM_SEEN_INIT;
	const uint8_t *signature = (const uint8_t *) delivery->signature;

	/* The signature stands for body and time */
	if (om_seen_count(&kept, signature, strlen(delivery->signature)) > 0)
	{
		free(delivery->body);
		return;
	}
	delivery->reason = "stale";
	switch (om_forward(delivery))
	{
		case OM_FORWARD_STORED:
		case OM_FORWARD_SPOOLED:
			om_seen_set(&kept, signature, strlen(delivery->signature), 1);
			break;
		default:
			break;				/* it may come again */
	}
}

/* A whole body is there, after OM_SIGNATURE_SCRATCH bytes of a buffer: verify it and store it.  Takes the buffer over. */
static const Answer *
accept_body(Request *request, uint8_t *buffer, size_t len)
{
	char		key_id[65];
	OmSignatureResult result;
	OmForwardResult forwarded;
	OmDelivery	delivery = {
		.provider = "telnyx",
		.body = buffer,
		.body_len = len,
		.signature = request->framing.signature,
		.signed_at = request->framing.timestamp,
		.key_id = key_id,
		.deadline = store_deadline(request),
		.is_crowded = atomic_load(&connections) > config->max_connections
	};

	if (delivery.is_crowded && !om_spool_enabled() && om_forward_is_overloaded())
	{
		free(buffer);
		return &answer_unavailable;
	}
	result = om_verify_delivery(request->framing.timestamp, request->framing.signature, buffer, len, key_id);
	memmove(buffer, buffer + OM_SIGNATURE_SCRATCH, len);
	if (result == OM_SIGNATURE_OK || om_verify_is_stale(result))
	{
		request->is_signed = true;
		om_limit_forgive(request->client);
		om_skew_provider(om_clock_unix_ms(), atoll(request->framing.timestamp) * 1000);
	}
	if (om_verify_is_stale(result))
		keep_stale(&delivery);
	else if (result != OM_SIGNATURE_OK)
		free(buffer);
	if (result != OM_SIGNATURE_OK)
		return refuse(result);
	om_metrics_verified(result);
	forwarded = om_forward(&delivery);
	return forwarded == OM_FORWARD_STORED || forwarded == OM_FORWARD_SPOOLED ?
		&answer_ok : &answer_unavailable;
}

static const Answer *
receive_webhook(Request *request)
{
	const Answer *refusal;
	uint8_t    *buffer;
	size_t		len;

	if (request->framing.content_length == NULL)
		return &answer_length_required;
	len = (size_t) atol(request->framing.content_length);
	if (len > config->max_body_bytes)
		return &answer_too_large;
	if (request->framing.signature == NULL || request->framing.timestamp == NULL)
		return refuse(OM_SIGNATURE_MISSING);
	if (atomic_load(&draining))
		return &answer_unavailable;
	refusal = check_expectation(request);
	if (refusal != NULL)
		return refusal;

	/* so that no second one is needed to verify it: bodies are large, and threads many */
	buffer = malloc(OM_SIGNATURE_SCRATCH + len);
	if (buffer == NULL)
		return &answer_unavailable;
	refusal = read_body(request, buffer + OM_SIGNATURE_SCRATCH, len);
	if (refusal != NULL)
	{
		free(buffer);
		return refusal;
	}
	return accept_body(request, buffer, len);
}

static int
serve_webhook(Request *request)
{
	int			status;

	/* Counted before draining is looked at, so that om_http_drain misses none. */
	om_metrics_webhook_begin();
	status = send_answer(request, receive_webhook(request));
	om_metrics_webhook_end(om_clock_ms() - request->begun);
	om_metrics_answer(status);
	return status;
}

static int
serve_metrics(Request *request)
{
	char		page[OM_METRICS_SIZE];
	size_t		len = om_metrics_render(page, sizeof(page));

	return send_text(request, &answer_ok, "text/plain; version=0.0.4; charset=utf-8", "",
					 page, len);
}

static int
count_answer(int status)
{
	om_metrics_answer(status);
	return status;
}

static int
serve(Request *request)
{
	const char *path = request->info->local_uri_raw;
	const char *method = request->info->request_method;
	const Answer *refusal = check_framing(request);

	if (refusal != NULL)
		return count_answer(send_answer(request, refusal));

	if (strcmp(path, "/webhooks/telnyx") == 0)
	{
		if (strcmp(method, "POST") != 0)
			return count_answer(send_not_allowed(request, "POST"));
		return serve_webhook(request);
	}
	if (strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0 ||
		strcmp(path, "/metrics") == 0)
	{
		if (strcmp(method, "GET") != 0)
			return count_answer(send_not_allowed(request, "GET"));
		if (path[1] == 'm')
			return serve_metrics(request);
		if (path[1] == 'h')
			return send_answer(request, &answer_ok);
		return send_answer(request, om_forward_ready() && !atomic_load(&draining) ?
						   &answer_ready : &answer_unavailable);
	}
	return count_answer(send_answer(request, &answer_not_found));
}

static void
copy_headers(Request *request)
{
	int			i;

	for (i = 0; i < request->info->num_headers; i++)
	{
		request->list[i].name = request->info->http_headers[i].name;
		request->list[i].value = request->info->http_headers[i].value;
	}
	request->headers.list = request->list;
	request->headers.count = request->info->num_headers;
	request->headers.most = MG_MAX_HEADERS;
}

/* Whom a proxy does not name has no limit: it would be that of all of its clients. */
static void
find_client(Request *request)
{
	const char *forwarded;
	int			count;

	request->from_proxy = om_client_is_proxy(request->info->remote_addr);
	if (!request->from_proxy)
		request->client = om_client_key(request->info->remote_addr);
	else
	{
		forwarded = om_header(&request->headers, "X-Forwarded-For", &count);
		if (forwarded != NULL)
			request->client = om_client_forwarded_key(forwarded);
	}
	request->spent = om_limit_spent(request->client, request->begun);
}

static int
begin_request(struct mg_connection *conn)
{
	int			status;
	Request		request = {
		.conn = conn,
		.info = mg_get_request_info(conn),
		.begun = om_clock_ms(),
		.held_since = held_since
	};

	copy_headers(&request);
	find_client(&request);
	status = serve(&request);
	held_since = om_clock_ms();
	return status;
}

/* What civetweb refuses before begin_request: broken or late headers.  It closes. */
static int
http_error(struct mg_connection *conn, int status, const char *message)
{
	static const Answer *const known[] = {
		&answer_bad_request, &answer_length_required, &answer_too_large, &answer_version
	};
	const struct mg_request_info *info = mg_get_request_info(conn);
	const Answer *answer = &answer_internal_error;
	size_t		i;

	if (info != NULL && !om_client_is_proxy(info->remote_addr))
		om_limit_charge(om_client_key(info->remote_addr), om_clock_ms());

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		if (known[i]->status == status)
			answer = known[i];
	}
	mg_disable_connection_keep_alive(conn);
	write_answer(conn, answer, "application/json", "",
				 answer->body, strlen(answer->body), false);
	om_metrics_answer(answer->status);
	return 0;
}

static int
init_connection(const struct mg_connection *conn, void **data)
{
	atomic_fetch_add(&connections, 1);
	held_since = om_clock_ms();
	return 0;
}

static void
connection_close(const struct mg_connection *conn)
{
	atomic_fetch_sub(&connections, 1);
}

/* civetweb's own words: about sockets and memory.  They may come in floods. */
static int
log_message(const struct mg_connection *conn, const char *message)
{
	static OmLogLimit limit = OM_LOG_LIMIT_INIT;
	OmLogLine	line;
	int64_t		suppressed;

	if (!om_log_allowed(&limit, &suppressed))
		return 1;
	om_log_begin(&line, OM_LOG_WARNING, "http server");
	om_log_text(&line, "detail", message);
	om_log_suppressed(&line, suppressed);
	om_log_end(&line);
	return 1;
}

bool
om_http_start(const OmConfig *settings, char *error, size_t error_size)
{
	char		threads[16];
	struct mg_callbacks callbacks;
	const char *options[] = {
		"listening_ports", settings->listen,
		"num_threads", threads,
		"connection_queue", "256",
		"listen_backlog", "4096",
		"request_timeout_ms", HEADERS_MS,
		"enable_keep_alive", "yes",
		"keep_alive_timeout_ms", IDLE_MS,
		"tcp_nodelay", "1",
		"max_request_size", "16384",
		"decode_url", "no",
		/* Nothing of this is reached, for begin_request answers all; switched off anyway. */
		"enable_directory_listing", "no",
		"cgi_pattern", "",
		"ssi_pattern", "",
		"access_control_allow_origin", "",
		"access_control_allow_methods", "",
		"access_control_allow_headers", "",
		NULL
	};

	config = settings;
	snprintf(threads, sizeof(threads), "%d", settings->max_connections + SPARE_THREADS);
	memset(&callbacks, 0, sizeof(callbacks));
	callbacks.begin_request = begin_request;
	callbacks.http_error = http_error;
	callbacks.init_connection = init_connection;
	callbacks.connection_close = connection_close;
	callbacks.log_message = log_message;

	if (!om_cutoff_start())
	{
		snprintf(error, error_size, "cannot start a thread");
		return false;
	}
	mg_init_library(0);
	context = mg_start(&callbacks, NULL, options);
	if (context == NULL)
	{
		snprintf(error, error_size, "cannot listen on %s", settings->listen);
		return false;
	}
	return true;
}

void
om_http_address(char *out, size_t out_size)
{
	const char *colon = strrchr(config->listen, ':');
	struct mg_server_port port;

	if (mg_get_server_ports(context, 1, &port) < 1)
		snprintf(out, out_size, "%s", config->listen);
	else
		snprintf(out, out_size, "%.*s%d",
				 colon != NULL ? (int) (colon + 1 - config->listen) : 0, config->listen,
				 port.port);
}

void
om_http_drain(void)
{
	int64_t		until = om_clock_ms() + DRAIN_MS;
	struct timespec nap = {0, 5000000};

	atomic_store(&draining, true);
	while (om_metrics_in_flight() > 0 && om_clock_ms() < until)
		nanosleep(&nap, NULL);
}

long
om_http_connections(void)
{
	return atomic_load(&connections);
}
