/*
 * test_timestamp.c
 *		Times as providers write them.
 */
#include "timestamp.h"

#include "tap.h"

#define SEC		INT64_C(1000000)

static void
reads(const char *text, int64_t expected, const char *sentence)
{
	int64_t		out = -1;

	if (!om_timestamp_parse(text, strlen(text), &out))
		out = -2;
	is_int(out, expected, sentence);
}

static void
refuses(const char *text, const char *sentence)
{
	int64_t		out = 4711;

	ok(!om_timestamp_parse(text, strlen(text), &out) && out == 4711, "%s", sentence);
}

static void
test_good(void)
{
	reads("1970-01-01T00:00:00Z", 0, "the epoch is zero");
	reads("2024-01-15T20:16:07.588+00:00", 1705349767 * SEC + 588000, "Telnyx's form is read");
	reads("2026-05-15T18:47:40Z", 1778870860 * SEC, "the fraction may be missing");
	reads("2026-05-15t18:47:40z", 1778870860 * SEC, "lower case is fine");
	reads("2026-05-15 18:47:40Z", 1778870860 * SEC, "a blank instead of T is fine");
	reads("2026-05-15T20:47:40+02:00", 1778870860 * SEC, "an offset to the east is taken off");
	reads("2026-05-15T13:17:40-05:30", 1778870860 * SEC, "an offset to the west is added");
	reads("2026-05-15T18:47:40-00:00", 1778870860 * SEC, "an unknown offset is UTC");
	reads("2026-05-15T18:47:40.1Z", 1778870860 * SEC + 100000, "one digit of fraction");
	reads("2026-05-15T18:47:40.123456789Z", 1778870860 * SEC + 123456,
		  "nine digits of fraction are cut to six");
	reads("2024-02-29T00:00:00Z", 1709164800 * SEC, "a leap day is read");
	reads("2000-02-29T00:00:00Z", 951782400 * SEC, "2000 was a leap year");
	reads("2016-12-31T23:59:60Z", 1483228799 * SEC, "a leap second counts as the one before");
	reads("2038-01-19T03:14:08Z", (INT64_C(1) << 31) * SEC, "2038 is no border");
	reads("9999-12-31T23:59:59Z", INT64_C(253402300799) * SEC, "the last year is read");
	reads("1970-01-01T00:00:00+01:00", -3600 * SEC, "an offset may lead before the epoch");
}

static void
test_bad(void)
{
	refuses("", "nothing is refused");
	refuses("2026-05-15", "a date alone is refused");
	refuses("2026-05-15T18:47:40", "a missing offset is refused");
	refuses("2026-05-15T18:47:40+0200", "an offset without a colon is refused");
	refuses("2026-05-15T18:47:40+24:00", "an offset of a day is refused");
	refuses("2026-05-15T18:47:40+02:60", "an offset of 60 minutes is refused");
	refuses("2026-05-15T18:47:40.Z", "an empty fraction is refused");
	refuses("2026-05-15T18:47:40.1234567890Z", "ten digits of fraction are refused");
	refuses("2026-05-15T18:47Z", "missing seconds are refused");
	refuses("2026-05-15T24:00:00Z", "hour 24 is refused");
	refuses("2026-05-15T18:60:00Z", "minute 60 is refused");
	refuses("2026-05-15T18:47:61Z", "second 61 is refused");
	refuses("2026-02-29T00:00:00Z", "29 February of a common year is refused");
	refuses("2100-02-29T00:00:00Z", "2100 is no leap year");
	refuses("2026-13-01T00:00:00Z", "month 13 is refused");
	refuses("2026-00-01T00:00:00Z", "month 0 is refused");
	refuses("2026-01-00T00:00:00Z", "day 0 is refused");
	refuses("1969-12-31T23:59:59Z", "a year before 1970 is refused");
	refuses("12026-05-15T18:47:40Z", "a year of five digits is refused");
	refuses(" 2026-05-15T18:47:40Z", "a blank before it is refused");
	refuses("2026-05-15T18:47:40Z ", "a blank behind it is refused");
	refuses("2026-05-15T18:47:40ZZ", "anything behind it is refused");
	refuses("+026-05-15T18:47:40Z", "a sign is refused");
	refuses("\xef\xbc\x92" "026-05-15T18:47:40Z", "digits of other alphabets are refused");
}

static void
test_seconds(void)
{
	int64_t		out = 4711;

	ok(om_unix_seconds_parse("1705349767", 10, &out) && out == 1705349767 * SEC,
	   "Unix seconds are read");
	ok(om_unix_seconds_parse("0", 1, &out) && out == 0, "zero is read");
	ok(om_unix_seconds_parse("999999999999", 12, &out) && out == INT64_C(999999999999) * SEC,
	   "twelve digits are read");
	out = 4711;
	ok(!om_unix_seconds_parse("1000000000000", 13, &out), "thirteen digits are refused");
	ok(!om_unix_seconds_parse("", 0, &out), "no digits are refused");
	ok(!om_unix_seconds_parse("-1", 2, &out), "a sign is refused");
	ok(!om_unix_seconds_parse("1.5", 3, &out), "a fraction is refused");
	ok(!om_unix_seconds_parse(" 1", 2, &out), "a blank is refused");
	ok(out == 4711, "what is refused leaves the result alone");
}

/* A time that was cut off, or in which one character is another, is none */
static void
test_damaged(void)
{
	static const char *const whole[] = {"2026-05-15T18:47:40.731-05:30", "2026-05-15T18:47:40Z"};
	static const char others[] = "x/:@9 ";
	char		text[64];
	int64_t		out;
	size_t		bad = 0;
	size_t		i;
	size_t		j;
	size_t		len;

	for (i = 0; i < 2; i++)
	{
		ok(om_timestamp_parse(whole[i], strlen(whole[i]), &out), "%s is a time", whole[i]);
		for (len = 0; len < strlen(whole[i]); len++)
			bad += om_timestamp_parse(whole[i], len, &out);
		for (len = 0; len < strlen(whole[i]); len++)
		{
			for (j = 0; j < 2; j++)
			{
				snprintf(text, sizeof(text), "%s", whole[i]);
				text[len] = others[j];
				bad += om_timestamp_parse(text, strlen(text), &out);
			}
		}
	}
	is_int((long long) bad, 0, "none that was cut off or damaged is");
	for (j = 2; j < sizeof(others) - 1; j++)
	{
		snprintf(text, sizeof(text), "%s", whole[0]);
		text[13] = others[j];
		ok(om_timestamp_parse(text, strlen(text), &out) == (others[j] == ':'), "'%c' for the colon", others[j]);
	}
	ok(!om_timestamp_parse("2026-05-15T18:47:40+0x:00", 25, &out), "an offset is a number");
	ok(!om_timestamp_parse("2026-05-15T18:47:40+05:60", 25, &out), "of hours and minutes");
	ok(!om_timestamp_parse("2026-05-15T18:47:40+24:00", 25, &out), "of less than a day");
}

int
main(void)
{
	test_good();
	test_bad();
	test_seconds();
	test_damaged();
	return done_testing();
}
