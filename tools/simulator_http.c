/*
 * simulator_http.c
 *		Requests and answers of the simulator's server, over civetweb 1.15.
 *
 * All requests go through the begin_request callback, after which civetweb
 * writes nothing of its own: that is how a connection is cut without a byte.
 * It cannot be cut before the header was read; the callback for new
 * connections has no say.  Keep-alive is on, since a request lost on a reused
 * connection is one of the failures a sender has to survive.
 */
#include "simulator_http.h"

#include <civetweb.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulator_util.h"

#define BODY_DEADLINE_MS	10000

struct route
{
	om_sim_http_handler handler;
	void	   *context;
};

/* One server per process. */
static struct route route;

static atomic_int date_offset;

static int
begin_request(struct mg_connection *conn)
{
	const struct mg_request_info *info = mg_get_request_info(conn);

	route.handler(route.context, conn, info->request_method,
				  info->local_uri != NULL ? info->local_uri : "");
	return 200;
}

static int
log_message(const struct mg_connection *conn, const char *message)
{
	/* a peer that goes away is the business of tests, not of the log */
	if (conn == NULL)
		fprintf(stderr, "omnimsg-simulator: %s\n", message);
	return 1;
}

struct mg_context *
om_sim_http_start(const char *listen, om_sim_http_handler handler, void *context, int *port)
{
	const char *options[] = {
		"listening_ports", listen,
		"num_threads", "128",
		"connection_queue", "128",
		"request_timeout_ms", "10000",
		"enable_keep_alive", "yes",
		"keep_alive_timeout_ms", "5000",
		"tcp_nodelay", "1",
		"max_request_size", "16384",
		"enable_directory_listing", "no",
		"access_control_allow_methods", "",
		"decode_url", "no",
		NULL
	};
	struct mg_callbacks callbacks;
	struct mg_server_port bound;
	struct mg_context *server;

	memset(&callbacks, 0, sizeof(callbacks));
	callbacks.begin_request = begin_request;
	callbacks.log_message = log_message;
	route.handler = handler;
	route.context = context;
	mg_init_library(0);
	errno = 0;
	server = mg_start(&callbacks, NULL, options);
	if (server == NULL || mg_get_server_ports(server, 1, &bound) < 1)
		om_sim_die("cannot listen on %s", listen);
	*port = bound.port;
	return server;
}

void
om_sim_http_close(struct mg_connection *conn)
{
	mg_disable_connection_keep_alive(conn);
}

char *
om_sim_http_body(struct mg_connection *conn, size_t *len)
{
	const struct mg_request_info *info = mg_get_request_info(conn);
	const char *expect = mg_get_header(conn, "Expect");
	char	   *body = om_sim_alloc(OM_SIM_BODY_MAX + 2);
	int64_t		deadline = om_sim_monotonic_ms() + BODY_DEADLINE_MS;
	int			got = 0;

	*len = 0;
	if (info->content_length <= OM_SIM_BODY_MAX && expect != NULL &&
		mg_strcasecmp(expect, "100-continue") == 0)
		mg_printf(conn, "HTTP/1.1 100 Continue\r\n\r\n");
	/* a chunked body has no length (-1) and ends with a read of 0 */
	while (info->content_length <= OM_SIM_BODY_MAX && *len <= OM_SIM_BODY_MAX &&
		   om_sim_monotonic_ms() < deadline &&
		   (info->content_length < 0 || (long long) *len < info->content_length) &&
		   (got = mg_read(conn, body + *len, OM_SIM_BODY_MAX + 1 - *len)) > 0)
		*len += (size_t) got;
	if (info->content_length >= 0 ? (long long) *len != info->content_length :
		got != 0 || *len > OM_SIM_BODY_MAX)
	{
		om_sim_http_close(conn);
		free(body);
		return NULL;
	}
	body[*len] = '\0';
	return body;
}

static const char *
reason(int status)
{
	switch (status)
	{
		case 200:
			return "OK";
		case 302:
			return "Found";
		case 400:
			return "Bad Request";
		case 401:
			return "Unauthorized";
		case 403:
			return "Forbidden";
		case 404:
			return "Not Found";
		case 405:
			return "Method Not Allowed";
		case 422:
			return "Unprocessable Entity";
		case 429:
			return "Too Many Requests";
		case 503:
			return "Service Unavailable";
		default:
			return status >= 500 ? "Server Error" : "Error";
	}
}

void
om_sim_http_date_offset(int seconds)
{
	date_offset = seconds;
}

/* One write, so that a small answer is one segment. */
static void
write_answer(struct mg_connection *conn, int status, const char *headers,
			 const char *content_type, const char *body, size_t len, size_t write_len)
{
	char	   *text;
	size_t		text_len;
	FILE	   *out = om_sim_memory(&text, &text_len);
	time_t		now = (time_t) (om_sim_now_ms() / 1000) + date_offset;
	char		date[40];
	struct tm	utc;

	gmtime_r(&now, &utc);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
	fprintf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Length: %zu\r\n%s", status, reason(status),
			date, len, headers);
	if (len > 0)
		fprintf(out, "Content-Type: %s\r\n", content_type);
	fputs("\r\n", out);
	if (write_len > 0)
		fwrite(body, 1, write_len, out);
	if (fclose(out) != 0)
		om_sim_die("out of memory");
	mg_write(conn, text, text_len);
	free(text);
}

void
om_sim_http_answer(struct mg_connection *conn, int status, const char *headers,
				   const char *content_type, const char *body, size_t len)
{
	write_answer(conn, status, headers, content_type, body, len, len);
}

void
om_sim_http_answer_half(struct mg_connection *conn, const char *body, size_t len)
{
	om_sim_http_close(conn);
	write_answer(conn, 200, "", "application/json", body, len, len / 2);
}
