/*
 * phone.cc
 *		How long reading a phone number takes, beside libphonenumber in the same run.
 *
 * Rounds of both alternate, in processor time, and the least of the rounds is printed: what each takes when nobody
 * else uses the core and its caches.  Ours always tells region, type and whether the number is
 * valid; libphonenumber is measured with that and without.
 */
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include <phonenumbers/phonenumber.pb.h>
#include <phonenumbers/phonenumberutil.h>

extern "C" {
#include "phone.h"
}

using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;

typedef struct Case
{
	const char *what;
	const char *text;
	const char *region;
} Case;

static const Case cases[] = {
	{"canonical", "+15551234567", "US"},
	{"canonical", "+14155552671", "US"},
	{"canonical", "+442079460958", "US"},
	{"canonical", "+4930901820", "US"},
	{"canonical", "+5491123456789", "US"},
	{"messy", "(415) 555-2671", "US"},
	{"messy", "020 7946 0958", "GB"},
	{"messy", "+44 (0)20 7946 0958", "US"},
	{"messy", "0049 30 901820", "FR"},
	{"messy", "011 15 2345-6789", "AR"},
	{"messy", "0 15 11 98765-4321", "BR"},
	{"messy", "1-800-FLOWERS", "US"},
	{"messy", "415-555-2671 ext. 123", "US"},
	{"messy", "\xef\xbc\x88\xef\xbc\x94\xef\xbc\x91\xef\xbc\x95\xef\xbc\x89 555\xe2\x80\x91" "2671", "US"},
	{"messy", "tel:+49-30-901820;ext=12", "US"},
	{"none", "262966", "US"},
	{"none", "AMZN2024", "US"},
	{"none", "jo@example.com", "US"},
};

static const int rounds = 31;
static volatile int sink;

/* Of this process, in ns: not what others did meanwhile */
static double
processor_time()
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return used.tv_sec * 1e9 + used.tv_nsec;
}

template <typename Function>
static double
nanoseconds(int count, Function function)
{
	double		start = processor_time();

	for (int i = 0; i < count; i++)
		sink = sink + function();
	return (processor_time() - start) / count;
}

static double
least(const std::vector<double> &values)
{
	return *std::min_element(values.begin(), values.end());
}

int
main()
{
	const PhoneNumberUtil &util = *PhoneNumberUtil::GetInstance();

	printf("least of %d rounds, ns for one number; tables: %s\n", rounds,
		   om_phone_tables_version());
	printf("%-10s %-38s %8s %10s %7s %12s %7s\n", "", "", "ours", "parse+E164", "ratio",
		   "+valid, type", "ratio");
	for (const Case &c : cases)
	{
		std::vector<double> ours;
		std::vector<double> parse;
		std::vector<double> full;
		size_t		len = strlen(c.text);

		for (int round = 0; round < rounds; round++)
		{
			ours.push_back(nanoseconds(20000, [&] {
				OmPhone		phone;

				return (int) om_phone_parse(c.text, len, c.region, &phone) + phone.e164[4];
			}));
			parse.push_back(nanoseconds(200, [&] {
				PhoneNumber number;
				std::string e164;

				if (util.Parse(c.text, c.region, &number) == PhoneNumberUtil::NO_PARSING_ERROR)
					util.Format(number, PhoneNumberUtil::E164, &e164);
				return (int) e164.size();
			}));
			full.push_back(nanoseconds(200, [&] {
				PhoneNumber number;
				std::string e164;
				std::string region;

				if (util.Parse(c.text, c.region, &number) != PhoneNumberUtil::NO_PARSING_ERROR)
					return 0;
				util.Format(number, PhoneNumberUtil::E164, &e164);
				util.GetRegionCodeForNumber(number, &region);
				return (int) util.IsPossibleNumber(number) + (int) util.GetNumberType(number);
			}));
		}
		printf("%-10s %-38s %8.1f %10.0f %6.0fx %12.0f %6.0fx\n", c.what, c.text, least(ours),
			   least(parse), least(parse) / least(ours), least(full),
			   least(full) / least(ours));
	}
	return 0;
}
