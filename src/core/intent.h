/*
 * intent.h
 *		What a text message asks of its receiver: to stop, to start again, for help.
 *
 * Deterministic: no locale, no allocation, no state.  Reads a message of any length in
 * English, Spanish, French or Portuguese: keywords and sentences (doc/intent.md).
 */
#ifndef OM_INTENT_H
#define OM_INTENT_H

#include <stddef.h>

typedef enum OmIntentLabel
{
	OM_INTENT_NONE,
	OM_INTENT_OPT_OUT,
	OM_INTENT_OPT_IN,
	OM_INTENT_HELP,
	OM_INTENT_MAYBE_OPT_OUT		/* a person should read it */
} OmIntentLabel;

typedef struct OmIntent
{
	OmIntentLabel label;
	double		confidence;		/* 0 to 1 */
	const char *rule;			/* static, as "keyword:stop"; "" when label is NONE */
	const char *language;		/* static ISO 639-1 code of the words, "en" when none */
	const char *channel;		/* static: "sms", "voice", "email", or "all" when the words name
								 * none or several; "" when label is NONE */
	size_t		span_start;		/* byte offsets into the message of what decided, */
	size_t		span_end;		/* start inclusive, end exclusive */
} OmIntent;

/* Read len bytes of UTF-8 (bad bytes count as punctuation).  out is always filled. */
extern OmIntentLabel om_intent_detect(const char *text, size_t len, OmIntent *out);

/*
 * The form in which an organization's own keyword is looked up: the words of the sender,
 * folded, with single blanks between, politeness at both ends left out.  NUL-terminated.
 * Returns its length; 0 and "" when nothing is left, when it does not fit, and when the
 * message has more words than a keyword can have (32).
 */
extern size_t om_intent_keyword(const char *text, size_t len, char *key, size_t size);

/* "none", "opt_out", "opt_in", "help", "maybe_opt_out" */
extern const char *om_intent_label_name(OmIntentLabel label);

/* Version of the word list, to be stored with each decision */
extern const char *om_intent_version(void);

#endif							/* OM_INTENT_H */
