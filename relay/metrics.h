/*
 * metrics.h
 *		What the relay counts, as Prometheus text.
 */
#ifndef OM_RELAY_METRICS_H
#define OM_RELAY_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "signature.h"

/* A buffer of this size always suffices for om_metrics_render */
#define OM_METRICS_SIZE		24576

typedef enum OmDbError
{
	OM_DB_CONNECT,				/* a connection could not be made */
	OM_DB_LOST,					/* it broke while a batch was under way */
	OM_DB_TIMEOUT,				/* it gave no answer in time */
	OM_DB_STATEMENT,			/* the call raised an error */
	OM_DB_NO_ROW,				/* the call said nothing about a delivery */
	OM_DB_ERRORS
} OmDbError;

/* One answer to a webhook, or to a request nobody serves; not to probes and scrapes */
extern void om_metrics_answer(int status);

/* A webhook came in; it was answered after ms milliseconds. */
extern void om_metrics_webhook_begin(void);
extern void om_metrics_webhook_end(int64_t ms);

/* Webhooks between these two calls */
extern long om_metrics_in_flight(void);

extern void om_metrics_verified(OmSignatureResult result);
extern void om_metrics_batch(int size);
extern void om_metrics_db_error(OmDbError what);
extern const char *om_metrics_db_error_name(OmDbError what);

/* Write the page; returns its length. */
extern size_t om_metrics_render(char *out, size_t out_size);

#endif							/* OM_RELAY_METRICS_H */
