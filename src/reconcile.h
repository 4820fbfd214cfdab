/*
 * reconcile.h
 *		Finding out what became of a message that may have been sent.
 *
 * An outcome is unknown when the request may have left and no answer tells what it met.  What settles it
 * is evidence that the provider accepted an attempt: a webhook that carries the token of the attempt, an answer that
 * came after the lease had ended, or what the provider says when it is asked.
 */
#ifndef OM_RECONCILE_H
#define OM_RECONCILE_H

#include "postgres.h"

#include "audit.h"
#include "db.h"

/* What the audit and the message say of it */
#define OM_OUTCOME_UNKNOWN	"outcome unknown"

/* The provider has accepted this attempt */
typedef struct OmEvidence
{
	pg_uuid_t	organization_id;
	pg_uuid_t	id;				/* of the outbox item */
	int			attempt;
	const char *external_id;	/* the provider's id of the message */
} OmEvidence;

/*
 * Settle the items as sent, and give their messages the id if they have none.  source says in the audit where
 * the evidence is from.  SPI must be connected.  Returns how many were not known to be sent before.
 */
extern int	om_reconcile_accept(const OmEvidence *evidence, int count, const char *source,
								OmAudit *audit, TimestampTz now);

#endif							/* OM_RECONCILE_H */
