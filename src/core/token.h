/*
 * token.h
 *		The name of one attempt to send, which goes to the provider in the URL of its webhooks
 *		and comes back with what it tells of the message.
 *
 * A provider of texts takes no key of ours with a message.  What it does take is where to report
 * the message's status: the same relay for all of them, and a query that is another for each
 * attempt, "?ob=<uuid of the outbox item>.<number of the attempt>".
 */
#ifndef OM_TOKEN_H
#define OM_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

/* "ob=", a UUID, a dot, six digits and the terminator */
#define OM_TOKEN_SIZE	47

/* More attempts than one in two minutes for half a year */
#define OM_TOKEN_ATTEMPT_MAX	999999

typedef struct OmToken
{
	unsigned char id[16];		/* of the outbox item */
	int			attempt;		/* from 1 */
} OmToken;

/* Write "ob=<uuid>.<attempt>".  False when the number of the attempt is none that can be written. */
extern bool om_token_write(const OmToken *token, char out[OM_TOKEN_SIZE]);

/*
 * Find the token in the query of a URL.  Strict: exactly as it is written, once, and up to the next
 * '&' or the end of the query.  False for anything else, and then *token is unchanged.
 */
extern bool om_token_read(const char *url, size_t len, OmToken *token);

#endif							/* OM_TOKEN_H */
