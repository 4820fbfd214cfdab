/*
 * intent_rules.h
 *		How people ask for it in a sentence: rows of word classes.
 */
#ifndef OM_INTENT_RULES_H
#define OM_INTENT_RULES_H

#include "intent.h"
#include "intent_tokens.h"

#define OM_RULE_MAX_ELEMENTS	7

/*
 * One word of a rule: after at most gap words of the classes in skip, and without the end
 * of a sentence between, a word of any of these classes (0: of any) that has all of those
 * (the marks of its place), and is one of words, indexes into om_intent_words with a 0 at
 * the end, unless that is NULL.  bits has the bit (index & 63) of each of them.
 */
typedef struct OmElement
{
	uint64_t	any;
	uint64_t	all;
	uint64_t	skip;
	uint8_t		gap;
	uint64_t	bits;
	const uint16_t *words;
} OmElement;

/* What turns a match off, or makes it one for a person */
#define OM_G_NEG		0x01	/* "don't", "can't", "did not mean to" before it */
#define OM_G_SUBJECT	0x02	/* the sender or others do it: "i'll stop", "did you stop" */
#define OM_G_OTHER		0x04	/* it is about somebody else: "stop texting him" */
#define OM_G_HAVE		0x08	/* it says what there is: "i have no messages" */
#define OM_G_TIME		0x10	/* a time behind it limits it: "before 9" */
#define OM_G_LAUGH		0x20	/* nobody laughs who means it */
#define OM_G_ASKED		0x40	/* a question or condition around it */
#define OM_G_OURS		0x80	/* the sender made it: "i gave you the wrong number" */
#define OM_G_NAME		0x100	/* the last word is a name: no word of any list, capital */
#define OM_G_SHORT		0x200	/* only in a message of few words */
#define OM_G_CROSS		0x400	/* may go on in the next sentence */
#define OM_G_OBJECT		0x1000	/* it goes on with another object: "don't email me the bill" */
#define OM_G_THE		0x2000	/* it is about one message: "don't send the text" */
#define OM_G_CHAT		0x4000	/* it is about people the sender knows, or what he does himself */
#define OM_G_OF			0x800	/* "from" or "of" behind it must name messages */

/* Whether a rule can match is mostly seen by its first element: in one line of the cache */
typedef struct OmRule
{
	_Alignas(64) const char *name;
	OmIntentLabel label;
	unsigned int guards;
	OmElement	elements[OM_RULE_MAX_ELEMENTS]; /* ends with one that is all zero */
} OmRule;

/* Rules, up to a NULL name, that need a word of one of some classes, and of some others */
typedef struct OmSection
{
	const OmRule *rules;
	uint64_t	need;
	uint64_t	need_too;
} OmSection;

/* In order of precedence within a label; ends with NULL rules */
extern const OmSection om_intent_sections[];

#endif							/* OM_INTENT_RULES_H */
