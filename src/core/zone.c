/*
 * zone.c
 *		In which time zones the holder of a phone number may be.
 *
 * The longest known prefix decides, as in libphonenumber, over a table that is generated from
 * its map.  The number is cut digit by digit, and each of the at most nine prefixes searched.
 */
#include "zone.h"

#include <stdbool.h>

#include "zone_tables.h"

/* E.164: at most 15 digits; the shortest numbers in use, as on Niue, have 7 */
#define DIGITS_MIN	7
#define DIGITS_MAX	15

static bool
is_e164(const char *text, size_t len)
{
	size_t		i;

	if (len < 1 + DIGITS_MIN || len > 1 + DIGITS_MAX || text[0] != '+' || text[1] == '0')
		return false;
	for (i = 1; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

/* The set of exactly this prefix, -1 for none */
static int
find_set(uint32_t prefix)
{
	size_t		low = 0;
	size_t		high = om_zone_prefix_count;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (om_zone_prefixes[middle] == prefix)
			return om_zone_prefix_sets[middle];
		if (om_zone_prefixes[middle] < prefix)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* Calling codes of two digits (ITU-T E.164); 1 and 7 have one, and all others three */
static bool
is_calling_code(uint32_t prefix)
{
	static const char two[] = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 "
		"60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98";
	uint32_t	first = prefix >= 100 ? prefix / 10 : prefix;
	size_t		i;

	if (prefix < 10 || prefix > 999)
		return prefix == 1 || prefix == 7;
	if (first / 10 == 1 || first / 10 == 7)
		return false;
	for (i = 0; i < sizeof(two); i += 3)
		if ((uint32_t) ((two[i] - '0') * 10 + two[i + 1] - '0') == first)
			return prefix < 100;
	return prefix >= 100;
}

/*
 * An area code of calling code 1 that the map does not know: a new one, somewhere from coast to
 * coast, unless it is toll-free or 555, which nobody's telephone at home has.  The tables are made
 * anew less often than area codes are.
 */
static bool
is_new_area(const char *e164, size_t len)
{
	static const char nobodys[] = "500 521 522 523 524 525 526 527 528 529 533 544 555 566 577 588 600 700 710 "
		"800 822 833 844 855 866 877 880 881 882 883 884 885 886 887 888 889 900";
	size_t		i;

	if (len < 5 || e164[1] != '1' || e164[2] < '2')
		return false;
	for (i = 0; i < sizeof(nobodys); i += 4)
		if (nobodys[i] == e164[2] && nobodys[i + 1] == e164[3] && nobodys[i + 2] == e164[4])
			return false;
	return true;
}

size_t
om_zone_lookup(const char *e164, size_t len, const char **zones, size_t max, OmZoneSource *source)
{
	uint32_t	prefix = 0;
	int			set = -1;
	size_t		first;
	size_t		count;
	size_t		i;

	if (source != NULL)
		*source = OM_ZONE_UNKNOWN;
	if (!is_e164(e164, len))
		return 0;
	for (i = 1; i < len && i <= OM_ZONE_PREFIX_DIGITS; i++)
		prefix = prefix * 10 + (uint32_t) (e164[i] - '0');
	while (prefix > 0 && (set = find_set(prefix)) < 0)
		prefix /= 10;
	if (set < 0)
		return 0;

	if (prefix == 1 && is_new_area(e164, len))
	{
		static const char *const coast_to_coast[] = {
			"America/Chicago", "America/Denver", "America/Los_Angeles", "America/New_York"
		};

		if (source != NULL)
			*source = OM_ZONE_OF_AREA;
		for (i = 0; i < 4 && i < max; i++)
			zones[i] = coast_to_coast[i];
		return 4;
	}

	first = om_zone_sets[set];
	count = om_zone_sets[set + 1] - first;
	if (source != NULL)
		*source = count > 1 && is_calling_code(prefix) ? OM_ZONE_OF_COUNTRY : OM_ZONE_OF_AREA;
	for (i = 0; i < count && i < max; i++)
		zones[i] = om_zone_names[om_zone_members[first + i]];
	return count;
}
