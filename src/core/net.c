/*
 * net.c
 *		What kind of host an address of the network belongs to.
 *
 * Source: the IANA registries of special-purpose addresses for IPv4 and IPv6.  Whatever is set aside there, and is not
 * reachable from everywhere, is forbidden; of IPv6 only 2000::/3 has been given out at all.  An IPv6 address that
 * carries one of IPv4 (mapped, NAT64, 6to4) is what that one is: a gateway would go there.
 */
#include "net.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

struct v4_range
{
	uint32_t	address;
	int			bits;
};

#define V4(a, b, c, d)	(((uint32_t) (a) << 24) | ((b) << 16) | ((c) << 8) | (d))

static const struct v4_range v4_special[] = {
	{V4(0, 0, 0, 0), 8},		/* "this network"; Linux goes to this machine */
	{V4(10, 0, 0, 0), 8},		/* private */
	{V4(100, 64, 0, 0), 10},	/* carrier-grade NAT */
	{V4(169, 254, 0, 0), 16},	/* link-local: metadata services of clouds */
	{V4(172, 16, 0, 0), 12},	/* private */
	{V4(192, 0, 0, 0), 24},		/* protocol assignments */
	{V4(192, 0, 2, 0), 24},		/* documentation */
	{V4(192, 88, 99, 0), 24},	/* 6to4 relays, withdrawn */
	{V4(192, 168, 0, 0), 16},	/* private */
	{V4(198, 18, 0, 0), 15},	/* benchmarks */
	{V4(198, 51, 100, 0), 24},	/* documentation */
	{V4(203, 0, 113, 0), 24},	/* documentation */
	{V4(224, 0, 0, 0), 3},		/* multicast, reserved, broadcast */
};

struct v6_range
{
	uint8_t		address[16];
	int			bits;
};

/* Within 2000::/3 */
static const struct v6_range v6_special[] = {
	{{0x20, 0x01, 0x00}, 23},	/* protocol assignments, Teredo and benchmarks among them */
	{{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
	{{0x3f, 0xff, 0x00}, 20},	/* documentation */
};

static const struct v6_range v6_public = {{0x20}, 3};

/* Those that carry an address of IPv4, and where in it */
static const struct
{
	struct v6_range range;
	int			at;
}			v6_carriers[] = {
	{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12}, /* mapped */
	{{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},	/* NAT64 */
	{{{0x20, 0x02}, 16}, 2},	/* 6to4 */
};

#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

static OmNetKind
v4_kind(uint32_t address)
{
	size_t		i;

	if (address >> 24 == 127)
		return OM_NET_LOOPBACK;
	for (i = 0; i < LENGTH(v4_special); i++)
	{
		if ((address ^ v4_special[i].address) >> (32 - v4_special[i].bits) == 0)
			return OM_NET_FORBIDDEN;
	}
	return OM_NET_PUBLIC;
}

static int
v6_within(const uint8_t *address, const struct v6_range *range)
{
	int			bytes = range->bits / 8;
	int			rest = range->bits % 8;

	return memcmp(address, range->address, bytes) == 0 &&
		(rest == 0 || (address[bytes] ^ range->address[bytes]) >> (8 - rest) == 0);
}

static OmNetKind
v6_kind(const uint8_t *address)
{
	static const struct v6_range loopback = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128};
	size_t		i;

	if (v6_within(address, &loopback))
		return OM_NET_LOOPBACK;
	for (i = 0; i < LENGTH(v6_carriers); i++)
	{
		const uint8_t *carried = address + v6_carriers[i].at;

		if (v6_within(address, &v6_carriers[i].range))
			return v4_kind(V4(carried[0], carried[1], carried[2], carried[3]));
	}
	if (!v6_within(address, &v6_public))
		return OM_NET_FORBIDDEN;
	for (i = 0; i < LENGTH(v6_special); i++)
	{
		if (v6_within(address, &v6_special[i]))
			return OM_NET_FORBIDDEN;
	}
	return OM_NET_PUBLIC;
}

OmNetKind
om_net_kind(const struct sockaddr *address, socklen_t length)
{
	if (length >= (socklen_t) sizeof(struct sockaddr_in) && address->sa_family == AF_INET)
	{
		struct sockaddr_in v4;

		memcpy(&v4, address, sizeof(v4));
		return v4_kind(ntohl(v4.sin_addr.s_addr));
	}
	if (length >= (socklen_t) sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6)
	{
		struct sockaddr_in6 v6;

		memcpy(&v6, address, sizeof(v6));
		return v6_kind(v6.sin6_addr.s6_addr);
	}
	return OM_NET_FORBIDDEN;
}
