/*
 * tap.h
 *		The Test Anything Protocol for unit tests in C.
 *
 * A program includes this once, calls ok() and is() with one sentence each, and returns
 * done_testing() from main.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int	tap_count;
static int	tap_failed;

/* One test.  The sentence is a format, so that tables can name their rows. */
static bool __attribute__((format(printf, 2, 3)))
ok(bool passed, const char *sentence,...)
{
	va_list		args;

	tap_count++;
	if (!passed)
		tap_failed++;
	printf("%s %d - ", passed ? "ok" : "not ok", tap_count);
	va_start(args, sentence);
	vprintf(sentence, args);
	va_end(args);
	printf("\n");
	return passed;
}

/* Two strings are equal */
static inline void
is(const char *got, const char *expected, const char *sentence)
{
	if (!ok(strcmp(got, expected) == 0, "%s", sentence))
		printf("#   got '%s', expected '%s'\n", got, expected);
}

/* Two integers are equal */
static inline void
is_int(long long got, long long expected, const char *sentence)
{
	if (!ok(got == expected, "%s", sentence))
		printf("#   got %lld, expected %lld\n", got, expected);
}

static int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

#endif							/* TAP_H */
