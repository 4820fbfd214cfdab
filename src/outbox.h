/*
 * outbox.h
 *		The life of an outbox item in SQL: claim, mark, record.
 *
 * Each function runs inside a transaction of the caller's with SPI connected; three transactions
 * make one sending, and none is open while the request is under way.
 */
#ifndef OM_OUTBOX_H
#define OM_OUTBOX_H

#include "postgres.h"

#include "audit.h"
#include "core/answer.h"
#include "db.h"

/* Marking leaves alone what expires within this time: connecting takes some of it */
#define OM_SEND_SECONDS	5

/* An item that was marked: all that is needed to send it and to record what came of it */
typedef struct OmItem
{
	MemoryContext context;		/* of the item itself and its strings; deleted when it is recorded */
	pg_uuid_t	organization_id;
	pg_uuid_t	id;
	pg_uuid_t	lease_token;
	pg_uuid_t	message_id;
	TimestampTz created_at;		/* of the item and of its message */
	TimestampTz leased_until;
	TimestampTz marked_at;		/* as being sent */
	TimestampTz expires_at;
	int			attempts;
	char	   *kind;
	char	   *from;
	char	   *to;
	char	   *text;
	char	   *secret_name;	/* NULL when the number has no provider account or that no secret */
	char	   *profile;		/* or NULL */
	char	   *webhook_url;	/* with the name of this attempt; NULL when there is none to give */

	/* What came of it */
	OmAnswerClass result;
	char	   *external_id;	/* in the answer, whatever its class; or NULL */
	char	   *error_code;
	char	   *error_text;
	int64		retry_ms;		/* of NOT_SENT and REFUSED_FOR_NOW: not before */
	bool		recorded;		/* our lease still held */
	bool		known;			/* it did not, because the provider had told of it before */
} OmItem;

/* An organization with due items, and how many of them may be claimed */
typedef struct OmShare
{
	pg_uuid_t	organization_id;
	int			count;
} OmShare;

/*
 * Give back what dead workers held: leased items are queued again, sending ones are unknown.  *next is when
 * the next lease ends; 0 when there is none.
 */
extern int	om_outbox_recover(TimestampTz now, TimestampTz *next);

/* Close queued items whose time is over */
extern void om_outbox_expire(TimestampTz now, bool set_back);

/*
 * Organizations with due items, counts not filled.  *next is when another organization has
 * an item due that has none yet; 0 when none will.
 */
extern OmShare *om_outbox_due(TimestampTz now, int *count, TimestampTz *next);

/* Claim up to count items of each share until leased_until; returns how many */
extern int	om_outbox_claim(const OmShare *shares, int count, const pg_uuid_t *token,
							TimestampTz now, TimestampTz leased_until);

/*
 * Ask the gates again for what the token holds, and mark what passes as being sent.
 * Returns the items, each in a context of its own under parent;
 * those that did not pass stay there too, because the changes refer to them.
 */
extern OmItem **om_outbox_mark(const pg_uuid_t *token, TimestampTz now, MemoryContext parent, int *count);

/*
 * Record what came of items, where our lease still holds (item->recorded).  Where it does not, that the
 * provider accepted one is evidence all the same; whatever else is dropped.
 */
extern void om_outbox_record(OmItem **items, int count, TimestampTz now);

/* Add the audit row of how a message ended, by the names of its kind */
extern void om_outbox_audit_end(OmAudit *audit, const pg_uuid_t *organization_id, const pg_uuid_t *message_id,
								const char *kind, const char *automatic, const char *other,
								const char *reason);

#endif							/* OM_OUTBOX_H */
