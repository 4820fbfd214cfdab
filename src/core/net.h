/*
 * net.h
 *		What kind of host an address of the network belongs to.
 */
#ifndef OM_NET_H
#define OM_NET_H

#include <sys/socket.h>

typedef enum OmNetKind
{
	OM_NET_PUBLIC,
	OM_NET_LOOPBACK,			/* this machine */
	OM_NET_FORBIDDEN			/* private, link-local, reserved, or no address of the Internet */
} OmNetKind;

extern OmNetKind om_net_kind(const struct sockaddr *address, socklen_t length);

#endif							/* OM_NET_H */
