/*
 * score.c
 *		How well src/core reads what texts ask for: make score.
 *
 * usage: score [-q] [-p CHAT]... FILE...
 * A line of a file is LABEL<TAB>TEXT, and if known <TAB>CLASS<TAB>LANGUAGE.  In TEXT, \n is
 * a line break, \t a tab, \\ a backslash.  Classes are kw (a bare keyword), kw_deco (a
 * decorated one), free (a sentence), trap (looks like a request and is none) and plain.
 * CHAT has texts between people, one in a line, of which none is an opt-out.
 * The exit status is 1 when all files together miss a goal; -q leaves out the lines that miss.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "intent.h"

#define LABELS		5
#define MAX_LINE	65536

typedef struct Tally
{
	long		lines;
	long		right;
} Tally;

/* expected by found */
typedef struct Score
{
	long		confusion[LABELS][LABELS];
	Tally		keywords;		/* of any label */
	Tally		decorated;
	Tally		free_out;
	long		free_seen;		/* as opt_out or maybe_opt_out */
	Tally		traps;			/* right: not taken for an opt-out */
	Tally		classes[6];
} Score;

static const char *const class_names[] = {"kw", "kw_deco", "free", "trap", "plain", "-"};
static bool quiet;

static int
label_of(const char *name)
{
	int			i;

	for (i = 0; i < LABELS; i++)
	{
		if (strcmp(om_intent_label_name((OmIntentLabel) i), name) == 0)
			return i;
	}
	return -1;
}

static size_t
unescape(char *text)
{
	char	   *to = text;
	const char *from;

	for (from = text; *from != '\0'; from++)
	{
		if (from[0] == '\\' && (from[1] == 'n' || from[1] == 't' || from[1] == '\\'))
		{
			from++;
			*to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : '\\';
		}
		else
			*to++ = *from;
	}
	*to = '\0';
	return (size_t) (to - text);
}

static void
count(Tally *tally, bool right)
{
	tally->lines++;
	tally->right += right;
}

static void
count_line(Score *score, int expected, int found, const char *class)
{
	size_t		i;

	score->confusion[expected][found]++;
	for (i = 0; i < 5 && strcmp(class_names[i], class) != 0; i++)
		;
	count(&score->classes[i], expected == found);
	if (strcmp(class, "kw") == 0)
		count(&score->keywords, expected == found);
	else if (strcmp(class, "kw_deco") == 0)
		count(&score->decorated, expected == found);
	else if (expected == OM_INTENT_OPT_OUT)
	{
		count(&score->free_out, expected == found);
		score->free_seen += found == OM_INTENT_OPT_OUT || found == OM_INTENT_MAYBE_OPT_OUT;
	}
	else if (expected == OM_INTENT_NONE)
		count(&score->traps, found != OM_INTENT_OPT_OUT);
}

static bool
read_file(const char *path, Score *score)
{
	static char line[MAX_LINE];
	FILE	   *file = fopen(path, "r");
	long		number = 0;

	if (file == NULL)
	{
		perror(path);
		return false;
	}
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char	   *text = strchr(line, '\t');
		char	   *class;
		char	   *language;
		OmIntent	out;
		int			expected;

		number++;
		line[strcspn(line, "\n")] = '\0';
		if (text == NULL)
			continue;
		*text++ = '\0';
		expected = label_of(line);
		if (expected < 0)
		{
			fprintf(stderr, "%s line %ld: no label is named %s\n", path, number, line);
			fclose(file);
			return false;
		}
		class = strchr(text, '\t');
		if (class != NULL)
			*class++ = '\0';
		language = class == NULL ? NULL : strchr(class, '\t');
		if (language != NULL)
			*language = '\0';
		om_intent_detect(text, unescape(text), &out);
		count_line(score, expected, (int) out.label, class == NULL ? "-" : class);
		if (!quiet && (int) out.label != expected)
		{
			char	   *p;

			for (p = text; *p != '\0'; p++)
			{
				if (*p == '\n')
					*p = '/';
			}
			printf("  %ld: %s read as %s (%s): %s\n", number, line,
				   om_intent_label_name(out.label), out.rule, text);
		}
	}
	fclose(file);
	return true;
}

static void
add(Score *total, const Score *score)
{
	const long *from = (const long *) score;
	long	   *to = (long *) total;
	size_t		i;

	for (i = 0; i < sizeof(*score) / sizeof(long); i++)
		to[i] += from[i];
}

static double
percent(long part, long whole)
{
	return whole == 0 ? 100 : 100.0 * (double) part / (double) whole;
}

static bool
goal(const char *name, long part, long whole, double at_least)
{
	double		reached = percent(part, whole);
	bool		met = reached >= at_least;

	printf("  %-52s %5ld of %5ld  %6.2f %%  goal %6.2f %%  %s\n", name, part, whole, reached,
		   at_least, met ? "met" : "MISSED");
	return met;
}

/* Print the tables; false when a goal is missed */
static bool
report(const char *name, const Score *score)
{
	const long (*c)[LABELS] = score->confusion;
	long		said_out = 0;
	long		said_in = 0;
	bool		met = true;
	int			i;
	int			j;

	printf("%s\n  %-14s", name, "label");
	for (j = 0; j < LABELS; j++)
		printf(" %13s", om_intent_label_name((OmIntentLabel) j));
	printf(" %8s %9s\n", "recall", "precision");
	for (i = 0; i < LABELS; i++)
	{
		long		row = 0;
		long		column = 0;

		printf("  %-14s", om_intent_label_name((OmIntentLabel) i));
		for (j = 0; j < LABELS; j++)
		{
			printf(" %13ld", c[i][j]);
			row += c[i][j];
			column += c[j][i];
		}
		printf(" %6.2f %% %7.2f %%\n", percent(c[i][i], row), percent(c[i][i], column));
		said_out += c[i][OM_INTENT_OPT_OUT];
		said_in += c[i][OM_INTENT_OPT_IN];
	}
	for (i = 0; i < 6; i++)
	{
		if (score->classes[i].lines > 0)
			printf("  class %-8s %5ld of %5ld as labelled  %6.2f %%\n", class_names[i],
				   score->classes[i].right, score->classes[i].lines,
				   percent(score->classes[i].right, score->classes[i].lines));
	}
	met &= goal("bare keywords", score->keywords.right, score->keywords.lines, 100);
	met &= goal("decorated keywords", score->decorated.right, score->decorated.lines, 98);
	met &= goal("free text opt-outs as opt_out", score->free_out.right, score->free_out.lines, 90);
	met &= goal("free text opt-outs as opt_out or maybe_opt_out", score->free_seen,
				score->free_out.lines, 96);
	met &= goal("precision of opt_out", c[OM_INTENT_OPT_OUT][OM_INTENT_OPT_OUT], said_out, 98.5);
	met &= goal("traps and plain texts not taken for an opt-out", score->traps.right,
				score->traps.lines, 98);
	met &= goal("precision of opt_in", c[OM_INTENT_OPT_IN][OM_INTENT_OPT_IN], said_in, 100);
	return met;
}

/* Read texts of which none asks a company for anything */
static bool
read_chat(const char *path, Tally *out, Tally *seen)
{
	static char line[MAX_LINE];
	FILE	   *file = fopen(path, "r");
	long		number = 0;

	if (file == NULL)
	{
		perror(path);
		return false;
	}
	while (fgets(line, sizeof(line), file) != NULL)
	{
		OmIntent	found;

		number++;
		line[strcspn(line, "\n")] = '\0';
		om_intent_detect(line, strlen(line), &found);
		count(out, found.label != OM_INTENT_OPT_OUT);
		count(seen, found.label != OM_INTENT_OPT_OUT && found.label != OM_INTENT_MAYBE_OPT_OUT);
		if (!quiet && found.label != OM_INTENT_NONE)
			printf("  %ld: private text read as %s (%s): %s\n", number,
				   om_intent_label_name(found.label), found.rule, line);
	}
	fclose(file);
	return true;
}

int
main(int argc, char **argv)
{
	static Score total;
	Tally		chat = {0, 0};
	Tally		chat_seen = {0, 0};
	bool		met = true;
	int			files = 0;
	int			i;

	for (i = 1; i < argc; i++)
	{
		Score		score;

		if (strcmp(argv[i], "-q") == 0)
		{
			quiet = true;
			continue;
		}
		if (strcmp(argv[i], "-p") == 0 && i + 1 < argc)
		{
			printf("%s\n", argv[++i]);
			if (!read_chat(argv[i], &chat, &chat_seen))
				return 2;
			continue;
		}
		memset(&score, 0, sizeof(score));
		printf("%s\n", argv[i]);
		if (!read_file(argv[i], &score))
			return 2;
		met = report("", &score);
		add(&total, &score);
		files++;
	}
	if (files == 0 && chat.lines == 0)
	{
		fprintf(stderr, "usage: %s [-q] [-p CHAT]... FILE...\n", argv[0]);
		return 2;
	}
	if (files > 1)
		met = report("all files", &total);
	if (chat.lines > 0)
	{
		met &= goal("private texts not taken for an opt-out", chat.right, chat.lines, 99.9);
		printf("  %-52s %5ld of %5ld  %6.2f %%\n", "nor for something that a person should read",
			   chat_seen.right, chat_seen.lines, percent(chat_seen.right, chat_seen.lines));
	}
	printf("lexicon %s: %s\n", om_intent_version(), met ? "all goals met" : "a goal is missed");
	return met ? 0 : 1;
}
