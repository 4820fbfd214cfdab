/*
 * maintain.h
 *		The worker's calls of omnimsg_maintain() and omnimsg_audit_seal().
 */
#ifndef OM_MAINTAIN_H
#define OM_MAINTAIN_H

#include "postgres.h"

/*
 * Make months and purge what has expired, when that is due: once an hour, within a minute where something was in
 * the way, and at once while there is more to purge.  Runs in
 * a transaction of its own, which may take seconds: while busy, with requests under way, it waits for up to an hour.  Returns how long to wait before it is due again, in ms.
 */
extern long om_maintain(TimestampTz now, bool busy);

/* Seal the audit trail, once a minute, where there is a key to sign with; returns as om_maintain() does */
extern long om_seal_audit(TimestampTz now);

/* The extension was just found: it is due */
extern void om_maintain_soon(void);

#endif							/* OM_MAINTAIN_H */
