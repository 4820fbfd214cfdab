/*
 * pull.h
 *		Pulling the provider's opt-out lists: the worker's side of optout.h.
 *
 * One request is under way at a time, whatever the number of accounts and pages.
 */
#ifndef OM_PULL_H
#define OM_PULL_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "http.h"

/* Is it a page of ours?  Then it is kept until the next om_pull_work. */
extern bool om_pull_is_its_answer(OmHttpAnswer *http);
extern bool om_pull_has_answer(void);

/* Of om_http_in_flight(), how many are ours */
extern int	om_pull_in_flight(void);

/*
 * Store the page that has come, and ask for the next one if may_ask.  Runs transactions of its own.
 * round is reset after the round, lasting is not.  Returns how long to wait before there may be
 * more to do, in ms.
 */
extern long om_pull_work(TimestampTz now, bool woken, bool may_ask, MemoryContext round, MemoryContext lasting);

#endif							/* OM_PULL_H */
