/*
 * logged.h
 *		What of people may be in the server's log.
 */
#ifndef OM_LOGGED_H
#define OM_LOGGED_H

/* Once per process, or in the postmaster for all */
extern void om_logged_start(void);

#endif							/* OM_LOGGED_H */
