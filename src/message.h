/*
 * message.h
 *		The order of the statuses of a message.
 */
#ifndef OM_MESSAGE_H
#define OM_MESSAGE_H

/*
 * How far along a status is: a message moves only to a status of a higher rank.
 * queued 0, sending and unknown 1, sent 2, final ones 3.
 */
extern int	om_message_rank(const char *status);

#endif							/* OM_MESSAGE_H */
