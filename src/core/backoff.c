/*
 * backoff.c
 *		How long to wait before the next attempt, and the dates of HTTP.
 */
#include "backoff.h"

#include <string.h>

#include "timestamp.h"

#define MAX_RETRY_AFTER_MS	INT64_C(3600000)

/* Length of an IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT" */
#define FIXDATE_LEN			29

int64_t
om_backoff_ms(unsigned int attempt, uint32_t random)
{
	int64_t		full = OM_BACKOFF_MAX_MS;
	int64_t		half;

	if (attempt < 1)
		attempt = 1;
	if (attempt <= 6)
		full = INT64_C(1000) << (attempt - 1);
	half = full / 2;
	return half + (int64_t) (((uint64_t) random * (uint64_t) (half + 1)) >> 32);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * Only digits: that many seconds.  A number too long for an integer is still one,
 * and means the limit.
 */
static bool
read_delay(const char *text, size_t len, int64_t *ms)
{
	int64_t		value = 0;
	size_t		i;

	if (len == 0)
		return false;
	for (i = 0; i < len; i++)
	{
		if (!is_digit(text[i]))
			return false;
		if (value <= MAX_RETRY_AFTER_MS)
			value = value * 10 + (text[i] - '0');
	}
	*ms = value > MAX_RETRY_AFTER_MS / 1000 ? MAX_RETRY_AFTER_MS : value * 1000;
	return true;
}

/* Rewrite an IMF-fixdate as RFC 3339, which om_timestamp_parse checks in full */
bool
om_http_date_parse(const char *text, size_t len, int64_t *seconds)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char		iso[] = "0000-00-00T00:00:00Z";
	int64_t		usecs;
	int			month;
	int			day;

	if (len != FIXDATE_LEN || text[3] != ',' || text[4] != ' ' || text[7] != ' ' ||
		text[11] != ' ' || text[16] != ' ' || memcmp(text + 25, " GMT", 4) != 0)
		return false;
	for (month = 0; month < 12; month++)
	{
		if (memcmp(text + 8, months + 3 * month, 3) == 0)
			break;
	}
	for (day = 0; day < 7; day++)
	{
		if (memcmp(text, days + 3 * day, 3) == 0)
			break;
	}
	if (month == 12 || day == 7)
		return false;

	memcpy(iso, text + 12, 4);
	iso[5] = (char) ('0' + (month + 1) / 10);
	iso[6] = (char) ('0' + (month + 1) % 10);
	memcpy(iso + 8, text + 5, 2);
	memcpy(iso + 11, text + 17, 8);
	if (!om_timestamp_parse(iso, sizeof(iso) - 1, &usecs))
		return false;
	*seconds = usecs / 1000000;

	/* The first day of the epoch was a Thursday; a wrong weekday is a wrong date */
	return (*seconds / 86400 + 4) % 7 == day;
}

int64_t
om_retry_after_ms(const char *text, size_t len, int64_t now)
{
	int64_t		ms;
	int64_t		date;

	while (len > 0 && is_blank(text[0]))
	{
		text++;
		len--;
	}
	while (len > 0 && is_blank(text[len - 1]))
		len--;

	if (read_delay(text, len, &ms))
		return ms;
	if (!om_http_date_parse(text, len, &date))
		return -1;
	if (date <= now)
		return 0;
	if (now < 0 || date - now > MAX_RETRY_AFTER_MS / 1000)
		return MAX_RETRY_AFTER_MS;
	return (date - now) * 1000;
}
