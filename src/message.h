/*
 * message.h
 *		The order of the statuses of a message, and the lock of its row.
 */
#ifndef OM_MESSAGE_H
#define OM_MESSAGE_H

#include "postgres.h"

#include "db.h"

/*
 * How far along a status is: a message moves only to a status of a higher rank.
 * queued 0, sending and unknown 1, sent 2, final ones 3.
 */
extern int	om_message_rank(const char *status);

/*
 * Lock messages in the order of their keys, and those too that are being moved to another partition meanwhile.  Returns
 * how many rows there are: the number of each among those asked for, from 1, and its status.
 */
extern uint64 om_message_lock(OmColumn *organization_ids, OmColumn *ids, OmColumn *created_at);

#endif							/* OM_MESSAGE_H */
