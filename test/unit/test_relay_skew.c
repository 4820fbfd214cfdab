/*
 * test_relay_skew.c
 *		The difference to the provider's clock, from what deliveries say.
 */
#include "skew.h"
#include "tap.h"

#define MINUTE	60000

static int64_t
provider(void)
{
	int64_t		offset = -1;

	return om_skew_provider_get(&offset) ? offset : -1;
}

int
main(int argc, char **argv)
{
	int64_t		offset;
	int64_t		now = INT64_C(1700000000000);

	ok(!om_skew_provider_get(&offset), "before the first delivery nothing is known of the provider's clock");
	ok(!om_skew_database_get(&offset), "nor of the database's");

	om_skew_provider(now, now - 900);
	ok(provider() == 900, "the first delivery is all there is");
	om_skew_provider(now + 1000, now + 1000 - 200);
	om_skew_provider(now + 2000, now + 2000 - 5000);
	ok(provider() == 200, "of several the fastest counts: the others were only longer on their way");
	om_skew_provider(now + 3000, now + 3000 + 40000);
	ok(provider() == -40000, "a provider that is ahead makes it negative");

	om_skew_provider(now + 3 * MINUTE, now + 3 * MINUTE - 300);
	ok(provider() == -40000, "what was seen minutes ago still counts");
	om_skew_provider(now + 6 * MINUTE, now + 6 * MINUTE - 400);
	ok(provider() == 300, "and later not any more");
	om_skew_provider(now + 60 * MINUTE, now + 60 * MINUTE - 90000);
	ok(provider() == 90000, "after an hour without deliveries only the new one counts");
	om_skew_provider(now + 10 * MINUTE, now + 10 * MINUTE - 100);
	ok(provider() == 100, "a clock that was set back begins anew");

	om_skew_database(-1500);
	ok(om_skew_database_get(&offset) && offset == -1500, "of the database the last answer counts");
	return done_testing();
}
