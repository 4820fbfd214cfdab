/*
 * provider_telnyx_delivery.h
 *		The list of webhook deliveries that Telnyx keeps: where a page of it is, and what is in it.
 */
#ifndef OM_PROVIDER_TELNYX_DELIVERY_H
#define OM_PROVIDER_TELNYX_DELIVERY_H

#include "postgres.h"

#include "http.h"
#include "ingest.h"

/* What is asked for; the times as RFC 3339 has them */
typedef struct OmDeliveryList
{
	const char *since;			/* the first attempt was made not before this, */
	const char *until;			/* nor after that */
	bool		delivered;		/* those that were delivered as well as those that failed */
	const char *profile;		/* or NULL: of all profiles */
	int			page;			/* from 1 */
	int			size;
} OmDeliveryList;

typedef struct OmDeliveryPage
{
	OmDelivery *deliveries;		/* as ingest takes them */
	int			count;
	int			total_pages;
	int			total;			/* on all pages */
} OmDeliveryPage;

extern char *om_telnyx_deliveries_url(const OmDeliveryList *list);

/*
 * Read an answer to that.  NULL when it is the page, whole; else what is wrong with it, with no address in it,
 * and then *out says nothing.  Content never raises.
 */
extern const char *om_telnyx_deliveries(const OmHttpAnswer *http, const OmDeliveryList *list,
										OmDeliveryPage *out);

#endif							/* OM_PROVIDER_TELNYX_DELIVERY_H */
