/*
 * provider_telnyx_optout.h
 *		The list of opt-outs that Telnyx keeps: where a page of it is, and what is in it.
 */
#ifndef OM_PROVIDER_TELNYX_OPTOUT_H
#define OM_PROVIDER_TELNYX_OPTOUT_H

#include "postgres.h"

#include "http.h"
#include "optout.h"

/* Where to GET a page, from 1; profile may be NULL */
extern char *om_telnyx_optouts_url(const char *profile, int page);

/*
 * Read an answer to that.  NULL when it is the page, whole; else what is wrong with it, with
 * no address in it, and then *out says nothing.  Content never raises.
 */
extern const char *om_telnyx_optouts(const OmHttpAnswer *http, int page, OmOptoutPage *out);

#endif							/* OM_PROVIDER_TELNYX_OPTOUT_H */
