/*
 * spool.h
 *		Where deliveries are kept, durably, while the database does not take them.
 */
#ifndef OM_RELAY_SPOOL_H
#define OM_RELAY_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "database.h"
#include "spool_file.h"

typedef struct OmSpoolNumbers
{
	bool		enabled;
	bool		failed;			/* a flush failed, or the file is damaged: takes nothing more */
	int64_t		deliveries;
	int64_t		bytes;
	int64_t		max_bytes;
	int64_t		oldest_at;		/* Unix milliseconds, 0: none */
	int64_t		damaged;		/* set aside, for people to look at */
	uint64_t	stored;			/* deliveries kept, since the start */
	uint64_t	replayed;		/* deliveries that the database has taken out of it */
	uint64_t	refused;		/* deliveries not kept: full, failed or too slow */
} OmSpoolNumbers;

/* Open the file and start the thread.  False, with a reason for people, when that is not possible. */
extern bool om_spool_start(const char *path, int64_t max_bytes, char *error, size_t error_size);

/* Keep what is there and end the thread.  Nobody calls om_spool_put any more. */
extern void om_spool_stop(void);

extern bool om_spool_enabled(void);

/*
 * Keep a delivery.  True when it is on disk; false when it is not, or not known to be at
 * the deadline.  Everything is copied.
 */
extern bool om_spool_put(const OmDbDelivery *delivery, int crashes, int64_t deadline);

/* For the replay: wait until something may be due, at most ms; see the functions of the file. */
extern void om_spool_wait(int ms);
extern int	om_spool_take(OmSpoolRow *rows, int n, size_t max_bytes);
/* False: the rows will be given out again, though some are done. */
extern bool om_spool_settle(const OmSpoolRow *rows, int n);

extern OmSpoolNumbers om_spool_numbers(void);

#endif							/* OM_RELAY_SPOOL_H */
