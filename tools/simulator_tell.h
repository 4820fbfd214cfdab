/*
 * simulator_tell.h
 *		Telling a running simulator something.
 */
#ifndef OM_SIMULATOR_TELL_H
#define OM_SIMULATOR_TELL_H

#include <stddef.h>

/*
 * POST body to the path of the simulator at url, and return its answer, to be freed.  Ends the
 * program when it cannot be reached or does not answer 200.
 */
extern char *om_sim_tell(const char *url, const char *path, const char *body, size_t *len);

#endif							/* OM_SIMULATOR_TELL_H */
