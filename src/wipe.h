/*
 * wipe.h
 *		Memory that is overwritten before it is freed, for libraries that are given a key.
 */
#ifndef OM_WIPE_H
#define OM_WIPE_H

#include <stddef.h>

/* As free and realloc, of what malloc gave */
extern void om_wipe_free(void *block);
extern void *om_wipe_realloc(void *block, size_t size);

#endif							/* OM_WIPE_H */
