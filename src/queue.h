/*
 * queue.h
 *		A message that is to be sent: its row in omnimsg.messages and its outbox item.
 */
#ifndef OM_QUEUE_H
#define OM_QUEUE_H

#include "postgres.h"

#include "db.h"

typedef struct OmQueued
{
	pg_uuid_t	organization_id;
	pg_uuid_t	message_id;
	const pg_uuid_t *account_id;	/* or NULL */
	const pg_uuid_t *campaign_id;	/* or NULL */
	const char *from;			/* canonical addresses */
	const char *to;
	const char *body;
	const char *provider;
	const pg_uuid_t *in_reply_to;	/* of automatic replies only, else NULL */
	const char *kind;
	const char *scope;
	TimestampTz next_attempt_at;
	TimestampTz expires_at;
	const pg_uuid_t *request_id;	/* or NULL */
} OmQueued;

/* Store texts and wake the dispatcher when the transaction commits.  The gates have been asked. */
extern void om_queue(OmQueued *items, int count, TimestampTz now);

#endif							/* OM_QUEUE_H */
