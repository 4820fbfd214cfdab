/*
 * timestamp.c
 *		Times as providers write them.
 */
#include "timestamp.h"

#define USECS_PER_SEC	INT64_C(1000000)
#define SECS_PER_DAY	INT64_C(86400)

typedef struct Reader
{
	const char *text;
	size_t		len;
	size_t		pos;
} Reader;

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly width digits */
static bool
read_number(Reader *reader, size_t width, int *out)
{
	int			value = 0;
	size_t		i;

	if (reader->len - reader->pos < width)
		return false;
	for (i = 0; i < width; i++)
	{
		char		c = reader->text[reader->pos + i];

		if (!is_digit(c))
			return false;
		value = value * 10 + (c - '0');
	}
	reader->pos += width;
	*out = value;
	return true;
}

/* One character of the set */
static bool
read_char(Reader *reader, const char *set, char *out)
{
	if (reader->pos >= reader->len)
		return false;
	for (; *set != '\0'; set++)
	{
		if (reader->text[reader->pos] == *set)
		{
			reader->pos++;
			if (out != NULL)
				*out = *set;
			return true;
		}
	}
	return false;
}

static bool
is_leap_year(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month == 2 && is_leap_year(year))
		return 29;
	return days[month - 1];
}

/* Days from 1970-01-01 to a day of the Gregorian calendar, year >= 1970 */
static int64_t
days_from_epoch(int year, int month, int day)
{
	int64_t		before = year - 1;
	int64_t		days;
	int			m;

	days = before * 365 + before / 4 - before / 100 + before / 400;
	days -= INT64_C(719162);	/* the same sum for 1969 */
	for (m = 1; m < month; m++)
		days += days_in_month(year, m);
	return days + day - 1;
}

/* The fraction after the point; digits after the sixth are cut off */
static bool
read_fraction(Reader *reader, int64_t *usecs)
{
	int64_t		unit = USECS_PER_SEC / 10;
	size_t		digits = 0;

	*usecs = 0;
	if (!read_char(reader, ".", NULL))
		return true;
	while (reader->pos < reader->len && is_digit(reader->text[reader->pos]))
	{
		*usecs += (reader->text[reader->pos] - '0') * unit;
		unit /= 10;
		reader->pos++;
		digits++;
	}
	return digits >= 1 && digits <= 9;
}

/* "Z" or "+hh:mm", into seconds east of UTC */
static bool
read_offset(Reader *reader, int64_t *seconds)
{
	char		sign;
	int			hours;
	int			minutes;

	*seconds = 0;
	if (!read_char(reader, "Zz+-", &sign))
		return false;
	if (sign == 'Z' || sign == 'z')
		return true;
	if (!read_number(reader, 2, &hours) || !read_char(reader, ":", NULL) ||
		!read_number(reader, 2, &minutes))
		return false;
	if (hours > 23 || minutes > 59)
		return false;
	*seconds = hours * 3600 + minutes * 60;
	if (sign == '-')
		*seconds = -*seconds;
	return true;
}

bool
om_timestamp_parse(const char *text, size_t len, int64_t *out)
{
	Reader		reader = {text, len, 0};
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int64_t		usecs;
	int64_t		offset;
	int64_t		seconds;

	if (!read_number(&reader, 4, &year) || !read_char(&reader, "-", NULL) ||
		!read_number(&reader, 2, &month) || !read_char(&reader, "-", NULL) ||
		!read_number(&reader, 2, &day) || !read_char(&reader, "Tt ", NULL) ||
		!read_number(&reader, 2, &hour) || !read_char(&reader, ":", NULL) ||
		!read_number(&reader, 2, &minute) || !read_char(&reader, ":", NULL) ||
		!read_number(&reader, 2, &second) || !read_fraction(&reader, &usecs) ||
		!read_offset(&reader, &offset) || reader.pos != len)
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 ||
		day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60)
		return false;

	/* Unix time has no leap seconds: two events share the second before */
	if (second == 60)
		second = 59;
	seconds = days_from_epoch(year, month, day) * SECS_PER_DAY +
		hour * 3600 + minute * 60 + second - offset;
	*out = seconds * USECS_PER_SEC + usecs;
	return true;
}

bool
om_unix_seconds_parse(const char *text, size_t len, int64_t *out)
{
	int64_t		seconds = 0;
	size_t		i;

	if (len < 1 || len > 12)
		return false;
	for (i = 0; i < len; i++)
	{
		if (!is_digit(text[i]))
			return false;
		seconds = seconds * 10 + (text[i] - '0');
	}
	*out = seconds * USECS_PER_SEC;
	return true;
}
