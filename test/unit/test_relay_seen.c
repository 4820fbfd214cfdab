/*
 * test_relay_seen.c
 *		The short memory of bodies.
 */
#include <sodium.h>

#include "seen.h"
#include "tap.h"

static OmSeen seen = OM_SEEN_INIT;

static int
count_of(const char *text)
{
	return om_seen_count(&seen, (const uint8_t *) text, strlen(text));
}

static void
set(const char *text, int count)
{
	om_seen_set(&seen, (const uint8_t *) text, strlen(text), count);
}

int
main(int argc, char **argv)
{
	char		text[32];
	int			i;

	if (sodium_init() < 0)
		return 1;
	is_int(count_of("a"), 0, "what never came by is not known");
	set("a", 1);
	set("", 2);
	is_int(count_of("a"), 1, "what did is");
	is_int(count_of(""), 2, "nothing at all is something, too");
	set("a", 2);
	is_int(count_of("a"), 2, "the count can change");
	set("a", 0);
	is_int(count_of("a"), 0, "and be forgotten");
	set("never", 0);
	is_int(seen.used, 2, "what is not known takes no place when it is forgotten");
	for (i = 0; i < OM_SEEN_SIZE; i++)
	{
		snprintf(text, sizeof(text), "%d", i);
		set(text, 1);
	}
	is_int(count_of(""), 0, "the oldest makes room");
	is_int(count_of("0"), 1, "for the newest");
	is_int(count_of(text), 1, "all of them");
	return done_testing();
}
