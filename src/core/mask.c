/*
 * mask.c
 *		Addresses for people who need to recognise one but may not read it.
 */
#include "mask.h"

#include <stdbool.h>

/* Room for the longest mask of a number, "+1555***4567" */
#define NUMBER_MASK_SIZE	13

/* More digits than this in the domain of an address are a number in disguise */
#define MAX_DOMAIN_DIGITS	6

/* Writes NUL-terminated output of a known size, cutting what does not fit */
typedef struct Output
{
	char	   *data;
	size_t		size;
	size_t		len;
} Output;

static void
put_char(Output *out, char c)
{
	if (out->len + 1 < out->size)
		out->data[out->len++] = c;
	out->data[out->len] = '\0';
}

static void
put_stars(Output *out)
{
	put_char(out, '*');
	put_char(out, '*');
	put_char(out, '*');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Visible ASCII: nothing in a mask may break a log line or a terminal */
static bool
is_plain(char c)
{
	return c > ' ' && c < 0x7f;
}

/* Position of the only '@' with something on both sides; len when there is none */
static size_t
find_at(const char *address, size_t len)
{
	size_t		at = len;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (address[i] != '@')
			continue;
		if (at != len)
			return len;
		at = i;
	}
	return (at == 0 || at + 1 >= len) ? len : at;
}

static void
mask_email(const char *address, size_t len, size_t at, Output *out)
{
	size_t		i;

	/* A local part of one letter would be shown whole; the stars go before the letter */
	if (at >= 2 && is_plain(address[0]) && out->size > 4)
		put_char(out, address[0]);
	put_stars(out);
	for (i = at; i < len; i++)
		put_char(out, is_plain(address[i]) ? address[i] : '?');
}

/*
 * Which digits show: of a number with its country code (11 digits and more)
 * the first and last four, which hides at least three; of less, at most a half.
 */
static void
choose_digits(size_t digits, size_t *head, size_t *tail)
{
	*head = 0;
	*tail = 0;
	if (digits >= 11)
	{
		*head = 4;
		*tail = 4;
	}
	else if (digits >= 9)
	{
		*head = 2;
		*tail = 2;
	}
	else if (digits >= 4)
		*head = 2;
}

static size_t
count_digits(const char *text, size_t len)
{
	size_t		digits = 0;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (is_digit(text[i]))
			digits++;
	}
	return digits;
}

static void
mask_number(const char *address, size_t len, Output *out)
{
	size_t		digits = count_digits(address, len);
	size_t		head;
	size_t		tail;
	size_t		seen = 0;
	size_t		i;

	choose_digits(digits, &head, &tail);
	if (head == 0 || out->size < NUMBER_MASK_SIZE)
	{
		put_stars(out);
		return;
	}

	if (address[0] == '+')
		put_char(out, '+');
	for (i = 0; seen < head; i++)
	{
		if (is_digit(address[i]))
		{
			put_char(out, address[i]);
			seen++;
		}
	}
	put_stars(out);
	for (i = 0, seen = 0; i < len; i++)
	{
		if (is_digit(address[i]) && seen++ >= digits - tail)
			put_char(out, address[i]);
	}
}

size_t
om_mask_address(const char *address, size_t len, char *out, size_t out_size)
{
	Output		output = {out, out_size, 0};
	size_t		at = find_at(address, len);

	out[0] = '\0';
	if (at < len && count_digits(address + at, len - at) <= MAX_DOMAIN_DIGITS)
		mask_email(address, len, at, &output);
	else
		mask_number(address, len, &output);
	return output.len;
}
