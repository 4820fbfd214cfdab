/*
 * intent_words.h
 *		The words by which people stop and start text messages, and ask for help.
 */
#ifndef OM_INTENT_WORDS_H
#define OM_INTENT_WORDS_H

#include "intent.h"

/* Changes whenever the lists or the way they are matched change */
#define OM_INTENT_WORDS_VERSION "keywords-2026.11.1"

/* The most words in one entry */
#define OM_INTENT_MAX_WORDS		4

/* Counts only as the whole message: nothing around it, not even twice */
#define OM_INTENT_ALONE			0x1
/* Inside of another message it is a reason for a person to read that */
#define OM_INTENT_CONTAINED		0x2
/* Only in plain letters: with an accent it is another word */
#define OM_INTENT_PLAIN			0x4

typedef struct OmIntentWord
{
	const char *words;			/* folded, with single blanks between */
	OmIntentLabel label;
	unsigned int flags;
	const char *language;
	const char *keyword_rule;	/* when it is the message */
	const char *contains_rule;	/* when it is a part of the message */
} OmIntentWord;

/* Both end with a NULL */
extern const OmIntentWord om_intent_words[];
extern const char *const om_intent_fillers[];

#endif							/* OM_INTENT_WORDS_H */
