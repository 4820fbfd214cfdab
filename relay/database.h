/*
 * database.h
 *		One connection to PostgreSQL, on which nothing waits longer than it is told.
 */
#ifndef OM_RELAY_DATABASE_H
#define OM_RELAY_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct OmDb OmDb;

typedef struct OmDbDelivery
{
	const char *provider;
	const uint8_t *body;
	size_t		body_len;
	const char *signature;
	const char *signed_at;
	const char *key_id;
	const char *reason;			/* NULL: to be ingested; else why it is kept without effect */
	bool		stored;			/* set by om_db_store */
	char		sqlstate[6];	/* with which the call failed that it was in last */

	/* For store.c */
	int64_t		deadline;		/* monotonic milliseconds; 0: nobody waits for it */
	int			crashes;		/* how often the server went down with it */
	bool		alone;			/* in no call together with others */
	bool		blamed;			/* it was refused by itself, not for the company it was in */
} OmDbDelivery;

typedef enum OmDbCall
{
	OM_CALL_DONE,				/* committed: see stored of each delivery */
	OM_CALL_REFUSED,			/* an error of the statement: see sqlstate; nothing is stored */
	OM_CALL_BROKEN,				/* close the connection; nothing is known of the deliveries */
	OM_CALL_CRASHED				/* the same, and the server went down meanwhile, this process of it without a word */
} OmDbCall;

/* Connect; NULL, with a log line, when that fails. */
extern OmDb *om_db_open(const char *conninfo);
extern void om_db_close(OmDb *db);

/* False when the server has closed an idle connection.  Does not wait. */
extern bool om_db_is_open(OmDb *db);

/* Ask for a sign of life and what time it is there.  False: close the connection. */
extern bool om_db_ping(OmDb *db, int64_t deadline);

/*
 * Give n deliveries to the database, all of them with a reason (omnimsg_keep_dead) or all
 * without (omnimsg_ingest_batch).
 */
extern OmDbCall om_db_store(OmDb *db, OmDbDelivery **deliveries, int n, int64_t deadline);

#endif							/* OM_RELAY_DATABASE_H */
