/*
 * http.h
 *		The HTTP side of the relay: routes, framing rules, answers.
 */
#ifndef OM_RELAY_HTTP_H
#define OM_RELAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

/* Listen and serve.  False, with a reason for people, when that is not possible. */
extern bool om_http_start(const OmConfig *config, char *error, size_t error_size);

/* The address in use, with the real port when 0 was asked for */
extern void om_http_address(char *out, size_t out_size);

/*
 * Finish the webhooks that are under way and refuse new ones with 503.  When it
 * returns, nothing calls om_forward any more, and the process may exit.  (civetweb's
 * own stop would cut what is under way, and takes two seconds to notice.)
 */
extern void om_http_drain(void);

/* Connections that hold a thread, for the metrics */
extern long om_http_connections(void);

#endif							/* OM_RELAY_HTTP_H */
