/*
 * share.h
 *		How the organizations share what can be sent at once, and in a second.
 */
#ifndef OM_SHARE_H
#define OM_SHARE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "outbox.h"
#include "utils/uuid.h"

/* Once per process */
extern void om_share_start(void);

/* Divide the free slots among them; returns how many were given */
extern int	om_share_divide(OmShare *shares, int count, int slots, TimestampTz now);

/*
 * What was given and not claimed, because there was less to send, goes back.  True when an
 * organization may send no more in this second: there may be more of it to send before anything else happens.
 */
extern bool om_share_return(const OmShare *shares, int count, OmItem **items, int nitems, TimestampTz now);

/* A request of it begins, or has ended: answered, or not in the time that it had */
extern void om_share_begin(const pg_uuid_t *organization_id);
extern void om_share_end(const pg_uuid_t *organization_id, bool timed_out);

/* Forget what a newcomer would have, too */
extern void om_share_forget(TimestampTz now);

#endif							/* OM_SHARE_H */
