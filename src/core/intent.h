/*
 * intent.h
 *		What a text message asks of its receiver: to stop, to start again, for help.
 *
 * Deterministic: no locale, no allocation, no state.  This version reads keywords:
 * the whole message must be one, after folding case, accents, full-width letters,
 * punctuation, emoji and white space (47 CFR 64.1200(a)(10), the providers' lists).
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
	const char *language;		/* static ISO 639-1 code of the keyword, "en" when none */
	const char *channel;		/* static: "sms", "voice" or "all"; "" when label is NONE */
	size_t		span_start;		/* byte offsets into the message of what decided, */
	size_t		span_end;		/* start inclusive, end exclusive */
} OmIntent;

/* Read len bytes of UTF-8 (bad bytes count as punctuation).  out is always filled. */
extern OmIntentLabel om_intent_detect(const char *text, size_t len, OmIntent *out);

/* "none", "opt_out", "opt_in", "help", "maybe_opt_out" */
extern const char *om_intent_label_name(OmIntentLabel label);

/* Version of the word list, to be stored with each decision */
extern const char *om_intent_version(void);

#endif							/* OM_INTENT_H */
