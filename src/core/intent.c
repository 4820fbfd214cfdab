/*
 * intent.c
 *		What a text message asks of its receiver: to stop, to start again, for help.
 *
 * The message is cut into folded words.  The first few of them are kept, because only
 * a message of few words can be a keyword as a whole; the rest is only searched for
 * words that a person should read about.  Time is linear, memory is fixed.
 */
#include "intent.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "intent_words.h"
#include "letters.h"
#include "utf8.h"

/* More words than this are no keyword message, however often STOP is repeated */
#define MAX_WHOLE_TOKENS	24

/* Longer words are in no list */
#define MAX_TOKEN_LEN		15

#define KEYWORD_CONFIDENCE	0.99
#define MAYBE_CONFIDENCE	0.5

/* One word of the message */
typedef struct Token
{
	char		text[MAX_TOKEN_LEN + 1];	/* folded; "" when it is too long for any list */
	size_t		start;			/* byte offsets into the message */
	size_t		end;
} Token;

typedef struct Reader
{
	const char *text;
	size_t		len;
	size_t		pos;
} Reader;

/* Read the next word; false at the end of the message */
static bool
next_token(Reader *reader, Token *token)
{
	size_t		n = 0;
	bool		too_long = false;

	token->start = 0;
	while (reader->pos < reader->len)
	{
		uint32_t	code;
		size_t		start = reader->pos;
		size_t		size = om_utf8_decode(reader->text + start, reader->len - start,
										  &code);
		char		letter = om_letter_fold(code);

		reader->pos += size;
		if (letter == OM_LETTER_NONE)
			continue;
		if (letter == OM_LETTER_BREAK)
		{
			if (n > 0)
				break;
			continue;
		}
		if (n == 0)
			token->start = start;
		token->end = reader->pos;
		if (n < MAX_TOKEN_LEN)
			token->text[n++] = letter;
		else
			too_long = true;
	}
	token->text[too_long ? 0 : n] = '\0';
	return n > 0;
}

/*
 * How many of the n tokens the phrase takes, 0 when they do not begin with it
 */
static size_t
match_phrase(const char *phrase, const Token *tokens, size_t n)
{
	size_t		used;

	for (used = 0; used < n; used++)
	{
		size_t		len = strlen(tokens[used].text);

		if (len == 0 || strncmp(phrase, tokens[used].text, len) != 0)
			return 0;
		phrase += len;
		if (*phrase == '\0')
			return used + 1;
		if (*phrase != ' ')
			return 0;
		phrase++;
	}
	return 0;
}

static bool
match_word(const OmIntentWord *word, const Token *tokens, size_t n, size_t *used)
{
	if (word->words[0] != tokens[0].text[0])
		return false;
	*used = match_phrase(word->words, tokens, n);
	if (*used == 0)
		return false;

	/* A letter that was folded from something else takes more bytes than one */
	if ((word->flags & OM_INTENT_PLAIN) != 0)
	{
		size_t		i;

		for (i = 0; i < *used; i++)
		{
			if (tokens[i].end - tokens[i].start != strlen(tokens[i].text))
				return false;
		}
	}
	return true;
}

/* The entry that takes the most tokens, so that "stop all" comes before "stop" */
static const OmIntentWord *
find_word(const Token *tokens, size_t n, size_t *used)
{
	const OmIntentWord *best = NULL;
	const OmIntentWord *word;

	*used = 0;
	for (word = om_intent_words; word->words != NULL; word++)
	{
		size_t		matched;

		if (match_word(word, tokens, n, &matched) && matched > *used)
		{
			best = word;
			*used = matched;
		}
	}
	return best;
}

static size_t
match_filler(const Token *tokens, size_t n)
{
	const char *const *filler;

	for (filler = om_intent_fillers; *filler != NULL; filler++)
	{
		size_t		used;

		if ((*filler)[0] != tokens[0].text[0])
			continue;
		used = match_phrase(*filler, tokens, n);
		if (used > 0)
			return used;
	}
	return 0;
}

/* Opting out is never lost to another word, opting in never wins from one */
static int
label_rank(OmIntentLabel label)
{
	switch (label)
	{
		case OM_INTENT_OPT_OUT:
			return 3;
		case OM_INTENT_HELP:
			return 2;
		case OM_INTENT_OPT_IN:
			return 1;
		default:
			return 0;
	}
}

static void
decide(OmIntent *out, const OmIntentWord *word, OmIntentLabel label,
	   size_t start, size_t end)
{
	bool		maybe = label == OM_INTENT_MAYBE_OPT_OUT;

	out->label = label;
	out->confidence = maybe ? MAYBE_CONFIDENCE : KEYWORD_CONFIDENCE;
	out->rule = maybe ? word->contains_rule : word->keyword_rule;
	out->language = word->language;
	out->channel = "all";
	out->span_start = start;
	out->span_end = end;
}

/*
 * Is the message nothing but keywords and politeness?  A word that counts only alone
 * makes a message with more in it one that a person should read, if it is one of
 * opting out, and nothing otherwise.
 */
static bool
detect_whole(const Token *tokens, size_t n, OmIntent *out)
{
	const OmIntentWord *best = NULL;
	size_t		best_start = 0;
	size_t		best_used = 0;
	size_t		i = 0;

	while (i < n)
	{
		size_t		used;
		const OmIntentWord *word = find_word(tokens + i, n - i, &used);

		if (word == NULL)
		{
			used = match_filler(tokens + i, n - i);
			if (used == 0)
				return false;
		}
		else if (best == NULL || label_rank(word->label) > label_rank(best->label) ||
				 (word->label == best->label && (best->flags & OM_INTENT_ALONE) != 0 &&
				  (word->flags & OM_INTENT_ALONE) == 0))
		{
			best = word;
			best_start = i;
			best_used = used;
		}
		i += used;
	}
	if (best == NULL)
		return false;

	if ((best->flags & OM_INTENT_ALONE) != 0 && best_used != n)
	{
		if (best->label != OM_INTENT_OPT_OUT)
			return false;
		decide(out, best, OM_INTENT_MAYBE_OPT_OUT, tokens[best_start].start,
			   tokens[best_start + best_used - 1].end);
		return true;
	}
	decide(out, best, best->label, tokens[best_start].start,
		   tokens[best_start + best_used - 1].end);
	return true;
}

/*
 * Letters with something between each of them, as in "S T O P" or "s.t.o.p", make one
 * word.  False when the tokens are anything else.
 */
static bool
join_letters(const Token *tokens, size_t n, Token *joined)
{
	size_t		i;

	if (n < 3 || n > MAX_TOKEN_LEN)
		return false;
	for (i = 0; i < n; i++)
	{
		if (tokens[i].text[0] == '\0' || tokens[i].text[1] != '\0')
			return false;
		joined->text[i] = tokens[i].text[0];
	}
	joined->text[n] = '\0';
	joined->start = tokens[0].start;
	joined->end = tokens[n - 1].end;
	return true;
}

/* Search a message for the first word that a person should read about */
static void
detect_contained(const char *text, size_t len, OmIntent *out)
{
	Reader		reader = {text, len, 0};
	Token		window[OM_INTENT_MAX_WORDS];
	size_t		n = 0;

	for (;;)
	{
		const OmIntentWord *word;
		size_t		used;

		while (n < OM_INTENT_MAX_WORDS && next_token(&reader, &window[n]))
			n++;
		if (n == 0)
			return;
		word = find_word(window, n, &used);
		if (word != NULL && (word->flags & OM_INTENT_CONTAINED) != 0)
		{
			decide(out, word, OM_INTENT_MAYBE_OPT_OUT, window[0].start,
				   window[used - 1].end);
			return;
		}
		n--;
		memmove(window, window + 1, n * sizeof(window[0]));
	}
}

OmIntentLabel
om_intent_detect(const char *text, size_t len, OmIntent *out)
{
	Reader		reader = {text, len, 0};
	Token		tokens[MAX_WHOLE_TOKENS + 1];
	Token		joined;
	size_t		n = 0;

	out->label = OM_INTENT_NONE;
	out->confidence = 0;
	out->rule = "";
	out->language = "en";
	out->channel = "";
	out->span_start = 0;
	out->span_end = 0;
	if (text == NULL)
		return out->label;

	while (n <= MAX_WHOLE_TOKENS && next_token(&reader, &tokens[n]))
		n++;
	if (n == 0)
		return out->label;
	if (n <= MAX_WHOLE_TOKENS &&
		(detect_whole(tokens, n, out) ||
		 (join_letters(tokens, n, &joined) && detect_whole(&joined, 1, out))))
		return out->label;
	detect_contained(text, len, out);
	return out->label;
}

const char *
om_intent_label_name(OmIntentLabel label)
{
	switch (label)
	{
		case OM_INTENT_NONE:
			break;
		case OM_INTENT_OPT_OUT:
			return "opt_out";
		case OM_INTENT_OPT_IN:
			return "opt_in";
		case OM_INTENT_HELP:
			return "help";
		case OM_INTENT_MAYBE_OPT_OUT:
			return "maybe_opt_out";
	}
	return "none";
}

const char *
om_intent_version(void)
{
	return OM_INTENT_WORDS_VERSION;
}
