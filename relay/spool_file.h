/*
 * spool_file.h
 *		The file in which deliveries wait while the database does not take them.
 *
 * A SQLite database with one table.  The functions know no threads: the caller lets one
 * at a time in.
 */
#ifndef OM_RELAY_SPOOL_FILE_H
#define OM_RELAY_SPOOL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OM_SPOOL_BUSY_MS	2000

typedef struct OmSpoolFile OmSpoolFile;

typedef enum OmSpoolResult
{
	OM_SPOOL_OK,				/* flushed to disk */
	OM_SPOOL_FULL,				/* no space: nothing was kept, the next one may be */
	OM_SPOOL_TROUBLE,			/* another error of this call: nothing was kept */
	OM_SPOOL_BROKEN				/* the file can be trusted with nothing new any more */
} OmSpoolResult;

typedef struct OmSpoolRow
{
	int64_t		id;				/* given by the file */
	const char *kind;			/* "ingest", or why it is kept without effect: "stale", "crashed" */
	const char *provider;
	const uint8_t *body;
	size_t		body_len;
	const char *signature;
	const char *signed_at;
	const char *key_id;
	int64_t		received_at;	/* Unix milliseconds */
	int			attempts;		/* that failed because of this delivery, not of the database */
	int			crashes;		/* how often the server went down with it */
	int64_t		next_at;		/* Unix milliseconds; 0: now */
	char		sqlstate[6];	/* of the last attempt */
	bool		damaged;		/* what was read is not what was kept: it must not be applied */

	bool		done;			/* for om_spool_file_settle: it can be forgotten */
	bool		changed;		/* attempts, crashes, next_at or sqlstate has changed */
	void	   *store;			/* what the pointers point into, when the file gave the row */
} OmSpoolRow;

typedef struct OmSpoolUsage
{
	int64_t		rows;
	int64_t		bytes;			/* pages in use; free ones inside the file do not count */
	int64_t		oldest_at;		/* Unix milliseconds; 0 when there is none */
	int64_t		damaged;		/* set aside, now or by a relay before; as long as nobody has looked after them */
} OmSpoolUsage;

/*
 * Open or make the file, for the one relay that may.  NULL with a reason for people
 * when it is in use, open to others, or no spool.
 */
extern OmSpoolFile *om_spool_file_open(const char *path, char *error, size_t error_size);
extern void om_spool_file_close(OmSpoolFile *file);

/* All of the rows or none, in one transaction */
extern OmSpoolResult om_spool_file_put(OmSpoolFile *file, const OmSpoolRow *rows, int n);

/*
 * The oldest rows that were never tried, and then some of those that failed before and
 * are due again.  At most n, and about max_bytes.  Returns how many;
 * below zero it is minus an OmSpoolResult.
 */
extern int	om_spool_file_take(OmSpoolFile *file, OmSpoolRow *rows, int n, size_t max_bytes,
							   int64_t now);
extern void om_spool_row_free(OmSpoolRow *row);

/*
 * Delete the rows that are done and write down what changed of the others.  When that
 * fails, known says whether the file at least remembers what is done, as long as it is open:
 * then it does not give those rows out again, and deletes them when it can.
 */
extern OmSpoolResult om_spool_file_settle(OmSpoolFile *file, const OmSpoolRow *rows, int n,
										  bool *known);

/* Move what the log holds into the file, when it has grown. */
extern OmSpoolResult om_spool_file_checkpoint(OmSpoolFile *file);

extern OmSpoolUsage om_spool_file_usage(const OmSpoolFile *file);

/* The code and text of the last error, for the log.  SQLite's texts quote no data. */
extern const char *om_spool_file_error(const OmSpoolFile *file);

#endif							/* OM_RELAY_SPOOL_FILE_H */
