/*
 * intent_tokens.h
 *		A message as a row of words that are known by their classes.
 */
#ifndef OM_INTENT_TOKENS_H
#define OM_INTENT_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "intent_words.h"

/* What stands before a token */
#define OM_BREAK_SOFT		1	/* a comma, a dash, a bracket, a picture */
#define OM_BREAK_HARD		2	/* the end of a sentence or a line */

typedef struct OmToken
{
	uint64_t	mask;			/* classes of the word, or of the one it is a typo of */
	size_t		start;			/* byte offsets into the message */
	size_t		end;
	uint16_t	word;			/* index into om_intent_words, 0 when in no list */
	uint16_t	use;
	uint8_t		before;			/* OM_BREAK_*, 0 for a blank */
	uint8_t		len;			/* of the folded word; 255 when it is longer than any list's */
	bool		plain;			/* each letter was one of ASCII */
	bool		typo;
} OmToken;

typedef struct OmTokenReader
{
	const char *text;
	size_t		len;
	size_t		pos;
	uint8_t		before;
	bool		line_start;
	bool		laughing;		/* a laughing picture was seen */
} OmTokenReader;

extern void om_tokens_begin(OmTokenReader *reader, const char *text, size_t len);

/* Read the next token, without the marks of its place; false at the end */
extern bool om_tokens_next(OmTokenReader *reader, OmToken *token);

/* Set OM_W_BEGIN, OM_W_END and OM_W_LOOSE of n tokens; last: the message ends behind them */
extern void om_tokens_place(OmToken *tokens, size_t n, bool last);

/* The folded word, NUL-terminated; returns its length, 0 when it does not fit */
extern size_t om_token_text(const char *text, const OmToken *token, char *word, size_t size);

/* Index into om_intent_words, 0 when it is none */
extern uint16_t om_intent_word_find(const char *word, size_t len);

/* One letter added, missing, wrong, or two swapped; not equal */
extern bool om_intent_near(const char *a, size_t a_len, const char *b, size_t b_len);

#endif							/* OM_INTENT_TOKENS_H */
