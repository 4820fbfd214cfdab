/*
 * intent_phrase.c
 *		Applying the rules of intent_rules.c to a row of tokens.
 *
 * Most messages have no word that any rule needs: one look at the classes of all words
 * together settles them.
 */
#include "intent_phrase.h"

#include <string.h>

#define NOTHING		SIZE_MAX

/* How far around a match its limits are looked for */
#define SCOPE_TOKENS	16

/* What a token is by its place */
#define PLACES			(OM_W_BEGIN | OM_W_END | OM_W_LOOSE)

typedef struct Row
{
	const char *text;
	const OmToken *tokens;
	size_t		n;
	uint64_t	have;			/* classes of all tokens together */
	uint64_t	words;			/* bits of their words, as in OmElement */
	bool		laughing;
} Row;

bool
om_token_is(const OmToken *token, const char *words)
{
	const char *known;
	size_t		len;

	if (token->word == 0)
		return false;
	known = om_intent_words[token->word].text;
	for (;;)
	{
		for (len = 0; known[len] != '\0' && words[len] == known[len]; len++)
			;
		if (known[len] == '\0' && (words[len] == '\0' || words[len] == '|'))
			return true;
		for (words += len; *words != '|'; words++)
		{
			if (*words == '\0')
				return false;
		}
		words++;
	}
}

static bool
is_last_element(const OmElement *element)
{
	return element->any == 0 && element->all == 0 && element->words == NULL;
}

static bool
is_one_of(const OmToken *token, const OmElement *element)
{
	const uint16_t *word;

	if (token->word == 0 || (element->bits >> (token->word & 63) & 1) == 0)
		return false;
	for (word = element->words; *word != 0; word++)
	{
		if (*word == token->word)
			return true;
	}
	return false;
}

static bool
element_matches(const OmElement *element, const OmToken *token)
{
	return (element->any == 0 || (token->mask & element->any) != 0) &&
		(token->mask & element->all) == element->all &&
		(element->words == NULL || is_one_of(token, element));
}

/*
 * Where an article can stand, so can an adjective, which is in no list: "political texts".
 * What follows "to" or stands before an article is a verb, though: "to miss your texts".
 */
static bool
is_skipped(const Row *row, const OmElement *element, size_t i)
{
	const OmToken *token = &row->tokens[i];

	if (element->skip == ~UINT64_C(0) || (token->mask & element->skip) != 0)
		return true;
	return (element->skip & OM_W_DET) != 0 && (token->mask & ~PLACES) == 0 && i > 0 &&
		!om_token_is(&row->tokens[i - 1], "to") && i + 1 < row->n &&
		(row->tokens[i + 1].mask & (OM_W_DET | OM_W_MY | OM_W_YOUR | OM_W_ME)) == 0;
}

/*
 * Match the elements from the given one on at token i or behind it.  Returns the last
 * token of the match, or NOTHING.
 */
static size_t
match_elements(const Row *row, const OmElement *element, size_t i, size_t left, bool cross)
{
	size_t		skipped;

	for (skipped = 0; i < row->n; skipped++, i++)
	{
		const OmToken *token = &row->tokens[i];

		if (token->before == OM_BREAK_HARD && !cross)
			return NOTHING;
		if (element_matches(element, token))
		{
			size_t		last;

			if (left == 1 || is_last_element(element + 1))
				return i;
			last = match_elements(row, element + 1, i + 1, left - 1, cross);
			if (last != NOTHING)
				return last;
		}
		if (skipped >= element->gap || !is_skipped(row, element, i))
			return NOTHING;
	}
	return NOTHING;
}

/* Is there a class missing that the rule cannot do without? */
static bool
is_hopeless(const OmRule *rule, const Row *row)
{
	size_t		i;

	for (i = 0; i < OM_RULE_MAX_ELEMENTS && !is_last_element(&rule->elements[i]); i++)
	{
		const OmElement *element = &rule->elements[i];

		if ((element->any != 0 && (element->any & row->have) == 0) ||
			(element->words != NULL && (element->bits & row->words) == 0))
			return true;
	}
	return false;
}

/* "no" before an order is an answer, in English: "no stop texting me" */
static bool
is_plain_no(const Row *row, size_t i, size_t head)
{
	return om_token_is(&row->tokens[i], "no") &&
		(i + 1 == head || (i + 2 == head && om_token_is(&row->tokens[i + 1], "really|please|just|now"))) &&
		strcmp(om_intent_words[row->tokens[head].word].language, "en") == 0;
}

/*
 * Does something before the head say that it is not to be done?  Only words that can
 * stand between a negation and what it negates are looked through.  "If you don't stop"
 * and "why won't you stop" are orders all the same.
 */
static bool
is_negated(const Row *row, size_t head)
{
	const uint64_t through = OM_W_ADV | OM_W_WANT | OM_W_YOU | OM_W_SAID | OM_W_AUX | OM_W_ME |
		OM_W_DET | OM_W_TEXTV | OM_W_OTHER;
	size_t		i = head;
	size_t		steps;

	for (steps = 0; steps < 6 && i > 0; steps++)
	{
		if (row->tokens[i].before != 0)
			return false;
		i--;
		if ((row->tokens[i].mask & (OM_W_NEG | OM_W_NEGX)) != 0 && !is_plain_no(row, i, head))
		{
			bool		you = i + 1 < row->n && (row->tokens[i + 1].mask & OM_W_YOU) != 0;
			size_t		j;

			/* "do you not", "can you not stop" */
			for (j = i; j > 0 && i - j < 3 && row->tokens[j].before == 0; j--)
			{
				if ((row->tokens[j - 1].mask & OM_W_YOU) != 0)
					you = true;
				if (you && om_token_is(&row->tokens[j - 1], "if|why|si"))
					return false;
			}
			if (you && i > 0 && om_token_is(&row->tokens[i - 1], "if|why"))
				return false;
			return true;
		}
		if ((row->tokens[i].mask & through) == 0 ||
			om_token_is(&row->tokens[i], "please|pls|plz|so|svp|favor"))
			return false;
	}
	return false;
}

/* Is the head what the sender or somebody else does, did, or may do? */
static bool
has_subject(const Row *row, size_t head)
{
	size_t		i = head;
	bool		you = false;

	if (row->tokens[i].before != 0)
		return false;
	/* "you never text me" complains, "can you not text me" and "told you not to" order */
	if (head > 0 && (row->tokens[head].mask & OM_W_NEG) != 0 &&
		(row->tokens[head - 1].mask & OM_W_YOU) != 0 && !om_token_is(&row->tokens[head - 1], "ya") &&
		(head == 1 || (row->tokens[head - 2].mask & (OM_W_AUX | OM_W_SAID | OM_W_WANT)) == 0))
		return true;
	while (i > 0)
	{
		const OmToken *token = &row->tokens[i - 1];

		if ((token->mask & OM_W_IFW) != 0 && om_token_is(token, "if|once|si|quand"))
			return true;
		if ((token->mask & OM_W_SUBJ) != 0)
		{
			/* "can i stop these", "how do i stop" ask for it */
			if (i >= 2 && token->before == 0 &&
				(row->tokens[i - 2].mask & (OM_W_AUX | OM_W_ASK)) != 0)
				return om_token_is(&row->tokens[i - 2], "should|did|must|have|did");
			return true;
		}
		if (you && om_token_is(token, "did|didnt"))
			return true;
		if ((token->mask & OM_W_YOU) != 0)
			you = true;
		else if (!om_token_is(token, "do|does|did|can|could|would|will|just|really|also|never|even|always|not|didnt"))
			return false;
		if (token->before != 0)
			return false;
		i--;
	}
	return false;
}

static bool
asked_around(const Row *row, size_t head)
{
	size_t		i = head;

	if (om_token_is(&row->tokens[head], "no") && head + 1 < row->n &&
		om_token_is(&row->tokens[head + 1], "need"))
		return true;
	while (i > 0 && row->tokens[i].before == 0 && head - i < 3)
	{
		i--;
		if ((row->tokens[i].mask & (OM_W_IFW)) != 0 ||
			om_token_is(&row->tokens[i], "why|he|she|they|him|doctor|hes|shes|theyre"))
			return true;
		if (om_token_is(&row->tokens[i], "do|did") && om_token_is(&row->tokens[i + 1], "you|u"))
			return true;
	}
	return false;
}

/* Is the message about texts that are or are not there, rather than to be sent? */
static bool
has_have(const Row *row, size_t head)
{
	size_t		i = head;
	size_t		steps;

	for (steps = 0; steps < 3 && i > 0 && row->tokens[i].before == 0; steps++)
	{
		i--;
		if (om_token_is(&row->tokens[i], "have|had|has|got|get|there|theres|is|are|were|was|getting|see|received|saw|with|tengo|hay"))
			return true;
	}
	return false;
}

static bool
is_ours(const Row *row, size_t head)
{
	size_t		i = head;
	size_t		steps;

	for (steps = 0; steps < 5 && i > 0 && row->tokens[i].before != OM_BREAK_HARD; steps++)
	{
		i--;
		if (om_token_is(&row->tokens[i], "gave|give|typed|called|entered|dialed|put|used|sent|went|mine|my"))
			return true;
	}
	return false;
}

/* "unsubscribe from", "opt out of": is what follows what we send? */
static bool
is_of_something_else(const Row *row, size_t last)
{
	size_t		i;

	if (last + 1 >= row->n || row->tokens[last + 1].before != 0)
		return false;
	if (om_token_is(&row->tokens[last + 1], "button|link|page|website|fee|option|fees"))
		return true;
	if (om_token_is(&row->tokens[last + 1], "as"))
		return true;
	if (!om_token_is(&row->tokens[last + 1], "of|from|off|out|da|de|du|del"))
		return false;
	for (i = last + 2; i < row->n && i < last + 7 && row->tokens[i].before == 0; i++)
	{
		/* "the group chat", "the group trip" */
		if (om_token_is(&row->tokens[i], "group") && i + 1 < row->n && row->tokens[i + 1].before == 0 &&
			((row->tokens[i + 1].mask & ~PLACES) == 0 || om_token_is(&row->tokens[i + 1], "chat")))
			return true;
		if ((row->tokens[i].mask & (OM_W_MSG | OM_W_LIST | OM_W_YOU | OM_W_CONTACTING)) != 0 ||
			(i < last + 3 &&
			 om_token_is(&row->tokens[i], "this|these|those|all|everything|here|them|it|ahi|aqui|daqui|future|texto|una")))
			return false;
	}
	return true;
}

/*
 * Is it talk about others, or an order that means something else?  "Tell him to stop
 * calling", "don't forget to text me", "stop sending this to mom".
 */
static bool
is_chat(const Row *row, const OmRule *rule, size_t first, size_t last)
{
	/* a rule that knows what is asked for needs no more; the net is torn by any of these */
	bool		net = rule->label != OM_INTENT_OPT_OUT;
	size_t		from = first;
	size_t		to = last + 1;
	size_t		i;

	while (from > 0 && first - from < 4 && row->tokens[from].before != OM_BREAK_HARD)
		from--;
	while (to < row->n && to - last < 4 && row->tokens[to].before == 0)
		to++;
	for (i = from; i < to; i++)
	{
		if ((row->tokens[i].use & OM_U_KIN) != 0)
			return true;
		if (i > first && i <= last &&
			(row->tokens[i].before == OM_BREAK_SOFT ||
			 (net && (row->tokens[i].use & OM_U_TEAR) != 0)))
			return true;
		if (!net)
			continue;
		if ((i < first && first - i < 3 && om_token_is(&row->tokens[i], "if|did|does")) ||
			(i > last && om_token_is(&row->tokens[i], "if|yet|driving|drive")))
			return true;
	}
	return false;
}

/* An instruction that is repeated, not followed: "reply stop to unsubscribe" */
static bool
is_instruction(const Row *row, size_t first)
{
	return first >= 2 && row->tokens[first].before == 0 &&
		om_token_is(&row->tokens[first - 1], "to") &&
		(row->tokens[first - 2].mask & OM_W_CLAUSE) != 0 && first >= 3 &&
		om_token_is(&row->tokens[first - 3], "reply|text|txt|send|says|respond|type|say|said");
}

static bool
is_name(const Row *row, size_t i)
{
	char		c = row->text[row->tokens[i].start];

	return row->tokens[i].word == 0 && c >= 'A' && c <= 'Z';
}

static bool
is_guarded(const Row *row, const OmRule *rule, size_t first, size_t last)
{
	unsigned int guards = rule->guards;

	if (((guards & OM_G_NEG) != 0 && is_negated(row, first)) ||
		((guards & OM_G_SUBJECT) != 0 && has_subject(row, first)) ||
		((guards & OM_G_ASKED) != 0 && asked_around(row, first)) ||
		((guards & OM_G_HAVE) != 0 && has_have(row, first)) ||
		((guards & OM_G_OURS) != 0 && is_ours(row, first)) ||
		((guards & OM_G_LAUGH) != 0 && row->laughing) ||
		((guards & OM_G_SHORT) != 0 && row->n > 10) ||
		((guards & OM_G_CHAT) != 0 && is_chat(row, rule, first, last)) ||
		((guards & OM_G_NAME) != 0 && !is_name(row, last)))
		return true;
	if ((guards & OM_G_OTHER) != 0 && last + 1 < row->n && row->tokens[last + 1].before == 0 &&
		(row->tokens[last + 1].mask & (OM_W_OTHER | OM_W_YOU)) != 0 &&
		(row->tokens[last].mask & OM_W_END) == 0)
		return true;
	if ((guards & OM_G_OBJECT) != 0 && last + 1 < row->n && row->tokens[last + 1].before == 0 &&
		(row->tokens[last + 1].mask & (OM_W_DET | OM_W_MY | OM_W_YOUR | OM_W_OTHER | OM_W_STUFF)) != 0 &&
		(row->tokens[last].mask & OM_W_LOOSE) == 0)
		return true;
	if ((guards & OM_G_THE) != 0 && last > 0 && om_token_is(&row->tokens[last - 1], "the|that|this|it") &&
		om_token_is(&row->tokens[last], "text|message|email|msg|txt|call"))
		return true;
	if ((guards & OM_G_OF) != 0 &&
		(is_of_something_else(row, last) || is_instruction(row, first)))
		return true;
	return false;
}

/* Does something around the match say that it is not meant for all texts? */
static bool
is_limited(const Row *row, const OmRule *rule, size_t first, size_t last)
{
	size_t		from = first > SCOPE_TOKENS ? first - SCOPE_TOKENS : 0;
	size_t		to = row->n - last > SCOPE_TOKENS ? last + SCOPE_TOKENS : row->n;
	size_t		i;

	/* no one laughs with a company, or calls it by pet names */
	if (row->laughing)
		return true;
	for (i = 0; i < row->n; i++)
	{
		if ((row->tokens[i].use & OM_U_PET) != 0)
			return true;
	}
	/* "deja de llamarme así" is about a name */
	if (last + 1 < row->n && om_token_is(&row->tokens[last + 1], "asi"))
		return true;
	/* "stop asking me what's for dinner" */
	if (last + 1 < row->n && row->tokens[last + 1].before == 0 &&
		(row->tokens[last + 1].mask & (OM_W_ASK | OM_W_IFW)) != 0 && last > 0 &&
		om_token_is(&row->tokens[last - 1], "asking"))
		return true;
	/* French that is said to a friend, unless it is forever; a group of friends */
	for (i = first; i <= last; i++)
	{
		size_t		j;

		if (om_token_is(&row->tokens[i], "grupo") ||
			(i < last && om_token_is(&row->tokens[i], "group") && om_token_is(&row->tokens[i + 1], "chat")))
			return true;
		if (!om_token_is(&row->tokens[i], "appelle|ecris|envoie|textes"))
			continue;
		for (j = first; j < row->n && !om_token_is(&row->tokens[j], "plus|jamais"); j++)
			;
		if (j == row->n)
			return true;
	}
	if (last + 1 < row->n && om_token_is(&row->tokens[last], "group") && om_token_is(&row->tokens[last + 1], "chat"))
		return true;
	if ((rule->guards & OM_G_TIME) != 0)
	{
		for (i = last + 1; i < to && i <= last + 4 && row->tokens[i].before != OM_BREAK_HARD; i++)
		{
			if ((row->tokens[i].mask & OM_W_TIME) != 0)
				return true;
		}
	}
	/* "call me don't text" */
	if (first >= 2 && (row->tokens[first - 1].mask & OM_W_ME) != 0 &&
		(row->tokens[first - 2].mask & OM_W_TEXTV) != 0 && (rule->guards & OM_G_TIME) != 0)
		return true;
	/* "don't call, email me" */
	for (i = last + 1; i + 1 < to && (rule->guards & OM_G_TIME) != 0; i++)
	{
		if (row->tokens[i].before == OM_BREAK_SOFT && (row->tokens[i].mask & OM_W_TEXTV) != 0 &&
			(row->tokens[i + 1].mask & (OM_W_ME | OM_W_MY)) != 0 && row->tokens[i + 1].before == 0)
			return true;
	}
	/* "no calls please, text is fine" */
	for (i = last + 1; i + 2 < to; i++)
	{
		if ((row->tokens[i].mask & OM_W_TEXTV) != 0 && om_token_is(&row->tokens[i + 1], "is|are|me") &&
			om_token_is(&row->tokens[i + 2], "fine|ok|okay|better|good|preferred|instead|only"))
			return true;
	}
	for (i = from; i < to; i++)
	{
		size_t		j;

		if (i >= first && i <= last)
			continue;
		if ((row->tokens[i].mask & OM_W_ONLY) != 0)
		{
			for (j = i > 2 ? i - 2 : 0; j <= i + 2 && j < row->n; j++)
			{
				if ((j < first || j > last || om_token_is(&row->tokens[i], "instead")) &&
					(row->tokens[j].mask & (OM_W_CONTACT | OM_W_SEND)) != 0)
					return true;
			}
		}
		if ((row->tokens[i].mask & OM_W_BUT) != 0 || (i > last && om_token_is(&row->tokens[i], "and")))
		{
			for (j = i + 1; j < i + 7 && j < row->n && row->tokens[j].before != OM_BREAK_HARD; j++)
			{
				if (j >= first && j <= last)
					break;
				/* "and you keep texting", "and still get texts" complain */
				if (j > last && (row->tokens[j].mask & OM_W_KEEP) != 0 &&
					!om_token_is(&row->tokens[j - 1], "you|u") &&
					!(om_token_is(&row->tokens[j], "still") && j + 1 < row->n &&
					  om_token_is(&row->tokens[j + 1], "get|getting|receive|receiving|texting|calling|sending")))
					return true;
				if ((row->tokens[i].mask & OM_W_BUT) != 0 && j > last &&
					(row->tokens[j].mask & (OM_W_WANT | OM_W_CONTACT)) != 0)
					return true;
			}
		}
	}
	return false;
}

/* "I did not mean to", "by accident" */
static bool
is_accident(const Row *row)
{
	bool		slip = false;
	bool		did = false;
	size_t		i;

	for (i = 0; i < row->n; i++)
	{
		slip |= (row->tokens[i].use & OM_U_SLIP) != 0;
		/* what the sender did, not the other side */
		did |= (row->tokens[i].use & OM_U_DID) != 0;
		if (slip && did)
			return true;
		if (i > 0 && (row->tokens[i - 1].mask & (OM_W_NEG | OM_W_NEGX)) != 0 &&
			om_token_is(&row->tokens[i], "mean|meant"))
			return true;
	}
	return false;
}

static bool
rule_matches(const Row *row, const OmRule *rule, OmPhrase *out)
{
	const OmElement *head = &rule->elements[0];
	bool		cross = (rule->guards & OM_G_CROSS) != 0;
	size_t		i;

	for (i = 0; i < row->n; i++)
	{
		size_t		last = i;

		if (!element_matches(head, &row->tokens[i]))
			continue;
		if (!is_last_element(head + 1))
			last = match_elements(row, head + 1, i + 1, OM_RULE_MAX_ELEMENTS - 1, cross);
		if (last == NOTHING || is_guarded(row, rule, i, last))
			continue;
		out->rule = rule;
		out->label = rule->label;
		out->first = i;
		out->last = last;
		return true;
	}
	return false;
}

void
om_phrase_find(const char *text, const OmToken *tokens, size_t n, bool laughing,
			   OmPhrase *out)
{
	/* a rule of opting in must not meet any of these */
	const uint64_t against = OM_W_NEG | OM_W_NEGX | OM_W_IFW | OM_W_ASK | OM_W_THREAT;
	Row			row = {text, tokens, n, 0, 0, laughing};
	const OmSection *section;
	const OmRule *rule;
	OmPhrase	found;
	size_t		i;

	out->rule = NULL;
	for (i = 0; i < n; i++)
	{
		row.have |= tokens[i].mask;
		row.words |= UINT64_C(1) << (tokens[i].word & 63);
		row.laughing |= (tokens[i].use & OM_U_LAUGH) != 0;
	}
	for (section = om_intent_sections; section->rules != NULL; section++)
	{
		if ((row.have & section->need) == 0 || (row.have & section->need_too) == 0)
			continue;
		for (rule = section->rules; rule->name != NULL; rule++)
		{
			/* what is found already wins over all but an opt-out */
			if (out->rule != NULL && rule->label != OM_INTENT_OPT_OUT)
				return;
			if (is_hopeless(rule, &row) ||
				(rule->label == OM_INTENT_OPT_IN && (row.have & against) != 0) ||
				!rule_matches(&row, rule, &found))
				continue;
			if (rule->label == OM_INTENT_OPT_OUT)
			{
				if (is_accident(&row))
					return;
				if (is_limited(&row, rule, found.first, found.last))
				{
					found.label = OM_INTENT_MAYBE_OPT_OUT;
					if (out->rule == NULL)
						*out = found;
					continue;
				}
			}
			*out = found;
			return;
		}
	}
}
