/*
 * template.h
 *		Is the text of an automatic reply one that may be sent?
 *
 * The confirmation of an opt-out "merely confirms" and has neither marketing nor promotional
 * information (47 CFR 64.1200(a)(12)); the other replies are only checked for what breaks them.
 * A finding is a hint at what a person should read again, and no finding is no proof: the word
 * lists are short, and in English, Spanish, French and Portuguese.
 */
#ifndef OM_TEMPLATE_H
#define OM_TEMPLATE_H

#include <stddef.h>

typedef enum OmTemplateTrigger
{
	OM_TEMPLATE_OPT_OUT,
	OM_TEMPLATE_OPT_IN,
	OM_TEMPLATE_HELP,
	OM_TEMPLATE_OTHER			/* after hours, generic: checked as OPT_IN and HELP are */
} OmTemplateTrigger;

/* In the order in which they are looked for */
typedef enum OmTemplateFault
{
	OM_TEMPLATE_OK,
	OM_TEMPLATE_EMPTY,			/* nothing, or nothing but white space */
	OM_TEMPLATE_TOO_LONG,		/* more than ten segments, and so all over 1600 characters */
	OM_TEMPLATE_UNKNOWN_PLACEHOLDER,	/* a brace that is not of {organization} */
	/* the following only for OPT_OUT */
	OM_TEMPLATE_URL,
	OM_TEMPLATE_PRICE,
	OM_TEMPLATE_MARKETING,
	OM_TEMPLATE_QUESTION		/* more than the one that (a)(12) permits */
} OmTemplateFault;

typedef struct OmTemplateFinding
{
	OmTemplateFault fault;
	size_t		span_start;		/* byte offsets into the text of what is wrong, */
	size_t		span_end;		/* start inclusive, end exclusive; both 0 when OK */
} OmTemplateFinding;

/*
 * Check len bytes of UTF-8, and return the first fault.  out is always filled.  The length is
 * that of the template: {organization} counts as it is written.
 */
extern OmTemplateFault om_template_check(OmTemplateTrigger trigger, const char *text, size_t len,
										 OmTemplateFinding *out);

/* "ok", "empty", "too_long", "unknown_placeholder" ... */
extern const char *om_template_fault_name(OmTemplateFault fault);

/* For people: "an opt-out confirmation must not contain a web address" */
extern const char *om_template_fault_message(OmTemplateFault fault);

#endif							/* OM_TEMPLATE_H */
