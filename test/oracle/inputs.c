/*
 * inputs.c
 *		Phone numbers as nobody should write them, for the comparison with libphonenumber.
 */
#include "inputs.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

#define MAX_EXAMPLES	4000

typedef struct Example
{
	char		region[4];
	char		code[4];
	char		national[20];
} Example;

static Example examples[MAX_EXAMPLES];
static size_t example_count;
static uint64_t state;

/* splitmix64 */
static uint64_t
next(void)
{
	uint64_t	z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static unsigned
below(unsigned n)
{
	return (unsigned) (next() % n);
}

static bool
chance(unsigned percent)
{
	return below(100) < percent;
}

uint64_t
inputs_seed(void)
{
	const char *seed = getenv("OMNIMSG_SEED");

	return seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t) time(NULL);
}

/* Every example has a line with its national number, the fifth form, behind that of E.164 */
void
inputs_init(const char *directory, uint64_t seed)
{
	char		path[1000];
	char		line[1000];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/phone_examples.tsv", directory);
	file = fopen(path, "r");
	if (file == NULL)
	{
		perror(path);
		exit(1);
	}
	example_count = 0;
	while (fgets(line, sizeof(line), file) != NULL && example_count < MAX_EXAMPLES)
	{
		Example    *example = &examples[example_count];
		char		form[100];
		char		e164[30];
		size_t		len;

		if (sscanf(line, "%3[^\t]\t%99[^\t]\t%29[^\t]", example->region, form, e164) != 3)
			continue;
		len = strlen(form);
		/* bare digits that are the end of the E.164 form */
		if (strspn(form, "0123456789") != len || len + 2 > strlen(e164) || len > 17 ||
			strlen(e164) - len > 4 || strcmp(e164 + strlen(e164) - len, form) != 0)
			continue;
		memcpy(example->code, e164 + 1, strlen(e164) - len - 1);
		example->code[strlen(e164) - len - 1] = '\0';
		strcpy(example->national, form);
		example_count++;
	}
	fclose(file);
	if (example_count < 1000)
	{
		fprintf(stderr, "%s: only %zu examples\n", path, example_count);
		exit(1);
	}
	state = seed;
}

static void
add(Input *input, const char *text)
{
	size_t		len = strlen(text);

	if (input->len + len < sizeof(input->text))
	{
		memcpy(input->text + input->len, text, len + 1);
		input->len += len;
	}
}

static void
add_random_digits(Input *input, unsigned n)
{
	while (n-- > 0)
		add(input, (char[]) {(char) ('0' + below(10)), '\0'});
}

/* The national number of an example, most often with some digits changed */
static void
near_example(const Example *example, char *out)
{
	size_t		len = strlen(example->national);

	strcpy(out, example->national);
	if (chance(30))
		return;
	for (unsigned n = 1 + below(3); n > 0; n--)
		out[below((unsigned) len)] = (char) ('0' + below(10));
	if (chance(15))
		out[len - 1] = '\0';
	else if (chance(10) && len < 18)
		strcat(out, "7");
}

static void
start(Input *input, const Example *example)
{
	input->len = 0;
	input->text[0] = '\0';
	strcpy(input->region, strcmp(example->region, "001") == 0 ? "ZZ" : example->region);
}

void
input_digits(Input *input)
{
	static const char *const before[] = {
		"0", "1", "8", "06", "01", "9", "15", "00", "011", "0011", "810", "010", "001", "+0", "+00",
		"119", "0000", "09", "90", "80", "0015", "+011"
	};
	const Example *example = &examples[below((unsigned) example_count)];
	const Example *other = &examples[below((unsigned) example_count)];
	char		national[24];

	start(input, chance(70) ? example : other);
	near_example(example, national);
	switch (below(10))
	{
		case 0:
			add_random_digits(input, 2 + below(17));
			break;
		case 1:
			add(input, "+");
			add_random_digits(input, 2 + below(17));
			break;
		case 2:
			add(input, "+");
			add(input, example->code);
			add_random_digits(input, 1 + below(15));
			break;
		case 3:
			add(input, before[below(COUNT(before))]);
			add_random_digits(input, 2 + below(13));
			break;
		case 4:
			add(input, before[below(COUNT(before))]);
			add(input, national);
			break;
		case 5:
			add(input, before[below(COUNT(before))]);
			add(input, example->code);
			add(input, national);
			break;
		case 6:
			add(input, example->code);
			add(input, national);
			break;
		case 7:
			add(input, "+");
			add(input, example->code);
			add(input, chance(50) ? "0" : before[below(COUNT(before))]);
			add(input, national);
			break;
		case 8:
			add(input, "+");
			add(input, example->code);
			add(input, national);
			break;
		default:
			add(input, national);
	}
	if (chance(2))
		strcpy(input->region, "ZZ");
}

/* ---- messy ---- */

static const char *const separators[] = {
	" ", "-", ".", "/", "(", ")", " (", ") ", "\xc2\xa0", "\xe2\x80\x91", "\xe2\x80\x93", "\xe2\x88\x92",
	"\xe3\x80\x80", "\xef\xbc\x8d", "\xef\xbc\x88", "\xef\xbc\x89", "\xef\xbc\x8e",
	"\xef\xbc\x8f", "x", "X",
	"[", "]", "~", "\xe2\x81\xa0", "\xe2\x80\x8b", "\xc2\xad", "\xe2\x81\x93", "\xe2\x88\xbc", "\xe3\x83\xbc",
	"*", "  ", " - ", "-(", "\xef\xbc\xbb", "\xef\xbc\xbd"
};

static const char *const noise[] = {
	"Tel: ", "phone ", "tel:", "\t", ",", ";", ":", "#", "@", "?", "!", "\xe2\x80\xaa", "\xe2\x80\xac",
	"\xe2\x80\x8e", "\xf0\x9f\x93\x9e", "\xc3\xa9", "\xc2\xb2", "a", "bc", "ABC", "FLOWERS", "x", "X", "+",
	"\xef\xbc\x8b", "\\", "/", "/x", "/ x12", "\\ x34", "_", "'", "\"", "<", ">", "=", "&", "%", "\xd0\xb6",
	"\xe2\x82\xac", "\xef\xbd\x9e", "\xd9\xab", "\xe0\xa5\xa7",
	"\xc5\xbf", "\xe2\x84\xaa", "\n", "\r", "\f",
	"\x01", "\xff", "\xc2\x85", "\xe2\x80\xa8", ";isub=12", ";foo=bar", "ext", "e", "xt", "int", "anexo",
	"\xd0\xb4\xd0\xbe\xd0\xb1", "\xcc\x81", "\xef\xbc\x83", "\xef\xbf\xbe", "\xe2\x85\xa0", "\xe6\x97\xa5", "0",
	"00", "(0)", "11"
};

static const char *const labels[] = {
	";ext=", " ext ", "ext.", " Ext: ", "x", " x", "X", " xtn ", "extn", " extension ", "EXTENSION:",
	"extensi\xc3\xb3n ", "extensio\xcc\x81n", "EXTENSI\xc3\x93N", "\xef\xbd\x85\xef\xbd\x98\xef\xbd\x94",
	"\xef\xbd\x98\xef\xbd\x94\xef\xbd\x8e", "\xef\xbc\xa5\xef\xbc\xb8\xef\xbc\xb4", "\xef\xbd\x98",
	"\xd0\xb4\xd0\xbe\xd0\xb1", " \xd0\x94\xd0\x9e\xd0\x91. ", "anexo", " ANEXO:", "#", " # ", "~",
	"\xef\xbc\x83", "\xef\xbd\x9e", "int", "INT.", "\xef\xbd\x89\xef\xbd\x8e\xef\xbd\x94", ",", ",,", ",,,", ", ,",
	";", "; ", " - ", "- ", " ", "\t,x", ",\xc2\xa0xtn", "exten\xc5\xbfion", "x:", "x.-", "ext\xef\xbc\x8e",
	";;", "ext-"
};

/* zeros of decimal digits in UTF-8; the first three are those that JavaScript's knows, too */
static const uint32_t zeros[] = {
	0xff10, 0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xe50, 0x1040, 0x17e0, 0xa620, 0x104a0, 0x1d7ce, 0x1d7f6,
	0x1fbf0
};

static void
add_code(Input *input, uint32_t code)
{
	char		utf8[5] = {0};

	if (code < 0x80)
		utf8[0] = (char) code;
	else if (code < 0x800)
	{
		utf8[0] = (char) (0xc0 | code >> 6);
		utf8[1] = (char) (0x80 | (code & 63));
	}
	else if (code < 0x10000)
	{
		utf8[0] = (char) (0xe0 | code >> 12);
		utf8[1] = (char) (0x80 | (code >> 6 & 63));
		utf8[2] = (char) (0x80 | (code & 63));
	}
	else
	{
		utf8[0] = (char) (0xf0 | code >> 18);
		utf8[1] = (char) (0x80 | (code >> 12 & 63));
		utf8[2] = (char) (0x80 | (code >> 6 & 63));
		utf8[3] = (char) (0x80 | (code & 63));
	}
	add(input, utf8);
}

/* Digits with separators between them, perhaps of another script */
static void
add_written(Input *input, const char *digits, unsigned separated, uint32_t zero)
{
	for (; *digits != '\0'; digits++)
	{
		add_code(input, (zero == 0 ? '0' : zero) + (uint32_t) (*digits - '0'));
		if (chance(separated))
			add(input, separators[below(chance(60) ? 8 : COUNT(separators))]);
	}
}

void
input_messy(Input *input)
{
	const Example *example = &examples[below((unsigned) example_count)];
	const Example *other = &examples[below((unsigned) example_count)];
	uint32_t	zero = chance(25) ? zeros[below(chance(50) ? 3 : COUNT(zeros))] : 0;
	unsigned	separated = below(40);
	char		national[24];

	start(input, chance(80) ? example : other);
	near_example(example, national);
	if (chance(20))
		add(input, noise[below(COUNT(noise))]);
	if (chance(10))
		add(input, "(");
	if (chance(50))
	{
		add(input, chance(80) ? "+" : chance(50) ? "\xef\xbc\x8b" : "00");
		add_written(input, example->code, separated, zero);
		add(input, chance(20) ? "(0)" : chance(20) ? "0" : " ");
	}
	else
		add(input, chance(40) ? "0" : chance(20) ? "1" : "");
	if (chance(8))
	{
		/* some keys as letters */
		size_t		cut = 1 + below(6);

		if (cut < strlen(national))
			national[strlen(national) - cut] = '\0';
		add_written(input, national, separated, zero);
		while (cut-- > 0)
			add_code(input, (chance(50) ? 'a' : 'A') + below(26));
	}
	else
	{
		size_t		half = strlen(national) / 2;
		char		rest[24];

		strcpy(rest, national + half);
		national[half] = '\0';
		add_written(input, national, separated, zero);
		if (chance(15))
			add(input, noise[below(COUNT(noise))]);
		add_written(input, rest, separated, zero);
	}
	if (chance(40))
	{
		add(input, labels[below(COUNT(labels))]);
		for (unsigned n = below(chance(80) ? 6 : 23); n > 0; n--)
			add_code(input, (zero == 0 || chance(50) ? '0' : zero) + below(10));
		if (chance(15))
			add(input, "#");
	}
	if (chance(30))
		add(input, noise[below(COUNT(noise))]);
	if (chance(10))
		add(input, labels[below(COUNT(labels))]);
	if (chance(10))
		add_random_digits(input, below(5));
	if (chance(3))
		strcpy(input->region, "ZZ");
}
