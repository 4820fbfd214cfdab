/*
 * consent.h
 *		Requests to stop and to start again, and the state they add up to.
 */
#ifndef OM_CONSENT_H
#define OM_CONSENT_H

#include "postgres.h"

#include "db.h"

typedef struct OmRequest
{
	/* What is recorded */
	pg_uuid_t	organization_id;
	const char *channel;		/* "sms", "voice", "email" */
	const char *address;
	const char *our_address;	/* or NULL */
	bool		our_address_only;
	const pg_uuid_t *account_id;	/* or NULL */
	const char *request_type;	/* "opt_out", "opt_in" */
	const char *scope;			/* "all" or a category */
	const char *source;
	const char *rule;			/* or NULL */
	const char *matched_text;	/* or NULL */
	const char *note;			/* or NULL */
	const pg_uuid_t *message_id;	/* or NULL */
	const char *provider;		/* or NULL, with dedupe_key: the event that proves it */
	const char *dedupe_key;
	TimestampTz occurred_at;

	/* What om_consent_record answers */
	pg_uuid_t	id;
	bool		deferred;		/* recorded, but not folded yet: what follows is not known */
	bool		was_opted_out;	/* scope "all" of the address was, before this call */
	bool		decides;		/* this request decides the state of scope "all" now */
	bool		provider_blocked;	/* the provider blocks the address now */
} OmRequest;

/*
 * Record requests and compute the states they lead to.
 *
 * Takes the locks of the addresses in key order, before those of any account, and
 * brings the copies on collection_accounts up to date, passing over accounts that others have
 * locked.  SPI must be connected, in a READ COMMITTED transaction.  Writes no audit rows: the caller
 * knows whether it was a message or somebody at a desk.
 *
 * An address whose consent somebody else has locked (an import that brings consent with it may
 * take minutes) is waited for patience_ms; 0 waits as long as it takes.  After that its
 * requests are recorded all the same and marked deferred: the worker folds them as soon as
 * it can, and sends nothing to the address before.
 */
extern void om_consent_record(OmRequest **requests, int count, TimestampTz now, int patience_ms);

/*
 * Fold what was deferred.  Called by the worker before it claims, in a transaction of its own with
 * SPI connected.  Returns how many addresses are still locked and stay deferred.
 */
extern int	om_consent_fold_deferred(TimestampTz now);

/*
 * Lock the consents of addresses, making the rows where there are none, so that nobody records a request of theirs
 * before the end of the transaction.
 */
extern void om_consent_lock(OmColumn *organization_ids, OmColumn *channels, OmColumn *addresses, TimestampTz now);

/* Compute the states of addresses anew, after their requests were changed by other means than om_consent_record */
extern void om_consent_refold(OmColumn *organization_ids, OmColumn *channels, OmColumn *addresses, TimestampTz now);

/*
 * request.c: which of some messages that the provider refused have their block on record.  The messages must be locked, so
 * that nobody is recording it meanwhile.
 */
extern bool *om_request_known_blocks(OmColumn *organization_ids, OmColumn *addresses,
									 OmColumn *message_ids);

#endif							/* OM_CONSENT_H */
