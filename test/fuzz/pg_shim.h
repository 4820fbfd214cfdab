/*
 * pg_shim.h
 *		Memory contexts without a server.
 */
#ifndef PG_SHIM_H
#define PG_SHIM_H

/* Free all that was allocated since the last time */
extern void pg_shim_reset(void);

#endif							/* PG_SHIM_H */
