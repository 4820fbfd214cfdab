/*
 * test_relay_limit.c
 *		What is refused to an address counts, up to a limit; what is signed makes good for it.
 */
#include <sodium.h>

#include "limit.h"
#include "tap.h"

#define CLIENT		UINT64_C(0xffffffffc0000201)

static void
charge(uint64_t client, int times, int64_t now)
{
	while (times-- > 0)
		om_limit_charge(client, now);
}

int
main(int argc, char **argv)
{
	int64_t		now = INT64_C(1000000);
	uint64_t	other;
	int			spent = 0;

	if (sodium_init() < 0)
		return 1;

	om_limit_start(0);
	charge(CLIENT, 10000, now);
	ok(!om_limit_spent(CLIENT, now), "without a limit nobody is limited");

	om_limit_start(60);
	ok(!om_limit_spent(CLIENT, now), "who was refused nothing is not limited");
	charge(CLIENT, 59, now);
	ok(!om_limit_spent(CLIENT, now), "nor is who was refused as much as is allowed");
	charge(CLIENT, 1, now);
	ok(om_limit_spent(CLIENT, now), "one more, and he is");
	ok(!om_limit_spent(CLIENT + 1, now), "but nobody else");
	ok(om_limit_spent(CLIENT, now + 999), "he stays so");
	ok(!om_limit_spent(CLIENT, now + 1000), "until a second has earned him one");
	charge(CLIENT, 1, now + 1000);
	ok(om_limit_spent(CLIENT, now + 1000), "which is the only one");
	charge(CLIENT, 100000, now + 1000);
	ok(!om_limit_spent(CLIENT, now + 2000), "what comes beyond the limit is no debt");
	charge(CLIENT, 1, now + 2000);
	ok(!om_limit_spent(CLIENT, now + 120000), "after two minutes all is forgotten");
	charge(CLIENT, 59, now + 120000);
	ok(!om_limit_spent(CLIENT, now + 120000), "and no more than a minute is saved up");
	charge(CLIENT, 1, now + 120000);
	ok(om_limit_spent(CLIENT, now + 120000), "for later");

	om_limit_forgive(CLIENT);
	ok(!om_limit_spent(CLIENT, now + 120000), "something that is signed makes good for all");
	charge(CLIENT, 60, now);
	charge(CLIENT + 1, 60, now);
	om_limit_forgive_all();
	ok(!om_limit_spent(CLIENT, now) && !om_limit_spent(CLIENT + 1, now), "all are forgiven at once");
	charge(0, 1000, now);
	ok(!om_limit_spent(0, now), "nobody is never limited");

	/* 200000 addresses are refused something, 20 of them all the time */
	for (other = 1; other <= 200000; other++)
	{
		om_limit_charge(other << 20, now);
		if (other % 100 == 0)
			charge(CLIENT + other / 100 % 20, 60, now);
	}
	for (other = 0; other < 20; other++)
		spent += om_limit_spent(CLIENT + other, now);
	ok(spent == 20, "who does most is found among 200000 addresses (%d of 20)", spent);
	return done_testing();
}
