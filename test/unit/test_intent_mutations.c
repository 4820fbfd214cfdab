/*
 * test_intent_mutations.c
 *		A text asks for the same in another dress.
 *
 * usage: test_intent_mutations DIRECTORY with the texts that tools/score.c reads
 */
#include "intent.h"

#include <stdint.h>
#include <stdlib.h>

#include "tap.h"

#define MAX_TEXT	4096

static uint64_t seed;

static uint32_t
draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (seed >> 33) % below;
}

static void
to_upper(const char *text, char *out)
{
	for (; *text != '\0'; text++)
		*out++ = *text >= 'a' && *text <= 'z' ? (char) (*text - 32) : *text;
	*out = '\0';
}

static void
to_lower(const char *text, char *out)
{
	for (; *text != '\0'; text++)
		*out++ = *text >= 'A' && *text <= 'Z' ? (char) (*text + 32) : *text;
	*out = '\0';
}

static void
to_wide(const char *text, char *out)
{
	for (; *text != '\0'; text++)
	{
		if (*text >= 'a' && *text <= 'z')
			out += sprintf(out, "\xef\xbd%c", 0x81 + (*text - 'a'));
		else
			*out++ = *text;
	}
	*out = '\0';
}

static void
to_accents(const char *text, char *out)
{
	for (; *text != '\0'; text++)
	{
		if (*text == 'o')
			out += sprintf(out, "\xc3\xb3");
		else if (*text == 'e')
			out += sprintf(out, "e\xcc\x81");
		else
			*out++ = *text;
	}
	*out = '\0';
}

/* Zero-width characters, as copying from some programs leaves them */
static void
to_hidden(const char *text, char *out)
{
	for (; *text != '\0'; text++)
	{
		*out++ = *text;
		if (*text >= 'a' && *text <= 'z')
			out += sprintf(out, "\xe2\x80\x8b");
	}
	*out = '\0';
}

static void
to_spaces(const char *text, char *out)
{
	for (; *text != '\0'; text++)
	{
		*out++ = *text;
		if (*text == ' ')
			out += sprintf(out, " \xc2\xa0 ");
	}
	*out = '\0';
}

static void
to_cried(const char *text, char *out)
{
	sprintf(out, "%s!!!", text);
}

static void
to_emoji(const char *text, char *out)
{
	sprintf(out, "\xf0\x9f\x99\x8f\xf0\x9f\x8f\xbd %s \xf0\x9f\x9b\x91\xef\xb8\x8f", text);
}

static void
to_signed(const char *text, char *out)
{
	sprintf(out, "%s\n\nSent from my iPhone", text);
}

static void
to_quoting(const char *text, char *out)
{
	sprintf(out, "%s\n\nOn Mon, Jan 5, 2026 at 9:12 AM Acme <a@example.com> wrote:\n"
			"> Reply START to join", text);
}

static void
to_thanks(const char *text, char *out)
{
	sprintf(out, "%s. Thank you", text);
}

static void
to_greeting(const char *text, char *out)
{
	sprintf(out, "Hi. %s", text);
}

static void
to_please(const char *text, char *out)
{
	sprintf(out, "please %s", text);
}

static void
to_reaction(const char *text, char *out)
{
	sprintf(out, "Liked \xe2\x80\x9c%s\xe2\x80\x9d", text);
}

static void
to_emoji_reaction(const char *text, char *out)
{
	sprintf(out, "\xf0\x9f\x91\x8d to \xe2\x80\x9c%s\xe2\x80\x9d", text);
}

static void
to_quoted_line(const char *text, char *out)
{
	const char *p;

	out += sprintf(out, "> ");
	for (p = text; *p != '\0'; p++)
		out += sprintf(out, *p == '\n' ? "\n> " : "%c", *p);
	sprintf(out, "\nok, see you then");
}

/* An error of the thumb in one of the longer words */
static void
to_typo(const char *text, char *out)
{
	size_t		starts[256];
	size_t		lens[256];
	size_t		words = 0;
	size_t		len = strlen(text);
	size_t		i = 0;
	size_t		at;

	while (i < len && words < 256)
	{
		size_t		start;

		while (i < len && !((text[i] | 32) >= 'a' && (text[i] | 32) <= 'z'))
			i++;
		start = i;
		while (i < len && (text[i] | 32) >= 'a' && (text[i] | 32) <= 'z')
			i++;
		if (i - start >= 6)
		{
			starts[words] = start;
			lens[words++] = i - start;
		}
	}
	strcpy(out, text);
	if (words == 0)
		return;
	i = draw((uint32_t) words);
	at = starts[i] + 1 + draw((uint32_t) lens[i] - 2);
	switch (draw(3))
	{
		case 0:					/* missing */
			strcpy(out + at, text + at + 1);
			break;
		case 1:					/* twice */
			strcpy(out + at + 1, text + at);
			break;
		default:				/* swapped */
			out[at] = text[at + 1];
			out[at + 1] = text[at];
			break;
	}
}

typedef struct Mutation
{
	const char *name;
	void		(*apply) (const char *text, char *out);
	int			least;			/* percent of opt-outs that stay what they are */
	bool		is_none;		/* nothing may be left */
} Mutation;

static const Mutation mutations[] = {
	{"in capitals", to_upper, 99, false},
	{"in small letters", to_lower, 99, false},
	{"in wide letters", to_wide, 99, false},
	{"with accents", to_accents, 99, false},
	{"with hidden characters", to_hidden, 99, false},
	{"with wide spaces", to_spaces, 99, false},
	{"cried out", to_cried, 99, false},
	{"with emoji", to_emoji, 99, false},
	{"from a telephone that says so", to_signed, 99, false},
	{"above a quoted mail", to_quoting, 99, false},
	{"with thanks", to_thanks, 98, false},
	{"with a greeting", to_greeting, 98, false},
	{"with a please", to_please, 97, false},
	{"with a typo", to_typo, 85, false},
	{"in a reaction", to_reaction, 0, true},
	{"in a reaction by emoji", to_emoji_reaction, 0, true},
	{"as a quoted line", to_quoted_line, 0, true},
};

#define MUTATIONS	(sizeof(mutations) / sizeof(mutations[0]))

typedef struct Count
{
	long		texts;
	long		held;
	long		turned;			/* opt-outs that became an opt-in */
	long		others;			/* texts that were no opt-out */
	long		taken;			/* and became one */
	long		left;			/* something where there must be nothing */
} Count;

static Count counts[MUTATIONS];

static void
mutate(const char *text, OmIntentLabel label)
{
	size_t		i;

	for (i = 0; i < MUTATIONS; i++)
	{
		char		changed[8 * MAX_TEXT];
		Count	   *count = &counts[i];
		OmIntent	out;

		mutations[i].apply(text, changed);
		om_intent_detect(changed, strlen(changed), &out);
		if (mutations[i].is_none)
		{
			count->left += out.label != OM_INTENT_NONE;
			continue;
		}
		if (label == OM_INTENT_OPT_OUT)
		{
			count->texts++;
			count->held += out.label == label;
			count->turned += out.label == OM_INTENT_OPT_IN;
		}
		else
		{
			count->others++;
			count->taken += out.label == OM_INTENT_OPT_OUT;
		}
	}
}

static long
mutate_file(const char *directory, const char *name)
{
	char		path[4096];
	char		line[MAX_TEXT];
	FILE	   *file;
	long		lines = 0;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char	   *text = strchr(line, '\t');
		OmIntent	out;

		/* line breaks are the business of the envelope's tests */
		if (text == NULL || strchr(text, '\\') != NULL || strchr(text, '"') != NULL ||
			strstr(text, "\xe2\x80\x9d") != NULL)
			continue;
		text++;
		text[strcspn(text, "\t\n")] = '\0';
		om_intent_detect(text, strlen(text), &out);
		mutate(text, out.label);
		lines++;
	}
	fclose(file);
	return lines;
}

/* Texts between people, of which none asks a company for anything */
static void
test_private(const char *directory)
{
	char		path[4096];
	char		line[MAX_TEXT];
	FILE	   *file;
	long		lines = 0;
	long		taken = 0;

	snprintf(path, sizeof(path), "%s/private_chat.txt", directory);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		OmIntent	out;

		line[strcspn(line, "\n")] = '\0';
		om_intent_detect(line, strlen(line), &out);
		taken += out.label == OM_INTENT_OPT_OUT || out.label == OM_INTENT_OPT_IN;
		lines++;
	}
	if (file != NULL)
		fclose(file);
	if (!ok(lines >= 1000 && taken * 1000 <= lines,
			"at most one private text of 1000 is taken for an opt-out or an opt-in"))
		printf("#   %ld of %ld are\n", taken, lines);
}

int
main(int argc, char **argv)
{
	static const char *const files[] = {
		"optout_dev.tsv", "optout_external.tsv", "intent_texts.tsv", "intent_texts_second.tsv",
		"intent_texts_third.tsv", "intent_texts_fourth.tsv", "intent_texts_fifth.tsv",
		"intent_texts_sixth.tsv"
	};
	const char *directory = argc > 1 ? argv[1] : "test/data";
	const char *wanted = getenv("OMNIMSG_SEED");
	size_t		i;

	seed = wanted != NULL ? strtoull(wanted, NULL, 10) : 20261123;
	printf("# OMNIMSG_SEED=%llu\n", (unsigned long long) seed);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		ok(mutate_file(directory, files[i]) > 100, "there are texts in %s", files[i]);
	test_private(directory);
	for (i = 0; i < MUTATIONS; i++)
	{
		const Count *count = &counts[i];

		if (mutations[i].is_none)
		{
			if (!ok(count->left == 0, "nothing that is %s is read", mutations[i].name))
				printf("#   %ld are\n", count->left);
			continue;
		}
		if (!ok(count->held * 100 >= count->texts * mutations[i].least,
				"an opt-out %s is one in %d of 100", mutations[i].name, mutations[i].least))
			printf("#   %ld of %ld are\n", count->held, count->texts);
		ok(count->turned == 0, "an opt-out %s is never an opt-in", mutations[i].name);
		if (!ok(count->taken * 200 <= count->others,
				"another text %s becomes an opt-out in less than one of 200", mutations[i].name))
			printf("#   %ld of %ld do\n", count->taken, count->others);
	}
	return done_testing();
}
