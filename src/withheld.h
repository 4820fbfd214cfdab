/*
 * withheld.h
 *		What the planner is not told of rows that a tenant must not see.
 */
#ifndef OM_WITHHELD_H
#define OM_WITHHELD_H

/* Once per process, or in the postmaster for all */
extern void om_withheld_start(void);

#endif							/* OM_WITHHELD_H */
