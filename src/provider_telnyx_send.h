/*
 * provider_telnyx_send.h
 *		Messages as Telnyx takes them, and what it answers.
 */
#ifndef OM_PROVIDER_TELNYX_SEND_H
#define OM_PROVIDER_TELNYX_SEND_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "core/answer.h"
#include "http.h"

/* Where a resource is, as "messages": omnimsg.telnyx_api_base with /v2/ and its name behind it */
extern char *om_telnyx_url(const char *resource);

/* A text as part of a URL (RFC 3986, 2.1), and a parameter of a query, its first one too */
extern void om_telnyx_add_encoded(StringInfo url, const char *text);
extern void om_telnyx_add_parameter(StringInfo url, const char *name, const char *value);

/* The body of POST /v2/messages; profile and webhook_url may be NULL */
extern char *om_telnyx_body(const char *from, const char *to, const char *text, const char *profile,
							const char *webhook_url);

typedef struct OmTelnyxAnswer
{
	OmAnswerClass class_;
	char	   *message_id;		/* in the answer, whatever its class; or NULL */
	char	   *error_code;		/* of the first error, "" without one */
	char	   *error_text;		/* its title and detail, or what went wrong on the way; no address in it */
} OmTelnyxAnswer;

/* Read an answer and decide what it means */
extern void om_telnyx_answer(const OmHttpAnswer *http, OmTelnyxAnswer *answer);

#endif							/* OM_PROVIDER_TELNYX_SEND_H */
