/*
 * intent_envelope.h
 *		What in a message is not its sender's own words.
 */
#ifndef OM_INTENT_ENVELOPE_H
#define OM_INTENT_ENVELOPE_H

#include <stddef.h>

/*
 * Where the sender's words begin: 0, or behind a reaction to another message, as
 * Liked "...", which is len when there is nothing else.
 */
extern size_t om_envelope_reaction(const char *text, size_t len);

/*
 * Called with the first byte of each line: where reading goes on.  That is pos when the
 * line is the sender's, the start of a later line, or len.
 */
extern size_t om_envelope_line(const char *text, size_t len, size_t pos);

#endif							/* OM_INTENT_ENVELOPE_H */
