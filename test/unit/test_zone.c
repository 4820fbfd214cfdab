/*
 * test_zone.c
 *		In which time zones the holder of a phone number may be.
 */
#include <stdlib.h>

#include "zone.h"
#include "zone_tables.h"

#include "tap.h"

/* The zones of a number, with blanks between */
static const char *
zones_of(const char *number)
{
	static char text[2048];
	const char *zones[OM_ZONE_MAX];
	size_t		count = om_zone_lookup(number, strlen(number), zones, OM_ZONE_MAX, NULL);
	size_t		i;

	text[0] = '\0';
	for (i = 0; i < count; i++)
	{
		strcat(text, i > 0 ? " " : "");
		strcat(text, zones[i]);
	}
	return text;
}

static size_t
count_of(const char *number)
{
	return om_zone_lookup(number, strlen(number), NULL, 0, NULL);
}

static bool
has(const char *number, const char *zone)
{
	const char *zones[OM_ZONE_MAX];
	size_t		count = om_zone_lookup(number, strlen(number), zones, OM_ZONE_MAX, NULL);
	size_t		i;

	for (i = 0; i < count; i++)
		if (strcmp(zones[i], zone) == 0)
			return true;
	return false;
}

static OmZoneSource
source_of(const char *number)
{
	OmZoneSource source;

	om_zone_lookup(number, strlen(number), NULL, 0, &source);
	return source;
}

static void
test_source(void)
{
	ok(source_of("+12125550123") == OM_ZONE_OF_AREA, "an area code tells an area");
	ok(source_of("+18505550123") == OM_ZONE_OF_AREA, "even one with two zones");
	ok(source_of("+18005550123") == OM_ZONE_OF_COUNTRY, "a toll-free number tells its country only");
	ok(source_of("+15555550123") == OM_ZONE_OF_COUNTRY, "and so does an area code that nobody has");
	ok(source_of("+14835550123") == OM_ZONE_OF_AREA, "an area code that the map does not know is new");
	is(zones_of("+14835550123"), "America/Chicago America/Denver America/Los_Angeles America/New_York",
	   "and somewhere from coast to coast");
	ok(source_of("+442079460958") == OM_ZONE_OF_AREA, "a country of one zone is an area");
	ok(source_of("+61412345678") == OM_ZONE_OF_COUNTRY, "and a mobile of Australia");
	ok(source_of("262966") == OM_ZONE_UNKNOWN, "a short code is nowhere");
}

static void
test_north_america(void)
{
	static const struct
	{
		const char *number;
		const char *zones;
	}			rows[] = {
		{"+12125550123", "America/New_York"},
		{"+13125550123", "America/Chicago"},
		{"+13035550123", "America/Denver"},
		{"+13105550123", "America/Los_Angeles"},
		{"+18085550123", "Pacific/Honolulu"},
		{"+14165550123", "America/Toronto"},
		{"+17875550123", "America/Puerto_Rico"},
		{"+16025550123", "America/Phoenix"},
		{"+18505550123", "America/Chicago America/New_York"},
		{"+18502005555", "America/Chicago"},
	};
	size_t		i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!ok(strcmp(zones_of(rows[i].number), rows[i].zones) == 0, "%s is in %s",
				rows[i].number, rows[i].zones))
			printf("#   got '%s'\n", zones_of(rows[i].number));
	ok(has("+19075550123", "America/Anchorage") && has("+19075550123", "America/Adak") &&
	   has("+19075550123", "America/Juneau"), "a number of Alaska may be in any of its zones");
	is_int((long long) count_of("+18005550123"), 42,
		   "a toll-free number may be anywhere in calling code 1");
	ok(has("+18005550123", "America/New_York") && has("+18005550123", "Pacific/Guam") &&
	   has("+18005550123", "America/St_Johns"), "that is from St. John's to Guam");
	is(zones_of("+17095550123"), "America/Halifax America/St_Johns",
	   "a number of Newfoundland and Labrador may be in either");
}

static void
test_elsewhere(void)
{
	is(zones_of("+33612345678"), "Europe/Paris", "a French number is in Paris");
	ok(has("+442079460958", "Europe/London"), "a British number is in London");
	ok(has("+79161234567", "Europe/Moscow") && has("+79161234567", "Asia/Vladivostok") &&
	   has("+79161234567", "Europe/Kaliningrad"), "a Russian mobile may be anywhere in Russia");
	is(zones_of("+74232345678"), "Asia/Vladivostok", "a Vladivostok number is there");
	ok(has("+61412345678", "Australia/Perth") && has("+61412345678", "Australia/Sydney"),
	   "an Australian mobile may be anywhere in Australia");
	ok(has("+61730001234", "Australia/Brisbane"), "area code 7 of Australia is Queensland's");
	ok(!has("+61891234567", "Australia/Sydney"), "area code 8 of Australia is not Sydney's");
	is(zones_of("+34612345678"), "Atlantic/Canary Europe/Madrid",
	   "a Spanish mobile may be on the Canaries");
	is(zones_of("+5511961234567"), "America/Sao_Paulo", "a mobile of São Paulo is there");
	is(zones_of("+919876543210"), "Asia/Kolkata", "zones have their current names");
	is(zones_of("+218912345678"), "Africa/Tripoli", "a zone is the country's own");
	is(zones_of("+6834002"), "Pacific/Niue", "seven digits are enough for Niue");
}

static void
test_bad_input(void)
{
	static const char *const bad[] = {
		"", "+", "+1", "+121255", "12125550123", "+02125550123", "+1212555012x", "+1 2125550123",
		"+1212555012345678", "MyShop", "262966", "+٢٢٢٢٢٢٢", "jane@example.com", "++2125550123",
	};
	const char *zones[3] = {"untouched", "untouched", "untouched"};
	size_t		i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(count_of(bad[i]) == 0, "\"%s\" has no zone", bad[i]);
	ok(count_of("+99912345678") == 0, "a calling code that nobody has has no zone");
	ok(om_zone_lookup("+12125550123999", 12, zones, 1, NULL) == 1 &&
	   strcmp(zones[0], "America/New_York") == 0, "the length given is all that is read");
	ok(om_zone_lookup("+18005550123", 12, zones, 2, NULL) == 42 && strcmp(zones[2], "untouched") == 0,
	   "no more names are written than there is room for, and all are counted");
}

/* "Area/City" or "Area/Region/City" */
static bool
is_zone_name(const char *name)
{
	const char *slash = strchr(name, '/');
	const char *c;

	if (slash == NULL || slash == name || slash[1] == '\0')
		return false;
	for (c = name; *c != '\0'; c++)
		if (!((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || *c == '_' || *c == '-' ||
			  (*c == '/' && c[1] >= 'A' && c[1] <= 'Z')))
			return false;
	return strlen(name) < 40;
}

static void
test_tables(void)
{
	bool		ascending = true;
	bool		named = true;
	bool		filled = true;
	bool		referred = true;
	bool		found = true;
	uint32_t	limit = 1;
	size_t		used = om_zone_sets[om_zone_set_count];
	size_t		i;
	size_t		j;

	for (i = 0; i < OM_ZONE_PREFIX_DIGITS; i++)
		limit *= 10;
	for (i = 1; i < om_zone_prefix_count; i++)
		ascending = ascending && om_zone_prefixes[i - 1] < om_zone_prefixes[i];
	ok(ascending && om_zone_prefixes[0] > 0 && om_zone_prefixes[om_zone_prefix_count - 1] < limit,
	   "the prefixes ascend and have at most nine digits");
	for (i = 0; i < om_zone_name_count; i++)
		named = named && is_zone_name(om_zone_names[i]) &&
			(i == 0 || strcmp(om_zone_names[i - 1], om_zone_names[i]) < 0);
	ok(named, "every zone has a name as the tz database writes them, once");
	for (i = 0; i < om_zone_set_count; i++)
	{
		size_t		count = (size_t) om_zone_sets[i + 1] - om_zone_sets[i];

		filled = filled && om_zone_sets[i] < om_zone_sets[i + 1] && count <= OM_ZONE_MAX;
		for (j = om_zone_sets[i]; filled && j + 1 < om_zone_sets[i + 1]; j++)
			filled = om_zone_members[j] < om_zone_members[j + 1];
	}
	ok(filled, "every set has one zone to OM_ZONE_MAX, in order");
	for (i = 0; i < used; i++)
		referred = referred && om_zone_members[i] < om_zone_name_count;
	for (i = 0; i < om_zone_prefix_count; i++)
		referred = referred && om_zone_prefix_sets[i] < om_zone_set_count;
	ok(referred, "every index is in its table");
	for (i = 0; i < om_zone_prefix_count; i++)
	{
		char		number[20];
		const char *zones[OM_ZONE_MAX];
		int			set = om_zone_prefix_sets[i];
		size_t		count;

		bool		whole;

		/* what is too short for E.164 is filled up, and may so find a longer prefix */
		snprintf(number, sizeof(number), "+%u", om_zone_prefixes[i]);
		whole = strlen(number) >= 8;
		while (strlen(number) < 8)
			strcat(number, "9");
		count = om_zone_lookup(number, strlen(number), zones, OM_ZONE_MAX, NULL);
		found = found && count > 0;
		if (whole && count > 0)
			found = found && zones[0] == om_zone_names[om_zone_members[om_zone_sets[set]]];
	}
	ok(found, "every prefix is found");
}

/* The same answer without binary search, for random numbers */
static size_t
slow_count(const char *number)
{
	char		prefix[12];
	size_t		n;
	size_t		i;

	for (n = OM_ZONE_PREFIX_DIGITS; n > 0; n--)
	{
		snprintf(prefix, sizeof(prefix), "%.*s", (int) n, number + 1);
		for (i = 0; i < om_zone_prefix_count; i++)
			if (om_zone_prefixes[i] == strtoul(prefix, NULL, 10))
			{
				int			set = om_zone_prefix_sets[i];

				/* of these an area code decides that is not in the table */
				if (strcmp(prefix, "1") == 0)
					return count_of(number);
				return (size_t) om_zone_sets[set + 1] - om_zone_sets[set];
			}
	}
	return 0;
}

static void
test_search(void)
{
	const char *given = getenv("OMNIMSG_SEED");
	unsigned	seed = given != NULL ? (unsigned) strtoul(given, NULL, 10) : 20261123;
	bool		same = true;
	char		number[13];
	int			i;
	int			j;

	printf("# seed %u\n", seed);
	srand(seed);
	for (i = 0; i < 2000 && same; i++)
	{
		number[0] = '+';
		for (j = 1; j < 12; j++)
			number[j] = (char) ('0' + rand() % 10);
		number[1] = (char) ('1' + rand() % 9);
		if (i % 2 == 0)
			number[1] = '1';
		number[12] = '\0';
		same = count_of(number) == slow_count(number);
	}
	ok(same, "searching finds what reading the whole table finds%s%s", same ? "" : ": ",
	   same ? "" : number);
}

int
main(void)
{
	test_source();
	test_north_america();
	test_elsewhere();
	test_bad_input();
	test_tables();
	test_search();
	return done_testing();
}
