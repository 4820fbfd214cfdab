/*
 * review.h
 *		Messages that may be an opt-out, and wait for a person to say whether they are.
 */
#ifndef OM_REVIEW_H
#define OM_REVIEW_H

#include "postgres.h"

#include "ingest.h"

/*
 * Part of the step of consent: open a review, for each organization that shares the number, of every
 * message that may be an opt-out, or that forbids something else than texts.
 */
extern void om_review_open(OmBatch *batch);

/*
 * Record the opt-outs of reviews that are past their deadline; the gates have counted them
 * since.  Called by the worker, in a transaction of its own with SPI connected; at most 20 at a
 * time.  Returns how many there were.
 */
extern int	om_review_expire(TimestampTz now);

#endif							/* OM_REVIEW_H */
