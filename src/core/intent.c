/*
 * intent.c
 *		What a text message asks of its receiver: to stop, to start again, for help.
 *
 * First the message as a whole: a keyword, with politeness and decoration around it, or a
 * typo of one.  Then the rules of intent_rules.c, on a window of words that moves over a
 * long message.  Time is linear, memory is fixed.
 */
#include "intent.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "intent_phrase.h"
#include "intent_tokens.h"
#include "intent_words.h"

/* Words that are looked at together, and how many of them are seen again with the next */
#define WINDOW			160
#define OVERLAP			40

/* More words than this are no keyword message, however often STOP is repeated */
#define MAX_WHOLE		32

/* More letters than this are no keyword, however they are spaced */
#define MAX_JOINED		16

/* A keyword as it is written in rule names, for each word that stands for one */
typedef struct Keyword
{
	const char *text;			/* joined */
	OmIntentLabel label;
	const char *rule;
	const char *language;
	bool		fuzzy;			/* a typo of it means it */
	bool		alone;			/* counts only by itself */
	bool		plain;			/* only in letters without accents */
} Keyword;

#define OPT_OUT		OM_INTENT_OPT_OUT
#define MAYBE		OM_INTENT_MAYBE_OPT_OUT
#define OPT_IN		OM_INTENT_OPT_IN
#define HELP		OM_INTENT_HELP

static const Keyword keywords[] = {
	{"stop", OPT_OUT, "keyword:stop", "en", true, false, false},
	{"sotp", OPT_OUT, "keyword:stop", "en", false, false, false},
	{"stpo", OPT_OUT, "keyword:stop", "en", false, false, false},
	{"stopp", OPT_OUT, "keyword:stop", "en", false, false, false},
	{"stahp", OPT_OUT, "keyword:stop", "en", false, false, false},
	{"stoppub", OPT_OUT, "keyword:stop", "fr", false, false, false},
	{"stopall", OPT_OUT, "keyword:stopall", "en", true, false, false},
	{"unsubscribe", OPT_OUT, "keyword:unsubscribe", "en", true, false, false},
	{"unsubscribed", OPT_OUT, "keyword:unsubscribe", "en", false, false, false},
	{"unsubcribe", OPT_OUT, "keyword:unsubscribe", "en", false, false, false},
	{"unsuscribe", OPT_OUT, "keyword:unsubscribe", "en", false, false, false},
	{"unsubscribeme", OPT_OUT, "keyword:unsubscribe", "en", true, false, false},
	{"unsub", OPT_OUT, "keyword:unsub", "en", false, false, false},
	{"revoke", OPT_OUT, "keyword:revoke", "en", true, false, false},
	{"optout", OPT_OUT, "keyword:optout", "en", true, false, false},
	{"optoutt", OPT_OUT, "keyword:optout", "en", true, false, false},
	{"optedout", OPT_OUT, "keyword:optout", "en", false, false, false},
	{"optingout", OPT_OUT, "keyword:optout", "en", true, false, false},
	{"end", OPT_OUT, "keyword:end", "en", false, false, false},
	{"cancel", OPT_OUT, "keyword:cancel", "en", true, false, false},
	{"quit", OPT_OUT, "keyword:quit", "en", true, false, false},
	{"remove", OPT_OUT, "keyword:remove", "en", true, false, false},
	{"removeme", OPT_OUT, "keyword:remove", "en", true, false, false},
	{"exit", OPT_OUT, "keyword:exit", "en", true, false, false},
	{"delete", OPT_OUT, "keyword:delete", "en", true, false, false},
	{"cease", OPT_OUT, "keyword:cease", "en", false, false, false},
	{"discontinue", OPT_OUT, "keyword:discontinue", "en", true, false, false},
	{"parar", OPT_OUT, "keyword:parar", "es", false, false, false},
	{"paren", OPT_OUT, "keyword:parar", "es", false, false, false},
	{"detener", OPT_OUT, "keyword:detener", "es", true, false, false},
	{"alto", OPT_OUT, "keyword:alto", "es", false, false, false},
	{"basta", OPT_OUT, "keyword:basta", "es", false, false, false},
	{"baja", OPT_OUT, "keyword:baja", "es", false, false, false},
	{"cancelar", OPT_OUT, "keyword:cancelar", "es", false, false, false},
	{"nomas", OPT_OUT, "keyword:no mas", "es", false, false, false},
	{"desuscribir", OPT_OUT, "keyword:desuscribir", "es", true, false, false},
	{"desuscribirme", OPT_OUT, "keyword:desuscribir", "es", true, false, false},
	{"arret", OPT_OUT, "keyword:arret", "fr", false, false, false},
	{"arrete", OPT_OUT, "keyword:arrete", "fr", false, false, false},
	{"arretez", OPT_OUT, "keyword:arretez", "fr", true, false, false},
	{"arreter", OPT_OUT, "keyword:arreter", "fr", false, false, false},
	{"arrett", OPT_OUT, "keyword:arrett", "fr", false, false, false},
	{"desabonner", OPT_OUT, "keyword:desabonner", "fr", true, false, false},
	{"desabonnement", OPT_OUT, "keyword:desabonner", "fr", true, false, false},
	{"desinscrire", OPT_OUT, "keyword:desinscrire", "fr", true, false, false},
	{"desinscription", OPT_OUT, "keyword:desinscrire", "fr", true, false, false},
	/* "sair" is also to go out */
	{"sair", OPT_OUT, "keyword:sair", "pt", false, false, false},
	{"descadastrar", OPT_OUT, "keyword:descadastrar", "pt", true, false, false},
	{"descadastre", OPT_OUT, "keyword:descadastrar", "pt", false, false, false},
	{"pare", OPT_OUT, "keyword:pare", "pt", false, false, false},
	{"parem", OPT_OUT, "keyword:pare", "pt", false, false, false},

	/* an opt-in that was none costs a lawsuit, one that was missed another text: no typos */
	{"start", OPT_IN, "keyword:start", "en", false, false, false},
	{"unstop", OPT_IN, "keyword:unstop", "en", false, false, false},
	{"subscribe", OPT_IN, "keyword:subscribe", "en", false, false, false},
	{"resubscribe", OPT_IN, "keyword:resubscribe", "en", false, false, false},
	{"optin", OPT_IN, "keyword:optin", "en", false, false, false},
	/* with accents it is a CV, which is what people send to an employer */
	{"resume", OPT_IN, "keyword:resume", "en", false, true, true},
	{"resumeall", OPT_IN, "keyword:resume all", "en", false, true, true},
	{"inicio", OPT_IN, "keyword:inicio", "es", false, true, false},
	{"comenzar", OPT_IN, "keyword:comenzar", "es", false, true, false},

	{"help", HELP, "keyword:help", "en", false, false, false},
	{"hlep", HELP, "keyword:help", "en", false, false, false},
	{"hepl", HELP, "keyword:help", "en", false, false, false},
	{"halp", HELP, "keyword:help", "en", false, false, false},
	{"info", HELP, "keyword:info", "en", false, false, false},
	{"information", HELP, "keyword:info", "en", false, false, false},
	{"aide", HELP, "keyword:aide", "fr", false, false, false},
	{"ayuda", HELP, "keyword:ayuda", "es", false, false, false},
	{"ajuda", HELP, "keyword:ajuda", "pt", false, false, false},

	/* somebody may have begun one of the others, or wants to be gone */
	{"s", MAYBE, "maybe:word", "en", false, true, false},
	{"x", MAYBE, "maybe:word", "en", false, true, false},
	{"opt", MAYBE, "maybe:word", "en", false, true, false},
	{"output", MAYBE, "maybe:word", "en", false, true, false},
	{"dropout", MAYBE, "maybe:word", "en", false, true, false},
	{"droptout", MAYBE, "maybe:word", "en", false, true, false},
	{"remote", MAYBE, "maybe:word", "en", false, true, false},
	{"removed", MAYBE, "maybe:word", "en", false, true, false},
	{"block", MAYBE, "maybe:word", "en", false, true, false},
	{"blocked", MAYBE, "maybe:word", "en", false, true, false},
	{"youreblocked", MAYBE, "maybe:word", "en", false, true, false},
	{"blocking", MAYBE, "maybe:word", "en", false, true, false},
	{"reported", MAYBE, "maybe:word", "en", false, true, false},
	{"goodbye", MAYBE, "maybe:word", "en", false, true, false},
	{"leave", MAYBE, "maybe:word", "en", false, true, false},
	{"nomore", MAYBE, "maybe:word", "en", false, true, false},
};

#define KEYWORDS	(sizeof(keywords) / sizeof(keywords[0]))

static const Keyword *
find_keyword(const char *joined, size_t len)
{
	size_t		i;

	for (i = 0; i < KEYWORDS; i++)
	{
		if (keywords[i].text[0] == joined[0] && strncmp(keywords[i].text, joined, len) == 0 &&
			keywords[i].text[len] == '\0')
			return &keywords[i];
	}
	return NULL;
}

/* The keyword of which the letters are a typo: one error, two in a long word */
static const Keyword *
guess_keyword(const char *joined, size_t len)
{
	size_t		i;

	if (len < 4)
		return NULL;
	for (i = 0; i < KEYWORDS; i++)
	{
		size_t		n;

		if (!keywords[i].fuzzy)
			continue;
		n = strlen(keywords[i].text);
		if (om_intent_near(joined, len, keywords[i].text, n))
			return &keywords[i];
		/* nothing else that begins and ends like this is short */
		if (n == 6 && memcmp(keywords[i].text, "optout", 6) == 0 && (len == 5 || len == 6) &&
			memcmp(joined, "op", 2) == 0 && joined[len - 1] == 't')
			return &keywords[i];
		/* two errors: one of them a letter that is missing or too much */
		if (n >= 9 && len <= n + 2 && joined[0] == keywords[i].text[0])
		{
			char		shorter[MAX_JOINED];
			size_t		k;

			for (k = 1; k < len; k++)
			{
				memcpy(shorter, joined, k);
				memcpy(shorter + k, joined + k + 1, len - k - 1);
				if (om_intent_near(shorter, len - 1, keywords[i].text, n))
					return &keywords[i];
			}
		}
	}
	return NULL;
}

/* Two keywords without a blank between, or one with a letter before or behind it */
static const Keyword *
split_keyword(const char *joined, size_t len)
{
	size_t		i;

	for (i = 3; i + 3 <= len; i++)
	{
		const Keyword *first = find_keyword(joined, i);
		const Keyword *second = find_keyword(joined + i, len - i);

		if (second != NULL && second->label == OPT_OUT &&
			((first != NULL && first->label == OPT_OUT) || (i == 3 && memcmp(joined, "opt", 3) == 0)))
			return second;
	}
	if (len >= 8)
	{
		const Keyword *inner = find_keyword(joined + 2, len - 2);

		return inner != NULL && inner->fuzzy ? inner : NULL;
	}
	return NULL;
}

static void
decide(OmIntent *out, OmIntentLabel label, double confidence, const char *rule,
	   const char *language, const char *channel, size_t start, size_t end)
{
	out->label = label;
	out->confidence = confidence;
	out->rule = rule;
	out->language = language;
	out->channel = channel;
	out->span_start = start;
	out->span_end = end;
}

static bool
is_plain(const OmToken *tokens, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
	{
		if (!tokens[i].plain)
			return false;
	}
	return true;
}

/* Does the token change nothing about a keyword beside it? */
static bool
is_filler(const OmToken *tokens, size_t n, size_t i)
{
	const uint16_t polite = OM_U_FILL | OM_U_SWEAR;
	size_t		j;

	if ((tokens[i].use & polite) != 0)
		return true;
	if ((tokens[i].use & OM_U_FILLPART) == 0)
		return false;
	/* "thank you so much": some words need another that is polite by itself */
	for (j = i; j > 0 && (tokens[j - 1].use & (polite | OM_U_FILLPART)) == OM_U_FILLPART; j--)
		;
	if (j > 0 && (tokens[j - 1].use & polite) != 0)
		return true;
	for (j = i + 1; j < n && (tokens[j].use & (polite | OM_U_FILLPART)) == OM_U_FILLPART; j++)
		;
	return j < n && (tokens[j].use & polite) != 0;
}

/* The keyword that takes the most of the tokens: "opt out" before "opt" */
static const Keyword *
keyword_at(const char *text, const OmToken *tokens, size_t n, size_t *used)
{
	char		joined[MAX_JOINED + OM_INTENT_MAX_WORD + 1];
	const Keyword *best = NULL;
	size_t		len = 0;
	size_t		i;

	for (i = 0; i < n && i < 3; i++)
	{
		const Keyword *keyword;

		if (tokens[i].word != 0)
		{
			const char *known = om_intent_words[tokens[i].word].text;

			memcpy(joined + len, known, strlen(known));
			len += strlen(known);
		}
		else
		{
			size_t		size = om_token_text(text, &tokens[i], joined + len,
											 OM_INTENT_MAX_WORD + 1);

			if (size == 0)
				break;
			len += size;
		}
		if (len > MAX_JOINED)
			break;
		keyword = find_keyword(joined, len);
		if (keyword != NULL)
		{
			best = keyword;
			*used = i + 1;
		}
	}
	return best;
}

/* Opting out is never lost to another word, opting in never wins from one */
static int
rank(OmIntentLabel label)
{
	switch (label)
	{
		case OM_INTENT_OPT_OUT:
			return 4;
		case OM_INTENT_HELP:
			return 3;
		case OM_INTENT_OPT_IN:
			return 2;
		case OM_INTENT_MAYBE_OPT_OUT:
			return 1;
		default:
			return 0;
	}
}

/* Words around "help" that make no other request of it */
static bool
is_help_filler(const OmToken *token)
{
	return (token->use & (OM_U_FILL | OM_U_FILLPART)) != 0 ||
		om_token_is(token, "need|can|could|someone|somebody|anyone|anybody|some|more|get|want|would|like|please");
}

/* Is the message nothing but keywords and what changes nothing about them? */
static bool
detect_whole(const char *text, const OmToken *tokens, size_t n, OmIntent *out)
{
	const Keyword *best = NULL;
	size_t		best_start = 0;
	size_t		best_used = 0;
	bool		help = false;
	bool		only = true;	/* and politeness */
	bool		asks = false;
	size_t		i;

	/* who can help asks for none */
	if (n > 1 && om_token_is(&tokens[0], "i|we") && om_token_is(&tokens[1], "can|could"))
		return false;
	for (i = 0; i < n && !asks; i++)
		asks = (tokens[i].use & OM_U_KEYHELP) != 0;

	i = 0;
	while (i < n)
	{
		size_t		used = 1;
		const Keyword *keyword = NULL;

		/* or the second half of one: "un subscribe" must not be read as "subscribe" */
		if (n <= 3 || (tokens[i].use & (OM_U_KEY | OM_U_KEYIN | OM_U_KEYHELP)) != 0 ||
			(i + 1 < n && (tokens[i + 1].use & (OM_U_KEY | OM_U_KEYIN)) != 0) ||
			(tokens[i].mask & (OM_W_OPT | OM_W_NEG)) != 0)
			keyword = keyword_at(text, tokens + i, n - i, &used);

		if (keyword != NULL && keyword->plain && !is_plain(tokens + i, used))
			return false;
		if (keyword != NULL && keyword->alone && used != n)
			keyword = NULL;
		if (keyword == NULL)
		{
			used = 1;
			if (!is_filler(tokens, n, i))
			{
				/* a name below it: "STOP -Dave" */
				if (!(i > 0 && i + 1 == n && tokens[i].before != 0 && tokens[i].word == 0 &&
					  tokens[i].mask == 0 && best != NULL && best->label == OPT_OUT &&
					  text[tokens[i].start] >= 'A' && text[tokens[i].start] <= 'Z'))
				{
					only = false;
					if (!asks || !is_help_filler(&tokens[i]))
						return false;
				}
			}
		}
		else if (best == NULL || rank(keyword->label) > rank(best->label))
		{
			best = keyword;
			best_start = i;
			best_used = used;
		}
		help |= keyword != NULL && keyword->label == HELP;
		i += used;
	}
	if (best == NULL || (!only && (!help || best->label != HELP)))
		return false;
	/* "yes, send the info" asks for something else */
	for (i = 0; i < n && best->label == HELP; i++)
	{
		if (om_token_is(&tokens[i], "send|sent|the"))
			return false;
	}
	decide(out, best->label, best->label == MAYBE ? 0.5 : 0.99, best->rule, best->language, "all",
		   tokens[best_start].start, tokens[best_start + best_used - 1].end);
	return true;
}

/*
 * The letters of a short message, its politeness left out, are a keyword all the same when
 * there is a typo in it or something between its letters, as in "S T O P", "opt ou", "STO P".
 */
static bool
detect_joined(const char *text, const OmToken *tokens, size_t n, OmIntent *out)
{
	char		joined[MAX_JOINED + OM_INTENT_MAX_WORD + 1];
	const Keyword *keyword;
	size_t		len = 0;
	size_t		words = 0;
	size_t		known = 0;
	size_t		first = n;
	size_t		last = 0;
	size_t		letters = 0;
	size_t		i;

	for (i = 0; i < n; i++)
	{
		size_t		size;

		if (tokens[i].len > 1 && is_filler(tokens, n, i))
			continue;
		size = om_token_text(text, &tokens[i], joined + len, OM_INTENT_MAX_WORD + 1);
		len += size;
		if (size == 0 || len > MAX_JOINED)
			return false;
		if (first == n)
			first = i;
		last = i;
		words++;
		letters += size == 1;
		if (words > 3 && letters != words)
			return false;
		/* typos that stand in the lexicon are no words either */
		known += tokens[i].word != 0 && !tokens[i].typo && size > 2 &&
			((tokens[i].mask & OM_W_STOP) == 0 || (tokens[i].use & OM_U_KEY) != 0);
	}
	if (words == 0)
		return false;
	keyword = find_keyword(joined, len);
	/* words that mean something are no typo, unless it is of "opt out" */
	if (keyword == NULL && (known == 0 || (words == 2 && (memcmp(joined, "opt", 3) == 0 ||
												  (tokens[last].mask & OM_W_OUT) != 0))))
		keyword = guess_keyword(joined, len);
	if (keyword == NULL && (words == 1 ? known == 0 : memcmp(joined, "opt", 3) == 0))
		keyword = split_keyword(joined, len);
	if (keyword == NULL && words == 1 && len == 4 && memcmp(joined, "ptut", 4) == 0)
		keyword = find_keyword("optout", 6);
	if (keyword == NULL || keyword->label != OPT_OUT)
		return false;
	decide(out, keyword->label, 0.9, keyword->rule, keyword->language, "all",
		   tokens[first].start, tokens[last].end);
	return true;
}

/* The medium that a phrase names, when it names one only */
static const char *
channel_of(const OmToken *tokens, size_t n, const OmPhrase *phrase)
{
	uint16_t	named = 0;
	size_t		i;

	for (i = phrase->first; i < n && (i <= phrase->last || tokens[i].before == 0); i++)
		named |= tokens[i].use & (OM_U_CH_SMS | OM_U_CH_VOICE | OM_U_CH_EMAIL);
	switch (named)
	{
		case OM_U_CH_SMS:
			return "sms";
		case OM_U_CH_VOICE:
			return "voice";
		case OM_U_CH_EMAIL:
			return "email";
		default:
			return "all";
	}
}

static const char *
language_of(const OmToken *tokens, const OmPhrase *phrase)
{
	size_t		i;

	for (i = phrase->first; i <= phrase->last; i++)
	{
		const char *language = om_intent_words[tokens[i].word].language;

		if (language[0] != '\0' && strcmp(language, "en") != 0)
			return language;
	}
	return "en";
}

/* Let the rules decide about the tokens; true when nothing can win from it */
static bool
detect_phrases(const OmTokenReader *reader, const OmToken *tokens, size_t n, OmIntent *out)
{
	OmPhrase	phrase;

	om_phrase_find(reader->text, tokens, n, reader->laughing, &phrase);
	if (phrase.rule != NULL && rank(phrase.label) > rank(out->label))
		decide(out, phrase.label, phrase.label == MAYBE ? 0.5 : 0.9, phrase.rule->name,
			   language_of(tokens, &phrase), channel_of(tokens, n, &phrase),
			   tokens[phrase.first].start, tokens[phrase.last].end);
	return out->label == OPT_OUT;
}

/* STOP and words in letters that nobody here can read */
static void
detect_foreign(const char *text, const OmToken *tokens, size_t n, OmIntent *out)
{
	size_t		i;

	if (n < 2 || (tokens[0].mask & OM_W_CLAUSE) == 0)
		return;
	for (i = 1; i < n; i++)
	{
		char		word[OM_INTENT_MAX_WORD + 1];

		if (tokens[i].word != 0 ||
			(om_token_text(text, &tokens[i], word, sizeof(word)) != 0 && strchr(word, '?') == NULL))
			return;
	}
	decide(out, MAYBE, 0.5, "contains:stop", "en", "all", tokens[0].start, tokens[0].end);
}

OmIntentLabel
om_intent_detect(const char *text, size_t len, OmIntent *out)
{
	OmToken		tokens[WINDOW];
	OmTokenReader reader;
	size_t		n = 0;
	bool		more;

	decide(out, OM_INTENT_NONE, 0, "", "en", "", 0, 0);
	if (text == NULL)
		return out->label;

	om_tokens_begin(&reader, text, len);
	while ((more = om_tokens_next(&reader, &tokens[n])) && ++n < WINDOW)
		;
	if (n == 0)
		return out->label;
	om_tokens_place(tokens, n, !more);
	if (n <= MAX_WHOLE && !more &&
		(detect_whole(text, tokens, n, out) || detect_joined(text, tokens, n, out)))
		return out->label;
	for (;;)
	{
		if (detect_phrases(&reader, tokens, n, out) || !more)
			break;
		memmove(tokens, tokens + n - OVERLAP, OVERLAP * sizeof(tokens[0]));
		n = OVERLAP;
		while ((more = om_tokens_next(&reader, &tokens[n])) && ++n < WINDOW)
			;
		om_tokens_place(tokens, n, !more);
	}
	if (out->label == OM_INTENT_NONE && n <= MAX_WHOLE)
		detect_foreign(text, tokens, n, out);
	return out->label;
}

size_t
om_intent_keyword(const char *text, size_t len, char *key, size_t size)
{
	OmToken		tokens[MAX_WHOLE];
	OmTokenReader reader;
	size_t		n = 0;
	size_t		first = 0;
	size_t		last;
	size_t		used = 0;

	if (text == NULL || size == 0)
		return 0;
	key[0] = '\0';
	om_tokens_begin(&reader, text, len);
	while (n < MAX_WHOLE && om_tokens_next(&reader, &tokens[n]))
		n++;
	if (n == MAX_WHOLE)
		return 0;				/* that many words are no keyword */
	while (first < n && is_filler(tokens, n, first))
		first++;
	for (last = n; last > first && is_filler(tokens, n, last - 1); last--)
		;
	for (; first < last; first++)
	{
		size_t		added;

		if (used > 0 && used + 1 < size)
			key[used++] = ' ';
		added = om_token_text(text, &tokens[first], key + used, size - used);
		if (added == 0)
		{
			key[0] = '\0';
			return 0;
		}
		used += added;
	}
	return used;
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
