/*
 * provider_telnyx_lookup.h
 *		What Telnyx knows of a message that may have been sent.
 */
#ifndef OM_PROVIDER_TELNYX_LOOKUP_H
#define OM_PROVIDER_TELNYX_LOOKUP_H

#include "postgres.h"

#include "http.h"
#include "lookup.h"
#include "reconcile.h"

/* Where it is asked about that */
extern char *om_telnyx_lookup_url(const OmLookup *lookup);

/*
 * Read the answer: the attempts that it knows of.  None are none that it knows of.  Returns NULL, or what went
 * wrong, and then nothing is known.
 */
extern const char *om_telnyx_lookup(const OmHttpAnswer *http, const OmLookup *lookup,
									OmEvidence **evidence, int *count);

#endif							/* OM_PROVIDER_TELNYX_LOOKUP_H */
