/*
 * answer.h
 *		What a provider's answer to one POST means for the message.
 *
 * The classes decide whether a second POST could be a second text on somebody's
 * phone.  When in doubt the class is UNKNOWN, and UNKNOWN is never sent again
 * without asking the provider first.
 */
#ifndef OM_ANSWER_H
#define OM_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum OmAnswerClass
{
	OM_ANSWER_NOT_SENT,			/* no byte of the request left: try again soon */
	OM_ANSWER_REFUSED_FOR_NOW,	/* 429, 503 with an error body, queue-full codes: try again later */
	OM_ANSWER_REFUSED,			/* other 4xx: final */
	OM_ANSWER_BLOCKED,			/* the person said STOP to the provider: final, and an opt-out */
	OM_ANSWER_ACCEPTED,			/* 2xx with the provider's message id */
	OM_ANSWER_UNKNOWN			/* anything else */
} OmAnswerClass;

typedef struct OmAnswer
{
	bool		request_left;	/* at least one byte of the request may have left this host */
	bool		complete;		/* a whole response was read */
	int			http_status;	/* 0 without one */
	bool		has_message_id; /* the body has data.id */
	bool		has_errors;		/* the body has a non-empty errors array */
	const char *error_code;		/* code of the first error, "" when none; NUL-terminated */
	const char *error_text;		/* its title and detail, "" when none; NUL-terminated */
} OmAnswer;

extern OmAnswerClass om_answer_classify(const OmAnswer *answer);

/*
 * Does this error of the provider say that the person opted out with it?  40300,
 * and 40301 because its pages disagree, only when the text speaks of STOP: the codes
 * are used for other things too.
 */
extern bool om_answer_is_stop_block(const char *error_code, const char *error_text);

/* "not_sent", "refused_for_now", "refused", "blocked", "accepted", "unknown" */
extern const char *om_answer_class_name(OmAnswerClass class_);

#endif							/* OM_ANSWER_H */
