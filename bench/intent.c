/*
 * intent.c
 *		How long src/core takes to read a text: make bench-intent.
 *
 * usage: bench_intent FILE...  (as tools/score.c reads them)
 * Rounds over the listed texts and over invented chat lines of about 55 characters take
 * turns, so that both see the same machine.  A text's time is the least of its rounds, each
 * of which reads it several times; p50 and p99 are over the texts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "intent.h"

#define MAX_TEXTS	8192
#define ROUNDS		40
#define REPEATS		20
#define CHAT_LINES	1000

typedef struct Text
{
	char	   *text;
	size_t		len;
	double		best;			/* nanoseconds */
} Text;

typedef struct Set
{
	const char *name;
	Text		texts[MAX_TEXTS];
	size_t		n;
} Set;

static Set	listed = {"listed texts", {{NULL, 0, 0}}, 0};
static Set	chat = {"chat lines", {{NULL, 0, 0}}, 0};
static volatile int sink;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

static void
add_text(Set *set, const char *text, size_t len)
{
	Text	   *to = &set->texts[set->n];

	if (set->n == MAX_TEXTS)
		return;
	to->text = malloc(len + 1);
	if (to->text == NULL)
		exit(2);
	memcpy(to->text, text, len);
	to->text[len] = '\0';
	to->len = len;
	to->best = 1e18;
	set->n++;
}

static void
read_file(const char *path)
{
	char		line[65536];
	FILE	   *file = fopen(path, "r");

	if (file == NULL)
	{
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char	   *text = strchr(line, '\t');

		if (text != NULL)
			add_text(&listed, text + 1, strcspn(text + 1, "\t\n"));
	}
	fclose(file);
}

/* What people write about anything else, of the words that they write most */
static void
make_chat(void)
{
	static const char *const words[] = {
		"i", "you", "the", "to", "and", "a", "it", "is", "that", "in", "me", "my", "for", "have",
		"just", "on", "we", "at", "so", "be", "are", "was", "not", "but", "do", "can", "no",
		"what", "with", "will", "know", "get", "out", "ok", "when", "there", "go", "call",
		"good", "tomorrow", "home", "don't", "want", "see", "later", "time", "thanks", "up",
		"dinner", "meeting", "really", "work", "today", "haha", "Sarah", "picking", "groceries"
	};
	unsigned int state = 12345;

	while (chat.n < CHAT_LINES)
	{
		char		line[128];
		size_t		len = 0;

		while (len < 52)
		{
			const char *word;

			state = state * 1664525u + 1013904223u;
			word = words[(state >> 16) % (sizeof(words) / sizeof(words[0]))];
			len += (size_t) snprintf(line + len, sizeof(line) - len, "%s%s", len == 0 ? "" : " ",
									 word);
		}
		add_text(&chat, line, len);
	}
}

static void
run_round(Set *set)
{
	size_t		i;
	int			j;

	for (i = 0; i < set->n; i++)
	{
		Text	   *text = &set->texts[i];
		OmIntent	out;
		double		start = now();
		double		took;

		for (j = 0; j < REPEATS; j++)
			sink = (int) om_intent_detect(text->text, text->len, &out);
		took = (now() - start) / REPEATS;
		if (took < text->best)
			text->best = took;
	}
}

static int
by_time(const void *a, const void *b)
{
	double		x = ((const Text *) a)->best;
	double		y = ((const Text *) b)->best;

	return (x > y) - (x < y);
}

static void
report(Set *set)
{
	size_t		bytes = 0;
	size_t		i;

	for (i = 0; i < set->n; i++)
		bytes += set->texts[i].len;
	qsort(set->texts, set->n, sizeof(set->texts[0]), by_time);
	printf("%-14s %6zu texts, %5.1f bytes on average: p50 %6.0f ns  p99 %6.0f ns  max %6.0f ns\n",
		   set->name, set->n, (double) bytes / (double) set->n,
		   set->texts[set->n / 2].best, set->texts[set->n * 99 / 100].best,
		   set->texts[set->n - 1].best);
}

int
main(int argc, char **argv)
{
	int			i;

	for (i = 1; i < argc; i++)
		read_file(argv[i]);
	if (listed.n == 0)
	{
		fprintf(stderr, "usage: %s FILE...\n", argv[0]);
		return 2;
	}
	make_chat();
	for (i = 0; i < ROUNDS; i++)
	{
		run_round(&listed);
		run_round(&chat);
	}
	report(&listed);
	report(&chat);
	return 0;
}
