/*
 * test_net.c
 *		Which addresses a provider may have.
 */
#include "net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "tap.h"

static OmNetKind
kind_of(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return om_net_kind((struct sockaddr *) &v4, sizeof(v4));
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
		return om_net_kind((struct sockaddr *) &v6, sizeof(v6));
	ok(false, "%s", text);
	return OM_NET_FORBIDDEN;
}

static void
all_are(OmNetKind kind, const char *const *list, const char *sentence)
{
	bool		all = true;

	for (; *list != NULL; list++)
	{
		if (kind_of(*list) != kind)
		{
			printf("# %s is not\n", *list);
			all = false;
		}
	}
	ok(all, "%s", sentence);
}

int
main(void)
{
	static const char *const public[] = {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
		"192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2001:200::1", "2606:4700:4700::1111", "2a00::1", "3fff:1000::", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
		"2002:0808:0808::1", NULL};
	static const char *const loopback[] = {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1",
		"64:ff9b::127.0.0.1", "2002:7f00:0001::", NULL};
	static const char *const forbidden[] = {"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0",
		"100.127.255.255", "169.254.0.0", "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.2.1",
		"192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1",
		"203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::2", "::127.0.0.1", "::10.0.0.1", "fe80::1", "febf::1",
		"fec0::1", "fc00::1", "fdff::1", "ff02::1", "100::1", "64:ff9b:1::1", "2001::1", "2001:2::1", "2001:db8::1", "3fff::1",
		"4000::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::192.168.0.1", "2002:0a00:0001::1",
		"5f00::1", NULL};
	struct sockaddr unix_like = {.sa_family = AF_UNIX};
	struct sockaddr_in cut = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808)};

	all_are(OM_NET_PUBLIC, public, "addresses that anybody may have are public, to the last one beside a reserved range");
	all_are(OM_NET_LOOPBACK, loopback, "this machine is this machine, also when an address of IPv6 carries it");
	all_are(OM_NET_FORBIDDEN, forbidden, "private, link-local, shared, reserved and mapped ones are forbidden");
	ok(om_net_kind(&unix_like, sizeof(unix_like)) == OM_NET_FORBIDDEN, "a socket of files is no address");
	ok(om_net_kind((struct sockaddr *) &cut, sizeof(cut) - 1) == OM_NET_FORBIDDEN, "an address that is cut off is none");
	return done_testing();
}
