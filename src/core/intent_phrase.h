/*
 * intent_phrase.h
 *		Applying the rules of intent_rules.c to a row of tokens.
 */
#ifndef OM_INTENT_PHRASE_H
#define OM_INTENT_PHRASE_H

#include "intent_rules.h"

typedef struct OmPhrase
{
	const OmRule *rule;			/* NULL when none applies */
	OmIntentLabel label;		/* of the rule, or OM_INTENT_MAYBE_OPT_OUT when it is limited */
	size_t		first;			/* tokens that it matched */
	size_t		last;
} OmPhrase;

/*
 * The rule that decides about n tokens whose places are set.  text is the message that
 * their offsets count in.  laughing: a laughing picture is in it.
 */
extern void om_phrase_find(const char *text, const OmToken *tokens, size_t n, bool laughing,
						   OmPhrase *out);

/* Is the token one of "a|b|c"? */
extern bool om_token_is(const OmToken *token, const char *words);

#endif							/* OM_INTENT_PHRASE_H */
