/*
 * arm.h
 *		Whether this database may send: it was armed here, and is no copy.
 *
 * omnimsg_arm() writes down what the database is: cluster, database, timeline, data directory.  A restored
 * dump, a clone, a base backup and a promoted standby carry that along and are something else.
 */
#ifndef OM_ARM_H
#define OM_ARM_H

#include "postgres.h"

typedef enum OmArmed
{
	OM_ARMED,
	OM_DISARMED,				/* here, and taken back since */
	OM_ARMED_ELSEWHERE,			/* in this database of this cluster, but before a promotion or in another directory */
	OM_ARMED_NEVER				/* never, or in another database: a dump may be being restored here */
} OmArmed;

/*
 * What is the database?  *reason is NULL when it is armed, else why it is not, in words.  SPI must be connected.
 * Locks nothing: whoever sends asks again in the transaction that marks what is being sent.
 */
extern OmArmed om_arm_check(const char **reason);

/* A number of what omnimsg_arm() would write down here: every copy has another one.  Not in recovery. */
extern int64 om_arm_place(void);

/*
 * Keep omnimsg_disarm() waiting until the transaction ends.  False when somebody is disarming, who must not be waited for:
 * he may take his time to commit.
 */
extern bool om_arm_hold(void);

/*
 * Whether the last commit of this session is where synchronous_commit and synchronous_standby_names say
 * that it must be.  It is not when the wait for the standby was cancelled.
 */
extern bool om_commit_is_replicated(void);

#endif							/* OM_ARM_H */
