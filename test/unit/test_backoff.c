/*
 * test_backoff.c
 *		How long to wait before the next attempt.
 */
#include "backoff.h"

#include "tap.h"

/* 2026-11-23T12:00:00Z */
#define NOW		INT64_C(1795435200)

static void
check(const char *header, long long expected, const char *sentence)
{
	is_int(om_retry_after_ms(header, strlen(header), NOW), expected, sentence);
}

static void
test_backoff(void)
{
	static const int64_t full[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	unsigned int attempt;

	for (attempt = 1; attempt <= 8; attempt++)
	{
		int64_t		expected = full[attempt - 1];

		ok(om_backoff_ms(attempt, 0) == expected / 2,
		   "attempt %u waits at least half of its time", attempt);
		ok(om_backoff_ms(attempt, UINT32_MAX) == expected,
		   "attempt %u waits at most its time", attempt);
		ok(om_backoff_ms(attempt, UINT32_C(1) << 31) > expected / 2 &&
		   om_backoff_ms(attempt, UINT32_C(1) << 31) < expected,
		   "attempt %u waits something between with other random bits", attempt);
	}
	is_int(om_backoff_ms(0, 0), 500, "attempt 0 counts as the first");
	is_int(om_backoff_ms(UINT32_MAX, UINT32_MAX), 60000, "no attempt waits longer");
}

static void
test_seconds(void)
{
	check("0", 0, "0 seconds is at once");
	check("5", 5000, "seconds become milliseconds");
	check(" \t7 ", 7000, "blanks around the seconds do not matter");
	check("3600", 3600000, "an hour is the most");
	check("3601", 3600000, "more than an hour is cut to an hour");
	check("99999999999999999999999999", 3600000, "a number of any length is cut to an hour");
	check("007", 7000, "leading zeros do not matter");
	check("", -1, "an empty header says nothing");
	check("  ", -1, "a blank header says nothing");
	check("-5", -1, "a negative number says nothing");
	check("+5", -1, "a sign says nothing");
	check("1.5", -1, "a fraction says nothing");
	check("5 s", -1, "a unit says nothing");
	check("0x10", -1, "hexadecimal says nothing");
}

static void
test_dates(void)
{
	check("Mon, 23 Nov 2026 12:00:30 GMT", 30000, "a date is relative to now");
	check("Mon, 23 Nov 2026 12:00:00 GMT", 0, "now is at once");
	check("Mon, 23 Nov 2026 11:59:00 GMT", 0, "a date in the past is at once");
	check("Sun, 06 Nov 1994 08:49:37 GMT", 0, "the example of RFC 9110 is long past");
	check("Tue, 24 Nov 2026 12:00:00 GMT", 3600000, "tomorrow is cut to an hour");
	check("Fri, 31 Dec 9999 23:59:59 GMT", 3600000, "the end of time is cut to an hour");
	check("Tue, 23 Nov 2026 12:00:30 GMT", -1, "a wrong weekday says nothing");
	check("Mon, 31 Nov 2026 12:00:30 GMT", -1, "a day that does not exist says nothing");
	check("Mon, 23 Nov 2026 25:00:30 GMT", -1, "an hour that does not exist says nothing");
	check("Mon, 23 Nov 2026 12:00:30 CET", -1, "another time zone says nothing");
	check("Mon, 23 Now 2026 12:00:30 GMT", -1, "an unknown month says nothing");
	check("Mon, 23 Nov 2026 12-00-30 GMT", -1, "other separators say nothing");
	check("Monday, 23-Nov-26 12:00:30 GMT", -1, "the obsolete form says nothing");
	is_int(om_retry_after_ms("Mon, 23 Nov 2026 12:00:30 GMT", 29, INT64_MIN), 3600000,
		   "a clock far off cannot overflow");
	is_int(om_retry_after_ms("Mon, 23 Nov 2026 12:00:30 GMT", 29, INT64_MAX), 0,
		   "a clock far ahead cannot overflow");
}

static void
test_http_dates(void)
{
	int64_t		seconds = -1;

	ok(om_http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT", 29, &seconds), "the example of RFC 9110 is a date");
	is_int(seconds, 784111777, "and so many seconds");
	ok(om_http_date_parse("Tue, 19 Jan 2038 03:14:08 GMT", 29, &seconds), "so is one of 2038");
	is_int(seconds, INT64_C(2147483648), "which needs more than 31 bits");
	ok(!om_http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT ", 30, &seconds), "with a blank behind it is none");
	ok(!om_http_date_parse("", 0, &seconds), "nothing is none");
}

/* One character that is another makes it none */
static void
test_damaged_dates(void)
{
	static const char whole[] = "Sun, 06 Nov 1994 08:49:37 GMT";
	char		text[32];
	int64_t		seconds;
	size_t		bad = 0;
	size_t		i;

	for (i = 0; i < sizeof(whole) - 1; i++)
	{
		snprintf(text, sizeof(text), "%s", whole);
		text[i] = '~';
		bad += om_http_date_parse(text, sizeof(whole) - 1, &seconds);
	}
	is_int((long long) bad, 0, "a date in which a character is another is none");
	for (i = 0; i < 7; i++)
	{
		static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

		snprintf(text, sizeof(text), "%s, %02zu Nov 1994 08:49:37 GMT", days[i], 6 + i);
		ok(om_http_date_parse(text, sizeof(whole) - 1, &seconds), "%s is one", text);
		snprintf(text, sizeof(text), "%s, %02zu Nov 1994 08:49:37 GMT", days[i], 7 + i);
		ok(!om_http_date_parse(text, sizeof(whole) - 1, &seconds), "%s is none", text);
	}
}

int
main(void)
{
	test_backoff();
	test_seconds();
	test_dates();
	test_http_dates();
	test_damaged_dates();
	return done_testing();
}
