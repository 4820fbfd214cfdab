/*
 * client.h
 *		Who a request comes from, as far as limits are concerned.
 */
#ifndef OM_RELAY_CLIENT_H
#define OM_RELAY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Load the addresses of the proxies in front: IPv4, each with /bits if it is a network,
 * separated by commas or white space.  False with a reason for people; before any thread.
 */
extern bool om_client_load_proxies(const char *setting, char *error, size_t error_size);

/* Is this the address of one of them? */
extern bool om_client_is_proxy(const char *address);

/*
 * A number for an address: that of IPv4, or the network (/64) of IPv6, for whoever has one of
 * its addresses has all.  0: it is none.
 */
extern uint64_t om_client_key(const char *address);

/*
 * The same for what a proxy says in X-Forwarded-For: the last of the list, which is the one
 * that the proxy itself has seen.
 */
extern uint64_t om_client_forwarded_key(const char *list);

#endif							/* OM_RELAY_CLIENT_H */
