/*
 * simulator_http.h
 *		Requests and answers of the simulator's server, over civetweb.
 */
#ifndef OM_SIMULATOR_HTTP_H
#define OM_SIMULATOR_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define OM_SIM_BODY_MAX	(64 * 1024)

struct mg_context;
struct mg_connection;

/* Answers one request; whatever it does not write, the client does not get. */
typedef void (*om_sim_http_handler) (void *context, struct mg_connection *conn,
									 const char *method, const char *path);

/*
 * Serve "HOST:PORT"; port 0 lets the system choose, *port tells which.  Ends the
 * program when the address cannot be had.
 */
extern struct mg_context *om_sim_http_start(const char *listen, om_sim_http_handler handler,
											void *context, int *port);

/*
 * Read the whole body, with a NUL behind it.  NULL when it is incomplete, too
 * large or too slow; the connection then ends with the answer.
 */
extern char *om_sim_http_body(struct mg_connection *conn, size_t *len);

/* How far the Date of the answers is ahead of our clock, in seconds */
extern void om_sim_http_date_offset(int seconds);

/* A complete answer; headers is "" or lines that each end with CRLF. */
extern void om_sim_http_answer(struct mg_connection *conn, int status, const char *headers,
							   const char *content_type, const char *body, size_t len);

/* Half of that answer, and the connection closes. */
extern void om_sim_http_answer_half(struct mg_connection *conn, const char *body, size_t len);

/* The connection closes when the handler returns. */
extern void om_sim_http_close(struct mg_connection *conn);

#endif							/* OM_SIMULATOR_HTTP_H */
