/*
 * client.c
 *		Addresses of clients, and which of them are our own proxies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "client.h"

#define SEPARATORS		", \t\r\n"
#define MAX_PROXIES		16

static struct
{
	uint32_t	address;
	uint32_t	mask;
}			proxies[MAX_PROXIES];
static int	num_proxies;

/* "10.0.0.0/8" or "10.0.0.1" */
static bool
read_network(const char *text, uint32_t *address, uint32_t *mask)
{
	struct in_addr parsed;
	char		host[INET_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t		len = slash != NULL ? (size_t) (slash - text) : strlen(text);
	long		bits = 32;

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, &parsed) != 1)
		return false;
	if (slash != NULL)
	{
		size_t		digits = strspn(slash + 1, "0123456789");

		if (digits < 1 || digits > 2 || slash[1 + digits] != '\0')
			return false;
		bits = atol(slash + 1);
		/* /0 would trust everybody */
		if (bits < 1 || bits > 32)
			return false;
	}
	*mask = UINT32_MAX << (32 - bits);
	*address = ntohl(parsed.s_addr) & *mask;
	return true;
}

bool
om_client_load_proxies(const char *setting, char *error, size_t error_size)
{
	const char *p;

	num_proxies = 0;
	for (p = setting + strspn(setting, SEPARATORS); *p != '\0'; p += strspn(p, SEPARATORS))
	{
		size_t		len = strcspn(p, SEPARATORS);
		char		text[32];

		if (num_proxies == MAX_PROXIES)
		{
			snprintf(error, error_size, "there are more than %d proxies", MAX_PROXIES);
			return false;
		}
		if (len < sizeof(text))
		{
			memcpy(text, p, len);
			text[len] = '\0';
		}
		if (len >= sizeof(text) || !read_network(text, &proxies[num_proxies].address,
												 &proxies[num_proxies].mask))
		{
			snprintf(error, error_size, "proxy number %d is no IPv4 address, with or without /bits",
					 num_proxies + 1);
			return false;
		}
		num_proxies++;
		p += len;
	}
	return true;
}

bool
om_client_is_proxy(const char *address)
{
	struct in_addr parsed;
	int			i;

	if (inet_pton(AF_INET, address, &parsed) != 1)
		return false;
	for (i = 0; i < num_proxies; i++)
	{
		if ((ntohl(parsed.s_addr) & proxies[i].mask) == proxies[i].address)
			return true;
	}
	return false;
}

/* Begins with bits that only multicast has in IPv6, so the two never meet; 0.0.0.0 is nobody. */
static uint64_t
key_of_ipv4(const uint8_t *bytes)
{
	uint32_t	address;

	memcpy(&address, bytes, sizeof(address));
	return address == 0 ? 0 : UINT64_C(0xffffffff00000000) | ntohl(address);
}

uint64_t
om_client_key(const char *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint8_t		bytes[16];
	uint64_t	key = 0;
	int			i;

	if (inet_pton(AF_INET, address, bytes) == 1)
		return key_of_ipv4(bytes);
	if (inet_pton(AF_INET6, address, bytes) != 1)
		return 0;
	if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
		return key_of_ipv4(bytes + sizeof(mapped));
	for (i = 0; i < 8; i++)
		key = key << 8 | bytes[i];
	return key;
}

uint64_t
om_client_forwarded_key(const char *list)
{
	const char *comma = strrchr(list, ',');
	const char *last = comma != NULL ? comma + 1 : list;
	char		text[INET6_ADDRSTRLEN];
	size_t		len;

	last += strspn(last, " \t");
	len = strcspn(last, " \t");
	if (len >= sizeof(text))
		return 0;
	memcpy(text, last, len);
	text[len] = '\0';
	return om_client_key(text);
}
