/*
 * lookup.h
 *		Asking the provider what became of a message that may have been sent.
 */
#ifndef OM_LOOKUP_H
#define OM_LOOKUP_H

#include "postgres.h"

#include "db.h"
#include "fetch.h"

/* An item that the provider is asked about */
typedef struct OmLookup
{
	OmFetch		fetch;
	pg_uuid_t	organization_id;
	pg_uuid_t	id;
	int			attempts;
	char	   *candidate;		/* ask for the message of this id; NULL: for what carries the item's token */
} OmLookup;

/* When the provider is asked for the first time about what is unknown since now */
extern TimestampTz om_lookup_first(TimestampTz now);

#endif							/* OM_LOOKUP_H */
