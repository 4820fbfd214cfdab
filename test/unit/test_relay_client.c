/*
 * test_relay_client.c
 *		Whose address a request counts for, and who is believed to name one.
 */
#include "client.h"
#include "tap.h"

int
main(int argc, char **argv)
{
	static const char *const bad[] = {
		"proxy", "10.0.0", "10.0.0.1/", "10.0.0.1/0", "10.0.0.1/33", "10.0.0.1/8x", "10.0.0.1/+8", "10.0.0.1/008",
		"::1", "256.0.0.1", "10.0.0.1 x", "1111111111111111111111111111111111111111"
	};
	char		error[128];
	char		many[400] = "";
	size_t		i;

	ok(om_client_load_proxies("127.0.0.1, 10.1.0.0/16\n192.0.2.128/25", error, sizeof(error)), "a list of proxies is read");
	ok(om_client_is_proxy("127.0.0.1"), "its addresses are proxies");
	ok(om_client_is_proxy("10.1.255.255"), "so are those of its networks");
	ok(om_client_is_proxy("192.0.2.128") && om_client_is_proxy("192.0.2.255"), "from the first to the last");
	ok(!om_client_is_proxy("192.0.2.127") && !om_client_is_proxy("10.2.0.0") && !om_client_is_proxy("127.0.0.2"),
	   "and no other");
	ok(!om_client_is_proxy("") && !om_client_is_proxy("127.0.0.1x") && !om_client_is_proxy("::1"), "nor what is no address");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!om_client_load_proxies(bad[i], error, sizeof(error)), "\"%s\" is refused", bad[i]);
	for (i = 0; i < 17; i++)
		strcat(many, "10.0.0.1 ");
	ok(!om_client_load_proxies(many, error, sizeof(error)), "and so are more than 16");

	ok(om_client_key("192.0.2.1") != 0, "an address is somebody");
	ok(om_client_key("192.0.2.1") != om_client_key("192.0.2.2"), "another is somebody else");
	ok(om_client_key("2001:db8::1") == om_client_key("2001:db8::ffff:1:2:3"), "the addresses of one /64 are one");
	ok(om_client_key("2001:db8::1") != om_client_key("2001:db8:0:1::1"), "those of the next are another");
	ok(om_client_key("::ffff:192.0.2.1") == om_client_key("192.0.2.1"), "IPv4 within IPv6 is IPv4");
	ok(om_client_key("") == 0 && om_client_key("unknown") == 0 && om_client_key("192.0.2.1:80") == 0 &&
	   om_client_key("0.0.0.0") == 0, "what is no address is nobody");

	ok(om_client_forwarded_key("192.0.2.1") == om_client_key("192.0.2.1"), "what a proxy names alone counts");
	ok(om_client_forwarded_key("198.51.100.7, 192.0.2.1") == om_client_key("192.0.2.1"),
	   "of several the last, for the others the client has made up");
	ok(om_client_forwarded_key("198.51.100.7,192.0.2.1 \t") == om_client_key("192.0.2.1"), "with or without spaces");
	ok(om_client_forwarded_key("198.51.100.7,") == 0 && om_client_forwarded_key("") == 0 &&
	   om_client_forwarded_key("192.0.2.1, _hidden") == 0 &&
	   om_client_forwarded_key("1111111111111111111111111111111111111111111111111111111") == 0,
	   "a last that is none is nobody");
	return done_testing();
}
